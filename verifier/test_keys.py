"""Keys that replace each other, keys that were stolen, and policies.

    python3 -m unittest discover -s verifier
"""

import contextlib
import io
import json
import os
import tempfile
import unittest

import whereas_verify
from forge import INPUTS, ORIGIN, VKEYS, Forgery, b64, consistency, inclusion, signed_note, vkey
from whereas_verifier.basics import producer_time
from whereas_verifier.keys import ToolError, VerifierKey
from whereas_verifier.policy import Policy, vouched_at
from whereas_verifier.receipts import verify_receipt
from whereas_verifier.report import verify_report
from whereas_verifier.strict_json import canonical
from whereas_verifier.tree import tree_root
from whereas_verifier.trust import Brought

OLD = INPUTS["seeds"]["checkpoint"], VKEYS[0]
NEW = "11" * 32, vkey(ORIGIN, "11" * 32)
THIRD = "22" * 32, vkey(ORIGIN, "22" * 32)
REPORT = INPUTS["seeds"]["report"], VKEYS[1]
NEW_REPORT = "33" * 32, vkey(ORIGIN + "/reports", "33" * 32)
WITNESS = INPUTS["seeds"]["witness"], VKEYS[2]
SECONDS = 1795342815  # 2026-11-22T10:20:15Z
BEFORE, AFTER = "2026-11-22T10:20:15.000000Z", "2026-11-22T10:20:15.000001Z"


class Rotated:
    """The example, a rotation of the checkpoint key (entry 4, bridge of size 5) and one of the
    report key (entry 5); its checkpoint, of size 6, is the new key's."""

    def __init__(self, **fact):
        self.forgery = Forgery()
        self.pinned = [OLD[1]]
        self.signers, self.cosigners = [NEW], []
        self.bridge_signers, self.bridge_cosigners = [OLD, NEW], []
        self.evidence = True  # whether the bridge stands in the evidence
        self.on_bridge = self.on_file = lambda _: None
        self.outside, self.brought = [], Brought()
        rotation = {"purpose": "checkpoint", "old": OLD[1], "new": NEW[1], **fact}
        self.forgery.add("key.rotated", rotation)
        self.forgery.add("key.rotated", {"purpose": "report", "old": VKEYS[1], "new": NEW_REPORT[1]})

    def note(self, size, signers, cosigners=()):
        return signed_note(size, tree_root(self.forgery.hashes[:size]), signers, cosigners)

    def bridge(self, size=5):
        hashes = self.forgery.hashes
        return {
            "leaf": canonical(self.forgery.leaves[size - 1]),
            "path": [b64(step) for step in inclusion(size - 1, hashes[:size])],
            "checkpoint": self.note(size, self.bridge_signers, self.bridge_cosigners),
            "consistency": [b64(step) for step in consistency(size, hashes)],
        }

    def bridges_file(self):
        bridge = self.bridge()
        self.on_bridge(bridge)
        size = len(self.forgery.hashes)
        return json.dumps({"checkpoint": self.note(size, [NEW]), "bridges": [bridge]}).encode()

    def file(self):
        def on_file(file):
            size = len(self.forgery.hashes)
            evidence = file["evidence"]
            evidence["checkpoint"] = self.note(size, self.signers, self.cosigners)
            if self.evidence:
                evidence["bridges"] = [self.bridge()]
                self.on_bridge(evidence["bridges"][0])
            self.on_file(file)

        self.forgery.on_file = on_file
        return self.forgery.file()

    def receipt(self, seq):
        self.file()
        hashes = self.forgery.hashes
        lines = ["c2sp.org/tlog-proof@v1"]
        lines.append("extra " + b64(canonical(self.forgery.leaves[seq]).encode()))
        lines += ["index %d" % seq, *(b64(step) for step in inclusion(seq, hashes)), ""]
        return ("\n".join(lines) + "\n" + self.note(6, self.signers, self.cosigners)).encode()


def keys(texts):
    return [VerifierKey.parse(text) for text in texts]


def stolen(key, time):
    return VerifierKey.parse(key[1]), producer_time(time)


