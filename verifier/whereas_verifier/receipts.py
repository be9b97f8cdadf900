"""Receipts, and a posted event against its entry. Sections [Receipts] and
[Checking a posted event against its entry]."""

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .basics import base64_bytes, is_hex, producer_time
from .disclosures import DECLARED, SPLIT, Disclosure, commitment, is_placeholder
from .keys import VerifierKey
from .leaf import Leaf, read_leaf
from .notes import Checkpoint
from .policy import vouched_at
from .problems import Problem, Refused, Result
from .strict_json import FILE_LIMITS, JsonError, canonical, pointer_escape, read_json
from .tree import verify_inclusion
from .trust import Brought, Trusted, only_stolen_keys, stolen_with_heirs


@dataclass
class Receipt:
    leaf: bytes
    index: int
    path: List[bytes]
    checkpoint: bytes

    @staticmethod
    def parse(data: bytes) -> "Receipt":
        """Raises ValueError with the reason (`receipt.form`)."""
        split = data.find(b"\n\n")
        if split < 0:
            raise ValueError("there is no empty line before the checkpoint")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        lines = data[:split].decode("utf-8").split("\n")
        if lines[0] != "c2sp.org/tlog-proof@v1":
            raise ValueError("its first line is not `c2sp.org/tlog-proof@v1`")
        if len(lines) < 3 or not lines[1].startswith("extra "):
            raise ValueError("its second line is not `extra` with the leaf")
        leaf = base64_bytes(lines[1][len("extra ") :])
        if leaf is None:
            raise ValueError("the leaf is not base64")
        index = re.fullmatch("index (0|[1-9][0-9]{0,19})", lines[2])
        if not index or int(index.group(1)) >= 2**64:
            raise ValueError("its third line is not `index` with a number")
        path = [base64_bytes(line) for line in lines[3:]]
        if len(path) > 64 or any(step is None or len(step) != 32 for step in path):
            raise ValueError("the proof is not at most 64 hashes in base64")
        return Receipt(leaf, int(index.group(1)), path, data[split + 2 :])


def verify_receipt(
    data: bytes,
    pinned: List[VerifierKey],
    event: Optional[bytes] = None,
    disclosures: Optional[List[str]] = None,
    source: Optional[str] = None,
    brought: Brought = Brought(),
) -> Result:
    problems: List[Problem] = []
    verdicts = {"integrity": "broken", "freshness": "not_proven", "event": "not_checked"}
    result = Result(verdicts, problems)
    try:
        try:
            receipt = Receipt.parse(data)
        except ValueError as error:
            raise Refused("receipt.form", "receipt", "The receipt: %s." % error) from None
        trusted = Trusted(origin_of(receipt.checkpoint), pinned)
        if brought.bridges is not None:
            trusted.cross_file(brought.bridges)
        opened = trusted.open(receipt.checkpoint)
        checkpoint = opened.checkpoint
        leaf = read_leaf(receipt.leaf, checkpoint.origin, "leaf")
        if leaf.seq != receipt.index:
            why = "The leaf is at position %d, the proof at %d." % (leaf.seq, receipt.index)
            raise Refused("receipt.index", "index", why)
        if not verify_inclusion(
            leaf.hash, receipt.index, checkpoint.size, receipt.path, checkpoint.root
        ):
            why = "The hashes do not lead from the leaf to the checkpoint's root."
            raise Refused("receipt.inclusion", "path", why)
        stolen = stolen_with_heirs(trusted, brought)
        if only_stolen_keys(opened.signers, list(opened.witnesses.values()), stolen):
            verdicts["integrity"] = "unprovable"
            why = "Somebody else may have held the key that signed, and no witness was earlier."
            raise Refused("key.compromised", "checkpoint", why)
    except Refused as refused:
        problems.append(refused.problem)
    if problems:
        return result
    verdicts["integrity"] = "intact"
    result.remarks.append(
        "Entry %d of %s, of type %s, recorded %s, stands in the ledger of %d entries."
        % (leaf.seq, checkpoint.origin, leaf.type, leaf.recorded, checkpoint.size)
    )
    if vouched_at(brought.policy, opened.witnesses) is not None:
        verdicts["freshness"] = "witnessed"
    if event is not None:
        problems += compare_event(event, disclosures or [], leaf, source)
        verdicts["event"] = "differs" if problems else "whole"
    return result


def origin_of(checkpoint: bytes) -> str:
    """Its first line. Raises Refused."""
    try:
        return Checkpoint.parse(checkpoint).origin
    except ValueError as error:
        raise Refused("checkpoint.form", "checkpoint", "The checkpoint: %s." % error) from None


def native_event(event: Dict[str, Any]) -> Dict[str, Any]:
    """A flat audit event in native form; any other event as it is. [Which member goes where]"""
    if "audit_event_id" not in event or "type" in event:
        return event
    native: Dict[str, Any] = {"type": "ai.audit"}
    rest: Dict[str, Any] = {}
    renamed = {"audit_event_id": "id", "timestamp": "time"}
    for name, value in event.items():
        if name in renamed:
            native[renamed[name]] = value
        elif name == "user_id":
            native["actor"] = {"id": value}
        elif name in ("request_id", "trace_id", "case_id", "source"):
            native[name] = value
        else:
            rest[name] = value
    if rest:
        native["data"] = rest
    return native


