//! A database of the first release is brought to this schema: what its calls mean for the limits, the permissions and the
//! pickup guard is what it would have been, had they been made today.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Column, Connection, Row};

use super::fixture::{self, Database, Fixture, T0, agent_id, at, granted, number_id, on_both};
use super::open::migrate_to;
use super::{DialWish, Store};
use crate::call::record::CallRecord;
use crate::model::directory::{Contact, ContactRef};
use crate::model::id::{CallId, NumberId};
use crate::model::reason::{CallState, Direction, EndReason, PermissionStatus};

/// What a call comes to in the books, table by table.
const BOOKS: [&str; 5] = [
    "SELECT call_id, number_id, contact_id, position, dialled_at, connected_at, in_flight FROM dials ORDER BY 1",
    "SELECT number_id, dialled, in_flight FROM dial_counters ORDER BY 1",
    "SELECT number_id, contact_id, opened_at FROM service_windows ORDER BY 1, 2",
    "SELECT number_id, contact_id, key, at, body FROM permission_events ORDER BY 1, 2, 3",
    "SELECT number_id, hour, inbound, inbound_missed, outbound, outbound_missed FROM pickup ORDER BY 1, 2",
];
/// What the first release has in common with this one.
const KEPT: [&str; 4] = [
    "SELECT id, display_phone, plan, add_ons, messaging_limit, platform FROM numbers",
    "SELECT id, name, role, excluded, configure_calls, all_calls, status FROM agents",
    "SELECT id, phone, created_at, search_text, merged_into FROM contacts ORDER BY merged_into IS NOT NULL",
    "SELECT id, number_id, contact_id, direction, state, status, agent_id, created_at, answered_at, ended_at, duration_ms, \
     end_reason, recording_state, recording_duration_ms, recording_gaps, trace FROM calls",
];

on_both!(calls_of_the_first_release_count_as_if_they_had_been_made_today);
async fn calls_of_the_first_release_count_as_if_they_had_been_made_today(t: Fixture) {
    let nino = t.seed().await;
    let beka = t.customer("995555010204").await;
    let other = crate::model::directory::Number { id: NumberId::parse("7").unwrap(), ..fixture::number() };
    t.store.put_number(&other, None).await.unwrap();
    let hour = 3600;
    use Direction::{BusinessInitiated as Outbound, UserInitiated as Inbound};
    let connected = (EndReason::Completed, Some(5));
    for (i, (direction, contact, (reason, answered))) in [
        (Outbound, &nino, connected),
        (Outbound, &nino, (EndReason::MissedByCustomer, None)),
        (Outbound, &beka, (EndReason::RejectedByCustomer, None)),
        (Outbound, &beka, (EndReason::SetupFailed, None)),
        (Inbound, &nino, connected),
        (Inbound, &beka, (EndReason::MissedByAgent, None)),
        (Inbound, &beka, (EndReason::BusinessUnavailable, None)),
        (Outbound, &nino, (EndReason::MissedByCustomer, None)),
    ]
    .into_iter()
    .enumerate()
    {
        let begun = i as i64 * hour;
        let call = call(&t, &number_id(), direction, contact, begun, answered).await;
        end(&t, call, reason, begun + 60).await;
    }
    let elsewhere = call(&t, &other.id, Outbound, &nino, 9 * hour, None).await;
    end(&t, elsewhere, EndReason::MissedByCustomer, 9 * hour + 60).await;
    // Two run when the program is replaced.
    call(&t, &number_id(), Outbound, &nino, 10 * hour, None).await;
    call(&t, &number_id(), Outbound, &beka, 11 * hour, Some(5)).await;

    let old = FirstRelease::like(&t, async |old| {
        // A call that was saved while its contact was folded into Nino's may name the old one.
        old.run(
            "INSERT INTO contacts (id, created_at, search_text, merged_into) SELECT 'con_old', 0, '', id FROM contacts \
             WHERE phone = '995555111222'",
        )
        .await;
        old.run("UPDATE calls SET contact_id = 'con_old' WHERE created_at = (SELECT MIN(created_at) FROM calls)").await;
    })
    .await;
    let (new, _dir) = old.open().await;
    for table in BOOKS {
        let (want, got) = (rows(&t.store, table).await, rows(&new, table).await);
        assert!(!want.is_empty());
        assert_eq!(got, want, "{table}");
    }
    for contact in [&nino, &beka] {
        for number in [&number_id(), &other.id] {
            let (want, got) =
                (t.store.permission(number, &contact.id).await, new.permission(number, &contact.id).await);
            assert_eq!(got.unwrap(), want.unwrap());
        }
    }
    assert_eq!(
        new.permissions(&super::PermissionFilter::of(number_id()), 9, None, at(0)).await.unwrap().items.len(),
        0,
        "nobody decided anything"
    );
}

