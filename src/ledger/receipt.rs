//! Receipts: the proof that an entry stands in a signed checkpoint, as a C2SP `tlog-proof` file.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the leaf's bytes>
//! index <position>
//! <base64 hash>            one line for each hash of the inclusion proof
//!
//! <the checkpoint, a signed note>
//! ```

use super::hash::{Hash, b64, decode_b64};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A receipt, read but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// Its position.
    pub index: u64,
    /// The inclusion proof, from the leaf up.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// Why a text is not a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a receipt (C2SP tlog-proof with the leaf in its extra line): {0}")]
pub struct ReceiptError(pub &'static str);

impl Receipt {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!(
            "{HEADER}\nextra {}\nindex {}\n",
            b64(&self.leaf),
            self.index
        );
        for hash in &self.path {
            out.push_str(&hash.to_b64());
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`ReceiptError`].
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(ReceiptError("it has no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ReceiptError("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let leaf = lines
            .next()
            .and_then(|l| l.strip_prefix("extra "))
            .and_then(decode_b64)
            .ok_or(ReceiptError("its second line does not carry the leaf"))?;
        let index = lines
            .next()
            .and_then(|l| l.strip_prefix("index "))
            .ok_or(ReceiptError("its third line does not carry the index"))?;
        let index = index
            .parse()
            .ok()
            .filter(|i: &u64| i.to_string() == index)
            .ok_or(ReceiptError("its index is not a decimal number"))?;
        let path: Vec<Hash> = lines
            .map(Hash::from_b64)
            .collect::<Option<_>>()
            .ok_or(ReceiptError("a line of its proof is not a hash"))?;
        if path.len() > 64 {
            return Err(ReceiptError("its proof is longer than any tree is high"));
        }
        Ok(Self {
            leaf,
            index,
            path,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote() {
        let r = Receipt {
            leaf: b"{}".to_vec(),
            index: 7,
            path: vec![Hash::ZERO, Hash::leaf(b"a")],
            checkpoint: "o\n8\nr\n\n— o AAAA\n".into(),
        };
        assert_eq!(Receipt::parse(&r.encode()), Ok(r.clone()));
        for (from, to) in [
            ("v1", "v2"),
            ("index 7", "index 07"),
            ("index 7", "index x"),
            ("extra ", "other "),
            ("\n\no", "\no"),
            ("AAAAAAA=\n", "AAAAAA\n"),
        ] {
            let bad = r.encode().replacen(from, to, 1);
            assert!(
                bad == r.encode()
                    || Receipt::parse(&bad).is_err()
                    || Receipt::parse(&bad) != Ok(r.clone()),
                "{from} -> {to}"
            );
            assert_ne!(bad, r.encode());
        }
    }
}
