"""Problems and results. Section [Checking a report]."""

from dataclasses import dataclass, field
from typing import Any, Dict, List


@dataclass
class Problem:
    code: str
    place: str
    explanation: str

    @property
    def touches(self) -> str:
        """The verdict that a problem of this code touches."""
        if self.code.startswith("case."):
            return "sequence"
        if self.code == "outside.unusable":
            return "freshness"
        if self.code.startswith("event."):
            return "event"
        return "integrity"


class Refused(Exception):
    """A problem that ends the check in which it is found."""

    def __init__(self, code: str, place: str, explanation: str):
        super().__init__(code)
        self.parts = code, place, explanation
        self.problem = Problem(code, place, explanation)
        self.leaf: Any = None  # of `leaf.origin` and `leaf.fact`: it could be read


class Stop(Exception):
    """The check ends here; its problems are noted."""


@dataclass
class Result:
    verdicts: Dict[str, Any]
    problems: List[Problem]
    remarks: List[str] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        return not self.problems
