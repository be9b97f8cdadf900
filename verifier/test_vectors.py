"""Runs the verifier over every vector of tests/formats.

    python3 -m unittest discover -s verifier
"""

import base64
import contextlib
import copy
import hashlib
import hmac
import io
import json
import os
import struct
import tempfile
import unittest

import whereas_verify
from forge import INPUTS, ORIGIN, VKEYS, checkpoint, data, load, path_of, sign
from whereas_verifier import basics, strict_json
from whereas_verifier.disclosures import Disclosure, commitment
from whereas_verifier.keys import ED25519, VerifierKey
from whereas_verifier.leaf import read_leaf
from whereas_verifier.notes import Checkpoint
from whereas_verifier.receipts import Receipt, compare_event, event_members, verify_receipt
from whereas_verifier.report import verify_report
from whereas_verifier.tree import leaf_hash, node_hash, tree_root
from whereas_verifier.tree import verify_consistency, verify_inclusion
from whereas_verifier.trust import Trusted, open_checkpoint

EVENT_LIMITS = strict_json.LEAF_LIMITS


def edited(good, edits):
    """`good` with the first occurrence of each old text replaced; the old text must be there."""
    for old, new in edits:
        assert old in good, old
        good = good.replace(old, new, 1)
    return good


def bad_text(vector, good):
    """The bytes of a bad text: whole, in hex, or as edits of a good one."""
    if "text" in vector:
        return vector["text"].encode()
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return edited(good, vector["edit"]).encode()


def at_pointer(value, pointer):
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


def patched(document, operations):
    """RFC 6902, as far as the vectors use it."""
    document = copy.deepcopy(document)
    for operation in operations:
        above, _, name = operation["path"].rpartition("/")
        target = at_pointer(document, above)
        if isinstance(target, list):
            name = len(target) if name == "-" else int(name)
        if operation["op"] == "remove":
            del target[name]
        elif operation["op"] == "add" and isinstance(target, list):
            target.insert(name, operation["value"])
        else:
            assert operation["op"] in ("add", "replace"), operation
            target[name] = operation["value"]
    return document


CHECKPOINT_KEY, REPORT_KEY, WITNESS_KEY = (VerifierKey.parse(text) for text in VKEYS)
LEAVES = data("leaves.txt").decode().split("\n")[:4]
DISCLOSURES = load("disclosures.json")


def checkpoint_of(size, root):
    return checkpoint(size, root).encode()


class Vectors(unittest.TestCase):
    def each(self, name):
        vectors = load(name)
        self.assertTrue(vectors)
        for index, vector in enumerate(vectors):
            with self.subTest("%s/%d: %s" % (name, index, vector.get("why", ""))):
                yield vector

    def first_code(self, result):
        self.assertFalse(result.accepted)
        return result.problems[0].code


