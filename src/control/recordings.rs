//! The recording of a call, whole or in ranges, and what is known of it.

use std::path::{Path, PathBuf};

use axum::Json as Answer;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, Json};
use super::openapi::Problems;
use super::problem::{Code, Problem};
use super::unsealed;
use crate::call::CallRecord;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::policy::access::{Action, Resource};
use crate::record::{Format, Manifest, Playback, Sidecar, manifest_path};
use crate::store::RecordingFile;
use crate::switchboard::{Absent, Download};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(read, command, delete))
        .routes(routes!(hold))
        .routes(routes!(details))
        .routes(routes!(manifest))
        .routes(routes!(signing_key))
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

/// Whether a recording is kept whatever its age.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"held": true}))]
struct HoldBody {
    held: bool,
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
/// Stereo, customer left, agent right: `audio/wav` of 16 kHz or, where the gateway keeps the packets themselves, `audio/ogg`
/// (Opus). It is kept in one form only; 406 if `Accept` names none it is in. One byte range at a time (RFC 9110 section 14). 404
/// while there is none, 409 `recording_in_progress` until `recording.ready`, 409 `recording_failed` if it
/// could not be written, 410 `recording_deleted` once its time is over. One whose local copy is gone is brought back from the
/// store first, whole; 503 with `Retry-After` if that takes more than 20 s, or the store is away.
///
/// The log says who listened: `call.downloaded`, once an hour for each caller, call and kind, so that a player's ranges
/// count as one. Details, manifest, transcript and summary are told likewise.
#[utoipa::path(get, path = "/v1/calls/{id}/recording", tag = "calls",
    params(("id" = String, Path), ("Range" = Option<String>, Header, example = "bytes=0-1023"),
        ("Accept" = Option<String>, Header, example = "audio/ogg, audio/wav")),
    responses((status = 200, description = "The whole recording", content(
            (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"))),
        (status = 206, description = "The range", content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"))), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    request: Request,
) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    let recording = ready(&control, &id).await?;
    let format = Format::of(&recording.path);
    if !accepts(request.headers(), format.media_type()) {
        let detail =
            format!("This recording is kept as {} only; ask for that, or leave `Accept` out.", format.media_type());
        return Err(Problem::new(Code::NotAcceptable, detail));
    }
    let path = place(&control, &id, &recording).await?;
    if request.method() != Method::HEAD {
        note(&control, &caller, &id, Download::Recording).await?;
    }
    let sound = open(&control, &id, &path).await?;
    let served = if sound.is_sealed() {
        unsealed::serve(sound, format.media_type(), id.clone(), request.headers()).await
    } else {
        let kind = format.media_type().parse().expect("a media type");
        let served = ServeFile::new_with_mime(path, &kind).try_call(request).await;
        served.map(|response| response.map(axum::body::Body::new).into_response())
    };
    let mut response = match served {
        Ok(response) => response,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            tracing::error!(call = %id, %error, "a sealed recording was changed");
            return Err(Problem::new(
                Code::RecordingFailed,
                "The recording's file was changed or damaged; the log says where.",
            ));
        }
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
    let name = format!("inline; filename=\"{id}.{}\"", format.extension());
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&name).expect("ids are plain words"));
    Ok(response)
}

/// Shows what is known of a recording
///
/// How each side's packets arrived, pauses, files with their digests: the JSON file that lies beside the recording. Refused
/// like the recording itself while that is not ready; 404 for recordings made before there were such files.
#[utoipa::path(get, path = "/v1/calls/{id}/recording/details", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The details", body = Sidecar), Problems))]
async fn details(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Answer<Sidecar>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    let recording = ready(&control, &id).await?;
    let path = place(&control, &id, &recording).await?;
    note(&control, &caller, &id, Download::Details).await?;
    let read = tokio::task::spawn_blocking(move || Sidecar::read(&path)).await;
    match read.map_err(std::io::Error::other).and_then(|read| read) {
        Ok(sidecar) => Ok(Answer(sidecar)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Problem::not_found()),
        Err(error) => {
            tracing::error!(call = %id, %error, "a recording's details cannot be read");
            Err(Problem::internal())
        }
    }
}

/// Shows the signed manifest of a recording
///
/// What `tandem verify` holds the recording against: digests of its files and of the chain that was kept while it was
/// recorded, signed with the site's key. The bytes of the file, for the signature is over them. Refused like the recording
/// itself while that is not ready; 404 where recordings are not signed.
#[utoipa::path(get, path = "/v1/calls/{id}/recording/manifest", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The manifest", body = Manifest), Problems))]
async fn manifest(State(control): State<Shared>, caller: Caller, Id(id): Id<CallId>) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    let recording = ready(&control, &id).await?;
    let path = manifest_path(&place(&control, &id, &recording).await?);
    note(&control, &caller, &id, Download::Manifest).await?;
    match tokio::fs::read(path).await {
        Ok(bytes) => {
            Ok(([(header::CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "private, no-store")], bytes)
                .into_response())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Problem::not_found()),
        Err(error) => {
            tracing::error!(call = %id, %error, "a recording's manifest cannot be read");
            Err(Problem::internal())
        }
    }
}

/// What recordings are checked with.
#[derive(Serialize, ToSchema)]
struct SigningKey {
    /// Ed25519, lower-case hex: for `tandem verify --public-key`.
    public_key: String,
    /// The same as OpenSSL reads it.
    pem: String,
}

/// Shows the public key that recordings are signed with
///
/// Whoever gets recordings from you gets this by another way, and checks them without you. 404 where recordings are not
/// signed.
#[utoipa::path(get, path = "/v1/signing-key", tag = "calls",
    responses((status = 200, description = "The key", body = SigningKey), Problems))]
