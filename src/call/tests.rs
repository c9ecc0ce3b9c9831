//! The life of a call as stories, and every order of what WhatsApp says about one.

use std::time::Duration;

use crate::model::directory::Contact;
use crate::model::id::{AgentId, CallId, ContactId, NumberId, OfferId, Wacid};
use crate::model::reason::{
    CallState, Direction, EndReason, EndedBy, OfferCause, OfferOutcome, ReceiptKind, RingTrouble,
};
use crate::model::time::{Clock, Moment, Timestamp};

use super::record::{CallRecord, Status};
use super::signal::{Candidate, Client, Receipt, Signal, Terminated, UpstreamFailure};
use super::state::Refused;
use super::{Action, Call, OnReject, Patience};

const START: Timestamp = Timestamp::from_secs(1_795_000_000);

#[test]
fn an_answered_call_pre_accepts_while_it_rings_and_accepts_only_when_media_stands() {
    let mut story = Story::inbound();
    story.tell(Signal::Begin).expect_actions(&["Route"]);
    story.tell(routed("agt_a")).expect_actions(&["AnswerCustomer"]);
    story.tell(Signal::CustomerLegReady).expect_actions(&["Ring agt_a", "PreAccept"]);
    story.tell(Signal::AgentConnected).expect_actions(&[]);
    story.tell(Signal::AgentAccepts(offer("agt_a"))).expect_actions(&["Join agt_a"]);
    story.tell(Signal::PreAccepted(Ok(()))).expect_actions(&[]);
    story.tell(Signal::CustomerConnected).expect_actions(&["Accept"]);
    story.tell(Signal::Accepted(Ok(()))).expect_actions(&["OpenGate", "StartRecording"]);
    story.expect(CallState::Active, Status::Ongoing, None);
    story.tell(Signal::Terminated(hung_up(20))).expect_actions(&["CloseMedia"]);
    story.expect(CallState::Ended, Status::Completed, Some(EndReason::Completed));
    assert_eq!(story.call.record().duration_ms, 20_000);
    assert_eq!(story.call.record().ended_by, Some(EndedBy::Customer));
}

