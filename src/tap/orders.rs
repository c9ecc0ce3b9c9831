//! What the worker is told about its taps besides their packets: by the desk, past the shards.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::model::rtp::{TapKey, TapRecord};
use crate::model::time::Clock;

/// In which form those behind a tap want its sound. What nobody wants is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Decoded, as [`Output::Block`](crate::audio::Output::Block): for WAV and speech recognition.
    pub samples: bool,
    /// As it was encoded, as [`Output::Frames`](crate::audio::Output::Frames): costs next to nothing.
    pub frames: bool,
}

/// Of a tap that nobody announced.
impl Default for Wants {
    fn default() -> Self {
        Self { samples: true, frames: false }
    }
}

/// The way to the worker. Cheap to clone; never waits for more than a list to be taken over.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<Mutex<Vec<Order>>>);

/// Few, and none may be lost, so the list has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A shard will be told to open this tap.
    Expect(TapKey, Wants),
    Pause(TapKey, Instant),
    Resume(TapKey, Instant),
}

impl Order {
    /// As those who hear the tap on another machine are told.
    pub(super) fn record(self) -> Option<TapRecord> {
        match self {
            Self::Expect(..) => None,
            Self::Pause(tap, at) => Some(TapRecord::Pause { tap, at }),
            Self::Resume(tap, at) => Some(TapRecord::Resume { tap, at }),
        }
    }
}

impl Orders {
    /// To be given before the shard is told to open the tap.
    pub fn expect(&self, tap: TapKey, wants: Wants) {
        self.lock().push(Order::Expect(tap, wants));
    }

    /// From the returned instant on nobody behind the tap hears the call; what is heard then is not kept anywhere.
    pub fn pause(&self, tap: TapKey) -> Instant {
        self.order_now(|at| Order::Pause(tap, at))
    }

    /// From the returned instant on the call is heard again.
    pub fn resume(&self, tap: TapKey) -> Instant {
        self.order_now(|at| Order::Resume(tap, at))
    }

    /// What was ordered since the last time.
    pub(super) fn take(&self) -> Vec<Order> {
        std::mem::take(&mut *self.lock())
    }

    /// The instant is read under the lock: whoever finds the list without the order has heard nothing later than it.
    fn order_now(&self, order: impl FnOnce(Instant) -> Order) -> Instant {
        let mut orders = self.lock();
        let now = Clock.instant();
        orders.push(order(now));
        now
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
