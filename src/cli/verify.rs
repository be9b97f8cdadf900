//! Verifying, offline. No store, no key but the pinned ones.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::checkpoints::CheckpointsArgs;
use super::untold::untold;
use super::{Config, Failure, Outcome, fail, read, read_text, say};
use crate::event::{COMMON_MEMBERS, Context, Event};
use crate::json;
use crate::judge::{self, Catalogue, Judgement, Profile};
use crate::ledger::note::Vkey;
use crate::ledger::policy::Policy;
use crate::ledger::{Hash, Timestamp, disclosure, sha256};
use crate::sequencer::{Clock, SystemClock};
use crate::verify::format::BridgesFile;
use crate::verify::keys::Compromise;
use crate::verify::receipt::EventCheck;
use crate::verify::{self, words};

/// What `verify` takes.
#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Verify a receipt: a .tlog-proof file, or the service's answer to a post
    Receipt(ReceiptArgs),
    /// Verify a report file
    Report(ReportArgs),
    /// Verify a whole ledger: a data folder, an export file, or a log on the web
    Ledger(super::verify_ledger::LedgerArgs),
    /// Compare checkpoints that different people hold: has the ledger shown all of them one history?
    Checkpoints(CheckpointsArgs),
}

/// Whose word counts.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Pinned verifier key (vkey), or a file with one a line; may be repeated
    #[arg(long = "key", value_name = "VKEY", required_unless_present = "policy")]
    keys: Vec<String>,
    /// Pin the keys of this tlog-policy; `witnessed` then needs its quorum
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How old the newest word of trusted witnesses may be (60s, 5m, 24h, 7d); older, or none, is exit code 3
    #[arg(long, value_name = "TIME")]
    max_age: Option<String>,
}

impl TrustArgs {
    fn now() -> Timestamp {
        SystemClock::default().now()
    }

    /// Whether the newest word of trusted witnesses is older than it may be.
    fn stale(&self, as_of: Option<&str>, now: Timestamp) -> Result<bool, Failure> {
        let Some(max) = &self.max_age else {
            return Ok(false);
        };
        let max = i64::try_from(super::config::duration(max)?.as_micros()).unwrap_or(i64::MAX);
        let Some(as_of) = as_of.and_then(Timestamp::parse_canonical) else {
            return Ok(true);
        };
        let age = now.micros().saturating_sub(as_of.micros());
        // A time that is still to come says nothing about age.
        Ok(age > max || age < -CLOCKS_DIFFER)
    }
}

/// How far a witness's clock may be ahead of this machine's, in microseconds.
const CLOCKS_DIFFER: i64 = 300_000_000;

/// All pinned keys, and the policy.
pub(super) fn pinned(
    given: &[String],
    policy: Option<&std::path::Path>,
) -> Result<(Vec<Vkey>, Option<Policy>), Failure> {
    let policy = policy.map(super::config::read_policy).transpose()?;
    let mut all = policy.as_ref().map(Policy::keys).unwrap_or_default();
    if policy.is_none() || !given.is_empty() {
        for key in keys(given)? {
            if !all.contains(&key) {
                all.push(key);
            }
        }
    }
    Ok((all, policy))
}

