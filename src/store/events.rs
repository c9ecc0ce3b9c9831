//! The event log. Its sequence has no gaps and no repeats: the number is taken from a counter row inside the
//! transaction that changes the state, so a rolled-back change gives its number back, and whoever reads up to N has
//! seen everything up to N.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::Store;
use super::error::Result;
use super::sql::{Columns, json_text};
use crate::model::event::{Event, NewEvent};
use crate::model::id::{AgentId, CallId};
use crate::model::time::Timestamp;

/// One read of the log; a reader that needs more comes again.
const READ_MAX: u32 = 1000;

impl Store {
    /// Logs events that go with no other change. They come back with their sequence, in order.
    pub async fn append(&self, events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Event>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.writer.begin().await?;
        let events = append(&mut tx, events, now).await?;
        tx.commit().await?;
        Ok(events)
    }

    /// Events after `seq` (0 = from the start), oldest first, at most `limit` and at most 1000.
    pub async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<Event>> {
        let rows = sqlx::query("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq)
            .bind(i64::from(limit.min(READ_MAX)))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read_event).collect()
    }

    /// A call's events, oldest first, at most 1000.
    pub async fn events_of_call(&self, call: &CallId) -> Result<Vec<Event>> {
        let rows = sqlx::query("SELECT * FROM events WHERE call_id = $1 ORDER BY seq LIMIT $2")
            .bind(call.as_str())
            .bind(i64::from(READ_MAX))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read_event).collect()
    }

    /// The newest sequence; 0 while the log is empty.
    pub async fn last_seq(&self) -> Result<i64> {
        let row = sqlx::query("SELECT value FROM counters WHERE name = 'events'").fetch_one(&self.reader).await?;
        Ok(row.try_get(0)?)
    }
}

/// Logs events inside a transaction. Call it last: every writer waits for the counter's row from here to the commit.
pub(super) async fn append(
    tx: &mut Transaction<'static, Any>,
    events: Vec<NewEvent>,
    now: Timestamp,
) -> Result<Vec<Event>> {
    let count = i64::try_from(events.len()).expect("a list in memory is shorter than 2^63");
    if count == 0 {
        return Ok(Vec::new());
    }
    let last: i64 = sqlx::query("UPDATE counters SET value = value + $1 WHERE name = 'events' RETURNING value")
        .bind(count)
        .fetch_one(&mut **tx)
        .await?
        .try_get(0)?;
    let mut logged = Vec::with_capacity(events.len());
    for (event, seq) in events.into_iter().zip(last - count + 1..) {
        sqlx::query(
            "INSERT INTO events (seq, kind, occurred_at, call_id, agent_id, data) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(seq)
        .bind(event.kind)
        .bind(now.as_millis())
        .bind(event.call_id.as_ref().map(CallId::as_str))
        .bind(event.agent_id.as_ref().map(AgentId::as_str))
        .bind(json_text(&event.data))
        .execute(&mut **tx)
        .await?;
        logged.push(Event {
            kind: event.kind.to_owned(),
            seq,
            occurred_at: now,
            call_id: event.call_id,
            agent_id: event.agent_id,
            data: event.data,
        });
    }
    Ok(logged)
}

fn read_event(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        kind: row.text("kind")?,
        seq: row.int("seq")?,
        occurred_at: row.time("occurred_at")?,
        call_id: row.word_opt("call_id")?,
        agent_id: row.word_opt("agent_id")?,
        data: row.json("data")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    fn new(kind: &'static str, data: serde_json::Value) -> NewEvent {
        NewEvent { kind, call_id: Some(CallId::parse("call_1").unwrap()), agent_id: None, data }
    }

    on_both!(sixty_four_tasks_log_without_gap_or_repeat_and_each_batch_stays_together);
    async fn sixty_four_tasks_log_without_gap_or_repeat_and_each_batch_stays_together(t: Fixture) {
        let tasks = (0..64).map(|task| {
            let store = t.store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for round in 0..5 {
                    let batch = (0..3).map(|n| new("x", serde_json::json!([task, round, n]))).collect();
                    let logged = store.append(batch, T0).await.unwrap();
                    assert_eq!(logged.iter().map(|e| e.seq - logged[0].seq).collect::<Vec<_>>(), [0, 1, 2]);
                    mine.extend(logged.into_iter().map(|e| (e.seq, e.data)));
                }
                mine
            })
        });
        let mut given: Vec<_> =
            futures_util::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        given.sort_by_key(|(seq, _)| *seq);
        assert!(given.iter().map(|(seq, _)| *seq).eq(1..=960), "gap-free from 1");
        let t = t.restart().await;
        assert_eq!(t.store.last_seq().await.unwrap(), 960);
        let log = t.store.events_after(0, 5000).await.unwrap();
        assert!(log.iter().map(|e| (e.seq, e.data.clone())).eq(given), "the log holds what the writers were told");
        assert_eq!(t.store.events_after(958, 1).await.unwrap()[0].seq, 959);
        assert!(t.store.events_after(960, 10).await.unwrap().is_empty());
    }

    on_both!(a_change_that_fails_gives_its_numbers_back);
    async fn a_change_that_fails_gives_its_numbers_back(t: Fixture) {
        let contact = t.seed().await;
        let mut call = fixture::ringing(&contact, T0);
        let saved = t.store.save_call(&call, vec![new("a", serde_json::Value::Null)], T0).await.unwrap();
        assert_eq!(saved.events[0].seq, 1);
        call.offers.push(call.offers[0].clone());
        assert!(t.store.save_call(&call, vec![new("b", serde_json::Value::Null)], T0).await.is_err());
        let mut tx = t.store.writer.begin().await.unwrap();
        append(&mut tx, vec![new("c", serde_json::Value::Null)], T0).await.unwrap();
        drop(tx);
        assert_eq!(t.store.append(vec![new("d", serde_json::Value::Null)], at(1)).await.unwrap()[0].seq, 2);
        assert!(t.store.append(vec![], at(1)).await.unwrap().is_empty());
        let log = t.store.events_after(0, 10).await.unwrap();
        assert_eq!(log.iter().map(|e| (e.seq, e.kind.as_str())).collect::<Vec<_>>(), [(1, "a"), (2, "d")]);
    }

    on_both!(an_event_reads_back_as_it_was_told);
    async fn an_event_reads_back_as_it_was_told(t: Fixture) {
        let data = serde_json::json!({"digit": "#", "text": "a\u{0}b'\"\\ 😀", "n": 1.5, "big": i64::MAX});
        let told = NewEvent { agent_id: Some(fixture::agent_id("a")), ..new("call.dtmf", data) };
        let given = t.store.append(vec![told], at(7)).await.unwrap().remove(0);
        let read = t.store.events_after(0, 10).await.unwrap().remove(0);
        assert_eq!(read.agent_id, given.agent_id);
        assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&given).unwrap());
        assert_eq!(read.occurred_at, at(7));
    }
}
