//! One WebRTC endpoint with a voice: it speaks prepared sounds and remembers what it heard.
//!
//! A [`Peer`] is a handle; the endpoint itself lives on one of a few media threads ([`MediaThreads`]), next to its
//! socket. Customers' phones and agents' browsers are both peers, and differ in how they negotiate.

mod hub;
mod pool;
pub mod probe;
mod record;
mod rtc_peer;
mod stun;
mod voice;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;

use crate::audio::heard::Heard;
use crate::audio::sound::Sound;

pub use hub::Socket;
pub use pool::MediaThreads;
pub use record::{MediaStats, Violation};
pub use rtc_peer::{Party, PeerConfig, RemoteSide};
pub use voice::Part;

use hub::HubCommand;
use record::Record;
use rtc_peer::RtcPeer;

/// Between two looks at a condition that has no notification of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A handle on one endpoint. Clones are the same endpoint; it lives until [`Peer::close`] or until the last
/// handle on its socket is dropped.
#[derive(Clone)]
pub struct Peer {
    key: u64,
    socket: Socket,
    record: Arc<Record>,
}

/// A new endpoint and what the other side must be told about it.
pub struct Opened {
    /// The handle.
    pub peer: Peer,
    /// Its certificate's digest as the SDP writes it: `sha-256 AB:CD:…`.
    pub fingerprint: String,
    /// The SDP offer of [`Party::BrowserOffering`].
    pub offer: Option<String>,
}

/// What a handle asks of its endpoint.
pub(crate) enum Command {
    /// Speak, wait, press keys: after what is already waiting to be spoken.
    Add(Vec<Part>),
    /// Forget what is waiting, and go quiet.
    Hush,
    /// Media may be sent (a phone: the call was accepted).
    Open,
    /// Send no RTP at all (`true`), or go on.
    FallSilent(bool),
    /// Lose all packets in both directions (`true`), or find the network again.
    DropNetwork(bool),
    /// Lose this share of the RTP packets that are sent.
    Lose(f32),
    /// The other side's keys and candidates, for a WhatsApp endpoint.
    Remote(RemoteSide, oneshot::Sender<Result<()>>),
    /// The answer to a browser's offer.
    Answer(String, oneshot::Sender<Result<()>>),
    /// An offer for a browser to answer.
    Offer(String, oneshot::Sender<Result<String>>),
    /// Measure delay by what a partner sends.
    Watch(probe::Ear),
    /// Report the moments of sending to a partner.
    Mark(Arc<probe::SentTimes>),
    /// Say goodbye (DTLS close_notify, RTCP BYE) and go.
    Close,
    /// Go without a word, as a closed browser tab does.
    Vanish,
}

impl Peer {
    /// Puts an endpoint on a socket.
    ///
    /// # Errors
    /// When the endpoint cannot be built from this configuration.
    pub fn open(socket: &Socket, config: PeerConfig) -> Result<Opened> {
        static NEXT_KEY: AtomicU64 = AtomicU64::new(1);
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        let record = Arc::new(Record::new(config.listen));
        let now = Instant::now();
        let (peer, offer) = RtcPeer::new(config, socket.addr(), Arc::clone(&record), now)?;
        let fingerprint = peer.fingerprint().to_owned();
        socket.send(HubCommand::Add(key, Box::new(peer)));
        Ok(Opened { peer: Self { key, socket: socket.clone(), record }, fingerprint, offer })
    }

    /// The address the endpoint receives on.
    pub fn addr(&self) -> SocketAddr {
        self.socket.addr()
    }

    /// Speaks a sound once, after what is already waiting to be spoken.
    pub fn speak(&self, sound: &Sound) {
        self.add(vec![Part::Sound { frames: sound.encoded(), forever: false }]);
    }

    /// Speaks a sound again and again until [`Peer::hush`].
    pub fn speak_forever(&self, sound: &Sound) {
        self.add(vec![Part::Sound { frames: sound.encoded(), forever: true }]);
    }

    /// Presses keys (`0`–`9`, `*`, `#`, `A`–`D`) as RFC 4733 events.
    pub fn dtmf(&self, keys: &str) {
        self.add(vec![Part::Keys(keys.to_owned())]);
    }

    /// Adds parts to what is waiting to be spoken.
    pub fn add(&self, parts: Vec<Part>) {
        self.record.note_more_to_say();
        self.command(Command::Add(parts));
    }

