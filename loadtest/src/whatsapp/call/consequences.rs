//! What a call changes in what the business may do later.

use super::super::faults::Kind;
use super::super::payload::Direction;
use super::super::payload::messages::{MessageFacts, permission_reply};
use super::Call;

impl Call {
    /// Somebody picked up.
    pub(super) fn note_connected(&self) {
        let by_business = self.direction == Direction::BusinessInitiated;
        let exchange = &self.exchange;
        exchange.permissions.note_connected(&self.number.id, &self.customer.phone, by_business, exchange.clock.now());
    }

    /// The call is over: a customer's call may open the way back, and calls that nobody picks up use up the customer's
    /// patience. Calls that failed for a technical reason count for nothing. The webhook follows `terminate`.
    pub(super) fn settle_permission(&self, picked_up: bool, failed: bool) {
        let (exchange, number, phone) = (&self.exchange, &self.number, &self.customer.phone);
        let now = exchange.clock.now();
        let told = match self.direction {
            Direction::UserInitiated if exchange.settings.grants_callbacks(&number.id) => {
                exchange.permissions.grant_callback(&number.id, phone, &self.wacid, now)
            }
            Direction::BusinessInitiated if !picked_up && !failed => {
                exchange.permissions.note_not_picked_up(&number.id, phone, now)
            }
            _ => None,
        };
        if let Some(told) = told {
            let facts = MessageFacts { number, customer: &self.customer, now };
            self.tell(Kind::PermissionReply, permission_reply(&facts, &told, &self.faults()));
        }
    }
}
