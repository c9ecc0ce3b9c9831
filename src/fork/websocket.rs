//! Calls' sound to whoever speaks Twilio's media streams: one WebSocket per call and target.
//!
//! The tap's thread puts decoded blocks into each stream's queue and never waits: [`QUEUE`] blocks may wait for a slow or
//! absent listener, what is more is dropped and counted, and the times in the messages show the hole. A connection that
//! breaks is made again, as a stream of its own, as long as the call runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::lock;
use super::stats::{Counter, Level};
use super::twilio::Talk;
use crate::audio::{Block, Output};
use crate::model::error::chain;
use crate::model::id::CallId;
use crate::model::private_url::PrivateUrl;
use crate::model::rtp::TapKey;

pub use super::twilio::{Encoding, Tracks};

/// Blocks of 100 ms that wait for the listener: 3 s cover a reconnection; older sound is of no use live.
const QUEUE: usize = 30;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A listener that takes nothing for so long is as good as gone.
const SEND_WITHIN: Duration = Duration::from_secs(5);

const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One listener, `[[fork.websocket]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `ws://` or `wss://`.
    pub url: PrivateUrl,
    /// Whether voices may go to another machine unencrypted.
    #[serde(default)]
    pub allow_plain: bool,
    #[serde(default = "mulaw")]
    pub encoding: Encoding,
    #[serde(default = "both")]
    pub tracks: Tracks,
}

fn mulaw() -> Encoding {
    Encoding::Mulaw
}

fn both() -> Tracks {
    Tracks::Both
}

impl Target {
    /// What is wrong with it.
    pub(super) fn error(&self) -> Option<String> {
        let fine = tungstenite::http::Uri::try_from(&*self.url)
            .is_ok_and(|url| matches!(url.scheme_str(), Some("ws" | "wss")) && url.host().is_some());
        if !fine {
            return Some("fork.websocket: url: write ws://host:port/path or wss://…".to_owned());
        }
        (self.url.is_exposed() && !self.allow_plain).then(|| {
            let place = self.url.place();
            format!(
                "fork.websocket: url: whoever is on the way to {place} could listen to the calls: write wss://, or set allow_plain \
                 = true on a network you trust"
            )
        })
    }
}

/// Figures of all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// Streams of running calls, connected or not.
    pub streams: usize,
    pub connected: usize,
    /// Messages with 20 ms of one track.
    pub frames: u64,
    /// Blocks of 100 ms that found the queue full.
    pub dropped_blocks: u64,
    /// Streams that ended before their call because too many were open.
    pub dropped_streams: u64,
    /// Connections that broke while the call ran.
    pub reconnects: u64,
    /// Attempts that failed.
    pub refused: u64,
}

/// The ways to all listeners. Cheap to clone.
#[derive(Clone)]
pub struct Sockets(Arc<Inner>);

struct Inner {
    targets: Vec<Target>,
    runtime: Handle,
    streams: Mutex<BTreeMap<TapKey, Vec<mpsc::Sender<Arc<Block>>>>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    streams: Level,
    connected: Level,
    frames: Counter,
    dropped_blocks: Counter,
    dropped_streams: Counter,
    reconnects: Counter,
    refused: Counter,
}

impl Sockets {
    /// Called inside a runtime.
    pub fn new(targets: Vec<Target>) -> Self {
        let (runtime, streams, counters) = (Handle::current(), Mutex::default(), Counters::default());
        Self(Arc::new(Inner { targets, runtime, streams, counters }))
    }

