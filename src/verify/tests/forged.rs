//! A ledger or a report made wrong by somebody who holds all its keys, so that every hash and signature is good.

use serde_json::{Value, json};

use super::builder::*;
use super::sound::candidate;
use super::*;
use crate::judge::{Arg, DatumRef, Subject};
use crate::ledger::note::{Vkey, VkeyError};
use crate::ledger::{Hash, Id16, Leaf, disclosure, sha256};
use crate::verify::format::{
    CatalogueDigest, PayloadEntry, ProvenEntry, ReportFile, Statement, Withheld,
};
use crate::verify::{Integrity, Sequence, Touches};

fn refused(build: Build, code: Code) {
    let got = check(&build.run());
    assert_eq!(first(&got), Some(code), "{:#?}", got.problems);
    match code.touches() {
        Touches::Sequence => {
            assert_eq!(got.verdicts.integrity.verdict, Integrity::Intact);
            assert_eq!(got.verdicts.sequence.verdict, Sequence::Broken);
        }
        _ => assert_eq!(got.verdicts.integrity.verdict, Integrity::Broken),
    }
}

fn leaf(code: Code, change: impl Fn(&Ledger, &mut Leaf) + 'static) {
    refused(
        Build {
            leaf: Box::new(change),
            ..Build::default()
        },
        code,
    );
}

/// Changes the text of entry 3 before it is hashed.
fn leaf_text(code: Code, from: &'static str, to: &'static str) {
    let change = move |seq, text: String| {
        assert!(seq != 3 || text.contains(from), "{from}");
        if seq == 3 {
            text.replacen(from, to, 1)
        } else {
            text
        }
    };
    refused(
        Build {
            leaf_text: Box::new(change),
            ..Build::default()
        },
        code,
    );
}

fn statement(code: Code, change: impl Fn(&Ledger, &mut Statement) + 'static) {
    refused(
        Build {
            statement: Box::new(change),
            ..Build::default()
        },
        code,
    );
}

fn payload(code: Code, from: &'static str, to: &'static str) {
    let change = move |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    };
    refused(
        Build {
            payload: Box::new(change),
            ..Build::default()
        },
        code,
    );
}

#[test]
fn leaves_that_no_sound_ledger_writes() {
    leaf_text(Code::LeafUnknown, "\"v\":1}", "\"v\":1,\"w\":1}");
    leaf_text(Code::LeafForm, "\"v\":1}", "\"v\":2}");
    leaf_text(Code::LeafForm, "\"v\":1}", "\"v\":1,\"v\":1}");
    leaf_text(Code::LeafNotCanonical, "\"v\":1}", "\"v\": 1}");
    leaf_text(Code::LeafNotCanonical, "\"v\":1}", "\"v\":1.0}");
    leaf_text(
        Code::LeafForm,
        "\"trace\":\"7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a\",",
        "",
    );
    leaf_text(Code::LeafForm, "\"case_seq\":1,", "");
    leaf(Code::LeafOrigin, |_, l| {
        if l.seq == 4 {
            l.ledger = "ledger.example/b".into();
        }
    });
    leaf(Code::LeafFact, |_, l| {
        if l.seq == 4 {
            l.fact = json!({"k": 1}).as_object().cloned();
        }
    });
    leaf(Code::LeafPrev, |_, l| {
        if l.seq == 4 {
            l.prev = Hash::leaf(b"another");
        }
    });
    leaf(Code::LeafPrev, |_, l| {
        if l.seq == 0 {
            l.prev = Hash::leaf(b"something before the beginning");
        }
    });
    leaf(Code::LeafRecorded, |_, l| {
        if l.seq == 6 {
            l.recorded = Ledger::time(3);
        }
    });
    leaf(Code::LeafEid, |_, l| {
        if l.seq == 6 {
            l.eid = sha256(&[b"eid", &3_u64.to_be_bytes()]);
        }
    });
    let elsewhere = |_: &Ledger, l: &mut Leaf| {
        if l.seq == 10 {
            l.seq = 100;
        }
    };
    leaf(Code::EvidenceOrder, elsewhere);
    let follow = |_: &Ledger, f: &mut ReportFile| {
        f.evidence.entries.swap(7, 8);
        if let Some(ProvenEntry::Payload { seq, .. }) = f.evidence.entries.last_mut() {
            *seq = 100;
        }
    };
    refused(
        Build {
            leaf: Box::new(elsewhere),
            file: Box::new(follow),
            ..Build::default()
        },
        Code::EvidenceInclusion,
    );
    leaf(Code::ContentCommitment, |_, l| {
        if l.seq == 6 {
            l.content = Some(Hash::leaf(b"other content"));
        }
    });
    leaf(Code::ContentCommitment, |_, l| {
        if l.seq == 6 {
            l.content = None;
        }
    });
    leaf(Code::ContentTime, |_, l| {
        if l.seq == 1 {
            l.occurred = Ledger::time(1);
        }
    });
}

