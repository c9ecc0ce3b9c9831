//! The four protocols over real sockets, against servers that hang up, fall silent or were never there.
//!
//! For servers that hear everything, each second of sound is a number and a pause, and "recognising" it is saying the
//! number: what was lost or heard twice shows at once.

use std::time::Duration;

use secrecy::SecretString;
use tokio::runtime::Runtime;

use super::server::Patience;
use super::*;
use crate::asr::builtin::tests::{all, ear, reading};
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::transcript::Unheard;
use fake::{Fake, Manners};

mod fake;

const SECOND: u64 = RATE_HZ as u64;

/// Long enough for a busy machine; a test that works never waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn vosk_that_hangs_up_in_mid_word_gets_the_word_again_and_nothing_is_lost_or_said_twice() {
    let world = World::new(Kind::Vosk, vec![Manners::HangUpAfter(15), Manners::HangUpAfter(0), Manners::Fine]);
    let (told, heard) = ear();
    let mut stream = world.remote.open(leg(), told);
    push_numbers(&mut *stream, 0, 1..=12);
    stream.finish();
    assert_eq!(numbers(&finals(&all(&heard))), (1..=12).collect::<Vec<_>>());
    let stats = world.remote.stats();
    assert!(stats.broken >= 2 && stats.resent_ms > 0 && stats.missed_ms == 0, "{stats:?}");
    assert!(stats.sent_ms >= 12_000 + stats.resent_ms && stats.waiting_ms == 0, "{stats:?}");
    assert!(stats.finals > 0 && stats.finals_lag_max >= stats.finals_lag, "{stats:?}");
}

#[test]
fn deepgram_that_hangs_up_in_mid_word_gets_the_word_again_and_nothing_is_lost_or_said_twice() {
    let world = World::new(Kind::Deepgram, vec![Manners::HangUpAfter(15), Manners::Fine]);
    let (told, heard) = ear();
    let mut stream = world.remote.open(leg(), told);
    push_numbers(&mut *stream, 0, 1..=12);
    stream.finish();
    let all = all(&heard);
    assert_eq!(numbers(&finals(&all)), (1..=12).collect::<Vec<_>>());
    for segment in finals(&all) {
        let begin = (segment.text.parse::<u64>().unwrap() - 1) * 1_000;
        assert!(segment.start_ms >= begin && segment.end_ms <= begin + 1_000, "{segment:?}");
        assert_eq!((segment.confidence, segment.language.as_deref()), (Some(0.75), Some("en")));
    }
    let first = &world.fake.requests()[0];
    assert_eq!(first.authorization.as_deref(), Some("Token k3y"));
    for wanted in ["model=nova-3", "language=en", "encoding=linear16", "sample_rate=16000", "channels=1"] {
        assert!(first.query.split('&').any(|pair| pair == wanted), "{wanted} in {}", first.query);
    }
}

#[test]
fn openai_that_hangs_up_gets_the_stretches_again_and_they_come_in_order() {
    let world = World::new(Kind::OpenAi, vec![Manners::HangUpAfter(2), Manners::Fine]);
    check_sentences(&world);
    assert_eq!(world.fake.requests()[0].authorization.as_deref(), Some("Bearer k3y"));
    assert_eq!(world.fake.requests()[0].query, "intent=transcription");
}

#[test]
fn vllm_gets_the_stretches_one_after_the_other() {
    check_sentences(&World::new(Kind::OpenAi, vec![Manners::HangUpAfter(1), Manners::Vllm, Manners::Vllm]));
}

#[test]
fn wyoming_that_hangs_up_gets_the_stretch_again() {
    // It answers once a connection.
    let mut manners = vec![Manners::Fine, Manners::HangUpAfter(0), Manners::HangUpAfter(0)];
    manners.extend([Manners::Fine; 8]);
    check_sentences(&World::new(Kind::Wyoming, manners));
}

