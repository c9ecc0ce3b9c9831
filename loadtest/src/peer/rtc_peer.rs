//! The endpoint itself: one str0m instance in RTP mode, a voice, and the rules of its side.
//!
//! No socket and no clock in here: the hub hands in datagrams and the time, and takes datagrams out. After every
//! change the instance is drained to its next time-out, or it loses packets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::Fingerprint;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use super::probe::{Ear, SentTimes};
use super::record::{Record, Violation};
use super::voice::{Act, Part, Voice, Word};
use super::{Command, stun};
use crate::audio::FRAME_TICKS;
use crate::audio::heard::HeardPacket;

const FRAME_TIME: Duration = Duration::from_millis(20);
/// A frame spoken later than this was delayed by this machine, not by the one under test.
const LATE: Duration = Duration::from_millis(10);
/// After a longer stall the missed frames are not made up for.
const CATCH_UP_MAX: Duration = Duration::from_millis(200);
/// An instance that wants nothing is looked at this often.
const IDLE: Duration = Duration::from_secs(1);

/// Which side of a call the endpoint plays.
#[derive(Clone, Debug)]
pub enum Party {
    /// Meta's relay with a phone behind it: ICE-lite, no header extensions, negotiated by hand.
    WhatsApp {
        /// Its ICE credentials as the SDP states them.
        ufrag: String,
        /// See above.
        pwd: String,
        /// Its one RTP source.
        ssrc: u32,
        /// Payload type of Opus.
        opus: u8,
        /// Payload type of telephone-events at 8 kHz.
        keys: u8,
    },
    /// A browser that makes the SDP offer: full ICE, `actpass`, header extensions.
    BrowserOffering,
    /// A full ICE endpoint that answers an SDP offer (a business, in tests of the fake itself).
    BrowserAnswering,
}

/// How to build an endpoint.
pub struct PeerConfig {
    /// Which side it plays.
    pub party: Party,
    /// Keep every packet for [`super::Peer::heard`].
    pub listen: bool,
    /// The microphone is open from the start; else [`super::Peer::open_microphone`] opens it.
    pub may_send: bool,
    /// Send no RTP before the first RTP packet has arrived, as Meta does.
    pub waits_for_first_packet: bool,
    /// What to speak as soon as media flows.
    pub script: Vec<Part>,
}

/// The other side, as a WhatsApp endpoint needs to know it.
#[derive(Clone, Debug)]
pub struct RemoteSide {
    /// ICE credentials.
    pub ufrag: String,
    /// See above.
    pub pwd: String,
    /// SHA-256 of its certificate.
    pub fingerprint: Vec<u8>,
    /// RTP sources its SDP announces.
    pub ssrcs: Vec<u32>,
    /// Whether we start DTLS (it is `passive`).
    pub we_are_dtls_client: bool,
}

pub(crate) struct RtcPeer {
    rtc: Rtc,
    mid: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    ufrag: String,
    fingerprint: String,
    opus: u8,
    keys: (u8, u32),
    stream: Stream,
    voice: Voice,
    may_send: bool,
    waits_for_first_packet: bool,
    network: bool,
    lost_share: f32,
    /// Which packets: the same ones in every run.
    dice: u32,
    connected: bool,
    heard_first: bool,
    alive: bool,
    known_ssrcs: Vec<u32>,
    rtc_deadline: Instant,
    next_frame: Option<Instant>,
    record: Arc<Record>,
    mark: Option<Arc<SentTimes>>,
    ear: Option<Ear>,
}

/// The one outgoing stream.
struct Stream {
    seq: u64,
    timestamp: u32,
}

type Send<'a> = dyn FnMut(SocketAddr, &[u8]) + 'a;

