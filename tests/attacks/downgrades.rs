//! Downgrades: other versions, other algorithms, encodings that some verifiers accept and others do not, more than a
//! verifier should read. Each is refused, with a code.

use std::path::Path;

use serde_json::{Value, json};
use whereas::ledger::note::{Algorithm, Cosigner, Vkey};
use whereas::ledger::receipt::Receipt;
use whereas::ledger::{b64, decode_b64, sha256};
use whereas::verify::{receipt, report};

use crate::forger::{Forger, Outcome};
use crate::ground::{self, Ground, NAME, ORIGIN};
use crate::page::Said;

/// A table of what was tried, and the code or words of the refusal.
#[derive(Default)]
struct Tried(String);

impl Tried {
    fn row(&mut self, what: &str, code: &str) {
        self.0.push_str(&format!("{code:<24} {what}\n"));
    }

    /// A receipt whose checkpoint is this note must be refused, with this code first.
    fn checkpoint(&mut self, ground: &Ground, keys: &[Vkey], note: &str, code: &str, what: &str) {
        let good = Receipt::parse(ground.receipts.last().unwrap()).unwrap();
        let text = Receipt {
            checkpoint: note.to_owned(),
            ..good
        }
        .encode();
        let check = receipt::verify(&text, keys, None);
        let found = check.problems.first().map(|p| p.code.as_str());
        assert_eq!(found, Some(code), "{what}: {:?}", check.problems);
        self.row(what, code);
    }

    /// A report of which something was changed must be refused, with this code first.
    fn report(&mut self, ground: &Ground, change: impl FnOnce(&mut Value), code: &str, what: &str) {
        let mut value: Value = serde_json::from_str(&ground.report).unwrap();
        change(&mut value);
        let keys = std::slice::from_ref(&ground.key);
        let check = report::verify(value.to_string().as_bytes(), keys, &[], None);
        let found = check.problems.first().map(|p| p.code.as_str());
        assert_eq!(found, Some(code), "{what}: {:?}", check.problems);
        self.row(what, code);
    }

    /// A verifier key must be refused.
    fn key(&mut self, text: &str, what: &str) {
        let error = Vkey::parse(text).expect_err(what);
        self.row(what, &format!("vkey: {error:?}"));
    }
}

/// The verifier key's text of these bytes, with the id that belongs to them.
fn vkey(name: &str, bytes: &[u8]) -> String {
    let id = sha256(&[name.as_bytes(), b"\n", bytes]);
    format!("{name}+{}+{}", &id.to_hex()[..8], b64(bytes))
}

/// The order of the group, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same signature with the group's order added to its second half: the same number to a verifier that reduces it.
fn malleable(blob: &[u8]) -> Vec<u8> {
    let mut out = blob.to_vec();
    let half = out.len() - 32;
    let mut carry = 0;
    for (byte, order) in out[half..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    out
}

/// Points of small order, in every encoding of 32 bytes (the second half is not canonical).
fn small_order() -> Vec<[u8; 32]> {
    let p_plus = |n: u8, sign: u8| {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xed_u8.wrapping_add(n);
        bytes[31] = 0x7f | sign;
        bytes
    };
    let small = |n: u8, sign: u8| {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (n, sign);
        bytes
    };
    let eight: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ];
    let mut all = vec![
        small(0, 0),
        small(0, 0x80),
        small(1, 0),
        small(1, 0x80),
        p_plus(0, 0),
        p_plus(0, 0x80),
        p_plus(1, 0),
        p_plus(1, 0x80),
        p_plus(u8::MAX, 0),
        p_plus(u8::MAX, 0x80),
        eight,
    ];
    // The other points of order eight have -y.
    let mut minus = [0xff; 32];
    let mut borrow = 0;
    for (i, byte) in minus.iter_mut().enumerate() {
        let p = [0xed_u8, 0xff, 0x7f][usize::from(i > 0) + usize::from(i > 30)];
        let difference = i16::from(p) - i16::from(eight[i]) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.to_le_bytes()[0];
    }
    all.push(minus);
    for mut other in [eight, minus] {
        other[31] |= 0x80;
        all.push(other);
    }
    all
}

