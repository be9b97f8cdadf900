"""Trusted keys: opening checkpoints, bridges, stolen keys. Sections [Checkpoint], [Bridges] and
[Stolen keys]."""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from .basics import base64_bytes, is_time, microseconds, producer_time
from .keys import TYPE_COSIGNATURE, TYPE_ED25519, ToolError, VerifierKey, cosignature_time
from .leaf import Leaf, read_leaf
from .notes import Checkpoint
from .policy import Policy
from .problems import Refused
from .report_form import BRIDGES_FILE, FormError
from .strict_json import FILE_LIMITS, JsonError, read_json
from .tree import verify_consistency, verify_inclusion

MAX_BRIDGES = 1_000
EPOCH = microseconds(1970, 1, 1, 0, 0, 0)


@dataclass
class Brought:
    """What a verifier brings along beside the pinned keys."""

    policy: Optional[Policy] = None
    bridges: Optional[bytes] = None  # a file of bridges
    stolen: Sequence[Tuple[VerifierKey, int]] = ()  # a key, and since when (microseconds)


@dataclass
class Rotation:
    purpose: str
    old: VerifierKey
    new: VerifierKey
    since: Optional[int]  # from when on `old` may have been in other hands


def fact_key(leaf: Leaf, name: str) -> Optional[VerifierKey]:
    """A verifier key of type 0x01 in a fact, or None."""
    try:
        key = VerifierKey.parse(leaf.fact_of(name))
    except ValueError:
        return None
    return key if key.type == TYPE_ED25519 else None


def rotation_of(leaf: Leaf) -> Optional[Rotation]:
    """What a `key.rotated` tells; None when its fact is not of its form."""
    purpose, old, new = leaf.fact_of("purpose"), fact_key(leaf, "old"), fact_key(leaf, "new")
    if purpose not in ("checkpoint", "report") or old is None or new is None:
        return None
    since = leaf.fact_of("compromised_since")
    if "compromised_since" in leaf.fact and not is_time(since):
        return None
    return Rotation(purpose, old, new, producer_time(since))


@dataclass
class Span:
    """The sizes that a trusted key signs, both ends included."""

    first: int = 0
    last: Optional[int] = None

    def holds(self, size: int) -> bool:
        return self.first <= size and (self.last is None or size <= self.last)


@dataclass
class Bridge:
    checkpoint: Checkpoint
    leaf: Leaf
    rotation: Rotation
    consistency: List[bytes]
    witnesses: Dict[VerifierKey, int]  # pinned ones whose cosignature holds


@dataclass
class Opened:
    """A checkpoint whose signatures by trusted keys verified."""

    checkpoint: Checkpoint
    signers: List[VerifierKey]  # the ledger's own keys
    witnesses: Dict[VerifierKey, int]  # with the time of each one's first line


