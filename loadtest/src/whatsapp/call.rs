//! One call as Meta sees it: its phases, its clocks, its phone, and the webhooks it causes.

mod consequences;
mod customer;
mod phone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::analytics::Counted;
use super::clock::Clock;
use super::config::{BusinessNumber, CallOptions, Config, Customer, Hold, Script};
use super::enforcement::Pauses;
use super::faults::{Kind, WebhookFaults};
use super::payload::{self, CallFacts, Direction, Ending};
use super::permission::Ledger;
use super::sdp::{self, Expect, Setup, TheirSide};
use super::settings::Settings;
use super::webhook::{Courier, Notice};
use super::wire::{GraphError, wacid};
use crate::peer::{MediaThreads, Peer, Socket, Violation};
use phone::remote_side;

/// A webhook overtakes an earlier one of its call only if that one is not answered within this time.
const ORDER_WAIT: Duration = Duration::from_secs(2);

/// What all calls of one fake share.
pub(super) struct Exchange {
    pub(super) config: Config,
    pub(super) clock: Arc<Clock>,
    pub(super) permissions: Ledger,
    pub(super) settings: Settings,
    pub(super) pauses: Pauses,
    pub(super) counted: Counted,
    pub(super) courier: Arc<Courier>,
    pub(super) faults: Mutex<WebhookFaults>,
    pub(super) threads: MediaThreads,
    pub(super) relays: Vec<Socket>,
}

/// What happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The call began.
    Created,
    /// The business prepared its media.
    PreAccepted,
    /// The business answered (user-initiated).
    Accepted,
    /// The customer's phone rings (business-initiated).
    Ringing,
    /// The customer picked up (business-initiated).
    PickedUp,
    /// ICE and DTLS are up.
    MediaUp,
    /// The business's first RTP packet arrived.
    FirstPacketHeard,
    /// It arrived before `accept`: the caller's timer has started.
    AnsweredEarly,
    /// The call is over.
    Ended,
}

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// Who or what ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The customer hung up or declined.
    Customer,
    /// The business rejected or terminated.
    Business,
    /// Nobody answered.
    RingTimeOut,
    /// No media came from the business.
    Silence,
    /// WhatsApp turned the caller away; the business never heard of the call.
    WhatsApp,
}

/// Why a caller sees "Business unavailable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The number's calling is switched off.
    CallingOff,
    /// Outside the call hours, or in a holiday.
    OutsideHours,
    /// Meta has paused calls to the number.
    Paused,
    /// The number takes its calls by SIP, which the fake does not speak.
    SipMode,
    /// The business rejected the call.
    Rejected,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who ended it.
    pub by: By,
    /// `FAILED` in `terminate`; else `COMPLETED`.
    pub failed: bool,
    /// From pick-up to end; `None` when it was never picked up.
    pub duration: Option<Duration>,
    /// Code in `terminate`, such as 138021.
    pub error: Option<u32>,
    /// When.
    pub at: Instant,
}

pub(super) struct Call {
    pub(super) wacid: String,
    pub(super) direction: Direction,
    pub(super) number: BusinessNumber,
    pub(super) customer: Customer,
    callback_data: Mutex<Option<String>>,
    script: Script,
    options: CallOptions,
    exchange: Arc<Exchange>,
    created: Instant,
    outbox: mpsc::UnboundedSender<Post>,
    /// One `pre_accept` or `accept` at a time.
    negotiating: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct Post {
    notice: Notice,
    faults: WebhookFaults,
    first_attempt_done: oneshot::Sender<()>,
}

#[derive(Default)]
struct State {
    peer: Option<Peer>,
    business_sdp: Option<String>,
    picked_up: Option<(Instant, u64)>,
    ended: Option<Ended>,
    unavailable: Option<Unavailable>,
    timeline: Vec<Moment>,
    violations: Vec<Violation>,
    held: Vec<Notice>,
    faults: Option<WebhookFaults>,
}

impl Call {
    pub(super) fn new(
        exchange: Arc<Exchange>,
        direction: Direction,
        number: BusinessNumber,
        customer: Customer,
        script: Script,
        options: CallOptions,
    ) -> Arc<Self> {
        let (outbox, posts) = mpsc::unbounded_channel();
        tokio::spawn(send_in_order(Arc::clone(&exchange.courier), posts));
        let created = Instant::now();
        let state = State { faults: options.faults.clone(), ..State::default() };
        let call = Arc::new(Self {
            wacid: wacid(direction, &customer.phone, &number.display),
            direction,
            number,
            customer,
            callback_data: Mutex::default(),
            script,
            options,
            exchange,
            created,
            outbox,
            negotiating: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        });
        call.note(What::Created, created);
        call
    }

