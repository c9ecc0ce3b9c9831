//! All calls of a list at once: as a table, as lines of JSON, or with all that was said in them.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::Shared;
use super::auth::Caller;
use super::call_list::ListQuery;
use super::extract::Params;
use super::openapi::Problems;
use super::problem::Problem;
use super::transcripts;
use crate::call::record::CallRecord;
use crate::model::reason::RecordingState;
use crate::record::Playback;
use crate::store::{CallFilter, StoreError};
use crate::switchboard::Absent;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(csv)).routes(routes!(ndjson)).routes(routes!(zip_archive))
}

/// Exports calls as a table
///
/// The calls that `GET /v1/calls` lists with the same filters, newest first, all of them: RFC 4180 with a header line, in
/// UTF-8. What others wrote never begins like a formula.
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
    let header = stream::iter([Ok(Bytes::from(row(HEADER)))]);
    let rows = pages(control, filter, |calls| calls.iter().flat_map(|call| row(cells(call))).collect());
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
/// A ZIP archive: `calls.csv` as above, and for each call a folder with `call.json` and, where there is one,
/// `recording.wav` (or `.opus`) with what proves it (`recording.manifest.json`, `.chain` and `.json`), `transcript.json` and `transcript.txt` (with a key: if it has `recordings:read` besides). Written while it is sent; if something fails on the way the
/// transfer breaks off, so that half an archive is not taken for a whole one.
#[utoipa::path(get, path = "/v1/calls.zip", tag = "calls", params(ListQuery),
    responses((status = 200, description = "The archive", content_type = "application/zip", body = Vec<u8>), Problems))]
async fn zip_archive(
    State(control): State<Shared>,
    caller: Caller,
    RawQuery(asked): RawQuery,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let filter = query.whole(&control, &caller).await?;
    note(&control, &caller, "zip", asked).await?;
    let hears = caller.may_hear();
    let (sender, receiver) = mpsc::channel(PIECES);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let pipe = BufWriter::with_capacity(PIECE_BYTES, Pipe(sender.clone()));
        if let Err(error) = archive(&control, &runtime, filter, hears, pipe) {
            // Who left in the middle is told nothing more.
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "an export broke off");
            }
            let _gone = sender.blocking_send(Err(error));
        }
    });
    let pieces =
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
    Ok(file("application/zip", "calls.zip", Body::from_stream(pieces)))
}

/// Who took what out of the house, in the log.
async fn note(control: &Shared, caller: &Caller, format: &str, asked: Option<String>) -> Result<(), Problem> {
    Ok(control.switchboard.note_export(caller.asker(), format, asked.as_deref().unwrap_or("")).await?)
}

fn file(kind: &'static str, name: &str, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        // Customers' names and voices: in nobody's cache.
        (CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    (headers, body).into_response()
}

/// All pages of a list, each as bytes.
fn pages(
    control: Shared,
    filter: Option<CallFilter>,
    write: fn(&[CallRecord]) -> Vec<u8>,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::unfold((control, filter), move |(control, filter)| async move {
        let filter = filter?;
        Some(match control.store.calls(&filter).await {
            Ok(page) => {
                let next = page.next_cursor.map(|cursor| CallFilter { cursor: Some(cursor), ..filter });
                (Ok(Bytes::from(write(&page.items))), (control, next))
            }
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                (Err(error), (control, None))
            }
        })
    })
}

const COLUMNS: usize = 19;

const HEADER: [&str; COLUMNS] = [
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
];

fn cells(call: &CallRecord) -> [String; COLUMNS] {
    let time = |at: Option<crate::model::time::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let contact = &call.contact;
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
        call.recording.consent.as_ref().map(|consent| consent.state.to_string()).unwrap_or_default(),
        call.transcript.state.to_string(),
        call.charge.map(|charge| charge.micros.to_string()).unwrap_or_default(),
        call.charge.map(|charge| charge.currency.to_string()).unwrap_or_default(),
    ]
}

