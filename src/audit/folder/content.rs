//! One entry's stored content, opened: by the worker threads, each entry for itself.

use std::path::Path;

use serde_json::Value;

use crate::event;
use crate::keyring::{IdKey, KeyringError, SLOT_LEN, SlotId, Slots, open};
use crate::ledger::content::{ContentError, Opened, Pool};
use crate::ledger::{Hash, Id16, Leaf, disclosure};
use crate::sequencer::lookups;
use crate::store::scan::ScanEntry;
use crate::verify::ledger::LedgerCode;

/// What opens content: no key that signs.
#[derive(Debug)]
pub struct ContentKeys {
    id: IdKey,
    slots: Slots,
}

impl ContentKeys {
    /// Reads them from a ledger's keyring.
    ///
    /// # Errors
    /// When a part is absent or cannot be read.
    pub fn read(dir: &Path) -> Result<Self, KeyringError> {
        Ok(Self {
            id: IdKey::read(&dir.join("id.key"))?,
            slots: Slots::open(&dir.join("slots"))?,
        })
    }

    /// What entry 0 says of the id key.
    #[must_use]
    pub fn check(&self) -> Hash {
        self.id.check()
    }
}

/// In which state an entry's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It commits to none.
    None,
    /// It is stored, and was not looked at.
    Stored,
    /// It was opened.
    Opened,
    /// It is not there, or its secret is not.
    Gone,
}

/// What was found about one entry's content.
#[derive(Debug)]
pub(super) struct Found {
    pub state: State,
    pub committed: bool,
    pub slot: Option<[u8; SLOT_LEN]>,
    /// The case id's blind image.
    pub blind: Option<Id16>,
    pub lookups: Vec<Id16>,
    pub problems: Vec<(LedgerCode, String)>,
}

/// Looks at one entry's content.
pub(super) fn look(
    leaf: &Leaf,
    row: &ScanEntry,
    keys: Option<&ContentKeys>,
) -> Result<Found, KeyringError> {
    let seq = leaf.seq;
    let mut found = Found {
        state: State::None,
        committed: leaf.content.is_some(),
        slot: None,
        blind: None,
        lookups: Vec::new(),
        problems: Vec::new(),
    };
    if row.slot.is_some() != row.is_sealed {
        let text = format!(
            "The row of entry {seq} has {}: each is there only with the other.",
            if row.is_sealed {
                "sealed content and no slot"
            } else {
                "a slot and no sealed content"
            }
        );
        found.problems.push((LedgerCode::ContentSlot, text));
    }
    found.slot = match row.slot.as_deref().map(<[u8; SLOT_LEN]>::try_from) {
        Some(Ok(slot)) => Some(slot),
        Some(Err(_)) => {
            let text = format!("The slot in the row of entry {seq} is not {SLOT_LEN} bytes long.");
            found.problems.push((LedgerCode::ContentSlot, text));
            None
        }
        None => None,
    };
    if !row.is_sealed {
        if found.committed {
            found.state = State::Gone;
        }
        return Ok(found);
    }
    let (Some(keys), Some(blob)) = (keys, &row.sealed) else {
        found.state = State::Stored;
        return Ok(found);
    };
    let secret = match found.slot {
        Some(slot) => keys.slots.secret(SlotId(slot))?,
        None => None,
    };
    let Some(secret) = secret else {
        found.state = State::Gone;
        return Ok(found);
    };
    found.state = State::Opened;
    match open(
        &secret,
        &leaf.ledger,
        &leaf.eid,
        leaf.content.as_ref(),
        blob,
    ) {
        Ok(sealed) => inside(leaf, &sealed.texts, keys, &mut found),
        Err(e) => {
            let text = format!(
                "The content of entry {seq} cannot be opened: {e}. What it said is lost, unless a copy of the database has it."
            );
            found.problems.push((LedgerCode::ContentSealed, text));
        }
    }
    Ok(found)
}

fn inside(leaf: &Leaf, texts: &[String], keys: &ContentKeys, found: &mut Found) {
    let seq = leaf.seq;
    let opened = match disclosed(leaf, texts) {
        Ok(opened) => opened,
        Err(e) => {
            let code = match e {
                ContentError::Commitment => LedgerCode::ContentCommitment,
                _ => LedgerCode::ContentForm,
            };
            let text = format!(
                "The content of entry {seq} opens, and is not what the entry commits to: {e}. Whoever held the keys put it in place of what was recorded."
            );
            return found.problems.push((code, text));
        }
    };
    if let Some(digest) = opened.hidden_elements.first() {
        let text = format!(
            "A part of the content of entry {seq} is not there (digest {}): the whole refers to it.",
            digest.to_b64url()
        );
        found.problems.push((LedgerCode::ContentForm, text));
    }
    let shown = crate::verify::ledger::shapes(leaf, &opened);
    found.problems.extend(
        shown
            .into_iter()
            .map(|text| (LedgerCode::ContentForm, text)),
    );
    if let (Some(source), Some(id)) = (opened.text("/source"), opened.text("/id"))
        && keys.id.eid(source, id) != leaf.eid
    {
        let text = format!(
            "The identity of entry {seq} is not that of the source and id in its content: a retry of the event would not be recognised, or the wrong one would."
        );
        found.problems.push((LedgerCode::ContentIdentity, text));
    }
    if let (Some(original), Some(trace)) = (opened.text("/trace_id"), leaf.trace)
        && keys.id.trace(original) != trace
    {
        let text = format!("The trace of entry {seq} is not the image of the one in its content.");
        found.problems.push((LedgerCode::ContentIdentity, text));
    }
    found.blind = opened.text("/case_id").map(|id| keys.id.blind("case", id));
    if found.blind.is_some() != leaf.case.is_some() && event::is_declared(&leaf.kind, "/case_id") {
        let text = format!(
            "Entry {seq} {}.",
            if leaf.case.is_some() {
                "belongs to a case, and its content names none"
            } else {
                "belongs to no case, and its content names one"
            }
        );
        found.problems.push((LedgerCode::ContentIdentity, text));
    }
    found.lookups = lookups(&keys.id, &leaf.kind, &|at| -> Option<Value> {
        opened.get(at).map(|d| opened.expand(d.value))
    });
}

/// Opens all disclosures against the leaf's commitment; each must be referred to exactly once.
fn disclosed(leaf: &Leaf, texts: &[String]) -> Result<Opened, ContentError> {
    let encoded: Vec<String> = texts.iter().map(|t| disclosure::encode(t)).collect();
    let mut top = Vec::with_capacity(encoded.len());
    for text in &encoded {
        let read = disclosure::decode(text)?;
        if read.pointer.is_some() {
            top.push(read.digest);
        }
    }
    let mut pool = Pool::new(encoded.iter().map(String::as_str))?;
    let opened = pool.open(&top, leaf.content)?;
    pool.finish()?;
    Ok(opened)
}
