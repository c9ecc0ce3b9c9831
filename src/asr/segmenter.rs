//! Where somebody speaks: a leg's sound cut into stretches of speech, each ending in a pause or after [`LENGTH_MAX`].
//!
//! Pure but for the net that scores 16 ms frames for voice (`earshot`), which costs under 1 ms of CPU per second.
//! A recogniser costs a hundred times that and makes words up where there are none, so it hears nothing but these.

use earshot::Detector;

use crate::audio::RATE_HZ;

/// Samples that are scored together; the net takes no other number.
pub const FRAME: usize = 256;

const SECOND: u64 = RATE_HZ as u64;
const MS: u64 = SECOND / 1000;

/// A frame that begins speech, and one that goes on with it. The gap keeps a voice that fades from flickering.
const ON: f32 = 0.5;
const OFF: f32 = 0.35;

/// Consonants begin before the voice does.
const PRE_ROLL: usize = (250 * MS) as usize / FRAME;

/// So long a pause ends a stretch: between sentences people breathe for 0.4 s and more.
const HANG_OVER: u64 = 560 * MS;

/// Of the pause, so much stays with the stretch.
const TAIL: u64 = 200 * MS;

/// A stretch without a pause is cut after so long: text must come, and half a Whisper's window is what it does well.
pub const LENGTH_MAX: u64 = 15 * SECOND;

/// The cut is made where the voice is faintest, not earlier than this.
const CUT_FROM: u64 = 9 * SECOND;

/// With less voice than this, it was a cough or a click.
pub const VOICED_MIN: u64 = 250 * MS;

/// A stretch of speech. Positions are samples since the call's sound began.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech {
    pub start: u64,
    pub pcm: Vec<i16>,
    /// How many of the samples are voice.
    pub voiced: u64,
}

impl Speech {
    pub fn end(&self) -> u64 {
        self.start + self.pcm.len() as u64
    }

    /// Whether there is enough voice in it to be speech.
    pub fn is_speech(&self) -> bool {
        self.voiced >= VOICED_MIN
    }
}

/// One leg's cutter.
pub struct Segmenter {
    detector: Box<Detector>,
    /// Sound that does not fill a frame yet.
    rest: Vec<i16>,
    /// Position after everything that was pushed.
    next: u64,
    /// The last frames of a pause, for the pre-roll.
    before: Vec<i16>,
    open: Option<Open>,
}

/// Speech that goes on.
struct Open {
    speech: Speech,
    /// Each frame's score, for the forced cut.
    scores: Vec<f32>,
    /// Samples since the last frame with voice.
    pause: u64,
}

impl Default for Segmenter {
    fn default() -> Self {
        Self { detector: Detector::default_boxed(), rest: Vec::new(), next: 0, before: Vec::new(), open: None }
    }
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segmenter")
            .field("next", &self.next)
            .field("open", &self.open.is_some())
            .finish_non_exhaustive()
    }
}

impl Segmenter {
    /// 16 kHz mono from `first` on; where `first` jumps ahead there was silence, and what was pushed already is left
    /// out. `done` takes each stretch that has ended, speech or not.
    pub fn push(&mut self, first: u64, pcm: &[i16], done: &mut dyn FnMut(Speech)) {
        if first > self.next {
            self.skip_to(first, done);
        }
        let known = usize::try_from(self.next - first).unwrap_or(usize::MAX);
        let Some(mut pcm) = pcm.get(known..) else { return };
        self.next += pcm.len() as u64;
        if !self.rest.is_empty() {
            let wanted = (FRAME - self.rest.len()).min(pcm.len());
            self.rest.extend_from_slice(&pcm[..wanted]);
            pcm = &pcm[wanted..];
            if self.rest.len() < FRAME {
                return;
            }
            let frame = std::mem::take(&mut self.rest);
            self.score(&frame, pcm.len(), done);
        }
        let mut frames = pcm.chunks_exact(FRAME);
        let mut after = pcm.len();
        for frame in &mut frames {
            after -= FRAME;
            self.score(frame, after, done);
        }
        self.rest.extend_from_slice(frames.remainder());
    }

