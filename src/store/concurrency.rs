//! What rule 3 and the isolation levels of [`super`] promise, shown with nothing but the rule itself.

use std::sync::Arc;

use sqlx::{Any, Transaction};
use tokio::sync::Barrier;

use super::Store;
use super::error::Result;
use super::fixture::{self, Fixture, T0, at, on_both};
use super::sql::Columns;
use crate::call::record::OfferRecord;
use crate::model::id::OfferId;

/// What is in the account at first; every task wants one.
const FUNDS: i64 = 40;
const TASKS: i64 = 64;

async fn put_funds(store: &Store) {
    sqlx::query("INSERT INTO accounts (id, currency, balance_micros, reserved_micros) VALUES ('a', 'USD', $1, 0)")
        .bind(FUNDS)
        .execute(&store.writer)
        .await
        .unwrap();
}

async fn funds(tx: &mut Transaction<'static, Any>) -> Result<i64> {
    sqlx::query("SELECT balance_micros FROM accounts WHERE id = 'a'").fetch_one(&mut **tx).await?.int("balance_micros")
}

/// Checks, decides in the program, and writes what it decided: right only if nobody gets in between.
async fn take_one(store: &Store, parent_first: bool) -> Result<bool> {
    let mut tx = store.writer.begin().await?;
    if parent_first {
        sqlx::query("UPDATE accounts SET balance_micros = balance_micros WHERE id = 'a'").execute(&mut *tx).await?;
    }
    let left = funds(&mut tx).await?;
    if left == 0 {
        return Ok(false);
    }
    // The others get their turn exactly where it hurts.
    tokio::task::yield_now().await;
    sqlx::query("UPDATE accounts SET balance_micros = $1 WHERE id = 'a'").bind(left - 1).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// How many of [`TASKS`] at once were told that they got one, and what is left.
async fn all_at_once(t: &Fixture, parent_first: bool) -> (i64, i64) {
    put_funds(&t.store).await;
    let start = Arc::new(Barrier::new(TASKS as usize));
    let tasks = (0..TASKS).map(|_| {
        let (store, start) = (t.store.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            take_one(&store, parent_first).await.unwrap()
        })
    });
    let got = futures_util::future::join_all(tasks).await.into_iter().filter(|got| *got.as_ref().unwrap()).count();
    (got as i64, funds(&mut t.store.writer.begin().await.unwrap()).await.unwrap())
}

on_both!(who_writes_the_parent_row_first_checks_and_acts_alone);
async fn who_writes_the_parent_row_first_checks_and_acts_alone(t: Fixture) {
    assert_eq!(all_at_once(&t, true).await, (FUNDS, 0));
}

/// The counterproof: without the rule PostgreSQL's writers overwrite each other. SQLite's only writer hides the mistake.
#[tokio::test]
async fn without_that_write_postgres_loses_updates() {
    let t = fixture::postgres().await;
    let (got, left) = all_at_once(&t, false).await;
    assert!(got > FUNDS - left, "{got} were told they got one of {FUNDS}, and {left} are left");
}

on_both!(a_call_is_read_with_the_offers_it_had_at_one_moment);
async fn a_call_is_read_with_the_offers_it_had_at_one_moment(t: Fixture) {
    let contact = t.seed().await;
    let mut call = t.call(&contact, 0).await;
    let id = call.id.clone();
    let store = t.store.clone();
    let writer = tokio::spawn(async move {
        // The duration tells how many offers belong to it.
        for round in 1..=60 {
            let offer = OfferRecord { id: OfferId::generate(), ..call.offers[0].clone() };
            call.offers.push(offer);
            call.offers.truncate(1 + round % 3);
            call.duration_ms = call.offers.len() as i64;
            store.save_call(&call, vec![], at(1)).await.unwrap();
        }
    });
    let mut reads = 0;
    while !writer.is_finished() {
        let read = t.store.call(&id).await.unwrap().unwrap();
        assert!(read.duration_ms == 0 || read.duration_ms == read.offers.len() as i64, "{read:?}");
        assert_eq!(read.created_at, T0);
        reads += 1;
    }
    writer.await.unwrap();
    assert!(reads > 0);
}
