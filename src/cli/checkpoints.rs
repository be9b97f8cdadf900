//! Comparing checkpoints that different people hold.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::verify::pinned;
use super::{Config, Failure, Outcome, fail, read_text, say};
use crate::ledger::note::Vkey;
use crate::ledger::tree::{self, NodeId, Nodes, Wanted};
use crate::ledger::{Hash, fork};
use crate::store::LedgerReader;
use crate::store::sqlite::SqliteStore;
use crate::verify::checkpoints::{Agreement, Joined, Opened, Pair, compare, open};

/// What `verify checkpoints` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "With --data-dir and neither --url nor --proof, proofs come from the ledgers of that folder.\n\nExit codes: 0 all are of one history, 1 two histories are proven, 2 cannot be read, 3 not all could be compared."
)]
pub struct CheckpointsArgs {
    /// Signed checkpoints from different sources, or an evidence file that holds two
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Pinned verifier key (vkey) of the ledger, or a file with one a line; may be repeated
    #[arg(long = "key", value_name = "VKEY", required_unless_present = "policy")]
    keys: Vec<String>,
    /// Pin the keys of this tlog-policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where to get proofs: http://SERVER/v1/ledgers/NAME, or the prefix of any log with tlog-tiles
    #[arg(long, value_name = "PREFIX", conflicts_with = "proof")]
    url: Option<String>,
    /// File with the token for --url
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// A consistency proof: the JSON answer of a server, or base64 hashes, one a line
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Where to write the proof of two histories
    #[arg(long, value_name = "FILE", default_value = "equivocation.json")]
    evidence: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckpointsArgs, data_dir: Option<&Path>) -> Outcome {
    let (keys, _) = pinned(&args.keys, args.policy.as_deref())?;
    let opened = open_all(&args.files, &keys)?;
    if opened.len() < 2 {
        return fail("there is nothing to compare: name two checkpoints or more");
    }
    let mut pairs = Vec::new();
    let mut written = false;
    for (a, b) in neighbours(&opened) {
        let source = |first, second| join(args, data_dir, &a.checkpoint.origin, first, second);
        let pair = compare(a, b, &keys, source)?;
        if pair.agreement == Agreement::Equivocation && !written {
            std::fs::write(&args.evidence, fork::evidence(&a.note, &b.note))
                .map_err(|e| Failure(format!("cannot write {}: {e}", args.evidence.display())))?;
            written = true;
        }
        pairs.push(pair);
    }
    if args.json {
        say(&serde_json::to_string_pretty(&pairs)?)?;
    } else {
        for pair in &pairs {
            say(&tell(pair))?;
        }
        if written {
            say(&format!(
                "Both signed checkpoints are in {}. The file proves it by itself: give it to whoever relies on the ledger.",
                args.evidence.display()
            ))?;
        }
    }
    let has = |a: Agreement| pairs.iter().any(|p| p.agreement == a);
    Ok(
        if has(Agreement::Equivocation) || has(Agreement::Inconsistent) {
            ExitCode::from(1)
        } else if has(Agreement::NotCompared) || has(Agreement::BadSource) {
            ExitCode::from(3)
        } else {
            ExitCode::SUCCESS
        },
    )
}

fn tell(pair: &Pair) -> String {
    let word = match pair.agreement {
        Agreement::Same => "same",
        Agreement::Consistent => "consistent",
        Agreement::Equivocation | Agreement::Inconsistent => "TWO HISTORIES",
        Agreement::NotCompared | Agreement::BadSource => "not compared",
    };
    format!(
        "{} ({}) and {} ({}): {word}. {}",
        pair.first, pair.sizes.0, pair.second, pair.sizes.1, pair.reason
    )
}

