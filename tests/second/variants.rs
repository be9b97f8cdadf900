//! Files that somebody changed.

use serde_json::{Value, json};
use whereas::audit::archive::{Content, Scope};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::dsse::{IN_TOTO, pae};
use whereas::ledger::{Hash, b64, decode_b64, sha256};

use crate::Job;
use crate::dice::Dice;
use crate::exports::{export, members};
use crate::forger::Forger;
use crate::ground::Ground;

/// A byte changed, put in, or taken away; or the end.
fn bytes(dice: &mut Dice, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    let at = dice.below(text.len());
    match dice.below(5) {
        0 => text.truncate(at),
        1 => text.insert(at, *dice.pick(b"A0/+=\n\" {}[],:x")),
        2 => {
            text.remove(at);
        }
        3 => text[at] = *dice.pick(b"A0/+=\n\" {}[],:x"),
        _ => text[at] ^= 1 << dice.below(8),
    }
    text
}

fn job(kind: &'static str, what: impl Into<String>, bytes: Vec<u8>) -> Job {
    Job {
        what: what.into(),
        kind,
        bytes,
        checkpoints: Vec::new(),
        stolen: false,
    }
}

pub fn receipts(ground: &Ground, dice: &mut Dice, many: u64) -> Vec<Job> {
    let mut jobs: Vec<Job> = ground
        .receipts
        .iter()
        .map(|r| job("receipt", "good", r.clone().into_bytes()))
        .collect();
    for _ in 0..many {
        let receipt = dice.pick(&ground.receipts).clone();
        let other = dice.pick(&ground.receipts).clone();
        let mut lines: Vec<&str> = receipt.split('\n').collect();
        let others: Vec<&str> = other.split('\n').collect();
        let at = dice.below(lines.len());
        let changed = match dice.below(6) {
            0 => {
                lines[at] = others[dice.below(others.len())];
                lines.join("\n").into_bytes()
            }
            1 => {
                lines.remove(at);
                lines.join("\n").into_bytes()
            }
            2 => {
                lines.insert(at, others[dice.below(others.len())]);
                lines.join("\n").into_bytes()
            }
            3 => {
                let to = dice.below(lines.len());
                lines.swap(at, to);
                lines.join("\n").into_bytes()
            }
            _ => bytes(dice, receipt.as_bytes()),
        };
        jobs.push(job("receipt", format!("line {at}"), changed));
    }
    jobs
}

/// Pointers of all places in a value.
fn places(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                places(item, format!("{at}/{i}"), out);
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(item, format!("{at}/{name}"), out);
            }
        }
        _ => {}
    }
    if !at.is_empty() {
        out.push(at);
    }
}

/// Changes one place of a document; tells what.
fn edit(dice: &mut Dice, document: &mut Value) -> String {
    let mut all = Vec::new();
    places(document, String::new(), &mut all);
    let at = dice.pick(&all).clone();
    let elsewhere = document
        .pointer(dice.pick(&all[..]).as_str())
        .cloned()
        .unwrap_or_default();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    let how = dice.below(8);
    if how < 3 {
        match document.pointer_mut(parent) {
            Some(Value::Object(map)) => {
                if how == 0 {
                    map.remove(&name);
                } else {
                    let value = map.get(&name).cloned().unwrap_or_default();
                    map.insert(
                        if how == 1 { "extra".into() } else { name },
                        if how == 1 { value } else { elsewhere },
                    );
                }
            }
            Some(Value::Array(items)) => {
                let i: usize = name.parse().unwrap();
                match how {
                    0 => {
                        items.remove(i);
                    }
                    1 => items.insert(i, items[i].clone()),
                    _ => {
                        let j = dice.below(items.len());
                        items.swap(i, j);
                    }
                }
            }
            _ => {}
        }
        return format!("{at} ({how})");
    }
    let value = document.pointer_mut(&at).unwrap();
    *value = match (&*value, how) {
        (_, 3) => elsewhere,
        (_, 4) => Value::Null,
        (Value::String(text), _) if !text.is_empty() => {
            let mut chars: Vec<char> = text.chars().collect();
            let i = dice.below(chars.len());
            chars[i] = *dice.pick(&['A', 'a', '0', '-', '_', 'é', '\n']);
            Value::String(chars.into_iter().collect())
        }
        (Value::Number(n), _) => json!(n.as_u64().unwrap_or(0).wrapping_add(1) % 1_000),
        (Value::Bool(b), _) => json!(!b),
        _ => json!({}),
    };
    format!("{at} ({how})")
}

/// A report file with another payload, signed with the ledger's own report key.
fn signed_again(file: &Value, payload: &Value, forger: &Forger) -> Value {
    let payload = payload.to_string();
    let signature = forger
        .keyring
        .report()
        .sign_bytes(&pae(IN_TOTO, payload.as_bytes()));
    let mut file = file.clone();
    file["envelope"]["payload"] = json!(b64(payload.as_bytes()));
    file["envelope"]["signatures"][0]["sig"] = json!(b64(&signature));
    file
}

