//! Calls by hour, answered and missed, for the pickup guard. A week is 168 rows whatever the traffic.

use serde_json::json;
use sqlx::{Any, Transaction};

use super::Store;
use super::error::{Result, StoreError};
use super::settings::append_one;
use super::sql::Columns;
use crate::model::event::Event;
use crate::model::id::NumberId;
use crate::model::reason::{Direction, PickupStage};
use crate::model::time::Timestamp;
use crate::policy::pack::PickupRules;
use crate::policy::pickup::{Hour, Pickup, window_start};

const HOUR_MS: i64 = 3_600_000;

impl Store {
    /// Calls of a number that ended since the hour of `since`.
    pub async fn pickup(&self, n: &NumberId, since: Timestamp) -> Result<Pickup> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(inbound), 0) AS BIGINT) AS inbound, \
             CAST(COALESCE(SUM(inbound_missed), 0) AS BIGINT) AS inbound_missed, \
             CAST(COALESCE(SUM(outbound), 0) AS BIGINT) AS outbound, \
             CAST(COALESCE(SUM(outbound_missed), 0) AS BIGINT) AS outbound_missed \
             FROM pickup WHERE number_id = $1 AND hour >= $2",
        )
        .bind(n.as_str())
        .bind(hour(since))
        .fetch_one(&self.reader)
        .await?;
        let count = |column| -> Result<u64> { Ok(u64::try_from(row.int(column)?).unwrap_or(0)) };
        Ok(Pickup {
            inbound: count("inbound")?,
            inbound_missed: count("inbound_missed")?,
            outbound: count("outbound")?,
            outbound_missed: count("outbound_missed")?,
        })
    }

    /// Hours of a number with outbound calls that ended since the hour of `since`.
    pub async fn outbound_hours(&self, n: &NumberId, since: Timestamp) -> Result<Vec<Hour>> {
        let mut tx = self.reader.begin().await?;
        let hours = outbound_hours(&mut tx, n, since).await?;
        tx.commit().await?;
        Ok(hours)
    }

    /// Numbers with calls since the hour of `since`, or whose stage may have to fall back without any.
    pub async fn pickup_numbers(&self, since: Timestamp) -> Result<Vec<NumberId>> {
        let rows = sqlx::query(
            "SELECT number_id FROM pickup WHERE hour >= $1 UNION SELECT number_id FROM pickup_stages WHERE stage <> $2",
        )
        .bind(hour(since))
        .bind(PickupStage::Fine.as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| row.word("number_id")).collect()
    }

    /// The stage a number was last found in, and since when; `fine` since ever while nothing was found.
    pub async fn pickup_stage(&self, n: &NumberId) -> Result<(PickupStage, Option<Timestamp>)> {
        let row = sqlx::query("SELECT stage, since FROM pickup_stages WHERE number_id = $1")
            .bind(n.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map_or(Ok((PickupStage::Fine, None)), |row| Ok((row.word("stage")?, Some(row.time("since")?))))
    }

    /// Keeps the stage a number was found in, with the event `number.pickup_stage_changed` when it is another than before.
    pub async fn put_pickup_stage(
        &self,
        n: &NumberId,
        stage: PickupStage,
        pickup: Pickup,
        now: Timestamp,
    ) -> Result<Option<Event>> {
        let mut tx = self.writer.begin().await?;
        // The row is there first, so that the change below locks it and knows what was before.
        sqlx::query("INSERT INTO pickup_stages (number_id, stage, since) VALUES ($1, $2, $3) ON CONFLICT (number_id) DO NOTHING")
            .bind(n.as_str())
            .bind(PickupStage::Fine.as_str())
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await
            .map_err(StoreError::on_write(|| format!("number {n}")))?;
        let changed =
            sqlx::query("UPDATE pickup_stages SET stage = $2, since = $3 WHERE number_id = $1 AND stage <> $2")
                .bind(n.as_str())
                .bind(stage.as_str())
                .bind(now.as_millis())
                .execute(&mut *tx)
                .await?;
        let event = if changed.rows_affected() == 0 {
            None
        } else {
            let data = json!({"number_id": n, "stage": stage, "pickup": pickup});
            Some(append_one(&mut tx, "number.pickup_stage_changed", data, now).await?)
        };
        tx.commit().await?;
        Ok(event)
    }

    /// Removes hours that no window reaches back to.
    pub async fn forget_pickup(&self, before: Timestamp) -> Result<u64> {
        let gone = sqlx::query("DELETE FROM pickup WHERE hour < $1").bind(hour(before)).execute(&self.writer).await?;
        Ok(gone.rows_affected())
    }
}

