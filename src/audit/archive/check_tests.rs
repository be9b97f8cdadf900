//! Exports, sound and tampered with: every change must be refused, and most are named.

use serde_json::json;

use super::tests::{Outcome, export, ledger, paths};
use super::*;
use crate::audit::folder::Progress;
use crate::audit::source::SourceAudit;
use crate::ledger::note::Vkey;
use crate::ledger::{Hash, Leaf, Timestamp};
use crate::verify::keys::Compromise;
use crate::verify::ledger::{LedgerCheck, OutsideCheckpoint};

/// Enough for a full bundle, a tile of level 1, and a bundle that is not full.
const EVENTS: u64 = 300;

fn check(bytes: &[u8], key: &Vkey) -> Result<LedgerCheck, Box<dyn std::error::Error>> {
    check_with(bytes, key, Vec::new())
}

fn check_with(
    bytes: &[u8],
    key: &Vkey,
    checkpoints: Vec<OutsideCheckpoint>,
) -> Result<LedgerCheck, Box<dyn std::error::Error>> {
    check_stolen(bytes, key, checkpoints, Vec::new())
}

fn check_stolen(
    bytes: &[u8],
    key: &Vkey,
    checkpoints: Vec<OutsideCheckpoint>,
    compromised: Vec<Compromise>,
) -> Result<LedgerCheck, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let audit = SourceAudit {
        keys: vec![key.clone()],
        checkpoints,
        entries: Vec::new(),
        compromised,
        threads: 2,
        memory: 1 << 20,
        temporary: dir.path().to_owned(),
        now: None,
    };
    Ok(verify(bytes, &audit, &Progress::default())?)
}

fn codes(check: &LedgerCheck) -> Vec<&'static str> {
    check.counts.keys().map(|c| c.as_str()).collect()
}

fn verdicts(check: &LedgerCheck) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let v = serde_json::to_value(&check.verdicts)?;
    let names = [
        "integrity",
        "sequence",
        "content",
        "index",
        "freshness",
        "keys",
    ];
    let word = |n: &&str| v[*n]["verdict"].as_str().unwrap_or_default().to_owned();
    Ok(names.iter().map(word).collect())
}

type Members = Vec<(String, Vec<u8>)>;

fn members(bytes: &[u8]) -> Result<Members, Box<dyn std::error::Error>> {
    let mut archive = tar::Archive::new(bytes);
    let mut out = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().ok_or("a name")?.to_owned();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut body)?;
        out.push((name, body));
    }
    Ok(out)
}

fn packed(members: &Members) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, name, &body[..])?;
    }
    Ok(builder.into_inner()?)
}

/// The file with one member changed.
fn with(
    members: &Members,
    name: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut changed = members.clone();
    let member = changed.iter_mut().find(|(n, _)| n == name);
    change(&mut member.ok_or_else(|| format!("no {name}"))?.1);
    packed(&changed)
}

fn text(change: impl FnOnce(String) -> String) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| {
        let before = String::from_utf8_lossy(bytes).into_owned();
        let after = change(before.clone());
        assert_ne!(before, after, "the change changes something");
        *bytes = after.into_bytes();
    }
}

#[tokio::test]
async fn a_whole_export_is_accepted_with_whatever_content() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), EVENTS).await?;
    for (content, word) in [
        (Content::None, "not_checked"),
        (Content::Digests, "by_digests"),
        (Content::Disclosed, "checked"),
        (Content::Sealed, "not_checked"),
    ] {
        let (bytes, key) = export(dir.path(), Scope::Whole, content)?;
        let outcome = check(&bytes, &key)?;
        assert_eq!(outcome.problems, [], "{content:?}");
        assert_eq!(
            verdicts(&outcome)?,
            [
                "intact",
                "complete",
                word,
                "not_checked",
                "not_proven",
                "good"
            ]
        );
        assert!(outcome.checkpoints > 5 && outcome.size > 300);
        assert_eq!(outcome.entries, outcome.size);
        assert_eq!(outcome.good_to.map(|g| g.size), Some(outcome.size));
    }
    Ok(())
}

/// A bridge that came after the place where reading ends is not seen.
fn but_bridges(outcome: &LedgerCheck) -> Vec<&'static str> {
    let all = codes(outcome);
    all.into_iter().filter(|c| *c != "key.bridge").collect()
}

