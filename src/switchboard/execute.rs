//! What a call wishes, carried out: requests to WhatsApp run beside the call and come back as signals.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::call::record::LegRecord;
use crate::call::{Action, Client, Signal, UpstreamFailure};
use crate::media::{Leg, LegKey, OutgoingLeg};
use crate::model::id::{AgentId, LegId, NumberId, OfferId, Wacid};
use crate::model::quality::Quality;
use crate::model::reason::{CallState, EndReason, LegKind, OfferCause, Presence};
use crate::policy::routing::{self, AgentFacts, TraceStep};
use crate::policy::{RoutingFacts, route};
use crate::shard::Command;
use crate::signalling::whatsapp::{Account, Customer as Callee, Graph, GraphError, GraphErrorKind};

use super::line::{Customer, Line};
use super::{Desk, Refusal};

/// Legs one call may have in its life. A browser that reloads twenty times is broken or hostile; the record stays small.
const LEGS_MAX: usize = 40;

impl Line {
    pub(super) async fn execute(&mut self, action: Action) {
        tracing::debug!(call = %self.call.record().id, ?action, "action");
        match action {
            Action::Route => self.route().await,
            Action::AnswerCustomer => self.answer_customer(),
            Action::Dial => self.dial(),
            Action::ApplyAnswer { sdp } => self.apply_answer(&sdp),
            Action::PreAccept => self.ask(Signal::PreAccepted, |graph, account, call, sdp| async move {
                graph.pre_accept(account.as_ref(), &call, &sdp).await
            }),
            Action::Accept => {
                let within = Duration::from_millis(self.desk.parts.patience.ring_total_ms);
                self.ask(Signal::Accepted, move |graph, account, call, sdp| async move {
                    graph.accept(account.as_ref(), &call, &sdp, None, within).await
                });
            }
            Action::Reject => self.tell("reject"),
            Action::Terminate => self.tell("terminate"),
            Action::Ring(candidate) => {
                tracing::info!(call = %self.call.record().id, agent = %candidate.agent_id, reason = candidate.reason, "ringing");
                self.push_offer(&candidate);
            }
            Action::Release(agent) => self.desk.registry.release(&agent, &self.call.record().id),
            Action::Withdraw { offer_id, agent_id, cause } => {
                tracing::info!(call = %self.call.record().id, agent = %agent_id, %cause, "offer ends");
                if cause == OfferCause::NotShown {
                    self.desk.was_not_shown(&agent_id);
                }
                self.desk.registry.release(&agent_id, &self.call.record().id);
                self.drop_leg_of(&agent_id);
                self.push_over(&offer_id, &agent_id, Some(cause));
            }
            Action::Join(agent) => {
                self.join(&agent);
                if let Some(offer) = self.pushed.clone() {
                    self.push_over(&offer, &agent, None);
                }
            }
            Action::OpenGate => self.command(|call| Command::OpenGate { call }),
            Action::Hold(held) => self.command(|call| Command::Hold { call, held }),
            Action::StartRecording => self.start_tap().await,
            Action::CloseMedia => self.close_media(),
        }
    }

    async fn route(&mut self) {
        let mut candidate = self.reserve_next().await;
        while let Some(chosen) = &candidate
            && self.has_left(&chosen.agent_id).await
        {
            self.desk.registry.release(&chosen.agent_id, &self.call.record().id);
            candidate = self.reserve_next().await;
        }
        let client = match &candidate {
            Some(chosen) => self.desk.client(&chosen.agent_id).await,
            None => Client::default(),
        };
        self.next.push_back(Signal::Routed(candidate.map(|chosen| crate::call::Candidate {
            offer_id: OfferId::generate(),
            client,
            agent_id: chosen.agent_id,
            reason: chosen.reason,
        })));
    }

