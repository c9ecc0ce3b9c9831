//! Calls: placing, listing, commanding and reading them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::call_list;
use super::extract::{Id, Json, NoBody, Sdp};
use super::named::Named;
use super::openapi::Problems;
use super::problem::Problem;
use crate::call::record::{CallRecord, LegRecord};
use crate::model::directory::ContactRef;
use crate::model::id::{AgentId, CallId, LegId, NumberId};
use crate::model::money::Charge;
use crate::model::quality::Sample;
use crate::model::transcript::Segment;
use crate::policy::TraceStep;
use crate::policy::access::Action;
use crate::switchboard::PlaceCall;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(call_list::list, place))
        .routes(routes!(read))
        .routes(routes!(media))
        .routes(routes!(hang_up))
        .routes(routes!(hold))
        .routes(routes!(resume))
        .routes(routes!(send_digits))
        .routes(routes!(trace))
        .routes(routes!(quality))
}

/// Who is to be called, from where, by whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number_id": "100000000000001", "to": "wa:995555010203", "agent_id": "agt_a",
    "callback_data": "order 4711"}))]
struct CallBody {
    #[schema(value_type = String)]
    number_id: NumberId,
    /// `con_…`, `wa:<digits>` or `user:<id>`.
    to: String,
    /// Who will talk; an agent's token dials as that agent only.
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// Yours; comes back in the call object. At most 512 characters.
    callback_data: Option<String>,
    /// Whether the call is recorded; left out: as the number is.
    record: Option<bool>,
}

/// Meta's own bound of `biz_opaque_callback_data`.
const CALLBACK_CHARS_MAX: usize = 512;

/// Places a call
///
/// Answers at once; `call.ringing` and `call.answered` follow as events. Post the agent's SDP offer to
/// `/v1/calls/{id}/media` meanwhile. A call that may not be placed is refused with every blocker; a refusal of WhatsApp's
/// that amounts to one comes in the same form, with `upstream_code`.
#[utoipa::path(post, path = "/v1/calls", tag = "calls", request_body = CallBody,
    responses((status = 201, description = "Placed", body = CallRecord), Problems))]
async fn place(State(control): State<Shared>, caller: Caller, Json(body): Json<CallBody>) -> Result<Response, Problem> {
    let agent_id = body
        .agent_id
        .or_else(|| caller.agent_id().cloned())
        .ok_or_else(|| Problem::field("agent_id", "say who will talk"))?;
    let to = body.to.parse().map_err(|error| Problem::field("to", error));
    if let Err(problem) = caller.may_for(Action::Dial, &agent_id) {
        if let Ok(to) = to {
            let wish = PlaceCall {
                number_id: body.number_id,
                to,
                agent_id,
                by: caller.asker(),
                callback_data: None,
                record: None,
            };
            control.switchboard.note_forbidden(&wish).await?;
        }
        return Err(problem);
    }
    let to: ContactRef = to?;
    if let Some(data) = &body.callback_data
        && (data.chars().count() > CALLBACK_CHARS_MAX || data.chars().any(char::is_control))
    {
        return Err(Problem::field("callback_data", "at most 512 characters, none of them a control character"));
    }
    let named = Named { number: body.number_id.clone(), contact: to.clone(), agent: Some(agent_id.clone()) };
    let by = caller.asker();
    let wish = PlaceCall {
        number_id: body.number_id,
        to,
        agent_id,
        by,
        callback_data: body.callback_data,
        record: body.record,
    };
    let call = match control.switchboard.place_call(&wish).await {
        Ok(call) => call,
        Err(refusal) => return Err(named.explain(&control, &caller, refusal).await),
    };
    let location = format!("/v1/calls/{}", call.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(call)).into_response())
}

/// A call as it stands at this moment.
#[derive(Serialize, ToSchema)]
struct CallNow {
    #[serde(flatten)]
    call: CallRecord,
    /// Of an outbound call that was answered and is not charged yet: what it has cost by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_so_far: Option<Charge>,
    /// Of a running call that is listened to, for those who may hear it: what was said last, and what is being said.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_transcript: Option<Vec<Segment>>,
}

/// Final segments in a call object; all of them are in its transcript.
const LATEST_SEGMENTS: u32 = 10;

/// Reads a call
///
/// While it is listened to, `live_transcript` holds the last 10 final segments and those that are still growing.
/// While an outbound call runs, `cost_so_far` grows with every six-second pulse; once WhatsApp has said how long it was,
/// `charge` stands in its place.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", params(("id" = String, Path, example = "call_0191…")),
    responses((status = 200, description = "The call", body = CallNow), Problems))]
