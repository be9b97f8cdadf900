//! Evidence: do the reasons rest on what was looked up, and did the checks hold?

use super::{Judging, Weight, about};
use crate::judge::unit::Unit;
use crate::judge::view::{Known, View, item_arg, member_arg, term};
use crate::ledger::content::{Datum, Item};

/// Judges it.
pub(super) fn judge(judging: &mut Judging<'_, '_>) {
    for draft in standing(judging.unit) {
        citations(judging, draft);
        listed_unsupported(judging, draft);
        failed_checks(judging, draft);
    }
    for audit in judging.unit.of("ai.audit") {
        audited(judging, audit);
    }
    guardrails(judging);
}

/// The drafts that count: those that stood when something was handed out or done, and the last.
fn standing<'a>(unit: &Unit<'a>) -> Vec<View<'a>> {
    let acts = unit
        .members
        .iter()
        .filter(|view| view.is("output.finalized") || view.is("action.performed"));
    let mut drafts: Vec<View<'a>> = acts
        .filter_map(|view| unit.draft_before(view.seq()))
        .chain(unit.draft())
        .collect();
    drafts.sort_by_key(|draft| draft.seq());
    drafts.dedup_by_key(|draft| draft.seq());
    drafts
}

/// Where a source came into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Found by a search; `Some(true)` when it was given to the model, `None` when the search does not say.
    Candidate(Option<bool>),
    /// Linked as evidence.
    Evidence,
    /// Read directly.
    Access,
}

/// A source, as it came into the record.
pub(in crate::judge) struct Source<'a> {
    pub(in crate::judge) view: View<'a>,
    way: Way,
    id: Option<&'a str>,
    evidence: Option<&'a str>,
    version: Option<&'a str>,
    digest: Option<&'a str>,
    text: Option<&'a str>,
    title: Option<crate::judge::Arg>,
}

/// All sources that came in before the ledger was at `seq`.
pub(in crate::judge) struct Sources<'a> {
    all: Vec<Source<'a>>,
    /// Something that may hold sources is not shown.
    open: bool,
}

impl<'a> Sources<'a> {
    pub(in crate::judge) fn before(unit: &Unit<'a>, seq: u64) -> Self {
        let open = [
            "policy.retrieved",
            "facts.retrieved",
            "evidence.linked",
            "source.accessed",
        ]
        .iter()
        .any(|k| unit.may_have(k));
        let mut sources = Self {
            all: Vec::new(),
            open,
        };
        for view in unit.members.iter().copied().filter(|view| view.seq() < seq) {
            match view.kind() {
                "policy.retrieved" | "facts.retrieved" => sources.candidates(view),
                "evidence.linked" => sources.evidence(view),
                "source.accessed" => sources.access(view),
                _ => {}
            }
        }
        sources
    }

