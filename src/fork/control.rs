//! What gateway and worker say beside the media, and how it is framed.
//!
//! The gateway opens one bidirectional stream; each message on it is its length (4 bytes, big endian) and a JSON object.
//! A finished recording comes back on a unidirectional stream of its own: a frame with the [`Delivery`], then for each
//! of its files the bytes and their SHA-256 (32 bytes).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::Keys;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Format, Pause};
use crate::model::rtp::Side;
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, Unheard};

/// Our own protocol, beside RoQ's. A number at its end, so that two versions can be offered at once.
pub const ALPN: &[u8] = b"tandem-fork-1";

/// Longest message; all are a few hundred bytes.
pub const FRAME_MAX: usize = 64 * 1024;

/// Label of the TLS exporter (RFC 8446 section 7.5) that names a media connection: only its two ends can compute it.
pub const BINDING_LABEL: &[u8] = b"EXPORTER-tandem-fork-media";

/// Why either side ended the control connection, as QUIC's application code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The process ends.
    Leaving = 0,
    /// Somebody who does not know the token.
    WrongToken = 1,
    /// A message nobody understands.
    Nonsense = 2,
    /// The media connection did not come, or went.
    NoMedia = 3,
    /// The worker signs or seals with other keys.
    OtherKeys = 4,
}

/// The word gateways and workers share. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Gateway to worker. `Hello` comes first, `Media` second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    /// `gateway` names the data folder the recordings belong to, for as long as it exists.
    Hello {
        token: Token,
        gateway: String,
        version: String,
    },
    /// The RoQ connection whose exporter is this (hex) is mine too.
    Media {
        binding: String,
    },
    Open(Open),
    /// The side's next packets come from another encoder.
    Switch {
        flow: u64,
        side: Side,
    },
    /// `count` packets of the side were not sent.
    Gap {
        flow: u64,
        side: Side,
        count: u32,
    },
    /// So long after `Open` a pause began: nothing of it is sent, and nothing may be made up for it.
    Pause {
        flow: u64,
        at_us: u64,
    },
    Resume {
        flow: u64,
        at_us: u64,
    },
    /// The call's sound ended this long after `Open`; so many packets were sent.
    Close {
        flow: u64,
        length_us: u64,
        packets: u64,
    },
    /// The recording lies safe at the gateway; the worker's copy may go.
    Kept {
        recording: RecordingId,
    },
    /// It could not be taken; to be offered again later.
    Refused {
        recording: RecordingId,
        why: String,
    },
}

/// A call's sound begins on this flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    pub flow: u64,
    /// The customer's and the agent's.
    pub ssrc: [u32; 2],
    pub call: CallId,
    /// A call that was moved here in the middle has one recording for each piece.
    pub recording: RecordingId,
    pub started: Timestamp,
    pub format: Format,
    /// Whether what is said is to be written down too.
    pub listen: bool,
    /// What was announced before it, to stand beside the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
}

/// Worker to gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToGateway {
    Welcome {
        version: String,
        /// Whether there is a recogniser.
        listens: bool,
        /// What its recordings are signed and sealed with.
        #[serde(default)]
        keys: Keys,
    },
    /// The media connection was found; calls may be opened.
    Ready,
    Said {
        call: CallId,
        said: Said,
    },
}

/// What the recogniser says about one side of a call. Of each side that was opened to be listened to, `Ended` is the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    Segment(Segment),
    Missed(Unheard),
    Ended { speaker: Side },
}

impl Said {
    pub fn speaker(&self) -> Side {
        match self {
            Self::Segment(segment) => segment.speaker,
            Self::Missed(unheard) => unheard.speaker,
            Self::Ended { speaker } => *speaker,
        }
    }

    /// The next one says it again, and more.
    pub fn is_partial(&self) -> bool {
        matches!(self, Self::Segment(segment) if !segment.is_final)
    }
}

/// A recording on its way to the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub call: CallId,
    pub recording: RecordingId,
    pub started: Timestamp,
    pub format: Format,
    pub outcome: Outcome,
    /// In the order their bytes follow.
    pub files: Vec<FileEntry>,
}

