"""Reports that the ledger's own keys signed and that are refused all the same: the steps which
the vectors do not reach, because their payload is signed.

    python3 -m unittest discover -s verifier

With WHEREAS=<path of the whereas program> in the environment, that program checks every one of
these files too and has to come to the same first problem and the same verdicts.
"""

import hashlib
import json
import os
import subprocess
import tempfile
import unittest

from forge import INPUTS, ORIGIN, VKEYS, ZEROS, Forgery, b64, checkpoint, consistency
from forge import digest, disclosure, load, vkey
from whereas_verifier.keys import VerifierKey
from whereas_verifier.report import verify_report
from whereas_verifier.tree import leaf_hash, tree_root

CASE, TRACE = INPUTS["case"], "0af7651916cd43dd8448eb211c80319c"
NO_DIGEST = "A" * 43
SECOND = "11" * 32
NEW_CHECKPOINT_KEY, NEW_REPORT_KEY = vkey(ORIGIN, SECOND), vkey(ORIGIN + "/reports", SECOND)
ACTOR_ID = "EVy3HxGlvhS5ZuibqiQLBxZeyeC5XoZ3r8d3-gyPA8Q"  # of entry 1, first disclosure
CLAIMS = "-4XGrOuk8ntU-UrmtsVrPGJD6Hmgn89ZMETcLlcUhnQ"  # of entry 2
CLAIMS_AND_ELEMENTS = [item["disclosure"] for item in load("disclosures.json")[1]["disclosures"]][
    3:8
]


def drop_first(forgery):
    del forgery.disclosures[0]


def drop_claims(forgery):
    for text in CLAIMS_AND_ELEMENTS:
        if text in forgery.disclosures:
            forgery.disclosures.remove(text)


def no_case(leaf):
    for name in ("case", "case_seq", "case_prev"):
        leaf.pop(name, None)


def of_no_case(forgery, positions):
    """A report on a trace, with entries of no case at these positions."""
    predicate = forgery.statement["predicate"]
    del predicate["case"]
    predicate["subject"] = {"trace": TRACE}
    forgery.on_leaf = lambda seq, leaf: seq in positions and no_case(leaf)


def rotate(forgery, purpose, old, new, **more):
    forgery.add("key.rotated", {"purpose": purpose, "old": old, "new": new}, **more)


def signed_by_new_report_key(forgery):
    forgery.report_seed, forgery.report_key = SECOND, NEW_REPORT_KEY


def signed_by_new_checkpoint_key(forgery):
    forgery.checkpoint_seed, forgery.checkpoint_key = SECOND, NEW_CHECKPOINT_KEY
    forgery.keys = [VKEYS[0], NEW_CHECKPOINT_KEY]


def catalogue(forgery, text):
    forgery.catalogues = {"en": text}
    signed = hashlib.sha256(text.encode()).hexdigest()
    forgery.statement["predicate"]["catalogues"] = {"en": signed}


def with_larger_tree(forgery, root=None):
    """A consistency proof to a tree of seven, and a checkpoint of it from outside."""

    def on_file(file):
        hashes = forgery.hashes + [leaf_hash(b"%d" % n) for n in range(3)]
        path = [b64(step) for step in consistency(4, hashes)]
        proof = {"size": 7, "root": b64(tree_root(hashes)), "path": path}
        file["evidence"]["consistency"].append(proof)
        forgery.outside = [checkpoint(7, root or tree_root(hashes))]

    forgery.on_file = on_file


# --- One changed thing each: name, where it is changed, the expected first problem -------------

