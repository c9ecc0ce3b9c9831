//! What Meta says about a number rather than a call: warnings and restrictions (`account_update`), changed settings
//! (`account_settings_update`). Source: Meta's page "Configure call settings", sections on enforcement and webhooks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::id::NumberId;
use crate::model::phone::Phone;
use crate::model::reason::{RestrictionKind, ViolationKind};
use crate::model::time::Timestamp;

use super::Delivery;
use super::calling::{MetaCalling, read_calling};
use super::field::{list, phone, sentence, text, time, word};

/// Meta warns a number, or takes something from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// The business number, the only name this webhook has for it.
    pub phone: Option<Phone>,
    /// Meta's word, lower case: `account_restriction`, `account_violation`, …
    pub event: String,
    pub restrictions: Vec<Restricted>,
    pub violation: Option<Violated>,
    pub at: Option<Timestamp>,
}

/// One thing taken from a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restricted {
    pub kind: RestrictionKind,
    /// `None`: Meta named no end.
    pub expires_at: Option<Timestamp>,
    /// What Meta suggests to do.
    pub remediation: Option<String>,
}

/// An early warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violated {
    pub kind: ViolationKind,
    pub remediation: Option<String>,
}

/// Call settings changed, here or elsewhere: Meta reports our own changes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsUpdate {
    pub number_id: NumberId,
    /// Often only some of the keys.
    pub calling: MetaCalling,
    pub at: Option<Timestamp>,
}

impl AccountUpdate {
    /// The same for every repeat of the same report; `None` when Meta did not say when it happened: then it cannot be told
    /// from a later report in the same words.
    pub(super) fn dedup_key(&self) -> Option<String> {
        let at_ms = self.at?.as_millis();
        let who = self.phone.as_ref().map_or("", Phone::wa_id);
        let mut key = format!("account:{who}:{}:{at_ms}", self.event);
        for one in &self.restrictions {
            key.push_str(&format!(":{}-{}", one.kind, one.expires_at.map_or(0, Timestamp::as_millis)));
        }
        if let Some(violated) = &self.violation {
            key.push_str(&format!(":{}", violated.kind));
        }
        Some(key)
    }
}

/// Reads a change of the field `account_update`. What is not of calling, or of a kind we do not know, is reported as
/// [`Delivery::Unknown`] and so counted.
pub(super) fn read_account_update(value: &Value, entry_at: Option<Timestamp>, deliveries: &mut Vec<Delivery>) {
    let mut restrictions = Vec::new();
    for one in list(value, "restriction_info") {
        match read_restricted(one, "restriction_type") {
            Some(restricted) => restrictions.push(restricted),
            None => deliveries.push(unknown(word(one, "restriction_type"))),
        }
    }
    let info = value.get("violation_info").unwrap_or(&Value::Null);
    let violation = violation_kind(&word(info, "violation_type"))
        .map(|kind| Violated { kind, remediation: sentence(info, "remediation") });
    if restrictions.is_empty() && violation.is_none() {
        return;
    }
    deliveries.push(Delivery::AccountUpdate(AccountUpdate {
        phone: phone(value, "phone_number").or_else(|| phone(value, "display_phone_number")),
        event: word(value, "event"),
        restrictions,
        violation,
        at: time(value, "timestamp").or(entry_at),
    }));
}

/// Reads a change of the field `account_settings_update`.
pub(super) fn read_settings_update(value: &Value, entry_at: Option<Timestamp>, deliveries: &mut Vec<Delivery>) {
    let settings = value.get("phone_number_settings").unwrap_or(&Value::Null);
    let Some(calling) = settings.get("calling").and_then(read_calling) else { return };
    let number_id = text(settings, "phone_number_id").and_then(|id| NumberId::parse(&id).ok());
    deliveries.push(match number_id {
        Some(number_id) => {
            Delivery::SettingsUpdate(SettingsUpdate { number_id, calling, at: time(value, "timestamp").or(entry_at) })
        }
        None => Delivery::Bad {
            field: "account_settings_update".to_owned(),
            event: word(value, "type"),
            why: "it names no phone_number_id",
        },
    });
}

/// `None` for a kind we do not know.
pub(super) fn read_restricted(one: &Value, kind_key: &str) -> Option<Restricted> {
    Some(Restricted {
        kind: restriction_kind(&word(one, kind_key))?,
        expires_at: time(one, "expiration"),
        remediation: sentence(one, "remediation"),
    })
}

fn unknown(event: String) -> Delivery {
    Delivery::Unknown { field: "account_update".to_owned(), event }
}

/// Meta writes the initiator once as `BUSINESS` and once as `BIZ`.
fn restriction_kind(meta: &str) -> Option<RestrictionKind> {
    Some(match meta.replace("business", "biz").as_str() {
        "restricted_biz_initiated_calling" => RestrictionKind::Outbound,
        "restricted_user_initiated_calling" => RestrictionKind::Inbound,
        "restricted_biz_initiated_and_user_initiated_calling" => RestrictionKind::OutboundAndInbound,
        "restricted_user_initiated_calling_call_button_hidden" => RestrictionKind::ButtonsHidden,
        _ => return None,
    })
}

fn violation_kind(meta: &str) -> Option<ViolationKind> {
    Some(match meta.replace("business", "biz").as_str() {
        "low_biz_initiated_calling_quality" => ViolationKind::OutboundQuality,
        "low_user_initiated_calling_quality" => ViolationKind::InboundQuality,
        "user_initiated_calls_low_pickup_rate" => ViolationKind::InboundPickup,
        _ => return None,
    })
}
