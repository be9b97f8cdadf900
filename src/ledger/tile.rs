//! Names of tiles and entry bundles (C2SP tlog-tiles v0.1.0).
//!
//! A tile holds up to 256 hashes of one level, a bundle up to 256 entries; both are numbered from 0 and named by their
//! number in groups of three digits: `000`, `x001/x234/067`. One that is not full bears its width: `067.p/112`.

/// Items of a full tile, entries of a full bundle.
pub const WIDTH: u64 = 256;

/// The number of a tile in a path: groups of three digits, all but the last prefixed with `x`.
#[must_use]
pub fn number(n: u64) -> String {
    let mut path = format!("{:03}", n % 1_000);
    let mut rest = n / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    path
}

fn width_suffix(width: u64) -> String {
    if width == WIDTH {
        String::new()
    } else {
        format!(".p/{width}")
    }
}

/// The path of a tile of hashes, below the log's prefix.
#[must_use]
pub fn tile(level: u8, n: u64, width: u64) -> String {
    format!("tile/{level}/{}{}", number(n), width_suffix(width))
}

/// The path of a bundle of entries, below the log's prefix.
#[must_use]
pub fn bundle(n: u64, width: u64) -> String {
    format!("tile/entries/{}{}", number(n), width_suffix(width))
}

/// Reads `<number>` or `<number>.p/<width>`: number and width. Only the one way of writing each is read.
#[must_use]
pub fn parse(path: &str) -> Option<(u64, u64)> {
    let (digits, width) = match path.split_once(".p/") {
        Some((digits, width)) => (digits, width.parse().ok()?),
        None => (path, WIDTH),
    };
    let mut n: u64 = 0;
    for group in digits.split('/') {
        let group = group.strip_prefix('x').unwrap_or(group);
        if group.len() != 3 || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        n = n.checked_mul(1_000)?.checked_add(group.parse().ok()?)?;
    }
    let written = format!("{}{}", number(n), width_suffix(width));
    ((1..=WIDTH).contains(&width) && written == path).then_some((n, width))
}

/// The bytes of a bundle: each entry after its length in two bytes, big-endian. `None` when an entry is too long.
#[must_use]
pub fn encode_bundle<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for leaf in leaves {
        out.extend(u16::try_from(leaf.len()).ok()?.to_be_bytes());
        out.extend(leaf);
    }
    Some(out)
}

/// The entries of a bundle; `None` when it breaks off.
#[must_use]
pub fn decode_bundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        leaves.push(leaf);
        bytes = rest;
    }
    bytes.is_empty().then_some(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_written_as_the_specification_shows() {
        for (n, path) in [
            (0, "000"),
            (999, "999"),
            (1_000, "x001/000"),
            (1_234_067, "x001/x234/067"),
        ] {
            assert_eq!(number(n), path);
            assert_eq!(parse(path), Some((n, WIDTH)));
        }
        assert_eq!(tile(1, 1_000, 17), "tile/1/x001/000.p/17");
        for bad in [
            "",
            "0",
            "00",
            "0000",
            "x000/000",
            "x000/001",
            "001/000",
            "x001",
            "000.p/0",
            "000.p/256",
            "000.p/01",
            "000.p/",
            "000.p/+1",
            "-00",
            "000/",
            "/000",
            "000.p/1.p/1",
            "x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_inverts_writing(n in any::<u64>(), width in 1..=256_u64) {
            let path = format!("{}{}", number(n), width_suffix(width));
            prop_assert_eq!(parse(&path), Some((n, width)));
        }

        #[test]
        fn bundles_come_back(leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20), cut in any::<prop::sample::Index>()) {
            let bytes = encode_bundle(leaves.iter().map(Vec::as_slice)).unwrap_or_default();
            let back = decode_bundle(&bytes).unwrap_or_default();
            prop_assert_eq!(&back, &leaves.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if !bytes.is_empty() {
                let cut = cut.index(bytes.len());
                let part = decode_bundle(&bytes[..cut]);
                prop_assert!(part.is_none_or(|p| p.len() < leaves.len()));
            }
        }
    }
}
