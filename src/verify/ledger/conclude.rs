//! From what was found to verdicts.

use super::outcome::{
    ContentCounts, GoodTo, LedgerCheck, LedgerCode, LedgerContent, LedgerIndex, LedgerKeys,
    LedgerSequence, LedgerVerdicts, Part, PartRead, root_text,
};
use super::stream::{Covered, OWN_KEY, Streamed};
use crate::ledger::Timestamp;
use crate::verify::outcome::{Freshness, Integrity, Verdict};

/// What was checked beside the stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Whether content was looked at.
    pub content: bool,
    /// Whether derived rows were computed again.
    pub index: bool,
    /// States of the content.
    pub counts: ContentCounts,
    /// The time now, when the caller knows it: for how old a witness's word is.
    pub now: Option<Timestamp>,
}

/// The outcome.
#[must_use]
pub fn conclude(
    mut s: Streamed,
    extent: &Extent,
    commit_of: impl Fn(u64) -> Option<u64>,
) -> LedgerCheck {
    s.log.locate(commit_of);
    let verdicts = LedgerVerdicts {
        integrity: integrity(&s),
        sequence: sequence(&s),
        content: content(&s, extent),
        index: index(&s, extent),
        freshness: freshness(&s),
        keys: keys(&s),
    };
    let lowest = s.log.lowest_break();
    // Where a signed checkpoint or a proof contradicts the ledger, its own key may have signed both histories.
    let doubted = s.contradicted_by_signature();
    let good = s
        .confirmed
        .iter()
        .rev()
        .find(|(size, _, by)| lowest.is_none_or(|l| *size <= l) && !(doubted && by == OWN_KEY))
        .filter(|(size, ..)| *size > 0 && s.log.count(Part::Keys) == 0);
    let good_to = good.map(|(size, root, by)| GoodTo {
        size: *size,
        root: root_text(root),
        by: by.clone(),
    });
    let mut word = s.word;
    if let (Some(word), Some(now)) = (&mut word, extent.now) {
        let now = u64::try_from(now.micros() / 1_000_000).ok();
        word.age = now.zip(word.at).map(|(now, at)| now.saturating_sub(at));
    }
    let (problems, first_break, counts) = s.log.into_parts();
    LedgerCheck {
        verdicts,
        first_break,
        good_to,
        problems,
        counts,
        ledger: s.origin,
        entries: s.read,
        size: s.size,
        root: root_text(&s.root),
        from: (s.from > 0).then_some(s.from),
        part: match s.covered {
            Covered::Part { scope, .. } => Some(scope),
            Covered::ToTheEnd | Covered::Beginning => None,
        },
        checkpoints: s.checkpoints,
        word,
        content: extent.counts,
    }
}

fn verdict<T>(verdict: T, reason: impl Into<String>) -> Verdict<T> {
    Verdict {
        verdict,
        reason: reason.into(),
    }
}

impl Streamed {
    /// Whether something that was signed contradicts this history, so that the ledger's own signatures prove nothing of
    /// it. That the guard file differs is explained by a checkpoint that does not fit either: then nobody signed anew.
    fn contradicted_by_signature(&self) -> bool {
        let has = |code| self.log.has(code);
        has(LedgerCode::OutsideContradiction)
            || has(LedgerCode::OutsideEntry)
            || has(LedgerCode::GuardFork) && !has(LedgerCode::CheckpointRoot)
    }
}

/// The first problem that decides, and how many more there are.
fn why(s: &Streamed, part: Part) -> String {
    let first = s.log.first(part);
    let text = first.map_or_else(String::new, |p| p.explanation.clone());
    match s.log.count(part) {
        0 | 1 => text,
        2 => format!("{text} There is one more problem of this kind."),
        n => format!("{text} There are {} more problems of this kind.", n - 1),
    }
}

fn integrity(s: &Streamed) -> Verdict<Integrity> {
    if s.log.count(Part::Integrity) > 0 {
        let only = s.log.count(Part::Integrity) == s.log.count_of(LedgerCode::KeyCompromised);
        let found = if only {
            Integrity::Unprovable
        } else {
            Integrity::Broken
        };
        return verdict(found, why(s, Part::Integrity));
    }
    if let Covered::Part { .. } = s.covered {
        let text = format!(
            "Each of the {} entries of this part is proven to stand under the signed checkpoint of {} entries, and neighbours link to each other. Nothing is said of entries that are not in it.",
            s.read, s.size
        );
        return verdict(Integrity::Intact, text);
    }
    let rest = if s.from > 0 {
        format!(
            " The first {} entries were not read: they rest on the checkpoint that you pinned.",
            s.from
        )
    } else {
        String::new()
    };
    let text = format!(
        "Entries {} to {} were read: each links to the one before, and {} the tree over them.{rest}",
        s.from,
        s.size.saturating_sub(1),
        match s.checkpoints {
            1 => "one signed checkpoint confirms".to_owned(),
            n => format!("{n} signed checkpoints confirm"),
        }
    );
    verdict(Integrity::Intact, text)
}