impl RtcPeer {
    pub(crate) fn new(
        config: PeerConfig,
        local: SocketAddr,
        record: Arc<Record>,
        now: Instant,
    ) -> Result<(Self, Option<String>)> {
        let mut rtc = settings(&config.party).build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp").context("the socket's address is no candidate")?);
        let mut peer = Self {
            ufrag: rtc.direct_api().local_ice_credentials().ufrag,
            fingerprint: rtc.direct_api().local_dtls_fingerprint().to_string(),
            rtc,
            mid: None,
            pending: None,
            opus: 111,
            keys: (126, 8_000),
            // Below 32,768, or the other side cannot know the rollover counter (RFC 3711 §3.3.1).
            stream: Stream { seq: u64::from(rand::random::<u16>() >> 1), timestamp: rand::random() },
            voice: Voice::new(config.script),
            may_send: config.may_send,
            waits_for_first_packet: config.waits_for_first_packet,
            network: true,
            lost_share: 0.0,
            dice: 1,
            connected: false,
            heard_first: false,
            alive: true,
            known_ssrcs: Vec::new(),
            rtc_deadline: now,
            next_frame: None,
            record,
            mark: None,
            ear: None,
        };
        let offer = peer.negotiate_first(&config.party)?;
        Ok((peer, offer))
    }

    pub(crate) fn ufrag(&self) -> &str {
        &self.ufrag
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.next_frame.map_or(self.rtc_deadline, |frame| frame.min(self.rtc_deadline))
    }

