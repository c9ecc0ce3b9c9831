//! Reads a rate card from CSV: every mistake at once, by line and column.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::csv;
use super::rate::{EVERYBODY_ELSE, Edition, RateCard, RateCardErrors, Tier};
use crate::model::country::Country;
use crate::model::money::{Currency, Micros};
use crate::model::time::Timestamp;

const EFFECTIVE_FROM: &str = "effective_from";
const MARKET: &str = "market";
const COUNTRIES: &str = "countries";
const CURRENCY: &str = "currency";
const TIER: &str = "tier_from_minutes";
const PRICE: &str = "price_per_minute";
const COLUMNS: [&str; 6] = [EFFECTIVE_FROM, MARKET, COUNTRIES, CURRENCY, TIER, PRICE];
const REQUIRED: [&str; 4] = [EFFECTIVE_FROM, MARKET, CURRENCY, PRICE];

/// A file that is no card at all would be wrong in every line; nobody reads more than this.
const ERRORS_MAX: usize = 100;

/// A minute for a million of anything is a typing error. With it, a call of a year costs less than an i64 holds.
const PRICE_UNITS_MAX: i64 = 1_000_000;
const DECIMALS_MAX: usize = 6;
const MICROS_PER_UNIT: i64 = 1_000_000;

/// There are fewer minutes in a month of a million simultaneous calls.
const TIER_MINUTES_MAX: i64 = 1_000_000_000_000;

const MARKET_CHARS_MAX: usize = 64;

/// The officially assigned codes of ISO 3166-1, and XK, which the telephone world uses for Kosovo (+383).
const ASSIGNED: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK \
    FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ \
    MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW \
    TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Reads and checks a card; `file` names it in errors.
pub(super) fn read(file: &str, text: &str) -> Result<RateCard, RateCardErrors> {
    let mut errors = Errors { file, found: Vec::new() };
    // Spreadsheets put a byte order mark in front.
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text);
    let time_zone = time_zone(lines, &mut errors);
    let rows = rows(lines, &time_zone, &mut errors);
    let currency = one_currency(&rows, &mut errors);
    let markets = markets(&rows, &mut errors);
    everybody_has_a_price(&rows, &mut errors);
    nobody_has_two(&markets, &mut errors);
    let (Some(currency), Some(first), []) = (currency, rows.iter().filter_map(|row| row.from).min(), &*errors.found)
    else {
        return Err(errors.into());
    };
    let groups = markets.keys().filter(|name| is_group(name)).cloned().collect();
    let markets = markets.into_iter().map(|(name, drafts)| (name, drafts.into_iter().map(Draft::finish).collect()));
    Ok(RateCard {
        currency,
        time_zone,
        file: file.into(),
        csv: text.into(),
        sha256: sha256(text).into(),
        first,
        markets: markets.collect(),
        groups,
    })
}

/// One line, as far as it could be read.
struct Row {
    line: usize,
    from: Option<Timestamp>,
    market: Option<String>,
    /// `None` where the file leaves them out.
    countries: Option<Vec<Country>>,
    currency: Option<Currency>,
    tier: Option<i64>,
    micros: Option<Micros>,
}

/// An edition and where it stands in the file.
struct Draft {
    line: usize,
    edition: Edition,
    /// The lines of its tiers.
    lines: Vec<usize>,
}

impl Draft {
    fn finish(self) -> Edition {
        self.edition
    }
}

struct Errors<'a> {
    file: &'a str,
    found: Vec<(usize, String)>,
}

impl Errors<'_> {
    fn add(&mut self, line: usize, column: &str, reason: impl std::fmt::Display) {
        self.found.push((line, format!("{}:{line}: {column}: {reason}", self.file)));
    }
}

impl From<Errors<'_>> for RateCardErrors {
    fn from(mut errors: Errors<'_>) -> Self {
        errors.found.sort_by_key(|(line, _)| *line);
        let more = errors.found.len().saturating_sub(ERRORS_MAX);
        let mut said: Vec<_> = errors.found.into_iter().take(ERRORS_MAX).map(|(_, said)| said).collect();
        if more > 0 {
            said.push(format!("{}: and {more} more mistakes", errors.file));
        }
        Self(said)
    }
}

