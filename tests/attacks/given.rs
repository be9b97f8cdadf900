//! Changes to what is given away: exports, receipts, report files. Refused, or nothing of meaning was changed.
//!
//! `WHEREAS_SEED` repeats a run; `WHEREAS_GIVEN` makes it longer.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use whereas::audit::archive::{self, Content, Scope};
use whereas::json::{Limits, canonical, parse};
use whereas::ledger::note::Vkey;
use whereas::sequencer::LedgerPaths;
use whereas::verify::{receipt, report};

use crate::dice::Dice;
use crate::exports::{self, members};
use crate::forger::{Outcome, copy};
use crate::ground::{self, Ground, NAME, open, rows, witness_key};
use crate::number;
use crate::observers::{Seen, audit, close, run};

fn dice() -> Dice {
    let seed = number("WHEREAS_SEED", 1);
    eprintln!("WHEREAS_SEED={seed}");
    Dice::new(seed)
}

/// Changes some bytes; says how.
fn change(dice: &mut Dice, bytes: &mut Vec<u8>) -> &'static str {
    let at = dice.below(bytes.len());
    match dice.below(8) {
        0 => {
            bytes.truncate(at);
            "cut short"
        }
        1 => {
            bytes.insert(at, u8::try_from(dice.below(256)).unwrap());
            "a byte inserted"
        }
        2 => {
            bytes.remove(at);
            "a byte removed"
        }
        3 => {
            let from = dice.below(bytes.len());
            let length = dice.below(64).min(bytes.len() - at.max(from));
            let piece = bytes[from..from + length].to_vec();
            bytes[at..at + length].copy_from_slice(&piece);
            "a piece copied over another"
        }
        4 => {
            bytes[at] = b"0123456789abcdefABCDEF+/= \n\"{}[],:x"[dice.below(35)];
            "another character"
        }
        _ => {
            bytes[at] ^= 1 << dice.below(8);
            "a bit turned"
        }
    }
}

/// How many changes were made, and how many of them did not matter.
fn summary(what: &str, changed: u64, same: u64, codes: &BTreeMap<String, u64>) {
    let mut codes: Vec<_> = codes.iter().collect();
    codes.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let codes: Vec<String> = codes
        .iter()
        .take(12)
        .map(|(c, n)| format!("{c} {n}"))
        .collect();
    eprintln!(
        "{what}: {changed} changed, {} refused, {same} of no meaning; {}",
        changed - same,
        codes.join(", ")
    );
}

fn keys(ground: &Ground) -> [Vkey; 2] {
    [ground.key.clone(), witness_key()]
}

#[test]
fn a_changed_receipt_is_refused() -> Outcome {
    let mut dice = dice();
    let ground = ground::ledger(40)?;
    let keys = keys(&ground);
    let (mut changed, mut same, mut codes) = (0, 0, BTreeMap::new());
    for _ in 0..number("WHEREAS_GIVEN", 2_000) {
        let original = dice.pick(&ground.receipts).clone();
        let mut bytes = original.clone().into_bytes();
        let how = change(&mut dice, &mut bytes);
        // The command reads text, and refuses bytes that are none.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if text == original {
            continue;
        }
        changed += 1;
        let check = receipt::verify(&text, &keys, None);
        match check.problems.first() {
            Some(p) => *codes.entry(p.code.as_str().to_owned()).or_default() += 1,
            None => {
                let before = receipt::verify(&original, &keys, None);
                assert_eq!(
                    serde_json::to_value(&check)?,
                    serde_json::to_value(&before)?,
                    "{how}:\n{text}"
                );
                same += 1;
            }
        }
    }
    summary("receipts", changed, same, &codes);
    // Every byte of a receipt is bound.
    assert_eq!(same, 0);
    Ok(())
}

/// All places of a value, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, v)| places(v, &format!("{at}/{name}"), found)),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(i, v)| places(v, &format!("{at}/{i}"), found)),
        _ => {}
    }
}

