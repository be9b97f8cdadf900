//! What the OpenAPI document says of an operation.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(whereas::http::openapi()).unwrap());

/// Every operation: method and path template.
pub fn operations() -> BTreeSet<(String, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        let methods = item.as_object().unwrap().keys();
        let methods = methods.filter(|m| *m != "parameters" && *m != "summary");
        methods
            .map(|m| (m.to_ascii_uppercase(), path.clone()))
            .collect()
    };
    paths.iter().flat_map(methods).collect()
}

/// The operation that answers a request, when there is one.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap();
    let given: Vec<&str> = path.split('/').collect();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        // The last part of a tile's address has as many groups as its number needs.
        let open = template.ends_with("/{tile}") || template.ends_with("/{bundle}");
        (parts.len() == given.len() || open && parts.len() < given.len())
            && parts
                .iter()
                .zip(&given)
                .all(|(t, g)| t.starts_with('{') || t == g)
    };
    // A literal segment goes before a parameter, as in the router.
    let best = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count());
    best?.1.get(method.to_ascii_lowercase())
}

/// Whether the document names this status and media type for the operation; what is wrong, when not.
pub fn fault(method: &str, path: &str, status: u16, media_type: &str) -> Option<String> {
    if path == "/openapi.json" && (status, media_type) == (200, "application/json") {
        return None;
    }
    let Some(operation) = operation(method, path) else {
        let known = matches!(status, 404 | 405) && media_type == "application/problem+json";
        return (!known).then(|| format!("no operation, and yet {status} {media_type}"));
    };
    let Some(response) = operation["responses"].get(status.to_string()) else {
        return Some(format!("the status {status} is not documented"));
    };
    let content = response.get("content").and_then(Value::as_object);
    let documented = content.map(|c| c.keys().cloned().collect::<Vec<_>>());
    match documented {
        None if media_type.is_empty() => None,
        Some(types) if types.iter().any(|t| t == media_type) => None,
        other => Some(format!(
            "{status} has the media type {media_type:?}, documented is {other:?}"
        )),
    }
}
