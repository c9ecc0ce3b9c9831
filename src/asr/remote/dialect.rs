//! What the servers' protocols have in common. A dialect is pure: messages in, words out; sound in, messages out.
//!
//! It speaks on one connection and is made anew for the next. Positions are samples that were sent on it, at
//! [`crate::audio::RATE_HZ`].

use crate::audio::RATE_HZ;

/// One message of a WebSocket, or some bytes of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Bytes(Vec<u8>),
}

/// What was said between two positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Empty: nothing was said after all.
    pub(super) text: String,
    /// 0 to 1 where the server tells.
    pub(super) confidence: Option<f32>,
    /// ISO 639-1 where the server tells.
    pub(super) language: Option<String>,
}

/// What comes of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// Words about the first sound that is not settled; they will change.
    Partial(Words),
    /// Words that stay. Finals come in order.
    Final(Words),
    /// The server could not listen to this.
    Missed {
        from: u64,
        to: u64,
    },
    /// Everything before is dealt with.
    Settled(u64),
    Send(Message),
    /// The server says nothing more here.
    Over,
}

/// A server's protocol on one connection.
pub(super) trait Dialect: Send {
    /// The first messages.
    fn begin(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// Whether the server can be sent sound now: it is not behind.
    fn takes_sound(&self) -> bool;

    /// The next sound: a stretch of speech where the server wants those, else whatever follows.
    fn send(&mut self, pcm: &[i16]) -> Vec<Message>;

    /// No more sound follows: the server shall say its last word.
    fn finish(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// Nothing was sent for some seconds.
    fn idle(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// # Errors
    /// What the server said that ends the connection: a complaint, or nonsense.
    fn handle(&mut self, message: Message) -> Result<Vec<Output>, String>;
}

/// Words longer than this nobody speaks between two pauses.
pub(super) const TEXT_MAX: usize = 64 * 1024;

/// 16-bit samples, little endian, as every server wants them.
pub(super) fn bytes(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Samples in so many seconds; nonsense is the beginning or the end of time.
pub(super) fn samples(seconds: f64) -> u64 {
    (seconds * f64::from(RATE_HZ)) as u64
}

/// What a server said, short enough for a log.
pub(super) fn quoted(said: &str) -> String {
    const CHARS_MAX: usize = 200;
    let short: String = said.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
    if said.chars().nth(CHARS_MAX).is_some() { format!("\"{short}…\"") } else { format!("\"{short}\"") }
}

/// A JSON message.
///
/// # Errors
/// It is none.
pub(super) fn json<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T, String> {
    match message {
        Message::Text(text) => {
            serde_json::from_str(text).map_err(|error| format!("it said something strange ({error}): {}", quoted(text)))
        }
        Message::Bytes(bytes) => Err(format!("it sent {} bytes where words were expected", bytes.len())),
    }
}
