//! Starting: is the ledger what it was when it stopped?

use std::collections::HashMap;

use super::OpenError;
use super::guard::Guard;
use super::writer::Tail;
use crate::keyring::{Keyring, SlotId};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::Vkey;
use crate::ledger::proof;
use crate::ledger::tree::{self, Frontier, NodeId, Wanted};
use crate::ledger::{Hash, Leaf, Timestamp};
use crate::store::{Head, LedgerReader, StoreError};

/// Stored nodes, fetched in one go for an algorithm of the tree.
pub(super) fn fetch<T>(
    store: &dyn LedgerReader,
    run: impl Fn(&Wanted) -> Result<T, std::convert::Infallible>,
) -> Result<HashMap<NodeId, Hash>, StoreError> {
    let wanted = Wanted::default();
    let Ok(_) = run(&wanted);
    let ids = wanted.into_ids();
    let hashes = store.nodes(&ids)?;
    Ok(ids.into_iter().zip(hashes).collect())
}

fn absent(id: NodeId) -> StoreError {
    StoreError::Damaged(format!(
        "the tree's node at level {}, place {} is absent",
        id.level, id.index
    ))
}

/// The ledger's end, checked against itself: head, tree, last leaf.
pub(super) fn tail(store: &dyn LedgerReader) -> Result<Tail, StoreError> {
    let head = store.head()?;
    let nodes = fetch(store, |w| Frontier::load(w, head.size))?;
    let frontier = Frontier::load(&nodes, head.size).map_err(absent)?;
    if frontier.root() != head.root {
        return Err(StoreError::Damaged(format!(
            "the head of size {} has another root than the stored tree",
            head.size
        )));
    }
    if store.entry(head.size)?.is_some() {
        return Err(StoreError::Damaged(format!(
            "there is an entry at {}, beyond the head",
            head.size
        )));
    }
    let Some(last) = head.size.checked_sub(1) else {
        return Ok(Tail {
            frontier,
            prev: Hash::ZERO,
            recorded: Timestamp::EPOCH,
        });
    };
    let entry = store
        .entry(last)?
        .ok_or_else(|| StoreError::Damaged(format!("the last entry, {last}, is absent")))?;
    let prev = Hash::leaf(&entry.leaf);
    let node = store.nodes(&[NodeId {
        level: 0,
        index: last,
    }])?;
    if node.first() != Some(&prev) {
        return Err(StoreError::Damaged(format!(
            "the leaf of the last entry, {last}, is not the one in the tree"
        )));
    }
    let leaf =
        Leaf::decode(&entry.leaf).map_err(|e| StoreError::Damaged(format!("entry {last}: {e}")))?;
    Ok(Tail {
        frontier,
        prev,
        recorded: leaf.recorded,
    })
}

/// Compares a ledger with its keyring and its guard file. Gives its end, and the checkpoints that must be stored.
pub(super) fn check(
    store: &dyn LedgerReader,
    keyring: &Keyring,
    origin: &str,
    guard: &mut Guard,
    guarded: Option<&str>,
) -> Result<(Tail, Vec<(u64, String)>), OpenError> {
    let end = tail(store)?;
    let size = end.frontier.size();
    genesis(store, keyring, origin)?;
    let last = store.commitment_at_least(size)?;
    if last.as_ref().map(|c| (c.size, c.root)) != Some((size, end.frontier.root())) {
        return Err(StoreError::Damaged(format!(
            "the last commitment does not belong to the head of size {size}"
        ))
        .into());
    }
    let now = Head {
        size,
        root: end.frontier.root(),
    };
    let vouched = compare_guard(store, keyring, origin, now, guarded)?;
    slots(store, keyring)?;
    let unstored = unsigned(store, keyring, origin, now, vouched)?;
    let head = Checkpoint {
        origin: origin.to_owned(),
        size,
        root: end.frontier.root(),
    }
    .sign(&keyring.checkpoint);
    if guarded != Some(&head) {
        guard.write(&head)?;
    }
    Ok((end, unstored))
}

