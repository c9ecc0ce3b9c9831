//! Is this customer's call let in?

use crate::model::reason::EndReason;
use crate::model::settings::NumberSettings;
use crate::model::time::Timestamp;

use super::hours::{Opening, opening};

/// Why a call is turned away before anybody rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What the call ends with.
    pub reason: EndReason,
    /// The next moment at which a call would be let in; `None` when time alone brings none.
    pub opens_at: Option<Timestamp>,
}

/// Decides whether a call may ring anybody: `None` lets it in. Allow Voice Calls off and closed dates are
/// `business_unavailable`, closed hours `outside_hours`. Hidden call buttons never block a call, and neither does the
/// wallet.
pub fn refuse(settings: &NumberSettings, now: Timestamp) -> Option<Closed> {
    if !settings.allow_voice_calls {
        return Some(Closed { reason: EndReason::BusinessUnavailable, opens_at: None });
    }
    match opening(settings, now) {
        Opening::Open => None,
        Opening::OutsideHours { opens_at } => Some(Closed { reason: EndReason::OutsideHours, opens_at }),
        Opening::Unavailable { opens_at } => Some(Closed { reason: EndReason::BusinessUnavailable, opens_at }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hours::tests::{at, closed, office};
    use super::*;

    /// Monday to Friday 09:00–18:00 in Tbilisi, closed on 2027-01-07, a Thursday.
    fn settings() -> NumberSettings {
        NumberSettings {
            call_hours: Some(office("Asia/Tbilisi", "09:00", "18:00")),
            unavailable: vec![closed("2027-01-07", "00:00", "24:00")],
            ..NumberSettings::default()
        }
    }

    #[track_caller]
    fn check(settings: &NumberSettings, now: &str, want: Option<(EndReason, Option<&str>)>) {
        let want = want.map(|(reason, opens_at)| Closed { reason, opens_at: opens_at.map(at) });
        assert_eq!(refuse(settings, at(now)), want, "{now}");
    }

    #[test]
    fn calls_ring_only_while_the_number_is_open_and_a_refusal_says_when_that_is() {
        let (hours, closed) = (EndReason::OutsideHours, EndReason::BusinessUnavailable);
        let check = |now, want| check(&settings(), now, want);
        check("2027-01-06T08:59:59.999+04:00", Some((hours, Some("2027-01-06T09:00:00+04:00"))));
        check("2027-01-06T09:00:00+04:00", None);
        check("2027-01-06T17:59:59.999+04:00", None);
        // The next day is closed.
        check("2027-01-06T18:00:00+04:00", Some((hours, Some("2027-01-08T09:00:00+04:00"))));
        check("2027-01-07T12:00:00+04:00", Some((closed, Some("2027-01-08T09:00:00+04:00"))));
        check("2027-01-07T20:00:00+04:00", Some((closed, Some("2027-01-08T09:00:00+04:00"))));
        check("2027-01-09T12:00:00+04:00", Some((hours, Some("2027-01-11T09:00:00+04:00"))));
    }

    #[test]
    fn a_number_that_allows_no_calls_is_unavailable_at_every_hour_and_no_hour_changes_that() {
        for now in ["2027-01-06T12:00:00+04:00", "2027-01-06T20:00:00+04:00", "2027-01-07T12:00:00+04:00"] {
            let off = NumberSettings { allow_voice_calls: false, ..settings() };
            check(&off, now, Some((EndReason::BusinessUnavailable, None)));
        }
    }

    #[test]
    fn hidden_buttons_and_callback_off_block_nothing() {
        let hidden = NumberSettings { display_call_buttons: false, callback_permission: false, ..settings() };
        check(&hidden, "2027-01-06T12:00:00+04:00", None);
        let opens_at = Some("2027-01-08T09:00:00+04:00");
        check(&hidden, "2027-01-06T20:00:00+04:00", Some((EndReason::OutsideHours, opens_at)));
    }

    #[test]
    fn without_hours_a_number_is_always_open() {
        check(&NumberSettings::default(), "2027-01-09T03:00:00Z", None);
    }
}
