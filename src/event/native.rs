//! Reading one posted event.

use serde_json::{Map, Value};

use super::{flat, schema, types};
use crate::json::{self, Fault, FaultKind, pointer};
use crate::ledger::{Id16, SpanId, Timestamp, TimestampError, disclosure};

/// Top-level members that the vocabulary declares.
pub const COMMON_MEMBERS: &[&str] = &[
    "id",
    "source",
    "type",
    "time",
    "case_id",
    "trace_id",
    "span_id",
    "request_id",
    "run_id",
    "feature",
    "actor",
    "subject",
    "refs",
    "recommendation_id",
    "approval_id",
    "causes",
    "sequence",
    "data",
];

/// Most elements that one event discloses, over all its arrays of objects. Each is salted, hashed and kept apart, so
/// that two bytes of text (`{}`) become a hundred.
pub const MAX_ELEMENTS: usize = 10_000;

/// Members whose own members are disclosed one by one.
const SPREAD: [&str; 3] = ["actor", "subject", "data"];

/// What reading an event must know of where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Name of the ledger.
    pub ledger: &'a str,
    /// Origin of the ledger.
    pub origin: &'a str,
    /// The source that the token is for, when it is for one only.
    pub only_source: Option<&'a str>,
}

/// A trace id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceRef {
    /// W3C form: stands in the leaf as it is.
    W3c(Id16),
    /// Another form: the leaf carries its keyed image, the original is content.
    Other(String),
}

/// A span id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanRef {
    /// W3C form.
    W3c(SpanId),
    /// Another form.
    Other(String),
}

/// An event that was read and found to be exact and within the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    value: Map<String, Value>,
    /// Its type.
    pub kind: String,
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// Claimed time, to the microsecond.
    pub occurred: Timestamp,
    /// Case id.
    pub case_id: Option<String>,
    /// Trace id.
    pub trace: Option<TraceRef>,
    /// Span id; only with a trace.
    pub span: Option<SpanRef>,
}

impl Event {
    /// Reads one posted event, native or flat.
    ///
    /// # Errors
    /// All faults at once, with pointers from the event's own root.
    pub fn read(value: Value, context: &Context<'_>) -> Result<Self, Vec<Fault>> {
        let Value::Object(map) = value else {
            return Err(vec![fault("", "an event is a JSON object")]);
        };
        let mut faults: Vec<Fault> = reserved(&map);
        if map.values().map(elements).sum::<usize>() > MAX_ELEMENTS {
            faults.push(Fault {
                kind: FaultKind::TooLarge,
                pointer: String::new(),
                detail: format!(
                    "more than {MAX_ELEMENTS} objects in the arrays of one event; split it"
                ),
            });
            return Err(faults);
        }
        let is_flat = flat::is_flat(&map);
        let map = if is_flat {
            if !faults.is_empty() {
                return Err(faults);
            }
            flat::to_native(map, context)?
        } else {
            map
        };
        let kind = map
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let value = Value::Object(map);
        match &kind[..] {
            "" => {}
            k if types::is_service_type(k) => faults.push(fault("/type", "only the service itself writes events of this type")),
            k if types::event_type(k).is_none() && !types::is_own_type(k) => faults.push(fault(
                "/type",
                "this type is not in the vocabulary; types of your own begin with `x.` (lower-case words joined by dots, at most 128 characters)",
            )),
            _ => {}
        }
        // What was said of the type in words is not said again by the schema's pattern.
        let said = faults.iter().any(|f| f.pointer == "/type");
        let more = schema::faults(&kind, &value).into_iter();
        faults.extend(more.filter(|f| !said || f.pointer != "/type"));
        let Value::Object(map) = value else {
            return Err(faults);
        };
        let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
        let occurred = match text("time").map(|t| Timestamp::parse_rfc3339(&t)) {
            Some(Ok(time)) => Some(time),
            Some(Err(e)) => {
                faults.push(fault(
                    if is_flat { "/timestamp" } else { "/time" },
                    &e.to_string(),
                ));
                None
            }
            None => None,
        };
        if kind == "ai.audit" {
            let tenant = map
                .get("data")
                .and_then(|d| d.get("tenant_id"))
                .and_then(Value::as_str);
            if tenant.is_some_and(|t| t != context.ledger && t != context.origin) {
                faults.push(fault(if is_flat { "/tenant_id" } else { "/data/tenant_id" }, "the event names another tenant than this ledger's; it is posted to the wrong ledger"));
            }
        }
        let expires = map
            .get("data")
            .and_then(|d| d.get("expires"))
            .and_then(Value::as_str);
        if kind == "approval.required"
            && expires.is_some_and(|t| Timestamp::parse_rfc3339(t).is_err())
        {
            faults.push(fault("/data/expires", &TimestampError.to_string()));
        }
        let (Some(occurred), true) = (occurred, faults.is_empty()) else {
            return Err(faults);
        };
        let trace =
            text("trace_id").map(|t| match Id16::from_hex(&t).filter(|id| id.0 != [0; 16]) {
                Some(id) => TraceRef::W3c(id),
                None => TraceRef::Other(t),
            });
        let span = text("span_id").filter(|_| trace.is_some()).map(|s| {
            match SpanId::from_hex(&s).filter(|id| id.0 != [0; 8]) {
                Some(id) => SpanRef::W3c(id),
                None => SpanRef::Other(s),
            }
        });
        Ok(Self {
            kind,
            source: text("source").unwrap_or_default(),
            id: text("id").unwrap_or_default(),
            occurred,
            case_id: text("case_id"),
            trace,
            span,
            value: map,
        })
    }

