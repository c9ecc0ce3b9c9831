//! One gateway at a worker: its words, its media, and what it is owed.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::control::{FrameError, Goodbye, Open, Said, ToGateway, ToWorker, Token, read_frame, write_frame};
use super::delivery::{self, SendError};
use super::flows::{FlowStats, Flows};
use super::link;
use super::listener::{INTRODUCE_WITHIN, WorkerCounters, WorkerState};
use super::outbox::Entry;
use super::{Fork, lock, roq};
use crate::model::error::chain;
use crate::model::id::{CallId, RecordingId};
use crate::model::rtp::TapKey;
use crate::model::time::Clock;

/// The word of a call's end and its last packets take different ways.
const LAST_PACKETS: Duration = Duration::from_millis(150);

/// A gateway that could not take a recording is asked again.
const OFFER_AGAIN: Duration = Duration::from_secs(30);

/// Words that wait for the network: some minutes of a hundred calls.
const WORDS: usize = 4_096;

/// Reads of a RoQ stream.
const CHUNK: usize = 16 * 1024;

struct Session {
    worker: Arc<WorkerState>,
    gateway: String,
    flows: Mutex<Flows>,
    /// Offered on this connection.
    offered: Mutex<BTreeSet<RecordingId>>,
    words: mpsc::Sender<ToGateway>,
}

/// Where the words of one call go.
#[derive(Debug)]
pub(super) struct Ear {
    words: mpsc::Sender<ToGateway>,
    control: Connection,
    /// Sides that have not said their last word.
    sides: u8,
}

impl Ear {
    /// Never waits. True: that was the last word.
    pub(super) fn tell(&mut self, call: &CallId, said: Said, counters: &WorkerCounters) -> bool {
        let (partial, ended) = (said.is_partial(), matches!(said, Said::Ended { .. }));
        if self.words.try_send(ToGateway::Said { call: call.clone(), said }).is_err() {
            if partial {
                counters.dropped_partials.add(1);
            } else {
                // Nothing may be missing without a word: a gateway that reads nothing is as good as gone, and makes up for
                // what it did not hear.
                self.control.close(VarInt::from_u32(Goodbye::Leaving as u32), b"what was heard is not read");
                return true;
            }
        }
        self.sides -= u8::from(ended);
        self.sides == 0
    }
}

/// Serves a control connection to its end. `introduced` is called once it is known whose it is, or that it is nobody's.
pub(super) async fn run(control: Connection, worker: &Arc<WorkerState>, introduced: impl FnOnce()) {
    let from = control.remote_address();
    let met = tokio::time::timeout(INTRODUCE_WITHIN * 2, meet(&control, worker)).await;
    introduced();
    let met = match met.unwrap_or(Err((Goodbye::NoMedia, "it did not say who it is".to_owned()))) {
        Ok(met) => met,
        Err((goodbye, why)) => {
            worker.counters.refused.add(1);
            tracing::warn!(%from, why, "a gateway was refused");
            control.close(VarInt::from_u32(goodbye as u32), why.as_bytes());
            return;
        }
    };
    let Met { gateway, media, receive, send } = met;
    let (words, queue) = mpsc::channel(WORDS);
    tracing::info!(%from, gateway, "a gateway is there");
    worker.gateways.up();
    let session = Arc::new(Session {
        worker: Arc::clone(worker),
        gateway,
        flows: Mutex::default(),
        offered: Mutex::default(),
        words,
    });
    let why = tokio::select! {
        why = session.obey(receive, &control) => why,
        why = session.hear(&media) => why,
        why = session.hear_streams(&media) => why,
        why = session.deliver(&control) => why,
        // Its end would be taken for ours, so it is held to the end.
        why = link::write_all(queue, send) => why,
        why = control.closed() => why.to_string(),
    };
    let cut = session.end();
    tracing::info!(%from, gateway = session.gateway, why, calls_cut = cut, "a gateway is gone");
    control.close(VarInt::from_u32(Goodbye::Leaving as u32), b"");
    media.close(VarInt::from_u32(roq::ErrorCode::None.code()), b"");
    worker.gateways.down();
}

/// Who is there.
struct Met {
    gateway: String,
    media: Connection,
    receive: RecvStream,
    send: SendStream,
}

