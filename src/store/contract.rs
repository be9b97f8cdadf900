//! What every backend must do; each runs these same tests.

use super::sqlite::SqliteStore;
use super::*;
use crate::ledger::tree::NodeId;
use crate::ledger::{Hash, Id16, Timestamp};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A ledger's storage, opened as often as a test likes.
struct Backend {
    _dir: tempfile::TempDir,
    store: SqliteStore,
}

fn sqlite() -> Result<Backend, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = SqliteStore::open(&dir.path().join("ledger.db"), true)?;
    Ok(Backend { _dir: dir, store })
}

fn row(seq: u64, kind: &str, case: Option<(u8, u64)>) -> EntryRow {
    EntryRow {
        seq,
        leaf: format!("leaf {seq}").into_bytes(),
        kind: kind.into(),
        eid: Hash::leaf(&seq.to_be_bytes()),
        case: case.map(|(id, at)| (Id16([id; 16]), at)),
        trace: seq.is_multiple_of(2).then_some(Id16([9; 16])),
        sealed: seq
            .is_multiple_of(3)
            .then(|| (Slot([u8::try_from(seq).unwrap_or(0); 12]), vec![1, 2, 3])),
        lookups: vec![Id16([u8::try_from(seq % 4).unwrap_or(0); 16])],
    }
}

fn commitment(size: u64) -> Commitment {
    Commitment {
        size,
        root: Hash::leaf(b"root of").max(Hash::leaf(&size.to_be_bytes())),
        key_id: [1, 2, 3, 4],
        note: None,
    }
}

fn filled(backend: &Backend) -> Outcome {
    let mut writer = backend.store.writer()?;
    for (from, to) in [(0_u64, 4_u64), (4, 10)] {
        let mut t = writer.begin()?;
        assert_eq!(t.head().size, from);
        let rows: Vec<EntryRow> = (from..to)
            .map(|s| {
                row(
                    s,
                    if s % 2 == 0 { "a.a" } else { "b.b" },
                    (s < 6).then_some((7, s)),
                )
            })
            .collect();
        t.put_entries(&rows)?;
        t.put_nodes(
            &(from..to)
                .map(|i| {
                    (
                        NodeId { level: 0, index: i },
                        Hash::leaf(&[u8::try_from(i).unwrap_or(0)]),
                    )
                })
                .collect::<Vec<_>>(),
        )?;
        t.commit(Some(&commitment(to)))?;
    }
    Ok(())
}

#[test]
fn what_is_committed_is_read_and_in_order() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    let all = EntryQuery {
        below: u64::MAX,
        limit: 100,
        ..EntryQuery::default()
    };
    let seqs = |q: &EntryQuery| -> Result<Vec<u64>, StoreError> {
        Ok(b.store.entries(q)?.into_iter().map(|e| e.seq).collect())
    };
    assert_eq!(b.store.head()?.size, 10);
    assert_eq!(seqs(&all)?, (0..10).collect::<Vec<_>>());
    assert_eq!(
        seqs(&EntryQuery {
            from: 3,
            below: 8,
            limit: 2,
            ..all.clone()
        })?,
        [3, 4]
    );
    assert_eq!(
        seqs(&EntryQuery {
            case: Some(Id16([7; 16])),
            ..all.clone()
        })?,
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(
        seqs(&EntryQuery {
            trace: Some(Id16([9; 16])),
            kind: Some("a.a".into()),
            from: 2,
            ..all.clone()
        })?,
        [2, 4, 6, 8]
    );
    assert_eq!(
        seqs(&EntryQuery {
            kind: Some("b.b".into()),
            limit: 2,
            ..all.clone()
        })?,
        [1, 3]
    );
    assert_eq!(
        seqs(&EntryQuery {
            kind: Some("c.c".into()),
            ..all.clone()
        })?,
        [0_u64; 0]
    );
    assert_eq!(
        seqs(&EntryQuery {
            lookup: Some(Id16([3; 16])),
            ..all
        })?,
        [3, 7]
    );
    let third = b.store.entry(3)?.ok_or("entry 3 is there")?;
    assert_eq!(
        (third.leaf.as_slice(), third.sealed),
        (&b"leaf 3"[..], Some((Slot([3; 12]), vec![1, 2, 3])))
    );
    assert_eq!(b.store.entry(10)?, None);
    assert_eq!(
        b.store
            .find_identities(&[Hash::leaf(&9_u64.to_be_bytes()), Hash::ZERO])?,
        [Some(9), None]
    );
    assert_eq!(
        b.store.nodes(&[NodeId { level: 0, index: 9 }])?,
        [Hash::leaf(&[9])]
    );
    assert!(matches!(
        b.store.nodes(&[NodeId {
            level: 0,
            index: 400
        }]),
        Err(StoreError::Damaged(_))
    ));
    // Many at once are read in another way, and are the same.
    let mut many: Vec<NodeId> = (0..300)
        .map(|i| NodeId {
            level: 0,
            index: (i * 7) % 10,
        })
        .collect();
    let hashes = b.store.nodes(&many)?;
    for (id, hash) in many.iter().zip(&hashes) {
        assert_eq!(*hash, Hash::leaf(&[u8::try_from(id.index)?]));
    }
    many[299].index = 400;
    assert!(matches!(b.store.nodes(&many), Err(StoreError::Damaged(_))));
    assert_eq!(b.store.case_tail(&Id16([7; 16]))?, Some((5, 5)));
    assert_eq!(b.store.case_tail(&Id16([8; 16]))?, None);
    assert_eq!(b.store.slots(None, 2)?, [Slot([0; 12]), Slot([3; 12])]);
    assert_eq!(
        b.store.slots(Some(Slot([3; 12])), 9)?,
        [Slot([6; 12]), Slot([9; 12])]
    );
    Ok(())
}

