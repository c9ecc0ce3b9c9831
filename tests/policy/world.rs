//! The same life in two worlds: the reference, and the store with the real rules.

mod house;

use tandem::call::record::{CallRecord, Status};
use tandem::model::directory::{Contact, ContactRef};
use tandem::model::id::CallId;
use tandem::model::money::Currency;
use tandem::model::reason::{CallState, Direction, EndReason, PermissionStatus, RequestKind};
use tandem::policy::permission::{Event, Reply};
use tandem::policy::request::may_ask;
use tandem::policy::{Denial, admit};
use tandem::store::{DialWish, RequestWish, Store, TopUp};

use crate::compare::{coded, same};
use crate::reference::{End, Fact, Line, Reference, Report};
use crate::steps::{Books, Fate, How, Step, Word, customer_of, number_of};
use crate::terms::{DAY, SECOND};

pub(crate) use house::{agent, at, number};

/// What passes between two steps: a few of them fall into the same second.
const BEAT: i64 = 300;
/// WhatsApp repeats a report this long, and tells nothing new of a call that began earlier.
const GIVES_UP: i64 = 7 * DAY;

/// A report of WhatsApp's on its way.
#[derive(Clone)]
struct Told {
    pair: usize,
    key: String,
    reply: Reply,
    fact: Fact,
}

/// A request that was allowed.
#[derive(Clone, Copy)]
struct Asked {
    pair: usize,
    name: usize,
    kind: RequestKind,
    at: i64,
}

pub(crate) struct World {
    dir: tempfile::TempDir,
    url: String,
    pub(crate) store: Store,
    pub(crate) reference: Reference,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
    pub(crate) contacts: Vec<Contact>,
    requests: Vec<Asked>,
    unnamed: Vec<Asked>,
    under_way: Vec<Told>,
    arrived: Vec<Told>,
    /// By their place in the reference.
    records: Vec<CallRecord>,
    running: Vec<usize>,
    ended: Vec<usize>,
    /// Allowed, and never stored.
    lost: Vec<usize>,
    names: usize,
    /// Whom the step was about.
    pub(crate) touched: Option<usize>,
    /// What a step itself found different.
    pub(crate) noted: Result<(), String>,
}

impl World {
    pub(crate) async fn take(&mut self, step: Step) {
        if !matches!(step, Step::Pass(_)) {
            self.now += BEAT;
        }
        match step {
            Step::Pass(seconds) => self.now += seconds * SECOND,
            Step::Ask { pair, kind, fate } => self.ask(pair, kind, fate).await,
            Step::Learn { nth } => self.learn(nth).await,
            Step::Write { pair } => self.write(pair).await,
            Step::Decide { pair, word, nth, at_once } => self.decide(pair, word, nth, at_once).await,
            Step::Deliver { nth, again } => self.deliver(nth, again).await,
            Step::Dial { pair } => self.dial(pair, false).await,
            Step::DialAndDie { pair } => self.dial(pair, true).await,
            Step::Answer { nth } => self.answer(nth).await,
            Step::End { nth, how, settled } => self.end(nth, how, settled).await,
            Step::Correct { nth, how } => self.correct(nth, how).await,
            Step::EndAgain { nth } => self.end_again(nth).await,
            Step::CalledBy { pair, answered } => self.called_by(pair, answered).await,
            Step::TopUp { micros } => {
                let top_up = TopUp { micros, currency: Currency::USD, reference: None, key: None };
                self.store.top_up(&top_up, at(self.now)).await.unwrap();
                self.reference.lines.push(Line::TopUp(micros));
            }
            Step::Check { pair, books } => self.check(pair, books).await,
            Step::Callbacks { number, on } => self.switch_callbacks(number, on).await,
            Step::Tick => drop(self.store.expire_permissions(at(self.now)).await.unwrap()),
            Step::Restart => self.restart().await,
        }
    }

