//! Packets of any length, cut or joined into pieces of 20 ms.
//!
//! Almost every packet is one frame of 20 ms and passes as it is. Several frames in one packet are taken apart, shorter
//! ones joined: the sound stays as it was encoded. Only frames of 40 and 60 ms, which neither WhatsApp nor a browser sends
//! unasked, cannot be cut and are encoded anew.

use std::sync::Arc;

use super::codec::Codec;
use super::{RATE_HZ, SLOT_SAMPLES, TICKS_PER_SAMPLE, framing, toc};
use crate::model::rtp::{FRAME_TICKS, TapPayload};

/// What is encoded anew is speech at 16 kHz; more bits are not heard.
const BITS_PER_S: i32 = 28_000;

/// A complexity that costs a third of the default's time.
const COMPLEXITY: i32 = 3;

/// The longest packet, encoded anew.
const PACKET_BYTES_MAX: usize = 1_276;

/// 20 ms of one side.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// On the sender's clock, in samples.
    pub(super) sent: i64,
    pub(super) payload: TapPayload,
}

/// Cuts one side's packets, in order.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// Frames shorter than 20 ms that wait for their fellows.
    part: Option<Part>,
    recoder: Option<Box<Recoder>>,
}

#[derive(Debug)]
struct Part {
    sent: i64,
    config: u8,
    frames: Vec<Vec<u8>>,
}

impl Cutter {
    /// The pieces that are complete with this packet. `None` when it is no Opus packet.
    pub(super) fn cut(&mut self, sent: i64, payload: &TapPayload) -> Option<Vec<Piece>> {
        let bytes = payload.bytes();
        let ticks = toc::duration_ticks(bytes)?;
        if self.part.is_none() && ticks == FRAME_TICKS && bytes.len() <= PACKET_BYTES_MAX && bytes[0] & 3 == 0 {
            return Some(vec![Piece { sent, payload: payload.clone() }]);
        }
        let (config, frames) = (framing::config(bytes[0]), framing::frames(bytes)?);
        let frame_ticks = ticks / frames.len() as u32;
        if frame_ticks > FRAME_TICKS {
            let mut pieces: Vec<Piece> = self.finish().into_iter().collect();
            pieces.extend(self.recoder.get_or_insert_default().recode(sent, bytes)?);
            return Some(pieces);
        }
        let mut pieces = Vec::new();
        for (at, frame) in frames.into_iter().enumerate() {
            let sent = sent + i64::from(at as u32 * frame_ticks / TICKS_PER_SAMPLE);
            pieces.extend(self.join(sent, config, frame_ticks, frame));
        }
        Some(pieces)
    }

    /// What still waits for its fellows, filled up with pauses.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        self.part.take().map(Part::fill)
    }

    fn join(&mut self, sent: i64, config: u8, frame_ticks: u32, frame: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let fits = |part: &Part| part.config == config && sent == part.sent + part.samples();
        if !self.part.as_ref().is_some_and(fits) {
            pieces.extend(self.finish());
        }
        let part = self.part.get_or_insert_with(|| Part { sent, config, frames: Vec::new() });
        part.frames.push(frame.to_vec());
        if part.frames.len() as u32 * frame_ticks >= FRAME_TICKS {
            pieces.extend(self.finish());
        }
        pieces
    }
}

impl Part {
    fn samples(&self) -> i64 {
        self.frames.len() as i64 * i64::from(toc::frame_ticks(self.config) / TICKS_PER_SAMPLE)
    }

    fn fill(mut self) -> Piece {
        // A frame without bytes is a pause of the encoder (RFC 6716 section 3.2.1).
        self.frames.resize((FRAME_TICKS / toc::frame_ticks(self.config)) as usize, Vec::new());
        let frames: Vec<&[u8]> = self.frames.iter().map(Vec::as_slice).collect();
        let mut packet = Vec::new();
        framing::write(self.config, &frames, false, &mut packet);
        Piece { sent: self.sent, payload: TapPayload::new(&Arc::from(packet)) }
    }
}

/// Decodes and encodes again, 20 ms at a time.
#[derive(Debug)]
struct Recoder {
    codec: Codec,
    encoder: opus::Encoder,
}

impl Default for Recoder {
    fn default() -> Self {
        let mut encoder = opus::Encoder::new(RATE_HZ, opus::Channels::Mono, opus::Application::Voip)
            .expect("16 kHz mono is among the formats every Opus encoder has");
        let set =
            encoder.set_bitrate(opus::Bitrate::Bits(BITS_PER_S)).and_then(|()| encoder.set_complexity(COMPLEXITY));
        set.expect("the rate and the complexity lie within their ranges");
        Self { codec: Codec::default(), encoder }
    }
}

impl Recoder {
    fn recode(&mut self, sent: i64, packet: &[u8]) -> Option<Vec<Piece>> {
        let pcm = self.codec.decode(packet).ok()?;
        let slots = pcm.chunks_exact(SLOT_SAMPLES as usize).enumerate();
        let encoded = slots.map(|(at, pcm)| {
            let packet = self.encoder.encode_vec(pcm, PACKET_BYTES_MAX).ok()?;
            Some(Piece { sent: sent + at as i64 * SLOT_SAMPLES, payload: TapPayload::new(&Arc::from(packet)) })
        });
        encoded.collect()
    }
}
