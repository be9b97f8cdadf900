//! Older copies put in place of the ledger, the newest entries cut off, and a second history grown from a backup.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use whereas::audit::folder::FolderAudit;
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::fork;
use whereas::ledger::policy::Policy;
use whereas::outside::{Outside, compare as compare_with_anchor};
use whereas::sequencer::{Ledger, LedgerPaths, SystemClock};
use whereas::verify::checkpoints::{Agreement, Joined, Pair, compare, open as open_checkpoint};
use whereas::witness::{AddCheckpoint, Answer};

use crate::forger::{Forger, Outcome, Power, copy};
use crate::ground::{self, Ground, NAME, ORIGIN, PRODUCER, numbered, open, witness_key};
use crate::observers::{Observer, audit, close, look, run, settings, with_checkpoint};
use crate::page::Said;

const GIST: [&str; 5] = [
    "result",
    "refused",
    "first break",
    "still good",
    "freshness",
];

/// Puts a copy of another folder's guard file in place of the one that is there.
fn take_guard(from: &Path, to: &Path) -> Outcome {
    let guard = |data| LedgerPaths::below(data, NAME).guard;
    std::fs::copy(guard(from), guard(to))?;
    Ok(())
}

/// Appends events to a closed ledger, each in a commit of its own; gives the newest checkpoint.
fn grow(data: &Path, events: std::ops::Range<u64>) -> Outcome<String> {
    let ledger = open(data)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for n in events {
        runtime.block_on(ledger.append(&[numbered(n)], PRODUCER))?;
    }
    let note = ledger.checkpoint()?.1;
    runtime.block_on(ledger.close());
    Ok(note)
}

/// Deletes the entries after the commit before the last, with all that was derived from them.
fn cut(ground: &Ground, to: &Path) -> Outcome<PathBuf> {
    let data = copy(&ground.data(), to)?;
    let forger = Forger::open(&data, NAME, ORIGIN)?;
    let mut query = forger
        .db
        .prepare("SELECT size FROM commitment ORDER BY size DESC LIMIT 2")?;
    let sizes: Vec<i64> = query
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut entries = forger.entries()?;
    entries.truncate(usize::try_from(sizes[1])?);
    // Nothing is signed: the older checkpoints are still the ledger's own.
    forger.rewrite(entries, Power::WithoutKey)?;
    drop(query);
    drop(forger);
    Ok(data)
}

#[test]
fn entries_cut_off_are_missed_by_whoever_has_seen_them() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    let data = cut(&ground, &ground.beside("cut"))?;
    let start = look(Observer::StartUp, &ground, &data)?;
    assert_eq!(start.codes, ["BehindGuard"], "{}", start.words);
    said.note("truncated/start-up", &start.words);
    let key = look(Observer::PinnedKey, &ground, &data)?;
    assert_eq!(key.codes, ["guard.ahead"], "{}", key.words);
    said.note("truncated/pinned-key", &key.lines(&GIST));
    // Without the guard file, nothing in the folder tells of the rest.
    let bare = FolderAudit {
        guard: false,
        ..audit(&ground, &data)
    };
    let unguarded = run(&bare);
    assert!(unguarded.accepted, "{}", unguarded.words);
    assert_eq!(unguarded.freshness(), "not_proven");
    said.note("truncated/no-guard", &unguarded.lines(&GIST));
    let newest = ground.kept.last().ok_or("a checkpoint")?;
    let kept = run(&with_checkpoint(bare, newest));
    assert_eq!(kept.codes, ["outside.truncated"], "{}", kept.words);
    said.note("truncated/checkpoint", &kept.lines(&GIST));
    said.compare("truncated")
}

#[test]
fn a_restored_backup_does_not_resume_unless_its_guard_came_back_with_it() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    let backup = copy(&ground.data(), &ground.beside("backup"))?;
    let newest = grow(&ground.data(), 30..35)?;
    // The old database with the guard file that knows better.
    let restored = copy(&backup, &ground.beside("restored"))?;
    take_guard(&ground.data(), &restored)?;
    let start = look(Observer::StartUp, &ground, &restored)?;
    assert_eq!(start.codes, ["BehindGuard"], "{}", start.words);
    said.note("rollback/start-up", &start.words);
    let key = look(Observer::PinnedKey, &ground, &restored)?;
    assert_eq!(key.codes, ["guard.ahead"], "{}", key.words);
    // Both from the backup: the folder is as it once was, and nothing in it tells of more.
    let start = look(Observer::StartUp, &ground, &backup)?;
    assert!(start.accepted, "{}", start.words);
    let key = look(Observer::PinnedKey, &ground, &backup)?;
    assert!(key.accepted, "{}", key.words);
    said.note("rollback/pinned-key", &key.lines(&GIST));
    let kept = run(&with_checkpoint(audit(&ground, &backup), &newest));
    assert_eq!(kept.codes, ["outside.truncated"], "{}", kept.words);
    said.note("rollback/checkpoint", &kept.lines(&GIST));
    // An anchor that the restored folder does not lie on.
    let folder = ground.anchor().join(whereas::outside::folder_of(ORIGIN));
    let ledger = open(&ground.data())?;
    let name = whereas::outside::checkpoint_file(ledger.size());
    close(ledger)?;
    std::fs::write(folder.join(name), &newest)?;
    let ledger = open(&backup)?;
    let behind = compare_with_anchor(&ledger, &settings(&ground)).expect_err("it is behind");
    close(ledger)?;
    let words = behind.to_string();
    let place = ground.anchor().display().to_string();
    said.note("rollback/anchor", &words.replace(&place, "/mnt/anchor"));
    said.compare("rollback")
}

