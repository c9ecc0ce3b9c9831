//! What the rules find in the dialogues: each planted fact, at its time and with its speaker.

use super::dialogue::{
    APPOINTMENT, COMPLAINT, DELIVERY, ONE_SIDED, REFUND, SALES, SPANISH, WRONG_NUMBER, facts, transcript,
};
use crate::model::reason::Direction;
use crate::model::rtp::Side::{self, Agent, Customer};
use crate::model::summary::{DetailKind, OutcomeWord, Point, Summary, SummaryKind};
use crate::model::transcript::{Segment, Unheard};
use crate::summary::extract;

/// What a dialogue holds. Places are `(speaker, second, beginning of the words)`.
#[derive(Default)]
struct Planted {
    reason: Option<(Side, u64, &'static str)>,
    /// Words that the reason, a key point, an action item or the outcome has.
    key_facts: &'static [&'static str],
    /// With whether it was answered.
    questions: &'static [(Side, u64, &'static str, bool)],
    /// Owner first, the day last.
    actions: &'static [(Side, Side, u64, &'static str, Option<&'static str>)],
    details: &'static [(DetailKind, Side, u64, &'static str)],
    outcome: Option<(OutcomeWord, u64)>,
}

#[test]
fn a_delivery_problem() {
    check(
        DELIVERY,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 5, "Hi, um, I'm calling because the parcel")),
            key_facts: &[
                "textbooks hasn't arrived",
                "building entrance was locked",
                "next delivery attempt is on Thursday",
            ],
            questions: &[
                (Customer, 37, "When will they try", true),
                (Customer, 58, "And who pays the 12 dollars", false),
            ],
            actions: &[
                (Agent, Agent, 53, "I will send the courier", Some("today")),
                (Agent, Agent, 63, "I'll check with the accounts", Some("by Friday")),
            ],
            details: &[
                (DetailKind::Date, Customer, 10, "last Monday"),
                (DetailKind::Reference, Customer, 18, "48213"),
                (DetailKind::Date, Agent, 26, "Tuesday"),
                (DetailKind::Date, Agent, 40, "Thursday"),
                (DetailKind::Date, Agent, 40, "9 am"),
                (DetailKind::Phone, Customer, 47, "4155550123"),
                (DetailKind::Amount, Customer, 58, "12 USD"),
                (DetailKind::Email, Customer, 69, "nino.beridze@example.com"),
            ],
            outcome: Some((OutcomeWord::FollowUp, 63)),
        },
    );
}

#[test]
fn a_refund() {
    check(
        REFUND,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 3, "I bought a desk lamp")),
            key_facts: &["arrived broken", "refund the 84 dollars", "reference is RF-20931"],
            questions: &[
                (Agent, 12, "What exactly is broken", true),
                (Agent, 20, "How much did you pay", true),
                (Customer, 34, "Do I have to return", true),
                (Customer, 48, "Will the refund include", true),
            ],
            actions: &[
                (Customer, Customer, 33, "I'll send the photo tonight", Some("tonight")),
                (Agent, Agent, 42, "We'll refund the 84 dollars", Some("within five business days")),
            ],
            details: &[
                (DetailKind::Amount, Customer, 23, "84 USD"),
                (DetailKind::Date, Agent, 28, "tomorrow evening"),
                (DetailKind::Amount, Agent, 51, "6.50 USD"),
                (DetailKind::Reference, Agent, 56, "RF-20931"),
            ],
            outcome: Some((OutcomeWord::Resolved, 56)),
        },
    );
}

#[test]
fn an_appointment() {
    check(
        APPOINTMENT,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 4, "Hello, I'd like to move my dental cleaning")),
            key_facts: &["move my dental cleaning appointment", "booked for a cleaning with Doctor Kim"],
            questions: &[
                (Agent, 10, "Which day would suit you", true),
                (Customer, 14, "Is there anything free", true),
                (Customer, 42, "Does the insurance cover", false),
            ],
            actions: &[
                (Customer, Agent, 38, "Please bring your insurance card", None),
                (Customer, Customer, 49, "Okay, I'll ask the insurance company", Some("this week")),
            ],
            details: &[
                (DetailKind::Date, Customer, 4, "December 3rd"),
                (DetailKind::Date, Agent, 19, "December 9th"),
                (DetailKind::Date, Agent, 19, "4 pm"),
            ],
            outcome: Some((OutcomeWord::Resolved, 31)),
        },
    );
}

#[test]
fn a_complaint() {
    check(
        COMPLAINT,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 3, "My internet connection has been down")),
            key_facts: &["internet connection has been down", "damaged cable", "credit of 15 euros"],
            questions: &[(Customer, 47, "So when will the connection work", false)],
            actions: &[
                (Agent, Agent, 73, "My supervisor Mrs. Okafor will call", Some("before 6 pm today")),
                (Customer, Customer, 79, "If nobody calls me by then", Some("tomorrow")),
            ],
            details: &[
                (DetailKind::Reference, Customer, 24, "770142"),
                (DetailKind::Date, Agent, 30, "Monday"),
                (DetailKind::Amount, Agent, 63, "15 EUR"),
            ],
            outcome: Some((OutcomeWord::Escalated, 73)),
        },
    );
}

