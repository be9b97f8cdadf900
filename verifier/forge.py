"""Makes ledgers and reports of its own for tests, signed with the published keys of
tests/formats/inputs.json: what a dishonest holder of the ledger's keys could sign.

A `Forgery` starts as the example of docs/formats.md. A test changes it, at one of the points
below, and `file()` then numbers, links, hashes and signs everything anew around the change.
"""

import base64
import copy
import hashlib
import json
import os
import subprocess
import tempfile

from whereas_verifier.basics import base64url
from whereas_verifier.disclosures import commitment
from whereas_verifier.keys import VerifierKey
from whereas_verifier.report import PAYLOAD_TYPE
from whereas_verifier.strict_json import canonical
from whereas_verifier.tree import leaf_hash, tree_root

FORMATS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "formats")


def path_of(name):
    return os.path.join(FORMATS, name)


def data(name):
    with open(path_of(name), "rb") as file:
        return file.read()


def load(name):
    return json.loads(data(name))


INPUTS = load("inputs.json")
ORIGIN = INPUTS["origin"]
VKEYS = data("vkeys").decode().split("\n")[:3]
ZEROS = "0" * 64


def b64(value):
    return base64.b64encode(value).decode()


def openssl(seed, *arguments, stdin=b""):
    """Runs openssl with a private key, `{key}` and `{in}` standing for files."""
    der = bytes.fromhex("302e020100300506032b657004220420" + seed)
    with tempfile.TemporaryDirectory() as folder:
        names = {"{key}": os.path.join(folder, "key"), "{in}": os.path.join(folder, "in")}
        for name, content in (("{key}", der), ("{in}", stdin)):
            with open(names[name], "wb") as file:
                file.write(content)
        command = ["openssl"] + [names.get(argument, argument) for argument in arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout


def sign(seed, message):
    arguments = "pkeyutl -sign -keyform DER -inkey {key} -rawin -in {in}"
    return openssl(seed, *arguments.split(), stdin=message)


def vkey(name, seed, kind=1):
    public = openssl(seed, *"pkey -inform DER -in {key} -pubout -outform DER".split())[-32:]
    blob = bytes([kind]) + public
    key_id = hashlib.sha256(name.encode() + b"\n" + blob).hexdigest()[:8]
    return "%s+%s+%s" % (name, key_id, b64(blob))


def checkpoint(size, root, seed=INPUTS["seeds"]["checkpoint"], key=VKEYS[0]):
    """A signed checkpoint, as text."""
    return signed_note(size, root, [(seed, key)])


def signed_note(size, root, signers, witnesses=()):
    """A checkpoint with the signatures of several: (seed, key), and (seed, key, time)."""
    text = "%s\n%d\n%s\n" % (ORIGIN, size, b64(root))
    lines = ""
    for seed, key in signers:
        key = VerifierKey.parse(key)
        lines += "\u2014 %s %s\n" % (key.name, b64(key.id + sign(seed, text.encode())))
    for seed, key, time in witnesses:
        key = VerifierKey.parse(key)
        signature = sign(seed, b"cosignature/v1\ntime %d\n%s" % (time, text.encode()))
        blob = key.id + time.to_bytes(8, "big") + signature
        lines += "\u2014 %s %s\n" % (key.name, b64(blob))
    return "%s\n%s" % (text, lines)


def split_at(size):
    return 1 << (size - 1).bit_length() - 1


def inclusion(index, hashes):
    """PATH of RFC 6962, section 2.1.1."""
    if len(hashes) == 1:
        return []
    k = split_at(len(hashes))
    if index < k:
        return inclusion(index, hashes[:k]) + [tree_root(hashes[k:])]
    return inclusion(index - k, hashes[k:]) + [tree_root(hashes[:k])]


def consistency(first, hashes, whole=True):
    """PROOF of RFC 6962, section 2.1.2."""
    if first == len(hashes):
        return [] if whole else [tree_root(hashes)]
    k = split_at(len(hashes))
    if first <= k:
        return consistency(first, hashes[:k], whole) + [tree_root(hashes[k:])]
    return consistency(first - k, hashes[k:], False) + [tree_root(hashes[:k])]


def do_nothing(*_):
    pass


class Forgery:
    def __init__(self):
        report = load("report.json")
        self.leaves = [json.loads(line) for line in data("leaves.txt").decode().split("\n")[:4]]
        self.statement = load("report-payload.json")
        self.payload = [1, 2]  # positions of the payload entries
        self.own = 3  # position of the report's own entry
        self.custody = []  # positions of the recorded reads
        self.digests = [entry["digests"] for entry in self.statement["predicate"]["entries"]]
        self.disclosures = report["disclosures"]
        self.catalogues = report["catalogues"]
        self.report_seed, self.report_key = INPUTS["seeds"]["report"], VKEYS[1]
        self.checkpoint_seed, self.checkpoint_key = INPUTS["seeds"]["checkpoint"], VKEYS[0]
        self.keys = [VKEYS[0]]  # pinned
        self.outside = []  # checkpoints from outside
        # Called with (position, leaf) when a leaf is numbered and linked, with the statement
        # before it is signed, and with the file.
        self.on_leaf = self.on_statement = self.on_file = do_nothing

    def add(self, kind, fact=None, before_own=False, **members):
        """A service entry after all others, or directly before the report's own."""
        leaf = {
            "v": 1,
            "ledger": ORIGIN,
            "type": kind,
            "eid": base64url(hashlib.sha256(b"%d" % len(self.leaves)).digest()),
            "occurred": "2026-11-22T10:20:00.000000Z",
            "recorded": "2026-11-22T10:20:00.000000Z",
            "producer": INPUTS["service"],
            **members,
        }
        if fact is not None:
            leaf["fact"] = fact
        self.leaves.insert(self.own if before_own else len(self.leaves), leaf)
        self.own += before_own

    def add_read(self, accesses, named=None, pointer="/data/accesses", **leaf):
        """A recorded read of these accesses, all of which are shown; an access that is a string
        is a digest. `named`: which of them `accesses` of the payload names."""
        predicate = self.statement["predicate"]
        digests = []
        for access in accesses:
            if not isinstance(access, str):
                cases = access.get("cases", [])
                texts = [disclosure(case) for case in cases if isinstance(case, dict)]
                self.disclosures += [text for text, case in zip(texts, cases) if case["case"]]
                access = {**access}
                if cases:
                    access["cases"] = [{"...": digest(text)} for text in texts]
                self.disclosures.append(disclosure(access))
                access = digest(self.disclosures[-1])
            digests.append(access)
        member = disclosure(pointer, [{"...": inner} for inner in digests])
        self.disclosures.append(member)
        content = commitment([digest(member)])
        self.custody.append(self.own)
        self.add("record.accessed", before_own=True, **{"content": content, **leaf})
        named = digests if named is None else [digests[index] for index in named]
        predicate.setdefault("custody", []).append({"digests": [digest(member)], "accesses": named})

    def content_of_entry_1(self, members, elements=()):
        """Other disclosures of entry 1: (pointer, value) of members, values of elements."""
        parts = [[pointer, value] for pointer, value in members] + [[v] for v in elements]
        texts = [disclosure(*part) for part in parts]
        self.disclosures = texts + self.disclosures[8:]
        self.digests[0] = [digest(text) for text in texts[: len(members)]]
        content = commitment(self.digests[0])
        self.on_leaf = lambda seq, leaf: seq == 1 and leaf.update(content=content)
        predicate = self.statement["predicate"]
        del predicate["withheld"][0]
        del predicate["judgement"]["timeline"][0]
        who = predicate["judgement"]["timeline"][0]["sentence"]["args"]
        who["who"] = predicate["judgement"]["graph"][0]["by"]

    def file(self):
        texts, hashes, cases = [], [], {}

        def link(seq):
            leaf = self.leaves[seq]
            leaf.update(seq=seq, prev=hashes[-1].hex() if hashes else ZEROS)
            if "case" in leaf:
                leaf["case_seq"], leaf["case_prev"] = cases.get(leaf["case"], (0, ZEROS))
            self.on_leaf(seq, leaf)
            texts.append(canonical(leaf))
            hashes.append(leaf_hash(texts[-1].encode()))
            if "case" in leaf:
                cases[leaf["case"]] = leaf["case_seq"] + 1, hashes[-1].hex()

        for seq in range(self.own):
            link(seq)
        predicate, last = self.statement["predicate"], self.payload[-1]
        predicate["window"] = {"first": self.payload[0], "last": last}
        predicate["entries"] = [
            {"leaf": texts[seq], "digests": digests}
            for seq, digests in zip(self.payload, self.digests)
        ]
        for seq, read in zip(self.custody, predicate.get("custody", [])):
            read["leaf"] = texts[seq]
        name = "%s/entries/%d" % (ORIGIN, last)
        self.statement["subject"] = [{"name": name, "digest": {"sha256": hashes[last].hex()}}]
        self.on_statement(self.statement)
        payload = canonical(self.statement).encode()
        self.leaves[self.own]["fact"]["payload"] = hashlib.sha256(payload).hexdigest()
        for seq in range(self.own, len(self.leaves)):
            link(seq)
        self.hashes = hashes

        kind = PAYLOAD_TYPE.encode()
        pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        signature = b64(sign(self.report_seed, pae))
        keyid = VerifierKey.parse(self.report_key).hint
        entries = []
        for seq, text in enumerate(texts):
            path = [b64(step) for step in inclusion(seq, hashes)]
            inside = seq in self.payload or seq in self.custody
            own = {"seq": seq} if inside else {"leaf": text}
            entries.append({**own, "path": path})
        older = {
            "size": 3,
            "root": b64(tree_root(hashes[:3])),
            "path": [b64(step) for step in consistency(3, hashes)],
        }
        note = checkpoint(
            len(hashes), tree_root(hashes), self.checkpoint_seed, self.checkpoint_key
        )
        file = {
            "envelope": {
                "payload": b64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": keyid, "sig": signature}],
            },
            "disclosures": self.disclosures,
            "evidence": {"checkpoint": note, "entries": entries, "consistency": [older]},
            "catalogues": self.catalogues,
        }
        self.on_file(file)
        return json.dumps(file, ensure_ascii=False).encode()


def disclosure(*parts):
    """With a salt that is made of the parts, so that it is the same in every run."""
    salt = base64url(hashlib.sha256(canonical(list(parts)).encode()).digest()[:16])
    return base64url(canonical([salt, *parts]).encode())


def digest(text):
    return base64url(hashlib.sha256(text.encode()).digest())
