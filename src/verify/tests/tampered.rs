//! A file changed after it was issued, by somebody without keys.

use super::builder::*;
use super::sound::erased;
use super::*;
use crate::ledger::{Hash, b64, decode_b64, disclosure};
use crate::verify::format::{ProvenEntry, ReportFile};
use crate::verify::{Integrity, Sequence, words};

fn refused(built: &Built, code: Code) {
    let got = check(built);
    assert_eq!(first(&got), Some(code), "{:#?}", got.problems);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Broken);
    assert_ne!(got.verdicts.sequence.verdict, Sequence::Complete);
    assert!(words::report(&got).starts_with("refused: "));
}

fn tampered(code: Code, change: impl Fn(&Ledger, &mut ReportFile) + 'static) {
    refused(
        &Build {
            file: Box::new(change),
            ..Build::default()
        }
        .run(),
        code,
    );
}

/// Replaces one exact piece of the file's text.
fn replaced(code: Code, from: &str, to: &str) {
    let built = Build::default().run();
    let text = built.text();
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text, "`{from}` is in the file");
    let got = check_file(&changed, &built);
    assert_eq!(first(&got), Some(code), "{from}: {:#?}", got.problems);
}

fn path(entry: &mut ProvenEntry) -> &mut Vec<Hash> {
    match entry {
        ProvenEntry::Payload { path, .. } | ProvenEntry::Other { path, .. } => path,
    }
}

#[test]
fn the_text_of_the_file() {
    replaced(Code::FileForm, "{", "[");
    replaced(
        Code::FileForm,
        "\"disclosures\":",
        "\"disclosures\":[],\"disclosures\":",
    );
    replaced(
        Code::FileForm,
        "\"disclosures\":",
        "\"extra\":1,\"disclosures\":",
    );
    replaced(
        Code::FileForm,
        "\"evidence\":{",
        "\"evidence\":{\"consistency\":[],",
    );
    replaced(
        Code::FileForm,
        "\"evidence\":{",
        "\"evidence\":{\"earlier\":[],",
    );
    replaced(Code::FileForm, "\"seq\":1}", "\"seq\":1,\"leaf\":\"\"}");
    replaced(Code::FileForm, "\"seq\":1}", "\"seq\":null}");
    replaced(Code::FileForm, "\"keyid\":", "\"cert\":\"\",\"keyid\":");
    let built = Build::default().run();
    assert_eq!(first(&check_file("", &built)), Some(Code::FileForm));
    assert_eq!(
        first(&check_file(&"[".repeat(10_000), &built)),
        Some(Code::FileForm)
    );
}

#[test]
fn the_envelope() {
    tampered(Code::EnvelopeSignatures, |_, f| {
        f.envelope.signatures.clear()
    });
    tampered(Code::EnvelopeSignatures, |_, f| {
        f.envelope.signatures = vec![f.envelope.signatures[0].clone(); 2]
    });
    tampered(Code::EnvelopeSignatures, |_, f| {
        f.envelope.signatures = vec![f.envelope.signatures[0].clone(); 17]
    });
    tampered(Code::EnvelopeKeyid, |_, f| {
        f.envelope.signatures[0].keyid.push('x')
    });
    tampered(Code::EnvelopeForm, |_, f| {
        f.envelope.payload_type = "application/json".into()
    });
    tampered(Code::EnvelopeForm, |_, f| f.envelope.payload.push('='));
    tampered(Code::EnvelopeSignature, |_, f| {
        let mut sig = decode_b64(&f.envelope.signatures[0].sig).unwrap();
        sig[7] ^= 1;
        f.envelope.signatures[0].sig = b64(&sig);
    });
    tampered(Code::EnvelopeSignature, |_, f| {
        f.envelope.signatures[0].sig = b64(&[0; 64])
    });
    for (from, to) in [
        ("\"bad\"", "\"good\""),
        ("complaint 17", "complaint 18"),
        ("2026-01-02T03:04:25", "2026-01-02T03:04:26"),
    ] {
        tampered(Code::EnvelopeSignature, move |_, f| {
            let payload = String::from_utf8(decode_b64(&f.envelope.payload).unwrap()).unwrap();
            assert!(payload.contains(from));
            f.envelope.payload = b64(payload.replacen(from, to, 1).as_bytes());
        });
    }
}

