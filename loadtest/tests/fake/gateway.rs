//! The smallest gateway that the fake agents and a load run can talk to: one contact, one agent, one call at a time for
//! each pair. It forwards by re-speaking what it hears, which costs up to two frames of delay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::Stream;
use serde_json::{Value, json};
use tandem_loadtest::audio::opus_frames::EncodedSound;
use tandem_loadtest::peer::{Part, Party, Peer};

use crate::business::{Business, with_ptime};

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    business: Business,
    state: Arc<Mutex<Tables>>,
}

#[derive(Default)]
struct Tables {
    assignees: HashMap<String, String>,
    events: HashMap<String, Vec<(u64, Value)>>,
    calls: HashMap<String, Call>,
    streams_opened: Vec<Option<String>>,
    statuses: Vec<String>,
    top_ups: Vec<Value>,
}

/// Known by its number in the path of all its ids: `off_7` is the offer of `call_7`.
struct Call {
    wacid: String,
    agent: String,
    customer: Peer,
    sdp: String,
    agent_leg: Option<Peer>,
}

impl Gateway {
    /// In front of this business's fake WhatsApp; its webhooks are read from the business.
    pub(crate) async fn start(business: Business) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = Self { url, business, state: Arc::default() };
        let router = Router::new()
            .route("/webhooks/whatsapp", post(webhook))
            .route("/v1/session", get(session))
            .route("/v1/numbers/{id}", put(accepted))
            .route("/v1/wallet/top-ups", post(top_up))
            .route("/v1/agents/{id}", put(accepted))
            .route("/v1/agents/{id}/status", put(status))
            .route("/v1/agents/{id}/tokens", post(token))
            .route("/v1/agents/{id}/events", get(events))
            .route("/v1/contacts/{contact}", put(contact))
            .route("/v1/offers/{id}/media", post(media))
            .route("/v1/offers/{id}/accept", post(accept))
            .with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        gateway
    }

    pub(crate) fn streams_opened(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().streams_opened.clone()
    }

    pub(crate) fn statuses(&self) -> Vec<String> {
        self.state.lock().unwrap().statuses.clone()
    }

    pub(crate) fn top_ups(&self) -> Vec<Value> {
        self.state.lock().unwrap().top_ups.clone()
    }

    pub(crate) fn assign(&self, phone: &str, agent: &str) {
        self.state.lock().unwrap().assignees.insert(phone.to_owned(), agent.to_owned());
    }

    async fn offer(self, call: Value) {
        let wacid = call["id"].as_str().unwrap().to_owned();
        let phone = call["from"].as_str().unwrap().to_owned();
        let (customer, sdp) = self.business.answer_to(call["session"]["sdp"].as_str().unwrap(), false).await;
        self.business.act_with("pre_accept", &wacid, &sdp).await;
        let mut tables = self.state.lock().unwrap();
        let agent = tables.assignees.get(&phone).cloned().unwrap();
        let number = tables.calls.len();
        tables.calls.insert(number.to_string(), Call { wacid, agent: agent.clone(), customer, sdp, agent_leg: None });
        let call_id = format!("call_{number}");
        let data = json!({"offer_id": format!("off_{number}"), "call_id": call_id, "number_id": "1", "contact": {"phone": format!("+{phone}")}});
        tables.tell(&agent, "offer.created", &call_id, &data);
    }
}

impl Tables {
    fn tell(&mut self, agent: &str, kind: &str, call_id: &str, data: &Value) {
        let log = self.events.entry(agent.to_owned()).or_default();
        let seq = log.len() as u64 + 1;
        log.push((seq, json!({"type": kind, "seq": seq, "call_id": call_id, "data": data})));
    }
}

async fn webhook(State(gateway): State<Gateway>, Json(body): Json<Value>) {
    let call = body["entry"][0]["changes"][0]["value"]["calls"][0].clone();
    match call["event"].as_str() {
        Some("connect") => {
            tokio::spawn(gateway.offer(call));
        }
        Some("terminate") => {
            let mut tables = gateway.state.lock().unwrap();
            let found = tables
                .calls
                .iter()
                .find(|(_, known)| known.wacid == call["id"])
                .map(|(n, known)| (n.clone(), known.agent.clone()));
            if let Some((number, agent)) = found {
                let id = format!("call_{number}");
                tables.tell(&agent, "call.ended", &id, &json!({"id": id, "state": "ended"}));
            }
        }
        _ => {}
    }
}