    async fn ask(&mut self, pair: usize, kind: RequestKind, fate: Fate) {
        let name = self.names;
        self.names += 1;
        let asked = Asked { pair, name, kind, at: self.now };
        let (now, number, to) = (at(self.now), number(number_of(pair)).id, self.customer(pair));
        let terms = self.store.terms();
        let event = asked.event(None);
        let wish = RequestWish { terms: &terms, number: &number, to: &to, kind, asked: &event };
        let decided = self.store.decide_request(wish, || now, |facts| may_ask(&facts, terms.rules(now))).await;
        let decided = decided.unwrap().unwrap();
        let allowed = decided.is_ok();
        let want = self.reference.against_asking(pair, kind == RequestKind::FreeForm, self.now);
        self.note("asking", pair, coded(decided), want);
        if !allowed {
            return;
        }
        match fate {
            Fate::Sent => {
                self.record(pair, asked.event(Some(wamid(name)))).await;
                self.reference.hear(pair, asked.key(), self.now, Fact::Asked { name: Some(name) });
            }
            Fate::Unnamed => {
                self.unnamed.push(asked);
                self.reference.hear(pair, asked.key(), self.now, Fact::Asked { name: None });
            }
            Fate::Refused => {
                let contact = self.contacts[customer_of(pair)].id.clone();
                self.store.withdraw_request(&number, &contact, &event.key, now).await.unwrap();
                return;
            }
        }
        self.requests.push(asked);
    }

    async fn learn(&mut self, nth: usize) {
        let Some(n) = newest(self.unnamed.len(), nth) else { return };
        let asked = self.unnamed.remove(n);
        if self.now - asked.at > GIVES_UP {
            return;
        }
        self.record(asked.pair, asked.event(Some(wamid(asked.name)))).await;
        self.reference.hear(asked.pair, asked.key(), asked.at, Fact::Asked { name: Some(asked.name) });
    }

    async fn write(&mut self, pair: usize) {
        self.touched = Some(pair);
        let (number, contact) = (number(number_of(pair)).id, &self.contacts[customer_of(pair)].id);
        self.store.customer_wrote(&number, contact, at(self.now)).await.unwrap();
        self.reference.openings.push((pair, self.now));
    }

    async fn decide(&mut self, pair: usize, word: Word, nth: usize, at_once: bool) {
        let asked: Vec<&Asked> = self.requests.iter().filter(|asked| asked.pair == pair).collect();
        let answers = newest(asked.len(), nth).map(|n| asked[n].name);
        let second = self.now.div_euclid(SECOND) * SECOND;
        let week = second + 7 * DAY;
        let grant = |end| Fact::Granted { end, answers };
        let fact = match word {
            Word::Temporary => grant(End::At(week)),
            Word::Untold => grant(End::Untold),
            Word::Permanent => grant(End::Never),
            Word::Callback => Fact::Granted { end: End::At(week), answers: None },
            Word::No => Fact::Declined { answers },
            Word::Revoked => Fact::Revoked,
        };
        let context = match word {
            Word::Callback => Some("wacid.x".to_owned()),
            Word::Revoked => None,
            _ => answers.map(wamid),
        };
        self.names += 1;
        // WhatsApp need not name its reply: then the same word of the same second is the same reply.
        let id = (!self.names.is_multiple_of(4)).then(|| format!("wamid.reply{}", self.names));
        let key = id.clone().unwrap_or_else(|| format!("{second} {context:?} {fact:?}"));
        let reply = Reply {
            id,
            granted: matches!(fact, Fact::Granted { .. }),
            permanent: word == Word::Permanent,
            expires_at: matches!(word, Word::Temporary | Word::Callback).then(|| at(week)),
            automatic: matches!(word, Word::Callback | Word::Revoked),
            context,
            at: at(second),
        };
        let told = Told { pair, key, reply, fact };
        if at_once {
            self.arrived.push(told.clone());
            self.hear(told).await;
        } else {
            self.under_way.push(told);
        }
    }

    async fn deliver(&mut self, nth: usize, again: bool) {
        let told = if again {
            let Some(n) = newest(self.arrived.len(), nth) else { return };
            self.arrived[n].clone()
        } else if nth < self.under_way.len() {
            let told = self.under_way.remove(nth);
            self.arrived.push(told.clone());
            told
        } else {
            return;
        };
        self.hear(told).await;
    }

