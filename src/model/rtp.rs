//! RTP words: full-width sequence and time, and the record a packet becomes when it is copied away from the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::words::words;

/// Opus counts RTP time at 48 kHz whatever the audio's rate (RFC 7587 section 4.1).
pub const OPUS_CLOCK_HZ: u32 = 48_000;

/// RTP ticks of one 20 ms frame.
pub const FRAME_TICKS: u32 = 960;

/// Widens a 16- or 32-bit RTP counter into a 64-bit one, tolerating reordering (RFC 3550 appendix A.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<u64>,
}

impl Unwrapper {
    /// The full-width value of a 32-bit RTP timestamp: the one nearest to the last seen.
    pub fn time(&mut self, raw: u32) -> u64 {
        let Some(last) = self.last else {
            // Room below the first value, so that an earlier packet arriving late does not go below zero.
            let first = (1 << 32) + u64::from(raw);
            self.last = Some(first);
            return first;
        };
        #[allow(clippy::cast_possible_wrap, reason = "the difference modulo 2^32 is meant as signed")]
        let step = raw.wrapping_sub(last as u32) as i32;
        let wide = last.saturating_add_signed(i64::from(step));
        if step > 0 {
            self.last = Some(wide);
        }
        wide
    }

    /// The same for a 16-bit sequence number.
    pub fn seq(&mut self, raw: u16) -> u64 {
        let Some(last) = self.last else {
            let first = (1 << 16) + u64::from(raw);
            self.last = Some(first);
            return first;
        };
        #[allow(clippy::cast_possible_wrap, reason = "the difference modulo 2^16 is meant as signed")]
        let step = raw.wrapping_sub(last as u16) as i16;
        let wide = last.saturating_add_signed(i64::from(step));
        if step > 0 {
            self.last = Some(wide);
        }
        wide
    }
}

words! {
    /// The side of the call a copied packet belongs to: left and right channel of a recording.
    Side {
        /// What the customer said, as it arrived.
        Customer = "customer",
        /// What the customer was sent: the agent, hold audio or silence, after the splicer.
        Agent = "agent",
    }
}

/// Names one recording on the way from a shard to the tap worker; never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TapKey(pub u64);

impl TapKey {
    /// A key no other recording of this process has.
    pub fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// One entry of the tap ring. Order in the ring is order in time.
#[derive(Clone, Debug)]
pub enum TapRecord {
    /// Copies begin; sample 0 of the recording is this instant.
    Open {
        tap: TapKey,
        at: Instant,
    },
    Media(TapMedia),
    /// The ring was full: `count` packets of this side were not copied.
    Gap {
        tap: TapKey,
        side: Side,
        count: u32,
        at: Instant,
    },
    /// The agent side changed its source (agent, hold, silence), so its decoder starts anew.
    Switch {
        tap: TapKey,
        side: Side,
        at: Instant,
    },
    /// From this instant until `Resume` nobody behind the tap may hear the call. Not from a shard: whoever takes orders for
    /// the tap passes them on.
    Pause {
        tap: TapKey,
        at: Instant,
    },
    Resume {
        tap: TapKey,
        at: Instant,
    },
    /// No more copies; the recording ends at this instant.
    Close {
        tap: TapKey,
        at: Instant,
    },
}

impl TapRecord {
    pub fn tap(&self) -> TapKey {
        match self {
            Self::Media(media) => media.tap,
            Self::Open { tap, .. }
            | Self::Gap { tap, .. }
            | Self::Switch { tap, .. }
            | Self::Pause { tap, .. }
            | Self::Resume { tap, .. }
            | Self::Close { tap, .. } => *tap,
        }
    }

    /// When it happened; a gap's instant is that of the loss, long before there was room to tell.
    pub fn at(&self) -> Instant {
        match self {
            Self::Media(media) => media.arrival,
            Self::Open { at, .. }
            | Self::Gap { at, .. }
            | Self::Switch { at, .. }
            | Self::Pause { at, .. }
            | Self::Resume { at, .. }
            | Self::Close { at, .. } => *at,
        }
    }
}

/// Where a record of the tap ring goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Decoded in this process.
    Here,
    /// Another machine took it; nothing is decoded here.
    Away,
    /// Another machine took it, and it is decoded here too.
    Both,
    /// The call was away and comes back: from this record on it is decoded here, as if it had opened now.
    Back,
}

/// One audio packet, copied. 160 bytes inline hold any 20 ms of speech Opus; longer payloads spill.
#[derive(Clone, Debug)]
pub struct TapMedia {
    pub tap: TapKey,
    pub side: Side,
    /// Full-width sequence number; only order and distance mean something.
    pub seq: u64,
    /// RTP time at 48 kHz, as on the wire.
    pub rtp_time: u32,
    pub arrival: Instant,
    pub payload: TapPayload,
}

/// Opus bytes, inline when short.
#[derive(Clone)]
pub struct TapPayload {
    len: u16,
    inline: [u8; Self::INLINE],
    spill: Option<Arc<[u8]>>,
}

impl TapPayload {
    /// A copy this long is cheaper than a reference count bouncing between cores.
    pub const INLINE: usize = 160;

    pub fn new(payload: &Arc<[u8]>) -> Self {
        if payload.len() <= Self::INLINE {
            Self::copied(payload)
        } else {
            Self { len: 0, inline: [0; Self::INLINE], spill: Some(Arc::clone(payload)) }
        }
    }

    /// A copy of bytes that nobody else holds.
    pub fn copied(payload: &[u8]) -> Self {
        let mut inline = [0; Self::INLINE];
        match inline.get_mut(..payload.len()) {
            Some(room) => {
                room.copy_from_slice(payload);
                Self { len: payload.len() as u16, inline, spill: None }
            }
            None => Self { len: 0, inline, spill: Some(payload.into()) },
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.spill {
            Some(payload) => payload,
            None => &self.inline[..usize::from(self.len)],
        }
    }
}

impl std::fmt::Debug for TapPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_widens_over_the_wrap_and_back_for_a_late_packet() {
        let mut unwrap = Unwrapper::default();
        let first = unwrap.time(u32::MAX - 959);
        assert_eq!(unwrap.time(0) - first, 960);
        assert_eq!(unwrap.time(u32::MAX - 959), first);
        assert_eq!(unwrap.time(960) - first, 1920);
    }

    #[test]
    fn a_sequence_number_widens_over_the_wrap_and_back_for_a_late_packet() {
        let mut unwrap = Unwrapper::default();
        let first = unwrap.seq(u16::MAX);
        assert_eq!(unwrap.seq(0) - first, 1);
        assert_eq!(first - unwrap.seq(u16::MAX - 1), 1);
        assert_eq!(unwrap.seq(3) - first, 4);
    }

    #[test]
    fn a_payload_reads_back_short_or_long() {
        for len in [0, 1, 160, 161, 1200] {
            let payload: Arc<[u8]> = (0..len).map(|i| i as u8).collect();
            assert_eq!(TapPayload::new(&payload).bytes(), &*payload, "{len}");
            assert_eq!(TapPayload::copied(&payload).bytes(), &*payload, "{len}");
        }
    }
}
