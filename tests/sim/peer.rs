//! The other ends: a phone behind WhatsApp's relay (ICE-lite, DTLS server) and a browser (full ICE, DTLS client), each a str0m
//! `Rtc` driven by hand, with descriptions written like the real ones'.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::config::Fingerprint;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionValues, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc};

const FRAME: Duration = Duration::from_millis(20);

/// A packet as the peer received it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) ssrc: u32,
    pub(crate) seq: u64,
    pub(crate) time: u32,
    pub(crate) marker: bool,
    pub(crate) pt: u8,
    pub(crate) payload: Vec<u8>,
}

/// How WhatsApp writes its descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As captured in 2025 and 2026.
    Live,
    /// As in the older reference: candidates with `ufrag`, other attributes, LF only.
    Reference,
}

/// Who the peer is to ICE and DTLS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Browser,
    Phone,
    PhoneThatStartsDtls,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    rtc: Rtc,
    mid: Mid,
    ssrc: Ssrc,
    opus: u8,
    seq: u64,
    time: u32,
    next_frame: Option<Instant>,
    /// Frames spoken so far: each says its own number.
    pub(crate) spoken: u64,
    quiet: bool,
    /// Nothing to say: a tiny frame each 400 ms (DTX).
    resting: bool,
    /// Frames of time since the last one sent.
    pause: u32,
    deadline: Instant,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) outbox: Vec<(SocketAddr, Vec<u8>)>,
}

impl Peer {
    pub(crate) fn phone(address: SocketAddr, now: Instant) -> Self {
        let rtc = builder(&[(126, Frequency::EIGHT_KHZ)]).set_ice_lite(true).build(now);
        Self::new(rtc, address, 849_250_000, now)
    }

    pub(crate) fn browser(address: SocketAddr, now: Instant) -> Self {
        let events = [(110, Frequency::FORTY_EIGHT_KHZ), (126, Frequency::EIGHT_KHZ)];
        let rtc =
            builder(&events).set_extension(1, Extension::AudioLevel).set_extension(4, Extension::RtpMid).build(now);
        Self::new(rtc, address, 1_234_500_000 + u32::from(address.port()), now)
    }

