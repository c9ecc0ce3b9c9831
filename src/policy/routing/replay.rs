//! Makes the choices of a trace again, from what it says was known and not from what it says was chosen.

use super::{Step, TraceStep, Verdict};
use crate::model::id::AgentId;
use crate::model::time::Timestamp;

/// Why a trace cannot be replayed: it is damaged, or older than the facts it would need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreplayable {
    #[error("line {line}: attempt {attempt} follows attempt {before}")]
    OutOfOrder { line: usize, before: u32, attempt: u32 },
    #[error("line {line}: {agent} was {verdict} without a word on why it could be")]
    WithoutFacts { line: usize, agent: AgentId, verdict: Verdict },
}

/// Whom each attempt chooses by the facts in the trace, first attempt first; `None` where nobody was eligible.
///
/// # Errors
/// [`Unreplayable`], naming the first line (from 1) that cannot be used.
pub fn replay(trace: &[TraceStep]) -> Result<Vec<Option<AgentId>>, Unreplayable> {
    let mut chosen = Vec::new();
    let mut line = 1;
    for attempt in trace.chunk_by(|a, b| a.attempt == b.attempt) {
        let number = attempt[0].attempt;
        let before = chosen.len() as u32;
        if number != before + 1 {
            return Err(Unreplayable::OutOfOrder { line, before, attempt: number });
        }
        chosen.push(choose(attempt, line)?);
        line += attempt.len();
    }
    Ok(chosen)
}

/// Whom each attempt chose, as the trace says.
pub fn choices(trace: &[TraceStep]) -> Vec<Option<AgentId>> {
    let attempts = trace.chunk_by(|a, b| a.attempt == b.attempt);
    attempts.map(|steps| steps.iter().find(|s| s.verdict == Verdict::Chosen).and_then(|s| s.agent_id.clone())).collect()
}

/// The rules of the module above over the few agents a trace names: whoever it does not name stands behind them.
fn choose(attempt: &[TraceStep], first_line: usize) -> Result<Option<AgentId>, Unreplayable> {
    let mut best: Option<Rank> = None;
    for (line, written) in (first_line..).zip(attempt) {
        let Some(agent) = &written.agent_id else { continue };
        let Some(rank) = rank(agent, written) else {
            if written.verdict != Verdict::Skipped && written.online.is_none() {
                let (agent, verdict) = (agent.clone(), written.verdict);
                return Err(Unreplayable::WithoutFacts { line, agent, verdict });
            }
            continue;
        };
        best = Some(best.map_or(rank, |so_far| so_far.min(rank)));
    }
    Ok(best.map(|(.., agent)| agent.clone()))
}

/// Step, then round robin's order; among the named steps there is one agent each.
type Rank<'a> = (Step, u32, Option<Timestamp>, &'a AgentId);

/// Where an agent stands; `None` if it cannot be rung.
fn rank<'a>(agent: &'a AgentId, known: &TraceStep) -> Option<Rank<'a>> {
    let active_calls = known.active_calls?;
    let barred = known.step == Step::RoundRobin && known.excluded?;
    let free = active_calls == 0 && known.wrapping_up != Some(true) && known.passed_over.is_none();
    let rings = known.online? && !known.tried? && !barred && free;
    rings.then_some((known.step, active_calls, known.idle_since, agent))
}
