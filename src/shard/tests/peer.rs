//! A small WebRTC peer for tests and benches: the caller's phone or the agent's browser, with one socket and real media.
//!
//! It knows nothing of the gateway's code, so that both can include it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// Opus at its usual payload type.
const OPUS: u8 = 111;

pub(crate) struct Peer {
    rtc: Rtc,
    pub(crate) socket: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
    seq: u64,
    time: u32,
    /// When it must be looked at next.
    pub(crate) timeout: Instant,
    /// Where the last datagram came from.
    pub(crate) source: Option<SocketAddr>,
    /// Payloads heard, for whoever takes them.
    pub(crate) heard: Vec<Vec<u8>>,
}

impl Peer {
    /// The caller's phone behind WhatsApp's relay: ICE-lite, offers, waits for our first check and handshake.
    pub(crate) fn whatsapp(ip: IpAddr, now: Instant) -> (Self, String) {
        Self::offer(ip, RtcConfig::new().set_ice_lite(true).clear_extension_map(), now)
    }

    /// An agent's browser: full ICE, offers.
    pub(crate) fn browser(ip: IpAddr, now: Instant) -> (Self, String) {
        Self::offer(ip, RtcConfig::new(), now)
    }

    fn offer(ip: IpAddr, config: RtcConfig, now: Instant) -> (Self, String) {
        let mut config = config.set_rtp_mode(true).clear_codecs();
        let opus = FormatParams::parse_line("minptime=10;useinbandfec=1");
        let codecs = config.codec_config();
        codecs.add_config(OPUS.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus);
        codecs.add_config(126.into(), None, Codec::Tele, Frequency::EIGHT_KHZ, None, FormatParams::default());
        let mut rtc = config.build(now);
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).expect("a loopback port");
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
        let local = socket.local_addr().expect("a bound socket");
        rtc.add_local_candidate(Candidate::host(local, "udp").expect("a host candidate"));
        let mut sdp = rtc.sdp_api();
        let mid = sdp.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = sdp.apply().expect("there is something to offer");
        let peer = Self {
            rtc,
            socket,
            local,
            mid,
            pending: Some(pending),
            seq: 1000,
            time: 48_000,
            timeout: now,
            source: None,
            heard: Vec::new(),
        };
        (peer, offer.to_sdp_string())
    }

    pub(crate) fn accept(&mut self, answer: &str, now: Instant) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("an open offer");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("a fitting answer");
        self.drain(now);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.rtc.is_connected()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Takes what has arrived, and time.
    pub(crate) fn turn(&mut self, now: Instant) {
        let mut buffer = [0; 2000];
        while let Ok((len, source)) = self.socket.recv_from(&mut buffer) {
            self.source = Some(source);
            let Ok(contents) = buffer[..len].try_into() else { continue };
            let receive = Receive { proto: Protocol::Udp, source, destination: self.local, contents };
            self.rtc.handle_input(Input::Receive(now, receive)).expect("the gateway's datagrams are fine");
            self.drain(now);
        }
        if self.timeout <= now {
            self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
            self.drain(now);
        }
    }

    /// Says 20 ms of something.
    pub(crate) fn speak(&mut self, payload: &[u8], now: Instant) {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return };
        stream.write_rtp(RtpWrite::new(OPUS.into(), self.seq.into(), self.time, now, payload).nackable(false));
        self.seq += 1;
        self.time = self.time.wrapping_add(960);
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output().expect("a working peer") {
                Output::Timeout(at) => {
                    // Never at once again: these peers share one thread.
                    self.timeout = at.max(now + Duration::from_millis(1));
                    return;
                }
                Output::Transmit(transmit) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).ok();
                }
                Output::Event(Event::RtpPacket(packet)) => self.heard.push(packet.payload.to_vec()),
                Output::Event(_) => {}
            }
        }
    }
}
