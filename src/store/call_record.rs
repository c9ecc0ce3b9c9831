//! The record of one call: written whole, together with what is said about it, and read back whole.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::again::again;
use super::books::{self, Before};
use super::contacts::read_contact;
use super::error::{Result, StoreError};
use super::identity::folded_into;
use super::sql::{Columns, Select, clean, clean_opt, json_text, millis};
use super::{CHARGE_AGAIN_AFTER, Store, Terms, events};
use crate::call::record::{CallRecord, LegRecord, OfferRecord, RecordingRecord, SummaryRecord, TranscriptRecord};
use crate::model::event::{Event, NewEvent};
use crate::model::id::{AgentId, CallId, OfferId, Wacid};
use crate::model::money::Charge;
use crate::model::quality::Quality;
use crate::model::reason::CallState;
use crate::model::recording::RecordingReason;
use crate::model::summary::SummaryState;
use crate::model::time::Timestamp;
use crate::model::transcript::{TranscriptReason, TranscriptState};

#[cfg(test)]
mod tests;

/// What saving a record came to.
#[derive(Debug)]
pub struct Saved {
    /// What was logged, with its sequence: what the caller gave, and what the books made of the call.
    pub events: Vec<Event>,
    /// What the call costs as of now.
    pub charge: Option<Charge>,
}

impl Store {
    /// Saves the whole record and logs the events, and brings the limits, the permission and the wallet in step with it, all
    /// or nothing. The contact itself is not written (see `identify` and `put_contact`), only whose call it is.
    ///
    /// # Errors
    /// [`StoreError::CallEnded`] when the stored call has ended and this copy has not; [`StoreError::Missing`] when
    /// number, contact or an agent is unknown; [`StoreError::Taken`] when another call has this `wacid`.
    pub async fn save_call(&self, c: &CallRecord, events: Vec<NewEvent>, now: Timestamp) -> Result<Saved> {
        let events = &events;
        again(|| async move {
            let mut tx = self.writer.begin().await?;
            let before = Before::read(&mut tx, &c.id).await?;
            let saved = write(&mut tx, c, before, events.clone(), &self.terms(), now).await?;
            tx.commit().await?;
            Ok(saved)
        })
        .await
    }

    /// Changes a stored call that nobody has at hand: read, changed and saved in one transaction, so that nothing others
    /// write meanwhile is lost. `change` gives the events to log, or `None` to leave the call as it is. `None` if that is
    /// so, or there is no such call.
    ///
    /// # Errors
    /// As [`Store::save_call`].
    pub async fn amend_call(
        &self,
        id: &CallId,
        now: Timestamp,
        change: impl FnOnce(&mut CallRecord) -> Option<Vec<NewEvent>> + Send,
    ) -> Result<Option<Saved>> {
        let mut tx = self.writer.begin().await?;
        let before = Before::read(&mut tx, id).await?;
        let mut select = Select::new(CALLS);
        select.and("calls.id = ").text(id.as_str());
        let Some(mut record) = read_calls(&mut tx, select).await?.pop() else { return Ok(None) };
        let Some(events) = change(&mut record) else { return Ok(None) };
        let saved = write(&mut tx, &record, before, events, &self.terms(), now).await?;
        tx.commit().await?;
        Ok(Some(saved))
    }

    /// Ended calls that are not settled, as a crash leaves them, oldest first.
    pub async fn unsettled_calls(&self) -> Result<Vec<CallId>> {
        let query = sqlx::query("SELECT id FROM calls WHERE settled = 0 AND state = 'ended' ORDER BY id");
        query.fetch_all(&self.reader).await?.iter().map(|row| row.word("id")).collect()
    }

