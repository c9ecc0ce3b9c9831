//! The customer's last half second while nobody hears it yet, so that whoever is joined hears the first word whole.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::leg::Heard;

/// Long enough for an agent's leg that comes up a moment late; more would delay the conversation it saves.
pub(super) const PREROLL_MAX: Duration = Duration::from_millis(500);

/// At 20 ms a packet; shorter packets than that are not offered to us.
const PACKETS_MAX: usize = 25;

#[derive(Debug)]
pub(super) struct Preroll {
    packets: VecDeque<Heard>,
}

impl Preroll {
    pub(super) fn new() -> Self {
        Self { packets: VecDeque::with_capacity(PACKETS_MAX) }
    }

    pub(super) fn keep(&mut self, packet: Heard) {
        if self.packets.len() == PACKETS_MAX {
            self.packets.pop_front();
        }
        self.packets.push_back(packet);
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
    }

    /// The oldest packet that is still worth hearing.
    pub(super) fn take(&mut self, now: Instant) -> Option<Heard> {
        while let Some(packet) = self.packets.pop_front() {
            if now.saturating_duration_since(packet.at) <= PREROLL_MAX {
                return Some(packet);
            }
        }
        None
    }
}
