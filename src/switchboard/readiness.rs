//! Whether agents' clients could take a call: what they say of themselves, and the means by which they find out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::execute::leg_key;
use super::{Refusal, Switchboard};
use crate::media::Leg;
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, CallId, LegId};
use crate::model::readiness::{Checks, PassedOver, Readiness};
use crate::model::time::Timestamp;
use crate::shard::{Command, ShardId};

/// Long enough for a handshake over a slow line and a second of sound.
const ECHO_FOR: Duration = Duration::from_secs(8);
/// A thousand agents who look once a minute have 130 under way.
const ECHOES_MAX: usize = 256;

/// What clients said of themselves. It is true for as long as they run, so it lives no longer than the process does.
#[derive(Default)]
pub(super) struct Ready(Mutex<Tables>);

#[derive(Default)]
pub(super) struct Tables {
    known: HashMap<AgentId, Readiness>,
    /// Agents whom calls pass by.
    pub(super) passed_over: HashMap<AgentId, PassedOver>,
    /// Since when a client says that it is not ready.
    pub(super) unready: HashMap<AgentId, Timestamp>,
    /// End of the last call that its agent has said to have written up.
    pub(super) wrapped_up: HashMap<AgentId, Timestamp>,
    /// One for each agent; a new one replaces the old.
    echoes: HashMap<AgentId, (CallId, ShardId)>,
}

impl Ready {
    pub(super) fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody listens for this agent any more: what its client said is history.
    pub(super) fn forget(&self, agent: &AgentId) {
        let mut tables = self.lock();
        tables.known.remove(agent);
        tables.unready.remove(agent);
    }
}

impl Switchboard {
    /// How ready the agent's client last was; `None` while none has said.
    pub fn readiness(&self, agent: &AgentId) -> Option<Readiness> {
        self.0.ready.lock().known.get(agent).copied()
    }

    /// Keeps what the agent's client found, and tells of it where it differs.
    ///
    /// # Errors
    /// [`Refusal::Store`] when the change cannot be logged.
    pub async fn set_readiness(
        &self,
        agent: &AgentId,
        checks: Checks,
        round_trip_ms: Option<u32>,
    ) -> Result<Readiness, Refusal> {
        let checked_at = self.0.parts.clock.now().wall;
        let readiness = Readiness { ready: checks.are_ready(), checks, round_trip_ms, checked_at };
        let before = self.0.ready.lock().known.insert(agent.clone(), readiness);
        self.0.looked(agent, readiness.ready, checked_at);
        if before.is_none_or(|before| before.checks != checks) {
            tracing::info!(%agent, ready = readiness.ready, ?checks, "an agent's client looked whether it can take calls");
            let data = serde_json::json!({"agent_id": agent, "readiness": readiness});
            let event = NewEvent { kind: "agent.readiness_changed", call_id: None, agent_id: None, data };
            self.0.announce(vec![event]).await?;
        }
        Ok(readiness)
    }

    /// A leg for the agent's client that hears itself: what it sends comes back, by the way its calls will take. It ends by
    /// itself after some seconds.
    ///
    /// # Errors
    /// [`Refusal::Sdp`], [`Refusal::Full`] when too many look at once.
    pub async fn echo_media(&self, agent: &AgentId, sdp: &str) -> Result<(LegId, String), Refusal> {
        let parts = &self.0.parts;
        let full =
            || Refusal::Full("too many agents test their sound at this moment; try again in some seconds".to_owned());
        let (shard, id, call) = (parts.shards.place(), LegId::generate(), CallId::generate());
        let addresses = parts.shards.agent_addresses(shard);
        let (leg, answer) =
            Leg::answer_agent(leg_key(), id.clone(), &parts.identity, sdp, &addresses, parts.clock.instant())?;
        let replaced = {
            let mut tables = self.0.ready.lock();
            if tables.echoes.len() >= ECHOES_MAX && !tables.echoes.contains_key(agent) {
                return Err(full());
            }
            tables.echoes.insert(agent.clone(), (call.clone(), shard))
        };
        if let Some((old, shard)) = replaced {
            self.close_echo(old, shard);
        }
        if parts.shards.send(shard, Command::Echo { call: call.clone(), leg: Box::new(leg) }).is_err() {
            self.forget_echo(agent, &call);
            return Err(full());
        }
        let (desk, agent) = (self.clone(), agent.clone());
        tokio::spawn(async move {
            tokio::time::sleep(ECHO_FOR).await;
            if desk.forget_echo(&agent, &call) {
                desk.close_echo(call, shard);
            }
        });
        Ok((id, answer))
    }

    /// Rings the agent's client for a try: an event that takes the way of an offer, and no call.
    ///
    /// # Errors
    /// [`Refusal::Store`] when it cannot be logged.
    pub async fn test_ring(&self, agent: &AgentId) -> Result<(), Refusal> {
        let data = serde_json::json!({"agent_id": agent});
        let event = NewEvent { kind: "agent.test_ring", call_id: None, agent_id: Some(agent.clone()), data };
        Ok(self.0.announce(vec![event]).await?)
    }

    /// True if that echo was still the agent's.
    fn forget_echo(&self, agent: &AgentId, call: &CallId) -> bool {
        let mut tables = self.0.ready.lock();
        let ours = tables.echoes.get(agent).is_some_and(|(current, _)| current == call);
        if ours {
            tables.echoes.remove(agent);
        }
        ours
    }

    fn close_echo(&self, call: CallId, shard: ShardId) {
        if let Err(error) = self.0.parts.shards.send(shard, Command::Close { call }) {
            // Its leg gives up by itself once its peer is silent.
            tracing::warn!(%error, "an echo could not be closed");
        }
    }
}
