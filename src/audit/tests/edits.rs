//! Edits of the database, one at a time, and what an audit says of each.

use super::*;

/// An edit, the codes that it must lead to, and a place that must be named.
const EDITS: &[(&str, &str, &[&str], &str)] = &[
    (
        "a byte of a leaf",
        "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"type\":\"x.test\"', '\"type\":\"x.tesT\"') AS BLOB) WHERE seq = 5",
        &["leaf.altered"],
        "entry 5",
    ),
    (
        "a leaf that cannot be read",
        "UPDATE entry SET leaf = x'7b7d' WHERE seq = 3",
        &["leaf.form"],
        "entry 3",
    ),
    (
        "the last leaf",
        "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'report.issued', 'report.issueD') AS BLOB) WHERE seq = 15",
        &["leaf.altered"],
        "entry 15",
    ),
    (
        "an entry taken away",
        "DELETE FROM entry WHERE seq = 6",
        &["entry.absent"],
        "entry 6",
    ),
    (
        "an entry put in beyond the head",
        "INSERT INTO entry SELECT 16, leaf, slot, sealed FROM entry WHERE seq = 2",
        &["entry.beyond"],
        "table entry, seq 16",
    ),
    (
        "an entry put in before the first",
        "INSERT INTO entry SELECT -1, leaf, slot, sealed FROM entry WHERE seq = 2",
        &["entry.beyond"],
        "table entry, seq -1",
    ),
    (
        "two entries exchanged",
        "UPDATE entry SET seq = -5 WHERE seq = 4; UPDATE entry SET seq = 4 WHERE seq = 5; UPDATE entry SET seq = 5 WHERE seq = -5",
        &["leaf.seq", "leaf.altered"],
        "entry 4",
    ),
    (
        "cut off, with everything that tells of it",
        "DELETE FROM entry WHERE seq >= 12; DELETE FROM commitment WHERE size > 12; UPDATE head SET size = 12, root = (SELECT root FROM commitment WHERE size = 12)",
        &["guard.ahead"],
        "checkpoint of 16 entries",
    ),
    (
        "the head set back",
        "UPDATE head SET size = 12, root = (SELECT root FROM commitment WHERE size = 12)",
        &["entry.beyond"],
        "table entry, seq 12",
    ),
    (
        "the head's root",
        "UPDATE head SET root = zeroblob(32)",
        &["row.differs"],
        "table head, id 1, column root",
    ),
    (
        "the head taken away",
        "DELETE FROM head",
        &["row.absent"],
        "table head",
    ),
    (
        "a leaf's node",
        "UPDATE node SET hash = zeroblob(32) WHERE position = 0",
        &["row.differs"],
        "table node, position 0, column hash",
    ),
    (
        "an inner node",
        "UPDATE node SET hash = zeroblob(32) WHERE position = 2",
        &["row.differs"],
        "table node, position 2, column hash",
    ),
    (
        "a node taken away",
        "DELETE FROM node WHERE position = 7",
        &["row.absent"],
        "table node, position 7, column hash",
    ),
    (
        "a node too many",
        "INSERT INTO node VALUES (1000, zeroblob(32))",
        &["row.extra"],
        "table node, position 1000",
    ),
    (
        "a commit's root",
        "UPDATE commitment SET root = zeroblob(32) WHERE size = 4",
        &["row.differs"],
        "table commitment, size 4, column root",
    ),
    (
        "a commit's key",
        "UPDATE commitment SET key_id = x'00000000' WHERE size = 4",
        &["row.differs"],
        "table commitment, size 4, column key_id",
    ),
    (
        "a checkpoint of another size",
        "UPDATE commitment SET note = (SELECT note FROM commitment WHERE size = 5) WHERE size = 4",
        &["checkpoint.size"],
        "table commitment, size 4",
    ),
    (
        "a checkpoint's signature",
        "UPDATE commitment SET note = substr(note, 1, length(note) - 12) || 'AAAAAAAAAA=' || char(10) WHERE size = 4",
        &["checkpoint.signature"],
        "table commitment, size 4",
    ),
    (
        "a checkpoint that is none",
        "UPDATE commitment SET note = 'x' WHERE size = 4",
        &["checkpoint.form"],
        "table commitment, size 4",
    ),
    (
        "a checkpoint taken away",
        "UPDATE commitment SET note = NULL WHERE size = 4",
        &["checkpoint.absent"],
        "table commitment, size 4, column note",
    ),
    (
        "the newest commit's row taken away",
        "DELETE FROM commitment WHERE size = 16",
        &["row.absent"],
        "table commitment, size 16",
    ),
    (
        "a commit too many",
        "INSERT INTO commitment SELECT 99, root, key_id, note FROM commitment WHERE size = 4",
        &["row.extra"],
        "table commitment, size 99",
    ),
    (
        "an identity taken away",
        "DELETE FROM identity WHERE seq = 2",
        &["row.absent"],
        "table identity",
    ),
    (
        "an identity put in",
        "INSERT INTO identity VALUES (zeroblob(16), 3)",
        &["row.extra"],
        "table identity, key 00000000000000000000000000000000",
    ),
    (
        "an identity elsewhere",
        "UPDATE identity SET seq = 9 WHERE seq = 2",
        &["row.differs"],
        "column seq",
    ),
    (
        "a case's entry taken away",
        "DELETE FROM case_entry WHERE seq = 4",
        &["row.absent"],
        "table case_entry",
    ),
    (
        "a case's entry elsewhere",
        "UPDATE case_entry SET seq = 9 WHERE seq = 4",
        &["row.differs"],
        "table case_entry",
    ),
    (
        "a case's entry put in",
        "INSERT INTO case_entry SELECT pseudonym, 77, 5 FROM case_entry LIMIT 1",
        &["row.extra"],
        "table case_entry",
    ),
    (
        "a trace's entry taken away",
        "DELETE FROM trace_entry WHERE seq = 3",
        &["row.absent"],
        "table trace_entry",
    ),
    (
        "a type's entry taken away",
        "DELETE FROM type_entry WHERE seq = 3",
        &["row.absent"],
        "table type_entry",
    ),
    (
        "a type's entry put in",
        "INSERT INTO type_entry VALUES (1, 3)",
        &["row.extra"],
        "table type_entry",
    ),
    (
        "a type renamed",
        "UPDATE type_name SET name = 'x.other' WHERE name = 'x.test'",
        &["row.absent", "row.extra"],
        "table type_name, name x.test",
    ),
    (
        "a lookup taken away",
        "DELETE FROM lookup",
        &["row.absent"],
        "table lookup",
    ),
    (
        "a lookup put in",
        "INSERT INTO lookup VALUES (zeroblob(16), 2)",
        &["row.extra"],
        "table lookup",
    ),
    (
        "a case's file taken away",
        "DELETE FROM case_file WHERE pseudonym = (SELECT pseudonym FROM case_entry LIMIT 1)",
        &["row.absent"],
        "table case_file",
    ),
    (
        "a case's blind image",
        "UPDATE case_file SET blind = zeroblob(16) WHERE pseudonym = (SELECT pseudonym FROM case_entry LIMIT 1)",
        &["row.differs"],
        "column blind",
    ),
    (
        "a case's slot",
        "UPDATE case_file SET slot = (SELECT slot FROM entry WHERE seq = 5) WHERE pseudonym = (SELECT pseudonym FROM case_entry LIMIT 1)",
        &["row.differs"],
        "column slot",
    ),
    (
        "a trace's slot",
        "UPDATE trace_slot SET slot = (SELECT slot FROM entry WHERE seq = 5)",
        &["row.differs"],
        "table trace_slot",
    ),
    (
        "a trace's slot taken away",
        "DELETE FROM trace_slot",
        &["row.absent"],
        "table trace_slot",
    ),
    (
        "a byte of the content",
        "UPDATE entry SET sealed = CAST(sealed || x'01' AS BLOB) WHERE seq = 4",
        &["content.sealed"],
        "entry 4",
    ),
    (
        "content of another entry",
        "UPDATE entry SET sealed = (SELECT sealed FROM entry WHERE seq = 2) WHERE seq = 4",
        &["content.sealed"],
        "entry 4",
    ),
    (
        "content taken away",
        "UPDATE entry SET sealed = NULL, slot = NULL WHERE seq = 4",
        &["content.missing"],
        "entry 4",
    ),
    (
        "sealed content without its slot",
        "UPDATE entry SET slot = NULL WHERE seq = 4",
        &["content.slot"],
        "entry 4",
    ),
    (
        "another slot",
        "UPDATE entry SET slot = (SELECT slot FROM entry WHERE seq = 5) WHERE seq = 4",
        &["content.sealed"],
        "entry 4",
    ),
    (
        "a report's envelope",
        "UPDATE report SET envelope = replace(envelope, 'eyJ', 'eyK')",
        &["report.payload"],
        "column envelope",
    ),
    (
        "a report's signature",
        "UPDATE report SET envelope = replace(envelope, '\"sig\":\"', '\"sig\":\"AAAA')",
        &["report.signature"],
        "column envelope",
    ),
    (
        "a report taken away",
        "DELETE FROM report",
        &["report.absent"],
        "table report, key 07070707070707070707070707070707",
    ),
    (
        "a report's position",
        "UPDATE report SET seq = 3",
        &["row.differs"],
        "column seq",
    ),
    (
        "a report's case",
        "UPDATE report SET pseudonym = zeroblob(16)",
        &["row.differs"],
        "column pseudonym",
    ),
    (
        "a report that was never issued",
        "INSERT INTO report SELECT zeroblob(16), seq, pseudonym, requester, envelope FROM report",
        &["row.extra"],
        "table report, key 00000000000000000000000000000000",
    ),
    (
        "a catalogue put in",
        "INSERT INTO catalogue VALUES (zeroblob(32), 'x')",
        &["row.differs"],
        "table catalogue",
    ),
    (
        "a trigger",
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN SELECT 1; END",
        &["schema.differs"],
        "trigger t",
    ),
    (
        "a view",
        "CREATE VIEW v AS SELECT 1",
        &["schema.differs"],
        "view v",
    ),
    (
        "a table",
        "CREATE TABLE t (a)",
        &["schema.differs"],
        "table t",
    ),
    (
        "an index",
        "CREATE INDEX i ON entry (slot)",
        &["schema.differs"],
        "index i",
    ),
];

