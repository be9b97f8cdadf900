"""The content of entries: their digests, and what of it is shown. Step 16 of [Checking a report],
used for exports too."""

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Set

from .basics import producer_time
from .disclosures import Disclosure, commitment
from .leaf import Leaf
from .problems import Refused

Note = Callable[[str, str, str], None]


@dataclass
class Content:
    """Disclosures that are shown, and where each digest is referred to."""

    shown: Dict[str, Disclosure] = field(default_factory=dict)
    home: Dict[str, int] = field(default_factory=dict)  # digest → position of its entry

    def read(self, texts: List[str], place: str, note: Note) -> None:
        for index, text in enumerate(texts):
            here = "%s/%d" % (place, index)
            try:
                disclosure = Disclosure.parse(text)
            except ValueError as error:
                note("disclosure.form", here, "The disclosure: %s." % error)
                continue
            if disclosure.digest in self.shown:
                note("disclosure.doubled", here, "It stands in the file already.")
            self.shown[disclosure.digest] = disclosure

    def entry(self, leaf: Leaf, digests: List[str], note: Note) -> None:
        """Walks what an entry refers to. Raises Refused for what stops a report's check."""
        place = "entry %d" % leaf.seq
        if commitment(digests) != leaf.content:
            why = "Its digests are not those that the leaf is committed to."
            raise Refused("content.commitment", place, why)
        shown: List[Disclosure] = []
        pointers: Set[str] = set()
        ahead = [(digest, True) for digest in reversed(digests)]
        while ahead:
            digest, as_member = ahead.pop()
            if digest in self.home:
                why = "The digest %s is referred to twice." % digest
                raise Refused("content.doubled_digest", place, why)
            self.home[digest] = leaf.seq
            disclosure = self.shown.get(digest)
            if disclosure is None:
                continue
            if disclosure.is_member != as_member:
                why = "The disclosure %s is a member in an element's place, or the reverse."
                raise Refused("disclosure.misplaced", place, why % digest)
            if disclosure.is_member:
                if disclosure.pointer in pointers:
                    why = "`%s` is disclosed twice." % disclosure.pointer
                    raise Refused("content.doubled_pointer", place, why)
                pointers.add(disclosure.pointer)
            shown.append(disclosure)
            ahead += [(inner, False) for inner in reversed(disclosure.placeholders()[0])]
        for disclosure in shown:
            wrong = disclosure.pointer_problem()
            if wrong:
                note("disclosure.pointer", place, "A disclosure: %s." % wrong)
        for disclosure in shown:
            wrong = disclosure.placeholders()[1]
            if wrong:
                note("disclosure.form", place, "The disclosure %s: %s." % (disclosure.digest, wrong))
        for disclosure in shown:
            if disclosure.pointer == "/time":
                claimed = producer_time(disclosure.value)
                if claimed is None or claimed != producer_time(leaf.occurred):
                    why = "The time that is shown is not the one in the leaf."
                    note("content.time", place, why)

    def unreferenced(self) -> None:
        for digest in self.shown:
            if digest not in self.home:
                why = "No entry refers to the disclosure %s." % digest
                raise Refused("disclosure.unreferenced", "/disclosures", why)