fn open_all(files: &[PathBuf], keys: &[Vkey]) -> Result<Vec<Opened>, Failure> {
    let mut opened = Vec::new();
    for file in files {
        let text = read_text(file)?;
        let name = file.display().to_string();
        match fork::read_evidence(&text) {
            Some(notes) => {
                for (i, note) in notes.iter().enumerate() {
                    let name = format!("{name}, checkpoint {}", i + 1);
                    opened.push(open(&name, note, keys).map_err(Failure)?);
                }
            }
            None => opened.push(open(&name, &text, keys).map_err(Failure)?),
        }
    }
    // By size, so that comparing neighbours compares all: consistency carries over from one to the next.
    opened.sort_by(|a, b| {
        let key = |o: &Opened| (o.checkpoint.origin.clone(), o.checkpoint.size);
        key(a).cmp(&key(b))
    });
    Ok(opened)
}

fn neighbours(opened: &[Opened]) -> impl Iterator<Item = (&Opened, &Opened)> {
    opened.iter().zip(opened.iter().skip(1))
}

fn join(
    args: &CheckpointsArgs,
    data_dir: Option<&Path>,
    origin: &str,
    first: u64,
    second: u64,
) -> Result<Option<Joined>, Failure> {
    if let Some(file) = &args.proof {
        return read_proof(&read_text(file)?).map(Some);
    }
    if let Some(prefix) = &args.url {
        let http = Http::new(prefix, args.token_file.as_deref())?;
        return http.join(first, second).map(Some);
    }
    if let Some(dir) = data_dir {
        return from_data(dir, origin, first, second).map(Some);
    }
    Ok(None)
}

/// The JSON answer of `…/proofs/consistency`, or hashes in base64, one a line.
fn read_proof(text: &str) -> Result<Joined, Failure> {
    let bad = || {
        Failure("the proof is neither a server's JSON answer nor base64 hashes, one a line".into())
    };
    if text.trim_start().starts_with('{') {
        let answer: Value = serde_json::from_str(text)?;
        let hashes = answer.get("hashes").and_then(Value::as_array);
        let path = hashes.and_then(|h| {
            h.iter()
                .map(|h| h.as_str().and_then(Hash::from_b64))
                .collect()
        });
        let seed = answer.get("first_root").and_then(Value::as_str);
        return Ok(Joined {
            path: path.ok_or_else(bad)?,
            seed: seed.and_then(Hash::from_b64),
        });
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let path = lines.map(Hash::from_b64).collect::<Option<Vec<_>>>();
    Ok(Joined {
        path: path.ok_or_else(bad)?,
        seed: None,
    })
}

fn joined<N: Nodes>(nodes: &N, first: u64, second: u64) -> Result<Joined, N::Error> {
    Ok(Joined {
        path: tree::consistency(nodes, first, second)?,
        seed: if first.is_power_of_two() {
            Some(tree::root(nodes, first)?)
        } else {
            None
        },
    })
}

/// From the tree that a data folder holds.
fn from_data(dir: &Path, origin: &str, first: u64, second: u64) -> Result<Joined, Failure> {
    let config = Config::of(dir, "");
    for name in config.ledgers()? {
        if config.stored_origin(&name)? != origin {
            continue;
        }
        let store = SqliteStore::open(&config.paths(&name).database(), false)?;
        if store.head()?.size < second {
            return fail(format!(
                "the ledger {origin} in {} is shorter than the larger checkpoint ({second} entries): that alone shows that entries are missing there",
                dir.display()
            ));
        }
        let wanted = Wanted::default();
        let Ok(_) = joined(&wanted, first, second);
        let ids = wanted.into_ids();
        let hashes = store.nodes(&ids)?;
        let nodes: HashMap<NodeId, Hash> = ids.into_iter().zip(hashes).collect();
        return joined(&nodes, first, second)
            .map_err(|id| Failure(format!("a node of the tree is absent: {id:?}")));
    }
    fail(format!("there is no ledger {origin} in {}", dir.display()))
}

struct Http {
    prefix: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Http {
    fn new(prefix: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Ok(Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            token: token_file
                .map(read_text)
                .transpose()?
                .map(|t| t.trim().to_owned()),
            agent: config.into(),
        })
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let url = format!("{}{path}", self.prefix);
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let failed = |e: ureq::Error| Failure(format!("{url}: {e}"));
        let mut answer = request.call().map_err(failed)?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.body_mut().with_config().limit(1 << 20);
                Ok(Some(body.read_to_vec().map_err(failed)?))
            }
            404 | 405 => Ok(None),
            401 | 403 => fail(format!(
                "{url} asks for a token that may read proofs (--token-file)"
            )),
            status => fail(format!("{url}: status {status}")),
        }
    }

    /// By the server's own proof where there is one, else from the log's tiles.
    fn join(&self, first: u64, second: u64) -> Result<Joined, Failure> {
        let path = format!("/proofs/consistency?first={first}&second={second}");
        if let Some(answer) = self.get(&path)? {
            return read_proof(&String::from_utf8_lossy(&answer));
        }
        let tiles = Tiles {
            http: self,
            size: second,
            seen: RefCell::default(),
        };
        joined(&tiles, first, second)
    }
}

