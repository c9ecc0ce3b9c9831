//! What people and programs wish of agents, contacts, offers and calls.

use tokio::sync::oneshot;

use crate::call::{CallRecord, Receipt, Signal};
use crate::model::directory::{Agent, Contact, ContactRef, Team};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, CallId, LegId, OfferId, TeamId};
use crate::model::reason::{EndedBy, Presence, ReceiptKind};
use crate::store::CustomerIdentity;

use super::line::{Answer, Message};
use super::registry::LineHandle;
use super::{Refusal, Switchboard, about_call};

/// What to change of a contact; `Some(None)` clears.
#[derive(Default)]
pub struct ContactChange {
    pub name: Option<Option<String>>,
    pub assignee_id: Option<Option<AgentId>>,
    pub owner_id: Option<Option<AgentId>>,
}

impl Switchboard {
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown agent.
    pub async fn set_status(&self, agent: &AgentId, status: Presence) -> Result<Agent, Refusal> {
        let desk = &self.0;
        let event = NewEvent {
            kind: "agent.status_changed",
            call_id: None,
            agent_id: Some(agent.clone()),
            data: serde_json::json!({"agent_id": agent, "status": status}),
        };
        let now = desk.parts.clock.now().wall;
        let (changed, event) =
            desk.parts.store.set_status(agent, status, event, now).await?.ok_or(Refusal::NotFound)?;
        desk.publish(vec![event]);
        desk.presence_set(agent, status, now);
        if status == Presence::Offline {
            for line in desk.registry.lines_of(agent) {
                line.signal(Signal::AgentLeft(agent.clone())).await;
            }
        }
        Ok(changed)
    }

    /// Creates or changes an agent, and tells those who look.
    ///
    /// # Errors
    /// An unknown team, or a store that cannot be reached.
    pub async fn put_agent(&self, agent: &Agent) -> Result<Agent, Refusal> {
        let desk = &self.0;
        let (changed, event) = desk.parts.store.change_agent(agent, desk.parts.clock.now().wall).await?;
        desk.publish(vec![event]);
        Ok(changed)
    }

    /// Tells those who look that something about an agent changed which is kept elsewhere, such as how it comes in: open
    /// streams look at their right to it again, and lists at what they show.
    ///
    /// # Errors
    /// A store that cannot be reached.
    pub async fn tell_of_agent(&self, agent: &AgentId) -> Result<(), Refusal> {
        let Some(agent) = self.0.parts.store.agent(agent).await? else { return Ok(()) };
        let data = serde_json::to_value(&agent).expect("an agent is strings and flags");
        Ok(self.0.announce(vec![NewEvent { kind: "agent.updated", call_id: None, agent_id: None, data }]).await?)
    }

    /// Nobody comes in as this agent any more and no call finds it; its customers are this colleague's, or nobody's.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown agent, [`Refusal::WrongState`] while it is in a call.
    pub async fn remove_agent(&self, agent: &AgentId, customers_to: Option<&AgentId>) -> Result<(), Refusal> {
        let desk = &self.0;
        if !desk.registry.lines_of(agent).is_empty() {
            let text = format!("{agent} is in a call, or one rings there; remove the agent when it is over");
            return Err(Refusal::WrongState(text));
        }
        // First, and by itself: should the rest fail, nobody is let in for it.
        desk.parts.store.take_access(agent).await?;
        let now = desk.parts.clock.now().wall;
        let events = desk.parts.store.leave(agent, customers_to, now).await?.ok_or(Refusal::NotFound)?;
        desk.ready.forget(agent);
        desk.publish(events);
        Ok(())
    }

    /// Creates or renames a team, and tells those who look.
    ///
    /// # Errors
    /// A store that cannot be reached.
    pub async fn put_team(&self, team: &Team) -> Result<(), Refusal> {
        self.0.parts.store.put_team(team).await?;
        let data = serde_json::to_value(team).expect("a team is two strings");
        Ok(self.0.announce(vec![NewEvent { kind: "team.updated", call_id: None, agent_id: None, data }]).await?)
    }

    /// Deletes a team in which nobody is, and tells those who look.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown team, [`Refusal::WrongState`] while agents are in it.
    pub async fn delete_team(&self, team: &TeamId) -> Result<(), Refusal> {
        let desk = &self.0;
        let store = &desk.parts.store;
        match store.delete_team(team, desk.parts.clock.now().wall).await? {
            Some(event) => desk.publish(vec![event]),
            None if store.team(team).await?.is_none() => return Err(Refusal::NotFound),
            None => {
                let text = "Agents are in this team; move them to another, or to none, before it is deleted.";
                return Err(Refusal::WrongState(text.to_owned()));
            }
        }
        Ok(())
    }

