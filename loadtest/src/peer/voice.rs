//! What an endpoint says next: one 20 ms frame after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::FRAME_TICKS;
use crate::audio::opus_frames::{EncodedSound, room_silence};

/// A key is held this long: eight packets, long enough for every detector.
const KEY_PACKETS: u16 = 8;
/// RFC 4733 §2.5.1.4: the end of an event is sent three times.
const KEY_END_PACKETS: u16 = 3;
/// Pause between two keys, in frames.
const KEY_PAUSE_FRAMES: usize = 3;
/// −10 dBm0, a usual volume.
const KEY_VOLUME: u8 = 10;
const KEYS: &str = "0123456789*#ABCD";

/// One thing to do with the voice.
#[derive(Clone)]
pub enum Part {
    /// Speak these frames, once or again and again.
    Sound {
        /// The frames.
        frames: Arc<EncodedSound>,
        /// Again and again.
        forever: bool,
    },
    /// Speak these frames again and again, beginning in the middle.
    Loop {
        /// The frames.
        frames: Arc<EncodedSound>,
        /// The first frame to speak.
        start: usize,
    },
    /// Room silence for a while.
    Pause(Duration),
    /// Press these keys.
    Keys(String),
    /// Send no RTP from here on.
    FallSilent,
    /// Lose the network from here on.
    DropNetwork,
    /// Ask for the end of the call.
    HangUp,
}

/// What to put on the wire for this 20 ms.
pub(super) enum Word {
    /// An Opus frame; of a spoken sound also its number.
    Audio(Arc<[u8]>, Option<usize>),
    /// A telephone-event packet; `timestamp_back` ticks before now, because all packets of a press carry its start.
    Key { payload: [u8; 4], first: bool, ticks_back: u32 },
    /// Nothing.
    Nothing,
    /// Do this, and ask again.
    Act(Act),
}

pub(super) enum Act {
    FallSilent,
    DropNetwork,
    HangUp,
}

pub(super) struct Voice {
    waiting: VecDeque<Part>,
    frame: usize,
    key: Option<KeyPress>,
    silence: Arc<EncodedSound>,
    silence_frame: usize,
    pub(super) silent: bool,
}

struct KeyPress {
    event: u8,
    packet: u16,
}

impl Voice {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self { waiting: parts.into(), frame: 0, key: None, silence: room_silence(), silence_frame: 0, silent: false }
    }

    pub(super) fn add(&mut self, parts: Vec<Part>) {
        // A sound without end gives way to what comes next.
        if matches!(self.waiting.front(), Some(Part::Sound { forever: true, .. } | Part::Loop { .. })) {
            self.waiting.pop_front();
            self.frame = 0;
        }
        self.waiting.extend(parts);
    }

    pub(super) fn hush(&mut self) {
        self.waiting.clear();
        self.frame = 0;
        self.key = None;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.waiting.is_empty() && self.key.is_none()
    }

    /// The next 20 ms. `event_rate` is the clock of the telephone-events.
    pub(super) fn next(&mut self, event_rate: u32) -> Word {
        if self.silent {
            return Word::Nothing;
        }
        if let Some(word) = self.next_key_packet(event_rate) {
            return word;
        }
        loop {
            match self.waiting.front_mut() {
                None => return self.room(),
                Some(Part::Sound { frames, forever }) => {
                    if let Some(frame) = frames.frames().get(self.frame) {
                        self.frame += 1;
                        return Word::Audio(Arc::clone(frame), Some(self.frame - 1));
                    }
                    self.frame = 0;
                    if !*forever || frames.frames().is_empty() {
                        self.waiting.pop_front();
                    }
                }
                Some(Part::Loop { frames, start }) => {
                    let count = frames.frames().len().max(1);
                    let number = (*start + self.frame) % count;
                    self.frame += 1;
                    let Some(frame) = frames.frames().get(number) else { return self.room() };
                    return Word::Audio(Arc::clone(frame), Some(number));
                }
                Some(Part::Pause(length)) => {
                    let frames = length.as_millis() as usize / 20;
                    if self.frame < frames {
                        self.frame += 1;
                        return self.room();
                    }
                    self.frame = 0;
                    self.waiting.pop_front();
                }
                Some(Part::Keys(keys)) => {
                    if self.frame > 0 {
                        self.frame -= 1;
                        return self.room();
                    }
                    if keys.is_empty() {
                        self.waiting.pop_front();
                        continue;
                    }
                    let key = keys.remove(0).to_ascii_uppercase();
                    let Some(event) = KEYS.find(key) else { continue };
                    self.frame = KEY_PAUSE_FRAMES;
                    self.key = Some(KeyPress { event: event as u8, packet: 0 });
                    return self.next_key_packet(event_rate).unwrap_or(Word::Nothing);
                }
                Some(Part::FallSilent) => return self.act(Act::FallSilent),
                Some(Part::DropNetwork) => return self.act(Act::DropNetwork),
                Some(Part::HangUp) => return self.act(Act::HangUp),
            }
        }
    }

    fn act(&mut self, act: Act) -> Word {
        self.waiting.pop_front();
        self.frame = 0;
        Word::Act(act)
    }

    fn room(&mut self) -> Word {
        self.silence_frame = (self.silence_frame + 1) % self.silence.frames().len();
        Word::Audio(Arc::clone(&self.silence.frames()[self.silence_frame]), None)
    }

    fn next_key_packet(&mut self, event_rate: u32) -> Option<Word> {
        let press = self.key.as_mut()?;
        let n = press.packet;
        let ended = n >= KEY_PACKETS;
        // Duration counts in the event's own clock, the timestamps in the audio's 48 kHz.
        let units = (event_rate / 50) as u16 * (n + 1).min(KEY_PACKETS);
        let end_bit = if ended { 0x80 } else { 0 };
        let [high, low] = units.to_be_bytes();
        let payload = [press.event, end_bit | KEY_VOLUME, high, low];
        press.packet += 1;
        if n + 1 >= KEY_PACKETS + KEY_END_PACKETS {
            self.key = None;
        }
        Some(Word::Key { payload, first: n == 0, ticks_back: u32::from(n) * FRAME_TICKS })
    }
}
