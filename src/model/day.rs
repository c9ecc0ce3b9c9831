//! A day in UTC, as books are compared by. On the wire `2026-11-22`, in the database a BIGINT of days since 1970.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::time::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = Date, example = "2026-11-22")]
pub struct Day(i64);

/// Text that names no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day: write it as `2026-11-22`")]
pub struct BadDay(String);

const LENGTH: Duration = Duration::from_secs(24 * 3600);
const LENGTH_MS: i64 = 24 * 3600 * 1000;

impl Day {
    /// The day of a moment.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(LENGTH_MS))
    }

    /// From days since 1970, as the database keeps them.
    pub const fn from_number(days: i64) -> Self {
        Self(days)
    }

    /// Days since 1970.
    pub const fn number(self) -> i64 {
        self.0
    }

    pub const fn starts_at(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(LENGTH_MS))
    }

    /// The moment at which the next one begins.
    pub fn ends_at(self) -> Timestamp {
        self.starts_at().plus(LENGTH)
    }

    #[must_use]
    pub const fn minus(self, days: i64) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl FromStr for Day {
    type Err = BadDay;

    fn from_str(text: &str) -> Result<Self, BadDay> {
        let bad = || BadDay(text.to_owned());
        let date = jiff::civil::Date::strptime("%Y-%m-%d", text).map_err(|_| bad())?;
        // One spelling for each day.
        if text.len() != 10 {
            return Err(bad());
        }
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| bad())?;
        Ok(Self::of(Timestamp::from_millis(midnight.timestamp().as_millisecond())))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.starts_at().as_millis()) {
            Ok(start) => write!(f, "{}", start.strftime("%Y-%m-%d")),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        String::deserialize(de)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_back_and_holds_its_moments_and_no_others() {
        let day: Day = "2026-11-18".parse().unwrap();
        assert_eq!(day.to_string(), "2026-11-18");
        let (start, end) = (day.starts_at(), day.ends_at());
        assert_eq!(start.to_string(), "2026-11-18T00:00:00.000Z");
        assert_eq!((Day::of(start), Day::of(end)), (day, Day::from_number(day.number() + 1)));
        assert_eq!(Day::of(Timestamp::from_millis(end.as_millis() - 1)), day);
        assert_eq!(Day::of(Timestamp::from_millis(-1)).to_string(), "1969-12-31");
        assert_eq!(day.minus(18).to_string(), "2026-10-31");
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for bad in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-11-18T00:00:00Z",
            "18.11.2026",
            "26-11-18",
            "2026-1-08",
            " 2026-11-18",
        ] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }
}
