//! Shards: one thread each, one agent port each, every leg of a call on one of them.
//!
//! A shard owns its sockets and calls alone. Commands go down and events come up as values; nothing else is shared but a
//! few counters. A call is placed once and never moves, so no packet ever changes threads.

pub use command::{Command, ShardEvent};
pub use config::{BadPortRange, Config, PortRange};
pub use ports::{CustomerPort, PortsExhausted};
pub use stats::Stats;

mod addresses;
mod call;
mod command;
mod config;
mod demux;
mod outbox;
mod ports;
mod socket;
mod stats;
mod tap_ring;
#[cfg(test)]
mod tests;
mod timer;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::Producer;
use tokio::sync::mpsc::Sender;

use crate::model::rtp::TapRecord;
use outbox::Outbox;
use ports::Ports;
use socket::AgentPort;
pub use tap_ring::TapRing;
use worker::{Parts, WAKER, Worker};

/// Commands that may wait in front of one shard. A turn takes 64 of them, so this is at most a tenth of a second.
const COMMANDS_MAX: usize = 4096;
/// Set-ups among them: two a turn make this a fraction of a second; a caller beyond it had better be refused.
const SETUPS_MAX: usize = 128;

/// Names a shard; counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(usize);

impl ShardId {
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Why the shards could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Every contradiction of the section, separated by semicolons.
    #[error("{0}")]
    Config(String),
    #[error("cannot receive agents' media on UDP {address}: change media.listen, or free the port")]
    AgentPort { address: SocketAddr, source: io::Error },
    #[error("cannot receive customers' media")]
    CustomerPorts(#[from] PortsExhausted),
    #[error("cannot watch sockets")]
    Poll(#[source] io::Error),
    #[error("cannot start a shard's thread")]
    Thread(#[source] io::Error),
}

/// The shard is behind (or stopped), and the command was dropped. A set-up should be refused to whoever asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("media shard {} takes no more commands now; refuse the call and try the next one later", .0.index())]
pub struct Overloaded(pub ShardId);

/// The media threads. Cheap to clone; they run until [`Shards::shutdown`], or until the last clone is gone.
#[derive(Clone)]
pub struct Shards(Arc<Inner>);

struct Inner {
    shards: Vec<Shard>,
    ports: Ports,
    /// Where the search for the least loaded shard begins, so that equals take turns.
    first: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shard {
    commands: SyncSender<Command>,
    waker: mio::Waker,
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

/// What a shard's thread and its handle both see.
#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    /// Set-ups sent and not yet taken.
    setups_waiting: AtomicUsize,
    /// Calls placed here whose `Open` has not been sent yet. Those that never come fade by half a second.
    placed: AtomicUsize,
    stop: AtomicBool,
    /// Locked once a second by the shard.
    stats: Mutex<Stats>,
}

impl Shards {
    /// Binds the agent ports and starts the threads. `taps` is asked once for each shard: its end of the ring that copied
    /// audio goes into.
    ///
    /// # Errors
    /// [`StartError`]: contradictions in the section, a port that is taken, no thread to be had.
    pub fn spawn(
        config: &Config,
        mut taps: impl FnMut(ShardId) -> Producer<TapRecord>,
        events: Sender<ShardEvent>,
    ) -> Result<Self, StartError> {
        let errors = config.errors();
        if !errors.is_empty() {
            return Err(StartError::Config(errors.join("; ")));
        }
        let advertised = addresses::advertised(config);
        let ports = Ports::new(config.whatsapp_ports, config.listen.ip(), advertised[0]);
        // One is bound and let go, so that a wrong range is found now and not by the first caller.
        drop(ports.bind()?);

        let mut inner = Inner { shards: Vec::new(), ports, first: AtomicUsize::new(0), threads: Mutex::default() };
        for index in 0..config.shard_count() {
            let mut address = config.listen;
            if address.port() != 0 {
                address.set_port(address.port() + u16::try_from(index).expect("checked to stay below 65536"));
            }
            let failed = |source| StartError::AgentPort { address, source };
            let agents = AgentPort::bind(address).map_err(failed)?;
            let port = agents.socket.local_addr().map_err(failed)?.port();
            let poll = mio::Poll::new().map_err(StartError::Poll)?;
            let waker = mio::Waker::new(poll.registry(), WAKER).map_err(StartError::Poll)?;
            let (commands, inbox) = sync_channel(COMMANDS_MAX);
            let shared = Arc::new(Shared::default());
            let worker = Worker::new(Parts {
                poll,
                agents,
                commands: inbox,
                taps: TapRing::new(taps(ShardId(index))),
                outbox: Outbox::new(events.clone()),
                shared: Arc::clone(&shared),
                linger: Duration::from_micros(config.linger_us.into()),
            })
            .map_err(StartError::Poll)?;
            let addresses = advertised.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
            // The handle comes first: should the thread of a later shard fail, dropping `inner` stops this one.
            inner.shards.push(Shard { commands, waker, addresses, shared });
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || worker.run())
                .map_err(StartError::Thread)?;
            inner.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// The shard for a new call: the one with the fewest calls and set-ups.
    pub fn place(&self) -> ShardId {
        let count = self.0.shards.len();
        let first = self.0.first.fetch_add(1, Ordering::Relaxed);
        let least = (0..count)
            .map(|n| (first.wrapping_add(n)) % count)
            .min_by_key(|index| self.0.shards[*index].shared.load())
            .expect("there is at least one shard");
        self.0.shards[least].shared.placed.fetch_add(1, Ordering::Relaxed);
        ShardId(least)
    }

    /// What an agent's browser may send to: our addresses with the shard's port, the best one first.
    pub fn agent_addresses(&self, shard: ShardId) -> Vec<SocketAddr> {
        self.0.shards[shard.0].addresses.clone()
    }

    /// A socket for a customer's leg. Dropping it anywhere frees its port.
    ///
    /// # Errors
    /// [`PortsExhausted`] when every port of the range is taken.
    pub fn bind_customer(&self) -> Result<CustomerPort, PortsExhausted> {
        self.0.ports.bind()
    }

    /// Sends a command down. Never waits.
    ///
    /// # Errors
    /// [`Overloaded`] when too many commands wait there already. New legs are refused well before anything else is, so
    /// that an overload never keeps a call from being ended.
    pub fn send(&self, shard: ShardId, command: Command) -> Result<(), Overloaded> {
        let Shard { commands, waker, shared, .. } = &self.0.shards[shard.0];
        let (opens, setup) = (matches!(command, Command::Open { .. }), command.is_setup());
        if opens {
            shared.forget_placed(|placed| placed.saturating_sub(1));
        }
        if setup && shared.setups_waiting.fetch_add(1, Ordering::Relaxed) >= SETUPS_MAX {
            shared.setups_waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Overloaded(shard));
        }
        if commands.try_send(command).is_err() {
            if setup {
                shared.setups_waiting.fetch_sub(1, Ordering::Relaxed);
            }
            return Err(Overloaded(shard));
        }
        if let Err(error) = waker.wake() {
            // The command is taken with the next packet, or within a second.
            tracing::warn!(shard = shard.0, %error, "a shard could not be woken");
        }
        Ok(())
    }

    /// The figures of each shard, at most a second old, by [`ShardId::index`].
    pub fn stats(&self) -> Vec<Stats> {
        self.0.shards.iter().map(|shard| *shard.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// How many WhatsApp legs there can be: the ports of the range.
    pub fn ports(&self) -> u32 {
        self.0.ports.count()
    }

    /// Says goodbye on every leg, ends the threads and waits for them (half a second at most). It blocks: call it last,
    /// or where blocking is allowed.
    pub fn shutdown(&self) {
        self.0.stop();
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard's thread had panicked");
            }
        }
    }
}

impl Inner {
    fn stop(&self) {
        for Shard { waker, shared, .. } in &self.shards {
            shared.stop.store(true, Ordering::Relaxed);
            // A shard that cannot be woken looks within a second.
            waker.wake().ok();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn load(&self) -> usize {
        [&self.calls, &self.setups_waiting, &self.placed].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn forget_placed(&self, left: impl Fn(usize) -> usize) {
        self.placed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |placed| Some(left(placed))).ok();
    }

    fn publish(&self, stats: Stats) {
        self.forget_placed(|placed| placed / 2);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}