#[test]
fn a_pause_of_the_call_is_jumped_over_and_times_stay_the_calls() {
    for kind in [Kind::Vosk, Kind::Deepgram] {
        let world = World::new(kind, vec![Manners::Fine]);
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        push_numbers(&mut *stream, 0, 1..=2);
        push_numbers(&mut *stream, 100, 7..=8);
        // What was pushed already says nothing new.
        push_numbers(&mut *stream, 101, 9..=9);
        stream.finish();
        let finals = finals(&all(&heard));
        assert_eq!(numbers(&finals), [1, 2, 7, 8], "{kind:?}");
        // Vosk cuts where a message happens to end in silence, so 1 and 2 may be one segment.
        let begin = |number: &str| finals.iter().find(|s| s.text.starts_with(number)).map(|s| s.start_ms);
        let end = |number: &str| finals.iter().find(|s| s.text.ends_with(number)).map(|s| s.end_ms);
        assert_eq!((begin("1"), end("2")), (Some(0), Some(1_800)), "{kind:?}");
        assert_eq!((begin("7"), end("8")), (Some(100_000), Some(101_800)), "{kind:?}");
        assert_eq!(world.fake.sound_ms(), 5_000, "{kind:?}: one second of silence stands for the pause");
    }
}

#[test]
fn without_a_server_everything_is_told_as_missed_and_the_end_comes() {
    for kind in [Kind::Vosk, Kind::Deepgram] {
        let world = World::hopeless(kind, vec![]);
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        push_numbers(&mut *stream, 0, 1..=60);
        stream.finish();
        assert_covered(&all(&heard), 0, 60_000);
        assert!(world.remote.stats().refused > 0);
        assert_eq!(world.remote.stats().missed_ms, 60_000);
    }
}

#[test]
fn without_a_server_speech_is_told_as_missed_and_silence_is_not() {
    for kind in [Kind::OpenAi, Kind::Wyoming] {
        let world = World::hopeless(kind, vec![]);
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        let (sound, places) = reading(SECOND as usize);
        push(&mut *stream, 0, &sound);
        stream.finish();
        let missed = missed(&all(&heard));
        for (start, end) in places {
            let said = missed.iter().filter(|m| m.start_ms < end && m.end_ms > start);
            let covered: u64 = said.map(|m| m.end_ms.min(end) - m.start_ms.max(start)).sum();
            assert!(covered * 10 >= (end - start) * 8, "{start}–{end}: {missed:?}");
        }
        let told: u64 = missed.iter().map(|m| m.end_ms - m.start_ms).sum();
        assert!(told < sound.len() as u64 / 16 - 3_000, "silence is not missed: {missed:?}");
    }
}

#[test]
fn a_server_that_never_answers_holds_up_nobody_and_its_sound_is_bounded() {
    for kind in [Kind::Vosk, Kind::Deepgram, Kind::OpenAi, Kind::Wyoming] {
        let world = World::hopeless(kind, vec![Manners::Mute; 200]);
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        let (sound, _) = reading(SECOND as usize);
        let mut first = 0;
        for _ in 0..10 {
            push(&mut *stream, first, &sound);
            first += sound.len() as u64;
            assert!(world.remote.stats().waiting_ms <= LEG_MAX * 1_000 / SECOND, "{:?}", world.remote.stats());
        }
        stream.finish();
        let all = all(&heard);
        assert!(finals(&all).is_empty() && !missed(&all).is_empty(), "{kind:?}: {all:?}");
        assert!(missed(&all).last().unwrap().end_ms > first / 16 - 3_000, "{kind:?}: to the end");
        assert_eq!(world.remote.stats().waiting_ms, 0);
    }
}

#[test]
fn a_server_that_talks_nonsense_is_left_and_tried_again() {
    for kind in Kind::ALL {
        let world = World::new(kind, [vec![Manners::Nonsense], vec![Manners::Fine; 20]].concat());
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        match kind {
            Kind::Vosk | Kind::Deepgram => push_numbers(&mut *stream, 0, 1..=3),
            Kind::OpenAi | Kind::Wyoming => push(&mut *stream, 0, &reading(SECOND as usize).0),
        }
        stream.finish();
        let all = all(&heard);
        assert!(!finals(&all).is_empty() && missed(&all).is_empty(), "{kind:?}: {all:?}");
        assert!(world.remote.stats().broken >= 1, "{kind:?}");
    }
}

