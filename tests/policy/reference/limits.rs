//! What stands against a call, and against asking: codes, and when each clears.

use super::{Call, Recount, Reference};
use crate::steps::number_of;
use crate::terms::{Cap, HOUR, rules};

pub(crate) type Against = Vec<(&'static str, Option<i64>)>;

impl Reference {
    /// `free_form`: in our own words, which needs the service window.
    pub(crate) fn against_asking(&self, pair: usize, free_form: bool, now: i64) -> Against {
        let (recount, rules) = (self.permission(pair, now), rules(now));
        let mut against = Vec::new();
        let window = rules.service_window_h * HOUR;
        let is_open = self.openings.iter().any(|(whose, at)| *whose == pair && now < at + window);
        if free_form && !is_open {
            against.push(("window_closed", None));
        }
        if recount.status == "permanent" {
            against.push(("already_permanent", None));
        }
        for (code, limit) in ["request_limit_24h", "request_limit_7d"].into_iter().zip(rules.requests) {
            against.extend(full(limit, 0, &recount.counting, now).map(|clears| (code, clears)));
        }
        against
    }

    pub(crate) fn against_dialling(&self, pair: usize, now: i64) -> Against {
        let (recount, rules) = (self.permission(pair, now), rules(now));
        let Recount { status, .. } = recount;
        let mut against = Vec::new();
        match status {
            "temporary" | "permanent" => {}
            "expired" => against.push(("permission_expired", None)),
            _ => against.push(("no_permission", None)),
        }
        let by_number = |call: &&Call| call.outbound && number_of(call.pair) == number_of(pair);
        let by_pair = |call: &&Call| call.outbound && call.pair == pair;
        for (limit, connected, in_flight) in [
            (rules.per_number, self.connected(by_number), self.in_flight(by_number)),
            (rules.per_pair, self.connected(by_pair), self.in_flight(by_pair)),
        ] {
            let found = limit.and_then(|limit| full(limit, in_flight, &connected, now));
            against.extend(found.map(|clears| ("connected_limit", clears)));
        }
        let dialled: Vec<i64> = self.calls.iter().filter(by_number).map(|call| call.began).collect();
        against.extend(full(rules.attempts, 0, &dialled, now).map(|clears| ("attempts_limit", clears)));
        if self.books().available() <= 0 {
            against.push(("wallet_negative", None));
        }
        if self.in_flight(by_pair) > 0 {
            against.push(("call_in_progress", None));
        }
        against
    }

    /// Calls in flight by the number of this pair, and of this pair.
    pub(crate) fn ringing(&self, pair: usize) -> (usize, usize) {
        (self.in_flight(|call| number_of(call.pair) == number_of(pair)), self.in_flight(|call| call.pair == pair))
    }

    fn in_flight(&self, which: impl Fn(&&Call) -> bool) -> usize {
        self.calls.iter().filter(which).filter(|call| call.is_in_flight()).count()
    }

    fn connected(&self, which: impl Fn(&&Call) -> bool) -> Vec<i64> {
        self.calls.iter().filter(which).filter_map(|call| call.last()?.answered).collect()
    }
}

/// Whether a limit has no room, and when it has again; only the end of what is in flight makes room when that fills it.
fn full(limit: Cap, in_flight: usize, all: &[i64], now: i64) -> Option<Option<i64>> {
    let room = limit.max.saturating_sub(in_flight);
    let window = limit.hours * HOUR;
    let mut young: Vec<i64> = all.iter().copied().filter(|at| now - at < window).collect();
    young.sort_unstable();
    match (young.len().checked_sub(room), room) {
        (_, 0) => Some(None),
        (Some(first), _) => Some(Some(young[first] + window)),
        (None, _) => None,
    }
}