#[test]
fn keys_and_the_reports_own_entry() {
    let report_key = || signer("ledger.example/a/reports", 9);
    refused(
        Build {
            report_key: report_key(),
            ..Build::default()
        },
        Code::EnvelopeSignature,
    );
    refused(
        Build {
            report_key: checkpoint_signer(),
            ..Build::default()
        },
        Code::EnvelopeSignature,
    );
    refused(
        Build {
            checkpoint_key: signer(ORIGIN, 9),
            ..Build::default()
        },
        Code::CheckpointKey,
    );
    refused(
        Build {
            issue: false,
            ..Build::default()
        },
        Code::IssuedAbsent,
    );
    let fact = |name: &'static str, value: Value| Build {
        issued: Box::new(move |l| l.fact.as_mut().unwrap()[name] = value.clone()),
        ..Build::default()
    };
    refused(fact("payload", json!("00".repeat(32))), Code::IssuedPayload);
    refused(fact("payload", json!(1)), Code::IssuedPayload);
    refused(fact("report", json!("00".repeat(16))), Code::IssuedReport);
    let with_genesis = |fact: Fact| {
        let mut events = events();
        events[0].fact = Some(fact);
        Build {
            events,
            ..Build::default()
        }
    };
    refused(with_genesis(|_| json!({"spec": 1})), Code::GenesisForm);
    refused(
        with_genesis(|l| set(genesis(l), "spec", json!(2))),
        Code::GenesisForm,
    );
    refused(
        with_genesis(|l| set(genesis(l), "report_key", json!(weak_key()))),
        Code::GenesisForm,
    );
    refused(
        with_genesis(|l| {
            set(
                genesis(l),
                "checkpoint_key",
                json!(signer(ORIGIN, 5).vkey().to_string()),
            )
        }),
        Code::KeyCheckpoint,
    );
    let named = |member: &'static str, name: &'static str, seed: u8| {
        let mut events = events();
        events[0].fact = Some(genesis);
        Build {
            events,
            leaf: Box::new(move |_, leaf| {
                if let (0, Some(fact)) = (leaf.seq, &mut leaf.fact) {
                    let key = signer(name, seed).vkey().to_string();
                    fact.insert(member.into(), key.into());
                }
            }),
            ..Build::default()
        }
    };
    for name in ["ledger.example/a", "ledger.example/a/report", "reports"] {
        refused(named("report_key", name, 2), Code::GenesisForm);
    }
    refused(named("checkpoint_key", "another", 1), Code::GenesisForm);
    let rotate = |fact: Fact| {
        let mut events = events();
        events.push(service("key.rotated", fact));
        Build {
            events,
            ..Build::default()
        }
    };
    let stranger = |_: &Ledger| json!({"purpose": "report", "old": signer("r", 4).vkey().to_string(), "new": signer("r", 5).vkey().to_string()});
    refused(rotate(stranger), Code::KeyRotation);
    refused(rotate(|_| json!({"purpose": "dinner"})), Code::KeyRotation);
    let misnamed = |_: &Ledger| json!({"purpose": "report", "old": report_signer().vkey().to_string(), "new": signer("r", 5).vkey().to_string()});
    refused(rotate(misnamed), Code::KeyRotation);
    let moved_on = |_: &Ledger| json!({"purpose": "checkpoint", "old": checkpoint_signer().vkey().to_string(), "new": signer(ORIGIN, 5).vkey().to_string()});
    refused(rotate(moved_on), Code::KeyRetired);
}

