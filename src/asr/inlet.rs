//! The way into the recogniser: the tap's blocks, one stream a leg.
//!
//! Looking for speech costs a millisecond for every second of a leg, which is too much for the tap's own thread: there it would
//! be the recordings of hundreds of calls that suffer. So a thread of its own hands the sound on, behind a queue that is bounded;
//! what finds it full is told as missed, and made up for from the recording.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Engine, EngineError, Heard, Leg, Listener, Stream};
use crate::audio::{Block, Output, RATE_HZ};
use crate::model::id::CallId;
use crate::model::rtp::{Side, TapKey};
use crate::model::transcript::{Segment, Unheard};

/// Sound that may wait, of all calls together: 12 MB, and as much again that is being looked through. Half a second of 400
/// calls.
const QUEUE_SAMPLES_MAX: u64 = 200 * RATE_HZ as u64;

/// A call that misses more than this in [`LOSS_WINDOW`] is let go: better one call written down afterwards than all of them in
/// shreds.
const LOST_MAX: u64 = LOSS_WINDOW / 20;
const LOSS_WINDOW: u64 = 10 * RATE_HZ as u64;

/// Below media, above the decoding.
const NICENESS: i32 = 5;

/// An engine with its listener. Clones share it.
#[derive(Clone)]
pub struct Inlet {
    engine: Arc<dyn Engine>,
    language: Option<String>,
    heard: Listener,
    door: Arc<Door>,
    elsewhere: Option<Elsewhere>,
}

/// Takes a call that may be listened to on another machine; false: listen here.
pub type Elsewhere = Arc<dyn Fn(TapKey, &CallId) -> bool + Send + Sync>;

/// What the way in has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InletStats {
    /// Sound that waits to be looked through.
    pub waiting_ms: u64,
    /// Blocks that found the queue full, or came of a call that was let go.
    pub refused_blocks: u64,
    /// Calls that are written down after their end, because this machine could not keep up.
    pub let_go: u64,
    /// Calls that the engine panicked over; they are written down after their end.
    pub panics: u64,
    /// The thread runs.
    pub alive: bool,
}

struct Call {
    id: CallId,
    /// Customer, agent. They tell the end when they go, and so stay to the end.
    streams: [Box<dyn Stream>; 2],
    /// The engine panicked.
    failed: bool,
    /// All sound before this sample went to the streams or was told as missed.
    next: u64,
    /// Samples lost since that one.
    lost: (u64, u64),
    /// One side of a block at a time, kept for its room.
    pcm: Vec<i16>,
}

/// What the thread is told, in order. Openings and ends are few, and have no bound.
enum Item {
    Open(TapKey, Call),
    Block(Block),
    /// With the length of its sound.
    Close(TapKey, u64),
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
    /// Running calls whose sound is taken no more.
    let_go: HashSet<TapKey>,
    stopped: bool,
    stats: InletStats,
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
        queue.lock().stats.alive = true;
        let (inner, listener) = (Arc::clone(&queue), Arc::clone(&heard));
        std::thread::Builder::new().name("ears".to_owned()).spawn(move || {
            let _last = Last(&inner);
            run(&inner, &listener);
        })?;
        Ok(Self { engine, language, heard, door: Arc::new(Door(queue)), elsewhere: None })
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

    pub fn stats(&self) -> InletStats {
        let state = self.door.0.lock();
        InletStats { waiting_ms: ms(state.waiting), ..state.stats }
    }

    /// Begins to listen to what `tap` will bring. Call it before the shard is told to tap. Never waits.
    pub fn open(&self, tap: TapKey, call: &CallId) {
        if self.elsewhere.as_ref().is_some_and(|takes| takes(tap, call)) {
            return;
        }
        let stream = |speaker| self.engine.open(self.leg(call, speaker), Arc::clone(&self.heard));
        let streams = [stream(Side::Customer), stream(Side::Agent)];
        let call = Call { id: call.clone(), streams, failed: false, next: 0, lost: (0, 0), pcm: Vec::new() };
        self.door.0.push(Item::Open(tap, call));
    }

    /// What the tap heard. Never waits; a tap that was not opened here is none of ours.
    pub fn take(&self, heard: &Output) {
        match heard {
            Output::Block(block) => self.door.0.push_sound(block),
            // The same sound, for those who keep it encoded.
            Output::Frames(_) => {}
            Output::Closed(closed) => self.door.0.push(Item::Close(closed.tap, closed.stats.samples)),
        }
    }

