//! Configuration: flags over environment over file over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use super::{Failure, fail, read_text};
use crate::judge::Profile;
use crate::ledger::policy::Policy;
use crate::outside::{Anchor, Place, Settings, is_usable_url};
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

impl Flags {
    /// The data folder, when one was named.
    pub(super) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }
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
    witness_policy: Option<PathBuf>,
    witness_every: Option<String>,
    verify_every: Option<String>,
    #[serde(default)]
    anchor: Vec<AnchorSection>,
}

/// A place where checkpoints are kept: either `url` or `folder`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorSection {
    url: Option<String>,
    token_file: Option<PathBuf>,
    folder: Option<PathBuf>,
    every: Option<String>,
}

/// How long a witness or an anchor may take.
const OUTSIDE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often they are asked, unless configured.
const OUTSIDE_EVERY: &str = "60s";

/// Reads `500ms`, `60s`, `5m`, `24h` or `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, Failure> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let number = number.parse::<u64>().ok();
    match number.and_then(|n| n.checked_mul(millis)) {
        Some(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => fail(format!(
            "`{text}` is not a length of time such as 60s, 5m, 24h or 7d"
        )),
    }
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
    /// A tlog-policy: which witnesses are asked, and how many of them are needed.
    pub witness_policy: Option<PathBuf>,
    /// How often witnesses are asked.
    pub witness_every: Option<String>,
    /// How often the service verifies its ledgers whole; never without it.
    pub verify_every: Option<String>,
    /// Where checkpoints are kept.
    pub anchors: Vec<AnchorSection>,
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
            witness_policy: file.witness_policy,
            witness_every: file.witness_every,
            verify_every: file.verify_every,
            anchors: file.anchor,
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
            witness_policy: None,
            witness_every: None,
            verify_every: None,
            anchors: Vec::new(),
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

    /// What is asked of witnesses and anchors.
    ///
    /// # Errors
    /// When the policy cannot be read, or a section does not say what it must.
    pub fn outside(&self) -> Result<Settings, Failure> {
        let policy = match &self.witness_policy {
            Some(path) => Some(read_policy(path)?),
            None => None,
        };
        let urls = policy.iter().flat_map(|p| &p.witnesses);
        for url in urls.filter_map(|w| w.url.as_deref()) {
            usable(url)?;
        }
        let every = |text: &Option<String>| duration(text.as_deref().unwrap_or(OUTSIDE_EVERY));
        let anchors = self.anchors.iter().map(|section| {
            let token = match &section.token_file {
                Some(path) => Some(read_text(path)?.trim().to_owned()),
                None => None,
            };
            let place = match (&section.url, &section.folder) {
                (Some(url), None) => {
                    usable(url)?;
                    let url = url.trim_end_matches('/').to_owned();
                    Place::Url { url, token }
                }
                (None, Some(folder)) if token.is_none() => Place::Folder(folder.clone()),
                _ => {
                    return fail(
                        "each [[anchor]] of the configuration has either `url` (and perhaps `token_file`) or `folder`",
                    );
                }
            };
            Ok(Anchor {
                place,
                every: every(&section.every)?,
            })
        });
        Ok(Settings {
            anchors: anchors.collect::<Result<_, _>>()?,
            policy,
            every: every(&self.witness_every)?,
            timeout: OUTSIDE_TIMEOUT,
            evidence: self.data_dir.join("evidence"),
        })
    }

    /// How often the service verifies its ledgers whole.
    ///
    /// # Errors
    /// When it is no length of time.
    pub fn verify_every(&self) -> Result<Option<Duration>, Failure> {
        self.verify_every.as_deref().map(duration).transpose()
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

/// Reads a policy file.
pub(super) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    Policy::parse(&read_text(path)?).map_err(|e| Failure(format!("{}: {e}", path.display())))
}

fn usable(url: &str) -> Result<(), Failure> {
    if is_usable_url(url) {
        Ok(())
    } else {
        fail(format!(
            "`{url}` cannot be used: this program speaks plain HTTP and leaves TLS to a proxy; name the proxy as http://HOST…"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        let read = |t: &str| duration(t).ok();
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("5m"), Some(Duration::from_secs(300)));
        assert_eq!(read("7d"), Some(Duration::from_secs(604_800)));
        for bad in [
            "",
            "60",
            "s",
            "0s",
            "-1s",
            "1.5h",
            "1 h",
            "99999999999999999999s",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_anchor_is_a_folder_or_an_address_and_nothing_unknown() -> Result<(), toml::de::Error> {
        let outside = |text: &str| -> Result<Result<Settings, Failure>, toml::de::Error> {
            let file: File = toml::from_str(text)?;
            let mut config = Config::of(Path::new("d"), "s");
            config.anchors = file.anchor;
            config.witness_every = file.witness_every;
            Ok(config.outside())
        };
        let good = "witness_every = \"2m\"\n[[anchor]]\nurl = \"http://a.example/x/\"\nevery = \"1h\"\n[[anchor]]\nfolder = \"/mnt/a\"\n";
        let settings = outside(good)?.unwrap_or_else(|e| panic!("{}", e.0));
        assert_eq!(settings.every, Duration::from_secs(120));
        let names: Vec<String> = settings.anchors.iter().map(|a| a.place.name()).collect();
        assert_eq!(names, ["http://a.example/x", "/mnt/a"]);
        assert_eq!(settings.anchors[0].every, Duration::from_secs(3_600));
        for bad in [
            "[[anchor]]\nevery = \"1h\"\n",
            "[[anchor]]\nfolder = \"/a\"\nurl = \"http://a\"\n",
            "[[anchor]]\nurl = \"https://a.example\"\n",
            "[[anchor]]\nfolder = \"/a\"\nevery = \"soon\"\n",
        ] {
            assert!(outside(bad)?.is_err(), "{bad}");
        }
        assert!(toml::from_str::<File>("[[anchor]]\nfolders = \"/a\"\n").is_err());
        Ok(())
    }
}
