//! Opening an entry: matching disclosures with the digests that the ledger commits to.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::disclosure::{self, Disclosure, DisclosureError};
use super::hash::Hash;
use crate::json::pointer;

/// Why disclosures and digests do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// See [`DisclosureError`].
    #[error(transparent)]
    Disclosure(#[from] DisclosureError),
    /// The same disclosure is there twice.
    #[error("the disclosure with digest {0} stands twice")]
    DoubledDisclosure(String),
    /// A digest is referred to from two places.
    #[error("the digest {0} stands twice")]
    DoubledDigest(String),
    /// Two members of one entry claim the same place.
    #[error("two disclosures of one entry claim the place {0}")]
    DoubledPointer(String),
    /// The digests are not those that the leaf commits to.
    #[error("the list of digests is not the one that the leaf commits to")]
    Commitment,
    /// An element where a member should be, or the other way round.
    #[error(
        "the disclosure with digest {0} is a member where an element belongs, or the other way round"
    )]
    Misplaced(String),
    /// Nothing refers to it.
    #[error("nothing refers to the disclosure with digest {0}")]
    Unreferenced(String),
}

/// All disclosures at hand, each to be referred to exactly once.
#[derive(Debug, Default)]
pub struct Pool {
    disclosures: HashMap<Hash, Disclosure>,
    referred: std::collections::HashSet<Hash>,
}

impl Pool {
    /// Reads the disclosures (base64url).
    ///
    /// # Errors
    /// When one is malformed or stands twice.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ContentError> {
        let mut disclosures = HashMap::new();
        for text in texts {
            let d = disclosure::decode(text)?;
            let digest = d.digest;
            if disclosures.insert(digest, d).is_some() {
                return Err(ContentError::DoubledDisclosure(digest.to_b64url()));
            }
        }
        Ok(Self {
            disclosures,
            referred: Default::default(),
        })
    }

    fn refer(&mut self, digest: Hash) -> Result<Option<Disclosure>, ContentError> {
        if !self.referred.insert(digest) {
            return Err(ContentError::DoubledDigest(digest.to_b64url()));
        }
        Ok(self.disclosures.remove(&digest))
    }

    /// Opens one entry: `top` are its top-level digests, `content` is the leaf's commitment.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn open(&mut self, top: &[Hash], content: Option<Hash>) -> Result<Opened, ContentError> {
        if disclosure::commitment(top) != content {
            return Err(ContentError::Commitment);
        }
        let mut opened = Opened::default();
        for digest in top {
            match self.refer(*digest)? {
                None => opened.hidden.push(*digest),
                Some(Disclosure {
                    pointer: Some(pointer),
                    value,
                    ..
                }) => {
                    self.open_elements(&value, &mut opened)?;
                    let member = Member {
                        digest: *digest,
                        value,
                    };
                    if opened.members.insert(pointer.clone(), member).is_some() {
                        return Err(ContentError::DoubledPointer(pointer));
                    }
                }
                Some(_) => return Err(ContentError::Misplaced(digest.to_b64url())),
            }
        }
        Ok(opened)
    }

    /// Only an item of an array of objects refers to anything; what merely looks like it elsewhere is no placeholder.
    fn open_elements(&mut self, value: &Value, opened: &mut Opened) -> Result<(), ContentError> {
        match value {
            Value::Array(items) if disclosure::is_disclosed_by_element(items) => items
                .iter()
                .try_for_each(|item| match disclosure::placeholder(item) {
                    Some(digest) => self.open_element(digest, opened),
                    None => self.open_elements(item, opened),
                }),
            Value::Array(items) => items.iter().try_for_each(|v| self.open_elements(v, opened)),
            Value::Object(map) => map.values().try_for_each(|v| self.open_elements(v, opened)),
            _ => Ok(()),
        }
    }

    fn open_element(&mut self, digest: Hash, opened: &mut Opened) -> Result<(), ContentError> {
        match self.refer(digest)? {
            None => opened.hidden_elements.push(digest),
            Some(Disclosure {
                pointer: None,
                value,
                ..
            }) => {
                self.open_elements(&value, opened)?;
                opened.elements.insert(digest, value);
            }
            Some(_) => return Err(ContentError::Misplaced(digest.to_b64url())),
        }
        Ok(())
    }

    /// Checks that every disclosure was referred to.
    ///
    /// # Errors
    /// [`ContentError::Unreferenced`] for the first (by digest) that was not.
    pub fn finish(self) -> Result<(), ContentError> {
        match self.disclosures.keys().min() {
            None => Ok(()),
            Some(digest) => Err(ContentError::Unreferenced(digest.to_b64url())),
        }
    }
}

