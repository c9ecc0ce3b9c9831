//! A gateway's tap, recorder and forks as the gateway joins them, without calls; a worker; somebody who talks.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtrb::{Producer, RingBuffer};
use tandem::app::forks as joined;
use tandem::config::Config;
use tandem::fork::{Forks, Sockets};
use tandem::model::id::{CallId, RecordingId};
use tandem::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord};
use tandem::model::time::Clock;
use tandem::record::{Finished, Inlet, Open, RecordEvent, Recorder, path_of};
use tandem::tap;
use tandem::worker::Worker;
use tokio::sync::mpsc;

pub(crate) const CUSTOMER_HZ: f64 = 440.0;
pub(crate) const AGENT_HZ: f64 = 1_000.0;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "correct horse battery staple";

/// A worker in this process.
pub(crate) fn start_worker(dir: &Path) -> Worker {
    Worker::start(&worker_config(dir)).unwrap()
}

fn worker_config(dir: &Path) -> Config {
    std::fs::create_dir_all(dir).unwrap();
    let mut config = Config::default();
    config.data.dir = dir.to_owned();
    config.worker.listen = "127.0.0.1:0".parse().unwrap();
    config.worker.token_file = token_file(dir);
    config
}

/// A gateway's, for that worker.
pub(crate) fn config(dir: &Path, worker: SocketAddr, fingerprint: &str) -> Config {
    let mut config = Config::default();
    config.data.dir = dir.join("gateway");
    std::fs::create_dir_all(&config.data.dir).unwrap();
    config.fork.workers = vec![worker.to_string()];
    config.fork.pins = vec![fingerprint.to_owned()];
    config.fork.token_file = token_file(dir);
    config
}

fn token_file(dir: &Path) -> PathBuf {
    let path = dir.join("token");
    std::fs::write(&path, TOKEN).unwrap();
    path
}

pub(crate) fn token() -> String {
    TOKEN.to_owned()
}

pub(crate) struct Gateway {
    pub(crate) ring: Option<Producer<TapRecord>>,
    pub(crate) tap: tap::Tap,
    pub(crate) forks: Forks,
    recorder: Recorder,
    inlet: Inlet,
    events: mpsc::UnboundedReceiver<RecordEvent>,
    dir: PathBuf,
}