/// What `verify receipt` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 good, 1 refused, 2 cannot be read, 3 good but older than --max-age."
)]
pub struct ReceiptArgs {
    /// The receipt, or the JSON answer to the post
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// The event as it was posted: recompute what was committed, from the disclosures in the answer
    #[arg(long, value_name = "EVENT")]
    event: Option<PathBuf>,
    /// Disclosures (JSON array), when FILE is a bare receipt
    #[arg(long, value_name = "FILE", requires = "event")]
    disclosures: Option<PathBuf>,
    /// Changes of the ledger's checkpoint key, as the service's …/keys/bridges gave them
    #[arg(long, value_name = "FILE")]
    bridges: Option<PathBuf>,
    /// A key that somebody else may have held since a time, as VKEY=TIME; may be repeated
    #[arg(long = "compromised", value_name = "VKEY=TIME")]
    compromised: Vec<String>,
    /// Which event of the answer, from 0
    #[arg(long, default_value_t = 0)]
    item: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `verify report` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 verified, 1 refused, 2 cannot be read, 3 verified but a verdict named with --require is not good, or older than --max-age."
)]
pub struct ReportArgs {
    /// The report file
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// A signed checkpoint that an outside party kept; may be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Changes of the ledger's checkpoint key that you know of, as the service's …/keys/bridges gave them
    #[arg(long, value_name = "FILE")]
    bridges: Option<PathBuf>,
    /// A key that somebody else may have held since a time, as VKEY=TIME; may be repeated
    #[arg(long = "compromised", value_name = "VKEY=TIME")]
    compromised: Vec<String>,
    /// Verdicts that must be good, beside integrity; may be repeated
    #[arg(long = "require", value_enum, value_name = "VERDICT")]
    require: Vec<Required>,
    /// The profile that the record must have been judged against [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Print the answer as well, in this language
    #[arg(long, value_name = "LANG")]
    lang: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Required {
    Sequence,
    Freshness,
    Elements,
    Controls,
}

pub(super) fn run(command: &VerifyCommand, flags: &super::config::Flags) -> Outcome {
    match command {
        VerifyCommand::Receipt(args) => receipt(args),
        VerifyCommand::Report(args) => report(args),
        VerifyCommand::Ledger(args) => super::verify_ledger::run(args, &Config::load(flags)?),
        VerifyCommand::Checkpoints(args) => super::checkpoints::run(args, flags.data_dir()),
    }
}

/// Keys given as text, or as files with one a line.
pub(super) fn keys(given: &[String]) -> Result<Vec<Vkey>, Failure> {
    let mut keys = Vec::new();
    for text in given {
        let lines = if text.contains('+') {
            text.clone()
        } else {
            read_text(std::path::Path::new(text))?
        };
        for line in lines
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            keys.push(Vkey::parse(line).map_err(|e| Failure(format!("the key `{line}`: {e}")))?);
        }
    }
    if keys.is_empty() {
        fail("no key was given: pin the ledger's checkpoint key with --key")
    } else {
        Ok(keys)
    }
}

/// A file of bridges.
fn bridges(path: &std::path::Path) -> Result<BridgesFile, Failure> {
    let bad = |e: String| Failure(format!("{} is no file of bridges: {e}", path.display()));
    BridgesFile::decode(&read(path)?).map_err(bad)
}

/// Keys that somebody else may have held, each with a time: `VKEY=TIME`. The key itself may end in equals signs.
pub(super) fn compromised(given: &[String]) -> Result<Vec<Compromise>, Failure> {
    let read = |text: &String| {
        let bad = |e: &dyn std::fmt::Display| {
            Failure(format!(
                "--compromised `{text}` is not of the form VKEY=TIME: {e}"
            ))
        };
        let (key, since) = text.rsplit_once('=').ok_or_else(|| bad(&"there is no ="))?;
        Ok(Compromise {
            key: Vkey::parse(key).map_err(|e| bad(&e))?,
            since: Timestamp::parse_rfc3339(since).map_err(|e| bad(&e))?,
        })
    };
    given.iter().map(read).collect()
}

