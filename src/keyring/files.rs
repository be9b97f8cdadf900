//! Files that only their owner can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::KeyringError;

/// Makes a folder (and its parents) that only its owner can enter.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(dir: &Path) -> Result<(), KeyringError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(KeyringError::io("cannot make the folder", dir))
}

/// Writes a file that did not exist before; nobody but the owner can read it at any moment. Durable on return.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(KeyringError::io("cannot create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(KeyringError::io("cannot write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Destroys a file: overwritten, removed, and its folder durable without it. (On storage that writes elsewhere, such as
/// flash or copy-on-write, the old bytes may linger below the file system; see `docs/keyring.md`.) An absent file is done.
///
/// # Errors
/// When it cannot be written or removed.
pub fn destroy_file(path: &Path) -> Result<(), KeyringError> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(KeyringError::io("cannot open", path)(e)),
    };
    file.metadata()
        .and_then(|m| std::io::copy(&mut std::io::repeat(0).take(m.len()), &mut file))
        .and_then(|_| file.sync_all())
        .and_then(|()| fs::remove_file(path))
        .map_err(KeyringError::io("cannot destroy", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Reads a file that nobody but its owner may be able to read.
///
/// # Errors
/// When it is absent, or readable by others.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let mut file = File::open(path).map_err(KeyringError::io("cannot open", path))?;
    let mode = file
        .metadata()
        .map_err(KeyringError::io("cannot inspect", path))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(KeyringError::Malformed {
            path: path.to_owned(),
            what: format!(
                "can be read by others (mode {:o}); run: chmod 600 {}",
                mode & 0o777,
                path.display()
            ),
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)
        .map_err(KeyringError::io("cannot read", path))?;
    Ok(bytes)
}

/// Checks that nobody but its owner can read a file or enter a folder.
///
/// # Errors
/// When others can, or it is absent.
pub fn check_private(path: &Path) -> Result<(), KeyringError> {
    let mode = fs::metadata(path)
        .map_err(KeyringError::io("cannot inspect", path))?
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(KeyringError::Malformed {
        path: path.to_owned(),
        what: format!(
            "can be read by others (mode {:o}); run: chmod go-rwx {}",
            mode & 0o777,
            path.display()
        ),
    })
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the system refuses.
pub fn sync_dir(dir: &Path) -> Result<(), KeyringError> {
    fs::File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(KeyringError::io("cannot sync the folder", dir))
}
