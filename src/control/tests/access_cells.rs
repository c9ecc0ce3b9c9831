//! Every cell of the table of access, asked at the real doors: each role with each of its switches, each route, and each
//! way a thing can belong to somebody; then each scope of a key with each route.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;

use super::access_table::{
    ASSIGNS, Agents, Answer, CONFIGURES, LATER, MANAGES, OPEN, ROWS, Row, SEES_WALLET, SIGHT, With,
};
use super::fixture::{House, agent, id, missed_call, now};
use crate::call::record::{CallRecord, Status};
use crate::control::Control;
use crate::model::directory::{Agent, Asker, Contact, Switches, Team};
use crate::model::event::NewEvent;
use crate::model::id::{AgentId, RecordingId, TeamId};
use crate::model::reason::{EndReason, EndedBy, PermissionStatus, RecordingState, Role};
use crate::policy::access::Scope;
use crate::policy::permission::Event;
use crate::store::{CustomerIdentity, RecordingFile, Subject, ViewWish};

/// Whose a thing is, seen from the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// Its own: of calls, one it took.
    Took,
    /// Its own: of calls, one that rang at it and nobody took.
    Rang,
    Mates,
    Strangers,
    /// Nobody's call, and what belongs to an agent in no team.
    Nobodys,
}

const WHOSE: [Whose; 5] = [Whose::Took, Whose::Rang, Whose::Mates, Whose::Strangers, Whose::Nobodys];

impl Whose {
    fn is_own(self) -> bool {
        matches!(self, Self::Took | Self::Rang)
    }
}

/// A role with its switches.
struct Seat {
    agent: Agent,
    token: String,
}

/// Something of everybody for everybody to ask for.
struct Stage {
    house: House,
    seats: Vec<Seat>,
    /// The last calls of each agent: one it took, one that rang; `None` is the call that reached nobody.
    calls: BTreeMap<(Option<AgentId>, bool), CallRecord>,
    /// Of each agent, one assigned to it.
    contacts: BTreeMap<AgentId, Contact>,
    /// Assigned to nobody.
    nobodys: Contact,
}

/// The ids that a list may show.
struct Seen {
    calls: BTreeSet<String>,
    customers: BTreeSet<String>,
}

