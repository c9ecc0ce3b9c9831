//! Which calls workers listen to, and what is missing of their transcripts when one of them goes. Pure.
//!
//! A worker that is lost in the middle of a call takes its ears with it. Whoever hears the rest would count the time and the
//! segments anew, so nobody listens live any more: what was not written down is told as missed when the call is over, and is
//! made up for from the recording, as everything is that a recogniser could not do in time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::control::Said;
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::transcript::Unheard;

/// After a call's end, for a worker's last words: longer than any queue of a recogniser that keeps up at all.
pub(super) const LAST_WORDS_WITHIN: Duration = Duration::from_secs(600);

/// A last stretch of a call that is shorter than a word.
const WORD_MS: u64 = 200;

/// All calls that workers listen to.
#[derive(Debug, Default)]
pub(super) struct Speech(BTreeMap<CallId, Listening>);

#[derive(Debug)]
struct Listening {
    /// Of the connection that it was given to.
    link: u64,
    /// Nothing more comes from there.
    lost: bool,
    /// Written down so far, per side. What was told as missed does not count: a stretch is given up while earlier ones still
    /// wait for their turn.
    until_ms: [u64; 2],
    ended: [bool; 2],
    /// When the call's sound ended, and its length.
    closed: Option<(Instant, Duration)>,
}

impl Speech {
    /// A worker begins to listen.
    pub(super) fn begin(&mut self, call: CallId, link: u64) {
        let one = Listening { link, lost: false, until_ms: [0; 2], ended: [false; 2], closed: None };
        self.0.insert(call, one);
    }

    /// A worker's word. False: it is about no call that it listens to.
    pub(super) fn take(&mut self, call: &CallId, link: u64, said: &Said) -> bool {
        let Some(one) = self.0.get_mut(call).filter(|one| one.link == link && !one.lost) else { return false };
        let side = said.speaker() as usize;
        if one.ended[side] {
            return false;
        }
        match said {
            Said::Segment(segment) if segment.is_final => {
                one.until_ms[side] = segment.end_ms.max(one.until_ms[side]);
            }
            Said::Segment(_) | Said::Missed(_) => {}
            Said::Ended { .. } => one.ended[side] = true,
        }
        if one.ended == [true; 2] {
            self.0.remove(call);
        }
        true
    }

    /// A worker is gone; what is to be said instead of it about calls that are over.
    pub(super) fn lose(&mut self, link: u64) -> Vec<(CallId, Said)> {
        for one in self.0.values_mut().filter(|one| one.link == link) {
            one.lost = true;
        }
        self.drain(|one| one.lost && one.closed.is_some())
    }

    /// A call's sound has ended; what is to be said instead of a worker that is gone.
    pub(super) fn close(&mut self, call: &CallId, length: Duration, now: Instant) -> Vec<(CallId, Said)> {
        let Some(one) = self.0.get_mut(call) else { return Vec::new() };
        one.closed = Some((now, length));
        self.drain(|one| one.lost && one.closed.is_some())
    }

    /// Workers that are there and say nothing.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<(CallId, Said)> {
        self.drain(|one| one.closed.is_some_and(|(at, _)| now.saturating_duration_since(at) >= LAST_WORDS_WITHIN))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn drain(&mut self, over: impl Fn(&Listening) -> bool) -> Vec<(CallId, Said)> {
        let over = self.0.extract_if(.., |_, one| over(one));
        over.flat_map(|(call, one)| one.rest().into_iter().map(move |said| (call.clone(), said))).collect()
    }
}

