//! Calls while the console is closed, and the page that says why it does not open.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use super::browser::{Browser, Size, Theme};
use super::people::{PASSWORD, hire, invitation, sign_in_at};
use super::world::{NINO, SOON, World};
use super::{CUSTOMER_HZ, MICROPHONE_HZ, hear_each_other};

/// A gateway that pushes to what is on its own machine, and waits so long for a browser.
fn config(shown_ms: u32) -> String {
    format!(
        "[agents]\naway_after_ms = 300\n[push]\nallow_private = true\nshown_ms = {shown_ms}\nsubject = \"mailto:calls@example.com\"\n"
    )
}

/// A push service: it takes what it is sent, or behaves as the first word of an endpoint's path says.
struct PushService {
    base: String,
    taken: Arc<Mutex<VecDeque<Posted>>>,
}

/// One message as it came.
#[derive(Clone)]
struct Posted {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl PushService {
    async fn start() -> Self {
        let taken = Arc::new(Mutex::new(VecDeque::new()));
        let take = |State(taken): State<Arc<Mutex<VecDeque<Posted>>>>,
                    Path((how, _)): Path<(String, u32)>,
                    headers: HeaderMap,
                    body: Bytes| async move {
            taken.lock().unwrap().push_back(Posted { headers, body: body.to_vec() });
            match how.as_str() {
                "taken" => StatusCode::CREATED,
                "gone" => StatusCode::GONE,
                "refused" => StatusCode::FORBIDDEN,
                "failed" => StatusCode::SERVICE_UNAVAILABLE,
                _ => std::future::pending().await,
            }
        };
        // Somewhere to be while the console is closed.
        let blank = || async { Html("<!doctype html><link rel=icon href='data:,'><title>Elsewhere</title>") };
        let router =
            Router::new().route("/{how}/{n}", post(take)).route("/", get(blank)).with_state(Arc::clone(&taken));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, taken }
    }

    async fn next(&self, world: &World, what: &str) -> Posted {
        world.until(what, async || !self.taken.lock().unwrap().is_empty()).await;
        self.taken.lock().unwrap().pop_front().unwrap()
    }
}

/// The page's browser subscribes to this endpoint, since no maker's push service is there; what its messages are opened with.
async fn subscribes_to(browser: &Browser, endpoint: &str) -> Value {
    let script = r"(async () => {
        const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
        const bytes = (told) => Uint8Array.from(atob(told.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
        const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
        const keys = { p256dh: text(await crypto.subtle.exportKey('raw', pair.publicKey)), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
        let subscribed = null;
        PushManager.prototype.getSubscription = async () => subscribed;
        PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
          if (!userVisibleOnly) throw new Error('browsers want it');
          subscribed = { options: { applicationServerKey: bytes(applicationServerKey).buffer }, toJSON: () => ({ endpoint: 'ENDPOINT', expirationTime: null, keys }), unsubscribe: async () => { subscribed = null; } };
          return subscribed;
        };
        return { jwk: await crypto.subtle.exportKey('jwk', pair.privateKey), ...keys };
      })().then(done, (error) => done(String(error)));";
    let keys = browser.run_async(&script.replace("ENDPOINT", endpoint)).await;
    assert!(keys.is_object(), "{keys}");
    keys
}

