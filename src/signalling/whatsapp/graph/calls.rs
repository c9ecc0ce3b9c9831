//! The calling endpoint: `POST /{phone_number_id}/calls` and its five actions.

use std::time::Duration;

use crate::model::id::Wacid;

use super::super::payload::{Action, CALLBACK_DATA_LEN_MAX, Customer, read_call_id};
use super::request::{Edge, Repeat};
use super::{Account, Graph, GraphError};

/// The caller hears ringback for about 30 s, and the agent is still to answer within them.
const PRE_ACCEPT_WITHIN: Duration = Duration::from_secs(15);
/// Nobody waits for it, and Meta bills until it hears of the end.
const END_WITHIN: Duration = Duration::from_secs(30);
/// Tries to reach Meta at all, while an agent watches the dialling screen.
const CONNECT_WITHIN: Duration = Duration::from_secs(12);

impl Graph {
    /// Calls the customer. The answer to the SDP offer comes by webhook, possibly before this returns; it carries the same
    /// `callback_data` (at most 512 bytes).
    ///
    /// # Errors
    /// [`GraphError`]. After `UnknownOutcome` the customer's phone may ring.
    pub async fn connect(
        &self,
        from: Account<'_>,
        to: &Customer,
        sdp: &str,
        callback_data: Option<&str>,
    ) -> Result<Wacid, GraphError> {
        if to.is_anonymous() {
            return Err(GraphError::ours("connect", "the customer has neither a phone number nor a user id"));
        }
        let action = Action::Connect { to, sdp, callback_data };
        let answer = self.act(from, action, self.request_timeout, CONNECT_WITHIN).await?;
        read_call_id(&answer).ok_or_else(|| {
            GraphError::unknown(
                "connect",
                "WhatsApp reported success without a call id, so it is unknown whether the call was placed",
            )
        })
    }

    /// Gives WhatsApp our SDP answer while the agent's phone rings, so that media stands before anybody accepts.
    ///
    /// # Errors
    /// [`GraphError`]; the call may still be accepted without.
    pub async fn pre_accept(&self, from: Account<'_>, call: &Wacid, sdp: &str) -> Result<(), GraphError> {
        let action = Action::PreAccept { call, sdp };
        self.act(from, action, self.request_timeout, PRE_ACCEPT_WITHIN).await.map(drop)
    }

    /// Takes the caller's call. On `Ok` the caller hears us. `sdp` must be the one of `pre_accept`; `within` is what is
    /// left of the ring window, and all tries together end inside it.
    ///
    /// # Errors
    /// [`GraphError`]; `CallGone` when the caller has hung up.
    pub async fn accept(
        &self,
        from: Account<'_>,
        call: &Wacid,
        sdp: &str,
        callback_data: Option<&str>,
        within: Duration,
    ) -> Result<(), GraphError> {
        let action = Action::Accept { call, sdp, callback_data };
        self.act(from, action, self.accept_timeout, within).await.map(drop)
    }

    /// Refuses the caller's call before it was accepted. A call that is over already counts as refused.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn reject(&self, from: Account<'_>, call: &Wacid) -> Result<(), GraphError> {
        self.act(from, Action::Reject { call }, self.request_timeout, END_WITHIN).await.map(drop)
    }

    /// Ends a call. A call that is over already counts as ended.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn terminate(&self, from: Account<'_>, call: &Wacid) -> Result<(), GraphError> {
        self.act(from, Action::Terminate { call }, self.request_timeout, END_WITHIN).await.map(drop)
    }

    async fn act(
        &self,
        from: Account<'_>,
        action: Action<'_>,
        timeout: Duration,
        within: Duration,
    ) -> Result<Vec<u8>, GraphError> {
        let op = action.name();
        if action.callback_data().is_some_and(|data| data.len() > CALLBACK_DATA_LEN_MAX) {
            return Err(GraphError::ours(op, "the callback data is longer than 512 bytes"));
        }
        let repeat = match action {
            Action::Connect { .. } => Repeat::Harmful,
            Action::PreAccept { .. } | Action::Accept { .. } => Repeat::Accepts,
            Action::Reject { .. } | Action::Terminate { .. } => Repeat::Ends,
        };
        let request = self.request(from, op, Edge::Calls, repeat)?.post(action.to_json());
        self.ask(request, timeout, within).await
    }
}
