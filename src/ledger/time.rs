//! Points in time with microseconds, in the one text form that leaves carry.

use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z, years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a time that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write the time as RFC 3339 with an offset, such as 2026-11-22T10:15:30.123456Z or 2026-11-22T11:15:30+01:00"
)]
pub struct TimestampError;

/// 0001-01-01T00:00:00Z.
const MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-30T22:00:00Z: the last second that every calendar library in use can represent.
const MAX: i64 = 253_402_207_200_000_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since 1970; `None` outside years 0001 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        (MIN..=MAX).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// This time plus `micros`, kept within range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(MIN, MAX))
    }

    /// Reads RFC 3339 with any offset; digits beyond microseconds are cut off.
    ///
    /// # Errors
    /// When the text is not RFC 3339 with an offset, names no real date, or is a leap second.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimestampError> {
        let b = text.as_bytes();
        let shape = b.len() >= 20
            && b.iter().enumerate().take(19).all(|(i, c)| match i {
                4 | 7 => *c == b'-',
                10 => matches!(c, b'T' | b't'),
                13 | 16 => *c == b':',
                _ => c.is_ascii_digit(),
            });
        let rest = if shape {
            &b[19..]
        } else {
            return Err(TimestampError);
        };
        let fraction = rest.strip_prefix(b".").map_or(0, |r| {
            1 + r.iter().take_while(|c| c.is_ascii_digit()).count()
        });
        let zone_ok = match &rest[fraction..] {
            [b'Z' | b'z'] => true,
            [b'+' | b'-', h1, h2, b':', m1, m2] => {
                [h1, h2, m1, m2].iter().all(|c| c.is_ascii_digit())
            }
            _ => false,
        };
        if fraction == 1 || !zone_ok || &b[17..19] == b"60" {
            return Err(TimestampError);
        }
        // A calendar library keeps nanoseconds; more digits than that are cut first.
        let text = if fraction > 10 {
            format!("{}{}", &text[..29], &text[19 + fraction..])
        } else {
            text.to_owned()
        };
        let time: jiff::Timestamp = text
            .to_ascii_uppercase()
            .parse()
            .map_err(|_| TimestampError)?;
        let micros =
            i64::try_from(time.as_nanosecond().div_euclid(1_000)).map_err(|_| TimestampError)?;
        Self::from_micros(micros).ok_or(TimestampError)
    }

    /// Reads exactly `YYYY-MM-DDThh:mm:ss.ffffffZ`.
    #[must_use]
    pub fn parse_canonical(text: &str) -> Option<Self> {
        Self::from_canonical_bytes(text.as_bytes().try_into().ok()?)
    }

    /// As [`Timestamp::parse_canonical`].
    #[must_use]
    pub fn from_canonical_bytes(text: &[u8; 27]) -> Option<Self> {
        let marks = [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'.'),
            (26, b'Z'),
        ];
        if marks.iter().any(|(at, mark)| text[*at] != *mark) {
            return None;
        }
        let number = |from: usize, to: usize| {
            let digits = &text[from..to];
            digits
                .iter()
                .all(u8::is_ascii_digit)
                .then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let micros = number(20, 26)?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=days_of).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Self::from_micros(seconds * 1_000_000 + micros)
    }
}

impl fmt::Display for Timestamp {
    /// `YYYY-MM-DDThh:mm:ss.ffffffZ`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400_000_000);
        let micros = self.0.rem_euclid(86_400_000_000);
        let (y, m, d) = civil_from_days(days);
        let s = micros / 1_000_000;
        // Digit by digit: the formatting machinery costs eight times as much, and every leaf holds two times.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let fields = [
            (0..4, y),
            (5..7, m),
            (8..10, d),
            (11..13, s / 3600),
            (14..16, s / 60 % 60),
            (17..19, s % 60),
            (20..26, micros % 1_000_000),
        ];
        for (at, mut n) in fields {
            for digit in text[at].iter_mut().rev() {
                *digit += u8::try_from(n % 10).unwrap_or(0);
                n /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Proleptic Gregorian date of a day number (0 = 1970-01-01); Howard Hinnant, "chrono-compatible low-level date
/// algorithms". By hand because it is on the path of every entry.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(m <= 2),
        m,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

/// The inverse of [`civil_from_days`], from the same source.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_rfc_3339_and_nothing_else() {
        for (text, want) in [
            ("2026-11-22T10:15:30Z", "2026-11-22T10:15:30.000000Z"),
            ("2026-11-22t11:15:30.5+01:00", "2026-11-22T10:15:30.500000Z"),
            (
                "2024-02-29T23:59:59.123456789123-00:30",
                "2024-03-01T00:29:59.123456Z",
            ),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(
                Timestamp::parse_rfc3339(text).map(|t| t.to_string()),
                Ok(want.to_owned()),
                "{text}"
            );
        }
        for bad in [
            "2026-11-22",
            "2026-11-22T10:15:30",
            "2026-02-30T10:15:30Z",
            "2026-11-22 10:15:30Z",
            "2026-11-22T10:15:60Z",
            "2026-11-22T10:15:30.Z",
            "2026-11-22T10:15:30+0100",
            "2026-11-22T10:15:30+99:00",
            "2026-11-22T24:15:30Z",
            "-026-11-22T10:15:30Z",
            "2026-11-22T10:15:30[UTC]",
            "2026-11-22T10:15:30Z[UTC]",
            "yesterday at half past four",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(bad), Err(TimestampError), "{bad}");
        }
        assert!(Timestamp::parse_canonical("2026-11-22T10:15:30.1Z").is_none());
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_what_rfc_3339_reads_and_writes_back(
            y in 0..=9999, mo in 0..=13, d in 0..=32, h in 0..=25, mi in 0..=61, s in 0..=61, f in 0..1_000_000,
        ) {
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{f:06}Z");
            prop_assert_eq!(Timestamp::parse_canonical(&text), Timestamp::parse_rfc3339(&text).ok());
        }

        #[test]
        fn text_and_value_agree_with_the_calendar_library(micros in MIN..=MAX) {
            let t = Timestamp::from_micros(micros).ok_or_else(|| TestCaseError::fail("in range"))?;
            prop_assert_eq!(Timestamp::parse_canonical(&t.to_string()), Some(t));
            prop_assert_eq!(Timestamp::parse_rfc3339(&t.to_string()), Ok(t));
            let theirs = jiff::Timestamp::from_microsecond(micros).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(format!("{theirs:.6}"), t.to_string());
        }
    }
}
