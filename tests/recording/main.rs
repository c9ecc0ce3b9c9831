//! The way of a call's sound from the ring to the disk, over the real threads and real files.

#![allow(clippy::unwrap_used, reason = "a test may; clippy's own exception ends at the functions tests call")]

mod packets;
mod sealed;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use rtrb::{Producer, RingBuffer};
use tandem::audio::{Block, Closed, Output, RATE_HZ, Stats};
use tandem::model::id::{CallId, RecordingId};
use tandem::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord};
use tandem::model::time::{Clock, Timestamp};
use tandem::record::{Format, Open, RecordEvent, Recorder, Reserve, Vault, path_of, repair};
use tandem::tap;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_call_becomes_a_file_with_each_voice_in_its_channel() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(dir.path());
    let path = house.record(1);
    let mut shard = Shard::start(house.ring, &[1]);
    shard.talk_until(Duration::from_millis(2_345));
    let length = shard.end();
    house.tap.stop();
    house.recorder.stop();

    let events: Vec<RecordEvent> = house.events.try_iter().collect();
    let [RecordEvent::Started { path: told, .. }, RecordEvent::Finished { finished, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*told, path);
    assert_eq!((finished.gaps, finished.parts), (0, 1));
    assert_eq!(finished.duration_ms, length.as_millis() as u64);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(finished.bytes, bytes.len() as u64);
    assert_eq!(finished.sha256, hex::encode(digest::digest(&digest::SHA256, &bytes)));
    let heard = read(&path);
    for (channel, hz, other) in [(0, CUSTOMER_HZ, AGENT_HZ), (1, AGENT_HZ, CUSTOMER_HZ)] {
        let pcm: Vec<i16> = heard[8_000..24_000].iter().map(|frame| frame[channel]).collect();
        assert!(share(&pcm, hz) > 0.8 && share(&pcm, other) < 0.02, "channel {channel}");
    }
}

#[test]
fn after_kill_9_every_recording_plays_and_ends_less_than_a_second_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Twin::run("twin_records_until_it_is_killed", dir.path(), &[]);
    let began = began(dir.path());
    let paths: Vec<PathBuf> = (0..CALLS_KILLED).map(|call| path_in(dir.path(), call, began, Format::Wav)).collect();
    // While it is written it can be opened at any time.
    wait(|| (length(&paths[0])? > Duration::from_secs(3)).then_some(()));
    let killed = Clock.now().wall.since(began);
    child.0.kill().unwrap();
    child.0.wait().unwrap();

    let mut worst = Duration::ZERO;
    for path in &paths {
        let heard = read(path);
        let length = length(path).unwrap();
        assert!(
            killed < length + Duration::from_secs(1),
            "{} ends {:?} before the kill",
            path.display(),
            killed - length
        );
        worst = worst.max(killed.saturating_sub(length));
        let last: Vec<i16> = heard[heard.len() - 4_000..].iter().map(|frame| frame[0]).collect();
        assert!(share(&last, CUSTOMER_HZ) > 0.8);
        let repaired = repair(path, &Vault::default()).unwrap();
        assert_eq!(repaired.duration_ms, self::length(path).unwrap().as_millis() as u64);
        assert!(repaired.duration_ms >= length.as_millis() as u64);
    }
    println!("{CALLS_KILLED} recordings end at most {} ms before the kill", worst.as_millis());
}

#[test]
fn a_full_disk_cuts_the_recording_and_nothing_else() {
    let full = tempfile::tempdir().unwrap();
    // Only root may mount one. The next test needs no rights: there the size limit of a file stands for the disk.
    let Some(_mounted) = Mounted::tmpfs(full.path()) else { return };
    records_until_the_disk_is_full(full.path());
}

#[test]
fn a_file_size_limit_cuts_the_recording_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"];
    let mut child = Twin::run("twin_records_until_the_disk_is_full", dir.path(), &limited);
    assert!(child.0.wait().unwrap().success(), "see the twin's output above");
}

