//! What a language model answered, and what of it the transcript bears out.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::model::rtp::Side;
use crate::model::summary::OutcomeWord;

use super::Sheet;
use super::evidence::unsupported;

pub(super) const POINTS_MAX: usize = 8;
pub(super) const QUESTIONS_MAX: usize = 12;
pub(super) const ACTIONS_MAX: usize = 12;
/// Of one statement.
pub(super) const TEXT_CHARS_MAX: usize = 400;
/// 120 words are asked for; a fifth more is let pass.
const SUMMARY_WORDS_MAX: usize = 150;

/// The answer's own shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Draft {
    pub summary: String,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub reason: Option<Statement>,
    pub key_points: Vec<Statement>,
    #[serde(default)]
    pub questions: Vec<Asked>,
    #[serde(default)]
    pub action_items: Vec<Task>,
    #[serde(default)]
    pub outcome: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Statement {
    pub text: String,
    pub evidence: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub text: String,
    pub answered: bool,
    pub evidence: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Task {
    pub owner: Side,
    pub text: String,
    #[serde(default)]
    pub due: Option<String>,
    pub evidence: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    pub word: OutcomeWord,
    pub text: String,
    pub evidence: Vec<usize>,
}

/// What is left of an answer once everything was taken out that the transcript does not bear out.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub draft: Draft,
    /// One sentence each, for the model and for the log's reader; they name places, never what was said.
    pub faults: Vec<String>,
}

impl Checked {
    /// Whether there is a summary left.
    pub(super) fn is_empty(&self) -> bool {
        self.draft.key_points.is_empty() && self.draft.summary.is_empty()
    }
}

/// Finds the JSON object in the answer, wherever in it.
///
/// # Errors
/// What is wrong with it, for the model to mend.
pub(super) fn read(answer: &str) -> Result<Draft, String> {
    /// A model that thinks aloud may open some braces first; one that only rambles is not searched for ever.
    const TRIES_MAX: usize = 40;
    let mut first = None;
    for (at, _) in answer.match_indices('{').take(TRIES_MAX) {
        let mut found = serde_json::Deserializer::from_str(&answer[at..]).into_iter::<Draft>();
        match found.next() {
            Some(Ok(draft)) => return Ok(draft),
            // The error of the outermost object tells the most.
            Some(Err(error)) => drop(first.get_or_insert_with(|| error.to_string())),
            None => {}
        }
    }
    Err(first.map_or_else(
        || "there is no JSON object in it".to_owned(),
        |error| format!("the JSON object does not have the demanded shape: {error}"),
    ))
}

/// Takes out what breaks a rule, and says what and why.
pub(super) fn check(mut draft: Draft, sheet: &Sheet) -> Checked {
    let mut faults = Vec::new();
    let mut passes = |place: String, text: &str, evidence: &[usize]| match fault(text, evidence, sheet) {
        Some(why) => {
            faults.push(format!("{place}: {why}"));
            false
        }
        None => true,
    };
    draft.reason = draft.reason.filter(|reason| passes("reason".to_owned(), &reason.text, &reason.evidence));
    keep(&mut draft.key_points, |at, point| passes(format!("key_points[{at}]"), &point.text, &point.evidence));
    keep(&mut draft.questions, |at, asked| passes(format!("questions[{at}]"), &asked.text, &asked.evidence));
    keep(&mut draft.action_items, |at, task| {
        let whole = format!("{} {}", task.text, task.due.as_deref().unwrap_or_default());
        passes(format!("action_items[{at}]"), &whole, &task.evidence)
    });
    draft.outcome = draft.outcome.filter(|end| passes("outcome".to_owned(), &end.text, &end.evidence));
    if let Some(end) = &draft.outcome
        && matches!(end.word, OutcomeWord::Resolved | OutcomeWord::Escalated)
        && !end.evidence.iter().any(|id| sheet.lines[id - 1].speaker == Side::Agent)
        && sheet.lines.iter().any(|line| line.speaker == Side::Agent)
    {
        faults.push(format!("outcome: only the agent's words can make it {}", end.word));
        draft.outcome = None;
    }
    for (name, length, max) in [
        ("key_points", draft.key_points.len(), POINTS_MAX),
        ("questions", draft.questions.len(), QUESTIONS_MAX),
        ("action_items", draft.action_items.len(), ACTIONS_MAX),
    ] {
        if length > max {
            faults.push(format!("{name}: {length} are too many, at most {max}"));
        }
    }
    draft.key_points.truncate(POINTS_MAX);
    draft.questions.truncate(QUESTIONS_MAX);
    draft.action_items.truncate(ACTIONS_MAX);
    draft.summary = sentences(&draft.summary, sheet, &mut faults);
    draft.language = draft.language.filter(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()));
    Checked { draft, faults }
}

fn keep<T>(items: &mut Vec<T>, mut passes: impl FnMut(usize, &T) -> bool) {
    let mut at = 0;
    items.retain(|item| {
        at += 1;
        passes(at - 1, item)
    });
}

/// The sentences of the paragraph that some lines of the call bear out.
fn sentences(summary: &str, sheet: &Sheet, faults: &mut Vec<String>) -> String {
    let all: Vec<usize> = (1..=sheet.lines.len()).collect();
    let mut kept = String::new();
    let mut count = 0;
    for (at, sentence) in summary.trim().split_sentence_bounds().enumerate() {
        count += sentence.unicode_words().count();
        if count > SUMMARY_WORDS_MAX {
            faults.push(format!("summary: it is longer than {SUMMARY_WORDS_MAX} words"));
            break;
        }
        match unsupported(sentence, &all, sheet) {
            Some(why) => faults.push(format!("summary, sentence {}: {why}", at + 1)),
            None => kept.push_str(sentence),
        }
    }
    kept.trim().to_owned()
}

fn fault(text: &str, evidence: &[usize], sheet: &Sheet) -> Option<String> {
    if text.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Some(format!("it is longer than {TEXT_CHARS_MAX} characters"));
    }
    if evidence.is_empty() {
        return Some("it names no evidence".to_owned());
    }
    if let Some(id) = evidence.iter().find(|id| **id == 0 || **id > sheet.lines.len()) {
        return Some(format!("there is no segment {id}"));
    }
    unsupported(text, evidence, sheet)
}
