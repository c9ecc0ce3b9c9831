use std::collections::VecDeque;
use std::sync::Mutex;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::super::codes;
use super::super::payload::Customer;
use super::*;
use crate::model::id::Wacid;
use crate::model::phone::Phone;
use crate::model::reason::{BlockerCode, EndReason};

mod edges;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const DONE: &str = r#"{"messaging_product":"whatsapp","success":true}"#;
const STARTED: &str = r#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.NEW="}]}"#;
const WINDOW: Duration = Duration::from_secs(10);

/// What the stand-in for Meta does with one request, after having noted it.
#[derive(Clone, Debug)]
enum Turn {
    Answer(u16, &'static str),
    RetryAfter(u16, &'static str),
    /// The deed is done and the answer lost.
    Silence,
    /// The head of the answer comes, its body never ends.
    CutShort(u16),
}
use Turn::{Answer, CutShort, RetryAfter, Silence};

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    method: Method,
    path: String,
    query: String,
    bearer: String,
    body: Bytes,
}

#[derive(Clone, Default)]
struct Meta {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    observed: Arc<Mutex<Vec<String>>>,
}

impl Meta {
    /// A server that takes the turns one by one, and a client that speaks to it.
    async fn with(turns: &[Turn]) -> (Self, Graph) {
        let meta = Self::default();
        meta.turns.lock().unwrap().extend(turns.iter().cloned());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/{*path}", axum::routing::any(take_turn)).with_state(meta.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let graph = meta.client(&url);
        (meta, graph)
    }

