//! The same POST twice is done once.

use reqwest::Method;
use serde_json::Value;

use super::fixture::{House, answer, now};
use crate::control::idempotency::fingerprint;

const PATH: &str = "/v1/offers/off_unknown/receipts";
const SHOWN: &str = r#"{"kind":"shown"}"#;

async fn post(house: &House, secret: &str, key: &str, body: &str) -> (u16, Option<String>, Value) {
    let ask = house.ask(Method::POST, PATH, secret).header("idempotency-key", key);
    let response = ask.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
    let replayed = response.headers().get("idempotent-replayed").map(|v| v.to_str().unwrap().to_owned());
    let (status, body) = answer(response).await;
    (status, replayed, body)
}

#[tokio::test]
async fn a_key_replays_its_answer_and_is_refused_for_another_request() {
    let house = House::open().await;
    let (status, replayed, first) = post(&house, &house.admin, "k1", SHOWN).await;
    assert_eq!((status, replayed), (404, None), "{first}");
    let (status, replayed, second) = post(&house, &house.admin, "k1", SHOWN).await;
    assert_eq!((status, replayed.as_deref()), (404, Some("true")));
    assert_eq!(second, first, "the same answer, down to the request id");

    let (status, _, problem) = post(&house, &house.admin, "k1", r#"{"kind":"audible"}"#).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("idempotency_key_reused")));
    // Keys belong to whoever sent them.
    let (status, replayed, _) = post(&house, &house.ana, "k1", SHOWN).await;
    assert_eq!((status, replayed), (404, None));
    for bad in ["", "two words", &"x".repeat(256)] {
        let (status, _, problem) = post(&house, &house.admin, bad, SHOWN).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some("invalid_idempotency_key")), "{bad}");
    }
}

#[tokio::test]
async fn a_second_request_while_the_first_still_runs_is_a_conflict() {
    let house = House::open().await;
    let (_, session) = answer(house.get("/v1/session", &house.ana).await).await;
    let actor = format!("agent:{}", session["agent"]["id"].as_str().unwrap());
    let kind = axum::http::HeaderValue::from_static("application/json");
    let sha256 = fingerprint(PATH, Some(&kind), SHOWN.as_bytes());
    house.store.idempotency_begin(&actor, "k2", &sha256, now()).await.unwrap();
    let (status, _, problem) = post(&house, &house.ana, "k2", SHOWN).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("idempotency_in_progress")), "{problem}");
    house.store.idempotency_finish(&actor, "k2", None).await.unwrap();
    let (status, replayed, _) = post(&house, &house.ana, "k2", SHOWN).await;
    assert_eq!((status, replayed), (404, None));
}

#[tokio::test]
async fn a_token_is_replayed_and_lies_in_no_file() {
    let house = House::open().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let ask = house.ask(Method::POST, "/v1/agents/agt_a/tokens", &house.admin);
        let (status, body) = answer(ask.header("idempotency-key", "t1").send().await.unwrap()).await;
        assert_eq!(status, 201, "{body}");
        tokens.push(body["token"].as_str().unwrap().to_owned());
    }
    assert_eq!(tokens[0], tokens[1]);
    let mut files = 0;
    for file in std::fs::read_dir(house.dir.path()).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let found = bytes.windows(tokens[0].len()).any(|window| window == tokens[0].as_bytes());
        assert!(!found, "the token lies in {}", path.display());
        files += 1;
    }
    assert!(files > 0);
}
