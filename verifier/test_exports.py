"""Exports, made here from the published keys: whole and in part, good and tampered with.

    python3 -m unittest discover -s verifier
"""

import contextlib
import hashlib
import io
import json
import os
import random
import tempfile
import unittest

import whereas_verify
from forge import INPUTS, ORIGIN, VKEYS, ZEROS, b64, checkpoint, data, inclusion, load
from forge import signed_note, vkey
from whereas_verifier.basics import base64url
from whereas_verifier.collect import Cases, Identities, Tree
from whereas_verifier.export import verify_export
from whereas_verifier.export_form import tile_number
from whereas_verifier.fast_leaf import FastLeaf, leaf_reader
from whereas_verifier.keys import VerifierKey
from whereas_verifier.leaf import read_leaf
from whereas_verifier.problems import Refused
from whereas_verifier.strict_json import canonical
from whereas_verifier.tree import leaf_hash, tree_root

OLD = INPUTS["seeds"]["checkpoint"], VKEYS[0]
NEW = "11" * 32, vkey(ORIGIN, "11" * 32)
WITNESS = INPUTS["seeds"]["witness"], VKEYS[2], 1795342815
CASE = INPUTS["case"]
EXAMPLE = load("disclosures.json")
NO_DIGEST = "A" * 43


def example_leaves():
    return [json.loads(line) for line in data("leaves.txt").decode().split("\n")[:4]]


def service_leaf(n, kind, fact=None):
    leaf = {**example_leaves()[3], "type": kind, "eid": eid(n)}
    for name in ("case", "case_seq", "case_prev", "fact"):
        del leaf[name]
    return leaf if fact is None else {**leaf, "fact": fact}


def eid(n):
    return base64url(hashlib.sha256(b"%d" % n).digest())


