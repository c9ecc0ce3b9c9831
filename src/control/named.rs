//! Which of several things that a request names does not exist.

use super::Control;
use super::auth::Caller;
use super::problem::{Code, Problem};
use crate::model::directory::ContactRef;
use crate::model::id::{AgentId, NumberId};
use crate::policy::access::{Action, Resource};
use crate::store::StoreError;
use crate::switchboard::Refusal;

/// What a request names.
pub(crate) struct Named {
    pub(crate) number: NumberId,
    pub(crate) contact: ContactRef,
    pub(crate) agent: Option<AgentId>,
}

impl Named {
    /// A refusal as a problem; "not found" says what, as far as the caller may know.
    pub(crate) async fn explain(&self, control: &Control, caller: &Caller, refusal: Refusal) -> Problem {
        if !matches!(refusal, Refusal::NotFound) {
            return refusal.into();
        }
        match self.missing(control, caller).await {
            Ok(Some(detail)) => Problem::new(Code::NotFound, detail),
            Ok(None) => Problem::not_found(),
            Err(error) => error.into(),
        }
    }

    async fn missing(&self, control: &Control, caller: &Caller) -> Result<Option<&'static str>, StoreError> {
        let store = &control.store;
        if caller.can(Action::Read, Resource::Number) && store.number(&self.number).await?.is_none() {
            return Ok(Some(NO_SUCH_NUMBER));
        }
        if caller.can(Action::Read, Resource::Contact) && store.contact(&self.contact).await?.is_none() {
            return Ok(Some("There is no such contact; create it with PUT /v1/contacts/{ref}."));
        }
        let Some(agent) = &self.agent else { return Ok(None) };
        if caller.can(Action::Read, Resource::Agent(agent)) && store.agent(agent).await?.is_none() {
            return Ok(Some("agent_id: there is no such agent; create it with PUT /v1/agents/{id}."));
        }
        Ok(None)
    }
}

pub(crate) const NO_SUCH_NUMBER: &str = "number_id: there is no such number; create it with PUT /v1/numbers/{id}.";
