//! Liars in the middle: a log on the web that serves what it likes, and receipts put together from several.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use whereas::audit::AuditError;
use whereas::audit::folder::Progress;
use whereas::audit::source::{self, SourceAudit};
use whereas::audit::web::Web;
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::receipt::Receipt;
use whereas::ledger::tree::Frontier;
use whereas::ledger::{Hash, Id16, Leaf};
use whereas::verify;
use whereas::verify::ledger::OutsideCheckpoint;

use crate::forger::{Forger, Outcome};
use crate::ground::{self, Ground, NAME, ORIGIN};
use crate::observers::Seen;
use crate::page::Said;

/// What is served under a path.
#[derive(Clone)]
enum Body {
    Bytes(Vec<u8>),
    /// Announces more than anybody can hold.
    Huge,
    /// Never ends.
    Endless,
}

type Files = HashMap<String, Body>;

/// A log in the layout of tlog-tiles: at most 256 entries, one bundle.
fn files(leaves: &[Vec<u8>], note: &str) -> Files {
    let width = leaves.len();
    let (mut bundle, mut tile) = (Vec::new(), Vec::new());
    for leaf in leaves {
        bundle.extend_from_slice(&u16::try_from(leaf.len()).unwrap().to_be_bytes());
        bundle.extend_from_slice(leaf);
        tile.extend_from_slice(&Hash::leaf(leaf).0);
    }
    HashMap::from([
        ("/log/checkpoint".to_owned(), Body::Bytes(note.into())),
        (bundle_path(width), Body::Bytes(bundle)),
        (tile_path(width), Body::Bytes(tile)),
    ])
}

fn bundle_path(width: usize) -> String {
    format!("/log/tile/entries/000.p/{width}")
}

fn tile_path(width: usize) -> String {
    format!("/log/tile/0/000.p/{width}")
}

/// Serves on the loopback until the test ends; gives the address.
fn serve(files: Files) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/log", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(copy) = stream.try_clone() else { return };
            let lines = BufReader::new(copy).lines().map_while(Result::ok);
            let lines: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
            let path = lines.first().and_then(|l| l.split(' ').nth(1));
            let found = path.and_then(|p| files.get(p));
            let (status, length) = match found {
                Some(Body::Bytes(bytes)) => {
                    ("200 OK", format!("content-length: {}\r\n", bytes.len()))
                }
                Some(Body::Huge) => ("200 OK", format!("content-length: {}\r\n", u64::MAX / 2)),
                Some(Body::Endless) => ("200 OK", String::new()),
                None => ("404 Not Found", "content-length: 0\r\n".to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\n{length}connection: close\r\n\r\n");
            let mut send = |bytes: &[u8]| stream.write_all(bytes);
            // A client that has gone away ends it.
            let mut sent = send(head.as_bytes());
            match found {
                Some(Body::Bytes(bytes)) => sent = sent.and_then(|()| send(bytes)),
                Some(Body::Huge | Body::Endless) => {
                    while sent.is_ok() {
                        sent = send(&[b'\n'; 65_536]);
                    }
                }
                None => {}
            }
        }
    });
    Ok(address)
}

fn check(ground: &Ground, files: Files, kept: &[String]) -> Outcome<Result<Seen, String>> {
    let address = serve(files)?;
    let checkpoints = kept.iter().map(|note| OutsideCheckpoint {
        note: note.clone(),
        name: "the checkpoint kept.txt".to_owned(),
        independent: true,
    });
    let audit = SourceAudit {
        keys: vec![ground.key.clone()],
        checkpoints: checkpoints.collect(),
        entries: Vec::new(),
        compromised: Vec::new(),
        threads: 1,
        memory: 1 << 20,
        temporary: std::env::temp_dir(),
        now: None,
    };
    let found = Web::open(&address, None)
        .and_then(|mut log| source::verify(&mut log, &audit, &Progress::default()));
    Ok(match found {
        Ok(check) => Ok(Seen::of(check)),
        Err(AuditError::Source(text)) => Err(text.replace(&address, "http://log.example")),
        Err(e) => return Err(e.into()),
    })
}

/// The leaves with positions and links to the entry before made to fit; links of cases stay as they are.
fn chained(mut leaves: Vec<Leaf>) -> Vec<Vec<u8>> {
    let mut prev = Hash::ZERO;
    let mut out = Vec::new();
    for (seq, leaf) in leaves.iter_mut().enumerate() {
        leaf.seq = seq as u64;
        leaf.prev = prev;
        let bytes = leaf.encode().into_bytes();
        prev = Hash::leaf(&bytes);
        out.push(bytes);
    }
    out
}

