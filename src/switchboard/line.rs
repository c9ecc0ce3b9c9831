//! One task per call: it takes messages, asks the call, stores what the call answers, and only then acts.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::call::record::{LegRecord, OfferRecord};
use crate::call::{Action, Call, CallRecord, Receipt, Signal};
use crate::media::{Leg, MediaEvent, OutgoingLeg};
use crate::model::directory::Asker;
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, LegId, OfferId};
use crate::model::reason::{CallState, Direction, EndReason, EndedBy, LegKind, MediaAlarm, OfferOutcome, ReceiptKind};
use crate::record::RecordEvent;
use crate::shard::{CustomerPort, ShardId};
use crate::signalling::whatsapp::codes;
use crate::store::{Mark, StoreError};

use super::recording::Tapped;
use super::registry::LineHandle;
use super::{Desk, Refusal, about_call, call_event};

/// Messages waiting at one call. The task never waits for anything that could be waiting for its mailbox.
const MAILBOX: usize = 64;
/// An ended call's task stays this long for its media to close, its recording to finish and WhatsApp's last word.
const LINGER: Duration = Duration::from_secs(30);
/// The longest pause between attempts to store the end of a call; the pauses double up to it.
const STORE_AGAIN_MAX: Duration = Duration::from_secs(60);

/// What a call's task can be woken by.
pub(super) enum Message {
    Signal(Signal),
    /// Somebody's wish; the answer is the record after it.
    Wish(Signal, Answer<CallRecord>),
    /// An agent's browser offers its media.
    AgentMedia {
        agent: AgentId,
        sdp: String,
        answer: Answer<(LegId, String)>,
    },
    Digits {
        digits: String,
        answer: Answer<CallRecord>,
    },
    PauseRecording {
        paused: bool,
        answer: Answer<CallRecord>,
    },
    /// What people say the call was.
    Mark {
        mark: Mark,
        by: Asker,
        answer: Answer<CallRecord>,
    },
    Media(MediaEvent),
    MediaClosed,
    Recording(RecordEvent),
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// A call and everything that runs for it.
pub(super) struct Line {
    pub(super) desk: Arc<Desk>,
    pub(super) call: Call,
    /// To ourselves: answers of requests that run beside us.
    pub(super) myself: LineHandle,
    mailbox: mpsc::Receiver<Message>,
    /// Signals that follow from an action at once.
    pub(super) next: VecDeque<Signal>,
    pub(super) shard: ShardId,
    pub(super) customer: Customer,
    /// The newest leg each agent set up.
    pub(super) agents: HashMap<AgentId, LegId>,
    /// Legs whose ICE and DTLS are done.
    pub(super) connected: HashSet<LegId>,
    /// Agents' legs that wait for the customer's leg to move in first.
    pub(super) waiting: Vec<Leg>,
    /// Whoever placed the call waits for WhatsApp's answer to `connect`.
    pub(super) dialler: Option<Answer<CallRecord>>,
    pub(super) media_open: bool,
    pub(super) tapped: Option<Tapped>,
    /// The offer that was pushed to browsers and is not over.
    pub(super) pushed: Option<OfferId>,
    /// Written to the record, not yet to the store.
    pub(super) dirty: bool,
    /// Events that go with the next write.
    untold: Vec<NewEvent>,
    linger_until: Option<Instant>,
    started: std::time::Instant,
}

/// The customer's side on its way to a shard.
pub(super) enum Customer {
    /// Inbound: the offer of the webhook.
    Offer(String),
    /// Outbound: a port, until `connect` is posted.
    Port(CustomerPort),
    /// Outbound: our offer is out.
    Offered(Box<OutgoingLeg>, CustomerPort),
    /// On its shard; `answer` is what pre_accept and accept both carry.
    Moved {
        leg: LegId,
        answer: String,
    },
    Gone,
}

impl Line {
    /// Starts the call's task. The call must be in the registry before anything can reach it, so this enters it.
    pub(super) fn start(
        desk: &Arc<Desk>,
        call: Call,
        customer: Customer,
        dialler: Option<Answer<CallRecord>>,
        first: Vec<Signal>,
    ) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let myself = LineHandle::new(sender);
        let record = call.record();
        let pair = (record.number_id.clone(), record.contact.id.clone());
        desk.registry.enter(&record.id, myself.clone(), pair, record.wacid.as_ref(), record.agent_id.as_ref());
        let line = Self {
            shard: desk.parts.shards.place(),
            desk: Arc::clone(desk),
            call,
            myself,
            mailbox,
            next: first.into(),
            customer,
            agents: HashMap::new(),
            connected: HashSet::new(),
            waiting: Vec::new(),
            dialler,
            media_open: false,
            tapped: None,
            pushed: None,
            dirty: false,
            untold: Vec::new(),
            linger_until: None,
            started: desk.parts.clock.instant(),
        };
        let (desk, call, shard) = (Arc::clone(desk), line.call.record().id.clone(), line.shard);
        tokio::spawn(async move {
            if AssertUnwindSafe(line.run()).catch_unwind().await.is_err() {
                tracing::error!(%call, "the call's task broke; the call is closed");
                desk.clear_away(&call, shard).await;
            }
        });
    }

