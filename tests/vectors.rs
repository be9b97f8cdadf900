//! The pure core against published test vectors.
//!
//! The vectors are not part of this repository. They are looked for in the directory that the environment variable
//! `WHEREAS_VECTORS` names, else in `../shared/vectors` beside this package; without them every test here says loudly
//! that it was skipped.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use serde_json::Value;
use whereas::json::{self, FaultKind, Limits};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::note::{Algorithm, Note, NoteError, NoteSigner, Vkey, VkeyError};
use whereas::ledger::proof::{verify_consistency, verify_inclusion};
use whereas::ledger::tree::Frontier;
use whereas::ledger::{Hash, decode_b64, disclosure, dsse};

/// A folder of vectors; `None`, said loudly, when it is not there.
fn vectors(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("WHEREAS_VECTORS").map(PathBuf::from);
    let root =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"));
    let found = root.join(folder);
    if found.is_dir() {
        return Some(found);
    }
    eprintln!(
        "SKIPPED: there are no test vectors `{folder}`; set WHEREAS_VECTORS to the directory that holds them"
    );
    None
}

/// All files with this extension, in whatever depth, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A hash of a probe; `None` when it is not 32 bytes, which no hash of ours can be.
fn hash(value: &Value) -> Option<Hash> {
    Hash::from_b64(value.as_str()?)
}

fn path(value: &Value) -> Option<Vec<Hash>> {
    value
        .as_array()
        .map_or(Some(Vec::new()), |p| p.iter().map(hash).collect())
}

/// The one probe that wants to be accepted though its roots are 12 bytes long.
const SHORT_ROOTS: &str = "sizes-are-equal-one-and-proof-is-empty";

#[test]
fn inclusion_probes_of_transparency_dev() {
    let Some(folder) = vectors("transparency-dev-merkle/testdata/inclusion") else {
        return;
    };
    let all = files(&folder, "json");
    for file in &all {
        let p = read(file);
        let verified = || {
            let (leaf, root, path) = (hash(&p["leafHash"])?, hash(&p["root"])?, path(&p["proof"])?);
            verify_inclusion(
                &leaf,
                p["leafIdx"].as_u64()?,
                p["treeSize"].as_u64()?,
                &path,
                &root,
            )
            .ok()
        };
        assert_eq!(
            verified().is_none(),
            p["wantErr"] == true,
            "{}",
            file.display()
        );
    }
    assert_eq!(all.len(), 98);
}

#[test]
fn consistency_probes_of_transparency_dev() {
    let Some(folder) = vectors("transparency-dev-merkle/testdata/consistency") else {
        return;
    };
    let all = files(&folder, "json");
    let mut anomalies = 0;
    for file in &all {
        let p = read(file);
        let verified = || {
            let (first, second, path) =
                (hash(&p["root1"])?, hash(&p["root2"])?, path(&p["proof"])?);
            verify_consistency(
                p["size1"].as_u64()?,
                p["size2"].as_u64()?,
                &path,
                &first,
                &second,
            )
            .ok()
        };
        if file.file_stem().is_some_and(|s| s == SHORT_ROOTS) {
            assert!(
                verified().is_none() && p["wantErr"] == false,
                "roots of another length are never accepted"
            );
            anomalies += 1;
            continue;
        }
        assert_eq!(
            verified().is_none(),
            p["wantErr"] == true,
            "{}",
            file.display()
        );
    }
    assert_eq!((all.len(), anomalies), (98, 1));
}

