//! The door for people: the console's pages, embedded in the binary. It can do nothing that the API
//! cannot, and knows nothing of it.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// In debug builds read from disk, so that a page changes on reload; in release builds part of the binary.
#[derive(RustEmbed)]
#[folder = "src/console/assets"]
#[allow_missing = true]
struct Assets;

const INDEX: &str = "index.html";

/// Serves every path: assets by their names, and the console itself for all its own paths.
pub fn router() -> Router {
    Router::new().fallback(page::<Assets>)
}

async fn page<A: RustEmbed>(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    // A path without a dot is a place inside the console, which finds its own way from there.
    let name = if path.contains('.') { path } else { INDEX };
    match A::get(name) {
        Some(file) => answer(&file, request.headers()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let fresh = headers.get(IF_NONE_MATCH).is_some_and(|given| matches(given, &etag));
    let mut response =
        if fresh { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data.clone()).into_response() };
    let headers = response.headers_mut();
    if !fresh {
        headers.insert(CONTENT_TYPE, content_type(file.metadata.mimetype()));
    }
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal in quotes"));
    // Asked for every time, sent again only when it changed: after an update nobody runs half old pages.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn content_type(mime: &str) -> HeaderValue {
    let text = mime.starts_with("text/") && !mime.contains("charset");
    let mime = if text { format!("{mime}; charset=utf-8") } else { mime.to_owned() };
    HeaderValue::from_str(&mime).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// RFC 9110 section 13.1.2: a list of tags compared weakly, or `*`.
fn matches(given: &HeaderValue, etag: &str) -> bool {
    let given = given.to_str().unwrap_or("");
    given.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}
