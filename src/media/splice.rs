//! What the customer hears: the joined agent, an announcement, hold music, keys we press, or silence, one at a time and never nothing.
//!
//! WhatsApp hangs up on a silent business and takes the first media packet for the pick-up, so this has exactly one beginning, the
//! gate, and after it no end: whenever the wanted source has nothing to say, a frame of our own goes out in its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dtmf::Keypad;
use super::leg::{Heard, LegKey};
use super::line::{FRAME, Line, Place};
use super::prompt::{HOLD, Prompt, SILENCE};
use crate::audio::toc;

/// A source this long without a packet is absent, and silence takes its place. Longer than any usual jitter.
const ABSENT_AFTER: Duration = Duration::from_millis(100);

/// While a source says by itself that there is nothing to hear (DTX), one frame of ours halves the pauses of 400 ms it makes.
const DTX_FILL_EVERY: Duration = Duration::from_millis(200);

/// But only so long: three of its own refreshes missing is absence.
const DTX_TRUST_MAX: Duration = Duration::from_millis(1_200);

/// Behind by more than this (the machine stood still), missed frames are skipped instead of sent in a burst.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// What the customer should hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Silence,
    Hold,
    Announcement,
    Agent(LegKey),
}

/// Who is heard right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnAir {
    Nobody,
    Silence,
    Hold,
    Announcement,
    Keys,
    Agent(LegKey),
}

/// One frame of our own.
#[derive(Debug)]
pub(super) struct OwnFrame {
    pub(super) place: Place,
    pub(super) payload: Arc<[u8]>,
    pub(super) kind: OwnKind,
    /// The source differs from that of the frame before.
    pub(super) switched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnKind {
    Filler,
    /// A telephone-event, not audio.
    Key,
    /// For both parties to hear.
    Announcement {
        is_last: bool,
    },
}

#[derive(Debug)]
pub(super) struct Splice {
    line: Line,
    wanted: Wanted,
    on_air: OnAir,
    /// `None` while the gate is closed.
    next_own: Option<Instant>,
    last_heard: Option<Instant>,
    in_dtx: bool,
    keypad: Keypad,
    key_time: u32,
    /// What [`Wanted::Announcement`] plays.
    announcement: Option<Prompt>,
    /// Place in the loop or the announcement that is playing.
    frame: usize,
}

impl Splice {
    pub(super) fn new(seed: u32) -> Self {
        Self {
            line: Line::new(seed),
            wanted: Wanted::Silence,
            on_air: OnAir::Nobody,
            next_own: None,
            last_heard: None,
            in_dtx: false,
            keypad: Keypad::default(),
            key_time: 0,
            announcement: None,
            frame: 0,
        }
    }

    /// The gate opens: the first frame is due at once, since WhatsApp waits for ours.
    pub(super) fn open(&mut self, now: Instant) {
        self.next_own.get_or_insert(now);
    }

    pub(super) fn want(&mut self, wanted: Wanted, now: Instant) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        self.line.forget_source();
        self.last_heard = None;
        self.in_dtx = false;
        self.frame = 0;
        if let Some(next) = &mut self.next_own {
            // A source of ours goes on at the pace of the frames before; after an agent's last packet it starts a frame later.
            *next = (*next).clamp(now, now + FRAME);
        }
    }

    pub(super) fn load(&mut self, announcement: Prompt) {
        self.announcement = Some(announcement);
    }

    pub(super) fn press(&mut self, digits: &str, now: Instant) {
        let was_idle = self.keypad.is_idle();
        self.keypad.press(digits);
        if let Some(next) = &mut self.next_own
            && was_idle
        {
            *next = (*next).min(now);
        }
    }

    /// The place of the wanted agent's packet on the line and whether it is a change of source; `None` when it is not to be heard.
    pub(super) fn relay(&mut self, leg: LegKey, packet: &Heard, is_event: bool, now: Instant) -> Option<(Place, bool)> {
        // Audio in the middle of a press would cut the tone in two.
        if self.wanted != Wanted::Agent(leg) || self.next_own.is_none() || !self.keypad.is_idle() {
            return None;
        }
        let place = self.line.relay(leg, packet, is_event, now)?;
        self.in_dtx = !is_event && toc::is_dtx(&packet.payload);
        self.last_heard = Some(now);
        self.next_own = Some(now + if self.in_dtx { DTX_FILL_EVERY } else { ABSENT_AFTER });
        Some((place, self.goes_on_air(OnAir::Agent(leg))))
    }

    /// When the next frame of ours is due, if nothing is relayed before. `None` while the gate is closed.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_own
    }

    /// The next frame of ours that is due. Ask again until there is none.
    pub(super) fn poll_frame(&mut self, now: Instant) -> Option<OwnFrame> {
        let due = self.next_own.filter(|due| *due <= now)?;
        let due = if now.saturating_duration_since(due) > BEHIND_MAX { now } else { due };

        if let Some(key) = self.keypad.next() {
            self.next_own = Some(due + FRAME);
            let switched = self.goes_on_air(OnAir::Keys);
            let place = self.line.own(key.first, due);
            if key.first {
                self.key_time = place.time;
            }
            let place = Place { time: self.key_time, ..place };
            return Some(OwnFrame { place, payload: key.payload, kind: OwnKind::Key, switched });
        }

        let trusted = self.last_heard.is_some_and(|at| now.saturating_duration_since(at) < DTX_TRUST_MAX);
        self.next_own = Some(due + if self.in_dtx && trusted { DTX_FILL_EVERY } else { FRAME });
        let said = self.announcement.as_ref().filter(|_| self.wanted == Wanted::Announcement);
        let (source, payload, kind) = match (said.and_then(|prompt| prompt.frame(self.frame)), self.wanted) {
            (Some((frame, is_last)), _) => (OnAir::Announcement, frame, OwnKind::Announcement { is_last }),
            (None, Wanted::Hold) => (OnAir::Hold, HOLD.frame(self.frame), OwnKind::Filler),
            (None, Wanted::Silence | Wanted::Announcement | Wanted::Agent(_)) => {
                (OnAir::Silence, SILENCE.frame(self.frame), OwnKind::Filler)
            }
        };
        self.frame += 1;
        let switched = self.goes_on_air(source);
        Some(OwnFrame { place: self.line.own(switched, due), payload, kind, switched })
    }

    fn goes_on_air(&mut self, source: OnAir) -> bool {
        let changed = self.on_air != source;
        self.on_air = source;
        changed
    }
}
