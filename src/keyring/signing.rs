//! Ed25519 keys in PKCS#8 PEM files (RFC 8410, version 1, as OpenSSL reads and writes them).
//!
//! A key's file bears its purpose and its id: `checkpoint-1f2e3d4c.pem`, `report-4c3d2e1f.pem`. The names
//! `checkpoint.pem` and `report.pem`, of ledgers that were made before keys could change, are opened as well. Which key is
//! in force is never taken from a file name: the ledger's entries say it, and the file must hold that key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use zeroize::Zeroizing;

use super::files::destroy_file;
use super::{KeyringError, random, read_private, write_new_private};
use crate::ledger::keys::Purpose;
use crate::ledger::note::{NoteSigner, Vkey};

/// The signing keys of a ledger: those in force, one that is to come, and checkpoint keys that still have something to
/// sign.
#[derive(Debug)]
pub struct SigningKeys {
    dir: PathBuf,
    held: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    checkpoint: Arc<NoteSigner>,
    report: Arc<NoteSigner>,
    /// Its file is there, and perhaps an entry that names it.
    next: Option<(Purpose, Arc<NoteSigner>)>,
    /// Replaced, but not destroyed: the bridge, or what was committed before it, may have to be signed.
    retiring: Vec<Arc<NoteSigner>>,
}

impl SigningKeys {
    /// Writes a key's file: a given key, or a fresh one. Durable on return.
    ///
    /// # Errors
    /// When the file exists with another key, or cannot be written.
    pub fn make(
        dir: &Path,
        purpose: Purpose,
        origin: &str,
        given: Option<SigningKey>,
    ) -> Result<NoteSigner, KeyringError> {
        let key = match given {
            Some(key) => key,
            None => SigningKey::from_bytes(&random()?),
        };
        let name = purpose.key_name(origin);
        let pem = signing_key_to_pem(&key, dir)?;
        let signer = NoteSigner::new(&name, key).ok_or_else(|| KeyringError::Malformed {
            path: dir.to_owned(),
            what: format!("cannot hold a key with the name `{name}`: it is not a key name"),
        })?;
        let path = key_file(dir, purpose, signer.vkey());
        // A rotation to a given key that was cut short has left it behind.
        let there = path.exists() && read_signer(&path, &name)?.vkey() == signer.vkey();
        if !there {
            write_new_private(&path, pem.as_bytes())?;
        }
        Ok(signer)
    }

