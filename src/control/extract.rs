//! What handlers take from a request, each with a refusal that says what to do.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::complaint::{in_words, without_preamble};
use super::problem::{Code, Problem};
use crate::model::directory::ContactRef;

/// Room for any JSON or SDP of this API; what an SDP may hold is bounded again where it is read.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Meta's deliveries stay below 3 MB.
pub(crate) const WEBHOOK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A body that takes longer is somebody holding a connection open.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Names of people, teams and the like.
pub(crate) const NAME_CHARS_MAX: usize = 200;

/// Reads a whole body.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIME_MAX, axum::body::to_bytes(body, bytes_max)).await;
    let Ok(read) = read else {
        return Err(Problem::new(Code::BodyTimeOut, "The body did not arrive within 30 s."));
    };
    read.map_err(|error| {
        // The cap is the only error of ours in the chain; all others are a connection that broke.
        let too_long =
            std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("length limit"));
        if too_long {
            Problem::new(Code::BodyTooLarge, format!("The body may hold {bytes_max} bytes at most."))
        } else {
            Problem::new(Code::InvalidRequest, "The body broke off.")
        }
    })
}

/// A JSON body. Unknown fields are refused by the types themselves.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(request.headers(), "application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send JSON with `Content-Type: application/json`."));
        }
        let bytes = read_body(request.into_body(), BODY_BYTES_MAX).await?;
        match bytes.trim_ascii().first() {
            // Every body of this API is one; the reader would take a list of its fields as well.
            Some(b'{') => Ok(Self(axum::Json::from_bytes(&bytes)?.0)),
            Some(_) => Err(Problem::new(Code::InvalidJson, "The body must be a JSON object, in braces.")),
            None => Err(Problem::new(Code::InvalidJson, "The body is empty; send a JSON object.")),
        }
    }
}

/// A JSON body that may be left out.
pub(crate) struct MaybeJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(CONTENT_TYPE) {
            return Ok(Self(Json::from_request(request, state).await?.0));
        }
        NoBody::from_request(request, state).await?;
        Ok(Self(T::default()))
    }
}

/// No body, or `{}` from clients that always send one.
pub(crate) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_body(request.into_body(), BODY_BYTES_MAX).await?;
        match bytes.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err(Problem::new(Code::UnexpectedBody, "This takes no body; send none.")),
        }
    }
}

/// A session description (`application/sdp`, RFC 8866), as the WHIP shape sends it (RFC 9725 section 4.2).
pub(crate) struct Sdp(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for Sdp {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(request.headers(), "application/sdp") {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "Send the SDP offer as it is, with `Content-Type: application/sdp`.",
            ));
        }
        let bytes = read_body(request.into_body(), BODY_BYTES_MAX).await?;
        match String::from_utf8(bytes.into()) {
            Ok(text) if !text.trim().is_empty() => Ok(Self(text)),
            Ok(_) => Err(Problem::new(Code::InvalidSdp, "The session description is empty.")),
            Err(_) => Err(Problem::new(Code::InvalidSdp, "The session description is not UTF-8.")),
        }
    }
}

/// The largest table anybody sends: a rate card for every country, tier and year is a tenth of it.
const CSV_BYTES_MAX: usize = 1024 * 1024;

/// A table (`text/csv`, RFC 4180).
pub(crate) struct Csv(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(request.headers(), "text/csv") {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send the table with `Content-Type: text/csv`."));
        }
        let bytes = read_body(request.into_body(), CSV_BYTES_MAX).await?;
        let text = String::from_utf8(bytes.into());
        text.map(Self).map_err(|_| Problem::new(Code::InvalidRequest, "The table is not UTF-8; save it as such."))
    }
}

fn has_type(headers: &HeaderMap, want: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    given.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(want)
}

/// Query parameters. Unknown ones are refused by the types themselves: a misspelt filter must not show
/// everything.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(params) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            Problem::new(Code::InvalidParameter, in_words(without_preamble(&rejection.body_text())))
        })?;
        Ok(Self(params))
    }
}

/// An id in the path of something that exists. What cannot be an id is an id that does not exist.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_text(parts, state).await?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// An id in the path that the caller chooses.
pub(crate) struct NewId<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: std::fmt::Display>> FromRequestParts<S> for NewId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_text(parts, state).await?;
        text.parse().map(Self).map_err(|error| Problem::parameter("id", error))
    }
}

/// A contact in the path.
pub(crate) struct Who(pub(crate) ContactRef);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let NewId(who) = NewId::from_request_parts(parts, state).await?;
        Ok(Self(who))
    }
}

async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    // A path that is not UTF-8 names nothing.
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(text)| text).map_err(|_| Problem::not_found())
}

/// A text people will read: trimmed, not empty, not endless, and without characters that hide or reorder
/// others (control characters, bidirectional overrides).
pub(crate) fn plain_text(field: &str, text: &str, chars_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > chars_max {
        return Err(Problem::field(field, format_args!("1 to {chars_max} characters, not {length}")));
    }
    if text.chars().any(|c| c.is_control() || is_bidi(c)) {
        return Err(Problem::field(field, "control and text direction characters are not allowed"));
    }
    Ok(text.to_owned())
}

/// What people wrote. Lines are kept, and so are marks of direction: people paste numbers that WhatsApp wraps in them.
pub(crate) fn written_text(field: &str, text: &str, chars_max: usize) -> Result<String, Problem> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=chars_max).contains(&length) {
        return Err(Problem::field(field, format_args!("1 to {chars_max} characters, not {length}")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Problem::field(field, "control characters are not allowed"));
    }
    Ok(text.to_owned())
}

/// Explicit directional formatting (Unicode Standard Annex 9 section 2): a name could disguise itself.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many rows a list returns when it is not told.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// A list's `limit`.
pub(crate) fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given {
        None => Ok(LIMIT_DEFAULT),
        Some(n @ 1..=LIMIT_MAX) => Ok(n),
        Some(_) => Err(Problem::parameter("limit", format_args!("1 to {LIMIT_MAX}"))),
    }
}

/// A field that is left out (`None`), cleared with `null` (`Some(None)`) or set.
pub(crate) fn nullable<'de, D, T>(de: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(de).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_bounded_and_cannot_disguise_itself() {
        let long = "x".repeat(201);
        for (given, want) in [
            ("  Nino  ", Some("Nino")),
            ("ნინო <b>", Some("ნინო <b>")),
            ("", None),
            ("   ", None),
            ("a\r\nb", None),
            ("admin\u{202e}gnp", None),
            (long.as_str(), None),
        ] {
            let got = plain_text("name", given, NAME_CHARS_MAX).ok();
            assert_eq!(got.as_deref(), want, "{given:?}");
        }
    }
}
