//! By which blind images an entry is found again: computed from its type and content alone, so that whoever holds the
//! id key and the content can compute them again and compare.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::accesses::{EVERY_CASE, RECORD_ACCESSED};
use crate::keyring::IdKey;
use crate::ledger::Id16;

/// The lookup rows of an entry, each once, in ascending order.
///
/// `members` are the members that the entry discloses, by pointer (`/recommendation_id`), arrays of objects in place.
///
/// | entry | found by |
/// |---|---|
/// | any that has a text as `/recommendation_id` | `blind("recommendation", text)` |
/// | `record.accessed` | for each case that an access names: `blind("access", pseudonym in hex)`; when an access names not all of its cases: `blind("access", "*")` |
#[must_use]
pub fn lookups<P: AsRef<str>, V: Borrow<Value>>(
    key: &IdKey,
    kind: &str,
    members: impl IntoIterator<Item = (P, V)>,
) -> Vec<Id16> {
    let mut found = BTreeSet::new();
    for (pointer, value) in members {
        let value = value.borrow();
        match pointer.as_ref() {
            "/recommendation_id" => {
                found.extend(value.as_str().map(|id| key.blind("recommendation", id)));
            }
            "/data/accesses" if kind == RECORD_ACCESSED => {
                for access in value.as_array().into_iter().flatten() {
                    let listed = access["cases"].as_array().into_iter().flatten();
                    let named = listed
                        .chain([access])
                        .filter_map(|one| one["case"].as_str());
                    found.extend(named.map(|case| key.blind("access", case)));
                    if ["cases_more", "every_case"]
                        .iter()
                        .any(|m| access.get(m).is_some())
                    {
                        found.insert(key.blind("access", EVERY_CASE));
                    }
                }
            }
            _ => {}
        }
    }
    found.into_iter().collect()
}