impl Gateway {
    pub(crate) fn start(config: &Config) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let told: joined::Events = Arc::new(move |event| drop(sender.send(event)));
        let pieces = joined::Pieces::default();
        let recorder = Recorder::spawn(&config.data.dir, {
            let (told, pieces) = (Arc::clone(&told), pieces.clone());
            move |event| {
                if let Some(event) = pieces.take(event) {
                    told(event);
                }
            }
        })
        .unwrap();
        let forks = joined::start(config, recorder.inlet(), told, &pieces).unwrap().unwrap();
        let (ring, records) = RingBuffer::new(65_536);
        let (inlet, mut diverter) = (recorder.inlet(), forks.diverter(false));
        let divert = move |record: &TapRecord| diverter.divert(record);
        let tap = tap::spawn_diverted(vec![records], divert, move |heard| inlet.take(heard)).unwrap();
        let inlet = recorder.inlet().or_elsewhere(joined::elsewhere(Some(forks.clone()), None));
        Self { ring: Some(ring), tap, forks, recorder, inlet, events, dir: config.data.dir.clone() }
    }

    pub(crate) fn record(&self, call: u64) -> PathBuf {
        record(&self.inlet, &self.dir, call)
    }

    /// The next word about a recording but that it began.
    pub(crate) async fn event(&mut self) -> RecordEvent {
        loop {
            let event =
                tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("no word of a recording").unwrap();
            if !matches!(event, RecordEvent::Started { .. }) {
                return event;
            }
        }
    }

    pub(crate) async fn finished(&mut self) -> Finished {
        match self.event().await {
            RecordEvent::Finished { finished, .. } => *finished,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn stop(self) {
        let (tap, recorder) = (self.tap, self.recorder);
        tokio::task::spawn_blocking(move || tap.stop()).await.unwrap();
        self.forks.stop().await;
        tokio::task::spawn_blocking(move || recorder.stop()).await.unwrap();
    }

    /// As a crash would: no call is closed, the worker hears nothing more.
    pub(crate) fn die(self) {
        self.forks.abandon();
    }
}

/// A gateway whose calls only listeners and its own recorder hear.
pub(crate) struct Talker {
    pub(crate) ring: Option<Producer<TapRecord>>,
    pub(crate) tap: tap::Tap,
    pub(crate) sockets: Sockets,
    recorder: Recorder,
    inlet: Inlet,
    dir: tempfile::TempDir,
}

impl Talker {
    /// `text`: its `[fork]`, which must name a listener.
    pub(crate) fn start(text: &str) -> Self {
        #[derive(serde::Deserialize)]
        struct File {
            fork: tandem::fork::Config,
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data.dir = dir.path().to_owned();
        config.fork = toml::from_str::<File>(text).unwrap().fork;
        assert!(config.fork.errors().is_empty());
        let recorder = Recorder::spawn(dir.path(), |_| ()).unwrap();
        let sockets = joined::sockets(&config).unwrap();
        let (ring, records) = RingBuffer::new(65_536);
        let (inlet, listeners) = (recorder.inlet(), sockets.clone());
        let sink = move |heard| {
            listeners.take(&heard);
            inlet.take(heard)
        };
        let tap = tap::spawn(vec![records], sink).unwrap();
        let inlet = recorder.inlet().or_elsewhere(joined::elsewhere(None, Some(sockets.clone())));
        Self { ring: Some(ring), tap, sockets, recorder, inlet, dir }
    }

    pub(crate) fn record(&self, call: u64) -> PathBuf {
        record(&self.inlet, self.dir.path(), call)
    }

    /// Its folder, with the recordings.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        let (tap, recorder) = (self.tap, self.recorder);
        let stopped = tokio::task::spawn_blocking(move || {
            tap.stop();
            recorder.stop();
        });
        stopped.await.unwrap();
        self.dir
    }
}

/// As the desk begins a recording; where it will lie.
fn record(inlet: &Inlet, dir: &Path, call: u64) -> PathBuf {
    let recording = RecordingId::parse(&format!("rec_{call}")).unwrap();
    let path = path_of(dir, &recording, Clock.now().wall);
    inlet.open(Open { tap: TapKey(call), recording, call: CallId::generate(), path: path.clone() });
    path
}

/// `tandem worker` as a process of its own, which can be killed.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: String,
}