    pub(crate) fn receive(
        &mut self,
        source: SocketAddr,
        local: SocketAddr,
        bytes: &[u8],
        now: Instant,
        send: &mut Send<'_>,
    ) {
        if !self.network || !self.alive {
            return;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, source, local, bytes) else { return };
        let input = Input::Receive(now, receive);
        // A port of a closed socket is soon another one's, and whoever spoke to the first still may. A relay takes nothing from
        // addresses that no connectivity check has vouched for, so such packets say nothing about the other side.
        if !self.rtc.accepts(&input) {
            tracing::debug!(%source, %local, length = bytes.len(), head = ?&bytes[..bytes.len().min(12)], "datagram_of_a_stranger");
            return;
        }
        self.inspect(source, bytes, now);
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::debug!(%error, "endpoint_failed");
            self.leave();
            return;
        }
        self.drain(now, send);
    }

    pub(crate) fn tick(&mut self, now: Instant, send: &mut Send<'_>) {
        if self.rtc_deadline <= now {
            if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                self.leave();
                return;
            }
            self.drain(now, send);
        }
        while let Some(due) = self.next_frame.filter(|due| *due <= now && self.alive) {
            let late = now.duration_since(due);
            if late > LATE {
                self.record.note_late_frame();
            }
            self.next_frame = Some(if late > CATCH_UP_MAX { now + FRAME_TIME } else { due + FRAME_TIME });
            self.speak(now, send);
        }
    }

    pub(crate) fn obey(&mut self, command: Command, now: Instant, send: &mut Send<'_>) {
        match command {
            Command::Add(parts) => {
                self.voice.add(parts);
                self.record.note_taken(self.voice.is_finished());
            }
            Command::Hush => self.voice.hush(),
            Command::Open => self.may_send = true,
            Command::FallSilent(silent) => self.voice.silent = silent,
            Command::DropNetwork(dropped) => self.network = !dropped,
            Command::Lose(share) => self.lost_share = share,
            Command::Remote(remote, reply) => {
                let _ = reply.send(self.set_remote(remote));
            }
            Command::Answer(sdp, reply) => {
                let _ = reply.send(self.set_answer(&sdp));
            }
            Command::Offer(sdp, reply) => {
                let _ = reply.send(self.answer(&sdp));
            }
            Command::Watch(ear) => self.ear = Some(ear),
            Command::Mark(times) => self.mark = Some(times),
            Command::Close => {
                // Before DTLS there is nobody to say goodbye to, which is no fault.
                let _ = self.rtc.close();
                self.drain(now, send);
                self.leave();
                return;
            }
            Command::Vanish => {
                self.leave();
                return;
            }
        }
        self.rtc_deadline = now;
        self.start_clock(now);
    }

    pub(crate) fn drain(&mut self, now: Instant, send: &mut Send<'_>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.rtc_deadline = at.min(now + IDLE);
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let lost = self.lost_share > 0.0 && is_rtp(&transmit.contents) && self.throw() < self.lost_share;
                    if self.network && !lost {
                        send(transmit.destination, &transmit.contents);
                    }
                }
                Ok(Output::Event(event)) => self.note(event, now),
                Err(error) => {
                    tracing::debug!(%error, "endpoint_failed");
                    self.leave();
                    return;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.leave();
        }
    }

    fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.record.note_connected(now);
                self.start_clock(now);
            }
            Event::RtpPacket(packet) => {
                self.heard_first = true;
                self.start_clock(now);
                let payload_type: u8 = *packet.header.payload_type;
                let is_key = payload_type != self.opus;
                if let Some(ear) = self.ear.as_ref().filter(|_| !is_key) {
                    ear.hear(&packet.payload, now);
                }
                self.record.note_packet(HeardPacket {
                    arrived: packet.timestamp,
                    seq: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    payload_type,
                    is_key,
                    ssrc: *packet.header.ssrc,
                    payload: packet.payload,
                });
            }
            _ => {}
        }
    }

    /// What Meta's relay sees before decryption: the role in checks, the source and type of RTP.
    fn inspect(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        if stun::claims_controlled(bytes) {
            self.record.note_violation(Violation::IceNotControlling);
        }
        if is_rtcp(bytes) {
            self.record.note_rtcp(now);
        }
        if !is_rtp(bytes) {
            return;
        }
        let payload_type = bytes[1] & 0x7f;
        if payload_type != self.opus && payload_type != self.keys.0 && payload_type != 126 && payload_type != 110 {
            tracing::warn!(%from, payload_type, length = bytes.len(), head = ?&bytes[..12], "payload_type_never_negotiated");
            self.record.note_violation(Violation::UnknownPayloadType(payload_type));
        }
        let ssrc = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let Some(mid) = self.mid.filter(|_| !self.known_ssrcs.contains(&ssrc)) else { return };
        self.known_ssrcs.push(ssrc);
        // A relay takes the stream it gets, announced or not.
        self.rtc.direct_api().expect_stream_rx(Ssrc::from(ssrc), None, mid, None).suppress_nack(true);
    }

    /// A linear congruential generator (Numerical Recipes): 0 to 1.
    fn throw(&mut self) -> f32 {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.dice >> 8) as f32 / (1 << 24) as f32
    }

    fn start_clock(&mut self, now: Instant) {
        let may_send = self.connected && self.may_send && (self.heard_first || !self.waits_for_first_packet);
        if may_send && self.next_frame.is_none() {
            self.next_frame = Some(now);
        }
    }

    fn speak(&mut self, now: Instant, send: &mut Send<'_>) {
        let word = loop {
            match self.voice.next(self.keys.1) {
                Word::Act(Act::FallSilent) => self.voice.silent = true,
                Word::Act(Act::DropNetwork) => self.network = false,
                Word::Act(Act::HangUp) => self.record.note_hang_up(),
                word => break word,
            }
        };
        self.record.note_finished_speaking(self.voice.is_finished());
        let timestamp = self.stream.timestamp;
        self.stream.timestamp = timestamp.wrapping_add(FRAME_TICKS);
        let Some(mid) = self.mid else { return };
        let (payload_type, timestamp, marker, payload) = match word {
            Word::Nothing | Word::Act(_) => return,
            Word::Audio(payload, frame) => {
                if let (Some(mark), Some(frame)) = (&self.mark, frame) {
                    mark.note(frame, now);
                }
                (self.opus, timestamp, false, payload)
            }
            Word::Key { payload, first, ticks_back } => {
                (self.keys.0, timestamp.wrapping_sub(ticks_back), first, Arc::from(payload.as_slice()))
            }
        };
        let seq = self.stream.seq;
        self.stream.seq += 1;
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else { return };
        let extensions = ExtensionValues { audio_level: Some(-30), voice_activity: Some(true), ..Default::default() };
        stream.write_rtp(
            RtpWrite::new(payload_type.into(), seq.into(), timestamp, now, payload).marker(marker).ext_vals(extensions),
        );
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.leave();
            return;
        }
        self.drain(now, send);
        self.record.note_sent(now);
    }

    fn leave(&mut self) {
        self.alive = false;
        self.next_frame = None;
        self.record.note_gone();
    }

    // ---- negotiation ----

    fn negotiate_first(&mut self, party: &Party) -> Result<Option<String>> {
        match party {
            Party::WhatsApp { ssrc, opus, keys, .. } => {
                let mid = Mid::from("audio");
                self.opus = *opus;
                self.keys = (*keys, 8_000);
                let mut direct = self.rtc.direct_api();
                direct.set_ice_controlling(false);
                direct.declare_media(mid, MediaKind::Audio);
                direct.declare_stream_tx(Ssrc::from(*ssrc), None, mid, None);
                self.mid = Some(mid);
                Ok(None)
            }
            Party::BrowserOffering => {
                let mut api = self.rtc.sdp_api();
                self.mid = Some(api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None));
                let (offer, pending) = api.apply().context("an offer with one new media has changes")?;
                self.pending = Some(pending);
                Ok(Some(offer.to_sdp_string()))
            }
            Party::BrowserAnswering => Ok(None),
        }
    }

    fn set_remote(&mut self, remote: RemoteSide) -> Result<()> {
        let mid = self.mid.context("this endpoint negotiates by SDP")?;
        let mut direct = self.rtc.direct_api();
        direct.set_remote_ice_credentials(IceCreds { ufrag: remote.ufrag, pass: remote.pwd });
        direct.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes: remote.fingerprint });
        for ssrc in remote.ssrcs {
            direct.expect_stream_rx(Ssrc::from(ssrc), None, mid, None).suppress_nack(true);
            self.known_ssrcs.push(ssrc);
        }
        direct.start_dtls(remote.we_are_dtls_client).context("DTLS does not start")
    }

    fn set_answer(&mut self, sdp: &str) -> Result<()> {
        let answer = SdpAnswer::from_sdp_string(sdp).context("the SDP answer cannot be parsed")?;
        let pending = self.pending.take().context("there is no offer that waits for an answer")?;
        self.rtc.sdp_api().accept_answer(pending, answer).context("the SDP answer does not fit the offer")?;
        self.learn_keys_type(sdp);
        Ok(())
    }

    fn answer(&mut self, sdp: &str) -> Result<String> {
        let offer = SdpOffer::from_sdp_string(sdp).context("the SDP offer cannot be parsed")?;
        let answer = self.rtc.sdp_api().accept_offer(offer).context("the SDP offer cannot be answered")?;
        let text = answer.to_sdp_string();
        let mid = text.lines().find_map(|line| line.strip_prefix("a=mid:")).context("the answer has no mid")?;
        self.mid = Some(Mid::from(mid.trim()));
        self.learn_keys_type(&text);
        Ok(text)
    }

    /// Uses the telephone-events that the other side agreed to, 48 kHz first, as browsers do.
    fn learn_keys_type(&mut self, sdp: &str) {
        let agreed = |rate: &str| {
            let line = sdp.lines().find(|line| line.ends_with(&format!("telephone-event/{rate}")))?;
            line.strip_prefix("a=rtpmap:")?.split(' ').next()?.parse().ok()
        };
        if let Some(payload_type) = agreed("48000") {
            self.keys = (payload_type, 48_000);
        } else if let Some(payload_type) = agreed("8000") {
            self.keys = (payload_type, 8_000);
        }
    }
}

