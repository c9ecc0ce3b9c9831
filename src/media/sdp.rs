//! Session descriptions: the peer's text is read into what we understand of it, and only that is handed on.
//!
//! Reading instead of patching has three gains: the parser behind sees nothing but our own words, nothing a peer wrote (but its
//! media id) comes back in our text, and what is missing is found here, where a sentence can still say what to mend.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Meta's descriptions have about 1.5 kB, a browser's 3 kB.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const LINES_MAX: usize = 512;
const MEDIA_LINES_MAX: usize = 4;
const CANDIDATES_MAX: usize = 16;

/// What the media stack's identifiers can hold; it would silently change anything else. WhatsApp says `audio`, browsers `0`.
const MID_BYTES_MAX: usize = 16;

/// Why a session description cannot be used. Each sentence says what to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("the session description has {bytes} bytes; at most {TEXT_BYTES_MAX} are read")]
    TooLarge { bytes: usize },
    #[error("the session description has more than {LINES_MAX} lines")]
    TooManyLines,
    #[error("the session description has more than {MEDIA_LINES_MAX} media sections; send one audio section")]
    TooManySections,
    #[error("the session description names more than {CANDIDATES_MAX} candidates; send those of one interface")]
    TooManyCandidates,
    #[error("this is not a session description: it must begin with `v=0` and have one `x=…` per line")]
    NotSdp,
    #[error("the session description has no audio section (`m=audio`); add one audio track")]
    NoAudio,
    #[error("the session description has video but no audio; calls are audio only, add one audio track")]
    VideoOnly,
    #[error("the audio section is declined (port 0), so there is nothing to connect")]
    AudioDeclined,
    #[error("the audio section is not `UDP/TLS/RTP/SAVPF`; only WebRTC media (DTLS-SRTP) is served")]
    NotWebRtc,
    #[error("the audio section does not offer `opus/48000/2`, the only codec served")]
    NoOpus,
    #[error("`a=fingerprint` is missing, so the peer could not be told from an impostor")]
    NoFingerprint,
    #[error("`a=fingerprint` has no readable sha-256 value, the only hash accepted")]
    WeakFingerprint,
    #[error("`a=ice-ufrag` or `a=ice-pwd` is missing or not 4 to 256 and 22 to 256 characters of its alphabet")]
    NoIceCredentials,
    #[error("`a=mid` is missing or not 1 to {MID_BYTES_MAX} letters, digits or `_`")]
    BadMid,
    #[error("`a=setup` must be actpass, active or passive")]
    BadSetup,
    #[error(
        "no usable candidate is left: needed is a UDP host candidate with an {family} address that can be reached from ours \
         and a port above 1023 (names ending in .local, TCP, private addresses seen from a public one are dropped)"
    )]
    NoCandidate { family: &'static str },
    #[error("our own media address {0} cannot be a candidate; set the advertised address to one the peer can reach")]
    BadLocalAddress(SocketAddr),
    #[error("the session description contradicts itself or an earlier one, it cannot be applied")]
    Refused,
}

