//! What was said in a call: whole, or as it is being said.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event as Frame, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, NoBody, Params};
use super::openapi::Problems;
use super::problem::Problem;
use super::recordings::note;
use super::stream::BEAT;
use crate::model::id::CallId;
use crate::model::transcript::{Segment, TranscriptState, Unheard, words_of};
use crate::policy::access::Action;
use crate::store::StoreError;
use crate::switchboard::Download;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, again)).routes(routes!(follow))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TranscriptQuery {
    /// Only the segments in which one of these words was said, or one that begins with it.
    text: Option<String>,
}

/// A call's transcript.
#[derive(Serialize, ToSchema)]
struct CallTranscript {
    #[schema(value_type = String)]
    call_id: CallId,
    state: TranscriptState,
    /// Who listened; `null` while `off`.
    engine: Option<String>,
    /// ISO 639-1, as the engine was asked to listen; `null`: it found out by itself.
    language: Option<String>,
    /// By their beginning. While the call runs, also those that are still growing.
    segments: Vec<Segment>,
    /// Speech that is not written down (yet).
    unheard: Vec<Unheard>,
}

/// Reads what was said
///
/// Times are milliseconds into the recording: a player seeks to them. `off` where nobody listened; `pending` while a part
/// that could not be written down live is being made up for from the recording; `transcript.ready` tells when it is whole,
/// `transcript.failed` with a `reason` that it stays as it is.
#[utoipa::path(get, path = "/v1/calls/{id}/transcript", tag = "calls", params(("id" = String, Path), TranscriptQuery),
    responses((status = 200, description = "The transcript", body = CallTranscript), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Params(query): Params<TranscriptQuery>,
) -> Result<Answer<CallTranscript>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    note(&control, &caller, &id, Download::Transcript).await?;
    let live = control.switchboard.listen(&id);
    let (engine, language, state, mut segments, unheard) = match control.store.transcript(&id).await? {
        Some(kept) => (Some(kept.engine), kept.language, kept.state, kept.segments, kept.unheard),
        None => (None, None, TranscriptState::Off, Vec::new(), Vec::new()),
    };
    segments.extend(live.into_iter().flat_map(|live| live.partials));
    if let Some(text) = query.text {
        let wanted = words_of(&text);
        segments.retain(|segment| {
            words_of(&segment.text).iter().any(|said| wanted.iter().any(|word| said.starts_with(word)))
        });
    }
    Ok(Answer(CallTranscript { call_id: id, state, engine, language, segments, unheard }))
}

/// Completes a transcript once more
///
/// After a failure, or when the recording has come meanwhile: what was not written down, up to the end of the recording, is
/// listened to again. What there is stays; its state is `pending` until `transcript.ready` or `transcript.failed`, and the
/// call is summed up anew.
#[utoipa::path(post, path = "/v1/calls/{id}/transcript", tag = "calls", params(("id" = String, Path)),
    responses((status = 202, description = "It is being completed"), Problems))]
async fn again(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    control.switchboard.transcribe_again(&id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// One line a segment: when, who, what.
pub(crate) fn plain(segments: &[Segment]) -> String {
    let line = |segment: &Segment| {
        let secs = segment.start_ms / 1000;
        let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
        format!("[{hours:02}:{minutes:02}:{secs:02}] {}: {}\n", segment.speaker, segment.text)
    };
    segments.iter().map(line).collect()
}

/// Follows what is being said
///
/// Server-sent events: `segment` for each partial and final segment, those first that are there already; a later one with
/// the same `speaker` and `index` replaces the earlier. When nobody listens any more, or nobody does, a last frame
/// `transcript` with its `state`, and the stream ends.
#[utoipa::path(get, path = "/v1/calls/{id}/transcript/stream", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Problems))]
async fn follow(State(control): State<Shared>, caller: Caller, Id(id): Id<CallId>) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    note(&control, &caller, &id, Download::Transcript).await?;
    let mut beat = tokio::time::interval(BEAT);
    // The first tick is due at once.
    beat.tick().await;
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Asked before the store: what is said in between comes twice and not never.
    let (partials, live) = match control.switchboard.listen(&id) {
        Some(live) => (live.partials, Some(live.segments)),
        None => (Vec::new(), None),
    };
    let mut following = Following { control, caller, call: id, live, ready: VecDeque::new(), ended: false, beat };
    following.read_again().await?;
    following.ready.extend(partials.iter().map(frame));
    let frames = stream::unfold(following, |mut following| async move {
        let next = following.next().await;
        next.map(|frame| (Ok::<_, Infallible>(frame), following))
    });
    let mut response = Sse::new(frames).into_response();
    // nginx would hold frames back otherwise.
    let header = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(header, HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a follower of one call stands.
struct Following {
    control: Shared,
    caller: Caller,
    call: CallId,
    /// `None` once nobody listens to the call any more.
    live: Option<Receiver<Segment>>,
    /// Frames to be sent first.
    ready: VecDeque<Frame>,
    ended: bool,
    beat: Interval,
}

impl Following {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            let Some(live) = &mut self.live else {
                self.ended = true;
                return Some(self.last_word().await);
            };
            tokio::select! {
                said = live.recv() => match said {
                    Ok(segment) => return Some(frame(&segment)),
                    Err(RecvError::Closed) => self.live = None,
                    Err(RecvError::Lagged(_)) => if let Err(error) = self.read_again().await {
                        tracing::warn!(%error, "a follower of a transcript is let go because it cannot be read");
                        return None;
                    },
                },
                _ = self.beat.tick() => {
                    if !self.still_allowed().await {
                        return None;
                    }
                    return Some(Frame::default().comment(""));
                }
                () = self.control.closing.cancelled() => return None,
            }
        }
    }

    /// Everything that is written down.
    async fn read_again(&mut self) -> Result<(), StoreError> {
        let kept = self.control.store.transcript(&self.call).await?;
        self.ready.extend(kept.iter().flat_map(|kept| &kept.segments).map(frame));
        Ok(())
    }

    async fn last_word(&self) -> Frame {
        let kept = self.control.store.transcript(&self.call).await;
        let state = kept.ok().flatten().map_or(TranscriptState::Off, |kept| kept.state);
        Frame::default().event("transcript").data(serde_json::json!({"call_id": self.call, "state": state}).to_string())
    }

    async fn still_allowed(&mut self) -> bool {
        let Ok(Some(renewed)) = self.caller.renewed(&self.control).await else { return false };
        self.caller = renewed;
        self.caller.call(&self.control, &self.call, Action::Read, Part::Recording).await.is_ok()
    }
}

fn frame(segment: &Segment) -> Frame {
    let data = serde_json::to_string(segment).expect("a segment is strings and numbers");
    Frame::default().event("segment").data(data)
}
