//! An agent who has no time says so: the offer is rejected, and the customer reads why in WhatsApp.

use std::sync::Arc;

use crate::call::CallRecord;
use crate::model::directory::Asker;
use crate::model::id::{AgentId, OfferId};
use crate::policy::request::{WritePermit, may_write};
use crate::signalling::whatsapp::Customer;

use super::{Desk, Refusal, Switchboard, about_call};

impl Switchboard {
    /// Rejects the offer, and has the customer told these words. Either both or, where the customer may not be written to,
    /// neither. The message goes out beside: `message.sent` or `message.failed` tells how that went.
    ///
    /// # Errors
    /// As [`Switchboard::reject_offer`], and [`Refusal::RequestDenied`] while the customer may not be written to.
    pub async fn reject_offer_saying(
        &self,
        agent: Option<&AgentId>,
        offer: &OfferId,
        words: String,
        by: Asker,
    ) -> Result<CallRecord, Refusal> {
        let desk = &self.0;
        self.offer(agent, offer).await?;
        let (call, ..) = desk.registry.offer(offer).ok_or(Refusal::OfferNotPending)?;
        let record = desk.parts.store.call(&call).await?.ok_or(Refusal::NotFound)?;
        let opened_at = desk.parts.store.window_opened_at(&record.number_id, &record.contact.id).await?;
        let now = desk.parts.clock.now().wall;
        let permit = may_write(opened_at, &desk.rules(now), now).map_err(Refusal::RequestDenied)?;
        let record = self.reject_offer(agent, offer).await?;
        let (desk, rejected) = (Arc::clone(desk), record.clone());
        tokio::spawn(async move { desk.write_to(permit, &rejected, &words, by).await });
        Ok(record)
    }
}

impl Desk {
    /// Writes to the customer of a call, and logs with the call what was written and by whom.
    async fn write_to(&self, _permit: WritePermit, record: &CallRecord, words: &str, by: Asker) {
        let contact = &record.contact;
        let to =
            Customer { phone: contact.phone.clone(), user_id: contact.user_id.clone(), name: None, username: None };
        let sent = match self.account(&record.number_id).await {
            Ok(account) => {
                let sent = self.parts.graph.write(account.as_ref(), &to, words).await;
                sent.map_err(|error| (error.code, error.to_string()))
            }
            Err(failure) => Err((failure.code, failure.message)),
        };
        let mut data = serde_json::json!({"call_id": record.id, "number_id": record.number_id,
            "contact_id": contact.id, "by": by, "text": words});
        let kind = match sent {
            Ok(wamid) => {
                data["wamid"] = wamid.into();
                "message.sent"
            }
            Err((code, why)) => {
                tracing::warn!(call = %record.id, why, "the customer was not written to");
                (data["code"], data["why"]) = (code.into(), why.into());
                "message.failed"
            }
        };
        if let Err(error) = self.announce(vec![about_call(kind, &record.id, data)]).await {
            tracing::error!(call = %record.id, %error, "a message to the customer could not be logged");
        }
    }
}
