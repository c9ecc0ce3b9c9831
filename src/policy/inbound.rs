//! Is this customer's call let in?

use crate::model::directory::Number;
use crate::model::reason::EndReason;
use crate::model::settings::NumberSettings;
use crate::model::time::Timestamp;

use super::admit::{Prerequisite, prerequisites};
use super::hours::{Opening, opening};
use super::pack::Rules;

/// Why a call is turned away before anybody rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What the call ends with.
    pub reason: EndReason,
    /// The next moment at which a call would be let in; `None` when time alone brings none.
    pub opens_at: Option<Timestamp>,
}

/// Decides whether a call may ring anybody: `None` lets it in. Calling [`withheld`], Allow Voice Calls off and closed dates
/// are `business_unavailable`, closed hours `outside_hours`. Hidden call buttons never block a call, and neither does the
/// wallet.
pub fn refuse(number: &Number, settings: &NumberSettings, rules: &Rules, now: Timestamp) -> Option<Closed> {
    if !settings.allow_voice_calls || !withheld(number, rules).is_empty() {
        return Some(Closed { reason: EndReason::BusinessUnavailable, opens_at: None });
    }
    match opening(settings, now) {
        Opening::Open => None,
        Opening::OutsideHours { opens_at } => Some(Closed { reason: EndReason::OutsideHours, opens_at }),
        Opening::Unavailable { opens_at } => Some(Closed { reason: EndReason::BusinessUnavailable, opens_at }),
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
    use super::super::pack::Pack;
    use super::super::routing::tests::number;
    use super::*;
    use crate::model::directory::{Plan, Platform};

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
        check_number(&Number { plan: Plan::Advanced, ..number() }, settings, now, want);
    }

    #[track_caller]
    fn check_number(number: &Number, settings: &NumberSettings, now: &str, want: Option<Closed>) {
        let (pack, now) = (Pack::built_in(), at(now));
        assert_eq!(refuse(number, settings, pack.rules(now), now), want, "{now}");
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
    fn a_number_whose_plan_or_platform_includes_no_calls_is_unavailable_and_no_hour_changes_that() {
        let unavailable = Some(Closed { reason: EndReason::BusinessUnavailable, opens_at: None });
        let noon = "2027-01-06T12:00:00+04:00";
        check_number(&Number { plan: Plan::Starter, ..number() }, &settings(), noon, unavailable);
        let app = Number { plan: Plan::Advanced, platform: Platform::BusinessApp, ..number() };
        check_number(&app, &settings(), noon, unavailable);
        let new = Number { plan: Plan::Advanced, messaging_limit: 0, ..number() };
        check_number(&new, &settings(), noon, None);
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
