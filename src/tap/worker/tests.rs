use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Producer, RingBuffer};

use super::*;
use crate::model::rtp::{Side, TapMedia, TapPayload};
use crate::model::time::Clock;

type Divert = Box<dyn FnMut(&TapRecord) -> Route>;

/// A worker over one ring, the ring's other end, and what its sink took.
struct Bench {
    worker: Worker<Divert, Box<dyn FnMut(Output) -> bool>>,
    ring: Option<Producer<TapRecord>>,
    took: Rc<RefCell<Vec<Output>>>,
    full: Rc<Cell<bool>>,
    /// The sink panics over this tap's sound.
    hates: Rc<Cell<Option<TapKey>>>,
    orders: Orders,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(listeners: Vec<Listener>) -> Self {
        let (ring, records) = RingBuffer::new(4096);
        let took: Rc<RefCell<Vec<Output>>> = Rc::default();
        let (full, hates): (Rc<Cell<bool>>, Rc<Cell<Option<TapKey>>>) = Default::default();
        let sink = {
            let (took, full, hates) = (Rc::clone(&took), Rc::clone(&full), Rc::clone(&hates));
            move |output: Output| {
                assert!(hates.get() != Some(output.tap()) || matches!(output, Output::Closed(_)));
                if !full.get() {
                    took.borrow_mut().push(output);
                }
                !full.get()
            }
        };
        let orders = Orders::default();
        let divert = Box::new(|_: &TapRecord| Route::Here) as Divert;
        let worker = Worker::new(vec![records], orders.clone(), divert, listeners, Box::new(sink) as Box<_>);
        Self { worker, ring: Some(ring), took, full, hates, orders, start: Clock.instant() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn push(&mut self, record: TapRecord) {
        self.ring.as_mut().unwrap().push(record).unwrap();
    }

    fn open(&mut self, tap: u64) {
        let at = self.at(0);
        self.push(TapRecord::Open { tap: TapKey(tap), at });
    }

    /// Packets of browser silence on both sides until `ms`, the worker turning every 10 ms.
    fn run(&mut self, tap: u64, from_ms: u64, to_ms: u64) {
        let payload = TapPayload::new(&Arc::from(&[0xf8, 0xff, 0xfe][..]));
        for ms in (from_ms..to_ms).step_by(10) {
            if ms % 20 == 0 {
                for side in [Side::Customer, Side::Agent] {
                    let (seq, rtp_time, arrival) = (ms / 20, ms as u32 * 48, self.at(ms));
                    let payload = payload.clone();
                    self.push(TapRecord::Media(TapMedia { tap: TapKey(tap), side, seq, rtp_time, arrival, payload }));
                }
            }
            self.worker.turn(self.at(ms));
        }
    }

    /// First and last position of each tap's blocks, which must be in order, and the closing words.
    fn heard(&self) -> (Vec<(u64, usize)>, Vec<Closed>) {
        let (mut blocks, mut closed) = (Vec::new(), Vec::new());
        for output in self.took.borrow().iter() {
            match output {
                Output::Block(block) => blocks.push((block.first_sample, block.samples.len())),
                Output::Frames(frames) => blocks.push((frames.first_frame * 320, frames.samples() as usize)),
                Output::Closed(last) => closed.push(last.clone()),
            }
        }
        (blocks, closed)
    }
}

#[test]
fn blocks_follow_each_other_and_the_closing_word_comes_last() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.run(1, 0, 1_000);
    let at = bench.at(1_005);
    bench.push(TapRecord::Close { tap: TapKey(1), at });
    bench.worker.turn(at);
    let (blocks, closed) = bench.heard();
    let mut next = 0;
    for (first, len) in blocks {
        assert_eq!(first, next);
        next += len as u64;
    }
    assert_eq!((next, closed.len(), closed[0].stats.samples), (16_080, 1, 16_080));
    assert!(matches!(bench.took.borrow().last(), Some(Output::Closed(_))));
    assert_eq!(closed[0].stats.customer.packets, 50);
    assert_eq!(bench.worker.stats().open, 0);
}

#[test]
fn a_full_sink_costs_blocks_that_are_counted_and_moves_nothing() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.run(1, 0, 500);
    bench.full.set(true);
    bench.run(1, 500, 1_500);
    let lost = bench.worker.stats().dropped_blocks;
    assert!(lost >= 9, "{lost}");
    let at = bench.at(1_500);
    bench.push(TapRecord::Close { tap: TapKey(1), at });
    bench.worker.turn(at);
    assert!(bench.heard().1.is_empty());
    bench.full.set(false);
    bench.worker.turn(bench.at(1_510));
    let (blocks, closed) = bench.heard();
    let kept: usize = blocks.iter().map(|(_, len)| len).sum();
    assert_eq!(closed.len(), 1);
    assert_eq!(kept as u64 + closed[0].stats.dropped_samples, closed[0].stats.samples);
    assert_eq!(
        (closed[0].stats.samples, closed[0].stats.dropped_blocks),
        (24_000, bench.worker.stats().dropped_blocks)
    );
}

