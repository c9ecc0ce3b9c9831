//! When a number is open: weekly hours and closed dates in the number's time zone, with its daylight saving time.
//!
//! One rule for every day of the year: a number is open while the clock on its wall shows a time inside a span and outside
//! every closure. An hour that daylight saving repeats therefore counts twice, and one that it skips never comes.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::model::settings::{NumberSettings, Unavailable, Weekday};
use crate::model::time::Timestamp;

mod normal;
mod span;
#[cfg(test)]
pub(super) mod tests;

pub use normal::{BadHours, normalise};
use span::Span;

/// Whether a number is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Open,
    /// Outside the weekly hours. `opens_at`: the next moment at which it is open, `None` when there is none.
    OutsideHours {
        opens_at: Option<Timestamp>,
    },
    /// Inside a closed date, whether or not the weekly hours are open.
    Unavailable {
        opens_at: Option<Timestamp>,
    },
}

/// Whether the number is open at `now`. Buttons do not matter. Hours whose time zone is unknown are closed hours.
pub fn opening(settings: &NumberSettings, now: Timestamp) -> Opening {
    let Some(calendar) = Calendar::of(settings) else { return Opening::OutsideHours { opens_at: None } };
    let wall = calendar.wall(now);
    if calendar.is_closed(wall) {
        Opening::Unavailable { opens_at: calendar.opens_at(now) }
    } else if calendar.is_within_hours(wall) {
        Opening::Open
    } else {
        Opening::OutsideHours { opens_at: calendar.opens_at(now) }
    }
}

/// Three-way merge of closed dates before a push: what WhatsApp has (`theirs`) beside what we last told it (`base`) was
/// entered elsewhere and stays; what we took out goes; dates that have passed at `now` are left out, since WhatsApp
/// refuses them. Sorted; what overlaps on one date becomes one closure, since WhatsApp refuses overlaps too.
///
/// Whoever pushes the result keeps it as ours as well as as the next base. With the result as base alone, the next merge
/// would take the dates entered elsewhere for dates that we took out.
pub fn merge_unavailable(
    base: &[Unavailable],
    ours: &[Unavailable],
    theirs: &[Unavailable],
    time_zone: Option<&str>,
    now: Timestamp,
) -> Vec<Unavailable> {
    let today = date(time_zone, now);
    let elsewhere = theirs.iter().filter(|entry| !base.contains(entry));
    united(ours.iter().chain(elsewhere).filter(|entry| entry.date >= today).cloned().collect())
}

/// The date in the number's zone, `YYYY-MM-DD`; UTC for a number without hours.
pub fn today(settings: &NumberSettings, now: Timestamp) -> String {
    date(settings.call_hours.as_ref().map(|hours| hours.time_zone.as_str()), now)
}

fn date(time_zone: Option<&str>, now: Timestamp) -> String {
    zone(time_zone).unwrap_or(TimeZone::UTC).to_datetime(instant(now)).date().to_string()
}

/// Sorted; spans of one date that overlap become one, for whoever is closed twice is closed.
pub fn united(mut dates: Vec<Unavailable>) -> Vec<Unavailable> {
    dates.sort();
    dates.dedup_by(|next, kept| {
        // `HH:MM` sorts as text.
        let overlaps = next.date == kept.date && next.from < kept.to;
        if overlaps {
            kept.to = std::mem::take(&mut kept.to).max(std::mem::take(&mut next.to));
        }
        overlaps
    });
    dates
}

/// Settings beside the time zone in which their times are meant.
struct Calendar<'a> {
    settings: &'a NumberSettings,
    zone: TimeZone,
}

impl<'a> Calendar<'a> {
    fn of(settings: &'a NumberSettings) -> Option<Self> {
        let zone = zone(settings.call_hours.as_ref().map(|hours| hours.time_zone.as_str()))?;
        Some(Self { settings, zone })
    }