BY_LEAF = {  # changes of leaf n, before it is hashed
    "own entry without a fact of its form": (3, {"fact": {}}, "issued.report"),
    "own entry of no case": (3, no_case, "case.issued"),
    "own entry further on in the case": (3, {"case_seq": 3}, "case.issued"),
    "own entry with another link": (3, {"case_prev": ZEROS}, "case.issued"),
    "a gap in the case": (2, {"case_seq": 2}, "case.gap"),
    "a position of the case twice": (2, {"case_seq": 0}, "case.doubled"),
    "another link of the case": (2, {"case_prev": ZEROS}, "case.prev"),
    "a case that does not begin with zeros": (1, {"case_prev": "1" * 64}, "case.prev"),
    "an entry of another case": (
        2,
        {"case": "0" * 32, "case_seq": 0, "case_prev": ZEROS},
        "case.foreign",
    ),
    "an entry of no case and another trace": (2, no_case, "case.foreign"),
    "another link of the ledger": (2, {"prev": ZEROS}, "leaf.prev"),
    "a ledger that does not begin with zeros": (0, {"prev": "1" * 64}, "leaf.prev"),
    "time goes backwards": (2, {"recorded": "2026-11-22T10:15:44.999999Z"}, "leaf.recorded"),
    "one identity twice": (2, {"eid": "PVlnv6dCKO3VuIAX_avcA4CIA4pLMUcU1v_mjaDkX4U"}, "leaf.eid"),
    "another claimed time": (2, {"occurred": "2026-11-22T10:15:42.123457Z"}, "content.time"),
    "a fact in an event": (1, {"fact": {}}, "leaf.fact"),
    "a leaf of another ledger": (1, {"ledger": "x"}, "leaf.origin"),
    "another first entry": (0, {"type": "trace.sealed"}, "evidence.unneeded"),
    "a first entry of another spec": (0, {"fact": {"spec": 2}}, "genesis.form"),
    "content that the list does not give": (1, lambda leaf: leaf.pop("content"),
                                            "content.commitment"),
}  # fmt: skip


def predicate_of(statement):
    return statement["predicate"]


def judgement_of(statement):
    return statement["predicate"]["judgement"]


def first_sentence(statement):
    return judgement_of(statement)["timeline"][0]["sentence"]


BY_STATEMENT = {  # changes of the statement, before it is signed
    "another version": (lambda s: predicate_of(s).update(v=2), "payload.version"),
    "another type": (lambda s: s.update(_type="x"), "payload.version"),
    "an unknown member": (lambda s: predicate_of(s).update(x=1), "payload.form"),
    "null for an optional member": (
        lambda s: predicate_of(s).update(supersedes=None),
        "payload.form",
    ),
    "no arguments written out": (lambda s: first_sentence(s).update(args={}), "payload.form"),
    "a ledger that is no origin": (lambda s: predicate_of(s).update(ledger="a b"), "payload.value"),
    "no purpose": (lambda s: predicate_of(s).update(purpose=""), "payload.value"),
    "a control character": (lambda s: predicate_of(s).update(purpose="\u0085"), "payload.value"),
    "no entries": (lambda s: predicate_of(s).update(entries=[]), "payload.value"),
    "a profile that is a list": (
        lambda s: predicate_of(s)["profile"].update(json=[]),
        "payload.value",
    ),
    "entries in another order": (lambda s: predicate_of(s)["entries"].reverse(), "leaf.order"),
    "another window": (lambda s: predicate_of(s)["window"].update(first=0), "payload.subject"),
    "another subject": (lambda s: s["subject"][0].update(name="x"), "payload.subject"),
    "a trace that no entry has": (
        lambda s: predicate_of(s).update(subject={"trace": "0" * 32}),
        "payload.subject",
    ),
    "a report on a case, said to be of none": (
        lambda s: predicate_of(s).pop("case"),
        "payload.subject",
    ),
    "a language without a text": (
        lambda s: predicate_of(s)["catalogues"].update(nl="0" * 64),
        "catalogue.set",
    ),
    "a template that is not there": (
        lambda s: first_sentence(s).update(template="x"),
        "catalogue.template",
    ),
    "a term that is not there": (
        lambda s: first_sentence(s).update(args={"x": {"list": [{"term": "x"}]}}),
        "catalogue.template",
    ),
    "another profile": (
        lambda s: predicate_of(s)["profile"]["json"].update(x=1),
        "profile.digest",
    ),
    "a line of the manifest twice": (
        lambda s: predicate_of(s)["withheld"].append(predicate_of(s)["withheld"][0]),
        "withheld.doubled",
    ),
    "withheld and shown": (
        lambda s: predicate_of(s)["withheld"][1].update(digest=ACTOR_ID),
        "withheld.shown",
    ),
    "not withheld and not there": (
        lambda s: predicate_of(s)["withheld"].clear(),
        "content.missing",
    ),
    "withheld at a taken place": (
        lambda s: predicate_of(s)["withheld"][0].update(pointer="/actor/id"),
        "withheld.pointer",
    ),
    "withheld at no place": (
        lambda s: predicate_of(s)["withheld"][0].update(pointer="/type"),
        "withheld.pointer",
    ),
    "withheld from nowhere": (
        lambda s: predicate_of(s)["withheld"].append(
            {"digest": NO_DIGEST, "ground": "x", "authority": "x"}
        ),
        "withheld.unreferenced",
    ),
    "a position outside of the payload": (
        lambda s: first_sentence(s).update(entries=[0]),
        "judgement.reference",
    ),
    "a finding with the words of another": (
        lambda s: (
            judgement_of(s)["findings"][0].update(code="x"),
        ),
        "judgement.reference",
    ),
    "a relation that is none": (
        lambda s: judgement_of(s)["graph"][0].update(relation="x"),
        "payload.form",
    ),
    "two subjects": (lambda s: s["subject"].append(s["subject"][0]), "payload.form"),
    "an edge to nowhere": (
        lambda s: judgement_of(s)["graph"][0].update(to=9),
        "judgement.reference",
    ),
    "a member that no leaf has": (
        lambda s: first_sentence(s)["args"]["at"].update(member="x"),
        "judgement.reference",
    ),
    "a pointer to nothing": (
        lambda s: judgement_of(s)["graph"][0]["by"].update(at="/x"),
        "judgement.reference",
    ),
    "a pointer of another form": (
        lambda s: judgement_of(s)["graph"][0]["by"].update(at="x"),
        "judgement.reference",
    ),
    "a digest of another form": (
        lambda s: judgement_of(s)["graph"][0]["by"].update(digest="x"),
        "judgement.reference",
    ),
    # Accepted: it can lie beneath what is withheld of the entry.
    "a digest beneath what is hidden": (
        lambda s: judgement_of(s)["graph"][0]["by"].update(digest=NO_DIGEST),
        None,
    ),
}

