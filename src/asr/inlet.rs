//! The way into the recogniser: the tap's blocks, one stream a leg.
//!
//! Looking for speech costs a millisecond for every second of a leg, which is too much for the tap's own thread: there it would
//! be the recordings of hundreds of calls that suffer. So a thread of its own hands the sound on, behind a queue that is bounded;
//! what finds it full is told as missed, and made up for from the recording.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Engine, EngineError, Heard, Leg, Listener, Stream};
use crate::audio::{Block, Output, RATE_HZ};
use crate::model::id::CallId;
use crate::model::rtp::{Side, TapKey};
use crate::model::transcript::{Segment, Unheard};

/// Sound that may wait, of all calls together: 12 MB. Half a second of 400 calls.
const QUEUE_SAMPLES_MAX: u64 = 200 * RATE_HZ as u64;

/// Below media, above the decoding.
const NICENESS: i32 = 5;

/// An engine with its listener. Clones share it.
#[derive(Clone)]
pub struct Inlet {
    engine: Arc<dyn Engine>,
    language: Option<String>,
    heard: Listener,
    queue: Arc<Door>,
    elsewhere: Option<Elsewhere>,
}

/// Takes a call that may be listened to on another machine; false: listen here.
pub type Elsewhere = Arc<dyn Fn(TapKey, &CallId) -> bool + Send + Sync>;

struct Call {
    id: CallId,
    customer: Box<dyn Stream>,
    agent: Box<dyn Stream>,
    /// One side of a block at a time, kept for its room.
    pcm: Vec<i16>,
}

/// What the thread is told, in order. What is neither sound nor missed is few and has no bound.
enum Item {
    Open(TapKey, Call),
    Block(Block),
    /// Samples of a call that found the queue full: from, to.
    Missed(TapKey, u64, u64),
    Close(TapKey),
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    waiting: u64,
    /// Where in `items` a call's missed stretch stands, while no sound of the call came after it.
    missed: HashMap<TapKey, usize>,
    stopped: bool,
}

/// The way to the thread, which ends with the last of them.
struct Door(Arc<Queue>);

