"""The form of a report's file and payload. Sections [The report file], [The payload] and
[Sentences and catalogues]: exactly the members listed, each of its kind.

A shape is a function of a value and its place (a JSON pointer, for the message). It raises
FormError at the first thing that is not of its form.
"""

import re
from typing import Any, Callable, Dict, Optional

from .basics import base64_bytes, is_count, is_digest, is_hex, is_time

Shape = Callable[[Any, str], None]


class FormError(Exception):
    """What is wrong (`file.form` or `payload.form`), and where."""

    def __init__(self, place: str, why: str):
        super().__init__(why)
        self.place = place


# --- Building blocks ---------------------------------------------------------------------------


def kind(name: str, test: Callable[[Any], bool]) -> Shape:
    def check(value: Any, place: str) -> None:
        if not test(value):
            raise FormError(place, "it is not %s" % name)

    return check


def members(required: Dict[str, Shape], optional: Optional[Dict[str, Shape]] = None) -> Shape:
    """An object with exactly these members."""
    known = {**required, **(optional or {})}

    def check(value: Any, place: str) -> None:
        a_object(value, place)
        for name in value:
            if name not in known:
                raise FormError("%s/%s" % (place, name), "there is no such member")
        for name, shape in known.items():
            if name in value:
                shape(value[name], "%s/%s" % (place, name))
            elif name in required:
                raise FormError("%s/%s" % (place, name), "it is absent")

    return check


def list_of(shape: Shape, empty: bool = True) -> Shape:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise FormError(place, "it is not a list")
        if not value and not empty:
            raise FormError(place, "an optional list is left out when it is empty")
        for index, item in enumerate(value):
            shape(item, "%s/%d" % (place, index))

    return check


def object_of(shape: Shape, empty: bool = True) -> Shape:
    """An object with members of any name."""

    def check(value: Any, place: str) -> None:
        a_object(value, place)
        if not value and not empty:
            raise FormError(place, "an optional object is left out when it is empty")
        for name, item in value.items():
            shape(item, "%s/%s" % (place, name))

    return check


def one_of(alternatives: Dict[str, Shape]) -> Shape:
    """An object whose form is told by which of these members it has."""

    def check(value: Any, place: str) -> None:
        a_object(value, place)
        for name, shape in alternatives.items():
            if name in value:
                return shape(value, place)
        raise FormError(place, "it has none of the members " + ", ".join(alternatives))

    return check


def anything(value: Any, place: str) -> None:
    pass


a_object = kind("an object", lambda v: isinstance(v, dict))
a_string = kind("a string", lambda v: isinstance(v, str))
a_count = kind("an integer from 0", is_count)
a_time = kind("a time", is_time)
a_digest = kind("32 bytes in base64url", is_digest)
an_id = kind("32 hex digits", lambda v: is_hex(v, 32))
a_hex_hash = kind("64 hex digits", lambda v: is_hex(v, 64))
a_base64_hash = kind(
    "32 bytes in base64", lambda v: isinstance(v, str) and len(base64_bytes(v) or b"") == 32
)


def word(*words: str) -> Shape:
    return kind("one of " + ", ".join(words), lambda v: isinstance(v, str) and v in words)


# --- The file ------------------------------------------------------------------------------------

EVIDENCE_ENTRY = one_of(
    {
        "leaf": members({"leaf": a_string, "path": list_of(a_base64_hash)}),
        "seq": members({"seq": a_count, "path": list_of(a_base64_hash)}),
    }
)

CONSISTENCY = members({"size": a_count, "root": a_base64_hash, "path": list_of(a_base64_hash)})

BRIDGE = members(
    {
        "leaf": a_string,
        "path": list_of(a_base64_hash),
        "checkpoint": a_string,
        "consistency": list_of(a_base64_hash),
    }
)

BRIDGES_FILE = members({"checkpoint": a_string, "bridges": list_of(BRIDGE)})

EVIDENCE = members(
    {"checkpoint": a_string, "entries": list_of(EVIDENCE_ENTRY)},
    {"consistency": list_of(CONSISTENCY, empty=False), "bridges": list_of(BRIDGE, empty=False)},
)

