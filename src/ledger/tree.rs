//! The Merkle tree of RFC 6962, section 2.1: growing it, its root, and its proofs from stored nodes.
//!
//! A stored node is the root of a *complete* subtree: level `l`, index `i` covers leaves `i·2^l .. (i+1)·2^l`.
//! Complete subtrees never change, so nodes are written once. In storage they stand in the order in which they
//! come to be ([`stored_index`]), which is the order of Go's `sumdb/tlog`.

use std::collections::HashMap;

use super::hash::Hash;

/// A complete subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves.
    pub level: u8,
    /// Place among the subtrees of this height.
    pub index: u64,
}

/// Where a node stands when nodes are written in the order in which they are completed.
#[must_use]
pub fn stored_index(id: NodeId) -> u64 {
    // The leaf that completes the subtree, then how many nodes were complete before that leaf, plus the level.
    let mut n = id.index;
    for _ in 0..id.level {
        n = 2 * n + 1;
    }
    stored_count(n) + u64::from(id.level)
}

/// How many nodes a tree of `size` leaves has stored.
#[must_use]
pub fn stored_count(size: u64) -> u64 {
    let mut n = size;
    let mut count = 0;
    while n > 0 {
        count += n;
        n >>= 1;
    }
    count
}

/// Gives stored nodes.
pub trait Nodes {
    /// Why a node could not be had.
    type Error;
    /// The hash of a complete subtree.
    ///
    /// # Errors
    /// When the node is not there or cannot be read.
    fn node(&self, id: NodeId) -> Result<Hash, Self::Error>;
}

/// Nodes in memory.
impl<S: std::hash::BuildHasher> Nodes for HashMap<NodeId, Hash, S> {
    type Error = NodeId;
    fn node(&self, id: NodeId) -> Result<Hash, NodeId> {
        self.get(&id).copied().ok_or(id)
    }
}

/// The right edge of the tree: all that is needed to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the maximal complete subtrees, largest (leftmost) first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a stored tree of `size` leaves.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn load<N: Nodes>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let peaks = peaks(size)
            .into_iter()
            .map(|id| nodes.node(id))
            .collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash; `store` gets each subtree that it completes, in storage order.
    pub fn append(&mut self, leaf: Hash, mut store: impl FnMut(NodeId, Hash)) {
        let mut id = NodeId {
            level: 0,
            index: self.size,
        };
        let mut hash = leaf;
        store(id, hash);
        while id.index % 2 == 1 {
            // An odd index means that its left sibling is complete, hence the last peak.
            let Some(left) = self.peaks.pop() else { break };
            hash = Hash::node(&left, &hash);
            id = NodeId {
                level: id.level + 1,
                index: id.index / 2,
            };
            store(id, hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold_peaks(&self.peaks)
    }

    /// The peaks as nodes, for proofs over this edge.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Hash)> + '_ {
        peaks(self.size).into_iter().zip(self.peaks.iter().copied())
    }
}

/// The maximal complete subtrees of a tree of `size` leaves, largest first.
fn peaks(size: u64) -> Vec<NodeId> {
    complete_subtrees(0, size)
}

/// Decomposes `start..end`, where `start` is a multiple of the largest power of two within, into complete subtrees.
fn complete_subtrees(start: u64, end: u64) -> Vec<NodeId> {
    let mut out = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        out.push(NodeId {
            level: level.try_into().unwrap_or(u8::MAX),
            index: at >> level,
        });
        at += 1 << level;
    }
    out
}

fn fold_peaks(peaks: &[Hash]) -> Hash {
    let mut from_right = peaks.iter().rev();
    let Some(last) = from_right.next() else {
        return Hash::empty_root();
    };
    from_right.fold(*last, |right, left| Hash::node(left, &right))
}

/// `MTH(D[start:end])`, for ranges that occur in proofs.
fn range<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let parts: Vec<Hash> = complete_subtrees(start, end)
        .into_iter()
        .map(|id| nodes.node(id))
        .collect::<Result<_, _>>()?;
    Ok(fold_peaks(&parts))
}

/// The root of the first `size` leaves.
///
/// # Errors
/// When a node cannot be read.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    range(nodes, 0, size)
}

