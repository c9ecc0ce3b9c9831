//! Whether an offer is really seen where it rings.

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::InboundCall;

use crate::world::{NINO, SOON, World};

/// A console's event stream, and nobody behind it: it hears of offers and sends no receipt by itself.
pub(crate) struct Console {
    stream: reqwest::Response,
    heard: String,
    pub(crate) token: String,
}

impl Console {
    pub(crate) async fn open(world: &World, agent: &str) -> Self {
        world.put(&format!("agents/{agent}"), json!({"name": agent, "role": "teammate", "team_id": "team_a"})).await;
        let token = world.token(agent).await;
        let url = format!("{}/v1/agents/{agent}/events?receipts=true", world.gateway.base);
        let stream = reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(stream.status(), 200);
        world.put(&format!("agents/{agent}/status"), json!({"status": "online"})).await;
        Self { stream, heard: String::new(), token }
    }

    /// The data of the next event of this kind.
    pub(crate) async fn hears(&mut self, kind: &str) -> Value {
        let wanted = format!("event: {kind}\n");
        loop {
            while let Some(end) = self.heard.find("\n\n") {
                let frame: String = self.heard.drain(..end + 2).collect();
                if frame.contains(&wanted) {
                    let line = frame.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                    return serde_json::from_str::<Value>(line).unwrap()["data"].clone();
                }
            }
            let chunk = tokio::time::timeout(SOON, self.stream.chunk()).await.expect(kind).unwrap().expect(kind);
            self.heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub(crate) async fn says(&self, world: &World, offer: &str, receipt: Value) {
        let path = format!("offers/{offer}/receipts");
        let answer = world.gateway.request_as(&self.token, "POST", &path, Some(receipt)).await;
        assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(&answer.body));
    }
}

/// By the gateway's clock: what is measured between its own moments, no slow test adds to.
pub(crate) fn moment(told: &Value) -> jiff::Timestamp {
    told.as_str().unwrap().parse().unwrap()
}

on_both!(a_frozen_tab_costs_the_caller_no_more_than_a_second_and_a_half_and_says_why_when_it_wakes);
async fn a_frozen_tab_costs_the_caller_no_more_than_a_second_and_a_half_and_says_why_when_it_wakes(world: World) {
    let mut frozen = Console::open(&world, "agt_a").await;
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let first = frozen.hears("offer.created").await;
    assert_eq!(first["country"], "GE");
    let second = ben.next_offer(SOON).await.unwrap();
    let offers = world.call(&second.call_id).await["offers"].clone();
    let cost = moment(&offers[1]["offered_at"]).duration_since(moment(&offers[0]["offered_at"])).as_millis();
    assert!(cost > 700, "a console that is awake has its second: {cost} ms");
    assert!(cost < 1500, "the frozen tab cost {cost} ms");
    assert_eq!(frozen.hears("offer.withdrawn").await["reason"], "not_shown");

    let late = json!({"kind": "failed", "reason": "tab_asleep"});
    frozen.says(&world, first["offer_id"].as_str().unwrap(), late).await;
    let trouble = async || world.call(&second.call_id).await["offers"][0]["trouble"] == "tab_asleep";
    world.until("the cause is kept with the offer", trouble).await;
    let offers = world.call(&second.call_id).await["offers"].clone();
    assert_eq!((&offers[0]["outcome"], &offers[0]["cause"]), (&json!("missed_by_agent"), &json!("not_shown")));
    assert_eq!((&offers[0]["shown_at"], &offers[1]["cause"]), (&json!(null), &json!(null)));
    assert!(world.gateway.metric("tandem_offer_receipt_seconds_count").await >= 1.0);
    second.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.hang_up();
    world.settled(&second.call_id).await;
}

#[tokio::test]
async fn a_console_that_shows_the_offer_rings_on_and_a_softphone_needs_no_receipt() {
    let world = World::with("[calls]\nshown_ms = 300\nring_timeout_ms = 1500\n", Default::default()).await;
    let mut ana = Console::open(&world, "agt_a").await;
    let _softphone = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = ana.hears("offer.created").await;
    ana.says(&world, offer["offer_id"].as_str().unwrap(), json!({"kind": "shown"})).await;
    phone.ended(SOON).await.unwrap();
    let call = world.settled(offer["call_id"].as_str().unwrap()).await;
    let causes: Vec<_> = call["offers"].as_array().unwrap().iter().map(|offer| &offer["cause"]).collect();
    assert_eq!(causes, ["ring_timeout", "ring_timeout"], "{call}");
    assert!(call["offers"][0]["shown_at"].is_string(), "{call}");
}

#[tokio::test]
async fn an_agent_whose_console_has_just_gone_is_passed_over_as_a_dead_socket() {
    let world = World::start().await;
    drop(Console::open(&world, "agt_a").await);
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = ben.next_offer(SOON).await.unwrap();
    let first = world.call(&offer.call_id).await["offers"][0].clone();
    assert_eq!(
        (&first["agent_id"], &first["cause"], &first["trouble"]),
        (&json!("agt_a"), &json!("not_shown"), &json!("socket_dead"))
    );
    offer.reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_shown_with_the_agent_and_told_when_it_changes() {
    let world = World::start().await;
    let mut ana = Console::open(&world, "agt_a").await;
    let put = async |media: &str| {
        let all = json!({"microphone": "passed", "speaker": "passed", "notifications": "unknown", "sound": "passed",
            "media": media, "round_trip_ms": 3});
        world.gateway.request_as(&ana.token, "PUT", "agents/agt_a/readiness", Some(all)).await.ok()
    };
    assert_eq!(world.get("agents/agt_a").await["readiness"], json!(null));
    assert_eq!(put("passed").await["ready"], true);
    assert_eq!(put("passed").await["ready"], true);
    assert_eq!(put("failed").await["ready"], false);
    let seen = world.get("agents").await["items"][0]["readiness"].clone();
    assert_eq!((&seen["ready"], &seen["media"], &seen["round_trip_ms"]), (&json!(false), &json!("failed"), &json!(3)));
    for ready in [true, false] {
        let told = ana.hears("agent.readiness_changed").await;
        assert_eq!(
            (&told["agent_id"], &told["readiness"]["ready"]),
            (&json!("agt_a"), &json!(ready)),
            "told once each"
        );
    }
}
