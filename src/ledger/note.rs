//! Signed notes and their keys: C2SP signed-note v1.0.0, and the Ed25519 cosignature of tlog-cosignature v1.0.1.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::hash::{b64, decode_b64, sha256};

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 over the note's text (type byte 0x01).
    Ed25519,
    /// Timestamped Ed25519 cosignature (type byte 0x04).
    CosignatureV1,
}

impl Algorithm {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }
}

/// A name by which verifiers know a key: not empty, no white space, no plus sign.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

/// A verifier key, written `<name>+<8 hex digits of the key id>+<base64(type ‖ public key)>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not `<name>+<id>+<base64>`.
    #[error("a verifier key has the form <name>+<8 hex digits>+<base64>")]
    Form,
    /// Unknown type byte, or wrong length.
    #[error(
        "the verifier key is of an unknown type or length; Ed25519 (type 1 or 4) with 32 bytes is supported"
    )]
    Type,
    /// The id is not that of the key.
    #[error(
        "the verifier key's id does not belong to its name and bytes; was a part of it copied wrongly?"
    )]
    Id,
    /// The bytes are no usable point.
    #[error("the verifier key's bytes are not a usable Ed25519 public key")]
    Point,
}

impl Vkey {
    /// A key with its name.
    #[must_use]
    pub fn new(name: &str, algorithm: Algorithm, key: VerifyingKey) -> Option<Self> {
        is_key_name(name).then(|| Self {
            name: name.to_owned(),
            algorithm,
            key,
        })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// See [`VkeyError`].
    pub fn parse(text: &str) -> Result<Self, VkeyError> {
        let (name, rest) = text.split_once('+').ok_or(VkeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(VkeyError::Form)?;
        let id_ok = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_key_name(name) || !id_ok {
            return Err(VkeyError::Form);
        }
        let bytes = decode_b64(key).ok_or(VkeyError::Form)?;
        let algorithm = match bytes.first() {
            Some(1) => Algorithm::Ed25519,
            Some(4) => Algorithm::CosignatureV1,
            _ => return Err(VkeyError::Type),
        };
        let raw: [u8; 32] = bytes[1..].try_into().map_err(|_| VkeyError::Type)?;
        let key = VerifyingKey::from_bytes(&raw).map_err(|_| VkeyError::Point)?;
        if key.is_weak() || !is_reduced(&raw) {
            return Err(VkeyError::Point);
        }
        let vkey = Self {
            name: name.to_owned(),
            algorithm,
            key,
        };
        if hex::encode(vkey.id()) == id {
            Ok(vkey)
        } else {
            Err(VkeyError::Id)
        }
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// `SHA-256(name ‖ 0x0A ‖ type ‖ public key)`, first four bytes.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = sha256(&[
            self.name.as_bytes(),
            b"\n",
            &[self.algorithm.byte()],
            self.key.as_bytes(),
        ]);
        [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
    }

    /// Whether `signature` is this key's over `message`; strict, so that every verifier comes to the same answer.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|s| self.key.verify_strict(message, &s).is_ok())
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.algorithm.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::encode(self.id()),
            b64(&bytes)
        )
    }
}

impl fmt::Debug for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a point's y stands below 2^255 - 19, as RFC 8032 (5.1.3) demands: else one key would have two texts.
fn is_reduced(point: &[u8; 32]) -> bool {
    point[0] < 0xed || point[31] & 0x7f != 0x7f || point[1..31].iter().any(|b| *b != 0xff)
}

/// A key that signs notes under a name.
pub struct NoteSigner {
    vkey: Vkey,
    key: SigningKey,
}

impl NoteSigner {
    /// A signer; `None` when the name is not a key name.
    #[must_use]
    pub fn new(name: &str, key: SigningKey) -> Option<Self> {
        let vkey = Vkey::new(name, Algorithm::Ed25519, key.verifying_key())?;
        Some(Self { vkey, key })
    }

    /// The key that verifies what this signs.
    #[must_use]
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The note with this signer's signature: `text` must end in a line feed.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let mut blob = self.vkey.id().to_vec();
        blob.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {} {}\n", self.vkey.name, b64(&blob))
    }

    /// A bare Ed25519 signature (for DSSE).
    #[must_use]
    pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.vkey)
    }
}

/// A witness's key: it says at which time which checkpoint was the largest that it had seen of a log.
pub struct Cosigner {
    vkey: Vkey,
    key: SigningKey,
}

