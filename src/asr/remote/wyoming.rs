//! Wyoming (<https://github.com/OHF-Voice/wyoming>), as `wyoming-faster-whisper` and others speak it over TCP: a line of
//! JSON, more JSON and a payload. A stretch of speech goes out whole and comes back as text.
//!
//! One stretch a connection: servers close it after the transcript or leave it open as they like, and a new one in a
//! local network costs a millisecond. There is no authentication and no encryption: trusted networks only.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Message, Output, TEXT_MAX, Words, bytes, quoted};
use crate::audio::RATE_HZ;

/// Longer lines, data and payloads no recogniser sends.
const PART_MAX: usize = 1024 * 1024;

/// Samples of one `audio-chunk`: 1 s.
const CHUNK: usize = RATE_HZ as usize;

/// One connection.
#[derive(Debug)]
pub(super) struct Wyoming {
    language: Option<String>,
    sent: u64,
    is_owed: bool,
    /// What was transcribed so far, from servers that tell.
    text: String,
    /// Bytes that are no whole event yet.
    unread: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    data: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_length: Option<usize>,
}

impl Wyoming {
    pub(super) fn new(language: Option<String>) -> Self {
        Self { language, sent: 0, is_owed: false, text: String::new(), unread: Vec::new() }
    }

    fn words(&self, text: String, language: Option<String>) -> Words {
        Words { from: 0, to: self.sent, text, confidence: None, language }
    }

    fn take(&mut self, event: &Header) -> Result<Vec<Output>, String> {
        let text = |key: &str| event.data.get(key).and_then(Value::as_str);
        match event.kind.as_str() {
            "transcript" if self.is_owed => {
                self.is_owed = false;
                let said = text("text").ok_or("its transcript has no text")?.to_owned();
                let words = self.words(said, text("language").map(str::to_owned));
                Ok(vec![Output::Final(words), Output::Settled(self.sent), Output::Over])
            }
            "transcript-chunk" if self.is_owed => {
                self.text.push_str(text("text").unwrap_or_default());
                if self.text.len() > TEXT_MAX {
                    return Err("its transcript does not end".to_owned());
                }
                Ok(vec![Output::Partial(self.words(self.text.clone(), None))])
            }
            "error" => Err(format!("it complains: {}", quoted(text("text").unwrap_or("nothing said why")))),
            _ => Ok(Vec::new()),
        }
    }
}

impl Dialect for Wyoming {
    fn takes_sound(&self) -> bool {
        self.sent == 0
    }

    fn send(&mut self, pcm: &[i16]) -> Vec<Message> {
        self.sent += pcm.len() as u64;
        self.is_owed = true;
        let language = self.language.as_ref().map(|language| ("language".to_owned(), json!(language)));
        let format =
            || Map::from_iter([("rate", json!(RATE_HZ)), ("width", json!(2)), ("channels", json!(1))].map(owned));
        let mut out = event("transcribe", language.into_iter().collect(), &[]);
        out.extend(event("audio-start", format(), &[]));
        for chunk in pcm.chunks(CHUNK) {
            out.extend(event("audio-chunk", format(), &bytes(chunk)));
        }
        out.extend(event("audio-stop", Map::new(), &[]));
        vec![Message::Bytes(out)]
    }

    fn handle(&mut self, message: Message) -> Result<Vec<Output>, String> {
        match message {
            Message::Bytes(bytes) => self.unread.extend(bytes),
            Message::Text(text) => self.unread.extend(text.into_bytes()),
        }
        let mut outputs = Vec::new();
        while let Some((event, length)) = read(&self.unread)? {
            self.unread.drain(..length);
            outputs.extend(self.take(&event)?);
        }
        Ok(outputs)
    }
}

fn owned((key, value): (&str, Value)) -> (String, Value) {
    (key.to_owned(), value)
}

fn event(kind: &str, data: Map<String, Value>, payload: &[u8]) -> Vec<u8> {
    let payload_length = (!payload.is_empty()).then_some(payload.len());
    let header = Header { kind: kind.to_owned(), data, data_length: None, payload_length };
    let mut out = serde_json::to_vec(&header).expect("names and numbers become JSON");
    out.push(b'\n');
    out.extend(payload);
    out
}

