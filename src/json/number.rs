//! Which JSON numbers can be kept exactly.

use serde_json::Number;

/// The largest integer that every IEEE double reader keeps exactly: 2^53 - 1 (RFC 7493).
const MAX_SAFE: u64 = (1 << 53) - 1;

/// Why a number cannot be kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inexact {
    /// An integer beyond ±(2^53 - 1).
    Integer,
    /// A decimal whose value is not that of its shortest double form.
    Decimal,
    /// Too large for a double.
    Overflow,
}

/// Reads a syntactically valid JSON number.
pub(super) fn read(literal: &str) -> Result<Number, Inexact> {
    let is_integer = literal.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if is_integer {
        let value: i64 = literal.parse().map_err(|_| Inexact::Integer)?;
        if value.unsigned_abs() > MAX_SAFE {
            return Err(Inexact::Integer);
        }
        return Ok(Number::from(value));
    }
    let value: f64 = literal.parse().map_err(|_| Inexact::Decimal)?;
    let number = Number::from_f64(value).ok_or(Inexact::Overflow)?;
    if decimal(literal) != decimal(ryu_js::Buffer::new().format_finite(value)) {
        return Err(Inexact::Decimal);
    }
    // Below 1e21 the canonical form of a whole number is its digits, which a strict reader refuses beyond ±(2^53-1).
    if value.fract() == 0.0 && value.abs() > MAX_SAFE as f64 && value.abs() < 1e21 {
        return Err(Inexact::Integer);
    }
    // 1.0 and 1 have one canonical form, so they are one value from here on.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be a whole number within ±(2^53-1)"
    )]
    if value.fract() == 0.0 && value.abs() <= MAX_SAFE as f64 {
        return Ok(Number::from(value as i64));
    }
    Ok(number)
}

/// A decimal literal as (negative, significant digits without outer zeros, exponent of the last digit).
/// Two literals have the same value if and only if these are equal.
fn decimal(literal: &str) -> (bool, String, i64) {
    let (negative, rest) = literal
        .strip_prefix('-')
        .map_or((false, literal), |r| (true, r));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    // An exponent too long for i64 belongs to zero or to a number that overflows or vanishes; saturate.
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let mut exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
    let digits = digits.trim_start_matches('0');
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return (false, String::new(), 0);
    }
    exponent =
        exponent.saturating_add(i64::try_from(digits.len() - trimmed.len()).unwrap_or(i64::MAX));
    (negative, trimmed.to_owned(), exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_what_can_be_kept_and_refuses_the_rest() {
        for ok in [
            "0",
            "-0",
            "9007199254740991",
            "-9007199254740991",
            "0.1",
            "1.0",
            "1.50",
            "1e21",
            "1E-7",
            "1e300",
            "-0.0",
            "5e-324",
            "0e999999999999999999999",
        ] {
            assert!(read(ok).is_ok(), "{ok}");
        }
        for (bad, why) in [
            ("9007199254740992", Inexact::Integer),
            ("-9007199254740993", Inexact::Integer),
            ("99999999999999999999", Inexact::Integer),
            ("0.10000000000000000001", Inexact::Decimal),
            ("9007199254740993.0", Inexact::Decimal),
            ("9007199254740992.0", Inexact::Integer),
            ("1e16", Inexact::Integer),
            ("-1e20", Inexact::Integer),
            ("333333333.33333329", Inexact::Decimal),
            ("1e-400", Inexact::Decimal),
            ("1e400", Inexact::Overflow),
            ("-1e99999999999999999999", Inexact::Overflow),
        ] {
            assert_eq!(read(bad), Err(why), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_double_survives_in_its_shortest_form(x in proptest::num::f64::NORMAL) {
            let text = ryu_js::Buffer::new().format_finite(x).to_owned();
            if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') && x.abs() > MAX_SAFE as f64 {
                prop_assert_eq!(read(&text), Err(Inexact::Integer));
            } else {
                prop_assert_eq!(read(&text).ok().and_then(|n| n.as_f64()), Some(x));
            }
        }
    }
}
