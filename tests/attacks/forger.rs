//! A careful forger: changes what a ledger holds, and makes everything else fit again.
//!
//! He has the database, the guard file and the keyring's content secrets, as an operator has; the signing key only where
//! an attack says so. After his change he recomputes sequence numbers, both chains, the tree, every derived row, every
//! commit, signs what he can, and takes away what would betray him: reports that speak of the old history, and what
//! witnesses and anchors gave.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde_json::Value;
use whereas::keyring::{Keyring, Sealed, SlotId, random, seal};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::disclosure::{self, disclose};
use whereas::ledger::keys::Purpose;
use whereas::ledger::tree::{Frontier, stored_index};
use whereas::ledger::{CaseLink, Hash, Id16, Leaf, Timestamp};
use whereas::sequencer::{Guard, LedgerPaths, lookups, read_keys};

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub struct Entry {
    pub leaf: Leaf,
    pub slot: Option<Vec<u8>>,
    pub sealed: Option<Vec<u8>>,
    /// Number in the honest ledger; none when it was made up.
    pub was: Option<u64>,
}

/// How much of the signing the forger can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// He has no signing key: checkpoints stay as they were wherever there were any.
    WithoutKey,
    /// He has the checkpoint key, and writes the guard file as well.
    WithKey,
}

/// A ledger that nobody serves, in the forger's hands.
pub struct Forger {
    pub paths: LedgerPaths,
    pub origin: String,
    pub keyring: Keyring,
    pub db: Connection,
}

impl Forger {
    pub fn open(data: &Path, name: &str, origin: &str) -> Outcome<Self> {
        let paths = LedgerPaths::below(data, name);
        let keys = read_keys(&paths, origin)?;
        let keyring = Keyring::open(
            &paths.keyring,
            keys.newest(Purpose::Checkpoint),
            keys.newest(Purpose::Report),
        )?;
        let db = Connection::open(paths.database())?;
        Ok(Self {
            paths,
            origin: origin.to_owned(),
            keyring,
            db,
        })
    }