class Json(Vectors):
    def test_canonical(self):
        for vector in self.each("canonical.json"):
            value = strict_json.read_json(vector["text"].encode(), EVENT_LIMITS)
            self.assertEqual(strict_json.canonical(value), vector["canonical"])

    def test_bad(self):
        for vector in self.each("bad/json.json"):
            with self.assertRaises(strict_json.JsonError) as refused:
                strict_json.read_json(bad_text(vector, None), EVENT_LIMITS)
            self.assertEqual(refused.exception.kind, vector["kind"])

    def test_numbers_of_rfc_8785(self):
        """Appendix B of RFC 8785: the bits of a double and how ECMAScript writes it."""
        for bits, text in (
            ("0000000000000001", "5e-324"),
            ("7fefffffffffffff", "1.7976931348623157e+308"),
            ("4340000000000001", "9007199254740994"),
            ("4430000000000000", "295147905179352830000"),
            ("44b52d02c7e14af5", "9.999999999999997e+22"),
            ("44b52d02c7e14af6", "1e+23"),
            ("444b1ae4d6e2ef4e", "999999999999999700000"),
            ("444b1ae4d6e2ef50", "1e+21"),
            ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
            ("3eb0c6f7a0b5ed8d", "0.000001"),
            ("41b3de4355555553", "333333333.3333332"),
            ("becbf647612f3696", "-0.0000033333333333333333"),
            ("43143ff3c1cb0959", "1424953923781206.2"),
        ):
            number = struct.unpack(">d", bytes.fromhex(bits))[0]
            self.assertEqual(strict_json.number_text(number), text)

    def test_limits_are_where_the_table_says(self):
        read = strict_json.read_json
        for limits in (strict_json.LEAF_LIMITS, strict_json.DISCLOSURE_LIMITS):
            levels = limits.levels
            read(b"[" * levels + b"]" * levels, limits)
            read(b"[%s]" % b",".join([b"0"] * limits.elements), limits)
            names = [b'"%d":0' % n for n in range(limits.members)]
            read(b"{%s}" % b",".join(names), limits)
            for text in (
                b"[" * (levels + 1) + b"]" * (levels + 1),
                b"[%s]" % b",".join([b"0"] * (limits.elements + 1)),
                b"{%s}" % b",".join(names + [b'"x":0']),
            ):
                with self.assertRaises(strict_json.JsonError) as refused:
                    read(text, limits)
                self.assertEqual(refused.exception.kind, "too_large")

    def test_exponents_of_any_length(self):
        read = strict_json.read_json
        long = b"9" * 5000
        self.assertEqual(read(b"0e" + long, EVENT_LIMITS), 0)
        self.assertEqual(read(b"1e-" + b"0" * 5000, EVENT_LIMITS), 1)
        for text in (b"1e" + long, b"1e-" + long, long):
            with self.assertRaises(strict_json.JsonError) as refused:
                read(text, EVENT_LIMITS)
            self.assertEqual(refused.exception.kind, "inexact")


class Times(unittest.TestCase):
    def test_producer_times(self):
        same = basics.producer_time("2026-11-22T10:15:42.123456Z")
        for text in (
            "2026-11-22T11:15:42.1234567+01:00",
            "2026-11-22t10:15:42.1234569z",
            "2026-11-21T09:15:42.123456-25:00",
        ):
            self.assertEqual(basics.producer_time(text), same, text)
        for text in (
            "2026-11-22 10:15:42Z",
            "2026-11-22T10:15:42.Z",
            "2026-11-22T10:15:60Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:15:42",
            "2026-11-22T10:15:42+26:00",
            "2026-11-22T10:15:42+01:60",
            "2026-11-31T10:15:42Z",
            "2025-02-29T10:15:42Z",
        ):
            self.assertIsNone(basics.producer_time(text), text)

    def test_the_ledgers_times(self):
        for text in ("0001-01-01T00:00:00.000000Z", "9999-12-30T22:00:00.000000Z"):
            self.assertTrue(basics.is_time(text), text)
        for text in ("0000-12-31T23:59:59.999999Z", "9999-12-30T22:00:00.000001Z"):
            self.assertFalse(basics.is_time(text), text)


class Identity(unittest.TestCase):
    """The HMACs of identity.json. A verifier without the id key needs none of them."""

    def setUp(self):
        self.key = bytes.fromhex(INPUTS["id_key"])
        self.vectors = load("identity.json")

    def mac(self, key, message):
        return hmac.new(key, message, hashlib.sha256).digest()

    def test_entries(self):
        for entry in self.vectors["entries"]:
            source = entry["source"].encode()
            message = struct.pack(">I", len(source)) + source + entry["id"].encode()
            self.assertEqual(message.hex(), entry["message"])
            self.assertEqual(basics.base64url(self.mac(self.key, message)), entry["eid"])
            leaf = read_leaf(LEAVES[entry["entry"]].encode(), ORIGIN, "leaf")
            self.assertEqual(leaf.eid, entry["eid"])

    def test_images(self):
        check = basics.base64url(self.mac(self.key, b"whereas/v1/id-key"))
        self.assertEqual(check, self.vectors["id_key_check"])
        trace_key = self.mac(self.key, b"whereas/v1/trace")
        blind_key = self.mac(self.key, b"whereas/v1/blind")
        for key, name, length, image in (
            (trace_key, "trace", 16, "image"),
            (trace_key, "span", 8, "image"),
            (blind_key, "case", 16, "blind"),
        ):
            vector = self.vectors[name]
            message = name.encode() + b"\0" + vector["original"].encode()
            self.assertEqual(self.mac(key, message)[:length].hex(), vector[image])