@dataclass
class Trusted:
    """The keys that are trusted for one ledger."""

    origin: str
    pinned: List[VerifierKey]
    spans: Dict[VerifierKey, Span] = field(default_factory=dict)
    crossed: Dict[int, Bridge] = field(default_factory=dict)  # by size

    def __post_init__(self) -> None:
        for key in self.pinned:
            if key.type == TYPE_ED25519 and key.name == self.origin:
                self.spans[key] = Span()

    def cross(self, lines: List[Dict[str, Any]], place: str) -> List[Bridge]:
        """Crosses a list of bridges. Raises Refused (`key.bridge`, `key.retired`)."""
        if len(lines) > MAX_BRIDGES:
            raise Refused("key.bridge", place, "There are more than %d bridges." % MAX_BRIDGES)
        found: List[Bridge] = []
        for index, line in enumerate(lines):
            here = "%s/%d" % (place, index)
            bridge = self.cross_one(line, here)
            if found and bridge.checkpoint.size <= found[-1].checkpoint.size:
                raise Refused("key.bridge", here, "The bridges are not in ledger order.")
            found.append(bridge)
        return found

    def cross_one(self, line: Dict[str, Any], place: str) -> Bridge:
        def refuse_unless(holds: bool, why: str) -> None:
            if not holds:
                raise Refused("key.bridge", place, why)

        try:
            checkpoint = Checkpoint.parse(line["checkpoint"].encode())
        except ValueError as error:
            raise Refused("key.bridge", place, "Its checkpoint: %s." % error) from None
        size, note = checkpoint.size, checkpoint.note
        refuse_unless(checkpoint.origin == self.origin, "It is of another ledger.")
        try:
            leaf = read_leaf(line["leaf"].encode(), self.origin, place)
        except Refused as refused:
            raise Refused("key.bridge", place, refused.problem.explanation) from None
        rotation = rotation_of(leaf) if leaf.type == "key.rotated" else None
        refuse_unless(
            leaf.seq == size - 1 and rotation is not None and rotation.purpose == "checkpoint",
            "Its entry is not the change of a checkpoint key at the end of its checkpoint.",
        )
        refuse_unless(
            rotation.old.name == rotation.new.name == self.origin and rotation.old != rotation.new,
            "Its keys are of another ledger, or one.",
        )
        for key in (rotation.old, rotation.new):
            signed = [key.verify(note.text, s.signature) for s in note.lines if s.is_of(key)]
            refuse_unless(bool(signed) and all(signed), "%s did not sign it." % key.hint)
        path = [base64_bytes(step) for step in line["path"]]
        refuse_unless(
            verify_inclusion(leaf.hash, size - 1, size, path, checkpoint.root),
            "The hashes do not lead from its entry to its checkpoint's root.",
        )
        before = self.crossed.get(size)
        refuse_unless(
            before is None
            or (before.leaf.hash, before.checkpoint.root) == (leaf.hash, checkpoint.root),
            "Another bridge of the same size is of another history.",
        )
        old, new = self.spans.get(rotation.old), self.spans.get(rotation.new)
        if old is not None and old.last is not None and old.last < size:
            why = "%s was replaced at size %d." % (rotation.old.hint, old.last)
            raise Refused("key.retired", place, why)
        if old is not None:
            old.last = size
            if old.first <= size and new is None:
                self.spans[rotation.new] = Span(size)
        if new is not None:
            new.first = max(new.first, size)
        consistency = [base64_bytes(step) for step in line["consistency"]]
        bridge = Bridge(checkpoint, leaf, rotation, consistency, {})
        for key in self.pinned:
            if key.type == TYPE_COSIGNATURE:
                for signature in note.lines:
                    if signature.is_of(key) and key.verify(note.text, signature.signature):
                        time = cosignature_time(signature.signature)
                        bridge.witnesses.setdefault(key, time)
        self.crossed[size] = bridge
        return bridge

    def cross_file(self, data: bytes) -> None:
        """A file of bridges that the verifier brought along: crossed, opened and joined. Raises
        ToolError when it is of another form."""
        try:
            file = read_json(data, FILE_LIMITS)
            BRIDGES_FILE(file, "")
        except JsonError as error:
            raise ToolError("The file of bridges is not strict JSON: %s." % error) from None
        except FormError as error:
            why = "The file of bridges has another form: %s, at %s." % (error, error.place or "/")
            raise ToolError(why) from None
        bridges = self.cross(file["bridges"], "/bridges")
        opened = self.open(file["checkpoint"].encode())
        join(bridges, opened.checkpoint, "/bridges")

    def open(self, data: bytes) -> Opened:
        """The table of [Checkpoint], in its order. Raises Refused."""
        return open_checkpoint(data, self)

    def stolen(self, brought: Brought) -> Dict[VerifierKey, int]:
        """Keys that somebody else may have held, and since when: the earliest of what the
        bridges and the verifier say."""
        found: Dict[VerifierKey, int] = {}
        told = [(b.rotation.old, b.rotation.since) for b in self.crossed.values()]
        for key, since in [*told, *brought.stolen]:
            if since is not None:
                found[key] = min(since, found.get(key, since))
        return found


