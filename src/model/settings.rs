//! How a business number takes calls: its switches and its hours. Plain data, serialised as the API shows it; what the
//! hours mean is `policy::hours`'.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reason::{RestrictionKind, ViolationKind};
use super::time::Timestamp;
use super::words::words;

words! {
    /// A day of the week, in the order of ISO 8601.
    Weekday {
        Monday = "monday",
        Tuesday = "tuesday",
        Wednesday = "wednesday",
        Thursday = "thursday",
        Friday = "friday",
        Saturday = "saturday",
        Sunday = "sunday",
    }
}

words! {
    /// One of [`NumberSettings`], named as its field.
    Setting {
        AllowVoiceCalls = "allow_voice_calls",
        DisplayCallButtons = "display_call_buttons",
        CallbackPermission = "callback_permission",
        CallHours = "call_hours",
        Unavailable = "unavailable",
    }
}

impl Setting {
    /// Of a number for which nobody has chosen anything.
    pub fn all() -> BTreeSet<Self> {
        Self::ALL.iter().copied().collect()
    }
}

/// The settings of one number as the business wishes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberSettings {
    /// Off: customers cannot call, and nobody rings.
    pub allow_voice_calls: bool,
    /// Call buttons on the profile and in chats. Hiding them never blocks a call, and locks the hours.
    pub display_call_buttons: bool,
    /// Whether a customer who calls may be called back for a week.
    pub callback_permission: bool,
    /// `None`: open at all times.
    pub call_hours: Option<CallHours>,
    /// Closed in spite of the hours, e.g. on holidays.
    pub unavailable: Vec<Unavailable>,
}

impl Default for NumberSettings {
    fn default() -> Self {
        Self {
            allow_voice_calls: true,
            display_call_buttons: true,
            callback_permission: true,
            call_hours: None,
            unavailable: Vec::new(),
        }
    }
}

/// Weekly hours in a time zone. A day without spans is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallHours {
    /// An IANA name such as `Asia/Tbilisi`.
    pub time_zone: String,
    /// Spans `[from, to)` as `HH:MM`; `24:00` is the end of the day.
    #[schema(value_type = BTreeMap<Weekday, Vec<[String; 2]>>)]
    pub weekly: BTreeMap<Weekday, Vec<(String, String)>>,
}

/// Closed on one date of the number's time zone (UTC when it has no hours), from one time to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unavailable {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// `HH:MM`; the whole day from `00:00` to `24:00`.
    #[serde(default = "midnight")]
    pub from: String,
    #[serde(default = "end_of_day")]
    pub to: String,
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

/// What WhatsApp took from a number, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restriction {
    pub kind: RestrictionKind,
    pub since: Timestamp,
    /// `null` until WhatsApp says otherwise.
    pub expires_at: Option<Timestamp>,
    /// What WhatsApp suggests to do.
    pub remediation: Option<String>,
}

/// WhatsApp's early warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Violation {
    pub kind: ViolationKind,
    pub at: Timestamp,
    /// What WhatsApp suggests to do.
    pub remediation: Option<String>,
}
