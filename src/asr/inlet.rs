//! The way into the recogniser: the tap's blocks, one stream a leg.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Engine, EngineError, Leg, Listener, Stream};
use crate::audio::{Block, Output};
use crate::model::id::CallId;
use crate::model::rtp::{Side, TapKey};
use crate::model::transcript::Segment;

/// An engine with its listener. Clones share it.
#[derive(Clone)]
pub struct Inlet {
    engine: Arc<dyn Engine>,
    language: Option<String>,
    heard: Listener,
    calls: Arc<Mutex<HashMap<TapKey, Call>>>,
    elsewhere: Option<Elsewhere>,
}

/// Takes a call that may be listened to on another machine; false: listen here.
pub type Elsewhere = Arc<dyn Fn(TapKey, &CallId) -> bool + Send + Sync>;

struct Call {
    customer: Box<dyn Stream>,
    agent: Box<dyn Stream>,
    /// One side of a block at a time, kept for its room.
    pcm: Vec<i16>,
}

impl Inlet {
    /// `language`: ISO 639-1; `None` = the engine finds out. `heard` is called on the engine's threads and must not wait.
    pub fn new(engine: Arc<dyn Engine>, language: Option<String>, heard: Listener) -> Self {
        Self { engine, language, heard, calls: Arc::default(), elsewhere: None }
    }

    /// The same inlet, but `elsewhere` is asked first.
    #[must_use]
    pub fn or_elsewhere(self, elsewhere: Elsewhere) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Begins to listen to what `tap` will bring. Call it before the shard is told to tap. Never waits.
    pub fn open(&self, tap: TapKey, call: &CallId) {
        if self.elsewhere.as_ref().is_some_and(|takes| takes(tap, call)) {
            return;
        }
        let stream = |speaker| self.engine.open(self.leg(call, speaker), Arc::clone(&self.heard));
        let call = Call { customer: stream(Side::Customer), agent: stream(Side::Agent), pcm: Vec::new() };
        self.lock().insert(tap, call);
    }

    /// What the tap heard. Never waits; a tap that was not opened here is none of ours.
    pub fn take(&self, heard: &Output) {
        match heard {
            Output::Block(block) => {
                if let Some(call) = self.lock().get_mut(&block.tap) {
                    call.push(block);
                }
            }
            // The same sound, for those who keep it encoded.
            Output::Frames(_) => {}
            Output::Closed(closed) => {
                let call = self.lock().remove(&closed.tap);
                if let Some(call) = call {
                    call.customer.finish();
                    call.agent.finish();
                }
            }
        }
    }

    /// See [`Engine::transcribe`].
    ///
    /// # Errors
    /// When the engine could not listen.
    pub fn transcribe(&self, pcm: &[i16], call: &CallId, speaker: Side) -> Result<Vec<Segment>, EngineError> {
        self.engine.transcribe(pcm, &self.leg(call, speaker))
    }

    fn leg(&self, call: &CallId, speaker: Side) -> Leg {
        Leg { call: call.clone(), speaker, language: self.language.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TapKey, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn push(&mut self, block: &Block) {
        for (stream, channel) in [(&mut self.customer, 0), (&mut self.agent, 1)] {
            self.pcm.clear();
            self.pcm.extend(block.samples.iter().map(|both| both[channel]));
            stream.push(block.first_sample, &self.pcm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asr::Heard;
    use crate::audio::{Closed, Stats};

    /// Says what it was given: position, length and first sample, as text.
    struct Parrot;

    struct Ear {
        leg: Leg,
        heard: Listener,
    }

    impl Engine for Parrot {
        fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream> {
            Box::new(Ear { leg, heard })
        }

        fn transcribe(&self, _: &[i16], _: &Leg) -> Result<Vec<Segment>, EngineError> {
            Err(EngineError { engine: "parrot", why: "it only repeats".to_owned() })
        }

        fn name(&self) -> &'static str {
            "parrot"
        }
    }

    impl Stream for Ear {
        fn push(&mut self, first_sample: u64, pcm: &[i16]) {
            let segment = Segment {
                speaker: self.leg.speaker,
                index: 0,
                start_ms: first_sample,
                end_ms: pcm.len() as u64,
                text: pcm[0].to_string(),
                is_final: true,
                stable_chars: 0,
                confidence: None,
                language: self.leg.language.clone(),
            };
            (self.heard)(&self.leg, Heard::Segment(segment));
        }

        fn finish(self: Box<Self>) {
            (self.heard)(&self.leg, Heard::Ended);
        }
    }

    #[test]
    fn each_leg_hears_its_own_side_of_its_own_call() {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = {
            let said = Arc::clone(&said);
            move |leg: &Leg, heard: Heard| {
                let word = match heard {
                    Heard::Segment(s) => format!("{} {}+{}: {}", s.speaker, s.start_ms, s.end_ms, s.text),
                    Heard::Missed(_) => "missed".to_owned(),
                    Heard::Ended => format!("{} ended", leg.speaker),
                };
                said.lock().unwrap().push(word);
            }
        };
        let inlet = Inlet::new(Arc::new(Parrot), Some("en".to_owned()), Arc::new(listener));
        let (ours, other) = (TapKey(1), TapKey(2));
        inlet.open(ours, &CallId::generate());
        let block = |tap| Output::Block(Block { tap, first_sample: 160, samples: vec![[7, -7]; 3] });
        let closed = |tap| Output::Closed(Closed { tap, stats: Stats::default(), pauses: Vec::new() });
        for heard in [block(other), block(ours), closed(other), closed(ours), block(ours), closed(ours)] {
            inlet.take(&heard);
        }
        let want = ["customer 160+3: 7", "agent 160+3: -7", "customer ended", "agent ended"];
        assert_eq!(*said.lock().unwrap(), want);
    }
}