    /// The canonical form of the native event: what a retry must equal.
    #[must_use]
    pub fn canonical(&self) -> String {
        json::canonical(&Value::Object(self.value.clone()))
    }

    /// The native event.
    #[must_use]
    pub fn value(&self) -> &Map<String, Value> {
        &self.value
    }

    /// A text member by name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value.get(name)?.as_str()
    }

    /// What becomes content: each member with its pointer. The leaf itself carries the rest in the clear (type, time,
    /// and trace and span ids of W3C form).
    #[must_use]
    pub fn members(&self) -> Vec<(String, &Value)> {
        let mut out = Vec::with_capacity(24);
        for (name, value) in &self.value {
            match name.as_str() {
                "type" => {}
                "time" if time_is_exact(value.as_str().unwrap_or_default()) => {}
                "trace_id" if matches!(self.trace, Some(TraceRef::W3c(_))) => {}
                "span_id" if matches!(self.span, Some(SpanRef::W3c(_))) => {}
                spread
                    if SPREAD.contains(&spread)
                        && value.as_object().is_some_and(|m| !m.is_empty()) =>
                {
                    let at = pointer::join("", name);
                    for (inner, v) in value.as_object().into_iter().flatten() {
                        out.push((pointer::join(&at, inner), v));
                    }
                }
                declared if COMMON_MEMBERS.contains(&declared) => {
                    out.push((pointer::join("", name), value))
                }
                _ => out.push((pointer::join("/ext", name), value)),
            }
        }
        out
    }
}

/// Whether a claimed time is fully kept by the leaf's `occurred`: UTC with `Z`, at most six fractional digits.
#[must_use]
pub fn time_is_exact(text: &str) -> bool {
    let Some(rest) = text.get(19..).and_then(|r| r.strip_suffix('Z')) else {
        return false;
    };
    text.as_bytes().get(10) == Some(&b'T')
        && (rest.is_empty()
            || rest.strip_prefix('.').is_some_and(|d| {
                (1..=6).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit())
            }))
}

/// Whether the vocabulary declares the member at this content pointer for events of this type, so that its name
/// tells nothing about the person concerned.
#[must_use]
pub fn is_declared(kind: &str, content_pointer: &str) -> bool {
    let Some(tokens) = pointer::split(content_pointer) else {
        return false;
    };
    match &tokens[..] {
        [name] => COMMON_MEMBERS.contains(&name.as_str()),
        [object, name] => {
            declared_members(kind, object).is_some_and(|names| names.iter().any(|n| n == name))
        }
        _ => false,
    }
}

fn declared_members(kind: &str, object: &str) -> Option<Vec<String>> {
    let schema = types::event_type(kind).map(schema::of_type)?;
    let definition = match object {
        "actor" => "Actor".to_owned(),
        "subject" => "Subject".to_owned(),
        "data" => (types::event_type(kind)?.data)().name,
        _ => return None,
    };
    let properties = schema
        .get("$defs")?
        .get(&definition)?
        .get("properties")?
        .as_object()?;
    Some(properties.keys().cloned().collect())
}

fn fault(at: &str, detail: &str) -> Fault {
    Fault {
        kind: FaultKind::Schema,
        pointer: at.to_owned(),
        detail: detail.to_owned(),
    }
}

/// How many elements a value discloses.
fn elements(value: &Value) -> usize {
    match value {
        Value::Array(items) => {
            let own = if disclosure::is_disclosed_by_element(items) {
                items.len()
            } else {
                0
            };
            own + items.iter().map(elements).sum::<usize>()
        }
        Value::Object(map) => map.values().map(elements).sum(),
        _ => 0,
    }
}

