//! Descriptions nobody can use, each refused with a sentence that says what to mend.

use tandem::media::sdp::SdpError;
use tandem::media::{Leg, LegKey, OutgoingLeg};

use crate::peer::{Peer, Style};
use crate::world::{address, agent_port, customer_socket, identity, leg_id, start_of_time};

fn whatsapp_offer() -> String {
    Peer::phone(address("127.0.0.1:3480"), start_of_time()).whatsapp_sdp(Style::Live, "actpass", None)
}

fn browser_offer() -> String {
    Peer::browser(address("127.0.0.1:50000"), start_of_time()).browser_offer()
}

fn answer_customer(offer: &str) -> Result<String, SdpError> {
    let at = start_of_time();
    Leg::answer_customer(LegKey(1), leg_id("leg_c"), identity(), offer, customer_socket(), at).map(|(_, text)| text)
}

fn answer_agent(offer: &str) -> Result<String, SdpError> {
    let at = start_of_time();
    Leg::answer_agent(LegKey(2), leg_id("leg_a"), identity(), offer, &[agent_port()], at).map(|(_, text)| text)
}

/// The text without the lines that begin like this.
fn without(text: &str, prefix: &str) -> String {
    text.split_inclusive('\n').filter(|l| !l.starts_with(prefix)).collect()
}

#[test]
fn an_unusable_offer_is_refused_with_a_sentence_that_says_what_is_wrong() {
    let good = whatsapp_offer();
    let video = good.replace("m=audio", "m=video").replace("opus/48000/2", "VP8/90000");
    let many_sections = format!("{good}{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n".repeat(4));
    let many_candidates =
        (0..20).map(|n| format!("a=candidate:1 1 udp 1 127.0.0.{n} 5000 typ host\r\n")).collect::<String>() + "";
    for (offer, words) in [
        (String::new(), "not a session description"),
        ("hello".into(), "not a session description"),
        ("\u{0}\u{1}\u{2}".into(), "not a session description"),
        ("{\"sdp\":\"v=0\"}".into(), "not a session description"),
        ("v=0\r\n".into(), "no audio section"),
        (good.replace("a=mid:audio", "a=mid:audio\u{7}"), "not a session description"),
        (format!("{good}a={}\r\n", "x".repeat(17_000)), "at most 16384"),
        (format!("{good}{}", "a=x\r\n".repeat(600)), "more than 512 lines"),
        (many_sections, "more than 4 media sections"),
        (format!("{good}{many_candidates}"), "more than 16 candidates"),
        (good[..good.find("m=").unwrap()].to_owned(), "no audio section"),
        (video, "video but no audio"),
        (good.replace("m=audio 3480", "m=audio 0"), "declined"),
        (good.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), "only WebRTC media"),
        (good.replace("opus/48000/2", "PCMU/8000"), "opus/48000/2"),
        (good.replace("opus/48000/2", "opus/48000"), "opus/48000/2"),
        (without(&good, "a=fingerprint"), "`a=fingerprint` is missing"),
        (good.replace("sha-256", "sha-1"), "sha-256"),
        (good.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 Z"), "sha-256"),
        (without(&good, "a=ice-pwd"), "`a=ice-pwd` is missing"),
        (without(&good, "a=ice-ufrag"), "`a=ice-ufrag`"),
        (good.replace("a=ice-ufrag:", "a=ice-ufrag:é"), "`a=ice-ufrag`"),
        (without(&good, "a=mid"), "`a=mid` is missing"),
        (good.replace("a=mid:audio", &format!("a=mid:{}", "m".repeat(17))), "`a=mid`"),
        (good.replace("a=mid:audio", "a=mid:a-b"), "`a=mid`"),
        (good.replace("a=setup:actpass", "a=setup:holdconn"), "`a=setup`"),
        (without(&good, "a=candidate"), "no usable candidate"),
        (good.replace("127.0.0.1 3480 typ", "127.0.0.1 80 typ"), "port above 1023"),
        (good.replace("127.0.0.1 3480 typ", "224.0.0.9 3480 typ"), "no usable candidate"),
        (good.replace("127.0.0.1 3480 typ", "phone.local 3480 typ"), "no usable candidate"),
        (good.replace(" udp ", " tcp "), "no usable candidate"),
    ] {
        let error = answer_customer(&offer).map(|_| ()).expect_err(words).to_string();
        assert!(error.contains(words), "`{error}` should say `{words}`");
    }
}

