//! One Opus decoder to 16 kHz mono, and its two ways of making up what was lost.

use super::RATE_HZ;

/// 120 ms, the longest Opus packet.
const SAMPLES_MAX: usize = 1_920;

/// The decoder conceals in steps of 2.5 ms.
const STEP: usize = 40;

/// The decoder refused the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no Opus packet")]
pub struct Undecodable;

/// A decoder and its state. Stereo packets come out mixed to mono.
#[derive(Debug)]
pub struct Codec {
    decoder: opus::Decoder,
    pcm: [i16; SAMPLES_MAX],
}

impl Default for Codec {
    fn default() -> Self {
        let decoder = opus::Decoder::new(RATE_HZ, opus::Channels::Mono)
            .expect("16 kHz mono is among the formats every Opus decoder has");
        Self { decoder, pcm: [0; SAMPLES_MAX] }
    }
}

impl Codec {
    /// The sound of one packet.
    ///
    /// # Errors
    /// [`Undecodable`]; the state is then as after a loss.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[i16], Undecodable> {
        if packet.is_empty() {
            // To the decoder it would be a wish for concealment.
            return Err(Undecodable);
        }
        let len = self.decoder.decode(packet, &mut self.pcm, false).map_err(|_| Undecodable)?;
        Ok(&self.pcm[..len])
    }

    /// The last `samples` of the packet that went missing before `next`, from the redundancy inside `next`. `lost`:
    /// the length of the missing packet; the decoder rebuilds it whole or not at all.
    ///
    /// # Errors
    /// [`Undecodable`].
    pub fn recover(&mut self, next: &[u8], lost: usize, samples: usize) -> Result<&[i16], Undecodable> {
        let len = self.decoder.decode(next, &mut self.pcm[..round_up(lost)], true).map_err(|_| Undecodable)?;
        Ok(&self.pcm[len.saturating_sub(samples)..len])
    }

    /// The next `samples` (at most 120 ms), made up from what was heard before; fades out over successive calls.
    pub fn conceal(&mut self, samples: usize) -> &[i16] {
        let room = &mut self.pcm[..round_up(samples)];
        if self.decoder.decode(&[], room, false).is_err() {
            room.fill(0);
        }
        &self.pcm[..samples]
    }

    /// Forgets what was heard: the next packet comes from another encoder, or after a long hole.
    pub fn reset(&mut self) {
        self.decoder.reset_state().expect("resetting takes no argument that could be wrong");
    }
}

fn round_up(samples: usize) -> usize {
    samples.next_multiple_of(STEP).min(SAMPLES_MAX)
}
