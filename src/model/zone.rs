//! A time zone of the IANA database, and what the clocks on its walls show.

use std::str::FromStr;

use jiff::tz::TimeZone;

use super::settings::Weekday;
use super::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

/// Text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: write a name of the IANA database, such as `Asia/Tbilisi`")]
pub struct BadZone(String);

/// Where a moment falls on a wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// `YYYY-MM-DD`.
    pub date: String,
    pub weekday: Weekday,
    /// 0 to 23.
    pub hour: u8,
}

impl Zone {
    pub const UTC: Self = Self(TimeZone::UTC);

    /// In the spelling of the database, whatever the case it was asked for in.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Moments that no calendar reaches count as the nearest one it does.
    pub fn local(&self, at: Timestamp) -> Local {
        let outside = if at.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let wall = self.0.to_datetime(jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(outside));
        Local {
            date: wall.date().to_string(),
            weekday: Weekday::ALL[usize::from(wall.weekday().to_monday_zero_offset().unsigned_abs())],
            hour: wall.hour().unsigned_abs(),
        }
    }
}

impl FromStr for Zone {
    type Err = BadZone;

    fn from_str(name: &str) -> Result<Self, BadZone> {
        let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
        zone.map(Self).ok_or_else(|| BadZone(name.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_falls_where_the_wall_clock_shows_it_also_when_clocks_change() {
        let check = |zone: &str, utc: &str, date: &str, weekday, hour| {
            let at: Timestamp = serde_json::from_value(utc.into()).unwrap();
            let want = Local { date: date.to_owned(), weekday, hour };
            assert_eq!(zone.parse::<Zone>().unwrap().local(at), want, "{zone} {utc}");
        };
        check("UTC", "2026-11-22T23:59:59Z", "2026-11-22", Weekday::Sunday, 23);
        check("Asia/Tbilisi", "2026-11-22T23:59:59Z", "2026-11-23", Weekday::Monday, 3);
        check("asia/kathmandu", "2026-11-22T18:15:00Z", "2026-11-23", Weekday::Monday, 0);
        check("America/New_York", "2026-11-01T05:30:00Z", "2026-11-01", Weekday::Sunday, 1);
        check("America/New_York", "2026-11-01T06:30:00Z", "2026-11-01", Weekday::Sunday, 1);
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        assert_eq!("asia/tbilisi".parse::<Zone>().unwrap().name(), "Asia/Tbilisi");
        for bad in ["", "Tbilisi", "+04:00", "Etc/Unknown", "../../etc/passwd"] {
            let error = bad.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains("is no time zone"), "{bad}: {error}");
        }
    }
}