fn signed(forger: &Forger, leaves: &[Vec<u8>]) -> String {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(Hash::leaf(leaf), |_, _| {});
    }
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    };
    checkpoint.sign(&forger.keyring.checkpoint())
}

const GIST: [&str; 4] = ["result", "refused", "first break", "freshness"];

#[test]
fn a_log_that_lies_is_refused_or_says_what_it_cannot_prove() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    let forger = Forger::open(&ground.data(), NAME, ORIGIN)?;
    let honest: Vec<Leaf> = forger.entries()?.into_iter().map(|e| e.leaf).collect();
    let bytes: Vec<Vec<u8>> = honest.iter().map(|l| l.encode().into_bytes()).collect();
    let newest = signed(&forger, &bytes);
    let width = bytes.len();
    let good = files(&bytes, &newest);

    let seen = check(&ground, good.clone(), &[])??;
    assert!(seen.accepted, "{}", seen.words);
    assert_eq!(seen.freshness(), "not_proven");
    said.note("liars/honest", &seen.words);

    let lie = |path: &str, body: Body| {
        let mut files = good.clone();
        files.insert(path.to_owned(), body);
        files
    };
    // Tiles that are not those of the entries: proofs made from them would not hold.
    let mut tile = vec![0; width * 32];
    tile[0] = 1;
    let seen = check(&ground, lie(&tile_path(width), Body::Bytes(tile)), &[])??;
    assert_eq!(seen.codes, ["tile.differs"], "{}", seen.words);
    said.note("liars/tile", &seen.lines(&GIST[..3]));
    // Entries in another order, with tiles to match.
    let mut swapped = bytes.clone();
    swapped.swap(7, 8);
    let seen = check(&ground, files(&swapped, &newest), &[])??;
    assert!(
        seen.codes.contains(&"leaf.seq".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note("liars/reordered", &seen.lines(&GIST[..3]));
    // An old checkpoint: a true one, so it is accepted, and whoever has seen more says so.
    let old = ground.kept.first().ok_or("a checkpoint")?;
    let (read, _) = Checkpoint::parse_unverified(old)?;
    let fewer = files(&bytes[..usize::try_from(read.size)?], old);
    let seen = check(&ground, fewer.clone(), &[])??;
    assert!(seen.accepted, "{}", seen.words);
    let seen = check(&ground, fewer, &ground.kept[1..2])??;
    assert_eq!(seen.codes, ["outside.truncated"], "{}", seen.words);
    said.note("liars/old-checkpoint", &seen.lines(&GIST));
    // An old checkpoint over the newest entries.
    let mixed = lie("/log/checkpoint", Body::Bytes(old.clone().into()));
    let error = check(&ground, mixed, &[])?.err().ok_or("accepted")?;
    said.note("liars/mixed", &error);
    // More or fewer entries than the width of the partial bundle.
    let Some(Body::Bytes(bundle)) = good.get(&bundle_path(width)) else {
        return Err("a bundle".into());
    };
    let mut longer = bundle.clone();
    longer.extend_from_slice(b"\0\x02{}");
    for body in [longer, bundle[..bundle.len() - 1].to_vec(), Vec::new()] {
        let wrong = lie(&bundle_path(width), Body::Bytes(body));
        let error = check(&ground, wrong, &[])?.err().ok_or("accepted")?;
        said.note("liars/width", &error);
    }
    // Bodies that nobody can hold are given up on.
    for path in [
        "/log/checkpoint".to_owned(),
        bundle_path(width),
        tile_path(width),
    ] {
        for body in [Body::Huge, Body::Endless] {
            let error = check(&ground, lie(&path, body), &[])?
                .err()
                .ok_or("accepted")?;
            assert!(error.contains("cannot be read"), "{path}: {error}");
            if path == bundle_path(width) {
                said.note("liars/endless", &error);
            }
        }
    }
    said.compare("liars")
}

#[test]
fn what_the_operator_signs_is_refused_where_it_contradicts_itself() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    let forger = Forger::open(&ground.data(), NAME, ORIGIN)?;
    let honest: Vec<Leaf> = forger.entries()?.into_iter().map(|e| e.leaf).collect();
    let judge = |leaves: Vec<Leaf>| -> Outcome<Seen> {
        let bytes = chained(leaves);
        let note = signed(&forger, &bytes);
        Ok(check(&ground, files(&bytes, &note), &[])??)
    };
    let of_case: Vec<usize> = (0..honest.len())
        .filter(|i| honest[*i].case.is_some())
        .collect();
    // Two entries that both claim to be the case's first.
    let mut doubled = honest.clone();
    let again = doubled[of_case[0]].clone();
    doubled.push(Leaf {
        eid: Hash::leaf(b"another"),
        recorded: doubled.last().ok_or("an entry")?.recorded,
        ..again
    });
    let seen = judge(doubled)?;
    assert!(
        seen.codes.contains(&"case.doubled".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note(
        "signed/case-doubled",
        &seen.lines(&[GIST[0], GIST[1], "also", GIST[2], GIST[3]]),
    );
    // One entry recorded twice.
    let mut twice = honest.clone();
    let mut again = twice[1].clone();
    again.recorded = twice.last().ok_or("an entry")?.recorded;
    again.case = None;
    twice.push(again);
    let seen = judge(twice)?;
    assert!(
        seen.codes.contains(&"identity.doubled".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note("signed/identity-doubled", &seen.lines(&GIST));
    // A clock that went back.
    let mut back = honest.clone();
    back[9].recorded = back[0].recorded;
    let seen = judge(back)?;
    assert!(
        seen.codes.contains(&"leaf.recorded".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note("signed/clock", &seen.lines(&GIST));
    // Entries of another ledger.
    let mut foreign = honest.clone();
    foreign[9].ledger = "ledger.example/other".to_owned();
    let seen = judge(foreign)?;
    assert!(
        seen.codes.contains(&"leaf.origin".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note("signed/foreign", &seen.lines(&GIST));
    // A posted event that carries a fact, as only the service's own entries may.
    let mut fact = honest.clone();
    fact[of_case[0]].fact = Some(serde_json::Map::new());
    let seen = judge(fact)?;
    assert!(
        seen.codes.contains(&"leaf.fact".to_owned()),
        "{:?}",
        seen.codes
    );
    said.note("signed/fact", &seen.lines(&GIST));
    // A case's later entries under a second pseudonym: without content, nobody can see that it is the same case.
    let case = honest[of_case[0]].case.ok_or("a case")?.case;
    let mut split = honest.clone();
    let later = split.iter_mut().filter_map(|l| l.case.as_mut());
    for link in later.filter(|c| c.case == case && c.seq >= 2) {
        link.case = Id16([0x5e; 16]);
        link.seq -= 2;
    }
    let seen = judge(relinked(&split))?;
    assert!(seen.accepted, "{}", seen.words);
    said.note("signed/second-pseudonym", &seen.words);
    said.compare("signed")
}

/// The leaves with all links made to fit, those of cases too.
fn relinked(leaves: &[Leaf]) -> Vec<Leaf> {
    let mut leaves = leaves.to_vec();
    let mut prev = Hash::ZERO;
    let mut cases: HashMap<Id16, Hash> = HashMap::new();
    for (seq, leaf) in leaves.iter_mut().enumerate() {
        leaf.seq = seq as u64;
        leaf.prev = prev;
        if let Some(link) = &mut leaf.case {
            link.prev = cases.get(&link.case).copied().unwrap_or(Hash::ZERO);
        }
        prev = Hash::leaf(leaf.encode().as_bytes());
        if let Some(link) = &leaf.case {
            cases.insert(link.case, prev);
        }
    }
    leaves
}

#[test]
fn receipts_put_together_from_several_prove_nothing() -> Outcome {
    let ground = ground::ledger(30)?;
    let mut said = Said::default();
    let read: Vec<Receipt> = ground
        .receipts
        .iter()
        .map(|r| Receipt::parse(r))
        .collect::<Result<_, _>>()?;
    let (a, b) = (&read[1], read.last().ok_or("a receipt")?);
    let made = |leaf: &Receipt, path: &Receipt, checkpoint: &Receipt, index: u64| Receipt {
        leaf: leaf.leaf.clone(),
        index,
        path: path.path.clone(),
        checkpoint: checkpoint.checkpoint.clone(),
    };
    for (name, receipt) in [
        ("receipts/path", made(a, b, a, a.index)),
        ("receipts/checkpoint", made(a, a, b, a.index)),
        ("receipts/leaf", made(b, a, a, a.index)),
        ("receipts/index", made(a, a, a, a.index + 1)),
    ] {
        let check =
            verify::receipt::verify(&receipt.encode(), std::slice::from_ref(&ground.key), None);
        assert!(check.refused(), "{name}");
        let words = verify::words::receipt(&check);
        said.note(name, words.lines().next().unwrap_or_default());
    }
    said.compare("receipts")
}
