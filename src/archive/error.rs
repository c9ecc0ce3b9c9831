//! What goes wrong between here and the store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be brought there or back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(
        "the store refuses these credentials: check archive.access_key_id, its secret, and what they may do in the bucket"
    )]
    Refused(#[source] Box<object_store::Error>),
    #[error("the store has no such bucket: make it, or correct recording.store")]
    NoBucket(#[source] Box<object_store::Error>),
    #[error("{key} is not in the store")]
    Missing {
        key: String,
        #[source]
        source: Box<object_store::Error>,
    },
    #[error("the store does not answer as it should")]
    Away(#[source] Box<object_store::Error>),
    #[error("what the store gives back as {key} is not what was put there")]
    Altered { key: String },
    #[error("there is no room for {needed} more bytes in {}: free some space there", .folder.display())]
    NoRoom { needed: u64, folder: PathBuf },
    #[error("cannot {verb} {}", .path.display())]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Answers of a store may be long pages.
const TOLD_MAX: usize = 400;

impl ArchiveError {
    pub(super) fn of(key: &str, error: object_store::Error) -> Self {
        use object_store::Error as E;
        let source = Box::new(error);
        match *source {
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Self::Refused(source),
            // S3's code is in the answer's body (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
            E::NotFound { .. } if source.to_string().contains("NoSuchBucket") => Self::NoBucket(source),
            E::NotFound { .. } => Self::Missing { key: key.to_owned(), source },
            _ => Self::Away(source),
        }
    }

    pub(super) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { verb, path: path.to_owned(), source }
    }

    /// The sentence with its cause, for logs and events.
    pub fn told(&self) -> String {
        // The store's own errors tell their causes themselves.
        let cause = std::error::Error::source(self).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{self}{cause}").chars().take(TOLD_MAX).collect()
    }
}
