//! One recording's file: Ogg Opus with both parties' own packets, playable at every moment.
//!
//! Channel mapping family 1 with two streams of one channel each (RFC 7845 section 5.1.1.2): players show it as ordinary
//! stereo, left the customer, right the agent. Each Ogg packet holds 20 ms: the customer's packet in the form that tells
//! its own end (RFC 6716 appendix B), then the agent's.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ogg::{PacketWriteEndInfo, PacketWriter};

use super::tape::Tape;
use super::{FLUSH_EVERY, Format, Vault};
use crate::audio::{Frame, Frames, SLOT_SAMPLES};

/// Granule positions count at 48 kHz whatever the audio's rate (RFC 7845 section 4).
const GRANULES_PER_SAMPLE: u64 = 3;

/// One logical stream in the file; the number only has to be the same on each page.
pub(super) const SERIAL: u32 = 1;

/// Half a second: players seek by pages, and a page is what a crash loses.
const PAGE_FRAMES_MAX: usize = 25;

/// A recording being written.
pub(super) struct Ogg {
    path: PathBuf,
    writer: PacketWriter<'static, Tape>,
    /// Packets of the page that is not written yet. The last of them is kept back until the next: the very last one of the
    /// file must say so.
    page: Vec<Vec<u8>>,
    /// Frames in pages.
    written: u64,
    bytes: u64,
    flush_due: Instant,
}

impl Ogg {
    /// Creates the file and its headers.
    pub(super) fn create(path: &Path, flush_due: Instant, vault: &Vault) -> io::Result<Self> {
        let mut writer = PacketWriter::new(Tape::create(path, Format::Opus, vault)?);
        write_headers(&mut writer)?;
        writer.inner_mut().end_stretch(0)?;
        Ok(Self { path: path.to_owned(), writer, page: Vec::new(), written: 0, bytes: 0, flush_due })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Frames so far.
    pub(super) fn frames(&self) -> u64 {
        self.written + self.page.len() as u64
    }

    /// Bytes of sound so far, pages' headers not counted.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends what of `frames` is not there yet.
    pub(super) fn write(&mut self, frames: &Frames) -> io::Result<()> {
        let known = usize::try_from(self.frames().saturating_sub(frames.first_frame)).unwrap_or(usize::MAX);
        frames.pairs.get(known..).unwrap_or(&[]).iter().try_for_each(|pair| self.push(pair))
    }

    pub(super) fn write_silence(&mut self, frames: u64) -> io::Result<()> {
        (0..frames).try_for_each(|_| self.push(&[Frame::Silence, Frame::Silence]))
    }

    /// Ends a page with what there is and hands it to the system, if it is time.
    pub(super) fn flush_if_due(&mut self, now: Instant) -> io::Result<()> {
        if now < self.flush_due {
            return Ok(());
        }
        // From the due time, so that files keep their distance; from now after a stall.
        self.flush_due = (self.flush_due + FLUSH_EVERY).max(now + FLUSH_EVERY / 2);
        self.end_page()?;
        self.end_stretch()
    }

    /// Ends the stream after `samples`: what the last frame holds beyond is cut off by the player (RFC 7845 section 4.4).
    pub(super) fn finish(mut self, samples: u64) -> io::Result<()> {
        if self.page.is_empty() {
            self.push(&[Frame::Silence, Frame::Silence])?;
        }
        self.end_page()?;
        let last = self.page.pop().unwrap_or_default();
        let length = samples.min(self.frames_in_samples() + SLOT_SAMPLES.cast_unsigned());
        self.writer.write_packet(last, SERIAL, PacketWriteEndInfo::EndStream, length * GRANULES_PER_SAMPLE)?;
        self.writer.inner_mut().finish(length)
    }

    fn push(&mut self, pair: &[Frame; 2]) -> io::Result<()> {
        let mut packet = Vec::with_capacity(200);
        pair[0].write(true, &mut packet);
        pair[1].write(false, &mut packet);
        self.write_packet(packet)
    }

    /// Appends 20 ms of both sides, as another file of ours has them.
    pub(super) fn write_packet(&mut self, packet: Vec<u8>) -> io::Result<()> {
        if self.page.len() > PAGE_FRAMES_MAX {
            self.end_page()?;
        }
        self.bytes += packet.len() as u64;
        self.page.push(packet);
        Ok(())
    }

    /// Writes a page of all packets but the last.
    fn end_page(&mut self) -> io::Result<()> {
        let keep = self.page.split_off(self.page.len().saturating_sub(1));
        let page = std::mem::replace(&mut self.page, keep);
        let count = page.len();
        for (at, packet) in page.into_iter().enumerate() {
            self.written += 1;
            let end = if at + 1 == count { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            let granule = self.frames_in_samples() * GRANULES_PER_SAMPLE;
            self.writer.write_packet(packet, SERIAL, end, granule)?;
        }
        // Stretches end with pages, so that one that is lost leaves no half of one.
        if self.writer.inner_mut().is_full() { self.end_stretch() } else { Ok(()) }
    }

    fn end_stretch(&mut self) -> io::Result<()> {
        let samples = self.frames_in_samples();
        self.writer.inner_mut().end_stretch(samples)
    }

    fn frames_in_samples(&self) -> u64 {
        self.written * SLOT_SAMPLES.cast_unsigned()
    }
}

/// The two header packets, each on a page of its own (RFC 7845 sections 5.1 and 5.2).
fn write_headers<W: Write>(writer: &mut PacketWriter<'static, W>) -> io::Result<()> {
    writer.write_packet(head(), SERIAL, PacketWriteEndInfo::EndPage, 0)?;
    writer.write_packet(tags(), SERIAL, PacketWriteEndInfo::EndPage, 0)
}

fn head() -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    // Version 1, two channels, nothing to skip: both voices begin in silence, and positions in the file are positions in
    // the call.
    head.extend([1, 2, 0, 0]);
    head.extend(crate::audio::RATE_HZ.to_le_bytes());
    // No gain; mapping family 1: two streams, none of them stereo, the first is left.
    head.extend([0, 0, 1, 2, 0, 0, 1]);
    head
}

fn tags() -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    let mut text = |text: &str| {
        tags.extend((text.len() as u32).to_le_bytes());
        tags.extend(text.as_bytes());
    };
    text(concat!("tandem ", env!("CARGO_PKG_VERSION")));
    tags.extend(1_u32.to_le_bytes());
    let comment = "DESCRIPTION=left: customer, right: agent";
    tags.extend((comment.len() as u32).to_le_bytes());
    tags.extend(comment.as_bytes());
    tags
}

/// The two pages every file of ours begins with.
pub(super) fn headers() -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    write_headers(&mut writer).expect("writing to memory does not fail");
    writer.into_inner()
}

/// Whether this is the first packet of one of our files.
pub(super) fn is_head(packet: &[u8]) -> bool {
    packet == head()
}
