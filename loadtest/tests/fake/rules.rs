//! Meta's rules as the business meets them: permissions, limits, the service window.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{
    Action, Config, Grant, GraphFault, InboundCall, Kind, Restriction, Rules, Script, TEMPORARY, Warning, WebhookFaults,
};

use crate::business::{Business, SOON};

const NINO: &str = "995555010203";
const NUMBER: &str = "100000000000001";
const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn strict(config: Config) -> Business {
    Business::start(Config { rules: Rules::enforced(), enforce_permission: true, ..config }).await
}

fn request() -> Value {
    json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": NINO, "type": "interactive",
        "interactive": {"type": "call_permission_request", "action": {"name": "call_permission_request"},
            "body": {"text": "May we call you about order 7781?"}}})
}

fn template() -> Value {
    json!({"messaging_product": "whatsapp", "to": NINO, "type": "template",
        "template": {"name": "may_we_call", "language": {"code": "en"}, "components": []}})
}

async fn permission(business: &Business) -> Value {
    let answer = business.get(&format!("call_permissions?user_wa_id={NINO}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn free_form_requests_need_an_open_window_and_templates_do_not() {
    let business = strict(Config::default()).await;
    let refused = business.post("messages", &request()).await;
    assert_eq!((refused.status, refused.code()), (400, 131_047));
    assert!(refused.details().contains("24 hours"), "{refused:?}");
    business.wa.customer_writes(NINO, "Call me, please").await.unwrap();
    let message = business.item("message", |item| item["type"] == "text").await;
    assert_eq!((&message["text"]["body"], &message["from"]), (&json!("Call me, please"), &json!(NINO)));
    let sent = business.post("messages", &request()).await;
    assert_eq!(sent.status, 200);
    assert_eq!(business.wa.permission_requests()[0].wamid, sent.body["messages"][0]["id"]);

    assert_eq!(business.post("messages", &template()).await.code(), 138_009, "one a day, of either sort");
    business.wa.advance(DAY);
    assert_eq!(business.post("messages", &request()).await.code(), 131_047, "the window has closed");
    assert_eq!(business.post("messages", &template()).await.status, 200);
    business.wa.grant_permission(NINO, Grant::Permanent).await.unwrap();
    business.wa.advance(7 * DAY);
    assert_eq!(business.post("messages", &template()).await.code(), 138_017);
}

#[tokio::test]
async fn badly_built_messages_are_refused() {
    let business = Business::start(Config::default()).await;
    let check = async |path: &str, value: Value, reason: &str| {
        let mut body = if path.starts_with("/template") { template() } else { request() };
        let (parent, key) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        let answer = business.post("messages", &body).await;
        assert_eq!((answer.status, answer.code()), (400, 100), "{path}");
        assert!(answer.details().contains(reason), "{path}: {answer:?}");
    };
    check("/interactive/header", json!({"type": "text", "text": "x"}), "Unexpected key \"header\"").await;
    check("/interactive/footer", json!({"text": "x"}), "Unexpected key \"footer\"").await;
    check("/interactive/type", json!("call_permission"), "must be the same").await;
    check("/interactive/action", json!({"name": "ask"}), "must be the same").await;
    check("/interactive/action", json!({"name": "call_permission_request", "url": "x"}), "Unexpected key \"url\"")
        .await;
    check("/interactive/body", json!({"text": ""}), "1 to 1024").await;
    check("/from", json!("995322000111"), "Unexpected key \"from\"").await;
    check("/messaging_product", json!("sms"), "must be whatsapp").await;
    check("/recipient_type", json!("group"), "must be individual").await;
    check("/type", json!("audio"), "Unexpected key \"interactive\"").await;
    check("/template/name", json!(""), "must be strings").await;
    check("/template/language", json!("en"), "must be an object").await;
    check("/template/components", json!({}), "must be a list").await;
    assert!(business.wa.permission_requests().is_empty());
    let button = |ttl: u32| {
        json!({"messaging_product": "whatsapp", "to": NINO, "type": "interactive", "interactive": {"type": "voice_call",
            "body": {"text": "Talk to us"}, "action": {"name": "voice_call", "parameters": {"display_text": "Call now", "ttl_minutes": ttl}}}})
    };
    assert_eq!(business.post("messages", &button(43_201)).await.code(), 100);
    assert_eq!(business.post("messages", &button(43_200)).await.status, 200);
}

#[tokio::test]
async fn permissions_are_shown_with_what_is_left_of_the_limits() {
    let business = strict(Config::default()).await;
    business.post("messages", &template()).await;
    let sent = business.wa.now();
    let shown = permission(&business).await;
    assert_eq!(shown["permission"], json!({"status": "no_permission"}));
    let ask = &shown["actions"][0];
    assert_eq!(ask["can_perform_action"], false);
    assert_eq!((&ask["limits"][0]["current_usage"], &ask["limits"][0]["max_allowed"]), (&json!(1), &json!(1)));
    let free = ask["limits"][0]["limit_expiration_time"].as_u64().unwrap();
    assert!((sent + 86_399..=sent + 86_400).contains(&free), "{free} after {sent}");
    assert_eq!(ask["limits"][1], json!({"time_period": "P7D", "max_allowed": 2, "current_usage": 1}));
    assert_eq!(
        shown["actions"][1],
        json!({"action_name": "start_call", "can_perform_action": false, "limits": [
            {"time_period": "PT24H", "max_allowed": 100, "current_usage": 0}]})
    );

    business.wa.grant_permission(NINO, Grant::Temporary { expires_in: TEMPORARY }).await.unwrap();
    let shown = permission(&business).await;
    assert_eq!(shown["permission"]["status"], "temporary");
    let reply = &business.items().pop().unwrap()["interactive"]["call_permission_reply"];
    assert_eq!(shown["permission"]["expiration_time"].to_string(), reply["expiration_timestamp"].as_str().unwrap());
    let (_peer, wacid) = business.dial(NINO).await;
    business.event(&wacid, "ACCEPTED").await;
    let shown = permission(&business).await;
    assert_eq!(shown["actions"][0]["can_perform_action"], true, "the call gave the requests back");
    assert_eq!(shown["actions"][1]["limits"][0]["current_usage"], 1);
    business.act("terminate", &wacid).await;
    business.event(&wacid, "terminate").await;
    let told = business.items().len();
    business.wa.advance(TEMPORARY);
    assert_eq!(permission(&business).await["permission"]["status"], "no_permission");
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_006);
    assert_eq!(business.items().len(), told, "nothing tells of the end of the permission");
}

#[tokio::test]
async fn the_end_of_a_permission_has_two_names_and_reading_has_a_limit() {
    let business = strict(Config { expiration_as_in_table: true, ..Config::default() }).await;
    business.wa.set_webhook_faults(WebhookFaults { number_expiration: true, ..WebhookFaults::default() });
    business.wa.grant_permission(NINO, Grant::Temporary { expires_in: TEMPORARY }).await.unwrap();
    let reply = &business.items().pop().unwrap()["interactive"]["call_permission_reply"];
    let shown = permission(&business).await;
    assert_eq!(shown["permission"]["expiration"], reply["expiration_timestamp"]);
    assert!(shown["permission"].get("expiration_time").is_none() && reply["expiration_timestamp"].is_u64());
    // Time stands still between these but for the machine's own, and six fit into any second.
    let path = format!("call_permissions?user_wa_id={NINO}");
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(business.get(&path).await);
        if answers.last().unwrap().status != 200 {
            break;
        }
    }
    let last = answers.pop().unwrap();
    assert_eq!((last.status, last.code()), (429, 613));
    business.wa.advance(Duration::from_secs(1));
    permission(&business).await;
    business.wa.fail_next(Action::CallPermissions, 1, GraphFault::Error(131_000));
    assert_eq!(business.get(&path).await.status, 500);
    let codes: Vec<_> = business.wa.reads().iter().filter_map(|read| read.code).collect();
    assert_eq!(codes, [613, 131_000]);
}

