//! Reading the canonical form of a leaf straight from its bytes.
//!
//! A verifier of a whole ledger reads millions of leaves, nearly all of them plain: no `fact`, no escaped character.
//! For those the canonical form is one fixed sequence of members, so reading it is comparing and copying. Whatever is
//! not of this form gives `None` and is read by the general reader, which knows why it is refused. What is accepted
//! here is what the general reader accepts, with the same result; a property test holds the two to it.

use super::{CaseLink, Leaf};
use crate::ledger::hash::{Hash, Id16, SpanId};
use crate::ledger::time::Timestamp;

/// Largest integer that a leaf can hold (2^53 − 1).
const MAX_INTEGER: u64 = 9_007_199_254_740_991;
/// What stands in the tables for characters that are no digits.
const NONE: u8 = 0xff;

const HEX: [u8; 256] = table(b"0123456789abcdef");
const BASE64URL: [u8; 256] =
    table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

const fn table(digits: &[u8]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < digits.len() {
        table[digits[value] as usize] = value as u8;
        value += 1;
    }
    table
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Takes exactly this text, when it stands here.
    fn skip(&mut self, text: &[u8]) -> bool {
        match self.0.strip_prefix(text) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, text: &[u8]) -> Option<()> {
        self.skip(text).then_some(())
    }

    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    /// `2 · N` lower-case hex digits and the closing quote.
    fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut out = [0; N];
        let (digits, rest) = self.0.split_at_checked(2 * N)?;
        let mut all = 0;
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
            all |= high | low;
            *byte = high << 4 | (low & 15);
        }
        self.0 = rest;
        // A digit is below 16; anything else has its highest bit set.
        if all & 0x80 != 0 {
            return None;
        }
        self.need(b"\"")?;
        Some(out)
    }

    /// 43 digits of unpadded base64url, the last one's unused bits zero, and the closing quote.
    fn hash64(&mut self) -> Option<Hash> {
        let digits = self.take::<43>()?;
        let mut out = [0; 32];
        let mut all = 0;
        let (groups, last) = digits.as_chunks::<4>();
        for (bytes, group) in out.chunks_exact_mut(3).zip(groups) {
            let [a, b, c, d] = group.map(|g| BASE64URL[usize::from(g)]);
            all |= a | b | c | d;
            bytes[0] = a << 2 | (b & 63) >> 4;
            bytes[1] = b << 4 | (c & 63) >> 2;
            bytes[2] = c << 6 | (d & 63);
        }
        let [a, b, c] = *last.first_chunk::<3>()?;
        let [a, b, c] = [a, b, c].map(|g| BASE64URL[usize::from(g)]);
        all |= a | b | c;
        out[30] = a << 2 | (b & 63) >> 4;
        out[31] = b << 4 | (c & 63) >> 2;
        if all & 0x80 != 0 || c & 3 != 0 {
            return None;
        }
        self.need(b"\"")?;
        Some(Hash(out))
    }

    fn integer(&mut self) -> Option<u64> {
        let len = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        // Sixteen digits hold every value that is allowed and cannot overflow.
        if len == 0 || len > 16 || (len > 1 && self.0[0] == b'0') {
            return None;
        }
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        let value = digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
        (value <= MAX_INTEGER).then_some(value)
    }

    /// A text without anything that JSON would escape, and the closing quote.
    fn plain(&mut self) -> Option<&'a str> {
        let len = self
            .0
            .iter()
            .take_while(|b| matches!(b, 0x20..=0x7e) && **b != b'"' && **b != b'\\')
            .count();
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        self.need(b"\"")?;
        std::str::from_utf8(text).ok().filter(|t| !t.is_empty())
    }

    fn time(&mut self) -> Option<Timestamp> {
        let time = Timestamp::from_canonical_bytes(self.take()?)?;
        self.need(b"\"")?;
        Some(time)
    }
}

/// The leaf, when the bytes are the plain canonical form of one.
pub(super) fn decode(bytes: &[u8]) -> Option<Leaf> {
    let mut rest = Rest(bytes);
    rest.need(b"{\"")?;
    let case = if rest.skip(b"case\":\"") {
        let case = Id16(rest.hex()?);
        rest.need(b",\"case_prev\":\"")?;
        let prev = Hash(rest.hex()?);
        rest.need(b",\"case_seq\":")?;
        let seq = rest.integer()?;
        rest.need(b",\"")?;
        Some(CaseLink { case, seq, prev })
    } else {
        None
    };
    let content = if rest.skip(b"content\":\"") {
        let content = rest.hash64()?;
        rest.need(b",\"")?;
        Some(content)
    } else {
        None
    };
    rest.need(b"eid\":\"")?;
    let eid = rest.hash64()?;
    rest.need(b",\"ledger\":\"")?;
    let ledger = rest.plain()?;
    rest.need(b",\"occurred\":\"")?;
    let occurred = rest.time()?;
    rest.need(b",\"prev\":\"")?;
    let prev = Hash(rest.hex()?);
    rest.need(b",\"producer\":\"")?;
    let producer = Id16(rest.hex()?);
    rest.need(b",\"recorded\":\"")?;
    let recorded = rest.time()?;
    rest.need(b",\"seq\":")?;
    let seq = rest.integer()?;
    let span = if rest.skip(b",\"span\":\"") {
        Some(SpanId(rest.hex()?))
    } else {
        None
    };
    let trace = if rest.skip(b",\"trace\":\"") {
        Some(Id16(rest.hex()?))
    } else {
        None
    };
    rest.need(b",\"type\":\"")?;
    let kind = rest.plain()?;
    if rest.0 != b",\"v\":1}" || (span.is_some() && trace.is_none()) {
        return None;
    }
    Some(Leaf {
        ledger: ledger.to_owned(),
        seq,
        prev,
        kind: kind.to_owned(),
        eid,
        case,
        trace,
        span,
        occurred,
        recorded,
        producer,
        content,
        fact: None,
    })
}
