//! What a dishonest operator might do about a run whose approval is missing. He has the database, the guard file, the
//! keyring, and, where a deed says so, he uses the checkpoint key.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::{Value, json};
use whereas::ledger::{CaseLink, Id16, Leaf};

use crate::forger::{Entry, Forger, Outcome, Power};

/// The run that he would like to look better.
pub struct Run {
    /// Pseudonym of its case.
    pub case: Id16,
    /// Position of the action that nobody approved.
    pub action: u64,
    /// Position of the draft that the action rests on.
    pub draft: u64,
}

/// A deed: what he does, in a sentence, and how.
pub struct Deed {
    pub name: &'static str,
    pub does: &'static str,
    pub by: fn(&Forger, &Run) -> Outcome,
}

pub const ALL: [Deed; 12] = [
    Deed {
        name: "approval-added",
        does: "He writes an approval before the action, renumbers everything after it, and recomputes both chains, the tree and every index. He does not have the checkpoint key at hand.",
        by: |f, run| add_approval(f, run, Power::WithoutKey),
    },
    Deed {
        name: "approval-added-with-key",
        does: "The same, but he signs every checkpoint anew with the ledger's own key and writes the guard file.",
        by: |f, run| add_approval(f, run, Power::WithKey),
    },
    Deed {
        name: "approval-backdated",
        does: "An approval was posted after the action. He changes the times in its entry so that it seems to come first, and nothing else.",
        by: backdate,
    },
    Deed {
        name: "action-removed",
        does: "He deletes the row of the action.",
        by: |f, run| {
            let sql = "DELETE FROM entry WHERE seq = ?";
            f.db.execute(sql, [i64::try_from(run.action)?])?;
            Ok(())
        },
    },
    Deed {
        name: "action-removed-with-key",
        does: "He takes the action out, closes the gap, recomputes everything, and signs it anew with the ledger's own key.",
        by: |f, run| {
            let mut entries = f.entries()?;
            entries.retain(|e| e.was != Some(run.action));
            f.rewrite(entries, Power::WithKey)?;
            Ok(())
        },
    },
    Deed {
        name: "draft-swapped",
        does: "He opens the draft with the keyring, writes another text, and seals it again under the same secret; the entry stays as it is.",
        by: |f, run| {
            let mut entry = at(f, run.draft)?;
            let mut members = f.content(&entry)?;
            members.insert(
                "/data/draft".into(),
                json!("Shall I go ahead and cancel both reservations? Please confirm."),
            );
            f.set_content(&mut entry, &members)?;
            let sql = "UPDATE entry SET sealed = ? WHERE seq = ?";
            f.db.execute(sql, params![entry.sealed, i64::try_from(run.draft)?])?;
            Ok(())
        },
    },
    Deed {
        name: "content-blanked",
        does: "He sets the action's sealed content to nothing, so that it looks erased.",
        by: |f, run| {
            let sql = "UPDATE entry SET slot = NULL, sealed = NULL WHERE seq = ?";
            f.db.execute(sql, [i64::try_from(run.action)?])?;
            Ok(())
        },
    },
    Deed {
        name: "case-dropped",
        does: "He removes every entry of the case, and its rows in all tables, recomputes everything, and signs it anew with the ledger's own key.",
        by: |f, run| {
            let mut entries = f.entries()?;
            entries.retain(|e| e.leaf.case.is_none_or(|c| c.case != run.case));
            f.rewrite(entries, Power::WithKey)?;
            f.db.execute(
                "DELETE FROM case_file WHERE pseudonym = ?",
                [&run.case.0[..]],
            )?;
            f.db.execute(
                "DELETE FROM lookup WHERE seq NOT IN (SELECT seq FROM entry)",
                [],
            )?;
            Ok(())
        },
    },
    Deed {
        name: "second-pseudonym",
        does: "He files the action and what follows it under a pseudonym of its own, so that the case ends before it, recomputes everything, and signs it anew.",
        by: |f, run| {
            let other = Id16([0x5e; 16]);
            let mut entries = f.entries()?;
            for e in &mut entries {
                let Some(link) = e.leaf.case else { continue };
                if link.case == run.case && e.leaf.seq >= run.action {
                    e.leaf.case = Some(CaseLink {
                        case: other,
                        ..link
                    });
                }
            }
            f.rewrite(entries, Power::WithKey)?;
            Ok(())
        },
    },
    Deed {
        name: "type-changed",
        does: "He turns the type of the action's entry into `x.note`, so that no rule asks for an approval, and recomputes everything without the key.",
        by: |f, run| {
            let mut entries = f.entries()?;
            for e in entries.iter_mut().filter(|e| e.was == Some(run.action)) {
                e.leaf.kind = "x.note".into();
            }
            f.rewrite(entries, Power::WithoutKey)?;
            Ok(())
        },
    },
    Deed {
        name: "cut-off",
        does: "He cuts the ledger off before the action, checkpoints and all, and signs the shorter one for the guard file.",
        by: |f, run| {
            let mut entries = f.entries()?;
            entries.truncate(usize::try_from(run.action)?);
            f.rewrite(entries, Power::WithKey)?;
            f.db.execute(
                "DELETE FROM lookup WHERE seq NOT IN (SELECT seq FROM entry)",
                [],
            )?;
            f.db.execute(
                "DELETE FROM report WHERE seq NOT IN (SELECT seq FROM entry)",
                [],
            )?;
            let sql =
                "DELETE FROM case_file WHERE pseudonym NOT IN (SELECT pseudonym FROM case_entry)";
            f.db.execute(sql, [])?;
            Ok(())
        },
    },
    Deed {
        name: "index-thinned",
        does: "He deletes the rows by which the action is found in its case and trace; the entry itself stays.",
        by: |f, run| {
            let seq = i64::try_from(run.action)?;
            f.db.execute("DELETE FROM case_entry WHERE seq = ?", [seq])?;
            f.db.execute("DELETE FROM trace_entry WHERE seq = ?", [seq])?;
            Ok(())
        },
    },
];

