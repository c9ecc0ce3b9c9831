//! A store to test against: SQLite in a folder, or a database of its own on the PostgreSQL that `tests/with-postgres.sh`
//! starts. A test that is listed with [`on_both`] runs on either.

use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use super::{CustomerIdentity, Store};
use crate::call::record::{CallRecord, LegRecord, OfferRecord, Status};
use crate::model::directory::{Agent, Contact, Number, Plan, Platform, Switches};
use crate::model::id::{AgentId, CallId, LegId, NumberId, OfferId};
use crate::model::phone::Phone;
use crate::model::quality::Quality;
use crate::model::reason::{
    CallState, Direction, EndReason, GrantSource, LegKind, OfferCause, OfferOutcome, Presence, Role,
};
use crate::model::rtp::Side;
use crate::model::time::Timestamp;
use crate::model::transcript::Segment;
use crate::policy::permission::{Event, What};

/// 2026-11-18T09:46:40Z.
pub(super) const T0: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// This many seconds after [`T0`].
pub(super) fn at(secs: i64) -> Timestamp {
    T0.plus(Duration::from_secs(secs as u64))
}

/// Makes two tests of `async fn name(t: Fixture)`: `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::store::fixture::open().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name($crate::store::fixture::postgres().await).await;
            }
        }
    };
}
pub(super) use on_both;

/// An open store with a folder of its own, removed at the end.
pub(super) struct Fixture {
    pub(super) store: Store,
    dir: tempfile::TempDir,
    /// As in the configuration; empty = SQLite in `dir`.
    url: String,
    database: Option<Database>,
}

/// On SQLite.
pub(super) async fn open() -> Fixture {
    on(None).await
}

/// On PostgreSQL, in a database whose defaults are none that the store may rely on.
pub(super) async fn postgres() -> Fixture {
    let database = Database::create().await;
    for default in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = 'on'",
        "synchronous_commit = 'off'",
    ] {
        database.administer(&format!("ALTER DATABASE {} SET {default}", database.name)).await;
    }
    on(Some(database)).await
}

async fn on(database: Option<Database>) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let url = database.as_ref().map(Database::url).unwrap_or_default();
    let store = Store::open(&url, dir.path()).await.unwrap();
    Fixture { store, dir, url, database }
}

/// A database on the PostgreSQL of the tests. It goes with the cluster.
pub(super) struct Database {
    pub(super) name: String,
}

impl Database {
    pub(super) async fn create() -> Self {
        Self::create_with("").await
    }

    /// With more words to CREATE DATABASE.
    pub(super) async fn create_with(words: &str) -> Self {
        let database = Self { name: format!("tandem_{}", uuid::Uuid::now_v7().simple()) };
        database.administer(&format!("CREATE DATABASE {} {words}", database.name)).await;
        database
    }

    pub(super) fn url(&self) -> String {
        let server = server();
        let (before, _) = server.rsplit_once('/').expect("the URL ends with a database");
        format!("{before}/{}", self.name)
    }

    /// The server's superuser runs this, from another database.
    pub(super) async fn administer(&self, sql: &str) {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&server()).await.unwrap();
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Nobody gets in any more, and whoever is in is thrown out, as when the server is stopped.
    pub(super) async fn go_away(&self) {
        self.administer(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", self.name)).await;
        self.throw_out("true").await;
    }

    pub(super) async fn come_back(&self) {
        self.administer(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name)).await;
    }

