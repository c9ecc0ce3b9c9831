//! What is said on a Twilio-compatible media stream: JSON messages, sound as base64.
//!
//! Names and shapes are those of Twilio's "Media Streams – WebSocket messages"
//! (<https://www.twilio.com/docs/voice/media-streams/websocket-messages>): counters and times are strings, `inbound` is
//! what the customer says, `outbound` what the customer hears. `audio/x-l16` at 16 kHz is an extension in
//! `mediaFormat`; its samples are big endian (RFC 2586). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::audio::halve::Halver;
use crate::audio::{Block, RATE_HZ, mulaw};
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::words;

words! {
    /// How sound is written on a media stream.
    Encoding {
        /// µ-law at 8 kHz, which everybody takes.
        Mulaw = "mulaw",
        /// 16 bits, big endian, at 16 kHz: all that WhatsApp carries.
        L16 = "l16",
    }
}

words! {
    /// Whose sound is sent.
    Tracks {
        Both = "both",
        /// The customer's.
        Inbound = "inbound",
        /// The agent's, and whatever else the customer hears.
        Outbound = "outbound",
    }
}

/// 20 ms at 16 kHz.
const FRAME: usize = 320;

/// One stream, from its first word to its last.
#[derive(Debug)]
pub(super) struct Talk {
    stream: String,
    call: CallId,
    encoding: Encoding,
    tracks: Vec<Track>,
    sequence: u64,
    /// Where the call's sound is expected to go on.
    next_sample: u64,
}

#[derive(Debug)]
struct Track {
    side: Side,
    chunk: u64,
    halver: Halver,
    /// Samples at 16 kHz that do not fill a frame yet.
    waiting: Vec<i16>,
}

impl Talk {
    /// `stream` names it; a stream that was cut goes on as another one.
    pub(super) fn new(stream: String, call: CallId, encoding: Encoding, tracks: Tracks) -> Self {
        let sides: &[Side] = match tracks {
            Tracks::Both => &[Side::Customer, Side::Agent],
            Tracks::Inbound => &[Side::Customer],
            Tracks::Outbound => &[Side::Agent],
        };
        let track = |&side| Track { side, chunk: 0, halver: Halver::default(), waiting: Vec::new() };
        Self { stream, call, encoding, tracks: sides.iter().map(track).collect(), sequence: 0, next_sample: 0 }
    }