    /// Reads the keys in force.
    ///
    /// # Errors
    /// When a file is absent, malformed, readable by others, or holds another key.
    pub(super) fn open(dir: &Path, checkpoint: &Vkey, report: &Vkey) -> Result<Self, KeyringError> {
        let held = Held {
            checkpoint: Arc::new(find(dir, Purpose::Checkpoint, checkpoint)?),
            report: Arc::new(find(dir, Purpose::Report, report)?),
            next: None,
            retiring: Vec::new(),
        };
        Ok(Self {
            dir: dir.to_owned(),
            held: RwLock::new(held),
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key in force.
    #[must_use]
    pub fn current(&self, purpose: Purpose) -> Arc<NoteSigner> {
        self.read(|h| match purpose {
            Purpose::Checkpoint => Arc::clone(&h.checkpoint),
            Purpose::Report => Arc::clone(&h.report),
        })
    }

    /// What signs for a verifier key, while it is held.
    #[must_use]
    pub fn signer(&self, vkey: &Vkey) -> Option<Arc<NoteSigner>> {
        self.read(|h| {
            let next = h.next.as_ref().map(|(_, s)| s);
            [&h.checkpoint, &h.report]
                .into_iter()
                .chain(&h.retiring)
                .chain(next)
                .find(|s| s.vkey() == vkey)
                .map(Arc::clone)
        })
    }

    /// Makes the next key, and holds it until [`SigningKeys::adopt`] or [`SigningKeys::discard`].
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn prepare(
        &self,
        purpose: Purpose,
        origin: &str,
        given: Option<SigningKey>,
    ) -> Result<Vkey, KeyringError> {
        let signer = Self::make(&self.dir, purpose, origin, given)?;
        let vkey = signer.vkey().clone();
        self.write(|h| h.next = Some((purpose, Arc::new(signer))));
        Ok(vkey)
    }

    /// Puts the next key in force when it is the one that the ledger's entries name. The one before stays held when it
    /// signs checkpoints.
    pub fn adopt(&self, newest: &Vkey) {
        self.write(|h| {
            let Some((purpose, next)) = h.next.take_if(|(_, s)| s.vkey() == newest) else {
                return;
            };
            match purpose {
                Purpose::Checkpoint => {
                    let old = std::mem::replace(&mut h.checkpoint, next);
                    h.retiring.push(old);
                }
                Purpose::Report => h.report = next,
            }
        });
    }

    /// Destroys the next key: no entry names it, and none will.
    ///
    /// # Errors
    /// When its file cannot be destroyed.
    pub fn discard(&self) -> Result<(), KeyringError> {
        match self.write(|h| h.next.take()) {
            Some((purpose, next)) => destroy_file(&key_file(&self.dir, purpose, next.vkey())),
            None => Ok(()),
        }
    }

    /// Reads a checkpoint key that was replaced, where it was not destroyed yet.
    ///
    /// # Errors
    /// When its file is there but cannot be read.
    pub fn hold_retiring(&self, vkey: &Vkey) -> Result<(), KeyringError> {
        let known = self.signer(vkey).is_some();
        if let Some(path) = where_is(&self.dir, Purpose::Checkpoint, vkey)
            && !known
        {
            let signer = read_signer(&path, vkey.name())?;
            self.write(|h| h.retiring.push(Arc::new(signer)));
        }
        Ok(())
    }

    /// Destroys a key that was replaced, and forgets it. What is done already is done.
    ///
    /// # Errors
    /// When its file cannot be destroyed.
    pub fn destroy(&self, purpose: Purpose, vkey: &Vkey) -> Result<(), KeyringError> {
        self.write(|h| h.retiring.retain(|s| s.vkey() != vkey));
        destroy_file(&key_file(&self.dir, purpose, vkey))?;
        let old_name = old_file(&self.dir, purpose);
        let done_in_part = std::fs::read(&old_name)
            .is_ok_and(|bytes| !bytes.is_empty() && bytes.iter().all(|b| *b == 0));
        let holds_it = || read_signer(&old_name, vkey.name()).is_ok_and(|s| s.vkey() == vkey);
        if done_in_part || holds_it() {
            destroy_file(&old_name)?;
        }
        Ok(())
    }
}

/// Where a key's file belongs.
fn key_file(dir: &Path, purpose: Purpose, vkey: &Vkey) -> PathBuf {
    dir.join(format!("{}-{}.pem", purpose.name(), hex::encode(vkey.id())))
}

/// Where the key lies of a ledger that was made before keys could change.
fn old_file(dir: &Path, purpose: Purpose) -> PathBuf {
    dir.join(format!("{}.pem", purpose.name()))
}

fn read_signer(path: &Path, name: &str) -> Result<NoteSigner, KeyringError> {
    NoteSigner::new(name, read_signing_key(path)?).ok_or_else(|| KeyringError::Malformed {
        path: path.to_owned(),
        what: format!("cannot sign under the name `{name}`: it is not a key name"),
    })
}

/// The file that holds this key.
fn where_is(dir: &Path, purpose: Purpose, vkey: &Vkey) -> Option<PathBuf> {
    [key_file(dir, purpose, vkey), old_file(dir, purpose)]
        .into_iter()
        .find(|p| read_signer(p, vkey.name()).is_ok_and(|s| s.vkey() == vkey))
}

fn find(dir: &Path, purpose: Purpose, vkey: &Vkey) -> Result<NoteSigner, KeyringError> {
    let (named, old) = (key_file(dir, purpose, vkey), old_file(dir, purpose));
    let path = if named.exists() || !old.exists() {
        named
    } else {
        old
    };
    if !path.exists() {
        return Err(KeyringError::WrongKey {
            path,
            what: format!(
                "is absent: the ledger's entries name {vkey} as its {} key in force. Restore the file from its backup; \
                 if the key was replaced since, the ledger's database is older than its keyring",
                purpose.name()
            ),
        });
    }
    let signer = read_signer(&path, vkey.name())?;
    if signer.vkey() == vkey {
        return Ok(signer);
    }
    Err(KeyringError::WrongKey {
        path,
        what: format!(
            "is not the key that the ledger's entries name: its {} key in force is {vkey}. Restore the right keyring",
            purpose.name()
        ),
    })
}

/// A signing key as PEM.
///
/// # Errors
/// When it cannot be encoded.
pub fn signing_key_to_pem(
    key: &SigningKey,
    path: &Path,
) -> Result<Zeroizing<String>, KeyringError> {
    KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    }
    .to_pkcs8_pem(LineEnding::LF)
    .map_err(|e| KeyringError::Malformed {
        path: path.to_owned(),
        what: format!("cannot be written: {e}"),
    })
}

/// Reads a signing key from PEM text.
#[must_use]
pub fn signing_key_from_pem(pem: &str) -> Option<SigningKey> {
    SigningKey::from_pkcs8_pem(pem).ok()
}

/// Reads a signing key from a file that only its owner can read.
///
/// # Errors
/// When it is absent, readable by others, or no Ed25519 key.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyringError> {
    let bytes = read_private(path)?;
    std::str::from_utf8(&bytes)
        .ok()
        .and_then(signing_key_from_pem)
        .ok_or_else(|| KeyringError::Malformed {
            path: path.to_owned(),
            what: "is not an Ed25519 private key in PKCS#8 PEM; restore it from its backup".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_openssl_writes_and_writes_what_it_reads() {
        // The key of RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let key = signing_key_from_pem(pem).unwrap_or_else(|| panic!("the key of the RFC reads"));
        assert_eq!(
            signing_key_to_pem(&key, Path::new("x"))
                .map(|p| p.to_string())
                .ok()
                .as_deref(),
            Some(pem)
        );
        assert!(
            signing_key_from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
                .is_none()
        );
    }
}
