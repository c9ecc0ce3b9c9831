//! Session descriptions as Meta writes them, and the rules Meta applies to those it receives.
//!
//! Own text handling on purpose: the gateway's parser must not be tested against itself.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::peer::Violation;

/// Longer texts are refused before they are looked at.
const SDP_BYTES_MAX: usize = 64 * 1_024;
/// RFC 8839 §5.4.
const UFRAG_CHARS_MIN: usize = 4;
/// RFC 8839 §5.4.
const PWD_CHARS_MIN: usize = 22;

/// Which of Meta's two ways of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdpStyle {
    /// As live calls look since 2025: `mid:audio`, millisecond o-line, `==` in the ICE password, no header extensions.
    #[default]
    Live,
    /// As the reference's sample looks: header extensions, candidates with a trailing `network-cost … ufrag`.
    Reference,
}

/// The `a=setup` of an answer to a business-initiated offer. All three were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setup {
    /// The business starts DTLS.
    #[default]
    Passive,
    /// Meta starts DTLS.
    Active,
    /// Illegal in an answer (RFC 8842 §5.3), and yet seen; means `passive`.
    ActPass,
}

/// What our side puts into its SDP.
pub(super) struct OurSide<'a> {
    pub(super) addr: SocketAddr,
    pub(super) ufrag: &'a str,
    pub(super) pwd: &'a str,
    pub(super) fingerprint: &'a str,
    pub(super) ssrc: u32,
    pub(super) created_ms: u128,
    pub(super) ipv6_candidate: bool,
}

/// The other side's SDP, checked.
#[derive(Clone, Debug)]
pub(super) struct TheirSide {
    pub(super) mid: String,
    pub(super) ufrag: String,
    pub(super) pwd: String,
    pub(super) fingerprint: Vec<u8>,
    pub(super) setup: Setup,
    pub(super) ssrcs: Vec<u32>,
    pub(super) opus: u8,
    pub(super) keys: Option<u8>,
    /// What Meta lets pass but advises against.
    pub(super) oddities: Vec<Violation>,
}

/// Which rules apply to a received description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect<'a> {
    Offer,
    /// An answer to our offer with this mid.
    AnswerTo(&'a str),
}

/// Our offer for a user-initiated call.
pub(super) fn write_offer(style: SdpStyle, ours: &OurSide<'_>) -> String {
    write_description(style, ours, "audio", "actpass", 111, 126)
}

/// Our answer for a business-initiated call: echoes mid and payload types.
pub(super) fn write_answer(style: SdpStyle, ours: &OurSide<'_>, theirs: &TheirSide, setup: Setup) -> String {
    let setup = match setup {
        Setup::Passive => "passive",
        Setup::Active => "active",
        Setup::ActPass => "actpass",
    };
    write_description(style, ours, &theirs.mid, setup, theirs.opus, theirs.keys.unwrap_or(126))
}

fn write_description(style: SdpStyle, ours: &OurSide<'_>, mid: &str, setup: &str, opus: u8, keys: u8) -> String {
    let (ip, port) = (ours.addr.ip(), ours.addr.port());
    let family = if ip.is_ipv6() { "IP6" } else { "IP4" };
    let stream = format!("7b0c1d2e-1111-4222-8333-{:012x}", ours.ssrc);
    let (opus_format, tail) = match style {
        SdpStyle::Live => (
            "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1",
            String::new(),
        ),
        SdpStyle::Reference => (
            "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=10;sprop-maxcapturerate=16000;useinbandfec=1",
            format!(" ufrag {}", ours.ufrag),
        ),
    };
    let mut lines = vec![
        "v=0".to_owned(),
        format!("o=- {} 2 IN IP4 127.0.0.1", ours.created_ms),
        "s=-".to_owned(),
        "t=0 0".to_owned(),
        format!("a=group:BUNDLE {mid}"),
        format!("a=msid-semantic: WMS {stream}"),
        "a=ice-lite".to_owned(),
        format!("m=audio {port} UDP/TLS/RTP/SAVPF {opus} {keys}"),
        format!("c=IN {family} {ip}"),
        "a=rtcp:9 IN IP4 0.0.0.0".to_owned(),
        format!("a=candidate:1775469000 1 udp 2122260223 {ip} {port} typ host generation 0 network-cost 50{tail}"),
    ];
    if ours.ipv6_candidate && ip.is_ipv4() {
        // An address of the documentation block: a business with IPv4 only must pass it over.
        lines.push(format!(
            "a=candidate:3355715000 1 udp 2122262783 2001:db8::10 {port} typ host generation 0 network-cost 50{tail}"
        ));
    }
    lines.extend([
        format!("a=ice-ufrag:{}", ours.ufrag),
        format!("a=ice-pwd:{}", ours.pwd),
        format!("a=fingerprint:{}", ours.fingerprint),
        format!("a=setup:{setup}"),
        format!("a=mid:{mid}"),
    ]);
    if style == SdpStyle::Reference {
        lines.extend([
            "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level".to_owned(),
            "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01".to_owned(),
        ]);
    }
    lines.extend([
        "a=sendrecv".to_owned(),
        format!("a=msid:{stream} WhatsAppTrack1"),
        "a=rtcp-mux".to_owned(),
        format!("a=rtpmap:{opus} opus/48000/2"),
        format!("a=rtcp-fb:{opus} transport-cc"),
        format!("a=fmtp:{opus} {opus_format}"),
        format!("a=rtpmap:{keys} telephone-event/8000"),
        "a=maxptime:20".to_owned(),
        "a=ptime:20".to_owned(),
        format!("a=ssrc:{} cname:WhatsAppAudioStream1", ours.ssrc),
    ]);
    let mut text = String::new();
    for line in lines {
        write!(text, "{line}\r\n").expect("a String takes everything");
    }
    text
}

