//! A ledger in memory, with fixed keys and salts, and a report on one of its cases.

use std::collections::{BTreeMap, HashMap};

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::judge::*;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::content::Pool;
use crate::ledger::disclosure::{Disclosures, digest_of_text, disclose, encode};
use crate::ledger::dsse::{Envelope, IN_TOTO};
use crate::ledger::note::{NoteSigner, Vkey};
use crate::ledger::tree::{Frontier, NodeId, consistency, inclusion};
use crate::ledger::{CaseLink, Hash, Id16, Leaf, SpanId, Timestamp, sha256};
use crate::verify::custody;
use crate::verify::format::*;

pub const ORIGIN: &str = "ledger.example/a";
pub const REPORT: Id16 = Id16([0xab; 16]);
pub const CASES: [Id16; 2] = [Id16([0xca; 16]), Id16([0xcb; 16])];
pub const TRACE: Id16 = Id16([0x7a; 16]);

pub fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name, SigningKey::from_bytes(&[seed; 32])).unwrap()
}

pub fn checkpoint_signer() -> NoteSigner {
    signer(ORIGIN, 1)
}

pub fn report_signer() -> NoteSigner {
    signer("ledger.example/a/reports", 2)
}

/// A member here is disclosed as the JSON that its text holds, arrays of objects left as they are: no sound ledger does so.
pub const RAW: &str = "/data/raw";

pub type Fact = fn(&Ledger) -> Value;

/// An event before it is an entry.
#[derive(Clone)]
pub struct Event {
    pub kind: &'static str,
    pub case: Option<usize>,
    pub trace: bool,
    pub members: Vec<(&'static str, Value)>,
    pub fact: Option<Fact>,
}

pub fn event(kind: &'static str, case: Option<usize>, members: &[(&'static str, Value)]) -> Event {
    let mut all = vec![("/id", json!(format!("{kind}-{case:?}")))];
    if let Some(case) = case {
        all.push(("/case_id", json!(format!("C-{case}"))));
    }
    all.extend(members.iter().cloned());
    Event {
        kind,
        case,
        trace: case == Some(0),
        members: all,
        fact: None,
    }
}

pub fn service(kind: &'static str, fact: Fact) -> Event {
    Event {
        kind,
        case: None,
        trace: false,
        members: Vec::new(),
        fact: Some(fact),
    }
}

pub fn genesis(_: &Ledger) -> Value {
    json!({
        "checkpoint_key": checkpoint_signer().vkey().to_string(),
        "report_key": report_signer().vkey().to_string(),
        "id_key_check": "AAAA", "spec": 1,
    })
}

/// Eleven events; the report's own entry is the twelfth.
pub fn events() -> Vec<Event> {
    let candidates = json!([{"source_id": "S1", "rank": 1}, {"source_id": "S2", "rank": 2}]);
    let claims =
        json!([{"text": "income fell", "citations": [{"source_id": "S1"}]}, {"text": "no reply"}]);
    vec![
        service("ledger.created", genesis),
        event(
            "request.received",
            Some(0),
            &[
                ("/data/question", json!("may it stop?")),
                ("/time", json!("2026-01-02T03:04:05.0000001Z")),
            ],
        ),
        event(
            "request.received",
            Some(1),
            &[("/data/question", json!("and the other?"))],
        ),
        event(
            "authorization.decided",
            Some(0),
            &[
                ("/data/result", json!("denied")),
                ("/actor/name", json!("A. Person")),
            ],
        ),
        event(
            "policy.retrieved",
            Some(0),
            &[
                ("/data/candidates", candidates),
                ("/data/selected_ids", json!(["S1"])),
            ],
        ),
        event("x.cache.warmed", None, &[]),
        event(
            "recommendation.drafted",
            Some(0),
            &[
                ("/data/claims", claims),
                ("/data/model_parameters", json!({"t": 0.5})),
            ],
        ),
        event("run.concluded", Some(1), &[]),
        event(
            "approval.decided",
            Some(0),
            &[("/data/decision", json!("approved"))],
        ),
        Event {
            trace: true,
            ..event("x.trace.note", None, &[("/ext/colour", json!("red"))])
        },
        event(
            "action.performed",
            Some(0),
            &[("/data/status", json!("succeeded"))],
        ),
    ]
}