# The payload's encoding, the number of signatures and the signature itself have codes of their
# own (`envelope.*`).
ENVELOPE = members(
    {
        "payload": a_string,
        "payloadType": a_string,
        "signatures": list_of(members({"keyid": a_string, "sig": a_string})),
    }
)

FILE = members(
    {
        "envelope": ENVELOPE,
        "disclosures": list_of(a_string),
        "evidence": EVIDENCE,
        "catalogues": object_of(a_string),
    }
)

# --- The judgement -------------------------------------------------------------------------------

# The digest and the pointer of a datum are looked at with the references (`judgement.reference`).
DATUM = members({"digest": a_string, "at": a_string})


def argument(value: Any, place: str) -> None:
    """One of the five forms; a list holds arguments again."""
    one_of(
        {
            "digest": DATUM,
            "seq": members({"seq": a_count, "member": a_string}),
            "count": members({"count": a_count}),
            "term": members({"term": a_string}),
            "list": members({"list": list_of(argument)}),
        }
    )(value, place)


SENTENCE = members(
    {"template": a_string, "entries": list_of(a_count)}, {"args": object_of(argument, empty=False)}
)

SECTIONS = (
    "summary", "reasons", "authority", "basis", "checks", "approval", "action", "outcome", "limits",
)  # fmt: skip
RELATIONS = (
    "used", "was_generated_by", "was_derived_from", "was_informed_by", "acted_on_behalf_of",
    "was_associated_with",
)  # fmt: skip
OUTCOME = word("good", "bad", "undetermined", "not_applicable")

JUDGEMENT = members(
    {
        "answer": list_of(members({"section": word(*SECTIONS), "sentences": list_of(SENTENCE)})),
        "timeline": list_of(members({"seq": a_count, "sentence": SENTENCE})),
        "findings": list_of(
            members(
                {
                    "code": a_string,
                    "severity": word("info", "warning", "error", "critical"),
                    "sentence": SENTENCE,
                }
            )
        ),
        "graph": list_of(
            members({"from": a_count, "relation": word(*RELATIONS), "to": a_count, "by": DATUM})
        ),
        "elements": OUTCOME,
        "controls": OUTCOME,
        "profile_rule": kind("an index or null", lambda v: v is None or is_count(v)),
    }
)

# --- The payload ---------------------------------------------------------------------------------


def one_subject(value: Any, place: str) -> None:
    list_of(members({"name": a_string, "digest": members({"sha256": a_hex_hash})}))(value, place)
    if len(value) != 1:
        raise FormError(place, "there is not exactly one subject")


PREDICATE = members(
    {
        "v": a_count,
        "report": an_id,
        "ledger": a_string,
        "issued": a_time,
        "audience": members({"role": a_string, "requester": an_id}),
        "purpose": a_string,
        "subject": one_of(
            {
                "case": members({"case": an_id}),
                "trace": members({"trace": an_id}),
                "recommendation": members({"recommendation": DATUM}),
            }
        ),
        "window": members({"first": a_count, "last": a_count}),
        "software": members({"name": a_string, "version": a_string}),
        "profile": members({"json": anything, "sha256": a_hex_hash}),
        "catalogues": object_of(a_hex_hash),
        "entries": list_of(members({"leaf": a_string, "digests": list_of(a_digest)})),
        "judgement": JUDGEMENT,
        "withheld": list_of(
            members(
                {"digest": a_digest, "ground": a_string, "authority": a_string},
                {"pointer": a_string},
            )
        ),
    },
    {
        "case": an_id,
        "supersedes": an_id,
        "custody": list_of(
            members(
                {"leaf": a_string, "digests": list_of(a_digest), "accesses": list_of(a_digest)}
            ),
            empty=False,
        ),
        "custody_left_out": a_count,
    },
)

PAYLOAD = members(
    {"_type": a_string, "predicateType": a_string, "subject": one_subject, "predicate": PREDICATE}
)


def is_role(value: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", value) is not None


def is_language(value: str) -> bool:
    return (
        len(value) <= 35 and re.fullmatch(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*", value) is not None
    )
