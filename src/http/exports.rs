//! Exports: a ledger, or a part of it, as a file that verifies by itself.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, get, web};
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::Server;
use super::auth::{Exporting, InLedger, Sight};
use super::entries::case_name;
use super::problem::{Kind, Problem, ProblemBody};
use super::reads::{PURPOSE_DOC, Reading, Unrecorded};
use crate::access::Permission;
use crate::audit::archive::{self, Content, Filter, Manifest, Scope};
use crate::ledger::Id16;
use crate::reconstruct::{CaseName, CaseSight, find_case};
use crate::sequencer::Ledger;
use crate::store::{EntryQuery, StoreError};

/// Bytes that go out at once.
const PIECE: usize = 64 << 10;
/// Pieces that wait for a slow reader; then the ledger is read no further.
const WAITING: usize = 8;

/// What of the content an export is to hold.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportContent {
    /// Leaves and proofs only.
    None,
    /// The digests of disclosures.
    Digests,
    /// The disclosures of the cases that the caller may read, the digests of the others.
    Disclosed,
    /// As it is stored, sealed, for `whereas import`; needs the permission to operate.
    Sealed,
}

/// What to export: everything, one case, or a range of positions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// What of the content: `none`, `digests`, `disclosed` or `sealed`. Without it the most that the caller's grants
    /// permit of `disclosed` and `digests`; for an administrator `sealed`.
    #[param(inline, example = "digests")]
    content: Option<ExportContent>,
    /// One case: its id, or `~` and its pseudonym.
    #[param(example = "C-7")]
    case: Option<String>,
    /// First position of a range.
    #[param(example = 0)]
    first: Option<u64>,
    /// Last position of a range.
    #[param(example = 99)]
    last: Option<u64>,
}

