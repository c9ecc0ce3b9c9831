//! One turn of the worker: rings in, blocks out. Time is an argument, so a test can live an hour in a minute.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::Stats;
use super::orders::{Order, Orders, Wants};
use super::sound::Sound;
use crate::audio::{Closed, Output};
use crate::model::rtp::{Route, TapKey, TapRecord};

/// A closing word is offered for this long, then given up: the sink is gone.
const CLOSED_ATTEMPTS_AT_END: u32 = 200;

/// Taps that are to open. Of a call that ends before its shard opens the tap an entry stays, so the oldest one goes.
const EXPECTED_MAX: usize = 4_096;

/// State of all taps of all rings.
pub(super) struct Worker<D, S> {
    rings: Vec<Ring>,
    taps: BTreeMap<TapKey, Open>,
    orders: Orders,
    /// Taps that are to open here, and what was ordered for them by then; also those that another machine hears, which may
    /// come back.
    expected: BTreeMap<TapKey, (Wants, Vec<Order>)>,
    /// Taps that another machine hears, and their rings.
    away: BTreeMap<TapKey, usize>,
    divert: D,
    /// Orders given by then are known.
    orders_until: Option<Instant>,
    /// Closing words the sink had no room for.
    unheard: VecDeque<Closed>,
    sink: S,
    stats: Stats,
}

struct Ring {
    records: Consumer<TapRecord>,
    /// Nobody writes any more and everything was read.
    finished: bool,
}

struct Open {
    sound: Sound,
    /// The ring it came from; a tap lives and dies with its shard.
    ring: usize,
    dropped_blocks: u64,
    dropped_samples: u64,
}

impl<D: FnMut(&TapRecord) -> Route, S: FnMut(Output) -> bool> Worker<D, S> {
    pub(super) fn new(rings: Vec<Consumer<TapRecord>>, orders: Orders, divert: D, sink: S) -> Self {
        let rings = rings.into_iter().map(|records| Ring { records, finished: false }).collect();
        let (taps, expected, away, unheard) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        let (orders_until, stats) = (None, Stats::default());
        Self { rings, taps, orders, expected, away, divert, orders_until, unheard, sink, stats }
    }

    /// Every shard has dropped its end of the ring.
    pub(super) fn is_abandoned(&self) -> bool {
        self.rings.iter().all(|ring| ring.records.is_abandoned())
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { open: self.taps.len(), ..self.stats }
    }

    /// Reads what the rings hold, and hands on every block that is ready at `now`. `now` must have been read before:
    /// what was copied earlier than that is then in the rings, up to the length of one turn of a shard.
    pub(super) fn turn(&mut self, now: Instant) {
        self.stats.ring_lag_ms = 0;
        self.take_orders();
        self.orders_until = Some(now);
        for ring in 0..self.rings.len() {
            self.drain(ring, now);
        }
        let keys: Vec<TapKey> = self.taps.keys().copied().collect();
        for tap in keys {
            self.offer_blocks(tap, now);
        }
        self.offer_closed();
    }

