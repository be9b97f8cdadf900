//! Reports: frozen, signed, registered; what they show depends on who asked.

use std::time::Duration;

use serde_json::{Value, json};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::verify::{self, Basis, Freshness, Integrity, ReportCheck, Sequence};

use crate::harness::{
    Client, LEDGER, OTHER, Service, at, is_read, printed, proper_case, segment, simple, whereas,
};

fn issue(client: &Client, subject: Value) -> Value {
    let order = json!({"subject": subject, "purpose": "Supervisory review 2026/114"});
    client.post(&at("/reports"), &order).json(201)
}

fn file(client: &Client, issued: &Value) -> String {
    let answer = client.get(issued["href"].as_str().unwrap());
    assert_eq!(answer.header("cache-control"), "private, no-store");
    answer.ok().to_owned()
}

fn check(service: &Service, file: &str) -> ReportCheck {
    let again = crate::corpus::judge_again;
    verify::report::verify(file.as_bytes(), &[service.vkey()], &[], Some(&again))
}

#[track_caller]
fn sound(service: &Service, file: &str) -> ReportCheck {
    let check = check(service, file);
    assert!(!check.refused(), "{:#?}", check.problems);
    assert_eq!(check.verdicts.integrity.verdict, Integrity::Intact);
    check
}

struct Place {
    service: Service,
    producer: Client,
    investigator: Client,
    auditor: Client,
    case: String,
    pseudonym: String,
    events: Vec<Value>,
}

fn place() -> Place {
    let service = Service::new();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let auditor = service.reader("auditor");
    let events = proper_case("-r");
    producer.post(&at("/events"), &json!(events)).json(201);
    let case = events[0]["case_id"].as_str().unwrap().to_owned();
    let why = investigator
        .get(&at(&format!("/cases/{case}/why")))
        .json(200);
    let pseudonym = why["case"].as_str().unwrap().to_owned();
    Place {
        service,
        producer,
        investigator,
        auditor,
        case,
        pseudonym,
        events,
    }
}

#[test]
fn a_report_with_content_is_judged_again_and_one_without_is_quoted() {
    let p = place();
    let with = issue(&p.investigator, json!({"case": p.case}));
    assert_eq!(with["findings"], json!([]));
    assert_eq!(
        with["href"],
        at(&format!("/reports/{}", with["id"].as_str().unwrap()))
    );
    let newest = |issued: &Value| {
        let seq = usize::try_from(issued["seq"].as_u64().unwrap()).unwrap();
        let kinds = p.service.kinds();
        assert_eq!(kinds[seq], "report.issued");
        assert!(kinds[seq + 1..].iter().all(|kind| is_read(kind)));
        assert_eq!(kinds[seq - 1], "record.accessed", "recorded before");
    };
    newest(&with);
    let text = file(&p.investigator, &with);
    let checked = sound(&p.service, &text);
    assert_eq!(checked.verdicts.sequence.verdict, Sequence::Complete);
    assert_eq!(checked.verdicts.elements.basis, Basis::Recomputed);
    assert_eq!(checked.verdicts.controls.basis, Basis::Recomputed);
    assert_eq!((checked.content.withheld, checked.content.missing), (0, 0));
    assert_eq!(checked.entries, p.events.len() as u64);
    let heading = checked.report.unwrap();
    assert_eq!(
        (heading.role.as_str(), heading.case.as_deref()),
        ("investigator", Some(p.pseudonym.as_str()))
    );

    let without = issue(&p.auditor, json!({"case": format!("~{}", p.pseudonym)}));
    newest(&without);
    let text = file(&p.auditor, &without);
    let checked = sound(&p.service, &text);
    assert_eq!(checked.verdicts.elements.basis, Basis::Stated);
    assert_eq!(checked.verdicts.controls.basis, Basis::Stated);
    assert_eq!(checked.verdicts.sequence.verdict, Sequence::Complete);
    assert_eq!((checked.content.shown, checked.content.missing), (0, 0));
    assert!(checked.content.withheld > 100);
    assert_eq!(
        checked.entries,
        p.events.len() as u64 + 1,
        "the first report is part of the case"
    );
    assert!(!text.contains(&p.case));
    // A report with content is for those who may read content; one without is for both.
    p.auditor
        .get(with["href"].as_str().unwrap())
        .problem("not-found");
    file(&p.investigator, &without);
    let elsewhere = with["href"].as_str().unwrap().replace(LEDGER, OTHER);
    p.investigator.get(&elsewhere).problem("not-found");
}

