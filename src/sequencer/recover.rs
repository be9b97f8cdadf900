//! Starting: is the ledger what it was when it stopped?

use std::collections::HashMap;

use super::OpenError;
use super::guard::Guard;
use super::rotation::sign;
use super::writer::Tail;
use crate::keyring::{Keyring, SlotId};
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::keys::{KEY_ROTATED, KeyHistory, Purpose};
use crate::ledger::proof;
use crate::ledger::tree::{self, Frontier, NodeId, Wanted};
use crate::ledger::{Hash, Leaf, Timestamp};
use crate::store::{EntryQuery, Head, LedgerReader, StoreError};

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
    keys: &KeyHistory,
    origin: &str,
    guard: &mut Guard,
    guarded: Option<&str>,
) -> Result<(Tail, Vec<(u64, String)>), OpenError> {
    let end = tail(store)?;
    let size = end.frontier.size();
    id_key(store, keyring)?;
    for span in keys.spans(Purpose::Checkpoint) {
        if span.to.is_some() {
            keyring.signing().hold_retiring(&span.vkey)?;
        }
    }
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
    let vouched = compare_guard(store, keys, origin, now, guarded)?;
    slots(store, keyring)?;
    let unstored = unsigned(store, keyring, keys, origin, now, vouched)?;
    let head = Checkpoint {
        origin: origin.to_owned(),
        size,
        root: end.frontier.root(),
    };
    // Where the last commit changed the key and the old one is destroyed, only the stored note has both signatures.
    let stored = last.and_then(|c| c.note).filter(|note| {
        let signers = keys.signers(size);
        Checkpoint::parse_unverified(note).is_ok_and(|(read, note)| {
            read == head
                && note
                    .verify(&signers)
                    .is_ok_and(|k| k.len() == signers.len())
        })
    });
    let head = sign(keyring, keys, &head)
        .or(stored)
        .ok_or(OpenError::BridgeGone { size })?;
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
    keys: &KeyHistory,
    origin: &str,
    now: Head,
    vouched: Option<Head>,
) -> Result<Vec<(u64, String)>, StoreError> {
    let mut signed = Vec::new();
    for c in store.unsigned_commitments(100_000)? {
        if c.key_id != keys.checkpoint_key_at(c.size).id() {
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
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size: c.size,
            root: c.root,
        };
        // A key that was replaced and destroyed signs nothing any more: such a note stays absent.
        if let Some(note) = sign(keyring, keys, &checkpoint) {
            signed.push((c.size, note));
        }
    }
    Ok(signed)
}

fn leaf(store: &dyn LedgerReader, seq: u64) -> Result<Option<Leaf>, StoreError> {
    let Some(entry) = store.entry(seq)? else {
        return Ok(None);
    };
    Leaf::decode(&entry.leaf)
        .map(Some)
        .map_err(|e| StoreError::Damaged(format!("entry {seq}: {e}")))
}

/// The ledger's keys, as its first entry and its `key.rotated` entries name them.
pub(super) fn history(store: &dyn LedgerReader, origin: &str) -> Result<KeyHistory, OpenError> {
    let genesis = leaf(store, 0)?.ok_or(OpenError::Unfinished)?;
    if genesis.ledger != origin {
        return Err(OpenError::Origin {
            stored: genesis.ledger,
            configured: origin.to_owned(),
        });
    }
    let mut keys = KeyHistory::begin(&genesis)?;
    let rotated = store.entries(&EntryQuery {
        kind: Some(KEY_ROTATED.to_owned()),
        below: store.head()?.size,
        limit: 100_000,
        ..EntryQuery::default()
    })?;
    for entry in rotated {
        let node = store.nodes(&[NodeId {
            level: 0,
            index: entry.seq,
        }])?;
        if node.first() != Some(&Hash::leaf(&entry.leaf)) {
            return Err(StoreError::Damaged(format!(
                "entry {} is not what was committed: its leaf was changed",
                entry.seq
            ))
            .into());
        }
        let leaf = Leaf::decode(&entry.leaf)
            .map_err(|e| StoreError::Damaged(format!("entry {}: {e}", entry.seq)))?;
        keys.follow(&leaf)?;
    }
    Ok(keys)
}

/// The first entry carries a check value of the id key; the keyring must hold that key.
fn id_key(store: &dyn LedgerReader, keyring: &Keyring) -> Result<(), OpenError> {
    let genesis = leaf(store, 0)?.ok_or(OpenError::Unfinished)?;
    let says = genesis.fact.as_ref().and_then(|f| f.get("id_key_check"));
    if says.and_then(|v| v.as_str()) == Some(keyring.id.check().to_b64url().as_str()) {
        Ok(())
    } else {
        Err(OpenError::WrongKey { file: "id.key" })
    }
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
    keys: &KeyHistory,
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
    let foreign = |e: CheckpointError| OpenError::GuardForeign(e.to_string());
    let (unread, _) = Checkpoint::parse_unverified(note).map_err(foreign)?;
    let checkpoint = Checkpoint::open(note, origin, &keys.signers(unread.size)).map_err(foreign)?;
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
