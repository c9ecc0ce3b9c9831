//! The pickup guard: how near a number is to being restricted because calls go unanswered.

use crate::model::reason::PickupStage;

use super::pack::PickupRules;

/// Calls of one number within the guard's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Pickup {
    pub inbound: u64,
    pub inbound_missed: u64,
    pub outbound: u64,
    pub outbound_missed: u64,
}

/// The worse of both directions. A direction with fewer calls than the rules ask for says nothing.
pub fn stage(pickup: Pickup, rules: &PickupRules) -> PickupStage {
    let inbound = of_direction(pickup.inbound, pickup.inbound_missed, rules);
    inbound.max(of_direction(pickup.outbound, pickup.outbound_missed, rules))
}

fn of_direction(calls: u64, missed: u64, rules: &PickupRules) -> PickupStage {
    if calls == 0 || calls < u64::from(rules.calls_min) {
        return PickupStage::Fine;
    }
    // Compared as products, so that 50 % is reached by exactly half and not by a rounded share.
    let reaches = |percent: u32| u128::from(missed) * 100 >= u128::from(percent) * u128::from(calls);
    if reaches(rules.critical_missed_percent) {
        PickupStage::Critical
    } else if reaches(rules.warning_missed_percent) {
        PickupStage::Warning
    } else if reaches(rules.notice_missed_percent) {
        PickupStage::Notice
    } else {
        PickupStage::Fine
    }
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
    };

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
}
