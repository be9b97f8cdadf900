//! Policies: which logs and which witnesses are trusted, and how many of these must have cosigned (C2SP tlog-policy).
//!
//! ```text
//! # whose checkpoints
//! log <vkey> [<url>]
//! # who vouches that everybody is shown the same
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <name>…
//! quorum <name>|none
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::note::{Algorithm, Vkey};

/// Most lines that a reader looks at.
const MAX_LINES: usize = 1_000;

/// A log that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key; the key's name is the log's origin.
    pub vkey: Vkey,
    /// Where it is served.
    pub url: Option<String>,
}

/// A witness that the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name within the policy.
    pub name: String,
    /// Its key.
    pub vkey: Vkey,
    /// Where checkpoints are submitted to it: the submission prefix of C2SP tlog-witness.
    pub url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Witness(usize),
    Group { needs: usize, members: Vec<String> },
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The logs, in the order of the file.
    pub logs: Vec<PolicyLog>,
    /// The witnesses, in the order of the file.
    pub witnesses: Vec<PolicyWitness>,
    nodes: BTreeMap<String, Node>,
    quorum: Option<String>,
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {what}")]
pub struct PolicyError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// When a line is not one of those above, a name or key stands twice, a group names something unknown or can never
    /// be satisfied, or there is not exactly one quorum.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self {
            logs: Vec::new(),
            witnesses: Vec::new(),
            nodes: BTreeMap::new(),
            quorum: None,
        };
        let mut quorums = 0;
        let mut lines = 0;
        for (i, line) in text.split('\n').enumerate() {
            let at = |what: String| PolicyError { line: i + 1, what };
            lines = i + 1;
            if lines > MAX_LINES {
                return Err(at(format!("a policy has at most {MAX_LINES} lines")));
            }
            if line.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
                return Err(at("it holds a control character".into()));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", vkey] => policy.log(vkey, None).map_err(at)?,
                ["log", vkey, url] => policy.log(vkey, Some(url)).map_err(at)?,
                ["witness", name, vkey] => policy.witness(name, vkey, None).map_err(at)?,
                ["witness", name, vkey, url] => {
                    policy.witness(name, vkey, Some(url)).map_err(at)?
                }
                ["group", name, needs, ref members @ ..] if !members.is_empty() => {
                    policy.group(name, needs, members).map_err(at)?;
                }
                ["quorum", name] => {
                    quorums += 1;
                    if quorums > 1 {
                        return Err(at(
                            "there is a second quorum; a policy has exactly one".into()
                        ));
                    }
                    if name != "none" {
                        if !policy.nodes.contains_key(name) {
                            return Err(at(format!(
                                "`{name}` is no witness and no group of a line above"
                            )));
                        }
                        policy.quorum = Some(name.to_owned());
                    }
                }
                _ => {
                    return Err(at(
                        "it is none of: log VKEY [URL] · witness NAME VKEY [URL] · group NAME all|any|K NAME… · quorum NAME|none"
                            .into(),
                    ));
                }
            }
        }
        if quorums == 0 {
            return Err(PolicyError {
                line: lines,
                what: "the policy ends without a quorum line (`quorum NAME` or `quorum none`)"
                    .into(),
            });
        }
        Ok(policy)
    }

    fn log(&mut self, vkey: &str, url: Option<&str>) -> Result<(), String> {
        let vkey = Vkey::parse(vkey).map_err(|e| format!("the log's key: {e}"))?;
        if vkey.algorithm() != Algorithm::Ed25519 {
            return Err("a log's key is of type 1 (Ed25519); this is a witness's".into());
        }
        self.fresh_key(&vkey)?;
        self.logs.push(PolicyLog {
            vkey,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn witness(&mut self, name: &str, vkey: &str, url: Option<&str>) -> Result<(), String> {
        let vkey = Vkey::parse(vkey).map_err(|e| format!("the witness's key: {e}"))?;
        if vkey.algorithm() != Algorithm::CosignatureV1 {
            return Err("a witness's key is of type 4 (cosignature/v1); this is a log's".into());
        }
        self.fresh_key(&vkey)?;
        self.fresh_name(name)?;
        self.nodes
            .insert(name.to_owned(), Node::Witness(self.witnesses.len()));
        self.witnesses.push(PolicyWitness {
            name: name.to_owned(),
            vkey,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn group(&mut self, name: &str, needs: &str, members: &[&str]) -> Result<(), String> {
        self.fresh_name(name)?;
        let distinct: BTreeSet<&str> = members.iter().copied().collect();
        if distinct.len() != members.len() {
            return Err("a member stands twice in the group".into());
        }
        if let Some(unknown) = members.iter().find(|m| !self.nodes.contains_key(**m)) {
            return Err(format!(
                "`{unknown}` is no witness and no group of a line above"
            ));
        }
        let needs = match needs {
            "all" => members.len(),
            "any" => 1,
            k => k
                .parse()
                .ok()
                .filter(|n: &usize| n.to_string() == k && (1..=members.len()).contains(n))
                .ok_or_else(|| {
                    format!(
                        "`{k}` is not `all`, `any` or a number from 1 to the {} members",
                        members.len()
                    )
                })?,
        };
        // A member of two groups would count twice towards whatever holds both.
        let taken = self.nodes.values().find_map(|n| match n {
            Node::Group { members: of, .. } => of.iter().find(|m| distinct.contains(m.as_str())),
            Node::Witness(_) => None,
        });
        if let Some(taken) = taken {
            return Err(format!("`{taken}` is a member of another group already"));
        }
        let members = members.iter().map(|m| (*m).to_owned()).collect();
        self.nodes
            .insert(name.to_owned(), Node::Group { needs, members });
        Ok(())
    }

    fn fresh_name(&self, name: &str) -> Result<(), String> {
        if name == "none" {
            return Err("`none` cannot be a name".into());
        }
        if self.nodes.contains_key(name) {
            return Err(format!("the name `{name}` stands twice"));
        }
        Ok(())
    }

    /// By the key's bytes: one key under two names would count twice.
    fn fresh_key(&self, vkey: &Vkey) -> Result<(), String> {
        let taken = self.logs.iter().map(|l| &l.vkey);
        let mut taken = taken.chain(self.witnesses.iter().map(|w| &w.vkey));
        match taken.find(|k| k.key() == vkey.key()) {
            Some(other) => Err(format!("the key stands twice in the policy: as {other}")),
            None => Ok(()),
        }
    }

    /// All keys that the policy pins: logs' and witnesses'.
    #[must_use]
    pub fn keys(&self) -> Vec<Vkey> {
        let logs = self.logs.iter().map(|l| l.vkey.clone());
        logs.chain(self.witness_keys()).collect()
    }

    /// The witnesses' keys.
    #[must_use]
    pub fn witness_keys(&self) -> Vec<Vkey> {
        self.witnesses.iter().map(|w| w.vkey.clone()).collect()
    }

    /// Whether these cosigners are enough. Without a quorum (`quorum none`) nobody is needed.
    #[must_use]
    pub fn satisfied(&self, cosigners: &[&Vkey]) -> bool {
        self.quorum
            .as_ref()
            .is_none_or(|name| self.holds(name, cosigners))
    }

    /// Whether the policy needs any witness.
    #[must_use]
    pub fn needs_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    fn holds(&self, name: &str, cosigners: &[&Vkey]) -> bool {
        match self.nodes.get(name) {
            Some(Node::Witness(i)) => cosigners.contains(&&self.witnesses[*i].vkey),
            // Members stand on lines above their group, so this ends.
            Some(Node::Group { needs, members }) => {
                members.iter().filter(|m| self.holds(m, cosigners)).count() >= *needs
            }
            None => false,
        }
    }

    /// The quorum's latest time: the newest moment at which, or after which, all of some sufficient set of cosigners
    /// signed. `None` when these are not enough, or nobody is needed.
    #[must_use]
    pub fn satisfied_at(&self, cosigners: &[(u64, &Vkey)]) -> Option<u64> {
        if !self.needs_witnesses() {
            return None;
        }
        let mut newest_first = cosigners.to_vec();
        newest_first.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        (1..=newest_first.len()).find_map(|n| {
            let some: Vec<&Vkey> = newest_first[..n].iter().map(|(_, k)| *k).collect();
            self.satisfied(&some).then(|| newest_first[n - 1].0)
        })
    }

    /// How many of the policy's witnesses are among these, and how many there are.
    #[must_use]
    pub fn counted(&self, cosigners: &[&Vkey]) -> (usize, usize) {
        let there = self.witnesses.iter();
        let there = there.filter(|w| cosigners.contains(&&w.vkey)).count();
        (there, self.witnesses.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> Vkey {
        let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        Vkey::new(name, algorithm, key).unwrap_or_else(|| panic!("{name} is a key name"))
    }

    fn witness(seed: u8) -> Vkey {
        vkey(&format!("w{seed}.example"), Algorithm::CosignatureV1, seed)
    }

    fn text(rest: &str) -> String {
        let log = vkey("log.example/a", Algorithm::Ed25519, 9);
        let (w1, w2, w3) = (witness(1), witness(2), witness(3));
        format!(
            "# who is trusted\n\nlog {log} https://log.example/a\nwitness w1 {w1} https://w1.example/\n\twitness  w2 {w2}\nwitness w3 {w3}\n{rest}"
        )
    }

    #[test]
    fn a_quorum_is_counted_through_its_groups() {
        let p = Policy::parse(&text("group some 2 w1 w2 w3\nquorum some\n"))
            .unwrap_or_else(|e| panic!("{e}"));
        let (w1, w2, w3) = (witness(1), witness(2), witness(3));
        assert!(!p.satisfied(&[]) && !p.satisfied(&[&w1]) && !p.satisfied(&[&w1, &w1]));
        assert!(p.satisfied(&[&w1, &w3]) && p.satisfied(&[&w1, &w2, &w3]));
        assert_eq!(p.counted(&[&w1, &w3, &witness(4)]), (2, 3));
        assert_eq!(
            p.satisfied_at(&[(10, &w1), (30, &w2), (20, &w3)]),
            Some(20),
            "w2 and w3 both signed at 20 or later"
        );
        assert_eq!(p.satisfied_at(&[(10, &w1)]), None);
        let nested = Policy::parse(&text(
            "group pair all w1 w2\ngroup any1 any pair w3\nquorum any1",
        ))
        .unwrap_or_else(|e| panic!("{e}"));
        assert!(nested.satisfied(&[&w3]) && nested.satisfied(&[&w1, &w2]));
        assert!(!nested.satisfied(&[&w1]));
        let none = Policy::parse(&text("quorum none")).unwrap_or_else(|e| panic!("{e}"));
        assert!(none.satisfied(&[]) && !none.needs_witnesses());
        assert_eq!(none.keys().len(), 4);
        assert_eq!(
            none.witnesses[0].url.as_deref(),
            Some("https://w1.example/")
        );
    }

    #[test]
    fn what_is_no_policy_is_refused_with_its_line() {
        let again = vkey("other.example", Algorithm::CosignatureV1, 1);
        let as_log = vkey("log.example/b", Algorithm::Ed25519, 1);
        for (rest, line) in [
            (String::new(), 7),
            ("quorum w1\r\n".into(), 7),
            ("quorum w9".into(), 7),
            ("quorum w1\nquorum w2".into(), 8),
            ("group g 2 w1\nquorum g".into(), 7),
            ("group g 0 w1\nquorum g".into(), 7),
            ("group g 01 w1\nquorum g".into(), 7),
            ("group g any w1 w1\nquorum g".into(), 7),
            ("group g any w9\nquorum g".into(), 7),
            ("group g any\nquorum g".into(), 7),
            ("group w1 any w2\nquorum w1".into(), 7),
            ("group none any w2\nquorum none".into(), 7),
            ("group a any w1 w2\ngroup b any w1 w3\nquorum a".into(), 8),
            (format!("witness w4 {again}\nquorum w4"), 7),
            (format!("log {as_log}\nquorum w1"), 7),
            (
                format!("witness w4 {}\nquorum w4", vkey("x", Algorithm::Ed25519, 4)),
                7,
            ),
            ("policy w1".into(), 7),
            ("quorum w1\u{7}".into(), 7),
        ] {
            let refused = Policy::parse(&text(&rest)).err();
            assert_eq!(refused.map(|e| e.line), Some(line), "{rest}");
        }
    }
}