/// A key of small order, under which anybody can make signatures.
fn weak_key() -> String {
    let mut key = vec![1, 1];
    key.resize(33, 0);
    let id = sha256(&[b"r\n", &key]);
    let text = format!("r+{}+{}", hex::encode(&id.0[..4]), crate::ledger::b64(&key));
    assert_eq!(Vkey::parse(&text), Err(VkeyError::Point));
    text
}

fn set(mut fact: Value, name: &str, value: Value) -> Value {
    fact[name] = value;
    fact
}

#[test]
fn the_chain_of_the_case() {
    let of = |l: &Leaf, case: usize| l.case.is_some_and(|c| c.case == CASES[case]);
    refused(
        Build {
            choose: Box::new(move |l| of(l, 0) && l.seq != 6),
            ..Build::default()
        },
        Code::CaseGap,
    );
    refused(
        Build {
            choose: Box::new(move |l| of(l, 0) && l.seq != 1),
            ..Build::default()
        },
        Code::CaseGap,
    );
    refused(
        Build {
            choose: Box::new(move |l| of(l, 0) && l.seq != 10),
            ..Build::default()
        },
        Code::CaseIssued,
    );
    refused(
        Build {
            choose: Box::new(move |l| of(l, 0) || l.seq == 2),
            ..Build::default()
        },
        Code::CaseForeign,
    );
    refused(
        Build {
            choose: Box::new(move |l| of(l, 0) || l.seq == 5),
            ..Build::default()
        },
        Code::CaseForeign,
    );
    refused(
        Build {
            issued_case: None,
            ..Build::default()
        },
        Code::CaseIssued,
    );
    refused(
        Build {
            issued_case: Some(1),
            ..Build::default()
        },
        Code::CaseIssued,
    );
    leaf(Code::CaseGap, |_, l| {
        if l.seq == 6 {
            l.case.as_mut().unwrap().seq += 1;
        }
    });
    leaf(Code::CaseDoubled, |_, l| {
        if l.seq == 6 {
            l.case.as_mut().unwrap().seq -= 1;
        }
    });
    leaf(Code::CasePrev, |_, l| {
        if l.seq == 6 {
            l.case.as_mut().unwrap().prev = Hash::leaf(b"another");
        }
    });
    leaf(Code::CasePrev, |_, l| {
        if l.seq == 1 {
            l.case.as_mut().unwrap().prev = Hash::leaf(b"another");
        }
    });
    leaf(Code::CaseIssued, |_, l| {
        if l.kind == "report.issued" {
            l.case.as_mut().unwrap().prev = Hash::leaf(b"another");
        }
    });
    let mut other = events();
    let at = other[8]
        .members
        .iter()
        .position(|m| m.0 == "/case_id")
        .unwrap();
    other[8].members[at].1 = json!("C-1");
    refused(
        Build {
            events: other,
            ..Build::default()
        },
        Code::CaseIds,
    );
    let caseless = Build {
        choose: Box::new(move |l| of(l, 0)),
        case: None,
        subject: Subject::Trace(TRACE.to_hex()),
        issued_case: None,
        ..Build::default()
    };
    refused(caseless, Code::CaseForeign);
}

