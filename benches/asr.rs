//! How well and how dearly the built-in recogniser hears: words wrong on each set of clips, clean, as G.711 and as Opus
//! with 5 % of the packets lost; CPU time for a second of sound; how late text is while two calls are spoken; memory.
//!
//! `cargo bench --bench asr [model folder] [clip folder…]`, clips are NAME.wav with NAME.txt beside it. Without folders:
//! `models/whisper-tiny.en`, LibriVox from Debian's `pocketsphinx-testdata`, and what `benches/speech.sh` brings.
//!
//! Instead of the model folder a recogniser that listens: `tcp://127.0.0.1:10300` (Wyoming) or `ws://127.0.0.1:2700`
//! (Vosk). Its words are counted; what it costs, it pays elsewhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tandem::asr::remote::Kind;
use tandem::asr::{Builtin, Config, Engine, Heard, Leg, Remote};
use tandem::audio::line::Line;
use tandem::audio::timeline::Timeline;
use tandem::model::id::CallId;
use tandem::model::rtp::{Side, TapPayload};
use tandem::model::time::Clock;
use tandem::model::transcript::Segment;
use tandem_loadtest::wer::{WordErrors, word_errors};

const LIBRIVOX: &str = "/usr/share/pocketsphinx/test/data/librivox";
const RATE: usize = 16_000;
const FRAME: usize = 320;

struct Clip {
    pcm: Vec<i16>,
    words: String,
}

fn main() {
    // Cargo itself passes `--bench`.
    let mut given = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from);
    let model = given.next().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models/whisper-tiny.en"));
    let mut folders: Vec<PathBuf> = given.collect();
    if folders.is_empty() {
        let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/speech");
        folders = vec![LIBRIVOX.into(), speech.join("dickens"), speech.join("synthetic")];
    }
    let sets: Vec<(String, Vec<Clip>)> = folders
        .iter()
        .map(|folder| (folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), clips(folder)))
        .filter(|(_, clips)| !clips.is_empty())
        .collect();
    assert!(!sets.is_empty(), "no clips: run benches/speech.sh, and apt-get install pocketsphinx-testdata");
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    if let Some(server) = server(&model, runtime.handle()) {
        println!("{}:", model.display());
        return accuracies(&server, &sets);
    }
    let config = Config { model, threads: 1, ..Config::default() };
    let engine = Builtin::load(&config).unwrap_or_else(|error| panic!("{error}"));
    println!("{}, one decode thread, memory {} MB:", config.model.display(), memory_mb("VmRSS"));
    accuracies(&engine, &sets);
    let speech: Vec<i16> = sets[0].1.iter().flat_map(|clip| clip.pcm.iter().copied().chain([0; RATE])).collect();
    let words: Vec<&str> = sets[0].1.iter().map(|clip| clip.words.as_str()).collect();
    live(&engine, &speech, &words.join(" "));
    println!("  peak memory {} MB; {:?}", memory_mb("VmHWM"), engine.stats());
}

/// The recogniser at this address, if it is one.
fn server(address: &Path, runtime: &tokio::runtime::Handle) -> Option<Remote> {
    let url = address.to_str()?;
    let kind = match url.split_once("://")?.0 {
        "tcp" => Kind::Wyoming,
        _ => Kind::Vosk,
    };
    let config = Config { url: url.into(), ..Config::default() };
    Some(Remote::new(kind, &config, None, runtime.clone()).unwrap_or_else(|error| panic!("{url}: {error}")))
}

type Change = fn(&[i16]) -> Vec<i16>;

fn accuracies(engine: &dyn Engine, sets: &[(String, Vec<Clip>)]) {
    let mut all = [WordErrors::default(); 3];
    for (name, clips) in sets {
        for (i, (how, changed)) in
            [("clean", clean as Change), ("G.711 µ-law", g711), ("Opus, 5 % lost", opus)].iter().enumerate()
        {
            all[i] += accuracy(engine, name, how, clips, *changed);
        }
    }
    println!(
        "  all sets: clean {:.1} %, G.711 {:.1} %, Opus with loss {:.1} % of {} words wrong",
        percent(all[0]),
        percent(all[1]),
        percent(all[2]),
        all[0].words
    );
}

