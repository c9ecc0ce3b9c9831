//! Fake agents: what a browser with the console does, without the browser.
//!
//! Signs in, goes online, listens to the event stream and resumes it, sets its leg up while a call rings, accepts,
//! speaks, listens, dials, and comes back after a reload.

mod api;
mod call;
mod events;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::peer::{MediaThreads, Party, Peer, PeerConfig};
use crate::sound::Sound;

pub use api::{Api, ApiError};
pub use call::{AgentCall, Offer};
pub use events::AgentEvent;

use events::EventLog;

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Where its media socket is bound.
    pub media_ip: IpAddr,
    /// Keep what it hears. Load runs turn it off.
    pub listen_to_media: bool,
    /// Threads for media; `None`: a thread of its own.
    pub threads: Option<SharedThreads>,
}

/// Media threads that several agents share.
#[derive(Clone)]
pub struct SharedThreads(pub MediaThreads);

impl std::fmt::Debug for SharedThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedThreads")
    }
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { media_ip: IpAddr::from([127, 0, 0, 1]), listen_to_media: true, threads: None }
    }
}

/// A signed-in agent. Clones are the same agent; its event stream ends with the last of them.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
    _stream: Arc<AbortWhenDropped>,
}

struct AbortWhenDropped(tokio::task::JoinHandle<()>);

impl Drop for AbortWhenDropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Inner {
    api: Api,
    id: String,
    config: AgentConfig,
    threads: MediaThreads,
    log: Arc<EventLog>,
    offers_taken: Mutex<Vec<String>>,
    automatic: AtomicBool,
}

impl Agent {
    /// Signs in with an agent token and opens the event stream.
    ///
    /// # Errors
    /// When the gateway refuses the token or cannot be reached.
    pub async fn sign_in(base_url: &str, token: &str) -> Result<Self> {
        Self::sign_in_with(base_url, token, AgentConfig::default()).await
    }

    /// The same with settings.
    ///
    /// # Errors
    /// See [`Agent::sign_in`].
    pub async fn sign_in_with(base_url: &str, token: &str, config: AgentConfig) -> Result<Self> {
        let api = Api::new(base_url, token)?;
        let session = api.get("/v1/session").await.context("cannot sign in")?;
        let id = session["agent"]["id"].as_str().context("this token belongs to no agent")?.to_owned();
        let threads = match &config.threads {
            Some(shared) => shared.0.clone(),
            None => MediaThreads::start(1)?,
        };
        let log = Arc::new(EventLog::default());
        let stream = tokio::spawn(events::follow(api.clone(), format!("/v1/agents/{id}/events"), Arc::clone(&log)));
        log.opened(Duration::from_secs(10)).await.context("the event stream does not open")?;
        let inner =
            Inner { api, id, config, threads, log, offers_taken: Mutex::default(), automatic: AtomicBool::new(false) };
        Ok(Self { inner: Arc::new(inner), _stream: Arc::new(AbortWhenDropped(stream)) })
    }

    /// The agent's id.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The control API with this agent's token.
    pub fn api(&self) -> &Api {
        &self.inner.api
    }

