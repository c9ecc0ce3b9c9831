//! Vosk's server (<https://github.com/alphacep/vosk-server>, `websocket/asr_server.py`): sound as binary messages, each
//! answered by what was understood so far or, at a pause, by an utterance. The server cuts; times count from the first
//! sample of the connection.

use serde::Deserialize;

use super::dialect::{self, Dialect, Message, Output, Words, bytes, samples};
use crate::audio::RATE_HZ;

/// The server compares the text, spaces included.
const END: &str = r#"{"eof" : 1}"#;

/// Where nothing is understood so far, speech may have begun this long ago: the decoder looks ahead by some frames, and
/// a first word takes its time.
const UNSURE: u64 = 2 * RATE_HZ as u64;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Vosk {
    sent: u64,
    heard: u64,
    settled: u64,
    /// Messages that are not answered yet: sound, of this many samples, and the end, of none.
    owed: Vec<u64>,
    is_finishing: bool,
}

#[derive(Deserialize)]
struct Reply {
    partial: Option<String>,
    #[serde(flatten)]
    utterance: Utterance,
    /// Instead of the utterance, where the server was started with several.
    alternatives: Option<Vec<Utterance>>,
}

#[derive(Default, Deserialize)]
struct Utterance {
    text: Option<String>,
    #[serde(default)]
    result: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    start: f64,
    end: f64,
    conf: Option<f32>,
}

