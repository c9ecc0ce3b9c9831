//! The decode threads, and how hard they try.
//!
//! They share the weights and take turns from one [`Queue`]. They run at a lower priority than everything else here:
//! media first. What panics in a decode ends that job alone.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Stats;
use super::queue::{Next, Queue};
use super::whisper::{Decoded, Whisper, Window};
use crate::audio;
use crate::model::time::Clock;

/// A mean below this is guessing (OpenAI's own limit).
const LOG_PROB_MIN: f32 = -1.0;

/// Of noise that was taken for a short word it makes "you" or "Thank you.", and is hardly surer than that. A word that
/// was said it gives −0.6 and better.
const LOG_PROB_MIN_SHORT: f32 = -0.7;
const SHORT: usize = audio::RATE_HZ as usize;

/// Niceness of the decode threads: a fraction of the turns of a thread that forwards media, all of an idle core.
const NICENESS: i32 = 10;

/// What turns sound into text, one piece at a time.
pub(super) trait Decode: Send + 'static {
    fn decode(&mut self, pcm: &[i16], window: Window, language: Option<&str>) -> candle_core::Result<Decoded>;
}

impl Decode for Whisper {
    fn decode(&mut self, pcm: &[i16], window: Window, language: Option<&str>) -> candle_core::Result<Decoded> {
        Self::decode(self, pcm, window, language)
    }
}

/// A piece of sound, and who waits for its text.
pub(super) struct Job {
    pub(super) pcm: Vec<i16>,
    pub(super) language: Option<String>,
    pub(super) since: Instant,
    pub(super) done: Box<dyn FnOnce(Outcome) + Send>,
}

/// What became of a piece of sound.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Heard(Decoded),
    /// There are no words in it, or none that can be trusted.
    Nothing,
    /// Nobody listened to it.
    Missed(&'static str),
}

/// The way to the decode threads; they end when the last [`Pool`] does.
#[derive(Clone)]
pub(super) struct Inlet(Arc<Shared>);

/// Keeps the threads running.
pub(super) struct Pool(Inlet);

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    queue: Queue<Job>,
    /// Legs in the middle of a stretch, whose partials are waited for.
    speaking: HashSet<u64>,
    stats: Stats,
    stopping: bool,
}

impl Pool {
    /// Starts one thread for each decoder.
    pub(super) fn spawn<D: Decode + Clone>(decoder: &D, threads: usize) -> std::io::Result<Self> {
        let state =
            State { queue: Queue::new(threads), speaking: HashSet::new(), stats: Stats::default(), stopping: false };
        let pool = Self(Inlet(Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() })));
        for _ in 0..threads {
            let (inlet, decoder) = (pool.inlet(), decoder.clone());
            std::thread::Builder::new().name("asr".to_owned()).spawn(move || inlet.run(&decoder))?;
        }
        Ok(pool)
    }

    pub(super) fn inlet(&self) -> Inlet {
        self.0.clone()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.state().stopping = true;
        self.0.0.wake.notify_all();
    }
}

impl Inlet {
    /// Queues a final, or tells at once that it is missed. What the leg's partial waits for is settled with it.
    pub(super) fn push_final(&self, leg: u64, job: Job) {
        let samples = job.pcm.len() as u64;
        let mut state = self.state();
        state.speaking.remove(&leg);
        let withdrawn = state.queue.withdraw_partial(leg);
        state.stats.partials_skipped += u64::from(withdrawn.is_some());
        let refused = match state.stopping {
            true => Err(job),
            false => state.queue.push_final(samples, job),
        };
        let refused = refused.err();
        if refused.is_some() {
            state.stats.missed_ms += ms(samples);
        }
        drop(state);
        self.0.wake.notify_one();
        if let Some(job) = withdrawn {
            (job.done)(Outcome::Missed("its final came first"));
        }
        if let Some(job) = refused {
            (job.done)(Outcome::Missed("too much waits"));
        }
    }

    /// Queues a partial if it would be told in time. `job` is called only then.
    pub(super) fn push_partial(&self, leg: u64, job: impl FnOnce() -> Job) -> bool {
        let mut state = self.state();
        state.speaking.insert(leg);
        let takes = !state.stopping && state.queue.takes_partials();
        if takes {
            state.queue.push_partial(leg, job());
        } else {
            state.stats.partials_skipped += 1;
        }
        drop(state);
        self.0.wake.notify_one();
        takes
    }

    /// Queues a piece of a whole recording, which is never let go while the threads run.
    pub(super) fn push_whole(&self, job: Job) {
        let mut state = self.state();
        if state.stopping {
            drop(state);
            return (job.done)(Outcome::Missed("the recogniser has stopped"));
        }
        state.queue.push_whole(job);
        drop(state);
        self.0.wake.notify_one();
    }

