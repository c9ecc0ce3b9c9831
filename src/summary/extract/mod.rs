//! The summary without a model: sentences of the call itself, chosen by rules. The same transcript always gives the same
//! summary, and every word of it was said, at the time given; what a recogniser misheard can be played back.

mod action;
mod detail;
mod figures;
mod outcome;
mod question;
mod rank;
mod sentence;

use crate::model::reason::Direction;
use crate::model::rtp::Side;
use crate::model::summary::{Point, Summary, SummaryKind};
use crate::model::transcript::{Segment, Unheard};

use super::CallFacts;
use super::language::{self, Labels, Language};
use rank::Ranked;
use sentence::Sentence;

pub(super) use sentence::{terms, words};

/// Fewer say too little, more are no summary.
const POINTS: std::ops::RangeInclusive<usize> = 3..=7;
/// One more key point for so many sentences.
const SENTENCES_A_POINT: usize = 6;
/// The side that said less still gets this share of the key points, if it said that much.
const SHARE_MIN: f32 = 1.0 / 3.0;
/// The reason is told at the beginning: among so many sentences it is looked for.
const REASON_WITHIN: usize = 8;
/// Of each list this many are in the paragraph.
const IN_TEXT: usize = 3;

/// Sums up a call by rules. Segments that are not final are passed over.
pub fn extract(facts: &CallFacts, transcript: &[Segment], unheard: &[Unheard]) -> Summary {
    let (code, language) = language::spoken_in(transcript, facts.language.as_deref());
    let sentences = sentence::sentences(transcript, language);
    let actions = action::actions(&sentences, language);
    let is_action = |at| actions.iter().any(|action| action.sentence == at);
    let questions = question::questions(&sentences, language, is_action);
    let reason = reason(facts.direction, &sentences, language);
    let outcome = outcome::outcome(&sentences, &actions, language);
    let stands_out = |at: usize| {
        let ends_it = outcome.as_ref().is_some_and(|outcome| outcome.point == sentences[at].point());
        let bonus = |applies: bool, bonus: f32| if applies { bonus } else { 0.0 };
        // What is to be done has a list of its own.
        bonus(Some(at) == reason, 0.8) + bonus(ends_it && !is_action(at), 0.3) - bonus(is_action(at), 0.3)
    };
    let key_points = key_points(&sentences, language, stands_out);
    let mut summary = Summary {
        kind: SummaryKind::Extractive,
        model: None,
        language: code,
        text: String::new(),
        reason: reason.map(|at| sentences[at].point()),
        key_points,
        questions,
        action_items: actions.into_iter().map(|action| action.item).collect(),
        outcome,
        details: detail::details(&sentences, language),
        figures: figures::figures(transcript, facts.duration_ms),
        unheard_ms: unheard.iter().map(|gap| gap.end_ms.saturating_sub(gap.start_ms)).sum(),
        withheld: 0,
        fallback_reason: None,
    };
    summary.text = paragraph(&summary, &sentences, &language.labels);
    summary
}

/// The first sentence of whoever called that says why; else the first that says anything.
fn reason(direction: Direction, sentences: &[Sentence], language: &Language) -> Option<usize> {
    let caller = match direction {
        Direction::UserInitiated => Side::Customer,
        Direction::BusinessInitiated => Side::Agent,
    };
    let of = |side: Side| {
        let is_theirs = |at: &usize| sentences[*at].speaker == side && sentences[*at].is_meaningful;
        let first: Vec<usize> = (0..sentences.len()).filter(is_theirs).take(REASON_WITHIN).collect();
        let says_something = first.iter().find(|at| !language.is_small_talk(&sentences[**at].text));
        // "Is this the right department?" only leads up to it.
        let leads_up = says_something.is_some_and(|at| sentences[*at].is_question);
        let says_why = first.iter().find(|at| leads_up && language.reason.is_in(&sentences[**at].text));
        says_why.or(says_something).or_else(|| first.first()).copied()
    };
    of(caller).or_else(|| of(Side::Customer)).or_else(|| of(Side::Agent))
}