fn reserved(map: &Map<String, Value>) -> Vec<Fault> {
    disclosure::reserved_names(&Value::Object(map.clone()), "")
        .into_iter()
        .map(|at| {
            fault(
                &at,
                "the names `...` and `_sd` are reserved for selective disclosure; use another name",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONTEXT: Context<'_> = Context {
        ledger: "acme",
        origin: "ledger.example/acme",
        only_source: Some("wf"),
    };

    fn pointers(event: &Event) -> Vec<String> {
        event.members().into_iter().map(|m| m.0).collect()
    }

    fn places(value: Value) -> Vec<String> {
        Event::read(value, &CONTEXT)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|f| f.pointer)
            .collect()
    }

    #[test]
    fn spreads_members_and_keeps_odd_forms() -> Result<(), Vec<Fault>> {
        let event = Event::read(
            json!({
                "id": "1", "source": "wf", "type": "risk.classified", "time": "2026-01-01T01:00:00+01:00", "case_id": "C/1",
                "trace_id": "tr-123", "span_id": "00f067aa0ba902b7", "actor": {"id": "a", "shoe/size": 44}, "subject": {},
                "data": {"level": "high", "factors": []}, "zone": 1
            }),
            &CONTEXT,
        )?;
        let want = [
            "/actor/id",
            "/actor/shoe~1size",
            "/case_id",
            "/data/factors",
            "/data/level",
            "/id",
            "/source",
            "/subject",
            "/time",
            "/trace_id",
            "/ext/zone",
        ];
        assert_eq!(pointers(&event), want);
        assert_eq!(event.trace, Some(TraceRef::Other("tr-123".into())));
        assert_eq!(event.occurred.to_string(), "2026-01-01T00:00:00.000000Z");
        let plain = Event::read(
            json!({"id": "1", "source": "wf", "type": "x.own.thing", "time": "2026-01-01T01:00:00.5Z", "trace_id": "0af7651916cd43dd8448eb211c80319c"}),
            &CONTEXT,
        )?;
        assert_eq!(pointers(&plain), ["/id", "/source"]);
        Ok(())
    }

    #[test]
    fn the_flat_audit_event_becomes_native() -> Result<(), Vec<Fault>> {
        let flat = json!({
            "audit_event_id": "a1", "timestamp": "2026-01-01T00:00:00Z", "tenant_id": "acme", "user_id": "u", "request_id": "r", "trace_id": "t",
            "action": "answer", "selected_source_ids": ["s"], "cited_source_ids": [], "model_versions": ["m"], "index_versions": [], "answer_status": "success"
        });
        let event = Event::read(flat.clone(), &CONTEXT)?;
        assert_eq!(
            (
                event.kind.as_str(),
                event.source.as_str(),
                event.id.as_str()
            ),
            ("ai.audit", "wf", "a1")
        );
        assert!(pointers(&event).contains(&"/data/model_versions".to_owned()));
        let mut other = flat.clone();
        other["tenant_id"] = json!("globex");
        assert_eq!(places(other), ["/tenant_id"]);
        let several = Context {
            only_source: None,
            ..CONTEXT
        };
        assert_eq!(
            Event::read(flat, &several)
                .err()
                .map(|f| f[0].pointer.clone()),
            Some("/source".into())
        );
        Ok(())
    }

    #[test]
    fn refuses_what_is_not_in_the_vocabulary() {
        let base = |kind: &str| json!({"id": "1", "source": "wf", "type": kind, "time": "2026-01-01T00:00:00Z"});
        for bad in [
            "approval.decidid",
            "report.issued",
            "incident.opened",
            "x.",
            "x..a",
            "x.Upper",
            "X.a",
        ] {
            assert!(places(base(bad)).contains(&"/type".to_owned()), "{bad}");
        }
        let mut e = base("x.fine");
        e["data"] = json!({"list": [{"...": 1}], "_sd": 2});
        assert_eq!(places(e), ["/data/_sd", "/data/list/0/..."]);
        let mut e = base("x.fine");
        e["time"] = json!("2026-02-30T00:00:00Z");
        assert_eq!(places(e), ["/time"]);
        assert_eq!(places(json!([])), [""]);
    }

    #[test]
    fn discloses_only_so_many_elements() {
        let rows = |n: usize| vec![vec![json!({}); 1_000]; n];
        let of = |rows: Vec<Vec<Value>>| json!({"id": "1", "source": "wf", "type": "x.big", "time": "2026-01-01T00:00:00Z", "data": {"rows": rows}});
        assert_eq!(places(of(rows(10))), Vec::<String>::new());
        let faults = Event::read(of(rows(11)), &CONTEXT)
            .err()
            .unwrap_or_default();
        let kinds: Vec<FaultKind> = faults.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [FaultKind::TooLarge]);
    }

    #[test]
    fn declared_names_are_known() {
        assert!(is_declared("recommendation.drafted", "/data/draft"));
        assert!(is_declared("recommendation.drafted", "/actor/role"));
        assert!(is_declared("x.own", "/case_id"));
        assert!(!is_declared("recommendation.drafted", "/data/hiv_status"));
        assert!(!is_declared("recommendation.drafted", "/ext/x"));
    }
}
