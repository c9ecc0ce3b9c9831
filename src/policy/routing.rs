//! Whom does this caller ring, in which order, and why?
//!
//! Chat assignee, then contact owner (where the pack gives it to the number's plan), then round robin; the order is
//! fixed. Whoever is rung must be
//! online, on no other call, and have a client that shows calls; round robin passes over excluded agents too, while an excluded assignee or owner still
//! rings. One agent rings at a time, so the candidates are a queue; the caller asks again before each offer, because
//! presence may have changed since.
//!
//! One look over all agents and no sorting of them: only the head of the queue and a bounded part of the trace are kept,
//! so that ten thousand agents cost microseconds and a call's record stays small. The trace carries what was known of each
//! agent it names, and [`replay`] comes to the same choice from that alone.

use std::collections::BTreeMap;

use crate::model::directory::{Agent, Contact, Number};
use crate::model::id::AgentId;
use crate::model::readiness::Bypass;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;

use super::pack::Rules;

mod replay;
#[cfg(test)]
pub(super) mod tests;
mod trace;

pub use replay::{Unreplayable, choices, replay};
pub use trace::{Step, TRACE_STEPS_MAX, TraceStep, Verdict, worth_keeping};

/// Agents of the pool kept in the queue: the one who rings and the next in line. By the time all of these were rung the
/// caller has long hung up, and each offer asks anew anyway.
pub const QUEUE_MAX: usize = 10;

/// Agents passed over in round robin that the trace names; the rest are counted.
pub const SKIPPED_MAX: usize = 20;

/// What routing knows of one agent at this moment.
#[derive(Clone, Debug)]
pub struct AgentFacts {
    pub agent: Agent,
    /// Calls the agent is ringing, dialling or talking on.
    pub active_calls: u32,
    /// The agent still writes up the last call ([`RoutingRules::is_wrap_up`](super::pack::RoutingRules::is_wrap_up)).
    pub wrapping_up: bool,
    /// Why the agent's client cannot be counted on, if it cannot.
    pub passed_over: Option<Bypass>,
    /// End of the agent's last call or offer, `None` if there was none.
    pub idle_since: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct RoutingFacts {
    pub now: Timestamp,
    pub number: Number,
    pub contact: Contact,
    pub agents: Vec<AgentFacts>,
    /// Agents this call was already offered to.
    pub tried: Vec<AgentId>,
}

/// Somebody to ring, and why, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub agent_id: AgentId,
    pub reason: String,
}

/// The queue of candidates, first to ring first; empty when nobody is eligible. Of the pool it holds [`QUEUE_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    pub candidates: Vec<Candidate>,
    pub trace: Vec<TraceStep>,
}

/// Builds the queue for one caller.
pub fn route(facts: &RoutingFacts, rules: &Rules) -> Routing {
    let mut routing = Routing { candidates: Vec::new(), trace: Vec::new() };
    routing.look_at_named(facts, Step::ChatAssignee, facts.contact.assignee_id.as_ref());
    if asks_owner(&facts.number, rules) {
        routing.look_at_named(facts, Step::ContactOwner, facts.contact.owner_id.as_ref());
    } else if let Some(owner) = &facts.contact.owner_id {
        let reason = "the number's plan and add-ons do not ask the contact owner";
        routing.trace.push(TraceStep::without_facts(facts, Step::ContactOwner, Some(owner), reason));
    }
    routing.look_at_everybody(facts);
    routing
}

fn asks_owner(number: &Number, rules: &Rules) -> bool {
    let asking = &rules.routing;
    asking.owner_plans.contains(&number.plan) || number.add_ons.iter().any(|one| asking.owner_add_ons.contains(one))
}

/// Round robin's order: fewest active calls, then longest idle (never called first), then id.
type Order<'a> = (u32, Option<Timestamp>, &'a AgentId);

fn order(agent: &AgentFacts) -> Order<'_> {
    (agent.active_calls, agent.idle_since, &agent.agent.id)
}

/// Why an agent is not rung. The order is that in which people want to read it: closest to being rung first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Against {
    Queued,
    Tried,
    Excluded,
    WrappingUp,
    NotReady,
    NotShown,
    Busy,
    Offline,
}

impl Against {
    fn reason(self) -> &'static str {
        match self {
            Self::Queued => "is in the queue already",
            Self::Tried => "was already offered this call",
            Self::Excluded => "is excluded from round robin",
            Self::WrappingUp => "is writing up the last call",
            Self::NotReady => "has a console that is not ready for calls",
            Self::NotShown => "has a console that did not show the last call and is silent since",
            Self::Busy => "is on another call",
            Self::Offline => "is offline",
        }
    }

    /// As the head of a count.
    fn short(self) -> &'static str {
        match self {
            Self::Queued => "in the queue already",
            Self::Tried => "already offered this call",
            Self::Excluded => "excluded from round robin",
            Self::WrappingUp => "writing up the last call",
            Self::NotReady => "with a console that is not ready for calls",
            Self::NotShown => "with a console that did not show the last call",
            Self::Busy => "on another call",
            Self::Offline => "offline",
        }
    }
}