class Keys(Vectors):
    def test_good(self):
        self.assertEqual(CHECKPOINT_KEY.name, ORIGIN)
        self.assertEqual(REPORT_KEY.name, ORIGIN + "/reports")
        self.assertEqual(WITNESS_KEY.type, 4)

    def test_bad(self):
        for vector in self.each("bad/vkeys.json"):
            with self.assertRaises(ValueError):
                VerifierKey.parse(bad_text(vector, VKEYS[0]).decode())

    def test_a_second_encoding_of_a_point_is_no_key(self):
        for y in range(19):
            blob = b"\x01" + (2**255 - 19 + y).to_bytes(32, "little")
            key_id = hashlib.sha256(b"x\n" + blob).hexdigest()[:8]
            with self.assertRaisesRegex(ValueError, "second encoding"):
                VerifierKey.parse("x+%s+%s" % (key_id, base64.b64encode(blob).decode()))

    def test_a_changed_signature_does_not_verify(self):
        signature = sign(INPUTS["seeds"]["report"], b"text")
        self.assertTrue(ED25519.verify(REPORT_KEY.key, b"text", signature))
        self.assertFalse(ED25519.verify(REPORT_KEY.key, b"text.", signature))
        self.assertFalse(ED25519.verify(CHECKPOINT_KEY.key, b"text", signature))
        group_order = 2**252 + 27742317777372353535851937790883648493
        larger = int.from_bytes(signature[32:], "little") + group_order
        malleated = signature[:32] + larger.to_bytes(32, "little")
        self.assertFalse(ED25519.verify(REPORT_KEY.key, b"text", malleated))


class Tree(unittest.TestCase):
    def setUp(self):
        self.vectors = load("tree.json")
        self.hashes = [bytes.fromhex(text) for text in self.vectors["leaf_hashes"]]
        self.roots = {int(n): bytes.fromhex(r["hex"]) for n, r in self.vectors["roots"].items()}

    def test_hashes_and_roots(self):
        self.assertEqual([leaf_hash(leaf.encode()) for leaf in LEAVES], self.hashes)
        for size, root in self.roots.items():
            self.assertEqual(tree_root(self.hashes[:size]), root)
            text = self.vectors["roots"][str(size)]["base64"]
            self.assertEqual(basics.base64_bytes(text), root)
        for node in self.vectors["stored_nodes"]:
            width = 1 << node["level"]
            first = node["index"] * width
            found = tree_root(self.hashes[first : first + width])
            self.assertEqual(found.hex(), node["hash"])

    def test_inclusion(self):
        for proof in self.vectors["inclusion"]:
            path = [bytes.fromhex(text) for text in proof["path"]]
            index, size = proof["index"], proof["size"]
            root = self.roots[size]
            self.assertTrue(verify_inclusion(self.hashes[index], index, size, path, root))
            for other in range(5):
                if other != index:
                    self.assertFalse(verify_inclusion(self.hashes[index], other, size, path, root))
            self.assertFalse(verify_inclusion(self.hashes[index], index, size, path + [root], root))

    def test_consistency(self):
        for proof in self.vectors["consistency"]:
            path = [bytes.fromhex(text) for text in proof["path"]]
            first, second = proof["first"], proof["second"]
            roots = self.roots[first], self.roots[second]
            self.assertTrue(verify_consistency(first, second, path, *roots))
            self.assertFalse(verify_consistency(first, second, path[:-1], *roots))
            self.assertFalse(verify_consistency(first, second, path, roots[0], node_hash(*roots)))
            self.assertFalse(verify_consistency(second, first, path, *reversed(roots)))

    def test_larger_trees(self):
        """All proofs of all trees up to 20 leaves, made as RFC 6962 defines them."""
        hashes = [leaf_hash(b"%d" % n) for n in range(20)]

        def split(n):
            return 1 << (n - 1).bit_length() - 1

        def inclusion(index, part):
            if len(part) == 1:
                return []
            k = split(len(part))
            if index < k:
                return inclusion(index, part[:k]) + [tree_root(part[k:])]
            return inclusion(index - k, part[k:]) + [tree_root(part[:k])]

        def consistency(first, part, whole):
            if first == len(part):
                return [] if whole else [tree_root(part)]
            k = split(len(part))
            if first <= k:
                return consistency(first, part[:k], whole) + [tree_root(part[k:])]
            return consistency(first - k, part[k:], False) + [tree_root(part[:k])]

        for size in range(1, 21):
            part = hashes[:size]
            root = tree_root(part)
            for index in range(size):
                path = inclusion(index, part)
                self.assertTrue(verify_inclusion(hashes[index], index, size, path, root))
                older = tree_root(hashes[: index + 1])
                path = consistency(index + 1, part, True)
                self.assertTrue(verify_consistency(index + 1, size, path, older, root))


