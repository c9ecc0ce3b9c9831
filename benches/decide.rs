//! What a decision costs: routing, access and admission with 10,000 agents, on one core.
//!
//! `cargo bench --bench decide [agents]`

use std::hint::black_box;
use std::time::Duration;

use tandem::call::record::{CallRecord, Status};
use tandem::model::directory::{Agent, Contact, ContactRef, Number, Plan, Platform, Switches};
use tandem::model::id::{AgentId, CallId, ContactId, NumberId, TeamId};
use tandem::model::money::Currency;
use tandem::model::phone::Phone;
use tandem::model::reason::{CallState, Direction, EndReason, GrantSource, Presence, Role};
use tandem::model::time::{Clock, Timestamp};
use tandem::policy::access::{Action, Actor, CallParties, Resource, may, visible_agents};
use tandem::policy::pack::Pack;
use tandem::policy::permission::{Event, What};
use tandem::policy::routing::{AgentFacts, route};
use tandem::policy::{Routing, RoutingFacts, admit};
use tandem::store::{CustomerIdentity, DialWish, Store, TopUp};

/// What one answer about access may cost: it is asked for every request, event and recording.
const MAY_MAX: Duration = Duration::from_micros(5);

/// How much dearer a decision may be after a hundred times as many calls; the rest is noise.
const HISTORY_MAX: u32 = 2;

const TEAMS: usize = 20;
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn main() {
    // Cargo itself passes `--bench`.
    let given = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let agents = given.map(|arg| arg.parse().expect("a number of agents")).next().unwrap_or(10_000);
    println!("one decision, {agents} agents:");
    routing(agents);
    access(agents);
    admission(agents);
}

/// Whether the nth agent is online.
type Online = fn(usize) -> bool;

/// Who rings: under the lock that also reserves, so this bounds how many calls a second can be offered.
fn routing(agents: usize) {
    let cases: [(&str, Online); 3] =
        [("everybody is free", |_| true), ("one of ten is online", |n| n % 10 == 0), ("nobody is online", |_| false)];
    let pack = Pack::built_in();
    for (what, online) in cases {
        let facts = facts(agents, online);
        let rules = pack.rules(facts.now);
        let routing = route(&facts, rules);
        let took = time(|| route(black_box(&facts), rules));
        let Routing { candidates, trace } = routing;
        println!(
            "  route, {what}: {:.1} µs ({} candidates, {} lines of trace)",
            micros(took),
            candidates.len(),
            trace.len()
        );
    }
}

/// Who may see: asked for every request, and for every event of every stream.
fn access(agents: usize) {
    let pack = Pack::built_in();
    let rules = pack.rules(NOW);
    let directory: Vec<Agent> = (0..agents).map(agent).collect();
    let lead = Actor::Agent(Agent { role: Role::SalesLead, ..agent(0) });
    let owner = Actor::Agent(Agent { role: Role::Owner, ..agent(0) });
    let key = Actor::Key { name: "crm".to_owned(), scopes: vec![tandem::policy::access::Scope::CallsRead] };
    // A call that rang at twenty agents of twenty teams before a stranger took it: the longest way to a no.
    let offered: Vec<AgentId> = (1..=20).map(|n| agent(n).id).collect();
    let teams: Vec<TeamId> = (1..TEAMS).map(team).collect();
    let stranger = agent(agents.max(1) - 1).id;
    let call = CallParties { agent_id: Some(&stranger), offered: &offered, teams: &teams };
    let mut worst = Duration::ZERO;
    for (what, actor, resource) in [
        ("a sales lead opens a call of many teams", &lead, Resource::Call(call)),
        ("an owner hears a recording", &owner, Resource::Recording(call)),
        ("a key lists calls", &key, Resource::Calls),
        ("a sales lead reads call settings", &lead, Resource::Settings),
    ] {
        let took = time(|| may(rules, black_box(actor), Action::Read, black_box(resource)));
        worst = worst.max(took);
        println!("  may, {what}: {:.3} µs", micros(took));
    }
    let took = time(|| visible_agents(rules, black_box(&lead), black_box(&directory)));
    println!("  visible_agents, a sales lead with a team of {}: {:.1} µs", agents / TEAMS, micros(took));
    assert!(worst <= MAY_MAX, "an answer about access took {worst:?}, more than {MAY_MAX:?}");
}

/// Who may call whom: the rules alone, and the whole decision in the database among as many contacts, with a short and a
/// long history of calls behind it, inside every window that is counted.
fn admission(contacts: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    let store = runtime.block_on(Store::open("", dir.path())).expect("a store");
    let to = runtime.block_on(people(&store, contacts));
    let (number, agent, terms) = (number().id, agent(0).id, store.terms());
    let look = || runtime.block_on(store.look_at_dial(&number, &to, &agent, NOW)).expect("a store").expect("all known");
    let facts = look().facts;
    println!("  admit, the rules alone: {:.2} µs", micros(time(|| admit(black_box(&facts), terms.rules(NOW)))));
    let mut took = [100, 10_000].map(|history| {
        runtime.block_on(grow(&store, &to, history));
        let took = time(look);
        println!("  the facts of an outbound call, {history} connected calls in the last day: {:.0} µs", micros(took));
        took
    });
    took.sort_unstable();
    assert!(took[1] < took[0] * HISTORY_MAX, "a decision takes {took:?}: it must not grow with what was before");
}

