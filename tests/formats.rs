//! The worked example of `docs/formats.md`: every file under `tests/formats` is recomputed from `inputs.json` and the
//! posted events, the page must quote the same bytes, and everything under `bad` must be refused.
//!
//! `WHEREAS_BLESS=1` writes files and quotations anew instead of comparing them.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use whereas::event::{COMMON_MEMBERS, Context, Event, SpanRef, TraceRef};
use whereas::json::{self, FaultKind, Limits, pointer};
use whereas::judge::{
    AnswerPart, Arg, DatumRef, Edge, Finding, Judged, Judgement, Relation, Section, Sentence,
    Severity, Subject, TimelineItem,
};
use whereas::keyring::{IdKey, Sealed, Secret, open, seal, signing_key_to_pem};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::disclosure::{self, Disclosures};
use whereas::ledger::dsse::{Envelope, IN_TOTO, pae};
use whereas::ledger::keys::Purpose;
use whereas::ledger::note::{Algorithm, NoteSigner, Vkey};
use whereas::ledger::proof::verify_consistency;
use whereas::ledger::receipt::Receipt;
use whereas::ledger::tree::{Frontier, NodeId, consistency, inclusion};
use whereas::ledger::{CaseLink, Hash, Id16, Leaf, Timestamp, b64, b64url, decode_b64, sha256};
use whereas::verify::format::{
    Audience, CatalogueDigest, ConsistencyProof, Evidence, PREDICATE, PayloadEntry, Predicate,
    ProvenEntry, ReportFile, STATEMENT, Sha256Digest, SignedProfile, Software, Statement,
    StatementSubject, VERSION, Window, Withheld,
};
use whereas::verify::{
    Committed, Freshness, Integrity, Process, Sequence, receipt as receipts, report,
};

#[path = "formats/later.rs"]
mod later;

/// Commits of the example: the first entry, both events at once, the report's own entry.
const COMMITS: [u64; 3] = [1, 3, 4];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md")
}

fn file(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn json_file(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    let found = value.pointer(at).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("{at} in {value}"))
}

fn bytes<const N: usize>(value: &Value, at: &str) -> [u8; N] {
    hex::decode(text(value, at)).unwrap().try_into().unwrap()
}