BY_CONTENT = {  # members and elements of entry 1, beside its case id
    "nothing else": ([], [], None),
    "an empty actor": ([("/actor", {})], [], None),
    "an actor without parts": ([("/actor", {"id": "x"})], [], "disclosure.pointer"),
    "the type": ([("/type", "x")], [], "disclosure.pointer"),
    "a place too deep": ([("/data/a/b", 1)], [], "disclosure.pointer"),
    "an escape that is none": ([("/data/~2", 1)], [], "disclosure.pointer"),
    "one place twice": ([("/id", 1), ("/id", 2)], [], "content.doubled_pointer"),
    "a time that is none": ([("/time", "x")], [], "content.time"),
    "the same time": ([("/time", "2026-11-22T12:15:30.5+02:00")], [], None),
    "an array of objects in place": ([("/data/x", [{"a": 1}])], [], "disclosure.form"),
    "a reserved name": ([("/data/x", {"_sd": 1})], [], "disclosure.form"),
    "an element": ([("/data/x", [{"...": digest(disclosure({"a": 1}))}])], [{"a": 1}], None),
    "an element that is no object": (
        [("/data/x", [{"...": digest(disclosure(5))}])],
        [5],
        "disclosure.form",
    ),
    "an element twice": (
        [("/data/x", [{"...": digest(disclosure({"a": 1}))}] * 2)],
        [{"a": 1}],
        "content.doubled_digest",
    ),
    "an element that is not there": (
        [("/data/x", [{"...": digest(disclosure({"a": 1}))}])],
        [],
        "content.missing",
    ),
    "another case id": ([("/case_id", "C-8")], [], "case.ids"),
}