    /// Takes no more sound of this tap: the rest is told as missed when it has ended. Never waits.
    pub fn let_go(&self, tap: TapKey) {
        self.door.0.let_go(tap);
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
        let samples = block.samples.len() as u64;
        let mut state = self.lock();
        if state.waiting + samples > QUEUE_SAMPLES_MAX || state.let_go.contains(&block.tap) {
            // The next block, or the end, shows the hole.
            state.stats.refused_blocks += 1;
            return;
        }
        state.waiting += samples;
        state.items.push(Item::Block(block.clone()));
        drop(state);
        self.wake.notify_one();
    }

    fn let_go(&self, tap: TapKey) {
        let mut state = self.lock();
        if state.let_go.insert(tap) {
            state.stats.let_go += 1;
        }
    }

    /// Waits for something to do; `None` when there is nothing any more.
    fn take(&self) -> Option<Vec<Item>> {
        let state = self.lock();
        let idle = |state: &mut State| state.items.is_empty() && !state.stopped;
        let mut state = self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.waiting = 0;
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

/// Says that the thread is gone, however it went.
struct Last<'a>(&'a Queue);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.lock().stats.alive = false;
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
                        call.push(&block, queue, heard);
                    }
                }
                Item::Close(tap, samples) => {
                    queue.lock().let_go.remove(&tap);
                    if let Some(call) = calls.remove(&tap) {
                        call.finish(samples, heard);
                    }
                }
            }
        }
    }
}

impl Call {
    fn push(&mut self, block: &Block, queue: &Queue, heard: &Listener) {
        if self.failed {
            return;
        }
        let (streams, pcm) = (&mut self.streams, &mut self.pcm);
        let act = || {
            for (channel, stream) in streams.iter_mut().enumerate() {
                pcm.clear();
                pcm.extend(block.samples.iter().map(|both| both[channel]));
                stream.push(block.first_sample, pcm);
            }
        };
        if catch_unwind(AssertUnwindSafe(act)).is_err() {
            return self.give_up(block.tap, queue);
        }
        let (hole, to) = (self.next, block.first_sample);
        if to > hole {
            self.miss(to, heard);
            if to - self.lost.0 > LOSS_WINDOW {
                self.lost = (hole, 0);
            }
            self.lost.1 += to - hole;
            if self.lost.1 > LOST_MAX {
                tracing::warn!(call = %self.id, "this machine cannot keep up: what this call says is written down after it");
                queue.let_go(block.tap);
            }
        }
        self.next = to + block.samples.len() as u64;
    }

    fn finish(self, samples: u64, heard: &Listener) {
        if samples > self.next {
            self.miss(samples, heard);
        }
        for stream in self.streams {
            if catch_unwind(AssertUnwindSafe(|| stream.finish())).is_err() {
                tracing::error!(call = %self.id, "the recogniser panicked over a call's end");
            }
        }
    }

    /// An engine that panics is not asked about this call any more; it hears the rest from the recording.
    fn give_up(&mut self, tap: TapKey, queue: &Queue) {
        tracing::error!(call = %self.id, "the recogniser panicked over a call");
        self.failed = true;
        let mut state = queue.lock();
        state.stats.panics += 1;
        state.let_go.insert(tap);
    }

    /// Nobody looked whether there was speech from `next` on.
    fn miss(&self, to: u64, heard: &Listener) {
        for speaker in [Side::Customer, Side::Agent] {
            let unheard = Unheard { speaker, start_ms: ms(self.next), end_ms: ms(to) };
            heard(&self.leg(speaker), Heard::Missed(unheard));
        }
    }

    fn leg(&self, speaker: Side) -> Leg {
        Leg { call: self.id.clone(), speaker, language: None }
    }
}

