//! The log as others read it: with the crates `signed_note` and `tlog_tiles`, and with Go's own packages.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader, check_record,
    check_tree, prove_record, prove_tree, record_hash, stored_hash_index, tree_hash,
};

use crate::harness::{Client, Service, at, origin, simple};

/// Two full tiles and a partial one, so that there is a second level.
const ENTRIES: usize = 700;

fn filled() -> Service {
    let service = Service::new();
    let producer = service.producer();
    for batch in 0..ENTRIES / 100 {
        let events: Vec<Value> = (0..100)
            .map(|n| simple(&format!("e-{batch}-{n}"), &format!("C-{n}")))
            .collect();
        producer.post(&at("/events"), &json!(events)).json(201);
    }
    service.clock.pass(std::time::Duration::from_secs(2));
    service
}

/// The tiles of the service, under the addresses of tlog-tiles.
struct Remote(Client);

impl TileReader for Remote {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // This crate writes the height into paths, as Go's checksum database does.
            let path = tile.path().replacen("tile/8/", "/log/tile/", 1);
            let answer = self.0.get(&at(&path));
            assert_eq!(answer.status, 200, "{path}: {}", answer.start());
            assert_eq!(answer.media_type(), "application/octet-stream");
            Ok(answer.body)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn opened(note: &str, vkey: &str, name: &str) -> Checkpoint {
    let verifier = StandardVerifier::new(vkey).unwrap();
    let note = Note::from_bytes(note.as_bytes()).unwrap();
    let (valid, unknown) = note
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    assert_eq!((valid.len(), unknown.len()), (1, 0));
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), name);
    checkpoint
}

fn hashes(proof: &Value) -> Vec<Hash> {
    let hash = |h: &Value| Hash::parse_hash(h.as_str().unwrap()).unwrap();
    proof["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(hash)
        .collect()
}

#[test]
fn other_crates_open_the_log_and_prove_all_of_it() {
    let service = filled();
    let auditor = service.reader("auditor");
    let vkey = service.vkey().to_string();
    let note = auditor.get(&at("/log/checkpoint"));
    let checkpoint = opened(note.ok(), &vkey, &origin(crate::harness::LEDGER));
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    assert_eq!(size, service.size());
    assert!(size > ENTRIES as u64);

    let remote = Remote(auditor.clone());
    let reader = TileHashReader::new(size, root, &remote);
    assert_eq!(tree_hash(size, &reader).unwrap(), root);
    let mut leaves = Vec::new();
    for first in (0..size).step_by(256) {
        let width = (size - first).min(256);
        let partial = if width < 256 {
            format!(".p/{width}")
        } else {
            String::new()
        };
        let bundle = auditor.get(&at(&format!(
            "/log/tile/entries/{:03}{partial}",
            first / 256
        )));
        assert_eq!(bundle.status, 200, "{}", bundle.start());
        let mut rest = &bundle.body[..];
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let (leaf, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
            leaves.push(leaf.to_vec());
            rest = after;
        }
    }
    assert_eq!(leaves.len() as u64, size);
    let indexes: Vec<u64> = (0..size).map(|n| stored_hash_index(0, n)).collect();
    let stored = reader.read_hashes(&indexes).unwrap();
    for (n, (leaf, stored)) in leaves.iter().zip(&stored).enumerate() {
        assert_eq!(record_hash(leaf), *stored, "record {n}");
    }
    for n in [0, 1, 255, 256, 511, 512, size - 1] {
        let leaf = stored[usize::try_from(n).unwrap()];
        let proof = prove_record(size, n, &reader).unwrap();
        check_record(&proof, size, root, n, leaf).unwrap();
        let path = format!("/proofs/inclusion?seq={n}&size={size}");
        let given = auditor.get(&at(&path)).json(200);
        assert_eq!(hashes(&given), proof, "record {n}");
        assert_eq!(given["root"], STANDARD.encode(root.0));
        assert_eq!(given["leaf_hash"], STANDARD.encode(leaf.0));

        let (first, old) = (n + 1, tree_hash(n + 1, &reader).unwrap());
        let path = format!("/proofs/consistency?first={first}&second={size}");
        let given = auditor.get(&at(&path)).json(200);
        assert_eq!(given["first_root"], STANDARD.encode(old.0));
        assert_eq!(given["second_root"], STANDARD.encode(root.0));
        check_tree(&hashes(&given), size, root, first, old).unwrap();
        assert_eq!(hashes(&given), prove_tree(size, first, &reader).unwrap());
    }
    // What the crate checks can fail: another root is refused.
    let other = TileHashReader::new(size, Hash([7; 32]), &remote);
    assert!(tree_hash(size, &other).is_err());
}

/// Builds the follower; `None`, and says so, where Go or its packages are absent.
fn follower(dir: &Path) -> Option<std::path::PathBuf> {
    const PACKAGES: &str = "/usr/share/gocode";
    let absent = |what: &str| {
        let must = std::env::var("WHEREAS_REQUIRE_GO").is_ok_and(|v| v == "1");
        assert!(!must, "{what}, and WHEREAS_REQUIRE_GO=1");
        eprintln!("NOT CHECKED with Go's packages: {what}");
        None
    };
    let package = Path::new(PACKAGES).join("src/golang.org/x/mod/sumdb/tlog");
    if !package.is_dir() {
        return absent(
            "golang.org/x/mod/sumdb is not in /usr/share/gocode (install golang-golang-x-mod-dev)",
        );
    }
    let binary = dir.join("follow");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/follow.go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", PACKAGES)
        .env("GOCACHE", dir.join("cache"))
        .env("GOFLAGS", "")
        .current_dir(dir)
        .output();
    match built {
        Err(e) => absent(&format!("go does not run ({e}; install golang-go)")),
        Ok(built) => {
            let said = String::from_utf8_lossy(&built.stderr);
            assert!(built.status.success(), "{said}");
            Some(binary)
        }
    }
}

#[test]
fn gos_own_packages_follow_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let Some(follow) = follower(dir.path()) else {
        return;
    };
    let service = filled();
    let auditor = service.reader("auditor");
    let prefix = format!("{}{}", service.base, at("/log"));
    let run = |vkey: &str, token: &str| {
        Command::new(&follow)
            .args([&prefix, vkey, token])
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .output()
            .unwrap()
    };
    let vkey = service.vkey().to_string();
    let followed = run(&vkey, auditor.token());
    let said = String::from_utf8_lossy(&followed.stderr).into_owned();
    assert!(followed.status.success(), "{said}");
    let out = String::from_utf8(followed.stdout).unwrap();
    let words: Vec<&str> = out.split_whitespace().collect();
    let size = service.size();
    let ledger = &service.server().ledgers[crate::harness::LEDGER];
    let (checkpoint, _) = ledger.checkpoint().unwrap();
    assert_eq!(words[0], size.to_string());
    assert_eq!(words[1], checkpoint.root.to_b64());
    let proved: u64 = words[2].parse().unwrap();
    assert!(proved > size / 61, "{out}");
    assert_eq!(words[2], words[3]);

    let other = &service.server().ledgers[crate::harness::OTHER];
    let wrong = run(
        &other.keyring().checkpoint().vkey().to_string(),
        auditor.token(),
    );
    assert_eq!(wrong.status.code(), Some(1), "another key opens nothing");
    let refused = run(&vkey, "wh_garbage");
    assert_eq!(refused.status.code(), Some(1), "nor does a wrong token");
}