impl Cosigner {
    /// A cosigner; `None` when the name is not a key name.
    #[must_use]
    pub fn new(name: &str, key: SigningKey) -> Option<Self> {
        let vkey = Vkey::new(name, Algorithm::CosignatureV1, key.verifying_key())?;
        Some(Self { vkey, key })
    }

    /// The key that verifies what this signs.
    #[must_use]
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The signature line (with its line feed) over a checkpoint's text, at `seconds` since 1970 (at most 2^63 - 1).
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64) -> String {
        let message = cosigned_message(text, seconds);
        let mut blob = self.vkey.id().to_vec();
        blob.extend_from_slice(&seconds.to_be_bytes());
        blob.extend_from_slice(&self.key.sign(message.as_bytes()).to_bytes());
        format!("— {} {}\n", self.vkey.name, b64(&blob))
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.vkey)
    }
}

fn cosigned_message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// A note, read but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// The signed text, with its final line feed.
    pub text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("the text is not a signed note (C2SP signed-note)")]
    Form,
    /// More signatures than a reader should look at.
    #[error("the note carries more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// Too long.
    #[error("the note is longer than {MAX_NOTE} bytes")]
    TooLong,
    /// A signature of a known key does not verify.
    #[error("the signature of the key {0} does not verify")]
    Bad(String),
    /// No known key signed it.
    #[error("none of the pinned keys signed this note")]
    Unknown,
}