class Leaves(Vectors):
    def test_good(self):
        for seq, text in enumerate(LEAVES):
            leaf = read_leaf(text.encode(), ORIGIN, "leaf")
            self.assertEqual(leaf.seq, seq)

    def test_bad(self):
        for vector in self.each("bad/leaves.json"):
            good = LEAVES[vector["leaf"]] if "leaf" in vector else None
            leaf = bad_text(vector, good)
            receipt = "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n\n" % (
                base64.b64encode(leaf).decode(),
                0,
            )
            checkpoint = checkpoint_of(1, leaf_hash(leaf))
            result = verify_receipt(receipt.encode() + checkpoint, [CHECKPOINT_KEY])
            self.assertEqual(self.first_code(result), vector["code"])


class Notes(Vectors):
    def test_good(self):
        for name, size in (
            ("checkpoint-1.txt", 1),
            ("checkpoint.txt", 3),
            ("checkpoint-4.txt", 4),
            ("checkpoint-4-cosigned.txt", 4),
        ):
            opened = open_checkpoint(data(name), Trusted(ORIGIN, [CHECKPOINT_KEY, WITNESS_KEY]))
            root = bytes.fromhex(load("tree.json")["roots"][str(size)]["hex"])
            self.assertEqual((opened.checkpoint.size, opened.checkpoint.root), (size, root))
            times = list(opened.witnesses.values())
            cosigned = name == "checkpoint-4-cosigned.txt"
            self.assertEqual(times, [INPUTS["witness_time"]] if cosigned else [])

    def test_bad(self):
        receipt = data("receipt-1.tlog-proof").decode()
        good = data("checkpoint.txt").decode()
        self.assertTrue(receipt.endswith("\n\n" + good))
        for vector in self.each("bad/checkpoints.json"):
            bad = receipt[: -len(good)].encode() + bad_text(vector, good)
            result = verify_receipt(bad, [CHECKPOINT_KEY])
            self.assertEqual(self.first_code(result), vector["code"])

    def test_a_witness_does_not_stand_in_for_the_ledger(self):
        result = verify_receipt(data("receipt-1.tlog-proof"), [WITNESS_KEY])
        self.assertEqual(self.first_code(result), "ledger.foreign")

    def test_a_wrong_cosignature_of_a_pinned_witness_refuses(self):
        good = data("checkpoint-4-cosigned.txt").decode()
        other = edited(good, [["HlyhJQAAAABrAsHf", "HlyhJQAAAABrAsHe"]]).encode()
        Checkpoint.parse(other)
        open_checkpoint(other, Trusted(ORIGIN, [CHECKPOINT_KEY]))  # nobody looks at it
        with self.assertRaises(Exception) as refused:
            open_checkpoint(other, Trusted(ORIGIN, [CHECKPOINT_KEY, WITNESS_KEY]))
        self.assertEqual(refused.exception.problem.code, "checkpoint.signature")