#[test]
fn a_dropped_transaction_leaves_nothing() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    let mut writer = b.store.writer()?;
    {
        let mut t = writer.begin()?;
        t.put_entries(&[row(10, "new.type", None)])?;
        assert_eq!(b.store.entry(10)?, None, "nobody sees an open transaction");
    }
    assert_eq!((b.store.entry(10)?, b.store.head()?.size), (None, 10));
    let mut t = writer.begin()?;
    t.put_entries(&[row(10, "new.type", None)])?;
    t.commit(Some(&commitment(11)))?;
    assert_eq!(
        (b.store.head()?.size, b.store.entry(10)?.map(|e| e.seq)),
        (11, Some(10))
    );
    Ok(())
}

#[test]
fn type_names_are_told_apart_whatever_became_of_the_transaction_that_brought_them() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    let mut writer = b.store.writer()?;
    writer
        .begin()?
        .put_entries(&[row(10, "c.c", None), row(11, "d.d", None)])?;
    let kinds = ["d.d", "a.a", "e.e", "c.c"];
    for (seq, kind) in (10..).zip(kinds) {
        if seq == 12 {
            writer = b.store.writer()?;
        }
        let mut t = writer.begin()?;
        t.put_entries(&[row(seq, kind, None)])?;
        t.commit(Some(&commitment(seq + 1)))?;
    }
    for (seq, kind) in (10..).zip(kinds) {
        let query = EntryQuery {
            kind: Some(kind.into()),
            from: 10,
            below: 14,
            limit: 9,
            ..EntryQuery::default()
        };
        let found: Vec<u64> = b.store.entries(&query)?.iter().map(|e| e.seq).collect();
        assert_eq!(found, [seq], "{kind}");
    }
    Ok(())
}

#[test]
fn what_is_taken_cannot_be_taken_again() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    let mut writer = b.store.writer()?;
    let mut same_eid = row(10, "a.a", None);
    same_eid.eid = Hash::leaf(&2_u64.to_be_bytes());
    for bad in [row(9, "a.a", None), same_eid, row(10, "a.a", Some((7, 5)))] {
        let mut t = writer.begin()?;
        assert!(t.put_entries(&[bad]).is_err());
    }
    let mut t = writer.begin()?;
    assert!(
        t.put_nodes(&[(NodeId { level: 0, index: 3 }, Hash::ZERO)])
            .is_err()
    );
    drop(t);
    assert_eq!(b.store.head()?.size, 10);
    Ok(())
}

#[test]
fn one_case_wins() -> Outcome {
    let b = sqlite()?;
    let mut writer = b.store.writer()?;
    let case = |p: u8| CaseFile {
        blind: Id16([1; 16]),
        pseudonym: Id16([p; 16]),
        slot: Slot([p; 12]),
    };
    let mut t = writer.begin()?;
    assert_eq!(t.put_case(&case(2))?, case(2));
    assert_eq!(t.put_case(&case(3))?, case(2), "the first stands");
    assert_eq!(
        t.put_trace_slot(&Id16([5; 16]), Slot([1; 12]))?,
        Slot([1; 12])
    );
    assert_eq!(
        t.put_trace_slot(&Id16([5; 16]), Slot([2; 12]))?,
        Slot([1; 12])
    );
    t.commit(None)?;
    assert_eq!(b.store.case_by_blind(&Id16([1; 16]))?, Some(case(2)));
    assert_eq!(b.store.case_by_pseudonym(&Id16([2; 16]))?, Some(case(2)));
    assert_eq!(b.store.case_by_pseudonym(&Id16([3; 16]))?, None);
    assert_eq!(b.store.trace_slot(&Id16([5; 16]))?, Some(Slot([1; 12])));
    Ok(())
}

