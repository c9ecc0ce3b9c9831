//! The same life in two worlds: the reference, and the store with the real rules.

use tandem::billing::RateCard;
use tandem::call::record::{CallRecord, OFF, RecordingRecord, Status};
use tandem::model::directory::{Agent, Contact, ContactRef, Number, Plan, Platform, Switches};
use tandem::model::id::{AgentId, CallId, NumberId};
use tandem::model::money::Currency;
use tandem::model::phone::Phone;
use tandem::model::reason::{
    BlockerCode, CallState, Direction, EndReason, GrantSource, PermissionStatus, Presence, RecordingState, RequestKind,
    Role,
};
use tandem::model::time::Timestamp;
use tandem::policy::pack::{BUILT_IN, Pack};
use tandem::policy::permission::{Event, What};
use tandem::policy::request::may_ask;
use tandem::policy::{Blocker, admit};
use tandem::store::{CustomerIdentity, DialWish, RequestWish, Store, Terms, TopUp};

use crate::reference::{ATTEMPTS, CHEAP, CONNECTED, DEAR, Fact, Reference, TIER, WEEK};
use crate::steps::{Books, CUSTOMERS, How, Step, Word};

/// 2026-11-18T09:46:40Z.
const START: i64 = 1_795_000_000;

/// A report of WhatsApp's on its way.
#[derive(Clone)]
struct Report {
    who: usize,
    event: Event,
    fact: (i64, Fact),
}

pub(crate) struct World {
    dir: tempfile::TempDir,
    url: String,
    store: Store,
    reference: Reference,
    /// Seconds since 1970; every step has a second of its own.
    now: i64,
    contacts: Vec<Contact>,
    requests: Vec<Vec<usize>>,
    under_way: Vec<Report>,
    arrived: Vec<Report>,
    running: Vec<(usize, CallRecord)>,
    ended: Vec<CallRecord>,
    names: usize,
    /// What a step itself found different.
    noted: Result<(), String>,
}

impl World {
    pub(crate) async fn new(server: &str) -> Self {
        // Half a life is waiting for the disk otherwise; nothing here is about power cuts.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let url = if server.is_empty() { String::new() } else { database(server).await };
        let store = open(&url, dir.path()).await;
        store.put_number(&number(), None).await.unwrap();
        store.put_agent(&agent()).await.unwrap();
        let mut contacts = Vec::new();
        for who in 0..CUSTOMERS {
            let phone = Some(Phone::parse(&format!("99555501020{who}")).unwrap());
            let identity = CustomerIdentity { phone, ..CustomerIdentity::default() };
            let mut contact = store.identify(&identity, at(START)).await.unwrap();
            contact.assignee_id = Some(agent().id);
            store.put_contact(&contact).await.unwrap();
            contacts.push(contact);
        }
        Self {
            dir,
            url,
            store,
            reference: Reference::default(),
            now: START,
            contacts,
            requests: vec![Vec::new(); CUSTOMERS],
            under_way: Vec::new(),
            arrived: Vec::new(),
            running: Vec::new(),
            ended: Vec::new(),
            names: 0,
            noted: Ok(()),
        }
    }

    pub(crate) async fn take(&mut self, step: Step) {
        self.now += 1;
        match step {
            Step::Pass(seconds) => self.now += seconds,
            Step::Ask { who } => self.ask(who).await,
            Step::Decide { who, word, nth } => self.decide(who, word, nth),
            Step::Deliver { nth, again } => self.deliver(nth, again).await,
            Step::Dial { who } => self.dial(who).await,
            Step::End { nth, how } => self.end(nth, how).await,
            Step::EndAgain { nth } => {
                if let Some(record) = self.ended.iter().rev().nth(nth) {
                    self.store.save_call(record, vec![], at(self.now)).await.unwrap();
                }
            }
            Step::CalledBy { who, answered } => self.called_by(who, answered).await,
            Step::TopUp { micros } => {
                let top_up = TopUp { micros, currency: Currency::USD, reference: None, key: None };
                self.store.top_up(&top_up, at(self.now)).await.unwrap();
                self.reference.balance += micros;
            }
            Step::Check { who, books } => self.check(who, books).await,
            Step::Tick => drop(self.store.expire_permissions(at(self.now)).await.unwrap()),
            Step::Restart => {
                self.store.close().await;
                self.store = open(&self.url, self.dir.path()).await;
            }
        }
    }