/// How a recording ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub duration_ms: u64,
    pub gaps: u64,
    pub bytes: u64,
    pub parts: u32,
    /// Of all parts in order, as the recorder told; lower-case hex.
    pub sha256: String,
    pub pauses: Vec<Pause>,
    /// Why it was cut, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Begins with the recording's id.
    pub name: String,
    pub bytes: u64,
}

/// The control stream broke, or said something strange.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the control stream ended inside a message")]
    Cut(#[source] quinn::ReadExactError),
    #[error("the control stream broke")]
    Write(#[from] quinn::WriteError),
    #[error("a message of {0} bytes: the other side speaks another protocol")]
    TooLong(usize),
    #[error("a message that is not understood: gateway and worker must be of the same version")]
    Json(#[from] serde_json::Error),
}

/// The next message, `None` at the end of the stream.
///
/// # Errors
/// [`FrameError`]; nothing more can be read then.
pub async fn read_frame<T: DeserializeOwned>(stream: &mut quinn::RecvStream) -> Result<Option<T>, FrameError> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(FrameError::Cut(error)),
    }
    let len = u32::from_be_bytes(len) as usize;
    if len > FRAME_MAX {
        return Err(FrameError::TooLong(len));
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await.map_err(FrameError::Cut)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// # Errors
/// [`FrameError::Write`] when the connection is gone.
pub async fn write_frame(stream: &mut quinn::SendStream, message: &impl Serialize) -> Result<(), FrameError> {
    let json = serde_json::to_vec(message)?;
    let mut bytes = Vec::with_capacity(4 + json.len());
    bytes.extend_from_slice(&(json.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&json);
    Ok(stream.write_all(&bytes).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_what_another_version_will_read() {
        #[track_caller]
        fn check(message: &ToWorker, json: &str) {
            assert_eq!(serde_json::to_string(message).unwrap(), json);
            assert_eq!(&serde_json::from_str::<ToWorker>(json).unwrap(), message);
        }
        let open = Open {
            flow: 3,
            ssrc: [6, 7],
            call: CallId::parse("call_1").unwrap(),
            recording: RecordingId::parse("rec_1").unwrap(),
            started: Timestamp::from_millis(1_795_000_000_123),
            format: Format::Opus,
            listen: true,
            consent: None,
        };
        check(
            &ToWorker::Open(open),
            r#"{"type":"open","flow":3,"ssrc":[6,7],"call":"call_1","recording":"rec_1","started":"2026-11-18T11:06:40.123Z","format":"opus","listen":true}"#,
        );
        check(
            &ToWorker::Gap { flow: 3, side: Side::Agent, count: 2 },
            r#"{"type":"gap","flow":3,"side":"agent","count":2}"#,
        );
        check(&ToWorker::Pause { flow: 3, at_us: 1_500 }, r#"{"type":"pause","flow":3,"at_us":1500}"#);
        let missed = Unheard { speaker: Side::Agent, start_ms: 20, end_ms: 40 };
        let said = ToGateway::Said { call: CallId::parse("call_1").unwrap(), said: Said::Missed(missed) };
        let json =
            r#"{"type":"said","call":"call_1","said":{"kind":"missed","speaker":"agent","start_ms":20,"end_ms":40}}"#;
        assert_eq!(serde_json::to_string(&said).unwrap(), json);
        assert_eq!(serde_json::from_str::<ToGateway>(json).unwrap(), said);
        let hello = ToWorker::Hello { token: Token("hunter2".into()), gateway: "g".into(), version: "1".into() };
        check(&hello, r#"{"type":"hello","token":"hunter2","gateway":"g","version":"1"}"#);
        assert!(!format!("{hello:?}").contains("hunter2"));
        let keys = Keys { signing: Some("ab".into()), sealing: None };
        let json = r#"{"type":"welcome","version":"1","listens":true,"keys":{"signing":"ab","sealing":null}}"#;
        let welcome = ToGateway::Welcome { version: "1".into(), listens: true, keys };
        assert_eq!(serde_json::to_string(&welcome).unwrap(), json);
        assert_eq!(serde_json::from_str::<ToGateway>(json).unwrap(), welcome);
    }
}
