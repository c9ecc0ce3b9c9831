//! One-way delay and loss between two endpoints of one process.
//!
//! The gateway forwards Opus payloads untouched, so a payload names its own frame: the sender notes when it wrote
//! frame `n`, the receiver looks the payload up and takes the difference. Works for sounds whose frames all differ
//! ([`crate::audio::sound::Sound::with_noise`]), and for delays shorter than the sound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audio::opus_frames::EncodedSound;

/// More than this is not a delay but somebody else's audio: each call starts the sound at another place.
const DELAY_BELIEVED_MAX: Duration = Duration::from_secs(1);

/// When each frame of a sound was last written to the socket.
pub struct SentTimes {
    origin: Instant,
    nanos: Vec<AtomicU64>,
}

impl SentTimes {
    /// For a sound of that many frames.
    pub fn new(frames: usize) -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), nanos: (0..frames).map(|_| AtomicU64::new(0)).collect() })
    }

    pub(super) fn note(&self, frame: usize, now: Instant) {
        if let Some(slot) = self.nanos.get(frame) {
            slot.store(now.duration_since(self.origin).as_nanos() as u64, Ordering::Relaxed);
        }
    }

    fn sent_at(&self, frame: usize) -> Option<Instant> {
        match self.nanos.get(frame)?.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.origin + Duration::from_nanos(nanos)),
        }
    }
}

/// Listens for a partner's frames.
pub struct Ear {
    /// What the partner speaks.
    pub sound: Arc<EncodedSound>,
    /// When it spoke it.
    pub sent: Arc<SentTimes>,
    /// Where the result goes.
    pub meter: Arc<DelayMeter>,
}

impl Ear {
    pub(super) fn hear(&self, payload: &[u8], now: Instant) {
        let Some(frame) = self.sound.position(payload) else {
            self.meter.lock().unknown += 1;
            return;
        };
        let delay = self.sent.sent_at(frame).map(|at| now.saturating_duration_since(at));
        self.meter.lock().note(frame, self.sound.frames().len(), delay, now);
    }
}

/// Collects the delays of one direction of one call.
#[derive(Default)]
pub struct DelayMeter {
    figures: Mutex<DelayFigures>,
}

/// What a [`DelayMeter`] has counted.
#[derive(Clone, Debug, Default)]
pub struct DelayFigures {
    /// Each matched packet's delay in microseconds.
    pub micros: Vec<u32>,
    /// Frames missing between the first and the last matched one.
    pub lost: u64,
    /// Matched packets that came twice or out of order.
    pub reordered: u64,
    /// Packets that are no frame of the partner (the gateway's filler before the call is bridged).
    pub unknown: u64,
    /// Frames of the sound that this partner did not speak just now: another call's audio.
    pub foreign: u64,
    /// When the first matched packet arrived.
    pub first_at: Option<Instant>,
    last_frame: Option<usize>,
}

impl DelayMeter {
    /// A copy of the figures.
    pub fn figures(&self) -> DelayFigures {
        self.lock().clone()
    }

    /// Forgets everything so far but the first arrival, when the measured part of a run begins.
    pub fn reset(&self) {
        let mut figures = self.lock();
        *figures = DelayFigures { first_at: figures.first_at, ..DelayFigures::default() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, DelayFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DelayFigures {
    fn note(&mut self, frame: usize, frames: usize, delay: Option<Duration>, now: Instant) {
        let Some(delay) = delay.filter(|d| *d <= DELAY_BELIEVED_MAX) else {
            self.foreign += 1;
            return;
        };
        self.first_at.get_or_insert(now);
        self.micros.push(delay.as_micros() as u32);
        if let Some(last) = self.last_frame {
            match (frame + frames - last) % frames {
                0 => self.reordered += 1,
                step if step > frames / 2 => {
                    self.reordered += 1;
                    self.lost = self.lost.saturating_sub(1);
                    return;
                }
                step => self.lost += step as u64 - 1,
            }
        }
        self.last_frame = Some(frame);
    }
}
