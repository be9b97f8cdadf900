//! Those who look at a ledger, each with what they have.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use whereas::audit::folder::{self, FolderAudit, Progress};
use whereas::ledger::receipt::Receipt;
use whereas::ledger::{Hash, Leaf};
use whereas::outside::{Anchor, Place, Settings, compare};
use whereas::sequencer::{Ledger, LedgerPaths};
use whereas::verify::format::ReportFile;
use whereas::verify::ledger::{LedgerCheck, OutsideCheckpoint, OutsideEntry, words};
use whereas::verify::{receipt, report};

use crate::forger::Outcome;
use crate::ground::{Ground, NAME, ORIGIN, open, witness_key};

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observer {
    /// The service, before it serves the ledger.
    StartUp,
    /// An auditor with the pinned key, the folder and its keyring.
    PinnedKey,
    /// The same without the keyring: content stays closed.
    NoContent,
    /// The pinned key and a checkpoint kept earlier.
    Checkpoint,
    /// The pinned key and a receipt.
    Receipt,
    /// The pinned key and a report.
    Report,
    /// The pinned key, a witness's key, and a checkpoint that the witness cosigned.
    Witness,
    /// The service with an anchor configured.
    Anchor,
}

/// All of them, with their names in `docs/threats.md`.
pub const OBSERVERS: [(Observer, &str); 8] = [
    (Observer::StartUp, "start-up"),
    (Observer::PinnedKey, "pinned key"),
    (Observer::NoContent, "pinned key, no content"),
    (Observer::Checkpoint, "kept checkpoint"),
    (Observer::Receipt, "receipt"),
    (Observer::Report, "report"),
    (Observer::Witness, "witness"),
    (Observer::Anchor, "anchor"),
];

/// What somebody found.
pub struct Seen {
    pub accepted: bool,
    /// Stable codes, the gravest first; for the start the kind of error.
    pub codes: Vec<String>,
    /// What the program says.
    pub words: String,
    /// What a check of the whole ledger found, where there was one.
    pub check: Option<LedgerCheck>,
}

impl Seen {
    pub fn of(check: LedgerCheck) -> Self {
        let mut codes: Vec<String> = Vec::new();
        for p in &check.problems {
            if !codes.iter().any(|c| c == p.code.as_str()) {
                codes.push(p.code.as_str().to_owned());
            }
        }
        Self {
            accepted: !check.refused(),
            codes,
            words: words::ledger(&check),
            check: Some(check),
        }
    }

    /// The lines with these names: `refused`, `freshness`.
    pub fn lines(&self, names: &[&str]) -> String {
        let wanted = |l: &&str| names.iter().any(|n| l.starts_with(&format!("{n}: ")));
        let lines: Vec<&str> = self.words.lines().filter(wanted).collect();
        lines.join("\n")
    }

    /// What the ledger's freshness is, in a word.
    pub fn freshness(&self) -> String {
        let check = self.check.as_ref().expect("a check of the ledger");
        let json = serde_json::to_value(&check.verdicts.freshness).unwrap();
        json["verdict"].as_str().unwrap().to_owned()
    }

    fn error<E: std::error::Error>(e: &E) -> Self {
        let debug = format!("{e:?}");
        let kind = debug.split([' ', '(']).next().unwrap_or_default();
        Self {
            accepted: false,
            codes: vec![kind.to_owned()],
            words: e.to_string(),
            check: None,
        }
    }

    fn nothing() -> Self {
        Self {
            accepted: true,
            codes: Vec::new(),
            words: String::new(),
            check: None,
        }
    }
}

fn kept(note: &str, name: &str) -> OutsideCheckpoint {
    OutsideCheckpoint {
        note: note.to_owned(),
        name: name.to_owned(),
        independent: true,
    }
}

/// An audit of a folder with the pinned key alone.
pub fn audit(ground: &Ground, data: &Path) -> FolderAudit {
    let paths = LedgerPaths::below(data, NAME);
    FolderAudit {
        threads: 1,
        memory: 8 << 20,
        ..FolderAudit::new(paths, vec![ground.key.clone()])
    }
}

/// Adds a checkpoint that somebody kept.
pub fn with_checkpoint(mut audit: FolderAudit, note: &str) -> FolderAudit {
    audit
        .checkpoints
        .push(kept(note, "the checkpoint kept.txt"));
    audit
}

