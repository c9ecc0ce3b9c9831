//! The customer's phone is a WebRTC stack that nobody here wrote: aiortc.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallOptions, Customer, ExternalPhone, InboundCall, Script};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::world::{NINO, NUMBER, SOON, World};

/// What aiortc's phone hums.
const AIORTC_HZ: f32 = 440.0;

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_calls_and_both_sides_hear_each_other() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let (speaks, says) = (Sound::tone(AIORTC_HZ, Duration::from_secs(8)), Sound::beeps(15));
    let phone = Aiortc::start(world.dir.path(), &speaks).await;
    let options = CallOptions { external: Some(phone.clone()), ..Default::default() };
    let call = world.wa.call(InboundCall::from(NINO).with(options)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    offer.prepare().await.unwrap();
    let talk = offer.accept().await.unwrap();
    talk.connected(SOON).await.unwrap();
    call.answered(SOON).await.unwrap();
    phone.ask(json!({"do": "accepted"})).await.unwrap();
    check_both_ways(&world, &phone, &talk, &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_is_called_and_both_sides_hear_each_other() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let (speaks, says) = (Sound::tone(AIORTC_HZ, Duration::from_secs(8)), Sound::beeps(15));
    let phone = Aiortc::start(world.dir.path(), &speaks).await;
    let options = CallOptions { external: Some(phone.clone()), ..Default::default() };
    world.wa.set_customer_with(Customer::new(NINO), Script::answers_after(Duration::from_secs(1)), options);
    let talk = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    let call = world.wa.next_outbound(SOON).await.unwrap();
    call.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    phone.ask(json!({"do": "accepted"})).await.unwrap();
    check_both_ways(&world, &phone, &talk, &says).await;
}

async fn check_both_ways(world: &World, phone: &Aiortc, talk: &tandem_loadtest::agent::AgentCall, says: &Sound) {
    talk.speak(says);
    talk.finished_speaking(SOON).await.unwrap();
    let since = std::time::Instant::now();
    world
        .until("the agent hears aiortc", async || {
            measure::tone_share(&talk.heard().since(since).pcm(), AIORTC_HZ) > 0.5
        })
        .await;
    talk.hang_up().await.unwrap();
    let heard = phone.finish().await;
    assert!(measure::beeps_heard(&heard, 15).len() >= 14, "{:?}", measure::beeps_heard(&heard, 15));
    let call = world.settled(&talk.call_id).await;
    assert_eq!(call["recording"]["state"], "ready");
    let (customer, agent) = world.recording(&talk.call_id).await;
    assert!(measure::tone_share(&customer, AIORTC_HZ) > 0.5);
    assert!(measure::tone_share(&agent, AIORTC_HZ) < 0.1);
    assert!(measure::beeps_heard(&agent, 15).len() >= 14);
}

/// The Python process; one command at a time.
struct Aiortc {
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    heard: PathBuf,
    _child: Child,
}

impl Aiortc {
    async fn start(dir: &Path, speaks: &Sound) -> Arc<Self> {
        let (speak, heard) = (dir.join("speak.wav"), dir.join("heard.wav"));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(&speak, spec).unwrap();
        for sample in speaks.pcm().windows(2).flat_map(|pair| tripled(pair[0], pair[1])) {
            wav.write_sample(sample).unwrap();
        }
        wav.finalize().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/peers/bin/python");
        assert!(python.exists(), "{} is missing: run `make setup-test`", python.display());
        let mut child = Command::new(python)
            .arg(root.join("tests/peers/phone.py"))
            .args([&speak, &heard])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Arc::new(Self { pipes: Mutex::new((stdin, stdout)), heard, _child: child })
    }

    async fn ask(&self, command: Value) -> Result<Value> {
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{command}\n").as_bytes()).await?;
        let line = tokio::time::timeout(SOON, pipes.1.next_line()).await??.context("the Python phone died")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Everything it heard, at 16 kHz.
    async fn finish(&self) -> Vec<i16> {
        self.ask(json!({"do": "finish"})).await.unwrap();
        let samples: Vec<i16> = hound::WavReader::open(&self.heard).unwrap().samples().map(Result::unwrap).collect();
        samples
            .chunks_exact(3)
            .map(|three| ((i32::from(three[0]) + i32::from(three[1]) + i32::from(three[2])) / 3) as i16)
            .collect()
    }
}

/// Linear interpolation from 16 to 48 kHz.
fn tripled(a: i16, b: i16) -> [i16; 3] {
    let (a, b) = (i32::from(a), i32::from(b));
    [a as i16, ((2 * a + b) / 3) as i16, ((a + 2 * b) / 3) as i16]
}

impl ExternalPhone for Aiortc {
    fn offer(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(async { sdp(&self.ask(json!({"do": "offer"})).await?) })
    }

    fn take_answer(&self, sdp: String) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.ask(json!({"do": "take_answer", "sdp": sdp})).await.map(|_| ()) })
    }

    fn answer(&self, offer: String) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move { sdp(&self.ask(json!({"do": "answer", "sdp": offer})).await?) })
    }
}

fn sdp(answer: &Value) -> Result<String> {
    Ok(answer["sdp"].as_str().context("the Python phone gave no SDP")?.to_owned())
}
