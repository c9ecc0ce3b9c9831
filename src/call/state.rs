//! The state machine itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::reason::{CallState, Direction, EndReason, EndedBy, OfferCause, OfferOutcome};
use crate::model::time::Moment;

use super::action::Action;
use super::record::{CallRecord, Status};
use super::signal::{Candidate, Signal, Terminated, UpstreamFailure};
use super::timer::{Patience, Timer, Timers};
use super::verdict::{Facts, Ours};

mod offers;

/// A signal the call cannot follow now. Only people's wishes are refused; what merely happened never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the offer is no longer pending")]
    OfferNotPending,
    #[error("the call has ended")]
    Ended,
    #[error("only a call that is up can be put on hold or resumed")]
    NotUp,
}

/// How long an agent who dials or has just accepted may be gone before the call is given up.
const UNANSWERED_AGENT_RETURN_MAX: Duration = Duration::from_secs(10);

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    record: CallRecord,
    patience: Patience,
    timers: Timers,
    facts: Facts,
    customer: Customer,
    /// Chosen, and rung as soon as the customer's leg stands: a call that cannot be answered rings nobody.
    chosen: Option<Candidate>,
    pre_accept: PreAccept,
    accept_sent: bool,
    /// WhatsApp knows the call is over, or was told.
    upstream_over: bool,
    agent_here: bool,
    /// When the call began and when we heard that it was answered; of a restored call nothing.
    began: Option<Instant>,
    heard_of_answer: Option<Instant>,
    actions: VecDeque<Action>,
    news: Vec<&'static str>,
}

/// The customer's media path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Customer {
    None,
    Building,
    Connecting,
    Connected,
    /// Was connected, or never will be.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PreAccept {
    No,
    Sent,
    /// WhatsApp has our SDP: the media path comes up while it rings.
    Done,
    /// WhatsApp did not take it for now; accept carries the SDP as well.
    Failed,
}

impl Call {
    /// A call that has just been heard of or asked for. `record.state` must be `new`.
    pub fn new(record: CallRecord, patience: Patience) -> Self {
        debug_assert_eq!(record.state, CallState::New);
        Self {
            record,
            patience,
            timers: Timers::default(),
            facts: Facts::default(),
            customer: Customer::None,
            chosen: None,
            pre_accept: PreAccept::No,
            accept_sent: false,
            upstream_over: false,
            agent_here: false,
            began: None,
            heard_of_answer: None,
            actions: VecDeque::new(),
            news: vec!["call.created"],
        }
    }

    /// An ended call taken back from the store, because WhatsApp says something more about it.
    pub fn restore(record: CallRecord, patience: Patience) -> Self {
        debug_assert_eq!(record.state, CallState::Ended);
        let ours = record.end_reason.zip(record.ended_by).map(|(reason, by)| Ours {
            reason,
            by,
            at: record.ended_at.unwrap_or(record.created_at),
            talked: match record.answered_at {
                Some(_) => (millis(record.duration_ms), millis(record.duration_ms)),
                None => (Duration::ZERO, Duration::MAX),
            },
            // What came from WhatsApp's side is read anew from what it says now.
            guess: matches!(by, EndedBy::Customer | EndedBy::Upstream),
        });
        let facts = Facts {
            accepted_at: record.answered_at,
            rejected: record.end_reason == Some(EndReason::RejectedByCustomer),
            terminated: None,
            ours,
        };
        Self {
            patience,
            timers: Timers::default(),
            facts,
            customer: Customer::None,
            chosen: None,
            pre_accept: PreAccept::No,
            accept_sent: false,
            upstream_over: true,
            agent_here: false,
            began: None,
            heard_of_answer: None,
            actions: VecDeque::new(),
            news: Vec::new(),
            record,
        }
    }

    /// The record as it stands, to be stored and shown.
    pub fn record(&self) -> &CallRecord {
        &self.record
    }

