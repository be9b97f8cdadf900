//! Changing signing keys, and dying at every point of it.

use super::*;
use crate::ledger::keys::KeyHistory;
use crate::sequencer::rotation::Point;

fn checkpoint_key() -> Rotate {
    Rotate {
        purpose: Purpose::Checkpoint,
        given: None,
        compromised_since: None,
        reason: None,
    }
}

fn report_key() -> Rotate {
    Rotate {
        purpose: Purpose::Report,
        ..checkpoint_key()
    }
}

/// Key files of the keyring.
fn pems(place: &Place) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place.paths().keyring)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".pem") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn file_of(purpose: Purpose, vkey: &Vkey) -> String {
    format!("{}-{}.pem", purpose.name(), hex::encode(vkey.id()))
}

/// The files that the entries name, and no other.
fn only_the_keys_in_force(place: &Place, keys: &KeyHistory) -> Outcome {
    let mut want: Vec<String> = Purpose::ALL.map(|p| file_of(p, keys.newest(p))).into();
    want.sort();
    assert_eq!(pems(place)?, want);
    Ok(())
}

#[tokio::test]
async fn a_replaced_key_signs_its_bridge_and_nothing_after_it() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let first = ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    let done = ledger.rotate(checkpoint_key()).await?;
    assert_eq!((done.rotation.seq, done.destroyed), (2, true));
    let (head, note) = ledger.checkpoint()?;
    assert_eq!((head.size, &note), (3, &done.checkpoint));
    let (old, new) = (&done.rotation.old, &done.rotation.new);
    let (_, read) = Checkpoint::parse_unverified(&note)?;
    let both = [old.clone(), new.clone()];
    assert_eq!(
        read.verify(&both)?,
        [old, new],
        "two signatures, the old first"
    );
    assert_eq!(ledger.bridge(&done.rotation)?, note);
    let second = ledger.append(&[event("2", None, "b")], PRODUCER).await?;
    let by_old = Checkpoint::open(&second[0].receipt.checkpoint, ORIGIN, &both[..1]);
    assert!(by_old.is_err(), "the old key is done");
    Checkpoint::open(&second[0].receipt.checkpoint, ORIGIN, &both[1..])?;
    let done = ledger.rotate(report_key()).await?;
    assert_eq!(ledger.keyring().report().vkey(), &done.rotation.new);
    only_the_keys_in_force(&place, &ledger.keys())?;
    check_all(&ledger)?;
    ledger.close().await;
    drop(ledger);
    let ledger = place.open()?;
    let receipt = |seq| ledger.receipt(seq);
    assert_eq!(
        receipt(1)?,
        Some(first[0].receipt.clone()),
        "old receipts stay"
    );
    assert_eq!(receipt(3)?, Some(second[0].receipt.clone()));
    let done = ledger.rotate(checkpoint_key()).await?;
    assert_eq!(done.rotation.old, *new, "keys change as often as one likes");
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn entries_of_the_same_moment_never_stand_behind_a_rotation_in_its_commit() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let mut tasks = Vec::new();
    for i in 0..40 {
        let ledger = Arc::clone(&ledger);
        tasks.push(tokio::spawn(async move {
            if i % 10 == 5 {
                return ledger.rotate(checkpoint_key()).await.map(|_| ());
            }
            let event = event(&i.to_string(), None, "a");
            ledger.append(&[event], PRODUCER).await.map(|_| ())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let keys = ledger.keys();
    assert_eq!(keys.rotations().len(), 4);
    for rotation in keys.rotations() {
        let commit = ledger.reader().commitment_at_least(rotation.bridge())?;
        let commit = commit.ok_or("commitment")?;
        assert_eq!(commit.size, rotation.bridge(), "the entry ends its commit");
        assert_eq!(commit.key_id, rotation.old.id());
    }
    check_all(&ledger)?;
    ledger.close().await;
    drop(ledger);
    check_all(&*place.open()?)?;
    Ok(())
}

#[tokio::test]
async fn a_given_key_takes_over_but_never_twice() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    let given = || Rotate {
        given: Some(ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
        ..checkpoint_key()
    };
    ledger.rotate(given()).await?;
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    assert_eq!(
        ledger.keyring().checkpoint().vkey().key(),
        &key.verifying_key()
    );
    let again = ledger.rotate(given()).await;
    assert!(matches!(again, Err(AppendError::Key(_))), "{again:?}");
    ledger.rotate(checkpoint_key()).await?;
    let back = ledger.rotate(given()).await;
    assert!(matches!(back, Err(AppendError::Key(_))), "{back:?}");
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_ledger_with_the_old_file_names_opens_and_changes_its_keys() -> Outcome {
    let place = Place::new()?;
    for name in pems(&place)? {
        let purpose = name.split('-').next().ok_or("name")?;
        let dir = place.paths().keyring;
        fs::rename(dir.join(&name), dir.join(format!("{purpose}.pem")))?;
    }
    let ledger = place.open()?;
    ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    ledger.rotate(checkpoint_key()).await?;
    ledger.rotate(report_key()).await?;
    only_the_keys_in_force(&place, &ledger.keys())?;
    check_all(&ledger)?;
    ledger.close().await;
    Ok(())
}

#[tokio::test]
async fn a_report_signed_with_a_replaced_key_is_not_registered() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    let report = || NewReport {
        id: Id16([1; 16]),
        requester: PRODUCER,
        envelope: "{}".into(),
        catalogues: Vec::new(),
    };
    let old = ledger.keyring().report();
    ledger.rotate(report_key()).await?;
    let refused = ledger
        .append_report(report(), Map::new(), None, old.vkey())
        .await;
    assert!(
        matches!(refused, Err(AppendError::KeyReplaced)),
        "{refused:?}"
    );
    assert_eq!(ledger.reader().report(&Id16([1; 16]))?, None);
    let new = ledger.keyring().report();
    ledger
        .append_report(report(), Map::new(), None, new.vkey())
        .await?;
    ledger.close().await;
    Ok(())
}

/// A writer of its own, on the current thread, that dies at a point of a rotation; gives the checkpoints that it signed
/// and did not store.
fn die(place: &Place, job: Rotate, at: Point) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let paths = place.paths();
    let _lock = lock(&paths.ledger)?;
    let store = Arc::new(SqliteStore::open(&paths.database(), false)?);
    let keys = recover::history(&*store, ORIGIN)?;
    let keyring = Arc::new(keyring(place)?);
    let (mut guard, note) = Guard::open(&paths.guard)?;
    let note = note.as_deref();
    let (tail, _) = recover::check(&*store, &keyring, &keys, ORIGIN, &mut guard, note)?;
    let size = tail.frontier.size();
    let notes = FreshNotes::default();
    let mut writer = Ledger::writer(
        ORIGIN,
        PRODUCER,
        &keyring,
        &store,
        &Arc::default(),
        guard,
        &Arc::new(AtomicU64::new(size)),
        place.clock.clone(),
        &Denials::default(),
        tail,
        &notes,
        &Keys::new(keys),
    )?;
    // An entry whose checkpoint is not stored when the key changes: the old key must be able to sign it again.
    let entry = prepare_own(&keyring, ORIGIN, PRODUCER, "x.own", Map::new(), None, None)?;
    let (reply, _answer) = oneshot::channel();
    writer.commit(vec![Batch {
        entries: vec![entry],
        rows: NewRows::default(),
        looked_up_at: size,
        case_must_have: None,
        report: None,
        signed_by: None,
        reply: Waiting::One(reply),
    }]);
    writer.die_at = Some(at);
    let (reply, mut answer) = oneshot::channel();
    writer.rotate(job, reply);
    let died = answer.try_recv()?;
    assert!(matches!(died, Err(AppendError::Closed)), "{at:?}: {died:?}");
    Ok((0..=size + 2).filter_map(|s| notes.get(s)).collect())
}

#[tokio::test]
async fn whoever_dies_in_a_rotation_goes_on_to_the_same_bytes() -> Outcome {
    let points = [
        Point::KeyMade,
        Point::Committed,
        Point::Signed,
        Point::Guarded,
        Point::Stored,
    ];
    for at in points {
        for purpose in Purpose::ALL {
            let place = Place::new()?;
            let ledger = place.open()?;
            ledger.append(&[event("1", None, "a")], PRODUCER).await?;
            ledger.close().await;
            drop(ledger);
            let before = read_keys(&place.paths(), ORIGIN)?;
            let dir = place.paths().keyring;
            let old_file = dir.join(file_of(purpose, before.newest(purpose)));
            let old = crate::keyring::read_signing_key(&old_file)?;
            let job = Rotate {
                purpose,
                ..checkpoint_key()
            };
            let signed = die(&place, job, at)?;
            assert_eq!(pems(&place)?.len(), 3, "{at:?}: both keys are there");
            let ledger = place.open()?;
            let keys = ledger.keys();
            if at == Point::KeyMade {
                assert_eq!(keys, before, "the old key is in force");
                assert_eq!(ledger.size(), 3);
            } else {
                assert_eq!(ledger.size(), 4, "{at:?}");
                assert_eq!(keys.rotations().len(), 1);
                only_the_keys_in_force(&place, &keys)?;
            }
            for note in signed {
                let (c, _) = Checkpoint::parse_unverified(&note)?;
                let commit = ledger.reader().commitment_at_least(c.size)?;
                let commit = commit.filter(|k| k.size == c.size).ok_or("commitment")?;
                assert_eq!(ledger.note(commit)?, note, "{at:?}: the same bytes");
            }
            if at != Point::KeyMade && purpose == Purpose::Checkpoint {
                let rotation = &keys.rotations()[0];
                let (c, note) = Checkpoint::parse_unverified(&ledger.bridge(rotation)?)
                    .map(|(c, n)| (c, n.text.to_owned()))?;
                let old = crate::ledger::note::NoteSigner::new(ORIGIN, old).ok_or("name")?;
                let new = ledger.keyring().checkpoint();
                assert_eq!(c.text(), note);
                assert_eq!(ledger.bridge(rotation)?, c.sign_all([&old, &*new]));
                let kept = Guard::open(&place.paths().guard)?.1;
                assert_eq!(kept, Some(ledger.bridge(rotation)?), "{at:?}");
            }
            check_all(&ledger)?;
            ledger.append(&[event("2", None, "b")], PRODUCER).await?;
            ledger
                .rotate(Rotate {
                    purpose,
                    ..checkpoint_key()
                })
                .await?;
            check_all(&ledger)?;
            ledger.close().await;
            drop(ledger);
            check_all(&*place.open()?)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_of_unknown_fate_decides_which_key_is_in_force() -> Outcome {
    for wrong in [Wrong::Begin, Wrong::Answer] {
        let place = Place::new()?;
        let at = Unsound::open(&place)?;
        at.ledger.append(&[event("0", None, "a")], PRODUCER).await?;
        at.next(wrong).await;
        at.blind.store(1, Ordering::SeqCst);
        let outcome = at.ledger.rotate(checkpoint_key()).await;
        assert_eq!(outcome.is_ok(), wrong == Wrong::Answer, "{outcome:?}");
        let posted = at.ledger.append(&[event("1", None, "b")], PRODUCER).await?;
        assert_eq!(posted[0].seq, if wrong == Wrong::Answer { 3 } else { 2 });
        check_all(&at.ledger)?;
        only_the_keys_in_force(&place, &at.ledger.keys())?;
        at.ledger.close().await;
        drop(at);
        check_all(&*place.open()?)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_from_before_a_rotation_does_not_start() -> Outcome {
    let place = Place::new()?;
    let ledger = place.open()?;
    ledger.append(&[event("1", None, "a")], PRODUCER).await?;
    ledger.close().await;
    drop(ledger);
    let backup = fs::read(place.paths().database())?;
    let before = read_keys(&place.paths(), ORIGIN)?;
    let ledger = place.open()?;
    ledger.rotate(checkpoint_key()).await?;
    ledger.close().await;
    drop(ledger);
    for end in ["-wal", "-shm"] {
        let mut name = place.paths().database().into_os_string();
        name.push(end);
        if Path::new(&name).exists() {
            fs::remove_file(name)?;
        }
    }
    fs::write(place.paths().database(), backup)?;
    let refused = place.open().err().ok_or("it must not start")?.to_string();
    let file = file_of(Purpose::Checkpoint, before.newest(Purpose::Checkpoint));
    assert!(
        refused.contains(&file) && refused.contains("older"),
        "{refused}"
    );
    assert_eq!(pems(&place)?.len(), 2, "and nothing was destroyed");
    Ok(())
}
