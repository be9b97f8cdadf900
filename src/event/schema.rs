//! JSON Schemas (2020-12) of the event types, generated from the Rust types, and validation against them.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::flat::FlatAudit;
use super::types::{EVENT_TYPES, EventType};
use super::vocabulary::Common;
use crate::json::{Fault, FaultKind, pointer};

/// The JSON Schema of a type that producers may post.
#[must_use]
pub fn of_type(event_type: &EventType) -> Value {
    let data = (event_type.data)();
    let mut defs = Map::new();
    let mut schemas = data.schemas;
    Common::schemas(&mut schemas);
    for (name, schema) in schemas {
        defs.insert(name, plain(schema));
    }
    let data = json!({ "$ref": format!("#/$defs/{}", data.name) });
    event_schema(
        event_type.name,
        event_type.summary,
        &json!({ "const": event_type.name }),
        data,
        defs,
    )
}

/// The JSON Schema of a producer's own type: the common members, any `data`.
#[must_use]
pub fn of_own_type() -> Value {
    let mut defs = Map::new();
    let mut schemas = Vec::new();
    Common::schemas(&mut schemas);
    for (name, schema) in schemas {
        defs.insert(name, plain(schema));
    }
    let data = json!({ "type": ["object", "null"] });
    event_schema(
        "x.*",
        "A producer's own type.",
        &json!({ "type": "string", "pattern": "^x\\." }),
        data,
        defs,
    )
}

fn event_schema(
    name: &str,
    summary: &str,
    kind: &Value,
    data: Value,
    defs: Map<String, Value>,
) -> Value {
    let mut common = plain(Common::schema());
    let mut properties = common
        .get_mut("properties")
        .map(Value::take)
        .unwrap_or_else(|| json!({}));
    if let Value::Object(properties) = &mut properties {
        properties.insert("type".into(), kind.clone());
        properties.insert(
            "data".into(),
            json!({ "anyOf": [{ "type": "null" }, data] }),
        );
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": summary,
        "type": "object",
        "required": ["id", "source", "type", "time"],
        "properties": properties,
        "$defs": defs,
    })
}

/// The JSON Schema of the specification's flat audit event.
#[must_use]
pub fn of_flat_audit() -> Value {
    let mut schema = plain(FlatAudit::schema());
    if let Value::Object(map) = &mut schema {
        map.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        map.insert("title".into(), json!("ai.audit (flat)"));
    }
    schema
}

/// OpenAPI 3.1 schemas are JSON Schemas; only the place of definitions differs.
fn plain(schema: impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(schema).unwrap_or_default();
    move_references(&mut value);
    value
}

fn move_references(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/components/schemas/")
            {
                *target = format!("#/$defs/{name}");
            }
            map.values_mut().for_each(move_references);
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

struct Validators {
    by_type: HashMap<&'static str, jsonschema::Validator>,
    own: Option<jsonschema::Validator>,
    flat: Option<jsonschema::Validator>,
}

static VALIDATORS: LazyLock<Validators> = LazyLock::new(|| Validators {
    by_type: EVENT_TYPES
        .iter()
        .filter_map(|t| Some((t.name, jsonschema::validator_for(&of_type(t)).ok()?)))
        .collect(),
    own: jsonschema::validator_for(&of_own_type()).ok(),
    flat: jsonschema::validator_for(&of_flat_audit()).ok(),
});

/// All faults of an event of this type (or of the producer's own type, when it is none of the vocabulary).
#[must_use]
pub fn faults(kind: &str, event: &Value) -> Vec<Fault> {
    check(
        VALIDATORS.by_type.get(kind).or(VALIDATORS.own.as_ref()),
        event,
    )
}

/// All faults of a flat audit event.
#[must_use]
pub fn flat_faults(event: &Value) -> Vec<Fault> {
    check(VALIDATORS.flat.as_ref(), event)
}

/// All faults of a value that should be a `T`.
#[must_use]
pub fn faults_as<T: ToSchema + PartialSchema>(value: &Value) -> Vec<Fault> {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    let defs: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, plain(schema)))
        .collect();
    let mut schema = plain(T::schema());
    if let Value::Object(map) = &mut schema {
        map.insert("$defs".into(), Value::Object(defs));
    }
    check(jsonschema::validator_for(&schema).ok().as_ref(), value)
}