/// Checks a description the way Meta does.
///
/// # Errors
/// The sentence for `error_data.details` of error 138008.
pub(super) fn check(sdp: &str, expect: Expect<'_>) -> Result<TheirSide, String> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(format!("SDP is longer than {SDP_BYTES_MAX} bytes"));
    }
    if sdp.replace("\r\n", "").contains(['\r', '\n']) || !sdp.ends_with("\r\n") {
        return Err("SDP lines must end with CRLF".to_owned());
    }
    let lines: Vec<&str> = sdp.split("\r\n").filter(|line| !line.is_empty()).collect();
    if lines.first() != Some(&"v=0") {
        return Err("SDP must begin with v=0".to_owned());
    }
    if let Some(bad) = lines.iter().find(|line| line.as_bytes().get(1) != Some(&b'=')) {
        return Err(format!("malformed SDP line: {bad:?}"));
    }
    let text = Text { lines };
    let format_types = text.one_audio_line()?;
    let (ufrag, pwd) = text.ice()?;
    let setup = text.setup(expect)?;
    let mid = text.mid(expect)?;
    let opus = text.opus(&format_types)?;
    text.rest(expect)?;
    let mut oddities = Vec::new();
    if expect != Expect::Offer && setup == Setup::Passive {
        oddities.push(Violation::DtlsPassive);
    }
    if expect != Expect::Offer && text.values("extmap").next().is_some() {
        oddities.push(Violation::ExtensionsInAnswer);
    }
    Ok(TheirSide {
        mid,
        ufrag,
        pwd,
        fingerprint: text.fingerprint()?,
        setup,
        ssrcs: text.ssrcs()?,
        opus,
        keys: text.payload_type("telephone-event/8000").filter(|pt| format_types.contains(pt)),
        oddities,
    })
}

