//! What a summary by rules costs: an hour of talk, on one core. Wanted: at most 2 s.
//!
//! `cargo bench --bench summary [minutes]`

use std::hint::black_box;
use std::time::Duration;

use tandem::model::id::CallId;
use tandem::model::reason::Direction;
use tandem::model::rtp::Side;
use tandem::model::time::{Clock, Timestamp};
use tandem::model::transcript::Segment;
use tandem::summary::{CallFacts, extract};

const WANTED: Duration = Duration::from_secs(2);
const RUNS: u32 = 5;
/// A segment begins every four seconds.
const EVERY_MS: u64 = 4_000;

const NOUNS: [&str; 16] = [
    "parcel",
    "invoice",
    "lamp",
    "router",
    "contract",
    "appointment",
    "refund",
    "courier",
    "account",
    "delivery",
    "printer",
    "warranty",
    "booking",
    "password",
    "battery",
    "insurance",
];
const SENTENCES: [&str; 8] = [
    "I'm calling because the # from last Monday is still not working and the @ is missing.",
    "When will the # be replaced, and who pays the 24 dollars for the @?",
    "I will send you the # together with the @ by Friday.",
    "Could you please check the # again before 3 pm tomorrow?",
    "The order number is 48213 and my phone is 415 555 0123.",
    "We looked at the # yesterday and could not find the @ anywhere in our system.",
    "I don't know about the @, I'll ask the colleagues who repaired the # in spring.",
    "That is fine with me, as long as the # arrives together with the @.",
];

fn main() {
    // Cargo itself passes `--bench`.
    let given = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let minutes = given.map(|arg| arg.parse::<u64>().expect("minutes of talk")).next().unwrap_or(60);
    let transcript: Vec<Segment> = (0..minutes * 60_000 / EVERY_MS).map(segment).collect();
    let facts = CallFacts {
        call: CallId::generate(),
        direction: Direction::UserInitiated,
        started_at: Timestamp::from_secs(1_795_000_000),
        duration_ms: minutes * 60_000,
        language: None,
        names: Vec::new(),
    };
    // The first one also compiles the patterns, once in the life of the process.
    let began = Clock.instant();
    black_box(extract(&facts, &transcript, &[]));
    let first = Clock.instant().duration_since(began);
    let began = Clock.instant();
    for _ in 0..RUNS {
        black_box(extract(&facts, &transcript, &[]));
    }
    let each = Clock.instant().duration_since(began) / RUNS;
    println!("a summary by rules of {minutes} min of talk, {} segments:", transcript.len());
    println!("  {:>8.1} ms each, {:.1} ms the first one", each.as_secs_f64() * 1e3, first.as_secs_f64() * 1e3);
    let verdict = if first <= WANTED { "within" } else { "MORE THAN" };
    println!("  {verdict} the {} s that a summary may take", WANTED.as_secs());
}

fn segment(at: u64) -> Segment {
    let pick = |step: u64| NOUNS[usize::try_from(at * step / 7 + at * at % 11).unwrap_or(0) % NOUNS.len()];
    let text = SENTENCES[usize::try_from(at * 5 + at / 8).unwrap_or(0) % SENTENCES.len()];
    let text = text.replace('#', pick(3)).replace('@', pick(5));
    Segment {
        speaker: if at.is_multiple_of(3) { Side::Agent } else { Side::Customer },
        index: u32::try_from(at).unwrap_or(0),
        start_ms: at * EVERY_MS,
        end_ms: at * EVERY_MS + 3_500,
        stable_chars: 0,
        text,
        is_final: true,
        confidence: None,
        language: None,
    }
}