/// The first event and its length; `None` if it is not whole yet.
fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, String> {
    let Some(line) = bytes.iter().take(PART_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < PART_MAX { Ok(None) } else { Err("it says a line without an end".to_owned()) };
    };
    let strange = |error: serde_json::Error| {
        format!("it said something strange ({error}): {}", quoted(&String::from_utf8_lossy(&bytes[..line])))
    };
    let mut header: Header = serde_json::from_slice(&bytes[..line]).map_err(strange)?;
    let (data, payload) = (header.data_length.unwrap_or(0), header.payload_length.unwrap_or(0));
    if data > PART_MAX || payload > PART_MAX {
        return Err(format!("it announces {} bytes of {}", data.saturating_add(payload), quoted(&header.kind)));
    }
    let end = line + 1 + data;
    if bytes.len() < end + payload {
        return Ok(None);
    }
    if data > 0 {
        let more: Map<String, Value> = serde_json::from_slice(&bytes[line + 1..end]).map_err(strange)?;
        header.data.extend(more);
    }
    Ok(Some((header, end + payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owing() -> Wyoming {
        let mut wyoming = Wyoming::new(Some("en".to_owned()));
        wyoming.send(&[0; 100]);
        wyoming
    }

    fn said(wyoming: &mut Wyoming, bytes: &[u8]) -> Result<Vec<Output>, String> {
        wyoming.handle(Message::Bytes(bytes.to_vec()))
    }

    /// As the Python library writes it: the data behind the line.
    fn python(kind: &str, data: &str) -> Vec<u8> {
        let length = data.len();
        format!("{{\"type\": \"{kind}\", \"version\": \"1.10.2\", \"data_length\": {length}}}\n{data}").into_bytes()
    }

    #[test]
    fn a_stretch_goes_out_whole_and_comes_back_as_text() {
        let mut wyoming = Wyoming::new(Some("en".to_owned()));
        assert!(wyoming.takes_sound());
        let messages = wyoming.send(&vec![7; CHUNK + 1]);
        assert!(!wyoming.takes_sound());
        let [Message::Bytes(out)] = &messages[..] else { panic!("{messages:?}") };
        let (mut rest, mut kinds, mut sound) = (&out[..], Vec::new(), Vec::new());
        while let Some((event, length)) = read(rest).unwrap() {
            sound.extend_from_slice(&rest[length - event.payload_length.unwrap_or(0)..length]);
            kinds.push((event.kind, Value::Object(event.data)));
            rest = &rest[length..];
        }
        let format = json!({"rate": 16_000, "width": 2, "channels": 1});
        let want = [
            ("transcribe".to_owned(), json!({"language": "en"})),
            ("audio-start".to_owned(), format.clone()),
            ("audio-chunk".to_owned(), format.clone()),
            ("audio-chunk".to_owned(), format),
            ("audio-stop".to_owned(), json!({})),
        ];
        assert_eq!((kinds, rest), (want.to_vec(), &[][..]));
        assert_eq!(sound, bytes(&vec![7; CHUNK + 1]));

        let words = Words { to: CHUNK as u64 + 1, text: "Grüß Gott.".to_owned(), ..Words::default() };
        let reply = python("transcript", "{\"text\": \"Grüß Gott.\"}");
        // However the network cuts it.
        let (last, first) = reply.split_last().unwrap();
        for byte in first {
            assert_eq!(said(&mut wyoming, &[*byte]), Ok(vec![]));
        }
        let settled = Output::Settled(CHUNK as u64 + 1);
        assert_eq!(said(&mut wyoming, &[*last]), Ok(vec![Output::Final(words), settled, Output::Over]));
    }

    #[test]
    fn a_server_that_tells_early_is_followed() {
        let mut wyoming = owing();
        let all = [
            python("transcript-start", "{\"language\": \"en\"}"),
            python("transcript-chunk", "{\"text\": \"One\"}"),
            python("transcript-chunk", "{\"text\": \" two\"}"),
            b"{\"type\":\"transcript\",\"data\":{\"text\":\"One, two.\",\"language\":\"en\"},\"payload_length\":3}\nxyz".to_vec(),
            python("transcript-stop", "{}"),
        ];
        let outputs = said(&mut wyoming, &all.concat()).unwrap();
        let words = |text: &str| Words { to: 100, text: text.to_owned(), ..Words::default() };
        let whole = Words { language: Some("en".to_owned()), ..words("One, two.") };
        let want = [
            Output::Partial(words("One")),
            Output::Partial(words("One two")),
            Output::Final(whole),
            Output::Settled(100),
            Output::Over,
        ];
        assert_eq!(outputs, want);
    }

    #[test]
    fn complaints_and_nonsense_end_the_connection() {
        #[track_caller]
        fn check(bytes: &[u8], says: &str) {
            let error = said(&mut owing(), bytes).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        check(b"hello\n", "strange");
        check(b"{\"type\":7}\n", "strange");
        check(b"{\"type\":\"x\",\"data_length\":2}\n[]", "strange");
        check(b"{\"type\":\"x\",\"payload_length\":99999999999}\n", "announces");
        check(b"{\"type\":\"x\",\"data_length\":18446744073709551615,\"payload_length\":1}\n", "announces");
        check(&vec![b'x'; PART_MAX], "without an end");
        check(b"{\"type\":\"transcript\"}\n", "no text");
        check(&python("error", "{\"text\": \"out of memory\", \"code\": \"oom\"}"), "\"out of memory\"");
        check(&python("transcript-chunk", &format!("{{\"text\": \"{}\"}}", "x".repeat(TEXT_MAX + 1))), "does not end");
        // What nobody asked for says nothing.
        assert_eq!(Wyoming::new(None).handle(Message::Bytes(python("transcript", "{\"text\": \"x\"}"))), Ok(vec![]));
    }
}
