//! What was said in running calls on its way into the database. A database that is slow or away holds up neither the
//! recogniser nor other calls: each call has a queue of its own, and what waits there is tried until it is taken.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::Desk;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::transcript::{Segment, Unheard};
use crate::store::StoreError;

/// Words of one call that wait: more than an hour of talk. What comes then is left to the recording, as if it had not been
/// listened to.
const WAITING_MAX: usize = 2_000;
/// After a first failure; doubled with each further one.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);

/// What is written into a running call's transcript.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Said(Segment),
    Missed(Unheard),
    /// Nobody says anything more.
    Last,
}

/// Figures for the metrics; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WritingStats {
    /// Final segments and gaps that wait for the database.
    pub waiting: usize,
    /// Attempts that the database failed.
    pub failures: u64,
    /// Words that found their call's queue full; they are written down from the recording.
    pub left: u64,
}

/// The queues of all calls that are listened to, or have words left.
pub(super) struct Writing {
    runtime: Handle,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    calls: HashMap<CallId, Queue>,
    failures: u64,
    left: u64,
}

#[derive(Default)]
struct Queue {
    words: VecDeque<Word>,
    /// From the first to the last word that had no room, of each side.
    left: HashMap<Side, Unheard>,
}

impl Writing {
    /// Called inside the runtime that is to write.
    pub(super) fn new() -> Self {
        Self { runtime: Handle::current(), queues: Mutex::default() }
    }

    pub(super) fn stats(&self) -> WritingStats {
        let queues = self.lock();
        let waiting = queues.calls.values().map(|queue| queue.words.len()).sum();
        WritingStats { waiting, failures: queues.failures, left: queues.left }
    }

    /// True if nobody writes this call's words down yet.
    fn push(&self, call: &CallId, word: Word) -> bool {
        let mut queues = self.lock();
        let is_new = !queues.calls.contains_key(call);
        let left = !queues.calls.entry(call.clone()).or_default().push(word);
        queues.left += u64::from(left);
        is_new
    }

    /// The oldest word, which stays; `None` and nothing of the call when there is none.
    fn first(&self, call: &CallId) -> Option<Word> {
        let mut queues = self.lock();
        let word = queues.calls.get(call)?.words.front().cloned();
        if word.is_none() {
            queues.calls.remove(call);
        }
        word
    }

    fn written(&self, call: &CallId) {
        if let Some(queue) = self.lock().calls.get_mut(call) {
            queue.words.pop_front();
        }
    }

    fn failed(&self) {
        self.lock().failures += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// False if there was no room for it.
    fn push(&mut self, word: Word) -> bool {
        let place = match &word {
            Word::Last => {
                self.words.extend(self.left.drain().map(|(_, left)| Word::Missed(left)));
                None
            }
            _ if self.words.len() < WAITING_MAX => None,
            Word::Said(segment) => Some((segment.speaker, segment.start_ms, segment.end_ms)),
            Word::Missed(unheard) => Some((unheard.speaker, unheard.start_ms, unheard.end_ms)),
        };
        let Some((speaker, start_ms, end_ms)) = place else {
            self.words.push_back(word);
            return true;
        };
        let left = self.left.entry(speaker).or_insert(Unheard { speaker, start_ms, end_ms });
        (left.start_ms, left.end_ms) = (left.start_ms.min(start_ms), left.end_ms.max(end_ms));
        false
    }
}

impl Desk {
    /// Writes to the call's transcript, after what is to be written before. Never waits.
    pub(super) fn write_down(self: &Arc<Self>, call: &CallId, word: Word) {
        if self.writing.push(call, word) {
            let (desk, call) = (Arc::clone(self), call.clone());
            self.writing.runtime.spawn(async move { desk.write_all(&call).await });
        }
    }

    async fn write_all(&self, call: &CallId) {
        let mut failed = 0;
        while let Some(word) = self.writing.first(call) {
            match self.write(call, &word).await {
                Ok(events) => {
                    if failed > 0 {
                        tracing::info!(%call, failed, "the transcript goes on");
                    }
                    failed = 0;
                    self.transcript_became(call, events).await;
                    self.show(call, word);
                    self.writing.written(call);
                }
                Err(error) => {
                    // The engine was quicker than the database.
                    let begun = matches!(error, StoreError::Missing(_)) && self.begin_transcript(call).await.is_ok();
                    if begun && failed == 0 {
                        failed = 1;
                        continue;
                    }
                    if failed < 2 {
                        tracing::warn!(%call, %error, "the transcript met a failing database; it waits");
                    }
                    self.writing.failed();
                    tokio::time::sleep(pause_after(failed)).await;
                    failed += 1;
                }
            }
        }
    }

    async fn write(&self, call: &CallId, word: &Word) -> Result<Vec<Event>, StoreError> {
        let store = &self.parts.store;
        match word {
            Word::Said(segment) => store.add_segment(call, segment).await?,
            Word::Missed(unheard) => store.add_unheard(call, *unheard).await?,
            Word::Last => return store.end_transcript(call, self.parts.clock.now().wall).await,
        }
        Ok(Vec::new())
    }
}

fn pause_after(failed: u32) -> Duration {
    AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(failed)).min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(speaker: Side, start_ms: u64, end_ms: u64) -> Word {
        Word::Missed(Unheard { speaker, start_ms, end_ms })
    }

    #[tokio::test]
    async fn words_wait_in_their_order_for_whoever_writes_them() {
        let (writing, call) = (Writing::new(), CallId::generate());
        assert!(writing.first(&call).is_none());
        assert!(writing.push(&call, missed(Side::Agent, 0, 1)), "somebody is to write them");
        assert!(!writing.push(&call, Word::Last), "somebody does");
        assert_eq!(writing.first(&call), Some(missed(Side::Agent, 0, 1)));
        assert_eq!(writing.first(&call), Some(missed(Side::Agent, 0, 1)), "until it is written");
        writing.written(&call);
        assert_eq!(writing.first(&call), Some(Word::Last));
        writing.written(&call);
        assert_eq!(writing.first(&call), None);
        assert!(writing.push(&call, Word::Last), "and again somebody is to");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_left_to_the_recording_and_counted_but_the_last_word_always_has_room() {
        let (writing, call) = (Writing::new(), CallId::generate());
        for i in 0..WAITING_MAX as u64 + 3 {
            writing.push(&call, missed(Side::Customer, i * 10, i * 10 + 5));
        }
        writing.push(&call, Word::Last);
        let words = writing.lock().calls[&call].words.clone();
        let end = WAITING_MAX as u64 * 10;
        assert_eq!(
            words.iter().skip(WAITING_MAX).collect::<Vec<_>>(),
            [&missed(Side::Customer, end, end + 25), &Word::Last]
        );
        let stats = WritingStats { waiting: WAITING_MAX + 2, failures: 0, left: 3 };
        assert_eq!(writing.stats(), stats);
    }

    #[test]
    fn a_database_that_is_away_is_asked_ever_more_seldom_and_for_ever() {
        let waits: Vec<u128> = (0..8).map(|failed| pause_after(failed).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(pause_after(u32::MAX), AGAIN_MAX);
    }
}
