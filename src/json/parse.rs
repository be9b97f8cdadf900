//! A JSON reader that refuses whatever cannot be kept exactly, and names every place at once.

use serde_json::{Map, Value};

use super::number::{self, Inexact};
use super::pointer;

/// One thing wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault; decides status and problem type.
    pub kind: FaultKind,
    /// JSON pointer (RFC 6901) of the place, from the root of the text.
    pub pointer: String,
    /// What is wrong and what to do, without the value itself.
    pub detail: String,
}

/// Kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Not JSON: nothing after this place could be read.
    Syntax,
    /// JSON, but its value cannot be kept exactly (doubled names, numbers, surrogates).
    Inexact,
    /// Larger or deeper than the limits.
    TooLarge,
    /// Refused by the vocabulary (never raised here; used by rooms above).
    Schema,
}

/// How much one text may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of nesting of arrays and objects.
    pub depth: usize,
    /// Members of one object.
    pub members: usize,
    /// Elements of one array (the outermost array of a batch included).
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            members: 256,
            elements: 1_000,
        }
    }
}

/// At most this many faults are listed; a text with more is hopeless anyway.
const MAX_FAULTS: usize = 100;

/// Reads one JSON text.
///
/// # Errors
/// All faults (at most 100): doubled names, integers beyond ±(2^53-1), decimals whose value is not that of their
/// shortest IEEE-double form, overflow, lone surrogates, invalid UTF-8, too deep, too many. After a syntax error
/// nothing more is read.
pub fn parse(text: &[u8], limits: Limits) -> Result<Value, Vec<Fault>> {
    let mut parser = Parser::new(text, limits)?;
    let value = parser.document();
    parser.finish(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    path: String,
    depth: usize,
    limits: Limits,
    faults: Vec<Fault>,
}

/// Reading cannot go on; the fault is already noted.
struct Stop;

type Step<T> = Result<T, Stop>;

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8], limits: Limits) -> Result<Self, Vec<Fault>> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                text,
                at: 0,
                path: String::new(),
                depth: 0,
                limits,
                faults: Vec::new(),
            }),
            Err(e) => Err(vec![Fault {
                kind: FaultKind::Syntax,
                pointer: String::new(),
                detail: format!("the text is not UTF-8: byte {} is invalid", e.valid_up_to()),
            }]),
        }
    }

    fn finish(self, value: Step<Value>) -> Result<Value, Vec<Fault>> {
        match value {
            Ok(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.faults),
        }
    }

    fn document(&mut self) -> Step<Value> {
        self.space();
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() {
            return Err(self.syntax("there is more text after the end of the JSON value"));
        }
        Ok(value)
    }

    fn fault(&mut self, kind: FaultKind, detail: impl Into<String>) -> Step<()> {
        self.faults.push(Fault {
            kind,
            pointer: self.path.clone(),
            detail: detail.into(),
        });
        if self.faults.len() >= MAX_FAULTS {
            Err(Stop)
        } else {
            Ok(())
        }
    }

    fn syntax(&mut self, what: &str) -> Stop {
        let (line, column) = position(self.text, self.at);
        let detail = format!("{what} (line {line}, column {column})");
        self.faults.push(Fault {
            kind: FaultKind::Syntax,
            pointer: self.path.clone(),
            detail,
        });
        Stop
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Step<Value> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.syntax("a JSON value was expected here")),
            None => Err(self.syntax("the text ends where a JSON value was expected")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Step<Value>) -> Step<Value> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            let detail = format!("nested deeper than {} levels", self.limits.depth);
            self.faults.push(Fault {
                kind: FaultKind::TooLarge,
                pointer: self.path.clone(),
                detail,
            });
            return Err(Stop);
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn word(&mut self, word: &str, value: Value) -> Step<Value> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.syntax("a JSON value was expected here"))
        }
    }

    /// Reads a value one level down, with the path extended by `token`.
    fn child(&mut self, token: &str) -> Step<Value> {
        let outer = self.path.len();
        pointer::push(&mut self.path, token);
        let value = self.value();
        if value.is_ok() {
            self.path.truncate(outer);
        }
        value
    }

    fn object(&mut self) -> Step<Value> {
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.syntax("a member name in double quotes was expected here"));
            }
            let name = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.syntax("a colon was expected after the member name"));
            }
            self.at += 1;
            self.space();
            let value = self.child(&name)?;
            if map.contains_key(&name) {
                let outer = self.path.len();
                pointer::push(&mut self.path, &name);
                self.fault(FaultKind::Inexact, "this member stands twice in its object; readers would disagree on which one counts")?;
                self.path.truncate(outer);
            }
            map.insert(name, value);
            if map.len() > self.limits.members {
                self.fault(
                    FaultKind::TooLarge,
                    format!("more than {} members in one object", self.limits.members),
                )?;
                return Err(Stop);
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                _ => return Err(self.syntax("a comma or the end of the object was expected here")),
            }
        }
    }

    fn array(&mut self) -> Step<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            let item = self.child(&items.len().to_string())?;
            items.push(item);
            if items.len() > self.limits.elements {
                self.fault(
                    FaultKind::TooLarge,
                    format!("more than {} elements in one array", self.limits.elements),
                )?;
                return Err(Stop);
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.syntax("a comma or the end of the array was expected here")),
            }
        }
    }

    fn number(&mut self) -> Step<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.syntax("a digit was expected here")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        match number::read(&self.text[start..self.at]) {
            Ok(n) => Ok(Value::Number(n)),
            Err(why) => {
                self.fault(
                    FaultKind::Inexact,
                    match why {
                        Inexact::Integer => "integers beyond ±9007199254740991 are rounded by common readers; send it as a string",
                        Inexact::Decimal => "this decimal has more digits than an IEEE double keeps; send it as a string, or in its shortest form",
                        Inexact::Overflow => "this number is too large for an IEEE double; send it as a string",
                    },
                )?;
                Ok(Value::Null)
            }
        }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Step<()> {
        let before = self.at;
        self.digits();
        if self.at == before {
            Err(self.syntax("a digit was expected here"))
        } else {
            Ok(())
        }
    }

    fn string(&mut self) -> Step<String> {
        self.at += 1;
        let mut out = String::new();
        let mut plain = self.at;
        loop {
            match self.peek() {
                None => return Err(self.syntax("the text ends inside a string")),
                Some(b'"') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    self.escape(&mut out)?;
                    plain = self.at;
                }
                Some(0..=0x1f) => {
                    return Err(self.syntax("control characters must be escaped in strings"));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Step<()> {
        let Some(b) = self.peek() else {
            return Err(self.syntax("the text ends inside a string"));
        };
        self.at += 1;
        match b {
            b'"' => out.push('"'),
            b'\\' => out.push('\\'),
            b'/' => out.push('/'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let first = self.four_hex()?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text[self.at..].starts_with("\\u")
                {
                    let back = self.at;
                    self.at += 2;
                    let second = self.four_hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    } else {
                        self.at = back;
                        first
                    }
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some(c) => out.push(c),
                    None => self.fault(
                        FaultKind::Inexact,
                        "a lone surrogate is not a character; send valid Unicode",
                    )?,
                }
            }
            _ => return Err(self.syntax("unknown escape in a string")),
        }
        Ok(())
    }

    fn four_hex(&mut self) -> Step<u32> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.syntax("four hexadecimal digits were expected after \\u"));
        };
        let value = digits
            .iter()
            .fold(0, |v, d| v * 16 + char::from(*d).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(value)
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |i| i + 1);
    (
        line,
        String::from_utf8_lossy(&before[start..]).chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::super::canonical;
    use super::*;
    use proptest::prelude::*;

    fn faults(text: &str) -> Vec<(FaultKind, String)> {
        parse(text.as_bytes(), Limits::default())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|f| (f.kind, f.pointer))
            .collect()
    }

    #[test]
    fn names_every_fault_at_once() {
        let text = r#"{"a":1,"a":2,"n":[9007199254740993,0.10000000000000000001],"s":"\ud800","b/c":{"x~":1e999}}"#;
        let got = faults(text);
        let places: Vec<&str> = got.iter().map(|(_, p)| p.as_str()).collect();
        assert_eq!(places, ["/a", "/n/0", "/n/1", "/s", "/b~1c/x~0"]);
        assert!(got.iter().all(|(k, _)| *k == FaultKind::Inexact));
    }

    #[test]
    fn says_where_the_syntax_breaks() {
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "nul",
            "01",
            "1.",
            "\"\u{1}\"",
            "\"\\x\"",
            "1 2",
            "{a:1}",
            "\"\\u12\"",
            "\"abc",
            "-",
            "1e",
            "\u{feff}1",
        ] {
            assert_eq!(
                faults(bad).first().map(|f| f.0),
                Some(FaultKind::Syntax),
                "{bad:?}"
            );
        }
        assert!(parse(b"\xff", Limits::default()).is_err());
        let fault = parse(b"{\n \"a\": ?}", Limits::default())
            .err()
            .and_then(|f| f.into_iter().next());
        assert!(fault.is_some_and(|f| f.pointer == "/a" && f.detail.contains("line 2, column 7")));
    }

    #[test]
    fn holds_the_limits() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(
            faults(&deep).first().map(|f| f.0),
            Some(FaultKind::TooLarge)
        );
        let wide: String = format!("[{}1]", "1,".repeat(1000));
        assert_eq!(
            faults(&wide).first().map(|f| f.0),
            Some(FaultKind::TooLarge)
        );
        let members: Vec<String> = (0..257).map(|i| format!("\"m{i}\":0")).collect();
        assert_eq!(
            faults(&format!("{{{}}}", members.join(",")))
                .first()
                .map(|f| f.0),
            Some(FaultKind::TooLarge)
        );
    }

    #[test]
    fn joins_surrogate_pairs() {
        assert_eq!(
            parse(br#""\ud83d\ude00""#, Limits::default()),
            Ok(Value::String("\u{1f600}".into()))
        );
        assert_eq!(faults(r#"["\ude00\ud83d", "\ud83d\u0041"]"#).len(), 3);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
            (any::<i32>(), -30_i32..30).prop_filter_map("exact", |(m, e)| {
                parse(format!("{m}e{e}").as_bytes(), Limits::default()).ok()
            }),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back_and_is_a_fixed_point(v in any_json()) {
            let text = canonical(&v);
            let back = parse(text.as_bytes(), Limits::default());
            prop_assert_eq!(back.as_ref(), Ok(&v));
            prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(v));
        }

        #[test]
        fn agrees_with_serde_on_what_is_json(text in "[\\[\\]{}\",:0-9a-z\\\\ .eE+-]{0,24}") {
            let ours = parse(text.as_bytes(), Limits::default());
            let theirs = serde_json::from_str::<Value>(&text);
            // Whatever we take, serde takes; whatever we call a syntax error, serde refuses.
            if ours.is_ok() {
                prop_assert!(theirs.is_ok(), "{}", text);
            }
            if let Err(f) = ours && f.iter().any(|f| f.kind == FaultKind::Syntax) {
                prop_assert!(theirs.is_err(), "{}", text);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, Limits::default());
        }
    }
}
