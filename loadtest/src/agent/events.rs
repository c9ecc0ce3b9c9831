//! The event stream (server-sent events), with resume.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::Notify;

use super::api::Api;

const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// One event.
#[derive(Clone, Debug)]
pub struct AgentEvent {
    /// Its type, such as `offer.created`.
    pub kind: String,
    /// The stream's `id:`, if it has one.
    pub id: Option<String>,
    /// The `data:` as JSON: `{"type","seq","occurred_at","call_id"?,"data"}`.
    pub json: Value,
    /// When it arrived.
    pub at: Instant,
}

impl AgentEvent {
    /// The inner `data`.
    pub fn data(&self) -> &Value {
        &self.json["data"]
    }
}

#[derive(Default)]
pub(super) struct EventLog {
    events: Mutex<Vec<AgentEvent>>,
    open: AtomicBool,
    changed: Notify,
    break_now: Notify,
}

impl EventLog {
    pub(super) fn all(&self) -> Vec<AgentEvent> {
        self.lock().clone()
    }

    pub(super) fn any(&self, matches: impl Fn(&AgentEvent) -> bool) -> bool {
        self.lock().iter().any(matches)
    }

    pub(super) fn break_stream(&self) {
        self.break_now.notify_one();
    }

    pub(super) async fn opened(&self, timeout: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let changed = self.changed.notified();
            if self.open.load(Ordering::Acquire) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                bail!("not within {timeout:?}");
            }
        }
    }

    pub(super) async fn wait(
        &self,
        timeout: Duration,
        what: &str,
        matches: impl Fn(&AgentEvent) -> bool,
    ) -> Result<AgentEvent> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let changed = self.changed.notified();
            if let Some(found) = self.lock().iter().find(|event| matches(event)) {
                return Ok(found.clone());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let kinds: Vec<String> = self.lock().iter().map(|event| event.kind.clone()).collect();
                bail!("no {what} within {timeout:?}; events so far: {kinds:?}");
            }
        }
    }

    fn note_open(&self) {
        self.open.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn push(&self, event: AgentEvent) {
        tracing::trace!(kind = %event.kind, id = ?event.id, "event");
        self.lock().push(event);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AgentEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the stream for ever, reconnecting with the last id seen.
pub(super) async fn follow(api: Api, path: String, log: Arc<EventLog>) {
    let mut last_id: Option<String> = None;
    loop {
        match api.stream(&path, last_id.as_deref()).await {
            Ok(response) => {
                log.note_open();
                let mut bytes = response.bytes_stream();
                let mut parser = Parser::default();
                loop {
                    tokio::select! {
                        chunk = bytes.next() => match chunk {
                            Some(Ok(chunk)) => {
                                for event in parser.feed(&chunk) {
                                    if event.id.is_some() {
                                        last_id.clone_from(&event.id);
                                    }
                                    log.push(event);
                                }
                            }
                            Some(Err(_)) | None => break,
                        },
                        () = log.break_now.notified() => break,
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "event_stream_refused"),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Cuts bytes into events (WHATWG HTML §9.2.6).
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    kind: String,
    id: Option<String>,
    data: String,
}

impl Parser {
    fn feed(&mut self, chunk: &[u8]) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        for byte in chunk {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let text = String::from_utf8_lossy(&line);
            events.extend(self.take_line(text.trim_end_matches('\r')));
        }
        events
    }

    fn take_line(&mut self, line: &str) -> Option<AgentEvent> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            let id = self.id.take();
            if data.is_empty() {
                return None;
            }
            let json = serde_json::from_str(&data).unwrap_or(Value::String(data));
            return Some(AgentEvent { kind, id, json, at: Instant::now() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.kind = value.to_owned(),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments (an empty field name) keep the connection alive.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_out_of_any_chunks() {
        let text = ": hello\n\nevent: stream.ready\ndata: {\"seq\":4}\n\nevent: call.ringing\r\nid: 5\r\ndata: {\"type\":\r\ndata: \"call.ringing\"}\r\n\r\n";
        for size in [1, 3, 1_000] {
            let mut parser = Parser::default();
            let events: Vec<_> = text.as_bytes().chunks(size).flat_map(|chunk| parser.feed(chunk)).collect();
            let seen: Vec<_> = events.iter().map(|e| (e.kind.as_str(), e.id.as_deref())).collect();
            assert_eq!(seen, [("stream.ready", None), ("call.ringing", Some("5"))]);
            assert_eq!(events[1].json["type"], "call.ringing");
        }
    }
}
