//! What makes a ledger's history known outside its operator's reach: witnesses that cosign its checkpoints, and anchors
//! where checkpoints lie.
//!
//! Every witness and every anchor has a thread of its own, so one that is slow or down delays nothing but its own word.
//! All witnesses are asked about the same checkpoint, chosen once in a round, or they would never make a quorum on a
//! ledger that grows. What they give is verified with the policy's keys before it is kept.

mod anchor;
mod client;
mod start;
mod witness;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ledger::Timestamp;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::Vkey;
use crate::ledger::policy::Policy;
use crate::sequencer::{AppendError, Clock, Ledger};
use crate::store::StoreError;

pub use anchor::{checkpoint_file, folder_of};
pub use client::is_usable_url;
pub use start::{BehindAnchor, compare};

/// Where checkpoints are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder, better on another machine's disk.
    Folder(PathBuf),
    /// An address that takes PUT.
    Url {
        /// Without a slash at its end.
        url: String,
        /// Sent as a bearer token.
        token: Option<String>,
    },
}

impl Place {
    /// As configured, without the token.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Url { url, .. } => url.clone(),
        }
    }
}

/// An anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Where.
    pub place: Place,
    /// How often, when the ledger has grown.
    pub every: Duration,
}

/// What is asked of outside parties.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The witnesses, and how many of them are needed.
    pub policy: Option<Policy>,
    /// How often witnesses are asked, when the ledger has grown.
    pub every: Duration,
    /// Where checkpoints are kept.
    pub anchors: Vec<Anchor>,
    /// How long a witness or an anchor may take.
    pub timeout: Duration,
    /// Folder for proofs that somebody has seen another history of a ledger.
    pub evidence: PathBuf,
}

/// What a witness said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessState {
    /// Its name in the policy.
    pub name: String,
    /// Its key.
    pub vkey: Vkey,
    /// The largest checkpoint that it cosigned.
    pub size: Option<u64>,
    /// When, by its clock.
    pub time: Option<Timestamp>,
    /// Why the last question to it failed; `None` when it did not.
    pub error: Option<String>,
    /// Questions that failed since the start.
    pub failures: u64,
}

/// What lies at an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorState {
    /// Where.
    pub place: String,
    /// The largest checkpoint there.
    pub size: Option<u64>,
    /// When it was put there.
    pub time: Option<Timestamp>,
    /// Why the last attempt failed; `None` when it did not.
    pub error: Option<String>,
    /// Attempts that failed since the start.
    pub failures: u64,
}

/// How the outside stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The witnesses, in the policy's order.
    pub witnesses: Vec<WitnessState>,
    /// The anchors, in the configuration's order.
    pub anchors: Vec<AnchorState>,
    /// Size of the newest checkpoint that satisfies the policy.
    pub quorum_size: Option<u64>,
    /// How many witnesses cosigned the checkpoint that was asked about last, and how many there are.
    pub cosigned: (usize, usize),
}

/// Why an outside party gave nothing.
#[derive(Debug, thiserror::Error)]
enum AskError {
    /// It did not answer, or not as it should.
    #[error("{0}")]
    Failed(String),
    /// It has seen another history of this ledger.
    #[error("{0}")]
    OtherHistory(String),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`AppendError`].
    #[error(transparent)]
    Keep(#[from] AppendError),
}

/// The checkpoint that all witnesses are asked about.
#[derive(Debug, Clone)]
struct Target {
    checkpoint: Checkpoint,
    note: String,
}

#[derive(Debug, Default)]
struct Desk {
    target: Option<Arc<Target>>,
    witnesses: Vec<WitnessState>,
    anchors: Vec<AnchorState>,
    stopping: bool,
}