#[derive(Default)]
pub struct Ledger {
    pub leaves: Vec<String>,
    pub hashes: Vec<Hash>,
    pub digests: Vec<Vec<Hash>>,
    pub disclosures: Vec<Vec<String>>,
    cases: HashMap<Id16, (u64, Hash)>,
    nodes: HashMap<NodeId, Hash>,
    frontier: Frontier,
    salt: u128,
}

impl Ledger {
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub fn time(seq: u64) -> Timestamp {
        Timestamp::parse_rfc3339("2026-01-02T03:04:05Z")
            .unwrap()
            .plus_micros(i64::try_from(seq).unwrap() * 1_000_000)
    }

    /// The honest leaf for an event, with its disclosures.
    pub fn leaf(&mut self, e: &Event) -> (Leaf, Disclosures) {
        let seq = self.size();
        let salt = &mut self.salt;
        let mut d = disclose(e.members.iter().map(|(p, v)| (*p, v)), || {
            *salt += 1;
            sha256(&[&salt.to_be_bytes()]).0[..16].try_into().unwrap()
        });
        for (i, (_, value)) in e.members.iter().enumerate().filter(|(_, m)| m.0 == RAW) {
            let is = |t: &&mut String| digest_of_text(t) == d.top[i];
            let text = d.texts.iter_mut().find(is).unwrap();
            *text = text.replacen(&value.to_string(), value.as_str().unwrap(), 1);
            d.top[i] = digest_of_text(text);
        }
        let case = e.case.map(|c| {
            let (seq, prev) = self
                .cases
                .get(&CASES[c])
                .copied()
                .unwrap_or((0, Hash::ZERO));
            CaseLink {
                case: CASES[c],
                seq,
                prev,
            }
        });
        let leaf = Leaf {
            ledger: ORIGIN.into(),
            seq,
            prev: self.hashes.last().copied().unwrap_or(Hash::ZERO),
            kind: e.kind.into(),
            eid: sha256(&[b"eid", &seq.to_be_bytes()]),
            case,
            trace: e.trace.then_some(TRACE),
            span: e.trace.then_some(SpanId([5; 8])),
            occurred: if e.members.iter().any(|m| m.0 == "/time") {
                Self::time(0)
            } else {
                Self::time(seq)
            },
            recorded: Self::time(seq),
            producer: Id16([9; 16]),
            content: d.commitment(),
            fact: e.fact.map(|f| f(self).as_object().unwrap().clone()),
        };
        (leaf, d)
    }

    /// Appends whatever text stands for an entry: a forger may append anything.
    pub fn append(&mut self, text: String, d: Disclosures) {
        let hash = Hash::leaf(text.as_bytes());
        if let Ok(Leaf { case: Some(c), .. }) = Leaf::decode(text.as_bytes()) {
            self.cases.insert(c.case, (c.seq + 1, hash));
        }
        self.frontier.append(hash, |id, h| {
            self.nodes.insert(id, h);
        });
        self.leaves.push(text);
        self.hashes.push(hash);
        self.disclosures
            .push(d.texts.iter().map(|t| encode(t)).collect());
        self.digests.push(d.top);
    }

    pub fn path(&self, seq: u64) -> Vec<Hash> {
        inclusion(&self.nodes, seq, self.size()).unwrap()
    }

    pub fn checkpoint(&self, size: u64) -> Checkpoint {
        let root = crate::ledger::tree::root(&self.nodes, size).unwrap();
        Checkpoint {
            origin: ORIGIN.into(),
            size,
            root,
        }
    }

