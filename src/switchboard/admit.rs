//! Placing calls: the facts are gathered here, the decision is `policy`'s, and only its `Permit` starts a call.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::billing::Quote;
use crate::call::{Call, CallRecord, Signal};
use crate::model::directory::{Asker, Contact, ContactRef, Permission};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, CallId, ContactId, NumberId};
use crate::model::money::Micros;
use crate::model::phone::Phone;
use crate::model::reason::{Direction, RequestKind};
use crate::model::time::Timestamp;
use crate::policy::inbound::{Closed, refuse};
use crate::policy::permission::Risk;
use crate::policy::request::{RequestFacts, may_ask, window_closes_at};
use crate::policy::routing::AgentFacts;
use crate::policy::{Blocker, OutboundFacts, Permit, Routing, RoutingFacts, admit, route};
use crate::signalling::whatsapp::Connect;
use crate::store::{CustomerIdentity, DialWish, StoreError, Terms};

use super::execute::with_activity;
use super::line::{Customer, Line};
use super::{Desk, Refusal, Switchboard};

/// Somebody wishes to call a customer.
pub struct PlaceCall {
    pub number_id: NumberId,
    pub to: ContactRef,
    /// Who will talk.
    pub agent_id: AgentId,
    /// Who wishes it.
    pub by: Asker,
    /// Comes back in the call object; at most 512 characters.
    pub callback_data: Option<String>,
    /// Whether it is recorded; `None` = as the number is.
    pub record: Option<bool>,
}

/// May this agent call this customer now, and if not, why.
pub struct Callability {
    pub blockers: Vec<Blocker>,
    pub permission: Permission,
    /// What speaks against asking for permission by template.
    pub request_blockers: Vec<Blocker>,
    /// When the request limits have room again; `None` when they have now.
    pub next_request_at: Option<Timestamp>,
    /// Whether a free-form request may be sent.
    pub free_form_allowed: bool,
    /// Until when the customer may be written to in free form; `None` while that is not allowed.
    pub window_closes_at: Option<Timestamp>,
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
    pub async fn place_call(&self, wish: &PlaceCall) -> Result<CallRecord, Refusal> {
        let placed = self.try_to_place(wish).await;
        match &placed {
            Err(Refusal::NotFound) => self.0.note_refusal(wish, "not_found", &[]).await?,
            Err(Refusal::Full(_)) => self.0.note_refusal(wish, "full", &[]).await?,
            _ => {}
        }
        placed
    }

    /// Logs that somebody wished to call who may not.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn note_forbidden(&self, wish: &PlaceCall) -> Result<(), Refusal> {
        Ok(self.0.note_refusal(wish, "forbidden", &[]).await?)
    }

    async fn try_to_place(&self, wish: &PlaceCall) -> Result<CallRecord, Refusal> {
        let desk = &self.0;
        let (call, terms) = (CallId::generate(), desk.terms());
        let Admitted { permit, contact, number_records } = desk.admit_and_reserve(&call, wish, &terms).await?;
        // Only now: a call that may not be placed costs no media.
        let port = match desk.parts.shards.bind_customer() {
            Ok(port) => port,
            Err(error) => {
                desk.registry.release(permit.agent_id(), &call);
                desk.parts.store.forget_dial(&call).await?;
                return Err(Refusal::Full(error.to_string()));
            }
        };
        let record = CallRecord {
            callback_data: wish.callback_data.clone(),
            placed_by: Some(wish.by.clone()),
            record: desk.records(wish.record.or(number_records)),
            ..desk.permitted(call, permit, contact, &terms)
        };
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
            window_closes_at: window_closes_at(&asked, rules),
            free_form_allowed: may_ask(&RequestFacts { kind: RequestKind::FreeForm, ..asked }, rules).is_ok(),
            risk: ledger.risk(rules, now),
            quote: look.quote,
            available,
        })
    }

    /// Who would be rung for a call from this customer at a moment, and why; by who is online and free now. A phone number
    /// or user id that nobody has yet is a new caller, and stays unknown.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown number or contact id.
    pub async fn simulate_routing(
        &self,
        number: &NumberId,
        who: &ContactRef,
        at: Timestamp,
    ) -> Result<(Option<Closed>, Routing), Refusal> {
        let desk = &self.0;
        let settings = desk.parts.store.settings_in_force(number).await?;
        let known = desk.parts.store.contact(who).await?;
        let contact = known.or_else(|| newcomer(who, at)).ok_or(Refusal::NotFound)?;
        let facts = desk.routing_facts_of(number, contact, at).await?.ok_or(Refusal::NotFound)?;
        let closed = refuse(&facts.number, &settings, &desk.rules(at), at);
        let active = |agent: &AgentId| desk.registry.active_calls_of(agent);
        Ok((closed, route(&with_activity(facts, &active), desk.terms().rules(at))))
    }
}

