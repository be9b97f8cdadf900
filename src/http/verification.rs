//! The service verifies its own ledgers from time to time, tells the outcome, and puts a failure on record.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, json};
use utoipa::ToSchema;

use super::Server;
use crate::audit::folder::{self, FolderAudit, Progress};
use crate::ledger::{Timestamp, sha256};
use crate::sequencer::{Ledger, LedgerPaths};
use crate::verify::ledger::LedgerCheck;

/// Bytes that the sorts of a check may hold in memory: little, since the service needs it for its own work.
const MEMORY: usize = 64 << 20;
/// Longest text of a place in an entry.
const MAX_PLACE: usize = 200;

/// How the last verification of a whole ledger by its own service ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VerificationInfo {
    /// When it ended.
    #[schema(example = "2026-11-22T10:20:15.000000Z")]
    pub time: String,
    /// Whether nothing is wrong.
    #[schema(example = true)]
    pub accepted: bool,
    /// Number of entries that the ledger had.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 42)]
    pub size: Option<u64>,
    /// Stable code of the gravest problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "leaf.altered")]
    pub code: Option<String>,
    /// When something is wrong: the largest size that a signed checkpoint confirms and below which nothing is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 40)]
    pub good_to: Option<u64>,
    /// Why the check could not be made at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the database cannot be read")]
    pub error: Option<String>,
    /// `time`, for measurements.
    #[serde(skip)]
    pub(super) at: Timestamp,
}

/// The last outcomes, by ledger.
#[derive(Debug, Default)]
pub(super) struct Verifications(Mutex<BTreeMap<String, VerificationInfo>>);

impl Verifications {
    pub fn of(&self, ledger: &str) -> Option<VerificationInfo> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(ledger).cloned()
    }

    fn put(&self, ledger: &str, info: VerificationInfo) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(ledger.to_owned(), info);
    }
}

impl Server {
    /// Verifies a whole ledger where it lies, in a thread of its own, keeps and logs the outcome, and puts a failure on
    /// record that was not put on record before.
    pub async fn verify_ledger(&self, name: &str, paths: LedgerPaths) {
        let Some(ledger) = self.ledgers.get(name) else {
            return;
        };
        // The key that the service itself has: that nobody wrote the ledger anew can only be seen from outside.
        let mut keys = vec![ledger.keyring().checkpoint().vkey().clone()];
        if let Some(policy) = ledger.policy() {
            keys.extend(policy.witnesses.iter().map(|w| w.vkey.clone()));
        }
        let audit = FolderAudit {
            threads: 1,
            memory: MEMORY,
            now: Some(self.clock.now()),
            ..FolderAudit::new(paths, keys)
        };
        // Not one of the runtime's threads: the service would wait for it when it is to end.
        let (done, outcome) = tokio::sync::oneshot::channel();
        let work = move || {
            // Nobody waits any more when the service is ending.
            let _ = done.send(folder::verify(&audit, &Progress::default()));
        };
        let started = std::thread::Builder::new()
            .name(format!("verify-{name}"))
            .spawn(work);
        let checked = match (started, outcome.await) {
            (Ok(_), Ok(checked)) => checked.map_err(|e| e.to_string()),
            (Ok(_), Err(_)) => {
                Err("the thread that verifies ended before its work was done".into())
            }
            (Err(e), _) => Err(e.to_string()),
        };
        let now = self.clock.now();
        let mut info = VerificationInfo {
            time: now.to_string(),
            accepted: false,
            size: None,
            code: None,
            good_to: None,
            error: None,
            at: now,
        };
        match checked {
            Ok(check) => {
                info.accepted = !check.refused();
                info.size = Some(check.size);
                if let Some(problem) = check.problems.first() {
                    info.code = Some(problem.code.as_str().to_owned());
                    info.good_to = check.good_to.as_ref().map(|g| g.size);
                    tracing::error!(
                        component = "verification",
                        ledger = name,
                        size = check.size,
                        code = problem.code.as_str(),
                        place = problem.place,
                        good_to = info.good_to,
                        retryable = false,
                        "the ledger does not verify"
                    );
                } else {
                    tracing::info!(
                        component = "verification",
                        ledger = name,
                        size = check.size,
                        "the ledger verifies"
                    );
                }
                self.verifications.put(name, info);
                record(ledger, &check).await;
            }
            Err(e) => {
                tracing::error!(
                    component = "verification",
                    ledger = name,
                    error = e,
                    retryable = true,
                    "the ledger could not be verified"
                );
                info.error = Some(e);
                self.verifications.put(name, info);
            }
        }
    }
}

/// Puts a failure on record, once: the entry's identity is made of code, place and what is still good, so that the same
/// damage, found again the next day or after a restart, is not told again.
async fn record(ledger: &Ledger, check: &LedgerCheck) {
    let Some(problem) = check.problems.first() else {
        return;
    };
    let code = problem.code.as_str();
    let place: String = problem.place.chars().take(MAX_PLACE).collect();
    let good_to = check.good_to.as_ref().map(|g| g.size);
    let mut fact = Map::from_iter([("code".to_owned(), json!(code))]);
    if let Some(seq) = problem.seq {
        fact.insert("seq".to_owned(), json!(seq));
    }
    if let Some(good_to) = good_to {
        fact.insert("good_to".to_owned(), json!(good_to));
    }
    let told = format!("{code}\n{place}");
    fact.insert("place".to_owned(), json!(place));
    let id = format!("verification/{}", sha256(&[told.as_bytes()]).to_hex());
    let done = ledger
        .append_own_once("incident.verification_failed", fact, &id)
        .await;
    if let Err(e) = done {
        tracing::error!(component = "verification", ledger = ledger.name(), error = %e, retryable = true, "a failed verification could not be put on record");
    }
}
