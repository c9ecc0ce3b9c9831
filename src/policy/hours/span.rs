//! A part of a day, in minutes.

use jiff::civil::Time;

/// Minutes in a day.
pub(super) const DAY: u16 = 24 * 60;

/// `[from, to)` in minutes after midnight; `to` is at most 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub from: u16,
    pub to: u16,
}

impl Span {
    pub(super) const DAY: Self = Self { from: 0, to: DAY };

    /// As stored: well formed. One that ends before it begins contains nothing.
    pub(super) fn read(from: &str, to: &str) -> Option<Self> {
        Some(Self { from: minutes(from)?, to: minutes(to)? })
    }

    pub(super) fn contains(self, time: Time) -> bool {
        // Hours and minutes of the clock are never negative.
        let minute = u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
        (self.from..self.to).contains(&minute)
    }
}

/// `HH:MM`, from `00:00` to `24:00`.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let digit = |at: usize| char::from(text.as_bytes()[at]).to_digit(10).and_then(|d| u16::try_from(d).ok());
    if text.len() != 5 || text.as_bytes()[2] != b':' {
        return None;
    }
    let (hour, minute) = (digit(0)? * 10 + digit(1)?, digit(3)? * 10 + digit(4)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

/// The other way round.
pub(super) fn text(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// As a time of day; 24:00 is none, but the next day's midnight.
pub(super) fn time(minutes: u16) -> Option<Time> {
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    Time::new(hour, minute, 0, 0).ok()
}