/// What the pickup guard looks at before an outbound call: nothing, unless the pack has it hold calls back.
pub(super) async fn held_by(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    rules: &PickupRules,
    now: Timestamp,
) -> Result<Vec<Hour>> {
    match rules.hold_outbound_percent {
        Some(_) => outbound_hours(tx, n, window_start(rules, now)).await,
        None => Ok(Vec::new()),
    }
}

async fn outbound_hours(tx: &mut Transaction<'static, Any>, n: &NumberId, since: Timestamp) -> Result<Vec<Hour>> {
    let rows = sqlx::query(
        "SELECT hour, outbound, outbound_missed FROM pickup WHERE number_id = $1 AND hour >= $2 AND outbound > 0",
    )
    .bind(n.as_str())
    .bind(hour(since))
    .fetch_all(&mut **tx)
    .await?;
    let read = rows.iter().map(|row| {
        Ok(Hour {
            begins_at: Timestamp::from_millis(row.int("hour")? * HOUR_MS),
            calls: u64::try_from(row.int("outbound")?).unwrap_or(0),
            missed: u64::try_from(row.int("outbound_missed")?).unwrap_or(0),
        })
    });
    read.collect()
}

/// A call as the guard counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    /// Nobody picked up.
    pub(super) missed: bool,
}

