//! Numbers as they are said and written down: `four one five`, `415-555`, `double six`, `one hundred and twenty four`.

use std::ops::Range;

use super::language::{self, Language};

/// Digits in a row, whatever stands between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Bytes of the text, with a leading `+`.
    pub range: Range<usize>,
    pub digits: String,
}

/// From so many digits on a full stop before the next group ends the run: another number begins.
const WHOLE: usize = 7;

/// Every run of digits in the text, written or spoken.
pub(super) fn runs(text: &str, language: &Language) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut open = Open::default();
    for token in tokens(text) {
        let word = &text[token.range.clone()];
        match token.kind {
            Kind::Digits => {
                let start =
                    if text[..token.range.start].ends_with('+') { token.range.start - 1 } else { token.range.start };
                open.add(
                    start..token.range.end,
                    word.chars().filter_map(digit_of).map(|d| char::from(b'0' + d)).collect(),
                );
            }
            Kind::Word => open.word(word, token.range, language, &mut runs),
            Kind::Between if word.trim_start() == "." || !word.starts_with('.') => {}
            Kind::Between if open.digits.len() < WHOLE => {}
            Kind::Between | Kind::Other => open.close(&mut runs),
        }
    }
    open.close(&mut runs);
    runs
}

/// The number that ends the text: `…a hundred and twenty four` gives 124. Written numbers are not looked at.
pub(super) fn value_before(text: &str, language: &Language) -> Option<(usize, u64)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    for token in tokens(text).into_iter().rev() {
        match token.kind {
            Kind::Between => {}
            Kind::Word => {
                let word = text[token.range.clone()].to_lowercase();
                if unit(&word, language).is_none() && !matches!(word.as_str(), "hundred" | "thousand" | "and" | "a") {
                    break;
                }
                words.push((token.range.start, word));
            }
            Kind::Digits | Kind::Other => break,
        }
    }
    words.reverse();
    while words.first().is_some_and(|(_, word)| word == "and" || (word == "a" && words.len() == 1)) {
        words.remove(0);
    }
    let start = words.first()?.0;
    let (mut total, mut current) = (0_u64, 0_u64);
    let mut counted = false;
    for (_, word) in &words {
        match word.as_str() {
            "hundred" => current = current.max(1).saturating_mul(100),
            "thousand" => {
                total = total.saturating_add(current.max(1).saturating_mul(1000));
                current = 0;
            }
            "and" | "a" => continue,
            word => current = current.saturating_add(u64::from(unit(word, language)?)),
        }
        counted = true;
    }
    counted.then_some((start, total + current))
}

/// The digit a character stands for, in the scripts that people we serve write numbers with.
pub(super) fn digit_of(c: char) -> Option<u8> {
    // Zero of: ASCII, Arabic-Indic, Eastern Arabic-Indic, Devanagari, Bengali, full width (Unicode, category Nd).
    [0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xFF10].into_iter().find_map(|zero| {
        let value = u32::from(c).checked_sub(zero)?;
        u8::try_from(value).ok().filter(|value| *value < 10)
    })
}

/// A run that may go on.
#[derive(Default)]
struct Open {
    range: Option<Range<usize>>,
    digits: String,
    /// The last word was a whole ten, which a unit may follow: `fifty` `five`.
    ten: bool,
    times: usize,
}

impl Open {
    fn word(&mut self, word: &str, range: Range<usize>, language: &Language, runs: &mut Vec<Run>) {
        let word = word.to_lowercase();
        let times = match word.as_str() {
            "double" | "doble" | "doppel" => 2,
            "triple" | "treble" => 3,
            _ => 0,
        };
        if times > 0 {
            self.range.get_or_insert_with(|| range.clone());
            self.times = times;
            return;
        }
        if word == "hundred" && self.digits.len() == 1 {
            return self.add(range, "00".to_owned());
        }
        match unit(&word, language) {
            Some(value @ 1..=9) if self.ten => {
                self.digits.pop();
                self.add(range, value.to_string());
            }
            Some(value) => {
                let digits = value.to_string().repeat(self.times.max(1));
                self.add(range, digits);
                self.ten = value >= 20 && value % 10 == 0;
            }
            None if language.is_filler(&word) || word == "and" => {}
            None => self.close(runs),
        }
    }