#[tokio::test]
async fn a_file_of_another_form_is_refused_and_what_was_read_is_judged() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), EVENTS).await?;
    let (bytes, key) = export(dir.path(), Scope::Whole, Content::Disclosed)?;
    let all = members(&bytes)?;
    let size = members(&bytes)?.len();
    // Cut off anywhere: in the first bundle nothing is good, behind it the first checkpoints are.
    for cut in [0, 100, 512, 5_000, bytes.len() / 2, bytes.len() - 1_024] {
        let outcome = check(&bytes[..cut], &key)?;
        assert_eq!(codes(&outcome), ["export.truncated"], "cut at {cut}");
        assert!(outcome.refused());
    }
    let first = all
        .iter()
        .position(|(n, _)| n == "tile/entries/001.p/46" || n.starts_with("tile/entries/001"));
    let cut = packed(&all[..first.ok_or("a second bundle")?].to_vec())?;
    // The blocks of zeros are there, the rest is not.
    let outcome = check(&cut, &key)?;
    assert_eq!(codes(&outcome), ["export.truncated"]);
    assert_eq!(
        verdicts(&outcome)?,
        [
            "broken",
            "not_checked",
            "not_checked",
            "not_checked",
            "not_proven",
            "not_checked"
        ]
    );
    assert_eq!(outcome.size, 256);
    let good = outcome.good_to.map(|g| g.size).unwrap_or_default();
    assert!((200..=256).contains(&good), "{good}");
    // Every member, left out, doubled, or exchanged with the next.
    for i in 0..size {
        let (name, _) = &all[i];
        let mut without = all.clone();
        without.remove(i);
        let list = name.starts_with("checkpoints/");
        let outcome = check(&packed(&without)?, &key)?;
        // A list of checkpoints or of content can be empty: then it is not there, and nobody can tell.
        if list && but_bridges(&outcome).is_empty() {
            assert_ne!(outcome.checkpoints, 0);
        } else if name.starts_with("content/") && outcome.problems.is_empty() {
            assert_eq!(verdicts(&outcome)?[2], "incomplete");
            assert!(outcome.content.missing > 0);
        } else {
            assert!(
                codes(&outcome).iter().all(|c| c.starts_with("export.")) && outcome.refused(),
                "without {name}: {:?}",
                codes(&outcome)
            );
        }
        let mut doubled = all.clone();
        doubled.insert(i, all[i].clone());
        let outcome = check(&packed(&doubled)?, &key)?;
        assert_eq!(but_bridges(&outcome), ["export.form"], "{name} twice");
        if i + 1 < size {
            let mut exchanged = all.clone();
            exchanged.swap(i, i + 1);
            let outcome = check(&packed(&exchanged)?, &key)?;
            assert_eq!(but_bridges(&outcome), ["export.form"], "{name} exchanged");
        }
    }
    let garbage = check(&[b'x'; 2_000], &key)?;
    assert_eq!(codes(&garbage), ["export.form"]);
    assert_eq!(
        verdicts(&garbage)?,
        [
            "broken",
            "not_checked",
            "not_checked",
            "not_checked",
            "not_proven",
            "not_checked"
        ]
    );
    assert!(garbage.good_to.is_none());
    Ok(())
}

