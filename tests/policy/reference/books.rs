//! Money.

use super::{Call, Line, Reference};
use crate::steps::market_of;
use crate::terms::{SECOND, TIER_PULSES, minute, month, rules};

const PULSE: i64 = 6 * SECOND;

/// The wallet, recounted.
#[derive(Default)]
pub(crate) struct Books {
    /// Kind, micros, pulses; oldest first.
    pub(crate) entries: Vec<(&'static str, i64, Option<i64>)>,
    /// For which call how much is held back.
    held: Vec<(usize, i64)>,
    charges: Vec<Charge>,
}

struct Charge {
    call: usize,
    month: i64,
    market: &'static str,
    /// Pulses of month and market when the call was first charged: they decide the price for good.
    before: i64,
    pulses: i64,
    price: i64,
}

impl Books {
    pub(crate) fn balance(&self) -> i64 {
        self.entries.iter().map(|(_, micros, _)| micros).sum()
    }

    pub(crate) fn held(&self) -> i64 {
        self.held.iter().map(|(_, micros)| micros).sum()
    }

    pub(crate) fn available(&self) -> i64 {
        self.balance() - self.held()
    }

    /// Price and pulses of a call; of one that cost nothing, 0.
    pub(crate) fn charge(&self, call: usize) -> (i64, i64) {
        self.charges.iter().find(|charge| charge.call == call).map_or((0, 0), |charge| (charge.price, charge.pulses))
    }

    /// Micros of the next minute.
    pub(crate) fn next_minute(&self, market: &'static str, at: i64) -> i64 {
        minute(market, at, self.pulses_of(month(at), market) >= TIER_PULSES)
    }

    fn pulses_of(&self, month: i64, market: &str) -> i64 {
        let same = |charge: &&Charge| charge.month == month && charge.market == market;
        self.charges.iter().filter(same).map(|charge| charge.pulses).sum()
    }

    fn settle(&mut self, n: usize, call: &Call, talked_ms: i64) {
        self.held.retain(|(held, _)| *held != n);
        let pulses = (talked_ms + PULSE - 1) / PULSE;
        let (month, market) = (month(call.began), market_of(call.pair));
        let known = self.charges.iter().position(|charge| charge.call == n);
        if known.map_or(0, |known| self.charges[known].pulses) == pulses {
            return;
        }
        let kind = if known.is_some() { "adjustment" } else { "call_charge" };
        let known = known.unwrap_or_else(|| {
            let before = self.pulses_of(month, market);
            self.charges.push(Charge { call: n, month, market, before, pulses: 0, price: 0 });
            self.charges.len() - 1
        });
        let charge = &mut self.charges[known];
        // A call that crosses into the cheaper tier is priced wholly there; each begun tenth of a micro counts.
        let minute = minute(market, call.began, charge.before + pulses > TIER_PULSES);
        let price = (pulses * minute + 9) / 10;
        self.entries.push((kind, charge.price - price, Some(pulses)));
        (charge.pulses, charge.price) = (pulses, price);
    }
}

impl Reference {
    pub(crate) fn books(&self) -> Books {
        let mut books = Books::default();
        for line in &self.lines {
            match *line {
                Line::TopUp(micros) => books.entries.push(("top_up", micros, None)),
                Line::Dialled(n) => {
                    let Call { pair, began, .. } = self.calls[n];
                    let minute = books.next_minute(market_of(pair), began);
                    books.held.push((n, minute * rules(began).reserve_s / 60));
                }
                Line::Reported(n, nth) => {
                    let call = &self.calls[n];
                    let report = call.reports[nth];
                    if call.outbound && report.settled {
                        let talked_ms = if report.answered.is_some() { report.talked_ms } else { 0 };
                        books.settle(n, call, talked_ms);
                    }
                }
            }
        }
        books
    }
}