#[test]
fn the_envelope_stays_and_the_proof_leads_to_the_newest_checkpoint() {
    let p = place();
    let issued = issue(&p.investigator, json!({"case": p.case}));
    let first = file(&p.investigator, &issued);
    p.producer
        .post(&at("/events"), &simple("later", &p.case))
        .json(201);
    let second = file(&p.investigator, &issued);
    let (a, b): (Value, Value) = (
        serde_json::from_str(&first).unwrap(),
        serde_json::from_str(&second).unwrap(),
    );
    assert_eq!(a["envelope"], b["envelope"]);
    assert_eq!(a["disclosures"], b["disclosures"]);
    let (a, b) = (sound(&p.service, &first), sound(&p.service, &second));
    assert!(a.checkpoint_size < b.checkpoint_size);
    assert_eq!(
        b.checkpoint_size,
        Some(p.service.size() - 1),
        "the newest but for the entry of this read"
    );
    // The checkpoint that somebody kept when the first was made anchors the second.
    let kept = serde_json::from_str::<Value>(&first).unwrap()["evidence"]["checkpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(kept.starts_with("ledger.example/acme\n"));
}

#[test]
fn whatever_is_changed_in_the_file_is_refused() {
    let p = place();
    let issued = issue(&p.investigator, json!({"case": p.case}));
    let text = file(&p.investigator, &issued);
    let good: Value = serde_json::from_str(&text).unwrap();
    sound(&p.service, &text);
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 7] = [
        ("a disclosure is taken out", |f| {
            f["disclosures"].as_array_mut().unwrap().remove(3);
        }),
        ("a disclosure stands twice", |f| {
            let one = f["disclosures"][0].clone();
            f["disclosures"].as_array_mut().unwrap().push(one);
        }),
        ("two disclosures change places, one letter each", |f| {
            let text = f["disclosures"][0].as_str().unwrap().to_owned();
            f["disclosures"][0] = json!(format!("{}A", &text[..text.len() - 1]));
        }),
        ("a catalogue says something else", |f| {
            let text = f["catalogues"]["en"]
                .as_str()
                .unwrap()
                .replace("approved", "rejected");
            f["catalogues"]["en"] = json!(text);
        }),
        ("the proof of an entry is gone", |f| {
            f["evidence"]["entries"].as_array_mut().unwrap().pop();
        }),
        ("the payload is another", |f| {
            let text = f["envelope"]["payload"].as_str().unwrap().to_owned();
            f["envelope"]["payload"] = json!(text.replacen("A", "B", 1));
        }),
        ("a member more", |f| f["note"] = json!("trust me")),
    ];
    for (what, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "{what}: nothing was changed");
        assert!(check(&p.service, &bad.to_string()).refused(), "{what}");
    }
    let stranger = p.service.server().ledgers[OTHER]
        .keyring()
        .checkpoint()
        .vkey()
        .clone();
    let other = verify::report::verify(text.as_bytes(), &[stranger], &[], None);
    assert!(other.refused(), "a key of another ledger");
}

#[test]
fn a_later_report_names_the_one_that_it_supersedes() {
    let p = place();
    let first = issue(&p.investigator, json!({"case": p.case}));
    let order = json!({"subject": {"case": p.case}, "purpose": "Again", "supersedes": first["id"]});
    let second = p.investigator.post(&at("/reports"), &order).json(201);
    let heading = sound(&p.service, &file(&p.investigator, &second))
        .report
        .unwrap();
    assert_eq!(heading.supersedes.as_deref(), first["id"].as_str());
    for (subject, old) in [
        (p.case.as_str(), "00112233445566778899aabbccddeeff"),
        ("C-other", first["id"].as_str().unwrap()),
    ] {
        p.producer
            .post(&at("/events"), &simple(&format!("o-{old}"), "C-other"))
            .json(201);
        let order = json!({"subject": {"case": subject}, "purpose": "Again", "supersedes": old});
        let refused = p.investigator.post(&at("/reports"), &order);
        refused.problem("invalid-request");
        assert_eq!(refused.pointers(), ["/supersedes"]);
    }
}

