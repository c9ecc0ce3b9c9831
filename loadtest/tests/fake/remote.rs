//! The remote control: what a person with `curl` can do.

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{Config, InboundCall, remote_control};

use crate::business::Business;

const NINO: &str = "995555010203";

struct Remote {
    url: String,
    client: reqwest::Client,
}

impl Remote {
    async fn of(business: &Business) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = remote_control(business.wa.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

#[tokio::test]
async fn time_messages_requests_settings_and_pauses_are_in_reach() {
    let business = Business::start(Config::default()).await;
    let remote = Remote::of(&business).await;
    let before = remote.get("/clock").await["now"].as_u64().unwrap();
    let after = remote.post("/clock", json!({"advance_s": 86_400})).await.1["now"].as_u64().unwrap();
    assert!(after - before >= 86_400);

    assert_eq!(remote.post("/messages", json!({"phone": NINO, "text": "Hello"})).await.0, 200);
    assert_eq!(business.items()[0]["text"]["body"], "Hello");
    let template = json!({"messaging_product": "whatsapp", "to": NINO, "type": "template",
        "template": {"name": "may_we_call", "language": {"code": "en"}}});
    business.post("messages", &template).await;
    let request = remote.get("/permission-requests").await["items"][0].clone();
    let path = format!("/permission-requests/{}/answer", request["wamid"].as_str().unwrap());
    assert_eq!(remote.post(&path, json!({"kind": "perhaps"})).await.0, 400);
    assert_eq!(remote.post(&path, json!({"kind": "permanent"})).await.0, 200);
    assert_eq!(business.items().pop().unwrap()["context"]["id"], request["wamid"]);
    assert_eq!(remote.get("/nudges").await, json!({"items": []}));

    let number = "/numbers/100000000000001";
    let settings = format!("{number}/settings");
    let (status, refused) = remote.post(&settings, json!({"status": "OFF"})).await;
    assert!(status == 400 && refused["error"].as_str().unwrap().contains("OFF"), "{refused}");
    assert_eq!(remote.post(&settings, json!({"callback_permission_status": "ENABLED"})).await.0, 200);
    assert_eq!(remote.get(&settings).await["calling"]["callback_permission_status"], "ENABLED");
    let warning = json!({"kind": "business_initiated_quality"});
    assert_eq!(remote.post(&format!("{number}/warnings"), warning).await.0, 200);
    let pause = json!({"kind": "user_initiated", "expires_in_s": 60});
    assert_eq!(remote.post(&format!("{number}/restrictions"), pause).await.0, 200);
    assert_eq!(business.changes("account_update").len(), 2);
    business.wa.call(InboundCall::from(NINO)).await.unwrap();
    assert_eq!(remote.get("/calls").await["items"][0]["unavailable"], "Paused");
    business.get("settings").await;
    assert_eq!(remote.get("/reads").await["items"][0]["action"], "ReadSettings");
}
