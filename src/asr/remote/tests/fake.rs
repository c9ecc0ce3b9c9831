//! Recognisers that listen on this machine, each as its maker documents it, with the manners a test gives them.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Handshake, Response};

use super::{Kind, SECOND};

/// How a connection is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    Fine,
    /// As vLLM speaks OpenAI's protocol.
    Vllm,
    /// Gone without a word when more than so many sounds or stretches have come.
    HangUpAfter(usize),
    /// Takes everything and says nothing.
    Mute,
    Nonsense,
}

/// What a client asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) query: String,
    pub(super) authorization: Option<String>,
}

/// A recogniser.
pub(super) struct Fake {
    kind: Kind,
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    /// Samples at 16 kHz that came in.
    samples: AtomicU64,
    came: Notify,
}

impl Seen {
    fn sound(&self, samples: u64) {
        self.samples.fetch_add(samples, Ordering::SeqCst);
        self.came.notify_one();
    }
}

/// Sound that says a number each second, and then nothing for a fifth of it.
pub(super) fn numbers(numbers: RangeInclusive<i16>) -> Vec<i16> {
    let second = |number| (0..SECOND).map(move |i| if i < SECOND * 4 / 5 { number } else { 0 });
    numbers.flat_map(second).collect()
}

impl Fake {
    /// Listens until each of the manners has had its connection.
    pub(super) async fn start(kind: Kind, manners: Vec<Manners>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Seen> = Arc::default();
        let fake = Self { kind, port, seen: Arc::clone(&seen) };
        // Without anybody to be polite to, nobody listens.
        if manners.is_empty() {
            return fake;
        }
        tokio::spawn(async move {
            for manners in manners {
                let (stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                // What the client does not wait for, nobody needs.
                tokio::spawn(async move { serve(kind, manners, stream, &seen).await.unwrap_or_default() });
            }
        });
        fake
    }

    pub(super) fn url(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Vosk => format!("ws://127.0.0.1:{port}"),
            Kind::Deepgram => format!("ws://127.0.0.1:{port}/v1/listen"),
            Kind::OpenAi => format!("ws://127.0.0.1:{port}/v1/realtime?intent=transcription"),
            Kind::Wyoming => format!("tcp://127.0.0.1:{port}"),
        }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// What came in, over all connections.
    pub(super) fn sound_ms(&self) -> u64 {
        self.seen.samples.load(Ordering::SeqCst) * 1_000 / SECOND
    }

    pub(super) async fn sound(&self) {
        self.seen.came.notified().await;
    }
}

/// `None`: the client is gone.
async fn serve(kind: Kind, manners: Manners, stream: TcpStream, seen: &Seen) -> Option<()> {
    if kind == Kind::Wyoming {
        return wyoming(manners, stream, seen).await;
    }
    let mut request = None;
    #[allow(clippy::result_large_err, reason = "the library's type")]
    let callback = |handshake: &Handshake, response: Response| {
        let authorization = handshake.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let query = handshake.uri().query().unwrap_or_default().to_owned();
        request = Some(Request { query, authorization });
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.ok()?;
    seen.requests.lock().unwrap().extend(request.clone());
    let mut web = Web { socket, seen, manners, sounds: 0 };
    match kind {
        Kind::Vosk => vosk(&mut web).await,
        Kind::Deepgram => deepgram(&mut web, &request?.query).await,
        Kind::OpenAi => openai(&mut web).await,
        Kind::Wyoming => unreachable!("it is no WebSocket"),
    }
}

struct Web<'a> {
    socket: WebSocketStream<TcpStream>,
    seen: &'a Seen,
    manners: Manners,
    /// Sounds or stretches that came.
    sounds: usize,
}

impl Web<'_> {
    async fn say(&mut self, json: Value) -> Option<()> {
        self.socket.send(Message::text(json.to_string())).await.ok()
    }

