//! Calls that a customer makes.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::measure::{beeps_heard, clipped_ms};
use tandem_loadtest::peer::Violation;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{By, CallOptions, Config, InboundCall, SdpStyle, Step, What};

use crate::business::{Business, SOON};

async fn answered(
    business: &Business,
    call: InboundCall,
) -> (tandem_loadtest::peer::Peer, tandem_loadtest::whatsapp::CallHandle) {
    let call = business.wa.call(call).await.unwrap();
    let (peer, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("pre_accept", call.wacid(), &sdp).await.status, 200);
    peer.connected(SOON).await.unwrap();
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    peer.open_microphone();
    call.answered(SOON).await.unwrap();
    (peer, call)
}

#[tokio::test]
async fn both_sides_hear_each_other_in_both_sdp_styles() {
    let business = Business::start(Config::default()).await;
    for (style, phone) in [(SdpStyle::Live, "995555010203"), (SdpStyle::Reference, "995555010204")] {
        let options = CallOptions { sdp_style: style, ..CallOptions::default() };
        let (peer, call) = answered(&business, InboundCall::from(phone).with(options)).await;
        business.hear_each_other(&peer, &call).await;
        assert_eq!(call.violations(), [], "{style:?}");
        assert_eq!(business.act("terminate", call.wacid()).await.status, 200);
        let ended = call.ended(SOON).await.unwrap();
        assert_eq!((ended.by, ended.failed), (By::Business, false));
        let terminate = business.event(call.wacid(), "terminate").await;
        assert_eq!(terminate["status"], "COMPLETED");
        assert!(terminate["duration"].is_number() && terminate["start_time"].is_string(), "{terminate}");
        let whats: Vec<_> = call.timeline().into_iter().map(|m| m.what).collect();
        let expected =
            [What::Created, What::PreAccepted, What::MediaUp, What::Accepted, What::FirstPacketHeard, What::Ended];
        assert_eq!(whats, expected, "{style:?}");
    }
}

#[tokio::test]
async fn the_callers_first_word_is_there_from_its_first_frame() {
    let business = Business::start(Config::default()).await;
    let (peer, call) = answered(&business, InboundCall::from("995555010203").says(Sound::beeps(12))).await;
    call.finished_speaking(SOON).await.unwrap();
    peer.until(SOON, "all beeps", |p| beeps_heard(&p.heard().pcm(), 12).len() == 12).await.unwrap();
    assert_eq!(clipped_ms(Sound::beeps(12).pcm(), &peer.heard().pcm()), Some(0.0));
}

#[tokio::test]
async fn the_phone_waits_for_the_first_packet_before_it_sends() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203").says(Sound::caller())).await.unwrap();
    let (peer, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200, "accept without pre_accept works");
    peer.connected(SOON).await.unwrap();
    call.media_up(SOON).await.unwrap();
    // Long enough for a dozen frames of an eager phone.
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!((call.stats().packets_sent, peer.stats().packets_received), (0, 0));
    peer.open_microphone();
    peer.until(SOON, "the phone speaks", |p| p.stats().packets_received > 10).await.unwrap();
    assert!(call.stats().first_sent_at >= call.stats().first_packet_at);
}

#[tokio::test]
async fn a_call_that_nobody_accepts_ends_without_times() {
    let business = Business::start(Config { ring_timeout: Duration::from_millis(300), ..Config::default() }).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let ended = call.ended(SOON).await.unwrap();
    assert_eq!((ended.by, ended.duration), (By::RingTimeOut, None));
    let terminate = business.event(call.wacid(), "terminate").await;
    assert!(terminate["duration"].is_null() && terminate["start_time"].is_null(), "{terminate}");
    assert_eq!(business.words(call.wacid()), ["connect", "terminate"]);
}

#[tokio::test]
async fn accept_must_repeat_the_sdp_of_pre_accept_and_comes_once() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (_peer, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("pre_accept", call.wacid(), &sdp).await.status, 200);
    let other = business.act_with("accept", call.wacid(), &sdp.replace("s=-", "s=other")).await;
    assert_eq!((other.status, other.code()), (400, 100), "{other:?}");
    assert_eq!(call.violations(), [Violation::AnswerChanged]);
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    let again = business.act_with("accept", call.wacid(), &sdp).await;
    assert!(again.status == 400 && again.details().contains("already accepted"), "{again:?}");
    let reject = business.act("reject", call.wacid()).await;
    assert_eq!(reject.status, 400, "reject is for ringing calls only");
    assert_eq!(business.act("terminate", call.wacid()).await.status, 200);
    let twice = business.act("terminate", call.wacid()).await;
    assert!(twice.status == 400 && twice.details().contains("already ended"), "{twice:?}");
    business.event(call.wacid(), "terminate").await;
    assert_eq!(business.words(call.wacid()).iter().filter(|w| *w == "terminate").count(), 1);
}