#[tokio::test]
async fn what_was_changed_within_a_member_is_named() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), EVENTS).await?;
    let (bytes, key) = export(dir.path(), Scope::Whole, Content::Disclosed)?;
    let all = members(&bytes)?;
    let last = all.iter().find(|(n, _)| n.starts_with("tile/entries/001"));
    let last = last.ok_or("a bundle")?.0.replace("entries", "0");
    let flip = |at: usize| move |b: &mut Vec<u8>| b[at] ^= 1;
    let piece = |name: &str| -> Result<String, String> {
        let found = all.iter().find(|(n, _)| n.starts_with(name));
        found.map(|(n, _)| n.clone()).ok_or(name.to_owned())
    };
    let expect = |changed: Vec<u8>, wanted: &[&str], what: &str| -> Outcome {
        assert_eq!(codes(&check(&changed, &key)?), wanted, "{what}");
        Ok(())
    };
    expect(
        with(&all, "tile/0/000", flip(40))?,
        &["tile.differs"],
        "a hash of level 0",
    )?;
    expect(
        with(&all, &last, flip(40))?,
        &["tile.differs"],
        "the last tile",
    )?;
    expect(
        with(&all, "tile/1/000.p/1", flip(3))?,
        &["tile.differs"],
        "a hash of level 1",
    )?;
    let outcome = check(
        &with(&all, "tile/entries/000", |bundle| {
            let wanted = b"\"type\":\"x.a\"";
            let at = bundle.windows(wanted.len()).position(|w| w == wanted);
            bundle[at.unwrap_or_default() + 8] = b'y';
        })?,
        &key,
    )?;
    assert!(codes(&outcome).contains(&"leaf.altered"), "{outcome:?}");
    assert!(
        outcome
            .first_break
            .and_then(|p| p.seq)
            .is_some_and(|s| s < 20)
    );
    let manifest = |change: &dyn Fn(&mut serde_json::Value)| {
        with(&all, "export.json", |b| {
            let mut v: serde_json::Value = serde_json::from_slice(b).unwrap_or_default();
            change(&mut v);
            *b = format!("{v}\n").into_bytes();
        })
    };
    for (what, wanted, changed) in [
        (
            "ledger",
            "export.manifest",
            manifest(&|v| v["ledger"] = json!("ledger.example/other"))?,
        ),
        (
            "size",
            "export.manifest",
            manifest(&|v| v["size"] = json!(5))?,
        ),
        ("version", "export.form", manifest(&|v| v["v"] = json!(2))?),
        (
            "content",
            "export.form",
            manifest(&|v| v["content"] = json!("none"))?,
        ),
        (
            "content",
            "export.form",
            manifest(&|v| v["content"] = json!("digests"))?,
        ),
        (
            "content",
            "export.form",
            manifest(&|v| v["content"] = json!("sealed"))?,
        ),
        (
            "scope",
            "export.form",
            manifest(&|v| v["scope"] = json!({"range": {"first": 0, "last": 3}}))?,
        ),
        ("more", "export.form", manifest(&|v| v["more"] = json!(1))?),
        (
            "end",
            "export.manifest",
            with(&all, "end.json", text(|t| t.replace("\":3", "\":4")))?,
        ),
        (
            "note",
            "checkpoint.form",
            with(&all, "checkpoint", |b| b.truncate(20))?,
        ),
        (
            "note",
            "checkpoint.origin",
            with(&all, "checkpoint", text(|t| t.replacen("acme", "acmf", 1)))?,
        ),
        (
            "note",
            "checkpoint.signature",
            with(
                &all,
                "checkpoint",
                text(|t| {
                    let mut lines: Vec<String> = t.lines().map(str::to_owned).collect();
                    lines[2] = Hash([1; 32]).to_b64();
                    lines.join("\n") + "\n"
                }),
            )?,
        ),
        (
            "a note",
            "checkpoint.size",
            with(
                &all,
                &piece("checkpoints/000/")?,
                text(|t| t.replacen("{\"size\":2,", "{\"size\":3,", 1)),
            )?,
        ),
        (
            "a note",
            "export.form",
            with(
                &all,
                &piece("checkpoints/001/")?,
                text(|t| t.replacen("{\"size\":2", "{\"size\":1", 1)),
            )?,
        ),
        (
            "a digest",
            "content.commitment",
            with(
                &all,
                &piece("content/000/")?,
                text(|t| {
                    let at = t.find("\"digests\":[\"").unwrap_or_default() + 12;
                    let other = if t.as_bytes()[at] == b'A' { "B" } else { "A" };
                    format!("{}{other}{}", &t[..at], &t[at + 1..])
                }),
            )?,
        ),
        (
            "a digest",
            "content.form",
            with(
                &all,
                &piece("content/000/")?,
                text(|t| t.replacen("\"digests\":[\"", "\"digests\":[\"x", 1)),
            )?,
        ),
        (
            "a disclosure",
            "content.form",
            with(
                &all,
                &piece("content/000/")?,
                text(|t| {
                    let at = t.find("\"disclosures\":[\"").unwrap_or_default() + 16;
                    let end = at + t[at..].find('"').unwrap_or_default();
                    format!(
                        "{}{}{}",
                        &t[..at],
                        crate::ledger::disclosure::encode(
                            "[\"90CFTeLgabYNNj35ayigEg\",\"/actor/id\",\"u-17\"]"
                        ),
                        &t[end..]
                    )
                }),
            )?,
        ),
    ] {
        let outcome = check(&changed, &key)?;
        assert!(
            codes(&outcome).contains(&wanted),
            "{what}: {:?}",
            codes(&outcome)
        );
        assert!(outcome.refused());
    }
    // Another ledger's key.
    let other = tempfile::tempdir()?;
    ledger(other.path(), 3).await?;
    let (_, foreign) = export(other.path(), Scope::Whole, Content::None)?;
    let outcome = check(&bytes, &foreign)?;
    assert!(
        codes(&outcome).contains(&"key.pin"),
        "{:?}",
        codes(&outcome)
    );
    Ok(())
}

