#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod reads;

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::event::Context;
use crate::keyring::IdKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note::Vkey;
use crate::ledger::{Timestamp, proof, tree};
use crate::store::EntryQuery;

mod rotation;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const ORIGIN: &str = "ledger.example/acme";

/// A clock that a test sets, in seconds.
#[derive(Debug, Default)]
struct Hands {
    wall: AtomicI64,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::SeqCst) * 1_000_000)
            .unwrap_or(Timestamp::EPOCH)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

struct Place {
    dir: tempfile::TempDir,
    clock: Arc<Hands>,
}

impl Place {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let place = Self {
            dir: tempfile::tempdir()?,
            clock: Arc::new(Hands {
                wall: AtomicI64::new(1_000_000),
            }),
        };
        Ledger::create(&place.paths(), "acme", ORIGIN, place.clock.clone(), None)?;
        Ok(place)
    }

    fn paths(&self) -> LedgerPaths {
        LedgerPaths::below(self.dir.path(), "acme")
    }

    fn open(&self) -> Result<Arc<Ledger>, OpenError> {
        Ledger::open(
            &self.paths(),
            "acme",
            ORIGIN,
            self.clock.clone(),
            Limits::default(),
        )
    }
}

/// The keyring of a ledger that is not open.
fn keyring(place: &Place) -> Result<Keyring, Box<dyn std::error::Error>> {
    let (paths, keys) = (place.paths(), read_keys(&place.paths(), ORIGIN)?);
    let newest = |purpose| keys.newest(purpose);
    Ok(Keyring::open(
        &paths.keyring,
        newest(Purpose::Checkpoint),
        newest(Purpose::Report),
    )?)
}

fn event(id: &str, case: Option<&str>, note: &str) -> Event {
    let mut value = json!({
        "id": id, "source": "wf", "type": "x.test", "time": "1970-01-12T13:46:39Z",
        "data": { "note": note, "list": [{"a": 1}, {"b": 2}] }
    });
    if let Some(case) = case {
        value["case_id"] = json!(case);
    }
    Event::read(
        value,
        &Context {
            ledger: "acme",
            origin: ORIGIN,
            only_source: None,
        },
    )
    .unwrap_or_else(|f| panic!("{f:?}"))
}

const PRODUCER: Id16 = Id16([0xaa; 16]);

/// Reads every leaf and checks all that leaves say of each other; gives them.
fn check_all(ledger: &Ledger) -> Result<Vec<Leaf>, Box<dyn std::error::Error>> {
    let size = ledger.size();
    let entries = ledger.reader().entries(&EntryQuery {
        below: size,
        limit: usize::MAX >> 2,
        ..EntryQuery::default()
    })?;
    assert_eq!(entries.len() as u64, size);
    let history = ledger.keys();
    let (mut prev, mut frontier) = (Hash::ZERO, tree::Frontier::new());
    let mut cases: HashMap<Id16, (u64, Hash)> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut leaves = Vec::new();
    for (seq, entry) in (0..).zip(&entries) {
        let leaf = Leaf::decode(&entry.leaf)?;
        assert_eq!((leaf.seq, leaf.prev), (seq, prev), "chain at {seq}");
        assert!(seen.insert(leaf.eid), "identity of {seq} is its own");
        prev = Hash::leaf(&entry.leaf);
        frontier.append(prev, |_, _| {});
        if let Some(link) = leaf.case {
            let (next, last) = cases.get(&link.case).copied().unwrap_or((0, Hash::ZERO));
            assert_eq!((link.seq, link.prev), (next, last), "case chain at {seq}");
            cases.insert(link.case, (next + 1, prev));
        }
        let receipt = ledger.receipt(seq)?.ok_or("receipt")?;
        let (unread, note) = Checkpoint::parse_unverified(&receipt.checkpoint)?;
        let keys = history.signers(unread.size);
        assert_eq!(
            note.verify(&keys)?.len(),
            keys.len(),
            "every key that must sign has signed {}",
            unread.size
        );
        let checkpoint = Checkpoint::open(&receipt.checkpoint, ORIGIN, &keys)?;
        proof::verify_inclusion(&prev, seq, checkpoint.size, &receipt.path, &checkpoint.root)?;
        leaves.push(leaf);
    }
    let (head, note) = ledger.checkpoint()?;
    assert_eq!((head.size, head.root), (size, frontier.root()));
    Checkpoint::open(&note, ORIGIN, &history.signers(size))?;
    Ok(leaves)
}

