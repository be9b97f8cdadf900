//! Evidence: do the reasons rest on what was looked up, and did the checks hold?

use super::{Judging, Weight, about};
use crate::judge::unit::{Unit, performed};
use crate::judge::view::{Known, View, member_arg, term};
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

impl<'a> Source<'a> {
    /// Whether it is another version, or has other bytes, than what is cited.
    fn differs(&self, citation: &Datum<'a>) -> bool {
        let other = |cited: Option<&str>, ours: Option<&str>| matches!((cited, ours), (Some(a), Some(b)) if a != b);
        other(citation.text("version"), self.version) || other(citation.text("digest"), self.digest)
    }

    /// Whether nothing that is cited of it is unknown.
    fn agrees(&self, citation: &Datum<'a>) -> bool {
        let known = |cited: Option<&str>, ours: Option<&str>| cited.is_none() || cited == ours;
        known(citation.text("version"), self.version) && known(citation.text("digest"), self.digest)
    }
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
    // While something that may hold sources is not shown, only what is positively met is settled.
    let given = |source: &&Source<'a>| !matches!(source.way, Way::Candidate(Some(false) | None));
    if cited
        .iter()
        .all(|source| source.way == Way::Candidate(Some(false)))
        && !sources.open
    {
        judging.find(
            "citation.not_selected",
            Weight::Full,
            start("citation.not_selected"),
        );
    } else if sources.open && !cited.iter().any(given) {
        judging.leave_open("citation.not_selected");
    }

    let (others, same): (Vec<&Source<'a>>, Vec<&Source<'a>>) = cited
        .iter()
        .copied()
        .partition(|source| source.differs(citation));
    if same.is_empty() && !sources.open {
        let version = member_arg(citation, "version").or_else(|| member_arg(citation, "digest"));
        judging.find(
            "citation.other_version",
            Weight::Full,
            start("citation.other_version").opt("cited", version),
        );
    } else if sources.open && !same.iter().any(|source| source.agrees(citation)) {
        judging.leave_open("citation.other_version");
    }

    // A piece of evidence quotes its source: it may lack other words of it, so it speaks only for citations of itself.
    let of_piece = citation.text("evidence_id").is_some();
    let compared = if same.is_empty() { &others } else { &same }.iter();
    let compared: Vec<&&Source<'a>> = compared
        .filter(|source| of_piece || source.way != Way::Evidence)
        .collect();
    let Some(quotation) = citation.text("quotation") else {
        return;
    };
    if compared
        .iter()
        .any(|source| source.text.is_some_and(|text| holds(text, quotation)))
    {
        return;
    }
    if sources.open {
        judging.leave_open("citation.quote_absent");
    } else if !compared.is_empty() && compared.iter().all(|source| source.text.is_some()) {
        let say =
            start("citation.quote_absent").opt("quotation", member_arg(citation, "quotation"));
        judging.find("citation.quote_absent", Weight::Full, say);
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
    let mut failed: Vec<(View<'a>, Datum<'a>)> = Vec::new();
    // Until here, a check that is not shown may be one that failed before and passed now.
    let mut hidden_until = 0;
    for validation in validations(judging.unit, draft) {
        let checks = validation.items("/data/checks");
        let mut hidden = checks.is_hidden();
        for item in checks.is().unwrap_or_default() {
            let Item::Shown(check) = item else {
                hidden = true;
                continue;
            };
            match (check.text("outcome"), check.text("name")) {
                (Some("failed"), _) => failed.push((validation, check)),
                (Some("passed"), Some(name)) => {
                    failed.retain(|(_, other)| other.text("name") != Some(name))
                }
                _ => {}
            }
        }
        if hidden {
            judging.leave_open("validation.failed");
            hidden_until = validation.seq();
        }
    }
    for (validation, check) in failed {
        if validation.seq() <= hidden_until && check.text("name").is_some() {
            continue;
        }
        let mut after = judging
            .unit
            .members
            .iter()
            .copied()
            .filter(|view| view.seq() > validation.seq());
        let then = after.find(|view| performed(*view) == Known::Is(()));
        let say = about("validation.failed").on([validation].into_iter().chain(then));
        let say = say
            .opt("check", member_arg(&check, "name"))
            .opt("detail", member_arg(&check, "detail"));
        let weight = if then.is_some() {
            Weight::Full
        } else {
            Weight::Lighter
        };
        judging.find("validation.failed", weight, say);
    }
}

/// A guard said stop, and the run went on. It may go on when the same guard later lets something else pass.
fn guardrails(judging: &mut Judging<'_, '_>) {
    let unit = judging.unit;
    let end = unit.proper_end();
    for fired in unit.of("guardrail.fired") {
        match fired.known("/data/result") {
            Known::Is("blocked") => {}
            Known::Hidden => {
                judging.leave_open("guardrail.overridden");
                continue;
            }
            _ => continue,
        }
        let mut sure = true;
        for act in unit
            .members
            .iter()
            .copied()
            .filter(|view| view.seq() > fired.seq())
        {
            let went_on = match (performed(act), end) {
                // What is handed out at a proper end is the refusal that the guard asked for.
                (Known::Is(()), Known::Is(_)) if act.is("output.finalized") => Known::Absent,
                (Known::Is(()), Known::Hidden) if act.is("output.finalized") => Known::Hidden,
                (performed, _) => performed,
            };
            let cleared = match went_on {
                Known::Absent => continue,
                Known::Hidden => Known::Hidden,
                Known::Is(()) => cleared(unit, fired, act),
            };
            match cleared {
                Known::Is(()) => {}
                Known::Hidden => sure = false,
                Known::Absent => {
                    let say = about("guardrail.overridden").on([fired, act]).need(
                        "guard",
                        fired,
                        "/data/guard",
                    );
                    let say = say
                        .at("reason", fired, "/data/reason")
                        .member("acted_at", act, "recorded");
                    judging.find("guardrail.overridden", Weight::Full, say);
                    break;
                }
            }
        }
        if !sure {
            judging.leave_open("guardrail.overridden");
        }
    }
}

/// Whether the same guard, at the same stage, let something pass between a block and what was done.
fn cleared(unit: &Unit<'_>, blocked: View<'_>, act: View<'_>) -> Known<()> {
    let same = |again: View<'_>, pointer: &str| match (blocked.known(pointer), again.known(pointer))
    {
        (Known::Hidden, _) | (_, Known::Hidden) => Known::Hidden,
        (a, b) if a == b => Known::Is(()),
        _ => Known::Absent,
    };
    let mut cleared = if unit.may_have("guardrail.fired") {
        Known::Hidden
    } else {
        Known::Absent
    };
    let between = unit
        .of("guardrail.fired")
        .filter(|again| again.seq() > blocked.seq() && again.seq() < act.seq());
    for again in between {
        let passed = match again.known("/data/result") {
            Known::Is("passed" | "flagged") => Known::Is(()),
            Known::Hidden => Known::Hidden,
            _ => Known::Absent,
        };
        let parts = [
            passed,
            same(again, "/data/guard"),
            same(again, "/data/stage"),
        ];
        if parts.contains(&Known::Absent) {
            continue;
        }
        if !parts.contains(&Known::Hidden) {
            return Known::Is(());
        }
        cleared = Known::Hidden;
    }
    cleared
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
