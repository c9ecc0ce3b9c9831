//! Permission requests: `POST /{phone_number_id}/messages`.

use std::time::Duration;

use super::super::payload::{Customer, RequestBody, read_message_id};
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
        const OP: &str = "permission_request";
        if customer.is_anonymous() {
            return Err(GraphError::ours(OP, "the customer has neither a phone number nor a user id"));
        }
        let asked = self.request(from, OP, Edge::Messages, Repeat::Harmful)?.post(request.to_json(customer));
        let answer = self.ask(asked, self.request_timeout, REQUEST_WITHIN).await?;
        read_message_id(&answer).ok_or_else(|| {
            GraphError::unknown(
                OP,
                "WhatsApp reported success without a message id, so it is unknown whether the customer was asked",
            )
        })
    }
}
