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

    /// Sums a call up, within `timeout_s` and an instant. Asking again for the same call does no harm.
    ///
    /// # Errors
    /// [`SummaryError`]. A language model that fails is none: see [`Summary::fallback_reason`].
    pub async fn summarise(
        &self,
        call: &CallFacts,
        transcript: &[Segment],
        unheard: &[Unheard],
    ) -> Result<Summary, SummaryError> {
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
                let sheet = this.chat.is_some().then(|| this.sheet(&call, &transcript));
                (by_rules, sheet)
            }
        };
        // An hour of talk takes the rules a good part of a second: too long for a thread that others wait for.
        let (mut by_rules, sheet) = tokio::task::spawn_blocking(prepare).await.map_err(SummaryError::GivenUp)?;
        let (Some(chat), Some((sheet, veil))) = (&self.chat, sheet) else { return Ok(by_rules) };
        // Of a greeting and a farewell a model would make a story.
        if by_rules.key_points.is_empty() {
            return Ok(by_rules);
        }
        match chat.summarise(&sheet, &veil, &by_rules).await {
            Ok(summary) => Ok(summary),
            Err(error) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(call = %call.call, %error, cause, "summed up by rules instead");
                by_rules.fallback_reason = Some(error.to_string());
                Ok(by_rules)
            }
        }
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