class Keys(unittest.TestCase):
    def check(self, case, code, integrity=None, freshness="not_proven"):
        result = verify_report(
            case.file(), keys(case.pinned), [text.encode() for text in case.outside], case.brought
        )
        first = result.problems[0].code if result.problems else None
        self.assertEqual(first, code, result.problems)
        self.assertEqual(result.verdicts["freshness"], freshness)
        expected = integrity or ("intact" if code is None else "broken")
        self.assertEqual(result.verdicts["integrity"], expected)
        if expected != "intact":
            self.assertEqual(result.verdicts["sequence"], "not_established")
            self.assertEqual(result.verdicts["elements"], {"value": "not_established"})

    def test_a_bridge(self):
        self.check(Rotated(), None)
        case = Rotated()
        case.evidence = False
        self.check(case, "checkpoint.key")
        case.pinned = [NEW[1]]
        self.check(case, None)
        case.pinned, case.signers = [OLD[1]], [OLD]
        self.check(case, "key.retired")  # by the entry of the rotation
        case.evidence = True
        self.check(case, "key.retired")  # by the bridge
        case.signers = [OLD, NEW]
        self.check(case, None)
        case.signers = [THIRD]
        self.check(case, "checkpoint.key")

    def test_a_file_of_bridges(self):
        case = Rotated()
        case.evidence = False
        case.file()
        case.brought = Brought(bridges=case.bridges_file())
        self.check(case, None)
        case.pinned = [THIRD[1]]
        self.check(case, "checkpoint.key")
        case.pinned = [REPORT[1]]
        self.check(case, "ledger.foreign")
        case.pinned = [OLD[1]]
        case.brought.bridges = b"{}"
        with self.assertRaises(ToolError):
            self.check(case, None)
        # A bridge that the evidence leaves out, with what a replaced key signed.
        other = Forgery()
        other.file()
        note = signed_note(4, tree_root(other.hashes), [OLD])
        other.on_file = lambda file: file["evidence"].update(checkpoint=note)
        case.brought.bridges = case.bridges_file()
        self.assertTrue(verify_report(other.file(), keys([OLD[1]]), [], case.brought).accepted)

    def test_bridges_that_do_not_hold(self):
        changes = [
            lambda b: b.update(leaf="x"),
            lambda b: b["path"].pop(),
            lambda b: b["consistency"].pop(),
            lambda b: b.update(checkpoint="x"),
            lambda b: b.update(checkpoint=b["checkpoint"].replace("\n5\n", "\n6\n")),
            lambda b: b.update(leaf=b["leaf"].replace("key.rotated", "key.rotatee")),
        ]
        for change in changes:
            case = Rotated()
            case.on_bridge = change
            self.check(case, "key.bridge")
        for signers in ([OLD], [NEW], [NEW, THIRD]):
            case = Rotated()
            case.bridge_signers = signers
            self.check(case, "key.bridge")

    def test_lists_of_bridges(self):
        case = Rotated()
        case.on_file = lambda file: file["evidence"]["bridges"].append(case.bridge())
        self.check(case, "key.bridge")  # one twice
        case.on_file = lambda file: file["evidence"].update(bridges=[])
        self.check(case, "file.form")
        case.on_file = lambda file: file["evidence"]["entries"].pop(4)
        self.check(case, "key.rotation")  # its entry is not in the report
        case.on_file = lambda file: file["evidence"].update(
            bridges=file["evidence"]["bridges"] * 1001
        )
        self.check(case, "key.bridge")

    def test_a_key_comes_back(self):
        case = Rotated()
        case.forgery.add("key.rotated", {"purpose": "checkpoint", "old": NEW[1], "new": OLD[1]})
        self.check(case, "key.rotation")

    def test_checkpoints_from_outside(self):
        case = Rotated()
        case.file()
        case.outside = [case.note(6, [NEW])]  # by a key that a bridge leads to
        self.check(case, None, freshness="anchored")
        case.outside = [case.note(5, [OLD])]
        self.check(case, None, freshness="anchored")
        case.outside = [case.note(6, [OLD])]  # by a key that was replaced before
        self.check(case, "outside.unusable", "intact")
        case.outside = [signed_note(5, b"x" * 32, [OLD])]
        self.check(case, "outside.contradiction", freshness="contradicted")

    def test_a_witness_of_a_bridge_that_is_wrong(self):
        case = Rotated(compromised_since=AFTER)
        case.pinned = [OLD[1], WITNESS[1]]
        case.bridge_cosigners = [(REPORT[0], WITNESS[1], SECONDS)]
        self.check(case, "key.compromised", "unprovable")

    def test_two_bridges(self):
        case = Rotated()
        case.forgery.add("key.rotated", {"purpose": "checkpoint", "old": NEW[1], "new": THIRD[1]})

        def both(file):
            case.bridge_signers = [NEW, THIRD]
            file["evidence"]["bridges"].append(case.bridge(7))
            case.bridge_signers = [OLD, NEW]

        case.on_file, case.signers = both, [THIRD]
        self.check(case, None)
        case.on_file = lambda file: (both(file), file["evidence"]["bridges"].reverse())
        self.check(case, "key.bridge")

    def test_a_stolen_checkpoint_key(self):
        case = Rotated(compromised_since="x")
        self.check(case, "key.bridge")
        case.evidence, case.pinned = False, [NEW[1]]
        self.check(case, "key.rotation")
        case = Rotated(compromised_since=AFTER)
        self.check(case, "key.compromised", "unprovable")
        case.pinned = [OLD[1], WITNESS[1]]
        case.bridge_cosigners = [(*WITNESS, SECONDS)]
        self.check(case, None)  # the bridge was seen before
        case.bridge_cosigners, case.cosigners = [], [(*WITNESS, SECONDS)]
        self.check(case, None, freshness="witnessed")
        case = Rotated(compromised_since=BEFORE)
        case.pinned, case.cosigners = [OLD[1], WITNESS[1]], [(*WITNESS, SECONDS)]
        self.check(case, "key.compromised", "unprovable")
        # What the verifier kept covers three entries; the report's own is the fourth.
        case = Rotated(compromised_since=AFTER)
        case.file()
        case.outside = [case.note(3, [OLD])]
        self.check(case, "key.compromised", "unprovable")
        case.outside = [case.note(5, [OLD])]
        self.check(case, None, freshness="anchored")
        # Pinning the next key does not save what stands before it, nor does a bridge.
        case.outside, case.pinned = [], [OLD[1], NEW[1]]
        self.check(case, "key.compromised", "unprovable")

    def test_the_verifiers_own_word(self):
        case = Rotated()
        case.brought = Brought(stolen=[stolen(NEW, AFTER)])
        self.check(case, "key.compromised", "unprovable")
        case.file()
        case.outside = [case.note(6, [NEW])]
        self.check(case, None, freshness="anchored")
        case.brought, case.outside = Brought(stolen=[stolen(REPORT, AFTER)]), []
        self.check(case, "key.compromised", "unprovable")
        case.brought.stolen = [stolen(NEW_REPORT, AFTER)]  # did not sign this report
        self.check(case, None)

    def test_receipts(self):
        case = Rotated()
        receipt = case.receipt(1)
        bridges = case.bridges_file()

        def check(pinned, brought, code, integrity):
            result = verify_receipt(receipt, keys(pinned), brought=brought)
            first = result.problems[0].code if result.problems else None
            found = first, result.verdicts["integrity"]
            self.assertEqual(found, (code, integrity))

        check([NEW[1]], Brought(), None, "intact")
        check([OLD[1]], Brought(), "checkpoint.key", "broken")
        check([OLD[1]], Brought(bridges=bridges), None, "intact")
        check([THIRD[1]], Brought(bridges=bridges), "checkpoint.key", "broken")
        check([REPORT[1]], Brought(bridges=bridges), "ledger.foreign", "broken")
        theft = [stolen(OLD, AFTER)]
        check([OLD[1]], Brought(None, bridges, theft), "key.compromised", "unprovable")
        check([OLD[1], NEW[1]], Brought(None, bridges, theft), None, "intact")
        case.bridge_cosigners = [(*WITNESS, SECONDS)]
        seen = case.bridges_file()
        check([OLD[1], WITNESS[1]], Brought(None, seen, theft), None, "intact")
        late = [stolen(OLD, BEFORE)]
        both = [OLD[1], WITNESS[1]]
        check(both, Brought(None, seen, late), "key.compromised", "unprovable")
        case.signers = [OLD]
        receipt = case.receipt(1)
        check([OLD[1]], Brought(bridges=bridges), "key.retired", "broken")
        theft = [stolen(NEW, AFTER)]
        case.signers, case.cosigners = [NEW], [(*WITNESS, SECONDS)]
        receipt = case.receipt(1)
        check([NEW[1]], Brought(None, None, theft), "key.compromised", "unprovable")
        check([NEW[1], WITNESS[1]], Brought(None, None, theft), None, "intact")

    def test_command_line(self):
        case = Rotated()
        with tempfile.TemporaryDirectory() as folder:

            def put(name, content):
                path = os.path.join(folder, name)
                with open(path, "wb") as file:
                    file.write(content)
                return path

            def run(*arguments):
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    with contextlib.redirect_stderr(io.StringIO()):
                        return whereas_verify.main(list(arguments)), out.getvalue()

            receipt, policy = put("r", case.receipt(1)), "log %s\nquorum none\n" % OLD[1]
            bridges, policy = put("b", case.bridges_file()), put("p", policy.encode())
            known = ["receipt", receipt, "--policy", policy]
            self.assertEqual(run(*known)[0], 1)
            self.assertEqual(run(*known, "--bridges", bridges)[0], 0)
            code, output = run(*known, "--bridges", bridges, "--compromised", OLD[1] + "=" + AFTER)
            self.assertEqual(code, 1)
            self.assertIn("unprovable", output)
            self.assertEqual(run(*known, "--compromised", OLD[1])[0], 2)
            self.assertEqual(run("receipt", receipt, "--policy", bridges)[0], 2)
            report = put("f", case.file())
            self.assertEqual(run("report", report, "--policy", policy)[0], 0)