#[test]
fn a_whole_log_of_tessera() {
    let Some(folder) = vectors("tessera-testdata") else {
        return;
    };
    let origin = fs::read_to_string(folder.join("README.origin")).unwrap();
    let vkey = origin
        .split_whitespace()
        .find(|w| w.starts_with("example.com/log/testdata+"))
        .unwrap();
    let keys = [Vkey::parse(vkey.trim_end_matches(['.', ')', ','])).unwrap()];
    let log = folder.join("testdata/log");
    let mut frontier = Frontier::new();
    let mut hashes: Vec<u8> = Vec::new();
    for size in 0..=15_u64 {
        if size > 0 {
            let bundle = fs::read(log.join(format!("tile/entries/000.p/{size}"))).unwrap();
            let entries = entries(&bundle);
            assert_eq!(entries.len() as u64, size);
            let leaf = Hash::leaf(entries.last().unwrap());
            hashes.extend(leaf.0);
            frontier.append(leaf, |_, _| {});
            let tile = fs::read(log.join(format!("tile/0/000.p/{size}"))).unwrap();
            assert_eq!(tile, hashes, "tile of {size} hashes");
        }
        let note = fs::read_to_string(log.join(format!("checkpoint.{size}"))).unwrap();
        let checkpoint = Checkpoint::open(&note, "example.com/log/testdata", &keys).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (size, frontier.root()));
        let other = Checkpoint::open(
            &note.replacen(&format!("\n{size}\n"), "\n99\n", 1),
            "example.com/log/testdata",
            &keys,
        );
        assert!(other.is_err(), "another size");
    }
}

/// The entries of a bundle: each with its length in 16 bits before it.
fn entries(mut bundle: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        out.push(entry);
        bundle = rest;
    }
    out
}

fn inline(name: &str) -> Vec<Value> {
    let Some(folder) = vectors("spec-inline") else {
        return Vec::new();
    };
    match &read(&folder.join("vectors.json"))[name] {
        Value::Array(all) => all.clone(),
        Value::Null => panic!("no vectors {name}"),
        one => vec![one.clone()],
    }
}

#[test]
fn signed_notes_of_the_specifications() {
    for v in inline("signed_note")
        .iter()
        .chain(&inline("checkpoint"))
        .chain(&inline("cosignature_v1"))
    {
        let (note, keys) = (text(v, "note"), [Vkey::parse(text(v, "vkey")).unwrap()]);
        let parsed = Note::parse(note).unwrap();
        assert_eq!(parsed.verify(&keys).map(|k| k.len()), Ok(1), "{note}");
        if let Some(seconds) = v["timestamp"].as_u64() {
            assert_eq!(
                (keys[0].algorithm(), parsed.cosigned_at(&keys[0])),
                (Algorithm::CosignatureV1, Some(seconds))
            );
        }
        let changed = note.replacen(['a', 'e'], "o", 1);
        assert!(
            matches!(
                Note::parse(&changed).unwrap().verify(&keys),
                Err(NoteError::Bad(_))
            ),
            "{changed}"
        );
    }
    for v in inline("checkpoint").iter().chain(&inline("cosignature_v1")) {
        let (checkpoint, parsed) = Checkpoint::parse_unverified(text(v, "note")).unwrap();
        assert_eq!(checkpoint.text(), parsed.text);
    }
}

#[test]
fn keys_of_the_specifications() {
    for v in inline("note_keys") {
        if let Some(bad) = v["bad_vkey"].as_str() {
            assert!(
                matches!(Vkey::parse(bad), Err(VkeyError::Type | VkeyError::Form)),
                "{bad}"
            );
            continue;
        }
        let good = text(&v, "vkey");
        let vkey = Vkey::parse(good).unwrap();
        assert_eq!(vkey.to_string(), good);
        let secret = decode_b64(text(&v, "skey").splitn(5, '+').last().unwrap()).unwrap();
        let seed: [u8; 32] = secret[1..].try_into().unwrap();
        let signer =
            NoteSigner::new(vkey.name(), ed25519_dalek::SigningKey::from_bytes(&seed)).unwrap();
        assert_eq!(signer.vkey(), &vkey);
        for at in 0..good.len() {
            assert!(
                Vkey::parse(&good[..at]).is_err() && (at == 0 || Vkey::parse(&good[at..]).is_err()),
                "cut at {at}"
            );
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] += 1;
            assert!(
                Vkey::parse(&String::from_utf8(bytes).unwrap()).is_err(),
                "one more at {at}"
            );
        }
    }
}

