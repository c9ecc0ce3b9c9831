//! Takes people's details out of a transcript before it leaves the process, and puts them back into what comes home.
//!
//! The same number is the same placeholder all through a call, so that whoever reads `[PHONE_1]` twice knows it is one
//! phone. A detail that a speaker spreads over several segments is found too: each side's segments are read as one text.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::model::rtp::Side;
use crate::model::transcript::Segment;

use super::config::{Config, Pii};
use super::language::Language;
use super::spot::{self, Kind};

/// What is taken out.
#[derive(Debug)]
pub(super) struct Mask {
    is_on: bool,
    patterns: Vec<Regex>,
    words: Vec<String>,
}

/// What was taken out of one call, to be put back.
#[derive(Debug, Default)]
pub(super) struct Veil {
    originals: HashMap<String, String>,
    /// Label and value in one spelling → placeholder.
    placeholders: HashMap<(&'static str, String), String>,
}

/// Parts of names shorter than this are everyday words too often.
const NAME_CHARS_MIN: usize = 3;

impl Mask {
    /// Patterns that [`Config::errors`] refuses are passed over.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            is_on: config.pii == Pii::Mask,
            patterns: config.pii_patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
            words: config.pii_words.clone(),
        }
    }

    /// The segments' texts without people's details, and what gives them back. `names` are the two people's.
    pub(super) fn apply(&self, segments: &[&Segment], names: &[String], language: &Language) -> (Vec<String>, Veil) {
        let mut texts: Vec<String> = segments.iter().map(|segment| plain(&segment.text)).collect();
        let mut veil = Veil::default();
        if !self.is_on {
            return (texts, veil);
        }
        let words = self.words(names);
        for side in Side::ALL {
            let theirs: Vec<usize> = (0..segments.len()).filter(|at| segments[*at].speaker == *side).collect();
            let whole = theirs.iter().map(|at| texts[*at].as_str()).collect::<Vec<_>>().join("\n");
            let masked = self.mask(&whole, words.as_ref(), language, &mut veil);
            masked.split('\n').zip(theirs).for_each(|(text, at)| text.clone_into(&mut texts[at]));
        }
        (texts, veil)
    }

    fn mask(&self, text: &str, words: Option<&Regex>, language: &Language, veil: &mut Veil) -> String {
        let mut found: Vec<(Range<usize>, &'static str, String)> = Vec::new();
        let mut add = |range: Range<usize>, label, value: String| {
            if !found.iter().any(|(known, ..)| known.start < range.end && range.start < known.end) {
                found.push((range, label, value));
            }
        };
        for hit in self.patterns.iter().flat_map(|pattern| pattern.find_iter(text)).filter(|hit| !hit.is_empty()) {
            add(hit.range(), "ID", hit.as_str().to_lowercase());
        }
        for spot in spot::spots(text, language) {
            add(spot.range, label(spot.kind), spot.value.trim_start_matches('+').to_owned());
        }
        for hit in words.iter().flat_map(|words| words.find_iter(text)) {
            add(hit.range(), "NAME", hit.as_str().to_lowercase());
        }
        found.sort_by_key(|(range, ..)| range.start);
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for (range, label, value) in found {
            masked.push_str(&text[from..range.start]);
            masked.push_str(&veil.placeholder(label, value, &text[range.clone()]));
            // The ends of the segments it ran over stay, so that every segment keeps its place.
            text[range.clone()].matches('\n').for_each(|end| masked.push_str(end));
            from = range.end;
        }
        masked + &text[from..]
    }

    /// One pattern for all words and names, the longest first.
    fn words(&self, names: &[String]) -> Option<Regex> {
        let parts = names.iter().flat_map(|name| name.split_whitespace());
        let parts = parts.filter(|part| part.chars().count() >= NAME_CHARS_MIN);
        let all = self.words.iter().chain(names).map(String::as_str).chain(parts);
        let mut all: Vec<&str> = all.map(str::trim).filter(|word| !word.is_empty()).collect();
        all.sort_unstable_by_key(|word| (std::cmp::Reverse(word.len()), *word));
        all.dedup();
        let spelled = |word: &&str| word.split_whitespace().map(regex::escape).collect::<Vec<_>>().join(r"\s+");
        let source = all.iter().map(spelled).collect::<Vec<_>>().join("|");
        (!all.is_empty()).then(|| {
            // A word may begin or end with something that is no letter, where `\b` would never match.
            let whole = format!(r"(?i)\b{{start-half}}(?:{source})\b{{end-half}}");
            Regex::new(&whole).expect("escaped words are a pattern")
        })
    }
}

