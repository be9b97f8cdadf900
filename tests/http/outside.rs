//! Witnesses and anchors: what makes the ledger's history known outside its operator's reach.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::note::{Algorithm, Cosigner, NoteSigner, Vkey};
use whereas::ledger::policy::Policy;
use whereas::ledger::tree::{self, Frontier};
use whereas::ledger::{Hash, fork};
use whereas::outside::{self, Anchor, BehindAnchor, Place, Settings, checkpoint_file, folder_of};
use whereas::verify::{self, Freshness, Trust};
use whereas::witness::{AddCheckpoint, Witness, serve};

use crate::harness::{Client, LEDGER, OTHER, Service, at, printed, simple, until, whereas};

/// A server of its own thread.
struct Running {
    url: String,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(
        make: impl FnOnce(TcpListener) -> (actix_web::dev::Server, ServerHandle) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let (running, handle) = make(listener);
                tell.send(handle).unwrap();
                running.await.unwrap();
            });
        });
        Self {
            url,
            handle: told.recv().unwrap(),
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stopping = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        stopping.block_on(self.handle.stop(false));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn witness_key(seed: u8) -> (String, SigningKey) {
    (
        format!("w{seed}.example/1"),
        SigningKey::from_bytes(&[seed; 32]),
    )
}

fn witness_vkey(seed: u8) -> Vkey {
    let (name, key) = witness_key(seed);
    Vkey::new(&name, Algorithm::CosignatureV1, key.verifying_key()).unwrap()
}

fn witness(dir: &Path, seed: u8, log: &Vkey) -> Running {
    let (name, key) = witness_key(seed);
    let cosigner = Cosigner::new(&name, key).unwrap();
    let seconds = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    let dir = dir.join(format!("w{seed}"));
    let witness =
        Witness::open(&dir, cosigner, std::slice::from_ref(log), Box::new(seconds)).unwrap();
    Running::start(move |listener| serve(Arc::new(witness), listener, 1).unwrap())
}

/// An address that takes connections and never answers, as long as the listener is held.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn policy(log: &Vkey, urls: &[&str], needs: &str) -> Policy {
    let mut text = format!("log {log}\n");
    for (i, url) in urls.iter().enumerate() {
        let seed = u8::try_from(i + 1).unwrap();
        text.push_str(&format!("witness w{seed} {} {url}\n", witness_vkey(seed)));
    }
    let names: Vec<String> = (1..=urls.len()).map(|i| format!("w{i}")).collect();
    text.push_str(&format!("group g {needs} {}\nquorum g\n", names.join(" ")));
    Policy::parse(&text).unwrap()
}

fn settings(dir: &Path, policy: Option<Policy>) -> Settings {
    Settings {
        policy,
        every: Duration::from_millis(20),
        anchors: Vec::new(),
        timeout: Duration::from_secs(5),
        evidence: dir.join("evidence"),
    }
}

