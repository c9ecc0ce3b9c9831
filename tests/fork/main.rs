//! Calls forked to a worker over QUIC, judged by what is heard in the recordings that come back.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails there")]

mod deliveries;
mod ears;
mod hostile;
mod keys;
mod listener;
mod program;
mod receiver;
mod world;

use std::time::Duration;

use program::Program;
use tandem::model::recording::Pause;
use tandem::model::rtp::TapKey;
use tandem::record::{Format, RecordEvent, Sidecar};
use world::{AGENT_HZ, CUSTOMER_HZ, Gateway, Log, Shard, config, read, start_worker, tone, until, voice};

const PAUSED_HZ: f64 = 1_700.0;
const AFTER_HZ: f64 = 2_500.0;

#[tokio::test(flavor = "multi_thread")]
async fn both_voices_of_two_calls_come_back_from_a_worker_and_the_gateway_decodes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(&dir.path().join("worker"));
    let mut gateway = Gateway::start(&config(dir.path(), worker.address(), worker.fingerprint()));
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let paths = [gateway.record(1), gateway.record(2)];
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1, 2]);
    shard = shard.talk_for(Duration::from_secs(3)).await;
    let length = shard.end();
    for _ in 0..2 {
        let finished = gateway.finished().await;
        assert_eq!((finished.gaps, finished.parts), (0, 1));
        is_long(finished.duration_ms, length);
    }
    for path in paths {
        let heard = read(&path);
        is_long(heard.len() as u64 / 16, length);
        // The first 300 ms hold the decoders' beginning.
        for (channel, hz) in [(0, CUSTOMER_HZ), (1, AGENT_HZ)] {
            let pcm: Vec<i16> = heard[4_800..40_000].iter().map(|frame| frame[channel]).collect();
            assert!(tone(&pcm, hz) > 0.7, "channel {channel}: {}", tone(&pcm, hz));
        }
    }
    let (fork, tap) = (gateway.forks.stats(), gateway.tap.stats());
    assert_eq!((fork.dropped, fork.delivered, fork.moved, fork.fallbacks), (0, 2, 0, 0));
    assert_eq!(fork.packets, 2 * 2 * 150);
    assert_eq!((tap.blocks, tap.strays, tap.diverted), (0, 0, fork.packets + 4));
    until("the worker's copies are gone", || worker.stats().waiting == 0).await;
    assert_eq!((worker.stats().delivered, worker.stats().malformed, worker.stats().strays), (2, 0, 0));
    assert_eq!(world::wav_files(&dir.path().join("worker")), 0);
    gateway.stop().await;
    worker.stop().await;
}