const fn ms(samples: u64) -> u64 {
    samples * 1000 / RATE_HZ as u64
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::audio::{Closed, Stats};

    const PATIENCE: Duration = Duration::from_secs(60);
    const SECOND: u64 = RATE_HZ as u64;

    /// What it panics over.
    const OUTRAGE: i16 = 13;

    /// Says what it was given: position, length and first sample, as text. Then it waits while somebody holds the gate.
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
            assert_ne!(pcm[0], OUTRAGE);
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
            drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
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

    fn closed(tap: TapKey, samples: u64) -> Output {
        Output::Closed(Closed { tap, stats: Stats { samples, ..Stats::default() }, pauses: Vec::new() })
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
        for heard in
            [block(other, 160, 3), block(ours, 160, 3), closed(other, 163), closed(ours, 163), block(ours, 163, 3)]
        {
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
        assert_eq!(
            words,
            ["customer 160+3: 7", "agent 160+3: -7", "missed", "missed", "customer ended", "agent ended"]
        );
    }

    #[test]
    fn what_an_overloaded_machine_cannot_look_through_is_told_as_missed_and_nobody_waits() {
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
        inlet.take(&closed(TapKey(1), seconds * SECOND));
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

    #[test]
    fn a_call_that_loses_more_than_a_twentieth_is_let_go_and_told_as_missed_to_its_end() {
        let gate: Arc<Mutex<()>> = Arc::default();
        let held = gate.lock().unwrap();
        let (inlet, told) = parrot(&gate);
        let (ours, other, unknown) = (TapKey(1), TapKey(2), TapKey(3));
        for tap in [ours, other] {
            inlet.open(tap, &CallId::generate());
        }
        let second = |tap, second: u64| inlet.take(&block(tap, second * SECOND, SECOND as usize));
        second(ours, 0);
        // It has the first piece, so the queue fills up behind it.
        until(&told, 0);
        for at in 1..QUEUE_SAMPLES_MAX / SECOND {
            second(unknown, at);
        }
        second(other, 0);
        second(ours, 1);
        assert_eq!(inlet.stats().refused_blocks, 1);
        drop(held);
        until(&told, 0);
        second(ours, 2);
        second(other, 1);
        let missed = until(&told, SECOND);
        assert_eq!(missed, [(1_000, 2_000)]);
        assert_eq!(inlet.stats().let_go, 1);
        second(ours, 3);
        second(other, 2);
        inlet.take(&closed(ours, 4 * SECOND));
        let rest: Vec<Heard> = all(&told).into_iter().map(|(_, heard)| heard).collect();
        let rest_of = |speaker| Heard::Missed(Unheard { speaker, start_ms: 3_000, end_ms: 4_000 });
        for missed in [rest_of(Side::Customer), rest_of(Side::Agent)] {
            assert!(rest.contains(&missed), "{rest:?}");
        }
        // The other one is heard on, and a later call under the same key would be.
        assert!(rest.iter().any(|heard| matches!(heard, Heard::Segment(segment) if segment.start_ms == 2 * SECOND)));
        assert!(inlet.door.0.lock().let_go.is_empty());
    }

    #[test]
    fn a_panic_of_the_engine_costs_that_call_its_live_text_and_no_other() {
        let (inlet, told) = parrot(&Arc::default());
        let (ours, other) = (TapKey(1), TapKey(2));
        for tap in [ours, other] {
            inlet.open(tap, &CallId::generate());
        }
        let outrage = Block { tap: ours, first_sample: SECOND, samples: vec![[OUTRAGE; 2]; 160] };
        inlet.take(&block(ours, 0, SECOND as usize));
        inlet.take(&Output::Block(outrage));
        inlet.take(&block(other, 0, 160));
        inlet.take(&closed(ours, 2 * SECOND));
        let told = all(&told);
        let missed = |speaker| (speaker, Heard::Missed(Unheard { speaker, start_ms: 1_000, end_ms: 2_000 }));
        for missed in [missed(Side::Customer), missed(Side::Agent)] {
            assert!(told.contains(&missed), "{told:?}");
        }
        let heard = told.iter().filter(|(_, heard)| matches!(heard, Heard::Segment(_))).count();
        assert_eq!((heard, inlet.stats().panics, inlet.stats().alive), (4, 1, true));
    }

    /// What of the customer was missed, until a piece that began there is told.
    fn until(told: &Receiver<(Side, Heard)>, start: u64) -> Vec<(u64, u64)> {
        let mut missed = Vec::new();
        loop {
            match told.recv_timeout(PATIENCE).expect("a piece").1 {
                Heard::Segment(piece) if piece.start_ms == start && piece.speaker == Side::Customer => return missed,
                Heard::Missed(unheard) if unheard.speaker == Side::Customer => {
                    missed.push((unheard.start_ms, unheard.end_ms));
                }
                _ => {}
            }
        }
    }
}
