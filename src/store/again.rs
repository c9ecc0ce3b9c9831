//! Transactions that came to nothing because of another one, and are done again.
//!
//! Two writers that take the same locks in different order would wait for each other for ever, so PostgreSQL ends one of
//! them. Nothing of it has happened; a moment later it passes. SQLite has one writer and knows none of this.

use std::time::Duration;

use super::error::{Result, StoreError};

/// Three writers in a ring are undone by one of them ending; more than this is no accident.
const TRIES_MAX: u32 = 5;
/// Before the second try; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a whole transaction, from its beginning to its commit, again if another one is why it failed.
pub(super) async fn again<T, F: Future<Output = Result<T>>>(mut transaction: impl FnMut() -> F) -> Result<T> {
    let mut tried = 1;
    loop {
        match transaction().await {
            Err(error) if tried < TRIES_MAX && is_passing(&error) => {
                tracing::debug!(%error, tried, "a transaction gave way to another and is done again");
                tokio::time::sleep(pause(tried)).await;
                tried += 1;
            }
            done => return done,
        }
    }
}

fn is_passing(error: &StoreError) -> bool {
    match error {
        StoreError::Overtaken => true,
        // https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization_failure, deadlock_detected.
        StoreError::Database(error) => {
            error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "40001" || code == "40P01")
        }
        _ => false,
    }
}

/// Spread, so that two that met do not meet again.
fn pause(tried: u32) -> Duration {
    let mut byte = [128_u8];
    // Without randomness the pause is merely not spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    (PAUSE * 2_u32.saturating_pow(tried - 1)).mul_f64(0.5 + f64::from(byte[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use crate::store::fixture::{self, T0, at, number_id};

    /// One holds the permission and wants the call, the other the reverse.
    #[tokio::test]
    async fn of_two_that_wait_for_each_other_the_one_that_gave_way_is_done_after_the_other() {
        let t = fixture::postgres().await;
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await;
        t.store.check_permission_at(&number_id(), &contact.id, T0, true).await.unwrap();
        let answered = crate::call::record::CallRecord { answered_at: Some(at(5)), ..call.clone() };
        let mut gave_way = false;
        // PostgreSQL ends whoever looks for the ring first; on a busy machine that may be us.
        for _ in 0..10 {
            let mut other = t.store.writer.begin().await.unwrap();
            sqlx::query("SET LOCAL deadlock_timeout = '9s'").execute(&mut *other).await.unwrap();
            sqlx::query("UPDATE permissions SET revision = revision + 1").execute(&mut *other).await.unwrap();
            let (store, record) = (t.store.clone(), answered.clone());
            let saving = tokio::spawn(async move { store.save_call(&record, vec![], at(6)).await });
            t.until_somebody_waits().await;
            let got = sqlx::query("UPDATE calls SET trace = '\"other\"'").execute(&mut *other).await.is_ok();
            if got {
                other.commit().await.unwrap();
            } else {
                other.rollback().await.unwrap();
            }
            saving.await.unwrap().expect("it is saved in the end");
            let stored = t.store.call(&call.id).await.unwrap().unwrap();
            assert_eq!((stored.answered_at, &stored.trace), (Some(at(5)), &call.trace), "the later write stands");
            t.store.save_call(&call, vec![], at(7)).await.unwrap();
            gave_way |= got;
            if gave_way {
                break;
            }
        }
        assert!(gave_way, "it was never the one to give way");
    }
}