fn signer(name: &str, seed: [u8; 32]) -> NoteSigner {
    NoteSigner::new(name, SigningKey::from_bytes(&seed)).unwrap()
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The ledger of the example, and everything that the files tell of it.
struct Example {
    inputs: Value,
    origin: String,
    checkpoint_key: NoteSigner,
    report_key: NoteSigner,
    witness_seed: [u8; 32],
    id: IdKey,
    leaves: Vec<String>,
    hashes: Vec<Hash>,
    disclosures: Vec<Disclosures>,
    frontier: Frontier,
    roots: BTreeMap<u64, Hash>,
    nodes: HashMap<NodeId, Hash>,
    order: Vec<NodeId>,
    case: Option<(u64, Hash)>,
    identities: Vec<Value>,
    sealed: Vec<Value>,
    files: BTreeMap<String, String>,
}

impl Example {
    fn new() -> Self {
        let inputs = json_file("inputs.json");
        let origin = text(&inputs, "/origin").to_owned();
        let mut example = Self {
            checkpoint_key: signer(&origin, bytes(&inputs, "/seeds/checkpoint")),
            report_key: signer(
                &Purpose::Report.key_name(&origin),
                bytes(&inputs, "/seeds/report"),
            ),
            witness_seed: bytes(&inputs, "/seeds/witness"),
            id: IdKey::from_bytes(bytes(&inputs, "/id_key")),
            inputs,
            origin,
            leaves: Vec::new(),
            hashes: Vec::new(),
            disclosures: Vec::new(),
            frontier: Frontier::new(),
            roots: BTreeMap::new(),
            nodes: HashMap::new(),
            order: Vec::new(),
            case: None,
            identities: Vec::new(),
            sealed: Vec::new(),
            files: BTreeMap::new(),
        };
        let genesis = json!({
            "spec": 1,
            "vocabulary": 1,
            "software": "whereas 0.1.0",
            "checkpoint_key": example.checkpoint_key.vkey().to_string(),
            "report_key": example.report_key.vkey().to_string(),
            "id_key_check": example.id.check().to_b64url(),
        });
        example.own(0, "ledger.created", genesis, false);
        example.posted(1);
        example.posted(2);
        example.files();
        example.later();
        example
    }

    fn salts(&self, entry: usize) -> Vec<[u8; 16]> {
        let salts = self.inputs["entries"][entry]["salts"].as_array().unwrap();
        (0..salts.len())
            .map(|i| bytes(&self.inputs, &format!("/entries/{entry}/salts/{i}")))
            .collect()
    }

    fn input(&self, entry: usize, name: &str) -> &str {
        text(&self.inputs, &format!("/entries/{entry}/{name}"))
    }

    fn witness(&self) -> Vkey {
        let key = SigningKey::from_bytes(&self.witness_seed).verifying_key();
        let name = text(&self.inputs, "/witness_name");
        Vkey::new(name, Algorithm::CosignatureV1, key).unwrap()
    }

    fn eid(&mut self, entry: usize, source: &str, id: &str) -> Hash {
        let mut message = u32::try_from(source.len()).unwrap().to_be_bytes().to_vec();
        message.extend_from_slice(source.as_bytes());
        message.extend_from_slice(id.as_bytes());
        let eid = self.id.eid(source, id);
        assert_eq!(eid.0, hmac(&self.id_key(), &message));
        self.identities.push(json!({
            "entry": entry, "source": source, "id": id, "message": hex::encode(message), "eid": eid.to_b64url(),
        }));
        eid
    }

    fn id_key(&self) -> [u8; 32] {
        bytes(&self.inputs, "/id_key")
    }

    fn append(&mut self, leaf: &Leaf, disclosures: Disclosures) {
        let text = leaf.encode();
        assert_eq!(Leaf::decode(text.as_bytes()).as_ref(), Ok(leaf));
        let hash = Hash::leaf(text.as_bytes());
        if let Some(link) = leaf.case {
            self.case = Some((link.seq + 1, hash));
        }
        self.frontier.append(hash, |id, hash| {
            self.nodes.insert(id, hash);
            self.order.push(id);
        });
        self.roots
            .insert(self.frontier.size(), self.frontier.root());
        self.leaves.push(text);
        self.hashes.push(hash);
        self.disclosures.push(disclosures);
    }

    fn leaf(&self, entry: usize, kind: &str, eid: Hash, producer: &str, in_case: bool) -> Leaf {
        let recorded = Timestamp::parse_canonical(self.input(entry, "recorded")).unwrap();
        let (seq, prev) = self.case.unwrap_or((0, Hash::ZERO));
        let case = in_case.then(|| CaseLink {
            case: Id16(bytes(&self.inputs, "/case")),
            seq,
            prev,
        });
        Leaf {
            ledger: self.origin.clone(),
            seq: entry as u64,
            prev: self.hashes.last().copied().unwrap_or(Hash::ZERO),
            kind: kind.to_owned(),
            eid,
            case,
            trace: None,
            span: None,
            occurred: recorded,
            recorded,
            producer: Id16(bytes(&self.inputs, producer)),
            content: None,
            fact: None,
        }
    }

    /// One of the service's own entries.
    fn own(&mut self, entry: usize, kind: &str, fact: Value, in_case: bool) {
        let (source, id) = (self.origin.clone(), self.input(entry, "id").to_owned());
        let eid = self.eid(entry, &source, &id);
        let mut leaf = self.leaf(entry, kind, eid, "/service", in_case);
        leaf.fact = fact.as_object().cloned();
        self.append(&leaf, Disclosures::default());
    }

    /// A posted event.
    fn posted(&mut self, entry: usize) {
        let context = Context {
            ledger: "demo",
            origin: &self.origin,
            only_source: None,
        };
        let posted = file(self.input(entry, "event"));
        let value = json::parse(posted.as_bytes(), Limits::default()).unwrap();
        let event = Event::read(value, &context).unwrap();
        let mut next = self.salts(entry).into_iter();
        let members = event.members();
        let members = members.iter().map(|(at, value)| (at.as_str(), *value));
        let disclosures = disclosure::disclose(members, || next.next().unwrap());
        assert_eq!(next.next(), None, "a salt is left over");
        let eid = self.eid(entry, &event.source, &event.id);
        let mut leaf = self.leaf(
            entry,
            &event.kind,
            eid,
            "/producer",
            event.case_id.is_some(),
        );
        leaf.occurred = event.occurred;
        leaf.trace = event.trace.as_ref().map(|t| match t {
            TraceRef::W3c(id) => *id,
            TraceRef::Other(other) => self.id.trace(other),
        });
        leaf.span = event.span.as_ref().map(|s| match s {
            SpanRef::W3c(id) => *id,
            SpanRef::Other(other) => self.id.span(other),
        });
        leaf.content = disclosures.commitment();
        self.seal(entry, &leaf, &event.canonical(), &disclosures);
        self.append(&leaf, disclosures);
    }

    fn seal(&mut self, entry: usize, leaf: &Leaf, canonical: &str, disclosures: &Disclosures) {
        let slot: [u8; 32] = bytes(&self.inputs, "/slot_secret");
        let nonce: [u8; 24] = bytes(&self.inputs, &format!("/entries/{entry}/nonce"));
        let content = leaf.content.unwrap();
        let sealed = Sealed {
            sameness: self.id.sameness(canonical),
            texts: disclosures.texts.clone(),
        };
        let secret = Secret::from_bytes(slot);
        let blob = seal(
            &secret,
            nonce,
            &self.origin,
            &leaf.eid,
            Some(&content),
            &sealed,
        );
        let opened = open(&secret, &self.origin, &leaf.eid, Some(&content), &blob);
        assert_eq!(opened, Ok(sealed));
        let mut associated = Vec::new();
        for part in [self.origin.as_bytes(), &leaf.eid.0, &content.0] {
            associated.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            associated.extend_from_slice(part);
        }
        let same = hmac(&self.id_key(), b"whereas/v1/same");
        self.sealed.push(json!({
            "entry": entry,
            "key": hex::encode(hmac(&slot, b"whereas/v1/content")),
            "nonce": hex::encode(nonce),
            "associated_data": hex::encode(associated),
            "canonical_event": canonical,
            "sameness": hex::encode(hmac(&same, canonical.as_bytes())),
            "blob": hex::encode(blob),
        }));
    }

    fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.roots[&size],
        }
    }

    fn path(&self, entry: u64, size: u64) -> Vec<Hash> {
        inclusion(&self.nodes, entry, size).unwrap()
    }

    fn put(&mut self, name: &str, text: String) {
        assert!(self.files.insert(name.to_owned(), text).is_none(), "{name}");
    }

    fn files(&mut self) {
        let report = self.report();
        let leaves: String = self.leaves.iter().map(|l| format!("{l}\n")).collect();
        self.put("leaves.txt", leaves);
        self.identity_file();
        let sealed = Value::Array(self.sealed.clone());
        self.put("sealed.json", pretty(&sealed));
        self.disclosure_file();
        self.tree_file();
        let vkeys = format!(
            "{}\n{}\n{}\n",
            self.checkpoint_key.vkey(),
            self.report_key.vkey(),
            self.witness()
        );
        self.put("vkeys", vkeys);
        for size in COMMITS {
            let note = self.checkpoint(size).sign(&self.checkpoint_key);
            let name = if size == 3 {
                "checkpoint.txt".into()
            } else {
                format!("checkpoint-{size}.txt")
            };
            self.put(&name, note);
        }
        let cosigned = self.cosigned();
        self.put("checkpoint-4-cosigned.txt", cosigned);
        for (entry, size) in [(0, 1), (1, 3), (2, 3), (3, 4)] {
            let receipt = Receipt {
                leaf: self.leaves[entry].clone().into_bytes(),
                index: entry as u64,
                path: self.path(entry as u64, size),
                checkpoint: self.checkpoint(size).sign(&self.checkpoint_key),
            };
            self.put(&format!("receipt-{entry}.tlog-proof"), receipt.encode());
        }
        self.put("report.json", report.encode().unwrap());
    }

    fn identity_file(&mut self) {
        let case = self.id.blind("case", "C-7");
        let blind = hmac(&self.id_key(), b"whereas/v1/blind");
        assert_eq!(hex::encode(hmac(&blind, b"case\0C-7"))[..32], case.to_hex());
        let trace = hmac(&self.id_key(), b"whereas/v1/trace");
        assert_eq!(
            hex::encode(hmac(&trace, b"trace\0run-17"))[..32],
            self.id.trace("run-17").to_hex()
        );
        assert_eq!(
            hex::encode(hmac(&trace, b"span\0step-3"))[..16],
            self.id.span("step-3").to_hex()
        );
        let value = json!({
            "id_key_check": self.id.check().to_b64url(),
            "entries": self.identities,
            "trace": { "original": "run-17", "image": self.id.trace("run-17").to_hex() },
            "span": { "original": "step-3", "image": self.id.span("step-3").to_hex() },
            "case": { "original": "C-7", "blind": case.to_hex() },
        });
        self.put("identity.json", pretty(&value));
    }

    fn disclosure_file(&mut self) {
        let mut entries = Vec::new();
        for entry in [1, 2] {
            let d = &self.disclosures[entry];
            let each = d.texts.iter().map(|t| {
                let encoded = disclosure::encode(t);
                let read = disclosure::decode(&encoded).unwrap();
                let mut value =
                    json!({ "text": t, "disclosure": encoded, "digest": read.digest.to_b64url() });
                value["pointer"] = read.pointer.map_or(Value::Null, Value::String);
                value
            });
            let each: Vec<Value> = each.collect();
            let mut sorted: Vec<String> = d.top.iter().map(Hash::to_b64url).collect();
            sorted.sort_unstable();
            let all: String = sorted.iter().map(|s| format!("{s}\n")).collect();
            assert_eq!(d.commitment(), Some(sha256(&[all.as_bytes()])));
            entries.push(json!({
                "entry": entry, "disclosures": each, "sorted_top_digests": sorted,
                "content": d.commitment().unwrap().to_b64url(),
            }));
        }
        self.put("disclosures.json", pretty(&Value::Array(entries)));
    }

    fn tree_file(&mut self) {
        let nodes: Vec<Value> = self
            .order
            .iter()
            .map(|id| json!({ "level": id.level, "index": id.index, "hash": self.nodes[id].to_hex() }))
            .collect();
        let roots: Map<String, Value> = self
            .roots
            .iter()
            .map(|(size, root)| {
                (
                    size.to_string(),
                    json!({ "hex": root.to_hex(), "base64": root.to_b64() }),
                )
            })
            .collect();
        let hex = |path: Vec<Hash>| path.iter().map(Hash::to_hex).collect::<Vec<_>>();
        let inclusions: Vec<Value> = [(0, 1), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4)]
            .map(|(index, size)| json!({ "index": index, "size": size, "path": hex(self.path(index, size)) }))
            .to_vec();
        let joins: Vec<Value> = [(1, 3), (1, 4), (3, 4)]
            .map(|(first, second)| {
                let path = consistency(&self.nodes, first, second).unwrap();
                let (a, b) = (self.roots[&first], self.roots[&second]);
                assert_eq!(verify_consistency(first, second, &path, &a, &b), Ok(()));
                json!({ "first": first, "second": second, "path": hex(path) })
            })
            .to_vec();
        let value = json!({
            "leaf_hashes": self.hashes.iter().map(Hash::to_hex).collect::<Vec<_>>(),
            "stored_nodes": nodes, "roots": roots, "inclusion": inclusions, "consistency": joins,
        });
        self.put("tree.json", pretty(&value));
    }

    /// The checkpoint of the report's commit with the witness's cosignature.
    fn cosigned(&self) -> String {
        let checkpoint = self.checkpoint(4);
        let seconds = self.inputs["witness_time"].as_u64().unwrap();
        let message = format!("cosignature/v1\ntime {seconds}\n{}", checkpoint.text());
        let signature = SigningKey::from_bytes(&self.witness_seed).sign(message.as_bytes());
        let witness = self.witness();
        let mut blob = witness.id().to_vec();
        blob.extend_from_slice(&seconds.to_be_bytes());
        blob.extend_from_slice(&signature.to_bytes());
        let note = checkpoint.sign(&self.checkpoint_key);
        format!("{note}— {} {}\n", witness.name(), b64(&blob))
    }

    /// The digest of a shown member, or of the first element whose text contains `part`.
    fn digest(&self, entry: usize, part: &str) -> Hash {
        let texts = self.disclosures[entry].texts.iter();
        disclosure::digest_of_text(texts.clone().find(|t| t.contains(part)).unwrap())
    }

    /// Signs the report on the case, appends its own entry, and makes its file.
    fn report(&mut self) -> ReportFile {
        let statement = self.statement();
        let payload = statement.encode().unwrap();
        let envelope = Envelope::sign(IN_TOTO, &payload, &self.report_key);
        let fact = json!({
            "report": text(&self.inputs, "/report/id"), "payload": sha256(&[&payload]).to_hex(),
        });
        self.own(3, "report.issued", fact, true);
        let withheld: Vec<Hash> = statement
            .predicate
            .withheld
            .iter()
            .map(|w| w.digest)
            .collect();
        let all = self.disclosures.iter().flat_map(|d| &d.texts);
        let shown = all.map(|t| disclosure::encode(t));
        let shown = shown
            .filter(|d| !withheld.contains(&disclosure::digest(d)))
            .collect();
        let proof = |seq: u64| {
            let path = self.path(seq, 4);
            if (1..3).contains(&seq) {
                return ProvenEntry::Payload { seq, path };
            }
            let leaf = self.leaves[usize::try_from(seq).unwrap()].clone();
            ProvenEntry::Other { leaf, path }
        };
        let join = ConsistencyProof {
            size: 3,
            root: self.roots[&3],
            path: consistency(&self.nodes, 3, 4).unwrap(),
        };
        let file = ReportFile {
            envelope,
            disclosures: shown,
            evidence: Evidence {
                checkpoint: self.cosigned(),
                entries: (0..4).map(proof).collect(),
                consistency: vec![join],
                bridges: Vec::new(),
            },
            catalogues: BTreeMap::from([("en".to_owned(), file("catalogue-en.json"))]),
        };
        self.put(
            "report-payload.json",
            String::from_utf8(payload.clone()).unwrap(),
        );
        let message = pae(IN_TOTO, &payload);
        self.put(
            "report-signature.json",
            pretty(&json!({
                "payload_sha256": sha256(&[&payload]).to_hex(),
                "pae_length": message.len(),
                "pae_sha256": sha256(&[&message]).to_hex(),
                "signature": hex::encode(decode_b64(&file.envelope.signatures[0].sig).unwrap()),
                "keyid": file.envelope.signatures[0].keyid,
            })),
        );
        file
    }

    fn statement(&self) -> Statement {
        let withhold = |digest: Hash, pointer: Option<&str>, ground: &str| Withheld {
            digest,
            pointer: pointer.map(str::to_owned),
            ground: ground.to_owned(),
            authority: "access policy 2".to_owned(),
        };
        let id = |at: &str| Id16(bytes(&self.inputs, at));
        let entry = |i: usize| PayloadEntry {
            leaf: self.leaves[i].clone(),
            digests: self.disclosures[i].top.clone(),
        };
        let said = |at: &str| text(&self.inputs, at).to_owned();
        Statement {
            kind: STATEMENT.into(),
            subject: vec![StatementSubject {
                name: format!("{}/entries/2", self.origin),
                digest: Sha256Digest {
                    sha256: self.hashes[2],
                },
            }],
            predicate_type: PREDICATE.into(),
            predicate: Predicate {
                v: VERSION,
                report: id("/report/id"),
                ledger: self.origin.clone(),
                issued: Timestamp::parse_canonical(&said("/report/issued")).unwrap(),
                audience: Audience {
                    role: said("/report/role"),
                    requester: id("/report/requester"),
                },
                purpose: said("/report/purpose"),
                subject: Subject::Case(said("/case")),
                window: Window { first: 1, last: 2 },
                case: Some(id("/case")),
                supersedes: None,
                software: Software {
                    name: said("/software/name"),
                    version: said("/software/version"),
                },
                profile: SignedProfile::new(self.inputs["report"]["profile"].clone()),
                catalogues: BTreeMap::from([(
                    "en".into(),
                    CatalogueDigest(sha256(&[file("catalogue-en.json").as_bytes()])),
                )]),
                entries: vec![entry(1), entry(2)],
                custody: Vec::new(),
                custody_left_out: None,
                judgement: self.judgement(),
                withheld: vec![
                    withhold(
                        self.digest(1, "\"/actor/name\""),
                        Some("/actor/name"),
                        "personal data of staff",
                    ),
                    withhold(self.digest(2, "letter-9"), None, "document of another case"),
                ],
            },
        }
    }

    /// Made by hand: every form that a sentence's argument can have.
    fn judgement(&self) -> Judgement {
        let datum = |entry: usize, part: &str, at: &str| DatumRef {
            digest: self.digest(entry, part).to_b64url(),
            at: at.to_owned(),
        };
        let sentence = |template: &str, args: Vec<(&str, Arg)>, entries: Vec<u64>| Sentence {
            template: template.to_owned(),
            args: args.into_iter().map(|(n, a)| (n.to_owned(), a)).collect(),
            entries,
        };
        let member = |seq: u64, member: &str| Arg::Member {
            seq,
            member: member.to_owned(),
        };
        let line = |seq: u64, who: Arg| TimelineItem {
            seq,
            sentence: sentence(
                "timeline.other",
                vec![("at", member(seq, "recorded")), ("who", who)],
                vec![seq],
            ),
        };
        let sources = Arg::List {
            list: vec![
                Arg::Datum(datum(2, "policy-4", "/source_id")),
                Arg::Datum(datum(2, "letter-9", "/source_id")),
            ],
        };
        let summary = vec![
            sentence(
                "summary.draft",
                vec![("draft", Arg::Datum(datum(2, "\"/data/draft\"", "")))],
                vec![2],
            ),
            sentence(
                "summary.sources",
                vec![("n", Arg::Count { count: 2 }), ("sources", sources)],
                vec![2],
            ),
        ];
        Judgement {
            answer: vec![AnswerPart {
                section: Section::Summary,
                sentences: summary,
            }],
            timeline: vec![
                line(1, Arg::Datum(datum(1, "\"/actor/name\"", ""))),
                line(2, Arg::Datum(datum(2, "\"/actor/id\"", ""))),
            ],
            findings: vec![Finding {
                code: "missing.risk".into(),
                severity: Severity::Warning,
                sentence: sentence(
                    "finding.missing.risk",
                    vec![(
                        "what",
                        Arg::Term {
                            term: "risk".into(),
                        },
                    )],
                    vec![],
                ),
            }],
            graph: vec![Edge {
                from: 2,
                relation: Relation::WasInformedBy,
                to: 1,
                by: datum(2, "\"/case_id\"", ""),
            }],
            elements: Judged::Bad,
            controls: Judged::Undetermined,
            profile_rule: Some(0),
        }
    }

    fn pinned(&self) -> Vec<Vkey> {
        vec![self.checkpoint_key.vkey().clone()]
    }
}

