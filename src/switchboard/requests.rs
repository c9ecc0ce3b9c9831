//! Asking a customer for permission to call.

use crate::model::directory::{Asker, ContactRef, Permission};
use crate::model::event::NewEvent;
use crate::model::id::{ContactId, NumberId, RequestId};
use crate::model::reason::RequestKind;
use crate::policy::permission::Event;
use crate::policy::request::may_ask;
use crate::signalling::whatsapp::{Customer, RequestBody};
use crate::store::{RequestWish, StoreError};

use super::{Refusal, Switchboard};

/// Somebody wishes to ask a customer for permission to call.
pub struct AskPermission {
    pub number_id: NumberId,
    pub contact: ContactRef,
    pub by: Asker,
    /// The words. What is permitted is the customer's choice alone.
    pub request: RequestBody,
}

impl Switchboard {
    /// Asks. Answers with the permission as it stands once WhatsApp has taken the request.
    ///
    /// # Errors
    /// [`Refusal::RequestDenied`] with every blocker, [`Refusal::NotFound`], [`Refusal::RequestUpstream`].
    pub async fn ask_permission(&self, wish: AskPermission) -> Result<Permission, Refusal> {
        let desk = &self.0;
        let (store, clock) = (&desk.parts.store, desk.parts.clock);
        let kind = match &wish.request {
            RequestBody::FreeForm { .. } => RequestKind::FreeForm,
            RequestBody::Template { .. } => RequestKind::Template,
        };
        let id = RequestId::generate();
        let asked = Event::requested(id.as_str(), kind, None, clock.now().wall).by(wish.by.clone());
        let terms = store.terms();
        let request = RequestWish { terms: &terms, number: &wish.number_id, to: &wish.contact, kind, asked: &asked };
        let decided = store.decide_request(
            request,
            || clock.now().wall,
            |facts| may_ask(&facts, terms.rules(facts.now)).map(|_permit| (facts.contact, facts.now)),
        );
        let (contact, asked_at) = match decided.await? {
            None => return Err(Refusal::NotFound),
            Some(Err(denial)) => {
                desk.parts.metrics.permission_request("refused");
                let contact = store.contact(&wish.contact).await?.map(|contact| contact.id);
                let data = serde_json::json!({"number_id": wish.number_id, "contact_id": contact,
                    "requested_by": wish.by, "blockers": denial.blockers});
                let agent_id = match wish.by {
                    Asker::Agent { agent_id } => Some(agent_id),
                    Asker::Key { .. } => None,
                };
                let event = NewEvent { kind: "permission.request_blocked", call_id: None, agent_id, data };
                desk.announce(vec![event]).await?;
                return Err(Refusal::RequestDenied(denial));
            }
            Some(Ok((allowed, logged))) => {
                desk.publish(logged);
                allowed
            }
        };
        let who =
            Customer { phone: contact.phone.clone(), user_id: contact.user_id.clone(), name: None, username: None };
        let sent = match desk.account(&wish.number_id).await {
            Ok(account) => desk.parts.graph.ask_permission(account.as_ref(), &who, &wish.request).await,
            Err(failure) => {
                desk.publish(store.withdraw_request(&wish.number_id, &contact.id, &asked.key, asked_at).await?);
                return Err(Refusal::RequestUpstream { code: failure.code, message: failure.message });
            }
        };
        let wamid = match sent {
            Ok(wamid) => Some(wamid),
            // The customer may have been asked: it counts.
            Err(error) if error.is_unknown_outcome() => None,
            Err(error) => {
                desk.parts.metrics.permission_request("failed");
                desk.publish(store.withdraw_request(&wish.number_id, &contact.id, &asked.key, asked_at).await?);
                desk.check_in_background(wish.number_id.clone(), contact.id.clone(), false);
                return Err(Refusal::RequestUpstream { code: error.code, message: error.to_string() });
            }
        };
        desk.parts.metrics.permission_request("sent");
        let sent = Event::requested(id.as_str(), kind, wamid, asked_at).by(wish.by);
        Ok(self.note_request(&wish.number_id, &contact.id, &sent).await?)
    }

    /// The request is on its way: its name at WhatsApp is kept, so that the reply finds it, and the log tells of it.
    async fn note_request(&self, n: &NumberId, c: &ContactId, sent: &Event) -> Result<Permission, StoreError> {
        let desk = &self.0;
        let (store, now) = (&desk.parts.store, desk.parts.clock.now().wall);
        desk.publish(store.record_permission(n, c, std::slice::from_ref(sent), now).await?);
        let permission = store.permission(n, c).await?.view(n, c, now);
        let contact = store.contact(&ContactRef::Id(c.clone())).await?;
        let data = serde_json::json!({"permission": permission, "contact": contact});
        let event = NewEvent { kind: "permission.requested", call_id: None, agent_id: None, data };
        desk.announce(vec![event]).await?;
        Ok(permission)
    }
}
