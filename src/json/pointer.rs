//! JSON pointers (RFC 6901).

use serde_json::Value;

/// Appends one reference token to a pointer, escaping `~` and `/`.
pub fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// `pointer` with one more reference token.
#[must_use]
pub fn join(pointer: &str, token: &str) -> String {
    let mut out = String::with_capacity(pointer.len() + token.len() + 1);
    out.push_str(pointer);
    push(&mut out, token);
    out
}

/// Splits a pointer into its unescaped tokens; `None` when it is not a pointer.
#[must_use]
pub fn split(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    rest.split('/').map(unescape).collect()
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        if c != '~' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            '0' => out.push('~'),
            '1' => out.push('/'),
            _ => return None,
        }
    }
    Some(out)
}

/// The value at `pointer`, read as RFC 6901 says: array indices without leading zeros.
#[must_use]
pub fn get<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    split(pointer)?.iter().try_fold(value, |v, token| match v {
        Value::Object(map) => map.get(token),
        Value::Array(items) => index(token).and_then(|i| items.get(i)),
        _ => None,
    })
}

fn index(token: &str) -> Option<usize> {
    if token != "0" && token.starts_with('0') {
        return None;
    }
    if token.bytes().all(|b| b.is_ascii_digit()) {
        token.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_pointers_of_rfc_6901() {
        let doc = json!({"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8});
        for (pointer, want) in [
            ("", &doc),
            ("/foo/0", &json!("bar")),
            ("/", &json!(0)),
            ("/a~1b", &json!(1)),
            ("/m~0n", &json!(8)),
        ] {
            assert_eq!(get(&doc, pointer), Some(want), "{pointer}");
        }
        for bad in ["foo", "/foo/00", "/foo/2", "/foo/-", "/m~n", "/m~2n"] {
            assert_eq!(get(&doc, bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_pushed_is_what_is_split() {
        let tokens = ["a/b", "~", "~1", "", "plain"];
        let mut pointer = String::new();
        for t in tokens {
            push(&mut pointer, t);
        }
        assert_eq!(
            split(&pointer).as_deref(),
            Some(tokens.map(String::from).as_slice())
        );
    }
}
