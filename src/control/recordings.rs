//! The recording of a call, whole or in ranges.

use axum::Json as Answer;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, Json};
use super::openapi::Problems;
use super::problem::{Code, Problem};
use crate::call::CallRecord;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::policy::access::Action;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, command))
}

/// What to do with a running recording.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"action": "pause"}))]
struct RecordingBody {
    action: RecordingAction,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordingAction {
    Pause,
    Resume,
}

/// Pauses or resumes the recording of a running call
///
/// Nothing that is said from the pause on is kept. Time runs on in the file, as silence, so that positions in it stay
/// positions in the call. A second pause, or a second resume, does nothing.
#[utoipa::path(post, path = "/v1/calls/{id}/recording", tag = "calls", params(("id" = String, Path)),
    request_body = RecordingBody, responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn command(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<RecordingBody>,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    let paused = matches!(body.action, RecordingAction::Pause);
    Ok(Answer(control.switchboard.pause_recording(caller.agent_id(), &id, paused).await?))
}

/// Plays or downloads a recording
///
/// Stereo WAV, 16 kHz: customer left, agent right. One byte range at a time (RFC 9110 section 14). 404
/// while there is none, 409 `recording_in_progress` until `recording.ready`, 409 `recording_failed` if it
/// could not be written.
#[utoipa::path(get, path = "/v1/calls/{id}/recording", tag = "calls",
    params(("id" = String, Path), ("Range" = Option<String>, Header, example = "bytes=0-1023")),
    responses((status = 200, description = "The whole recording", content_type = "audio/wav", body = Vec<u8>),
        (status = 206, description = "The range", content_type = "audio/wav", body = Vec<u8>), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    let recording = control.store.recording(&id).await?.ok_or_else(Problem::not_found)?;
    match recording.state {
        RecordingState::Ready => {}
        RecordingState::None => return Err(Problem::not_found()),
        RecordingState::Recording | RecordingState::Paused => {
            return Err(Problem::new(
                Code::RecordingInProgress,
                "The call is still being recorded; `recording.ready` tells when it can be fetched.",
            ));
        }
        RecordingState::Failed => {
            return Err(Problem::new(
                Code::RecordingFailed,
                "The recording could not be written; the gateway's log says why.",
            ));
        }
    }
    // The path is ours, yet what is served lies beneath the recordings' directory or is not served.
    let root = tokio::fs::canonicalize(&control.recordings_dir).await;
    let path = tokio::fs::canonicalize(control.recordings_dir.join(&recording.path)).await;
    let path = match (root, path) {
        (Ok(root), Ok(path)) if path.starts_with(&root) => path,
        _ => {
            tracing::error!(call = %id, path = %recording.path.display(), "a recording's file is gone or elsewhere");
            return Err(Problem::new(Code::RecordingFailed, "The recording's file is gone."));
        }
    };
    let wav = "audio/wav".parse().expect("a media type");
    let served = ServeFile::new_with_mime(path, &wav).try_call(request).await;
    let mut response = match served {
        Ok(response) => response.map(axum::body::Body::new).into_response(),
        Err(error) => {
            tracing::error!(call = %id, %error, "a recording cannot be read");
            return Err(Problem::internal());
        }
    };
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Problem::new(Code::RecordingFailed, "The recording's file is gone."));
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Somebody's voice: not in shared caches, and only as long as the browser's own page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let name = format!("inline; filename=\"{id}.wav\"");
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&name).expect("ids are plain words"));
    Ok(response)
}
