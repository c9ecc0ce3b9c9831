//! Two clocks of permissions: one tells what ran out, since Meta announces no expiry; the other compares ours with
//! WhatsApp's own books, since a customer may have decided where no webhook reached us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::call::CallRecord;
use crate::model::directory::{ContactRef, Permission};
use crate::model::id::{ContactId, NumberId, Wacid};
use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;
use crate::policy::permission::{Booked, Event};
use crate::signalling::whatsapp::{Account, Customer, GraphError, GraphErrorKind};
use crate::store::StoreError;

use super::Desk;

/// A permission that ran out is told within this time; whether it still holds is judged to the millisecond anyway.
const TICK: Duration = Duration::from_secs(1);
/// A pair without permission is asked about at most this often, however often somebody looks.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(3600);
/// WhatsApp grants a callback some moments after the call.
const AFTER_CALL: Duration = Duration::from_secs(5);
/// After a question that failed; doubles with each further one about the same customer.
const AGAIN_AFTER: Duration = Duration::from_secs(300);
/// A number for which nothing can be asked now, whoever is asked about.
const REST: Duration = Duration::from_secs(60);
/// Numbers asked for at a time. One that gets no answer is given up after 15 s and rests, so even if most are like that
/// the others get their turn within a minute.
const ROUNDS_MAX: usize = 64;

/// What each number does that is asked for, or was a moment ago.
#[derive(Default)]
pub(super) struct Rounds(Mutex<HashMap<NumberId, Doing>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Asking,
    RestingUntil(Timestamp),
}

/// A number's turn to ask; the next one begins when this is over.
struct Round {
    desk: Arc<Desk>,
    number: NumberId,
    rests_until: Timestamp,
}

impl Round {
    /// `None` while the number asks or rests, or too many others ask.
    fn begin(desk: &Arc<Desk>, number: &NumberId, now: Timestamp) -> Option<Self> {
        let mut rounds = desk.rounds.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.retain(|_, doing| !matches!(doing, Doing::RestingUntil(until) if *until <= now));
        if rounds.contains_key(number) || rounds.values().filter(|doing| **doing == Doing::Asking).count() >= ROUNDS_MAX
        {
            return None;
        }
        rounds.insert(number.clone(), Doing::Asking);
        Some(Self { desk: Arc::clone(desk), number: number.clone(), rests_until: now })
    }

    async fn run(mut self, now: Timestamp) {
        let Ok(account) = self.desk.account(&self.number).await else {
            self.rests_until = now.plus(REST);
            return;
        };
        let store = &self.desk.parts.store;
        let per_second = store.terms().rules(now).reconcile.per_second;
        let customers = match store.claim_checks(&self.number, per_second, AGAIN_AFTER, now).await {
            Ok(customers) => customers,
            Err(error) => {
                return tracing::error!(number = %self.number, %error, "permissions to compare could not be read");
            }
        };
        let compared = join_all(customers.iter().map(|customer| self.desk.compare(account.as_ref(), customer))).await;
        let ended_at = self.desk.parts.clock.now().wall;
        for rest in compared {
            match rest {
                Ok(rest) => self.rests_until = self.rests_until.max(ended_at.plus(rest)),
                Err(error) => tracing::error!(number = %self.number, %error, "a permission could not be compared"),
            }
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        let mut rounds = self.desk.rounds.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.insert(self.number.clone(), Doing::RestingUntil(self.rests_until));
    }
}

/// How long a number asks nothing after this: an error that is about one customer stops no other's question.
fn rest_after(error: &GraphError) -> Duration {
    match error.kind {
        GraphErrorKind::Unreachable
        | GraphErrorKind::UnknownOutcome
        | GraphErrorKind::RateLimited
        | GraphErrorKind::Upstream
        | GraphErrorKind::Token => REST.max(error.retry_after.unwrap_or_default()),
        GraphErrorKind::InProgress | GraphErrorKind::CallGone | GraphErrorKind::Refused => Duration::ZERO,
    }
}

pub(super) fn start_clocks(desk: &Arc<Desk>) {
    let (expiry, checks) = (Arc::downgrade(desk), Arc::downgrade(desk));
    tokio::spawn(async move {
        while let Some(desk) = expiry.upgrade() {
            desk.tell_expired().await;
            drop(desk);
            tokio::time::sleep(TICK).await;
        }
    });
    tokio::spawn(async move {
        while let Some(desk) = checks.upgrade() {
            desk.ask_the_books().await;
            drop(desk);
            tokio::time::sleep(TICK).await;
        }
    });
}

impl Desk {
    async fn tell_expired(&self) {
        loop {
            match self.parts.store.expire_permissions(self.parts.clock.now().wall).await {
                Ok((events, more)) => {
                    self.publish(events);
                    if !more {
                        return;
                    }
                }
                Err(error) => return tracing::error!(%error, "permissions that ran out could not be told"),
            }
        }
    }

