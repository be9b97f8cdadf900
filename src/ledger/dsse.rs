//! DSSE 1.0.2 envelopes (secure-systems-lab/dsse) with Ed25519.

use serde::{Deserialize, Serialize};

use super::hash::{b64, decode_b64};
use super::note::{NoteSigner, Vkey};

/// Payload type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A signed envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Base64 of the payload.
    pub payload: String,
    /// Media type of the payload.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Signatures over [`pae`].
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// A hint at the key: its vkey name and id. Never used for a decision.
    pub keyid: String,
    /// Base64 of the signature.
    pub sig: String,
}

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not base64.
    #[error("the envelope's payload is not base64")]
    Payload,
    /// Another payload type.
    #[error("the envelope's payload type is not {IN_TOTO}")]
    Type,
    /// No signatures, or too many to look at.
    #[error("the envelope must carry between 1 and 16 signatures")]
    Count,
    /// The key did not sign it.
    #[error("the report key did not sign this envelope, or it was changed after signing")]
    Signature,
}

/// Pre-authentication encoding: `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`.
#[must_use]
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

impl Envelope {
    /// Signs a payload.
    #[must_use]
    pub fn sign(payload_type: &str, body: &[u8], signer: &NoteSigner) -> Self {
        let sig = b64(&signer.sign_bytes(&pae(payload_type, body)));
        let keyid = format!(
            "{}+{}",
            signer.vkey().name(),
            hex::encode(signer.vkey().id())
        );
        Self {
            payload: b64(body),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature { keyid, sig }],
        }
    }

    /// The payload's bytes, once `key` is found to have signed exactly them.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn open(&self, key: &Vkey) -> Result<Vec<u8>, EnvelopeError> {
        let body = self.payload_bytes()?;
        let message = pae(&self.payload_type, &body);
        let good = self
            .signatures
            .iter()
            .any(|s| decode_b64(&s.sig).is_some_and(|sig| key.verifies(&message, &sig)));
        if good {
            Ok(body)
        } else {
            Err(EnvelopeError::Signature)
        }
    }

    /// The payload's bytes, not verified.
    ///
    /// # Errors
    /// When form, type or number of signatures is wrong.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != IN_TOTO {
            return Err(EnvelopeError::Type);
        }
        if self.signatures.is_empty() || self.signatures.len() > 16 {
            return Err(EnvelopeError::Count);
        }
        decode_b64(&self.payload).ok_or(EnvelopeError::Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn opens_only_what_the_key_signed() {
        let signer = |seed| {
            NoteSigner::new("l.example/a", SigningKey::from_bytes(&[seed; 32]))
                .unwrap_or_else(|| panic!("a key name"))
        };
        let good = Envelope::sign(IN_TOTO, b"{}", &signer(1));
        assert_eq!(good.open(signer(1).vkey()), Ok(b"{}".to_vec()));
        assert_eq!(good.open(signer(2).vkey()), Err(EnvelopeError::Signature));
        let mut bad = good.clone();
        bad.payload = b64(b"{ }");
        assert_eq!(bad.open(signer(1).vkey()), Err(EnvelopeError::Signature));
        let mut bad = good.clone();
        bad.payload_type = "text/plain".into();
        assert_eq!(bad.open(signer(1).vkey()), Err(EnvelopeError::Type));
        let mut bad = good;
        bad.signatures.clear();
        assert_eq!(bad.open(signer(1).vkey()), Err(EnvelopeError::Count));
    }
}
