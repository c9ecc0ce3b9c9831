//! Money and prices over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, agent, answer, id, missed_call, now};
use crate::billing::RateCard;
use crate::call::CallRecord;
use crate::call::record::Status;
use crate::model::directory::Agent;
use crate::model::reason::{Direction, EndReason, Role};
use crate::model::time::Timestamp;
use crate::policy::access::Scope;
use crate::store::{EntryFilter, Store, Terms};

const TOP_UPS: &str = "/v1/wallet/top-ups";
const CARD: &str = "effective_from,market,currency,price_per_minute\n2025-01-01,*,USD,0.02\n2025-01-01,GE,USD,0.5\n";

async fn pay_in(house: &House, secret: &str, key: Option<&str>, body: &str) -> (u16, bool, Value) {
    let mut ask = house.ask(Method::POST, TOP_UPS, secret).header("content-type", "application/json");
    if let Some(key) = key {
        ask = ask.header("idempotency-key", key);
    }
    let response = ask.body(body.to_owned()).send().await.unwrap();
    let replayed = response.headers().contains_key("idempotent-replayed");
    let (status, body) = answer(response).await;
    (status, replayed, body)
}

async fn put_card(house: &House, secret: &str, kind: &str, csv: impl Into<reqwest::Body>) -> (u16, Value) {
    let ask = house.ask(Method::PUT, "/v1/rate-card", secret).header("content-type", kind);
    answer(ask.body(csv).send().await.unwrap()).await
}

async fn balance(house: &House) -> Value {
    answer(house.get("/v1/wallet", &house.admin).await).await.1
}