def many_leaves(count):
    """Events of cases of two entries each, after the example's first entry."""
    leaves = example_leaves()[:1]
    for n in range(1, count):
        case = hashlib.md5(b"%d" % (n // 2)).hexdigest()
        leaves.append({**service_leaf(n, "request.received"), "case": case})
    return leaves


def content_line(seq):
    """All disclosures of entry 1 or 2 of the example."""
    entry = EXAMPLE[seq - 1]
    texts = [item["disclosure"] for item in entry["disclosures"]]
    return {"seq": seq, "digests": list(entry["sorted_top_digests"]), "disclosures": texts}


def json_lines(objects):
    return b"".join(canonical(line).encode() + b"\n" for line in objects)


def header(name, size, kind=b"0"):
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    block[124:136], block[136:148] = b"%011o\x00" % size, b"%011o\x00" % 0
    block[156:157], block[257:265] = kind, b"ustar\x0000"
    return with_checksum(block)


def with_checksum(block):
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\x00 " % sum(block)
    return bytes(block)


def packed(members):
    parts = [header(name, len(content)) + padded(content) for name, content in members]
    return b"".join(parts) + bytes(1024)


def padded(content):
    return content + bytes(-len(content) % 512)


class Export:
    """An export of some leaves, linked and signed anew around a change."""

    def __init__(self, leaves=None, content="disclosed", **scope):
        self.leaves = example_leaves() if leaves is None else leaves
        self.content = content
        self.scope = scope or "whole"
        self.lines = [content_line(1), content_line(2)] if leaves is None else []
        if content != "disclosed":
            for line in self.lines:
                del line["disclosures"]
        self.sizes = {}  # of the checkpoints of commits; with who signs, if not the old key
        self.signers, self.cosigners = [OLD], []
        self.pinned, self.outside = [VKEYS[0]], []
        self.on_leaf = self.on_members = lambda *_: None

    def link(self):
        self.texts, self.hashes, cases = [], [], {}
        for seq, leaf in enumerate(self.leaves):
            leaf.update(seq=seq, prev=self.hashes[-1].hex() if self.hashes else ZEROS)
            if "case" in leaf:
                leaf["case_seq"], leaf["case_prev"] = cases.get(leaf["case"], (0, ZEROS))
            self.on_leaf(seq, leaf)
            self.texts.append(canonical(leaf).encode())
            self.hashes.append(leaf_hash(self.texts[-1]))
            if "case" in leaf:
                cases[leaf["case"]] = leaf["case_seq"] + 1, self.hashes[-1].hex()

    def members(self):
        self.link()
        size = len(self.leaves)
        manifest = {
            "v": 1, "ledger": ORIGIN, "size": size, "scope": self.scope, "content": self.content,
            "exported": "2026-11-22T10:30:00.000000Z", "software": "whereas 0.1.0",
        }  # fmt: skip
        note = signed_note(size, tree_root(self.hashes), self.signers, self.cosigners)
        members = [("export.json", canonical(manifest).encode()), ("checkpoint", note.encode())]
        self.count = size
        if self.scope == "whole":
            for bundle in range(-(-size // 256)):
                members += self.bundle(bundle)
            level, count = 1, size // 256
            while count:
                if count % 256:
                    name = "tile/%d/%s.p/%d" % (level, tile_number(count // 256), count % 256)
                    roots = self.upper(level, count)[-(count % 256) :]
                    members.append((name, b"".join(roots)))
                level, count = level + 1, count // 256
            if self.content == "sealed":
                members += [("catalogues/0", b"{}\n"), ("cases/0", b'{"x":1}\n')]
        else:
            members += self.part()
        members.append(("end.json", b'{"entries":%d}' % self.count))
        self.on_members(members)
        return members

    def upper(self, level, count):
        width = 256**level
        return [tree_root(self.hashes[n * width : (n + 1) * width]) for n in range(count)]

    def bundle(self, n):
        first = 256 * n
        texts, hashes = self.texts[first : first + 256], self.hashes[first : first + 256]
        number = tile_number(n)
        name = number if len(texts) == 256 else "%s.p/%d" % (number, len(texts))
        entries = b"".join(len(text).to_bytes(2, "big") + text for text in texts)
        members = [("tile/entries/" + name, entries)]
        lines = [line for line in self.lines if first <= line["seq"] < first + 256]
        if self.content in ("digests", "disclosed"):
            for piece, line in enumerate(lines):
                members.append(("content/%s/%d" % (number, piece), json_lines([line])))
        if self.content == "sealed":
            sealed = [{"seq": line["seq"], "slot": "x", "sealed": "x"} for line in lines]
            members.append(("sealed/%s/0" % number, json_lines(sealed)))
        members.append(("tile/0/" + name, b"".join(hashes)))
        notes = [
            {"size": size, "note": signed_note(size, tree_root(self.hashes[:size]), signers)}
            for size, signers in sorted(self.sizes.items())
            if first < size <= first + 256
        ]
        if notes:
            members.append(("checkpoints/%s/0" % number, json_lines(notes)))
        return members

    def part(self):
        if "range" in self.scope:
            bounds = self.scope["range"]
            wanted = range(bounds["first"], min(bounds["last"] + 1, len(self.leaves)))
        else:
            case = self.scope["case"]["case"]
            wanted = [n for n, leaf in enumerate(self.leaves) if leaf.get("case") == case]
        lines = []
        for seq in wanted:
            path = [b64(step) for step in inclusion(seq, self.hashes)]
            line = {"leaf": self.texts[seq].decode(), "path": path}
            for more in self.lines if self.content != "none" else ():
                if more["seq"] == seq:
                    line.update({name: more[name] for name in more if name != "seq"})
            lines.append(line)
        self.count = len(lines)
        return [("entries/0", json_lines(lines))]

    def check(self, file=None):
        file = packed(self.members()) if file is None else file
        pinned = [VerifierKey.parse(key) for key in self.pinned]
        return verify_export(io.BytesIO(file), pinned, [text.encode() for text in self.outside])


def at(name, change):
    """A change of the content of one member."""

    def on_members(members):
        for index, (found, content) in enumerate(members):
            if found == name:
                members[index] = found, change(content)
                return
        raise AssertionError(name)

    return on_members


def swapped(old, new):
    def change(content):
        assert old in content, old
        return content.replace(old, new, 1)

    return change


def lines_of(change):
    """A change of the objects of a list."""

    def on_content(content):
        found = [json.loads(line) for line in content.splitlines()]
        change(found)
        return json_lines(found)

    return on_content


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


BY_MEMBERS = {  # what is done to the members, and the expected first code
    "another version": (at("export.json", swapped(b'"v":1', b'"v":2')), "export.form"),
    "a version that is true": (at("export.json", swapped(b'"v":1', b'"v":true')), "export.form"),
    "an unknown member": (at("export.json", swapped(b"{", b'{"x":1,')), "export.form"),
    "a name twice": (at("export.json", swapped(b"{", b'{"v":1,')), "export.form"),
    "another scope": (at("export.json", swapped(b'"whole"', b'"part"')), "export.form"),
    "another ledger": (at("export.json", swapped(b"demo", b"demp")), "export.manifest"),
    "another size": (at("export.json", swapped(b'"size":4', b'"size":5')), "export.manifest"),
    "another count": (at("end.json", swapped(b"4", b"5")), "export.manifest"),
    "no JSON": (at("end.json", lambda _: b"{"), "export.form"),
    "no checkpoint": (lambda members: members.pop(1), "export.form"),
    "text for a checkpoint": (at("checkpoint", lambda _: b"x"), "checkpoint.form"),
    "a checkpoint of another": (at("checkpoint", swapped(b"demo", b"demp")), "checkpoint.origin"),
    "no end": (lambda members: members.pop(), "export.truncated"),
    "no entries": (lambda members: members.pop(2), "export.form"),
    "another order": (lambda members: members.reverse(), "export.form"),
    "a member twice": (lambda members: members.insert(2, members[2]), "export.form"),
    "a member more": (lambda members: members.append(("x", b"")), "export.form"),
    "a later piece alone": (
        lambda members: members.__setitem__(3, ("content/000/1", members[3][1])),
        "export.form",
    ),
    "a leaf too few": (at("tile/entries/000.p/4", lambda c: c[: -2 - 500]), "export.form"),
    "bytes after the leaves": (at("tile/entries/000.p/4", lambda c: c + b"\x00\x00"), "export.form"),
    "a longer tile": (at("tile/0/000.p/4", lambda c: c + bytes(32)), "export.form"),
    "a shorter tile": (at("tile/0/000.p/4", lambda c: c[:-1]), "export.form"),
    "an empty list": (at("content/000/0", lambda _: b""), "export.form"),
    "a list without its end": (at("content/000/0", lambda c: c[:-1]), "export.form"),
    "an empty line": (at("content/000/0", lambda c: c + b"\n"), "export.form"),
    "content of another bundle": (
        at("content/000/1", lines_of(lambda lines: lines[0].update(seq=4))),
        "export.form",
    ),
    "content out of order": (
        at("content/000/1", lines_of(lambda lines: lines[0].update(seq=1))),
        "export.form",
    ),
    "another hash in the tile": (at("tile/0/000.p/4", flipped), "leaf.altered"),
    "another leaf": (
        at("tile/entries/000.p/4", swapped(b"request.received", b"request.receivee")),
        "leaf.altered",
    ),
    "a leaf that is none": (at("tile/entries/000.p/4", swapped(b'"v":1', b'"v":2')), "leaf.form"),
    "a leaf with a space": (
        at("tile/entries/000.p/4", swapped(b'{"case":"', b'{"cas" :"')),
        "leaf.form",
    ),
    "a digest too few": (
        at("content/000/0", lines_of(lambda lines: lines[0]["digests"].pop())),
        "content.commitment",
    ),
    "a digest that is none": (
        at("content/000/0", lines_of(lambda lines: lines[0]["digests"].append("x"))),
        "content.form",
    ),
    "no digests": (
        at("content/000/0", lines_of(lambda lines: lines[0].update(digests=[]))),
        "content.form",
    ),
    "a disclosure of another entry": (
        at(
            "content/000/0",
            lines_of(lambda lines: lines[0]["disclosures"].append(content_line(2)["disclosures"][0])),
        ),
        "content.form",
    ),
    "a disclosure twice": (
        at(
            "content/000/0",
            lines_of(lambda lines: lines[0]["disclosures"].append(lines[0]["disclosures"][0])),
        ),
        "content.form",
    ),
    "a digest in place of a disclosure": (
        at("content/000/0", lines_of(lambda lines: lines[0].update(disclosures=[NO_DIGEST]))),
        "content.form",
    ),
}

BY_LEAF = {  # changes of leaf n, before it is hashed
    "another position": (2, {"seq": 3}, "leaf.seq"),
    "another link": (2, {"prev": ZEROS}, "leaf.prev"),
    "a ledger that does not begin with zeros": (0, {"prev": "1" * 64}, "leaf.prev"),
    "time goes backwards": (2, {"recorded": "2026-11-22T10:15:44.999999Z"}, "leaf.recorded"),
    "a date that is none": (2, {"recorded": "2026-02-30T10:15:45.000000Z"}, "leaf.form"),
    "a fact in an event": (2, {"fact": {}}, "leaf.fact"),
    "a leaf of another ledger": (2, {"ledger": "x"}, "leaf.origin"),
    "an unknown member": (2, {"x": 1}, "leaf.unknown_member"),
    "one identity twice": (2, {"eid": "PVlnv6dCKO3VuIAX_avcA4CIA4pLMUcU1v_mjaDkX4U"},
                           "identity.doubled"),
    "a gap in the case": (2, {"case_seq": 2}, "case.gap"),
    "a position of the case twice": (2, {"case_seq": 0}, "case.doubled"),
    "another link of the case": (3, {"case_prev": ZEROS}, "case.prev"),
    "another first entry": (0, {"type": "trace.sealed"}, "genesis.absent"),
    "the creation again": (3, {"type": "ledger.created"}, "genesis.absent"),
    "a first entry of another spec": (0, {"fact": {"spec": 2}}, "genesis.form"),
    "an erasure of nothing": (3, {"type": "content.erased", "fact": {"ranges": [[2, 1]]}},
                              "erasure.form"),
    "an erasure of itself": (3, {"type": "content.erased", "fact": {"ranges": [[3, 3]]}},
                             "erasure.form"),
    "an erasure without a fact": (3, lambda leaf: (leaf.pop("fact"),
                                                   leaf.update(type="content.erased")),
                                  "erasure.form"),
    "a rotation of no purpose": (3, {"type": "key.rotated"}, "key.rotation"),
    "content where there is none": (1, lambda leaf: leaf.pop("content"), "content.extra"),
}  # fmt: skip


class Exports(unittest.TestCase):
    def expect(self, export, code, file=None, **verdicts):
        result = export.check(file)
        codes = [problem.code for problem in result.problems]
        self.assertEqual(codes[0] if codes else None, code, result.problems[:2])
        self.assertEqual(result.accepted, code is None)
        for name, value in verdicts.items():
            self.assertEqual(result.verdicts[name], value, name)
        return result

    def test_good(self):
        whole = {"integrity": "intact", "sequence": "complete", "keys": "good"}
        for content, verdict in (
            ("disclosed", "checked"), ("digests", "by_digests"), ("none", "not_checked"),
            ("sealed", "not_checked"),
        ):  # fmt: skip
            self.expect(Export(content=content), None, content=verdict, **whole)
        export = Export()
        export.sizes = {1: [OLD], 3: [OLD], 4: [OLD]}
        self.expect(export, None, content="checked", freshness="not_proven", **whole)
        part = {"integrity": "intact", "sequence": "part", "content": "checked", "keys": "good"}
        self.expect(Export(range={"first": 0, "last": 9}), None, **part)
        self.expect(Export(range={"first": 2, "last": 3}), None, **part)
        self.expect(Export(case={"case": CASE}), None, **part)
        self.expect(Export(content="none", case={"case": CASE}), None, content="not_checked")

    def test_several_bundles(self):
        for count in (255, 256, 257, 513):
            export = Export(many_leaves(count), "none")
            export.sizes = {200: [OLD], count: [OLD]}
            self.expect(export, None, sequence="complete")
        for name in ("tile/0/001", "tile/1/000.p/2"):
            export.on_members = at(name, flipped)
            self.expect(export, "leaf.altered" if "/0/" in name else "tile.differs")
        export.on_members = lambda members: members.pop(-2)
        self.expect(export, "export.form")
        export = Export(many_leaves(300), "none", range={"first": 255, "last": 258})
        self.expect(export, None, sequence="part")

    def test_members(self):
        for name, (change, code) in BY_MEMBERS.items():
            with self.subTest(name):
                export = Export()
                export.on_members = change
                self.expect(export, code)

    def test_leaves(self):
        for name, (which, change, code) in BY_LEAF.items():
            with self.subTest(name):
                export = Export()
                change_of = change if callable(change) else lambda leaf: leaf.update(change)
                export.on_leaf = lambda seq, leaf: seq == which and change_of(leaf)
                codes = [problem.code for problem in export.check().problems]
                self.assertIn(code, codes)

    def test_what_may_stand_in_which_export(self):
        export = Export(content="none")
        export.on_members = lambda members: members.insert(3, ("content/000/0", b"{}\n"))
        self.expect(export, "export.form")
        export = Export(content="digests")
        export.lines = [content_line(1)]
        self.expect(export, "export.form")
        self.expect(Export(content="sealed", case={"case": CASE}), "export.form")
        self.expect(Export(range={"first": 2, "last": 1}), "export.form")

    def test_the_tar_file(self):
        export = Export()
        file = packed(export.members())
        self.expect(export, None, file + bytes(512))
        self.expect(export, "export.form", file + b"x" * 512)
        self.expect(export, "export.form", b"x" * 2000)
        self.expect(export, None, file[:-512])
        for missing in (513, 1024, 1025, 1536, 5000):
            self.expect(export, "export.truncated", file[:-missing], integrity="broken")
        self.expect(export, "export.truncated", b"")
        self.expect(export, "export.truncated", bytes(1024))
        changes = {
            "a folder": lambda block: block.__setitem__(156, ord("5")),
            "a link": lambda block: block.__setitem__(156, ord("1")),
            "an extended header": lambda block: block.__setitem__(156, ord("x")),
            "a prefix": lambda block: block.__setitem__(345, ord("x")),
            "no ustar": lambda block: block.__setitem__(262, ord(" ")),
            "a size that is none": lambda block: block.__setitem__(130, ord("8")),
            "a size in binary": lambda block: block.__setitem__(124, 0x80),
            "too long": lambda block: block.__setitem__(slice(124, 135), b"00400000001"),
        }
        for name, change in changes.items():
            with self.subTest(name):
                block = bytearray(file[:512])
                change(block)
                self.expect(export, "export.form", with_checksum(block) + file[512:])
        self.expect(export, "export.form", b"f" + file[1:])  # the checksum

    def test_no_changed_byte_is_accepted(self):
        dice = random.Random(7)
        for scope in ({}, {"case": {"case": CASE}}):
            export = Export(**scope)
            export.sizes = {3: [OLD]}
            members = export.members()
            for _ in range(120):
                which = dice.randrange(1, len(members))
                name, content = members[which]
                place = dice.randrange(len(content))
                other = bytes([content[place] ^ 1 << dice.randrange(8)])
                changed = content[:place] + other + content[place + 1 :]
                file = packed(members[:which] + [(name, changed)] + members[which + 1 :])
                with self.subTest("%s, byte %d" % (name, place)):
                    self.assertFalse(export.check(file).accepted)

    def test_checkpoints(self):
        export = Export()
        export.signers = [NEW]
        self.expect(export, "checkpoint.key", integrity="broken")
        export = Export()
        export.pinned = [NEW[1]]
        self.expect(export, "key.pin", keys="broken", integrity="intact")
        export = Export()
        other = checkpoint(4, b"x" * 32).encode()
        export.on_members = at("checkpoint", lambda _: other)
        self.expect(export, "checkpoint.root")
        good = checkpoint(4, b"x" * 32).encode().splitlines()[-1]
        export.on_members = at("checkpoint", lambda c: c.replace(c.splitlines()[-1], good))
        self.expect(export, "checkpoint.signature")
        export = Export()
        export.sizes = {3: [OLD]}
        export.on_members = at("checkpoints/000/0", lines_of(lambda lines: lines[0].update(size=2)))
        self.expect(export, "checkpoint.size")
        export.on_members = at(
            "checkpoints/000/0", lines_of(lambda lines: lines[0].update(note="x"))
        )
        self.expect(export, "checkpoint.form")
        export.on_members = at(
            "checkpoints/000/0",
            lines_of(lambda lines: lines[0].update(note=checkpoint(3, b"x" * 32))),
        )
        self.expect(export, "checkpoint.root")

    def test_a_hash_of_the_tile_alone(self):
        export = Export()
        tile = "tile/0/000.p/4"
        export.on_members = at(tile, lambda c: b"x" * 32 + c[32:])
        self.expect(export, "tile.differs")  # the next entry links to the leaf

    def test_changed_keys(self):
        def rotated(bridge):
            rotation = {"purpose": "checkpoint", "old": OLD[1], "new": NEW[1]}
            export = Export(
                example_leaves()
                + [service_leaf(4, "key.rotated", rotation), service_leaf(5, "trace.sealed")],
                "none",
            )
            export.sizes, export.signers = {4: [OLD], 5: bridge, 6: [NEW]}, [NEW]
            return export

        for pinned in ([OLD[1]], [NEW[1]]):
            export = rotated([OLD, NEW])
            export.pinned = pinned
            self.expect(export, None, keys="good")
            self.expect(rotated([OLD]), "key.bridge", keys="broken")
        export = rotated([OLD, NEW])
        export.signers = [OLD]
        self.expect(export, "checkpoint.key")
        del export.sizes[5]
        export.signers = [NEW]
        self.expect(export, "key.bridge")

    def test_content_that_is_not_there(self):
        export = Export()
        export.lines.pop()
        self.expect(export, None, content="incomplete")
        export.leaves.append(service_leaf(4, "content.erased", {"ranges": [[2, 2]]}))
        self.expect(export, None, content="checked")
        export = Export()
        del export.lines[0]["disclosures"][0]
        self.expect(export, None, content="by_digests")
        del export.lines[0]["disclosures"]
        self.expect(export, None, content="by_digests")

    def test_freshness(self):
        export = Export()
        export.pinned.append(VKEYS[2])
        self.expect(export, None, freshness="not_proven")
        export.outside = [data("checkpoint.txt").decode()]
        self.expect(export, None, freshness="anchored")
        export.cosigners = [WITNESS]
        self.expect(export, None, freshness="witnessed")
        export.outside = [checkpoint(3, b"x" * 32)]
        self.expect(export, "outside.contradiction", freshness="contradicted")
        export.outside = [checkpoint(5, b"x" * 32)]
        self.expect(export, "outside.truncated", freshness="contradicted")
        export.outside = ["x"]
        self.expect(export, "outside.unusable", freshness="witnessed")
        export = Export(case={"case": CASE})
        export.outside = [data("checkpoint.txt").decode()]
        self.expect(export, "outside.unusable")
        export.outside = [data("checkpoint-4.txt").decode()]
        self.expect(export, None, freshness="anchored")

    def test_parts(self):
        def changed(change, **scope):
            export = Export(**(scope or {"range": {"first": 1, "last": 3}}))

            def on_members(members):
                at("entries/0", lines_of(change))(members)
                count = len(members[2][1].splitlines())
                members[-1] = "end.json", b'{"entries":%d}' % count

            export.on_members = on_members
            return export

        case = {"case": {"case": CASE}}
        self.expect(changed(lambda lines: lines[1]["path"].pop()), "leaf.inclusion")
        self.expect(changed(lambda lines: lines[1].update(path=["x"])), "leaf.inclusion")
        self.expect(changed(lambda lines: lines[1].update(path=[1])), "export.form")
        self.expect(changed(lambda lines: lines[1].pop("digests")), "export.form")
        self.expect(changed(lambda lines: lines.pop(1)), "entry.absent")
        self.expect(changed(lambda lines: lines.pop()), "entry.absent")
        self.expect(changed(lambda lines: lines.reverse()), "leaf.seq")
        self.expect(changed(lambda lines: lines.pop(0), **case), "case.gap", sequence="broken")
        self.expect(changed(lambda lines: lines.pop(1), **case), "case.gap")
        export = Export(range={"first": 1, "last": 3})
        export.on_members = at("export.json", swapped(b'"last":3', b'"last":2'))
        self.expect(export, "part.scope")
        export = Export(case={"case": CASE})
        export.on_members = at("export.json", swapped(CASE.encode(), b"0" * 32))
        self.expect(export, "part.scope")
        export = Export(range={"first": 2, "last": 3})
        export.on_leaf = lambda seq, leaf: seq == 3 and leaf.update(prev=ZEROS)
        self.expect(export, "leaf.prev")
        export = Export(range={"first": 2, "last": 3})
        export.signers = [NEW]
        self.expect(export, "checkpoint.key")

    def test_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.tar")
            with open(path, "wb") as file:
                file.write(packed(Export().members()))
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = whereas_verify.main(["export", path, "--key", VKEYS[0], "--json"])
            self.assertEqual((code, json.loads(out.getvalue())["accepted"]), (0, True))
            with contextlib.redirect_stdout(io.StringIO()) as out:
                whereas_verify.main(["export", path, "--key", VKEYS[0]])
            self.assertIn("VERIFIED", out.getvalue())
            job = json.dumps({"kind": "export", "file": path, "keys": [VKEYS[0]]})
            out = io.StringIO()
            whereas_verify.batch(io.StringIO(job + "\n"), out)
            self.assertTrue(json.loads(out.getvalue())["accepted"])
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(whereas_verify.main(["export", path + "x", "--key", VKEYS[0]]), 2)
                self.assertEqual(whereas_verify.main(["export", path, "--key", VKEYS[2]]), 2)


class Parts(unittest.TestCase):
    def test_fast_leaves_are_what_the_strict_reader_finds(self):
        read = leaf_reader(ORIGIN)
        fast = 0
        chain = {"prev": ZEROS, "case_seq": 0, "case_prev": ZEROS}
        for leaf in [{**leaf, **chain} for leaf in many_leaves(4)[1:]] + example_leaves():
            for change in (
                {}, {"seq": 2**53}, {"seq": 10**14}, {"seq": -1}, {"type": "é"}, {"type": "a\x7f"},
                {"type": "a\\b"}, {"occurred": "2026-02-29T00:00:00.000000Z"}, {"content": "x"},
                {"occurred": "2026-11-22T24:00:00.000000Z"}, {"span": "0" * 16},
                {"span": "0" * 16, "trace": "0" * 32}, {"trace": "0" * 32}, {"eid": "A" * 42 + "B"},
                {"ledger": "x"}, {"case": "0" * 32}, {"v": 2}, {"prev": "A" * 64}, {"type": ""},
            ):  # fmt: skip
                text = canonical({**leaf, **change}).encode()
                for data_ in (text, text + b" ", text.replace(b":", b": ", 1), text[:-1]):
                    try:
                        expected = read_leaf(data_, ORIGIN, "")
                    except Refused as refused:
                        with self.assertRaises(Refused) as raised:
                            read(data_, "")
                        self.assertEqual(raised.exception.parts, refused.parts)
                        continue
                    found = read(data_, "")
                    fast += isinstance(found, FastLeaf)
                    for name in ("hash", *FastLeaf.__slots__):
                        self.assertEqual(getattr(found, name), getattr(expected, name), name)
        self.assertGreater(fast, 20)

    def test_the_tree_grows(self):
        tree, hashes = Tree(), []
        for n in range(70):
            hashes.append(leaf_hash(b"%d" % n))
            tree.add(hashes[-1])
            self.assertEqual(tree.root(), tree_root(hashes))

    def test_identities_beyond_memory(self):
        identities = Identities()
        for n in [*range(300), 17]:
            identities.add(eid(n), n)
            if n % 100 == 0:
                identities.flush()
        self.assertEqual(list(identities.doubled()), [17])

    def test_cases(self):
        def found(*entries, from_start=True):
            cases = Cases(from_start)
            for seq, (case_seq, prev, own) in enumerate(entries):
                cases.add("c", case_seq, prev, seq, own)
            return sorted(code for code, _ in cases.problems())

        self.assertEqual(found((0, ZEROS, "a"), (1, "a", "b")), [])
        self.assertEqual(found((0, ZEROS, "a"), (2, "b", "c"), (1, "a", "b")), ["case.prev"])
        self.assertEqual(found((0, ZEROS, "a"), (2, "b", "c")), ["case.gap"])
        self.assertEqual(found((0, ZEROS, "a"), (0, ZEROS, "b")), ["case.doubled"])
        self.assertEqual(found((0, "x", "a")), ["case.prev"])
        self.assertEqual(found((3, "x", "a"), (4, "a", "b"), from_start=False), [])
        self.assertEqual(found((3, "x", "a")), ["case.gap"])

    def test_names_of_tiles(self):
        for number, name in ((0, "000"), (255, "255"), (1000, "x001/000"), (1234067, "x001/x234/067")):
            self.assertEqual(tile_number(number), name)


if __name__ == "__main__":
    unittest.main()