#[test]
fn traces_and_recommendations_lead_to_their_case_or_ask_which() {
    let p = place();
    let trace = p.events[0]["trace_id"].as_str().unwrap();
    let recommendation = p
        .events
        .iter()
        .find_map(|e| e["recommendation_id"].as_str())
        .unwrap();
    for subject in [
        json!({"trace": trace}),
        json!({"recommendation": recommendation}),
        json!({"trace": trace, "case": p.case}),
    ] {
        let issued = issue(&p.investigator, subject.clone());
        let checked = sound(&p.service, &file(&p.investigator, &issued));
        assert_eq!(
            checked.report.unwrap().case.as_deref(),
            Some(p.pseudonym.as_str()),
            "{subject}"
        );
        assert_eq!(checked.verdicts.sequence.verdict, Sequence::Complete);
        assert_eq!(checked.verdicts.elements.basis, Basis::Recomputed);
    }
    let quoted = issue(&p.auditor, json!({"trace": trace}));
    sound(&p.service, &file(&p.auditor, &quoted));
    let second = proper_case("-second");
    p.producer.post(&at("/events"), &json!(second)).json(201);
    for subject in [
        json!({"trace": trace}),
        json!({"recommendation": recommendation}),
    ] {
        let order = json!({"subject": subject, "purpose": "Which?"});
        let several = p.investigator.post(&at("/reports"), &order);
        let problem = several.problem("several-cases");
        let cases = problem["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 2, "{problem}");
        for case in cases {
            let mut subject = subject.clone();
            subject["case"] = case.clone();
            sound(
                &p.service,
                &file(&p.investigator, &issue(&p.investigator, subject)),
            );
        }
    }
}

#[test]
fn a_report_on_a_moving_case_is_whole_or_not_made() {
    let p = place();
    let made = std::thread::scope(|scope| {
        let (done, finished) = std::sync::mpsc::channel::<()>();
        let (producer, case) = (p.producer.clone(), p.case.clone());
        let posting = scope.spawn(move || {
            let mut number = 0;
            // Bounded, so that the record stays short enough for a report however slow the reports are.
            while number < 1_000 && finished.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty)
            {
                let event = simple(&format!("m-{number}"), &case);
                producer.post(&at("/events"), &event).json(201);
                number += 1;
            }
            number
        });
        let mut made = Vec::new();
        for _ in 0..12 {
            let order = json!({"subject": {"case": p.case}, "purpose": "While it moves"});
            let answer = p.investigator.post(&at("/reports"), &order);
            if answer.status == 503 {
                answer.problem("case-busy");
            } else {
                made.push(answer.json(201));
            }
        }
        drop(done);
        assert!(posting.join().unwrap() > 0);
        made
    });
    for issued in &made {
        let checked = sound(&p.service, &file(&p.investigator, issued));
        assert_eq!(checked.verdicts.sequence.verdict, Sequence::Complete);
    }
    // When it has come to rest, there is a report.
    sound(
        &p.service,
        &file(
            &p.investigator,
            &issue(&p.investigator, json!({"case": p.case})),
        ),
    );
}