#[tokio::test]
async fn a_wallet_begins_empty_and_holds_what_was_paid_in() {
    let house = House::open().await;
    let empty = json!({"balance_micros": 0, "reserved_micros": 0, "available_micros": 0, "currency": "USD",
        "low_micros": null, "low": false, "uncharged_calls": 0});
    assert_eq!(balance(&house).await, empty);
    let body = r#"{"micros":50000000,"currency":"USD","reference":" invoice 7 "}"#;
    let (status, _, entry) = pay_in(&house, &house.admin, None, body).await;
    assert_eq!(status, 201, "{entry}");
    assert!(entry["id"].as_str().unwrap().starts_with("ent_"), "{entry}");
    let want = json!({
        "id": entry["id"], "kind": "top_up", "micros": 50_000_000, "currency": "USD", "reference": "invoice 7",
        "created_at": entry["created_at"],
    });
    assert_eq!(entry, want);
    pay_in(&house, &house.admin, None, r#"{"micros":1,"currency":"USD"}"#).await;
    assert_eq!(balance(&house).await["available_micros"], 50_000_001);

    let (status, page) = answer(house.get("/v1/wallet/entries?limit=1", &house.admin).await).await;
    assert_eq!((status, &page["items"][0]["micros"]), (200, &json!(1)));
    let next = format!("/v1/wallet/entries?cursor={}", page["next_cursor"].as_str().unwrap());
    let (_, page) = answer(house.get(&next, &house.admin).await).await;
    assert_eq!(page, json!({"items": [entry], "next_cursor": null}));
    let log = house.store.events_after(1, 10).await.unwrap();
    assert_eq!(log.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["wallet.topped_up"; 2]);
}

#[tokio::test]
async fn the_statement_is_narrowed_and_taken_home_and_an_owner_says_what_is_low() {
    let house = House::open().await;
    pay_in(&house, &house.admin, None, r#"{"micros":5,"currency":"USD","reference":"=Invoice 7"}"#).await;
    pay_in(&house, &house.admin, None, r#"{"micros":6,"currency":"USD"}"#).await;
    let owner = Agent { role: Role::Owner, ..agent("agt_owner", "Olga") };
    house.store.put_agent(&owner).await.unwrap();
    let hour = now().plus(std::time::Duration::from_secs(3600));
    let olga = house.store.create_agent_token(&owner.id, hour).await.unwrap();
    let found = async |query: &str| {
        let (status, page) = answer(house.get(&format!("/v1/wallet/entries?{query}"), &olga).await).await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().iter().map(|entry| entry["micros"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [6, 5]);
    assert_eq!(found("reference=invoice").await, [5]);
    assert_eq!(found("reference=100%25").await, [0_i64; 0]);
    assert_eq!(found("kind=top_up&reference=").await, [6, 5]);
    assert_eq!(found("kind=call_charge").await, [0_i64; 0]);
    assert_eq!(found("call_id=call_1").await, [0_i64; 0]);
    assert_eq!(found("to=2020-01-01T00:00:00Z").await, [0_i64; 0]);
    assert_eq!(found("from=2020-01-01T00:00:00Z").await, [6, 5]);
    let table = house.get("/v1/wallet/entries.csv?reference=invoice", &olga).await;
    assert_eq!(table.headers()["content-type"], "text/csv; charset=utf-8");
    let table = table.text().await.unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "id,created_at,kind,micros,currency,call_id,reference,country,talked_ms,pulses,micros_per_minute"
    );
    assert!(lines.len() == 2 && lines[1].ends_with("Z,top_up,5,USD,,'=Invoice 7,,,,"), "{table}");

    let set =
        async |body: Value| answer(house.ask(Method::PUT, "/v1/wallet", &olga).json(&body).send().await.unwrap()).await;
    let (status, wallet) = set(json!({"low_micros": 11})).await;
    assert_eq!((status, &wallet["low_micros"], &wallet["low"]), (200, &json!(11), &json!(true)), "{wallet}");
    assert_eq!(set(json!({})).await.1["low_micros"], 11, "what is left out stays");
    let (_, wallet) = set(json!({"low_micros": null})).await;
    assert_eq!((&wallet["low_micros"], &wallet["low"]), (&json!(null), &json!(false)));
    let log = house.store.events_after(0, 50).await.unwrap();
    let changed: Vec<_> = log.iter().filter(|event| event.kind == "wallet.changed").collect();
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[0].data["by"], json!({"kind": "agent", "agent_id": "agt_owner"}));
}

#[tokio::test]
async fn an_idempotency_key_pays_in_once_also_when_the_kept_answer_is_gone() {
    let house = House::open().await;
    let body = r#"{"micros":5,"currency":"USD"}"#;
    let (status, replayed, first) = pay_in(&house, &house.admin, Some("k1"), body).await;
    assert_eq!((status, replayed), (201, false));
    let (status, replayed, second) = pay_in(&house, &house.admin, Some("k1"), body).await;
    assert_eq!((status, replayed, &second), (201, true, &first));
    let (status, _, problem) = pay_in(&house, &house.admin, Some("k1"), r#"{"micros":6,"currency":"USD"}"#).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));

    // As after a crash between the booking and the answer, or days later.
    house.store.prune(now().plus(std::time::Duration::from_secs(3 * 24 * 3600))).await.unwrap();
    let (status, replayed, third) = pay_in(&house, &house.admin, Some("k1"), body).await;
    assert_eq!((status, replayed, &third), (201, false, &first));
    house.store.prune(now().plus(std::time::Duration::from_secs(3 * 24 * 3600))).await.unwrap();
    let (status, _, problem) = pay_in(&house, &house.admin, Some("k1"), r#"{"micros":6,"currency":"USD"}"#).await;
    assert_eq!((status, &problem["code"]), (409, &json!("taken")), "{problem}");
    assert_eq!(balance(&house).await["balance_micros"], 5);

    // Keys belong to whoever sent them.
    let other = house.store.create_key("other", &[Scope::SettingsWrite], now()).await.unwrap();
    assert_eq!(pay_in(&house, &other, Some("k1"), body).await.0, 201);
    assert_eq!(balance(&house).await["balance_micros"], 10);
}

#[tokio::test]
async fn a_wrong_top_up_is_refused_by_field() {
    let house = House::open().await;
    let long = format!(r#"{{"micros":1,"currency":"USD","reference":"{}"}}"#, "x".repeat(201));
    for (body, status, code, says) in [
        (r#"{"micros":0,"currency":"USD"}"#, 422, "invalid_field", "micros: 1 to"),
        (r#"{"micros":-1,"currency":"USD"}"#, 422, "invalid_field", "micros: 1 to"),
        (r#"{"micros":1000000000000001,"currency":"USD"}"#, 422, "invalid_field", "micros: 1 to"),
        (r#"{"micros":9223372036854775807,"currency":"USD"}"#, 422, "invalid_field", "micros: 1 to"),
        (r#"{"micros":9223372036854775808,"currency":"USD"}"#, 422, "invalid_field", "micros: "),
        (r#"{"micros":99999999999999999999999,"currency":"USD"}"#, 422, "invalid_field", "micros: "),
        (r#"{"micros":1.5,"currency":"USD"}"#, 422, "invalid_field", "micros: "),
        (r#"{"micros":"5","currency":"USD"}"#, 422, "invalid_field", "micros: "),
        (r#"{"micros":5,"currency":"EUR"}"#, 422, "invalid_field", "currency: the wallet is in USD"),
        (r#"{"micros":5,"currency":"usd"}"#, 422, "invalid_field", "currency: `usd` is not a currency"),
        (r#"{"micros":5}"#, 422, "invalid_field", "`currency`"),
        (r#"{"micros":5,"currency":"USD","note":"x"}"#, 422, "invalid_field", "`note`"),
        (r#"{"micros":5,"currency":"USD","reference":""}"#, 422, "invalid_field", "reference: 1 to 200"),
        (r#"{"micros":5,"currency":"USD","reference":"a\u0007b"}"#, 422, "invalid_field", "reference: control"),
        (&long, 422, "invalid_field", "reference: 1 to 200"),
        (r#"{"micros":5"#, 400, "invalid_json", ""),
    ] {
        let (got, _, problem) = pay_in(&house, &house.admin, None, body).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{body}: {problem}");
    }
    assert_eq!(balance(&house).await["balance_micros"], 0);
    for (path, status) in [
        ("/v1/wallet/entries?limit=0", 400),
        ("/v1/wallet/entries?limit=201", 400),
        ("/v1/wallet/entries?cursor=00", 400),
        ("/v1/wallet/entries?page=2", 400),
    ] {
        let (got, problem) = answer(house.get(path, &house.admin).await).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some("invalid_parameter")), "{path}");
    }
}

#[tokio::test]
async fn money_is_shown_to_owners_and_moved_by_them_and_by_keys() {
    let house = House::open().await;
    let key = async |scope| house.store.create_key("k", &[scope], now()).await.unwrap();
    let (reader, writer, other) =
        (key(Scope::CallsRead).await, key(Scope::SettingsWrite).await, key(Scope::EventsRead).await);
    let owner = Agent { role: Role::Owner, ..agent("agt_o", "Olga") };
    house.store.put_agent(&owner).await.unwrap();
    let hour = now().plus(std::time::Duration::from_secs(3600));
    let owner = house.store.create_agent_token(&id("agt_o"), hour).await.unwrap();
    for (who, secret, reads, changes) in [
        ("admin", &house.admin, true, true),
        ("calls:read", &reader, true, false),
        ("settings:write", &writer, true, true),
        ("events:read", &other, false, false),
        ("no scope", &house.powerless, false, false),
        ("owner", &owner, true, true),
        ("teammate", &house.ana, false, false),
    ] {
        for path in ["/v1/wallet", "/v1/wallet/entries", "/v1/rate-card"] {
            let status = house.get(path, secret).await.status().as_u16();
            assert_eq!(status, if reads { 200 } else { 403 }, "{who} {path}");
        }
        let (status, _, _) = pay_in(&house, secret, None, r#"{"micros":1,"currency":"USD"}"#).await;
        assert_eq!(status, if changes { 201 } else { 403 }, "{who} pays in");
        let (status, _) = put_card(&house, secret, "text/csv", CARD).await;
        assert_eq!(status, if changes { 200 } else { 403 }, "{who} changes prices");
    }
    assert_eq!(house.get("/v1/wallet", "").await.status(), 401);
}

#[tokio::test]
async fn a_rate_card_is_in_force_at_once() {
    let house = House::open().await;
    let (status, built_in) = answer(house.get("/v1/rate-card", &house.admin).await).await;
    assert_eq!((status, &built_in["source"]), (200, &json!("config/policy/rates.csv")));
    assert!(built_in["rows"].as_array().unwrap().iter().any(|row| row["market"] == "IN"), "{built_in}");

    let later = format!("# time_zone = Asia/Tbilisi\n{CARD}2999-01-01,GE,USD,0.6\n");
    let (status, put) = put_card(&house, &house.admin, "text/csv; charset=utf-8", later.clone()).await;
    assert_eq!(status, 200, "{put}");
    let (_, read) = answer(house.get("/v1/rate-card", &house.admin).await).await;
    assert_eq!(read, put);
    let row = |market: &str, from: &str, micros: i64| json!({"market": market, "effective_from": from, "tier_from_minutes": 0, "micros_per_minute": micros});
    let want = json!({
        "in_force": true, "currency": "USD", "source": "imported.csv", "sha256": read["sha256"], "time_zone": "Asia/Tbilisi",
        "rows": [row("*", "2024-12-31T20:00:00.000Z", 20_000), row("GE", "2024-12-31T20:00:00.000Z", 500_000)],
        "upcoming": [row("GE", "2998-12-31T20:00:00.000Z", 600_000)],
    });
    assert_eq!(read, want);
    assert_eq!(house.control.switchboard.terms().card.csv(), later);

    for accept in ["text/csv", "application/xml, Text/CSV;q=0.5"] {
        let ask = house.ask(Method::GET, "/v1/rate-card", &house.admin).header("accept", accept);
        let response = ask.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
        assert_eq!(response.headers()["vary"], "accept");
        assert_eq!(response.text().await.unwrap(), later);
    }
    let log = house.store.events_after(1, 10).await.unwrap();
    assert_eq!(log.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["rate_card.imported"]);
}

#[tokio::test]
async fn an_older_card_is_shown_by_its_hash_for_any_moment() {
    let house = House::open().await;
    let first = format!("{CARD}2999-01-01,GE,USD,0.6\n");
    let (_, old) = put_card(&house, &house.admin, "text/csv", first.clone()).await;
    let (_, new) = put_card(&house, &house.admin, "text/csv", CARD).await;
    let path = |card: &Value, more: &str| format!("/v1/rate-card?sha256={}{more}", card["sha256"].as_str().unwrap());

    let (status, shown) = answer(house.get(&path(&old, ""), &house.admin).await).await;
    assert_eq!((status, &shown["in_force"], &shown["rows"]), (200, &json!(false), &old["rows"]));
    let (_, current) = answer(house.get(&path(&new, ""), &house.admin).await).await;
    assert_eq!(current, new, "the card in force, by its own name");
    let (_, later) = answer(house.get(&path(&old, "&at=2999-06-01T00:00:00Z"), &house.admin).await).await;
    let georgia = later["rows"].as_array().unwrap().iter().find(|row| row["market"] == "GE").unwrap();
    assert_eq!((&georgia["micros_per_minute"], &later["upcoming"]), (&json!(600_000), &json!([])));
    let file = house.ask(Method::GET, &path(&old, ""), &house.admin).header("accept", "text/csv");
    assert_eq!(file.send().await.unwrap().text().await.unwrap(), first);

    for (query, status, code) in [
        ("sha256=abc", 400, "invalid_parameter"),
        (&format!("sha256={}", "A".repeat(64)), 400, "invalid_parameter"),
        (&format!("sha256={}", "a".repeat(64)), 404, "not_found"),
        ("at=noon", 400, "invalid_parameter"),
        ("sha=1", 400, "invalid_parameter"),
    ] {
        let (got, problem) = answer(house.get(&format!("/v1/rate-card?{query}"), &house.admin).await).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_wrong_rate_card_is_refused_with_every_mistake_and_the_one_in_force_stays() {
    let house = House::open().await;
    put_card(&house, &house.admin, "text/csv", CARD).await;
    let wrong = format!("{CARD}2025-01-01,ZZ,USD,-1\n");
    let (status, problem) = put_card(&house, &house.admin, "text/csv", wrong).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_rate_card")), "{problem}");
    let errors = [
        "imported.csv:4: market: `ZZ` is not the code of any country (ISO 3166-1)",
        "imported.csv:4: price_per_minute: `-1` is negative",
    ];
    assert_eq!(problem["errors"], json!(errors));

    let huge = "x".repeat(1024 * 1024 + 1);
    let at_most = "#".repeat(1024 * 1024);
    for (kind, csv, status, code) in [
        ("application/json", CARD.as_bytes(), 415, "unsupported_media_type"),
        ("text/csv", huge.as_bytes(), 413, "body_too_large"),
        ("text/csv", at_most.as_bytes(), 422, "invalid_rate_card"),
        ("text/csv", b"\xff\xfe".as_slice(), 400, "invalid_request"),
        ("text/csv", b"".as_slice(), 422, "invalid_rate_card"),
    ] {
        let (got, problem) = put_card(&house, &house.admin, kind, csv.to_vec()).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    // Dollars were paid in; prices in another currency could not be taken from them.
    pay_in(&house, &house.admin, None, r#"{"micros":5,"currency":"USD"}"#).await;
    let (status, problem) = put_card(&house, &house.admin, "text/csv", CARD.replace("USD", "EUR")).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_field")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().starts_with("currency: the wallet is in USD"), "{problem}");
    assert_eq!(house.control.switchboard.terms().card.csv(), CARD);
    let kept = house.store.imported_rate_card().await.unwrap().unwrap();
    assert_eq!(kept.1, CARD);
}

#[tokio::test]
async fn an_empty_wallet_takes_the_currency_of_the_card() {
    let house = House::open().await;
    put_card(&house, &house.admin, "text/csv", CARD.replace("USD", "EUR")).await;
    assert_eq!(balance(&house).await["currency"], "EUR");
    let (status, _, problem) = pay_in(&house, &house.admin, None, r#"{"micros":5,"currency":"USD"}"#).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_field")), "{problem}");
    assert_eq!(pay_in(&house, &house.admin, None, r#"{"micros":5,"currency":"EUR"}"#).await.0, 201);
}

/// Calls whose task is gone, as after a long outage of the database, and calls that the ledger refused.
#[tokio::test]
async fn what_was_left_unsettled_or_uncharged_is_taken_up_while_the_gateway_runs() {
    let house = House::open().await;
    pay_in(&house, &house.admin, None, r#"{"micros":50000000,"currency":"USD"}"#).await;
    let contact = house.store.call(&house.call).await.unwrap().unwrap().contact;
    let (minute_ms, now) = (60_000, now());
    let earlier = Timestamp::from_millis(now.as_millis() - 2 * minute_ms);
    let call = |settled| CallRecord {
        direction: Direction::BusinessInitiated,
        status: Status::Completed,
        offers: Vec::new(),
        created_at: earlier,
        answered_at: Some(earlier),
        duration_ms: 56_000,
        end_reason: Some(EndReason::Completed),
        settled,
        ..missed_call(contact.clone(), &id("agt_a"), earlier)
    };
    let (unsettled, refused) = (call(false), call(true));
    // Its prices are in euros, as in a program from before.
    let elsewhere = Store::open("", house.dir.path()).await.unwrap();
    let card = RateCard::parse("test.csv", &CARD.replace("USD", "EUR")).unwrap();
    elsewhere.set_terms(Terms { card, ..Terms::built_in() });
    elsewhere.save_call(&refused, vec![], earlier).await.unwrap();
    elsewhere.save_call(&unsettled, vec![], earlier).await.unwrap();
    assert_eq!(elsewhere.call(&refused.id).await.unwrap().unwrap().charge, None);

    let all_charged = async {
        for call in [&unsettled, &refused] {
            let path = format!("/v1/calls/{}", call.id);
            while answer(house.get(&path, &house.admin).await).await.1["charge"]["pulses"] != 10 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), all_charged).await.expect("both are charged");
    let entries = house.store.entries(&EntryFilter::default(), 500, None).await.unwrap().items;
    for call in [&unsettled, &refused] {
        assert_eq!(entries.iter().filter(|entry| entry.call_id.as_ref() == Some(&call.id)).count(), 1);
    }
    assert_eq!(balance(&house).await["uncharged_calls"], 0);
}