    /// Forgets what is waiting and sends room silence.
    pub fn hush(&self) {
        self.command(Command::Hush);
    }

    /// Sends no RTP at all any more; ICE and RTCP go on.
    pub fn fall_silent(&self) {
        self.command(Command::FallSilent(true));
    }

    /// Sends RTP again after [`Peer::fall_silent`].
    pub fn speak_again(&self) {
        self.command(Command::FallSilent(false));
    }

    /// Loses every packet in both directions.
    pub fn drop_network(&self) {
        self.command(Command::DropNetwork(true));
    }

    /// Ends [`Peer::drop_network`].
    pub fn restore_network(&self) {
        self.command(Command::DropNetwork(false));
    }

    /// Loses this share (0 to 1) of the RTP packets it sends from now on.
    pub fn lose(&self, share: f32) {
        self.command(Command::Lose(share));
    }

    /// Opens the microphone of a peer that was built with `may_send: false`.
    pub fn open_microphone(&self) {
        self.record.allow_media();
        self.command(Command::Open);
    }

    /// Marks the other side's media as expected; before this it counts as [`Violation::MediaBeforeAccept`].
    pub fn expect_media(&self) {
        self.record.allow_media();
    }

    /// Ends the endpoint with a goodbye.
    pub fn close(&self) {
        self.command(Command::Close);
    }

    /// Ends the endpoint without a goodbye, as a crashed browser does.
    pub fn vanish(&self) {
        self.command(Command::Vanish);
    }

    /// Everything heard so far (packets; they are decoded when asked for).
    pub fn heard(&self) -> Heard {
        self.record.heard()
    }

    /// Figures of what arrived so far.
    pub fn stats(&self) -> MediaStats {
        self.record.stats(Instant::now())
    }

    /// What the other side did wrong on the media path.
    pub fn violations(&self) -> Vec<Violation> {
        self.record.violations()
    }

    /// Whether a part [`Part::HangUp`] was reached.
    pub fn wants_to_hang_up(&self) -> bool {
        self.record.wants_to_hang_up()
    }

    /// Whether ICE and DTLS are up.
    pub fn is_connected(&self) -> bool {
        self.record.stats(Instant::now()).connected_at.is_some()
    }

    /// Waits until the condition holds.
    ///
    /// # Errors
    /// When it does not hold within `timeout`; the error lists the figures of that moment.
    pub async fn until(&self, timeout: Duration, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !condition(self) {
            if Instant::now() >= deadline {
                bail!("{what}: not within {timeout:?}; {:?}", self.stats());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// When they are not within `timeout`.
    pub async fn connected(&self, timeout: Duration) -> Result<()> {
        self.until(timeout, "ICE and DTLS up", Self::is_connected).await
    }

    /// Gives the other side's keys to a WhatsApp endpoint.
    ///
    /// # Errors
    /// When DTLS cannot be started with them.
    pub async fn set_remote(&self, remote: RemoteSide) -> Result<()> {
        let (reply, result) = oneshot::channel();
        self.command(Command::Remote(remote, reply));
        result.await.context("the endpoint is gone")?
    }

    /// Gives the SDP answer to a browser endpoint that offered.
    ///
    /// # Errors
    /// When the answer cannot be used.
    pub async fn set_answer(&self, sdp: &str) -> Result<()> {
        let (reply, result) = oneshot::channel();
        self.command(Command::Answer(sdp.to_owned(), reply));
        result.await.context("the endpoint is gone")?
    }

    /// Lets a browser endpoint answer an SDP offer.
    ///
    /// # Errors
    /// When the offer cannot be used.
    pub async fn answer(&self, sdp: &str) -> Result<String> {
        let (reply, result) = oneshot::channel();
        self.command(Command::Offer(sdp.to_owned(), reply));
        result.await.context("the endpoint is gone")?
    }

    /// Reports each moment of sending, for a partner's [`probe::Ear`].
    pub fn mark(&self, times: Arc<probe::SentTimes>) {
        self.command(Command::Mark(times));
    }

    /// Measures each packet against a partner's moments of sending.
    pub fn watch(&self, ear: probe::Ear) {
        self.command(Command::Watch(ear));
    }

    fn command(&self, command: Command) {
        self.socket.send(HubCommand::Tell(self.key, command));
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({} at {})", self.key, self.addr())
    }
}