    /// Wants calls.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn go_online(&self) -> Result<()> {
        self.set_status("online").await
    }

    /// Wants no calls.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn go_offline(&self) -> Result<()> {
        self.set_status("offline").await
    }

    /// The next offer of a call; each is returned once, in order.
    ///
    /// # Errors
    /// When none comes within `timeout`; the error lists the events that came.
    pub async fn next_offer(&self, timeout: Duration) -> Result<Offer> {
        let not_taken = |event: &AgentEvent| {
            event.kind == "offer.created"
                && !self.taken().iter().any(|id| Some(id.as_str()) == event.data()["offer_id"].as_str())
        };
        let event = self.inner.log.wait(timeout, "offer.created", not_taken).await?;
        let offer = Offer::from_event(self.clone(), &event)?;
        self.taken().push(offer.id.clone());
        Ok(offer)
    }

    /// Waits for an event of this kind that matches; past events count too.
    ///
    /// # Errors
    /// When none comes within `timeout`; the error lists the events that came.
    pub async fn event(&self, kind: &str, timeout: Duration, matches: impl Fn(&Value) -> bool) -> Result<AgentEvent> {
        self.inner.log.wait(timeout, kind, |event| event.kind == kind && matches(&event.json)).await
    }

    /// All events so far.
    pub fn events(&self) -> Vec<AgentEvent> {
        self.inner.log.all()
    }

    /// Breaks the event stream once; it resumes by itself with `Last-Event-ID`.
    pub fn break_stream(&self) {
        self.inner.log.break_stream();
    }

    /// Calls a contact (`con_…`, `wa:<digits>` or `user:<id>`), and sets the media up.
    ///
    /// # Errors
    /// When the gateway refuses ([`ApiError`] with `blockers`), or the media cannot be set up.
    pub async fn dial(&self, number_id: &str, contact: &str) -> Result<AgentCall> {
        let body = json!({"number_id": number_id, "to": contact, "agent_id": self.id()});
        let call = self.api().post("/v1/calls", &body).await?;
        let call_id = call["id"].as_str().context("the call has no id")?.to_owned();
        self.attach(&call_id).await
    }

    /// Sets media up for a call of this agent: after dialling, or after a reload.
    ///
    /// # Errors
    /// When the gateway refuses or its answer cannot be used.
    pub async fn attach(&self, call_id: &str) -> Result<AgentCall> {
        let peer = self.open_leg(&format!("/v1/calls/{call_id}/media")).await?;
        Ok(AgentCall::new(self.clone(), call_id.to_owned(), peer))
    }

    /// Takes every offer from now on, after `delay`, and says `words` (again and again) once accepted. The calls come
    /// out of the channel; offers that vanish meanwhile are passed over.
    pub fn take_everything(
        &self,
        delay: Duration,
        words: Option<Sound>,
    ) -> tokio::sync::mpsc::UnboundedReceiver<AgentCall> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let agent = self.clone();
        self.inner.automatic.store(true, Ordering::Release);
        tokio::spawn(async move {
            while agent.inner.automatic.load(Ordering::Acquire) && !sender.is_closed() {
                let Ok(offer) = agent.next_offer(Duration::from_secs(1)).await else { continue };
                let (sender, words) = (sender.clone(), words.clone());
                tokio::spawn(async move {
                    match take(&offer, delay).await {
                        Ok(call) => {
                            if let Some(words) = words {
                                call.peer().speak_forever(&words);
                            }
                            let _ = sender.send(call);
                        }
                        Err(error) => {
                            tracing::debug!(offer = %offer.id, error = %format!("{error:#}"), "offer_not_taken")
                        }
                    }
                });
            }
        });
        receiver
    }

    /// Ends [`Agent::take_everything`].
    pub fn take_nothing_more(&self) {
        self.inner.automatic.store(false, Ordering::Release);
    }

    pub(crate) async fn open_leg(&self, path: &str) -> Result<Peer> {
        let socket = self.inner.threads.bind(self.inner.config.media_ip)?;
        let config = PeerConfig {
            party: Party::BrowserOffering,
            listen: self.inner.config.listen_to_media,
            may_send: true,
            waits_for_first_packet: false,
            script: Vec::new(),
        };
        let opened = Peer::open(&socket, config)?;
        opened.peer.expect_media();
        let offer = opened.offer.context("a browser makes an offer")?;
        let answer = self.api().post_sdp(path, offer).await?;
        opened.peer.set_answer(&answer).await?;
        Ok(opened.peer)
    }

    async fn set_status(&self, status: &str) -> Result<()> {
        self.api().put(&format!("/v1/agents/{}/status", self.id()), &json!({"status": status})).await?;
        Ok(())
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.inner.offers_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({})", self.id())
    }
}

async fn take(offer: &Offer, delay: Duration) -> Result<AgentCall> {
    offer.prepare().await?;
    let click = Instant::now() + delay;
    tokio::time::sleep_until(click.into()).await;
    if offer.is_withdrawn() {
        bail!("the offer was withdrawn");
    }
    offer.accept().await
}