fn state(client: &Client) -> Value {
    client.get(&at("")).json(200)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Puts back what a folder held: database, keyring, and, against all advice, the guard file.
fn restore(service: &mut Service, backup: &Path) {
    service.stop();
    for entry in std::fs::read_dir(service.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    copy(backup, service.dir());
    service.start();
}

#[test]
fn two_of_three_witnesses_make_a_report_witnessed_while_one_is_down() {
    let mut service = Service::new();
    let dir = tempfile::tempdir().unwrap();
    let log = service.vkey();
    let (one, two) = (witness(dir.path(), 1, &log), witness(dir.path(), 2, &log));
    let (_hangs, third) = silent();
    let urls = [one.url.clone(), two.url.clone(), third];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let two_of_three = policy(&log, &urls, "2");
    service.outside = Some(Settings {
        timeout: Duration::from_millis(500),
        ..settings(dir.path(), Some(two_of_three.clone()))
    });
    service.restart();
    let (producer, investigator) = (service.producer(), service.reader("investigator"));
    let event = simple("e-1", "case-1");
    producer.post(&at("/events"), &event).json(201);
    let order = json!({"subject": {"case": "case-1"}, "purpose": "A test"});
    let issued = investigator.post(&at("/reports"), &order).json(201);
    let covered = service.size();
    until("a quorum covers the report", || {
        state(&investigator)["quorum"]["size"].as_u64() >= Some(covered)
    });
    until("the third was asked", || {
        state(&investigator)["witnesses"][2]["ok"] == json!(false)
    });
    let now = state(&investigator);
    assert_eq!(
        (&now["quorum"]["cosigned"], &now["quorum"]["witnesses"]),
        (&json!(2), &json!(3)),
        "{now}"
    );
    assert_eq!(now["witnesses"][0]["ok"], json!(true), "{now}");

    // The file leads to the cosigned checkpoint, also when the ledger has grown since.
    let file = investigator.get(issued["href"].as_str().unwrap());
    let bytes = file.ok().as_bytes().to_vec();
    let judged = |policy: &Policy| {
        let keys = policy.keys();
        let trust = Trust {
            keys: &keys,
            policy: Some(policy),
            ..Trust::default()
        };
        let check = verify::report::open_by(&bytes, &trust, None).check;
        assert!(!check.refused(), "{:#?}", check.problems);
        check
    };
    let check = judged(&two_of_three);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Witnessed);
    assert!(check.as_of.is_some());
    let all = judged(&policy(&log, &urls, "all"));
    assert_eq!(all.verdicts.freshness.verdict, Freshness::NotProven);
    assert_eq!(all.as_of, None);

    // The published checkpoint carries them as well, and the measurements tell of them.
    service.clock.pass(Duration::from_secs(2));
    until("the published checkpoint is cosigned", || {
        service.clock.pass(Duration::from_secs(2));
        let note = investigator.get(&at("/checkpoint")).ok().to_owned();
        let (_, parsed) = Checkpoint::parse_unverified(&note).unwrap();
        parsed.good_lines(&two_of_three.keys()).len() == 3
    });
    // Asking for the report was a read, and reads are entries that the witnesses have cosigned since.
    let covered = service.size();
    let metrics = service.client(None).get("/metrics").ok().to_owned();
    for line in [
        format!("whereas_witness_entries{{ledger=\"{LEDGER}\",witness=\"w1\"}} {covered}"),
        format!("whereas_quorum_entries{{ledger=\"{LEDGER}\"}} {covered}"),
        format!("whereas_ledger_entries{{ledger=\"{LEDGER}\"}} {covered}"),
        format!("whereas_witness_age_seconds{{ledger=\"{LEDGER}\",witness=\"w2\"}}"),
        format!("whereas_witness_failures_total{{ledger=\"{LEDGER}\",witness=\"w3\"}}"),
    ] {
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }

    // What was given is kept: after a restart without any witness, the report is witnessed all the same.
    drop((one, two));
    service.restart();
    let investigator = service.client(Some(investigator.token()));
    let again = investigator.get(issued["href"].as_str().unwrap());
    let keys = two_of_three.keys();
    let trust = Trust {
        keys: &keys,
        policy: Some(&two_of_three),
        ..Trust::default()
    };
    let check = verify::report::open_by(again.ok().as_bytes(), &trust, None).check;
    assert_eq!(check.problems, []);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Witnessed);
    let size = state(&investigator)["witnesses"][0]["size"].as_u64();
    assert!(size >= Some(covered), "{size:?}");

    // The key is changed after the checkpoint that is witnessed: the file ends before, and shows no bridge. A newer
    // checkpoint is joined to it from the other side.
    let body = json!({"purpose": "checkpoint"});
    let administrator = service.administrator();
    let rotated = administrator.post(&at("/keys/rotations"), &body).json(201);
    let rotated = rotated["seq"].as_u64().unwrap();
    service.clock.pass(Duration::from_secs(2));
    let newest = investigator.get(&at("/checkpoint")).ok().to_owned();
    let beyond = Checkpoint::parse_unverified(&newest).unwrap().0.size;
    assert!(beyond > rotated);
    let href = format!("{}?join={beyond}", issued["href"].as_str().unwrap());
    let text = investigator.get(&href).ok().to_owned();
    let file = verify::format::ReportFile::decode(text.as_bytes()).unwrap();
    let own = Checkpoint::parse_unverified(&file.evidence.checkpoint)
        .unwrap()
        .0;
    assert!(own.size <= rotated, "{} {rotated}", own.size);
    assert_eq!(file.evidence.bridges, []);
    assert_eq!(file.evidence.consistency[0].size, beyond);
    let check = verify::report::open_by(text.as_bytes(), &trust, None).check;
    assert_eq!(check.problems, []);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Witnessed);
    let new = [service.vkey(), log];
    let outside = [newest];
    let trust = Trust {
        keys: &new,
        outside: &outside,
        ..Trust::default()
    };
    let check = verify::report::open_by(text.as_bytes(), &trust, None).check;
    assert_eq!(check.problems, []);
    assert_eq!(check.verdicts.freshness.verdict, Freshness::Anchored);
}