impl Veil {
    fn placeholder(&mut self, label: &'static str, value: String, original: &str) -> String {
        let next = 1 + self.placeholders.keys().filter(|(known, _)| *known == label).count();
        let placeholder = self.placeholders.entry((label, value)).or_insert_with(|| format!("[{label}_{next}]"));
        let original = || original.split_whitespace().collect::<Vec<_>>().join(" ");
        self.originals.entry(placeholder.clone()).or_insert_with(original);
        placeholder.clone()
    }

    /// The text with every placeholder replaced by what it stood for.
    pub(super) fn lift(&self, text: &str) -> String {
        let original =
            |found: &Captures<'_>| self.originals.get(&found[0]).map_or_else(|| found[0].to_owned(), String::clone);
        PLACEHOLDER.replace_all(text, original).into_owned()
    }
}

/// Every placeholder in a text.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    PLACEHOLDER.find_iter(text).map(|found| found.as_str())
}

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[[A-Z]+_[0-9]+\]").expect("it is a constant"));

/// One line, in which nothing can be taken for a placeholder.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('[', "(").replace(']', ")")
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Email => "EMAIL",
        Kind::Iban => "IBAN",
        Kind::Ip => "IP",
        Kind::Card => "CARD",
        Kind::Code => "CODE",
        Kind::Phone => "PHONE",
        Kind::Number => "NUMBER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::language::known;
    use crate::summary::tests::dialogue::transcript;

    /// `home`: what placeholders come home as.
    fn check(config: &Config, names: &[&str], dialogue: &str, wanted: &[&str], home: &[(&str, &str)]) {
        let transcript = transcript(dialogue);
        let segments: Vec<&Segment> = transcript.iter().collect();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (texts, veil) = Mask::new(config).apply(&segments, &names, known("en").unwrap());
        assert_eq!(texts, wanted);
        for (placeholder, original) in home {
            assert_eq!(veil.lift(&format!("on {placeholder}, [PHONE_99]")), format!("on {original}, [PHONE_99]"));
        }
    }

    #[test]
    fn each_detail_has_one_placeholder_all_through_the_call() {
        check(
            &Config::default(),
            &[],
            "0:00 C Call +1 415 555 0123 or mail bo@example.com.\n0:05 A So four one five five five five oh one two three?\n\
             0:09 A No, 1 415 555 0123.\n0:12 C Card 4111 1111 1111 1111, code 123.",
            &["Call [PHONE_1] or mail [EMAIL_1].", "So [PHONE_2]?", "No, [PHONE_1].", "Card [CARD_1], code 123."],
            &[
                ("[PHONE_1]", "+1 415 555 0123"),
                ("[PHONE_2]", "four one five five five five oh one two three"),
                ("[CARD_1]", "4111 1111 1111 1111"),
            ],
        );
    }

    #[test]
    fn a_number_spread_over_segments_is_found() {
        check(
            &Config::default(),
            &[],
            "0:00 C It's four one five\n0:02 A mhm\n0:03 C five five five\n0:05 C oh one two three, okay?",
            &["It's [PHONE_1]", "mhm", "", ", okay?"],
            &[("[PHONE_1]", "four one five five five five oh one two three")],
        );
    }

    #[test]
    fn names_words_and_patterns_of_the_configuration_are_masked() {
        let config = Config {
            pii_words: vec!["Elm Street".to_owned()],
            pii_patterns: vec![r"\b\d{3}-\d{2}-\d{4}\b".to_owned()],
            ..Config::default()
        };
        check(
            &config,
            &["Nino Beridze"],
            "0:00 C I am nino beridze of 5 elm street.\n0:05 A Ms. Beridze, is 078-05-1120 right? Beridzeville is not.",
            &["I am [NAME_1] of 5 [NAME_2].", "Ms. [NAME_3], is [ID_1] right? Beridzeville is not."],
            &[("[NAME_1]", "nino beridze"), ("[NAME_2]", "elm street"), ("[ID_1]", "078-05-1120")],
        );
    }

    #[test]
    fn switched_off_it_changes_nothing_and_brackets_are_no_placeholders() {
        let off = Config { pii: Pii::Off, ..Config::default() };
        check(&off, &["Bo"], "0:00 C Bo, call 415 555 0123.", &["Bo, call 415 555 0123."], &[]);
        check(&Config::default(), &[], "0:00 C What is [PHONE_1] for?", &["What is (PHONE_1) for?"], &[]);
    }
}
