//! Which pieces a forked call's recording consists of, and which of them are here. Pure: `now` is an argument.
//!
//! Nearly always there is one. A call that loses its worker goes on elsewhere, as a second piece; the first lies on the
//! lost worker's disk and comes when that is back. It is waited for, not for ever: then the hole is silence and told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Fork;
use super::control::Outcome;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Format;
use crate::model::time::Timestamp;

/// After the end of a call, for pieces on workers that are away: a restart takes seconds, a reboot a minute.
pub const PIECES_WITHIN: Duration = Duration::from_secs(90);

/// All forked calls whose recordings are not complete.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<RecordingId, Run>);

#[derive(Debug)]
struct Run {
    call: CallId,
    started: Timestamp,
    format: Format,
    pieces: Vec<Piece>,
    /// When the call's sound ended, and its length.
    closed: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Piece {
    recording: RecordingId,
    /// Where it begins in the call.
    begins: Duration,
    outcome: Option<Outcome>,
}

/// A recording that is as complete as it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    pub call: CallId,
    pub recording: RecordingId,
    pub started: Timestamp,
    pub format: Format,
    pub length: Duration,
    /// In order. One that begins at 0 and nothing missing: the recording itself.
    pub pieces: Vec<Arrived>,
    /// Pieces that did not come in time.
    pub missing: usize,
}

/// A piece that lies on this machine's disk, where the place of its id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub recording: RecordingId,
    pub begins: Duration,
    pub outcome: Outcome,
}

impl Runs {
    /// A forked call's first piece.
    pub(super) fn begin(&mut self, fork: &Fork) {
        let Fork { call, recording, started, format, .. } = fork.clone();
        let first = Piece { recording: recording.clone(), begins: Duration::ZERO, outcome: None };
        self.0.insert(recording, Run { call, started, format, pieces: vec![first], closed: None });
    }

    /// A further piece begins; its name.
    pub(super) fn go_on(&mut self, recording: &RecordingId, begins: Duration) -> Option<RecordingId> {
        let run = self.0.get_mut(recording)?;
        let name = recording.piece(run.pieces.len());
        run.pieces.push(Piece { recording: name.clone(), begins, outcome: None });
        Some(name)
    }

    /// The call's sound has ended.
    pub(super) fn close(&mut self, recording: &RecordingId, length: Duration, now: Instant) -> Option<Complete> {
        self.0.get_mut(recording)?.closed = Some((now, length));
        self.complete(recording)
    }

    /// A piece is here. `Err` gives it back: it belongs to no call that is waited for.
    pub(super) fn arrive(&mut self, piece: &RecordingId, outcome: Outcome) -> Result<Option<Complete>, Outcome> {
        let main = piece.whole();
        let found = self.0.get_mut(&main).and_then(|run| run.pieces.iter_mut().find(|p| p.recording == *piece));
        let Some(found) = found else { return Err(outcome) };
        found.outcome = Some(outcome);
        Ok(self.complete(&main))
    }

    /// What has been waited for long enough.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Complete> {
        let late = |run: &Run| run.closed.is_some_and(|(at, _)| now.saturating_duration_since(at) >= PIECES_WITHIN);
        let late: Vec<RecordingId> = self.0.iter().filter(|(_, run)| late(run)).map(|(id, _)| id.clone()).collect();
        late.iter().filter_map(|recording| self.take(recording)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn complete(&mut self, recording: &RecordingId) -> Option<Complete> {
        let run = self.0.get(recording)?;
        (run.closed.is_some() && run.pieces.iter().all(|piece| piece.outcome.is_some()))
            .then(|| self.take(recording))
            .flatten()
    }

    fn take(&mut self, recording: &RecordingId) -> Option<Complete> {
        let Run { call, started, format, pieces, closed } = self.0.remove(recording)?;
        let all = pieces.len();
        let here = |Piece { recording, begins, outcome }| Some(Arrived { recording, begins, outcome: outcome? });
        let pieces: Vec<Arrived> = pieces.into_iter().filter_map(here).collect();
        let missing = all - pieces.len();
        let length = closed.map_or(Duration::ZERO, |(_, length)| length);
        Some(Complete { call, recording: recording.clone(), started, format, length, pieces, missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::TapKey;
    use crate::model::time::Clock;

    fn id(id: &str) -> RecordingId {
        RecordingId::parse(id).unwrap()
    }

    fn outcome(ms: u64) -> Outcome {
        Outcome { duration_ms: ms, parts: 1, ..Outcome::default() }
    }

    fn runs() -> Runs {
        let mut runs = Runs::default();
        runs.begin(&Fork {
            tap: TapKey(1),
            call: CallId::parse("call_1").unwrap(),
            recording: id("rec_1"),
            started: Timestamp::from_millis(0),
            format: Format::Wav,
            listen: false,
            consent: None,
        });
        runs
    }

    /// Which pieces there are and how many are missing.
    fn shape(complete: &Complete) -> (Vec<(&str, u64, u64)>, usize) {
        let piece = |p: &Arrived| (p.begins.as_secs(), p.outcome.duration_ms);
        let pieces = complete.pieces.iter().map(|p| (p.recording.as_str(), piece(p).0, piece(p).1)).collect();
        (pieces, complete.missing)
    }

    #[test]
    fn a_recording_of_one_piece_is_complete_when_it_is_here_and_the_call_is_over_in_either_order() {
        let (now, ten) = (Clock.instant(), Duration::from_secs(10));
        let mut runs = runs();
        assert_eq!(runs.arrive(&id("rec_1"), outcome(10_000)), Ok(None));
        let complete = runs.close(&id("rec_1"), ten, now).unwrap();
        assert_eq!((shape(&complete), complete.length), ((vec![("rec_1", 0, 10_000)], 0), ten));
        assert!(runs.is_empty());

        let mut runs = self::runs();
        assert!(runs.close(&id("rec_1"), ten, now).is_none());
        assert_eq!(runs.arrive(&id("rec_1-p1"), outcome(1)), Err(outcome(1)), "there is no such piece");
        assert!(runs.arrive(&id("rec_1"), outcome(10_000)).unwrap().is_some());
        // Told twice, it belongs to nobody.
        assert_eq!(runs.arrive(&id("rec_1"), outcome(10_000)), Err(outcome(10_000)));
    }

    #[test]
    fn a_moved_call_waits_for_the_lost_workers_piece_and_then_goes_without() {
        let now = Clock.instant();
        let mut runs = runs();
        assert_eq!(runs.go_on(&id("rec_1"), Duration::from_secs(4)), Some(id("rec_1-p1")));
        assert!(runs.close(&id("rec_1"), Duration::from_secs(9), now).is_none());
        assert_eq!(runs.arrive(&id("rec_1-p1"), outcome(5_000)), Ok(None));
        assert!(runs.give_up(now + PIECES_WITHIN - Duration::from_millis(1)).is_empty());
        let given_up = runs.give_up(now + PIECES_WITHIN);
        assert_eq!(shape(&given_up[0]), (vec![("rec_1-p1", 4, 5_000)], 1));

        let mut runs = self::runs();
        runs.go_on(&id("rec_1"), Duration::from_secs(4));
        runs.close(&id("rec_1"), Duration::from_secs(9), now);
        runs.arrive(&id("rec_1-p1"), outcome(5_000)).unwrap();
        let complete = runs.arrive(&id("rec_1"), outcome(3_900)).unwrap().unwrap();
        assert_eq!(shape(&complete), (vec![("rec_1", 0, 3_900), ("rec_1-p1", 4, 5_000)], 0));
        assert!(runs.go_on(&id("rec_1"), Duration::ZERO).is_none());
    }
}