#[test]
fn weaker_forms_are_refused_each_with_its_code() -> Outcome {
    let ground = ground::ledger(20)?;
    let forger = Forger::open(&ground.data(), NAME, ORIGIN)?;
    let signer = forger.keyring.checkpoint();
    let key = [ground.key.clone()];
    let good = Receipt::parse(ground.receipts.last().ok_or("a receipt")?)?;
    let note = good.checkpoint.clone();
    let (text, line) = note.split_once("\n\n").ok_or("a note")?;
    let text = format!("{text}\n");
    let blob = line.trim_end().rsplit(' ').next().ok_or("a signature")?;
    let blob = decode_b64(blob).ok_or("base64")?;
    let mut tried = Tried::default();

    // Signatures.
    let form = "checkpoint.form";
    let with = |lines: &str| format!("{text}\n{lines}");
    tried.checkpoint(
        &ground,
        &key,
        &with(""),
        form,
        "a checkpoint with an empty list of signatures",
    );
    tried.checkpoint(
        &ground,
        &key,
        &text,
        form,
        "a checkpoint without signatures",
    );
    let many = "— other.example/x AAAAAAAA\n".repeat(100) + line;
    tried.checkpoint(
        &ground,
        &key,
        &with(&many),
        form,
        "101 signatures, the good one last",
    );
    let huge = format!("{text}{}\n\n{line}", "x".repeat(1_000_000));
    tried.checkpoint(
        &ground,
        &key,
        &huge,
        form,
        "a note of more than 1,000,000 bytes",
    );
    let named = |name: &str| with(&line.replace(ORIGIN, name));
    tried.checkpoint(
        &ground,
        &key,
        &named("ledger example"),
        form,
        "a key name with a space",
    );
    tried.checkpoint(
        &ground,
        &key,
        &named("ledger+example"),
        form,
        "a key name with a plus sign",
    );
    tried.checkpoint(
        &ground,
        &key,
        &named("ledger\u{a0}example"),
        form,
        "a key name with a no-break space",
    );
    tried.checkpoint(
        &ground,
        &key,
        &named("other.example/x"),
        "checkpoint.key",
        "signed by a key that is not pinned",
    );
    let encoded = |blob: &[u8]| with(&format!("— {ORIGIN} {}\n", b64(blob)));
    let bad = "checkpoint.signature";
    tried.checkpoint(
        &ground,
        &key,
        &encoded(&malleable(&blob)),
        bad,
        "a signature with S ≥ L (the order added)",
    );
    let mut point = blob.clone();
    point[4..36].copy_from_slice(&small_order()[2]);
    tried.checkpoint(
        &ground,
        &key,
        &encoded(&point),
        bad,
        "a signature whose R is of small order",
    );
    tried.checkpoint(
        &ground,
        &key,
        &encoded(&blob[..67]),
        bad,
        "a signature of 63 bytes",
    );
    let both = with(&format!("{line}— {ORIGIN} {}\n", b64(&point)));
    tried.checkpoint(
        &ground,
        &key,
        &both,
        bad,
        "a good signature and a bad one of the same key",
    );

    // One key in two roles: a cosignature is no signature of the ledger, and the other way round.
    let id = hex::encode(forger.keyring.checkpoint().vkey().id());
    let file = forger.paths.keyring.join(format!("checkpoint-{id}.pem"));
    let seed = whereas::keyring::read_signing_key(&file);
    let seed = seed.map_err(|e| e.to_string())?;
    let cosigner = Cosigner::new(ORIGIN, seed).ok_or("a key name")?;
    let cosigned = with(&cosigner.cosign(&text, 1));
    tried.checkpoint(
        &ground,
        &key,
        &cosigned,
        "checkpoint.key",
        "the ledger's key used as a witness's",
    );
    let as_witness = [cosigner.vkey().clone()];
    tried.checkpoint(
        &ground,
        &as_witness,
        &note,
        "ledger.foreign",
        "only a witness's key pinned, of the ledger's name",
    );

    // Keys.
    let raw = signer.vkey().key().to_bytes();
    let typed = |t: u8| vkey(ORIGIN, &[&[t][..], &raw].concat());
    assert_eq!(Vkey::parse(&typed(1))?.algorithm(), Algorithm::Ed25519);
    for (kind, what) in [
        (0, "a verifier key of type 0"),
        (2, "a verifier key of type 2 (ECDSA)"),
        (5, "a verifier key of type 5"),
        (6, "a verifier key of type 6 (ML-DSA-44)"),
        (255, "a verifier key of type 255"),
    ] {
        tried.key(&typed(kind), what);
    }
    tried.key(&vkey(ORIGIN, &raw), "a verifier key without a type");
    tried.key(
        &vkey("ledger example", &[&[1][..], &raw].concat()),
        "a verifier key whose name has a space",
    );
    tried.key(
        &format!("a+{}", typed(1)),
        "a verifier key whose name has a plus sign",
    );
    for point in small_order() {
        let text = vkey(ORIGIN, &[&[1][..], &point].concat());
        assert!(Vkey::parse(&text).is_err(), "{}", hex::encode(point));
    }
    let weak = vkey(ORIGIN, &[&[1][..], &small_order()[2]].concat());
    tried.key(&weak, "a public key of small order, in any encoding");
    for n in 0..19_u8 {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (0xed + n, 0x7f);
        for sign in [0, 0x80] {
            point[31] = 0x7f | sign;
            let text = vkey(ORIGIN, &[&[1][..], &point].concat());
            assert!(Vkey::parse(&text).is_err(), "y = p + {n}, {sign}");
        }
    }
    let mut high = [0xff; 32];
    (high[0], high[31]) = (0xed + 3, 0x7f);
    tried.key(
        &vkey(ORIGIN, &[&[1][..], &high].concat()),
        "a public key with y ≥ p",
    );

    // Envelopes.
    let sigs = "/envelope/signatures";
    tried.report(
        &ground,
        |v| v["envelope"]["signatures"] = json!([]),
        "envelope.signatures",
        "an envelope without signatures",
    );
    tried.report(
        &ground,
        |v| {
            let again = v.pointer(sigs).unwrap()[0].clone();
            v["envelope"]["signatures"] = json!([again, again]);
        },
        "envelope.signatures",
        "an envelope with two signatures",
    );
    tried.report(
        &ground,
        |v| v["envelope"]["payloadType"] = json!("application/json"),
        "envelope.form",
        "an envelope of another payloadType",
    );
    tried.report(
        &ground,
        |v| {
            let sig = v.pointer("/envelope/signatures/0/sig").unwrap();
            let sig = decode_b64(sig.as_str().unwrap()).unwrap();
            v["envelope"]["signatures"][0]["sig"] = json!(b64(&malleable(&sig)));
        },
        "envelope.signature",
        "an envelope's signature with S ≥ L",
    );

    let mut said = Said::default();
    said.note("downgrades/tried", &tried.0);
    for kind in [
        "leaves",
        "checkpoints",
        "receipts",
        "reports",
        "disclosures",
    ] {
        said.note(&format!("downgrades/{kind}"), &listed(kind)?);
    }
    said.compare("downgrades")
}

/// What the files of `tests/formats/bad` try, which another test runs.
fn listed(kind: &str) -> Outcome<String> {
    let file = format!("tests/formats/bad/{kind}.json");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    let all: Vec<Value> = serde_json::from_str(&text)?;
    let mut tried = Tried::default();
    for one in all {
        let member = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        tried.row(&member("why"), &member("code"));
    }
    Ok(tried.0)
}
