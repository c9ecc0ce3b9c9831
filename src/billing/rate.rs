//! The rate card.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::card_file;
use crate::model::country::Country;
use crate::model::money::{Currency, Micros};
use crate::model::phone::Phone;
use crate::model::time::Timestamp;

/// Names the built-in card.
const BUILT_IN_FILE: &str = "config/policy/rates.csv";
/// The card that is built in. Its prices are examples: operators replace them with their own.
pub const BUILT_IN: &str = include_str!("../../config/policy/rates.csv");

/// Everybody whom no other market holds.
pub(super) const EVERYBODY_ELSE: &str = "*";

/// Talk time is billed in steps of this length (Meta: Calling API pricing).
const PULSE: Duration = Duration::from_secs(6);
const PULSES_PER_MINUTE: i64 = 10;

/// Prices by market, with dates and volume tiers. Made only by reading a file, so every card is a checked one: at any
/// moment each customer has exactly one market, and each market a price for every volume.
#[derive(Clone, Debug)]
pub struct RateCard {
    pub(super) currency: Currency,
    /// Months and dates count in it.
    pub(super) time_zone: TimeZone,
    pub(super) file: Arc<str>,
    pub(super) csv: Arc<str>,
    pub(super) sha256: Arc<str>,
    /// Before the earliest date of the card its earliest prices hold.
    pub(super) first: Timestamp,
    /// By name; editions oldest first, never empty.
    pub(super) markets: BTreeMap<String, Vec<Edition>>,
    /// Those of the markets that are groups of countries.
    pub(super) groups: Vec<String>,
}

/// A market's prices from one date on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) from: Timestamp,
    /// Of a group.
    pub(super) countries: Vec<Country>,
    /// Rising, the first from 0.
    pub(super) tiers: Vec<Tier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) from_minutes: i64,
    pub(super) micros_per_minute: Micros,
}

/// Whom a call goes to, as far as the price depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Customer<'a> {
    pub phone: Option<&'a Phone>,
    /// `CC.digits`: tells the country of customers who hide their number.
    pub user_id: Option<&'a str>,
}

/// The price of a minute now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Quote {
    /// The row of the card that applies: a number's prefix, a country, a group of countries, or `*`.
    pub market: String,
    pub country: Option<Country>,
    pub micros_per_minute: Micros,
    pub currency: Currency,
    /// Minutes of the month in this market from which this price holds.
    pub tier_from_minutes: i64,
}

/// What one call costs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Price {
    pub micros: Micros,
    pub pulses: i64,
    pub quote: Quote,
}

/// One line of a card, as people read it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct RateRow {
    /// The start of a phone number, a country, a group of countries, or `*` for everybody else.
    pub market: String,
    /// Of a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    pub effective_from: Timestamp,
    /// Minutes of the month in this market from which this price holds.
    pub tier_from_minutes: i64,
    pub micros_per_minute: Micros,
}

/// Everything that is wrong with a card, one line each: file, line, column, reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCardErrors(pub Vec<String>);

impl fmt::Display for RateCardErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for RateCardErrors {}

/// Six-second pulses, each begun one counted (Meta: Calling API pricing).
pub fn pulses(talked: Duration) -> i64 {
    i64::try_from(talked.as_nanos().div_ceil(PULSE.as_nanos())).unwrap_or(i64::MAX)
}

