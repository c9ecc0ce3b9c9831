//! The rules of access as a page for people, and as data for other pages. Every cell is an answer of [`may`], so no page
//! can say anything else.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Action, Actor, CallParties, Resource, Scope, may};
use crate::model::directory::{Agent, Switches};
use crate::model::id::{AgentId, TeamId};
use crate::model::reason::{Presence, Role};
use crate::model::words;
use crate::policy::pack::Rules;

words! {
    /// How far something may be done.
    Reach { No = "no", Own = "own", Team = "team", All = "all", Yes = "yes" }
}

/// Something to do, and who may do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeedRow {
    /// What it is, in people's words.
    pub deed: &'static str,
    pub roles: Vec<Column>,
}

/// One role's part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Column {
    pub role: Role,
    #[serde(flatten)]
    pub cells: Cells,
}

/// How far, without and with each of the switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cells {
    pub without_switches: Reach,
    pub configure_calls: Reach,
    pub all_calls: Reach,
}

/// What agents may, by role.
pub fn agent_rows(rules: &Rules) -> Vec<DeedRow> {
    let column = |role: Role, deed: &Deed| {
        let with = |configure_calls, all_calls| agent_cell(rules, role, Switches { configure_calls, all_calls }, deed);
        let cells = Cells {
            without_switches: with(false, false),
            configure_calls: with(true, false),
            all_calls: with(false, true),
        };
        Column { role, cells }
    };
    let row =
        |deed: &Deed| DeedRow { deed: deed.words, roles: Role::ALL.iter().map(|role| column(*role, deed)).collect() };
    AGENT_DEEDS.iter().map(row).collect()
}

/// Who may what, as Markdown: agents by role and switches, then API keys by scope.
pub fn matrix(rules: &Rules) -> String {
    let mut page = String::from("## Agents\n");
    for (title, configure_calls, all_calls) in [
        ("Without switches", false, false),
        ("With the switch `configure_calls`", true, false),
        ("With the switch `all_calls`", false, true),
        ("With both switches", true, true),
    ] {
        page += &format!("\n### {title}\n\n");
        let heads = Role::ALL.iter().map(|role| role.as_str());
        page += &table(heads, &AGENT_DEEDS, |deed| {
            let of = |role: &Role| shown(agent_cell(rules, *role, Switches { configure_calls, all_calls }, deed));
            Role::ALL.iter().map(of).collect()
        });
    }
    page += "\n## API keys\n\n";
    page += &table(Scope::ALL.iter().map(|scope| scope.as_str()), &KEY_DEEDS, |deed| {
        Scope::ALL.iter().map(|scope| shown(key_cell(rules, *scope, deed))).collect()
    });
    page
}

/// Something to do, in people's words, and one question that stands for it.
struct Deed {
    words: &'static str,
    action: Action,
    on: On,
}

