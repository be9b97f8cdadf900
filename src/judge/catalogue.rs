//! Message catalogues: the words, and how a sentence is made of a template and its arguments.
//!
//! `reports/messages/README.md` documents the format, so that a page or another program can render the same text.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use super::{Absence, Arg, DatumRef, Entry, Sentence};
use crate::json::{self, Limits, pointer};
use crate::ledger::{Hash, sha256};

/// Values longer than this many characters are cut.
const LONGEST: usize = 600;

/// The words of one language.
#[derive(Debug, Clone)]
pub struct Catalogue {
    messages: BTreeMap<String, String>,
    digest: Hash,
}

/// Why bytes are not a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message catalogue cannot be used: {0}")]
pub struct CatalogueError(pub String);

/// The built-in catalogues: language and bytes.
#[must_use]
pub fn builtin() -> [(&'static str, &'static [u8]); 2] {
    [
        ("en", include_bytes!("../../reports/messages/en.json")),
        ("de", include_bytes!("../../reports/messages/de.json")),
    ]
}

impl Catalogue {
    /// Reads a catalogue: one flat JSON object of texts.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let limits = Limits {
            members: 4_096,
            ..Limits::default()
        };
        let value = json::parse(bytes, limits).map_err(|faults| {
            CatalogueError(
                faults
                    .into_iter()
                    .map(|f| f.detail)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        })?;
        let Value::Object(members) = value else {
            return Err(CatalogueError("it is not a JSON object".to_owned()));
        };
        let mut messages = BTreeMap::new();
        for (id, text) in members {
            let Value::String(text) = text else {
                return Err(CatalogueError(format!("`{id}` is not a text")));
            };
            messages.insert(id, text);
        }
        Ok(Self {
            messages,
            digest: sha256(&[bytes]),
        })
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// The text under an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&str> {
        self.messages.get(id).map(String::as_str)
    }

    /// All ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.messages.keys().map(String::as_str)
    }

    /// The word for a term, if there is one.
    #[must_use]
    pub fn term(&self, term: &str) -> Option<&str> {
        self.get(&format!("term.{term}"))
    }

    /// The heading of a part of a report: of a section of the answer by its name, or `findings`, `timeline`, `reads`, `untold`.
    #[must_use]
    pub fn heading(&self, name: &str) -> Option<&str> {
        self.get(&format!("section.{name}"))
    }

    fn state(&self, state: &str) -> String {
        self.get(&format!("state.{state}"))
            .map_or_else(|| format!("[{state}]"), str::to_owned)
    }
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// The value, in native form.
    Value(Value),
    /// Withheld from this reader.
    Withheld,
    /// Erased.
    Erased,
    /// Not shown, and nothing accounts for that.
    Missing,
    /// The disclosure is shown, and has nothing there.
    NotRecorded,
}

/// Leads from references to values.
pub trait Resolve {
    /// What a reference leads to.
    fn datum(&self, at: &DatumRef) -> Resolved;
    /// A member of a leaf, as text.
    fn member(&self, seq: u64, member: &str) -> Option<String>;
}

/// Resolves from entries.
#[derive(Debug)]
pub struct Entries<'a> {
    /// Entries by position, and by each digest that they show or account for.
    by_seq: BTreeMap<u64, &'a Entry>,
    by_digest: HashMap<Hash, (&'a Entry, Option<&'a Value>)>,
}

impl<'a> Entries<'a> {
    /// From the entries that were judged.
    #[must_use]
    pub fn new(entries: &'a [Entry]) -> Self {
        let mut by_digest = HashMap::new();
        for entry in entries {
            let absent = entry.absences.keys().map(|digest| (*digest, (entry, None)));
            let members = entry
                .opened
                .members
                .values()
                .map(|m| (m.digest, (entry, Some(&m.value))));
            let elements = entry
                .opened
                .elements
                .iter()
                .map(|(digest, value)| (*digest, (entry, Some(value))));
            // What is shown is shown, whatever is said of its absence.
            by_digest.extend(absent.chain(members).chain(elements));
        }
        Self {
            by_seq: entries
                .iter()
                .map(|entry| (entry.leaf.seq, entry))
                .collect(),
            by_digest,
        }
    }
}

