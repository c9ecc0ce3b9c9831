//! Hours as people write them, checked and brought into their stored form.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::model::settings::{CallHours, Unavailable, Weekday};

use super::super::pack::HoursRules;
use super::span::{self, DAY, Span};

/// One value that cannot be used: the path of the field (`call_hours.weekly.monday[0]`) and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadHours {
    pub field: String,
    pub why: String,
}

/// Checks hours and closed dates and brings them into their stored form: spans that run over midnight are split, days
/// without spans left out, each day sorted, closed dates sorted. Every mistake at once.
///
/// # Errors
/// [`BadHours`], all of them: unknown time zone, no day at all, malformed or overlapping times, more spans than allowed,
/// dates that do not exist.
pub fn normalise(
    hours: Option<CallHours>,
    unavailable: Vec<Unavailable>,
    rules: &HoursRules,
) -> Result<(Option<CallHours>, Vec<Unavailable>), Vec<BadHours>> {
    let mut wrong = Wrong(Vec::new());
    let hours = hours.map(|hours| CallHours {
        time_zone: time_zone(hours.time_zone, &mut wrong),
        weekly: weekly(&hours.weekly, rules, &mut wrong),
    });
    let unavailable = closed_dates(&unavailable, rules, &mut wrong);
    if wrong.0.is_empty() { Ok((hours, unavailable)) } else { Err(wrong.0) }
}

/// The mistakes so far.
struct Wrong(Vec<BadHours>);

impl Wrong {
    fn note(&mut self, field: &str, why: impl Into<String>) {
        self.0.push(BadHours { field: field.to_owned(), why: why.into() });
    }
}

/// In the spelling of the time zone database, whatever the case it was written in.
fn time_zone(name: String, wrong: &mut Wrong) -> String {
    let known = super::zone(Some(&name)).and_then(|zone| zone.iana_name().map(str::to_owned));
    known.unwrap_or_else(|| {
        let shown: String = name.chars().take(64).collect();
        wrong.note(
            "call_hours.time_zone",
            format!("`{shown}` is no time zone: write a name of the IANA database, such as `Asia/Tbilisi`"),
        );
        name
    })
}

/// A span on its day, and the field it was written in.
struct Placed {
    span: Span,
    field: String,
}

fn weekly(
    written: &BTreeMap<Weekday, Vec<(String, String)>>,
    rules: &HoursRules,
    wrong: &mut Wrong,
) -> BTreeMap<Weekday, Vec<(String, String)>> {
    let mut days: BTreeMap<Weekday, Vec<Placed>> = BTreeMap::new();
    for (day, spans) in written {
        for (index, (from, to)) in spans.iter().enumerate() {
            let field = format!("call_hours.weekly.{day}[{index}]");
            let Some((today, tomorrow)) = read(&field, from, to, wrong) else { continue };
            days.entry(*day).or_default().push(Placed { span: today, field: field.clone() });
            if let Some(span) = tomorrow {
                days.entry(after(*day)).or_default().push(Placed { span, field });
            }
        }
    }
    if written.values().all(Vec::is_empty) {
        wrong.note("call_hours.weekly", "no day is open: write at least one span, or switch Allow Voice Calls off");
    }
    for (day, placed) in &mut days {
        placed.sort_by_key(|p| p.span);
        let field = format!("call_hours.weekly.{day}");
        if placed.len() > rules.spans_per_day_max {
            let spilt = placed.iter().find(|p| !p.field.starts_with(&field));
            let spilt = spilt.map_or_else(String::new, |p| format!(", one of them the end of {}", p.field));
            let (n, max) = (placed.len(), rules.spans_per_day_max);
            wrong.note(&field, format!("{n} spans on one day{spilt}; at most {max}"));
        }
        note_overlaps(placed, wrong);
    }
    let text = |p: &Placed| (span::text(p.span.from), span::text(p.span.to));
    days.iter().map(|(day, placed)| (*day, placed.iter().map(text).collect())).collect()
}

