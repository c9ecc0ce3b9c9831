//! The numbers in Meta's rules of calling, and whether they are enforced.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Meta's limits. They are always counted and shown by `GET call_permissions`; nothing is refused, nudged or taken back
/// because of them unless `enforce_limits` is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Refuse what goes beyond the limits, demand the 24 h window for free-form messages, nudge and revoke.
    pub enforce_limits: bool,
    /// Permission requests to one customer in 24 h, free form and template together (138009).
    pub requests_per_day: usize,
    /// The same in 7 days.
    pub requests_per_week: usize,
    /// How long a customer can act on a request, and change the mind after an answer.
    pub request_life: Duration,
    /// How long a permission lasts that came from a call of the customer.
    pub temporary_life: Duration,
    /// Business-initiated calls to one customer that may be picked up in 24 h (138012).
    pub connected_calls_per_day: usize,
    /// Business-initiated call attempts of one number in 24 h (138005).
    pub attempts_per_day: usize,
    /// Calls not picked up in a row after which the customer is asked to reconsider.
    pub nudge_after: u32,
    /// Calls not picked up in a row after which the permission is taken back.
    pub revoke_after: u32,
    /// `GET call_permissions` per second and number (613).
    pub permission_reads_per_second: usize,
    /// Free-form messages are allowed this long after the customer's last message or call (131047).
    pub service_window: Duration,
    /// Business numbers that begin like this cannot call (138013): US and Canada, Egypt, Vietnam, Nigeria. `1` is the whole
    /// North American plan, so a few islands that may call are refused too.
    pub prefixes_that_cannot_call: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            enforce_limits: false,
            requests_per_day: 1,
            requests_per_week: 2,
            request_life: 7 * 24 * HOUR,
            temporary_life: 7 * 24 * HOUR,
            connected_calls_per_day: 100,
            attempts_per_day: 10_000,
            nudge_after: 2,
            revoke_after: 4,
            permission_reads_per_second: 5,
            service_window: 24 * HOUR,
            prefixes_that_cannot_call: ["1", "20", "84", "234"].map(str::to_owned).to_vec(),
        }
    }
}

impl Rules {
    /// Meta's limits, enforced.
    pub fn enforced() -> Self {
        Self { enforce_limits: true, ..Self::default() }
    }

    /// What Meta relaxes for its test numbers, enforced.
    pub fn of_a_test_number() -> Self {
        Self { requests_per_day: 25, requests_per_week: 100, nudge_after: 5, revoke_after: 10, ..Self::enforced() }
    }
}