/// What a browser makes of a message: RFC 8292 checked and RFC 8291 undone by its own cryptography.
async fn opened(browser: &Browser, message: &Posted, keys: &Value, service: &PushService) -> Value {
    let head = |name: &str| message.headers[name].to_str().unwrap().to_owned();
    assert_eq!((head("content-encoding").as_str(), head("urgency").as_str()), ("aes128gcm", "high"));
    assert!(head("ttl").parse::<u32>().unwrap() > 0);
    let script = r"(async () => {
        const [keys, body, authorization] = GIVEN;
        const bytes = (told) => Uint8Array.from(atob(told.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
        const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? new TextEncoder().encode(part) : new Uint8Array(part))]));
        const [, jwt, k] = /^vapid t=([^,]+), k=(.+)$/.exec(authorization);
        const [head, claims, signature] = jwt.split('.');
        const signer = await crypto.subtle.importKey('raw', bytes(k), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
        const signed = await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, signer, bytes(signature), join(`${head}.${claims}`));
        const json = (part) => JSON.parse(new TextDecoder().decode(bytes(part)));
        const message = Uint8Array.from(body);
        const own = await crypto.subtle.importKey('jwk', keys.jwk, { name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits']);
        const salt = message.slice(0, 16), size = new DataView(message.buffer).getUint32(16), theirs = message.slice(21, 21 + message[20]);
        const point = await crypto.subtle.importKey('raw', theirs, { name: 'ECDH', namedCurve: 'P-256' }, false, []);
        const secret = await crypto.subtle.deriveBits({ name: 'ECDH', public: point }, own, 256);
        const hkdf = async (salt, input, info, length) => crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, await crypto.subtle.importKey('raw', input, 'HKDF', false, ['deriveBits']), length * 8);
        const input = await hkdf(bytes(keys.auth), secret, join('WebPush: info\0', bytes(keys.p256dh), theirs), 32);
        const key = await crypto.subtle.importKey('raw', await hkdf(salt, input, join('Content-Encoding: aes128gcm\0'), 16), 'AES-GCM', false, ['decrypt']);
        const iv = await hkdf(salt, input, join('Content-Encoding: nonce\0'), 12);
        const plain = [...new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, message.slice(21 + message[20])))];
        while (plain.at(-1) === 0) plain.pop();
        if (plain.pop() !== 2) throw new Error('not the last record');
        return { signed, head: json(head), claims: json(claims), key: k, size, text: new TextDecoder().decode(Uint8Array.from(plain)) };
      })().then(done, (error) => done(String(error)));";
    let given = json!([keys, message.body, head("authorization")]).to_string();
    let told = browser.run_async(&script.replace("GIVEN", &given)).await;
    assert_eq!((&told["signed"], &told["head"]), (&json!(true), &json!({"typ": "JWT", "alg": "ES256"})), "{told}");
    assert_eq!(
        (&told["claims"]["aud"], &told["claims"]["sub"]),
        (&json!(service.base), &json!("mailto:calls@example.com"))
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now..=now + 86_400).contains(&told["claims"]["exp"].as_u64().unwrap()), "{told}");
    assert_eq!(told["size"], 4096);
    serde_json::from_str(told["text"].as_str().unwrap()).unwrap()
}

async fn agent(world: &World, id: &str) -> Value {
    world.get(&format!("agents/{id}")).await
}

