//! How well a text says what was said: the word error rate, after both are written in one way.
//!
//! Who writes "Mr. Dashwood's 15th" down as "mister dashwood's fifteenth" has made no mistake. So case, punctuation,
//! hyphens, contractions, numbers and a few spellings are levelled first, after the English rules of OpenAI's
//! `whisper.normalizers`.

use std::collections::HashMap;
use std::ops::AddAssign;

/// Wrong, missing and invented words, of so many that were said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    pub errors: usize,
    pub words: usize,
}

impl WordErrors {
    /// 0.05 is one word in twenty. Can be above 1, when words are invented.
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.words.max(1) as f64
    }
}

impl AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

/// Compares what was heard with what was said.
pub fn word_errors(said: &str, heard: &str) -> WordErrors {
    let (said, heard) = (words(said), words(heard));
    // Levenshtein's distance, row by row.
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    WordErrors { errors: row[heard.len()], words: said.len() }
}

/// The words of a text, written in one way.
pub fn words(text: &str) -> Vec<String> {
    let spelled: HashMap<&str, &str> = SPELLINGS.iter().copied().collect();
    let lower = text.to_lowercase().replace(['’', '‘'], "'").replace('%', " percent ");
    let mut words = Vec::new();
    for token in lower.split(|c: char| !(c.is_alphanumeric() || "',.$£€".contains(c))) {
        // "1,000", "$20" and "3.5" stay together; "end." does not keep its full stop.
        let currency = CURRENCIES.iter().find(|(sign, _)| token.starts_with(*sign)).map(|(_, name)| *name);
        let token = token.trim_matches(|c: char| !c.is_alphanumeric());
        let is_number = token.starts_with(|c: char| c.is_ascii_digit());
        let parts: Vec<String> = match is_number {
            true => vec![token.replace(',', "")],
            false => token.split([',', '.']).map(|part| part.trim_matches('\'').to_owned()).collect(),
        };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            match spelled.get(part.as_str()) {
                Some(spelling) => words.extend(spelling.split(' ').map(str::to_owned)),
                None if is_number => words.extend(number(part)),
                None => words.extend(contraction(part)),
            }
        }
        words.extend(currency.filter(|_| is_number).map(str::to_owned));
    }
    words
}

/// What is written in two ways and said in one.
const SPELLINGS: [(&str, &str); 22] = [
    ("mr", "mister"),
    ("mrs", "missus"),
    ("dr", "doctor"),
    ("st", "saint"),
    ("okay", "ok"),
    ("can't", "can not"),
    ("cannot", "can not"),
    ("won't", "will not"),
    ("let's", "let us"),
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("grey", "gray"),
    ("colour", "color"),
    ("favour", "favor"),
    ("honour", "honor"),
    ("neighbour", "neighbor"),
    ("labour", "labor"),
    ("centre", "center"),
    ("theatre", "theater"),
    ("recognise", "recognize"),
    ("organise", "organize"),
    ("programme", "program"),
];

/// Written before the number, said after it.
const CURRENCIES: [(char, &str); 3] = [('$', "dollars"), ('£', "pounds"), ('€', "euros")];

const CONTRACTIONS: [(&str, &str); 5] =
    [("n't", "not"), ("'re", "are"), ("'ll", "will"), ("'ve", "have"), ("'m", "am")];

fn contraction(word: &str) -> Vec<String> {
    let split = CONTRACTIONS.iter().find_map(|(end, whole)| Some((word.strip_suffix(end)?, *whole)));
    match split {
        Some((stem, whole)) => vec![stem.to_owned(), whole.to_owned()],
        None => vec![word.to_owned()],
    }
}

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Digits as words: 42, 15th, 3.5, and long or zero-led ones digit by digit, as telephone numbers are said.
fn number(text: &str) -> Vec<String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits);
    let mut words = match whole.parse::<usize>() {
        Ok(value) if digits <= 4 && (digits == 1 || !whole.starts_with('0')) => cardinal(value),
        _ => digit_words(whole),
    };
    match rest {
        "" => {}
        "st" | "nd" | "rd" | "th" => {
            if let Some(last) = words.last_mut() {
                *last = ordinal(last);
            }
        }
        fraction if fraction.starts_with('.') => {
            words.push("point".to_owned());
            words.extend(digit_words(&fraction[1..]));
        }
        other => words.push(other.to_owned()),
    }
    words
}

fn digit_words(digits: &str) -> Vec<String> {
    digits.chars().filter_map(|c| c.to_digit(10)).map(|digit| UNITS[digit as usize].to_owned()).collect()
}

/// Up to 9999.
fn cardinal(value: usize) -> Vec<String> {
    let mut words = Vec::new();
    for (size, name) in [(1000, "thousand"), (100, "hundred")] {
        let count = value / size % 10;
        if count > 0 {
            words.extend([UNITS[count].to_owned(), name.to_owned()]);
        }
    }
    let below = value % 100;
    match below {
        0 if value > 0 => {}
        0..20 => words.push(UNITS[below].to_owned()),
        _ => {
            words.push(TENS[below / 10].to_owned());
            words.extend((!below.is_multiple_of(10)).then(|| UNITS[below % 10].to_owned()));
        }
    }
    words
}

fn ordinal(word: &str) -> String {
    match word {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        word => match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{word}th"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_two_ways_counts_as_one() {
        #[track_caller]
        fn check(text: &str, level: &str) {
            assert_eq!(words(text).join(" "), level, "{text}");
        }
        check("And Mr. John Dashwood, then…", "and mister john dashwood then");
        check("an ill-disposed man; \"quoted\" 'too'", "an ill disposed man quoted too");
        check("I can't, we won't, they're don’t", "i can not we will not they are do not");
        check("the 15th of 1,042 at 3.5%", "the fifteenth of one thousand forty two at three point five percent");
        check(
            "20th, 21st, 100, 0, 07, 01803",
            "twentieth twenty first one hundred zero zero seven zero one eight zero three",
        );
        check("dogs' colour.", "dogs color");
        check(
            "It was $20, ($1,500) not €3 or $.",
            "it was twenty dollars one thousand five hundred dollars not three euros or",
        );
    }

    #[test]
    fn wrong_missing_and_invented_words_are_counted() {
        #[track_caller]
        fn check(said: &str, heard: &str, errors: usize, words: usize) {
            assert_eq!(word_errors(said, heard), WordErrors { errors, words }, "{said} / {heard}");
        }
        check("he was not", "He was not.", 0, 3);
        check("he was not", "he is not", 1, 3);
        check("he was not", "he not", 1, 3);
        check("he was not", "", 3, 3);
        check("he was not", "yes he was not at all", 3, 3);
        check("", "you", 1, 0);
    }
}