    /// A customer calls: media is prepared, `connect` goes out, the clocks run.
    pub(super) async fn start_user_initiated(self: &Arc<Self>) -> Result<()> {
        let offer = match &self.options.external {
            Some(phone) => phone.offer().await.context("the external phone made no offer")?,
            None => {
                let (opened, ours) = self.open_phone(111, 126)?;
                let text = sdp::write_offer(
                    self.options.sdp_style,
                    &ours.side(&opened.fingerprint, self.exchange.config.ipv6_candidate),
                );
                self.lock().peer = Some(opened.peer);
                text
            }
        };
        self.exchange.permissions.open_window(&self.number.id, &self.customer.phone, self.exchange.clock.now());
        if self.options.terminate_first {
            self.end(By::Customer, None);
        }
        self.tell(Kind::Connect, payload::connect(&self.facts(), &offer, &self.faults()));
        tokio::spawn(Arc::clone(self).watch_clocks());
        Ok(())
    }

    /// The business calls: its offer is answered, and the customer does what the script says.
    pub(super) async fn start_business_initiated(
        self: &Arc<Self>,
        offer: &str,
        theirs: TheirSide,
    ) -> Result<(), GraphError> {
        self.lock().business_sdp = Some(offer.to_owned());
        let answer = match &self.options.external {
            Some(phone) => {
                phone.answer(offer.to_owned()).await.map_err(|e| GraphError::new(138_004, &format!("{e:#}")))?
            }
            None => {
                let unusable = |e: anyhow::Error| GraphError::new(138_004, &format!("{e:#}"));
                let (opened, ours) = self.open_phone(theirs.opus, theirs.keys.unwrap_or(126)).map_err(unusable)?;
                let side = ours.side(&opened.fingerprint, self.exchange.config.ipv6_candidate);
                let text = sdp::write_answer(self.options.sdp_style, &side, &theirs, self.options.setup);
                let we_are_client = self.options.setup == Setup::Active;
                opened.peer.expect_media();
                opened.peer.set_remote(remote_side(theirs, we_are_client)).await.map_err(unusable)?;
                self.lock().peer = Some(opened.peer);
                text
            }
        };
        let connect = payload::connect(&self.facts(), &answer, &self.faults());
        if self.options.connect_before_response {
            let delivered = self.tell(Kind::Connect, connect);
            let _ = tokio::time::timeout(ORDER_WAIT, delivered).await;
            tokio::spawn(Arc::clone(self).play_customer(None));
        } else {
            tokio::spawn(Arc::clone(self).play_customer(Some(connect)));
        }
        tokio::spawn(Arc::clone(self).watch_clocks());
        Ok(())
    }

    // ---- what the business asks ----

    pub(super) async fn pre_accept(&self, sdp: &str) -> Result<(), GraphError> {
        let _turn = self.negotiating.lock().await;
        // Media can be up before this function has returned.
        let now = Instant::now();
        self.may_be_answered()?;
        self.use_answer(sdp).await?;
        self.note(What::PreAccepted, now);
        Ok(())
    }

    pub(super) async fn accept(&self, sdp: &str) -> Result<(), GraphError> {
        let _turn = self.negotiating.lock().await;
        self.may_be_answered()?;
        self.use_answer(sdp).await?;
        let now = Instant::now();
        {
            let mut state = self.lock();
            if state.ended.is_some() {
                return Err(GraphError::new(100, "the call has already ended"));
            }
            state.picked_up = Some((now, self.exchange.clock.now()));
            if let Some(peer) = &state.peer {
                peer.open_microphone();
            }
        }
        if let Some(phone) = &self.options.external {
            phone.accepted();
        }
        self.note_connected();
        self.note(What::Accepted, now);
        Ok(())
    }