on_both!(what_customers_had_decided_goes_on_with_the_calls_made_since);
async fn what_customers_had_decided_goes_on_with_the_calls_made_since(t: Fixture) {
    let nino = t.seed().await;
    t.store.record_permission(&number_id(), &nino.id, &[granted("a", T0)], T0).await.unwrap();
    for begun in [100, 200, 300] {
        let call = call(&t, &number_id(), Direction::BusinessInitiated, &nino, begun, None).await;
        end(&t, call, EndReason::MissedByCustomer, begun + 60).await;
    }
    let old = FirstRelease::like(&t, async |old| {
        let decided = format!(
            "INSERT INTO permissions (number_id, contact_id, status, decided_at, weight) VALUES ('{}', '{}', 'permanent', {}, 1)",
            number_id(),
            nino.id,
            T0.as_millis()
        );
        old.run(&decided).await;
    })
    .await;
    let (new, _dir) = old.open().await;
    let view = new.permission(&number_id(), &nino.id).await.unwrap().view(&number_id(), &nino.id, at(999));
    assert_eq!((view.status, view.unanswered_in_a_row), (PermissionStatus::Permanent, 3), "one more takes it away");
}

/// A call as it begins, or has been answered.
async fn call(
    t: &Fixture,
    number: &NumberId,
    direction: Direction,
    contact: &Contact,
    begun: i64,
    answered: Option<i64>,
) -> CallRecord {
    let mut call = CallRecord {
        id: CallId::generate(),
        number_id: number.clone(),
        direction,
        agent_id: Some(agent_id("a")),
        offers: Vec::new(),
        ..fixture::ringing(contact, at(begun))
    };
    if direction == Direction::BusinessInitiated {
        let (to, agent, terms) = (ContactRef::Id(contact.id.clone()), agent_id("a"), t.store.terms());
        let wish = DialWish { terms: &terms, call: &call.id, number, to: &to, agent: &agent };
        t.store.decide_dial(wish, || at(begun), |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
    }
    if let Some(answered) = answered {
        call.state = CallState::Active;
        call.answered_at = Some(at(begun + answered));
    }
    t.store.save_call(&call, vec![], at(begun)).await.unwrap();
    call
}

async fn end(t: &Fixture, call: CallRecord, reason: EndReason, secs: i64) {
    t.store.save_call(&fixture::ended(call, reason, at(secs)), vec![], at(secs)).await.unwrap();
}

/// A database as the first release left it.
struct FirstRelease {
    url: String,
    connection: AnyConnection,
    dir: tempfile::TempDir,
}

impl FirstRelease {
    /// With the directory and the calls of another store, and whatever else was the case.
    async fn like(t: &Fixture, also: impl AsyncFnOnce(&mut Self)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (url, to) = match t.database() {
            Some(_) => {
                let url = Database::create().await.url();
                (url.clone(), url)
            }
            None => (String::new(), format!("sqlite://{}?mode=rwc", dir.path().join("tandem.sqlite3").display())),
        };
        let connection = AnyConnection::connect(&to).await.unwrap();
        let mut old = Self { url, connection, dir };
        migrate_to(1, &mut old.connection, "old").await.unwrap();
        for table in KEPT {
            old.copy(&t.store, table).await;
        }
        also(&mut old).await;
        old
    }

    async fn copy(&mut self, from: &Store, select: &'static str) {
        let into = select.split(" FROM ").nth(1).unwrap().split(' ').next().unwrap();
        for row in sqlx::query(select).fetch_all(&from.reader).await.unwrap() {
            let columns: Vec<_> = row.columns().iter().map(|column| column.name().to_owned()).collect();
            let values: Vec<_> =
                values(&row).into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_owned())).collect();
            self.run(&format!("INSERT INTO {into} ({}) VALUES ({})", columns.join(", "), values.join(", "))).await;
        }
    }

    async fn run(&mut self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    /// The folder goes with the second.
    async fn open(self) -> (Store, tempfile::TempDir) {
        self.connection.close().await.unwrap();
        (Store::open(&self.url, self.dir.path()).await.unwrap(), self.dir)
    }
}

async fn rows(store: &Store, select: &'static str) -> Vec<Vec<Option<String>>> {
    sqlx::query(select).fetch_all(&store.reader).await.unwrap().iter().map(values).collect()
}

/// As SQL would write them.
fn values(row: &AnyRow) -> Vec<Option<String>> {
    let value = |i| match row.try_get::<Option<i64>, _>(i) {
        Ok(number) => number.map(|number| number.to_string()),
        Err(_) => row.get::<Option<String>, _>(i).map(|text| format!("'{}'", text.replace('\'', "''"))),
    };
    (0..row.columns().len()).map(value).collect()
}
