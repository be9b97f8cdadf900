//! Ed25519 keys in PKCS#8 PEM files (RFC 8410, version 1, as OpenSSL reads and writes them).

use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use zeroize::Zeroizing;

use super::{KeyringError, read_private};

/// A signing key as PEM.
///
/// # Errors
/// When it cannot be encoded.
pub fn signing_key_to_pem(
    key: &SigningKey,
    path: &Path,
) -> Result<Zeroizing<String>, KeyringError> {
    KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    }
    .to_pkcs8_pem(LineEnding::LF)
    .map_err(|e| KeyringError::Malformed {
        path: path.to_owned(),
        what: format!("cannot be written: {e}"),
    })
}

/// Reads a signing key from PEM text.
#[must_use]
pub fn signing_key_from_pem(pem: &str) -> Option<SigningKey> {
    SigningKey::from_pkcs8_pem(pem).ok()
}

/// Reads a signing key from a file that only its owner can read.
///
/// # Errors
/// When it is absent, readable by others, or no Ed25519 key.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyringError> {
    let bytes = read_private(path)?;
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(signing_key_from_pem)
        .ok_or_else(|| KeyringError::Malformed {
            path: path.to_owned(),
            what: "is not an Ed25519 private key in PKCS#8 PEM; restore it from its backup".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_writes_and_writes_what_it_reads() {
        // The key of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let key = signing_key_from_pem(pem).unwrap_or_else(|| panic!("the key of the RFC reads"));
        assert_eq!(
            signing_key_to_pem(&key, Path::new("x"))
                .map(|p| p.to_string())
                .ok()
                .as_deref(),
            Some(pem)
        );
        assert!(
            signing_key_from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
                .is_none()
        );
    }
}