    /// The next message the server cares for; `None` when it hangs up.
    async fn hear(&mut self) -> Option<Message> {
        loop {
            let message = self.socket.next().await?.ok()?;
            if let Message::Binary(bytes) = &message {
                self.seen.sound(bytes.len() as u64 / 2);
                self.count()?;
            }
            match self.manners {
                Manners::Mute => {}
                Manners::Nonsense => self.socket.send(Message::text("hello?")).await.ok()?,
                _ => return Some(message),
            }
        }
    }

    fn count(&mut self) -> Option<()> {
        self.sounds += 1;
        (!matches!(self.manners, Manners::HangUpAfter(most) if self.sounds > most)).then_some(())
    }
}

/// Hears numbers.
#[derive(Default)]
struct Numbers {
    position: u64,
    begun: u64,
    number: i16,
}

/// A number, and from where to where it was heard, in samples.
type Number = (i16, u64, u64);

impl Numbers {
    /// The numbers that have ended; 0 is silence.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Number> {
        let mut ended = Vec::new();
        for sample in bytes.chunks_exact(2) {
            let number = i16::from_le_bytes([sample[0], sample[1]]);
            if number != self.number {
                ended.extend(self.end());
                self.number = number;
            }
            self.position += 1;
        }
        ended
    }

    fn end(&mut self) -> Option<Number> {
        let ended = (self.number, self.begun, self.position);
        self.begun = self.position;
        (ended.1 < ended.2).then_some(ended)
    }
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / SECOND as f64
}

/// It ends an utterance where a message ends in silence.
async fn vosk(web: &mut Web<'_>) -> Option<()> {
    let (mut numbers, mut said) = (Numbers::default(), Vec::new());
    let utterance = |ended: &[Number]| {
        let said: Vec<_> = ended.iter().filter(|(number, ..)| *number != 0).collect();
        let text = said.iter().map(|(number, ..)| number.to_string()).collect::<Vec<_>>().join(" ");
        let word = |(number, start, end): &&Number| json!({"word": number.to_string(), "start": seconds(*start), "end": seconds(*end), "conf": 1.0});
        json!({"text": text, "result": said.iter().map(word).collect::<Vec<_>>()})
    };
    loop {
        match web.hear().await? {
            Message::Text(text) if text.as_str() == r#"{"eof" : 1}"# => {
                said.extend(numbers.end());
                web.say(utterance(&said)).await?;
                return web.socket.close(None).await.ok();
            }
            Message::Text(text) => {
                let config: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(config["config"]["sample_rate"], 16_000);
            }
            Message::Binary(bytes) => {
                said.extend(numbers.hear(&bytes).into_iter().filter(|(number, ..)| *number != 0));
                let is_pausing = numbers.number == 0 && !said.is_empty();
                let number = if numbers.number == 0 { String::new() } else { numbers.number.to_string() };
                let reply = if is_pausing { utterance(&std::mem::take(&mut said)) } else { json!({"partial": number}) };
                web.say(reply).await?;
            }
            _ => {}
        }
    }
}

async fn deepgram(web: &mut Web<'_>, query: &str) -> Option<()> {
    let mut numbers = Numbers::default();
    let results = |(number, start, end): Number, is_final: bool| {
        let said = if number == 0 { String::new() } else { number.to_string() };
        let word = json!({"word": said, "start": seconds(start), "end": seconds(end), "confidence": 0.75});
        let words: Vec<_> = (number != 0).then_some(word).into_iter().collect();
        json!({"type": "Results", "channel_index": [0, 1], "start": seconds(start), "duration": seconds(end - start),
               "is_final": is_final, "speech_final": is_final,
               "channel": {"alternatives": [{"transcript": said, "confidence": 0.75, "words": words}]}})
    };
    let with_interim = query.contains("interim_results=true");
    loop {
        match web.hear().await? {
            Message::Text(text) if text.contains("CloseStream") => {
                if let Some(last) = numbers.end() {
                    web.say(results(last, true)).await?;
                }
                web.say(json!({"type": "Metadata", "duration": seconds(numbers.position)})).await?;
                return web.socket.close(None).await.ok();
            }
            Message::Binary(bytes) => {
                for ended in numbers.hear(&bytes) {
                    web.say(results(ended, true)).await?;
                }
                if with_interim {
                    web.say(results((numbers.number, numbers.begun, numbers.position), false)).await?;
                }
            }
            _ => {}
        }
    }
}

