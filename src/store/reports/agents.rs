//! How much each agent had to do.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::Store;
use super::super::calls::{CallFilter, narrow};
use super::super::error::Result;
use super::super::sql::{Columns, Select};
use super::ANSWERED;
use crate::model::id::AgentId;
use crate::model::reason::{Direction, OfferOutcome};

/// One agent's calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgentLoad {
    pub agent_id: AgentId,
    /// Customers' calls it took.
    pub taken: i64,
    /// Calls it placed.
    pub placed: i64,
    /// Of these, those that the customer answered.
    pub reached: i64,
    /// Talk time of both.
    pub talk_ms: i64,
    /// How often it rang at this agent.
    pub offers: i64,
    /// Of these, those it let ring or refused.
    pub missed: i64,
    /// How long it rang in all.
    pub ring_ms: i64,
}

impl AgentLoad {
    pub(super) fn of(agent_id: AgentId) -> Self {
        Self { agent_id, taken: 0, placed: 0, reached: 0, talk_ms: 0, offers: 0, missed: 0, ring_ms: 0 }
    }
}

impl Store {
    /// What the agents had to do with the calls that the filter lets through; only those whose calls may be seen, and
    /// only one if the filter names one. Who had nothing to do is not in it.
    pub async fn agents_report(&self, f: &CallFilter) -> Result<Vec<AgentLoad>> {
        if f.agent_ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let mut loads = BTreeMap::<AgentId, AgentLoad>::new();
        let mut tx = self.reader.begin().await?;
        let mut select = Select::new(
            "SELECT agent_id, direction, status, COUNT(*) AS calls, CAST(SUM(duration_ms) AS BIGINT) AS talk_ms FROM calls",
        );
        narrow(&mut select, f);
        of_these(select.and("agent_id IS NOT NULL"), "agent_id", f);
        select.push(" GROUP BY agent_id, direction, status");
        for row in select.query().fetch_all(&mut *tx).await? {
            let agent: AgentId = row.word("agent_id")?;
            let load = loads.entry(agent.clone()).or_insert_with(|| AgentLoad::of(agent));
            let (calls, answered) = (row.int("calls")?, ANSWERED.contains(&row.word("status")?));
            match row.word("direction")? {
                Direction::UserInitiated => load.taken += calls,
                Direction::BusinessInitiated => {
                    load.placed += calls;
                    load.reached += if answered { calls } else { 0 };
                }
            }
            load.talk_ms += row.int("talk_ms")?;
        }

        let mut select = Select::new(
            "SELECT o.agent_id AS agent_id, o.outcome AS outcome, COUNT(*) AS offers, \
             CAST(COALESCE(SUM(o.ended_at - o.offered_at), 0) AS BIGINT) AS ring_ms \
             FROM offers o JOIN calls ON calls.id = o.call_id",
        );
        // What somebody else took rang here all the same.
        narrow(&mut select, &CallFilter { agent_id: None, ..f.clone() });
        of_these(&mut select, "o.agent_id", f);
        select.push(" GROUP BY o.agent_id, o.outcome");
        for row in select.query().fetch_all(&mut *tx).await? {
            let agent: AgentId = row.word("agent_id")?;
            let load = loads.entry(agent.clone()).or_insert_with(|| AgentLoad::of(agent));
            let (offers, outcome) = (row.int("offers")?, row.word::<OfferOutcome>("outcome")?);
            load.offers += offers;
            load.missed += if outcome == OfferOutcome::MissedByAgent { offers } else { 0 };
            load.ring_ms += row.int("ring_ms")?.max(0);
        }
        tx.commit().await?;
        Ok(loads.into_values().collect())
    }
}

/// A call that may be seen names others, too: what they had to do is not told by it.
fn of_these(select: &mut Select, column: &'static str, f: &CallFilter) {
    if let Some(agents) = &f.agent_ids {
        select.and(column).push(" IN ").list(agents.iter().map(AgentId::as_str));
    }
    if let Some(agent) = &f.agent_id {
        select.and(column).push(" = ").text(agent.as_str());
    }
}
