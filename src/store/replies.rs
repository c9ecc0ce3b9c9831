//! What WhatsApp reports of a customer's word about calls.

use super::again::again;
use super::error::Result;
use super::{Store, books, events, facts, permissions};
use crate::model::event::Event as Logged;
use crate::model::id::{ContactId, NumberId};
use crate::model::reason::GrantSource;
use crate::model::time::Timestamp;
use crate::policy::permission::{Event, Reply, What};

impl Store {
    /// Takes in a permission reply and logs what it changed, all or nothing. `None`: a callback permission, and the number
    /// has them switched off.
    ///
    /// # Errors
    /// [`super::StoreError::Missing`] when number or contact is unknown.
    pub async fn take_reply(
        &self,
        n: &NumberId,
        c: &ContactId,
        reply: Reply,
        now: Timestamp,
    ) -> Result<Option<Vec<Logged>>> {
        let (by_customer, at) = (!reply.automatic, reply.at);
        let said = &Event::reply(reply);
        again(|| async {
            let mut tx = self.writer.begin().await?;
            if by_customer {
                // The customer's own word is a message: it opens the service window like any other.
                books::touch_window(&mut tx, n, c, at).await?;
            } else {
                // What is read below must not be the first thing that the transaction does.
                permissions::lock(&mut tx, n, c).await?;
            }
            let is_callback = matches!(&said.what, What::Granted { source: GrantSource::Callback, .. });
            if is_callback && !facts::settings(&mut tx, n).await?.callback_permission {
                tx.commit().await?;
                return Ok(None);
            }
            let news = permissions::take(&mut tx, n, c, std::slice::from_ref(said), &self.terms(), now).await?;
            let logged = events::append(&mut tx, news, now).await?;
            tx.commit().await?;
            Ok(Some(logged))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::ContactRef;
    use crate::model::reason::{PermissionStatus, RequestKind};
    use crate::model::settings::NumberSettings;
    use crate::store::fixture::{Fixture, T0, at, number_id, on_both};

    fn reply(automatic: bool, context: Option<&str>, secs: i64) -> Reply {
        let (id, context) = (Some(format!("wamid.{secs}")), context.map(str::to_owned));
        Reply { id, granted: true, permanent: false, expires_at: None, automatic, context, at: at(secs) }
    }

    async fn callbacks(t: &Fixture, revision: i64, on: bool) {
        let wished = NumberSettings { callback_permission: on, ..NumberSettings::default() };
        t.store.put_settings(&number_id(), revision, &wished, &Default::default(), T0, T0).await.unwrap().unwrap();
    }

    on_both!(a_callback_permission_is_taken_only_while_the_number_has_them_switched_on);
    async fn a_callback_permission_is_taken_only_while_the_number_has_them_switched_on(t: Fixture) {
        let contact = t.seed().await;
        let take = async |reply| t.store.take_reply(&number_id(), &contact.id, reply, at(9)).await.unwrap();
        let status = async || t.store.permission(&number_id(), &contact.id).await.unwrap().read(at(9)).status;
        callbacks(&t, 0, false).await;
        assert!(take(reply(true, Some("wacid.1"), 1)).await.is_none());
        assert_eq!(status().await, PermissionStatus::None);
        callbacks(&t, 1, true).await;
        let kinds = |logged: Vec<Logged>| logged.into_iter().map(|event| event.kind).collect::<Vec<_>>();
        let logged = take(reply(true, Some("wacid.1"), 1)).await.unwrap();
        assert_eq!(kinds(logged), ["permission.granted"]);
        assert_eq!(take(reply(true, Some("wacid.1"), 1)).await.unwrap().len(), 0, "told twice");
        assert_eq!(status().await, PermissionStatus::Temporary);
    }

    on_both!(the_customers_own_word_opens_the_service_window_and_whatsapps_does_not);
    async fn the_customers_own_word_opens_the_service_window_and_whatsapps_does_not(t: Fixture) {
        let contact = t.seed().await;
        let to = ContactRef::Id(contact.id.clone());
        let opened = async || {
            let look = t.store.look_at_request(&number_id(), &to, RequestKind::FreeForm, at(9)).await;
            look.unwrap().unwrap().window_opened_at
        };
        t.store.take_reply(&number_id(), &contact.id, reply(true, Some("wacid.1"), 1), at(9)).await.unwrap();
        assert_eq!(opened().await, None);
        t.store.take_reply(&number_id(), &contact.id, reply(false, None, 5), at(9)).await.unwrap();
        assert_eq!(opened().await, Some(at(5)));
        // An older word that comes late closes nothing.
        t.store.take_reply(&number_id(), &contact.id, reply(false, Some("wamid.r"), 3), at(9)).await.unwrap();
        assert_eq!(opened().await, Some(at(5)));
    }
}
