//! The agents a call is offered to, one after the other.

use crate::model::id::{AgentId, OfferId};
use crate::model::reason::{CallState, EndReason, EndedBy, OfferCause, OfferOutcome, ReceiptKind, RingTrouble};
use crate::model::time::Moment;

use super::super::action::Action;
use super::super::record::OfferRecord;
use super::super::signal::{Candidate, Client, Receipt};
use super::super::timer::{OnReject, Timer};
use super::{Call, Customer, Refused};

impl Call {
    /// The agent that is being rung, if one is.
    pub fn ringing(&self) -> Option<(&OfferId, &AgentId)> {
        self.record.offers.iter().find(|o| o.outcome == OfferOutcome::Pending).map(|o| (&o.id, &o.agent_id))
    }

    pub(super) fn routed(&mut self, candidate: Option<Candidate>, now: Moment) {
        if self.is_ended() || self.record.answered_at.is_some() || self.record.state == CallState::Answering {
            // Too late; whoever was reserved is let go with the call.
            return;
        }
        let Some(candidate) = candidate else {
            let reason =
                if self.record.offers.is_empty() { EndReason::NoAgentAvailable } else { EndReason::MissedByAgent };
            return self.end_ours(reason, EndedBy::System, now);
        };
        match self.customer {
            Customer::None => {
                self.customer = Customer::Building;
                self.chosen = Some(candidate);
                self.actions.push_back(Action::AnswerCustomer);
            }
            Customer::Building => self.chosen = Some(candidate),
            _ => self.ring(candidate, now),
        }
    }

    pub(super) fn ring(&mut self, candidate: Candidate, now: Moment) {
        if self.record.offers.is_empty() {
            self.timers.set(Timer::RingTotal, now.at + self.patience.of(Timer::RingTotal));
            self.news.push("call.ringing");
        }
        self.timers.set(Timer::Ring, now.at + self.patience.of(Timer::Ring));
        let shown_within = match candidate.client {
            Client::Silent => None,
            Client::Tells | Client::Gone => Some(self.patience.of(Timer::Shown)),
            Client::Pushed { shown_within } => Some(shown_within),
        };
        if let Some(time) = shown_within {
            self.timers.set(Timer::Shown, now.at + time);
        }
        self.move_to(CallState::Ringing);
        self.record.offers.push(OfferRecord {
            id: candidate.offer_id.clone(),
            agent_id: candidate.agent_id.clone(),
            offered_at: now.wall,
            outcome: OfferOutcome::Pending,
            cause: None,
            ended_at: None,
            reason: candidate.reason.clone(),
            shown_at: None,
            audible_at: None,
            trouble: (candidate.client == Client::Gone).then_some(RingTrouble::SocketDead),
        });
        self.actions.push_back(Action::Ring(candidate));
    }

    pub(super) fn agent_accepts(&mut self, offer: &OfferId, now: Moment) -> Result<(), Refused> {
        let Some(pending) = self.pending_offer(offer) else {
            return Err(Refused::OfferNotPending);
        };
        pending.outcome = OfferOutcome::Accepted;
        pending.ended_at = Some(now.wall);
        let agent = pending.agent_id.clone();
        self.record.agent_id = Some(agent.clone());
        for timer in [Timer::Ring, Timer::Shown, Timer::RingTotal] {
            self.timers.stop(timer);
        }
        self.move_to(CallState::Answering);
        self.actions.push_back(Action::Join(agent));
        self.try_accept(now);
        Ok(())
    }

    pub(super) fn agent_rejects(&mut self, offer: &OfferId, now: Moment) -> Result<(), Refused> {
        if self.pending_offer(offer).is_none() {
            return Err(Refused::OfferNotPending);
        }
        self.miss_ringing(OfferCause::Rejected, now);
        match self.patience.on_reject {
            OnReject::Next => self.actions.push_back(Action::Route),
            OnReject::End => self.end_ours(EndReason::MissedByAgent, EndedBy::Agent, now),
        }
        Ok(())
    }

    /// The first receipt of a kind counts. One for an offer that is over still tells why it was not shown.
    pub(super) fn offer_receipt(&mut self, offer: &OfferId, receipt: Receipt, now: Moment) {
        let Some(offer) = self.record.offers.iter_mut().find(|o| o.id == *offer) else { return };
        if receipt.kind != ReceiptKind::Failed && offer.outcome == OfferOutcome::Pending {
            // Heard is as good as seen. A client that shows it now had not lost its stream for good.
            self.timers.stop(Timer::Shown);
            offer.trouble = None;
        }
        match receipt.kind {
            ReceiptKind::Shown => drop(offer.shown_at.get_or_insert(now.wall)),
            ReceiptKind::Audible => drop(offer.audible_at.get_or_insert(now.wall)),
            ReceiptKind::Failed => {}
        }
        offer.trouble = receipt.trouble.or(offer.trouble);
    }

    /// Nobody waits for a receipt that cannot come: the next agent rings at once.
    pub(super) fn not_pushed(&mut self, offer: &OfferId, now: Moment) {
        let Some(pending) = self.pending_offer(offer).filter(|offer| offer.shown_at.is_none()) else { return };
        pending.trouble = Some(RingTrouble::PushFailed);
        self.miss_ringing(OfferCause::NotShown, now);
        self.actions.push_back(Action::Route);
    }

    /// Nobody who left is rung, nor goes on being rung.
    pub(super) fn agent_left(&mut self, agent: &AgentId, now: Moment) {
        if self.chosen.take_if(|chosen| chosen.agent_id == *agent).is_some() {
            self.actions.push_back(Action::Release(agent.clone()));
            self.actions.push_back(Action::Route);
        }
        if self.ringing().is_some_and(|(_, rung)| rung == agent) {
            self.end_ringing(OfferOutcome::Withdrawn, OfferCause::AgentLeft, now);
            self.actions.push_back(Action::Route);
        }
    }

    fn pending_offer(&mut self, offer: &OfferId) -> Option<&mut OfferRecord> {
        self.record.offers.iter_mut().find(|o| o.id == *offer && o.outcome == OfferOutcome::Pending)
    }

    pub(super) fn miss_ringing(&mut self, cause: OfferCause, now: Moment) {
        self.end_ringing(OfferOutcome::MissedByAgent, cause, now);
    }

    /// The offer that is pending, if any, ends this way.
    pub(super) fn end_ringing(&mut self, outcome: OfferOutcome, cause: OfferCause, now: Moment) {
        self.timers.stop(Timer::Ring);
        self.timers.stop(Timer::Shown);
        let Some(pending) = self.record.offers.iter_mut().find(|o| o.outcome == OfferOutcome::Pending) else { return };
        pending.outcome = outcome;
        pending.cause = Some(cause);
        pending.ended_at = Some(now.wall);
        let (offer_id, agent_id) = (pending.id.clone(), pending.agent_id.clone());
        self.actions.push_back(Action::Withdraw { offer_id, agent_id, cause });
    }
}
