//! `GET /{number}/call_permissions`: the permission of one customer, and what is left of the limits.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Inner;
use super::super::config::BusinessNumber;
use super::super::permission::{Permission, Usage};
use super::super::wire::GraphError;

/// Whose permission.
#[derive(Deserialize)]
pub(super) struct PermissionQuery {
    user_wa_id: Option<String>,
    recipient: Option<String>,
}

impl PermissionQuery {
    pub(super) fn shown(&self) -> Value {
        json!({"user_wa_id": self.user_wa_id, "recipient": self.recipient})
    }
}

impl Inner {
    pub(super) fn show_permission(
        &self,
        number: &BusinessNumber,
        query: &PermissionQuery,
    ) -> Result<Value, GraphError> {
        let exchange = &self.exchange;
        exchange.permissions.may_read(&number.id, exchange.clock.now_ms())?;
        let customer = self
            .customer_of(query.user_wa_id.as_deref(), query.recipient.as_deref())
            .ok_or_else(|| GraphError::new(100, "user_wa_id or recipient is missing, or names nobody"))?;
        let now = exchange.clock.now();
        let permission = exchange.permissions.permission(&number.id, &customer.phone, now);
        let (requests, calls) = exchange.permissions.usage(&number.id, &customer.phone, now);
        let enforced = exchange.config.rules.enforce_limits;
        let free = |usage: &Usage| !(enforced && usage.is_used_up());
        let allowed = self.may_disturb(number).is_ok();
        let may_ask = allowed && permission != Permission::Permanent && requests.iter().all(free);
        let may_call = allowed && permission != Permission::None && free(&calls);
        Ok(json!({
            "messaging_product": "whatsapp",
            "permission": self.shown(permission),
            "actions": [
                {"action_name": "send_call_permission_request", "can_perform_action": may_ask,
                 "limits": requests.iter().map(shown_limit).collect::<Vec<_>>()},
                {"action_name": "start_call", "can_perform_action": may_call, "limits": [shown_limit(&calls)]}
            ]
        }))
    }

    fn shown(&self, permission: Permission) -> Value {
        let key = if self.exchange.config.expiration_as_in_table { "expiration" } else { "expiration_time" };
        match permission {
            Permission::None => json!({"status": "no_permission"}),
            Permission::Until(end) => json!({"status": "temporary", key: end}),
            Permission::Permanent => json!({"status": "permanent"}),
        }
    }
}

fn shown_limit(usage: &Usage) -> Value {
    // Meta writes a day in hours and a week in days.
    let period = if usage.period == 24 * 3_600 { "PT24H" } else { "P7D" };
    let mut limit = json!({"time_period": period, "max_allowed": usage.max, "current_usage": usage.used});
    if let Some(at) = usage.free_at {
        limit["limit_expiration_time"] = json!(at);
    }
    limit
}
