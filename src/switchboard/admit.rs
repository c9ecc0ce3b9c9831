//! Placing calls: the facts are gathered here, the decision is `policy`'s, and only its `Permit` starts a call.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::billing::Quote;
use crate::call::record::{OFF, RecordingRecord, Status};
use crate::call::{Call, CallRecord, Signal};
use crate::model::directory::{Contact, ContactRef, Permission};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, CallId, ContactId, NumberId, Wacid};
use crate::model::money::Micros;
use crate::model::phone::Phone;
use crate::model::reason::{CallState, Direction, EndReason, RecordingState, RequestKind};
use crate::model::time::Timestamp;
use crate::policy::inbound::{refuse, withheld};
use crate::policy::permission::Risk;
use crate::policy::request::may_ask;
use crate::policy::routing::AgentFacts;
use crate::policy::{Blocker, Denial, OutboundFacts, Permit, Routing, RoutingFacts, admit, route};
use crate::store::{CustomerIdentity, DialWish, StoreError, Terms};

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
    pub permission: Permission,
    /// What speaks against asking for permission by template.
    pub request_blockers: Vec<Blocker>,
    /// When the request limits have room again; `None` when they have now.
    pub next_request_at: Option<Timestamp>,
    pub risk: Risk,
    pub quote: Quote,
    /// The wallet's balance less what is held back for running calls.
    pub available: Micros,
}

impl Switchboard {
    /// Places a call. It answers once WhatsApp has taken or refused the request.
    ///
    /// # Errors
    /// [`Refusal::Denied`] with every blocker, [`Refusal::NotFound`], [`Refusal::Full`], [`Refusal::Upstream`].
    pub async fn place_call(&self, wish: PlaceCall) -> Result<CallRecord, Refusal> {
        let desk = &self.0;
        let (call, terms) = (CallId::generate(), desk.terms());
        let (permit, contact) = desk.admit_and_reserve(&call, &wish, &terms).await?;
        // Only now: a call that may not be placed costs no media.
        let port = match desk.parts.shards.bind_customer() {
            Ok(port) => port,
            Err(error) => {
                desk.parts.store.forget_dial(&call).await?;
                desk.registry.release(permit.agent_id(), &call);
                return Err(Refusal::Full(error.to_string()));
            }
        };
        let record = desk.new_record(call, Direction::BusinessInitiated, &wish.number_id, contact, Some(&permit));
        let record = CallRecord { policy_pack: Some(terms.pack_id.clone()), ..record };
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
        let (store, now) = (&desk.parts.store, desk.parts.clock.now().wall);
        let look = store.look_at_dial(number, who, agent, now).await?.ok_or(Refusal::NotFound)?;
        let asked = store.look_at_request(number, who, RequestKind::Template, now).await?.ok_or(Refusal::NotFound)?;
        let terms = store.terms();
        let rules = terms.rules(now);
        let ledger = look.facts.permission.clone();
        let (permission, available) = (ledger.view(number, &look.facts.contact.id, now), look.facts.available);
        desk.have_checked(&permission, now);
        // A look, not a decision: nobody is reserved.
        let pair = (number.clone(), look.facts.contact.id.clone());
        let blockers = desk.registry.decide_and_reserve(&CallId::generate(), &pair, |active, pair_busy| {
            let facts = desk.with_activity(look.facts, active, pair_busy);
            (admit(&facts, rules).err().map(|denial| denial.blockers).unwrap_or_default(), None)
        });
        Ok(Callability {
            blockers,
            permission,
            request_blockers: may_ask(&asked, rules).err().map(|denial| denial.blockers).unwrap_or_default(),
            next_request_at: ledger.next_request_allowed_at(rules, now),
            risk: ledger.risk(rules, now),
            quote: look.quote,
            available,
        })
    }

    /// Who would be rung for a call from this customer at a moment, and why; by who is online and free now.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown contact or number.
    pub async fn simulate_routing(
        &self,
        number: &NumberId,
        who: &ContactRef,
        at: Timestamp,
    ) -> Result<(Option<EndReason>, Routing), Refusal> {
        let desk = &self.0;
        let refused = refuse(&desk.parts.store.settings_in_force(number).await?, at);
        let contact = desk.parts.store.contact(who).await?.ok_or(Refusal::NotFound)?;
        let facts = desk.routing_facts(number, &contact.id).await?.ok_or(Refusal::NotFound)?;
        let lacks = !withheld(&facts.number, &desk.rules(at)).is_empty();
        let refused = if lacks { Some(EndReason::BusinessUnavailable) } else { refused };
        let facts = RoutingFacts { now: at, ..facts };
        let active = |agent: &AgentId| desk.registry.active_calls_of(agent);
        Ok((refused, route(&with_activity(facts, &active))))
    }
}

impl Desk {
    /// Decides inside the store's transaction and under the registry's lock, so that parallel wishes are decided one after
    /// the other whatever they compete for: a limit, the wallet, the customer or the agent.
    async fn admit_and_reserve(
        &self,
        call: &CallId,
        wish: &PlaceCall,
        terms: &Terms,
    ) -> Result<(Permit, Contact), Refusal> {
        let (store, now) = (&self.parts.store, self.parts.clock.now().wall);
        let dial = DialWish { terms, call, number: &wish.number_id, to: &wish.to, agent: &wish.agent_id };
        let decided = store.decide_dial(dial, now, |facts| {
            let (pair, contact) = ((facts.number.id.clone(), facts.contact.id.clone()), facts.contact.clone());
            self.registry.decide_and_reserve(call, &pair, |active, pair_busy| {
                let decision = admit(&self.with_activity(facts, active, pair_busy), terms.rules(now));
                let reserve = decision.as_ref().ok().map(|permit| permit.agent_id().clone());
                (decision.map(|permit| (permit, contact)), reserve)
            })
        });
        match decided.await {
            Ok(Some(Ok(permitted))) => Ok(permitted),
            Ok(Some(Err(denial))) => {
                self.note_refusal(wish, &denial).await?;
                Err(denial.into())
            }
            Ok(None) => Err(Refusal::NotFound),
            Err(error) => {
                // What was not entered is not reserved either.
                self.registry.release(&wish.agent_id, call);
                Err(error.into())
            }
        }
    }

    /// Fills in what only the running process knows.
    fn with_activity(&self, facts: OutboundFacts, active: &dyn Fn(&AgentId) -> u32, pair_busy: bool) -> OutboundFacts {
        OutboundFacts {
            pair_busy: facts.pair_busy || pair_busy,
            agent_busy: active(&facts.agent.id) > 0,
            draining: self.draining_blockers(),
            ..facts
        }
    }

    /// Refused attempts are part of the log: who wished to call whom, and why it was not done.
    async fn note_refusal(&self, wish: &PlaceCall, denial: &Denial) -> Result<(), StoreError> {
        for blocker in &denial.blockers {
            self.parts.metrics.dial_blocked(blocker.code);
        }
        let contact = self.parts.store.contact(&wish.to).await?.map(|contact| contact.id);
        let codes: Vec<_> = denial.blockers.iter().map(|blocker| blocker.code).collect();
        tracing::info!(agent = %wish.agent_id, ?contact, blockers = ?codes, "call refused");
        let data = serde_json::json!({
            "number_id": wish.number_id, "contact_id": contact, "agent_id": wish.agent_id, "blockers": denial.blockers,
        });
        let agent_id = Some(wish.agent_id.clone());
        self.announce(vec![NewEvent { kind: "call.blocked", call_id: None, agent_id, data }]).await
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
            policy_pack: Some(self.parts.store.terms().pack_id.clone()),
            settled: false,
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
