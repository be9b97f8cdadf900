//! Verifying inclusion and consistency proofs (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use super::hash::Hash;

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the sizes are in the wrong order.
    #[error("the proof's sizes or index are impossible")]
    Range,
    /// Too many or too few hashes.
    #[error("the proof has the wrong number of hashes for these sizes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves with this root.
///
/// # Errors
/// See [`ProofError`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(sibling, &hash);
            if at & 1 == 0 {
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            }
        } else {
            hash = Hash::node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree of `first` leaves is the beginning of the tree of `second` leaves.
/// `first = 0` proves nothing and is refused unless both sizes are zero.
///
/// # Errors
/// See [`ProofError`].
pub fn verify_consistency(
    first: u64,
    second: u64,
    path: &[Hash],
    first_root: &Hash,
    second_root: &Hash,
) -> Result<(), ProofError> {
    if first > second {
        return Err(ProofError::Range);
    }
    if first == second {
        if !path.is_empty() {
            return Err(ProofError::Length);
        }
        return if first_root == second_root {
            Ok(())
        } else {
            Err(ProofError::Root)
        };
    }
    if first == 0 {
        return Err(ProofError::Range);
    }
    let (seed, rest) = if first.is_power_of_two() {
        (first_root, path)
    } else {
        path.split_first().ok_or(ProofError::Length)?
    };
    let (old, new) = consistency_roots(first, second, seed, rest)?;
    if old == *first_root && new == *second_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// The roots to which a consistency proof leads, for `0 < first < second`. `seed` is the root of the largest complete
/// subtree at the end of the first tree: the proof's first hash, or the first root itself when `first` is a power of two;
/// `rest` is what follows it. When the second root is the right one, so is the first: the hashes are bound to both.
///
/// # Errors
/// When there are too many or too few hashes.
pub fn consistency_roots(
    first: u64,
    second: u64,
    seed: &Hash,
    rest: &[Hash],
) -> Result<(Hash, Hash), ProofError> {
    if first == 0 || first >= second {
        return Err(ProofError::Range);
    }
    let (mut at, mut last) = (first - 1, second - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            old = Hash::node(sibling, &old);
            new = Hash::node(sibling, &new);
            if at & 1 == 0 {
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            }
        } else {
            new = Hash::node(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 {
        Ok((old, new))
    } else {
        Err(ProofError::Length)
    }
}