/// What `verify checkpoints` finds, with proofs from a ledger.
fn compared(a: &str, b: &str, ground: &Ground, from: &Ledger) -> Outcome<Pair> {
    let keys = [ground.key.clone()];
    let (a, b) = (
        open_checkpoint("mine.txt", a, &keys)?,
        open_checkpoint("yours.txt", b, &keys)?,
    );
    let source = |first: u64, second: u64| -> Result<_, Infallible> {
        Ok(Some(Joined {
            path: from.consistency(first, second).expect("a proof"),
            seed: first
                .is_power_of_two()
                .then(|| from.root_at(first).expect("a root")),
        }))
    };
    let Ok(pair) = compare(&a, &b, &keys, source);
    Ok(pair)
}

#[test]
fn a_second_history_proves_itself_against_the_first() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    // Both places of the backup are old, so it starts; then each copy goes its own way, with the same key.
    let second = copy(&ground.data(), &ground.beside("second"))?;
    let mine = grow(&ground.data(), 30..35)?;
    let (yours, later) = (grow(&second, 40..45)?, grow(&second, 45..47)?);
    let (one, two) = (open(&ground.data())?, open(&second)?);

    let pair = compared(&mine, &yours, &ground, &two)?;
    assert_eq!(pair.agreement, Agreement::Equivocation);
    said.note("fork/same-size", &pair.reason);
    let evidence = fork::evidence(&mine, &yours);
    let notes = fork::read_evidence(&evidence).ok_or("an evidence file")?;
    assert!(fork::is_equivocation(
        &notes[0],
        &notes[1],
        std::slice::from_ref(&ground.key)
    ));
    let pair = compared(&mine, &later, &ground, &two)?;
    assert_eq!(pair.agreement, Agreement::Inconsistent);
    said.note("fork/larger", &pair.reason);
    // A witness that cosigned the first history does not cosign the second, whatever it is shown.
    let witness = ground.witness()?;
    let seen = Checkpoint::parse_unverified(ground.cosigned.last().ok_or("a checkpoint")?)?
        .0
        .size;
    let ask = |ledger: &Ledger, old: u64, note: &str| -> Outcome<Answer> {
        let size = Checkpoint::parse_unverified(note)?.0.size;
        let request = AddCheckpoint {
            old,
            proof: ledger.consistency(old, size)?,
            checkpoint: note,
        };
        Ok(witness.add_checkpoint(request.encode().as_bytes())?)
    };
    let first = ask(&one, seen, &mine)?;
    assert!(matches!(first, Answer::Cosigned(_)), "{first:?}");
    let now = one.size();
    let same = ask(&two, now, &yours)?;
    let Answer::Inconsistent(words) = same else {
        panic!("{same:?}")
    };
    said.note("fork/witness-same-size", &words);
    let larger = ask(&two, now, &later)?;
    let Answer::Inconsistent(words) = larger else {
        panic!("{larger:?}")
    };
    said.note("fork/witness-larger", &words);
    let stale = ask(&two, seen, &later)?;
    assert_eq!(stale, Answer::Conflict(now));
    let kept = std::fs::read_dir(ground.beside("witness").join("equivocation"))?.count();
    assert_eq!(kept, 1, "the witness keeps both signed checkpoints");
    close(one)?;
    close(two)?;

    // The auditor who was shown the second history, with the first one's checkpoint in hand.
    let other = run(&with_checkpoint(audit(&ground, &second), &mine));
    assert_eq!(other.codes, ["outside.contradiction"], "{}", other.words);
    said.note("fork/checkpoint", &other.lines(&GIST));
    let alone = look(Observer::PinnedKey, &ground, &second)?;
    assert!(alone.accepted, "{}", alone.words);
    said.compare("fork")
}

#[test]
fn rows_about_outside_parties_do_not_silence_them() -> Outcome {
    let ground = ground::ledger(20)?;
    let mut settings = settings(&ground);
    settings.policy = Some(Policy::parse(&format!(
        "witness w {}\nquorum w\n",
        witness_key()
    ))?);
    let place = settings.anchors[0].place.name();
    let forger = Forger::open(&ground.data(), NAME, ORIGIN)?;
    // As if more had been anchored and cosigned than there is: then nothing new would ever be due.
    forger.db.execute("UPDATE anchor SET place = ?", [place])?;
    for table in ["anchor", "cosignature"] {
        let sql = format!(
            "UPDATE {table} SET size = 1000000 WHERE size = (SELECT max(size) FROM {table})"
        );
        assert_eq!(forger.db.execute(&sql, [])?, 1);
    }
    drop(forger);
    let ledger = open(&ground.data())?;
    let outside = Outside::start(
        Arc::clone(&ledger),
        settings,
        Arc::new(SystemClock::default()),
    )?;
    let state = outside.state()?;
    outside.stop();
    let size = ledger.size();
    close(ledger)?;
    assert!(state.anchors[0].size.is_none_or(|s| s <= size), "{state:?}");
    assert!(
        state.witnesses[0].size.is_none_or(|s| s <= size),
        "{state:?}"
    );
    Ok(())
}
