//! What is said is written down, found again and summed up.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::wer::word_errors;
use tandem_loadtest::whatsapp::InboundCall;

use crate::world::{NINO, SOON, World};

/// Spoken sentences with their words: Debian's `pocketsphinx-testdata`, read from LibriVox.
const CLIPS: &str = "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-";
pub(crate) const CUSTOMER: (&str, &str) = (
    "0870",
    "and mister john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
);
pub(crate) const AGENT: (&str, &str) =
    ("0920", "had he married a more amiable woman he might have been made still more respectable than he was");

/// A recogniser runs at the lowest priority; on a machine that does three other things it is slow, and not wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn clip((name, _): (&str, &str)) -> Sound {
    Sound::wav(format!("{CLIPS}{name}.wav")).expect("`make test` brings the sentences")
}

async fn listening() -> World {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/whisper-tiny.en");
    World::with(&format!("[asr]\nmodel = {model:?}\n"), Default::default()).await
}

/// All that one side said, in its order.
fn said(transcript: &Value, speaker: &str) -> String {
    let segments = transcript["segments"].as_array().unwrap().iter().filter(|segment| segment["speaker"] == speaker);
    segments.map(|segment| segment["text"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
pub(crate) fn check_words(transcript: &Value) {
    for (speaker, (_, words)) in [("customer", CUSTOMER), ("agent", AGENT)] {
        let heard = said(transcript, speaker);
        let errors = word_errors(words, &heard);
        assert!(errors.rate() <= 0.12, "{speaker}: {errors:?} in {heard:?}");
    }
}

#[tokio::test]
async fn what_both_say_is_followed_while_they_say_it_then_found_and_summed_up() {
    let world = listening().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(clip(CUSTOMER))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let id = talk.call_id.clone();
    let follow = format!("calls/{id}/transcript/stream");
    let following = async { world.gateway.request("GET", &follow, None).await };
    let talking = async {
        phone.finished_speaking(SOON).await.unwrap();
        talk.speak(&clip(AGENT));
        talk.finished_speaking(SOON).await.unwrap();
        // The last stretch ends with a pause, and is decoded then.
        let path = format!("calls/{id}/transcript");
        world
            .until_within(PATIENCE, "both are written down", async || {
                let transcript = world.get(&path).await;
                assert_eq!(transcript["state"], "live");
                let segments = transcript["segments"].as_array().unwrap();
                let whole = |speaker| segments.iter().any(|s| s["speaker"] == speaker && s["final"] == true);
                whole("customer") && whole("agent")
            })
            .await;
        assert_eq!(world.call(&id).await["transcript"]["state"], "live");
        phone.hang_up();
    };
    let (stream, ()) = tokio::join!(following, talking);

    let frames = String::from_utf8(stream.body).unwrap();
    let segments: Vec<Value> = frames
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .filter(|data: &Value| data["speaker"].is_string())
        .collect();
    assert!(
        segments.iter().any(|s| s["final"] == false && s["speaker"] == "customer"),
        "text while it is said: {frames}"
    );
    assert!(frames.trim_end().ends_with(&format!("data: {{\"call_id\":\"{id}\",\"state\":\"ready\"}}")), "{frames}");

    world.settled(&id).await;
    let transcript = world.get(&format!("calls/{id}/transcript")).await;
    assert_eq!((&transcript["state"], &transcript["engine"]), (&json!("ready"), &json!("builtin")));
    check_words(&transcript);
    // Where a player seeks to, that side is heard.
    let (customer, right) = world.recording(&id).await;
    for segment in transcript["segments"].as_array().unwrap() {
        let channel = if segment["speaker"] == "customer" { &customer } else { &right };
        let sample = |edge: &str| segment[edge].as_u64().unwrap() as usize * 16;
        let heard = &channel[sample("start_ms")..sample("end_ms").min(channel.len())];
        assert!(tandem_loadtest::measure::rms(heard) > 300.0, "{segment}");
    }

    let found = world.get("calls?text=dashwood+leisure").await;
    assert_eq!(found["items"][0]["id"], json!(id));
    assert!(world.get("calls?text=willoughby").await["items"].as_array().unwrap().is_empty());
    let path = format!("calls/{id}/summary");
    world.until_within(PATIENCE, "it is summed up", async || world.get(&path).await["state"] == "ready").await;
    let summary = world.get(&path).await["summary"].clone();
    assert_eq!(summary["kind"], "extractive");
    assert_eq!(world.call(&id).await["summary"], json!({"state": "ready", "text": summary["text"]}));
}

#[tokio::test]
async fn what_a_crash_left_unsaid_is_written_down_from_the_recording() {
    let mut world = listening().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(clip(CUSTOMER))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    talk.speak(&clip(AGENT));
    talk.finished_speaking(SOON).await.unwrap();
    // A second later it is on the disk, crash or no crash.
    let heard = phone.heard().pcm().len();
    world.until("a second passes", async || phone.heard().pcm().len() > heard + 16_000).await;
    let id = talk.call_id.clone();
    world.kill_and_restart().await;
    let path = format!("calls/{id}/transcript");
    world.until_within(PATIENCE, "it is whole", async || world.get(&path).await["state"] == "ready").await;
    check_words(&world.get(&path).await);
    assert_eq!(world.get(&path).await["unheard"], json!([]));
}

#[tokio::test]
async fn without_a_model_calls_go_on_and_the_log_says_how_to_get_one() {
    let world = World::with("[asr]\nmodel = \"nowhere\"\n", Default::default()).await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(2))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["transcript"]["state"], &call["recording"]["state"]), (&json!("off"), &json!("ready")));
    let again = world.gateway.request("POST", &format!("calls/{}/summary", talk.call_id), None).await;
    again.problem(409, "wrong_state");
}
