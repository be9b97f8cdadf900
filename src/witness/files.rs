//! Files that are replaced as a whole and durably.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::WitnessError;

/// Puts `bytes` in place of a file. After a crash at any moment the file holds the old bytes or the new ones, and once
/// this returns, the new ones.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WitnessError> {
    let temporary = path.with_extension("new");
    let mut file =
        File::create(&temporary).map_err(WitnessError::io("cannot create", &temporary))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(WitnessError::io("cannot write", &temporary))?;
    fs::rename(&temporary, path).map_err(WitnessError::io("cannot replace", path))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(WitnessError::io("cannot sync the folder", dir))
}

/// Takes the folder for this process.
pub fn lock(dir: &Path) -> Result<File, WitnessError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(WitnessError::io("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(WitnessError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(WitnessError::io("cannot lock", &path)(source)),
    }
}
