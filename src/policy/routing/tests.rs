//! Tables and worked examples; what must hold for any facts is in [`random`].

mod random;

use std::sync::LazyLock;

use super::super::pack::{Pack, Rules};
use super::*;
use crate::model::directory::{AddOn, Plan, Platform, Switches};
use crate::model::id::{ContactId, NumberId};
use crate::model::phone::Phone;
use crate::model::reason::Role;

pub(in crate::policy) fn agent(id: &str) -> Agent {
    Agent {
        id: AgentId::parse(id).unwrap(),
        name: id.to_owned(),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Online,
    }
}

pub(in crate::policy) fn number() -> Number {
    Number {
        id: NumberId::parse("100000000000001").unwrap(),
        display_phone_number: Phone::parse("+995322000111").unwrap(),
        plan: Plan::Advanced,
        add_ons: vec![],
        messaging_limit: 2000,
        platform: Platform::CloudApi,
        graph_token_set: true,
        record: None,
        keep_recordings_days: None,
    }
}

pub(in crate::policy) fn contact() -> Contact {
    Contact {
        id: ContactId::parse("con_nino").unwrap(),
        phone: Some(Phone::parse("+995555010203").unwrap()),
        user_id: None,
        name: Some("Nino".to_owned()),
        username: None,
        assignee_id: None,
        owner_id: None,
        created_at: Timestamp::from_secs(1_794_000_000),
    }
}

/// By the rules that are built in.
fn route(facts: &RoutingFacts) -> Routing {
    static RULES: LazyLock<Rules> =
        LazyLock::new(|| Pack::built_in().rules(Timestamp::from_secs(1_795_000_000)).clone());
    super::route(facts, &RULES)
}

fn free(id: &str) -> AgentFacts {
    AgentFacts { agent: agent(id), active_calls: 0, wrapping_up: false, passed_over: None, idle_since: None }
}

fn offline(id: &str) -> AgentFacts {
    let mut facts = free(id);
    facts.agent.status = Presence::Offline;
    facts
}

fn excluded(mut facts: AgentFacts) -> AgentFacts {
    facts.agent.excluded = true;
    facts
}

fn facts(assignee: Option<&str>, owner: Option<&str>, agents: Vec<AgentFacts>) -> RoutingFacts {
    let mut contact = contact();
    contact.assignee_id = assignee.map(|id| AgentId::parse(id).unwrap());
    contact.owner_id = owner.map(|id| AgentId::parse(id).unwrap());
    RoutingFacts { now: Timestamp::from_secs(1_795_000_000), number: number(), contact, agents, tried: vec![] }
}

fn queue(facts: &RoutingFacts) -> Vec<String> {
    route(facts).candidates.into_iter().map(|c| c.agent_id.to_string()).collect()
}

/// A is the assignee, B the owner, C and D are the rest of the team.
fn worked_example(plan: Plan, agents: [AgentFacts; 4]) -> RoutingFacts {
    let mut facts = facts(Some("agt_a"), Some("agt_b"), agents.into());
    facts.number.plan = plan;
    facts
}

#[test]
fn f74_advanced_a_online_rings_and_a_offline_leaves_it_to_round_robin() {
    let team = |a| worked_example(Plan::Advanced, [a, excluded(free("agt_b")), free("agt_c"), free("agt_d")]);
    assert_eq!(queue(&team(free("agt_a"))), ["agt_a", "agt_c", "agt_d"]);
    assert_eq!(queue(&team(offline("agt_a"))), ["agt_c", "agt_d"]);
    // The owner counts for nothing here: not excluded, he is one of the pool and no more.
    let all = worked_example(Plan::Advanced, [offline("agt_a"), free("agt_d"), free("agt_b"), free("agt_c")]);
    assert_eq!(queue(&all), ["agt_b", "agt_c", "agt_d"]);
    let mut later = all.clone();
    later.agents[2].idle_since = Some(Timestamp::from_secs(1));
    assert_eq!(queue(&later), ["agt_c", "agt_d", "agt_b"]);
}