/// Signs the commits that have no stored checkpoint: a crash or a failure after a commit leaves its head unsigned, and
/// the signature comes out byte for byte the same. Only what is proven to be of one history with the head `now` and with
/// the head that was vouched for is signed.
pub(super) fn unsigned(
    store: &dyn LedgerReader,
    keyring: &Keyring,
    origin: &str,
    now: Head,
    vouched: Option<Head>,
) -> Result<Vec<(u64, String)>, StoreError> {
    let vkey = keyring.checkpoint.vkey().id();
    let mut signed = Vec::new();
    for c in store.unsigned_commitments(100_000)? {
        if c.key_id != vkey {
            continue;
        }
        let at = Head {
            size: c.size,
            root: c.root,
        };
        contains(store, now, at)?;
        match vouched {
            Some(vouched) if vouched.size >= at.size => contains(store, vouched, at)?,
            Some(vouched) => contains(store, at, vouched)?,
            None => {}
        }
        let note = Checkpoint {
            origin: origin.to_owned(),
            size: c.size,
            root: c.root,
        }
        .sign(&keyring.checkpoint);
        signed.push((c.size, note));
    }
    Ok(signed)
}

/// The first entry names origin, keys and id key; the keyring must be the one.
fn genesis(store: &dyn LedgerReader, keyring: &Keyring, origin: &str) -> Result<(), OpenError> {
    let entry = store.entry(0)?.ok_or(OpenError::Unfinished)?;
    let leaf =
        Leaf::decode(&entry.leaf).map_err(|e| StoreError::Damaged(format!("entry 0: {e}")))?;
    if leaf.ledger != origin {
        return Err(OpenError::Origin {
            stored: leaf.ledger,
            configured: origin.to_owned(),
        });
    }
    let fact = leaf.fact.unwrap_or_default();
    let says = |name: &str| {
        fact.get(name)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    for (name, have, what) in [
        (
            "checkpoint_key",
            keyring.checkpoint.vkey().to_string(),
            "checkpoint.pem",
        ),
        (
            "report_key",
            keyring.report.vkey().to_string(),
            "report.pem",
        ),
        ("id_key_check", keyring.id.check().to_b64url(), "id.key"),
    ] {
        if says(name) != have {
            return Err(OpenError::WrongKey { file: what });
        }
    }
    Ok(())
}

/// Proves that the tree of `whole` begins with the tree of `part`, from stored nodes but whatever they are: the proof
/// is verified against both roots.
pub(super) fn contains(
    store: &dyn LedgerReader,
    whole: Head,
    part: Head,
) -> Result<(), StoreError> {
    let damaged = |why: &str| {
        StoreError::Damaged(format!(
            "the tree of {} entries does not contain the one of {} entries that was signed before: {why}",
            whole.size, part.size
        ))
    };
    if part.size == 0 {
        return Ok(());
    }
    if part.size > whole.size {
        return Err(damaged("entries were cut off"));
    }
    let nodes = fetch(store, |w| tree::consistency(w, part.size, whole.size))?;
    let path = tree::consistency(&nodes, part.size, whole.size).map_err(absent)?;
    proof::verify_consistency(part.size, whole.size, &path, &part.root, &whole.root)
        .map_err(|e| damaged(&e.to_string()))
}

/// The head that the guard vouches for, once the ledger is found to contain it.
fn compare_guard(
    store: &dyn LedgerReader,
    keyring: &Keyring,
    origin: &str,
    now: Head,
    guarded: Option<&str>,
) -> Result<Option<Head>, OpenError> {
    let size = now.size;
    let Some(note) = guarded else {
        // Written right after the first commit; only a crash in that moment leaves a ledger of one entry without it.
        return if size <= 1 {
            Ok(None)
        } else {
            Err(OpenError::GuardEmpty { size })
        };
    };
    let keys: [Vkey; 1] = [keyring.checkpoint.vkey().clone()];
    let checkpoint = Checkpoint::open(note, origin, &keys)
        .map_err(|e| OpenError::GuardForeign(e.to_string()))?;
    let vouched = Head {
        size: checkpoint.size,
        root: checkpoint.root,
    };
    if vouched.size > size {
        return Err(OpenError::BehindGuard {
            size,
            guarded: vouched.size,
        });
    }
    match contains(store, now, vouched) {
        Ok(()) => Ok(Some(vouched)),
        Err(StoreError::Damaged(_)) => Err(OpenError::Forked { size: vouched.size }),
        Err(e) => Err(e.into()),
    }
}

/// Every slot that something is sealed under must be there: a keyring that lost blocks must not go unnoticed.
fn slots(store: &dyn LedgerReader, keyring: &Keyring) -> Result<(), OpenError> {
    let mut after = None;
    let mut absent = 0_u64;
    loop {
        let page = store.slots(after, 10_000)?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for slot in page {
            if !keyring.slots.has(SlotId(slot.0))? {
                absent += 1;
            }
        }
    }
    if absent == 0 {
        Ok(())
    } else {
        Err(OpenError::SlotsAbsent { count: absent })
    }
}
