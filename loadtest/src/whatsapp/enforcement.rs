//! Meta's warnings to a number, and pauses of its calling.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// An early warning about quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Customers dislike the business's calls.
    LowBusinessInitiatedQuality,
    /// Customers dislike what they get when they call.
    LowUserInitiatedQuality,
    /// The business answers too few calls.
    LowPickUpRate,
}

impl Warning {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::LowBusinessInitiatedQuality => "LOW_BUSINESS_INITIATED_CALLING_QUALITY",
            Self::LowUserInitiatedQuality => "LOW_USER_INITIATED_CALLING_QUALITY",
            Self::LowPickUpRate => "USER_INITIATED_CALLS_LOW_PICKUP_RATE",
        }
    }

    /// Meta adds advice to one of them only.
    pub(super) fn remediation(self) -> Option<&'static str> {
        (self == Self::LowPickUpRate).then_some("Answer more calls, or set call hours that fit your staff")
    }
}

/// What a number may not do for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// The business cannot call, nor ask for permission.
    BusinessInitiated,
    /// Customers cannot call.
    UserInitiated,
    /// Both.
    Both,
    /// The call button is hidden; calls from elsewhere still come.
    ButtonHidden,
}

impl Restriction {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::BusinessInitiated => "RESTRICTED_BUSINESS_INITIATED_CALLING",
            Self::UserInitiated => "RESTRICTED_USER_INITIATED_CALLING",
            Self::Both => "RESTRICTED_BIZ_INITIATED_AND_USER_INITIATED_CALLING",
            Self::ButtonHidden => "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN",
        }
    }
}

/// The pauses of all numbers. They end by the fake's clock, without a webhook.
#[derive(Default)]
pub(super) struct Pauses {
    all: Mutex<Vec<Pause>>,
}

#[derive(Clone)]
struct Pause {
    number_id: String,
    restriction: Restriction,
    until: u64,
}

impl Pauses {
    /// `until` and every `now` are Unix seconds.
    pub(super) fn add(&self, number_id: &str, restriction: Restriction, until: u64) {
        let pause = Pause { number_id: number_id.to_owned(), restriction, until };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(pause);
    }

    pub(super) fn stop_business(&self, number_id: &str, now: u64) -> bool {
        let stops = |pause: &Pause| matches!(pause.restriction, Restriction::BusinessInitiated | Restriction::Both);
        self.active(number_id, now).iter().any(stops)
    }

    pub(super) fn stop_customers(&self, number_id: &str, now: u64) -> bool {
        let stops = |pause: &Pause| matches!(pause.restriction, Restriction::UserInitiated | Restriction::Both);
        self.active(number_id, now).iter().any(stops)
    }

    /// `restrictions` of `GET settings`, when there are any.
    pub(super) fn shown(&self, number_id: &str, now: u64) -> Option<Value> {
        let list: Vec<Value> = self
            .active(number_id, now)
            .iter()
            .map(|pause| json!({"type": pause.restriction.word(), "reason": "LOW_CALLING_QUALITY", "expiration": pause.until}))
            .collect();
        (!list.is_empty()).then(|| json!({"restrictions_list": list}))
    }

    fn active(&self, number_id: &str, now: u64) -> Vec<Pause> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|pause| pause.number_id == number_id && pause.until > now).cloned().collect()
    }
}