impl Resolve for Entries<'_> {
    fn datum(&self, at: &DatumRef) -> Resolved {
        let found = Hash::from_b64url(&at.digest)
            .and_then(|digest| Some((digest, self.by_digest.get(&digest)?)));
        match found {
            None => Resolved::Missing,
            Some((_, (entry, Some(value)))) => {
                let found = pointer::get(value, &at.at).filter(|value| !value.is_null());
                found.map_or(Resolved::NotRecorded, |value| {
                    Resolved::Value(entry.opened.expand(value))
                })
            }
            Some((digest, (entry, None))) => match entry.absences.get(&digest) {
                Some(Absence::Erased { .. }) => Resolved::Erased,
                Some(Absence::Withheld { .. }) => Resolved::Withheld,
                None => Resolved::Missing,
            },
        }
    }

    fn member(&self, seq: u64, member: &str) -> Option<String> {
        let leaf = &self.by_seq.get(&seq)?.leaf;
        match member {
            "recorded" => Some(leaf.recorded.to_string()),
            "occurred" => Some(leaf.occurred.to_string()),
            "type" => Some(leaf.kind.clone()),
            "seq" => Some(leaf.seq.to_string()),
            member => match serde_json::from_str::<Value>(&leaf.encode())
                .ok()?
                .get(member)?
            {
                Value::String(text) => Some(text.clone()),
                value => Some(json::canonical(value)),
            },
        }
    }
}

/// The sentence in words.
#[must_use]
pub fn render(sentence: &Sentence, catalogue: &Catalogue, resolve: &impl Resolve) -> String {
    let renderer = Renderer { catalogue, resolve };
    let one = matches!(sentence.args.get("count"), Some(Arg::Count { count: 1 }));
    let plural = if one { "one" } else { "other" };
    let template = catalogue
        .get(&format!("{}#{plural}", sentence.template))
        .or_else(|| catalogue.get(&sentence.template));
    match template {
        Some(template) => renderer.fill(template, &sentence.args),
        None => format!("⟨{}⟩", sentence.template),
    }
}

/// A placeholder of a template: name and format (`term`, or nothing).
pub(super) fn placeholders(template: &str) -> Vec<(&str, &str)> {
    let inner = template
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    inner
        .map(|(inner, _)| inner.split_once(':').unwrap_or((inner, "")))
        .collect()
}

struct Renderer<'a, R> {
    catalogue: &'a Catalogue,
    resolve: &'a R,
}

