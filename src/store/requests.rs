//! Permission requests: decided and entered in one transaction, so that parallel wishes cannot both be the first of the day.

use super::again::again;
use super::error::Result;
use super::{Store, Terms, books, dials, events, facts, permissions};
use crate::model::directory::ContactRef;
use crate::model::event::Event as Logged;
use crate::model::id::{ContactId, NumberId};
use crate::model::reason::RequestKind;
use crate::model::time::Timestamp;
use crate::policy::permission::Event;
use crate::policy::request::RequestFacts;

/// Whom to ask, and how.
#[derive(Clone, Copy, Debug)]
pub struct RequestWish<'a> {
    /// What is decided on.
    pub terms: &'a Terms,
    pub number: &'a NumberId,
    pub to: &'a ContactRef,
    pub kind: RequestKind,
    /// What is entered if the request may go out, with the moment of the decision.
    pub asked: &'a Event,
}

impl Store {
    /// Decides about a permission request and, if `decide` says yes, enters it: from then on it counts. `None` if number or
    /// contact is unknown. `now` is read when its turn has come, and is the `now` of the facts.
    pub async fn decide_request<T, E>(
        &self,
        wish: RequestWish<'_>,
        now: impl FnOnce() -> Timestamp + Send,
        decide: impl FnOnce(RequestFacts) -> Result<T, E> + Send,
    ) -> Result<Option<Result<(T, Vec<Logged>), E>>> {
        let RequestWish { terms, number, to, kind, asked } = wish;
        let mut logged = Vec::new();
        let mut tx = self.writer.begin().await?;
        if !dials::lock(&mut tx, number).await? {
            return Ok(None);
        }
        let facts = facts::of_request(&mut tx, (number, to, kind), terms, now).await?;
        let Some(facts) = facts else { return Ok(None) };
        let (contact, now) = (facts.contact.id.clone(), facts.now);
        let decision = decide(facts);
        if decision.is_ok() {
            let asked = Event { at: now, ..asked.clone() };
            let news = permissions::take(&mut tx, number, &contact, &[asked], terms, now).await?;
            // The request itself is told once WhatsApp has taken it.
            let news = news.into_iter().filter(|event| event.kind != "permission.requested").collect();
            logged = events::append(&mut tx, news, now).await?;
            tx.commit().await?;
        }
        Ok(Some(decision.map(|allowed| (allowed, logged))))
    }

    /// What a decision about a request would see now.
    pub async fn look_at_request(
        &self,
        number: &NumberId,
        to: &ContactRef,
        kind: RequestKind,
        now: Timestamp,
    ) -> Result<Option<RequestFacts>> {
        let mut tx = self.reader.begin().await?;
        let facts = facts::of_request(&mut tx, (number, to, kind), &self.terms(), || now).await?;
        tx.commit().await?;
        Ok(facts)
    }

    /// WhatsApp did not take the request: it never happened.
    pub async fn withdraw_request(
        &self,
        n: &NumberId,
        c: &ContactId,
        key: &str,
        now: Timestamp,
    ) -> Result<Vec<Logged>> {
        again(|| async {
            let mut tx = self.writer.begin().await?;
            let news = permissions::withdraw(&mut tx, n, c, key, &self.terms(), now).await?;
            let logged = events::append(&mut tx, news, now).await?;
            tx.commit().await?;
            Ok(logged)
        })
        .await
    }

    /// The customer wrote: free-form messages are allowed for a while.
    pub async fn customer_wrote(&self, n: &NumberId, c: &ContactId, at: Timestamp) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        books::touch_window(&mut tx, n, c, at).await?;
        tx.commit().await?;
        Ok(())
    }
}