/// Three to seven sentences, in the order of the call.
fn key_points(sentences: &[Sentence], language: &Language, stands_out: impl Fn(usize) -> f32) -> Vec<Point> {
    let ranked = Ranked::new(sentences, language);
    let mut by_worth: Vec<(usize, f32)> = (0..sentences.len())
        .filter(|at| sentences[*at].is_meaningful && !language.is_small_talk(&sentences[*at].text))
        .map(|at| (at, ranked.scores[at] + stands_out(at) + worth(at, sentences, language)))
        .collect();
    by_worth.sort_by(|(one, a), (other, b)| b.total_cmp(a).then(one.cmp(other)));
    let wanted = (by_worth.len() / SENTENCES_A_POINT + POINTS.start()).min(*POINTS.end());
    let mut chosen: Vec<usize> = Vec::new();
    let of = |chosen: &[usize], side| chosen.iter().filter(|at| sentences[**at].speaker == side).count();
    let few = |side| {
        (wanted as f32 * SHARE_MIN)
            .ceil()
            .min(by_worth.iter().filter(|(at, _)| sentences[*at].speaker == side).count() as f32) as usize
    };
    for (at, _) in &by_worth {
        let left = wanted - chosen.len();
        // The places that are left may all be due to the side that said less.
        let other = match sentences[*at].speaker {
            Side::Customer => Side::Agent,
            Side::Agent => Side::Customer,
        };
        let due = few(other).saturating_sub(of(&chosen, other));
        if left <= due || chosen.iter().any(|known| ranked.is_same(*known, *at)) {
            continue;
        }
        chosen.push(*at);
        if chosen.len() == wanted {
            break;
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|at| sentences[at].point()).collect()
}

/// What a sentence is worth by its place and form, beside its rank.
fn worth(at: usize, sentences: &[Sentence], language: &Language) -> f32 {
    let sentence = &sentences[at];
    // Problems are told early, agreements late.
    let place = (at as f32 + 0.5) / sentences.len() as f32;
    let mut worth = if (0.25..=0.85).contains(&place) { 0.0 } else { 0.1 };
    worth += 0.25 * detail::in_text(&sentence.text, language).len().min(2) as f32;
    worth -= if sentence.is_question { 0.6 } else { 0.0 };
    // Short ones lean on what was said before them, the more so after a question; long ones ramble.
    let answers = at > 0 && sentences[at - 1].is_question && sentences[at - 1].speaker != sentence.speaker;
    worth -= match sentence.words.len() {
        ..6 => 0.2,
        ..8 if answers => 0.5,
        46.. => 0.2,
        _ => 0.0,
    };
    worth
}

/// Quotes, with who said them and when; only the labels were never said.
fn paragraph(summary: &Summary, sentences: &[Sentence], labels: &Labels) -> String {
    if sentences.is_empty() {
        return labels.nothing.to_owned();
    }
    let mut told: Vec<&Point> = Vec::new();
    let mut parts = Vec::new();
    let open = summary.questions.iter().filter(|question| !question.answered).map(|question| &question.point);
    let lists: [(&str, Vec<&Point>); 4] = [
        (labels.about, summary.reason.iter().collect()),
        (labels.points, summary.key_points.iter().collect()),
        (labels.next, summary.action_items.iter().map(|item| &item.point).collect()),
        (labels.open, open.collect()),
    ];
    // What is to be done has a place of its own, so it is no key point of the paragraph.
    let todo: Vec<&Point> = lists[2].1.iter().take(IN_TEXT).copied().collect();
    for (label, points) in lists {
        let is_points = label == labels.points;
        let fresh = points.into_iter().filter(|point| !(told.contains(point) || is_points && todo.contains(point)));
        let fresh: Vec<&Point> = fresh.take(IN_TEXT).collect();
        if !fresh.is_empty() {
            let quotes: Vec<String> = fresh.iter().map(|point| quote(point, labels)).collect();
            parts.push(format!("{label} {}.", quotes.join("; ")));
            told.extend(fresh);
        }
    }
    // Nothing but greetings: those were said, at least.
    if parts.is_empty() {
        parts.extend(sentences.iter().take(IN_TEXT).map(|sentence| quote(&sentence.point(), labels)));
    }
    parts.join(" ")
}

fn quote(point: &Point, labels: &Labels) -> String {
    let who = match point.speaker {
        Side::Customer => labels.customer,
        Side::Agent => labels.agent,
    };
    let seconds = point.start_ms / 1000;
    format!("{who} “{}” ({}:{:02})", point.text, seconds / 60, seconds % 60)
}
