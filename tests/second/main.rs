//! The second verifier (`verifier/`, Python, written from `docs/formats.md` alone) and this program agree on every file:
//! good ones, and thousands that somebody changed, with and without the keys to sign the change.
//!
//! `WHEREAS_SEED` repeats a run, `WHEREAS_VARIANTS` makes it longer.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../attacks/dice.rs"]
mod dice;
#[path = "../attacks/exports.rs"]
mod exports;
#[path = "../attacks/forger.rs"]
#[expect(dead_code, reason = "the attacks use all of it")]
mod forger;
#[path = "../attacks/ground.rs"]
#[expect(dead_code, reason = "the attacks use all of it")]
mod ground;
mod variants;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use whereas::audit::archive;
use whereas::audit::folder::Progress;
use whereas::audit::source::SourceAudit;
use whereas::ledger::Timestamp;
use whereas::ledger::note::Vkey;
use whereas::verify;
use whereas::verify::keys::Compromise;

use dice::Dice;
use forger::{Forger, Outcome};
use ground::Ground;

/// A file to be checked by both.
pub struct Job {
    /// What was changed, for messages.
    pub what: String,
    /// `report` or `receipt`.
    pub kind: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// Checkpoints that the verifier kept.
    pub checkpoints: Vec<String>,
    /// Whether the verifier believes that somebody else had the ledger's key all along (exports).
    pub stolen: bool,
}

/// Before any entry of these ledgers.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// What a verifier says of a file, as far as any verifier can establish it.
#[derive(Debug, PartialEq)]
struct Said {
    accepted: bool,
    /// The code of the first problem.
    code: Option<String>,
    verdicts: Vec<(String, String)>,
}

fn said(accepted: bool, problems: &Value, verdicts: &[(&str, &Value)]) -> Said {
    let word = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let verdicts = verdicts
        .iter()
        .map(|(name, v)| ((*name).to_owned(), word(v)));
    Said {
        accepted,
        code: problems[0]["code"].as_str().map(str::to_owned),
        verdicts: verdicts.collect(),
    }
}

const REPORT: [&str; 3] = ["integrity", "sequence", "freshness"];
const RECEIPT: [&str; 2] = ["integrity", "freshness"];
const EXPORT: [&str; 5] = ["integrity", "sequence", "content", "freshness", "keys"];

/// What two verifiers must say alike of an export that they refuse: a fault may be named in more than one way, and how
/// much is looked at after it is each one's own choice.
fn alike(said: Said) -> Said {
    if said.accepted {
        return said;
    }
    let verdicts = said.verdicts.into_iter();
    Said {
        verdicts: verdicts.filter(|(name, _)| name == "integrity").collect(),
        ..said
    }
}

/// Of an export, all problems are listed in an order of one's own, and one fault may be named in two ways.
const NO_CODE: Value = Value::Null;

fn verdicts_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "report" => &REPORT,
        "export" => &EXPORT,
        _ => &RECEIPT,
    }
}

fn stolen(key: &Vkey) -> Compromise {
    Compromise {
        key: key.clone(),
        since: Timestamp::parse_rfc3339(LONG_AGO).unwrap(),
    }
}

fn first(job: &Job, keys: &[Vkey]) -> Said {
    if job.kind == "export" {
        let audit = SourceAudit {
            keys: keys.to_vec(),
            checkpoints: Vec::new(),
            entries: Vec::new(),
            compromised: job.stolen.then(|| stolen(&keys[0])).into_iter().collect(),
            threads: 1,
            memory: 1 << 20,
            temporary: std::env::temp_dir(),
            now: None,
        };
        let check = archive::verify(&job.bytes[..], &audit, &Progress::default()).unwrap();
        let json = serde_json::to_value(&check).unwrap();
        let verdicts = EXPORT.map(|n| (n, &json["verdicts"][n]["verdict"]));
        alike(said(!check.refused(), &NO_CODE, &verdicts))
    } else if job.kind == "report" {
        let check = verify::report::verify(&job.bytes, keys, &job.checkpoints, None);
        let json = serde_json::to_value(&check).unwrap();
        let verdicts = REPORT.map(|n| (n, &json["verdicts"][n]["verdict"]));
        said(!check.refused(), &json["problems"], &verdicts)
    } else {
        let check = verify::receipt::verify(&job.bytes, keys, None);
        let json = serde_json::to_value(&check).unwrap();
        let verdicts = RECEIPT.map(|n| (n, &json[n]["verdict"]));
        said(!check.refused(), &json["problems"], &verdicts)
    }
}

