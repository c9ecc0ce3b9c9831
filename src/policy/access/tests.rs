use super::*;
use crate::model::directory::Switches;
use crate::model::id::TeamId;
use crate::model::reason::Role;
use crate::model::time::Timestamp;
use crate::policy::pack::{Pack, SwitchRules};
use crate::policy::routing::tests::agent;

const ACTIONS: [Action; 14] = [
    Action::Read,
    Action::Change,
    Action::Annotate,
    Action::Control,
    Action::Answer,
    Action::Dial,
    Action::Request,
    Action::Assign,
    Action::SetPresence,
    Action::TakeOffline,
    Action::Listen,
    Action::KeepViews,
    Action::MintToken,
    Action::Invite,
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

/// The rules of the built-in pack.
fn rules() -> Rules {
    Pack::built_in().rules(Timestamp::from_secs(1_795_000_000)).clone()
}

/// The teams these agents are in.
fn teams_of(ids: &[&AgentId]) -> Vec<TeamId> {
    directory().into_iter().filter(|agent| ids.contains(&&agent.id)).filter_map(|agent| agent.team_id).collect()
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
        let listed = visible_agents(&rules(), &me, &agents);
        for other in &agents {
            let want = sees.contains(&other.id.as_str());
            assert_eq!(listed.as_ref().is_none_or(|ids| ids.contains(&other.id)), want, "{who} lists {}", other.id);
            let teams = teams_of(&[&other.id]);
            let talked = CallParties { agent_id: Some(&other.id), offered: &[], teams: &teams };
            let rang = CallParties { agent_id: None, offered: std::slice::from_ref(&other.id), teams: &teams };
            for call in [talked, rang] {
                assert_eq!(
                    may(&rules(), &me, Action::Read, Resource::Call(call)),
                    want,
                    "{who} opens a call of {}",
                    other.id
                );
                assert_eq!(
                    may(&rules(), &me, Action::Read, Resource::Recording(call)),
                    want,
                    "{who} hears {}",
                    other.id
                );
            }
        }
        let unrouted = CallParties { agent_id: None, offered: &[], teams: &[] };
        assert_eq!(
            may(&rules(), &me, Action::Read, Resource::Call(unrouted)),
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
        let (mine, other) = (id("agt_mate"), id("agt_other"));
        let teams = teams_of(&[&mine, &other]);
        for action in [Action::Answer, Action::Dial, Action::SetPresence, Action::Listen, Action::KeepViews] {
            assert!(may(&rules(), &me, action, Resource::Agent(&mine)), "{role} {action:?}");
            assert!(!may(&rules(), &me, action, Resource::Agent(&other)), "{role} {action:?}");
        }
        let call = |agent_id| CallParties { agent_id, offered: std::slice::from_ref(&mine), teams: &teams };
        assert!(may(&rules(), &me, Action::Control, Resource::Call(call(Some(&mine)))), "{role}");
        assert!(!may(&rules(), &me, Action::Control, Resource::Call(call(Some(&other)))), "{role}");
        assert!(!may(&rules(), &me, Action::Control, Resource::Call(call(None))), "{role}");
    }
}

#[test]
fn leads_give_customers_away_within_their_team_managers_any_and_nobody_else_any() {
    #[track_caller]
    fn check(who: &str, teams: &[Option<&str>], want: bool) {
        let me = Actor::Agent(find(who));
        let teams: Vec<_> = teams.iter().map(|team| team.map(|team| TeamId::parse(team).unwrap())).collect();
        assert_eq!(may(&rules(), &me, Action::Assign, Resource::Ownership { teams: &teams }), want, "{who} {teams:?}");
    }
    let (own, other, none) = (Some("team_1"), Some("team_2"), None);
    for teams in [&[][..], &[own], &[other], &[none], &[own, other, none]] {
        check("agt_owner", teams, true);
        for who in ["agt_admin", "agt_mate", "agt_free", "agt_lone_lead"] {
            // Whoever is in no team has nobody to give a customer to.
            check(who, teams, false);
        }
    }
    check("agt_lead", &[], true);
    check("agt_lead", &[own, own], true);
    for teams in [&[other][..], &[none], &[own, other], &[own, none]] {
        check("agt_lead", teams, false);
    }
}

#[test]
fn whoever_sees_a_call_writes_on_it_and_only_authors_and_managers_remove_notes() {
    let (mine, other) = (id("agt_mate"), id("agt_other"));
    for role in Role::ALL {
        let me = Actor::Agent(Agent { role: *role, ..find("agt_mate") });
        for (agent_id, offered) in [(Some(&mine), &[][..]), (Some(&other), &[]), (None, std::slice::from_ref(&mine))] {
            let teams = teams_of(&agent_id.into_iter().chain(offered).collect::<Vec<_>>());
            let call = Resource::Call(CallParties { agent_id, offered, teams: &teams });
            let sees = may(&rules(), &me, Action::Read, call);
            assert_eq!(may(&rules(), &me, Action::Annotate, call), sees, "{role} {agent_id:?} {offered:?}");
        }
        assert!(may(&rules(), &me, Action::Annotate, Resource::Contact), "{role}");
        for (author, want) in [(Some(&mine), true), (Some(&other), *role == Role::Owner), (None, *role == Role::Owner)]
        {
            assert_eq!(may(&rules(), &me, Action::Change, Resource::Note { author }), want, "{role} {author:?}");
        }
    }
}

#[test]
fn every_agent_lists_calls_and_sees_colleagues_customers_and_numbers() {
    let other = id("agt_other");
    for role in Role::ALL {
        let me = Actor::Agent(Agent { role: *role, ..find("agt_mate") });
        for resource in [
            Resource::Calls,
            Resource::Agent(&other),
            Resource::Team,
            Resource::Contact,
            Resource::Permission,
            Resource::Number,
        ] {
            assert!(may(&rules(), &me, Action::Read, resource), "{role} {resource:?}");
        }
    }
}

#[test]
fn an_agent_may_never_administer() {
    let mine = id("agt_owner");
    let owner = Actor::Agent(find("agt_owner"));
    for resource in [
        Resource::Calls,
        Resource::Contact,
        Resource::Permission,
        Resource::PolicyPack,
        Resource::Events,
        Resource::Admin,
    ] {
        for action in [Action::Change, Action::MintToken, Action::Invite, Action::Control] {
            assert!(!may(&rules(), &owner, action, resource), "{action:?} {resource:?}");
        }
    }
    for resource in [Resource::PolicyPack, Resource::Events, Resource::Admin] {
        assert!(!may(&rules(), &owner, Action::Read, resource), "{resource:?}");
    }
    assert!(!may(&rules(), &owner, Action::MintToken, Resource::Agent(&mine)));
}

#[test]
fn who_manages_connects_numbers_and_the_assignee_names_the_customer() {
    let mine = id("agt_mate");
    let other = id("agt_other");
    for role in Role::ALL {
        let me = Actor::Agent(Agent { role: *role, ..find("agt_mate") });
        assert_eq!(may(&rules(), &me, Action::Change, Resource::Number), *role == Role::Owner, "{role}");
        for (assignee, want) in [(Some(&mine), true), (Some(&other), false), (None, false)] {
            assert_eq!(may(&rules(), &me, Action::Rename, Resource::Chat { assignee }), want, "{role} {assignee:?}");
        }
    }
}

#[test]
fn whoever_manages_changes_and_invites_agents_and_nobody_else_does() {
    let (mine, other) = (id("agt_mate"), id("agt_other"));
    for role in Role::ALL {
        let switches = Switches { configure_calls: true, all_calls: true };
        let me = Actor::Agent(Agent { role: *role, switches, ..find("agt_mate") });
        let manages = *role == Role::Owner;
        for agent in [&mine, &other] {
            for action in [Action::Change, Action::Invite] {
                assert_eq!(may(&rules(), &me, action, Resource::Agent(agent)), manages, "{role} {action:?} {agent}");
            }
        }
        assert_eq!(may(&rules(), &me, Action::Change, Resource::Team), manages, "{role}");
        assert_eq!(may(&rules(), &me, Action::Assign, Resource::Ownership { teams: &[None] }), manages, "{role}");
    }
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
            assert_eq!(may(&rules(), &me, Action::Read, Resource::Settings), want, "{role} {configure_calls}");
            assert_eq!(may(&rules(), &me, Action::Change, Resource::Settings), want, "{role} {configure_calls}");
        }
    }
}

