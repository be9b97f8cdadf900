"""Signed notes and checkpoints. Sections [Signed notes] and [Checkpoint]."""

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from .basics import base64_bytes
from .keys import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    VerifierKey,
    cosignature_time,
    is_key_name,
)
from .problems import Refused


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


@dataclass
class Opened:
    """A checkpoint whose signatures by pinned keys verified."""

    checkpoint: Checkpoint
    signers: List[VerifierKey]  # the ledger's own keys
    witnesses: Dict[VerifierKey, int]  # with the time of each one's first line


def open_checkpoint(data: bytes, origin: Optional[str], pinned: List[VerifierKey]) -> Opened:
    """The table of [Checkpoint], in its order. With `origin` None it is the checkpoint's own
    first line, as for receipts. Raises Refused."""
    try:
        checkpoint = Checkpoint.parse(data)
    except ValueError as error:
        raise Refused("checkpoint.form", "checkpoint", "The checkpoint: %s." % error) from None
    origin = checkpoint.origin if origin is None else origin
    own = [key for key in pinned if key.type == TYPE_ED25519 and key.name == origin]
    if not own:
        raise Refused(
            "ledger.foreign", "checkpoint", "No pinned key is the checkpoint key of %s." % origin
        )
    if checkpoint.origin != origin:
        raise Refused(
            "checkpoint.origin", "checkpoint", "The checkpoint is of %s." % checkpoint.origin
        )
    signers: List[VerifierKey] = []
    witnesses: Dict[VerifierKey, int] = {}
    note = checkpoint.note
    if not any(line.is_of(key) for line in note.lines for key in own):
        raise Refused(
            "checkpoint.key", "checkpoint", "No pinned key of the ledger signed the checkpoint."
        )
    for keys in (own, [key for key in pinned if key.type == TYPE_COSIGNATURE]):
        for line in note.lines:
            for key in keys:
                if not line.is_of(key):
                    continue
                if not key.verify(note.text, line.signature):
                    raise Refused(
                        "checkpoint.signature",
                        "checkpoint",
                        "The signature of %s is not over this checkpoint." % key.name,
                    )
                if key.type == TYPE_ED25519:
                    signers.append(key)
                else:
                    witnesses.setdefault(key, cosignature_time(line.signature))
    return Opened(checkpoint, signers, witnesses)
