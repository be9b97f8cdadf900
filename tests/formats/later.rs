//! What comes later in the example's ledger: recorded reads, a second report that lists them, a new checkpoint key.

use whereas::verify::custody::ACCESSES;
use whereas::verify::format::{Bridge, BridgesFile, CustodyEntry};

use super::*;

/// The second report's own entry, and the sizes of the trees that the two files on it lead to.
const SECOND: usize = 5;
const SIZES: [u64; 2] = [6, 8];
/// The change of the checkpoint key.
const ROTATED: usize = 6;
/// Entries of the second report's payload, and the one that it lists as a read.
const PAYLOAD: [u64; 3] = [1, 2, 3];
const READ: usize = 4;

impl Example {
    fn next_key(&self) -> NoteSigner {
        signer(&self.origin, bytes(&self.inputs, "/seeds/next_checkpoint"))
    }

    /// Entries 4 to 7, and the files that tell of them.
    pub(super) fn later(&mut self) {
        self.read(READ);
        let statement = self.second_statement();
        let payload = statement.encode().unwrap();
        let envelope = Envelope::sign(IN_TOTO, &payload, &self.report_key);
        let fact = json!({
            "report": text(&self.inputs, "/second_report/id"), "payload": sha256(&[&payload]).to_hex(),
        });
        self.own(SECOND, "report.issued", fact, true);
        let shown = self.shown(&statement);
        let note = self.checkpoint(SIZES[0]).sign(&self.checkpoint_key);
        let file = self.second_file(&envelope, &shown, SIZES[0], note, Vec::new());
        self.put("report-custody.json", file.encode().unwrap());

        let (old, new) = (self.checkpoint_key.vkey(), self.next_key());
        let fact = json!({
            "purpose": "checkpoint", "reason": "scheduled",
            "old": old.to_string(), "new": new.vkey().to_string(),
        });
        self.own(ROTATED, "key.rotated", fact, false);
        self.read(ROTATED + 1);
        let (at, size) = (ROTATED as u64, SIZES[1]);
        let both = [
            signer(&self.origin, bytes(&self.inputs, "/seeds/checkpoint")),
            self.next_key(),
        ];
        let bridge = Bridge {
            leaf: self.leaves[ROTATED].clone(),
            path: self.path(at, at + 1),
            checkpoint: self.checkpoint(at + 1).sign_all(&both),
            consistency: consistency(&self.nodes, at + 1, size).unwrap(),
        };
        let note = self.checkpoint(size).sign(&new);
        let file = self.second_file(&envelope, &shown, size, note.clone(), vec![bridge.clone()]);
        self.put("report-bridge.json", file.encode().unwrap());
        let bridges = BridgesFile {
            checkpoint: note,
            bridges: vec![bridge],
        };
        self.put(
            "bridges.json",
            pretty(&serde_json::to_value(bridges).unwrap()),
        );
        let leaves: String = self.leaves[READ..]
            .iter()
            .map(|l| format!("{l}\n"))
            .collect();
        self.put("leaves-later.txt", leaves);
        let hex = |path: &[Hash]| path.iter().map(Hash::to_hex).collect::<Vec<_>>();
        let value = json!({
            "leaf_hashes": hex(&self.hashes[READ..]),
            "root_7": self.roots[&7].to_hex(), "root_8": self.roots[&8].to_hex(),
            "inclusion_6_7": hex(&self.path(6, 7)),
            "consistency_7_8": hex(&consistency(&self.nodes, 7, 8).unwrap()),
        });
        self.put("tree-later.json", pretty(&value));
        let reads = self.disclosures[READ].texts.iter().map(|t| {
            json!({
                "text": t, "disclosure": disclosure::encode(t),
                "digest": disclosure::digest_of_text(t).to_b64url(),
            })
        });
        let reads = Value::Array(reads.collect());
        self.put("reads.json", pretty(&reads));
    }

    /// An entry that records reads.
    fn read(&mut self, entry: usize) {
        let (source, id) = (self.origin.clone(), self.input(entry, "id").to_owned());
        let eid = self.eid(entry, &source, &id);
        let value = self.inputs["entries"][entry]["accesses"].clone();
        let mut next = self.salts(entry).into_iter();
        let disclosures = disclosure::disclose([(ACCESSES, &value)], || next.next().unwrap());
        assert_eq!(next.next(), None, "a salt is left over");
        let mut leaf = self.leaf(entry, "record.accessed", eid, "/service", false);
        leaf.content = disclosures.commitment();
        self.append(&leaf, disclosures);
    }

