//! Whether WhatsApp's own count of a day's calls agrees with ours. A difference is for people to look into: nothing here,
//! and nobody who asks, changes the ledger.
//!
//! Meta tells per half hour how many calls were completed, what they cost and how long they lasted on average. Three things
//! it leaves open, so none of them counts as a difference: the average comes in whole seconds; the cost is a decimal, of
//! which we have seen five places; and whether a call over midnight belongs to the day on which it was answered or to that
//! on which it ended.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::day::Day;
use crate::model::id::WabaId;
use crate::model::money::{Currency, Micros};
use crate::model::time::Timestamp;
use crate::model::words;

/// Rounded or cut off, an average of whole seconds is this far off a call at most.
const DURATION_SLACK_MS_PER_CALL: i64 = 1_000;
/// The fifth decimal, rounded or cut off, in each figure that was added up.
const COST_SLACK_MICROS_PER_POINT: Micros = 10;
/// We round each call's price up to a whole micro.
const COST_SLACK_MICROS_PER_CALL: Micros = 1;

/// The answered calls of one day and one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    pub calls: i64,
    /// Talk time of all of them.
    pub duration_ms: i64,
    /// What they cost in all: for ours, what the wallet was charged.
    pub cost_micros: Micros,
}

/// Ours, counted in both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// Calls that ended on the day.
    pub by_end: Tally,
    /// Calls that were answered on the day.
    pub by_answer: Tally,
}

/// WhatsApp's count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    pub tally: Tally,
    /// Figures that were added up.
    pub points: i64,
}

words! {
    /// What differs.
    Figure {
        Calls = "calls",
        Duration = "duration",
        Cost = "cost",
        /// Costs in two currencies, which nobody can compare.
        Currency = "currency",
    }
}

/// One direction of a day, from both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Compared {
    pub ours: Tally,
    pub theirs: Tally,
    /// Where the two differ by more than rounding; empty: they agree.
    pub differences: Vec<Figure>,
}

/// A day of one WhatsApp business account, from both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reconciliation {
    pub waba_id: WabaId,
    /// In UTC.
    pub day: Day,
    pub agrees: bool,
    /// Calls to customers.
    pub outbound: Compared,
    /// Customers' calls, which cost nothing.
    pub inbound: Compared,
    /// Of our costs.
    pub currency: Currency,
    /// Of WhatsApp's; `null` when it named none, then ours is taken for granted.
    pub their_currency: Option<Currency>,
    /// When WhatsApp was asked.
    pub compared_at: Timestamp,
}

/// What both sides say of a day.
#[derive(Clone, Copy, Debug)]
pub struct Books {
    pub outbound: (Ours, Theirs),
    pub inbound: (Ours, Theirs),
    pub currency: Currency,
    pub their_currency: Option<Currency>,
}

impl Reconciliation {
    pub fn of(waba_id: WabaId, day: Day, books: &Books, now: Timestamp) -> Self {
        let same_currency = books.their_currency.is_none_or(|theirs| theirs == books.currency);
        let [outbound, inbound] =
            [books.outbound, books.inbound].map(|(ours, theirs)| compare(ours, theirs, same_currency));
        Self {
            waba_id,
            day,
            agrees: outbound.differences.is_empty() && inbound.differences.is_empty(),
            outbound,
            inbound,
            currency: books.currency,
            their_currency: books.their_currency,
            compared_at: now,
        }
    }
}

/// By the count that agrees, if one does; else by that of the calls that ended.
fn compare(ours: Ours, theirs: Theirs, same_currency: bool) -> Compared {
    let by_answer = differences(ours.by_answer, theirs, same_currency);
    let (ours, differences) = match by_answer.is_empty() {
        true => (ours.by_answer, by_answer),
        false => (ours.by_end, differences(ours.by_end, theirs, same_currency)),
    };
    Compared { ours, theirs: theirs.tally, differences }
}

