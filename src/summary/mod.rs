//! Summaries: what a call came to, made from its transcript once it is over.

mod config;
mod extract;
mod language;
mod spoken;
mod spot;

use crate::model::id::CallId;
use crate::model::reason::Direction;
use crate::model::time::Timestamp;

pub use config::{Config, Engine, Pii};
pub use extract::extract;

/// What is known of a call beside its words.
#[derive(Clone, Debug)]
pub struct CallFacts {
    pub call: CallId,
    pub direction: Direction,
    /// When its sound began, which is where the transcript's times count from.
    pub started_at: Timestamp,
    /// Of its sound.
    pub duration_ms: u64,
    /// ISO 639-1, used where the recogniser does not tell; `None`: guessed from the words.
    pub language: Option<String>,
    /// Names of the two, where they are known: they are masked with everything else.
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests;
