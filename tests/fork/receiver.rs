//! Somebody who takes media streams.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

/// Times and sound of a track.
pub(crate) fn heard(events: &[Value], track: &str, decode: impl Fn(&[u8]) -> Vec<i16>) -> (Vec<u64>, Vec<i16>) {
    let (mut times, mut pcm) = (Vec::new(), Vec::new());
    for media in events.iter().map(|event| &event["media"]).filter(|media| media["track"] == track) {
        times.push(media["timestamp"].as_str().unwrap().parse().unwrap());
        pcm.extend(decode(&STANDARD.decode(media["payload"].as_str().unwrap()).unwrap()));
    }
    (times, pcm)
}

#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) url: String,
    events: Arc<Mutex<Vec<Value>>>,
    hang_up_after: Arc<Mutex<usize>>,
}

impl Listener {
    pub(crate) async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/stream", socket.local_addr().unwrap());
        let listener = Self { url, events: Arc::default(), hang_up_after: Arc::new(Mutex::new(usize::MAX)) };
        let hearing = listener.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = stream.next().await {
                    if let Message::Text(text) = message {
                        hearing.events.lock().unwrap().push(serde_json::from_str(&text).unwrap());
                    }
                    let hang_up = hearing.events.lock().unwrap().len() >= *hearing.hang_up_after.lock().unwrap();
                    if hang_up {
                        *hearing.hang_up_after.lock().unwrap() = usize::MAX;
                        break;
                    }
                }
            }
        });
        listener
    }

    /// Once.
    pub(crate) fn hang_up_after(&self, messages: usize) {
        *self.hang_up_after.lock().unwrap() = messages;
    }

    pub(crate) fn said(&self, kind: &str) -> usize {
        self.events.lock().unwrap().iter().filter(|event| event["event"] == kind).count()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }
}
