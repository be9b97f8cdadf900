//! A witness: an outside party that remembers the newest checkpoint of each log that it watches, cosigns only what is
//! consistent with it, and keeps the proof when a log shows it two histories (C2SP tlog-witness, tlog-cosignature).
//!
//! It knows nothing of entries or content. One file a log holds all its state: the newest checkpoint that it cosigned,
//! as a signed note with the log's signature and its own. A request is checked and its outcome written under the log's
//! lock, and the file is durable before the answer; so requests that overlap or stall cannot roll the state back.

mod files;
mod request;
mod server;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, Cosigner, Note, NoteError, Vkey};
use crate::ledger::{Hash, fork, proof, sha256};

pub use request::{AddCheckpoint, MAX_PROOF, MAX_REQUEST, RequestError};
pub use server::serve;

/// Gives the time in seconds since 1970.
pub type Seconds = Box<dyn Fn() -> u64 + Send + Sync>;

/// Most evidence files that are kept of one log: the first of them proves enough.
const MAX_EVIDENCE: usize = 100;

/// Why a witness does not start, or cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The file system said no.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A state file is not what this witness wrote.
    #[error(
        "{0} is not a checkpoint that this witness cosigned; it cosigns nothing of that log until the file is restored"
    )]
    Damaged(PathBuf),
    /// Another process has the folder.
    #[error(
        "another witness is running on {0}; two of them would cosign two histories. Stop it first"
    )]
    Locked(PathBuf),
    /// A key is not a log's.
    #[error("`{0}` is a witness's key; give the keys of logs (type 1)")]
    NotALog(String),
    /// No log was given.
    #[error("no log was given: name each by its key, with --log VKEY or --logs FILE")]
    NoLogs,
}

impl WitnessError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// What a witness answers to a submitted checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: cosigned; the signature lines.
    Cosigned(String),
    /// 400: not of the form of a request, or the old size is larger than the new one.
    Malformed(String),
    /// 403: no trusted key of the log signed it.
    Unsigned,
    /// 404: the origin is unknown.
    Unknown,
    /// 409: the old size is not that of the newest checkpoint that was cosigned, which is this.
    Conflict(u64),
    /// 422: it is not proven to continue what was cosigned before.
    Inconsistent(String),
}

struct Log {
    keys: Vec<Vkey>,
    /// Held from the look at the state until the new state is durable.
    lock: Mutex<()>,
}

/// A witness.
pub struct Witness {
    dir: PathBuf,
    cosigner: Cosigner,
    logs: BTreeMap<String, Log>,
    now: Seconds,
    _lock: File,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witness({:?})", self.cosigner)
    }
}

/// The newest cosigned checkpoint of a log.
struct State {
    checkpoint: Checkpoint,
    note: String,
    time: u64,
}

impl Witness {
    /// A witness on a folder, of the logs with these keys: a log's origin is its key's name, and it may have several keys.
    ///
    /// # Errors
    /// When the folder cannot be used, or what it holds was not written by a witness with this key.
    pub fn open(
        dir: &Path,
        cosigner: Cosigner,
        keys: &[Vkey],
        now: Seconds,
    ) -> Result<Self, WitnessError> {
        let mut logs: BTreeMap<String, Log> = BTreeMap::new();
        for key in keys {
            if key.algorithm() != Algorithm::Ed25519 {
                return Err(WitnessError::NotALog(key.to_string()));
            }
            let log = logs.entry(key.name().to_owned()).or_insert_with(|| Log {
                keys: Vec::new(),
                lock: Mutex::new(()),
            });
            if !log.keys.contains(key) {
                log.keys.push(key.clone());
            }
        }
        if logs.is_empty() {
            return Err(WitnessError::NoLogs);
        }
        for sub in ["checkpoints", "equivocation"] {
            let path = dir.join(sub);
            std::fs::create_dir_all(&path)
                .map_err(WitnessError::io("cannot make the folder", &path))?;
        }
        let witness = Self {
            _lock: files::lock(dir)?,
            dir: dir.to_owned(),
            cosigner,
            logs,
            now,
        };
        for origin in witness.logs.keys() {
            witness.state(origin)?;
        }
        Ok(witness)
    }

    /// The key that verifies this witness's cosignatures.
    #[must_use]
    pub fn vkey(&self) -> &Vkey {
        self.cosigner.vkey()
    }