    fn client(&self, url: &str) -> Graph {
        let config = Config {
            graph_url: url.to_owned(),
            request_timeout_ms: 250,
            accept_timeout_ms: 250,
            connect_timeout_ms: 250,
            ..Config::default()
        };
        let observed = Arc::clone(&self.observed);
        let observe =
            move |op: &'static str, code: &str, _: Duration| observed.lock().unwrap().push(format!("{op} {code}"));
        Graph::new(&config, Arc::new(observe)).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn observed(&self) -> Vec<String> {
        self.observed.lock().unwrap().clone()
    }
}

async fn take_turn(
    State(meta): State<Meta>,
    Path(path): Path<String>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let bearer = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    meta.seen.lock().unwrap().push(Seen {
        method,
        path,
        query: uri.query().unwrap_or_default().to_owned(),
        bearer,
        body,
    });
    let turn = meta.turns.lock().unwrap().pop_front().expect("no further request was expected");
    let answer = |status: u16| Response::builder().status(status);
    match turn {
        Answer(status, body) => answer(status).body(Body::from(body)).unwrap(),
        RetryAfter(status, wait) => answer(status).header("retry-after", wait).body(Body::from("{}")).unwrap(),
        Silence => std::future::pending().await,
        CutShort(status) => {
            let start = Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{\"messaging_pr"));
            let stalled = futures_util::stream::iter([start]).chain(futures_util::stream::pending());
            answer(status).body(Body::from_stream(stalled)).unwrap()
        }
    }
}

fn number() -> NumberId {
    NumberId::parse("100000000000001").unwrap()
}

fn call() -> Wacid {
    Wacid::parse("wacid.HBgMOTk1NTU1MDEwMjAz+/=").unwrap()
}

fn customer() -> Customer {
    Customer { phone: Some(Phone::parse("+995555010203").unwrap()), ..Customer::default() }
}

/// Runs one action against one script: the result, the number of requests, and the labels observed.
async fn run(op: &str, turns: &[Turn]) -> (Result<(), GraphError>, Vec<Seen>, Vec<String>) {
    let (meta, graph) = Meta::with(turns).await;
    let (id, token, call) = (number(), SecretString::from("sandbox-token"), call());
    let from = Account { number_id: &id, token: &token };
    let result = match op {
        "connect" => graph.connect(from, &customer(), SDP, Some("lead-42")).await.map(drop),
        "pre_accept" => graph.pre_accept(from, &call, SDP).await,
        "accept" => graph.accept(from, &call, SDP, None, WINDOW).await,
        "reject" => graph.reject(from, &call).await,
        _ => graph.terminate(from, &call).await,
    };
    (result, meta.seen(), meta.observed())
}

#[tokio::test]
async fn an_action_is_one_post_to_the_numbers_calls_with_its_token() {
    let (meta, graph) = Meta::with(&[Answer(200, STARTED)]).await;
    let (id, token) = (number(), SecretString::from("sandbox-token"));
    let from = Account { number_id: &id, token: &token };
    let wacid = graph.connect(from, &customer(), SDP, Some("lead-42")).await.unwrap();
    assert_eq!(wacid.as_str(), "wacid.NEW=");
    let seen = meta.seen();
    assert_eq!(
        (&seen[0].method, seen[0].path.as_str(), seen[0].bearer.as_str()),
        (&Method::POST, "v26.0/100000000000001/calls", "Bearer sandbox-token")
    );
    let body: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(body["session"]["sdp"], SDP);
    assert_eq!(meta.observed(), ["connect ok"]);
}

#[tokio::test]
async fn a_failure_that_passes_is_overcome_with_the_same_bytes() {
    async fn check(op: &str, passing: Vec<Turn>) {
        let mut turns = passing.clone();
        turns.push(Answer(200, DONE));
        let (result, seen, observed) = run(op, &turns).await;
        assert_eq!(result, Ok(()), "{op} {passing:?}");
        assert_eq!(seen.len(), turns.len(), "{op} {passing:?}");
        assert!(seen.iter().all(|one| *one == seen[0]), "every try must send the same");
        assert_eq!((observed.len(), observed.last().unwrap()), (turns.len(), &format!("{op} ok")));
    }
    let passing = [
        vec![Answer(503, "")],
        vec![Answer(500, r#"{"error":{"code":131000,"message":"Something went wrong"}}"#)],
        vec![Answer(500, r#"{"error":{"code":138004}}"#), Answer(502, "<html>")],
        vec![Silence],
        vec![Answer(429, r#"{"error":{"code":613}}"#)],
        vec![Answer(503, ""), Answer(503, ""), Answer(503, "")],
    ];
    let every = ["pre_accept", "accept", "reject", "terminate"]
        .into_iter()
        .flat_map(|op| passing.clone().map(|turns| check(op, turns)));
    futures_util::future::join_all(every).await;
}

#[tokio::test]
async fn an_accept_whose_answer_was_lost_is_not_undone_by_hearing_that_it_was_accepted() {
    for already in [
        r#"{"error":{"message":"(#100) Invalid parameter","code":100,"error_data":{"details":"the call was already accepted"}}}"#,
        r#"{"error":{"message":"Call is in progress","code":138099}}"#,
        r#"{"error":{"message":"Duplicate call","code":138003}}"#,
    ] {
        for lost in [Silence, Answer(504, "")] {
            let (result, seen, _) = run("accept", &[lost.clone(), Answer(400, already)]).await;
            assert_eq!((result, seen.len()), (Ok(()), 2), "{lost:?} {already}");
        }
        // With no answer lost it was somebody else who accepted.
        let (result, seen, _) = run("accept", &[Answer(400, already)]).await;
        assert_eq!((result.unwrap_err().kind, seen.len()), (GraphErrorKind::InProgress, 1), "{already}");
        // A 429 was not carried out, so it does not excuse either.
        let (result, ..) = run("accept", &[Answer(429, "{}"), Answer(400, already)]).await;
        assert_eq!(result.unwrap_err().kind, GraphErrorKind::InProgress, "{already}");
    }
}

#[tokio::test]
async fn a_success_whose_body_breaks_off_is_a_success() {
    let (result, seen, _) = run("accept", &[CutShort(200)]).await;
    assert_eq!((result, seen.len()), (Ok(()), 1));
}

#[tokio::test]
async fn a_call_that_is_over_counts_as_ended_but_not_as_accepted() {
    let over = Answer(
        400,
        r#"{"error":{"message":"(#100) Invalid parameter","code":100,"error_data":{"details":"the call has already ended"}}}"#,
    );
    for op in ["reject", "terminate"] {
        assert_eq!(run(op, std::slice::from_ref(&over)).await.0, Ok(()), "{op}");
    }
    for op in ["pre_accept", "accept"] {
        for turns in [vec![over.clone()], vec![Silence, over.clone()]] {
            let error = run(op, &turns).await.0.unwrap_err();
            assert_eq!(
                (error.kind, error.end_reason()),
                (GraphErrorKind::CallGone, EndReason::CallerCancelled),
                "{op}"
            );
        }
    }
    let accepted = Answer(400, r#"{"error":{"code":100,"message":"the call was already accepted"}}"#);
    assert_eq!(run("reject", &[accepted]).await.0.unwrap_err().kind, GraphErrorKind::InProgress);
}

#[tokio::test]
async fn a_connect_is_never_repeated_once_it_may_have_reached_meta() {
    for turn in [
        Silence,
        Answer(500, ""),
        Answer(503, r#"{"error":{"code":2,"message":"Service temporarily unavailable"}}"#),
        CutShort(200),
        Answer(200, r#"{"success":true}"#),
        Answer(200, "<html>captive portal</html>"),
    ] {
        let (result, seen, _) = run("connect", std::slice::from_ref(&turn)).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind, seen.len()), (GraphErrorKind::UnknownOutcome, 1), "{turn:?}: {error}");
        assert!(error.to_string().contains("unknown whether"), "{error}");
    }
    for (turn, kind) in [
        (Answer(429, "{}"), GraphErrorKind::RateLimited),
        (Answer(500, r#"{"error":{"code":138004,"message":"Connection error"}}"#), GraphErrorKind::Upstream),
        (Answer(400, r#"{"error":{"code":138003,"message":"Duplicate call"}}"#), GraphErrorKind::Refused),
    ] {
        let (result, seen, _) = run("connect", std::slice::from_ref(&turn)).await;
        assert_eq!((result.unwrap_err().kind, seen.len()), (kind, 1), "{turn:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_leaves_the_outcome_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let meta = Meta::default();
    let graph = meta.client(&format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut request = [0; 64];
        peer.read_exact(&mut request).await.unwrap();
        drop(peer);
        listener
    });
    let (id, token) = (number(), SecretString::from("t"));
    let error = graph.connect(Account { number_id: &id, token: &token }, &customer(), SDP, None).await.unwrap_err();
    assert_eq!(error.kind, GraphErrorKind::UnknownOutcome, "{error}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn what_never_reached_meta_is_tried_again_and_then_said_to_be_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let meta = Meta::default();
    let graph = meta.client(&format!("http://127.0.0.1:{port}"));
    let (id, token) = (number(), SecretString::from("t"));
    let error = graph.connect(Account { number_id: &id, token: &token }, &customer(), SDP, None).await.unwrap_err();
    assert_eq!((error.kind, error.end_reason()), (GraphErrorKind::Unreachable, EndReason::UpstreamError));
    assert!(error.to_string().contains("refused") && error.to_string().contains("graph_url"), "{error}");
    assert_eq!(meta.observed(), vec!["connect unreachable"; 4]);
}

#[tokio::test]
async fn all_tries_of_an_accept_end_inside_the_ring_window() {
    let (meta, graph) = Meta::with(&vec![Silence; 4]).await;
    let (id, token, window) = (number(), SecretString::from("t"), Duration::from_millis(600));
    let began = Clock.instant();
    let error = graph.accept(Account { number_id: &id, token: &token }, &call(), SDP, None, window).await.unwrap_err();
    let took = Clock.instant().duration_since(began);
    assert_eq!(error.kind, GraphErrorKind::UnknownOutcome);
    assert!(
        meta.seen().len() >= 2 && took < window + Duration::from_millis(300),
        "{} tries in {took:?}",
        meta.seen().len()
    );

    let none_left = graph.accept(Account { number_id: &id, token: &token }, &call(), SDP, None, Duration::ZERO).await;
    assert_eq!(none_left.unwrap_err().kind, GraphErrorKind::Unreachable);
}

#[tokio::test]
async fn meta_is_left_alone_for_as_long_as_it_asks() {
    let began = Clock.instant();
    let (result, seen, _) = run("accept", &[RetryAfter(429, "1"), Answer(200, DONE)]).await;
    assert_eq!((result, seen.len()), (Ok(()), 2));
    assert!(Clock.instant().duration_since(began) >= Duration::from_secs(1));
    // Longer than the ring lasts: the agent hears of it at once.
    let (result, seen, _) = run("accept", &[RetryAfter(503, "3600")]).await;
    let error = result.unwrap_err();
    assert_eq!((error.retry_after, seen.len()), (Some(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn a_refusal_is_final_and_comes_in_our_words() {
    #[track_caller]
    fn check(
        error: &GraphError,
        kind: GraphErrorKind,
        reason: EndReason,
        blocker: Option<BlockerCode>,
        sentence: &str,
    ) {
        assert_eq!(
            (error.kind, error.end_reason(), error.code.and_then(codes::blocker)),
            (kind, reason, blocker),
            "{error}"
        );
        assert!(error.to_string().contains(sentence), "{error}");
    }
    use GraphErrorKind::{Refused, Token};
    for (status, body, kind, reason, blocker, sentence, label) in [
        (
            401,
            r#"{"error":{"code":138006,"message":"(#138006) No approved call permission","fbtrace_id":"Axyz"}}"#,
            Refused,
            EndReason::PermissionDenied,
            Some(BlockerCode::NoPermission),
            "has not permitted calls",
            "138006",
        ),
        (
            429,
            r#"{"error":{"code":138005,"message":"x"}}"#,
            Refused,
            EndReason::LimitReached,
            Some(BlockerCode::AttemptsLimit),
            "today",
            "138005",
        ),
        (
            400,
            r#"{"error":{"code":138012,"error_data":{"details":"next at 1795090000"}}}"#,
            Refused,
            EndReason::LimitReached,
            Some(BlockerCode::ConnectedLimit),
            "next at 1795090000",
            "138012",
        ),
        (
            400,
            r#"{"error":{"code":138013}}"#,
            Refused,
            EndReason::UpstreamError,
            Some(BlockerCode::BicNotAvailable),
            "country",
            "138013",
        ),
        (
            400,
            r#"{"error":{"code":100,"message":"(#100) Invalid parameter","error_data":{"details":"SDP has two audio sections; call rejected"}}}"#,
            Refused,
            EndReason::SetupFailed,
            None,
            "two audio sections",
            "100",
        ),
        (
            400,
            r#"{"error":{"code":138017,"message":"permanent call permission already accepted"}}"#,
            Refused,
            EndReason::UpstreamError,
            Some(BlockerCode::AlreadyPermanent),
            "no request is needed",
            "138017",
        ),
        (
            401,
            r#"{"error":{"code":190,"message":"Invalid OAuth access token"}}"#,
            Token,
            EndReason::UpstreamError,
            None,
            "graph_token",
            "190",
        ),
        (401, "", Token, EndReason::UpstreamError, None, "graph_token", "token"),
        (
            403,
            r#"{"error":{"code":200,"message":"Permissions error"}}"#,
            Token,
            EndReason::UpstreamError,
            None,
            "Permissions error",
            "token",
        ),
        (
            400,
            r#"{"error":{"code":100,"message":"Object with ID '1' does not exist, cannot be loaded due to missing permissions, or does not support this call"}}"#,
            Refused,
            EndReason::SetupFailed,
            None,
            "does not exist",
            "100",
        ),
        (404, "<html>nginx</html>", Refused, EndReason::UpstreamError, None, "check whatsapp.graph_url", "other"),
        (302, "", Refused, EndReason::UpstreamError, None, "check whatsapp.graph_url", "other"),
        (200, r#"{"success":false}"#, Refused, EndReason::UpstreamError, None, "no success", "other"),
        (
            400,
            r#"{"error":{"code":987654,"message":"new\u0000 thing"}}"#,
            Refused,
            EndReason::UpstreamError,
            None,
            "new thing [code 987654]",
            "other",
        ),
    ] {
        for op in ["connect", "accept", "terminate"] {
            let (result, seen, observed) = run(op, &[Answer(status, body)]).await;
            check(&result.unwrap_err(), kind, reason, blocker, sentence);
            assert_eq!((seen.len(), observed), (1, vec![format!("{op} {label}")]), "{body}");
        }
    }
}

#[tokio::test]
async fn the_trace_id_and_metas_own_words_are_kept() {
    let body = r#"{"error":{"code":138006,"message":"(#138006) No approved call permission","error_data":{"details":"ask first"},"fbtrace_id":"Axyz"}}"#;
    let error = run("connect", &[Answer(401, body)]).await.0.unwrap_err();
    assert_eq!(
        (error.http, error.code, error.fbtrace_id.as_deref(), error.details.as_deref()),
        (Some(401), Some(138_006), Some("Axyz"), Some("ask first"))
    );
    assert_eq!(error.to_string(), "The customer has not permitted calls from this number. (ask first) [code 138006]");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (meta, graph) = Meta::with(&[]).await;
    drop(meta);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(|| async {
        let endless =
            futures_util::stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 4096])));
        Response::builder().status(400).body(Body::from_stream(endless)).unwrap()
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let graph = Graph { base: format!("{url}/v26.0").into(), request_timeout: Duration::from_secs(20), ..graph };
    let (id, token) = (number(), SecretString::from("t"));
    let error = graph.terminate(Account { number_id: &id, token: &token }, &call()).await.unwrap_err();
    assert_eq!(error.http, Some(400));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is_sent() {
    let (meta, graph) = Meta::with(&[]).await;
    let (id, token) = (number(), SecretString::from("t"));
    let from = Account { number_id: &id, token: &token };
    let kind = |result: Result<Wacid, GraphError>| result.unwrap_err().kind;
    assert_eq!(kind(graph.connect(from, &Customer::default(), SDP, None).await), GraphErrorKind::Refused);
    assert_eq!(kind(graph.connect(from, &customer(), SDP, Some(&"x".repeat(513))).await), GraphErrorKind::Refused);
    let dots = NumberId::parse("..").unwrap();
    assert_eq!(
        kind(graph.connect(Account { number_id: &dots, token: &token }, &customer(), SDP, None).await),
        GraphErrorKind::Refused
    );
    let broken = SecretString::from("two\nlines");
    assert_eq!(
        kind(graph.connect(Account { number_id: &id, token: &broken }, &customer(), SDP, None).await),
        GraphErrorKind::Token
    );
    assert_eq!(meta.seen(), []);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_its_key() {
    let config = Config { graph_url: "ftp://x".to_owned(), ..Config::default() };
    let error = Graph::new(&config, Arc::new(|_, _, _| {})).err().expect("ftp is not the web").to_string();
    assert!(error.contains("whatsapp.graph_url"), "{error}");
}

#[test]
fn pauses_double_are_spread_and_are_never_shorter_than_asked() {
    for (try_number, around_ms) in [(2, 200), (3, 400), (4, 800)] {
        for _ in 0..100 {
            let pause = pause_before(try_number, None).as_millis();
            assert!((around_ms * 3 / 4..=around_ms * 5 / 4).contains(&pause), "{pause} before try {try_number}");
        }
        assert_eq!(pause_before(try_number, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}
