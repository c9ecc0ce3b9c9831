//! The fake WhatsApp: Meta's Graph endpoints, its webhooks, and customers with phones.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use tandem_loadtest::sound::Sound;
//! use tandem_loadtest::whatsapp::{Config, FakeWhatsApp, InboundCall};
//!
//! let wa = FakeWhatsApp::start(Config::default()).await?;
//! // Start the business with `wa.graph_url()`, then:
//! wa.set_webhook_url("http://127.0.0.1:8080/webhooks/whatsapp");
//! let call = wa.call(InboundCall::from("995555010203").named("Nino").says(Sound::caller())).await?;
//! call.answered(Duration::from_secs(30)).await?;
//! call.hang_up();
//! # Ok(())
//! # }
//! ```

mod analytics;
mod call;
mod clock;
mod config;
mod connection;
mod enforcement;
mod external;
mod faults;
mod graph;
mod handle;
mod payload;
mod permission;
mod remote;
mod rules;
mod sdp;
mod settings;
mod webhook;
mod wire;
mod wishes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::peer::MediaThreads;

pub use call::{By, Ended, Moment, Unavailable, What};
pub use config::{Answer, BusinessNumber, CallOptions, Config, Customer, Hold, InboundCall, Script, Step};
pub use enforcement::{Restriction, Warning};
pub use external::ExternalPhone;
pub use faults::{Action, GraphFault, HidePhone, Kind, WebhookFaults};
pub use graph::GraphRequest;
pub use handle::CallHandle;
pub use payload::Direction;
pub use permission::{Grant, Nudge, PermissionRequest, TEMPORARY};
pub use remote::remote_control;
pub use rules::Rules;
pub use sdp::{SdpStyle, Setup};
pub use webhook::{Delivery, Signature};

use analytics::Counted;
use call::{Call, Exchange};
use clock::Clock;
use connection::{CuttableListener, Scissors};
use enforcement::Pauses;
use faults::GraphFaults;
use permission::Ledger;
use settings::Settings;
use webhook::Courier;

/// Ended calls beyond this number are forgotten, oldest first; handles on them stay valid.
const CALLS_KEPT: usize = 1_000;

/// A running fake. Clones are the same fake; it stops when the last one is dropped or at [`FakeWhatsApp::stop`].
#[derive(Clone)]
pub struct FakeWhatsApp {
    inner: Arc<Inner>,
    _stop: Arc<StopWhenDropped>,
}

struct StopWhenDropped(CancellationToken);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

struct Inner {
    exchange: Arc<Exchange>,
    graph_faults: GraphFaults,
    addr: SocketAddr,
    state: Mutex<State>,
    outbound: mpsc::UnboundedSender<Arc<Call>>,
    next_outbound: tokio::sync::Mutex<mpsc::UnboundedReceiver<Arc<Call>>>,
}

#[derive(Default)]
struct State {
    calls: HashMap<String, Arc<Call>>,
    order: Vec<String>,
    active: HashMap<(String, String), String>,
    plans: HashMap<String, Plan>,
    default_plan: Plan,
    requests: Vec<GraphRequest>,
    reads: Vec<GraphRequest>,
}

/// What a customer does when the business calls.
#[derive(Clone, Default)]
struct Plan {
    customer: Option<Customer>,
    script: Script,
    options: CallOptions,
}

impl State {
    fn forget_old_calls(&mut self) {
        let mut surplus = self.order.len().saturating_sub(CALLS_KEPT);
        let calls = &mut self.calls;
        self.order.retain(|wacid| {
            let over = calls.get(wacid).is_none_or(|call| call.ended().is_some());
            if surplus == 0 || !over {
                return true;
            }
            surplus -= 1;
            calls.remove(wacid);
            false
        });
    }
}

