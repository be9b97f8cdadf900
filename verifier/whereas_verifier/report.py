"""Checking a report: the steps of [Checking a report], in their order.

Each step is a method named after it. A problem is noted with `note`; `stop` notes one and ends
the check; `stop_if_any` ends it where the table says that a step ends it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from .basics import (
    ZEROS,
    base64_bytes,
    is_count,
    is_digest,
    is_origin,
    is_text,
    sha256,
)
from .content import Content
from .disclosures import is_place, is_placeholder
from .keys import TYPE_COSIGNATURE, VerifierKey
from .leaf import ERASURES, LEAF_MEMBERS, Leaf, read_leaf
from .notes import Checkpoint
from .policy import vouched_at
from .problems import Problem, Refused, Result, Stop
from .report_form import FILE, PAYLOAD, FormError, is_language, is_role
from .strict_json import FILE_LIMITS, JsonError, canonical, pointer_tokens, read_json, value_at
from .tree import verify_consistency, verify_inclusion
from .trust import Bridge, Brought, Opened, Span, Trusted, fact_key, is_older, join, rotation_of

MAX_FILE = 134_217_728
MAX_CONSISTENCY = 64
MAX_CUSTODY = 1_000
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "tag:whereas,2026:report/v1"


def verify_report(
    data: bytes,
    pinned: List[VerifierKey],
    outside: Sequence[bytes] = (),
    brought: Brought = Brought(),
) -> Result:
    """Checks a report file. `outside`: checkpoints that came another way than with the file."""
    check = ReportCheck(data, pinned, list(outside), brought)
    try:
        for step in check.steps():
            step()
    except Stop:
        pass
    return Result(check.verdicts(), check.problems, check.remarks())


@dataclass
class Erasure:
    """What an erasure says that it erased."""

    seq: int
    ranges: List[List[int]]
    digests: Set[str]
    outside: bool
    explains: bool = False  # some digest that is not shown

    def covers(self, digest: str, seq: int) -> bool:
        return digest in self.digests or any(first <= seq <= last for first, last in self.ranges)


class ReportCheck:
    def __init__(
        self, data: bytes, pinned: List[VerifierKey], outside: List[bytes], brought: Brought
    ):
        self.data = data
        self.brought = brought
        self.pinned = pinned
        self.outside_checkpoints = outside
        self.problems: List[Problem] = []
        # What the steps find, in the order in which they find it.
        self.file: Dict[str, Any] = {}
        self.payload_bytes = b""
        self.statement: Dict[str, Any] = {}
        self.predicate: Dict[str, Any] = {}
        self.trusted: Optional[Trusted] = None
        self.opened: Optional[Opened] = None
        self.bridges: List[Bridge] = []  # of the evidence
        self.payload: Dict[int, Leaf] = {}  # payload entries by position
        self.reads: Dict[int, Leaf] = {}  # recorded reads (custody) by position
        self.digests: Dict[int, List[str]] = {}  # the lists of member digests of both
        self.accesses: Dict[int, List[str]] = {}  # the reads' elements that concern the case
        self.outside: Dict[int, Leaf] = {}  # outside entries by position
        self.erasures: List[Erasure] = []
        self.own: Optional[Leaf] = None  # the report's own entry
        self.report_key: Optional[VerifierKey] = None
        self.content = Content()
        self.shown = self.content.shown  # digest → disclosure
        self.home = self.content.home  # digest that is referred to → position of its entry
        self.state: Dict[str, str] = {}  # digest that is referred to → shown, erased, …
        self.manifest: Set[str] = set()  # the digests that the manifest names
        self.hidden: Set[int] = set()  # positions of entries of which something is not shown
        self.checkpoint_keys: List[Tuple[VerifierKey, Span]] = []  # by the facts, in order
        self.stolen: Dict[VerifierKey, int] = {}  # and since when
        self.words: List[Tuple[int, Optional[int]]] = []  # from outside: size and time
        self.anchored = False

    def steps(self) -> List[Any]:
        return [
            self.step_1_file, self.step_2_envelope, self.step_3_payload, self.step_4_values,
            self.step_5_checkpoint, self.step_6_payload_leaves, self.step_7_evidence,
            self.step_8_consistency, self.step_9_outside_entries, self.step_10_keys,
            self.step_11_signature, self.step_12_chain, self.step_13_subject, self.step_14_case,
            self.step_15_catalogues, self.step_16_disclosures, self.step_17_states,
            self.step_18_case_ids, self.step_19_references, self.step_20_outside_checkpoints,
        ]  # fmt: skip

    # --- Notes -----------------------------------------------------------------------------------

    def note(self, code: str, place: str, why: str) -> None:
        self.problems.append(Problem(code, place, why))

    def stop(self, code: str, place: str, why: str) -> None:
        self.note(code, place, why)
        raise Stop

    def stop_if_any(self, before: int) -> None:
        """Ends the check when there are more problems than there were."""
        if len(self.problems) > before:
            raise Stop

    def entries(self) -> List[Tuple[int, Leaf]]:
        """All proven entries, payload, reads and outside, in ledger order."""
        return sorted({**self.payload, **self.reads, **self.outside}.items())

    def entries_of_case(self) -> List[Leaf]:
        """The payload entries of the report's case, in ledger order."""
        case = self.predicate.get("case")
        return [leaf for leaf in self.payload.values() if case and leaf.case == case]

    # --- Steps 1 to 4: form ----------------------------------------------------------------------

    def step_1_file(self) -> None:
        if len(self.data) > MAX_FILE:
            self.stop("file.form", "", "The file is longer than %d bytes." % MAX_FILE)
        try:
            self.file = read_json(self.data, FILE_LIMITS)
            FILE(self.file, "")
        except JsonError as error:
            self.stop("file.form", "", "The file is not strict JSON: %s." % error)
        except FormError as error:
            self.stop("file.form", error.place, "The file: %s." % error)

    def step_2_envelope(self) -> None:
        envelope = self.file["envelope"]
        if len(envelope["signatures"]) != 1:
            self.stop("envelope.signatures", "/envelope/signatures", "There is not one signature.")
        if envelope["payloadType"] != PAYLOAD_TYPE:
            self.stop("envelope.form", "/envelope/payloadType", "It is not %s." % PAYLOAD_TYPE)
        payload = base64_bytes(envelope["payload"])
        if payload is None:
            self.stop("envelope.form", "/envelope/payload", "It is not base64.")
        self.payload_bytes = payload

    def step_3_payload(self) -> None:
        try:
            statement = read_json(self.payload_bytes, FILE_LIMITS)
        except JsonError as error:
            self.stop("payload.form", "", "The payload is not strict JSON: %s." % error)
        found = statement if isinstance(statement, dict) else {}
        predicate = found.get("predicate")
        version = predicate.get("v") if isinstance(predicate, dict) else None
        if found.get("_type") != STATEMENT_TYPE:
            self.stop("payload.version", "/_type", "It is not %s." % STATEMENT_TYPE)
        if found.get("predicateType") != PREDICATE_TYPE:
            self.stop("payload.version", "/predicateType", "It is not %s." % PREDICATE_TYPE)
        if not (is_count(version) and version == 1):
            self.stop("payload.version", "/predicate/v", "It is not 1.")
        try:
            PAYLOAD(statement, "")
        except FormError as error:
            self.stop("payload.form", error.place, "The payload: %s." % error)
        self.statement, self.predicate = statement, predicate

    def step_4_values(self) -> None:
        before = len(self.problems)
        p = self.predicate
        values = [
            (is_origin(p["ledger"]), "/ledger"),
            (is_role(p["audience"]["role"]), "/audience/role"),
            (is_text(p["purpose"]), "/purpose"),
            (is_text(p["software"]["name"]), "/software/name"),
            (is_text(p["software"]["version"]), "/software/version"),
            (isinstance(p["profile"]["json"], dict), "/profile/json"),
            (len(p["entries"]) > 0, "/entries"),
            (len(p.get("custody", [])) <= MAX_CUSTODY, "/custody"),
            (p.get("custody_left_out") != 0, "/custody_left_out"),
        ]
        values += [(is_language(tag), "/catalogues/" + tag) for tag in p["catalogues"]]
        for index, line in enumerate(p["withheld"]):
            values.append((is_text(line["ground"]), "/withheld/%d/ground" % index))
            values.append((is_text(line["authority"]), "/withheld/%d/authority" % index))
        for has_form, place in values:
            if not has_form:
                self.note("payload.value", "/predicate" + place, "It is not of its form.")
        self.stop_if_any(before)

    # --- Steps 5 to 8: checkpoint, entries, proofs -------------------------------------------------

    def step_5_checkpoint(self) -> None:
        evidence = self.file["evidence"]
        self.trusted = Trusted(self.predicate["ledger"], self.pinned)
        try:
            if self.brought.bridges is not None:
                self.trusted.cross_file(self.brought.bridges)
            place = "/evidence/bridges"
            self.bridges = self.trusted.cross(evidence.get("bridges", []), place)
            self.opened = self.trusted.open(evidence["checkpoint"].encode())
            join(self.bridges, self.opened.checkpoint, place)
        except Refused as refused:
            self.problems.append(refused.problem)
            raise Stop from None

    def read_leaf(self, text: str, place: str) -> Optional[Leaf]:
        try:
            return read_leaf(text.encode(), self.predicate["ledger"], place)
        except Refused as refused:
            self.problems.append(refused.problem)
            return None

    def step_6_payload_leaves(self) -> None:
        before = len(self.problems)
        last = -1
        for index, entry in enumerate(self.predicate["entries"]):
            place = "/predicate/entries/%d/leaf" % index
            leaf = self.read_leaf(entry["leaf"], place)
            if leaf is None:
                continue
            if leaf.seq <= last:
                self.note("leaf.order", place, "Position %d after %d." % (leaf.seq, last))
            last = leaf.seq
            self.payload[leaf.seq] = leaf
            self.digests[leaf.seq] = entry["digests"]
        last = -1
        for index, entry in enumerate(self.predicate.get("custody", [])):
            place = "/predicate/custody/%d" % index
            leaf = self.read_leaf(entry["leaf"], place + "/leaf")
            if leaf is None:
                continue
            accesses = entry["accesses"]
            if leaf.seq <= last or leaf.seq in self.payload:
                why = "Position %d after %d, or it is an entry of the payload." % (leaf.seq, last)
                self.note("leaf.order", place + "/leaf", why)
            last = max(last, leaf.seq)
            if leaf.type != "record.accessed" or leaf.case or leaf.fact is not None:
                self.note("custody.form", place, "Its entry is not one that records reads.")
            elif len(entry["digests"]) != 1:
                self.note("custody.form", place, "Its entry has not exactly one member.")
            elif not accesses or len(set(accesses)) != len(accesses):
                self.note("custody.form", place, "It names no read, or one of them twice.")
            self.reads[leaf.seq] = leaf
            self.digests[leaf.seq] = entry["digests"]
            self.accesses[leaf.seq] = accesses
        self.stop_if_any(before)

    def step_7_evidence(self) -> None:
        """Entry by entry: its leaf, its place in the order, its proof."""
        before = len(self.problems)
        checkpoint = self.opened.checkpoint
        last = -1
        proven: Set[int] = set()
        inside = {**self.payload, **self.reads}
        for index, entry in enumerate(self.file["evidence"]["entries"]):
            place = "/evidence/entries/%d" % index
            if "leaf" in entry:
                leaf = self.read_leaf(entry["leaf"], place + "/leaf")
                if leaf is None:
                    continue
                if leaf.seq in inside:
                    self.stop("evidence.order", place, "Entry %d is in the payload." % leaf.seq)
                self.outside[leaf.seq] = leaf
            elif entry["seq"] in inside:
                leaf = inside[entry["seq"]]
            else:
                self.stop("evidence.order", place, "No payload entry %d." % entry["seq"])
            if leaf.seq <= last:
                self.stop("evidence.order", place, "Position %d after %d." % (leaf.seq, last))
            last = leaf.seq
            proven.add(leaf.seq)
            path = [base64_bytes(step) for step in entry["path"]]
            if not verify_inclusion(
                leaf.hash, leaf.seq, checkpoint.size, path, checkpoint.root
            ):
                why = "The hashes do not lead from entry %d to the checkpoint's root." % leaf.seq
                self.note("evidence.inclusion", place, why)
        for seq in inside:
            if seq not in proven:
                self.note("evidence.absent", "entry %d" % seq, "There is no proof of it.")
        self.stop_if_any(before)

    def step_8_consistency(self) -> None:
        proofs = self.file["evidence"].get("consistency", [])
        here = self.opened.checkpoint
        if len(proofs) > MAX_CONSISTENCY:
            why = "There are more than %d proofs." % MAX_CONSISTENCY
            self.stop("evidence.consistency", "/evidence/consistency", why)
        last = -1
        for index, proof in enumerate(proofs):
            place = "/evidence/consistency/%d" % index
            size, root = proof["size"], base64_bytes(proof["root"])
            path = [base64_bytes(step) for step in proof["path"]]
            if size <= last:
                self.stop("evidence.consistency", place, "The sizes do not ascend.")
            last = size
            if size == here.size:
                self.stop("evidence.consistency", place, "It is the checkpoint's own size.")
            if size < here.size:
                holds = verify_consistency(size, here.size, path, root, here.root)
            else:
                holds = verify_consistency(here.size, size, path, here.root, root)
            if not holds:
                why = "The trees of %d and %d entries are not shown to be one history."
                self.stop("evidence.consistency", place, why % (size, here.size))
        proven = dict(self.entries())
        for index, bridge in enumerate(self.bridges):
            leaf = proven.get(bridge.leaf.seq)
            if leaf is None or leaf.hash != bridge.leaf.hash:
                why = "Its entry is not among the entries of the report."
                self.stop("key.rotation", "/evidence/bridges/%d" % index, why)

    # --- Steps 9 to 11: the service's entries, keys, signature -------------------------------------

    def step_9_outside_entries(self) -> None:
        for seq, leaf in sorted(self.payload.items()):
            erasure = erasure_of(leaf, outside=False)
            if erasure:
                self.erasures.append(erasure)
        for seq, leaf in self.outside.items():
            place = "entry %d" % seq
            if leaf.type in ERASURES:
                erasure = erasure_of(leaf, outside=True)
                if erasure:
                    self.erasures.append(erasure)
                else:
                    self.note("erasure.form", place, "Its fact is not of its form.")
            elif leaf.type == "report.issued" and self.own is None:
                self.own = leaf
            elif leaf.type != "key.rotated" and not (seq == 0 and leaf.type == "ledger.created"):
                why = "An entry of type %s is no evidence for this report." % leaf.type
                self.note("evidence.unneeded", place, why)
        if self.own is None:
            self.stop("issued.absent", "/evidence/entries", "No entry puts the report on record.")

    def step_10_keys(self) -> None:
        entries = dict(self.entries())
        genesis = entries.get(0)
        if genesis is None or genesis.type != "ledger.created":
            self.stop("genesis.absent", "entry 0", "The ledger's first entry is not there.")
        spec = genesis.fact_of("spec")
        in_force = {
            "checkpoint": fact_key(genesis, "checkpoint_key"),
            "report": fact_key(genesis, "report_key"),
        }
        if not (is_count(spec) and spec == 1) or None in in_force.values():
            self.stop("genesis.form", "entry 0", "Its fact is not that of a ledger's first entry.")
        self.report_key = in_force["report"]
        self.checkpoint_keys = [(in_force["checkpoint"], Span())]
        self.stolen = self.trusted.stolen(self.brought)
        ever = {purpose: [key] for purpose, key in in_force.items()}
        for seq, leaf in sorted(entries.items()):
            if leaf.type != "key.rotated":
                continue
            place, rotation = "entry %d" % seq, rotation_of(leaf)
            if rotation is None:
                self.stop("key.rotation", place, "Its fact is not that of a rotation.")
            purpose, new = rotation.purpose, rotation.new
            if in_force[purpose] != rotation.old:
                why = "The key that it replaces is not the one in force."
                self.stop("key.rotation", place, why)
            if new in ever[purpose]:
                self.stop("key.rotation", place, "Its new key was in force before.")
            ever[purpose].append(new)
            in_force[purpose] = new
            if rotation.since is not None:
                known = self.stolen.get(rotation.old, rotation.since)
                self.stolen[rotation.old] = min(rotation.since, known)
            if purpose == "report" and seq < self.own.seq:
                self.report_key = new
            if purpose == "checkpoint":
                self.checkpoint_keys[-1][1].last = seq + 1
                self.checkpoint_keys.append((new, Span(seq + 1)))
        size = self.opened.checkpoint.size
        spans = [span for key, span in self.checkpoint_keys if key in self.opened.signers]
        if not any(span.holds(size) for span in spans):
            code = "key.checkpoint"
            if any(span.last is not None and span.last < size for span in spans):
                code = "key.retired"
            why = "The checkpoint is not signed by a trusted key that is the ledger's at this size."
            self.stop(code, "/evidence/checkpoint", why)
        place = "entry %d" % self.own.seq
        if self.own.fact_of("report") != self.predicate["report"]:
            self.note("issued.report", place, "It puts another report on record.")
        if max(self.payload) > self.own.seq:
            self.note("issued.order", place, "An entry of the payload stands after it.")
        for seq in self.reads:
            if seq > self.own.seq:
                self.note("custody.form", "entry %d" % seq, "The read is later than the report.")
        custody = [name for name in ("custody", "custody_left_out") if name in self.predicate]
        if custody and "case" not in self.predicate:
            why = "A report of no case has no custody."
            self.note("custody.form", "/predicate/" + custody[0], why)

    def step_11_signature(self) -> None:
        envelope = self.file["envelope"]
        signature = envelope["signatures"][0]
        type_bytes = PAYLOAD_TYPE.encode()
        pae = b"DSSEv1 %d %s %d %s" % (
            len(type_bytes), type_bytes, len(self.payload_bytes), self.payload_bytes,
        )  # fmt: skip
        if not self.report_key.verify(pae, base64_bytes(signature["sig"]) or b""):
            why = "The ledger's report key, %s, did not sign this payload." % self.report_key.hint
            self.stop("envelope.signature", "/envelope/signatures/0/sig", why)
        if signature["keyid"] != self.report_key.hint:
            why = "It is not %s." % self.report_key.hint
            self.note("envelope.keyid", "/envelope/signatures/0/keyid", why)
        if self.own.fact_of("payload") != sha256(self.payload_bytes).hex():
            why = "It puts another payload on record."
            self.note("issued.payload", "entry %d" % self.own.seq, why)

    # --- Steps 12 to 14: chains, subject, case -----------------------------------------------------

    def step_12_chain(self) -> None:
        identities: Set[str] = set()
        before: Optional[Leaf] = None
        for seq, leaf in self.entries():
            place = "entry %d" % seq
            if seq == 0:
                expected = ZEROS
            elif before is not None and before.seq == seq - 1:
                expected = before.hash.hex()
            else:
                expected = leaf.prev  # the entry before it is not there to compare
            if leaf.prev != expected:
                self.note("leaf.prev", place, "It does not follow the entry before it.")
            if before is not None and leaf.recorded < before.recorded:
                why = "It was recorded earlier than entry %d." % before.seq
                self.note("leaf.recorded", place, why)
            if leaf.eid in identities:
                self.note("leaf.eid", place, "Another entry has its identity.")
            identities.add(leaf.eid)
            before = leaf

    def step_13_subject(self) -> None:
        p = self.predicate
        last = self.payload[max(self.payload)]
        subject = self.statement["subject"][0]

        def check(holds: bool, place: str, why: str) -> None:
            if not holds:
                self.note("payload.subject", place, why)

        check(
            subject["name"] == "%s/entries/%d" % (p["ledger"], last.seq)
            and subject["digest"]["sha256"] == last.hash.hex(),
            "/subject/0",
            "It is not the last entry of the payload.",
        )
        check(
            p["window"] == {"first": min(self.payload), "last": last.seq},
            "/predicate/window",
            "It is not the first and last position of the payload.",
        )
        if "case" in p["subject"]:
            same = p["subject"]["case"] == p.get("case")
            check(same, "/predicate/subject/case", "It is not the report's case.")
        if "trace" in p["subject"]:
            there = any(leaf.trace == p["subject"]["trace"] for leaf in self.payload.values())
            check(there, "/predicate/subject/trace", "No entry of the payload has it.")
        if "case" in p:
            check(bool(self.entries_of_case()), "/predicate/case", "No entry has it.")

    def step_14_case(self) -> None:
        case = self.predicate.get("case")
        if case is None:
            for leaf in [*self.payload.values(), self.own]:
                if leaf.case is not None:
                    why = "It belongs to a case, and the report to none."
                    self.note("case.foreign", "entry %d" % leaf.seq, why)
            return
        of_case = self.entries_of_case()
        traces = {leaf.trace for leaf in of_case if leaf.trace is not None}
        for leaf in self.payload.values():
            if leaf.case != case and (leaf.case is not None or leaf.trace not in traces):
                why = "It belongs neither to the case nor to a trace of it."
                self.note("case.foreign", "entry %d" % leaf.seq, why)
        count, link = 0, ZEROS
        for leaf in of_case:
            problem = case_link(leaf, count, link)
            if problem:
                self.note(problem, "entry %d" % leaf.seq, "The case's chain breaks here.")
                return
            count, link = count + 1, leaf.hash.hex()
        if self.own.case != case or case_link(self.own, count, link):
            why = "The report's own entry does not follow the last entry of the case."
            self.note("case.issued", "entry %d" % self.own.seq, why)
        taken = {leaf.case_seq for leaf in of_case}
        for leaf in self.outside.values():
            if leaf.case == case and leaf.case_seq in taken:
                why = "Its position in the case is taken."
                self.note("case.doubled", "entry %d" % leaf.seq, why)

    # --- Step 15: catalogues and profile -----------------------------------------------------------

    def step_15_catalogues(self) -> None:
        profile = self.predicate["profile"]
        signed, texts = self.predicate["catalogues"], self.file["catalogues"]
        if not texts or set(texts) != set(signed):
            why = "The file's languages are not those of the payload."
            self.note("catalogue.set", "/catalogues", why)
            return
        for language, text in texts.items():
            place = "/catalogues/" + language
            if sha256(text.encode()).hex() != signed[language]:
                self.note("catalogue.digest", place, "Its text is not the one that was signed.")
            try:
                catalogue = read_json(text.encode(), FILE_LIMITS)
            except JsonError:
                catalogue = None
            if not isinstance(catalogue, dict) or not all(
                isinstance(value, str) for value in catalogue.values()
            ):
                self.note("catalogue.form", place, "It is not a JSON object of strings.")
                continue
            for wanted in sorted(self.texts_used()):
                plural = wanted + "#one" in catalogue and wanted + "#other" in catalogue
                if wanted not in catalogue and not plural:
                    self.note("catalogue.template", place, "It lacks `%s`." % wanted)
        if sha256(canonical(profile["json"]).encode()).hex() != profile["sha256"]:
            why = "The profile is not the one whose digest stands beside it."
            self.note("profile.digest", "/predicate/profile", why)

    def texts_used(self) -> Set[str]:
        """Ids of the templates and terms that the judgement uses."""
        used = set()
        for _, sentence in self.sentences():
            used.add(sentence["template"])
            for _, argument in arguments(sentence):
                if "term" in argument:
                    used.add("term." + argument["term"])
        return used

    def sentences(self) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """Place and sentence, throughout the judgement."""
        judgement, place = self.predicate["judgement"], "/predicate/judgement"
        for i, part in enumerate(judgement["answer"]):
            for j, sentence in enumerate(part["sentences"]):
                yield "%s/answer/%d/sentences/%d" % (place, i, j), sentence
        for name in ("timeline", "findings"):
            for i, line in enumerate(judgement[name]):
                yield "%s/%s/%d/sentence" % (place, name, i), line["sentence"]

    # --- Steps 16 to 18: content -------------------------------------------------------------------

    def step_16_disclosures(self) -> None:
        before = len(self.problems)
        self.content.read(self.file["disclosures"], "/disclosures", self.note)
        self.stop_if_any(before)
        try:
            for seq, leaf in [*self.payload.items(), *self.reads.items()]:
                self.content.entry(leaf, self.digests[seq], self.note)
            self.content.unreferenced()
        except Refused as refused:
            self.problems.append(refused.problem)
            raise Stop from None
        for seq in self.reads:
            self.check_read(seq)

    def check_read(self, seq: int) -> None:
        """What is shown of a recorded read: of this case's accesses alone."""
        place, accesses = "entry %d" % seq, self.accesses[seq]
        member = self.shown.get(self.digests[seq][0])
        if member is None:
            return
        value = member.value
        if (
            member.pointer != "/data/accesses"
            or not (isinstance(value, list) and value)
            or not all(is_placeholder(item) for item in value)
        ):
            self.note("custody.form", place, "What is shown is not a list of reads.")
            return
        elements = [item["..."] for item in value]
        if not set(accesses) <= set(elements):
            self.note("custody.form", place, "A read that is named is not among the entry's.")
        allowed = set()  # what may be shown beneath this entry
        for digest in elements:
            if digest not in self.shown or digest not in accesses:
                continue
            access = self.shown[digest].value
            if self.concerns_case(access):
                allowed.add(digest)
            allowed.update(self.cases_of(access))
        for digest, home in self.home.items():
            if home != seq or digest not in self.shown or digest == member.digest:
                continue
            if digest not in allowed:
                self.note("custody.foreign", place, "A read of another case is shown.")

    def cases_of(self, access: Any) -> List[str]:
        """Digests of those shown elements of `cases` in a read that are this report's case."""
        cases = access.get("cases") if isinstance(access, dict) else None
        return [
            item["..."]
            for item in (cases if isinstance(cases, list) else [])
            if is_placeholder(item)
            and item["..."] in self.shown
            and isinstance(self.shown[item["..."]].value, dict)
            and self.shown[item["..."]].value.get("case") == self.predicate.get("case")
        ]

    def concerns_case(self, access: Any) -> bool:
        """[Recorded reads]"""
        case = self.predicate.get("case")
        if not isinstance(access, dict) or case is None:
            return False
        return (
            access.get("case") == case
            or "cases_more" in access
            or "every_case" in access
            or bool(self.cases_of(access))
        )

    def step_17_states(self) -> None:
        """[The state of each digest]"""
        manifest: Dict[str, Tuple[str, Dict[str, Any]]] = {}  # by digest: place and line
        lines = [
            ("/predicate/withheld/%d" % index, line)
            for index, line in enumerate(self.predicate["withheld"])
        ]
        for place, line in lines:
            if line["digest"] in manifest:
                self.note("withheld.doubled", place, "The digest is named twice.")
                continue
            manifest[line["digest"]] = place, line
            if line["digest"] in self.shown:
                self.note("withheld.shown", place, "What is said to be withheld is shown.")
        for digest, seq in self.home.items():
            if digest in self.shown:
                self.state[digest] = "shown"
                continue
            if seq in self.reads and digest not in self.digests[seq] + self.accesses[seq]:
                continue  # a read of another case: no state
            covering = [erasure for erasure in self.erasures if erasure.covers(digest, seq)]
            for erasure in covering:
                erasure.explains = True
            if covering:
                self.state[digest] = "erased"
            elif digest in manifest:
                self.state[digest] = "withheld"
            else:
                self.state[digest] = "missing"
                why = "The disclosure %s is not there, and nothing says why." % digest
                self.note("content.missing", "entry %d" % seq, why)
        member_digests = {digest for digests in self.digests.values() for digest in digests}
        taken = {
            (self.home[digest], disclosure.pointer)
            for digest, disclosure in self.shown.items()
            if disclosure.is_member and digest in self.home
        }
        for digest, (place, line) in manifest.items():
            pointer = line.get("pointer")
            if pointer is None or digest not in member_digests or digest in self.shown:
                continue
            if not is_place(pointer):
                self.note("withheld.pointer", place, "`%s` is no place of an event." % pointer)
            elif (self.home[digest], pointer) in taken:
                why = "`%s` of entry %d is taken." % (pointer, self.home[digest])
                self.note("withheld.pointer", place, why)
            taken.add((self.home[digest], pointer))
        if "erased" not in self.state.values():
            for digest, (place, line) in manifest.items():
                if digest not in self.home:
                    why = "No entry refers to what is said to be withheld."
                    self.note("withheld.unreferenced", place, why)
        self.manifest = set(manifest)
        self.hidden = {
            self.home[digest]
            for digest, state in self.state.items()
            if state != "shown" and self.home[digest] in self.payload
        }
        for erasure in self.erasures:
            if erasure.outside and not erasure.explains:
                why = "It erased nothing of this report."
                self.note("evidence.unneeded", "entry %d" % erasure.seq, why)

    def step_18_case_ids(self) -> None:
        of_case = {leaf.seq for leaf in self.entries_of_case()}
        values = {
            canonical(disclosure.value)
            for digest, disclosure in self.shown.items()
            if disclosure.pointer == "/case_id" and self.home[digest] in of_case
        }
        if len(values) > 1:
            self.note("case.ids", "/disclosures", "The entries of the case have different ids.")

    # --- Step 19: references of the judgement ------------------------------------------------------

    def step_19_references(self) -> None:
        """[References of the judgement]"""
        judgement, place = self.predicate["judgement"], "/predicate/judgement"
        everywhere = list(self.payload)
        if "recommendation" in self.predicate["subject"]:
            datum = self.predicate["subject"]["recommendation"]
            self.check_datum(datum, everywhere, "/predicate/subject/recommendation")
        for where, sentence in self.sentences():
            for seq in sentence["entries"]:
                self.check_position(seq, where + "/entries")
            for name, argument in arguments(sentence):
                at = "%s/args/%s" % (where, name)
                if "seq" in argument:
                    self.check_position(argument["seq"], at)
                    if argument["member"] not in LEAF_MEMBERS:
                        why = "A leaf has no member `%s`." % argument["member"]
                        self.note("judgement.reference", at, why)
                elif "digest" in argument:
                    self.check_datum(argument, sentence["entries"] or everywhere, at)
        for index, line in enumerate(judgement["findings"]):
            if line["sentence"]["template"] != "finding." + line["code"]:
                why = "Its template is not `finding.%s`." % line["code"]
                self.note("judgement.reference", "%s/findings/%d" % (place, index), why)
        for index, line in enumerate(judgement["timeline"]):
            self.check_position(line["seq"], "%s/timeline/%d" % (place, index))
        for index, edge in enumerate(judgement["graph"]):
            at = "%s/graph/%d" % (place, index)
            self.check_position(edge["from"], at + "/from")
            self.check_position(edge["to"], at + "/to")
            self.check_datum(edge["by"], [edge["from"]], at + "/by")

    def check_position(self, seq: int, place: str) -> None:
        if seq not in self.payload:
            self.note("judgement.reference", place, "There is no entry %d in the payload." % seq)

    def check_datum(self, datum: Dict[str, Any], entries: List[int], place: str) -> None:
        """A datum of a sentence that rests on `entries`."""
        digest, tokens = datum["digest"], pointer_tokens(datum["at"])
        if not is_digest(digest) or tokens is None:
            self.note("judgement.reference", place, "It is not a digest and a pointer.")
        elif digest in self.shown:
            if not value_at(self.shown[digest].value, tokens):
                why = "There is nothing at `%s`." % datum["at"]
                self.note("judgement.reference", place, why)
        elif digest not in self.home and digest not in self.manifest:
            # It can only lie beneath something that is not shown.
            if not any(seq in self.hidden for seq in entries):
                why = "The digest %s is nowhere in the report." % digest
                self.note("judgement.reference", place, why)

    # --- Step 20 and the verdicts ------------------------------------------------------------------

    def step_20_outside_checkpoints(self) -> None:
        here = self.opened.checkpoint
        roots = {here.size: here.root}
        for proof in self.file["evidence"].get("consistency", []):
            roots[proof["size"]] = base64_bytes(proof["root"])
        for bridge in self.bridges:
            roots[bridge.checkpoint.size] = bridge.checkpoint.root
            self.words += [(bridge.checkpoint.size, time) for time in bridge.witnesses.values()]
        self.words += [(here.size, time) for time in self.opened.witnesses.values()]
        for index, data in enumerate(self.outside_checkpoints):
            place = "checkpoint %d from outside" % (index + 1)
            checkpoint = self.usable(data)
            if checkpoint is None:
                why = "It is not a checkpoint of this ledger that a pinned key signed."
                self.note("outside.unusable", place, why)
            elif checkpoint.size not in roots:
                continue
            elif checkpoint.root == roots[checkpoint.size]:
                self.anchored = True
                self.words.append((checkpoint.size, None))
            elif checkpoint.size <= here.size:
                why = "The ledger showed someone another history of %d entries." % checkpoint.size
                self.note("outside.contradiction", place, why)
        self.check_stolen_keys()

    def check_stolen_keys(self) -> None:
        """[Stolen keys]"""

        def covered(key: VerifierKey) -> int:
            since = self.stolen[key]
            return max((size for size, time in self.words if is_older(time, since)), default=0)

        for index, (key, span) in enumerate(self.checkpoint_keys):
            if key not in self.stolen or (span.last is not None and covered(key) >= span.last):
                continue
            first, end = max(covered(key), span.first), None
            for later, later_span in self.checkpoint_keys[index + 1 :]:
                if later in self.pinned:
                    end = later_span.first
                    break
            for seq, _ in self.entries():
                if first <= seq and (end is None or seq < end):
                    why = "The key %s was stolen, and nothing from outside is older." % key.hint
                    self.note("key.compromised", "entry %d" % seq, why)
        if self.report_key in self.stolen and covered(self.report_key) <= self.own.seq:
            why = "The report key was stolen, and nothing from outside is older."
            self.note("key.compromised", "entry %d" % self.own.seq, why)

    def usable(self, data: bytes) -> Optional[Checkpoint]:
        """A checkpoint of this ledger on which a signature of a trusted key of the ledger (at a
        size that it signs) or of a pinned witness verifies, and none fails. [Signed notes]"""
        try:
            checkpoint = Checkpoint.parse(data)
        except ValueError:
            return None
        if checkpoint.origin != self.predicate["ledger"]:
            return None
        spans = self.trusted.spans
        keys = [key for key in spans if spans[key].holds(checkpoint.size)]
        keys += [key for key in self.pinned if key.type == TYPE_COSIGNATURE]
        found = [
            key.verify(checkpoint.note.text, line.signature)
            for key in keys
            for line in checkpoint.note.lines
            if line.is_of(key)
        ]
        return checkpoint if found and all(found) else None

    def verdicts(self) -> Dict[str, Any]:
        """[Verdicts]"""
        integrity = [p for p in self.problems if p.touches == "integrity"]
        intact = not integrity
        if any(p.touches == "sequence" for p in self.problems):
            sequence = "broken"
        elif not intact or "case" not in self.predicate:
            sequence = "not_established"
        else:
            sequence = "complete"
        if integrity and integrity[0].code == "outside.contradiction":
            freshness = "contradicted"
        elif not intact:
            freshness = "not_proven"
        elif vouched_at(self.brought.policy, self.opened.witnesses) is not None:
            freshness = "witnessed"
        else:
            freshness = "anchored" if self.anchored else "not_proven"
        verdicts = {
            "integrity": "intact" if intact else "broken",
            "sequence": sequence,
            "freshness": freshness,
        }
        if integrity and all(p.code == "key.compromised" for p in integrity):
            verdicts["integrity"] = "unprovable"
        for name in ("elements", "controls"):
            if intact:
                stated = self.predicate["judgement"][name]
                verdicts[name] = {"value": stated, "basis": "stated"}
            else:
                verdicts[name] = {"value": "not_established"}
        return verdicts

    def remarks(self) -> List[str]:
        """What a reader wants to know of a report that is intact. Nothing is said of another:
        nothing of a payload is shown before its signature has been checked."""
        if any(p.touches == "integrity" for p in self.problems):
            return []
        p, states = self.predicate, Counter(self.state.values())
        lines = [
            "Report %s of ledger %s, put on record %s as entry %d."
            % (p["report"], p["ledger"], self.own.recorded, self.own.seq),
            "It rests on %d entries (%d to %d), proven in the ledger of %d entries."
            % (len(self.payload), min(self.payload), max(self.payload), self.opened.checkpoint.size),
            "Content: %d disclosures shown, %d withheld, %d erased."
            % (states["shown"], states["withheld"], states["erased"]),
        ]
        lines += [
            "Cosigned by the witness %s, %d seconds after 1970-01-01T00:00:00Z." % (key.name, time)
            for key, time in self.opened.witnesses.items()
        ]
        return lines


