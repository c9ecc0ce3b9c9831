//! What every answered call leaves behind: its record, its recording and its transcript, or why there is none.

use super::record::CallRecord;
use crate::model::reason::RecordingState;
use crate::model::recording::{ConsentState, RecordingReason};
use crate::model::transcript::{TranscriptReason, TranscriptState};
use crate::model::words;

words! {
    /// What an answered call leaves beside its record.
    Document { Recording = "recording", Transcript = "transcript" }
}

/// What there is of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, or its record says why it is not.
    Documented,
    /// It is being made.
    Open,
    /// It is not there, and nothing says why.
    Missing,
}

impl CallRecord {
    /// Says why there is no recording and no transcript, as far as that was meant; to be called at the end of the call.
    /// `heard`: whether anybody listens to calls.
    pub fn explain(&mut self, heard: bool) {
        if self.answered_at.is_none() {
            return;
        }
        if self.recording.state == RecordingState::None {
            self.recording.reason = match self.recording.consent.as_ref().map(|consent| consent.state) {
                _ if !self.record => Some(RecordingReason::NotWanted),
                Some(ConsentState::Announcing) => Some(RecordingReason::NotAnnounced),
                Some(ConsentState::OptedOut) => Some(RecordingReason::OptedOut),
                // It was to begin, and did not.
                Some(ConsentState::Announced) | None => None,
            };
        }
        if self.transcript.state == TranscriptState::Off {
            self.transcript.reason = match self.recording.reason {
                Some(_) if self.recording.state == RecordingState::None => Some(TranscriptReason::NotRecorded),
                _ => (!heard).then_some(TranscriptReason::SwitchedOff),
            };
        }
    }

    /// How an ended call's document stands. `entered`: whether anybody knows where its recording lies.
    pub fn standing(&self, document: Document, entered: bool) -> Standing {
        let or_reason = |there: bool| if there { Standing::Documented } else { Standing::Missing };
        match document {
            _ if self.answered_at.is_none() => Standing::Documented,
            Document::Recording => match self.recording.state {
                RecordingState::Ready => or_reason(entered),
                RecordingState::Deleted => Standing::Documented,
                RecordingState::Recording | RecordingState::Paused => Standing::Open,
                RecordingState::None | RecordingState::Failed => or_reason(self.recording.reason.is_some()),
            },
            Document::Transcript => match self.transcript.state {
                TranscriptState::Ready => Standing::Documented,
                TranscriptState::Live | TranscriptState::Pending => Standing::Open,
                TranscriptState::Off | TranscriptState::Failed => or_reason(self.transcript.reason.is_some()),
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::directory::Contact;
    use crate::model::id::{CallId, ContactId, NumberId};
    use crate::model::reason::Direction;
    use crate::model::recording::Consent;
    use crate::model::time::Timestamp;

    /// A call that was answered, and of which nothing else is known.
    pub(crate) fn answered() -> CallRecord {
        let number = NumberId::parse("100000000000001").unwrap();
        let at = Timestamp::from_secs(1_795_000_000);
        let contact = Contact {
            id: ContactId::generate(),
            phone: None,
            user_id: None,
            name: None,
            username: None,
            assignee_id: None,
            owner_id: None,
            created_at: at,
        };
        let call = CallRecord::begun(CallId::generate(), number, Direction::UserInitiated, contact, at);
        CallRecord { answered_at: Some(at), ..call }
    }

    fn told(state: ConsentState) -> Option<Consent> {
        Some(Consent {
            state,
            language: "en".to_owned(),
            sha256: "ab".repeat(32),
            length_ms: 4_000,
            announced_at: None,
            opt_out_key: Some('9'),
            opted_out_at: None,
        })
    }

    #[test]
    fn a_call_says_why_nothing_was_kept_of_it() {
        #[track_caller]
        fn check(
            change: impl FnOnce(&mut CallRecord),
            heard: bool,
            want: (Option<RecordingReason>, Option<TranscriptReason>),
            missing: &[Document],
        ) {
            let mut call = answered();
            change(&mut call);
            call.explain(heard);
            assert_eq!((call.recording.reason, call.transcript.reason), want);
            let is_missing = |document: &&Document| call.standing(**document, true) == Standing::Missing;
            assert_eq!(Document::ALL.iter().filter(is_missing).copied().collect::<Vec<_>>(), missing);
        }
        let both = [Document::Recording, Document::Transcript];
        let not_recorded = Some(TranscriptReason::NotRecorded);
        check(|call| call.record = false, true, (Some(RecordingReason::NotWanted), not_recorded), &[]);
        let announcing = |call: &mut CallRecord| call.recording.consent = told(ConsentState::Announcing);
        check(announcing, true, (Some(RecordingReason::NotAnnounced), not_recorded), &[]);
        let opted_out = |call: &mut CallRecord| call.recording.consent = told(ConsentState::OptedOut);
        check(opted_out, true, (Some(RecordingReason::OptedOut), not_recorded), &[]);
        let announced = |call: &mut CallRecord| call.recording.consent = told(ConsentState::Announced);
        check(announced, true, (None, None), &both);
        check(|_| (), true, (None, None), &both);
        check(|_| (), false, (None, Some(TranscriptReason::SwitchedOff)), &both[..1]);
        check(|call| call.answered_at = None, true, (None, None), &[]);
        check(|call| call.recording.state = RecordingState::Ready, true, (None, None), &both[1..]);
        let failed = |call: &mut CallRecord| {
            call.recording.state = RecordingState::Failed;
            call.recording.reason = Some(RecordingReason::RecorderFailed);
            call.transcript.state = TranscriptState::Ready;
        };
        check(failed, true, (Some(RecordingReason::RecorderFailed), None), &[]);
        check(|call| call.transcript.state = TranscriptState::Failed, true, (None, None), &both);
    }

    #[test]
    fn what_is_being_made_is_open_and_a_recording_nobody_finds_is_missing() {
        let mut call = answered();
        for (state, entered, want) in [
            (RecordingState::Ready, true, Standing::Documented),
            (RecordingState::Ready, false, Standing::Missing),
            (RecordingState::Paused, true, Standing::Open),
            (RecordingState::Deleted, true, Standing::Documented),
        ] {
            call.recording.state = state;
            assert_eq!(call.standing(Document::Recording, entered), want, "{state:?} {entered}");
        }
        for state in [TranscriptState::Live, TranscriptState::Pending] {
            call.transcript.state = state;
            assert_eq!(call.standing(Document::Transcript, true), Standing::Open, "{state:?}");
        }
    }
}
