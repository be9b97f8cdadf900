//! Which content is gone with a reason: ranges of positions, kept as short as they can be.

use serde_json::Value;

use crate::ledger::Leaf;
use crate::verify::service::{CONTENT_ERASED, RETENTION_APPLIED};

/// Positions, as ascending ranges that neither touch nor overlap, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a position. Positions that ascend cost nothing but the last range's end.
    pub fn add(&mut self, at: u64) {
        self.add_range(at, at);
    }

    /// Adds a range.
    pub fn add_range(&mut self, first: u64, last: u64) {
        let from = self.0.partition_point(|(_, l)| l.saturating_add(1) < first);
        let to = self
            .0
            .partition_point(|(f, _)| *f <= last.saturating_add(1));
        let joined = self.0[from..to]
            .iter()
            .fold((first, last), |(f, l), (a, b)| (f.min(*a), l.max(*b)));
        self.0.splice(from..to, [joined]);
    }

    /// Whether a position is in it.
    #[must_use]
    pub fn has(&self, at: u64) -> bool {
        let i = self.0.partition_point(|(_, l)| *l < at);
        self.0.get(i).is_some_and(|(f, _)| *f <= at)
    }

    /// All positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(f, l)| *f..=*l)
    }
}

/// What an entry says was erased whole; `None` when it tells of no erasure.
/// An error within when its fact is not of the prescribed form.
#[must_use]
pub fn erased(leaf: &Leaf) -> Option<Result<Vec<(u64, u64)>, ()>> {
    if !matches!(leaf.kind.as_str(), CONTENT_ERASED | RETENTION_APPLIED) {
        return None;
    }
    let range = |v: &Value| match v.as_array()?.as_slice() {
        [first, last] => {
            Some((first.as_u64()?, last.as_u64()?)).filter(|(f, l)| f <= l && *l < leaf.seq)
        }
        _ => None,
    };
    let ranges = match leaf.fact.as_ref().map(|f| f.get("ranges")) {
        None => None,
        Some(None) => Some(Vec::new()),
        Some(Some(v)) => v
            .as_array()
            .and_then(|all| all.iter().map(range).collect::<Option<Vec<_>>>()),
    };
    Some(ranges.ok_or(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_added(added in proptest::collection::vec((0..60_u64, 0..6_u64), 0..20)) {
            let mut ranges = Ranges::default();
            let mut want = std::collections::BTreeSet::new();
            for (first, len) in added {
                ranges.add_range(first, first + len);
                want.extend(first..=first + len);
            }
            prop_assert!(ranges.iter().eq(want.iter().copied()));
            for at in 0..70 {
                prop_assert_eq!(ranges.has(at), want.contains(&at));
            }
            prop_assert!(ranges.0.is_sorted_by(|a, b| a.1 + 1 < b.0));
        }
    }
}