    /// The bridge that ends with the `key.rotated` at `seq`, joined to the whole tree.
    pub fn bridge(&self, seq: u64, signers: &[NoteSigner]) -> Bridge {
        let size = seq + 1;
        Bridge {
            leaf: self.leaves[usize::try_from(seq).unwrap()].clone(),
            path: inclusion(&self.nodes, seq, size).unwrap(),
            checkpoint: self.checkpoint(size).sign_all(signers),
            consistency: consistency(&self.nodes, size, self.size()).unwrap(),
        }
    }

    pub fn consistency(&self, first: u64) -> ConsistencyProof {
        let path = consistency(&self.nodes, first, self.size()).unwrap();
        ConsistencyProof {
            size: first,
            root: self.checkpoint(first).root,
            path,
        }
    }
}

type Hook<T> = Box<dyn Fn(&mut T)>;
type LedgerHook<T> = Box<dyn Fn(&Ledger, &mut T)>;

/// How a report is built; a forger holds all keys and may interfere anywhere.
pub struct Build {
    pub events: Vec<Event>,
    /// Events after the report's own entry.
    pub after: Vec<Event>,
    /// Changes a leaf before it is written.
    pub leaf: LedgerHook<Leaf>,
    /// Changes a leaf's text before it is hashed.
    pub leaf_text: Box<dyn Fn(u64, String) -> String>,
    /// Chooses the payload's entries.
    pub choose: Box<dyn Fn(&Leaf) -> bool>,
    pub issue: bool,
    pub issued_case: Option<usize>,
    pub issued: Hook<Leaf>,
    pub statement: LedgerHook<Statement>,
    pub payload: Hook<Vec<u8>>,
    pub report_key: NoteSigner,
    pub checkpoint_key: NoteSigner,
    pub case: Option<Id16>,
    pub subject: Subject,
    /// Chooses the accesses that the report lists of its case's reads.
    pub list: fn(&Value, &[Value]) -> bool,
    /// Withheld top-level pointers.
    pub withhold: Vec<&'static str>,
    pub file: LedgerHook<ReportFile>,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            events: events(),
            after: Vec::new(),
            leaf: Box::new(|_, _| {}),
            leaf_text: Box::new(|_, t| t),
            choose: Box::new(|leaf| {
                leaf.case.is_some_and(|c| c.case == CASES[0])
                    || (leaf.case.is_none() && leaf.trace == Some(TRACE))
            }),
            issue: true,
            issued_case: Some(0),
            issued: Box::new(|_| {}),
            statement: Box::new(|_, _| {}),
            payload: Box::new(|_| {}),
            report_key: report_signer(),
            checkpoint_key: checkpoint_signer(),
            case: Some(CASES[0]),
            subject: Subject::Case(CASES[0].to_hex()),
            list: |access, named| custody::concerns(access, named.iter(), &CASES[0]),
            withhold: Vec::new(),
            file: Box::new(|_, _| {}),
        }
    }
}

/// A file, and what is needed to check it.
pub struct Built {
    pub file: ReportFile,
    pub ledger: Ledger,
    pub keys: Vec<Vkey>,
}

impl Built {
    pub fn text(&self) -> String {
        self.file.encode().unwrap()
    }
}

impl Build {
    fn append(&self, ledger: &mut Ledger, e: &Event, change: &dyn Fn(&mut Leaf)) {
        let (mut leaf, d) = ledger.leaf(e);
        change(&mut leaf);
        (self.leaf)(ledger, &mut leaf);
        let seq = ledger.size();
        ledger.append((self.leaf_text)(seq, leaf.encode()), d);
    }

