//! What somebody has promised or was asked to do once the call is over.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation;

use super::sentence::Sentence;
use crate::model::rtp::Side;
use crate::model::summary::ActionItem;
use crate::summary::language::Language;

/// A request and the promise that answers it lie this close.
const SAME_MS_MAX: u64 = 90_000;
const ITEMS_MAX: usize = 12;

/// A sentence that gives somebody something to do.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub sentence: usize,
    pub item: ActionItem,
    is_promise: bool,
    terms: BTreeSet<String>,
}

/// In the order of the call; a request and its promise are one.
pub(super) fn actions(sentences: &[Sentence], language: &Language) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for (at, sentence) in sentences.iter().enumerate() {
        let Some(action) = action(at, sentence, language) else { continue };
        match actions.iter().rposition(|known| is_same(known, &action)) {
            Some(known) => merge(&mut actions[known], action),
            None => actions.push(action),
        }
    }
    actions.truncate(ITEMS_MAX);
    actions.sort_by_key(|action| action.item.point.start_ms);
    actions
}

fn action(at: usize, sentence: &Sentence, language: &Language) -> Option<Action> {
    let text = &sentence.text;
    let due = due(text, language);
    // What is done while the call runs stays no task, unless a day is named: "please confirm it by Friday".
    let is_task = |end: usize| {
        let verb = text[end..].unicode_words().next().map(str::to_lowercase);
        verb.is_some_and(|verb| !language.is_in_call(&verb) || (due.is_some() && !is_state(&verb)))
    };
    let promised = !sentence.is_question && language.promise.all(text).any(|found| is_task(found.end()));
    let asked = || {
        let found = language.request.all(text).find(|found| is_task(found.end()))?;
        // "When can you deliver?" asks for an answer, "could you deliver it?" for a deed.
        let clause = text[..found.start()].rsplit([',', ';', ':', '.', '—']).next().unwrap_or_default();
        let leads_in = |word: &str| {
            let word = word.to_lowercase();
            language.is_filler(&word)
                || matches!(&*word, "and" | "but" | "then" | "also" | "sure" | "great" | "y" | "e" | "et" | "und")
        };
        (!sentence.is_question || clause.unicode_words().all(leads_in)).then_some(())
    };
    let owner = match (promised, sentence.speaker) {
        (true, speaker) => speaker,
        (false, Side::Customer) => asked().map(|()| Side::Agent)?,
        (false, Side::Agent) => asked().map(|()| Side::Customer)?,
    };
    Some(Action {
        sentence: at,
        item: ActionItem { owner, point: sentence.point(), due },
        is_promise: promised,
        terms: sentence.terms(language).collect(),
    })
}

/// Verbs that no day turns into a task: "I will not", "it will be".
fn is_state(verb: &str) -> bool {
    matches!(verb, "not" | "never" | "be" | "have" | "see" | "hear" | "tell" | "no" | "nicht" | "ser" | "ver" | "estar")
}

/// `by Friday at noon`, as it was said: limits that touch are one.
fn due(text: &str, language: &Language) -> Option<String> {
    let mut found = language.due.all(text).map(|found| found.range());
    let mut due = found.next()?;
    for next in found {
        if text[due.end..next.start].trim_matches([' ', ',']).is_empty() {
            due.end = next.end;
        }
    }
    Some(text[due].trim().to_owned())
}

fn is_same(known: &Action, new: &Action) -> bool {
    let shared = known.terms.intersection(&new.terms).count();
    let fewer = known.terms.len().min(new.terms.len());
    known.item.owner == new.item.owner
        && new.item.point.start_ms.saturating_sub(known.item.point.start_ms) <= SAME_MS_MAX
        && shared > 0
        && (shared >= 3 || shared * 2 >= fewer)
}

/// A promise says it better than a request, and a day stays known whoever named it.
fn merge(known: &mut Action, new: Action) {
    let due = new.item.due.clone().or_else(|| known.item.due.clone());
    if new.is_promise || !known.is_promise {
        *known = new;
    }
    known.item.due = due;
}