    /// Ends every recording at `now` and offers what is left.
    pub(super) fn close_all(&mut self, now: Instant) {
        while let Some((&tap, _)) = self.taps.first_key_value() {
            self.close(tap, now);
        }
        while let Some((tap, _)) = self.away.pop_first() {
            (self.divert)(&TapRecord::Close { tap, at: now });
        }
        for _ in 0..CLOSED_ATTEMPTS_AT_END {
            self.offer_closed();
            if self.unheard.is_empty() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        tracing::error!(recordings = self.unheard.len(), "the recorder took no closing words; they are lost");
    }

    fn drain(&mut self, ring: usize, now: Instant) {
        // Asked first: whatever was written before the shard let go is then still read.
        let abandoned = self.rings[ring].records.is_abandoned();
        // Bounded by what is there now, so that a fast writer cannot keep the others waiting.
        for _ in 0..self.rings[ring].records.slots() {
            let Ok(record) = self.rings[ring].records.pop() else { break };
            self.stats.records += 1;
            if let Some(at) = instant(&record) {
                self.stats.ring_lag_ms =
                    self.stats.ring_lag_ms.max(now.saturating_duration_since(at).as_millis() as u64);
            }
            self.handle(ring, record);
        }
        self.stats.ring_lag_ms_max = self.stats.ring_lag_ms_max.max(self.stats.ring_lag_ms);
        if abandoned && !self.rings[ring].finished {
            self.rings[ring].finished = true;
            let orphans: Vec<TapKey> =
                self.taps.iter().filter(|(_, open)| open.ring == ring).map(|(&tap, _)| tap).collect();
            for tap in orphans {
                self.close(tap, now);
            }
            for (tap, _) in self.away.extract_if(.., |_, from| *from == ring) {
                (self.divert)(&TapRecord::Close { tap, at: now });
            }
        }
    }

    fn handle(&mut self, ring: usize, record: TapRecord) {
        let tap = record.tap();
        // What came while this turn runs may already be in a pause.
        if self.orders_until.is_some_and(|until| record.at() > until) {
            self.take_orders();
        }
        match (self.divert)(&record) {
            Route::Here => {}
            route @ (Route::Away | Route::Both) => {
                self.stats.diverted += 1;
                match record {
                    TapRecord::Open { at, .. } => self.send_away(tap, ring, at),
                    TapRecord::Close { .. } if route == Route::Away => {
                        self.away.remove(&tap);
                        self.expected.remove(&tap);
                    }
                    TapRecord::Close { .. } => drop(self.away.remove(&tap)),
                    TapRecord::Media(_)
                    | TapRecord::Gap { .. }
                    | TapRecord::Switch { .. }
                    | TapRecord::Pause { .. }
                    | TapRecord::Resume { .. } => {}
                }
                if route == Route::Away {
                    return;
                }
            }
            Route::Back => {
                self.away.remove(&tap);
                self.open(tap, ring, record.at());
            }
        }
        match record {
            TapRecord::Open { tap, at } => {
                self.open(tap, ring, at);
            }
            TapRecord::Media(media) => {
                self.on_tap(media.tap, |sound| sound.handle_media(media));
            }
            TapRecord::Gap { tap, side, count, .. } => {
                self.stats.not_copied += u64::from(count);
                self.on_tap(tap, |sound| sound.handle_gap(side, count));
            }
            TapRecord::Switch { tap, side, .. } => {
                self.on_tap(tap, |sound| sound.handle_switch(side));
            }
            TapRecord::Pause { tap, at } => self.obey(tap, Order::Pause(tap, at)),
            TapRecord::Resume { tap, at } => self.obey(tap, Order::Resume(tap, at)),
            TapRecord::Close { tap, at } => self.close(tap, at),
        }
    }

    /// Another machine hears the tap from now on, and obeys what was ordered by now.
    fn send_away(&mut self, tap: TapKey, ring: usize, at: Instant) {
        self.away.insert(tap, ring);
        let Some((_, orders)) = self.expected.get(&tap) else { return };
        for record in not_over(orders, at).iter().filter_map(|order| order.record()) {
            (self.divert)(&record);
        }
    }

    fn take_orders(&mut self) {
        for order in self.orders.take() {
            if let Some(record) = order.record()
                && self.away.contains_key(&record.tap())
            {
                (self.divert)(&record);
            }
            match order {
                Order::Expect(tap, wants) => {
                    if self.expected.len() == EXPECTED_MAX {
                        self.expected.pop_first();
                    }
                    self.expected.insert(tap, (wants, Vec::new()));
                }
                Order::Pause(tap, _) | Order::Resume(tap, _) => match self.expected.get_mut(&tap) {
                    Some((_, early)) => early.push(order),
                    None if self.taps.contains_key(&tap) => self.obey(tap, order),
                    // The call has ended meanwhile.
                    None => {}
                },
            }
        }
    }

    fn obey(&mut self, tap: TapKey, order: Order) {
        self.on_tap(tap, |sound| match order {
            Order::Expect(..) => {}
            Order::Pause(_, at) => sound.pause(at),
            Order::Resume(_, at) => sound.resume(at),
        });
    }

    fn open(&mut self, tap: TapKey, ring: usize, at: Instant) {
        // Its own orders were given before the shard was told of it.
        self.take_orders();
        let (wants, orders) = self.expected.remove(&tap).unwrap_or_default();
        let sound = Sound::new(tap, wants, at);
        self.taps.insert(tap, Open { sound, ring, dropped_blocks: 0, dropped_samples: 0 });
        for &order in not_over(&orders, at) {
            self.obey(tap, order);
        }
    }

    /// A panic over one call's packets ends that recording and nothing else.
    fn on_tap<R>(&mut self, tap: TapKey, act: impl FnOnce(&mut Sound) -> R) -> Option<R> {
        let Some(open) = self.taps.get_mut(&tap) else {
            self.stats.strays += 1;
            return None;
        };
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| act(&mut open.sound))) {
            return Some(result);
        }
        tracing::error!(tap = tap.0, "a recording ended by a panic of the tap");
        self.stats.panics += 1;
        if let Some(open) = self.taps.remove(&tap) {
            self.unheard.push_back(open.closed(tap));
        }
        None
    }

    fn close(&mut self, tap: TapKey, at: Instant) {
        // The shard closed it at an instant that lies behind: a pause not ordered by now began later.
        self.take_orders();
        self.on_tap(tap, |sound| sound.close(at));
        self.offer_blocks(tap, at);
        if let Some(open) = self.taps.remove(&tap) {
            self.unheard.push_back(open.closed(tap));
        }
        self.offer_closed();
    }

    fn offer_blocks(&mut self, tap: TapKey, now: Instant) {
        while self.taps.contains_key(&tap)
            && let Some(Some((piece, samples))) = self.on_tap(tap, |sound| sound.poll(now))
        {
            self.offer(tap, piece, samples);
        }
    }

    fn offer(&mut self, tap: TapKey, piece: Output, samples: u64) {
        self.stats.blocks += 1;
        if (self.sink)(piece) {
            return;
        }
        self.stats.dropped_blocks += 1;
        if let Some(open) = self.taps.get_mut(&tap) {
            open.dropped_blocks += 1;
            open.dropped_samples += samples;
        }
    }

    fn offer_closed(&mut self) {
        while let Some(closed) = self.unheard.front() {
            if !(self.sink)(Output::Closed(closed.clone())) {
                return;
            }
            self.unheard.pop_front();
        }
    }
}

