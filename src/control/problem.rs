//! Refusals on the wire: `application/problem+json` (RFC 9457). The only place that knows which error
//! becomes which status.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::billing::RateCardErrors;
use crate::model::reason::BlockerCode;
use crate::model::time::Timestamp;
use crate::model::words;
use crate::policy::admit::Prerequisite;
use crate::policy::{Blocker, Denial};
use crate::signalling::whatsapp::codes;
use crate::store::StoreError;
use crate::switchboard::{Absent, Refusal, SettingsRefusal};

words! {
    /// What went wrong, for programs. A closed list: the sentence beside it may change, the code may not.
    Code {
        MissingCredentials = "missing_credentials",
        InvalidCredentials = "invalid_credentials",
        Forbidden = "forbidden",
        /// Another site's page had the browser send it.
        CrossSite = "cross_site",
        TooManyAttempts = "too_many_attempts",
        NotFound = "not_found",
        NoSuchRoute = "no_such_route",
        MethodNotAllowed = "method_not_allowed",
        InvalidJson = "invalid_json",
        InvalidField = "invalid_field",
        InvalidParameter = "invalid_parameter",
        InvalidRequest = "invalid_request",
        UnexpectedBody = "unexpected_body",
        UnsupportedMediaType = "unsupported_media_type",
        BodyTooLarge = "body_too_large",
        BodyTimeOut = "body_timeout",
        /// `Accept` names nothing that there is.
        NotAcceptable = "not_acceptable",
        RangeNotSatisfiable = "range_not_satisfiable",
        InvalidSdp = "invalid_sdp",
        InvalidRateCard = "invalid_rate_card",
        InvalidSignature = "invalid_signature",
        InvalidVerifyToken = "invalid_verify_token",
        InvalidIdempotencyKey = "invalid_idempotency_key",
        IdempotencyKeyReused = "idempotency_key_reused",
        IdempotencyInProgress = "idempotency_in_progress",
        OfferNotPending = "offer_not_pending",
        CallEnded = "call_ended",
        WrongState = "wrong_state",
        /// Nobody would remain who manages agents.
        LastOwner = "last_owner",
        CallBlocked = "call_blocked",
        RequestBlocked = "request_blocked",
        CallHoursLocked = "call_hours_locked",
        PrerequisitesMissing = "prerequisites_missing",
        PlanRequired = "plan_required",
        PreconditionFailed = "precondition_failed",
        Taken = "taken",
        InvalidPolicy = "invalid_policy",
        RecordingInProgress = "recording_in_progress",
        RecordingFailed = "recording_failed",
        RecordingDeleted = "recording_deleted",
        Upstream = "upstream_refused",
        Full = "full",
        Draining = "draining",
        Unavailable = "unavailable",
        Internal = "internal",
    }
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::MissingCredentials | Self::InvalidCredentials | Self::InvalidSignature => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CrossSite | Self::InvalidVerifyToken => StatusCode::FORBIDDEN,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidJson
            | Self::InvalidParameter
            | Self::InvalidRequest
            | Self::UnexpectedBody
            | Self::InvalidIdempotencyKey => StatusCode::BAD_REQUEST,
            Self::InvalidField
            | Self::InvalidPolicy
            | Self::InvalidSdp
            | Self::InvalidRateCard
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PlanRequired => StatusCode::PAYMENT_REQUIRED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeOut => StatusCode::REQUEST_TIMEOUT,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::IdempotencyInProgress
            | Self::OfferNotPending
            | Self::CallEnded
            | Self::WrongState
            | Self::LastOwner
            | Self::CallBlocked
            | Self::RequestBlocked
            | Self::CallHoursLocked
            | Self::PrerequisitesMissing
            | Self::Taken
            | Self::RecordingInProgress
            | Self::RecordingFailed => StatusCode::CONFLICT,
            Self::RecordingDeleted => StatusCode::GONE,
            Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Full | Self::Draining | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::MissingCredentials => "No credentials",
            Self::InvalidCredentials => "Credentials not accepted",
            Self::Forbidden => "Not allowed",
            Self::CrossSite => "Not from another site",
            Self::TooManyAttempts => "Too many attempts",
            Self::NotFound => "Not found",
            Self::NoSuchRoute => "No such route",
            Self::MethodNotAllowed => "Method not allowed",
            Self::InvalidJson => "The body is not JSON",
            Self::InvalidField => "A field cannot be used",
            Self::InvalidParameter => "A parameter cannot be used",
            Self::InvalidRequest => "The request cannot be used",
            Self::UnexpectedBody => "No body expected",
            Self::UnsupportedMediaType => "Wrong content type",
            Self::BodyTooLarge => "The body is too large",
            Self::BodyTimeOut => "The body did not arrive",
            Self::NotAcceptable => "Not in that form",
            Self::RangeNotSatisfiable => "No such range",
            Self::InvalidSdp => "The session description cannot be used",
            Self::InvalidRateCard => "The rate card cannot be used",
            Self::InvalidSignature => "The signature does not fit",
            Self::InvalidVerifyToken => "The verify token does not fit",
            Self::InvalidIdempotencyKey => "The idempotency key cannot be used",
            Self::IdempotencyKeyReused => "The idempotency key belongs to another request",
            Self::IdempotencyInProgress => "The first request with this key is still running",
            Self::OfferNotPending => "The offer is gone",
            Self::CallEnded => "The call has ended",
            Self::WrongState => "The call's state does not allow it",
            Self::LastOwner => "Somebody must remain who manages agents",
            Self::CallBlocked => "The call may not be placed",
            Self::RequestBlocked => "Permission may not be asked for",
            Self::CallHoursLocked => "Hours are locked while call buttons are hidden",
            Self::PrerequisitesMissing => "The number does not meet what calling needs",
            Self::PlanRequired => "The plan does not include calling",
            Self::PreconditionFailed => "Changed meanwhile",
            Self::Taken => "Already in use",
            Self::InvalidPolicy => "The policy pack or the rate card cannot be used",
            Self::RecordingInProgress => "Still recording",
            Self::RecordingFailed => "The recording failed",
            Self::RecordingDeleted => "The recording was deleted",
            Self::Upstream => "WhatsApp refused",
            Self::Full => "The gateway is full",
            Self::Draining => "The gateway is draining",
            Self::Unavailable => "Not available at this moment",
            Self::Internal => "Something broke in the gateway",
        }
    }

    /// For an answer that came from the HTTP library and says nothing but its status.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::InvalidCredentials,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NoSuchRoute,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::BodyTimeOut,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::RANGE_NOT_SATISFIABLE => Self::RangeNotSatisfiable,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            other if other.is_client_error() => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

