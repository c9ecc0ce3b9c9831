//! What is asked beside calls: permission requests, permissions, settings.

use super::super::super::payload::{MetaCalling, MetaHours, RequestBody};
use super::*;
use crate::model::id::WabaId;
use crate::model::reason::{Direction, PermissionStatus};
use crate::model::time::Timestamp;

const ASKED: &str = r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.REQ="}]}"#;
const BOOKS: &str = r#"{"messaging_product":"whatsapp","permission":{"status":"temporary","expiration":1795604800},
    "actions":[{"action_name":"start_call","can_perform_action":false,"limits":[{"limit_expiration_time":1795090000}]}]}"#;
const SETTINGS: &str = r#"{"calling":{"status":"ENABLED","call_hours":{"status":"DISABLED"}}}"#;

fn question() -> RequestBody {
    RequestBody::FreeForm { body: Some("May we call you?".to_owned()) }
}

/// Asks one thing against one script: the result, the requests, and the labels observed.
async fn ask(what: &str, turns: &[Turn]) -> (Result<String, GraphError>, Vec<Seen>, Vec<String>) {
    let (meta, graph) = Meta::with(turns).await;
    let (id, token) = (number(), SecretString::from("sandbox-token"));
    let from = Account { number_id: &id, token: &token };
    let calling = MetaCalling { call_hours: Some(MetaHours::Disabled), ..MetaCalling::default() };
    let result = match what {
        "permission_request" => graph.ask_permission(from, &customer(), &question()).await,
        "permission_check" => graph.call_permissions(from, &customer()).await.map(|books| format!("{books:?}")),
        "settings_read" => graph.settings(from).await.map(|calling| format!("{calling:?}")),
        _ => graph.put_settings(from, &calling).await.map(|()| String::new()),
    };
    (result, meta.seen(), meta.observed())
}

#[tokio::test]
async fn a_permission_request_is_one_message_and_tells_its_id() {
    let (result, seen, observed) = ask("permission_request", &[Answer(200, ASKED)]).await;
    assert_eq!(result.as_deref(), Ok("wamid.REQ="));
    assert_eq!((&seen[0].method, seen[0].path.as_str()), (&Method::POST, "v26.0/100000000000001/messages"));
    let body: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(
        (&body["to"], &body["interactive"]["body"]["text"]),
        (&"995555010203".into(), &"May we call you?".into())
    );
    assert_eq!(observed, ["permission_request ok"]);
}

#[tokio::test]
async fn a_permission_request_that_may_have_reached_the_customer_is_never_repeated() {
    for lost in [Silence, Answer(500, ""), Answer(504, ""), CutShort(500)] {
        let (result, seen, _) = ask("permission_request", std::slice::from_ref(&lost)).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind, seen.len()), (GraphErrorKind::UnknownOutcome, 1), "{lost:?}: {error}");
        assert!(error.to_string().contains("the permission request"), "{error}");
    }
    let (result, seen, _) = ask("permission_request", &[Answer(200, DONE)]).await;
    assert_eq!((result.unwrap_err().kind, seen.len()), (GraphErrorKind::UnknownOutcome, 1), "no id was told");
    for limit in [Answer(429, ""), Answer(400, r#"{"error":{"code":613}}"#)] {
        let (result, seen, _) = ask("permission_request", std::slice::from_ref(&limit)).await;
        assert_eq!((result.unwrap_err().kind, seen.len()), (GraphErrorKind::RateLimited, 1), "{limit:?}");
    }
}