impl FakeWhatsApp {
    /// Starts the Graph server and the media threads.
    ///
    /// # Errors
    /// When the port is taken or a socket cannot be bound.
    pub async fn start(config: Config) -> Result<Self> {
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("the fake WhatsApp cannot listen on {}: is another one running?", config.listen)
        })?;
        let addr = listener.local_addr().context("the Graph port has no address")?;
        let threads = MediaThreads::start(config.media_threads)?;
        let relays = (0..config.relays).map(|_| threads.bind(config.media_ip)).collect::<Result<Vec<_>>>()?;
        let clock = Arc::new(Clock::default());
        let courier = Arc::new(Courier::new(&config, Arc::clone(&clock))?);
        let exchange = Arc::new(Exchange {
            clock,
            permissions: Ledger::new(config.rules.clone()),
            settings: Settings::new(&config.numbers),
            pauses: Pauses::default(),
            counted: Counted::default(),
            config,
            courier,
            faults: Mutex::default(),
            threads,
            relays,
        });
        let (outbound, next_outbound) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            exchange,
            graph_faults: GraphFaults::default(),
            addr,
            state: Mutex::default(),
            outbound,
            next_outbound: tokio::sync::Mutex::new(next_outbound),
        });
        let stop = CancellationToken::new();
        let service = graph::router(Arc::clone(&inner)).into_make_service_with_connect_info::<Scissors>();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                result = axum::serve(CuttableListener(listener), service) => {
                    if let Err(error) = result {
                        tracing::error!(%error, "graph_server_ended");
                    }
                }
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { inner, _stop: Arc::new(StopWhenDropped(stop)) })
    }

    /// What goes into the business's `graph_url`.
    pub fn graph_url(&self) -> String {
        format!("http://{}", self.inner.addr)
    }

    /// The settings it was started with.
    pub fn config(&self) -> &Config {
        &self.inner.exchange.config
    }

    /// Where webhooks go from now on.
    pub fn set_webhook_url(&self, url: &str) {
        self.inner.exchange.courier.set_url(url);
    }

    /// Does Meta's verification of the webhook URL: the right token must echo the challenge, a wrong one must get 403.
    ///
    /// # Errors
    /// When the receiver behaves otherwise; the sentence says how.
    pub async fn verify_webhook(&self) -> Result<()> {
        self.inner.exchange.courier.verify().await
    }

    /// A customer calls the business. Returns as soon as the `connect` webhook is on its way.
    ///
    /// Where the number's settings or a pause forbid it, WhatsApp itself turns the customer away: the call has then ended
    /// ([`By::WhatsApp`]) when this returns, [`CallHandle::unavailable`] says why, and no webhook tells the business.
    ///
    /// # Errors
    /// When the number is unknown, the pair has a running call, or the media cannot be prepared.
    pub async fn call(&self, call: InboundCall) -> Result<CallHandle> {
        let numbers = &self.inner.exchange.config.numbers;
        let number = match &call.number_id {
            Some(id) => numbers.iter().find(|number| number.id == *id),
            None => numbers.first(),
        };
        let number = number.cloned().context("no such business number is configured in the fake")?;
        let pair = (number.id.clone(), call.from.phone.clone());
        let new = Call::new(
            Arc::clone(&self.inner.exchange),
            Direction::UserInitiated,
            number,
            call.from,
            call.script,
            call.options,
        );
        if self.inner.register(&pair, &new).is_err() {
            bail!("{} already has a running call with this number", pair.1);
        }
        match self.inner.turns_away(&pair.0) {
            Some(why) => new.turn_away(why),
            None => new.start_user_initiated().await?,
        }
        Ok(CallHandle::new(new))
    }

    /// What this customer (digits) does when the business calls.
    pub fn set_customer(&self, phone: &str, script: Script) {
        self.set_customer_with(Customer::new(phone), script, CallOptions::default());
    }

    /// The same, with the customer's other names and the technical side of the call.
    pub fn set_customer_with(&self, customer: Customer, script: Script, options: CallOptions) {
        let phone = customer.phone.clone();
        let plan = Plan { customer: Some(customer), script, options };
        self.inner.lock().plans.insert(phone, plan);
    }

    /// What all customers do for whom nothing else was said (at first: pick up after a second).
    pub fn set_default_customer(&self, script: Script, options: CallOptions) {
        self.inner.lock().default_plan = Plan { customer: None, script, options };
    }

    /// The next call that the business makes; each is returned once, in order.
    ///
    /// # Errors
    /// When none comes within `timeout`.
    pub async fn next_outbound(&self, timeout: Duration) -> Result<CallHandle> {
        let next = async { self.inner.next_outbound.lock().await.recv().await };
        let call = tokio::time::timeout(timeout, next).await.with_context(|| {
            let refused: Vec<_> =
                self.requests().into_iter().filter(|r| r.code.is_some()).map(|r| (r.action, r.code)).collect();
            format!("the business made no call within {timeout:?}; refused requests: {refused:?}")
        })?;
        Ok(CallHandle::new(call.context("the fake has stopped")?))
    }

    /// All calls so far, oldest first.
    pub fn calls(&self) -> Vec<CallHandle> {
        let state = self.inner.lock();
        state.order.iter().filter_map(|id| state.calls.get(id)).map(|call| CallHandle::new(Arc::clone(call))).collect()
    }

    /// A call by its id.
    pub fn find(&self, wacid: &str) -> Option<CallHandle> {
        self.inner.call_by_id(wacid).map(CallHandle::new)
    }

    /// All Graph requests so far that ask for something to be done.
    pub fn requests(&self) -> Vec<GraphRequest> {
        self.inner.lock().requests.clone()
    }

    /// Every answered call so far happened this much earlier, as far as [call analytics](Action::Analytics) tell: a day that
    /// is over need not be waited for.
    pub fn date_calls_back(&self, by: Duration) {
        self.inner.exchange.counted.date_back(by);
    }

    /// All Graph requests so far that only read: permissions, settings and analytics.
    pub fn reads(&self) -> Vec<GraphRequest> {
        self.inner.lock().reads.clone()
    }

    /// All webhook POSTs so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.exchange.courier.log()
    }

    /// What goes wrong with webhooks from now on, for calls without faults of their own.
    pub fn set_webhook_faults(&self, faults: WebhookFaults) {
        *self.inner.exchange.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// The next `times` requests of this kind go wrong.
    pub fn fail_next(&self, action: Action, times: usize, fault: GraphFault) {
        self.inner.graph_faults.add(action, times, fault);
    }

    /// Delivers any JSON, signed, written the way Meta writes it.
    ///
    /// # Errors
    /// When the receiver cannot be reached.
    pub async fn deliver(&self, json: &Value) -> Result<u16> {
        self.deliver_signed_bytes(payload::meta_bytes(json), Signature::Right).await
    }

    /// Delivers any bytes. Returns the receiver's HTTP status.
    ///
    /// # Errors
    /// When the receiver cannot be reached.
    pub async fn deliver_signed_bytes(&self, bytes: Vec<u8>, signature: Signature) -> Result<u16> {
        self.inner.exchange.courier.post(bytes, signature).await
    }

    /// Stops the Graph server; running calls stay as they are.
    pub fn stop(&self) {
        self._stop.0.cancel();
    }
}