/// What all threads of one ledger share.
struct Shared {
    ledger: Arc<Ledger>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    desk: Mutex<Desk>,
    news: Condvar,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; `false` when the service stops.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut desk = self.desk();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if desk.stopping || left.is_zero() {
                return !desk.stopping;
            }
            let woken = self.news.wait_timeout(desk, left);
            desk = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a checkpoint larger than `done`; `None` when the service stops.
    fn target_beyond(&self, done: u64) -> Option<Arc<Target>> {
        let mut desk = self.desk();
        loop {
            if desk.stopping {
                return None;
            }
            match &desk.target {
                Some(target) if target.checkpoint.size > done => return Some(Arc::clone(target)),
                _ => {}
            }
            desk = self.news.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads of one ledger that deal with outside parties.
pub struct Outside {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outside({:?})", self.shared.ledger)
    }
}

impl Outside {
    /// Starts asking. What was kept before is where it goes on.
    ///
    /// # Errors
    /// When storage or the system fail.
    pub fn start(
        ledger: Arc<Ledger>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, std::io::Error> {
        let policy = settings.policy.clone();
        if let Some(policy) = &policy {
            ledger.set_policy(policy.clone());
        }
        let desk = first_desk(&ledger, &settings).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            ledger,
            settings,
            clock,
            desk: Mutex::new(desk),
            news: Condvar::new(),
        });
        let outside = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        let witnesses = policy.map(|p| p.witnesses).unwrap_or_default();
        if witnesses.iter().any(|w| w.url.is_some()) {
            outside.spawn("rounds", rounds)?;
        }
        for (i, witness) in witnesses.into_iter().enumerate() {
            if let Some(url) = witness.url {
                outside.spawn("witness", move |s| witness::run(s, i, &witness.vkey, &url))?;
            }
        }
        for (i, anchor) in shared.settings.anchors.iter().cloned().enumerate() {
            outside.spawn("anchor", move |s| anchor::run(s, i, &anchor))?;
        }
        Ok(outside)
    }

    fn spawn(
        &self,
        what: &str,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), std::io::Error> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(format!("{what}-{}", shared.ledger.name()))
            .spawn(move || run(&shared))?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// How it stands.
    ///
    /// # Errors
    /// When storage fails.
    pub fn state(&self) -> Result<State, StoreError> {
        let (target, witnesses, anchors) = {
            let desk = self.shared.desk();
            let target = desk.target.as_ref().map(|t| t.checkpoint.size);
            (target, desk.witnesses.clone(), desk.anchors.clone())
        };
        let ledger = &self.shared.ledger;
        let quorum = match ledger.policy() {
            Some(policy) if policy.needs_witnesses() => ledger.cosigned_checkpoint(0)?,
            _ => None,
        };
        let target = target.or(witnesses.iter().filter_map(|w| w.size).max());
        let there = witnesses.iter().filter(|w| {
            // Larger ones count as well: they are proven to continue it.
            target.is_some() && w.size >= target
        });
        Ok(State {
            cosigned: (there.count(), witnesses.len()),
            quorum_size: quorum.map(|(c, _)| c.size),
            witnesses,
            anchors,
        })
    }

    /// Ends the threads; waits at most as long as one question may take.
    pub fn stop(&self) {
        self.shared.desk().stopping = true;
        self.shared.news.notify_all();
        let threads: Vec<_> = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(component = "outside", "a thread ended in disorder");
            }
        }
    }
}

fn first_desk(ledger: &Ledger, settings: &Settings) -> Result<Desk, StoreError> {
    let policy = settings.policy.iter().flat_map(|p| &p.witnesses);
    // A row that claims more than there is would end the asking without a word.
    let possible = |size: u64| size <= ledger.size();
    let witnesses = policy
        .map(|w| {
            let last = ledger
                .reader()
                .newest_cosigned(w.vkey.name(), w.vkey.id())?
                .filter(|c| possible(c.size));
            Ok(WitnessState {
                name: w.name.clone(),
                vkey: w.vkey.clone(),
                size: last.as_ref().map(|c| c.size),
                time: last.and_then(|c| witness::time_of(c.time)),
                error: w
                    .url
                    .is_none()
                    .then(|| "the policy gives no address for it, so it is not asked".to_owned()),
                failures: 0,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    let stored = ledger.reader().newest_anchors()?;
    let anchors = settings.anchors.iter().map(|a| {
        let place = a.place.name();
        let last = stored.iter().find(|s| s.place == place && possible(s.size));
        AnchorState {
            size: last.map(|s| s.size),
            time: last.map(|s| s.time),
            place,
            error: None,
            failures: 0,
        }
    });
    Ok(Desk {
        target: None,
        witnesses,
        anchors: anchors.collect(),
        stopping: false,
    })
}

/// Chooses what the witnesses are asked about: the newest checkpoint, whenever the ledger has grown.
fn rounds(shared: &Shared) {
    loop {
        match shared.ledger.checkpoint() {
            Ok((checkpoint, note)) => {
                let mut desk = shared.desk();
                let old = desk.target.as_ref().map(|t| t.checkpoint.size);
                if old.is_none_or(|size| checkpoint.size > size) {
                    desk.target = Some(Arc::new(Target { checkpoint, note }));
                    shared.news.notify_all();
                }
            }
            Err(e) => {
                tracing::error!(component = "outside", error = %e, retryable = true, "the newest checkpoint cannot be read; no witness is asked")
            }
        }
        if !shared.pause(shared.settings.every) {
            return;
        }
    }
}

/// How long to wait after failures in a row: from a second (or less, when the round is shorter) to five minutes.
fn back_off(every: Duration, failures: u32) -> Duration {
    let first = every.min(Duration::from_secs(1));
    let longest = Duration::from_secs(300).min(every.max(first) * 64);
    (first * 2_u32.saturating_pow(failures.saturating_sub(1).min(20))).min(longest)
}

#[cfg(test)]
mod tests;