#[test]
fn a_sales_call_of_ours() {
    check(
        SALES,
        Direction::BusinessInitiated,
        &Planted {
            reason: Some((Agent, 2, "I'm calling about the demo request")),
            key_facts: &[
                "scheduling tool for our three clinics",
                "costs 9 euros per user",
                "offer for forty users by Wednesday",
            ],
            questions: &[
                (Agent, 15, "How many people would use", true),
                (Customer, 33, "Does the tool connect", true),
                (Customer, 43, "And is the data stored", true),
            ],
            actions: &[
                (Agent, Agent, 54, "Sure, I'll send you the offer", Some("by Wednesday morning")),
                (Customer, Customer, 60, "Then our accountant will review", Some("next week")),
            ],
            details: &[
                (DetailKind::Amount, Agent, 24, "9 EUR"),
                (DetailKind::Amount, Agent, 24, "10 %"),
                (DetailKind::Date, Customer, 50, "Wednesday"),
            ],
            outcome: Some((OutcomeWord::FollowUp, 54)),
        },
    );
}

#[test]
fn a_wrong_number() {
    check(
        WRONG_NUMBER,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 3, "Hello, is this the Blue Door")),
            outcome: Some((OutcomeWord::WrongNumber, 6)),
            ..Planted::default()
        },
    );
}

#[test]
fn a_customer_whom_nobody_answers() {
    check(
        ONE_SIDED,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 7, "I need to cancel my hotel")),
            key_facts: &["cancel my hotel reservation", "confirmation number is HB-5521"],
            actions: &[(Agent, Customer, 16, "Please call me back", None)],
            details: &[
                (DetailKind::Date, Customer, 7, "the 14th of March"),
                (DetailKind::Reference, Customer, 12, "HB-5521"),
                (DetailKind::Phone, Customer, 16, "+995555010203"),
            ],
            outcome: Some((OutcomeWord::FollowUp, 16)),
            ..Planted::default()
        },
    );
}

#[test]
fn a_call_in_spanish() {
    let summary = check(
        SPANISH,
        Direction::UserInitiated,
        &Planted {
            reason: Some((Customer, 3, "Hola, llamo porque mi pedido")),
            key_facts: &["mi pedido no ha llegado", "almacén de Sevilla", "llegarán el jueves"],
            questions: &[
                (Customer, 21, "¿Cuándo llegarán", true),
                (Customer, 29, "¿Y me devuelven los 20 euros", false),
            ],
            actions: &[(Agent, Agent, 38, "Le enviaré un correo", Some("antes del viernes"))],
            details: &[
                (DetailKind::Reference, Customer, 10, "55871"),
                (DetailKind::Date, Agent, 24, "el jueves por la mañana"),
                (DetailKind::Amount, Customer, 29, "20 EUR"),
            ],
            outcome: Some((OutcomeWord::FollowUp, 38)),
        },
    );
    assert_eq!(summary.language.as_deref(), Some("es"));
    assert!(summary.text.starts_with("Motivo: cliente “Hola, llamo porque"), "{}", summary.text);
}

#[test]
fn a_language_nothing_is_known_of_still_has_its_sentences_ranked() {
    let summary = extract(
        &facts(Direction::UserInitiated),
        &transcript(
            "0:00 C Mwen rele paske livrezon an pa rive.\n0:05 A Livrezon an ap rive demen maten.\n0:09 C Livrezon an te dwe rive yè maten.",
        ),
        &[],
    );
    assert!(summary.key_points.iter().any(|point| point.text.contains("Livrezon an ap rive")), "{summary:#?}");
}

#[test]
fn an_empty_call_and_a_very_short_one_say_so() {
    let empty =
        extract(&facts(Direction::UserInitiated), &[], &[Unheard { speaker: Customer, start_ms: 0, end_ms: 4000 }]);
    assert_eq!((empty.text.as_str(), empty.unheard_ms), ("Nothing was said.", 4000));
    assert!(empty.reason.is_none() && empty.key_points.is_empty() && empty.outcome.is_none());
    let short = extract(&facts(Direction::UserInitiated), &transcript("0:01 C Hello?\n0:03 A Hello."), &[]);
    assert_eq!(short.text, "customer “Hello?” (0:01) agent “Hello.” (0:03)");
    let partial = Segment { is_final: false, ..transcript("0:01 C I want to cancel my order.").remove(0) };
    assert_eq!(extract(&facts(Direction::UserInitiated), &[partial], &[]).text, "Nothing was said.");
}

