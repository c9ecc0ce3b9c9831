//! What workers hear is told by the gateway as if it had heard it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tandem::asr::{Engine, EngineError, Heard, Leg, Listener, Stream};
use tandem::model::rtp::{Side, TapKey};
use tandem::model::transcript::{Segment, Unheard};

use super::world::{Gateway, Shard, call_id, config, start_listening_worker, until};

/// Says how long it has listened, every half second.
#[derive(Default)]
struct Counting {
    streams: AtomicUsize,
}

struct Ear {
    leg: Leg,
    heard: Listener,
    samples: u64,
    said: u32,
}

impl Engine for Counting {
    fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream> {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Box::new(Ear { leg, heard, samples: 0, said: 0 })
    }

    fn transcribe(&self, _: &[i16], _: &Leg) -> Result<Vec<Segment>, EngineError> {
        Err(EngineError { engine: "counting", why: "it only counts".to_owned() })
    }

    fn name(&self) -> &'static str {
        "counting"
    }
}

impl Stream for Ear {
    fn push(&mut self, first_sample: u64, pcm: &[i16]) {
        self.samples = first_sample + pcm.len() as u64;
        let is_final = self.samples >= u64::from(self.said + 1) * 8_000;
        let segment = Segment {
            speaker: self.leg.speaker,
            index: self.said,
            start_ms: u64::from(self.said) * 500,
            end_ms: self.samples / 16,
            text: self.said.to_string(),
            is_final,
            stable_chars: 0,
            confidence: None,
            language: None,
        };
        self.said += u32::from(is_final);
        (self.heard)(&self.leg, Heard::Segment(segment));
    }

    fn finish(self: Box<Self>) {
        (self.heard)(&self.leg, Heard::Ended);
    }
}

/// What was told of one side of a call but its partials: `0 1 ended`, with `missed` where it was.
fn told(gateway: &Gateway, call: u64, side: Side) -> (String, Option<Unheard>) {
    let heard = gateway.heard.lock().unwrap();
    let mut missed = None;
    let words = heard.iter().filter(|(leg, _)| leg.call == call_id(call) && leg.speaker == side);
    let words = words.filter_map(|(_, heard)| match heard {
        Heard::Segment(segment) if segment.is_final => Some(segment.text.clone()),
        Heard::Segment(_) => None,
        Heard::Missed(unheard) => {
            missed = Some(*unheard);
            Some("missed".to_owned())
        }
        Heard::Ended => Some("ended".to_owned()),
    });
    let words: Vec<String> = words.collect();
    (words.join(" "), missed)
}

fn begin(gateway: &Gateway, call: u64) {
    gateway.record(call);
    gateway.ears.as_ref().unwrap().open(TapKey(call), &call_id(call));
}

async fn ended(gateway: &Gateway, call: u64) {
    let both = || [Side::Customer, Side::Agent].map(|side| told(gateway, call, side).0.ends_with("ended"));
    until("the last words", || both() == [true; 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_listen_and_what_a_lost_one_did_not_hear_is_told_as_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (there, here): (Arc<Counting>, Arc<Counting>) = Default::default();
    let worker = start_listening_worker(&dir.path().join("worker"), Some(Arc::clone(&there) as Arc<dyn Engine>));
    let config = config(dir.path(), worker.address(), worker.fingerprint());
    let mut gateway = Gateway::start_listening(&config, Some(Arc::clone(&here) as Arc<dyn Engine>));
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;

    begin(&gateway, 1);
    begin(&gateway, 2);
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1, 2]);
    shard = shard.talk_for(Duration::from_millis(1_900)).await;
    until("it is told while it is said", || told(&gateway, 1, Side::Agent).0.starts_with("0 1")).await;
    let partials = gateway.heard.lock().unwrap().iter().any(|(_, h)| matches!(h, Heard::Segment(s) if !s.is_final));
    assert!(partials, "what grows is told too");
    shard.end_of(1);
    ended(&gateway, 1).await;
    for side in [Side::Customer, Side::Agent] {
        assert_eq!(told(&gateway, 1, side), ("0 1 2 ended".to_owned(), None), "{side}");
    }
    assert_eq!((there.streams.load(Ordering::Relaxed), here.streams.load(Ordering::Relaxed)), (4, 0));
    assert_eq!(gateway.tap.stats().blocks, 0, "nothing is decoded here");

    until("it is told while it is said", || told(&gateway, 2, Side::Agent).0.starts_with("0 1 2")).await;
    worker.stop().await;
    shard = shard.talk_for(Duration::from_secs(1)).await;
    let length = shard.length().as_millis() as u64;
    shard.end_of(2);
    ended(&gateway, 2).await;
    for side in [Side::Customer, Side::Agent] {
        let (words, missed) = told(&gateway, 2, side);
        assert!(words.ends_with(" missed ended"), "{words}");
        let missed = missed.unwrap();
        assert!((1_500..2_600).contains(&missed.start_ms), "{missed:?}");
        assert!(missed.end_ms.abs_diff(length) < 100, "{missed:?} of {length}");
    }
    assert_eq!(here.streams.load(Ordering::Relaxed), 0);

    // Nobody is there: the gateway listens itself.
    begin(&gateway, 3);
    shard.begin(3);
    shard = shard.talk_for(Duration::from_millis(1_200)).await;
    shard.end_of(3);
    ended(&gateway, 3).await;
    assert!(told(&gateway, 3, Side::Customer).0.starts_with("0 "));
    assert_eq!(here.streams.load(Ordering::Relaxed), 2);
    gateway.stop().await;
}
