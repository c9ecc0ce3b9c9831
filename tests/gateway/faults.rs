//! Bad input and broken surroundings: a clear error, and nothing lost.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Action, Config, GraphFault, InboundCall};

use crate::world::{Gateway, NINO, NUMBER, SOON, World};

/// The program's exit code and last words for a configuration.
async fn refusal(config: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tandem.toml");
    let config = config.replace("DIR", dir.path().to_str().unwrap());
    std::fs::write(&file, config).unwrap();
    let mut command = Gateway::command(&file);
    command.env("RUST_LOG", "off").stderr(Stdio::piped()).env_remove("TANDEM_WHATSAPP__VERIFY_TOKEN");
    let output = tokio::time::timeout(SOON, command.output()).await.expect("it ends by itself").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_one_clear_line_each() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = "[http]\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\n[data]\ndir = \"DIR/data\"\n";
    for (config, says) in [
        ("[http\n".to_owned(), vec!["tandem.toml:1:"]),
        ("[http]\nport = 1\n[media]\nshards = \"x\"\n".to_owned(), vec!["http.port", "unknown field", "media.shards"]),
        (format!("[http]\nlisten = \"{busy}\"\n"), vec!["http.listen", "in use"]),
        (format!("{free}[media]\nlisten = \"{taken}\"\n"), vec!["media.listen", &taken]),
        (
            format!("{free}[whatsapp]\nverify_token_file = \"/nowhere/token\"\n"),
            vec!["verify_token_file", "/nowhere/token"],
        ),
    ] {
        let (code, stderr) = refusal(&config).await;
        assert_eq!(code, Some(1), "{stderr}");
        for word in says {
            assert!(stderr.contains(word), "{word:?} in {stderr:?}");
        }
        assert!(stderr.lines().count() <= 3, "{stderr}");
    }
}

#[tokio::test]
async fn a_wrong_graph_token_says_so() {
    let world = World::start().await;
    world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world
        .put(
            &format!("numbers/{NUMBER}"),
            json!({"display_phone_number": "+995322000111", "plan": "advanced", "add_ons": [], "messaging_limit": 10_000,
                   "platform": "cloud_api", "graph_token": "wrong"}),
        )
        .await;
    let wish = json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a"});
    let problem = world.gateway.request("POST", "calls", Some(wish)).await.problem(502, "upstream_refused");
    assert!(problem["detail"].as_str().unwrap().contains("token"), "{problem}");
    let call = world.newest_call("the attempt is in the books", |call| call["state"] == "ended").await;
    assert_eq!(call["end_reason"], "upstream_error");
}

#[tokio::test]
async fn offers_that_cannot_be_answered_are_refused_politely() {
    for (name, sdp) in [
        ("empty", String::new()),
        ("garbage", "hello".to_owned()),
        ("huge", format!("v=0\r\n{}", "a=x\r\n".repeat(20_000))),
        (
            "video only",
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
                .to_owned(),
        ),
    ] {
        let world = World::start().await;
        let agent = world.agent("agt_a").await;
        let connect = connect_webhook("wacid.bad", &sdp);
        assert_eq!(world.wa.deliver(&connect).await.unwrap(), 200, "{name}");
        let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
        assert_eq!(call["end_reason"], "setup_failed", "{name}");
        assert_eq!(call["offers"], json!([]), "{name}: a call that cannot be answered rings nobody");
        world
            .until("WhatsApp is told", async || {
                world.wa.requests().iter().any(|request| request.action == Some(Action::Reject))
            })
            .await;
        assert!(agent.events().iter().all(|event| event.kind != "offer.created"), "{name}");
    }
}