#[test]
fn nothing_the_peer_wrote_comes_back_but_its_media_id() {
    let marked = whatsapp_offer()
        .replace("s=-", "s=EVIL")
        .replace("WhatsAppTrack1", "EVIL")
        .replace("cname:WhatsAppAudioStream1", "cname:EVIL")
        .replace("minptime=20", "x-EVIL=1")
        .replace("7b0c1d2e", "EVIL")
        .replace("a=rtcp-mux", "a=rtcp-mux\r\na=EVIL:EVIL\r\nb=EVIL:1")
        .replace("audio\r\n", "EVIL_mid\r\n");
    let answer = answer_customer(&marked).unwrap();
    assert_eq!(answer.matches("EVIL").count(), answer.matches("EVIL_mid").count(), "{answer}");
    assert!(answer.contains("a=mid:EVIL_mid\r\n"));
}

#[test]
fn a_browsers_offer_needs_no_candidate_and_gets_no_packet_before_its_own() {
    let offer = without(&browser_offer(), "a=candidate");
    let answer = answer_agent(&offer).unwrap();
    assert!(answer.contains("a=ice-lite\r\n") && answer.contains("a=setup:passive\r\n"), "{answer}");
    assert!(
        answer.contains("a=rtpmap:110 telephone-event/48000") && answer.contains("a=rtpmap:126 telephone-event/8000")
    );
    let extensions: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=extmap:")).collect();
    assert_eq!(extensions, ["a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level"], "{answer}");
}

#[test]
fn payload_types_are_the_browsers() {
    // Firefox: Opus 109, telephone events 101.
    let offer = browser_offer().replace("111", "109").replace("110", "101");
    let answer = answer_agent(&offer).unwrap();
    assert!(
        answer.contains("a=rtpmap:109 opus/48000/2") && answer.contains("a=rtpmap:101 telephone-event/48000"),
        "{answer}"
    );
}

#[test]
fn other_sections_of_an_offer_are_declined_at_their_places() {
    let base = browser_offer();
    let (session, audio) = base.split_at(base.find("m=audio").unwrap());
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    let answer = answer_agent(&format!("{session}{video}{audio}{data}")).unwrap();
    let lines: Vec<&str> = answer.lines().filter(|l| l.starts_with("m=")).collect();
    assert_eq!(lines[0], "m=video 0 UDP/TLS/RTP/SAVPF 0");
    assert!(lines[1].starts_with("m=audio 9 UDP/TLS/RTP/SAVPF 111"));
    assert_eq!(lines[2], "m=application 0 UDP/DTLS/SCTP webrtc-datachannel");
    assert!(answer.contains("a=group:BUNDLE 0\r\n"), "{answer}");
}

#[test]
fn an_answer_must_be_to_our_offer() {
    let at = start_of_time();
    let offer = || OutgoingLeg::offer_customer(LegKey(3), leg_id("leg_o"), identity(), customer_socket(), at);
    let answer =
        |text: &str| Peer::phone(address("127.0.0.1:3480"), at).whatsapp_sdp(Style::Live, "active", Some(text));

    let (leg, text) = offer();
    assert!(text.contains("a=setup:actpass\r\n") && text.contains("a=ptime:20\r\n"), "{text}");
    assert!(!text.contains("extmap:"), "{text}");
    assert!(leg.accept(&answer(&text), at).is_ok());

    let (leg, text) = offer();
    let foreign = answer(&text).replace(&format!("a=mid:{}", crate::peer::value(&text, "a=mid:")), "a=mid:other");
    assert_eq!(leg.accept(&foreign, at).err(), Some(SdpError::Refused));

    let (leg, text) = offer();
    let declined = answer(&text).replace("m=audio 3480", "m=audio 0");
    assert_eq!(leg.accept(&declined, at).err(), Some(SdpError::AudioDeclined));

    let nowhere = address("0.0.0.0:0");
    let (leg, text) = OutgoingLeg::offer_customer(LegKey(4), leg_id("leg_n"), identity(), nowhere, at);
    assert_eq!(leg.accept(&answer(&text), at).err(), Some(SdpError::BadLocalAddress(nowhere)));
}

#[test]
fn no_broken_offer_panics() {
    for good in [whatsapp_offer(), browser_offer()] {
        for end in (0..good.len()).filter(|n| good.is_char_boundary(*n)) {
            let _ = answer_agent(&good[..end]);
        }
        let lines: Vec<&str> = good.split_inclusive('\n').collect();
        for n in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(n);
            let _ = answer_customer(&fewer.concat());
            let mut twice = lines.clone();
            twice.insert(n, lines[n]);
            let _ = answer_customer(&twice.concat());
            let mut swapped = lines.clone();
            swapped.swap(n, (n + 3) % lines.len());
            let _ = answer_customer(&swapped.concat());
        }
        for at in (0..good.len()).step_by(3) {
            for byte in [b' ', b'\n'] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] = byte;
                let _ = String::from_utf8(bytes).map(|text| answer_customer(&text).is_ok());
            }
        }
    }
}
