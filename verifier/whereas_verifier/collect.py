"""What a check of a whole ledger has to remember, with little memory: identities, cases, tree."""

import os
import tempfile
from typing import Dict, Iterator, List, Optional, Tuple

from .basics import ZEROS
from .tree import node_hash

RECORD = 43 + 8  # an identity in base64url, and its position
MAX_BUFFERED = 16_777_216


class Identities:
    """Finds what stands twice: sorted into 256 heaps, which are looked through one by one. Beyond
    a size the heaps lie in files of a private temporary folder."""

    def __init__(self) -> None:
        self.heaps = [bytearray() for _ in range(256)]
        self.buffered = 0
        self.folder: Optional[tempfile.TemporaryDirectory] = None

    def add(self, eid: str, seq: int) -> None:
        heap = self.heaps[(ord(eid[0]) * 31 + ord(eid[1])) & 255]
        heap += eid.encode() + seq.to_bytes(8, "big")
        self.buffered += RECORD
        if self.buffered >= MAX_BUFFERED:
            self.flush()

    def flush(self) -> None:
        if self.folder is None:
            self.folder = tempfile.TemporaryDirectory(prefix="whereas-verify-")
        for index, heap in enumerate(self.heaps):
            with open(os.path.join(self.folder.name, str(index)), "ab") as file:
                file.write(heap)
            heap.clear()
        self.buffered = 0

    def doubled(self) -> Iterator[int]:
        """Positions of entries whose identity an earlier one has."""
        for index, heap in enumerate(self.heaps):
            data = bytes(heap)
            if self.folder is not None:
                with open(os.path.join(self.folder.name, str(index)), "rb") as file:
                    data = file.read() + data
            known = set()
            for at in range(0, len(data), RECORD):
                eid = data[at : at + 43]
                if eid in known:
                    yield int.from_bytes(data[at + 43 : at + RECORD], "big")
                known.add(eid)
        if self.folder is not None:
            self.folder.cleanup()


class Cases:
    """The chains of the cases. An entry that does not follow the newest one of its case is kept,
    with all later ones of the case, and looked at in the end."""

    def __init__(self, from_start: bool = True):
        self.from_start = from_start  # else a case may begin with any `case_seq`
        self.heads: Dict[str, Tuple[int, str]] = {}  # the next `case_seq` and `case_prev`
        self.later: Dict[str, List[Tuple[int, int, str, str]]] = {}

    def add(self, case: str, case_seq: int, case_prev: str, seq: int, own_hash: str) -> None:
        head = self.heads.get(case)
        if head is None:
            head = (0, ZEROS)
            if not self.from_start and case_seq > 0:
                head = (case_seq, case_prev)
        if head == (case_seq, case_prev) and case not in self.later:
            self.heads[case] = (case_seq + 1, own_hash)
        else:
            self.heads.setdefault(case, head)
            self.later.setdefault(case, []).append((case_seq, seq, case_prev, own_hash))

    def problems(self) -> Iterator[Tuple[str, int]]:
        """Code and position, for each case at most one of each code."""
        for case, kept in self.later.items():
            count, link = self.heads[case]
            last, codes = -1, {}
            for case_seq, seq, case_prev, own_hash in sorted(kept):
                if case_seq < count:
                    codes.setdefault("case.doubled", seq)
                    continue
                if case_seq > count:
                    codes.setdefault("case.gap", seq)
                elif case_prev != link or seq < last:
                    codes.setdefault("case.prev", seq)
                count, link, last = case_seq + 1, own_hash, seq
            yield from codes.items()


class Tree:
    """A tree that grows: the roots of its complete subtrees, the largest first."""

    def __init__(self) -> None:
        self.size = 0
        self.nodes: List[bytes] = []

    def add(self, leaf: bytes) -> None:
        size = self.size
        while size & 1:
            leaf = node_hash(self.nodes.pop(), leaf)
            size >>= 1
        self.nodes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        result = self.nodes[-1]
        for node in self.nodes[-2::-1]:
            result = node_hash(node, result)
        return result