/// What it is done to; agents and calls are filled in by relation.
#[derive(Clone, Copy)]
enum On {
    Call,
    Recording,
    Agent,
    Chat,
    /// Somebody's customer, passed on to somebody of the same team.
    Customer,
    Fixed(Resource<'static>),
}

const fn deed(words: &'static str, action: Action, on: On) -> Deed {
    Deed { words, action, on }
}

const AGENT_DEEDS: [Deed; 19] = [
    deed("See calls, their recordings and exports", Action::Read, On::Recording),
    deed("Steer live calls", Action::Control, On::Call),
    deed("Write notes, tags and dispositions of calls", Action::Annotate, On::Call),
    deed("Answer and place calls", Action::Dial, On::Agent),
    deed("Go online, receive events", Action::SetPresence, On::Agent),
    deed("Set offline", Action::TakeOffline, On::Agent),
    deed("Ask for permission to call", Action::Request, On::Chat),
    deed("See agents, teams, numbers", Action::Read, On::Fixed(Resource::Number)),
    deed("See contacts", Action::Read, On::Fixed(Resource::Contact)),
    // Their list is narrowed as that of calls is.
    deed("See permissions", Action::Read, On::Call),
    deed("Change agents and teams, invite agents", Action::Change, On::Fixed(Resource::Team)),
    deed("Change numbers", Action::Change, On::Fixed(Resource::Number)),
    deed("Say whose customers are", Action::Assign, On::Customer),
    deed("Name customers", Action::Rename, On::Chat),
    deed("Change contacts", Action::Change, On::Fixed(Resource::Contact)),
    deed("Configure calls", Action::Change, On::Fixed(Resource::Settings)),
    deed("See the wallet", Action::Read, On::Fixed(Resource::Wallet)),
    deed("Fill the wallet", Action::Change, On::Fixed(Resource::Wallet)),
    deed("Administer: policy pack, event log, keys, drain", Action::Read, On::Fixed(Resource::Admin)),
];

const KEY_DEEDS: [Deed; 22] = [
    deed("See calls and exports", Action::Read, On::Call),
    deed("Hear recordings", Action::Read, On::Recording),
    deed("Steer live calls", Action::Control, On::Call),
    deed("Write notes, tags and dispositions", Action::Annotate, On::Call),
    deed("Answer and place calls for any agent", Action::Dial, On::Agent),
    deed("Set any agent's presence", Action::SetPresence, On::Agent),
    deed("See agents, teams, numbers", Action::Read, On::Fixed(Resource::Number)),
    deed("See contacts", Action::Read, On::Fixed(Resource::Contact)),
    deed("See permissions", Action::Read, On::Fixed(Resource::Permission)),
    deed("Ask for permission to call", Action::Request, On::Chat),
    deed("Change agents, teams, numbers", Action::Change, On::Fixed(Resource::Number)),
    deed("Change contacts", Action::Change, On::Fixed(Resource::Contact)),
    deed("See call settings, simulate routing", Action::Read, On::Fixed(Resource::Settings)),
    deed("Configure calls", Action::Change, On::Fixed(Resource::Settings)),
    deed("See the wallet", Action::Read, On::Fixed(Resource::Wallet)),
    deed("Fill the wallet", Action::Change, On::Fixed(Resource::Wallet)),
    deed("See the policy pack", Action::Read, On::Fixed(Resource::PolicyPack)),
    deed("Load a policy pack", Action::Change, On::Fixed(Resource::PolicyPack)),
    deed("Read and follow the event log", Action::Read, On::Fixed(Resource::Events)),
    deed("Make tokens for agents", Action::MintToken, On::Agent),
    deed("Invite agents to choose a password", Action::Invite, On::Agent),
    deed("Administer: keys, webhooks, drain", Action::Change, On::Fixed(Resource::Admin)),
];

/// Whose it is, seen from the one who asks.
#[derive(Clone, Copy)]
enum Whose {
    Own,
    Mate,
    Stranger,
}

/// In a table of the page.
const fn shown(reach: Reach) -> &'static str {
    match reach {
        Reach::No => "–",
        Reach::Own => "own",
        Reach::Team => "own team's",
        Reach::All => "everybody's",
        Reach::Yes => "yes",
    }
}

fn agent_cell(rules: &Rules, role: Role, switches: Switches, deed: &Deed) -> Reach {
    let agent = Agent {
        id: agent_id(Whose::Own),
        name: String::new(),
        email: None,
        role,
        team_id: Some(team_id(Whose::Own)),
        excluded: false,
        switches,
        status: Presence::Offline,
    };
    let actor = Actor::Agent(agent);
    let on = |whose| asks(rules, &actor, deed, whose);
    match (deed.on, on(Whose::Own), on(Whose::Mate), on(Whose::Stranger)) {
        (_, false, ..) => Reach::No,
        (On::Fixed(_), ..) => Reach::Yes,
        (_, true, _, true) => Reach::All,
        (_, true, true, false) => Reach::Team,
        (_, true, false, false) => Reach::Own,
    }
}

fn key_cell(rules: &Rules, scope: Scope, deed: &Deed) -> Reach {
    let actor = Actor::Key { name: String::new(), scopes: vec![scope] };
    if asks(rules, &actor, deed, Whose::Stranger) { Reach::Yes } else { Reach::No }
}

fn asks(rules: &Rules, actor: &Actor, deed: &Deed, whose: Whose) -> bool {
    let (agent, team) = (agent_id(whose), team_id(whose));
    let teams = [Some(team.clone())];
    let parties = CallParties { agent_id: Some(&agent), offered: &[], teams: std::slice::from_ref(&team) };
    let resource = match deed.on {
        On::Call => Resource::Call(parties),
        On::Recording => Resource::Recording(parties),
        On::Agent => Resource::Agent(&agent),
        On::Chat => Resource::Chat { assignee: Some(&agent) },
        On::Customer => Resource::Ownership { teams: &teams },
        On::Fixed(resource) => resource,
    };
    may(rules, actor, deed.action, resource)
}

fn agent_id(whose: Whose) -> AgentId {
    let id = match whose {
        Whose::Own => "agt_own",
        Whose::Mate => "agt_mate",
        Whose::Stranger => "agt_stranger",
    };
    AgentId::parse(id).expect("letters and an underscore are an id")
}

fn team_id(whose: Whose) -> TeamId {
    let id = match whose {
        Whose::Own | Whose::Mate => "team_own",
        Whose::Stranger => "team_other",
    };
    TeamId::parse(id).expect("letters and an underscore are an id")
}

fn table<'a>(
    heads: impl Iterator<Item = &'a str>,
    deeds: &[Deed],
    cells: impl Fn(&Deed) -> Vec<&'static str>,
) -> String {
    let heads: Vec<&str> = heads.collect();
    let mut table = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for deed in deeds {
        table += &format!("| {} | {} |\n", deed.words, cells(deed).join(" | "));
    }
    table
}