/// Changes something in a value; says what.
fn change_value(dice: &mut Dice, value: &mut Value) -> String {
    let mut all = Vec::new();
    places(value, "", &mut all);
    // The names of catalogues' texts have slashes; their places are no pointers.
    all.retain(|at| value.pointer(at).is_some());
    let (at, from) = (dice.pick(&all).clone(), dice.pick(&all).clone());
    let other = value.pointer(&from).cloned().unwrap();
    let kind = dice.below(5);
    let target = value.pointer_mut(&at).unwrap();
    match (kind, &mut *target) {
        (0, Value::Array(elements)) if !elements.is_empty() => {
            let i = dice.below(elements.len());
            elements.remove(i);
        }
        (1, Value::Array(elements)) if !elements.is_empty() => {
            let again = dice.pick(elements).clone();
            elements.push(again);
        }
        (2, Value::Array(elements)) if elements.len() > 1 => elements.reverse(),
        (_, Value::Object(members)) if kind < 2 && !members.is_empty() => {
            let name = members.keys().nth(dice.below(members.len())).cloned();
            members.remove(&name.unwrap());
        }
        (_, Value::Object(members)) if kind == 2 => {
            members.insert("x".to_owned(), Value::Null);
        }
        (_, Value::String(text)) if kind < 3 => text.push('A'),
        (_, Value::Number(n)) if kind < 3 => *target = (n.as_u64().unwrap_or(0) + 1).into(),
        _ => *target = other,
    }
    format!("at {at}, kind {kind}, from {from}")
}

#[test]
fn a_changed_report_is_refused() -> Outcome {
    let mut dice = dice();
    let ground = ground::ledger(40)?;
    let keys = keys(&ground);
    let judged = |bytes: &[u8]| report::verify(bytes, &keys, &[], None);
    let original: Value = serde_json::from_str(&ground.report)?;
    let before = judged(ground.report.as_bytes());
    assert!(!before.refused());
    let (mut changed, mut same, mut codes) = (0, 0, BTreeMap::new());
    for n in 0..number("WHEREAS_GIVEN", 2_000) / 4 {
        let (bytes, how) = if n % 2 == 0 {
            let mut bytes = ground.report.clone().into_bytes();
            let how = change(&mut dice, &mut bytes);
            (bytes, how.to_owned())
        } else {
            let mut value = original.clone();
            let how = change_value(&mut dice, &mut value);
            (canonical(&value).into_bytes(), how)
        };
        if parse(&bytes, Limits::default()).ok().as_ref() == Some(&original) {
            continue;
        }
        changed += 1;
        let check = judged(&bytes);
        match check.problems.first() {
            Some(p) => *codes.entry(p.code.as_str().to_owned()).or_default() += 1,
            None => {
                // A signature line of a key that is not pinned binds nobody, and its loss takes only from freshness.
                let without = |check: &whereas::verify::ReportCheck| -> Outcome<Value> {
                    let mut json = serde_json::to_value(check)?;
                    json["verdicts"]["freshness"] = Value::Null;
                    Ok(json)
                };
                assert_eq!(without(&check)?, without(&before)?, "{how}");
                let word = |c: &whereas::verify::ReportCheck| {
                    format!("{:?}", c.verdicts.freshness.verdict)
                };
                let fresh = [word(&before), "NotProven".to_owned()];
                assert!(fresh.contains(&word(&check)), "{how}: {}", word(&check));
                same += 1;
                eprintln!("accepted: {how}");
            }
        }
    }
    summary("reports", changed, same, &codes);
    Ok(())
}

/// A sealed export of the whole ledger.
fn export(ground: &Ground) -> Outcome<Vec<u8>> {
    let ledger = open(&ground.data())?;
    let bytes = exports::export(&ledger, Scope::Whole, Content::Sealed)?;
    close(ledger)?;
    Ok(bytes)
}

