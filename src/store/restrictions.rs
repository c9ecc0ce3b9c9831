//! What WhatsApp took from numbers, and what it warns them of.

use serde_json::json;
use sqlx::any::AnyRow;

use super::Store;
use super::error::{Result, StoreError};
use super::events;
use super::settings::append_one;
use super::sql::{Columns, clean_opt, millis};
use crate::model::event::{Event, NewEvent};
use crate::model::id::NumberId;
use crate::model::phone::Phone;
use crate::model::reason::RestrictionKind;
use crate::model::settings::{Restriction, Violation};
use crate::model::time::Timestamp;

impl Store {
    /// The number that shows itself to customers as `phone`.
    pub async fn number_by_phone(&self, phone: &Phone) -> Result<Option<NumberId>> {
        let row = sqlx::query("SELECT id FROM numbers WHERE display_phone = $1 ORDER BY id LIMIT 1")
            .bind(phone.wa_id())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.word("id")).transpose()
    }

    /// Restrictions of a number. One that has expired stands here until the clock takes it away.
    pub async fn restrictions(&self, n: &NumberId) -> Result<Vec<Restriction>> {
        let rows = sqlx::query("SELECT * FROM restrictions WHERE number_id = $1 ORDER BY kind")
            .bind(n.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read_restriction).collect()
    }

    /// Keeps a restriction, with the event `number.restricted` when it is new or its end or remedy changed. An older
    /// report than the stored one changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for an unknown number.
    pub async fn put_restriction(&self, n: &NumberId, r: &Restriction, now: Timestamp) -> Result<Option<Event>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query(
            "INSERT INTO restrictions (number_id, kind, since, expires_at, remediation) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (number_id, kind) DO UPDATE SET since = excluded.since, expires_at = excluded.expires_at, \
             remediation = excluded.remediation WHERE restrictions.since <= excluded.since AND \
             (COALESCE(restrictions.expires_at, -1) <> COALESCE(excluded.expires_at, -1) \
             OR COALESCE(restrictions.remediation, '') <> COALESCE(excluded.remediation, '')) RETURNING *",
        )
        .bind(n.as_str())
        .bind(r.kind.as_str())
        .bind(r.since.as_millis())
        .bind(millis(r.expires_at))
        .bind(clean_opt(r.remediation.as_deref()))
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| format!("number {n}")))?;
        let Some(row) = row else { return Ok(None) };
        let data = json!({"number_id": n, "restriction": read_restriction(&row)?});
        let event = append_one(&mut tx, "number.restricted", data, now).await?;
        tx.commit().await?;
        Ok(Some(event))
    }

    /// Removes the restrictions whose time is over, each with the event `number.restriction_lifted`.
    pub async fn expired_restrictions(&self, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let rows = sqlx::query("DELETE FROM restrictions WHERE expires_at <= $1 RETURNING *")
            .bind(now.as_millis())
            .fetch_all(&mut *tx)
            .await?;
        let lifted = lifted(&mut tx, &rows, now).await?;
        tx.commit().await?;
        Ok(lifted)
    }

    /// WhatsApp, asked at `asked_at`, says that these are all the restrictions of a number: every other is lifted, with its
    /// event. WhatsApp stamps whole seconds, so what it reported in the second of the question, or later, may have crossed
    /// with the answer: that stands until the next question.
    pub async fn lift_restrictions_but(
        &self,
        n: &NumberId,
        still: &[RestrictionKind],
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let gone: Vec<_> = RestrictionKind::ALL.iter().filter(|kind| !still.contains(kind)).collect();
        let mut tx = self.writer.begin().await?;
        let mut rows = Vec::new();
        for kind in gone {
            let row =
                sqlx::query("DELETE FROM restrictions WHERE number_id = $1 AND kind = $2 AND since < $3 RETURNING *")
                    .bind(n.as_str())
                    .bind(kind.as_str())
                    .bind(asked_at.whole_second().as_millis())
                    .fetch_optional(&mut *tx)
                    .await?;
            rows.extend(row);
        }
        let lifted = lifted(&mut tx, &rows, now).await?;
        tx.commit().await?;
        Ok(lifted)
    }

    /// Warnings of a number, the latest of each kind, latest first.
    pub async fn violations(&self, n: &NumberId) -> Result<Vec<Violation>> {
        let rows = sqlx::query("SELECT * FROM violations WHERE number_id = $1 ORDER BY at DESC, kind")
            .bind(n.as_str())
            .fetch_all(&self.reader)
            .await?;
        let read = |row: &AnyRow| {
            Ok(Violation { kind: row.word("kind")?, at: row.time("at")?, remediation: row.text_opt("remediation")? })
        };
        rows.iter().map(read).collect()
    }

    /// Keeps a warning, with the event `number.violation_reported`; one that is no later than the stored one of its kind
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for an unknown number.
    pub async fn put_violation(&self, n: &NumberId, v: &Violation, now: Timestamp) -> Result<Option<Event>> {
        let mut tx = self.writer.begin().await?;
        let kept = sqlx::query(
            "INSERT INTO violations (number_id, kind, at, remediation) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (number_id, kind) DO UPDATE SET at = excluded.at, remediation = excluded.remediation \
             WHERE violations.at < excluded.at",
        )
        .bind(n.as_str())
        .bind(v.kind.as_str())
        .bind(v.at.as_millis())
        .bind(clean_opt(v.remediation.as_deref()))
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| format!("number {n}")))?;
        if kept.rows_affected() == 0 {
            return Ok(None);
        }
        let event =
            append_one(&mut tx, "number.violation_reported", json!({"number_id": n, "violation": v}), now).await?;
        tx.commit().await?;
        Ok(Some(event))
    }
}

