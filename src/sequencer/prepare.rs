//! Preparation, in parallel and before the queue: identities, case and trace, salts, digests, sealing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::AppendError;
use super::lookups::lookups;
use crate::event::{Event, SpanRef, TraceRef};
use crate::json;
use crate::keyring::{Keyring, Sealed, SlotId, random, seal};
use crate::ledger::disclosure::{Disclosures, SALT, disclose};
use crate::ledger::{Hash, Id16, SpanId, Timestamp};
use crate::store::{CaseFile, LedgerReader, Slot};

/// An entry but for its place: everything that needs neither `seq` nor the head.
#[derive(Debug)]
pub(super) struct Prepared {
    pub kind: String,
    pub eid: Hash,
    pub case: Option<Id16>,
    pub trace: Option<Id16>,
    pub span: Option<SpanId>,
    /// `None` in the service's own entries: they happen when they are recorded.
    pub occurred: Option<Timestamp>,
    pub producer: Id16,
    pub content: Option<Hash>,
    pub fact: Option<Map<String, Value>>,
    pub sealed: Option<(Slot, Vec<u8>)>,
    pub lookups: Vec<Id16>,
    /// The disclosures' JSON texts, for the answer to the poster.
    pub texts: Vec<String>,
}

/// Cases and traces whose rows a batch must bring along, because no commit has stored them yet.
#[derive(Debug, Default)]
pub(super) struct NewRows {
    pub cases: Vec<CaseFile>,
    pub traces: Vec<(Id16, Slot)>,
}

/// Known cases and traces. One winner a case: whoever asks first mints, under the lock.
#[derive(Debug, Default)]
pub(super) struct Books {
    cases: Mutex<HashMap<Id16, (CaseFile, bool)>>,
    traces: Mutex<HashMap<Id16, (Slot, bool)>>,
}

/// How many stored cases or traces are remembered.
const REMEMBERED: usize = 65_536;

impl Books {
    fn case(
        &self,
        keyring: &Keyring,
        store: &dyn LedgerReader,
        blind: Id16,
    ) -> Result<(CaseFile, bool), AppendError> {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cases.get(&blind) {
            return Ok(*known);
        }
        let known = match store.case_by_blind(&blind)? {
            Some(file) => (file, true),
            None => (
                CaseFile {
                    blind,
                    pseudonym: Id16(random()?),
                    slot: Slot(keyring.slots.take()?.0.0),
                },
                false,
            ),
        };
        forget_stored(&mut cases);
        cases.insert(blind, known);
        Ok(known)
    }

    fn trace(
        &self,
        keyring: &Keyring,
        store: &dyn LedgerReader,
        trace: Id16,
    ) -> Result<(Slot, bool), AppendError> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = traces.get(&trace) {
            return Ok(*known);
        }
        let known = match store.trace_slot(&trace)? {
            Some(slot) => (slot, true),
            None => (Slot(keyring.slots.take()?.0.0), false),
        };
        forget_stored(&mut traces);
        traces.insert(trace, known);
        Ok(known)
    }

    /// Notes that a commit has stored these rows.
    pub fn stored(&self, rows: &NewRows) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        for case in &rows.cases {
            cases.insert(case.blind, (*case, true));
        }
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        for (trace, slot) in &rows.traces {
            traces.insert(*trace, (*slot, true));
        }
    }

    /// Forgets what storage knows better.
    pub fn forget(&self, rows: &NewRows) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        for case in &rows.cases {
            cases.remove(&case.blind);
        }
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        for (trace, _) in &rows.traces {
            traces.remove(trace);
        }
    }
}

/// Makes room by dropping what can be read again; what no commit has stored must stay, or a case would get two names.
fn forget_stored<K: Eq + std::hash::Hash, V>(book: &mut HashMap<K, (V, bool)>) {
    if book.len() >= REMEMBERED {
        book.retain(|_, (_, stored)| !*stored);
    }
}

/// Random salts, drawn from the operating system in bulk: one drawer for all events of a batch.
pub(super) struct Salts {
    bytes: [u8; 64 * SALT],
    used: usize,
    failed: Option<crate::keyring::KeyringError>,
}

impl Salts {
    pub fn new() -> Self {
        Self {
            bytes: [0; 64 * SALT],
            used: 64 * SALT,
            failed: None,
        }
    }

    fn next(&mut self) -> [u8; SALT] {
        if self.used == self.bytes.len() {
            match random() {
                Ok(bytes) => self.bytes = bytes,
                Err(e) => self.failed = Some(e),
            }
            self.used = 0;
        }
        let salt = std::array::from_fn(|i| self.bytes[self.used + i]);
        self.used += SALT;
        salt
    }
}