#[tokio::test]
async fn a_customer_who_calls_may_be_called_back_for_a_week() {
    let business = strict(Config::default()).await;
    business.wa.call(InboundCall::from("995555010299")).await.unwrap().hang_up();
    business.wa.change_settings(NUMBER, &json!({"callback_permission_status": "ENABLED"})).await.unwrap();
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    call.hang_up();
    let reply = business.item("a reply", |item| item["type"] == "interactive").await;
    assert_eq!(reply["context"]["id"], call.wacid(), "missed, and of nobody else");
    let words = &reply["interactive"]["call_permission_reply"];
    assert_eq!((&words["response"], &words["response_source"]), (&json!("accept"), &json!("automatic")));
    assert_eq!(business.post("messages", &request()).await.status, 200, "the call opened the window");
    let (_peer, wacid) = business.dial(NINO).await;
    business.act("terminate", &wacid).await;
    business.wa.advance(TEMPORARY);
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_006);
}

#[tokio::test]
async fn ignored_calls_nudge_and_then_cost_the_permission() {
    let ring = Config { outbound_ring_timeout: Duration::from_millis(300), ..Config::default() };
    let business = strict(ring).await;
    business.wa.grant_permission(NINO, Grant::FromProfile).await.unwrap();
    for (attempt, script) in
        [Script::ignores(), Script::declines_after(Duration::ZERO)].iter().cycle().take(4).enumerate()
    {
        business.wa.set_customer(NINO, script.clone());
        assert_eq!(business.wa.nudges().len(), usize::from(attempt >= 2), "before attempt {attempt}");
        let (_peer, wacid) = business.dial(NINO).await;
        business.event(&wacid, "terminate").await;
    }
    let reply = business
        .item("the revocation", |item| item["interactive"]["call_permission_reply"]["response"] == "reject")
        .await;
    assert_eq!(reply["interactive"]["call_permission_reply"]["response_source"], "automatic");
    assert!(
        reply.get("context").is_none() && reply["interactive"]["call_permission_reply"].get("is_permanent").is_none()
    );
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_006);
}