impl Desk {
    /// Decides inside the store's transaction and under the registry's lock, so that parallel wishes are decided one after
    /// the other whatever they compete for: a limit, the wallet, the customer or the agent.
    async fn admit_and_reserve(&self, call: &CallId, wish: &PlaceCall, terms: &Terms) -> Result<Admitted, Refusal> {
        let (store, clock) = (&self.parts.store, self.parts.clock);
        let dial = DialWish { terms, call, number: &wish.number_id, to: &wish.to, agent: &wish.agent_id };
        let decided = store.decide_dial(
            dial,
            || clock.now().wall,
            |facts| {
                let (pair, contact) = ((facts.number.id.clone(), facts.contact.id.clone()), facts.contact.clone());
                let number_records = facts.number.record;
                let rules = terms.rules(facts.now);
                self.registry.decide_and_reserve(call, &pair, |active, pair_busy| {
                    let decision = admit(&self.with_activity(facts, active, pair_busy), rules);
                    let reserve = decision.as_ref().ok().map(|permit| permit.agent_id().clone());
                    (decision.map(|permit| Admitted { permit, contact, number_records }), reserve)
                })
            },
        );
        match decided.await {
            Ok(Some(Ok(admitted))) => Ok(admitted),
            Ok(Some(Err(denial))) => {
                for blocker in &denial.blockers {
                    self.parts.metrics.dial_blocked(blocker.code);
                }
                self.note_refusal(wish, "blocked", &denial.blockers).await?;
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

    /// Refused attempts are part of the log: who wished that who calls whom, and why it was not done.
    async fn note_refusal(&self, wish: &PlaceCall, reason: &str, blockers: &[Blocker]) -> Result<(), StoreError> {
        let contact = self.parts.store.contact(&wish.to).await?.map(|contact| contact.id);
        let codes: Vec<_> = blockers.iter().map(|blocker| blocker.code).collect();
        tracing::info!(agent = %wish.agent_id, by = ?wish.by, ?contact, reason, blockers = ?codes, "call refused");
        let data = serde_json::json!({
            "number_id": wish.number_id, "contact_id": contact, "agent_id": wish.agent_id, "by": wish.by,
            "reason": reason, "blockers": blockers,
        });
        // Only what the rules refused is the agent's to see; the rest is about others, or about nobody.
        let agent_id = (!blockers.is_empty()).then(|| wish.agent_id.clone());
        self.announce(vec![NewEvent { kind: "call.blocked", call_id: None, agent_id, data }]).await
    }

    /// The outbound call that a permit is for; there is no other way to one.
    fn permitted(&self, id: CallId, permit: Permit, contact: Contact, terms: &Terms) -> CallRecord {
        let (number, now) = (permit.number_id().clone(), self.parts.clock.now().wall);
        CallRecord {
            agent_id: Some(permit.agent_id().clone()),
            policy_pack: Some(terms.pack_id.clone()),
            ..CallRecord::begun(id, number, Direction::BusinessInitiated, contact, now)
        }
    }

    /// Everything routing looks at, except how busy the agents are: that is read under the registry's lock.
    pub(super) async fn routing_facts(
        &self,
        number: &NumberId,
        contact: &ContactId,
    ) -> Result<Option<RoutingFacts>, StoreError> {
        match self.parts.store.contact(&ContactRef::Id(contact.clone())).await? {
            Some(contact) => self.routing_facts_of(number, contact, self.parts.clock.now().wall).await,
            None => Ok(None),
        }
    }

    /// The same for a contact that need not be stored, at `now`.
    async fn routing_facts_of(
        &self,
        number: &NumberId,
        contact: Contact,
        now: Timestamp,
    ) -> Result<Option<RoutingFacts>, StoreError> {
        let store = &self.parts.store;
        let Some(number) = store.number(number).await? else { return Ok(None) };
        let rules = self.rules(now).routing;
        let turns = store.last_turns().await?;
        let agents = store.agents().await?.into_iter().map(|agent| {
            let last = turns.get(&agent.id);
            let last_call = last.and_then(|turn| turn.call_ended_at);
            AgentFacts {
                wrapping_up: rules.is_wrap_up(last_call, now) && !self.ready.has_wrapped_up(&agent.id, last_call),
                passed_over: self.ready.passed_over(&agent.id).map(|passed| passed.cause),
                idle_since: last.map(|turn| turn.ended_at),
                agent,
                active_calls: 0,
            }
        });
        Ok(Some(RoutingFacts { now, number, contact, agents: agents.collect(), tried: Vec::new() }))
    }

    /// Starts the task of a call that WhatsApp announced.
    pub(super) fn start_inbound(self: &Arc<Self>, announced: Announced) {
        let Announced { connect, contact, first, opens_at, number_records } = announced;
        let now = self.parts.clock.now().wall;
        let record = CallRecord {
            policy_pack: Some(self.parts.store.terms().pack_id.clone()),
            wacid: Some(connect.wacid),
            cta_payload: connect.cta_payload,
            deeplink_payload: connect.deeplink_payload,
            opens_at,
            record: self.records(number_records),
            ..CallRecord::begun(CallId::generate(), connect.number_id, Direction::UserInitiated, contact, now)
        };
        let call = Call::new(record, self.parts.patience);
        Line::start(self, call, Customer::Offer(connect.sdp), None, vec![first]);
    }
}

/// A call that may be placed.
struct Admitted {
    permit: Permit,
    contact: Contact,
    /// What the number says about recording.
    number_records: Option<bool>,
}

/// A customer's call, as WhatsApp announced it.
pub(super) struct Announced {
    pub(super) connect: Connect,
    pub(super) contact: Contact,
    /// What becomes of it: begun, or turned away.
    pub(super) first: Signal,
    /// When the number opens next, if hours turn the call away.
    pub(super) opens_at: Option<Timestamp>,
    /// What the number says about recording.
    pub(super) number_records: Option<bool>,
}

/// Somebody of whom no more is known than how WhatsApp would name them; not stored. `None` for an id of ours.
fn newcomer(who: &ContactRef, now: Timestamp) -> Option<Contact> {
    let (phone, user_id) = match who {
        ContactRef::Id(_) => return None,
        ContactRef::Phone(phone) => (Some(phone.clone()), None),
        ContactRef::User(user_id) => (None, Some(user_id.clone())),
    };
    let id = ContactId::generate();
    let (name, username, assignee_id, owner_id) = (None, None, None, None);
    Some(Contact { id, phone, user_id, name, username, assignee_id, owner_id, created_at: now })
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
