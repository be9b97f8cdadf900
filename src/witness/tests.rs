use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use ed25519_dalek::SigningKey;

use super::*;
use crate::ledger::note::NoteSigner;
use crate::ledger::tree::{self, Frontier, NodeId};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const ORIGIN: &str = "l.example/a";

/// A log whose tree a test can ask for.
struct TestLog {
    signer: NoteSigner,
    nodes: HashMap<NodeId, Hash>,
}

impl TestLog {
    fn new(mark: u8, size: u64) -> Self {
        let mut nodes = HashMap::new();
        let mut frontier = Frontier::new();
        for i in 0..size {
            // The first three leaves are the same, whatever the mark.
            let leaf = [if i < 3 { 0 } else { mark }, u8::try_from(i).unwrap_or(0)];
            frontier.append(Hash::leaf(&leaf), |id, hash| {
                nodes.insert(id, hash);
            });
        }
        let signer = NoteSigner::new(ORIGIN, SigningKey::from_bytes(&[7; 32]))
            .unwrap_or_else(|| panic!("a key name"));
        Self { signer, nodes }
    }

    fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint {
            origin: ORIGIN.into(),
            size,
            root: tree::root(&self.nodes, size).unwrap_or(Hash::ZERO),
        }
    }

    fn note(&self, size: u64) -> String {
        self.checkpoint(size).sign(&self.signer)
    }

    fn request(&self, old: u64, size: u64) -> String {
        let proof = if old == 0 {
            Vec::new()
        } else {
            tree::consistency(&self.nodes, old, size).unwrap_or_default()
        };
        AddCheckpoint {
            old,
            proof,
            checkpoint: &self.note(size),
        }
        .encode()
    }
}

fn cosigner() -> Cosigner {
    Cosigner::new("w.example/1", SigningKey::from_bytes(&[8; 32]))
        .unwrap_or_else(|| panic!("a key name"))
}

fn open(dir: &Path, log: &TestLog, now: Seconds) -> Result<Witness, WitnessError> {
    Witness::open(dir, cosigner(), &[log.signer.vkey().clone()], now)
}

fn at(seconds: u64) -> Seconds {
    Box::new(move || seconds)
}

fn size(witness: &Witness) -> Result<u64, WitnessError> {
    Ok(witness.state(ORIGIN)?.map_or(0, |s| s.checkpoint.size))
}