    /// Changes a contact; one named by number or user id is made if it is new.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown `con_…`; [`Refusal::BadRequest`] for an assignee or owner who does not exist.
    pub async fn put_contact(&self, who: &ContactRef, change: ContactChange) -> Result<Contact, Refusal> {
        let store = &self.0.parts.store;
        for (field, agent) in [("assignee_id", &change.assignee_id), ("owner_id", &change.owner_id)] {
            if let Some(Some(agent)) = agent
                && store.agent(agent).await?.is_none()
            {
                return Err(Refusal::BadRequest(format!(
                    "{field}: there is no agent {agent}; PUT /v1/agents/{agent} first"
                )));
            }
        }
        let mut contact = match who {
            ContactRef::Id(_) => store.contact(who).await?.ok_or(Refusal::NotFound)?,
            ContactRef::Phone(phone) => {
                self.identify(CustomerIdentity { phone: Some(phone.clone()), ..Default::default() }).await?
            }
            ContactRef::User(user) => {
                self.identify(CustomerIdentity { user_id: Some(user.clone()), ..Default::default() }).await?
            }
        };
        if let Some(name) = change.name {
            contact.name = name;
        }
        if let Some(assignee) = change.assignee_id {
            contact.assignee_id = assignee;
        }
        if let Some(owner) = change.owner_id {
            contact.owner_id = owner;
        }
        let contact = store.put_contact(&contact).await?;
        let data = serde_json::to_value(&contact).expect("a contact is plain data");
        self.0.announce(vec![NewEvent { kind: "contact.updated", call_id: None, agent_id: None, data }]).await?;
        Ok(contact)
    }

    async fn identify(&self, who: CustomerIdentity) -> Result<Contact, Refusal> {
        Ok(self.0.parts.store.identify(&who, self.0.parts.clock.now().wall).await?)
    }

    /// Sets up the agent's leg while the offer still rings. `agent`: the signed-in agent, `None` for an API key.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown or foreign offer, [`Refusal::OfferNotPending`], [`Refusal::Sdp`].
    pub async fn offer_media(
        &self,
        agent: Option<&AgentId>,
        offer: &OfferId,
        sdp: &str,
    ) -> Result<(LegId, String), Refusal> {
        let (offered, line) = self.offer(agent, offer).await?;
        media(&line, offered, sdp).await
    }

    /// # Errors
    /// [`Refusal::NotFound`] for an unknown or foreign offer, [`Refusal::OfferNotPending`] when it is gone.
    pub async fn accept_offer(&self, agent: Option<&AgentId>, offer: &OfferId) -> Result<CallRecord, Refusal> {
        let (_, line) = self.offer(agent, offer).await?;
        wish(&line, Signal::AgentAccepts(offer.clone())).await
    }

    /// # Errors
    /// As [`Switchboard::accept_offer`].
    pub async fn reject_offer(&self, agent: Option<&AgentId>, offer: &OfferId) -> Result<CallRecord, Refusal> {
        let (_, line) = self.offer(agent, offer).await?;
        wish(&line, Signal::AgentRejects(offer.clone())).await
    }

    /// What the agent's client says of an offer. Also one that is over, as long as its call is not: a tab that slept
    /// says so when it wakes.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown or foreign offer, [`Refusal::OfferNotPending`] when its call is over.
    pub async fn receipt(&self, agent: Option<&AgentId>, offer: &OfferId, receipt: Receipt) -> Result<(), Refusal> {
        self.offer(agent, offer).await?;
        let (call, offered, line) = self.0.registry.offer(offer).ok_or(Refusal::OfferNotPending)?;
        if !line.signal(Signal::OfferReceipt(offer.clone(), receipt)).await {
            return Err(Refusal::OfferNotPending);
        }
        let kind = match receipt.kind {
            ReceiptKind::Shown => "offer.shown",
            ReceiptKind::Audible => "offer.audible",
            ReceiptKind::Failed => "offer.undelivered",
        };
        let mut data = serde_json::json!({"offer_id": offer, "call_id": call, "agent_id": offered});
        if let Some(trouble) = receipt.trouble {
            data["reason"] = trouble.as_str().into();
        }
        Ok(self.0.announce(vec![NewEvent { agent_id: Some(offered), ..about_call(kind, &call, data) }]).await?)
    }