/// One refusal. As a response it is only a status and headers; [`render`] writes the body once the
/// request's identity is known.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    blockers: Vec<Blocker>,
    clears_at: Option<Timestamp>,
    upstream_code: Option<i64>,
    errors: Vec<String>,
}

/// The body of every refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Names the kind of problem; `urn:tandem:problem:` and the code.
    #[schema(example = "urn:tandem:problem:offer_not_pending")]
    r#type: String,
    /// The kind in a few words; the same for every problem of this code.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// This case, and what to do about it.
    detail: &'a str,
    /// For programs.
    code: Code,
    /// The same as the `X-Request-Id` header.
    request_id: &'a str,
    /// Every reason against the call.
    #[serde(skip_serializing_if = "<[Blocker]>::is_empty")]
    blockers: &'a [Blocker],
    /// When waiting alone will have cleared every blocker.
    #[serde(skip_serializing_if = "Option::is_none")]
    clears_at: Option<Timestamp>,
    /// WhatsApp's own error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_code: Option<i64>,
    /// Every mistake of a file, one line each: file, line, column, reason.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: &'a [String],
}

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Draining and full gateways ask for this much patience, in seconds: a call or two has ended by then.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("10");

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            blockers: Vec::new(),
            clears_at: None,
            upstream_code: None,
            errors: Vec::new(),
        }
    }

    /// Absent and not yours: the same words, so that nobody learns which ids exist.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "There is no such thing, or it is not yours to see.")
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    pub(crate) fn field(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidField, format!("{name}: {detail}"))
    }

    pub(crate) fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {detail}"))
    }

    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "The gateway could not do this; its log has the cause under this request id.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        let headers = response.headers_mut();
        match self.code {
            // RFC 6750 section 3: no error code when the request carried no credentials at all.
            Code::MissingCredentials => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tandem\""));
            }
            Code::InvalidCredentials => {
                headers.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"tandem\", error=\"invalid_token\""),
                );
            }
            Code::InvalidSignature => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("HMAC-SHA256 realm=\"webhooks\""));
            }
            Code::Full | Code::Draining | Code::Unavailable => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_S);
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a refusal into its response. A refusal made by the HTTP library (405, 404, 416, …)
/// gets the problem of its status and keeps its headers; answers that are no refusals pass unchanged.
pub(crate) fn render(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if (status.is_client_error() || status.is_server_error()) && !speaks_for_itself(&response) => {
            let code = Code::of_status(status);
            match code {
                Code::MethodNotAllowed => {
                    Problem::new(code, "This route takes other methods; the `Allow` header lists them.")
                }
                _ => Problem::new(code, format!("{}.", status.canonical_reason().unwrap_or_else(|| code.title()))),
            }
        }
        None => return response,
    };
    let body = ProblemBody {
        r#type: format!("urn:tandem:problem:{}", problem.code),
        title: problem.code.title(),
        status: status.as_u16(),
        detail: &problem.detail,
        code: problem.code,
        request_id,
        blockers: &problem.blockers,
        clears_at: problem.clears_at,
        upstream_code: problem.upstream_code,
        errors: &problem.errors,
    };
    let bytes = serde_json::to_vec(&body).expect("strings and numbers always serialise");
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    *response.body_mut() = Body::from(bytes);
    response
}

