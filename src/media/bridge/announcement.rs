//! What both parties are told before their call is recorded, and the customer's word against it.

use std::time::Instant;

use super::{Bridge, OwnFrame};
use crate::media::{MediaEvent, Prompt};

impl Bridge {
    /// Plays an announcement to both parties, as soon as both can hear it; until its end they hear nothing else. It begins anew
    /// if the agent's leg is lost meanwhile. From now on the customer may press `opt_out`: the tap ends there and then, and no
    /// other begins.
    pub fn announce(&mut self, announcement: Prompt, opt_out: Option<char>, now: Instant) {
        self.announces = !announcement.duration().is_zero() && !self.opted_out;
        self.splice.load(announcement);
        self.opt_out = opt_out;
        self.preroll.clear();
        self.decide(now);
        self.settle(now);
    }

    /// The joined agent hears a frame of our own as well.
    pub(super) fn tell_agent(&mut self, frame: &OwnFrame, now: Instant) {
        let Some(partner) = self.partner() else { return };
        let to = &mut self.seats[partner];
        let place = to.line.own(frame.switched, now);
        if to.leg.send(place, to.leg.opus(), frame.payload.clone(), now, now, &mut self.sink) {
            self.sink.counters.filler += 1;
        }
    }

    /// The customer does not want to be recorded.
    pub(super) fn forbid_tap(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.opted_out, true) {
            self.stop_tap(now);
            self.announces = false;
            self.sink.events.push_back(MediaEvent::OptedOut);
            self.decide(now);
        }
    }
}
