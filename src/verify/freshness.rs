//! As of when, by whose word outside the operator.

use std::collections::BTreeMap;

use super::evidence::Trusted;
use super::keys::Trust;
use super::outcome::{Code, Freshness, Log, Touches, Verdict};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, Vkey};
use crate::ledger::{Hash, Timestamp};

/// Compares what the verifier brought along with the history that the evidence shows.
///
/// A checkpoint from outside counts when it is of this ledger and a trusted key signed it (the ledger's own that is in
/// force at its size, or a pinned witness's). The sizes of those that agree are put into `agreeing`. It agrees when the root at its size is known to belong to the same history: the evidence's own size, or
/// one that a consistency proof of the file joins to it. Another root at such a size, up to the evidence's own, is a
/// contradiction: the ledger has shown two histories. At any other size nothing can be said.
pub fn judge(
    trusted: &Trusted,
    trust: &Trust,
    roots: &BTreeMap<u64, Hash>,
    outside: &[String],
    keys: &[Vkey],
    agreeing: &mut Vec<u64>,
    log: &mut Log,
) -> Verdict<Freshness> {
    let mut agreed: Option<u64> = None;
    let mut unjoined: Option<u64> = None;
    let origin = &trusted.checkpoint.origin;
    let witnesses = keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    let witnesses: Vec<Vkey> = witnesses.cloned().collect();
    for (i, note) in outside.iter().enumerate() {
        let place = format!("outside checkpoint {i}");
        let size = Checkpoint::parse_unverified(note).map_or(0, |(c, _)| c.size);
        let keys = [trust.at(size), witnesses.clone()].concat();
        let kept = match Checkpoint::open(note, origin, &keys) {
            Ok(kept) => kept,
            Err(e) => {
                log.add(
                    Code::OutsideUnusable,
                    place,
                    format!("{e}. It says nothing about this file."),
                );
                continue;
            }
        };
        match roots.get(&kept.size) {
            Some(root) if *root == kept.root => {
                agreed = agreed.max(Some(kept.size));
                agreeing.push(kept.size);
            }
            // Nobody signed a root beyond the evidence's own size: whoever passes the file on can extend its tree as they
            // please, so another root there accuses nobody.
            Some(_) if kept.size > trusted.checkpoint.size => {
                unjoined = unjoined.max(Some(kept.size));
            }
            Some(_) => {
                let text = format!(
                    "The checkpoint of {} entries that you brought along and the one in this file are of two different histories, \
                     both signed. The ledger was rewritten, or shows different people different things.",
                    kept.size
                );
                log.add(Code::OutsideContradiction, place, text);
            }
            None => unjoined = unjoined.max(Some(kept.size)),
        }
    }
    verdict(trusted, agreed, unjoined, log)
}

fn verdict(
    trusted: &Trusted,
    agreed: Option<u64>,
    unjoined: Option<u64>,
    log: &Log,
) -> Verdict<Freshness> {
    let size = trusted.checkpoint.size;
    if log
        .first(Touches::Integrity)
        .is_some_and(|p| p.code == Code::OutsideContradiction)
    {
        let reason =
            "A checkpoint that you brought along belongs to another history than this file.".into();
        return Verdict {
            verdict: Freshness::Contradicted,
            reason,
        };
    }
    if let Some((seconds, name)) = &trusted.witnessed {
        let time = i64::try_from(*seconds)
            .ok()
            .and_then(|s| s.checked_mul(1_000_000))
            .and_then(Timestamp::from_micros);
        let time = time.map_or_else(
            || format!("{seconds} seconds after 1970"),
            |t| t.to_string(),
        );
        let reason =
            format!("The witness {name} cosigned the checkpoint of {size} entries at {time}.");
        return Verdict {
            verdict: Freshness::Witnessed,
            reason,
        };
    }
    if let Some(kept) = agreed {
        let reason = format!(
            "The checkpoint of {kept} entries that you brought along belongs to the same history as this file's, of {size}."
        );
        return Verdict {
            verdict: Freshness::Anchored,
            reason,
        };
    }
    let reason = match unjoined {
        Some(kept) => format!("The file holds no proof that joins the checkpoint of {kept} entries that you brought along to its own, of {size}."),
        None => "Nobody but the operator vouches for the time of this file: no checkpoint from outside was brought along, and no pinned witness signed.".into(),
    };
    Verdict {
        verdict: Freshness::NotProven,
        reason,
    }
}
