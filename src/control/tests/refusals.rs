//! What is refused, with which status and code, and that every refusal has the one shape.

use reqwest::Method;
use serde_json::json;

use super::fixture::{House, VERIFY_TOKEN, answer, signature};
use crate::policy::access::Scope;

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
enum By {
    Nobody,
    Stranger,
    Admin,
    Powerless,
    Ana,
    Beka,
}

impl By {
    fn secret(self, house: &House) -> &str {
        match self {
            Self::Nobody => "",
            Self::Stranger => "tk_0000000000000000000000000000000000000000000",
            Self::Admin => &house.admin,
            Self::Powerless => &house.powerless,
            Self::Ana => &house.ana,
            Self::Beka => &house.beka,
        }
    }
}

/// `{call}` and `{offer}` in a path stand for Ana's.
async fn check(house: &House, rows: &[(By, &str, &str, &str, u16, &str)]) {
    for (by, request, kind, body, status, code) in rows {
        let (method, path) = request.split_once(' ').unwrap();
        let path = path.replace("{call}", house.call.as_str()).replace("{offer}", house.offer.as_str());
        let method: Method = method.parse().unwrap();
        let mut ask = house.ask(method, &path, by.secret(house)).body((*body).to_owned());
        if !kind.is_empty() {
            ask = ask.header("content-type", *kind);
        }
        let response = ask.send().await.unwrap();
        let headers = response.headers().clone();
        let (got, problem) = answer(response).await;
        let case = format!("{by:?} {request} {kind} {body}: {problem}");
        assert_eq!((got, problem["code"].as_str()), (*status, Some(*code)), "{case}");
        assert_eq!(headers["content-type"], "application/problem+json", "{case}");
        assert_eq!(problem["status"], *status, "{case}");
        assert_eq!(problem["type"], format!("urn:tandem:problem:{code}"), "{case}");
        assert_eq!(problem["request_id"], headers["x-request-id"].to_str().unwrap(), "{case}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{case}");
        assert_eq!(headers.contains_key("www-authenticate"), *status == 401, "{case}");
    }
}

const JSON: &str = "application/json";
const SDP: &str = "application/sdp";

