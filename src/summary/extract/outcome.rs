//! How it ended, where the words say so.

use super::action::Action;
use super::sentence::Sentence;
use crate::model::rtp::Side;
use crate::model::summary::{Outcome, OutcomeWord};
use crate::summary::language::Language;

/// The last word counts. Where nobody says how it ended but the agent has promised something, it goes on.
pub(super) fn outcome(sentences: &[Sentence], actions: &[Action], language: &Language) -> Option<Outcome> {
    let said = |word, sentence: &Sentence| Some(Outcome { word, point: sentence.point() });
    let stated = || sentences.iter().filter(|sentence| !sentence.is_question);
    if let Some(sentence) = stated().find(|sentence| language.wrong_number.is_in(&sentence.text)) {
        return said(OutcomeWord::WrongNumber, sentence);
    }
    for sentence in stated().rev() {
        for (word, pattern) in [
            (OutcomeWord::Unresolved, &language.unresolved),
            (OutcomeWord::Escalated, &language.escalated),
            (OutcomeWord::Resolved, &language.resolved),
        ] {
            // Only the agent can hand the call on; a customer who wants it asks for it.
            let may_say = word != OutcomeWord::Escalated || sentence.speaker == Side::Agent;
            if may_say && pattern.is_in(&sentence.text) {
                return said(word, sentence);
            }
        }
    }
    let promise = actions.iter().rev().find(|action| action.item.owner == Side::Agent)?;
    Some(Outcome { word: OutcomeWord::FollowUp, point: promise.item.point.clone() })
}
