//! Checkpoints: signed tree heads (C2SP tlog-checkpoint v1.0.0).

use super::hash::Hash;
use super::note::{self, Note, NoteError, NoteSigner, Vkey};

/// A tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Origin of the ledger.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by a pinned key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A note, but not a checkpoint.
    #[error("the note is not a checkpoint: it must hold origin, size and root, one on a line")]
    Form,
    /// A checkpoint of something else.
    #[error("the checkpoint is of the ledger `{0}`, not of the one expected")]
    Origin(String),
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_b64())
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &NoteSigner) -> String {
        signer.sign(&self.text())
    }

    /// The signed note with the signatures of several keys, in this order: at a change of keys there are two.
    #[must_use]
    pub fn sign_all<'s>(&self, signers: impl IntoIterator<Item = &'s NoteSigner>) -> String {
        let text = self.text();
        let lines: String = signers
            .into_iter()
            .map(|s| s.signature_line(&text))
            .collect();
        format!("{text}\n{lines}")
    }

    /// Reads a checkpoint's text; extension lines are allowed and ignored.
    #[must_use]
    pub fn parse_text(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|o| !o.is_empty())?;
        let size = lines.next()?;
        let canonical =
            size == "0" || (size.bytes().all(|b| b.is_ascii_digit()) && !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| canonical)?;
        let root = Hash::from_b64(lines.next()?)?;
        if lines.any(str::is_empty) {
            return None;
        }
        Some(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }

    /// Reads a signed checkpoint without verifying it.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn parse_unverified(note: &str) -> Result<(Self, Note<'_>), CheckpointError> {
        let note = Note::parse(note)?;
        let checkpoint = Self::parse_text(note.text).ok_or(CheckpointError::Form)?;
        Ok((checkpoint, note))
    }

    /// Reads a signed checkpoint and verifies it with pinned keys.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(note: &str, origin: &str, keys: &[Vkey]) -> Result<Self, CheckpointError> {
        let (checkpoint, parsed) = Self::parse_unverified(note)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin(checkpoint.origin));
        }
        parsed.verify(keys)?;
        Ok(checkpoint)
    }
}

/// Whether a text can be a ledger's origin: a key name (see [`note::is_key_name`]) without upper-case scheme tricks.
#[must_use]
pub fn is_origin(text: &str) -> bool {
    note::is_key_name(text)
        && text.len() <= 255
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~/:".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_the_canonical_text() {
        let c = Checkpoint {
            origin: "l.example/a".into(),
            size: 10,
            root: Hash::leaf(b"x"),
        };
        assert_eq!(Checkpoint::parse_text(&c.text()).as_ref(), Some(&c));
        let root = c.root.to_b64();
        assert!(Checkpoint::parse_text(&format!("o\n5\n{root}\nextension\n")).is_some());
        for bad in [
            format!("o\n05\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("\n5\n{root}\n"),
            format!("o\n5\n{root}"),
            format!("o\n+5\n{root}\n"),
            format!("o\n-0\n{root}\n"),
            "o\n5\nAAAA\n".into(),
            format!("o\n5\n{root}\n\n"),
            format!("o\n99999999999999999999999\n{root}\n"),
        ] {
            assert_eq!(Checkpoint::parse_text(&bad), None, "{bad:?}");
        }
    }
}
