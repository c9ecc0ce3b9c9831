//! Whether every answered call has left what it should: looked at when it is over, and every night after that until nobody
//! can be expected to mend it.

use std::time::Duration;

use super::Desk;
use super::reconcile::next_night;
use crate::call::CallRecord;
use crate::call::documents::{Document, Standing};
use crate::model::time::Timestamp;
use crate::store::StoreError;

/// Between two looks at a call whose recording or transcript is being made.
const OPEN_AGAIN: Duration = Duration::from_secs(60);
/// What is not made by then is not made.
const OPEN_MAX: Duration = Duration::from_secs(25 * 3600);
/// Nights on which calls that had everything are looked at again.
const LOOKED_AT_FOR: Duration = Duration::from_secs(3 * 24 * 3600);

impl Desk {
    pub(super) async fn look_at_documents(&self) -> Result<(), StoreError> {
        let store = &self.parts.store;
        for record in store.calls_to_look_at(self.parts.clock.now().wall).await? {
            let entered = store.recording(&record.id).await?.is_some();
            let now = self.parts.clock.now().wall;
            let (missing, again) = look(&record, entered, now);
            if !missing.is_empty() {
                tracing::warn!(call = %record.id, ?missing, "an answered call lacks something, and nothing says why");
            }
            self.publish(store.note_documents(&record.id, &missing, again, now).await?);
        }
        self.parts.metrics.undocumented_calls(store.undocumented_calls().await?);
        Ok(())
    }
}

/// What an ended call lacks, and when to look again.
fn look(record: &CallRecord, entered: bool, now: Timestamp) -> (Vec<Document>, Option<Timestamp>) {
    if record.answered_at.is_none() {
        return (Vec::new(), None);
    }
    let age = record.ended_at.map_or(Duration::MAX, |ended| now.since(ended));
    let standing = |document: &Document| match record.standing(*document, entered) {
        Standing::Open if age >= OPEN_MAX => Standing::Missing,
        // The recorder and the recogniser say their last words within moments of the end.
        Standing::Missing if !record.settled => Standing::Open,
        standing => standing,
    };
    let of = |wanted: Standing| Document::ALL.iter().filter(move |document| standing(document) == wanted).copied();
    let missing: Vec<Document> = of(Standing::Missing).collect();
    let again = match () {
        () if of(Standing::Open).next().is_some() => Some(now.plus(OPEN_AGAIN)),
        () if !missing.is_empty() || age < LOOKED_AT_FOR => Some(next_night(now)),
        () => None,
    };
    (missing, again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::documents::tests::answered;
    use crate::model::reason::RecordingState;
    use crate::model::transcript::TranscriptState;

    #[test]
    fn a_call_is_looked_at_until_it_is_whole_and_then_for_three_nights() {
        #[track_caller]
        fn check(
            record: &CallRecord,
            states: (RecordingState, TranscriptState),
            hours: u64,
            missing: &[Document],
            again: impl Fn(Timestamp) -> Option<Timestamp>,
        ) {
            let mut record = record.clone();
            (record.recording.state, record.transcript.state) = states;
            let now = record.ended_at.unwrap().plus(Duration::from_secs(hours * 3600));
            assert_eq!(look(&record, true, now), (missing.to_vec(), again(now)));
        }
        let answered = answered();
        let answered = CallRecord { ended_at: answered.answered_at, settled: true, ..answered };
        let (whole, soon) =
            ((RecordingState::Ready, TranscriptState::Ready), |now: Timestamp| Some(now.plus(OPEN_AGAIN)));
        let pending = (RecordingState::Ready, TranscriptState::Pending);
        let nothing = (RecordingState::None, TranscriptState::Off);
        let both = [Document::Recording, Document::Transcript];
        let night = |now| Some(next_night(now));
        check(&answered, whole, 0, &[], night);
        check(&answered, whole, 71, &[], night);
        check(&answered, whole, 72, &[], |_| None);
        check(&answered, pending, 24, &[], soon);
        check(&answered, pending, 25, &both[1..], night);
        check(&answered, nothing, 0, &both, night);
        check(&answered, nothing, 24 * 365, &both, night);
        check(&CallRecord { settled: false, ..answered.clone() }, nothing, 0, &[], soon);
        check(&CallRecord { answered_at: None, ..answered }, nothing, 0, &[], |_| None);
    }
}
