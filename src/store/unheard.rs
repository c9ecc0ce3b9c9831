//! What of calls nobody has written down: entered while they run, listened to from their recordings afterwards.

use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::sql::Columns;
use super::transcripts::{close, read_time, settle, time, write};
use super::{Store, summaries};
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::rtp::Side;
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, TranscriptReason, TranscriptState, Unheard};

/// A last stretch of a call that is shorter than a word.
const WORD_MS: u64 = 200;

/// A transcript that waits for the rest of its call to be listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTranscript {
    pub call: CallId,
    pub language: Option<String>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// What was said after the last of its segments is unheard too; how much that is, its recording will say.
    pub to_end: bool,
    pub unheard: Vec<Unheard>,
}

impl Store {
    /// Keeps that something was said that nobody has written down.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the transcript was not begun.
    pub async fn add_unheard(&self, call: &CallId, unheard: Unheard) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        enter(&mut tx, call, unheard).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The process that listened is gone. What it left between segments is entered, what was said after the last of them is
    /// unheard too, and all of it is due at once. False if the transcript was not live.
    pub async fn cut_transcript(&self, call: &CallId, holes: &[Unheard], now: Timestamp) -> Result<bool> {
        let mut tx = self.writer.begin().await?;
        let cut = sqlx::query(
            "UPDATE transcripts SET state = 'pending', to_end = 1, due_at = $2 WHERE call_id = $1 AND state = 'live'",
        );
        let cut = cut.bind(call.as_str()).bind(now.as_millis()).execute(&mut *tx).await?.rows_affected() > 0;
        if cut {
            let unheard = [unheard(&mut tx, call).await?, holes.to_vec()].concat();
            replace(&mut tx, call, &Unheard::merged(unheard)).await?;
            summaries::due_early(&mut tx, call, now).await?;
        }
        tx.commit().await?;
        Ok(cut)
    }

    /// An ended transcript is completed once more, from its end to that of the recording (`recorded_ms`, or as long as
    /// that turns out to be). `None` if there is none, or its call still runs.
    pub async fn reopen_transcript(
        &self,
        call: &CallId,
        recorded_ms: Option<u64>,
        now: Timestamp,
    ) -> Result<Option<Vec<Event>>> {
        let mut tx = self.writer.begin().await?;
        let open = sqlx::query(
            "UPDATE transcripts SET state = 'pending', reason = NULL, to_end = 1, due_at = $2, attempts = 0 \
             WHERE call_id = $1 AND state <> 'live'",
        );
        let open = open.bind(call.as_str()).bind(now.as_millis()).execute(&mut *tx).await?.rows_affected() > 0;
        let logged = match (open, recorded_ms) {
            (true, Some(recorded_ms)) => Some(enter_rest(&mut tx, call, recorded_ms, now).await?),
            (true, None) => Some(Vec::new()),
            (false, _) => None,
        };
        tx.commit().await?;
        Ok(logged)
    }