#[test]
fn the_payload() {
    payload(
        Code::PayloadVersion,
        "\"v\":1,\"window\"",
        "\"v\":2,\"window\"",
    );
    payload(
        Code::PayloadVersion,
        "in-toto.io/Statement/v1",
        "in-toto.io/Statement/v2",
    );
    payload(Code::PayloadVersion, "2026:report/v1", "2026:report/v2");
    payload(
        Code::PayloadForm,
        "\"purpose\":",
        "\"aim\":\"\",\"purpose\":",
    );
    payload(
        Code::PayloadForm,
        "\"purpose\":",
        "\"purpose\":\"\",\"purpose\":",
    );
    payload(
        Code::PayloadForm,
        "\"member\":\"recorded\"",
        "\"and\":1,\"member\":\"recorded\"",
    );
    payload(
        Code::PayloadForm,
        "\"purpose\":",
        "\"supersedes\":null,\"purpose\":",
    );
    payload(Code::PayloadForm, "\"withheld\":[]", "\"withheld\":{}");
    payload(
        Code::PayloadForm,
        "\"relation\":\"was_informed_by\"",
        "\"relation\":\"was_invented_by\"",
    );
    statement(Code::PayloadForm, |_, s| s.subject.clear());
    statement(Code::PayloadForm, |_, s| {
        s.subject.push(s.subject[0].clone())
    });
    for id in ["", "C-0", "CACACACACACACACACACACACACACACACA"] {
        statement(Code::PayloadForm, move |_, s| {
            s.predicate.subject = Subject::Case(id.into());
        });
        statement(Code::PayloadForm, move |_, s| {
            s.predicate.subject = Subject::Trace(id.into());
        });
    }
    statement(Code::PayloadValue, |_, s| {
        s.predicate.purpose = "x".repeat(501)
    });
    statement(Code::PayloadValue, |_, s| {
        s.predicate.purpose = "two\nlines".into()
    });
    statement(Code::PayloadValue, |_, s| {
        s.predicate.audience.role = "The Regulator".into()
    });
    statement(Code::PayloadValue, |_, s| s.predicate.entries.clear());
    statement(Code::LedgerForeign, |_, s| {
        s.predicate.ledger = "ledger.example/b".into()
    });
    statement(Code::PayloadSubject, |_, s| {
        s.subject[0].digest.sha256 = Hash::ZERO
    });
    statement(Code::PayloadSubject, |_, s| {
        s.subject[0].name = "ledger.example/a/entries/9".into()
    });
    statement(Code::PayloadSubject, |_, s| s.predicate.window.first = 2);
    statement(Code::PayloadSubject, |_, s| {
        s.predicate.subject = Subject::Case(CASES[1].to_hex())
    });
    statement(Code::PayloadSubject, |_, s| {
        s.predicate.subject = Subject::Trace("00".repeat(16))
    });
    statement(Code::LeafOrder, |_, s| s.predicate.entries.swap(1, 2));
    statement(Code::LeafOrder, |_, s| {
        s.predicate
            .entries
            .insert(1, s.predicate.entries[1].clone())
    });
    statement(Code::ContentCommitment, |_, s| {
        s.predicate.entries[1].digests.pop();
    });
    statement(Code::ContentCommitment, |_, s| {
        s.predicate.entries[1].digests[0] = Hash::ZERO
    });
    statement(Code::ProfileDigest, |_, s| {
        s.predicate.profile.json["rules"] = json!([])
    });
    statement(Code::IssuedReport, |_, s| {
        s.predicate.report = Id16([0; 16])
    });
}

