//! Placing calls: the facts are gathered here, the decision is `policy`'s, and only its `Permit` starts a call.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::call::record::{OFF, RecordingRecord, Status};
use crate::call::{Call, CallRecord, Signal};
use crate::model::directory::{Agent, Contact, ContactRef, Number, Permission};
use crate::model::id::{AgentId, CallId, ContactId, NumberId, Wacid};
use crate::model::phone::Phone;
use crate::model::reason::{CallState, Direction, PermissionStatus, RecordingState};
use crate::model::time::Timestamp;
use crate::policy::routing::AgentFacts;
use crate::policy::{Blocker, OutboundFacts, Permit, Routing, RoutingFacts, admit, read_permission, route};
use crate::store::{CustomerIdentity, StoreError};

use super::execute::with_activity;
use super::line::{Customer, Line};
use super::{Desk, Refusal, Switchboard};

/// Somebody wishes to call a customer.
pub struct PlaceCall {
    pub number_id: NumberId,
    pub to: ContactRef,
    pub agent_id: AgentId,
    /// Comes back in the call object; at most 512 characters.
    pub callback_data: Option<String>,
}

/// May this agent call this customer now, and if not, why.
pub struct Callability {
    pub blockers: Vec<Blocker>,
    pub permission: Option<Permission>,
    /// The permission by our own clock.
    pub status: PermissionStatus,
}

impl Switchboard {
    /// Places a call. It answers once WhatsApp has taken or refused the request.
    ///
    /// # Errors
    /// [`Refusal::Denied`] with every blocker, [`Refusal::NotFound`], [`Refusal::Full`], [`Refusal::Upstream`].
    pub async fn place_call(&self, wish: PlaceCall) -> Result<CallRecord, Refusal> {
        let desk = &self.0;
        let (number, contact, agent) = desk.outbound_parties(&wish.number_id, &wish.to, &wish.agent_id).await?;
        let port = desk.parts.shards.bind_customer().map_err(|error| Refusal::Full(error.to_string()))?;
        let call = CallId::generate();
        let permit = desk.admit_and_reserve(&call, &number, &contact, &agent).await?;
        let record = desk.new_record(call, Direction::BusinessInitiated, &number.id, contact, Some(&permit));
        let record = CallRecord { callback_data: wish.callback_data, ..record };
        let (answer, dialled) = oneshot::channel();
        let call = Call::new(record, desk.parts.patience);
        Line::start(desk, call, Customer::Port(port), Some(answer), vec![Signal::Begin]);
        dialled.await.unwrap_or(Err(Refusal::CallEnded))
    }

    /// Every blocker at once, by the same rules that place the call.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown contact, number or agent.
    pub async fn callability(
        &self,
        who: &ContactRef,
        number: &NumberId,
        agent: &AgentId,
    ) -> Result<Callability, Refusal> {
        let desk = &self.0;
        let (number, contact, agent) = desk.outbound_parties(number, who, agent).await?;
        let permission = desk.parts.store.permission(&number.id, &contact.id).await?;
        let now = desk.parts.clock.now().wall;
        let status = read_permission(permission.as_ref(), now);
        let pair = (number.id.clone(), contact.id.clone());
        let facts = |active: &dyn Fn(&AgentId) -> u32, pair_busy| OutboundFacts {
            now,
            number,
            contact,
            permission: permission.clone(),
            pair_busy,
            agent_busy: active(&agent.id) > 0,
            agent,
            draining: desk.draining_blockers(),
        };
        // A look, not a decision: nobody is reserved.
        let blockers = desk.registry.decide_and_reserve(&CallId::generate(), &pair, |active, pair_busy| {
            (admit(&facts(active, pair_busy)).err().map(|denial| denial.blockers).unwrap_or_default(), None)
        });
        Ok(Callability { blockers, permission, status })
    }

    /// Who would be rung for a call from this customer now, and why.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown contact or number.
    pub async fn simulate_routing(&self, number: &NumberId, who: &ContactRef) -> Result<Routing, Refusal> {
        let desk = &self.0;
        let contact = desk.parts.store.contact(who).await?.ok_or(Refusal::NotFound)?;
        let facts = desk.routing_facts(number, &contact.id).await?.ok_or(Refusal::NotFound)?;
        let active = |agent: &AgentId| desk.registry.active_calls_of(agent);
        Ok(route(&with_activity(facts, &active)))
    }
}

impl Desk {
    async fn outbound_parties(
        &self,
        number: &NumberId,
        who: &ContactRef,
        agent: &AgentId,
    ) -> Result<(Number, Contact, Agent), Refusal> {
        let store = &self.parts.store;
        let number = store.number(number).await?.ok_or(Refusal::NotFound)?;
        let contact = store.contact(who).await?.ok_or(Refusal::NotFound)?;
        let agent = store.agent(agent).await?.ok_or(Refusal::NotFound)?;
        Ok((number, contact, agent))
    }