impl RateCard {
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN_FILE, BUILT_IN).expect("a test reads the built-in card")
    }

    /// Reads a card from CSV; `file` names it in errors. The columns are explained in `config/policy/rates.csv`.
    ///
    /// # Errors
    /// [`RateCardErrors`], all of them.
    pub fn parse(file: &str, csv: &str) -> Result<Self, RateCardErrors> {
        card_file::read(file, csv)
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The file it was read from.
    pub fn source(&self) -> &str {
        &self.file
    }

    /// The text it was read from.
    pub fn csv(&self) -> &str {
        &self.csv
    }

    /// Of [`RateCard::csv`], in hex: names the card for good.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The IANA name of the time zone that months and dates count in.
    pub fn time_zone(&self) -> &str {
        self.time_zone.iana_name().unwrap_or("UTC")
    }

    /// The price of the next minute. `pulses_of_month`: pulses already settled in the market named by [`RateCard::market`].
    pub fn quote(&self, to: Customer<'_>, at: Timestamp, pulses_of_month: i64) -> Quote {
        self.quoted(to, at, pulses_of_month.saturating_add(1))
    }

    /// The market of a customer: the row with the longest prefix of the number, else the country's, else the group's, else
    /// `*`. It names the usage row whose pulses decide the tier.
    pub fn market(&self, to: Customer<'_>, at: Timestamp) -> String {
        self.find(to, at).0.to_owned()
    }

    /// The price of a whole call: a call that crosses into a cheaper tier is priced wholly there.
    pub fn price(&self, to: Customer<'_>, at: Timestamp, pulses_of_month: i64, pulses: i64) -> Price {
        // A call that was never answered costs nothing, and is quoted what its first minute would have cost.
        let quote = self.quoted(to, at, pulses_of_month.saturating_add(pulses.max(1)));
        let tenths = i128::from(pulses.max(0)) * i128::from(quote.micros_per_minute);
        let per_minute = i128::from(PULSES_PER_MINUTE);
        let micros = (tenths + per_minute - 1) / per_minute;
        Price { micros: Micros::try_from(micros).unwrap_or(Micros::MAX), pulses, quote }
    }

    /// The month that volume counts in, `YYYY-MM`, in the card's time zone.
    pub fn month(&self, at: Timestamp) -> String {
        // Outside the years -9999 to 9999 there is no calendar.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let day = at.to_zoned(self.time_zone.clone()).date();
        format!("{:04}-{:02}", day.year(), day.month())
    }

    /// What is in force, by market.
    pub fn rows(&self, at: Timestamp) -> Vec<RateRow> {
        self.markets
            .iter()
            .filter_map(|(market, editions)| Some((market, self.in_force(editions, at)?)))
            .flat_map(rows_of)
            .collect()
    }

    /// What comes into force later, by market and date.
    pub fn upcoming(&self, at: Timestamp) -> Vec<RateRow> {
        let at = at.max(self.first);
        let later =
            self.markets.iter().flat_map(|(market, editions)| editions.iter().map(move |edition| (market, edition)));
        later.filter(|(_, edition)| edition.from > at).flat_map(rows_of).collect()
    }

    /// The price of the pulse with this number in the month, counted from 1. A tier from 50,000 minutes begins with the
    /// pulse after them (Meta: "0 - 50,000", "50,001 - 250,000").
    fn quoted(&self, to: Customer<'_>, at: Timestamp, pulse: i64) -> Quote {
        let (market, edition) = self.find(to, at);
        let begun = edition.tiers.partition_point(|tier| tier.from_minutes.saturating_mul(PULSES_PER_MINUTE) < pulse);
        let tier = edition.tiers[begun.saturating_sub(1)];
        Quote {
            market: market.to_owned(),
            country: country(to),
            micros_per_minute: tier.micros_per_minute,
            currency: self.currency,
            tier_from_minutes: tier.from_minutes,
        }
    }

    fn find(&self, to: Customer<'_>, at: Timestamp) -> (&str, &Edition) {
        self.by_prefix(to, at)
            .or_else(|| country(to).and_then(|country| self.by_country(country, at)))
            .or_else(|| self.named(EVERYBODY_ELSE, at))
            .expect("a card without `*` from its first date on is refused")
    }

    fn by_prefix(&self, to: Customer<'_>, at: Timestamp) -> Option<(&str, &Edition)> {
        let digits = to.phone?.wa_id();
        (1..=digits.len()).rev().find_map(|length| self.named(&digits[..length], at))
    }

    fn by_country(&self, country: Country, at: Timestamp) -> Option<(&str, &Edition)> {
        self.named(country.as_str(), at).or_else(|| {
            let groups = self.groups.iter().filter_map(|group| self.named(group, at));
            groups.into_iter().find(|(_, edition)| edition.countries.contains(&country))
        })
    }

    fn named(&self, market: &str, at: Timestamp) -> Option<(&str, &Edition)> {
        let (name, editions) = self.markets.get_key_value(market)?;
        Some((name.as_str(), self.in_force(editions, at)?))
    }

    /// `None` before the market's first date.
    fn in_force<'a>(&self, editions: &'a [Edition], at: Timestamp) -> Option<&'a Edition> {
        let at = at.max(self.first);
        editions[..editions.partition_point(|edition| edition.from <= at)].last()
    }
}

fn country(to: Customer<'_>) -> Option<Country> {
    to.phone.and_then(Country::of_phone).or_else(|| to.user_id.and_then(Country::of_user_id))
}

fn rows_of<'a>((market, edition): (&'a String, &'a Edition)) -> impl Iterator<Item = RateRow> + 'a {
    edition.tiers.iter().map(move |tier| RateRow {
        market: market.clone(),
        countries: edition.countries.clone(),
        effective_from: edition.from,
        tier_from_minutes: tier.from_minutes,
        micros_per_minute: tier.micros_per_minute,
    })
}
