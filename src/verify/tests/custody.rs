//! The recorded reads that a report lists, as they should be and not.

use serde_json::{Value, json};

use super::builder::*;
use super::*;
use crate::ledger::{CaseLink, Hash, disclosure};
use crate::verify::format::{CustodyEntry, ReportFile, Statement, Withheld};
use crate::verify::{Basis, Integrity, words};

/// Positions of the two entries that record reads.
const READS: [usize; 2] = [3, 10];

fn read(accesses: Value) -> Event {
    Event {
        kind: "record.accessed",
        case: None,
        trace: false,
        members: vec![("/data/accesses", accesses)],
        fact: None,
    }
}

/// The usual events, and five reads in two entries: three of the case, one of another, one of who knows which.
fn with_reads() -> Vec<Event> {
    let who = |n: u8| format!("{n:02}").repeat(16);
    let [mine, other] = CASES.map(|c| c.to_hex());
    let mut all = events();
    all.insert(
        READS[0],
        read(json!([
            {"principal": who(1), "resource": "case.why", "case": mine, "purpose": "complaint 17\nresult: forged"},
            {"principal": who(2), "resource": "case.why", "case": other},
            {"principal": who(3), "resource": "events", "cases": [{"case": other}, {"case": mine}], "entries": [1, 3]},
        ])),
    );
    let more = json!([
        {"principal": who(4), "resource": "export", "cases": [{"case": other}], "cases_more": 7},
        {"principal": who(5), "resource": "event", "case": other},
    ]);
    all.insert(READS[1], read(more));
    all
}

fn reads() -> Build {
    Build {
        events: with_reads(),
        ..Build::default()
    }
}

fn refused(build: Build, code: Code) {
    let got = check(&build.run());
    assert_eq!(first(&got), Some(code), "{:#?}", got.problems);
    assert_eq!(got.verdicts.integrity.verdict, Integrity::Broken);
}

fn stated(code: Code, change: impl Fn(&Ledger, &mut Statement) + 'static) {
    let statement = Box::new(change);
    refused(
        Build {
            statement,
            ..reads()
        },
        code,
    );
}

fn filed(code: Code, change: impl Fn(&Ledger, &mut ReportFile) + 'static) {
    let file = Box::new(change);
    refused(Build { file, ..reads() }, code);
}

/// The disclosure of the nth access of the first entry.
fn access(ledger: &Ledger, n: usize) -> &String {
    element(ledger, |value| {
        value["principal"] == format!("{:02}", n + 1).repeat(16)
    })
}

/// The disclosure of an element of the first entry.
fn element(ledger: &Ledger, is: impl Fn(&Value) -> bool) -> &String {
    let mut elements = ledger.disclosures[READS[0]].iter();
    let is = |d: &&String| disclosure::decode(d).is_ok_and(|d| d.pointer.is_none() && is(&d.value));
    elements.find(is).unwrap()
}

/// That of a case that the third access names.
fn named(ledger: &Ledger, case: usize) -> &String {
    element(ledger, |value| {
        *value == json!({"case": CASES[case].to_hex()})
    })
}

fn member(ledger: &Ledger) -> Hash {
    ledger.digests[READS[0]][0]
}

#[test]
fn the_reads_of_the_case_are_shown_and_no_others() {
    let built = reads().run();
    let got = check(&built);
    assert_eq!(got.problems, []);
    assert_eq!(got.verdicts.elements.basis, Basis::Recomputed);
    let custody = got.custody.unwrap();
    assert_eq!(
        (custody.accesses, custody.entries, custody.left_out),
        (3, 2, 0)
    );
    let c = got.content;
    assert_eq!((c.withheld, c.erased, c.missing), (0, 0, 0));
    assert_eq!(c.shown, built.file.disclosures.len() as u64);
    let text = words::report(&got);
    assert!(text.contains("\ncustody: the report lists 3 recorded reads"));
    let opened = report::open(built.text().as_bytes(), &built.keys, &[], Some(&JUDGE));
    assert_eq!(opened.entries.len(), 7, "reads are no entries of the case");
    let lines = words::reads(&opened.custody);
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("  #3: recorded 2026-01-02T03:04:08.000000Z; principal 0101"));
    assert!(lines.iter().all(|l| !l.contains('\n')), "{lines:?}");
    assert!(lines[2].contains("resource export"));
    let cases = &opened.custody[1].access.as_ref().unwrap()["cases"];
    assert_eq!(cases[1], json!({"case": CASES[0].to_hex()}));
    assert!(disclosure::placeholder(&cases[0]).is_some(), "{cases}");
    let shown = format!("{:?} {:?}", opened.custody, built.file.disclosures);
    assert!(
        !shown.contains(&CASES[1].to_hex()),
        "no other case is named"
    );
    let texts = built.file.disclosures.iter();
    let mut texts = texts.map(|d| disclosure::decode(d).unwrap().value.to_string());
    assert!(!texts.any(|t| t.contains(&CASES[1].to_hex())));
    // Whoever shows nothing of it still says how many.
    let plain = check(&Build::default().run());
    assert!(plain.custody.is_none() && !words::report(&plain).contains("custody"));
}