#[test]
fn the_judgement() {
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.timeline[0].seq = 2
    });
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.findings[0].sentence.entries.push(99)
    });
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.graph[0].to = 5
    });
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.graph[0].by.digest = Hash::ZERO.to_b64url()
    });
    let args = |change: fn() -> Arg| {
        move |_: &Ledger, s: &mut Statement| {
            s.predicate.judgement.timeline[1]
                .sentence
                .args
                .insert("x".into(), change());
        }
    };
    statement(
        Code::JudgementReference,
        args(|| {
            Arg::Datum(DatumRef {
                digest: "x".into(),
                at: String::new(),
            })
        }),
    );
    statement(
        Code::JudgementReference,
        args(|| Arg::Member {
            seq: 2,
            member: "seq".into(),
        }),
    );
    statement(
        Code::JudgementReference,
        args(|| Arg::Member {
            seq: 3,
            member: "secret".into(),
        }),
    );
    statement(
        Code::JudgementReference,
        args(|| Arg::List {
            list: vec![Arg::Member {
                seq: 77,
                member: "seq".into(),
            }],
        }),
    );
    statement(Code::JudgementReference, |l, s| {
        let at = "/nowhere".to_owned();
        s.predicate.subject = Subject::Recommendation(DatumRef {
            digest: l.digests[6][0].to_b64url(),
            at,
        });
    });
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.findings[0].sentence.template = "timeline.other".into()
    });
    statement(Code::JudgementReference, |_, s| {
        s.predicate.judgement.findings[0].code = "authorization.absent".into()
    });
    statement(Code::CatalogueTemplate, |_, s| {
        s.predicate.judgement.answer[0].sentences[0].template = "summary.none".into()
    });
    statement(
        Code::CatalogueTemplate,
        args(|| Arg::Term {
            term: "unheard".into(),
        }),
    );
    let catalogue = |text: &'static str| Build {
        statement: Box::new(move |_, s| {
            s.predicate
                .catalogues
                .insert("en".into(), CatalogueDigest(sha256(&[text.as_bytes()])));
        }),
        file: Box::new(move |_, f| {
            f.catalogues.insert("en".into(), text.into());
        }),
        ..Build::default()
    };
    refused(catalogue("{\"a\":{}}"), Code::CatalogueForm);
    refused(catalogue("{\"a\":\"\",\"a\":\"\"}"), Code::CatalogueForm);
    statement(Code::CatalogueSet, |_, s| s.predicate.catalogues.clear());
}

#[test]
fn the_manifest() {
    let withheld = |change: fn(&mut Statement)| Build {
        withhold: vec!["/data/result", "/actor/name"],
        statement: Box::new(move |_, s| change(s)),
        ..Build::default()
    };
    refused(
        withheld(|s| s.predicate.withheld.push(s.predicate.withheld[0].clone())),
        Code::WithheldDoubled,
    );
    refused(
        withheld(|s| s.predicate.withheld[0].pointer = Some("/id".into())),
        Code::WithheldPointer,
    );
    for nowhere in ["/data/result/x", "/foo", "/", "/type", "/ext", "/ext/id"] {
        let pointed = Build {
            withhold: vec!["/data/result", "/actor/name"],
            statement: Box::new(move |_, s| {
                s.predicate.withheld[0].pointer = Some(nowhere.to_owned());
            }),
            ..Build::default()
        };
        refused(pointed, Code::WithheldPointer);
    }
    refused(
        withheld(|s| s.predicate.withheld[0].pointer = s.predicate.withheld[1].pointer.clone()),
        Code::WithheldPointer,
    );
    refused(
        withheld(|s| s.predicate.withheld[0].ground.clear()),
        Code::PayloadValue,
    );
    statement(Code::WithheldUnreferenced, |_, s| {
        let line = Withheld {
            digest: Hash::ZERO,
            pointer: None,
            ground: "g".into(),
            authority: "a".into(),
        };
        s.predicate.withheld.push(line);
    });
}