#[test]
fn a_rejected_offer_is_missed_by_that_agent_and_the_next_one_rings() {
    let mut story = Story::ringing("agt_a");
    story.tell(Signal::AgentRejects(offer("agt_a"))).expect_actions(&["Withdraw agt_a rejected", "Route"]);
    story.tell(routed("agt_b")).expect_actions(&["Ring agt_b"]);
    story.later(20_000).expect_actions(&["Withdraw agt_b ring_timeout", "Route"]);
    story.tell(Signal::Routed(None)).expect_actions(&["Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::MissedByAgent));
    let outcomes: Vec<_> = story.call.record().offers.iter().map(|o| (o.outcome, o.cause)).collect();
    assert_eq!(
        outcomes,
        [
            (OfferOutcome::MissedByAgent, Some(OfferCause::Rejected)),
            (OfferOutcome::MissedByAgent, Some(OfferCause::RingTimeout))
        ]
    );
}

#[test]
fn a_pushed_offer_has_time_to_be_shown_and_goes_on_at_once_if_no_push_service_takes_it() {
    let pushed = Client::Pushed { shown_within: Duration::from_secs(5) };
    let told = |kind| Signal::OfferReceipt(offer("agt_a"), Receipt { kind, trouble: None });
    let mut story = Story::rung_with("agt_a", pushed);
    story.later(4_999).expect_actions(&[]);
    story.later(1).expect_actions(&["Withdraw agt_a not_shown", "Route"]);

    let mut story = Story::rung_with("agt_a", pushed);
    story.later(40).tell(Signal::NotPushed(offer("agt_a"))).expect_actions(&["Withdraw agt_a not_shown", "Route"]);
    assert_eq!(story.call.record().offers[0].trouble, Some(RingTrouble::PushFailed));
    story.tell(routed("agt_b")).expect_actions(&["Ring agt_b"]);
    story.tell(Signal::NotPushed(offer("agt_a"))).expect_actions(&[]);

    // It was shown all the same: the console was opened meanwhile.
    let mut story = Story::rung_with("agt_a", pushed);
    story.tell(told(ReceiptKind::Shown)).tell(Signal::NotPushed(offer("agt_a"))).expect_actions(&[]);
    story.later(19_999).expect_actions(&[]);
    story.later(1).expect_actions(&["Withdraw agt_a ring_timeout", "Route"]);
}

#[test]
fn an_offer_that_is_not_shown_in_a_second_goes_on_to_the_next_agent() {
    let told = |kind, trouble| Signal::OfferReceipt(offer("agt_a"), Receipt { kind, trouble });
    for client in [Client::Tells, Client::Gone] {
        let mut story = Story::rung_with("agt_a", client);
        story.later(999).expect_actions(&[]);
        story.later(1).expect_actions(&["Withdraw agt_a not_shown", "Route"]);
        let missed = &story.call.record().offers[0];
        assert_eq!((missed.outcome, missed.cause), (OfferOutcome::MissedByAgent, Some(OfferCause::NotShown)));
        assert_eq!(missed.trouble, (client == Client::Gone).then_some(RingTrouble::SocketDead));
        // Awake again, the tab says what was wrong; the call has gone on.
        story.tell(told(ReceiptKind::Shown, Some(RingTrouble::TabAsleep))).expect_actions(&[]);
        assert_eq!(story.call.record().offers[0].trouble, Some(RingTrouble::TabAsleep));
        story.tell(routed("agt_b")).expect_actions(&["Ring agt_b"]);
        story.later(19_000).expect_actions(&[]);
    }
    for kind in [ReceiptKind::Shown, ReceiptKind::Audible] {
        let mut story = Story::rung_with("agt_a", Client::Gone);
        story.tell(told(kind, None)).later(19_999).expect_actions(&[]);
        assert_eq!(story.call.record().offers[0].trouble, None, "it is back");
        story.later(1).expect_actions(&["Withdraw agt_a ring_timeout", "Route"]);
    }
    // What cannot ring says so, and is given no more time for it.
    let mut story = Story::rung_with("agt_a", Client::Tells);
    story.tell(told(ReceiptKind::Failed, Some(RingTrouble::AutoplayBlocked))).later(1_000);
    story.expect_actions(&["Withdraw agt_a not_shown", "Route"]);
    assert_eq!(story.call.record().offers[0].trouble, Some(RingTrouble::AutoplayBlocked));
    // A softphone that says nothing rings its whole time.
    let mut story = Story::ringing("agt_a");
    story.later(19_999).expect_actions(&[]);
    // An answer is a receipt, too.
    let mut story = Story::rung_with("agt_a", Client::Tells);
    story.tell(Signal::AgentAccepts(offer("agt_a"))).expect_actions(&["Join agt_a"]);
    story.later(1_000).expect_actions(&[]);
}

#[test]
fn a_rejected_offer_may_end_the_call_as_missed_by_that_agent() {
    let mut story = Story::ringing_with("agt_a", Patience { on_reject: OnReject::End, ..Patience::default() });
    story.tell(Signal::AgentRejects(offer("agt_a")));
    story.expect_actions(&["Withdraw agt_a rejected", "Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::MissedByAgent));
    let record = story.call.record();
    assert_eq!(record.ended_by, Some(EndedBy::Agent));
    assert_eq!(
        (record.offers[0].outcome, record.offers[0].cause),
        (OfferOutcome::MissedByAgent, Some(OfferCause::Rejected))
    );
    // Nobody rejected: whoever does not answer, or leaves, is followed by the next all the same.
    for gone in [None, Some(Signal::AgentLeft(AgentId::parse("agt_a").unwrap()))] {
        let mut story = Story::ringing_with("agt_a", Patience { on_reject: OnReject::End, ..Patience::default() });
        match gone {
            Some(signal) => story.tell(signal),
            None => story.later(20_000),
        };
        story.tell(routed("agt_b"));
        assert_eq!(story.fresh[1..], ["Route", "Ring agt_b"]);
    }
}

#[test]
fn an_agent_who_leaves_between_being_chosen_and_being_rung_is_not_rung() {
    let mut story = Story::inbound();
    let left = |agent| Signal::AgentLeft(AgentId::parse(agent).unwrap());
    story.tell(Signal::Begin).tell(routed("agt_a")).fresh.clear();
    story.tell(left("agt_b")).expect_actions(&[]);
    story.tell(left("agt_a")).expect_actions(&["Release agt_a", "Route"]);
    story.tell(routed("agt_b")).expect_actions(&[]);
    story.tell(Signal::CustomerLegReady).expect_actions(&["Ring agt_b", "PreAccept"]);
    assert_eq!(story.call.record().offers.len(), 1);
}

#[test]
fn nobody_eligible_is_refused_at_whatsapp_without_pre_accept() {
    let mut story = Story::inbound();
    story.tell(Signal::Begin).expect_actions(&["Route"]);
    story.tell(Signal::Routed(None)).expect_actions(&["Reject", "CloseMedia"]);
    story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::NoAgentAvailable));
}

#[test]
fn the_whole_ring_is_bounded() {
    let mut story = Story::ringing("agt_a");
    for agent in ["agt_b", "agt_c"] {
        story.later(19_000);
        story.tell(Signal::AgentRejects(story.pending())).tell(routed(agent));
    }
    story.fresh.clear();
    story.later(8_000).expect_actions(&["Withdraw agt_c ring_timeout", "Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::MissedByAgent));
}

#[test]
fn a_caller_who_hangs_up_while_it_rings_withdraws_the_offer() {
    let mut story = Story::ringing("agt_a");
    story.tell(Signal::Terminated(unanswered())).expect_actions(&["Withdraw agt_a caller_cancelled", "CloseMedia"]);
    story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::CallerCancelled));
    assert_eq!(story.try_tell(Signal::AgentAccepts(offer("agt_a"))), Err(Refused::OfferNotPending));
}

#[test]
fn an_offer_is_accepted_once() {
    let mut story = Story::ringing("agt_a");
    story.tell(Signal::AgentAccepts(offer("agt_a")));
    assert_eq!(story.try_tell(Signal::AgentAccepts(offer("agt_a"))), Err(Refused::OfferNotPending));
}

#[test]
fn a_caller_gone_during_accept_is_a_cancelled_call_whichever_news_comes_first() {
    let refused = || Signal::Accepted(Err(failure(false)));
    let gone = || Signal::Terminated(unanswered());
    for signals in [
        [refused(), gone()],
        [gone(), refused()],
        [Signal::Accepted(Ok(())), gone()],
        [gone(), Signal::Accepted(Ok(()))],
    ] {
        let mut story = Story::answering("agt_a");
        for signal in signals {
            story.tell(signal);
        }
        story.expect(CallState::Ended, Status::MissedByAgent, Some(EndReason::CallerCancelled));
    }
}

#[test]
fn a_refused_accept_that_nothing_explains_ends_the_call_at_whatsapp_too() {
    let mut story = Story::answering("agt_a");
    story.tell(Signal::Accepted(Err(failure(false)))).expect_actions(&[]);
    story.later(4_000).expect_actions(&["Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::Failed, Some(EndReason::UpstreamError));
}

#[test]
fn a_pre_accept_that_failed_in_passing_is_made_up_for_by_accept() {
    let mut story = Story::inbound();
    story.tell(Signal::Begin).tell(routed("agt_a")).tell(Signal::CustomerLegReady);
    story.tell(Signal::PreAccepted(Err(failure(true))));
    story.later(18_000).fresh.clear();
    story.tell(Signal::AgentAccepts(offer("agt_a"))).expect_actions(&["Join agt_a", "Accept"]);
    story.tell(Signal::Accepted(Ok(()))).tell(Signal::CustomerConnected);
    story.later(20_000);
    story.expect(CallState::Active, Status::Ongoing, None);
}

#[test]
fn a_call_that_cannot_be_answered_rings_nobody() {
    let mut story = Story::inbound();
    story.tell(Signal::Begin).tell(routed("agt_a")).tell(Signal::CustomerLegFailed);
    story.expect_actions(&["Route", "AnswerCustomer", "Reject", "CloseMedia"]);
    assert!(story.call.record().offers.is_empty());
    story.expect(CallState::Ended, Status::Failed, Some(EndReason::SetupFailed));
}

#[test]
fn a_call_whose_name_came_late_may_ring_on() {
    let mut story = Story::outbound();
    let lost = UpstreamFailure { outcome_unknown: true, ..failure(true) };
    story.tell(Signal::Begin).tell(Signal::Dialled(Err(lost)));
    story.later(10_000).tell(Signal::Dialled(Ok(Wacid::parse("wacid.X").unwrap()))).tell(Signal::CustomerRings);
    story.later(20_000);
    story.expect(CallState::Ringing, Status::Ringing, None);
}

#[test]
fn a_dial_whose_agent_is_gone_is_given_up() {
    let mut story = Story::dialled();
    story.tell(Signal::AgentConnected).tell(Signal::AgentLost).tell(Signal::AgentLost);
    story.later(10_000);
    story.expect(CallState::Ended, Status::Failed, Some(EndReason::AgentLost));
}

#[test]
fn a_media_path_that_never_stands_ends_the_call() {
    let mut story = Story::inbound();
    story.tell(Signal::Begin).tell(routed("agt_a")).tell(Signal::CustomerLegReady).tell(Signal::PreAccepted(Ok(())));
    story.tell(Signal::AgentAccepts(offer("agt_a")));
    story.later(15_000);
    story.expect(CallState::Ended, Status::Failed, Some(EndReason::SetupFailed));
}

#[test]
fn a_customer_who_speaks_before_whatsapp_says_accepted_is_answered_at_once() {
    let mut story = Story::dialled();
    story.tell(Signal::CustomerAnswer { sdp: "v=0".into() }).tell(Signal::CustomerLegReady).tell(Signal::CustomerRings);
    story.fresh.clear();
    story.tell(Signal::CustomerHeard).expect_actions(&["OpenGate"]);
    story.expect(CallState::Ringing, Status::Ringing, None);
}

#[test]
fn dead_media_waits_for_whatsapps_word_and_ends_the_call_without_it() {
    let mut story = Story::active("agt_a");
    story.tell(Signal::CustomerLost).expect_actions(&[]);
    story.tell(Signal::Terminated(hung_up(20))).expect_actions(&["CloseMedia"]);
    story.expect(CallState::Ended, Status::Completed, Some(EndReason::Completed));
    let mut story = Story::active("agt_a");
    story.tell(Signal::CustomerLost);
    story.later(4_000).expect_actions(&["Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::Completed, Some(EndReason::MediaTimeoutRx));
    let mut story = Story::ringing("agt_a");
    story.tell(Signal::CustomerLost).later(4_000);
    story.expect(CallState::Ended, Status::Failed, Some(EndReason::SetupFailed));
}

#[test]
fn a_lost_agent_may_return_and_is_given_up_after_a_minute() {
    let mut story = Story::active("agt_a");
    story.tell(Signal::AgentLost).expect_actions(&[]);
    story.expect(CallState::Active, Status::Ongoing, None);
    story.later(59_000).tell(Signal::AgentConnected);
    story.later(60_000);
    story.expect(CallState::Active, Status::Ongoing, None);
    story.tell(Signal::AgentLost);
    story.later(60_000).expect_actions(&["Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::Completed, Some(EndReason::AgentLost));
}

#[test]
fn hold_is_only_for_a_call_that_is_up() {
    let mut story = Story::ringing("agt_a");
    assert_eq!(story.try_tell(Signal::Hold(true)), Err(Refused::NotUp));
    let mut story = Story::active("agt_a");
    story.tell(Signal::Hold(true)).expect_actions(&["Hold true"]);
    story.tell(Signal::Hold(true)).expect_actions(&[]);
    story.tell(Signal::Hold(false)).expect_actions(&["Hold false"]);
    story.tell(Signal::HangUp(EndedBy::Agent)).expect_actions(&["Terminate", "CloseMedia"]);
    story.expect(CallState::Ended, Status::Completed, Some(EndReason::Completed));
    assert_eq!(story.try_tell(Signal::Hold(true)), Err(Refused::Ended));
    assert_eq!(story.try_tell(Signal::HangUp(EndedBy::Agent)), Err(Refused::Ended));
}

#[test]
fn an_outbound_call_ends_the_same_in_every_order_of_its_webhooks() {
    let sdp = || Signal::CustomerAnswer { sdp: "v=0".into() };
    let picked_up = || Signal::CustomerAccepted { at: START.plus(Duration::from_secs(5)) };
    for (webhooks, want) in [
        (
            vec![sdp(), Signal::CustomerRings, picked_up(), Signal::Terminated(hung_up(20))],
            (Status::Completed, EndReason::Completed),
        ),
        (
            vec![sdp(), Signal::CustomerRings, Signal::CustomerRejected, Signal::Terminated(unanswered())],
            (Status::RejectedByCustomer, EndReason::RejectedByCustomer),
        ),
        (
            vec![sdp(), Signal::CustomerRings, Signal::Terminated(unanswered())],
            (Status::MissedByCustomer, EndReason::MissedByCustomer),
        ),
    ] {
        let mut seen = None;
        for order in permutations(webhooks) {
            let mut story = Story::dialled();
            for signal in order.iter().cloned().chain(order.iter().cloned()) {
                story.tell(signal);
            }
            let record = story.call.record();
            assert_eq!((record.status, record.end_reason), (want.0, Some(want.1)), "{order:?}");
            let end = (record.answered_at, record.duration_ms, record.ended_by);
            assert_eq!(*seen.get_or_insert(end), end, "{order:?}");
            assert!(!story.done.iter().any(|a| a == "Terminate"), "WhatsApp ended it itself: {order:?}");
        }
    }
}

#[test]
fn a_customers_call_was_answered_when_we_answered_it_not_at_whatsapps_whole_second_before() {
    let mut story = Story::active("agt_a");
    let ours = story.call.record().answered_at.unwrap();
    let before = Timestamp::from_millis(ours.as_millis() - 700);
    story.tell(Signal::Terminated(Terminated { started_at: Some(before), ..hung_up(20) }));
    let record = story.call.record();
    assert_eq!((record.answered_at, record.duration_ms), (Some(ours), 20_000), "the talk's length is WhatsApp's");
}

#[test]
fn media_errors_of_whatsapp_have_their_own_reasons() {
    for (code, want) in [
        (138_021, EndReason::MediaTimeoutTx),
        (138_022, EndReason::MediaTimeoutRx),
        (138_019, EndReason::SetupFailed),
        (131_044, EndReason::UpstreamError),
    ] {
        let mut story = Story::active("agt_a");
        story.tell(Signal::Terminated(Terminated { failed: true, code: Some(code), ..hung_up(20) }));
        assert_eq!(story.call.record().end_reason, Some(want), "{code}");
        assert_eq!(story.call.record().upstream_code, Some(code));
    }
}

#[test]
fn a_call_dialled_after_it_was_cancelled_is_ended_at_whatsapp() {
    let mut story = Story::outbound();
    story.tell(Signal::Begin).expect_actions(&["Dial"]);
    story.tell(Signal::HangUp(EndedBy::Agent)).expect_actions(&["CloseMedia"]);
    story.tell(Signal::Dialled(Ok(Wacid::parse("wacid.X").unwrap()))).expect_actions(&["Terminate"]);
}

#[test]
fn a_late_terminate_corrects_the_stored_record() {
    let mut story = Story::active("agt_a");
    story.later(10_000).tell(Signal::HangUp(EndedBy::Agent));
    let mut again = Call::restore(story.call.record().clone(), Patience::default());
    again.handle(Signal::Terminated(hung_up(9)), story.now).unwrap();
    assert_eq!(again.record().duration_ms, 9_000);
    assert_eq!(again.record().ended_by, Some(EndedBy::Agent));
    assert_eq!(again.take_news(), ["call.updated"]);
}

#[test]
fn a_wall_clock_that_jumps_makes_no_talk_longer_or_shorter() {
    const HOUR_MS: i64 = 3_600_000;
    // By how much our clock is off when the answer is heard of, and how far it jumps during the talk.
    for (off_ms, jump_ms) in [(0, 0), (HOUR_MS, 0), (-HOUR_MS, 0), (0, HOUR_MS), (0, -HOUR_MS)] {
        let mut story = Story::dialled();
        let answered = story.now.wall;
        story.now.wall = Timestamp::from_millis(answered.as_millis() + off_ms);
        story.tell(Signal::CustomerAccepted { at: answered });
        story.now.wall = Timestamp::from_millis(story.now.wall.as_millis() + jump_ms);
        story.later(10_000).tell(Signal::HangUp(EndedBy::Agent));
        assert_eq!(story.call.record().duration_ms, 10_000, "off by {off_ms}, jumped by {jump_ms}");
        // What was found out once is not lost when a late word is taken in.
        let mut again = Call::restore(story.call.record().clone(), Patience::default());
        again.handle(Signal::CustomerAccepted { at: answered }, story.now).unwrap();
        assert_eq!(again.record().duration_ms, 10_000);
    }
}

/// One call on a clock of its own.
struct Story {
    call: Call,
    now: Moment,
    /// Actions since the last look, and all of them.
    fresh: Vec<String>,
    done: Vec<String>,
}

impl Story {
    fn new(direction: Direction, patience: Patience) -> Self {
        let now = Moment { at: Clock.instant(), wall: START };
        let call = Call::new(record(direction), patience);
        Self { call, now, fresh: Vec::new(), done: Vec::new() }
    }

    fn inbound() -> Self {
        Self::new(Direction::UserInitiated, Patience::default())
    }

    fn outbound() -> Self {
        Self::new(Direction::BusinessInitiated, Patience::default())
    }

    fn ringing(agent: &str) -> Self {
        Self::ringing_with(agent, Patience::default())
    }

    fn rung_with(agent: &str, client: Client) -> Self {
        let mut story = Self::inbound();
        let Signal::Routed(Some(candidate)) = routed(agent) else { unreachable!() };
        story.tell(Signal::Begin);
        story.tell(Signal::Routed(Some(Candidate { client, ..candidate })));
        story.tell(Signal::CustomerLegReady);
        story.fresh.clear();
        story
    }

    fn ringing_with(agent: &str, patience: Patience) -> Self {
        let mut story = Self::new(Direction::UserInitiated, patience);
        story.tell(Signal::Begin).tell(routed(agent)).tell(Signal::CustomerLegReady);
        story.tell(Signal::PreAccepted(Ok(()))).tell(Signal::CustomerConnected).tell(Signal::AgentConnected);
        story.fresh.clear();
        story
    }

    fn answering(agent: &str) -> Self {
        let mut story = Self::ringing(agent);
        story.tell(Signal::AgentAccepts(offer(agent)));
        story.fresh.clear();
        story
    }

    fn active(agent: &str) -> Self {
        let mut story = Self::answering(agent);
        story.tell(Signal::Accepted(Ok(())));
        story.fresh.clear();
        story
    }

    fn dialled() -> Self {
        let mut story = Self::outbound();
        story.tell(Signal::Begin).tell(Signal::Dialled(Ok(Wacid::parse("wacid.X").unwrap())));
        story
    }

    fn try_tell(&mut self, signal: Signal) -> Result<(), Refused> {
        let answer = self.call.handle(signal, self.now);
        self.drain();
        answer
    }

    fn tell(&mut self, signal: Signal) -> &mut Self {
        self.try_tell(signal.clone()).unwrap_or_else(|refused| panic!("{signal:?}: {refused}"));
        self
    }

    fn later(&mut self, ms: u64) -> &mut Self {
        self.now = self.now.plus(Duration::from_millis(ms));
        self.call.handle_timeout(self.now);
        self.drain();
        self
    }

    fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            let words = match action {
                Action::Ring(c) => format!("Ring {}", c.agent_id),
                Action::Release(agent) => format!("Release {agent}"),
                Action::Withdraw { agent_id, cause, .. } => format!("Withdraw {agent_id} {cause}"),
                Action::Join(agent) => format!("Join {agent}"),
                Action::Hold(held) => format!("Hold {held}"),
                other => format!("{other:?}"),
            };
            self.done.push(words.clone());
            self.fresh.push(words);
        }
    }

    fn pending(&self) -> OfferId {
        self.call.ringing().unwrap().0.clone()
    }

    #[track_caller]
    fn expect_actions(&mut self, want: &[&str]) {
        assert_eq!(std::mem::take(&mut self.fresh), want);
    }

    #[track_caller]
    fn expect(&self, state: CallState, status: Status, end: Option<EndReason>) {
        let record = self.call.record();
        assert_eq!((record.state, record.status, record.end_reason), (state, status, end));
    }
}

fn record(direction: Direction) -> CallRecord {
    let contact = Contact {
        id: ContactId::generate(),
        phone: None,
        user_id: None,
        name: None,
        username: None,
        assignee_id: None,
        owner_id: None,
        created_at: START,
    };
    let number = NumberId::parse("100000000000001").unwrap();
    CallRecord {
        agent_id: (direction == Direction::BusinessInitiated).then(|| AgentId::parse("agt_a").unwrap()),
        wacid: (direction == Direction::UserInitiated).then(|| Wacid::parse("wacid.X").unwrap()),
        ..CallRecord::begun(CallId::generate(), number, direction, contact, START)
    }
}

fn offer(agent: &str) -> OfferId {
    OfferId::parse(&format!("off_{agent}")).unwrap()
}

fn routed(agent: &str) -> Signal {
    let agent_id = AgentId::parse(agent).unwrap();
    Signal::Routed(Some(Candidate {
        offer_id: offer(agent),
        agent_id,
        reason: "free the longest".into(),
        client: Client::Silent,
    }))
}

fn failure(passing: bool) -> UpstreamFailure {
    UpstreamFailure {
        reason: EndReason::UpstreamError,
        code: Some(100),
        message: "no".into(),
        passing,
        outcome_unknown: false,
    }
}

fn hung_up(seconds: i64) -> Terminated {
    let started = START.plus(Duration::from_secs(5));
    let ended = Timestamp::from_millis(started.as_millis() + seconds * 1000);
    Terminated {
        at: ended,
        failed: false,
        code: None,
        started_at: Some(started),
        ended_at: Some(ended),
        duration_s: Some(seconds),
    }
}

fn unanswered() -> Terminated {
    Terminated { at: START, failed: false, code: None, started_at: None, ended_at: None, duration_s: None }
}

fn permutations<T: Clone>(items: Vec<T>) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items];
    }
    let mut all = Vec::new();
    for i in 0..items.len() {
        let mut rest = items.clone();
        let first = rest.remove(i);
        all.extend(permutations(rest).into_iter().map(|mut tail| {
            tail.insert(0, first.clone());
            tail
        }));
    }
    all
}