#[test]
fn when_the_process_goes_down_the_last_word_is_still_said() {
    let world = World::hopeless(Kind::Vosk, vec![Manners::Mute]);
    let (told, heard) = ear();
    let mut stream = world.remote.open(leg(), told);
    push_numbers(&mut *stream, 0, 1..=3);
    world.runtime.block_on(world.fake.sound());
    world.runtime.shutdown_timeout(PATIENCE);
    assert_covered(&all(&heard), 0, 3_000);
    // Whoever still pushes is not held up.
    push_numbers(&mut *stream, 3, 4..=4);
}

#[test]
fn partials_grow_only_where_they_are_wanted() {
    for (kind, with_partials) in
        [(Kind::Vosk, true), (Kind::Vosk, false), (Kind::Deepgram, true), (Kind::Deepgram, false)]
    {
        let world = World::with(kind, vec![Manners::Fine], &format!("partials = {with_partials}"));
        let (told, heard) = ear();
        let mut stream = world.remote.open(leg(), told);
        push_numbers(&mut *stream, 0, 1..=5);
        stream.finish();
        let all = all(&heard);
        let partials = all.iter().filter(|heard| matches!(heard, Heard::Segment(s) if !s.is_final)).count();
        assert_eq!((partials > 0, numbers(&finals(&all))), (with_partials, (1..=5).collect()), "{kind:?}: {all:?}");
        if kind == Kind::Deepgram {
            assert!(world.fake.requests()[0].query.contains(&format!("interim_results={with_partials}")));
        }
    }
}

#[test]
fn a_whole_recording_is_written_down_over_the_same_protocol() {
    for kind in [Kind::Vosk, Kind::Deepgram] {
        let world = World::new(kind, vec![Manners::HangUpAfter(2), Manners::Fine]);
        let segments = world.remote.transcribe(&fake::numbers(1..=30), &leg()).unwrap();
        assert_eq!(numbers(&segments), (1..=30).collect::<Vec<_>>(), "{kind:?}");
    }
    for kind in [Kind::OpenAi, Kind::Wyoming] {
        let world = World::new(kind, vec![Manners::Fine; 20]);
        let (sound, places) = reading(SECOND as usize);
        let segments = world.remote.transcribe(&sound, &leg()).unwrap();
        assert_in_places(&segments, &places);
    }
    let nothing = World::new(Kind::Wyoming, vec![]).remote.transcribe(&vec![0; 16_000], &leg()).unwrap();
    assert_eq!(nothing, []);
}

#[test]
fn a_whole_recording_nobody_listens_to_is_an_error_that_says_why() {
    let gone = vec![Manners::HangUpAfter(0); 50];
    for (manners, says) in [(vec![], "refused"), (vec![Manners::Mute; 50], "did not answer"), (gone, "")] {
        let world = World::hopeless(Kind::Vosk, manners);
        let error = world.remote.transcribe(&fake::numbers(1..=2), &leg()).unwrap_err().to_string();
        assert!(error.starts_with("the speech recogniser vosk: ") && error.contains(says), "{error}");
        assert_eq!(world.remote.stats().wholes_failed, 1);
        assert_eq!(world.remote.stats().missed_ms, 0, "it is not a running call's");
    }
}

/// A recogniser, and the server it listens through.
struct World {
    remote: Remote,
    fake: Fake,
    runtime: Runtime,
}

impl World {
    /// A server that treats its connections so, one after the other, and listens no more after the last.
    fn new(kind: Kind, manners: Vec<Manners>) -> Self {
        Self::with(kind, manners, "")
    }

    fn with(kind: Kind, manners: Vec<Manners>, config: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let fake = runtime.block_on(Fake::start(kind, manners));
        let mut config: Config = toml::from_str(config).unwrap();
        config.url = fake.url().as_str().into();
        let key = matches!(kind, Kind::Deepgram | Kind::OpenAi).then(|| SecretString::from("k3y"));
        let mut server = Server::new(kind, &config, key).unwrap();
        server.patience = Patience {
            connect: Duration::from_secs(5),
            reply: Duration::from_secs(10),
            finish: PATIENCE,
            idle: Duration::from_secs(4),
            pause_min: Duration::from_millis(1),
            pause_max: Duration::from_millis(20),
        };
        let (handle, room) = (runtime.handle().clone(), Arc::new(Room::new(ALL_MAX)));
        let remote = Remote { server: Arc::new(server), runtime: handle, room, counters: Arc::default() };
        Self { remote, fake, runtime }
    }
}