/// Most signatures that a reader looks at.
pub const MAX_SIGNATURES: usize = 100;
/// Longest note that a reader looks at, in bytes.
pub const MAX_NOTE: usize = 1_000_000;

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Form);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let (name, blob) = line
                .strip_prefix("— ")
                .and_then(|l| l.split_once(' '))
                .ok_or(NoteError::Form)?;
            let blob = decode_b64(blob)
                .filter(|b| b.len() > 4)
                .ok_or(NoteError::Form)?;
            if !is_key_name(name) {
                return Err(NoteError::Form);
            }
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooMany);
            }
            signatures.push(NoteSignature {
                name,
                id: [blob[0], blob[1], blob[2], blob[3]],
                bytes: blob[4..].to_vec(),
            });
        }
        Ok(Self { text, signatures })
    }

    /// The keys among `known` that signed this note. Signatures of unknown keys are ignored.
    ///
    /// # Errors
    /// When a known key's signature does not verify, or no known key signed.
    pub fn verify<'k>(&self, known: &'k [Vkey]) -> Result<Vec<&'k Vkey>, NoteError> {
        let mut good: Vec<&Vkey> = Vec::new();
        for signature in &self.signatures {
            let Some(vkey) = known
                .iter()
                .find(|k| k.name == signature.name && k.id() == signature.id)
            else {
                continue;
            };
            if !self.signature_is_good(vkey, &signature.bytes) {
                return Err(NoteError::Bad(vkey.to_string()));
            }
            if !good.contains(&vkey) {
                good.push(vkey);
            }
        }
        if good.is_empty() {
            Err(NoteError::Unknown)
        } else {
            Ok(good)
        }
    }

    /// The signature lines, each with its line feed, of those keys among `known` whose signature verifies; lines that
    /// do not verify are left out. To move signatures from one copy of a note to another.
    #[must_use]
    pub fn good_lines(&self, known: &[Vkey]) -> Vec<(Vkey, String)> {
        let mut out: Vec<(Vkey, String)> = Vec::new();
        for signature in &self.signatures {
            let found = known
                .iter()
                .find(|k| k.name == signature.name && k.id() == signature.id);
            let Some(vkey) = found.filter(|k| self.signature_is_good(k, &signature.bytes)) else {
                continue;
            };
            if out.iter().any(|(k, _)| k == vkey) {
                continue;
            }
            let blob = [&signature.id[..], &signature.bytes].concat();
            out.push((
                vkey.clone(),
                format!("— {} {}\n", signature.name, b64(&blob)),
            ));
        }
        out
    }

    fn signature_is_good(&self, vkey: &Vkey, bytes: &[u8]) -> bool {
        match vkey.algorithm {
            Algorithm::Ed25519 => vkey.verifies(self.text.as_bytes(), bytes),
            Algorithm::CosignatureV1 => {
                let Some((time, signature)) = bytes.split_first_chunk::<8>() else {
                    return false;
                };
                let seconds = u64::from_be_bytes(*time);
                i64::try_from(seconds).is_ok()
                    && vkey.verifies(cosigned_message(self.text, seconds).as_bytes(), signature)
            }
        }
    }

    /// When a cosigner says that it signed, in seconds since 1970; `None` when it did not. Call after [`Note::verify`].
    #[must_use]
    pub fn cosigned_at(&self, vkey: &Vkey) -> Option<u64> {
        let signature = self
            .signatures
            .iter()
            .find(|s| s.name == vkey.name && s.id == vkey.id())?;
        match vkey.algorithm {
            Algorithm::Ed25519 => None,
            Algorithm::CosignatureV1 => signature
                .bytes
                .first_chunk()
                .map(|t| u64::from_be_bytes(*t)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str, seed: u8) -> NoteSigner {
        NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32]))
            .unwrap_or_else(|| panic!("{name} is a key name"))
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        let s = signer("ledger.example/a", 1);
        let note = s.sign("hello\n\nworld\n");
        let parsed = Note::parse(&note);
        let keys = [s.vkey().clone()];
        assert_eq!(parsed.as_ref().map(|n| n.text), Ok("hello\n\nworld\n"));
        assert_eq!(parsed.and_then(|n| n.verify(&keys).map(|k| k.len())), Ok(1));
        let other = [signer("ledger.example/a", 2).vkey().clone()];
        assert_eq!(
            Note::parse(&note).and_then(|n| n.verify(&other).map(|k| k.len())),
            Err(NoteError::Unknown)
        );
        let changed = note.replace("hello", "hullo");
        assert!(matches!(
            Note::parse(&changed).and_then(|n| n.verify(&keys).map(|k| k.len())),
            Err(NoteError::Bad(_))
        ));
    }

    #[test]
    fn a_vkey_reads_back_and_every_mutilation_is_refused() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(
            Vkey::parse(text).map(|k| k.to_string()),
            Ok(text.to_owned())
        );
        for start in 0..text.len() {
            for end in start..text.len() {
                assert!(
                    start == 0 && end == text.len() || Vkey::parse(&text[start..end]).is_err(),
                    "{}",
                    &text[start..end]
                );
            }
        }
        for i in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] += 1;
            assert!(
                Vkey::parse(&String::from_utf8_lossy(&bytes)).is_err(),
                "byte {i} incremented"
            );
        }
    }

    #[test]
    fn a_cosignature_is_the_one_of_the_format_s_examples() {
        // docs/formats.md, "Cosigned checkpoint"; its witness's secret seed is published there.
        let seed = "bc3fc6d1f27dcfc4d42e3252063693f40e9b0a2e4db7b0873050cd53d1708751";
        let mut key = [0; 32];
        assert_eq!(hex::decode_to_slice(seed, &mut key), Ok(()));
        let witness = Cosigner::new("witness.example/w1", SigningKey::from_bytes(&key))
            .unwrap_or_else(|| panic!("it is a key name"));
        let note = include_str!("../../tests/formats/checkpoint-4-cosigned.txt");
        let text = Note::parse(note).map(|n| n.text).unwrap_or_default();
        let line = witness.cosign(text, 1_795_342_815);
        assert!(note.ends_with(&line), "{line}");
        let parsed = Note::parse(note).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            parsed.good_lines(&[witness.vkey().clone()]),
            [(witness.vkey().clone(), line)]
        );
        assert_eq!(parsed.cosigned_at(witness.vkey()), Some(1_795_342_815));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let good = signer("a.example/b", 3).sign("x\n");
        let line = good.lines().last().unwrap_or_default().to_owned();
        for bad in [
            "",
            "x\n",
            "x\n\n",
            "x\n\nno signature\n",
            "x\n\n— a.example/b\n",
            "x\n\n— a b c\n",
            &good[..good.len() - 1],
            &format!("x\u{1}\n\n{line}\n"),
            &format!("x\n\n— a+b {}\n", b64(&[0; 68])),
            &format!("x\n\n— a {}\n", b64(&[0; 4])),
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        let crowd = format!("x\n\n{}", format!("{line}\n").repeat(MAX_SIGNATURES + 1));
        assert_eq!(Note::parse(&crowd), Err(NoteError::TooMany));
        let long = format!("{}\n\n{line}\n", "y".repeat(MAX_NOTE));
        assert_eq!(Note::parse(&long), Err(NoteError::TooLong));
    }

    #[test]
    fn key_names_hold_no_space_and_no_plus() {
        for bad in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\u{2003}b"] {
            assert!(!is_key_name(bad), "{bad:?}");
        }
        assert!(is_key_name("ledger.example/tenant-1"));
    }
}
