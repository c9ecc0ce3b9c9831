//! How near a customer is to being asked to reconsider, and a permission to being revoked.

use serde::Serialize;

use super::Ledger;
use crate::model::time::Timestamp;
use crate::policy::pack::Rules;

/// How near the customer is to being asked to reconsider, or to losing patience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Risk {
    /// Outbound calls in a row that the customer did not take.
    pub unanswered_in_a_row: u32,
    /// How many more unanswered calls until WhatsApp asks the customer to reconsider; `null` once it has.
    pub until_reconsider: Option<u32>,
    /// How many more unanswered calls until the permission is revoked.
    pub until_revoked: u32,
    /// The same in a sentence; `null` while nothing is at stake.
    pub message: Option<String>,
}

impl Ledger {
    /// What the next unanswered call would cost.
    pub fn risk(&self, rules: &Rules, now: Timestamp) -> Risk {
        let (count, rules) = (self.unanswered, &rules.permission);
        let in_force = self.is_in_force(now);
        let until_reconsider = rules.reconsider_after.checked_sub(count).filter(|left| *left > 0);
        // A permission that is in force is revoked by a call, never by a change of the rules.
        let until_revoked = rules.revoke_after.saturating_sub(count).max(u32::from(in_force));
        let message = match (in_force, until_reconsider) {
            (false, _) if count == 0 => None,
            (false, _) => Some(format!(
                "The customer did not take {}; a connected call or a new permission starts the count anew.",
                if count == 1 { "the last call".to_owned() } else { format!("the last {count} calls") }
            )),
            (true, Some(left)) => Some(format!("{} and WhatsApp asks the customer to reconsider.", more(left))),
            (true, None) => Some(format!(
                "{} and WhatsApp revokes the permission; it has already asked the customer to reconsider.",
                more(until_revoked)
            )),
        };
        Risk { unanswered_in_a_row: count, until_reconsider, until_revoked, message }
    }
}

fn more(left: u32) -> String {
    if left == 1 { "One more unanswered call".to_owned() } else { format!("{left} more unanswered calls in a row") }
}
