//! Making a new ledger.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;

use serde_json::{Map, json};
use tokio::sync::oneshot;

use super::denials::Denials;
use super::prepare::{Books, NewRows, prepare_own};
use super::rotation::Keys;
use super::writer::{Batch, FreshNotes, Waiting, Writer};
use super::{Clock, Guard, Ledger, LedgerPaths, OpenError, lock, recover};
use crate::keyring::{GivenKeys, Keyring, random};
use crate::ledger::Id16;
use crate::ledger::checkpoint::{Checkpoint, is_origin};
use crate::ledger::keys::KeyHistory;
use crate::store::sqlite::SqliteStore;

/// Whether a text can name a ledger within a server: it stands in paths and in origins.
#[must_use]
pub fn is_ledger_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        && name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
}

/// What stands behind a new ledger that replaces one that cannot resume.
#[derive(Debug, Clone)]
pub struct Replaces {
    /// The old ledger's newest known checkpoint, as a signed note.
    pub checkpoint: String,
    /// How many of its entries are lost, and other words for the record.
    pub lost: u64,
}

impl Ledger {
    /// Makes a new ledger: folders, keys, database, guard file, and entry 0.
    ///
    /// # Errors
    /// When the name or origin is not possible, something is there already, or cannot be written.
    pub fn create(
        paths: &LedgerPaths,
        name: &str,
        origin: &str,
        clock: Arc<dyn Clock>,
        replaces: Option<&Replaces>,
    ) -> Result<(), OpenError> {
        Self::create_with(paths, name, origin, clock, replaces, GivenKeys::default())
    }

    /// As [`Ledger::create`], with signing keys that exist already.
    ///
    /// # Errors
    /// As [`Ledger::create`].
    pub fn create_with(
        paths: &LedgerPaths,
        name: &str,
        origin: &str,
        clock: Arc<dyn Clock>,
        replaces: Option<&Replaces>,
        given: GivenKeys,
    ) -> Result<(), OpenError> {
        if !is_ledger_name(name) {
            return Err(OpenError::Name(format!(
                "`{name}` cannot name a ledger: use 1 to 64 lower-case letters, digits, - and _, starting with a letter or digit"
            )));
        }
        if !is_origin(origin) {
            return Err(OpenError::Name(format!(
                "`{origin}` cannot be an origin: use a host-like name and path without spaces or plus signs, such as ledger.example/{name}"
            )));
        }
        if paths.ledger.exists() || paths.keyring.exists() || paths.guard.exists() {
            return Err(OpenError::Name(format!(
                "there is a ledger `{name}` (or a part of one) already in {} or {}",
                paths.ledger.display(),
                paths.keyring.display()
            )));
        }
        let replaced = match replaces {
            Some(r) => {
                let (old, _) = Checkpoint::parse_unverified(&r.checkpoint).map_err(|e| {
                    OpenError::Name(format!("the checkpoint of the ledger to be replaced: {e}"))
                })?;
                Some(
                    json!({ "origin": old.origin, "size": old.size, "root": old.root.to_b64(), "lost": r.lost }),
                )
            }
            None => None,
        };
        if let Some(dir) = paths.guard.parent() {
            fs::create_dir_all(dir).map_err(OpenError::io("cannot make the folder", dir))?;
        }
        fs::create_dir_all(&paths.ledger)
            .map_err(OpenError::io("cannot make the folder", &paths.ledger))?;
        let lock = lock(&paths.ledger)?;
        let origin_file = paths.ledger.join("origin");
        fs::write(&origin_file, format!("{origin}\n"))
            .map_err(OpenError::io("cannot write", &origin_file))?;
        let keyring = Arc::new(Keyring::create(&paths.keyring, origin, given)?);
        let store = Arc::new(SqliteStore::open(&paths.database(), true)?);
        let guard = Guard::create(&paths.guard)?;
        let service = Id16(random()?);
        let mut fact = Map::from_iter([
            ("spec".to_owned(), json!(1)),
            (
                "vocabulary".to_owned(),
                json!(crate::event::types::VOCABULARY_VERSION),
            ),
            (
                "software".to_owned(),
                json!(concat!("whereas ", env!("CARGO_PKG_VERSION"))),
            ),
            (
                "checkpoint_key".to_owned(),
                json!(keyring.checkpoint().vkey().to_string()),
            ),
            (
                "report_key".to_owned(),
                json!(keyring.report().vkey().to_string()),
            ),
            (
                "id_key_check".to_owned(),
                json!(keyring.id.check().to_b64url()),
            ),
        ]);
        fact.extend(replaced.map(|r| ("replaces".to_owned(), r)));
        let entry = prepare_own(
            &keyring,
            origin,
            service,
            "ledger.created",
            fact,
            None,
            None,
        )
        .map_err(|e| OpenError::Name(e.to_string()))?;
        let end = recover::tail(&*store)?;
        let mut writer = Self::writer(
            origin,
            service,
            &keyring,
            &store,
            &Arc::new(Books::default()),
            guard,
            &Arc::new(AtomicU64::new(0)),
            clock,
            &Denials::default(),
            end,
            &FreshNotes::default(),
            &Keys::new(KeyHistory::new(
                keyring.checkpoint().vkey().clone(),
                keyring.report().vkey().clone(),
            )),
        )?;
        let (reply, mut answer) = oneshot::channel();
        let rows = NewRows::default();
        writer.commit(vec![Batch {
            entries: vec![entry],
            rows,
            looked_up_at: 0,
            case_must_have: None,
            report: None,
            signed_by: None,
            reply: Waiting::One(reply),
        }]);
        writer.finish();
        drop(lock);
        match answer.try_recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(OpenError::Name(format!(
                "the first entry could not be written: {e}"
            ))),
            Err(_) => Err(OpenError::Unfinished),
        }
    }
}

impl Writer {
    /// Writes what still waits for a transaction; used where no thread runs.
    fn finish(self) {
        let (jobs, queue) = sync_channel(0);
        drop(jobs);
        self.run(&queue);
    }
}
