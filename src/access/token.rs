//! Tokens: 256 random bits, shown once, kept as a digest.

use super::text;
use crate::ledger::{Hash, Id16, Timestamp, b64url, decode_b64url, sha256};
use crate::store::access::TokenRow;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// So that people and secret scanners recognise one.
const PREFIX: &str = "wh_";
const SECRET_BYTES: usize = 32;

/// A token just minted: the only time that its text exists on the server.
///
/// Cannot be cloned, compared, serialised or printed by accident; the text is wiped from memory when this is dropped.
pub struct NewToken {
    id: Id16,
    principal: Id16,
    expires: Option<Timestamp>,
    text: Zeroizing<String>,
}

impl NewToken {
    pub(super) fn from_random(
        id: Id16,
        principal: Id16,
        expires: Option<Timestamp>,
        secret: &Zeroizing<[u8; SECRET_BYTES]>,
    ) -> Self {
        let body = Zeroizing::new(b64url(secret.as_slice()));
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + body.len()));
        text.push_str(PREFIX);
        text.push_str(&body);
        Self {
            id,
            principal,
            expires,
            text,
        }
    }

    /// The token's id, which is not secret.
    #[must_use]
    pub fn id(&self) -> Id16 {
        self.id
    }

    /// Whose token.
    #[must_use]
    pub fn principal(&self) -> Id16 {
        self.principal
    }

    /// Until when it counts.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The token itself, to be shown to its holder once and kept nowhere.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn digest(&self) -> Hash {
        sha256(&[self.text.as_bytes()])
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("id", &self.id)
            .field("principal", &self.principal)
            .field("expires", &self.expires)
            .field("text", &"[redacted]")
            .finish()
    }
}

/// The digest under which a token is kept; `None` when the text has not a token's form.
///
/// Plain SHA-256: slow, salted hashes exist for secrets that people choose. A token is 256 random bits, so there is
/// nothing to guess, and a stolen digest leads nowhere. For the same reason the time that the look-up of a digest takes
/// tells nothing: who varies a token cannot steer its digest.
pub(super) fn digest_of(text: &str) -> Option<Hash> {
    let secret = Zeroizing::new(decode_b64url(text.strip_prefix(PREFIX)?)?);
    (secret.len() == SECRET_BYTES).then(|| sha256(&[text.as_bytes()]))
}

/// The token in an `Authorization` header of the scheme `Bearer` (RFC 6750; schemes have no case).
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| rest.trim_matches(' '))
}

/// What is known about a token, all of it public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenInfo {
    /// Random id.
    #[serde(with = "text::id")]
    #[schema(value_type = String)]
    pub id: Id16,
    /// Whose token.
    #[serde(with = "text::id")]
    #[schema(value_type = String)]
    pub principal: Id16,
    /// When it was minted.
    #[serde(with = "text::time")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Until when it counts; a rotation with a grace period brings it forward.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// When someone revoked it, or rotated it without a grace period; refused ever since.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
    /// When it was rotated.
    #[serde(with = "text::time_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub rotated: Option<Timestamp>,
    /// The token that took its place.
    #[serde(with = "text::id_opt", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub replaced_by: Option<Id16>,
}

impl From<TokenRow> for TokenInfo {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            principal: row.principal,
            created: row.created,
            expires: row.expires,
            revoked: row.revoked,
            rotated: row.rotated,
            replaced_by: row.replaced_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        let token = NewToken::from_random(
            Id16([1; 16]),
            Id16([2; 16]),
            None,
            &Zeroizing::new([0xfb; 32]),
        );
        let text = token.expose();
        assert!(text.starts_with("wh_") && text.len() == 46);
        assert_eq!(digest_of(text), Some(token.digest()));
        assert_eq!(token.digest(), sha256(&[text.as_bytes()]));
        // The last digit carries four bits; a text with other unused bits would be a second name of the same secret.
        let other_tail = format!("{}t", &text[..45]);
        for bad in [
            "",
            "wh_",
            &text[3..],
            &text[..45],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
            &text.replace("wh_", "WH_"),
            &other_tail,
        ] {
            assert_eq!(digest_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = NewToken::from_random(
            Id16([1; 16]),
            Id16([2; 16]),
            None,
            &Zeroizing::new([0xfb; 32]),
        );
        let shown = format!("{token:?} {token:#?}");
        assert!(
            shown.contains("redacted") && !shown.contains(&token.expose()[3..]),
            "{shown}"
        );
    }

    #[test]
    fn bearer_headers() {
        assert_eq!(bearer("Bearer wh_x"), Some("wh_x"));
        assert_eq!(bearer("bEARER  wh_x "), Some("wh_x"));
        for other in ["Basic wh_x", "wh_x", "Bearer", ""] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }
}
