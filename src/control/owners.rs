//! Somebody must remain who manages the agents: a team without one could let nobody in any more.

use tokio::sync::MutexGuard;

use super::Control;
use super::auth::Caller;
use super::problem::{Code, Problem};
use crate::model::directory::Agent;
use crate::model::id::AgentId;
use crate::policy::access;

/// Passes if, after `agent` has become what it becomes (`None`: nobody who can sign in), somebody still manages agents and
/// has a password to come in with; or if nobody had before. Keep the guard until it is done: of two owners who demote each
/// other at once, one stays.
pub(crate) async fn somebody_remains<'a>(
    control: &'a Control,
    caller: &Caller,
    agent: &AgentId,
    becomes: Option<&Agent>,
) -> Result<MutexGuard<'a, ()>, Problem> {
    let guard = control.sign_in.owners.lock().await;
    let manages = |agent: &Agent| access::grants(caller.rules(), agent).manage;
    if becomes.is_some_and(manages) {
        return Ok(guard);
    }
    let ways = control.store.ways_in(None, control.clock.now().wall).await?;
    let comes_in = |agent: &Agent| ways.get(&agent.id).is_some_and(|way| way.password_at.is_some());
    let agents = control.store.agents().await?;
    let mut owners = agents.iter().filter(|agent| manages(agent) && comes_in(agent)).map(|agent| &agent.id).peekable();
    if owners.peek().is_none() || owners.any(|owner| owner != agent) {
        return Ok(guard);
    }
    Err(Problem::new(
        Code::LastOwner,
        format!(
            "{agent} is the last one who manages agents and can sign in; give a colleague the role owner first, and wait \
             until the colleague has chosen a password."
        ),
    ))
}