#[tokio::test]
async fn connected_calls_and_attempts_have_limits() {
    let rules = Rules { connected_calls_per_day: 2, attempts_per_day: 4, ..Rules::enforced() };
    let business = Business::start(Config { rules, ..Config::default() }).await;
    business.wa.set_customer(NINO, Script::answers_after(Duration::ZERO));
    let mut first_at = 0;
    for _ in 0..2 {
        let (_peer, wacid) = business.dial(NINO).await;
        business.event(&wacid, "ACCEPTED").await;
        first_at = if first_at == 0 { business.wa.now() } else { first_at };
        business.act("terminate", &wacid).await;
    }
    let refused = business.try_dial(NINO).await.1;
    assert_eq!((refused.status, refused.code()), (400, 138_012));
    let next: u64 = refused.details().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((first_at + 86_390..=first_at + 86_400).contains(&next), "{refused:?}");
    business.dial("995555010204").await;
    let refused = business.try_dial("995555010205").await.1;
    assert_eq!((refused.status, refused.code()), (429, 138_005), "four were tried");
    business.wa.advance(DAY);
    business.dial(NINO).await;
}

#[tokio::test]
async fn a_pause_stops_calls_and_requests_until_it_is_over() {
    let business = Business::start(Config::default()).await;
    business.wa.warn(NUMBER, Warning::LowPickUpRate).await.unwrap();
    business.wa.restrict(NUMBER, Restriction::BusinessInitiated, 7 * DAY).await.unwrap();
    let updates = business.changes("account_update");
    assert_eq!(updates[0]["violation_info"]["violation_type"], "USER_INITIATED_CALLS_LOW_PICKUP_RATE");
    assert!(updates[0]["violation_info"]["remediation"].is_string());
    assert_eq!(
        (&updates[1]["event"], &updates[1]["phone_number"]),
        (&json!("ACCOUNT_RESTRICTION"), &json!("995322000111"))
    );
    let info = &updates[1]["restriction_info"][0];
    assert_eq!(info["restriction_type"], "RESTRICTED_BUSINESS_INITIATED_CALLING");
    assert!(business.bodies().last().unwrap()["entry"][0]["time"].is_u64());
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_014);
    assert_eq!(business.post("messages", &template()).await.code(), 138_014);
    let settings = business.get("settings").await.body;
    assert_eq!(settings["calling"]["restrictions"]["restrictions_list"][0]["expiration"], info["expiration"]);
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    business.event(call.wacid(), "connect").await;
    call.hang_up();
    business.wa.advance(7 * DAY);
    business.dial(NINO).await;
    assert!(business.get("settings").await.body["calling"].get("restrictions").is_none());
}

#[tokio::test]
async fn some_countries_cannot_call() {
    let mut config = Config { rules: Rules::enforced(), ..Config::default() };
    config.numbers[0].display = "14155550100".to_owned();
    let business = Business::start(config).await;
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_013);
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    business.event(call.wacid(), "connect").await;
}

#[tokio::test]
async fn an_answer_belongs_to_its_request_and_comes_in_a_change_of_its_own() {
    let business = Business::start(Config::default()).await;
    let first = business.post("messages", &template()).await.body["messages"][0]["id"].as_str().unwrap().to_owned();
    business.post("messages", &template()).await;
    let window = Duration::from_millis(200);
    business.wa.set_webhook_faults(WebhookFaults { batch_window: Some(window), ..WebhookFaults::default() });
    let before = business.bodies().len();
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    business.wa.answer_request(&first, Some(Grant::Temporary { expires_in: TEMPORARY })).await.unwrap();
    let reply = business.item("a reply", |item| item["type"] == "interactive").await;
    assert_eq!(reply["context"]["id"], first);
    assert_eq!(business.words(call.wacid()), ["connect"]);
    assert_eq!(business.bodies().len(), before + 1, "in one POST");
    let fields: Vec<Value> = business.bodies()[before]["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["changes"][0]["field"].clone())
        .collect();
    assert!(fields.contains(&json!("calls")) && fields.contains(&json!("messages")), "{fields:?}");
    assert!(business.wa.answer_request("wamid.0", None).await.is_err());
    business.wa.set_webhook_faults(WebhookFaults::default().dropping(Kind::PermissionReply));
    business.wa.answer_request(&first, None).await.unwrap();
    assert_eq!(permission(&business).await["permission"]["status"], "no_permission", "declined after all");
    business.wa.customer_writes(NINO, "No").await.unwrap();
    assert_eq!(business.items().iter().filter(|item| item["type"] == "interactive").count(), 1, "and lost on the way");
    assert_eq!(call.ending(), None);
    call.hang_up();
    call.ended(SOON).await.unwrap();
}
