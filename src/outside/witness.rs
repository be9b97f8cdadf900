//! Asking one witness (C2SP tlog-witness).

use std::fs;

use super::client::{Answer, Client};
use super::{AskError, Shared, Target, back_off};
use crate::ledger::keys::Purpose;
use crate::ledger::note::{Note, Vkey};
use crate::ledger::{Timestamp, b64url, fork, sha256};
use crate::sequencer::FromOutside;
use crate::store::Cosignature;
use crate::witness::{AddCheckpoint, origin_hash};

/// How often the size is corrected in one question before it counts as failed.
const TRIES: usize = 3;

/// Longest part of a foreign answer that goes into a message.
const QUOTED: usize = 200;

/// Seconds since 1970 as a time; `None` when it is beyond the calendar.
pub fn time_of(seconds: u64) -> Option<Timestamp> {
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Timestamp::from_micros(micros)
}

/// Asks whenever there is a larger checkpoint than the last that it cosigned, until the service stops.
pub fn run(shared: &Shared, at: usize, vkey: &Vkey, url: &str) {
    let client = Client::new(shared.settings.timeout, None);
    let mut known = shared.desk().witnesses[at].size.unwrap_or(0);
    let mut done = known;
    let mut failures = 0;
    while let Some(target) = shared.target_beyond(done) {
        let asked = ask(shared, &client, vkey, url, &target, &mut known);
        match asked {
            Ok(cosignature) => {
                done = cosignature.size;
                failures = 0;
                let mut desk = shared.desk();
                let state = &mut desk.witnesses[at];
                state.size = Some(cosignature.size);
                state.time = time_of(cosignature.time);
                state.error = None;
            }
            Err(e) => {
                failures += 1;
                report(shared, at, &e);
                if !shared.pause(back_off(shared.settings.every, failures)) {
                    return;
                }
            }
        }
    }
}

fn report(shared: &Shared, at: usize, e: &AskError) {
    let origin = shared.ledger.origin();
    let mut desk = shared.desk();
    let state = &mut desk.witnesses[at];
    state.failures += 1;
    let name = &state.name;
    match e {
        AskError::OtherHistory(_) => {
            tracing::error!(component = "outside", witness = name, origin, error = %e, "a witness has seen another history of this ledger")
        }
        e => {
            tracing::warn!(component = "outside", witness = name, origin, error = %e, retryable = true, "a witness gave no cosignature")
        }
    }
    state.error = Some(e.to_string());
}

/// One question: the checkpoint with a proof from the size that the witness is at, which it tells when it is another.
fn ask(
    shared: &Shared,
    client: &Client,
    vkey: &Vkey,
    url: &str,
    target: &Target,
    known: &mut u64,
) -> Result<Cosignature, AskError> {
    let ledger = &shared.ledger;
    let mut target = target.clone();
    for _ in 0..TRIES {
        if *known > target.checkpoint.size {
            // It knows more of this ledger than what it was to be asked about.
            let (checkpoint, note) = ledger.checkpoint()?;
            target = Target { checkpoint, note };
            if *known > target.checkpoint.size {
                let text = format!(
                    "it cosigned a checkpoint of {known} entries of this ledger, which has {}: the ledger is older than it was, or somebody else signs with its key",
                    target.checkpoint.size
                );
                *known = 0;
                return Err(other_history(shared, client, vkey, url, &target, text));
            }
        }
        let size = target.checkpoint.size;
        let proof = if *known == 0 || *known == size {
            Vec::new()
        } else {
            ledger.consistency(*known, size)?
        };
        let body = AddCheckpoint {
            old: *known,
            proof,
            checkpoint: &target.note,
        }
        .encode();
        let answer = client.post(
            &format!("{}/add-checkpoint", url.trim_end_matches('/')),
            &body,
        )?;
        match answer.status {
            200 => {
                let cosignature = verified(&answer.body, vkey, &target)?;
                *known = size;
                let given = FromOutside::Cosignature(cosignature.clone());
                ledger.keep_blocking(given)?;
                return Ok(cosignature);
            }
            409 if answer.kind.starts_with("text/x.tlog.size") => {
                match answer.body.trim().parse() {
                    Ok(told) if told != *known => *known = told,
                    _ => return Err(unexpected(&answer)),
                }
            }
            // 409 without a size: how the first version of the protocol refused another root of one size.
            409 | 422 => {
                let text = format!(
                    "it refused the checkpoint of {size} entries as no continuation of what it cosigned before ({})",
                    quoted(&answer.body)
                );
                *known = 0;
                return Err(other_history(shared, client, vkey, url, &target, text));
            }
            403 | 404 => {
                return Err(AskError::Failed(format!(
                    "it does not watch this ledger (status {}): give its operator the ledger's checkpoint key",
                    answer.status
                )));
            }
            _ => return Err(unexpected(&answer)),
        }
    }
    Err(AskError::Failed(
        "it told another size each time it was asked".into(),
    ))
}