fn blessing() -> bool {
    std::env::var_os("WHEREAS_BLESS").is_some()
}

#[test]
fn the_files_are_what_the_library_makes_of_the_inputs() {
    for (name, text) in Example::new().files {
        if blessing() {
            fs::write(folder().join(&name), text).unwrap();
        } else {
            assert!(
                file(&name) == text,
                "{name} is not what the library makes of the inputs"
            );
        }
    }
}

/// A value quoted by the page: a file, a line of it (`name:line`), or the text at a JSON pointer (`name#pointer`).
fn quoted(files: &BTreeMap<String, String>, what: &str) -> String {
    let of = |name: &str| files.get(name).cloned().unwrap_or_else(|| file(name));
    if let Some((name, at)) = what.split_once('#') {
        let value: Value = serde_json::from_str(&of(name)).unwrap();
        let value = pointer::get(&value, at).unwrap_or_else(|| panic!("{what}"));
        return value.as_str().map_or_else(
            || serde_json::to_string_pretty(value).unwrap(),
            |text| text.trim_end_matches('\n').to_owned(),
        );
    }
    if let Some((name, line)) = what.split_once(':') {
        let line: usize = line.parse().unwrap();
        return of(name).lines().nth(line - 1).unwrap().to_owned();
    }
    of(what).trim_end_matches('\n').to_owned()
}

