//! No single byte of a report file can be changed unseen.

use proptest::prelude::*;

use super::builder::*;
use super::sound::erased;
use super::*;
use crate::verify::format::LIMITS;

/// Refused, or the same JSON written otherwise.
fn seen(bytes: &[u8], original: &str, built: &Built) -> bool {
    report::verify(bytes, &built.keys, &[], Some(&JUDGE)).refused()
        || crate::json::parse(bytes, LIMITS) == crate::json::parse(original.as_bytes(), LIMITS)
}

/// With everything that a file can hold but cosignatures of unknown witnesses, which nobody can check.
fn built() -> Built {
    let consistency = |ledger: &Ledger, file: &mut crate::verify::format::ReportFile| {
        (erased().file)(ledger, file);
        file.evidence.consistency = vec![ledger.consistency(5), ledger.consistency(8)];
    };
    let built = Build {
        withhold: vec!["/data/result"],
        file: Box::new(consistency),
        ..erased()
    }
    .run();
    assert_eq!(check(&built).problems, []);
    built
}

thread_local! {
    static SOUND: (Built, String) = {
        let built = built();
        let text = built.text();
        (built, text)
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn a_changed_byte_is_seen(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        SOUND.with(|(built, text)| {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = to;
            prop_assert!(seen(&bytes, text, built), "byte {at} to {to}");
            Ok(())
        })?;
    }

    #[test]
    fn a_flipped_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        SOUND.with(|(built, text)| {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(seen(&bytes, text, built), "byte {at}, bit {bit}");
            Ok(())
        })?;
    }

    #[test]
    fn a_byte_more_or_less_is_seen(at in any::<prop::sample::Index>(), more in any::<Option<u8>>()) {
        SOUND.with(|(built, text)| {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            match more {
                Some(byte) => bytes.insert(at, byte),
                None => { bytes.remove(at); }
            }
            prop_assert!(seen(&bytes, text, built), "byte {at}, {more:?}");
            Ok(())
        })?;
    }

    #[test]
    fn anything_at_all_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(report::verify(&bytes, &[], &[], None).refused());
        prop_assert!(crate::verify::receipt::verify(&bytes, &[], None).refused());
    }
}

#[test]
fn white_space_between_tokens_changes_nothing() {
    let built = built();
    let value: serde_json::Value = serde_json::from_str(&built.text()).unwrap();
    let got = check_file(&serde_json::to_string_pretty(&value).unwrap(), &built);
    assert_eq!(got.problems, []);
}
