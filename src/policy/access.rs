//! May this actor do this to that? One function, asked by every route; what it does not name is refused.
//!
//! API keys may what their scopes say. Agents may run their own presence, offers and calls, dial as themselves, ask their
//! own customers for permission, and read what their role may see. How far a role sees, whether it configures calls,
//! sees and fills the wallet, manages agents and numbers and gives customers away is data of the policy pack ([`Grants`]), widened by the agent's switches and never narrowed.
//! What no pack can give: an agent never acts as somebody else and never administers.

use crate::model::directory::Agent;
use crate::model::id::{AgentId, TeamId};
use crate::model::words;

use super::pack::{Added, Assigning, Grants, Rules, Sight};

mod matrix;
#[cfg(test)]
mod tests;

pub use matrix::{Cells, Column, DeedRow, Reach, agent_rows, matrix};

words! {
    /// What an API key may do. No scope contains another.
    Scope {
        CallsRead = "calls:read",
        CallsWrite = "calls:write",
        RecordingsRead = "recordings:read",
        PermissionsWrite = "permissions:write",
        SettingsWrite = "settings:write",
        EventsRead = "events:read",
        Admin = "admin",
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Actor {
    Key { name: String, scopes: Vec<Scope> },
    Agent(Agent),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See it.
    Read,
    /// Create or alter it; of a note: remove it.
    Change,
    /// Write a note on it; of a call also its tags and its disposition.
    Annotate,
    /// Steer a live call: media, hang up, hold, digits, transfer.
    Control,
    /// Take, refuse or prepare an agent's offer.
    Answer,
    /// Place a call as this agent.
    Dial,
    /// Ask the customer for permission to call.
    Request,
    /// Say whose a customer is: who may call, and who rings first. Contains [`Action::Rename`].
    Assign,
    /// Say what a customer is called.
    Rename,
    /// Set this agent online or offline.
    SetPresence,
    /// Set this agent offline.
    TakeOffline,
    /// Receive this agent's events.
    Listen,
    /// Keep views of lists under this agent's name, and read them.
    KeepViews,
    /// Make a token that speaks as this agent.
    MintToken,
    /// Make a link by which this agent chooses a password.
    Invite,
}

/// What it is asked of.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// The lists and exports of calls. Their rows are narrowed by [`visible_agents`].
    Calls,
    Call(CallParties<'a>),
    /// A call's recording, transcript and summary.
    Recording(CallParties<'a>),
    Agent(&'a AgentId),
    Team,
    Contact,
    /// Whose a customer is: the teams of those whose it is now and of those it shall be; `None` for an agent without.
    Ownership {
        teams: &'a [Option<TeamId>],
    },
    /// The conversation with one customer.
    Chat {
        assignee: Option<&'a AgentId>,
    },
    /// The list of permissions. Its rows are narrowed by [`visible_agents`].
    Permission,
    /// One note, by the agent who wrote it.
    Note {
        author: Option<&'a AgentId>,
    },
    /// A number, and how well it is: its pickup and restrictions.
    Number,
    /// A number's call settings, and what routing would do.
    Settings,
    /// The balance, its entries, and what calls cost.
    Wallet,
    /// The rules in force, and loading others.
    PolicyPack,
    /// The whole event log.
    Events,
    /// Keys, outgoing webhooks, draining.
    Admin,
}

/// The agents a call involves.
#[derive(Clone, Copy, Debug)]
pub struct CallParties<'a> {
    /// Who talks, or placed the call.
    pub agent_id: Option<&'a AgentId>,
    /// Whom it was offered to.
    pub offered: &'a [AgentId],
    /// The teams these agents are in. Handed in, so that one decision costs the same in a company of any size.
    pub teams: &'a [TeamId],
}

/// Decides; refuses by default.
pub fn may(rules: &Rules, actor: &Actor, action: Action, resource: Resource<'_>) -> bool {
    match actor {
        Actor::Key { scopes, .. } => scopes_for(action, resource).iter().any(|scope| scopes.contains(scope)),
        Actor::Agent(agent) => agent_may(rules, agent, action, resource),
    }
}

/// Whose calls the actor may see; `None` = everybody's, those that never reached an agent included.
pub fn visible_agents(rules: &Rules, actor: &Actor, agents: &[Agent]) -> Option<Vec<AgentId>> {
    let agent = match actor {
        Actor::Key { scopes, .. } if scopes.contains(&Scope::CallsRead) => return None,
        Actor::Key { .. } => return Some(Vec::new()),
        Actor::Agent(agent) => agent,
    };
    match grants(rules, agent).calls {
        Sight::All => None,
        Sight::Own => Some(vec![agent.id.clone()]),
        Sight::Team => {
            let mates = agents.iter().filter(|other| other.id != agent.id && same_team(agent, other));
            Some(std::iter::once(agent.id.clone()).chain(mates.map(|other| other.id.clone())).collect())
        }
    }
}

/// What this agent may: what the role grants, and over it what each switch that is on adds.
pub fn grants(rules: &Rules, agent: &Agent) -> Grants {
    // A checked pack has every role; one that has not grants the least there is.
    let least =
        Grants { calls: Sight::Own, configure_calls: false, wallet: false, manage: false, assign: Assigning::None };
    let role = rules.roles.get(&agent.role).copied().unwrap_or(least);
    let switches = [
        (agent.switches.configure_calls, rules.switches.configure_calls),
        (agent.switches.all_calls, rules.switches.all_calls),
    ];
    switches.into_iter().filter(|(on, _)| *on).fold(role, |so_far, (_, added)| so_far.with(added))
}

impl Grants {
    /// Switches only widen: a narrower sight or a `false` changes nothing.
    fn with(self, added: Added) -> Self {
        Self {
            calls: added.calls.map_or(self.calls, |calls| self.calls.max(calls)),
            configure_calls: self.configure_calls || added.configure_calls == Some(true),
            wallet: self.wallet || added.wallet == Some(true),
            manage: self.manage || added.manage == Some(true),
            assign: self.assign,
        }
    }
}

/// Any one of these scopes is enough; none means that no key may.
fn scopes_for(action: Action, resource: Resource<'_>) -> &'static [Scope] {
    match (action, resource) {
        (Action::Read, Resource::Calls | Resource::Call(_)) => &[Scope::CallsRead],
        (Action::Read, Resource::Recording(_)) => &[Scope::RecordingsRead],
        (Action::Read, Resource::Agent(_) | Resource::Team | Resource::Contact | Resource::Number) => {
            &[Scope::CallsRead, Scope::CallsWrite, Scope::SettingsWrite]
        }
        (Action::Read, Resource::Permission) => &[Scope::CallsRead, Scope::PermissionsWrite],
        (Action::Read, Resource::Settings) => &[Scope::CallsRead, Scope::SettingsWrite],
        (Action::Read, Resource::Wallet) => &[Scope::CallsRead, Scope::SettingsWrite],
        (Action::Change, Resource::Wallet) => &[Scope::SettingsWrite],
        (Action::Read, Resource::PolicyPack) => &[Scope::SettingsWrite, Scope::Admin],
        (Action::Read, Resource::Events) => &[Scope::EventsRead],
        (Action::Listen, Resource::Agent(_)) => &[Scope::EventsRead],
        (Action::Annotate | Action::Control, Resource::Call(_)) => &[Scope::CallsWrite],
        (Action::Annotate, Resource::Contact) | (Action::Change, Resource::Note { .. }) => &[Scope::CallsWrite],
        (
            Action::Answer | Action::Dial | Action::SetPresence | Action::TakeOffline | Action::KeepViews,
            Resource::Agent(_),
        ) => &[Scope::CallsWrite],
        // The assignee decides who may call, so a CRM that runs calls must be able to set it.
        (Action::Change, Resource::Contact) => &[Scope::CallsWrite, Scope::SettingsWrite],
        (Action::Change, Resource::Permission) | (Action::Request, Resource::Chat { .. }) => &[Scope::PermissionsWrite],
        (Action::Change, Resource::Agent(_) | Resource::Team | Resource::Number | Resource::Settings) => {
            &[Scope::SettingsWrite]
        }
        // A token speaks with an agent's whole role, an owner's included, and so does whoever has its password.
        (Action::MintToken | Action::Invite, Resource::Agent(_)) => &[Scope::Admin],
        // Whoever loads a pack grants what no role has.
        (Action::Change, Resource::PolicyPack) => &[Scope::Admin],
        (Action::Read | Action::Change, Resource::Admin) => &[Scope::Admin],
        _ => &[],
    }
}

fn agent_may(rules: &Rules, agent: &Agent, action: Action, resource: Resource<'_>) -> bool {
    match (action, resource) {
        (
            Action::Answer | Action::Dial | Action::SetPresence | Action::Listen | Action::KeepViews,
            Resource::Agent(id),
        ) => *id == agent.id,
        // Who went home and left the console open is sent callers that nobody answers.
        (Action::TakeOffline, Resource::Agent(id)) => *id == agent.id || grants(rules, agent).manage,
        (Action::Control, Resource::Call(call)) => call.agent_id == Some(&agent.id),
        // A supervisor writes on calls of the team, and whoever a call only rang at says why it was missed.
        (Action::Annotate, Resource::Call(call)) => sees_call(rules, agent, call),
        (Action::Annotate, Resource::Contact) => true,
        (Action::Change, Resource::Note { author }) => author == Some(&agent.id) || grants(rules, agent).manage,
        (Action::Request | Action::Rename, Resource::Chat { assignee }) => assignee == Some(&agent.id),
        (Action::Read, Resource::Calls) => true,
        (Action::Read, Resource::Call(call) | Resource::Recording(call)) => sees_call(rules, agent, call),
        // Names of colleagues, numbers and customers are what every conversation shows; roles narrow the
        // lists of calls and permissions, not chats.
        (
            Action::Read,
            Resource::Agent(_) | Resource::Team | Resource::Contact | Resource::Permission | Resource::Number,
        ) => true,
        (Action::Read | Action::Change, Resource::Settings) => grants(rules, agent).configure_calls,
        (Action::Read | Action::Change, Resource::Wallet) => grants(rules, agent).wallet,
        (Action::Change | Action::Invite, Resource::Agent(_)) | (Action::Change, Resource::Team | Resource::Number) => {
            grants(rules, agent).manage
        }
        (Action::Assign, Resource::Ownership { teams }) => assigns(grants(rules, agent), agent, teams),
        _ => false,
    }
}

fn sees_call(rules: &Rules, agent: &Agent, call: CallParties<'_>) -> bool {
    let own = || call.agent_id.into_iter().chain(call.offered).any(|id| *id == agent.id);
    match grants(rules, agent).calls {
        Sight::All => true,
        Sight::Own => own(),
        Sight::Team => own() || agent.team_id.as_ref().is_some_and(|team| call.teams.contains(team)),
    }
}

/// A customer of nobody's may be given to the own team, and one of the own team's be passed on within it.
fn assigns(grants: Grants, agent: &Agent, teams: &[Option<TeamId>]) -> bool {
    match grants.assign {
        _ if grants.manage => true,
        Assigning::All => true,
        Assigning::Team => agent.team_id.is_some() && teams.iter().all(|team| *team == agent.team_id),
        Assigning::None => false,
    }
}

/// Two agents without a team are not in one team.
fn same_team(agent: &Agent, other: &Agent) -> bool {
    agent.team_id.is_some() && agent.team_id == other.team_id
}