#[test]
fn content_that_no_sound_ledger_writes() {
    let member = |at: &'static str, value: Value| {
        let mut events = events();
        events[6].members.push((at, value));
        Build {
            events,
            ..Build::default()
        }
    };
    refused(
        member("/type", json!("recommendation.drafted")),
        Code::DisclosurePointer,
    );
    // Whole objects are disclosed only when there is nothing in them, and then nothing else of them.
    for whole in [
        json!({"draft": "x"}),
        json!("x"),
        json!([]),
        json!({}),
        Value::Null,
    ] {
        refused(member("/data", whole), Code::DisclosurePointer);
    }
    refused(
        member("/subject", json!({"id": "p"})),
        Code::DisclosurePointer,
    );
    refused(member("/ext", json!({})), Code::DisclosurePointer);
    refused(
        member("/data/draft/deep", json!("x")),
        Code::DisclosurePointer,
    );
    for nowhere in ["/foo", "/", "/ext/id", "/ext/type", "/ext/data", "/ext/a/b"] {
        refused(member(nowhere, json!("x")), Code::DisclosurePointer);
    }
    refused(member("/id", json!("another")), Code::ContentDoubledPointer);
    refused(member("/data/x", json!({"_sd": []})), Code::DisclosureForm);
    // What looks like a placeholder and is none refers to nothing: not even to what is referred to already.
    let digest = Build::default().run().ledger.digests[3][0].to_b64url();
    for odd in [
        json!({"...": "x"}),
        json!({"...": digest}),
        json!([{"...": digest}, "x"]),
        json!({"in": {"...": digest}}),
    ] {
        refused(member("/data/x", odd), Code::DisclosureForm);
    }
    // An item that is no placeholder, where a ledger would have made one of it.
    for odd in [
        json!([{"...": digest, "and": 1}]),
        json!([{"...": "not a digest"}]),
    ] {
        refused(member(RAW, json!(odd.to_string())), Code::DisclosureForm);
    }
    let double = |_: &Ledger| json!({"ranges": [[6, 60]]});
    refused(
        Build {
            after: vec![service("content.erased", double)],
            ..Build::default()
        },
        Code::ErasureForm,
    );
    refused(
        Build {
            after: vec![service("content.erased", |_| json!({"digests": ["x"]}))],
            ..Build::default()
        },
        Code::ErasureForm,
    );
    refused(
        Build {
            after: vec![service("content.erased", |_| json!({}))],
            ..Build::default()
        },
        Code::EvidenceUnneeded,
    );
    refused(
        Build {
            after: vec![service("report.issued", |_| json!({}))],
            ..Build::default()
        },
        Code::EvidenceUnneeded,
    );
    refused(
        Build {
            after: vec![service("ledger.created", genesis)],
            ..Build::default()
        },
        Code::EvidenceUnneeded,
    );
}

/// Lets entry 6 commit to nothing but this digest.
fn sixth(digest: fn(&Ledger) -> Hash) -> Build {
    Build {
        leaf: Box::new(move |ledger, l| {
            if l.seq == 6 {
                l.content = disclosure::commitment(&[digest(ledger)]);
            }
        }),
        statement: Box::new(move |ledger, s| {
            s.predicate.entries[3].digests = vec![digest(ledger)];
        }),
        ..Build::default()
    }
}

#[test]
fn one_disclosure_in_two_places() {
    refused(
        sixth(|ledger| ledger.digests[4][0]),
        Code::ContentDoubledDigest,
    );
    refused(sixth(candidate), Code::ContentDoubledDigest);
    let restore = |ledger: &Ledger, f: &mut ReportFile| {
        let element = ledger.disclosures[4]
            .iter()
            .find(|d| disclosure::digest(d) == candidate(ledger));
        f.disclosures.push(element.unwrap().clone());
    };
    let withhold = vec!["/data/candidates"];
    refused(
        Build {
            withhold,
            file: Box::new(restore),
            ..sixth(candidate)
        },
        Code::DisclosureMisplaced,
    );
}

/// An entry whose text a forger has settled before the report is issued, and appends after it.
fn settled() -> String {
    let (mut leaf, _) = Ledger::default().leaf(&Event {
        trace: true,
        members: Vec::new(),
        ..event("x.later", None, &[])
    });
    leaf.seq = 12;
    leaf.encode()
}

#[test]
fn a_report_cannot_tell_of_what_comes_after_it() {
    let build = Build {
        after: vec![event("x.later", None, &[])],
        leaf_text: Box::new(|seq, text| if seq == 12 { settled() } else { text }),
        statement: Box::new(|_, s| {
            s.predicate.entries.push(PayloadEntry {
                leaf: settled(),
                digests: Vec::new(),
            })
        }),
        file: Box::new(|l, f| {
            f.evidence.entries.push(ProvenEntry::Payload {
                seq: 12,
                path: l.path(12),
            })
        }),
        ..Build::default()
    };
    refused(build, Code::IssuedOrder);
}