#[test]
fn f75_sales_crm_a_offline_and_b_online_rings_b_alone_and_never_c_or_d_before() {
    let busy = |id: &str, since| AgentFacts { idle_since: Some(Timestamp::from_secs(since)), ..free(id) };
    // C and D have been idle for longer than B, and still B comes first, even excluded.
    for b in [busy("agt_b", 500), excluded(busy("agt_b", 500))] {
        let example = worked_example(Plan::SalesCrm, [offline("agt_a"), b, free("agt_c"), busy("agt_d", 1)]);
        let routing = route(&example);
        let chosen: Vec<_> = routing.trace.iter().filter(|s| s.verdict == Verdict::Chosen).collect();
        assert_eq!(chosen.len(), 1, "one agent rings at a time");
        assert_eq!((chosen[0].step, chosen[0].agent_id.as_ref().unwrap().as_str()), (Step::ContactOwner, "agt_b"));
        assert_eq!(queue(&example), ["agt_b", "agt_c", "agt_d"]);
    }
}

#[test]
fn f76_sales_crm_b_offline_too_leaves_it_to_round_robin() {
    let example = worked_example(Plan::SalesCrm, [offline("agt_a"), offline("agt_b"), free("agt_c"), free("agt_d")]);
    assert_eq!(queue(&example), ["agt_c", "agt_d"]);
}

#[test]
fn excluded_offline_and_busy_mean_what_the_guide_says_in_every_step() {
    #[track_caller]
    fn check(who: &AgentFacts, as_assignee: bool, as_owner: bool, in_round_robin: bool) {
        let other = || offline("agt_z");
        let mut crm = facts(None, Some("agt_a"), vec![who.clone(), other()]);
        crm.number.plan = Plan::SalesCrm;
        assert_eq!(!queue(&facts(Some("agt_a"), None, vec![who.clone(), other()])).is_empty(), as_assignee, "assignee");
        assert_eq!(!queue(&crm).is_empty(), as_owner, "owner");
        assert_eq!(!queue(&facts(None, None, vec![who.clone(), other()])).is_empty(), in_round_robin, "round robin");
    }
    let busy = AgentFacts { active_calls: 1, ..free("agt_a") };
    check(&free("agt_a"), true, true, true);
    // F82, F83: exclusion is from round robin alone.
    check(&excluded(free("agt_a")), true, true, false);
    // F84, F85: offline is offline, excluded or not.
    check(&offline("agt_a"), false, false, false);
    check(&excluded(offline("agt_a")), false, false, false);
    check(&busy, false, false, false);
    check(&excluded(busy.clone()), false, false, false);
    // F80: writing up the last call counts as busy.
    check(&AgentFacts { wrapping_up: true, ..free("agt_a") }, false, false, false);
    // N6: a console that showed no call, or is not ready, costs no caller a second.
    for bypass in Bypass::ALL {
        check(&AgentFacts { passed_over: Some(*bypass), ..free("agt_a") }, false, false, false);
    }
}

#[test]
fn an_excluded_assignee_who_is_offline_is_passed_over_for_the_next_step() {
    let mut f = facts(Some("agt_a"), Some("agt_b"), vec![excluded(offline("agt_a")), free("agt_b"), free("agt_c")]);
    assert_eq!(queue(&f), ["agt_b", "agt_c"]);
    f.number.plan = Plan::SalesCrm;
    f.agents[1].idle_since = Some(Timestamp::from_secs(9));
    assert_eq!(queue(&f), ["agt_b", "agt_c"]);
}

#[test]
fn the_pack_says_which_plans_and_add_ons_ask_the_owner() {
    use super::super::pack::BUILT_IN;
    let altered = |old: &str, new: &str| {
        assert_eq!(BUILT_IN.matches(old).count(), 1, "{old}");
        Pack::parse("p.toml", &BUILT_IN.replace(old, new)).unwrap()
    };
    let first = |pack: &Pack, f: &RoutingFacts| {
        let rung = super::route(f, pack.rules(f.now)).candidates.into_iter().next();
        rung.unwrap().agent_id.to_string()
    };
    let of = |plan, add_ons: &[AddOn]| {
        let mut f = facts(None, Some("agt_z"), vec![free("agt_a"), free("agt_z")]);
        f.number = Number { plan, add_ons: add_ons.to_vec(), ..number() };
        f
    };
    let (advanced, crm) = (of(Plan::Advanced, &[]), of(Plan::SalesCrm, &[]));
    let add_on = of(Plan::Starter, &[AddOn::SalesCrm]);
    let others = altered("owner_plans = [\"sales_crm\"]", "owner_plans = [\"advanced\"]");
    assert_eq!([&advanced, &crm, &add_on].map(|f| first(&others, f)), ["agt_z", "agt_a", "agt_z"]);
    let no_add_ons = altered("owner_add_ons = [\"sales_crm\"]", "owner_add_ons = []");
    assert_eq!([&advanced, &crm, &add_on].map(|f| first(&no_add_ons, f)), ["agt_a", "agt_z", "agt_a"]);
}