/// `# time_zone = Area/City`, in a comment because it holds for the whole file.
fn time_zone(text: &str, errors: &mut Errors<'_>) -> TimeZone {
    let mut found = None;
    for (line, text) in numbered(text) {
        let Some((key, name)) = text.strip_prefix('#').and_then(|comment| comment.split_once('=')) else { continue };
        if key.trim() != "time_zone" {
            continue;
        }
        if found.is_some() {
            errors.add(line, "time_zone", "there is one already; write it once");
        }
        match TimeZone::get(name.trim()) {
            Ok(zone) => found = Some(zone),
            Err(_) => {
                let reason = format!("`{}` is not a time zone; write an IANA name such as `Asia/Tbilisi`", name.trim());
                errors.add(line, "time_zone", reason);
            }
        }
    }
    found.unwrap_or(TimeZone::UTC)
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()))
}

fn rows(text: &str, time_zone: &TimeZone, errors: &mut Errors<'_>) -> Vec<Row> {
    let mut lines = numbered(text).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((line, header)) = lines.next() else {
        errors.add(1, "header", format!("the file is empty; the first line names the columns: {}", COLUMNS.join(",")));
        return Vec::new();
    };
    let Some(columns) = columns(line, header, errors) else { return Vec::new() };
    let rows: Vec<_> = lines.filter_map(|(line, text)| row(line, text, &columns, time_zone, errors)).collect();
    if rows.is_empty() && errors.found.is_empty() {
        errors.add(line, "header", "there is no price below it");
    }
    rows
}

/// Which column stands where; `None` when rows cannot be read.
fn columns(line: usize, header: &str, errors: &mut Errors<'_>) -> Option<Vec<String>> {
    let columns = match csv::fields(header) {
        Ok(columns) => columns,
        Err(bad) => {
            errors.add(line, "header", bad);
            return None;
        }
    };
    for (index, column) in columns.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) {
            let known = COLUMNS.join(", ");
            errors.add(line, column, format!("unknown column; there are {known}, separated by commas"));
        } else if columns[..index].contains(column) {
            errors.add(line, column, "the column is there twice");
        }
    }
    let missing: Vec<_> = REQUIRED.into_iter().filter(|want| !columns.iter().any(|have| have == want)).collect();
    for column in &missing {
        errors.add(line, column, "the column is missing");
    }
    missing.is_empty().then_some(columns)
}

fn row(line: usize, text: &str, columns: &[String], time_zone: &TimeZone, errors: &mut Errors<'_>) -> Option<Row> {
    let fields = match csv::fields(text) {
        Ok(fields) if fields.len() == columns.len() => fields,
        Ok(fields) => {
            let reason = format!("{} fields where the header has {} columns", fields.len(), columns.len());
            errors.add(line, "row", reason);
            return None;
        }
        Err(bad) => {
            errors.add(line, "row", bad);
            return None;
        }
    };
    let field = |name: &str| columns.iter().position(|column| column == name).map_or("", |at| fields[at].as_str());
    let mut take = |column: &str, reason: String| errors.add(line, column, reason);
    let from = date(field(EFFECTIVE_FROM), time_zone).map_err(|reason| take(EFFECTIVE_FROM, reason)).ok();
    let market = market(field(MARKET)).map_err(|reason| take(MARKET, reason)).ok();
    let currency =
        field(CURRENCY).parse().map_err(|reason: crate::model::money::BadCurrency| take(CURRENCY, reason.to_string()));
    let tier = tier(field(TIER)).map_err(|reason| take(TIER, reason)).ok();
    let micros = micros(field(PRICE)).map_err(|reason| take(PRICE, reason)).ok();
    let mut countries = Vec::new();
    let given = !field(COUNTRIES).is_empty();
    for code in field(COUNTRIES).split_whitespace() {
        match country(code) {
            Ok(country) if countries.contains(&country) => take(COUNTRIES, format!("{country} is there twice")),
            Ok(country) => countries.push(country),
            Err(reason) => take(COUNTRIES, reason),
        }
    }
    if market.as_deref().is_some_and(|market| !is_group(market)) && given {
        take(COUNTRIES, "only a group has countries; leave it empty here".to_owned());
    }
    let countries = given.then_some(countries);
    Some(Row { line, from, market, countries, currency: currency.ok(), tier, micros })
}