#[tokio::test]
async fn refusals_of_a_permission_request_name_the_blocker() {
    for (body, blocker) in [
        (r#"{"error":{"code":138009}}"#, Some(BlockerCode::RequestLimit24h)),
        (r#"{"error":{"code":138017}}"#, Some(BlockerCode::AlreadyPermanent)),
        (r#"{"error":{"code":131047,"message":"Re-engagement message"}}"#, Some(BlockerCode::WindowClosed)),
        (r#"{"error":{"code":138000}}"#, Some(BlockerCode::CallingDisabled)),
        (r#"{"error":{"code":132001,"message":"Template name does not exist in the translation"}}"#, None),
    ] {
        let error = ask("permission_request", &[Answer(400, body)]).await.0.unwrap_err();
        assert_eq!((error.kind, error.code.and_then(codes::blocker)), (GraphErrorKind::Refused, blocker), "{body}");
    }
}

#[tokio::test]
async fn what_only_reads_or_sets_is_asked_again_until_it_passes() {
    for (what, answer) in [("permission_check", BOOKS), ("settings_read", SETTINGS), ("settings_write", DONE)] {
        for passing in [Silence, Answer(503, ""), Answer(429, r#"{"error":{"code":613}}"#), Answer(429, "")] {
            let (result, seen, observed) = ask(what, &[passing.clone(), Answer(200, answer)]).await;
            assert!(result.is_ok(), "{what} {passing:?}: {result:?}");
            assert_eq!((seen.len(), observed.last()), (2, Some(&format!("{what} ok"))));
            assert_eq!(seen[0], seen[1], "every try must send the same");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_that_stays_is_told_as_one() {
    for limit in [Answer(429, r#"{"error":{"code":613}}"#), Answer(400, r#"{"error":{"code":613}}"#)] {
        let (result, seen, _) = ask("permission_check", &vec![limit; 4]).await;
        assert_eq!((result.unwrap_err().kind, seen.len()), (GraphErrorKind::RateLimited, 4));
    }
}

#[tokio::test]
async fn whatsapps_books_are_asked_by_number_or_else_by_user_id() {
    let (meta, graph) = Meta::with(&vec![Answer(200, BOOKS); 3]).await;
    let (id, token) = (number(), SecretString::from("t"));
    let from = Account { number_id: &id, token: &token };
    let hidden = Customer { user_id: Some("GE.1".to_owned()), ..Customer::default() };
    let both = Customer { user_id: Some("GE.1".to_owned()), ..customer() };
    for who in [&customer(), &both, &hidden] {
        let books = graph.call_permissions(from, who).await.unwrap();
        let at = |secs| Some(Timestamp::from_secs(secs));
        let want = (PermissionStatus::Temporary, at(1_795_604_800), at(1_795_090_000));
        assert_eq!((books.status, books.expires_at, books.no_calls_until), want);
    }
    let asked: Vec<_> = meta.seen().into_iter().map(|seen| (seen.method, seen.path, seen.query, seen.body)).collect();
    let path = "v26.0/100000000000001/call_permissions";
    let one = |query: &str| (Method::GET, path.to_owned(), query.to_owned(), Bytes::new());
    let by_phone = one("user_wa_id=995555010203");
    assert_eq!(asked, [by_phone.clone(), by_phone, one("recipient=GE.1")]);
    let nobody = graph.call_permissions(from, &Customer::default()).await.unwrap_err();
    assert_eq!(nobody.kind, GraphErrorKind::Refused);
    let nobody = graph.ask_permission(from, &Customer::default(), &question()).await.unwrap_err();
    assert_eq!((nobody.kind, meta.seen().len()), (GraphErrorKind::Refused, 3));
}

#[tokio::test]
async fn settings_are_read_and_written_at_the_numbers_settings() {
    let (result, seen, _) = ask("settings_read", &[Answer(200, SETTINGS)]).await;
    assert!(result.unwrap().contains("status: Some(true)"));
    let path = "v26.0/100000000000001/settings";
    assert_eq!((&seen[0].method, seen[0].path.as_str(), seen[0].body.len()), (&Method::GET, path, 0));
    let (_, seen, _) = ask("settings_write", &[Answer(200, DONE)]).await;
    assert_eq!((&seen[0].method, seen[0].path.as_str()), (&Method::POST, path));
    assert_eq!(seen[0].body, r#"{"calling":{"call_hours":{"status":"DISABLED"}}}"#);
}

#[tokio::test]
async fn an_answer_about_something_else_is_an_error_and_not_a_guess() {
    for what in ["permission_check", "settings_read"] {
        for answer in ["", "{}", "[]", DONE, r#"{"permission":{"status":"perhaps"},"calling":7}"#] {
            let (result, seen, _) = ask(what, &[Answer(200, answer)]).await;
            let error = result.unwrap_err();
            assert_eq!((error.kind, seen.len()), (GraphErrorKind::Upstream, 1), "{what} {answer}");
            assert!(error.to_string().contains("cannot be read"), "{error}");
        }
    }
}

#[tokio::test]
async fn words_about_calls_in_a_refusal_of_settings_do_not_make_it_a_call_that_is_over() {
    let body = r#"{"error":{"code":100,"message":"(#100) Invalid parameter","error_data":{"details":"call hours failed: overlap in weekly_operating_hours"}}}"#;
    let error = ask("settings_write", &[Answer(400, body)]).await.0.unwrap_err();
    assert_eq!(error.kind, GraphErrorKind::Refused);
    assert!(error.to_string().contains("overlap"), "{error}");
}

#[tokio::test]
async fn calls_are_counted_by_half_hours_of_one_utc_day_and_one_direction() {
    let counted = r#"{"id":"200000000000002","currency":"USD","call_analytics":{"data_points":[
        {"start":1794960000,"end":1794961800,"cost":0.5,"count":2,"average_duration":30}]}}"#;
    let (meta, graph) = Meta::with(&[Answer(503, ""), Answer(200, counted), Answer(200, DONE)]).await;
    let (id, token) = (number(), SecretString::from("t"));
    let from = Account { number_id: &id, token: &token };
    let (waba, day) = (WabaId::parse("200000000000002").unwrap(), "2026-11-18".parse().unwrap());
    let analytics = graph.call_analytics(from, &waba, Direction::BusinessInitiated, day).await.unwrap();
    assert_eq!((analytics.points[0].calls, analytics.points[0].duration_ms), (2, 60_000));
    let seen = meta.seen();
    assert_eq!((seen.len(), &seen[0], seen[0].path.as_str()), (2, &seen[1], "v26.0/200000000000002"));
    let query: Vec<_> = url_query(&seen[0].query);
    assert_eq!(
        query,
        [(
            "fields".to_owned(),
            "currency,call_analytics.start(1794960000).end(1795046400).granularity(HALF_HOUR)\
            .directions(BUSINESS_INITIATED)"
                .to_owned()
        )]
    );
    let error = graph.call_analytics(from, &waba, Direction::UserInitiated, day).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

fn url_query(query: &str) -> Vec<(String, String)> {
    reqwest::Url::parse(&format!("http://host/?{query}")).unwrap().query_pairs().into_owned().collect()
}