async fn signing_key(State(control): State<Shared>, caller: Caller) -> Result<Answer<SigningKey>, Problem> {
    if !caller.may_hear() {
        return Err(Problem::forbidden("This key lacks the scope `recordings:read`."));
    }
    let key = control.vault.public_key().ok_or_else(Problem::not_found)?;
    Ok(Answer(SigningKey { public_key: key.to_string(), pem: key.pem() }))
}

/// Who took what out of the house, in the log: see [`Download`].
pub(super) async fn note(control: &Shared, caller: &Caller, id: &CallId, what: Download) -> Result<(), Problem> {
    Ok(control.switchboard.note_download(caller.asker(), id, what).await?)
}

/// Opens it, with its key if it is sealed.
async fn open(control: &Shared, id: &CallId, path: &Path) -> Result<Playback, Problem> {
    let (vault, path) = (control.vault.clone(), path.to_owned());
    let opened = tokio::task::spawn_blocking(move || Playback::open(&path, &vault)).await;
    let error = match opened {
        Ok(Ok(sound)) => return Ok(sound),
        Ok(Err(error)) => error,
        Err(panic) => {
            tracing::error!(call = %id, %panic, "a recording cannot be opened");
            return Err(Problem::internal());
        }
    };
    let detail = match error.missing_key() {
        Some(key) => format!(
            "The recording is sealed with the key {key}, which this gateway does not have; name its file in \
             `recording.former_encryption_key_files` and start again."
        ),
        None => "The recording's file is gone, or was changed or damaged; the log says what.".to_owned(),
    };
    let error = std::io::Error::from(error);
    tracing::error!(call = %id, %error, "a recording cannot be opened");
    Err(Problem::new(Code::RecordingFailed, detail))
}

/// Deletes a recording
///
/// Here and in the store, with its details. Nobody gets it from now on; `recording.deleted` tells when the last file is
/// gone. The record of the call, its transcript and its summary stay. 409 while it is recorded or held. For keys with
/// `settings:write`.
#[utoipa::path(delete, path = "/v1/calls/{id}/recording", tag = "calls", params(("id" = String, Path)),
    responses((status = 204, description = "Deleted"), Problems))]
async fn delete(State(control): State<Shared>, caller: Caller, Id(id): Id<CallId>) -> Result<StatusCode, Problem> {
    may_keep(&control, &caller, &id).await?;
    control.switchboard.delete_recording(&id, &caller.asker()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Holds a recording, or releases it
///
/// One that is held is kept whatever its age, and cannot be deleted. The event log says who held and released it. For keys
/// with `settings:write`.
#[utoipa::path(put, path = "/v1/calls/{id}/recording/hold", tag = "calls", params(("id" = String, Path)),
    request_body = HoldBody, responses((status = 204, description = "Held or released"), Problems))]
async fn hold(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<HoldBody>,
) -> Result<StatusCode, Problem> {
    may_keep(&control, &caller, &id).await?;
    control.switchboard.hold_recording(&id, body.held, &caller.asker()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Passes for programs that set up the house. Agents, who hear recordings, neither remove nor keep them.
async fn may_keep(control: &Shared, caller: &Caller, id: &CallId) -> Result<(), Problem> {
    if caller.agent().is_some() {
        return Err(Problem::not_found());
    }
    caller.may(Action::Change, Resource::Number)?;
    control.store.call(id).await?.map(drop).ok_or_else(Problem::not_found)
}

/// The recording, once it is whole.
pub(super) async fn ready(control: &Shared, id: &CallId) -> Result<RecordingFile, Problem> {
    let recording = control.store.recording(id).await?.ok_or_else(Problem::not_found)?;
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
        RecordingState::Deleted => {
            return Err(Problem::new(Code::RecordingDeleted, "The recording was deleted; its call's record stays."));
        }
    }
    Ok(recording)
}

/// Where it lies, once it is here.
pub(super) async fn place(control: &Shared, id: &CallId, recording: &RecordingFile) -> Result<PathBuf, Problem> {
    if let Some(path) = beneath(control, &recording.path).await {
        return Ok(path);
    }
    let back = control.switchboard.bring_back(id).await?;
    beneath(control, &back).await.ok_or_else(|| {
        tracing::error!(call = %id, path = %recording.path.display(), "a recording's file is gone or elsewhere");
        Absent::Gone.into()
    })
}

/// The path is ours, yet what is served lies beneath the recordings' directory or is not served.
async fn beneath(control: &Shared, path: &Path) -> Option<PathBuf> {
    let root = tokio::fs::canonicalize(&control.recordings_dir).await.ok()?;
    let path = tokio::fs::canonicalize(control.recordings_dir.join(path)).await.ok()?;
    path.starts_with(&root).then_some(path)
}

/// Whether `Accept` has a word for this kind of sound (RFC 9110 section 12.5.1). What cannot be read says nothing.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut asked = false;
    let fits = ranges.any(|range| {
        asked = true;
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32)));
        !refused && (range == "*/*" || range == "audio/*" || range == kind)
    });
    fits || !asked
}
