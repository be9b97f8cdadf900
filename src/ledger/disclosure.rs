//! Disclosures: each member of an event, salted and hashed on its own (the construct of RFC 9901).
//!
//! `base64url(JSON [salt, pointer, value])` for a top-level member, `base64url(JSON [salt, value])` for an element of
//! an array of objects; the digest is `base64url(SHA-256(ASCII(disclosure)))`. A non-empty array that consists only
//! of objects is written as `[{"...": digest}, …]` in its parent, so that one element can be withheld, visibly, at its
//! place.

use serde_json::{Map, Value};

use super::hash::{Hash, b64url, decode_b64url, sha256};
use crate::json::{self, Limits, pointer, write_canonical, write_string};

/// Name of the one member of a placeholder.
pub const ELEMENT: &str = "...";

/// Member names that would be mistaken for the construct itself.
pub const RESERVED: [&str; 2] = [ELEMENT, "_sd"];

/// Bytes of a salt.
pub const SALT: usize = 16;

/// How deep a disclosure may nest, as a reader accepts it: an event's own limit and the disclosure's array.
pub const MAX_DEPTH: usize = 40;

/// What an event is committed to by, and what opens it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disclosures {
    /// Digests of the top-level disclosures, in the order of the members.
    pub top: Vec<Hash>,
    /// The disclosures' JSON texts (not yet base64url), elements right after the member that holds them.
    pub texts: Vec<String>,
}

impl Disclosures {
    /// The commitment that the leaf carries: SHA-256 over the digests, sorted by their ASCII text, each followed by a
    /// line feed. `None` when there are no digests.
    #[must_use]
    pub fn commitment(&self) -> Option<Hash> {
        commitment(&self.top)
    }
}

/// See [`Disclosures::commitment`].
#[must_use]
pub fn commitment(top: &[Hash]) -> Option<Hash> {
    if top.is_empty() {
        return None;
    }
    let mut texts: Vec<String> = top.iter().map(Hash::to_b64url).collect();
    texts.sort_unstable();
    let mut all = String::with_capacity(texts.len() * 44);
    for text in texts {
        all.push_str(&text);
        all.push('\n');
    }
    Some(sha256(&[all.as_bytes()]))
}

/// Turns an event's members into disclosures. `salt` must give fresh random salts.
///
/// The values must not contain reserved member names; see [`reserved_names`].
pub fn disclose<'a>(
    members: impl IntoIterator<Item = (&'a str, &'a Value)>,
    mut salt: impl FnMut() -> [u8; SALT],
) -> Disclosures {
    let mut out = Disclosures::default();
    for (pointer, value) in members {
        let place = out.texts.len();
        out.texts.push(String::new());
        let shown = replace_elements(value, &mut out.texts, &mut salt);
        let mut text = String::with_capacity(64);
        text.push_str("[\"");
        text.push_str(&b64url(&salt()));
        text.push_str("\",");
        write_string(pointer, &mut text);
        text.push(',');
        write_canonical(shown.as_ref().unwrap_or(value), &mut text);
        text.push(']');
        out.top.push(digest_of_text(&text));
        out.texts[place] = text;
    }
    out
}

/// The value with each array of objects replaced by placeholders; `None` when nothing had to be replaced.
fn replace_elements(
    value: &Value,
    texts: &mut Vec<String>,
    salt: &mut impl FnMut() -> [u8; SALT],
) -> Option<Value> {
    match value {
        Value::Array(items) if is_disclosed_by_element(items) => {
            let placeholders = items.iter().map(|item| {
                let shown = replace_elements(item, texts, salt);
                let mut text = String::with_capacity(64);
                text.push_str("[\"");
                text.push_str(&b64url(&salt()));
                text.push_str("\",");
                write_canonical(shown.as_ref().unwrap_or(item), &mut text);
                text.push(']');
                let digest = digest_of_text(&text);
                texts.push(text);
                Value::Object(Map::from_iter([(
                    ELEMENT.to_owned(),
                    Value::String(digest.to_b64url()),
                )]))
            });
            Some(Value::Array(placeholders.collect()))
        }
        Value::Array(items) => {
            let parts: Vec<Option<Value>> = items
                .iter()
                .map(|v| replace_elements(v, texts, salt))
                .collect();
            parts.iter().any(Option::is_some).then(|| {
                Value::Array(
                    parts
                        .into_iter()
                        .zip(items)
                        .map(|(new, old)| new.unwrap_or_else(|| old.clone()))
                        .collect(),
                )
            })
        }
        Value::Object(map) => {
            let mut changed: Option<Map<String, Value>> = None;
            for (name, v) in map {
                if let Some(new) = replace_elements(v, texts, salt) {
                    changed
                        .get_or_insert_with(|| map.clone())
                        .insert(name.clone(), new);
                }
            }
            changed.map(Value::Object)
        }
        _ => None,
    }
}

/// Whether an array is disclosed element by element: it is not empty and holds only objects.
#[must_use]
pub fn is_disclosed_by_element(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(Value::is_object)
}

/// Pointers of all members that have a reserved name.
#[must_use]
pub fn reserved_names(value: &Value, at: &str) -> Vec<String> {
    let mut out = Vec::new();
    collect_reserved(value, at, &mut out);
    out
}

fn collect_reserved(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if item.is_object() || item.is_array() {
                    collect_reserved(item, &pointer::join(at, &i.to_string()), out);
                }
            }
        }
        Value::Object(map) => {
            for (name, v) in map {
                if RESERVED.contains(&name.as_str()) {
                    out.push(pointer::join(at, name));
                }
                if v.is_object() || v.is_array() {
                    collect_reserved(v, &pointer::join(at, name), out);
                }
            }
        }
        _ => {}
    }
}