/// A top-level member that is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Digest of its disclosure.
    pub digest: Hash,
    /// Its value, arrays of objects as placeholders.
    pub value: Value,
}

/// What is shown of one entry, and what is not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opened {
    /// Shown members by pointer.
    pub members: BTreeMap<String, Member>,
    /// Top-level digests without a disclosure.
    pub hidden: Vec<Hash>,
    /// Shown elements by digest.
    pub elements: HashMap<Hash, Value>,
    /// Digests of elements that are not shown though their parent is.
    pub hidden_elements: Vec<Hash>,
}

/// A value within an entry, and the disclosure that proves it.
#[derive(Debug, Clone)]
pub struct Datum<'a> {
    /// Digest of the disclosure.
    pub digest: Hash,
    /// JSON pointer into the disclosure's value.
    pub at: String,
    /// The value; arrays of objects as placeholders.
    pub value: &'a Value,
}

/// A value, or the digest of what is not shown.
#[derive(Debug, Clone)]
pub enum Item<'a> {
    /// Shown.
    Shown(Datum<'a>),
    /// Not shown.
    Hidden(Hash),
}

impl Opened {
    /// The value at an event pointer such as `/data/draft` or `/data/resource/id`; `None` when it is not recorded,
    /// not shown, or `null`. Pointers through arrays of objects go by [`Opened::items`].
    #[must_use]
    pub fn get(&self, event_pointer: &str) -> Option<Datum<'_>> {
        let mut end = event_pointer.len();
        loop {
            let (head, tail) = event_pointer.split_at(end);
            if let Some(member) = self.members.get(head) {
                let value = pointer::get(&member.value, tail).filter(|v| !v.is_null())?;
                return Some(Datum {
                    digest: member.digest,
                    at: tail.to_owned(),
                    value,
                });
            }
            end = head.rfind('/').filter(|i| *i > 0)?;
        }
    }

    /// The text at an event pointer.
    #[must_use]
    pub fn text(&self, event_pointer: &str) -> Option<&str> {
        self.get(event_pointer)?.value.as_str()
    }

    /// The elements of the array at an event pointer; empty when there is none.
    #[must_use]
    pub fn items(&self, event_pointer: &str) -> Vec<Item<'_>> {
        self.get(event_pointer)
            .map_or_else(Vec::new, |d| self.items_of(&d))
    }

    /// The elements of an array.
    #[must_use]
    pub fn items_of<'a>(&'a self, array: &Datum<'a>) -> Vec<Item<'a>> {
        let Some(items) = array.value.as_array() else {
            return Vec::new();
        };
        let each = items
            .iter()
            .enumerate()
            .map(|(i, v)| match disclosure::placeholder(v) {
                Some(digest) => match self.elements.get(&digest) {
                    Some(value) => Item::Shown(Datum {
                        digest,
                        at: String::new(),
                        value,
                    }),
                    None => Item::Hidden(digest),
                },
                None => Item::Shown(Datum {
                    digest: array.digest,
                    at: pointer::join(&array.at, &i.to_string()),
                    value: v,
                }),
            });
        each.collect()
    }

    /// The native form of a value: placeholders replaced by what they stand for; a withheld element stays as
    /// `{"...": digest}`.
    #[must_use]
    pub fn expand(&self, value: &Value) -> Value {
        if let Some(digest) = disclosure::placeholder(value) {
            return self
                .elements
                .get(&digest)
                .map_or_else(|| value.clone(), |v| self.expand(v));
        }
        match value {
            Value::Array(items) => Value::Array(items.iter().map(|v| self.expand(v)).collect()),
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(k, v)| (k.clone(), self.expand(v)))
                    .collect(),
            ),
            v => v.clone(),
        }
    }
}

