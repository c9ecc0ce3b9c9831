//! Who is told before a call is recorded, and who may forbid it.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::recording::frames_of;
use crate::world::{NINO, SOON, World, agent_voice};

const ANNOUNCED_HZ: f32 = 500.0;
const BEFORE_HZ: f32 = 700.0;
const AFTER_HZ: f32 = 2_650.0;
const SECOND: Duration = Duration::from_secs(1);

/// A gateway that plays a tone of one second to everybody, and lets the customer press 9.
async fn announcing(sounds: &tempfile::TempDir, whom: &str) -> World {
    let file = sounds.path().join("announcement.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    let tone = |i: i32| (i as f32 * ANNOUNCED_HZ / 16_000.0 * std::f32::consts::TAU).sin() * 9_000.0;
    (0..16_000).for_each(|i| wav.write_sample(tone(i) as i16).unwrap());
    wav.finalize().unwrap();
    let config =
        format!("[[recording.announcement]]\nfile = {file:?}\nlanguage = \"en\"\n{whom}\nopt_out_key = \"9\"\n");
    World::with(&config, Default::default()).await
}

#[tokio::test]
async fn both_are_told_first_and_after_the_customers_key_nothing_is_kept() {
    let sounds = tempfile::tempdir().unwrap();
    let world = announcing(&sounds, "teams = [\"team_b\", \"team_a\"]").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(
        InboundCall::from(NINO)
            .step(Step::Speak(Sound::tone(BEFORE_HZ, 4 * SECOND)))
            .step(Step::Dtmf("9".to_owned()))
            .step(Step::SpeakForever(Sound::tone(AFTER_HZ, SECOND))),
    );
    let phone = phone.await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let announced = agent.event("recording.announced", SOON, |_| true).await.unwrap();
    let consent = announced.data()["consent"].clone();
    assert_eq!(
        (&consent["state"], &consent["language"], &consent["length_ms"], &consent["opt_out_key"]),
        (&json!("announced"), &json!("en"), &json!(1_000), &json!("9"))
    );
    agent.event("recording.opted_out", SOON, |_| true).await.unwrap();
    // They go on talking.
    talk.speak(&agent_voice());
    world.until("the agent still hears her", async || frames_of(&talk.heard().pcm(), AFTER_HZ) > 50).await;
    let call = world.call(&talk.call_id).await;
    assert_eq!((&call["state"], &call["recording"]["consent"]["state"]), (&json!("active"), &json!("opted_out")));
    talk.finished_speaking(SOON).await.unwrap();
    phone.hang_up();

    let call = world.settled(&talk.call_id).await;
    let consent = &call["recording"]["consent"];
    assert_eq!((&call["recording"]["state"], &consent["state"]), (&json!("ready"), &json!("opted_out")), "{call}");
    assert!(consent["announced_at"].is_string() && consent["opted_out_at"].is_string(), "{consent}");
    let (customer, right) = world.recording(&talk.call_id).await;
    let heard = [ANNOUNCED_HZ, BEFORE_HZ, AFTER_HZ].map(|hz| frames_of(&customer, hz));
    assert!(heard[0] == 0 && (75..=160).contains(&heard[1]) && heard[2] == 0, "{heard:?}");
    assert!(right.chunks(320).all(|frame| measure::rms(frame) < 300.0), "neither the announcement nor the agent");
    for (who, pcm) in [("the customer", phone.heard().pcm()), ("the agent", talk.heard().pcm())] {
        let frames = frames_of(&pcm, ANNOUNCED_HZ);
        assert!((45..=51).contains(&frames), "{who} heard {frames} frames of the announcement");
    }
    // Whoever has the file can prove it too.
    let details = world.get(&format!("calls/{}/recording/details", talk.call_id)).await;
    assert_eq!(details["consent"]["sha256"], consent["sha256"]);
    let csv = world.gateway.request("GET", "calls.csv", None).await;
    assert!(String::from_utf8_lossy(&csv.body).contains(",ready,opted_out,"));
}

#[tokio::test]
async fn who_presses_the_key_while_it_is_announced_is_not_recorded_at_all() {
    let sounds = tempfile::tempdir().unwrap();
    let world = announcing(&sounds, "countries = [\"GE\"]").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(
        InboundCall::from(NINO)
            // It means nothing before she was told so.
            .step(Step::Wait(SECOND * 2 / 5))
            .step(Step::Dtmf("9".to_owned()))
            .step(Step::SpeakForever(Sound::tone(AFTER_HZ, SECOND))),
    );
    let phone = phone.await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    agent.event("recording.opted_out", SOON, |_| true).await.unwrap();
    world.until("they talk", async || frames_of(&talk.heard().pcm(), AFTER_HZ) > 50).await;
    phone.hang_up();
    let call = world.settled(&talk.call_id).await;
    let consent = &call["recording"]["consent"];
    assert_eq!((&call["recording"]["state"], &consent["state"]), (&json!("none"), &json!("opted_out")), "{call}");
    assert_eq!(consent["announced_at"], Value::Null);
    assert!(!world.dir.path().join("data/recordings").read_dir().unwrap().any(|entry| entry.unwrap().path().is_dir()));
}

#[tokio::test]
async fn where_nothing_is_to_be_announced_recording_begins_at_once() {
    let sounds = tempfile::tempdir().unwrap();
    let world = announcing(&sounds, "countries = [\"DE\"]").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let says =
        InboundCall::from(NINO).step(Step::Speak(Sound::tone(BEFORE_HZ, SECOND))).step(Step::Dtmf("9".to_owned()));
    let phone = world.wa.call(says.step(Step::SpeakForever(Sound::tone(AFTER_HZ, SECOND)))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    world.until("she presses it", async || frames_of(&talk.heard().pcm(), AFTER_HZ) > 50).await;
    phone.hang_up();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["recording"]["state"], &call["recording"]["consent"]), (&json!("ready"), &Value::Null));
    assert!(frames_of(&world.recording(&talk.call_id).await.0, AFTER_HZ) > 40);
}