#[tokio::test]
async fn every_edit_is_caught_and_named() -> Outcome {
    let made = Made::new().await?;
    let sound = std::fs::read(made.paths.database())?;
    for (what, sql, wanted, place) in EDITS {
        for ending in ["-wal", "-shm"] {
            let beside = made.paths.ledger.join(format!("ledger.db{ending}"));
            match std::fs::remove_file(&beside) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        std::fs::write(made.paths.database(), &sound)?;
        assert_eq!(made.check()?.problems, [], "before: {what}");
        made.sql(sql)?;
        let check = made.check()?;
        let found = codes(&check);
        for code in *wanted {
            assert!(
                found.contains(code),
                "{what}: {found:?} {:#?}",
                check.problems
            );
        }
        assert!(
            check
                .problems
                .iter()
                .any(|p| p.place.contains(place) && wanted.contains(&p.code.as_str())),
            "{what}: {place}: {:#?}",
            check.problems
        );
        assert!(check.refused(), "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn the_first_break_and_the_last_good_point_are_named() -> Outcome {
    let made = Made::new().await?;
    made.sql("UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"type\":\"x.test\"', '\"type\":\"x.tesT\"') AS BLOB) WHERE seq IN (8, 13)")?;
    let check = made.check()?;
    let first = check.first_break.ok_or("a break")?;
    assert_eq!((first.seq, first.commit), (Some(8), Some(12)));
    assert!(first.case.is_some());
    assert_eq!(check.good_to.map(|g| g.size), Some(5));
    assert_eq!(
        check.verdicts.integrity.verdict,
        crate::verify::Integrity::Broken
    );
    Ok(())
}
