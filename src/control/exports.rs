//! All calls of a list at once: as a table, as lines of JSON, or with all that was said in them.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use futures_util::{Stream, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::call_list::ListQuery;
use super::export_zip::write_archive;
use super::extract::Params;
use super::openapi::Problems;
use super::problem::{Code, Problem};
use super::table::{file, harmless, row};
use crate::call::record::CallRecord;
use crate::model::id::{AgentId, NumberId};
use crate::store::{CallFilter, Store, StoreError};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(csv)).routes(routes!(ndjson)).routes(routes!(zip_archive))
}

/// Exports calls as a table
///
/// The calls that `GET /v1/calls` lists with the same filters, newest first, all of them: RFC 4180 with a header line, in
/// UTF-8. What others wrote never begins like a formula. `team_name` is the team that the agent is in now.
#[utoipa::path(get, path = "/v1/calls.csv", tag = "calls", params(ListQuery),
    responses((status = 200, description = "The table", content_type = "text/csv", body = String), Problems))]
async fn csv(
    State(control): State<Shared>,
    caller: Caller,
    RawQuery(asked): RawQuery,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let filter = query.whole(&control, &caller).await?;
    note(&control, &caller, "csv", asked).await?;
    let names = Names::of(&control.store).await?;
    let header = stream::iter([Ok(Bytes::from(row(&HEADER)))]);
    let rows = pages(control, filter, move |calls| calls.iter().flat_map(|call| row(&cells(call, &names))).collect());
    Ok(file("text/csv; charset=utf-8", "calls.csv", Body::from_stream(futures_util::StreamExt::chain(header, rows))))
}

/// Exports calls as lines of JSON
///
/// As `/v1/calls.csv`, one call object a line.
#[utoipa::path(get, path = "/v1/calls.ndjson", tag = "calls", params(ListQuery),
    responses((status = 200, description = "The lines", content_type = "application/x-ndjson", body = String), Problems))]
async fn ndjson(
    State(control): State<Shared>,
    caller: Caller,
    RawQuery(asked): RawQuery,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let filter = query.whole(&control, &caller).await?;
    note(&control, &caller, "ndjson", asked).await?;
    let lines = pages(control, filter, |calls| {
        let mut lines = Vec::new();
        for call in calls {
            serde_json::to_writer(&mut lines, call).expect("a call record is plain data");
            lines.push(b'\n');
        }
        lines
    });
    Ok(file("application/x-ndjson", "calls.ndjson", Body::from_stream(lines)))
}

/// Exports calls with recordings and transcripts
///
/// A ZIP archive: `calls.csv` as above, and for each call a folder with `call.json` and, where there is one, `notes.json`,
/// `recording.wav` (or `.opus`) and its further parts with what proves them (`recording.manifest.json`, `.chain` and
/// `.json`), `transcript.json`, `transcript.txt` and `summary.json` (with a key: if it has `recordings:read` besides).
/// `index.json` lists every call's files, and says why a recording is missing that was to be among them. Written while it is
/// sent; if something fails on the way the transfer breaks off, so that half an archive is not taken for a whole one. 503
/// while four others are under way.
#[utoipa::path(get, path = "/v1/calls.zip", tag = "calls", params(ListQuery),
    responses((status = 200, description = "The archive", content_type = "application/zip", body = Vec<u8>), Problems))]
async fn zip_archive(
    State(control): State<Shared>,
    caller: Caller,
    RawQuery(asked): RawQuery,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let filter = query.whole(&control, &caller).await?;
    let turn = control.switchboard.begin_archive().ok_or_else(|| {
        Problem::new(Code::Unavailable, "As many exports as there may be are under way; come again when one has ended.")
    })?;
    note(&control, &caller, "zip", asked).await?;
    let hears = caller.may_hear();
    let (sender, receiver) = mpsc::channel(PIECES);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let pipe = Pipe { sender: sender.clone(), runtime: runtime.clone() };
        let pipe = BufWriter::with_capacity(PIECE_BYTES, pipe);
        if let Err(error) = write_archive(&control, &runtime, filter, hears, pipe) {
            // Who left in the middle is told nothing more.
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "an export broke off");
            }
            let _gone = sender.try_send(Err(error));
        }
    });
    let pieces =
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
    Ok(file("application/zip", "calls.zip", Body::from_stream(pieces)))
}

/// Who took what out of the house, in the log.
async fn note(control: &Shared, caller: &Caller, format: &str, asked: Option<String>) -> Result<(), Problem> {
    Ok(control
        .switchboard
        .note_export(caller.asker(), "calls.exported", format, asked.as_deref().unwrap_or(""))
        .await?)
}

