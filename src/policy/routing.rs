//! Whom does this caller ring, in which order, and why?
//!
//! Chat assignee, then (Sales CRM only) contact owner, then round robin; the order is fixed. Whoever is rung must be
//! online and on no other call; round robin passes over excluded agents too, while an excluded assignee or owner still
//! rings. One agent rings at a time, so the candidates are a queue; the caller asks again before each offer, because
//! presence may have changed since.

use crate::model::directory::{AddOn, Agent, Contact, Number, Plan};
use crate::model::id::AgentId;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;

/// What routing knows of one agent at this moment.
#[derive(Clone, Debug)]
pub struct AgentFacts {
    pub agent: Agent,
    /// Calls the agent is ringing, dialling or talking on.
    pub active_calls: u32,
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

/// One line of the trace: which step looked at whom and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct TraceStep {
    /// `chat_assignee`, `contact_owner` or `round_robin`.
    pub step: String,
    pub agent_id: Option<AgentId>,
    /// `chosen`, `next`, `skipped`.
    pub verdict: String,
    pub reason: String,
}

/// The queue of candidates, first to ring first; empty when nobody is eligible. The trace names every agent looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    pub candidates: Vec<Candidate>,
    pub trace: Vec<TraceStep>,
}

/// Builds the queue for one caller.
pub fn route(facts: &RoutingFacts) -> Routing {
    let mut routing = Routing { candidates: Vec::new(), trace: Vec::new() };
    routing.look_at_named(facts, Step::ChatAssignee, facts.contact.assignee_id.as_ref());
    if has_sales_crm(&facts.number) {
        routing.look_at_named(facts, Step::ContactOwner, facts.contact.owner_id.as_ref());
    } else if let Some(owner) = &facts.contact.owner_id {
        routing.skip(Step::ContactOwner, Some(owner), "the plan has no Sales CRM, so the contact owner is not asked");
    }
    routing.look_at_everybody(facts);
    routing
}

#[derive(Clone, Copy)]
enum Step {
    ChatAssignee,
    ContactOwner,
    RoundRobin,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::ChatAssignee => "chat_assignee",
            Self::ContactOwner => "contact_owner",
            Self::RoundRobin => "round_robin",
        }
    }

    fn why_eligible(self) -> &'static str {
        match self {
            Self::ChatAssignee => "assigned to this chat, online and free",
            Self::ContactOwner => "owns this contact, online and free",
            Self::RoundRobin => "next in round robin: online, free, fewest calls and longest idle",
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
            return self.skip(step, None, nobody);
        };
        match facts.agents.iter().find(|a| a.agent.id == *id) {
            Some(agent) => self.look_at(facts, step, agent),
            None => self.skip(step, Some(id), "no such agent"),
        }
    }

    /// Round robin over the whole pool: fewest active calls, then longest idle (never called first), then id.
    fn look_at_everybody(&mut self, facts: &RoutingFacts) {
        if facts.agents.is_empty() {
            return self.skip(Step::RoundRobin, None, "there are no agents");
        }
        let mut pool: Vec<&AgentFacts> = facts.agents.iter().collect();
        pool.sort_by_key(|a| (a.active_calls, a.idle_since, &a.agent.id));
        for agent in pool {
            self.look_at(facts, Step::RoundRobin, agent);
        }
    }

    fn look_at(&mut self, facts: &RoutingFacts, step: Step, candidate: &AgentFacts) {
        let id = &candidate.agent.id;
        let against = if self.candidates.iter().any(|c| c.agent_id == *id) {
            Some("is in the queue already")
        } else if facts.tried.contains(id) {
            Some("was already offered this call")
        } else if candidate.agent.status != Presence::Online {
            Some("is offline")
        } else if candidate.active_calls > 0 {
            Some("is on another call")
        } else if matches!(step, Step::RoundRobin) && candidate.agent.excluded {
            Some("is excluded from round robin")
        } else {
            None
        };
        if let Some(reason) = against {
            return self.skip(step, Some(id), reason);
        }
        let verdict = if self.candidates.is_empty() { "chosen" } else { "next" };
        self.note(step, Some(id), verdict, step.why_eligible());
        self.candidates.push(Candidate { agent_id: id.clone(), reason: step.why_eligible().to_owned() });
    }

    fn skip(&mut self, step: Step, agent_id: Option<&AgentId>, reason: &str) {
        self.note(step, agent_id, "skipped", reason);
    }

    fn note(&mut self, step: Step, agent_id: Option<&AgentId>, verdict: &str, reason: &str) {
        self.trace.push(TraceStep {
            step: step.as_str().to_owned(),
            agent_id: agent_id.cloned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// Sales CRM comes as a plan or as an add-on to any other.
fn has_sales_crm(number: &Number) -> bool {
    number.plan == Plan::SalesCrm || number.add_ons.contains(&AddOn::SalesCrm)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::directory::{Platform, Switches};
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

    fn free(id: &str) -> AgentFacts {
        AgentFacts { agent: agent(id), active_calls: 0, idle_since: None }
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

    #[test]
    fn the_steps_are_taken_in_their_fixed_order() {
        #[track_caller]
        fn check(crm: bool, agents: Vec<AgentFacts>, want: &[&str]) {
            let mut f = facts(Some("agt_a"), Some("agt_b"), agents);
            if crm {
                f.number.plan = Plan::SalesCrm;
            }
            assert_eq!(queue(&f), want);
        }
        // Advanced plan: the assignee first, and the owner is one of many.
        check(
            false,
            vec![free("agt_a"), free("agt_b"), free("agt_c"), free("agt_d")],
            &["agt_a", "agt_b", "agt_c", "agt_d"],
        );
        check(false, vec![offline("agt_a"), offline("agt_b"), free("agt_c"), free("agt_d")], &["agt_c", "agt_d"]);
        // Sales CRM: the owner comes before the pool, even when excluded from it.
        check(true, vec![offline("agt_a"), excluded(free("agt_b")), free("agt_c")], &["agt_b", "agt_c"]);
        check(true, vec![offline("agt_a"), offline("agt_b"), free("agt_c"), free("agt_d")], &["agt_c", "agt_d"]);
        // Without it the excluded owner never rings.
        check(false, vec![offline("agt_a"), excluded(free("agt_b")), free("agt_c")], &["agt_c"]);
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
    fn round_robin_spreads_calls_evenly() {
        let mut agents: Vec<AgentFacts> = ["agt_a", "agt_b", "agt_c"].into_iter().map(free).collect();
        let mut taken = std::collections::BTreeMap::<AgentId, u32>::new();
        for second in 0..100 {
            let first = route(&facts(None, None, agents.clone())).candidates.remove(0).agent_id;
            let agent = agents.iter_mut().find(|a| a.agent.id == first).unwrap();
            agent.idle_since = Some(Timestamp::from_secs(second));
            *taken.entry(first).or_default() += 1;
        }
        let (least, most) = (taken.values().min().unwrap(), taken.values().max().unwrap());
        assert!(taken.len() == 3 && most - least <= 1, "{taken:?}");
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
                "round_robin agt_e skipped: is on another call",
            ]
        );
        let nobody = route(&facts(None, None, vec![]));
        assert_eq!(
            nobody.trace.iter().map(|t| t.reason.as_str()).collect::<Vec<_>>(),
            ["the chat is assigned to nobody", "there are no agents"]
        );
    }
}
