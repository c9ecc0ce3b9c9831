//! Rolling windows: at most so many events within so many hours, counted back from now to the millisecond.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

/// At most `max` events in any `window_h` hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub max: u32,
    pub window_h: u32,
}

/// What is known of the events a [`Limit`] counts, at the moment of a decision. Counting would cost more with every call
/// ever made; one look-up of the event that has to age out tells the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Events that may still come true: calls being dialled. Each already takes a place.
    pub in_flight: u32,
    /// When the event of rank [`Limit::rank`] (1 = newest) happened; `None` when there are fewer.
    pub nth: Option<Timestamp>,
}

/// No room now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// When the oldest event that counts has aged out; `None` while only the end of a running attempt makes room.
    pub clears_at: Option<Timestamp>,
}

impl Limit {
    pub fn window(self) -> Duration {
        Duration::from_hours(self.window_h.into())
    }

    /// Which event, counted back from the newest (1), decides; `None` when what is in flight fills the limit alone.
    pub fn rank(self, in_flight: u32) -> Option<u32> {
        self.max.checked_sub(in_flight).filter(|rank| *rank > 0)
    }

    /// Whether one more event fits at `now`. An event counts while it is younger than the window; at exactly the window's
    /// age it no longer does.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub fn check(self, window: Window, now: Timestamp) -> Result<(), Exhausted> {
        if self.rank(window.in_flight).is_none() {
            return Err(Exhausted { clears_at: None });
        }
        match window.nth.map(|nth| nth.plus(self.window())) {
            Some(aged_out_at) if now < aged_out_at => Err(Exhausted { clears_at: Some(aged_out_at) }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;
    const T0_MS: i64 = 1_795_000_200_123;

    #[test]
    fn what_is_in_flight_takes_places_from_the_front() {
        let ten = Limit { max: 10, window_h: 24 };
        for (in_flight, want) in [(0, Some(10)), (1, Some(9)), (9, Some(1)), (10, None), (11, None), (u32::MAX, None)] {
            assert_eq!(ten.rank(in_flight), want, "{in_flight} in flight");
        }
    }

    #[test]
    fn an_event_counts_until_the_millisecond_at_which_it_is_as_old_as_the_window() {
        #[track_caller]
        fn check(window_h: u32, nth_age_ms: i64, want: Result<(), i64>) {
            let limit = Limit { max: 3, window_h };
            let nth = Timestamp::from_millis(T0_MS - nth_age_ms);
            let got = limit.check(Window { in_flight: 1, nth: Some(nth) }, Timestamp::from_millis(T0_MS));
            let want = want
                .map_err(|clears_in_ms| Exhausted { clears_at: Some(Timestamp::from_millis(T0_MS + clears_in_ms)) });
            assert_eq!(got, want, "{nth_age_ms} ms old, {window_h} h");
        }
        check(24, 0, Err(DAY_MS));
        check(24, 1, Err(DAY_MS - 1));
        check(24, DAY_MS - 1000, Err(1000));
        check(24, DAY_MS - 1, Err(1));
        check(24, DAY_MS, Ok(()));
        check(24, DAY_MS + 1, Ok(()));
        check(168, 7 * DAY_MS - 1, Err(1));
        check(168, 7 * DAY_MS, Ok(()));
        // A clock that was set back: what lies ahead counts as new.
        check(24, -5, Err(DAY_MS + 5));
    }

    #[test]
    fn there_is_room_while_there_are_fewer_events_than_places() {
        let ten = Limit { max: 10, window_h: 24 };
        for in_flight in [0, 1, 9] {
            assert_eq!(ten.check(Window { in_flight, nth: None }, Timestamp::from_millis(T0_MS)), Ok(()));
        }
    }

    #[test]
    fn running_attempts_that_fill_the_limit_alone_clear_at_no_known_time() {
        let one = Limit { max: 1, window_h: 24 };
        let long_ago = Some(Timestamp::from_millis(0));
        for nth in [None, long_ago] {
            let got = one.check(Window { in_flight: 1, nth }, Timestamp::from_millis(T0_MS));
            assert_eq!(got, Err(Exhausted { clears_at: None }));
        }
    }
}
