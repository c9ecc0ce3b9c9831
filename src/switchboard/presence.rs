//! Who is really there: an agent whose last event stream closed and does not come back goes offline, unless a browser of
//! theirs takes pushes: then they are rung there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::Client;
use crate::model::id::AgentId;
use crate::model::reason::Presence;

use crate::store::StoreError;

use super::{Desk, Switchboard};

/// Held by an agent's event stream while it is open.
pub struct StreamGuard {
    desk: Arc<Desk>,
    agent: AgentId,
    tells: bool,
}

/// Open event streams by agent, and how often each agent's last one closed.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<AgentId, Open>>);

#[derive(Default)]
struct Open {
    streams: u32,
    /// Those among them whose client tells what it shows.
    telling: u32,
    /// Whether the last one that closed was such a client's.
    last_told: bool,
    /// Counts openings, so that a wait begun before one knows it is over.
    epoch: u64,
}

impl Streams {
    fn opened(&self, agent: &AgentId, tells: bool) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = table.entry(agent.clone()).or_default();
        open.streams += 1;
        open.telling += u32::from(tells);
        open.epoch += 1;
    }

    /// The epoch to wait in, if that was the agent's last stream.
    fn closed(&self, agent: &AgentId, tells: bool) -> Option<u64> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = table.get_mut(agent)?;
        open.streams = open.streams.saturating_sub(1);
        open.telling = open.telling.saturating_sub(u32::from(tells));
        open.last_told = tells;
        (open.streams == 0).then_some(open.epoch)
    }

    /// What is known of the agent's client. One that tells of what it shows is held to it only while no other client
    /// of the agent listens: that one may ring without a word.
    pub(super) fn client(&self, agent: &AgentId) -> Client {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.get(agent) {
            Some(open) if open.streams == 0 && open.last_told => Client::Gone,
            Some(open) if open.streams > 0 && open.telling == open.streams => Client::Tells,
            _ => Client::Silent,
        }
    }

    pub(super) fn is_open(&self, agent: &AgentId) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(agent).is_some_and(|open| open.streams > 0)
    }

    /// The epoch to wait in for an agent's first stream.
    fn expect(&self, agent: &AgentId) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(agent.clone()).or_default().epoch
    }

    fn still_gone(&self, agent: &AgentId, epoch: u64) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(agent).is_some_and(|open| open.streams == 0 && open.epoch == epoch)
    }
}

impl Switchboard {
    /// Called when an agent's event stream opens; dropping the guard says it closed. `tells`: its client sends a receipt for
    /// every offer that it shows.
    pub fn stream_opened(&self, agent: &AgentId, tells: bool) -> StreamGuard {
        self.0.streams.opened(agent, tells);
        self.0.heard_of(agent);
        StreamGuard { desk: Arc::clone(&self.0), agent: agent.clone(), tells }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let Some(epoch) = self.desk.streams.closed(&self.agent, self.tells) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(offline_unless_back(Arc::clone(&self.desk), self.agent.clone(), epoch));
    }
}

/// Nobody listens yet at a start: agents who were online have to show themselves again.
pub(super) async fn expect_everybody_back(desk: &Arc<Desk>) -> Result<(), StoreError> {
    for agent in desk.parts.store.agents().await? {
        if agent.status == Presence::Online {
            let epoch = desk.streams.expect(&agent.id);
            tokio::spawn(offline_unless_back(Arc::clone(desk), agent.id, epoch));
        }
    }
    Ok(())
}

async fn offline_unless_back(desk: Arc<Desk>, agent: AgentId, epoch: u64) {
    loop {
        tokio::time::sleep(Duration::from_millis(desk.parts.config.away_after_ms)).await;
        if !desk.streams.still_gone(&agent, epoch) {
            return;
        }
        desk.ready.forget(&agent);
        // Looked at again and again: the browser's session may run out.
        if !desk.is_pushed_to(&agent).await {
            break;
        }
        let found = desk.parts.store.agent(&agent).await;
        if found.is_ok_and(|agent| agent.is_none_or(|agent| agent.status == Presence::Offline)) {
            return;
        }
    }
    if let Err(error) = Switchboard(desk).set_status(&agent, Presence::Offline).await {
        tracing::warn!(%agent, %error, "an agent who left could not be set offline");
    }
}
