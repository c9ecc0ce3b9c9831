//! Sentences, out of the pieces in which a recogniser hears them.

use unicode_segmentation::UnicodeSegmentation;

use crate::model::rtp::Side;
use crate::model::summary::Point;
use crate::model::transcript::Segment;
use crate::summary::language::Language;

/// One sentence of one speaker. Times inside a segment are shared out by length.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub speaker: Side,
    pub start_ms: u64,
    pub end_ms: u64,
    /// As it was written down.
    pub text: String,
    /// In lower case.
    pub words: Vec<String>,
    /// Counts the times the word passed from one side to the other.
    pub turn: usize,
    /// Enough words to mean something by itself.
    pub is_meaningful: bool,
    pub is_question: bool,
}

/// A pause longer than this ends a sentence whatever it looks like.
const PAUSE_MS_MAX: u64 = 1_500;
/// The same where the recogniser writes no full stops: then pauses are all there is.
const PAUSE_UNPUNCTUATED_MS_MAX: u64 = 300;
/// A sentence is cut at the next segment beyond so many words.
const WORDS_MAX: usize = 40;
/// Fewer words, fillers aside, say nothing by themselves.
const WORDS_MIN: usize = 4;

const ENDS: [char; 8] = ['.', '?', '!', '…', '؟', '।', '。', '？'];

/// The sentences of a transcript's final segments, in the order of their beginnings.
pub(super) fn sentences(transcript: &[Segment], language: &Language) -> Vec<Sentence> {
    let mut finals: Vec<&Segment> =
        transcript.iter().filter(|segment| segment.is_final && !segment.text.trim().is_empty()).collect();
    finals.sort_by_key(|segment| (segment.start_ms, segment.speaker, segment.index));
    let is_punctuated = finals.iter().any(|segment| segment.text.contains(ENDS));
    let pause_max = if is_punctuated { PAUSE_MS_MAX } else { PAUSE_UNPUNCTUATED_MS_MAX };
    let mut sentences = Vec::new();
    for side in Side::ALL {
        let mut stretch = Stretch::default();
        for segment in finals.iter().filter(|segment| segment.speaker == *side) {
            if stretch.end_ms().is_some_and(|end| segment.start_ms.saturating_sub(end) > pause_max) {
                sentences.extend(stretch.sentences(*side, language));
                stretch = Stretch::default();
            }
            stretch.push(segment);
        }
        sentences.extend(stretch.sentences(*side, language));
    }
    sentences.sort_by_key(|sentence| (sentence.start_ms, sentence.speaker));
    for at in 1..sentences.len() {
        let passed = sentences[at].speaker != sentences[at - 1].speaker;
        sentences[at].turn = sentences[at - 1].turn + usize::from(passed);
    }
    sentences
}

impl Sentence {
    pub(super) fn point(&self) -> Point {
        Point { text: self.text.clone(), speaker: self.speaker, start_ms: self.start_ms, end_ms: self.end_ms }
    }

    /// What it is about: its words without the common ones, cut down to their stems.
    pub(super) fn terms<'s>(&'s self, language: &'s Language) -> impl Iterator<Item = String> + 's {
        terms(&self.words, language)
    }
}

/// The stems of the words that are not too common. Words are in lower case.
pub(in crate::summary) fn terms<'w>(words: &'w [String], language: &'w Language) -> impl Iterator<Item = String> + 'w {
    let counts = |word: &&String| {
        let long = word.chars().nth(1).is_some() || !word.is_ascii();
        long && !language.is_stop(word) && !language.is_stop(&word.replace('’', "'"))
    };
    words.iter().filter(counts).map(|word| stem(word))
}

/// The words of a text, in lower case.
pub(in crate::summary) fn words(text: &str) -> Vec<String> {
    text.unicode_words().map(str::to_lowercase).collect()
}

/// Crude, but the same for every language with endings: no plural `s`, and no more than six letters.
fn stem(word: &str) -> String {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    let singular = word.strip_suffix('s').filter(|rest| rest.chars().count() > 2 && !rest.ends_with('s'));
    singular.unwrap_or(word).chars().take(6).collect()
}

/// Segments of one speaker without a pause between them.
#[derive(Default)]
struct Stretch {
    text: String,
    pieces: Vec<Piece>,
}

/// Where a segment lies in the stretch.
struct Piece {
    from: usize,
    to: usize,
    start_ms: u64,
    end_ms: u64,
}