#[test]
fn answers_come_in_the_reader_s_language() {
    let p = place();
    let path = at(&format!("/cases/{}/why", segment(&p.case)));
    let text = |answer: &Value| {
        answer["answer"][0]["sentences"][0]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let english = text(&p.investigator.get(&path).json(200));
    let german = text(&p.investigator.get(&format!("{path}?lang=de")).json(200));
    assert_ne!(english, german);
    for (header, want) in [
        ("de", &german),
        ("de-AT, en;q=0.5", &german),
        ("DE", &german),
        ("en, de", &english),
        ("fr, de;q=0.8", &german),
        ("de;q=0.2, en;q=0.9", &english),
        ("de;q=0, en", &english),
        ("fr", &english),
        ("*", &english),
        (";;;,,", &english),
    ] {
        let answer = p
            .investigator
            .send("GET", &path, &[("accept-language", header)], Vec::new());
        assert_eq!(&text(&answer.json(200)), want, "{header}");
        assert!(
            answer
                .header("vary")
                .to_ascii_lowercase()
                .contains("accept-language"),
            "{header}"
        );
    }
    let both = [("accept-language", "en")];
    let answer = p
        .investigator
        .send("GET", &format!("{path}?lang=de"), &both, Vec::new());
    assert_eq!(text(&answer.json(200)), german, "the parameter decides");
    let line = p
        .investigator
        .get(&at(&format!("/cases/{}?lang=de", p.case)))
        .json(200);
    let other = p
        .investigator
        .get(&at(&format!("/cases/{}", p.case)))
        .json(200);
    assert_ne!(line["items"][0]["text"], other["items"][0]["text"]);
}

#[test]
fn a_report_is_joined_to_the_checkpoints_that_somebody_kept() {
    let p = place();
    let kept = |seconds: u64| {
        // The published checkpoint is made anew when it is old enough.
        p.service.clock.pass(Duration::from_secs(seconds));
        let note = p.investigator.get(&at("/checkpoint")).ok().to_owned();
        let size = Checkpoint::parse_unverified(&note).unwrap().0.size;
        (note, size)
    };
    let (first, a) = kept(5);
    let others: Vec<Value> = (0..70).map(|i| simple(&format!("o-{i}"), "C-o")).collect();
    p.producer.post(&at("/events"), &json!(others)).json(201);
    let (second, b) = kept(5);
    assert!(a < b);
    let issued = issue(&p.investigator, json!({"case": p.case}));
    let href = issued["href"].as_str().unwrap();
    let verify = |file: &str, outside: &[&String]| {
        let outside: Vec<String> = outside.iter().map(|o| (*o).clone()).collect();
        let check = verify::report::verify(file.as_bytes(), &[p.service.vkey()], &outside, None);
        assert!(!check.refused(), "{:#?}", check.problems);
        check.verdicts.freshness
    };
    let plain = file(&p.investigator, &issued);
    let unjoined = verify(&plain, &[&first, &second]);
    assert_eq!(unjoined.verdict, Freshness::NotProven);
    let ask = format!("?join={a},{b}");
    assert!(unjoined.reason.contains(&ask), "{}", unjoined.reason);
    // As the words say; and one at a time, of which each is told apart.
    for query in [ask, format!("?join={b}&join={a}&join={a}")] {
        let joined = p
            .investigator
            .get(&format!("{href}{query}"))
            .ok()
            .to_owned();
        for outside in [[&first, &second].as_slice(), &[&first], &[&second]] {
            let fresh = verify(&joined, outside);
            assert_eq!(fresh.verdict, Freshness::Anchored, "{}", fresh.reason);
        }
    }
    let one = p.investigator.get(&format!("{href}?join={b}"));
    assert_eq!(verify(one.ok(), &[&first]).verdict, Freshness::NotProven);
    let both = verify(one.ok(), &[&first, &second]);
    assert_eq!(both.verdict, Freshness::Anchored);
    assert!(
        both.reason.contains(&format!("?join={a}`")),
        "{}",
        both.reason
    );
    // 64 sizes are enough, and what is no size of this ledger is refused.
    let sizes = |n: u64| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let many = p.investigator.get(&format!("{href}?join={}", sizes(64)));
    assert_eq!(verify(many.ok(), &[]).verdict, Freshness::NotProven);
    let far = p.service.size() + 100;
    for (query, why) in [
        (format!("join={}", sizes(65)), "at most 64"),
        ("join=0".into(), "`0` is no size"),
        ("join=%2B5".into(), "`+5` is no size"),
        ("join=5,".into(), "`` is no size"),
        (format!("join={far}"), "taken away"),
        ("size=5".into(), "no parameter `size`"),
    ] {
        let problem = p.investigator.get(&format!("{href}?{query}"));
        let problem = problem.problem("invalid-query");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{query}: {detail}");
    }
}

/// What the command says, and the codes that it ends with.
#[test]
fn the_command_tells_which_checkpoints_a_report_lacks() {
    let p = place();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let kept = p.investigator.get(&at("/checkpoint")).ok().to_owned();
    let size = Checkpoint::parse_unverified(&kept).unwrap().0.size;
    let issued = issue(&p.investigator, json!({"case": p.case}));
    write("kept", kept.as_bytes());
    write("report.json", file(&p.investigator, &issued).as_bytes());
    let key = p.service.vkey().to_string();
    let run = |file: &str, outside: &str| {
        let args = [
            "verify",
            "report",
            file,
            "--key",
            &key,
            "--checkpoint",
            outside,
        ];
        whereas(dir.path(), &args)
    };
    let lacking = printed(&run("report.json", "kept"), 0);
    let ask = format!("?join={size}");
    assert!(lacking.contains(&ask), "{lacking}");
    let href = issued["href"].as_str().unwrap();
    let joined = p.investigator.get(&format!("{href}{ask}"));
    write("joined.json", joined.ok().as_bytes());
    let good = printed(&run("joined.json", "kept"), 0);
    assert!(good.contains("freshness: anchored"), "{good}");
    // A file that is no text is a checkpoint, and a receipt, that is refused: no failure of the command.
    write("bytes", &[kept.as_bytes(), &[0xff]].concat());
    assert!(printed(&run("joined.json", "bytes"), 1).contains("outside.unusable"));
    let receipt = whereas(dir.path(), &["verify", "receipt", "bytes", "--key", &key]);
    assert!(printed(&receipt, 1).contains("receipt.form"));
}