    /// All entries, in order.
    pub fn entries(&self) -> Outcome<Vec<Entry>> {
        let mut query = self
            .db
            .prepare("SELECT leaf, slot, sealed FROM entry ORDER BY seq")?;
        let rows = query.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get(1)?, r.get(2)?)))?;
        let mut entries = Vec::new();
        for row in rows {
            let (leaf, slot, sealed) = row?;
            let leaf = Leaf::decode(&leaf)?;
            entries.push(Entry {
                was: Some(leaf.seq),
                leaf,
                slot,
                sealed,
            });
        }
        Ok(entries)
    }

    /// The disclosures of an entry, as members by pointer, in native values.
    pub fn content(&self, entry: &Entry) -> Outcome<BTreeMap<String, Value>> {
        let (Some(slot), Some(sealed)) = (&entry.slot, &entry.sealed) else {
            return Ok(BTreeMap::new());
        };
        let slot: [u8; 12] = slot.as_slice().try_into()?;
        let opened = self
            .keyring
            .open_content(&entry.leaf, slot, sealed)?
            .ok_or("the slot is gone")?;
        let texts: Vec<String> = opened.texts.iter().map(|t| disclosure::encode(t)).collect();
        let top: Vec<Hash> = texts
            .iter()
            .filter_map(|t| disclosure::decode(t).ok())
            .filter(|d| d.pointer.is_some())
            .map(|d| d.digest)
            .collect();
        let mut pool = whereas::ledger::content::Pool::new(texts.iter().map(String::as_str))?;
        let opened = pool.open(&top, entry.leaf.content)?;
        Ok(opened
            .members
            .iter()
            .map(|(at, m)| (at.clone(), opened.expand(&m.value)))
            .collect())
    }

    /// Gives an entry other content: salted, sealed and committed to anew, under the secret it was sealed under.
    pub fn set_content(&self, entry: &mut Entry, members: &BTreeMap<String, Value>) -> Outcome {
        let slot: [u8; 12] = entry
            .slot
            .as_deref()
            .ok_or("an entry without a slot")?
            .try_into()?;
        let mut failed = None;
        let made = disclose(members.iter().map(|(p, v)| (p.as_str(), v)), || {
            random().unwrap_or_else(|e| {
                failed = Some(e);
                [0; 16]
            })
        });
        if let Some(e) = failed {
            return Err(e.into());
        }
        entry.leaf.content = made.commitment();
        let sealed = Sealed {
            sameness: self.keyring.id.sameness("forged"),
            texts: made.texts,
        };
        let secret = self
            .keyring
            .slots
            .secret(SlotId(slot))?
            .ok_or("the slot is gone")?;
        let (leaf, origin) = (&entry.leaf, &self.origin);
        entry.sealed = Some(seal(
            &secret,
            random()?,
            origin,
            &leaf.eid,
            leaf.content.as_ref(),
            &sealed,
        ));
        Ok(())
    }

    /// An entry made up after the model of another: of a type, with its content changed by `change`, at its time, with
    /// an identity of its own.
    pub fn make(
        &self,
        like: &Entry,
        kind: &str,
        change: impl FnOnce(&mut BTreeMap<String, Value>),
    ) -> Outcome<Entry> {
        let mut entry = like.clone();
        entry.was = None;
        entry.leaf.kind = kind.to_owned();
        let mut members = self.content(like)?;
        members.insert("/id".to_owned(), Value::from(Id16(random()?).to_hex()));
        change(&mut members);
        let text = |at: &str| members.get(at).and_then(Value::as_str).unwrap_or_default();
        entry.leaf.eid = self.keyring.id.eid(text("/source"), text("/id"));
        self.set_content(&mut entry, &members)?;
        Ok(entry)
    }

    /// Puts entries in place of all that is there, and makes everything fit.
    pub fn rewrite(&self, entries: Vec<Entry>, power: Power) -> Outcome<Vec<Hash>> {
        let commits: Vec<(u64, Option<String>)> = {
            let mut query = self
                .db
                .prepare("SELECT size, note FROM commitment ORDER BY size")?;
            let rows = query.query_map([], |r| {
                let size: i64 = r.get(0)?;
                Ok((size.unsigned_abs(), r.get(1)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        let tables = [
            "head",
            "entry",
            "identity",
            "node",
            "commitment",
            "case_entry",
            "trace_entry",
            "type_entry",
            "lookup",
        ];
        let t = self.db.unchecked_transaction()?;
        for table in tables {
            t.execute(&format!("DELETE FROM {table}"), [])?;
        }
        let mut types: HashMap<String, i64> = {
            let mut query = t.prepare("SELECT name, id FROM type_name")?;
            let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let (mut frontier, mut prev) = (Frontier::new(), Hash::ZERO);
        let mut cases: HashMap<Id16, (u64, Hash)> = HashMap::new();
        let (mut hashes, mut roots) = (Vec::new(), BTreeMap::new());
        let mut recorded = Timestamp::EPOCH;
        let mut now_at = HashMap::new();
        for mut entry in entries {
            let seq = frontier.size();
            let number = i64::try_from(seq)?;
            if let Some(was) = entry.was {
                now_at.insert(i64::try_from(was)?, number);
            }
            let content = self.content(&entry).unwrap_or_default();
            let mut blinds = lookups(&self.keyring.id, &entry.leaf.kind, &content);
            // The service records one row for each.
            blinds.dedup();
            for blind in blinds {
                t.execute(
                    "INSERT INTO lookup VALUES (?, ?)",
                    params![&blind.0[..], number],
                )?;
            }
            let leaf = &mut entry.leaf;
            leaf.seq = seq;
            leaf.prev = prev;
            leaf.recorded = leaf.recorded.max(recorded);
            recorded = leaf.recorded;
            if let Some(link) = leaf.case {
                let (next, last) = cases.get(&link.case).copied().unwrap_or((0, Hash::ZERO));
                leaf.case = Some(CaseLink {
                    case: link.case,
                    seq: next,
                    prev: last,
                });
            }
            let bytes = leaf.encode();
            let hash = Hash::leaf(bytes.as_bytes());
            if let Some(link) = leaf.case {
                cases.insert(link.case, (link.seq + 1, hash));
                t.execute(
                    "INSERT INTO case_entry VALUES (?, ?, ?)",
                    params![&link.case.0[..], i64::try_from(link.seq)?, number],
                )?;
            }
            if let Some(trace) = leaf.trace {
                t.execute(
                    "INSERT INTO trace_entry VALUES (?, ?)",
                    params![&trace.0[..], number],
                )?;
            }
            let known = types.get(&leaf.kind).copied();
            let id = match known {
                Some(id) => id,
                None => {
                    let id = types.values().max().copied().unwrap_or(0) + 1;
                    t.execute(
                        "INSERT INTO type_name VALUES (?, ?)",
                        params![id, leaf.kind],
                    )?;
                    types.insert(leaf.kind.clone(), id);
                    id
                }
            };
            t.execute("INSERT INTO type_entry VALUES (?, ?)", params![id, number])?;
            t.execute(
                "INSERT INTO identity VALUES (?, ?)",
                params![&leaf.eid.0[..16], number],
            )?;
            t.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?)",
                params![number, bytes.as_bytes(), entry.slot, entry.sealed],
            )?;
            let mut nodes = Vec::new();
            frontier.append(hash, |id, hash| nodes.push((id, hash)));
            for (id, hash) in nodes {
                t.execute(
                    "INSERT INTO node VALUES (?, ?)",
                    params![i64::try_from(stored_index(id))?, &hash.0[..]],
                )?;
            }
            prev = hash;
            hashes.push(hash);
            roots.insert(frontier.size(), frontier.root());
        }
        let size = frontier.size();
        renumber_reports(&t, &now_at)?;
        forget_what_nothing_names(&t)?;
        t.execute(
            "INSERT INTO head VALUES (1, ?, ?)",
            params![i64::try_from(size)?, &frontier.root().0[..]],
        )?;
        let signer = self.keyring.checkpoint();
        let mut commits: BTreeMap<u64, Option<String>> =
            commits.into_iter().filter(|(s, _)| *s <= size).collect();
        commits.entry(size).or_default();
        let mut newest = String::new();
        for (at, old) in commits {
            let root = roots[&at];
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                size: at,
                root,
            };
            let note = match power {
                Power::WithKey => Some(checkpoint.sign(&signer)),
                Power::WithoutKey => old,
            };
            newest = note.clone().unwrap_or_default();
            t.execute(
                "INSERT INTO commitment VALUES (?, ?, ?, ?)",
                params![
                    i64::try_from(at)?,
                    &root.0[..],
                    &signer.vkey().id()[..],
                    note
                ],
            )?;
        }
        forget_outside(&t)?;
        t.commit()?;
        if power == Power::WithKey {
            // Both places, so that no older checkpoint is left in the file.
            let (mut guard, _) = Guard::open(&self.paths.guard)?;
            guard.write(&newest)?;
            guard.write(&newest)?;
        }
        Ok(hashes)
    }
}

/// Leaves the entries of stored reports out: signed long ago, they hold the old history.
pub fn without_reports(entries: Vec<Entry>) -> Vec<Entry> {
    let keep = |e: &Entry| e.leaf.kind != "report.issued";
    entries.into_iter().filter(keep).collect()
}

fn renumber_reports(db: &Connection, now_at: &HashMap<i64, i64>) -> Outcome {
    let mut query = db.prepare("SELECT id, seq FROM report")?;
    let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    let rows: Vec<(Vec<u8>, i64)> = rows.collect::<Result<_, _>>()?;
    for (id, seq) in rows {
        match now_at.get(&seq) {
            Some(now) => db.execute("UPDATE report SET seq = ? WHERE id = ?", params![now, id])?,
            None => db.execute("DELETE FROM report WHERE id = ?", [id])?,
        };
    }
    Ok(())
}

/// Rows that no entry calls for any more.
fn forget_what_nothing_names(db: &Connection) -> Outcome {
    db.execute_batch(
        "DELETE FROM type_name WHERE id NOT IN (SELECT type_id FROM type_entry);
         DELETE FROM case_file WHERE pseudonym NOT IN (SELECT pseudonym FROM case_entry);
         DELETE FROM trace_slot WHERE trace NOT IN (SELECT trace FROM trace_entry);
         DELETE FROM catalogue WHERE NOT EXISTS (SELECT * FROM report);",
    )?;
    Ok(())
}

/// Cosignatures and anchored roots of checkpoints that are no more.
fn forget_outside(db: &Connection) -> Outcome {
    db.execute_batch(
        "DELETE FROM anchor WHERE NOT EXISTS
            (SELECT * FROM commitment c WHERE c.size = anchor.size AND c.root = anchor.root);
         DELETE FROM cosignature WHERE size NOT IN (SELECT size FROM anchor);",
    )?;
    Ok(())
}

/// A copy of a whole data folder.
pub fn copy(data: &Path, to: &Path) -> Outcome<PathBuf> {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([data, to])
        .status()?;
    if !copied.success() {
        return Err("copying failed".into());
    }
    Ok(to.to_owned())
}