#[test]
fn each_case_has_its_answer() -> Outcome {
    let dir = tempfile::tempdir()?;
    let log = TestLog::new(1, 20);
    let w = open(dir.path(), &log, at(100))?;
    let add = |body: &str| w.add_checkpoint(body.as_bytes());
    let line = |n: u64| Answer::Cosigned(cosigner().cosign(&log.checkpoint(n).text(), 100));
    let sig = |n: u64| log.note(n);

    for malformed in [
        String::new(),
        "old 0\n".into(),
        format!("old 00\n\n{}", sig(5)),
        format!("old +1\n\n{}", sig(5)),
        format!("0\n\n{}", sig(5)),
        format!("old 0\nAAAA\n\n{}", sig(5)),
        format!("old 0\n\n{}", log.checkpoint(5).text()),
        format!(
            "old 0\n{}\n{}",
            format!("{}\n", Hash::ZERO.to_b64()).repeat(64),
            sig(5)
        ),
        format!("old 6\n\n{}", sig(5)),
    ] {
        assert!(
            matches!(add(&malformed)?, Answer::Malformed(_)),
            "{malformed}"
        );
    }
    assert!(matches!(
        w.add_checkpoint(b"old 0\n\n\xff")?,
        Answer::Malformed(_)
    ));
    let foreign = Checkpoint {
        origin: "l.example/b".into(),
        ..log.checkpoint(5)
    };
    assert_eq!(
        add(&format!("old 0\n\n{}", foreign.sign(&log.signer)))?,
        Answer::Unknown
    );
    let thief = NoteSigner::new(ORIGIN, SigningKey::from_bytes(&[9; 32])).ok_or("a key name")?;
    assert_eq!(
        add(&format!("old 0\n\n{}", log.checkpoint(5).sign(&thief)))?,
        Answer::Unsigned
    );
    let altered = sig(5).replace("\n5\n", "\n6\n");
    assert_eq!(add(&format!("old 0\n\n{altered}"))?, Answer::Unsigned);

    let wrong_empty = Checkpoint {
        origin: ORIGIN.into(),
        size: 0,
        root: Hash::ZERO,
    };
    let body = format!("old 0\n\n{}", wrong_empty.sign(&log.signer));
    assert!(matches!(add(&body)?, Answer::Inconsistent(_)));
    let body = format!("old 0\n{}\n\n{}", Hash::ZERO.to_b64(), sig(5));
    assert!(matches!(add(&body)?, Answer::Inconsistent(_)));
    assert_eq!(add(&log.request(3, 5))?, Answer::Conflict(0));
    assert_eq!(size(&w)?, 0, "nothing was recorded so far");

    assert_eq!(add(&log.request(0, 0))?, line(0));
    assert_eq!(add(&log.request(0, 5))?, line(5));
    assert_eq!(add(&log.request(0, 7))?, Answer::Conflict(5));
    assert_eq!(
        add(&log.request(5, 5))?,
        line(5),
        "the same again is cosigned again"
    );
    assert_eq!(add(&log.request(5, 13))?, line(13));
    assert_eq!(add(&log.request(5, 7))?, Answer::Conflict(13), "never back");
    let body = format!("old 13\n\n{}", sig(20));
    assert!(matches!(add(&body)?, Answer::Inconsistent(_)), "no proof");
    let other = TestLog::new(2, 20);
    assert!(
        matches!(add(&other.request(13, 20))?, Answer::Inconsistent(_)),
        "another history"
    );
    assert_eq!(size(&w)?, 13);
    Ok(())
}

#[test]
fn two_roots_of_one_size_are_refused_and_both_are_kept() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (log, other) = (TestLog::new(1, 9), TestLog::new(2, 9));
    let w = open(dir.path(), &log, at(100))?;
    assert!(matches!(
        w.add_checkpoint(log.request(0, 8).as_bytes())?,
        Answer::Cosigned(_)
    ));
    let refused = w.add_checkpoint(other.request(8, 8).as_bytes())?;
    assert!(matches!(refused, Answer::Inconsistent(_)), "{refused:?}");
    // With a wrong old size the answer is a conflict, but the proof is kept all the same.
    let third = TestLog::new(3, 9);
    assert_eq!(
        w.add_checkpoint(third.request(0, 8).as_bytes())?,
        Answer::Conflict(8)
    );
    let mut kept = Vec::new();
    for file in std::fs::read_dir(dir.path().join("equivocation"))? {
        let notes =
            fork::read_evidence(&std::fs::read_to_string(file?.path())?).ok_or("evidence")?;
        assert!(fork::is_equivocation(
            &notes[0],
            &notes[1],
            &[log.signer.vkey().clone()]
        ));
        assert!(notes[0].starts_with(&log.checkpoint(8).text()));
        kept.push(notes[1].clone());
    }
    kept.sort();
    let mut want = vec![other.note(8), third.note(8)];
    want.sort();
    assert_eq!(kept, want, "verbatim");
    assert_eq!(size(&w)?, 8);
    // Whoever holds no key of the log makes no evidence.
    let thief = NoteSigner::new(ORIGIN, SigningKey::from_bytes(&[9; 32])).ok_or("a key name")?;
    let forged = format!("old 8\n\n{}", TestLog::new(4, 9).checkpoint(8).sign(&thief));
    assert_eq!(w.add_checkpoint(forged.as_bytes())?, Answer::Unsigned);
    assert_eq!(
        std::fs::read_dir(dir.path().join("equivocation"))?.count(),
        2
    );
    Ok(())
}