async fn read(State(control): State<Shared>, caller: Caller, Id(id): Id<CallId>) -> Result<Answer<CallNow>, Problem> {
    let call = caller.call(&control, &id, Action::Read, Part::Record).await?;
    let cost_so_far = control.store.cost_so_far(&call, control.clock.now().wall).await?;
    let live_transcript = match control.switchboard.listen(&id) {
        Some(live) if caller.call(&control, &id, Action::Read, Part::Recording).await.is_ok() => {
            let mut latest = control.store.latest_segments(&id, LATEST_SEGMENTS).await?;
            latest.extend(live.partials);
            Some(latest)
        }
        Some(_) | None => None,
    };
    Ok(Answer(CallNow { call, cost_so_far, live_transcript }))
}

/// Sets up the agent's media of a call
///
/// For the agent of an outbound call, and to come back after a reload. The answer holds the gateway's
/// candidates; it is ICE-lite and sends nothing first.
#[utoipa::path(post, path = "/v1/calls/{id}/media", tag = "calls", params(("id" = String, Path)),
    request_body(content = String, content_type = "application/sdp", description = "The SDP offer"),
    responses((status = 201, description = "The SDP answer; `Location` names the leg", body = String, content_type = "application/sdp"), Problems))]
async fn media(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Sdp(offer): Sdp,
) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    let (leg, answer) = control.switchboard.call_media(caller.agent_id(), &id, &offer).await?;
    Ok(sdp_answer(&leg, answer))
}

/// 201 with the answer, in the shape of WHIP (RFC 9725 section 4.2).
pub(crate) fn sdp_answer(leg: &LegId, sdp: String) -> Response {
    let headers = [(CONTENT_TYPE, "application/sdp".to_owned()), (LOCATION, format!("/v1/legs/{leg}"))];
    (StatusCode::CREATED, headers, sdp).into_response()
}

/// Hangs up
#[utoipa::path(post, path = "/v1/calls/{id}/hangup", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn hang_up(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    _: NoBody,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    Ok(Answer(control.switchboard.hang_up(caller.agent_id(), &id).await?))
}

/// Puts the customer on hold
#[utoipa::path(post, path = "/v1/calls/{id}/hold", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn hold(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    _: NoBody,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    Ok(Answer(control.switchboard.hold(caller.agent_id(), &id, true).await?))
}

/// Takes the customer off hold
#[utoipa::path(post, path = "/v1/calls/{id}/resume", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn resume(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    _: NoBody,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    Ok(Answer(control.switchboard.hold(caller.agent_id(), &id, false).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Digits {
    /// 1 to 32 of `0`–`9`, `*`, `#`, `A`–`D`.
    #[schema(example = "12#")]
    digits: String,
}

/// Half a minute of keys at the pace they are sent.
const DIGITS_MAX: usize = 32;

/// Presses keys towards the customer
#[utoipa::path(post, path = "/v1/calls/{id}/dtmf", tag = "calls", params(("id" = String, Path)), request_body = Digits,
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn send_digits(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<Digits>,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    let fine = (1..=DIGITS_MAX).contains(&body.digits.len())
        && body.digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D'));
    if !fine {
        return Err(Problem::field("digits", "1 to 32 of 0-9, *, # and A-D"));
    }
    Ok(Answer(control.switchboard.send_digits(caller.agent_id(), &id, &body.digits).await?))
}

/// Why the candidates were rung in this order.
#[derive(Serialize, ToSchema)]
struct Trace {
    #[schema(value_type = Vec<TraceStep>)]
    trace: serde_json::Value,
}

/// Shows how a call was routed
#[utoipa::path(get, path = "/v1/calls/{id}/trace", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The routing trace", body = Trace), Problems))]
async fn trace(State(control): State<Shared>, caller: Caller, Id(id): Id<CallId>) -> Result<Answer<Trace>, Problem> {
    let call = caller.call(&control, &id, Action::Read, Part::Record).await?;
    // Outbound calls are not routed: an empty trace, not a missing one.
    let trace = if call.trace.is_array() { call.trace } else { serde_json::Value::Array(Vec::new()) };
    Ok(Answer(Trace { trace }))
}

/// How the legs sounded.
#[derive(Serialize, ToSchema)]
struct CallQuality {
    legs: Vec<LegQuality>,
}

/// One leg, over the whole call and from moment to moment.
#[derive(Serialize, ToSchema)]
struct LegQuality {
    #[serde(flatten)]
    leg: LegRecord,
    /// Oldest first, one every 10 s, and fewer of a very long call; empty for calls before there were such figures.
    history: Vec<Sample>,
}

/// Shows how a call sounded
#[utoipa::path(get, path = "/v1/calls/{id}/quality", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "Figures of each leg", body = CallQuality), Problems))]
async fn quality(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Answer<CallQuality>, Problem> {
    let call = caller.call(&control, &id, Action::Read, Part::Record).await?;
    let legs = call.legs.into_iter().map(|mut leg| LegQuality { history: std::mem::take(&mut leg.history), leg });
    Ok(Answer(CallQuality { legs: legs.collect() }))
}
