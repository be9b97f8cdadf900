//! Principals and tokens, for whoever has a shell on the server's machine. The running service records each change in
//! the ledgers concerned within seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::serve::{administrator_token, principals};
use super::{Config, Failure, Outcome, fail, say};
use crate::access::files::write_secret_file;
use crate::access::{Actor, BlindCase, Cases, Ledgers, NewGrant, NewToken, Role, Scope};
use crate::keyring::IdKey;
use crate::ledger::{Id16, Timestamp};
use crate::sequencer::{Clock, SystemClock};

/// What `principal` takes.
#[derive(Debug, Subcommand)]
pub enum PrincipalCommand {
    /// Create a principal with one grant, and its first token
    Create(PrincipalArgs),
    /// Give a principal another grant
    Grant {
        /// Id of the principal
        principal: String,
        #[command(flatten)]
        grant: GrantArgs,
    },
    /// List principals
    List,
    /// Revoke a principal with all its tokens, for ever
    Revoke {
        /// Id of the principal
        principal: String,
    },
}

/// What `principal create` takes.
#[derive(Debug, Args)]
pub struct PrincipalArgs {
    /// Name for people
    name: String,
    #[command(flatten)]
    grant: GrantArgs,
    /// Write the token to this new file, readable by its owner only, instead of standard output
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A grant.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// producer, case_worker, investigator, auditor, regulator, privacy_officer or administrator
    #[arg(long)]
    role: String,
    /// Name of a ledger, or `*` for all; may be repeated
    #[arg(long = "ledger", required = true, value_name = "NAME")]
    ledgers: Vec<String>,
    /// A source that a producer may post for; may be repeated
    #[arg(long = "source", value_name = "URI")]
    sources: Vec<String>,
    /// A case, by id, in each of the ledgers named; may be repeated
    #[arg(long = "case", value_name = "ID", conflicts_with = "all_cases")]
    cases: Vec<String>,
    /// All cases of the ledgers named
    #[arg(long)]
    all_cases: bool,
    /// Until when (RFC 3339)
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

/// What `token` takes.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a principal; it is shown once
    Create {
        /// Id of the principal
        principal: String,
        /// Until when it counts (RFC 3339)
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Write it to this new file, readable by its owner only
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// List a principal's tokens (never the tokens themselves)
    List {
        /// Id of the principal
        principal: String,
    },
    /// Replace a token
    Rotate {
        /// Id of the principal
        principal: String,
        /// Id of the token
        token: String,
        /// How many seconds the old one still counts
        #[arg(long, default_value_t = 0)]
        grace_seconds: u64,
        /// Write the new one to this new file, readable by its owner only
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Revoke a token
    Revoke {
        /// Id of the principal
        principal: String,
        /// Id of the token
        token: String,
    },
    /// Make a new administrator's token when the old one is lost
    RecoverAdministrator {
        /// Where to write it [default: administrator.token in the data folder, with a number when that is taken]
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
}

fn id(text: &str) -> Result<Id16, Failure> {
    Id16::from_hex(text).ok_or_else(|| {
        Failure(format!(
            "`{text}` is not an id: ids have 32 lower-case hex digits"
        ))
    })
}

fn time(text: Option<&String>) -> Result<Option<Timestamp>, Failure> {
    Ok(text.map(|t| Timestamp::parse_rfc3339(t)).transpose()?)
}

fn now() -> Timestamp {
    SystemClock::default().now()
}

impl GrantArgs {
    fn grant(&self, config: &Config) -> Result<NewGrant, Failure> {
        let all = self.ledgers.iter().any(|l| l == "*");
        let ledgers = if all {
            Ledgers::All
        } else {
            Ledgers::Only(self.ledgers.iter().cloned().collect())
        };
        let known = config.ledgers()?;
        if let Some(unknown) = self
            .ledgers
            .iter()
            .find(|l| *l != "*" && !known.contains(l))
        {
            return fail(format!(
                "there is no ledger `{unknown}` in {}",
                config.data_dir.display()
            ));
        }
        let mut only: BTreeMap<String, BTreeSet<BlindCase>> = BTreeMap::new();
        if !self.cases.is_empty() {
            for name in if all { &known } else { &self.ledgers } {
                let key = IdKey::read(&config.paths(name).keyring.join("id.key"))?;
                only.insert(
                    name.clone(),
                    self.cases
                        .iter()
                        .map(|c| BlindCase(key.blind("case", c)))
                        .collect(),
                );
            }
        }
        let cases = if self.all_cases {
            Cases::All
        } else {
            Cases::Only(only)
        };
        let role: Role = self.role.parse()?;
        Ok(NewGrant {
            role,
            scope: Scope {
                ledgers,
                sources: self.sources.iter().cloned().collect(),
                cases,
            },
            expires: time(self.expires.as_ref())?,
        })
    }
}

/// Hands a token over: to a file, or to standard output.
fn hand_over(token: &NewToken, file: Option<&PathBuf>) -> Result<(), Failure> {
    match file {
        None => say(&format!(
            "token      {}   (shown this once)",
            token.expose()
        )),
        Some(path) => {
            write_secret_file(path, format!("{}\n", token.expose()).as_bytes()).map_err(|e| {
                Failure(format!("cannot write the token to {}: {e}", path.display()))
            })?;
            say(&format!("token      in {}", path.display()))
        }
    }
}

pub(super) fn principal(config: &Config, command: PrincipalCommand) -> Outcome {
    let access = principals(&config.data_dir)?;
    match command {
        PrincipalCommand::Create(args) => {
            let principal = access.create_principal(
                Actor::Machine,
                &args.name,
                &[args.grant.grant(config)?],
                now(),
            )?;
            say(&format!("principal  {}", principal.id))?;
            let token = access.mint_token(Actor::Machine, principal.id, None, now())?;
            hand_over(&token, args.token_file.as_ref())?;
        }
        PrincipalCommand::Grant { principal, grant } => {
            let given = access.add_grant(
                Actor::Machine,
                id(&principal)?,
                &grant.grant(config)?,
                now(),
            )?;
            say(&format!("grant      {}", given.id))?;
        }
        PrincipalCommand::List => {
            let mut after = None;
            loop {
                let page = access.principals(Actor::Machine, after, 500)?;
                for p in page.items {
                    let roles: Vec<&str> = p
                        .grants
                        .iter()
                        .filter(|g| g.holds(now()))
                        .map(|g| g.role.name())
                        .collect();
                    let state = if p.is_revoked() { "revoked" } else { "" };
                    say(format!("{}\t{}\t{}\t{state}", p.id, p.name, roles.join(",")).trim_end())?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        PrincipalCommand::Revoke { principal } => {
            access.revoke_principal(Actor::Machine, id(&principal)?, now())?;
            say("revoked")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn token(config: &Config, command: TokenCommand) -> Outcome {
    let access = principals(&config.data_dir)?;
    match command {
        TokenCommand::Create {
            principal,
            expires,
            token_file,
        } => {
            let token = access.mint_token(
                Actor::Machine,
                id(&principal)?,
                time(expires.as_ref())?,
                now(),
            )?;
            say(&format!("token id   {}", token.id()))?;
            hand_over(&token, token_file.as_ref())?;
        }
        TokenCommand::List { principal } => {
            for t in access.tokens(Actor::Machine, id(&principal)?)? {
                let state = match (t.revoked, t.expires) {
                    (Some(when), _) => format!("ends or ended {when}"),
                    (None, Some(when)) => format!("until {when}"),
                    (None, None) => String::new(),
                };
                say(format!("{}\tcreated {}\t{state}", t.id, t.created).trim_end())?;
            }
        }
        TokenCommand::Rotate {
            principal,
            token,
            grace_seconds,
            token_file,
        } => {
            let grace = Duration::from_secs(grace_seconds);
            let token = access.rotate_token(
                Actor::Machine,
                id(&principal)?,
                id(&token)?,
                None,
                grace,
                now(),
            )?;
            say(&format!("token id   {}", token.id()))?;
            hand_over(&token, token_file.as_ref())?;
        }
        TokenCommand::Revoke { principal, token } => {
            access.revoke_token(Actor::Machine, id(&principal)?, id(&token)?, now())?;
            say("revoked")?;
        }
        TokenCommand::RecoverAdministrator { token_file } => {
            let path = token_file.unwrap_or_else(|| {
                let first = administrator_token(&config.data_dir);
                let numbered = (2..).map(|n| first.with_extension(format!("token.{n}")));
                std::iter::once(first.clone())
                    .chain(numbered)
                    .find(|p| !p.exists())
                    .unwrap_or(first)
            });
            let token = access.recover_administrator(now())?;
            hand_over(&token, Some(&path))?;
            say(
                "The administrator's earlier tokens still count: list and revoke those that are lost.",
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