BY_ENTRY = {  # an entry more: type, fact, and a further change
    "an erased entry": ("content.erased", {"ranges": [[1, 1]]}, drop_first, None),
    "an erased disclosure": ("retention.applied", {"digests": [ACTOR_ID]}, drop_first, None),
    "what lies beneath an erased one": ("content.erased", {"digests": [CLAIMS]}, drop_claims, None),
    "an erasure that explains nothing": (
        "content.erased", {"digests": [ACTOR_ID]}, None, "evidence.unneeded",
    ),
    "an erasure without a fact": ("content.erased", None, None, "erasure.form"),
    "an erasure of later entries": ("content.erased", {"ranges": [[1, 4]]}, None, "erasure.form"),
    "a range backwards": ("content.erased", {"ranges": [[2, 1]]}, None, "erasure.form"),
    "an entry that nobody asked for": ("hold.placed", {}, None, "evidence.unneeded"),
    "a second report": ("report.issued", {"report": "0" * 32}, None, "evidence.unneeded"),
    # At the size of its bridge both keys sign.
    "a rotation to another checkpoint key": (
        "key.rotated",
        {"purpose": "checkpoint", "old": VKEYS[0], "new": NEW_CHECKPOINT_KEY},
        None,
        None,
    ),
    "the same, signed and pinned": (
        "key.rotated",
        {"purpose": "checkpoint", "old": VKEYS[0], "new": NEW_CHECKPOINT_KEY},
        signed_by_new_checkpoint_key,
        None,
    ),
    "a later rotation of the report key": (
        "key.rotated", {"purpose": "report", "old": VKEYS[1], "new": NEW_REPORT_KEY}, None, None,
    ),
    "a rotation of another key": (
        "key.rotated",
        {"purpose": "report", "old": NEW_REPORT_KEY, "new": VKEYS[1]},
        None,
        "key.rotation",
    ),
    "a rotation of no purpose": (
        "key.rotated", {"old": VKEYS[0], "new": VKEYS[0]}, None, "key.rotation",
    ),
}  # fmt: skip

BY_FORGERY = {  # anything else
    "as it is": (lambda f: None, None),
    "a rotated report key signs": (
        lambda f: (
            rotate(f, "report", VKEYS[1], NEW_REPORT_KEY, before_own=True),
            signed_by_new_report_key(f),
        ),
        None,
    ),
    "a replaced report key signs": (
        lambda f: rotate(f, "report", VKEYS[1], NEW_REPORT_KEY, before_own=True),
        "envelope.signature",
    ),
    "a later report key signs": (
        lambda f: (rotate(f, "report", VKEYS[1], NEW_REPORT_KEY), signed_by_new_report_key(f)),
        "envelope.signature",
    ),
    "no case": (lambda f: of_no_case(f, (1, 2, 3)), None),
    "no case, and the own entry has one": (lambda f: of_no_case(f, (1, 2)), "case.foreign"),
    "an entry of no case, of a trace of the case": (
        lambda f: setattr(
            f, "on_leaf", lambda seq, leaf: seq == 2 and (no_case(leaf), leaf.update(trace=TRACE))
        ),
        None,
    ),
    "an outside entry at a taken place of the case": (
        lambda f: (
            f.add("content.erased", {"ranges": [[1, 1]]}, case=CASE),
            setattr(f, "on_leaf", lambda seq, leaf: seq == 4 and leaf.update(case_seq=1)),
        ),
        "case.doubled",
    ),
    "a catalogue that is a list": (lambda f: catalogue(f, "[]"), "catalogue.form"),
    "a catalogue of numbers": (lambda f: catalogue(f, '{"a":1}'), "catalogue.form"),
    "a catalogue without texts": (lambda f: catalogue(f, "{}"), "catalogue.template"),
    "a larger tree, anchored": (with_larger_tree, None),
    "a larger tree with another root": (lambda f: with_larger_tree(f, b"x" * 32), None),
    "another history": (
        lambda f: f.outside.append(checkpoint(3, b"x" * 32)),
        "outside.contradiction",
    ),
    "something else from outside": (lambda f: f.outside.append("x"), "outside.unusable"),
}

OTHER = "0" * 32
OURS, THEIRS = {"case": CASE, "resource": "case.why"}, {"case": OTHER}


def custody_of(forgery):
    return forgery.statement["predicate"]["custody"]


def without_disclosure(forgery, value):
    text = disclosure(value)
    forgery.disclosures.remove(text)
    return digest(text)


def withhold(forgery, hidden):
    line = {"digest": hidden, "ground": "x", "authority": "x"}
    forgery.statement["predicate"]["withheld"].append(line)


def read_of_both(forgery):
    forgery.add_read([OURS, NO_DIGEST], [0])


