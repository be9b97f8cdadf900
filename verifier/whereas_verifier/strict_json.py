"""JSON: strict reading, canonical form, pointers. Section [JSON]."""

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple


@dataclass(frozen=True)
class Limits:
    levels: int
    members: int
    elements: int


LEAF_LIMITS = Limits(32, 256, 1_000)
DISCLOSURE_LIMITS = Limits(40, 256, 1_000)
FILE_LIMITS = Limits(64, 4_096, 1_000_000)

MAX_SAFE = 2**53 - 1


class JsonError(Exception):
    """Why a text is refused. `kind`: `syntax`, `inexact` or `too_large`."""

    def __init__(self, kind: str, why: str):
        super().__init__(why)
        self.kind = kind


_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def read_json(data: bytes, limits: Limits) -> Any:
    """[Strict reading]. Objects become dicts, arrays lists; a number becomes an int when its
    value is whole and within 2^53-1, else a float."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError("syntax", "not UTF-8 at byte %d" % error.start) from None
    return _Reader(text, limits).whole()


class _Reader:
    def __init__(self, text: str, limits: Limits):
        self.text = text
        self.at = 0
        self.limits = limits

    def whole(self) -> Any:
        self.space()
        value = self.value(1)
        self.space()
        if self.at != len(self.text):
            raise self.syntax("more text after the value")
        return value

    def syntax(self, why: str) -> JsonError:
        return JsonError("syntax", "%s, at character %d" % (why, self.at))

    def space(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, char: str) -> None:
        if self.peek() != char:
            raise self.syntax("expected `%s`" % char)
        self.at += 1

    def value(self, level: int) -> Any:
        char = self.peek()
        if char == '"':
            return self.string()
        if char == "{" or char == "[":
            if level > self.limits.levels:
                raise JsonError("too_large", "more than %d levels" % self.limits.levels)
            return self.object(level) if char == "{" else self.array(level)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def object(self, level: int) -> Dict[str, Any]:
        self.at += 1
        found: Dict[str, Any] = {}
        self.space()
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            if self.peek() != '"':
                raise self.syntax("expected a member name")
            name = self.string()
            if name in found:
                raise JsonError("inexact", "the name `%s` stands twice in one object" % name)
            if len(found) == self.limits.members:
                raise JsonError("too_large", "more than %d members" % self.limits.members)
            self.space()
            self.take(":")
            self.space()
            found[name] = self.value(level + 1)
            self.space()
            if self.peek() == "}":
                self.at += 1
                return found
            self.take(",")
            self.space()

    def array(self, level: int) -> List[Any]:
        self.at += 1
        found: List[Any] = []
        self.space()
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            if len(found) == self.limits.elements:
                raise JsonError("too_large", "more than %d elements" % self.limits.elements)
            found.append(self.value(level + 1))
            self.space()
            if self.peek() == "]":
                self.at += 1
                return found
            self.take(",")
            self.space()

    def string(self) -> str:
        self.at += 1
        parts = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            parts.append(plain.group())
            self.at = plain.end()
            char = self.peek()
            if char == '"':
                self.at += 1
                return "".join(parts)
            if char != "\\":
                raise self.syntax("a string without end, or a control character in it")
            self.at += 1
            escape = self.peek()
            self.at += 1
            if escape in _ESCAPES and escape:
                parts.append(_ESCAPES[escape])
            elif escape == "u":
                parts.append(self.unicode_escape())
            else:
                raise self.syntax("an unknown escape")

    def unicode_escape(self) -> str:
        high = self.four_digits()
        if 0xDC00 <= high <= 0xDFFF:
            raise JsonError("inexact", "a surrogate without the one before it")
        if not 0xD800 <= high <= 0xDBFF:
            return chr(high)
        if not self.text.startswith("\\u", self.at):
            raise JsonError("inexact", "a surrogate without its second half")
        self.at += 2
        low = self.four_digits()
        if not 0xDC00 <= low <= 0xDFFF:
            raise JsonError("inexact", "a surrogate without its second half")
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

    def four_digits(self) -> int:
        digits = self.text[self.at : self.at + 4]
        if not re.fullmatch("[0-9a-fA-F]{4}", digits):
            raise self.syntax("an escape without four hex digits")
        self.at += 4
        return int(digits, 16)

    def number(self) -> Any:
        found = _NUMBER.match(self.text, self.at)
        if not found:
            raise self.syntax("no JSON value")
        self.at = found.end()
        literal = found.group()
        if found.group(3) is None and found.group(4) is None:
            # An integer literal has no leading zeros, so its length bounds it.
            if len(found.group(2)) > 16 or abs(int(literal)) > MAX_SAFE:
                raise JsonError("inexact", "%.40s is beyond 2^53-1" % literal)
            return int(literal)
        double = float(literal)
        if double in (float("inf"), float("-inf")):
            raise JsonError("inexact", "%.40s is too large" % literal)
        if decimal_value(literal) != decimal_value(repr(double)):
            raise JsonError("inexact", "%.40s cannot be kept exactly" % literal)
        if double.is_integer() and abs(double) < 1e21:
            # Its canonical form is an integer literal, for which the bound above holds.
            if abs(double) > MAX_SAFE:
                raise JsonError("inexact", "%.40s is beyond 2^53-1" % literal)
            return int(double)
        return double


def decimal_value(literal: str) -> Optional[Tuple[bool, str, int]]:
    """The exact decimal value of a number's text: sign, digits without zeros at either end, and
    power of ten. None when the exponent is so long that no double comes near."""
    sign, whole, fraction, exponent = _NUMBER.fullmatch(literal).groups()
    fraction = fraction or ""
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return (False, "", 0)
    exponent = exponent or "0"
    magnitude = exponent.lstrip("+-").lstrip("0") or "0"
    if len(magnitude) > 18:
        return None
    power = -int(magnitude) if exponent.startswith("-") else int(magnitude)
    power += len(digits) - len(digits.rstrip("0")) - len(fraction)
    return (sign == "-", digits.rstrip("0"), power)


def number_text(number: Any) -> str:
    """As ECMAScript writes a number. Python's repr() finds the same shortest digits; only the
    notation differs."""
    if isinstance(number, int):
        return str(number)
    negative, digits, power = decimal_value(repr(number))
    if not digits:
        return "0"
    point = len(digits) + power  # the value is 0.digits × 10^point
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        text += "e%+d" % (point - 1)
    return "-" + text if negative else text


_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def string_text(text: str) -> str:
    escape = lambda found: _SHORT.get(found.group()) or "\\u%04x" % ord(found.group())
    return '"' + _ESCAPED.sub(escape, text) + '"'


def canonical(value: Any) -> str:
    """[Canonical form], RFC 8785."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    # Big-endian UTF-16 sorts by code units when compared byte by byte.
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(string_text(n) + ":" + canonical(value[n]) for n in names) + "}"


def pointer_tokens(pointer: Any) -> Optional[List[str]]:
    """The names in a JSON pointer (RFC 6901), unescaped; None when it is none."""
    if not isinstance(pointer, str) or not re.fullmatch(r"(/([^~]|~[01])*)?", pointer, re.DOTALL):
        return None
    parts = pointer.split("/")[1:]
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def pointer_escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def value_at(value: Any, tokens: List[str]) -> bool:
    """Whether there is a value at a pointer."""
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and re.fullmatch("0|[1-9][0-9]{0,15}", token):
            if int(token) >= len(value):
                return False
            value = value[int(token)]
        else:
            return False
    return True
