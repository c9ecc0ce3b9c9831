//! The copy of a call's audio for those behind the bridge.

use std::time::Instant;

use super::Bridge;
use crate::model::rtp::{TapKey, TapRecord};

impl Bridge {
    /// Copies both directions' audio from now on. A running tap ends first. Where the customer has opted out, or the call is
    /// ending, it ends at once: those who wait for its sound learn that there is none.
    pub fn start_tap(&mut self, tap: TapKey, now: Instant) {
        self.stop_tap(now);
        self.tap = Some(tap);
        self.tapped.push_back(TapRecord::Open { tap, at: now });
        if self.opted_out || self.closing {
            self.stop_tap(now);
        }
    }

    pub fn stop_tap(&mut self, now: Instant) {
        if let Some(tap) = self.tap.take() {
            self.tapped.push_back(TapRecord::Close { tap, at: now });
        }
    }

    /// Ends the tap of a bridge that nobody polls any more.
    pub fn last_taps(&mut self, now: Instant) -> impl Iterator<Item = TapRecord> {
        self.stop_tap(now);
        self.tapped.drain(..)
    }
}