fn accuracy(engine: &dyn Engine, set: &str, how: &str, clips: &[Clip], change: Change) -> WordErrors {
    let mut errors = WordErrors::default();
    let (before, mut seconds) = (cpu_seconds("asr"), 0.0);
    for clip in clips {
        let pcm = change(&clip.pcm);
        seconds += pcm.len() as f64 / RATE as f64;
        let segments = engine.transcribe(&pcm, &leg(Side::Customer)).expect("it listens");
        let heard: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        let found = word_errors(&clip.words, &heard.join(" "));
        if found.errors > 0 && std::env::var_os("SHOW").is_some() {
            println!("    said  {}\n    heard {}", clip.words.trim(), heard.join(" | "));
        }
        errors += found;
    }
    let cpu = (cpu_seconds("asr") - before) / seconds;
    println!(
        "  {set}, {how}: {:.1} % of {} words wrong; {seconds:.0} s of sound, {cpu:.2} s of CPU per second, full window",
        percent(errors),
        errors.words
    );
    errors
}

/// Two calls in real time, four legs; in each call one speaks and then the other. Nobody ever pauses for more than a breath.
fn live(engine: &Builtin, speech: &[i16], words: &str) {
    let told: Arc<Mutex<Vec<(usize, Segment, Instant)>>> = Arc::default();
    let mut legs: Vec<_> = (0..4)
        .map(|i| {
            let told = Arc::clone(&told);
            engine.open(
                leg(Side::Customer),
                Arc::new(move |_, heard| {
                    if let Heard::Segment(segment) = heard {
                        let mut told = told.lock().expect("nobody panics");
                        told.push((i, segment, Clock.instant()));
                    }
                }),
            )
        })
        .collect();
    let (half, silence) = (speech.len() / FRAME, [0; FRAME]);
    let (cpu, start) = (cpu_seconds("asr"), Clock.instant());
    for frame in 0..2 * half {
        let due = Duration::from_millis(frame as u64 * 20 + 20);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let spoken = &speech[frame % half * FRAME..][..FRAME];
        for (i, leg) in legs.iter_mut().enumerate() {
            // The second call is a few seconds ahead in the text.
            let ahead = &speech[(frame + i / 2 * 131) % half * FRAME..][..FRAME];
            let speaks = (frame < half) == (i % 2 == 0);
            leg.push((frame * FRAME) as u64, if speaks { if i < 2 { spoken } else { ahead } } else { &silence });
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds("asr") - cpu) / wall;
    legs.drain(..).for_each(|leg| leg.finish());
    while engine.stats().queued_jobs > 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = told.lock().expect("nobody panics");
    for (what, is_final) in [("partial", false), ("final", true)] {
        let mut late: Vec<u128> = told
            .iter()
            .filter(|(_, segment, _)| segment.is_final == is_final)
            .map(|(_, segment, at)| {
                at.saturating_duration_since(start + Duration::from_millis(segment.end_ms)).as_millis()
            })
            .collect();
        late.sort_unstable();
        let at = |share: usize| late.get((late.len() * share / 100).min(late.len().saturating_sub(1))).copied();
        println!(
            "  two live calls, {wall:.0} s: {} {what}s, told after their last sound by p50 {:?} ms, p90 {:?} ms, most {:?} ms",
            late.len(),
            at(50).unwrap_or(0),
            at(90).unwrap_or(0),
            at(100).unwrap_or(0)
        );
    }
    // The legs of the first call say the whole text once each.
    let errors: WordErrors = (0..2)
        .map(|leg| {
            let finals = told.iter().filter(|(i, segment, _)| *i == leg && segment.is_final);
            let heard: Vec<&str> = finals.map(|(_, segment, _)| segment.text.as_str()).collect();
            word_errors(words, &heard.join(" "))
        })
        .fold(WordErrors::default(), |mut sum, errors| {
            sum += errors;
            sum
        });
    println!(
        "  two live calls: {cpu:.2} cores, {:.1} % of {} words of the finals wrong",
        percent(errors),
        errors.words
    );
}

fn clips(folder: &Path) -> Vec<Clip> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    paths.sort();
    let transcription = std::fs::read_to_string(folder.join("transcription")).unwrap_or_default();
    let clips = paths.iter().filter_map(|path| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let beside = std::fs::read_to_string(path.with_extension("txt")).ok();
        // `<s> words </s> (name)`; one line has a slip.
        let listed = || {
            let line = transcription.lines().find(|line| line.ends_with(&format!("({name})")))?;
            let words = line.trim_start_matches("<s>").split("</s>").next()?;
            Some(words.replace("more a amiable", "more amiable"))
        };
        Some(Clip { pcm: wav(path), words: beside.or_else(listed)? })
    });
    clips.collect()
}

