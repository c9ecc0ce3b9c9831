//! What recording costs in either format, as it is, signed (a chain of digests), and sealed besides: 100 calls in real time
//! through the tap and onto the disk, and the CPU time of each thread. In the end the same with the built-in recogniser
//! listening (`make model`): the thread that looks for speech is what the tap's own is spared.
//!
//! `cargo bench --bench recording [calls] [seconds]`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rtrb::RingBuffer;
use tandem::asr::{self, Builtin};
use tandem::model::id::{CallId, RecordingId};
use tandem::model::rtp::{Route, Side, TapKey, TapMedia, TapPayload, TapRecord};
use tandem::model::time::Clock;
use tandem::record::{Config, Format, Open, RecordEvent, Recorder, Reserve, Vault, generate_key, path_of};
use tandem::tap::{self, Wants};

fn main() {
    // Cargo itself passes `--bench`.
    let given = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let mut args = given.map(|arg| arg.parse::<u64>().expect("numbers: calls, seconds"));
    let (calls, seconds) = (args.next().unwrap_or(100), args.next().unwrap_or(20));
    for format in [Format::Wav, Format::Opus] {
        let bare = record(calls, seconds, format, Kept::AsItIs, None);
        for kept in [Kept::Signed, Kept::SignedAndSealed] {
            let ratio = record(calls, seconds, format, kept, None) / bare;
            println!("  {ratio:.2} times the record thread's CPU without");
        }
    }
    let engine = Builtin::load(&asr::Config { threads: 1, partials: false, ..asr::Config::default() });
    let engine = Arc::new(engine.expect("a model: `make model` brings it"));
    let ears = asr::Inlet::new(engine, None, Arc::new(|_: &asr::Leg, _| ())).expect("a thread");
    record(calls, seconds, Format::Wav, Kept::AsItIs, Some(ears));
}

/// How recordings are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    AsItIs,
    Signed,
    SignedAndSealed,
}

impl Kept {
    fn vault(self, dir: &Path) -> Vault {
        let key = dir.join("sealing.key");
        std::fs::write(&key, generate_key()).expect("a key file");
        let mut config = Config { signed: self != Self::AsItIs, ..Config::default() };
        if self == Self::SignedAndSealed {
            config.encryption_key_file = key;
        }
        Vault::open(&config, dir).expect("keys")
    }
}

/// Seconds of CPU of the record thread.
fn record(calls: u64, seconds: u64, format: Format, kept: Kept, ears: Option<asr::Inlet>) -> f64 {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let recorder = Recorder::spawn_with(dir.path(), kept.vault(dir.path()), Reserve::of_disk(0), |event| {
        if let RecordEvent::Failed { error, .. } = event {
            eprintln!("failed: {error}");
        }
    })
    .expect("a recorder");
    let (mut ring, records) = RingBuffer::new(65_536);
    let inlet = recorder.inlet();
    let listening = ears.clone().map(|ears| tap::Listener::new("recogniser", move |heard| ears.take(heard)));
    let listeners = listening.into_iter().collect();
    let tap =
        tap::spawn_with(vec![records], |_| Route::Here, listeners, move |heard| inlet.take(heard)).expect("a tap");

    let orders = tap.orders();
    let start = Clock.now();
    for call in 0..calls {
        let (tap, recording) = (TapKey(call), RecordingId::generate());
        let path = path_of(dir.path(), &recording, start.wall, format);
        let (samples, frames) = (format == Format::Wav, format == Format::Opus);
        orders.expect(tap, Wants { samples, frames });
        let call = CallId::generate();
        if let Some(ears) = &ears {
            ears.open(tap, &call);
        }
        recorder.inlet().open(Open { tap, recording, call, path, started_at: start.wall, consent: None });
        ring.push(TapRecord::Open { tap, at: start.at }).expect("room");
    }
    let voice = voice();
    let mut dropped = 0;
    for packet in 0..seconds * 50 {
        std::thread::sleep(Duration::from_millis(packet * 20).saturating_sub(start.at.elapsed()));
        for call in 0..calls {
            for side in [Side::Customer, Side::Agent] {
                let payload = voice[(packet + call) as usize % voice.len()].clone();
                let (seq, rtp_time, arrival) = (packet, packet as u32 * 960, Clock.instant());
                let media = TapMedia { tap: TapKey(call), side, seq, rtp_time, arrival, payload };
                dropped += u64::from(ring.push(TapRecord::Media(media)).is_err());
            }
        }
    }
    let wall = start.at.elapsed().as_secs_f64();
    let (tap_cpu, record_cpu) = (cpu_seconds("tap"), cpu_seconds("record"));
    println!("{format}, {kept:?}: {calls} calls for {wall:.1} s, both voices written:");
    println!(
        "  tap thread    {:.1} % of a core, {:.2} ms of CPU per call and second",
        100.0 * tap_cpu / wall,
        1e3 * tap_cpu / wall / calls as f64
    );
    println!(
        "  record thread {:.1} % of a core, {:.2} ms of CPU per call and second",
        100.0 * record_cpu / wall,
        1e3 * record_cpu / wall / calls as f64
    );
    if let Some(ears) = &ears {
        let cpu = cpu_seconds("ears");
        println!(
            "  ears thread   {:.1} % of a core, {:.2} ms of CPU per call and second; {:?}",
            100.0 * cpu / wall,
            1e3 * cpu / wall / calls as f64,
            ears.stats()
        );
    }
    println!("  packets that found the ring full: {dropped}; {:?}; {:?}", tap.stats(), recorder.stats());
    drop(ring);
    let ending = Clock.instant();
    tap.stop();
    recorder.stop();
    println!("  all files finished and digested in {} ms", ending.elapsed().as_millis());
    record_cpu
}

/// Ten seconds of a buzz that swells and fades as syllables do, at WhatsApp's rate with redundancy.
fn voice() -> Vec<TapPayload> {
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).expect("an encoder");
    encoder.set_bitrate(opus::Bitrate::Bits(20_000)).expect("a bit rate");
    encoder.set_inband_fec(true).expect("redundancy");
    encoder.set_packet_loss_perc(10).expect("a loss");
    (0..500)
        .map(|frame| {
            let pcm: Vec<i16> = (0..320)
                .map(|i| {
                    let t = f64::from(frame * 320 + i) / 16_000.0;
                    let harmonic = |h: i32| (t * 140.0 * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h);
                    ((1..12).map(harmonic).sum::<f64>() * 6_000.0 * (t * 4.0 * std::f64::consts::PI).sin().abs()) as i16
                })
                .collect();
            TapPayload::new(&Arc::from(encoder.encode_vec(&pcm, 400).expect("a packet")))
        })
        .collect()
}

/// User and system time of this process's thread of that name, from /proc (ticks of 10 ms).
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