#[test]
fn the_recordings_of_a_shard_that_died_are_closed() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.run(2, 0, 400);
    bench.ring = None;
    assert!(bench.worker.is_abandoned());
    bench.worker.turn(bench.at(420));
    let taps: Vec<u64> = bench.heard().1.iter().map(|closed| closed.tap.0).collect();
    assert_eq!(taps, [1, 2]);
}

#[test]
fn a_pause_that_was_ordered_before_the_tap_opened_holds() {
    let mut bench = Bench::new();
    bench.orders.expect(TapKey(1), Wants::default());
    let paused = bench.orders.pause(TapKey(1));
    let resumed = bench.orders.resume(TapKey(1));
    // Of a call that is gone, and of one that nobody announced.
    bench.orders.pause(TapKey(7));
    bench.worker.turn(bench.at(0));
    bench.open(1);
    bench.run(1, 0, 500);
    let last = bench.orders.pause(TapKey(1)) - bench.start;
    let at = bench.at(2_000);
    bench.push(TapRecord::Close { tap: TapKey(1), at });
    bench.worker.turn(bench.at(500));
    let (_, closed) = bench.heard();
    let micros = |at: Instant| (at - bench.start).as_micros() as i64;
    let told: Vec<(i64, i64)> = closed[0].pauses.iter().map(|p| (p.from_ms, p.to_ms.unwrap())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].0 <= micros(paused) / 1_000 + 1 && told[0].1 >= micros(resumed) / 1_000, "{told:?}");
    assert!((told[1].0 - last.as_millis() as i64).abs() <= 1 && told[1].1 == 2_000, "{told:?} {last:?}");
}

#[test]
fn a_pause_ordered_while_the_ring_is_read_is_told_to_another_machine_before_what_came_later() {
    let (mut ring, records) = RingBuffer::new(16);
    let (orders, told): (Orders, Rc<RefCell<Vec<&str>>>) = Default::default();
    let (from_now, log) = (orders.clone(), Rc::clone(&told));
    let divert = move |record: &TapRecord| {
        log.borrow_mut().push(match record {
            TapRecord::Open { .. } => "open",
            TapRecord::Pause { .. } => "pause",
            TapRecord::Resume { .. } => "resume",
            _ => "media",
        });
        if let TapRecord::Open { tap, .. } = record {
            from_now.pause(*tap);
        }
        Route::Away
    };
    let start = Clock.instant();
    orders.expect(TapKey(1), Wants::default());
    // Over before the tap opens: nobody needs to know.
    orders.pause(TapKey(1));
    orders.resume(TapKey(1));
    let opened = Clock.instant();
    ring.push(TapRecord::Open { tap: TapKey(1), at: opened }).unwrap();
    let payload = TapPayload::new(&Arc::from(&[0xf8, 0xff, 0xfe][..]));
    let arrival = opened + Duration::from_secs(1);
    let media = TapMedia { tap: TapKey(1), side: Side::Agent, seq: 1, rtp_time: 0, arrival, payload };
    ring.push(TapRecord::Media(media)).unwrap();
    let mut worker = Worker::new(vec![records], orders, divert, Vec::new(), |_| true);
    worker.turn(start);
    assert_eq!(*told.borrow(), ["open", "pause", "media"]);
}

#[test]
fn records_of_an_unknown_tap_are_counted_and_left() {
    let mut bench = Bench::new();
    bench.run(7, 0, 100);
    let at = bench.at(100);
    bench.push(TapRecord::Close { tap: TapKey(7), at });
    bench.worker.turn(at);
    assert_eq!(bench.worker.stats().strays, 11);
    assert!(bench.took.borrow().is_empty());
}

#[test]
fn a_panic_over_one_call_ends_that_recording_alone() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    // The number after the last one overflows, which test builds check.
    let (arrival, payload) = (bench.at(0), TapPayload::new(&Arc::from(&[0xf8, 0xff, 0xfe][..])));
    let media = TapMedia { tap: TapKey(2), side: Side::Customer, seq: u64::MAX, rtp_time: 0, arrival, payload };
    bench.push(TapRecord::Media(media));
    bench.run(1, 0, 1_000);
    assert_eq!((bench.worker.stats().panics, bench.worker.stats().open), (1, 1));
    let (blocks, closed) = bench.heard();
    assert_eq!((closed.len(), closed[0].tap), (1, TapKey(2)));
    assert!(blocks.len() >= 8);
}

/// A listener that panics over tap 1's second block, what it heard of each tap, and which it was let go of.
fn listener() -> (Listener, Heard) {
    let heard: Heard = Arc::default();
    let (taking, letting) = (Arc::clone(&heard), Arc::clone(&heard));
    let take = move |output: &Output| {
        let mut heard = taking.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = heard.0.iter().filter(|(tap, _)| *tap == output.tap()).count();
        assert!(output.tap() != TapKey(1) || nth != 1 || matches!(output, Output::Closed(_)));
        heard.0.push((output.tap(), matches!(output, Output::Closed(_))));
    };
    let let_go = move |tap| letting.lock().unwrap_or_else(PoisonError::into_inner).1.push(tap);
    (Listener::new("test", take).makes_up(let_go), heard)
}