#[test]
fn envelopes_disclosures_and_roots_of_the_specifications() {
    for v in inline("dsse") {
        let got = dsse::pae(text(&v, "payloadType"), text(&v, "payload").as_bytes());
        assert_eq!(got, text(&v, "pae").as_bytes());
    }
    for v in inline("sd_jwt_disclosure") {
        assert_eq!(
            disclosure::digest(text(&v, "disclosure")).to_b64url(),
            text(&v, "digest_b64url")
        );
        assert!(
            disclosure::decode(text(&v, "disclosure")).is_err(),
            "not in canonical form, so never one of ours"
        );
    }
    for v in inline("rfc6962_8leaf") {
        let mut frontier = Frontier::new();
        let roots = v["roots_by_size"].as_array().unwrap();
        assert_eq!(frontier.root().to_hex(), roots[0]);
        for (leaf, root) in v["leaves_hex"].as_array().unwrap().iter().zip(&roots[1..]) {
            frontier.append(
                Hash::leaf(&hex::decode(leaf.as_str().unwrap()).unwrap()),
                |_, _| {},
            );
            assert_eq!(frontier.root().to_hex(), *root);
        }
        assert_eq!(frontier.size(), 8);
    }
    for v in inline("rfc9421_b26") {
        let der = decode_b64(text(&v, "pub_spki_b64")).unwrap();
        let raw: [u8; 32] = der[der.len() - 32..].try_into().unwrap();
        let key = Vkey::new(
            "k",
            Algorithm::Ed25519,
            VerifyingKey::from_bytes(&raw).unwrap(),
        )
        .unwrap();
        let (base, sig) = (text(&v, "base"), decode_b64(text(&v, "sig_b64")).unwrap());
        assert!(key.verifies(base.as_bytes(), &sig));
        assert!(!key.verifies(format!("{base}\n").as_bytes(), &sig));
    }
}

/// Inputs that our reader refuses because a number in them cannot be kept exactly: `333333333.33333329` in this one.
/// The canonical writer is held to their output all the same.
const INEXACT: [&str; 1] = ["values.json"];

#[test]
fn canonical_json_of_rfc_8785() {
    let Some(folder) = vectors("jcs-cyberphone/testdata") else {
        return;
    };
    let inputs = files(&folder.join("input"), "json");
    for input in &inputs {
        let name = input.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(input).unwrap();
        let value = match json::parse(&bytes, Limits::default()) {
            Ok(value) => {
                assert!(!INEXACT.contains(&name), "{name} is to be refused");
                value
            }
            Err(faults) => {
                assert!(INEXACT.contains(&name), "{name}: {faults:?}");
                let places: Vec<_> = faults
                    .iter()
                    .map(|f| (f.kind, f.pointer.as_str()))
                    .collect();
                assert_eq!(places, [(FaultKind::Inexact, "/numbers/0")]);
                serde_json::from_slice(&bytes).unwrap()
            }
        };
        let got = json::canonical(&value);
        assert_eq!(
            got.as_bytes(),
            fs::read(folder.join("output").join(name)).unwrap(),
            "{name}"
        );
        let hex_text =
            fs::read_to_string(folder.join("outhex").join(name.replace(".json", ".txt"))).unwrap();
        assert_eq!(
            hex::encode(&got),
            hex_text.split_whitespace().collect::<String>(),
            "{name}"
        );
        assert_eq!(
            json::parse(got.as_bytes(), Limits::default()).map(|v| json::canonical(&v)),
            Ok(got),
            "{name}"
        );
    }
    assert_eq!(inputs.len(), 6);
}

#[test]
fn strict_ed25519_of_wycheproof() {
    let Some(folder) = vectors("wycheproof") else {
        return;
    };
    let all = read(&folder.join("ed25519_test.json"));
    let (mut valid, mut invalid) = (0, 0);
    for group in all["testGroups"].as_array().unwrap() {
        let raw: [u8; 32] = hex::decode(text(&group["publicKey"], "pk"))
            .unwrap()
            .try_into()
            .unwrap();
        let key = VerifyingKey::from_bytes(&raw)
            .ok()
            .and_then(|k| Vkey::new("k", Algorithm::Ed25519, k));
        for t in group["tests"].as_array().unwrap() {
            let (message, sig) = (
                hex::decode(text(t, "msg")).unwrap(),
                hex::decode(text(t, "sig")).unwrap(),
            );
            let accepted = key.as_ref().is_some_and(|k| k.verifies(&message, &sig));
            assert_eq!(
                accepted,
                t["result"] == "valid",
                "{} {}",
                t["tcId"],
                t["comment"]
            );
            if accepted { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!((valid, invalid), (88, 63));
}