#[test]
fn the_checkpoint() {
    tampered(Code::CheckpointForm, |_, f| f.evidence.checkpoint.clear());
    tampered(Code::CheckpointForm, |_, f| {
        f.evidence.checkpoint = "x".repeat(1_100_000)
    });
    tampered(Code::CheckpointForm, |_, f| {
        let line = f.evidence.checkpoint.lines().last().unwrap().to_owned();
        f.evidence
            .checkpoint
            .push_str(&format!("{line}\n").repeat(120));
    });
    tampered(Code::CheckpointSignature, |_, f| {
        f.evidence.checkpoint = f.evidence.checkpoint.replacen("\n12\n", "\n13\n", 1)
    });
    tampered(Code::CheckpointOrigin, |_, f| {
        f.evidence.checkpoint =
            f.evidence
                .checkpoint
                .replacen("ledger.example/a", "ledger.example/b", 1)
    });
    tampered(Code::CheckpointKey, |l, f| {
        f.evidence.checkpoint = l.checkpoint(12).sign(&signer(ORIGIN, 77))
    });
    tampered(Code::CheckpointKey, |l, f| {
        f.evidence.checkpoint = l.checkpoint(12).sign(&report_signer())
    });
    tampered(Code::EvidenceInclusion, |l, f| {
        f.evidence.checkpoint = l.checkpoint(11).sign(&checkpoint_signer())
    });
    let mut built = Build::default().run();
    built.keys = vec![signer("ledger.example/b", 1).vkey().clone()];
    refused(&built, Code::LedgerForeign);
    built.keys.clear();
    refused(&built, Code::LedgerForeign);
}

#[test]
fn the_proofs() {
    tampered(Code::EvidenceInclusion, |_, f| {
        path(&mut f.evidence.entries[2])[1].0[5] ^= 1
    });
    tampered(Code::EvidenceInclusion, |_, f| {
        path(&mut f.evidence.entries[2]).swap(0, 1)
    });
    tampered(Code::EvidenceInclusion, |_, f| {
        path(&mut f.evidence.entries[2]).pop();
    });
    tampered(Code::EvidenceInclusion, |_, f| {
        path(&mut f.evidence.entries[2]).push(Hash::ZERO)
    });
    tampered(Code::EvidenceAbsent, |_, f| {
        f.evidence.entries.remove(3);
    });
    tampered(Code::EvidenceOrder, |_, f| f.evidence.entries.swap(2, 3));
    tampered(Code::EvidenceOrder, |_, f| {
        let twice = f.evidence.entries[3].clone();
        f.evidence.entries.insert(3, twice);
    });
    tampered(Code::EvidenceOrder, |l, f| {
        f.evidence.entries.insert(
            2,
            ProvenEntry::Payload {
                seq: 2,
                path: l.path(2),
            },
        )
    });
    tampered(Code::EvidenceOrder, |l, f| {
        f.evidence.entries[1] = ProvenEntry::Other {
            leaf: l.leaves[1].clone(),
            path: l.path(1),
        }
    });
    tampered(Code::EvidenceUnneeded, |l, f| {
        f.evidence.entries.insert(
            2,
            ProvenEntry::Other {
                leaf: l.leaves[2].clone(),
                path: l.path(2),
            },
        )
    });
    tampered(Code::IssuedAbsent, |_, f| {
        f.evidence.entries.pop();
    });
    tampered(Code::GenesisAbsent, |_, f| {
        f.evidence.entries.remove(0);
    });
    tampered(Code::EvidenceInclusion, |_, f| {
        let Some(ProvenEntry::Other { leaf, .. }) = f.evidence.entries.last_mut() else {
            panic!("the report's own entry")
        };
        *leaf = leaf.replacen("\"case_seq\":6", "\"case_seq\":7", 1);
    });
    tampered(Code::EvidenceConsistency, |l, f| {
        f.evidence.consistency = vec![l.consistency(5)];
        f.evidence.consistency[0].path[0].0[0] ^= 1;
    });
    tampered(Code::EvidenceConsistency, |l, f| {
        f.evidence.consistency = vec![l.consistency(5)];
        f.evidence.consistency[0].root.0[0] ^= 1;
    });
    tampered(Code::EvidenceConsistency, |l, f| {
        f.evidence.consistency = vec![l.consistency(5), l.consistency(4)]
    });
}