    /// The two messages a stream begins with.
    pub(super) fn begin(&mut self) -> [String; 2] {
        let format = match self.encoding {
            Encoding::Mulaw => json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}),
            Encoding::L16 => json!({"encoding": "audio/x-l16", "sampleRate": RATE_HZ, "channels": 1}),
        };
        let tracks: Vec<&str> = self.tracks.iter().map(|track| name(track.side)).collect();
        let start = json!({
            "event": "start",
            "sequenceNumber": self.count(),
            "start": {
                "accountSid": ACCOUNT, "streamSid": self.stream, "callSid": self.call,
                "tracks": tracks, "mediaFormat": format, "customParameters": {},
            },
            "streamSid": self.stream,
        });
        [json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string(), start.to_string()]
    }

    /// The block's sound in messages of 20 ms. Times count from the beginning of the call's sound, also after a hole.
    pub(super) fn media(&mut self, block: &Block) -> Vec<String> {
        let mut messages = Vec::new();
        if block.first_sample != self.next_sample {
            for track in &mut self.tracks {
                track.waiting.clear();
                track.halver = Halver::default();
            }
        }
        let waiting = self.tracks.first().map_or(0, |track| track.waiting.len());
        let first = block.first_sample.saturating_sub(waiting as u64);
        for track in &mut self.tracks {
            track.waiting.extend(block.samples.iter().map(|frame| frame[track.side as usize]));
        }
        self.next_sample = block.first_sample + block.samples.len() as u64;
        for frame in 0..(waiting + block.samples.len()) / FRAME {
            let timestamp = (first + (frame * FRAME) as u64) * 1000 / u64::from(RATE_HZ);
            for track in 0..self.tracks.len() {
                let sequence = self.count();
                let track = &mut self.tracks[track];
                track.chunk += 1;
                let payload = track.write(self.encoding);
                messages.push(
                    json!({
                        "event": "media",
                        "sequenceNumber": sequence,
                        "media": {
                            "track": name(track.side), "chunk": track.chunk.to_string(),
                            "timestamp": timestamp.to_string(), "payload": payload,
                        },
                        "streamSid": self.stream,
                    })
                    .to_string(),
                );
            }
        }
        messages
    }

    pub(super) fn stop(&mut self) -> String {
        json!({
            "event": "stop",
            "sequenceNumber": self.count(),
            "stop": {"accountSid": ACCOUNT, "callSid": self.call},
            "streamSid": self.stream,
        })
        .to_string()
    }

    fn count(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

/// We are nobody's account.
const ACCOUNT: &str = "tandem";

impl Track {
    /// The next 20 ms as a payload.
    fn write(&mut self, encoding: Encoding) -> String {
        let frame = self.waiting.drain(..FRAME);
        let bytes: Vec<u8> = match encoding {
            Encoding::L16 => frame.flat_map(i16::to_be_bytes).collect(),
            Encoding::Mulaw => {
                let mut halved = Vec::with_capacity(FRAME / 2);
                self.halver.push(frame, &mut halved);
                halved.into_iter().map(mulaw::encode).collect()
            }
        };
        STANDARD.encode(bytes)
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Customer => "inbound",
        Side::Agent => "outbound",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::model::rtp::TapKey;

    fn talk(encoding: Encoding, tracks: Tracks) -> Talk {
        Talk::new("MZ1".to_owned(), CallId::parse("call_1").unwrap(), encoding, tracks)
    }

    fn block(first_sample: u64, samples: usize) -> Block {
        Block { tap: TapKey(1), first_sample, samples: vec![[1_000, -2]; samples] }
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_messages_are_twilios_to_the_letter() {
        let mut talk = talk(Encoding::Mulaw, Tracks::Both);
        let [connected, start] = talk.begin();
        assert_eq!(read(&connected), json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
        assert_eq!(
            read(&start),
            json!({
                "event": "start", "sequenceNumber": "1", "streamSid": "MZ1",
                "start": {
                    "accountSid": "tandem", "streamSid": "MZ1", "callSid": "call_1", "tracks": ["inbound", "outbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    "customParameters": {},
                },
            })
        );
        let media = talk.media(&block(0, 320));
        assert_eq!(media.len(), 2);
        let mut second = read(&media[1]);
        let payload = second["media"]["payload"].take();
        assert_eq!(STANDARD.decode(payload.as_str().unwrap()).unwrap().len(), 160);
        assert_eq!(
            second,
            json!({
                "event": "media", "sequenceNumber": "3", "streamSid": "MZ1",
                "media": {"track": "outbound", "chunk": "1", "timestamp": "0", "payload": null},
            })
        );
        let stop = json!({
            "event": "stop", "sequenceNumber": "4", "streamSid": "MZ1",
            "stop": {"accountSid": "tandem", "callSid": "call_1"},
        });
        assert_eq!(read(&talk.stop()), stop);
    }

    #[test]
    fn times_are_those_of_the_call_whatever_is_missing() {
        let mut talk = talk(Encoding::L16, Tracks::Inbound);
        talk.begin();
        let mut times = |first, samples| -> Vec<String> {
            let messages = talk.media(&block(first, samples));
            let media = messages.iter().map(|text| read(text)["media"].clone());
            media
                .map(|media| format!("{}@{}", media["chunk"].as_str().unwrap(), media["timestamp"].as_str().unwrap()))
                .collect()
        };
        assert_eq!(times(0, 800), ["1@0", "2@20"]);
        // Ten of 50 ms were left over.
        assert_eq!(times(800, 480), ["3@40", "4@60"]);
        // A block was dropped, and what waited with it.
        assert_eq!(times(3_200, 320), ["5@200"]);
    }

    #[test]
    fn l16_is_the_sound_itself_big_endian() {
        let mut talk = talk(Encoding::L16, Tracks::Outbound);
        let [_, start] = talk.begin();
        assert_eq!(read(&start)["start"]["mediaFormat"]["encoding"], "audio/x-l16");
        assert_eq!(read(&start)["start"]["mediaFormat"]["sampleRate"], 16_000);
        let media = talk.media(&block(0, 320));
        let payload = read(&media[0])["media"]["payload"].as_str().unwrap().to_owned();
        assert_eq!(STANDARD.decode(payload).unwrap(), [0xff, 0xfe].repeat(320));
    }
}
