//! OpenAI's realtime transcription (<https://developers.openai.com/api/docs/guides/realtime-transcription>), and vLLM's
//! dialect of it (<https://docs.vllm.ai>, `entrypoints/openai/realtime`). The server's greeting tells them apart.
//!
//! We cut (`turn_detection: null`): some models do no detection of their own, silence is neither sent nor paid for, and
//! the times are ours, where the server's deltas have none. A stretch of speech goes out whole and is committed; results
//! name the item they belong to and come in any order, so they wait for those before them.

use std::collections::VecDeque;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dialect::{self, Dialect, Message, Output, TEXT_MAX, Words, bytes, quoted};
use super::upsample::upsample;

/// Stretches under way at once: more than people speak while one is transcribed.
const AT_ONCE: usize = 4;

/// Samples of one message: half a second and a bit, 32 KB of text.
const CHUNK: usize = 12_000;

/// The rate OpenAI takes; vLLM takes ours.
const OPENAI_RATE_HZ: u32 = 24_000;

/// One connection.
#[derive(Debug)]
pub(super) struct OpenAi {
    model: String,
    language: Option<String>,
    dialect: Option<Kind>,
    sent: u64,
    stretches: VecDeque<Stretch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OpenAi,
    /// 16 kHz, one stretch at a time, begun and ended by a commit; complaints are mere text.
    Vllm,
}

#[derive(Debug, Default)]
struct Stretch {
    from: u64,
    to: u64,
    /// The server's name for it, once committed.
    item: Option<String>,
    text: String,
    /// `Err`: it could not be transcribed.
    done: Option<Result<(), ()>>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    item_id: Option<String>,
    delta: Option<String>,
    transcript: Option<String>,
    text: Option<String>,
    session: Option<Value>,
    error: Option<Value>,
}

impl OpenAi {
    pub(super) fn new(model: String, language: Option<String>) -> Self {
        Self { model, language, dialect: None, sent: 0, stretches: VecDeque::new() }
    }

    /// The first message, once the server's greeting has told who it is.
    fn configure(&self, kind: Kind) -> Value {
        if kind == Kind::Vllm {
            return json!({"type": "session.update", "model": self.model});
        }
        let mut transcription = json!({"model": self.model});
        if let Some(language) = &self.language {
            transcription["language"] = json!(language);
        }
        let format = json!({"type": "audio/pcm", "rate": OPENAI_RATE_HZ});
        let input = json!({"format": format, "transcription": transcription, "turn_detection": null});
        json!({"type": "session.update", "session": {"type": "transcription", "audio": {"input": input}}})
    }

    /// The stretch a result is about. vLLM has one at a time and no names.
    fn stretch(&mut self, item: Option<&str>) -> Option<(usize, &mut Stretch)> {
        let is_vllm = self.dialect == Some(Kind::Vllm);
        let mut all = self.stretches.iter_mut().enumerate();
        all.find(|(_, stretch)| is_vllm || (item.is_some() && stretch.item.as_deref() == item))
    }

    fn grow(&mut self, item: Option<&str>, delta: &str) -> Result<Vec<Output>, String> {
        let Some((place, stretch)) = self.stretch(item) else { return Ok(Vec::new()) };
        if stretch.done.is_some() {
            return Ok(Vec::new());
        }
        stretch.text.push_str(delta);
        if stretch.text.len() > TEXT_MAX {
            return Err("its transcript does not end".to_owned());
        }
        // Words about a later stretch wait for their turn.
        Ok(if place == 0 { vec![Output::Partial(stretch.words())] } else { Vec::new() })
    }

    fn end(&mut self, item: Option<&str>, text: Result<String, ()>) -> Vec<Output> {
        let Some((_, stretch)) = self.stretch(item) else { return Vec::new() };
        stretch.done = Some(text.map(|text| stretch.text = text));
        let mut outputs = Vec::new();
        while let Some(done) = self.stretches.front().and_then(|stretch| stretch.done) {
            let Some(stretch) = self.stretches.pop_front() else { break };
            outputs.push(match done {
                Ok(()) => Output::Final(stretch.words()),
                Err(()) => Output::Missed { from: stretch.from, to: stretch.to },
            });
            outputs.push(Output::Settled(stretch.to));
        }
        outputs
    }
}

impl Stretch {
    fn words(&self) -> Words {
        Words { from: self.from, to: self.to, text: self.text.clone(), confidence: None, language: None }
    }
}

impl Dialect for OpenAi {
    fn takes_sound(&self) -> bool {
        match self.dialect {
            None => false,
            Some(Kind::OpenAi) => self.stretches.len() < AT_ONCE,
            Some(Kind::Vllm) => self.stretches.is_empty(),
        }
    }

