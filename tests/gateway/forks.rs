//! Calls whose sound goes to other machines: a worker that records and listens, and a listener that speaks Twilio's
//! media streams.

use std::time::Duration;

use serde_json::{Value, json};
use tandem::audio::mulaw;
use tandem_loadtest::agent::{Agent, AgentCall};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallHandle, InboundCall, Step};

use crate::program::{Program, site_key, token_file};
use crate::receiver::{Listener, heard};
use crate::transcripts::{AGENT, CUSTOMER, PATIENCE, check_words, clip};
use crate::world::{NINO, NUMBER, SOON, World, agent_share, agent_voice};

const CUSTOMER_HZ: f32 = 700.0;

/// A gateway that knows this worker.
pub(crate) async fn gateway_of(worker: &Program, dir: &tempfile::TempDir, more: &str) -> World {
    let (address, pin, token) = (worker.address, &worker.fingerprint, token_file(dir.path()));
    // The same key on both machines.
    let recording = format!("[recording]\nsigning_key_file = {:?}\n", site_key(dir.path()));
    let more = if more.contains("[recording]") {
        more.replace("[recording]\n", &recording)
    } else {
        more.to_owned() + &recording
    };
    let fork = format!("[fork]\nworkers = ['{address}']\npins = ['{pin}']\ntoken_file = {token:?}\n{more}");
    let world = World::with(&fork, Default::default()).await;
    world.until("the worker knows the gateway", async || worker.log().contains("a gateway is there")).await;
    world
}

pub(crate) async fn agent(world: &World) -> Agent {
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    agent
}

pub(crate) async fn talk(world: &World, agent: &Agent, call: InboundCall) -> (CallHandle, AgentCall) {
    let phone = world.wa.call(call).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    (phone, talk)
}

#[tokio::test]
async fn a_worker_records_and_writes_down_what_the_gateway_serves() {
    let dir = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/whisper-tiny.en");
    let asr = format!("[asr]\nmodel = {model:?}\n");
    let worker = Program::start(&dir.path().join("worker"), 0, &asr);
    let world = gateway_of(&worker, &dir, &format!("{asr}[recording]\nformat = \"opus\"\n")).await;
    let agent = agent(&world).await;
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).says(clip(CUSTOMER))).await;
    let id = line.call_id.clone();
    let path = format!("calls/{id}/transcript");
    world.until("it is listened to", async || world.call(&id).await["transcript"]["state"] == "live").await;
    let follow = format!("{path}/stream");
    let following = async { world.gateway.request("GET", &follow, None).await };
    let talking = async {
        phone.finished_speaking(SOON).await.unwrap();
        line.speak(&clip(AGENT));
        line.finished_speaking(SOON).await.unwrap();
        let whole = |transcript: &Value, speaker| {
            transcript["segments"].as_array().unwrap().iter().any(|s| s["speaker"] == speaker && s["final"] == true)
        };
        world
            .until_within(PATIENCE, "both are written down while the call runs", async || {
                let transcript = world.get(&path).await;
                assert_eq!(transcript["state"], "live");
                whole(&transcript, "customer") && whole(&transcript, "agent")
            })
            .await;
        phone.hang_up();
    };
    let (stream, ()) = tokio::join!(following, talking);
    let call = world.settled(&id).await;
    assert_eq!((&call["recording"]["state"], &call["recording"]["gaps"]), (&json!("ready"), &json!(0)), "{call}");
    world.until_within(PATIENCE, "it is whole", async || world.get(&path).await["state"] == "ready").await;
    check_words(&world.get(&path).await);
    let stream = String::from_utf8(stream.body).unwrap();
    assert!(stream.contains("\"final\":false"), "text while it is said: {stream}");

    let file = world.gateway.request("GET", &format!("calls/{id}/recording"), None).await;
    assert_eq!((file.status, &file.body[..4]), (200, &b"OggS"[..]));
    let details = world.get(&format!("calls/{id}/recording/details")).await;
    assert_eq!(details["parts"][0]["bytes"], json!(file.body.len()), "{details}");
    assert!(details["customer"]["packets"].as_u64() > Some(200), "{details}");
    let manifest = world.get(&format!("calls/{id}/recording/manifest")).await;
    let signing = world.get("signing-key").await;
    assert_eq!((&manifest["public_key"], &manifest["call_id"]), (&signing["public_key"], &json!(id)), "{manifest}");
    world.until("the worker let go of its copy", async || worker.log().contains("\"delivered\"")).await;
    assert!(!worker.log().contains("ERROR"), "{}", worker.log());
}