    /// Decides and reserves the agent in one step, so that parallel wishes cannot both pass.
    async fn admit_and_reserve(
        &self,
        call: &CallId,
        number: &Number,
        contact: &Contact,
        agent: &Agent,
    ) -> Result<Permit, Refusal> {
        let permission = self.parts.store.permission(&number.id, &contact.id).await?;
        let now = self.parts.clock.now().wall;
        let pair = (number.id.clone(), contact.id.clone());
        let decision = self.registry.decide_and_reserve(call, &pair, |active, pair_busy| {
            let decision = admit(&OutboundFacts {
                now,
                number: number.clone(),
                contact: contact.clone(),
                permission,
                pair_busy,
                agent_busy: active(&agent.id) > 0,
                agent: agent.clone(),
                draining: self.draining_blockers(),
            });
            let reserve = decision.as_ref().ok().map(|permit| permit.agent_id().clone());
            (decision, reserve)
        });
        if let Err(denial) = &decision {
            for blocker in &denial.blockers {
                self.parts.metrics.dial_blocked(blocker.code);
            }
            tracing::info!(agent = %agent.id, contact = %contact.id, blockers = ?denial.blockers.iter().map(|b| b.code).collect::<Vec<_>>(), "call refused");
        }
        Ok(decision?)
    }

    /// A call that has just begun. Outbound ones need the permit to show for it.
    pub(super) fn new_record(
        &self,
        id: CallId,
        direction: Direction,
        number: &NumberId,
        contact: Contact,
        permit: Option<&Permit>,
    ) -> CallRecord {
        assert_eq!(
            direction == Direction::BusinessInitiated,
            permit.is_some(),
            "only a permit starts an outbound call"
        );
        CallRecord {
            id,
            number_id: number.clone(),
            direction,
            state: CallState::New,
            status: Status::Ringing,
            contact,
            agent_id: permit.map(|permit| permit.agent_id().clone()),
            offers: Vec::new(),
            created_at: self.parts.clock.now().wall,
            answered_at: None,
            ended_at: None,
            duration_ms: 0,
            end_reason: None,
            ended_by: None,
            legs: Vec::new(),
            recording: RecordingRecord { state: RecordingState::None, duration_ms: 0, gaps: 0 },
            transcript: OFF,
            summary: OFF,
            charge: None,
            wacid: None,
            callback_data: None,
            upstream_code: None,
            trace: serde_json::Value::Null,
        }
    }

    /// Everything routing looks at, except how busy the agents are: that is read under the registry's lock.
    pub(super) async fn routing_facts(
        &self,
        number: &NumberId,
        contact: &ContactId,
    ) -> Result<Option<RoutingFacts>, StoreError> {
        let store = &self.parts.store;
        let (Some(number), Some(contact)) =
            (store.number(number).await?, store.contact(&ContactRef::Id(contact.clone())).await?)
        else {
            return Ok(None);
        };
        let idle = store.idle_since().await?;
        let agents = store.agents().await?.into_iter().map(|agent| {
            let idle_since = idle.get(&agent.id).copied();
            AgentFacts { agent, active_calls: 0, idle_since }
        });
        let now = self.parts.clock.now().wall;
        Ok(Some(RoutingFacts { now, number, contact, agents: agents.collect(), tried: Vec::new() }))
    }

    /// Starts the task of a call that WhatsApp announced.
    pub(super) fn start_inbound(
        self: &Arc<Self>,
        number: &NumberId,
        contact: Contact,
        wacid: Wacid,
        offer: String,
        first: Vec<Signal>,
    ) {
        let record = self.new_record(CallId::generate(), Direction::UserInitiated, number, contact, None);
        let record = CallRecord { wacid: Some(wacid), ..record };
        let call = Call::new(record, self.parts.patience);
        Line::start(self, call, Customer::Offer(offer), None, first);
    }
}

/// What WhatsApp says of a customer, as the store takes it.
pub(super) fn identity(
    phone: Option<Phone>,
    user_id: Option<String>,
    name: Option<String>,
    username: Option<String>,
) -> CustomerIdentity {
    CustomerIdentity { phone, user_id, name, username }
}

/// Age of something WhatsApp stamped, 0 when it carries no stamp.
pub(super) fn age(at: Option<Timestamp>, now: Timestamp) -> std::time::Duration {
    at.map_or(std::time::Duration::ZERO, |at| now.since(at))
}