    fn new(mut rtc: Rtc, address: SocketAddr, ssrc: u32, now: Instant) -> Self {
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap()).unwrap();
        Self {
            address,
            rtc,
            mid: "0".into(),
            ssrc: ssrc.into(),
            opus: 111,
            seq: 1_000,
            time: 77_000,
            next_frame: None,
            spoken: 0,
            quiet: false,
            resting: false,
            pause: 1,
            deadline: now,
            connected: false,
            closed: false,
            heard: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// WhatsApp's offer, or its answer to `theirs`.
    pub(crate) fn whatsapp_sdp(&mut self, style: Style, setup: &str, theirs: Option<&str>) -> String {
        let mid = theirs.map_or("audio", |text| value(text, "a=mid:")).to_owned();
        let (creds, fingerprint) = self.credentials();
        let (ip, port) = (self.address.ip(), self.address.port());
        let ssrc = *self.ssrc;
        match style {
            Style::Live => format!(
                "v=0\r\no=- 1795000000123 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n\
                 a=msid-semantic: WMS 7b0c1d2e-1111-4222-8333-444455556666\r\na=ice-lite\r\n\
                 m=audio {port} UDP/TLS/RTP/SAVPF 111 126\r\nc=IN IP4 {ip}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
                 a=candidate:1775469000 1 udp 2122260223 {ip} {port} typ host generation 0 network-cost 50\r\n\
                 a=candidate:3355715000 1 udp 2122262783 2001:db8::10 {port} typ host generation 0 network-cost 50\r\n\
                 a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:{mid}\r\n\
                 a=sendrecv\r\na=msid:7b0c1d2e-1111-4222-8333-444455556666 WhatsAppTrack1\r\na=rtcp-mux\r\n\
                 a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
                 a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1\r\n\
                 a=rtpmap:126 telephone-event/8000\r\na=maxptime:20\r\na=ptime:20\r\n\
                 a=ssrc:{ssrc} cname:WhatsAppAudioStream1\r\n",
                creds.ufrag, creds.pass
            ),
            Style::Reference => format!(
                "v=0\no=- 7602563789789945080 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE {mid}\na=msid-semantic: WMS *\n\
                 a=ice-lite\nm=audio {port} UDP/TLS/RTP/SAVPF 111 126\nc=IN IP4 {ip}\na=rtcp:9 IN IP4 0.0.0.0\n\
                 a=candidate:6 1 udp 2122262783 {ip} {port} typ host generation 0 network-cost 50 ufrag {}\n\
                 a=ice-ufrag:{}\na=ice-pwd:{}\na=ice-options:trickle\na=fingerprint:{fingerprint}\na=setup:{setup}\na=mid:{mid}\n\
                 a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n\
                 a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
                 a=sendrecv\na=rtcp-mux\na=rtcp-rsize\na=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\n\
                 a=fmtp:111 minptime=10;useinbandfec=1\na=rtpmap:126 telephone-event/8000\n\
                 a=ssrc:{ssrc} cname:WhatsAppAudioStream1\n",
                creds.ufrag, creds.ufrag, creds.pass
            ),
        }
    }

    /// A browser's offer, shortened to one interface.
    pub(crate) fn browser_offer(&mut self) -> String {
        let (creds, fingerprint) = self.credentials();
        let (ip, port, ssrc) = (self.address.ip(), self.address.port(), *self.ssrc);
        format!(
            "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
             a=msid-semantic: WMS stream\r\nm=audio {port} UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 {ip}\r\n\
             a=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2122260223 {ip} {port} typ host generation 0 network-id 1\r\n\
             a=candidate:2 1 udp 2122194687 4c9c5c5d-9a3b-4bb1.local 51000 typ host generation 0 network-id 2\r\n\
             a=candidate:3 1 tcp 1518280447 {ip} 9 typ host tcptype active generation 0 network-id 1\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\na=fingerprint:{fingerprint}\r\na=setup:actpass\r\n\
             a=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
             a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
             a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
             a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=msid:stream track\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
             a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
             a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
             a=ssrc:{ssrc} cname:b\r\na=ssrc:{ssrc} msid:stream track\r\n",
            creds.ufrag, creds.pass
        )
    }

    fn credentials(&mut self) -> (IceCreds, String) {
        let direct = self.rtc.direct_api();
        let (creds, fingerprint) = (direct.local_ice_credentials(), direct.local_dtls_fingerprint().clone());
        let hex: Vec<String> = fingerprint.bytes.iter().map(|b| format!("{b:02X}")).collect();
        (creds, format!("sha-256 {}", hex.join(":")))
    }

    /// Takes the gateway's description and starts in this role.
    pub(crate) fn connect(&mut self, theirs: &str, role: Role, now: Instant) {
        self.mid = value(theirs, "a=mid:").into();
        let candidate = theirs.lines().find(|l| l.starts_with("a=candidate:")).expect("the gateway names its address");
        let words: Vec<&str> = candidate.split(' ').collect();
        let address = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
        let creds = IceCreds { ufrag: value(theirs, "a=ice-ufrag:").into(), pass: value(theirs, "a=ice-pwd:").into() };
        let bytes =
            value(theirs, "a=fingerprint:sha-256 ").split(':').map(|h| u8::from_str_radix(h, 16).unwrap()).collect();
        let (controlling, dtls_client) = match role {
            Role::Browser => (true, true),
            Role::Phone => (false, false),
            Role::PhoneThatStartsDtls => (false, true),
        };
        self.rtc.add_remote_candidate(Candidate::host(address, "udp").unwrap());
        let (mid, ssrc) = (self.mid, self.ssrc);
        let mut direct = self.rtc.direct_api();
        direct.set_ice_controlling(controlling);
        direct.set_remote_ice_credentials(creds);
        direct.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes });
        direct.declare_media(mid, MediaKind::Audio);
        let theirs: u32 = value(theirs, "a=ssrc:").split(' ').next().unwrap().parse().unwrap();
        direct.expect_stream_rx(theirs.into(), None, mid, None).suppress_nack(true);
        direct.declare_stream_tx(ssrc, None, mid, None);
        direct.start_dtls(dtls_client).unwrap();
        self.handle_timeout(now);
    }

    pub(crate) fn handle_datagram(&mut self, from: SocketAddr, contents: &[u8], now: Instant) {
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, contents) {
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
            self.drain();
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) = self.next_frame.filter(|at| *at <= now) {
            let frames = if self.resting { 20 } else { 1 };
            self.next_frame = Some(at + FRAME * frames);
            let payload = if self.resting { vec![9 << 3, 0] } else { spoken_frame(self.spoken, self.quiet) };
            self.spoken += u64::from(!self.resting);
            // The clock runs on in the pause before this frame.
            self.time = self.time.wrapping_add(960 * std::mem::replace(&mut self.pause, frames));
            if self.connected {
                self.send(self.opus, self.time, false, &payload, now);
            }
        }
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain();
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next_frame.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// Speaks a numbered frame each 20 ms from now on.
    pub(crate) fn speak(&mut self, now: Instant) {
        self.quiet = false;
        self.resting = false;
        self.next_frame.get_or_insert(now);
    }

    /// Frames without voice.
    pub(crate) fn breathe(&mut self, now: Instant) {
        self.speak(now);
        self.quiet = true;
    }

    /// Stops transmitting but for a tiny frame each 400 ms.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
    }

    pub(crate) fn fall_silent(&mut self) {
        self.next_frame = None;
    }

    /// Another source takes over, as a relay may do in mid-call.
    pub(crate) fn change_ssrc(&mut self, ssrc: u32) {
        let mid = self.mid;
        let mut direct = self.rtc.direct_api();
        direct.remove_stream_tx(self.ssrc);
        self.ssrc = ssrc.into();
        direct.declare_stream_tx(self.ssrc, None, mid, None);
        self.seq = 30;
        self.drain();
    }

    /// Presses a key for 100 ms as browsers and WhatsApp do: seven packets of one timestamp, the last three with the end bit.
    pub(crate) fn press(&mut self, code: u8, pt: u8, clock_hz: u32, now: Instant) {
        self.time = self.time.wrapping_add(960);
        let begin = self.time;
        for n in 0..7_u32 {
            let end = if n >= 4 { 0x80 } else { 0 };
            let duration = (clock_hz / 50 * (n.min(4) + 1)) as u16;
            let [high, low] = duration.to_be_bytes();
            self.send(pt, begin, n == 0, &[code, end | 10, high, low], now);
        }
        self.time = self.time.wrapping_add(5 * 960);
    }

    fn send(&mut self, pt: u8, time: u32, marker: bool, payload: &[u8], now: Instant) {
        self.seq += 1;
        let (seq, ssrc) = (self.seq, self.ssrc);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx(&ssrc).expect("connected");
        let ext_vals = ExtensionValues { audio_level: Some(-20), ..ExtensionValues::default() };
        let packet = RtpWrite::new(pt.into(), seq.into(), time, now, Arc::<[u8]>::from(payload));
        stream.write_rtp(packet.marker(marker).ext_vals(ext_vals));
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        self.drain();
    }

    pub(crate) fn hang_up(&mut self) {
        self.rtc.close().unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Transmit(t) => self.outbox.push((t.destination, t.contents.into())),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(Event::RtpPacket(packet)) => self.heard.push(heard(packet)),
                Output::Event(_) => {}
            }
        }
    }

    /// Audio of the other peer that was heard: the numbers of its frames, in the order of arrival.
    pub(crate) fn frames_heard(&self) -> Vec<u64> {
        self.heard.iter().filter_map(|h| frame_number(&h.payload)).collect()
    }
}