class Receipts(Vectors):
    def test_good(self):
        for seq, size in enumerate((1, 3, 3, 4)):
            receipt = data("receipt-%d.tlog-proof" % seq)
            self.assertEqual(Receipt.parse(receipt).leaf.decode(), LEAVES[seq])
            result = verify_receipt(receipt, [CHECKPOINT_KEY])
            self.assertTrue(result.accepted, result.problems)
            expected = {
                "integrity": "intact",
                "freshness": "not_proven",
                "event": "not_checked",
            }
            self.assertEqual(result.verdicts, expected)

    def test_witnessed(self):
        head, _, _ = data("receipt-3.tlog-proof").partition(b"\n\n")
        receipt = head + b"\n\n" + data("checkpoint-4-cosigned.txt")
        result = verify_receipt(receipt, [WITNESS_KEY, CHECKPOINT_KEY])
        self.assertEqual(result.verdicts["freshness"], "witnessed")

    def test_bad(self):
        good = data("receipt-1.tlog-proof").decode()
        for vector in self.each("bad/receipts.json"):
            result = verify_receipt(bad_text(vector, good), [CHECKPOINT_KEY])
            self.assertEqual(self.first_code(result), vector["code"])

    def test_text_that_is_none(self):
        receipt = data("receipt-1.tlog-proof")
        result = verify_receipt(receipt + b"\xff", [CHECKPOINT_KEY])
        self.assertEqual(self.first_code(result), "receipt.form")
        result = verify_receipt(receipt, [CHECKPOINT_KEY], b"\xff")
        self.assertEqual(self.first_code(result), "event.form")
        self.assertEqual(result.verdicts["integrity"], "intact")


class DisclosuresAndEvents(Vectors):
    def test_disclosures(self):
        for vector in DISCLOSURES:
            leaf = read_leaf(LEAVES[vector["entry"]].encode(), ORIGIN, "leaf")
            members = []
            for item in vector["disclosures"]:
                disclosure = Disclosure.parse(item["disclosure"])
                encoded = basics.base64url(item["text"].encode())
                self.assertEqual(encoded, item["disclosure"])
                self.assertEqual(disclosure.digest, item["digest"])
                self.assertEqual(disclosure.pointer, item.get("pointer"))
                self.assertIsNone(disclosure.pointer_problem())
                self.assertIsNone(disclosure.placeholders()[1])
                if disclosure.is_member:
                    members.append(disclosure.digest)
            self.assertEqual(sorted(members), vector["sorted_top_digests"])
            self.assertEqual(commitment(members), vector["content"])
            self.assertEqual(leaf.content, vector["content"])
            event = load("event-%d.json" % vector["entry"])
            pointers = {item["pointer"] for item in vector["disclosures"]} - {None}
            self.assertEqual(set(event_members(event, leaf)), pointers)

    def texts(self, entry):
        return [item["disclosure"] for item in DISCLOSURES[entry - 1]["disclosures"]]

    def compare(self, event, entry=2, texts=None):
        receipt = data("receipt-%d.tlog-proof" % entry)
        texts = self.texts(entry) if texts is None else texts
        return verify_receipt(receipt, [CHECKPOINT_KEY], event, texts)

    def test_good_events(self):
        for entry in (1, 2):
            result = self.compare(data("event-%d.json" % entry), entry)
            self.assertEqual(result.problems, [])
            self.assertEqual(result.verdicts["event"], "whole")

    def test_bad_events(self):
        good = data("event-2.json").decode()
        for vector in self.each("bad/events.json"):
            result = self.compare(bad_text(vector, good))
            found = [[problem.code, problem.place] for problem in result.problems]
            self.assertEqual(found, vector["problems"])
            self.assertEqual(result.verdicts["integrity"], "intact")
            self.assertEqual(result.verdicts["event"], "differs")

    def test_disclosures_that_are_not_the_entrys(self):
        event = data("event-2.json")
        whole = self.texts(2)
        for texts in (whole[1:], whole + whole[:1], whole + self.texts(1)[:1], []):
            self.assertEqual(self.first_code(self.compare(event, 2, texts)), "event.disclosures")

    def test_a_flat_event(self):
        """A flat audit event is compared in its native form."""
        flat = (
            b'{"audit_event_id":"a-1","timestamp":"2026-01-01T00:00:00Z","user_id":"u",'
            b'"case_id":"C","prompt":"p","source":"s"}'
        )
        pairs = [("/id", "a-1"), ("/actor/id", "u"), ("/case_id", "C")]
        pairs += [("/data/prompt", "p"), ("/source", "s")]
        texts = [
            basics.base64url(strict_json.canonical(["A" * 22, pointer, value]).encode())
            for pointer, value in pairs
        ]
        content = commitment([Disclosure.parse(text).digest for text in texts])
        members = json.loads(LEAVES[1])
        for name in ("trace", "span"):
            del members[name]
        members.update(content=content, type="ai.audit", occurred="2026-01-01T00:00:00.000000Z")
        leaf = read_leaf(strict_json.canonical(members).encode(), ORIGIN, "leaf")
        self.assertEqual(compare_event(flat, texts, leaf), [])
        without = flat.replace(b',"source":"s"', b"")
        self.assertEqual([p.code for p in compare_event(without, texts, leaf)], ["event.added"])
        self.assertEqual(compare_event(without, texts, leaf, "s"), [])

    def test_bad_disclosures(self):
        report = load("report.json")
        for vector in self.each("bad/disclosures.json"):
            good = at_pointer(DISCLOSURES, vector["of"]) if "of" in vector else None
            bad = bad_text(vector, good)
            text = basics.base64url(bad) if vector.get("encode") else bad.decode()
            file = copy.deepcopy(report)
            file["disclosures"].append(text)
            result = verify_report(json.dumps(file).encode(), [CHECKPOINT_KEY])
            self.assertEqual(self.first_code(result), vector["code"])


