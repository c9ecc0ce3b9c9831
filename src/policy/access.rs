//! May this actor do this to that? One function, asked by every route; what it does not name is refused.
//!
//! API keys may what their scopes say. Agents may run their own presence, offers and calls, dial as themselves, and read
//! what their role may see: an owner everything, a sales lead the own team's calls, everybody else the own calls, widened
//! by the two switches of the role.

use crate::model::directory::Agent;
use crate::model::id::AgentId;
use crate::model::reason::Role;
use crate::model::words;

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
    /// Create or alter it; of a call: its notes, tags and disposition.
    Change,
    /// Steer a live call: media, hang up, hold, digits, transfer.
    Control,
    /// Take, refuse or prepare an agent's offer.
    Answer,
    /// Place a call as this agent.
    Dial,
    /// Set this agent online or offline.
    SetPresence,
    /// Receive this agent's events.
    Listen,
    /// Make a token that speaks as this agent.
    MintToken,
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
    Permission,
    Number,
    /// A number's call settings, and what routing would do.
    Settings,
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
    /// All agents, to find their teams in.
    pub directory: &'a [Agent],
}

/// Decides; refuses by default.
pub fn may(actor: &Actor, action: Action, resource: Resource<'_>) -> bool {
    match actor {
        Actor::Key { scopes, .. } => scopes_for(action, resource).iter().any(|scope| scopes.contains(scope)),
        Actor::Agent(agent) => agent_may(agent, action, resource),
    }
}