/// All pages of a list, each as bytes.
fn pages(
    control: Shared,
    filter: Option<CallFilter>,
    write: impl Fn(&[CallRecord]) -> Vec<u8>,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::unfold((control, filter, write), |(control, filter, write)| async move {
        let filter = filter?;
        Some(match control.store.calls(&filter).await {
            Ok(page) => {
                let next = page.next_cursor.map(|cursor| CallFilter { cursor: Some(cursor), ..filter });
                (Ok(Bytes::from(write(&page.items))), (control, next, write))
            }
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                (Err(error), (control, None, write))
            }
        })
    })
}

const COLUMNS: usize = 29;

pub(super) const HEADER: [&str; COLUMNS] = [
    "id",
    "direction",
    "status",
    "customer_name",
    "customer_phone",
    "customer_user_id",
    "number_id",
    "agent_id",
    "created_at",
    "answered_at",
    "ended_at",
    "duration_ms",
    "end_reason",
    "ended_by",
    "recording",
    "recording_consent",
    "transcript",
    "charge_micros",
    "charge_currency",
    "consent_language",
    "consent_sha256",
    "announced_at",
    "opted_out_at",
    "disposition",
    "tags",
    "number",
    "agent_name",
    "team_name",
    "summary",
];

/// What people call those that a table names.
pub(super) struct Names {
    numbers: HashMap<NumberId, String>,
    /// With the team's name; also of those who have left.
    agents: HashMap<AgentId, (String, Option<String>)>,
}

impl Names {
    pub(super) async fn of(store: &Store) -> Result<Self, StoreError> {
        let teams: HashMap<_, _> = store.teams().await?.into_iter().map(|team| (team.id, team.name)).collect();
        let numbers = store.numbers().await?.into_iter();
        let agents = store.agents_ever().await?.into_iter();
        Ok(Self {
            numbers: numbers.map(|number| (number.id, number.display_phone_number.e164())).collect(),
            agents: agents
                .map(|agent| (agent.id, (agent.name, agent.team_id.and_then(|team| teams.get(&team).cloned()))))
                .collect(),
        })
    }
}

pub(super) fn cells(call: &CallRecord, names: &Names) -> [String; COLUMNS] {
    let agent = call.agent_id.as_ref().and_then(|agent| names.agents.get(agent));
    let time = |at: Option<crate::model::time::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let (contact, consent) = (&call.contact, call.recording.consent.as_ref());
    [
        call.id.to_string(),
        call.direction.to_string(),
        call.status.as_str().to_owned(),
        harmless(contact.name.as_deref()),
        contact.phone.as_ref().map(|phone| phone.e164()).unwrap_or_default(),
        harmless(contact.user_id.as_deref()),
        call.number_id.to_string(),
        call.agent_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        call.created_at.to_string(),
        time(call.answered_at),
        time(call.ended_at),
        call.duration_ms.to_string(),
        call.end_reason.map(|reason| reason.to_string()).unwrap_or_default(),
        call.ended_by.map(|by| by.to_string()).unwrap_or_default(),
        call.recording.state.to_string(),
        consent.map(|consent| consent.state.to_string()).unwrap_or_default(),
        call.transcript.state.to_string(),
        call.charge.map(|charge| charge.micros.to_string()).unwrap_or_default(),
        call.charge.map(|charge| charge.currency.to_string()).unwrap_or_default(),
        consent.map(|consent| consent.language.clone()).unwrap_or_default(),
        consent.map(|consent| consent.sha256.clone()).unwrap_or_default(),
        time(consent.and_then(|consent| consent.announced_at)),
        time(consent.and_then(|consent| consent.opted_out_at)),
        harmless(call.disposition.as_deref()),
        harmless(Some(&call.tags.join("; "))),
        names.numbers.get(&call.number_id).cloned().unwrap_or_default(),
        harmless(agent.map(|(name, _)| name.as_str())),
        harmless(agent.and_then(|(_, team)| team.as_deref())),
        harmless(call.summary.text.as_deref()),
    ]
}

/// Pieces of an archive on their way, and how large they are: the reader may be slow, and then the writer waits.
const PIECES: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;
/// Who takes nothing for so long has gone to sleep, and others wait for the turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes on their way out; fails when nobody takes them any more.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        match self.runtime.block_on(self.sender.send_timeout(piece, PATIENCE)) {
            Ok(()) => Ok(bytes.len()),
            Err(SendTimeoutError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(SendTimeoutError::Timeout(_)) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing for a minute"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