/// Restores into a folder that holds nothing but the keyring; gives the rows of what came of it, and what a check of the
/// whole ledger finds there.
fn restore(bytes: &[u8], ground: &Ground, data: &Path) -> Result<(Vec<String>, Seen), String> {
    let paths = LedgerPaths::below(data, NAME);
    let done = archive::import(bytes, &paths, NAME, std::slice::from_ref(&ground.key));
    // The witness's key is pinned as well: cosignatures are a part of the export.
    let mut audit = audit(ground, data);
    audit.keys.push(witness_key());
    let found = done
        .map(|_| (rows(data).unwrap(), run(&audit)))
        .map_err(|e| e.to_string());
    if paths.ledger.exists() {
        std::fs::remove_dir_all(&paths.ledger).unwrap();
    }
    if paths.guard.exists() {
        std::fs::remove_file(&paths.guard).unwrap();
    }
    found
}

#[test]
fn a_changed_export_restores_the_same_ledger_or_none_that_is_accepted() -> Outcome {
    let mut dice = dice();
    let ground = ground::ledger(20)?;
    let good = export(&ground)?;
    let data = copy(&ground.data(), &ground.beside("restored"))?;
    let paths = LedgerPaths::below(&data, NAME);
    std::fs::remove_dir_all(&paths.ledger)?;
    std::fs::remove_file(&paths.guard)?;
    let (want, sound) = restore(&good, &ground, &data)?;
    assert!(sound.accepted, "{}", sound.words);
    // Where checkpoints lie outside is the old machine's business; the record itself is the same, cosignatures included.
    let record = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter()
            .filter(|r| !r.starts_with("anchor:"))
            .collect()
    };
    assert_eq!(want, record(rows(&ground.data())?));
    let pieces = members(&good);
    assert_eq!(pieces.concat(), good);
    let key = witness_key();
    let witness = format!("Text({:?}), Blob({:?})", key.name().as_bytes(), key.id());
    assert!(want.iter().any(|r| r.contains(&witness)));
    let (mut changed, mut same, mut codes, mut later) = (0, 0, BTreeMap::new(), BTreeMap::new());
    for n in 0..number("WHEREAS_GIVEN", 2_000) / 10 {
        let mut bytes = good.clone();
        let how = if n % 3 > 0 {
            change(&mut dice, &mut bytes).to_owned()
        } else {
            let mut pieces = pieces.clone();
            let (a, b) = (dice.below(pieces.len() - 1), dice.below(pieces.len() - 1));
            let how = match dice.below(3) {
                0 => {
                    pieces.remove(a);
                    "removed"
                }
                1 => {
                    let again = pieces[a].clone();
                    pieces.insert(b, again);
                    "doubled"
                }
                _ => {
                    pieces.swap(a, b);
                    "swapped"
                }
            };
            bytes = pieces.concat();
            format!("member {a} {how}, {b}")
        };
        if bytes == good {
            continue;
        }
        changed += 1;
        match restore(&bytes, &ground, &data) {
            Ok((rows, _)) if rows == want => same += 1,
            // Restoring compares what the checkpoint signs. Content and derived rows are the next check's.
            Ok((rows, seen)) => {
                let mut differing = rows.iter().filter(|r| !want.contains(r));
                // A line that names another witness binds nobody: what is lost is that witness's word, and nothing else.
                let another = |r: &String| r.starts_with("cosignature:") && !r.contains(&witness);
                let lost = rows.len() == want.len() && differing.clone().all(another);
                assert!(lost || !seen.accepted, "{how}: {:?}", differing.next());
                for code in seen.codes {
                    *later.entry(code).or_insert(0_u64) += 1;
                }
            }
            Err(text) => {
                let text: String = text.chars().take(40).collect();
                *codes.entry(format!("“{text}”")).or_default() += 1;
            }
        }
    }
    summary("exports", changed, same, &codes);
    eprintln!("exports, restored and refused by the next check: {later:?}");
    Ok(())
}
