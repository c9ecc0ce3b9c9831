//! What calls came to, and which are still to be summed up.

use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::sql::{Columns, clean, json_text};
use super::{Store, events};
use crate::model::event::{Event, NewEvent};
use crate::model::id::CallId;
use crate::model::summary::{Summary, SummaryState};
use crate::model::time::Timestamp;

/// A call's summary as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptSummary {
    pub state: SummaryState,
    /// Once it is ready; an earlier one while it is made anew.
    pub summary: Option<Summary>,
}

/// A call that is to be summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSummary {
    pub call: CallId,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Which wish this is.
    pub asked: i64,
}

impl Store {
    /// `None` if the call is not (yet) to be summed up.
    pub async fn summary(&self, call: &CallId) -> Result<Option<KeptSummary>> {
        let row = sqlx::query("SELECT state, body FROM summaries WHERE call_id = $1")
            .bind(call.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok(KeptSummary { state: row.word("state")?, summary: row.json_opt("body")? })).transpose()
    }

    /// Calls that are due to be summed up by rules or, `drafted`, by the language model after that; longest due first, at
    /// most 20.
    pub async fn due_summaries(&self, drafted: bool, now: Timestamp) -> Result<Vec<DueSummary>> {
        let rows = sqlx::query(
            "SELECT call_id, attempts, asked FROM summaries WHERE due_at <= $1 AND drafted = $2 ORDER BY due_at, call_id LIMIT 20",
        )
        .bind(now.as_millis())
        .bind(i16::from(drafted))
        .fetch_all(&self.reader)
        .await?;
        let due = |row: &sqlx::any::AnyRow| {
            let attempts = u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX);
            Ok(DueSummary { call: row.word("call_id")?, attempts, asked: row.int("asked")? })
        };
        rows.iter().map(due).collect()
    }

    /// Keeps a summary and tells of it. Unless it is the last of its wish, a better one is still due.
    pub async fn put_summary(
        &self,
        due: &DueSummary,
        summary: &Summary,
        is_last: bool,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let call = &due.call;
        let mut tx = self.writer.begin().await?;
        let kept = sqlx::query(
            "UPDATE summaries SET text = $3, body = $4, attempts = 0, \
             state = CASE WHEN asked = $2 THEN 'ready' ELSE state END, \
             drafted = CASE WHEN asked = $2 THEN 1 ELSE drafted END, \
             due_at = CASE WHEN asked = $2 AND $5 = 1 THEN NULL ELSE due_at END WHERE call_id = $1",
        )
        .bind(call.as_str())
        .bind(due.asked)
        .bind(clean(&summary.text))
        .bind(json_text(summary))
        .bind(i64::from(is_last));
        if kept.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("the summary of {call}")));
        }
        let data = serde_json::json!({"call_id": call, "state": SummaryState::Ready, "text": summary.text});
        let logged = events::append(&mut tx, vec![news("summary.ready", call, data)], now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// The rules have had their turn, and what they made is not as good as what there is.
    pub async fn pass_summary(&self, due: &DueSummary) -> Result<()> {
        sqlx::query("UPDATE summaries SET drafted = 1 WHERE call_id = $1 AND asked = $2")
            .bind(due.call.as_str())
            .bind(due.asked)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// An attempt came to nothing: due again at `again`, or never (`None`), which is told with the reason.
    pub async fn put_off_summary(
        &self,
        due: &DueSummary,
        again: Option<Timestamp>,
        why: &str,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let call = &due.call;
        let mut tx = self.writer.begin().await?;
        let state = if again.is_some() { SummaryState::Pending } else { SummaryState::Failed };
        let query = sqlx::query(
            "UPDATE summaries SET state = $2, due_at = $3, attempts = attempts + 1 \
             WHERE call_id = $1 AND state = 'pending' AND asked = $4",
        );
        let query = query.bind(call.as_str()).bind(state.as_str()).bind(again.map(Timestamp::as_millis));
        let query = query.bind(due.asked);
        let data = serde_json::json!({"call_id": call, "state": state, "error": why});
        let logged = match query.execute(&mut *tx).await?.rows_affected() {
            1 if again.is_none() => events::append(&mut tx, vec![news("summary.failed", call, data)], now).await?,
            _ => Vec::new(),
        };
        tx.commit().await?;
        Ok(logged)
    }

    /// Sums a call up anew, as soon as possible. False if nothing of it was written down.
    pub async fn sum_up_again(&self, call: &CallId, now: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO summaries (call_id, state, text, due_at) \
             SELECT call_id, 'pending', '', $2 FROM transcripts WHERE call_id = $1 AND state IN ('ready', 'failed') \
             ON CONFLICT (call_id) DO UPDATE SET state = 'pending', due_at = excluded.due_at, attempts = 0, \
             asked = summaries.asked + 1, drafted = 0",
        )
        .bind(call.as_str())
        .bind(now.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// The call's transcript is as whole as it gets.
pub(super) async fn due(tx: &mut Transaction<'static, Any>, call: &CallId, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO summaries (call_id, state, text, due_at) \
         SELECT call_id, 'pending', '', $2 FROM transcripts WHERE call_id = $1 AND sum_up = 1 \
         ON CONFLICT (call_id) DO UPDATE SET state = 'pending', due_at = excluded.due_at, attempts = 0, \
             asked = summaries.asked + 1, drafted = 0",
    )
    .bind(call.as_str())
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The call is over and something of it was written down: it is summed up by that until the rest is there.
pub(super) async fn due_early(tx: &mut Transaction<'static, Any>, call: &CallId, now: Timestamp) -> Result<()> {
    let said = sqlx::query("SELECT 1 FROM segments WHERE call_id = $1 LIMIT 1").bind(call.as_str());
    match said.fetch_optional(&mut **tx).await? {
        Some(_) => due(tx, call, now).await,
        None => Ok(()),
    }
}

fn news(kind: &'static str, call: &CallId, data: serde_json::Value) -> NewEvent {
    NewEvent { kind, call_id: Some(call.clone()), agent_id: None, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::CallId;
    use crate::model::rtp::Side;
    use crate::model::summary::{Figures, SummaryKind};
    use crate::model::transcript::Unheard;
    use crate::store::fixture::{Fixture, T0, at, on_both, said};

    fn summary(text: &str) -> Summary {
        Summary {
            kind: SummaryKind::Extractive,
            model: None,
            language: Some("en".to_owned()),
            text: text.to_owned(),
            reason: None,
            key_points: vec![],
            questions: vec![],
            action_items: vec![],
            outcome: None,
            details: vec![],
            figures: Figures::default(),
            unheard_ms: 0,
            withheld: 0,
            fallback_reason: None,
        }
    }

    async fn transcribed(t: &Fixture, sum_up: bool) -> CallId {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await.id;
        t.store.begin_transcript(&call, "builtin", None, sum_up).await.unwrap();
        call
    }

    async fn shown(t: &Fixture, call: &CallId) -> (SummaryState, Option<String>) {
        let record = t.store.call(call).await.unwrap().unwrap();
        (record.summary.state, record.summary.text)
    }

    on_both!(a_call_is_due_once_its_transcript_is_whole_and_its_summary_is_shown_with_it);
    async fn a_call_is_due_once_its_transcript_is_whole_and_its_summary_is_shown_with_it(t: Fixture) {
        let call = transcribed(&t, true).await;
        assert_eq!(shown(&t, &call).await, (SummaryState::Off, None));
        assert!(!t.store.sum_up_again(&call, T0).await.unwrap(), "it still runs");
        t.store.end_transcript(&call, at(1)).await.unwrap();
        assert_eq!(shown(&t, &call).await, (SummaryState::Pending, None));
        assert!(t.store.due_summaries(false, T0).await.unwrap().is_empty());
        let due = DueSummary { call: call.clone(), attempts: 0, asked: 0 };
        assert_eq!(t.store.due_summaries(false, at(1)).await.unwrap(), std::slice::from_ref(&due));
        assert!(t.store.due_summaries(true, at(1)).await.unwrap().is_empty());
        let events = t.store.put_summary(&due, &summary("All is well.\0"), false, at(2)).await.unwrap();
        assert_eq!(events[0].kind, "summary.ready");
        assert!(t.store.due_summaries(false, at(9)).await.unwrap().is_empty());
        assert_eq!(t.store.due_summaries(true, at(2)).await.unwrap(), std::slice::from_ref(&due), "the model is asked");
        t.store.put_summary(&due, &summary("All is well.\0"), true, at(2)).await.unwrap();
        let t = t.restart().await;
        assert_eq!(shown(&t, &call).await, (SummaryState::Ready, Some("All is well.\u{fffd}".to_owned())));
        let kept = t.store.summary(&call).await.unwrap().unwrap();
        assert_eq!(kept, KeptSummary { state: SummaryState::Ready, summary: Some(summary("All is well.\0")) });
        assert!(t.store.due_summaries(true, at(9_999)).await.unwrap().is_empty());

        assert!(t.store.sum_up_again(&call, at(10)).await.unwrap());
        // What was made for the wish before does not end this one.
        t.store.put_summary(&due, &summary("All is well.\0"), true, at(10)).await.unwrap();
        assert!(t.store.put_off_summary(&due, None, "late", at(10)).await.unwrap().is_empty());
        t.store.pass_summary(&due).await.unwrap();
        let due = t.store.due_summaries(false, at(10)).await.unwrap().remove(0);
        assert_eq!(due.asked, 1);
        let kept = t.store.summary(&call).await.unwrap().unwrap();
        assert_eq!((kept.state, kept.summary.is_some()), (SummaryState::Pending, true), "the old one until then");
        t.store.pass_summary(&due).await.unwrap();
        assert_eq!(t.store.due_summaries(true, at(10)).await.unwrap(), [due]);
    }

    on_both!(what_cannot_be_summed_up_is_tried_again_and_then_given_up_aloud);
    async fn what_cannot_be_summed_up_is_tried_again_and_then_given_up_aloud(t: Fixture) {
        let call = transcribed(&t, true).await;
        t.store.end_transcript(&call, T0).await.unwrap();
        let due = t.store.due_summaries(false, T0).await.unwrap().remove(0);
        assert!(t.store.put_off_summary(&due, Some(at(60)), "busy", T0).await.unwrap().is_empty());
        assert!(t.store.due_summaries(false, at(59)).await.unwrap().is_empty());
        assert_eq!(t.store.due_summaries(false, at(60)).await.unwrap()[0].attempts, 1);
        let told = t.store.put_off_summary(&due, None, "gone", at(60)).await.unwrap();
        assert_eq!((told[0].kind.as_str(), &told[0].data["error"]), ("summary.failed", &serde_json::json!("gone")));
        assert_eq!(shown(&t, &call).await, (SummaryState::Failed, None));
        assert!(t.store.put_off_summary(&due, None, "gone", at(61)).await.unwrap().is_empty(), "told once");
    }

    on_both!(a_call_that_is_not_to_be_summed_up_never_is_unless_asked);
    async fn a_call_that_is_not_to_be_summed_up_never_is_unless_asked(t: Fixture) {
        let call = transcribed(&t, false).await;
        t.store.end_transcript(&call, T0).await.unwrap();
        assert!(t.store.summary(&call).await.unwrap().is_none());
        assert!(t.store.due_summaries(false, at(9_999)).await.unwrap().is_empty());
        assert!(t.store.sum_up_again(&call, at(1)).await.unwrap());
        assert_eq!(t.store.due_summaries(false, at(1)).await.unwrap().len(), 1);
        assert!(!t.store.sum_up_again(&CallId::generate(), at(1)).await.unwrap());
        let nobody = DueSummary { call: CallId::generate(), attempts: 0, asked: 0 };
        let nobody = t.store.put_summary(&nobody, &summary(""), true, at(1)).await;
        assert!(matches!(nobody, Err(StoreError::Missing(_))));
    }

    on_both!(a_call_is_summed_up_at_once_by_what_was_heard_and_again_when_it_is_whole);
    async fn a_call_is_summed_up_at_once_by_what_was_heard_and_again_when_it_is_whole(t: Fixture) {
        let call = transcribed(&t, true).await;
        let gap = Unheard { speaker: Side::Agent, start_ms: 5, end_ms: 900 };
        t.store.add_unheard(&call, gap).await.unwrap();
        t.store.end_transcript(&call, at(1)).await.unwrap();
        assert!(t.store.due_summaries(false, at(1)).await.unwrap().is_empty(), "nothing was heard");
        t.store.fill_transcript(&call, gap, &[], at(2)).await.unwrap();
        let whole = t.store.due_summaries(false, at(2)).await.unwrap();
        assert_eq!(whole.len(), 1);

        let other = t.call(&t.seed().await, 1).await.id;
        t.store.begin_transcript(&other, "builtin", None, true).await.unwrap();
        t.store.add_segment(&other, &said(Side::Customer, 0, 0, "Hello")).await.unwrap();
        t.store.add_unheard(&other, gap).await.unwrap();
        t.store.end_transcript(&other, at(3)).await.unwrap();
        let early = t.store.due_summaries(false, at(3)).await.unwrap().remove(1);
        // It becomes whole while it is summed up.
        t.store.fill_transcript(&other, gap, &[], at(4)).await.unwrap();
        t.store.put_summary(&early, &summary("Hello"), true, at(4)).await.unwrap();
        assert_eq!(t.store.due_summaries(false, at(4)).await.unwrap().len(), 2, "the whole is still due");
    }
}