impl<R: Resolve> Renderer<'_, R> {
    fn fill(&self, template: &str, args: &BTreeMap<String, Arg>) -> String {
        let mut out = String::with_capacity(template.len() * 2);
        let mut rest = template;
        while let Some((plain, after)) = rest.split_once('[') {
            self.replace(plain, args, &mut out);
            let (optional, after) = after.split_once(']').unwrap_or((after, ""));
            if placeholders(optional)
                .iter()
                .all(|(name, _)| args.contains_key(*name))
            {
                self.replace(optional, args, &mut out);
            }
            rest = after;
        }
        self.replace(rest, args, &mut out);
        out
    }

    fn replace(&self, text: &str, args: &BTreeMap<String, Arg>, out: &mut String) {
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('{') {
            out.push_str(plain);
            let (inner, after) = after.split_once('}').unwrap_or((after, ""));
            let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
            match args.get(name) {
                Some(arg) => out.push_str(&self.arg(arg, format == "term")),
                None => out.push_str(&self.catalogue.state("not_recorded")),
            }
            rest = after;
        }
        out.push_str(rest);
    }

    fn arg(&self, arg: &Arg, as_term: bool) -> String {
        match arg {
            Arg::Datum(at) => match self.resolve.datum(at) {
                Resolved::Value(value) => self.value(&value, as_term),
                Resolved::Withheld => self.catalogue.state("withheld"),
                Resolved::Erased => self.catalogue.state("erased"),
                Resolved::Missing => self.catalogue.state("missing"),
                Resolved::NotRecorded => self.catalogue.state("not_recorded"),
            },
            Arg::Member { seq, member } => match self.resolve.member(*seq, member) {
                Some(text) if member == "recorded" || member == "occurred" => plain_time(&text),
                Some(text) if member == "seq" => text,
                Some(text) => self.quoted(&text),
                None => self.catalogue.state("missing"),
            },
            Arg::Count { count } => count.to_string(),
            Arg::Term { term } => self
                .catalogue
                .term(term)
                .map_or_else(|| self.quoted(term), str::to_owned),
            Arg::List { list } => {
                self.listed(list.iter().map(|arg| self.arg(arg, as_term)).collect())
            }
        }
    }

    fn value(&self, value: &Value, as_term: bool) -> String {
        match value {
            Value::String(text) => {
                let word = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                match self.catalogue.term(text).filter(|_| as_term && word) {
                    Some(term) => term.to_owned(),
                    None => self.quoted(text),
                }
            }
            Value::Bool(yes) => self
                .catalogue
                .term(if *yes { "yes" } else { "no" })
                .unwrap_or_default()
                .to_owned(),
            Value::Array(items)
                if !items.iter().any(|item| item.is_array() || item.is_object()) =>
            {
                self.listed(items.iter().map(|item| self.value(item, as_term)).collect())
            }
            value => match value {
                Value::Number(_) => json::canonical(value),
                value => self.quoted(&json::canonical(value)),
            },
        }
    }

    fn listed(&self, mut parts: Vec<String>) -> String {
        let separator = self.catalogue.get("list.separator").unwrap_or(", ");
        let last = self.catalogue.get("list.last").unwrap_or(", ");
        match parts.pop() {
            None => self.catalogue.get("list.none").unwrap_or("–").to_owned(),
            Some(end) if parts.is_empty() => end,
            Some(end) => format!("{}{last}{end}", parts.join(separator)),
        }
    }

    /// A text from outside: in quotation marks, harmless, and not too long. Whatever is done to it, two different
    /// texts stay different.
    fn quoted(&self, text: &str) -> String {
        let open = self.catalogue.get("quote.open").unwrap_or("“");
        let close = self.catalogue.get("quote.close").unwrap_or("”");
        if let Some(digest) = short_digest(text) {
            return format!("{open}{digest}{close}");
        }
        let cut = text.chars().count() > LONGEST;
        let mut out = String::from(open);
        for c in text.chars().take(if cut { LONGEST } else { usize::MAX }) {
            push_harmless(&mut out, c);
        }
        if cut {
            out.push('…');
        }
        out.push_str(close);
        if cut {
            let digest = sha256(&[text.as_bytes()]).to_hex();
            let note = self
                .catalogue
                .get("note.cut")
                .unwrap_or("({length}, {digest})");
            let note = note.replace("{length}", &text.chars().count().to_string());
            out.push_str(&note.replace("{digest}", digest.get(..16).unwrap_or(&digest)));
        }
        out
    }
}

/// A digest, shortened: `sha256:0123456789ab…cdef`. Enough to compare by eye; the exhibit and the JSON carry all of it.
fn short_digest(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:")?;
    let whole = hex.len() == 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    if !whole {
        return None;
    }
    Some(format!("sha256:{}…{}", hex.get(..12)?, hex.get(60..)?))
}

/// Appends a character so that it cannot end the quotation, reverse the direction of writing, or hide.
fn push_harmless(out: &mut String, c: char) {
    match c {
        '“' => out.push('‘'),
        '”' => out.push('’'),
        '„' => out.push('‚'),
        '\n' => out.push('⏎'),
        '\t' | '\u{a0}' => out.push(' '),
        c if c.is_control() || is_format(c) => {
            let _ = write!(out, "‹U+{:04X}›", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Marks without a shape of their own: direction marks and overrides, joiners, tags, separators.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `2026-11-22T10:15:30.000000Z` as `2026-11-22 10:15:30 UTC`; a fraction stays when it says something.
fn plain_time(text: &str) -> String {
    let text = text.strip_suffix('Z').unwrap_or(text).replace('T', " ");
    let text = text.strip_suffix(".000000").unwrap_or(&text);
    format!("{text} UTC")
}