#[tokio::test]
async fn media_offers_for_foreign_calls_and_rubbish_are_refused_with_a_sentence() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    world.agent_offline("agt_b").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    let (mine, foreign) = (world.token("agt_a").await, world.token("agt_b").await);
    let path = format!("offers/{}/media", offer.id);
    world.gateway.post_sdp(&foreign, &path, "v=0").await.problem(404, "not_found");
    let problem = world.gateway.post_sdp(&mine, &path, "rubbish").await.problem(422, "invalid_sdp");
    assert!(problem["detail"].as_str().unwrap().len() > 10);
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    let path = format!("calls/{}/media", talk.call_id);
    world.gateway.post_sdp(&foreign, &path, "v=0").await.problem(404, "not_found");
    world.gateway.request_as(&foreign, "GET", &format!("calls/{}", talk.call_id), None).await.problem(404, "not_found");
    world
        .gateway
        .request_as(&foreign, "POST", &format!("calls/{}/hangup", talk.call_id), Some(json!({})))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn a_passing_failure_of_accept_is_tried_again_and_a_lost_answer_is_not_an_accept_twice() {
    for fault in [GraphFault::Status(503), GraphFault::AnswerLost] {
        let world = World::start().await;
        let agent = world.agent("agt_a").await;
        let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(3))).await.unwrap();
        let offer = agent.next_offer(SOON).await.unwrap();
        world.wa.fail_next(Action::Accept, 1, fault);
        let talk = offer.accept().await.unwrap();
        phone.answered(SOON).await.unwrap();
        agent.event("call.answered", SOON, |_| true).await.unwrap();
        phone.heard_something(SOON).await.unwrap();
        assert_eq!(phone.violations(), []);
        talk.hang_up().await.unwrap();
        phone.ended(SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_caller_gone_during_accept_is_a_cancelled_call() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    world.wa.fail_next(Action::Accept, 1, GraphFault::AnswerLate(Duration::from_millis(400)));
    let accepting = offer.accept();
    phone.hang_up();
    let _ = accepting.await;
    world.until("the call ends", async || world.call(&offer.call_id).await["state"] == "ended").await;
    phone.ended(SOON).await.unwrap();
    let call = world.settled(&offer.call_id).await;
    assert!(["caller_cancelled", "completed"].contains(&call["end_reason"].as_str().unwrap()), "{call}");
}

#[tokio::test]
async fn without_a_free_port_a_call_is_refused_politely_and_the_next_one_works() {
    let world =
        World::with("[media]\nlisten = \"127.0.0.1:0\"\nwhatsapp_ports = \"45991-45991\"\n", Config::default()).await;
    let anna = world.agent("agt_a").await;
    let ben = world.agent("agt_b").await;
    let first = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let (offer, _) = tokio::select! {
        offer = anna.next_offer(SOON) => (offer.unwrap(), "anna"),
        offer = ben.next_offer(SOON) => (offer.unwrap(), "ben"),
    };
    let talk = offer.accept().await.unwrap();
    first.answered(SOON).await.unwrap();
    let second = world.wa.call(InboundCall::from("995555010204")).await.unwrap();
    second.ended(SOON).await.unwrap();
    let refused = world.newest_call("the second call is over", |call| call["state"] == "ended").await;
    assert_eq!(refused["end_reason"], "setup_failed");
    talk.hang_up().await.unwrap();
    first.ended(SOON).await.unwrap();
    world.settled(&talk.call_id).await;
    let third = world.wa.call(InboundCall::from("995555010205")).await.unwrap();
    world
        .until("the port is free again", async || {
            world.wa.requests().iter().any(|request| {
                request.action == Some(Action::PreAccept) && request.wacid.as_deref() == Some(third.wacid())
            })
        })
        .await;
}

#[tokio::test]
async fn unknown_things_answer_alike_and_bad_bodies_say_what_is_wrong() {
    let world = World::start().await;
    for path in
        ["calls/call_nothing", "contacts/con_nothing", "calls/call_nothing/recording", "calls/call_nothing/trace"]
    {
        world.gateway.request("GET", path, None).await.problem(404, "not_found");
    }
    for (path, body, word) in [
        ("agents/agt_a", json!({"name": "A", "role": "boss"}), "role"),
        ("agents/agt_a", json!({"name": "A", "role": "owner", "nickname": "x"}), "nickname"),
        ("contacts/wa:12", json!({"name": "x"}), "wa:"),
        ("contacts/wa:995555010203", json!({"assignee_id": "agt_nobody"}), "assignee_id"),
    ] {
        let answer = world.gateway.request("PUT", path, Some(body)).await;
        let problem: Value = answer.json();
        assert!((400..500).contains(&answer.status), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
}

fn connect_webhook(wacid: &str, sdp: &str) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "calls", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "995322000111", "phone_number_id": NUMBER},
        "contacts": [{"profile": {"name": "Nino"}, "wa_id": NINO}],
        "calls": [{"id": wacid, "from": NINO, "to": "995322000111", "event": "connect", "timestamp": now,
                   "direction": "USER_INITIATED", "session": {"sdp_type": "offer", "sdp": sdp}}]}}]}]})
}
