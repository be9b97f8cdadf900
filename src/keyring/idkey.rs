//! The id key: permanent identities of events, and keyed (blind) images of what must be found but not read.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{KeyringError, random, read_private};
use crate::ledger::{Hash, Id16, SpanId};

type HmacSha256 = Hmac<Sha256>;

/// Never rotates; kept and backed up like a signing key. Whoever holds it can test guesses at sources, ids and case
/// ids against a ledger.
pub struct IdKey {
    bytes: Zeroizing<[u8; 32]>,
    eid: HmacSha256,
    blind: HmacSha256,
    trace: HmacSha256,
    same: HmacSha256,
}

/// What a retry must equal: a keyed image of the canonical event.
#[derive(Debug, Clone, Copy)]
pub struct Sameness(pub [u8; 32]);

impl PartialEq for Sameness {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    // HMAC takes keys of any length.
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()))
}

fn finish(mac: HmacSha256) -> [u8; 32] {
    mac.finalize().into_bytes().into()
}

impl IdKey {
    fn new(bytes: [u8; 32]) -> Self {
        let master = keyed(&bytes);
        let derived = |label: &str| keyed(&finish(master.clone().chain_update(label)));
        Self {
            blind: derived("whereas/v1/blind"),
            trace: derived("whereas/v1/trace"),
            same: derived("whereas/v1/same"),
            eid: master,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// A fresh key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, KeyringError> {
        Ok(Self::new(random()?))
    }

    /// A key with known bytes, for published test vectors.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }

    /// Reads the key from a file that only its owner can read.
    ///
    /// # Errors
    /// When it is absent, readable by others, or malformed.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let text = read_private(path)?;
        let digits = std::str::from_utf8(&text).ok().map(str::trim_ascii_end);
        digits
            .and_then(Hash::from_hex)
            .map(|h| Self::new(h.0))
            .ok_or_else(|| KeyringError::Malformed {
                path: path.to_owned(),
                what: "is not an id key (64 hex digits); restore it from its backup".into(),
            })
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}\n", hex::encode(*self.bytes)))
    }

    /// What the first entry carries, so that a wrong key is noticed: `HMAC(key, "whereas/v1/id-key")`.
    #[must_use]
    pub fn check(&self) -> Hash {
        Hash(finish(self.eid.clone().chain_update("whereas/v1/id-key")))
    }

    /// The event's permanent identity: `HMAC(key, u32be(len(source)) ‖ source ‖ id)`.
    #[must_use]
    pub fn eid(&self, source: &str, id: &str) -> Hash {
        let len = u32::try_from(source.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        Hash(finish(
            self.eid
                .clone()
                .chain_update(len)
                .chain_update(source)
                .chain_update(id),
        ))
    }

    /// The blind image under which a value of this kind (`case`, `recommendation`, …) is found.
    #[must_use]
    pub fn blind(&self, kind: &str, value: &str) -> Id16 {
        let mac = self
            .blind
            .clone()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(value);
        first16(&finish(mac))
    }

    /// The trace id that stands for one that is not of W3C form.
    #[must_use]
    pub fn trace(&self, original: &str) -> Id16 {
        first16(&finish(
            self.trace
                .clone()
                .chain_update("trace\0")
                .chain_update(original),
        ))
    }

    /// The span id that stands for one that is not of W3C form.
    #[must_use]
    pub fn span(&self, original: &str) -> SpanId {
        let all = finish(
            self.trace
                .clone()
                .chain_update("span\0")
                .chain_update(original),
        );
        SpanId(std::array::from_fn(|i| all[i]))
    }

    /// What a retry of this canonical event must equal.
    #[must_use]
    pub fn sameness(&self, canonical: &str) -> Sameness {
        Sameness(finish(self.same.clone().chain_update(canonical)))
    }
}

fn first16(all: &[u8; 32]) -> Id16 {
    Id16(std::array::from_fn(|i| all[i]))
}

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_do_not_run_together() {
        let key = IdKey::from_bytes([7; 32]);
        assert_ne!(key.eid("ab", "c"), key.eid("a", "bc"));
        assert_eq!(key.eid("ab", "c"), key.eid("ab", "c"));
        assert_ne!(
            key.eid("ab", "c"),
            IdKey::from_bytes([8; 32]).eid("ab", "c")
        );
        assert_ne!(key.blind("case", "x"), key.blind("recommendation", "x"));
        assert_ne!(key.check(), IdKey::from_bytes([8; 32]).check());
        assert!(!format!("{key:?}").contains("07"));
    }
}
