//! What a call's record means for the books: the limits, the permission, the wallet, the pickup guard. Worked off in the
//! transaction that stores the record, and the same however often and in whatever order the record is stored.

use std::time::Duration;

use sqlx::{Any, Transaction};

use super::call_record::read_charge;
use super::error::{Result, StoreError};
use super::pickup::Ended;
use super::sql::Columns;
use super::{CHARGE_AGAIN_AFTER, Terms, dials, permissions, pickup, wallet};
use crate::billing::Customer;
use crate::call::record::CallRecord;
use crate::model::event::NewEvent;
use crate::model::id::{CallId, ContactId, NumberId};
use crate::model::money::Charge;
use crate::model::reason::{CallState, Direction, EndReason};
use crate::model::time::Timestamp;
use crate::policy::permission::Event;

/// What of a call bears on the books, as it was stored before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    exists: bool,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    end_reason: Option<EndReason>,
    duration_ms: i64,
    settled: bool,
    /// The ledger has refused its charge so far.
    uncharged: bool,
    pub(super) charge: Option<Charge>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Posted {
    pub(super) news: Vec<NewEvent>,
    pub(super) charge: Option<Charge>,
}

impl Before {
    /// Locks the call; to be read before the record is written.
    pub(super) async fn read(tx: &mut Transaction<'static, Any>, call: &CallId) -> Result<Self> {
        let row = sqlx::query(
            // A write, so that two who save the same call do so one after the other.
            "UPDATE calls SET state = state WHERE id = $1 RETURNING answered_at, ended_at, end_reason, \
             duration_ms, settled, charge_micros, charge_currency, charge_pulses, charge_again_at",
        )
        .bind(call.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        let Some(row) = row else { return Ok(Self::default()) };
        Ok(Self {
            exists: true,
            answered_at: row.time_opt("answered_at")?,
            ended_at: row.time_opt("ended_at")?,
            end_reason: row.word_opt("end_reason")?,
            duration_ms: row.int("duration_ms")?,
            settled: row.flag("settled")?,
            uncharged: row.int_opt("charge_again_at")?.is_some(),
            charge: read_charge(&row)?,
        })
    }

    /// Most writes of a record (a leg, a figure, an offer) do not concern the books.
    fn is_the_same_in(&self, c: &CallRecord) -> bool {
        self.exists
            && !self.uncharged
            && self.answered_at == c.answered_at
            && self.ended_at == c.ended_at
            && self.end_reason == c.end_reason
            && (self.settled == c.settled || !c.settled)
            && (self.duration_ms == c.duration_ms || !c.settled)
    }
}

/// Brings the books in step with a record. To be called after the record was written.
pub(super) async fn post(
    tx: &mut Transaction<'static, Any>,
    c: &CallRecord,
    before: Before,
    terms: &Terms,
    now: Timestamp,
) -> Result<Posted> {
    let mut posted = Posted { news: Vec::new(), charge: before.charge };
    if before.is_the_same_in(c) {
        return Ok(posted);
    }
    let ended = c.state == CallState::Ended;
    let outbound = c.direction == Direction::BusinessInitiated;
    if outbound && (ended || c.answered_at.is_some()) {
        dials::ended(tx, &c.id, c.answered_at).await?;
    }
    open_window(tx, c).await?;
    posted.news.extend(tell_permission(tx, c, before, terms, now).await?);
    if outbound && c.settled {
        charge(tx, c, before, terms, now, &mut posted).await?;
    }
    let was = picked_up(before.answered_at, before.ended_at, before.end_reason);
    let is = picked_up(c.answered_at, c.ended_at, c.end_reason);
    pickup::recount(tx, &c.number_id, c.direction, was, is).await?;
    Ok(posted)
}

/// A customer who calls, or takes our call, may be written to for a day.
async fn open_window(tx: &mut Transaction<'static, Any>, c: &CallRecord) -> Result<()> {
    let at = match c.direction {
        Direction::UserInitiated => Some(c.created_at),
        Direction::BusinessInitiated => c.answered_at,
    };
    match at {
        Some(at) => touch_window(tx, &c.number_id, &c.contact.id, at).await,
        None => Ok(()),
    }
}

/// Moves the start of the service window, never back.
pub(super) async fn touch_window(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    at: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO service_windows (number_id, contact_id, opened_at) \
         VALUES ($1, (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2), $3) \
         ON CONFLICT (number_id, contact_id) DO UPDATE SET opened_at = excluded.opened_at \
         WHERE excluded.opened_at > service_windows.opened_at",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .bind(at.as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A connected call, or one the customer let ring or declined, is part of the permission's history. A verdict that came
/// out differently in the end is taken back.
async fn tell_permission(
    tx: &mut Transaction<'static, Any>,
    c: &CallRecord,
    before: Before,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<NewEvent>> {
    let (n, who) = (&c.number_id, &c.contact.id);
    let outbound = c.direction == Direction::BusinessInitiated;
    let not_taken = matches!(c.end_reason, Some(EndReason::MissedByCustomer | EndReason::RejectedByCustomer));
    let outcome = match (c.answered_at, c.ended_at) {
        (Some(at), _) => Some(Event::call_outcome(&c.id, true, at)),
        (None, Some(at)) if outbound && not_taken => Some(Event::call_outcome(&c.id, false, at)),
        _ => None,
    };
    match outcome {
        Some(event) => permissions::take(tx, n, who, std::slice::from_ref(&event), terms, now).await,
        None if before.answered_at.is_some() || before.end_reason.is_some() => {
            let key = Event::call_outcome(&c.id, false, now).key;
            permissions::withdraw(tx, n, who, &key, terms, now).await
        }
        None => Ok(Vec::new()),
    }
}

async fn charge(
    tx: &mut Transaction<'static, Any>,
    c: &CallRecord,
    before: Before,
    terms: &Terms,
    now: Timestamp,
    posted: &mut Posted,
) -> Result<()> {
    dials::settled(tx, &c.id).await?;
    let talked = if c.answered_at.is_some() { c.duration_ms } else { 0 };
    let talked = Duration::from_millis(u64::try_from(talked).unwrap_or(0));
    let to = Customer { phone: c.contact.phone.as_ref(), user_id: c.contact.user_id.as_deref() };
    // Not the answer: a later word may move that, and the price must not move with it.
    let again_at = match wallet::charge(tx, &c.id, to, c.created_at, talked, &terms.card, now).await {
        Ok(charged) => {
            posted.charge = c.answered_at.map(|_| charged.charge);
            posted.news.extend(charged.events());
            None
        }
        // The end of a call is never lost for money; the charge is tried again until the ledger takes it.
        Err(StoreError::Refused { field, reason }) => {
            tracing::error!(call = %c.id, field, reason, "a call could not be charged yet");
            Some(now.plus(CHARGE_AGAIN_AFTER))
        }
        Err(error) => return Err(error),
    };
    if again_at.is_some() || before.uncharged {
        sqlx::query("UPDATE calls SET charge_again_at = $2 WHERE id = $1")
            .bind(c.id.as_str())
            .bind(again_at.map(Timestamp::as_millis))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// What the pickup guard counts of a call: when it ended, and whether nobody picked up. Calls that failed for technical
/// reasons, or that the hours turned away, say nothing about who picks up.
fn picked_up(
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    end_reason: Option<EndReason>,
) -> Option<Ended> {
    let missed = answered_at.is_none();
    let missed_by_us_or_them = matches!(
        end_reason?,
        EndReason::MissedByAgent
            | EndReason::NoAgentAvailable
            | EndReason::CallerCancelled
            | EndReason::MissedByCustomer
            | EndReason::RejectedByCustomer
    );
    (missed_by_us_or_them || !missed).then_some(Ended { at: ended_at?, missed })
}
