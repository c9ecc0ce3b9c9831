//! What a forked call costs the gateway: 200 calls in real time over QUIC to a worker in another process, which decodes
//! and records them. Nothing is decoded here.
//!
//! `cargo bench --bench fork [calls] [seconds]`

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtrb::RingBuffer;
use tandem::app::forks;
use tandem::config::Config;
use tandem::model::id::{CallId, RecordingId};
use tandem::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord};
use tandem::model::time::Clock;
use tandem::record::{Format, Open, RecordEvent, Recorder, path_of};
use tandem::tap;
use tandem::worker::Worker;

/// Set in the process that plays the worker: its folder.
const WORKER: &str = "TANDEM_BENCH_WORKER";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_name("quic").enable_all().build().expect("threads");
    if let Some(dir) = std::env::var_os(WORKER) {
        return runtime.block_on(work(Path::new(&dir)));
    }
    // Cargo itself passes `--bench`.
    let given = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let mut args = given.map(|arg| arg.parse::<u64>().expect("numbers: calls, seconds"));
    let (calls, seconds) = (args.next().unwrap_or(200), args.next().unwrap_or(15));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let this = std::env::current_exe().expect("this program");
    let mut worker = Command::new(this);
    worker.env(WORKER, dir.path().join("worker")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = worker.spawn().expect("the worker");
    let mut told = BufReader::new(worker.stdout.take().expect("piped")).lines();
    let mut next = || told.next().expect("a line").expect("text");
    let (address, pin) = (next(), next());

    let mut config = Config::default();
    config.data.dir = dir.path().join("gateway");
    std::fs::create_dir_all(&config.data.dir).expect("a folder");
    (config.fork.workers, config.fork.pins) = (vec![address], vec![pin]);
    config.fork.token_file = token(dir.path());
    let finished = Arc::new(AtomicU64::new(0));
    let events: forks::Events = Arc::new({
        let finished = Arc::clone(&finished);
        move |event| match event {
            RecordEvent::Finished { .. } => drop(finished.fetch_add(1, Ordering::Relaxed)),
            other => eprintln!("{other:?}"),
        }
    });
    let recorder = Recorder::spawn(&config.data.dir, |_| ()).expect("a recorder");
    let pieces = forks::Pieces::default();
    let forks = runtime
        .block_on(async {
            let (recorder, heard) = (recorder.inlet(), Arc::new(|_: &_, _| ()));
            forks::start(&config, forks::Neighbours { recorder, ears: None, heard, events }, &pieces)
        })
        .expect("forks")
        .expect("a worker is set");
    let (mut ring, records) = RingBuffer::new(65_536);
    let (inlet, mut diverter) = (recorder.inlet(), forks.diverter(false));
    let divert = move |record: &TapRecord| diverter.divert(record);
    let tap = tap::spawn_with(vec![records], divert, Vec::new(), move |heard| inlet.take(heard)).expect("a tap");
    while forks.stats().connected == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }

    let before = (cpu_seconds("tap"), cpu_seconds("quic"));
    let start = Clock.now();
    let inlet = recorder.inlet().or_elsewhere(forks::elsewhere(Some(forks.clone()), None));
    for call in 0..calls {
        let (tap, recording) = (TapKey(call), RecordingId::generate());
        let path: PathBuf = path_of(&config.data.dir, &recording, start.wall, Format::Wav);
        inlet.open(Open { tap, recording, call: CallId::generate(), path, started_at: start.wall, consent: None });
        ring.push(TapRecord::Open { tap, at: start.at }).expect("room");
    }
    let voice = voice();
    let mut not_copied = 0;
    let mut queued = 0;
    for packet in 0..seconds * 50 {
        std::thread::sleep(Duration::from_millis(packet * 20).saturating_sub(start.at.elapsed()));
        for call in 0..calls {
            for side in [Side::Customer, Side::Agent] {
                let payload = voice[(packet + call) as usize % voice.len()].clone();
                let (seq, rtp_time, arrival) = (packet, packet as u32 * 960, Clock.instant());
                let media = TapMedia { tap: TapKey(call), side, seq, rtp_time, arrival, payload };
                not_copied += u64::from(ring.push(TapRecord::Media(media)).is_err());
            }
        }
        queued = forks.stats().queued_bytes.max(queued);
    }
    let wall = start.at.elapsed().as_secs_f64();
    let (tap_cpu, quic_cpu) = (cpu_seconds("tap") - before.0, cpu_seconds("quic") - before.1);
    let stats = forks.stats();
    let per_packet = |cpu: f64| 1e6 * cpu / stats.packets as f64;
    println!("{calls} calls for {wall:.1} s, both voices sent to a worker on loopback, {} packets:", stats.packets);
    println!(
        "  gateway, tap thread   {:.1} % of a core, {:.2} µs of CPU per packet",
        100.0 * tap_cpu / wall,
        per_packet(tap_cpu)
    );
    println!(
        "  gateway, QUIC threads {:.1} % of a core, {:.2} µs of CPU per packet",
        100.0 * quic_cpu / wall,
        per_packet(quic_cpu)
    );
    println!("  packets dropped {}, not copied {not_copied}, most bytes waiting {queued}; {stats:?}", stats.dropped);
    let at = Clock.instant();
    for call in 0..calls {
        ring.push(TapRecord::Close { tap: TapKey(call), at }).expect("room");
    }
    while finished.load(Ordering::Relaxed) < calls {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("  all recordings back and verified after {} ms", at.elapsed().as_millis());
    drop(ring);
    tap.stop();
    runtime.block_on(forks.stop());
    drop(worker.stdin.take());
    println!("  worker: {}", next());
    worker.wait().expect("the worker ends");
}

/// The other process: a worker until its standard input ends.
async fn work(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a folder");
    let mut config = Config::default();
    config.data.dir = dir.to_owned();
    config.worker.listen = "127.0.0.1:0".parse().expect("an address");
    config.worker.token_file = token(dir);
    let worker = Worker::start(&config, None).expect("a worker");
    println!("{}\n{}", worker.address(), worker.fingerprint());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    ended.await.expect("standard input");
    println!("{:?}, {:.1} s of CPU in the tap", worker.stats(), cpu_seconds("tap"));
    worker.stop().await;
}

fn token(dir: &Path) -> PathBuf {
    let path = dir.join("token");
    std::fs::write(&path, "only on this machine").expect("a file");
    path
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
