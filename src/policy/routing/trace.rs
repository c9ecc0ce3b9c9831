//! One line of the trace: who was looked at, what was known of them at that moment, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AgentFacts, RoutingFacts};
use crate::model::id::AgentId;
use crate::model::readiness::Bypass;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;
use crate::model::words;

words! {
    /// The steps of routing, in their fixed order.
    Step { ChatAssignee = "chat_assignee", ContactOwner = "contact_owner", RoundRobin = "round_robin" }
}

words! {
    /// What came of looking at somebody.
    Verdict {
        /// Rings.
        Chosen = "chosen",
        /// In line behind the one who rings.
        Next = "next",
        Skipped = "skipped",
    }
}

impl Step {
    pub(super) fn why_eligible(self) -> &'static str {
        match self {
            Self::ChatAssignee => "assigned to this chat, online and free",
            Self::ContactOwner => "owns this contact, online and free",
            Self::RoundRobin => "next in round robin: online, free, fewest calls and longest idle",
        }
    }
}

/// One line of the trace: which step looked at whom and what came of it. What was known of the agent stands beside it, so
/// that the choice can be made again from the trace alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceStep {
    /// Counts the offers of a call, from 1: everybody is looked at anew before each.
    pub attempt: u32,
    pub at: Timestamp,
    pub step: Step,
    /// `null` where the step stands for nobody, or for several.
    pub agent_id: Option<AgentId>,
    pub verdict: Verdict,
    pub reason: String,
    /// How many agents the line stands for when it names none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What was known: absent where nobody was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<bool>,
    /// Whether this call was offered to the agent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<bool>,
    /// Calls the agent was ringing, dialling or talking on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_calls: Option<u32>,
    /// True while the agent wrote up the last call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping_up: Option<bool>,
    /// Why the agent's client could not be counted on; absent where it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<Bypass>,
    /// End of the agent's last call or offer; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
}

/// Lines of a call's trace, some ten offers to a big team, beyond which an attempt is kept in short.
pub const TRACE_STEPS_MAX: usize = 300;

/// What of an attempt goes into a call's record, which holds `kept` lines already. Once that is long, of round robin only
/// the choice is kept; it replays as well.
pub fn worth_keeping(kept: usize, attempt: &[TraceStep]) -> impl Iterator<Item = &TraceStep> {
    let whole = kept + attempt.len() <= TRACE_STEPS_MAX;
    attempt.iter().filter(move |step| whole || step.step != Step::RoundRobin || step.verdict == Verdict::Chosen)
}

impl TraceStep {
    /// Nobody to look at, or nobody who is asked.
    pub(super) fn without_facts(facts: &RoutingFacts, step: Step, agent: Option<&AgentId>, reason: &str) -> Self {
        Self {
            // Each attempt makes one offer, so those already tried tell which attempt this is.
            attempt: facts.tried.len() as u32 + 1,
            at: facts.now,
            step,
            agent_id: agent.cloned(),
            verdict: Verdict::Skipped,
            reason: reason.to_owned(),
            count: None,
            online: None,
            excluded: None,
            tried: None,
            active_calls: None,
            wrapping_up: None,
            passed_over: None,
            idle_since: None,
        }
    }

    pub(super) fn skipped(facts: &RoutingFacts, step: Step, agent: &AgentFacts, reason: &str) -> Self {
        Self {
            online: Some(agent.agent.status == Presence::Online),
            excluded: Some(agent.agent.excluded),
            tried: Some(facts.tried.contains(&agent.agent.id)),
            active_calls: Some(agent.active_calls),
            wrapping_up: agent.wrapping_up.then_some(true),
            passed_over: agent.passed_over,
            idle_since: agent.idle_since,
            ..Self::without_facts(facts, step, Some(&agent.agent.id), reason)
        }
    }

    pub(super) fn eligible(facts: &RoutingFacts, step: Step, agent: &AgentFacts, verdict: Verdict) -> Self {
        Self { verdict, ..Self::skipped(facts, step, agent, step.why_eligible()) }
    }

    /// Many agents of the pool with the same fate.
    pub(super) fn counted(facts: &RoutingFacts, verdict: Verdict, reason: &str, count: u32) -> Self {
        Self {
            verdict,
            count: Some(count),
            ..Self::without_facts(facts, Step::RoundRobin, None, &format!("{reason}: {count}"))
        }
    }
}
