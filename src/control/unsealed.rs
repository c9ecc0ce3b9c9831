//! A sealed recording on its way to a listener: whole or in one range, opened piece by piece.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http_range_header::parse_range_header;
use tokio::task::spawn_blocking;

use crate::model::id::CallId;
use crate::record::Playback;

/// A second of a WAV.
const PIECE_BYTES: u64 = 64_000;

/// Answers with what `sound` holds, as one answers with a file that lies there unsealed.
///
/// # Errors
/// A file that cannot be read, or was changed where it was asked for first.
pub(super) async fn serve(
    mut sound: Playback,
    kind: &'static str,
    call: CallId,
    asked: &HeaderMap,
) -> io::Result<Response> {
    let len = sound.len();
    let Ok(range) = range(asked, len) else {
        let all = [(CONTENT_RANGE, format!("bytes */{len}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, all).into_response());
    };
    let (from, count) = range.as_ref().map_or((0, len), |range| (*range.start(), range.end() - range.start() + 1));
    sound.seek(SeekFrom::Start(from))?;
    // At once: what does not open gets a sentence, not half an answer.
    let (first, sound) = piece(sound, count).await.map(|(first, sound)| (first, Some(sound)))?;
    let rest = stream::unfold((call, sound, count - first.len() as u64), |(call, sound, left)| async move {
        if left == 0 {
            return None;
        }
        match piece(sound?, left).await {
            Ok((bytes, sound)) => {
                let left = left - bytes.len() as u64;
                Some((Ok(bytes), (call, Some(sound), left)))
            }
            Err(error) => {
                tracing::error!(%call, %error, "a recording broke off while it was played");
                Some((Err(error), (call, None, left)))
            }
        }
    });
    let pieces = stream::once(async { Ok(first) }).chain(rest);
    let headers = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_LENGTH, count.to_string())];
    let body = Body::from_stream(pieces);
    Ok(match range {
        None => (headers, body).into_response(),
        Some(range) => {
            let part = [(CONTENT_RANGE, format!("bytes {}-{}/{len}", range.start(), range.end()))];
            (StatusCode::PARTIAL_CONTENT, headers, part, body).into_response()
        }
    })
}

struct Unsatisfiable;

/// What is asked for; `None` is everything. One range at a time, as with other files.
fn range(asked: &HeaderMap, len: u64) -> Result<Option<RangeInclusive<u64>>, Unsatisfiable> {
    let Some(range) = asked.get(RANGE) else { return Ok(None) };
    let ranges = range.to_str().ok().and_then(|range| parse_range_header(range).ok()?.validate(len).ok());
    match ranges.as_deref() {
        Some([range]) => Ok(Some(range.clone())),
        _ => Err(Unsatisfiable),
    }
}

/// The next bytes, of `left` at most.
async fn piece(mut sound: Playback, left: u64) -> io::Result<(Bytes, Playback)> {
    let read = spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(left.min(PIECE_BYTES)).expect("a piece is small")];
        sound.read_exact(&mut bytes)?;
        Ok((Bytes::from(bytes), sound))
    });
    read.await.map_err(io::Error::other)?
}