    pub fn run(self) -> Built {
        let mut ledger = Ledger::default();
        for e in &self.events {
            self.append(&mut ledger, e, &|_| {});
        }
        let lenient = |text: &str| Leaf::decode(text.as_bytes()).ok();
        let chosen: Vec<usize> = (0..ledger.leaves.len())
            .filter(|i| lenient(&ledger.leaves[*i]).is_none_or(|l| (self.choose)(&l)))
            .collect();
        let mut statement = self.state(&ledger, &chosen);
        (self.statement)(&ledger, &mut statement);
        let mut payload = statement.encode().unwrap();
        (self.payload)(&mut payload);
        let issued = Event {
            members: Vec::new(),
            trace: false,
            fact: Some(|_| json!({})),
            ..event("report.issued", self.issued_case, &[])
        };
        if self.issue {
            let fact = json!({"report": REPORT.to_hex(), "payload": sha256(&[&payload]).to_hex()});
            self.append(&mut ledger, &issued, &|leaf| {
                leaf.fact = fact.as_object().cloned();
                (self.issued)(leaf);
            });
        }
        for e in &self.after {
            self.append(&mut ledger, e, &|_| {});
        }
        let mut file = ReportFile {
            envelope: Envelope::sign(IN_TOTO, &payload, &self.report_key),
            disclosures: chosen
                .iter()
                .flat_map(|i| ledger.disclosures[*i].clone())
                .chain(reads_shown(&ledger, &statement.predicate.custody))
                .collect(),
            evidence: self.evidence(&ledger, &chosen, &statement.predicate.custody),
            catalogues: BTreeMap::from([("en".into(), catalogue())]),
        };
        let hidden: Vec<Hash> = statement
            .predicate
            .withheld
            .iter()
            .map(|w| w.digest)
            .collect();
        let drop = below(&file.disclosures, &hidden);
        file.disclosures.retain(|d| !drop.contains(d));
        (self.file)(&ledger, &mut file);
        Built {
            file,
            ledger,
            keys: vec![checkpoint_signer().vkey().clone()],
        }
    }

    fn evidence(&self, ledger: &Ledger, chosen: &[usize], reads: &[CustodyEntry]) -> Evidence {
        let mut entries = Vec::new();
        let listed = |text: &String| reads.iter().any(|r| r.leaf == *text);
        for (i, text) in ledger.leaves.iter().enumerate() {
            let seq = i as u64;
            let kind = Leaf::decode(text.as_bytes())
                .map(|l| l.kind)
                .unwrap_or_default();
            let wanted = [
                "ledger.created",
                "key.rotated",
                "report.issued",
                "content.erased",
            ]
            .contains(&kind.as_str());
            if chosen.contains(&i) || listed(text) {
                entries.push(ProvenEntry::Payload {
                    seq,
                    path: ledger.path(seq),
                });
            } else if wanted {
                entries.push(ProvenEntry::Other {
                    leaf: text.clone(),
                    path: ledger.path(seq),
                });
            }
        }
        Evidence {
            checkpoint: ledger.checkpoint(ledger.size()).sign(&self.checkpoint_key),
            entries,
            consistency: Vec::new(),
            bridges: Vec::new(),
        }
    }

    /// The recorded reads that the ledger holds.
    fn custody(&self, ledger: &Ledger) -> Vec<CustodyEntry> {
        let mut out = Vec::new();
        for (i, text) in ledger.leaves.iter().enumerate() {
            let is_read =
                Leaf::decode(text.as_bytes()).is_ok_and(|l| l.kind == custody::RECORD_ACCESSED);
            let read = |d: &String| crate::ledger::disclosure::decode(d).unwrap();
            let all: Vec<_> = ledger.disclosures[i].iter().map(read).collect();
            let cases: Vec<Hash> = all
                .iter()
                .flat_map(|d| custody::beneath(&d.value))
                .collect();
            let named = |access: &Value| -> Vec<Value> {
                let wanted: Vec<Hash> = custody::beneath(access).collect();
                let named = all.iter().filter(|d| wanted.contains(&d.digest));
                named.map(|d| d.value.clone()).collect()
            };
            let items = all.iter().filter(|d| d.pointer.is_none());
            let listed = items.filter(|d| !cases.contains(&d.digest));
            let listed = listed.filter(|d| (self.list)(&d.value, &named(&d.value)));
            let accesses: Vec<Hash> = listed.map(|d| d.digest).collect();
            if is_read && !accesses.is_empty() {
                out.push(CustodyEntry {
                    leaf: text.clone(),
                    digests: ledger.digests[i].clone(),
                    accesses,
                });
            }
        }
        out
    }