const MARK: &str = "<!-- quotes ";

#[test]
fn the_page_quotes_the_files() {
    let files = Example::new().files;
    let page = fs::read_to_string(page_path()).unwrap();
    let mut parts = page.split(MARK);
    let mut out = parts.next().unwrap().to_owned();
    let mut count = 0;
    for part in parts {
        let (what, rest) = part.split_once(" -->\n```text\n").unwrap();
        let (block, rest) = rest.split_once("\n```\n").unwrap();
        let want = quoted(&files, what);
        assert!(
            blessing() || block == want,
            "the page does not quote {what} rightly"
        );
        out.push_str(&format!("{MARK}{what} -->\n```text\n{want}\n```\n{rest}"));
        count += 1;
    }
    assert!(count >= 25, "only {count} quotations are left in the page");
    if blessing() {
        fs::write(page_path(), &out).unwrap();
    }
    // Whatever else looks like a value in the example must stand in one of the files.
    let all: String = files
        .values()
        .cloned()
        .chain([file("inputs.json"), file("event-1.json")])
        .collect();
    let (_, example) = out.split_once("\n## Worked example\n").unwrap();
    let example = example.split("\n## ").next().unwrap();
    let is_value = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let mut checked = 0;
    for token in example.split(|c| !is_value(c)).filter(|t| t.len() >= 32) {
        assert!(all.contains(token), "`{token}` stands in no file");
        checked += 1;
    }
    assert!(checked > 60);
}

