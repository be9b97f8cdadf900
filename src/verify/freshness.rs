//! As of when, by whose word outside the operator.

use std::collections::{BTreeMap, BTreeSet};

use super::Trust;
use super::evidence::{Trusted, cosigners};
use super::keys::TrustedKeys;
use super::outcome::{Code, Freshness, Log, Touches, Verdict};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::{Algorithm, Vkey};
use crate::ledger::{Hash, Timestamp};

/// A verdict, and the newest moment at which somebody trusted outside vouched for this history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The verdict.
    pub verdict: Verdict<Freshness>,
    /// Seconds since 1970, by the witnesses' clocks; none when no trusted witness signed.
    pub as_of: Option<u64>,
    /// The sizes of the checkpoints from outside that agree.
    pub agreeing: Vec<u64>,
}

/// Compares what the verifier brought along with the history that the evidence shows.
///
/// A checkpoint from outside counts when it is of this ledger and a trusted key signed it (the ledger's own that is in
/// force at its size, or a pinned witness's). It agrees when the root at its size is known to belong to the same history:
/// the evidence's own size, or one that a consistency proof of the file joins to it. Another root at such a size, up to
/// the evidence's own, is a contradiction: the ledger has shown two histories. At any other size nothing can be said.
pub fn judge(
    trusted: &Trusted,
    own_keys: &TrustedKeys,
    roots: &BTreeMap<u64, Hash>,
    trust: &Trust<'_>,
    log: &mut Log,
) -> Fresh {
    let mut agreeing = Vec::new();
    let mut agreed: Option<u64> = None;
    let mut unjoined: BTreeSet<u64> = BTreeSet::new();
    let mut as_of: Option<u64> = None;
    let origin = &trusted.checkpoint.origin;
    let witnesses = trust
        .keys
        .iter()
        .filter(|k| k.algorithm() == Algorithm::CosignatureV1);
    let witnesses: Vec<Vkey> = witnesses.cloned().collect();
    for (i, note) in trust.outside.iter().enumerate() {
        let place = format!("outside checkpoint {i}");
        let size = Checkpoint::parse_unverified(note).map_or(0, |(c, _)| c.size);
        let keys = [own_keys.at(size), witnesses.clone()].concat();
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
                as_of = as_of.max(cosigned_at(note, &witnesses, trust));
            }
            // Nobody signed a root beyond the evidence's own size: whoever passes the file on can extend its tree as they
            // please, so another root there accuses nobody.
            Some(_) if kept.size > trusted.checkpoint.size => {
                unjoined.insert(kept.size);
            }
            Some(_) => {
                let text = format!(
                    "The checkpoint of {} entries that you brought along and the one in this file are of two different histories, \
                     both signed. The ledger was rewritten, or shows different people different things.",
                    kept.size
                );
                log.add(Code::OutsideContradiction, place, text);
            }
            None => {
                unjoined.insert(kept.size);
            }
        }
    }
    let own = vouched(&trusted.cosigners, trust);
    as_of = as_of.max(own.as_ref().map(|(time, _)| *time));
    let mut verdict = verdict(trusted, own, agreed, &unjoined, trust, log);
    if verdict.verdict == Freshness::Contradicted {
        as_of = None;
    }
    if let (Some(time), Some(now)) = (as_of, trust.now) {
        verdict.reason.push_str(&age(time, now));
    }
    if matches!(verdict.verdict, Freshness::Witnessed | Freshness::Anchored)
        && let Some(text) = not_joined(&unjoined, trusted.checkpoint.size)
    {
        verdict.reason.push(' ');
        verdict.reason.push_str(&text);
    }
    Fresh {
        verdict,
        as_of,
        agreeing,
    }
}

/// When these cosigners vouched, and who they are in words: with a policy the moment since which its quorum stands, else
/// the latest word of any pinned witness.
fn vouched(cosigners: &[(u64, Vkey)], trust: &Trust<'_>) -> Option<(u64, String)> {
    let refs: Vec<(u64, &Vkey)> = cosigners.iter().map(|(time, k)| (*time, k)).collect();
    match trust.policy.filter(|p| p.needs_witnesses()) {
        Some(policy) => {
            let time = policy.satisfied_at(&refs)?;
            let keys: Vec<&Vkey> = cosigners.iter().map(|(_, k)| k).collect();
            let (there, all) = policy.counted(&keys);
            let who =
                format!("{there} of the {all} witnesses of the policy, which is enough by it,");
            Some((time, who))
        }
        None => refs
            .into_iter()
            .map(|(time, k)| (time, k.name()))
            .max()
            .map(|(time, name)| (time, format!("The witness {name}"))),
    }
}

fn cosigned_at(note: &str, keys: &[Vkey], trust: &Trust<'_>) -> Option<u64> {
    let (_, parsed) = Checkpoint::parse_unverified(note).ok()?;
    vouched(&cosigners(&parsed, keys).ok()?, trust).map(|(time, _)| time)
}

/// A witness's time in words.
pub fn time_text(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|s| s.checked_mul(1_000_000))
        .and_then(Timestamp::from_micros);
    time.map_or_else(
        || format!("{seconds} seconds after 1970"),
        |t| t.to_string(),
    )
}

fn age(seconds: u64, now: Timestamp) -> String {
    let now = now.micros().div_euclid(1_000_000);
    let ago = i128::from(now) - i128::from(seconds);
    if ago < -300 {
        return " By this machine's clock that is in the future: one of the two clocks is wrong."
            .into();
    }
    let text = match ago {
        172_800.. => format!("{} days", ago / 86_400),
        7_200.. => format!("{} hours", ago / 3_600),
        120.. => format!("{} minutes", ago / 60),
        _ => return " That is less than two minutes ago.".into(),
    };
    format!(" That is {text} ago.")
}

fn verdict(
    trusted: &Trusted,
    own: Option<(u64, String)>,
    agreed: Option<u64>,
    unjoined: &BTreeSet<u64>,
    trust: &Trust<'_>,
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
    if let Some((seconds, who)) = own {
        let reason = format!(
            "{who} cosigned the checkpoint of {size} entries at {}.",
            time_text(seconds)
        );
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
    let policy = trust.policy.filter(|p| p.needs_witnesses());
    let reason = match (not_joined(unjoined, size), policy) {
        (Some(text), _) => text,
        (None, Some(policy)) => {
            let keys: Vec<&Vkey> = trusted.cosigners.iter().map(|(_, k)| k).collect();
            let (there, all) = policy.counted(&keys);
            format!("{there} of the {all} witnesses of the policy cosigned the checkpoint of {size} entries; the policy needs more.")
        }
        (None, None) => "Nobody but the operator vouches for the time of this file: no checkpoint from outside was brought along, and no pinned witness signed.".into(),
    };
    Verdict {
        verdict: Freshness::NotProven,
        reason,
    }
}

/// Which checkpoints say nothing, for want of a proof, and how a file with that proof is had.
fn not_joined(sizes: &BTreeSet<u64>, own: u64) -> Option<String> {
    let list = |with: &str| {
        let texts: Vec<String> = sizes.iter().map(u64::to_string).collect();
        texts.join(with)
    };
    (!sizes.is_empty()).then(|| {
        format!(
            "The file holds no proof that joins the checkpoint of {} entries that you brought along to its own, of {own}. \
             Fetch the report again with `?join={}` at the end of its address.",
            list(" and of "),
            list(",")
        )
    })
}
