//! At the start: does the ledger still hold what its anchors saw?

use std::fs;
use std::path::Path;

use super::anchor::{NEWEST, folder_of};
use super::client::Client;
use super::{AskError, Place, Settings};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::keys::Purpose;
use crate::sequencer::Ledger;
use crate::store::StoreError;

/// Why a ledger does not resume.
#[derive(Debug, thiserror::Error)]
pub enum BehindAnchor {
    /// The database is older than the anchor.
    #[error(
        "the database holds {size} entries, but the anchor {place} holds a checkpoint of {anchored}: the database is older than it was (a backup was restored together with its guard file, or entries were cut off). \
         It does not resume: bring back the lost entries byte for byte, or create a new ledger with --replaces, whose first entry names this one and what was lost"
    )]
    Behind {
        /// Which anchor.
        place: String,
        /// Entries in the database.
        size: u64,
        /// Entries that the anchor saw.
        anchored: u64,
    },
    /// The database tells another story than the anchor.
    #[error(
        "the database and the anchor {place} disagree about the first {size} entries, both signed with the ledger's key: the past was rewritten. It does not resume; keep both as evidence"
    )]
    Forked {
        /// Which anchor.
        place: String,
        /// Size at which they disagree.
        size: u64,
    },
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares an open ledger with the newest checkpoint at each anchor. An anchor that cannot be read is warned about: its
/// absence proves nothing.
///
/// # Errors
/// When the ledger does not contain what an anchor holds.
pub fn compare(ledger: &Ledger, settings: &Settings) -> Result<(), BehindAnchor> {
    for anchor in &settings.anchors {
        let place = anchor.place.name();
        let note = match newest(ledger.origin(), &anchor.place, settings) {
            Ok(Some(note)) => note,
            Ok(None) => {
                tracing::info!(
                    component = "outside",
                    origin = ledger.origin(),
                    place,
                    "the anchor holds no checkpoint of this ledger yet"
                );
                continue;
            }
            Err(e) => {
                tracing::warn!(component = "outside", origin = ledger.origin(), place, error = %e, "the anchor cannot be read; the ledger starts without being compared with it");
                continue;
            }
        };
        let keys = ledger.keys().all(Purpose::Checkpoint);
        let anchored = match Checkpoint::open(&note, ledger.origin(), &keys) {
            Ok(anchored) => anchored,
            Err(e) => {
                // Whoever can write the anchor must not be able to stop the ledger with a text of their own.
                tracing::warn!(component = "outside", origin = ledger.origin(), place, error = %e, "the newest file at the anchor is not a checkpoint that this ledger's key signed; the ledger starts without being compared with it");
                continue;
            }
        };
        if anchored.size > ledger.size() {
            return Err(BehindAnchor::Behind {
                place,
                size: ledger.size(),
                anchored: anchored.size,
            });
        }
        if ledger.root_at(anchored.size)? != anchored.root {
            return Err(BehindAnchor::Forked {
                place,
                size: anchored.size,
            });
        }
    }
    Ok(())
}

fn newest(origin: &str, place: &Place, settings: &Settings) -> Result<Option<String>, AskError> {
    match place {
        Place::Folder(path) => newest_file(&path.join(folder_of(origin))),
        Place::Url { url, token } => {
            let client = Client::new(settings.timeout, token.as_deref());
            let answer = client.get(&format!("{url}/{}/{NEWEST}", folder_of(origin)))?;
            match answer.status {
                200 => Ok(Some(answer.body)),
                404 => Ok(None),
                status => Err(AskError::Failed(format!("status {status}"))),
            }
        }
    }
}

fn newest_file(dir: &Path) -> Result<Option<String>, AskError> {
    let failed = |e: std::io::Error| AskError::Failed(format!("{}: {e}", dir.display()));
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        // The folder of the ledger is made with its first checkpoint; the anchor itself must be there.
        Err(e)
            if e.kind() == std::io::ErrorKind::NotFound
                && dir.parent().is_some_and(Path::exists) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(failed(e)),
    };
    let mut newest: Option<(u64, std::path::PathBuf)> = None;
    for file in files {
        let path = file.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let size = name
            .strip_suffix(".checkpoint")
            .filter(|n| n.len() == 20)
            .and_then(|n| n.parse().ok());
        if let Some(size) = size {
            newest = newest.max(Some((size, path)));
        }
    }
    newest
        .map(|(_, path)| fs::read_to_string(path).map_err(failed))
        .transpose()
}
