"""Base64, hex, times. Sections [Notation] and [Ids and times] of docs/formats.md."""

import base64
import binascii
import hashlib
import re
import unicodedata
from typing import Any, Optional

ZEROS = "0" * 64


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def base64_bytes(text: str) -> Optional[bytes]:
    """The bytes of padded base64 (RFC 4648 section 4), or None unless it is the one canonical
    encoding of them: encoding again must give the same text."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    return data if base64.b64encode(data).decode("ascii") == text else None


def base64url_bytes(text: str) -> Optional[bytes]:
    """The same for base64url without padding (RFC 4648 section 5)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return data if base64url(data) == text else None


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def is_hex(value: Any, digits: int) -> bool:
    """Lower-case hex of exactly so many digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{%d}" % digits, value) is not None


def is_digest(value: Any) -> bool:
    """32 bytes in base64url: `eid`, `content`, digests of disclosures."""
    return isinstance(value, str) and len(base64url_bytes(value) or b"") == 32


def is_count(value: Any) -> bool:
    """An integer from 0. (In Python a truth value is an integer too; here it is not.)"""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_origin(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~/:-]{1,255}", value) is not None


def is_text(value: Any) -> bool:
    """A "text" of the payload: 1 to 500 characters, no control characters."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 500
        and not any(unicodedata.category(c) == "Cc" for c in value)
    )


def days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def microseconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Microseconds since 0000-01-01T00:00:00Z, proleptic Gregorian."""
    days = 365 * year + (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400
    days += sum(days_in_month(year, m) for m in range(1, month)) + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000


def is_time(value: Any) -> bool:
    """The ledger's own form of a time. Two such texts compare like their instants."""
    if not isinstance(value, str) or not re.fullmatch(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", value
    ):
        return False
    return (
        producer_time(value) is not None
        and "0001-01-01T00:00:00.000000Z" <= value <= "9999-12-30T22:00:00.000000Z"
    )


def producer_time(text: Any) -> Optional[int]:
    """A time that a producer wrote, RFC 3339 as [Ids and times] narrows it: its instant, cut to
    microseconds towards the past. None when it is not a time."""
    if not isinstance(text, str):
        return None
    found = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
        r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
        text,
    )
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= days_in_month(year, month)):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    offset = 0
    if found.group(8):
        hours, minutes = int(found.group(9)), int(found.group(10))
        if hours > 25 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * (60_000_000 if found.group(8) == "+" else -60_000_000)
    fraction = int(((found.group(7) or "") + "000000")[:6])
    return microseconds(year, month, day, hour, minute, second) + fraction - offset