W = [vkey("w%d" % n, "%02x" % n * 32, 4) for n in range(1, 5)]
NAMED = "".join("witness w%d %s\n" % (n, key) for n, key in enumerate(W, 1))


class Policies(unittest.TestCase):
    def test_vouched(self):
        def vouched(text, *times):
            policy = Policy.parse(text.encode())
            found = {VerifierKey.parse(W[n - 1]): time for n, time in times}
            return vouched_at(policy, found)

        self.assertIsNone(vouched(NAMED + "quorum none\n"))
        self.assertEqual(vouched(NAMED + "quorum none\n", (1, 5), (2, 7)), 7)
        self.assertEqual(vouched(NAMED + "quorum w1\n", (1, 5), (2, 7)), 5)
        self.assertIsNone(vouched(NAMED + "quorum w3\n", (1, 5), (2, 7)))
        two = NAMED + "group g 2 w1 w2 w3\n"
        self.assertEqual(vouched(two + "quorum g\n", (1, 5), (2, 7), (3, 6)), 6)
        nested = two + "group h all g w4\nquorum h\n"
        self.assertIsNone(vouched(nested, (1, 5), (2, 7)))
        self.assertEqual(vouched(nested, (1, 5), (2, 7), (4, 9)), 5)
        self.assertEqual(vouched(NAMED + "\t# x\n\n group  g\tany w1 w2\nquorum g", (2, 3)), 3)
        self.assertEqual(vouched_at(None, {VerifierKey.parse(W[0]): 4}), 4)

    def test_refused(self):
        bad = [
            "",
            NAMED,
            "quorum none\nquorum none\n",
            "quorum x\n",
            "log %s\nquorum none\n" % W[0],
            "witness a %s\nquorum none\n" % VKEYS[0],
            "witness none %s\nquorum none\n" % W[0],
            "witness a %s\nwitness a %s\nquorum none\n" % (W[0], W[1]),
            "witness a %s\nwitness b %s\nquorum none\n" % (W[0], W[0]),
            "log %s\nwitness b %s\nquorum none\n" % (vkey("x", "01" * 32), W[0]),
            NAMED + "group g 3 w1 w2\nquorum g\n",
            NAMED + "group g 0 w1 w2\nquorum g\n",
            NAMED + "group g 01 w1 w2\nquorum g\n",
            NAMED + "group g any w1 w1\nquorum g\n",
            NAMED + "group g any\nquorum g\n",
            NAMED + "group g any h\ngroup h any w1\nquorum g\n",
            NAMED + "group g any w1\ngroup h any w1\nquorum g\n",
            NAMED + "quorum w1\r\n",
            NAMED + "quorum w1 w2\n",
            "x\nquorum none\n",
        ]
        for text in bad:
            with self.subTest(text[-60:]), self.assertRaises(ValueError):
                Policy.parse(text.encode())
        with self.assertRaises(ValueError):
            Policy.parse(b"\xff\nquorum none\n")


if __name__ == "__main__":
    unittest.main()