    /// The origins of the logs that it watches.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// The newest cosigned checkpoint of the log whose origin has this SHA-256: its note with the log's signatures and
    /// the cosignature. `None` for logs that are unknown or were never cosigned.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn newest(&self, origin: &Hash) -> Result<Option<String>, WitnessError> {
        let known = self.logs.keys().find(|o| origin_hash(o) == *origin);
        Ok(match known {
            Some(origin) => self.state(origin)?.map(|s| s.note),
            None => None,
        })
    }

    /// Checks a submitted checkpoint (the body of `add-checkpoint`), and cosigns it when it continues what was cosigned
    /// before. What is cosigned is durable before this returns.
    ///
    /// # Errors
    /// When the state cannot be read or made durable; then nothing is cosigned.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<Answer, WitnessError> {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(e) => return Ok(Answer::Malformed(e.to_string())),
        };
        let Ok((new, note)) = Checkpoint::parse_unverified(request.checkpoint) else {
            return Ok(Answer::Malformed(
                "what follows the empty line is not a signed checkpoint".into(),
            ));
        };
        let Some(log) = self.logs.get(&new.origin) else {
            return Ok(Answer::Unknown);
        };
        match note.verify(&log.keys) {
            Ok(_) => {}
            Err(NoteError::Unknown | NoteError::Bad(_)) => return Ok(Answer::Unsigned),
            Err(e) => return Ok(Answer::Malformed(e.to_string())),
        }
        if request.old > new.size {
            return Ok(Answer::Malformed(format!(
                "the old size {} is larger than the checkpoint's, {}",
                request.old, new.size
            )));
        }
        let _held = log.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state(&new.origin)?;
        if let Some(state) = &state
            && state.checkpoint.size == new.size
            && state.checkpoint.root != new.root
        {
            self.keep_evidence(&state.note, request.checkpoint, &new)?;
        }
        let recorded = state.as_ref().map_or(0, |s| s.checkpoint.size);
        if request.old != recorded {
            return Ok(Answer::Conflict(recorded));
        }
        if let Some(refusal) = inconsistent(state.as_ref(), &new, &request) {
            return Ok(Answer::Inconsistent(refusal));
        }
        // The clock may be set back; a cosigner's word about time may not.
        let time = (self.now)().max(state.map_or(0, |s| s.time));
        let line = self.cosigner.cosign(note.text, time);
        let mut stored = format!("{}\n", note.text);
        for (_, signature) in note.good_lines(&log.keys) {
            stored.push_str(&signature);
        }
        stored.push_str(&line);
        files::replace(&self.file(&new.origin), stored.as_bytes())?;
        tracing::info!(
            component = "witness",
            origin = new.origin,
            size = new.size,
            "cosigned"
        );
        Ok(Answer::Cosigned(line))
    }

    fn file(&self, origin: &str) -> PathBuf {
        self.dir
            .join("checkpoints")
            .join(origin_hash(origin).to_hex())
    }

    /// Read anew each time: what stands in the file is the state, whatever became of an earlier write.
    fn state(&self, origin: &str) -> Result<Option<State>, WitnessError> {
        let path = self.file(origin);
        let note = match std::fs::read_to_string(&path) {
            Ok(note) => note,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(WitnessError::io("cannot read", &path)(e)),
        };
        let damaged = || WitnessError::Damaged(path.clone());
        let own = [self.vkey().clone()];
        let checkpoint = Checkpoint::open(&note, origin, &own).map_err(|_| damaged())?;
        let time = Note::parse(&note)
            .ok()
            .and_then(|n| n.cosigned_at(self.vkey()))
            .ok_or_else(damaged)?;
        Ok(Some(State {
            checkpoint,
            note,
            time,
        }))
    }

    /// Both signed notes, verbatim, in a file of their own.
    fn keep_evidence(
        &self,
        known: &str,
        other: &str,
        new: &Checkpoint,
    ) -> Result<(), WitnessError> {
        let dir = self.dir.join("equivocation");
        let of_log = origin_hash(&new.origin).to_hex();
        let kept = std::fs::read_dir(&dir)
            .map_err(WitnessError::io("cannot read", &dir))?
            .filter_map(Result::ok)
            .filter(|f| f.file_name().to_string_lossy().starts_with(&of_log))
            .count();
        let path = dir.join(format!(
            "{of_log}-{:020}-{}.json",
            new.size,
            &new.root.to_hex()[..16]
        ));
        tracing::error!(
            component = "witness",
            origin = new.origin,
            size = new.size,
            evidence = %path.display(),
            "the log signed two checkpoints of one size with different roots: it shows two histories. Nothing of it is cosigned on the other one"
        );
        if kept < MAX_EVIDENCE && !path.exists() {
            files::replace(&path, fork::evidence(known, other).as_bytes())?;
        }
        Ok(())
    }
}

/// Under which name a log is kept and asked for: the SHA-256 of its origin.
#[must_use]
pub fn origin_hash(origin: &str) -> Hash {
    sha256(&[origin.as_bytes()])
}

/// Why the new checkpoint is not proven to continue the recorded one.
fn inconsistent(
    state: Option<&State>,
    new: &Checkpoint,
    request: &AddCheckpoint<'_>,
) -> Option<String> {
    if new.size == 0 && new.root != Hash::empty_root() {
        return Some("the root is not that of the empty tree".into());
    }
    let old = state.map(|s| &s.checkpoint);
    let Some(old) = old.filter(|o| o.size > 0) else {
        return (!request.proof.is_empty())
            .then(|| "there is nothing to prove from size 0, and yet there is a proof".into());
    };
    if old.size == new.size && old.root != new.root {
        return Some(format!(
            "another root of size {} was cosigned before: the log shows two histories",
            old.size
        ));
    }
    proof::verify_consistency(old.size, new.size, &request.proof, &old.root, &new.root)
        .err()
        .map(|e| format!("the consistency proof does not hold: {e}"))
}

#[cfg(test)]
mod tests;