impl std::fmt::Debug for FakeWhatsApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeWhatsApp({})", self.graph_url())
    }
}

impl Inner {
    fn call_by_id(&self, wacid: &str) -> Option<Arc<Call>> {
        self.lock().calls.get(wacid).cloned()
    }

    fn note_request(&self, request: GraphRequest) {
        tracing::debug!(action = ?request.action, status = request.status, code = ?request.code, "graph_request");
        let only_reads = matches!(
            request.action,
            Some(Action::CallPermissions | Action::ReadSettings | Action::Analytics | Action::Templates)
        );
        let mut state = self.lock();
        if only_reads { state.reads.push(request) } else { state.requests.push(request) }
    }

    /// Why customers cannot call this number now, if so.
    fn turns_away(&self, number_id: &str) -> Option<Unavailable> {
        let (exchange, now) = (&self.exchange, self.exchange.clock.now());
        let paused = exchange.pauses.stop_customers(number_id, now).then_some(Unavailable::Paused);
        exchange.settings.turns_away(number_id, now).or(paused)
    }

    /// The customer behind a number or a user id.
    fn customer_of(&self, phone: Option<&str>, user_id: Option<&str>) -> Option<Customer> {
        let digits = phone.map(|phone| phone.trim_start_matches('+')).filter(|phone| !phone.is_empty());
        let state = self.lock();
        let known = state.plans.values().filter_map(|plan| plan.customer.clone());
        let called = state.calls.values().map(|call| call.customer.clone());
        let mut everybody = known.chain(called);
        match (digits, user_id) {
            (Some(digits), _) => Some(everybody.find(|c| c.phone == digits).unwrap_or_else(|| Customer::new(digits))),
            (None, Some(id)) => everybody.find(|c| c.user_id == id),
            (None, None) => None,
        }
    }

    fn plan_of(&self, customer: &Customer) -> Plan {
        let state = self.lock();
        state.plans.get(&customer.phone).cloned().unwrap_or_else(|| state.default_plan.clone())
    }

    /// A call of the business; `Err` when the pair has a running one.
    fn new_outbound(&self, number: &BusinessNumber, customer: Customer, plan: Plan) -> Result<Arc<Call>, ()> {
        let pair = (number.id.clone(), customer.phone.clone());
        let call = Call::new(
            Arc::clone(&self.exchange),
            Direction::BusinessInitiated,
            number.clone(),
            customer,
            plan.script,
            plan.options,
        );
        self.register(&pair, &call)?;
        Ok(call)
    }

    fn announce_outbound(&self, call: &Arc<Call>) {
        // Nobody has to wait for outbound calls.
        let _ = self.outbound.send(Arc::clone(call));
    }

    fn register(&self, pair: &(String, String), call: &Arc<Call>) -> Result<(), ()> {
        let mut state = self.lock();
        let running =
            state.active.get(pair).and_then(|id| state.calls.get(id)).is_some_and(|other| other.ended().is_none());
        if running {
            return Err(());
        }
        state.active.insert(pair.clone(), call.wacid.clone());
        state.order.push(call.wacid.clone());
        state.calls.insert(call.wacid.clone(), Arc::clone(call));
        state.forget_old_calls();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
