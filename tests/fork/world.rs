//! A gateway's tap, recorder and forks as the gateway joins them, without calls; a worker; somebody who talks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtrb::{Producer, RingBuffer};
use tandem::app::forks::{self as joined, Booked, Books};
use tandem::asr;
use tandem::config::Config;
use tandem::fork::{Forks, Sockets};
use tandem::model::id::{CallId, RecordingId};
use tandem::model::recording::Consent;
use tandem::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord};
use tandem::model::time::Clock;
use tandem::record::{Finished, Format, Inlet, Open, RecordEvent, Recorder, Reserve, Vault, path_of};
use tandem::tap;
use tandem::worker::Worker;
use tokio::sync::mpsc;

use crate::program::{site_key, token_file};

pub(crate) const CUSTOMER_HZ: f64 = 440.0;
pub(crate) const AGENT_HZ: f64 = 1_000.0;

const PATIENCE: Duration = Duration::from_secs(60);

/// A worker in this process.
pub(crate) fn start_worker(dir: &Path) -> Worker {
    start_listening_worker(dir, None)
}

pub(crate) fn start_listening_worker(dir: &Path, engine: Option<Arc<dyn asr::Engine>>) -> Worker {
    Worker::start(&worker_config(dir), engine).unwrap()
}

pub(crate) fn worker_config(dir: &Path) -> Config {
    std::fs::create_dir_all(dir).unwrap();
    let mut config = Config::default();
    config.data.dir = dir.to_owned();
    config.worker.listen = "127.0.0.1:0".parse().unwrap();
    config.worker.token_file = token_file(dir);
    config.recording.signing_key_file = site_key(dir);
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
    config.recording.signing_key_file = site_key(dir);
    config
}

/// What a gateway's books say about calls; of those that are not named, that they run and are recorded.
pub(crate) type Said = Arc<Mutex<BTreeMap<CallId, Booked>>>;

fn books(said: &Said) -> Books {
    let said = Arc::clone(said);
    Arc::new(move |call| {
        let recording = RecordingId::parse(&call.as_str().replace("call", "rec")).unwrap();
        let usual = || Booked { recording: Some(recording), ..Booked::default() };
        let booked = said.lock().unwrap().get(&call).cloned().unwrap_or_else(usual);
        Box::pin(async move { Ok(Some(booked)) })
    })
}

pub(crate) struct Gateway {
    pub(crate) ring: Option<Producer<TapRecord>>,
    pub(crate) tap: tap::Tap,
    pub(crate) forks: Forks,
    recorder: Recorder,
    inlet: Inlet,
    events: mpsc::UnboundedReceiver<RecordEvent>,
    /// As the desk has it.
    pub(crate) ears: Option<asr::Inlet>,
    /// What was heard, by whomever.
    pub(crate) heard: Arc<Mutex<Vec<(asr::Leg, asr::Heard)>>>,
    pub(crate) vault: Vault,
    dir: PathBuf,
    format: Format,
}

impl Gateway {
    pub(crate) fn start(config: &Config) -> Self {
        Self::start_listening(config, None)
    }

    pub(crate) fn start_listening(config: &Config, engine: Option<Arc<dyn asr::Engine>>) -> Self {
        Self::start_knowing(config, engine, Said::default())
    }

