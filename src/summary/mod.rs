//! Summaries: what a call came to, made from its transcript once it is over.
//!
//! Rules make one in milliseconds ([`extract`]), from the call's own sentences. Where a language model is configured it
//! words the summary instead; people's details are masked before anything leaves the process, and whenever the model
//! fails, the rules' summary stands in and says why. Nothing here touches a running call.

mod chat;
mod config;
mod extract;
mod language;
mod mask;
mod spoken;
mod spot;

use std::sync::Arc;

use secrecy::SecretString;

use crate::model::id::CallId;
use crate::model::reason::Direction;
use crate::model::summary::Summary;
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, Unheard};
use chat::{Chat, Line, Sheet};
use mask::{Mask, Veil};

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

/// Why a call has no summary.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    #[error("calls are not summed up: set summary.engine")]
    Off,
    #[error("nothing of the call was written down yet: sum it up again once its transcript is complete")]
    NoTranscript,
    #[error("the summary was given up because the gateway stops or has an error: sum the call up again")]
    GivenUp(#[source] tokio::task::JoinError),
}

/// The language model's client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0}")]
    Config(String),
    #[error("cannot set up HTTPS towards summary.url; are the system's CA certificates installed?")]
    Tls(#[source] reqwest::Error),
}

/// Sums calls up. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Summariser {
    engine: Engine,
    /// The language asked for; empty: the call's own.
    language: String,
    chat: Option<Arc<Chat>>,
    mask: Arc<Mask>,
}

/// A summary by rules, and what a language model is shown to make a better one.
pub struct Draft {
    call: CallId,
    pub by_rules: Summary,
    for_model: Option<(Sheet, Veil)>,
}

impl std::fmt::Debug for Draft {
    /// Without what was said, and without people's details.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Draft {
    /// Whether a language model is to be asked.
    pub fn is_for_model(&self) -> bool {
        self.for_model.is_some()
    }
}

impl Summariser {
    /// `api_key`: what `api_key_file` or the environment gives.
    ///
    /// # Errors
    /// [`SetupError`] for a configuration that [`Config::errors`] refuses, or without usable CA certificates.
    pub fn new(config: &Config, api_key: Option<SecretString>) -> Result<Self, SetupError> {
        if let Some(error) = config.errors().into_iter().next() {
            return Err(SetupError::Config(error));
        }
        let chat = match config.engine {
            Engine::Openai => Some(Arc::new(Chat::new(config, api_key).map_err(SetupError::Tls)?)),
            Engine::Extractive | Engine::Off => None,
        };
        let mask = Arc::new(Mask::new(config));
        Ok(Self { engine: config.engine, language: config.language.clone(), chat, mask })
    }

    /// Whether calls are summed up at all.
    pub fn is_on(&self) -> bool {
        self.engine != Engine::Off
    }

    /// Sums a call up by rules, in an instant. Asking again for the same call does no harm.
    ///
    /// # Errors
    /// [`SummaryError`].
    pub async fn draft(
        &self,
        call: &CallFacts,
        transcript: &[Segment],
        unheard: &[Unheard],
    ) -> Result<Draft, SummaryError> {
        if !self.is_on() {
            return Err(SummaryError::Off);
        }
        if !transcript.iter().any(is_told) && !unheard.is_empty() {
            return Err(SummaryError::NoTranscript);
        }
        let prepare = {
            let (this, call) = (self.clone(), call.clone());
            let (transcript, unheard) = (transcript.to_vec(), unheard.to_vec());
            move || {
                let by_rules = extract(&call, &transcript, &unheard);
                // Of a greeting and a farewell a model would make a story.
                let asks = this.chat.is_some() && !by_rules.key_points.is_empty();
                let for_model = asks.then(|| this.sheet(&call, &transcript));
                Draft { call: call.call, by_rules, for_model }
            }
        };
        // An hour of talk takes the rules a good part of a second: too long for a thread that others wait for.
        tokio::task::spawn_blocking(prepare).await.map_err(SummaryError::GivenUp)
    }

    /// Has the language model word a draft, if one is configured, within `timeout_s`. Whenever
    /// that fails, the draft stands in and says why: see [`Summary::fallback_reason`].
    pub async fn finish(&self, draft: Draft) -> Summary {
        let Draft { call, mut by_rules, for_model } = draft;
        let (Some(chat), Some((sheet, veil))) = (&self.chat, for_model) else { return by_rules };
        chat.summarise(&sheet, &veil, &by_rules).await.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error);
            tracing::warn!(%call, %error, cause, "summed up by rules instead");
            by_rules.fallback_reason = Some(error.to_string());
            by_rules
        })
    }

    /// What the model is shown of the transcript, and what was taken out of it.
    fn sheet(&self, call: &CallFacts, transcript: &[Segment]) -> (Sheet, Veil) {
        let (code, language) = language::spoken_in(transcript, call.language.as_deref());
        let mut told: Vec<&Segment> = transcript.iter().filter(|segment| is_told(segment)).collect();
        told.sort_by_key(|segment| (segment.start_ms, segment.speaker, segment.index));
        let (texts, veil) = self.mask.apply(&told, &call.names, language);
        let lines = told.iter().zip(texts).map(|(segment, text)| Line::new(segment, text, language)).collect();
        let write_in = Some(self.language.clone()).filter(|code| !code.is_empty());
        (Sheet { lines, language, code, write_in }, veil)
    }
}

/// A last word, and not an empty one.
fn is_told(segment: &Segment) -> bool {
    segment.is_final && !segment.text.trim().is_empty()
}

#[cfg(test)]
mod tests;
