//! One turn of the worker: rings in, blocks out. Time is an argument, so a test can live an hour in a minute.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::listener::{Listener, Wall};
use super::orders::{Order, Orders, Wants};
use super::sound::Sound;
use super::{LAG_TOLD, Stats};
use crate::audio::{Closed, Output};
use crate::model::rtp::{Route, TapKey, TapRecord};

/// A closing word is offered for this long, then given up: the sink is gone.
const CLOSED_ATTEMPTS_AT_END: u32 = 200;

/// Taps that are to open. Of a call that ends before its shard opens the tap an entry stays, so the oldest one goes.
const EXPECTED_MAX: usize = 4_096;

/// Who can make up for what it does not hear is let go of a call whose packets wait for so long: recordings come first.
const LAG_MAX: Duration = Duration::from_secs(3);

/// The same for a call that loses more than 5 % of the 1,000 packets that both sides send in [`LOSS_WINDOW`].
const LOST_MAX: u32 = 50;
const LOSS_WINDOW: Duration = Duration::from_secs(10);

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
    listeners: Vec<Listener>,
    sink: S,
    /// Around the sink.
    wall: Wall,
    /// The last turn found old records.
    is_late: bool,
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
    /// Packets lost on the way here since then.
    lost: (Instant, u32),
    let_go: bool,
}

impl<D: FnMut(&TapRecord) -> Route, S: FnMut(Output) -> bool> Worker<D, S> {
    pub(super) fn new(
        rings: Vec<Consumer<TapRecord>>,
        orders: Orders,
        divert: D,
        listeners: Vec<Listener>,
        sink: S,
    ) -> Self {
        Self {
            rings: rings.into_iter().map(|records| Ring { records, finished: false }).collect(),
            taps: BTreeMap::new(),
            orders,
            expected: BTreeMap::new(),
            away: BTreeMap::new(),
            divert,
            orders_until: None,
            unheard: VecDeque::new(),
            listeners,
            sink,
            wall: Wall::new("recorder"),
            is_late: false,
            stats: Stats { alive: true, ..Stats::default() },
        }
    }

    /// Every shard has dropped its end of the ring.
    pub(super) fn is_abandoned(&self) -> bool {
        self.rings.iter().all(|ring| ring.records.is_abandoned())
    }

    pub(super) fn stats(&self) -> Stats {
        let listeners: u64 = self.listeners.iter().map(Listener::panics).sum();
        let panics = self.stats.panics + self.wall.panics + listeners;
        Stats { open: self.taps.len(), panics, ..self.stats }
    }

    /// A turn; what panics in it outside of any call costs that record, not the worker.
    pub(super) fn turn_safely(&mut self, now: Instant) {
        if catch_unwind(AssertUnwindSafe(|| self.turn(now))).is_err() {
            self.stats.panics += 1;
            tracing::error!("a turn of the tap ended by a panic; it goes on with the next");
        }
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
        self.note_lag();
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
                let lag = now.saturating_duration_since(at);
                self.stats.ring_lag_ms = self.stats.ring_lag_ms.max(lag.as_millis() as u64);
                if lag > LAG_MAX {
                    self.let_go(record.tap());
                }
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
            TapRecord::Gap { tap, side, count, at } => {
                self.stats.not_copied += u64::from(count);
                self.note_loss(tap, count, at);
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
        let open = Open { sound, ring, dropped_blocks: 0, dropped_samples: 0, lost: (at, 0), let_go: false };
        self.taps.insert(tap, open);
        for &order in not_over(&orders, at) {
            self.obey(tap, order);
        }
    }

    fn note_lag(&mut self) {
        let is_late = u128::from(self.stats.ring_lag_ms) > LAG_TOLD.as_millis();
        if is_late && !self.is_late {
            self.stats.lags += 1;
            tracing::warn!(
                lag_ms = self.stats.ring_lag_ms,
                open = self.taps.len(),
                "the tap falls behind: short of CPU"
            );
        }
        self.is_late = is_late;
    }

    fn note_loss(&mut self, tap: TapKey, count: u32, at: Instant) {
        let Some(open) = self.taps.get_mut(&tap) else { return };
        if at.saturating_duration_since(open.lost.0) > LOSS_WINDOW {
            open.lost = (at, 0);
        }
        open.lost.1 = open.lost.1.saturating_add(count);
        if open.lost.1 > LOST_MAX {
            self.let_go(tap);
        }
    }

    /// Spares a call that this worker cannot keep up with what can be made up for. Its recording goes on, with holes.
    fn let_go(&mut self, tap: TapKey) {
        let Some(open) = self.taps.get_mut(&tap).filter(|open| !open.let_go) else { return };
        open.let_go = true;
        let wanted = self.listeners.iter_mut().filter_map(|listener| (!listener.let_go(tap)).then_some(())).count();
        if wanted == self.listeners.len() {
            return;
        }
        self.stats.let_go += 1;
        tracing::warn!(tap = tap.0, "the tap cannot keep up: what this call says is written down after it");
        if wanted == 0 {
            open.sound.spare_samples();
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
        if self.hand_on(piece) {
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
            if !self.hand_on(Output::Closed(closed.clone())) {
                return;
            }
            self.unheard.pop_front();
        }
    }

    /// False: the sink has no room. A sink that panics over a piece has none for the rest of that call, and takes its end.
    fn hand_on(&mut self, heard: Output) -> bool {
        for listener in &mut self.listeners {
            listener.hear(&heard);
        }
        let (sink, is_end) = (&mut self.sink, matches!(heard, Output::Closed(_)));
        self.wall.pass(heard.tap(), is_end, || sink(heard)).unwrap_or(is_end)
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
mod tests;