fn unexpected(answer: &Answer) -> AskError {
    AskError::Failed(format!(
        "it answered with status {} ({})",
        answer.status,
        quoted(&answer.body)
    ))
}

fn quoted(text: &str) -> String {
    let printable = text.trim().chars().filter(|c| !c.is_control());
    printable.take(QUOTED).collect()
}

/// The witness's own line of the answer, verified over exactly the checkpoint that was submitted.
fn verified(lines: &str, vkey: &Vkey, target: &Target) -> Result<Cosignature, AskError> {
    let bad = || {
        AskError::Failed(format!(
            "it answered with a cosignature that is not that of the policy's key {vkey}"
        ))
    };
    let text = target.checkpoint.text();
    let note = format!("{text}\n{lines}");
    let parsed = Note::parse(&note).map_err(|_| bad())?;
    let (_, line) = parsed
        .good_lines(std::slice::from_ref(vkey))
        .pop()
        .ok_or_else(bad)?;
    Ok(Cosignature {
        size: target.checkpoint.size,
        name: vkey.name().to_owned(),
        key_id: vkey.id(),
        time: parsed.cosigned_at(vkey).ok_or_else(bad)?,
        line,
    })
}

/// Keeps what can be had of the other history: the witness's newest checkpoint, beside ours.
fn other_history(
    shared: &Shared,
    client: &Client,
    vkey: &Vkey,
    url: &str,
    target: &Target,
    text: String,
) -> AskError {
    let origin = origin_hash(shared.ledger.origin()).to_hex();
    let url = format!("{}/{origin}/checkpoint", url.trim_end_matches('/'));
    let theirs = match client.get(&url) {
        Ok(answer) if answer.status == 200 => answer.body,
        _ => {
            return AskError::OtherHistory(format!(
                "{text}. It does not show its own checkpoint: ask its operator for it"
            ));
        }
    };
    let proof = fork::is_equivocation(
        &target.note,
        &theirs,
        &shared.ledger.keys().all(Purpose::Checkpoint),
    );
    // Named by what it holds, so that the same finding is kept once.
    let mark = b64url(&sha256(&[vkey.name().as_bytes(), theirs.as_bytes()]).0[..9]);
    let path = shared.settings.evidence.join(format!(
        "{}-{}-{mark}.json",
        shared.ledger.name(),
        target.checkpoint.size
    ));
    let kept = if path.exists() {
        Ok(())
    } else {
        fs::create_dir_all(&shared.settings.evidence)
            .and_then(|()| fs::write(&path, fork::evidence(&target.note, &theirs)))
    };
    let kept = match kept {
        Ok(()) => format!("both checkpoints are kept in {}", path.display()),
        Err(e) => format!("they cannot be kept in {}: {e}", path.display()),
    };
    let proven = if proof {
        "The two signed checkpoints of one size prove it"
    } else {
        "Compare the two with `whereas verify checkpoints`"
    };
    AskError::OtherHistory(format!("{text}. {proven}; {kept}"))
}