fn receipt(args: &ReceiptArgs) -> Outcome {
    let (keys, policy) = pinned(&args.trust.keys, args.trust.policy.as_deref())?;
    // What is not text is a receipt that is refused, not a failure of this command.
    let (receipt, mut disclosures) = match String::from_utf8(read(&args.file)?) {
        Ok(text) if text.trim_start().starts_with('{') => {
            let (receipt, disclosures) = from_answer(&text, args.item)?;
            (receipt.into_bytes(), disclosures)
        }
        Ok(text) => (text.into_bytes(), None),
        Err(e) => (e.into_bytes(), None),
    };
    if let Some(file) = &args.disclosures {
        disclosures = Some(
            serde_json::from_slice::<Vec<String>>(&read(file)?)
                .map_err(|e| Failure(format!("{}: {e}", file.display())))?,
        );
    }
    let event = args.event.as_deref().map(read).transpose()?;
    let event =
        event.map(|e| native_form(e, disclosures.as_deref().unwrap_or_default(), args.item));
    let check = match (&event, &disclosures) {
        (Some(event), Some(disclosures)) => Some(EventCheck {
            event,
            disclosures,
            declared: COMMON_MEMBERS,
        }),
        (Some(_), None) => {
            return fail(
                "there are no disclosures to compare the event with: give the service's JSON answer as FILE, or --disclosures",
            );
        }
        (None, _) => None,
    };
    let bridges = args.bridges.as_deref().map(bridges).transpose()?;
    let compromised = compromised(&args.compromised)?;
    let now = TrustArgs::now();
    let trust = verify::Trust {
        keys: &keys,
        policy: policy.as_ref(),
        outside: &[],
        now: Some(now),
        bridges: bridges.as_ref(),
        compromised: &compromised,
    };
    let outcome = verify::receipt::verify_by(&receipt, &trust, check.as_ref());
    if args.json {
        say(&serde_json::to_string_pretty(&outcome)?)?
    } else {
        say(words::receipt(&outcome).trim_end())?
    };
    Ok(if outcome.refused() {
        ExitCode::from(1)
    } else if args.trust.stale(outcome.as_of.as_deref(), now)? {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

/// The native form of an event as it was posted: one of a batch is picked, and a flat audit event turned as the service
/// turns it. What is neither, or cannot be read, stays as it is and is refused with its reason.
fn native_form(posted: Vec<u8>, disclosures: &[String], item: usize) -> Vec<u8> {
    let Ok(value) = json::parse(&posted, json::Limits::default()) else {
        return posted;
    };
    let value = match value {
        Value::Array(mut batch) if item < batch.len() => batch.swap_remove(item),
        one => one,
    };
    if value.get("audit_event_id").is_none() || value.get("type").is_some() {
        return json::canonical(&value).into_bytes();
    }
    let tenant = value.get("tenant_id").and_then(Value::as_str);
    let tenant = tenant.unwrap_or_default().to_owned();
    // A flat event need not name its source; the token's own was taken then.
    let source = disclosures
        .iter()
        .filter_map(|d| disclosure::decode(d).ok())
        .find(|d| d.pointer.as_deref() == Some("/source"))
        .and_then(|d| d.value.as_str().map(str::to_owned));
    let context = Context {
        ledger: &tenant,
        origin: &tenant,
        only_source: source.as_deref(),
    };
    match Event::read(value, &context) {
        Ok(event) => event.canonical().into_bytes(),
        Err(_) => posted,
    }
}

fn from_answer(text: &str, item: usize) -> Result<(String, Option<Vec<String>>), Failure> {
    let answer: Value = serde_json::from_str(text)?;
    let found = answer
        .get("items")
        .and_then(|i| i.get(item))
        .unwrap_or(&answer);
    let receipt = found
        .get("receipt")
        .and_then(Value::as_str)
        .ok_or_else(|| Failure(format!("the answer has no receipt for event {item}")))?;
    let disclosures = found.get("disclosures").and_then(Value::as_array).map(|d| {
        d.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    });
    Ok((receipt.to_owned(), disclosures))
}

/// Judges again what a report's entries show.
pub(super) fn judge_again(
    subject: &judge::Subject,
    entries: &[judge::Entry],
    profile: &Value,
) -> Result<Judgement, String> {
    let profile = Profile::parse(profile.to_string().as_bytes()).map_err(|e| e.to_string())?;
    Ok(judge::judge(subject, entries, &profile))
}

/// A file that should hold a checkpoint. What is not text is handed on as an empty one, which is no checkpoint either: it is
/// reported as unusable, as a damaged one is.
fn outside_checkpoint(path: &std::path::Path) -> Result<String, Failure> {
    Ok(String::from_utf8(read(path)?).unwrap_or_default())
}

fn report(args: &ReportArgs) -> Outcome {
    let (keys, policy) = pinned(&args.trust.keys, args.trust.policy.as_deref())?;
    let outside = args
        .checkpoints
        .iter()
        .map(|p| outside_checkpoint(p))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = read(&args.file)?;
    let bridges = args.bridges.as_deref().map(bridges).transpose()?;
    let compromised = compromised(&args.compromised)?;
    let now = TrustArgs::now();
    let trust = verify::Trust {
        keys: &keys,
        policy: policy.as_ref(),
        outside: &outside,
        now: Some(now),
        bridges: bridges.as_ref(),
        compromised: &compromised,
    };
    let opened = verify::report::open_by(&bytes, &trust, Some(&judge_again));
    let check = &opened.check;
    if args.json {
        say(&serde_json::to_string_pretty(check)?)?
    } else {
        say(words::report(check).trim_end())?
    };
    let yardstick = match &args.profile {
        Some(file) => Profile::parse(&read(file)?)?,
        None => Profile::builtin()?,
    };
    let pinned = opened
        .statement
        .as_ref()
        .is_some_and(|s| s.predicate.profile.sha256 == yardstick.digest());
    if let (Some(statement), false) = (&opened.statement, args.json) {
        for line in issuers_choices(statement, pinned, args.profile.is_some()) {
            say(&line)?;
        }
    }
    if let (Some(lang), Some(statement), false) = (&args.lang, &opened.statement, args.json) {
        say("")?;
        for line in story(&bytes, statement, &opened, lang)? {
            say(&line)?;
        }
    }
    if check.refused() {
        return Ok(ExitCode::from(1));
    }
    let verdicts = &check.verdicts;
    let unmet = args.require.iter().any(|r| match r {
        Required::Sequence => verdicts.sequence.verdict != verify::Sequence::Complete,
        Required::Freshness => !matches!(
            verdicts.freshness.verdict,
            verify::Freshness::Witnessed | verify::Freshness::Anchored
        ),
        Required::Elements => !pinned || verdicts.elements.verdict != verify::Process::Good,
        Required::Controls => !pinned || verdicts.controls.verdict != verify::Process::Good,
    });
    Ok(if unmet || args.trust.stale(check.as_of.as_deref(), now)? {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

/// All that a verified report tells, in lines: answer, findings, timeline, what no sentence tells, and who read it.
pub(super) fn story(
    report: &[u8],
    statement: &verify::format::Statement,
    opened: &verify::report::OpenedReport,
    lang: &str,
) -> Result<Vec<String>, Failure> {
    let file = verify::format::ReportFile::decode(report).map_err(Failure)?;
    let catalogue = file.catalogues.get(lang).ok_or_else(|| {
        Failure(format!(
            "there is no catalogue for the language `{lang}`; there is: {}",
            file.catalogues
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ))
    })?;
    let catalogue = Catalogue::parse(catalogue.as_bytes())?;
    let judgement = &statement.predicate.judgement;
    let shown = judge::Entries::new(&opened.entries);
    let mut lines = tell(judgement, &catalogue, &shown);
    lines.extend(timeline(judgement, &catalogue, &shown));
    lines.push(heading(&catalogue, "untold"));
    lines.extend(untold(judgement, &opened.entries));
    if !opened.custody.is_empty() {
        lines.push(heading(&catalogue, "reads"));
        lines.extend(words::reads(&opened.custody));
    }
    Ok(lines)
}

/// The timeline, in lines.
pub(super) fn timeline(
    judgement: &Judgement,
    catalogue: &Catalogue,
    shown: &judge::Entries<'_>,
) -> Vec<String> {
    let line = |item: &judge::TimelineItem| {
        let text = judge::render(&item.sentence, catalogue, shown);
        format!("  #{} {text}", item.seq)
    };
    let heading = heading(catalogue, "timeline");
    std::iter::once(heading)
        .chain(judgement.timeline.iter().map(line))
        .collect()
}

/// What the issuer chose and a verifier must know: the yardstick, and the words.
fn issuers_choices(
    statement: &verify::format::Statement,
    pinned: bool,
    given: bool,
) -> Vec<String> {
    let p = &statement.predicate;
    let text = |name: &str| {
        p.profile
            .json
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let whose = match (pinned, given) {
        (true, true) => "the one given with --profile",
        (true, false) => "the built-in one",
        (false, true) => {
            "NOT the one given with --profile: elements and controls are judged by the issuer's yardstick"
        }
        (false, false) => {
            "the operator's own: read it before you rely on elements and controls, or pin it with --profile"
        }
    };
    let mut lines = vec![format!(
        "profile: {} {}, SHA-256 {}; {whose}",
        text("name"),
        text("version"),
        p.profile.sha256
    )];
    let known = |lang: &str, digest: Hash| {
        judge::catalogue::builtin()
            .into_iter()
            .any(|(l, bytes)| l == lang && sha256(&[bytes]) == digest)
    };
    let foreign: Vec<&str> = p
        .catalogues
        .iter()
        .filter(|(lang, d)| !known(lang, d.0))
        .map(|(lang, _)| lang.as_str())
        .collect();
    if !foreign.is_empty() {
        lines.push(format!(
            "words: the issuer's own, not this program's ({}); findings keep their codes, which are explained in docs/findings.md",
            foreign.join(", ")
        ));
    }
    lines
}

/// The heading of a part of an answer, in the catalogue's words.
pub(super) fn heading(catalogue: &Catalogue, name: &str) -> String {
    let id = format!("section.{name}");
    catalogue
        .get(&id)
        .map_or_else(|| name.to_owned(), str::to_owned)
}

/// The answer and the findings, in lines.
pub(super) fn tell(
    judgement: &Judgement,
    catalogue: &Catalogue,
    entries: &judge::Entries<'_>,
) -> Vec<String> {
    let text = |s: &judge::Sentence| judge::render(s, catalogue, entries);
    let mut lines = Vec::new();
    for part in &judgement.answer {
        let name = serde_json::to_value(part.section).unwrap_or_default();
        lines.push(heading(catalogue, name.as_str().unwrap_or_default()));
        let told = part.sentences.iter();
        lines.extend(told.map(|s| format!("  {}{}", text(s), places(&s.entries))));
    }
    if !judgement.findings.is_empty() {
        lines.push(heading(catalogue, "findings"));
        lines.extend(judgement.findings.iter().map(|f| {
            let severity = serde_json::to_value(f.severity).unwrap_or_default();
            let severity = severity.as_str().unwrap_or_default().to_owned();
            format!(
                "  {severity} {}: {}{}",
                f.code,
                text(&f.sentence),
                places(&f.sentence.entries)
            )
        }));
    }
    lines
}

/// Positions of entries, runs of them shortened.
fn places(entries: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for seq in entries {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *seq => *last = *seq,
            _ => runs.push((*seq, *seq)),
        }
    }
    let shown: Vec<String> = runs
        .iter()
        .map(|(first, last)| {
            if first == last {
                format!("#{first}")
            } else {
                format!("#{first}–#{last}")
            }
        })
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!(" [{}]", shown.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_flat_event_and_one_of_a_batch_are_compared_in_native_form() {
        let source = disclosure::encode(r#"["AAAAAAAAAAAAAAAAAAAAAQ","/source","wf"]"#);
        let flat = json!({"audit_event_id": "a1", "timestamp": "2026-01-01T00:00:00Z", "tenant_id": "t", "user_id": "u", "action": "x"});
        let native = json!({"id": "a1", "type": "ai.audit", "source": "wf", "time": "2026-01-01T00:00:00Z", "actor": {"id": "u"}, "data": {"tenant_id": "t", "action": "x"}});
        let batch = json!([native, flat]).to_string().into_bytes();
        for item in [0, 1] {
            let got = native_form(batch.clone(), std::slice::from_ref(&source), item);
            assert_eq!(String::from_utf8_lossy(&got), json::canonical(&native));
        }
        assert_eq!(native_form(b"not json".to_vec(), &[], 0), b"not json");
    }
}