pub fn reports(ground: &Ground, forger: &Forger, dice: &mut Dice, many: u64) -> Vec<Job> {
    let good: Value = serde_json::from_str(&ground.report).unwrap();
    let payload = decode_b64(good["envelope"]["payload"].as_str().unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    let mut jobs = vec![job("report", "good", ground.report.clone().into_bytes())];
    for i in 0..many {
        let (what, changed) = match i % 5 {
            0 => ("bytes".to_owned(), bytes(dice, ground.report.as_bytes())),
            1 | 2 => {
                let mut file = good.clone();
                let what = edit(dice, &mut file);
                (what, file.to_string().into_bytes())
            }
            3 => {
                let mut other = payload.clone();
                let what = edit(dice, &mut other);
                let file = signed_again(&good, &other, forger);
                (
                    format!("payload:{what}, signed again"),
                    file.to_string().into_bytes(),
                )
            }
            _ => {
                // With the digest on record as well: the entry is another one then, and its proof does not hold.
                let mut other = payload.clone();
                let what = edit(dice, &mut other);
                let mut file = signed_again(&good, &other, forger);
                let old = sha256(&[payload.to_string().as_bytes()]).to_hex();
                let new = sha256(&[other.to_string().as_bytes()]).to_hex();
                for entry in file["evidence"]["entries"].as_array_mut().unwrap() {
                    if let Some(leaf) = entry["leaf"].as_str() {
                        entry["leaf"] = json!(leaf.replace(&old, &new));
                    }
                }
                (
                    format!("payload:{what}, signed and put on record"),
                    file.to_string().into_bytes(),
                )
            }
        };
        jobs.push(job("report", what, changed));
    }
    jobs
}

/// A report with checkpoints from outside: agreeing, foreign, contradicting.
pub fn outside(ground: &Ground, forger: &Forger) -> Vec<Job> {
    let file: Value = serde_json::from_str(&ground.report).unwrap();
    let note = file["evidence"]["checkpoint"].as_str().unwrap().to_owned();
    let (head, _) = Checkpoint::parse_unverified(&note).unwrap();
    let sign = |origin: &str, size, root| {
        let checkpoint = Checkpoint {
            origin: origin.to_owned(),
            size,
            root,
        };
        checkpoint.sign(&forger.keyring.checkpoint())
    };
    let other = Hash::leaf(b"another history");
    let cases = [
        ("agreeing", note.clone()),
        ("of an earlier size", ground.kept[0].clone()),
        ("contradicting", sign(&head.origin, head.size, other)),
        ("larger", sign(&head.origin, head.size + 1, other)),
        (
            "foreign",
            sign("ledger.example/other", head.size, head.root),
        ),
        ("nothing", "x\n".to_owned()),
    ];
    let make = |(what, checkpoint): (&str, String)| Job {
        what: format!("outside checkpoint {what}"),
        kind: "report",
        bytes: ground.report.clone().into_bytes(),
        checkpoints: vec![checkpoint],
        stolen: false,
    };
    cases.into_iter().map(make).collect()
}

const RESTORING: [&[u8]; 6] = [
    b"sealed/",
    b"catalogues/",
    b"reports/",
    b"cases/",
    b"traces/",
    b"lookups/",
];

/// Exports of every kind, and what somebody made of them.
pub fn exports(ground: &Ground, dice: &mut Dice, many: u64) -> Vec<Job> {
    let ledger = ground.open().unwrap();
    let blind = ledger.keyring().id.blind("case", "C-2");
    let case = ledger.reader().case_by_blind(&blind).unwrap().unwrap();
    let case = Scope::Case {
        case: case.pseudonym,
    };
    let range = Scope::Range { first: 7, last: 23 };
    let kinds = [
        (Scope::Whole, Content::None),
        (Scope::Whole, Content::Digests),
        (Scope::Whole, Content::Disclosed),
        (Scope::Whole, Content::Sealed),
        (range, Content::Digests),
        (range, Content::None),
        (case, Content::Disclosed),
    ];
    let mut good = Vec::new();
    for (scope, content) in kinds {
        let bytes = export(&ledger, scope, content).unwrap();
        good.push((format!("{scope:?} {content:?}"), bytes));
    }
    drop(ledger);
    let mut jobs: Vec<Job> = good
        .iter()
        .map(|(_, bytes)| job("export", "good", bytes.clone()))
        .collect();
    jobs.extend(good.iter().map(|(_, bytes)| Job {
        stolen: true,
        ..job("export", "good", bytes.clone())
    }));
    for n in 0..many {
        let (kind, file) = dice.pick(&good).clone();
        let mut pieces = members(&file);
        let at = dice.below(pieces.len() - 1);
        let what = if n % 4 == 0 {
            let to = dice.below(pieces.len() - 1);
            match dice.below(4) {
                0 => {
                    pieces.remove(at);
                    "left out"
                }
                1 => {
                    pieces.insert(to, pieces[at].clone());
                    "doubled"
                }
                2 => {
                    pieces.swap(at, to);
                    "exchanged"
                }
                _ => {
                    let cut = dice.below(pieces[at].len());
                    pieces[at].truncate(cut);
                    pieces.truncate(at + 1);
                    "cut"
                }
            }
        } else {
            // Within the member's bytes: its header stays, and so does its length.
            let piece = &mut pieces[at];
            // What only restoring needs, a verifier without the keyring may pass over.
            if piece.len() <= 512 || RESTORING.iter().any(|name| piece.starts_with(name)) {
                continue;
            }
            let place = 512 + dice.below(piece.len() - 512);
            piece[place] = match dice.below(3) {
                0 => *dice.pick(b"A0f/+=\n\" {}[],:x"),
                1 => piece[place] ^ (1 << dice.below(8)),
                _ => piece[512 + dice.below(piece.len() - 512)],
            };
            "a byte changed"
        };
        jobs.push(job(
            "export",
            format!("{kind}, member {at} {what}"),
            pieces.concat(),
        ));
    }
    jobs
}