#[test]
fn a_recording_that_cannot_begin_raises_the_alarm_and_the_tap_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(dir.path());
    let inlet = house.recorder.inlet();
    let path = dir.path().join("recordings/2026-11-22");
    std::fs::write(&path, "a file where the folder should be").unwrap();
    let (call, recording) = (CallId::generate(), RecordingId::generate());
    inlet.open(Open {
        consent: None,
        tap: TapKey(1),
        recording: recording.clone(),
        call,
        path: path.join("rec_1.wav"),
        started_at: Clock.now().wall,
    });
    assert!(inlet.take(second(1, 0)));
    assert!(inlet.take(closed(1, 16_000)));
    house.tap.stop();
    house.recorder.stop();
    let events: Vec<RecordEvent> = house.events.try_iter().collect();
    assert!(
        matches!(&events[..], [RecordEvent::Failed { recording: r, written_ms: 0, .. }] if *r == recording),
        "{events:?}"
    );
}

#[test]
fn sound_that_found_no_room_is_a_silent_hole_of_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(dir.path());
    let path = house.record(1);
    let inlet = house.recorder.inlet();
    for at in [0, 1, 4] {
        assert!(inlet.take(second(1, at)));
    }
    assert!(inlet.take(closed(1, 6 * 16_000)));
    house.tap.stop();
    house.recorder.stop();
    let heard = read(&path);
    assert_eq!(heard.len(), 6 * 16_000);
    for (second, frames) in heard.chunks(16_000).enumerate() {
        let want = if [0, 1, 4].contains(&second) { [second as i16 + 1, -5] } else { [0, 0] };
        assert!(frames.iter().all(|&frame| frame == want), "second {second}");
    }
    let finished = house.events.try_iter().find_map(|event| match event {
        RecordEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    assert_eq!(finished.unwrap().gaps, 2);
}

const CALLS_KILLED: u64 = 20;

/// Runs only when [`Twin`] asks for it: twenty calls talk until somebody kills this process.
#[test]
fn twin_records_until_it_is_killed() {
    let Some(dir) = Twin::asked() else { return };
    let house = House::start(&dir);
    let calls: Vec<u64> = (0..CALLS_KILLED).collect();
    for &call in &calls {
        house.record_at(call, Clock.now().wall);
    }
    let mut shard = Shard::start(house.ring, &calls);
    shard.silent_agents = true;
    say_when_it_began(&dir);
    shard.talk_until(PATIENCE);
    panic!("nobody killed this process");
}

/// For whoever waits in [`began`].
fn say_when_it_began(dir: &Path) {
    std::fs::write(dir.join("began.new"), Clock.now().wall.as_millis().to_string()).unwrap();
    std::fs::rename(dir.join("began.new"), dir.join("began")).unwrap();
}

/// When the twin's calls began.
fn began(dir: &Path) -> Timestamp {
    let file = dir.join("began");
    wait(|| file.exists().then_some(()));
    Timestamp::from_millis(std::fs::read_to_string(&file).unwrap().parse().unwrap())
}

fn path_in(dir: &Path, call: u64, began: Timestamp, format: Format) -> PathBuf {
    path_of(dir, &recording_id(call), began, format)
}

/// Runs only when [`Twin`] asks for it, with a limit on the size of files.
#[test]
fn twin_records_until_the_disk_is_full() {
    let Some(dir) = Twin::asked() else { return };
    records_until_the_disk_is_full(&dir);
}

/// `dir` holds about a megabyte: 16 s of sound.
fn records_until_the_disk_is_full(dir: &Path) {
    let house = House::start(dir);
    let path = house.record(1);
    let inlet = house.recorder.inlet();
    let failed = wait_while(
        || {
            house.events.try_iter().find_map(|event| match event {
                RecordEvent::Failed { error, written_ms, .. } => Some((error, written_ms)),
                _ => None,
            })
        },
        {
            let mut at = 0;
            move || {
                if at < 60 {
                    assert!(inlet.take(second(1, at)), "the disk's trouble reached the tap");
                    at += 1;
                }
            }
        },
    );
    let (error, written_ms) = failed;
    assert!(error.contains("No space") || error.contains("too large"), "{error}");
    assert!(written_ms >= 10_000, "{written_ms}");
    let heard = read(&path);
    assert_eq!(heard.len() as u64 / 16, written_ms);
    assert!(heard.iter().enumerate().all(|(at, frame)| *frame == [(at / 16_000) as i16 + 1, -5]));
    assert!(house.recorder.inlet().take(closed(1, 60 * 16_000)));
    house.tap.stop();
    house.recorder.stop();
    assert!(house.events.try_iter().next().is_none(), "Failed is the last word");
}

/// Tap and recorder joined as the gateway joins them.
struct House {
    ring: Producer<TapRecord>,
    tap: tap::Tap,
    orders: tap::Orders,
    recorder: Recorder,
    events: mpsc::Receiver<RecordEvent>,
    dir: PathBuf,
}

impl House {
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, Vault::default())
    }

    fn start_with(dir: &Path, vault: Vault) -> Self {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let recorder = Recorder::spawn_with(dir, vault, Reserve::of_disk(0), move |event| {
            drop(sender.lock().unwrap().send(event))
        })
        .unwrap();
        let inlet = recorder.inlet();
        let (ring, records) = RingBuffer::new(65_536);
        let tap = tap::spawn(vec![records], move |output| inlet.take(output)).unwrap();
        let orders = tap.orders();
        Self { ring, tap, orders, recorder, events, dir: dir.to_owned() }
    }

    fn record(&self, call: u64) -> PathBuf {
        self.record_at(call, Clock.now().wall)
    }

    fn record_at(&self, call: u64, wall: Timestamp) -> PathBuf {
        self.record_in(call, wall, Format::Wav)
    }

    fn record_as(&self, call: u64, format: Format) -> PathBuf {
        self.record_in(call, Clock.now().wall, format)
    }

    fn record_in(&self, call: u64, wall: Timestamp, format: Format) -> PathBuf {
        let recording = recording_id(call);
        let path = path_in(&self.dir, call, wall, format);
        self.orders.expect(TapKey(call), tap::Wants { samples: format == Format::Wav, frames: format == Format::Opus });
        self.recorder.inlet().open(Open {
            consent: None,
            tap: TapKey(call),
            recording,
            call: CallId::generate(),
            path: path.clone(),
            started_at: Clock.now().wall,
        });
        path
    }
}

