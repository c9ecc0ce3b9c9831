//! What Meta knows of one customer of one number, and what follows from it. Times are seconds of the fake's clock.

use super::super::rules::Rules;

pub(super) const DAY: u64 = 24 * 3_600;
pub(super) const WEEK: u64 = 7 * DAY;

/// A permission as it is stored; an expired one stays until something replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Permission {
    None,
    Until(u64),
    Permanent,
}

#[derive(Default)]
pub(super) struct Pair {
    permission: Option<Permission>,
    requests: Vec<Request>,
    /// When requests were sent since the last connected call.
    asked: Vec<u64>,
    /// When business-initiated calls were picked up.
    connected: Vec<u64>,
    not_picked_up_in_a_row: u32,
    window_ends: u64,
}

struct Request {
    wamid: String,
    sent: u64,
    answered: Option<u64>,
}

/// How much of one limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Usage {
    /// Length of the rolling period in seconds.
    pub(in super::super) period: u64,
    pub(in super::super) max: usize,
    pub(in super::super) used: usize,
    /// When the next one is allowed; only when the limit is used up.
    pub(in super::super) free_at: Option<u64>,
}

/// What a call that nobody picked up leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Nothing,
    Nudge,
    Revoke,
}

impl Usage {
    /// Of these moments, oldest first.
    fn count(times: &[u64], period: u64, max: usize, now: u64) -> Self {
        let recent: Vec<u64> = times.iter().copied().filter(|at| at + period > now).collect();
        let used = recent.len();
        let free_at = used.checked_sub(max).and_then(|first| recent.get(first)).map(|at| at + period);
        Self { period, max, used, free_at }
    }

    pub(in super::super) fn is_used_up(&self) -> bool {
        self.used >= self.max
    }
}

impl Pair {
    pub(super) fn permission(&self, now: u64) -> Permission {
        match self.permission {
            Some(Permission::Until(end)) if end <= now => Permission::None,
            permission => permission.unwrap_or(Permission::None),
        }
    }

    pub(super) fn set_permission(&mut self, permission: Permission) {
        self.permission = Some(permission);
    }

    pub(super) fn request_usage(&self, rules: &Rules, now: u64) -> [Usage; 2] {
        [(DAY, rules.requests_per_day), (WEEK, rules.requests_per_week)]
            .map(|(period, max)| Usage::count(&self.asked, period, max, now))
    }

    pub(super) fn call_usage(&self, rules: &Rules, now: u64) -> Usage {
        Usage::count(&self.connected, DAY, rules.connected_calls_per_day, now)
    }

    pub(super) fn note_request(&mut self, wamid: &str, now: u64) {
        self.asked.push(now);
        self.requests.push(Request { wamid: wamid.to_owned(), sent: now, answered: None });
    }

    /// Whether the business has ever asked.
    pub(super) fn was_asked(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The newest request on which the customer can act.
    pub(super) fn live_request(&self, rules: &Rules, now: u64) -> Option<&str> {
        self.requests.iter().rev().map(|request| request.wamid.as_str()).find(|id| self.is_live(id, rules, now))
    }

    /// A request ends some days after its delivery or answer, and when a newer one is answered.
    pub(super) fn is_live(&self, wamid: &str, rules: &Rules, now: u64) -> bool {
        let Some(place) = self.requests.iter().position(|request| request.wamid == wamid) else { return false };
        let request = &self.requests[place];
        let ends = request.answered.unwrap_or(request.sent) + rules.request_life.as_secs();
        ends > now && self.requests[place + 1..].iter().all(|newer| newer.answered.is_none())
    }

    pub(super) fn note_answer(&mut self, wamid: &str, now: u64) {
        if let Some(request) = self.requests.iter_mut().find(|request| request.wamid == wamid) {
            request.answered = Some(now);
        }
    }

    /// Any picked-up call gives the business its requests back.
    pub(super) fn note_connected(&mut self, by_business: bool, now: u64) {
        self.asked.clear();
        self.not_picked_up_in_a_row = 0;
        if by_business {
            self.connected.retain(|at| at + DAY > now);
            self.connected.push(now);
        }
    }

    /// A business-initiated call was declined or ignored.
    pub(super) fn note_not_picked_up(&mut self, rules: &Rules, now: u64) -> Reaction {
        if self.permission(now) == Permission::None {
            return Reaction::Nothing;
        }
        self.not_picked_up_in_a_row += 1;
        if self.not_picked_up_in_a_row >= rules.revoke_after {
            self.not_picked_up_in_a_row = 0;
            self.set_permission(Permission::None);
            return Reaction::Revoke;
        }
        if self.not_picked_up_in_a_row == rules.nudge_after { Reaction::Nudge } else { Reaction::Nothing }
    }

    pub(super) fn open_window(&mut self, rules: &Rules, now: u64) {
        self.window_ends = now + rules.service_window.as_secs();
    }

    pub(super) fn window_is_open(&self, now: u64) -> bool {
        now < self.window_ends
    }
}