#[test]
fn a_key_may_what_its_one_scope_says_and_nothing_else() {
    let somebody = id("agt_mate");
    let call = CallParties { agent_id: Some(&somebody), offered: &[], teams: &[] };
    let resources = [
        ("calls", Resource::Calls),
        ("call", Resource::Call(call)),
        ("recording", Resource::Recording(call)),
        ("agent", Resource::Agent(&somebody)),
        ("team", Resource::Team),
        ("contact", Resource::Contact),
        ("chat", Resource::Chat { assignee: Some(&somebody) }),
        ("permission", Resource::Permission),
        ("note", Resource::Note { author: Some(&somebody) }),
        ("number", Resource::Number),
        ("settings", Resource::Settings),
        ("wallet", Resource::Wallet),
        ("pack", Resource::PolicyPack),
        ("events", Resource::Events),
        ("admin", Resource::Admin),
    ];
    let check = |scopes: &[Scope], want: &[&str]| {
        let key = Actor::Key { name: "crm".to_owned(), scopes: scopes.to_vec() };
        let mut got = Vec::new();
        for action in ACTIONS {
            for (name, resource) in resources {
                if may(&rules(), &key, action, resource) {
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
            "Read wallet",
        ],
    );
    check(
        &[Scope::CallsWrite],
        &[
            "Read agent",
            "Read team",
            "Read contact",
            "Read number",
            "Change contact",
            "Change note",
            "Annotate call",
            "Annotate contact",
            "Control call",
            "Answer agent",
            "Dial agent",
            "SetPresence agent",
            "TakeOffline agent",
            "KeepViews agent",
        ],
    );
    check(&[Scope::RecordingsRead], &["Read recording"]);
    check(&[Scope::PermissionsWrite], &["Read permission", "Change permission", "Request chat"]);
    check(
        &[Scope::SettingsWrite],
        &[
            "Read agent",
            "Read team",
            "Read contact",
            "Read number",
            "Read settings",
            "Read wallet",
            "Read pack",
            "Change agent",
            "Change team",
            "Change contact",
            "Change number",
            "Change settings",
            "Change wallet",
        ],
    );
    check(&[Scope::EventsRead], &["Read events", "Listen agent"]);
    check(
        &[Scope::Admin],
        &["Read pack", "Read admin", "Change pack", "Change admin", "MintToken agent", "Invite agent"],
    );
}

#[test]
fn a_key_without_calls_read_lists_no_calls() {
    let key = |scopes: &[Scope]| Actor::Key { name: "crm".to_owned(), scopes: scopes.to_vec() };
    assert_eq!(visible_agents(&rules(), &key(&[Scope::CallsRead]), &directory()), None);
    assert_eq!(visible_agents(&rules(), &key(&[Scope::CallsWrite, Scope::Admin]), &directory()), Some(vec![]));
}

#[test]
fn the_wallet_is_the_owners_to_see_and_to_fill() {
    for role in Role::ALL {
        let switches = Switches { configure_calls: true, all_calls: true };
        let me = Actor::Agent(Agent { role: *role, switches, ..find("agt_mate") });
        for action in [Action::Read, Action::Change] {
            assert_eq!(may(&rules(), &me, action, Resource::Wallet), *role == Role::Owner, "{role} {action:?}");
        }
    }
}

#[test]
fn an_agent_asks_only_its_own_customers_for_permission() {
    let (mine, other) = (id("agt_mate"), id("agt_other"));
    for role in Role::ALL {
        let switches = Switches { configure_calls: true, all_calls: true };
        let me = Actor::Agent(Agent { role: *role, switches, ..find("agt_mate") });
        for (assignee, want) in [(Some(&mine), true), (Some(&other), false), (None, false)] {
            assert_eq!(may(&rules(), &me, Action::Request, Resource::Chat { assignee }), want, "{role} {assignee:?}");
        }
    }
}

#[test]
fn roles_and_switches_are_what_the_pack_says() {
    let grants = |calls, configure_calls, wallet| Grants {
        calls,
        configure_calls,
        wallet,
        manage: false,
        assign: Assigning::None,
    };
    let mut rules = rules();
    rules.roles.insert(Role::Teammate, grants(Sight::Team, false, true));
    let me = Actor::Agent(find("agt_mate"));
    let seen = visible_agents(&rules, &me, &directory()).unwrap();
    assert_eq!(seen, [id("agt_mate"), id("agt_lead"), id("agt_admin")]);
    assert!(may(&rules, &me, Action::Read, Resource::Wallet));

    // A switch adds what the pack says, and takes nothing away even if the pack tries.
    let no = Some(false);
    let narrow = Added { calls: Some(Sight::Own), configure_calls: no, wallet: no, manage: no };
    let wide = Added { calls: Some(Sight::All), wallet: Some(true), ..Added::default() };
    rules.switches = SwitchRules { configure_calls: narrow, all_calls: wide };
    let check = |role, configure_calls, all_calls, want| {
        let agent = Agent { role, switches: Switches { configure_calls, all_calls }, ..find("agt_mate") };
        assert_eq!(super::grants(&rules, &agent), want, "{role} {configure_calls} {all_calls}");
    };
    check(Role::Owner, true, false, Grants { manage: true, ..grants(Sight::All, true, true) });
    check(Role::SalesLead, true, false, Grants { assign: Assigning::Team, ..grants(Sight::Team, false, false) });
    check(Role::SalesLead, false, true, Grants { assign: Assigning::Team, ..grants(Sight::All, false, true) });
    check(Role::Teammate, true, true, grants(Sight::All, false, true));

    // A pack that forgot a role would grant it next to nothing.
    rules.roles.remove(&Role::Owner);
    let owner = Agent { role: Role::Owner, ..find("agt_mate") };
    assert_eq!(super::grants(&rules, &owner), grants(Sight::Own, false, false));
}

#[test]
fn the_matrix_for_people_says_what_the_rules_say() {
    let printed = matrix(&rules());
    for line in [
        "| | owner | sales_lead | admin | teammate |",
        "| See calls, their recordings and exports | everybody's | own team's | own | own |",
        "| Configure calls | yes | – | – | – |",
        "| See the wallet | yes | – | – | – |",
        "| Change agents and teams, invite agents | yes | – | – | – |",
        "| Change numbers | yes | – | – | – |",
        "| Ask for permission to call | own | own | own | own |",
        "| Say whose customers are | everybody's | own team's | – | – |",
        "| Name customers | own | own | own | own |",
        "### With both switches",
        "| See calls, their recordings and exports | everybody's | everybody's | everybody's | everybody's |",
        "| Configure calls | yes | yes | yes | yes |",
        "| Hear recordings | – | – | yes | – | – | – | – |",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    let mut rules = rules();
    let granted =
        Grants { calls: Sight::Team, configure_calls: true, wallet: true, manage: true, assign: Assigning::None };
    rules.roles.insert(Role::Admin, granted);
    let printed = matrix(&rules);
    assert!(printed.contains("| See the wallet | yes | – | yes | – |"), "{printed}");
}