#[test]
fn notes_follow_their_commits() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    assert_eq!(
        b.store
            .unsigned_commitments(9)?
            .iter()
            .map(|c| c.size)
            .collect::<Vec<_>>(),
        [4, 10]
    );
    let mut writer = b.store.writer()?;
    let mut t = writer.begin()?;
    t.put_note(4, "note of 4")?;
    t.commit(None)?;
    assert_eq!(
        b.store
            .unsigned_commitments(9)?
            .iter()
            .map(|c| c.size)
            .collect::<Vec<_>>(),
        [10]
    );
    assert_eq!(
        b.store
            .commitment_at_least(1)?
            .and_then(|c| c.note)
            .as_deref(),
        Some("note of 4")
    );
    assert_eq!(
        b.store.commitment_at_least(5)?.map(|c| (c.size, c.key_id)),
        Some((10, [1, 2, 3, 4]))
    );
    assert_eq!(b.store.commitment_at_least(11)?, None);
    let at_most = |size| -> Result<Option<u64>, StoreError> {
        Ok(b.store.commitment_at_most(size)?.map(|c| c.size))
    };
    assert_eq!(
        (at_most(3)?, at_most(4)?, at_most(9)?, at_most(99)?),
        (None, Some(4), Some(4), Some(10))
    );
    Ok(())
}

#[test]
fn reports_are_stored_with_their_entry() -> Outcome {
    let b = sqlite()?;
    let mut writer = b.store.writer()?;
    let mut t = writer.begin()?;
    let new = NewReport {
        id: Id16([4; 16]),
        requester: Id16([5; 16]),
        envelope: "{}".into(),
        catalogues: vec!["words".into()],
    };
    t.put_report(&new, 3, Some(Id16([7; 16])))?;
    t.commit(None)?;
    let want = ReportRow {
        id: new.id,
        seq: 3,
        pseudonym: Some(Id16([7; 16])),
        requester: new.requester,
        envelope: "{}".into(),
    };
    assert_eq!(
        (
            b.store.report(&Id16([4; 16]))?,
            b.store.report(&Id16([0; 16]))?
        ),
        (Some(want), None)
    );
    let digest = crate::ledger::sha256(&[b"words"]);
    assert_eq!(b.store.catalogue(&digest)?.as_deref(), Some("words"));
    assert_eq!(b.store.catalogue(&Hash::ZERO)?, None);
    Ok(())
}

#[test]
fn what_outside_parties_gave_is_found_by_size_key_and_place() -> Outcome {
    let b = sqlite()?;
    let mut writer = b.store.writer()?;
    let cosignature = |size, name: &str, time| Cosignature {
        size,
        name: name.into(),
        key_id: [1, 2, 3, 4],
        line: format!("— {name} {time}\n"),
        time,
    };
    let anchored = |place: &str, size, micros| Anchored {
        place: place.into(),
        size,
        root: Hash::ZERO,
        time: Timestamp::EPOCH.plus_micros(micros),
    };
    let mut t = writer.begin()?;
    for c in [
        cosignature(4, "w2", 10),
        cosignature(4, "w1", 11),
        cosignature(9, "w1", 12),
        cosignature(9, "w1", 20),
        cosignature(9, "w1", 15),
    ] {
        t.put_cosignature(&c)?;
    }
    for a in [
        anchored("/a", 3, 1),
        anchored("/a", 8, 2),
        anchored("/a", 8, 3),
        anchored("/b", 5, 4),
    ] {
        t.put_anchored(&a)?;
    }
    assert_eq!(
        b.store.cosignatures(4)?,
        [],
        "nobody sees an open transaction"
    );
    t.commit(None)?;
    assert_eq!(
        b.store.cosignatures(4)?,
        [cosignature(4, "w1", 11), cosignature(4, "w2", 10)]
    );
    assert_eq!(
        b.store.cosignatures(9)?,
        [cosignature(9, "w1", 20)],
        "the newest stands"
    );
    assert_eq!(b.store.cosigned_sizes(0, 9)?, [9, 4]);
    assert_eq!(b.store.cosigned_sizes(4, 9)?, [9]);
    assert_eq!(b.store.cosigned_sizes(0, 1)?, [9]);
    assert_eq!(
        b.store.newest_cosigned("w2", [1, 2, 3, 4])?,
        Some(cosignature(4, "w2", 10))
    );
    assert_eq!(b.store.newest_cosigned("w2", [0; 4])?, None);
    assert_eq!(
        b.store.newest_anchors()?,
        [anchored("/a", 8, 2), anchored("/b", 5, 4)]
    );
    Ok(())
}

#[test]
fn a_second_writer_waits_or_is_refused_but_never_forks() -> Outcome {
    let b = sqlite()?;
    filled(&b)?;
    let (mut one, mut two) = (b.store.writer()?, b.store.writer()?);
    let mut t = one.begin()?;
    t.put_entries(&[row(10, "a.a", None)])?;
    let rival = std::thread::scope(|s| {
        let rival = s.spawn(|| -> Result<u64, String> {
            Ok(two.begin().map_err(|e| e.to_string())?.head().size)
        });
        let done = t.commit(Some(&commitment(11)));
        rival
            .join()
            .map_err(|_| StoreError::HeadMoved)
            .and_then(|r| done.map(|()| r))
    })?;
    assert!(
        rival.clone().map_or(true, |size| size == 11),
        "a later transaction holds the later head: {rival:?}"
    );
    Ok(())
}