impl Stretch {
    fn push(&mut self, segment: &Segment) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let from = self.text.len();
        self.text.push_str(segment.text.trim());
        let end_ms = segment.end_ms.max(segment.start_ms);
        self.pieces.push(Piece { from, to: self.text.len(), start_ms: segment.start_ms, end_ms });
    }

    fn end_ms(&self) -> Option<u64> {
        self.pieces.last().map(|piece| piece.end_ms)
    }

    fn sentences(&self, speaker: Side, language: &Language) -> Vec<Sentence> {
        let mut sentences = Vec::new();
        let mut from = 0;
        let mut to = 0;
        for part in self.text.split_sentence_bounds() {
            to += part.len();
            if ends_in_abbreviation(part) && to < self.text.len() {
                continue;
            }
            for (from, to) in self.cut(from, to) {
                sentences.extend(self.sentence(from, to, speaker, language));
            }
            from = to;
        }
        sentences
    }

    /// Cuts an overlong sentence where segments meet.
    fn cut(&self, mut from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        for piece in &self.pieces {
            let is_inside = piece.to > from && piece.to < to;
            if is_inside && self.text[from..to].unicode_words().nth(WORDS_MAX).is_some() {
                parts.push((from, piece.to));
                from = piece.to;
            }
        }
        parts.push((from, to));
        parts
    }

    fn sentence(&self, from: usize, to: usize, speaker: Side, language: &Language) -> Option<Sentence> {
        let raw = &self.text[from..to];
        let text = raw.trim();
        let words = words(text);
        if words.is_empty() {
            return None;
        }
        let from = from + (raw.len() - raw.trim_start().len());
        let to = from + text.len();
        let telling = words.iter().filter(|word| !language.is_filler(word)).count();
        let is_asked = text.ends_with(['?', '؟', '？']) || (!text.contains(ENDS) && language.asks.is_in(text));
        Some(Sentence {
            speaker,
            start_ms: self.time(from),
            end_ms: self.time(to),
            text: text.to_owned(),
            words,
            turn: 0,
            is_meaningful: telling >= WORDS_MIN,
            is_question: is_asked,
        })
    }

    fn time(&self, at: usize) -> u64 {
        let piece = self.pieces.iter().find(|piece| at <= piece.to).or_else(|| self.pieces.last());
        piece.map_or(0, |piece| {
            let length = (piece.to - piece.from).max(1) as u64;
            let inside = at.saturating_sub(piece.from) as u64;
            piece.start_ms + (piece.end_ms - piece.start_ms) * inside.min(length) / length
        })
    }
}

/// A full stop that ends no sentence: `Mr. Brown`.
fn ends_in_abbreviation(part: &str) -> bool {
    let Some(before) = part.trim_end().strip_suffix('.') else { return false };
    let last = before.rsplit([' ', '(']).next().unwrap_or_default().to_lowercase();
    matches!(
        &*last,
        "mr" | "mrs"
            | "ms"
            | "dr"
            | "prof"
            | "st"
            | "sr"
            | "sra"
            | "srta"
            | "dra"
            | "nr"
            | "bzw"
            | "z.b"
            | "e.g"
            | "i.e"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::language::known;
    use crate::summary::tests::dialogue::said;

    fn check(segments: &[Segment], wanted: &[(Side, u64, u64, &str)]) {
        let found = sentences(segments, known("en").unwrap());
        let found: Vec<_> = found.iter().map(|s| (s.speaker, s.start_ms, s.end_ms, s.text.as_str())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_sentence_goes_on_over_segments_and_segments_hold_several() {
        use Side::{Agent, Customer};
        check(
            &[
                said(Customer, 0, 1000, "My parcel from Mr. Brown"),
                said(Customer, 1400, 2400, "never came. Where is"),
                said(Agent, 2000, 2200, "Mhm."),
                said(Customer, 2500, 2900, "it?"),
                said(Customer, 9000, 9400, "Hello?"),
            ],
            &[
                (Customer, 0, 1950, "My parcel from Mr. Brown never came."),
                (Customer, 2000, 2900, "Where is it?"),
                (Agent, 2000, 2200, "Mhm."),
                (Customer, 9000, 9400, "Hello?"),
            ],
        );
    }

    #[test]
    fn without_full_stops_pauses_make_the_sentences() {
        use Side::Customer;
        check(
            &[
                said(Customer, 0, 1000, "my parcel never came"),
                said(Customer, 1600, 2400, "where is it now"),
                said(Customer, 2500, 3000, "please"),
            ],
            &[(Customer, 0, 1000, "my parcel never came"), (Customer, 1600, 3000, "where is it now please")],
        );
        let found = sentences(&[said(Customer, 0, 900, "where is it now")], known("en").unwrap());
        assert!(found[0].is_question);
    }

    #[test]
    fn words_meet_by_their_stems() {
        let stems = |text: &str| terms(&words(text), known("en").unwrap()).collect::<Vec<_>>();
        assert_eq!(stems("The deliveries were refunded"), stems("a delivery's refunds"));
        assert_eq!(stems("oh I don’t know"), Vec::<String>::new());
    }
}
