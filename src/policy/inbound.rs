//! Is this customer's call let in?

use crate::model::directory::Number;
use crate::model::reason::EndReason;
use crate::model::settings::NumberSettings;
use crate::model::time::Timestamp;

use super::admit::{Prerequisite, prerequisites};
use super::hours::{Opening, opening};
use super::pack::Rules;

/// Decides whether a call may ring anybody: `None` lets it in, else the reason it ends with. Allow Voice Calls off and
/// closed dates are `business_unavailable`, closed hours `outside_hours`. Hidden call buttons never block a call, and
/// neither does the wallet.
pub fn refuse(settings: &NumberSettings, now: Timestamp) -> Option<EndReason> {
    if !settings.allow_voice_calls {
        return Some(EndReason::BusinessUnavailable);
    }
    match opening(settings, now) {
        Opening::Open => None,
        Opening::OutsideHours { .. } => Some(EndReason::OutsideHours),
        Opening::Unavailable { .. } => Some(EndReason::BusinessUnavailable),
    }
}

/// What a number lacks to be called at all: its plan was taken away or includes no calls, or it is not on Cloud API any
/// more. Whoever calls it meanwhile is told `business_unavailable`, whatever the settings and WhatsApp say.
pub fn withheld(number: &Number, rules: &Rules) -> Vec<Prerequisite> {
    prerequisites(number, rules).into_iter().filter(|one| one.needed_inbound && !one.met).collect()
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

    #[test]
    fn calls_ring_only_while_the_number_is_open() {
        #[track_caller]
        fn check(now: &str, want: Option<EndReason>) {
            assert_eq!(refuse(&settings(), at(now)), want, "{now}");
        }
        check("2027-01-06T08:59:59.999+04:00", Some(EndReason::OutsideHours));
        check("2027-01-06T09:00:00+04:00", None);
        check("2027-01-06T17:59:59.999+04:00", None);
        check("2027-01-06T18:00:00+04:00", Some(EndReason::OutsideHours));
        check("2027-01-07T12:00:00+04:00", Some(EndReason::BusinessUnavailable));
        check("2027-01-07T20:00:00+04:00", Some(EndReason::BusinessUnavailable));
        check("2027-01-09T12:00:00+04:00", Some(EndReason::OutsideHours));
    }

    #[test]
    fn a_number_that_allows_no_calls_is_unavailable_at_every_hour() {
        for now in ["2027-01-06T12:00:00+04:00", "2027-01-06T20:00:00+04:00", "2027-01-07T12:00:00+04:00"] {
            let off = NumberSettings { allow_voice_calls: false, ..settings() };
            assert_eq!(refuse(&off, at(now)), Some(EndReason::BusinessUnavailable), "{now}");
        }
    }

    #[test]
    fn hidden_buttons_and_callback_off_block_nothing() {
        let hidden = NumberSettings { display_call_buttons: false, callback_permission: false, ..settings() };
        assert_eq!(refuse(&hidden, at("2027-01-06T12:00:00+04:00")), None);
        assert_eq!(refuse(&hidden, at("2027-01-06T20:00:00+04:00")), Some(EndReason::OutsideHours));
    }

    #[test]
    fn without_hours_a_number_is_always_open() {
        assert_eq!(refuse(&NumberSettings::default(), at("2027-01-09T03:00:00Z")), None);
    }
}
