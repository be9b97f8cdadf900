//! Controls beside approvals and authorization: is the draft what its digest says, and was done what it recommends?

use super::{Judging, Weight, about};
use crate::judge::view::{Known, digest_of};

/// Judges them.
pub(super) fn judge(judging: &mut Judging<'_, '_>) {
    digest_mismatch(judging);
    not_recommended(judging);
}

fn digest_mismatch(judging: &mut Judging<'_, '_>) {
    for draft in judging.unit.drafts.iter().copied() {
        match (
            draft.known("/data/draft"),
            draft.known("/data/draft_digest"),
        ) {
            (Known::Is(text), Known::Is(digest)) if digest_of(text) != digest => {
                let say = about("draft.digest_mismatch").on([draft]).need(
                    "digest",
                    draft,
                    "/data/draft_digest",
                );
                judging.find("draft.digest_mismatch", Weight::Full, say);
            }
            (Known::Hidden, Known::Is(_) | Known::Hidden) | (Known::Is(_), Known::Hidden) => {
                judging.leave_open("draft.digest_mismatch");
            }
            _ => {}
        }
    }
}

fn not_recommended(judging: &mut Judging<'_, '_>) {
    for act in judging.unit.of("action.performed") {
        let status = act.known("/data/status");
        let Some(draft) = judging.unit.draft_before(act.seq()) else {
            continue;
        };
        if status == Known::Is("cancelled") {
            continue;
        }
        match (
            draft.known("/data/recommended_action"),
            act.known("/data/action"),
        ) {
            (Known::Is(recommended), Known::Is(done))
                if recommended != done && status.is_hidden() =>
            {
                judging.leave_open("action.not_recommended");
            }
            (Known::Is(recommended), Known::Is(done)) if recommended != done => {
                let say = about("action.not_recommended").on([draft, act]);
                let say = say
                    .need("recommended", draft, "/data/recommended_action")
                    .need("action", act, "/data/action");
                let weight = if status == Known::Is("failed") {
                    Weight::Lighter
                } else {
                    Weight::Full
                };
                judging.find("action.not_recommended", weight, say);
            }
            (Known::Hidden, Known::Is(_) | Known::Hidden) | (Known::Is(_), Known::Hidden) => {
                judging.leave_open("action.not_recommended");
            }
            _ => {}
        }
    }
}
