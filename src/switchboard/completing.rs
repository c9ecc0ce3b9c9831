//! Transcripts of ended calls, completed from their recordings where the recogniser was too busy or away while they ran.
//! Short rests first, a few calls at a time, none for long: whoever waits for a short one does not wait for an hour of talk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::under_way::UnderWay;
use super::{Absent, Desk, Refusal, Switchboard};
use crate::asr::Inlet;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, TranscriptReason, Unheard};
use crate::record::{Vault, read_sound};
use crate::store::{DueTranscript, StoreError};

/// Between two looks for transcripts to be completed.
const LOOK: Duration = Duration::from_secs(1);
/// Running calls come first, and use the same recogniser; two keep a long rest from holding up a short one.
const AT_A_TIME: usize = 2;
/// A call that is not done by then lets the next one go first.
const TURN: Duration = Duration::from_secs(60);
/// Recordings that are brought back for it; listeners have some of that way, too.
const FETCHES_MAX: usize = 2;
/// One that takes longer comes all the same, and is looked for later.
const FETCH_WITHIN: Duration = Duration::from_secs(20);
/// A recogniser that could not listen is asked again after this time, doubled with each attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// Some four hours with [`AGAIN_AFTER`]: a recogniser that is away that long is not coming back for this call.
const ATTEMPTS_MAX: u32 = 10;
/// A recording is finished within seconds of its call; until then the transcript waits without counting.
const SOON: Duration = Duration::from_secs(2);
/// A recording that is not there may be on another machine, which is away; when it comes, it says so itself.
const MISSING_AFTER: Duration = Duration::from_secs(300);
/// After this time such a recording is not waited for any longer.
const MISSING_MAX: Duration = Duration::from_secs(24 * 3600);
/// Sound for the recogniser at a time: few cuts in a long talk, and a slow one has something to show after each.
const PIECE_MS: u64 = 60_000;
/// A long stretch is cut in the quietest place of so much of its piece's end.
const CUT_WITHIN_MS: u64 = 10_000;
/// What is heard on either side of a stretch: a word on its border is heard whole.
const AROUND_MS: u64 = 300;

impl Switchboard {
    /// Completes an ended call's transcript once more, from its recording.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] when nobody listens, nobody listened, or the call still runs.
    pub async fn transcribe_again(&self, call: &CallId) -> Result<(), Refusal> {
        let (desk, now) = (&self.0, self.0.parts.clock.now().wall);
        if desk.parts.ears.is_none() {
            let why = "nobody listens to calls: set asr.engine, or bring its model with `make model`";
            return Err(Refusal::WrongState(why.to_owned()));
        }
        // How long the recording is the completion will see.
        match desk.parts.store.reopen_transcript(call, None, now).await? {
            Some(events) => desk.transcript_became(call, events).await,
            None => return Err(Refusal::WrongState("there is no transcript of an ended call".to_owned())),
        }
        Ok(())
    }
}

/// Where the sound of a call is.
enum Sound {
    Here(Recorded),
    /// It may be brought back.
    Stored,
    /// It may still come.
    Later(Duration),
    Never(TranscriptReason),
}

struct Recorded {
    path: PathBuf,
    length_ms: u64,
    /// The rest of one that failed may still come.
    is_whole: bool,
}

/// Completes transcripts for as long as there is a desk.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut listening, mut fetching) = (UnderWay::new(AT_A_TIME), UnderWay::new(FETCHES_MAX));
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = listening.next() => {}
            // The next look finds it here.
            () = fetching.next() => continue,
        }
        let Some(desk) = desk.upgrade() else { return };
        let Some(ears) = desk.parts.ears.clone() else { return };
        let due = match desk.parts.store.due_transcripts(desk.parts.clock.now().wall).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "transcripts to be completed cannot be read");
                continue;
            }
        };
        for due in due {
            if listening.has(&due.call) || fetching.has(&due.call) {
                continue;
            }
            let (call, desk) = (due.call.clone(), Arc::clone(&desk));
            match desk.sound_of(&call).await {
                Ok(Sound::Here(recorded)) => {
                    let ears = ears.clone();
                    listening.start(&call, async move { desk.complete(&ears, due, recorded).await });
                }
                Ok(Sound::Stored) => fetching.start(&call, async move { desk.fetch_for(&due).await }),
                Ok(Sound::Later(after)) => desk.look_again(&call, after).await,
                Ok(Sound::Never(reason)) => desk.give_up_transcript(&call, reason).await,
                Err(error) => tracing::warn!(%call, %error, "where the sound of a transcript is cannot be read"),
            }
        }
    }
}

