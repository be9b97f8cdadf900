//! By which keyed images an entry is found. One function, so that what is written and what an audit expects are the same.

use serde_json::Value;

use crate::keyring::IdKey;
use crate::ledger::Id16;

/// The blind images under which an entry of this type must be found. `member` gives a member of the event by its content
/// pointer (`/recommendation_id`), in native form.
#[must_use]
pub fn lookups(id: &IdKey, _kind: &str, member: &dyn Fn(&str) -> Option<Value>) -> Vec<Id16> {
    let recommendation = member("/recommendation_id");
    let recommendation = recommendation.as_ref().and_then(Value::as_str);
    recommendation
        .map(|text| id.blind("recommendation", text))
        .into_iter()
        .collect()
}
