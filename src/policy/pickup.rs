//! The pickup guard: how near a number is to being restricted because calls go unanswered, and whether the pack holds its
//! outbound calls back before WhatsApp does.

use std::time::Duration;

use crate::model::reason::{BlockerCode, PickupStage};
use crate::model::time::Timestamp;

use super::admit::Blocker;
use super::pack::PickupRules;

/// Calls of one number within the guard's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Pickup {
    pub inbound: u64,
    pub inbound_missed: u64,
    pub outbound: u64,
    pub outbound_missed: u64,
}

/// Outbound calls of one number that ended within one hour: the guard counts, and forgets, by the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    pub begins_at: Timestamp,
    pub calls: u64,
    pub missed: u64,
}

/// Calls that ended in the hour of this moment or later count at `now`.
pub fn window_start(rules: &PickupRules, now: Timestamp) -> Timestamp {
    let window = i64::try_from(window(rules).as_millis()).expect("a window has 744 hours at most");
    Timestamp::from_millis(now.as_millis().saturating_sub(window))
}

/// The worse of both directions. A direction with fewer calls than the rules ask for says nothing.
pub fn stage(pickup: Pickup, rules: &PickupRules) -> PickupStage {
    if is_held(pickup.outbound, pickup.outbound_missed, rules) {
        return PickupStage::Held;
    }
    let inbound = of_direction(pickup.inbound, pickup.inbound_missed, rules);
    inbound.max(of_direction(pickup.outbound, pickup.outbound_missed, rules))
}

/// What the guard says against an outbound call, and against a permission request, since WhatsApp's own pause takes both
/// (Meta: Configure call settings, on enforcement). It clears by itself, as no new call of the number comes to nothing
/// meanwhile. `hours` may lie outside the window and in any order.
pub fn hold(hours: &[Hour], rules: &PickupRules, now: Timestamp) -> Option<Blocker> {
    const HOUR: Duration = Duration::from_secs(3600);
    let leaves_at = |hour: &Hour| hour.begins_at.plus(HOUR + window(rules));
    let mut counted: Vec<&Hour> = hours.iter().filter(|hour| now < leaves_at(hour)).collect();
    counted.sort_unstable_by_key(|hour| hour.begins_at);
    let sum = |part: fn(&Hour) -> u64| counted.iter().map(|hour| part(hour)).fold(0, u64::saturating_add);
    let (all, all_missed) = (sum(|hour| hour.calls), sum(|hour| hour.missed));
    let (mut calls, mut missed, mut clears_at) = (all, all_missed, None);
    for oldest in counted {
        if !is_held(calls, missed, rules) {
            break;
        }
        clears_at = Some(leaves_at(oldest));
        calls = calls.saturating_sub(oldest.calls);
        missed = missed.saturating_sub(oldest.missed);
    }
    let clears_at = Some(clears_at?);
    let message = format!(
        "Customers did not take {all_missed} of the {all} calls that this number placed in the last {} h. Before WhatsApp \
         pauses it, it places no calls and asks for no permission until enough of those calls are older than that.",
        rules.window_h
    );
    Some(Blocker { code: BlockerCode::PickupHold, message, clears_at })
}

fn is_held(calls: u64, missed: u64, rules: &PickupRules) -> bool {
    counts(calls, rules) && rules.hold_outbound_percent.is_some_and(|percent| reaches(calls, missed, percent))
}

fn of_direction(calls: u64, missed: u64, rules: &PickupRules) -> PickupStage {
    if !counts(calls, rules) {
        PickupStage::Fine
    } else if reaches(calls, missed, rules.critical_missed_percent) {
        PickupStage::Critical
    } else if reaches(calls, missed, rules.warning_missed_percent) {
        PickupStage::Warning
    } else if reaches(calls, missed, rules.notice_missed_percent) {
        PickupStage::Notice
    } else {
        PickupStage::Fine
    }
}

fn counts(calls: u64, rules: &PickupRules) -> bool {
    calls > 0 && calls >= u64::from(rules.calls_min)
}

/// Compared as products, so that 50 % is reached by exactly half and not by a rounded share.
fn reaches(calls: u64, missed: u64, percent: u32) -> bool {
    u128::from(missed) * 100 >= u128::from(percent) * u128::from(calls)
}

