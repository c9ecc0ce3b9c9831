//! Summaries by a language model, over any endpoint that speaks OpenAI's chat completions
//! (<https://platform.openai.com/docs/api-reference/chat/create>): llama.cpp, Ollama, vLLM and the large services do.
//!
//! A model may be slow, wrong, or talked round by what a caller says. So its answer is never taken at its word: each
//! statement names the places it rests on, and what they do not bear out is left out. One chance to mend it, then what is
//! left counts; if nothing is, the rules' own summary stands in.

mod answer;
mod evidence;
mod prompt;
mod rest;
mod wire;

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::model::rtp::Side;
use crate::model::summary::{ActionItem, Outcome, Point, Question, Summary, SummaryKind};
use crate::model::transcript::Segment;

use super::config::Config;
use super::language::Language;
use super::mask::Veil;
use answer::{Checked, Draft};
use evidence::Holds;
use prompt::Message;
use rest::Rest;
use wire::Wire;

/// The transcript as the model sees it. Line `i` has the id `i + 1`.
pub(super) struct Sheet {
    pub lines: Vec<Line>,
    pub language: &'static Language,
    /// The call's language, ISO 639-1.
    pub code: Option<String>,
    /// The language asked for, where it is not simply the call's.
    pub write_in: Option<String>,
}

/// One segment, without people's details.
pub(super) struct Line {
    pub speaker: Side,
    pub start_ms: u64,
    pub end_ms: u64,
    pub text: String,
    holds: Holds,
}

impl Line {
    /// `text`: the segment's, without people's details.
    pub(super) fn new(segment: &Segment, text: String, language: &Language) -> Self {
        let holds = Holds::new(&text, language);
        Self { speaker: segment.speaker, start_ms: segment.start_ms, end_ms: segment.end_ms, text, holds }
    }
}

/// Why there is no summary from the endpoint; each sentence stands in a summary's `fallback_reason`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChatError {
    #[error("the endpoint cannot be reached: check summary.url and whether the server runs")]
    Unreachable(#[source] reqwest::Error),
    #[error("the endpoint answered {status}: {message}{}", remedy(*.status))]
    Refused { status: u16, message: String },
    #[error("the endpoint did not answer the calls before: it is asked again in some minutes")]
    Resting,
    #[error("the endpoint took too long: raise summary.timeout_s or choose a faster model")]
    TooSlow,
    #[error("the endpoint's answer cannot be used: {0}")]
    Unusable(String),
    #[error("the call is too long for the endpoint: raise summary.chunk_tokens if the model takes more at once")]
    TooLong,
}

/// 24 chunks of 6,000 tokens are some eight hours of talk.
const CHUNKS_MAX: usize = 24;
/// Chunks under way at once: a server of one's own rarely gains from more.
const CHUNKS_AT_ONCE: usize = 2;

/// Calls asked about at once: more would only wait there.
const CALLS_AT_ONCE: usize = 4;

/// The language model.
#[derive(Debug)]
pub(super) struct Chat {
    wire: Wire,
    turns: Semaphore,
    rest: Mutex<Rest>,
    model: String,
    timeout: Duration,
    chunk_tokens: usize,
}

impl Chat {
    pub(super) fn new(config: &Config, key: Option<SecretString>) -> Result<Self, reqwest::Error> {
        Ok(Self {
            wire: Wire::new(config, key)?,
            turns: Semaphore::new(CALLS_AT_ONCE),
            rest: Mutex::default(),
            model: config.model.clone(),
            timeout: Duration::from_secs(config.timeout_s),
            chunk_tokens: config.chunk_tokens,
        })
    }

    /// The rules' summary with the model's wording in place of the quotes. Details and figures stay the rules'.
    pub(super) async fn summarise(&self, sheet: &Sheet, veil: &Veil, by_rules: &Summary) -> Result<Summary, ChatError> {
        let until = Instant::now() + self.timeout;
        // Who waits for a turn waits for the summary, too.
        let turn = tokio::time::timeout_at(until, self.turns.acquire()).await.map_err(|_| ChatError::TooSlow)?;
        let _turn = turn.expect("it is never closed");
        if !self.rest().may_ask(Instant::now().into_std()) {
            return Err(ChatError::Resting);
        }
        let made = self.make(sheet, veil, by_rules, until).await;
        let answered = !matches!(made, Err(ChatError::TooSlow | ChatError::Unreachable(_)));
        self.rest().note(answered, Instant::now().into_std());
        made
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, sheet: &Sheet, veil: &Veil, by_rules: &Summary, until: Instant) -> Result<Summary, ChatError> {
        let chunks = chunks(sheet, self.chunk_tokens);
        if chunks.len() > CHUNKS_MAX {
            return Err(ChatError::TooLong);
        }
        if let [whole] = &*chunks {
            let checked = self.ask(prompt::ask(sheet, whole.clone()), sheet, until).await?;
            return Ok(self.summary(checked, 0, sheet, veil, by_rules));
        }
        let asked = chunks.into_iter().map(|chunk| self.ask(prompt::ask(sheet, chunk), sheet, until));
        let parts: Vec<Result<Checked, ChatError>> =
            futures_util::stream::iter(asked).buffered(CHUNKS_AT_ONCE).collect().await;
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let withheld = parts.iter().map(|part| part.faults.len()).sum();
        let parts: Vec<Draft> = parts.into_iter().map(|part| part.draft).collect();
        let checked = self.ask(prompt::join(sheet, &parts), sheet, until).await?;
        Ok(self.summary(checked, withheld, sheet, veil, by_rules))
    }

