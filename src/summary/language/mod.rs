//! What the rules know of each language: words that mean nothing, numbers, days, and how people promise, ask and agree.
//!
//! A language whose phrases are not here still gets its sentences ranked: that needs word counts alone.

mod de;
mod en;
mod es;
mod fr;
mod pt;
mod stop;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use crate::model::transcript::Segment;

/// One language, as it is written down. Patterns ignore case; an empty one never matches.
#[derive(Default)]
struct Source {
    /// ISO 639-1.
    code: &'static str,
    /// Too common to tell what a sentence is about.
    stop: &'static str,
    /// Sounds and words that fill a pause.
    fillers: &'static str,
    /// `word=value`, 0 to 99.
    numbers: &'static str,
    /// Beginnings of questions, for recognisers that write no question marks.
    asks: &'static str,
    /// Greetings, thanks, and questions nobody needs an answer to.
    small_talk: &'static str,
    /// Up to the verb that says what the speaker will do.
    promise: &'static str,
    /// Up to the verb that says what the other is to do.
    request: &'static str,
    /// Verbs that are done with while the call runs.
    in_call: &'static str,
    /// Days and times of day.
    date: &'static str,
    /// What may stand before a date to make it a limit.
    until: &'static str,
    /// Limits without a date: `within two days`.
    span: &'static str,
    /// The answer comes later, if at all.
    defers: &'static str,
    /// Words with which people say why they call.
    reason: &'static str,
    resolved: &'static str,
    unresolved: &'static str,
    escalated: &'static str,
    wrong_number: &'static str,
    labels: Labels,
}

/// The only words a paragraph may hold that nobody said.
#[derive(Clone, Copy)]
pub(super) struct Labels {
    pub customer: &'static str,
    pub agent: &'static str,
    pub about: &'static str,
    pub points: &'static str,
    pub next: &'static str,
    pub open: &'static str,
    pub nothing: &'static str,
}

impl Default for Labels {
    /// English, where a language's own would have to be guessed.
    fn default() -> Self {
        en::SOURCE.labels
    }
}

/// One language, ready to be asked.
pub(super) struct Language {
    pub code: &'static str,
    pub labels: Labels,
    /// 0 to 99 by their words.
    pub numbers: HashMap<&'static str, u8>,
    stop: HashSet<&'static str>,
    fillers: HashSet<&'static str>,
    in_call: HashSet<&'static str>,
    pub asks: Pattern,
    small_talk: Pattern,
    pub promise: Pattern,
    pub request: Pattern,
    pub date: Pattern,
    pub due: Pattern,
    pub defers: Pattern,
    pub reason: Pattern,
    pub resolved: Pattern,
    pub unresolved: Pattern,
    pub escalated: Pattern,
    pub wrong_number: Pattern,
}

/// A pattern, or none for this language.
pub(super) struct Pattern(Option<Regex>);

impl Pattern {
    fn new(source: &str) -> Self {
        let compile = || Regex::new(&format!("(?i){source}")).expect("every pattern is compiled by a test");
        Self((!source.is_empty()).then(compile))
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    /// Every place it is found at.
    pub(super) fn all<'t>(&'t self, text: &'t str) -> impl Iterator<Item = regex::Match<'t>> {
        self.0.iter().flat_map(move |regex| regex.find_iter(text))
    }
}

/// The language of a code like `en` or `en-US`; `None` for one nothing is known of.
pub(super) fn known(code: &str) -> Option<&'static Language> {
    let code = code.split(['-', '_']).next().unwrap_or(code).to_lowercase();
    LANGUAGES.iter().map(|language| &**language).find(|language| language.code == code)
}

/// For languages nothing is known of: no stop words, no phrases.
pub(super) fn unknown() -> &'static Language {
    &UNKNOWN
}

/// The language most of the transcript is in: what the recogniser says; failing that `told`; failing that the one whose
/// common words are the most frequent. The code is kept even where nothing else is known of the language.
pub(super) fn spoken_in(transcript: &[Segment], told: Option<&str>) -> (Option<String>, &'static Language) {
    let mut votes: HashMap<&str, usize> = HashMap::new();
    for segment in transcript {
        if let Some(code) = &segment.language {
            *votes.entry(code).or_default() += segment.text.len();
        }
    }
    // The code itself breaks a tie, so that the same transcript always gives the same summary.
    let heard = votes.into_iter().max_by_key(|(code, votes)| (*votes, std::cmp::Reverse(*code))).map(|(code, _)| code);
    if let Some(code) = heard.or(told) {
        return (Some(code.to_owned()), known(code).unwrap_or_else(unknown));
    }
    let guessed = guess(transcript);
    (guessed.map(|language| language.code.to_owned()), guessed.unwrap_or_else(unknown))
}

/// At least a fifth of the words must be common ones: below that a few loan words would decide.
fn guess(transcript: &[Segment]) -> Option<&'static Language> {
    let words: Vec<String> =
        transcript.iter().flat_map(|segment| segment.text.unicode_words()).map(str::to_lowercase).collect();
    let common = |language: &Language| words.iter().filter(|word| language.is_stop(word)).count();
    let best = LANGUAGES.iter().map(|language| (common(language), &**language)).rev().max_by_key(|(count, _)| *count);
    best.filter(|(count, _)| *count > 0 && count * 5 >= words.len()).map(|(_, language)| language)
}

