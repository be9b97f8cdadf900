//! One run: its events posted, each receipt verified; why asked; a report issued, verified offline, and compared with
//! the verdicts of the rule.

use crate::api::{ApiError, Client, Taken};
use crate::consent::{Findings, Verdict};
use crate::events;
use crate::transcript::{CERTIFICATE, Run};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use whereas::event::COMMON_MEMBERS;
use whereas::judge::{self, Catalogue, Entries, Judgement, Profile, Sentence, Severity};
use whereas::ledger::note::Vkey;
use whereas::verify::format::ReportFile;

use whereas::verify::receipt::EventCheck;
use whereas::verify::{self, ReportCheck, words};

/// What every report is asked for.
const PURPOSE: &str = "Check whether each booking change rests on the customer's consent";

/// The service, as the workflow system and the investigator use it.
pub struct Service {
    /// Posts events.
    pub workflow: Client,
    /// Asks why, and for reports.
    pub investigator: Client,
    /// Name of the ledger.
    pub ledger: String,
    /// Its key, pinned.
    pub key: Vkey,
}

/// A finding of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its code.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// Positions of the entries that it rests on.
    pub entries: Vec<u64>,
}

/// A booking change: what the rule says of it, and what the report says.
#[derive(Debug, Clone)]
pub struct Change {
    /// Index of the message with the call.
    pub at: usize,
    /// The tool.
    pub tool: String,
    /// Whether the tool did it.
    pub succeeded: bool,
    /// What the rule says.
    pub verdict: Verdict,
    /// Position of its `action.performed` entry.
    pub seq: Option<u64>,
    /// The report's approval findings that rest on that entry.
    pub findings: Vec<Found>,
}

impl Change {
    /// Whether rule and report agree: consented is what has no approval finding.
    pub fn agrees(&self) -> bool {
        self.seq.is_some() && (self.verdict == Verdict::Consented) == self.findings.is_empty()
    }

    /// Whether it is a change of a booking (a certificate is not).
    pub fn is_booking(&self) -> bool {
        self.tool != CERTIFICATE
    }
}

/// What a report says, when it was verified.
pub struct Reported {
    /// The outcome of verifying it.
    pub check: ReportCheck,
    /// Its findings.
    pub findings: Vec<Found>,
    /// Its answer, findings and timeline in words.
    pub text: String,
}

/// What became of a run.
pub struct Played {
    /// The run, as `task/trial`.
    pub run: String,
    /// How many events were posted.
    pub events: usize,
    /// What is wrong with receipts; empty when every receipt was verified.
    pub receipts: Vec<String>,
    /// The answer to "why?".
    pub why: Value,
    /// Whether the answer names the same findings as the report.
    pub same_findings: bool,
    /// The report file.
    pub file: String,
    /// What the report says, or why it cannot be relied on.
    pub report: Result<Reported, String>,
    /// The booking changes, and certificates.
    pub changes: Vec<Change>,
}

impl Played {
    /// Whether everything is as it must be.
    pub fn is_good(&self) -> bool {
        let agree = self.changes.iter().all(Change::agrees);
        self.receipts.is_empty() && self.same_findings && self.report.is_ok() && agree
    }
}

impl Service {
    /// Plays a run.
    pub fn play(&self, run: &Run, found: &Findings) -> Result<Played, ApiError> {
        let case = events::case_id(run);
        let mut places: BTreeMap<String, u64> = BTreeMap::new();
        let mut receipts = Vec::new();
        for request in events::requests(events::events(run, found)) {
            let taken = self.workflow.post_events(&self.ledger, &request)?;
            for (event, taken) in request.iter().zip(taken) {
                let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
                places.insert(id.to_owned(), taken.seq);
                receipts.extend(receipt_problem(event, &taken, &self.key));
            }
        }
        let why = self.investigator.why(&self.ledger, &case)?;
        let file = self.investigator.report(&self.ledger, &case, PURPOSE)?;
        let report = open(file.as_bytes(), &self.key);
        let findings = report.as_ref().map_or(&[][..], |report| &report.findings);
        let changes = found.judged.iter().map(|judged| {
            let seq = events::action_of(run, judged.at).and_then(|id| places.get(&id).copied());
            let rests = |found: &&Found| {
                let on = seq.is_some_and(|seq| found.entries.contains(&seq));
                on && found.code.starts_with("approval.")
            };
            Change {
                at: judged.at,
                tool: judged.tool.clone(),
                succeeded: judged.succeeded,
                verdict: judged.verdict,
                seq,
                findings: findings.iter().filter(rests).cloned().collect(),
            }
        });
        Ok(Played {
            run: run.name(),
            events: places.len(),
            receipts,
            same_findings: codes(&why)
                == findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(),
            why,
            file,
            changes: changes.collect(),
            report,
        })
    }
}

/// Verifies a receipt with nothing but the key and the event that was posted.
fn receipt_problem(event: &Value, taken: &Taken, key: &Vkey) -> Option<String> {
    let posted = event.to_string();
    let check = EventCheck {
        event: posted.as_bytes(),
        disclosures: &taken.disclosures,
        declared: COMMON_MEMBERS,
    };
    let keys = std::slice::from_ref(key);
    let outcome = verify::receipt::verify(&taken.receipt, keys, Some(&check));
    outcome.refused().then(|| words::receipt(&outcome))
}

