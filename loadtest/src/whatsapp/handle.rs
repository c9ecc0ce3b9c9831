//! What a test or a scenario holds of one call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::call::{By, Call, Ended, Moment, Unavailable};
use super::config::Customer;
use super::faults::{Kind, WebhookFaults};
use super::payload::Direction;
use crate::heard::Heard;
use crate::peer::{MediaStats, Peer, Violation};
use crate::sound::Sound;

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// One call, from the customer's side. Clones are the same call.
#[derive(Clone)]
pub struct CallHandle {
    call: Arc<Call>,
}

impl CallHandle {
    pub(super) fn new(call: Arc<Call>) -> Self {
        Self { call }
    }

    /// Meta's id of the call.
    pub fn wacid(&self) -> &str {
        &self.call.wacid
    }

    /// Who called whom.
    pub fn direction(&self) -> Direction {
        self.call.direction
    }

    /// The customer.
    pub fn customer(&self) -> &Customer {
        &self.call.customer
    }

    /// The business's SDP: its answer, or in a business-initiated call its offer.
    pub fn business_sdp(&self) -> Option<String> {
        self.call.business_sdp()
    }

    // ---- waiting ----

    /// Waits for the pick-up: `accept` by the business, or the customer's hand in a business-initiated call.
    ///
    /// # Errors
    /// When the call ends before, or `timeout` passes.
    pub async fn answered(&self, timeout: Duration) -> Result<()> {
        self.until(timeout, "the call is answered", |call| call.is_answered() || call.is_ended()).await?;
        match self.call.ended().filter(|_| !self.is_answered()) {
            Some(ended) => bail!("the call ended before it was answered: {ended:?}"),
            None => Ok(()),
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn ended(&self, timeout: Duration) -> Result<Ended> {
        self.until(timeout, "the call has ended", Self::is_ended).await?;
        self.call.ended().context("the call has ended")
    }

    /// Waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn media_up(&self, timeout: Duration) -> Result<()> {
        self.until(timeout, "ICE and DTLS are up", |call| call.stats().connected_at.is_some()).await
    }

    /// Waits for the business's first RTP packet.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn heard_something(&self, timeout: Duration) -> Result<()> {
        self.until(timeout, "a packet was heard", |call| call.stats().first_packet_at.is_some()).await
    }

    /// Waits until everything that was to be said is said.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn finished_speaking(&self, timeout: Duration) -> Result<()> {
        self.until(timeout, "everything is said", |call| call.stats().finished_speaking).await
    }

    /// Waits for any condition.
    ///
    /// # Errors
    /// When `timeout` passes; the error shows the timeline and the figures.
    pub async fn until(&self, timeout: Duration, what: &str, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while !condition(self) {
            if Instant::now() >= deadline {
                bail!("{what}: not within {timeout:?}; {:?}; {:?}", self.steps(), self.stats());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    // ---- looking ----

    /// Whether the call was picked up.
    pub fn is_answered(&self) -> bool {
        self.call.picked_up_at().is_some()
    }

    /// When it was.
    pub fn answered_at(&self) -> Option<Instant> {
        self.call.picked_up_at()
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        self.call.ended().is_some()
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<Ended> {
        self.call.ended()
    }

    /// Why the customer saw "Business unavailable", if that is how the call ended: the business rejected it, or WhatsApp
    /// itself turned the customer away, in which case the business was told nothing.
    pub fn unavailable(&self) -> Option<Unavailable> {
        self.call.unavailable()
    }

    /// Everything that happened, in order.
    pub fn timeline(&self) -> Vec<Moment> {
        self.call.timeline()
    }

    /// When something happened for the first time.
    pub fn moment(&self, what: &super::What) -> Option<Instant> {
        self.timeline().into_iter().find(|moment| moment.what == *what).map(|moment| moment.at)
    }

    /// What the business did wrong.
    pub fn violations(&self) -> Vec<Violation> {
        self.call.violations()
    }

    /// What the customer heard so far.
    pub fn heard(&self) -> Heard {
        self.call.peer().map(|peer| peer.heard()).unwrap_or_default()
    }

    /// Figures of what arrived so far.
    pub fn stats(&self) -> MediaStats {
        self.call.peer().map(|peer| peer.stats()).unwrap_or_default()
    }

    /// The phone's media endpoint; none with an external phone.
    pub fn peer(&self) -> Option<Peer> {
        self.call.peer()
    }

    // ---- doing ----

    /// The customer hangs up. Nothing happens when the call is over.
    pub fn hang_up(&self) {
        self.call.end(By::Customer, None);
    }

    /// The call fails on Meta's side with this code (138019 to 138023).
    pub fn fail(&self, code: u32) {
        self.call.end(By::Silence, Some(code));
    }

    /// Says something.
    pub fn speak(&self, sound: &Sound) {
        self.with_peer(|peer| peer.speak(sound));
    }

    /// Presses keys.
    pub fn dtmf(&self, keys: &str) {
        self.with_peer(|peer| peer.dtmf(keys));
    }

    /// Sends no RTP any more.
    pub fn fall_silent(&self) {
        self.with_peer(Peer::fall_silent);
    }

    /// Loses this share (0 to 1) of the packets it sends from now on.
    pub fn lose(&self, share: f32) {
        self.with_peer(|peer| peer.lose(share));
    }

    /// Loses the network.
    pub fn drop_network(&self) {
        self.with_peer(Peer::drop_network);
    }

    /// Finds the network again.
    pub fn restore_network(&self) {
        self.with_peer(Peer::restore_network);
    }

    /// What goes wrong with this call's webhooks from now on.
    pub fn set_faults(&self, faults: WebhookFaults) {
        self.call.set_faults(faults);
    }

    /// The webhooks held back so far ([`super::Hold`]).
    pub fn held(&self) -> Vec<Kind> {
        self.call.held()
    }

    /// Waits until that many webhooks are held back.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn holds(&self, count: usize, timeout: Duration) -> Result<()> {
        self.until(timeout, "webhooks are held", |call| call.held().len() >= count).await
    }

    /// Delivers held webhooks in this order, each after the answer to the one before. An index may repeat.
    ///
    /// # Errors
    /// When an index names no held webhook.
    pub async fn release(&self, order: &[usize]) -> Result<()> {
        self.call.release(order).await
    }

    fn with_peer(&self, act: impl FnOnce(&Peer)) {
        if let Some(peer) = self.call.peer() {
            act(&peer);
        }
    }

    fn steps(&self) -> Vec<super::What> {
        self.timeline().into_iter().map(|moment| moment.what).collect()
    }
}

impl std::fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallHandle({:?}, {:?})", self.direction(), self.steps())
    }
}
