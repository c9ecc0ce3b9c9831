//! Speech is recognised on another machine, by a server nobody here wrote: `wyoming-faster-whisper`.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tandem::asr::remote::Kind;
use tandem::asr::{Config, Engine, Heard, Leg, Remote};
use tandem::model::id::CallId;
use tandem::model::rtp::Side;
use tandem::model::transcript::Segment;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::wer::word_errors;
use tandem_loadtest::whatsapp::InboundCall;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use crate::transcripts::{AGENT, CUSTOMER, PATIENCE, check_words, clip};
use crate::world::{NINO, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_nobody_here_wrote_writes_down_what_is_read_to_it() {
    let server = Whisper::start().await;
    let mut config = Config { engine: "wyoming".to_owned(), ..Config::default() };
    config.url = format!("tcp://127.0.0.1:{}", server.port).as_str().into();
    let engine = Remote::new(Kind::Wyoming, &config, None, tokio::runtime::Handle::current()).unwrap();
    let leg = Leg { call: CallId::generate(), speaker: Side::Customer, language: Some("en".to_owned()) };
    let pause = Sound::silence(std::time::Duration::from_secs(1));
    let sound = pause.then(&clip(CUSTOMER)).then(&pause).then(&clip(AGENT)).then(&pause);
    let said = format!("{} {}", CUSTOMER.1, AGENT.1);

    // While it is spoken, but faster.
    let (tell, mut heard) = mpsc::unbounded_channel();
    let mut stream = engine.open(leg.clone(), Arc::new(move |_: &Leg, heard| drop(tell.send(heard))));
    for (i, block) in sound.pcm().chunks(1_600).enumerate() {
        stream.push(i as u64 * 1_600, block);
    }
    stream.finish();
    let mut live = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap() {
            Heard::Segment(segment) => live.push(segment),
            Heard::Missed(unheard) => panic!("{unheard:?}"),
            Heard::Ended => break,
        }
    }
    // And as a whole.
    let whole = {
        let (pcm, leg) = (sound.pcm().to_vec(), leg.clone());
        tokio::task::spawn_blocking(move || engine.transcribe(&pcm, &leg)).await.unwrap().unwrap()
    };
    for segments in [live, whole] {
        let heard = segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
        assert!(word_errors(&said, &heard).rate() <= 0.12, "{heard:?}");
        // Each where it was read: after a second, and after the first sentence and another second.
        let second = 2_000 + clip(CUSTOMER).duration().as_millis() as u64;
        let begin = |at: u64| segments.iter().any(|s: &Segment| s.start_ms.abs_diff(at) < 500);
        assert!(begin(1_000) && begin(second), "{second}: {segments:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recogniser_that_dies_in_mid_call_disturbs_nobody_and_the_rest_is_made_up_for_from_the_recording() {
    let server = Whisper::start().await;
    let way = Way::to(server.port).await;
    let config = format!("[asr]\nengine = \"wyoming\"\nurl = \"tcp://127.0.0.1:{}\"\n", way.port);
    let world = World::with(&config, Default::default()).await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(clip(CUSTOMER))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let id = talk.call_id.clone();
    let path = format!("calls/{id}/transcript");
    world
        .until_within(PATIENCE, "the customer is written down", async || {
            let transcript = world.get(&path).await;
            transcript["segments"].as_array().unwrap().iter().any(|s| s["speaker"] == "customer")
        })
        .await;

    way.close();
    talk.speak(&clip(AGENT));
    talk.finished_speaking(SOON).await.unwrap();
    let is_missed = async || {
        let transcript = world.get(&path).await;
        transcript["unheard"].as_array().unwrap().iter().any(|unheard: &Value| unheard["speaker"] == "agent")
    };
    world.until_within(PATIENCE, "what the agent said is known to be missing", is_missed).await;
    phone.hang_up();
    let call = world.settled(&id).await;
    assert_eq!(call["recording"]["state"], "ready");
    assert_eq!(phone.violations(), [], "one SSRC, one line, never silent");
    assert_eq!(call["legs"].as_array().unwrap().len(), 2, "{call}");
    for leg in call["legs"].as_array().unwrap() {
        assert_eq!(leg["quality"]["packets_lost"], 0, "{leg}");
    }

    way.open();
    world.until_within(PATIENCE, "it is whole", async || world.get(&path).await["state"] == "ready").await;
    let transcript = world.get(&path).await;
    assert_eq!((&transcript["engine"], &transcript["unheard"]), (&json!("wyoming"), &json!([])));
    check_words(&transcript);
}

/// The server, with the model that `make model` brings.
struct Whisper {
    port: u16,
    _child: Child,
    _dir: tempfile::TempDir,
}

impl Whisper {
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (program, model) =
            (root.join("target/peers/bin/wyoming-faster-whisper"), root.join("models/whisper-tiny.en"));
        for needed in [&program, &model] {
            assert!(needed.exists(), "{} is missing: run `make setup-test`", needed.display());
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["model.bin", "config.json", "tokenizer.json"] {
            std::os::unix::fs::symlink(model.join(name), dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("vocabulary.json"), vocabulary(&model)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut child = Command::new(program)
            .args(["--uri", &format!("tcp://127.0.0.1:{port}"), "--language", "en", "--device", "cpu"])
            .args(["--compute-type", "int8", "--beam-size", "1", "--cpu-threads", "1"])
            .args([Path::new("--model"), dir.path(), Path::new("--data-dir"), dir.path()])
            .env("HF_HUB_OFFLINE", "1")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.push_str(&format!("{line}\n"));
                if line.ends_with("Ready") {
                    return true;
                }
            }
            false
        };
        let is_ready = tokio::time::timeout(PATIENCE, ready).await.unwrap_or_default();
        assert!(is_ready, "the server does not start:\n{log}");
        // It must not be held up by what it has to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { port, _child: child, _dir: dir }
    }
}

/// All tokens in their order, which this server wants as a file of its own: the written ones, then the times in steps of
/// 20 ms up to 30 s.
fn vocabulary(model: &Path) -> String {
    let tokenizer = std::fs::read_to_string(model.join("tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_str(&tokenizer).unwrap();
    let words = tokenizer["model"]["vocab"].as_object().unwrap().iter();
    let words = words.map(|(word, id)| (id.as_u64().unwrap(), word.clone()));
    let added = tokenizer["added_tokens"].as_array().unwrap().iter();
    let added = added.map(|token| (token["id"].as_u64().unwrap(), token["content"].as_str().unwrap().to_owned()));
    let mut tokens: Vec<_> = words.chain(added).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let times = (0..=1_500).map(|step| format!("<|{:.2}|>", f64::from(step) * 0.02));
    let all: Vec<String> = tokens.into_iter().map(|(_, token)| token).chain(times).collect();
    serde_json::to_string(&all).unwrap()
}

/// A way to a server that can be closed: whoever is on it is cut off, and whoever comes is sent away.
struct Way {
    port: u16,
    is_open: watch::Sender<bool>,
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Self { port: listener.local_addr().unwrap().port(), is_open: watch::Sender::new(true) };
        let is_open = way.is_open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut is_open = is_open.clone();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_open.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        way
    }

    fn close(&self) {
        self.is_open.send_replace(false);
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }
}