/// The codes of an answer's findings, in their order.
fn codes(why: &Value) -> Vec<&str> {
    let findings = why.get("findings").and_then(Value::as_array);
    let codes = findings.into_iter().flatten().map(|found| &found["code"]);
    codes.filter_map(Value::as_str).collect()
}

/// Judges again what a report's entries show.
fn judge_again(
    subject: &judge::Subject,
    entries: &[judge::Entry],
    profile: &Value,
) -> Result<Judgement, String> {
    let profile = Profile::parse(profile.to_string().as_bytes()).map_err(|e| e.to_string())?;
    Ok(judge::judge(subject, entries, &profile))
}

/// Verifies a report file as a reader would who has nothing else than the key.
fn open(bytes: &[u8], key: &Vkey) -> Result<Reported, String> {
    let opened = verify::report::open(bytes, std::slice::from_ref(key), &[], Some(&judge_again));
    let statement = match opened.statement {
        Some(statement) if !opened.check.refused() => statement,
        _ => return Err(words::report(&opened.check)),
    };
    let judgement = statement.predicate.judgement;
    let file = ReportFile::decode(bytes)?;
    let catalogue = file.catalogues.get("en").ok_or("no English catalogue")?;
    let catalogue = Catalogue::parse(catalogue.as_bytes()).map_err(|e| e.to_string())?;
    let text = tell(&judgement, &catalogue, &Entries::new(&opened.entries));
    let findings = judgement.findings.into_iter().map(|finding| Found {
        code: finding.code,
        severity: finding.severity,
        entries: finding.sentence.entries,
    });
    Ok(Reported {
        findings: findings.collect(),
        text: format!(
            "{text}\n## verified offline\n{}",
            words::report(&opened.check)
        ),
        check: opened.check,
    })
}

/// The answer, the findings and the timeline, in lines.
fn tell(judgement: &Judgement, catalogue: &Catalogue, entries: &Entries<'_>) -> String {
    let line = |sentence: &Sentence| {
        let places: Vec<String> = sentence
            .entries
            .iter()
            .map(|seq| format!("#{seq}"))
            .collect();
        let words = judge::render(sentence, catalogue, entries);
        format!("{words} [{}]", places.join(" "))
    };
    let mut lines = Vec::new();
    for part in &judgement.answer {
        lines.push(format!("## {}", word(part.section)));
        lines.extend(part.sentences.iter().map(line));
        lines.push(String::new());
    }
    lines.push("## findings".to_owned());
    for finding in &judgement.findings {
        let (severity, code) = (word(finding.severity), &finding.code);
        lines.push(format!("{severity} {code}: {}", line(&finding.sentence)));
    }
    lines.push("\n## timeline".to_owned());
    lines.extend(judgement.timeline.iter().map(|item| line(&item.sentence)));
    lines.push(String::new());
    lines.join("\n")
}

/// A word as it stands in JSON.
pub fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent;
    use crate::transcript::sample;
    use crate::{PROFILE, principals, service, summary};

    const READ: &str = "get_reservation_details {\"reservation_id\":\"ABC123\"} => {\"reservation_id\":\"ABC123\"}";
    const CANCEL: &str =
        "cancel_reservation {\"reservation_id\":\"ABC123\"} => {\"reservation_id\":\"ABC123\"}";
    const ASK: &str =
        "Please confirm if you would like to proceed with the cancellation of ABC123.";

    /// Plays a run through a service of its own.
    fn played(lines: &[(&str, &str)]) -> Result<Played, String> {
        let run = sample::run(lines)?;
        let profile = Profile::parse(PROFILE).map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let played = service::with(&folder.path().join("service"), profile, move |running| {
            let service = principals(running).map_err(|error| error.to_string())?;
            let found = consent::judge(&run);
            service
                .play(&run, &found)
                .map_err(|error| error.to_string())
        });
        played.map_err(|error| error.to_string())?
    }

    #[test]
    fn consent_and_its_absence_are_in_the_report() -> Result<(), String> {
        let asked = [("user", "Cancel"), ("call", READ), ("assistant", ASK)];
        let with = [&asked[..], &[("user", "Yes."), ("call", CANCEL)]].concat();
        let without = [&asked[..], &[("user", "Hm."), ("call", CANCEL)]].concat();
        let (with, without) = (played(&with)?, played(&without)?);
        assert!(with.is_good() && without.is_good());
        let codes = |played: &Played| -> Vec<String> {
            let findings = played.changes.iter().flat_map(|change| &change.findings);
            findings.map(|found| found.code.clone()).collect()
        };
        assert!(codes(&with).is_empty());
        assert_eq!(codes(&without), ["approval.absent"]);
        let table = summary::summary(&[with, without]).map_err(|error| error.to_string())?;
        assert!(table.contains("| reports verified | 2 of 2 |"), "{table}");
        assert!(
            table.contains("| no answer | `approval.absent` | 1 | 0 |"),
            "{table}"
        );
        Ok(())
    }

    #[test]
    fn a_change_that_nobody_was_shown_has_no_approval() -> Result<(), String> {
        let played = played(&[("user", "Cancel ABC123"), ("call", CANCEL)])?;
        assert!(played.is_good());
        let codes = played.changes.iter().flat_map(|change| &change.findings);
        assert_eq!(
            codes.map(|found| found.code.as_str()).collect::<Vec<_>>(),
            ["approval.absent"]
        );
        Ok(())
    }
}
