//! A small but complete ledger: cases, traces, single events, a flat one, a report, reads and refusals on record, a retry
//! and a conflict, a witness's cosignatures, an anchor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use serde_json::{Map, Value, json};
use whereas::event::{Context, Event};
use whereas::judge::Profile;
use whereas::ledger::note::{Cosigner, Vkey};
use whereas::ledger::{Id16, Timestamp};
use whereas::outside::{checkpoint_file, folder_of};
use whereas::reconstruct::{CaseName, CaseSight, Question};
use whereas::sequencer::{
    Access, Denial, FromOutside, Ledger, LedgerPaths, Limits, Status, SystemClock,
};
use whereas::store::{Anchored, Cosignature};
use whereas::witness::{AddCheckpoint, Answer, Witness};

use crate::forger::Outcome;

pub const NAME: &str = "acme";
pub const ORIGIN: &str = "ledger.example/acme";
pub const PRODUCER: Id16 = Id16([7; 16]);

/// A ledger's folder, and what parties outside have kept of it.
pub struct Ground {
    dir: tempfile::TempDir,
    /// The pinned checkpoint key.
    pub key: Vkey,
    /// Receipts of some events, as their posters keep them.
    pub receipts: Vec<String>,
    /// A report file.
    pub report: String,
    /// Checkpoints that somebody kept, oldest first.
    pub kept: Vec<String>,
    /// Checkpoints that the witness cosigned, oldest first.
    pub cosigned: Vec<String>,
}

struct Everybody;

impl CaseSight for Everybody {
    fn sees(&self, _: Option<&Id16>) -> bool {
        true
    }
}

impl Ground {
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A folder on somebody else's disk, where checkpoints lie.
    pub fn anchor(&self) -> PathBuf {
        self.beside("anchor")
    }

    /// The witness that has cosigned some checkpoints of this ledger.
    pub fn witness(&self) -> Outcome<Witness> {
        witness(&self.beside("witness"), &self.key)
    }

    /// A place for copies, beside the data folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn open(&self) -> Outcome<Arc<Ledger>> {
        open(&self.data())
    }
}

/// When the witness signs.
pub const WITNESSED: u64 = 1_800_000_000;

fn cosigner() -> Cosigner {
    Cosigner::new("witness.example/w", SigningKey::from_bytes(&[9; 32])).expect("a key name")
}

/// The witness's key.
pub fn witness_key() -> Vkey {
    cosigner().vkey().clone()
}

fn witness(dir: &Path, key: &Vkey) -> Outcome<Witness> {
    let now = Box::new(|| WITNESSED);
    Ok(Witness::open(
        dir,
        cosigner(),
        std::slice::from_ref(key),
        now,
    )?)
}

/// Has the witness cosign the newest checkpoint, puts it to the anchor, and keeps what was given; gives the note.
async fn ask_outside(ledger: &Ledger, dir: &Path, old: u64) -> Outcome<(u64, String)> {
    let (checkpoint, mut note) = ledger.checkpoint()?;
    let size = checkpoint.size;
    let proof = if old == 0 {
        Vec::new()
    } else {
        ledger.consistency(old, size)?
    };
    let request = AddCheckpoint {
        old,
        proof,
        checkpoint: &note,
    };
    let signer = ledger.keyring().checkpoint();
    let key = signer.vkey();
    let answer = witness(&dir.join("witness"), key)?.add_checkpoint(request.encode().as_bytes())?;
    let Answer::Cosigned(line) = answer else {
        return Err(format!("{answer:?}").into());
    };
    let vkey = witness_key();
    let cosignature = Cosignature {
        size,
        name: vkey.name().to_owned(),
        key_id: vkey.id(),
        line: line.clone(),
        time: WITNESSED,
    };
    ledger.keep(FromOutside::Cosignature(cosignature)).await?;
    note.push_str(&line);
    let folder = dir.join("anchor").join(folder_of(ORIGIN));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(checkpoint_file(size)), &note)?;
    let anchored = Anchored {
        place: "anchor".to_owned(),
        size,
        root: checkpoint.root,
        time: Timestamp::parse_rfc3339("2026-01-13T00:00:00Z")?,
    };
    ledger.keep(FromOutside::Anchored(anchored)).await?;
    Ok((size, note))
}

/// What happens in every ledger beside events: reads, a refusal, a change of policy.
async fn daily_life(ledger: &Ledger) -> Outcome {
    let reader = Id16([8; 16]);
    let mut access = Access::new(reader, "case.entries", Timestamp::EPOCH);
    access.role = Some("auditor");
    access.case = Some(Id16([5; 16]));
    access.count = 3;
    ledger.record_access(access).await?;
    let mut access = Access::new(reader, "entries.list", Timestamp::EPOCH);
    access.every_case = true;
    access.entries = Some((0, 7));
    ledger.record_access(access).await?;
    let denial = Denial {
        principal: reader,
        resource: "reports.issue",
        status: 403,
    };
    ledger.note_denial(denial, Timestamp::EPOCH);
    let fact = Map::from_iter([
        ("name".to_owned(), json!("default")),
        ("policy".to_owned(), json!("profile")),
        ("sha256".to_owned(), json!("00".repeat(32))),
        ("version".to_owned(), json!("1")),
    ]);
    ledger.append_own("policy.changed", fact).await?;
    let flat = event(json!({
        "audit_event_id": "flat-1", "source": "https://answers.example", "tenant_id": NAME,
        "timestamp": "2026-01-12T14:00:00Z", "user_id": "u1", "action": "answer", "case_id": "C-2",
        "trace_id": "run 8", "answer_status": "answered", "model_versions": ["m1"],
    }));
    let first = ledger.append(std::slice::from_ref(&flat), PRODUCER).await?;
    let again = ledger.append(&[flat], PRODUCER).await?;
    assert_eq!(
        (again[0].status, again[0].seq),
        (Status::Duplicate, first[0].seq)
    );
    Ok(())
}

