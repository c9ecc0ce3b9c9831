//! Event streams: in order, without gap or duplicate, and only what one may see.

use std::time::Duration;

use axum::response::Response;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::fixture::{House, id, now};
use crate::control::auth::Caller;
use crate::control::stream::{Follow, View, open};
use crate::model::event::{Event, NewEvent};
use crate::model::id::AgentId;

/// Longer than anything here takes; a failure rather than a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// Frames of a stream as they come.
struct Frames {
    body: axum::body::BodyDataStream,
    text: String,
}

/// One frame: event, id, data.
type Frame = (String, Option<i64>, Value);

impl Frames {
    fn of(response: Response) -> Self {
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next frame that is no comment; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = rest.to_owned();
                if frame.starts_with(':') {
                    continue;
                }
                let field = |name: &str| {
                    frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
                };
                let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                return Some((field("event").unwrap(), field("id").map(|id| id.parse().unwrap()), data));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("a frame in time")?;
            self.text += std::str::from_utf8(&chunk.unwrap()).unwrap();
        }
    }
}

/// A log that also tells live readers, as the desk does, but possibly in another order.
struct Log<'a> {
    house: &'a House,
    live: broadcast::Sender<Event>,
}

impl<'a> Log<'a> {
    fn of(house: &'a House, capacity: usize) -> Self {
        Self { house, live: broadcast::Sender::new(capacity) }
    }

    async fn append(&self, kind: &'static str, to: Option<AgentId>, data: Value) -> Event {
        let event = NewEvent { kind, call_id: None, agent_id: to, data };
        self.house.store.append(vec![event], now()).await.unwrap().remove(0)
    }

    async fn happens(&self, kind: &'static str, to: Option<AgentId>, data: Value) {
        let event = self.append(kind, to, data).await;
        let _ = self.live.send(event);
    }

    async fn follow(&self, secret: &str, after: Option<i64>, view: View) -> Frames {
        let control = self.house.control.clone();
        let mut headers = axum::http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        let caller = Caller::of(&control, &Method::GET, &headers).await.unwrap();
        let live = self.live.subscribe();
        let beat = Duration::from_millis(100);
        Frames::of(open(Follow { control, caller, live, after, view, beat, _guard: None }).await.unwrap())
    }
}