fn recording_id(call: u64) -> RecordingId {
    RecordingId::parse(&format!("rec_{call}")).unwrap()
}

const CUSTOMER_HZ: f64 = 440.0;
const AGENT_HZ: f64 = 1_000.0;

/// Copies real packets of both parties of some calls into a ring, in real time.
struct Shard {
    ring: Producer<TapRecord>,
    calls: Vec<u64>,
    voices: [Vec<TapPayload>; 2],
    /// Of every second call nothing comes from the agent, so that its recording waits as long as it ever does.
    silent_agents: bool,
    start: Instant,
    packets: u64,
}

impl Shard {
    fn start(mut ring: Producer<TapRecord>, calls: &[u64]) -> Self {
        let voices = [voice(CUSTOMER_HZ), voice(AGENT_HZ)];
        let start = Clock.instant();
        for &call in calls {
            ring.push(TapRecord::Open { tap: TapKey(call), at: start }).unwrap();
        }
        Self { ring, calls: calls.to_vec(), voices, silent_agents: false, start, packets: 0 }
    }

    fn talk_until(&mut self, length: Duration) {
        loop {
            let at = Duration::from_millis(self.packets * 20);
            if at >= length {
                return;
            }
            std::thread::sleep(at.saturating_sub(self.start.elapsed()));
            for &call in &self.calls {
                for (side, voice) in [Side::Customer, Side::Agent].into_iter().zip(&self.voices) {
                    if side == Side::Agent && self.silent_agents && call % 2 == 1 {
                        continue;
                    }
                    let payload = voice[self.packets as usize % voice.len()].clone();
                    let (seq, rtp_time, arrival) = (self.packets, self.packets as u32 * 960, Clock.instant());
                    let media = TapMedia { tap: TapKey(call), side, seq, rtp_time, arrival, payload };
                    self.ring.push(TapRecord::Media(media)).unwrap();
                }
            }
            self.packets += 1;
        }
    }