    /// For what is written beside the state: quality, the recording, the routing trace.
    pub fn record_mut(&mut self) -> &mut CallRecord {
        &mut self.record
    }

    pub fn is_ended(&self) -> bool {
        self.record.state == CallState::Ended
    }

    /// Nothing more is expected from WhatsApp: it ended the call itself.
    pub fn is_settled(&self) -> bool {
        self.is_ended() && self.facts.terminated.is_some()
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Event types to log with the record as it stands, oldest first.
    pub fn take_news(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.news)
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// [`Refused`] when somebody wishes what the call's state does not allow; nothing has changed then.
    pub fn handle(&mut self, signal: Signal, now: Moment) -> Result<(), Refused> {
        if !self.is_ended() {
            self.began.get_or_insert(now.at);
        }
        match signal {
            Signal::Begin => self.begin(),
            Signal::Routed(candidate) => self.routed(candidate, now),
            Signal::CustomerLegReady => self.customer_leg_ready(now),
            Signal::CustomerLegFailed => self.end_ours(EndReason::SetupFailed, EndedBy::System, now),
            Signal::PreAccepted(answer) => self.pre_accepted(answer, now),
            Signal::Accepted(answer) => self.accepted(answer, now),
            Signal::Dialled(answer) => self.dialled(answer, now),
            Signal::CustomerAnswer { sdp } => self.customer_answer(sdp),
            Signal::CustomerRings => self.customer_rings(now),
            Signal::CustomerAccepted { at } => {
                self.facts.accepted_at.get_or_insert(at);
                self.answered(now);
            }
            Signal::CustomerRejected => self.customer_rejected(now),
            Signal::Terminated(terminated) => self.terminated(terminated, now),
            Signal::CustomerConnected => self.customer_connected(now),
            Signal::CustomerLost => self.customer_lost(now),
            Signal::CustomerHeard => self.customer_heard(),
            Signal::AgentConnected => self.agent_connected(),
            Signal::AgentLost => self.agent_lost(now),
            Signal::AgentAccepts(offer) => return self.agent_accepts(&offer, now),
            Signal::AgentRejects(offer) => return self.agent_rejects(&offer, now),
            Signal::OfferReceipt(offer, receipt) => self.offer_receipt(&offer, receipt, now),
            Signal::NotPushed(offer) => self.not_pushed(&offer, now),
            Signal::AgentLeft(agent) => self.agent_left(&agent, now),
            Signal::HangUp(by) => return self.hang_up(by, now),
            Signal::Hold(held) => return self.hold(held),
            Signal::Stale => {
                self.upstream_over = true;
                self.end_guess(EndReason::MissedByAgent, EndedBy::System, now);
            }
            Signal::Abandon(reason) => self.end_ours(reason, EndedBy::System, now),
        }
        Ok(())
    }

    /// Takes in that time has passed.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(timer) = self.timers.expired(now.at) {
            match timer {
                Timer::Ring => {
                    self.miss_ringing(OfferCause::RingTimeout, now);
                    self.actions.push_back(Action::Route);
                }
                Timer::Shown => {
                    self.miss_ringing(OfferCause::NotShown, now);
                    self.actions.push_back(Action::Route);
                }
                Timer::RingTotal => {
                    self.miss_ringing(OfferCause::RingTimeout, now);
                    self.end_ours(EndReason::MissedByAgent, EndedBy::System, now);
                }
                Timer::SetUp => self.end_ours(EndReason::SetupFailed, EndedBy::System, now),
                Timer::Verdict => self.no_verdict(now),
                Timer::CustomerRing => self.end_ours(EndReason::MissedByCustomer, EndedBy::System, now),
                Timer::AgentReturn => self.end_ours(EndReason::AgentLost, EndedBy::System, now),
            }
        }
    }

    fn begin(&mut self) {
        if self.record.state != CallState::New {
            return;
        }
        self.record.state = CallState::Checking;
        self.actions.push_back(match self.record.direction {
            Direction::UserInitiated => Action::Route,
            Direction::BusinessInitiated => Action::Dial,
        });
    }

    fn customer_leg_ready(&mut self, now: Moment) {
        if self.is_ended() {
            return self.actions.push_back(Action::CloseMedia);
        }
        if self.customer == Customer::Building {
            self.customer = Customer::Connecting;
        }
        if self.record.direction == Direction::UserInitiated {
            if let Some(candidate) = self.chosen.take() {
                self.ring(candidate, now);
            }
            self.pre_accept = PreAccept::Sent;
            self.actions.push_back(Action::PreAccept);
            return;
        }
        self.await_media(now);
        if let Some(agent) = self.record.agent_id.clone() {
            self.actions.push_back(Action::Join(agent));
        }
        if self.record.answered_at.is_some() {
            self.open();
        }
    }

    fn pre_accepted(&mut self, answer: Result<(), UpstreamFailure>, now: Moment) {
        match answer {
            Ok(()) => {
                self.pre_accept = PreAccept::Done;
                self.await_media(now);
            }
            // Accept works without pre_accept (Meta: recommended, not required).
            Err(failure) => {
                self.pre_accept = PreAccept::Failed;
                if !failure.passing {
                    return self.await_verdict(now);
                }
            }
        }
        self.try_accept(now);
    }

    /// WhatsApp has what it needs for the media path; it must stand within the set-up time.
    fn await_media(&mut self, now: Moment) {
        if self.customer == Customer::Connecting {
            self.timers.set(Timer::SetUp, now.at + self.patience.of(Timer::SetUp));
        }
    }

    fn accepted(&mut self, answer: Result<(), UpstreamFailure>, now: Moment) {
        match answer {
            Ok(()) => {
                self.facts.accepted_at.get_or_insert(now.wall);
                self.answered(now);
            }
            Err(failure) => {
                self.record.upstream_code = self.record.upstream_code.or(failure.code);
                self.await_verdict(now);
            }
        }
    }

    fn dialled(&mut self, answer: Result<crate::model::id::Wacid, UpstreamFailure>, now: Moment) {
        match answer {
            Ok(wacid) => {
                self.record.wacid.get_or_insert(wacid);
                if self.customer != Customer::Connecting {
                    // It waited for the name; the media path is not being set up yet.
                    self.timers.stop(Timer::SetUp);
                }
                if self.is_ended() {
                    self.tell_upstream();
                } else if self.record.state == CallState::Checking {
                    self.move_to(CallState::Offering);
                    self.news.push("call.offered");
                    self.timers.set(Timer::CustomerRing, now.at + self.patience.of(Timer::CustomerRing));
                }
            }
            // The call may exist all the same: WhatsApp's webhooks will tell, or the timer ends the wait.
            Err(failure) if failure.outcome_unknown => {
                self.timers.set(Timer::SetUp, now.at + self.patience.of(Timer::SetUp));
            }
            Err(failure) => {
                self.record.upstream_code = failure.code;
                self.upstream_over = true;
                self.end_ours(failure.reason, EndedBy::Upstream, now);
            }
        }
    }

    fn customer_answer(&mut self, sdp: String) {
        if !self.is_ended() && self.customer == Customer::None {
            self.customer = Customer::Building;
            self.actions.push_back(Action::ApplyAnswer { sdp });
        }
    }

    fn customer_rings(&mut self, now: Moment) {
        if self.is_ended() || self.record.answered_at.is_some() || self.record.state == CallState::Ringing {
            return;
        }
        self.timers.set(Timer::CustomerRing, now.at + self.patience.of(Timer::CustomerRing));
        self.move_to(CallState::Ringing);
        self.news.push("call.ringing");
    }

    fn customer_rejected(&mut self, now: Moment) {
        self.facts.rejected = true;
        self.upstream_over = true;
        self.end_guess(EndReason::RejectedByCustomer, EndedBy::Customer, now);
    }

    fn terminated(&mut self, terminated: Terminated, now: Moment) {
        if self.facts.terminated.is_some() {
            return;
        }
        self.upstream_over = true;
        self.facts.terminated = Some(terminated);
        self.record.settled = true;
        self.end(now);
    }

    fn customer_connected(&mut self, now: Moment) {
        if self.is_ended() {
            return;
        }
        self.customer = Customer::Connected;
        self.timers.stop(Timer::SetUp);
        self.try_accept(now);
    }

    /// WhatsApp may say "accepted" only after the customer's voice is here: whoever speaks is answered at once.
    fn customer_heard(&mut self) {
        let speaks_first = self.record.direction == Direction::BusinessInitiated && self.record.answered_at.is_none();
        if speaks_first && !self.is_ended() {
            self.actions.push_back(Action::OpenGate);
        }
    }

    /// The path of a customer who hangs up dies a moment before WhatsApp says why.
    fn customer_lost(&mut self, now: Moment) {
        self.customer = Customer::Lost;
        self.await_verdict(now);
    }

    /// WhatsApp did not explain what happened, so the call ends with our guess.
    fn no_verdict(&mut self, now: Moment) {
        let (reason, by) = match (self.customer, self.record.answered_at) {
            (Customer::Lost, Some(_)) => (EndReason::MediaTimeoutRx, EndedBy::System),
            (Customer::Lost, None) => (EndReason::SetupFailed, EndedBy::System),
            _ => (EndReason::UpstreamError, EndedBy::Upstream),
        };
        self.end_guess(reason, by, now);
    }

    fn agent_connected(&mut self) {
        if self.is_ended() || self.agent_here {
            return;
        }
        self.agent_here = true;
        self.timers.stop(Timer::AgentReturn);
        if self.record.answered_at.is_some() {
            self.news.push("call.agent_attached");
        }
    }

    fn agent_lost(&mut self, now: Moment) {
        let was_here = std::mem::replace(&mut self.agent_here, false);
        if !was_here || self.is_ended() || self.record.agent_id.is_none() {
            return;
        }
        let patience = match self.record.answered_at {
            Some(_) => self.patience.of(Timer::AgentReturn),
            // Nobody must pick up to an empty chair.
            None => self.patience.of(Timer::AgentReturn).min(UNANSWERED_AGENT_RETURN_MAX),
        };
        self.timers.set(Timer::AgentReturn, now.at + patience);
        self.news.push("call.agent_lost");
    }

    fn hang_up(&mut self, by: EndedBy, now: Moment) -> Result<(), Refused> {
        if self.is_ended() {
            return Err(Refused::Ended);
        }
        let reason = match (self.record.answered_at, self.record.direction) {
            (Some(_), _) => EndReason::Completed,
            (None, Direction::UserInitiated) => EndReason::MissedByAgent,
            (None, Direction::BusinessInitiated) => EndReason::MissedByCustomer,
        };
        self.end_ours(reason, by, now);
        Ok(())
    }

    fn hold(&mut self, held: bool) -> Result<(), Refused> {
        let (to, news) = match (self.record.state, held) {
            (CallState::Active, true) => (CallState::Held, "call.held"),
            (CallState::Held, false) => (CallState::Active, "call.resumed"),
            // Wishing for what already is succeeds without effect.
            (CallState::Active, false) | (CallState::Held, true) => return Ok(()),
            (CallState::Ended, _) => return Err(Refused::Ended),
            _ => return Err(Refused::NotUp),
        };
        self.move_to(to);
        self.news.push(news);
        self.actions.push_back(Action::Hold(held));
        Ok(())
    }

    /// Accept at WhatsApp once somebody answered and the media path stands, so that no word is cut. Without pre_accept the
    /// path can only come up after accept.
    fn try_accept(&mut self, now: Moment) {
        let may = match self.pre_accept {
            PreAccept::Done => self.customer == Customer::Connected,
            PreAccept::Failed => true,
            PreAccept::No | PreAccept::Sent => false,
        };
        if self.record.state == CallState::Answering && may && !self.accept_sent {
            self.accept_sent = true;
            self.await_media(now);
            self.actions.push_back(Action::Accept);
        }
    }

    fn answered(&mut self, now: Moment) {
        if self.is_ended() {
            // A late ACCEPTED after the end: the record learns of it.
            return self.end(now);
        }
        if self.record.answered_at.is_some() {
            return;
        }
        self.record.answered_at = self.facts.accepted_at;
        self.heard_of_answer = Some(now.at);
        self.timers.stop(Timer::CustomerRing);
        if self.customer != Customer::Lost {
            self.timers.stop(Timer::Verdict);
        }
        self.move_to(CallState::Active);
        self.news.push("call.answered");
        if matches!(self.customer, Customer::Connecting | Customer::Connected) {
            self.open();
        }
        if !self.agent_here {
            self.timers.set(Timer::AgentReturn, now.at + self.patience.of(Timer::AgentReturn));
        }
    }

    fn open(&mut self) {
        self.actions.push_back(Action::OpenGate);
        self.actions.push_back(Action::StartRecording);
    }

    fn await_verdict(&mut self, now: Moment) {
        if !self.is_ended() {
            self.timers.set(Timer::Verdict, now.at + self.patience.of(Timer::Verdict));
        }
    }

    fn end_ours(&mut self, reason: EndReason, by: EndedBy, now: Moment) {
        self.end_by(reason, by, false, now);
    }

    fn end_guess(&mut self, reason: EndReason, by: EndedBy, now: Moment) {
        self.end_by(reason, by, true, now);
    }

    fn end_by(&mut self, reason: EndReason, by: EndedBy, guess: bool, now: Moment) {
        let since = |then: Option<Instant>| then.map(|then| now.at.saturating_duration_since(then));
        let talked =
            (since(self.heard_of_answer).unwrap_or(Duration::ZERO), since(self.began).unwrap_or(Duration::MAX));
        self.facts.ours.get_or_insert(Ours { reason, by, at: now.wall, talked, guess });
        self.end(now);
    }

    /// Writes the verdict into the record; the first time it also closes everything down.
    fn end(&mut self, now: Moment) {
        let Some(verdict) = self.facts.verdict(self.record.direction) else { return };
        let first = !self.is_ended();
        if first {
            let cause = match verdict.reason {
                EndReason::CallerCancelled => OfferCause::CallerCancelled,
                _ => OfferCause::CallFailed,
            };
            self.end_ringing(OfferOutcome::Withdrawn, cause, now);
        }
        let before = (self.record.end_reason, self.record.duration_ms, self.record.answered_at);
        self.record.end_reason = Some(verdict.reason);
        self.record.ended_by = Some(verdict.by);
        self.record.answered_at = verdict.answered_at;
        self.record.ended_at = Some(verdict.ended_at);
        self.record.duration_ms = verdict.duration_ms;
        self.record.upstream_code = verdict.upstream_code.or(self.record.upstream_code);
        self.move_to(CallState::Ended);
        if first {
            self.timers.stop_all();
            self.news.push("call.ended");
            self.tell_upstream();
            self.actions.push_back(Action::CloseMedia);
        } else if before != (self.record.end_reason, self.record.duration_ms, self.record.answered_at) {
            self.news.push("call.updated");
        }
    }

    /// WhatsApp hears of every end it did not make itself, as soon as the call has a name there.
    fn tell_upstream(&mut self) {
        if self.upstream_over || self.record.wacid.is_none() {
            return;
        }
        self.upstream_over = true;
        let refused = self.record.direction == Direction::UserInitiated && self.pre_accept == PreAccept::No;
        self.actions.push_back(if refused { Action::Reject } else { Action::Terminate });
    }

    /// The only place that assigns the state.
    fn move_to(&mut self, state: CallState) {
        self.record.state = state;
        self.record.status = Status::of(state, self.record.answered_at.is_some(), self.record.end_reason);
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