fn at(f: &Forger, seq: u64) -> Outcome<Entry> {
    let found = f.entries()?.into_iter().find(|e| e.was == Some(seq));
    found.ok_or_else(|| format!("there is no entry {seq}").into())
}

fn approval(case_id: &Value, draft: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut members = BTreeMap::from([
        ("/id".to_owned(), json!("approval-forged")),
        ("/source".to_owned(), json!("https://forged.example")),
        ("/case_id".to_owned(), case_id.clone()),
        ("/approval_id".to_owned(), json!("approval-forged")),
        ("/actor/id".to_owned(), json!("customer")),
        ("/actor/role".to_owned(), json!("customer")),
        ("/actor/kind".to_owned(), json!("human")),
        ("/data/decision".to_owned(), json!("approved")),
        ("/data/reason".to_owned(), json!("Yes, please go ahead.")),
    ]);
    if let Some(id) = draft.get("/recommendation_id") {
        members.insert("/recommendation_id".into(), id.clone());
    }
    members
}

fn add_approval(f: &Forger, run: &Run, power: Power) -> Outcome {
    let mut entries = f.entries()?;
    let place = usize::try_from(run.action)?;
    let action = entries[place].clone();
    let members = f.content(&action)?;
    let case_id = members.get("/case_id").cloned().unwrap_or_default();
    let made = f.make(&action, "approval.decided", |made| {
        *made = approval(&case_id, &members);
    })?;
    entries.insert(place, made);
    f.rewrite(entries, power)?;
    Ok(())
}

/// The late approval is there before (see `main`): the last entry of the case of this type.
fn backdate(f: &Forger, run: &Run) -> Outcome {
    let entries = f.entries()?;
    let action = at(f, run.action)?.leaf;
    let late = entries
        .iter()
        .rev()
        .find(|e| {
            e.leaf.kind == "approval.decided" && e.leaf.case.is_some_and(|c| c.case == run.case)
        })
        .ok_or("no approval was posted afterwards")?;
    let leaf = Leaf {
        occurred: action.occurred,
        recorded: action.recorded,
        ..late.leaf.clone()
    };
    let sql = "UPDATE entry SET leaf = ? WHERE seq = ?";
    let bytes = leaf.encode();
    f.db.execute(sql, params![bytes.as_bytes(), i64::try_from(leaf.seq)?])?;
    Ok(())
}
