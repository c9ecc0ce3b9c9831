//! Speech recognition: what each leg says, as text, while it is said.
//!
//! Sound comes from the tap and goes to an [`Engine`], one [`Stream`] a leg; text comes back as [`Heard`]. An engine may
//! be slow, far away or dead: a stream never makes its caller wait, and what could not be listened to is told as
//! [`Heard::Missed`], so that it can be made up for from the recording. Nothing here can disturb a call.

use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::transcript::{Segment, Unheard};
pub use builtin::{Builtin, Stats as BuiltinStats};
pub use config::{Config, ConfigError};
pub use inlet::{Elsewhere, Inlet, InletStats};
pub use remote::{Remote, Stats as RemoteStats};

pub mod builtin;
mod config;
mod inlet;
pub mod remote;
pub mod segmenter;
mod stable;

/// A recogniser. Cheap to share; streams of many calls run beside each other.
pub trait Engine: Send + Sync {
    /// Begins to listen to one leg. Never waits: an engine that is not there says so through `heard`.
    fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream>;

    /// Writes down sound that lies there whole, as well as this engine can and however long it takes. Called on a thread
    /// that may wait. Times of the segments count from the first sample.
    ///
    /// # Errors
    /// When the engine could not listen; trying again later may help.
    fn transcribe(&self, pcm: &[i16], leg: &Leg) -> Result<Vec<Segment>, EngineError>;

    /// Its name in transcripts and metric labels: `builtin`, `vosk`, …
    fn name(&self) -> &'static str;
}

/// One leg of a call, and what is known about its speech.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub call: CallId,
    pub speaker: Side,
    /// ISO 639-1; `None` = the engine finds out.
    pub language: Option<String>,
}

/// The sound of one leg on its way to the engine.
pub trait Stream: Send {
    /// 16 kHz mono, in order; `first_sample` counts from the beginning of the call's sound, and where it jumps there was
    /// nothing to hear. Never waits.
    fn push(&mut self, first_sample: u64, pcm: &[i16]);

    /// The leg says nothing more. What is still being worked on comes as finals, then [`Heard::Ended`].
    fn finish(self: Box<Self>);
}

/// Where an engine tells what it heard; called on the engine's threads, must not wait.
pub type Listener = std::sync::Arc<dyn Fn(&Leg, Heard) + Send + Sync>;

/// What an engine says about a leg. `Ended` is the last word and always comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Partial or final, by its own flag. A final one without text takes back what partials said. Numbers can be left
    /// out where nothing was said after all.
    Segment(Segment),
    /// Speech that was let go: too much at once, or the engine was away.
    Missed(Unheard),
    Ended,
}

/// Why an engine could not listen.
#[derive(Debug, thiserror::Error)]
#[error("the speech recogniser {engine}: {why}")]
pub struct EngineError {
    pub engine: &'static str,
    pub why: String,
}
