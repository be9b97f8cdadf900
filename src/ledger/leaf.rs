//! The leaf: the exact bytes that stand for an entry in chain and tree.

mod fast;

use serde_json::{Map, Value};

use super::hash::{Hash, Id16, SpanId};
use super::time::Timestamp;
use crate::json::{self, Limits, write_canonical, write_string};

/// Largest leaf in bytes: an entry bundle writes its length in 16 bits (C2SP tlog-tiles).
pub const MAX_LEAF: usize = 65_535;

/// The entry's place in the chain of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseLink {
    /// The case's pseudonym.
    pub case: Id16,
    /// Position within the case, from 0.
    pub seq: u64,
    /// Leaf hash of the case's previous entry; zero at position 0.
    pub prev: Hash,
}

/// What a leaf says. [`Leaf::encode`] and [`Leaf::decode`] are inverse to each other, byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Origin of the ledger.
    pub ledger: String,
    /// Position in the ledger, from 0.
    pub seq: u64,
    /// Leaf hash of the entry before; zero for the first.
    pub prev: Hash,
    /// Event type.
    pub kind: String,
    /// Permanent identity of the event, keyed: unique in the ledger.
    pub eid: Hash,
    /// Place in the case's own chain.
    pub case: Option<CaseLink>,
    /// W3C trace id, or the keyed image of another id.
    pub trace: Option<Id16>,
    /// W3C span id, or the keyed image of another id; only with `trace`.
    pub span: Option<SpanId>,
    /// When it happened, as claimed.
    pub occurred: Timestamp,
    /// When the ledger took it. Never decreases.
    pub recorded: Timestamp,
    /// Random id of the principal that posted it.
    pub producer: Id16,
    /// Commitment to all top-level disclosure digests; absent if there are none.
    pub content: Option<Hash>,
    /// Public values of the service's own entries.
    pub fact: Option<Map<String, Value>>,
}

/// Why bytes are not a leaf of format v1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Longer than 65,535 bytes.
    #[error("the leaf is longer than 65,535 bytes")]
    TooLong,
    /// Not strict JSON, or not an object.
    #[error("the leaf is not a JSON object in strict form: {0}")]
    Json(String),
    /// A member that format v1 does not have.
    #[error("the leaf has the member `{0}`, which format v1 does not know")]
    Unknown(String),
    /// A required member is absent.
    #[error("the leaf lacks the member `{0}`")]
    Absent(&'static str),
    /// A member's value is not of its form.
    #[error("the leaf's member `{0}` is not of the form that format v1 prescribes")]
    Malformed(&'static str),
    /// Right values, other bytes.
    #[error("the leaf is not in canonical form")]
    NotCanonical,
}

impl Leaf {
    /// The canonical bytes: sorted members, no white space.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(640);
        let mut sep = '{';
        let mut name = |out: &mut String, n: &str| {
            out.push(sep);
            sep = ',';
            out.push('"');
            out.push_str(n);
            out.push_str("\":");
        };
        let quoted = |out: &mut String, s: &str| {
            out.push('"');
            out.push_str(s);
            out.push('"');
        };
        if let Some(c) = &self.case {
            name(&mut out, "case");
            quoted(&mut out, &c.case.to_hex());
            name(&mut out, "case_prev");
            quoted(&mut out, &c.prev.to_hex());
            name(&mut out, "case_seq");
            out.push_str(&c.seq.to_string());
        }
        if let Some(c) = &self.content {
            name(&mut out, "content");
            quoted(&mut out, &c.to_b64url());
        }
        name(&mut out, "eid");
        quoted(&mut out, &self.eid.to_b64url());
        if let Some(fact) = &self.fact {
            name(&mut out, "fact");
            write_canonical(&Value::Object(fact.clone()), &mut out);
        }
        name(&mut out, "ledger");
        write_string(&self.ledger, &mut out);
        name(&mut out, "occurred");
        quoted(&mut out, &self.occurred.to_string());
        name(&mut out, "prev");
        quoted(&mut out, &self.prev.to_hex());
        name(&mut out, "producer");
        quoted(&mut out, &self.producer.to_hex());
        name(&mut out, "recorded");
        quoted(&mut out, &self.recorded.to_string());
        name(&mut out, "seq");
        out.push_str(&self.seq.to_string());
        if let Some(s) = &self.span {
            name(&mut out, "span");
            quoted(&mut out, &s.to_hex());
        }
        if let Some(t) = &self.trace {
            name(&mut out, "trace");
            quoted(&mut out, &t.to_hex());
        }
        name(&mut out, "type");
        write_string(&self.kind, &mut out);
        name(&mut out, "v");
        out.push_str("1}");
        out
    }

    /// Reads a leaf, and refuses every byte sequence but the one that [`Leaf::encode`] writes.
    ///
    /// # Errors
    /// See [`LeafError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_LEAF {
            return Err(LeafError::TooLong);
        }
        match fast::decode(bytes) {
            Some(leaf) => Ok(leaf),
            None => Self::decode_any(bytes),
        }
    }

    /// Reads a leaf of any form: what carries a `fact` or an escaped character, and what is refused, with the reason.
    fn decode_any(bytes: &[u8]) -> Result<Self, LeafError> {
        let value = json::parse(bytes, Limits::default()).map_err(|faults| {
            LeafError::Json(
                faults
                    .into_iter()
                    .next()
                    .map_or_else(String::new, |f| format!("{} at `{}`", f.detail, f.pointer)),
            )
        })?;
        let Value::Object(mut map) = value else {
            return Err(LeafError::Json("it is not an object".into()));
        };
        if take(&mut map, "v", |v| v.as_u64().filter(|v| *v == 1))?.is_none() {
            return Err(LeafError::Absent("v"));
        }
        let text = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let hash = |v: &Value| v.as_str().and_then(Hash::from_hex);
        let hash64 = |v: &Value| v.as_str().and_then(Hash::from_b64url);
        let id = |v: &Value| v.as_str().and_then(Id16::from_hex);
        let time = |v: &Value| v.as_str().and_then(Timestamp::parse_canonical);
        let case = take(&mut map, "case", id)?;
        let case_seq = take(&mut map, "case_seq", Value::as_u64)?;
        let case_prev = take(&mut map, "case_prev", hash)?;
        let case = match (case, case_seq, case_prev) {
            (None, None, None) => None,
            (Some(case), Some(seq), Some(prev)) => Some(CaseLink { case, seq, prev }),
            (None, ..) => return Err(LeafError::Absent("case")),
            (_, None, _) => return Err(LeafError::Absent("case_seq")),
            (.., None) => return Err(LeafError::Absent("case_prev")),
        };
        let leaf = Self {
            ledger: need(&mut map, "ledger", text)?,
            seq: need(&mut map, "seq", Value::as_u64)?,
            prev: need(&mut map, "prev", hash)?,
            kind: need(&mut map, "type", text)?,
            eid: need(&mut map, "eid", hash64)?,
            case,
            trace: take(&mut map, "trace", id)?,
            span: take(&mut map, "span", |v| v.as_str().and_then(SpanId::from_hex))?,
            occurred: need(&mut map, "occurred", time)?,
            recorded: need(&mut map, "recorded", time)?,
            producer: need(&mut map, "producer", id)?,
            content: take(&mut map, "content", hash64)?,
            fact: take(&mut map, "fact", |v| v.as_object().cloned())?,
        };
        if let Some(name) = map.keys().next() {
            return Err(LeafError::Unknown(name.clone()));
        }
        if leaf.span.is_some() && leaf.trace.is_none() {
            return Err(LeafError::Absent("trace"));
        }
        if leaf.encode().as_bytes() != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }
}

