//! Where a sender's clock lies on ours: the least delay of recent packets.
//!
//! Queues only ever delay, so the fastest packet of the last seconds is the best witness (a minimum filter). The
//! window forgets, so the estimate follows a sender whose clock runs up to some hundred ppm fast or slow, and a network
//! path that changed.

use std::collections::VecDeque;

use super::RATE_HZ;

/// Five buckets of at least 2 s: long enough to hold a fast packet, short enough that 100 ppm move less than 1 ms.
const BUCKETS: usize = 5;
const BUCKET_SAMPLES: i64 = 2 * RATE_HZ as i64;

/// A pausing sender gives few packets; a bucket stays open until it has this many, or one slow packet would count.
const BUCKET_PACKETS: u32 = 10;

/// Two clocks that differ by 10 ppm are 0.6 ms apart by then.
const PPM_AFTER: i64 = 60 * RATE_HZ as i64;

/// Minimum of `arrival - sent` over a sliding window, all in samples.
#[derive(Debug, Default)]
pub struct Delay {
    buckets: VecDeque<Bucket>,
    /// The first bucket since the beginning, or since the sender's clock jumped.
    first: Option<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    opened: i64,
    packets: u32,
    min: i64,
}

impl Delay {
    /// A packet sent at `sent` on its sender's clock came at `arrival` on ours.
    pub fn observe(&mut self, sent: i64, arrival: i64) {
        let delay = arrival - sent;
        match self.buckets.back_mut() {
            Some(open) if arrival - open.opened < BUCKET_SAMPLES || open.packets < BUCKET_PACKETS => {
                open.packets += 1;
                open.min = open.min.min(delay);
            }
            _ => {
                self.first = self.first.or_else(|| self.buckets.front().copied());
                if self.buckets.len() == BUCKETS {
                    self.buckets.pop_front();
                }
                self.buckets.push_back(Bucket { opened: arrival, packets: 1, min: delay });
            }
        }
    }

    /// The least delay of the window, `None` before the first packet.
    pub fn min(&self) -> Option<i64> {
        self.buckets.iter().map(|bucket| bucket.min).min()
    }

    /// How much slower than ours the sender's clock runs, in millionths: by how much the least delay grew. `None` before a
    /// minute has passed.
    pub fn ppm(&self) -> Option<i64> {
        let (first, last) = (self.first?, self.buckets.back()?);
        let passed = last.opened - first.opened;
        // Each end is good to half a millisecond or so.
        (passed >= PPM_AFTER).then(|| (last.min - first.min) * 1_000_000 / passed)
    }

    /// The past says nothing about what comes: the sender's clock jumped.
    pub fn restart(&mut self) {
        self.buckets.clear();
        self.first = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_follows_a_slow_sender_within_two_milliseconds() {
        let mut delay = Delay::default();
        let mut seed = 7_u64;
        for packet in 0..180_000_i64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let jitter = (seed >> 33) as i64 % 640;
            let sent = packet * 320;
            let skewed = sent + sent / 10_000;
            delay.observe(sent, skewed + 500 + jitter);
            if packet > 1000 {
                let error = delay.min().unwrap() - (500 + sent / 10_000);
                assert!(error.abs() <= 32, "{packet}: {error}");
            }
        }
        assert!((delay.ppm().unwrap() - 100).abs() <= 2, "{:?}", delay.ppm());
    }
}