impl Desk {
    async fn sound_of(&self, call: &CallId) -> Result<Sound, StoreError> {
        let store = &self.parts.store;
        let (Some(record), file) = (store.call(call).await?, store.recording(call).await?) else {
            return Ok(Sound::Never(TranscriptReason::RecordingLost));
        };
        let since_end = record.ended_at.map_or(Duration::ZERO, |ended| self.parts.clock.now().wall.since(ended));
        let missing = || match since_end < MISSING_MAX {
            true => Sound::Later(MISSING_AFTER),
            false => Sound::Never(TranscriptReason::RecordingLost),
        };
        let length_ms = u64::try_from(record.recording.duration_ms).unwrap_or(0);
        Ok(match file.map(|file| (file.state, file.path)) {
            Some((state, _)) if state.is_open() => Sound::Later(SOON),
            Some((RecordingState::Ready, path)) if path.exists() => {
                Sound::Here(Recorded { path, length_ms, is_whole: true })
            }
            Some((RecordingState::Ready, _)) => Sound::Stored,
            // What another machine has of it may come later; until then there is what was written here.
            Some((RecordingState::Failed, path)) if self.has_more(call, length_ms).await? && path.exists() => {
                Sound::Here(Recorded { path, length_ms, is_whole: false })
            }
            Some((RecordingState::Deleted, _)) => Sound::Never(TranscriptReason::RecordingDeleted),
            _ => missing(),
        })
    }

    /// Whether something is unheard that so much of a recording holds.
    async fn has_more(&self, call: &CallId, length_ms: u64) -> Result<bool, StoreError> {
        Ok(self.parts.store.unheard(call).await?.iter().any(|gap| gap.start_ms < length_ms))
    }

    async fn fetch_for(self: Arc<Self>, due: &DueTranscript) {
        let call = &due.call;
        match tokio::time::timeout(FETCH_WITHIN, self.bring_back(call)).await {
            Ok(Ok(_)) => {}
            Ok(Err(Absent::Away(error))) => {
                tracing::warn!(%call, error, attempts = due.attempts, "the recording of a transcript is not to be had");
                self.put_off_transcript(due, TranscriptReason::RecordingLost).await;
            }
            Err(_) | Ok(Err(Absent::OnItsWay)) => self.look_again(call, SOON).await,
            Ok(Err(Absent::Gone | Absent::Lost(_))) => {
                self.give_up_transcript(call, TranscriptReason::RecordingLost).await
            }
        }
    }

    async fn look_again(&self, call: &CallId, after: Duration) {
        let until = self.parts.clock.now().wall.plus(after);
        if let Err(error) = self.parts.store.postpone_transcript(call, until).await {
            tracing::warn!(%call, %error, "a transcript could not be postponed");
        }
    }

    async fn give_up_transcript(&self, call: &CallId, reason: TranscriptReason) {
        tracing::error!(%call, %reason, "a transcript stays as it is");
        self.note_attempt(call, Err(reason)).await;
    }

    /// For a while, or for good if that was done too often.
    async fn put_off_transcript(&self, due: &DueTranscript, reason: TranscriptReason) {
        match again_at(due.attempts, self.parts.clock.now().wall) {
            Some(again) => self.note_attempt(&due.call, Ok(again)).await,
            None => self.give_up_transcript(&due.call, reason).await,
        }
    }

    async fn note_attempt(&self, call: &CallId, again: Result<Timestamp, TranscriptReason>) {
        match self.parts.store.put_off_transcript(call, again, self.parts.clock.now().wall).await {
            Ok(events) => self.transcript_became(call, events).await,
            Err(error) => tracing::warn!(%call, %error, "how a transcript stands could not be kept; it is tried again"),
        }
    }

    /// Listens to what is left of an ended call for one turn; how it went is written down.
    async fn complete(self: Arc<Self>, ears: &Inlet, due: DueTranscript, recorded: Recorded) {
        let call = &due.call;
        match self.listen_again(ears, call, &recorded).await {
            Ok(()) => {}
            Err(Failure::Store(error)) => {
                tracing::warn!(%call, %error, "a transcript could not be completed; it is tried again");
                tokio::time::sleep(LOOK).await;
            }
            Err(Failure::Recogniser(error)) => {
                tracing::warn!(%call, error, attempts = due.attempts, "a transcript could not be completed");
                self.put_off_transcript(&due, TranscriptReason::RecogniserAway).await;
            }
        }
    }