fn builder(events: &[(u8, Frequency)]) -> str0m::RtcConfig {
    let mut config = Rtc::builder().set_rtp_mode(true).clear_codecs().clear_extension_map();
    let codecs = config.codec_config();
    let opus = FormatParams::parse_line("minptime=10;useinbandfec=1");
    codecs.add_config(111.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus);
    for (pt, clock) in events {
        codecs.add_config((*pt).into(), None, Codec::Tele, *clock, None, FormatParams::default());
    }
    config
}

/// A frame that says its number; its first bytes are those of a 20 ms wide-band frame with or without voice.
fn spoken_frame(number: u64, quiet: bool) -> Vec<u8> {
    let mut payload = vec![9 << 3, if quiet { 0 } else { 0xc0 }];
    payload.extend_from_slice(b"tandem");
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(50, 0x5a);
    payload
}

pub(crate) fn frame_number(payload: &[u8]) -> Option<u64> {
    let number = payload.get(8..16).filter(|_| payload.get(2..8) == Some(b"tandem"))?;
    Some(u64::from_be_bytes(number.try_into().unwrap()))
}

pub(crate) fn value<'a>(text: &'a str, prefix: &str) -> &'a str {
    let line = text.lines().find_map(|l| l.strip_prefix(prefix));
    line.unwrap_or_else(|| panic!("no `{prefix}` in\n{text}")).trim()
}

fn heard(packet: RtpPacket) -> Heard {
    Heard {
        at: packet.timestamp,
        ssrc: *packet.header.ssrc,
        seq: *packet.seq_no,
        time: packet.header.timestamp,
        marker: packet.header.marker,
        pt: *packet.header.payload_type,
        payload: packet.payload.to_vec(),
    }
}
