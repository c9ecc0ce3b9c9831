//! Webhooks about numbers: their settings (`account_settings_update`) and what Meta thinks of them (`account_update`).

use serde_json::{Value, json};

use super::super::config::BusinessNumber;
use super::super::enforcement::{Restriction, Warning};
use super::super::faults::WebhookFaults;
use super::timestamp;

/// Somebody changed settings. `calling` has the keys that Meta tells.
pub(in super::super) fn settings_update(
    number: &BusinessNumber,
    calling: &Value,
    now: u64,
    faults: &WebhookFaults,
) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "timestamp": timestamp(now, faults),
        "type": "phone_number_settings",
        "phone_number_settings": {"phone_number_id": number.id, "calling": calling},
    })
}

/// An early warning.
pub(in super::super) fn violation(number: &BusinessNumber, warning: Warning) -> Value {
    let mut info = json!({"violation_type": warning.word()});
    if let Some(remediation) = warning.remediation() {
        info["remediation"] = json!(remediation);
    }
    json!({"phone_number": number.display, "event": "ACCOUNT_VIOLATION", "violation_info": info})
}

/// A pause until `until` (Unix seconds).
pub(in super::super) fn restriction(number: &BusinessNumber, restriction: Restriction, until: u64) -> Value {
    let info = json!([{"restriction_type": restriction.word(), "expiration": until}]);
    json!({"phone_number": number.display, "event": "ACCOUNT_RESTRICTION", "restriction_info": info})
}