async fn lifted(tx: &mut sqlx::Transaction<'static, sqlx::Any>, rows: &[AnyRow], now: Timestamp) -> Result<Vec<Event>> {
    let event = |row: &AnyRow| {
        let number: NumberId = row.word("number_id")?;
        let data = json!({"number_id": number, "restriction": read_restriction(row)?});
        Ok(NewEvent { kind: "number.restriction_lifted", call_id: None, agent_id: None, data })
    };
    let news = rows.iter().map(event).collect::<Result<Vec<_>>>()?;
    events::append(tx, news, now).await
}

fn read_restriction(row: &AnyRow) -> Result<Restriction> {
    Ok(Restriction {
        kind: row.word("kind")?,
        since: row.time("since")?,
        expires_at: row.time_opt("expires_at")?,
        remediation: row.text_opt("remediation")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::ViolationKind;
    use crate::store::fixture::{self, Fixture, T0, at, number_id, on_both};

    fn restriction(kind: RestrictionKind, since: i64, expires: Option<i64>) -> Restriction {
        Restriction { kind, since: at(since), expires_at: expires.map(at), remediation: None }
    }

    async fn kinds(t: &Fixture) -> Vec<(RestrictionKind, Option<Timestamp>)> {
        let all = t.store.restrictions(&number_id()).await.unwrap();
        all.into_iter().map(|restriction| (restriction.kind, restriction.expires_at)).collect()
    }

    async fn put(t: &Fixture, restriction: &Restriction) -> bool {
        let event = t.store.put_restriction(&number_id(), restriction, T0).await.unwrap();
        assert!(event.as_ref().is_none_or(|event| event.kind == "number.restricted"));
        event.is_some()
    }

    #[tokio::test]
    async fn a_restriction_is_announced_once_and_again_when_its_end_moves() {
        use RestrictionKind::{Inbound, Outbound};
        let t = fixture::open().await;
        t.seed().await;
        assert!(put(&t, &restriction(Outbound, 10, Some(100))).await);
        assert!(!put(&t, &restriction(Outbound, 10, Some(100))).await, "a repeat");
        assert!(!put(&t, &restriction(Outbound, 11, Some(100))).await, "the same told later");
        assert!(!put(&t, &restriction(Outbound, 9, Some(50))).await, "an older report");
        assert_eq!(kinds(&t).await, [(Outbound, Some(at(100)))]);
        assert!(put(&t, &restriction(Outbound, 20, Some(200))).await);
        assert!(put(&t, &restriction(Outbound, 30, None)).await);
        assert!(
            put(&t, &Restriction { remediation: Some("rest".to_owned()), ..restriction(Outbound, 30, None) }).await
        );
        assert!(put(&t, &restriction(Inbound, 20, Some(60))).await);
        assert_eq!(kinds(&t).await, [(Inbound, Some(at(60))), (Outbound, None)]);
        let unknown = t.store.put_restriction(&NumberId::parse("7").unwrap(), &restriction(Inbound, 1, None), T0).await;
        assert!(matches!(unknown, Err(StoreError::Missing(_))));
    }

    #[tokio::test]
    async fn a_restriction_ends_at_its_second_once_and_one_without_an_end_never_by_itself() {
        use RestrictionKind::{ButtonsHidden, Inbound, Outbound};
        let t = fixture::open().await;
        t.seed().await;
        for (kind, expires) in [(Outbound, Some(100)), (Inbound, Some(101)), (ButtonsHidden, None)] {
            put(&t, &restriction(kind, 0, expires)).await;
        }
        let before = at(100).as_millis() - 1;
        assert!(t.store.expired_restrictions(Timestamp::from_millis(before)).await.unwrap().is_empty());
        let lifted = t.store.expired_restrictions(at(100)).await.unwrap();
        assert_eq!(lifted.len(), 1);
        assert_eq!(
            (lifted[0].kind.as_str(), &lifted[0].data["restriction"]["kind"]),
            ("number.restriction_lifted", &json!("outbound"))
        );
        assert_eq!(lifted[0].data["number_id"], number_id().as_str());
        assert!(t.store.expired_restrictions(at(100)).await.unwrap().is_empty());
        assert_eq!(t.store.expired_restrictions(at(9999)).await.unwrap().len(), 1);
        assert_eq!(kinds(&t).await, [(ButtonsHidden, None)]);
    }

    #[tokio::test]
    async fn whatsapps_whole_list_lifts_what_is_not_on_it_unless_it_came_later() {
        use RestrictionKind::{ButtonsHidden, Inbound, Outbound};
        let t = fixture::open().await;
        t.seed().await;
        for (kind, since) in [(Outbound, 0), (Inbound, 0), (ButtonsHidden, 50)] {
            put(&t, &restriction(kind, since, None)).await;
        }
        let lifted = t.store.lift_restrictions_but(&number_id(), &[Outbound], at(40), at(41)).await.unwrap();
        assert_eq!(lifted.iter().map(|event| &event.data["restriction"]["kind"]).collect::<Vec<_>>(), ["inbound"]);
        assert_eq!(kinds(&t).await, [(ButtonsHidden, None), (Outbound, None)]);
        let asked_at = at(50).plus(std::time::Duration::from_millis(999));
        assert_eq!(t.store.lift_restrictions_but(&number_id(), &[], asked_at, at(51)).await.unwrap().len(), 1);
        assert_eq!(kinds(&t).await, [(ButtonsHidden, None)], "of the second of the question");
        assert_eq!(t.store.lift_restrictions_but(&number_id(), &[], at(51), at(52)).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_latest_warning_of_each_kind_is_kept() {
        use ViolationKind::{InboundPickup, OutboundQuality};
        let t = fixture::open().await;
        t.seed().await;
        let put = async |kind, secs, words: &str| {
            let violation = Violation { kind, at: at(secs), remediation: Some(words.to_owned()) };
            t.store.put_violation(&number_id(), &violation, T0).await.unwrap().is_some()
        };
        assert!(put(InboundPickup, 10, "answer").await);
        assert!(!put(InboundPickup, 10, "answer").await);
        assert!(!put(InboundPickup, 9, "older").await);
        assert!(put(InboundPickup, 20, "answer more").await);
        assert!(put(OutboundQuality, 30, "call less").await);
        let kept = t.store.violations(&number_id()).await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|one| (one.kind, one.at, one.remediation.unwrap())).collect();
        assert_eq!(
            kept,
            [(OutboundQuality, at(30), "call less".to_owned()), (InboundPickup, at(20), "answer more".to_owned())]
        );
    }

    on_both!(a_number_is_found_by_what_customers_see);
    async fn a_number_is_found_by_what_customers_see(t: Fixture) {
        t.seed().await;
        let found = async |phone: &str| t.store.number_by_phone(&Phone::parse(phone).unwrap()).await.unwrap();
        assert_eq!(found("+995 322 000111").await, Some(number_id()));
        assert_eq!(found("995322000112").await, None);
    }
}