/// Pieces (tap, whether it was the end), and taps it was let go of.
type Heard = Arc<Mutex<(Vec<(TapKey, bool)>, Vec<TapKey>)>>;

fn of(heard: &Heard, tap: u64) -> Vec<bool> {
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.0.iter().filter(|(key, _)| *key == TapKey(tap)).map(|(_, is_end)| *is_end).collect()
}

#[test]
fn a_listener_that_panics_hears_the_end_alone_of_that_call_and_nobody_else_notices() {
    let (listener, heard) = listener();
    let mut bench = Bench::with(vec![listener]);
    bench.open(1);
    bench.open(2);
    bench.run(1, 0, 1_000);
    bench.run(2, 1_000, 2_000);
    bench.worker.close_all(bench.at(2_000));
    assert_eq!(of(&heard, 1), [false, true]);
    assert!(of(&heard, 2).len() > 10);
    assert_eq!(bench.worker.stats().panics, 1);
    let (blocks, closed) = bench.heard();
    let kept: usize = blocks.iter().map(|(_, len)| len).sum();
    assert_eq!((kept, closed.len()), (2 * 32_000, 2));
}

#[test]
fn a_recorder_that_panics_over_one_call_gets_its_end_and_all_of_the_others() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.hates.set(Some(TapKey(2)));
    bench.run(1, 0, 1_000);
    bench.worker.close_all(bench.at(1_000));
    let (blocks, closed) = bench.heard();
    assert_eq!(blocks.iter().map(|(_, len)| len).sum::<usize>(), 16_000);
    let dropped: Vec<u64> = closed.iter().map(|closed| closed.stats.dropped_samples).collect();
    assert_eq!((dropped, bench.worker.stats().panics), (vec![0, 16_000], 1));
}

#[test]
fn a_turn_that_panics_is_not_the_last() {
    let (mut ring, records) = RingBuffer::new(16);
    let divert = |record: &TapRecord| match record.tap() {
        TapKey(7) => panic!("not this one"),
        _ => Route::Here,
    };
    let mut worker = Worker::new(vec![records], Orders::default(), divert, Vec::new(), |_| true);
    let at = Clock.instant();
    for tap in [1, 7, 2] {
        ring.push(TapRecord::Open { tap: TapKey(tap), at }).unwrap();
    }
    worker.turn_safely(at);
    worker.turn_safely(at);
    assert_eq!((worker.stats().open, worker.stats().panics), (2, 1));
}

#[test]
fn a_call_that_waits_for_more_than_three_seconds_is_recorded_on_and_its_listener_let_go() {
    let (listener, heard) = listener();
    let mut bench = Bench::with(vec![listener]);
    bench.open(2);
    bench.run(2, 0, 500);
    let before = of(&heard, 2).len();
    // Nobody read the ring for a while.
    let (arrival, payload) = (bench.at(500), TapPayload::new(&Arc::from(&[0xf8, 0xff, 0xfe][..])));
    let media = TapMedia { tap: TapKey(2), side: Side::Customer, seq: 25, rtp_time: 24_000, arrival, payload };
    bench.push(TapRecord::Media(media));
    bench.worker.turn(bench.at(3_600));
    bench.run(2, 3_600, 5_000);
    bench.worker.close_all(bench.at(5_000));
    assert_eq!(heard.lock().unwrap().1, [TapKey(2)]);
    assert_eq!(of(&heard, 2).len(), before + 1);
    let stats = bench.worker.stats();
    assert_eq!((stats.let_go, stats.lags, stats.ring_lag_ms_max), (1, 1, 3_100));
    let kept: usize = bench.heard().0.iter().map(|(_, len)| len).sum();
    assert_eq!(kept, 80_000);
}

#[test]
fn a_call_that_loses_more_than_a_twentieth_on_the_way_is_recorded_on_and_its_listener_let_go() {
    let (listener, heard) = listener();
    let mut bench = Bench::with(vec![listener]);
    bench.open(2);
    let mut lose = |ms: u64, count| {
        let at = bench.at(ms);
        bench.push(TapRecord::Gap { tap: TapKey(2), side: Side::Agent, count, at });
        bench.worker.turn(at);
        (bench.worker.stats().let_go, bench.worker.stats().not_copied)
    };
    // Fifty in ten seconds, and fifty in the next ten.
    assert_eq!(lose(1_000, 50), (0, 50));
    assert_eq!(lose(12_000, 50), (0, 100));
    assert_eq!(lose(13_000, 1), (1, 101));
    assert_eq!(heard.lock().unwrap().1, [TapKey(2)]);
}
