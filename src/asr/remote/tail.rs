//! A leg's sound on its way to a server: what waits to be sent, and what was sent and is not answered yet.
//!
//! Pure. The server may take its connection away at any time, so sound is forgotten only when it has been answered. What
//! a leg may hold, and what all legs may, is bounded; beyond it the oldest is let go: what the server has, on trust, to be
//! missed only if the connection breaks; what waits, as missed, because text that is late serves nobody in the call and
//! what is missed is made up for after it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// So often the same sound is sent before it is given up: it may be what breaks the server.
const TRIES_MAX: u32 = 3;

/// Positions in the call's sound, in samples.
pub(super) type Span = Range<u64>;

/// What all legs together may hold, in samples.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicU64,
    max: u64,
}

impl Room {
    pub(super) fn new(max: u64) -> Self {
        Self { used: AtomicU64::new(0), max }
    }

    /// Samples held now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, samples: u64) -> bool {
        let more = |used: u64| used.checked_add(samples).filter(|used| *used <= self.max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, samples: u64) {
        self.used.fetch_sub(samples, Ordering::Relaxed);
    }
}

/// Sound to be sent as one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) pcm: Vec<i16>,
    /// How much of it was sent before.
    pub(super) resent: u64,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    pcm: Vec<i16>,
    since: Instant,
    tries: u32,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.pcm.len() as u64
    }

    fn span(&self) -> Span {
        self.start..self.end()
    }
}

/// One leg's sound.
#[derive(Debug)]
pub(super) struct Tail {
    pieces: VecDeque<Piece>,
    /// The server has so many of the first ones.
    sent: usize,
    samples: u64,
    samples_max: u64,
    room: Arc<Room>,
    /// What was sent and let go before its answer.
    trusted: Vec<Span>,
    missed: Vec<Span>,
}

impl Tail {
    pub(super) fn new(samples_max: u64, room: Arc<Room>) -> Self {
        let (pieces, trusted, missed) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { pieces, sent: 0, samples: 0, samples_max, room, trusted, missed }
    }

    /// Sound that follows what was pushed; what there is no room for is missed, the oldest first.
    pub(super) fn push(&mut self, start: u64, pcm: Vec<i16>, now: Instant) {
        let samples = pcm.len() as u64;
        while self.samples + samples > self.samples_max || !self.room.take(samples) {
            let Some(oldest) = self.pieces.pop_front() else {
                return join(&mut self.missed, start..start + samples);
            };
            self.forget(&oldest);
            let is_sent = self.sent > 0;
            self.sent -= usize::from(is_sent);
            join(if is_sent { &mut self.trusted } else { &mut self.missed }, oldest.span());
        }
        self.samples += samples;
        self.pieces.push_back(Piece { start, pcm, since: now, tries: 0 });
    }

    /// Whether anything waits to be sent.
    pub(super) fn waits(&self) -> bool {
        self.sent < self.pieces.len()
    }

    /// Whether anything that was sent has not been answered.
    pub(super) fn is_owed(&self) -> bool {
        self.sent > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The next sound to be sent, which counts as sent from now on: a piece, and what adjoins it up to `samples_max`.
    pub(super) fn next(&mut self, samples_max: usize) -> Option<Chunk> {
        let first = self.pieces.get(self.sent)?;
        let mut chunk = Chunk { start: first.start, pcm: Vec::new(), resent: 0 };
        while let Some(piece) = self.pieces.get_mut(self.sent) {
            let adjoins = chunk.start + chunk.pcm.len() as u64 == piece.start;
            let fits = chunk.pcm.len() + piece.pcm.len() <= samples_max;
            if !(chunk.pcm.is_empty() || adjoins && fits) {
                break;
            }
            chunk.pcm.extend_from_slice(&piece.pcm);
            chunk.resent += if piece.tries > 0 { piece.pcm.len() as u64 } else { 0 };
            piece.tries += 1;
            self.sent += 1;
        }
        Some(chunk)
    }

    /// The server has answered everything before `to`, as far as it was sent.
    pub(super) fn settle(&mut self, to: u64) {
        self.trusted.retain(|span| span.end > to);
        if let Some(first) = self.trusted.first_mut() {
            first.start = first.start.max(to);
        }
        while self.sent > 0 {
            let Some(first) = self.pieces.front_mut() else { return };
            if first.end() > to {
                let known = usize::try_from(to.saturating_sub(first.start)).unwrap_or(0);
                first.pcm.drain(..known);
                first.start += known as u64;
                self.samples -= known as u64;
                return self.room.give_back(known as u64);
            }
            self.sent -= 1;
            if let Some(first) = self.pieces.pop_front() {
                self.forget(&first);
            }
        }
    }

    /// When the sound before this position came in; `None` if it is gone.
    pub(super) fn since(&self, end: u64) -> Option<Instant> {
        self.pieces.iter().find(|piece| piece.end() >= end).map(|piece| piece.since)
    }

    /// The connection is gone: what it owes is to be sent again, unless it was sent too often.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        for span in std::mem::take(&mut self.trusted) {
            join(&mut self.missed, span);
        }
        while self.pieces.front().is_some_and(|piece| piece.tries >= TRIES_MAX) {
            self.give_up_first();
        }
    }

    /// Nothing of this will be sent any more.
    pub(super) fn give_up(&mut self) {
        self.rewind();
        while !self.pieces.is_empty() {
            self.give_up_first();
        }
    }

    /// What was let go, in order; stretches that adjoin each other are one. Ask for it after [`Tail::next`], when they
    /// cannot grow any more.
    pub(super) fn take_missed(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.missed)
    }

    fn give_up_first(&mut self) {
        if let Some(first) = self.pieces.pop_front() {
            self.forget(&first);
            join(&mut self.missed, first.span());
        }
    }

    fn forget(&mut self, piece: &Piece) {
        self.samples -= piece.pcm.len() as u64;
        self.room.give_back(piece.pcm.len() as u64);
    }
}

