//! Hashes and fixed-size ids, with their text forms.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut h = Sha256::new();
    for part in parts {
        h.update(part);
    }
    Hash(h.finalize().into())
}

/// Standard base64 with padding (RFC 4648, section 4).
#[must_use]
pub fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// URL-safe base64 without padding (RFC 4648, section 5).
#[must_use]
pub fn b64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads standard base64 with padding; `None` unless it is the one canonical encoding.
#[must_use]
pub fn decode_b64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Reads unpadded URL-safe base64; `None` unless it is the one canonical encoding.
#[must_use]
pub fn decode_b64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: what `prev` and `case_prev` hold where nothing comes before.
    pub const ZERO: Self = Self([0; 32]);

    /// Hash of a Merkle leaf: `SHA-256(0x00 ‖ data)` (RFC 6962, section 2.1). Also the link of the chain.
    #[must_use]
    pub fn leaf(data: &[u8]) -> Self {
        sha256(&[&[0], data])
    }

    /// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962, section 2.1).
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        sha256(&[&[1], &left.0, &right.0])
    }

    /// Root of the tree without leaves: SHA-256 of nothing.
    #[must_use]
    pub fn empty_root() -> Self {
        sha256(&[])
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex_text(&self.0)
    }

    /// Reads 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        fixed_hex(text).map(Self)
    }

    /// Standard base64, as in notes and proofs.
    #[must_use]
    pub fn to_b64(&self) -> String {
        b64(&self.0)
    }

    /// Reads standard base64.
    #[must_use]
    pub fn from_b64(text: &str) -> Option<Self> {
        decode_b64(text)?.try_into().ok().map(Self)
    }

    /// Unpadded URL-safe base64, as in leaves and disclosures.
    #[must_use]
    pub fn to_b64url(&self) -> String {
        b64url(&self.0)
    }

    /// Reads unpadded URL-safe base64.
    #[must_use]
    pub fn from_b64url(text: &str) -> Option<Self> {
        decode_b64url(text)?.try_into().ok().map(Self)
    }

    /// Takes the hash from stored bytes; `None` unless there are exactly 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Lower-case hex, digit by digit into a buffer of its size: `hex::encode` pushes characters, and a leaf has five.
fn hex_text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 * bytes.len());
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

fn fixed_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut out = [0; N];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Lower-case hex.
            #[must_use]
            pub fn to_hex(&self) -> String {
                hex_text(&self.0)
            }

            /// Reads lower-case hex of exactly this length.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                fixed_hex(text).map(Self)
            }

            /// Takes the id from stored bytes; `None` when the length differs.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
    };
}

hex_id! {
    /// 16 bytes that name something: a case pseudonym, a principal, a trace.
    Id16, 16
}
hex_id! {
    /// A span id (W3C Trace Context).
    SpanId, 8
}
