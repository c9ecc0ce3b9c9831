//! Recordings of the very packets, played by a program nobody here wrote (Debian's `opusdec`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tandem::model::rtp::TapKey;
use tandem::record::{Format, RecordEvent, Sidecar, Vault, repair};

use crate::{AGENT_HZ, CUSTOMER_HZ, House, Shard, Twin, share_at, wait};

/// The player's rate.
const RATE: f64 = 48_000.0;

#[test]
fn a_call_becomes_an_ogg_file_with_each_voice_in_its_channel_and_nothing_of_a_pause() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(dir.path());
    let path = house.record_as(1, Format::Opus);
    let mut shard = Shard::start(house.ring, &[1]);
    shard.talk_until(Duration::from_millis(1_000));
    let paused = house.orders.pause(TapKey(1)) - shard.start;
    shard.talk_until(Duration::from_millis(2_000));
    let resumed = house.orders.resume(TapKey(1)) - shard.start;
    shard.talk_until(Duration::from_millis(3_345));
    let length = shard.end();
    house.tap.stop();
    house.recorder.stop();

    let finished = house.events.try_iter().find_map(|event| match event {
        RecordEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    let finished = finished.unwrap();
    assert_eq!((finished.gaps, finished.parts, finished.duration_ms), (0, 1, length.as_millis() as u64));
    assert_eq!(finished.pauses.len(), 1);
    assert!((finished.pauses[0].from_ms - paused.as_millis() as i64).abs() <= 1, "{:?}", finished.pauses);
    let details = Sidecar::read(&path).unwrap();
    assert_eq!(
        (details.format, details.duration_ms, &details.pauses),
        (Format::Opus, finished.duration_ms, &finished.pauses)
    );
    assert_eq!(
        (details.parts.len(), &details.parts[0].sha256, &details.sha256),
        (1, &finished.sha256, &finished.sha256)
    );
    assert_eq!((details.parts[0].name.as_str(), details.parts[0].bytes), ("rec_1.opus", finished.bytes));
    assert!(details.customer.is_some_and(|side| side.packets > 150 && side.lost == 0), "{details:?}");
    let heard = play(&path);
    assert_eq!(heard.len() as u64, (length.as_secs_f64() * 16_000.0).round() as u64 * 3, "to the sample");
    let frame = |at: Duration| (at.as_secs_f64() * RATE) as usize;
    let silent = &heard[frame(paused) + 960..frame(resumed) - 960];
    assert!(silent.iter().all(|frame| frame.iter().all(|sample| sample.abs() <= 2)));
    for (channel, hz, other) in [(0, CUSTOMER_HZ, AGENT_HZ), (1, AGENT_HZ, CUSTOMER_HZ)] {
        for seconds in [0.4..0.9, 2.2..3.2] {
            let range = (seconds.start * RATE) as usize..(seconds.end * RATE) as usize;
            let pcm: Vec<i16> = heard[range].iter().map(|frame| frame[channel]).collect();
            assert!(share_at(&pcm, hz, RATE) > 0.8 && share_at(&pcm, other, RATE) < 0.02, "channel {channel}");
        }
    }
}

#[test]
fn after_kill_9_an_ogg_file_plays_and_ends_less_than_a_second_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Twin::run("packets::twin_records_packets_until_it_is_killed", dir.path(), &[]);
    let began = crate::began(dir.path());
    let path = crate::path_in(dir.path(), 1, began, Format::Opus);
    // Pages come four times a second; some seconds are there when these bytes are.
    wait(|| (std::fs::metadata(&path).ok()?.len() > 20_000).then_some(()));
    let killed = tandem::model::time::Clock.now().wall.since(began);
    child.0.kill().unwrap();
    child.0.wait().unwrap();

    let cut = play(&path).len() as f64 / RATE;
    assert!(killed.as_secs_f64() < cut + 1.0, "plays {cut} s of {killed:?}");
    let repaired = repair(&path, &Vault::default()).unwrap();
    assert!(repaired.changed);
    let heard = play(&path);
    assert_eq!(heard.len() as u64, repaired.duration_ms * 48);
    assert!(killed.as_millis() as u64 <= repaired.duration_ms + 1_000, "{} of {killed:?}", repaired.duration_ms);
    let last: Vec<i16> = heard[heard.len() - 12_000..].iter().map(|frame| frame[0]).collect();
    assert!(share_at(&last, CUSTOMER_HZ, RATE) > 0.8);
}

/// Runs only when [`Twin`] asks for it: a call talks until somebody kills this process.
#[test]
fn twin_records_packets_until_it_is_killed() {
    let Some(dir) = Twin::asked() else { return };
    let house = House::start(&dir);
    house.record_as(1, Format::Opus);
    let mut shard = Shard::start(house.ring, &[1]);
    crate::say_when_it_began(&dir);
    shard.talk_until(crate::PATIENCE);
    panic!("nobody killed this process");
}

/// Both channels at 48 kHz.
fn play(path: &Path) -> Vec<[i16; 2]> {
    let wav = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
    let mut player = Command::new("opusdec");
    let played = player.args(["--quiet", "--no-dither", "--rate", "48000"]).arg(path).arg(wav.path()).output();
    let played = played.expect("opusdec is there: make test installs it (Debian: opus-tools)");
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let samples: Vec<i16> = hound::WavReader::open(wav.path()).unwrap().into_samples().map(Result::unwrap).collect();
    samples.as_chunks::<2>().0.to_vec()
}