    /// As the first, on one entry more, with the reads in between.
    fn second_statement(&self) -> Statement {
        let id = |at: &str| Id16(bytes(&self.inputs, at));
        let mut statement = self.statement();
        statement.subject[0] = StatementSubject {
            name: format!("{}/entries/3", self.origin),
            digest: Sha256Digest {
                sha256: self.hashes[3],
            },
        };
        let p = &mut statement.predicate;
        p.report = id("/second_report/id");
        let issued = text(&self.inputs, "/second_report/issued");
        p.issued = Timestamp::parse_canonical(issued).unwrap();
        p.supersedes = Some(id("/report/id"));
        p.entries.push(PayloadEntry {
            leaf: self.leaves[3].clone(),
            digests: Vec::new(),
        });
        p.window.last = 3;
        p.custody.push(CustodyEntry {
            leaf: self.leaves[READ].clone(),
            digests: self.disclosures[READ].top.clone(),
            accesses: vec![self.first_access(), self.digest(READ, "\"events\"")],
        });
        statement
    }

    /// That of the report's case, by `case.why`.
    fn first_access(&self) -> Hash {
        let case = text(&self.inputs, "/case");
        self.digest(READ, &format!("\"case\":\"{case}\",\"content\""))
    }

    fn shown(&self, statement: &Statement) -> Vec<String> {
        let p = &statement.predicate;
        let withheld = |d: &Hash| p.withheld.iter().any(|w| w.digest == *d);
        let of_events = self.disclosures[..READ].iter().flat_map(|d| &d.texts);
        let own = format!("{{\"case\":\"{}\"}}]", text(&self.inputs, "/case"));
        let of_reads = self.disclosures[READ].texts.iter().filter(|text| {
            let digest = disclosure::digest_of_text(text);
            let read = &p.custody[0];
            read.digests.contains(&digest)
                || read.accesses.contains(&digest)
                || text.ends_with(&own)
        });
        of_events
            .filter(|text| !withheld(&disclosure::digest_of_text(text)))
            .chain(of_reads)
            .map(|text| disclosure::encode(text))
            .collect()
    }

    fn second_file(
        &self,
        envelope: &Envelope,
        shown: &[String],
        size: u64,
        checkpoint: String,
        bridges: Vec<Bridge>,
    ) -> ReportFile {
        let mut others = vec![0, SECOND as u64];
        others.extend(bridges.iter().map(|_| ROTATED as u64));
        let proofs = (0..size).filter_map(|seq| {
            let path = self.path(seq, size);
            if PAYLOAD.contains(&seq) || seq == READ as u64 {
                return Some(ProvenEntry::Payload { seq, path });
            }
            let leaf = self.leaves[usize::try_from(seq).unwrap()].clone();
            others
                .contains(&seq)
                .then_some(ProvenEntry::Other { leaf, path })
        });
        ReportFile {
            envelope: envelope.clone(),
            disclosures: shown.to_vec(),
            evidence: Evidence {
                checkpoint,
                entries: proofs.collect(),
                consistency: Vec::new(),
                bridges,
            },
            catalogues: BTreeMap::from([("en".to_owned(), file("catalogue-en.json"))]),
        }
    }
}

#[test]
fn the_second_report_holds_before_and_after_the_change_of_keys() {
    let example = Example::new();
    let (old, new) = (example.pinned(), vec![example.next_key().vkey().clone()]);
    for (name, size) in [("report-custody", 6), ("report-bridge", 8)] {
        let bytes = file(&format!("{name}.json")).into_bytes();
        let got = report::open(&bytes, &old, &[], None);
        assert_eq!(got.check.problems, []);
        let v = &got.check.verdicts;
        assert_eq!(
            (v.integrity.verdict, v.sequence.verdict),
            (Integrity::Intact, Sequence::Complete)
        );
        let content = &got.check.content;
        assert_eq!((content.shown, content.withheld), (27, 2));
        assert_eq!(got.check.checkpoint_size, Some(size));
        let custody = got.check.custody.unwrap();
        assert_eq!((custody.accesses, custody.entries), (2, 1));
        let cases = &got.custody[1].access.as_ref().unwrap()["cases"];
        assert_eq!(cases[1]["case"], example.inputs["case"]);
        let other = text(&example.inputs, "/other_case");
        assert!(got.statement.is_some());
        assert!(!format!("{:?}", got.custody).contains(other));
    }
    // Whoever pinned the new key needs no bridge; the file of bridges leads from the old one to it.
    let bytes = file("report-bridge.json").into_bytes();
    assert_eq!(report::verify(&bytes, &new, &[], None).problems, []);
    let before = report::verify(file("report-custody.json").as_bytes(), &new, &[], None);
    assert_eq!(
        before.problems.first().map(|p| p.code.as_str()),
        Some("checkpoint.key")
    );
    let bridges = BridgesFile::decode(file("bridges.json").as_bytes()).unwrap();
    let trust = whereas::verify::Trust {
        keys: &old,
        bridges: Some(&bridges),
        ..Default::default()
    };
    let receipt = Receipt {
        leaf: example.leaves[7].clone().into_bytes(),
        index: 7,
        path: example.path(7, 8),
        checkpoint: bridges.checkpoint.clone(),
    };
    let crossed = receipts::verify_by(&receipt.encode(), &trust, None);
    assert_eq!(crossed.problems, []);
    assert!(receipts::verify(&receipt.encode(), &old, None).refused());
}