    /// Asks routing and reserves its choice in one step, so that no agent is promised to two calls.
    async fn reserve_next(&mut self) -> Option<routing::Candidate> {
        let record = self.call.record();
        let facts = self.desk.routing_facts(&record.number_id, &record.contact.id).await;
        let tried = record.offers.iter().map(|offer| offer.agent_id.clone()).collect();
        let pair = (record.number_id.clone(), record.contact.id.clone());
        let terms = self.desk.terms();
        match facts {
            Ok(Some(facts)) => {
                let facts = RoutingFacts { tried, ..facts };
                let routing = self.desk.registry.decide_and_reserve(&record.id, &pair, |active, _| {
                    let rules = terms.rules(facts.now);
                    let routing = route(&with_activity(facts, active), rules);
                    let reserve = routing.candidates.first().map(|chosen| chosen.agent_id.clone());
                    (routing, reserve)
                });
                self.keep_trace(&routing.trace);
                routing.candidates.into_iter().next()
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(call = %record.id, %error, "routing could not read its facts");
                None
            }
        }
    }

    /// Whether a reserved agent went offline after routing had read its facts: whoever leaves tells the calls that have them
    /// reserved, and this one was not among those yet.
    async fn has_left(&self, agent: &AgentId) -> bool {
        let found = self.desk.parts.store.agent(agent).await;
        found.is_ok_and(|agent| agent.is_none_or(|agent| agent.status == Presence::Offline))
    }

    /// Appends an attempt to the call's trace.
    fn keep_trace(&mut self, steps: &[TraceStep]) {
        let record = self.call.record_mut();
        let mut trace = match record.trace.take() {
            serde_json::Value::Array(trace) => trace,
            _ => Vec::new(),
        };
        let steps = routing::worth_keeping(trace.len(), steps);
        trace.extend(steps.map(|step| serde_json::to_value(step).expect("a trace step is plain data")));
        record.trace = trace.into();
    }