#[tokio::test]
async fn content_that_no_entry_commits_to_is_too_much() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), 5).await?;
    let (bytes, key) = export(dir.path(), Scope::Whole, Content::Disclosed)?;
    let all = members(&bytes)?;
    // Entry 0 has no content.
    let name = all
        .iter()
        .find(|(n, _)| n.starts_with("content/000"))
        .ok_or("content")?
        .0
        .clone();
    let line = format!(
        "{{\"seq\":0,\"digests\":[\"{}\"]}}\n",
        Hash::ZERO.to_b64url()
    );
    let outcome = check(&with(&all, &name, text(|t| line + &t))?, &key)?;
    assert_eq!(codes(&outcome), ["content.extra"]);
    Ok(())
}

fn part_lines(all: &Members) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (_, body) = all
        .iter()
        .find(|(n, _)| n == "entries/0")
        .ok_or("entries")?;
    Ok(std::str::from_utf8(body)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn leaf(line: &str) -> Result<Leaf, Box<dyn std::error::Error>> {
    let value: serde_json::Value = serde_json::from_str(line)?;
    Ok(Leaf::decode(
        value["leaf"].as_str().ok_or("a leaf")?.as_bytes(),
    )?)
}

#[tokio::test]
async fn parts_are_accepted_and_what_is_changed_in_them_is_not() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), EVENTS).await?;
    let range = Scope::Range {
        first: 10,
        last: 60,
    };
    for (content, word) in [
        (Content::None, "not_checked"),
        (Content::Digests, "by_digests"),
        (Content::Disclosed, "checked"),
    ] {
        let (bytes, key) = export(dir.path(), range, content)?;
        let outcome = check(&bytes, &key)?;
        assert_eq!(outcome.problems, [], "{content:?}");
        assert_eq!(
            verdicts(&outcome)?,
            ["intact", "part", word, "not_checked", "not_proven", "good"]
        );
        assert_eq!((outcome.entries, outcome.good_to), (51, None));
    }
    let (bytes, key) = export(dir.path(), range, Content::Disclosed)?;
    let all = members(&bytes)?;
    let lines = part_lines(&all)?;
    let case = lines
        .iter()
        .find_map(|l| leaf(l).ok()?.case)
        .ok_or("a case")?
        .case;
    // A range that goes beyond the end holds what there is; so does one of everything.
    for (first, last) in [(0, 1_000_000), (300, 1_000_000), (0, 0), (5_000, 6_000)] {
        let (bytes, key) = export(dir.path(), Scope::Range { first, last }, Content::Disclosed)?;
        assert_eq!(check(&bytes, &key)?.problems, [], "{first} to {last}");
    }
    let edit = |lines: Vec<String>| {
        let mut changed = with(&all, "entries/0", |b| {
            *b = (lines.join("\n") + "\n").into_bytes()
        })?;
        let mut again = members(&changed)?;
        for (name, body) in &mut again {
            if name == "end.json" {
                *body = format!("{{\"entries\":{}}}\n", lines.len()).into_bytes();
            }
        }
        changed = packed(&again)?;
        check(&changed, &key)
    };
    let mut gap = lines.clone();
    gap.remove(20);
    let outcome = edit(gap)?;
    assert!(
        codes(&outcome).contains(&"entry.absent"),
        "{:?}",
        codes(&outcome)
    );
    assert_eq!(outcome.first_break.and_then(|p| p.seq), Some(30));
    let mut end = lines.clone();
    end.truncate(40);
    assert_eq!(codes(&edit(end)?), ["entry.absent"]);
    let mut moved = lines.clone();
    moved.swap(3, 4);
    assert!(codes(&edit(moved)?).contains(&"leaf.seq"));
    let mut doubled = lines.clone();
    doubled.insert(5, lines[5].clone());
    assert!(codes(&edit(doubled)?).contains(&"identity.doubled"));
    let mut altered = lines.clone();
    altered[7] = altered[7].replacen("\\\"type\\\":\\\"x.", "\\\"type\\\":\\\"z.", 1);
    assert_ne!(altered, lines);
    let outcome = edit(altered)?;
    assert!(codes(&outcome).contains(&"leaf.inclusion") && codes(&outcome).contains(&"leaf.prev"));
    let mut unread = lines.clone();
    unread[7] = unread[7].replacen("\\\"v\\\":1", "\\\"v\\\":2", 1);
    assert!(codes(&edit(unread)?).contains(&"leaf.form"));
    // A range that does not say all that it holds.
    let narrow = with(
        &all,
        "export.json",
        text(|t| t.replace("\"last\":60", "\"last\":50")),
    )?;
    assert_eq!(codes(&check(&narrow, &key)?), ["part.scope"]);
    let wrong = with(&all, "end.json", text(|t| t.replace("51", "50")))?;
    assert_eq!(codes(&check(&wrong, &key)?), ["export.manifest"]);
    let backwards = with(
        &all,
        "export.json",
        text(|t| t.replace("\"last\":60", "\"last\":5")),
    )?;
    assert_eq!(codes(&check(&backwards, &key)?), ["export.form"]);
    let cut = packed(&all[..all.len() - 1].to_vec())?;
    let outcome = check(&cut, &key)?;
    assert_eq!(codes(&outcome), ["export.truncated"]);
    assert_eq!(verdicts(&outcome)?[1], "not_checked");
    // A case, whole and without its first entry.
    let (bytes, _) = export(dir.path(), Scope::Case { case }, Content::Disclosed)?;
    let outcome = check(&bytes, &key)?;
    assert_eq!(outcome.problems, []);
    assert_eq!(verdicts(&outcome)?[1], "part");
    let of_case = members(&bytes)?;
    let mut lines = part_lines(&of_case)?;
    assert!(lines.len() > 3);
    lines.remove(0);
    let beheaded = with(&of_case, "entries/0", |b| {
        *b = (lines.join("\n") + "\n").into_bytes()
    })?;
    let outcome = check(&beheaded, &key)?;
    assert_eq!(codes(&outcome), ["export.manifest", "case.gap"]);
    // Entries of a range do not make the part of a case.
    let other = with(
        &all,
        "export.json",
        text(|t| {
            t.replace(
                "{\"range\":{\"first\":10,\"last\":60}}",
                &format!("{{\"case\":{{\"case\":\"{}\"}}}}", case.to_hex()),
            )
        }),
    )?;
    assert!(codes(&check(&other, &key)?).contains(&"part.scope"));
    Ok(())
}