impl Language {
    fn new(source: &Source) -> Self {
        let set = |words: &'static str| words.split_whitespace().collect::<HashSet<_>>();
        let numbers = source.numbers.split_whitespace().map(|pair| {
            let (word, value) = pair.split_once('=').expect("every number is read by a test");
            (word, value.parse().expect("every number is read by a test"))
        });
        let due = match (source.date, source.until, source.span) {
            ("", ..) => String::new(),
            (date, until, span) => format!(r"\b(?:(?:{until})\s+)?(?:{date})\b|\b(?:{span})\b"),
        };
        Self {
            code: source.code,
            labels: source.labels,
            numbers: numbers.collect(),
            stop: set(source.stop),
            fillers: set(source.fillers),
            in_call: set(source.in_call),
            asks: Pattern::new(source.asks),
            small_talk: Pattern::new(source.small_talk),
            promise: Pattern::new(source.promise),
            request: Pattern::new(source.request),
            date: Pattern::new(&format!(r"\b(?:{})\b", if source.date.is_empty() { ANY_DATE } else { source.date })),
            due: Pattern::new(&due),
            defers: Pattern::new(source.defers),
            reason: Pattern::new(source.reason),
            resolved: Pattern::new(source.resolved),
            unresolved: Pattern::new(source.unresolved),
            escalated: Pattern::new(source.escalated),
            wrong_number: Pattern::new(source.wrong_number),
        }
    }

    /// Words are asked in lower case.
    pub(super) fn is_stop(&self, word: &str) -> bool {
        self.stop.contains(word) || self.fillers.contains(word)
    }

    pub(super) fn is_filler(&self, word: &str) -> bool {
        self.fillers.contains(word)
    }

    /// Greetings and the like, unless they go on to something: "Hello, I have a problem".
    pub(super) fn is_small_talk(&self, text: &str) -> bool {
        self.small_talk.is_in(text) && !self.reason.is_in(text)
    }

    pub(super) fn is_in_call(&self, verb: &str) -> bool {
        self.in_call.contains(verb)
    }
}

/// What a date looks like everywhere.
const ANY_DATE: &str = r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}:\d{2}";

static UNKNOWN: LazyLock<Language> = LazyLock::new(|| Language::new(&Source::default()));

static LANGUAGES: [LazyLock<Language>; 9] = [
    LazyLock::new(|| Language::new(&en::SOURCE)),
    LazyLock::new(|| Language::new(&es::SOURCE)),
    LazyLock::new(|| Language::new(&pt::SOURCE)),
    LazyLock::new(|| Language::new(&fr::SOURCE)),
    LazyLock::new(|| Language::new(&de::SOURCE)),
    LazyLock::new(|| Language::new(&stop::TURKISH)),
    LazyLock::new(|| Language::new(&stop::ARABIC)),
    LazyLock::new(|| Language::new(&stop::HINDI)),
    LazyLock::new(|| Language::new(&stop::GEORGIAN)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::Side;
    use crate::summary::tests::dialogue::said;

    #[test]
    fn every_language_compiles_and_knows_its_own_words() {
        for (code, stop, number) in [
            ("en", "the", Some(("forty", 40))),
            ("es", "que", Some(("siete", 7))),
            ("pt", "não", Some(("três", 3))),
            ("fr", "vous", Some(("huit", 8))),
            ("de", "nicht", Some(("neun", 9))),
            ("tr", "için", None),
            ("ar", "هذا", None),
            ("hi", "है", None),
            ("ka", "არის", None),
        ] {
            let language = known(code).unwrap();
            assert!(language.is_stop(stop), "{code} {stop}");
            if let Some((word, value)) = number {
                assert_eq!(language.numbers.get(word), Some(&value), "{code} {word}");
            }
        }
        assert_eq!(known("en-US").unwrap().code, "en");
        assert!(known("xx").is_none());
    }

    #[test]
    fn the_language_is_told_or_guessed_from_common_words() {
        let segment = |text: &str, language: Option<&str>| Segment {
            language: language.map(str::to_owned),
            ..said(Side::Customer, 0, 1000, text)
        };
        let check = |text: &str, heard: Option<&str>, told: Option<&str>, wanted: Option<&str>| {
            let (code, language) = spoken_in(&[segment(text, heard)], told);
            assert_eq!(code.as_deref(), wanted, "{text}");
            assert_eq!(language.code, wanted.filter(|code| known(code).is_some()).unwrap_or(""), "{text}");
        };
        check("I want to know where my order is", None, None, Some("en"));
        check("Quiero saber dónde está mi pedido, no lo tengo", None, None, Some("es"));
        check("Ich möchte wissen, wo meine Bestellung ist", None, None, Some("de"));
        check("Je voudrais savoir où est ma commande, elle n'est pas là", None, None, Some("fr"));
        check("Eu não sei onde está o meu pedido", None, None, Some("pt"));
        check("ეს არის ჩემი შეკვეთა და მე არ ვიცი", None, None, Some("ka"));
        check("zxcv qwer tyui", None, None, None);
        check("zxcv qwer tyui", None, Some("xh"), Some("xh"));
        check("I want to know where my order is", Some("fr"), Some("de"), Some("fr"));
    }
}
