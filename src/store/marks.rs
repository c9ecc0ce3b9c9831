//! What people say a call was: its disposition and its tags. Written beside the record and never with it, so that the copy
//! a running call has of itself erases nothing.

use super::call_record::{CALLS, read_calls};
use super::error::Result;
use super::sql::{Columns, Select};
use super::{Store, events};
use crate::call::record::CallRecord;
use crate::model::directory::Asker;
use crate::model::event::{Event, NewEvent};
use crate::model::id::{CallId, ContactId};
use crate::model::time::Timestamp;

/// What is to be said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `None` takes it back.
    Disposition(Option<String>),
    /// All of them; in lower case, each once.
    Tags(Vec<String>),
}

impl Store {
    /// Marks a call and logs `call.marked`, which says who did, and `call.updated`. `None` if there is no such call.
    pub async fn mark_call(
        &self,
        call: &CallId,
        mark: &Mark,
        by: &Asker,
        now: Timestamp,
    ) -> Result<Option<(CallRecord, Vec<Event>)>> {
        let mut tx = self.writer.begin().await?;
        // A write, so that two who mark the same call do so one after the other.
        let lock = sqlx::query("UPDATE calls SET state = state WHERE id = $1").bind(call.as_str());
        if lock.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let said = match mark {
            Mark::Disposition(disposition) => {
                let query = sqlx::query("UPDATE calls SET disposition = $2 WHERE id = $1");
                query.bind(call.as_str()).bind(disposition.as_deref()).execute(&mut *tx).await?;
                serde_json::json!({"call_id": call, "by": by, "disposition": disposition})
            }
            Mark::Tags(tags) => {
                let query = sqlx::query("DELETE FROM call_tags WHERE call_id = $1");
                query.bind(call.as_str()).execute(&mut *tx).await?;
                for tag in tags {
                    let query = sqlx::query("INSERT INTO call_tags (call_id, tag) VALUES ($1, $2)");
                    query.bind(call.as_str()).bind(tag).execute(&mut *tx).await?;
                }
                serde_json::json!({"call_id": call, "by": by, "tags": tags})
            }
        };
        let mut select = Select::new(CALLS);
        select.and("calls.id = ").text(call.as_str());
        let Some(record) = read_calls(&mut tx, select).await?.pop() else { return Ok(None) };
        let data = serde_json::to_value(&record).expect("a call record is plain data");
        let event = |kind, data| NewEvent { kind, call_id: Some(call.clone()), agent_id: None, data };
        let news = vec![event("call.marked", said), event("call.updated", data)];
        let told = events::append(&mut tx, news, now).await?;
        tx.commit().await?;
        Ok(Some((record, told)))
    }
}

/// More would not be read while it rings.
const CUSTOMER_TAGS_MAX: i64 = 6;

impl Store {
    /// What the customer's calls were put among, the latest first.
    pub async fn customer_tags(&self, contact: &ContactId) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT t.tag AS tag, MAX(calls.created_at) AS last FROM call_tags t JOIN calls ON calls.id = t.call_id \
             JOIN contacts r ON r.id = calls.contact_id WHERE COALESCE(r.merged_into, r.id) = $1 \
             GROUP BY t.tag ORDER BY last DESC, t.tag LIMIT $2",
        )
        .bind(contact.as_str())
        .bind(CUSTOMER_TAGS_MAX)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| row.text("tag")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CallFilter;
    use crate::store::fixture::{Fixture, T0, agent_id, at, on_both};

    on_both!(a_mark_survives_a_copy_from_before_and_is_found);
    async fn a_mark_survives_a_copy_from_before_and_is_found(t: Fixture) {
        let contact = t.seed().await;
        let copy = t.call(&contact, 0).await;
        let other = t.call(&contact, 1).await;
        let by = Asker::Agent { agent_id: agent_id("a") };
        let resolved = Mark::Disposition(Some("Resolved".to_owned()));
        let (_, told) = t.store.mark_call(&copy.id, &resolved, &by, at(1)).await.unwrap().unwrap();
        let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!((kinds, &told[1].data["disposition"]), (vec!["call.marked", "call.updated"], &"Resolved".into()));
        assert_eq!(told[0].data["by"]["agent_id"], "agt_a");
        let tags = Mark::Tags(vec!["vip".to_owned(), "it's, \"odd\"".to_owned()]);
        t.store.mark_call(&copy.id, &tags, &by, at(2)).await.unwrap().unwrap();
        t.store.save_call(&copy, vec![], at(3)).await.unwrap();

        let t = t.restart().await;
        let read = t.store.call(&copy.id).await.unwrap().unwrap();
        assert_eq!(read.disposition.as_deref(), Some("Resolved"));
        assert_eq!(read.tags, ["it's, \"odd\"", "vip"]);
        assert_eq!(t.store.customer_tags(&contact.id).await.unwrap(), ["it's, \"odd\"", "vip"]);
        t.store.mark_call(&other.id, &Mark::Tags(vec!["vip".to_owned()]), &by, at(3)).await.unwrap().unwrap();
        assert_eq!(t.store.customer_tags(&contact.id).await.unwrap(), ["vip", "it's, \"odd\""], "the latest first");
        t.store.mark_call(&other.id, &Mark::Tags(vec![]), &by, at(3)).await.unwrap().unwrap();
        let found = async |filter| {
            let page = t.store.calls(&filter).await.unwrap();
            page.items.into_iter().map(|call| call.id).collect::<Vec<_>>()
        };
        let all = CallFilter::default;
        assert_eq!(found(CallFilter { tag: Some("vip".into()), ..all() }).await, std::slice::from_ref(&copy.id));
        assert_eq!(
            found(CallFilter { disposition: Some("Resolved".into()), ..all() }).await,
            std::slice::from_ref(&copy.id)
        );
        assert!(found(CallFilter { tag: Some("vi".into()), ..all() }).await.is_empty());
        assert!(found(CallFilter { disposition: Some("Sale".into()), ..all() }).await.is_empty());
        t.store.mark_call(&copy.id, &Mark::Tags(vec![]), &by, T0).await.unwrap();
        let (read, _) = t.store.mark_call(&copy.id, &Mark::Disposition(None), &by, T0).await.unwrap().unwrap();
        assert_eq!((read.disposition, read.tags), (None, vec![]));
        assert!(t.store.call(&other.id).await.unwrap().unwrap().tags.is_empty());
        assert!(t.store.mark_call(&CallId::generate(), &resolved, &by, T0).await.unwrap().is_none());
    }
}
