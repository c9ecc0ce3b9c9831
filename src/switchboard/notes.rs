//! What people write about calls and customers, and what they say a call was.

use crate::call::CallRecord;
use crate::model::directory::Asker;
use crate::model::id::{CallId, NoteId};
use crate::model::note::Note;
use crate::store::{Mark, StoreError, Subject};

use super::line::{Line, Message};
use super::{Desk, Refusal, Switchboard};

impl Switchboard {
    /// # Errors
    /// [`StoreError::Missing`] when there is no such call or customer.
    pub async fn add_note(&self, about: &Subject, by: &Asker, text: &str) -> Result<Note, StoreError> {
        let parts = &self.0.parts;
        let (note, told) = parts.store.add_note(about, by, text, parts.clock.now().wall).await?;
        self.0.publish(told);
        Ok(note)
    }

    pub async fn remove_note(&self, note: &NoteId, by: &Asker) -> Result<(), StoreError> {
        let parts = &self.0.parts;
        let told = parts.store.remove_note(note, by, parts.clock.now().wall).await?;
        self.0.publish(told);
        Ok(())
    }

    /// Marks a call, running or ended.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn mark_call(&self, call: &CallId, mark: Mark, by: Asker) -> Result<CallRecord, Refusal> {
        let Some(line) = self.0.registry.line(call) else { return self.0.mark(call, &mark, &by).await };
        // The call's own task does it, so that no news of the call tells the mark from before.
        let (answer, waiting) = tokio::sync::oneshot::channel();
        if line.send(Message::Mark { mark: mark.clone(), by: by.clone(), answer }).await
            && let Ok(marked) = waiting.await
        {
            return marked;
        }
        self.0.mark(call, &mark, &by).await
    }
}

impl Desk {
    async fn mark(&self, call: &CallId, mark: &Mark, by: &Asker) -> Result<CallRecord, Refusal> {
        let marked = self.parts.store.mark_call(call, mark, by, self.parts.clock.now().wall).await?;
        let (record, told) = marked.ok_or(Refusal::NotFound)?;
        self.publish(told);
        Ok(record)
    }
}

impl Line {
    pub(super) async fn mark(&mut self, mark: &Mark, by: &Asker) -> Result<CallRecord, Refusal> {
        let marked = self.desk.mark(&self.call.record().id, mark, by).await?;
        let record = self.call.record_mut();
        record.disposition.clone_from(&marked.disposition);
        record.tags.clone_from(&marked.tags);
        Ok(marked)
    }

    /// What the customer's calls were put among before.
    pub(super) async fn last_tags(&self) -> Vec<String> {
        let record = self.call.record();
        let tags = self.desk.parts.store.customer_tags(&record.contact.id).await;
        tags.unwrap_or_else(|error| {
            tracing::warn!(call = %record.id, %error, "the customer's tags cannot be read");
            Vec::new()
        })
    }

    /// What was last written about the customer. The agent who is rung talks with them next, whoever wrote it.
    pub(super) async fn last_note(&self) -> Option<Note> {
        let record = self.call.record();
        let last = self.desk.parts.store.last_note(&record.contact.id, None).await;
        last.unwrap_or_else(|error| {
            // It rings without.
            tracing::warn!(call = %record.id, %error, "the customer's last note cannot be read");
            None
        })
    }
}
