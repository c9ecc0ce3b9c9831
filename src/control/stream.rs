//! Server-sent events: the durable log, followed live. Never a gap, never a duplicate: live events are
//! only hints, and whatever does not follow the last one sent is read from the log.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as Frame, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};

use super::auth::Caller;
use super::problem::Problem;
use super::{Control, Shared};
use crate::model::directory::Agent;
use crate::model::event::Event;
use crate::model::id::{AgentId, CallId};
use crate::policy::access::{self, Action, Actor, Resource};
use crate::store::{Store, StoreError};
use crate::switchboard::StreamGuard;

/// A comment line this often keeps proxies from closing a quiet stream. With it the caller's right to
/// listen is looked at again, so a revoked or expired token ends the stream at the next beat.
pub(crate) const BEAT: Duration = Duration::from_secs(15);

/// Events read from the log at a time.
const PAGE: u32 = 500;

/// Whose events a stream shows.
pub(crate) enum View {
    /// The whole log.
    Everything,
    /// What concerns one agent.
    Agent(Box<AgentView>),
}

/// An agent's own offers, contacts and what they permit, and what its role may see of calls, of who could take one, of the
/// wallet and of numbers' settings.
pub(crate) struct AgentView {
    agent: Agent,
    /// Whether it may see who works here.
    colleagues: bool,
    /// Whether it manages them.
    manages: bool,
    /// Whether it may see customers.
    contacts: bool,
    /// Whether it sees the wallet.
    wallet: bool,
    /// Whether it configures calls.
    settings: bool,
    /// Whose calls it may see; `None` is everybody's.
    visible: Option<HashSet<AgentId>>,
    /// Calls it was seen to have a part in: their later events need no look-up.
    known: HashSet<CallId>,
}

/// Everything one stream needs.
pub(crate) struct Follow {
    pub(crate) control: Shared,
    pub(crate) caller: Caller,
    /// Taken before the log is read, so that nothing falls between the two.
    pub(crate) live: Receiver<Event>,
    /// The last event the caller has; the stream goes on after it. `None`: from now on.
    pub(crate) after: Option<i64>,
    pub(crate) view: View,
    /// [`BEAT`], but for tests.
    pub(crate) beat: Duration,
    /// Tells the presence that the agent listens.
    pub(crate) _guard: Option<StreamGuard>,
}

