"""Ed25519 and verifier keys. Sections [Verifier keys] and [Signatures]."""

import atexit
import base64
import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

from .basics import base64_bytes, is_hex, sha256

SMALL_ORDER = {
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
}
PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME


def is_small_order(point: bytes) -> bool:
    return point[:31] + bytes([point[31] & 0x7F]) in SMALL_ORDER


def is_on_curve(point: bytes) -> bool:
    """Whether 32 bytes encode a point: there is an x with x² = (y² − 1) / (d·y² + 1)."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, PRIME - 2, PRIME) % PRIME
    return square == 0 or pow(square, (PRIME - 1) // 2, PRIME) == 1


class ToolError(Exception):
    """Something outside of what is being checked does not work: openssl, a file, a key given."""


class OpenSsl:
    """Ed25519 verification by the `openssl` command. Each distinct signature is checked once.

    With `many` set, for thousands of signatures, it is done by OpenSSL's library within this
    process where there is one (on Linux), which takes a hundredth of the time."""

    def __init__(self) -> None:
        self.folder: Optional[str] = None
        self.known: Dict[Tuple[bytes, bytes, bytes], bool] = {}
        self.many = False
        self.library: Any = None

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        if len(key) != 32 or len(signature) != 64:
            return False
        if is_small_order(key) or is_small_order(signature[:32]):
            return False
        if int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
            return False
        if self.many and self.library is None:
            self.library = load_library() or False
        if self.many and self.library:
            return in_library(self.library, key, message, signature)
        if self.folder is None:
            self.start()
        asked = (key, sha256(message), signature)
        if asked not in self.known:
            self.known[asked] = self.run(key, message, signature)
        return self.known[asked]

    def start(self) -> None:
        """Makes a folder that only this user can enter, and tries openssl on RFC 8032's test 2:
        from here on, "no" means that a signature is wrong, not that the tool is."""
        if shutil.which("openssl") is None:
            raise ToolError(
                "The `openssl` command is not installed. It checks the signatures; "
                "install OpenSSL 3.0 or later and try again."
            )
        self.folder = tempfile.mkdtemp(prefix="whereas-verify-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        if not works(self.run):
            version = subprocess.run(
                ["openssl", "version"], capture_output=True, text=True, check=False
            ).stdout.strip()
            raise ToolError(
                "The `openssl` command (%s) cannot check Ed25519 signatures with "
                "`pkeyutl -rawin`. Install OpenSSL 3.0 or later." % (version or "unknown version")
            )

    def run(self, key: bytes, message: bytes, signature: bytes) -> bool:
        # SubjectPublicKeyInfo of an Ed25519 key: a fixed prefix, then the 32 bytes.
        der = bytes.fromhex("302a300506032b6570032100") + key
        pem = b"-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % base64.b64encode(der)
        paths = []
        for name, data in (("key.pem", pem), ("message", message), ("signature", signature)):
            paths.append(os.path.join(self.folder, name))
            with open(paths[-1], "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", paths[0], "-rawin"]
        command += ["-in", paths[1], "-sigfile", paths[2]]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def works(verify: Callable[[bytes, bytes, bytes], bool]) -> bool:
    """Whether it accepts RFC 8032's test 2, and does not accept another message."""
    key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    good = bytes.fromhex(key), b"\x72", bytes.fromhex(signature)
    return verify(*good) and not verify(good[0], b"\x73", good[2])


def load_library() -> Optional[ctypes.CDLL]:
    """OpenSSL's library, when it is there and works. (Not on macOS, whose own copy ends every
    process that loads it.)"""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, kinds, result in (
            ("EVP_PKEY_new_raw_public_key", [ctypes.c_int, pointer, pointer, size], pointer),
            ("EVP_PKEY_free", [pointer], None),
            ("EVP_MD_CTX_new", [], pointer),
            ("EVP_MD_CTX_free", [pointer], None),
            ("EVP_DigestVerifyInit", [pointer] * 5, ctypes.c_int),
            ("EVP_DigestVerify", [pointer, pointer, size, pointer, size], ctypes.c_int),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = kinds, result
        if works(lambda *question: in_library(library, *question)):
            return library
    except (OSError, AttributeError):
        pass
    return None


def in_library(library: ctypes.CDLL, key: bytes, message: bytes, signature: bytes) -> bool:
    ed25519 = 1087  # EVP_PKEY_ED25519
    public = library.EVP_PKEY_new_raw_public_key(ed25519, None, key, len(key))
    context = library.EVP_MD_CTX_new()
    try:
        if not public or not context:
            return False
        if library.EVP_DigestVerifyInit(context, None, None, None, public) != 1:
            return False
        found = library.EVP_DigestVerify(
            context, signature, len(signature), message, len(message)
        )
        return found == 1
    finally:
        library.EVP_MD_CTX_free(context)
        library.EVP_PKEY_free(public)


ED25519 = OpenSsl()

TYPE_ED25519 = 0x01
TYPE_COSIGNATURE = 0x04


def is_key_name(name: str) -> bool:
    return bool(name) and not any(
        c.isspace() or c == "+" or unicodedata.category(c) == "Cc" for c in name
    )


@dataclass(frozen=True)
class VerifierKey:
    name: str
    id: bytes
    type: int
    key: bytes

    @staticmethod
    def parse(text: Any) -> "VerifierKey":
        """Raises ValueError with the reason."""
        parts = text.split("+", 2) if isinstance(text, str) else []
        if len(parts) != 3:
            raise ValueError("it is not of the form `name+id+key`")
        name, id_text, key_text = parts
        blob = base64_bytes(key_text)
        if not is_key_name(name):
            raise ValueError("its name is empty or holds white space or control characters")
        if not is_hex(id_text, 8):
            raise ValueError("its id is not 8 lower-case hex digits")
        if blob is None or len(blob) != 33:
            raise ValueError("its last part is not base64 of 33 bytes")
        if blob[0] not in (TYPE_ED25519, TYPE_COSIGNATURE):
            raise ValueError("its type is unknown")
        if sha256(name.encode() + b"\n" + blob)[:4].hex() != id_text:
            raise ValueError("its id is not that of its name and key")
        if int.from_bytes(blob[1:], "little") & (2**255 - 1) >= PRIME:
            raise ValueError("it is a second encoding of a point")
        if not is_on_curve(blob[1:]):
            raise ValueError("its bytes are no point of the curve")
        if is_small_order(blob[1:]):
            raise ValueError("it is a key of small order")
        return VerifierKey(name, bytes.fromhex(id_text), blob[0], blob[1:])

    @property
    def hint(self) -> str:
        """`<name>+<id>`, as `keyid` of an envelope."""
        return "%s+%s" % (self.name, self.id.hex())

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether a note's signature (without the key id) is this key's over the note's text."""
        if self.type == TYPE_ED25519:
            return ED25519.verify(self.key, message, signature)
        if len(signature) != 72 or cosignature_time(signature) >= 2**63:
            return False
        head = "cosignature/v1\ntime %d\n" % cosignature_time(signature)
        return ED25519.verify(self.key, head.encode() + message, signature[8:])


def cosignature_time(signature: bytes) -> int:
    return int.from_bytes(signature[:8], "big")