pub fn open(data: &Path) -> Outcome<Arc<Ledger>> {
    let paths = LedgerPaths::below(data, NAME);
    let clock = Arc::new(SystemClock::default());
    Ok(Ledger::open(
        &paths,
        NAME,
        ORIGIN,
        clock,
        Limits::default(),
    )?)
}

pub fn event(value: Value) -> Event {
    let context = Context {
        ledger: NAME,
        origin: ORIGIN,
        only_source: None,
    };
    Event::read(value, &context).unwrap_or_else(|f| panic!("{f:?}"))
}

/// The `n`th event: of a case, of a trace, or of neither.
pub fn numbered(n: u64) -> Event {
    let kind =
        ["request.received", "recommendation.drafted", "x.note"][usize::try_from(n % 3).unwrap()];
    let mut value = json!({
        "id": format!("e{n}"), "source": "https://workflow.example", "type": kind,
        "time": format!("2026-01-12T13:{:02}:{:02}.5Z", n / 60 % 60, n % 60),
        "actor": {"id": format!("u{}", n % 5), "kind": "human"},
        "data": {"draft": format!("text {n}"), "claims": [{"text": format!("c{n}")}, {"text": "d"}]},
    });
    match n % 5 {
        0 => value["trace_id"] = json!("run 7"),
        1 => {}
        _ => {
            value["case_id"] = json!(format!("C-{}", n % 4));
            value["trace_id"] = json!(format!("{:032x}", 1 + n % 4));
        }
    }
    if kind == "recommendation.drafted" {
        value["recommendation_id"] = json!(format!("rec-{n}"));
    }
    event(value)
}

/// A ledger with so many events, closed.
pub fn ledger(events: u64) -> Outcome<Ground> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let paths = LedgerPaths::below(&data, NAME);
    let clock = Arc::new(SystemClock::default());
    Ledger::create(&paths, NAME, ORIGIN, clock, None)?;
    let ledger = open(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (mut receipts, mut kept, mut cosigned) = (Vec::new(), Vec::new(), Vec::new());
    let report = runtime.block_on(async {
        let (mut n, mut witnessed) = (0, 0);
        while n < events {
            let batch = (n % 4 + 1).min(events - n);
            let some: Vec<Event> = (n..n + batch).map(numbered).collect();
            let posted = ledger.append(&some, PRODUCER).await?;
            if n.is_multiple_of(3) {
                receipts.push(posted[0].receipt.encode());
                kept.push(ledger.checkpoint()?.1);
            }
            n += batch;
            let due = [events / 2, events].map(|at| (n - batch..n).contains(&(at.max(1) - 1)));
            if due[0] {
                daily_life(&ledger).await?;
            }
            if due.contains(&true) {
                let (size, note) = ask_outside(&ledger, dir.path(), witnessed).await?;
                witnessed = size;
                cosigned.push(note);
            }
        }
        let mut other = numbered(1);
        other.id = "e2".into();
        // The same identity with other content: refused, and recorded.
        assert!(ledger.append(&[other], PRODUCER).await.is_err());
        let order = whereas::report::Order {
            question: Question::Case(CaseName::Id("C-2".into())),
            role: "regulator",
            requester: Id16([8; 16]),
            purpose: "review".into(),
            supersedes: None,
            content: true,
            access: Access::new(Id16([8; 16]), "report.issue", Timestamp::EPOCH),
        };
        let now = Timestamp::parse_rfc3339("2026-01-13T00:00:00Z")?;
        let profile = Profile::builtin()?;
        let issued = whereas::report::issue(&ledger, &order, &Everybody, &profile, now).await?;
        let row = ledger.reader().report(&issued.id)?.ok_or("no report")?;
        let report = whereas::report::file(&ledger, &row)?.encode()?;
        Ok::<_, Box<dyn std::error::Error>>(report)
    })?;
    kept.push(ledger.checkpoint()?.1);
    let key = ledger.keyring().checkpoint().vkey().clone();
    runtime.block_on(ledger.close());
    Ok(Ground {
        dir,
        key,
        receipts,
        report,
        kept,
        cosigned,
    })
}

/// Every row of every table, as text.
pub fn rows(data: &Path) -> Outcome<Vec<String>> {
    let db = rusqlite::Connection::open(LedgerPaths::below(data, NAME).database())?;
    let mut tables = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names: Vec<String> = tables
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for name in names {
        let mut query = db.prepare(&format!("SELECT * FROM {name}"))?;
        let columns = query.column_count();
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            let values: Result<Vec<String>, rusqlite::Error> = (0..columns)
                .map(|i| Ok(format!("{:?}", row.get_ref(i)?)))
                .collect();
            all.push(format!("{name}: {}", values?.join(", ")));
        }
    }
    Ok(all)
}