#[test]
fn reads_are_withheld_erased_and_left_out_in_the_open() {
    let withheld = Build {
        statement: Box::new(|ledger, s| {
            s.predicate.custody_left_out = Some(12);
            s.predicate.withheld.push(Withheld {
                digest: member(ledger),
                pointer: Some("/data/accesses".into()),
                ground: "no content".into(),
                authority: "policy".into(),
            });
        }),
        file: Box::new(|ledger, f| {
            let gone = below(&f.disclosures, &[member(ledger)]);
            f.disclosures.retain(|d| !gone.contains(d));
        }),
        ..reads()
    };
    let built = withheld.run();
    let got = check(&built);
    assert_eq!(got.problems, []);
    assert_eq!(got.content.withheld, 1);
    let custody = got.custody.unwrap();
    assert_eq!((custody.accesses, custody.left_out), (3, 12));
    assert!(words::report(&got).contains("12 more that may record such reads"));
    assert_eq!(got.verdicts.elements.basis, Basis::Recomputed);
    let opened = report::open(built.text().as_bytes(), &built.keys, &[], None);
    assert_eq!(opened.custody[0].access, None);
    assert!(words::reads(&opened.custody)[0].contains("not shown here"));
    let erased = Build {
        after: vec![service("content.erased", |_| json!({"ranges": [[3, 3]]}))],
        file: Box::new(|ledger, f| {
            let gone = below(&f.disclosures, &[member(ledger)]);
            f.disclosures.retain(|d| !gone.contains(d));
        }),
        ..reads()
    };
    let got = check(&erased.run());
    assert_eq!(got.problems, []);
    assert_eq!(got.content.erased, 1);
    // One access alone, erased by its digest.
    let erased = Build {
        after: vec![service(
            "content.erased",
            |l| json!({"digests": [disclosure::digest(access(l, 0)).to_b64url()]}),
        )],
        file: Box::new(|ledger, f| {
            let gone = access(ledger, 0).clone();
            f.disclosures.retain(|d| *d != gone);
        }),
        ..reads()
    };
    let got = check(&erased.run());
    assert_eq!(got.problems, []);
    assert_eq!(got.content.erased, 1);
}

#[test]
fn the_form_of_the_list() {
    stated(Code::PayloadValue, |_, s| {
        s.predicate.custody_left_out = Some(0)
    });
    stated(Code::PayloadValue, |_, s| {
        s.predicate.custody = vec![s.predicate.custody[0].clone(); 1_001];
    });
    stated(Code::LeafOrder, |_, s| s.predicate.custody.reverse());
    stated(Code::LeafOrder, |_, s| {
        s.predicate.custody = vec![s.predicate.custody[0].clone(); 2];
    });
    stated(Code::LeafOrder, |_, s| {
        s.predicate.custody[0].leaf = s.predicate.entries[0].leaf.clone();
    });
    stated(Code::LeafNotCanonical, |_, s| {
        s.predicate.custody[0].leaf.push(' ')
    });
    stated(Code::CustodyForm, |_, s| {
        s.predicate.custody[0].accesses.clear()
    });
    stated(Code::CustodyForm, |_, s| {
        let one = s.predicate.custody[0].accesses[0];
        s.predicate.custody[0].accesses.push(one);
    });
    stated(Code::CustodyForm, |_, s| {
        s.predicate.custody[0].digests.clear()
    });
    stated(Code::CustodyForm, |_, s| {
        s.predicate.custody[0].digests.push(Hash([1; 32]));
    });
    // An entry of another type; a read with a case, a read with a fact.
    stated(Code::CustodyForm, |ledger, s| {
        let other = CustodyEntry {
            leaf: ledger.leaves[6].clone(),
            digests: ledger.digests[6].clone(),
            accesses: vec![Hash([1; 32])],
        };
        s.predicate.custody.insert(1, other);
    });
    for change in [
        (|leaf| {
            leaf.case = Some(CaseLink {
                case: CASES[1],
                seq: 9,
                prev: Hash::ZERO,
            })
        }) as fn(&mut crate::ledger::Leaf),
        |leaf| leaf.fact = json!({}).as_object().cloned(),
    ] {
        let leaf = move |_: &Ledger, leaf: &mut crate::ledger::Leaf| {
            if leaf.seq == READS[0] as u64 {
                change(leaf);
            }
        };
        refused(
            Build {
                leaf: Box::new(leaf),
                ..reads()
            },
            Code::CustodyForm,
        );
    }
    // A list of reads in a report on no case.
    let no_case = Build {
        choose: Box::new(|leaf| leaf.case.is_none() && leaf.trace == Some(TRACE)),
        issued_case: None,
        case: None,
        subject: crate::judge::Subject::Trace(TRACE.to_hex()),
        ..reads()
    };
    refused(no_case, Code::CustodyForm);
}

