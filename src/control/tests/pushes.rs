//! Browsers that ring while no console is open: which are taken, and how long they ring.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::House;
use super::sign_in::{Browser, signed_up};

const PATH: &str = "/v1/agents/agt_a/push-subscriptions";

/// As a browser makes it (RFC 8291 appendix A).
fn subscription(n: usize) -> Value {
    json!({"endpoint": format!("https://push.example.com/send/{n}"), "device": "Chrome on Android",
        "keys": {"p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "auth": "BTBZMqHH6r4Tts7J_aSIgg"}})
}

async fn ask(browser: &Browser<'_>, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    browser.send(method, path, Some("same-origin"), body).await
}

#[tokio::test]
async fn a_signed_in_browser_rings_until_it_is_switched_off_or_signed_out() {
    let house = House::open().await;
    let browser = signed_up(&house, "agt_a").await;
    let (status, kept) = ask(&browser, Method::PUT, PATH, Some(subscription(1))).await;
    assert_eq!((status, &kept["service"]), (201, &json!("https://push.example.com")), "{kept}");
    assert!(!kept.to_string().contains("send/1"), "who reads it could not push: {kept}");
    assert_eq!(ask(&browser, Method::PUT, PATH, Some(subscription(1))).await.0, 200, "the same again");
    let (status, list) = ask(&browser, Method::GET, PATH, None).await;
    assert_eq!((status, list["items"].as_array().unwrap().len(), &list["items"][0]["current"]), (200, 1, &json!(true)));
    assert_eq!(list["application_server_key"].as_str().unwrap().len(), 87, "{list}");
    let off = format!("{PATH}?subscription_id={}", kept["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(ask(&browser, Method::DELETE, &off, None).await.0, 204);
    }
    let left = async || ask(&browser, Method::GET, PATH, None).await.1["items"].as_array().unwrap().len();
    assert_eq!(left().await, 0);

    for n in 0..5 {
        assert_eq!(ask(&browser, Method::PUT, PATH, Some(subscription(n))).await.0, 201);
    }
    let (status, problem) = ask(&browser, Method::PUT, PATH, Some(subscription(5))).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_field")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("switch one of them off"), "{problem}");
    let other = signed_up(&house, "agt_a").await;
    let listed = ask(&other, Method::GET, PATH, None).await.1;
    assert_eq!(listed["items"], json!([]), "another password: every session is over, and with it every browser");
}

#[tokio::test]
async fn what_no_message_could_reach_is_refused_by_field() {
    let house = House::open().await;
    let browser = signed_up(&house, "agt_a").await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = subscription(1);
        change(&mut body);
        body
    };
    for (body, told) in [
        (with(&|b| b["endpoint"] = json!("http://push.example.com/x")), "endpoint: must be an https://"),
        (with(&|b| b["endpoint"] = json!("https://127.0.0.1:9464/metrics")), "endpoint: leads into a private network"),
        (with(&|b| b["endpoint"] = json!("https://intranet/x")), "endpoint: leads into a private network"),
        (with(&|b| b["keys"]["p256dh"] = json!("BBBB")), "keys.p256dh: must be a point"),
        (with(&|b| b["keys"]["p256dh"] = json!("B".repeat(87))), "keys.p256dh: must be a point"),
        (with(&|b| b["keys"]["auth"] = json!("!")), "keys.auth: must be 16 bytes"),
        (with(&|b| b["device"] = json!(" ")), "device: 1 to 200 characters"),
        (with(&|b| b["more"] = json!(1)), "more"),
    ] {
        let (status, problem) = ask(&browser, Method::PUT, PATH, Some(body.clone())).await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{told}: {problem}");
    }
    let (status, problem) = ask(&browser, Method::DELETE, &format!("{PATH}?subscription_id=a%20b"), None).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("invalid_parameter")), "{problem}");
    let tried = ask(&browser, Method::POST, &format!("{PATH}/test"), None).await;
    assert_eq!(tried, (200, json!({"items": []})));
}