/// The largest power of two below `n` (n ≥ 2).
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The inclusion proof of leaf `index` in the first `size` leaves (`PATH` of RFC 6962), from the leaf up.
/// Empty when `index` is not below `size`: such a proof verifies nothing.
///
/// # Errors
/// When a node cannot be read.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency proof from the first `first` to the first `second` leaves (`PROOF` of RFC 6962).
/// Empty unless `0 < first < second`.
///
/// # Errors
/// When a node cannot be read.
pub fn consistency<N: Nodes>(nodes: &N, first: u64, second: u64) -> Result<Vec<Hash>, N::Error> {
    let mut path = Vec::new();
    if first == 0 || first >= second {
        return Ok(path);
    }
    let (mut start, mut end) = (0, second);
    while first != end {
        let middle = start + split(end - start);
        if first <= middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        path.push(range(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Which nodes an algorithm of this module reads, so that a store can fetch them in one query.
#[derive(Debug, Default)]
pub struct Wanted(std::cell::RefCell<Vec<NodeId>>);

impl Wanted {
    /// The nodes that were asked for.
    #[must_use]
    pub fn into_ids(self) -> Vec<NodeId> {
        self.0.into_inner()
    }
}

impl Nodes for Wanted {
    type Error = std::convert::Infallible;
    fn node(&self, id: NodeId) -> Result<Hash, Self::Error> {
        self.0.borrow_mut().push(id);
        Ok(Hash::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::super::proof;
    use super::*;
    use proptest::prelude::*;

    /// The definition of RFC 6962, word for word.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::empty_root(),
            [one] => *one,
            many => {
                let k = usize::try_from(split(many.len() as u64)).unwrap_or(0);
                Hash::node(&mth(&many[..k]), &mth(&many[k..]))
            }
        }
    }

    fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = usize::try_from(split(leaves.len() as u64)).unwrap_or(0);
        let (mut below, sibling) = if m < k {
            (path(m, &leaves[..k]), mth(&leaves[k..]))
        } else {
            (path(m - k, &leaves[k..]), mth(&leaves[..k]))
        };
        below.push(sibling);
        below
    }

    fn sub(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![mth(leaves)] };
        }
        let k = usize::try_from(split(leaves.len() as u64)).unwrap_or(0);
        let (mut below, sibling) = if m <= k {
            (sub(m, &leaves[..k], whole), mth(&leaves[k..]))
        } else {
            (sub(m - k, &leaves[k..], false), mth(&leaves[..k]))
        };
        below.push(sibling);
        below
    }

    fn grown(n: u64) -> (Vec<Hash>, HashMap<NodeId, Hash>, Frontier) {
        let leaves: Vec<Hash> = (0..n).map(|i| Hash::leaf(&i.to_be_bytes())).collect();
        let mut nodes = HashMap::new();
        let mut frontier = Frontier::new();
        let mut order = 0;
        for leaf in &leaves {
            frontier.append(*leaf, |id, hash| {
                assert_eq!(stored_index(id), order, "nodes come in storage order");
                order += 1;
                nodes.insert(id, hash);
            });
        }
        assert_eq!(stored_count(n), order);
        (leaves, nodes, frontier)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn roots_and_proofs_are_those_of_the_definition(n in 1..200_u64, a in 0..200_u64, b in 0..200_u64) {
            let (leaves, nodes, frontier) = grown(n);
            let len = |x: u64| usize::try_from(x).unwrap_or(0);
            prop_assert_eq!(frontier.root(), mth(&leaves));
            prop_assert_eq!(Frontier::load(&nodes, n), Ok(frontier));
            let size = 1 + b % n;
            let index = a % size;
            let got = inclusion(&nodes, index, size);
            prop_assert_eq!(got.as_ref(), Ok(&path(len(index), &leaves[..len(size)])));
            let small_root = mth(&leaves[..len(size)]);
            prop_assert_eq!(root(&nodes, size), Ok(small_root));
            prop_assert_eq!(proof::verify_inclusion(&leaves[len(index)], index, size, &got.unwrap_or_default(), &small_root), Ok(()));
            let got = consistency(&nodes, size, n).unwrap_or_default();
            if size < n {
                prop_assert_eq!(&got, &sub(len(size), &leaves, true));
            }
            prop_assert_eq!(proof::verify_consistency(size, n, &got, &small_root, &mth(&leaves)), Ok(()));
        }

        #[test]
        fn a_commit_proves_its_own_entries_from_its_edge(old in 0..70_u64, new in 1..40_u64) {
            let (leaves, _, _) = grown(old + new);
            let (_, _, mut frontier) = grown(old);
            let mut nodes: HashMap<NodeId, Hash> = frontier.nodes().collect();
            for leaf in &leaves[usize::try_from(old).unwrap_or(0)..] {
                frontier.append(*leaf, |id, hash| { nodes.insert(id, hash); });
            }
            for index in old..old + new {
                let proof = inclusion(&nodes, index, old + new);
                prop_assert_eq!(proof, Ok(path(usize::try_from(index).unwrap_or(0), &leaves)));
            }
        }
    }
}