fn sequence(s: &Streamed) -> Verdict<LedgerSequence> {
    if s.log.count(Part::Sequence) > 0 {
        verdict(LedgerSequence::Broken, why(s, Part::Sequence))
    } else if s.log.has(LedgerCode::EntryAbsent) || s.log.has(LedgerCode::LeafForm) {
        let text = "Some entries are absent or cannot be read, so nobody can say which cases they belonged to.";
        verdict(LedgerSequence::Broken, text)
    } else if let Covered::Part { scope, ended: true } = &s.covered {
        let text = match scope {
            PartRead::Range { first, last } => format!(
                "Every entry from {first} to {} is there, and within the range the links of each case hold. What cases had before and have after it is not known.",
                (*last).min(s.size.saturating_sub(1))
            ),
            PartRead::Case { case } => format!(
                "The case {case} has its entries from the first on, {} of them, each linked to the one before. That there are no later ones is not proven.",
                s.read
            ),
        };
        verdict(LedgerSequence::Part, text)
    } else if s.covered != Covered::ToTheEnd {
        let text = format!(
            "The source breaks off: of the {} entries that were read, every case has its entries from the first on, and what came after is not known.",
            s.read
        );
        verdict(LedgerSequence::NotChecked, text)
    } else {
        let text = "Every case has its entries from the first on, each linked to the one before, and no identity stands twice.";
        verdict(LedgerSequence::Complete, text)
    }
}

fn content(s: &Streamed, extent: &Extent) -> Verdict<LedgerContent> {
    let c = &extent.counts;
    if s.log.count(Part::Content) > 0 {
        return verdict(LedgerContent::Broken, why(s, Part::Content));
    }
    if !extent.content {
        let text =
            "No content was looked at: what the entries commit to is known, not what it says.";
        return verdict(LedgerContent::NotChecked, text);
    }
    let text = format!(
        "Of {} entries with content, {} were opened and are what the entries commit to, {} were compared by their digests, and {} were erased, as later entries tell.",
        c.committed, c.opened, c.by_digests, c.erased
    );
    let ended = matches!(
        s.covered,
        Covered::ToTheEnd | Covered::Part { ended: true, .. }
    );
    if !ended {
        verdict(
            LedgerContent::NotChecked,
            format!("The source breaks off. {text}"),
        )
    } else if c.missing > 0 {
        let text = format!(
            "{text} The content of {} is not there, and no entry that was read tells of its erasure: it was left out, or was erased later.",
            c.missing
        );
        verdict(LedgerContent::Incomplete, text)
    } else if c.by_digests > 0 {
        verdict(LedgerContent::ByDigests, text)
    } else {
        verdict(LedgerContent::Checked, text)
    }
}

fn index(s: &Streamed, extent: &Extent) -> Verdict<LedgerIndex> {
    if s.log.count(Part::Index) > 0 {
        verdict(LedgerIndex::Broken, why(s, Part::Index))
    } else if extent.index {
        let text =
            "Every row that can be computed from the entries was computed again and is the same.";
        verdict(LedgerIndex::Sound, text)
    } else {
        verdict(LedgerIndex::NotChecked, "Derived rows were not looked at.")
    }
}

fn freshness(s: &Streamed) -> Verdict<Freshness> {
    if s.contradicted || s.log.has(LedgerCode::OutsideEntry) {
        let text = "What you brought along belongs to another history than this ledger, or to a longer one.";
        return verdict(Freshness::Contradicted, text);
    }
    match &s.word {
        Some(w) if w.at.is_some() => {
            let time =
                w.at.and_then(|at| i64::try_from(at).ok())
                    .and_then(|at| Timestamp::from_micros(at.checked_mul(1_000_000)?));
            let time = time.map_or_else(|| "an unknown time".to_owned(), |t| t.to_string());
            let text = format!(
                "{} cosigned the first {} of {} entries at {time}.",
                w.by, w.size, s.size
            );
            verdict(Freshness::Witnessed, text)
        }
        Some(w) => {
            let text = format!(
                "{} agrees with the first {} of {} entries.",
                w.by, w.size, s.size
            );
            verdict(Freshness::Anchored, text)
        }
        None if s.covered == Covered::Beginning => verdict(
            Freshness::NotProven,
            "The source breaks off: what was brought along about later entries could not be compared.",
        ),
        None => verdict(
            Freshness::NotProven,
            "Nobody but the operator vouches for this history: no checkpoint, receipt or report from outside was brought along, and no pinned witness signed. \
             The operator could have written the whole ledger anew.",
        ),
    }
}

fn keys(s: &Streamed) -> Verdict<LedgerKeys> {
    if s.log.count(Part::Keys) > 0 {
        verdict(LedgerKeys::Broken, why(s, Part::Keys))
    } else if let Covered::Part { .. } = s.covered {
        if s.checkpoints > 0 {
            let text = "A pinned key signed the checkpoint to which the part is proven.";
            verdict(LedgerKeys::Good, text)
        } else {
            let text = "No pinned key signed the checkpoint to which the part is proven.";
            verdict(LedgerKeys::Broken, text)
        }
    } else if s.keys.newest().is_none() {
        verdict(
            LedgerKeys::NotChecked,
            "The source breaks off before entry 0 names the ledger's keys.",
        )
    } else if s.covered == Covered::Beginning {
        let text = "The source breaks off: which keys its newest checkpoints bear, and whether the pinned one is among them, is not known.";
        verdict(LedgerKeys::NotChecked, text)
    } else {
        let text = "The key that was in force at each checkpoint is pinned, or joined to a pinned one by checkpoints that both keys signed.";
        verdict(LedgerKeys::Good, text)
    }
}
