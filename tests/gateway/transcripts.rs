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

pub(crate) async fn listening() -> World {
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
    check_said(transcript, [CUSTOMER.1, AGENT.1], 0.12);
}

/// `wrong_max`: share of the words that may be wrong.
#[track_caller]
fn check_said(transcript: &Value, [customer, agent]: [&str; 2], wrong_max: f64) {
    for (speaker, words) in [("customer", customer), ("agent", agent)] {
        let heard = said(transcript, speaker);
        let errors = word_errors(words, &heard);
        assert!(errors.rate() <= wrong_max, "{speaker}: {errors:?} in {heard:?}");
    }
}

/// Packets of a finished call that did not arrive, from the customer and from the agent.
fn lost(call: &Value) -> [u64; 2] {
    let legs = call["legs"].as_array().unwrap();
    ["whatsapp", "agent"].map(|kind| {
        let legs = legs.iter().filter(|leg| leg["kind"] == kind);
        legs.map(|leg| leg["quality"]["packets_lost"].as_u64().unwrap()).sum()
    })
}

#[tokio::test]
async fn what_both_say_over_a_line_that_loses_packets_is_followed_while_they_say_it_then_found_and_summed_up() {
    let world = listening().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(clip(CUSTOMER))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.lose(0.02);
    talk.lose(0.02);
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let id = talk.call_id.clone();
    let follow = format!("calls/{id}/transcript/stream");
    world.until("somebody listens", async || world.call(&id).await["transcript"]["state"] == "live").await;
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
        let call = world.call(&id).await;
        assert_eq!(call["transcript"]["state"], "live");
        let latest = call["live_transcript"].as_array().unwrap();
        assert!(latest.iter().any(|s| s["final"] == true) && latest.len() <= 12, "{call}");
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

    let call = world.settled(&id).await;
    assert!(lost(&call).iter().all(|lost| *lost > 0), "{call}");
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

/// A sentence by Debian's synthesiser, with a pause after it.
fn spoken(sentence: &str) -> Sound {
    let dir = tempfile::tempdir().unwrap();
    let [raw, file] = ["raw.wav", "sentence.wav"].map(|name| dir.path().join(name));
    let run = |program: &str, args: &[&std::ffi::OsStr]| {
        let done = std::process::Command::new(program).args(args).status();
        assert!(done.is_ok_and(|status| status.success()), "`make test` brings {program}");
    };
    let [v, voice, s, speed, w] = ["-v", "en-gb+m3", "-s", "130", "-w"].map(std::ffi::OsStr::new);
    run("espeak-ng", &[v, voice, s, speed, w, raw.as_os_str(), sentence.as_ref()]);
    let [r, rate, c, one, b, bits, pad, before, after] =
        ["-r", "16000", "-c", "1", "-b", "16", "pad", "0", "1"].map(std::ffi::OsStr::new);
    run("sox", &[raw.as_os_str(), r, rate, c, one, b, bits, file.as_os_str(), pad, before, after]);
    Sound::wav(&file).unwrap()
}

#[tokio::test]
async fn what_matters_is_in_the_summary_though_every_fiftieth_packet_is_lost() {
    const ASKS: [&str; 3] = [
        "Good morning. I have a question about my last invoice.",
        "I paid five hundred dollars for it on Monday.",
        "The machine does not work since last Tuesday.",
    ];
    const PROMISES: [&str; 2] = ["We will repair it on Wednesday.", "I will send you the money on Friday."];
    let sentences = |all: &[&str]| all.iter().map(|one| spoken(one)).reduce(|all, one| all.then(&one)).unwrap();
    let world = listening().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(sentences(&ASKS))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.lose(0.02);
    talk.lose(0.02);
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    talk.speak(&sentences(&PROMISES));
    talk.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    let id = talk.call_id.clone();
    let call = world.settled(&id).await;
    assert!(lost(&call).iter().all(|lost| *lost > 3), "{call}");

    let path = format!("calls/{id}/summary");
    world.until_within(PATIENCE, "it is summed up", async || world.get(&path).await["state"] == "ready").await;
    let transcript = world.get(&format!("calls/{id}/transcript")).await;
    // Of a synthesiser's voice the model takes some words for others, loss or not; what matters is to be right.
    check_said(&transcript, [&ASKS.join(" "), &PROMISES.join(" ")], 0.25);
    for (speaker, facts) in [("customer", &["invoice", "500", "monday"][..]), ("agent", &["wednesday", "friday"])] {
        let heard = said(&transcript, speaker).to_lowercase();
        assert!(facts.iter().all(|fact| heard.contains(fact)), "{speaker}: {facts:?} in {heard:?}");
    }
    let summary = world.get(&path).await["summary"].clone();
    let heard = said(&transcript, "customer");
    let says = |part: &str, words: &str| {
        assert!(
            summary[part].to_string().to_lowercase().contains(words),
            "no {words:?} in {part}: {summary:#} {heard:?}"
        );
    };
    says("reason", "invoice");
    says("details", "500 usd");
    says("details", "monday");
    says("action_items", "wednesday");
    says("action_items", "\"due\":\"on friday\"");
    for item in summary["action_items"].as_array().unwrap() {
        assert_eq!((&item["owner"], &item["speaker"]), (&json!("agent"), &json!("agent")), "{item}");
    }
    // Each half of the recording holds its own speaker.
    let (customer, right) = world.recording(&id).await;
    let point = &summary["action_items"][0];
    let sample = |edge: &str| point[edge].as_u64().unwrap() as usize * 16;
    let loudness =
        [&right, &customer].map(|pcm| tandem_loadtest::measure::rms(&pcm[sample("start_ms")..sample("end_ms")]));
    assert!(loudness[0] > 300.0 && loudness[1] < 100.0, "{loudness:?}");
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