fn window(rules: &PickupRules) -> Duration {
    Duration::from_hours(rules.window_h.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PickupRules = PickupRules {
        window_h: 168,
        calls_min: 20,
        notice_missed_percent: 30,
        warning_missed_percent: 50,
        critical_missed_percent: 70,
        hold_outbound_percent: None,
    };
    const HOLDING: PickupRules = PickupRules { hold_outbound_percent: Some(85), ..RULES };
    /// Begins an hour.
    const NOW: Timestamp = Timestamp::from_secs(1_794_996_000);

    #[test]
    fn each_stage_begins_exactly_at_its_share() {
        use PickupStage::{Critical, Fine, Notice, Warning};
        for (calls, missed, want) in [
            (1000, 0, Fine),
            (1000, 299, Fine),
            (1000, 300, Notice),
            (1000, 499, Notice),
            (1000, 500, Warning),
            (1000, 699, Warning),
            (1000, 700, Critical),
            (1000, 1000, Critical),
            (19, 19, Fine),
            (20, 20, Critical),
            (20, 6, Notice),
            (21, 6, Fine),
            (u64::MAX, u64::MAX, Critical),
        ] {
            let inbound = Pickup { inbound: calls, inbound_missed: missed, ..Pickup::default() };
            let outbound = Pickup { outbound: calls, outbound_missed: missed, ..Pickup::default() };
            assert_eq!(stage(inbound, &RULES), want, "inbound {missed} of {calls}");
            assert_eq!(stage(outbound, &RULES), want, "outbound {missed} of {calls}");
        }
    }

    #[test]
    fn the_worse_direction_counts_and_the_two_are_never_added_up() {
        for (inbound_missed, outbound_missed, want) in [
            (0, 70, PickupStage::Critical),
            (70, 0, PickupStage::Critical),
            (30, 50, PickupStage::Warning),
            (29, 29, PickupStage::Fine),
        ] {
            let pickup = Pickup { inbound: 100, inbound_missed, outbound: 100, outbound_missed };
            assert_eq!(stage(pickup, &RULES), want, "{pickup:?}");
        }
        let few_each = Pickup { inbound: 19, inbound_missed: 19, outbound: 19, outbound_missed: 19 };
        assert_eq!(stage(few_each, &RULES), PickupStage::Fine);
    }

    #[test]
    fn no_calls_at_all_are_fine_even_when_none_are_asked_for() {
        let rules = PickupRules { calls_min: 0, notice_missed_percent: 0, ..RULES };
        assert_eq!(stage(Pickup::default(), &rules), PickupStage::Fine);
    }

    #[test]
    fn falling_pickup_triggers_the_stages_in_order_and_holding_back_comes_last() {
        use PickupStage::{Critical, Fine, Held, Notice, Warning};
        let fall = |rules: &PickupRules, of: fn(u64) -> Pickup| {
            let mut stages: Vec<_> = (0..=100).map(|missed| stage(of(missed), rules)).collect();
            stages.dedup();
            stages
        };
        let outbound = |missed| Pickup { outbound: 100, outbound_missed: missed, ..Pickup::default() };
        let inbound = |missed| Pickup { inbound: 100, inbound_missed: missed, ..Pickup::default() };
        assert_eq!(fall(&HOLDING, outbound), [Fine, Notice, Warning, Critical, Held]);
        assert_eq!(fall(&RULES, outbound), [Fine, Notice, Warning, Critical], "only where the pack says so");
        assert_eq!(fall(&HOLDING, inbound), [Fine, Notice, Warning, Critical], "customers' calls hold nothing back");
        assert_eq!((stage(outbound(84), &HOLDING), stage(outbound(85), &HOLDING)), (Critical, Held));
    }

    /// Hours of the past: how long ago each began, its calls, and how many of them were missed.
    #[track_caller]
    fn check_hold(rules: &PickupRules, hours: &[(i64, u64, u64)], clears_in_h: Option<i64>) {
        let ago = |h: i64| Timestamp::from_millis(NOW.as_millis() - h * 3_600_000);
        let hours: Vec<Hour> =
            hours.iter().map(|&(h, calls, missed)| Hour { begins_at: ago(h), calls, missed }).collect();
        let blocker = hold(&hours, rules, NOW);
        assert_eq!(blocker.as_ref().and_then(|blocker| blocker.clears_at), clears_in_h.map(|h| ago(-h)), "{hours:?}");
        assert_eq!(blocker.as_ref().map(|blocker| blocker.code), clears_in_h.map(|_| BlockerCode::PickupHold));
        // What is held is no longer held when it says so, and still is a moment before.
        if let Some(clears_at) = blocker.and_then(|blocker| blocker.clears_at) {
            assert!(hold(&hours, rules, Timestamp::from_millis(clears_at.as_millis() - 1)).is_some());
            assert_eq!(hold(&hours, rules, clears_at), None);
        }
    }

    #[test]
    fn a_number_is_held_until_enough_of_its_missed_calls_have_left_the_window() {
        check_hold(&HOLDING, &[], None);
        check_hold(&HOLDING, &[(1, 100, 84)], None);
        check_hold(&HOLDING, &[(1, 100, 85)], Some(168));
        check_hold(&RULES, &[(1, 100, 100)], None);
        // Too few calls say nothing, and neither do those that have left the window.
        check_hold(&HOLDING, &[(1, 19, 19)], None);
        check_hold(&HOLDING, &[(169, 100, 100), (1, 19, 19)], None);
        check_hold(&HOLDING, &[(168, 100, 100), (1, 19, 19)], Some(1));
        // The oldest hour goes first, and if it was the bad one that is enough.
        check_hold(&HOLDING, &[(2, 20, 10), (100, 80, 80)], Some(69));
        check_hold(&HOLDING, &[(100, 20, 10), (2, 80, 80)], Some(167));
        check_hold(&HOLDING, &[(100, 60, 60), (50, 30, 30), (2, 10, 5)], Some(119));
    }
}