    async fn hear(&mut self, told: Told) {
        let Told { pair, key, reply, fact } = told;
        if self.now - reply.at.as_millis() > GIVES_UP {
            return;
        }
        self.touched = Some(pair);
        let (number_id, contact) = (number(number_of(pair)).id, &self.contacts[customer_of(pair)].id);
        self.store.take_reply(&number_id, contact, reply.clone(), at(self.now)).await.unwrap();
        if !reply.automatic {
            self.reference.openings.push((pair, reply.at.as_millis()));
        }
        let callback = reply.automatic && reply.granted;
        if !(callback && self.reference.callbacks_off[number_of(pair)]) {
            self.reference.hear(pair, key, reply.at.as_millis(), fact);
        }
    }

    async fn dial(&mut self, pair: usize, dies: bool) {
        let (now, to, number) = (at(self.now), self.customer(pair), number(number_of(pair)).id);
        let (call, agent, terms) = (CallId::generate(), agent().id, self.store.terms());
        let wish = DialWish { terms: &terms, call: &call, number: &number, to: &to, agent: &agent };
        let decided = self.store.decide_dial(wish, || now, |facts| admit(&facts, terms.rules(now))).await;
        let decided: Result<_, Denial> = decided.unwrap().unwrap();
        let allowed = decided.is_ok();
        let want = self.reference.against_dialling(pair, self.now);
        self.note("dialling", pair, coded(decided), want);
        if !allowed {
            return;
        }
        let n = self.begin(call, pair, Direction::BusinessInitiated);
        if dies {
            self.lost.push(n);
        } else {
            self.store.save_call(&self.records[n], vec![], now).await.unwrap();
            self.running.push(n);
        }
    }

    async fn answer(&mut self, nth: usize) {
        let Some(n) = newest(self.running.len(), nth) else { return };
        let n = self.running[n];
        let record = &mut self.records[n];
        if record.answered_at.is_none() {
            (record.state, record.answered_at) = (CallState::Active, Some(at(self.now)));
            self.report(n).await;
        }
    }

    async fn end(&mut self, nth: usize, how: How, settled: bool) {
        let Some(n) = newest(self.running.len(), nth) else { return };
        let n = self.running.remove(n);
        let record = &mut self.records[n];
        record.ended_at = Some(at(self.now));
        record.settled = settled;
        if let Some(answered_at) = record.answered_at {
            record.duration_ms = self.now - answered_at.as_millis();
            record.end_reason = Some(EndReason::Completed);
        } else {
            came_out(record, how);
        }
        self.ended.push(n);
        self.report(n).await;
    }

    async fn correct(&mut self, nth: usize, how: How) {
        let Some(n) = newest(self.ended.len(), nth) else { return };
        let n = self.ended[n];
        if self.now - self.records[n].created_at.as_millis() > GIVES_UP {
            return;
        }
        self.records[n].settled = true;
        came_out(&mut self.records[n], how);
        self.report(n).await;
    }

    async fn end_again(&mut self, nth: usize) {
        if let Some(n) = newest(self.ended.len(), nth) {
            self.report(self.ended[n]).await;
        }
    }

    async fn called_by(&mut self, pair: usize, answered: bool) {
        let n = self.begin(CallId::generate(), pair, Direction::UserInitiated);
        let record = &mut self.records[n];
        record.ended_at = Some(at(self.now));
        record.settled = true;
        came_out(record, if answered { How::Answered(0) } else { How::LetRing });
        self.ended.push(n);
        self.report(n).await;
    }

    async fn check(&mut self, pair: usize, books: Books) {
        let second = self.now.div_euclid(SECOND) * SECOND;
        let (status, holds) = match books {
            Books::Nothing => (PermissionStatus::None, None),
            Books::Temporary(left_s) => (PermissionStatus::Temporary, Some(End::At(second + left_s * SECOND))),
            Books::Untold => (PermissionStatus::Temporary, Some(End::Untold)),
            Books::Permanent => (PermissionStatus::Permanent, Some(End::Never)),
        };
        let end = if let Some(End::At(end)) = holds { Some(at(end)) } else { None };
        self.record(pair, Event::checked(status, end, at(self.now))).await;
        // A second question of the same second replaces the first.
        self.reference.hear(pair, format!("checked {second}"), second, Fact::Checked { holds });
    }

    async fn switch_callbacks(&mut self, n: usize, on: bool) {
        let number = number(n).id;
        let stored = self.store.settings(&number).await.unwrap();
        let (revision, mut wished) = stored.map_or_else(Default::default, |stored| (stored.revision, stored.wished));
        wished.callback_permission = on;
        let now = at(self.now);
        self.store.put_settings(&number, revision, &wished, &Default::default(), now, now).await.unwrap().unwrap();
        self.reference.callbacks_off[n] = !on;
    }