fn date(text: &str, time_zone: &TimeZone) -> Result<Timestamp, String> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2025-08-01".len());
    let moment = match day {
        Some(day) => day.to_zoned(time_zone.clone()).ok().map(|start| start.timestamp()),
        None => text.parse::<jiff::Timestamp>().ok(),
    };
    let moment = moment
        .ok_or_else(|| format!("`{text}` is not a date; write YYYY-MM-DD or a moment such as 2025-08-01T00:00:00Z"))?;
    Ok(Timestamp::from_millis(moment.as_millisecond()))
}

fn market(text: &str) -> Result<String, String> {
    if text == EVERYBODY_ELSE {
        return Ok(text.to_owned());
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // ITU-T E.164: up to 15 digits, none begins with 0.
        let fine = text.len() <= 15 && !text.starts_with('0');
        return fine.then(|| text.to_owned()).ok_or_else(|| {
            format!("`{text}` starts no phone number; write the country code first, at most 15 digits, without + or 00")
        });
    }
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return country(text).map(|country| country.to_string());
    }
    let length = text.chars().count();
    let fine = (3..=MARKET_CHARS_MAX).contains(&length)
        && text.starts_with(char::is_alphabetic)
        && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "`{text}` is not a market; write the start of a phone number (digits), a country (two capitals), * or the \
             name of a group (3 to {MARKET_CHARS_MAX} characters, the first a letter)"
        )
    })
}

fn is_group(market: &str) -> bool {
    market.len() > 2 && market.starts_with(char::is_alphabetic)
}

fn country(code: &str) -> Result<Country, String> {
    let country: Country = code.parse().map_err(|bad: crate::model::country::BadCountry| bad.to_string())?;
    if ASSIGNED.split_whitespace().any(|known| known == code) {
        Ok(country)
    } else {
        Err(format!("`{code}` is not the code of any country (ISO 3166-1)"))
    }
}

fn tier(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let minutes = text.parse().ok().filter(|minutes| digits && (0..=TIER_MINUTES_MAX).contains(minutes));
    minutes.ok_or_else(|| {
        format!("`{text}` is not a number of minutes; write digits alone, 0 to {TIER_MINUTES_MAX}, without separators")
    })
}

/// A decimal as whole millionths, without passing through a fraction.
fn micros(text: &str) -> Result<Micros, String> {
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative"));
    }
    let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(units) || !digits(decimals) {
        return Err(format!("`{text}` is not a decimal; write digits with a point, such as 0.0095"));
    }
    if decimals.len() > DECIMALS_MAX {
        return Err(format!("`{text}` has more than {DECIMALS_MAX} decimal places"));
    }
    let micros = units.parse::<i64>().ok().filter(|units| *units <= PRICE_UNITS_MAX).and_then(|units| {
        let decimals: i64 = format!("{decimals:0<DECIMALS_MAX$}").parse().ok()?;
        Some(units * MICROS_PER_UNIT + decimals)
    });
    micros
        .filter(|micros| *micros <= PRICE_UNITS_MAX * MICROS_PER_UNIT)
        .ok_or_else(|| format!("`{text}` is more than {PRICE_UNITS_MAX} a minute"))
}

fn one_currency(rows: &[Row], errors: &mut Errors<'_>) -> Option<Currency> {
    let mut said = rows.iter().filter_map(|row| Some((row.line, row.currency?)));
    let (first_line, currency) = said.next()?;
    for (line, other) in said.filter(|(_, other)| *other != currency) {
        errors.add(line, CURRENCY, format!("{other}, but line {first_line} says {currency}; a card has one currency"));
    }
    Some(currency)
}

/// Sorts rows into markets, editions and tiers.
fn markets(rows: &[Row], errors: &mut Errors<'_>) -> BTreeMap<String, Vec<Draft>> {
    let mut markets: BTreeMap<String, Vec<Draft>> = BTreeMap::new();
    for row in rows {
        // A row without one of these has been named already.
        let (Some(market), Some(from), Some(from_minutes)) = (&row.market, row.from, row.tier) else { continue };
        let tier = Tier { from_minutes, micros_per_minute: row.micros.unwrap_or(0) };
        let drafts = markets.entry(market.clone()).or_default();
        match drafts.iter_mut().find(|draft| draft.edition.from == from) {
            Some(draft) => add_tier(draft, row, tier, errors),
            None => {
                let draft = begin_edition(drafts, row, market, from, tier, rows, errors);
                drafts.push(draft);
            }
        }
    }
    for drafts in markets.values_mut() {
        drafts.sort_by_key(|draft| draft.edition.from);
    }
    markets
}