#[test]
fn a_ledger_that_was_set_back_is_refused_and_its_two_histories_are_proven() {
    let mut service = Service::new();
    let dir = tempfile::tempdir().unwrap();
    let log = service.vkey();
    let w = witness(dir.path(), 1, &log);
    let settings = settings(dir.path(), Some(policy(&log, &[w.url.as_str()], "all")));
    service.outside = Some(settings.clone());
    let producer = service.producer();
    let auditor = service.reader("auditor");
    let post = |service: &Service, id: &str| {
        let producer = service.client(Some(producer.token()));
        producer
            .post(&at("/events"), &simple(id, "case-1"))
            .json(201);
    };
    let reader = |service: &Service| service.client(Some(auditor.token()));
    let cosigned = |service: &Service| {
        let size = service.size();
        until("it is cosigned", || {
            state(&reader(service))["witnesses"][0]["size"] == size
        });
    };
    let published = |service: &Service| {
        service.clock.pass(Duration::from_secs(2));
        reader(service).get(&at("/checkpoint")).ok().to_owned()
    };
    service.restart();
    post(&service, "e-1");
    cosigned(&service);
    let small = published(&service);
    service.stop();
    let backup = dir.path().join("backup");
    copy(service.dir(), &backup);
    service.start();
    post(&service, "e-2");
    post(&service, "e-3");
    cosigned(&service);
    let first = published(&service);

    restore(&mut service, &backup);
    let problem = |service: &Service| {
        let error = state(&reader(service))["witnesses"][0]["error"].clone();
        error.as_str().unwrap_or_default().to_owned()
    };
    // It asks only when it has something new.
    post(&service, "x-2");
    until("the witness knows more", || {
        problem(&service).contains("older than it was")
    });
    post(&service, "x-3");
    until("the witness refuses the other history", || {
        problem(&service).contains("prove it")
    });
    let second = published(&service);
    assert_eq!(
        service.size(),
        Checkpoint::parse_unverified(&first).unwrap().0.size
    );
    let proofs = |dir: &Path| -> Vec<String> {
        let files = std::fs::read_dir(dir).unwrap();
        files
            .map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap())
            .filter(|t| {
                let notes = fork::read_evidence(t).unwrap();
                fork::is_equivocation(&notes[0], &notes[1], std::slice::from_ref(&log))
            })
            .collect()
    };
    assert_eq!(
        proofs(&settings.evidence).len(),
        1,
        "the operator's side keeps it"
    );
    assert_eq!(
        proofs(&dir.path().join("w1/equivocation")).len(),
        1,
        "and so does the witness"
    );

    // Two auditors who were shown different histories find it out by themselves.
    let names = ["small.txt", "first.txt", "second.txt"];
    for (name, note) in names.iter().zip([&small, &first, &second]) {
        std::fs::write(dir.path().join(name), note).unwrap();
    }
    let key = log.to_string();
    let compare = |more: &[&str], code: i32| {
        let args = [&["verify", "checkpoints", "--key", &key], more].concat();
        printed(&whereas(dir.path(), &args), code)
    };
    let said = compare(&["first.txt", "second.txt"], 1);
    assert!(
        said.contains("TWO HISTORIES") && said.contains("equivocation.json"),
        "{said}"
    );
    let said = compare(&["equivocation.json", "--evidence", "again.json"], 1);
    assert!(said.contains("TWO HISTORIES"), "{said}");
    compare(&["first.txt", "first.txt"], 0);
}