    async fn run(mut self) {
        let id = self.call.record().id.clone();
        tracing::info!(call = %id, direction = %self.call.record().direction, "call begins");
        loop {
            self.follow().await;
            if self.is_over() {
                break;
            }
            // After the end the call has no timers of its own.
            let wake = self.call.poll_timeout().map(Instant::from_std).or(self.linger_until);
            tokio::select! {
                message = self.mailbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => break,
                },
                () = sleep_until(wake), if wake.is_some() => {
                    self.call.handle_timeout(self.desk.parts.clock.now());
                    self.dirty = true;
                    if self.linger_until.is_some_and(|until| until <= Instant::now()) {
                        break;
                    }
                }
            }
        }
        if self.call.is_ended() && !self.call.record().settled {
            // WhatsApp is not waited for any longer: the call is charged by our own clock, and corrected should it still speak.
            self.call.record_mut().settled = true;
            self.store(Vec::new()).await;
        }
        self.store_for_good().await;
        // What arrived meanwhile still counts.
        self.mailbox.close();
        while let Some(message) = self.mailbox.recv().await {
            self.take(message).await;
        }
        self.follow().await;
        self.store_for_good().await;
        self.desk.registry.leave(&id);
        if let Err(error) = self.desk.review_pickup(&self.call.record().number_id).await {
            tracing::warn!(call = %id, %error, "the pickup guard could not look at the number");
        }
        tracing::debug!(call = %id, "call's task ends");
    }

    /// Follows up until nothing more is due at once: store with its events, then act.
    async fn follow(&mut self) {
        loop {
            let mut actions = Vec::new();
            while let Some(action) = self.call.poll_action() {
                actions.push(action);
            }
            let news = self.call.take_news();
            self.register(&actions);
            if !news.is_empty() || !actions.is_empty() || self.dirty {
                let mut events: Vec<_> = news.iter().map(|kind| call_event(kind, self.call.record())).collect();
                for action in &actions {
                    events.extend(self.offer_event(action).await);
                }
                if news.contains(&"call.ended") {
                    events.extend(self.desk.wrap_up_after(self.call.record()));
                }
                self.count(&news);
                self.store(events).await;
            }
            for action in actions {
                self.execute(action).await;
            }
            let Some(signal) = self.next.pop_front() else { break };
            self.handle(signal);
        }
    }

    /// What the outside may do the moment it hears the news must be possible by then: offers are known, and whoever was
    /// on an ended call is free.
    fn register(&mut self, actions: &[Action]) {
        let call = &self.call.record().id;
        for action in actions {
            if let Action::Ring(candidate) = action {
                self.desk.registry.offered(&candidate.offer_id, call, &candidate.agent_id);
            }
        }
        if self.call.is_ended() && self.linger_until.is_none() {
            self.linger_until = Some(Instant::now() + LINGER);
            self.desk.registry.end(call);
            self.call.record_mut().explain(self.desk.parts.ears.is_some());
            self.dirty = true;
        }
    }

    fn handle(&mut self, signal: Signal) {
        tracing::debug!(call = %self.call.record().id, ?signal, "signal");
        if let Signal::OfferReceipt(offer, receipt) = &signal {
            self.note_receipt(offer, *receipt);
        }
        self.dirty = true;
        if let Err(refused) = self.call.handle(signal, self.desk.parts.clock.now()) {
            tracing::debug!(call = %self.call.record().id, %refused, "signal refused");
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Signal(signal @ Signal::Dialled(_)) => self.dialled(signal),
            Message::Signal(signal) => self.handle(signal),
            Message::Wish(signal, answer) => {
                let outcome = self.call.handle(signal, self.desk.parts.clock.now());
                self.dirty |= outcome.is_ok();
                match outcome {
                    Ok(()) => {
                        self.follow().await;
                        let _ = answer.send(Ok(self.call.record().clone()));
                    }
                    Err(refused) => {
                        let _ = answer.send(Err(refused.into()));
                    }
                }
            }
            Message::AgentMedia { agent, sdp, answer } => {
                let _ = answer.send(self.agent_media(agent, &sdp));
            }
            Message::Digits { digits, answer } => {
                let _ = answer.send(self.send_digits(digits));
            }
            Message::PauseRecording { paused, answer } => {
                let _ = answer.send(self.pause_recording(paused).await);
            }
            Message::Mark { mark, by, answer } => {
                let _ = answer.send(self.mark(&mark, &by).await);
            }
            Message::Media(event) => self.media(event).await,
            Message::MediaClosed => {
                self.media_open = false;
                self.dirty = true;
            }
            Message::Recording(event) => self.recording(event).await,
        }
    }

    fn note_receipt(&self, offer: &OfferId, receipt: Receipt) {
        let (now, record) = (self.desk.parts.clock.now().wall, self.call.record());
        let Some(offer) = record.offers.iter().find(|known| known.id == *offer) else { return };
        self.desk.parts.metrics.offer_receipt(receipt.kind, now.since(offer.offered_at));
        self.desk.heard_receipt(&offer.agent_id, receipt.trouble.filter(|_| receipt.kind == ReceiptKind::Failed));
        if let Some(trouble) = receipt.trouble {
            tracing::warn!(call = %record.id, agent = %offer.agent_id, %trouble, kind = %receipt.kind, "offer not shown in time, or not heard");
        }
    }

    /// WhatsApp answered `connect`: take the name, and what was said about it meanwhile.
    fn dialled(&mut self, signal: Signal) {
        if let Signal::Dialled(Ok(wacid)) = &signal {
            let said = self.desk.registry.claim(wacid, &self.call.record().id);
            self.next.extend(said);
        }
        if let Signal::Dialled(Err(failure)) = &signal
            && failure.code.and_then(codes::blocker).is_some()
        {
            self.desk.check_soon(self.call.record());
        }
        let answer = match &signal {
            Signal::Dialled(Err(failure)) if !failure.outcome_unknown => {
                Err(Refusal::Upstream { code: failure.code, message: failure.message.clone() })
            }
            _ => Ok(()),
        };
        self.handle(signal);
        if let Some(dialler) = self.dialler.take() {
            let _ = dialler.send(answer.map(|()| self.call.record().clone()));
        }
    }

    async fn media(&mut self, event: MediaEvent) {
        let call = self.call.record().id.clone();
        match event {
            MediaEvent::Connected { leg } => {
                self.connected.insert(leg.clone());
                if self.is_customer(&leg) {
                    self.desk.parts.metrics.call_set_up(self.since_start());
                    self.handle(Signal::CustomerConnected);
                } else if self.is_talking(&leg) {
                    self.handle(Signal::AgentConnected);
                }
            }
            MediaEvent::Lost { leg, reason } => {
                tracing::info!(%call, %leg, reason, "leg lost");
                self.connected.remove(&leg);
                if self.is_customer(&leg) {
                    self.handle(Signal::CustomerLost);
                } else {
                    let talking = self.is_talking(&leg);
                    self.agents.retain(|_, newest| *newest != leg);
                    if talking {
                        self.handle(Signal::AgentLost);
                    }
                }
            }
            MediaEvent::Heard { leg } => {
                if self.is_customer(&leg) {
                    self.handle(Signal::CustomerHeard);
                }
            }
            MediaEvent::FirstAudio { .. } => {
                if let Some(answered) = self.call.record().answered_at {
                    self.desk.parts.metrics.first_audio(self.desk.parts.clock.now().wall.since(answered));
                }
            }
            MediaEvent::Digit { leg, digit } => {
                let from = if self.is_customer(&leg) { LegKind::WhatsApp } else { LegKind::Agent };
                let data = serde_json::json!({"digit": digit.to_string(), "leg": from});
                self.store(vec![about_call("call.dtmf", &call, data)]).await;
            }
            MediaEvent::Announced => self.announced().await,
            MediaEvent::OptedOut => self.opted_out().await,
            MediaEvent::Alarm { leg, alarm, raised } => {
                if self.call.is_ended() {
                    return;
                }
                if raised {
                    self.desk.parts.metrics.media_alarm(alarm);
                }
                let kind = if raised { "call.media_alarm" } else { "call.media_recovered" };
                let side = if self.is_customer(&leg) { LegKind::WhatsApp } else { LegKind::Agent };
                let data = serde_json::json!({"kind": alarm, "leg": side});
                self.store(vec![about_call(kind, &call, data)]).await;
                // A browser that vanished without a word is noticed by its silence long before ICE gives up.
                if alarm == MediaAlarm::NoRtp && self.is_talking(&leg) {
                    self.handle(if raised { Signal::AgentLost } else { Signal::AgentConnected });
                }
            }
            MediaEvent::Quality { leg, kind, quality, last } => {
                let now = self.desk.parts.clock.now().wall;
                let legs = &mut self.call.record_mut().legs;
                match legs.iter_mut().find(|known| known.id == leg) {
                    Some(known) => known.measured(quality, now),
                    None => legs.push(LegRecord { id: leg, kind, quality, history: Vec::new() }),
                }
                if last {
                    self.desk.parts.metrics.leg_ended(kind, &quality);
                    if quality.packets_received == 0 && self.call.record().answered_at.is_some() {
                        self.desk.parts.metrics.zero_packet_stream(kind);
                    }
                }
                self.dirty = true;
            }
        }
    }

    /// The end of a call is not given up: a database comes back, and nobody else knows when the call ended. What arrives
    /// meanwhile, WhatsApp's last word above all, is stored with it.
    async fn store_for_good(&mut self) {
        let mut pause = Duration::from_secs(1);
        while self.dirty {
            tracing::warn!(call = %self.call.record().id, "the end of the call is kept until it can be stored");
            tokio::select! {
                Some(message) = self.mailbox.recv() => {
                    self.take(message).await;
                    self.follow().await;
                }
                () = tokio::time::sleep(pause) => {
                    pause = (pause * 2).min(STORE_AGAIN_MAX);
                    self.store(Vec::new()).await;
                }
            }
        }
    }

    /// A failing store does not stop the call: people are talking. It is loud, and the next change tries again, with the
    /// events that are still to be told.
    pub(super) async fn store(&mut self, events: Vec<NewEvent>) {
        self.untold.extend(events);
        match self.desk.save(self.call.record(), self.untold.clone()).await {
            Ok(charge) => {
                self.call.record_mut().charge = charge;
                self.untold.clear();
                self.dirty = false;
            }
            Err(error) => {
                tracing::error!(call = %self.call.record().id, %error, "the call's record could not be stored");
                // What the database will never take is left to the next start.
                self.dirty = matches!(error, StoreError::Database(_) | StoreError::Overtaken);
            }
        }
    }

    pub(super) fn customer_leg(&self) -> Option<&LegId> {
        match &self.customer {
            Customer::Moved { leg, .. } => Some(leg),
            _ => None,
        }
    }

    fn is_customer(&self, leg: &LegId) -> bool {
        self.customer_leg() == Some(leg)
    }

    /// The leg belongs to the agent who is in the call.
    fn is_talking(&self, leg: &LegId) -> bool {
        let agent = self.call.record().agent_id.as_ref();
        agent.and_then(|agent| self.agents.get(agent)) == Some(leg)
    }

    /// Agents that may set up media now: the one being rung and the one in the call.
    pub(super) fn expects_media_of(&self, agent: &AgentId) -> bool {
        let record = self.call.record();
        record.state != CallState::Ended
            && (record.agent_id.as_ref() == Some(agent)
                || record.offers.iter().any(|o| o.outcome == OfferOutcome::Pending && o.agent_id == *agent))
    }

    fn is_over(&self) -> bool {
        self.call.is_settled()
            && !self.media_open
            && !self.call.record().recording.state.is_open()
            && self.mailbox.is_empty()
    }

    fn since_start(&self) -> Duration {
        self.desk.parts.clock.instant().saturating_duration_since(self.started)
    }

    fn count(&self, news: &[&'static str]) {
        let (metrics, record) = (&self.desk.parts.metrics, self.call.record());
        for kind in news {
            match *kind {
                "call.created" => metrics.call_began(record.direction),
                "call.answered" => {
                    tracing::info!(call = %record.id, agent = ?record.agent_id, wacid = ?record.wacid, "call answered");
                }
                "call.ended" => {
                    tracing::info!(
                        call = %record.id,
                        reason = record.end_reason.map(EndReason::as_str),
                        by = record.ended_by.map(EndedBy::as_str),
                        talk_ms = record.duration_ms,
                        code = record.upstream_code,
                        wacid = ?record.wacid,
                        "call ended"
                    );
                    let talked = record.answered_at.map(|_| millis(record.duration_ms));
                    let reason = record.end_reason.unwrap_or(EndReason::UpstreamError);
                    metrics.call_ended(record.direction, reason, talked);
                    for offer in &record.offers {
                        let rang = offer.ended_at.map_or(Duration::ZERO, |ended| ended.since(offer.offered_at));
                        metrics.offer_ended(offer.outcome, offer.cause, rang);
                    }
                }
                _ => {}
            }
        }
    }

    /// The event that tells the agent of a ring or of its end.
    async fn offer_event(&self, action: &Action) -> Option<NewEvent> {
        let record = self.call.record();
        let (kind, agent, data) = match action {
            Action::Ring(candidate) => {
                let ring = Duration::from_millis(self.desk.parts.patience.ring_timeout_ms);
                let mut contact = serde_json::to_value(&record.contact).expect("a contact is plain data");
                contact["last_note"] = serde_json::to_value(self.last_note().await).expect("a note is plain data");
                let data = serde_json::json!({
                    "offer_id": candidate.offer_id, "call_id": record.id, "number_id": record.number_id,
                    "called_at": record.created_at, "tags": self.last_tags().await,
                    "cta_payload": record.cta_payload, "deeplink_payload": record.deeplink_payload,
                    "contact": contact, "country": record.contact.country().map(|country| country.to_string()),
                    "reason": candidate.reason,
                    "expires_at": self.desk.parts.clock.now().wall.plus(ring),
                });
                ("offer.created", &candidate.agent_id, data)
            }
            Action::Withdraw { offer_id, agent_id, cause } => {
                let data = serde_json::json!({"offer_id": offer_id, "call_id": record.id, "reason": cause});
                ("offer.withdrawn", agent_id, data)
            }
            // The agent's other devices need not wait for WhatsApp's word to be quiet.
            Action::Join(agent) if record.direction == Direction::UserInitiated => {
                let accepted = |offer: &&OfferRecord| offer.outcome == OfferOutcome::Accepted;
                let offer = record.offers.iter().find(accepted)?;
                ("offer.accepted", agent, serde_json::json!({"offer_id": offer.id, "call_id": record.id}))
            }
            _ => return None,
        };
        Some(NewEvent { kind, call_id: Some(record.id.clone()), agent_id: Some(agent.clone()), data })
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl From<crate::call::Refused> for Refusal {
    fn from(refused: crate::call::Refused) -> Self {
        use crate::call::Refused;
        match refused {
            Refused::OfferNotPending => Self::OfferNotPending,
            Refused::Ended => Self::CallEnded,
            Refused::NotUp => Self::WrongState(refused.to_string()),
        }
    }
}
