//! Time as an argument: a wall-clock instant for records, a monotonic one for timers, and the one place that reads both.

use std::fmt;
use std::time::{Duration, Instant};

/// A wall-clock instant: milliseconds since 1970-01-01T00:00:00Z. On the wire RFC 3339 in UTC, in the database a BIGINT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// From Unix seconds, as WhatsApp writes them.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The start of its second, in which WhatsApp would have stamped it.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.0.div_euclid(1000) * 1000)
    }

    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time passed since `earlier`, 0 if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(de)?;
        let read = text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond()));
        read.map_err(|_| {
            let why =
                format!("`{text}` is no moment: write date, time and zone (RFC 3339), such as `2026-11-22T09:00:00Z`");
            serde::de::Error::custom(why)
        })
    }
}

/// One moment on both clocks. Timers use `at`, which never jumps; records use `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: Instant,
    pub wall: Timestamp,
}

impl Moment {
    /// The moment `time` later, on both clocks.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self { at: self.at + time, wall: self.wall.plus(time) }
    }
}

/// The clock. Only code that waits may hold it; code that thinks is told the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn now(self) -> Moment {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock before 1970 is a broken machine");
        Moment { at: Instant::now(), wall: Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)) }
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_and_reads_back() {
        let t = Timestamp::from_millis(1_795_000_000_123);
        let json = serde_json::to_string(&t).unwrap();
        assert_eq!(json, "\"2026-11-18T11:06:40.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), t);
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-18T13:06:40.123+02:00\"").unwrap(), t);
    }
}
