//! Holds the modules' imports to the table in `docs/ARCHITECTURE.md`.
#![expect(
    clippy::unwrap_used,
    reason = "a test may stop where its files are not what they should be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms in the order of the table, each with the rooms that it may know.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut rooms: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, room, _, knows, _] = cells[..] else {
            continue;
        };
        let Some(room) = room.strip_prefix('`').and_then(|r| r.strip_suffix('`')) else {
            continue;
        };
        let known = if knows == "all above" {
            rooms.iter().map(|(name, _)| name.clone()).collect()
        } else {
            knows
                .split_whitespace()
                .map(|k| k.trim_matches('`').to_owned())
                .collect()
        };
        rooms.push((room.to_owned(), known));
    }
    rooms
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Which rooms a room's code names, tests and comments left out, with a file that does.
fn imports(room: &str) -> BTreeMap<String, PathBuf> {
    let mut files = Vec::new();
    sources(&root().join("src").join(room), &mut files);
    let mut found = BTreeMap::new();
    for file in files {
        let is_test = file.components().any(|c| {
            let name = c.as_os_str().to_string_lossy();
            name == "tests" || name == "tests.rs" || name == "contract.rs"
        });
        if is_test {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for after in line.split("crate::").skip(1) {
                let name: String = after
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if name != room {
                    found.entry(name).or_insert_with(|| file.clone());
                }
            }
        }
    }
    found
}

#[test]
fn every_room_knows_only_what_the_table_allows() {
    let table = table();
    let mut above: BTreeSet<String> = BTreeSet::new();
    for (room, may) in &table {
        assert!(
            may.is_subset(&above),
            "the table lets `{room}` know a room that does not stand above it"
        );
        for (known, file) in imports(room) {
            assert!(
                may.contains(&known),
                "{} uses `{known}`, which `{room}` must not know",
                file.display()
            );
        }
        above.insert(room.clone());
    }
}

#[test]
fn every_room_is_in_the_table_and_is_there() {
    let table: BTreeSet<String> = table().into_iter().map(|(room, _)| room).collect();
    let folders = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|e| e.unwrap());
    let rooms: BTreeSet<String> = folders
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(table, rooms);
    assert!(
        imports("http").contains_key("judge"),
        "the scan finds what is there"
    );
}

#[test]
fn what_verifies_reaches_no_io_clock_key_or_randomness() {
    let forbidden = [
        "std::fs",
        "std::net",
        "std::time",
        "std::process",
        "tokio",
        "diesel",
        "getrandom",
        "SigningKey",
        "SystemTime",
        "Instant",
    ];
    for room in ["json", "judge", "verify", "event"] {
        let mut files = Vec::new();
        sources(&root().join("src").join(room), &mut files);
        for file in files
            .iter()
            .filter(|f| !f.components().any(|c| c.as_os_str() == "tests"))
        {
            let text = fs::read_to_string(file).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
                for word in forbidden {
                    assert!(!line.contains(word), "{}: {line}", file.display());
                }
            }
        }
    }
}
