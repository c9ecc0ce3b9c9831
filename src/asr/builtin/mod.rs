//! The recogniser in this process: OpenAI's Whisper on the CPU, no other machine, nothing leaves the house.
//!
//! Whisper hears whole pieces of sound, so a live leg is cut into stretches of speech ([`crate::asr::segmenter`]); a
//! stretch is decoded again and again while it grows, cheaply, for text on the screen, and once well when it has ended.
//! What cannot be done in time is given up in order: text on the screen first, then stretches, which are told as missed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::segmenter::{Segmenter, Speech};
use super::{Config, Engine, EngineError, Leg, Listener, Stream};
use crate::audio::RATE_HZ;
use crate::model::time::Clock;
use crate::model::transcript::Segment;
use pool::{Job, Outcome, Pool};
use whisper::Whisper;

mod ct2;
mod guard;
mod mel;
mod pool;
mod queue;
mod stream;
#[cfg(test)]
pub(super) mod tests;
mod tokens;
mod whisper;

/// Its name in transcripts and metric labels.
const NAME: &str = "builtin";

/// The engine and its threads.
pub struct Builtin {
    pool: Pool,
    whisper: Whisper,
    /// `None`: found out for each piece.
    language: Option<String>,
    partials: bool,
    legs: AtomicU64,
}

/// Why there is no recogniser. The gateway runs without it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(
        "there is no speech model: {}/{name} is missing. Run `make model`, or let asr.model name a folder with one",
        folder.display()
    )]
    Absent { folder: PathBuf, name: &'static str },
    #[error("cannot read the speech model's {}/{name}", folder.display())]
    Unreadable {
        folder: PathBuf,
        name: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the speech model's {}/{name} cannot be used: {why}. Delete the folder and run `make model`, or let asr.model \
         name another one",
        folder.display()
    )]
    Unfit { folder: PathBuf, name: &'static str, why: String },
    #[error(
        "the speech model {} does not know the language \"{language}\": take the multilingual one \
         (`make model MODEL=base`, asr.model = \"models/whisper-base\"), or set asr.language = \"en\"",
        folder.display()
    )]
    Language { folder: PathBuf, language: String },
    #[error("the system gives no thread for speech recognition")]
    Threads(#[source] std::io::Error),
}

/// What the engine did so far, and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Legs listened to now.
    pub streams: usize,
    /// Decodes that run now.
    pub running: usize,
    /// Decodes that wait now, of all kinds.
    pub queued_jobs: usize,
    /// Speech whose finals wait now.
    pub queued_ms: u64,
    pub partials: u64,
    /// Partials that were due and given up, because others waited.
    pub partials_skipped: u64,
    pub finals: u64,
    /// Pieces of whole recordings.
    pub wholes: u64,
    /// The finals' sound, and how long the threads worked on them: their quotient is the real-time factor.
    pub finals_sound: Duration,
    pub finals_busy: Duration,
    /// How long the threads worked on everything.
    pub busy: Duration,
    /// From the end of a stretch (found one pause later) to its text: the last one's, and the longest.
    pub finals_lag: Duration,
    pub finals_lag_max: Duration,
    /// Speech told as missed.
    pub missed_ms: u64,
    /// Decodes that ended in an error or a panic.
    pub failed: u64,
}

impl Builtin {
    /// Reads the model and starts the threads; takes about half a second.
    ///
    /// # Errors
    /// [`ModelError`], whose sentence says what to do.
    pub fn load(config: &Config) -> Result<Self, ModelError> {
        let folder: &Path = &config.model;
        let whisper = Whisper::load(folder)?;
        let language = config.language();
        if let Some(language) = language.filter(|language| !whisper.knows(language)) {
            return Err(ModelError::Language { folder: folder.to_owned(), language: language.to_owned() });
        }
        let pool = Pool::spawn(&whisper, config.threads()).map_err(ModelError::Threads)?;
        let language = language.map(str::to_owned);
        Ok(Self { pool, whisper, language, partials: config.partials, legs: AtomicU64::new(0) })
    }

    pub fn stats(&self) -> Stats {
        self.pool.inlet().stats()
    }

    /// The leg's own language if the model knows it, else the configured one.
    fn language(&self, leg: &Leg) -> Option<String> {
        leg.language.clone().filter(|language| self.whisper.knows(language)).or_else(|| self.language.clone())
    }

    /// Decodes one stretch of a whole recording and waits for it.
    fn whole(&self, speech: Speech, leg: &Leg) -> Result<Option<whisper::Decoded>, EngineError> {
        let (tell, told) = mpsc::sync_channel(1);
        self.pool.inlet().push_whole(Job {
            pcm: speech.pcm,
            language: self.language(leg),
            since: Clock.instant(),
            // Nobody listens any more when the caller has panicked.
            done: Box::new(move |outcome| drop(tell.send(outcome))),
        });
        let error = |why: &str| EngineError { engine: NAME, why: why.to_owned() };
        match told.recv() {
            Ok(Outcome::Heard(decoded)) => Ok(Some(decoded)),
            Ok(Outcome::Nothing) => Ok(None),
            Ok(Outcome::Missed(why)) => Err(error(why)),
            Err(mpsc::RecvError) => Err(error("it has stopped")),
        }
    }
}

impl Engine for Builtin {
    /// A stream's `push` finds speech in the caller's thread, for under 1 ms of CPU per second of sound.
    fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream> {
        let key = self.legs.fetch_add(1, Ordering::Relaxed);
        let language = self.language(&leg);
        let live = stream::Live::new(key, self.pool.inlet(), leg, heard, language);
        Box::new(if self.partials { live } else { live.without_partials() })
    }

    fn transcribe(&self, pcm: &[i16], leg: &Leg) -> Result<Vec<Segment>, EngineError> {
        let mut segmenter = Segmenter::default();
        let mut segments = Vec::new();
        let mut first = 0;
        let mut decode = |speech: Speech| -> Result<(), EngineError> {
            let place = (speech.start, speech.end());
            if speech.is_speech()
                && let Some(decoded) = self.whole(speech, leg)?
            {
                let index = u32::try_from(segments.len()).unwrap_or(u32::MAX);
                let (log_prob, language) = (Some(decoded.log_prob), Some(decoded.language));
                segments.push(stream::segment(leg, index, place, decoded.text, log_prob, language));
            }
            Ok(())
        };
        for second in pcm.chunks(RATE_HZ as usize) {
            let mut ended = Vec::new();
            segmenter.push(first, second, &mut |speech| ended.push(speech));
            ended.into_iter().try_for_each(&mut decode)?;
            first += second.len() as u64;
        }
        segmenter.finish().map_or(Ok(()), decode)?;
        Ok(segments)
    }

    fn name(&self) -> &'static str {
        NAME
    }
}