    /// Sets up the leg of the agent in the call: of an outbound call, or again after a reload.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::CallEnded`], [`Refusal::Sdp`].
    pub async fn call_media(
        &self,
        agent: Option<&AgentId>,
        call: &CallId,
        sdp: &str,
    ) -> Result<(LegId, String), Refusal> {
        let (record, line) = self.live(agent, call).await?;
        let agent = record.agent_id.ok_or_else(|| {
            Refusal::WrongState("nobody has answered the call; send the media to /v1/offers/{id}/media".to_owned())
        })?;
        media(&line, agent, sdp).await
    }

    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::CallEnded`].
    pub async fn hang_up(&self, agent: Option<&AgentId>, call: &CallId) -> Result<CallRecord, Refusal> {
        let (_, line) = self.live(agent, call).await?;
        // A program that hangs up does so for the business, as an agent would.
        wish(&line, Signal::HangUp(EndedBy::Agent)).await
    }

    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::CallEnded`], [`Refusal::WrongState`] before the call is up.
    pub async fn hold(&self, agent: Option<&AgentId>, call: &CallId, held: bool) -> Result<CallRecord, Refusal> {
        let (_, line) = self.live(agent, call).await?;
        wish(&line, Signal::Hold(held)).await
    }

    /// Presses keys towards the customer.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::CallEnded`], [`Refusal::WrongState`], [`Refusal::BadRequest`] for other characters.
    pub async fn send_digits(
        &self,
        agent: Option<&AgentId>,
        call: &CallId,
        digits: &str,
    ) -> Result<CallRecord, Refusal> {
        let (_, line) = self.live(agent, call).await?;
        ask(&line, |answer| Message::Digits { digits: digits.to_owned(), answer }, Refusal::CallEnded).await
    }

    /// Pauses the call's recording, or resumes it; a second time does nothing.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::CallEnded`], [`Refusal::WrongState`] when the call is not being recorded.
    pub async fn pause_recording(
        &self,
        agent: Option<&AgentId>,
        call: &CallId,
        paused: bool,
    ) -> Result<CallRecord, Refusal> {
        let (_, line) = self.live(agent, call).await?;
        ask(&line, |answer| Message::PauseRecording { paused, answer }, Refusal::CallEnded).await
    }

    /// The offer's agent and its call's line; a foreign offer is answered like an unknown one, an old one as gone.
    pub(super) async fn offer(
        &self,
        agent: Option<&AgentId>,
        offer: &OfferId,
    ) -> Result<(AgentId, LineHandle), Refusal> {
        if let Some((_, offered, line)) = self.0.registry.offer(offer) {
            return if agent.is_none_or(|agent| *agent == offered) {
                Ok((offered, line))
            } else {
                Err(Refusal::NotFound)
            };
        }
        let store = &self.0.parts.store;
        let Some(call) = store.offer_call(offer).await? else { return Err(Refusal::NotFound) };
        let record = store.call(&call).await?.ok_or(Refusal::NotFound)?;
        let mine = record.offers.iter().any(|o| o.id == *offer && agent.is_none_or(|agent| o.agent_id == *agent));
        Err(if mine { Refusal::OfferNotPending } else { Refusal::NotFound })
    }

    /// A live call's record and line. An agent reaches only calls it is in.
    async fn live(&self, agent: Option<&AgentId>, call: &CallId) -> Result<(CallRecord, LineHandle), Refusal> {
        let record = self.0.parts.store.call(call).await?.ok_or(Refusal::NotFound)?;
        if agent.is_some_and(|agent| record.agent_id.as_ref() != Some(agent)) {
            return Err(Refusal::NotFound);
        }
        let line = self.0.registry.line(call).ok_or(Refusal::CallEnded)?;
        Ok((record, line))
    }
}

async fn wish(line: &LineHandle, signal: Signal) -> Result<CallRecord, Refusal> {
    let gone = if matches!(signal, Signal::AgentAccepts(_) | Signal::AgentRejects(_)) {
        Refusal::OfferNotPending
    } else {
        Refusal::CallEnded
    };
    ask(line, |answer| Message::Wish(signal, answer), gone).await
}

async fn media(line: &LineHandle, agent: AgentId, sdp: &str) -> Result<(LegId, String), Refusal> {
    let sdp = sdp.to_owned();
    ask(line, |answer| Message::AgentMedia { agent, sdp, answer }, Refusal::CallEnded).await
}

/// Asks the call's task; `gone` is the answer when the task has stopped.
async fn ask<T>(line: &LineHandle, message: impl FnOnce(Answer<T>) -> Message, gone: Refusal) -> Result<T, Refusal> {
    let (answer, waiting) = oneshot::channel();
    if !line.send(message(answer)).await {
        return Err(gone);
    }
    waiting.await.unwrap_or(Err(gone))
}