    fn send(&mut self, pcm: &[i16]) -> Vec<Message> {
        let from = self.sent;
        self.sent += pcm.len() as u64;
        self.stretches.push_back(Stretch { from, to: self.sent, ..Stretch::default() });
        let commit = "input_audio_buffer.commit";
        let append = |pcm: &[i16]| {
            let sound = BASE64_STANDARD.encode(bytes(pcm));
            json!({"type": "input_audio_buffer.append", "audio": sound})
        };
        let mut messages = Vec::new();
        if self.dialect == Some(Kind::Vllm) {
            messages.push(json!({"type": commit, "final": false}));
            messages.extend(pcm.chunks(CHUNK).map(append));
            messages.push(json!({"type": commit, "final": true}));
        } else {
            messages.extend(upsample(pcm).chunks(CHUNK).map(append));
            messages.push(json!({"type": commit}));
        }
        messages.iter().map(|message| Message::Text(message.to_string())).collect()
    }

    fn handle(&mut self, message: Message) -> Result<Vec<Output>, String> {
        let event: Event = dialect::json(&message)?;
        let item = event.item_id.as_deref();
        match event.kind.as_str() {
            "session.created" if self.dialect.is_none() => {
                // Only OpenAI describes the session it has begun.
                let kind =
                    if event.session.is_some_and(|session| session.is_object()) { Kind::OpenAi } else { Kind::Vllm };
                self.dialect = Some(kind);
                Ok(vec![Output::Send(Message::Text(self.configure(kind).to_string()))])
            }
            // Items are committed in the order of our commits.
            "input_audio_buffer.committed" => {
                let unnamed = self.stretches.iter_mut().find(|stretch| stretch.item.is_none());
                if let (Some(stretch), Some(item)) = (unnamed, event.item_id) {
                    stretch.item = Some(item);
                }
                Ok(Vec::new())
            }
            "conversation.item.input_audio_transcription.delta" | "transcription.delta" => {
                self.grow(item, &event.delta.unwrap_or_default())
            }
            "conversation.item.input_audio_transcription.completed" => {
                let text = event.transcript.ok_or("its transcript has no text")?;
                Ok(self.end(item, Ok(text)))
            }
            "transcription.done" => Ok(self.end(item, Ok(event.text.ok_or("its transcript has no text")?))),
            "conversation.item.input_audio_transcription.failed" => {
                tracing::warn!(
                    why = complaint(event.error.as_ref()),
                    "the speech recogniser failed on a stretch of speech"
                );
                Ok(self.end(item, Err(())))
            }
            "error" => Err(format!("it complains: {}", complaint(event.error.as_ref()))),
            _ => Ok(Vec::new()),
        }
    }
}

