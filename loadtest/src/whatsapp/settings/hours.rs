//! When a number is open, as the server sees it.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::check::Switch;

pub(super) const DAYS: [Day; 7] =
    [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday, Day::Sunday];

/// The last minute that can be written; as an end it means the end of the day.
const LAST_MINUTE: u16 = 23 * 60 + 59;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallHours {
    pub(super) status: Switch,
    pub(super) timezone_id: Option<String>,
    pub(super) weekly_operating_hours: Option<Vec<Opening>>,
    pub(super) holiday_schedule: Option<Vec<Holiday>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    pub(super) day_of_week: Day,
    pub(super) open_time: String,
    pub(super) close_time: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holiday {
    pub(super) date: String,
    pub(super) start_time: String,
    pub(super) end_time: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Minutes of a day, the end not included.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: u16,
    pub(super) to: u16,
}

impl Span {
    pub(super) fn parse(from: &str, to: &str) -> Option<Self> {
        let (from, to) = (minute(from)?, minute(to)?);
        Some(Self { from, to: if to == LAST_MINUTE { to + 1 } else { to } })
    }

    fn holds(self, minute: u16) -> bool {
        (self.from..self.to).contains(&minute)
    }
}

impl CallHours {
    /// Whether customers may call at `now` (Unix seconds). Hours that are switched off mean always.
    pub(super) fn are_open(&self, now: u64) -> bool {
        if self.status == Switch::Disabled {
            return true;
        }
        let zone = self.timezone_id.as_deref().and_then(|id| TimeZone::get(id).ok()).unwrap_or(TimeZone::UTC);
        let local = local(now, &zone);
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let (date, day) = (local.date().to_string(), day_of(local.weekday()));
        let holds = |from: &str, to: &str| Span::parse(from, to).is_some_and(|span| span.holds(minute));
        let closed = self
            .holiday_schedule
            .iter()
            .flatten()
            .any(|holiday| holiday.date == date && holds(&holiday.start_time, &holiday.end_time));
        let open = self
            .weekly_operating_hours
            .iter()
            .flatten()
            .any(|entry| entry.day_of_week == day && holds(&entry.open_time, &entry.close_time));
        open && !closed
    }
}

/// The wall clock of a zone.
pub(super) fn local(now: u64, zone: &TimeZone) -> DateTime {
    let seconds = i64::try_from(now).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    zone.to_datetime(moment)
}

fn day_of(day: Weekday) -> Day {
    DAYS[usize::from(day.to_monday_zero_offset().unsigned_abs())]
}

/// `HHMM`, four digits.
fn minute(text: &str) -> Option<u16> {
    if text.len() != 4 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (text[..2].parse().ok()?, text[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
