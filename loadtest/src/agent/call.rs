//! An offer of a call, and a call, from the agent's side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Agent;
use super::api::ApiError;
use super::events::AgentEvent;
use crate::heard::Heard;
use crate::peer::{MediaStats, Peer};
use crate::sound::Sound;

/// A call that rings at this agent.
pub struct Offer {
    /// Its id.
    pub id: String,
    /// The call.
    pub call_id: String,
    /// The business number that was called.
    pub number_id: String,
    /// Who calls.
    pub contact: Value,
    /// Why this agent was chosen.
    pub reason: Option<String>,
    /// When the event arrived.
    pub arrived: Instant,
    agent: Agent,
    leg: Mutex<Option<Peer>>,
}

impl Offer {
    pub(super) fn from_event(agent: Agent, event: &AgentEvent) -> Result<Self> {
        let data = event.data();
        let text = |key: &str| data[key].as_str().map(str::to_owned);
        Ok(Self {
            id: text("offer_id").context("offer.created has no offer_id")?,
            call_id: text("call_id")
                .or_else(|| event.json["call_id"].as_str().map(str::to_owned))
                .context("offer.created has no call_id")?,
            number_id: text("number_id").unwrap_or_default(),
            contact: data["contact"].clone(),
            reason: text("reason"),
            arrived: event.at,
            agent,
            leg: Mutex::new(None),
        })
    }

    /// Sets the leg up while it still rings, and waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// When the gateway refuses the media, or it does not come up within 10 s.
    pub async fn prepare(&self) -> Result<()> {
        let peer = self.prepare_again().await?;
        peer.connected(Duration::from_secs(10)).await
    }

    /// Sets the leg up (anew, as another tab would) without waiting for ICE.
    ///
    /// # Errors
    /// When the gateway refuses the media.
    pub async fn prepare_again(&self) -> Result<Peer> {
        let mut leg = self.leg.lock().await;
        let peer = self.agent.open_leg(&format!("/v1/offers/{}/media", self.id)).await?;
        *leg = Some(peer.clone());
        Ok(peer)
    }

    /// The leg, once [`Offer::prepare`] has made it.
    pub async fn leg(&self) -> Option<Peer> {
        self.leg.lock().await.clone()
    }

    /// Accepts; sets the leg up first when that was not done.
    ///
    /// # Errors
    /// The gateway's refusal, such as 409 `offer_not_pending`; downcast to [`ApiError`].
    pub async fn accept(&self) -> Result<AgentCall> {
        if self.leg.lock().await.is_none() {
            self.prepare().await?;
        }
        let peer = self.leg.lock().await.clone().context("the leg was just made")?;
        let clicked_at = Instant::now();
        self.agent.api().post_empty(&format!("/v1/offers/{}/accept", self.id)).await?;
        let contact = self.contact.clone();
        Ok(AgentCall { clicked_at, contact, ..AgentCall::new(self.agent.clone(), self.call_id.clone(), peer) })
    }

    /// Refuses.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn reject(&self) -> Result<(), ApiError> {
        self.agent.api().post_empty(&format!("/v1/offers/{}/reject", self.id)).await?;
        if let Some(peer) = self.leg.lock().await.take() {
            peer.close();
        }
        Ok(())
    }

    /// Tells that the popup is seen (`shown`) or heard (`audible`).
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn receipt(&self, kind: &str) -> Result<(), ApiError> {
        self.agent.api().post(&format!("/v1/offers/{}/receipts", self.id), &json!({"kind": kind})).await?;
        Ok(())
    }

    /// Whether the offer was taken back.
    pub fn is_withdrawn(&self) -> bool {
        self.agent.inner.log.any(|event| event.kind == "offer.withdrawn" && event.data()["offer_id"] == self.id)
    }

    /// Waits until it is taken back; the result is the reason.
    ///
    /// # Errors
    /// When that does not happen within `timeout`.
    pub async fn withdrawn(&self, timeout: Duration) -> Result<String> {
        let event = self.agent.event("offer.withdrawn", timeout, |json| json["data"]["offer_id"] == self.id).await?;
        Ok(event.data()["reason"].as_str().unwrap_or("").to_owned())
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Offer({} of {})", self.id, self.call_id)
    }
}