#[tokio::test]
async fn a_worker_killed_in_mid_call_leaves_the_call_alone_and_is_back_without_a_restart_of_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let mut worker = Program::start(&dir.path().join("worker"), 0, "");
    let world = gateway_of(&worker, &dir, "").await;
    let says = Sound::tone(CUSTOMER_HZ, Duration::from_secs(2));
    let agent = agent(&world).await;
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).step(Step::SpeakForever(says))).await;
    let at_agent = || frames_of(&line.heard().pcm(), CUSTOMER_HZ);
    world.until("three seconds are heard", async || at_agent() > 150).await;
    worker.kill();
    let (killed, heard) = (tokio::time::Instant::now(), at_agent());
    world.until("the gateway goes on", async || world.gateway.log().contains("a call lost its worker")).await;
    let back = Program::start(&dir.path().join("worker"), worker.address.port(), "");
    world.until("the worker is there again", async || back.log().contains("a gateway is there")).await;
    let meanwhile = at_agent();
    world.until("two more seconds are heard", async || at_agent() > meanwhile + 100).await;
    let (frames, elapsed) = (at_agent() - heard, killed.elapsed().as_millis() as usize / 20);
    assert!(frames * 100 >= elapsed * 97, "the agent heard {frames} of {elapsed} frames");
    assert_eq!(phone.violations(), [], "never silent");
    phone.hang_up();
    let call = world.settled(&line.call_id).await;
    assert_eq!(call["recording"]["state"], "ready", "{call}");
    assert!(call["recording"]["gaps"].as_u64() >= Some(1), "{call}");
    let (customer, _) = world.recording(&line.call_id).await;
    assert_eq!(customer.len() as u64 / 16, call["recording"]["duration_ms"].as_u64().unwrap());
    let said: Vec<bool> = customer.chunks_exact(320).map(|frame| is_tone(frame, CUSTOMER_HZ)).collect();
    let (first, last) = (said.iter().position(|&said| said).unwrap(), said.iter().rposition(|&said| said).unwrap());
    let silent = said[first..last].iter().filter(|&&said| !said).count();
    // Noticed after four seconds; what a killed worker had not flushed is lost too.
    assert!((50..450).contains(&silent), "{silent} frames are missing");
    assert!(said[..first + 50].iter().filter(|&&said| said).count() > 45, "what the lost worker had is there");
    assert!(last + 50 >= said.len(), "and what the gateway heard");

    let says = Sound::tone(CUSTOMER_HZ, Duration::from_secs(2));
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).step(Step::SpeakForever(says))).await;
    world.until("it is heard", async || frames_of(&line.heard().pcm(), CUSTOMER_HZ) > 50).await;
    phone.hang_up();
    let call = world.settled(&line.call_id).await;
    assert_eq!((&call["recording"]["state"], &call["recording"]["gaps"]), (&json!("ready"), &json!(0)), "{call}");
    let delivered = || back.log().matches("\"delivered\"").count();
    world.until("both were the worker's", async || delivered() == 2).await;
}

#[tokio::test]
async fn a_media_stream_carries_both_parties_of_calls_that_are_recorded_and_of_no_others() {
    let listener = Listener::start().await;
    let config = format!("[[fork.websocket]]\nurl = '{}'\n[recording]\nformat = \"opus\"\n", listener.url);
    let world = World::with(&config, Default::default()).await;
    let says = Sound::tone(CUSTOMER_HZ, Duration::from_secs(2));
    let agent = agent(&world).await;
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).says(says)).await;
    line.speak(&agent_voice());
    phone.finished_speaking(SOON).await.unwrap();
    line.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    let call = world.settled(&line.call_id).await;
    assert_eq!(call["recording"]["state"], "ready", "encoded, all the same");
    world.until("the stream ends", async || listener.said("stop") == 1).await;
    let events = listener.events();
    assert_eq!(events[1]["start"]["callSid"], json!(line.call_id), "{}", events[1]);
    let track = |track| {
        let wide = |bytes: &[u8]| bytes.iter().flat_map(|&code| [mulaw::decode(code); 2]).collect();
        heard(&events, track, wide).1
    };
    assert!(frames_of(&track("inbound"), CUSTOMER_HZ) > 60, "the customer");
    assert!(agent_share(&track("outbound")) > 0.3 && agent_share(&track("inbound")) < 0.05, "the agent");

    world.put(&format!("numbers/{NUMBER}"), json!({"record": false})).await;
    let says = Sound::tone(CUSTOMER_HZ, Duration::from_secs(2));
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).step(Step::SpeakForever(says))).await;
    world.until("it is heard", async || frames_of(&line.heard().pcm(), CUSTOMER_HZ) > 50).await;
    phone.hang_up();
    assert_eq!(world.settled(&line.call_id).await["recording"]["state"], "none");
    assert_eq!((listener.said("start"), listener.said("stop")), (1, 1));
}

fn is_tone(frame: &[i16], hz: f32) -> bool {
    measure::rms(frame) > 300.0 && measure::tone_share(frame, hz) > 0.5
}

/// Frames of 20 ms that are this tone.
fn frames_of(pcm: &[i16], hz: f32) -> usize {
    pcm.chunks_exact(320).filter(|frame| is_tone(frame, hz)).count()
}
