//! Agents whose consoles are closed and who are rung all the same: by a push to their browsers.
//!
//! An agent who goes away while online stays online if a browser of theirs takes pushes, and goes offline otherwise (see
//! `presence`). While no console of theirs is open, an offer is pushed to all those browsers at once; the browser's worker
//! shows it, says so with a receipt, and carries Accept and Reject. The caller loses little to a browser that cannot be
//! reached: if no push service takes the offer the next agent rings at once, if none of the browsers shows it the next one
//! rings after `[push] shown_ms`; and whoever was not reached goes offline, so that it happens once. A push says what the
//! notification shows and not more; nothing else of the ring waits for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::line::Line;
use super::{Desk, Refusal, Switchboard};
use crate::call::{Candidate, Client, Signal};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, OfferId, PushId};
use crate::model::push::{PushKind, PushOutcome, PushSubscription};
use crate::model::reason::{OfferCause, Presence};
use crate::store::PushWish;
use crate::webpush::{Message, Push};

/// That a call was missed, or its agent set offline, is worth knowing for the rest of the shift.
const OVER_TTL: Duration = Duration::from_secs(12 * 3600);
/// Long enough for anybody's name, and for the line of a lock screen.
const NAME_CHARS_MAX: usize = 80;

impl Switchboard {
    /// What pushes are sent with; `None`: there are none here.
    pub fn push(&self) -> Option<&Push> {
        self.0.parts.push.as_ref()
    }

    /// Keeps a browser that wants to be rung while its console is closed. True if it is a new one.
    ///
    /// # Errors
    /// [`Refusal::Store`]: the session has ended, or the agent has too many browsers.
    pub async fn put_push_subscription(&self, wish: &PushWish<'_>) -> Result<(PushSubscription, bool), Refusal> {
        let kept = self.0.parts.store.put_push_subscription(wish, self.0.parts.clock.now().wall).await?;
        self.0.tell_of_pushes(wish.agent).await?;
        Ok(kept)
    }

    /// Rings that browser no more; false if it was not there.
    ///
    /// # Errors
    /// [`Refusal::Store`] when the database fails.
    pub async fn remove_push_subscription(&self, agent: &AgentId, id: &PushId) -> Result<bool, Refusal> {
        let removed = self.0.parts.store.remove_push_subscription(agent, id).await?;
        if removed {
            self.0.tell_of_pushes(agent).await?;
        }
        Ok(removed)
    }

    /// Pushes a word to the agent's browsers, to try whether it arrives: what became of each.
    pub async fn test_push(&self, agent: &AgentId) -> Vec<(PushId, PushOutcome)> {
        let Some(push) = &self.0.parts.push else { return Vec::new() };
        let body = serde_json::json!({"kind": PushKind::Test}).to_string().into_bytes();
        // In a minute nobody waits for it any more.
        let message = Message { kind: PushKind::Test, topic: None, ttl: Duration::from_secs(60), body };
        self.0.push_to_all(push, agent, &message).await
    }
}

impl Line {
    /// Pushes the offer if the agent has no console open. If no push service takes it, the call is told.
    pub(super) fn push_offer(&mut self, candidate: &Candidate) {
        let (Client::Pushed { .. }, Some(push)) = (candidate.client, self.desk.parts.push.clone()) else { return };
        self.pushed = Some(candidate.offer_id.clone());
        let rings_for = Duration::from_millis(self.desk.parts.patience.ring_timeout_ms);
        let record = self.call.record();
        let body = serde_json::json!({
            "kind": PushKind::Offer, "offer_id": candidate.offer_id, "call_id": record.id, "name": self.caller(),
            "phone": record.contact.phone, "country": record.contact.country().map(|country| country.to_string()),
            "reason": candidate.reason, "rings_for_ms": rings_for.as_millis() as u64,
        });
        let message = Message {
            kind: PushKind::Offer,
            topic: Some(topic_of(&candidate.offer_id)),
            ttl: rings_for,
            body: bounded(&body),
        };
        let (desk, agent, offer) = (Arc::clone(&self.desk), candidate.agent_id.clone(), candidate.offer_id.clone());
        let (call, myself) = (record.id.clone(), self.myself.clone());
        tokio::spawn(async move {
            let sent = desk.push_to_all(&push, &agent, &message).await;
            let taken = sent.iter().filter(|(_, outcome)| *outcome == PushOutcome::Taken).count();
            tracing::info!(%call, %agent, taken, "offer pushed to an agent whose console is closed");
            if taken == 0 {
                myself.signal(Signal::NotPushed(offer)).await;
            }
        });
    }

