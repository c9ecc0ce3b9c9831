//! One gateway's doors on a port of their own, over a store of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::call::Patience;
use crate::call::record::{CallRecord, OfferRecord, Status};
use crate::control::{Control, SignIn, bind, serve};
use crate::media::Identity;
use crate::metrics::Metrics;
use crate::model::directory::{Agent, Contact, Number, Plan, Platform, Switches};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, CallId, NumberId, OfferId};
use crate::model::reason::{CallState, Direction, EndReason, EndedBy, OfferCause, OfferOutcome, Presence, Role};
use crate::model::time::{Clock, Timestamp};
use crate::policy::access::Scope;
use crate::record::{self, Recorder, Vault, generate_key};
use crate::shard::{self, Shards};
use crate::signalling::whatsapp::{self, Graph, Webhook};
use crate::store::{CustomerIdentity, Store};
use crate::switchboard::{self, Parts, Switchboard};
use crate::webpush;

const APP_SECRET: &str = "app-secret";
pub(super) const VERIFY_TOKEN: &str = "verify-me";

/// Doors, store and the secrets to enter.
pub(super) struct House {
    pub(super) control: Arc<Control>,
    pub(super) store: Store,
    pub(super) base: String,
    pub(super) http: reqwest::Client,
    /// A key with every scope.
    pub(super) admin: String,
    /// A key with none.
    pub(super) powerless: String,
    /// Tokens of two teammates, `agt_a` and `agt_b`.
    pub(super) ana: String,
    pub(super) beka: String,
    /// A call that was offered to Ana alone, and the offer.
    pub(super) call: CallId,
    pub(super) offer: OfferId,
    pub(super) dir: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::open_to(whatsapp::Config::default()).await
    }

    /// With a WhatsApp of its own at the other end.
    pub(super) async fn open_to(meta: whatsapp::Config) -> Self {
        Self::open_with(meta, None).await
    }

    /// With a token for the WhatsApp at the other end, which has been asked once what it has.
    pub(super) async fn connected(meta: whatsapp::Config) -> Self {
        let house = Self::open_with(meta, Some("token")).await;
        while house.store.settings(&number().id).await.unwrap().is_none_or(|settings| settings.seen.is_none()) {
            tokio::task::yield_now().await;
        }
        house
    }

    async fn open_with(meta: whatsapp::Config, token: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open("", dir.path()).await.unwrap();
        let now = now();
        let admin = store.create_key("admin", Scope::ALL, now).await.unwrap();
        let powerless = store.create_key("powerless", &[], now).await.unwrap();
        store.put_number(&number(), token).await.unwrap();
        for (id, name) in [("agt_a", "Ana"), ("agt_b", "Beka")] {
            store.put_agent(&agent(id, name)).await.unwrap();
        }
        let hour = now.plus(std::time::Duration::from_secs(3600));
        let ana = store.create_agent_token(&id("agt_a"), hour).await.unwrap();
        let beka = store.create_agent_token(&id("agt_b"), hour).await.unwrap();
        let who = CustomerIdentity {
            phone: Some("995555010203".parse_phone()),
            name: Some("Nino".to_owned()),
            ..CustomerIdentity::default()
        };
        let contact = store.identify(&who, now).await.unwrap();
        let call = missed_call(contact, &id("agt_a"), now);
        store.save_call(&call, vec![ended(&call)], now).await.unwrap();

        let switchboard = desk(&store, dir.path(), &meta).await;
        let sealing = dir.path().join("sealing.key");
        std::fs::write(&sealing, generate_key()).unwrap();
        let sealing = record::Config { encryption_key_file: sealing, ..record::Config::default() };
        let vault = Vault::open(&sealing, dir.path()).unwrap();
        let control = Arc::new(Control {
            store: store.clone(),
            switchboard,
            webhook: Some(Webhook::new(&APP_SECRET.into(), VERIFY_TOKEN.into()).unwrap()),
            metrics: Box::new(|| "tandem_build_info 1\n".to_owned()),
            readiness: Box::new(|| Box::pin(async { Vec::new() })),
            recordings_dir: dir.path().join("recordings"),
            vault,
            sandbox: true,
            sign_in: SignIn::default(),
            base_url: "https://calls.example.com".to_owned(),
            secure_cookies: true,
            reload: Box::new(|| Box::pin(async { Ok(()) })),
            clock: Clock,
            closing: CancellationToken::new(),
        });
        let (base, stop) = listen(control.router(Router::new()), control.closing.clone());
        Self {
            control,
            store,
            base,
            http: reqwest::Client::new(),
            admin,
            powerless,
            ana,
            beka,
            call: call.id,
            offer: call.offers[0].id.clone(),
            dir,
            _stop: stop,
        }
    }

    /// A request; `secret` empty: without credentials.
    pub(super) fn ask(&self, method: Method, path: &str, secret: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if secret.is_empty() { request } else { request.bearer_auth(secret) }
    }

    pub(super) async fn get(&self, path: &str, secret: &str) -> Response {
        self.ask(Method::GET, path, secret).send().await.unwrap()
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.ask(Method::PUT, path, &self.admin).json(&body).send().await.unwrap()).await
    }
}

