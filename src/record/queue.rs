//! The queue between those who hear and the thread that writes, bounded in seconds of sound.

use std::sync::{Mutex, PoisonError};

use super::{Open, QUEUE_SECONDS_MAX, Stats};
use crate::audio::{self, Block, Closed, Frames, RATE_HZ};

const SAMPLES_MAX: u64 = QUEUE_SECONDS_MAX as u64 * RATE_HZ as u64;

/// What the writer is told, in order.
#[allow(clippy::large_enum_variant, reason = "the large one comes once a call")]
#[derive(Debug)]
pub(super) enum Item {
    Open(Open),
    Block(Block),
    Frames(Frames),
    Close(Closed),
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    items: Vec<Item>,
    /// Handed to the writer, still being written: they hold memory too.
    writing: u64,
    waiting: u64,
    refused: u64,
    stats: Stats,
}

impl Queue {
    /// Commands are few and must not be lost, so they have no bound.
    pub(super) fn push(&self, item: Item) {
        self.lock().items.push(item);
    }

    pub(super) fn push_block(&self, block: Block) -> bool {
        self.push_sound(block.samples.len() as u64, Item::Block(block))
    }

    /// Encoded sound is far smaller; it counts by its length all the same.
    pub(super) fn push_frames(&self, frames: Frames) -> bool {
        self.push_sound(frames.samples(), Item::Frames(frames))
    }

    fn push_sound(&self, samples: u64, sound: Item) -> bool {
        let mut inner = self.lock();
        if inner.writing + inner.waiting + samples > SAMPLES_MAX {
            inner.refused += 1;
            return false;
        }
        inner.waiting += samples;
        inner.items.push(sound);
        true
    }

    /// Everything queued so far; the caller's figures are shown from now on. The lock is held for a swap of pointers,
    /// so the tap never waits for the disk.
    pub(super) fn swap(&self, stats: Stats) -> Vec<Item> {
        let mut inner = self.lock();
        inner.stats = stats;
        inner.writing = std::mem::take(&mut inner.waiting);
        std::mem::take(&mut inner.items)
    }

    /// The writer is gone.
    pub(super) fn end(&self) {
        self.lock().stats.alive = false;
    }

    pub(super) fn stats(&self) -> Stats {
        let inner = self.lock();
        Stats {
            queued_ms: audio::duration(inner.writing + inner.waiting).as_millis() as u64,
            refused_blocks: inner.refused,
            ..inner.stats
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::TapKey;

    #[test]
    fn a_stalled_writer_costs_sound_beyond_the_bound_and_never_a_command() {
        let queue = Queue::default();
        let second = || Block { tap: TapKey(1), first_sample: 0, samples: vec![[0; 2]; RATE_HZ as usize] };
        let taken = (0..QUEUE_SECONDS_MAX + 5).filter(|_| queue.push_block(second())).count();
        assert_eq!(taken, QUEUE_SECONDS_MAX as usize);
        queue.push(Item::Stop);
        assert_eq!(queue.stats().refused_blocks, 5);
        // What is being written still counts; once it is done there is room again.
        assert_eq!(queue.swap(Stats::default()).len(), taken + 1);
        assert!(!queue.push_block(second()));
        assert!(queue.swap(Stats::default()).is_empty());
        assert!(queue.push_block(second()));
    }
}