/// Prepares one event.
#[expect(
    clippy::too_many_arguments,
    reason = "all that an entry is made of, named once"
)]
pub(super) fn prepare(
    keyring: &Keyring,
    store: &dyn LedgerReader,
    books: &Books,
    origin: &str,
    event: &Event,
    producer: Id16,
    rows: &mut NewRows,
    salts: &mut Salts,
) -> Result<Prepared, AppendError> {
    let eid = keyring.id.eid(&event.source, &event.id);
    let trace = event.trace.as_ref().map(|t| match t {
        TraceRef::W3c(id) => *id,
        TraceRef::Other(original) => keyring.id.trace(original),
    });
    let span = event.span.as_ref().map(|s| match s {
        SpanRef::W3c(id) => *id,
        SpanRef::Other(original) => keyring.id.span(original),
    });
    let case = match &event.case_id {
        Some(id) => Some(books.case(keyring, store, keyring.id.blind("case", id))?),
        None => None,
    };
    if let Some((file, false)) = case
        && !rows.cases.contains(&file)
    {
        rows.cases.push(file);
    }
    let slot = match (case, trace) {
        (Some((file, _)), _) => file.slot,
        (None, Some(trace)) => {
            let (slot, stored) = books.trace(keyring, store, trace)?;
            if !stored && !rows.traces.iter().any(|(t, _)| *t == trace) {
                rows.traces.push((trace, slot));
            }
            slot
        }
        (None, None) => Slot(keyring.slots.take()?.0.0),
    };
    let members = event.members();
    let disclosures: Disclosures = disclose(members.iter().map(|(p, v)| (p.as_str(), *v)), || {
        salts.next()
    });
    if let Some(e) = salts.failed.take() {
        return Err(e.into());
    }
    let content = disclosures.commitment();
    let sealed = Sealed {
        sameness: keyring.id.sameness(&event.canonical()),
        texts: disclosures.texts,
    };
    let secret = keyring
        .slots
        .secret(SlotId(slot.0))?
        .ok_or(AppendError::SlotGone)?;
    let blob = seal(&secret, random()?, origin, &eid, content.as_ref(), &sealed);
    let lookups = lookups(
        &keyring.id,
        &event.kind,
        members.iter().map(|(p, v)| (p, *v)),
    );
    Ok(Prepared {
        kind: event.kind.clone(),
        eid,
        case: case.map(|(file, _)| file.pseudonym),
        trace,
        span,
        occurred: Some(event.occurred),
        producer,
        content,
        fact: None,
        sealed: Some((slot, blob)),
        lookups,
        texts: sealed.texts,
    })
}

/// Prepares one of the service's own entries: source is the origin, the id is
/// random unless the entry must not be written twice, all it says is public.
pub(super) fn prepare_own(
    keyring: &Keyring,
    origin: &str,
    service: Id16,
    kind: &str,
    fact: Map<String, Value>,
    case: Option<Id16>,
    id: Option<&str>,
) -> Result<Prepared, AppendError> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => Id16(random()?).to_hex(),
    };
    Ok(Prepared {
        kind: kind.to_owned(),
        eid: keyring.id.eid(origin, &id),
        case,
        trace: None,
        span: None,
        occurred: None,
        producer: service,
        content: None,
        fact: Some(fact),
        sealed: None,
        lookups: Vec::new(),
        texts: Vec::new(),
    })
}

/// Prepares one of the service's own entries that has content: one member, sealed under a slot of its own.
pub(super) fn prepare_told(
    keyring: &Keyring,
    origin: &str,
    service: Id16,
    kind: &str,
    at: &str,
    value: Value,
) -> Result<Prepared, AppendError> {
    let id = Id16(random()?).to_hex();
    let eid = keyring.id.eid(origin, &id);
    let mut salts = Salts::new();
    let disclosures = disclose([(at, &value)], || salts.next());
    if let Some(e) = salts.failed.take() {
        return Err(e.into());
    }
    let content = disclosures.commitment();
    let lookups = lookups(&keyring.id, kind, [(at, &value)]);
    let whole = Value::from_iter([("id", id.into()), ("source", origin.into()), (at, value)]);
    let sealed = Sealed {
        sameness: keyring.id.sameness(&json::canonical(&whole)),
        texts: disclosures.texts,
    };
    let slot = keyring.slots.take()?.0;
    let secret = keyring.slots.secret(slot)?.ok_or(AppendError::SlotGone)?;
    let blob = seal(&secret, random()?, origin, &eid, content.as_ref(), &sealed);
    Ok(Prepared {
        kind: kind.to_owned(),
        eid,
        case: None,
        trace: None,
        span: None,
        occurred: None,
        producer: service,
        content,
        fact: None,
        sealed: Some((Slot(slot.0), blob)),
        lookups,
        texts: Vec::new(),
    })
}