fn event_check<'a>(event: &'a str, disclosures: &'a [String]) -> receipts::EventCheck<'a> {
    receipts::EventCheck {
        event: event.as_bytes(),
        disclosures,
        declared: COMMON_MEMBERS,
    }
}

fn handed_out(entry: usize) -> Vec<String> {
    let all = json_file("disclosures.json");
    let of_entry = all[entry - 1]["disclosures"].as_array().unwrap();
    of_entry
        .iter()
        .map(|d| text(d, "/disclosure").to_owned())
        .collect()
}

#[test]
fn the_receipts_hold() {
    let keys = Example::new().pinned();
    for entry in [0, 3] {
        let got = receipts::verify(&file(&format!("receipt-{entry}.tlog-proof")), &keys, None);
        assert_eq!((got.problems, got.seq), (vec![], Some(entry)));
    }
    for entry in [1, 2] {
        let (event, given) = (file(&format!("event-{entry}.json")), handed_out(entry));
        let check = event_check(&event, &given);
        let receipt = file(&format!("receipt-{entry}.tlog-proof"));
        let got = receipts::verify(&receipt, &keys, Some(&check));
        assert_eq!(
            (got.problems, got.event.verdict),
            (vec![], Committed::Whole)
        );
    }
}

#[test]
fn the_report_holds() {
    let example = Example::new();
    let (bytes, keys) = (file("report.json").into_bytes(), example.pinned());
    let kept = [file("checkpoint.txt")];
    let alone = report::verify(&bytes, &keys, &[], None);
    assert_eq!(alone.problems, []);
    let v = &alone.verdicts;
    assert_eq!(
        (v.integrity.verdict, v.sequence.verdict, v.freshness.verdict),
        (Integrity::Intact, Sequence::Complete, Freshness::NotProven)
    );
    assert_eq!(
        (v.elements.verdict, v.controls.verdict),
        (Process::Bad, Process::Undetermined)
    );
    let content = alone.content;
    assert_eq!(
        (
            content.shown,
            content.withheld,
            content.erased,
            content.missing
        ),
        (23, 2, 0, 0)
    );
    let anchored = report::verify(&bytes, &keys, &kept, None);
    assert_eq!(anchored.verdicts.freshness.verdict, Freshness::Anchored);
    let both = [keys, vec![example.witness()]].concat();
    let witnessed = report::verify(&bytes, &both, &kept, None);
    assert_eq!(
        (witnessed.problems, witnessed.verdicts.freshness.verdict),
        (vec![], Freshness::Witnessed)
    );
}