/// Adds what a receipt proves, as the command does.
pub fn with_receipt(mut audit: FolderAudit, text: &str) -> FolderAudit {
    assert!(!receipt::verify(text, &audit.keys, None).refused());
    let receipt = Receipt::parse(text).unwrap();
    audit.entries.push(OutsideEntry {
        seq: receipt.index,
        hash: Hash::leaf(&receipt.leaf),
        name: "the receipt r.tlog-proof".to_owned(),
    });
    let name = "the checkpoint of the receipt r.tlog-proof";
    audit.checkpoints.push(kept(&receipt.checkpoint, name));
    audit
}

/// Adds what a report proves, as the command does.
pub fn with_report(mut audit: FolderAudit, text: &str) -> FolderAudit {
    let opened = report::open(text.as_bytes(), &audit.keys, &[], None);
    assert!(!opened.check.refused());
    let file = ReportFile::decode(text.as_bytes()).unwrap();
    let statement = opened.statement.unwrap();
    for entry in &statement.predicate.entries {
        let leaf = Leaf::decode(entry.leaf.as_bytes()).unwrap();
        audit.entries.push(OutsideEntry {
            seq: leaf.seq,
            hash: Hash::leaf(entry.leaf.as_bytes()),
            name: "the report r.json".to_owned(),
        });
    }
    let name = "the checkpoint of the report r.json";
    audit
        .checkpoints
        .push(kept(&file.evidence.checkpoint, name));
    audit
}

/// Adds the witness's key and a checkpoint that it cosigned.
pub fn with_witness(mut audit: FolderAudit, note: &str) -> FolderAudit {
    audit.keys.push(witness_key());
    audit
        .checkpoints
        .push(kept(note, "the checkpoint cosigned.txt"));
    audit
}

/// Runs an audit.
pub fn run(audit: &FolderAudit) -> Seen {
    match folder::verify(audit, &Progress::default()) {
        Ok(check) => Seen::of(check),
        Err(e) => Seen::error(&e),
    }
}

/// The anchor, as the service is configured with it.
pub fn settings(ground: &Ground) -> Settings {
    Settings {
        policy: None,
        every: Duration::from_secs(60),
        anchors: vec![Anchor {
            place: Place::Folder(ground.anchor()),
            every: Duration::from_secs(60),
        }],
        timeout: Duration::from_secs(5),
        evidence: ground.beside("evidence"),
    }
}

/// What an observer sees of a folder.
pub fn look(observer: Observer, ground: &Ground, data: &Path) -> Outcome<Seen> {
    let audit = audit(ground, data);
    Ok(match observer {
        Observer::StartUp => match Ledger::inspect(&LedgerPaths::below(data, NAME), ORIGIN) {
            Ok(()) => Seen::nothing(),
            Err(e) => Seen::error(&e),
        },
        Observer::Anchor => match open(data) {
            Ok(ledger) => {
                let found = compare(&ledger, &settings(ground));
                close(ledger)?;
                found.map_or_else(|e| Seen::error(&e), |()| Seen::nothing())
            }
            Err(_) => look(Observer::StartUp, ground, data)?,
        },
        Observer::PinnedKey => run(&audit),
        Observer::NoContent => run(&FolderAudit {
            content: false,
            ..audit
        }),
        Observer::Checkpoint => {
            // The last of all was kept after the report.
            let mut before = ground.kept.iter().rev().skip(1);
            run(&with_checkpoint(
                audit,
                before.next().ok_or("a checkpoint")?,
            ))
        }
        Observer::Receipt => {
            let newest = ground.receipts.last().ok_or("a receipt")?;
            run(&with_receipt(audit, newest))
        }
        Observer::Report => run(&with_report(audit, &ground.report)),
        Observer::Witness => {
            let newest = ground.cosigned.last().ok_or("a cosigned checkpoint")?;
            run(&with_witness(audit, newest))
        }
    })
}

/// Closes a ledger that a test opened.
pub fn close(ledger: std::sync::Arc<Ledger>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(ledger.close());
    Ok(())
}

/// A member of content as text.
pub fn text<'a>(members: &'a std::collections::BTreeMap<String, Value>, at: &str) -> &'a str {
    members.get(at).and_then(Value::as_str).unwrap_or_default()
}