    /// The first difference between the two worlds, in words. Each step looks at some of the customers: a difference does
    /// not go away, and time passes between the looks.
    pub(crate) async fn compare(&self, customers: std::ops::Range<usize>) -> Result<(), String> {
        self.noted.clone()?;
        let now = at(self.now);
        for who in customers {
            let ledger = self.store.permission(&number().id, &self.contacts[who].id).await.unwrap();
            let (reading, view) = (ledger.read(now), ledger.view(&number().id, &self.contacts[who].id, now));
            let want = self.reference.permission(who, self.now);
            same("status", who, reading.status.as_str(), want.status)?;
            if reading.status == PermissionStatus::Temporary {
                same("end", who, reading.expires_at.map(seconds), want.until)?;
            }
            same("unanswered", who, view.unanswered_in_a_row, want.unanswered)?;
            let rules = self.store.terms();
            let asking = coded(&ledger.request_blockers(rules.rules(now), now));
            same("asking", who, asking, want.asking)?;
            same("dialling", who, self.against_dialling(who).await, self.reference.against_dialling(who, self.now))?;
        }
        let wallet = self.store.wallet(Currency::USD).await.unwrap();
        same("balance", 0, wallet.balance_micros, self.reference.balance)?;
        same("available", 0, wallet.available_micros, self.reference.available())
    }

    async fn against_dialling(&self, who: usize) -> Vec<(&'static str, Option<i64>)> {
        let (now, to) = (at(self.now), ContactRef::Id(self.contacts[who].id.clone()));
        let look = self.store.look_at_dial(&number().id, &to, &agent().id, now).await.unwrap().unwrap();
        match admit(&look.facts, self.store.terms().rules(now)) {
            Ok(_) => Vec::new(),
            Err(denial) => coded(&denial.blockers),
        }
    }

    async fn ask(&mut self, who: usize) {
        let (now, to) = (at(self.now), ContactRef::Id(self.contacts[who].id.clone()));
        let name = self.names;
        self.names += 1;
        let id = format!("req_{name}");
        let asked = Event::requested(&id, RequestKind::Template, None, now);
        let terms = self.store.terms();
        let decide = |facts| may_ask(&facts, terms.rules(now));
        let (number, kind) = (number().id, RequestKind::Template);
        let wish = RequestWish { terms: &terms, number: &number, to: &to, kind, asked: &asked };
        let decided = self.store.decide_request(wish, || now, decide).await.unwrap();
        let allowed = decided.unwrap().is_ok();
        self.note("asking is allowed", who, allowed, self.reference.permission(who, self.now).asking.is_empty());
        if allowed {
            let sent = Event::requested(&id, RequestKind::Template, Some(wamid(name)), now);
            self.record(who, sent).await;
            self.reference.known[who].push((self.now, Fact::Asked { name }));
            self.requests[who].push(name);
        }
    }

    fn decide(&mut self, who: usize, word: Word, nth: usize) {
        let answers = self.requests[who].iter().rev().nth(nth).copied();
        let end = self.now + WEEK;
        let context = answers.map(wamid);
        let grant = |until: Option<i64>, source, context, answers| {
            let what = What::Granted { permanent: until.is_none(), expires_at: until.map(at), source, context };
            (what, Fact::Granted { until, answers })
        };
        let source = if answers.is_some() { GrantSource::Request } else { GrantSource::Profile };
        let (what, fact) = match word {
            Word::Temporary => grant(Some(end), source, context, answers),
            Word::Permanent => grant(None, source, context, answers),
            Word::Callback => grant(Some(end), GrantSource::Callback, Some("wacid.x".to_owned()), None),
            Word::No => (What::Declined { context }, Fact::Declined { answers }),
            Word::Revoked => (What::Revoked, Fact::Revoked),
        };
        self.names += 1;
        let event = Event { key: format!("reply:{}", self.names), at: at(self.now), what };
        self.under_way.push(Report { who, event, fact: (self.now, fact) });
    }

