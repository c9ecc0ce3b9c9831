//! Questions, and whether they were answered.

use super::sentence::Sentence;
use crate::model::summary::Question;
use crate::summary::language::Language;

/// An answer that was put off may come this much later.
const LATER_MS_MAX: u64 = 180_000;
/// More open questions than this are a conversation, not a list.
const QUESTIONS_MAX: usize = 12;

/// Questions of substance in the order of the call; `is_request` says which were asked to have something done.
pub(super) fn questions(
    sentences: &[Sentence],
    language: &Language,
    is_request: impl Fn(usize) -> bool,
) -> Vec<Question> {
    let asked = sentences.iter().enumerate().filter(|(at, sentence)| {
        sentence.is_question
            && !language.is_small_talk(&sentence.text)
            && sentence.terms(language).next().is_some()
            && !is_request(*at)
    });
    let mut questions: Vec<Question> = Vec::new();
    for (at, sentence) in asked {
        let answered = is_answered(at, sentences, language);
        // Asked again, it is one question; the last time decides whether it was answered.
        let again = questions.iter().position(|known| is_same(&known.point.text, &sentence.text));
        match again {
            Some(again) => questions[again].answered |= answered,
            None => questions.push(Question { point: sentence.point(), answered }),
        }
    }
    if questions.len() > QUESTIONS_MAX {
        // Open ones first, since somebody has to answer them.
        let mut kept: Vec<Question> = questions.iter().filter(|question| !question.answered).cloned().collect();
        kept.extend(questions.into_iter().filter(|question| question.answered));
        kept.truncate(QUESTIONS_MAX);
        kept.sort_by_key(|question| question.point.start_ms);
        return kept;
    }
    questions
}

fn is_same(one: &str, other: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    plain(one) == plain(other)
}

/// The other side's next words are the answer, unless they put it off; if they ask back, those after that. Later a sentence
/// of theirs that shares a term with the question is one, too.
fn is_answered(at: usize, sentences: &[Sentence], language: &Language) -> bool {
    let question = &sentences[at];
    let theirs: Vec<&Sentence> = sentences[at + 1..]
        .iter()
        .filter(|sentence| sentence.speaker != question.speaker)
        .take_while(|sentence| sentence.start_ms <= question.end_ms + LATER_MS_MAX)
        .collect();
    let turns: Vec<&[&Sentence]> = theirs.chunk_by(|one, next| one.turn == next.turn).collect();
    let asks_back = turns.first().is_some_and(|turn| turn.iter().all(|sentence| sentence.is_question));
    let Some(reply) = turns.get(usize::from(asks_back)) else { return false };
    let puts_off = |sentence: &Sentence| language.defers.is_in(&sentence.text);
    let states = |sentence: &Sentence| {
        !sentence.is_question && !puts_off(sentence) && !sentence.words.iter().all(|word| is_pause(word, language))
    };
    if !reply.iter().any(|sentence| puts_off(sentence)) && reply.iter().any(|sentence| states(sentence)) {
        return true;
    }
    let about: Vec<String> = question.terms(language).collect();
    let on_it = |sentence: &Sentence| sentence.terms(language).any(|term| about.contains(&term));
    let later = turns.iter().skip(1 + usize::from(asks_back)).copied().flatten();
    later.filter(|sentence| states(sentence)).any(|sentence| on_it(sentence))
}

/// `Hm` is no answer, while `yeah` and `right` are.
fn is_pause(word: &str, language: &Language) -> bool {
    language.is_filler(word)
        && !matches!(word, "yeah" | "yep" | "right" | "okay" | "ok" | "ja" | "genau" | "vale" | "ouais")
}
