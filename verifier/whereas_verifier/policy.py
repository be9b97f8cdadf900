"""Policies (C2SP tlog-policy). Section [Policies]."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Collection, Dict, List, Optional, Set, Tuple

from .keys import TYPE_COSIGNATURE, TYPE_ED25519, VerifierKey


@dataclass
class Policy:
    keys: List[VerifierKey]
    witnesses: Dict[str, VerifierKey]
    groups: Dict[str, Tuple[int, List[str]]]  # how many of these names
    quorum: Optional[str]  # None: `none`

    @staticmethod
    def parse(data: bytes) -> "Policy":
        """Raises ValueError with the reason."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        policy, quorums = Policy([], {}, {}, None), 0
        members: Set[str] = set()  # names that are in some group
        for number, line in enumerate(text.split("\n"), 1):
            try:
                if any(unicodedata.category(c) == "Cc" and c != "\t" for c in line):
                    raise ValueError("it holds a control character")
                words = [word for word in re.split("[ \t]", line) if word]
                if not words or words[0].startswith("#"):
                    continue
                if words[0] == "log" and len(words) in (2, 3):
                    policy.add_key(words[1], TYPE_ED25519)
                elif words[0] == "witness" and len(words) in (3, 4):
                    policy.new_name(words[1])
                    policy.witnesses[words[1]] = policy.add_key(words[2], TYPE_COSIGNATURE)
                elif words[0] == "group" and len(words) >= 4:
                    policy.add_group(words[1], words[2], words[3:], members)
                elif words[0] == "quorum" and len(words) == 2 and quorums == 0:
                    quorums = 1
                    if words[1] != "none":
                        policy.known(words[1])
                        policy.quorum = words[1]
                else:
                    raise ValueError("it is not a line of a policy, or a second quorum")
            except ValueError as error:
                raise ValueError("line %d: %s" % (number, error)) from None
        if quorums != 1:
            raise ValueError("it names no quorum")
        return policy

    def add_key(self, text: str, kind: int) -> VerifierKey:
        key = VerifierKey.parse(text)
        if key.type != kind:
            raise ValueError("the key is of another type")
        if any(key.key == other.key for other in self.keys):
            raise ValueError("the key stands twice")
        self.keys.append(key)
        return key

    def new_name(self, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise ValueError("the name `%s` stands twice, or is `none`" % name)

    def known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError("`%s` is the name of no line above" % name)

    def add_group(self, name: str, how: str, names: List[str], taken: Set[str]) -> None:
        self.new_name(name)
        for member in names:
            self.known(member)
            if member in taken:
                raise ValueError("`%s` is in a group already" % member)
            taken.add(member)
        if re.fullmatch("[1-9][0-9]{0,8}", how) and int(how) <= len(names):
            count = int(how)
        elif how in ("all", "any"):
            count = len(names) if how == "all" else 1
        else:
            raise ValueError("`%s` is not all, any or a number of members" % how)
        self.groups[name] = count, names

    def satisfied(self, cosigners: Collection[VerifierKey], name: Optional[str] = None) -> bool:
        name = self.quorum if name is None else name
        if name is None:
            return bool(cosigners)
        if name in self.witnesses:
            return self.witnesses[name] in cosigners
        count, names = self.groups[name]
        return sum(self.satisfied(cosigners, member) for member in names) >= count


def vouched_at(policy: Optional[Policy], times: Dict[VerifierKey, int]) -> Optional[int]:
    """Since when a checkpoint is vouched for, by the times of the pinned witnesses that cosigned
    it; None when it is not."""
    for time in sorted(set(times.values()), reverse=True):
        if policy is None or policy.satisfied({k for k, t in times.items() if t >= time}):
            return time
    return None
