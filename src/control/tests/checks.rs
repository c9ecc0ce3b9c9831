//! Permissions compared with WhatsApp's books, with a stand-in for the books at the other end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fixture::{House, listen, now};
use crate::model::directory::{Contact, Number, Plan, Platform};
use crate::model::id::NumberId;
use crate::model::phone::Phone;
use crate::model::reason::GrantSource;
use crate::model::time::Timestamp;
use crate::policy::permission::{Event, What};
use crate::signalling::whatsapp;
use crate::store::CustomerIdentity;

/// Its books are never read out; every other number's say that nobody permits anything.
const SILENT: &str = "100000000000002";
const SOON: Duration = Duration::from_secs(20);

/// The paths that were asked for.
type Asked = Arc<Mutex<Vec<String>>>;

async fn books(State(asked): State<Asked>, uri: Uri) -> (StatusCode, String) {
    asked.lock().unwrap().push(uri.to_string());
    if uri.path().contains(SILENT) {
        std::future::pending::<()>().await;
    }
    (StatusCode::OK, json!({"permission": {"status": "no_permission"}}).to_string())
}

/// A customer who permitted this number calls for good, to be compared at once.
async fn due(house: &House, number: &NumberId, phone: &str) -> Contact {
    let who = CustomerIdentity { phone: Some(Phone::parse(phone).unwrap()), ..CustomerIdentity::default() };
    let contact = house.store.identify(&who, now()).await.unwrap();
    let what = What::Granted { permanent: true, expires_at: None, source: GrantSource::Profile, context: None };
    // Long enough ago for the books to know of it.
    let granted = Event { key: "a".to_owned(), at: Timestamp::from_millis(now().as_millis() - 60_000), what };
    house.store.record_permission(number, &contact.id, &[granted], now()).await.unwrap();
    house.store.check_permission_at(number, &contact.id, now(), false).await.unwrap();
    contact
}

#[tokio::test]
async fn a_number_that_gets_no_answer_keeps_no_other_waiting() {
    let asked = Asked::default();
    let router = Router::new().fallback(books).with_state(Arc::clone(&asked));
    let (url, _stop) = listen(router, CancellationToken::new());
    let house = House::open_to(whatsapp::Config { graph_url: url, ..whatsapp::Config::default() }).await;
    let number = |id: &str| Number {
        id: NumberId::parse(id).unwrap(),
        display_phone_number: Phone::parse("995322000111").unwrap(),
        plan: Plan::Advanced,
        add_ons: Vec::new(),
        messaging_limit: 10_000,
        platform: Platform::CloudApi,
        graph_token_set: true,
        record: None,
        keep_recordings_days: None,
    };
    let (silent, other) = (number(SILENT), number("100000000000001"));
    let mut told = house.control.switchboard.subscribe();
    for number in [&silent, &other] {
        house.store.put_number(number, Some("token")).await.unwrap();
    }
    for i in 0..4 {
        due(&house, &silent.id, &format!("99555500000{i}")).await;
    }
    let nino = due(&house, &other.id, "995555010203").await;
    let repaired = async {
        loop {
            let event = told.recv().await.unwrap();
            if event.kind == "permission.drift_repaired" {
                return event;
            }
        }
    };
    let event = tokio::time::timeout(SOON, repaired).await.expect("the other number gets its check");
    assert_eq!(event.data["contact"]["id"], nino.id.as_str());
    let silent =
        asked.lock().unwrap().iter().filter(|path| path.contains(SILENT) && path.contains("call_permissions")).count();
    assert!((1..=2).contains(&silent), "asked for within its rate, and again only after an answer: {silent}");
}