impl Dialect for Vosk {
    fn begin(&mut self) -> Vec<Message> {
        vec![Message::Text(format!(r#"{{"config":{{"sample_rate":{RATE_HZ},"words":true}}}}"#))]
    }

    /// Lock-step: whoever sends ahead only fills the server's queue.
    fn takes_sound(&self) -> bool {
        self.owed.is_empty() && !self.is_finishing
    }

    fn send(&mut self, pcm: &[i16]) -> Vec<Message> {
        self.sent += pcm.len() as u64;
        self.owed.push(pcm.len() as u64);
        vec![Message::Bytes(bytes(pcm))]
    }

    fn finish(&mut self) -> Vec<Message> {
        self.is_finishing = true;
        self.owed.push(0);
        vec![Message::Text(END.to_owned())]
    }

    fn handle(&mut self, message: Message) -> Result<Vec<Output>, String> {
        let reply: Reply = dialect::json(&message)?;
        if self.owed.is_empty() {
            return Err("it answered what nobody had said".to_owned());
        }
        self.heard += self.owed.remove(0);
        let utterance = match reply.alternatives {
            Some(alternatives) => alternatives.into_iter().next().unwrap_or_default(),
            None => reply.utterance,
        };
        let mut outputs = Vec::new();
        match (utterance.text, reply.partial) {
            (Some(text), _) => {
                let (from, to) = span(&utterance.result).unwrap_or((self.settled, self.heard));
                let from = from.clamp(self.settled, self.heard);
                let confidence = confidence(&utterance.result);
                let to = to.clamp(from, self.heard);
                outputs.push(Output::Final(Words { from, to, text, confidence, language: None }));
                self.settled = self.heard;
                outputs.push(Output::Settled(self.settled));
            }
            (None, Some(partial)) if partial.trim().is_empty() => {
                self.settled = self.settled.max(self.heard.saturating_sub(UNSURE));
                outputs.push(Output::Settled(self.settled));
            }
            (None, Some(text)) => {
                let (from, to) = (self.settled, self.heard);
                outputs.push(Output::Partial(Words { from, to, text, confidence: None, language: None }));
            }
            (None, None) => return Err("it speaks, but not as Vosk does".to_owned()),
        }
        if self.is_finishing && self.owed.is_empty() {
            outputs.push(Output::Over);
        }
        Ok(outputs)
    }
}

fn span(words: &[Word]) -> Option<(u64, u64)> {
    Some((samples(words.first()?.start), samples(words.last()?.end)))
}

fn confidence(words: &[Word]) -> Option<f32> {
    let sure: Option<Vec<f32>> = words.iter().map(|word| word.conf).collect();
    let sure = sure.filter(|sure| !sure.is_empty())?;
    Some(sure.iter().sum::<f32>() / sure.len() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(vosk: &mut Vosk, reply: &str) -> Result<Vec<Output>, String> {
        vosk.handle(Message::Text(reply.to_owned()))
    }

    #[test]
    fn a_dialogue_in_lock_step_is_understood() {
        let mut vosk = Vosk::default();
        assert_eq!(vosk.begin(), [Message::Text(r#"{"config":{"sample_rate":16000,"words":true}}"#.to_owned())]);
        assert_eq!(vosk.send(&[1, -2]), [Message::Bytes(vec![1, 0, 254, 255])]);
        assert!(!vosk.takes_sound());
        assert_eq!(said(&mut vosk, r#"{"partial" : ""}"#).unwrap(), [Output::Settled(0)]);
        vosk.send(&[0; 31_998]);
        let partial = Words { to: 32_000, text: "one two".to_owned(), ..Words::default() };
        assert_eq!(said(&mut vosk, r#"{"partial" : "one two"}"#).unwrap(), [Output::Partial(partial)]);
        vosk.send(&[0; 16_000]);
        let reply = r#"{"result" : [{"conf" : 1.0, "end" : 0.75, "start" : 0.5, "word" : "one"},
            {"conf" : 0.5, "end" : 1.25, "start" : 0.75, "word" : "two"}], "text" : "one two"}"#;
        let words =
            Words { from: 8_000, to: 20_000, text: "one two".to_owned(), confidence: Some(0.75), language: None };
        assert_eq!(said(&mut vosk, reply).unwrap(), [Output::Final(words), Output::Settled(48_000)]);
        assert!(vosk.takes_sound());
        vosk.send(&[0; 16_000]);
        assert_eq!(vosk.finish(), [Message::Text(r#"{"eof" : 1}"#.to_owned())]);
        let partial = Words { from: 48_000, to: 64_000, text: "so".to_owned(), ..Words::default() };
        assert_eq!(said(&mut vosk, r#"{"partial" : "so"}"#).unwrap(), [Output::Partial(partial)]);
        // A server that was started without word times.
        let words = Words { from: 48_000, to: 64_000, text: "so long".to_owned(), ..Words::default() };
        let last = [Output::Final(words), Output::Settled(64_000), Output::Over];
        assert_eq!(said(&mut vosk, r#"{"text" : "so long"}"#).unwrap(), last);
    }

    #[test]
    fn silence_is_settled_two_seconds_later_and_alternatives_are_the_first_one() {
        let mut vosk = Vosk::default();
        vosk.send(&[0; 48_000]);
        assert_eq!(said(&mut vosk, r#"{"partial" : ""}"#).unwrap(), [Output::Settled(16_000)]);
        vosk.send(&[0; 16_000]);
        let reply = r#"{"alternatives" : [{"confidence" : 210.5, "text" : "yes",
            "result" : [{"word" : "yes", "start" : 2.0, "end" : 2.5}]}, {"confidence" : 1.0, "text" : "yet"}]}"#;
        let words = Words { from: 32_000, to: 40_000, text: "yes".to_owned(), ..Words::default() };
        assert_eq!(said(&mut vosk, reply).unwrap(), [Output::Final(words), Output::Settled(64_000)]);
    }

    #[test]
    fn nonsense_ends_the_connection_and_impossible_times_stay_within_what_was_sent() {
        for nonsense in ["", "hello", "[]", r#"{"error" : "x"}"#, r#"{"text" : 7}"#, r#"{"partial" : "#] {
            let mut vosk = Vosk::default();
            vosk.send(&[0; 100]);
            assert!(said(&mut vosk, nonsense).is_err(), "{nonsense}");
        }
        assert!(said(&mut Vosk::default(), r#"{"partial" : ""}"#).is_err(), "nothing was sent");
        assert!(Vosk::default().handle(Message::Bytes(vec![1])).is_err());
        let mut vosk = Vosk::default();
        vosk.send(&[0; 100]);
        let reply = r#"{"text" : "x", "result" : [{"start" : 1e300, "end" : -5.0, "conf" : 1.0}]}"#;
        let words = Words { from: 100, to: 100, text: "x".to_owned(), confidence: Some(1.0), language: None };
        assert_eq!(said(&mut vosk, reply).unwrap(), [Output::Final(words), Output::Settled(100)]);
    }
}
