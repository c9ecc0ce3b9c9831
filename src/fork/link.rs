//! The way to one worker: two QUIC connections, kept up as long as the gateway runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint, SendDatagramError, VarInt};
use serde::Serialize;
use tokio::sync::mpsc;

use super::config::split_address;
use super::control::{BINDING_LABEL, FrameError, Goodbye, ToGateway, ToWorker, read_frame, write_frame};
use super::delivery::{self, ReceiveError};
use super::keys::Keys;
use super::stats::{Counter, Level};
use super::tls::{Clients, SEND_BUFFER};
use super::{Shared, control::Token};
use crate::model::error::chain;

/// Messages of calls' beginnings and ends that wait for the network. A worker that leaves so many unread is not well.
const COMMANDS: usize = 4_096;

/// From the first attempt to a connection that may carry calls.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The same for one of the addresses of a name, so that one nobody answers at costs a second and no more.
const ADDRESS_WITHIN: Duration = Duration::from_secs(2);

/// Between attempts, doubling: a worker that restarts is back within the first ones.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// 250 ms of one call: 25 packets of both sides at the 40 kb/s of a generous browser. Older media is of no use to a
/// live listener, and a recorder is better told of a hole than kept waiting.
const QUEUED_PER_CALL: usize = 3_000;
/// One reading of the tap's ring comes at once, however few the calls.
const QUEUED_MIN: usize = 16_000;

const _: () = assert!(QUEUED_MIN < SEND_BUFFER);

/// What every link needs to be somebody at the worker's.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) endpoint: Endpoint,
    pub(super) clients: Clients,
    pub(super) token: Token,
    pub(super) gateway: String,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: String,
    live: Mutex<Option<Arc<Live>>>,
    /// The last attempt met other keys.
    other_keys: AtomicBool,
    pub(super) counters: Counters,
}

/// What happened on a link since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
    pub(super) dropped: Counter,
    pub(super) withheld: Counter,
    pub(super) connects: Counter,
    pub(super) refused: Counter,
    /// Of connections that are gone.
    pub(super) quic_lost: Counter,
    pub(super) delivered: Counter,
    pub(super) undelivered: Counter,
}

/// A worker that is there. A call keeps hold of the one it was placed on; when that is dead, so is its flow.
#[derive(Debug)]
pub(super) struct Live {
    /// No other connection of this process has it.
    number: u64,
    listens: bool,
    media: Connection,
    commands: mpsc::Sender<ToWorker>,
    dead: AtomicBool,
    flows: AtomicU64,
    pub(super) calls: Level,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// No room, or too long for the path.
    Dropped,
}

