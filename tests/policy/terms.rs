//! The numbers that both worlds live by: small, so that lives meet them, and changing, so that lives meet that too. They
//! stand here once, as the reference reads them, and are written out as the pack and the rate card that the store reads.

use std::fmt::Write as _;

use tandem::billing::RateCard;
use tandem::model::time::Timestamp;
use tandem::policy::pack::{BUILT_IN, Pack};
use tandem::store::Terms;

/// In milliseconds, like every time here.
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;
/// 2026-11-18T09:46:40Z.
pub(crate) const START: i64 = 1_795_000_000 * SECOND;

/// Pulses of a month and market from which a minute is cheap.
pub(crate) const TIER_PULSES: i64 = TIER_MINUTES * 10;
const TIER_MINUTES: i64 = 30;

/// At most so many in any so many hours.
#[derive(Clone, Copy)]
pub(crate) struct Cap {
    pub(crate) max: usize,
    pub(crate) hours: i64,
}

const fn cap(max: usize, hours: i64) -> Cap {
    Cap { max, hours }
}

pub(crate) struct Rules {
    from: i64,
    pub(crate) temporary_h: i64,
    pub(crate) request_life_h: i64,
    pub(crate) renews: bool,
    pub(crate) revoke_after: u32,
    pub(crate) service_window_h: i64,
    pub(crate) requests: [Cap; 2],
    pub(crate) attempts: Cap,
    pub(crate) per_number: Option<Cap>,
    pub(crate) per_pair: Option<Cap>,
    pub(crate) reserve_s: i64,
}

const EDITIONS: [Rules; 3] = [
    Rules {
        from: START - DAY,
        temporary_h: 168,
        request_life_h: 168,
        renews: true,
        revoke_after: 4,
        service_window_h: 24,
        requests: [cap(1, 24), cap(2, 168)],
        attempts: cap(4, 24),
        per_number: Some(cap(3, 24)),
        per_pair: Some(cap(2, 24)),
        reserve_s: 60,
    },
    Rules {
        from: START + 12 * DAY,
        temporary_h: 72,
        request_life_h: 96,
        renews: false,
        revoke_after: 3,
        service_window_h: 12,
        requests: [cap(1, 48), cap(3, 168)],
        attempts: cap(3, 12),
        per_number: Some(cap(2, 24)),
        per_pair: None,
        reserve_s: 95,
    },
    Rules {
        from: START + 35 * DAY,
        temporary_h: 168,
        request_life_h: 168,
        renews: true,
        revoke_after: 4,
        service_window_h: 24,
        requests: [cap(2, 24), cap(2, 168)],
        attempts: cap(5, 24),
        per_number: None,
        per_pair: Some(cap(1, 48)),
        reserve_s: 60,
    },
];

/// What holds at a moment.
pub(crate) fn rules(at: i64) -> &'static Rules {
    EDITIONS.iter().rev().find(|edition| edition.from <= at).unwrap_or(&EDITIONS[0])
}

/// From when, for whom, the dear and the cheap minute. A German number has a market of its own.
const PRICES: [(i64, &str, i64, i64); 4] = [
    (START - 400 * DAY, "*", 10_000, 5_000),
    (START - 400 * DAY, "49", 20_000, 15_001),
    (START + 20 * DAY, "*", 12_345, 5_432),
    (START + 20 * DAY, "49", 19_999, 17_777),
];

/// Micros of a minute.
pub(crate) fn minute(market: &str, at: i64, cheap: bool) -> i64 {
    let row = PRICES.iter().rev().find(|(from, name, ..)| *name == market && *from <= at).unwrap();
    if cheap { row.3 } else { row.2 }
}

/// A number for each month of UTC.
pub(crate) fn month(at: i64) -> i64 {
    let date = jiff::Timestamp::from_millisecond(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    i64::from(date.year()) * 12 + i64::from(date.month())
}

/// The same for the store.
pub(crate) fn terms() -> Terms {
    let mut pack = BUILT_IN.to_owned();
    for edition in &EDITIONS {
        let Rules { from, temporary_h, request_life_h, renews, revoke_after, .. } = edition;
        let (Rules { service_window_h, requests: [short, long], attempts, reserve_s, .. }, from) =
            (edition, Timestamp::from_millis(*from));
        let (short, long, attempts) = (limit(Some(*short)), limit(Some(*long)), limit(Some(*attempts)));
        let (number, pair) = (limit(edition.per_number), limit(edition.per_pair));
        let _ = write!(
            pack,
            "\n[[edition]]\nfrom = \"{from}\"\n[edition.permission]\ntemporary_h = {temporary_h}\n\
             request_life_h = {request_life_h}\nrenews_on_connected_call = {renews}\nrevoke_after = {revoke_after}\n\
             service_window_h = {service_window_h}\n[edition.requests]\nshort = {short}\nlong = {long}\n\
             [edition.calls]\nattempts_per_number = {attempts}\nconnected_per_number = {number}\n\
             connected_per_pair = {pair}\n[edition.wallet]\nreserve_s = {reserve_s}\n",
        );
    }
    let mut card = "effective_from,market,currency,tier_from_minutes,price_per_minute\n".to_owned();
    for (from, market, dear, cheap) in PRICES {
        let from = Timestamp::from_millis(from);
        let _ = writeln!(card, "{from},{market},USD,0,0.{dear:06}\n{from},{market},USD,{TIER_MINUTES},0.{cheap:06}");
    }
    let card = RateCard::parse("test", &card).unwrap();
    Terms::new(Pack::parse("test", &pack).unwrap(), pack, card)
}

fn limit(cap: Option<Cap>) -> String {
    cap.map_or_else(
        || "\"unlimited\"".to_owned(),
        |Cap { max, hours }| format!("{{ max = {max}, window_h = {hours} }}"),
    )
}