    fn add(&mut self, range: Range<usize>, digits: String) {
        let start = self.range.as_ref().map_or(range.start, |open| open.start);
        self.range = Some(start..range.end);
        self.digits.push_str(&digits);
        self.ten = false;
        self.times = 0;
    }

    fn close(&mut self, runs: &mut Vec<Run>) {
        let open = std::mem::take(self);
        if let Some(range) = open.range
            && !open.digits.is_empty()
        {
            runs.push(Run { range, digits: open.digits });
        }
    }
}

/// A number word's value. English ones are known to every language: call centres mix.
fn unit(word: &str, language: &Language) -> Option<u8> {
    let known = |language: &Language| language.numbers.get(word).copied();
    known(language).or_else(|| known(language::known("en")?))
}

enum Kind {
    Digits,
    Word,
    /// What may stand between two groups of one number.
    Between,
    Other,
}

struct Token {
    kind: Kind,
    range: Range<usize>,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let kind = match c {
            c if digit_of(c).is_some() => Kind::Digits,
            c if c.is_alphanumeric() || matches!(c, '\'' | '’') => Kind::Word,
            c if c.is_whitespace() || matches!(c, '-' | '‐' | '–' | '.' | ',' | '(' | ')' | '+') => Kind::Between,
            _ => Kind::Other,
        };
        let Some(last) = tokens.last_mut().filter(|last| last.range.end == at) else {
            tokens.push(Token { kind, range: at..end });
            continue;
        };
        match (&last.kind, &kind) {
            (Kind::Digits, Kind::Digits)
            | (Kind::Word, Kind::Word | Kind::Digits)
            | (Kind::Between, Kind::Between)
            | (Kind::Other, Kind::Other) => last.range.end = end,
            // Letters right behind digits make it a name: `4th`, `7B`.
            (Kind::Digits, Kind::Word) => *last = Token { kind: Kind::Word, range: last.range.start..end },
            _ => tokens.push(Token { kind, range: at..end }),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_however_they_are_said() {
        let check = |code: &str, text: &str, wanted: &[(&str, &str)]| {
            let found = runs(text, language::known(code).unwrap());
            let found: Vec<_> = found.iter().map(|run| (&text[run.range.clone()], run.digits.as_str())).collect();
            assert_eq!(found, wanted, "{text}");
        };
        check("en", "call +1 (415) 555-0123 now", &[("+1 (415) 555-0123", "14155550123")]);
        check(
            "en",
            "four one five, five five five, oh one two three.",
            &[("four one five, five five five, oh one two three", "4155550123")],
        );
        check("en", "it's 415 five five five 0123", &[("415 five five five 0123", "4155550123")]);
        check("en", "double five triple oh twenty one", &[("double five triple oh twenty one", "5500021")]);
        check("en", "eight hundred um fifty five", &[("eight hundred um fifty five", "80055")]);
        check("en", "the 4th of 7B", &[]);
        check("en", "dial 5550123. 24 dollars", &[("5550123", "5550123"), ("24", "24")]);
        check("es", "seis cero cero, uno dos tres", &[("seis cero cero, uno dos tres", "600123")]);
        check("pt", "nove um dois meia", &[("nove um dois meia", "9126")]);
        check("ar", "رقمي ٠١٢٣٤", &[("٠١٢٣٤", "01234")]);
    }

    #[test]
    fn the_number_that_ends_a_text_has_a_value() {
        let check = |text: &str, wanted: Option<(&str, u64)>| {
            let found = value_before(text, language::known("en").unwrap());
            assert_eq!(found.map(|(start, value)| (&text[start..], value)), wanted, "{text}");
        };
        check("it costs twenty four ", Some(("twenty four ", 24)));
        check("about one hundred and five ", Some(("one hundred and five ", 105)));
        check("two thousand three hundred ", Some(("two thousand three hundred ", 2300)));
        check("a hundred ", Some(("a hundred ", 100)));
        check("a ", None);
        check("some and ", None);
    }
}
