//! From copied packets to sound: what both parties heard, as one stereo line of 16 kHz samples.
//!
//! A live player stretches time to hide the network; a recording must not, or the two voices drift apart. So each side
//! is a line, [`timeline::Timeline`]: packets get absolute sample positions, losses are concealed in place, what cannot be
//! known is exact silence and counted. [`Stereo`] joins the two sides into [`Block`]s in order, at most
//! [`stereo::LAG_MAX`] behind the call.
//!
//! Pure: time is an argument, nothing here waits. Opus decodes directly to 16 kHz, the bandwidth WhatsApp carries, so
//! there is no resampler.

pub use pauses::Pauses;
pub use reel::{Frame, Frames, Reel};
pub use stats::{SideStats, Stats};
pub use stereo::{Block, Closed, Output, Stereo};

pub mod both;
pub mod codec;
mod cutter;
pub mod delay;
mod framing;
pub mod halve;
pub mod jitter;
pub mod line;
pub mod mulaw;
mod pauses;
pub mod reel;
pub mod slots;
mod stats;
pub mod stereo;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod toc;

/// Samples per second of everything behind the tap.
pub const RATE_HZ: u32 = 16_000;

/// RTP ticks (48 kHz, RFC 7587 section 4.1) per sample.
pub const TICKS_PER_SAMPLE: u32 = crate::model::rtp::OPUS_CLOCK_HZ / RATE_HZ;

/// Samples of one millisecond.
pub const SAMPLES_PER_MS: i64 = RATE_HZ as i64 / 1000;

/// A frame of 20 ms, in samples.
pub const SLOT_SAMPLES: i64 = 20 * SAMPLES_PER_MS;

/// The length of this many samples.
pub fn duration(samples: u64) -> std::time::Duration {
    std::time::Duration::from_micros(samples.saturating_mul(125) / 2)
}

const _: () = assert!(RATE_HZ * TICKS_PER_SAMPLE == crate::model::rtp::OPUS_CLOCK_HZ && RATE_HZ == 16_000);