impl Routing {
    fn look_at_named(&mut self, facts: &RoutingFacts, step: Step, id: Option<&AgentId>) {
        let Some(id) = id else {
            let nobody = match step {
                Step::ChatAssignee => "the chat is assigned to nobody",
                Step::ContactOwner | Step::RoundRobin => "the contact has no owner",
            };
            return self.trace.push(TraceStep::without_facts(facts, step, None, nobody));
        };
        let Some(agent) = facts.agents.iter().find(|a| a.agent.id == *id) else {
            return self.trace.push(TraceStep::without_facts(facts, step, Some(id), "no such agent"));
        };
        match self.against(facts, step, agent) {
            Some(against) => self.trace.push(TraceStep::skipped(facts, step, agent, against.reason())),
            None => self.enqueue(facts, step, agent),
        }
    }

    /// Round robin over the whole pool.
    fn look_at_everybody(&mut self, facts: &RoutingFacts) {
        if facts.agents.is_empty() {
            let step = TraceStep::without_facts(facts, Step::RoundRobin, None, "there are no agents");
            return self.trace.push(step);
        }
        let mut queue = Head::of(QUEUE_MAX);
        let mut skipped = Head::of(SKIPPED_MAX);
        let mut counts = BTreeMap::<Against, u32>::new();
        let mut eligible = 0_u32;
        for agent in &facts.agents {
            match self.against(facts, Step::RoundRobin, agent) {
                None => {
                    eligible += 1;
                    queue.offer(order(agent), agent);
                }
                Some(against) => {
                    *counts.entry(against).or_default() += 1;
                    skipped.offer((against, order(agent)), agent);
                }
            }
        }
        let more = eligible - queue.kept.len() as u32;
        for ((against, _), _) in &skipped.kept {
            *counts.get_mut(against).expect("it was counted when it was kept") -= 1;
        }
        self.write_round_robin(facts, queue, skipped);
        if more > 0 {
            self.trace.push(TraceStep::counted(facts, Verdict::Next, "next in round robin", more));
        }
        for (against, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.trace.push(TraceStep::counted(facts, Verdict::Skipped, against.short(), count));
        }
    }

    /// Queues the head of the pool; the trace names it and those passed over in round robin's order.
    fn write_round_robin<'a>(
        &mut self,
        facts: &'a RoutingFacts,
        queue: Head<'a, Order<'a>>,
        skipped: Head<'a, (Against, Order<'a>)>,
    ) {
        let mut named: Vec<(Order<'a>, Option<Against>, &AgentFacts)> = Vec::new();
        named.extend(queue.kept.into_iter().map(|(order, agent)| (order, None, agent)));
        named.extend(skipped.kept.into_iter().map(|((against, order), agent)| (order, Some(against), agent)));
        named.sort_unstable_by_key(|(order, ..)| *order);
        for (_, against, agent) in named {
            match against {
                Some(against) => {
                    self.trace.push(TraceStep::skipped(facts, Step::RoundRobin, agent, against.reason()));
                }
                None => self.enqueue(facts, Step::RoundRobin, agent),
            }
        }
    }

    fn against(&self, facts: &RoutingFacts, step: Step, candidate: &AgentFacts) -> Option<Against> {
        let id = &candidate.agent.id;
        // The cheap questions first, and the order of the answers is the one people read.
        if self.candidates.iter().any(|c| c.agent_id == *id) {
            Some(Against::Queued)
        } else if facts.tried.contains(id) {
            Some(Against::Tried)
        } else if candidate.agent.status != Presence::Online {
            Some(Against::Offline)
        } else if candidate.active_calls > 0 {
            Some(Against::Busy)
        } else if candidate.wrapping_up {
            Some(Against::WrappingUp)
        } else if let Some(bypass) = candidate.passed_over {
            Some(match bypass {
                Bypass::NotShown => Against::NotShown,
                Bypass::NotReady => Against::NotReady,
            })
        } else if matches!(step, Step::RoundRobin) && candidate.agent.excluded {
            Some(Against::Excluded)
        } else {
            None
        }
    }

    fn enqueue(&mut self, facts: &RoutingFacts, step: Step, agent: &AgentFacts) {
        let verdict = if self.candidates.is_empty() { Verdict::Chosen } else { Verdict::Next };
        self.trace.push(TraceStep::eligible(facts, step, agent, verdict));
        let reason = step.why_eligible().to_owned();
        self.candidates.push(Candidate { agent_id: agent.agent.id.clone(), reason });
    }
}

/// The first few of many, in order, without sorting the many.
struct Head<'a, K> {
    kept: Vec<(K, &'a AgentFacts)>,
    max: usize,
}

impl<'a, K: Ord> Head<'a, K> {
    fn of(max: usize) -> Self {
        Self { kept: Vec::with_capacity(max + 1), max }
    }

    fn offer(&mut self, key: K, agent: &'a AgentFacts) {
        if self.kept.len() == self.max && self.kept.last().is_some_and(|(last, _)| *last <= key) {
            return;
        }
        let place = self.kept.binary_search_by(|(kept, _)| kept.cmp(&key)).unwrap_or_else(|place| place);
        self.kept.insert(place, (key, agent));
        self.kept.truncate(self.max);
    }
}
