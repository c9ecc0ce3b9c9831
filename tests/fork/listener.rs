//! A listener of our own for the media streams, which decodes what it gets and listens for the tones.

use std::time::Duration;

use serde_json::Value;
use tandem::audio::mulaw;
use tandem::model::rtp::TapKey;
use tokio::net::TcpListener;

use super::receiver::{Listener, heard};
use super::world::{AGENT_HZ, CUSTOMER_HZ, Shard, Talker, tone_at, until, voice};
use super::{AFTER_HZ, PAUSED_HZ, loud};

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_both_tracks_at_their_times_in_both_encodings_and_the_end() {
    let listener = Listener::start().await;
    let l16 = Listener::start().await;
    let mut talker = Talker::start(&format!(
        "[[fork.websocket]]\nurl = '{}'\n[[fork.websocket]]\nurl = '{}'\nencoding = 'l16'\ntracks = 'outbound'\n",
        listener.url, l16.url
    ));
    talker.record(1);
    let mut shard = Shard::start(talker.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(2)).await;
    shard.end();
    until("both were told of the end", || listener.said("stop") == 1 && l16.said("stop") == 1).await;

    let events = listener.events();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((&kinds[..3], kinds.last()), (&["connected", "start", "media"][..], Some(&"stop")));
    // Strings, in order, one after another.
    let sequence: Vec<u64> =
        events[1..].iter().map(|e| e["sequenceNumber"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>());
    for (track, hz) in [("inbound", CUSTOMER_HZ), ("outbound", AGENT_HZ)] {
        let (times, pcm) = heard(&events, track, |bytes| bytes.iter().map(|&code| mulaw::decode(code)).collect());
        assert_eq!(times, (0..times.len() as u64).map(|frame| frame * 20).collect::<Vec<_>>(), "{track}");
        assert!(times.len() >= 95, "{track}: {} frames", times.len());
        assert!(tone_at(8_000, &pcm[4_000..14_000], hz) > 0.7, "{track}");
    }
    let l16_events = l16.events();
    assert_eq!(l16_events[1]["start"]["tracks"], serde_json::json!(["outbound"]));
    let be = |bytes: &[u8]| bytes.as_chunks::<2>().0.iter().map(|&b| i16::from_be_bytes(b)).collect();
    let (_, pcm) = heard(&l16_events, "outbound", be);
    assert!(tone_at(16_000, &pcm[8_000..28_000], AGENT_HZ) > 0.7);
    assert!(heard(&l16_events, "inbound", be).0.is_empty());
    let stats = talker.sockets.stats();
    assert_eq!((stats.streams, stats.connected, stats.dropped_blocks, stats.reconnects), (0, 0, 0, 0));
    talker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_nothing_of_a_pause() {
    let listener = Listener::start().await;
    let mut talker = Talker::start(&format!("[[fork.websocket]]\nurl = '{}'\n", listener.url));
    talker.record(1);
    let mut shard = Shard::start(talker.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(1)).await;
    talker.tap.orders().pause(TapKey(1));
    shard.voices = [voice(PAUSED_HZ), voice(PAUSED_HZ)];
    shard = shard.talk_for(Duration::from_secs(1)).await;
    // A packet is heard when it comes: the last one of the pause reaches 20 ms into what follows.
    shard.voices = [voice(AFTER_HZ), voice(AFTER_HZ)];
    shard = shard.talk_for(Duration::from_millis(40)).await;
    talker.tap.orders().resume(TapKey(1));
    shard = shard.talk_for(Duration::from_secs(1)).await;
    shard.end();
    until("told of the end", || listener.said("stop") == 1).await;
    for (track, hz) in [("inbound", CUSTOMER_HZ), ("outbound", AGENT_HZ)] {
        let mulaw = |bytes: &[u8]| bytes.iter().map(|&code| mulaw::decode(code)).collect();
        let (times, pcm) = heard(&listener.events(), track, mulaw);
        assert_eq!(times.len(), times.last().map_or(0, |last| *last as usize / 20 + 1), "time runs on");
        let frames =
            |hz: f64| pcm.chunks_exact(160).filter(|frame| loud(frame) && tone_at(8_000, frame, hz) > 0.5).count();
        assert!(frames(hz) > 35 && frames(AFTER_HZ) > 35, "{track}: {} {}", frames(hz), frames(AFTER_HZ));
        assert_eq!(frames(PAUSED_HZ), 0, "{track}");
        // The tone in the frame that the resumption cuts is not the paused one, and the filter has its length.
        let silent = pcm[8_400..15_200].iter().filter(|sample| sample.unsigned_abs() > 8).count();
        assert_eq!(silent, 0, "{track}");
    }
    talker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_hangs_up_is_called_again_and_hears_where_the_call_is() {
    let listener = Listener::start().await;
    listener.hang_up_after(40);
    let mut talker = Talker::start(&format!("[[fork.websocket]]\nurl = '{}'\n", listener.url));
    talker.record(1);
    let mut shard = Shard::start(talker.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(3)).await;
    shard.end();
    until("told of the end", || listener.said("stop") == 1).await;
    assert_eq!((listener.said("start"), talker.sockets.stats().reconnects), (2, 1));
    let events = listener.events();
    let streams: Vec<&Value> = events.iter().filter(|e| e["event"] == "start").map(|e| &e["streamSid"]).collect();
    assert_ne!(streams[0], streams[1]);
    let (times, _) = heard(&events, "inbound", |_| Vec::new());
    assert!(times.is_sorted() && *times.last().unwrap() >= 2_900, "{times:?}");
    talker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_listener_costs_counted_sound_and_nothing_else() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut talker = Talker::start(&format!("[[fork.websocket]]\nurl = 'ws://127.0.0.1:{port}'\n"));
    let path = talker.record(1);
    let mut shard = Shard::start(talker.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_secs(5)).await;
    until("the queue is full", || talker.sockets.stats().dropped_blocks > 5).await;
    shard.end();
    until("given up", || talker.sockets.stats().streams == 0).await;
    assert!(talker.sockets.stats().refused >= 2);
    let tap = talker.tap.stats();
    assert_eq!((tap.dropped_blocks, tap.not_copied), (0, 0));
    let _dir = talker.stop().await;
    assert!((4_900..5_200).contains(&(super::world::read(&path).len() / 16)));
}