    /// Ended calls whose charge the ledger refused and that are due to be tried again, longest due first: to be amended
    /// without any change. At most 100; what is refused again is due a minute later.
    pub async fn calls_to_charge(&self, now: Timestamp) -> Result<Vec<CallId>> {
        let rows = sqlx::query(
            // A date further ahead than the pause was set by a clock that has been put back since.
            "SELECT id FROM calls WHERE charge_again_at <= $1 OR charge_again_at > $2 ORDER BY charge_again_at LIMIT 100",
        )
        .bind(now.as_millis())
        .bind(now.plus(CHARGE_AGAIN_AFTER).as_millis())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| row.word("id")).collect()
    }

    /// Notes that the gateway runs, for [`Store::last_alive`].
    pub async fn note_alive(&self, now: Timestamp) -> Result<()> {
        let query = sqlx::query("UPDATE counters SET value = $1 WHERE name = 'alive'").bind(now.as_millis());
        query.execute(&self.writer).await?;
        Ok(())
    }

    /// When the gateway last noted that it runs; 1970 if it never did.
    pub async fn last_alive(&self) -> Result<Timestamp> {
        sqlx::query("SELECT value FROM counters WHERE name = 'alive'").fetch_one(&self.reader).await?.time("value")
    }

    pub async fn call(&self, id: &CallId) -> Result<Option<CallRecord>> {
        let mut select = Select::new(CALLS);
        select.and("calls.id = ").text(id.as_str());
        Ok(self.read_calls(select).await?.pop())
    }

    pub async fn call_by_wacid(&self, w: &Wacid) -> Result<Option<CallRecord>> {
        let mut select = Select::new(CALLS);
        select.and("calls.wacid = ").text(w.as_str());
        Ok(self.read_calls(select).await?.pop())
    }

    /// Calls not ended, as a crash leaves them, oldest first.
    pub async fn live_calls(&self) -> Result<Vec<CallRecord>> {
        let mut select = Select::new(CALLS);
        select.and("calls.state <> 'ended'").push(" ORDER BY calls.created_at, calls.id");
        self.read_calls(select).await
    }

    /// The call an offer belongs to.
    pub async fn offer_call(&self, o: &OfferId) -> Result<Option<CallId>> {
        let row = sqlx::query("SELECT call_id FROM offers WHERE id = $1")
            .bind(o.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.word("call_id")).transpose()
    }

    /// Reads what a SELECT of [`CALLS`] finds, in its order, with offers and legs, all of one moment.
    pub(super) async fn read_calls(&self, select: Select) -> Result<Vec<CallRecord>> {
        let mut tx = self.reader.begin().await?;
        let calls = read_calls(&mut tx, select).await?;
        tx.commit().await?;
        Ok(calls)
    }
}

pub(super) async fn read_calls(tx: &mut Transaction<'static, Any>, select: Select) -> Result<Vec<CallRecord>> {
    let rows = select.query().fetch_all(&mut **tx).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = rows.iter().map(|row| row.text("call_id")).collect::<Result<Vec<_>>>()?;
    let mut offers = parts(tx, "SELECT * FROM offers", &ids, read_offer).await?;
    let mut legs = parts(tx, "SELECT * FROM legs", &ids, read_leg).await?;
    rows.iter()
        .zip(&ids)
        .map(|(row, id)| read_call(row, offers.remove(id).unwrap_or_default(), legs.remove(id).unwrap_or_default()))
        .collect()
}

/// Writes a record whose call is locked by [`Before::read`], and all that follows from it.
pub(super) async fn write(
    tx: &mut Transaction<'static, Any>,
    c: &CallRecord,
    before: Before,
    mut events: Vec<NewEvent>,
    terms: &Terms,
    now: Timestamp,
) -> Result<Saved> {
    let who = folded_into(tx, &c.contact.id).await?;
    upsert(tx, c).await?;
    write_offers(tx, c).await?;
    write_legs(tx, c).await?;
    let posted = books::post(tx, c, before, terms, now).await?;
    events.extend(posted.news);
    if posted.charge != before.charge {
        write_charge(tx, c, posted.charge).await?;
        let charged = CallRecord { charge: posted.charge, ..c.clone() };
        let data = serde_json::to_value(&charged).expect("a call record is plain data");
        events.push(NewEvent { kind: "call.updated", call_id: Some(c.id.clone()), agent_id: None, data });
    }
    // What was written before the contact moved names the old one. From here to the commit it cannot move: our rows refer to it.
    if folded_into(tx, &c.contact.id).await? != who {
        return Err(StoreError::Overtaken);
    }
    Ok(Saved { events: events::append(tx, events, now).await?, charge: posted.charge })
}