impl Inlet {
    /// `language`: ISO 639-1; `None` = the engine finds out. `heard` is called on the engine's threads and must not wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(engine: Arc<dyn Engine>, language: Option<String>, heard: Listener) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let (inner, listener) = (Arc::clone(&queue), Arc::clone(&heard));
        std::thread::Builder::new().name("ears".to_owned()).spawn(move || run(&inner, &listener))?;
        Ok(Self { engine, language, heard, queue: Arc::new(Door(queue)), elsewhere: None })
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
        let (customer, agent) = (stream(Side::Customer), stream(Side::Agent));
        self.queue.0.push(Item::Open(tap, Call { id: call.clone(), customer, agent, pcm: Vec::new() }));
    }

    /// What the tap heard. Never waits; a tap that was not opened here is none of ours.
    pub fn take(&self, heard: &Output) {
        match heard {
            Output::Block(block) => self.queue.0.push_sound(block),
            // The same sound, for those who keep it encoded.
            Output::Frames(_) => {}
            Output::Closed(closed) => self.queue.0.push(Item::Close(closed.tap)),
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
}

impl Queue {
    fn push(&self, item: Item) {
        self.lock().items.push(item);
        self.wake.notify_one();
    }

    fn push_sound(&self, block: &Block) {
        let (first, samples) = (block.first_sample, block.samples.len() as u64);
        let mut state = self.lock();
        if state.waiting + samples <= QUEUE_SAMPLES_MAX {
            state.waiting += samples;
            state.missed.remove(&block.tap);
            state.items.push(Item::Block(block.clone()));
            drop(state);
            return self.wake.notify_one();
        }
        let State { items, missed, .. } = &mut *state;
        match missed.get(&block.tap).and_then(|at| items.get_mut(*at)) {
            Some(Item::Missed(_, _, to)) => *to = first + samples,
            _ => {
                missed.insert(block.tap, items.len());
                items.push(Item::Missed(block.tap, first, first + samples));
            }
        }
    }

    /// Waits for something to do; `None` when there is nothing any more.
    fn take(&self) -> Option<Vec<Item>> {
        let state = self.lock();
        let idle = |state: &mut State| state.items.is_empty() && !state.stopped;
        let mut state = self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.waiting = 0;
        state.missed.clear();
        let items = std::mem::take(&mut state.items);
        (!items.is_empty()).then_some(items)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.wake.notify_one();
    }
}

fn run(queue: &Queue, heard: &Listener) {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "speech is looked for at the same priority as media");
    }
    let mut calls: HashMap<TapKey, Call> = HashMap::new();
    while let Some(items) = queue.take() {
        for item in items {
            match item {
                Item::Open(tap, call) => drop(calls.insert(tap, call)),
                Item::Block(block) => {
                    if let Some(call) = calls.get_mut(&block.tap) {
                        call.push(&block);
                    }
                }
                Item::Missed(tap, from, to) => {
                    if let Some(call) = calls.get(&tap) {
                        call.miss(heard, from, to);
                    }
                }
                Item::Close(tap) => {
                    if let Some(call) = calls.remove(&tap) {
                        call.customer.finish();
                        call.agent.finish();
                    }
                }
            }
        }
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

    /// Nobody looked whether there was speech.
    fn miss(&self, heard: &Listener, from: u64, to: u64) {
        let ms = |samples: u64| samples * 1000 / u64::from(RATE_HZ);
        for speaker in [Side::Customer, Side::Agent] {
            let leg = Leg { call: self.id.clone(), speaker, language: None };
            heard(&leg, Heard::Missed(Unheard { speaker, start_ms: ms(from), end_ms: ms(to) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::audio::{Closed, Stats};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Says what it was given: position, length and first sample, as text. It waits while somebody holds the gate.
    struct Parrot {
        gate: Arc<Mutex<()>>,
    }

    struct Ear {
        leg: Leg,
        heard: Listener,
        gate: Arc<Mutex<()>>,
    }

    impl Engine for Parrot {
        fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream> {
            Box::new(Ear { leg, heard, gate: Arc::clone(&self.gate) })
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
            drop(self.gate.lock().unwrap());
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

    fn parrot(gate: &Arc<Mutex<()>>) -> (Inlet, Receiver<(Side, Heard)>) {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let listener = Arc::new(move |leg: &Leg, heard| drop(tell.lock().unwrap().send((leg.speaker, heard))));
        let parrot = Arc::new(Parrot { gate: Arc::clone(gate) });
        (Inlet::new(parrot, Some("en".to_owned()), listener).unwrap(), told)
    }

    fn block(tap: TapKey, first_sample: u64, samples: usize) -> Output {
        Output::Block(Block { tap, first_sample, samples: vec![[7, -7]; samples] })
    }

    fn closed(tap: TapKey) -> Output {
        Output::Closed(Closed { tap, stats: Stats::default(), pauses: Vec::new() })
    }

    /// All that is told until both legs have ended.
    fn all(told: &Receiver<(Side, Heard)>) -> Vec<(Side, Heard)> {
        let mut all: Vec<(Side, Heard)> = Vec::new();
        while all.iter().filter(|(_, heard)| *heard == Heard::Ended).count() < 2 {
            all.push(told.recv_timeout(PATIENCE).expect("both legs end"));
        }
        all
    }

    #[test]
    fn each_leg_hears_its_own_side_of_its_own_call() {
        let (inlet, told) = parrot(&Arc::default());
        let (ours, other) = (TapKey(1), TapKey(2));
        inlet.open(ours, &CallId::generate());
        for heard in [block(other, 160, 3), block(ours, 160, 3), closed(other), closed(ours), block(ours, 163, 3)] {
            inlet.take(&heard);
        }
        let words: Vec<String> = all(&told)
            .into_iter()
            .map(|(speaker, heard)| match heard {
                Heard::Segment(s) => format!("{speaker} {}+{}: {}", s.start_ms, s.end_ms, s.text),
                Heard::Missed(_) => "missed".to_owned(),
                Heard::Ended => format!("{speaker} ended"),
            })
            .collect();
        assert_eq!(words, ["customer 160+3: 7", "agent 160+3: -7", "customer ended", "agent ended"]);
    }

    #[test]
    fn what_an_overloaded_machine_cannot_look_through_is_told_as_missed_and_nobody_waits() {
        const SECOND: u64 = RATE_HZ as u64;
        let gate: Arc<Mutex<()>> = Arc::default();
        let held = gate.lock().unwrap();
        let (inlet, told) = parrot(&gate);
        inlet.open(TapKey(1), &CallId::generate());
        // Nobody takes anything, and yet every push returns.
        let seconds = 3 * QUEUE_SAMPLES_MAX / SECOND;
        for second in 0..seconds {
            inlet.take(&block(TapKey(1), second * SECOND, SECOND as usize));
        }
        drop(held);
        inlet.take(&closed(TapKey(1)));
        let (mut heard_ms, mut missed) = (0, Vec::new());
        for (speaker, heard) in all(&told) {
            match heard {
                Heard::Segment(segment) if speaker == Side::Customer => heard_ms += segment.end_ms / 16,
                Heard::Missed(unheard) if speaker == Side::Customer => missed.push((unheard.start_ms, unheard.end_ms)),
                _ => {}
            }
        }
        let missed_ms: u64 = missed.iter().map(|(from, to)| to - from).sum();
        assert_eq!(heard_ms + missed_ms, seconds * 1000, "{missed:?}");
        assert!(missed_ms >= seconds * 1000 / 3 && missed.len() <= 2, "{missed:?}");
    }
}
