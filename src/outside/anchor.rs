//! Keeping checkpoints at an anchor.
//!
//! A ledger's checkpoints lie under `<place>/<hex SHA-256 of the origin>/`, each as `<size in 20 digits>.checkpoint`: the
//! signed note, with the cosignatures that were there. They are never overwritten. An address also gets
//! `newest.checkpoint`, which is replaced each time: addresses cannot be listed.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::{Anchor, AskError, Place, Shared, back_off};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::fork;
use crate::ledger::keys::Purpose;
use crate::sequencer::FromOutside;
use crate::store::Anchored;
use crate::witness::origin_hash;

/// Name of the folder of a ledger's checkpoints at an anchor.
#[must_use]
pub fn folder_of(origin: &str) -> String {
    origin_hash(origin).to_hex()
}

/// Name of a checkpoint's file at an anchor.
#[must_use]
pub fn checkpoint_file(size: u64) -> String {
    format!("{size:020}.checkpoint")
}

/// Name of the file that an address replaces.
pub const NEWEST: &str = "newest.checkpoint";

/// Puts the newest checkpoint there whenever the ledger has grown, until the service stops.
pub fn run(shared: &Shared, at: usize, anchor: &Anchor) {
    warn_of_same_disk(shared, &anchor.place);
    let mut done = shared.desk().anchors[at].size.unwrap_or(0);
    let mut failures = 0;
    loop {
        let put = put_newest(shared, &anchor.place, done);
        let wait = match put {
            Ok(None) => anchor.every,
            Ok(Some(anchored)) => {
                done = anchored.size;
                failures = 0;
                let mut desk = shared.desk();
                let state = &mut desk.anchors[at];
                state.size = Some(anchored.size);
                state.time = Some(anchored.time);
                state.error = None;
                anchor.every
            }
            Err(e) => {
                failures += 1;
                let place = anchor.place.name();
                tracing::error!(component = "outside", origin = shared.ledger.origin(), place, error = %e, retryable = true, "a checkpoint could not be anchored");
                let mut desk = shared.desk();
                let state = &mut desk.anchors[at];
                state.failures += 1;
                state.error = Some(e.to_string());
                back_off(anchor.every, failures)
            }
        };
        if !shared.pause(wait) {
            return;
        }
    }
}

fn put_newest(shared: &Shared, place: &Place, done: u64) -> Result<Option<Anchored>, AskError> {
    let ledger = &shared.ledger;
    let (checkpoint, note) = ledger.checkpoint()?;
    if checkpoint.size <= done {
        return Ok(None);
    }
    let note = ledger.with_cosignatures(checkpoint.size, note)?;
    match place {
        Place::Folder(path) => {
            let dir = path.join(folder_of(ledger.origin()));
            put_file(&dir, &checkpoint, &note).map_err(|e| kept(shared, e, &note))?;
        }
        Place::Url { url, token } => {
            let client = Client::new(shared.settings.timeout, token.as_deref());
            let base = format!("{url}/{}", folder_of(ledger.origin()));
            put_url(&client, &base, &checkpoint, &note).map_err(|e| kept(shared, e, &note))?;
        }
    }
    let anchored = Anchored {
        place: place.name(),
        size: checkpoint.size,
        root: checkpoint.root,
        time: shared.clock.now(),
    };
    ledger.keep_blocking(FromOutside::Anchored(anchored.clone()))?;
    Ok(Some(anchored))
}

/// Why a checkpoint was not put.
#[derive(Debug)]
enum PutError {
    Failed(String),
    /// Something else lies there: its text.
    Other(String, String),
}

fn kept(shared: &Shared, e: PutError, ours: &str) -> AskError {
    let (name, theirs) = match e {
        PutError::Failed(what) => return AskError::Failed(what),
        PutError::Other(name, theirs) => (name, theirs),
    };
    let keys = shared.ledger.keys().all(Purpose::Checkpoint);
    let proof = fork::is_equivocation(ours, &theirs, &keys);
    AskError::OtherHistory(format!(
        "{name} is there already and holds another checkpoint{}; it is left as it is. Keep it: compare it with this ledger with `whereas verify checkpoints`",
        if proof {
            " of the same size, signed by this ledger's key: two histories were signed"
        } else {
            ", or something else"
        }
    ))
}

/// Whether what lies there is the same checkpoint; other signature lines do not matter.
fn same(there: &str, checkpoint: &Checkpoint) -> bool {
    Checkpoint::parse_unverified(there).is_ok_and(|(c, _)| c == *checkpoint)
}

fn put_file(dir: &Path, checkpoint: &Checkpoint, note: &str) -> Result<(), PutError> {
    let failed = |what: &str, path: &Path, e: std::io::Error| {
        PutError::Failed(format!("{what} {}: {e}", path.display()))
    };
    fs::create_dir_all(dir).map_err(|e| failed("cannot make the folder", dir, e))?;
    let path = dir.join(checkpoint_file(checkpoint.size));
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(|e| failed("cannot create", &temporary, e))?;
    file.write_all(note.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| failed("cannot write", &temporary, e))?;
    // A link is refused when the name is taken; a rename would replace what is there.
    let linked = match fs::hard_link(&temporary, &path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let there = fs::read_to_string(&path);
            match there {
                Ok(there) if same(&there, checkpoint) => Ok(()),
                Ok(there) => Err(PutError::Other(path.display().to_string(), there)),
                Err(e) => Err(failed("cannot read", &path, e)),
            }
        }
        Err(_) if !path.exists() => {
            // This file system has no links. This process is the only one that writes this ledger's checkpoints.
            fs::rename(&temporary, &path).map_err(|e| failed("cannot write", &path, e))
        }
        Err(e) => Err(failed("cannot write", &path, e)),
        Ok(()) => Ok(()),
    };
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(failed("cannot remove", &temporary, e));
        }
        _ => {}
    }
    linked?;
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| failed("cannot sync the folder", dir, e))
}

fn put_url(
    client: &Client,
    base: &str,
    checkpoint: &Checkpoint,
    note: &str,
) -> Result<(), PutError> {
    let failed = |e: AskError| PutError::Failed(e.to_string());
    let url = format!("{base}/{}", checkpoint_file(checkpoint.size));
    let answer = client.put(&url, note, true).map_err(failed)?;
    match answer.status {
        200..=299 => {}
        409 | 412 => {
            let there = client.get(&url).map_err(failed)?;
            if !same(&there.body, checkpoint) {
                return Err(PutError::Other(url, there.body));
            }
        }
        status => return Err(PutError::Failed(format!("PUT {url}: status {status}"))),
    }
    let newest = format!("{base}/{NEWEST}");
    let answer = client.put(&newest, note, false).map_err(failed)?;
    match answer.status {
        200..=299 => Ok(()),
        status => Err(PutError::Failed(format!(
            "PUT {newest}: status {status}; without it a start cannot be compared with this anchor"
        ))),
    }
}

fn warn_of_same_disk(shared: &Shared, place: &Place) {
    let Place::Folder(path) = place else { return };
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    let existing = |path: &PathBuf| path.ancestors().find_map(device);
    if existing(path).is_some() && existing(path) == existing(&shared.settings.evidence) {
        tracing::warn!(
            component = "outside",
            place = %path.display(),
            "the anchor lies on the same disk as the ledger: whoever can change one can change the other, so it counts for little. Use a disk that the ledger's operators cannot write"
        );
    }
}
