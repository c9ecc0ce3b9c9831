//! One tap's sound in the forms that are wanted.

use std::time::Instant;

use super::Wants;
use crate::audio::{Output, Reel, Stats, Stereo};
use crate::model::recording::Pause;
use crate::model::rtp::{Side, TapKey, TapMedia};

/// The lines of one tap; each is told everything.
#[derive(Debug)]
pub(super) struct Sound {
    stereo: Option<Stereo>,
    reel: Option<Reel>,
}

impl Sound {
    pub(super) fn new(tap: TapKey, wants: Wants, now: Instant) -> Self {
        let Wants { samples, frames } = wants;
        Self { stereo: samples.then(|| Stereo::new(tap, now)), reel: frames.then(|| Reel::new(tap, now)) }
    }

    pub(super) fn handle_media(&mut self, media: TapMedia) {
        match (&mut self.stereo, &mut self.reel) {
            (Some(stereo), Some(reel)) => {
                reel.handle_media(media.clone());
                stereo.handle_media(media);
            }
            (Some(stereo), None) => stereo.handle_media(media),
            (None, Some(reel)) => reel.handle_media(media),
            (None, None) => {}
        }
    }

    pub(super) fn handle_gap(&mut self, side: Side, count: u32) {
        self.each(|stereo| stereo.handle_gap(side, count), |reel| reel.handle_gap(side, count));
    }

    pub(super) fn handle_switch(&mut self, side: Side) {
        self.each(|stereo| stereo.handle_switch(side), |reel| reel.handle_switch(side));
    }

    pub(super) fn pause(&mut self, at: Instant) {
        self.each(|stereo| stereo.pause(at), |reel| reel.pause(at));
    }

    pub(super) fn resume(&mut self, at: Instant) {
        self.each(|stereo| stereo.resume(at), |reel| reel.resume(at));
    }

    pub(super) fn close(&mut self, at: Instant) {
        self.each(|stereo| stereo.close(at), |reel| reel.close(at));
    }

    /// Decodes no more, where it is recorded as it was encoded.
    pub(super) fn spare_samples(&mut self) {
        if self.reel.is_some() {
            self.stereo = None;
        }
    }

    /// The next piece that is ready in either form, and how many samples long it is.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Output, u64)> {
        if let Some(block) = self.stereo.as_mut().and_then(|stereo| stereo.poll_block(now)) {
            let samples = block.samples.len() as u64;
            return Some((Output::Block(block), samples));
        }
        let frames = self.reel.as_mut()?.poll_frames(now)?;
        let samples = frames.samples();
        Some((Output::Frames(frames), samples))
    }

    /// Of the frames, where both are wanted: they are what is recorded then.
    pub(super) fn stats(&self) -> Stats {
        let frames = self.reel.as_ref().map(Reel::stats);
        frames.or_else(|| self.stereo.as_ref().map(Stereo::stats)).unwrap_or_default()
    }

    pub(super) fn pauses(&self) -> Vec<Pause> {
        let frames = self.reel.as_ref().map(Reel::pauses);
        frames.or_else(|| self.stereo.as_ref().map(Stereo::pauses)).unwrap_or_default()
    }

    fn each(&mut self, on_stereo: impl FnOnce(&mut Stereo), on_reel: impl FnOnce(&mut Reel)) {
        self.stereo.as_mut().map(on_stereo);
        self.reel.as_mut().map(on_reel);
    }
}
