"""Leaves without a fact, read fast: an expression that matches nothing but leaves in canonical
form. What it does not match goes to the strict reader, which decides."""

import re
from typing import Any, Callable, Dict

from .basics import is_time
from .leaf import Leaf, read_leaf
from .tree import leaf_hash

HASH, COUNT = "([0-9a-f]{64})", "(0|[1-9][0-9]{0,14})"
DIGEST = "([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])"
TIME = r"([12][0-9]{3}-[0-9]{2}-[0-9]{2})(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z)"


class FastLeaf:
    """The members of a leaf that a check needs. Names as of `Leaf`."""

    __slots__ = (
        "hash", "seq", "prev", "type", "eid", "occurred", "recorded", "case", "case_seq",
        "case_prev", "content",
    )  # fmt: skip
    fact = None

    def fact_of(self, name: str) -> Any:
        return None


def leaf_reader(origin: str) -> Callable[[bytes, str], Any]:
    """A function of a leaf's bytes and place, to a FastLeaf or a Leaf. It raises Refused."""
    pattern = re.compile(
        r'\{(?:"case":"([0-9a-f]{32})","case_prev":"' + HASH + '","case_seq":' + COUNT + ",)?"
        r'(?:"content":"' + DIGEST + '",)?"eid":"' + DIGEST + '","ledger":"' + re.escape(origin)
        + r'","occurred":"' + TIME + '","prev":"' + HASH + r'","producer":"[0-9a-f]{32}",'
        r'"recorded":"' + TIME + r'","seq":' + COUNT + r'(?:,"span":"[0-9a-f]{16}"(?=,"trace))?'
        r'(?:,"trace":"[0-9a-f]{32}")?,"type":"([ -!#-\[\]-~]+)","v":1\}'
    )  # fmt: skip
    dates: Dict[str, bool] = {}

    def is_date(text: str) -> bool:
        if text not in dates:
            dates.clear() if len(dates) > 10_000 else None
            dates[text] = is_time(text + "T00:00:00.000000Z")
        return dates[text]

    def read(data: bytes, place: str) -> Any:
        found = None
        if data.isascii() and len(data) <= 65_535:
            found = pattern.fullmatch(data.decode("ascii"))
        if found is None:
            return read_leaf(data, origin, place)
        (case, case_prev, case_seq, content, eid, occurred_on, occurred_at, prev, recorded_on,
         recorded_at, seq, kind) = found.groups()  # fmt: skip
        if not is_date(occurred_on) or not is_date(recorded_on):
            return read_leaf(data, origin, place)
        leaf = FastLeaf()
        leaf.hash, leaf.seq, leaf.prev, leaf.type, leaf.eid = (
            leaf_hash(data), int(seq), prev, kind, eid,
        )  # fmt: skip
        leaf.occurred, leaf.recorded = occurred_on + occurred_at, recorded_on + recorded_at
        leaf.case, leaf.case_prev, leaf.content = case, case_prev, content
        leaf.case_seq = None if case_seq is None else int(case_seq)
        return leaf

    return read