    /// A transcript whose rest is unheard learns how long its recording is, and stretches that adjoin become one: a word on
    /// their border is whole. Ready, if nothing is left of that.
    pub async fn measure_transcript(&self, call: &CallId, recorded_ms: u64, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let logged = enter_rest(&mut tx, call, recorded_ms, now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// What was said in the beginning of a stretch nobody had written down, or in all of it. With the last of them the
    /// transcript is ready.
    pub async fn fill_transcript(
        &self,
        call: &CallId,
        filled: Unheard,
        segments: &[Segment],
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let gone =
            sqlx::query("DELETE FROM unheard WHERE call_id = $1 AND speaker = $2 AND start_ms = $3 RETURNING end_ms");
        let gone = gone.bind(call.as_str()).bind(filled.speaker.as_str()).bind(time(filled.start_ms));
        // Somebody else filled it.
        let Some(gone) = gone.fetch_optional(&mut *tx).await? else { return Ok(Vec::new()) };
        let rest = Unheard { start_ms: filled.end_ms, end_ms: read_time(&gone, "end_ms")?, ..filled };
        if rest.start_ms < rest.end_ms {
            enter(&mut tx, call, rest).await?;
        }
        let row = sqlx::query(
            "SELECT COALESCE(MAX(position) + 1, 0) AS next FROM segments WHERE call_id = $1 AND speaker = $2",
        )
        .bind(call.as_str())
        .bind(filled.speaker.as_str())
        .fetch_one(&mut *tx)
        .await?;
        for (segment, position) in segments.iter().zip(row.int("next")?..) {
            write(&mut tx, call, segment, position).await?;
        }
        let logged = settle(&mut tx, call, now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// An attempt at what is due came to nothing: due again at a later time, or never, which is told with the reason.
    pub async fn put_off_transcript(
        &self,
        call: &CallId,
        again: std::result::Result<Timestamp, TranscriptReason>,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let state = if again.is_ok() { TranscriptState::Pending } else { TranscriptState::Failed };
        let query = sqlx::query(
            "UPDATE transcripts SET state = $2, due_at = $3, reason = $4, attempts = attempts + 1 \
             WHERE call_id = $1 AND state = 'pending'",
        );
        let query = query.bind(call.as_str()).bind(state.as_str()).bind(again.ok().map(Timestamp::as_millis));
        let query = query.bind(again.err().map(TranscriptReason::as_str));
        let logged = match query.execute(&mut *tx).await?.rows_affected() {
            1 if again.is_err() => close(&mut tx, call, state, again.err(), now).await?,
            _ => Vec::new(),
        };
        tx.commit().await?;
        Ok(logged)
    }

    /// What is due waits for something that is sure to come; it counts as no attempt.
    pub async fn postpone_transcript(&self, call: &CallId, until: Timestamp) -> Result<()> {
        sqlx::query("UPDATE transcripts SET due_at = $2 WHERE call_id = $1 AND state = 'pending'")
            .bind(call.as_str())
            .bind(until.as_millis())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Transcripts of ended calls whose rest is due to be listened to, at most 20: the shortest first, but none is overtaken
    /// for longer than it is.
    pub async fn due_transcripts(&self, now: Timestamp) -> Result<Vec<DueTranscript>> {
        let rows = sqlx::query(
            "SELECT call_id, language, attempts, to_end FROM transcripts t WHERE due_at <= $1 ORDER BY due_at + \
             (SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM unheard u WHERE u.call_id = t.call_id), call_id LIMIT 20",
        )
        .bind(now.as_millis())
        .fetch_all(&self.reader)
        .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let call: CallId = row.word("call_id")?;
            due.push(DueTranscript {
                language: row.text_opt("language")?,
                attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
                to_end: row.flag("to_end")?,
                unheard: self.unheard(&call).await?,
                call,
            });
        }
        Ok(due)
    }

    /// What nobody has written down of a call, by its beginning.
    pub async fn unheard(&self, call: &CallId) -> Result<Vec<Unheard>> {
        let mut tx = self.reader.begin().await?;
        unheard(&mut tx, call).await
    }
}

/// See [`Store::measure_transcript`].
async fn enter_rest(
    tx: &mut Transaction<'static, Any>,
    call: &CallId,
    recorded_ms: u64,
    now: Timestamp,
) -> Result<Vec<Event>> {
    let open = sqlx::query("UPDATE transcripts SET to_end = 0 WHERE call_id = $1 AND to_end = 1");
    let open = open.bind(call.as_str()).execute(&mut **tx).await?.rows_affected() > 0;
    let mut known = unheard(tx, call).await?;
    for speaker in [Side::Customer, Side::Agent].into_iter().filter(|_| open) {
        let said = sqlx::query("SELECT MAX(end_ms) AS end_ms FROM segments WHERE call_id = $1 AND speaker = $2");
        let said = said.bind(call.as_str()).bind(speaker.as_str()).fetch_one(&mut **tx).await?.int_opt("end_ms")?;
        let said = said.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        let missed = known.iter().filter(|stretch| stretch.speaker == speaker).map(|stretch| stretch.end_ms).max();
        let start_ms = said.max(missed.unwrap_or(0));
        if recorded_ms > start_ms + WORD_MS {
            known.push(Unheard { speaker, start_ms, end_ms: recorded_ms });
        }
    }
    replace(tx, call, &Unheard::merged(known)).await?;
    settle(tx, call, now).await
}

async fn unheard(tx: &mut Transaction<'static, Any>, call: &CallId) -> Result<Vec<Unheard>> {
    let rows = sqlx::query("SELECT * FROM unheard WHERE call_id = $1 ORDER BY start_ms, speaker")
        .bind(call.as_str())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter()
        .map(|row| {
            let (start_ms, end_ms) = (read_time(row, "start_ms")?, read_time(row, "end_ms")?);
            Ok(Unheard { speaker: row.word("speaker")?, start_ms, end_ms })
        })
        .collect()
}

async fn replace(tx: &mut Transaction<'static, Any>, call: &CallId, unheard: &[Unheard]) -> Result<()> {
    sqlx::query("DELETE FROM unheard WHERE call_id = $1").bind(call.as_str()).execute(&mut **tx).await?;
    for stretch in unheard {
        enter(tx, call, *stretch).await?;
    }
    Ok(())
}

async fn enter(tx: &mut Transaction<'static, Any>, call: &CallId, unheard: Unheard) -> Result<()> {
    sqlx::query(
        "INSERT INTO unheard (call_id, speaker, start_ms, end_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (call_id, speaker, start_ms) DO UPDATE SET end_ms = excluded.end_ms \
         WHERE unheard.end_ms < excluded.end_ms",
    )
    .bind(call.as_str())
    .bind(unheard.speaker.as_str())
    .bind(time(unheard.start_ms))
    .bind(time(unheard.end_ms))
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("the transcript of {call}")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, T0, at, on_both, said};

    fn missed(speaker: Side, start_ms: u64, end_ms: u64) -> Unheard {
        Unheard { speaker, start_ms, end_ms }
    }

    /// Events as words.
    fn kinds(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.kind.as_str()).collect()
    }

    on_both!(what_was_missed_is_due_until_the_last_of_it_is_written_down);
    async fn what_was_missed_is_due_until_the_last_of_it_is_written_down(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        let gap = missed(Side::Customer, 1_000, 4_000);
        assert!(matches!(t.store.add_unheard(&call, gap).await, Err(StoreError::Missing(_))));
        t.store.begin_transcript(&call, "builtin", None, true).await.unwrap();
        t.store.add_segment(&call, &said(Side::Customer, 0, 0, "Yes")).await.unwrap();
        for gap in [missed(Side::Customer, 1_000, 2_000), gap, missed(Side::Customer, 1_000, 3_000)] {
            t.store.add_unheard(&call, gap).await.unwrap();
        }
        let other = missed(Side::Agent, 500, 700);
        t.store.add_unheard(&call, other).await.unwrap();
        assert!(t.store.due_transcripts(at(9)).await.unwrap().is_empty(), "the call still runs");
        assert!(t.store.end_transcript(&call, at(1)).await.unwrap().is_empty());
        assert!(t.store.due_transcripts(T0).await.unwrap().is_empty());
        let due = t.store.due_transcripts(at(1)).await.unwrap();
        let want =
            DueTranscript { call: call.clone(), language: None, attempts: 0, to_end: false, unheard: vec![other, gap] };
        assert_eq!(due, [want]);

        assert!(t.store.put_off_transcript(&call, Ok(at(60)), at(2)).await.unwrap().is_empty());
        assert!(t.store.due_transcripts(at(59)).await.unwrap().is_empty());
        assert_eq!(t.store.due_transcripts(at(60)).await.unwrap()[0].attempts, 1);
        let late = said(Side::Customer, 0, 1_100, "two words");
        assert!(t.store.fill_transcript(&call, gap, &[late], at(61)).await.unwrap().is_empty());
        let told = t.store.fill_transcript(&call, other, &[], at(62)).await.unwrap();
        assert_eq!(kinds(&told), ["transcript.ready"]);
        assert!(
            t.store
                .fill_transcript(&call, other, &[said(Side::Agent, 0, 9, "twice")], at(62))
                .await
                .unwrap()
                .is_empty()
        );
        let transcript = t.store.transcript(&call).await.unwrap().unwrap();
        let texts: Vec<_> = transcript.segments.iter().map(|s| (s.index, s.text.as_str())).collect();
        assert_eq!((transcript.state, texts), (TranscriptState::Ready, vec![(0, "Yes"), (1, "two words")]));
    }

    on_both!(what_cannot_be_listened_to_is_given_up_aloud_and_keeps_what_there_is);
    async fn what_cannot_be_listened_to_is_given_up_aloud_and_keeps_what_there_is(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        t.store.begin_transcript(&call, "builtin", None, true).await.unwrap();
        t.store.add_segment(&call, &said(Side::Agent, 0, 0, "Still here")).await.unwrap();
        t.store.add_unheard(&call, missed(Side::Agent, 5, 6)).await.unwrap();
        t.store.end_transcript(&call, T0).await.unwrap();
        let never = Err(TranscriptReason::RecordingLost);
        let told = t.store.put_off_transcript(&call, never, at(1)).await.unwrap();
        assert_eq!((kinds(&told), &told[0].data["reason"]), (vec!["transcript.failed"], &"recording_lost".into()));
        assert!(t.store.put_off_transcript(&call, never, at(1)).await.unwrap().is_empty(), "told once");
        assert!(t.store.due_transcripts(at(9_999)).await.unwrap().is_empty());
        let transcript = t.store.transcript(&call).await.unwrap().unwrap();
        assert_eq!((transcript.state, transcript.segments.len()), (TranscriptState::Failed, 1));
        assert_eq!(transcript.unheard, [missed(Side::Agent, 5, 6)]);
    }

    on_both!(what_a_crash_cut_off_is_due_to_the_end_of_a_recording_that_may_come_later);
    async fn what_a_crash_cut_off_is_due_to_the_end_of_a_recording_that_may_come_later(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        t.store.begin_transcript(&call, "builtin", None, true).await.unwrap();
        t.store.add_segment(&call, &said(Side::Customer, 0, 0, "Yes")).await.unwrap();
        t.store.add_segment(&call, &said(Side::Customer, 2, 4_000, "Goodbye")).await.unwrap();
        t.store.add_unheard(&call, missed(Side::Customer, 950, 2_000)).await.unwrap();
        let holes = [missed(Side::Customer, 900, 4_000)];
        assert!(t.store.cut_transcript(&call, &holes, at(1)).await.unwrap());
        assert!(!t.store.cut_transcript(&call, &holes, at(1)).await.unwrap(), "it is not live any more");
        assert!(t.store.end_transcript(&call, at(1)).await.unwrap().is_empty());
        let t = t.restart().await;
        let due = t.store.due_transcripts(at(1)).await.unwrap().remove(0);
        assert_eq!((due.to_end, due.unheard), (true, holes.to_vec()));
        // With all that is known filled it is not whole: nobody knows how long the call was.
        assert!(t.store.fill_transcript(&call, holes[0], &[], at(2)).await.unwrap().is_empty());
        assert_eq!(t.store.transcript(&call).await.unwrap().unwrap().state, TranscriptState::Pending);
        assert!(t.store.measure_transcript(&call, 6_000, at(3)).await.unwrap().is_empty());
        let due = t.store.due_transcripts(at(3)).await.unwrap().remove(0);
        let rest = [missed(Side::Agent, 0, 6_000), missed(Side::Customer, 4_900, 6_000)];
        assert_eq!((due.to_end, due.unheard), (false, rest.to_vec()));
        // Piece by piece.
        for (start_ms, end_ms) in [(0, 2_500), (2_500, 6_000)] {
            assert!(
                t.store
                    .fill_transcript(&call, missed(Side::Agent, start_ms, end_ms), &[], at(4))
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        let told = t.store.fill_transcript(&call, rest[1], &[], at(4)).await.unwrap();
        assert_eq!(kinds(&told), ["transcript.ready"]);
    }

    on_both!(a_transcript_is_opened_again_for_what_its_recording_has_more_of);
    async fn a_transcript_is_opened_again_for_what_its_recording_has_more_of(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        assert!(t.store.reopen_transcript(&call, None, T0).await.unwrap().is_none(), "nobody listened");
        t.store.begin_transcript(&call, "builtin", None, true).await.unwrap();
        assert!(t.store.reopen_transcript(&call, None, T0).await.unwrap().is_none(), "the call still runs");
        t.store.add_segment(&call, &said(Side::Agent, 0, 0, "Hello")).await.unwrap();
        t.store.add_unheard(&call, missed(Side::Agent, 1_000, 2_000)).await.unwrap();
        t.store.end_transcript(&call, T0).await.unwrap();
        t.store.put_off_transcript(&call, Err(TranscriptReason::RecordingLost), T0).await.unwrap();
        assert!(t.store.reopen_transcript(&call, Some(3_000), at(5)).await.unwrap().unwrap().is_empty());
        let due = t.store.due_transcripts(at(5)).await.unwrap().remove(0);
        // What adjoins is one.
        let want = [missed(Side::Customer, 0, 3_000), missed(Side::Agent, 1_000, 3_000)];
        assert_eq!((due.attempts, due.to_end, due.unheard), (0, false, want.to_vec()));
        for gap in want {
            t.store.fill_transcript(&call, gap, &[], at(6)).await.unwrap();
        }
        assert_eq!(t.store.transcript(&call).await.unwrap().unwrap().state, TranscriptState::Ready);
        let told = t.store.reopen_transcript(&call, Some(100), at(7)).await.unwrap().unwrap();
        assert_eq!(kinds(&told), ["transcript.ready"], "there is no more of it");
    }

    on_both!(the_shortest_is_due_first_and_overtakes_none_for_longer_than_that_is);
    async fn the_shortest_is_due_first_and_overtakes_none_for_longer_than_that_is(t: Fixture) {
        let contact = t.seed().await;
        let mut calls = Vec::new();
        for (ended, minutes) in [(0, 10), (1, 1), (700, 1)] {
            let call = t.call(&contact, 0).await.id;
            t.store.begin_transcript(&call, "builtin", None, true).await.unwrap();
            t.store.add_unheard(&call, missed(Side::Agent, 0, minutes * 60_000)).await.unwrap();
            t.store.end_transcript(&call, at(ended)).await.unwrap();
            calls.push(call);
        }
        let due = t.store.due_transcripts(at(800)).await.unwrap();
        let order: Vec<_> = due.iter().map(|due| calls.iter().position(|call| *call == due.call).unwrap()).collect();
        assert_eq!(order, [1, 0, 2]);
    }
}
