//! The task of one leg: connects, sends, listens, and connects again.
//!
//! It may fail, be late or be dropped in the middle of a word: what the server did not answer is told as missed, and the
//! end is told, whatever happens. Nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::dialect::{Dialect, Message, Output};
use super::places::Places;
use super::server::Server;
use super::socket::Socket;
use super::stats::Counters;
use super::stream::Shared;
use super::tail::{Chunk, Span};
use super::told::{Told, to_ms};
use crate::audio::RATE_HZ;
use crate::model::time::Clock;

/// Sound in one message, where the server hears everything: enough to catch up, and little enough for a server that looks
/// for pauses at its end.
const CHUNK: usize = RATE_HZ as usize / 2;

/// Of a silence that was jumped over, so much is sent: the server shall find an end there.
const SILENCE: u64 = RATE_HZ as u64;

/// One leg's conversation with a server.
pub(super) struct Talk {
    pub(super) server: Arc<Server>,
    pub(super) shared: Arc<Shared>,
    pub(super) told: Told,
    pub(super) counters: Arc<Counters>,
    /// How long after the last sound its answers are waited for.
    pub(super) finish_within: Duration,
    /// So many attempts in a row without an answer are the end of it; `None` = a call is listened to while it runs.
    pub(super) failures_max: Option<u32>,
    /// Why the last connection failed, for whoever asks.
    pub(super) why: Arc<Mutex<String>>,
}

/// What is known of one connection.
struct Connection {
    socket: Socket,
    dialect: Box<dyn Dialect>,
    places: Places,
    /// The server has answered something.
    is_useful: bool,
    /// The server was told that no more sound follows.
    is_finishing: bool,
    /// The server has said its last word.
    is_over: bool,
    sent_at: Instant,
    /// When the server said something new, or first owed an answer.
    moved_at: Instant,
}

impl Talk {
    /// Until the leg has ended and everything was answered, or it is too late.
    pub(super) async fn run(mut self) {
        let (shared, within) = (Arc::clone(&self.shared), self.finish_within);
        let late = async {
            shared.ended().await;
            tokio::time::sleep(within).await;
        };
        let is_late = tokio::select! {
            () = self.talk_on() => false,
            () = late => true,
        };
        // Where nothing else is known.
        if is_late && lock(&self.why).is_empty() {
            self.note(format!("it did not answer within {within:?} after the end"));
        }
    }

    async fn talk_on(&mut self) {
        let patience = self.server.patience;
        let mut failures = 0;
        while self.shared.wait_for_sound().await {
            let why = match Socket::connect(&self.server.address, patience.connect).await {
                Err(why) => {
                    self.counters.refused.add(1);
                    why
                }
                Ok(socket) => {
                    let counters = Arc::clone(&self.counters);
                    let _connected = Connected::new(&counters);
                    match self.talk(socket, &mut failures).await {
                        Ok(()) => continue,
                        Err(why) => {
                            self.counters.broken.add(1);
                            why
                        }
                    }
                }
            };
            let given_up = self.shared.rewind();
            self.tell_missed(given_up);
            self.note(why);
            failures += 1;
            if self.failures_max == Some(failures) {
                return;
            }
            let pause = patience.pause_min * 2_u32.saturating_pow(failures.min(16) - 1);
            tokio::time::sleep(spread(pause.min(patience.pause_max))).await;
        }
    }

    /// One connection, until nothing is owed on it any more.
    async fn talk(&mut self, socket: Socket, failures: &mut u32) -> Result<(), String> {
        let patience = self.server.patience;
        let mut on = Connection::new(socket, self.server.dialect(self.told.leg()));
        let begin = on.dialect.begin();
        on.socket.send(begin).await?;
        loop {
            self.send(&mut on).await?;
            if on.is_over || self.shared.is_done() {
                on.socket.close().await;
                return Ok(());
            }
            tokio::select! {
                received = on.socket.receive() => match received? {
                    Some(message) => {
                        for output in on.dialect.handle(message)? {
                            self.take(&mut on, output, failures).await?;
                        }
                    }
                    None if self.shared.is_owed() => return Err("it hung up and owes an answer".to_owned()),
                    None if self.shared.waits() && !on.is_useful => return Err("it hung up at once".to_owned()),
                    None => return Ok(()),
                },
                () = self.shared.changed() => {}
                () = tokio::time::sleep_until(on.sent_at + patience.idle) => {
                    let messages = on.dialect.idle();
                    on.socket.send(messages).await?;
                    on.sent_at = now();
                }
                () = tokio::time::sleep_until(on.moved_at + patience.reply), if self.is_owed(&on) => {
                    return Err(format!("it did not answer within {:?}", patience.reply));
                }
            }
        }
    }