fn closed_dates(written: &[Unavailable], rules: &HoursRules, wrong: &mut Wrong) -> Vec<Unavailable> {
    let mut dates: BTreeMap<Date, Vec<Placed>> = BTreeMap::new();
    for (index, entry) in written.iter().enumerate() {
        let field = format!("unavailable[{index}]");
        let date = date(&entry.date);
        if date.is_none() {
            wrong.note(&format!("{field}.date"), "not a date of the calendar: write `YYYY-MM-DD`");
        }
        let spans = read(&field, &entry.from, &entry.to, wrong);
        let (Some(date), Some((today, tomorrow))) = (date, spans) else { continue };
        dates.entry(date).or_default().push(Placed { span: today, field: field.clone() });
        if let Some(span) = tomorrow {
            match date.tomorrow() {
                Ok(next) => dates.entry(next).or_default().push(Placed { span, field }),
                Err(_) => wrong.note(&format!("{field}.date"), "the calendar ends on this date: write an earlier one"),
            }
        }
    }
    for placed in dates.values_mut() {
        placed.sort_by_key(|p| p.span);
        note_overlaps(placed, wrong);
    }
    let count: usize = dates.values().map(Vec::len).sum();
    if count > rules.unavailable_max {
        let max = rules.unavailable_max;
        wrong.note("unavailable", format!("{count} entries (over midnight counts as two); at most {max}"));
    }
    let entry = |date: &Date, p: &Placed| Unavailable {
        date: date.to_string(),
        from: span::text(p.span.from),
        to: span::text(p.span.to),
    };
    dates.iter().flat_map(|(date, placed)| placed.iter().map(|p| entry(date, p))).collect()
}

/// What lies before midnight and what after.
fn read(field: &str, from: &str, to: &str, wrong: &mut Wrong) -> Option<(Span, Option<Span>)> {
    let mut part = |name: &str, text: &str| {
        let minutes = span::minutes(text);
        if minutes.is_none() {
            let shown: String = text.chars().take(16).collect();
            let why = format!("{name} `{shown}` is no time: write `HH:MM` from `00:00` to `24:00`");
            wrong.note(field, why);
        }
        minutes
    };
    let (from, to) = (part("from", from), part("to", to));
    let (from, to) = (from?, to?);
    if from == DAY {
        wrong.note(field, "from `24:00` begins nothing: write `00:00` of the next day");
        return None;
    }
    match from.cmp(&to) {
        Ordering::Less => Some((Span { from, to }, None)),
        Ordering::Equal => {
            wrong.note(field, "begins and ends at the same time: for a whole day write `00:00` to `24:00`");
            None
        }
        Ordering::Greater => Some((Span { from, to: DAY }, (to > 0).then_some(Span { from: 0, to }))),
    }
}

/// `placed` is sorted.
fn note_overlaps(placed: &[Placed], wrong: &mut Wrong) {
    let mut longest = placed.first();
    for next in placed.iter().skip(1) {
        let Some(before) = longest else { return };
        if next.span.from < before.span.to {
            let (from, to) = (span::text(before.span.from), span::text(before.span.to));
            let same = if next.span == before.span { "repeats" } else { "overlaps" };
            wrong.note(&next.field, format!("{same} {} ({from} to {to}): join the two", before.field));
        }
        if next.span.to > before.span.to {
            longest = Some(next);
        }
    }
}

fn after(day: Weekday) -> Weekday {
    let next = Weekday::ALL.iter().position(|d| *d == day).map_or(0, |at| at + 1);
    Weekday::ALL[next % Weekday::ALL.len()]
}

/// `YYYY-MM-DD` and nothing else, on the calendar.
fn date(text: &str) -> Option<Date> {
    let shaped =
        text.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
    if shaped { text.parse().ok() } else { None }
}