class Reports(Vectors):
    STATED = {
        "elements": {"value": "bad", "basis": "stated"},
        "controls": {"value": "undetermined", "basis": "stated"},
    }

    def test_good(self):
        anchor = data("checkpoint.txt")
        for pinned, outside, freshness in (
            ([CHECKPOINT_KEY], [], "not_proven"),
            ([CHECKPOINT_KEY], [anchor], "anchored"),
            ([CHECKPOINT_KEY, WITNESS_KEY], [anchor], "witnessed"),
            ([CHECKPOINT_KEY, WITNESS_KEY], [], "witnessed"),
            # Of a size that the evidence says nothing about.
            ([CHECKPOINT_KEY], [data("checkpoint-1.txt")], "not_proven"),
        ):
            result = verify_report(data("report.json"), pinned, outside)
            self.assertEqual(result.problems, [])
            expected = {
                "integrity": "intact",
                "sequence": "complete",
                "freshness": freshness,
                **self.STATED,
            }
            self.assertEqual(result.verdicts, expected)
            self.assertIn("Content: 23 disclosures shown, 2 withheld, 0 erased.", result.remarks)

    def test_payload_and_signature(self):
        payload = data("report-payload.json")
        expected = load("report-signature.json")
        envelope = load("report.json")["envelope"]
        self.assertEqual(base64.b64decode(envelope["payload"]), payload)
        self.assertEqual(hashlib.sha256(payload).hexdigest(), expected["payload_sha256"])
        kind = envelope["payloadType"].encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        self.assertEqual(len(pae), expected["pae_length"])
        self.assertEqual(hashlib.sha256(pae).hexdigest(), expected["pae_sha256"])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        self.assertEqual(signature.hex(), expected["signature"])
        self.assertEqual(envelope["signatures"][0]["keyid"], expected["keyid"])
        self.assertTrue(REPORT_KEY.verify(pae, signature))

    def test_bad(self):
        report = load("report.json")
        for vector in self.each("bad/reports.json"):
            file = patched(report, vector["patch"])
            result = verify_report(json.dumps(file).encode(), [CHECKPOINT_KEY])
            self.assertEqual(self.first_code(result), vector["code"])

    def test_every_single_changed_character_of_the_file_is_noticed(self):
        """At every 37th place of the file, another character."""
        good = data("report.json").decode()
        start = good.index('"evidence"')
        noted = end = good.index("witness.example/w1") - 4
        for place in list(range(0, noted, 37)) + list(range(end + 220, len(good), 37)):
            with self.subTest(place=place, region="evidence" if place > start else "content"):
                other = "B" if good[place] != "B" else "C"
                bad = good[:place] + other + good[place + 1 :]
                self.assertFalse(verify_report(bad.encode(), [CHECKPOINT_KEY]).accepted)

    def test_checkpoints_from_outside(self):
        report = data("report.json")
        cases = (
            (data("checkpoint-4.txt"), None, "anchored"),
            (b"nothing", "outside.unusable", "not_proven"),
            (checkpoint_of(3, b"x" * 32), "outside.contradiction", "contradicted"),
            (checkpoint_of(4, b"x" * 32), "outside.contradiction", "contradicted"),
            (checkpoint_of(5, b"x" * 32), None, "not_proven"),
        )
        for outside, code, freshness in cases:
            result = verify_report(report, [CHECKPOINT_KEY], [outside])
            self.assertEqual([p.code for p in result.problems], [code] if code else [])
            self.assertEqual(result.verdicts["freshness"], freshness)
            intact = code != "outside.contradiction"
            self.assertEqual(result.verdicts["integrity"], "intact" if intact else "broken")


