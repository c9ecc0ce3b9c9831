//! Deny by default, and nothing to learn from a refusal: over every operation of the contract.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, answer, id, now};
use crate::control::Control;
use crate::model::directory::Asker;
use crate::model::id::NumberId;
use crate::model::reason::RequestKind;
use crate::policy::pack::{BUILT_IN, Pack};
use crate::policy::permission::Event;
use crate::store::Terms;

/// Every operation behind the bearer secret, as method and path template.
fn closed_operations() -> Vec<(Method, String)> {
    let document = serde_json::to_value(Control::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete", "patch"] {
            let is_closed = item.get(method).is_some_and(|operation| operation["security"] != json!([{}]));
            if is_closed && path.starts_with("/v1/") {
                found.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// A body every operation takes as far as it looks before it decides who may.
fn body_of(path: &str) -> (&'static str, &'static str) {
    match path.rsplit('/').next().unwrap_or("") {
        "hold" if path.ends_with("/recording/hold") => ("application/json", r#"{"held":true}"#),
        "readiness" => (
            "application/json",
            r#"{"microphone":"passed","speaker":"passed","notifications":"unknown","sound":"passed","media":"passed"}"#,
        ),
        "media" => ("application/sdp", "v=0\r\n"),
        "receipts" => ("application/json", r#"{"kind":"shown"}"#),
        "password" => ("application/json", r#"{"current":"x","new":"y"}"#),
        "push-subscriptions" => (
            "application/json",
            r#"{"endpoint":"https://push.example.com/x","keys":{"p256dh":"","auth":""},"device":"Phone"}"#,
        ),
        "views" => ("application/json", r#"{"name":"All"}"#),
        "notes" => ("application/json", r#"{"text":"Called back."}"#),
        "disposition" => ("application/json", r#"{"disposition":"Resolved"}"#),
        "tags" => ("application/json", r#"{"tags":["vip"]}"#),
        "dtmf" => ("application/json", r#"{"digits":"1"}"#),
        "recording" => ("application/json", r#"{"action":"pause"}"#),
        "status" => ("application/json", r#"{"status":"offline"}"#),
        "permission-requests" => {
            ("application/json", r#"{"number_id":"1","contact":"wa:995555010203","kind":"template"}"#)
        }
        "top-ups" => ("application/json", r#"{"micros":1,"currency":"USD"}"#),
        "adjustments" => ("application/json", r#"{"micros":1,"currency":"USD","reason":"x"}"#),
        "reconciliations" => ("application/json", r#"{"waba_id":"1","day":"2026-01-01"}"#),
        "rate-card" => ("text/csv", "market\n"),
        "simulate" => ("application/json", r#"{"number_id":"1","contact":"wa:995555010203"}"#),
        "calls" => ("application/json", r#"{"number_id":"1","to":"wa:995555010203","agent_id":"agt_b"}"#),
        _ => ("application/json", "{}"),
    }
}

fn query_of(path: &str) -> &'static str {
    match path {
        "/v1/permissions" | "/v1/permissions.csv" => "?number_id=1",
        _ if path.ends_with("/callability") => "?number_id=1",
        _ if path.ends_with("/push-subscriptions") => "?subscription_id=push_1",
        _ => "",
    }
}

/// What a body of `{}` already fails on is not about access.
fn is_about_access(method: &Method, path: &str) -> bool {
    !(method == Method::PUT && path == "/v1/teams/{id}")
}

#[tokio::test]
async fn every_operation_wants_credentials_and_a_scope() {
    let house = House::open().await;
    for (method, template) in closed_operations() {
        let path = template.replace("{id}", "agt_a").replace("{ref}", "wa:995555010203") + query_of(&template);
        let (kind, body) = body_of(&template);
        for (secret, want) in [("", 401), (house.powerless.as_str(), 403)] {
            if want == 403 && (template == "/v1/session" || !is_about_access(&method, &template)) {
                continue;
            }
            let mut ask = house.ask(method.clone(), &path, secret);
            if !matches!(method, Method::GET | Method::DELETE) {
                ask = ask.header("content-type", kind).body(body);
            }
            let (status, problem) = answer(ask.send().await.unwrap()).await;
            assert_eq!(status, want, "{method} {template}: {problem}");
        }
    }
}

#[tokio::test]
async fn what_is_foreign_looks_exactly_like_what_does_not_exist() {
    let house = House::open().await;
    let mut compared = 0;
    for (method, template) in closed_operations() {
        let (own, unknown) = if template.starts_with("/v1/calls/{id}") {
            (house.call.as_str(), "call_00000000000000000000000000000000")
        } else if template.starts_with("/v1/offers/{id}") {
            (house.offer.as_str(), "off_00000000000000000000000000000000")
        } else if template.starts_with("/v1/agents/{id}/") {
            ("agt_a", "agt_unknown")
        } else {
            continue;
        };
        let foreign = seen(&house, &method, &template, own).await;
        let absent = seen(&house, &method, &template, unknown).await;
        assert_eq!(foreign, absent, "{method} {template}");
        assert_eq!(foreign.0, 404, "{method} {template}");
        compared += 1;
    }
    assert!(compared >= 13, "{compared}");
}

/// Status, headers and body as Beka sees them, without what differs from request to request.
async fn seen(house: &House, method: &Method, template: &str, id: &str) -> (u16, Vec<String>, Value) {
    let (kind, body) = body_of(template);
    let mut ask = house.ask(method.clone(), &(template.replace("{id}", id) + query_of(template)), &house.beka);
    if *method != Method::GET {
        let last = template.rsplit('/').next();
        let held = template.ends_with("/recording/hold");
        let marks = matches!(last, Some("notes" | "disposition" | "tags" | "views"));
        let pushes = *method == Method::PUT && last == Some("push-subscriptions");
        ask = if held
            || marks
            || pushes
            || matches!(last, Some("media" | "receipts" | "dtmf" | "recording" | "status" | "readiness"))
        {
            ask.header("content-type", kind).body(body)
        } else {
            ask
        };
    }
    let response = ask.send().await.unwrap();
    let headers = response.headers().iter();
    let headers = headers
        .filter(|(name, _)| *name != "x-request-id" && *name != "date")
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    let (status, mut body) = answer(response).await;
    body["request_id"] = Value::Null;
    (status, headers, body)
}

#[tokio::test]
async fn an_agent_sees_its_own_calls_in_the_list_and_no_others() {
    let house = House::open().await;
    for (secret, want) in [(&house.ana, 1), (&house.beka, 0), (&house.admin, 1)] {
        let (status, list) = answer(house.get("/v1/calls?section=missed", secret).await).await;
        assert_eq!((status, list["items"].as_array().unwrap().len()), (200, want), "{list}");
    }
}

#[tokio::test]
async fn the_session_tells_who_one_is() {
    let house = House::open().await;
    let (_, agent) = answer(house.get("/v1/session", &house.ana).await).await;
    assert_eq!((agent["actor"].as_str(), agent["agent"]["id"].as_str()), (Some("agent"), Some("agt_a")));
    assert_eq!(agent["agent"]["active_calls"], 0);
    let (_, key) = answer(house.get("/v1/session", &house.admin).await).await;
    assert_eq!(
        (key["actor"].as_str(), &key["agent"], &key["sandbox"]),
        (Some("key"), &Value::Null, &Value::Bool(true))
    );
    assert!(key["scopes"].as_array().unwrap().contains(&"admin".into()));
}

#[tokio::test]
async fn another_policy_pack_widens_and_narrows_what_the_doors_show_at_once() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}", house.call);
    let seen = async || {
        let (one, _) = answer(house.get(&path, &house.beka).await).await;
        let (_, list) = answer(house.get("/v1/calls", &house.beka).await).await;
        let (_, session) = answer(house.get("/v1/session", &house.beka).await).await;
        (one, list["items"].as_array().unwrap().len(), session["grants"]["calls"].as_str().unwrap().to_owned())
    };
    assert_eq!(seen().await, (404, 0, "own".to_owned()));
    let own = r#"teammate = { calls = "own""#;
    let wide = Pack::parse("wide.toml", &BUILT_IN.replace(own, r#"teammate = { calls = "all""#)).unwrap();
    house.store.set_terms(Terms { pack: wide, ..Terms::built_in() });
    assert_eq!(seen().await, (200, 1, "all".to_owned()));
    house.store.set_terms(Terms::built_in());
    assert_eq!(seen().await, (404, 0, "own".to_owned()));
}

#[tokio::test]
async fn who_asked_a_customer_is_shown_to_those_who_see_that_agents_calls() {
    let house = House::open().await;
    let (number, at) = (NumberId::parse("100000000000001").unwrap(), now());
    let who = "wa:995555010203".parse().unwrap();
    let nino = house.store.contact(&who).await.unwrap().unwrap().id;
    let asked = async |id: &str, asker: Asker| {
        let event = Event::requested(id, RequestKind::Template, None, at).by(asker);
        house.store.record_permission(&number, &nino, &[event], at).await.unwrap();
    };
    let shown = async |secret: &str| {
        let (_, list) = answer(house.get("/v1/permissions?number_id=100000000000001", secret).await).await;
        let of = if secret == house.beka { "agt_b" } else { "agt_a" };
        let path = format!("/v1/contacts/{nino}/callability?number_id=100000000000001&agent_id={of}");
        let (_, one) = answer(house.get(&path, secret).await).await;
        let one = &one["permission"];
        assert_eq!(one["status"], "requested");
        // The list leaves out whose customers they are not.
        if let Some(row) = list["items"].get(0) {
            assert_eq!((&row["status"], &row["requested_by"]), (&one["status"], &one["requested_by"]), "{list}");
        }
        one["requested_by"].clone()
    };
    let ana = serde_json::json!({"kind": "agent", "agent_id": "agt_a"});
    asked("req_1", Asker::Agent { agent_id: id("agt_a") }).await;
    assert_eq!(shown(&house.admin).await, ana);
    assert_eq!(shown(&house.ana).await, ana, "her own");
    assert_eq!(shown(&house.beka).await, Value::Null, "a teammate sees his own work alone");
    let own = r#"teammate = { calls = "own""#;
    let wide = Pack::parse("wide.toml", &BUILT_IN.replace(own, r#"teammate = { calls = "all""#)).unwrap();
    house.store.set_terms(Terms { pack: wide, ..Terms::built_in() });
    assert_eq!(shown(&house.beka).await, ana);

    // Narrowed by who asked, and as a table: what is hidden finds nothing either.
    house.store.set_terms(Terms::built_in());
    let (status, body) = house.put(&format!("/v1/contacts/{nino}"), serde_json::json!({"assignee_id": "agt_a"})).await;
    assert_eq!(status, 200, "{body}");
    let list = "/v1/permissions.csv?number_id=100000000000001&agent_id=agt_a&status=requested&text=995555";
    for (secret, rows) in [(&house.admin, 1), (&house.ana, 1), (&house.beka, 0)] {
        let response = house.get(list, secret).await;
        let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(disposition.contains("\"permissions-2") && disposition.ends_with(".csv\""), "{disposition}");
        let table = response.text().await.unwrap();
        assert!(table.starts_with("contact_id,customer_name,customer_phone,"), "{table}");
        assert_eq!(table.lines().count(), 1 + rows, "{table}");
        assert!(rows == 0 || table.lines().nth(1).unwrap().ends_with(",agt_a,Ana"), "{table}");
    }
    let log = house.store.events_after(0, 200).await.unwrap();
    let told: Vec<_> = log.iter().filter(|event| event.kind == "permissions.exported").collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told[1].data["by"], ana);
    assert!(told[1].data["query"].as_str().unwrap().contains("status=requested"));

    asked("req_2", Asker::Key { name: "crm".to_owned() }).await;
    assert_eq!(shown(&house.admin).await, serde_json::json!({"kind": "key", "name": "crm"}));
    assert_eq!(shown(&house.ana).await, Value::Null, "a program is nobody she sees");
}

#[tokio::test]
async fn a_simulation_tells_for_which_moment_it_answers() {
    let house = House::open().await;
    let simulate = async |at: Value| {
        let mut body = serde_json::json!({"number_id": "100000000000001", "contact": "wa:995555010203"});
        body["at"] = at;
        answer(house.ask(Method::POST, "/v1/routing/simulate", &house.admin).json(&body).send().await.unwrap()).await
    };
    let (status, routing) = simulate("2026-12-24T18:30:00+04:00".into()).await;
    assert_eq!((status, routing["at"].as_str()), (200, Some("2026-12-24T14:30:00.000Z")), "{routing}");
    assert_eq!(routing["trace"][0]["at"], routing["at"]);
    assert_eq!(routing["trace"][1]["reason"], "is offline", "by who is there now: {routing}");
    assert_eq!(simulate(Value::Null).await.0, 200);
    let (status, problem) = simulate("at noon".into()).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_field")));
    assert!(problem["detail"].as_str().unwrap().starts_with("at: "), "{problem}");
}

#[tokio::test]
async fn a_simulation_answers_for_callers_nobody_knows_yet_and_stores_none() {
    let house = House::open().await;
    let simulate = async |who: &str| {
        let body = serde_json::json!({"number_id": "100000000000001", "contact": who});
        answer(house.ask(Method::POST, "/v1/routing/simulate", &house.admin).json(&body).send().await.unwrap()).await
    };
    let contacts = async || answer(house.get("/v1/contacts", &house.admin).await).await.1["items"].clone();
    let before = contacts().await;
    let online = house.ask(Method::PUT, "/v1/agents/agt_b/status", &house.admin);
    online.json(&serde_json::json!({"status": "online"})).send().await.unwrap().error_for_status().unwrap();
    for newcomer in ["wa:995555999999", "user:GE.42"] {
        let (status, routing) = simulate(newcomer).await;
        assert_eq!((status, &routing["candidates"][0]["agent_id"]), (200, &"agt_b".into()), "{newcomer}: {routing}");
    }
    assert_eq!(contacts().await, before, "a question makes no contact");
    for (who, status, code) in
        [("con_00000000000000000000000000000000", 404, "not_found"), ("995555999999", 422, "invalid_field")]
    {
        let (got, problem) = simulate(who).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{who}: {problem}");
    }
}