#[test]
fn a_read_after_the_report_is_none_before_it() {
    let late = || Build {
        after: vec![read(json!([{"case": CASES[0].to_hex()}]))],
        leaf: Box::new(|_, leaf| {
            if leaf.seq == 14 {
                leaf.prev = Hash::ZERO;
            }
        }),
        ..reads()
    };
    let known = late().run().ledger;
    let (leaf, digests) = (known.leaves[14].clone(), known.digests[14].clone());
    let shown = known.disclosures[14].clone();
    let element = shown.iter().map(|d| disclosure::decode(d).unwrap());
    let accesses: Vec<Hash> = element
        .filter(|d| d.pointer.is_none())
        .map(|d| d.digest)
        .collect();
    let statement = move |_: &Ledger, s: &mut Statement| {
        s.predicate.custody.push(CustodyEntry {
            leaf: leaf.clone(),
            digests: digests.clone(),
            accesses: accesses.clone(),
        });
    };
    refused(
        Build {
            statement: Box::new(statement),
            ..late()
        },
        Code::CustodyForm,
    );
}

#[test]
fn what_is_shown_of_a_read() {
    // A read of another case, shown beside the listed ones; and one that is listed.
    filed(Code::CustodyForeign, |ledger, f| {
        f.disclosures.push(access(ledger, 1).clone());
    });
    refused(
        Build {
            list: |_, _| true,
            ..reads()
        },
        Code::CustodyForeign,
    );
    // Another case that a listed read names; and none that says that the read is one of this case.
    filed(Code::CustodyForeign, |ledger, f| {
        f.disclosures.push(named(ledger, 1).clone());
    });
    filed(Code::CustodyForeign, |ledger, f| {
        let gone = named(ledger, 0).clone();
        f.disclosures.retain(|d| *d != gone);
    });
    // Anything else beneath a read of the case.
    let mut deeper = with_reads();
    deeper[READS[0]].members[0].1[0]["also"] = json!([{"note": "x"}]);
    refused(
        Build {
            events: deeper,
            file: Box::new(|ledger, f| {
                let also = element(ledger, |value| *value == json!({"note": "x"}));
                f.disclosures.push(also.clone());
            }),
            ..Build::default()
        },
        Code::CustodyForeign,
    );
    stated(Code::CustodyForm, |_, s| {
        s.predicate.custody[0].accesses.push(Hash([7; 32]));
    });
    stated(Code::ContentCommitment, |_, s| {
        s.predicate.custody[0].digests = vec![Hash([7; 32])];
    });
    filed(Code::ContentMissing, |ledger, f| {
        let gone = access(ledger, 0).clone();
        f.disclosures.retain(|d| *d != gone);
    });
    filed(Code::ContentMissing, |ledger, f| {
        let gone = below(&f.disclosures, &[member(ledger)]);
        f.disclosures.retain(|d| !gone.contains(d));
    });
    filed(Code::DisclosureUnreferenced, |ledger, f| {
        f.disclosures
            .retain(|d| disclosure::digest(d) != member(ledger));
    });
    // The reads at another place, and no list of reads at all.
    for (at, value) in [
        ("/data/readers", json!([{"case": CASES[0].to_hex()}])),
        (
            "/data/accesses",
            json!({"all": [{"case": CASES[0].to_hex()}]}),
        ),
    ] {
        let mut events = with_reads();
        events[READS[0]].members = vec![(at, value)];
        refused(
            Build {
                events,
                ..Build::default()
            },
            Code::CustodyForm,
        );
    }
}

#[test]
fn the_proof_of_a_read() {
    let proof = |f: &mut ReportFile, seq: u64| {
        let entries = &mut f.evidence.entries;
        let is = |e: &crate::verify::format::ProvenEntry| matches!(e, crate::verify::format::ProvenEntry::Payload { seq: s, .. } if *s == seq);
        entries.iter().position(is).unwrap()
    };
    filed(Code::EvidenceAbsent, move |_, f| {
        let at = proof(f, 3);
        f.evidence.entries.remove(at);
    });
    filed(Code::EvidenceOrder, move |ledger, f| {
        let at = proof(f, 3);
        f.evidence.entries[at] = crate::verify::format::ProvenEntry::Other {
            leaf: ledger.leaves[3].clone(),
            path: ledger.path(3),
        };
    });
    filed(Code::EvidenceInclusion, move |_, f| {
        let at = proof(f, 3);
        if let crate::verify::format::ProvenEntry::Payload { path, .. } =
            &mut f.evidence.entries[at]
        {
            path[0] = Hash([1; 32]);
        }
    });
    // Brought along without being listed.
    refused(
        Build {
            list: |_, _| false,
            file: Box::new(|ledger, f| {
                f.evidence.entries.insert(
                    2,
                    crate::verify::format::ProvenEntry::Other {
                        leaf: ledger.leaves[3].clone(),
                        path: ledger.path(3),
                    },
                );
            }),
            ..reads()
        },
        Code::EvidenceUnneeded,
    );
    // The chain holds between a read and its neighbours.
    let unlinked = |_: &Ledger, leaf: &mut crate::ledger::Leaf| {
        if leaf.seq == READS[0] as u64 + 1 {
            leaf.prev = Hash([1; 32]);
        }
    };
    refused(
        Build {
            leaf: Box::new(unlinked),
            ..reads()
        },
        Code::LeafPrev,
    );
}