#[test]
fn checkpoints_of_different_sizes_are_joined_by_a_proof() {
    let mut service = Service::new();
    let dir = tempfile::tempdir().unwrap();
    let (producer, auditor) = (service.producer(), service.reader("auditor"));
    let mut notes = Vec::new();
    for i in 0..3 {
        let event = simple(&format!("e-{i}"), "case-1");
        producer.post(&at("/events"), &event).json(201);
        service.clock.pass(Duration::from_secs(2));
        let note = auditor.get(&at("/checkpoint")).ok().to_owned();
        std::fs::write(dir.path().join(format!("{i}.txt")), &note).unwrap();
        notes.push(Checkpoint::parse_unverified(&note).unwrap().0.size);
    }
    let key = service.vkey().to_string();
    let path = service.server().ledgers[LEDGER].consistency(notes[0], notes[2]);
    let proof: Vec<String> = path.unwrap().iter().map(|h| h.to_b64()).collect();
    std::fs::write(dir.path().join("proof.txt"), proof.join("\n")).unwrap();
    service.stop();
    let program = env!("CARGO_BIN_EXE_whereas");
    let compare = |more: &[&str], code: i32| {
        let mut command = std::process::Command::new(program);
        command.current_dir(dir.path());
        command.env_remove("WHEREAS_DATA_DIR");
        command
            .args(["verify", "checkpoints", "--key", &key])
            .args(more);
        printed(&command.output().unwrap(), code)
    };
    let said = compare(&["0.txt", "2.txt"], 3);
    assert!(said.contains("not compared"), "{said}");
    compare(&["2.txt", "0.txt", "--proof", "proof.txt"], 0);
    compare(&["0.txt", "1.txt", "--proof", "proof.txt"], 3);
    let data = service.dir().to_str().unwrap().to_owned();
    let said = compare(&["0.txt", "1.txt", "2.txt", "--data-dir", &data], 0);
    assert_eq!(said.matches("consistent").count(), 2, "{said}");
    std::fs::write(dir.path().join("bad.txt"), "nothing").unwrap();
    compare(&["0.txt", "bad.txt"], 2);
    service.start();
}

/// A place that takes PUT, and keeps what it has when it is asked to.
fn shelf() -> (Running, Arc<Mutex<HashMap<String, String>>>) {
    type Shelf = Arc<Mutex<HashMap<String, String>>>;
    let kept = Shelf::default();
    let data = web::Data::new(kept.clone());
    async fn put(shelf: web::Data<Shelf>, request: HttpRequest, body: String) -> HttpResponse {
        if request.headers().get("authorization").map(|t| t.as_bytes()) != Some(b"Bearer secret") {
            return HttpResponse::Unauthorized().finish();
        }
        let mut shelf = shelf.lock().unwrap();
        let path = request.path().to_owned();
        if request.headers().contains_key("if-none-match") && shelf.contains_key(&path) {
            return HttpResponse::PreconditionFailed().finish();
        }
        shelf.insert(path, body);
        HttpResponse::Created().finish()
    }
    async fn get(shelf: web::Data<Shelf>, request: HttpRequest) -> HttpResponse {
        match shelf.lock().unwrap().get(request.path()) {
            Some(text) => HttpResponse::Ok().body(text.clone()),
            None => HttpResponse::NotFound().finish(),
        }
    }
    let running = Running::start(move |listener| {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/{path:.*}", web::put().to(put))
                .route("/{path:.*}", web::get().to(get))
        });
        let running = server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = running.handle();
        (running, handle)
    });
    (running, kept)
}