/// The nodes of a log of `size` leaves, from its tiles (C2SP tlog-tiles).
struct Tiles<'a> {
    http: &'a Http,
    size: u64,
    seen: RefCell<HashMap<(u8, u64), Vec<Hash>>>,
}

impl Tiles<'_> {
    fn fetch(&self, level: u8, place: u64) -> Result<Vec<Hash>, Failure> {
        if let Some(tile) = self.seen.borrow().get(&(level, place)) {
            return Ok(tile.clone());
        }
        let width = (self.size >> (8 * u32::from(level)))
            .saturating_sub(place * 256)
            .min(256);
        let full = format!("/tile/{level}/{}", tile_place(place));
        let partial = format!("{full}.p/{width}");
        // A partial tile may be gone once the full one is there.
        let bytes = if width < 256 {
            self.http.get(&partial)?.or(self.http.get(&full)?)
        } else {
            self.http.get(&full)?
        };
        let tile: Option<Vec<Hash>> =
            bytes.and_then(|b| b.chunks(32).map(Hash::from_slice).collect());
        let tile = tile.filter(|t| t.len() as u64 >= width).ok_or_else(|| {
            Failure(format!(
                "{}{full} is absent, or too short for {} entries",
                self.http.prefix, self.size
            ))
        })?;
        self.seen.borrow_mut().insert((level, place), tile.clone());
        Ok(tile)
    }
}

impl Nodes for Tiles<'_> {
    type Error = Failure;
    fn node(&self, id: NodeId) -> Result<Hash, Failure> {
        let (level, within) = (id.level / 8, u32::from(id.level % 8));
        let start = id.index << within;
        let tile = self.fetch(level, start / 256)?;
        let from = usize::try_from(start % 256).unwrap_or(0);
        let absent = || Failure(format!("the log's tiles do not hold {id:?}"));
        let mut row = tile
            .get(from..from + (1 << within))
            .ok_or_else(absent)?
            .to_vec();
        while row.len() > 1 {
            row = row.chunks(2).map(|p| Hash::node(&p[0], &p[1])).collect();
        }
        row.first().copied().ok_or_else(absent)
    }
}

/// `x001/x234/067` for 1234067.
fn tile_place(mut n: u64) -> String {
    let mut text = format!("{:03}", n % 1000);
    while n >= 1000 {
        n /= 1000;
        text = format!("x{:03}/{text}", n % 1000);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_tiles_are_those_of_the_specification() {
        assert_eq!(
            [0, 999, 1000, 1_234_067].map(tile_place),
            ["000", "999", "x001/000", "x001/x234/067"]
        );
    }

    #[test]
    fn a_proof_is_a_servers_answer_or_lines() {
        let (a, b) = (Hash::leaf(b"a"), Hash::leaf(b"b"));
        let lines = format!("{}\n{}\n", a.to_b64(), b.to_b64());
        let read = |t: &str| read_proof(t).ok();
        let want = |seed| {
            Some(Joined {
                path: vec![a, b],
                seed,
            })
        };
        assert_eq!(read(&lines), want(None));
        let answer = serde_json::json!({"first": 4, "first_root": b.to_b64(), "hashes": [a.to_b64(), b.to_b64()]});
        assert_eq!(read(&answer.to_string()), want(Some(b)));
        assert_eq!(read("{}"), None);
        assert_eq!(read("AAAA"), None);
    }
}