struct Text<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Text<'a> {
    /// The values of `a=name:value`.
    fn values<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'a str> + 'n {
        self.lines.iter().filter_map(move |line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.lines.iter().any(|line| line.strip_prefix("a=") == Some(flag))
    }

    fn one(&self, name: &str) -> Result<&'a str, String> {
        let mut values = self.values(name);
        let first = values.next().ok_or_else(|| format!("no a={name} line found"))?;
        if values.any(|other| other != first) {
            return Err(format!("several a={name} lines found, exactly one is allowed"));
        }
        Ok(first)
    }

    fn one_audio_line(&self) -> Result<Vec<u8>, String> {
        let media: Vec<&str> = self.lines.iter().filter_map(|line| line.strip_prefix("m=")).collect();
        let [line] = media[..] else {
            return Err(format!("exactly one m-line is allowed, found {}", media.len()));
        };
        let mut words = line.split(' ');
        if words.next() != Some("audio") {
            return Err("the m-line must be audio".to_owned());
        }
        if words.next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(0) == 0 {
            return Err("the audio m-line is rejected or has no port".to_owned());
        }
        if words.next() != Some("UDP/TLS/RTP/SAVPF") {
            return Err("the transport must be UDP/TLS/RTP/SAVPF".to_owned());
        }
        words.map(|word| word.parse().map_err(|_| format!("payload type {word:?} is no number"))).collect()
    }

    fn ice(&self) -> Result<(String, String), String> {
        if self.has_flag("ice-lite") {
            return Err("a=ice-lite is not allowed, the business must be a full ICE agent".to_owned());
        }
        let (ufrag, pwd) = (self.one("ice-ufrag")?, self.one("ice-pwd")?);
        if ufrag.len() < UFRAG_CHARS_MIN || pwd.len() < PWD_CHARS_MIN {
            return Err("ice-ufrag or ice-pwd is too short".to_owned());
        }
        Ok((ufrag.to_owned(), pwd.to_owned()))
    }

    fn fingerprint(&self) -> Result<Vec<u8>, String> {
        let lines: Vec<&str> = self.values("fingerprint").collect();
        let [line] = lines[..] else {
            let what = if lines.is_empty() {
                "no fingerprint found".to_owned()
            } else {
                format!("{} fingerprints found", lines.len())
            };
            return Err(format!("{what}, exactly one sha-256 fingerprint is needed"));
        };
        let (algorithm, digest) = line.split_once(' ').ok_or("the fingerprint has no digest")?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return Err(format!("fingerprint algorithm {algorithm} is not supported, use sha-256"));
        }
        let bytes =
            hex::decode(digest.trim().replace(':', "")).map_err(|_| "the fingerprint is not hexadecimal".to_owned())?;
        if bytes.len() != 32 || bytes.iter().all(|byte| *byte == 0) {
            return Err("the fingerprint is not a SHA-256 digest of a certificate".to_owned());
        }
        Ok(bytes)
    }

    fn setup(&self, expect: Expect<'_>) -> Result<Setup, String> {
        match (self.one("setup")?, expect) {
            ("active", _) => Ok(Setup::Active),
            ("passive", Expect::AnswerTo(_)) => Ok(Setup::Passive),
            ("actpass", Expect::Offer) => Ok(Setup::ActPass),
            (other, _) => Err(format!("a=setup:{other} is not allowed here")),
        }
    }

    fn mid(&self, expect: Expect<'_>) -> Result<String, String> {
        let mid = self.one("mid")?;
        if let Expect::AnswerTo(offered) = expect
            && mid != offered
        {
            return Err(format!("a=mid:{mid} does not match the offer's a=mid:{offered}"));
        }
        let bundle = self.values("group").find_map(|group| group.strip_prefix("BUNDLE "));
        if bundle.is_some_and(|bundle| bundle.trim() != mid) {
            return Err(format!("a=group:BUNDLE must name exactly the mid {mid}"));
        }
        Ok(mid.to_owned())
    }

    fn opus(&self, listed: &[u8]) -> Result<u8, String> {
        self.payload_type("opus/48000/2")
            .filter(|pt| listed.contains(pt))
            .ok_or_else(|| "opus/48000/2 is missing".to_owned())
    }

    fn payload_type(&self, encoding: &str) -> Option<u8> {
        self.values("rtpmap").find_map(|map| {
            let (number, name) = map.split_once(' ')?;
            if name.trim().eq_ignore_ascii_case(encoding) { number.parse().ok() } else { None }
        })
    }

    fn ssrcs(&self) -> Result<Vec<u32>, String> {
        let mut found: Vec<u32> = Vec::new();
        for value in self.values("ssrc") {
            let number = value.split(' ').next().and_then(|word| word.parse().ok());
            let ssrc = number.ok_or_else(|| format!("a=ssrc:{value} has no number"))?;
            if !found.contains(&ssrc) {
                found.push(ssrc);
            }
        }
        if found.len() > 1 {
            return Err(format!("exactly one audio SSRC is allowed, found {}", found.len()));
        }
        Ok(found)
    }

    fn rest(&self, expect: Expect<'_>) -> Result<(), String> {
        if !self.has_flag("rtcp-mux") {
            return Err("a=rtcp-mux is missing".to_owned());
        }
        if self.values("crypto").next().is_some() {
            return Err("a=crypto (SDES) is not enabled for this number".to_owned());
        }
        for name in ["ptime", "maxptime"] {
            let value = self.one(name)?;
            if value.trim() != "20" {
                return Err(format!("a={name} must be 20, found {value}"));
            }
        }
        let silent = ["recvonly", "sendonly", "inactive"].into_iter().find(|flag| self.has_flag(flag));
        match (silent, expect) {
            (Some(flag), _) => Err(format!("a={flag} is not allowed, use sendrecv")),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> OurSide<'static> {
        OurSide {
            addr: "127.0.0.1:3480".parse().expect("an address"),
            ufrag: "abcdEFGH12345678",
            pwd: "AAAAAAAAAAAAAAAAAAAAAA==",
            fingerprint: "sha-256 01:02",
            ssrc: 849_250_000,
            created_ms: 1_795_000_000_123,
            ipv6_candidate: true,
        }
    }

    fn good_answer() -> String {
        let digest = ["AB"; 32].join(":");
        [
            "v=0",
            "o=- 1 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE audio",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 126",
            "c=IN IP4 0.0.0.0",
            "a=mid:audio",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:0123456789012345678901",
            &format!("a=fingerprint:sha-256 {digest}"),
            "a=setup:active",
            "a=sendrecv",
            "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:126 telephone-event/8000",
            "a=ptime:20",
            "a=maxptime:20",
            "a=ssrc:77 cname:x",
            "",
        ]
        .join("\r\n")
    }

    #[test]
    fn a_good_answer_passes_and_each_fault_is_named() {
        let checked = check(&good_answer(), Expect::AnswerTo("audio")).expect("a good answer");
        assert_eq!((checked.ssrcs, checked.opus, checked.keys), (vec![77], 111, Some(126)));
        let digest = ["AB"; 32].join(":");
        for (what, from, to, reason) in [
            ("LF only", "\r\n", "\n", "CRLF"),
            ("video", "m=audio", "m=video", "must be audio"),
            (
                "two m-lines",
                "a=mid:audio\r\n",
                "a=mid:audio\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
                "exactly one m-line",
            ),
            ("no fingerprint", "a=fingerprint", "a=finger", "no fingerprint found"),
            ("another hash", "sha-256 ", "sha-1 ", "use sha-256"),
            (
                "several",
                "a=setup:active",
                &format!("a=fingerprint:sha-512 {digest}\r\na=setup:active"),
                "2 fingerprints",
            ),
            ("zeroes", "AB", "00", "not a SHA-256"),
            ("mid", "a=mid:audio", "a=mid:0", "does not match"),
            ("bundle", "BUNDLE audio", "BUNDLE 0", "BUNDLE must name"),
            ("no opus", "opus/48000/2", "PCMU/8000", "opus/48000/2 is missing"),
            ("ptime", "a=ptime:20", "a=ptime:40", "ptime must be 20"),
            ("no ptime", "a=ptime:20\r\n", "", "no a=ptime"),
            ("two ssrcs", "a=ssrc:77 cname:x", "a=ssrc:77 cname:x\r\na=ssrc:78 cname:x", "one audio SSRC"),
            ("actpass", "setup:active", "setup:actpass", "setup:actpass"),
            ("lite", "a=sendrecv", "a=ice-lite\r\na=sendrecv", "ice-lite"),
            ("no mux", "a=rtcp-mux\r\n", "", "rtcp-mux"),
            ("one way", "a=sendrecv", "a=recvonly", "recvonly"),
            ("short", "v=0", "v", "v=0"),
        ] {
            let error = check(&good_answer().replace(from, to), Expect::AnswerTo("audio")).expect_err(what);
            assert!(error.contains(reason), "{what}: {error}");
        }
    }

    #[test]
    fn what_is_only_advised_against_is_noted() {
        let odd = good_answer()
            .replace("setup:active", "setup:passive")
            .replace("a=sendrecv", "a=extmap:1 urn:x\r\na=sendrecv");
        let checked = check(&odd, Expect::AnswerTo("audio")).expect("it passes");
        assert_eq!(checked.oddities, [Violation::DtlsPassive, Violation::ExtensionsInAnswer]);
    }

    #[test]
    fn both_styles_carry_what_makes_them_hard() {
        let live = write_offer(SdpStyle::Live, &ours());
        assert!(live.contains("==\r\n") && live.contains("a=mid:audio\r\n") && !live.contains("extmap"), "{live}");
        assert!(live.contains("typ host generation 0 network-cost 50\r\n"), "{live}");
        let reference = write_offer(SdpStyle::Reference, &ours());
        assert!(
            reference.contains("network-cost 50 ufrag abcdEFGH12345678\r\n") && reference.contains("a=extmap:"),
            "{reference}"
        );
    }
}