    /// A call's tap is about to open.
    pub fn open(&self, tap: TapKey, call: &CallId) {
        let streams = self.0.targets.iter().map(|target| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let stream = Stream { inner: Arc::clone(&self.0), target: target.clone(), call: call.clone() };
            self.0.runtime.spawn(stream.run(queue));
            sender
        });
        let streams = streams.collect();
        let mut open = lock(&self.0.streams);
        if open.len() >= super::EXPECTED_MAX
            && let Some((tap, dropped)) = open.pop_first()
        {
            self.0.counters.dropped_streams.add(dropped.len() as u64);
            tracing::error!(
                tap = tap.0,
                streams = dropped.len(),
                "too many media streams at once: the oldest call's end"
            );
        }
        open.insert(tap, streams);
    }

    /// What the tap heard. Never waits.
    pub fn take(&self, heard: &Output) {
        match heard {
            Output::Block(block) => {
                let streams = lock(&self.0.streams);
                let Some(streams) = streams.get(&block.tap).filter(|streams| !streams.is_empty()) else { return };
                let block = Arc::new(block.clone());
                for stream in streams {
                    if stream.try_send(Arc::clone(&block)).is_err() {
                        self.0.counters.dropped_blocks.add(1);
                    }
                }
            }
            // The same sound, for those who keep it encoded.
            Output::Frames(_) => {}
            // The end of its queue is the end of a stream.
            Output::Closed(closed) => drop(lock(&self.0.streams).remove(&closed.tap)),
        }
    }

    pub fn stats(&self) -> SocketStats {
        let of = &self.0.counters;
        SocketStats {
            streams: of.streams.get(),
            connected: of.connected.get(),
            frames: of.frames.get(),
            dropped_blocks: of.dropped_blocks.get(),
            dropped_streams: of.dropped_streams.get(),
            reconnects: of.reconnects.get(),
            refused: of.refused.get(),
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One call to one listener.
struct Stream {
    inner: Arc<Inner>,
    target: Target,
    call: CallId,
}

/// How a connection ended.
enum End {
    /// The call is over and everything was said.
    Call,
    Broken(String),
}

impl Stream {
    async fn run(self, mut queue: mpsc::Receiver<Arc<Block>>) {
        let of = &self.inner.counters;
        of.streams.up();
        let (mut pause, mut told) = (PAUSE_MIN, String::new());
        loop {
            let why = match self.connect().await {
                Ok(socket) => {
                    of.connected.up();
                    let begun = of.frames.get();
                    let end = self.talk(socket, &mut queue).await;
                    of.connected.down();
                    match end {
                        End::Call => break,
                        End::Broken(why) => {
                            of.reconnects.add(1);
                            if of.frames.get() > begun {
                                pause = PAUSE_MIN;
                            }
                            why
                        }
                    }
                }
                Err(why) => {
                    of.refused.add(1);
                    why
                }
            };
            if told != why {
                tracing::warn!(call = %self.call, listener = ?self.target.url, why, "a media stream is not heard; it is tried again");
                told = why;
            }
            if queue.is_closed() {
                // The call is over: nobody hears its rest.
                let mut lost = 0;
                while queue.recv().await.is_some() {
                    lost += 1;
                }
                of.dropped_blocks.add(lost);
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        of.streams.down();
    }

    async fn connect(&self) -> Result<Socket, String> {
        match tokio::time::timeout(CONNECT_WITHIN, connect_async(&*self.target.url)).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer within {CONNECT_WITHIN:?}")),
        }
    }

    async fn talk(&self, mut socket: Socket, queue: &mut mpsc::Receiver<Arc<Block>>) -> End {
        let stream = format!("MZ{}", uuid::Uuid::now_v7().simple());
        let mut talk = Talk::new(stream, self.call.clone(), self.target.encoding, self.target.tracks);
        let begin = talk.begin().to_vec();
        if let Err(why) = say(&mut socket, begin).await {
            return End::Broken(why);
        }
        loop {
            let block = tokio::select! {
                block = queue.recv() => block,
                // Read for its pings and its goodbye; what a listener says back has no meaning here.
                heard = socket.next() => match heard {
                    Some(Ok(Message::Close(_))) | None => return End::Broken("it hung up".to_owned()),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return End::Broken(chain(&error)),
                },
            };
            let Some(block) = block else {
                let last = say(&mut socket, vec![talk.stop()]).await;
                let _gone_already = tokio::time::timeout(SEND_WITHIN, socket.close(None)).await;
                // A listener that cannot be told of the end learns it from the connection's.
                return if last.is_ok() { End::Call } else { End::Broken("it left before the end".to_owned()) };
            };
            let media = talk.media(&block);
            let frames = media.len() as u64;
            if let Err(why) = say(&mut socket, media).await {
                return End::Broken(why);
            }
            self.inner.counters.frames.add(frames);
        }
    }
}

async fn say(socket: &mut Socket, messages: Vec<String>) -> Result<(), String> {
    let said = async {
        for message in messages {
            socket.feed(Message::text(message)).await?;
        }
        socket.flush().await
    };
    match tokio::time::timeout(SEND_WITHIN, said).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("it takes nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::EXPECTED_MAX;

    #[tokio::test]
    async fn one_stream_too_many_ends_the_oldest_call_s_and_is_counted() {
        let target = Target {
            url: "ws://127.0.0.1:1".into(),
            allow_plain: false,
            encoding: Encoding::Mulaw,
            tracks: Tracks::Both,
        };
        let sockets = Sockets::new(vec![target.clone(), target]);
        // Nobody waits here, so no stream runs yet.
        for tap in 0..EXPECTED_MAX as u64 {
            sockets.open(TapKey(tap), &CallId::generate());
        }
        assert_eq!(sockets.stats().dropped_streams, 0);
        sockets.open(TapKey(u64::MAX), &CallId::generate());
        assert_eq!(sockets.stats().dropped_streams, 2);
        assert!(!lock(&sockets.0.streams).contains_key(&TapKey(0)));
    }
}
