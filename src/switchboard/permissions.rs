//! Two clocks of permissions: one tells what ran out, since Meta announces no expiry; the other compares ours with
//! WhatsApp's own books, since a customer may have decided where no webhook reached us.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::call::CallRecord;
use crate::model::directory::Permission;
use crate::model::id::{ContactId, NumberId, Wacid};
use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;
use crate::policy::permission::{Booked, Event};
use crate::signalling::whatsapp::{Customer, GraphErrorKind};
use crate::store::StoreError;

use super::Desk;

/// A permission that ran out is told within this time; whether it still holds is judged to the millisecond anyway.
const TICK: Duration = Duration::from_secs(1);
/// A pair without permission is asked about at most this often, however often somebody looks.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(3600);
/// WhatsApp grants a callback some moments after the call.
const AFTER_CALL: Duration = Duration::from_secs(5);
/// After a question that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(300);

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

    /// One turn: so many questions a number as its rate allows in a second.
    async fn ask_the_books(self: &Arc<Self>) {
        let now = self.parts.clock.now().wall;
        let per_second = self.parts.store.terms().rules(now).reconcile.per_second;
        let due = match self.parts.store.permission_checks_due(now).await {
            Ok(due) => due,
            Err(error) => return tracing::error!(%error, "permissions to compare could not be read"),
        };
        let mut asked: HashMap<NumberId, u32> = HashMap::new();
        for (number, contact) in due {
            let so_far = asked.entry(number.clone()).or_default();
            if *so_far < per_second {
                *so_far += 1;
                if let Err(error) = self.compare(&number, &contact).await {
                    tracing::error!(%error, "a permission could not be compared");
                }
            }
        }
    }

    /// Asks WhatsApp's books about one pair and repairs ours.
    async fn compare(&self, number: &NumberId, contact: &ContactId) -> Result<(), StoreError> {
        let (store, asked_at) = (&self.parts.store, self.parts.clock.now().wall);
        let person = store.contact(&crate::model::directory::ContactRef::Id(contact.clone())).await?;
        let (Some(person), Ok(account)) = (person, self.account(number).await) else {
            return store.check_permission_at(number, contact, asked_at.plus(AGAIN_AFTER), false).await;
        };
        let who = Customer { phone: person.phone, user_id: person.user_id, name: None, username: None };
        let books = match self.parts.graph.call_permissions(account.as_ref(), &who).await {
            Ok(books) => books,
            Err(error) => {
                let limited = error.kind == GraphErrorKind::RateLimited;
                tracing::debug!(%number, %contact, %error, limited, "WhatsApp's books could not be asked");
                return store.check_permission_at(number, contact, asked_at.plus(AGAIN_AFTER), false).await;
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
        Ok(())
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