    async fn deliver(&mut self, nth: usize, again: bool) {
        if again {
            if let Some(report) = self.arrived.iter().rev().nth(nth).cloned() {
                self.record(report.who, report.event).await;
            }
        } else if nth < self.under_way.len() {
            let report = self.under_way.remove(nth);
            self.record(report.who, report.event.clone()).await;
            self.reference.known[report.who].push(report.fact);
            self.arrived.push(report);
        }
    }

    async fn dial(&mut self, who: usize) {
        let (now, to) = (at(self.now), ContactRef::Id(self.contacts[who].id.clone()));
        let call = CallId::generate();
        let (number, agent) = (number().id, agent().id);
        let terms = self.store.terms();
        let wish = DialWish { terms: &terms, call: &call, number: &number, to: &to, agent: &agent };
        let decided = self.store.decide_dial(wish, || now, |facts| admit(&facts, terms.rules(now))).await.unwrap();
        let allowed = decided.unwrap().is_ok();
        self.note("dialling is allowed", who, allowed, self.reference.against_dialling(who, self.now).is_empty());
        if allowed {
            let record = self.call(call, who, Direction::BusinessInitiated);
            self.store.save_call(&record, vec![], now).await.unwrap();
            self.running.push((who, record));
            let held = self.reference.rate(month(self.now));
            self.reference.running.push((who, held));
            self.reference.dialled.push(self.now);
        }
    }

    async fn end(&mut self, nth: usize, how: How) {
        if nth >= self.running.len() {
            return;
        }
        let (who, mut record) = self.running.remove(nth);
        self.reference.running.remove(nth);
        let now = at(self.now);
        let reason = match how {
            How::Answered(talked) => {
                record.answered_at = Some(now);
                record.duration_ms = talked * 1000;
                EndReason::Completed
            }
            How::LetRing => EndReason::MissedByCustomer,
            How::Declined => EndReason::RejectedByCustomer,
            How::Failed => EndReason::SetupFailed,
        };
        self.close(&mut record, reason);
        self.store.save_call(&record, vec![], now).await.unwrap();
        match how {
            How::Answered(talked) => {
                self.reference.known[who].push((self.now, Fact::Connected));
                self.reference.connected.push(self.now);
                let price = self.reference.charge(month(record.created_at.as_millis() / 1000), talked);
                let stored = self.store.call(&record.id).await.unwrap().unwrap();
                self.note("price", who, stored.charge.map(|charge| charge.micros), Some(price));
            }
            How::LetRing | How::Declined => self.reference.known[who].push((self.now, Fact::Unanswered)),
            How::Failed => {}
        }
        self.ended.push(record);
    }

    async fn called_by(&mut self, who: usize, answered: bool) {
        let mut record = self.call(CallId::generate(), who, Direction::UserInitiated);
        if answered {
            record.answered_at = Some(at(self.now));
            record.duration_ms = 60_000;
            self.reference.known[who].push((self.now, Fact::Connected));
        }
        self.close(&mut record, if answered { EndReason::Completed } else { EndReason::MissedByAgent });
        self.store.save_call(&record, vec![], at(self.now)).await.unwrap();
        self.ended.push(record);
    }

    async fn check(&mut self, who: usize, books: Books) {
        let (status, until) = match books {
            Books::Nothing => (PermissionStatus::None, None),
            Books::Temporary { lasts_s } => (PermissionStatus::Temporary, Some(Some(self.now + lasts_s))),
            Books::Permanent => (PermissionStatus::Permanent, Some(None)),
        };
        self.record(who, Event::checked(status, until.flatten().map(at), at(self.now))).await;
        self.reference.known[who].push((self.now, Fact::Checked { until }));
    }

