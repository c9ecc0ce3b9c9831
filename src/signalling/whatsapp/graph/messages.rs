//! Permission requests and plain words: `POST /{phone_number_id}/messages`.

use std::time::Duration;

use super::super::payload::{Customer, RequestBody, read_message_id, words_to_json};
use super::request::{Edge, Repeat};
use super::{Account, Graph, GraphError};

/// Tries to reach Meta at all, while somebody watches the button.
const REQUEST_WITHIN: Duration = Duration::from_secs(12);

impl Graph {
    /// Asks the customer for permission to call. Returns the message's id (`wamid.…`), which the answer will name; the
    /// answer comes by webhook, if at all.
    ///
    /// # Errors
    /// [`GraphError`]. After `UnknownOutcome` the customer may have been asked: it must count as a request, and is never
    /// repeated by itself.
    pub async fn ask_permission(
        &self,
        from: Account<'_>,
        customer: &Customer,
        request: &RequestBody,
    ) -> Result<String, GraphError> {
        self.message(from, "permission_request", customer, request.to_json(customer)).await
    }

    /// Writes plain words to the customer, which WhatsApp takes while the service window is open. Returns the message's id.
    ///
    /// # Errors
    /// [`GraphError`]. After `UnknownOutcome` the customer may have got them: they are never sent again by themselves.
    pub async fn write(&self, from: Account<'_>, customer: &Customer, words: &str) -> Result<String, GraphError> {
        self.message(from, "message", customer, words_to_json(words, customer)).await
    }

    async fn message(
        &self,
        from: Account<'_>,
        op: &'static str,
        customer: &Customer,
        body: Vec<u8>,
    ) -> Result<String, GraphError> {
        if customer.is_anonymous() {
            return Err(GraphError::ours(op, "the customer has neither a phone number nor a user id"));
        }
        let sending = self.request(from, op, Edge::Messages, Repeat::Harmful)?.post(body);
        let answer = self.ask(sending, self.request_timeout, REQUEST_WITHIN).await?;
        read_message_id(&answer).ok_or_else(|| {
            GraphError::unknown(
                op,
                "WhatsApp reported success without a message id, so it is unknown whether the customer got it",
            )
        })
    }
}