def read_of_a_list(forgery, *cases, **more):
    """Of a list of several cases, each an element of its own."""
    forgery.add_read([{"cases": [{"case": case} for case in cases], **more}])


BY_CUSTODY = {  # reads that the report lists
    "a read of the case": (lambda f: f.add_read([OURS]), None),
    "two reads in one entry, one of another case": (read_of_both, None),
    "two entries": (lambda f: (f.add_read([OURS]), f.add_read([{**OURS, "count": 1}])), None),
    "a read of everything": (lambda f: f.add_read([{"every_case": True}]), None),
    "a read of more cases than are named": (lambda f: f.add_read([{"cases_more": 1}]), None),
    "a read of a list with the case": (lambda f: read_of_a_list(f, CASE), None),
    "a read of a list, another case hidden": (
        lambda f: (read_of_a_list(f, CASE, OTHER), without_disclosure(f, {"case": OTHER})),
        None,
    ),
    "a read of a list, another case shown": (
        lambda f: read_of_a_list(f, CASE, OTHER),
        "custody.foreign",
    ),
    "a read of a list of other cases": (
        lambda f: (read_of_a_list(f, OTHER), without_disclosure(f, {"case": OTHER})),
        "custody.foreign",
    ),
    "a read of another case, named": (lambda f: f.add_read([THEIRS]), "custody.foreign"),
    "a read of another case, shown": (lambda f: f.add_read([OURS, THEIRS], [0]), "custody.foreign"),
    "a read with an element that is none of its cases": (
        lambda f: (
            f.disclosures.append(disclosure({"x": 1})),
            f.add_read([{**OURS, "x": [{"...": digest(f.disclosures[-1])}]}]),
        ),
        "custody.foreign",
    ),
    "a read that is not there": (
        lambda f: (f.add_read([OURS]), without_disclosure(f, OURS)),
        "content.missing",
    ),
    "a read that is withheld": (
        lambda f: (f.add_read([OURS]), withhold(f, without_disclosure(f, OURS))),
        None,
    ),
    "a read that was erased": (
        lambda f: (
            f.add_read([OURS]),
            f.add("content.erased", {"digests": [without_disclosure(f, OURS)]}),
        ),
        None,
    ),
    "a named read that the entry does not have": (
        lambda f: (f.add_read([OURS]), custody_of(f)[0]["accesses"].append(NO_DIGEST)),
        "custody.form",
    ),
    "a read named twice": (lambda f: f.add_read([OURS], [0, 0]), "custody.form"),
    "no read named": (lambda f: f.add_read([OURS], []), "custody.form"),
    "two members": (
        lambda f: (f.add_read([OURS]), custody_of(f)[0]["digests"].append(NO_DIGEST)),
        "custody.form",
    ),
    "another member": (lambda f: f.add_read([OURS], pointer="/data/x"), "custody.form"),
    "a list of no reads": (lambda f: f.add_read([], []), "custody.form"),
    "a read with a case": (lambda f: f.add_read([OURS], case=CASE), "custody.form"),
    "a read with a fact": (lambda f: f.add_read([OURS], fact={}), "custody.form"),
    "an entry that records no read": (lambda f: f.add_read([OURS], type="x"), "custody.form"),
    "another content": (lambda f: f.add_read([OURS], content=NO_DIGEST), "content.commitment"),
    "reads in another order": (
        lambda f: (
            f.add_read([OURS]),
            f.add_read([{**OURS, "count": 1}]),
            setattr(f, "on_statement", lambda s: predicate_of(s)["custody"].reverse()),
        ),
        "leaf.order",
    ),
    "a read among the payload": (
        lambda f: (
            f.add_read([OURS]),
            setattr(
                f,
                "on_statement",
                lambda s: predicate_of(s)["custody"][0].update(
                    leaf=predicate_of(s)["entries"][0]["leaf"]
                ),
            ),
        ),
        "leaf.order",
    ),
    "a read without a proof": (
        lambda f: (
            f.add_read([OURS]),
            setattr(f, "on_file", lambda file: file["evidence"]["entries"].pop(3)),
        ),
        "evidence.absent",
    ),
    "custody of no case": (
        lambda f: (f.add_read([OURS]), of_no_case(f, (1, 2, 4))),
        "custody.form",
    ),
    "reads are left out": (
        lambda f: f.statement["predicate"].update(custody_left_out=3),
        None,
    ),
    "no reads are left out, written out": (
        lambda f: f.statement["predicate"].update(custody_left_out=0),
        "payload.value",
    ),
    "an empty custody": (lambda f: f.statement["predicate"].update(custody=[]), "payload.form"),
    "too many reads": (
        lambda f: f.statement["predicate"].update(
            custody=[{"leaf": "x", "digests": [NO_DIGEST], "accesses": [NO_DIGEST]}] * 1001
        ),
        "payload.value",
    ),
    "a judgement about what a read holds": (
        lambda f: (
            f.add_read([OURS]),
            judgement_of(f.statement)["graph"][0]["by"].update(digest=digest(disclosure(OURS)), at=""),
        ),
        None,
    ),
    "a judgement about a read": (
        lambda f: (f.add_read([OURS]), first_sentence(f.statement).update(entries=[3])),
        "judgement.reference",
    ),
}

