//! What was said in calls: written down segment by segment while they run, made up for afterwards where the recogniser
//! was too busy or away, and found again by its words.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::sql::{Columns, Select, clean, damaged};
use super::{Store, events, summaries};
use crate::model::event::{Event, NewEvent};
use crate::model::id::CallId;
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, TranscriptReason, TranscriptState, Unheard, words_of};

/// A call's transcript as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    pub state: TranscriptState,
    /// Who listened: `builtin`, `vosk`, …
    pub engine: String,
    /// ISO 639-1, as the engine was asked to listen; `None` = it finds out.
    pub language: Option<String>,
    /// Final ones, by their beginning.
    pub segments: Vec<Segment>,
    /// What nobody has written down, by its beginning.
    pub unheard: Vec<Unheard>,
}

impl Store {
    /// The call is listened to from now on, and summed up afterwards if that is wished. Does nothing if it already is.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the call was not saved yet.
    pub async fn begin_transcript(
        &self,
        call: &CallId,
        engine: &str,
        language: Option<&str>,
        sum_up: bool,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO transcripts (call_id, state, engine, language, sum_up) VALUES ($1, 'live', $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(call.as_str())
        .bind(engine)
        .bind(language)
        .bind(i16::from(sum_up))
        .execute(&self.writer)
        .await
        .map_err(StoreError::on_write(|| format!("call {call}")))?;
        Ok(())
    }

    /// Keeps a final segment; one that is there already is replaced.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the transcript was not begun.
    pub async fn add_segment(&self, call: &CallId, segment: &Segment) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        write(&mut tx, call, segment, i64::from(segment.index)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The engine has said its last word on a live call. What it could not write down is due at once; if there is nothing
    /// of that, the transcript is ready. The events say which; none if it was not live.
    pub async fn end_transcript(&self, call: &CallId, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let query =
            sqlx::query("UPDATE transcripts SET state = 'pending', due_at = $2 WHERE call_id = $1 AND state = 'live'");
        let ended = query.bind(call.as_str()).bind(now.as_millis()).execute(&mut *tx).await?.rows_affected() > 0;
        let logged = if ended { settle(&mut tx, call, now).await? } else { Vec::new() };
        if ended && logged.is_empty() {
            summaries::due_early(&mut tx, call, now).await?;
        }
        tx.commit().await?;
        Ok(logged)
    }

    /// Calls somebody listens to, as a crash leaves them.
    pub async fn live_transcripts(&self) -> Result<Vec<CallId>> {
        let query = sqlx::query("SELECT call_id FROM transcripts WHERE state = 'live' ORDER BY call_id");
        query.fetch_all(&self.reader).await?.iter().map(|row| row.word("call_id")).collect()
    }

    /// The final segments that were said last, at most so many, by their beginning.
    pub async fn latest_segments(&self, call: &CallId, most: u32) -> Result<Vec<Segment>> {
        let query =
            sqlx::query("SELECT * FROM segments WHERE call_id = $1 ORDER BY start_ms DESC, position DESC LIMIT $2");
        let rows = query.bind(call.as_str()).bind(i64::from(most)).fetch_all(&self.reader).await?;
        rows.iter().rev().map(read_segment).collect()
    }

    /// `None` if nobody listened to the call.
    pub async fn transcript(&self, call: &CallId) -> Result<Option<Transcript>> {
        let row = sqlx::query("SELECT * FROM transcripts WHERE call_id = $1")
            .bind(call.as_str())
            .fetch_optional(&self.reader)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let segments = sqlx::query("SELECT * FROM segments WHERE call_id = $1 ORDER BY start_ms, speaker, position")
            .bind(call.as_str())
            .fetch_all(&self.reader)
            .await?;
        Ok(Some(Transcript {
            state: row.word("state")?,
            engine: row.text("engine")?,
            language: row.text_opt("language")?,
            segments: segments.iter().map(read_segment).collect::<Result<_>>()?,
            unheard: self.unheard(call).await?,
        }))
    }
}

/// Or calls in which each of these words was said, or one that begins with it.
pub(super) fn or_spoken(select: &mut Select, typed: &str) {
    let words = words_of(typed);
    for (i, word) in words.iter().enumerate() {
        let (from, to) = range(word);
        select.push(if i == 0 { " OR (" } else { " AND " });
        select.push("calls.id IN (SELECT call_id FROM spoken_words WHERE word >= ").bytes(from);
        select.push(" AND word < ").bytes(to).push(")");
    }
    if !words.is_empty() {
        select.push(")");
    }
}

/// All that begins with this word: UTF-8 has no byte 0xff.
fn range(word: &str) -> (Vec<u8>, Vec<u8>) {
    (word.as_bytes().to_vec(), [word.as_bytes(), &[0xff]].concat())
}

/// Ready, if nothing is left to be listened to.
pub(super) async fn settle(tx: &mut Transaction<'static, Any>, call: &CallId, now: Timestamp) -> Result<Vec<Event>> {
    let done = sqlx::query(
        "UPDATE transcripts SET state = 'ready', reason = NULL, due_at = NULL WHERE call_id = $1 AND state = 'pending' \
         AND to_end = 0 AND NOT EXISTS (SELECT 1 FROM unheard WHERE unheard.call_id = transcripts.call_id)",
    )
    .bind(call.as_str())
    .execute(&mut **tx)
    .await?;
    match done.rows_affected() {
        0 => Ok(Vec::new()),
        _ => close(tx, call, TranscriptState::Ready, None, now).await,
    }
}

/// The transcript is as whole as it gets: told, and the summary is due.
pub(super) async fn close(
    tx: &mut Transaction<'static, Any>,
    call: &CallId,
    state: TranscriptState,
    reason: Option<TranscriptReason>,
    now: Timestamp,
) -> Result<Vec<Event>> {
    summaries::due(tx, call, now).await?;
    events::append(tx, vec![news(call, state, reason)], now).await
}

fn news(call: &CallId, state: TranscriptState, reason: Option<TranscriptReason>) -> NewEvent {
    let kind = if state == TranscriptState::Ready { "transcript.ready" } else { "transcript.failed" };
    let mut data = serde_json::json!({"call_id": call, "state": state});
    if let Some(reason) = reason {
        data["reason"] = reason.as_str().into();
    }
    NewEvent { kind, call_id: Some(call.clone()), agent_id: None, data }
}

pub(super) async fn write(
    tx: &mut Transaction<'static, Any>,
    call: &CallId,
    segment: &Segment,
    position: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO segments (call_id, speaker, position, start_ms, end_ms, text, confidence, language) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (call_id, speaker, position) DO UPDATE SET start_ms = excluded.start_ms, end_ms = excluded.end_ms, \
         text = excluded.text, confidence = excluded.confidence, language = excluded.language",
    )
    .bind(call.as_str())
    .bind(segment.speaker.as_str())
    .bind(position)
    .bind(time(segment.start_ms))
    .bind(time(segment.end_ms))
    .bind(clean(&segment.text))
    .bind(segment.confidence.map(|confidence| (f64::from(confidence) * 1000.0).round() as i64))
    .bind(segment.language.as_deref())
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("the transcript of {call}")))?;
    let words = words_of(&segment.text);
    if words.is_empty() {
        return Ok(());
    }
    let mut insert = Select::new("INSERT INTO spoken_words (call_id, word) VALUES ");
    for (i, word) in words.iter().enumerate() {
        insert.push(if i == 0 { "(" } else { ", (" }).text(call.as_str()).push(", ").bytes(word.as_bytes()).push(")");
    }
    insert.push(" ON CONFLICT DO NOTHING");
    insert.query().execute(&mut **tx).await?;
    Ok(())
}

