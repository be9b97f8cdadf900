"""Signed notes and checkpoints. Sections [Signed notes] and [Checkpoint]."""

import re
from dataclasses import dataclass
from typing import List

from .basics import base64_bytes
from .keys import VerifierKey, is_key_name


@dataclass
class SignatureLine:
    name: str
    id: bytes
    signature: bytes

    def is_of(self, key: VerifierKey) -> bool:
        return (self.name, self.id) == (key.name, key.id)


@dataclass
class Note:
    text: bytes  # up to and with its last LF: what is signed
    lines: List[SignatureLine]

    @staticmethod
    def parse(data: bytes) -> "Note":
        """Raises ValueError with the reason."""
        if len(data) > 1_000_000:
            raise ValueError("it is longer than 1,000,000 bytes")
        if any(byte < 0x20 and byte != 0x0A for byte in data):
            raise ValueError("it holds a control character")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        if not data.endswith(b"\n"):
            raise ValueError("it does not end in a line feed")
        split = data.rfind(b"\n\n")
        if split < 0:
            raise ValueError("there is no empty line before the signatures")
        lines = data[split + 2 :].decode("utf-8").split("\n")[:-1]
        if not lines:
            raise ValueError("there is no signature")
        if len(lines) > 100:
            raise ValueError("there are more than 100 signatures")
        return Note(data[: split + 1], [Note.signature_line(line) for line in lines])

    @staticmethod
    def signature_line(line: str) -> SignatureLine:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_key_name(parts[1]):
            raise ValueError("a line after the empty line is not a signature")
        blob = base64_bytes(parts[2])
        if blob is None or len(blob) <= 4:
            raise ValueError("a signature is not base64 of more than four bytes")
        return SignatureLine(parts[1], blob[:4], blob[4:])


@dataclass
class Checkpoint:
    origin: str
    size: int
    root: bytes
    note: Note

    @staticmethod
    def parse(data: bytes) -> "Checkpoint":
        """Raises ValueError with the reason."""
        note = Note.parse(data)
        lines = note.text.decode("utf-8").split("\n")[:-1]
        if len(lines) < 3 or "" in lines:
            raise ValueError("its text is not origin, size and root, each on a line")
        if not re.fullmatch("0|[1-9][0-9]{0,19}", lines[1]) or int(lines[1]) >= 2**64:
            raise ValueError("its size is not a decimal number")
        root = base64_bytes(lines[2])
        if root is None or len(root) != 32:
            raise ValueError("its root is not base64 of 32 bytes")
        return Checkpoint(lines[0], int(lines[1]), root, note)
