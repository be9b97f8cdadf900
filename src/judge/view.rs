//! Looking into an entry: what is shown, what is recorded but not shown, what is not recorded.
//!
//! The difference decides what may be said. "Not recorded" is a defect of the record; "not shown" is only a limit of
//! this copy of it, and must never be reported as a defect.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Absence, Arg, DatumRef, Entry, Sentence};
use crate::ledger::content::{Datum, Item};
use crate::ledger::{Hash, Timestamp, sha256};

/// What stands at a place of an entry.
#[derive(Debug, Clone)]
pub(super) enum See<'a> {
    /// It is shown.
    Shown(Datum<'a>),
    /// It is recorded; this reader does not see it.
    Hidden(DatumRef),
    /// It may be among what is not shown.
    Unclear,
    /// It is not recorded (or `null`).
    Absent,
}

impl See<'_> {
    /// Whether it is, or may be, recorded and not shown.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self, Self::Hidden(_) | Self::Unclear)
    }
}

/// A value as far as it is known. `Hidden` covers "recorded, not shown" and "perhaps recorded".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<T> {
    Is(T),
    Absent,
    Hidden,
}

impl<T> Known<T> {
    pub(super) fn is(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Hidden => None,
        }
    }

    pub(super) fn is_hidden(&self) -> bool {
        matches!(self, Self::Hidden)
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// An entry, with the ways to read it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) entry: &'a Entry,
}

impl<'a> View<'a> {
    pub(super) fn new(entry: &'a Entry) -> Self {
        Self { entry }
    }

    pub(super) fn seq(self) -> u64 {
        self.entry.leaf.seq
    }

    pub(super) fn kind(self) -> &'a str {
        &self.entry.leaf.kind
    }

    pub(super) fn is(self, kind: &str) -> bool {
        self.kind() == kind
    }

    pub(super) fn occurred(self) -> Timestamp {
        self.entry.leaf.occurred
    }

    pub(super) fn recorded(self) -> Timestamp {
        self.entry.leaf.recorded
    }

    /// What stands at an event pointer such as `/data/resource/id`.
    pub(super) fn see(self, pointer: &str) -> See<'a> {
        let mut end = pointer.len();
        loop {
            let (head, tail) = pointer.split_at(end);
            if self.entry.opened.members.contains_key(head) {
                return self
                    .entry
                    .opened
                    .get(pointer)
                    .map_or(See::Absent, See::Shown);
            }
            if let Some(digest) = self.withheld_at(head) {
                return See::Hidden(DatumRef {
                    digest: digest.to_b64url(),
                    at: tail.to_owned(),
                });
            }
            match head.rfind('/').filter(|at| *at > 0) {
                Some(at) => end = at,
                None => break,
            }
        }
        if self.hides_unknown() {
            See::Unclear
        } else {
            See::Absent
        }
    }

    /// The text at an event pointer.
    pub(super) fn known(self, pointer: &str) -> Known<&'a str> {
        match self.see(pointer) {
            See::Shown(datum) => datum.value.as_str().map_or(Known::Absent, Known::Is),
            See::Hidden(_) | See::Unclear => Known::Hidden,
            See::Absent => Known::Absent,
        }
    }

    /// The text at an event pointer, when it is shown.
    pub(super) fn text(self, pointer: &str) -> Option<&'a str> {
        self.known(pointer).is()
    }

    /// The texts of the array at an event pointer.
    pub(super) fn texts(self, pointer: &str) -> Known<Vec<&'a str>> {
        match self.see(pointer) {
            See::Shown(datum) => match datum.value.as_array() {
                Some(items) => Known::Is(items.iter().filter_map(Value::as_str).collect()),
                None => Known::Absent,
            },
            See::Hidden(_) | See::Unclear => Known::Hidden,
            See::Absent => Known::Absent,
        }
    }

    /// The elements of the array at an event pointer.
    pub(super) fn items(self, pointer: &str) -> Known<Vec<Item<'a>>> {
        match self.see(pointer) {
            See::Shown(datum) if datum.value.is_array() => {
                Known::Is(self.entry.opened.items_of(&datum))
            }
            See::Shown(_) | See::Absent => Known::Absent,
            See::Hidden(_) | See::Unclear => Known::Hidden,
        }
    }

    /// The elements of an array within a value of this entry.
    pub(super) fn items_of(self, value: &Datum<'a>, name: &str) -> Vec<Item<'a>> {
        value
            .get(name)
            .map_or_else(Vec::new, |array| self.entry.opened.items_of(&array))
    }

    /// Whether something is recorded there, shown or not.
    pub(super) fn has(self, pointer: &str) -> Known<()> {
        match self.see(pointer) {
            See::Shown(datum)
                if datum
                    .value
                    .as_str()
                    .is_some_and(|text| text.trim().is_empty()) =>
            {
                Known::Absent
            }
            See::Shown(_) | See::Hidden(_) => Known::Is(()),
            See::Unclear => Known::Hidden,
            See::Absent => Known::Absent,
        }
    }

    /// The argument that shows what stands there; `None` when nothing is recorded or nothing is known of it.
    pub(super) fn arg(self, pointer: &str) -> Option<Arg> {
        match self.see(pointer) {
            See::Shown(datum) => Some(Arg::Datum(reference(&datum))),
            See::Hidden(at) => Some(Arg::Datum(at)),
            See::Unclear | See::Absent => None,
        }
    }

    /// Like [`View::arg`], with a word in place of what is not there.
    pub(super) fn arg_or_state(self, pointer: &str) -> Arg {
        match self.see(pointer) {
            See::Shown(datum) => Arg::Datum(reference(&datum)),
            See::Hidden(at) => Arg::Datum(at),
            See::Unclear => term("not_shown"),
            See::Absent => term("not_recorded"),
        }
    }

    /// A member of the leaf as an argument.
    pub(super) fn member(self, member: &str) -> Arg {
        Arg::Member {
            seq: self.seq(),
            member: member.to_owned(),
        }
    }

    /// (source, id), when both are shown.
    pub(super) fn identity(self) -> Option<(&'a str, &'a str)> {
        Some((self.text("/source")?, self.text("/id")?))
    }

    /// The (source, id) of the entries that brought this one about, with the place where it says so.
    pub(super) fn causes(self) -> Vec<((&'a str, &'a str), DatumRef)> {
        let items = self.items("/causes").is().unwrap_or_default();
        let causes = items.into_iter().filter_map(|item| match item {
            Item::Shown(cause) => Some((
                (cause.text("source")?, cause.text("id")?),
                reference(&cause),
            )),
            Item::Hidden(_) => None,
        });
        causes.collect()
    }

    /// The digest of the words at `text`, or else the one recorded at `digest`: `sha256:<hex>`.
    pub(super) fn content_digest(self, text: &str, digest: &str) -> Known<String> {
        match (self.known(digest), self.known(text)) {
            (Known::Is(digest), _) => Known::Is(digest.to_owned()),
            (_, Known::Is(text)) => Known::Is(digest_of(text)),
            (Known::Absent, Known::Absent) => Known::Absent,
            _ => Known::Hidden,
        }
    }

    /// Whether something is not shown whose place is not known.
    fn hides_unknown(self) -> bool {
        self.entry.opened.hidden.iter().any(|digest| {
            !matches!(
                self.entry.absences.get(digest),
                Some(Absence::Withheld { pointer: Some(_) })
            )
        })
    }

    fn withheld_at(self, pointer: &str) -> Option<Hash> {
        self.entry.opened.hidden.iter().copied().find(|digest| {
            matches!(self.entry.absences.get(digest), Some(Absence::Withheld { pointer: Some(p) }) if p == pointer)
        })
    }
}