    async fn listen_again(&self, ears: &Inlet, call: &CallId, recorded: &Recorded) -> Result<(), Failure> {
        let (store, clock) = (&self.parts.store, self.parts.clock);
        if recorded.is_whole {
            let events = store.measure_transcript(call, recorded.length_ms, clock.now().wall).await?;
            self.transcript_became(call, events).await;
        }
        let mut said = store.transcript(call).await?.map(|transcript| transcript.segments).unwrap_or_default();
        let until = clock.instant() + TURN;
        for mut gap in store.unheard(call).await? {
            if !recorded.is_whole {
                gap.end_ms = gap.end_ms.min(recorded.length_ms);
            }
            while gap.start_ms < gap.end_ms {
                if clock.instant() > until {
                    // Still due, and shorter.
                    return Ok(());
                }
                let (ears, path, id) = (ears.clone(), recorded.path.clone(), call.clone());
                let vault = self.parts.recorder.vault().clone();
                let listened = tokio::task::spawn_blocking(move || listen(&ears, &path, &vault, &id, gap));
                let listened = listened.await.unwrap_or_else(|panic| Err(panic.to_string()));
                let (heard, segments) = listened.map_err(Failure::Recogniser)?;
                let segments = without_doubles(segments, &said, heard);
                let events = store.fill_transcript(call, heard, &segments, clock.now().wall).await?;
                self.transcript_became(call, events).await;
                said.extend(segments);
                gap.start_ms = heard.end_ms;
            }
        }
        Ok(())
    }
}

