//! A log on the web, in the layout of C2SP tlog-tiles: its checkpoint, its entry bundles, its hash tiles of level 0.

use std::time::Duration;

use ureq::Agent;

use super::AuditError;
use super::source::{Bundle, Source};
use crate::ledger::Hash;
use crate::ledger::checkpoint::Checkpoint;

/// Entries of a full bundle, hashes of a full tile.
const WIDTH: u64 = 256;
/// Longest bundle: 256 entries of 65,535 bytes, each with its length.
const MAX_BUNDLE: u64 = WIDTH * (2 + 65_535);
/// Longest checkpoint that is read.
const MAX_CHECKPOINT: u64 = 1_000_000;

/// A log on the web.
#[derive(Debug)]
pub struct Web {
    agent: Agent,
    prefix: String,
    token: Option<String>,
    checkpoint: String,
    size: u64,
    next: u64,
}

impl Web {
    /// Reads the log's checkpoint; `prefix` is the address before `/checkpoint`, `token` a bearer token.
    ///
    /// # Errors
    /// When the log cannot be reached, or gives no checkpoint.
    pub fn open(prefix: &str, token: Option<String>) -> Result<Self, AuditError> {
        if !prefix.starts_with("http://") {
            return Err(AuditError::Source(format!(
                "{prefix} cannot be read: the address must begin with http:// (put a TLS proxy of your own in front of a log that wants https)"
            )));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut web = Self {
            agent,
            prefix: prefix.trim_end_matches('/').to_owned(),
            token,
            checkpoint: String::new(),
            size: 0,
            next: 0,
        };
        let bytes = web.get("checkpoint", MAX_CHECKPOINT)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| AuditError::Source(format!("{prefix}/checkpoint is not text")))?;
        let (checkpoint, _) = Checkpoint::parse_unverified(&text)
            .map_err(|e| AuditError::Source(format!("{prefix}/checkpoint: {e}")))?;
        web.size = checkpoint.size;
        web.checkpoint = text;
        Ok(web)
    }

    fn get(&self, path: &str, limit: u64) -> Result<Vec<u8>, AuditError> {
        let address = format!("{}/{path}", self.prefix);
        let failed = |e: ureq::Error| AuditError::Source(format!("{address} cannot be read: {e}"));
        let mut request = self.agent.get(&address);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(failed)?;
        if response.status() != 200 {
            return Err(AuditError::Source(format!(
                "{address} is not given: the server answers {}",
                response.status()
            )));
        }
        response
            .body_mut()
            .with_config()
            .limit(limit)
            .read_to_vec()
            .map_err(failed)
    }
}

/// The path of a tile or bundle: digits in threes, all but the last with an `x` before, and the width of a partial one.
fn tile_path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    if width < WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Splits an entry bundle; `None` when it does not hold exactly `count` entries.
fn entries(bytes: &[u8], count: u64) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let (entry, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        out.push(entry.to_vec());
        rest = tail;
    }
    (out.len() as u64 == count).then_some(out)
}

impl Source for Web {
    fn next(&mut self) -> Result<Option<Bundle>, AuditError> {
        if self.next >= self.size {
            return Ok(None);
        }
        let (index, first) = (self.next / WIDTH, self.next);
        let width = (self.size - first).min(WIDTH);
        let path = tile_path(index, width);
        let bytes = self.get(&format!("tile/entries/{path}"), MAX_BUNDLE)?;
        let leaves = entries(&bytes, width).ok_or_else(|| {
            AuditError::Source(format!(
                "the entry bundle {}/tile/entries/{path} does not hold the {width} entries {first} to {}",
                self.prefix,
                first + width - 1
            ))
        })?;
        let tile = self.get(&format!("tile/0/{path}"), WIDTH * 32)?;
        let (hashes, rest) = tile.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 != width {
            return Err(AuditError::Source(format!(
                "the hash tile {}/tile/0/{path} does not hold {width} hashes",
                self.prefix
            )));
        }
        self.next += width;
        let last = self.next == self.size;
        Ok(Some(Bundle {
            leaves,
            claimed: hashes.iter().map(|h| Hash(*h)).collect(),
            content: Vec::new(),
            checkpoints: last
                .then(|| (self.size, self.checkpoint.clone()))
                .into_iter()
                .collect(),
        }))
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        for (index, width, path) in [
            (0, 256, "000"),
            (999, 256, "999"),
            (1_000, 256, "x001/000"),
            (1_234_067, 256, "x001/x234/067"),
            (273, 112, "273.p/112"),
        ] {
            assert_eq!(tile_path(index, width), path);
        }
    }

    #[test]
    fn bundles_that_do_not_add_up_are_refused() {
        assert_eq!(
            entries(b"\0\x01a\0\x00", 2),
            Some(vec![b"a".to_vec(), vec![]])
        );
        assert_eq!(entries(b"\0\x01a", 2), None);
        assert_eq!(entries(b"\0\x02a", 1), None);
        assert_eq!(entries(b"\0", 1), None);
    }
}