#[tokio::test]
async fn a_bad_sdp_is_refused_with_138008() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (_peer, sdp) = business.answer(call.wacid(), false).await;
    for (from, to) in [("a=mid:audio", "a=mid:0"), ("a=ptime:20", "a=ptime:60"), ("\r\n", "\n"), ("sha-256", "sha-512")]
    {
        let answer = business.act_with("accept", call.wacid(), &sdp.replace(from, to)).await;
        assert_eq!((answer.status, answer.code()), (400, 138_008), "{to}: {answer:?}");
    }
    let unknown =
        json!({"messaging_product": "whatsapp", "action": "reject", "call_id": call.wacid(), "reject_reason": "busy"});
    let answer = business.graph(&unknown).await;
    assert_eq!((answer.status, answer.code()), (400, 100), "{answer:?}");
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200, "the call is still there");
}

#[tokio::test]
async fn silence_ends_the_call_with_138021_in_both_places() {
    let limits = Config {
        silence_at_start: Duration::from_millis(400),
        silence_later: Duration::from_millis(700),
        ..Config::default()
    };
    let business = Business::start(limits).await;
    // At the start: the business never sends.
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (_never, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    let ended = call.ended(SOON).await.unwrap();
    assert_eq!((ended.by, ended.error), (By::Silence, Some(138_021)));
    business.event(call.wacid(), "terminate").await;
    let body = business.bodies().pop().unwrap();
    let value = &body["entry"][0]["changes"][0]["value"];
    assert_eq!(value["errors"][0]["code"], 138_021);
    assert_eq!(value["calls"][0]["errors"][0]["code"], 138_021);
    assert_eq!(value["calls"][0]["status"], "FAILED");
    assert!(value["calls"][0]["duration"].is_number());
    // Later: it sends for a while and loses its network.
    let (peer, call) = answered(&business, InboundCall::from("995555010204")).await;
    call.heard_something(SOON).await.unwrap();
    peer.drop_network();
    assert_eq!(call.ended(SOON).await.unwrap().error, Some(138_021));
}

#[tokio::test]
async fn what_strangers_send_to_a_phones_port_is_not_held_against_the_business() {
    let business = Business::start(Config::default()).await;
    let (peer, call) = answered(&business, InboundCall::from("995555010203")).await;
    let phone = call.peer().unwrap().addr();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // The audio of a call that had this port before, and types nobody has negotiated.
    for payload_type in [111, 96, 0, 33] {
        let mut packet = [0x55_u8; 60];
        packet[..2].copy_from_slice(&[0x80, payload_type]);
        stranger.send_to(&packet, phone).unwrap();
    }
    business.hear_each_other(&peer, &call).await;
    assert_eq!(call.violations(), []);
    assert_eq!(call.stats().ssrcs.len(), 1, "{:?}", call.stats());
}

#[tokio::test]
async fn media_before_accept_is_noted_as_answered_early() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (_peer, sdp) = business.answer(call.wacid(), true).await;
    assert_eq!(business.act_with("pre_accept", call.wacid(), &sdp).await.status, 200);
    call.heard_something(SOON).await.unwrap();
    assert_eq!(call.violations(), [Violation::MediaBeforeAccept]);
    assert!(call.moment(&What::AnsweredEarly).is_some());
}

#[tokio::test]
async fn a_phone_presses_keys_falls_silent_and_hangs_up_by_script() {
    let business = Business::start(Config::default()).await;
    let script = InboundCall::from("995555010203")
        .step(Step::Dtmf("1#9".into()))
        .step(Step::Wait(Duration::from_millis(100)))
        .step(Step::HangUp);
    let (peer, call) = answered(&business, script).await;
    let ended = call.ended(SOON).await.unwrap();
    assert_eq!(ended.by, By::Customer);
    assert_eq!(peer.heard().digits(), "1#9");
    // And the other way round: the business's keys reach the phone.
    let (peer, call) = answered(&business, InboundCall::from("995555010204")).await;
    peer.dtmf("42");
    call.until(SOON, "keys", |c| c.heard().digits() == "42").await.unwrap();
    call.fall_silent();
    peer.until(SOON, "silence", |p| p.stats().longest_silence > Duration::from_millis(300)).await.unwrap();
}

#[tokio::test]
async fn many_phones_behind_one_relay_address_keep_their_audio_apart() {
    let business = Business::start(Config { relays: 1, ..Config::default() }).await;
    let mut calls = Vec::new();
    for k in 0..4 {
        let tone = Sound::tone(600.0 + 400.0 * k as f32, Duration::from_secs(2));
        calls.push(answered(&business, InboundCall::from(&format!("99555501000{k}")).says(tone)).await);
    }
    for (k, (peer, call)) in calls.iter().enumerate() {
        call.finished_speaking(SOON).await.unwrap();
        let pcm = peer.heard().pcm();
        for other in 0..4 {
            let hz = 600.0 + 400.0 * other as f32;
            let frames = pcm.chunks_exact(320).filter(|f| tandem_loadtest::measure::tone_share(f, hz) > 0.8).count();
            assert_eq!(frames > 80, k == other, "call {k} at {hz} Hz: {frames} frames");
        }
    }
}