/// Three tones follow each other, the second one while paused: it is nowhere, and the silence is where it is told to be.
async fn pause(format: Format) {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(&dir.path().join("worker"));
    let mut config = config(dir.path(), worker.address(), worker.fingerprint());
    config.recording.format = format;
    let mut gateway = Gateway::start(&config);
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let path = gateway.record(1);
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1]);
    let orders = gateway.tap.orders();
    shard = shard.talk_for(Duration::from_millis(1_000)).await;
    orders.pause(TapKey(1));
    shard.voices = [voice(PAUSED_HZ), voice(PAUSED_HZ)];
    shard = shard.talk_for(Duration::from_millis(1_500)).await;
    until("the tap has read the pause", || gateway.tap.stats().records == 1 + 2 * 125).await;
    let sent = gateway.forks.stats();
    orders.resume(TapKey(1));
    shard.voices = [voice(AFTER_HZ), voice(AFTER_HZ)];
    shard = shard.talk_for(Duration::from_millis(1_000)).await;
    let length = shard.end();
    let finished = gateway.finished().await;

    // What was copied before the order was given had been said before.
    assert!(sent.packets <= 2 * 51 && sent.withheld >= 2 * 74, "{sent:?}");
    until("the worker has all", || worker.stats().packets == gateway.forks.stats().packets).await;
    assert_eq!((finished.gaps, finished.pauses.len()), (0, 1), "{finished:?}");
    let Pause { from_ms, to_ms: Some(to_ms) } = finished.pauses[0] else { panic!("{finished:?}") };
    assert!((970..1_100).contains(&from_ms) && (1_480..1_900).contains(&(to_ms - from_ms)), "{finished:?}");
    let heard = read(&path);
    is_long(heard.len() as u64 / 16, length);
    for channel in [0, 1] {
        let pcm: Vec<i16> = heard.iter().map(|frame| frame[channel]).collect();
        let said = |hz: f64| pcm.chunks_exact(320).filter(|frame| loud(frame) && tone(frame, hz) > 0.5).count();
        let before = [CUSTOMER_HZ, AGENT_HZ][channel];
        assert_eq!(said(PAUSED_HZ), 0, "channel {channel}");
        assert!(said(before) > 35 && said(AFTER_HZ) > 35, "{} {}", said(before), said(AFTER_HZ));
        // A decoder goes over from sound to silence in some milliseconds.
        let rings_ms = if format == Format::Wav { 1 } else { 20 };
        let silent = &pcm[(from_ms as usize + rings_ms) * 16..(to_ms as usize - 1) * 16];
        assert_eq!(silent.iter().map(|sample| sample.unsigned_abs()).max(), Some(0), "channel {channel}");
    }
    assert_eq!(Sidecar::read(&path).unwrap().pauses, finished.pauses);
    gateway.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_pause_leaves_the_gateway() {
    pause(Format::Wav).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_pause_is_among_the_packets_that_a_worker_keeps() {
    pause(Format::Opus).await;
}

fn loud(frame: &[i16]) -> bool {
    frame.iter().any(|sample| sample.unsigned_abs() > 1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_costs_a_hole_that_is_told_and_what_it_had_comes_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(&dir.path().join("worker"), 0, "");
    let mut gateway = Gateway::start(&config(dir.path(), program.address, &program.fingerprint));
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let path = gateway.record(1);
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(3)).await;
    program.kill();
    let killed_ms = shard.length().as_millis() as u64;
    // Noticed after four seconds of silence; the gateway goes on by itself.
    while gateway.forks.stats().moved == 0 {
        assert!(shard.length() < Duration::from_secs(60), "nobody noticed");
        shard = shard.talk_for(Duration::from_millis(100)).await;
    }
    let moved_ms = shard.length().as_millis() as u64;
    shard = shard.talk_for(Duration::from_secs(3)).await;
    let stats = gateway.forks.stats();
    assert_eq!((stats.connected, stats.moved, stats.fallbacks), (0, 1, 1));
    // A call that begins now is the gateway's from its first word.
    let second = gateway.record(2);
    shard.begin(2);
    shard = shard.talk_for(Duration::from_secs(2)).await;
    let length = shard.end();
    let finished = gateway.finished().await;
    assert_eq!(finished.gaps, 0);
    let heard = read(&second);
    assert!((1_950..=2_050).contains(&(heard.len() / 16)), "{}", heard.len() / 16);

    let back = Program::start(&dir.path().join("worker"), program.address.port(), "");
    let finished = gateway.finished().await;
    assert!(finished.gaps >= 1, "the hole is not told");
    let heard = read(&path);
    is_long(heard.len() as u64 / 16, length);
    for (channel, hz) in [(0, CUSTOMER_HZ), (1, AGENT_HZ)] {
        let heard_tone = |from_ms: u64, to_ms: u64| {
            let pcm: Vec<i16> =
                heard[from_ms as usize * 16..to_ms as usize * 16].iter().map(|frame| frame[channel]).collect();
            tone(&pcm, hz)
        };
        assert!(heard_tone(300, killed_ms - 1_000) > 0.7, "before the kill: {}", heard_tone(300, killed_ms - 1_000));
        let last = length.as_millis() as u64;
        assert!(heard_tone(moved_ms + 200, last - 300) > 0.7, "after the gateway took over");
        let hole: Vec<i16> = heard[(killed_ms + 500) as usize * 16..(killed_ms + 2_500) as usize * 16]
            .iter()
            .map(|frame| frame[channel])
            .collect();
        assert!(hole.iter().all(|&sample| sample == 0), "the hole is not silent");
    }
    until("connected again", || gateway.forks.stats().reconnects == 1).await;
    gateway.stop().await;
    drop(back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_a_former_gateway_process_left_with_a_worker_comes_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let worker = start_worker(&dir.path().join("worker"));
    let config = config(dir.path(), worker.address(), worker.fingerprint());
    let mut gateway = Gateway::start(&config);
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let path = gateway.record(1);
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(1)).await;
    until("the worker hears it", || worker.stats().packets > 50).await;
    gateway.die();
    until("the worker noticed", || worker.stats().gateways == 0 && worker.stats().waiting == 1).await;
    assert_eq!(worker.stats().cut, 1);
    drop(shard);
    assert!(!path.exists());

    let mut gateway = Gateway::start(&config);
    let RecordEvent::Late { finished, .. } = gateway.event().await else { panic!("not told as late") };
    assert!((800..=1_100).contains(&finished.duration_ms), "{}", finished.duration_ms);
    assert_eq!(read(&path).len() as u64 / 16, finished.duration_ms);
    until("the worker's copy is gone", || worker.stats().waiting == 0).await;
    gateway.stop().await;
    worker.stop().await;
}

/// The last packet is heard to its end.
#[track_caller]
fn is_long(ms: u64, length: Duration) {
    let length = length.as_millis() as u64;
    assert!((length..=length + 40).contains(&ms), "{ms} ms of {length}");
}

/// What a gateway must be refused for, and the sentence that says so.
#[test]
fn strangers_are_refused_on_both_sides_with_a_sentence_that_helps() {
    #[track_caller]
    fn check(spoil: fn(&mut tandem::config::Config), sentence: &str) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::default();
        let _listening = log.listen();
        // On one thread, whose log is ours.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let worker = start_worker(&dir.path().join("worker"));
            let mut config = config(dir.path(), worker.address(), worker.fingerprint());
            spoil(&mut config);
            let gateway = Gateway::start(&config);
            until("refused twice", || gateway.forks.stats().refused >= 2).await;
            assert_eq!((gateway.forks.stats().connected, worker.stats().gateways), (0, 0));
            until("counted by the worker", || worker.stats().refused >= 1).await;
            gateway.stop().await;
            worker.stop().await;
        });
        assert!(log.text().contains(sentence), "{}", log.text());
        assert_eq!(log.text().matches("a worker cannot be had").count(), 1, "the same reason is told once");
    }
    check(
        |config| {
            let path = config.data.dir.join("other-token");
            std::fs::create_dir_all(&config.data.dir).unwrap();
            std::fs::write(&path, "guessed").unwrap();
            config.fork.token_file = path;
        },
        "wrong token: give gateway and worker the same word",
    );
    check(|config| config.fork.pins = vec!["00".repeat(32)], "invalid peer certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_operators_see_its_calls_its_outbox_and_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&dir.path().join("worker"), 0, "");
    let mut gateway = Gateway::start(&config(dir.path(), program.address, &program.fingerprint));
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    gateway.record(1);
    let shard = Shard::start(gateway.ring.take().unwrap(), &[1]).talk_for(Duration::from_millis(600)).await;
    let told = |lines: &'static [&'static str]| async move {
        until_told(program.metrics, lines).await;
    };
    told(&[
        "tandem_worker_gateways_connected 1",
        "tandem_worker_calls 1",
        "tandem_tap_open 1",
        "tandem_recordings_open 1",
    ])
    .await;
    shard.end();
    gateway.finished().await;
    told(&["tandem_worker_calls 0", "tandem_worker_delivered_recordings_total 1", "tandem_worker_outbox_recordings 0"])
        .await;
    let free = get(program.metrics, "/metrics").await;
    let free = free.lines().find_map(|line| line.strip_prefix("tandem_disk_free_bytes ")).unwrap();
    assert!(free.parse::<u64>().unwrap() > 0);
    assert!(get(program.metrics, "/healthz").await.starts_with("HTTP/1.1 200"));
    let ready = get(program.metrics, "/readyz").await;
    assert!(ready.contains("\"status\":\"ready\"") || ready.contains("MB are free"), "{ready}");
    gateway.stop().await;
}

/// Waits until the figures have all of these lines.
async fn until_told(from: std::net::SocketAddr, lines: &[&str]) {
    loop {
        let text = get(from, "/metrics").await;
        if lines.iter().all(|wanted| text.lines().any(|line| line == *wanted)) {
            return;
        }
    }
}

async fn get(from: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(from).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