    /// Cuts the connections that fit a condition on `pg_stat_activity`, and waits until they are gone.
    pub(super) async fn throw_out(&self, whom: &str) {
        let condition = format!("datname = '{}' AND ({whom})", self.name);
        // With a time to wait, the function comes back when the process has ended.
        self.administer(&format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {condition}"))
            .await;
    }
}

/// The superuser's URL.
pub(super) fn server() -> String {
    std::env::var("TANDEM_TEST_POSTGRES")
        .expect("half of the store's tests need a PostgreSQL: run `make test`, or `tests/with-postgres.sh cargo test`")
}

impl Fixture {
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What plays the server's administrator; none on SQLite.
    pub(super) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Waits until a session of this database waits for another's lock.
    pub(super) async fn until_somebody_waits(&self) {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query(waiting).fetch_optional(&self.store.reader).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The program dies without a word (nothing is closed first) and starts again.
    pub(super) async fn restart(self) -> Self {
        let store = Store::open(&self.url, self.dir.path()).await.unwrap();
        Self { store, ..self }
    }

    /// One number, agents `agt_a` and `agt_b`, and a contact.
    pub(super) async fn seed(&self) -> Contact {
        self.store.put_number(&number(), None).await.unwrap();
        for name in ["a", "b"] {
            self.store.put_agent(&agent(name)).await.unwrap();
        }
        self.customer("995555111222").await
    }

    pub(super) async fn customer(&self, phone: &str) -> Contact {
        let who = CustomerIdentity { phone: Some(Phone::parse(phone).unwrap()), ..CustomerIdentity::default() };
        self.store.identify(&who, T0).await.unwrap()
    }

    /// A saved call that rings agent `a`.
    pub(super) async fn call(&self, contact: &Contact, secs: i64) -> CallRecord {
        let call = ringing(contact, at(secs));
        self.store.save_call(&call, vec![], at(secs)).await.unwrap();
        call
    }
}

pub(super) fn number_id() -> NumberId {
    NumberId::parse("100000000000001").unwrap()
}

pub(super) fn agent_id(name: &str) -> AgentId {
    AgentId::parse(&format!("agt_{name}")).unwrap()
}

pub(super) fn number() -> Number {
    Number {
        id: number_id(),
        display_phone_number: Phone::parse("+995322000111").unwrap(),
        plan: Plan::Growth,
        add_ons: vec![],
        messaging_limit: 2000,
        platform: Platform::CloudApi,
        graph_token_set: false,
        record: None,
        keep_recordings_days: None,
    }
}

pub(super) fn agent(name: &str) -> Agent {
    Agent {
        id: agent_id(name),
        name: format!("Agent {name}"),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Offline,
    }
}

/// A user-initiated call with one offer and one leg, not saved.
pub(super) fn ringing(contact: &Contact, now: Timestamp) -> CallRecord {
    CallRecord {
        state: CallState::Ringing,
        offers: vec![OfferRecord {
            id: OfferId::generate(),
            agent_id: agent_id("a"),
            offered_at: now,
            outcome: OfferOutcome::Pending,
            cause: None,
            ended_at: None,
            reason: "the assignee".to_owned(),
        }],
        legs: vec![LegRecord {
            id: LegId::generate(),
            kind: LegKind::WhatsApp,
            quality: Quality { packets_received: 7, loss_ratio: 0.25, mos: Some(4.1), ..Quality::default() },
            history: Vec::new(),
        }],
        trace: serde_json::json!([{"step": "chat_assignee", "verdict": "chosen"}]),
        ..CallRecord::begun(CallId::generate(), number_id(), Direction::UserInitiated, contact.clone(), now)
    }
}

/// The same call, ended for this reason, its last offer missed.
pub(super) fn ended(mut call: CallRecord, reason: EndReason, now: Timestamp) -> CallRecord {
    call.state = CallState::Ended;
    call.end_reason = Some(reason);
    call.ended_at = Some(now);
    call.status = Status::of(call.state, call.answered_at.is_some(), call.end_reason);
    for offer in call.offers.iter_mut().filter(|o| o.outcome == OfferOutcome::Pending) {
        offer.outcome = OfferOutcome::MissedByAgent;
        offer.cause = Some(OfferCause::RingTimeout);
        offer.ended_at = Some(now);
    }
    call
}

/// The customer permits calls for good.
pub(super) fn granted(key: &str, at: Timestamp) -> Event {
    let what = What::Granted { permanent: true, expires_at: None, source: GrantSource::Profile, context: None };
    Event { key: key.to_owned(), at, what }
}

/// The customer declines.
pub(super) fn declined(key: &str, at: Timestamp) -> Event {
    Event { key: key.to_owned(), at, what: What::Declined { context: None } }
}

/// A final segment of 0.9 s.
pub(super) fn said(speaker: Side, index: u32, start_ms: u64, text: &str) -> Segment {
    Segment {
        speaker,
        index,
        start_ms,
        end_ms: start_ms + 900,
        text: text.to_owned(),
        is_final: true,
        stable_chars: text.chars().count() as u32,
        confidence: Some(0.875),
        language: Some("en".to_owned()),
    }
}