/// The shape that the store keeps and the API shows.
#[test]
fn a_summary_reads_back_from_its_json() {
    let summary = extract(&facts(Direction::UserInitiated), &transcript(DELIVERY), &[]);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["kind"], "extractive");
    assert_eq!(json["questions"][0]["speaker"], "agent");
    assert_eq!(json["action_items"][1]["due"], "by Friday");
    assert_eq!(json["outcome"]["word"], "follow_up");
    assert!(json.get("fallback_reason").is_none() && json.get("withheld").is_none());
    assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
}

#[test]
fn the_same_transcript_gives_the_same_summary() {
    for dialogue in [DELIVERY, REFUND, COMPLAINT, SPANISH] {
        let once = extract(&facts(Direction::UserInitiated), &transcript(dialogue), &[]);
        let mut shuffled = transcript(dialogue);
        shuffled.reverse();
        assert_eq!(once, extract(&facts(Direction::UserInitiated), &shuffled, &[]));
    }
}

fn check(dialogue: &str, direction: Direction, planted: &Planted) -> Summary {
    let transcript = transcript(dialogue);
    let summary = extract(&facts(direction), &transcript, &[]);
    let at = |point: &Point| (point.speaker, point.start_ms / 1000);
    assert_eq!(summary.kind, SummaryKind::Extractive);
    let (speaker, second, words) = planted.reason.expect("every dialogue has a reason");
    let reason = summary.reason.as_ref().expect("a reason is found");
    assert!(at(reason) == (speaker, second) && reason.text.starts_with(words), "{reason:?}");
    for fact in planted.key_facts {
        let mut told = points(&summary).filter(|point| point.text.contains(fact));
        assert!(told.next().is_some(), "{fact}: {:#?}", summary.key_points);
    }
    assert!(summary.key_points.len() <= 7, "{:#?}", summary.key_points);
    for (speaker, second, words, answered) in planted.questions {
        let found = summary.questions.iter().find(|question| question.point.text.starts_with(words));
        let found = found.unwrap_or_else(|| panic!("{words}: {:#?}", summary.questions));
        assert_eq!((at(&found.point), found.answered), ((*speaker, *second), *answered), "{words}");
    }
    let open = summary.questions.iter().filter(|question| !question.answered).count();
    assert_eq!(open, planted.questions.iter().filter(|question| !question.3).count(), "{:#?}", summary.questions);
    let actions: Vec<_> =
        summary.action_items.iter().map(|item| (item.owner, at(&item.point), item.due.as_deref())).collect();
    for (owner, speaker, second, words, due) in planted.actions {
        let found = summary.action_items.iter().find(|item| item.point.text.starts_with(words));
        let found = found.unwrap_or_else(|| panic!("{words}: {:#?}", summary.action_items));
        assert_eq!(
            (found.owner, at(&found.point), found.due.as_deref()),
            (*owner, (*speaker, *second), *due),
            "{words}"
        );
    }
    assert_eq!(actions.len(), planted.actions.len(), "{:#?}", summary.action_items);
    for (kind, speaker, second, value) in planted.details {
        let found = summary.details.iter().find(|detail| detail.kind == *kind && detail.value == *value);
        let found = found.unwrap_or_else(|| panic!("{value}: {:#?}", summary.details));
        assert_eq!(at(&found.point), (*speaker, *second), "{value}");
    }
    let outcome = summary.outcome.as_ref().map(|outcome| (outcome.word, outcome.point.start_ms / 1000));
    assert_eq!(outcome, planted.outcome);
    every_quote_was_said(&summary, &transcript);
    summary
}

/// Word for word, within the speaker's own segments, and at that time.
fn every_quote_was_said(summary: &Summary, transcript: &[Segment]) {
    let others = summary.questions.iter().map(|question| &question.point);
    let others = others.chain(summary.details.iter().map(|detail| &detail.point));
    for point in points(summary).chain(others) {
        let said: Vec<_> = transcript.iter().filter(|segment| segment.speaker == point.speaker).collect();
        let all: Vec<_> = said.iter().map(|segment| segment.text.as_str()).collect();
        assert!(all.join(" ").contains(&point.text), "{point:?}");
        assert!(said.iter().any(|s| s.start_ms <= point.start_ms && point.start_ms <= s.end_ms), "{point:?}");
    }
    for quote in summary.text.split('“').skip(1).map(|rest| rest.split('”').next().unwrap()) {
        assert!(transcript.iter().any(|segment| segment.text.contains(quote)), "{quote}");
    }
}

fn points(summary: &Summary) -> impl Iterator<Item = &Point> {
    let ends = summary.outcome.iter().map(|outcome| &outcome.point);
    let actions = summary.action_items.iter().map(|item| &item.point);
    summary.reason.iter().chain(&summary.key_points).chain(actions).chain(ends)
}