    /// One stream more, or less.
    pub(super) fn count_stream(&self, more: bool) {
        let streams = &mut self.state().stats.streams;
        *streams = if more { *streams + 1 } else { *streams - 1 };
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.state();
        let depth = state.queue.depth();
        Stats { queued_jobs: depth.jobs, queued_ms: ms(depth.finals_samples), ..state.stats }
    }

    fn run<D: Decode + Clone>(&self, decoder: &D) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "speech is recognised at the same priority as media");
        }
        // The tensor library spreads its work over rayon's threads, by default one per core. In a pool of this thread
        // alone there is nobody to spread it to, and the other cores stay with the media.
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        if let Err(error) = &alone {
            tracing::warn!(%error, "speech recognition may use every core");
        }
        let mut own = decoder.clone();
        while let Some((next, is_alone)) = self.next() {
            let started = Clock.instant();
            let (kind, windows, job): (_, &[Window], _) = match next {
                Next::Partial(job) => (Kind::Partial, &[Window::Short], job),
                Next::Final(job) if is_alone => (Kind::Final, &[Window::Full], job),
                Next::Final(job) => (Kind::Final, &[Window::Medium, Window::Full], job),
                Next::Whole(job) => (Kind::Whole, &[Window::Full], job),
            };
            let decoded = catch_unwind(AssertUnwindSafe(|| listen(&mut own, &job, windows)));
            let outcome = decoded.unwrap_or_else(|_| {
                // Whatever it left half done.
                own = decoder.clone();
                Outcome::Missed("the recogniser failed")
            });
            let is_missed = matches!(outcome, Outcome::Missed(_));
            (job.done)(outcome);
            let work = Work { kind, samples: job.pcm.len() as u64, since: job.since, started, is_missed };
            self.count(work);
        }
    }

    /// Waits for something to do; `true` when nobody else waits or is about to. `None` when everything is done and the pool is gone.
    fn next(&self) -> Option<(Next<Job>, bool)> {
        let mut state = self.state();
        loop {
            if let Some(next) = state.queue.pop() {
                if !state.stopping {
                    state.stats.running += 1;
                    let is_alone = state.queue.depth().jobs == 0 && state.speaking.is_empty();
                    return Some((next, is_alone));
                }
                let (Next::Partial(job) | Next::Final(job) | Next::Whole(job)) = next;
                drop(state);
                (job.done)(Outcome::Missed("the recogniser has stopped"));
                state = self.state();
            } else if state.stopping {
                return None;
            } else {
                state = self.0.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn count(&self, work: Work) {
        let now = Clock.instant();
        let stats = &mut self.state().stats;
        stats.running -= 1;
        stats.busy += now - work.started;
        match work.kind {
            Kind::Partial => stats.partials += 1,
            Kind::Whole => stats.wholes += 1,
            Kind::Final => {
                stats.finals += 1;
                stats.finals_sound += audio::duration(work.samples);
                stats.finals_busy += now - work.started;
                stats.finals_lag = now - work.since;
                stats.finals_lag_max = stats.finals_lag_max.max(stats.finals_lag);
            }
        }
        if work.is_missed {
            stats.failed += 1;
            stats.missed_ms += if work.kind == Kind::Final { ms(work.samples) } else { 0 };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decode that was done.
struct Work {
    kind: Kind,
    samples: u64,
    since: Instant,
    started: Instant,
    is_missed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Partial,
    Final,
    Whole,
}

/// Decodes with the first window; with the next one where it lost its way.
fn listen(decoder: &mut impl Decode, job: &Job, windows: &[Window]) -> Outcome {
    let mut heard = Outcome::Nothing;
    for window in windows {
        match decoder.decode(&job.pcm, *window, job.language.as_deref()) {
            Err(error) => {
                tracing::error!(%error, "speech recognition failed");
                return Outcome::Missed("the recogniser failed");
            }
            Ok(decoded) => {
                let is_cut = decoded.is_cut;
                let least = if job.pcm.len() < SHORT { LOG_PROB_MIN_SHORT } else { LOG_PROB_MIN };
                let is_trusted = decoded.log_prob >= least && !decoded.text.is_empty();
                heard = if is_trusted { Outcome::Heard(decoded) } else { Outcome::Nothing };
                if !is_cut {
                    break;
                }
            }
        }
    }
    heard
}

fn ms(samples: u64) -> u64 {
    audio::duration(samples).as_millis().try_into().unwrap_or(u64::MAX)
}
