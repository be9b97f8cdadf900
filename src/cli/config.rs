//! Configuration: flags over environment over file over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::{Failure, fail, read_text};
use crate::judge::Profile;
use crate::sequencer::LedgerPaths;

/// What every command takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "WHEREAS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of ledgers, keyring and principals [default: ./whereas-data]
    #[arg(long, global = true, env = "WHEREAS_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder of the keyrings, when it is not to lie in the data folder
    #[arg(long, global = true, env = "WHEREAS_KEYRING_DIR", value_name = "DIR")]
    keyring_dir: Option<PathBuf>,
    /// Folder of the guard files, when they are not to lie in the data folder (better on another disk; never in a backup)
    #[arg(long, global = true, env = "WHEREAS_GUARD_DIR", value_name = "DIR")]
    guard_dir: Option<PathBuf>,
    /// Name of this server: the first part of the origin of ledgers that are created [default: localhost]
    #[arg(long, global = true, env = "WHEREAS_SERVER_NAME", value_name = "NAME")]
    server_name: Option<String>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    keyring_dir: Option<PathBuf>,
    guard_dir: Option<PathBuf>,
    server_name: Option<String>,
    listen: Option<SocketAddr>,
    workers: Option<usize>,
    queue: Option<usize>,
    profile: Option<PathBuf>,
    log: Option<String>,
    public_log: Option<bool>,
}

/// The configuration, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of ledgers and principals.
    pub data_dir: PathBuf,
    /// Folder of the keyrings.
    pub keyring_dir: PathBuf,
    /// Folder of the guard files.
    pub guard_dir: PathBuf,
    /// First part of new origins.
    pub server_name: String,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Threads that serve requests.
    pub workers: Option<usize>,
    /// Batches that may wait for a ledger's writer.
    pub queue: Option<usize>,
    /// What records are judged against; the built-in profile without it.
    pub profile: Option<PathBuf>,
    /// What to log (`info`, `whereas=debug`, …).
    pub log: Option<String>,
    /// Whether checkpoints and hash tiles of every ledger are for everybody, without a token.
    pub public_log: bool,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When the file cannot be read or has a member that is not known.
    pub fn load(flags: &Flags) -> Result<Self, Failure> {
        let file: File = match &flags.config {
            Some(path) => toml::from_str(&read_text(path)?)
                .map_err(|e| Failure(format!("the configuration file {}: {e}", path.display())))?,
            None => File::default(),
        };
        let data_dir = flags
            .data_dir
            .clone()
            .or(file.data_dir)
            .unwrap_or_else(|| PathBuf::from("whereas-data"));
        let keyring_dir = flags
            .keyring_dir
            .clone()
            .or(file.keyring_dir)
            .unwrap_or_else(|| data_dir.join("keyring"));
        let guard_dir = flags
            .guard_dir
            .clone()
            .or(file.guard_dir)
            .unwrap_or_else(|| data_dir.join("guard"));
        Ok(Self {
            guard_dir,
            keyring_dir,
            data_dir,
            server_name: flags
                .server_name
                .clone()
                .or(file.server_name)
                .unwrap_or_else(|| "localhost".to_owned()),
            listen: file.listen,
            workers: file.workers,
            queue: file.queue,
            profile: file.profile,
            log: file.log,
            public_log: file.public_log.unwrap_or(false),
        })
    }

    /// The configuration of a data folder with nothing else said.
    #[must_use]
    pub fn of(data_dir: &Path, server_name: &str) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            keyring_dir: data_dir.join("keyring"),
            guard_dir: data_dir.join("guard"),
            server_name: server_name.to_owned(),
            listen: None,
            workers: None,
            queue: None,
            profile: None,
            log: None,
            public_log: false,
        }
    }

    /// The origin of a ledger that is created now.
    #[must_use]
    pub fn origin(&self, name: &str) -> String {
        format!("{}/{name}", self.server_name)
    }

    /// Where a ledger lies.
    #[must_use]
    pub fn paths(&self, name: &str) -> LedgerPaths {
        LedgerPaths {
            ledger: self.data_dir.join("ledgers").join(name),
            guard: self.guard_dir.join(name),
            keyring: self.keyring_dir.join(name),
        }
    }

    /// Names of the ledgers that are there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn ledgers(&self) -> Result<Vec<String>, Failure> {
        let dir = self.data_dir.join("ledgers");
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(names),
            Err(e) => return fail(format!("cannot read {}: {e}", dir.display())),
        };
        for entry in entries {
            let entry =
                entry.map_err(|e| Failure(format!("cannot read {}: {e}", dir.display())))?;
            if let (true, Some(name)) = (
                entry.path().join("ledger.db").exists(),
                entry.file_name().to_str(),
            ) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The ledger that is meant: the one named, or the only one.
    ///
    /// # Errors
    /// When none is named and there is none, or more than one.
    pub fn one_ledger(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let mut known = self.ledgers()?;
        match (known.pop(), known.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => fail(format!(
                "say which ledger with --ledger: {}, {last}",
                known.join(", ")
            )),
            (None, _) => fail(format!("there is no ledger in {}", self.data_dir.display())),
        }
    }

    /// The origin that a ledger was created with.
    ///
    /// # Errors
    /// When there is no such ledger, or its file cannot be read.
    pub fn stored_origin(&self, name: &str) -> Result<String, Failure> {
        let known = self.ledgers()?;
        if !known.iter().any(|n| n == name) {
            return fail(format!(
                "there is no ledger `{name}` in {}; there is: {}",
                self.data_dir.display(),
                known.join(", ")
            ));
        }
        let path = self.paths(name).ledger.join("origin");
        Ok(read_text(&path)?.trim_end().to_owned())
    }

    /// What records are judged against.
    ///
    /// # Errors
    /// When the profile cannot be read.
    pub fn read_profile(&self) -> Result<Profile, Failure> {
        match &self.profile {
            None => Ok(Profile::builtin()?),
            Some(path) => {
                let bytes = super::read(path)?;
                Profile::parse(&bytes).map_err(|e| Failure(format!("{}: {e}", path.display())))
            }
        }
    }
}
