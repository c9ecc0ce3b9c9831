//! The served contract is the gateway that serves it.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, answer, listen};
use crate::control::Control;

fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if let Ok(method) = method.to_uppercase().parse::<Method>()
                && operation.get("responses").is_some()
            {
                found.push((method, path.clone(), operation.clone()));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_documented_operation_exists_and_every_other_method_does_not() {
    let house = House::open().await;
    let (status, document) = answer(house.get("/openapi.json", "").await).await;
    assert_eq!(status, 200);
    assert_eq!(document, serde_json::to_value(Control::openapi()).unwrap());
    let operations = operations(&document);
    let documented: HashSet<(Method, String)> =
        operations.iter().map(|(method, path, _)| (method.clone(), path.clone())).collect();
    for (_, template, _) in &operations {
        let path = template.replace("{id}", "x").replace("{ref}", "wa:995555010203");
        for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            // With a key that may do nothing, so that nothing happens.
            let ask = house.ask(method.clone(), &path, &house.powerless);
            let (status, body) = answer(ask.send().await.unwrap()).await;
            let exists = status != 405 && body["code"] != "no_such_route";
            let wanted = documented.contains(&(method.clone(), template.clone()));
            assert_eq!(exists, wanted, "{method} {template}: {status} {body}");
        }
    }
}

#[test]
fn every_route_of_the_agreed_contract_is_there() {
    let document = serde_json::to_value(Control::openapi()).unwrap();
    let have: HashSet<String> =
        operations(&document).into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    for want in [
        "GET /webhooks/whatsapp",
        "POST /webhooks/whatsapp",
        "PUT /v1/numbers/{id}",
        "GET /v1/numbers",
        "GET /v1/numbers/{id}/settings",
        "PUT /v1/numbers/{id}/settings",
        "GET /v1/numbers/{id}/health",
        "PUT /v1/teams/{id}",
        "GET /v1/teams",
        "PUT /v1/agents/{id}",
        "GET /v1/agents",
        "PUT /v1/agents/{id}/status",
        "PUT /v1/agents/{id}/readiness",
        "POST /v1/agents/{id}/readiness/media",
        "POST /v1/agents/{id}/readiness/ring",
        "GET /v1/agents/{id}/day",
        "POST /v1/agents/{id}/tokens",
        "GET /v1/agents/{id}/events",
        "PUT /v1/contacts/{ref}",
        "GET /v1/contacts/{ref}",
        "GET /v1/contacts",
        "GET /v1/contacts/{ref}/callability",
        "GET /v1/permissions",
        "POST /v1/calls",
        "GET /v1/calls",
        "GET /v1/calls/{id}",
        "POST /v1/offers/{id}/media",
        "POST /v1/offers/{id}/accept",
        "POST /v1/offers/{id}/reject",
        "POST /v1/offers/{id}/receipts",
        "POST /v1/calls/{id}/media",
        "POST /v1/calls/{id}/hangup",
        "POST /v1/calls/{id}/hold",
        "POST /v1/calls/{id}/resume",
        "POST /v1/calls/{id}/dtmf",
        "GET /v1/calls/{id}/recording",
        "GET /v1/calls/{id}/recording/details",
        "POST /v1/calls/{id}/recording",
        "DELETE /v1/calls/{id}/recording",
        "PUT /v1/calls/{id}/recording/hold",
        "GET /v1/calls/{id}/trace",
        "GET /v1/calls/{id}/quality",
        "GET /v1/events",
        "GET /v1/events/stream",
        "GET /v1/session",
        "GET /v1/wallet",
        "POST /v1/wallet/top-ups",
        "GET /v1/wallet/entries",
        "GET /v1/rate-card",
        "PUT /v1/rate-card",
        "POST /v1/routing/simulate",
        "POST /v1/admin/drain",
        "GET /livez",
        "GET /readyz",
    ] {
        assert!(have.contains(want), "{want} is missing");
    }
}

#[test]
fn the_document_is_whole() {
    let document = serde_json::to_value(Control::openapi()).unwrap();
    let mut ids = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no summary");
        let open = operation.get("security").is_some_and(|security| *security == json!([{}]));
        let signs_in = ["POST /v1/session", "POST /v1/session/invitation", "POST /v1/session/invitation/details"];
        let way_in = signs_in.contains(&format!("{method} {path}").as_str());
        assert_eq!(open, way_in || !path.starts_with("/v1/"), "{method} {path}");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "$ref" => found.push(text.clone()),
                    _ => collect_references(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_page_for_people_loads_nothing_from_elsewhere() {
    let house = House::open().await;
    let response = house.get("/docs/", "").await;
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self';") && !policy.contains("http"), "{policy}");
    let page = response.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(!page.contains("<script>"), "{page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(house.get(&format!("/docs/{asset}"), "").await.status(), 200, "{asset}");
    }
    assert_eq!(house.get("/docs/nothing.js", "").await.status(), 404);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_a_request_id() {
    let house = House::open().await;
    for (path, status) in [("/livez", 200), ("/v1/session", 401), ("/nothing", 404), ("/openapi.json", 200)] {
        let response = house.get(path, "").await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; img-src"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(headers["x-request-id"].to_str().unwrap().starts_with("req_"), "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let ask = house.ask(Method::GET, "/livez", "").header("x-request-id", "mine-1");
    assert_eq!(ask.send().await.unwrap().headers()["x-request-id"], "mine-1");
}

#[tokio::test]
async fn figures_are_on_the_operators_listener_alone() {
    let house = House::open().await;
    let (ops, _stop) = listen(house.control.ops_router(), tokio_util::sync::CancellationToken::new());
    let figures = house.http.get(format!("{ops}/metrics")).send().await.unwrap();
    assert_eq!(figures.text().await.unwrap(), "tandem_build_info 1\n");
    let (status, ready) = answer(house.http.get(format!("{ops}/readyz")).send().await.unwrap()).await;
    assert_eq!((status, ready), (200, json!({"status": "ready", "reasons": []})));
    let (status, _) = answer(house.http.get(format!("{ops}/v1/session")).send().await.unwrap()).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_panic_is_one_refused_request() {
    async fn boom() {
        panic!("on purpose");
    }
    let router = axum::Router::new().route("/boom", axum::routing::get(boom));
    let (base, _stop) = listen(crate::control::layered(router), tokio_util::sync::CancellationToken::new());
    for _ in 0..2 {
        let (status, problem) = answer(reqwest::get(format!("{base}/boom")).await.unwrap()).await;
        assert_eq!((status, problem["code"].as_str()), (500, Some("internal")), "{problem}");
    }
}
