//! How the two shared the time, out of the segments' times alone.

use crate::model::rtp::Side;
use crate::model::summary::Figures;
use crate::model::transcript::Segment;

/// Pauses shorter than this are part of speaking.
const BREATH_MS: u64 = 1_500;
/// Whoever begins less than this before the other's end only hurries.
const OVERLAP_MS_MIN: u64 = 400;
/// "Mhm" breaks nobody's speech.
const INTERJECTION_MS_MAX: u64 = 700;

/// `duration_ms` is the call's, so that the silence at its end counts.
pub(super) fn figures(transcript: &[Segment], duration_ms: u64) -> Figures {
    let mut spans: Vec<Span> = transcript
        .iter()
        .filter(|segment| segment.is_final && segment.end_ms > segment.start_ms && !segment.text.trim().is_empty())
        .map(|segment| Span { speaker: segment.speaker, start_ms: segment.start_ms, end_ms: segment.end_ms })
        .collect();
    spans.sort_by_key(|span| (span.start_ms, span.speaker));
    let turns = turns(&spans);
    let talk = |side| spoken(spans.iter().filter(|span| span.speaker == side));
    let (customer, agent) = (talk(Side::Customer), talk(Side::Agent));
    let end = spans.iter().map(|span| span.end_ms).max().unwrap_or(0).max(duration_ms);
    let longest = turns.iter().max_by_key(|turn| (turn.end_ms - turn.start_ms, std::cmp::Reverse(turn.start_ms)));
    Figures {
        customer_talk_ms: customer,
        agent_talk_ms: agent,
        customer_talk_ratio: (customer + agent > 0)
            .then(|| (customer as f32 / (customer + agent) as f32 * 1000.0).round() / 1000.0),
        silence_ms: end - spoken(spans.iter()),
        longest_monologue_ms: longest.map_or(0, |turn| turn.end_ms - turn.start_ms),
        longest_monologue_speaker: longest.map(|turn| turn.speaker),
        turns: u32::try_from(turns.len()).unwrap_or(u32::MAX),
        customer_interruptions: interruptions(&spans, Side::Customer),
        agent_interruptions: interruptions(&spans, Side::Agent),
    }
}

#[derive(Clone, Copy)]
struct Span {
    speaker: Side,
    start_ms: u64,
    end_ms: u64,
}

/// Time in which at least one of the spans runs. They are sorted by their beginnings.
fn spoken<'s>(spans: impl Iterator<Item = &'s Span>) -> u64 {
    let mut until = 0;
    spans.fold(0, |total, span| {
        let new = span.end_ms.saturating_sub(span.start_ms.max(until));
        until = until.max(span.end_ms);
        total + new
    })
}

/// Stretches of one side without a break by the other.
fn turns(spans: &[Span]) -> Vec<Span> {
    let mut turns: Vec<Span> = Vec::new();
    for span in spans {
        let is_interjection = span.end_ms - span.start_ms <= INTERJECTION_MS_MAX;
        match turns.last_mut() {
            Some(turn) if turn.speaker == span.speaker => turn.end_ms = turn.end_ms.max(span.end_ms),
            Some(turn)
                if is_interjection && span.start_ms < turn.end_ms + BREATH_MS && goes_on(spans, span, turn.speaker) => {
            }
            _ => turns.push(*span),
        }
    }
    turns
}

/// Whether `speaker` speaks on within a breath after the other's interjection.
fn goes_on(spans: &[Span], interjection: &Span, speaker: Side) -> bool {
    spans.iter().any(|span| {
        span.speaker == speaker && span.end_ms > interjection.end_ms && span.start_ms <= interjection.end_ms + BREATH_MS
    })
}

fn interruptions(spans: &[Span], by: Side) -> u32 {
    let breaks = |span: &&Span| {
        span.speaker == by
            && span.end_ms - span.start_ms > INTERJECTION_MS_MAX
            && spans.iter().any(|other| {
                other.speaker != by && other.start_ms < span.start_ms && other.end_ms >= span.start_ms + OVERLAP_MS_MIN
            })
    };
    u32::try_from(spans.iter().filter(breaks).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::dialogue::said;

    fn check(spans: &[(Side, u64, u64)], duration_ms: u64) -> Figures {
        let segments: Vec<Segment> =
            spans.iter().map(|(speaker, start_ms, end_ms)| said(*speaker, *start_ms, *end_ms, "words")).collect();
        figures(&segments, duration_ms)
    }

    #[test]
    fn talk_silence_and_monologues_are_counted() {
        use Side::{Agent, Customer};
        let figures =
            check(&[(Agent, 0, 2000), (Customer, 3000, 9000), (Agent, 6000, 6300), (Customer, 9500, 13_000)], 20_000);
        assert_eq!((figures.customer_talk_ms, figures.agent_talk_ms), (9_500, 2_300));
        assert_eq!(figures.customer_talk_ratio, Some(0.805));
        assert_eq!(figures.silence_ms, 20_000 - 2_000 - 9_500);
        assert_eq!((figures.longest_monologue_ms, figures.longest_monologue_speaker), (10_000, Some(Customer)));
        assert_eq!(figures.turns, 2, "an `mhm` passes no word on");
        assert_eq!((figures.customer_interruptions, figures.agent_interruptions), (0, 0));
    }

    #[test]
    fn whoever_begins_in_the_middle_interrupts() {
        use Side::{Agent, Customer};
        let figures = check(&[(Customer, 0, 5000), (Agent, 3000, 6000), (Customer, 5800, 8000)], 8_000);
        assert_eq!((figures.customer_interruptions, figures.agent_interruptions), (0, 1));
        assert_eq!((figures.turns, figures.silence_ms), (3, 0));
    }

    #[test]
    fn a_call_without_words_is_silence() {
        let figures = check(&[], 4_000);
        assert_eq!(figures, Figures { silence_ms: 4_000, ..Figures::default() });
    }
}