    pub(crate) fn start_knowing(config: &Config, engine: Option<Arc<dyn asr::Engine>>, said: Said) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let vault = Vault::open(&config.recording, &config.data.dir).unwrap();
        let told: joined::Events = Arc::new(move |event| drop(sender.send(event)));
        let pieces = joined::Pieces::default();
        let recorder = Recorder::spawn_with(&config.data.dir, vault.clone(), Reserve::of_disk(0), {
            let (told, pieces) = (Arc::clone(&told), pieces.clone());
            move |event| {
                if let Some(event) = pieces.take(event) {
                    told(event);
                }
            }
        })
        .unwrap();
        let heard: Arc<Mutex<Vec<(asr::Leg, asr::Heard)>>> = Arc::default();
        let words = Arc::clone(&heard);
        let listener: asr::Listener =
            Arc::new(move |leg: &asr::Leg, said| words.lock().unwrap().push((leg.clone(), said)));
        let ears = engine.map(|engine| asr::Inlet::new(engine, None, Arc::clone(&listener)).unwrap());
        let neighbours = joined::Neighbours {
            recorder: recorder.inlet(),
            ears: ears.clone(),
            heard: listener,
            events: told,
            books: books(&said),
        };
        let forks = joined::start(config, neighbours, &pieces).unwrap().unwrap();
        let (ring, records) = RingBuffer::new(65_536);
        let (inlet, mut diverter) = (recorder.inlet(), forks.diverter(false));
        let divert = move |record: &TapRecord| diverter.divert(record);
        let ear = |ears: asr::Inlet| tap::Listener::new("recogniser", move |heard| ears.take(heard));
        let listeners = ears.clone().map(ear).into_iter().collect();
        let tap = tap::spawn_with(vec![records], divert, listeners, move |heard| inlet.take(heard)).unwrap();
        let ears = ears.map(|ears| ears.or_elsewhere(joined::ears_elsewhere(forks.clone())));
        let inlet = recorder.inlet().or_elsewhere(joined::elsewhere(Some(forks.clone()), None));
        let (dir, format) = (config.data.dir.clone(), config.recording.format);
        Self { ring: Some(ring), tap, forks, recorder, inlet, events, ears, heard, vault, dir, format }
    }

    pub(crate) fn record(&self, call: u64) -> PathBuf {
        let frames = self.format == Format::Opus;
        self.tap.orders().expect(TapKey(call), tap::Wants { samples: !frames, frames });
        record(&self.inlet, &self.dir, call, self.format, None)
    }

    /// The same of a call whose parties were told something.
    pub(crate) fn record_announced(&self, call: u64, consent: Consent) -> PathBuf {
        record(&self.inlet, &self.dir, call, self.format, Some(consent))
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
        record(&self.inlet, self.dir.path(), call, Format::Wav, None)
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

pub(crate) fn call_id(call: u64) -> CallId {
    CallId::parse(&format!("call_{call}")).unwrap()
}

/// As the desk begins a recording; where it will lie.
fn record(inlet: &Inlet, dir: &Path, call: u64, format: Format, consent: Option<Consent>) -> PathBuf {
    let (recording, started_at) = (RecordingId::parse(&format!("rec_{call}")).unwrap(), Clock.now().wall);
    let path = path_of(dir, &recording, started_at, format);
    inlet.open(Open { tap: TapKey(call), recording, call: call_id(call), path: path.clone(), started_at, consent });
    path
}

/// Copies real packets of both parties of some calls into a ring, in real time.
pub(crate) struct Shard {
    ring: Producer<TapRecord>,
    calls: Vec<u64>,
    pub(crate) voices: [Vec<TapPayload>; 2],
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

    /// Closes one call's tap.
    pub(crate) fn end_of(&mut self, call: u64) {
        self.calls.retain(|&other| other != call);
        self.ring.push(TapRecord::Close { tap: TapKey(call), at: Clock.instant() }).unwrap();
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

/// A recording of either format.
pub(crate) fn read(path: &Path) -> Vec<[i16; 2]> {
    read_with(&Vault::default(), path)
}

/// The same of one that is sealed.
pub(crate) fn read_with(vault: &Vault, path: &Path) -> Vec<[i16; 2]> {
    let ms = tandem::record::Sidecar::read(path).unwrap().duration_ms + 1;
    let side = |side| tandem::record::read_sound(path, vault, side, 0, ms).unwrap();
    std::iter::zip(side(Side::Customer), side(Side::Agent)).map(|(left, right)| [left, right]).collect()
}

/// How much of a sound is this tone, in the median window of 100 ms: the line may be moved a millisecond to follow a
/// clock, which turns the tone's phase.
pub(crate) fn tone(pcm: &[i16], hz: f64) -> f64 {
    tone_at(16_000, pcm, hz)
}

/// The same at another rate.
pub(crate) fn tone_at(rate: usize, pcm: &[i16], hz: f64) -> f64 {
    let mut shares: Vec<f64> = pcm.chunks_exact(rate / 10).map(|window| share(rate, window, hz)).collect();
    if shares.is_empty() {
        return share(rate, pcm, hz);
    }
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