def join(bridges: List[Bridge], end: Checkpoint, place: str) -> None:
    """Bridges and the checkpoint that they come with are of one history."""
    for index, bridge in enumerate(bridges):
        here = bridge.checkpoint
        if not verify_consistency(here.size, end.size, bridge.consistency, here.root, end.root):
            why = "The trees of %d and %d entries are not shown to be one history."
            raise Refused("key.bridge", "%s/%d" % (place, index), why % (here.size, end.size))


def is_older(time: Optional[int], since: int) -> bool:
    """Whether word of a time (seconds since 1970; None: vouched for by the verifier) is older
    than a theft."""
    return time is None or time * 1_000_000 + EPOCH < since


def stolen_with_heirs(trusted: Trusted, brought: Brought) -> Dict[VerifierKey, int]:
    """A thief can make a bridge to a key of his own: a key that is not pinned is stolen with the
    one before it, unless a witness cosigned the bridge between them earlier. [Stolen keys]"""
    stolen = trusted.stolen(brought)
    for _, bridge in sorted(trusted.crossed.items()):
        old, new = bridge.rotation.old, bridge.rotation.new
        if old not in stolen or new in trusted.pinned:
            continue
        since = stolen[old]
        if not any(is_older(time, since) for time in bridge.witnesses.values()):
            stolen[new] = min(since, stolen.get(new, since))
    return stolen


def only_stolen_keys(
    signers: Iterable[VerifierKey], times: List[Optional[int]], stolen: Dict[VerifierKey, int]
) -> bool:
    """Whether somebody else may have held every key that signed, and no word from outside is older
    than that."""
    return all(
        key in stolen and not any(is_older(time, stolen[key]) for time in times) for key in signers
    )


def open_checkpoint(data: bytes, trusted: Trusted) -> Opened:
    try:
        checkpoint = Checkpoint.parse(data)
    except ValueError as error:
        raise Refused("checkpoint.form", "checkpoint", "The checkpoint: %s." % error) from None

    def refuse(code: str, why: str) -> None:
        raise Refused(code, "checkpoint", why)

    origin, size, note = trusted.origin, checkpoint.size, checkpoint.note
    if not trusted.spans:
        refuse("ledger.foreign", "No pinned key is the checkpoint key of %s." % origin)
    if checkpoint.origin != origin:
        refuse("checkpoint.origin", "The checkpoint is of %s." % checkpoint.origin)
    own = [key for key in trusted.spans if any(line.is_of(key) for line in note.lines)]
    if not own:
        refuse("checkpoint.key", "No trusted key of the ledger signed the checkpoint.")
    witnesses: Dict[VerifierKey, int] = {}
    cosigners = [key for key in trusted.pinned if key.type == TYPE_COSIGNATURE]

    def verify_lines(keys: List[VerifierKey]) -> None:
        for line in note.lines:
            for key in keys:
                if not line.is_of(key):
                    continue
                if not key.verify(note.text, line.signature):
                    why = "The signature of %s is not over this checkpoint." % key.name
                    refuse("checkpoint.signature", why)
                if key.type == TYPE_COSIGNATURE:
                    witnesses.setdefault(key, cosignature_time(line.signature))

    verify_lines(own)
    signers = [key for key in own if trusted.spans[key].holds(size)]
    if not signers:
        retired = [trusted.spans[key].last for key in own if trusted.spans[key].last is not None]
        if any(last < size for last in retired):
            refuse("key.retired", "The key that signed was replaced at a smaller size.")
        refuse("checkpoint.key", "No key that signed is the ledger's at this size.")
    verify_lines(cosigners)
    return Opened(checkpoint, signers, witnesses)
