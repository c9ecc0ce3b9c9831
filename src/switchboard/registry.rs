//! Which calls there are, who is busy, and where a signal has to go. Short locks, never held while waiting.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::call::Signal;
use crate::model::id::{AgentId, CallId, ContactId, NumberId, OfferId, Wacid};
use crate::shard::ShardEvent;

use super::line::Message;

/// Signals kept for an outbound call whose name at WhatsApp we have not been told yet.
const UNCLAIMED_MAX: usize = 256;
/// WhatsApp answers `connect` within the request's time-out; what waits longer belongs to nobody.
const UNCLAIMED_FOR: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Registry(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    lines: HashMap<CallId, Entry>,
    by_wacid: HashMap<Wacid, CallId>,
    by_offer: HashMap<OfferId, (CallId, AgentId)>,
    agents: HashMap<AgentId, HashSet<CallId>>,
    unclaimed: VecDeque<(Wacid, Signal, Instant)>,
}

struct Entry {
    line: LineHandle,
    pair: (NumberId, ContactId),
    live: bool,
}

/// Where a call takes its messages.
#[derive(Clone)]
pub(super) struct LineHandle(mpsc::Sender<Message>);

impl LineHandle {
    pub(super) fn new(mailbox: mpsc::Sender<Message>) -> Self {
        Self(mailbox)
    }

    /// False when the call's task is gone.
    pub(super) async fn send(&self, message: Message) -> bool {
        self.0.send(message).await.is_ok()
    }

    /// Gives the message back when the call's task is gone.
    pub(super) async fn send_back(&self, message: Message) -> Option<Message> {
        self.0.send(message).await.err().map(|unsent| unsent.0)
    }

    pub(super) async fn signal(&self, signal: Signal) -> bool {
        self.send(Message::Signal(signal)).await
    }
}

impl Registry {
    /// Enters a call. `agent` is busy with it from now on.
    pub(super) fn enter(
        &self,
        call: &CallId,
        line: LineHandle,
        pair: (NumberId, ContactId),
        wacid: Option<&Wacid>,
        agent: Option<&AgentId>,
    ) {
        let mut tables = self.lock();
        tables.lines.insert(call.clone(), Entry { line, pair, live: true });
        if let Some(wacid) = wacid {
            tables.by_wacid.insert(wacid.clone(), call.clone());
        }
        if let Some(agent) = agent {
            tables.agents.entry(agent.clone()).or_default().insert(call.clone());
        }
    }

    /// Decides under the lock: `decide` sees each agent's active calls and whether the pair has a call, and names the
    /// agent to be reserved for `call`, if any.
    pub(super) fn decide_and_reserve<T>(
        &self,
        call: &CallId,
        pair: &(NumberId, ContactId),
        decide: impl FnOnce(&dyn Fn(&AgentId) -> u32, bool) -> (T, Option<AgentId>),
    ) -> T {
        let mut tables = self.lock();
        let pair_busy = tables.lines.iter().any(|(id, e)| e.live && id != call && e.pair == *pair);
        let active = |agent: &AgentId| tables.agents.get(agent).map_or(0, |calls| calls.len() as u32);
        let (answer, reserve) = decide(&active, pair_busy);
        if let Some(agent) = reserve {
            tables.agents.entry(agent).or_default().insert(call.clone());
        }
        answer
    }

    pub(super) fn offered(&self, offer: &OfferId, call: &CallId, agent: &AgentId) {
        self.lock().by_offer.insert(offer.clone(), (call.clone(), agent.clone()));
    }

    /// The agent is free of this call again.
    pub(super) fn release(&self, agent: &AgentId, call: &CallId) {
        let mut tables = self.lock();
        if let Some(calls) = tables.agents.get_mut(agent) {
            calls.remove(call);
        }
    }

    /// The call has ended: the pair and everybody on it are free. Its line lives on until everything is settled.
    pub(super) fn end(&self, call: &CallId) {
        let mut tables = self.lock();
        if let Some(entry) = tables.lines.get_mut(call) {
            entry.live = false;
        }
        for calls in tables.agents.values_mut() {
            calls.remove(call);
        }
    }

    /// The call's task is about to stop.
    pub(super) fn leave(&self, call: &CallId) {
        let mut tables = self.lock();
        tables.lines.remove(call);
        tables.by_wacid.retain(|_, id| id != call);
        tables.by_offer.retain(|_, (id, _)| id != call);
        for calls in tables.agents.values_mut() {
            calls.remove(call);
        }
    }

    /// WhatsApp has named the call; what it said about that name before is handed over, oldest first.
    pub(super) fn claim(&self, wacid: &Wacid, call: &CallId) -> Vec<Signal> {
        let mut tables = self.lock();
        tables.by_wacid.insert(wacid.clone(), call.clone());
        let (mine, others) = std::mem::take(&mut tables.unclaimed).into_iter().partition(|(w, ..)| w == wacid);
        tables.unclaimed = others;
        let mine: VecDeque<(Wacid, Signal, Instant)> = mine;
        mine.into_iter().map(|(_, signal, _)| signal).collect()
    }

    /// Keeps a signal for a call that may be claimed soon.
    pub(super) fn park(&self, wacid: &Wacid, signal: Signal, now: Instant) {
        let mut tables = self.lock();
        tables.unclaimed.retain(|(_, _, at)| now.saturating_duration_since(*at) < UNCLAIMED_FOR);
        if tables.unclaimed.len() == UNCLAIMED_MAX {
            tables.unclaimed.pop_front();
        }
        tables.unclaimed.push_back((wacid.clone(), signal, now));
    }

    pub(super) fn line(&self, call: &CallId) -> Option<LineHandle> {
        self.lock().lines.get(call).map(|entry| entry.line.clone())
    }

    pub(super) fn line_by_wacid(&self, wacid: &Wacid) -> Option<LineHandle> {
        let tables = self.lock();
        tables.by_wacid.get(wacid).and_then(|call| tables.lines.get(call)).map(|entry| entry.line.clone())
    }

    pub(super) fn offer(&self, offer: &OfferId) -> Option<(CallId, AgentId, LineHandle)> {
        let tables = self.lock();
        let (call, agent) = tables.by_offer.get(offer)?;
        Some((call.clone(), agent.clone(), tables.lines.get(call)?.line.clone()))
    }

    /// Lines of the calls this agent is rung for, dials or talks on.
    pub(super) fn lines_of(&self, agent: &AgentId) -> Vec<LineHandle> {
        let tables = self.lock();
        let calls = tables.agents.get(agent).into_iter().flatten();
        calls.filter_map(|call| tables.lines.get(call)).map(|entry| entry.line.clone()).collect()
    }

    pub(super) fn calls(&self) -> Vec<LineHandle> {
        self.lock().lines.values().map(|entry| entry.line.clone()).collect()
    }

    pub(super) fn active_calls(&self) -> usize {
        self.lock().lines.values().filter(|entry| entry.live).count()
    }

    pub(super) fn lines(&self) -> usize {
        self.lock().lines.len()
    }

    pub(super) fn active_calls_of(&self, agent: &AgentId) -> u32 {
        self.lock().agents.get(agent).map_or(0, |calls| calls.len() as u32)
    }

    pub(super) async fn deliver_media(&self, event: ShardEvent) {
        let (call, message) = match event {
            ShardEvent::Media { call, event } => (call, Message::Media(event)),
            ShardEvent::Closed { call } => (call, Message::MediaClosed),
        };
        if let Some(line) = self.line(&call) {
            line.send(message).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
