//! Recognisers on other machines. The sound leaves the process.
//!
//! Each leg is a task with a connection of its own, behind a bounded tail of sound: the tap puts sound in and never
//! waits; the task sends it, and forgets it only when it has been answered. A connection that breaks is made again, and
//! what was not answered is sent again. What no longer fits, or is not answered in time, is told as missed and made up
//! for from the recording. The protocols are pure ([`dialect`]), the sockets know none of them ([`socket`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::runtime::Handle;

use super::{Config, ConfigError, Engine, EngineError, Heard, Leg, Listener, Stream};
use crate::audio::{self, RATE_HZ};
use crate::model::transcript::Segment;
pub use server::Kind;
pub use stats::Stats;

use server::Server;
use stats::Counters;
use stream::{Live, Shared};
use tail::{Room, Tail};
use talk::Talk;
use told::{Told, to_ms};

mod deepgram;
mod dialect;
mod openai;
mod places;
mod server;
mod socket;
mod stats;
mod stream;
mod tail;
mod talk;
#[cfg(test)]
mod tests;
mod told;
mod upsample;
mod vosk;
mod wyoming;

/// Sound one leg holds for its server: 30 s, 1 MB. A reconnection takes seconds; text that is half a minute late serves
/// nobody in the call.
const LEG_MAX: u64 = 30 * RATE_HZ as u64;

/// Sound all legs hold together: 20 minutes, 38 MB.
const ALL_MAX: u64 = 20 * 60 * RATE_HZ as u64;

/// Attempts in a row after which a whole recording is put off: its turn comes again in minutes, and others wait.
const WHOLE_FAILURES_MAX: u32 = 4;

/// A recogniser behind a socket.
pub struct Remote {
    server: Arc<Server>,
    runtime: Handle,
    room: Arc<Room>,
    counters: Arc<Counters>,
}

impl Remote {
    /// Its tasks run on `runtime`. Nothing is connected before somebody speaks.
    ///
    /// # Errors
    /// [`ConfigError`], whose sentence says what to write.
    pub fn new(kind: Kind, config: &Config, key: Option<SecretString>, runtime: Handle) -> Result<Self, ConfigError> {
        let (server, room) = (Server::new(kind, config, key)?, Room::new(ALL_MAX));
        Ok(Self { server: Arc::new(server), runtime, room: Arc::new(room), counters: Arc::default() })
    }

    pub fn stats(&self) -> Stats {
        self.counters.stats(to_ms(self.room.used()))
    }

    /// Host and port of the server: what may be logged.
    pub fn host(&self) -> String {
        self.server.address.host()
    }

    /// A leg's two ends.
    fn line(&self, tail: Tail, told: Told, finish_within: Duration, failures_max: Option<u32>) -> (Live, Talk) {
        let shared = Arc::new(Shared::new(tail));
        let live = Live::new(Arc::clone(&shared), self.server.engine.wants_stretches());
        let (server, counters, why) = (Arc::clone(&self.server), Arc::clone(&self.counters), Arc::default());
        (live, Talk { server, shared, told, counters, finish_within, failures_max, why })
    }
}

impl Engine for Remote {
    fn open(&self, leg: Leg, heard: Listener) -> Box<dyn Stream> {
        let tail = Tail::new(LEG_MAX, Arc::clone(&self.room));
        let told = Told::new(leg, heard, Arc::clone(&self.counters), self.server.with_partials);
        let (live, talk) = self.line(tail, told, self.server.patience.finish, None);
        let streaming = Streaming::new(&self.counters);
        self.runtime.spawn(async move {
            talk.run().await;
            drop(streaming);
        });
        Box::new(live)
    }

    fn transcribe(&self, pcm: &[i16], leg: &Leg) -> Result<Vec<Segment>, EngineError> {
        self.counters.wholes.add(1);
        let all: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let listener = {
            let all = Arc::clone(&all);
            move |_: &Leg, heard: Heard| all.lock().unwrap_or_else(PoisonError::into_inner).push(heard)
        };
        // It lies in memory as a whole already, and its words are not those of a running call.
        let tail = Tail::new(u64::MAX, Arc::new(Room::new(u64::MAX)));
        let told = Told::new(leg.clone(), Arc::new(listener), Arc::default(), false);
        // Servers are faster than people speak; one that is not is given up.
        let within = self.server.patience.finish + 2 * audio::duration(pcm.len() as u64);
        let (mut live, talk) = self.line(tail, told, within, Some(WHOLE_FAILURES_MAX));
        let why = Arc::clone(&talk.why);
        for (i, second) in pcm.chunks(RATE_HZ as usize).enumerate() {
            live.push(i as u64 * u64::from(RATE_HZ), second);
        }
        drop(live);
        self.runtime.block_on(talk.run());
        let mut segments = Vec::new();
        for heard in std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner)) {
            match heard {
                Heard::Segment(segment) => segments.push(segment),
                Heard::Missed(_) => {
                    self.counters.wholes_failed.add(1);
                    let why = why.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let why = if why.is_empty() { "it could not listen to a part".to_owned() } else { why };
                    return Err(EngineError { engine: self.name(), why });
                }
                Heard::Ended => {}
            }
        }
        Ok(segments)
    }

    fn name(&self) -> &'static str {
        self.server.engine.name()
    }
}

/// Counts a leg for as long as it is listened to.
struct Streaming(Arc<Counters>);

impl Streaming {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.streams.add(1);
        Self(Arc::clone(counters))
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.streams.take(1);
    }
}