    /// What the clock on the number's wall shows.
    fn wall(&self, now: Timestamp) -> DateTime {
        self.zone.to_datetime(instant(now))
    }

    fn is_within_hours(&self, wall: DateTime) -> bool {
        self.spans(wall.date()).any(|span| span.contains(wall.time()))
    }

    fn is_closed(&self, wall: DateTime) -> bool {
        self.closures(wall.date()).any(|span| span.contains(wall.time()))
    }

    fn spans(&self, date: Date) -> impl Iterator<Item = Span> {
        let day = Weekday::ALL[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())];
        let hours = self.settings.call_hours.as_ref();
        let always = hours.is_none().then_some(Span::DAY);
        let weekly = hours.and_then(|hours| hours.weekly.get(&day)).into_iter().flatten();
        always.into_iter().chain(weekly.filter_map(|(from, to)| Span::read(from, to)))
    }

    fn closures(&self, date: Date) -> impl Iterator<Item = Span> {
        let date = date.to_string();
        let today = self.settings.unavailable.iter().filter(move |entry| entry.date == date);
        today.filter_map(|entry| Span::read(&entry.from, &entry.to))
    }

    fn is_open(&self, at: jiff::Timestamp) -> bool {
        let wall = self.zone.to_datetime(at);
        self.is_within_hours(wall) && !self.is_closed(wall)
    }

    /// Looks at the moments at which the answer may change, day by day: where a span begins, where a closure ends, and
    /// where the wall clock jumps.
    fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        let now = instant(now);
        if self.is_open(now) {
            return Some(Timestamp::from_millis(now.as_millisecond()));
        }
        // Every week opens at least once. A closure spoils at most one week, and a jump of the clock swallows a span at
        // most once in a while; beyond that there is nothing to find.
        let weeks = self.settings.unavailable.len() + 3;
        let mut date = self.zone.to_datetime(now).date();
        for _ in 0..7 * weeks {
            let mut moments: Vec<jiff::Timestamp> = self.moments(date).collect();
            moments.extend(self.jumps(date));
            moments.sort_unstable();
            if let Some(open) = moments.into_iter().skip_while(|at| *at <= now).find(|at| self.is_open(*at)) {
                return Some(Timestamp::from_millis(open.as_millisecond()));
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn moments(&self, date: Date) -> impl Iterator<Item = jiff::Timestamp> {
        let starts = self.spans(date).map(|span| span.from);
        let ends = self.closures(date).map(|span| span.to);
        starts.chain(ends).filter_map(span::time).flat_map(move |time| {
            let wall = date.to_datetime(time);
            let offsets = match self.zone.to_ambiguous_timestamp(wall).offset() {
                AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
                AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
                // Skipped: the jump itself is looked at.
                AmbiguousOffset::Gap { .. } => [None, None],
            };
            offsets.into_iter().flatten().filter_map(move |offset| offset.to_timestamp(wall).ok())
        })
    }

    /// Where the wall clock jumps to some time of this date.
    fn jumps(&self, date: Date) -> Vec<jiff::Timestamp> {
        // A day before midnight UTC is before the date has begun anywhere; two days later it is over everywhere.
        let Ok(midnight) = TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())) else {
            return Vec::new();
        };
        let around = jiff::SignedDuration::from_hours(26);
        let (Ok(first), Ok(last)) = (midnight.checked_sub(around), midnight.checked_add(around * 2)) else {
            return Vec::new();
        };
        let jumps = self.zone.following(first).map(|jump| jump.timestamp()).take_while(|at| *at <= last);
        jumps.filter(|at| self.zone.to_datetime(*at).date() == date).collect()
    }
}

/// `None`: UTC. An unknown name is none.
fn zone(name: Option<&str>) -> Option<TimeZone> {
    let Some(name) = name else { return Some(TimeZone::UTC) };
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}

/// Moments that no calendar reaches count as the nearest one it does.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let outside = if at.as_millis().is_negative() { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(outside)
}
