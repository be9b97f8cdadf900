//! Checking an export file: one that is none, or breaks off, is refused as one that was altered is.

use std::io::Read;
use std::sync::atomic::Ordering;

use super::{ArchiveError, Reader, Scope, part, whole::Whole};
use crate::audit::folder::Progress;
use crate::audit::source::{self, Bundle, Fault, Source, SourceAudit};
use crate::audit::{AuditError, origin_of};
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::verify::ledger::{LedgerCheck, LedgerCode};

/// Checks an export.
///
/// # Errors
/// When the file cannot be read at all. One of another form is refused in the outcome.
pub fn verify(
    input: impl Read,
    audit: &SourceAudit,
    progress: &Progress,
) -> Result<LedgerCheck, AuditError> {
    let refused = |fault| source::verify(&mut Nothing(Some(fault)), audit, progress);
    let reader = match Reader::open(input) {
        Ok(reader) => reader,
        Err(e) => return refused(fault(e, "the file")?),
    };
    let origin = origin_of(&audit.keys)?;
    let checkpoint = match opened(&reader, &origin) {
        Ok(checkpoint) => checkpoint,
        Err(fault) => return refused(*fault),
    };
    progress
        .size
        .store(reader.manifest().size, Ordering::Relaxed);
    match reader.manifest().scope {
        Scope::Whole => source::verify(&mut Whole::new(reader), audit, progress),
        Scope::Range { first, last } if first > last => refused(manifest(
            LedgerCode::ExportForm,
            "The range of the export ends before it begins.".into(),
        )),
        Scope::Range { .. } | Scope::Case { .. } => {
            part::verify(reader, checkpoint, origin, audit, progress)
        }
    }
}

/// The file's own checkpoint, unverified, when manifest and pin agree with it.
fn opened<R: Read>(reader: &Reader<R>, origin: &str) -> Result<Checkpoint, Box<Fault>> {
    let own = reader.manifest();
    if own.ledger != origin {
        let text = format!(
            "The file says that it is an export of the ledger `{}`, and the pinned key is of `{origin}`.",
            own.ledger
        );
        return Err(Box::new(manifest(LedgerCode::ExportManifest, text)));
    }
    let wrong = |code, text| {
        Err(Box::new(Fault {
            code,
            seq: None,
            place: "member checkpoint".into(),
            text,
        }))
    };
    let read = Checkpoint::parse_unverified(reader.checkpoint()).map(|(read, _)| read);
    match read {
        Ok(read) if read.origin != origin => wrong(
            LedgerCode::CheckpointOrigin,
            CheckpointError::Origin(read.origin).to_string(),
        ),
        Ok(read) if read.size != own.size => {
            let text = format!(
                "The file says that it was taken at {} entries, and its checkpoint is of {}.",
                own.size, read.size
            );
            Err(Box::new(manifest(LedgerCode::ExportManifest, text)))
        }
        Ok(read) => Ok(read),
        Err(e) => wrong(
            LedgerCode::CheckpointForm,
            format!("The export's checkpoint cannot be read: {e}."),
        ),
    }
}

/// What is wrong with what the file says of itself.
pub(super) fn manifest(code: LedgerCode, text: String) -> Fault {
    Fault {
        code,
        seq: None,
        place: "member export.json".into(),
        text,
    }
}

/// What ends the reading. What the file system says is no matter of the file's form.
pub(super) fn fault(e: ArchiveError, place: impl Into<String>) -> Result<Fault, AuditError> {
    let (code, text) = match e {
        ArchiveError::Io(e) => return Err(e.into()),
        ArchiveError::Form(what) => (
            LedgerCode::ExportForm,
            format!(
                "This is no export file of a ledger in the form of the format: {what}. Nothing after that was read."
            ),
        ),
        ArchiveError::Truncated => (
            LedgerCode::ExportTruncated,
            "The export file breaks off before its end: it was not written whole, or something was cut off.".into(),
        ),
    };
    Ok(Fault {
        code,
        seq: None,
        place: place.into(),
        text,
    })
}

/// A source of which nothing could be used.
struct Nothing(Option<Fault>);

impl Source for Nothing {
    fn next(&mut self) -> Result<Option<Bundle>, AuditError> {
        Ok(None)
    }

    fn faults(&mut self) -> Vec<Fault> {
        self.0.take().into_iter().collect()
    }

    fn broke_off(&self) -> bool {
        true
    }
}