/// A good text with each `[old, new]` of `edit` carried out on its first occurrence, or `text`, or `hex`.
fn spoilt(case: &Value, good: &str) -> Vec<u8> {
    if let Some(digits) = case["hex"].as_str() {
        return hex::decode(digits).unwrap();
    }
    if let Some(text) = case["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let mut out = good.to_owned();
    for edit in case["edit"].as_array().unwrap() {
        let (old, new) = (text(edit, "/0"), text(edit, "/1"));
        assert!(out.contains(old), "{case}");
        out = out.replacen(old, new, 1);
    }
    out.into_bytes()
}

fn bad(name: &str) -> Vec<Value> {
    let cases = json_file(&format!("bad/{name}.json"));
    let cases = cases.as_array().unwrap().clone();
    assert!(cases.len() > 3, "{name}");
    cases
}

fn refusal(receipt: &(impl AsRef<[u8]> + ?Sized), keys: &[Vkey]) -> Option<&'static str> {
    let got = receipts::verify(receipt, keys, None);
    assert_eq!(got.refused(), got.integrity.verdict == Integrity::Broken);
    got.problems.first().map(|p| p.code.as_str())
}

#[test]
fn malformed_json_is_refused() {
    for case in bad("json") {
        let read = json::parse(&spoilt(&case, ""), Limits::default());
        let faults = read.err().unwrap_or_default();
        let kind = match faults.first().map(|f| f.kind) {
            Some(FaultKind::Syntax) => "syntax",
            Some(FaultKind::Inexact) => "inexact",
            Some(FaultKind::TooLarge) => "too_large",
            other => panic!("{case}: {other:?}"),
        };
        assert_eq!(kind, text(&case, "/kind"), "{case}");
    }
    for case in json_file("canonical.json").as_array().unwrap() {
        let value = json::parse(text(case, "/text").as_bytes(), Limits::default()).unwrap();
        assert_eq!(json::canonical(&value), text(case, "/canonical"));
    }
}