/// A spreadsheet runs what begins like a formula, and customers choose their names
/// (https://owasp.org/www-community/attacks/CSV_Injection).
fn harmless(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn row<T: AsRef<[u8]>>(cells: [T; COLUMNS]) -> Vec<u8> {
    let mut line = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    line.write_record(cells).expect("memory takes every row");
    line.into_inner().expect("memory takes every row")
}

/// Pieces of an archive on their way, and how large they are: the reader may be slow, and then the writer waits.
const PIECES: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;

/// Bytes on their way out; fails when nobody takes them any more.
struct Pipe(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Archive<W> = ZipWriter<StreamWriter<W>>;

fn archive(
    control: &Shared,
    runtime: &Handle,
    filter: Option<CallFilter>,
    hears: bool,
    out: impl Write,
) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(out);
    let mut table = row(HEADER);
    let mut rest = filter;
    while let Some(filter) = rest {
        let page = runtime.block_on(control.store.calls(&filter)).map_err(io::Error::other)?;
        for call in &page.items {
            table.extend(row(cells(call)));
            add(&mut zip, &format!("{}/call.json", call.id), &serde_json::to_vec_pretty(call)?)?;
            if hears {
                add_sound(&mut zip, control, runtime, call)?;
            }
        }
        rest = page.next_cursor.map(|cursor| CallFilter { cursor: Some(cursor), ..filter });
    }
    add(&mut zip, "calls.csv", &table)?;
    zip.finish()?.into_inner().flush()
}

fn add_sound<W: Write>(zip: &mut Archive<W>, control: &Shared, runtime: &Handle, call: &CallRecord) -> io::Result<()> {
    let id = &call.id;
    if let Some(kept) = runtime.block_on(control.store.transcript(id)).map_err(io::Error::other)? {
        add(zip, &format!("{id}/transcript.json"), &serde_json::to_vec_pretty(&kept.segments)?)?;
        add(zip, &format!("{id}/transcript.txt"), transcripts::plain(&kept.segments).as_bytes())?;
    }
    if call.recording.state != RecordingState::Ready {
        return Ok(());
    }
    let Some(file) = runtime.block_on(control.store.recording(id)).map_err(io::Error::other)? else { return Ok(()) };
    let path = match beneath(&control.recordings_dir, &file.path) {
        None => match runtime.block_on(control.switchboard.bring_back_for_certain(id)) {
            Ok(path) => beneath(&control.recordings_dir, &path),
            Err(Absent::Gone) => None,
            Err(error) => return Err(io::Error::other(error)),
        },
        here => here,
    };
    let Some(path) = path else {
        tracing::error!(call = %id, path = %file.path.display(), "a recording's file is gone or elsewhere; the export lacks it");
        return Ok(());
    };
    // One that does not open must not cost all the others.
    let opened = Playback::open(&path, &control.vault).map_err(io::Error::from);
    let mut sound = match opened.and_then(|mut sound| sound.check().map(|()| sound)) {
        Ok(sound) => sound,
        Err(error) => {
            tracing::error!(call = %id, %error, "the export lacks a recording");
            return Ok(());
        }
    };
    // Speech hardly shrinks, and more than 4 GiB are announced beforehand.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    let extension = file.path.extension().unwrap_or_default().display();
    zip.start_file(format!("{id}/recording.{extension}"), options)?;
    io::copy(&mut sound, zip)?;
    // What `tandem verify` holds it against, under the same name.
    for extension in PROOF {
        match std::fs::read(path.with_extension(extension)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            bytes => add(zip, &format!("{id}/recording.{extension}"), &bytes?)?,
        }
    }
    Ok(())
}

/// Files beside a recording: details, chain, manifest.
const PROOF: [&str; 3] = ["json", "chain", "manifest.json"];

fn add<W: Write>(zip: &mut Archive<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))?;
    zip.write_all(bytes)
}

/// `None` if it is gone, or not beneath the recordings' folder.
fn beneath(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = folder.join(path).canonicalize().ok()?;
    path.starts_with(folder.canonicalize().ok()?).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        #[track_caller]
        fn check(text: &str, cell: &str) {
            assert_eq!(harmless(Some(text)), cell);
        }
        check("Nino", "Nino");
        check("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")");
        check("-1+1", "'-1+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("\t=1", "'\t=1");
        assert_eq!(harmless(None), "");
    }
}