    fn items(&mut self, view: View<'a>, pointer: &str) -> Vec<Datum<'a>> {
        let items = view.items(pointer);
        self.open |= items.is_hidden();
        let mut shown = Vec::new();
        for item in items.is().unwrap_or_default() {
            match item {
                Item::Shown(datum) => shown.push(datum),
                Item::Hidden(_) => self.open = true,
            }
        }
        shown
    }

    fn candidates(&mut self, view: View<'a>) {
        let selected = view.texts("/data/selected_ids");
        self.open |= selected.is_hidden();
        let mut listed = Vec::new();
        for datum in self.items(view, "/data/candidates") {
            let id = datum.text("source_id");
            let chosen = match &selected {
                Known::Is(ids) => Some(id.is_some_and(|id| ids.contains(&id))),
                _ => None,
            };
            listed.extend(id);
            self.all.push(Source {
                view,
                way: Way::Candidate(chosen),
                id,
                evidence: None,
                version: datum.text("version"),
                digest: datum.text("digest"),
                text: datum.text("text"),
                title: member_arg(&datum, "title"),
            });
        }
        // Given to the model, though the list of candidates does not name it.
        for id in selected
            .is()
            .unwrap_or_default()
            .into_iter()
            .filter(|id| !listed.contains(id))
        {
            let way = Way::Candidate(Some(true));
            self.all.push(Source {
                view,
                way,
                id: Some(id),
                evidence: None,
                version: None,
                digest: None,
                text: None,
                title: None,
            });
        }
    }

    fn evidence(&mut self, view: View<'a>) {
        for datum in self.items(view, "/data/evidence") {
            self.all.push(Source {
                view,
                way: Way::Evidence,
                id: datum.text("source_id"),
                evidence: datum.text("evidence_id"),
                version: datum.text("version"),
                digest: datum.text("digest"),
                text: datum.text("quotation"),
                title: None,
            });
        }
    }

    fn access(&mut self, view: View<'a>) {
        let id = view.known("/data/source_id");
        self.open |= id.is_hidden();
        let (version, digest) = (view.text("/data/version"), view.text("/data/digest"));
        self.all.push(Source {
            view,
            way: Way::Access,
            id: id.is(),
            evidence: None,
            version,
            digest,
            text: None,
            title: None,
        });
    }

    /// What a citation refers to: the piece of evidence that it names, else everything from the source that it names.
    pub(in crate::judge) fn cited(&self, citation: &Datum<'a>) -> Vec<&Source<'a>> {
        if let Some(evidence) = citation.text("evidence_id") {
            let named: Vec<&Source<'a>> = self
                .all
                .iter()
                .filter(|source| source.evidence == Some(evidence))
                .collect();
            if !named.is_empty() || citation.text("source_id").is_none() {
                return named;
            }
        }
        let Some(id) = citation.text("source_id") else {
            return Vec::new();
        };
        self.all
            .iter()
            .filter(|source| source.id == Some(id))
            .collect()
    }

    /// The title under which a citation's source was found.
    pub(in crate::judge) fn title(&self, citation: &Datum<'a>) -> Option<crate::judge::Arg> {
        self.cited(citation)
            .into_iter()
            .find_map(|source| source.title.clone())
    }
}

fn citations<'a>(judging: &mut Judging<'a, '_>, draft: View<'a>) {
    let sources = Sources::before(judging.unit, draft.seq());
    let claims = match draft.items("/data/claims") {
        Known::Is(claims) => claims,
        Known::Absent => return,
        Known::Hidden => return leave_open(judging),
    };
    for (number, item) in claims.iter().enumerate() {
        let Item::Shown(claim) = item else {
            leave_open(judging);
            continue;
        };
        let citations = draft.items_of(claim, "citations");
        if citations.is_empty() {
            let say = about("claim.unsupported")
                .on([draft])
                .number("rank", number + 1)
                .opt("claim", member_arg(claim, "text"));
            judging.find("claim.unsupported", Weight::Full, say);
        }
        for citation in &citations {
            match citation {
                Item::Shown(citation) => check(judging, draft, number + 1, citation, &sources),
                Item::Hidden(_) => leave_open(judging),
            }
        }
    }
}

fn leave_open(judging: &mut Judging<'_, '_>) {
    for code in [
        "citation.not_retrieved",
        "citation.not_selected",
        "citation.other_version",
        "citation.quote_absent",
        "claim.unsupported",
    ] {
        judging.leave_open(code);
    }
}

fn check<'a>(
    judging: &mut Judging<'a, '_>,
    draft: View<'a>,
    rank: usize,
    citation: &Datum<'a>,
    sources: &Sources<'a>,
) {
    let cited = sources.cited(citation);
    let on: Vec<View<'a>> = cited
        .iter()
        .map(|source| source.view)
        .chain([draft])
        .collect();
    let named = if citation.text("source_id").is_some() {
        "source_id"
    } else {
        "evidence_id"
    };
    let source = member_arg(citation, named).unwrap_or_else(|| term("not_recorded"));
    let start = |code: &str| {
        about(code)
            .on(on.iter().copied())
            .number("rank", rank)
            .arg("source", source.clone())
    };
    if cited.is_empty() {
        if sources.open {
            judging.leave_open("citation.not_retrieved");
        } else {
            let say = start("citation.not_retrieved");
            judging.find("citation.not_retrieved", Weight::Full, say);
        }
        return;
    }
    if cited
        .iter()
        .all(|source| source.way == Way::Candidate(Some(false)))
    {
        if sources.open {
            judging.leave_open("citation.not_selected");
        } else {
            let say = start("citation.not_selected");
            judging.find("citation.not_selected", Weight::Full, say);
        }
    }
    let differs = |source: &&Source<'a>| {
        let other = |ours: Option<&str>, theirs: Option<&str>| matches!((ours, theirs), (Some(a), Some(b)) if a != b);
        other(citation.text("version"), source.version)
            || other(citation.text("digest"), source.digest)
    };
    let (others, same): (Vec<&Source<'a>>, Vec<&Source<'a>>) =
        cited.iter().copied().partition(differs);
    if same.is_empty() {
        if sources.open {
            judging.leave_open("citation.other_version");
        } else {
            let say = start("citation.other_version");
            let say = say.opt(
                "cited",
                member_arg(citation, "version").or_else(|| member_arg(citation, "digest")),
            );
            judging.find("citation.other_version", Weight::Full, say);
        }
    }
    // A piece of evidence quotes its source: it may lack other words of it, so it speaks only for citations of itself.
    let of_piece = citation.text("evidence_id").is_some();
    let compared = if same.is_empty() { &others } else { &same }.iter();
    let compared: Vec<&&Source<'a>> = compared
        .filter(|source| of_piece || source.way != Way::Evidence)
        .collect();
    let texts: Option<Vec<&str>> = compared.iter().map(|source| source.text).collect();
    if let (Some(quotation), Some(texts)) = (citation.text("quotation"), texts)
        && !texts.is_empty()
        && !texts.iter().any(|text| holds(text, quotation))
    {
        if sources.open {
            judging.leave_open("citation.quote_absent");
        } else {
            let say =
                start("citation.quote_absent").opt("quotation", member_arg(citation, "quotation"));
            judging.find("citation.quote_absent", Weight::Full, say);
        }
    }
}