fn begin_edition(
    before: &[Draft],
    row: &Row,
    market: &str,
    from: Timestamp,
    tier: Tier,
    rows: &[Row],
    errors: &mut Errors<'_>,
) -> Draft {
    // Left out: as the group was last written further up.
    let countries = row.countries.clone().or_else(|| Some(before.last()?.edition.countries.clone()));
    if countries.is_none() && is_group(market) {
        errors.add(row.line, COUNTRIES, format!("`{market}` is a group: name its countries here, two capitals each"));
    }
    let countries = countries.unwrap_or_default();
    // A row of this market that could not be read may have been the one from 0.
    let unread =
        || rows.iter().any(|row| row.market.as_deref() == Some(market) && (row.from.is_none() || row.tier.is_none()));
    if tier.from_minutes != 0 && !unread() {
        errors.add(row.line, TIER, format!("the first row of `{market}` at this date must start at 0"));
    }
    Draft { line: row.line, edition: Edition { from, countries, tiers: vec![tier] }, lines: vec![row.line] }
}

fn add_tier(draft: &mut Draft, row: &Row, tier: Tier, errors: &mut Errors<'_>) {
    let tiers = &mut draft.edition.tiers;
    if let Some(at) = tiers.iter().position(|other| other.from_minutes == tier.from_minutes) {
        let reason = format!("the same market, date and tier as in line {}", draft.lines[at]);
        return errors.add(row.line, TIER, reason);
    }
    if let Some(last) = tiers.last().filter(|last| last.from_minutes.cmp(&tier.from_minutes).is_gt()) {
        let reason = format!("{} after {}: the tiers of a market must rise", tier.from_minutes, last.from_minutes);
        return errors.add(row.line, TIER, reason);
    }
    if row.countries.as_ref().is_some_and(|countries| !same(countries, &draft.edition.countries)) {
        let reason = format!("others than in line {}; leave it empty or repeat them", draft.line);
        return errors.add(row.line, COUNTRIES, reason);
    }
    tiers.push(tier);
    draft.lines.push(row.line);
}

fn same(a: &[Country], b: &[Country]) -> bool {
    a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
}

/// From the first date on there must be a price for whoever is in no other market.
fn everybody_has_a_price(rows: &[Row], errors: &mut Errors<'_>) {
    if rows.iter().any(|row| row.from.is_none() || row.market.is_none()) {
        return;
    }
    let Some((first, line)) = rows.iter().filter_map(|row| Some((row.from?, row.line))).min() else { return };
    let rest = rows.iter().filter(|row| row.market.as_deref() == Some(EVERYBODY_ELSE)).filter_map(|row| row.from).min();
    if rest.is_none_or(|rest| rest > first) {
        let reason =
            format!("no row for * counts at {first}, the date of this row; add one, so that every call has a price");
        errors.add(line, MARKET, reason);
    }
}

/// At no date may a country be in two groups.
fn nobody_has_two(markets: &BTreeMap<String, Vec<Draft>>, errors: &mut Errors<'_>) {
    let groups: Vec<_> = markets.iter().filter(|(name, _)| is_group(name)).collect();
    let dates: BTreeSet<_> = groups.iter().flat_map(|(_, drafts)| drafts.iter().map(|d| d.edition.from)).collect();
    let mut said = BTreeSet::new();
    for date in dates {
        let mut held: BTreeMap<Country, (&str, usize)> = BTreeMap::new();
        for (name, drafts) in &groups {
            let Some(draft) = drafts[..drafts.partition_point(|draft| draft.edition.from <= date)].last() else {
                continue;
            };
            for country in &draft.edition.countries {
                let Some((other, line)) = held.insert(*country, (name, draft.line)) else { continue };
                if said.insert((draft.line, line, *country)) {
                    let reason = format!("{country} is in `{other}` (line {line}) too; a country has one group");
                    errors.add(draft.line, COUNTRIES, reason);
                }
            }
        }
    }
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hex::encode(digest.as_ref())
}
