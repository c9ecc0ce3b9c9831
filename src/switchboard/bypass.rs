//! Whom calls pass by although they are online and free: a console that showed no call would cost every caller its second,
//! and one whose microphone is gone would answer in silence. Both come back by themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::call::CallRecord;
use crate::model::event::NewEvent;
use crate::model::id::AgentId;
use crate::model::readiness::{Bypass, PassedOver};
use crate::model::reason::{Presence, RingTrouble};
use crate::model::time::Timestamp;

use super::readiness::Ready;
use super::{Desk, Refusal, Switchboard};

impl Switchboard {
    /// Why calls pass this agent by, and since when; `None` while they do not.
    pub fn passed_over(&self, agent: &AgentId) -> Option<PassedOver> {
        self.0.ready.passed_over(agent)
    }

    /// Until when the agent is busy with writing up the last call; `None`: the agent is not.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn wrap_up_until(&self, agent: &AgentId) -> Result<Option<Timestamp>, Refusal> {
        Ok(self.wrap_ups().await?.remove(agent))
    }

    /// The same for all who are.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn wrap_ups(&self) -> Result<HashMap<AgentId, Timestamp>, Refusal> {
        let now = self.0.parts.clock.now().wall;
        let rules = self.0.rules(now).routing;
        if rules.wrap_up_s == 0 {
            return Ok(HashMap::new());
        }
        let lasts = Duration::from_secs(rules.wrap_up_s.into());
        let writing = self.0.parts.store.last_turns().await?.into_iter().filter_map(|(agent, turn)| {
            let last = turn.call_ended_at;
            let writing = rules.is_wrap_up(last, now) && !self.0.ready.has_wrapped_up(&agent, last);
            last.filter(|_| writing).map(|ended_at| (agent, ended_at.plus(lasts)))
        });
        Ok(writing.collect())
    }

    /// The agent has written up the last call, and may be rung again.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub async fn end_wrap_up(&self, agent: &AgentId) -> Result<(), Refusal> {
        if let Some(last_call) = self.last_call_of(agent).await? {
            self.0.ready.wrapped_up(agent, last_call);
            self.0.announce(vec![wrap_up_event(agent, None)]).await?;
        }
        Ok(())
    }

    async fn last_call_of(&self, agent: &AgentId) -> Result<Option<Timestamp>, Refusal> {
        Ok(self.0.parts.store.last_turns().await?.get(agent).and_then(|turn| turn.call_ended_at))
    }
}

fn wrap_up_event(agent: &AgentId, until: Option<Timestamp>) -> NewEvent {
    let data = serde_json::json!({"agent_id": agent, "wrap_up_until": until});
    NewEvent { kind: "agent.wrap_up_changed", call_id: None, agent_id: None, data }
}

impl Desk {
    /// After this call its agent writes it up, where the policy gives time for it.
    pub(super) fn wrap_up_after(&self, call: &CallRecord) -> Option<NewEvent> {
        let (agent, ended_at) = (call.agent_id.as_ref()?, call.ended_at?);
        let seconds = self.rules(ended_at).routing.wrap_up_s;
        (seconds > 0).then(|| wrap_up_event(agent, Some(ended_at.plus(Duration::from_secs(seconds.into())))))
    }

    /// The agent's client did not show a call. Known at once, so that the very next offer goes elsewhere; told beside.
    pub(super) fn was_not_shown(self: &Arc<Self>, agent: &AgentId) {
        self.pass_over(agent, Bypass::NotShown);
    }

    /// The agent's client says something: it runs.
    pub(super) fn heard_of(self: &Arc<Self>, agent: &AgentId) {
        if self.ready.offer_again(agent, Some(Bypass::NotShown)) {
            self.tell_bypass(agent, None);
        }
    }

    /// What a client says of an offer. One that woke up, or is connected again, will show the next; one that may neither
    /// sound nor show anything will not.
    pub(super) fn heard_receipt(self: &Arc<Self>, agent: &AgentId, trouble: Option<RingTrouble>) {
        if trouble != Some(RingTrouble::AutoplayBlocked) {
            self.heard_of(agent);
        }
    }

