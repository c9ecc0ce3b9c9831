//! Who is told before a call is recorded, and who may forbid it.

use std::time::Duration;

use serde_json::{Value, json};
use tandem::audio::mulaw;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::forks;
use crate::program::Program;
use crate::receiver::{Listener, heard};
use crate::recording::frames_of;
use crate::world::{NINO, SOON, World, agent_voice};

const ANNOUNCED_HZ: f32 = 500.0;
const BEFORE_HZ: f32 = 700.0;
const AFTER_HZ: f32 = 2_650.0;
const SECOND: Duration = Duration::from_secs(1);

/// A gateway that plays a tone of one second to everybody, and lets the customer press 9.
async fn announcing(sounds: &tempfile::TempDir, whom: &str) -> World {
    World::with(&announcement(sounds, whom), Default::default()).await
}

fn announcement(sounds: &tempfile::TempDir, whom: &str) -> String {
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
    format!("[[recording.announcement]]\nfile = {file:?}\nlanguage = \"en\"\n{whom}\nopt_out_key = \"9\"\n")
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
    assert_eq!(details["consent"], *consent, "the recorder knew of the announcement alone");
    let manifest = world.get(&format!("calls/{}/recording/manifest", talk.call_id)).await;
    let key = world.get("signing-key").await["public_key"].clone();
    let key = tandem::record::PublicKey::read(key.as_str().unwrap()).unwrap();
    let mut sound = world.dir.path().join("data/recordings");
    sound.push(&manifest["started_at"].as_str().unwrap()[..10]);
    sound.push(manifest["parts"][0]["name"].as_str().unwrap());
    assert_eq!(tandem::record::verify(&sound, &key, &Default::default()).unwrap().faults, []);
    let csv = world.gateway.request("GET", "calls.csv", None).await;
    let csv = String::from_utf8_lossy(&csv.body).into_owned();
    let told = ["language", "sha256", "announced_at", "opted_out_at"].map(|of| consent[of].as_str().unwrap());
    assert!(csv.contains(",ready,opted_out,") && csv.contains(&told.join(",")), "{csv}");
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
async fn after_her_key_no_other_machine_is_sent_a_sound_either() {
    let (sounds, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let worker = Program::start(&dir.path().join("worker"), 0, "");
    let listener = Listener::start().await;
    let config = announcement(&sounds, "") + &format!("[[fork.websocket]]\nurl = '{}'\n", listener.url);
    let world = forks::gateway_of(&worker, &dir, &config).await;
    let agent = forks::agent(&world).await;
    let customer = InboundCall::from(NINO)
        .step(Step::Speak(Sound::tone(BEFORE_HZ, 4 * SECOND)))
        .step(Step::Dtmf("9".to_owned()))
        .step(Step::SpeakForever(Sound::tone(AFTER_HZ, SECOND)));
    let (phone, talk) = forks::talk(&world, &agent, customer).await;
    agent.event("recording.opted_out", SOON, |_| true).await.unwrap();
    world.until("the agent still hears her", async || frames_of(&talk.heard().pcm(), AFTER_HZ) > 100).await;
    phone.hang_up();

    let call = world.settled(&talk.call_id).await;
    let consent = &call["recording"]["consent"];
    assert_eq!((&call["recording"]["state"], &consent["state"]), (&json!("ready"), &json!("opted_out")), "{call}");
    world.until("the worker's recording is here", async || worker.log().contains("\"delivered\"")).await;
    let (recorded, _) = world.recording(&talk.call_id).await;
    world.until("the stream ends", async || listener.said("stop") == 1).await;
    let wide = |bytes: &[u8]| bytes.iter().flat_map(|&code| [mulaw::decode(code); 2]).collect();
    let streamed = heard(&listener.events(), "inbound", wide).1;
    for (who, pcm) in [("the worker", recorded), ("the listener", streamed)] {
        let frames = [ANNOUNCED_HZ, BEFORE_HZ, AFTER_HZ].map(|hz| frames_of(&pcm, hz));
        assert!(frames[0] == 0 && (75..=160).contains(&frames[1]) && frames[2] == 0, "{who} heard {frames:?}");
    }
    let details = world.get(&format!("calls/{}/recording/details", talk.call_id)).await;
    assert_eq!(details["consent"], *consent, "the worker was told what she decided");
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