/// A worker that could not be had.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("its name cannot be resolved")]
    Resolve(#[source] std::io::Error),
    #[error("its name has no address")]
    Nameless,
    #[error("its address cannot be used")]
    Address(#[from] quinn::ConnectError),
    #[error("no connection")]
    Connection(#[from] quinn::ConnectionError),
    #[error("it does not speak")]
    Frame(#[from] FrameError),
    #[error("it said something else than was expected")]
    Unexpected,
    #[error("the media connection has no name of its own")]
    Binding,
    #[error("{0}")]
    OtherKeys(String),
    #[error("no answer within {ADDRESS_WITHIN:?}")]
    Timeout,
}

impl Link {
    pub(super) fn new(address: String) -> Self {
        Self { address, live: Mutex::default(), other_keys: AtomicBool::new(false), counters: Counters::default() }
    }

    /// The worker, if it is there.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
        self.lock().clone().filter(|live| !live.is_dead())
    }

    /// Whether the worker is there and not used, because it signs or seals with other keys.
    pub(super) fn has_other_keys(&self) -> bool {
        self.other_keys.load(Ordering::Relaxed)
    }

    /// Keeps the worker connected for ever; to be aborted at the end.
    pub(super) async fn run(self: Arc<Self>, credentials: Arc<Credentials>, shared: Arc<Shared>) {
        let mut pause = PAUSE_MIN;
        let mut told = String::new();
        loop {
            let connected = tokio::time::timeout(CONNECT_WITHIN, self.connect(&credentials, &shared.hooks.keys)).await;
            let connected = connected.unwrap_or(Err(ConnectError::Timeout));
            self.other_keys.store(matches!(connected, Err(ConnectError::OtherKeys(_))), Ordering::Relaxed);
            match connected {
                Ok(connected) => {
                    pause = PAUSE_MIN;
                    told.clear();
                    tracing::info!(worker = self.address, "a worker is there");
                    self.counters.connects.add(1);
                    let why = self.serve(connected, &shared).await;
                    tracing::warn!(worker = self.address, why, "a worker is gone; its calls go elsewhere");
                }
                Err(error) => {
                    self.counters.refused.add(1);
                    let why = chain(&error);
                    // Once a reason: a worker may be away for days.
                    if told != why {
                        tracing::warn!(worker = self.address, why, "a worker cannot be had; it is tried again");
                        told = why;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self, credentials: &Credentials, keys: &Keys) -> Result<Connected, ConnectError> {
        let (host, port) = split_address(&self.address).ok_or(ConnectError::Nameless)?;
        let found = tokio::net::lookup_host((host, port)).await.map_err(ConnectError::Resolve)?;
        first(found, |address| meet(credentials, keys, address, host)).await
    }

    /// Carries calls until the worker is gone; says why.
    async fn serve(&self, connected: Connected, shared: &Arc<Shared>) -> String {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Connected { control, media, send, mut receive, listens } = connected;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let live = Arc::new(Live {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            listens,
            media: media.clone(),
            commands: commands.clone(),
            dead: AtomicBool::new(false),
            flows: AtomicU64::new(0),
            calls: Level::default(),
        });
        *self.lock() = Some(Arc::clone(&live));
        let why = tokio::select! {
            why = write_all(queue, send) => why,
            why = listen(&mut receive, live.number, shared) => why,
            why = self.take_deliveries(&control, &commands, shared) => why,
            why = control.closed() => why.to_string(),
            why = media.closed() => format!("media: {why}"),
        };
        live.dead.store(true, Ordering::Release);
        *self.lock() = None;
        self.counters.quic_lost.add(live.lost());
        shared.lose_ears(live.number);
        control.close(VarInt::from_u32(Goodbye::Leaving as u32), b"");
        media.close(VarInt::from_u32(super::roq::ErrorCode::None.code()), b"");
        why
    }

    /// Takes finished recordings, one after another, so that they never outrun the disk.
    async fn take_deliveries(
        &self,
        control: &Connection,
        commands: &mpsc::Sender<ToWorker>,
        shared: &Arc<Shared>,
    ) -> String {
        loop {
            let mut stream = match control.accept_uni().await {
                Ok(stream) => stream,
                Err(error) => return error.to_string(),
            };
            let answer = match delivery::receive(&mut stream, &shared.hooks.intake).await {
                Ok(received) => {
                    self.counters.delivered.add(1);
                    ToWorker::Kept { recording: shared.take_received(received) }
                }
                // If the connection broke, the next delivery says so.
                Err(ReceiveError::Cut) => {
                    self.counters.undelivered.add(1);
                    tracing::warn!(worker = self.address, "a delivery ended in the middle; the worker offers it again");
                    continue;
                }
                Err(error @ ReceiveError::Nonsense(_)) => {
                    self.counters.undelivered.add(1);
                    tracing::error!(
                        worker = self.address,
                        why = chain(&error),
                        "a worker's recording could not be taken; the worker keeps it"
                    );
                    continue;
                }
                Err(ReceiveError::Refused { recording, why }) => {
                    self.counters.undelivered.add(1);
                    tracing::error!(worker = self.address, %recording, why, "a worker's recording could not be taken; the worker keeps it");
                    ToWorker::Refused { recording, why }
                }
            };
            if commands.send(answer).await.is_err() {
                return "its commands are not read".to_owned();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether it has a recogniser.
    pub(super) fn listens(&self) -> bool {
        self.listens
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A number no other call of this connection has.
    pub(super) fn next_flow(&self) -> u64 {
        self.flows.fetch_add(1, Ordering::Relaxed)
    }

    /// Never waits. A worker that reads nothing any more is given up.
    pub(super) fn tell(&self, message: ToWorker) {
        if self.commands.try_send(message).is_err() {
            self.dead.store(true, Ordering::Release);
            self.media
                .close(VarInt::from_u32(super::roq::ErrorCode::Internal.code()), b"control messages are not read");
        }
    }

    /// Never waits. The state of the connection is behind a lock that its driver holds for microseconds; only the tap
    /// worker's thread calls this.
    pub(super) fn send(&self, datagram: Vec<u8>) -> Sent {
        if self.queued() + datagram.len() > queue_bound(self.calls.get()) {
            return Sent::Dropped;
        }
        match self.media.send_datagram(Bytes::from(datagram)) {
            Ok(()) => Sent::Yes,
            Err(SendDatagramError::ConnectionLost(_)) => {
                self.dead.store(true, Ordering::Release);
                Sent::Dropped
            }
            Err(SendDatagramError::TooLarge | SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
                Sent::Dropped
            }
        }
    }

    /// Bytes handed over and not yet on the wire.
    pub(super) fn queued(&self) -> usize {
        SEND_BUFFER.saturating_sub(self.media.datagram_send_buffer_space())
    }

    /// QUIC packets that did not arrive.
    pub(super) fn lost(&self) -> u64 {
        self.media.stats().path.lost_packets
    }

    pub(super) fn rtt(&self) -> Duration {
        self.media.rtt()
    }
}

/// What the first of these addresses gives that gives anything.
async fn first<T, F>(
    addresses: impl Iterator<Item = SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let mut why = ConnectError::Nameless;
    for address in addresses {
        match tokio::time::timeout(ADDRESS_WITHIN, attempt(address)).await.unwrap_or(Err(ConnectError::Timeout)) {
            Ok(connected) => return Ok(connected),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Introduces itself to a worker, and makes sure that it is one.
async fn meet(
    credentials: &Credentials,
    keys: &Keys,
    address: SocketAddr,
    host: &str,
) -> Result<Connected, ConnectError> {
    let control = credentials.endpoint.connect_with(credentials.clients.control.clone(), address, host)?.await?;
    let (mut send, mut receive) = control.open_bi().await?;
    let (token, gateway) = (credentials.token.clone(), credentials.gateway.clone());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    write_frame(&mut send, &ToWorker::Hello { token, gateway, version }).await?;
    let welcome = answer(&control, &mut receive).await?;
    let ToGateway::Welcome { listens, keys: theirs, .. } = welcome else { return Err(ConnectError::Unexpected) };
    if let Some(why) = keys.differ(&theirs) {
        control.close(VarInt::from_u32(Goodbye::OtherKeys as u32), why.as_bytes());
        return Err(ConnectError::OtherKeys(why));
    }
    let media = credentials.endpoint.connect_with(credentials.clients.media.clone(), address, host)?.await?;
    let binding = binding(&media).ok_or(ConnectError::Binding)?;
    write_frame(&mut send, &ToWorker::Media { binding }).await?;
    let ToGateway::Ready = answer(&control, &mut receive).await? else { return Err(ConnectError::Unexpected) };
    Ok(Connected { control, media, send, receive, listens })
}

struct Connected {
    control: Connection,
    media: Connection,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    listens: bool,
}

/// Names a connection so that only its two ends know it (hex).
pub(super) fn binding(connection: &Connection) -> Option<String> {
    let mut out = [0; 32];
    connection.export_keying_material(&mut out, BINDING_LABEL, b"").ok()?;
    Some(hex::encode(out))
}

fn queue_bound(calls: usize) -> usize {
    (calls * QUEUED_PER_CALL).clamp(QUEUED_MIN, SEND_BUFFER)
}

pub(super) async fn write_all<T: Serialize>(mut queue: mpsc::Receiver<T>, mut send: quinn::SendStream) -> String {
    while let Some(message) = queue.recv().await {
        if let Err(error) = write_frame(&mut send, &message).await {
            return chain(&error);
        }
    }
    "nobody commands it any more".to_owned()
}

/// What a worker says besides its deliveries, until it says no more.
async fn listen(receive: &mut quinn::RecvStream, number: u64, shared: &Shared) -> String {
    loop {
        match read_frame(receive).await {
            Ok(Some(ToGateway::Said { call, said })) => shared.take_said(&call, number, said),
            Ok(Some(ToGateway::Welcome { .. } | ToGateway::Ready)) => {}
            Ok(None) => return "it closed its side".to_owned(),
            Err(error) => return chain(&error),
        }
    }
}

/// The worker's answer; what it said with the end of the connection, if that is what came.
async fn answer(control: &Connection, receive: &mut quinn::RecvStream) -> Result<ToGateway, ConnectError> {
    match read_frame(receive).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(control.closed().await.into()),
        Err(FrameError::Cut(_)) if control.close_reason().is_some() => Err(control.closed().await.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_nobody_answers_at_does_not_hide_the_next_one() {
        let address = |host: u8| SocketAddr::from(([127, 0, 0, host], 4_433));
        let attempt = async |at: SocketAddr| match at {
            at if at == address(1) => std::future::pending().await,
            at if at == address(2) => Err(ConnectError::Unexpected),
            at => Ok(at),
        };
        let begun = tokio::time::Instant::now();
        assert_eq!(first([1, 2, 3].map(address).into_iter(), attempt).await.unwrap(), address(3));
        assert!(begun.elapsed() < CONNECT_WITHIN);
        let why = first([2, 1].map(address).into_iter(), attempt).await.unwrap_err();
        assert!(matches!(why, ConnectError::Timeout), "{why}");
        assert!(matches!(first(std::iter::empty(), attempt).await, Err(ConnectError::Nameless)));
    }

    #[test]
    fn no_more_than_a_quarter_of_a_second_waits_for_the_network() {
        // 40 kb/s: 100 bytes every 20 ms, with RTP header and flow id, both sides.
        let quarter = |calls: usize| calls * 2 * 250 / 20 * (100 + 14);
        for calls in [10, 100, 300] {
            let bound = queue_bound(calls);
            assert!((quarter(calls)..=quarter(calls) * 11 / 10 + 1_000).contains(&bound), "{calls}: {bound}");
        }
        assert_eq!(queue_bound(0), QUEUED_MIN);
        assert_eq!(queue_bound(10_000), SEND_BUFFER);
    }
}
