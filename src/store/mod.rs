//! The store: everything that must survive the process, in SQLite beside the program or in PostgreSQL.
//!
//! One text of SQL serves both. What makes that safe, and must stay true of every statement added here:
//!
//! 1. **Types.** BIGINT (milliseconds, counts), TEXT (ids, words, JSON), BYTEA, SMALLINT for yes and no. The driver in
//!    between cannot read SQLite's BOOLEAN nor PostgreSQL's UUID, NUMERIC or JSONB; `sum()` is NUMERIC on PostgreSQL, so
//!    it is always `CAST(sum(x) AS BIGINT)`. TEXT never holds U+0000, which PostgreSQL refuses.
//! 2. **Placeholders** are `$1`, `$2`, …; `ON CONFLICT` and `RETURNING` mean the same on both sides.
//! 3. **A transaction that checks and then acts begins with a write on the parent row.** That takes the row lock on
//!    PostgreSQL and the write lock on SQLite, with identical text; a transaction that reads first and writes later can
//!    fail with SQLITE_BUSY_SNAPSHOT on the one and lose an update on the other. The row of `counters` named `events`
//!    is always locked last, so that no two transactions wait for each other.
//! 4. **No macros of sqlx**: checked queries know one database only.
//! 5. **READ COMMITTED** is all that writers rely on, and rule 3 is what makes it enough: each statement after the first
//!    one sees what the holder of the row before us committed. Every connection sets that level itself (see `postgres`),
//!    because at a stricter default the same writers would fail instead of waiting in line. Readers see one moment
//!    throughout a transaction on both databases.
//! 6. **An error ends the transaction.** PostgreSQL refuses every further statement in it; what may fail and be gone on
//!    from is said with `ON CONFLICT`.
//! 7. **Nothing counts rows of a growing table** on the way of a call: what routing asks is answered from an index.
//!
//! On SQLite all writing goes through one connection, so writers queue in order instead of polling a lock, and reading
//! goes through a few others, which WAL never makes wait. `synchronous=FULL` costs one fsync per transaction and buys
//! that whatever was answered survives a power cut too, not only a kill: Meta does not send a webhook again after our
//! 200. The need is some ten transactions per call, disks do hundreds per second.
//!
//! What must be readable again but not by a thief of the database (Graph tokens) is sealed with `secret.key`; what need
//! only be recognised (API keys, agent tokens) is kept as SHA-256: they are 256 bits of randomness, so no slow hash is
//! needed against guessing.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::AnyPool;

pub use call_record::Saved;
pub use calls::{CallFilter, LastTurn};
pub use claim::Claim;
pub use contacts::CustomerIdentity;
pub use day::{Figures, MissedCaller};
pub use devices::{Device, WayIn};
pub use dials::{DialWish, Look};
pub use error::StoreError;
pub use idempotency::Idempotent;
pub use keeping::{KeepingFigures, Kept};
pub use marks::Mark;
pub use notes::Subject;
pub use open::check_url;
pub use paging::{Page, Section};
pub use paying_in::{Adjustment, TopUp};
pub use permissions::PermissionFilter;
pub use prune::Pruned;
pub use push_subscriptions::{PUSH_SUBSCRIPTIONS_MAX, PushWish};
pub use rate_cards::IMPORTED;
pub use reconciliations::BusinessAccount;
pub use recordings::RecordingFile;
pub use reports::{AgentLoad, CallsReport, CountryCost, FunnelStep};
pub use requests::RequestWish;
pub use secrets::{AdminKey, SecretActor};
pub use settings::{Sighting, StoredSettings};
pub use sign_in::{Login, SESSION_PREFIX};
pub use statement::EntryFilter;
pub use summaries::{DueSummary, KeptSummary};
pub use terms::{KeptPack, Terms};
pub use transcripts::Transcript;
pub use unheard::DueTranscript;
pub use views::{View, ViewFilter, ViewWish};
pub use wallet::{Charged, Entry, Explanation, Wallet};

mod again;
mod books;
#[cfg(test)]
mod books_tests;
mod call_record;
mod calls;
mod claim;
mod contacts;
mod day;
mod devices;
mod dials;
mod directory;
mod documents;
mod error;
mod events;
mod facts;
mod idempotency;
mod identity;
mod keeping;
mod leaving;
mod marks;
mod notes;
mod open;
mod paging;
mod paying_in;
mod permissions;
mod pickup;
mod postgres;
mod prune;
mod push_subscriptions;
mod rate_cards;
mod reconciliations;
mod recordings;
mod replies;
mod reports;
mod requests;
mod restrictions;
mod secret_key;
mod secrets;
mod settings;
mod sign_in;
mod sql;
mod statement;
mod summaries;
mod terms;
mod transcripts;
mod unheard;
mod vapid_key;
mod views;
mod wallet;
#[cfg(test)]
mod wallet_tests;
mod webhooks;

#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod upgrade;

/// A charge that the ledger refused is tried again after this time.
const CHARGE_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The truth: everything that must survive the process. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    /// Takes every write. One connection on SQLite, several on PostgreSQL.
    writer: AnyPool,
    /// Takes reads that decide nothing.
    reader: AnyPool,
    key: Arc<secret_key::SecretKey>,
    /// What is decided inside a transaction is decided on these.
    terms: Arc<RwLock<Arc<Terms>>>,
    /// Held by whoever replaces them, from reading what they are made of to having kept them.
    terms_change: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// The policy and the prices in force.
    pub fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The turn to replace the terms: they are replaced one after the other, and so is what the wallet is paid in.
    pub async fn terms_change(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.terms_change).lock_owned().await
    }

    /// Puts others in force, for every decision that begins from now on.
    pub fn set_terms(&self, terms: Terms) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