/// Calls with their contact `c` (both have an `id` and a `created_at`, so the call's are renamed). A call of the first
/// release may name a contact that was folded into another, which forwards.
pub(super) const CALLS: &str = "SELECT c.*, calls.id AS call_id, calls.created_at AS call_created_at, number_id, direction, \
     state, status, agent_id, answered_at, ended_at, duration_ms, end_reason, opens_at, ended_by, recording_state, \
     recording_duration_ms, recording_gaps, recording_pauses, recording_consent, wacid, callback_data, upstream_code, trace, settled, \
     charge_micros, charge_currency, charge_pulses, pack, placed_by, cta_payload, deeplink_payload, record_wanted, \
     recording_reason, COALESCE((SELECT t.reason FROM transcripts t WHERE t.call_id = calls.id), CASE WHEN EXISTS \
     (SELECT 1 FROM transcripts t WHERE t.call_id = calls.id) THEN NULL ELSE transcript_reason END) AS transcript_reason, \
     (SELECT t.state FROM transcripts t WHERE t.call_id = calls.id) AS transcript_state, \
     disposition, (SELECT string_agg(g.tag, '\n' ORDER BY g.tag) FROM call_tags g WHERE g.call_id = calls.id) AS tags, \
     (SELECT s.state FROM summaries s WHERE s.call_id = calls.id) AS summary_state, \
     (SELECT s.text FROM summaries s WHERE s.call_id = calls.id) AS summary_text \
     FROM calls JOIN contacts r ON r.id = calls.contact_id JOIN contacts c ON c.id = COALESCE(r.merged_into, r.id)";

/// The recorder may have reported the end to the store while the call's task still held a copy from before.
macro_rules! unless_finished {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN calls.recording_state = 'deleted' OR (calls.recording_state IN ('ready', 'failed') \
             AND excluded.recording_state IN ('none', 'recording', 'paused')) THEN calls.",
            $column,
            " ELSE excluded.",
            $column,
            " END, "
        )
    };
}

async fn upsert(tx: &mut Transaction<'static, Any>, c: &CallRecord) -> Result<()> {
    let done = sqlx::query(concat!(
        "INSERT INTO calls (id, number_id, contact_id, direction, state, status, agent_id, created_at, answered_at, \
         ended_at, duration_ms, end_reason, ended_by, recording_state, recording_duration_ms, recording_gaps, wacid, \
         callback_data, upstream_code, trace, pack, settled, opens_at, placed_by, cta_payload, deeplink_payload, \
         recording_pauses, record_wanted, recording_consent, recording_reason, transcript_reason) \
         VALUES ($1, $2, (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $3), $4, $5, $6, $7, $8, $9, $10, \
         $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31) \
         ON CONFLICT (id) DO UPDATE SET contact_id = excluded.contact_id, state = excluded.state, \
         status = excluded.status, agent_id = excluded.agent_id, answered_at = excluded.answered_at, \
         ended_at = excluded.ended_at, duration_ms = excluded.duration_ms, end_reason = excluded.end_reason, \
         ended_by = excluded.ended_by, ",
        unless_finished!("recording_state"),
        unless_finished!("recording_duration_ms"),
        unless_finished!("recording_gaps"),
        unless_finished!("recording_pauses"),
        unless_finished!("recording_reason"),
        "wacid = excluded.wacid, callback_data = excluded.callback_data, upstream_code = excluded.upstream_code, \
         trace = excluded.trace, opens_at = excluded.opens_at, transcript_reason = excluded.transcript_reason, \
         recording_consent = COALESCE(excluded.recording_consent, calls.recording_consent), \
         settled = CASE WHEN excluded.settled = 1 THEN 1 ELSE calls.settled END \
         WHERE calls.state <> 'ended' OR excluded.state = 'ended'",
    ))
    .bind(c.id.as_str())
    .bind(c.number_id.as_str())
    .bind(c.contact.id.as_str())
    .bind(c.direction.as_str())
    .bind(c.state.as_str())
    .bind(c.status.as_str())
    .bind(c.agent_id.as_ref().map(AgentId::as_str))
    .bind(c.created_at.as_millis())
    .bind(millis(c.answered_at))
    .bind(millis(c.ended_at))
    .bind(c.duration_ms)
    .bind(c.end_reason.map(|r| r.as_str()))
    .bind(c.ended_by.map(|b| b.as_str()))
    .bind(c.recording.state.as_str())
    .bind(c.recording.duration_ms)
    .bind(c.recording.gaps)
    .bind(c.wacid.as_ref().map(Wacid::as_str))
    .bind(clean_opt(c.callback_data.as_deref()))
    .bind(c.upstream_code)
    .bind(json_text(&c.trace))
    .bind(c.policy_pack.as_deref())
    .bind(i16::from(c.settled))
    .bind(millis(c.opens_at))
    .bind(c.placed_by.as_ref().map(json_text))
    .bind(clean_opt(c.cta_payload.as_deref()))
    .bind(clean_opt(c.deeplink_payload.as_deref()))
    .bind(json_text(&c.recording.pauses))
    .bind(i16::from(c.record))
    .bind(c.recording.consent.as_ref().map(json_text))
    .bind(c.recording.reason.map(RecordingReason::as_str))
    .bind(c.transcript.reason.map(TranscriptReason::as_str))
    .execute(&mut **tx)
    .await
    .map_err(|error| match StoreError::on_write(String::new)(error) {
        StoreError::Missing(_) => StoreError::Missing(format!(
            "number {}, contact {} or agent {}",
            c.number_id,
            c.contact.id,
            c.agent_id.as_ref().map_or("-", AgentId::as_str)
        )),
        StoreError::Taken(_) => StoreError::Taken("WhatsApp's id of the call".to_owned()),
        other => other,
    })?;
    if done.rows_affected() == 0 {
        debug_assert_ne!(c.state, CallState::Ended);
        return Err(StoreError::CallEnded(c.id.clone()));
    }
    Ok(())
}