fn differences(ours: Tally, theirs: Theirs, same_currency: bool) -> Vec<Figure> {
    let Theirs { tally, points } = theirs;
    let calls = ours.calls.max(tally.calls);
    let duration_slack = calls.saturating_mul(DURATION_SLACK_MS_PER_CALL);
    let cost_slack = points
        .saturating_mul(COST_SLACK_MICROS_PER_POINT)
        .saturating_add(calls.saturating_mul(COST_SLACK_MICROS_PER_CALL));
    let apart = |a: i64, b: i64, slack: i64| a.abs_diff(b) > slack.unsigned_abs();
    let free = ours.cost_micros == 0 && tally.cost_micros == 0;
    [
        (apart(ours.calls, tally.calls, 0), Figure::Calls),
        (apart(ours.duration_ms, tally.duration_ms, duration_slack), Figure::Duration),
        (same_currency && apart(ours.cost_micros, tally.cost_micros, cost_slack), Figure::Cost),
        (!same_currency && !free, Figure::Currency),
    ]
    .into_iter()
    .filter_map(|(differs, figure)| differs.then_some(figure))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Figure::{Calls, Cost, Duration};

    const DAY_OF_OURS: Tally = Tally { calls: 10, duration_ms: 560_000, cost_micros: 95_000 };

    fn both(tally: Tally) -> Ours {
        Ours { by_end: tally, by_answer: tally }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Tally), points: i64, want: &[Figure]) {
        let mut tally = DAY_OF_OURS;
        change(&mut tally);
        let compared = compare(both(DAY_OF_OURS), Theirs { tally, points }, true);
        assert_eq!((compared.differences.as_slice(), compared.ours, compared.theirs), (want, DAY_OF_OURS, tally));
    }

    #[test]
    fn only_what_is_more_than_rounding_is_a_difference() {
        check(|_| (), 1, &[]);
        for calls in [9, 11, 0] {
            check(|t| t.calls = calls, 1, &[Calls]);
        }
        // A second a call.
        for (duration_ms, want) in [(550_000, &[][..]), (549_999, &[Duration]), (570_000, &[]), (570_001, &[Duration])]
        {
            check(|t| t.duration_ms = duration_ms, 1, want);
        }
        // Ten micros a figure and one a call.
        for (cost_micros, points, want) in [
            (95_020, 1, &[][..]),
            (95_021, 1, &[Cost]),
            (94_980, 1, &[]),
            (94_979, 1, &[Cost]),
            (95_050, 4, &[]),
            (95_051, 4, &[Cost]),
            (0, 1, &[Cost]),
        ] {
            check(|t| t.cost_micros = cost_micros, points, want);
        }
        check(|t| *t = Tally::default(), 0, &[Calls, Duration, Cost]);
        check(
            |t| *t = Tally { calls: i64::MAX, duration_ms: i64::MAX, cost_micros: i64::MIN },
            i64::MAX,
            &[Calls, Cost],
        );
    }

    #[test]
    fn a_day_without_calls_on_either_side_agrees_and_calls_on_one_side_alone_do_not() {
        let none = compare(Ours::default(), Theirs::default(), true);
        assert_eq!(none.differences, []);
        let lost = compare(Ours::default(), Theirs { tally: DAY_OF_OURS, points: 1 }, true);
        assert_eq!(lost.differences, [Calls, Duration, Cost]);
    }

    #[test]
    fn a_call_over_midnight_may_belong_to_either_day() {
        let without = Tally { calls: 9, duration_ms: 500_000, cost_micros: 85_000 };
        let ours = Ours { by_end: DAY_OF_OURS, by_answer: without };
        for (theirs, want) in [(DAY_OF_OURS, DAY_OF_OURS), (without, without)] {
            let compared = compare(ours, Theirs { tally: theirs, points: 1 }, true);
            assert_eq!((compared.ours, compared.differences), (want, vec![]));
        }
        // Not a little of each.
        let mixed = Tally { calls: 9, ..DAY_OF_OURS };
        let compared = compare(ours, Theirs { tally: mixed, points: 1 }, true);
        assert_eq!((compared.ours, compared.differences), (DAY_OF_OURS, vec![Calls]));
    }

    #[test]
    fn costs_in_another_currency_are_told_apart_and_inbound_must_be_free() {
        let theirs = Theirs { tally: DAY_OF_OURS, points: 1 };
        let free = Tally { cost_micros: 0, ..DAY_OF_OURS };
        let eur = Currency::parse("EUR").unwrap();
        let books = |their_currency, inbound| Books {
            outbound: (both(DAY_OF_OURS), theirs),
            inbound: (both(free), Theirs { tally: inbound, points: 1 }),
            currency: Currency::USD,
            their_currency,
        };
        let of = |books: &Books| {
            let waba = WabaId::parse("200000000000002").unwrap();
            let report = Reconciliation::of(waba, Day::from_number(20_000), books, Timestamp::from_millis(5));
            (report.agrees, report.outbound.differences, report.inbound.differences)
        };
        assert_eq!(of(&books(Some(Currency::USD), free)), (true, vec![], vec![]));
        assert_eq!(of(&books(None, free)), (true, vec![], vec![]));
        assert_eq!(of(&books(Some(eur), free)), (false, vec![Figure::Currency], vec![]));
        assert_eq!(of(&books(Some(Currency::USD), DAY_OF_OURS)), (false, vec![], vec![Cost]));
        // That one side charged nothing does not make two currencies one.
        for (ours, theirs) in [(DAY_OF_OURS, free), (free, DAY_OF_OURS)] {
            let compared = compare(both(ours), Theirs { tally: theirs, points: 1 }, false);
            assert_eq!(compared.differences, [Figure::Currency]);
        }
    }
}