def event_members(event: Dict[str, Any], leaf: Leaf) -> Dict[str, Any]:
    """Pointer and value of each member that is disclosed, `null` left out."""
    found: Dict[str, Any] = {}
    for name, value in event.items():
        if name == "type":
            continue
        if name == "time" and isinstance(value, str):
            # Exactly kept in the leaf, so not disclosed.
            plain = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"
            if re.fullmatch(plain, value) and producer_time(value) is not None:
                continue
        if name == "trace_id" and is_w3c(value, 32):
            continue
        # A span without a trace is not in the leaf, so it is disclosed.
        if name == "span_id" and is_w3c(value, 16) and event.get("trace_id") is not None:
            continue
        if name in SPLIT and isinstance(value, dict) and value:
            for inner, inner_value in value.items():
                found["/%s/%s" % (name, pointer_escape(inner))] = inner_value
        elif name in DECLARED:
            found["/" + name] = value
        else:
            found["/ext/" + pointer_escape(name)] = value
    return {pointer: value for pointer, value in found.items() if value is not None}


def is_w3c(value: Any, digits: int) -> bool:
    """An id that the leaf holds as it is."""
    return is_hex(value, digits) and value.strip("0") != ""


def compare_event(
    data: bytes, texts: List[str], leaf: Leaf, source: Optional[str] = None
) -> List[Problem]:
    """[Checking a posted event against its entry]"""
    try:
        event = read_json(data, FILE_LIMITS)
    except JsonError as error:
        return [Problem("event.form", "event", "The event is not strict JSON: %s." % error)]
    if not isinstance(event, dict):
        return [Problem("event.form", "event", "The event is not an object.")]
    event = native_event(event)
    if source is not None:
        event.setdefault("source", source)
    try:
        committed = committed_members(texts, leaf)
    except ValueError as error:
        return [Problem("event.disclosures", "disclosures", "The disclosures: %s." % error)]
    posted = event_members(event, leaf)
    problems: List[Problem] = []

    def note(code: str, place: str, why: str) -> None:
        problems.append(Problem(code, place, why))

    for pointer in sorted(posted):
        if pointer not in committed:
            note("event.absent", pointer, "The entry is not committed to this member.")
        elif canonical(posted[pointer]) != canonical(committed[pointer]):
            note("event.differs", pointer, "The entry is committed to another value.")
    for pointer in sorted(committed):
        if pointer not in posted:
            note("event.added", pointer, "The entry is committed to a member that was not posted.")
    if event.get("type") != leaf.type:
        note("event.differs", "/type", "The entry's type is %s." % leaf.type)
    if producer_time(event.get("time")) != producer_time(leaf.occurred):
        note("event.differs", "/time", "The entry says %s." % leaf.occurred)
    trace, span = event.get("trace_id"), event.get("span_id")
    if not same_id(trace, leaf.trace, 32):
        note("event.differs", "/trace_id", "The entry has another trace, or none, or one too many.")
    if not same_id(span if trace is not None else None, leaf.span, 16):
        note("event.differs", "/span_id", "The entry has another span, or none, or one too many.")
    if (event.get("case_id") is None) != (leaf.case is None):
        note("event.differs", "/case_id", "Only one of event and entry belongs to a case.")
    return problems


def same_id(posted: Any, kept: Optional[str], digits: int) -> bool:
    """An id of another form than W3C's stands in the leaf as a keyed image, which only the holder
    of the key can compare: here it is enough that both are there."""
    if posted is None or kept is None:
        return posted is None and kept is None
    return posted == kept if is_w3c(posted, digits) else True


def committed_members(texts: List[str], leaf: Leaf) -> Dict[str, Any]:
    """The members that an entry is committed to, by pointer, with placeholders replaced by their
    elements and `null` left out. Raises ValueError."""
    found: Dict[str, Disclosure] = {}
    referred: List[str] = []
    for text in texts:
        disclosure = Disclosure.parse(text)
        if disclosure.digest in found:
            raise ValueError("one stands twice")
        found[disclosure.digest] = disclosure
        digests, wrong = disclosure.placeholders()
        wrong = wrong or disclosure.pointer_problem()
        if wrong:
            raise ValueError(wrong)
        referred += digests
    members = [d for d in found.values() if d.is_member]
    if commitment([d.digest for d in members]) != leaf.content:
        raise ValueError("they are not the ones that the entry is committed to")
    if sorted(referred) != sorted(d.digest for d in found.values() if not d.is_member):
        raise ValueError("elements and placeholders do not match one to one")
    if len({d.pointer for d in members}) != len(members):
        raise ValueError("two have the same pointer")

    def resolve(value: Any) -> Any:
        if is_placeholder(value):
            return resolve(found[value["..."]].value)
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if isinstance(value, dict):
            return {name: resolve(item) for name, item in value.items()}
        return value

    return {d.pointer: resolve(d.value) for d in members if d.value is not None}
