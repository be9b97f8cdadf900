"""The Merkle tree. Section [The Merkle tree]."""

from typing import List

from .basics import sha256


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def tree_root(hashes: List[bytes]) -> bytes:
    """MTH over leaf hashes."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(tree_root(hashes[:split]), tree_root(hashes[split:]))


def verify_inclusion(leaf: bytes, index: int, size: int, path: List[bytes], root: bytes) -> bool:
    if index >= size:
        return False
    fn, sn, result = index, size - 1, leaf
    for step in path:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            result = node_hash(step, result)
            if fn % 2 == 0:
                while fn % 2 == 0 and fn != 0:
                    fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and result == root


def verify_consistency(
    first: int, second: int, path: List[bytes], first_root: bytes, second_root: bytes
) -> bool:
    if first > second:
        return False
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return False
    if first & (first - 1) == 0:
        seed, rest = first_root, path
    elif not path:
        return False
    else:
        seed, rest = path[0], path[1:]
    fn, sn = first - 1, second - 1
    while fn % 2 == 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = seed
    for step in rest:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            fr, sr = node_hash(step, fr), node_hash(step, sr)
            if fn % 2 == 0:
                while fn % 2 == 0 and fn != 0:
                    fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root
