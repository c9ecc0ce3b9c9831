//! What went wrong at WhatsApp, in our words.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use crate::model::reason::EndReason;

use super::super::codes;
use super::super::payload::MetaError;

/// A request that was not granted, or whose fate is not known. Displays as one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// What was asked: an action of a call (`connect`, `pre_accept`, `accept`, `reject`, `terminate`),
    /// `permission_request`, `message`, `permission_check`, `settings_read` or `settings_write`.
    pub op: &'static str,
    pub kind: GraphErrorKind,
    /// Meta's error code.
    pub code: Option<i64>,
    /// The HTTP status; `None` when there was no answer.
    pub http: Option<u16>,
    /// What is wrong and, where known, what helps.
    pub message: String,
    /// Meta's own words, where they say more.
    pub details: Option<String>,
    /// Names the failed request to Meta's support.
    pub fbtrace_id: Option<Box<str>>,
    /// How long Meta wants to be left alone.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphErrorKind {
    /// The request never left: no connection.
    Unreachable,
    /// The request left and nothing or nothing certain came back. It may have been carried out.
    UnknownOutcome,
    /// The access token is wrong, expired, or lacks a right.
    Token,
    /// Too many requests; not carried out.
    RateLimited,
    /// The call is in progress already.
    InProgress,
    /// The call is over, or there is no such call.
    CallGone,
    /// Meta understood and said no; see the code.
    Refused,
    /// Meta failed and says so; not carried out.
    Upstream,
}

impl GraphError {
    /// The reason for a call that ends because of this.
    pub fn end_reason(&self) -> EndReason {
        let by_code = || self.code.and_then(codes::end_reason);
        match self.kind {
            // It comes under 100, which alone would mean a bad request.
            GraphErrorKind::CallGone => EndReason::CallerCancelled,
            GraphErrorKind::RateLimited => by_code().unwrap_or(EndReason::LimitReached),
            GraphErrorKind::Unreachable
            | GraphErrorKind::UnknownOutcome
            | GraphErrorKind::Token
            | GraphErrorKind::InProgress
            | GraphErrorKind::Refused
            | GraphErrorKind::Upstream => by_code().unwrap_or(EndReason::UpstreamError),
        }
    }

    pub fn is_unknown_outcome(&self) -> bool {
        self.kind == GraphErrorKind::UnknownOutcome
    }

    /// The time allowed was over before the request could be sent.
    pub(super) fn too_late(op: &'static str) -> Self {
        let message = format!("no time was left to send the {} to WhatsApp", spoken(op));
        Self::new(op, GraphErrorKind::Unreachable, message)
    }

    /// A wish that we do not even send.
    pub(super) fn ours(op: &'static str, message: &str) -> Self {
        Self::new(op, GraphErrorKind::Refused, message.to_owned())
    }

    pub(super) fn unusable_token(op: &'static str) -> Self {
        let message = "the number's graph_token holds characters that no token has; store it again without line ends";
        Self::new(op, GraphErrorKind::Token, message.to_owned())
    }

    /// A success without the one thing that says what was done.
    pub(super) fn unknown(op: &'static str, message: &str) -> Self {
        Self { http: Some(200), ..Self::new(op, GraphErrorKind::UnknownOutcome, message.to_owned()) }
    }

    /// A question that was answered with something else.
    pub(super) fn unreadable(op: &'static str) -> Self {
        let message = format!("WhatsApp's answer to the {} cannot be read", spoken(op));
        Self { http: Some(200), ..Self::new(op, GraphErrorKind::Upstream, message) }
    }

    /// No answer came.
    pub(super) fn unanswered(op: &'static str, error: &reqwest::Error) -> Self {
        if error.is_connect() {
            let message =
                format!("WhatsApp cannot be reached ({}); check whatsapp.graph_url and the network", innermost(error));
            return Self::new(op, GraphErrorKind::Unreachable, message);
        }
        let how = if error.is_timeout() { "did not answer in time" } else { "broke the connection off" };
        let message = format!("WhatsApp {how}, so it is unknown whether the {} was carried out", spoken(op));
        Self::new(op, GraphErrorKind::UnknownOutcome, message)
    }