/// Opens the stream: `stream.ready` with the log's present end, then what was missed, then what happens.
pub(crate) async fn open(follow: Follow) -> Result<Response, Problem> {
    let end = follow.control.store.last_seq().await?;
    // An id from the future is one of another log: start at the end of this one.
    let last = follow.after.unwrap_or(end).min(end);
    let ready = Frame::default().event("stream.ready").data(format!("{{\"seq\":{end}}}"));
    let mut beat = tokio::time::interval(follow.beat);
    // The first tick is due at once.
    beat.tick().await;
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let cursor = Cursor { follow, last, read: VecDeque::new(), behind: last < end, beat };
    let frames = stream::iter([Ok(ready)]).chain(cursor.frames());
    let mut response = Sse::new(frames).into_response();
    // nginx would hold events back otherwise.
    let header = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(header, HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a stream stands in the log.
struct Cursor {
    follow: Follow,
    /// Sequence of the last event taken, shown or not.
    last: i64,
    /// Read but not taken yet, in order.
    read: VecDeque<Event>,
    /// The log may hold more than `read`.
    behind: bool,
    beat: Interval,
}

enum Next {
    Event(Event),
    Beat,
    End,
}

impl Cursor {
    fn frames(self) -> impl Stream<Item = Result<Frame, Infallible>> + Send {
        stream::unfold(self, |mut cursor| async move {
            match cursor.step().await {
                Ok(Some(frame)) => Some((Ok(frame), cursor)),
                Ok(None) => None,
                Err(error) => {
                    // The reader comes back with Last-Event-ID and misses nothing.
                    tracing::warn!(%error, "an event stream ends because the log cannot be read");
                    None
                }
            }
        })
    }

    async fn step(&mut self) -> Result<Option<Frame>, StoreError> {
        loop {
            match self.next().await? {
                Next::Event(mut event) => {
                    // Whose role, team or switch changed sees less or more from here on, not from the next beat on.
                    if matches!(event.kind.as_str(), "agent.updated" | "agent.left") && !self.still_allowed().await {
                        return Ok(None);
                    }
                    let shown = self.follow.view.shows(&self.follow.control.store, &event).await?;
                    if shown {
                        self.follow.view.narrow(&mut event);
                        return Ok(Some(frame(&event)));
                    }
                }
                Next::Beat => {
                    if !self.still_allowed().await {
                        return Ok(None);
                    }
                    // Heals a hint that came before its event was readable.
                    self.behind = true;
                    return Ok(Some(Frame::default().comment("")));
                }
                Next::End => return Ok(None),
            }
        }
    }

    async fn next(&mut self) -> Result<Next, StoreError> {
        loop {
            while let Some(event) = self.read.pop_front() {
                if event.seq > self.last {
                    self.last = event.seq;
                    return Ok(Next::Event(event));
                }
            }
            if self.behind {
                let page = self.follow.control.store.events_after(self.last, PAGE).await?;
                self.behind = page.len() >= PAGE as usize;
                self.read.extend(page);
                continue;
            }
            tokio::select! {
                hint = self.follow.live.recv() => match hint {
                    Ok(event) if event.seq == self.last + 1 => self.read.push_back(event),
                    Ok(event) => self.behind = event.seq > self.last,
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return Ok(Next::End),
                },
                _ = self.beat.tick() => return Ok(Next::Beat),
                () = self.follow.control.closing.cancelled() => return Ok(Next::End),
            }
        }
    }

    /// Looks at the token and the agent's role again.
    async fn still_allowed(&mut self) -> bool {
        let Follow { control, caller, view, .. } = &mut self.follow;
        let Ok(Some(renewed)) = caller.renewed(control).await else { return false };
        *caller = renewed;
        match view {
            View::Everything => caller.may(Action::Read, Resource::Events).is_ok(),
            View::Agent(view) => caller.may_for(Action::Listen, &view.agent.id).is_ok() && view.refresh(control).await,
        }
    }
}

fn frame(event: &Event) -> Frame {
    let data = serde_json::to_string(event).expect("an event is strings, numbers and JSON");
    Frame::default().event(&event.kind).id(event.seq.to_string()).data(data)
}

impl View {
    pub(crate) async fn of(control: &Control, agent: Agent) -> Result<Self, StoreError> {
        Ok(Self::Agent(Box::new(AgentView::of(control, agent).await?)))
    }

    async fn shows(&mut self, store: &Store, event: &Event) -> Result<bool, StoreError> {
        match self {
            Self::Everything => Ok(true),
            Self::Agent(view) => view.shows(store, event).await,
        }
    }

    /// Who asked a customer is shown to those who see that agent's calls, as in `GET /v1/permissions`.
    fn narrow(&self, event: &mut Event) {
        let Self::Agent(view) = self else { return };
        let Some(visible) = &view.visible else { return };
        for place in ["/permission/requested_by", "/requested_by"] {
            let Some(asker) = event.data.pointer_mut(place) else { continue };
            if !asker["agent_id"].as_str().is_some_and(|asker| visible.iter().any(|agent| agent.as_str() == asker)) {
                *asker = serde_json::Value::Null;
            }
        }
    }
}

impl AgentView {
    /// What this agent may see by the rules of now, whoever it is that listens.
    async fn of(control: &Control, agent: Agent) -> Result<Self, StoreError> {
        let directory = control.store.agents_ever().await?;
        let terms = control.switchboard.terms();
        let rules = terms.rules(control.clock.now().wall);
        let actor = Actor::Agent(agent.clone());
        let visible = access::visible_agents(rules, &actor, &directory).map(|agents| agents.into_iter().collect());
        let reads = |resource| access::may(rules, &actor, Action::Read, resource);
        let [contacts, wallet, settings] = [Resource::Contact, Resource::Wallet, Resource::Settings].map(reads);
        let colleagues = reads(Resource::Agent(&agent.id));
        let manages = access::may(rules, &actor, Action::Change, Resource::Team);
        Ok(Self { agent, colleagues, manages, contacts, wallet, settings, visible, known: HashSet::new() })
    }

    async fn shows(&mut self, store: &Store, event: &Event) -> Result<bool, StoreError> {
        // Who sees an agent's calls sees whether it can take one.
        if matches!(
            event.kind.as_str(),
            "agent.status_changed" | "agent.readiness_changed" | "agent.passed_over" | "agent.wrap_up_changed"
        ) {
            let agent = event.data["agent_id"].as_str();
            let sees = || self.visible.as_ref().is_none_or(|visible| visible.iter().any(|v| Some(v.as_str()) == agent));
            return Ok(self.manages || sees());
        }
        // Addressed to one agent: that one and nobody else.
        if let Some(to) = &event.agent_id {
            return Ok(*to == self.agent.id);
        }
        if matches!(event.kind.as_str(), "agent.updated" | "agent.left" | "team.updated" | "team.deleted") {
            return Ok(self.colleagues);
        }
        let of_customer = event.kind.starts_with("note.") && event.call_id.is_none();
        if of_customer || event.kind == "contact.updated" || event.kind.starts_with("permission.") {
            return Ok(self.contacts);
        }
        if event.kind.starts_with("wallet.") {
            return Ok(self.wallet);
        }
        if event.kind.starts_with("number.") {
            return Ok(self.settings);
        }
        let Some(call) = &event.call_id else { return Ok(false) };
        let shown = self.sees(store, call, event).await?;
        if event.kind == "call.ended" {
            self.known.remove(call);
        }
        Ok(shown)
    }

    async fn sees(&mut self, store: &Store, call: &CallId, event: &Event) -> Result<bool, StoreError> {
        let Some(visible) = &self.visible else { return Ok(true) };
        if self.known.contains(call) {
            return Ok(true);
        }
        let part = match parties_of(&event.data) {
            // The event shows the call object: what it says is what held when it happened.
            Some(parties) => parties.iter().any(|agent| visible.iter().any(|v| v.as_str() == *agent)),
            None => store.call(call).await?.is_some_and(|call| {
                call.agent_id.iter().chain(call.offers.iter().map(|o| &o.agent_id)).any(|a| visible.contains(a))
            }),
        };
        if part {
            self.known.insert(call.clone());
        }
        Ok(part)
    }

    /// Role, team, switches and the policy pack may have changed. False once the agent is gone.
    async fn refresh(&mut self, control: &Control) -> bool {
        let Ok(Some(agent)) = control.store.agent(&self.agent.id).await else { return false };
        let Ok(mut renewed) = Self::of(control, agent).await else { return false };
        if renewed.visible == self.visible {
            renewed.known = std::mem::take(&mut self.known);
        }
        *self = renewed;
        true
    }
}

/// The agents of a call object inside an event; `None` if the event carries something else.
fn parties_of(data: &serde_json::Value) -> Option<Vec<&str>> {
    let offers = data.get("offers")?.as_array()?;
    let talking = data.get("agent_id")?.as_str();
    let offered = offers.iter().filter_map(|offer| offer.get("agent_id")?.as_str());
    Some(talking.into_iter().chain(offered).collect())
}