/// Why a turn came to nothing.
enum Failure {
    Store(StoreError),
    Recogniser(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Listens to the beginning of a stretch, or to all of it if it is short; how much that was, and what was said, by the
/// call's time.
fn listen(
    ears: &Inlet,
    path: &Path,
    vault: &Vault,
    call: &CallId,
    gap: Unheard,
) -> Result<(Unheard, Vec<Segment>), String> {
    let from_ms = gap.start_ms.saturating_sub(AROUND_MS);
    let is_long = gap.end_ms - gap.start_ms > PIECE_MS;
    let to_ms = if is_long { gap.start_ms + PIECE_MS } else { gap.end_ms.saturating_add(AROUND_MS) };
    let mut sound = read_sound(path, vault, gap.speaker, from_ms, to_ms).map_err(|error| error.to_string())?;
    let mut heard = gap;
    // Where the recording ends before, there is nothing more to come.
    if is_long && sound.len() as u64 >= (to_ms - from_ms) * SAMPLES_A_MS {
        sound.truncate(quietest(&sound));
        heard.end_ms = from_ms + sound.len() as u64 / SAMPLES_A_MS;
    }
    let segments = ears.transcribe(&sound, call, gap.speaker).map_err(|error| error.to_string())?;
    let by_the_call = |s: Segment| Segment { start_ms: s.start_ms + from_ms, end_ms: s.end_ms + from_ms, ..s };
    Ok((heard, segments.into_iter().map(by_the_call).collect()))
}

const SAMPLES_A_MS: u64 = crate::audio::RATE_HZ as u64 / 1000;

/// The quietest place to cut in the last [`CUT_WITHIN_MS`] of a sound, in samples: the middle of the quietest 200 ms.
fn quietest(sound: &[i16]) -> usize {
    const WINDOW: usize = 10;
    let frame = 20 * SAMPLES_A_MS as usize;
    let begin = sound.len().saturating_sub((CUT_WITHIN_MS * SAMPLES_A_MS) as usize);
    let energy = |samples: &[i16]| samples.iter().map(|&s| u64::from(s.unsigned_abs()).pow(2)).sum::<u64>();
    let frames: Vec<u64> = sound[begin..].chunks_exact(frame).map(energy).collect();
    let windows = frames.windows(WINDOW).map(|window| window.iter().sum::<u64>());
    let quietest = windows.enumerate().min_by_key(|(_, energy)| *energy).map(|(at, _)| at);
    quietest.map_or(sound.len(), |at| begin + (at + WINDOW / 2) * frame)
}

/// What was said in `heard` alone: what was listened to around it is there already, or comes with what is there.
fn without_doubles(segments: Vec<Segment>, said: &[Segment], heard: Unheard) -> Vec<Segment> {
    let Unheard { speaker, start_ms, end_ms } = heard;
    let near = |at_ms: u64, border_ms: u64| at_ms.abs_diff(border_ms) <= 2 * AROUND_MS;
    let said = || said.iter().filter(|segment| segment.speaker == speaker);
    let before = said().filter(|s| s.start_ms < start_ms && near(s.end_ms, start_ms)).max_by_key(|s| s.end_ms);
    let after = said().filter(|s| s.end_ms > end_ms && near(s.start_ms, end_ms)).min_by_key(|s| s.start_ms);
    let mut own = Vec::with_capacity(segments.len());
    for mut segment in segments.into_iter().filter(|s| s.end_ms > start_ms && s.start_ms < end_ms) {
        if let Some(before) = before.filter(|_| segment.start_ms < start_ms) {
            segment.text = without_beginning(&before.text, &segment.text);
        }
        if let Some(after) = after.filter(|_| segment.end_ms > end_ms) {
            segment.text = without_end(&segment.text, &after.text);
        }
        segment.start_ms = segment.start_ms.max(start_ms);
        segment.end_ms = segment.end_ms.min(end_ms);
        segment.stable_chars = u32::try_from(segment.text.chars().count()).unwrap_or(u32::MAX);
        if !segment.text.is_empty() {
            own.push(segment);
        }
    }
    own
}

/// More than two words are not said in 300 ms.
const DOUBLED_MAX: usize = 2;

/// `text` without the words it begins with that `before` ends with.
fn without_beginning(before: &str, text: &str) -> String {
    let (before, words): (Vec<_>, Vec<_>) = (bare(before), text.split_whitespace().collect());
    let bare: Vec<_> = bare(text);
    let doubled = (1..=DOUBLED_MAX.min(words.len()).min(before.len()))
        .rfind(|&count| before[before.len() - count..] == bare[..count]);
    words[doubled.unwrap_or(0)..].join(" ")
}

/// `text` without the words it ends with that `after` begins with.
fn without_end(text: &str, after: &str) -> String {
    let (after, words): (Vec<_>, Vec<_>) = (bare(after), text.split_whitespace().collect());
    let bare: Vec<_> = bare(text);
    let doubled = (1..=DOUBLED_MAX.min(words.len()).min(after.len()))
        .rfind(|&count| bare[bare.len() - count..] == after[..count]);
    words[..words.len() - doubled.unwrap_or(0)].join(" ")
}

/// The words without punctuation and capitals, one for each that stands between blanks.
fn bare(text: &str) -> Vec<String> {
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    text.split_whitespace().map(letters).collect()
}

/// When to try again after so many attempts in vain and one more.
fn again_at(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    (attempts + 1 < ATTEMPTS_MAX).then(|| now.plus(AGAIN_AFTER * 2_u32.saturating_pow(attempts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::Side;

    #[test]
    fn a_recogniser_that_is_away_is_asked_ever_more_seldom_and_then_no_more() {
        let now = Timestamp::from_secs(1_795_000_000);
        let waits: Vec<Option<u64>> =
            (0..ATTEMPTS_MAX).map(|attempts| again_at(attempts, now).map(|at| at.since(now).as_secs())).collect();
        let seconds = [15, 30, 60, 120, 240, 480, 960, 1_920, 3_840].map(Some);
        assert_eq!(waits, seconds.into_iter().chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_stretch_is_cut_where_nobody_speaks() {
        let second = crate::audio::RATE_HZ as usize;
        let mut sound: Vec<i16> = (0..60 * second).map(|i| ((i as f32 * 0.2).sin() * 9_000.0) as i16).collect();
        // A pause too early, and one in the last ten seconds.
        for pause in [20 * second..22 * second, 54 * second..54 * second + second / 4] {
            sound[pause].fill(3);
        }
        let cut = quietest(&sound);
        assert!((54 * second + 1_000..54 * second + 3_500).contains(&cut), "{}", cut as f32 / second as f32);
        assert_eq!(quietest(&sound[..1_000]), 1_000, "too short to have a quiet place");
    }

    fn segment(start_ms: u64, end_ms: u64, text: &str) -> Segment {
        Segment {
            speaker: Side::Agent,
            index: 0,
            start_ms,
            end_ms,
            text: text.to_owned(),
            is_final: true,
            stable_chars: text.chars().count() as u32,
            confidence: None,
            language: None,
        }
    }

    #[test]
    fn a_word_on_the_border_of_two_stretches_is_there_once() {
        let said = [segment(0, 9_900, "I would like to order"), segment(20_100, 25_000, "Please send it. To my home")];
        #[track_caller]
        fn check(said: &[Segment], heard: (u64, u64, &str), want: Option<(u64, u64, &str)>) {
            let stretch = Unheard { speaker: Side::Agent, start_ms: 10_000, end_ms: 20_000 };
            let got = without_doubles(vec![segment(heard.0, heard.1, heard.2)], said, stretch);
            let got: Vec<_> = got.iter().map(|s| (s.start_ms, s.end_ms, s.text.as_str())).collect();
            assert_eq!(got, want.into_iter().collect::<Vec<_>>(), "{heard:?}");
        }
        let both = (9_700, 20_300, "To order, two cups, please send");
        check(&said, both, Some((10_000, 20_000, "two cups,")));
        check(&[], both, Some((10_000, 20_000, both.2)));
        // What begins and ends within the stretch doubles nothing.
        let within = (10_200, 19_000, "Order please");
        check(&said, within, Some(within));
        check(&said, (9_700, 12_000, "to order"), None);
        check(&said, (9_700, 12_000, "Disorder reigns"), Some((10_000, 12_000, "Disorder reigns")));
        check(&said, (9_700, 9_990, "order"), None);
        check(&said, (20_000, 20_300, "Please"), None);
    }
}
