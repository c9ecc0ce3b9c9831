//! Call permissions: who said yes, for how long, and the webhooks that tell of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::payload::unix_now;

/// How a permission comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Yes to a request, for a time (Meta: 7 days).
    Temporary {
        /// From now.
        expires_in: Duration,
    },
    /// Yes to a request, until taken back.
    Permanent,
    /// Given in the business's profile, without a request.
    FromProfile,
    /// The customer called, and callback permission is on; the id of that call goes into `context`.
    Callback {
        /// The call.
        wacid: String,
    },
}

/// Seven days, the life of a temporary permission.
pub const TEMPORARY: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A permission request that the business sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRequest {
    /// Id of the message.
    pub wamid: String,
    /// The customer's number in digits.
    pub to: String,
    /// The whole body.
    pub body: Value,
}

#[derive(Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    permissions: HashMap<(String, String), Permission>,
    requests: Vec<(String, PermissionRequest)>,
}

#[derive(Clone, Copy)]
enum Permission {
    Until(u64),
    Permanent,
}

impl Ledger {
    pub(super) fn may_call(&self, number_id: &str, phone: &str) -> bool {
        self.status(number_id, phone).0 != "no_permission"
    }

    /// Meta's word for the permission, and when a temporary one ends.
    pub(super) fn status(&self, number_id: &str, phone: &str) -> (&'static str, Option<u64>) {
        match self.lock().permissions.get(&key(number_id, phone)) {
            Some(Permission::Permanent) => ("permanent", None),
            Some(Permission::Until(end)) if *end > unix_now() => ("temporary", Some(*end)),
            _ => ("no_permission", None),
        }
    }

    pub(super) fn request(&self, number_id: &str, request: PermissionRequest) {
        self.lock().requests.push((number_id.to_owned(), request));
    }

    pub(super) fn requests(&self) -> Vec<PermissionRequest> {
        self.lock().requests.iter().map(|(_, request)| request.clone()).collect()
    }

    /// Notes the grant; the result is the reply object and the `context` id.
    pub(super) fn grant(&self, number_id: &str, phone: &str, grant: &Grant) -> (Value, Option<String>) {
        let last_request = self.last_request(number_id, phone);
        let temporary = |end: u64, source: &str| json!({"response": "accept", "is_permanent": false, "expiration_timestamp": end.to_string(), "response_source": source});
        let permanent = json!({"response": "accept", "is_permanent": true, "response_source": "user_action"});
        let (permission, reply, context) = match grant {
            Grant::Temporary { expires_in } => {
                let end = unix_now() + expires_in.as_secs();
                (Permission::Until(end), temporary(end, "user_action"), last_request)
            }
            Grant::Permanent => (Permission::Permanent, permanent, last_request),
            Grant::FromProfile => (Permission::Permanent, permanent, None),
            Grant::Callback { wacid } => {
                let end = unix_now() + TEMPORARY.as_secs();
                (Permission::Until(end), temporary(end, "automatic"), Some(wacid.clone()))
            }
        };
        self.lock().permissions.insert(key(number_id, phone), permission);
        (reply, context)
    }

    /// The customer says no to a request (`automatic: false`), or Meta takes the permission back (`automatic: true`).
    pub(super) fn refuse(&self, number_id: &str, phone: &str, automatic: bool) -> (Value, Option<String>) {
        let context = if automatic { None } else { self.last_request(number_id, phone) };
        self.lock().permissions.remove(&key(number_id, phone));
        let source = if automatic { "automatic" } else { "user_action" };
        (json!({"response": "reject", "response_source": source}), context)
    }

    fn last_request(&self, number_id: &str, phone: &str) -> Option<String> {
        let state = self.lock();
        let found = state.requests.iter().rev().find(|(number, request)| number == number_id && request.to == phone);
        found.map(|(_, request)| request.wamid.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(number_id: &str, phone: &str) -> (String, String) {
    (number_id.to_owned(), phone.to_owned())
}