async fn session(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let token = headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let agent = token.strip_prefix("ta_").ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({"actor": "agent", "agent": {"id": agent}})))
}

async fn accepted() -> Json<Value> {
    Json(json!({}))
}

async fn status(State(gateway): State<Gateway>, Json(body): Json<Value>) -> Json<Value> {
    gateway.state.lock().unwrap().statuses.push(body["status"].as_str().unwrap().to_owned());
    Json(body)
}

async fn token(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"token": format!("ta_{id}")}))
}

async fn top_up(State(gateway): State<Gateway>, Json(body): Json<Value>) -> Json<Value> {
    gateway.state.lock().unwrap().top_ups.push(body);
    Json(json!({}))
}

async fn contact(State(gateway): State<Gateway>, Path(contact): Path<String>, Json(body): Json<Value>) -> Json<Value> {
    gateway.assign(contact.trim_start_matches("wa:"), body["assignee_id"].as_str().unwrap());
    Json(json!({}))
}

async fn events(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    let resume = headers.get("last-event-id").map(|value| value.to_str().unwrap().to_owned());
    gateway.state.lock().unwrap().streams_opened.push(resume.clone());
    let from = resume.and_then(|id| id.parse::<usize>().ok()).unwrap_or(0);
    Sse::new(futures_util::stream::unfold(from, move |next| {
        let (gateway, id) = (gateway.clone(), id.clone());
        async move {
            loop {
                let event = gateway.state.lock().unwrap().events.get(&id).and_then(|log| log.get(next).cloned());
                if let Some((seq, json)) = event {
                    let kind = json["type"].as_str().unwrap().to_owned();
                    return Some((
                        Ok(Event::default().event(kind).id(seq.to_string()).data(json.to_string())),
                        next + 1,
                    ));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }))
}

async fn media(State(gateway): State<Gateway>, Path(offer): Path<String>, sdp: String) -> (StatusCode, String) {
    let peer = gateway.business.endpoint(Party::BrowserAnswering, true).0;
    let answer = peer.answer(&sdp).await.unwrap();
    let mut tables = gateway.state.lock().unwrap();
    tables.calls.get_mut(offer.trim_start_matches("off_")).unwrap().agent_leg = Some(peer);
    (StatusCode::CREATED, answer)
}

async fn accept(
    State(gateway): State<Gateway>,
    Path(offer): Path<String>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let number = offer.trim_start_matches("off_").to_owned();
    let (wacid, sdp, customer, agent) = {
        let tables = gateway.state.lock().unwrap();
        let call = &tables.calls[&number];
        (call.wacid.clone(), call.sdp.clone(), call.customer.clone(), call.agent_leg.clone().unwrap())
    };
    customer.connected(Duration::from_secs(5)).await.unwrap();
    if gateway.business.act_with("accept", &wacid, &sdp).await.status != 200 {
        let problem = json!({"status": 409, "code": "offer_not_pending", "detail": "the caller is gone"});
        return Err((StatusCode::CONFLICT, Json(problem)));
    }
    customer.open_microphone();
    tokio::spawn(forward(customer.clone(), agent.clone()));
    tokio::spawn(forward(agent, customer));
    Ok(Json(json!({"id": format!("call_{number}"), "state": "active"})))
}

async fn forward(from: Peer, to: Peer) {
    let mut done = from.heard().packets().len();
    while !from.stats().gone && !to.stats().gone {
        let heard = from.heard();
        for packet in &heard.packets()[done..] {
            let frames = Arc::new(EncodedSound::from_frames(vec![Arc::clone(&packet.payload)]));
            to.add(vec![Part::Sound { frames, forever: false }]);
        }
        done = heard.packets().len();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Business {
    /// An endpoint and its answer to Meta's offer.
    async fn answer_to(&self, offer: &str, may_send: bool) -> (Peer, String) {
        let peer = self.endpoint(Party::BrowserAnswering, may_send).0;
        let offer = crate::business::cleaned(offer).replace("setup:actpass", "setup:passive");
        let answer = peer.answer(&offer).await.unwrap();
        (peer, with_ptime(&answer))
    }
}