#[test]
fn a_restart_goes_on_from_what_was_answered_and_time_never_runs_back() -> Outcome {
    let dir = tempfile::tempdir()?;
    let log = TestLog::new(1, 20);
    let w = open(dir.path(), &log, at(500))?;
    assert!(matches!(
        open(dir.path(), &log, at(1)),
        Err(WitnessError::Locked(_))
    ));
    assert!(matches!(
        w.add_checkpoint(log.request(0, 5).as_bytes())?,
        Answer::Cosigned(_)
    ));
    drop(w);
    // What a crash in the middle of a write leaves behind is no state.
    let temporary = dir
        .path()
        .join("checkpoints")
        .join(format!("{}.new", origin_hash(ORIGIN).to_hex()));
    std::fs::write(&temporary, "torn")?;
    let w = open(dir.path(), &log, at(400))?;
    assert_eq!(
        w.add_checkpoint(log.request(0, 8).as_bytes())?,
        Answer::Conflict(5)
    );
    let answer = w.add_checkpoint(log.request(5, 8).as_bytes())?;
    assert_eq!(
        answer,
        Answer::Cosigned(cosigner().cosign(&log.checkpoint(8).text(), 500))
    );
    let note = w.newest(&origin_hash(ORIGIN))?.ok_or("cosigned")?;
    let keys = [log.signer.vkey().clone(), w.vkey().clone()];
    assert_eq!(Note::parse(&note)?.verify(&keys)?.len(), 2);
    assert_eq!(w.newest(&origin_hash("l.example/b"))?, None);
    drop(w);
    std::fs::write(
        dir.path()
            .join("checkpoints")
            .join(origin_hash(ORIGIN).to_hex()),
        log.note(3),
    )?;
    assert!(matches!(
        open(dir.path(), &log, at(1)),
        Err(WitnessError::Damaged(_))
    ));
    Ok(())
}

#[test]
fn what_could_be_kept_but_was_not_answered_is_found_by_its_size() -> Outcome {
    // The process ends between the write and the answer: the client asks again with the size that it knows.
    let dir = tempfile::tempdir()?;
    let log = TestLog::new(1, 20);
    let w = open(dir.path(), &log, at(1))?;
    drop(w.add_checkpoint(log.request(0, 5).as_bytes())?);
    drop(w);
    let w = open(dir.path(), &log, at(2))?;
    assert_eq!(
        w.add_checkpoint(log.request(0, 5).as_bytes())?,
        Answer::Conflict(5)
    );
    assert!(matches!(
        w.add_checkpoint(log.request(5, 5).as_bytes())?,
        Answer::Cosigned(_)
    ));
    Ok(())
}

#[test]
fn a_stalled_request_never_rolls_back_a_later_one() -> Outcome {
    // The first request stalls between its check and its write (that is where the clock is read). Without one lock over
    // both, the second would be checked and written meanwhile, and the first would then write the smaller tree.
    let dir = tempfile::tempdir()?;
    let log = TestLog::new(1, 20);
    let (stalled, is_stalled) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let calls = AtomicU64::new(0);
    let second_checked = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&second_checked);
    let now: Seconds = Box::new(move || {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = stalled.send(());
            let _ = may_go_on
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
        } else {
            seen.store(1, Ordering::SeqCst);
        }
        1
    });
    let w = open(dir.path(), &log, now)?;
    let (one, two, during) = std::thread::scope(|s| {
        let one = s.spawn(|| w.add_checkpoint(log.request(0, 5).as_bytes()));
        is_stalled.recv().map_err(|_| "the first never got there")?;
        let two = s.spawn(|| w.add_checkpoint(log.request(0, 9).as_bytes()));
        // Long enough for the second to be written if nothing held it; the outcome below does not hang on it.
        std::thread::sleep(Duration::from_millis(200));
        let during = second_checked.load(Ordering::SeqCst);
        go_on.send(()).map_err(|_| "the first is gone")?;
        let join = |t: std::thread::ScopedJoinHandle<'_, Result<Answer, WitnessError>>| {
            t.join().map_err(|_| "a request panicked")
        };
        Ok::<_, &str>((join(one)?, join(two)?, during))
    })?;
    assert!(matches!(one?, Answer::Cosigned(_)));
    assert_eq!((two?, during), (Answer::Conflict(5), 0));
    assert_eq!(size(&w)?, 5);
    Ok(())
}
