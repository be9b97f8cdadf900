"""The leaf. Sections [The leaf] and [Service entries]."""

from dataclasses import dataclass
from typing import Any, Dict, Optional

from .basics import is_count, is_digest, is_hex, is_time
from .problems import Refused
from .strict_json import LEAF_LIMITS, JsonError, canonical, read_json
from .tree import leaf_hash

SERVICE_TYPES = {
    "ledger.created", "trace.sealed", "report.issued", "record.accessed", "access.denied",
    "post.conflicted", "content.erased", "retention.applied", "hold.placed", "hold.released",
    "key.rotated", "principal.changed", "policy.changed", "clock.stepped",
}  # fmt: skip
ERASURES = ("content.erased", "retention.applied")


def is_service_type(name: str) -> bool:
    return name in SERVICE_TYPES or name.startswith("incident.")


def is_nonempty_string(value: Any) -> bool:
    return isinstance(value, str) and value != ""


LEAF_MEMBERS = {
    "v": lambda v: is_count(v) and v == 1,
    "ledger": is_nonempty_string,
    "seq": is_count,
    "prev": lambda v: is_hex(v, 64),
    "type": is_nonempty_string,
    "eid": is_digest,
    "occurred": is_time,
    "recorded": is_time,
    "producer": lambda v: is_hex(v, 32),
    "case": lambda v: is_hex(v, 32),
    "case_seq": is_count,
    "case_prev": lambda v: is_hex(v, 64),
    "trace": lambda v: is_hex(v, 32),
    "span": lambda v: is_hex(v, 16),
    "content": is_digest,
    "fact": lambda v: isinstance(v, dict),
}
LEAF_REQUIRED = ("v", "ledger", "seq", "prev", "type", "eid", "occurred", "recorded", "producer")
LEAF_CASE = ("case", "case_seq", "case_prev")


@dataclass
class Leaf:
    members: Dict[str, Any]
    hash: bytes

    def __getattr__(self, name: str) -> Any:
        """`leaf.seq`, `leaf.case`, …: a member, or None where it is absent."""
        if name in LEAF_MEMBERS:
            return self.members.get(name)
        raise AttributeError(name)

    def fact_of(self, name: str) -> Any:
        return (self.fact or {}).get(name)


def read_leaf(data: bytes, origin: str, place: str) -> Leaf:
    """The refusals of [The leaf], in their order. Raises Refused."""

    def refuse(code: str, why: str, leaf: Optional[Leaf] = None) -> None:
        refused = Refused(code, place, why)
        refused.leaf = leaf
        raise refused

    if len(data) > 65_535:
        refuse("leaf.form", "The leaf is longer than 65,535 bytes.")
    try:
        found = read_json(data, LEAF_LIMITS)
    except JsonError as error:
        raise Refused("leaf.form", place, "The leaf is not strict JSON: %s." % error) from None
    if not isinstance(found, dict):
        refuse("leaf.form", "The leaf is not an object.")
    for name in LEAF_REQUIRED:
        if name not in found:
            refuse("leaf.form", "The leaf lacks `%s`." % name)
    for name, has_form in LEAF_MEMBERS.items():
        if name in found and not has_form(found[name]):
            refuse("leaf.form", "The leaf's `%s` is not of its form." % name)
    if len([name for name in LEAF_CASE if name in found]) in (1, 2):
        refuse("leaf.form", "The leaf has not all three members of a case, or none.")
    for name in found:
        if name not in LEAF_MEMBERS:
            refuse("leaf.unknown_member", "The leaf has a member `%s`." % name)
    if "span" in found and "trace" not in found:
        refuse("leaf.form", "The leaf has a span and no trace.")
    if canonical(found).encode() != data:
        refuse("leaf.not_canonical", "The leaf is not in canonical form.")
    leaf = Leaf(found, leaf_hash(data))
    if found["ledger"] != origin:
        refuse("leaf.origin", "The leaf is of ledger %s." % found["ledger"], leaf)
    if "fact" in found and not is_service_type(found["type"]):
        why = "A fact stands in an entry of type %s, which is none of the service's own."
        refuse("leaf.fact", why % found["type"], leaf)
    return leaf
