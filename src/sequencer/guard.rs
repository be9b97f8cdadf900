//! The guard file: the newest checkpoint, outside the database.
//!
//! Two fixed places of 4 KiB are written in turn, each with its own checksum, so a write that a crash tears leaves the
//! other one whole, and no write changes the file's size (an fdatasync then is one block). A place is text:
//! `whereas-guard-v1 <count>`, the SHA-256 of what follows in hex, the signed checkpoint, then line feeds.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::keyring::sync_dir;
use crate::ledger::sha256;

const PLACE: usize = 4096;
const HEADER: &str = "whereas-guard-v1";

/// Why the guard file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The file system said no.
    #[error("the guard file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither place can be read.
    #[error(
        "the guard file {0} holds no whole checkpoint; restore it from its newest copy, or compare the ledger with an anchor before you remove it"
    )]
    Unreadable(PathBuf),
    /// Too long for a place.
    #[error("the checkpoint is too long for the guard file")]
    TooLong,
}

/// The guard file.
#[derive(Debug)]
pub struct Guard {
    path: PathBuf,
    file: File,
    count: u64,
}

impl Guard {
    fn error(path: &Path) -> impl FnOnce(std::io::Error) -> GuardError {
        move |source| GuardError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Makes a new, empty guard file.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub fn create(path: &Path) -> Result<Self, GuardError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map_err(Self::error(path))?;
        file.write_all_at(&[b'\n'; 2 * PLACE], 0)
            .and_then(|()| file.sync_all())
            .map_err(Self::error(path))?;
        if let Some(dir) = path.parent() {
            sync_dir(dir).map_err(|e| GuardError::Io {
                path: path.to_owned(),
                source: std::io::Error::other(e.to_string()),
            })?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            count: 0,
        })
    }

    /// Opens the guard file; gives the newest checkpoint, or `None` when none was ever written.
    ///
    /// # Errors
    /// When it is absent, unreadable, or both places are damaged.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), GuardError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(Self::error(path))?;
        let bytes = places(path, &file)?;
        let newest = bytes
            .chunks(PLACE)
            .filter_map(parse)
            .max_by_key(|(count, _)| *count);
        let empty = bytes.len() == 2 * PLACE && bytes.iter().all(|b| *b == b'\n');
        match newest {
            Some((count, note)) => Ok((
                Self {
                    path: path.to_owned(),
                    file,
                    count,
                },
                Some(note),
            )),
            None if empty => Ok((
                Self {
                    path: path.to_owned(),
                    file,
                    count: 0,
                },
                None,
            )),
            None => Err(GuardError::Unreadable(path.to_owned())),
        }
    }

    /// The newest checkpoint of a guard file that somebody else may be writing; `None` when none was ever written.
    ///
    /// # Errors
    /// As [`Guard::open`].
    pub fn read(path: &Path) -> Result<Option<String>, GuardError> {
        let file = File::open(path).map_err(Self::error(path))?;
        let bytes = places(path, &file)?;
        let newest = bytes
            .chunks(PLACE)
            .filter_map(parse)
            .max_by_key(|(count, _)| *count);
        match newest {
            Some((_, note)) => Ok(Some(note)),
            None if bytes.len() == 2 * PLACE && bytes.iter().all(|b| *b == b'\n') => Ok(None),
            None => Err(GuardError::Unreadable(path.to_owned())),
        }
    }

    /// Writes a newer checkpoint. Durable on return.
    ///
    /// # Errors
    /// When it cannot be written; the older checkpoint then still stands.
    pub fn write(&mut self, note: &str) -> Result<(), GuardError> {
        let count = self.count + 1;
        let mut bytes =
            format!("{HEADER} {count}\n{}\n{note}", sha256(&[note.as_bytes()])).into_bytes();
        if bytes.len() > PLACE {
            return Err(GuardError::TooLong);
        }
        bytes.resize(PLACE, b'\n');
        let offset = (count % 2) * PLACE as u64;
        self.file
            .write_all_at(&bytes, offset)
            .and_then(|()| self.file.sync_data())
            .map_err(Self::error(&self.path))?;
        self.count = count;
        Ok(())
    }
}

/// The bytes of both places, or of what is there of them.
fn places(path: &Path, file: &File) -> Result<Vec<u8>, GuardError> {
    let mut bytes = vec![0; 2 * PLACE];
    let mut read = 0;
    while read < bytes.len() {
        match file
            .read_at(&mut bytes[read..], read as u64)
            .map_err(Guard::error(path))?
        {
            0 => break,
            n => read += n,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

fn parse(place: &[u8]) -> Option<(u64, String)> {
    let text = std::str::from_utf8(place).ok()?;
    let (head, rest) = text.split_once('\n')?;
    let count = head.strip_prefix(HEADER)?.trim_start().parse().ok()?;
    let (digest, rest) = rest.split_once('\n')?;
    let note = format!("{}\n", rest.trim_end_matches('\n'));
    (sha256(&[note.as_bytes()]).to_hex() == digest).then_some((count, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_newest_whole_checkpoint() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("guard");
        drop(Guard::create(&path)?);
        assert_eq!(Guard::open(&path)?.1, None);
        let mut guard = Guard::open(&path)?.0;
        for i in 1..=3 {
            guard.write(&format!("o\n{i}\nroot\n\n— o sig\n"))?;
            assert_eq!(
                Guard::open(&path)?.1,
                Some(format!("o\n{i}\nroot\n\n— o sig\n"))
            );
        }
        // A torn write of the third (odd place) leaves the second.
        let file = OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(b"torn", PLACE as u64 + 100)?;
        assert!(
            Guard::open(&path)?
                .1
                .is_some_and(|n| n.starts_with("o\n2\n"))
        );
        file.write_all_at(b"torn", 100)?;
        assert!(matches!(Guard::open(&path), Err(GuardError::Unreadable(_))));
        file.set_len(10)?;
        assert!(matches!(Guard::open(&path), Err(GuardError::Unreadable(_))));
        assert!(Guard::create(&path).is_err());
        Ok(())
    }
}
