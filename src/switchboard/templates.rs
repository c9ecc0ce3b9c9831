//! With what customers may be asked for permission to call: the templates that WhatsApp has approved, kept for some minutes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::id::NumberId;
use crate::model::template::Template;
use crate::model::time::Timestamp;

use super::{Refusal, Switchboard};

/// Approval takes hours, and whoever waits for one looks again.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// What WhatsApp told last, by number.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<NumberId, (Timestamp, Vec<Template>)>>);

impl Kept {
    fn lock(&self) -> MutexGuard<'_, HashMap<NumberId, (Timestamp, Vec<Template>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switchboard {
    /// The approved templates of the number's account that ask for permission to call. `None`: whose the number is has not
    /// been told yet, which the first webhook does.
    ///
    /// # Errors
    /// [`Refusal::RequestUpstream`] when WhatsApp does not tell, [`Refusal::Store`].
    pub async fn permission_templates(&self, number: &NumberId) -> Result<Option<Vec<Template>>, Refusal> {
        let (parts, now) = (&self.0.parts, self.0.parts.clock.now().wall);
        if let Some((at, templates)) = self.0.templates.lock().get(number)
            && now.since(*at) < KEPT_FOR
        {
            return Ok(Some(templates.clone()));
        }
        let Some(waba) = parts.store.owner_of(number).await? else { return Ok(None) };
        let account = self.0.account(number).await;
        let account =
            account.map_err(|failure| Refusal::RequestUpstream { code: failure.code, message: failure.message })?;
        let told = parts.graph.permission_templates(account.as_ref(), &waba).await;
        let told = told.map_err(|error| Refusal::RequestUpstream { code: error.code, message: error.to_string() })?;
        self.0.templates.lock().insert(number.clone(), (now, told.clone()));
        Ok(Some(told))
    }
}