class CommandLine(unittest.TestCase):
    def run_with(self, *arguments):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                code = whereas_verify.main(list(arguments))
            except SystemExit as end:
                code = end.code
        return code, output.getvalue(), errors.getvalue()

    def test_exit_codes(self):
        report, receipt = path_of("report.json"), path_of("receipt-2.tlog-proof")
        self.assertEqual(self.run_with("report", report, "--key", VKEYS[0])[0], 0)
        self.assertEqual(self.run_with("report", receipt, "--key", VKEYS[0])[0], 1)
        self.assertEqual(self.run_with("report", report, "--key", VKEYS[2])[0], 1)
        self.assertEqual(self.run_with("report", report + "x", "--key", VKEYS[0])[0], 2)
        self.assertEqual(self.run_with("report", report, "--key", "x")[0], 2)
        self.assertEqual(self.run_with("report", report)[0], 2)
        self.assertEqual(self.run_with("report", report, "--key", path_of("vkeys"))[0], 0)

    def test_json_of_a_receipt_with_its_event(self):
        texts = [item["disclosure"] for item in DISCLOSURES[1]["disclosures"]]
        with tempfile.TemporaryDirectory() as folder:
            list_file = os.path.join(folder, "disclosures.json")
            with open(list_file, "w") as file:
                json.dump(texts, file)
            code, output, _ = self.run_with(
                "receipt", path_of("receipt-2.tlog-proof"), "--key", VKEYS[0],
                "--event", path_of("event-2.json"), "--disclosures", list_file, "--json",
            )  # fmt: skip
        self.assertEqual(code, 0)
        verdicts = {"integrity": "intact", "freshness": "not_proven", "event": "whole"}
        expected = {"accepted": True, "problems": [], "verdicts": verdicts}
        self.assertEqual(json.loads(output), expected)

    def test_words(self):
        _, output, _ = self.run_with("report", path_of("report.json"), "--key", VKEYS[0])
        self.assertIn("VERIFIED", output)
        self.assertIn("elements: bad (as the report states it)", output)

    def run_with_path(self, path):
        known, folder = ED25519.known, ED25519.folder
        old_path = os.environ["PATH"]
        try:
            ED25519.known, ED25519.folder, os.environ["PATH"] = {}, None, path
            return self.run_with("report", path_of("report.json"), "--key", VKEYS[0])
        finally:
            ED25519.known, ED25519.folder, os.environ["PATH"] = known, folder, old_path

    def test_without_openssl(self):
        code, _, errors = self.run_with_path("")
        self.assertEqual(code, 2)
        self.assertIn("not installed", errors)

    @unittest.skipIf(os.name == "nt", "a script stands in for openssl")
    def test_with_an_openssl_that_cannot(self):
        for answer in ("exit 1", "exit 0"):  # knows no -rawin; says yes to everything
            with tempfile.TemporaryDirectory() as folder:
                script = os.path.join(folder, "openssl")
                with open(script, "w") as file:
                    file.write("#!/bin/sh\n%s\n" % answer)
                os.chmod(script, 0o700)
                code, _, errors = self.run_with_path(folder)
            self.assertEqual(code, 2)
            self.assertIn("Install OpenSSL 3.0 or later", errors)


if __name__ == "__main__":
    unittest.main()