    /// Closes the taps; the recordings' length.
    fn end(mut self) -> Duration {
        let at = Clock.instant();
        for &call in &self.calls {
            self.ring.push(TapRecord::Close { tap: TapKey(call), at }).unwrap();
        }
        at - self.start
    }
}

/// One second of a tone, which joins on to itself.
fn voice(hz: f64) -> Vec<TapPayload> {
    let mut encoder = opus::Encoder::new(RATE_HZ, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(24_000)).unwrap();
    (0..50)
        .map(|frame| {
            let tone = |i: i32| (f64::from(frame * 320 + i) / 16_000.0 * hz * std::f64::consts::TAU).sin();
            let pcm: Vec<i16> = (0..320).map(|i| (tone(i) * 9_000.0) as i16).collect();
            TapPayload::new(&Arc::from(encoder.encode_vec(&pcm, 400).unwrap()))
        })
        .collect()
}

/// A second of sound whose customer says its number.
fn second(tap: u64, at: u64) -> Output {
    let samples = vec![[at as i16 + 1, -5]; 16_000];
    Output::Block(Block { tap: TapKey(tap), first_sample: at * 16_000, samples })
}

fn closed(tap: u64, samples: u64) -> Output {
    Output::Closed(Closed { tap: TapKey(tap), stats: Stats { samples, ..Stats::default() }, pauses: Vec::new() })
}

fn read(path: &Path) -> Vec<[i16; 2]> {
    let wav = hound::WavReader::open(path).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate, wav.spec().bits_per_sample), (2, 16_000, 16));
    let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
    samples.as_chunks::<2>().0.to_vec()
}

/// What the file's header says it plays, `None` while there is no file.
fn length(path: &Path) -> Option<Duration> {
    path.exists().then(|| Duration::from_millis(u64::from(hound::WavReader::open(path).unwrap().duration()) / 16))
}

/// Share of the sound's power at `hz`.
fn share(pcm: &[i16], hz: f64) -> f64 {
    share_at(pcm, hz, 16_000.0)
}

fn share_at(pcm: &[i16], hz: f64, rate: f64) -> f64 {
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (i, &sample) in pcm.iter().enumerate() {
        let (s, phase) = (f64::from(sample), i as f64 / rate * hz * std::f64::consts::TAU);
        re += s * phase.cos();
        im += s * phase.sin();
        power += s * s;
    }
    2.0 * (re * re + im * im) / (power * pcm.len() as f64)
}

fn wait<T>(ready: impl FnMut() -> Option<T>) -> T {
    wait_while(ready, || ())
}

/// Does something again and again until what it waits for is there.
fn wait_while<T>(mut ready: impl FnMut() -> Option<T>, mut meanwhile: impl FnMut()) -> T {
    let start = Clock.instant();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        meanwhile();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// This test program again, in another process, running one of the twins above; killed when dropped.
struct Twin(Child);

impl Twin {
    const DIR: &'static str = "TANDEM_TEST_RECORD_INTO";

    fn run(twin: &str, dir: &Path, wrapper: &[&str]) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = match wrapper {
            [] => Command::new(&this),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(&this);
                command
            }
        };
        command.args(["--exact", twin, "--nocapture", "--test-threads=1"]).env(Self::DIR, dir);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn asked() -> Option<PathBuf> {
        std::env::var_os(Self::DIR).map(PathBuf::from)
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

/// A disk of one megabyte, where this user may mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _left_to_the_system = Command::new("umount").arg(&self.0).status();
    }
}