    /// One round for each number that has questions: as many as its rate allows in a second. Numbers do not wait for each
    /// other.
    async fn ask_the_books(self: &Arc<Self>) {
        let now = self.parts.clock.now().wall;
        let due = match self.parts.store.numbers_to_check(now).await {
            Ok(due) => due,
            Err(error) => return tracing::error!(%error, "permissions to compare could not be read"),
        };
        for number in due {
            if let Some(round) = Round::begin(self, &number, now) {
                tokio::spawn(round.run(now));
            }
        }
    }

    /// Asks WhatsApp's books about one pair and repairs ours. Answers how long the number had better ask nothing; the pair
    /// itself rests since it was claimed.
    async fn compare(&self, account: Account<'_>, contact: &ContactId) -> Result<Duration, StoreError> {
        let (store, number, asked_at) = (&self.parts.store, account.number_id, self.parts.clock.now().wall);
        let person = store.contact(&ContactRef::Id(contact.clone())).await?;
        let Some(person) = person else { return Ok(Duration::ZERO) };
        let who = Customer { phone: person.phone, user_id: person.user_id, name: None, username: None };
        let books = match self.parts.graph.call_permissions(account, &who).await {
            Ok(books) => books,
            Err(error) => {
                tracing::debug!(%number, %contact, %error, "WhatsApp's books could not be asked");
                return Ok(rest_after(&error));
            }
        };
        let booked = Booked { no_calls_until: books.no_calls_until, no_requests_until: books.no_requests_until };
        let said = Event::checked(books.status, books.expires_at, asked_at).with_booked(booked);
        let now = self.parts.clock.now().wall;
        let logged = store.record_permission(number, contact, &[said], now).await?;
        if logged.iter().any(|event| event.kind == "permission.drift_repaired") {
            tracing::warn!(%number, %contact, "WhatsApp's books say otherwise about a permission; ours follow");
            self.parts.metrics.permission_drift();
        }
        self.publish(logged);
        Ok(Duration::ZERO)
    }

    /// Somebody looks at a customer without permission: perhaps WhatsApp knows of one. Asked in the background.
    pub(super) fn have_checked(self: &Arc<Self>, seen: &Permission, now: Timestamp) {
        let in_force = matches!(seen.status, PermissionStatus::Temporary | PermissionStatus::Permanent);
        let fresh = seen.checked_at.is_some_and(|at| now.since(at) < LOOKED_AT_AGAIN);
        if !in_force && !fresh {
            self.check_in_background(seen.number_id.clone(), seen.contact_id.clone(), true);
        }
    }

    /// WhatsApp refused a call that we had allowed: its books may tell why, and until when.
    pub(super) fn check_soon(self: &Arc<Self>, record: &CallRecord) {
        self.check_in_background(record.number_id.clone(), record.contact.id.clone(), false);
    }

    /// A customer who called may have been granted a callback on the way.
    pub(super) async fn check_after_call(&self, wacid: &Wacid, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let Some(record) = store.call_by_wacid(wacid).await? else { return Ok(()) };
        if !store.settings_in_force(&record.number_id).await?.callback_permission {
            return Ok(());
        }
        store.check_permission_at(&record.number_id, &record.contact.id, now.plus(AFTER_CALL), true).await
    }

    pub(super) fn check_in_background(self: &Arc<Self>, number: NumberId, contact: ContactId, only_if_unplanned: bool) {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let now = desk.parts.clock.now().wall;
            if let Err(error) = desk.parts.store.check_permission_at(&number, &contact, now, only_if_unplanned).await {
                tracing::warn!(%error, "a comparison of permissions could not be noted");
            }
        });
    }
}