    /// Whether the server has reason to say something: it owes an answer, or its greeting.
    fn is_owed(&self, on: &Connection) -> bool {
        self.shared.is_owed() || (self.shared.waits() && !on.dialect.takes_sound())
    }

    /// Sends what waits, as far as the server takes it, and the last word after the last sound.
    async fn send(&mut self, on: &mut Connection) -> Result<(), String> {
        let samples_max = if self.server.engine.wants_stretches() { 0 } else { CHUNK };
        while on.dialect.takes_sound() {
            let was_owed = self.shared.is_owed();
            let Some((chunk, missed)) = self.shared.next(samples_max) else { break };
            self.tell_missed(missed);
            self.counters.sent_ms.add(to_ms(chunk.pcm.len() as u64));
            self.counters.resent_ms.add(to_ms(chunk.resent));
            let messages = on.put(chunk, samples_max > 0);
            on.socket.send(messages).await?;
            on.sent_at = now();
            if !was_owed {
                on.moved_at = on.sent_at;
            }
        }
        if !on.is_finishing && self.shared.is_at_end() {
            on.is_finishing = true;
            let messages = on.dialect.finish();
            on.socket.send(messages).await?;
        }
        Ok(())
    }

    async fn take(&mut self, on: &mut Connection, output: Output, failures: &mut u32) -> Result<(), String> {
        on.moved_at = now();
        match output {
            Output::Partial(words) => {
                let span = on.span(words.from, words.to);
                self.told.tell_partial(words, span);
            }
            Output::Final(words) => {
                let span = on.span(words.from, words.to);
                let since = self.shared.since(span.end);
                if self.told.tell_final(words, span)
                    && let Some(since) = since
                {
                    self.counters.lag(Clock.instant() - since);
                }
            }
            Output::Missed { from, to } => self.told.tell_missed(on.span(from, to)),
            Output::Settled(to) => {
                self.shared.settle(on.places.place_before(to));
                on.places.forget(to);
                on.is_useful = true;
                *failures = 0;
            }
            Output::Send(message) => on.socket.send(vec![message]).await?,
            Output::Over => {
                on.is_over = true;
                // After its last word there is nothing left to be said about the rest.
                if on.is_finishing {
                    self.shared.settle(u64::MAX);
                }
            }
        }
        Ok(())
    }

    fn tell_missed(&mut self, spans: Vec<Span>) {
        for span in spans {
            self.told.tell_missed(span);
        }
    }

    /// Tells why a connection failed, once for each reason.
    fn note(&self, why: String) {
        let mut last = lock(&self.why);
        if *last != why {
            let (call, engine, host) = (&self.told.leg().call, self.server.engine.name(), self.server.address.host());
            tracing::warn!(%call, engine, host, why, "the speech recogniser is not heard; it is tried again");
            *last = why;
        }
    }
}

impl Drop for Talk {
    /// However it came to an end.
    fn drop(&mut self) {
        let missed = self.shared.give_up();
        self.tell_missed(missed);
        self.told.tell_end();
    }
}

impl Connection {
    fn new(socket: Socket, dialect: Box<dyn Dialect>) -> Self {
        let places = Places::default();
        let (sent_at, moved_at) = (now(), now());
        Self { socket, dialect, places, is_useful: false, is_finishing: false, is_over: false, sent_at, moved_at }
    }

    /// Sound as messages; where the server hears everything, with some of the silence that was jumped over before it.
    fn put(&mut self, chunk: Chunk, hears_all: bool) -> Vec<Message> {
        let mut messages = Vec::new();
        if let Some(end) = self.places.end().filter(|end| hears_all && *end < chunk.start) {
            let silence = (chunk.start - end).min(SILENCE);
            self.places.send(end, silence);
            messages = self.dialect.send(&vec![0; silence as usize]);
        }
        self.places.send(chunk.start, chunk.pcm.len() as u64);
        messages.extend(self.dialect.send(&chunk.pcm));
        messages
    }

    /// Where in the call something lies.
    fn span(&self, from: u64, to: u64) -> Span {
        let end = self.places.place_before(to);
        self.places.place_from(from).min(end)..end
    }
}

/// Counts a connection for as long as it stands.
struct Connected<'a>(&'a Counters);

impl<'a> Connected<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.connects.add(1);
        counters.connected.add(1);
        Self(counters)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connected.take(1);
    }
}

fn lock(why: &Mutex<String>) -> MutexGuard<'_, String> {
    why.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Instant {
    Instant::from_std(Clock.instant())
}

/// Legs that lost the server together shall not come back together: a half to one and a half.
fn spread(pause: Duration) -> Duration {
    let mut byte = [128_u8];
    // Without randomness the pause is merely not spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 256.0)
}
