//! What customers permit. Replies arrive twice and out of order; the row always holds the latest decision.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::Store;
use super::error::{Result, StoreError};
use super::sql::{Columns, millis};
use crate::model::directory::Permission;
use crate::model::id::{ContactId, NumberId};
use crate::model::reason::PermissionStatus;

impl Store {
    pub async fn permission(&self, n: &NumberId, c: &ContactId) -> Result<Option<Permission>> {
        let row = sqlx::query(
            "SELECT * FROM permissions WHERE number_id = $1 \
             AND contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2)",
        )
        .bind(n.as_str())
        .bind(c.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(read_permission).transpose()
    }

    /// Stores unless a newer decision is there; true if it changed anything. Of two decisions of the same moment
    /// (Meta's clock ticks in seconds) the customer's answer beats our request, and a refusal beats a grant, whichever
    /// comes first: the row does not depend on the order of arrival.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when number or contact is unknown.
    pub async fn put_permission(&self, p: &Permission) -> Result<bool> {
        let mut tx = self.writer.begin().await?;
        let changed = put(&mut tx, p).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// All permissions of a number, latest decision first.
    pub async fn permissions(&self, n: &NumberId) -> Result<Vec<Permission>> {
        let rows = sqlx::query("SELECT * FROM permissions WHERE number_id = $1 ORDER BY decided_at DESC, contact_id")
            .bind(n.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read_permission).collect()
    }
}

pub(super) async fn put(tx: &mut Transaction<'static, Any>, p: &Permission) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO permissions (number_id, contact_id, status, expires_at, decided_at, weight) \
         VALUES ($1, (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2), $3, $4, $5, $6) \
         ON CONFLICT (number_id, contact_id) DO UPDATE SET status = excluded.status, \
         expires_at = excluded.expires_at, decided_at = excluded.decided_at, weight = excluded.weight \
         WHERE excluded.decided_at > permissions.decided_at \
         OR (excluded.decided_at = permissions.decided_at AND excluded.weight > permissions.weight)",
    )
    .bind(p.number_id.as_str())
    .bind(p.contact_id.as_str())
    .bind(p.status.as_str())
    .bind(millis(p.expires_at))
    .bind(p.decided_at.as_millis())
    .bind(weight(p.status))
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("number {} or contact {}", p.number_id, p.contact_id)))?;
    Ok(done.rows_affected() == 1)
}

/// Which decision stands when two carry the same time.
fn weight(status: PermissionStatus) -> i64 {
    match status {
        PermissionStatus::None => 0,
        PermissionStatus::Requested => 1,
        PermissionStatus::Expired => 2,
        PermissionStatus::Permanent => 3,
        PermissionStatus::Temporary => 4,
        PermissionStatus::Rejected => 5,
        PermissionStatus::Revoked => 6,
    }
}

pub(super) fn read_permission(row: &AnyRow) -> Result<Permission> {
    Ok(Permission {
        number_id: row.word("number_id")?,
        contact_id: row.word("contact_id")?,
        status: row.word("status")?,
        expires_at: row.time_opt("expires_at")?,
        decided_at: row.time("decided_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CustomerIdentity;
    use crate::store::fixture::{self, T0, at};

    #[tokio::test]
    async fn the_latest_decision_stands_in_every_order_of_arrival() {
        use PermissionStatus::{Permanent, Rejected, Requested, Temporary};
        let t = fixture::open().await;
        t.seed().await;
        // The same four words, in three orders, for three customers.
        let replies = [(Requested, 1), (Temporary, 1), (Rejected, 5), (Permanent, 9)];
        for (i, order) in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]].into_iter().enumerate() {
            let phone = format!("99555500000{i}").parse_phone();
            let who = CustomerIdentity { phone, ..CustomerIdentity::default() };
            let contact = t.store.identify(&who, T0).await.unwrap();
            for step in order {
                let (status, decided) = replies[step];
                let p = Permission {
                    number_id: fixture::number_id(),
                    contact_id: contact.id.clone(),
                    status,
                    expires_at: (status == Temporary).then(|| at(100)),
                    decided_at: at(decided),
                };
                t.store.put_permission(&p).await.unwrap();
                assert!(!t.store.put_permission(&p).await.unwrap(), "the same again changes nothing");
            }
            let p = t.store.permission(&fixture::number_id(), &contact.id).await.unwrap().unwrap();
            assert_eq!((p.status, p.decided_at, p.expires_at), (Permanent, at(9), None), "{order:?}");
        }
        assert_eq!(t.store.permissions(&fixture::number_id()).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn of_two_answers_of_one_second_the_refusal_stands() {
        use PermissionStatus::{Requested, Revoked, Temporary};
        let t = fixture::open().await;
        t.seed().await;
        for (i, order) in [[Requested, Temporary, Revoked], [Revoked, Temporary, Requested]].into_iter().enumerate() {
            let phone = format!("99555500000{i}").parse_phone();
            let who = CustomerIdentity { phone, ..CustomerIdentity::default() };
            let contact = t.store.identify(&who, T0).await.unwrap();
            for status in order {
                let (number_id, contact_id) = (fixture::number_id(), contact.id.clone());
                let p = Permission { number_id, contact_id, status, expires_at: None, decided_at: T0 };
                t.store.put_permission(&p).await.unwrap();
            }
            let p = t.store.permission(&fixture::number_id(), &contact.id).await.unwrap().unwrap();
            assert_eq!(p.status, Revoked, "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_permission_of_nobody_is_refused() {
        let t = fixture::open().await;
        t.seed().await;
        let p = Permission {
            number_id: fixture::number_id(),
            contact_id: ContactId::parse("con_nobody").unwrap(),
            status: PermissionStatus::Permanent,
            expires_at: None,
            decided_at: T0,
        };
        assert!(matches!(t.store.put_permission(&p).await, Err(StoreError::Missing(_))));
    }

    trait ParsePhone {
        fn parse_phone(&self) -> Option<crate::model::phone::Phone>;
    }

    impl ParsePhone for String {
        fn parse_phone(&self) -> Option<crate::model::phone::Phone> {
            Some(crate::model::phone::Phone::parse(self).unwrap())
        }
    }
}