async fn meet(control: &Connection, worker: &WorkerState) -> Result<Met, (Goodbye, String)> {
    let nonsense = |error: FrameError| (Goodbye::Nonsense, chain(&error));
    let gone = |error: quinn::ConnectionError| (Goodbye::Nonsense, error.to_string());
    let (mut send, mut receive) = control.accept_bi().await.map_err(gone)?;
    let Some(ToWorker::Hello { token, gateway, version }) = read_frame(&mut receive).await.map_err(nonsense)? else {
        return Err((Goodbye::Nonsense, "it did not introduce itself".to_owned()));
    };
    if !is_same(&token, &worker.token) {
        let why = "wrong token: give gateway and worker the same word (fork.token_file, worker.token_file)";
        return Err((Goodbye::WrongToken, why.to_owned()));
    }
    tracing::debug!(gateway, version, "introduced");
    let version = env!("CARGO_PKG_VERSION").to_owned();
    write_frame(
        &mut send,
        &ToGateway::Welcome { version, listens: worker.hooks.listens, keys: worker.hooks.keys.clone() },
    )
    .await
    .map_err(nonsense)?;
    let Some(ToWorker::Media { binding }) = read_frame(&mut receive).await.map_err(nonsense)? else {
        return Err((Goodbye::Nonsense, "it did not name its media connection".to_owned()));
    };
    let media = worker
        .claim(&binding)
        .await
        .ok_or_else(|| (Goodbye::NoMedia, "its media connection did not come".to_owned()))?;
    write_frame(&mut send, &ToGateway::Ready).await.map_err(nonsense)?;
    Ok(Met { gateway, media, receive, send })
}

impl Session {
    /// What the gateway says, until it says no more.
    async fn obey(self: &Arc<Self>, mut receive: RecvStream, control: &Connection) -> String {
        let mut closing = JoinSet::new();
        loop {
            let message = match read_frame(&mut receive).await {
                Ok(Some(message)) => message,
                Ok(None) => return "it closed its side".to_owned(),
                Err(error) => return chain(&error),
            };
            let now = Clock.instant();
            match message {
                ToWorker::Open(open) => {
                    if let Err(why) = self.open(&open, control) {
                        return why;
                    }
                }
                ToWorker::Gap { flow, side, count } => {
                    self.on_flows(|flows, out| flows.gap(flow, side, count, now, out))
                }
                ToWorker::Switch { flow, side } => self.on_flows(|flows, out| flows.switch(flow, side, now, out)),
                ToWorker::Pause { flow, at_us } => {
                    self.on_flows(|flows, out| flows.pause(flow, Duration::from_micros(at_us), now, out));
                }
                ToWorker::Resume { flow, at_us } => {
                    self.on_flows(|flows, out| flows.resume(flow, Duration::from_micros(at_us), now, out));
                }
                ToWorker::Close { flow, length_us, packets } => {
                    let session = Arc::clone(self);
                    closing.spawn(async move {
                        tokio::time::sleep(LAST_PACKETS).await;
                        let end = (Duration::from_micros(length_us), packets);
                        session.on_flows(|flows, out| flows.close(flow, end, now, out));
                    });
                    while closing.try_join_next().is_some() {}
                }
                ToWorker::Kept { recording } => self.kept(recording).await,
                ToWorker::Refused { recording, why } => {
                    self.worker.counters.undelivered.add(1);
                    tracing::error!(gateway = self.gateway, %recording, why, "the gateway cannot take a recording; it is asked again");
                    self.offer_again(recording);
                }
                ToWorker::Hello { .. } | ToWorker::Media { .. } => return "it introduced itself twice".to_owned(),
            }
        }
    }

    /// Why it cannot be: the gateway then takes all of its calls elsewhere.
    fn open(&self, open: &Open, control: &Connection) -> Result<(), String> {
        let Open { call, recording, started, format, listen, consent, .. } = open.clone();
        if !lock(&self.flows).takes(open) {
            return Err(format!("flow {} was opened twice", open.flow));
        }
        let tap = TapKey::next();
        let entry = Entry {
            gateway: self.gateway.clone(),
            call: call.clone(),
            recording: recording.clone(),
            started,
            path: (self.worker.hooks.place)(&recording, started, format),
            consent: consent.clone(),
            outcome: None,
        };
        if !self.worker.outbox.begin(entry) {
            return Err(format!("{recording} is being recorded here already, or waits to be delivered"));
        }
        if listen {
            let ear = Ear { words: self.words.clone(), control: control.clone(), sides: 2 };
            lock(&self.worker.ears).insert(call.clone(), ear);
        }
        (self.worker.hooks.open)(Fork { tap, call, recording, started, format, listen, consent });
        self.on_flows(|flows, out| flows.open(open, tap, Clock.instant(), out));
        Ok(())
    }

    /// Datagrams, as they come.
    async fn hear(&self, media: &Connection) -> String {
        loop {
            match media.read_datagram().await {
                Ok(bytes) => self.on_flows(|flows, out| flows.datagram(&bytes, Clock.instant(), out)),
                Err(error) => return format!("media: {error}"),
            }
        }
    }