/// The base64url form of a disclosure's JSON text: what is handed out.
#[must_use]
pub fn encode(text: &str) -> String {
    b64url(text.as_bytes())
}

/// The digest of a disclosure given by its JSON text.
#[must_use]
pub fn digest_of_text(text: &str) -> Hash {
    digest(&encode(text))
}

/// The digest of a disclosure in base64url.
#[must_use]
pub fn digest(disclosure: &str) -> Hash {
    sha256(&[disclosure.as_bytes()])
}

/// A disclosure, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclosure {
    /// Its digest.
    pub digest: Hash,
    /// Where the member stands in the event; `None` for an element.
    pub pointer: Option<String>,
    /// The value; arrays of objects as placeholders.
    pub value: Value,
}

/// Why a text is not a disclosure of format v1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a disclosure is not of the form that format v1 prescribes: {0}")]
pub struct DisclosureError(pub &'static str);

/// Reads a disclosure, and refuses every text but the one that [`disclose`] writes for its values.
///
/// # Errors
/// When it is not unpadded base64url of canonical JSON `[salt, pointer, value]` or `[salt, value]`.
pub fn decode(disclosure: &str) -> Result<Disclosure, DisclosureError> {
    let bytes = decode_b64url(disclosure).ok_or(DisclosureError("it is not base64url"))?;
    let limits = Limits {
        depth: MAX_DEPTH,
        ..Limits::default()
    };
    let value =
        json::parse(&bytes, limits).map_err(|_| DisclosureError("it is not strict JSON"))?;
    if json::canonical(&value).as_bytes() != bytes {
        return Err(DisclosureError("its JSON is not in canonical form"));
    }
    let Value::Array(parts) = value else {
        return Err(DisclosureError("it is not an array"));
    };
    let mut parts = parts.into_iter();
    let salt = parts.next().and_then(|s| decode_b64url(s.as_str()?));
    if salt.is_none_or(|s| s.len() != SALT) {
        return Err(DisclosureError("its salt is not 16 bytes"));
    }
    let digest = digest(disclosure);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(value), None, None) => Ok(Disclosure {
            digest,
            pointer: None,
            value,
        }),
        (Some(Value::String(pointer)), Some(value), None) if pointer.starts_with('/') => {
            Ok(Disclosure {
                digest,
                pointer: Some(pointer),
                value,
            })
        }
        _ => Err(DisclosureError(
            "it is neither [salt, pointer, value] nor [salt, value]",
        )),
    }
}

/// The digest in a placeholder `{"...": digest}`; `None` when the value is not one.
#[must_use]
pub fn placeholder(value: &Value) -> Option<Hash> {
    let map = value.as_object()?;
    if map.len() != 1 {
        return None;
    }
    Hash::from_b64url(map.get(ELEMENT)?.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counting() -> impl FnMut() -> [u8; SALT] {
        let mut n = 0_u128;
        move || {
            n += 1;
            n.to_be_bytes()
        }
    }

    #[test]
    fn elements_stand_as_placeholders_in_their_parent() {
        let value = json!([{"claim": "a", "citations": [{"id": 1}, {"id": 2}]}, {"claim": "b", "tags": ["x", "y"]}]);
        let got = disclose([("/data/claims", &value)], counting());
        assert_eq!(got.top.len(), 1);
        assert_eq!(
            got.texts.len(),
            1 + 2 + 2,
            "one member, two claims, two citations"
        );
        let read: Vec<Disclosure> = got
            .texts
            .iter()
            .filter_map(|t| decode(&encode(t)).ok())
            .collect();
        assert_eq!(read.len(), 5);
        let member = read
            .iter()
            .find(|d| d.pointer.as_deref() == Some("/data/claims"));
        let placeholders: Vec<Hash> = member
            .and_then(|m| m.value.as_array())
            .map(|a| a.iter().filter_map(placeholder).collect())
            .unwrap_or_default();
        assert_eq!(placeholders.len(), 2);
        assert!(
            placeholders
                .iter()
                .all(|p| read.iter().any(|d| d.digest == *p && d.pointer.is_none()))
        );
    }

    #[test]
    fn an_empty_or_mixed_array_stays_whole() {
        for whole in [json!([]), json!([{"a": 1}, 2]), json!(["a"])] {
            assert_eq!(
                disclose([("/data/x", &whole)], counting()).texts.len(),
                1,
                "{whole}"
            );
        }
    }

    #[test]
    fn reserved_names_are_found_anywhere() {
        let v = json!({"a": [{"_sd": 1}], "...": {"b": {"...": 2}}});
        let mut got = reserved_names(&v, "/data");
        got.sort();
        assert_eq!(got, ["/data/...", "/data/.../b/...", "/data/a/0/_sd"]);
    }

    #[test]
    fn refuses_other_spellings() {
        let good = r#"["AAAAAAAAAAAAAAAAAAAAAQ","/id","x"]"#;
        assert!(decode(&encode(good)).is_ok());
        for bad in [
            r#"["AAAAAAAAAAAAAAAAAAAAAQ", "/id","x"]"#,
            r#"["AAAA","/id","x"]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAQ","id","x"]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAQ"]"#,
            r#"["AAAAAAAAAAAAAAAAAAAAAQ","/id","x",1]"#,
            r#"{"a":1}"#,
        ] {
            assert!(decode(&encode(bad)).is_err(), "{bad}");
        }
        assert!(decode(&format!("{}=", encode(good))).is_err(), "padding");
    }

    #[test]
    fn digests_are_those_of_rfc_9901() {
        let d = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        assert_eq!(
            digest(d).to_b64url(),
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
        );
    }
}