impl World {
    /// With a server nothing good can come from.
    fn hopeless(kind: Kind, manners: Vec<Manners>) -> Self {
        let mut world = Self::new(kind, manners);
        let server = Arc::get_mut(&mut world.remote.server).unwrap();
        server.patience.reply = Duration::from_millis(100);
        server.patience.finish = Duration::from_millis(500);
        world
    }
}

fn leg() -> Leg {
    Leg { call: CallId::generate(), speaker: Side::Agent, language: Some("en".to_owned()) }
}

/// In blocks of 100 ms, as the tap does.
fn push(stream: &mut dyn Stream, first: u64, pcm: &[i16]) {
    for (i, block) in pcm.chunks(SECOND as usize / 10).enumerate() {
        stream.push(first + i as u64 * SECOND / 10, block);
    }
}

/// From this second of the call on.
fn push_numbers(stream: &mut dyn Stream, second: u64, numbers: std::ops::RangeInclusive<i16>) {
    push(stream, second * SECOND, &fake::numbers(numbers));
}

/// With their numbers in order and text in each.
#[track_caller]
fn finals(all: &[Heard]) -> Vec<Segment> {
    let segments = all.iter().filter_map(|heard| match heard {
        Heard::Segment(segment) if segment.is_final => Some(segment.clone()),
        _ => None,
    });
    let segments: Vec<Segment> = segments.collect();
    for (i, segment) in segments.iter().enumerate() {
        assert_eq!((segment.index, segment.speaker), (i as u32, Side::Agent), "{segments:?}");
        assert!(segment.start_ms < segment.end_ms && !segment.text.is_empty(), "{segment:?}");
    }
    segments
}

fn missed(all: &[Heard]) -> Vec<Unheard> {
    let missed = all.iter().filter_map(|heard| match heard {
        Heard::Missed(unheard) => Some(*unheard),
        _ => None,
    });
    missed.collect()
}

/// The words of all, as numbers.
fn numbers(segments: &[Segment]) -> Vec<i16> {
    segments.iter().flat_map(|s| s.text.split_whitespace()).map(|word| word.parse().unwrap()).collect()
}

/// What was missed is this stretch, in few pieces that do not overlap.
#[track_caller]
fn assert_covered(all: &[Heard], start_ms: u64, end_ms: u64) {
    let missed = missed(all);
    assert!(missed.len() <= 3, "{missed:?}");
    let mut at = start_ms;
    for unheard in &missed {
        assert_eq!(unheard.start_ms, at, "{missed:?}");
        at = unheard.end_ms;
    }
    assert_eq!(at, end_ms, "{missed:?}");
}

/// Each sentence is heard once, where it was said: the fake says how long the sound was.
#[track_caller]
fn assert_in_places(segments: &[Segment], places: &[(u64, u64)]) {
    assert!(segments.len() >= places.len(), "{segments:?}");
    let mut before = 0;
    for segment in segments {
        assert!(segment.start_ms >= before, "{segments:?}");
        before = segment.end_ms;
        let length: u64 = segment.text.strip_prefix("ms").unwrap().parse().unwrap();
        assert!(length.abs_diff(segment.end_ms - segment.start_ms) <= 1, "{segment:?}");
    }
    for (start, end) in places {
        let inside = segments.iter().filter(|s| s.start_ms + 500 > *start && s.end_ms < end + 500);
        let heard: u64 = inside.map(|s| s.end_ms - s.start_ms).sum();
        assert!(heard * 10 >= (end - start) * 8, "{start}–{end}: {segments:?}");
    }
}

/// Sentences read aloud, through a server that breaks.
#[track_caller]
fn check_sentences(world: &World) {
    let (told, heard) = ear();
    let mut stream = world.remote.open(leg(), told);
    let (sound, places) = reading(SECOND as usize);
    push(&mut *stream, 0, &sound);
    stream.finish();
    let all = all(&heard);
    assert_eq!(missed(&all), []);
    assert_in_places(&finals(&all), &places);
    let stats = world.remote.stats();
    assert!(stats.broken >= 1 && stats.resent_ms > 0 && stats.waiting_ms == 0, "{stats:?}");
}