/// Whether the text holds the quotation, whatever the line breaks. Omissions are written `…`, `...`, `[…]` or `[...]`;
/// the parts between them must stand in the text in their order.
fn holds(text: &str, quotation: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (text, quotation) = (plain(text), plain(quotation));
    if text.contains(&quotation) {
        return true;
    }
    let marked = quotation
        .replace("[…]", "…")
        .replace("[...]", "…")
        .replace("...", "…");
    let parts: Vec<&str> = marked
        .split('…')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let mut rest = text.as_str();
    let in_order = parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    });
    !parts.is_empty() && in_order
}

/// Validations of a draft: those after it and before the next.
fn validations<'a>(unit: &Unit<'a>, draft: View<'a>) -> Vec<View<'a>> {
    let next = unit
        .drafts
        .iter()
        .map(|d| d.seq())
        .find(|seq| *seq > draft.seq())
        .unwrap_or(u64::MAX);
    unit.of("validation.completed")
        .filter(|view| view.seq() > draft.seq() && view.seq() < next)
        .collect()
}

/// Claims that a validation names as unsupported, beside those without any citation.
fn listed_unsupported<'a>(judging: &mut Judging<'a, '_>, draft: View<'a>) {
    for validation in validations(judging.unit, draft) {
        match validation.texts("/data/unsupported_claims") {
            Known::Is(listed) => {
                for at in 0..listed.len() {
                    let claim = validation.arg(&format!("/data/unsupported_claims/{at}"));
                    let say = about("claim.unsupported")
                        .on([draft, validation])
                        .opt("claim", claim);
                    judging.find("claim.unsupported", Weight::Full, say);
                }
            }
            Known::Absent => {}
            Known::Hidden => judging.leave_open("claim.unsupported"),
        }
    }
}