impl Program {
    /// `port` 0: any.
    pub(crate) fn start(dir: &Path, port: u16) -> Self {
        let config = worker_config(dir);
        let (token, data) = (config.worker.token_file.display().to_string(), dir.display().to_string());
        let file = dir.join("worker.toml");
        let text = format!("[worker]\nlisten = '127.0.0.1:{port}'\ntoken_file = '{token}'\n[data]\ndir = '{data}'\n");
        std::fs::write(&file, text).unwrap();
        let log = dir.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.arg("worker").arg("--config").arg(&file).env("TANDEM_LOG_FORMAT", "json").stdout(Stdio::null());
        let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut starting = Self { child, address: "127.0.0.1:0".parse().unwrap(), fingerprint: String::new() };
        let begun = Clock.instant();
        loop {
            let told = std::fs::read_to_string(&log).unwrap();
            if let Some(line) = told.lines().find(|line| line.contains("the worker is ready")) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                starting.address = line["fields"]["address"].as_str().unwrap().parse().unwrap();
                starting.fingerprint = line["fields"]["pin"].as_str().unwrap().to_owned();
                return starting;
            }
            assert!(begun.elapsed() < PATIENCE, "the worker does not start: {told}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// Copies real packets of both parties of some calls into a ring, in real time.
pub(crate) struct Shard {
    ring: Producer<TapRecord>,
    calls: Vec<u64>,
    voices: [Vec<TapPayload>; 2],
    start: Instant,
    packets: u64,
}

impl Shard {
    pub(crate) fn start(ring: Producer<TapRecord>, calls: &[u64]) -> Self {
        let voices = [voice(CUSTOMER_HZ), voice(AGENT_HZ)];
        let mut shard = Self { ring, calls: Vec::new(), voices, start: Clock.instant(), packets: 0 };
        for &call in calls {
            shard.begin(call);
        }
        shard
    }

    pub(crate) fn begin(&mut self, call: u64) {
        self.ring.push(TapRecord::Open { tap: TapKey(call), at: Clock.instant() }).unwrap();
        self.calls.push(call);
    }

    pub(crate) async fn talk_for(mut self, length: Duration) -> Self {
        let talk = tokio::task::spawn_blocking(move || {
            let until = self.packets + length.as_millis() as u64 / 20;
            while self.packets < until {
                std::thread::sleep(Duration::from_millis(self.packets * 20).saturating_sub(self.start.elapsed()));
                self.say();
            }
            self
        });
        talk.await.unwrap()
    }

    fn say(&mut self) {
        for &call in &self.calls {
            for (side, voice) in [Side::Customer, Side::Agent].into_iter().zip(&self.voices) {
                let payload = voice[self.packets as usize % voice.len()].clone();
                // Near the wrap of both counters.
                let (seq, rtp_time) = (65_500 + self.packets, (self.packets as u32 * 960).wrapping_sub(9_600));
                let media = TapMedia { tap: TapKey(call), side, seq, rtp_time, arrival: Clock.instant(), payload };
                self.ring.push(TapRecord::Media(media)).unwrap();
            }
        }
        self.packets += 1;
    }

    pub(crate) fn length(&self) -> Duration {
        self.start.elapsed()
    }

    /// Closes the taps; the length of those that began first.
    pub(crate) fn end(mut self) -> Duration {
        let at = Clock.instant();
        for &call in &self.calls {
            self.ring.push(TapRecord::Close { tap: TapKey(call), at }).unwrap();
        }
        at - self.start
    }
}

/// One second of a tone, which joins on to itself.
pub(crate) fn voice(hz: f64) -> Vec<TapPayload> {
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(24_000)).unwrap();
    (0..50)
        .map(|frame| {
            let tone = |i: i32| (f64::from(frame * 320 + i) / 16_000.0 * hz * std::f64::consts::TAU).sin();
            let pcm: Vec<i16> = (0..320).map(|i| (tone(i) * 9_000.0) as i16).collect();
            TapPayload::new(&Arc::from(encoder.encode_vec(&pcm, 400).unwrap()))
        })
        .collect()
}

pub(crate) fn read(path: &Path) -> Vec<[i16; 2]> {
    let wav = hound::WavReader::open(path).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate, wav.spec().bits_per_sample), (2, 16_000, 16));
    let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
    samples.as_chunks::<2>().0.to_vec()
}

/// How much of a sound is this tone, in the median window of 100 ms: the line may be moved a millisecond to follow a
/// clock, which turns the tone's phase.
pub(crate) fn tone(pcm: &[i16], hz: f64) -> f64 {
    tone_at(16_000, pcm, hz)
}

/// The same at another rate.
pub(crate) fn tone_at(rate: usize, pcm: &[i16], hz: f64) -> f64 {
    let mut shares: Vec<f64> = pcm.chunks_exact(rate / 10).map(|window| share(rate, window, hz)).collect();
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

/// Share of the sound's power at `hz`.
fn share(rate: usize, pcm: &[i16], hz: f64) -> f64 {
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (i, &sample) in pcm.iter().enumerate() {
        let (s, phase) = (f64::from(sample), i as f64 / rate as f64 * hz * std::f64::consts::TAU);
        re += s * phase.cos();
        im += s * phase.sin();
        power += s * s;
    }
    2.0 * (re * re + im * im) / (power * pcm.len() as f64)
}

/// Recordings that lie beneath a folder.
pub(crate) fn wav_files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(
            |path| if path.is_dir() { wav_files(&path) } else { usize::from(path.extension() == Some("wav".as_ref())) },
        )
        .sum()
}

/// Waits for what other threads bring about.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Clock.instant();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let logs = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone());
        tracing::subscriber::set_default(logs.finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
