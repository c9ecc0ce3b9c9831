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
    // Weak: the same page compressed is as good.
    let etag = format!("W/\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
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
    given
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag.trim_start_matches("W/"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::Write as _;

    use super::*;

    /// Three files, as a build would embed them.
    struct Some3;

    impl RustEmbed for Some3 {
        fn get(path: &str) -> Option<EmbeddedFile> {
            let text = match path {
                "index.html" => "<!doctype html><title>Console</title>",
                "app.js" => "export {};",
                "fonts/a.woff2" => "wOF2",
                _ => return None,
            };
            let suffix = path.rsplit_once('.').map(|(_, end)| format!(".{end}")).unwrap_or_default();
            let mut file = tempfile::Builder::new().suffix(&suffix).tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            Some(rust_embed::utils::read_file_from_fs(file.path()).unwrap())
        }

        fn iter() -> impl Iterator<Item = Cow<'static, str>> + 'static {
            ["index.html", "app.js", "fonts/a.woff2"].into_iter().map(Cow::Borrowed)
        }
    }

    async fn ask(method: Method, path: &str, tag: Option<&HeaderValue>) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let response = page::<Some3>(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.into()).unwrap())
    }

    #[tokio::test]
    async fn paths_without_a_dot_are_the_console_and_others_are_files() {
        for (path, status, kind) in [
            ("/", 200, "text/html; charset=utf-8"),
            ("/calls/call_1", 200, "text/html; charset=utf-8"),
            ("/index.html", 200, "text/html; charset=utf-8"),
            ("/app.js", 200, "text/javascript; charset=utf-8"),
            ("/fonts/a.woff2", 200, "font/woff2"),
            ("/missing.js", 404, ""),
            ("/../Cargo.toml", 404, ""),
        ] {
            let (got, headers, _) = ask(Method::GET, path, None).await;
            let got_kind = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
            assert_eq!((got, got_kind), (status, kind), "{path}");
        }
    }

    #[tokio::test]
    async fn a_page_is_sent_again_only_when_it_changed() {
        let (_, headers, body) = ask(Method::GET, "/", None).await;
        assert!(body.contains("Console"));
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        let tag = &headers[ETAG];
        assert_eq!(ask(Method::GET, "/calls", Some(tag)).await.0, 304);
        let (status, again, body) = ask(Method::GET, "/app.js", Some(tag)).await;
        assert_eq!((status, again[ETAG] == *tag, body.as_str()), (200, false, "export {};"));
    }

    #[tokio::test]
    async fn pages_are_read_only() {
        let (status, headers, _) = ask(Method::POST, "/", None).await;
        assert_eq!((status, headers[ALLOW].to_str().unwrap()), (405, "GET, HEAD"));
    }
}