    fn answer_customer(&mut self) {
        let Customer::Offer(offer) = std::mem::replace(&mut self.customer, Customer::Gone) else { return };
        let parts = &self.desk.parts;
        let port = match parts.shards.bind_customer() {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(call = %self.call.record().id, %error, "no port for the customer's media");
                return self.next.push_back(Signal::CustomerLegFailed);
            }
        };
        let (id, now) = (LegId::generate(), parts.clock.instant());
        match Leg::answer_customer(leg_key(), id.clone(), &parts.identity, &offer, port.advertised, now) {
            Ok((leg, answer)) => {
                self.customer = Customer::Moved { leg: id, answer };
                self.move_in(leg, port);
            }
            Err(error) => {
                tracing::warn!(call = %self.call.record().id, %error, "WhatsApp's offer cannot be answered");
                self.next.push_back(Signal::CustomerLegFailed);
            }
        }
    }

    fn dial(&mut self) {
        let Customer::Port(port) = std::mem::replace(&mut self.customer, Customer::Gone) else { return };
        let parts = &self.desk.parts;
        let (leg, offer) = OutgoingLeg::offer_customer(
            leg_key(),
            LegId::generate(),
            &parts.identity,
            port.advertised,
            parts.clock.instant(),
        );
        self.customer = Customer::Offered(Box::new(leg), port);
        let record = self.call.record();
        // Our own id comes back in every webhook of the call, also before we are told WhatsApp's name for it.
        let ours = record.id.as_str().to_owned();
        let to = Callee {
            phone: record.contact.phone.clone(),
            user_id: record.contact.user_id.clone(),
            name: None,
            username: None,
        };
        let (desk, myself, number) = (self.desk.clone(), self.myself.clone(), record.number_id.clone());
        tokio::spawn(async move {
            let answer = match desk.account(&number).await {
                Ok(account) => {
                    desk.parts.graph.connect(account.as_ref(), &to, &offer, Some(&ours)).await.map_err(failure)
                }
                Err(failure) => Err(failure),
            };
            myself.signal(Signal::Dialled(answer)).await;
        });
    }

    fn apply_answer(&mut self, sdp: &str) {
        let Customer::Offered(leg, port) = std::mem::replace(&mut self.customer, Customer::Gone) else { return };
        match leg.accept(sdp, self.desk.parts.clock.instant()) {
            Ok(leg) => {
                self.customer = Customer::Moved { leg: leg.id().clone(), answer: String::new() };
                self.move_in(leg, port);
            }
            Err(error) => {
                tracing::warn!(call = %self.call.record().id, %error, "WhatsApp's answer cannot be used");
                self.next.push_back(Signal::CustomerLegFailed);
            }
        }
    }

    /// The customer's leg moves to its shard for good, and agents' legs that waited for it follow.
    fn move_in(&mut self, leg: Leg, port: crate::shard::CustomerPort) {
        let call = self.call.record().id.clone();
        if let Err(error) = self
            .desk
            .parts
            .shards
            .send(self.shard, Command::Open { call, customer: Box::new(leg), socket: port.socket })
        {
            tracing::error!(call = %self.call.record().id, %error, "the shard takes no more calls");
            return self.next.push_back(Signal::CustomerLegFailed);
        }
        self.media_open = true;
        if let Some(leg) = self.customer_leg().cloned() {
            self.enter_leg(&leg, LegKind::WhatsApp);
        }
        for leg in std::mem::take(&mut self.waiting) {
            self.command(|call| Command::Attach { call, leg: Box::new(leg) });
        }
        self.next.push_back(Signal::CustomerLegReady);
    }

    /// Builds an agent's leg. It replaces the one that agent set up before.
    pub(super) fn agent_media(&mut self, agent: AgentId, sdp: &str) -> Result<(LegId, String), Refusal> {
        if !self.expects_media_of(&agent) {
            return Err(if self.call.is_ended() { Refusal::CallEnded } else { Refusal::OfferNotPending });
        }
        if self.call.record().legs.len() >= LEGS_MAX {
            return Err(Refusal::WrongState(format!("this call's media was set up {LEGS_MAX} times; that is enough")));
        }
        let parts = &self.desk.parts;
        let addresses = parts.shards.agent_addresses(self.shard);
        let id = LegId::generate();
        let (leg, answer) =
            Leg::answer_agent(leg_key(), id.clone(), &parts.identity, sdp, &addresses, parts.clock.instant())?;
        self.enter_leg(&id, LegKind::Agent);
        if let Some(old) = self.agents.insert(agent.clone(), id.clone()) {
            self.connected.remove(&old);
            self.waiting.retain(|leg| *leg.id() != old);
            if self.media_open {
                self.command(|call| Command::Detach { call, leg: old });
            }
        }
        if self.media_open {
            self.command(|call| Command::Attach { call, leg: Box::new(leg) });
        } else {
            self.waiting.push(leg);
        }
        if self.media_open && self.call.record().agent_id.as_ref() == Some(&agent) {
            self.join(&agent);
        }
        Ok((id, answer))
    }

    /// The record names a leg from its beginning; its figures come later.
    fn enter_leg(&mut self, id: &LegId, kind: LegKind) {
        self.call.record_mut().legs.push(LegRecord {
            id: id.clone(),
            kind,
            quality: Quality::default(),
            history: Vec::new(),
        });
    }

    pub(super) fn send_digits(&mut self, digits: String) -> Result<crate::call::CallRecord, Refusal> {
        let fine = (1..=64).contains(&digits.len())
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' | b'a'..=b'd'));
        if !fine {
            return Err(Refusal::BadRequest("digits: write 1 to 64 of 0-9 * # A-D".to_owned()));
        }
        match self.call.record().state {
            CallState::Active | CallState::Held => {
                self.command(|call| Command::Digits { call, digits: digits.to_ascii_uppercase() });
                Ok(self.call.record().clone())
            }
            CallState::Ended => Err(Refusal::CallEnded),
            _ => Err(Refusal::WrongState("keys can be pressed once the call is up".to_owned())),
        }
    }

    fn join(&mut self, agent: &AgentId) {
        let Some(leg) = self.agents.get(agent).cloned() else { return };
        if self.connected.contains(&leg) {
            self.next.push_back(Signal::AgentConnected);
        }
        self.command(|call| Command::Join { call, leg });
    }

    fn drop_leg_of(&mut self, agent: &AgentId) {
        let Some(leg) = self.agents.remove(agent) else { return };
        self.connected.remove(&leg);
        self.waiting.retain(|waiting| *waiting.id() != leg);
        if self.media_open {
            self.command(|call| Command::Detach { call, leg });
        }
    }

    fn close_media(&mut self) {
        self.waiting.clear();
        self.customer = match std::mem::replace(&mut self.customer, Customer::Gone) {
            moved @ Customer::Moved { .. } => moved,
            _ => Customer::Gone,
        };
        if self.media_open {
            self.command(|call| Command::Close { call });
        }
    }

    pub(super) fn command(&self, command: impl FnOnce(crate::model::id::CallId) -> Command) {
        let call = self.call.record().id.clone();
        if let Err(error) = self.desk.parts.shards.send(self.shard, command(call)) {
            tracing::error!(call = %self.call.record().id, %error, "a command did not reach the shard");
        }
    }

    /// A request about the call whose answer is a signal.
    fn ask<F>(
        &self,
        signal: fn(Result<(), UpstreamFailure>) -> Signal,
        request: impl FnOnce(Graph, OwnedAccount, Wacid, String) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), GraphError>> + Send,
    {
        let (Some(wacid), Customer::Moved { answer, .. }) = (self.call.record().wacid.clone(), &self.customer) else {
            return;
        };
        let (desk, myself, number) = (self.desk.clone(), self.myself.clone(), self.call.record().number_id.clone());
        let sdp = answer.clone();
        tokio::spawn(async move {
            let answer = match desk.account(&number).await {
                Ok(account) => request(desk.parts.graph.clone(), account, wacid, sdp).await.map_err(failure),
                Err(failure) => Err(failure),
            };
            myself.signal(signal(answer)).await;
        });
    }

    /// The end of the call, told to WhatsApp. It tries on its own; nothing waits for it.
    fn tell(&self, what: &'static str) {
        let record = self.call.record();
        let Some(wacid) = record.wacid.clone() else { return };
        let (desk, number) = (self.desk.clone(), record.number_id.clone());
        tokio::spawn(async move { desk.tell_upstream(what, &number, &wacid).await });
    }
}

