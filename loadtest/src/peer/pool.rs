//! A few threads that carry all sockets and endpoints, so that hundreds of them cost no thread each.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use super::hub::{Hub, Socket};

/// Threads for media, each with its own event loop. They end when the last clone and the last socket are dropped.
#[derive(Clone)]
pub struct MediaThreads {
    inner: Arc<Inner>,
}

struct Inner {
    threads: Vec<UnboundedSender<Hub>>,
    next: AtomicUsize,
}

impl MediaThreads {
    /// Starts `count` threads (at least one).
    ///
    /// # Errors
    /// When the system gives no thread or no event loop.
    pub fn start(count: usize) -> Result<Self> {
        let threads = (0..count.max(1)).map(start_thread).collect::<Result<Vec<_>>>()?;
        Ok(Self { inner: Arc::new(Inner { threads, next: AtomicUsize::new(0) }) })
    }

    /// Binds a UDP socket on an ephemeral port of `ip` and gives it to one of the threads.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn bind(&self, ip: IpAddr) -> Result<Socket> {
        let socket =
            UdpSocket::bind(SocketAddr::new(ip, 0)).with_context(|| format!("cannot bind a UDP socket on {ip}"))?;
        socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        let (hub, handle) = Hub::new(socket)?;
        let turn = self.inner.next.fetch_add(1, Ordering::Relaxed) % self.inner.threads.len();
        self.inner.threads[turn].send(hub).ok().context("the media thread has ended")?;
        Ok(handle)
    }
}

fn start_thread(number: usize) -> Result<UnboundedSender<Hub>> {
    let (sender, mut receiver) = unbounded_channel::<Hub>();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop for media")?;
    std::thread::Builder::new()
        .name(format!("fake-media-{number}"))
        .spawn(move || {
            let local = LocalSet::new();
            local.spawn_local(async move {
                while let Some(hub) = receiver.recv().await {
                    tokio::task::spawn_local(hub.run());
                }
            });
            // Runs until the pool and every socket handle are gone.
            runtime.block_on(local);
        })
        .context("no thread for media")?;
    Ok(sender)
}