    /// Asks, and asks once more where there is something to mend.
    async fn ask(&self, messages: Vec<Message>, sheet: &Sheet, until: Instant) -> Result<Checked, ChatError> {
        let text = self.wire.ask(&messages, until).await?;
        let first = answer::read(&text).map(|draft| answer::check(draft, sheet));
        let faults = match &first {
            Ok(checked) if checked.faults.is_empty() && !checked.is_empty() => {
                return first.map_err(ChatError::Unusable);
            }
            Ok(checked) if checked.faults.is_empty() => vec!["summary and key_points are empty".to_owned()],
            Ok(checked) => checked.faults.clone(),
            Err(fault) => vec![fault.clone()],
        };
        tracing::debug!(?faults, "the summary's endpoint is asked to mend its answer");
        let second = match self.wire.ask(&prompt::repair(messages, &text, &faults), until).await {
            Ok(text) => answer::read(&text).map(|draft| answer::check(draft, sheet)),
            Err(error) => Err(error.to_string()),
        };
        let is_something = |checked: &Checked| !checked.is_empty();
        let best = second.or_else(|fault| first.map_err(|_| fault)).map_err(ChatError::Unusable)?;
        let nothing = || ChatError::Unusable("the transcript bears out nothing of it".to_owned());
        Some(best).filter(is_something).ok_or_else(nothing)
    }

    fn summary(&self, checked: Checked, withheld: usize, sheet: &Sheet, veil: &Veil, by_rules: &Summary) -> Summary {
        let Checked { draft, faults } = checked;
        let point = |text: &str, evidence: &[usize]| {
            let first = evidence.iter().min().map_or(0, |id| id - 1);
            let line = &sheet.lines[first];
            Point { text: veil.lift(text.trim()), speaker: line.speaker, start_ms: line.start_ms, end_ms: line.end_ms }
        };
        let reason = draft.reason.map(|reason| point(&reason.text, &reason.evidence));
        let key_points: Vec<Point> = draft.key_points.iter().map(|said| point(&said.text, &said.evidence)).collect();
        let text = match veil.lift(&draft.summary) {
            text if text.is_empty() => key_points.iter().map(|point| point.text.as_str()).collect::<Vec<_>>().join(" "),
            text => text,
        };
        Summary {
            kind: SummaryKind::Generated,
            model: Some(self.model.clone()),
            language: draft.language.or_else(|| sheet.write_in.clone()).or_else(|| by_rules.language.clone()),
            text,
            reason,
            key_points,
            questions: draft
                .questions
                .into_iter()
                .map(|asked| Question { point: point(&asked.text, &asked.evidence), answered: asked.answered })
                .collect(),
            action_items: draft
                .action_items
                .into_iter()
                .map(|task| ActionItem {
                    owner: task.owner,
                    point: point(&task.text, &task.evidence),
                    due: task.due.map(|due| veil.lift(&due)).filter(|due| !due.trim().is_empty()),
                })
                .collect(),
            outcome: draft.outcome.map(|end| Outcome { word: end.word, point: point(&end.text, &end.evidence) }),
            withheld: u32::try_from(withheld + faults.len()).unwrap_or(u32::MAX),
            ..by_rules.clone()
        }
    }
}

/// Lines for each question to the model, none longer than `tokens` unless a single line is.
fn chunks(sheet: &Sheet, tokens: usize) -> Vec<Range<usize>> {
    /// What stands around each line's text: id, time, speaker.
    const AROUND: usize = 20;
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut used = 0;
    for (at, line) in sheet.lines.iter().enumerate() {
        let length = AROUND + tokens_in(&line.text);
        match chunks.last_mut() {
            Some(chunk) if used + length <= tokens => chunk.end = at + 1,
            _ => {
                chunks.push(at..at + 1);
                used = 0;
            }
        }
        used += length;
    }
    chunks
}

/// A guess on the safe side: four ASCII letters a token, other scripts one a letter.
fn tokens_in(text: &str) -> usize {
    let others = text.chars().filter(|c| !c.is_ascii()).count();
    (text.chars().count() - others).div_ceil(4) + others
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => " (check summary.api_key_file)",
        404 => " (check summary.url, which ends before /chat/completions, and summary.model)",
        400 | 413 | 422 => " (check summary.model; if the call is too long for it, lower summary.chunk_tokens)",
        _ => "",
    }
}