    fn note<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, who: usize, got: T, want: T) {
        let noted = same(what, who, got, want);
        self.noted = std::mem::replace(&mut self.noted, Ok(())).and(noted);
    }

    async fn record(&self, who: usize, event: Event) {
        let contact = &self.contacts[who].id;
        self.store.record_permission(&number().id, contact, &[event], at(self.now)).await.unwrap();
    }

    fn close(&self, record: &mut CallRecord, reason: EndReason) {
        record.state = CallState::Ended;
        record.end_reason = Some(reason);
        record.ended_at = Some(at(self.now));
        record.settled = true;
        record.status = Status::of(record.state, record.answered_at.is_some(), record.end_reason);
    }

    fn call(&self, id: CallId, who: usize, direction: Direction) -> CallRecord {
        CallRecord {
            id,
            number_id: number().id,
            direction,
            state: CallState::Ringing,
            status: Status::Ringing,
            contact: self.contacts[who].clone(),
            agent_id: Some(agent().id),
            offers: Vec::new(),
            created_at: at(self.now),
            answered_at: None,
            ended_at: None,
            duration_ms: 0,
            end_reason: None,
            opens_at: None,
            ended_by: None,
            legs: Vec::new(),
            recording: RecordingRecord { state: RecordingState::None, duration_ms: 0, gaps: 0 },
            transcript: OFF,
            summary: OFF,
            charge: None,
            wacid: None,
            callback_data: None,
            upstream_code: None,
            trace: serde_json::Value::Null,
            policy_pack: None,
            settled: false,
        }
    }
}

async fn open(url: &str, dir: &std::path::Path) -> Store {
    let store = Store::open(url, dir).await.unwrap();
    let pack = BUILT_IN
        .replace("connected_per_number = { max = 100,", &format!("connected_per_number = {{ max = {CONNECTED},"))
        .replace("attempts_per_number = { max = 10000,", &format!("attempts_per_number = {{ max = {ATTEMPTS},"));
    let card = format!(
        "effective_from,market,currency,tier_from_minutes,price_per_minute\n2020-01-01,*,USD,0,{}\n2020-01-01,*,USD,{TIER},{}\n",
        decimal(DEAR),
        decimal(CHEAP)
    );
    let card = RateCard::parse("test", &card).unwrap();
    store.set_terms(Terms::new(Pack::parse("test", &pack).unwrap(), pack, card));
    store
}

fn decimal(micros: i64) -> String {
    format!("0.{micros:06}")
}

async fn database(server: &str) -> String {
    use sqlx::Connection;
    let name = format!("life_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let (head, _) = server.rsplit_once('/').unwrap();
    format!("{head}/{name}")
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(
    what: &str,
    who: usize,
    got: T,
    want: U,
) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what} of customer {who}: {got:?}, the reference says {want:?}")) }
}

fn coded(blockers: &[Blocker]) -> Vec<(&'static str, Option<i64>)> {
    blockers.iter().map(|b| (BlockerCode::as_str(b.code), b.clears_at.map(seconds))).collect()
}

fn wamid(name: usize) -> String {
    format!("wamid.{name}")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis() / 1000
}

/// A number for each month of UTC.
fn month(now: i64) -> i64 {
    let date = jiff::Timestamp::from_second(now).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    i64::from(date.year()) * 12 + i64::from(date.month())
}

fn number() -> Number {
    Number {
        id: NumberId::parse("100000000000001").unwrap(),
        display_phone_number: Phone::parse("+995322000111").unwrap(),
        plan: Plan::Advanced,
        add_ons: Vec::new(),
        messaging_limit: 2_000,
        platform: Platform::CloudApi,
        graph_token_set: false,
    }
}

fn agent() -> Agent {
    Agent {
        id: AgentId::parse("agt_a").unwrap(),
        name: "Ana".to_owned(),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Offline,
    }
}
