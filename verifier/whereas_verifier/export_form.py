"""The form of the members of an export. Section [The export file]."""

import json
from typing import Any, Callable, Dict, Iterator, List

from .basics import is_origin
from .problems import Refused
from .report_form import BRIDGE, Shape, a_count, a_string, a_time, an_id, kind, list_of, members
from .strict_json import FILE_LIMITS, JsonError, read_json

RANGE = members({"range": members({"first": a_count, "last": a_count})})
CASE = members({"case": members({"case": an_id})})
CONTENTS = ("none", "digests", "disclosed", "sealed")


def signed_note(line: Dict[str, Any]) -> bytes:
    """A checkpoint of a list, with the lines of the witnesses that cosigned it."""
    lines = [text + "\n" for text in line.get("cosignatures", [])]
    return (line["note"] + "".join(lines)).encode()


def a_scope(value: Any, place: str) -> None:
    if value != "whole":
        (CASE if isinstance(value, dict) and "case" in value else RANGE)(value, place)


MANIFEST = members(
    {
        "v": kind("1", lambda v: v == 1 and not isinstance(v, bool)),
        "ledger": kind("an origin", is_origin),
        "size": a_count,
        "scope": a_scope,
        "content": kind("one of " + ", ".join(CONTENTS), lambda v: v in CONTENTS),
        "exported": a_time,
        "software": a_string,
    }
)
CHECKPOINT = members(
    {"size": a_count, "note": a_string}, {"cosignatures": list_of(a_string, empty=False)}
)
BRIDGES = members({"bridges": list_of(BRIDGE, empty=False)})
SEALED = members({"seq": a_count, "slot": a_string, "sealed": a_string})
END = members({"entries": a_count})
DIGESTS = {"digests": list_of(a_string)}
DISCLOSURES = {"disclosures": list_of(a_string)}


def content_shape(content: str) -> Shape:
    return members({"seq": a_count, **DIGESTS}, DISCLOSURES if content == "disclosed" else {})


def part_shape(content: str) -> Shape:
    optional = {} if content == "none" else dict(DIGESTS)
    if content == "disclosed":
        optional.update(DISCLOSURES)
    return members({"leaf": a_string, "path": list_of(a_string)}, optional)


def an_object(value: Any, place: str) -> None:
    kind("an object", lambda v: isinstance(v, dict))(value, place)


class Unsure(Exception):
    """The fast reader leaves a text to the strict one."""


def unsure(_: Any) -> Any:
    raise Unsure


def small_number(text: str) -> int:
    if len(text) > 15:
        raise Unsure
    return int(text)


def no_name_twice(pairs: List[Any]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unsure
    return found


FAST = json.JSONDecoder(
    object_pairs_hook=no_name_twice,
    parse_float=unsure,
    parse_int=small_number,
    parse_constant=unsure,
)


def read_line(data: bytes) -> Any:
    """Strict reading. Plain texts (ASCII, no escapes, small integers alone, few parts) are left to
    Python's own reader, which reads those alike. Raises JsonError."""
    if data.isascii() and b"\\" not in data and data.count(b"[") + data.count(b"{") < 60:
        if data.count(b":") < 4_000 and data.count(b",") < 900_000:
            try:
                return FAST.decode(data.decode("ascii"))
            except (Unsure, ValueError, RecursionError):
                pass
    return read_json(data, FILE_LIMITS)


def read_object(data: bytes, shape: Callable[[Any, str], None], name: str) -> Any:
    """An object of this form. Raises Refused (`export.form`) or FormError."""
    try:
        found = read_line(data)
    except JsonError as error:
        raise Refused("export.form", name, "It is not strict JSON: %s." % error) from None
    shape(found, "")
    return found


def read_list(data: bytes, shape: Callable[[Any, str], None], name: str) -> Iterator[Any]:
    if not data.endswith(b"\n"):
        raise Refused("export.form", name, "A list is empty, or its last line has no line feed.")
    for line in data[:-1].split(b"\n"):
        yield read_object(line, shape, name)


def tile_number(number: int) -> str:
    """`N` of the names: groups of three digits."""
    text = "%03d" % (number % 1000)
    while number >= 1000:
        number //= 1000
        text = "x%03d/%s" % (number % 1000, text)
    return text
