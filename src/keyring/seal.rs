//! An entry's disclosures, sealed: XChaCha20-Poly1305 with a random nonce.
//!
//! The blob is `nonce (24) ‖ ciphertext`; the plaintext is `0x01 ‖ sameness (32) ‖ {u32be length ‖ disclosure JSON}…`;
//! the associated data is origin, `eid` and content commitment, each with its length as u32be. The key is
//! `HMAC-SHA-256(slot secret, "whereas/v1/content")`.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::idkey::Sameness;
use super::slots::Secret;
use crate::ledger::Hash;

const NONCE: usize = 24;

/// What a blob holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Keyed image of the canonical event.
    pub sameness: Sameness,
    /// The disclosures' JSON texts.
    pub texts: Vec<String>,
}

/// Why a blob does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Wrong secret, or the blob (or what it belongs to) was changed.
    #[error("the sealed content does not open: it, its entry or its key was changed")]
    Altered,
    /// It opens, but what is inside is not of the known form.
    #[error("the sealed content opens but is not of a known form")]
    Form,
}

fn cipher(secret: &Secret) -> XChaCha20Poly1305 {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes())
        .unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(b"whereas/v1/content");
    XChaCha20Poly1305::new(&mac.finalize().into_bytes())
}

fn associated(origin: &str, eid: &Hash, content: Option<&Hash>) -> Vec<u8> {
    let mut out = Vec::with_capacity(origin.len() + 76);
    for part in [origin.as_bytes(), &eid.0, content.map_or(&[][..], |c| &c.0)] {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// Seals an entry's disclosures. `nonce` must be fresh and random.
#[must_use]
pub fn seal(
    secret: &Secret,
    nonce: [u8; NONCE],
    origin: &str,
    eid: &Hash,
    content: Option<&Hash>,
    sealed: &Sealed,
) -> Vec<u8> {
    let size: usize = sealed.texts.iter().map(|t| t.len() + 4).sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(33 + size));
    plain.push(1);
    plain.extend_from_slice(&sealed.sameness.0);
    for text in &sealed.texts {
        plain.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        plain.extend_from_slice(text.as_bytes());
    }
    let payload = Payload {
        msg: &plain,
        aad: &associated(origin, eid, content),
    };
    // Encryption fails only beyond 256 GiB.
    let ciphertext = cipher(secret)
        .encrypt(&XNonce::from(nonce), payload)
        .unwrap_or_default();
    let mut out = Vec::with_capacity(NONCE + ciphertext.len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&ciphertext);
    out
}

/// Opens an entry's disclosures.
///
/// # Errors
/// See [`SealError`].
pub fn open(
    secret: &Secret,
    origin: &str,
    eid: &Hash,
    content: Option<&Hash>,
    blob: &[u8],
) -> Result<Sealed, SealError> {
    let (nonce, ciphertext) = blob.split_first_chunk::<NONCE>().ok_or(SealError::Form)?;
    let payload = Payload {
        msg: ciphertext,
        aad: &associated(origin, eid, content),
    };
    let plain = Zeroizing::new(
        cipher(secret)
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Altered)?,
    );
    let (version, rest) = plain.split_first().ok_or(SealError::Form)?;
    let (same, mut rest) = rest
        .split_first_chunk::<32>()
        .filter(|_| *version == 1)
        .ok_or(SealError::Form)?;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<4>().ok_or(SealError::Form)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SealError::Form)?;
        let (text, tail) = tail.split_at_checked(len).ok_or(SealError::Form)?;
        texts.push(
            std::str::from_utf8(text)
                .map_err(|_| SealError::Form)?
                .to_owned(),
        );
        rest = tail;
    }
    Ok(Sealed {
        sameness: Sameness(*same),
        texts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_where_it_belongs() {
        let secret = Secret::from_bytes([3; 32]);
        let (eid, content) = (Hash::leaf(b"e"), Hash::leaf(b"c"));
        let sealed = Sealed {
            sameness: Sameness([9; 32]),
            texts: vec!["[\"a\"]".into(), String::new()],
        };
        let blob = seal(&secret, [5; 24], "o", &eid, Some(&content), &sealed);
        assert_eq!(open(&secret, "o", &eid, Some(&content), &blob), Ok(sealed));
        let altered = Err(SealError::Altered);
        assert_eq!(
            open(
                &Secret::from_bytes([4; 32]),
                "o",
                &eid,
                Some(&content),
                &blob
            ),
            altered
        );
        assert_eq!(open(&secret, "p", &eid, Some(&content), &blob), altered);
        assert_eq!(open(&secret, "o", &content, Some(&content), &blob), altered);
        assert_eq!(open(&secret, "o", &eid, None, &blob), altered);
        for i in 0..blob.len() {
            let mut bad = blob.clone();
            bad[i] ^= 1;
            assert_eq!(
                open(&secret, "o", &eid, Some(&content), &bad),
                altered,
                "byte {i}"
            );
        }
        assert_eq!(
            open(&secret, "o", &eid, Some(&content), &blob[..10]),
            Err(SealError::Form)
        );
    }
}
