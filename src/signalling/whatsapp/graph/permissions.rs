//! WhatsApp's own books on a customer: `GET /{phone_number_id}/call_permissions`.

use std::time::Duration;

use super::super::payload::{Books, Customer, read_books};
use super::request::{Edge, Repeat};
use super::{Account, Graph, GraphError};

/// Nobody waits for it but the clock, or an agent who may also dial without.
const CHECK_WITHIN: Duration = Duration::from_secs(15);

impl Graph {
    /// What WhatsApp says this customer permits. Meta answers some five such questions a second and number; more are
    /// refused as [`super::GraphErrorKind::RateLimited`].
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn call_permissions(&self, from: Account<'_>, customer: &Customer) -> Result<Books, GraphError> {
        const OP: &str = "permission_check";
        let request = self.request(from, OP, Edge::CallPermissions, Repeat::Harmless)?;
        let request = match (&customer.phone, &customer.user_id) {
            (Some(phone), _) => request.query("user_wa_id", phone.wa_id()),
            (None, Some(user_id)) => request.query("recipient", user_id),
            (None, None) => {
                return Err(GraphError::ours(OP, "the customer has neither a phone number nor a user id"));
            }
        };
        let answer = self.ask(request, self.request_timeout, CHECK_WITHIN).await?;
        read_books(&answer).ok_or_else(|| GraphError::unreadable(OP))
    }
}
