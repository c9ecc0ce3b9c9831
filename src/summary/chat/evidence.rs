//! Whether what a model says was said: numbers, addresses and most of its words must lie in the segments it names.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use crate::model::rtp::Side;
use crate::summary::extract::{terms, words};
use crate::summary::language::Language;
use crate::summary::{mask, spoken};

use super::Sheet;

/// A statement shares this part of its terms with what it rests on. People word things anew, so it is not more; what has
/// nothing in common with the place it names was not said there.
const SHARED_MIN: f32 = 0.25;

/// What a line holds, for comparison.
pub(in crate::summary) struct Holds {
    terms: HashSet<String>,
    numbers: HashSet<String>,
    placeholders: HashSet<String>,
    /// In lower case.
    text: String,
}

/// Why the lines do not bear the text out. A line counts with its neighbours, since a short answer leans on its question.
pub(super) fn unsupported(text: &str, evidence: &[usize], sheet: &Sheet) -> Option<String> {
    let cited: BTreeSet<usize> = evidence.iter().map(|id| id - 1).collect();
    let near: BTreeSet<usize> =
        cited.iter().flat_map(|at| at.saturating_sub(1)..(at + 2).min(sheet.lines.len())).collect();
    let is_agents = |at: &usize| sheet.lines[*at].speaker == Side::Agent;
    // "The agent agreed" rests on what the agent said or was asked, not on a customer's word that it was so.
    let of_agent = names_agent(text) && sheet.lines.iter().any(|line| line.speaker == Side::Agent);
    let counts = |at: &&usize| !of_agent || is_agents(at) || sheet.lines[**at].text.contains(['?', '؟']);
    let all: Vec<&Holds> = near.iter().map(|at| &sheet.lines[*at].holds).collect();
    let held: Vec<&Holds> = near.iter().filter(counts).map(|at| &sheet.lines[*at].holds).collect();
    if let Some(what) = invented(text, &held, &all, sheet.language) {
        return Some(format!("{what} in it is not in the segments it names"));
    }
    // Another language shares no words with the call; its numbers and addresses were looked at above.
    let is_translated = sheet.write_in.as_deref().is_some_and(|code| sheet.code.as_deref() != Some(code));
    let claimed: HashSet<String> = terms(&words(text), sheet.language).filter(|term| !is_role(term)).collect();
    let shares = |term: &String, held: &[&Holds]| held.iter().any(|holds| holds.terms.contains(term));
    let by_agent: Vec<&Holds> = near.iter().filter(|at| is_agents(at)).map(|at| &sheet.lines[*at].holds).collect();
    let agrees = is_translated || claimed.is_empty() || claimed.iter().any(|term| shares(term, &by_agent));
    if of_agent && !(agrees && cited.iter().any(is_agents)) {
        return Some("what the agent says or does must rest on the agent's own segments".to_owned());
    }
    let shared = claimed.iter().filter(|term| shares(term, &held)).count();
    let fits = is_translated || claimed.is_empty() || shared as f32 >= (claimed.len() as f32 * SHARED_MIN).max(1.0);
    (!fits).then(|| "it has too little in common with the segments it names: keep their words".to_owned())
}

impl Holds {
    pub(in crate::summary) fn new(line: &str, language: &Language) -> Self {
        let mut numbers: HashSet<String> = GROUP.find_iter(line).map(|group| group.as_str().to_owned()).collect();
        for run in spoken::runs(line, language) {
            // "Four, five" are 4 and 5 as well as 45.
            let words = line[run.range.clone()].unicode_words();
            numbers.extend(words.flat_map(|word| spoken::runs(word, language)).map(|one| one.digits));
            numbers.insert(run.digits);
        }
        let ends = line.unicode_word_indices().map(|(at, word)| at + word.len());
        let values = ends.filter_map(|end| spoken::value_before(&line[..end], language));
        numbers.extend(values.map(|(_, value)| value.to_string()));
        Self {
            terms: terms(&words(line), language).collect(),
            numbers,
            placeholders: mask::placeholders(line).map(str::to_owned).collect(),
            text: line.to_lowercase(),
        }
    }
}

/// What a statement must not invent: numbers, addresses, and what stands for a masked detail, which `all` may hold.
fn invented(text: &str, held: &[&Holds], all: &[&Holds], language: &Language) -> Option<&'static str> {
    let known = |holds: &dyn Fn(&Holds) -> bool| held.iter().any(|line| holds(line));
    if mask::placeholders(text).any(|placeholder| !all.iter().any(|line| line.placeholders.contains(placeholder))) {
        return Some("a placeholder");
    }
    let plain = mask::placeholders(text)
        .fold(text.to_lowercase(), |plain, placeholder| plain.replace(&placeholder.to_lowercase(), " "));
    let mut addresses = ADDRESS.find_iter(&plain).map(|address| address.as_str().trim_end_matches(['.', ',']));
    if addresses.any(|address| !known(&|line| line.text.contains(address))) {
        return Some("an address");
    }
    // One spoken digit alone is too often a mere word: "one of them".
    let spoken = spoken::runs(&plain, language)
        .into_iter()
        .filter(|run| run.digits.len() > 1 && !plain[run.range.clone()].contains(|c| spoken::digit_of(c).is_some()));
    let written = GROUP.find_iter(&plain).map(|group| group.as_str().to_owned());
    // The cents of "84.00" are nobody's invention.
    let mut numbers = written.chain(spoken.map(|run| run.digits)).filter(|number| number.bytes().any(|b| b != b'0'));
    if numbers.any(|number| !known(&|line| line.numbers.contains(&number))) {
        return Some("a number");
    }
    let mut many = ["hundred", "thousand", "million", "billion"].into_iter().filter(|word| plain.contains(word));
    let is_said = |word| known(&|line| line.text.contains(word) || line.numbers.iter().any(|number| number.len() > 2));
    many.any(|word| !is_said(word)).then_some("a number")
}

static GROUP: LazyLock<Regex> = LazyLock::new(|| pattern("[0-9]+"));
/// Mailboxes, and what a reader could click on.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\w[\w.+-]*@[\w.-]+|https?://\S+|www\.\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|info|biz|io|app|dev|xyz|shop|site|online|link|ru|cn|de|fr|es|it|br|uk|ge|tr|in)\b",
    )
});

/// Whether the first of the two that a text speaks of is the agent.
fn names_agent(text: &str) -> bool {
    let role = words(text).into_iter().find(|word| is_role(word) && word != "call");
    role.is_some_and(|word| AGENT.contains(&&*word))
}

const AGENT: [&str; 7] = ["agent", "agente", "representative", "business", "atendente", "mitarbeiter", "operator"];
const CUSTOMER: [&str; 6] = ["customer", "caller", "client", "cliente", "kunde", "call"];

/// Words a summary uses for the two and their call, which nobody says in it; whole or as a stem of six letters.
fn is_role(word: &str) -> bool {
    AGENT.iter().chain(&CUSTOMER).any(|role| *role == word || (word.len() == 6 && role.starts_with(word)))
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("every pattern is used by a test")
}