#[tokio::test]
async fn a_part_agrees_with_a_checkpoint_of_its_size_alone() -> Outcome {
    let dir = tempfile::tempdir()?;
    ledger(dir.path(), 20).await?;
    let (bytes, key) = export(
        dir.path(),
        Scope::Range { first: 3, last: 9 },
        Content::None,
    )?;
    let note = |size: Option<u64>| -> Result<String, Box<dyn std::error::Error>> {
        let db = rusqlite::Connection::open(paths(dir.path()).database())?;
        let wanted = size.map_or(String::new(), |s| format!("WHERE size = {s}"));
        Ok(db.query_row(
            &format!("SELECT note FROM commitment {wanted} ORDER BY size DESC"),
            [],
            |r| r.get(0),
        )?)
    };
    let kept = |note: String| OutsideCheckpoint {
        note,
        name: "the kept checkpoint".into(),
        independent: true,
    };
    let outcome = check_with(&bytes, &key, vec![kept(note(None)?)])?;
    assert_eq!(outcome.problems, []);
    assert_eq!(verdicts(&outcome)?[4], "anchored");
    let outcome = check_with(&bytes, &key, vec![kept(note(Some(2))?)])?;
    assert_eq!(codes(&outcome), ["outside.unusable"]);
    // Whoever stole the key could have written the part, unless the auditor had its checkpoint before.
    let stolen = vec![Compromise {
        key: key.clone(),
        since: Timestamp::parse_rfc3339("2020-01-01T00:00:00Z")?,
    }];
    let outcome = check_stolen(&bytes, &key, Vec::new(), stolen.clone())?;
    assert_eq!(codes(&outcome), ["key.compromised"]);
    assert_eq!(verdicts(&outcome)?[0], "unprovable");
    let outcome = check_stolen(&bytes, &key, vec![kept(note(None)?)], stolen)?;
    assert_eq!(outcome.problems, []);
    Ok(())
}