#[tokio::test]
async fn a_resumed_stream_has_neither_gap_nor_duplicate_while_others_write() {
    let house = House::open().await;
    let log = Log::of(&house, 4);
    for n in 0..700 {
        log.append("contact.updated", None, json!({"n": n})).await;
    }
    let mut frames = log.follow(&house.admin, Some(0), View::Everything).await;
    let (kind, seq, data) = frames.next().await.unwrap();
    assert_eq!((kind.as_str(), seq), ("stream.ready", None));
    let end = data["seq"].as_i64().unwrap();
    assert!(end >= 700);

    // Four writers at once; their live hints come late, out of order, and overflow the reader's queue.
    let writers = async {
        let one = |w: i64| {
            let log = &log;
            async move {
                for n in 0..50 {
                    log.happens("contact.updated", None, json!({"w": w, "n": n})).await;
                }
            }
        };
        tokio::join!(one(0), one(1), one(2), one(3));
    };
    let reader = async {
        let mut seen = Vec::new();
        while seen.last().copied().unwrap_or(0) < end + 200 {
            let (_, seq, data) = frames.next().await.unwrap();
            assert_eq!(data["seq"].as_i64(), seq);
            seen.push(seq.unwrap());
        }
        seen
    };
    let ((), seen) = tokio::join!(writers, reader);
    assert_eq!(seen, (1..=end + 200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hint_out_of_order_makes_the_stream_read_the_log() {
    let house = House::open().await;
    let log = Log::of(&house, 16);
    let mut frames = log.follow(&house.admin, None, View::Everything).await;
    let ready = frames.next().await.unwrap().2["seq"].as_i64().unwrap();
    let first = log.append("contact.updated", None, json!({})).await;
    let second = log.append("contact.updated", None, json!({})).await;
    log.live.send(second).unwrap();
    log.live.send(first).unwrap();
    log.happens("contact.updated", None, json!({})).await;
    for want in 1..=3 {
        assert_eq!(frames.next().await.unwrap().1, Some(ready + want));
    }
}

#[tokio::test]
async fn an_agent_gets_its_own_offers_and_the_calls_it_may_see() {
    let house = House::open().await;
    let log = Log::of(&house, 64);
    let call = house.store.call(&house.call).await.unwrap().unwrap();
    let of_call = |kind, data| NewEvent { kind, call_id: Some(house.call.clone()), agent_id: None, data };
    let mut got = Vec::new();
    for agent in ["agt_a", "agt_b"] {
        let after = house.store.last_seq().await.unwrap();
        let secret = if agent == "agt_a" { &house.ana } else { &house.beka };
        let about = house.store.agent(&id(agent)).await.unwrap().unwrap();
        let view = View::of(&house.control, about).await.unwrap();
        let mut frames = log.follow(secret, Some(after), view).await;
        for to in ["agt_a", "agt_b"] {
            log.append("offer.created", Some(id(to)), json!({"to": to})).await;
            log.append("agent.status_changed", Some(id(to)), json!({"agent_id": to})).await;
        }
        let events = vec![
            of_call("call.dtmf", json!({"digit": "1"})),
            of_call("call.ended", serde_json::to_value(&call).unwrap()),
        ];
        house.store.append(events, now()).await.unwrap();
        log.happens("contact.updated", None, json!({"last": true})).await;
        loop {
            let (kind, _, data) = frames.next().await.unwrap();
            if kind == "contact.updated" {
                break;
            }
            let to = data["data"]["to"].as_str().or_else(|| data["data"]["agent_id"].as_str()).unwrap_or("").to_owned();
            got.push(format!("{agent} {kind} {to}"));
        }
    }
    assert_eq!(
        got,
        [
            "agt_a stream.ready ",
            "agt_a offer.created agt_a",
            "agt_a agent.status_changed agt_a",
            "agt_a call.dtmf ",
            "agt_a call.ended ",
            "agt_b stream.ready ",
            "agt_b offer.created agt_b",
            "agt_b agent.status_changed agt_b",
        ]
    );
}

#[tokio::test]
async fn who_sees_an_agents_calls_sees_whether_it_can_take_one_and_never_its_offers() {
    let house = House::open().await;
    let log = Log::of(&house, 64);
    house.put("/v1/teams/team_a", json!({"name": "Sales"})).await;
    house.put("/v1/agents/agt_a", json!({"team_id": "team_a"})).await;
    house.put("/v1/agents/agt_b", json!({"role": "sales_lead", "team_id": "team_a"})).await;
    let lead = house.store.agent(&id("agt_b")).await.unwrap().unwrap();
    let after = house.store.last_seq().await.unwrap();
    let mut frames = log.follow(&house.beka, Some(after), View::of(&house.control, lead).await.unwrap()).await;
    for agent in ["agt_a", "agt_of_another_team"] {
        log.append("offer.created", Some(id(agent)), json!({"agent_id": agent})).await;
        log.append("agent.status_changed", Some(id(agent)), json!({"agent_id": agent})).await;
        log.append("agent.readiness_changed", None, json!({"agent_id": agent})).await;
    }
    log.happens("contact.updated", None, json!({})).await;
    let mut got = Vec::new();
    while got.last().is_none_or(|last: &String| !last.starts_with("contact.updated")) {
        let (kind, _, data) = frames.next().await.unwrap();
        got.push(format!("{kind} {}", data["data"]["agent_id"].as_str().unwrap_or("-")));
    }
    assert_eq!(
        got,
        ["stream.ready -", "agent.status_changed agt_a", "agent.readiness_changed agt_a", "contact.updated -"]
    );
}

#[tokio::test]
async fn an_agent_hears_what_customers_permit_and_nothing_of_the_house() {
    let house = House::open().await;
    let log = Log::of(&house, 64);
    for (me, secret) in [("agt_a", &house.ana), ("agt_b", &house.beka)] {
        let after = house.store.last_seq().await.unwrap();
        let about = house.store.agent(&id(me)).await.unwrap().unwrap();
        let mut frames = log.follow(secret, Some(after), View::of(&house.control, about).await.unwrap()).await;
        for kind in ["permission.requested", "wallet.low", "permission.granted", "number.settings_drifted"] {
            log.append(kind, None, json!({"permission": {"requested_by": {"kind": "agent", "agent_id": "agt_a"}}}))
                .await;
        }
        log.append("permission.request_blocked", Some(id("agt_a")), json!({})).await;
        log.happens("contact.updated", None, json!({})).await;
        let mut got = Vec::new();
        while got.last().is_none_or(|kind| kind != "contact.updated") {
            let (kind, _, data) = frames.next().await.unwrap();
            if kind == "permission.granted" {
                let asker = &data["data"]["permission"]["requested_by"];
                assert_eq!(asker.is_null(), me == "agt_b", "a teammate does not learn who else asked: {data}");
            }
            got.push(kind);
        }
        let blocked = (me == "agt_a").then_some("permission.request_blocked");
        let want = ["stream.ready", "permission.requested", "permission.granted"].into_iter().chain(blocked);
        assert_eq!(got, want.chain(["contact.updated"]).collect::<Vec<_>>(), "{me}");
    }
}

#[tokio::test]
async fn a_stream_ends_at_the_next_beat_after_its_token_and_when_the_doors_close() {
    let house = House::open().await;
    let log = Log::of(&house, 16);
    let soon = now().plus(Duration::from_millis(300));
    let short = house.store.create_agent_token(&id("agt_a"), soon).await.unwrap();
    let about = house.store.agent(&id("agt_a")).await.unwrap().unwrap();
    let view = View::of(&house.control, about).await.unwrap();
    let mut frames = log.follow(&short, None, view).await;
    assert_eq!(frames.next().await.unwrap().0, "stream.ready");
    assert!(frames.next().await.is_none());

    let mut frames = log.follow(&house.admin, None, View::Everything).await;
    assert_eq!(frames.next().await.unwrap().0, "stream.ready");
    house.control.closing.cancel();
    assert!(frames.next().await.is_none());
}

#[tokio::test]
async fn the_log_is_read_page_by_page() {
    let house = House::open().await;
    let log = Log::of(&house, 16);
    for n in 0..5 {
        log.append("contact.updated", None, json!({"n": n})).await;
    }
    let (mut after, mut seqs) = ("0".to_owned(), Vec::new());
    loop {
        let ask = house.ask(Method::GET, &format!("/v1/events?limit=2&after={after}"), &house.admin);
        let page: Value = ask.send().await.unwrap().json().await.unwrap();
        seqs.extend(page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        after = next.to_owned();
    }
    let end = house.store.last_seq().await.unwrap();
    assert_eq!(seqs, (1..=end).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_switch_that_is_taken_away_narrows_an_open_stream_at_once() {
    let house = House::open().await;
    let switched = |on| json!({"switches": {"configure_calls": false, "all_calls": on}});
    house.put("/v1/agents/agt_b", switched(true)).await;
    let body = house.get("/v1/agents/agt_b/events", &house.beka).await.bytes_stream();
    let mut frames = Frames::of(Response::new(axum::body::Body::from_stream(body)));
    assert_eq!(frames.next().await.unwrap().0, "stream.ready");
    // Of Ana's call, which Beka sees by the switch alone.
    let happens = async || {
        let event = |kind, call_id| NewEvent { kind, call_id, agent_id: None, data: json!({}) };
        let events = vec![event("call.dtmf", Some(house.call.clone())), event("contact.updated", None)];
        house.store.append(events, now()).await.unwrap();
    };
    happens().await;
    house.put("/v1/agents/agt_b", switched(false)).await;
    happens().await;
    house.put("/v1/agents/agt_a", json!({"excluded": true})).await;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(frames.next().await.unwrap().0);
    }
    assert_eq!(told, ["call.dtmf", "contact.updated", "agent.updated", "contact.updated", "agent.updated"]);
}