#[test]
fn a_ledger_behind_its_anchor_does_not_resume() {
    let mut service = Service::new();
    let dir = tempfile::tempdir().unwrap();
    let (shelf, kept) = shelf();
    let folder = dir.path().join("anchor");
    std::fs::create_dir(&folder).unwrap();
    let every = Duration::from_millis(20);
    let mut settings = settings(dir.path(), None);
    settings.anchors = vec![
        Anchor {
            place: Place::Folder(folder.clone()),
            every,
        },
        Anchor {
            place: Place::Url {
                url: shelf.url.clone(),
                token: Some("secret".into()),
            },
            every,
        },
    ];
    let producer = service.producer();
    let auditor = service.reader("auditor");
    service.outside = Some(settings.clone());
    service.restart();
    let anchored = |service: &Service| {
        let size = service.size();
        let auditor = service.client(Some(auditor.token()));
        until("it is anchored", || {
            let anchors = state(&auditor)["anchors"].clone();
            anchors[0]["size"] == size && anchors[1]["size"] == size
        });
    };
    let post = |service: &Service, id: &str| {
        let producer = service.client(Some(producer.token()));
        producer
            .post(&at("/events"), &simple(id, "case-1"))
            .json(201);
    };
    post(&service, "e-1");
    anchored(&service);
    service.stop();
    let backup = dir.path().join("backup");
    copy(service.dir(), &backup);
    service.start();
    post(&service, "e-2");
    anchored(&service);
    let size = service.size();
    let origin = service.server().ledgers[LEDGER].origin().to_owned();
    let of_ledger = folder.join(folder_of(&origin));
    let newest = of_ledger.join(checkpoint_file(size));
    let note = std::fs::read_to_string(&newest).unwrap();
    assert_eq!(
        Checkpoint::open(&note, &origin, &[service.vkey()])
            .unwrap()
            .size,
        size
    );
    let url_path = format!("/{}/newest.checkpoint", folder_of(&origin));
    assert_eq!(kept.lock().unwrap()[&url_path], note);
    let good = |service: &Service, settings: &Settings| {
        let ledgers = &service.server().ledgers;
        outside::compare(&ledgers[LEDGER], settings)
            .and_then(|()| outside::compare(&ledgers[OTHER], settings))
    };
    good(&service, &settings).unwrap();

    let only = |i: usize| Settings {
        anchors: vec![settings.anchors[i].clone()],
        ..settings.clone()
    };
    service.outside = None;
    restore(&mut service, &backup);
    for i in [0, 1] {
        let behind = good(&service, &only(i)).unwrap_err();
        assert!(
            matches!(behind, BehindAnchor::Behind { anchored, .. } if anchored == size),
            "{behind}"
        );
    }
    post(&service, "x-2");
    assert_eq!(service.size(), size);
    for i in [0, 1] {
        let forked = good(&service, &only(i)).unwrap_err();
        assert!(matches!(forked, BehindAnchor::Forked { .. }), "{forked}");
    }
    // Running all the same, it never overwrites what lies there, and says why.
    service.outside = Some(settings.clone());
    service.restart();
    let reader = service.client(Some(auditor.token()));
    until("both anchors refuse", || {
        let anchors = state(&reader)["anchors"].clone();
        [0, 1].iter().all(|i| {
            let error = anchors[*i]["error"].as_str().unwrap_or_default().to_owned();
            error.contains("two histories were signed")
        })
    });
    assert_eq!(std::fs::read_to_string(&newest).unwrap(), note);

    service.outside = None;
    service.restart();
    // Neither a text that the ledger did not sign nor an anchor that is gone stops a ledger.
    std::fs::write(
        of_ledger.join(checkpoint_file(size + 9)),
        note.replace("— ", "— x"),
    )
    .unwrap();
    good(&service, &only(0)).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    good(&service, &only(0)).unwrap();
    kept.lock().unwrap().clear();
    good(&service, &only(1)).unwrap();
}

/// The witness program, until it is dropped.
struct WitnessProgram {
    child: std::process::Child,
    /// Open as long as the program runs: it says more than is read here.
    _said: std::io::Lines<BufReader<std::process::ChildStdout>>,
    url: String,
    vkey: Vkey,
}

impl WitnessProgram {
    fn start(dir: &Path, log: &Vkey) -> Self {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_whereas"))
            .current_dir(dir)
            .args([
                "witness",
                "--dir",
                "w",
                "--listen",
                "127.0.0.1:0",
                "--name",
                "w.example/1",
            ])
            .args(["--log", &log.to_string()])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut word = |start: &str| {
            let line = lines.next().unwrap().unwrap();
            let word = line.split_whitespace().find(|w| w.starts_with(start));
            word.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let (url, vkey) = (word("http://"), word("w.example/1+"));
        Self {
            child,
            _said: lines,
            url,
            vkey: Vkey::parse(&vkey).unwrap(),
        }
    }

    /// Ends it without a word, as a power failure would.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn add(&self, old: u64, proof: &[Hash], note: &str) -> (u16, String, String) {
        let body = AddCheckpoint {
            old,
            proof: proof.to_vec(),
            checkpoint: note,
        };
        self.send(&body.encode())
    }

    fn send(&self, body: &str) -> (u16, String, String) {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        let agent: ureq::Agent = config.into();
        let mut answer = agent
            .post(format!("{}/add-checkpoint", self.url))
            .send(body)
            .unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), kind, text)
    }
}

