//! The `calling` settings of the business's numbers: what was set, and what follows for customers.

mod check;
mod hours;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::Unavailable;
use super::config::BusinessNumber;
use super::wire::GraphError;
use hours::CallHours;

pub(super) struct Settings {
    numbers: Mutex<HashMap<String, Map<String, Value>>>,
}

impl Settings {
    /// Calling is on, all hours are open, nobody is granted callbacks.
    pub(super) fn new(numbers: &[BusinessNumber]) -> Self {
        let first =
            json!({"status": "ENABLED", "call_icon_visibility": "DEFAULT", "callback_permission_status": "DISABLED"});
        let first = first.as_object().cloned().unwrap_or_default();
        let numbers = numbers.iter().map(|number| (number.id.clone(), first.clone())).collect();
        Self { numbers: Mutex::new(numbers) }
    }

    /// What was set; keys that never were set are missing, as in Meta's answers.
    pub(super) fn read(&self, number_id: &str) -> Map<String, Value> {
        self.lock().get(number_id).cloned().unwrap_or_default()
    }

    /// Changes the keys that are there and keeps the others. A key is replaced as a whole, so hours without
    /// `holiday_schedule` have no holidays any more; only `sip` is merged, so that switching it off keeps its servers.
    pub(super) fn change(&self, number_id: &str, calling: &Value, now: u64) -> Result<(), GraphError> {
        let wrong = || GraphError::new(100, "calling must be an object");
        let calling = calling.as_object().ok_or_else(wrong)?;
        check::check(calling, now)?;
        let mut numbers = self.lock();
        let stored = numbers.entry(number_id.to_owned()).or_default();
        for (key, value) in calling {
            match (key.as_str(), stored.get_mut(key), value) {
                ("sip", Some(Value::Object(old)), Value::Object(new)) => old.extend(new.clone()),
                _ => {
                    stored.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(())
    }

    /// The keys that `account_settings_update` has been seen with.
    pub(super) fn told(&self, number_id: &str) -> Value {
        const TOLD: [&str; 4] =
            ["status", "call_icon_visibility", "callback_permission_status", "srtp_key_exchange_protocol"];
        let stored = self.read(number_id);
        let mut told: Map<String, Value> =
            TOLD.iter().filter_map(|key| Some(((*key).to_owned(), stored.get(*key)?.clone()))).collect();
        if let Some(status) = stored.get("sip").and_then(|sip| sip.get("status")) {
            told.insert("sip".to_owned(), json!({"status": status}));
        }
        Value::Object(told)
    }

    pub(super) fn calling_is_off(&self, number_id: &str) -> bool {
        self.is(number_id, "/status", "DISABLED")
    }

    pub(super) fn speaks_sip(&self, number_id: &str) -> bool {
        self.is(number_id, "/sip/status", "ENABLED")
    }

    pub(super) fn grants_callbacks(&self, number_id: &str) -> bool {
        self.is(number_id, "/callback_permission_status", "ENABLED")
    }

    /// Why customers cannot call this number over Graph at `now` (Unix seconds), if so.
    pub(super) fn turns_away(&self, number_id: &str, now: u64) -> Option<Unavailable> {
        if self.calling_is_off(number_id) {
            return Some(Unavailable::CallingOff);
        }
        if self.speaks_sip(number_id) {
            return Some(Unavailable::SipMode);
        }
        let hours = self.read(number_id).remove("call_hours").and_then(|hours| CallHours::deserialize(hours).ok());
        hours.is_some_and(|hours| !hours.are_open(now)).then_some(Unavailable::OutsideHours)
    }

    fn is(&self, number_id: &str, pointer: &str, word: &str) -> bool {
        Value::Object(self.read(number_id)).pointer(pointer).is_some_and(|value| value == word)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Map<String, Value>>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