#[tokio::test]
async fn every_refusal_has_its_status_and_code() {
    let house = House::open().await;
    let huge = "x".repeat(70_000);
    let huge_name = format!("{{\"name\":\"{huge}\"}}");
    let long_name = format!("{{\"name\":\"{}\"}}", "x".repeat(201));
    use By::{Admin, Ana, Beka, Nobody, Powerless, Stranger};
    check(
        &house,
        &[
            (Nobody, "GET /v1/calls", "", "", 401, "missing_credentials"),
            (Stranger, "GET /v1/calls", "", "", 401, "invalid_credentials"),
            (Powerless, "GET /v1/calls", "", "", 403, "forbidden"),
            (Powerless, "GET /v1/calls/{call}", "", "", 403, "forbidden"),
            (Powerless, "GET /v1/calls/call_unknown", "", "", 403, "forbidden"),
            (Admin, "GET /v1/nothing", "", "", 404, "no_such_route"),
            (Nobody, "GET /v1/nothing", "", "", 404, "no_such_route"),
            (Admin, "DELETE /v1/calls", "", "", 405, "method_not_allowed"),
            (Admin, "GET /v1/calls/call_unknown", "", "", 404, "not_found"),
            (Admin, "GET /v1/calls/a%2fb", "", "", 404, "not_found"),
            (Admin, "GET /v1/calls/%ff", "", "", 404, "not_found"),
            (Admin, "GET /v1/contacts/wa:99999999999", "", "", 404, "not_found"),
            (Admin, "GET /v1/contacts/someone", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?sektion=all", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?section=lost", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?limit=0", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?limit=201", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?from=yesterday", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?contact=someone", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/events?after=-1&limit=999", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/events/stream?after=-1", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/permissions", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/permissions?number_id=1", "", "", 404, "not_found"),
            (Admin, "GET /v1/permissions?number_id=100000000000001&status=Ringing", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/permissions?number_id=100000000000001&agent_id=a%20b", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/permissions.csv?number_id=100000000000001&limit=1", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/permissions.csv?number_id=1", "", "", 404, "not_found"),
            (Powerless, "GET /v1/permissions.csv?number_id=100000000000001", "", "", 403, "forbidden"),
            (Admin, "PUT /v1/teams/team_x", "text/plain", "{}", 415, "unsupported_media_type"),
            (Admin, "PUT /v1/teams/team_x", "", "{\"name\":\"x\"}", 415, "unsupported_media_type"),
            (Admin, "PUT /v1/teams/team_x", JSON, "{\"name\":", 400, "invalid_json"),
            (Admin, "PUT /v1/teams/team_x", JSON, "{}", 422, "invalid_field"),
            (Admin, "PUT /v1/teams/team_x", JSON, "{\"name\":7}", 422, "invalid_field"),
            (Admin, "PUT /v1/teams/team_x", JSON, "{\"name\":\"x\",\"colour\":1}", 422, "invalid_field"),
            (Admin, "PUT /v1/teams/team_x", JSON, "{\"name\":\"  \"}", 422, "invalid_field"),
            (Admin, "PUT /v1/teams/team_x", JSON, &long_name, 422, "invalid_field"),
            (Admin, "PUT /v1/teams/team_x", JSON, &huge_name, 413, "body_too_large"),
            (Admin, "PUT /v1/teams/a%20b", JSON, "{\"name\":\"x\"}", 400, "invalid_parameter"),
            (Admin, "DELETE /v1/teams/team_none", "", "", 404, "not_found"),
            (Ana, "DELETE /v1/teams/team_none", "", "", 403, "forbidden"),
            (Admin, "PUT /v1/agents/agt_x", JSON, "{\"name\":\"X\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/agents/agt_x", JSON, "{\"name\":\"X\",\"role\":\"boss\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/agents/agt_a", JSON, "{\"team_id\":\"team_none\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/agents/agt_a", JSON, "{\"email\":\"ana\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/agents/agt_none/status", JSON, "{\"status\":\"online\"}", 404, "not_found"),
            (Admin, "PUT /v1/agents/agt_a/status", JSON, "{\"status\":\"away\"}", 422, "invalid_field"),
            (Admin, "POST /v1/agents/agt_none/tokens", "", "", 404, "not_found"),
            (Admin, "POST /v1/agents/agt_a/tokens", JSON, "{\"expires_in_ms\":1}", 422, "invalid_field"),
            (Admin, "PUT /v1/numbers/1", JSON, "{\"plan\":\"growth\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/numbers/1", JSON, "{\"display_phone_number\":\"12\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/contacts/wa:995555010203", JSON, "{\"assignee_id\":\"agt_none\"}", 422, "invalid_field"),
            (Admin, "POST /v1/calls", JSON, "{\"number_id\":\"1\",\"to\":\"wa:995555010203\"}", 422, "invalid_field"),
            (
                Admin,
                "POST /v1/calls",
                JSON,
                "{\"number_id\":\"1\",\"to\":\"x\",\"agent_id\":\"agt_a\"}",
                422,
                "invalid_field",
            ),
            (
                Ana,
                "POST /v1/calls",
                JSON,
                r#"{"number_id":"1","to":"wa:995555010203","callback_data":"a\u0000"}"#,
                422,
                "invalid_field",
            ),
            (
                Ana,
                "POST /v1/calls",
                JSON,
                "{\"number_id\":\"1\",\"to\":\"wa:1\",\"agent_id\":\"agt_b\"}",
                404,
                "not_found",
            ),
            (Ana, "GET /v1/contacts/wa:995555010203/callability?number_id=1&agent_id=agt_b", "", "", 404, "not_found"),
            (Admin, "POST /v1/calls/{call}/hangup", JSON, "{\"now\":true}", 400, "unexpected_body"),
            (Admin, "POST /v1/calls/{call}/dtmf", JSON, "{\"digits\":\"12x\"}", 422, "invalid_field"),
            (Admin, "POST /v1/calls/{call}/dtmf", JSON, "{\"digits\":\"\"}", 422, "invalid_field"),
            (Admin, "POST /v1/calls/{call}/media", JSON, "v=0", 415, "unsupported_media_type"),
            (Ana, "POST /v1/offers/{offer}/media", "text/plain", "v=0", 415, "unsupported_media_type"),
            (Ana, "POST /v1/offers/{offer}/media", SDP, " ", 422, "invalid_sdp"),
            (Ana, "POST /v1/offers/{offer}/media", SDP, &huge, 413, "body_too_large"),
            (Ana, "POST /v1/offers/{offer}/receipts", JSON, "{\"kind\":\"smelt\"}", 422, "invalid_field"),
            (Beka, "POST /v1/offers/{offer}/accept", "", "", 404, "not_found"),
            (Beka, "POST /v1/offers/off_unknown/accept", "", "", 404, "not_found"),
            (Beka, "GET /v1/calls/{call}", "", "", 404, "not_found"),
            (Beka, "POST /v1/calls/{call}/media", SDP, "v=0", 404, "not_found"),
            (Ana, "PUT /v1/agents/agt_b/status", JSON, "{\"status\":\"online\"}", 404, "not_found"),
            (Ana, "POST /v1/agents/agt_b/tokens", "", "", 404, "not_found"),
            (Ana, "POST /v1/agents/agt_a/tokens", "", "", 403, "forbidden"),
            (Ana, "PUT /v1/teams/team_x", JSON, "{\"name\":\"x\"}", 403, "forbidden"),
            (Ana, "GET /v1/events", "", "", 403, "forbidden"),
            (Ana, "POST /v1/admin/drain", "", "", 403, "forbidden"),
            (Ana, "GET /v1/calls/{call}/recording", "", "", 404, "not_found"),
            (Nobody, "POST /webhooks/whatsapp", JSON, "{}", 401, "invalid_signature"),
            (
                Nobody,
                "GET /webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=no&hub.challenge=1",
                "",
                "",
                403,
                "invalid_verify_token",
            ),
            (Nobody, "GET /webhooks/nobody", "", "", 404, "no_such_route"),
            (Nobody, "GET /metrics", "", "", 404, "no_such_route"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_consoles_send_is_refused_by_the_field_that_is_wrong() {
    let house = House::open().await;
    use By::{Admin, Ana, Beka};
    const VIEWS: &str = "POST /v1/agents/agt_a/views";
    const READINESS: &str = "PUT /v1/agents/agt_a/readiness";
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(61));
    check(
        &house,
        &[
            (Ana, VIEWS, JSON, "{}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\" \"}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, &long, 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"section\":\"lost\"}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"filter\":{\"colour\":\"red\"}}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"filter\":{\"tag\":\"\"}}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"filter\":{\"days\":0}}", 422, "invalid_field"),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"filter\":{\"days\":367}}", 422, "invalid_field"),
            (
                Ana,
                VIEWS,
                JSON,
                "{\"name\":\"x\",\"filter\":{\"days\":7,\"since\":\"2026-11-01\"}}",
                422,
                "invalid_field",
            ),
            (
                Ana,
                VIEWS,
                JSON,
                "{\"name\":\"x\",\"filter\":{\"since\":\"2026-11-02\",\"until\":\"2026-11-01\"}}",
                422,
                "invalid_field",
            ),
            (Ana, VIEWS, JSON, "{\"name\":\"x\",\"filter\":{\"since\":\"2026-13-01\"}}", 422, "invalid_field"),
            (Beka, VIEWS, JSON, "{\"name\":\"x\"}", 404, "not_found"),
            (Admin, "GET /v1/agents/agt_none/views", "", "", 404, "not_found"),
            (Admin, "DELETE /v1/views/view_none", "", "", 404, "not_found"),
            (Ana, READINESS, JSON, "{\"microphone\":\"passed\"}", 422, "invalid_field"),
            (Ana, "POST /v1/agents/agt_a/readiness/ring", JSON, "{\"loud\":true}", 400, "unexpected_body"),
            (Ana, "POST /v1/agents/agt_a/readiness/media", SDP, " ", 422, "invalid_sdp"),
            (Ana, "GET /v1/agents/agt_a/day?from=yesterday", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?recorded=perhaps", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/calls?talked_ms_min=-1", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/reports/calls?time_zone=Mars", "", "", 400, "invalid_parameter"),
            (
                Admin,
                "GET /v1/reports/calls?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z",
                "",
                "",
                400,
                "invalid_parameter",
            ),
            (Admin, "GET /v1/reports/costs?from=2020-11-02T00:00:00Z", "", "", 400, "invalid_parameter"),
            (Ana, "GET /v1/reports/costs", "", "", 403, "forbidden"),
            (Admin, "PUT /v1/wallet", JSON, "{\"low_micros\":-1}", 422, "invalid_field"),
            (Admin, "PUT /v1/wallet", JSON, "{\"low_micros\":\"10\"}", 422, "invalid_field"),
            (Admin, "PUT /v1/wallet", JSON, "{\"balance_micros\":1}", 422, "invalid_field"),
            (Ana, "PUT /v1/wallet", JSON, "{\"low_micros\":1}", 403, "forbidden"),
            (Admin, "GET /v1/wallet/entries?kind=gift", "", "", 400, "invalid_parameter"),
            (Admin, "GET /v1/wallet/entries.csv?limit=1", "", "", 400, "invalid_parameter"),
            (Ana, "GET /v1/wallet/entries.csv", "", "", 403, "forbidden"),
            (
                Ana,
                "POST /v1/wallet/adjustments",
                JSON,
                r#"{"micros":1,"currency":"USD","reason":"x"}"#,
                403,
                "forbidden",
            ),
            (
                Admin,
                "POST /v1/wallet/adjustments",
                JSON,
                r#"{"micros":0,"currency":"USD","reason":"x"}"#,
                422,
                "invalid_field",
            ),
            (Admin, "POST /v1/wallet/adjustments", JSON, r#"{"micros":1,"currency":"USD"}"#, 422, "invalid_field"),
            (
                Admin,
                "POST /v1/wallet/adjustments",
                JSON,
                r#"{"micros":1,"currency":"USD","reason":" "}"#,
                422,
                "invalid_field",
            ),
            (
                Admin,
                "POST /v1/wallet/adjustments",
                JSON,
                r#"{"micros":1,"currency":"EUR","reason":"x"}"#,
                422,
                "invalid_field",
            ),
            (Admin, "PUT /v1/calls/{call}/tags", JSON, "{\"tags\":[\"\"]}", 422, "invalid_field"),
            (Admin, "PUT /v1/calls/{call}/disposition", JSON, "{\"disposition\":\"Lunch\"}", 422, "invalid_field"),
            (Admin, "DELETE /v1/notes/note_none", "", "", 404, "not_found"),
            (Beka, "GET /v1/calls/{call}/timeline", "", "", 404, "not_found"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_names_the_field_it_is_about() {
    let house = House::open().await;
    for (body, want) in [
        (
            r#"{"name":"X","role":"boss"}"#,
            "role: unknown variant `boss`, expected one of `owner`, `sales_lead`, `admin`, `teammate`",
        ),
        (r#"{"name":"X","switches":{"all":true}}"#, "switches.all: unknown field `all`"),
        (r#"{"name":"X","role":"admin","age":3}"#, "unknown field `age`"),
        (r#"{"role":"admin"}"#, "name: needed for a new agent"),
        (r#"{"name":"X","excluded":"no"}"#, "excluded: invalid type: string \"no\", expected true or false"),
        ("", "The body is empty; send a JSON object."),
        (r#"["X"]"#, "The body must be a JSON object, in braces."),
        ("{\"name\":\"a\\u202eb\",\"role\":\"admin\"}", "name: control and text direction characters"),
    ] {
        let ask = house.ask(Method::PUT, "/v1/agents/agt_new", &house.admin);
        let (_, problem) = answer(ask.header("content-type", JSON).body(body).send().await.unwrap()).await;
        let detail = problem["detail"].as_str().unwrap_or("");
        assert!(detail.contains(want), "{body}: {problem}");
    }
}

#[tokio::test]
async fn of_several_things_that_are_named_the_refusal_says_which_is_not_there() {
    let house = House::open().await;
    let detail = async |ask: reqwest::RequestBuilder| {
        let (status, problem) = answer(ask.send().await.unwrap()).await;
        assert_eq!((status, &problem["code"]), (404, &"not_found".into()), "{problem}");
        problem["detail"].as_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let (number, nino) = ("100000000000001", "wa:995555010203");
    for (number, who, agent, want) in [
        ("9", nino, "agt_a", "number_id: there is no such number"),
        (number, "wa:995555999999", "agt_a", "There is no such contact"),
        (number, nino, "agt_none", "agent_id: there is no such agent"),
    ] {
        let path = format!("/v1/contacts/{who}/callability?number_id={number}&agent_id={agent}");
        assert_eq!(detail(house.ask(Method::GET, &path, &house.admin)).await, want);
        let dial = serde_json::json!({"number_id": number, "to": who, "agent_id": agent});
        assert_eq!(detail(house.ask(Method::POST, "/v1/calls", &house.admin).json(&dial)).await, want);
    }
    for path in ["/v1/permission-requests", "/v1/routing/simulate"] {
        let mut body = serde_json::json!({"number_id": "9", "contact": nino});
        if path.ends_with("requests") {
            body["kind"] = "free_form".into();
        }
        let ask = house.ask(Method::POST, path, &house.admin).json(&body);
        assert_eq!(detail(ask).await, "number_id: there is no such number");
    }
    // Whoever may not read numbers and contacts learns nothing of them.
    let now = super::fixture::now();
    let asks_only = house.store.create_key("asks", &[Scope::PermissionsWrite], now).await.unwrap();
    let body = serde_json::json!({"number_id": "9", "contact": nino, "kind": "free_form"});
    let ask = house.ask(Method::POST, "/v1/permission-requests", &asks_only).json(&body);
    assert_eq!(detail(ask).await, "There is no such thing, or it is not yours to see.");
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let house = House::open().await;
    let ask = house.ask(Method::GET, "/v1/session", &house.admin).header("authorization", "Bearer tk_x");
    let (status, problem) = answer(ask.send().await.unwrap()).await;
    assert_eq!((status, problem["code"].as_str()), (401, Some("missing_credentials")));
}

#[tokio::test]
async fn meta_is_answered_with_its_challenge_as_plain_text() {
    let house = House::open().await;
    let path = format!(
        "/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token={VERIFY_TOKEN}&hub.challenge=1158201444&hub.new=1"
    );
    let response = house.get(&path, "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.text().await.unwrap(), "1158201444");
}

#[tokio::test]
async fn a_challenge_that_could_be_a_page_is_not_echoed() {
    let house = House::open().await;
    let path = format!("/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token={VERIFY_TOKEN}&hub.challenge=%3Cb%3E");
    assert_eq!(house.get(&path, "").await.status(), 403);
}

#[tokio::test]
async fn a_delivery_beyond_four_mebibytes_is_refused_however_well_signed() {
    let house = House::open().await;
    let body = vec![b' '; 4 * 1024 * 1024 + 1];
    let ask = house.ask(Method::POST, "/webhooks/whatsapp", "").header("x-hub-signature-256", signature(&body));
    let (status, problem) = answer(ask.body(body).send().await.unwrap()).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("body_too_large")));
}

#[tokio::test]
async fn a_delivery_is_refused_unless_its_one_signature_is_that_of_its_bytes() {
    let house = House::open().await;
    let right = signature(b"{}");
    for signatures in [
        vec![],
        vec![signature(b"{ }")],
        vec![right.replace("sha256", "sha1")],
        vec![right.clone(), right.clone()],
        vec![right[..70].to_owned()],
    ] {
        let mut ask = house.ask(Method::POST, "/webhooks/whatsapp", "");
        for signature in &signatures {
            ask = ask.header("x-hub-signature-256", signature);
        }
        let (status, problem) = answer(ask.body("{}").send().await.unwrap()).await;
        assert_eq!((status, problem["code"].as_str()), (401, Some("invalid_signature")), "{signatures:?}");
    }
    assert!(house.store.webhooks_pending().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_attempt_to_call_that_is_refused_is_in_the_log_with_who_wished_it_and_why() {
    let house = House::open().await;
    let start = house.store.last_seq().await.unwrap();
    let dial = async |secret: &str, to: &str, agent: &str| {
        let body = json!({"number_id": "100000000000001", "to": to, "agent_id": agent}).to_string();
        let ask = house.ask(Method::POST, "/v1/calls", secret).header("content-type", "application/json").body(body);
        answer(ask.send().await.unwrap()).await.0
    };
    let nino = "wa:995555010203";
    assert_eq!(dial(&house.beka, nino, "agt_a").await, 404, "an agent in another's name");
    assert_eq!(dial(&house.powerless, nino, "agt_a").await, 403);
    assert_eq!(dial(&house.admin, "con_nobody", "agt_a").await, 404);
    assert_eq!(dial(&house.admin, nino, "agt_b").await, 409);
    let said = house.store.events_after(start, 100).await.unwrap();
    let refused = said.iter().filter(|event| event.kind == "call.blocked");
    let refused: Vec<_> = refused.map(|event| (event.data["by"].clone(), event.data["reason"].clone())).collect();
    let key = |name: &str| json!({"kind": "key", "name": name});
    let want = [
        (json!({"kind": "agent", "agent_id": "agt_b"}), json!("forbidden")),
        (key("powerless"), json!("forbidden")),
        (key("admin"), json!("not_found")),
        (key("admin"), json!("blocked")),
    ];
    assert_eq!(refused, want);
}
