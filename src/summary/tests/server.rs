//! A language model of our own: it says what the test lets it say, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

/// What it answers; the last one for ever.
#[derive(Clone)]
pub(super) enum Reply {
    /// As the model's text.
    Says(String),
    Status(u16, &'static [(&'static str, &'static str)], String),
    /// The body as it is, with 200.
    Raw(String),
    /// Never.
    Silent,
}

#[derive(Clone, Default)]
pub(super) struct Server {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    replies: VecDeque<Reply>,
    asked: Vec<(HeaderMap, Bytes)>,
}

impl Server {
    /// Its base address, and itself.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> (String, Self) {
        let server = Self::default();
        server.inner.lock().unwrap().replies.extend(replies);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let routes = axum::Router::new().route("/v1/chat/completions", post(answer)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (url, server)
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<Value> {
        self.inner.lock().unwrap().asked.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Everything that was sent to it, byte for byte.
    pub(super) fn bytes(&self) -> String {
        let inner = self.inner.lock().unwrap();
        inner.asked.iter().map(|(headers, body)| format!("{headers:?}{}", String::from_utf8_lossy(body))).collect()
    }

    pub(super) fn key(&self) -> Option<String> {
        let inner = self.inner.lock().unwrap();
        Some(inner.asked.last()?.0.get("authorization")?.to_str().unwrap().to_owned())
    }
}

async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let reply = {
        let mut inner = server.inner.lock().unwrap();
        inner.asked.push((headers, body));
        if inner.replies.len() > 1 { inner.replies.pop_front() } else { inner.replies.front().cloned() }
    };
    match reply.expect("a server with something to say") {
        Reply::Says(text) => {
            let message = json!({ "role": "assistant", "content": text });
            axum::Json(json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }))
                .into_response()
        }
        Reply::Status(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Reply::Raw(body) => body.into_response(),
        Reply::Silent => std::future::pending().await,
    }
}