/// What we understand of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    mid: String,
    ice_lite: bool,
    ufrag: String,
    pwd: String,
    /// 32 bytes in upper-case hex with colons.
    fingerprint: String,
    setup: Setup,
    direction: &'static str,
    opus: u8,
    /// Payload type and clock rate of each telephone-event format.
    events: Vec<(u8, u32)>,
    /// Identifier of the [`AUDIO_LEVEL`] extension.
    audio_level: Option<u8>,
    ssrc: Option<u32>,
    candidates: Vec<RemoteCandidate>,
    /// The other sections, which an answer must decline at the same place (RFC 3264 section 6).
    declined_before: Vec<Declined>,
    declined_after: Vec<Declined>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RemoteCandidate {
    address: SocketAddr,
    priority: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Declined {
    line: &'static str,
    mid: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    ActPass,
    Active,
    Passive,
}

/// How loud a packet is, said beside it (RFC 6464). It is the only header extension we take: a MID (RFC 8843 section 15) tells
/// several media apart, of which a call has one, and reading it would cost an allocation per packet until our first report.
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

impl Description {
    /// # Errors
    /// [`SdpError`] when it is too large, not a description, or lacks what a WebRTC audio call needs. Candidates are judged later,
    /// by [`Self::for_customer`].
    pub(super) fn parse(text: &str) -> Result<Self, SdpError> {
        let sections = sections(text)?;
        let (session, media) = sections.split_first().ok_or(SdpError::NotSdp)?;
        let at = audio_section(media)?;
        let audio = &media[at];
        let either = |name: &str| audio.attribute(name).or_else(|| session.attribute(name));

        let mut head = audio.head.split_ascii_whitespace().skip(1);
        let (port, protocol) = (head.next().unwrap_or("0"), head.next().unwrap_or(""));
        if port == "0" && !audio.flag("bundle-only") {
            return Err(SdpError::AudioDeclined);
        }
        if protocol != "UDP/TLS/RTP/SAVPF" {
            return Err(SdpError::NotWebRtc);
        }
        let formats: Vec<u8> = head.filter_map(|format| format.parse().ok()).filter(|pt| *pt < 128).collect();
        let maps = rtp_maps(audio, &formats);
        let opus = maps.iter().find(|m| m.codec == "opus" && m.clock_hz == 48_000).ok_or(SdpError::NoOpus)?.pt;
        let mut events: Vec<(u8, u32)> = Vec::new();
        for map in maps.iter().filter(|m| m.codec == "telephone-event") {
            if matches!(map.clock_hz, 8_000 | 48_000) && events.iter().all(|(_, hz)| *hz != map.clock_hz) {
                events.push((map.pt, map.clock_hz));
            }
        }

        let ufrag = either("ice-ufrag").filter(|v| is_ice_text(v, 4)).ok_or(SdpError::NoIceCredentials)?;
        let pwd = either("ice-pwd").filter(|v| is_ice_text(v, 22)).ok_or(SdpError::NoIceCredentials)?;
        let setup = match either("setup") {
            None | Some("actpass") => Setup::ActPass,
            Some("active") => Setup::Active,
            Some("passive") => Setup::Passive,
            Some(_) => return Err(SdpError::BadSetup),
        };
        let direction = ["sendrecv", "sendonly", "recvonly", "inactive"]
            .into_iter()
            .find(|word| audio.flag(word))
            .or_else(|| ["sendonly", "recvonly", "inactive"].into_iter().find(|word| session.flag(word)))
            .unwrap_or("sendrecv");

        Ok(Self {
            mid: mid_of(audio).ok_or(SdpError::BadMid)?,
            ice_lite: session.flag("ice-lite") || audio.flag("ice-lite"),
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
            fingerprint: fingerprint(session, audio)?,
            setup,
            direction,
            opus,
            events,
            audio_level: audio_level(audio),
            ssrc: audio.attributes("ssrc").find_map(|v| v.split_ascii_whitespace().next()?.parse().ok()),
            candidates: candidates(&sections)?,
            declined_before: media[..at].iter().map(declined).collect::<Result<_, _>>()?,
            declined_after: media[at + 1..].iter().map(declined).collect::<Result<_, _>>()?,
        })
    }

    /// WhatsApp's description as our leg needs it: we are the DTLS client, and one candidate family only, since a full agent would
    /// move to a better pair in mid-call and WhatsApp forbids that.
    ///
    /// # Errors
    /// [`SdpError::NoCandidate`] when no candidate can be reached from `local`: an ICE-lite peer never helps.
    pub(super) fn for_customer(mut self, local: SocketAddr) -> Result<Self, SdpError> {
        // An answer's `actpass` is illegal but has been seen; an offer's leaves the choice to us (RFC 8842 section 5.2).
        if self.setup == Setup::ActPass {
            self.setup = Setup::Passive;
        }
        self.candidates.retain(|c| is_reachable(c.address, local));
        self.audio_level = None;
        self.events.retain(|(_, hz)| *hz == 8_000);
        if self.candidates.is_empty() {
            return Err(SdpError::NoCandidate { family: if local.is_ipv4() { "IPv4" } else { "IPv6" } });
        }
        Ok(self)
    }

    /// A browser's offer as our ICE-lite leg needs it: without candidates, so that we never send to an address that has not sent a
    /// valid check to us first.
    pub(super) fn for_agent(mut self) -> Self {
        self.candidates.clear();
        self
    }

    pub(super) fn mid(&self) -> &str {
        &self.mid
    }

    pub(super) fn opus(&self) -> u8 {
        self.opus
    }

    pub(super) fn events(&self) -> &[(u8, u32)] {
        &self.events
    }

    pub(super) fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    pub(super) fn audio_level(&self) -> Option<u8> {
        self.audio_level
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.candidates.iter().map(|c| c.address)
    }

    /// The description in our own words, with the audio section alone.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(1024);
        out.push_str("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
        line(&mut out, format_args!("a=group:BUNDLE {}", self.mid));
        if self.ice_lite {
            line(&mut out, format_args!("a=ice-lite"));
        }
        let _ = write!(out, "m=audio 9 UDP/TLS/RTP/SAVPF {}", self.opus);
        for (pt, _) in &self.events {
            let _ = write!(out, " {pt}");
        }
        out.push_str("\r\nc=IN IP4 0.0.0.0\r\n");
        for (n, candidate) in self.candidates.iter().enumerate() {
            let (ip, port) = (candidate.address.ip(), candidate.address.port());
            line(&mut out, format_args!("a=candidate:{} 1 udp {} {ip} {port} typ host", n + 1, candidate.priority));
        }
        line(&mut out, format_args!("a=ice-ufrag:{}", self.ufrag));
        line(&mut out, format_args!("a=ice-pwd:{}", self.pwd));
        line(&mut out, format_args!("a=fingerprint:sha-256 {}", self.fingerprint));
        let setup = match self.setup {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        };
        line(&mut out, format_args!("a=setup:{setup}"));
        line(&mut out, format_args!("a=mid:{}", self.mid));
        if let Some(id) = self.audio_level {
            line(&mut out, format_args!("a=extmap:{id} {AUDIO_LEVEL}"));
        }
        line(&mut out, format_args!("a={}", self.direction));
        line(&mut out, format_args!("a=rtcp-mux"));
        line(&mut out, format_args!("a=rtpmap:{} opus/48000/2", self.opus));
        line(&mut out, format_args!("a=fmtp:{} {OPUS_FORMAT}", self.opus));
        for (pt, hz) in &self.events {
            line(&mut out, format_args!("a=rtpmap:{pt} telephone-event/{hz}"));
        }
        if let Some(ssrc) = self.ssrc {
            line(&mut out, format_args!("a=ssrc:{ssrc} cname:peer"));
        }
        out
    }

    /// Our answer to this offer: the written text with its packet time, and the other sections declined at their places.
    pub(super) fn finish_answer(&self, written: &str) -> String {
        let ours = finish(written);
        if self.declined_before.is_empty() && self.declined_after.is_empty() {
            return ours;
        }
        let at = ours.find("m=audio").unwrap_or(ours.len());
        let mut out = ours[..at].to_owned();
        for section in &self.declined_before {
            section.write(&mut out);
        }
        out.push_str(&ours[at..]);
        for section in &self.declined_after {
            section.write(&mut out);
        }
        out
    }
}

/// How we describe Opus, in both directions.
pub(super) const OPUS_FORMAT: &str = "minptime=10;useinbandfec=1";

/// Our own text as it goes out: the packet time WhatsApp insists on, no feedback format we do not use, no software name.
pub(super) fn finish(written: &str) -> String {
    let mut out = String::with_capacity(written.len() + 64);
    for text in written.lines() {
        if text.starts_with("a=rtcp-fb:") || text.starts_with("a=ptime:") || text.starts_with("a=maxptime:") {
            continue;
        }
        match text.strip_prefix("o=").and_then(|rest| rest.split_once(' ')) {
            Some((_, rest)) => line(&mut out, format_args!("o=- {rest}")),
            None => line(&mut out, format_args!("{text}")),
        }
    }
    out.push_str("a=ptime:20\r\na=maxptime:20\r\n");
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
    out.push_str("\r\n");
}

/// One part of a description: the session's, or one media section's (then `head` is its `m=` line without `m=`).
struct Section<'a> {
    head: &'a str,
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    fn attributes<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.lines
            .iter()
            .filter_map(move |l| l.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }

    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    fn flag(&self, name: &str) -> bool {
        self.lines.iter().any(|l| l.strip_prefix("a=").is_some_and(|rest| rest.trim_end() == name))
    }

    fn kind(&self) -> &'a str {
        self.head.split_ascii_whitespace().next().unwrap_or("")
    }
}