/// Stretches that adjoin each other are one.
fn join(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if last.end == span.start => last.end = span.end,
        _ => spans.push(span),
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.room.give_back(self.samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    /// A tail with these pieces of ten samples.
    fn tail(samples_max: u64, starts: &[u64]) -> (Tail, Arc<Room>) {
        let room = Arc::new(Room::new(1_000));
        let mut tail = Tail::new(samples_max, Arc::clone(&room));
        for start in starts {
            tail.push(*start, vec![*start as i16; 10], Clock.instant());
        }
        (tail, room)
    }

    fn next(tail: &mut Tail, samples_max: usize) -> Option<(u64, usize, u64)> {
        tail.next(samples_max).map(|chunk| (chunk.start, chunk.pcm.len(), chunk.resent))
    }

    fn missed(tail: &mut Tail) -> Vec<(u64, u64)> {
        tail.take_missed().into_iter().map(|span| (span.start, span.end)).collect()
    }

    #[test]
    fn sound_is_kept_until_it_is_answered_and_sent_again_on_a_new_connection() {
        let (mut tail, room) = tail(100, &[0, 10, 20]);
        assert_eq!(next(&mut tail, 20), Some((0, 20, 0)));
        tail.settle(13);
        assert_eq!((room.used(), tail.is_owed(), tail.waits()), (17, true, true));
        tail.rewind();
        assert_eq!(next(&mut tail, 100), Some((13, 17, 7)));
        assert_eq!(next(&mut tail, 100), None);
        tail.settle(30);
        assert!(tail.is_empty() && tail.take_missed().is_empty() && room.used() == 0);
    }

    #[test]
    fn an_answer_to_what_was_not_sent_settles_nothing() {
        let (mut tail, _) = tail(100, &[0, 10]);
        tail.settle(u64::MAX);
        assert_eq!(next(&mut tail, 0), Some((0, 10, 0)));
        tail.settle(u64::MAX);
        assert_eq!(next(&mut tail, 0), Some((10, 10, 0)));
    }

    #[test]
    fn the_oldest_sound_makes_room_and_is_missed_as_one_stretch_unless_the_server_has_it() {
        let (mut tail, room) = tail(30, &[0, 10, 20]);
        assert_eq!(next(&mut tail, 10), Some((0, 10, 0)));
        for start in [30, 40, 50, 60] {
            tail.push(start, vec![0; 10], Clock.instant());
        }
        assert_eq!(room.used(), 30);
        assert_eq!(next(&mut tail, 100), Some((40, 30, 0)));
        assert_eq!(missed(&mut tail), [(10, 40)]);
    }

    #[test]
    fn where_all_was_sent_the_oldest_is_trusted_to_be_answered_and_missed_if_the_connection_breaks() {
        let (mut tail, room) = tail(30, &[0, 10, 20]);
        assert_eq!(next(&mut tail, 30), Some((0, 30, 0)));
        for start in [30, 40] {
            tail.push(start, vec![0; 10], Clock.instant());
        }
        assert_eq!((room.used(), next(&mut tail, 30)), (30, Some((30, 20, 0))));
        assert_eq!(missed(&mut tail), []);
        tail.settle(5);
        tail.rewind();
        assert_eq!(missed(&mut tail), [(5, 20)]);
        assert_eq!(next(&mut tail, 30), Some((20, 30, 30)));
        tail.push(50, vec![0; 10], Clock.instant());
        tail.settle(30);
        tail.rewind();
        assert_eq!(missed(&mut tail), [], "it was answered");
    }

    #[test]
    fn legs_share_what_room_there_is_and_give_it_back() {
        let room = Arc::new(Room::new(25));
        let mut legs = [0, 1].map(|_| Tail::new(1_000, Arc::clone(&room)));
        legs[0].push(0, vec![0; 20], Clock.instant());
        legs[1].push(0, vec![0; 10], Clock.instant());
        assert_eq!(missed(&mut legs[1]), [(0, 10)]);
        drop(legs);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn what_was_sent_in_vain_three_times_is_given_up() {
        let (mut tail, _) = tail(100, &[0, 10]);
        for _ in 0..TRIES_MAX {
            assert_eq!(next(&mut tail, 0).map(|chunk| chunk.0), Some(0));
            tail.rewind();
        }
        assert_eq!(missed(&mut tail), [(0, 10)]);
        assert_eq!(next(&mut tail, 0), Some((10, 10, 0)));
        tail.give_up();
        assert_eq!((missed(&mut tail), tail.is_empty()), (vec![(10, 20)], true));
    }
}