#[test]
fn the_witness_program_keeps_its_word_over_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let signer = NoteSigner::new("l.example/a", SigningKey::from_bytes(&[5; 32])).unwrap();
    let (mut nodes, mut frontier) = (HashMap::new(), Frontier::new());
    for i in 0..9_u8 {
        frontier.append(Hash::leaf(&[i]), |id, hash| {
            nodes.insert(id, hash);
        });
    }
    let checkpoint = |size| Checkpoint {
        origin: "l.example/a".into(),
        size,
        root: tree::root(&nodes, size).unwrap(),
    };
    let note = |size| checkpoint(size).sign(&signer);
    let w = WitnessProgram::start(dir.path(), signer.vkey());
    let key = dir.path().join("w/key.pem");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&key).unwrap());
    assert_eq!(mode & 0o777, 0o600);

    let plain = "text/plain; charset=utf-8";
    let (status, kind, lines) = w.add(0, &[], &note(4));
    assert_eq!((status, kind.as_str()), (200, plain), "{lines}");
    let cosigned = format!("{}{lines}", note(4));
    let keys = [signer.vkey().clone(), w.vkey.clone()];
    let (_, parsed) = Checkpoint::parse_unverified(&cosigned).unwrap();
    assert_eq!(parsed.verify(&keys).unwrap().len(), 2);
    let size = |n: u64| (409, "text/x.tlog.size".to_owned(), format!("{n}\n"));
    assert_eq!(w.add(0, &[], &note(9)), size(4));
    assert_eq!(w.add(9, &[], &note(4)).0, 400);
    assert_eq!(w.send("old 4\n").0, 400);
    // Too much of it: refused while it is still being sent, so the client may not get to read the answer.
    let agent = ureq::Agent::new_with_defaults();
    let long = "old 4\n".repeat(20_000);
    let refused = agent.post(format!("{}/add-checkpoint", w.url)).send(&long);
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(w.add(4, &[], &note(9)).0, 422);
    let stranger = NoteSigner::new("l.example/b", SigningKey::from_bytes(&[5; 32])).unwrap();
    let other = Checkpoint {
        origin: "l.example/b".into(),
        ..checkpoint(4)
    };
    assert_eq!(w.add(4, &[], &other.sign(&stranger)).0, 404);
    let thief = NoteSigner::new("l.example/a", SigningKey::from_bytes(&[6; 32])).unwrap();
    assert_eq!(w.add(4, &[], &checkpoint(4).sign(&thief)).0, 403);
    let proof = tree::consistency(&nodes, 4, 9).unwrap();
    assert_eq!(w.add(4, &proof, &note(9)).0, 200);
    let first_key = w.vkey.clone();
    w.kill();

    let w = WitnessProgram::start(dir.path(), signer.vkey());
    assert_eq!(w.vkey, first_key);
    assert_eq!(
        w.add(4, &proof, &note(9)),
        size(9),
        "nothing is rolled back"
    );
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("{}/{}/checkpoint", w.url, folder_of("l.example/a"));
    let newest = agent
        .get(&url)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let (newest, parsed) = Checkpoint::parse_unverified(&newest).unwrap();
    assert_eq!(
        (newest, parsed.verify(&keys).unwrap().len()),
        (checkpoint(9), 2)
    );
    w.kill();

    // Its key is its name to everybody: a witness that has lost it must not go on under another.
    std::fs::remove_file(&key).unwrap();
    let args = [
        "--dir",
        "w",
        "--name",
        "w.example/1",
        "--listen",
        "127.0.0.1:0",
    ];
    let lost = std::process::Command::new(env!("CARGO_BIN_EXE_whereas"))
        .current_dir(dir.path())
        .arg("witness")
        .args(args)
        .args(["--log", &signer.vkey().to_string()])
        .output()
        .unwrap();
    assert!(printed(&lost, 2).contains("key.pem"));
}

#[test]
fn a_receipt_and_a_report_can_be_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let vkeys = std::fs::read_to_string(files.join("vkeys")).unwrap();
    let vkeys: Vec<&str> = vkeys.lines().collect();
    let text = format!("log {}\nwitness w {}\nquorum w\n", vkeys[0], vkeys[2]);
    std::fs::write(dir.path().join("policy.txt"), text).unwrap();
    let report = files.join("report.json");
    let report = report.to_str().unwrap();
    let verify = |more: &[&str], code: i32| {
        let args = [&["verify", "report", report], more].concat();
        printed(&whereas(dir.path(), &args), code)
    };
    let said = verify(&["--policy", "policy.txt", "--max-age", "365000d"], 0);
    assert!(
        said.contains("freshness: witnessed.") && said.contains("ago."),
        "{said}"
    );
    verify(&["--policy", "policy.txt", "--max-age", "1ms"], 3);
    // Without a witness's word there is no age that could be young enough.
    verify(&["--key", vkeys[0], "--max-age", "365000d"], 3);
    verify(&["--key", vkeys[0]], 0);
    verify(&["--key", vkeys[0], "--max-age", "soon"], 2);
}