/// The session's part first, then one per `m=` line. CRLF and LF are both taken.
fn sections(text: &str) -> Result<Vec<Section<'_>>, SdpError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SdpError::TooLarge { bytes: text.len() });
    }
    let mut sections = vec![Section { head: "", lines: Vec::new() }];
    for (n, text) in text.lines().enumerate() {
        if n >= LINES_MAX {
            return Err(SdpError::TooManyLines);
        }
        let text = text.trim_end();
        if text.is_empty() {
            continue;
        }
        let fine = text.as_bytes().get(1) == Some(&b'=')
            && text.as_bytes()[0].is_ascii_lowercase()
            && text.bytes().all(|b| b >= b' ' && b != 0x7f);
        if !fine || (n == 0 && text != "v=0") {
            return Err(SdpError::NotSdp);
        }
        if let Some(head) = text.strip_prefix("m=") {
            if sections.len() > MEDIA_LINES_MAX {
                return Err(SdpError::TooManySections);
            }
            sections.push(Section { head, lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(text);
        }
    }
    if sections[0].lines.is_empty() { Err(SdpError::NotSdp) } else { Ok(sections) }
}

/// The first audio section that is not declined, else the first.
fn audio_section(media: &[Section<'_>]) -> Result<usize, SdpError> {
    let audio = |s: &&Section<'_>| s.kind() == "audio";
    let open = |s: &Section<'_>| s.head.split_ascii_whitespace().nth(1) != Some("0") || s.flag("bundle-only");
    if let Some(at) = media.iter().position(|s| audio(&s) && open(s)).or_else(|| media.iter().position(|s| audio(&s))) {
        return Ok(at);
    }
    if media.iter().any(|s| s.kind() == "video") { Err(SdpError::VideoOnly) } else { Err(SdpError::NoAudio) }
}

struct RtpMap {
    pt: u8,
    codec: String,
    clock_hz: u32,
}

fn rtp_maps(audio: &Section<'_>, formats: &[u8]) -> Vec<RtpMap> {
    audio
        .attributes("rtpmap")
        .filter_map(|value| {
            let (pt, rest) = value.split_once(' ')?;
            let mut parts = rest.trim().split('/');
            let (codec, clock_hz) = (parts.next()?.to_ascii_lowercase(), parts.next()?.parse().ok()?);
            // RFC 7587 section 7: Opus is always described with two channels.
            if codec == "opus" && parts.next() != Some("2") {
                return None;
            }
            let pt = pt.parse().ok().filter(|pt| formats.contains(pt))?;
            Some(RtpMap { pt, codec, clock_hz })
        })
        .collect()
}

/// RFC 8839 section 5.4, plus `=`, which WhatsApp's passwords end with.
fn is_ice_text(text: &str, len_min: usize) -> bool {
    (len_min..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'))
}

fn mid_of(section: &Section<'_>) -> Option<String> {
    let mid = section.attribute("mid")?;
    let fine = (1..=MID_BYTES_MAX).contains(&mid.len()) && mid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    fine.then(|| mid.to_owned())
}

fn fingerprint(session: &Section<'_>, audio: &Section<'_>) -> Result<String, SdpError> {
    let mut lines = audio.attributes("fingerprint").chain(session.attributes("fingerprint")).peekable();
    if lines.peek().is_none() {
        return Err(SdpError::NoFingerprint);
    }
    lines
        .find_map(|value| {
            let (hash, hex) = value.split_once(' ')?;
            let hex = hex.trim().to_ascii_uppercase();
            let octets = hex.split(':').filter(|o| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit())).count();
            (hash.eq_ignore_ascii_case("sha-256") && octets == 32 && hex.len() == 95).then_some(hex)
        })
        .ok_or(SdpError::WeakFingerprint)
}

fn audio_level(audio: &Section<'_>) -> Option<u8> {
    audio.attributes("extmap").find_map(|value| {
        let mut words = value.split_ascii_whitespace();
        // `1/sendonly` is an identifier with a direction. One-byte headers carry 1 to 14 (RFC 8285 section 4.2).
        let id = words.next()?.split('/').next()?.parse::<u8>().ok().filter(|id| (1..=14).contains(id))?;
        (words.next()? == AUDIO_LEVEL).then_some(id)
    })
}

/// UDP candidates of component 1 that name an address. What follows `typ` is of no use to us.
fn candidates(sections: &[Section<'_>]) -> Result<Vec<RemoteCandidate>, SdpError> {
    let mut found = Vec::new();
    for (n, value) in sections.iter().flat_map(|s| s.attributes("candidate")).enumerate() {
        if n >= CANDIDATES_MAX {
            return Err(SdpError::TooManyCandidates);
        }
        let words: Vec<&str> = value.split_ascii_whitespace().take(8).collect();
        let [_, "1", transport, priority, ip, port, "typ", _] = words[..] else { continue };
        if !transport.eq_ignore_ascii_case("udp") {
            continue;
        }
        // A name (mDNS `.local`) does not read as an address and is dropped here.
        let (Ok(ip), Ok(port), Ok(priority)) = (ip.parse::<IpAddr>(), port.parse(), priority.parse()) else { continue };
        let candidate = RemoteCandidate { address: SocketAddr::new(ip, port), priority };
        if found.iter().all(|other: &RemoteCandidate| other.address != candidate.address) {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Whether we may send connectivity checks there. A peer on the public Internet has no business naming an address of our inside
/// (RFC 8445 section 19.5.1), while a gateway on a private address or on loopback talks to its like.
fn is_reachable(remote: SocketAddr, local: SocketAddr) -> bool {
    #[derive(PartialEq, PartialOrd)]
    enum Reach {
        Host,
        Site,
        World,
    }
    fn reach(ip: IpAddr) -> Reach {
        match ip {
            IpAddr::V4(v4) if v4.is_loopback() => Reach::Host,
            IpAddr::V6(v6) if v6.is_loopback() => Reach::Host,
            // 100.64.0.0/10 is carrier-grade NAT (RFC 6598), fc00::/7 unique local (RFC 4193).
            IpAddr::V4(v4) if v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64) => Reach::Site,
            IpAddr::V6(v6) if v6.is_unique_local() => Reach::Site,
            IpAddr::V4(_) | IpAddr::V6(_) => Reach::World,
        }
    }
    let special = match remote.ip() {
        IpAddr::V4(v4) => {
            v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.octets()[0] >= 240
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some()
        }
    };
    remote.is_ipv4() == local.is_ipv4() && remote.port() > 1023 && !special && reach(remote.ip()) >= reach(local.ip())
}

fn declined(section: &Section<'_>) -> Result<Declined, SdpError> {
    let line = match section.kind() {
        "audio" => "m=audio 0 UDP/TLS/RTP/SAVPF 0",
        "video" => "m=video 0 UDP/TLS/RTP/SAVPF 0",
        "application" => "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        _ => return Err(SdpError::NotWebRtc),
    };
    Ok(Declined { line, mid: mid_of(section) })
}

impl Declined {
    fn write(&self, out: &mut String) {
        line(out, format_args!("{}", self.line));
        line(out, format_args!("c=IN IP4 0.0.0.0"));
        line(out, format_args!("a=inactive"));
        if let Some(mid) = &self.mid {
            line(out, format_args!("a=mid:{mid}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(local: &str, candidate: &str, kept: bool) {
        assert_eq!(is_reachable(candidate.parse().unwrap(), local.parse().unwrap()), kept, "{candidate} from {local}");
    }

    #[test]
    fn a_candidate_is_kept_only_where_sending_to_it_is_safe() {
        for (local, candidate, kept) in [
            ("198.51.100.1:9000", "203.0.113.9:3480", true),
            ("198.51.100.1:9000", "10.0.0.1:3480", false),
            ("198.51.100.1:9000", "100.64.3.1:3480", false),
            ("198.51.100.1:9000", "127.0.0.1:3480", false),
            ("198.51.100.1:9000", "203.0.113.9:443", false),
            ("198.51.100.1:9000", "224.0.0.1:3480", false),
            ("198.51.100.1:9000", "255.255.255.255:3480", false),
            ("198.51.100.1:9000", "0.0.0.0:3480", false),
            ("198.51.100.1:9000", "169.254.169.254:8080", false),
            ("198.51.100.1:9000", "[2001:db8::1]:3480", false),
            ("10.0.0.2:9000", "10.0.0.1:3480", true),
            ("10.0.0.2:9000", "203.0.113.9:3480", true),
            ("10.0.0.2:9000", "127.0.0.1:3480", false),
            ("127.0.0.1:9000", "127.0.0.1:3480", true),
            ("127.0.0.1:9000", "172.17.0.2:3480", true),
            ("[2001:db8::2]:9000", "[2001:db8::1]:3480", true),
            ("[2001:db8::2]:9000", "[fc00::1]:3480", false),
            ("[2001:db8::2]:9000", "[fe80::1]:3480", false),
            ("[2001:db8::2]:9000", "[::ffff:203.0.113.9]:3480", false),
            ("[::1]:9000", "[::1]:3480", true),
        ] {
            check(local, candidate, kept);
        }
    }
}