    /// RoQ's other carrier: ours sends none, another sender may.
    async fn hear_streams(self: &Arc<Self>, media: &Connection) -> String {
        let mut streams = JoinSet::new();
        loop {
            let stream = match media.accept_uni().await {
                Ok(stream) => stream,
                Err(error) => return format!("media: {error}"),
            };
            streams.spawn(Arc::clone(self).hear_stream(stream));
            while streams.try_join_next().is_some() {}
        }
    }

    async fn hear_stream(self: Arc<Self>, mut stream: RecvStream) {
        let mut reader = roq::StreamReader::default();
        while let Ok(Some(chunk)) = stream.read_chunk(CHUNK, true).await {
            reader.push(&chunk.bytes);
            loop {
                match reader.poll() {
                    Ok(Some((flow, packet))) => {
                        self.on_flows(|flows, out| flows.packet(flow.get(), packet, Clock.instant(), out));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        self.worker.counters.malformed.add(1);
                        tracing::debug!(%error, "a RoQ stream");
                        let _closed = stream.stop(VarInt::from_u32(roq::ErrorCode::Packet.code()));
                        return;
                    }
                }
            }
        }
    }

    /// Recordings of this gateway, one after another, as they are finished.
    async fn deliver(self: &Arc<Self>, control: &Connection) -> String {
        loop {
            let mut news = std::pin::pin!(self.worker.news.notified());
            news.as_mut().enable();
            for entry in self.worker.outbox.pending(&self.gateway) {
                if !lock(&self.offered).insert(entry.recording.clone()) {
                    continue;
                }
                let recording = entry.recording.clone();
                match send(control, entry).await {
                    Ok(()) => {}
                    Err(SendError::Stopped) => tracing::debug!(%recording, "stopped by the gateway"),
                    Err(SendError::Gone(error)) => return chain(&error),
                    Err(error @ SendError::Disk(_)) => {
                        tracing::error!(%recording, why = chain(&error), "a recording cannot be delivered; it is tried again");
                        self.offer_again(recording);
                    }
                }
            }
            news.await;
        }
    }

    fn offer_again(self: &Arc<Self>, recording: RecordingId) {
        let session = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(OFFER_AGAIN).await;
            lock(&session.offered).remove(&recording);
            session.worker.news.notify_waiters();
        });
    }

    async fn kept(&self, recording: RecordingId) {
        let (worker, gateway, id) = (Arc::clone(&self.worker), self.gateway.clone(), recording.clone());
        let removed = tokio::task::spawn_blocking(move || worker.outbox.remove(&id, &gateway));
        match removed.await {
            Ok(Ok(true)) => {
                self.worker.counters.delivered.add(1);
                tracing::info!(%recording, "delivered");
            }
            Ok(Ok(false)) => tracing::warn!(%recording, "the gateway kept a recording that is none of its own"),
            Ok(Err(error)) => tracing::error!(%recording, %error, "a delivered recording cannot be removed here"),
            Err(panic) => tracing::error!(%recording, %panic, "removing a delivered recording failed"),
        }
    }

    /// Does something to the flows; what comes out goes to the tap, the figures to the worker.
    fn on_flows(&self, act: impl FnOnce(&mut Flows, &mut dyn FnMut(crate::model::rtp::TapRecord))) {
        let mut flows = lock(&self.flows);
        let before = (flows.len(), flows.stats);
        act(&mut flows, &mut |record| (self.worker.hooks.record)(record));
        let after = (flows.len(), flows.stats);
        drop(flows);
        self.count(before, after);
    }

    fn count(&self, before: (usize, FlowStats), after: (usize, FlowStats)) {
        let to = &self.worker.counters;
        for _ in before.0..after.0 {
            to.calls.up();
        }
        for _ in after.0..before.0 {
            to.calls.down();
        }
        to.packets.add(after.1.packets - before.1.packets);
        to.bytes.add(after.1.bytes - before.1.bytes);
        to.malformed.add(after.1.malformed - before.1.malformed);
        to.strays.add(after.1.strays - before.1.strays);
        to.lost.add(after.1.lost - before.1.lost);
    }

    fn end(&self) -> usize {
        let mut cut = 0;
        lock(&self.worker.ears).retain(|_, ear| !ear.words.same_channel(&self.words));
        self.on_flows(|flows, out| cut = flows.cut(out));
        self.worker.counters.cut.add(cut as u64);
        cut
    }
}

async fn send(control: &Connection, entry: Entry) -> Result<(), SendError> {
    let folder = entry.path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    // Looks what lies in the folder.
    let delivery = tokio::task::spawn_blocking(move || entry.delivery()).await;
    let delivery = delivery.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(SendError::Disk)?;
    match delivery {
        Some(delivery) => delivery::send(control, delivery, &folder).await,
        None => Ok(()),
    }
}

/// Compares in a time that tells nothing about how much is right.
fn is_same(given: &Token, ours: &Token) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(given.0.as_bytes(), ours.0.as_bytes()).is_ok()
}