def erasure_of(leaf: Leaf, outside: bool) -> Optional[Erasure]:
    """What an entry erased; None when it is of another type or its fact is not of its form."""
    if leaf.type not in ERASURES or leaf.fact is None:
        return None
    ranges, digests = leaf.fact.get("ranges", []), leaf.fact.get("digests", [])
    if not isinstance(ranges, list) or not isinstance(digests, list):
        return None
    for pair in ranges:
        if not isinstance(pair, list) or len(pair) != 2 or not all(is_count(n) for n in pair):
            return None
        if not pair[0] <= pair[1] < leaf.seq:
            return None
    if not all(is_digest(digest) for digest in digests):
        return None
    return Erasure(leaf.seq, ranges, set(digests), outside)


def case_link(leaf: Leaf, count: int, link: str) -> Optional[str]:
    """The code under which an entry is refused that should be number `count` of its case and
    follow the entry with the hash `link`."""
    if leaf.case_seq != count:
        return "case.gap" if leaf.case_seq > count else "case.doubled"
    return "case.prev" if leaf.case_prev != link else None


def arguments(sentence: Dict[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Name and argument, those within lists too."""

    def walk(name: str, argument: Dict[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
        yield name, argument
        for item in argument.get("list", []):
            yield from walk(name, item)

    for name, argument in sentence.get("args", {}).items():
        yield from walk(name, argument)
