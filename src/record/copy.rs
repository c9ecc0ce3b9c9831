//! The sound of one recording, or of a piece of it, on its way into another.

use std::io::{self, BufReader};
use std::ops::Range;
use std::path::Path;

use hound::WavReader;
use ogg::PacketReader;

use super::file::{Sound, SoundFile};
use super::sound::into_io;
use super::{Format, Playback, Vault};
use crate::audio::{self, Block, SLOT_SAMPLES};
use crate::model::rtp::TapKey;

/// The two header packets of an Ogg Opus file (RFC 7845 section 3).
pub(super) const OGG_HEADERS: usize = 2;

/// Appends what `from` holds, which begins at `first_sample` of the other; in Ogg Opus with the next frame of 20 ms. Packets stay
/// as they are. What lies in `cuts`, samples of the other, is left out: it becomes silence, as all that is missing does. Returns
/// whether there is a hole before it.
pub(super) fn append(
    file: &mut SoundFile,
    from: &Path,
    first_sample: u64,
    cuts: &[Range<u64>],
    vault: &Vault,
) -> io::Result<bool> {
    let opened = BufReader::new(Playback::open(from, vault)?);
    match Format::of(from) {
        Format::Wav => append_wav(file, opened, first_sample, cuts),
        Format::Opus => append_ogg(file, opened, first_sample, cuts),
    }
}

fn append_wav(file: &mut SoundFile, from: impl io::Read, mut first: u64, cuts: &[Range<u64>]) -> io::Result<bool> {
    let mut hole = false;
    let mut sound = WavReader::new(from).map_err(into_io)?.into_samples::<i16>();
    loop {
        let mut samples = Vec::with_capacity(audio::RATE_HZ as usize);
        while samples.len() < samples.capacity()
            && let (Some(left), Some(right)) = (sound.next(), sound.next())
        {
            samples.push([left.map_err(into_io)?, right.map_err(into_io)?]);
        }
        if samples.is_empty() {
            return Ok(hole);
        }
        for (sample, at) in samples.iter_mut().zip(first..) {
            if cuts.iter().any(|cut| cut.contains(&at)) {
                *sample = [0, 0];
            }
        }
        let block = Block { tap: TapKey(0), first_sample: first, samples };
        hole |= file.write(&Sound::Block(&block))?;
        first += block.samples.len() as u64;
    }
}

fn append_ogg(
    file: &mut SoundFile,
    from: impl io::Read + io::Seek,
    first: u64,
    cuts: &[Range<u64>],
) -> io::Result<bool> {
    let slot = SLOT_SAMPLES.cast_unsigned();
    let mut hole = false;
    let mut packets = PacketReader::new(from);
    for _ in 0..OGG_HEADERS {
        packets.read_packet_expected().map_err(io::Error::other)?;
    }
    for frame in first.div_ceil(slot).. {
        let Some(packet) = packets.read_packet().map_err(io::Error::other)? else { break };
        // The packet behind a cut holds the frame before it once more, as redundancy.
        let heard = (frame * slot).saturating_sub(slot)..(frame + 1) * slot;
        if !cuts.iter().any(|cut| cut.start < heard.end && heard.start < cut.end) {
            hole |= file.write(&Sound::Packet(frame, &packet.data))?;
        }
    }
    Ok(hole)
}
