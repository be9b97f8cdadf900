//! The OpenAPI document is checked in, is the code's, and is complete.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

fn document() -> Value {
    serde_json::to_value(whereas::http::openapi()).unwrap()
}

#[test]
fn the_checked_in_document_is_the_one_that_the_code_makes() {
    let stored =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json"));
    let made = whereas::http::openapi().to_pretty_json().unwrap() + "\n";
    assert!(
        stored.unwrap_or_default() == made,
        "openapi/openapi.json is not what the code says. Look at the difference, then write it anew with:\n\
         cargo run -- openapi > openapi/openapi.json"
    );
}

/// Whether a schema says by an example what its values look like; in parts, when it is an object or a list.
fn shows(schema: &Value, components: &Value, depth: usize) -> bool {
    if depth > 8 || schema.get("example").is_some() || schema.get("examples").is_some() {
        return true;
    }
    if schema.get("enum").is_some() || schema.get("const").is_some() {
        return true;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return shows(&components["schemas"][name], components, depth + 1);
    }
    if let Some(items) = schema.get("items") {
        return shows(items, components, depth + 1);
    }
    for list in ["allOf", "oneOf", "anyOf"] {
        if let Some(parts) = schema[list].as_array() {
            return parts.iter().any(|p| shows(p, components, depth + 1));
        }
    }
    match schema["properties"].as_object() {
        Some(properties) => properties.values().any(|p| shows(p, components, depth + 1)),
        None => false,
    }
}

#[test]
fn every_operation_says_what_it_is_and_shows_an_example() {
    let document = document();
    let components = &document["components"];
    let mut lacking = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{} {path}", method.to_ascii_uppercase());
            let mut need = |there: bool, what: String| {
                if !there {
                    lacking.push(format!("{place}: {what}"));
                }
            };
            let text = |v: &Value| v.as_str().is_some_and(|t| !t.trim().is_empty());
            need(text(&operation["summary"]), "a summary".into());
            need(text(&operation["description"]), "a description".into());
            need(text(&operation["operationId"]), "an operation id".into());
            need(
                operation["tags"].as_array().is_some_and(|t| t.len() == 1),
                "one tag".into(),
            );
            let security = operation["security"].as_array();
            // With a token, without one, or as the configuration says.
            let said = |s: &Vec<Value>| s.len() == 1 || s.len() == 2 && s[1] == json!({});
            need(
                security.is_some_and(said),
                "security, or that there is none".into(),
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                need(
                    text(&parameter["description"]),
                    format!("a description of the parameter {name}"),
                );
                let example = parameter.get("example").is_some()
                    || shows(&parameter["schema"], components, 0);
                need(example, format!("an example of the parameter {name}"));
            }
            let in_path = path.matches('{').count();
            let described = operation["parameters"].as_array().into_iter().flatten();
            let described = described.filter(|p| p["in"] == "path").count();
            need(in_path == described, "each parameter of the path".into());
            let body = &operation["requestBody"];
            let responses = operation["responses"].as_object().unwrap();
            let successes = responses.iter().filter(|(s, _)| s.starts_with('2'));
            need(successes.clone().count() > 0, "a success".into());
            let mut contents: Vec<(String, &Value)> = Vec::new();
            if !body.is_null() {
                contents.push(("the request's body".into(), &body["content"]));
            }
            for (status, response) in successes {
                need(
                    text(&response["description"]),
                    format!("a description of {status}"),
                );
                if status != "204" {
                    contents.push((format!("the answer {status}"), &response["content"]));
                }
            }
            for (what, content) in contents {
                let content = content.as_object();
                need(
                    content.is_some_and(|c| !c.is_empty()),
                    format!("a media type of {what}"),
                );
                for (_, media) in content.into_iter().flatten() {
                    let example = media.get("example").is_some()
                        || media.get("examples").is_some()
                        || shows(&media["schema"], components, 0);
                    need(example, format!("an example of {what}"));
                }
            }
        }
    }
    assert!(lacking.is_empty(), "these lack:\n{}", lacking.join("\n"));
}

#[test]
fn every_refusal_is_a_problem_document() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            let needs_token = operation["security"][0].get("token").is_some();
            assert_eq!(
                needs_token,
                responses.contains_key("401"),
                "{method} {path}"
            );
            for (status, response) in responses.iter().filter(|(s, _)| s.as_str() >= "4") {
                let content = response["content"].as_object().unwrap();
                let types: Vec<&String> = content.keys().collect();
                assert_eq!(
                    types,
                    ["application/problem+json"],
                    "{method} {path} {status}"
                );
                let schema = &content["application/problem+json"]["schema"]["$ref"];
                assert_eq!(
                    schema, "#/components/schemas/ProblemBody",
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[test]
fn every_member_of_every_schema_is_described() {
    let document = document();
    let mut lacking = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if schema["description"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
        {
            lacking.push(name.clone());
        }
        for (member, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["description"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
            {
                lacking.push(format!("{name}.{member}"));
            }
        }
    }
    assert!(
        lacking.is_empty(),
        "without a description: {}",
        lacking.join(", ")
    );
}