fn take<T>(
    map: &mut Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, LeafError> {
    map.remove(name)
        .map(|v| read(&v).ok_or(LeafError::Malformed(name)))
        .transpose()
}

fn need<T>(
    map: &mut Map<String, Value>,
    name: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<T, LeafError> {
    take(map, name, read)?.ok_or(LeafError::Absent(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn hash() -> impl Strategy<Value = Hash> {
        any::<[u8; 32]>().prop_map(Hash)
    }

    fn leaf() -> impl Strategy<Value = Leaf> {
        let id = || any::<[u8; 16]>().prop_map(Id16);
        let case = proptest::option::of(
            (id(), 0..1_000_u64, hash()).prop_map(|(case, seq, prev)| CaseLink { case, seq, prev }),
        );
        let trace = proptest::option::of((
            id(),
            proptest::option::of(any::<[u8; 8]>().prop_map(SpanId)),
        ));
        let time =
            || (0..4_000_000_000_000_000_i64).prop_filter_map("range", Timestamp::from_micros);
        let fact = proptest::option::of(".{0,8}".prop_map(|s| {
            json!({"k": s, "n": [1, 2]})
                .as_object()
                .cloned()
                .unwrap_or_default()
        }));
        (
            (
                "[a-z./]{1,20}",
                0..9_007_199_254_740_991_u64,
                hash(),
                "[a-z.]{1,20}",
                hash(),
                case,
            ),
            (
                trace,
                time(),
                time(),
                id(),
                proptest::option::of(hash()),
                fact,
            ),
        )
            .prop_map(
                |(
                    (ledger, seq, prev, kind, eid, case),
                    (trace, occurred, recorded, producer, content, fact),
                )| Leaf {
                    ledger,
                    seq,
                    prev,
                    kind,
                    eid,
                    case,
                    trace: trace.map(|t| t.0),
                    span: trace.and_then(|t| t.1),
                    occurred,
                    recorded,
                    producer,
                    content,
                    fact,
                },
            )
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(leaf in leaf()) {
            let text = leaf.encode();
            prop_assert_eq!(&json::canonical(&serde_json::from_str::<Value>(&text).map_err(|e| TestCaseError::fail(e.to_string()))?), &text);
            prop_assert_eq!(Leaf::decode(text.as_bytes()), Ok(leaf));
        }

        #[test]
        fn any_other_bytes_are_another_leaf_or_none(leaf in leaf(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let text = leaf.encode();
            let mut other = text.clone().into_bytes();
            let i = at.index(other.len());
            prop_assume!(other[i] != byte);
            other[i] = byte;
            prop_assert_ne!(Leaf::decode(&other), Ok(leaf));
        }

        #[test]
        fn plain_leaves_are_read_the_fast_way(leaf in leaf()) {
            let text = leaf.encode();
            let fast = fast::decode(text.as_bytes());
            prop_assert_eq!(fast.is_some(), leaf.fact.is_none());
            prop_assert!(fast.is_none_or(|f| f == leaf));
        }

        #[test]
        fn the_fast_reader_accepts_only_what_the_general_one_does(
            leaf in leaf(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, prop_oneof![any::<u8>(), Just(b'0'), Just(b'9'), Just(b'"'), Just(b','), Just(b'_'), Just(b'B')]), 1..4),
        ) {
            let mut bytes = Leaf { fact: None, ..leaf }.encode().into_bytes();
            for (at, kind, byte) in edits {
                let i = at.index(bytes.len());
                match kind {
                    0 => { bytes.remove(i); }
                    1 => bytes.insert(i, byte),
                    2 => bytes[i] = bytes[i].wrapping_add(1),
                    _ => bytes[i] = byte,
                }
            }
            if let Some(fast) = fast::decode(&bytes) {
                prop_assert_eq!(Leaf::decode_any(&bytes), Ok(fast));
            }
        }
    }

    #[test]
    fn the_edges_of_what_the_fast_reader_takes() {
        let text = r#"{"eid":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","ledger":"l.example/a","occurred":"2024-02-29T23:59:59.999999Z","prev":"0000000000000000000000000000000000000000000000000000000000000000","producer":"00000000000000000000000000000000","recorded":"2026-01-01T00:00:00.000000Z","seq":9007199254740991,"type":"x.test","v":1}"#;
        assert!(fast::decode(text.as_bytes()).is_some());
        for (from, to) in [
            ("9007199254740991", "9007199254740992"),
            ("9007199254740991", "09"),
            ("9007199254740991", "-1"),
            ("9007199254740991", "1e3"),
            ("AAA\",\"ledger", "AAB\",\"ledger"),
            ("2024-02-29", "2023-02-29"),
            ("2024-02-29", "2024-13-01"),
            ("2024-02-29", "2024-00-01"),
            ("2024-02-29", "0000-02-29"),
            ("2024-02-29", "9999-12-31"),
            ("23:59:59", "24:00:00"),
            ("23:59:59", "23:59:60"),
            ("l.example/a", ""),
            ("x.test", "x\\u0001"),
            ("x.test", "x.t\u{e9}st"),
            ("\"v\":1", "\"v\":2"),
            ("\"type\"", "\"span\":\"00f067aa0ba902b7\",\"type\""),
            ("}", "} "),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            assert_eq!(fast::decode(other.as_bytes()), None, "{to}");
        }
    }

    #[test]
    fn refuses_what_v1_does_not_know() {
        let good = json!({
            "eid": Hash::ZERO.to_b64url(), "ledger": "l.example/a", "occurred": "2026-01-01T00:00:00.000000Z",
            "prev": Hash::ZERO.to_hex(), "producer": "00000000000000000000000000000000",
            "recorded": "2026-01-01T00:00:00.000000Z", "seq": 0, "type": "x.test", "v": 1
        });
        let with = |name: &str, v: Value| {
            let mut m = good.clone();
            if let Value::Object(m) = &mut m {
                if v.is_null() {
                    m.remove(name);
                } else {
                    m.insert(name.into(), v);
                }
            }
            Leaf::decode(json::canonical(&m).as_bytes())
        };
        assert!(with("seq", json!(0)).is_ok());
        assert_eq!(
            with("note", json!("x")),
            Err(LeafError::Unknown("note".into()))
        );
        assert_eq!(with("v", json!(2)), Err(LeafError::Malformed("v")));
        assert_eq!(with("prev", Value::Null), Err(LeafError::Absent("prev")));
        assert_eq!(with("seq", json!("0")), Err(LeafError::Malformed("seq")));
        assert_eq!(with("case_seq", json!(0)), Err(LeafError::Absent("case")));
        assert_eq!(
            with("span", json!("00f067aa0ba902b7")),
            Err(LeafError::Absent("trace"))
        );
        assert_eq!(
            with("occurred", json!("2026-01-01T00:00:00Z")),
            Err(LeafError::Malformed("occurred"))
        );
        assert_eq!(
            with("prev", json!("A".repeat(64))),
            Err(LeafError::Malformed("prev"))
        );
        let text = json::canonical(&good);
        assert_eq!(
            Leaf::decode(format!(" {text}").as_bytes()),
            Err(LeafError::NotCanonical)
        );
        let doubled = text.replacen('{', "{\"v\":1,", 1);
        assert!(matches!(
            Leaf::decode(doubled.as_bytes()),
            Err(LeafError::Json(_))
        ));
        assert_eq!(
            Leaf::decode(&vec![b' '; MAX_LEAF + 1]),
            Err(LeafError::TooLong)
        );
    }
}