impl Listening {
    fn rest(&self) -> Vec<Said> {
        let mut rest = Vec::new();
        let end_ms = self.closed.map_or(0, |(_, length)| length.as_millis() as u64);
        for speaker in [Side::Customer, Side::Agent] {
            let (start_ms, ended) = (self.until_ms[speaker as usize], self.ended[speaker as usize]);
            if !ended && start_ms + WORD_MS <= end_ms {
                rest.push(Said::Missed(Unheard { speaker, start_ms, end_ms }));
            }
            if !ended {
                rest.push(Said::Ended { speaker });
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;
    use crate::model::transcript::Segment;

    const LENGTH: Duration = Duration::from_secs(9);

    struct Bench {
        speech: Speech,
        call: CallId,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let (mut speech, call) = (Speech::default(), CallId::generate());
            speech.begin(call.clone(), 7);
            Self { speech, call, now: Clock.instant() }
        }

        fn wrote(&mut self, speaker: Side, end_ms: u64) -> bool {
            let segment = Segment {
                speaker,
                index: 0,
                start_ms: 0,
                end_ms,
                text: "yes".to_owned(),
                is_final: true,
                stable_chars: 3,
                confidence: None,
                language: None,
            };
            self.speech.take(&self.call, 7, &Said::Segment(segment))
        }

        fn missed(&mut self, speaker: Side, start_ms: u64, end_ms: u64) -> bool {
            self.speech.take(&self.call, 7, &Said::Missed(Unheard { speaker, start_ms, end_ms }))
        }

        fn ended(&mut self, speaker: Side) -> bool {
            self.speech.take(&self.call, 7, &Said::Ended { speaker })
        }
    }

    fn told(said: &[(CallId, Said)]) -> String {
        let word = |(_, said): &(CallId, Said)| match said {
            Said::Missed(m) => format!("{} {}-{}", m.speaker, m.start_ms, m.end_ms),
            Said::Ended { speaker } => format!("{speaker} ended"),
            Said::Segment(_) => "a segment".to_owned(),
        };
        said.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_worker_that_says_its_last_words_leaves_nothing_to_be_said() {
        let mut bench = Bench::new();
        assert!(bench.wrote(Side::Agent, 300) && bench.ended(Side::Agent));
        assert!(!bench.wrote(Side::Agent, 900), "after the last word");
        assert_eq!(told(&bench.speech.close(&bench.call, LENGTH, bench.now)), "");
        assert!(!bench.speech.take(&bench.call, 8, &Said::Ended { speaker: Side::Customer }), "another worker");
        assert!(bench.ended(Side::Customer) && bench.speech.is_empty());
        assert!(!bench.ended(Side::Customer));
    }

    #[test]
    fn what_a_lost_worker_did_not_write_down_is_told_once_when_the_call_is_over() {
        let whole = "customer 0-9000, customer ended, agent 4000-9000, agent ended";
        let mut bench = Bench::new();
        bench.wrote(Side::Agent, 4_000);
        assert_eq!(told(&bench.speech.lose(8)), "");
        assert_eq!(told(&bench.speech.lose(7)), "");
        assert!(!bench.wrote(Side::Agent, 5_000), "nothing more is believed");
        assert_eq!(told(&bench.speech.close(&bench.call, LENGTH, bench.now)), whole);
        assert!(bench.speech.is_empty());

        // The worker goes after the call, when one side has said everything, and most of the other.
        let mut bench = Bench::new();
        bench.wrote(Side::Agent, 8_900);
        bench.ended(Side::Customer);
        assert_eq!(told(&bench.speech.close(&bench.call, LENGTH, bench.now)), "");
        assert_eq!(told(&bench.speech.lose(7)), "agent ended");

        // It gave a stretch up, and is gone before it came to those before.
        let mut bench = Bench::new();
        bench.wrote(Side::Agent, 4_000);
        bench.missed(Side::Agent, 6_000, 8_000);
        bench.speech.lose(7);
        assert_eq!(told(&bench.speech.close(&bench.call, LENGTH, bench.now)), whole);

        // It stays, and says nothing.
        let mut bench = Bench::new();
        bench.wrote(Side::Agent, 4_000);
        bench.speech.close(&bench.call, LENGTH, bench.now);
        let late = bench.now + LAST_WORDS_WITHIN;
        assert_eq!(told(&bench.speech.give_up(late - Duration::from_millis(1))), "");
        assert_eq!(told(&bench.speech.give_up(late)), whole);
    }
}