/// `sha256:<hex>` of a text's UTF-8 bytes.
pub(super) fn digest_of(text: &str) -> String {
    format!("sha256:{}", sha256(&[text.as_bytes()]).to_hex())
}

/// Where a value stands.
pub(super) fn reference(datum: &Datum<'_>) -> DatumRef {
    DatumRef {
        digest: datum.digest.to_b64url(),
        at: datum.at.clone(),
    }
}

/// An element as an argument.
pub(super) fn item_arg(item: &Item<'_>) -> Arg {
    Arg::Datum(match item {
        Item::Shown(datum) => reference(datum),
        Item::Hidden(digest) => DatumRef {
            digest: digest.to_b64url(),
            at: String::new(),
        },
    })
}

/// A member of a shown value as an argument.
pub(super) fn member_arg(datum: &Datum<'_>, name: &str) -> Option<Arg> {
    datum.get(name).map(|member| Arg::Datum(reference(&member)))
}

/// A word of the catalogue.
pub(super) fn term(term: &str) -> Arg {
    Arg::Term {
        term: term.to_owned(),
    }
}

/// Starts a sentence.
pub(super) fn say(template: &str) -> Say {
    Say(Sentence {
        template: template.to_owned(),
        args: BTreeMap::new(),
        entries: Vec::new(),
    })
}

/// A sentence in the making.
#[derive(Debug, Clone)]
pub(super) struct Say(Sentence);

impl Say {
    /// Rests on these entries.
    pub(super) fn on<'a>(mut self, views: impl IntoIterator<Item = View<'a>>) -> Self {
        self.0.entries.extend(views.into_iter().map(View::seq));
        self
    }

    pub(super) fn arg(mut self, name: &str, arg: Arg) -> Self {
        self.0.args.insert(name.to_owned(), arg);
        self
    }

    pub(super) fn opt(self, name: &str, arg: Option<Arg>) -> Self {
        match arg {
            Some(arg) => self.arg(name, arg),
            None => self,
        }
    }

    /// What stands there, if anything does.
    pub(super) fn at(self, name: &str, view: View<'_>, pointer: &str) -> Self {
        self.opt(name, view.arg(pointer))
    }

    /// What stands there, or that nothing does.
    pub(super) fn need(self, name: &str, view: View<'_>, pointer: &str) -> Self {
        self.arg(name, view.arg_or_state(pointer))
    }

    pub(super) fn member(self, name: &str, view: View<'_>, member: &str) -> Self {
        self.arg(name, view.member(member))
    }

    pub(super) fn number(self, name: &str, count: usize) -> Self {
        self.arg(
            name,
            Arg::Count {
                count: count as u64,
            },
        )
    }

    /// The number that chooses between singular and plural.
    pub(super) fn count(self, count: usize) -> Self {
        self.number("count", count)
    }

    /// Who it was: the name as printed, else the id; the id beside the name; the role at that time.
    pub(super) fn actor(self, view: View<'_>) -> Self {
        let name = view.arg("/actor/name");
        let id = view.arg("/actor/id");
        let role = view.arg("/actor/role");
        match (name, id) {
            (Some(name), id) => self.arg("who", name).opt("actor_id", id),
            (None, Some(id)) => self.arg("who", id),
            (None, None) => match view.see("/actor/name") {
                See::Unclear => self.arg("who", term("not_shown")),
                _ => self.arg("who", term("unnamed")),
            },
        }
        .opt("role", role)
    }

    pub(super) fn done(mut self) -> Sentence {
        self.0.entries.sort_unstable();
        self.0.entries.dedup();
        self.0
    }
}