/// 16 kHz mono, or three times as much.
fn wav(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let pcm: Vec<f32> = match reader.spec().sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().map(|s| s.expect("a sample")).collect(),
        hound::SampleFormat::Int => {
            reader.samples::<i16>().map(|s| f32::from(s.expect("a sample")) / 32_768.0).collect()
        }
    };
    let pcm = match reader.spec().sample_rate {
        16_000 => pcm,
        48_000 => low_pass(&pcm, 3).into_iter().step_by(3).collect(),
        other => panic!("{}: {other} Hz", path.display()),
    };
    pcm.iter().map(|s| (s * 32_767.0) as i16).collect()
}

/// Lets through what is left of the band after keeping one sample of `factor`.
fn low_pass(pcm: &[f32], factor: usize) -> Vec<f32> {
    const REACH: i32 = 48;
    let taps: Vec<f32> = (-REACH..=REACH)
        .map(|i| {
            let x = std::f32::consts::PI * i as f32 / factor as f32;
            let window = (std::f32::consts::FRAC_PI_2 * i as f32 / (REACH + 1) as f32).cos().powi(2);
            window * if i == 0 { 1.0 } else { x.sin() / x } / factor as f32
        })
        .collect();
    let at = |i: i64| usize::try_from(i).ok().and_then(|i| pcm.get(i)).copied().unwrap_or(0.0);
    (0..pcm.len() as i64).map(|i| taps.iter().zip(i - i64::from(REACH)..).map(|(tap, j)| tap * at(j)).sum()).collect()
}

fn clean(pcm: &[i16]) -> Vec<i16> {
    pcm.to_vec()
}

/// 8 kHz, logarithmic 8 bit (ITU-T G.711), and back.
fn g711(pcm: &[i16]) -> Vec<i16> {
    let floats: Vec<f32> = pcm.iter().map(|s| f32::from(*s)).collect();
    let mut narrow = vec![0.0; pcm.len()];
    for (i, sample) in low_pass(&floats, 2).into_iter().enumerate().step_by(2) {
        // Doubled, because every other sample is none.
        narrow[i] = 2.0 * f32::from(companded(sample as i16));
    }
    low_pass(&narrow, 2).into_iter().map(|s| s as i16).collect()
}

fn companded(sample: i16) -> i16 {
    const BIAS: i32 = 0x84;
    let magnitude = (i32::from(sample).abs().min(32_635)) + BIAS;
    let shift = (31 - magnitude.leading_zeros()).saturating_sub(4);
    let kept = (magnitude >> (shift - 1) | 1) << (shift - 1);
    ((kept - BIAS) * i32::from(sample).signum()) as i16
}

/// WhatsApp's codec at 16 kbit/s with redundancy; one packet of twenty is lost, by a fixed pattern.
fn opus(pcm: &[i16]) -> Vec<i16> {
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).expect("an encoder");
    encoder.set_bitrate(opus::Bitrate::Bits(16_000)).expect("a bit rate");
    encoder.set_inband_fec(true).expect("redundancy");
    encoder.set_packet_loss_perc(5).expect("a loss");
    let opened = Clock.instant();
    let mut line = Timeline::new(opened);
    let mut random: u32 = 1;
    for (seq, frame) in pcm.chunks_exact(FRAME).enumerate() {
        let packet = TapPayload::new(&Arc::from(encoder.encode_vec(frame, 400).expect("a packet")));
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if random >> 16 >= 65_536 / 20 {
            let arrival = opened + Duration::from_millis(20 * seq as u64);
            line.handle_packet(seq as u64, (seq * 960) as u32, arrival, packet);
        }
        line.write_until((seq * FRAME) as i64 - 6_400);
    }
    line.finish(pcm.len() as i64);
    line.written().to_vec()
}

fn leg(speaker: Side) -> Leg {
    Leg { call: CallId::generate(), speaker, language: None }
}

fn percent(errors: WordErrors) -> f64 {
    100.0 * errors.rate()
}

fn memory_mb(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("memory");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("kB") / 1024
}

/// User and system time of this process's threads of that name, from /proc (ticks of 10 ms).
fn cpu_seconds(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.contains(&format!("({name})")))
        .filter_map(|stat| {
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            Some((fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?) / 100.0)
        })
        .sum()
}
