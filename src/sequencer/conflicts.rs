//! Conflicting posts: counted, and recorded at most once a minute, without content.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde_json::{Map, json};

use super::{AppendError, Ledger};

/// Conflicting posts that wait to be recorded: one entry a minute at most.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    last: Option<Instant>,
    count: u64,
    seqs: Vec<u64>,
}

const CONFLICTS_EVERY: Duration = Duration::from_secs(60);
/// Of how many conflicts one entry names the positions.
const CONFLICTS_NAMED: usize = 32;

impl Ledger {
    /// Counts a conflicting post, and records what has been counted, at most once a minute.
    pub(super) async fn note_conflict(&self, conflict: &AppendError) {
        let due = {
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            c.count += 1;
            if let AppendError::Conflict { seq, .. } = conflict
                && c.seqs.len() < CONFLICTS_NAMED
                && !c.seqs.contains(seq)
            {
                c.seqs.push(*seq);
            }
            let due = c.last.is_none_or(|t| t.elapsed() >= CONFLICTS_EVERY);
            if due {
                c.last = Some(Instant::now());
            }
            due
        };
        if due {
            self.record_conflicts().await;
        }
    }

    pub(super) async fn record_conflicts(&self) {
        let (count, seqs) = {
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut c.count), std::mem::take(&mut c.seqs))
        };
        if count == 0 {
            return;
        }
        let fact = Map::from_iter([
            ("count".to_owned(), json!(count)),
            ("entries".to_owned(), json!(seqs)),
        ]);
        if let Err(e) = self.append_own("post.conflicted", fact).await {
            tracing::warn!(component = "sequencer", error = %e, count, "conflicting posts could not be recorded yet; they are counted on");
            let mut c = self
                .conflicts
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            c.count += count;
            c.seqs.extend(seqs);
            c.seqs.truncate(CONFLICTS_NAMED);
        }
    }
}
