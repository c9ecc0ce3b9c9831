//! A small business: it takes webhooks, speaks the Graph API and has one WebRTC endpoint per call.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tandem_loadtest::peer::{MediaThreads, Part, Party, Peer, PeerConfig};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Config, FakeWhatsApp};

pub(crate) const SOON: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Business {
    pub(crate) wa: FakeWhatsApp,
    inbox: Arc<Inbox>,
    threads: MediaThreads,
    client: reqwest::Client,
}

#[derive(Default)]
struct Inbox {
    bodies: Mutex<Vec<Value>>,
    raw: Mutex<Vec<String>>,
    refuse: Mutex<u32>,
}

/// A Graph answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> u64 {
        self.body["error"]["code"].as_u64().unwrap_or(0)
    }

    pub(crate) fn details(&self) -> &str {
        self.body["error"]["error_data"]["details"].as_str().unwrap_or("")
    }
}

impl Business {
    pub(crate) async fn start(config: Config) -> Self {
        let wa = FakeWhatsApp::start(config).await.expect("the fake starts");
        let inbox = Arc::new(Inbox::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let router = Router::new().route("/hook", get(verify).post(take)).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, router).await });
        wa.set_webhook_url(&format!("http://{addr}/hook"));
        let threads = MediaThreads::start(1).expect("a thread");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { wa, inbox, threads, client }
    }

    /// All `calls[]` and `statuses[]` items so far.
    pub(crate) fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        for body in self.inbox.bodies.lock().unwrap().iter() {
            for entry in body["entry"].as_array().into_iter().flatten() {
                for change in entry["changes"].as_array().into_iter().flatten() {
                    for key in ["calls", "statuses", "messages"] {
                        items.extend(change["value"][key].as_array().into_iter().flatten().cloned());
                    }
                }
            }
        }
        items
    }

    pub(crate) fn raw(&self) -> Vec<String> {
        self.inbox.raw.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.inbox.bodies.lock().unwrap().clone()
    }

    /// Answers the next `count` webhooks with 503.
    pub(crate) fn refuse(&self, count: u32) {
        *self.inbox.refuse.lock().unwrap() = count;
    }

    /// Events and statuses of one call, in order of arrival.
    pub(crate) fn words(&self, wacid: &str) -> Vec<String> {
        let of_call = self.items().into_iter().filter(|item| item["id"] == wacid);
        of_call
            .map(|item| item["event"].as_str().or_else(|| item["status"].as_str()).unwrap_or("?").to_owned())
            .collect()
    }

    /// Waits for an item.
    pub(crate) async fn item(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            if let Some(found) = self.items().into_iter().find(|item| matches(item)) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "no {what} came; there are {:?}", self.items());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn event(&self, wacid: &str, word: &str) -> Value {
        self.item(word, |item| item["id"] == wacid && (item["event"] == word || item["status"] == word)).await
    }

    pub(crate) async fn graph(&self, body: &Value) -> Answer {
        self.try_graph(body).await.expect("an answer")
    }

    pub(crate) async fn try_graph(&self, body: &Value) -> Result<Answer, reqwest::Error> {
        let number = &self.wa.config().numbers[0].id;
        let url = format!("{}/v26.0/{number}/calls", self.wa.graph_url());
        let response = self.client.post(url).bearer_auth("sandbox-graph-token").json(body).send().await?;
        Ok(Answer { status: response.status().as_u16(), body: response.json().await? })
    }

    /// POST to another edge of the first number, such as `messages`.
    pub(crate) async fn post(&self, edge: &str, body: &Value) -> Answer {
        let response = self.client.post(self.edge(edge)).bearer_auth("sandbox-graph-token").json(body).send().await;
        answer_of(response.expect("an answer")).await
    }

    /// GET of an edge of the first number.
    pub(crate) async fn get(&self, edge: &str) -> Answer {
        let response = self.client.get(self.edge(edge)).bearer_auth("sandbox-graph-token").send().await;
        answer_of(response.expect("an answer")).await
    }

    fn edge(&self, edge: &str) -> String {
        format!("{}/v26.0/{}/{edge}", self.wa.graph_url(), self.wa.config().numbers[0].id)
    }

    /// Values of the changes of one field, such as `account_update`, in order of arrival.
    pub(crate) fn changes(&self, field: &str) -> Vec<Value> {
        let bodies = self.bodies();
        let entries = bodies.iter().flat_map(|body| body["entry"].as_array().into_iter().flatten());
        let changes = entries.flat_map(|entry| entry["changes"].as_array().into_iter().flatten());
        changes.filter(|change| change["field"] == field).map(|change| change["value"].clone()).collect()
    }

    pub(crate) async fn act(&self, action: &str, wacid: &str) -> Answer {
        self.graph(&json!({"messaging_product": "whatsapp", "action": action, "call_id": wacid})).await
    }

    pub(crate) async fn act_with(&self, action: &str, wacid: &str, sdp: &str) -> Answer {
        let session = json!({"sdp_type": "answer", "sdp": sdp});
        self.graph(&json!({"messaging_product": "whatsapp", "action": action, "call_id": wacid, "session": session}))
            .await
    }

    /// Waits for `connect`, makes an endpoint and its answer. `may_send`: it sends before `accept`.
    pub(crate) async fn answer(&self, wacid: &str, may_send: bool) -> (Peer, String) {
        let connect = self.event(wacid, "connect").await;
        let offer = connect["session"]["sdp"].as_str().expect("an offer").to_owned();
        let peer = self.endpoint(Party::BrowserAnswering, may_send).0;
        let answer = peer.answer(&cleaned(&offer).replace("setup:actpass", "setup:passive")).await.expect("an answer");
        (peer, with_ptime(&answer))
    }

    pub(crate) fn endpoint(&self, party: Party, may_send: bool) -> (Peer, Option<String>) {
        let socket = self.threads.bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("a socket");
        let config =
            PeerConfig { party, listen: true, may_send, waits_for_first_packet: false, script: Vec::<Part>::new() };
        let opened = Peer::open(&socket, config).expect("an endpoint");
        opened.peer.expect_media();
        (opened.peer, opened.offer)
    }

    /// Calls a customer; the endpoint has the answer already.
    pub(crate) async fn dial(&self, to: &str) -> (Peer, String) {
        let (peer, answer) = self.try_dial(to).await;
        let wacid = answer.body["calls"][0]["id"].as_str().unwrap_or_else(|| panic!("no call: {answer:?}")).to_owned();
        let connect = self.event(&wacid, "connect").await;
        let sdp = connect["session"]["sdp"].as_str().expect("an answer");
        peer.set_answer(&cleaned(sdp).replace("setup:actpass", "setup:passive")).await.expect("a good answer");
        (peer, wacid)
    }

    pub(crate) async fn try_dial(&self, to: &str) -> (Peer, Answer) {
        let (peer, offer) = self.endpoint(Party::BrowserOffering, true);
        let offer = without_extensions(&with_ptime(&offer.expect("an offer")));
        let session = json!({"sdp_type": "offer", "sdp": offer});
        let body = json!({"messaging_product": "whatsapp", "action": "connect", "to": to, "session": session, "biz_opaque_callback_data": "lead-42"});
        (peer, self.graph(&body).await)
    }

    /// Both sides speak, and each hears the other.
    pub(crate) async fn hear_each_other(&self, peer: &Peer, call: &tandem_loadtest::whatsapp::CallHandle) {
        let (of_customer, of_business) = (Sound::beeps(6), Sound::tone(1_900.0, Duration::from_secs(1)));
        call.speak(&of_customer);
        peer.speak(&of_business);
        peer.until(SOON, "the customer is heard", |p| {
            tandem_loadtest::measure::beeps_heard(&p.heard().pcm(), 6).len() == 6
        })
        .await
        .expect("the business hears the customer");
        let business_is_heard = |c: &tandem_loadtest::whatsapp::CallHandle| {
            c.heard().pcm().chunks_exact(320).filter(|f| tandem_loadtest::measure::tone_share(f, 1_900.0) > 0.8).count()
                >= 40
        };
        call.until(SOON, "the business is heard", business_is_heard).await.expect("the customer hears the business");
    }
}