/// Counts a call once, as it `is`, inside the transaction that says so; `was`: as it had been counted before.
pub(super) async fn recount(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    direction: Direction,
    was: Option<Ended>,
    is: Option<Ended>,
) -> Result<()> {
    if was == is {
        return Ok(());
    }
    let mut steps = [(was, -1_i64), (is, 1)];
    // Two corrections at once lock the hours in one order.
    steps.sort_by_key(|(call, _)| call.map(|call| call.at));
    for (call, step) in steps {
        let Some(Ended { at, missed }) = call else { continue };
        let (inbound, outbound) = match direction {
            Direction::UserInitiated => (step, 0),
            Direction::BusinessInitiated => (0, step),
        };
        let missed = i64::from(missed);
        sqlx::query(
            "INSERT INTO pickup (number_id, hour, inbound, inbound_missed, outbound, outbound_missed) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (number_id, hour) DO UPDATE SET \
             inbound = pickup.inbound + excluded.inbound, inbound_missed = pickup.inbound_missed + excluded.inbound_missed, \
             outbound = pickup.outbound + excluded.outbound, \
             outbound_missed = pickup.outbound_missed + excluded.outbound_missed",
        )
        .bind(n.as_str())
        .bind(hour(at))
        .bind(inbound)
        .bind(inbound * missed)
        .bind(outbound)
        .bind(outbound * missed)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Hours since 1970.
const fn hour(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{self, Fixture, T0, at, number_id, on_both};
    use Direction::{BusinessInitiated, UserInitiated};

    async fn count(t: &Fixture, direction: Direction, missed: bool, secs: i64) {
        let mut tx = t.store.writer.begin().await.unwrap();
        let is = Some(Ended { at: at(secs), missed });
        recount(&mut tx, &number_id(), direction, None, is).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn numbers(t: &Fixture, since: i64) -> [u64; 4] {
        let p = t.store.pickup(&number_id(), at(since)).await.unwrap();
        [p.inbound, p.inbound_missed, p.outbound, p.outbound_missed]
    }

    on_both!(calls_are_counted_by_hour_direction_and_fate);
    async fn calls_are_counted_by_hour_direction_and_fate(t: Fixture) {
        t.seed().await;
        assert_eq!(numbers(&t, 0).await, [0; 4]);
        for (direction, missed, secs) in [
            (UserInitiated, false, 0),
            (UserInitiated, true, 1),
            (UserInitiated, true, 3600),
            (BusinessInitiated, true, 3601),
            (BusinessInitiated, false, 7200),
        ] {
            count(&t, direction, missed, secs).await;
        }
        assert_eq!(numbers(&t, 0).await, [3, 2, 2, 1]);
        // T0 is 6:40 past the hour: 53:20 later the next one begins.
        assert_eq!(numbers(&t, 3600).await, [1, 1, 2, 1]);
        assert_eq!(numbers(&t, 7200).await, [0, 0, 1, 0]);
        assert_eq!(numbers(&t, 90_000).await, [0; 4]);
        assert_eq!(t.store.forget_pickup(at(3600)).await.unwrap(), 1);
        assert_eq!(numbers(&t, 0).await, [1, 1, 2, 1]);
    }

    on_both!(a_count_belongs_to_the_transaction_that_saves_the_call);
    async fn a_count_belongs_to_the_transaction_that_saves_the_call(t: Fixture) {
        t.seed().await;
        let mut tx = t.store.writer.begin().await.unwrap();
        recount(&mut tx, &number_id(), UserInitiated, None, Some(Ended { at: T0, missed: true })).await.unwrap();
        drop(tx);
        assert_eq!(numbers(&t, 0).await, [0; 4]);
    }

    #[tokio::test]
    async fn a_stage_is_announced_when_it_changes_and_survives_a_restart() {
        use PickupStage::{Critical, Fine, Warning};
        let t = fixture::open().await;
        t.seed().await;
        assert_eq!(t.store.pickup_stage(&number_id()).await.unwrap(), (Fine, None));
        let put = async |t: &Fixture, stage, secs| {
            let pickup = Pickup { inbound: 20, inbound_missed: 12, ..Pickup::default() };
            t.store.put_pickup_stage(&number_id(), stage, pickup, at(secs)).await.unwrap()
        };
        assert!(put(&t, Fine, 1).await.is_none(), "nothing changed");
        let event = put(&t, Warning, 2).await.unwrap();
        assert_eq!(event.kind, "number.pickup_stage_changed");
        assert_eq!((&event.data["stage"], &event.data["pickup"]["inbound_missed"]), (&json!("warning"), &json!(12)));
        assert!(put(&t, Warning, 3).await.is_none());
        let t = t.restart().await;
        assert_eq!(t.store.pickup_stage(&number_id()).await.unwrap(), (Warning, Some(at(2))));
        assert_eq!(t.store.pickup_numbers(at(90_000)).await.unwrap(), [number_id()]);
        assert!(put(&t, Critical, 4).await.is_some() && put(&t, Fine, 5).await.is_some());
        assert_eq!(t.store.pickup_numbers(at(90_000)).await.unwrap(), [], "fine, and no calls");
        count(&t, UserInitiated, false, 90_000).await;
        assert_eq!(t.store.pickup_numbers(at(90_000)).await.unwrap(), [number_id()]);
    }

    on_both!(the_hours_of_outbound_calls_are_read_within_the_window);
    async fn the_hours_of_outbound_calls_are_read_within_the_window(t: Fixture) {
        t.seed().await;
        for (direction, missed, secs) in [
            (BusinessInitiated, true, 0),
            (BusinessInitiated, false, 10),
            (UserInitiated, true, 3600),
            (BusinessInitiated, true, 7200),
        ] {
            count(&t, direction, missed, secs).await;
        }
        let hours = async |since| {
            let mut hours = t.store.outbound_hours(&number_id(), at(since)).await.unwrap();
            hours.sort_by_key(|hour| hour.begins_at);
            hours.into_iter().map(|hour| (hour.begins_at, hour.calls, hour.missed)).collect::<Vec<_>>()
        };
        // T0 is 6:40 past the hour.
        let begins_at = |hour: i64| Timestamp::from_secs(1_794_999_600 + hour * 3600);
        assert_eq!(hours(0).await, [(begins_at(0), 2, 1), (begins_at(2), 1, 1)]);
        assert_eq!(hours(3600).await, [(begins_at(2), 1, 1)]);
    }
}
