//! The night's comparison with WhatsApp's count: who is asked about what, and what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fixture::{House, answer, desk, listen, now};
use crate::billing::reconcile::{Books, Ours, Reconciliation, Theirs};
use crate::model::day::Day;
use crate::model::directory::Number;
use crate::model::id::{NumberId, WabaId};
use crate::model::money::Currency;
use crate::model::time::Timestamp;
use crate::signalling::whatsapp;

/// Account 20 may not be asked; account 21 had no calls. The days that were asked about, in the order of asking.
#[derive(Clone, Default)]
struct Meta(Arc<Mutex<Vec<(String, Day)>>>);

impl Meta {
    fn open() -> (Self, whatsapp::Config, impl Sized) {
        let meta = Self::default();
        let router = Router::new().route("/v26.0/{account}", axum::routing::get(count)).with_state(meta.clone());
        let (graph_url, stop) = listen(router, CancellationToken::new());
        (meta, whatsapp::Config { graph_url, ..whatsapp::Config::default() }, stop)
    }
}

async fn count(
    State(Meta(asked)): State<Meta>,
    Path(account): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> (StatusCode, Json<Value>) {
    let start = query[0].1.split_once("start(").and_then(|(_, rest)| rest.split(')').next()?.parse().ok()).unwrap();
    asked.lock().unwrap().push((account.clone(), Day::of(Timestamp::from_secs(start))));
    match account.as_str() {
        "20" => (StatusCode::UNAUTHORIZED, Json(json!({"error": {"code": 190, "message": "expired"}}))),
        _ => (StatusCode::OK, Json(json!({"id": account, "currency": "USD"}))),
    }
}

fn waba(id: &str) -> WabaId {
    WabaId::parse(id).unwrap()
}

/// A number with a token, of an account that became known two days ago and is due.
async fn number_of(house: &House, number: &str, account: &str) {
    let id = NumberId::parse(number).unwrap();
    let known = house.store.number(&NumberId::parse("100000000000001").unwrap()).await.unwrap().unwrap();
    house.store.put_number(&Number { id: id.clone(), ..known }, Some("token")).await.unwrap();
    let two_days_ago = Timestamp::from_millis(now().as_millis() - 2 * 24 * 3600 * 1000);
    house.store.learn_owner(&id, &waba(account), two_days_ago, two_days_ago).await.unwrap();
}

#[tokio::test]
async fn an_account_that_fails_keeps_no_other_waiting_and_what_agreed_is_not_asked_for_again() {
    let (Meta(asked), config, _stop) = Meta::open();
    let house = House::open_to(config.clone()).await;
    number_of(&house, "100000000000001", "20").await;
    number_of(&house, "100000000000002", "21").await;
    let today = Day::of(now());
    let none = (Ours::default(), Theirs::default());
    let books = Books { outbound: none, inbound: none, currency: Currency::USD, their_currency: None };
    house.store.put_reconciliation(&Reconciliation::of(waba("21"), today.minus(2), &books, now())).await.unwrap();

    // A desk looks for what is due when it begins.
    let _night = desk(&house.store, house.dir.path(), &config).await;
    let over = async {
        loop {
            let (status, page) = answer(house.get("/v1/wallet/reconciliations", &house.admin).await).await;
            assert_eq!(status, 200, "{page}");
            if page["accounts"][0]["failures"] == 1 && page["items"].as_array().unwrap().len() == 2 {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let page = tokio::time::timeout(Duration::from_secs(20), over).await.expect("the night is over");
    let accounts = &page["accounts"];
    assert!(accounts[0]["error"].as_str().unwrap().contains("access token"), "{accounts}");
    assert_eq!((&accounts[1]["error"], &accounts[1]["failures"]), (&Value::Null, &json!(0)));
    let asked_of = |account: &str| {
        let asked = asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of == account).map(|(_, day)| *day).collect::<Vec<_>>()
    };
    assert_eq!(asked_of("20"), [today.minus(2)], "refused at once, and not asked about the rest");
    assert_eq!(asked_of("21"), [today.minus(1); 2], "both directions of the only day that has not agreed");
    let days = house.store.reconciliations(10, None).await.unwrap().items;
    assert_eq!(
        days.iter().map(|day| (day.day, day.agrees)).collect::<Vec<_>>(),
        [(today.minus(1), true), (today.minus(2), true)]
    );
}