impl Stage {
    async fn set() -> Self {
        let house = House::open().await;
        for team in ["team_1", "team_2"] {
            house.store.put_team(&Team { id: TeamId::parse(team).unwrap(), name: "Team".to_owned() }).await.unwrap();
        }
        let nobodys = house.store.call(&house.call).await.unwrap().unwrap().contact;
        let (seats, calls, contacts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut stage = Self { house, seats, calls, contacts, nobodys };
        stage.permit(&stage.nobodys).await;
        for (who, team) in [("agt_mate", Some("team_1")), ("agt_stranger", Some("team_2")), ("agt_free", None)] {
            stage.move_in(Agent { team_id: team.map(|t| TeamId::parse(t).unwrap()), ..agent(who, who) }).await;
        }
        for role in Role::ALL {
            for (configure_calls, all_calls) in [(false, false), (true, false), (false, true), (true, true)] {
                let name = format!("agt_{role}_{configure_calls}_{all_calls}");
                let switches = Switches { configure_calls, all_calls };
                let team_id = Some(TeamId::parse("team_1").unwrap());
                let agent = Agent { role: *role, team_id, switches, ..agent(&name, &name) };
                stage.move_in(agent.clone()).await;
                let hour = now().plus(std::time::Duration::from_secs(3600));
                let token = stage.house.store.create_agent_token(&agent.id, hour).await.unwrap();
                stage.seats.push(Seat { agent, token });
            }
        }
        let contact = stage.contacts.values().next().unwrap().clone();
        let mut nobodys = missed_call(contact, &id("agt_free"), now());
        nobodys.offers.clear();
        nobodys.end_reason = Some(EndReason::NoAgentAvailable);
        stage.keep(None, true, nobodys).await;
        // The fixture's own call rang at an agent in no team.
        let fixtures = stage.house.store.call(&stage.house.call).await.unwrap().unwrap();
        stage.calls.insert((Some(id("agt_a")), false), fixtures);
        stage
    }

    /// An agent with a customer, a call it took and one it missed.
    async fn move_in(&mut self, agent: Agent) {
        let store = &self.house.store;
        store.put_agent(&agent).await.unwrap();
        let digits = format!("9955550{:05}", 20_000 + self.contacts.len());
        let phone = crate::model::phone::Phone::parse(&digits).unwrap();
        let who = CustomerIdentity { phone: Some(phone), ..CustomerIdentity::default() };
        let contact = store.identify(&who, now()).await.unwrap();
        let path = format!("/v1/contacts/wa:{digits}");
        let (status, body) = self.house.put(&path, json!({"assignee_id": agent.id.as_str()})).await;
        assert_eq!(status, 200, "{body}");
        let missed = missed_call(contact.clone(), &agent.id, now());
        let mut taken = missed_call(contact.clone(), &agent.id, now());
        taken.agent_id = Some(agent.id.clone());
        taken.offers[0].outcome = crate::model::reason::OfferOutcome::Accepted;
        taken.offers[0].cause = None;
        (taken.answered_at, taken.status) = (Some(now()), Status::Completed);
        (taken.end_reason, taken.ended_by) = (Some(EndReason::Completed), Some(EndedBy::Agent));
        self.permit(&contact).await;
        self.contacts.insert(agent.id.clone(), contact);
        self.keep(Some(agent.id.clone()), true, taken).await;
        self.keep(Some(agent.id), false, missed).await;
    }

    /// The customer permits calls from the fixture's number.
    async fn permit(&self, contact: &Contact) {
        let call = self.house.store.call(&self.house.call).await.unwrap().unwrap();
        let said = Event::checked(PermissionStatus::Permanent, None, now());
        self.house.store.record_permission(&call.number_id, &contact.id, &[said], now()).await.unwrap();
    }

    async fn keep(&mut self, whose: Option<AgentId>, taken: bool, call: CallRecord) {
        let folder = self.house.dir.path().join("recordings");
        std::fs::create_dir_all(&folder).unwrap();
        let voice = folder.join("voice.wav");
        std::fs::write(&voice, b"RIFF").unwrap();
        let details = crate::record::Sidecar {
            consent: None,
            recording_id: RecordingId::generate(),
            call_id: call.id.clone(),
            format: crate::record::Format::Wav,
            started_at: None,
            duration_ms: 0,
            gaps: 0,
            pauses: Vec::new(),
            customer: None,
            agent: None,
            parts: Vec::new(),
            sha256: String::new(),
            redacted: None,
        };
        details.write(&voice).unwrap();
        std::fs::write(crate::record::manifest_path(&voice), "{}").unwrap();
        self.house.store.save_call(&call, vec![], now()).await.unwrap();
        let file = RecordingFile {
            id: RecordingId::generate(),
            path: PathBuf::from("voice.wav"),
            state: RecordingState::Ready,
            sha256: None,
        };
        self.house.store.put_recording(&call.id, &file).await.unwrap();
        self.calls.insert((whose, taken), call);
    }

    /// The agent that stands for a relation.
    fn holder(&self, me: &AgentId, whose: Whose) -> AgentId {
        match whose {
            Whose::Took | Whose::Rang => me.clone(),
            Whose::Mates => id("agt_mate"),
            Whose::Strangers => id("agt_stranger"),
            Whose::Nobodys => id("agt_free"),
        }
    }

    /// The call that stands for a relation.
    fn call(&self, me: &AgentId, whose: Whose) -> &CallRecord {
        let key = match whose {
            Whose::Nobodys => (None, true),
            _ => (Some(self.holder(me, whose)), whose != Whose::Rang),
        };
        &self.calls[&key]
    }

    /// A note that its author wrote on a call, for each who asks a new one: it may be removed.
    async fn note(&self, author: &AgentId, call: &CallRecord) -> String {
        let (about, by) = (Subject::Call(call.id.clone()), Asker::Agent { agent_id: author.clone() });
        self.house.store.add_note(&about, &by, "Called back.", now()).await.unwrap().0.id.to_string()
    }

    /// A view that its agent keeps, for each who asks a new one: it may be removed.
    async fn view(&self, agent: &AgentId) -> String {
        let (section, filter) = Default::default();
        let wish = ViewWish { name: "All".to_owned(), section, filter };
        self.house.store.keep_view(agent, &wish, now()).await.unwrap().id.to_string()
    }

    /// What is asked for, with this secret.
    async fn ask(&self, row: &Row, me: &AgentId, whose: Whose, secret: &str) -> reqwest::RequestBuilder {
        let holder = self.holder(me, whose);
        let note =
            if row.route.contains("/notes/") { self.note(&holder, self.call(me, whose)).await } else { String::new() };
        let view = if row.route.contains("/views/") { self.view(&holder).await } else { String::new() };
        let contact = format!("{}", self.contacts[&holder].id);
        let rang = if whose == Whose::Took { Whose::Took } else { Whose::Rang };
        let offer = self.call(&holder, rang).offers[0].id.to_string();
        let fill = |text: &str| {
            let own = match text.split('/').nth(2) {
                Some("calls") => self.call(me, whose).id.to_string(),
                Some("offers") => offer.clone(),
                Some("notes") => note.clone(),
                Some("views") => view.clone(),
                Some("numbers") => "100000000000001".to_owned(),
                Some("teams") => if whose == Whose::Strangers { "team_2" } else { "team_1" }.to_owned(),
                _ => holder.to_string(),
            };
            text.replace("{id}", &own)
                .replace("{ref}", &contact)
                .replace("{agent}", holder.as_str())
                .replace("{contact}", &contact)
                .replace("{number}", "100000000000001")
        };
        let (method, path) = row.route.split_once(' ').unwrap();
        let query = if let With::Query(query) = row.with { format!("?{}", fill(query)) } else { String::new() };
        let ask = self.house.ask(method.parse::<Method>().unwrap(), &(fill(path) + &query), secret);
        match row.with {
            With::Json(body) => ask.header("content-type", "application/json").body(fill(body)),
            With::Sdp(body) => ask.header("content-type", "application/sdp").body(body),
            With::Csv(body) => ask.header("content-type", "text/csv").body(body),
            With::Nothing | With::Query(_) => ask,
        }
    }

    /// Asks, and compares with what the table wants: a status, and for lists whose calls.
    async fn check(&self, row: &Row, ask: reqwest::RequestBuilder, want: u16, seen: &Seen, case: &str) {
        let response = ask.send().await.unwrap();
        let status = response.status().as_u16();
        if row.answer == Answer::Streams && status == 200 {
            // It does not end; whom it shows what is looked at elsewhere.
            return assert_eq!(status, want, "{case}");
        }
        let body = response.text().await.unwrap();
        assert_eq!(status, want, "{case}: {body}");
        if status == 403 || status == 404 && want != 200 {
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            let code = if status == 403 { "forbidden" } else { "not_found" };
            assert_eq!(problem["code"], code, "{case}: {body}");
        }
        if status != 200 {
            return;
        }
        let (all, seen) = match row.answer {
            Answer::Lists => (self.seen_by(None).calls, &seen.calls),
            Answer::ListsCustomers => (self.seen_by(None).customers, &seen.customers),
            Answer::Answers(_) | Answer::Streams => return,
        };
        let listed = all.into_iter().filter(|id| body.contains(id.as_str()));
        assert_eq!(listed.collect::<BTreeSet<_>>(), *seen, "{case}");
    }

    /// What this agent sees: the table, applied to all there is. `None` sees everything.
    fn seen_by(&self, me: Option<&Agent>) -> Seen {
        let shown = |agent: Option<&AgentId>, taken: bool| {
            let Some(me) = me else { return true };
            let whose = match agent {
                None => Whose::Nobodys,
                Some(agent) if *agent == me.id && taken => Whose::Took,
                Some(agent) if *agent == me.id => Whose::Rang,
                Some(agent) if ["agt_stranger", "agt_free", "agt_a"].contains(&agent.as_str()) => Whose::Strangers,
                Some(_) => Whose::Mates,
            };
            sees(me, whose)
        };
        let calls = self.calls.iter().filter(|((agent, taken), _)| shown(agent.as_ref(), *taken));
        let of_agents = self.contacts.iter().map(|(agent, contact)| (Some(agent), contact));
        let customers = of_agents.chain([(None, &self.nobodys)]).filter(|(agent, _)| shown(*agent, true));
        Seen {
            calls: calls.map(|(_, call)| call.id.to_string()).collect(),
            customers: customers.map(|(_, contact)| contact.id.to_string()).collect(),
        }
    }
}

fn sees(me: &Agent, whose: Whose) -> bool {
    let (.., sight) = SIGHT.iter().find(|(role, all, _)| (*role, *all) == (me.role, me.switches.all_calls)).unwrap();
    sight[whose as usize]
}

fn configures(me: &Agent) -> bool {
    CONFIGURES.iter().find(|(role, _)| *role == me.role).unwrap().1[usize::from(me.switches.configure_calls)]
}

fn assigns(me: &Agent, whose: Whose) -> bool {
    let (_, how) = ASSIGNS.iter().find(|(role, _)| *role == me.role).unwrap();
    how.is_some_and(|all| all || whose.is_own() || whose == Whose::Mates)
}

fn sees_wallet(me: &Agent) -> bool {
    SEES_WALLET.iter().any(|(role, sees)| *role == me.role && *sees)
}

/// What the table says this agent is answered.
fn wanted(row: &Row, me: &Agent, whose: Whose) -> u16 {
    let let_in = match row.answer {
        Answer::Answers(status) => status,
        Answer::Lists | Answer::ListsCustomers | Answer::Streams => 200,
    };
    let manages = |me: &Agent| MANAGES.iter().any(|(role, manages)| *role == me.role && *manages);
    let (may, else_wise) = match row.agents {
        Agents::All => (true, 0),
        Agents::NoneOpenly => (false, 403),
        Agents::NoneSecretly => (false, 404),
        Agents::None => (false, if whose.is_own() { 403 } else { 404 }),
        Agents::Own => (whose.is_own(), 404),
        Agents::OwnChat => (whose.is_own(), 403),
        Agents::Took => (whose == Whose::Took, 404),
        Agents::Sees => (sees(me, whose), 404),
        Agents::Configures => (configures(me), 403),
        Agents::WroteOrManages => (whose.is_own() || manages(me), 404),
        Agents::Manages => (manages(me), 403),
        Agents::Assigns => (assigns(me, whose), 403),
        Agents::ManagesOthers => (manages(me), if whose.is_own() { 403 } else { 404 }),
        Agents::ManagesOthersAlone => (manages(me) && !whose.is_own(), if whose.is_own() { 403 } else { 404 }),
        Agents::OwnOrManages => (whose.is_own() || manages(me), 404),
        Agents::SeesWallet => (sees_wallet(me), 403),
    };
    if may { let_in } else { else_wise }
}

#[test]
fn every_route_that_is_served_has_a_row_and_every_row_is_served() {
    let document = serde_json::to_value(Control::openapi()).unwrap();
    let mut served = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                served.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let rows: Vec<String> = ROWS.iter().map(|row| row.route).chain(OPEN.iter().copied()).map(str::to_owned).collect();
    let known: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(known.len(), rows.len(), "a route has two rows");
    assert_eq!(served, known, "left: what is served; right: what the table of access knows");
    for row in LATER {
        assert!(!served.contains(row.route), "{} is served now: move its row up", row.route);
    }
}

#[tokio::test]
async fn every_role_with_every_switch_gets_at_every_route_what_the_table_says() {
    let stage = Stage::set().await;
    let mut cells = 0;
    for Seat { agent: me, token } in &stage.seats {
        let seen = stage.seen_by(Some(me));
        for row in ROWS {
            for whose in WHOSE {
                let case = format!("{} asks {} of {whose:?}", me.id, row.route);
                stage
                    .check(row, stage.ask(row, &me.id, whose, token).await, wanted(row, me, whose), &seen, &case)
                    .await;
                cells += 1;
            }
        }
    }
    assert_eq!(cells, Role::ALL.len() * 4 * ROWS.len() * WHOSE.len(), "every cell, none left out");
}

#[tokio::test]
async fn every_scope_of_a_key_opens_the_routes_the_table_says() {
    let stage = Stage::set().await;
    let everything = stage.seen_by(None);
    let single = Scope::ALL.iter().map(|scope| vec![*scope]);
    let mut cells = 0;
    for scopes in single.chain([vec![]]) {
        let key = stage.house.store.create_key("crm", &scopes, now()).await.unwrap();
        for row in ROWS {
            for whose in WHOSE {
                // A key is nobody: whose a thing is changes nothing.
                let open = row.keys.is_none_or(|keys| keys.iter().any(|scope| scopes.contains(scope)));
                let want = match row.answer {
                    _ if !open => 403,
                    Answer::Answers(status) => status,
                    Answer::Lists | Answer::ListsCustomers | Answer::Streams => 200,
                };
                let case = format!("a key with {scopes:?} asks {} of {whose:?}", row.route);
                let ask = stage.ask(row, &id("agt_mate"), whose, &key).await;
                stage.check(row, ask, want, &everything, &case).await;
                cells += 1;
            }
        }
    }
    assert_eq!(cells, (Scope::ALL.len() + 1) * ROWS.len() * WHOSE.len(), "every cell, none left out");
}

#[tokio::test]
async fn an_agents_stream_tells_of_the_calls_it_may_see_and_of_no_others() {
    let stage = Stage::set().await;
    let store = &stage.house.store;
    let after = store.last_seq().await.unwrap();
    for call in stage.calls.values() {
        let event =
            |kind, agent_id: Option<AgentId>, data| NewEvent { kind, call_id: Some(call.id.clone()), agent_id, data };
        let mut events = vec![
            // Carries nobody's name, so the store must be asked whose it is.
            event("call.dtmf", None, json!({"digit": "1"})),
            event("call.ended", None, serde_json::to_value(call).unwrap()),
        ];
        // An offer is its agent's alone, however far others see.
        events.extend(call.offers.iter().map(|offer| event("offer.created", Some(offer.agent_id.clone()), json!({}))));
        store.append(events, now()).await.unwrap();
    }
    let last = NewEvent { kind: "contact.updated", call_id: None, agent_id: None, data: json!({}) };
    let of_house = ["wallet.low", "number.settings_changed"].map(|kind| NewEvent {
        kind,
        call_id: None,
        agent_id: None,
        data: json!({}),
    });
    store.append(of_house.into_iter().chain([last]).collect(), now()).await.unwrap();
    for Seat { agent: me, token } in &stage.seats {
        let path = format!("/v1/agents/{}/events?after={after}", me.id);
        let mut response = stage.house.get(&path, token).await;
        assert_eq!(response.status(), 200);
        let mut text = String::new();
        while !text.contains("event: contact.updated") {
            text += std::str::from_utf8(&response.chunk().await.unwrap().expect("the marker comes")).unwrap();
        }
        let frames: Vec<&str> = text.split("\n\n").collect();
        let told = |kind: &str| -> BTreeSet<String> {
            let of_kind = |frame: &&&str| frame.contains(&format!("event: {kind}\n"));
            let calls = || stage.calls.values().map(|call| call.id.to_string());
            frames.iter().filter(of_kind).flat_map(|f| calls().filter(|call| f.contains(call.as_str()))).collect()
        };
        let seen = stage.seen_by(Some(me)).calls;
        assert_eq!(told("call.ended"), seen, "{}", me.id);
        assert_eq!(told("call.dtmf"), seen, "{}", me.id);
        let own = [Whose::Took, Whose::Rang].map(|whose| stage.call(&me.id, whose).id.to_string());
        assert_eq!(told("offer.created"), own.into(), "{}", me.id);
        for (kind, grants) in [("wallet.low", sees_wallet(me)), ("number.settings_changed", configures(me))] {
            assert_eq!(text.contains(kind), grants, "{}: {kind}", me.id);
        }
    }
}