impl Open {
    fn closed(&self, tap: TapKey) -> Closed {
        Closed { tap, stats: self.stats(), pauses: self.sound.pauses() }
    }

    fn stats(&self) -> crate::audio::Stats {
        crate::audio::Stats {
            dropped_blocks: self.dropped_blocks,
            dropped_samples: self.dropped_samples,
            ..self.sound.stats()
        }
    }
}

/// A pause that was over when the tap opened is none.
fn not_over(orders: &[Order], opened: Instant) -> &[Order] {
    let over = orders.iter().rposition(|order| matches!(order, Order::Resume(_, end) if *end <= opened));
    &orders[over.map_or(0, |over| over + 1)..]
}

fn instant(record: &TapRecord) -> Option<Instant> {
    match record {
        TapRecord::Open { at, .. }
        | TapRecord::Close { at, .. }
        | TapRecord::Switch { at, .. }
        | TapRecord::Pause { at, .. }
        | TapRecord::Resume { at, .. } => Some(*at),
        TapRecord::Media(media) => Some(media.arrival),
        // Its instant is that of the loss, long before there was room to tell.
        TapRecord::Gap { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::sync::Arc;

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
        orders: Orders,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let (ring, records) = RingBuffer::new(4096);
            let took: Rc<RefCell<Vec<Output>>> = Rc::default();
            let full: Rc<Cell<bool>> = Rc::default();
            let sink = {
                let (took, full) = (Rc::clone(&took), Rc::clone(&full));
                move |output| {
                    if !full.get() {
                        took.borrow_mut().push(output);
                    }
                    !full.get()
                }
            };
            let orders = Orders::default();
            let divert = Box::new(|_: &TapRecord| Route::Here) as Divert;
            let worker = Worker::new(vec![records], orders.clone(), divert, Box::new(sink) as Box<_>);
            Self { worker, ring: Some(ring), took, full, orders, start: Clock.instant() }
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
                        self.push(TapRecord::Media(TapMedia {
                            tap: TapKey(tap),
                            side,
                            seq,
                            rtp_time,
                            arrival,
                            payload,
                        }));
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
        let mut worker = Worker::new(vec![records], orders, divert, |_| true);
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
}