/// Serves a router on a port of its own until the sender is dropped.
pub(super) fn listen(router: Router, closing: CancellationToken) -> (String, oneshot::Sender<()>) {
    let door = bind("http.listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", door.address());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(door, router, None, closing, async move {
        let _ = stopped.await;
    }));
    (base, stop)
}

/// What Meta would sign this body with.
pub(super) fn signature(body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, APP_SECRET.as_bytes());
    format!("sha256={}", hex::encode(aws_lc_rs::hmac::sign(&key, body)))
}

/// Status and JSON body; `null` for a body that is none.
pub(super) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(super) fn now() -> Timestamp {
    Clock.now().wall
}

pub(super) fn id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

/// A desk with every part it needs, and nobody at the other ends but perhaps WhatsApp.
pub(super) async fn desk(store: &Store, dir: &Path, meta: &whatsapp::Config) -> Switchboard {
    let media = shard::Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), shards: 1, ..shard::Config::default() };
    let (events, _) = mpsc::channel(1);
    let recorder = Recorder::spawn(dir, |_| ()).unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (pushes, key) = (webpush::Config::default(), Store::vapid_key(dir).unwrap());
    Switchboard::start(Parts {
        push: Some(webpush::Push::new(&pushes, key, "", Arc::clone(&metrics), Clock).unwrap()),
        announcements: Default::default(),
        clock: Clock,
        store: store.clone(),
        bus: Bus::default(),
        metrics,
        graph: Graph::new(meta, Arc::new(|_, _, _| ())).unwrap(),
        shards: Shards::spawn(&media, |_| rtrb::RingBuffer::new(16).0, events).unwrap(),
        recorder: recorder.inlet(),
        ears: None,
        streams: false,
        summariser: crate::summary::Summariser::new(&crate::summary::Config::default(), None).unwrap(),
        tap: crate::tap::Orders::default(),
        recording: record::Config::default(),
        archive: None,
        uploads_max: 1,
        data_dir: dir.to_owned(),
        identity: Identity::generate(),
        patience: Patience::default(),
        config: switchboard::Config::default(),
    })
    .await
    .unwrap()
}

trait ParsePhone {
    fn parse_phone(&self) -> crate::model::phone::Phone;
}

impl ParsePhone for str {
    fn parse_phone(&self) -> crate::model::phone::Phone {
        crate::model::phone::Phone::parse(self).unwrap()
    }
}

fn number() -> Number {
    Number {
        id: NumberId::parse("100000000000001").unwrap(),
        display_phone_number: "995322000111".parse_phone(),
        plan: Plan::Advanced,
        add_ons: Vec::new(),
        messaging_limit: 10_000,
        platform: Platform::CloudApi,
        graph_token_set: false,
        record: None,
        keep_recordings_days: None,
    }
}

pub(super) fn agent(agent: &str, name: &str) -> Agent {
    Agent {
        id: id(agent),
        name: name.to_owned(),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Offline,
    }
}

pub(super) fn missed_call(contact: Contact, agent: &AgentId, now: Timestamp) -> CallRecord {
    CallRecord {
        state: CallState::Ended,
        status: Status::MissedByAgent,
        offers: vec![OfferRecord {
            id: OfferId::generate(),
            agent_id: agent.clone(),
            offered_at: now,
            outcome: OfferOutcome::MissedByAgent,
            cause: Some(OfferCause::RingTimeout),
            ended_at: Some(now),
            reason: "assigned to the chat".to_owned(),
            shown_at: None,
            audible_at: None,
            trouble: None,
        }],
        ended_at: Some(now),
        end_reason: Some(EndReason::MissedByAgent),
        opens_at: None,
        ended_by: Some(EndedBy::System),
        trace: json!([{"step": "chat_assignee", "agent_id": "agt_a", "verdict": "chosen", "reason": "assigned"}]),
        ..CallRecord::begun(CallId::generate(), number().id, Direction::UserInitiated, contact, now)
    }
}

fn ended(call: &CallRecord) -> NewEvent {
    NewEvent {
        kind: "call.ended",
        call_id: Some(call.id.clone()),
        agent_id: None,
        data: serde_json::to_value(call).unwrap(),
    }
}