#[test]
fn malformed_leaves_are_refused() {
    let example = Example::new();
    let good = file("leaves.txt");
    for case in bad("leaves") {
        let base = case["leaf"].as_u64().map_or("", |i| {
            good.lines().nth(usize::try_from(i).unwrap()).unwrap()
        });
        let leaf = spoilt(&case, base);
        let code = text(&case, "/code");
        let decodes = Leaf::decode(&leaf).is_ok();
        assert_eq!(
            decodes,
            ["leaf.origin", "leaf.fact"].contains(&code),
            "{case}"
        );
        // A ledger of one entry that signs whatever it is given.
        let checkpoint = Checkpoint {
            origin: example.origin.clone(),
            size: 1,
            root: Hash::leaf(&leaf),
        };
        let receipt = Receipt {
            leaf,
            index: 0,
            path: Vec::new(),
            checkpoint: checkpoint.sign(&example.checkpoint_key),
        };
        assert_eq!(
            refusal(&receipt.encode(), &example.pinned()),
            Some(code),
            "{case}"
        );
    }
}

#[test]
fn malformed_disclosures_are_refused() {
    let keys = Example::new().pinned();
    let good = json_file("disclosures.json");
    for case in bad("disclosures") {
        let base = case["of"].as_str().map_or("", |at| text(&good, at));
        let mut given = String::from_utf8(spoilt(&case, base)).unwrap();
        if case["encode"] == true {
            given = b64url(given.as_bytes());
        }
        let code = text(&case, "/code");
        assert_eq!(
            disclosure::decode(&given).is_err(),
            code == "disclosure.form",
            "{case}"
        );
        let mut file = json_file("report.json");
        file["disclosures"]
            .as_array_mut()
            .unwrap()
            .push(json!(given));
        let got = report::verify(file.to_string().as_bytes(), &keys, &[], None);
        assert_eq!(
            got.problems.first().map(|p| p.code.as_str()),
            Some(code),
            "{case}"
        );
    }
}