/// Whose calls the actor may see; `None` = everybody's, those that never reached an agent included.
pub fn visible_agents(actor: &Actor, agents: &[Agent]) -> Option<Vec<AgentId>> {
    let agent = match actor {
        Actor::Key { scopes, .. } if scopes.contains(&Scope::CallsRead) => return None,
        Actor::Key { .. } => return Some(Vec::new()),
        Actor::Agent(agent) => agent,
    };
    match sight(agent) {
        Sight::All => None,
        Sight::Own => Some(vec![agent.id.clone()]),
        Sight::Team => {
            let mates = agents.iter().filter(|other| other.id != agent.id && same_team(agent, other));
            Some(std::iter::once(agent.id.clone()).chain(mates.map(|other| other.id.clone())).collect())
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
        (Action::Read, Resource::Events) => &[Scope::EventsRead],
        (Action::Listen, Resource::Agent(_)) => &[Scope::EventsRead],
        (Action::Change | Action::Control, Resource::Call(_)) => &[Scope::CallsWrite],
        (Action::Answer | Action::Dial | Action::SetPresence, Resource::Agent(_)) => &[Scope::CallsWrite],
        // The assignee decides who may call, so a CRM that runs calls must be able to set it.
        (Action::Change, Resource::Contact) => &[Scope::CallsWrite, Scope::SettingsWrite],
        (Action::Change, Resource::Permission) => &[Scope::PermissionsWrite],
        (Action::Change, Resource::Agent(_) | Resource::Team | Resource::Number | Resource::Settings) => {
            &[Scope::SettingsWrite]
        }
        // A token speaks with an agent's whole role, an owner's included.
        (Action::MintToken, Resource::Agent(_)) => &[Scope::Admin],
        (Action::Read | Action::Change, Resource::Admin) => &[Scope::Admin],
        _ => &[],
    }
}

fn agent_may(agent: &Agent, action: Action, resource: Resource<'_>) -> bool {
    match (action, resource) {
        (Action::Answer | Action::Dial | Action::SetPresence | Action::Listen, Resource::Agent(id)) => *id == agent.id,
        (Action::Control, Resource::Call(call)) => call.agent_id == Some(&agent.id),
        (Action::Change, Resource::Call(call)) => call.agent_id == Some(&agent.id),
        (Action::Read, Resource::Calls) => true,
        (Action::Read, Resource::Call(call) | Resource::Recording(call)) => sees_call(agent, call),
        // Names of colleagues, numbers and customers are what every conversation shows; roles narrow calls, not chats.
        (
            Action::Read,
            Resource::Agent(_) | Resource::Team | Resource::Contact | Resource::Permission | Resource::Number,
        ) => true,
        (Action::Read | Action::Change, Resource::Settings) => {
            agent.role == Role::Owner || agent.switches.configure_calls
        }
        _ => false,
    }
}

fn sees_call(agent: &Agent, call: CallParties<'_>) -> bool {
    let involved = || call.agent_id.into_iter().chain(call.offered);
    match sight(agent) {
        Sight::All => true,
        Sight::Own => involved().any(|id| *id == agent.id),
        Sight::Team => involved()
            .any(|id| *id == agent.id || call.directory.iter().any(|other| other.id == *id && same_team(agent, other))),
    }
}

/// How far a role sees.
enum Sight {
    All,
    Team,
    Own,
}

fn sight(agent: &Agent) -> Sight {
    match agent.role {
        Role::Owner => Sight::All,
        _ if agent.switches.all_calls => Sight::All,
        Role::SalesLead => Sight::Team,
        Role::Admin | Role::Teammate => Sight::Own,
    }
}

/// Two agents without a team are not in one team.
fn same_team(agent: &Agent, other: &Agent) -> bool {
    agent.team_id.is_some() && agent.team_id == other.team_id
}

#[cfg(test)]
mod tests {
    use super::super::routing::tests::agent;
    use super::*;
    use crate::model::directory::Switches;
    use crate::model::id::TeamId;

    const ACTIONS: [Action; 8] = [
        Action::Read,
        Action::Change,
        Action::Control,
        Action::Answer,
        Action::Dial,
        Action::SetPresence,
        Action::Listen,
        Action::MintToken,
    ];

    fn of(id: &str, role: Role, team: Option<&str>) -> Agent {
        Agent { role, team_id: team.map(|t| TeamId::parse(t).unwrap()), ..agent(id) }
    }

    fn directory() -> Vec<Agent> {
        vec![
            of("agt_owner", Role::Owner, None),
            of("agt_lead", Role::SalesLead, Some("team_1")),
            of("agt_admin", Role::Admin, Some("team_1")),
            of("agt_mate", Role::Teammate, Some("team_1")),
            of("agt_other", Role::Teammate, Some("team_2")),
            of("agt_free", Role::Teammate, None),
            of("agt_lone_lead", Role::SalesLead, None),
        ]
    }

    fn find(id: &str) -> Agent {
        directory().into_iter().find(|a| a.id.as_str() == id).unwrap()
    }

    fn id(id: &str) -> AgentId {
        AgentId::parse(id).unwrap()
    }

    #[test]
    fn a_role_sees_as_far_as_the_guide_says_in_lists_and_in_single_calls_alike() {
        #[track_caller]
        fn check(who: &str, switches: Switches, sees: &[&str], sees_unrouted: bool) {
            let me = Actor::Agent(Agent { switches, ..find(who) });
            let agents = directory();
            let listed = visible_agents(&me, &agents);
            for other in &agents {
                let want = sees.contains(&other.id.as_str());
                assert_eq!(listed.as_ref().is_none_or(|ids| ids.contains(&other.id)), want, "{who} lists {}", other.id);
                let talked = CallParties { agent_id: Some(&other.id), offered: &[], directory: &agents };
                let rang = CallParties { agent_id: None, offered: std::slice::from_ref(&other.id), directory: &agents };
                for call in [talked, rang] {
                    assert_eq!(
                        may(&me, Action::Read, Resource::Call(call)),
                        want,
                        "{who} opens a call of {}",
                        other.id
                    );
                    assert_eq!(may(&me, Action::Read, Resource::Recording(call)), want, "{who} hears {}", other.id);
                }
            }
            let unrouted = CallParties { agent_id: None, offered: &[], directory: &agents };
            assert_eq!(
                may(&me, Action::Read, Resource::Call(unrouted)),
                sees_unrouted,
                "{who} opens a call nobody got"
            );
            assert_eq!(listed.is_none(), sees_unrouted, "{who}");
        }
        let all = ["agt_owner", "agt_lead", "agt_admin", "agt_mate", "agt_other", "agt_free", "agt_lone_lead"];
        let none = Switches::default();
        let widened = Switches { all_calls: true, ..none };
        check("agt_owner", none, &all, true);
        check("agt_lead", none, &["agt_lead", "agt_admin", "agt_mate"], false);
        check("agt_lone_lead", none, &["agt_lone_lead"], false);
        check("agt_admin", none, &["agt_admin"], false);
        check("agt_mate", none, &["agt_mate"], false);
        check("agt_free", Switches { configure_calls: true, ..none }, &["agt_free"], false);
        for who in ["agt_lead", "agt_lone_lead", "agt_admin", "agt_mate"] {
            check(who, widened, &all, true);
        }
    }

    #[test]
    fn an_agent_acts_only_as_itself_whatever_the_role() {
        for role in Role::ALL {
            let me = Actor::Agent(Agent {
                role: *role,
                switches: Switches { configure_calls: true, all_calls: true },
                ..find("agt_mate")
            });
            let (mine, other, agents) = (id("agt_mate"), id("agt_other"), directory());
            for action in [Action::Answer, Action::Dial, Action::SetPresence, Action::Listen] {
                assert!(may(&me, action, Resource::Agent(&mine)), "{role} {action:?}");
                assert!(!may(&me, action, Resource::Agent(&other)), "{role} {action:?}");
            }
            let call = |agent_id| CallParties { agent_id, offered: std::slice::from_ref(&mine), directory: &agents };
            for action in [Action::Control, Action::Change] {
                assert!(may(&me, action, Resource::Call(call(Some(&mine)))), "{role} {action:?}");
                assert!(!may(&me, action, Resource::Call(call(Some(&other)))), "{role} {action:?}");
                assert!(!may(&me, action, Resource::Call(call(None))), "{role} {action:?}");
            }
        }
    }

    #[test]
    fn an_agent_may_never_administer() {
        let mine = id("agt_owner");
        let owner = Actor::Agent(find("agt_owner"));
        for resource in [
            Resource::Calls,
            Resource::Agent(&mine),
            Resource::Team,
            Resource::Contact,
            Resource::Permission,
            Resource::Number,
            Resource::Events,
            Resource::Admin,
        ] {
            for action in [Action::Change, Action::MintToken, Action::Control] {
                assert!(!may(&owner, action, resource), "{action:?} {resource:?}");
            }
        }
        assert!(!may(&owner, Action::Read, Resource::Admin) && !may(&owner, Action::Read, Resource::Events));
    }

    #[test]
    fn call_settings_need_the_owner_or_the_switch() {
        for role in Role::ALL {
            for configure_calls in [false, true] {
                let me = Actor::Agent(Agent {
                    role: *role,
                    switches: Switches { configure_calls, all_calls: true },
                    ..find("agt_mate")
                });
                let want = configure_calls || *role == Role::Owner;
                assert_eq!(may(&me, Action::Read, Resource::Settings), want, "{role} {configure_calls}");
                assert_eq!(may(&me, Action::Change, Resource::Settings), want, "{role} {configure_calls}");
            }
        }
    }

    #[test]
    fn a_key_may_what_its_one_scope_says_and_nothing_else() {
        let (somebody, agents) = (id("agt_mate"), directory());
        let call = CallParties { agent_id: Some(&somebody), offered: &[], directory: &agents };
        let resources = [
            ("calls", Resource::Calls),
            ("call", Resource::Call(call)),
            ("recording", Resource::Recording(call)),
            ("agent", Resource::Agent(&somebody)),
            ("team", Resource::Team),
            ("contact", Resource::Contact),
            ("permission", Resource::Permission),
            ("number", Resource::Number),
            ("settings", Resource::Settings),
            ("events", Resource::Events),
            ("admin", Resource::Admin),
        ];
        let check = |scopes: &[Scope], want: &[&str]| {
            let key = Actor::Key { name: "crm".to_owned(), scopes: scopes.to_vec() };
            let mut got = Vec::new();
            for action in ACTIONS {
                for (name, resource) in resources {
                    if may(&key, action, resource) {
                        got.push(format!("{action:?} {name}"));
                    }
                }
            }
            assert_eq!(got, want, "{scopes:?}");
        };
        check(&[], &[]);
        check(
            &[Scope::CallsRead],
            &[
                "Read calls",
                "Read call",
                "Read agent",
                "Read team",
                "Read contact",
                "Read permission",
                "Read number",
                "Read settings",
            ],
        );
        check(
            &[Scope::CallsWrite],
            &[
                "Read agent",
                "Read team",
                "Read contact",
                "Read number",
                "Change call",
                "Change contact",
                "Control call",
                "Answer agent",
                "Dial agent",
                "SetPresence agent",
            ],
        );
        check(&[Scope::RecordingsRead], &["Read recording"]);
        check(&[Scope::PermissionsWrite], &["Read permission", "Change permission"]);
        check(
            &[Scope::SettingsWrite],
            &[
                "Read agent",
                "Read team",
                "Read contact",
                "Read number",
                "Read settings",
                "Change agent",
                "Change team",
                "Change contact",
                "Change number",
                "Change settings",
            ],
        );
        check(&[Scope::EventsRead], &["Read events", "Listen agent"]);
        check(&[Scope::Admin], &["Read admin", "Change admin", "MintToken agent"]);
    }

    #[test]
    fn a_key_without_calls_read_lists_no_calls() {
        let key = |scopes: &[Scope]| Actor::Key { name: "crm".to_owned(), scopes: scopes.to_vec() };
        assert_eq!(visible_agents(&key(&[Scope::CallsRead]), &directory()), None);
        assert_eq!(visible_agents(&key(&[Scope::CallsWrite, Scope::Admin]), &directory()), Some(vec![]));
    }
}
