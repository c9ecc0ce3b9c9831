//! What is kept of a call, and what is not.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::world::{NINO, NUMBER, SOON, World, agent_share, agent_voice};

/// What the customer says before, in and after the pause.
const BEFORE_HZ: f32 = 700.0;
const PAUSED_HZ: f32 = 1_150.0;
const AFTER_HZ: f32 = 2_650.0;

on_both!(what_is_said_while_the_recording_is_paused_is_nowhere_in_it);
async fn what_is_said_while_the_recording_is_paused_is_nowhere_in_it(world: World) {
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(
        InboundCall::from(NINO)
            .step(Step::Speak(Sound::tone(BEFORE_HZ, Duration::from_secs(3))))
            .step(Step::Speak(Sound::tone(PAUSED_HZ, Duration::from_secs(2))))
            .step(Step::SpeakForever(Sound::tone(AFTER_HZ, Duration::from_secs(2)))),
    );
    let phone = phone.await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let says = async |hz: f32| {
        world.until("the customer says it", async || frames_of(&talk.heard().pcm(), hz) > 10).await;
    };
    let path = format!("/v1/calls/{}/recording", talk.call_id);
    let order = async |action: &str| agent.api().post(&path, &json!({ "action": action })).await.unwrap();

    says(BEFORE_HZ).await;
    let call = order("pause").await;
    assert_eq!(
        (&call["recording"]["state"], &call["recording"]["pauses"][0]["to_ms"]),
        (&json!("paused"), &Value::Null)
    );
    assert_eq!(order("pause").await["recording"]["pauses"].as_array().unwrap().len(), 1);
    talk.speak(&agent_voice());
    let paused = agent.event("recording.paused", SOON, |_| true).await.unwrap();
    assert_eq!(paused.data()["at_ms"], call["recording"]["pauses"][0]["from_ms"]);
    talk.finished_speaking(SOON).await.unwrap();
    says(AFTER_HZ).await;
    let call = order("resume").await;
    assert_eq!(call["recording"]["state"], "recording");
    agent.event("recording.resumed", SOON, |_| true).await.unwrap();
    let resumed = talk.heard().pcm().len();
    world.until("more is said", async || talk.heard().pcm().len() > resumed + 16_000).await;
    phone.hang_up();

    let seen = call["recording"]["pauses"][0].clone();
    let call = world.settled(&talk.call_id).await;
    let told = call["recording"]["pauses"][0].clone();
    let ms = |pause: &Value, edge: &str| pause[edge].as_i64().unwrap();
    for edge in ["from_ms", "to_ms"] {
        assert!((ms(&told, edge) - ms(&seen, edge)).abs() < 500, "{edge}: {seen} while it ran, {told} in the end");
    }
    let (customer, right) = world.recording(&talk.call_id).await;
    let heard = [BEFORE_HZ, PAUSED_HZ, AFTER_HZ].map(|hz| frames_of(&customer, hz));
    assert!(heard[0] > 5 && heard[1] == 0 && heard[2] > 25, "{heard:?}");
    assert!(agent_share(&right) < 0.05, "the agent spoke in the pause only");
    let span = ms(&told, "from_ms") as usize * 16 + 16..ms(&told, "to_ms") as usize * 16 - 16;
    for channel in [&customer, &right] {
        assert!(channel[span.clone()].iter().all(|&sample| sample == 0));
    }
    let refused = agent.api().post(&path, &json!({"action": "pause"})).await.unwrap_err();
    assert_eq!(refused.status, 409, "{refused}");
}

#[tokio::test]
async fn a_number_or_a_call_that_is_not_to_be_recorded_leaves_no_file() {
    let world = World::with("[recording]\nenabled = false\n", Default::default()).await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let inbound = async || {
        let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(2))).await.unwrap();
        let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
        phone.answered(SOON).await.unwrap();
        talk.connected(SOON).await.unwrap();
        phone.finished_speaking(SOON).await.unwrap();
        let (path, body) = (format!("/v1/calls/{}/recording", talk.call_id), json!({"action": "pause"}));
        let refused = agent.api().post(&path, &body).await.err().map(|error| error.status);
        phone.hang_up();
        (world.settled(&talk.call_id).await["recording"]["state"].clone(), refused)
    };
    let number = format!("numbers/{NUMBER}");
    assert_eq!(world.put(&number, json!({})).await["record"], Value::Null);
    assert_eq!(inbound().await, (json!("none"), Some(409)), "as the gateway's default is");
    world.put(&number, json!({"record": true})).await;
    assert_eq!(inbound().await, (json!("ready"), None));
    assert_eq!(world.put(&number, json!({})).await["record"], json!(true));
    let files = || walk(&world.dir.path().join("data/recordings"));
    assert_eq!(files(), 4, "the recording, its details, its chain and its manifest");

    let dial = json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a", "record": false});
    let call = world.post("calls", dial).await;
    let id = call["id"].as_str().unwrap();
    let talk = agent.attach(id).await.unwrap();
    talk.connected(SOON).await.unwrap();
    world.until("she answers", async || world.call(id).await["state"] == "active").await;
    talk.hang_up().await.unwrap();
    assert_eq!(world.settled(id).await["recording"]["state"], "none");
    assert_eq!(files(), 4, "the recording, its details, its chain and its manifest");
}

/// Frames of 20 ms that are this tone.
pub(crate) fn frames_of(pcm: &[i16], hz: f32) -> usize {
    let is_tone = |frame: &&[i16]| measure::rms(frame) > 300.0 && measure::tone_share(frame, hz) > 0.5;
    pcm.chunks_exact(320).filter(is_tone).count()
}

/// Files beneath a folder.
fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn a_gateway_that_keeps_the_packets_serves_a_file_that_other_players_play() {
    let world = World::with("[recording]\nformat = \"opus\"\n", Default::default()).await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let says = Sound::tone(BEFORE_HZ, Duration::from_secs(3));
    let phone = world.wa.call(InboundCall::from(NINO).says(says)).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    talk.speak(&agent_voice());
    phone.finished_speaking(SOON).await.unwrap();
    talk.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["recording"]["state"], &call["recording"]["gaps"]), (&json!("ready"), &json!(0)), "{call}");

    let file = world.gateway.request("GET", &format!("calls/{}/recording", talk.call_id), None).await;
    assert_eq!((file.status, file.headers["content-type"].to_str().unwrap()), (200, "audio/ogg"));
    let details = world.get(&format!("calls/{}/recording/details", talk.call_id)).await;
    assert_eq!(
        (&details["format"], &details["parts"][0]["bytes"]),
        (&json!("opus"), &json!(file.body.len())),
        "{details}"
    );
    assert_eq!(details["duration_ms"], call["recording"]["duration_ms"]);
    let (opus, wav) = (world.dir.path().join("heard.opus"), world.dir.path().join("heard.wav"));
    std::fs::write(&opus, &file.body).unwrap();
    let mut player = std::process::Command::new("opusdec");
    let played = player.args(["--quiet", "--no-dither", "--rate", "16000"]).arg(&opus).arg(&wav).output();
    let played = played.expect("opusdec is there: make test installs it (Debian: opus-tools)");
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    let (customer, right) = crate::world::channels(&std::fs::read(&wav).unwrap());
    assert!((customer.len() as i64 / 16 - call["recording"]["duration_ms"].as_i64().unwrap()).abs() <= 1);
    assert!(frames_of(&customer, BEFORE_HZ) > 100 && agent_share(&customer) < 0.05, "the customer is on the left");
    assert!(agent_share(&right) > 0.4 && frames_of(&right, BEFORE_HZ) == 0, "the agent is on the right");
}