/// `/readyz` answers 503 with its own JSON, and a replayed refusal is a problem already.
fn speaks_for_itself(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/"))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let sentence = refusal.to_string();
        match refusal {
            Refusal::NotFound => Self::not_found(),
            Refusal::OfferNotPending => Self::new(
                Code::OfferNotPending,
                "The offer was answered, withdrawn or timed out; wait for the next `offer.created`.",
            ),
            Refusal::CallEnded => Self::new(Code::CallEnded, "The call has ended; its record stays readable."),
            Refusal::WrongState(sentence) => Self::new(Code::WrongState, sentence),
            Refusal::BadRequest(sentence) => Self::new(Code::InvalidRequest, sentence),
            Refusal::Sdp(error) => Self::new(Code::InvalidSdp, error.to_string()),
            Refusal::Denied(denial) => Self::denied(Code::CallBlocked, denial),
            Refusal::RequestDenied(denial) => Self::denied(Code::RequestBlocked, denial),
            Refusal::Upstream { code, .. } => Self::upstream(Code::CallBlocked, code, sentence),
            Refusal::RequestUpstream { code, .. } => Self::upstream(Code::RequestBlocked, code, sentence),
            Refusal::Full(_) => Self::new(Code::Full, sentence),
            Refusal::Draining => Self::new(Code::Draining, sentence),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<Absent> for Problem {
    fn from(absent: Absent) -> Self {
        let code = match &absent {
            Absent::Gone | Absent::Lost(_) => Code::RecordingFailed,
            Absent::Away(_) | Absent::OnItsWay => Code::Unavailable,
        };
        Self::new(code, absent.to_string())
    }
}

impl From<SettingsRefusal> for Problem {
    fn from(refusal: SettingsRefusal) -> Self {
        match refusal {
            SettingsRefusal::NotFound => Self::not_found(),
            SettingsRefusal::HoursLocked => Self::new(
                Code::CallHoursLocked,
                "Call hours and closed dates cannot be changed while call buttons are hidden; set display_call_buttons to \
                 true first. The stored ones are kept.",
            ),
            SettingsRefusal::BadHours(wrong) => {
                let lines: Vec<_> = wrong.iter().map(|one| format!("{}: {}", one.field, one.why)).collect();
                Self::new(Code::InvalidField, lines.join("; "))
            }
            SettingsRefusal::Prerequisites(missing) => missing_prerequisites(missing),
            SettingsRefusal::Changed => Self::new(
                Code::PreconditionFailed,
                "The settings were changed since they were read; read them again and repeat the change.",
            ),
            SettingsRefusal::Store(error) => error.into(),
        }
    }
}

/// 402 when only paying helps.
fn missing_prerequisites(missing: Vec<Prerequisite>) -> Problem {
    let only_plan = missing.iter().all(|one| one.code == BlockerCode::PlanRequired);
    let detail = missing.iter().map(|one| one.message.as_str()).collect::<Vec<_>>().join(" ");
    let blockers = missing.into_iter().map(|one| Blocker { code: one.code, message: one.message, clears_at: None });
    let code = if only_plan { Code::PlanRequired } else { Code::PrerequisitesMissing };
    Problem { blockers: blockers.collect(), ..Problem::new(code, detail) }
}

impl Problem {
    pub(crate) fn denied(code: Code, denial: Denial) -> Self {
        // Waiting helps only if it clears every blocker; then the last to clear decides.
        let clears_at = denial
            .blockers
            .iter()
            .map(|blocker| blocker.clears_at)
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max());
        let detail = denial.blockers.iter().map(|blocker| blocker.message.as_str()).collect::<Vec<_>>().join(" ");
        Self { blockers: denial.blockers, clears_at, ..Self::new(code, detail) }
    }
}

impl Problem {
    /// WhatsApp's refusal. One that amounts to a blocker is told like our own; for any other the caller can do nothing.
    fn upstream(blocked: Code, code: Option<i64>, sentence: String) -> Self {
        let blocker = code.and_then(|code| {
            let message = codes::meaning(code)?.to_owned();
            Some(Blocker { code: codes::blocker(code)?, message, clears_at: None })
        });
        let kind = if blocker.is_some() { blocked } else { Code::Upstream };
        Self { upstream_code: code, blockers: blocker.into_iter().collect(), ..Self::new(kind, sentence) }
    }

    /// A file with mistakes: all of them, one line each.
    pub(crate) fn mistakes(code: Code, errors: Vec<String>) -> Self {
        let detail = match &*errors {
            [one] => format!("{one}. What is in force stays."),
            all => format!("{} mistakes, listed in `errors`. What is in force stays.", all.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }
}

impl From<RateCardErrors> for Problem {
    fn from(wrong: RateCardErrors) -> Self {
        Self::mistakes(Code::InvalidRateCard, wrong.0)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::BadCursor => return Self::new(Code::InvalidParameter, error.to_string()),
            StoreError::Missing(_) | StoreError::Refused { .. } => {
                return Self::new(Code::InvalidField, error.to_string());
            }
            StoreError::CallEnded(_) => return Self::from(Refusal::CallEnded),
            StoreError::Taken(_) => return Self::new(Code::Taken, error.to_string()),
            _ => {}
        }
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "the store failed a request");
        Self::internal()
    }
}

/// A handler or layer panicked: the caller is told so, the panic hook has written the rest.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::hours::BadHours;

    #[test]
    fn a_denial_clears_when_its_last_blocker_does_and_never_if_one_stays() {
        let blocker = |clears_at| Blocker {
            code: BlockerCode::AgentBusy,
            message: "The agent is on a call.".to_owned(),
            clears_at,
        };
        let at = Timestamp::from_secs;
        for (times, want) in
            [(vec![Some(at(5)), Some(at(9))], Some(at(9))), (vec![Some(at(5)), None], None), (vec![None], None)]
        {
            let problem =
                Problem::denied(Code::CallBlocked, Denial { blockers: times.into_iter().map(blocker).collect() });
            assert_eq!((problem.code, problem.clears_at), (Code::CallBlocked, want));
        }
    }

    #[test]
    fn what_calling_needs_is_a_matter_of_paying_only_if_the_plan_is_all_that_is_missing() {
        let missing = |code| Prerequisite {
            code,
            met: false,
            message: format!("{code}."),
            outbound_only: false,
            needed_inbound: false,
        };
        for (codes, code, status) in [
            (vec![BlockerCode::PlanRequired], Code::PlanRequired, 402),
            (vec![BlockerCode::MessagingLimit], Code::PrerequisitesMissing, 409),
            (vec![BlockerCode::PlanRequired, BlockerCode::NotCloudApi], Code::PrerequisitesMissing, 409),
        ] {
            let refusal = SettingsRefusal::Prerequisites(codes.iter().copied().map(missing).collect());
            let problem = Problem::from(refusal);
            assert_eq!((problem.code, problem.code.status().as_u16()), (code, status), "{codes:?}");
            assert_eq!(problem.blockers.iter().map(|blocker| blocker.code).collect::<Vec<_>>(), codes);
        }
    }

    #[test]
    fn a_refusal_by_whatsapp_blocks_like_our_own_if_it_names_what_blocks() {
        #[track_caller]
        fn check(code: Option<i64>, call: (Code, u16), request: (Code, u16), blocker: Option<BlockerCode>) {
            let message = || "no [code 1]".to_owned();
            let refusals = [
                (Refusal::Upstream { code, message: message() }, call),
                (Refusal::RequestUpstream { code, message: message() }, request),
            ];
            for (refusal, want) in refusals {
                let problem = Problem::from(refusal);
                assert_eq!((problem.code, problem.code.status().as_u16()), want, "{code:?}");
                assert_eq!(problem.blockers.iter().map(|one| one.code).collect::<Vec<_>>(), Vec::from_iter(blocker));
                assert!(problem.blockers.iter().all(|one| one.message.ends_with('.')), "{:?}", problem.blockers);
                assert_eq!((problem.upstream_code, &*problem.detail), (code, "WhatsApp refused: no [code 1]"));
            }
        }
        let blocked = ((Code::CallBlocked, 409), (Code::RequestBlocked, 409));
        let failed = ((Code::Upstream, 502), (Code::Upstream, 502));
        for (code, blocker) in [
            (138_006, BlockerCode::NoPermission),
            (138_009, BlockerCode::RequestLimit24h),
            (138_012, BlockerCode::ConnectedLimit),
            (138_014, BlockerCode::QualityRestricted),
            (138_017, BlockerCode::AlreadyPermanent),
        ] {
            check(Some(code), blocked.0, blocked.1, Some(blocker));
        }
        for code in [None, Some(190), Some(138_002), Some(138_008)] {
            check(code, failed.0, failed.1, None);
        }
    }

    #[test]
    fn every_mistake_in_the_hours_is_named_with_its_field() {
        let wrong = |field: &str, why: &str| BadHours { field: field.to_owned(), why: why.to_owned() };
        let all = vec![wrong("call_hours.time_zone", "unknown"), wrong("unavailable[1].date", "no such date")];
        let problem = Problem::from(SettingsRefusal::BadHours(all));
        assert_eq!((problem.code, problem.code.status().as_u16()), (Code::InvalidField, 422));
        assert_eq!(problem.detail, "call_hours.time_zone: unknown; unavailable[1].date: no such date");
    }

    #[test]
    fn a_refusal_of_the_http_library_becomes_a_problem_and_keeps_its_headers() {
        let bare = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")]).into_response();
        let answer = render(bare, "req_1");
        assert_eq!(answer.headers()["allow"], "GET,HEAD");
        assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
    }

    #[test]
    fn an_answer_that_is_no_refusal_passes_unchanged() {
        let answer = render("fine".into_response(), "req_1");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    }
}
