//! The corpus of findings: for each code, two records that differ in one recorded fact. `README.md` documents it.
//!
//! Knows only `serde_json`, so that whoever judges records, directly or over HTTP, can use the same files.
#![expect(clippy::expect_used, reason = "a broken corpus must stop the tests")]

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// Two records, as lists of native events ready to be posted in this order.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The code that `with` must yield and `without` must not.
    pub code: String,
    /// What the difference is, in one sentence.
    pub why: String,
    /// What to ask about: `case`, or `trace` where the record belongs to no case.
    pub ask: String,
    /// The record with the defect.
    pub with: Vec<Value>,
    /// The record without.
    pub without: Vec<Value>,
    /// How many recorded facts tell the two apart, not counting what follows from them.
    pub differences: usize,
}

/// Reads all fixtures in `dir`, sorted by code, with times filled in around now.
///
/// # Panics
/// When a file cannot be read or a patch does not fit: the corpus is then broken.
pub fn load_all(dir: &Path) -> Vec<Fixture> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .expect("the corpus can be read")
        .map(|e| e.expect("entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    paths.sort();
    paths.iter().map(|path| load(dir, path)).collect()
}

/// Reads a base record, with times filled in around now.
///
/// # Panics
/// When it cannot be read.
pub fn load_base(dir: &Path, name: &str) -> Vec<Value> {
    let mut events = read(&dir.join("base").join(format!("{name}.json")));
    fill_times(&mut events);
    events
        .as_array()
        .expect("a base is a list of events")
        .clone()
}

/// The same record under other identities, so that several can be posted to one ledger: `suffix` is appended to the
/// ids of events and cases wherever they stand.
pub fn renamed(events: &[Value], suffix: &str) -> Vec<Value> {
    let append = |value: Option<&mut Value>| {
        if let Some(Value::String(text)) = value {
            text.push_str(suffix);
        }
    };
    let mut events = events.to_vec();
    for event in &mut events {
        append(event.get_mut("id"));
        append(event.get_mut("case_id"));
        for list in ["/causes", "/data/corrects"] {
            let causes = event.pointer_mut(list).and_then(Value::as_array_mut);
            causes
                .into_iter()
                .flatten()
                .for_each(|cause| append(cause.get_mut("id")));
        }
        if event.pointer("/data/resource/kind") == Some(&Value::from("case")) {
            append(event.pointer_mut("/data/resource/id"));
        }
    }
    events
}

/// Applies one operation of RFC 6902 to a list of events. The first token of a pointer may be an event's `id` in
/// place of its index.
///
/// # Panics
/// When it does not fit.
pub fn apply(events: &mut Value, op: &Value) {
    let text = |name: &str| {
        op[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is missing in {op}"))
            .to_owned()
    };
    let path = by_index(events, &text("path"));
    match op["op"].as_str() {
        Some("add") => insert(events, &path, op["value"].clone()),
        Some("remove") => {
            take(events, &path);
        }
        Some("replace") => {
            *events
                .pointer_mut(&path)
                .unwrap_or_else(|| panic!("nothing at {path}")) = op["value"].clone()
        }
        Some("move") => {
            let from = by_index(events, &text("from"));
            let value = take(events, &from);
            insert(events, &path, value);
        }
        Some("copy") => {
            let from = by_index(events, &text("from"));
            let value = events
                .pointer(&from)
                .unwrap_or_else(|| panic!("nothing at {from}"))
                .clone();
            insert(events, &path, value);
        }
        Some("test") => assert_eq!(events.pointer(&path), Some(&op["value"]), "{path}"),
        other => panic!("unknown operation {other:?}"),
    }
}

fn load(dir: &Path, path: &Path) -> Fixture {
    let file = read(path);
    let ops = |name: &str| file[name].as_array().cloned().unwrap_or_default();
    let base = file["base"].as_str().expect("a fixture names its base");
    let mut without = read(&dir.join("base").join(format!("{base}.json")));
    ops("both").iter().for_each(|op| apply(&mut without, op));
    let mut with = without.clone();
    ops("with")
        .iter()
        .chain(&ops("follows"))
        .for_each(|op| apply(&mut with, op));
    fill_times(&mut with);
    fill_times(&mut without);
    let list = |events: Value| events.as_array().expect("a list of events").clone();
    Fixture {
        code: file["code"]
            .as_str()
            .expect("a fixture names its code")
            .to_owned(),
        why: file["why"].as_str().expect("a fixture says why").to_owned(),
        ask: file["ask"].as_str().unwrap_or("case").to_owned(),
        with: list(with),
        without: list(without),
        differences: ops("with").len(),
    }
}

fn read(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn by_index(events: &Value, path: &str) -> String {
    let rest = path
        .strip_prefix('/')
        .unwrap_or_else(|| panic!("{path} is not a pointer"));
    let (first, tail) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(first, tail)| {
            (first, format!("/{tail}"))
        });
    let place = events
        .as_array()
        .and_then(|events| events.iter().position(|event| event["id"] == first));
    format!(
        "/{}{tail}",
        place.map_or_else(|| first.to_owned(), |place| place.to_string())
    )
}

fn parent<'a>(events: &'a mut Value, path: &str) -> (&'a mut Value, String) {
    let (parent, last) = path
        .rsplit_once('/')
        .unwrap_or_else(|| panic!("{path} is not a pointer"));
    let parent = events
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("nothing at {parent}"));
    (parent, last.replace("~1", "/").replace("~0", "~"))
}

fn insert(events: &mut Value, path: &str, value: Value) {
    match parent(events, path) {
        (Value::Array(items), last) if last == "-" => items.push(value),
        (Value::Array(items), last) => items.insert(last.parse().expect("an index"), value),
        (Value::Object(members), last) => {
            members.insert(last, value);
        }
        _ => panic!("nothing can be added at {path}"),
    }
}

fn take(events: &mut Value, path: &str) -> Value {
    match parent(events, path) {
        (Value::Array(items), last) => items.remove(last.parse().expect("an index")),
        (Value::Object(members), last) => members
            .remove(&last)
            .unwrap_or_else(|| panic!("nothing at {path}")),
        _ => panic!("nothing can be removed at {path}"),
    }
}

/// Replaces each text `{now-60s}` or `{now+3600s}` by that time.
fn fill_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fill_times),
        Value::Object(members) => members.values_mut().for_each(fill_times),
        Value::String(text) => {
            let offset = text
                .strip_prefix("{now")
                .and_then(|rest| rest.strip_suffix("s}"));
            if let Some(offset) = offset.and_then(|offset| offset.parse::<i64>().ok()) {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .expect("after 1970")
                    .as_secs();
                *text = rfc3339(i64::try_from(now).expect("a time of our era") + offset);
            }
        }
        _ => {}
    }
}

/// Seconds since 1970 as RFC 3339 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let day = doy - (153 * mp + 2) / 5 + 1;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}