/// Checks that failed and did not pass when they were run again on the same draft.
fn failed_checks<'a>(judging: &mut Judging<'a, '_>, draft: View<'a>) {
    let mut failed: Vec<(View<'a>, Item<'a>, Option<&'a str>)> = Vec::new();
    for validation in validations(judging.unit, draft) {
        let checks = validation.items("/data/checks");
        if checks.is_hidden() {
            judging.leave_open("validation.failed");
        }
        for item in checks.is().unwrap_or_default() {
            let Item::Shown(check) = &item else {
                judging.leave_open("validation.failed");
                continue;
            };
            let name = check.text("name");
            match check.text("outcome") {
                Some("failed") => failed.push((validation, item.clone(), name)),
                Some("passed") if name.is_some() => failed.retain(|(.., other)| *other != name),
                _ => {}
            }
        }
    }
    for (validation, item, _) in failed {
        let then = judging
            .unit
            .members
            .iter()
            .copied()
            .find(|view| view.seq() > validation.seq() && is_act(*view));
        let say = about("validation.failed").on([validation].into_iter().chain(then));
        let say = match &item {
            Item::Shown(check) => say
                .opt("check", member_arg(check, "name"))
                .opt("detail", member_arg(check, "detail")),
            Item::Hidden(_) => say.arg("check", item_arg(&item)),
        };
        judging.find(
            "validation.failed",
            if then.is_some() {
                Weight::Full
            } else {
                Weight::Lighter
            },
            say,
        );
    }
}

fn is_act(view: View<'_>) -> bool {
    view.is("output.finalized")
        || (view.is("action.performed")
            && !matches!(view.text("/data/status"), Some("failed" | "cancelled")))
}

/// A guard said stop, and the run went on. It may go on when the same guard later lets something else pass.
fn guardrails(judging: &mut Judging<'_, '_>) {
    let unit = judging.unit;
    let guard = |view: &View<'_>| {
        (
            view.text("/data/guard").map(str::to_owned),
            view.text("/data/stage").map(str::to_owned),
        )
    };
    for fired in unit.of("guardrail.fired") {
        match fired.known("/data/result") {
            Known::Is("blocked") => {}
            Known::Hidden => {
                judging.leave_open("guardrail.overridden");
                continue;
            }
            _ => continue,
        }
        let refused = unit.proper_end();
        let Some(act) = unit.members.iter().copied().find(|view| {
            // What is handed out at a proper end is the refusal that the guard asked for.
            view.seq() > fired.seq()
                && is_act(*view)
                && !(refused.is_some() && view.is("output.finalized"))
        }) else {
            continue;
        };
        let cleared = unit.of("guardrail.fired").any(|again| {
            let passed = matches!(again.text("/data/result"), Some("passed" | "flagged"));
            passed
                && again.seq() > fired.seq()
                && again.seq() < act.seq()
                && guard(&again) == guard(&fired)
        });
        if !cleared {
            let say =
                about("guardrail.overridden")
                    .on([fired, act])
                    .need("guard", fired, "/data/guard");
            let say = say
                .at("reason", fired, "/data/reason")
                .member("acted_at", act, "recorded");
            judging.find("guardrail.overridden", Weight::Full, say);
        }
    }
}

/// The flat audit event: what it cites must be among what was selected.
fn audited<'a>(judging: &mut Judging<'a, '_>, audit: View<'a>) {
    match (
        audit.texts("/data/selected_source_ids"),
        audit.texts("/data/cited_source_ids"),
    ) {
        (Known::Is(selected), Known::Is(cited)) => {
            for (at, id) in cited.iter().enumerate() {
                if !selected.contains(id) {
                    let source = audit.arg_or_state(&format!("/data/cited_source_ids/{at}"));
                    let say = about("citation.not_selected")
                        .on([audit])
                        .arg("source", source);
                    judging.find("citation.not_selected", Weight::Full, say);
                }
            }
        }
        (Known::Hidden, Known::Is(_) | Known::Hidden) | (Known::Is(_), Known::Hidden) => {
            judging.leave_open("citation.not_selected")
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_quotation_may_leave_out_but_not_put_in() {
        let text =
            "Complaints that concern\n a decision older than 30 days\u{a0}must be escalated.";
        for good in [
            "a decision older than 30 days must be escalated",
            "Complaints […] must be escalated",
            "Complaints ... older than 30 days ...",
            "… be escalated.",
        ] {
            assert!(holds(text, good), "{good}");
        }
        for bad in [
            "a decision older than 10 days",
            "must be escalated … Complaints",
            "complaints",
            "[…]",
        ] {
            assert!(!holds(text, bad), "{bad}");
        }
    }
}