#[tokio::test]
async fn what_is_posted_is_committed_and_proved() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let posted = ledger
        .append(
            &[
                event("1", Some("C-1"), "a"),
                event("2", None, "b"),
                event("3", Some("C-1"), "c"),
            ],
            PRODUCER,
        )
        .await?;
    assert_eq!(
        posted.iter().map(|p| (p.seq, p.status)).collect::<Vec<_>>(),
        [
            (1, Status::Created),
            (2, Status::Created),
            (3, Status::Created)
        ]
    );
    for p in &posted {
        let leaf = Leaf::decode(&p.receipt.leaf)?;
        let read: Vec<_> = p
            .disclosures
            .iter()
            .map(|d| disclosure::decode(d))
            .collect::<Result<_, _>>()?;
        let top: Vec<Hash> = read
            .iter()
            .filter(|d| d.pointer.is_some())
            .map(|d| d.digest)
            .collect();
        assert_eq!(
            disclosure::commitment(&top),
            leaf.content,
            "the poster can recompute the commitment"
        );
        assert_eq!(
            ledger.receipt(p.seq)?.map(|r| r.encode()),
            Some(p.receipt.encode()),
            "a receipt never changes"
        );
    }
    let leaves = check_all(&ledger)?;
    assert_eq!(leaves[0].kind, "ledger.created");
    assert_eq!(
        leaves[1].case.map(|c| c.case),
        leaves[3].case.map(|c| c.case)
    );
    assert!(leaves[2].case.is_none() && leaves[1].producer == PRODUCER);
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_gets_the_first_receipt_and_other_content_is_refused() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let first = ledger
        .append(&[event("1", Some("C"), "a")], PRODUCER)
        .await?;
    let again = ledger
        .append(
            &[
                event("1", Some("C"), "a"),
                event("2", Some("C"), "b"),
                event("2", Some("C"), "b"),
            ],
            PRODUCER,
        )
        .await?;
    assert_eq!(
        again.iter().map(|p| (p.seq, p.status)).collect::<Vec<_>>(),
        [
            (1, Status::Duplicate),
            (2, Status::Created),
            (2, Status::Duplicate)
        ]
    );
    assert_eq!(again[0].receipt, first[0].receipt);
    assert_eq!(again[0].disclosures, first[0].disclosures);
    let refused = ledger
        .append(
            &[event("3", None, "new"), event("1", Some("C"), "other")],
            PRODUCER,
        )
        .await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Conflict {
                index: 1,
                seq: 1,
                erased: false
            })
        ),
        "{refused:?}"
    );
    let refused = ledger
        .append(&[event("4", None, "x"), event("4", None, "y")], PRODUCER)
        .await;
    assert!(matches!(
        refused,
        Err(AppendError::ConflictWithin {
            first: 0,
            second: 1
        })
    ));
    let leaves = check_all(&ledger)?;
    assert_eq!(
        leaves.iter().filter(|l| l.kind == "x.test").count(),
        2,
        "a refused batch leaves nothing"
    );
    assert_eq!(
        leaves
            .iter()
            .filter(|l| l.kind == "post.conflicted")
            .count(),
        1,
        "conflicts are recorded, but not each"
    );
    ledger.close().await;
    drop(ledger);
    let leaves = check_all(&*place.open()?)?;
    let counts: Vec<u64> = leaves
        .iter()
        .filter(|l| l.kind == "post.conflicted")
        .filter_map(|l| l.fact.as_ref()?.get("count")?.as_u64())
        .collect();
    assert_eq!(counts, [1, 1], "what was counted is recorded at the end");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_posters_at_once_make_one_chain() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let mut tasks = Vec::new();
    for task in 0..16_u32 {
        let ledger = Arc::clone(&ledger);
        tasks.push(tokio::spawn(async move {
            for i in 0..10_u32 {
                // Half of the events are posted by two tasks at once.
                let id = format!("{}-{i}", if i % 2 == 0 { task / 2 } else { task + 100 });
                let case = format!("C-{}", i % 3);
                loop {
                    match ledger
                        .append(&[event(&id, Some(&case), "n")], PRODUCER)
                        .await
                    {
                        Ok(_) => break,
                        Err(AppendError::Busy) => tokio::task::yield_now().await,
                        Err(e) => return Err(e.to_string()),
                    }
                }
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let leaves = check_all(&ledger)?;
    assert_eq!(leaves.len(), 1 + 16 * 5 + 8 * 5);
    let cases: std::collections::HashSet<Id16> =
        leaves.iter().filter_map(|l| Some(l.case?.case)).collect();
    assert_eq!(cases.len(), 3, "one pseudonym a case, whoever asks first");
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_reopened_ledger_goes_on_where_it_was() -> Outcome {
    let place = Place::new()?;
    let receipts = {
        let ledger = place.open()?;
        assert!(matches!(place.open(), Err(OpenError::Locked(_))));
        let posted = ledger
            .append(&[event("1", Some("C"), "a")], PRODUCER)
            .await?;
        ledger.close().await;
        posted
    };
    let ledger = place.open()?;
    let again = ledger
        .append(
            &[event("1", Some("C"), "a"), event("2", Some("C"), "b")],
            PRODUCER,
        )
        .await?;
    assert_eq!(again[0].receipt, receipts[0].receipt);
    let leaves = check_all(&ledger)?;
    assert_eq!(
        leaves[1].case.map(|c| c.case),
        leaves[2].case.map(|c| c.case)
    );
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_that_a_crash_left_unstored_is_signed_to_the_same_bytes() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let posted = ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    ledger.close().await;
    drop(ledger);
    sql(&place, "UPDATE commitment SET note = NULL")?;
    // The guard was not written either.
    fs::remove_file(place.paths().guard)?;
    let mut guard = Guard::create(&place.paths().guard)?;
    let genesis = place.open().err();
    assert!(
        matches!(genesis, Some(OpenError::GuardEmpty { size: 2 })),
        "an empty guard beside a full ledger is suspect"
    );
    let old = SqliteStore::open(&place.paths().database(), false)?;
    let keyring = keyring(&place)?;
    let first = old.commitment_at_least(1)?.ok_or("commitment")?;
    guard.write(
        &Checkpoint {
            origin: ORIGIN.into(),
            size: 1,
            root: first.root,
        }
        .sign(&keyring.checkpoint()),
    )?;
    drop((guard, old));
    let ledger = place.open()?;
    assert_eq!(ledger.receipt(1)?, Some(posted[0].receipt.clone()));
    let kept = Guard::open(&place.paths().guard)?.1.unwrap_or_default();
    assert_eq!(
        kept, posted[0].receipt.checkpoint,
        "the guard has caught up"
    );
    ledger.close().await;
    Ok(())
}

fn sql(place: &Place, text: &str) -> Outcome {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    SqliteConnection::establish(place.paths().database().to_str().ok_or("path")?)?
        .batch_execute(text)?;
    Ok(())
}

/// Runs a ledger of a few entries, lets `harm` do its work on the stopped ledger, and says how it then opens.
async fn after(
    harm: impl FnOnce(&Place) -> Outcome,
) -> Result<Option<OpenError>, Box<dyn std::error::Error>> {
    let place = Place::new()?;
    let ledger = place.open()?;
    for i in 0..4 {
        ledger
            .append(&[event(&i.to_string(), Some("C"), "a")], PRODUCER)
            .await?;
    }
    ledger.close().await;
    drop(ledger);
    harm(&place)?;
    Ok(place.open().err())
}

#[tokio::test]
async fn a_ledger_that_is_not_what_it_was_does_not_start() -> Outcome {
    assert!(after(|_| Ok(())).await?.is_none());
    let restored = after(|p| {
        sql(
            p,
            "DELETE FROM entry WHERE seq = 4; DELETE FROM identity WHERE seq = 4; DELETE FROM case_entry WHERE seq = 4; DELETE FROM type_entry WHERE seq = 4; DELETE FROM commitment WHERE size = 5; DELETE FROM node WHERE position > 6; UPDATE head SET size = 4, root = (SELECT root FROM commitment WHERE size = 4)",
        )
    });
    assert!(matches!(
        restored.await?,
        Some(OpenError::BehindGuard {
            size: 4,
            guarded: 5
        })
    ));
    for harm in [
        "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'x.test', 'x.tost') AS BLOB) WHERE seq = 4",
        "DELETE FROM entry WHERE seq = 4",
        "INSERT INTO entry (seq, leaf) VALUES (5, x'00')",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET size = 3",
        "DELETE FROM node WHERE position = 6",
        "UPDATE node SET hash = zeroblob(32) WHERE position = 6",
        "DELETE FROM commitment WHERE size = 5",
        "UPDATE commitment SET root = zeroblob(32) WHERE size = 5",
    ] {
        let got = after(|p| sql(p, harm)).await?;
        assert!(
            matches!(got, Some(OpenError::Store(StoreError::Damaged(_)))),
            "{harm}: {got:?}"
        );
    }
    let got = after(|p| {
        sql(p, "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'acme', 'evil') AS BLOB) WHERE seq = 0")
    })
    .await?;
    assert!(matches!(got, Some(OpenError::Origin { .. })), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_keyring_that_is_not_the_ledgers_does_not_start() -> Outcome {
    let got = after(|p| {
        let path = p.paths().keyring.join("id.key");
        fs::remove_file(&path)?;
        let other = IdKey::generate()?.to_text();
        Ok(crate::keyring::write_new_private(&path, other.as_bytes())?)
    });
    assert!(matches!(
        got.await?,
        Some(OpenError::WrongKey { file: "id.key" })
    ));
    // Another key in the place of one, none at all, and the same under the names that older ledgers have.
    for purpose in Purpose::ALL {
        for (old_name, other) in [(false, true), (false, false), (true, true)] {
            let named = std::cell::RefCell::new(String::new());
            let got = after(|p| {
                let keys = read_keys(&p.paths(), ORIGIN)?;
                let id = hex::encode(keys.newest(purpose).id());
                let mut path = p
                    .paths()
                    .keyring
                    .join(format!("{}-{id}.pem", purpose.name()));
                fs::remove_file(&path)?;
                if old_name {
                    path = p.paths().keyring.join(format!("{}.pem", purpose.name()));
                }
                if other {
                    let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
                    let pem = crate::keyring::signing_key_to_pem(&key, &path)?;
                    crate::keyring::write_new_private(&path, pem.as_bytes())?;
                }
                *named.borrow_mut() = path.display().to_string();
                Ok(())
            });
            let got = got.await?.ok_or("it must not start")?.to_string();
            assert!(got.starts_with(&*named.borrow()), "{got}");
        }
    }
    let got = after(|p| {
        for f in fs::read_dir(p.paths().keyring.join("slots"))? {
            fs::remove_file(f?.path())?;
        }
        Ok(())
    });
    assert!(matches!(
        got.await?,
        Some(OpenError::SlotsAbsent { count: 1 })
    ));
    let got = after(|p| {
        use std::os::unix::fs::PermissionsExt;
        Ok(fs::set_permissions(
            p.paths().keyring.join("id.key"),
            fs::Permissions::from_mode(0o644),
        )?)
    });
    assert!(
        got.await?
            .is_some_and(|e| e.to_string().contains("chmod 600"))
    );
    Ok(())
}

#[tokio::test]
async fn a_guard_that_is_foreign_or_forked_stops_the_start() -> Outcome {
    let write =
        |p: &Place, note: String| -> Outcome { Ok(Guard::open(&p.paths().guard)?.0.write(&note)?) };
    let forged = |p: &Place, size: u64| -> Result<String, Box<dyn std::error::Error>> {
        Ok(Checkpoint {
            origin: ORIGIN.into(),
            size,
            root: Hash::leaf(b"other history"),
        }
        .sign(&keyring(p)?.checkpoint()))
    };
    let got = after(|p| write(p, forged(p, 3)?)).await?;
    assert!(
        matches!(got, Some(OpenError::Forked { size: 3 })),
        "{got:?}"
    );
    let got = after(|p| write(p, forged(p, 9)?)).await?;
    assert!(
        matches!(got, Some(OpenError::BehindGuard { guarded: 9, .. })),
        "{got:?}"
    );
    let got = after(|p| write(p, "o\n1\nAAAA\n\n— o AAAAAAA=\n".into())).await?;
    assert!(matches!(got, Some(OpenError::GuardForeign(_))), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn the_clock_rule_holds() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    place.clock.wall.store(1_000_100, Ordering::SeqCst);
    ledger.append(&[event("2", None, "a")], PRODUCER).await?;
    place.clock.wall.store(1_000_050, Ordering::SeqCst);
    ledger.append(&[event("3", None, "a")], PRODUCER).await?;
    place.clock.wall.store(900_000, Ordering::SeqCst);
    let refused = ledger.append(&[event("4", None, "a")], PRODUCER).await;
    assert!(
        matches!(refused, Err(AppendError::ClockBehind { .. })),
        "{refused:?}"
    );
    ledger.confirm_clock().await?;
    ledger.append(&[event("4", None, "a")], PRODUCER).await?;
    let leaves = check_all(&ledger)?;
    let kinds: Vec<&str> = leaves.iter().map(|l| l.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "ledger.created",
            "x.test",
            "clock.stepped",
            "x.test",
            "clock.stepped",
            "x.test",
            "clock.stepped",
            "x.test"
        ]
    );
    assert!(
        leaves.is_sorted_by_key(|l| l.recorded),
        "recorded never decreases"
    );
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_report_goes_only_on_the_case_head_it_was_made_for() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let posted = ledger
        .append(
            &[event("1", Some("C"), "a"), event("2", Some("C"), "b")],
            PRODUCER,
        )
        .await?;
    let case = Leaf::decode(&posted[0].receipt.leaf)?
        .case
        .ok_or("case")?
        .case;
    let report = |n: u8| NewReport {
        id: Id16([n; 16]),
        requester: PRODUCER,
        envelope: "{}".into(),
        catalogues: Vec::new(),
    };
    let key = ledger.keyring().report().vkey().clone();
    let moved = ledger
        .append_report(report(1), Map::new(), Some((case, 1)), &key)
        .await;
    assert!(matches!(moved, Err(AppendError::CaseMoved)), "{moved:?}");
    let seq = ledger
        .append_report(report(2), Map::new(), Some((case, 2)), &key)
        .await?;
    assert_eq!(
        ledger
            .reader()
            .report(&Id16([2; 16]))?
            .map(|r| (r.seq, r.pseudonym)),
        Some((seq, Some(case)))
    );
    assert_eq!(ledger.reader().report(&Id16([1; 16]))?, None);
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[test]
fn what_cannot_be_created_says_why() -> Outcome {
    let dir = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let paths = |n: &str| LedgerPaths::below(dir.path(), n);
    for (name, origin) in [
        ("", ORIGIN),
        ("Acme", ORIGIN),
        ("../x", ORIGIN),
        ("acme", "with space"),
        ("acme", "a+b"),
        ("acme", ""),
    ] {
        assert!(
            matches!(
                Ledger::create(&paths("acme"), name, origin, clock.clone(), None),
                Err(OpenError::Name(_))
            ),
            "{name} {origin}"
        );
    }
    Ledger::create(&paths("acme"), "acme", ORIGIN, clock.clone(), None)?;
    assert!(Ledger::create(&paths("acme"), "acme", ORIGIN, clock.clone(), None).is_err());
    let note = {
        let keys = read_keys(&paths("acme"), ORIGIN)?;
        let keyring = Keyring::open(
            &paths("acme").keyring,
            keys.newest(Purpose::Checkpoint),
            keys.newest(Purpose::Report),
        )?;
        Vkey::parse(&keyring.checkpoint().vkey().to_string())?;
        Checkpoint {
            origin: ORIGIN.into(),
            size: 9,
            root: Hash::ZERO,
        }
        .sign(&keyring.checkpoint())
    };
    Ledger::create(
        &paths("next"),
        "next",
        "ledger.example/next",
        clock.clone(),
        Some(&Replaces {
            checkpoint: note,
            lost: 3,
        }),
    )?;
    let store = SqliteStore::open(&paths("next").database(), false)?;
    let genesis = Leaf::decode(&store.entry(0)?.ok_or("entry 0")?.leaf)?;
    let replaces = genesis
        .fact
        .and_then(|f| f.get("replaces").cloned())
        .ok_or("replaces")?;
    assert_eq!(
        (
            replaces["origin"].as_str(),
            replaces["size"].as_u64(),
            replaces["lost"].as_u64()
        ),
        (Some(ORIGIN), Some(9), Some(3))
    );
    Ok(())
}

#[tokio::test]
async fn nothing_false_is_ever_signed() -> Outcome {
    // Rows without their signatures, one with another root: the start refuses instead of signing it.
    let got = after(|p| {
        sql(p, "UPDATE commitment SET note = NULL WHERE size >= 3; UPDATE commitment SET root = zeroblob(32) WHERE size = 4")
    })
    .await?;
    assert!(
        matches!(got, Some(OpenError::Store(StoreError::Damaged(_)))),
        "{got:?}"
    );
    // The same while the service runs: no receipt, no signature.
    let place = Place::new()?;
    let ledger = place.open()?;
    for i in 0..3 {
        ledger
            .append(&[event(&i.to_string(), None, "a")], PRODUCER)
            .await?;
    }
    ledger.close().await;
    drop(ledger);
    let ledger = place.open()?;
    sql(
        &place,
        "UPDATE commitment SET note = NULL, root = zeroblob(32) WHERE size = 2",
    )?;
    assert!(matches!(
        ledger.receipt(1),
        Err(AppendError::Store(StoreError::Damaged(_)))
    ));
    Ok(())
}

#[tokio::test]
async fn a_running_service_does_not_sign_a_second_history() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    for i in 0..4 {
        ledger
            .append(&[event(&i.to_string(), None, "a")], PRODUCER)
            .await?;
    }
    let before = Guard::open(&place.paths().guard)?.1;
    sql(
        &place,
        "DELETE FROM entry WHERE seq = 4; DELETE FROM identity WHERE seq = 4; DELETE FROM type_entry WHERE seq = 4; \
         DELETE FROM commitment WHERE size = 5; DELETE FROM node WHERE position > 6; \
         UPDATE head SET size = 4, root = (SELECT root FROM commitment WHERE size = 4)",
    )?;
    for _ in 0..3 {
        let refused = ledger.append(&[event("other", None, "b")], PRODUCER).await;
        assert!(
            matches!(refused, Err(AppendError::Unavailable(_))),
            "{refused:?}"
        );
    }
    assert_eq!(
        Guard::open(&place.paths().guard)?.1,
        before,
        "the guard still knows"
    );
    ledger.close().await;
    drop(ledger);
    assert!(matches!(
        place.open(),
        Err(OpenError::BehindGuard {
            size: 4,
            guarded: 5
        })
    ));
    Ok(())
}

/// What the storage does wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// The transaction does not begin.
    Begin,
    /// The commit is durable, and its answer an error.
    Answer,
}

/// Storage that fails when a test says so.
struct Failing {
    store: Box<dyn crate::store::LedgerWriter>,
    wrong: Arc<Mutex<Option<Wrong>>>,
}

fn failed() -> StoreError {
    StoreError::Backend("disk I/O error".into())
}

impl crate::store::LedgerWriter for Failing {
    fn begin(&mut self) -> Result<Box<dyn crate::store::Transaction + '_>, StoreError> {
        let wrong = self
            .wrong
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match wrong {
            Some(Wrong::Begin) => Err(failed()),
            Some(Wrong::Answer) => Ok(Box::new(Unanswered(self.store.begin()?))),
            None => self.store.begin(),
        }
    }
}

struct Unanswered<'a>(Box<dyn crate::store::Transaction + 'a>);

impl crate::store::Transaction for Unanswered<'_> {
    fn head(&self) -> Head {
        self.0.head()
    }
    fn find_identities(&mut self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError> {
        self.0.find_identities(eids)
    }
    fn case_tail(&mut self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError> {
        self.0.case_tail(pseudonym)
    }
    fn put_entries(&mut self, entries: &[crate::store::EntryRow]) -> Result<(), StoreError> {
        self.0.put_entries(entries)
    }
    fn put_nodes(&mut self, nodes: &[(tree::NodeId, Hash)]) -> Result<(), StoreError> {
        self.0.put_nodes(nodes)
    }
    fn put_case(
        &mut self,
        case: &crate::store::CaseFile,
    ) -> Result<crate::store::CaseFile, StoreError> {
        self.0.put_case(case)
    }
    fn put_trace_slot(
        &mut self,
        trace: &Id16,
        slot: crate::store::Slot,
    ) -> Result<crate::store::Slot, StoreError> {
        self.0.put_trace_slot(trace, slot)
    }
    fn put_report(
        &mut self,
        report: &NewReport,
        seq: u64,
        pseudonym: Option<Id16>,
    ) -> Result<(), StoreError> {
        self.0.put_report(report, seq, pseudonym)
    }
    fn put_note(&mut self, size: u64, note: &str) -> Result<(), StoreError> {
        self.0.put_note(size, note)
    }
    fn put_cosignature(&mut self, given: &crate::store::Cosignature) -> Result<(), StoreError> {
        self.0.put_cosignature(given)
    }
    fn put_anchored(&mut self, given: &crate::store::Anchored) -> Result<(), StoreError> {
        self.0.put_anchored(given)
    }
    fn commit(self: Box<Self>, next: Option<&crate::store::Commitment>) -> Result<(), StoreError> {
        self.0.commit(next)?;
        Err(failed())
    }
}

/// Reading that cannot tell the head while a test says so; else as the store.
struct Blind {
    store: Arc<SqliteStore>,
    blind: Arc<AtomicU64>,
}

impl LedgerReader for Blind {
    fn head(&self) -> Result<Head, StoreError> {
        let left = self
            .blind
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_or_else(|_| self.store.head(), |_| Err(failed()))
    }
    fn find_identities(&self, eids: &[Hash]) -> Result<Vec<Option<u64>>, StoreError> {
        self.store.find_identities(eids)
    }
    fn entry(&self, seq: u64) -> Result<Option<StoredEntry>, StoreError> {
        self.store.entry(seq)
    }
    fn entries(&self, query: &EntryQuery) -> Result<Vec<StoredEntry>, StoreError> {
        self.store.entries(query)
    }
    fn nodes(&self, ids: &[tree::NodeId]) -> Result<Vec<Hash>, StoreError> {
        self.store.nodes(ids)
    }
    fn commitment_at_least(
        &self,
        size: u64,
    ) -> Result<Option<crate::store::Commitment>, StoreError> {
        self.store.commitment_at_least(size)
    }
    fn commitment_at_most(
        &self,
        size: u64,
    ) -> Result<Option<crate::store::Commitment>, StoreError> {
        self.store.commitment_at_most(size)
    }
    fn unsigned_commitments(
        &self,
        limit: usize,
    ) -> Result<Vec<crate::store::Commitment>, StoreError> {
        self.store.unsigned_commitments(limit)
    }
    fn case_by_blind(&self, blind: &Id16) -> Result<Option<crate::store::CaseFile>, StoreError> {
        self.store.case_by_blind(blind)
    }
    fn case_by_pseudonym(
        &self,
        pseudonym: &Id16,
    ) -> Result<Option<crate::store::CaseFile>, StoreError> {
        self.store.case_by_pseudonym(pseudonym)
    }
    fn case_tail(&self, pseudonym: &Id16) -> Result<Option<(u64, u64)>, StoreError> {
        self.store.case_tail(pseudonym)
    }
    fn trace_slot(&self, trace: &Id16) -> Result<Option<crate::store::Slot>, StoreError> {
        self.store.trace_slot(trace)
    }
    fn slots(
        &self,
        after: Option<crate::store::Slot>,
        limit: usize,
    ) -> Result<Vec<crate::store::Slot>, StoreError> {
        self.store.slots(after, limit)
    }
    fn report(&self, id: &Id16) -> Result<Option<crate::store::ReportRow>, StoreError> {
        self.store.report(id)
    }
    fn catalogue(&self, digest: &Hash) -> Result<Option<String>, StoreError> {
        self.store.catalogue(digest)
    }
    fn cosignatures(&self, size: u64) -> Result<Vec<crate::store::Cosignature>, StoreError> {
        self.store.cosignatures(size)
    }
    fn cosigned_sizes(&self, above: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.store.cosigned_sizes(above, limit)
    }
    fn newest_cosigned(
        &self,
        name: &str,
        key_id: [u8; 4],
    ) -> Result<Option<crate::store::Cosignature>, StoreError> {
        self.store.newest_cosigned(name, key_id)
    }
    fn newest_anchors(&self) -> Result<Vec<crate::store::Anchored>, StoreError> {
        self.store.newest_anchors()
    }
}

/// A ledger whose writer has storage that fails when told, and cannot tell the head so many times.
struct Unsound {
    ledger: Arc<Ledger>,
    wrong: Arc<Mutex<Option<Wrong>>>,
    blind: Arc<AtomicU64>,
}

impl Unsound {
    fn open(place: &Place) -> Result<Self, Box<dyn std::error::Error>> {
        let paths = place.paths();
        let lock = lock(&paths.ledger)?;
        let store = Arc::new(SqliteStore::open(&paths.database(), false)?);
        let keys = recover::history(&*store, ORIGIN)?;
        let keyring = Arc::new(keyring(place)?);
        let (mut guard, note) = Guard::open(&paths.guard)?;
        let (tail, _) = recover::check(
            &*store,
            &keyring,
            &keys,
            ORIGIN,
            &mut guard,
            note.as_deref(),
        )?;
        let keys = Keys::new(keys);
        let (size, root) = (tail.frontier.size(), tail.frontier.root());
        let (books, guarded) = (Arc::default(), Arc::new(AtomicU64::new(size)));
        let notes = FreshNotes::default();
        let (wrong, blind) = (Arc::default(), Arc::default());
        let clock = place.clock.clone();
        let denials = Denials::default();
        let mut writer = Ledger::writer(
            ORIGIN, PRODUCER, &keyring, &store, &books, guard, &guarded, clock, &denials, tail,
            &notes, &keys,
        )?;
        writer.signed = Some(Head { size, root });
        writer.reader = Arc::new(Blind {
            store: Arc::clone(&store),
            blind: Arc::clone(&blind),
        });
        writer.store = Box::new(Failing {
            store: Box::new(store.writer()?),
            wrong: Arc::clone(&wrong),
        });
        let (jobs, queue) = sync_channel(16);
        let thread = std::thread::spawn(move || writer.run(&queue));
        let ledger = Arc::new(Ledger {
            name: "acme".into(),
            folder: paths.ledger.clone(),
            origin: ORIGIN.into(),
            service: PRODUCER,
            keyring,
            store,
            books,
            guarded,
            notes,
            keys,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            conflicts: Mutex::default(),
            denials,
            policy: std::sync::OnceLock::new(),
            _lock: lock,
        });
        Ok(Self {
            ledger,
            wrong,
            blind,
        })
    }

    /// Lets the checkpoints be stored that would ride in the next transaction, then sets what is to go wrong.
    async fn next(&self, wrong: Wrong) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrong);
    }
}

#[tokio::test]
async fn a_transaction_that_does_not_begin_acknowledges_nothing_and_stores_no_case() -> Outcome {
    let place = Place::new()?;
    let at = Unsound::open(&place)?;
    at.ledger
        .append(&[event("0", Some("C-0"), "a")], PRODUCER)
        .await?;
    at.next(Wrong::Begin).await;
    let first = event("1", Some("C-1"), "a");
    let refused = at
        .ledger
        .append(std::slice::from_ref(&first), PRODUCER)
        .await;
    assert!(
        matches!(refused, Err(AppendError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(at.ledger.size(), 2);
    let posted = at
        .ledger
        .append(&[first, event("2", Some("C-1"), "b")], PRODUCER)
        .await?;
    assert!(posted.iter().all(|p| p.status == Status::Created));
    at.ledger.close().await;
    drop(at);
    // The case must have its row, or it gets a second pseudonym as soon as memory forgets.
    let ledger = place.open()?;
    ledger
        .append(&[event("3", Some("C-1"), "c")], PRODUCER)
        .await?;
    let leaves = check_all(&ledger)?;
    let cases: Vec<_> = leaves[2..]
        .iter()
        .filter_map(|l| l.case.map(|c| (c.case, c.seq)))
        .collect();
    assert_eq!(
        cases,
        [(cases[0].0, 0), (cases[0].0, 1), (cases[0].0, 2)],
        "one case, one pseudonym"
    );
    Ok(())
}

#[tokio::test]
async fn a_commit_of_unknown_fate_that_stands_gets_its_receipts_from_a_retry() -> Outcome {
    for reposted_first in [true, false] {
        let place = Place::new()?;
        let at = Unsound::open(&place)?;
        at.ledger
            .append(&[event("0", Some("C-1"), "a")], PRODUCER)
            .await?;
        at.next(Wrong::Answer).await;
        at.blind.store(1, Ordering::SeqCst);
        let lost = event("1", Some("C-1"), "a");
        let refused = at
            .ledger
            .append(std::slice::from_ref(&lost), PRODUCER)
            .await;
        assert!(
            matches!(refused, Err(AppendError::Unavailable(_))),
            "{refused:?}"
        );
        if !reposted_first {
            at.ledger
                .append(&[event("2", Some("C-1"), "b")], PRODUCER)
                .await?;
        }
        let again = at.ledger.append(&[lost], PRODUCER).await?;
        assert_eq!((again[0].status, again[0].seq), (Status::Duplicate, 2));
        at.ledger
            .append(&[event("3", Some("C-1"), "c")], PRODUCER)
            .await?;
        at.ledger.close().await;
        check_all(&at.ledger)?;
        drop(at);
        check_all(&*place.open()?)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing() -> Outcome {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let place = Place::new()?;
    let limits = Limits { queue: 1 };
    let ledger = Ledger::open(&place.paths(), "acme", ORIGIN, place.clock.clone(), limits)?;
    // Somebody else holds the database, so the writer waits and the queue fills.
    let database = place.paths().database();
    let mut holder = SqliteConnection::establish(database.to_str().ok_or("path")?)?;
    holder.batch_execute("BEGIN IMMEDIATE")?;
    let mut waiting = Vec::new();
    let refused = loop {
        let (ledger, id) = (Arc::clone(&ledger), waiting.len().to_string());
        let mut task = tokio::spawn(async move {
            ledger
                .append(&[event(&id, None, "a")], PRODUCER)
                .await
                .map(|p| p[0].seq)
        });
        tokio::task::yield_now().await;
        if task.is_finished() {
            break (&mut task).await?;
        }
        waiting.push(task);
        assert!(waiting.len() < 50, "a queue of one takes no fifty");
    };
    assert!(matches!(refused, Err(AppendError::Busy)), "{refused:?}");
    holder.batch_execute("ROLLBACK")?;
    drop(holder);
    for task in waiting {
        task.await??;
    }
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn what_an_outside_party_gave_is_kept_over_a_restart_and_failures_are_told() -> Outcome {
    let place = Place::new()?;
    let at = Unsound::open(&place)?;
    let size = at.ledger.size();
    let given = |time| {
        FromOutside::Cosignature(crate::store::Cosignature {
            size,
            name: "w.example".into(),
            key_id: [1; 4],
            line: format!("— w.example {time}\n"),
            time,
        })
    };
    at.ledger.keep(given(1)).await?;
    at.next(Wrong::Begin).await;
    assert!(at.ledger.keep(given(2)).await.is_err());
    at.ledger.close().await;
    drop(at);
    let ledger = place.open()?;
    let (checkpoint, note) = ledger.evidence_checkpoint(0)?;
    assert_eq!(
        (checkpoint.size, note.ends_with("— w.example 1\n")),
        (size, true)
    );
    // A report whose own entry is not covered gets the newest checkpoint instead.
    let (checkpoint, note) = ledger.evidence_checkpoint(size)?;
    assert_eq!((checkpoint.size, note.contains("w.example")), (size, false));
    // With a policy, a line that is not its witness's counts for nothing.
    let log = ledger.keyring().checkpoint();
    let log = log.vkey();
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let witness = crate::ledger::note::Cosigner::new("w.example", key).ok_or("a key name")?;
    let text = format!("log {log}\nwitness w {}\nquorum w\n", witness.vkey());
    ledger.set_policy(crate::ledger::policy::Policy::parse(&text)?);
    assert_eq!(ledger.cosigned_checkpoint(0)?, None);
    ledger.close().await;
    Ok(())
}
