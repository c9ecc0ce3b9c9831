//! Which copied packets hold sound of a pause, and so stay on this machine. Pure: time comes with the packets.
//!
//! As in the recorder, a sound is in a pause if that is when it would have arrived without the network's wavering: a packet
//! that comes late, after the pause, is judged by its RTP time. Encoders repeat what went before, and a decoder goes on from
//! it, so a packet whose neighbour is in the pause stays too.

use std::time::{Duration, Instant};

use crate::audio::toc;
use crate::model::rtp::{OPUS_CLOCK_HZ, TapMedia};

/// The least delayed packet of one or two such stretches tells when the others were due: two clocks part by 1 ms in it.
const STRETCH: Duration = Duration::from_secs(10);

/// A packet so far behind was not delayed: its sender's clock jumped.
const JUMP: Duration = Duration::from_secs(1);

/// What an unreadable packet is taken for: 20 ms.
const TICKS_USUAL: u32 = OPUS_CLOCK_HZ / 50;

/// The pauses of one call, and the clocks of its two sides.
#[derive(Debug, Default)]
pub(super) struct PauseFilter {
    /// From and to; `None` while it lasts.
    pauses: Vec<(Instant, Option<Instant>)>,
    sides: [Punctual; 2],
}

impl PauseFilter {
    pub(super) fn pause(&mut self, at: Instant) {
        // No packet is that late.
        self.pauses.retain(|&(_, to)| to.is_none_or(|to| to + STRETCH > at));
        if !self.lasts() {
            self.pauses.push((at, None));
        }
    }

    pub(super) fn resume(&mut self, at: Instant) {
        if let Some((from, to @ None)) = self.pauses.last_mut() {
            *to = Some(at.max(*from));
        }
    }

    pub(super) fn lasts(&self) -> bool {
        matches!(self.pauses.last(), Some((_, None)))
    }

    /// Whether the packet must not leave. To be asked about each packet, so that the clocks are known.
    pub(super) fn covers(&mut self, media: &TapMedia) -> bool {
        let due = self.sides[media.side as usize].due(media.rtp_time, media.arrival);
        if self.pauses.is_empty() {
            return false;
        }
        let length = ticks(toc::duration_ticks(media.payload.bytes()).unwrap_or(TICKS_USUAL));
        let earliest = due.checked_sub(length).unwrap_or(due);
        let touches = |from: Instant, to: Instant| {
            self.pauses.iter().any(|&(begin, end)| begin < to && end.is_none_or(|end| from < end))
        };
        touches(earliest, due + length) || touches(media.arrival, media.arrival + Duration::from_nanos(1))
    }
}

/// When the packets of one side would have come if none were delayed.
#[derive(Debug, Default)]
struct Punctual {
    begun: Option<Instant>,
    /// The least delayed packet of this stretch and of the one before: arrival and RTP time.
    best: [Option<(Instant, u32)>; 2],
}

impl Punctual {
    fn due(&mut self, time: u32, arrival: Instant) -> Instant {
        if self.begun.is_none_or(|begun| arrival.saturating_duration_since(begun) >= STRETCH) {
            self.begun = Some(arrival);
            self.best = [None, self.best[0]];
        }
        let by = |best: Option<(Instant, u32)>| best.and_then(|(at, of)| later(at, time.wrapping_sub(of)));
        if by(self.best[0]).is_none_or(|due| arrival < due) {
            self.best[0] = Some((arrival, time));
        }
        let due = self.best.into_iter().filter_map(by).fold(arrival, Instant::min);
        if arrival.saturating_duration_since(due) > JUMP {
            self.best = [Some((arrival, time)), None];
            return arrival;
        }
        due
    }
}

/// `at` moved by a difference of RTP times, which is meant as signed.
fn later(at: Instant, difference: u32) -> Option<Instant> {
    let difference = difference.cast_signed();
    let by = ticks(difference.unsigned_abs());
    if difference < 0 { at.checked_sub(by) } else { at.checked_add(by) }
}

fn ticks(ticks: u32) -> Duration {
    Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / u64::from(OPUS_CLOCK_HZ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::rtp::{Side, TapKey, TapPayload};
    use crate::model::time::Clock;

    /// Packets of 20 ms, one a line: when it was sent, how late it came, whether it may leave. Paused from 1,000 to 1,500.
    #[test]
    fn what_was_said_in_a_pause_stays_however_late_it_comes() {
        let start = Clock.instant() + Duration::from_secs(100);
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut filter = PauseFilter::default();
        filter.pause(at(1_000));
        filter.pause(at(1_100));
        filter.resume(at(1_500));
        filter.resume(at(1_700));
        let payload = TapPayload::new(&Arc::from(&[0x48, 1, 2, 3][..]));
        for (sent, delay, leaves) in [
            (0, 10, true),
            (20, 0, true),
            (960, 0, true),
            (980, 15, true),
            // Its second half would have been heard in the pause; and one that came too late to be sent before it.
            (990, 0, false),
            (960, 60, false),
            (1_000, 0, false),
            (1_480, 0, false),
            // Late by 400 ms: said in the pause.
            (1_480, 400, false),
            (1_200, 700, false),
            // Repeats what went before.
            (1_500, 5, false),
            (1_520, 0, true),
            (1_540, 300, true),
            (1_000, 600, false),
        ] {
            let media = TapMedia {
                tap: TapKey(1),
                side: Side::Agent,
                seq: 0,
                rtp_time: (sent as u32 * 48).wrapping_sub(9_600),
                arrival: at(sent + delay),
                payload: payload.clone(),
            };
            assert_eq!(filter.covers(&media), !leaves, "sent at {sent}, {delay} late");
        }
        // The other side's clock is another one.
        let media = |rtp_time, ms| TapMedia {
            tap: TapKey(1),
            side: Side::Customer,
            seq: 0,
            rtp_time,
            arrival: at(ms),
            payload: payload.clone(),
        };
        assert!(!filter.covers(&media(77, 900)));
        assert!(filter.covers(&media(77 + 48 * 200, 1_600)), "due at 1,100");
        // A sender that begins anew is believed.
        assert!(!filter.covers(&media(u32::MAX / 2, 1_700)));
        assert!(!filter.covers(&media(u32::MAX / 2 + 960, 1_720)));
        assert!(!filter.lasts());
        filter.pause(at(1_730));
        assert!(filter.lasts() && filter.covers(&media(u32::MAX / 2 + 960 * 2, 1_740)));
    }
}