/// A number, an agent, and customers that are all the agent's; gives back one of them, who permits calls.
async fn people(store: &Store, contacts: usize) -> ContactRef {
    store.put_number(&number(), None).await.expect("a number");
    store.put_agent(&Agent { team_id: None, ..agent(0) }).await.expect("an agent");
    let mut last = None;
    for n in 0..contacts.max(1) {
        let phone = Phone::parse(&format!("9955{n:08}")).ok();
        let who = CustomerIdentity { phone, ..CustomerIdentity::default() };
        last = Some(store.identify(&who, NOW).await.expect("a contact"));
    }
    let contact = Contact { assignee_id: Some(agent(0).id), ..last.expect("at least one") };
    store.put_contact(&contact).await.expect("a contact");
    let what = What::Granted { permanent: true, expires_at: None, source: GrantSource::Profile, context: None };
    let before = Timestamp::from_secs(1_790_000_000);
    let granted = Event { key: "reply:1".to_owned(), at: before, what };
    store.record_permission(&number().id, &contact.id, &[granted], before).await.expect("a permission");
    let top_up = TopUp { micros: 1_000_000_000_000, currency: Currency::USD, reference: None, key: None };
    store.top_up(&top_up, NOW).await.expect("money");
    ContactRef::Id(contact.id)
}

/// That many calls that the customer took, one after the other until now, whatever the rules said: dialled, talked,
/// charged and counted like any other.
async fn grow(store: &Store, to: &ContactRef, calls: u32) {
    let (number, agent, terms) = (number().id, agent(0).id, store.terms());
    let contact = store.contact(to).await.expect("a store").expect("a contact");
    for n in 0..calls {
        let then = Timestamp::from_millis(NOW.as_millis() - i64::from(calls - n) * 8_000);
        let call = CallId::generate();
        let wish = DialWish { terms: &terms, call: &call, number: &number, to, agent: &agent };
        let decided = store.decide_dial(wish, || then, |_| Ok::<_, ()>(())).await;
        decided.expect("a store").expect("all known").expect("allowed");
        let ended = then.plus(Duration::from_secs(6));
        let record = CallRecord {
            state: CallState::Ended,
            status: Status::Completed,
            agent_id: Some(agent.clone()),
            answered_at: Some(then),
            ended_at: Some(ended),
            duration_ms: 6_000,
            end_reason: Some(EndReason::Completed),
            settled: true,
            ..CallRecord::begun(call, number.clone(), Direction::BusinessInitiated, contact.clone(), then)
        };
        store.save_call(&record, Vec::new(), ended).await.expect("a call");
    }
}

/// The mean time of one run, over runs that take half a second together.
fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let mut runs = 1_u32;
    loop {
        let start = Clock.instant();
        for _ in 0..runs {
            black_box(run());
        }
        let took = start.elapsed();
        if took >= Duration::from_millis(500) {
            return took / runs;
        }
        runs = runs.saturating_mul(2);
    }
}

fn micros(took: Duration) -> f64 {
    took.as_nanos() as f64 / 1e3
}

fn facts(agents: usize, online: impl Fn(usize) -> bool) -> RoutingFacts {
    let agents = (0..agents).map(|n| {
        let status = if online(n) { Presence::Online } else { Presence::Offline };
        // Idle times in no order, so that the head of the queue keeps changing.
        let idle_since = Some(NOW.plus(Duration::from_millis((n as u64).wrapping_mul(2_654_435_761) % 1_000_003)));
        AgentFacts {
            agent: Agent { status, ..agent(n) },
            active_calls: 0,
            wrapping_up: false,
            passed_over: None,
            idle_since,
        }
    });
    RoutingFacts { now: NOW, number: number(), contact: contact(), agents: agents.collect(), tried: Vec::new() }
}

fn agent(n: usize) -> Agent {
    Agent {
        id: AgentId::parse(&format!("agt_{n:05}")).expect("an id"),
        name: format!("Agent {n}"),
        email: Some(format!("agent{n}@example.com")),
        role: Role::Teammate,
        team_id: Some(team(n)),
        excluded: false,
        switches: Switches::default(),
        status: Presence::Online,
    }
}

fn team(n: usize) -> TeamId {
    TeamId::parse(&format!("team_{:02}", n % TEAMS)).expect("an id")
}

fn number() -> Number {
    Number {
        keep_recordings_days: None,
        id: NumberId::parse("100000000000001").expect("an id"),
        display_phone_number: Phone::parse("+995322000111").expect("a number"),
        plan: Plan::SalesCrm,
        add_ons: Vec::new(),
        messaging_limit: 10_000,
        platform: Platform::CloudApi,
        graph_token_set: true,
        record: None,
    }
}

fn contact() -> Contact {
    Contact {
        id: ContactId::parse("con_nino").expect("an id"),
        phone: Some(Phone::parse("+995555010203").expect("a number")),
        user_id: None,
        name: Some("Nino".to_owned()),
        username: None,
        assignee_id: None,
        owner_id: None,
        created_at: NOW,
    }
}