    pub(super) fn reject(&self) -> Result<(), GraphError> {
        self.may_be_answered()?;
        self.end_with(By::Business, None, Some(Unavailable::Rejected));
        Ok(())
    }

    pub(super) fn terminate(&self) -> Result<(), GraphError> {
        if self.end(By::Business, None) { Ok(()) } else { Err(GraphError::new(100, "the call has already ended")) }
    }

    /// Ends the call once; `false` when it was over already. One `terminate` webhook follows.
    pub(super) fn end(&self, by: By, error: Option<u32>) -> bool {
        self.end_with(by, error, None)
    }

    fn end_with(&self, by: By, error: Option<u32>, unavailable: Option<Unavailable>) -> bool {
        let now = Instant::now();
        let (ending, peer) = {
            let mut state = self.lock();
            if state.ended.is_some() {
                return false;
            }
            let duration = state.picked_up.map(|(at, _)| now.duration_since(at));
            state.ended = Some(Ended { by, failed: error.is_some(), duration, error, at: now });
            state.unavailable = unavailable;
            let started = state.picked_up.map(|(_, unix)| unix);
            (Ending { failed: error.is_some(), started, ended: self.exchange.clock.now(), error }, state.peer.clone())
        };
        if let Some(peer) = peer {
            peer.close();
        }
        if let Some(phone) = &self.options.external {
            phone.ended();
        }
        self.tell(Kind::Terminate, payload::terminate(&self.facts(), &ending, &self.faults()));
        if let Some(started) = ending.started {
            self.exchange.counted.add(&self.number.display, self.direction, started, ending.ended);
        }
        self.settle_permission(ending.started.is_some(), ending.failed);
        self.note(What::Ended, now);
        true
    }

    /// WhatsApp turns the caller away. No webhook tells of it.
    pub(super) fn turn_away(&self, why: Unavailable) {
        let now = Instant::now();
        {
            let mut state = self.lock();
            state.ended = Some(Ended { by: By::WhatsApp, failed: false, duration: None, error: None, at: now });
            state.unavailable = Some(why);
        }
        self.note(What::Ended, now);
    }

    fn may_be_answered(&self) -> Result<(), GraphError> {
        let state = self.lock();
        if self.direction == Direction::BusinessInitiated {
            return Err(GraphError::new(100, "a business-initiated call is answered by the customer"));
        }
        if state.ended.is_some() {
            return Err(GraphError::new(100, "the call has already ended"));
        }
        if state.picked_up.is_some() {
            return Err(GraphError::new(100, "the call was already accepted"));
        }
        Ok(())
    }

    async fn use_answer(&self, sdp: &str) -> Result<(), GraphError> {
        let earlier = self.lock().business_sdp.clone();
        if let Some(earlier) = earlier {
            if earlier == sdp {
                return Ok(());
            }
            self.lock().violations.push(Violation::AnswerChanged);
            return Err(GraphError::new(100, "the SDP answer differs from the one given before"));
        }
        match &self.options.external {
            Some(phone) => {
                let refused = |e: anyhow::Error| GraphError::new(138_008, &format!("SDP Validation error: {e:#}"));
                phone.take_answer(sdp.to_owned()).await.map_err(refused)?;
            }
            None => {
                let refused = |reason: String| GraphError::new(138_008, &format!("SDP Validation error: {reason}"));
                let theirs = sdp::check(sdp, Expect::AnswerTo("audio")).map_err(refused)?;
                self.lock().violations.extend(theirs.oddities.iter().cloned());
                let peer = self.peer().ok_or_else(|| GraphError::new(138_004, "the call has no media"))?;
                let we_are_client = theirs.setup == Setup::Passive;
                peer.set_remote(remote_side(theirs, we_are_client)).await.map_err(|e| refused(format!("{e:#}")))?;
            }
        }
        self.lock().business_sdp = Some(sdp.to_owned());
        Ok(())
    }

    // ---- webhooks ----