#[test]
fn sales_crm_counts_as_a_plan_and_as_an_add_on() {
    let mut f = facts(None, Some("agt_z"), vec![free("agt_a"), free("agt_z")]);
    assert_eq!(queue(&f), ["agt_a", "agt_z"]);
    f.number.add_ons = vec![AddOn::SalesCrm];
    assert_eq!(queue(&f), ["agt_z", "agt_a"]);
    f.number = Number { plan: Plan::SalesCrm, ..number() };
    assert_eq!(queue(&f), ["agt_z", "agt_a"]);
}

#[test]
fn round_robin_needs_all_three_online_not_excluded_not_on_a_call() {
    for bits in 0..8_u8 {
        let (online, included, idle) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let mut one = free("agt_a");
        one.agent.status = if online { Presence::Online } else { Presence::Offline };
        one.agent.excluded = !included;
        one.active_calls = u32::from(!idle);
        let rings = !queue(&facts(None, None, vec![one.clone()])).is_empty();
        assert_eq!(rings, online && included && idle, "round robin {bits:03b}");
        let rings_as_assignee = !queue(&facts(Some("agt_a"), None, vec![one])).is_empty();
        assert_eq!(rings_as_assignee, online && idle, "assignee {bits:03b}");
    }
}

#[test]
fn round_robin_takes_the_longest_idle_and_then_the_lower_id() {
    let since = |id: &str, s: i64| AgentFacts { idle_since: Some(Timestamp::from_secs(s)), ..free(id) };
    let f = facts(
        None,
        None,
        vec![since("agt_a", 300), since("agt_b", 100), free("agt_d"), free("agt_c"), since("agt_e", 100)],
    );
    assert_eq!(queue(&f), ["agt_c", "agt_d", "agt_b", "agt_e", "agt_a"]);
    let mut shuffled = f.clone();
    shuffled.agents.reverse();
    assert_eq!(queue(&shuffled), queue(&f), "the order of the facts must not matter");
}

#[test]
fn agents_who_were_offered_the_call_are_not_offered_it_again() {
    let mut f = facts(Some("agt_a"), None, vec![free("agt_a"), free("agt_b")]);
    f.tried = vec![AgentId::parse("agt_a").unwrap()];
    assert_eq!(queue(&f), ["agt_b"]);
    f.tried.push(AgentId::parse("agt_b").unwrap());
    assert_eq!(route(&f).candidates, []);
}

#[test]
fn the_trace_names_everybody_who_was_looked_at_and_why() {
    let mut f = facts(
        Some("agt_a"),
        Some("agt_gone"),
        vec![
            offline("agt_a"),
            excluded(free("agt_b")),
            free("agt_c"),
            free("agt_d"),
            AgentFacts { active_calls: 1, ..free("agt_e") },
            AgentFacts { wrapping_up: true, ..free("agt_f") },
            AgentFacts { passed_over: Some(Bypass::NotShown), ..free("agt_g") },
            AgentFacts { passed_over: Some(Bypass::NotReady), ..free("agt_h") },
        ],
    );
    f.number.plan = Plan::SalesCrm;
    let trace: Vec<_> = route(&f)
        .trace
        .into_iter()
        .map(|t| {
            format!(
                "{} {} {}: {}",
                t.step,
                t.agent_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                t.verdict,
                t.reason
            )
        })
        .collect();
    assert_eq!(
        trace,
        [
            "chat_assignee agt_a skipped: is offline",
            "contact_owner agt_gone skipped: no such agent",
            "round_robin agt_a skipped: is offline",
            "round_robin agt_b skipped: is excluded from round robin",
            "round_robin agt_c chosen: next in round robin: online, free, fewest calls and longest idle",
            "round_robin agt_d next: next in round robin: online, free, fewest calls and longest idle",
            "round_robin agt_f skipped: is writing up the last call",
            "round_robin agt_g skipped: has a console that did not show the last call and is silent since",
            "round_robin agt_h skipped: has a console that is not ready for calls",
            "round_robin agt_e skipped: is on another call",
        ]
    );
    let nobody = route(&facts(None, None, vec![]));
    assert_eq!(
        nobody.trace.iter().map(|t| t.reason.as_str()).collect::<Vec<_>>(),
        ["the chat is assigned to nobody", "there are no agents"]
    );
}