/// A number and its Graph token, owned by a request.
pub(super) struct OwnedAccount {
    pub(super) number: NumberId,
    pub(super) token: secrecy::SecretString,
}

impl OwnedAccount {
    pub(super) fn as_ref(&self) -> Account<'_> {
        Account { number_id: &self.number, token: &self.token }
    }
}

impl Desk {
    pub(super) async fn account(&self, number: &NumberId) -> Result<OwnedAccount, UpstreamFailure> {
        let why = match self.parts.store.graph_token(number).await {
            Ok(Some(token)) => return Ok(OwnedAccount { number: number.clone(), token }),
            Ok(None) => format!("number {number} has no Graph token: PUT /v1/numbers/{number} with `graph_token`"),
            Err(error) => format!("the Graph token of {number} cannot be read: {error}"),
        };
        tracing::error!(%number, "{why}");
        Err(UpstreamFailure {
            reason: EndReason::UpstreamError,
            code: None,
            message: why,
            passing: false,
            outcome_unknown: false,
        })
    }

    /// `reject` or `terminate`, tried by the client's own rules; a failure is logged, WhatsApp times the call out then.
    pub(super) async fn tell_upstream(&self, what: &'static str, number: &NumberId, wacid: &Wacid) {
        let Ok(account) = self.account(number).await else { return };
        let told = match what {
            "reject" => self.parts.graph.reject(account.as_ref(), wacid).await,
            _ => self.parts.graph.terminate(account.as_ref(), wacid).await,
        };
        if let Err(error) = told {
            tracing::warn!(?wacid, %error, "WhatsApp could not be told that the call is over");
        }
    }
}

/// A key no other leg of this process has.
pub(super) fn leg_key() -> LegKey {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LegKey(LAST.fetch_add(1, Ordering::Relaxed))
}

/// Fills in how busy each agent is, as the registry knows it at this moment.
pub(super) fn with_activity(mut facts: RoutingFacts, active: &dyn Fn(&AgentId) -> u32) -> RoutingFacts {
    for AgentFacts { agent, active_calls, .. } in &mut facts.agents {
        *active_calls = active(&agent.id);
    }
    facts
}

fn failure(error: GraphError) -> UpstreamFailure {
    tracing::warn!(%error, op = error.op, code = error.code, http = error.http, "WhatsApp refused");
    UpstreamFailure {
        reason: error.end_reason(),
        code: error.code,
        message: error.to_string(),
        passing: matches!(
            error.kind,
            GraphErrorKind::Unreachable
                | GraphErrorKind::UnknownOutcome
                | GraphErrorKind::RateLimited
                | GraphErrorKind::Upstream
        ),
        outcome_unknown: error.is_unknown_outcome(),
    }
}
