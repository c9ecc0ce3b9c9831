//! Sends pages, scripts and long JSON compressed (RFC 9110 section 8.4), to whoever takes gzip.
//!
//! Only an answer that is whole already is touched: event streams, exports and recordings have no length yet, or a range,
//! and go out byte by byte as they come. An answer with a strong tag stays as it is as well, because that tag promises the
//! same bytes, and `If-Match` counts on it.
//!
//! Length gives away what is compressed beside words of an attacker's own (BREACH). No answer of ours carries a secret
//! beside a foreign word, and no foreign page can have a request sent with the cookie, which is `SameSite=Strict`.

use std::io::Write;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Less fits into one packet as it is.
const LEN_MIN: u64 = 1024;
/// More takes too long for a thread that serves others too; nothing that long is sent in one piece.
const LEN_MAX: u64 = 2 * 1024 * 1024;
/// Longer than this is compressed beside the threads that serve.
const LEN_AT_ONCE_MAX: usize = 64 * 1024;

pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let takes = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    if !is_compressible(&response) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let len = response.body().size_hint().exact();
    if !takes || !len.is_some_and(|len| (LEN_MIN..=LEN_MAX).contains(&len)) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, LEN_MAX as usize).await else {
        // A whole body does not break; should it, half of it must not pass for all.
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(parts, Body::empty());
    };
    let squeezed = match bytes.len() {
        ..=LEN_AT_ONCE_MAX => gzip(&bytes),
        _ => {
            let whole = bytes.clone();
            tokio::task::spawn_blocking(move || gzip(&whole)).await.ok().flatten()
        }
    };
    let Some(squeezed) = squeezed.filter(|squeezed| squeezed.len() < bytes.len()) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(squeezed))
}

/// Text that is the same thing in any encoding.
fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    if headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE) {
        return false;
    }
    if headers.contains_key(ETAG) && !text(ETAG).starts_with("W/") {
        return false;
    }
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or("").trim();
    let is_text = kind.starts_with("text/") && kind != "text/event-stream";
    let is_named = ["json", "javascript", "svg+xml", "+json", "xml"].iter().any(|end| kind.ends_with(end));
    // A 304 has no type; its Vary must be that of the answer it stands for.
    is_text || is_named || (response.status() == StatusCode::NOT_MODIFIED && headers.contains_key(ETAG))
}

/// RFC 9110 section 12.5.3. Who asks for it with weight 0 does not want it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut named = None;
    let mut any = None;
    for coding in all.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        match name {
            "*" => any = Some(wanted),
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => named = Some(wanted),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

fn gzip(bytes: &Bytes) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::Router;
    use axum::http::header::IF_NONE_MATCH;
    use axum::middleware::from_fn;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use futures_util::stream;

    use super::*;

    const LONG: usize = 5000;

    fn answer(kind: &'static str, extra: Option<(&'static str, &'static str)>) -> Response {
        let mut response = ([(CONTENT_TYPE, kind)], "tandem ".repeat(LONG / 7)).into_response();
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn ask(path: &str, accept: &str) -> reqwest::Response {
        let streamed = || async {
            let pieces = stream::iter(["tandem "; 1000].map(Ok::<_, std::io::Error>));
            ([(CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
        };
        let tagged = |headers: HeaderMap| async move {
            if headers.contains_key(IF_NONE_MATCH) {
                return (StatusCode::NOT_MODIFIED, [(ETAG, "W/\"1\"")]).into_response();
            }
            answer("text/javascript", Some(("etag", "W/\"1\"")))
        };
        let router = Router::new()
            .route("/page", get(tagged))
            .route("/json", get(|| async { answer("application/problem+json; charset=utf-8", None) }))
            .route("/short", get(|| async { ([(CONTENT_TYPE, "application/json")], "{}") }))
            .route("/sound", get(|| async { answer("audio/wav", None) }))
            .route("/strong", get(|| async { answer("application/json", Some(("etag", "\"1\""))) }))
            .route("/range", get(|| async { answer("text/csv", Some(("content-range", "bytes 0-1/2"))) }))
            .route("/stream", get(streamed))
            .route("/events", get(|| async { answer("text/event-stream", None) }))
            .layer(from_fn(layer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("http://{address}{path}")).header("accept-encoding", accept);
        if accept.contains("again") {
            request = request.header("if-none-match", "W/\"1\"");
        }
        request.send().await.unwrap()
    }

    #[tokio::test]
    async fn whole_texts_are_squeezed_for_who_takes_it_and_nothing_else_is() {
        for (path, accept, squeezed, varies) in [
            ("/page", "gzip, deflate, br", true, true),
            ("/json", "*", true, true),
            ("/page", "br, gzip;q=0", false, true),
            ("/page", "GZIP;q=0.1", true, true),
            ("/page", "identity", false, true),
            ("/page", "*;q=1, gzip;q=0", false, true),
            ("/page", "", false, true),
            ("/short", "gzip", false, true),
            ("/sound", "gzip", false, false),
            ("/strong", "gzip", false, false),
            ("/range", "gzip", false, false),
            ("/stream", "gzip", false, true),
            ("/events", "gzip", false, false),
        ] {
            let response = ask(path, accept).await;
            let case = format!("{path} for {accept:?}");
            let head = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(head(CONTENT_ENCODING).as_deref(), squeezed.then_some("gzip"), "{case}");
            assert_eq!(head(VARY).as_deref(), varies.then_some("accept-encoding"), "{case}");
            let length = head(CONTENT_LENGTH);
            let body = response.bytes().await.unwrap();
            assert!(length.is_none_or(|length| length == body.len().to_string()), "{case}");
            if squeezed {
                assert!(body.len() < LONG / 10, "{case}: {} bytes", body.len());
                let mut text = String::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
                assert_eq!(text, "tandem ".repeat(LONG / 7), "{case}");
            }
        }
        let again = ask("/page", "gzip again").await;
        assert_eq!((again.status().as_u16(), again.headers()[VARY].to_str().unwrap()), (304, "accept-encoding"));
    }
}