    /// The agent's client looked at itself.
    pub(super) fn looked(self: &Arc<Self>, agent: &AgentId, ready: bool, now: Timestamp) {
        self.heard_of(agent);
        if ready {
            self.ready.unready_since(agent, None);
            if self.ready.offer_again(agent, Some(Bypass::NotReady)) {
                self.tell_bypass(agent, None);
            }
        } else if self.ready.unready_since(agent, Some(now)) {
            self.pass_over_unless_ready(agent.clone(), now);
        }
    }

    /// Whoever comes or goes starts anew.
    pub(super) fn presence_set(self: &Arc<Self>, agent: &AgentId, status: Presence, now: Timestamp) {
        if self.ready.offer_again(agent, None) {
            self.tell_bypass(agent, None);
        }
        if status == Presence::Online && self.ready.still_unready(agent, now) {
            self.pass_over_unless_ready(agent.clone(), now);
        }
    }

    fn pass_over_unless_ready(self: &Arc<Self>, agent: AgentId, since: Timestamp) {
        let patience = Duration::from_millis(self.parts.config.not_ready_after_ms);
        if patience.is_zero() {
            return;
        }
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            let online = desk.parts.store.agent(&agent).await;
            let online = online.is_ok_and(|agent| agent.is_some_and(|agent| agent.status == Presence::Online));
            if online && desk.ready.is_unready_since(&agent, since) {
                desk.pass_over(&agent, Bypass::NotReady);
            }
        });
    }

    fn pass_over(self: &Arc<Self>, agent: &AgentId, cause: Bypass) {
        let passed = PassedOver { cause, since: self.parts.clock.now().wall };
        if self.ready.pass_over(agent, passed) {
            tracing::warn!(%agent, %cause, "calls pass the agent by");
            self.tell_bypass(agent, Some(passed));
        }
    }

    fn tell_bypass(self: &Arc<Self>, agent: &AgentId, passed: Option<PassedOver>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (desk, agent) = (Arc::clone(self), agent.clone());
        runtime.spawn(async move {
            let data = serde_json::json!({"agent_id": agent, "passed_over": passed});
            let event = NewEvent { kind: "agent.passed_over", call_id: None, agent_id: None, data };
            if let Err(error) = desk.announce(vec![event]).await {
                tracing::warn!(%agent, %error, "whom calls pass by could not be told");
            }
        });
    }
}

impl Ready {
    pub(super) fn passed_over(&self, agent: &AgentId) -> Option<PassedOver> {
        self.lock().passed_over.get(agent).copied()
    }

    /// True where it is news.
    fn pass_over(&self, agent: &AgentId, passed: PassedOver) -> bool {
        let mut tables = self.lock();
        if tables.passed_over.contains_key(agent) {
            return false;
        }
        tables.passed_over.insert(agent.clone(), passed);
        true
    }

    /// Calls may come again if they passed the agent by for this cause, or any. True where they did.
    fn offer_again(&self, agent: &AgentId, cause: Option<Bypass>) -> bool {
        let mut tables = self.lock();
        let over = tables.passed_over.get(agent).is_some_and(|passed| cause.is_none_or(|cause| cause == passed.cause));
        over && tables.passed_over.remove(agent).is_some()
    }

    /// Since when the client says that it is not ready. True where it did not before.
    fn unready_since(&self, agent: &AgentId, since: Option<Timestamp>) -> bool {
        let mut tables = self.lock();
        match since {
            None => tables.unready.remove(agent).is_some(),
            Some(_) if tables.unready.contains_key(agent) => false,
            Some(since) => tables.unready.insert(agent.clone(), since).is_none(),
        }
    }

    /// Starts the time anew for an agent who was not ready before.
    fn still_unready(&self, agent: &AgentId, now: Timestamp) -> bool {
        self.lock().unready.get_mut(agent).map(|since| *since = now).is_some()
    }

    fn is_unready_since(&self, agent: &AgentId, since: Timestamp) -> bool {
        self.lock().unready.get(agent) == Some(&since)
    }

    fn wrapped_up(&self, agent: &AgentId, last_call: Timestamp) {
        self.lock().wrapped_up.insert(agent.clone(), last_call);
    }

    /// Whether the agent has said that the call that ended then is written up.
    pub(super) fn has_wrapped_up(&self, agent: &AgentId, last_call: Option<Timestamp>) -> bool {
        let tables = self.lock();
        tables.wrapped_up.get(agent).is_some_and(|up_to| last_call.is_some_and(|last| last <= *up_to))
    }
}
