//! A log on the web, from a small server that may lie.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::*;
use crate::audit::AuditError;
use crate::audit::source::{self, SourceAudit};
use crate::audit::web::Web;
use crate::ledger::Hash;

/// The files of a log in the layout of tlog-tiles.
fn files(made: &Made) -> Result<HashMap<String, Vec<u8>>, Box<dyn Error>> {
    let db = rusqlite::Connection::open(made.paths.database())?;
    let mut leaves = db.prepare("SELECT leaf FROM entry ORDER BY seq")?;
    let leaves: Vec<Vec<u8>> = leaves
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let note: String = db.query_row("SELECT note FROM commitment ORDER BY size DESC", [], |r| {
        r.get(0)
    })?;
    let mut files = HashMap::from([("/log/checkpoint".to_owned(), note.into_bytes())]);
    for (n, part) in leaves.chunks(256).enumerate() {
        let partial = if part.len() < 256 {
            format!(".p/{}", part.len())
        } else {
            String::new()
        };
        let mut bundle = Vec::new();
        for leaf in part {
            bundle.extend_from_slice(&u16::try_from(leaf.len())?.to_be_bytes());
            bundle.extend_from_slice(leaf);
        }
        let tile = part.iter().flat_map(|l| Hash::leaf(l).0).collect();
        files.insert(format!("/log/tile/entries/{n:03}{partial}"), bundle);
        files.insert(format!("/log/tile/0/{n:03}{partial}"), tile);
    }
    Ok(files)
}

/// Serves the files on the loopback until the test ends; gives the address.
fn serve(files: HashMap<String, Vec<u8>>, token: &'static str) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/log", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(copy) = stream.try_clone() else { return };
            let lines: Vec<String> = BufReader::new(copy)
                .lines()
                .map_while(Result::ok)
                .take_while(|l| !l.is_empty())
                .collect();
            let path = lines
                .first()
                .and_then(|l| l.split(' ').nth(1))
                .unwrap_or_default();
            let wanted = format!("authorization: Bearer {token}");
            let allowed = lines.iter().any(|l| l.eq_ignore_ascii_case(&wanted));
            let (status, body) = match files.get(path) {
                _ if !allowed => ("401 Unauthorized", &[][..]),
                Some(body) => ("200 OK", &body[..]),
                None => ("404 Not Found", &[][..]),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // A client that has gone away needs no answer.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body));
        }
    });
    Ok(address)
}

fn check(made: &Made, files: HashMap<String, Vec<u8>>) -> Result<LedgerCheck, AuditError> {
    let address = serve(files, "secret").map_err(|e| AuditError::Source(e.to_string()))?;
    let audit = SourceAudit {
        keys: vec![made.key.clone()],
        checkpoints: Vec::new(),
        entries: Vec::new(),
        compromised: Vec::new(),
        threads: 2,
        memory: 1 << 20,
        temporary: made.dir.path().join("tmp"),
        now: None,
    };
    let mut log = Web::open(&address, Some("secret".to_owned()))?;
    source::verify(&mut log, &audit, &Progress::default())
}

#[tokio::test]
async fn a_log_on_the_web_is_accepted_and_a_lying_one_is_not() -> Outcome {
    let made = Made::new().await?;
    // More than one bundle.
    let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
    let ledger = Ledger::open(&made.paths, "acme", ORIGIN, clock, Limits::default())?;
    let many: Vec<Event> = (0..300)
        .map(|n| {
            event(
                &format!("many-{n}"),
                Some(&format!("M-{}", n % 7)),
                None,
                Value::Null,
            )
        })
        .collect();
    ledger.append(&many, PRODUCER).await?;
    ledger.close().await;
    let honest = files(&made)?;
    let outcome = check(&made, honest.clone())?;
    assert_eq!(outcome.problems, []);
    assert!(
        outcome.size > 256 && outcome.checkpoints == 1,
        "{}",
        outcome.size
    );

    let bundle = "/log/tile/entries/000";
    let altered = |path: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut lying = honest.clone();
        lying.entry(path.to_owned()).and_modify(change);
        lying
    };
    // An entry, and an entry with its tile: the chain and the signed root tell.
    let swap = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let at = text.find("\"type\":\"x.test\"").unwrap_or_default();
        bytes[at + 9] = b'y';
    };
    let outcome = check(&made, altered(bundle, &swap))?;
    // What the altered entry says of its case cannot be used either, so the case has a gap.
    assert_eq!(codes(&outcome), ["leaf.altered", "case.gap"]);
    assert!(
        outcome
            .first_break
            .and_then(|p| p.seq)
            .is_some_and(|s| s < 256)
    );
    let mut both = altered(bundle, &swap);
    let leaf_hashes: Vec<u8> = {
        let bytes = both.get(bundle).ok_or("a bundle")?;
        let mut rest = &bytes[..];
        let mut out = Vec::new();
        while let Some((len, tail)) = rest.split_first_chunk::<2>() {
            let (leaf, tail) = tail.split_at(usize::from(u16::from_be_bytes(*len)));
            out.extend(Hash::leaf(leaf).0);
            rest = tail;
        }
        out
    };
    both.insert("/log/tile/0/000".to_owned(), leaf_hashes);
    let outcome = check(&made, both)?;
    assert!(
        codes(&outcome).contains(&"leaf.prev"),
        "{:?}",
        codes(&outcome)
    );
    assert!(
        codes(&outcome).contains(&"checkpoint.root"),
        "{:?}",
        codes(&outcome)
    );
    // A tile alone.
    let outcome = check(&made, altered("/log/tile/0/000", &|t| t[40] ^= 1))?;
    assert_eq!(codes(&outcome), ["tile.differs"]);
    // A checkpoint of another size, and bundles that are not whole.
    assert!(matches!(
        check(&made, altered(bundle, &|b| b.truncate(100))),
        Err(AuditError::Source(_))
    ));
    let mut gone = honest.clone();
    gone.remove("/log/tile/0/000");
    assert!(matches!(check(&made, gone), Err(AuditError::Source(m)) if m.contains("404")));
    Ok(())
}
