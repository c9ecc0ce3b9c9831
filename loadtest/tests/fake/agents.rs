//! Fake agents and a load run, against a gateway of a few lines.

use std::time::Duration;

use tandem_loadtest::agent::{Agent, Api};
use tandem_loadtest::load::{self, LoadConfig};
use tandem_loadtest::measure::{beeps_heard, tone_share};
use tandem_loadtest::peer::MediaThreads;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Config, InboundCall};

use crate::business::{Business, SOON};
use crate::gateway::Gateway;

#[tokio::test]
async fn an_agent_takes_a_call_and_both_hear_each_other() {
    let business = Business::start(Config::default()).await;
    let gateway = Gateway::start(business.clone()).await;
    business.wa.set_webhook_url(&format!("{}/webhooks/whatsapp", gateway.url));
    gateway.assign("995555010203", "agt_a");
    let agent = Agent::sign_in(&gateway.url, "ta_agt_a").await.unwrap();
    agent.go_online().await.unwrap();
    assert_eq!((agent.id(), gateway.statuses()), ("agt_a", vec!["online".to_owned()]));

    let call = business.wa.call(InboundCall::from("995555010203").says(Sound::beeps(8))).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    assert_eq!(offer.contact["phone"], "+995555010203");
    offer.prepare().await.unwrap();
    let taken = offer.accept().await.unwrap();
    taken.speak(&Sound::tone(1_900.0, Duration::from_secs(1)));
    taken.peer().until(SOON, "beeps", |p| beeps_heard(&p.heard().pcm(), 8).len() == 8).await.unwrap();
    let hears_tone = |pcm: Vec<i16>| pcm.chunks_exact(320).filter(|f| tone_share(f, 1_900.0) > 0.8).count() > 20;
    call.until(SOON, "tone", |c| hears_tone(c.heard().pcm())).await.unwrap();

    // A broken stream resumes where it was, so the end is not missed and no offer comes twice.
    agent.break_stream();
    call.hang_up();
    taken.ended(SOON).await.unwrap();
    assert_eq!(gateway.streams_opened(), [None, Some("1".to_owned())]);
    assert!(agent.next_offer(Duration::from_millis(200)).await.is_err());
}

#[tokio::test]
async fn a_refused_accept_carries_the_gateways_code() {
    let business = Business::start(Config::default()).await;
    let gateway = Gateway::start(business.clone()).await;
    business.wa.set_webhook_url(&format!("{}/webhooks/whatsapp", gateway.url));
    gateway.assign("995555010203", "agt_a");
    let agent = Agent::sign_in(&gateway.url, "ta_agt_a").await.unwrap();
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    offer.prepare().await.unwrap();
    call.media_up(SOON).await.unwrap();
    call.hang_up();
    let error = offer.accept().await.unwrap_err();
    let refusal = error.downcast_ref::<tandem_loadtest::agent::ApiError>().unwrap();
    assert_eq!((refusal.status, refusal.code.as_str()), (409, "offer_not_pending"));
    let stranger = Agent::sign_in(&gateway.url, "tk_key").await.unwrap_err();
    assert!(format!("{stranger:#}").contains("401"), "{stranger:#}");
    assert!(Api::new("http://127.0.0.1:1", "x").unwrap().get("/").await.unwrap_err().status == 0);
}

#[tokio::test]
async fn endpoints_without_a_gateway_lose_nothing() {
    let threads = MediaThreads::start(1).unwrap();
    let (direct, used) = load::baseline(&threads, [127, 0, 0, 1].into(), 3, Duration::from_secs(1)).await.unwrap();
    assert!(direct.packets > 200 && direct.silent_calls == 0, "{direct:?}");
    assert_eq!((direct.lost, direct.foreign), (0, 0), "{direct:?}");
    assert!(used.cores > 0.0 && used.rss_max_bytes > 0, "{used:?}");
}

#[tokio::test]
async fn a_load_run_counts_what_it_places() {
    // The small gateway needs the fake's address before the run starts it: a first fake only lends its Graph port.
    let lent = Business::start(Config { listen_to_media: false, ..Config::default() }).await;
    let graph: std::net::SocketAddr = lent.wa.graph_url().trim_start_matches("http://").parse().unwrap();
    let gateway = Gateway::start(lent.clone()).await;
    lent.wa.stop();
    let mut config = LoadConfig::new(&gateway.url, "tk_admin", graph);
    config.calls = 3;
    config.length = Duration::from_secs(2);
    config.gateway_pid = Some(std::process::id());
    let report = loop {
        // The lent port is free as soon as its listener is gone.
        match load::run(config.clone()).await {
            Err(error) if format!("{error:#}").contains("cannot listen") => tokio::task::yield_now().await,
            result => break result.unwrap(),
        }
    };
    println!("{report}");
    let expected = serde_json::json!({"micros": 1_000_000_000, "currency": "USD", "reference": "load run"});
    assert_eq!(gateway.top_ups(), [expected]);
    assert_eq!((report.calls_up, report.calls_lost), (3, 0), "{report}");
    for direction in [&report.to_agent, &report.to_customer] {
        assert!(direction.packets > 150 && direction.silent_calls == 0 && direction.foreign == 0, "{report}");
    }
    assert!(report.click_to_two_way_audio.max_ms > 0.0 && report.gateway.is_some(), "{report}");
    assert!(serde_json::to_value(&report).unwrap()["to_agent"]["delay"]["p99_ms"].is_number());
}