async fn events(world: &World, kind: &str) -> usize {
    let log = world.get("events?limit=200").await;
    log["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind).count()
}

fn nino_hums() -> InboundCall {
    InboundCall::from(NINO).step(Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_console_rings_and_the_call_is_rejected_or_answered_from_the_systems_screen() {
    let service = PushService::start().await;
    let world = World::with(&config(15_000), Default::default()).await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/devices").await;
    let plain = r#"{"echoCancellation":false,"noiseSuppression":false,"autoGainControl":false}"#;
    browser.run(&format!("localStorage.setItem('tandem.desk', '{plain}')")).await;
    browser.reload().await;
    browser.appears("ring-closed").await;
    let keys = subscribes_to(&browser, &format!("{}/taken/1", service.base)).await;
    browser.looks_good("ring-closed-off").await;
    browser.says("ring-closed-says", "Off.").await;
    browser.click("ring-closed").await;
    browser.says("ring-closed-says", "On.").await;
    browser.looks_good("ring-closed-on").await;
    browser.look(Size::Phone, Theme::Light).await;
    browser.run("document.querySelector('[data-testid=closed-card]').scrollIntoView({ block: 'center' })").await;
    browser.screenshot("ring-closed-card").await;
    browser.look(Size::Desk, Theme::Light).await;
    let listed = world.get("agents/agt_a/push-subscriptions").await;
    assert_eq!(
        (&listed["items"][0]["service"], &listed["items"][0]["device"]),
        (&json!(service.base), &json!("Chrome on Linux"))
    );

    let mut worker = browser.worker(&world.gateway.base).await;
    browser.click("test-push").await;
    let test = service.next(&world, "the test push").await;
    let said = opened(&browser, &test, &keys, &service).await;
    assert_eq!(said, json!({"kind": "test"}));
    worker.push(&said.to_string()).await;
    browser.says("toast", "It came back to this browser in").await;
    worker.wipe().await;

    browser.click("status-switch").await;
    world.until("the agent is online", async || agent(&world, "agt_a").await["status"] == "online").await;
    world.until("her console was ready", async || agent(&world, "agt_a").await["readiness"].is_object()).await;
    let phone = world.wa.call(nino_hums()).await.unwrap();
    browser.click("popup-reject").await;
    phone.ended(SOON).await.unwrap();
    assert!(service.taken.lock().unwrap().is_empty(), "an open console needs no push");
    // The system stops the page: it shows nothing then, so it has gone, and comes back when it goes on.
    let life = async |state: &str, what: &str, is_there: bool| {
        browser.devtools("Page.setWebLifecycleState", json!({ "state": state })).await;
        world.until(what, async || agent(&world, "agt_a").await["readiness"].is_object() == is_there).await;
        assert_eq!(agent(&world, "agt_a").await["status"], "online");
    };
    life("frozen", "the page has gone", false).await;
    life("active", "the page is back", true).await;
    browser.open(&service.base).await;
    // The gateway has given the console up; without pushes she would be offline now.
    world.until("it is closed", async || agent(&world, "agt_a").await["readiness"].is_null()).await;
    assert_eq!(agent(&world, "agt_a").await["status"], "online");

    let phone = world.wa.call(nino_hums()).await.unwrap();
    let offer = service.next(&world, "the offer").await;
    let ttl: u32 = offer.headers["ttl"].to_str().unwrap().parse().unwrap();
    assert!(ttl <= 40, "after the ring it is of no use: {ttl}");
    let topic = offer.headers["topic"].clone();
    assert_eq!(topic.len(), 32);
    let said = opened(&browser, &offer, &keys, &service).await;
    assert_eq!(
        (&said["kind"], &said["name"], &said["phone"]),
        (&json!("offer"), &json!("Nino Beridze"), &json!("+995555010203")),
        "{said}"
    );
    worker.push(&said.to_string()).await;
    world.until("it counts as shown", async || events(&world, "offer.shown").await == 2).await;
    let shown = worker.notifications().await;
    assert_eq!(
        (&shown[0][0], &shown[0][2], &shown[0][3]),
        (&json!("Incoming WhatsApp call"), &json!("accept"), &json!("reject"))
    );
    assert!(shown[0][1].as_str().unwrap().starts_with("Nino Beridze\n+995555010203\nGeorgia\n"), "{shown}");
    assert!(!phone.is_answered());
    assert_eq!(worker.click(said["offer_id"].as_str().unwrap(), "reject").await, Value::Null);
    phone.ended(SOON).await.unwrap();
    assert_eq!(world.calls().await[0]["offers"][0]["cause"], "rejected");
    let over = service.next(&world, "that it is over").await;
    assert_eq!(over.headers["topic"], topic, "it takes the place of an offer that is not delivered yet");
    let said = opened(&browser, &over, &keys, &service).await;
    assert_eq!((&said["kind"], &said["cause"]), (&json!("over"), &json!("rejected")));
    worker.push(&said.to_string()).await;
    worker.shows("Call rejected", "Nino Beridze").await;
    worker.wipe().await;

    // The caller hangs up while it rings.
    let phone = world.wa.call(nino_hums()).await.unwrap();
    let said = opened(&browser, &service.next(&world, "the offer").await, &keys, &service).await;
    worker.push(&said.to_string()).await;
    world.until("it is shown", async || events(&world, "offer.shown").await == 3).await;
    phone.hang_up();
    let said = opened(&browser, &service.next(&world, "that it is over").await, &keys, &service).await;
    assert_eq!(said["cause"], "caller_cancelled");
    worker.push(&said.to_string()).await;
    worker.shows("Missed WhatsApp call", "Nino Beridze").await;
    worker.wipe().await;
    assert_eq!(agent(&world, "agt_a").await["status"], "online", "it was shown to her");

    let phone = world.wa.call(nino_hums()).await.unwrap();
    let said = opened(&browser, &service.next(&world, "the offer").await, &keys, &service).await;
    worker.push(&said.to_string()).await;
    world.until("it is shown", async || events(&world, "offer.shown").await == 4).await;
    let place = worker.click(said["offer_id"].as_str().unwrap(), "accept").await;
    let place = place.as_str().expect("the console is to be opened");
    assert_eq!(
        place,
        format!("/calls/{}#answer={}", said["call_id"].as_str().unwrap(), said["offer_id"].as_str().unwrap())
    );
    browser.open(&format!("{}{place}", world.gateway.base)).await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    browser.reads("return location.hash", "").await;
    hear_each_other(&world, &browser, &phone).await;
    let said = opened(&browser, &service.next(&world, "that it is answered").await, &keys, &service).await;
    assert_eq!((&said["kind"], &said["cause"]), (&json!("over"), &Value::Null));
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    assert_eq!(phone.violations(), []);

    // The browser gives itself another address, and no page has to see it.
    let moved = format!("{}/taken/2", service.base);
    worker.moves(&json!({"endpoint": moved, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}})).await;
    let listed = world.get("agents/agt_a/push-subscriptions").await["items"].clone();
    let devices: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["device"]).collect();
    assert_eq!(devices, ["Chrome on Linux"; 2], "until the push service gives the old one up: {listed}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_comes_to_nothing_costs_the_caller_no_more_than_was_said() {
    let service = PushService::start().await;
    let world = World::with(&config(2_000), Default::default()).await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    world.nino_of("agt_a").await;
    let ben = world.agent("agt_b").await;
    let cookie = session(&world, "agt_a").await;
    for (n, how) in ["refused", "failed", "gone", "hang", "taken"].into_iter().enumerate() {
        world.put("agents/agt_a/status", json!({"status": "online"})).await;
        let status = subscribe(&world, &cookie, &format!("{}/{how}/{n}", service.base)).await;
        assert_eq!(status, 201, "{how}");
        let phone = world.wa.call(nino_hums()).await.unwrap();
        let talk = ben.next_offer(SOON).await.unwrap().accept().await.unwrap();
        phone.answered(SOON).await.unwrap();
        talk.hang_up().await.unwrap();
        phone.ended(SOON).await.unwrap();
        let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
        let offer = &call["offers"][0];
        assert_eq!((&offer["agent_id"], &offer["cause"]), (&json!("agt_a"), &json!("not_shown")), "{how}: {offer}");
        let at = |name: &str| offer[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let took = at("ended_at").duration_since(at("offered_at")).as_millis();
        println!("{how}: the next agent rang after {took} ms");
        match how {
            "hang" | "taken" => assert!((1_900..4_000).contains(&took), "{how}: {took} ms"),
            // 2000 ms are what is waited for a browser; nobody waits for one that got nothing.
            _ => {
                assert!(took < 1_500, "{how}: {took} ms");
                assert_eq!(offer["trouble"], "push_failed", "{how}");
            }
        }
        world
            .until("who was not reached is offline", async || agent(&world, "agt_a").await["status"] == "offline")
            .await;
        let kept = world.get("agents/agt_a/push-subscriptions").await["items"].as_array().unwrap().clone();
        assert_eq!(kept.len(), usize::from(how != "gone"), "{how}: {kept:?}");
        for one in kept {
            let path = format!("agents/agt_a/push-subscriptions?subscription_id={}", one["id"].as_str().unwrap());
            assert_eq!(world.gateway.request("DELETE", &path, None).await.status, 204);
        }
    }
    let url = format!("http://{}/metrics", world.gateway.metrics);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    for outcome in ["refused", "failed", "gone", "timed_out", "taken"] {
        let line = format!("tandem_push_messages_total{{kind=\"offer\",outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}\n{text}");
    }

    // Signed out: nothing is pushed any more, and without a console that is offline.
    world.put("agents/agt_a/status", json!({"status": "online"})).await;
    assert_eq!(subscribe(&world, &cookie, &format!("{}/taken/9", service.base)).await, 201);
    world.gateway.request("DELETE", "agents/agt_a/password", None).await;
    assert_eq!(world.get("agents/agt_a/push-subscriptions").await["items"], json!([]), "access was taken");
}

/// The cookie of somebody who has just signed in.
async fn session(world: &World, id: &str) -> String {
    let link = invitation(world, id).await;
    let (_, secret) = link.split_once("#invitation=").unwrap();
    let response = reqwest::Client::new()
        .post(format!("{}/v1/session/invitation", world.gateway.base))
        .json(&json!({"invitation": secret, "password": PASSWORD}))
        .send()
        .await
        .unwrap();
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn subscribe(world: &World, cookie: &str, endpoint: &str) -> u16 {
    // The standard's own example (RFC 8291 appendix A).
    let keys = json!({"p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "auth": "BTBZMqHH6r4Tts7J_aSIgg"});
    let response = reqwest::Client::new()
        .put(format!("{}/v1/agents/agt_a/push-subscriptions", world.gateway.base))
        .header("cookie", cookie)
        .header("sec-fetch-site", "same-origin")
        .json(&json!({"endpoint": endpoint, "keys": keys, "device": "Phone"}))
        .send()
        .await
        .unwrap();
    response.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gateway_is_away_a_page_says_so_and_opens_the_console_when_it_is_back() {
    let mut world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/").await;
    browser.run_async("navigator.serviceWorker.ready.then(() => done(true))").await;
    let kept = "caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((cache) => cache.keys())))).then((all) => done(all.flat().map(({ url }) => new URL(url).pathname).sort()))";
    let small = json!([
        "/favicon.svg",
        "/offline.html",
        "/offline.js",
        "/styles/offline.css",
        "/styles/tokens.css",
        "/theme.js"
    ]);
    assert_eq!(browser.run_async(kept).await, small, "nothing of the console itself is kept");
    let address = world.gateway.base.strip_prefix("http://").unwrap().to_owned();
    world.gateway.kill().await;
    browser.open(&format!("{}/calls", world.gateway.base)).await;
    browser.appears("offline").await;
    world
        .until("it says why", async || {
            browser
                .run("return document.getElementById('why').textContent")
                .await
                .to_string()
                .contains("does not answer")
        })
        .await;
    browser.looks_good("offline").await;

    // Something answers there again.
    let back = || async { Html("<!doctype html><link rel=icon href='data:,'><p data-testid=back>Back") };
    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(back)).await });
    browser.appears("back").await;
    assert_eq!(browser.run("return location.pathname").await, json!("/calls"), "where they were");
    browser.quit().await;
}
