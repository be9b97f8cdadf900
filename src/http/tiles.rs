//! The log as static files (C2SP tlog-tiles): checkpoint, tiles of hashes, bundles of leaves.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, get, web};

use super::auth::{InLedger, InLog, Knowing, Proofs};
use super::problem::{Kind, Problem, ProblemBody};
use super::proofs::PRIVATE_FOREVER;
use super::{Server, text};
use crate::access::Permission;
use crate::sequencer::{TILE, TileId};

/// Reads a place in tiles as it stands in addresses: groups of three digits, all but the last after an `x`; and
/// `.p/<width>` of a partial one. There is one way to write it.
fn parse_place(text: &str) -> Option<(u64, u64)> {
    let (index, width) = match text.split_once(".p/") {
        Some((index, width)) => {
            let read: u64 = decimal(width)?;
            (index, (1..TILE).contains(&read).then_some(read)?)
        }
        None => (text, TILE),
    };
    let mut groups = index.split('/').peekable();
    let mut at = 0_u64;
    let mut first = true;
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        let digits = if last {
            group
        } else {
            group.strip_prefix('x')?
        };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if first && !last && digits == "000" {
            return None;
        }
        first = false;
        at = at.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((at, width))
}

/// A number without sign or leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    (canonical || text == "0").then(|| text.parse().ok())?
}

fn parse_tile(level: &str, place: &str) -> Option<TileId> {
    let level = decimal(level)
        .and_then(|l| u8::try_from(l).ok())
        .filter(|l| *l < 64)?;
    let (index, width) = parse_place(place)?;
    Some(TileId {
        level,
        index,
        width,
    })
}

fn file(bytes: Vec<u8>, public: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, "application/octet-stream"));
    if public {
        response.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    } else {
        response.insert_header((CACHE_CONTROL, PRIVATE_FOREVER));
    }
    response.body(bytes)
}

/// The address's part as it was sent: nothing in a tile's address needs to be escaped.
fn part<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.match_info().get(name).unwrap_or_default()
}

/// Read the log's checkpoint.
///
/// The published one, as C2SP tlog-tiles wants it beside the tiles; all tiles of its size are there.
/// Without a token where the log is public (`public_log` in the configuration).
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo")),
    responses(
        (status = 200, description = "The checkpoint", body = String, content_type = "text/plain",
         example = json!("ledger.example/demo\n42\nNVhkB9jrSxZMcGs7Qx1kZz0S2eJ0xkD9Ut0dHcOJ1bY=\n\n— ledger.example/demo Hy49TN…\n")),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []), ())
)]
#[get("/v1/ledgers/{ledger}/log/checkpoint")]
pub async fn log_checkpoint(
    at: InLog<Knowing>,
    server: web::Data<Server>,
) -> Result<HttpResponse, Problem> {
    let (_, note) = server.published(&at.ledger)?;
    let mut response = text(note);
    let fresh = if at.public {
        "public, max-age=1"
    } else {
        "private, max-age=1"
    };
    response.headers_mut().insert(
        CACHE_CONTROL,
        actix_web::http::header::HeaderValue::from_static(fresh),
    );
    Ok(response)
}

/// Read a bundle of leaves.
///
/// 256 leaves from place `256·N` (C2SP tlog-tiles), or the first `W` of them under `N.p/W`, each after its length in two
/// bytes. Leaves show the activity of cases, though no content: this always needs a token whose grant is for all cases.
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
           ("bundle" = String, Path, description = "`N`, or `N.p/W`: groups of three digits, all but the last after an `x`", example = "x001/x234/067.p/8")),
    responses(
        (status = 200, description = "The bundle, binary", body = String, content_type = "application/octet-stream", example = json!("<2 bytes: 612><612 bytes: a leaf>…")),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger, or no such bundle in it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/log/tile/entries/{bundle:.*}")]
pub async fn entry_bundle(
    at: InLedger<Proofs>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    if !at.sight(Permission::ReadProofs).is_all() {
        return Err(Problem::new(
            Kind::Forbidden,
            "A bundle holds leaves of every case: this needs a grant that permits read_proofs for all cases.",
        ));
    }
    let tile = parse_tile("0", part(&request, "bundle"));
    let ledger = at.ledger;
    let bundle = web::block(move || tile.map(|t| ledger.bundle(t)).transpose())
        .await
        .map_err(Problem::internal)??;
    match bundle.flatten() {
        Some(bytes) => Ok(file(bytes, false)),
        None => Err(Problem::not_found("bundle")),
    }
}

/// Read a tile of hashes.
///
/// 256 hashes from place `256·N` of level `8·L` of the tree (C2SP tlog-tiles), or the first `W` of them under `N.p/W`.
/// Hashes tell nothing but how many there are. Without a token where the log is public (`public_log` in the
/// configuration).
#[utoipa::path(
    tag = "Proofs",
    params(("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
           ("level" = String, Path, description = "Level of tiles, 0 to 63", example = "0"),
           ("tile" = String, Path, description = "`N`, or `N.p/W`: groups of three digits, all but the last after an `x`", example = "x001/x234/067.p/8")),
    responses(
        (status = 200, description = "The tile, binary", body = String, content_type = "application/octet-stream", example = json!("<32 bytes: a hash><32 bytes: a hash>…")),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger, or no such tile in it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []), ())
)]
#[get("/v1/ledgers/{ledger}/log/tile/{level}/{tile:.*}")]
pub async fn hash_tile(at: InLog<Proofs>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let tile = parse_tile(part(&request, "level"), part(&request, "tile"));
    match tile.map(|t| at.ledger.tile(t)).transpose()?.flatten() {
        Some(bytes) => Ok(file(bytes, at.public)),
        None => Err(Problem::not_found("tile")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_in_one_way() {
        for (text, expected) in [
            ("000", (0, 256)),
            ("067", (67, 256)),
            ("999", (999, 256)),
            ("x001/000", (1_000, 256)),
            ("x001/x234/067", (1_234_067, 256)),
            ("x001/x234/067.p/1", (1_234_067, 1)),
            ("000.p/255", (0, 255)),
        ] {
            assert_eq!(parse_place(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "0",
            "00",
            "0000",
            "x000/001",
            "x001",
            "x001/x000",
            "001/000",
            "x001/0000",
            "x01/000",
            "X001/000",
            "+01",
            "-01",
            " 01",
            "000/",
            "/000",
            "x001//000",
            "000.p",
            "000.p/",
            "000.p/0",
            "000.p/01",
            "000.p/256",
            "000.p/1/",
            "000.p/+1",
            "000.p/1.p/1",
            "x001.p/1",
            "x018/x446/x744/x073/x709/x551/616",
            "x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(parse_place(text), None, "{text}");
        }
    }

    #[test]
    fn a_level_is_below_64() {
        assert!(parse_tile("0", "000").is_some() && parse_tile("63", "000").is_some());
        for level in [
            "64",
            "256",
            "00",
            "01",
            "-1",
            "",
            "x",
            "entries",
            "18446744073709551616",
        ] {
            assert_eq!(parse_tile(level, "000"), None, "{level}");
        }
    }
}
