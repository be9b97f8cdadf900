//! `docs/threats.md` quotes what the program says; here its quotations are compared with what it says now.
//!
//! A quotation is a fenced block after a comment `<!-- said: NAME -->`. Ids, hashes, times and folders are different in
//! every run, so they are replaced before. `WHEREAS_BLESS=1` writes the page's blocks anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::forger::Outcome;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threats.md")
}

const BEGIN: &str = "<!-- said: ";

/// What a test heard, by name.
#[derive(Default)]
pub struct Said(BTreeMap<String, String>);

impl Said {
    /// Notes what the program said.
    pub fn note(&mut self, name: &str, text: &str) {
        let text = normal(text.trim_end());
        if let Some(other) = self.0.insert(name.to_owned(), text.clone()) {
            assert_eq!(other, text, "{name} was said twice, in other words");
        }
    }

    /// Compares the page's blocks whose names begin with `family/` with what was heard: none may lack on either side.
    pub fn compare(&self, family: &str) -> Outcome {
        if std::env::var_os("WHEREAS_BLESS").is_some() {
            return self.bless();
        }
        let text = fs::read_to_string(page())?;
        let quoted: BTreeMap<String, String> = blocks(&text)?.into_iter().collect();
        let prefix = format!("{family}/");
        for (name, quote) in quoted.iter().filter(|(n, _)| n.starts_with(&prefix)) {
            let heard = self.0.get(name);
            let heard = heard.ok_or_else(|| format!("nobody says {name}; docs/threats.md does"))?;
            assert_eq!(
                quote, heard,
                "docs/threats.md quotes {name} otherwise; WHEREAS_BLESS=1 mends it"
            );
        }
        let unquoted: Vec<&String> = self.0.keys().filter(|n| !quoted.contains_key(*n)).collect();
        assert!(
            unquoted.is_empty(),
            "docs/threats.md does not quote {unquoted:?}"
        );
        Ok(())
    }

    fn bless(&self) -> Outcome {
        // Tests run at the same time, each in its own process.
        let lock = File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))?;
        lock.lock()?;
        let text = fs::read_to_string(page())?;
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, name, after)) = next(rest) {
            let end = after.find("\n```\n").ok_or("a block without end")?;
            out.push_str(before);
            match self.0.get(name) {
                Some(heard) => out.push_str(heard),
                None => out.push_str(&after[..end]),
            }
            rest = &after[end..];
        }
        out.push_str(rest);
        if out != text {
            fs::write(page(), out)?;
        }
        Ok(())
    }
}

/// Up to the beginning of the next block, its name, and what follows.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.find(BEGIN)? + BEGIN.len();
    let name = at + text[at..].find(" -->")?;
    let open = "\n```text\n";
    let begin = name + text[name..].find(open)? + open.len();
    Some((&text[..begin], &text[at..name], &text[begin..]))
}

fn blocks(text: &str) -> Outcome<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, name, after)) = next(rest) {
        let end = after.find("\n```\n").ok_or("a block without end")?;
        found.push((name.to_owned(), after[..end].to_owned()));
        rest = &after[end..];
    }
    Ok(found)
}

/// With what differs in every run replaced: `ID` stands for ids and hashes, `TIME` for times, `FOLDER` for folders.
fn normal(text: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || "+/=_-:.".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if part(first) {
            rest.find(|c| !part(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        out.push_str(&replaced(&rest[..end]));
        rest = &rest[end..];
    }
    out
}

fn replaced(token: &str) -> String {
    let bare = token.trim_end_matches(['.', ':', '/']);
    let tail = &token[bare.len()..];
    let hex = bare.len() >= 16 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    let base64 = bare.len() == 44 && bare.ends_with('=');
    let time = bare.len() == 27 && bare.ends_with('Z') && bare.as_bytes()[10] == b'T';
    if hex || base64 {
        format!("ID{tail}")
    } else if time {
        format!("TIME{tail}")
    } else if let Some(at) = bare.find("/.tmp") {
        let after = bare[at + 1..].find('/').map(|s| &bare[at + 1 + s..]);
        format!("FOLDER{}{tail}", after.unwrap_or_default())
    } else {
        token.to_owned()
    }
}

/// What tests compare: a block of another family would be compared by nobody.
const FAMILIES: [&str; 9] = [
    "rewriting",
    "index",
    "truncated",
    "rollback",
    "fork",
    "liars",
    "signed",
    "receipts",
    "downgrades",
];

#[test]
fn every_quotation_is_compared_by_some_test() -> Outcome {
    let mut names = Vec::new();
    for (name, _) in blocks(&fs::read_to_string(page())?)? {
        let family = name.split('/').next().unwrap_or_default();
        assert!(FAMILIES.contains(&family), "nobody says {name}");
        assert!(!names.contains(&name), "{name} stands twice");
        names.push(name);
    }
    assert!(names.len() > 40, "{}", names.len());
    Ok(())
}

#[test]
fn what_differs_in_every_run_is_replaced() {
    let text = "at 2026-01-13T00:00:00.000000Z, root Afb6jvhVt3ZwdyGVkuLEmkYbYjuMdPkhhdtn7bJTZUE=; case d361586535ec8aab047246c4828a867e: in /tmp/.tmpAbC9x/data/guard/acme. 12345 entries";
    let want = "at TIME, root ID; case ID: in FOLDER/data/guard/acme. 12345 entries";
    assert_eq!(normal(text), want);
}