    fn state(&self, ledger: &Ledger, chosen: &[usize]) -> Statement {
        let all: Vec<&str> = chosen
            .iter()
            .flat_map(|i| ledger.disclosures[*i].iter().map(String::as_str))
            .collect();
        let mut pool = Pool::new(all).unwrap();
        let mut entries = Vec::new();
        for i in chosen {
            // What a forger has made unreadable has no say in the judgement.
            let Ok(leaf) = Leaf::decode(ledger.leaves[*i].as_bytes()) else {
                continue;
            };
            let Ok(opened) = pool.open(&ledger.digests[*i], leaf.content) else {
                continue;
            };
            entries.push(Entry {
                leaf,
                digests: ledger.digests[*i].clone(),
                opened,
                absences: BTreeMap::new(),
            });
        }
        let (first, last) = (chosen[0] as u64, *chosen.last().unwrap());
        let withheld = entries
            .iter()
            .flat_map(|e| e.opened.members.iter())
            .filter(|(p, _)| self.withhold.contains(&p.as_str()));
        let withheld = withheld.map(|(p, m)| Withheld {
            digest: m.digest,
            pointer: Some(p.clone()),
            ground: "personal data of others".into(),
            authority: "role policy 3".into(),
        });
        Statement {
            kind: STATEMENT.into(),
            subject: vec![StatementSubject {
                name: format!("{ORIGIN}/entries/{last}"),
                digest: Sha256Digest {
                    sha256: ledger.hashes[last],
                },
            }],
            predicate_type: PREDICATE.into(),
            predicate: Predicate {
                v: VERSION,
                report: REPORT,
                ledger: ORIGIN.into(),
                issued: Ledger::time(20),
                audience: Audience {
                    role: "regulator".into(),
                    requester: Id16([3; 16]),
                },
                purpose: "complaint 17".into(),
                subject: self.subject.clone(),
                window: Window {
                    first,
                    last: last as u64,
                },
                case: self.case,
                supersedes: None,
                software: Software {
                    name: "whereas".into(),
                    version: "0.1.0".into(),
                },
                profile: SignedProfile::new(json!({"id": "built-in", "rules": [{"risk": "high"}]})),
                catalogues: BTreeMap::from([(
                    "en".into(),
                    CatalogueDigest(sha256(&[catalogue().as_bytes()])),
                )]),
                entries: chosen
                    .iter()
                    .map(|i| PayloadEntry {
                        leaf: ledger.leaves[*i].clone(),
                        digests: ledger.digests[*i].clone(),
                    })
                    .collect(),
                custody: self.custody(ledger),
                custody_left_out: None,
                withheld: withheld.collect(),
                judgement: JUDGE(&self.subject, &entries, &json!({})).unwrap(),
            },
        }
    }
}

/// What a reader is shown of the listed reads.
fn reads_shown(ledger: &Ledger, reads: &[CustodyEntry]) -> Vec<String> {
    let all = || ledger.disclosures.iter().flatten();
    let listed = |d: &Hash| {
        reads
            .iter()
            .any(|r| r.digests.contains(d) || r.accesses.contains(d))
    };
    let read = |d: &String| crate::ledger::disclosure::decode(d).unwrap();
    let beneath: Vec<Hash> = all()
        .map(read)
        .filter(|d| listed(&d.digest))
        .flat_map(|d| custody::beneath(&d.value).collect::<Vec<_>>())
        .collect();
    let wanted = |text: &&String| {
        let d = read(text);
        listed(&d.digest) || beneath.contains(&d.digest) && custody::names(&d.value, &CASES[0])
    };
    all().filter(wanted).cloned().collect()
}

