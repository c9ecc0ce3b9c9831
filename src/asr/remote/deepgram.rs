//! Deepgram's live recognition (<https://developers.deepgram.com/reference/speech-to-text/listen-streaming>): all sound
//! as binary messages, results for stretch after stretch. The server cuts; times count from the first sample of the
//! connection.
//!
//! One connection a leg, not one a call with two channels: legs end, break and are made up for by themselves, and the
//! price is by channel either way.

use serde::Deserialize;

use super::dialect::{self, Dialect, Message, Output, Words, bytes, quoted, samples};
use crate::audio::RATE_HZ;

/// So far the server may be behind before it is spared more sound: a call never gets there, a recording does, and the
/// service asks not to be flooded.
const BEHIND_MAX: u64 = 10 * RATE_HZ as u64;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Deepgram {
    sent: u64,
    heard: u64,
    settled: u64,
    /// Everything before was asked to be settled at once.
    flushed: u64,
    is_finishing: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Event {
    Results(Results),
    Metadata,
    Error {
        #[serde(default)]
        description: String,
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Results {
    start: f64,
    duration: f64,
    is_final: bool,
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    alternatives: Vec<Alternative>,
}

#[derive(Default, Deserialize)]
struct Alternative {
    transcript: String,
    confidence: Option<f32>,
    #[serde(default)]
    words: Vec<Word>,
    /// The commonest first, where several were asked for.
    #[serde(default)]
    languages: Vec<String>,
}

#[derive(Deserialize)]
struct Word {
    start: f64,
    end: f64,
}

/// The address's query: how the sound is coded and what is wanted.
pub(super) fn query(model: &str, language: Option<&str>, partials: bool) -> Vec<(&'static str, String)> {
    vec![
        ("model", model.to_owned()),
        ("language", language.unwrap_or("multi").to_owned()),
        ("encoding", "linear16".to_owned()),
        ("sample_rate", RATE_HZ.to_string()),
        ("channels", "1".to_owned()),
        ("punctuate", "true".to_owned()),
        ("interim_results", partials.to_string()),
        // A pause between words, in ms: sentences then come soon after they end.
        ("endpointing", "300".to_owned()),
    ]
}

impl Dialect for Deepgram {
    fn takes_sound(&self) -> bool {
        !self.is_finishing && self.sent - self.heard < BEHIND_MAX
    }

    fn send(&mut self, pcm: &[i16]) -> Vec<Message> {
        self.sent += pcm.len() as u64;
        vec![Message::Bytes(bytes(pcm))]
    }

    fn finish(&mut self) -> Vec<Message> {
        self.is_finishing = true;
        vec![order("CloseStream")]
    }

    /// A pause of the call is no end: without sound the server hangs up after ten seconds (NET-0001), and holds back what
    /// it is not sure of.
    fn idle(&mut self) -> Vec<Message> {
        let mut messages = vec![order("KeepAlive")];
        if self.flushed < self.sent && self.settled < self.sent {
            self.flushed = self.sent;
            messages.push(order("Finalize"));
        }
        messages
    }

    fn handle(&mut self, message: Message) -> Result<Vec<Output>, String> {
        match dialect::json(&message)? {
            Event::Results(results) => Ok(self.take(results)),
            // Sent once, after the last results.
            Event::Metadata if self.is_finishing => Ok(vec![Output::Over]),
            Event::Error { description, message } => {
                Err(format!("it complains: {}", quoted(if description.is_empty() { &message } else { &description })))
            }
            Event::Metadata | Event::Other => Ok(Vec::new()),
        }
    }
}

impl Deepgram {
    fn take(&mut self, results: Results) -> Vec<Output> {
        let begin = samples(results.start).clamp(self.settled, self.sent.max(self.settled));
        let end = samples(results.start + results.duration).clamp(begin, self.sent.max(begin));
        self.heard = self.heard.max(end);
        let best = results.channel.alternatives.into_iter().next().unwrap_or_default();
        let edges = best.words.first().zip(best.words.last());
        let (from, to) = edges.map_or((begin, end), |(first, last)| (samples(first.start), samples(last.end)));
        let from = from.clamp(begin, end);
        let words = Words {
            from,
            to: to.clamp(from, end),
            text: best.transcript,
            confidence: best.confidence,
            language: best.languages.into_iter().next(),
        };
        if !results.is_final {
            return if words.text.trim().is_empty() { Vec::new() } else { vec![Output::Partial(words)] };
        }
        self.settled = end;
        vec![Output::Final(words), Output::Settled(end)]
    }
}

fn order(word: &str) -> Message {
    Message::Text(format!(r#"{{"type":"{word}"}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(deepgram: &mut Deepgram, message: &str) -> Result<Vec<Output>, String> {
        deepgram.handle(Message::Text(message.to_owned()))
    }

    fn results(start: f64, duration: f64, is_final: bool, text: &str, words: &str) -> String {
        format!(
            r#"{{"type":"Results","channel_index":[0,1],"start":{start},"duration":{duration},"is_final":{is_final},
            "speech_final":{is_final},"from_finalize":false,"metadata":{{"request_id":"r"}},"channel":{{"alternatives":
            [{{"transcript":"{text}","confidence":0.875,"words":[{words}]}}]}}}}"#
        )
    }

    const WORDS: &str = r#"{"word":"hello","punctuated_word":"Hello","start":0.5,"end":1.0,"confidence":0.9},
        {"word":"there","punctuated_word":"there.","start":1.0,"end":1.5,"confidence":0.85}"#;

    #[test]
    fn a_dialogue_is_understood() {
        let mut deepgram = Deepgram::default();
        assert_eq!(deepgram.send(&[1, -2]), [Message::Bytes(vec![1, 0, 254, 255])]);
        deepgram.send(&[0; 47_998]);
        assert_eq!(said(&mut deepgram, r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":0.5}"#), Ok(vec![]));
        assert_eq!(said(&mut deepgram, &results(0.0, 1.0, false, "", "")), Ok(vec![]));
        let words =
            Words { from: 8_000, to: 24_000, text: "Hello there.".to_owned(), confidence: Some(0.875), language: None };
        let interim = said(&mut deepgram, &results(0.0, 2.0, false, "Hello there.", WORDS)).unwrap();
        assert_eq!(interim, [Output::Partial(words.clone())]);
        let last = said(&mut deepgram, &results(0.0, 2.5, true, "Hello there.", WORDS)).unwrap();
        assert_eq!(last, [Output::Final(words), Output::Settled(40_000)]);
        assert_eq!(said(&mut deepgram, r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.5}"#), Ok(vec![]));
        // A pause: what is held back comes, once.
        let alive = Message::Text(r#"{"type":"KeepAlive"}"#.to_owned());
        assert_eq!(deepgram.idle(), [alive.clone(), Message::Text(r#"{"type":"Finalize"}"#.to_owned())]);
        assert_eq!(deepgram.idle(), [alive]);
        let silence = said(&mut deepgram, &results(2.5, 0.5, true, "", "")).unwrap();
        assert_eq!(silence[1], Output::Settled(48_000));
        // Metadata also comes at other times.
        assert_eq!(said(&mut deepgram, r#"{"type":"Metadata","duration":3.0}"#), Ok(vec![]));
        assert_eq!(deepgram.finish(), [Message::Text(r#"{"type":"CloseStream"}"#.to_owned())]);
        assert_eq!(said(&mut deepgram, r#"{"type":"Metadata","duration":3.0}"#), Ok(vec![Output::Over]));
    }

    #[test]
    fn a_server_that_is_behind_is_spared() {
        let mut deepgram = Deepgram::default();
        deepgram.send(&vec![0; BEHIND_MAX as usize]);
        assert!(!deepgram.takes_sound());
        said(&mut deepgram, &results(0.0, 1.0, false, "so", "")).unwrap();
        assert!(deepgram.takes_sound());
    }

    #[test]
    fn complaints_and_nonsense_end_the_connection_and_impossible_times_stay_within_what_was_sent() {
        for nonsense in ["", "hello", "7", r#"{"type":"Results"}"#, r#"{"type":"Results","start":"x"}"#] {
            assert!(said(&mut Deepgram::default(), nonsense).is_err(), "{nonsense}");
        }
        let complaint = r#"{"type":"Error","description":"No audio","message":"m","variant":"v"}"#;
        assert_eq!(said(&mut Deepgram::default(), complaint), Err("it complains: \"No audio\"".to_owned()));
        let mut deepgram = Deepgram::default();
        deepgram.send(&[0; 100]);
        for (start, duration) in [(1e300, 1e300), (-4.0, 1e9), (0.0, 50.0)] {
            let outputs = said(&mut deepgram, &results(start, duration, true, "x", WORDS)).unwrap();
            assert_eq!(outputs[1], Output::Settled(100));
            let Output::Final(words) = &outputs[0] else { panic!("{outputs:?}") };
            assert!(words.from <= words.to && words.to <= 100, "{words:?}");
        }
        let empty = r#"{"type":"Results","start":0,"duration":0,"is_final":true,"channel":{"alternatives":[]}}"#;
        assert!(said(&mut deepgram, empty).is_ok());
    }
}
