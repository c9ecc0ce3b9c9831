//! The tap worker: one thread that turns copied packets into sound.
//!
//! It drains the rings the shards fill and hands blocks to a sink. It may fall behind, lose a block or die without a
//! call noticing: a shard never waits for a ring, and the worker never waits for its sink. What the sink has no room
//! for is dropped and counted; positions are absolute, so the loss is a hole of known length and nothing moves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::Consumer;

use crate::audio::Output;
use crate::model::rtp::{Route, TapRecord};
use crate::model::time::Clock;
use worker::Worker;

pub use listener::Listener;
pub use orders::{Orders, Wants};

mod listener;
mod orders;
mod sound;
mod worker;

/// How long the worker sleeps when the rings are empty. A ring of 65,536 records holds 0.6 s of 1,000 calls, so this
/// is far from filling one, and a hundred wake-ups a second cost nothing.
pub const POLL: Duration = Duration::from_millis(10);

/// A worker that is further behind than this is short of CPU; 50 packets of a side then wait.
pub const LAG_TOLD: Duration = Duration::from_millis(500);

/// What the worker did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Recordings open now.
    pub open: usize,
    pub records: u64,
    /// Records of a tap that was never opened, or is closed.
    pub strays: u64,
    pub blocks: u64,
    /// Blocks the sink had no room for.
    pub dropped_blocks: u64,
    /// Packets the shards could not copy because a ring was full.
    pub not_copied: u64,
    /// Records that went to another machine as they were.
    pub diverted: u64,
    /// Caught panics: each ended one call's recording, or what one listener heard of it.
    pub panics: u64,
    /// The oldest record found in a ring during the last turn, and ever.
    pub ring_lag_ms: u64,
    pub ring_lag_ms_max: u64,
    /// Times the worker fell behind by more than [`LAG_TOLD`].
    pub lags: u64,
    /// Calls that listeners were let go of because the worker could not keep up.
    pub let_go: u64,
    /// The thread runs.
    pub alive: bool,
}

/// The running worker. Dropping it ends the thread like [`Tap::stop`], without waiting.
#[derive(Debug)]
pub struct Tap {
    stats: Arc<Mutex<Stats>>,
    orders: Orders,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the worker over these rings. `sink` is called on the worker's thread and must not wait: `false` means it had
/// no room, and a refused [`Output::Closed`] is offered again until it is taken or the worker stops.
///
/// The worker ends by itself when every shard has dropped its end of the ring: taps still open are closed then.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    rings: Vec<Consumer<TapRecord>>,
    sink: impl FnMut(Output) -> bool + Send + 'static,
) -> std::io::Result<Tap> {
    spawn_with(rings, |_| Route::Here, Vec::new(), sink)
}

/// The same with listeners, who hear each piece before the sink, and with `divert` asked about each record first: what it sends
/// away is not decoded here. It is called on the worker's thread and must not wait.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_with(
    rings: Vec<Consumer<TapRecord>>,
    divert: impl FnMut(&TapRecord) -> Route + Send + 'static,
    listeners: Vec<Listener>,
    sink: impl FnMut(Output) -> bool + Send + 'static,
) -> std::io::Result<Tap> {
    let stats = Arc::new(Mutex::new(Stats { alive: true, ..Stats::default() }));
    let stopping = Arc::new(AtomicBool::new(false));
    let orders = Orders::default();
    let thread = std::thread::Builder::new().name("tap".to_owned()).spawn({
        let (stats, stopping, orders) = (Arc::clone(&stats), Arc::clone(&stopping), orders.clone());
        move || {
            let _last = Last(&stats);
            run(Worker::new(rings, orders, divert, listeners, sink), &stats, &stopping);
        }
    })?;
    Ok(Tap { stats, orders, stopping, thread: Some(thread) })
}

impl Tap {
    pub fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Tap::stats`] for somebody else, also when the worker is gone.
    pub fn watch(&self) -> impl Fn() -> Stats + Send + Sync + use<> {
        let stats = Arc::clone(&self.stats);
        move || *stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way in for those who pause and resume.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Reads the rings to their end, closes what is open, and returns when the last block was offered.
    pub fn stop(mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the tap worker had panicked");
        }
    }

    fn tell_to_stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// Says that the thread is gone, however it went.
struct Last<'a>(&'a Mutex<Stats>);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).alive = false;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

fn run<D: FnMut(&TapRecord) -> Route, S: FnMut(Output) -> bool>(
    mut worker: Worker<D, S>,
    stats: &Mutex<Stats>,
    stopping: &AtomicBool,
) {
    loop {
        let last = stopping.load(Ordering::Acquire) || worker.is_abandoned();
        worker.turn_safely(Clock.instant());
        if last {
            worker.close_all(Clock.instant());
        }
        *stats.lock().unwrap_or_else(PoisonError::into_inner) = worker.stats();
        if last {
            return;
        }
        std::thread::park_timeout(POLL);
    }
}