/// The disclosures with these digests, and all that lie beneath them.
pub fn below(disclosures: &[String], digests: &[Hash]) -> Vec<String> {
    let mut out = Vec::new();
    for d in disclosures {
        let read = crate::ledger::disclosure::decode(d).unwrap();
        if digests.contains(&read.digest) {
            let text = read.value.to_string();
            let is_below =
                |d: &&String| text.contains(&crate::ledger::disclosure::digest(d).to_b64url());
            let children: Vec<Hash> = disclosures
                .iter()
                .filter(is_below)
                .map(|d| crate::ledger::disclosure::digest(d))
                .collect();
            out.extend(below(disclosures, &children));
            out.push(d.clone());
        }
    }
    out
}

pub fn catalogue() -> String {
    r#"{"timeline.other": "{id} happened", "finding.authorization.denied": "{result}: it was {how}", "summary.ai": "{n} entries", "term.refused": "refused"}"#.into()
}

pub type TestJudge = fn(&Subject, &[Entry], &Value) -> Result<Judgement, String>;

/// A judge for tests: tells every entry, and finds a denied authorization.
pub const JUDGE: TestJudge = |_, entries, _| {
    let datum = |e: &Entry, at: &str| {
        e.opened.get(at).map(|d| {
            Arg::Datum(DatumRef {
                digest: d.digest.to_b64url(),
                at: d.at,
            })
        })
    };
    let sentence = |template: &str, args: Vec<(&str, Option<Arg>)>, seqs: Vec<u64>| Sentence {
        template: template.into(),
        args: args
            .into_iter()
            .filter_map(|(n, a)| Some((n.to_owned(), a?)))
            .collect(),
        entries: seqs,
    };
    let told = |e: &Entry| TimelineItem {
        seq: e.leaf.seq,
        sentence: sentence(
            "timeline.other",
            vec![
                ("id", datum(e, "/id")),
                (
                    "at",
                    Some(Arg::Member {
                        seq: e.leaf.seq,
                        member: "recorded".into(),
                    }),
                ),
            ],
            vec![e.leaf.seq],
        ),
    };
    let denied = entries
        .iter()
        .filter(|e| e.opened.text("/data/result") == Some("denied"));
    let finding = |e: &Entry| Finding {
        code: "authorization.denied".into(),
        severity: Severity::Error,
        sentence: sentence(
            "finding.authorization.denied",
            vec![
                ("result", datum(e, "/data/result")),
                (
                    "how",
                    Some(Arg::Term {
                        term: "refused".into(),
                    }),
                ),
            ],
            vec![e.leaf.seq],
        ),
    };
    let findings: Vec<Finding> = denied.map(finding).collect();
    let by = |e: &Entry| {
        e.opened.get("/id").map(|d| DatumRef {
            digest: d.digest.to_b64url(),
            at: d.at,
        })
    };
    let edge = |w: &[Entry]| {
        Some(Edge {
            from: w[1].leaf.seq,
            relation: Relation::WasInformedBy,
            to: w[0].leaf.seq,
            by: by(&w[1])?,
        })
    };
    let cites = |e: &Entry| {
        let of_source = e
            .opened
            .elements
            .iter()
            .filter(|(_, v)| v.get("source_id").is_some());
        of_source.map(|(d, _)| (e.leaf.seq, d.to_b64url())).min()
    };
    let claims = entries.iter().find_map(cites);
    let mut summary = vec![sentence(
        "summary.ai",
        vec![(
            "n",
            Some(Arg::Count {
                count: entries.len() as u64,
            }),
        )],
        vec![],
    )];
    summary.extend(claims.map(|(seq, digest)| {
        let list = vec![Arg::Datum(DatumRef {
            digest,
            at: "/source_id".into(),
        })];
        sentence(
            "summary.ai",
            vec![("n", Some(Arg::List { list }))],
            vec![seq],
        )
    }));
    Ok(Judgement {
        answer: vec![AnswerPart {
            section: Section::Summary,
            sentences: summary,
        }],
        timeline: entries.iter().map(told).collect(),
        controls: if findings.is_empty() {
            Judged::Good
        } else {
            Judged::Bad
        },
        findings,
        graph: entries.windows(2).filter_map(edge).collect(),
        elements: Judged::Good,
        profile_rule: Some(0),
    })
};