fn text_of(d: &str) -> String {
    String::from_utf8(crate::ledger::decode_b64url(d).unwrap()).unwrap()
}

#[test]
fn the_disclosures() {
    tampered(Code::ContentMissing, |_, f| {
        f.disclosures.remove(0);
    });
    tampered(Code::ContentMissing, |_, f| f.disclosures.clear());
    tampered(Code::ContentMissing, |_, f| {
        let element = f
            .disclosures
            .iter()
            .position(|d| text_of(d).contains("no reply"))
            .unwrap();
        f.disclosures.remove(element);
    });
    tampered(Code::DisclosureDoubled, |_, f| {
        f.disclosures.push(f.disclosures[0].clone())
    });
    tampered(Code::DisclosureUnreferenced, |_, f| {
        f.disclosures.push(disclosure::encode(
            r#"["AAAAAAAAAAAAAAAAAAAAAQ","/data/forged","x"]"#,
        ))
    });
    tampered(Code::DisclosureUnreferenced, |l, f| {
        f.disclosures.push(l.disclosures[2][0].clone())
    });
    tampered(Code::DisclosureUnreferenced, |_, f| {
        let at = f
            .disclosures
            .iter()
            .position(|d| text_of(d).contains("\"denied\""))
            .unwrap();
        f.disclosures[at] =
            disclosure::encode(&text_of(&f.disclosures[at]).replace("denied", "allowed"));
    });
    tampered(Code::DisclosureForm, |_, f| f.disclosures[0].push('='));
    tampered(Code::DisclosureForm, |_, f| {
        f.disclosures[0] =
            disclosure::encode(&text_of(&f.disclosures[0]).replacen("\",\"", "\", \"", 1))
    });
    let withheld = |change: fn(&Ledger, &mut ReportFile)| {
        Build {
            withhold: vec!["/data/result"],
            file: Box::new(change),
            ..Build::default()
        }
        .run()
    };
    refused(
        &withheld(|l, f| {
            let shown = l.disclosures[3]
                .iter()
                .find(|d| text_of(d).contains("\"denied\""))
                .unwrap();
            f.disclosures.push(shown.clone());
        }),
        Code::WithheldShown,
    );
}

#[test]
fn the_erasures() {
    let sound = erased().run();
    let mut without = Build::default().run();
    without.file.disclosures = sound.file.disclosures.clone();
    refused(&without, Code::ContentMissing);
    let mut unneeded = erased().run();
    unneeded.file.disclosures = Build::default().run().file.disclosures;
    refused(&unneeded, Code::EvidenceUnneeded);
    let mut more = erased().run();
    more.file.disclosures.remove(0);
    refused(&more, Code::ContentMissing);
}

#[test]
fn the_catalogues() {
    tampered(Code::CatalogueDigest, |_, f| {
        let text = f.catalogues.get_mut("en").unwrap();
        *text = text.replace("refused", "granted");
    });
    tampered(Code::CatalogueSet, |_, f| {
        f.catalogues.insert("de".into(), catalogue());
    });
    tampered(Code::CatalogueSet, |_, f| f.catalogues.clear());
}