    /// An answer came, and it is no success.
    pub(super) fn answered(op: &'static str, status: StatusCode, said: Option<MetaError>) -> Self {
        let readable = said.is_some();
        let said = said.unwrap_or_default();
        let kind = judge(op, status, &said);
        let words = said.message.as_deref().or(said.details.as_deref());
        let message = match kind {
            GraphErrorKind::Token => format!(
                "WhatsApp does not accept this number's access token{}; store a valid one as the number's graph_token",
                words.map(|words| format!(" ({words})")).unwrap_or_default()
            ),
            _ if !readable && !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                format!("the answer (HTTP {}) is not WhatsApp's; check whatsapp.graph_url", status.as_u16())
            }
            GraphErrorKind::UnknownOutcome => {
                let code = status.as_u16();
                format!("WhatsApp failed (HTTP {code}), so it is unknown whether the {} was carried out", spoken(op))
            }
            GraphErrorKind::RateLimited => "WhatsApp is asked too often; try again in a moment".to_owned(),
            // 100 is said of everything; Meta's own words tell more than our row.
            _ => match (said.code.filter(|code| *code != 100).and_then(codes::meaning), words) {
                (Some(meaning), _) => meaning.to_owned(),
                (None, Some(words)) => words.to_owned(),
                (None, None) => {
                    format!("WhatsApp refused the {} without a reason (HTTP {})", spoken(op), status.as_u16())
                }
            },
        };
        let details = said.details.or(said.message).filter(|words| !message.contains(words.as_str()));
        Self {
            code: said.code,
            http: Some(status.as_u16()),
            details,
            fbtrace_id: said.fbtrace_id.map(String::into_boxed_str),
            ..Self::new(op, kind, message)
        }
    }

    /// An earlier try may have been carried out; that a later one did not get through changes nothing about it.
    pub(super) fn after(mut self, perhaps_done: bool) -> Self {
        if perhaps_done && matches!(self.kind, GraphErrorKind::Unreachable | GraphErrorKind::RateLimited) {
            self.kind = GraphErrorKind::UnknownOutcome;
        }
        self
    }

    fn new(op: &'static str, kind: GraphErrorKind, message: String) -> Self {
        Self { op, kind, code: None, http: None, message, details: None, fbtrace_id: None, retry_after: None }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(details) = &self.details {
            write!(f, " ({details})")?;
        }
        match self.code {
            Some(code) => write!(f, " [code {code}]"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for GraphError {}

/// The word for a metric's label: a closed list, whatever Meta writes.
pub(super) fn label<T>(result: &Result<T, GraphError>) -> Cow<'static, str> {
    let Err(error) = result else { return "ok".into() };
    match error.kind {
        GraphErrorKind::CallGone => return "call_gone".into(),
        GraphErrorKind::InProgress => return "in_progress".into(),
        _ => {}
    }
    if let Some(code) = error.code.filter(|code| *code == 190 || codes::end_reason(*code).is_some()) {
        return code.to_string().into();
    }
    match (error.kind, error.http) {
        (GraphErrorKind::Unreachable, _) => "unreachable".into(),
        (GraphErrorKind::UnknownOutcome, None) => "timeout".into(),
        (_, Some(500..=599)) => "http_5xx".into(),
        (GraphErrorKind::RateLimited, _) => "http_429".into(),
        (GraphErrorKind::Token, _) => "token".into(),
        _ => "other".into(),
    }
}

/// The rights of a token: session expired or wrong (102, 190), permission missing (3, 10, 200 to 299). Meta's page "Handle
/// errors" of the Graph API.
fn is_token(code: i64) -> bool {
    matches!(code, 3 | 10 | 102 | 190 | 200..=299)
}

/// Application (4), user (17), page (32) and business account (80007) limits of the Graph API, its custom limit (613), and
/// the throughput of messages. The limits of calling (138002, 138005, 138012) are refusals: waiting a second does not help.
fn is_rate(code: i64) -> bool {
    matches!(code, 4 | 17 | 32 | 613 | 80_007 | 130_429 | 131_056)
}

/// Whether the request is about one call, so that words about a call mean that one.
fn is_of_a_call(op: &str) -> bool {
    matches!(op, "connect" | "pre_accept" | "accept" | "reject" | "terminate")
}

/// `settings_write` in a sentence.
fn spoken(op: &str) -> Cow<'_, str> {
    if is_of_a_call(op) { op.into() } else { op.replace('_', " ").into() }
}

fn is_calling(code: i64) -> bool {
    (138_000..139_000).contains(&code)
}

fn judge(op: &str, status: StatusCode, said: &MetaError) -> GraphErrorKind {
    match said.code {
        // 138000 and 138006 come with 401 too, so the code goes before the status.
        Some(code) if is_token(code) => return GraphErrorKind::Token,
        Some(code) if is_rate(code) => return GraphErrorKind::RateLimited,
        Some(code) if is_calling(code) && status.is_server_error() => return GraphErrorKind::Upstream,
        // "A call with this customer is running": to a `connect` another call, to all else the very call it is about.
        Some(138_003) if op != "connect" => return GraphErrorKind::InProgress,
        _ => {}
    }
    if status.is_server_error() {
        return GraphErrorKind::UnknownOutcome;
    }
    if let Some(kind) = fate_of_call(said).filter(|_| is_of_a_call(op)) {
        return kind;
    }
    match status {
        _ if said.code.is_some_and(is_calling) => GraphErrorKind::Refused,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GraphErrorKind::Token,
        StatusCode::TOO_MANY_REQUESTS => GraphErrorKind::RateLimited,
        _ => GraphErrorKind::Refused,
    }
}

/// Whether the refusal says that the call runs already or is over. Meta describes these cases in words only, under 100 or
/// a code it does not publish, so the words must do.
fn fate_of_call(said: &MetaError) -> Option<GraphErrorKind> {
    if said.code.is_some_and(|code| code != 100 && codes::meaning(code).is_some()) {
        return None;
    }
    let words =
        [said.message.as_deref(), said.details.as_deref()].map(|text| text.unwrap_or("").to_lowercase()).join(" ");
    let says = |list: &[&str]| list.iter().any(|word| words.contains(word));
    if !says(&["call", "already"]) || says(&["permission", "sdp", "phone number"]) {
        return None;
    }
    let over =
        ["ended", "completed", "terminated", "failed", "hung up", "no longer", "not found", "does not exist", "reject"];
    if says(&over) {
        return Some(GraphErrorKind::CallGone);
    }
    let running =
        says(&["in progress"]) || (says(&["already"]) && says(&["accept", "connected", "answered", "ongoing"]));
    running.then_some(GraphErrorKind::InProgress)
}

/// The reason at the bottom, e.g. `Connection refused`, which the outer sentences hide.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