/// Runs the Python verifier over all files at once.
fn second(jobs: &[Job], keys: &[Vkey], dir: &Path) -> Vec<Said> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verifier/whereas_verify.py");
    let keys: Vec<String> = keys.iter().map(Vkey::to_string).collect();
    let file = |name: String, bytes: &[u8]| -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut child = Command::new("python3")
        .arg(script)
        .arg("batch")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let outside: Vec<PathBuf> = (0..)
            .zip(&job.checkpoints)
            .map(|(k, c): (u32, &String)| file(format!("{i}-{k}.checkpoint"), c.as_bytes()))
            .collect();
        let path = file(format!("{i}.{}", job.kind), &job.bytes);
        let stolen = job.stolen.then(|| format!("{}={LONG_AGO}", keys[0]));
        let stolen: Vec<String> = stolen.into_iter().collect();
        let line = json!({
            "kind": job.kind, "file": path, "keys": keys, "checkpoints": outside, "compromised": stolen,
        });
        lines.extend(format!("{line}\n").into_bytes());
    }
    let mut input = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(&lines));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "the second verifier failed");
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(answers.len(), jobs.len(), "one answer a file");
    let each = jobs.iter().zip(&answers).map(|(job, answer)| {
        let names = verdicts_of(job.kind);
        let verdicts: Vec<(&str, &Value)> =
            names.iter().map(|n| (*n, &answer["verdicts"][n])).collect();
        let accepted = answer["accepted"].as_bool().unwrap();
        let problems = match job.kind {
            "export" => &NO_CODE,
            _ => &answer["problems"],
        };
        let said = said(accepted, problems, &verdicts);
        if job.kind == "export" {
            alike(said)
        } else {
            said
        }
    });
    each.collect()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().expect("a number"))
}

/// Whether the second verifier can run here: it needs Python and OpenSSL 3. Where it cannot, that is said.
fn can_run_second() -> bool {
    let runs = |program: &str, argument: &str, begins: &[&str]| {
        Command::new(program)
            .arg(argument)
            .output()
            .is_ok_and(|o| begins.iter().any(|b| o.stdout.starts_with(b.as_bytes())))
    };
    let can = runs("python3", "--version", &["Python 3."])
        && runs("openssl", "version", &["OpenSSL 3.", "OpenSSL 4."]);
    let must = std::env::var("WHEREAS_REQUIRE_PYTHON").is_ok_and(|v| v == "1");
    assert!(
        can || !must,
        "python3 or openssl 3 is absent, and WHEREAS_REQUIRE_PYTHON=1"
    );
    if !can {
        eprintln!("NOT CHECKED with the second verifier: it needs python3 and openssl 3");
    }
    can
}

/// Both verifiers on all jobs; the good ones are accepted, and nobody disagrees.
fn agree(ground: &Ground, jobs: &[Job]) -> Outcome {
    if !can_run_second() {
        return Ok(());
    }
    let keys = [ground.key.clone()];
    let dir = tempfile::tempdir()?;
    let theirs = second(jobs, &keys, dir.path());
    let mut disagreements = Vec::new();
    let (mut accepted, mut codes) = (0, std::collections::BTreeMap::new());
    for (job, theirs) in jobs.iter().zip(&theirs) {
        let ours = first(job, &keys);
        accepted += u64::from(ours.accepted);
        *codes
            .entry(ours.code.clone().unwrap_or_default())
            .or_insert(0) += 1;
        if job.what == "good" {
            assert_eq!(ours.accepted, !job.stolen, "{ours:?}");
        }
        if ours != *theirs {
            let name = format!("whereas-disagree-{}.{}", disagreements.len(), job.kind);
            let kept = std::env::temp_dir().join(name);
            std::fs::write(&kept, &job.bytes)?;
            let (kind, what, kept) = (job.kind, &job.what, kept.display());
            disagreements.push(format!(
                "{kind}, {what} (kept as {kept}):\n  {ours:?}\n  {theirs:?}"
            ));
        }
    }
    eprintln!(
        "{} files, {accepted} accepted; first problems: {codes:?}",
        jobs.len()
    );
    assert!(
        disagreements.is_empty(),
        "{} disagreements:\n{}",
        disagreements.len(),
        disagreements[..disagreements.len().min(20)].join("\n")
    );
    Ok(())
}

#[test]
fn both_verifiers_say_the_same_of_receipts_and_reports() -> Outcome {
    let seed = number("WHEREAS_SEED", 1);
    let many = number("WHEREAS_VARIANTS", 400);
    eprintln!("WHEREAS_SEED={seed} WHEREAS_VARIANTS={many}");
    let mut dice = Dice::new(seed);
    let ground = ground::ledger(40)?;
    let forger = Forger::open(&ground.data(), ground::NAME, ground::ORIGIN)?;
    let mut jobs = variants::receipts(&ground, &mut dice, many / 4);
    jobs.extend(variants::reports(&ground, &forger, &mut dice, many));
    jobs.extend(variants::outside(&ground, &forger));
    agree(&ground, &jobs)
}

#[test]
fn both_verifiers_say_the_same_of_exports() -> Outcome {
    let seed = number("WHEREAS_SEED", 1);
    let many = number("WHEREAS_VARIANTS", 300);
    eprintln!("WHEREAS_SEED={seed} WHEREAS_VARIANTS={many}");
    let mut dice = Dice::new(seed);
    let ground = ground::ledger(300)?;
    let jobs = variants::exports(&ground, &mut dice, many);
    agree(&ground, &jobs)
}
