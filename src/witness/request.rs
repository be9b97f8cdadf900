//! The body of `add-checkpoint`:
//!
//! ```text
//! old <size>
//! <base64 hash>      at most 63 lines, the consistency proof from the old size
//!
//! <the checkpoint, a signed note, verbatim>
//! ```

use crate::ledger::Hash;

/// Most lines of a proof.
pub const MAX_PROOF: usize = 63;
/// Longest body in bytes: the proof takes less than 3 KiB, the rest is for signatures.
pub const MAX_REQUEST: usize = 64 * 1024;

/// A submitted checkpoint, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint<'a> {
    /// The size that the submitter believes the witness to be at.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The signed note.
    pub checkpoint: &'a str,
}

/// Why a body is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is not an add-checkpoint request: {0}")]
pub struct RequestError(&'static str);

impl<'a> AddCheckpoint<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is not of the form above.
    pub fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        if body.len() > MAX_REQUEST {
            return Err(RequestError("it is too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| RequestError("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(RequestError("there is no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|l| l.strip_prefix("old "))
            .ok_or(RequestError("the first line is not `old <size>`"))?;
        let old = old
            .parse()
            .ok()
            .filter(|n: &u64| n.to_string() == old)
            .ok_or(RequestError("the old size is not a decimal number"))?;
        let proof: Vec<Hash> = lines
            .map(Hash::from_b64)
            .collect::<Option<_>>()
            .ok_or(RequestError("a line of the proof is not a hash in base64"))?;
        if proof.len() > MAX_PROOF {
            return Err(RequestError("the proof has more than 63 lines"));
        }
        Ok(Self {
            old,
            proof,
            checkpoint,
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("old {}\n", self.old);
        for hash in &self.proof {
            out.push_str(&hash.to_b64());
            out.push('\n');
        }
        out.push('\n');
        out.push_str(self.checkpoint);
        out
    }
}
