//! What can go wrong with the store.

use std::path::PathBuf;

/// A failure of the store. The sentence says what failed and, where the operator can mend it, how.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// `data.url` names something this build cannot open.
    #[error("data.url: {0}")]
    Url(String),
    #[error("cannot {verb} {path}", path = .path.display())]
    File {
        /// What was tried, e.g. `create the folder`.
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open the database {name}: is it a Tandem database, and may this user write it?")]
    Open {
        name: String,
        #[source]
        source: sqlx::Error,
    },
    /// PostgreSQL cannot be reached or does not let us in.
    #[error("cannot use the database {name}: {advice}")]
    Server {
        /// Host, port and database.
        name: String,
        /// What the operator can do.
        advice: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database {name} is in use by another tandem{place}; stop it, or give this one a database of its own")]
    InUse {
        name: String,
        /// `, connected from …`, where that is known.
        place: String,
    },
    #[error(
        "the database {name} was written by a newer Tandem (schema {found}, this program knows {known}): \
         start that version, or restore the backup made before the upgrade"
    )]
    Newer { name: String, found: i64, known: i64 },
    #[error("cannot bring the database {name} to this program's schema")]
    Migrate {
        name: String,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The key file that seals Graph tokens is gone, damaged or another one's.
    #[error("{path}: {problem}", path = .path.display())]
    SecretKey { path: PathBuf, problem: String },
    /// A row refers to something that is not there, e.g. an agent to an unknown team.
    #[error("{0} does not exist")]
    Missing(String),
    /// A value that must be unique is in use elsewhere.
    #[error("{0} is already taken")]
    Taken(String),
    /// A value that cannot be taken; of which field, and why.
    #[error("{field}: {reason}")]
    Refused { field: &'static str, reason: String },
    /// A live copy of a call tried to overwrite its end.
    #[error("call {0} has ended in the store; a running copy may not overwrite that")]
    CallEnded(crate::model::id::CallId),
    /// The contact was folded into another while something was written about it. Done again, it passes.
    #[error("the contact turned out to be another one meanwhile: try again")]
    Overtaken,
    #[error("`cursor` is not one this gateway gave out: leave it away to start at the first page")]
    BadCursor,
    /// A row does not read back as what was written.
    #[error("the database holds a damaged value in column `{column}`: {problem}")]
    Damaged { column: String, problem: String },
}

impl StoreError {
    /// What the violated constraint means to whoever wrote `what`; other failures stay the database's.
    pub(super) fn on_write(what: impl FnOnce() -> String) -> impl FnOnce(sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        move |error| match error.as_database_error().map(|e| e.kind()) {
            Some(ErrorKind::UniqueViolation) => Self::Taken(what()),
            Some(ErrorKind::ForeignKeyViolation | ErrorKind::NotNullViolation) => Self::Missing(what()),
            _ => Self::Database(error),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;
