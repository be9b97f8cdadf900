"""Reading an export's tar file as a stream, by the rules of [The export file] and no others."""

from typing import BinaryIO, Optional

from .problems import Refused

BLOCK = 512
MAX_MEMBER = 67_108_864


class Members:
    """The members of a tar file, one after the other. Raises Refused (`export.form`,
    `export.truncated`)."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.name: Optional[str] = None  # of the member that comes next; None after the last one
        self.size = 0
        self.next_header()

    def take(self) -> bytes:
        """The content of the member that comes next."""
        size, padded = self.size, self.size + -self.size % BLOCK
        data = self.file.read(padded)
        if len(data) < padded:
            raise Refused("export.truncated", self.name or "", "The file ends within a member.")
        if any(data[size:]):
            raise Refused("export.form", self.name or "", "A member is not padded with zeros.")
        self.next_header()
        return data[:size]

    def next_header(self) -> None:
        before = self.name
        header = self.file.read(BLOCK)
        if len(header) < BLOCK:
            raise Refused("export.truncated", before or "", "The file ends before its last member.")
        if not any(header):
            self.name = None
            return

        def refuse_unless(holds: bool, why: str) -> None:
            if not holds:
                raise Refused("export.form", "after %s" % before if before else "", why)

        refuse_unless(header[257:265] == b"ustar\x0000", "It is not a POSIX ustar header.")
        unsigned = sum(header) - sum(header[148:156]) + 8 * 0x20
        refuse_unless(octal(header[148:156]) == unsigned, "The header's checksum is wrong.")
        refuse_unless(header[156:157] == b"0", "It is not a regular file.")
        refuse_unless(not any(header[345:500]), "The name has a prefix.")
        name = header[:100].partition(b"\x00")[0]
        refuse_unless(bool(name) and name.isascii(), "The name is empty or not ASCII.")
        size = octal(header[124:136])
        refuse_unless(size is not None and size <= MAX_MEMBER, "A member is too long.")
        self.name, self.size = name.decode("ascii"), size

    def end(self) -> None:
        """After the last member: a block of zeros at least (it was read), and zeros alone."""
        if self.name is not None:
            raise Refused("export.form", self.name, "A member stands after the last one.")
        while True:
            data = self.file.read(65_536)
            if any(data):
                raise Refused("export.form", "", "Something stands after the last member.")
            if not data:
                return


def octal(field: bytes) -> Optional[int]:
    """A number of a header: octal digits, then NULs or spaces."""
    digits = field.rstrip(b"\x00 ").lstrip(b" ")
    if not digits or digits.strip(b"01234567"):
        return None
    return int(digits, 8)