    /// Sends a webhook, or holds or loses it. The receiver fires after the first attempt.
    fn tell(&self, kind: Kind, value: Value) -> oneshot::Receiver<()> {
        let field = if kind == Kind::PermissionReply { "messages" } else { "calls" };
        let notice = Notice { wacid: Some(self.wacid.clone()), kind, field, value };
        let held = match self.options.hold {
            Hold::None => false,
            Hold::All => true,
            Hold::AfterConnect => kind != Kind::Connect,
        };
        let (done, wait) = oneshot::channel();
        let faults = self.faults();
        if held {
            self.lock().held.push(notice);
            self.bump();
        } else if !faults.drops.contains(&kind) {
            match faults.delay_of(kind) {
                Some(delay) => {
                    let courier = Arc::clone(&self.exchange.courier);
                    tokio::spawn(async move {
                        tokio::time::sleep(delay).await;
                        let _ = courier.send(notice, faults).await;
                        let _ = done.send(());
                    });
                }
                None => {
                    let _ = self.outbox.send(Post { notice, faults, first_attempt_done: done });
                }
            }
        }
        wait
    }

    pub(super) fn held(&self) -> Vec<Kind> {
        self.lock().held.iter().map(|notice| notice.kind).collect()
    }

    /// Delivers held webhooks one after the other, each after the answer to the one before.
    pub(super) async fn release(&self, order: &[usize]) -> Result<()> {
        let held = self.lock().held.clone();
        for index in order {
            let notice = held.get(*index).with_context(|| format!("only {} webhooks are held", held.len()))?;
            let sent = self.exchange.courier.send(notice.clone(), self.faults());
            sent.await.context("the webhook could not be sent")?;
        }
        Ok(())
    }

    fn faults(&self) -> WebhookFaults {
        let own = self.lock().faults.clone();
        own.unwrap_or_else(|| self.exchange.faults.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(super) fn set_faults(&self, faults: WebhookFaults) {
        self.lock().faults = Some(faults);
    }

    fn facts(&self) -> CallFacts<'_> {
        CallFacts {
            wacid: &self.wacid,
            direction: self.direction,
            number: &self.number,
            customer: &self.customer,
            callback_data: self.callback_data(),
            cta_payload: self.options.cta_payload.as_deref(),
            deeplink_payload: self.options.deeplink_payload.as_deref(),
            now: self.exchange.clock.now(),
        }
    }

    fn callback_data(&self) -> Option<String> {
        self.callback_data.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_callback_data(&self, data: &str) {
        *self.callback_data.lock().unwrap_or_else(PoisonError::into_inner) = Some(data.to_owned());
    }

    // ---- views ----

    pub(super) fn peer(&self) -> Option<Peer> {
        self.lock().peer.clone()
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.lock().ended.clone()
    }

    pub(super) fn unavailable(&self) -> Option<Unavailable> {
        self.lock().unavailable
    }

    pub(super) fn picked_up_at(&self) -> Option<Instant> {
        self.lock().picked_up.map(|(at, _)| at)
    }

    pub(super) fn business_sdp(&self) -> Option<String> {
        self.lock().business_sdp.clone()
    }

    pub(super) fn timeline(&self) -> Vec<Moment> {
        self.note_media();
        let mut timeline = self.lock().timeline.clone();
        timeline.sort_by_key(|moment| moment.at);
        timeline
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut violations = self.lock().violations.clone();
        violations.extend(self.peer().map(|peer| peer.violations()).unwrap_or_default());
        violations
    }

    fn note(&self, what: What, at: Instant) {
        tracing::debug!(call = %&self.wacid[self.wacid.len().saturating_sub(8)..], ?what, "call");
        self.lock().timeline.push(Moment { at, what });
        self.bump();
    }

    fn note_once(&self, what: What, at: Instant) {
        let known = self.lock().timeline.iter().any(|moment| moment.what == what);
        if !known {
            self.note(what, at);
        }
    }

    fn bump(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_in_order(courier: Arc<Courier>, mut posts: mpsc::UnboundedReceiver<Post>) {
    while let Some(post) = posts.recv().await {
        let _ = tokio::time::timeout(ORDER_WAIT, courier.send(post.notice, post.faults)).await;
        let _ = post.first_attempt_done.send(());
    }
}