/// Export a ledger or a part of it.
///
/// A tar file that `whereas verify ledger --export FILE --key VKEY` checks offline: a whole ledger in tlog-tiles layout,
/// or single entries with their proofs, and beside them the content that the caller may see. It is streamed; a file that
/// broke off lacks its last member and is refused.
#[utoipa::path(
    tag = "Proofs",
    params(
        ("ledger" = String, Path, description = "Name of the ledger", example = "demo"),
        ("Whereas-Purpose" = Option<String>, Header, description = PURPOSE_DOC, example = "Audit 2026/3"),
        ExportQuery
    ),
    responses(
        (status = 200, description = "The export file", body = Vec<u8>, content_type = "application/x-tar", example = json!("export.json …")),
        (status = 400, description = "The query is not understood", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Not permitted", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such ledger or case", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Unavailable; try again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
#[get("/v1/ledgers/{ledger}/export")]
pub async fn export(
    at: InLedger<Exporting>,
    server: web::Data<Server>,
    reading: Reading,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let (content, scope, permission) = permitted(&at, &query)?;
    let ledger = Arc::clone(&at.ledger);
    let (head, note) = ledger.checkpoint()?;
    let scope = match scope {
        Scope::Range { first, .. } if first >= head.size => {
            return Err(Problem::new(
                Kind::InvalidQuery,
                format!("`first` must be below the ledger's size, {}.", head.size),
            ));
        }
        Scope::Range { first, last } => Scope::Range {
            first,
            last: last.min(head.size - 1),
        },
        other => other,
    };
    let manifest = Manifest {
        v: archive::VERSION,
        ledger: ledger.origin().to_owned(),
        size: head.size,
        scope,
        content,
        exported: server.clock.now().to_string(),
        software: concat!("whereas ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let name = file_name(ledger.name(), &manifest);
    let mut access = reading.access(&at, permission, server.clock.now());
    access.as_of = head.size;
    access.content = content == Content::Disclosed;
    match scope {
        Scope::Case { case } => {
            access.case = Some(case);
            access.count = case_length(&ledger, &case, head.size)?;
        }
        Scope::Whole => {
            access.every_case = true;
            access.entries = Some((0, head.size - 1));
            access.count = head.size;
        }
        Scope::Range { first, last } => {
            access.every_case = true;
            access.entries = Some((first, last));
            access.count = last + 1 - first;
        }
    }
    let manifest = Unrecorded::new(&ledger, access, manifest).record().await?;
    let mut filter = BySight {
        ledger: Arc::clone(&ledger),
        sight: at.sight(Permission::ReadContent),
    };
    let (pieces, waiting) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let out = Pieces {
            to: pieces.clone(),
            bytes: Vec::with_capacity(PIECE),
        };
        let done = archive::write(&ledger, &manifest, &note, &mut filter, out)
            .and_then(|(_, mut out)| Ok(out.flush()?));
        if let Err(e) = done {
            tracing::error!(component = "http", error = %e, "an export broke off");
            // The reader sees a body that breaks off; when it is gone there is nobody to tell.
            let _ = pieces.blocking_send(Err(e.to_string()));
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-tar")
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ))
        .body(Streamed(waiting)))
}

/// How many entries of a case stand below a size.
fn case_length(ledger: &Ledger, case: &Id16, size: u64) -> Result<u64, StoreError> {
    let tail = ledger.reader().case_tail(case)?;
    let Some((last, seq)) = tail else {
        return Ok(0);
    };
    if seq < size {
        return Ok(last + 1);
    }
    let query = EntryQuery {
        case: Some(*case),
        below: size,
        limit: usize::try_from(last + 1).unwrap_or(usize::MAX),
        ..EntryQuery::default()
    };
    Ok(ledger.reader().entries(&query)?.len() as u64)
}

fn file_name(ledger: &str, manifest: &Manifest) -> String {
    let part = match manifest.scope {
        Scope::Whole => String::new(),
        Scope::Range { first, last } => format!("-{first}-{last}"),
        Scope::Case { case } => format!("-case-{case}"),
    };
    format!("{ledger}{part}-at-{}.tar", manifest.size)
}

/// What the caller may have of what they ask for, and by which permission.
fn permitted(
    at: &InLedger<Exporting>,
    query: &ExportQuery,
) -> Result<(Content, Scope, Permission), Problem> {
    let invalid = |detail: &str| Err(Problem::new(Kind::InvalidQuery, detail));
    let forbidden = |detail: &str| Err(Problem::new(Kind::Forbidden, detail));
    let reads = at.may(Permission::ReadContent);
    let leaves = if reads {
        Permission::ReadContent
    } else {
        Permission::ReadProofs
    };
    let content = match query.content {
        Some(ExportContent::Sealed) => Content::Sealed,
        Some(ExportContent::None) => Content::None,
        Some(ExportContent::Digests) => Content::Digests,
        Some(ExportContent::Disclosed) if !reads => {
            return forbidden(
                "Disclosures need a grant that permits read_content; ask for `content=digests`.",
            );
        }
        Some(ExportContent::Disclosed) => Content::Disclosed,
        None if reads => Content::Disclosed,
        None if at.may(leaves) => Content::Digests,
        None => Content::Sealed,
    };
    let scope = match (&query.case, query.first, query.last) {
        (None, None, None) => Scope::Whole,
        (None, first, last) => {
            let (first, last) = (first.unwrap_or(0), last.unwrap_or(u64::MAX));
            if first > last {
                return invalid("`first` must not be greater than `last`.");
            }
            Scope::Range { first, last }
        }
        (Some(case), None, None) => {
            let name = case_name(case);
            if !reads && matches!(name, CaseName::Id(_)) {
                // Case ids are content: whoever reads leaves only must not find out by guessing.
                return Err(Problem::not_found("case"));
            }
            Scope::Case {
                case: find_case(&at.ledger, &name, &at.sight(leaves))?,
            }
        }
        (Some(_), ..) => return invalid("Name a case or a range, not both."),
    };
    if content == Content::Sealed {
        return match scope {
            _ if !at.may(Permission::Operate) => {
                forbidden("A sealed export needs a grant for this ledger that permits operate.")
            }
            Scope::Whole => Ok((content, scope, Permission::Operate)),
            _ => invalid("A sealed export is for restoring: it always holds the whole ledger."),
        };
    }
    if !at.may(leaves) {
        return forbidden(
            "Leaves need a grant for this ledger that permits read_proofs or read_content; an administrator may export with `content=sealed`.",
        );
    }
    if !matches!(scope, Scope::Case { .. }) && !at.sight(leaves).is_all() {
        return forbidden("Your grants are for single cases: say which with the parameter `case`.");
    }
    Ok((content, scope, leaves))
}

/// Shows the content of the cases that a caller may read.
struct BySight {
    ledger: Arc<Ledger>,
    sight: Sight,
}

impl Filter for BySight {
    fn shows(&mut self, case: Option<&Id16>) -> Result<bool, StoreError> {
        if self.sight.is_all() {
            return Ok(true);
        }
        let blind = match case {
            Some(case) => self
                .ledger
                .reader()
                .case_by_pseudonym(case)?
                .map(|f| f.blind),
            None => None,
        };
        Ok(self.sight.sees(blind.as_ref()))
    }
}

/// Writes into the channel, a piece at a time; waits while the reader is slow.
struct Pieces {
    to: mpsc::Sender<Result<Bytes, String>>,
    bytes: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend(bytes);
        if self.bytes.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(
            &mut self.bytes,
            Vec::with_capacity(PIECE),
        ));
        self.to
            .blocking_send(Ok(piece))
            .map_err(|_| std::io::Error::other("the reader went away"))
    }
}

/// The body: what comes out of the channel. It ends well only when the export did.
struct Streamed(mpsc::Receiver<Result<Bytes, String>>);

impl MessageBody for Streamed {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|p| p.map_err(std::io::Error::other)))
    }
}