    /// Takes a pushed offer from the agent's screens, and the agent offline who could not be shown it.
    pub(super) fn push_over(&mut self, offer: &OfferId, agent: &AgentId, cause: Option<OfferCause>) {
        let Some(push) = self.desk.parts.push.clone() else { return };
        if self.pushed.take_if(|pushed| pushed == offer).is_none() {
            return;
        }
        let body = serde_json::json!({
            "kind": PushKind::Over, "offer_id": offer, "call_id": self.call.record().id, "name": self.caller(), "cause": cause,
        });
        let message =
            Message { kind: PushKind::Over, topic: Some(topic_of(offer)), ttl: OVER_TTL, body: bounded(&body) };
        let (desk, agent) = (Arc::clone(&self.desk), agent.clone());
        tokio::spawn(async move {
            if cause == Some(OfferCause::NotShown) {
                desk.take_offline(&agent).await;
            }
            desk.push_to_all(&push, &agent, &message).await;
        });
    }

    /// Who calls, in one line.
    fn caller(&self) -> Option<String> {
        let contact = &self.call.record().contact;
        let name = contact.name.as_ref().or(contact.username.as_ref());
        name.map(|name| name.chars().take(NAME_CHARS_MAX).collect())
    }
}

impl Desk {
    /// What is known of the agent's client at this moment.
    pub(super) async fn client(&self, agent: &AgentId) -> Client {
        match &self.parts.push {
            Some(push) if !self.streams.is_open(agent) && !self.browsers_of(agent).await.is_empty() => {
                Client::Pushed { shown_within: push.shown_within() }
            }
            _ => self.streams.client(agent),
        }
    }

    /// Whether an agent without an open console can be rung.
    pub(super) async fn is_pushed_to(&self, agent: &AgentId) -> bool {
        self.parts.push.is_some() && !self.browsers_of(agent).await.is_empty()
    }

    async fn browsers_of(&self, agent: &AgentId) -> Vec<PushSubscription> {
        let found = self.parts.store.push_subscriptions(agent, None, self.parts.clock.now().wall).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(%agent, %error, "the agent's browsers could not be read; none is pushed to");
            Vec::new()
        })
    }

    /// To all the agent's browsers at once.
    async fn push_to_all(&self, push: &Push, agent: &AgentId, message: &Message) -> Vec<(PushId, PushOutcome)> {
        let browsers = self.browsers_of(agent).await;
        let sent =
            browsers.iter().map(async |browser| (browser.id.clone(), self.push_to(push, browser, message).await));
        join_all(sent).await
    }

    /// Sends, and forgets a browser that takes no more.
    async fn push_to(&self, push: &Push, browser: &PushSubscription, message: &Message) -> PushOutcome {
        let outcome = push.send(browser, message).await;
        if outcome == PushOutcome::Gone {
            let removed = self.parts.store.remove_push_subscription(&browser.agent_id, &browser.id).await;
            let told = self.tell_of_pushes(&browser.agent_id).await;
            if let Err(error) = removed.map(drop).and(told) {
                tracing::warn!(agent = %browser.agent_id, %error, "a browser that takes no more pushes is still kept");
            }
        }
        outcome
    }

    async fn take_offline(self: &Arc<Self>, agent: &AgentId) {
        if self.streams.is_open(agent) {
            return; // came back meanwhile
        }
        tracing::info!(%agent, "the agent's closed console showed nothing: offline");
        if let Err(error) = Switchboard(Arc::clone(self)).set_status(agent, Presence::Offline).await {
            tracing::warn!(%agent, %error, "an agent who was not reached could not be set offline");
        }
    }

    async fn tell_of_pushes(&self, agent: &AgentId) -> Result<(), crate::store::StoreError> {
        let data = serde_json::json!({"agent_id": agent});
        let kind = "agent.push_subscriptions_changed";
        self.announce(vec![NewEvent { kind, call_id: None, agent_id: Some(agent.clone()), data }]).await
    }
}

/// All about one offer has one topic. Our ids end in 32 hexadecimal digits, which is just as long as a topic may be.
fn topic_of(offer: &OfferId) -> String {
    offer.as_str().trim_start_matches("off_").chars().take(32).collect()
}

/// A reason may be long; without it the rest is short.
fn bounded(body: &serde_json::Value) -> Vec<u8> {
    let bytes = body.to_string().into_bytes();
    if bytes.len() <= Message::LEN_MAX {
        return bytes;
    }
    let mut body = body.clone();
    body["reason"] = serde_json::Value::Null;
    body.to_string().into_bytes()
}