fn check(validator: Option<&jsonschema::Validator>, event: &Value) -> Vec<Fault> {
    let Some(validator) = validator else {
        // Tested to be unreachable; refusing is the safe side.
        return vec![fault(
            String::new(),
            "the schema of this type is not available".into(),
        )];
    };
    let mut out = Vec::new();
    if !validator.is_valid(event) {
        validator
            .iter_errors(event)
            .for_each(|e| explain(&e, &mut out));
    }
    out
}

fn fault(pointer: String, detail: String) -> Fault {
    Fault {
        kind: FaultKind::Schema,
        pointer,
        detail,
    }
}

/// A fault in words that do not repeat the value.
fn explain(error: &ValidationError<'_>, out: &mut Vec<Fault>) {
    let at = error.instance_path().to_string();
    let detail = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            out.push(fault(
                pointer::join(&at, name),
                "this member is required".into(),
            ));
            return;
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let unknown = "this member is not known here; is it misspelt?";
            out.extend(
                unexpected
                    .iter()
                    .map(|name| fault(pointer::join(&at, name), unknown.into())),
            );
            return;
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // An optional member is "null, or this": only the second alternative helps the reader.
            let branch = context
                .iter()
                .filter(|b| !b.iter().any(wants_null))
                .min_by_key(|b| b.len());
            if let Some(branch) = branch {
                branch.iter().for_each(|e| explain(e, out));
                return;
            }
            "the value has none of the allowed forms".into()
        }
        ValidationErrorKind::Type { kind } => {
            let names: Vec<String> = match kind {
                jsonschema::error::TypeKind::Single(t) => vec![t.to_string()],
                jsonschema::error::TypeKind::Multiple(ts) => ts
                    .iter()
                    .map(|t| t.to_string())
                    .filter(|t| t != "null")
                    .collect(),
            };
            format!("the value must be of type {}", names.join(" or "))
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().map_or_else(Vec::new, |o| {
                o.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect()
            });
            format!("the value must be one of: {}", options.join(", "))
        }
        ValidationErrorKind::Constant { expected_value } => {
            format!("the value must be {expected_value}")
        }
        ValidationErrorKind::MinLength { limit } => {
            format!("the text must have at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("the text must have at most {limit} characters")
        }
        ValidationErrorKind::Minimum { limit } => format!("the number must be at least {limit}"),
        ValidationErrorKind::Pattern { pattern } => format!("the text must match {pattern}"),
        other => format!("the value breaks the schema's rule `{}`", other.keyword()),
    };
    out.push(fault(at, detail));
}

fn wants_null(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { kind: jsonschema::error::TypeKind::Single(t) } if t.to_string() == "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_schema_that_compiles() {
        for t in EVENT_TYPES {
            let schema = of_type(t);
            assert!(jsonschema::meta::is_valid(&schema), "{}", t.name);
            assert!(VALIDATORS.by_type.contains_key(t.name), "{}", t.name);
        }
        assert!(VALIDATORS.own.is_some() && VALIDATORS.flat.is_some());
    }

    #[test]
    fn names_all_faults_with_their_places() {
        let event = json!({
            "id": "", "type": "approval.decided", "time": 5, "actor": {"kind": "robot"}, "causes": [{"id": "x"}],
            "data": {"decision": "aproved", "reason": 1}
        });
        let mut got: Vec<(String, String)> = faults("approval.decided", &event)
            .into_iter()
            .map(|f| (f.pointer, f.detail))
            .collect();
        got.sort();
        let places: Vec<&str> = got.iter().map(|g| g.0.as_str()).collect();
        assert_eq!(
            places,
            [
                "/actor/kind",
                "/causes/0/source",
                "/data/decision",
                "/data/reason",
                "/id",
                "/source",
                "/time"
            ],
            "{got:#?}"
        );
        let detail = |p: &str| {
            got.iter()
                .find(|g| g.0 == p)
                .map(|g| g.1.as_str())
                .unwrap_or_default()
        };
        assert_eq!(
            detail("/data/decision"),
            "the value must be one of: approved, rejected, abstained"
        );
        assert_eq!(detail("/source"), "this member is required");
        assert!(
            got.iter()
                .all(|g| !g.1.contains("aproved") && !g.1.contains("robot")),
            "values are not repeated"
        );
    }

    #[test]
    fn null_means_absent_and_unknown_members_are_kept() {
        let event = json!({"id": "1", "source": "s", "type": "risk.classified", "time": "2026-01-01T00:00:00Z", "case_id": null, "actor": null, "data": {"level": null, "more": {"x": 1}}, "extra": true});
        assert_eq!(faults("risk.classified", &event), []);
    }
}