async fn answer_of(response: reqwest::Response) -> Answer {
    Answer { status: response.status().as_u16(), body: response.json().await.expect("JSON") }
}

/// What str0m needs done to Meta's SDP: nothing but the address after `typ host`.
pub(crate) fn cleaned(sdp: &str) -> String {
    let line = |line: &str| match line.split_once(" typ host") {
        Some((head, _)) => format!("{head} typ host"),
        None => line.to_owned(),
    };
    sdp.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
}

pub(crate) fn with_ptime(sdp: &str) -> String {
    format!("{sdp}a=ptime:20\r\na=maxptime:20\r\n")
}

fn without_extensions(sdp: &str) -> String {
    sdp.split_inclusive("\r\n").filter(|line| !line.starts_with("a=extmap")).collect()
}

async fn verify(Query(query): Query<std::collections::HashMap<String, String>>) -> (StatusCode, String) {
    if query["hub.mode"] == "subscribe" && query["hub.verify_token"] == "sandbox-verify-token" {
        (StatusCode::OK, query["hub.challenge"].clone())
    } else {
        (StatusCode::FORBIDDEN, String::new())
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox-app-secret");
    let signature = headers.get("x-hub-signature-256").and_then(|v| v.to_str().ok()).unwrap_or("");
    let digest = hex::decode(signature.trim_start_matches("sha256=")).unwrap_or_default();
    if hmac::verify(&key, &body, &digest).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let mut refuse = inbox.refuse.lock().unwrap();
    if *refuse > 0 {
        *refuse -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    inbox.raw.lock().unwrap().push(String::from_utf8(body.to_vec()).expect("ASCII"));
    inbox.bodies.lock().unwrap().push(serde_json::from_slice(&body).expect("JSON"));
    StatusCode::OK
}
