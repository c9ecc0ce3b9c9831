//! One leg's sound on its way from the tap to the task that talks to the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::tail::{Chunk, Span, Tail};
use crate::asr::Stream;
use crate::asr::segmenter::Segmenter;
use crate::model::time::Clock;

/// The tap's end of a leg.
pub(super) struct Live {
    shared: Arc<Shared>,
    /// Where the server wants stretches of speech; else it hears everything.
    segmenter: Option<Segmenter>,
    /// Position after everything that was pushed.
    next: u64,
}

/// What the tap's thread and the task share. The lock is held for as long as samples are copied.
pub(super) struct Shared {
    tail: Mutex<Tail>,
    /// There is more sound, or none will follow. One task waits for it.
    changed: Notify,
    ended: CancellationToken,
}

impl Live {
    pub(super) fn new(shared: Arc<Shared>, with_stretches: bool) -> Self {
        Self { shared, segmenter: with_stretches.then(Segmenter::default), next: 0 }
    }
}

impl Stream for Live {
    /// Finding speech costs under 1 ms of CPU per second of sound.
    fn push(&mut self, first_sample: u64, pcm: &[i16]) {
        let shared = &self.shared;
        if let Some(segmenter) = &mut self.segmenter {
            return segmenter.push(first_sample, pcm, &mut |speech| {
                if speech.is_speech() {
                    shared.push(speech.start, speech.pcm);
                }
            });
        }
        // What was pushed already is left out.
        let known = usize::try_from(self.next.saturating_sub(first_sample)).unwrap_or(usize::MAX);
        let Some(new) = pcm.get(known..).filter(|new| !new.is_empty()) else { return };
        let start = first_sample.max(self.next);
        self.next = start + new.len() as u64;
        shared.push(start, new.to_vec());
    }

    /// Dropping it says the same.
    fn finish(self: Box<Self>) {}
}

impl Drop for Live {
    fn drop(&mut self) {
        let last = self.segmenter.as_mut().and_then(Segmenter::finish);
        if let Some(speech) = last.filter(|speech| speech.is_speech()) {
            self.shared.push(speech.start, speech.pcm);
        }
        self.shared.ended.cancel();
        self.shared.changed.notify_one();
    }
}

impl Shared {
    pub(super) fn new(tail: Tail) -> Self {
        Self { tail: Mutex::new(tail), changed: Notify::new(), ended: CancellationToken::new() }
    }

    fn push(&self, start: u64, pcm: Vec<i16>) {
        self.tail().push(start, pcm, Clock.instant());
        self.changed.notify_one();
    }

    /// Until there is sound to be sent; false when none will come.
    pub(super) async fn wait_for_sound(&self) -> bool {
        loop {
            if self.tail().waits() {
                return true;
            }
            if self.ended.is_cancelled() {
                // It may have come in between.
                return self.tail().waits();
            }
            self.changed.notified().await;
        }
    }

    /// Until something has changed since this was asked last.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Until no more sound follows.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// No more sound follows, and all was sent.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended.is_cancelled() && !self.tail().waits()
    }

    /// No more sound follows, and all was answered.
    pub(super) fn is_done(&self) -> bool {
        self.ended.is_cancelled() && self.tail().is_empty()
    }

    pub(super) fn waits(&self) -> bool {
        self.tail().waits()
    }

    pub(super) fn is_owed(&self) -> bool {
        self.tail().is_owed()
    }

    /// See [`Tail::next`]; with it what was missed before.
    pub(super) fn next(&self, samples_max: usize) -> Option<(Chunk, Vec<Span>)> {
        let mut tail = self.tail();
        let chunk = tail.next(samples_max)?;
        Some((chunk, tail.take_missed()))
    }

    pub(super) fn settle(&self, to: u64) {
        self.tail().settle(to);
    }

    pub(super) fn since(&self, end: u64) -> Option<Instant> {
        self.tail().since(end)
    }

    /// See [`Tail::rewind`]; what was sent too often.
    pub(super) fn rewind(&self) -> Vec<Span> {
        let mut tail = self.tail();
        tail.rewind();
        tail.take_missed()
    }

    /// See [`Tail::give_up`]; all that is missed.
    pub(super) fn give_up(&self) -> Vec<Span> {
        let mut tail = self.tail();
        tail.give_up();
        tail.take_missed()
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