/// OpenAI's is an object with a message, vLLM's mere text.
fn complaint(error: Option<&Value>) -> String {
    let said = error.and_then(|error| error.as_str().or_else(|| error.get("message")?.as_str()));
    said.map_or_else(|| "nothing said why".to_owned(), quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = r#"{"type":"session.created","event_id":"e","session":{"type":"transcription","id":"s"}}"#;
    const VLLM: &str = r#"{"type":"session.created","id":"sess-1","created":1}"#;

    fn said(openai: &mut OpenAi, message: &str) -> Result<Vec<Output>, String> {
        openai.handle(Message::Text(message.to_owned()))
    }

    /// After the greeting.
    fn greeted(greeting: &str) -> OpenAi {
        let mut openai = OpenAi::new("m".to_owned(), Some("en".to_owned()));
        said(&mut openai, greeting).unwrap();
        openai
    }

    fn about(kind: &str, item: &str, more: &str) -> String {
        let kind = format!("conversation.item.input_audio_transcription.{kind}");
        format!(r#"{{"type":"{kind}","event_id":"e","item_id":"{item}","content_index":0{more}}}"#)
    }

    fn committed(item: &str) -> String {
        format!(
            r#"{{"type":"input_audio_buffer.committed","event_id":"e","previous_item_id":null,"item_id":"{item}"}}"#
        )
    }

    fn words(from: u64, to: u64, text: &str) -> Words {
        Words { from, to, text: text.to_owned(), ..Words::default() }
    }

    fn sent(messages: &[Message]) -> Vec<Value> {
        let text = |message: &Message| match message {
            Message::Text(text) => serde_json::from_str(text).unwrap(),
            Message::Bytes(_) => panic!("all is JSON"),
        };
        messages.iter().map(text).collect()
    }

    fn sound(messages: &[Value]) -> Vec<u8> {
        let sound = messages.iter().filter_map(|message| message["audio"].as_str());
        sound.flat_map(|sound| BASE64_STANDARD.decode(sound).unwrap()).collect()
    }

    #[test]
    fn openai_is_greeted_back_and_gets_24_khz_in_pieces_and_a_commit() {
        let mut openai = OpenAi::new("gpt-4o-transcribe".to_owned(), Some("en".to_owned()));
        assert!(openai.begin().is_empty() && !openai.takes_sound());
        let [Output::Send(update)] = &said(&mut openai, OPENAI).unwrap()[..] else { panic!() };
        let want = json!({"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
            "format": {"type": "audio/pcm", "rate": 24_000}, "turn_detection": null,
            "transcription": {"model": "gpt-4o-transcribe", "language": "en"}}}}});
        assert_eq!(sent(std::slice::from_ref(update)), [want]);
        assert!(openai.takes_sound());
        let pcm: Vec<i16> = (0..16_000).collect();
        let messages = sent(&openai.send(&pcm));
        let kinds: Vec<_> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
        let append = "input_audio_buffer.append";
        assert_eq!(kinds, [append, append, "input_audio_buffer.commit"]);
        assert_eq!(sound(&messages), bytes(&upsample(&pcm)));
    }

    #[test]
    fn results_that_come_in_another_order_are_told_in_the_order_of_the_commits() {
        let mut openai = greeted(OPENAI);
        for (samples, item) in [(100, "a"), (200, "b"), (300, "c"), (400, "d")] {
            assert!(openai.takes_sound());
            openai.send(&vec![0; samples]);
            assert_eq!(said(&mut openai, &committed(item)), Ok(vec![]));
        }
        assert!(!openai.takes_sound(), "four are under way");
        assert_eq!(said(&mut openai, &about("delta", "b", r#","delta":"Sec""#)), Ok(vec![]));
        let partial = said(&mut openai, &about("delta", "a", r#","delta":"Fir""#));
        assert_eq!(partial, Ok(vec![Output::Partial(words(0, 100, "Fir"))]));
        let grown = said(&mut openai, &about("delta", "a", r#","delta":"st.""#));
        assert_eq!(grown, Ok(vec![Output::Partial(words(0, 100, "First."))]));
        assert_eq!(said(&mut openai, &about("completed", "b", r#","transcript":"Second.""#)), Ok(vec![]));
        assert_eq!(said(&mut openai, &about("failed", "c", r#","error":{"message":"no"}"#)), Ok(vec![]));
        let all = said(&mut openai, &about("completed", "a", r#","transcript":"First.","usage":{}"#)).unwrap();
        let want = [
            Output::Final(words(0, 100, "First.")),
            Output::Settled(100),
            Output::Final(words(100, 300, "Second.")),
            Output::Settled(300),
            Output::Missed { from: 300, to: 600 },
            Output::Settled(600),
        ];
        assert_eq!(all, want);
        // Again, or about what nobody said.
        for item in ["a", "c", "z"] {
            assert_eq!(said(&mut openai, &about("completed", item, r#","transcript":"x""#)), Ok(vec![]));
        }
        let last = said(&mut openai, &about("completed", "d", r#","transcript":"""#)).unwrap();
        assert_eq!(last, [Output::Final(words(600, 1_000, "")), Output::Settled(1_000)]);
    }

    #[test]
    fn vllm_gets_16_khz_one_stretch_at_a_time_between_two_commits() {
        let mut vllm = OpenAi::new("voxtral".to_owned(), Some("en".to_owned()));
        let [Output::Send(update)] = &said(&mut vllm, VLLM).unwrap()[..] else { panic!() };
        assert_eq!(sent(std::slice::from_ref(update)), [json!({"type": "session.update", "model": "voxtral"})]);
        let messages = sent(&vllm.send(&[1, -2, 3]));
        let commit = |is_final: bool| json!({"type": "input_audio_buffer.commit", "final": is_final});
        assert_eq!((&messages[0], &messages[2], messages.len()), (&commit(false), &commit(true), 3));
        assert_eq!(sound(&messages), bytes(&[1, -2, 3]));
        assert!(!vllm.takes_sound());
        let partial = said(&mut vllm, r#"{"type":"transcription.delta","delta":"Hi"}"#);
        assert_eq!(partial, Ok(vec![Output::Partial(words(0, 3, "Hi"))]));
        let done = said(&mut vllm, r#"{"type":"transcription.done","text":"Hi.","usage":{}}"#);
        assert_eq!(done, Ok(vec![Output::Final(words(0, 3, "Hi.")), Output::Settled(3)]));
        assert!(vllm.takes_sound());
        let late = said(&mut vllm, r#"{"type":"transcription.done","text":"Hi."}"#);
        assert_eq!(late, Ok(vec![]));
    }

    #[test]
    fn complaints_and_nonsense_end_the_connection() {
        #[track_caller]
        fn check(message: &str, says: &str) {
            let mut openai = greeted(OPENAI);
            openai.send(&[0; 10]);
            said(&mut openai, &committed("a")).unwrap();
            let error = said(&mut openai, message).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        check("hello", "strange");
        check("{}", "strange");
        check(
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such model"}}"#,
            "\"no such model\"",
        );
        check(
            r#"{"type":"error","error":"Model not validated.","code":"model_not_validated"}"#,
            "\"Model not validated.\"",
        );
        check(r#"{"type":"error"}"#, "nothing said why");
        check(&about("completed", "a", ""), "no text");
        check(&about("delta", "a", &format!(r#","delta":"{}""#, "x".repeat(TEXT_MAX + 1))), "does not end");
        assert!(greeted(OPENAI).handle(Message::Bytes(vec![1])).is_err());
        // A second greeting changes nothing.
        assert_eq!(said(&mut greeted(OPENAI), VLLM), Ok(vec![]));
    }
}