impl<'a> Datum<'a> {
    /// A member of this value, by name; `None` when absent or `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Datum<'a>> {
        let value = self.value.as_object()?.get(name).filter(|v| !v.is_null())?;
        Some(Datum {
            digest: self.digest,
            at: pointer::join(&self.at, name),
            value,
        })
    }

    /// The text of a member.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.value.as_object()?.get(name)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::super::disclosure::{Disclosures, disclose, encode};
    use super::*;
    use serde_json::json;

    fn disclosed() -> Disclosures {
        let mut n = 0_u128;
        let claims = json!([{"text": "a", "citations": [{"source_id": "s1"}]}, {"text": "b"}]);
        disclose(
            [
                ("/id", &json!("e1")),
                ("/data/claims", &claims),
                ("/data/resource", &json!({"id": "C-1"})),
            ],
            || {
                n += 1;
                n.to_be_bytes()
            },
        )
    }

    fn texts(d: &Disclosures) -> Vec<String> {
        d.texts.iter().map(|t| encode(t)).collect()
    }

    #[test]
    fn opens_what_it_closed() -> Result<(), ContentError> {
        let d = disclosed();
        let texts = texts(&d);
        let mut pool = Pool::new(texts.iter().map(String::as_str))?;
        let opened = pool.open(&d.top, d.commitment())?;
        pool.finish()?;
        assert_eq!(opened.text("/id"), Some("e1"));
        assert_eq!(opened.text("/data/resource/id"), Some("C-1"));
        assert_eq!(
            opened.get("/data/claims").map(|c| opened.expand(c.value)),
            Some(json!([{"text": "a", "citations": [{"source_id": "s1"}]}, {"text": "b"}]))
        );
        let Some(Item::Shown(claim)) = opened.items("/data/claims").into_iter().next() else {
            panic!("claim is shown")
        };
        let citations = claim
            .get("citations")
            .map(|c| opened.items_of(&c))
            .unwrap_or_default();
        assert!(matches!(&citations[..], [Item::Shown(c)] if c.text("source_id") == Some("s1")));
        Ok(())
    }

    #[test]
    fn a_withheld_element_leaves_its_place() -> Result<(), ContentError> {
        let d = disclosed();
        let texts = texts(&d);
        let b = texts.iter().find(|t| {
            disclosure::decode(t).is_ok_and(|d| d.value.get("text") == Some(&json!("b")))
        });
        let mut pool = Pool::new(texts.iter().filter(|t| Some(*t) != b).map(String::as_str))?;
        let opened = pool.open(&d.top, d.commitment())?;
        pool.finish()?;
        assert!(matches!(
            &opened.items("/data/claims")[..],
            [Item::Shown(_), Item::Hidden(_)]
        ));
        assert_eq!(opened.hidden_elements.len(), 1);
        Ok(())
    }

    #[test]
    fn refuses_what_does_not_belong() -> Result<(), ContentError> {
        let d = disclosed();
        let good = texts(&d);
        let foreign = encode(r#"["AAAAAAAAAAAAAAAAAAAAAQ","/data/forged","x"]"#);
        let mut pool = Pool::new(good.iter().map(String::as_str).chain([foreign.as_str()]))?;
        pool.open(&d.top, d.commitment())?;
        assert!(matches!(pool.finish(), Err(ContentError::Unreferenced(_))));
        assert!(matches!(
            Pool::new([good[0].as_str(), good[0].as_str()]),
            Err(ContentError::DoubledDisclosure(_))
        ));
        let mut pool = Pool::new(good.iter().map(String::as_str))?;
        assert_eq!(
            pool.open(&d.top[1..], d.commitment()),
            Err(ContentError::Commitment)
        );
        let twice = [d.top[0], d.top[0]];
        assert!(matches!(
            pool.open(&twice, disclosure::commitment(&twice)),
            Err(ContentError::DoubledDigest(_))
        ));
        let same_place = disclose([("/id", &json!(1)), ("/id", &json!(2))], {
            let mut n = 9_u128;
            move || {
                n += 1;
                n.to_be_bytes()
            }
        });
        let texts = texts(&same_place);
        let mut pool = Pool::new(texts.iter().map(String::as_str))?;
        assert!(matches!(
            pool.open(&same_place.top, same_place.commitment()),
            Err(ContentError::DoubledPointer(_))
        ));
        Ok(())
    }
}