/// The record's list is the list: what it no longer names goes. The call's row is locked, so nobody writes between.
async fn write_offers(tx: &mut Transaction<'static, Any>, c: &CallRecord) -> Result<()> {
    sqlx::query("DELETE FROM offers WHERE call_id = $1").bind(c.id.as_str()).execute(&mut **tx).await?;
    for (offer, position) in c.offers.iter().zip(0i64..) {
        sqlx::query(
            "INSERT INTO offers (id, call_id, position, agent_id, offered_at, outcome, cause, ended_at, reason, shown_at, \
             audible_at, trouble) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(offer.id.as_str())
        .bind(c.id.as_str())
        .bind(position)
        .bind(offer.agent_id.as_str())
        .bind(offer.offered_at.as_millis())
        .bind(offer.outcome.as_str())
        .bind(offer.cause.map(|cause| cause.as_str()))
        .bind(millis(offer.ended_at))
        .bind(clean(&offer.reason))
        .bind(millis(offer.shown_at))
        .bind(millis(offer.audible_at))
        .bind(offer.trouble.map(|trouble| trouble.as_str()))
        .execute(&mut **tx)
        .await
        .map_err(StoreError::on_write(|| format!("offer {} to agent {}", offer.id, offer.agent_id)))?;
    }
    Ok(())
}

async fn write_legs(tx: &mut Transaction<'static, Any>, c: &CallRecord) -> Result<()> {
    sqlx::query("DELETE FROM legs WHERE call_id = $1").bind(c.id.as_str()).execute(&mut **tx).await?;
    for (leg, position) in c.legs.iter().zip(0i64..) {
        sqlx::query("INSERT INTO legs (id, call_id, position, kind, quality, history) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(leg.id.as_str())
            .bind(c.id.as_str())
            .bind(position)
            .bind(leg.kind.as_str())
            .bind(json_text(&finite(leg.quality)))
            .bind(json_text(&leg.history))
            .execute(&mut **tx)
            .await
            .map_err(StoreError::on_write(|| format!("leg {}", leg.id)))?;
    }
    Ok(())
}

/// JSON has no word for infinity or not-a-number; a figure that is none is written as absent or 0.
fn finite(q: Quality) -> Quality {
    let or_zero = |x: f64| if x.is_finite() { x } else { 0.0 };
    Quality {
        loss_ratio: or_zero(q.loss_ratio),
        jitter_ms: or_zero(q.jitter_ms),
        rtt_ms: q.rtt_ms.filter(|x| x.is_finite()),
        mos: q.mos.filter(|x| x.is_finite()),
        level_dbov: q.level_dbov.filter(|x| x.is_finite()),
        ..q
    }
}

/// The offers or legs of these calls, by call, in their order.
async fn parts<T>(
    tx: &mut Transaction<'static, Any>,
    head: &str,
    ids: &[String],
    read: impl Fn(&AnyRow) -> Result<T>,
) -> Result<HashMap<String, Vec<T>>> {
    let mut select = Select::new(head);
    select.and("call_id IN ").list(ids.iter().map(String::as_str)).push(" ORDER BY call_id, position");
    let mut by_call: HashMap<String, Vec<T>> = HashMap::new();
    for row in select.query().fetch_all(&mut **tx).await? {
        by_call.entry(row.text("call_id")?).or_default().push(read(&row)?);
    }
    Ok(by_call)
}

fn read_call(row: &AnyRow, offers: Vec<OfferRecord>, legs: Vec<LegRecord>) -> Result<CallRecord> {
    Ok(CallRecord {
        id: row.word("call_id")?,
        number_id: row.word("number_id")?,
        direction: row.word("direction")?,
        state: row.word("state")?,
        status: row.word("status")?,
        contact: read_contact(row)?,
        agent_id: row.word_opt("agent_id")?,
        offers,
        created_at: row.time("call_created_at")?,
        answered_at: row.time_opt("answered_at")?,
        ended_at: row.time_opt("ended_at")?,
        duration_ms: row.int("duration_ms")?,
        end_reason: row.word_opt("end_reason")?,
        opens_at: row.time_opt("opens_at")?,
        ended_by: row.word_opt("ended_by")?,
        legs,
        recording: RecordingRecord {
            state: row.word("recording_state")?,
            reason: row.word_opt("recording_reason")?,
            duration_ms: row.int("recording_duration_ms")?,
            gaps: row.int("recording_gaps")?,
            pauses: row.json("recording_pauses")?,
            consent: row.json_opt("recording_consent")?,
        },
        transcript: TranscriptRecord {
            state: row.word_opt("transcript_state")?.unwrap_or(TranscriptState::Off),
            reason: row.word_opt("transcript_reason")?,
        },
        summary: read_summary(row)?,
        charge: read_charge(row)?,
        disposition: row.text_opt("disposition")?,
        tags: row.text_opt("tags")?.map(|tags| tags.split('\n').map(str::to_owned).collect()).unwrap_or_default(),
        wacid: row.parsed_opt("wacid", Wacid::parse)?,
        callback_data: row.text_opt("callback_data")?,
        placed_by: row.json_opt("placed_by")?,
        cta_payload: row.text_opt("cta_payload")?,
        deeplink_payload: row.text_opt("deeplink_payload")?,
        upstream_code: row.int_opt("upstream_code")?,
        trace: row.json("trace")?,
        policy_pack: row.text_opt("pack")?,
        settled: row.flag("settled")?,
        record: row.flag("record_wanted")?,
    })
}

fn read_summary(row: &AnyRow) -> Result<SummaryRecord> {
    let state = row.word_opt("summary_state")?.unwrap_or(SummaryState::Off);
    let text = row.text_opt("summary_text")?.filter(|_| state == SummaryState::Ready);
    Ok(SummaryRecord { state, text })
}

pub(super) fn read_charge(row: &AnyRow) -> Result<Option<Charge>> {
    let Some(micros) = row.int_opt("charge_micros")? else { return Ok(None) };
    Ok(Some(Charge { micros, currency: row.word("charge_currency")?, pulses: row.int("charge_pulses")? }))
}

async fn write_charge(tx: &mut Transaction<'static, Any>, c: &CallRecord, charge: Option<Charge>) -> Result<()> {
    sqlx::query("UPDATE calls SET charge_micros = $2, charge_currency = $3, charge_pulses = $4 WHERE id = $1")
        .bind(c.id.as_str())
        .bind(charge.map(|charge| charge.micros))
        .bind(charge.map(|charge| charge.currency.as_str().to_owned()))
        .bind(charge.map(|charge| charge.pulses))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read_offer(row: &AnyRow) -> Result<OfferRecord> {
    Ok(OfferRecord {
        id: row.word("id")?,
        agent_id: row.word("agent_id")?,
        offered_at: row.time("offered_at")?,
        outcome: row.word("outcome")?,
        cause: row.word_opt("cause")?,
        ended_at: row.time_opt("ended_at")?,
        reason: row.text("reason")?,
        shown_at: row.time_opt("shown_at")?,
        audible_at: row.time_opt("audible_at")?,
        trouble: row.word_opt("trouble")?,
    })
}

fn read_leg(row: &AnyRow) -> Result<LegRecord> {
    Ok(LegRecord {
        id: row.word("id")?,
        kind: row.word("kind")?,
        quality: row.json("quality")?,
        history: row.json("history")?,
    })
}