    async fn restart(&mut self) {
        self.store.close().await;
        self.store = house::open(&self.url, self.dir.path()).await;
        self.store.forget_lost_dials().await.unwrap();
        for n in std::mem::take(&mut self.lost) {
            let ended = Some(self.now);
            let gone = Report { answered: None, ended, not_taken: false, talked_ms: 0, settled: true };
            self.reference.report(n, gone);
        }
    }

    /// Enters a call in both worlds, so far in memory alone.
    fn begin(&mut self, id: CallId, pair: usize, direction: Direction) -> usize {
        let contact = self.contacts[customer_of(pair)].clone();
        self.records.push(CallRecord {
            state: CallState::Ringing,
            agent_id: Some(agent().id),
            ..CallRecord::begun(id, number(number_of(pair)).id, direction, contact, at(self.now))
        });
        self.reference.begin(pair, direction == Direction::BusinessInitiated, self.now);
        self.records.len() - 1
    }

    /// Stores a call as it stands, and compares what it costs.
    async fn report(&mut self, n: usize) {
        let record = &mut self.records[n];
        if record.ended_at.is_some() {
            record.state = CallState::Ended;
        }
        record.status = Status::of(record.state, record.answered_at.is_some(), record.end_reason);
        let saved = self.store.save_call(record, vec![], at(self.now)).await.unwrap();
        let report = Report {
            answered: record.answered_at.map(|at| at.as_millis()),
            ended: record.ended_at.map(|at| at.as_millis()),
            not_taken: matches!(record.end_reason, Some(EndReason::MissedByCustomer | EndReason::RejectedByCustomer)),
            talked_ms: record.duration_ms,
            settled: record.settled,
        };
        self.reference.report(n, report);
        let call = &self.reference.calls[n];
        let pair = call.pair;
        let costs = call.outbound && report.settled && report.answered.is_some();
        let want = costs.then(|| self.reference.books().charge(n));
        self.note("charge", pair, saved.charge.map(|charge| (charge.micros, charge.pulses)), want);
    }

    fn customer(&mut self, pair: usize) -> ContactRef {
        self.touched = Some(pair);
        ContactRef::Id(self.contacts[customer_of(pair)].id.clone())
    }

    fn note<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, pair: usize, got: T, want: T) {
        self.touched = Some(pair);
        let noted = same(&format!("{what} of pair {pair}, decided"), got, want);
        self.noted = std::mem::replace(&mut self.noted, Ok(())).and(noted);
    }

    async fn record(&mut self, pair: usize, event: Event) {
        self.touched = Some(pair);
        let (number, contact) = (number(number_of(pair)).id, &self.contacts[customer_of(pair)].id);
        self.store.record_permission(&number, contact, &[event], at(self.now)).await.unwrap();
    }
}

impl Asked {
    fn event(self, wamid: Option<String>) -> Event {
        Event::requested(&format!("req_{}", self.name), self.kind, wamid, at(self.at))
    }

    fn key(self) -> String {
        format!("asked {}", self.name)
    }
}

/// How a call came out that has ended.
fn came_out(record: &mut CallRecord, how: How) {
    (record.answered_at, record.duration_ms) = (None, 0);
    let outbound = record.direction == Direction::BusinessInitiated;
    record.end_reason = Some(match how {
        How::Answered(talked_s) => {
            let ended = record.ended_at.unwrap().as_millis();
            record.answered_at = Some(at((ended - talked_s * SECOND).max(record.created_at.as_millis())));
            record.duration_ms = talked_s * SECOND;
            EndReason::Completed
        }
        How::LetRing if outbound => EndReason::MissedByCustomer,
        How::Declined if outbound => EndReason::RejectedByCustomer,
        How::LetRing | How::Declined => EndReason::MissedByAgent,
        How::Failed => EndReason::SetupFailed,
    });
}

/// The place of the nth newest of so many.
fn newest(len: usize, nth: usize) -> Option<usize> {
    len.checked_sub(nth + 1)
}

fn wamid(name: usize) -> String {
    format!("wamid.{name}")
}