FRESHNESS = {
    "a larger tree, anchored": "anchored",
    "another history": "contradicted",
}


class Forged(unittest.TestCase):
    def check(self, name, forgery, code):
        with self.subTest(name):
            file = forgery.file()
            pinned = [VerifierKey.parse(text) for text in forgery.keys]
            outside = [text.encode() for text in forgery.outside]
            result = verify_report(file, pinned, outside)
            first = result.problems[0] if result.problems else None
            self.assertEqual(first.code if first else None, code)
            verdicts = {
                name: verdict if isinstance(verdict, str) else verdict["value"]
                for name, verdict in result.verdicts.items()
            }
            self.assertEqual(verdicts["freshness"], FRESHNESS.get(name, "not_proven"))
            touched = first.touches if first else None
            self.assertEqual(verdicts["integrity"] == "broken", touched == "integrity")
            if touched == "sequence":
                self.assertEqual(verdicts["sequence"], "broken")
            if "WHEREAS" in os.environ:
                self.assertEqual(self.by_whereas(file, forgery), (code, verdicts))

    def by_whereas(self, file, forgery):
        """First code and verdicts, as the ledger's own program finds them."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for index, content in enumerate([file] + [text.encode() for text in forgery.outside]):
                paths.append(os.path.join(folder, str(index)))
                with open(paths[-1], "wb") as out:
                    out.write(content)
            command = [os.environ["WHEREAS"], "verify", "report", paths[0], "--json"]
            for key in forgery.keys:
                command += ["--key", key]
            for path in paths[1:]:
                command += ["--checkpoint", path]
            ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
        found = json.loads(ran.stdout)
        codes = [problem["code"] for problem in found["problems"]]
        verdicts = {name: verdict["verdict"] for name, verdict in found["verdicts"].items()}
        return (codes[0] if codes else None), verdicts

    def test_leaves(self):
        for name, (which, change, code) in BY_LEAF.items():
            forgery = Forgery()
            change_of = change if callable(change) else lambda leaf: leaf.update(change)
            forgery.on_leaf = lambda seq, leaf: seq == which and change_of(leaf)
            self.check(name, forgery, code)

    def test_statements(self):
        for name, (change, code) in BY_STATEMENT.items():
            forgery = Forgery()
            forgery.on_statement = change
            self.check(name, forgery, code)

    def test_content(self):
        for name, (members, elements, code) in BY_CONTENT.items():
            forgery = Forgery()
            if name != "another case id":
                members = [("/case_id", "C-7")] + members
            forgery.content_of_entry_1(members, elements)
            self.check(name, forgery, code)

    def test_entries(self):
        for name, (kind, fact, change, code) in BY_ENTRY.items():
            forgery = Forgery()
            forgery.add(kind, fact)
            if change:
                change(forgery)
            self.check(name, forgery, code)

    def test_custody(self):
        for name, (change, code) in BY_CUSTODY.items():
            forgery = Forgery()
            change(forgery)
            self.check(name, forgery, code)

    def test_others(self):
        for name, (change, code) in BY_FORGERY.items():
            forgery = Forgery()
            change(forgery)
            self.check(name, forgery, code)


if __name__ == "__main__":
    unittest.main()