fn read_segment(row: &AnyRow) -> Result<Segment> {
    let text = row.text("text")?;
    Ok(Segment {
        speaker: row.word("speaker")?,
        index: u32::try_from(row.int("position")?).map_err(|e| damaged("position", e))?,
        start_ms: read_time(row, "start_ms")?,
        end_ms: read_time(row, "end_ms")?,
        is_final: true,
        stable_chars: u32::try_from(text.chars().count()).unwrap_or(u32::MAX),
        text,
        confidence: row.int_opt("confidence")?.map(|thousandths| thousandths as f32 / 1000.0),
        language: row.text_opt("language")?,
    })
}

pub(super) fn time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

pub(super) fn read_time(row: &AnyRow, column: &str) -> Result<u64> {
    u64::try_from(row.int(column)?).map_err(|e| damaged(column, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::Side;
    use crate::store::CallFilter;
    use crate::store::fixture::{Fixture, T0, at, on_both, said};

    /// Events as words.
    fn kinds(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.kind.as_str()).collect()
    }

    on_both!(what_both_said_reads_back_in_the_order_it_was_said);
    async fn what_both_said_reads_back_in_the_order_it_was_said(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        assert_eq!(t.store.transcript(&call).await.unwrap(), None);
        t.store.begin_transcript(&call, "builtin", Some("en"), true).await.unwrap();
        t.store.begin_transcript(&call, "vosk", None, true).await.unwrap();
        let hello = said(Side::Agent, 0, 100, "Hello\u{0} ტანდემი");
        let order = said(Side::Customer, 0, 1_500, "My order, please.");
        let name = said(Side::Agent, 1, 1_200, "It's Anna");
        for segment in [&order, &hello, &name] {
            t.store.add_segment(&call, segment).await.unwrap();
        }
        let corrected = Segment { text: "It is Anna.".to_owned(), stable_chars: 11, ..name };
        t.store.add_segment(&call, &corrected).await.unwrap();
        assert_eq!(t.store.live_transcripts().await.unwrap(), std::slice::from_ref(&call));
        assert_eq!(kinds(&t.store.end_transcript(&call, T0).await.unwrap()), ["transcript.ready"]);
        assert_eq!(kinds(&t.store.end_transcript(&call, T0).await.unwrap()), [""; 0], "told once");
        let t = t.restart().await;
        let transcript = t.store.transcript(&call).await.unwrap().unwrap();
        let hello = Segment { text: "Hello\u{fffd} ტანდემი".to_owned(), ..hello };
        assert_eq!(transcript.segments, [hello, corrected, order]);
        let rest = (transcript.state, transcript.engine.as_str(), transcript.language.as_deref(), transcript.unheard);
        assert_eq!(rest, (TranscriptState::Ready, "builtin", Some("en"), vec![]));
        assert!(t.store.due_transcripts(at(9_999)).await.unwrap().is_empty());
    }

    on_both!(calls_are_found_by_what_was_said);
    async fn calls_are_found_by_what_was_said(t: Fixture) {
        let contact = t.seed().await;
        let calls = [t.call(&contact, 0).await.id, t.call(&contact, 1).await.id, t.call(&contact, 2).await.id];
        let texts = ["I want a REFUND for order 4711.", "Un café, s'il vous plaît", "გამარჯობა, the refunds desk"];
        for (call, text) in calls.iter().zip(texts) {
            t.store.begin_transcript(call, "builtin", None, true).await.unwrap();
            t.store.add_segment(call, &said(Side::Customer, 0, 0, text)).await.unwrap();
            t.store.add_segment(call, &said(Side::Agent, 0, 9, "Good morning")).await.unwrap();
        }
        for (typed, spoken, want) in [
            ("refund", true, vec![2, 0]),
            ("refund", false, vec![]),
            ("Refund ORDER", true, vec![0]),
            ("refund morning", true, vec![2, 0]),
            ("4711", true, vec![0]),
            ("cafe", true, vec![1]),
            ("CAFÉ plait", true, vec![1]),
            ("გამარჯ", true, vec![2]),
            ("funds", true, vec![]),
            ("refund% OR '1'='1", true, vec![]),
            ("...", true, vec![]),
            // By the customer's number, whatever was said.
            ("995555111222", true, vec![2, 1, 0]),
        ] {
            let filter = CallFilter { text: Some(typed.to_owned()), spoken, ..CallFilter::default() };
            let found = t.store.calls(&filter).await.unwrap().items;
            let found: Vec<_> = found.iter().map(|c| calls.iter().position(|id| *id == c.id).unwrap()).collect();
            assert_eq!(found, want, "{typed} {spoken}");
        }
    }
}