    /// The stretch that is going on, and grows with what is pushed.
    pub fn open(&self) -> Option<&Speech> {
        self.open.as_ref().map(|open| &open.speech)
    }

    /// Whether the stretch that is going on is about to end.
    pub fn is_pausing(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.pause >= TAIL)
    }

    /// Ends what is going on: the leg says nothing more.
    pub fn finish(&mut self) -> Option<Speech> {
        let rest = std::mem::take(&mut self.rest);
        let mut open = self.open.take()?;
        open.speech.pcm.extend_from_slice(&rest);
        Some(open.speech)
    }

    /// Nothing was heard from `next` to `first`. Silence as long as a pause is not written out.
    fn skip_to(&mut self, first: u64, done: &mut dyn FnMut(Speech)) {
        if first - self.next <= HANG_OVER {
            let silence = vec![0; (first - self.next) as usize];
            let at = self.next;
            return self.push(at, &silence, done);
        }
        if let Some(speech) = self.finish() {
            done(speech);
        }
        self.rest.clear();
        self.before.clear();
        self.detector.reset();
        self.next = first;
    }

    /// `after`: samples that were pushed and lie behind this frame.
    fn score(&mut self, frame: &[i16], after: usize, done: &mut dyn FnMut(Speech)) {
        let score = self.detector.predict_i16(frame);
        let end = self.next - after as u64;
        if let Some(speech) = self.handle_frame(frame, end, score) {
            done(speech);
        }
    }

    /// One frame that ends at `end`; the stretch that ends with it.
    fn handle_frame(&mut self, frame: &[i16], end: u64, score: f32) -> Option<Speech> {
        let Some(open) = &mut self.open else {
            self.before.extend_from_slice(frame);
            if score >= ON {
                let pcm = std::mem::take(&mut self.before);
                let scores = vec![0.0; pcm.len() / FRAME];
                let speech = Speech { start: end - pcm.len() as u64, pcm, voiced: FRAME as u64 };
                self.open = Some(Open { speech, scores, pause: 0 });
            } else if self.before.len() > PRE_ROLL * FRAME {
                self.before.drain(..FRAME);
            }
            return None;
        };
        open.speech.pcm.extend_from_slice(frame);
        open.scores.push(score);
        if score >= OFF {
            open.pause = 0;
            open.speech.voiced += FRAME as u64;
        } else {
            open.pause += FRAME as u64;
        }
        if open.pause >= HANG_OVER {
            let mut ended = self.open.take()?;
            let keep = ended.speech.pcm.len() - (ended.pause - TAIL) as usize;
            self.before = ended.speech.pcm.split_off(keep.max(ended.speech.pcm.len() - PRE_ROLL * FRAME));
            ended.speech.pcm.truncate(keep);
            return Some(ended.speech);
        }
        (open.speech.pcm.len() as u64 >= LENGTH_MAX).then(|| open.cut())
    }
}

impl Open {
    /// Takes the first part off, up to where the voice is faintest; the rest goes on.
    fn cut(&mut self) -> Speech {
        let from = CUT_FROM as usize / FRAME;
        let faintness = |i: &usize| self.scores[i - 1] + self.scores[*i] + self.scores[i + 1];
        let at = (from..self.scores.len() - 1).min_by(|a, b| faintness(a).total_cmp(&faintness(b)));
        let at = at.expect("a stretch of LENGTH_MAX is longer than CUT_FROM");
        let rest = self.speech.pcm.split_off(at * FRAME);
        self.scores.drain(..at);
        let voiced = self.scores.iter().filter(|score| **score >= OFF).count() as u64 * FRAME as u64;
        let rest = Speech { start: self.speech.end(), pcm: rest, voiced };
        let mut first = std::mem::replace(&mut self.speech, rest);
        first.voiced = first.voiced.saturating_sub(voiced);
        first
    }
}

