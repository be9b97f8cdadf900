"""Checking an export. Sections [The export file] and [Checking an export].

The file is read once, from its beginning to its end, and never held whole. What stops the check
is raised as Refused; other problems are noted.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Set, Tuple

from .basics import ZEROS, base64_bytes, is_count, is_digest
from .collect import Cases, Identities, Tree
from .content import Content
from .export_form import BRIDGES, CHECKPOINT, END, MANIFEST, SEALED, an_object, content_shape
from .export_form import part_shape, read_list, read_object, signed_note, tile_number
from .fast_leaf import leaf_reader
from .keys import ED25519, TYPE_COSIGNATURE, TYPE_ED25519, ToolError, VerifierKey, cosignature_time
from .leaf import ERASURES
from .notes import Checkpoint
from .policy import vouched_at
from .problems import Problem, Refused, Result
from .report_form import FormError
from .tar_stream import Members
from .tree import tree_root, verify_inclusion
from .trust import Brought, Opened, Trusted, fact_key, is_older, join, only_stolen_keys
from .trust import rotation_of, stolen_with_heirs

BUNDLE = 256
RESTORING = ("catalogues", "reports", "cases", "traces", "lookups")
MAX_PROBLEMS = 100


def verify_export(
    file: BinaryIO,
    pinned: List[VerifierKey],
    outside: List[bytes] = (),
    brought: Brought = Brought(),
) -> Result:
    """Checks an export that is read from `file`."""
    check = ExportCheck(pinned, list(outside), brought)
    ED25519.many = True
    try:
        check.read(Members(file))
        check.complete = True
    except Refused as refused:
        check.note(*refused.parts)
    except FormError as error:
        check.note("export.form", error.place, "The file: %s." % error)
    finally:
        ED25519.many = False
    check.conclude()
    return Result(check.verdicts(), check.problems, check.remarks())


@dataclass
class Change:
    """A change of the checkpoint key; `size` is that of its bridge."""

    size: int
    old: VerifierKey
    new: VerifierKey
    since: Optional[int] = None  # from when on `old` may have been in other hands
    bridged: bool = False
    looked_for: bool = False


class ExportCheck:
    def __init__(self, pinned: List[VerifierKey], outside: List[bytes], brought: Brought):
        self.pinned = pinned
        self.brought = brought
        self.witnesses = [key for key in pinned if key.type == TYPE_COSIGNATURE]
        self.problems: List[Problem] = []
        self.codes: Set[str] = set()
        self.complete = False  # read to its end
        self.entries_read = False  # all entries were
        self.opened: Optional[Opened] = None  # the checkpoint of a part
        self.whole = True
        self.origin = ""
        self.manifest: Dict[str, Any] = {}
        self.checkpoint: Optional[Checkpoint] = None
        self.count = 0  # leaves that the file holds
        self.tree = Tree()
        self.last: Any = None  # the leaf before, and the hash that counts for it
        self.last_hash = ZEROS
        self.identities, self.cases = Identities(), Cases()
        self.checkpoint_keys: List[VerifierKey] = []  # in force, one after the other
        self.report_key: Optional[VerifierKey] = None
        self.changes: List[Change] = []
        self.erased: List[Tuple[int, int]] = []
        self.by_digests = False  # some disclosure is not there
        self.unseen: List[List[int]] = []  # ranges of entries with content and no line
        self.stolen: Dict[VerifierKey, int] = {}  # the keys of a part, and since when
        self.vouched = False
        self.words: List[Tuple[int, Optional[int]]] = []  # word from outside: size, time
        self.good_to = 0
        self.tiles: Dict[int, List[bytes]] = {}  # by level: hashes of its tile that is not full
        self.outside = [parsed(data) for data in outside]
        self.roots: Dict[int, bytes] = {}  # at the sizes of checkpoints from outside
        self.wanted = {c.size for c in self.outside if c is not None}
        self.anchored = False

    def note(self, code: str, place: str, why: str) -> None:
        if len(self.problems) < MAX_PROBLEMS or code not in self.codes:
            self.problems.append(Problem(code, place, why))
        self.codes.add(code)

    # --- The file -------------------------------------------------------------------------------

    def read(self, members: Members) -> None:
        self.members = members
        self.manifest = m = read_object(self.member("export.json"), MANIFEST, "export.json")
        self.whole = m["scope"] == "whole"
        names = {key.name for key in self.pinned if key.type == TYPE_ED25519}
        if not names:
            raise ToolError("No checkpoint key is pinned, so nothing can be said of the file.")
        self.origin = names.pop() if len(names) == 1 else m["ledger"]
        scope_range = {} if self.whole else m["scope"].get("range", {})
        if not self.whole and m["content"] == "sealed":
            raise Refused("export.form", "export.json", "A part is never sealed.")
        if scope_range and scope_range["first"] > scope_range["last"]:
            raise Refused("export.form", "export.json", "The range is backwards.")
        if m["ledger"] != self.origin or (names and self.origin not in names):
            raise Refused("export.manifest", "export.json", "It is of ledger %s." % m["ledger"])
        note = self.member("checkpoint")
        try:
            self.checkpoint = Checkpoint.parse(note)
        except ValueError as error:
            raise Refused("checkpoint.form", "checkpoint", "It: %s." % error) from None
        if self.checkpoint.origin != self.origin:
            raise Refused("checkpoint.origin", "checkpoint", "It is of another ledger.")
        if self.checkpoint.size != m["size"]:
            raise Refused("export.manifest", "checkpoint", "Its size is not the manifest's.")
        self.read_leaf = leaf_reader(self.origin)
        if self.whole:
            self.read_whole()
        else:
            self.read_part(note)
        end = read_object(self.member("end.json"), END, "end.json")
        members.end()
        self.entries_read = True
        if end["entries"] != self.count:
            why = "It tells of %d entries; there are %d." % (end["entries"], self.count)
            raise Refused("export.manifest", "end.json", why)

    def member(self, name: str) -> bytes:
        found = self.members.name
        if found is None:
            code, why = "export.truncated", "The file ends before its last member."
            try:
                self.members.end()
            except Refused as refused:
                code, why = refused.problem.code, refused.problem.explanation
            raise Refused(code, name, why)
        if found != name:
            raise Refused("export.form", name, "The member `%s` stands in its place." % found[:100])
        return self.members.take()

    def lines(self, name: str, shape: Any) -> Iterator[Any]:
        """The objects of a list, over all its pieces."""
        piece = 0
        while self.members.name == "%s/%d" % (name, piece):
            here = self.members.name
            yield from read_list(self.members.take(), shape, here)
            piece += 1

    def ascending(self, lines: Iterator[Any], name: str, by: str, first: int, last: int) -> Any:
        before = first - 1
        for line in lines:
            if not before < line[by] <= last:
                raise Refused("export.form", name, "`%s` is out of order or of the bundle." % by)
            before = line[by]
            yield line

    # --- A whole ledger -------------------------------------------------------------------------

    def read_whole(self) -> None:
        size, content = self.manifest["size"], self.manifest["content"]
        shape = content_shape(content)
        for bundle in range(-(-size // BUNDLE)):
            number, first = tile_number(bundle), bundle * BUNDLE
            width = min(BUNDLE, size - first)
            suffix = "" if width == BUNDLE else ".p/%d" % width
            entries = bundle_entries(self.member("tile/entries/" + number + suffix), width)
            leaves = [self.leaf(data, first + n) for n, data in enumerate(entries)]
            self.count += width
            seen = set()
            if content in ("digests", "disclosed"):
                name = "content/" + number
                lines = self.lines(name, shape)
                for line in self.ascending(lines, name, "seq", first, first + width - 1):
                    seen.add(line["seq"])
                    leaf = leaves[line["seq"] - first]
                    if leaf is not None:
                        self.check_content(leaf, line)
            elif content == "sealed":
                name = "sealed/" + number
                lines = self.lines(name, SEALED)
                for _ in self.ascending(lines, name, "seq", first, first + width - 1):
                    pass
            if content in ("digests", "disclosed"):
                for seq, leaf in enumerate(leaves, first):
                    if leaf is not None and leaf.content and seq not in seen:
                        self.note_unseen(seq)
            tile = self.tile("tile/0/" + number + suffix, width)
            notes: List[Dict[str, Any]] = []
            try:
                self.upper_tiles(tile, bundle + 1)
                name = "checkpoints/" + number
                lines = self.lines(name, CHECKPOINT)
                notes += self.ascending(lines, name, "size", first + 1, first + width)
            finally:  # a bundle that was read is judged, even when the file breaks off behind it
                self.bundle(first, leaves, tile, notes)
                if first + width == size:
                    self.compare_checkpoint(self.checkpoint, "checkpoint")
                    self.entries_read = True
        self.entries_read = True
        for level in sorted(self.tiles):
            hashes = self.tiles[level]
            if hashes:
                number = tile_number((size >> 8 * level) // BUNDLE)
                name = "tile/%d/%s.p/%d" % (level, number, len(hashes))
                self.compare_tile(name, self.tile(name, len(hashes)), hashes)
        if content == "sealed":
            for name in RESTORING:
                for _ in self.lines(name, an_object):
                    pass

    def leaf(self, data: bytes, seq: int) -> Any:
        try:
            leaf = self.read_leaf(data, "entry %d" % seq)
        except Refused as refused:
            self.note(*refused.parts)
            if refused.leaf is None:
                return None
            leaf = refused.leaf
        if leaf.seq != seq:
            self.note("leaf.seq", "entry %d" % seq, "It says that it is entry %d." % leaf.seq)
        return leaf

    def tile(self, name: str, width: int) -> List[bytes]:
        data = self.member(name)
        if len(data) != 32 * width:
            raise Refused("export.form", name, "It does not hold %d hashes." % width)
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    def upper_tiles(self, tile: List[bytes], done: int) -> None:
        """The full tiles of higher levels that a bundle completes; `done`: full bundles."""
        level = 1
        while len(tile) == BUNDLE:
            above = self.tiles.setdefault(level, [])
            above.append(tree_root(tile))
            if len(above) < BUNDLE:
                return
            name = "tile/%d/%s" % (level, tile_number((done >> 8 * level) - 1))
            tile = self.tile(name, BUNDLE)
            self.compare_tile(name, tile, above)
            self.tiles[level] = []
            level += 1

    def compare_tile(self, name: str, tile: List[bytes], hashes: List[bytes]) -> None:
        if tile != hashes:
            self.note("tile.differs", name, "It is not that of the tile below.")

    def bundle(
        self,
        first: int,
        leaves: List[Any],
        tile: List[bytes],
        notes: List[Dict[str, Any]],
    ) -> None:
        """Chains and tree over the leaves of a bundle, and the checkpoints at their sizes."""
        signed = {line["size"]: line for line in notes}
        for n, leaf in enumerate(leaves):
            seq = first + n
            own = tile[n]
            if leaf is not None and leaf.hash != own:
                own = self.altered(leaf, tile[n], leaves[n + 1 : n + 2], signed.get(seq + 1))
            self.tree.add(own)
            self.chain(leaf, own, seq)
            if seq + 1 in signed:
                self.signed_checkpoint(signed[seq + 1])
            if seq + 1 in self.wanted:
                self.roots[seq + 1] = self.tree.root()

    def altered(self, leaf: Any, stored: bytes, after: List[Any], line: Any) -> bytes:
        """The hash that counts, of a leaf and the tile's that differ."""
        found = parsed(signed_note(line)) if line else None
        trial = Tree()
        trial.size, trial.nodes = self.tree.size, list(self.tree.nodes)
        trial.add(leaf.hash)
        place = "entry %d" % self.tree.size
        if (after and after[0] is not None and after[0].prev == leaf.hash.hex()) or (
            found is not None and found.root == trial.root()
        ):
            self.note("tile.differs", place, "The tile has another hash for it.")
            return leaf.hash
        self.note("leaf.altered", place, "The tile, and what follows, has another hash for it.")
        return stored

    def chain(self, leaf: Any, own: bytes, seq: int) -> None:
        """What holds between an entry and those before it; it counts with the hash `own`."""
        text, before = own.hex(), self.last
        if leaf is not None:
            if leaf.prev != self.last_hash:
                self.note("leaf.prev", "entry %d" % seq, "It does not follow the entry before it.")
            if before is not None and leaf.recorded < before.recorded:
                self.note("leaf.recorded", "entry %d" % seq, "It is earlier than the one before.")
            self.service_entry(leaf, seq)
            self.identities.add(leaf.eid, seq)
            if leaf.case is not None and leaf.hash == own:
                self.cases.add(leaf.case, leaf.case_seq, leaf.case_prev, seq, text)
            self.last = leaf
        elif seq == 0:
            self.note("genesis.absent", "entry 0", "It is not the creation of a ledger.")
        self.last_hash = text

    def service_entry(self, leaf: Any, seq: int) -> None:
        place, kind = "entry %d" % seq, leaf.type
        if (kind == "ledger.created") != (seq == 0):
            self.note("genesis.absent", place, "The ledger's creation is entry 0, and no other.")
        elif seq == 0:
            key, spec = fact_key(leaf, "checkpoint_key"), leaf.fact_of("spec")
            spec_holds = is_count(spec) and spec == 1
            self.report_key = fact_key(leaf, "report_key")
            if not spec_holds or key is None or self.report_key is None:
                self.note("genesis.form", place, "It does not tell the ledger's keys.")
            else:
                self.checkpoint_keys.append(key)
        elif kind == "key.rotated" and self.whole:
            self.rotation(leaf, seq)
        elif kind in ERASURES:
            self.erasure(leaf, seq)

    def rotation(self, leaf: Any, seq: int) -> None:
        rotation, place = rotation_of(leaf), "entry %d" % seq
        if rotation is None:
            self.note("key.rotation", place, "Its fact is not that of a rotation.")
            return
        if rotation.purpose == "report":
            if rotation.old != self.report_key:
                self.note("key.rotation", place, "The key that it replaces is not in force.")
            self.report_key = rotation.new
            return
        if not self.checkpoint_keys or rotation.old != self.checkpoint_keys[-1]:
            self.note("key.rotation", place, "The key that it replaces is not in force.")
        self.changes.append(Change(seq + 1, rotation.old, rotation.new, rotation.since))
        self.checkpoint_keys.append(rotation.new)

    def erasure(self, leaf: Any, seq: int) -> None:
        fact = leaf.fact
        ranges = [] if fact is None else fact.get("ranges", [])
        if fact is None or not isinstance(ranges, list) or not all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(is_count(n) for n in pair)
            and pair[0] <= pair[1] < seq
            for pair in ranges
        ):
            self.note("erasure.form", "entry %d" % seq, "It does not say what was erased.")
            return
        self.erased += [(pair[0], pair[1]) for pair in ranges]

    # --- Checkpoints ----------------------------------------------------------------------------

    def signed_checkpoint(self, line: Dict[str, Any]) -> None:
        place = "checkpoint of size %d" % line["size"]
        try:
            checkpoint = Checkpoint.parse(signed_note(line))
        except ValueError as error:
            self.note("checkpoint.form", place, "It: %s." % error)
            return
        if checkpoint.origin != self.origin:
            self.note("checkpoint.origin", place, "It is of another ledger.")
        elif checkpoint.size != line["size"]:
            self.note("checkpoint.size", place, "It is of size %d." % checkpoint.size)
        else:
            self.compare_checkpoint(checkpoint, place)

    def compare_checkpoint(self, checkpoint: Checkpoint, place: str) -> None:
        """A checkpoint at the size that the tree has now."""
        if checkpoint.root != self.tree.root():
            self.note("checkpoint.root", place, "It is signed over other entries.")
        size, lines = checkpoint.size, checkpoint.note.lines
        # The key in force, and at the end of a change of keys the new one too.
        pending = [change for change in self.changes if change.size == size]
        at_bridge = bool(pending)
        keys = self.checkpoint_keys[-2:] if at_bridge else self.checkpoint_keys[-1:]
        signers, wrong = [], False
        witnessed: Dict[VerifierKey, int] = {}
        for key in [*keys, *self.witnesses]:
            for line in lines:
                if not line.is_of(key):
                    continue
                if not key.verify(checkpoint.note.text, line.signature):
                    self.note("checkpoint.signature", place, "%s did not sign it." % key.hint)
                    wrong = True
                elif key.type == TYPE_COSIGNATURE:
                    witnessed.setdefault(key, cosignature_time(line.signature))
                else:
                    signers.append(key)
        if not signers and not wrong:
            self.note("checkpoint.key", place, "The key in force did not sign it.")
        self.words += [(size, time) for time in witnessed.values()]
        if vouched_at(self.brought.policy, witnessed) is not None:
            self.vouched = True
        for change in self.changes:
            if not change.looked_for:
                change.looked_for = True
                change.bridged = change.size == size and {change.old, change.new} <= set(signers)
                if not change.bridged:
                    why = "No checkpoint of its size carries both signatures."
                    self.note("key.bridge", "entry %d" % (change.size - 1), why)
        if not self.problems:
            self.good_to = size

    # --- Content --------------------------------------------------------------------------------

    def note_unseen(self, seq: int) -> None:
        if self.unseen and self.unseen[-1][1] == seq - 1:
            self.unseen[-1][1] = seq
        else:
            self.unseen.append([seq, seq])

    def check_content(self, leaf: Any, line: Dict[str, Any]) -> None:
        place, digests = "entry %d" % leaf.seq, line["digests"]
        wrong: List[str] = []

        def form(code: str, _: str, why: str) -> None:
            wrong.append(why)

        if leaf.content is None:
            self.note("content.extra", place, "There is content, and the entry has none.")
            return
        if not digests or not all(is_digest(digest) for digest in digests):
            self.note("content.form", place, "Its digests are none.")
            return
        content = Content()
        content.read(line.get("disclosures", []), place, form)
        try:
            content.entry(leaf, digests, form)
            content.unreferenced()
        except Refused as refused:
            if refused.problem.code == "content.commitment":
                self.note(*refused.parts)
            else:
                wrong.append(refused.problem.explanation)
        if wrong:
            self.note("content.form", place, wrong[0])
        if any(digest not in content.shown for digest in content.home):
            self.by_digests = True

    # --- A part ---------------------------------------------------------------------------------

    def read_part(self, note: bytes) -> None:
        scope, content = self.manifest["scope"], self.manifest["content"]
        wanted = scope.get("range")
        trusted = Trusted(self.origin, self.pinned)
        if self.members.name == "bridges.json":
            file = read_object(self.members.take(), BRIDGES, "bridges.json")
            try:
                bridges = trusted.cross(file["bridges"], "bridges.json")
                join(bridges, self.checkpoint, "bridges.json")
            except Refused as refused:
                self.note("key.bridge", *refused.parts[1:])
        try:
            self.opened = trusted.open(note)
            self.stolen = stolen_with_heirs(trusted, self.brought)
            witnesses = self.opened.witnesses
            self.vouched = vouched_at(self.brought.policy, witnesses) is not None
            self.words += [(self.checkpoint.size, time) for time in witnesses.values()]
        except Refused as refused:
            self.note(*refused.parts)
        size, root = self.checkpoint.size, self.checkpoint.root
        self.roots[size] = root
        if wanted and wanted["first"] > 0:
            self.cases = Cases(from_start=False)
        expected = wanted["first"] if wanted else None
        absent = None
        for line in self.lines("entries", part_shape(content)):
            if "disclosures" in line and "digests" not in line:
                raise Refused("export.form", "entries", "There are disclosures and no digests.")
            self.count += 1
            try:
                leaf = self.read_leaf(line["leaf"].encode(), "line %d" % self.count)
            except Refused as refused:
                self.note(*refused.parts)
                if refused.leaf is None:
                    continue
                leaf = refused.leaf
            place = "entry %d" % leaf.seq
            path = [base64_bytes(step) for step in line["path"]]
            if any(len(step or b"") != 32 for step in path) or not verify_inclusion(
                leaf.hash, leaf.seq, size, path, root
            ):
                self.note("leaf.inclusion", place, "It is not proven by the checkpoint.")
            if wanted:
                in_scope = wanted["first"] <= leaf.seq <= wanted["last"]
                if leaf.seq > expected and absent is None:
                    absent = expected
                expected = max(expected, leaf.seq + 1)
            else:
                in_scope = leaf.case == scope["case"]["case"]
            if not in_scope:
                self.note("part.scope", place, "It does not belong to the part.")
            self.part_chain(leaf)
            if "digests" in line:
                self.check_content(leaf, line)
            elif leaf.content and content != "none":
                self.note_unseen(leaf.seq)
        ended = self.members.name == "end.json"  # else the file breaks off here
        if wanted and ended and absent is None and expected <= min(wanted["last"], size - 1):
            absent = expected
        if absent is not None:
            self.note("entry.absent", "entry %d" % absent, "It is of the range, and not there.")

    def part_chain(self, leaf: Any) -> None:
        place, before = "entry %d" % leaf.seq, self.last
        if before is not None and leaf.seq <= before.seq:
            self.note("leaf.seq", place, "It stands after entry %d." % before.seq)
        prev = leaf.prev
        if leaf.seq == 0:
            prev = ZEROS
        elif before is not None and before.seq == leaf.seq - 1:
            prev = before.hash.hex()
        if leaf.prev != prev:
            self.note("leaf.prev", place, "It does not follow the entry before it.")
        if before is not None and leaf.recorded < before.recorded:
            self.note("leaf.recorded", place, "It is earlier than the one before.")
        self.service_entry(leaf, leaf.seq)
        self.identities.add(leaf.eid, leaf.seq)
        if leaf.case is not None:
            own = leaf.hash.hex()
            self.cases.add(leaf.case, leaf.case_seq, leaf.case_prev, leaf.seq, own)
        self.last = leaf

    # --- The end --------------------------------------------------------------------------------

    def conclude(self) -> None:
        for seq in self.identities.doubled():
            self.note("identity.doubled", "entry %d" % seq, "Another entry has its identity.")
        for code, seq in self.cases.problems():
            self.note(code, "entry %d" % seq, "The chain of its case breaks here.")
        if not self.entries_read:
            return
        if self.whole and self.manifest["size"]:
            joined = any(key in self.pinned for key in self.checkpoint_keys[-1:])
            for change in reversed(self.changes):
                if joined or not change.bridged:
                    break
                joined = change.old in self.pinned
            if not joined:
                self.note("key.pin", "", "Nothing joins the ledger's keys to a pinned one.")
        self.compare_outside()
        if self.whole:
            self.weigh_stolen_keys()
        elif self.opened:
            times = [time for _, time in self.words]
            if only_stolen_keys(self.opened.signers, times, self.stolen):
                why = "Somebody else may have held the key that signed, and no word is older."
                self.note("key.compromised", "checkpoint", why)

    def weigh_stolen_keys(self) -> None:
        """Section [Stolen keys]."""
        size, changes = self.manifest["size"], self.changes
        for index, key in enumerate(self.checkpoint_keys):
            change = changes[index] if index < len(changes) else None
            told = [since for stolen, since in self.brought.stolen if stolen == key]
            told += [change.since] if change and change.since is not None else []
            if not told:
                continue
            since = min(told)
            covered = max((s for s, time in self.words if is_older(time, since)), default=0)
            if change and covered >= change.size:
                continue
            first, end = max(covered, changes[index - 1].size if index else 0), size
            for later in range(index + 1, len(self.checkpoint_keys)):
                if self.checkpoint_keys[later] in self.pinned:
                    end = min(end, changes[later - 1].size)
                    break
            if first < end:
                why = "%s was stolen, and nothing from outside is older." % key.hint
                self.note("key.compromised", "entry %d" % first, why)

    def compare_outside(self) -> None:
        size = self.manifest["size"]
        own = [k for k in self.pinned if k.type == TYPE_COSIGNATURE or k.name == self.origin]
        foreign = [k for k in own if k not in self.checkpoint_keys]
        for index, checkpoint in enumerate(self.outside):
            place = "checkpoint %d from outside" % (index + 1)
            keys = [*foreign, *self.in_force(checkpoint.size if checkpoint else 0)]
            signed = checkpoint is not None and checkpoint.origin == self.origin and [
                key.verify(checkpoint.note.text, line.signature)
                for key in keys
                for line in checkpoint.note.lines
                if line.is_of(key)
            ]
            if not signed or not all(signed):
                self.note("outside.unusable", place, "No known key of this ledger signed it.")
            elif not self.whole and checkpoint.size != size:
                self.note("outside.unusable", place, "A part cannot be compared with it.")
            elif checkpoint.size > size:
                self.note("outside.truncated", place, "It proves more entries than there are.")
            elif checkpoint.size and checkpoint.root != self.roots.get(checkpoint.size):
                self.note("outside.contradiction", place, "It is of another history.")
            else:
                self.anchored = True
                self.words.append((checkpoint.size, None))

    def in_force(self, size: int) -> List[VerifierKey]:
        """The checkpoint keys that sign a size: one, or at a bridge two."""
        found = []
        for index, key in enumerate(self.checkpoint_keys):
            first = self.changes[index - 1].size if index else 0
            last = self.changes[index].size if index < len(self.changes) else size
            if first <= size <= last:
                found.append(key)
        return found

    def verdicts(self) -> Dict[str, Any]:
        touched = {verdict for code in self.codes for verdict in verdicts_of(code)}
        if not self.whole and self.codes & {"checkpoint.key", "checkpoint.signature"}:
            touched.add("keys")
        done = "part" if not self.whole else "complete"

        def verdict(name: str, good: str) -> str:
            if name in touched:
                return "broken"
            looked = self.entries_read or (name == "keys" and self.opened is not None)
            return good if looked else "not_checked"

        integrity = "broken" if "integrity" in touched else "intact"
        if integrity == "broken" and not any(
            "integrity" in verdicts_of(code) for code in self.codes - {"key.compromised"}
        ):
            integrity = "unprovable"
        if self.codes & {"outside.contradiction", "outside.truncated"}:
            freshness = "contradicted"
        elif integrity != "intact" or "keys" in touched or not self.complete:
            freshness = "not_proven"
        elif self.vouched:
            freshness = "witnessed"
        else:
            freshness = "anchored" if self.anchored else "not_proven"
        return {
            "integrity": integrity,
            "sequence": verdict("sequence", done),
            "content": verdict("content", self.content_verdict() if self.manifest else ""),
            "index": "not_checked",
            "freshness": freshness,
            "keys": verdict("keys", "good"),
        }

    def content_verdict(self) -> str:
        if self.manifest["content"] in ("none", "sealed"):
            return "not_checked"
        erased, at = sorted(self.erased), 0
        reach = -1  # everything from the first range looked at to here was erased
        for first, last in self.unseen:
            need = first
            while need <= last:
                while at < len(erased) and erased[at][0] <= need:
                    reach = max(reach, erased[at][1])
                    at += 1
                if reach < need:
                    return "incomplete"
                need = reach + 1
        return "by_digests" if self.by_digests else "checked"

    def remarks(self) -> List[str]:
        if not self.manifest:
            return []
        kind = "the whole ledger" if self.whole else "a part of the ledger"
        lines = ["It holds %s %s: %d entries." % (kind, self.origin, self.count)]
        if not self.complete:
            lines.append("The file breaks off, or is of another form: nothing after that was read.")
        if self.whole:
            lines.append("Still good: the first %d entries." % self.good_to)
        return lines


def parsed(data: bytes) -> Optional[Checkpoint]:
    try:
        return Checkpoint.parse(data)
    except ValueError:
        return None


def bundle_entries(data: bytes, width: int) -> List[bytes]:
    """The leaves of a bundle, each after its length."""
    found, at = [], 0
    while at + 2 <= len(data) and len(found) < width:
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : end])
        at = end
    if at != len(data) or len(found) != width:
        raise Refused("export.form", "tile/entries", "A bundle does not hold %d leaves." % width)
    return found


def verdicts_of(code: str) -> Tuple[str, ...]:
    """The verdicts that a problem touches."""
    if code.startswith("case.") or code == "identity.doubled":
        return ("sequence",)
    if code.startswith("content.") or code == "erasure.form":
        return ("content",)
    if code.startswith("key.") and code != "key.compromised":
        return ("keys",)
    # What cannot be read, or is not there, may belong to a case.
    if code in ("leaf.form", "leaf.unknown_member", "leaf.not_canonical", "entry.absent"):
        return "integrity", "sequence"
    return ("freshness",) if code == "outside.unusable" else ("integrity",)
