//! What must hold whatever the facts are: the queue is the one a plain sort would give, the trace replays, and nobody gets
//! more than one call more than anybody else.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

fn some_agent() -> impl Strategy<Value = (bool, bool, u32, Option<i64>)> {
    // Few values each, so that ties and every mix of reasons are common.
    (prop::bool::weighted(0.6), prop::bool::weighted(0.2), 0..4_u32, prop::option::of(0..4_i64))
}

fn some_facts(agents_max: usize) -> impl Strategy<Value = RoutingFacts> {
    let name = move || prop::option::of(0..agents_max + 2);
    (prop::collection::vec(some_agent(), 0..agents_max), name(), name(), any::<bool>()).prop_map(
        |(agents, assignee, owner, crm)| {
            let agents = agents.into_iter().enumerate().map(|(n, (online, excluded, active, idle))| {
                let mut agent = free(&format!("agt_{n}"));
                agent.agent.status = if online { Presence::Online } else { Presence::Offline };
                agent.agent.excluded = excluded;
                agent.active_calls = active.saturating_sub(2);
                agent.idle_since = idle.map(Timestamp::from_secs);
                agent
            });
            let mut facts = facts(None, None, agents.collect());
            let id = |n: usize| AgentId::parse(&format!("agt_{n}")).unwrap();
            facts.contact.assignee_id = assignee.map(id);
            facts.contact.owner_id = owner.map(id);
            facts.number.plan = if crm { Plan::SalesCrm } else { Plan::Advanced };
            facts
        },
    )
}

/// The same rules, told as plainly as can be.
fn plain_queue(facts: &RoutingFacts) -> Vec<AgentId> {
    let rings = |a: &&AgentFacts| {
        a.agent.status == Presence::Online && a.active_calls == 0 && !facts.tried.contains(&a.agent.id)
    };
    let named = [&facts.contact.assignee_id, &facts.contact.owner_id];
    let asked = if facts.number.plan == Plan::SalesCrm { 2 } else { 1 };
    let mut queue: Vec<AgentId> = Vec::new();
    for id in named.into_iter().take(asked).flatten() {
        if facts.agents.iter().filter(rings).any(|a| a.agent.id == *id) && !queue.contains(id) {
            queue.push(id.clone());
        }
    }
    let mut pool: Vec<&AgentFacts> = facts.agents.iter().filter(rings).filter(|a| !a.agent.excluded).collect();
    pool.retain(|a| !queue.contains(&a.agent.id));
    pool.sort_by_key(|a| (a.idle_since, &a.agent.id));
    queue.extend(pool.into_iter().take(QUEUE_MAX).map(|a| a.agent.id.clone()));
    queue
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, rng_seed: RngSeed::Fixed(2_026), ..ProptestConfig::default() })]

    #[test]
    fn the_queue_is_the_one_a_plain_sort_gives(facts in some_facts(80)) {
        let queue: Vec<AgentId> = route(&facts).candidates.into_iter().map(|c| c.agent_id).collect();
        prop_assert_eq!(queue, plain_queue(&facts));
    }

    #[test]
    fn every_trace_replays_to_the_choices_that_were_made(
        facts in some_facts(80),
        changes in prop::collection::vec(some_agent(), 8),
    ) {
        let (mut facts, mut trace, mut chosen) = (facts, Vec::new(), Vec::new());
        for (attempt, (online, excluded, active, idle)) in changes.into_iter().enumerate() {
            let routing = route(&facts);
            prop_assert!(routing.trace.len() <= 2 + QUEUE_MAX + SKIPPED_MAX + 5);
            prop_assert!(routing.trace.iter().all(|step| step.attempt == attempt as u32 + 1));
            trace.extend(routing.trace);
            let first = routing.candidates.into_iter().next().map(|c| c.agent_id);
            chosen.push(first.clone());
            let Some(first) = first else { break };
            facts.tried.push(first);
            // Between two offers the world goes on.
            let somebody = (attempt * 7) % facts.agents.len();
            let agent = &mut facts.agents[somebody];
            agent.agent.status = if online { Presence::Online } else { Presence::Offline };
            agent.agent.excluded = excluded;
            agent.active_calls = active.saturating_sub(2);
            agent.idle_since = idle.map(Timestamp::from_secs);
        }
        // As it lies in the database.
        let text = serde_json::to_string(&trace).unwrap();
        let kept: Vec<TraceStep> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&kept, &trace);
        prop_assert_eq!(choices(&kept), chosen.clone());
        prop_assert_eq!(replay(&kept).unwrap(), chosen);
    }

    #[test]
    fn calls_of_equal_length_are_spread_within_one_while_agents_come_and_go(
        start in prop::collection::vec(prop::option::of(0..2_i64), 1..8),
        events in prop::collection::vec((0..12_u8, 0..8_usize), 1..300),
    ) {
        let mut team = Team::of(start);
        for (event, who) in events {
            match event {
                0 => team.come_or_go(who),
                1 => team.join(),
                _ => team.call(3),
            }
            let (least, most) = (team.taken.values().min(), team.taken.values().max());
            if let (Some(least), Some(most)) = (least, most) {
                prop_assert!(most - least <= 1, "{:?}", team.taken);
            }
        }
    }
}

/// Agents, calls of equal length that overlap, and a clock.
struct Team {
    agents: Vec<AgentFacts>,
    /// Who talks, first to end first.
    talking: VecDeque<AgentId>,
    now_ms: i64,
    /// Calls since the team last changed, of everybody who is there.
    taken: BTreeMap<AgentId, u32>,
}

impl Team {
    fn of(idle: Vec<Option<i64>>) -> Self {
        let agent = |(n, idle): (usize, Option<i64>)| AgentFacts {
            idle_since: idle.map(Timestamp::from_secs),
            ..free(&format!("agt_{n}"))
        };
        let agents = idle.into_iter().enumerate().map(agent).collect();
        let mut team = Self { agents, talking: VecDeque::new(), now_ms: 1_000_000, taken: BTreeMap::new() };
        team.count_anew();
        team
    }

    fn count_anew(&mut self) {
        let here = self.agents.iter().filter(|a| a.agent.status == Presence::Online);
        self.taken = here.map(|a| (a.agent.id.clone(), 0)).collect();
    }

    fn join(&mut self) {
        if self.agents.len() < 12 {
            self.agents.push(free(&format!("agt_{}", self.agents.len())));
            self.count_anew();
        }
    }

    fn come_or_go(&mut self, who: usize) {
        let who = who % self.agents.len();
        let agent = &mut self.agents[who];
        if agent.active_calls == 0 {
            let there = agent.agent.status == Presence::Online;
            agent.agent.status = if there { Presence::Offline } else { Presence::Online };
            self.count_anew();
        }
    }

    /// A call comes in; when `lines` talk already, the oldest ends first.
    fn call(&mut self, lines: usize) {
        if self.talking.len() == lines {
            let ended = self.talking.pop_front().unwrap();
            self.now_ms += 1;
            let now = Timestamp::from_millis(self.now_ms);
            let agent = self.agents.iter_mut().find(|a| a.agent.id == ended).unwrap();
            (agent.active_calls, agent.idle_since) = (0, Some(now));
        }
        let Some(chosen) = route(&facts(None, None, self.agents.clone())).candidates.into_iter().next() else { return };
        self.agents.iter_mut().find(|a| a.agent.id == chosen.agent_id).unwrap().active_calls = 1;
        *self.taken.get_mut(&chosen.agent_id).unwrap() += 1;
        self.talking.push_back(chosen.agent_id);
    }
}
