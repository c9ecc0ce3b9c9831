//! Which answered calls lack a recording or a transcript though nothing says why.

use super::call_record::CALLS;
use super::error::Result;
use super::sql::{Columns, Select, json_text};
use super::{Store, events};
use crate::call::CallRecord;
use crate::call::documents::Document;
use crate::model::event::{Event, NewEvent};
use crate::model::id::CallId;
use crate::model::time::Timestamp;

impl Store {
    /// Ended calls whose documents are due to be looked at, longest due first, at most 100.
    pub async fn calls_to_look_at(&self, now: Timestamp) -> Result<Vec<CallRecord>> {
        let mut select = Select::new(CALLS);
        select.and("calls.state = 'ended'").and("calls.documents_due_at <= ").int(now.as_millis());
        select.push(" ORDER BY calls.documents_due_at, calls.id LIMIT 100");
        self.read_calls(select).await
    }

    /// Keeps what of a call is missing without a reason, and when to look again (`None`: not of itself). Told when that is
    /// news.
    pub async fn note_documents(
        &self,
        call: &CallId,
        missing: &[Document],
        again: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let before = sqlx::query("SELECT undocumented FROM calls WHERE id = $1").bind(call.as_str());
        let Some(before) = before.fetch_optional(&mut *tx).await? else { return Ok(Vec::new()) };
        let (before, text) = (before.text_opt("undocumented")?, (!missing.is_empty()).then(|| json_text(&missing)));
        sqlx::query("UPDATE calls SET undocumented = $2, documents_due_at = $3 WHERE id = $1")
            .bind(call.as_str())
            .bind(text.as_deref())
            .bind(again.map(Timestamp::as_millis))
            .execute(&mut *tx)
            .await?;
        let data = serde_json::json!({"call_id": call, "missing": missing});
        let news = NewEvent { kind: "call.undocumented", call_id: Some(call.clone()), agent_id: None, data };
        let is_news = text.is_some() && text != before;
        let logged = events::append(&mut tx, is_news.then_some(news).into_iter().collect(), now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    pub async fn undocumented_calls(&self) -> Result<i64> {
        let count = sqlx::query("SELECT COUNT(*) AS calls FROM calls WHERE undocumented IS NOT NULL");
        count.fetch_one(&self.reader).await?.int("calls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::EndReason;
    use crate::model::recording::RecordingReason;
    use crate::model::transcript::TranscriptReason;
    use crate::store::CallFilter;
    use crate::store::fixture::{self, Fixture, at, on_both};

    on_both!(what_a_call_lacks_is_told_once_counted_and_found_until_it_is_there);
    async fn what_a_call_lacks_is_told_once_counted_and_found_until_it_is_there(t: Fixture) {
        let contact = t.seed().await;
        let running = t.call(&contact, 0).await;
        assert!(t.store.calls_to_look_at(at(9)).await.unwrap().is_empty(), "it runs");
        let call = fixture::ended(running, EndReason::Completed, at(1));
        t.store.save_call(&call, vec![], at(1)).await.unwrap();
        assert_eq!(t.store.calls_to_look_at(at(9)).await.unwrap()[0].id, call.id);
        let both = [Document::Recording, Document::Transcript];
        let told = t.store.note_documents(&call.id, &both, Some(at(60)), at(9)).await.unwrap();
        let want = serde_json::json!({"call_id": call.id, "missing": ["recording", "transcript"]});
        assert_eq!((told[0].kind.as_str(), &told[0].data), ("call.undocumented", &want));
        assert!(t.store.note_documents(&call.id, &both, Some(at(60)), at(9)).await.unwrap().is_empty(), "told once");
        assert!(t.store.calls_to_look_at(at(59)).await.unwrap().is_empty());
        let found = async |documented| {
            let filter = CallFilter { documented: Some(documented), ..CallFilter::default() };
            t.store.calls(&filter).await.unwrap().items.len()
        };
        assert_eq!((found(false).await, found(true).await, t.store.undocumented_calls().await.unwrap()), (1, 0, 1));
        assert_eq!(t.store.calls_to_look_at(at(60)).await.unwrap().len(), 1);
        assert!(t.store.note_documents(&call.id, &[], None, at(60)).await.unwrap().is_empty());
        assert_eq!((found(false).await, found(true).await, t.store.undocumented_calls().await.unwrap()), (0, 1, 0));
        assert!(t.store.calls_to_look_at(at(9_999)).await.unwrap().is_empty());
    }

    on_both!(why_there_is_no_recording_and_no_transcript_reads_back);
    async fn why_there_is_no_recording_and_no_transcript_reads_back(t: Fixture) {
        let contact = t.seed().await;
        let mut call = t.call(&contact, 0).await;
        call.recording.reason = Some(RecordingReason::NotWanted);
        call.transcript.reason = Some(TranscriptReason::NotRecorded);
        t.store.save_call(&call, vec![], at(1)).await.unwrap();
        let reasons = async |t: &Fixture| {
            let call = t.store.call(&call.id).await.unwrap().unwrap();
            (call.recording.reason, call.transcript.reason)
        };
        let t = t.restart().await;
        assert_eq!(reasons(&t).await, (Some(RecordingReason::NotWanted), Some(TranscriptReason::NotRecorded)));
        // What became of the transcript itself knows better.
        t.store.begin_transcript(&call.id, "builtin", None, false).await.unwrap();
        assert_eq!(reasons(&t).await.1, None);
        let gap = crate::model::transcript::Unheard { speaker: crate::model::rtp::Side::Agent, start_ms: 0, end_ms: 9 };
        t.store.add_unheard(&call.id, gap).await.unwrap();
        t.store.end_transcript(&call.id, at(2)).await.unwrap();
        t.store.put_off_transcript(&call.id, Err(TranscriptReason::RecogniserAway), at(2)).await.unwrap();
        assert_eq!(reasons(&t).await.1, Some(TranscriptReason::RecogniserAway));
    }
}