/// Says how long each stretch was. OpenAI's results come last first, as far as several are under way.
async fn openai(web: &mut Web<'_>) -> Option<()> {
    const AT_ONCE_WITHIN: Duration = Duration::from_millis(20);
    let is_vllm = web.manners == Manners::Vllm;
    match web.manners {
        Manners::Mute => {}
        Manners::Nonsense => web.socket.send(Message::text("hello?")).await.ok()?,
        _ if is_vllm => web.say(json!({"type": "session.created", "id": "sess-1", "created": 1})).await?,
        _ => web.say(json!({"type": "session.created", "session": {"type": "transcription"}})).await?,
    }
    let (mut samples, mut stretches, mut is_configured, mut is_begun) = (0, Vec::new(), false, !is_vllm);
    loop {
        let message = match tokio::time::timeout(AT_ONCE_WITHIN, web.hear()).await {
            Ok(message) => message?,
            Err(_) => {
                while let Some((item, length)) = stretches.pop() {
                    say_stretch(web, item, length).await?;
                }
                continue;
            }
        };
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        match event["type"].as_str().unwrap() {
            "session.update" => {
                let format = &event["session"]["audio"]["input"]["format"];
                is_configured = if is_vllm { event["model"].is_string() } else { format["rate"] == 24_000 };
            }
            "input_audio_buffer.append" if is_configured && is_begun => {
                let bytes = BASE64_STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
                samples += bytes.len() as u64 / 2;
            }
            "input_audio_buffer.commit" if is_vllm && event["final"] == false => is_begun = true,
            "input_audio_buffer.commit" if is_vllm => {
                let text = format!("ms{}", samples / 16);
                web.seen.sound(samples);
                web.say(json!({"type": "transcription.delta", "delta": "ms"})).await?;
                web.say(json!({"type": "transcription.done", "text": text, "usage": {}})).await?;
                (samples, is_begun) = (0, false);
            }
            "input_audio_buffer.commit" => {
                web.seen.sound(samples * 2 / 3);
                web.count()?;
                let item = format!("item_{}", web.sounds);
                web.say(json!({"type": "input_audio_buffer.committed", "item_id": item})).await?;
                stretches.push((item, samples / 24));
                samples = 0;
            }
            other => web.say(json!({"type": "error", "error": {"message": format!("{other} now?")}})).await?,
        }
    }
}

async fn say_stretch(web: &mut Web<'_>, item: String, length: u64) -> Option<()> {
    let kind = |end: &str| format!("conversation.item.input_audio_transcription.{end}");
    web.say(json!({"type": kind("delta"), "item_id": item, "delta": "ms"})).await?;
    web.say(json!({"type": kind("completed"), "item_id": item, "transcript": format!("ms{length}")})).await
}

/// One stretch a connection, as `wyoming-faster-whisper` does it.
async fn wyoming(manners: Manners, stream: TcpStream, seen: &Seen) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut samples = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let header: Value = serde_json::from_str(&line).unwrap();
        let length = |name: &str| header[name].as_u64().unwrap_or(0) as usize;
        let mut rest = vec![0; length("data_length") + length("payload_length")];
        stream.read_exact(&mut rest).await.ok()?;
        match header["type"].as_str().unwrap() {
            "audio-chunk" => {
                samples += length("payload_length") as u64 / 2;
                seen.sound(length("payload_length") as u64 / 2);
            }
            "audio-stop" => match manners {
                Manners::HangUpAfter(_) => return None,
                Manners::Mute => {}
                Manners::Nonsense => stream.write_all(b"hello?\n").await.ok()?,
                Manners::Fine | Manners::Vllm => {
                    let data = format!("{{\"text\": \"ms{}\"}}", samples / 16);
                    let line = format!("{{\"type\": \"transcript\", \"data_length\": {}}}\n{data}", data.len());
                    stream.write_all(line.as_bytes()).await.ok()?;
                    return stream.shutdown().await.ok();
                }
            },
            _ => {}
        }
    }
}
