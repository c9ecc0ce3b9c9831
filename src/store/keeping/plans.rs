//! What the sweeps read, as the database plans it, when nearly all there is was done with long ago.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::model::id::RecordingId;
use crate::model::reason::{EndReason, RecordingState};
use crate::store::fixture::{self, Fixture, T0, at, on_both};

const PAST: i64 = 3_000;

/// A finished recording, and [`PAST`] each that were purged, are in the store alone, and are here and young.
async fn years_of_recordings(t: &Fixture) -> CallId {
    let contact = t.seed().await;
    let call = fixture::ended(t.call(&contact, 0).await, EndReason::Completed, T0);
    t.store.save_call(&call, vec![], T0).await.unwrap();
    let id = RecordingId::generate();
    let path = format!("recordings/2026-11-18/{id}.wav").into();
    let file = RecordingFile { id, path, state: RecordingState::Ready, sha256: None };
    t.store.put_recording(&call.id, &file).await.unwrap();
    t.store.enter_finished(at(5)).await.unwrap();
    let counted = format!("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PAST}) ");
    for (kind, columns) in [
        ("purged", format!("'deleted', {0}, NULL, NULL, NULL, {0}", T0.as_millis())),
        ("stored", format!("'ready', {0}, 's3://voices', {0}, NULL, NULL", T0.as_millis())),
        ("young", format!("'ready', {0}, 's3://voices', {0}, {0}, NULL", at(9_999_999).as_millis())),
    ] {
        for into in [
            format!(
                "INSERT INTO calls (id, number_id, contact_id, direction, state, status, created_at, duration_ms, \
                 recording_state, recording_duration_ms, recording_gaps, trace) {counted} SELECT '{kind}' || i, \
                 c.number_id, c.contact_id, c.direction, c.state, c.status, c.created_at, 0, 'ready', 0, 0, c.trace \
                 FROM calls c, n WHERE c.id = '{}'",
                call.id
            ),
            format!(
                "INSERT INTO recordings (call_id, id, path, state, finished_at, store, stored_at, local_since, purged_at) \
                 {counted} SELECT '{kind}' || i, '{kind}' || i, 'x', {columns} FROM n"
            ),
        ] {
            sqlx::query(AssertSqlSafe(into)).execute(&t.store.writer).await.unwrap();
        }
    }
    for table in ["recordings", "calls", "numbers"] {
        sqlx::query(AssertSqlSafe(format!("ANALYZE {table}"))).execute(&t.store.writer).await.unwrap();
    }
    call.id
}

on_both!(no_sweep_reads_recordings_that_were_done_with);
async fn no_sweep_reads_recordings_that_were_done_with(t: Fixture) {
    let call = years_of_recordings(&t).await;
    let now = at(9_999_999).as_millis();
    for (sql, parameters, index) in [
        (DUE_UPLOADS, &[now, LOOK_MAX][..], "recordings_to_store"),
        (WAITING, &[], "recordings_to_store"),
        (SPARE_LOCALS, &[T0.as_millis(), LOOK_MAX], "recordings_to_spare"),
        (EXPIRED, &[2, now, DAY_MS, LOOK_MAX, at(1).as_millis()], "recordings_to_expire"),
        (DUE_PURGES, &[now, LOOK_MAX], "recordings_unpurged"),
    ] {
        let plan = plan(&t, sql, parameters).await;
        assert!(plan.contains(index), "{sql}\n{plan}");
    }
    assert_eq!(t.store.due_uploads(at(9)).await.unwrap()[0].call, call);
    assert_eq!(t.store.keeping_figures().await.unwrap().waiting, 1);
    assert!(t.store.expired_recordings(2, at(9)).await.unwrap().is_empty());
}

async fn plan(t: &Fixture, sql: &str, parameters: &[i64]) -> String {
    let sqlite = sqlx::query("SELECT sqlite_version()").fetch_one(&t.store.reader).await.is_ok();
    let (explain, column) = if sqlite { ("EXPLAIN QUERY PLAN", 3) } else { ("EXPLAIN", 0) };
    let mut query = sqlx::query(AssertSqlSafe(format!("{explain} {sql}")));
    for parameter in parameters {
        query = query.bind(*parameter);
    }
    if sql == SPARE_LOCALS {
        query = query.bind("s3://voices");
    }
    let rows: Vec<AnyRow> = query.fetch_all(&t.store.reader).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(column) + "\n").collect()
}