#[test]
fn malformed_keys_and_checkpoints_are_refused() {
    let example = Example::new();
    for case in bad("vkeys") {
        let key = String::from_utf8(spoilt(&case, &quoted(&example.files, "vkeys:1"))).unwrap();
        assert!(Vkey::parse(&key).is_err(), "{case}");
    }
    let (good, receipt) = (file("checkpoint.txt"), file("receipt-1.tlog-proof"));
    for case in bad("checkpoints") {
        let note = String::from_utf8(spoilt(&case, &good)).unwrap();
        let whole = receipt.replacen(&good, &note, 1);
        assert_eq!(
            refusal(&whole, &example.pinned()),
            case["code"].as_str(),
            "{case}"
        );
    }
}

#[test]
fn malformed_receipts_are_refused() {
    let example = Example::new();
    for case in bad("receipts") {
        let receipt = spoilt(&case, &file("receipt-1.tlog-proof"));
        assert_eq!(
            refusal(&receipt, &example.pinned()),
            case["code"].as_str(),
            "{case}"
        );
    }
}

#[test]
fn other_events_are_told_apart() {
    let keys = Example::new().pinned();
    let given = handed_out(2);
    for case in bad("events") {
        let event = String::from_utf8(spoilt(&case, &file("event-2.json"))).unwrap();
        let got = receipts::verify(
            &file("receipt-2.tlog-proof"),
            &keys,
            Some(&event_check(&event, &given)),
        );
        let problems = got
            .problems
            .iter()
            .map(|p| json!([p.code.as_str(), p.place]));
        assert_eq!(Value::Array(problems.collect()), case["problems"], "{case}");
    }
}

#[test]
fn spoilt_reports_are_refused() {
    let keys = Example::new().pinned();
    let files = [
        ("report.json", "reports"),
        ("report-custody.json", "reports-custody"),
        ("report-bridge.json", "reports-bridge"),
    ];
    let cases = files.into_iter();
    for (good, case) in cases.flat_map(|(good, name)| bad(name).into_iter().map(move |c| (good, c)))
    {
        let mut file = json_file(good);
        for step in case["patch"].as_array().unwrap() {
            apply(&mut file, step);
        }
        let got = report::verify(file.to_string().as_bytes(), &keys, &[], None);
        assert_eq!(
            got.problems.first().map(|p| p.code.as_str()),
            case["code"].as_str(),
            "{case}"
        );
    }
}

/// One step of RFC 6902: `remove`, `replace` or `add`.
fn apply(file: &mut Value, step: &Value) {
    let path = text(step, "/path");
    let (parent, name) = path.rsplit_once('/').unwrap();
    match (file.pointer_mut(parent).unwrap(), text(step, "/op")) {
        (Value::Array(items), "remove") => {
            items.remove(name.parse().unwrap());
        }
        (Value::Array(items), "add") => items.insert(name.parse().unwrap(), step["value"].clone()),
        (Value::Array(items), "replace") => {
            items[name.parse::<usize>().unwrap()] = step["value"].clone()
        }
        (Value::Object(map), "remove") => {
            assert!(map.remove(name).is_some(), "{step}");
        }
        (Value::Object(map), "add") => assert!(
            map.insert(name.to_owned(), step["value"].clone()).is_none(),
            "{step}"
        ),
        (Value::Object(map), "replace") => assert!(
            map.insert(name.to_owned(), step["value"].clone()).is_some(),
            "{step}"
        ),
        _ => panic!("{step}"),
    }
}

/// What `docs/keyring.md` says of the key files: PKCS#8 version 1, a fixed prefix and the seed.
#[test]
fn key_files_are_plain_pkcs8() {
    let seed: [u8; 32] = bytes(&json_file("inputs.json"), "/seeds/checkpoint");
    let pem =
        signing_key_to_pem(&SigningKey::from_bytes(&seed), Path::new("checkpoint.pem")).unwrap();
    let der = [
        &hex::decode("302e020100300506032b657004220420").unwrap()[..],
        &seed,
    ]
    .concat();
    assert_eq!(
        *pem,
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            b64(&der)
        )
    );
}