const _: () = assert!(CUT_FROM + SECOND < LENGTH_MAX && TAIL < HANG_OVER);

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg's frames, scored by the test.
    #[derive(Default)]
    struct Scored {
        segmenter: Segmenter,
        end: u64,
        done: Vec<Speech>,
    }

    impl Scored {
        /// `ms` of frames with this score.
        fn frames(mut self, ms: u64, score: f32) -> Self {
            for _ in 0..ms / 16 {
                self.end += FRAME as u64;
                self.done.extend(self.segmenter.handle_frame(&[1; FRAME], self.end, score));
            }
            self
        }

        /// Start, end and voiced length of what has ended, in ms.
        fn ended(&self) -> Vec<(u64, u64, u64)> {
            self.done.iter().map(|s| (s.start / MS, s.end() / MS, s.voiced / MS)).collect()
        }
    }

    #[test]
    fn a_stretch_begins_before_the_voice_and_ends_in_a_pause() {
        let leg = Scored::default().frames(1600, 0.1).frames(960, 0.9).frames(800, 0.1);
        assert_eq!(leg.ended(), [(1600 - 240, 2560 + 200, 960)]);
        assert!(leg.done[0].is_speech());
        assert_eq!(leg.segmenter.open(), None);
    }

    #[test]
    fn a_short_pause_and_a_fading_voice_do_not_end_a_stretch() {
        let leg = Scored::default().frames(480, 0.9).frames(480, 0.1).frames(480, 0.4).frames(480, 0.1);
        assert_eq!(leg.ended(), []);
        // What fades cannot begin one either.
        assert_eq!(Scored::default().frames(4800, 0.45).frames(4800, 0.1).ended(), []);
    }

    #[test]
    fn a_click_is_no_speech() {
        let leg = Scored::default().frames(800, 0.1).frames(160, 0.9).frames(800, 0.1);
        assert_eq!(leg.ended().len(), 1);
        assert!(!leg.done[0].is_speech());
    }

    #[test]
    fn speech_without_a_pause_is_cut_where_it_is_faintest_and_nothing_is_lost() {
        let leg = Scored::default().frames(12_000, 0.9).frames(48, 0.4).frames(9_600, 0.9).frames(800, 0.0);
        let ended = leg.ended();
        assert_eq!(ended.len(), 2, "{ended:?}");
        let (first, second) = (ended[0], ended[1]);
        assert!((12_000..12_048).contains(&first.1), "{ended:?}");
        assert_eq!(second.0, first.1);
        assert_eq!(first.2 + second.2, 21_648);
    }

    #[test]
    fn silence_that_was_jumped_over_ends_a_stretch_and_keeps_its_place() {
        let mut leg = Scored::default().frames(960, 0.9);
        leg.segmenter.next = leg.end;
        let mut done = Vec::new();
        leg.segmenter.push(60 * SECOND, &[0; 100], &mut |speech| done.push(speech));
        assert_eq!(done.len(), 1);
        assert_eq!((done[0].start, done[0].end() / MS), (0, 960));
        assert_eq!(leg.segmenter.next, 60 * SECOND + 100);
        // A jump back says what was heard already.
        leg.segmenter.push(60 * SECOND, &[0; 100], &mut |_| unreachable!("nothing ends"));
        assert_eq!((leg.segmenter.next, leg.segmenter.rest.len()), (60 * SECOND + 100, 100));
        leg.segmenter.push(60 * SECOND + 50, &[0; 100], &mut |_| unreachable!("nothing ends"));
        assert_eq!(leg.segmenter.rest.len(), 150);
    }

    #[test]
    fn silence_and_hum_are_no_speech() {
        let mut segmenter = Segmenter::default();
        let mut speech = 0;
        let hum: Vec<i16> = (0..SECOND).map(|i| ((i as f64 * 0.02).sin() * 3_000.0) as i16).collect();
        for second in 0..20 {
            let silence = vec![0; SECOND as usize];
            let pcm = if second < 10 { &silence } else { &hum };
            segmenter.push(second * SECOND, pcm, &mut |s| speech += u32::from(s.is_speech()));
        }
        assert_eq!((speech, segmenter.open().is_some_and(Speech::is_speech)), (0, false));
    }
}