/// RFC 7983 §7: RTP and RTCP begin with 128 to 191; RFC 5761 §4 tells them apart by the second byte.
fn is_rtp(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && (128..192).contains(&bytes[0]) && !(192..224).contains(&bytes[1])
}

fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && (128..192).contains(&bytes[0]) && (192..224).contains(&bytes[1])
}

fn settings(party: &Party) -> RtcConfig {
    let mut config =
        Rtc::builder().set_rtp_mode(true).clear_codecs().set_rtcp_report_interval_audio(Duration::from_secs(2));
    let (opus, keys) = match party {
        Party::WhatsApp { ufrag, pwd, opus, keys, .. } => {
            config = config
                .set_ice_lite(true)
                .clear_extension_map()
                .set_local_ice_credentials(IceCreds { ufrag: ufrag.clone(), pass: pwd.clone() });
            (*opus, *keys)
        }
        Party::BrowserOffering => (111, 126),
        Party::BrowserAnswering => {
            config = config.clear_extension_map();
            (111, 126)
        }
    };
    let codecs = config.codec_config();
    let opus_format = FormatParams::parse_line("minptime=10;useinbandfec=1");
    codecs.add_config(opus.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus_format);
    codecs.add_config(keys.into(), None, Codec::Tele, Frequency::EIGHT_KHZ, None, FormatParams::default());
    if matches!(party, Party::BrowserOffering) {
        codecs.add_config(110.into(), None, Codec::Tele, Frequency::FORTY_EIGHT_KHZ, None, FormatParams::default());
    }
    config
}