#[test]
fn a_trace_of_thousands_names_the_few_that_matter_and_counts_the_rest() {
    let mut agents: Vec<AgentFacts> = (0..9_000).map(|n| offline(&format!("agt_off_{n:04}"))).collect();
    agents.extend((0..30).map(|n| free(&format!("agt_on_{n:02}"))));
    agents.extend((0..15).map(|n| excluded(free(&format!("agt_out_{n:02}")))));
    agents.extend((0..3).map(|n| AgentFacts { active_calls: 1 + n, ..free(&format!("agt_busy_{n}")) }));
    let mut f = facts(Some("agt_off_8999"), None, agents);
    f.tried = vec![AgentId::parse("agt_on_29").unwrap()];
    let routing = route(&f);
    assert_eq!(routing.candidates.len(), QUEUE_MAX);
    assert_eq!(routing.candidates[0].agent_id.as_str(), "agt_on_00");
    assert!(routing.trace.len() <= 2 + QUEUE_MAX + SKIPPED_MAX + 5, "{}", routing.trace.len());
    assert_eq!(routing.trace[0].agent_id.as_ref().unwrap().as_str(), "agt_off_8999", "the assignee is always named");
    let named = |verdict| routing.trace.iter().filter(move |s| s.verdict == verdict && s.agent_id.is_some());
    assert_eq!((named(Verdict::Chosen).count(), named(Verdict::Next).count()), (1, QUEUE_MAX - 1));
    // Those who came closest are named: the one already rung, the excluded, the busy; one place is left for the offline.
    let skipped: Vec<&str> = named(Verdict::Skipped).skip(1).map(|s| s.agent_id.as_ref().unwrap().as_str()).collect();
    assert_eq!(skipped.len(), SKIPPED_MAX);
    assert_eq!(skipped.iter().filter(|id| id.starts_with("agt_out")).count(), 15);
    assert_eq!(skipped.iter().filter(|id| id.starts_with("agt_busy")).count(), 3);
    assert!(skipped.contains(&"agt_on_29") && skipped.contains(&"agt_off_0000"), "{skipped:?}");
    let counted: Vec<_> = routing.trace.iter().filter_map(|s| Some((s.verdict, s.reason.as_str(), s.count?))).collect();
    let want = [(Verdict::Next, "next in round robin: 19", 19), (Verdict::Skipped, "offline: 8999", 8_999)];
    assert_eq!(counted, want);
}

#[test]
fn the_trace_of_a_call_that_rings_at_a_hundred_agents_stays_short_and_still_replays() {
    let mut f = facts(None, None, (0..130).map(|n| free(&format!("agt_{n:03}"))).collect());
    let mut trace: Vec<TraceStep> = Vec::new();
    for _ in 0..100 {
        let routing = route(&f);
        trace.extend(worth_keeping(trace.len(), &routing.trace).cloned().collect::<Vec<_>>());
        f.tried.push(routing.candidates[0].agent_id.clone());
    }
    assert!(trace.len() <= TRACE_STEPS_MAX + 100 * 3, "{}", trace.len());
    let chosen: Vec<_> = f.tried.into_iter().map(Some).collect();
    assert_eq!(replay(&trace).unwrap(), chosen);
}

#[test]
fn a_damaged_trace_is_not_replayed() {
    let two = facts(Some("agt_a"), None, vec![free("agt_a"), free("agt_b")]);
    let trace = route(&two).trace;
    assert_eq!(replay(&trace).unwrap(), [Some(AgentId::parse("agt_a").unwrap())]);
    assert_eq!(replay(&[]).unwrap(), []);

    // The order of the lines is not what decides.
    let backwards: Vec<TraceStep> = trace.iter().rev().cloned().collect();
    assert_eq!(replay(&backwards), replay(&trace));

    let mut second_only = trace.clone();
    second_only.iter_mut().for_each(|step| step.attempt = 2);
    let text = replay(&second_only).unwrap_err().to_string();
    assert_eq!(text, "line 1: attempt 2 follows attempt 0");

    let mut silent = trace.clone();
    silent[0].online = None;
    let text = replay(&silent).unwrap_err().to_string();
    assert_eq!(text, "line 1: agt_a was chosen without a word on why it could be");

    // Whoever alters what was known or what was chosen is found out.
    let mut altered = trace.clone();
    // The assignee is named twice: in its own step and in round robin.
    (altered[0].online, altered[1].online) = (Some(false), Some(false));
    assert_ne!(replay(&altered).unwrap(), choices(&altered));
    let mut altered = trace;
    altered[0].verdict = Verdict::Next;
    altered[2].verdict = Verdict::Chosen;
    assert_ne!(replay(&altered).unwrap(), choices(&altered));
}
