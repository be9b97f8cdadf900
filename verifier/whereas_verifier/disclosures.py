"""Disclosures and the places of an event. Section [From an event to disclosures]."""

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from .basics import base64url, base64url_bytes, is_digest, sha256
from .strict_json import DISCLOSURE_LIMITS, JsonError, canonical, pointer_tokens, read_json

DECLARED = (
    "id", "source", "type", "time", "case_id", "trace_id", "span_id", "request_id", "run_id",
    "feature", "actor", "subject", "refs", "recommendation_id", "approval_id", "causes",
    "sequence", "data",
)  # fmt: skip
SPLIT = ("actor", "subject", "data")


def is_place(pointer: str) -> bool:
    """Whether a pointer is one of [Which member goes where]."""
    tokens = pointer_tokens(pointer)
    if tokens is None:
        return False
    if len(tokens) == 1:
        return tokens[0] in DECLARED and tokens[0] != "type"
    if len(tokens) == 2 and tokens[0] == "ext":
        return tokens[1] not in DECLARED
    return len(tokens) == 2 and tokens[0] in SPLIT


@dataclass
class Disclosure:
    digest: str
    pointer: Optional[str]  # None: an element
    value: Any

    @property
    def is_member(self) -> bool:
        return self.pointer is not None

    @staticmethod
    def parse(text: str) -> "Disclosure":
        """Raises ValueError with the reason (`disclosure.form`)."""
        data = base64url_bytes(text)
        if data is None:
            raise ValueError("it is not base64url")
        try:
            parts = read_json(data, DISCLOSURE_LIMITS)
        except JsonError as error:
            raise ValueError("its text is not strict JSON: %s" % error) from None
        if canonical(parts).encode() != data:
            raise ValueError("its text is not in canonical form")
        if not isinstance(parts, list) or len(parts) not in (2, 3):
            raise ValueError("it is not an array of two or three parts")
        if not isinstance(parts[0], str) or len(base64url_bytes(parts[0]) or b"") != 16:
            raise ValueError("its salt is not 16 bytes")
        pointer = parts[1] if len(parts) == 3 else None
        if len(parts) == 3 and not (isinstance(pointer, str) and pointer.startswith("/")):
            raise ValueError("its second part is not a pointer")
        return Disclosure(base64url(sha256(text.encode())), pointer, parts[-1])

    def placeholders(self) -> Tuple[List[str], Optional[str]]:
        """The digests that the value refers to, in order; and what is wrong with the value's
        form, if anything is."""
        digests: List[str] = []
        wrong: List[str] = []

        def walk(value: Any) -> None:
            if isinstance(value, list):
                only_objects = value and all(isinstance(item, dict) for item in value)
                for item in value:
                    if only_objects and is_placeholder(item):
                        digests.append(item["..."])
                        continue
                    if only_objects:
                        wrong.append("an array of objects has an item that is no placeholder")
                    walk(item)
            elif isinstance(value, dict):
                for name, item in value.items():
                    if name in ("...", "_sd"):
                        wrong.append("a member `%s` stands outside a placeholder" % name)
                    walk(item)

        walk(self.value)
        if not self.is_member and not isinstance(self.value, dict):
            wrong.append("the value of an element is not an object")
        return digests, wrong[0] if wrong else None

    def pointer_problem(self) -> Optional[str]:
        """Why the pointer of a member is refused (`disclosure.pointer`), if it is."""
        if not self.is_member:
            return None
        if not is_place(self.pointer):
            return "`%s` is no place of an event" % self.pointer
        if self.pointer[1:] in SPLIT and self.value is not None and self.value != {}:
            return "`%s` stands alone with a value" % self.pointer
        return None


def is_placeholder(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["..."] and is_digest(value["..."])


def commitment(digests: List[str]) -> Optional[str]:
    """[Commitment]: `content` of an entry with these members; None without members."""
    if not digests:
        return None
    return base64url(sha256("".join(d + "\n" for d in sorted(digests)).encode()))
