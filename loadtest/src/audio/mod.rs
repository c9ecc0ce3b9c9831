//! Sounds to speak, and what can be said about a sound that was heard.
//!
//! Everything here is 16 kHz, mono, signed 16 bit: that is what a WhatsApp call carries. Sounds are encoded to Opus
//! once and sent many times; heard packets are decoded only when somebody asks.

mod fourier;
pub mod heard;
pub mod measure;
pub mod opus_frames;
pub mod sound;

/// Samples per second of every sound in this crate.
pub const RATE: u32 = 16_000;
/// Samples of one 20 ms frame at [`RATE`].
pub const FRAME: usize = 320;
/// RTP clock ticks of one 20 ms Opus frame (RFC 7587 §4.1: the clock is always 48 kHz).
pub const FRAME_TICKS: u32 = 960;