/// A call this agent is in.
#[derive(Clone)]
pub struct AgentCall {
    /// Our gateway's id of the call.
    pub call_id: String,
    /// When Accept was clicked (or the media was attached).
    pub clicked_at: Instant,
    /// Who called, from the offer; `null` for dialled and attached calls.
    pub contact: Value,
    agent: Agent,
    peer: Peer,
}

impl AgentCall {
    pub(super) fn new(agent: Agent, call_id: String, peer: Peer) -> Self {
        Self { call_id, clicked_at: Instant::now(), contact: Value::Null, agent, peer }
    }

    /// The media endpoint: speak, listen, look at the figures.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the agent heard so far.
    pub fn heard(&self) -> Heard {
        self.peer.heard()
    }

    /// Figures of what arrived so far.
    pub fn stats(&self) -> MediaStats {
        self.peer.stats()
    }

    /// Says something.
    pub fn speak(&self, sound: &Sound) {
        self.peer.speak(sound);
    }

    /// Loses this share (0 to 1) of the packets it sends from now on.
    pub fn lose(&self, share: f32) {
        self.peer.lose(share);
    }

    /// Waits until ICE and DTLS are up.
    ///
    /// # Errors
    /// When they are not within `timeout`.
    pub async fn connected(&self, timeout: Duration) -> Result<()> {
        self.peer.connected(timeout).await
    }

    /// Waits until everything given to `speak` is said.
    ///
    /// # Errors
    /// When `timeout` passes.
    pub async fn finished_speaking(&self, timeout: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + timeout;
        while !self.stats().finished_speaking {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "the agent still speaks after {timeout:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The call as the gateway shows it.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn show(&self) -> Result<Value, ApiError> {
        self.agent.api().get(&format!("/v1/calls/{}", self.call_id)).await
    }

    /// Hangs up by the API, and closes the leg.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn hang_up(&self) -> Result<Value, ApiError> {
        let call = self.command("hangup", None).await?;
        self.peer.close();
        Ok(call)
    }

    /// Puts the customer on hold.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn hold(&self) -> Result<Value, ApiError> {
        self.command("hold", None).await
    }

    /// Takes the customer back.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn resume(&self) -> Result<Value, ApiError> {
        self.command("resume", None).await
    }

    /// Lets the gateway press keys towards the customer.
    ///
    /// # Errors
    /// The gateway's refusal.
    pub async fn send_dtmf(&self, digits: &str) -> Result<Value, ApiError> {
        self.command("dtmf", Some(json!({"digits": digits}))).await
    }

    /// The tab is closed: the leg vanishes without a word.
    pub fn close_tab(&self) {
        self.peer.vanish();
    }

    /// Waits for `call.ended` of this call; the result is the call object.
    ///
    /// # Errors
    /// When it does not come within `timeout`.
    pub async fn ended(&self, timeout: Duration) -> Result<Value> {
        let of_call = |json: &Value| json["call_id"] == self.call_id || json["data"]["id"] == self.call_id;
        let event = self.agent.event("call.ended", timeout, of_call).await?;
        self.peer.close();
        Ok(event.data().clone())
    }

    async fn command(&self, name: &str, body: Option<Value>) -> Result<Value, ApiError> {
        let path = format!("/v1/calls/{}/{name}", self.call_id);
        match body {
            Some(body) => self.agent.api().post(&path, &body).await,
            None => self.agent.api().post_empty(&path).await,
        }
    }
}

impl std::fmt::Debug for AgentCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AgentCall({})", self.call_id)
    }
}
