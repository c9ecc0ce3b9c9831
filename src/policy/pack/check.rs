//! What a pack may not say although each of its values can be read.

use crate::model::reason::Role;

use super::super::limits::Limit;
use super::{Added, Rules};

/// Hours of a year; no window is longer.
const YEAR_H: u32 = 366 * 24;

/// Key and reason of everything that is out of range, and of values that contradict each other.
pub(super) fn contradictions(rules: &Rules) -> Vec<(String, String)> {
    let mut wrong = Wrong(Vec::new());
    prerequisites(rules, &mut wrong);
    countries(rules, &mut wrong);
    permission(rules, &mut wrong);
    limits(rules, &mut wrong);
    numbers(rules, &mut wrong);
    dispositions(rules, &mut wrong);
    roles(rules, &mut wrong);
    wrong.0
}

struct Wrong(Vec<(String, String)>);

impl Wrong {
    fn unless(&mut self, fine: bool, key: &str, why: impl Into<String>) {
        if !fine {
            self.0.push((key.to_owned(), why.into()));
        }
    }

    fn unless_hours(&mut self, hours: u32, key: &str) {
        self.unless((1..=YEAR_H).contains(&hours), key, format!("must be 1 to {YEAR_H}"));
    }
}

fn prerequisites(rules: &Rules, wrong: &mut Wrong) {
    let p = &rules.prerequisites;
    wrong.unless(p.messaging_limit_min >= 0, "prerequisites.messaging_limit_min", "must be 0 or more");
    wrong.unless(
        !(p.plans.is_empty() && p.add_ons.is_empty()),
        "prerequisites.plans",
        "must name a plan, or add_ons an add-on: else nobody may call",
    );
}

fn countries(rules: &Rules, wrong: &mut Wrong) {
    let c = &rules.countries;
    for (key, list) in [("countries.outbound_blocked", &c.outbound_blocked), ("countries.unreachable", &c.unreachable)]
    {
        for (at, country) in list.iter().enumerate() {
            let known = country.is_assigned();
            wrong.unless(known, key, format!("{country} is no country of ISO 3166-1; Britain, for one, is GB"));
            wrong.unless(!list[..at].contains(country), key, format!("{country} is written twice"));
        }
    }
}

fn permission(rules: &Rules, wrong: &mut Wrong) {
    let p = &rules.permission;
    wrong.unless_hours(p.temporary_h, "permission.temporary_h");
    wrong.unless_hours(p.request_life_h, "permission.request_life_h");
    wrong.unless_hours(p.service_window_h, "permission.service_window_h");
    wrong.unless(p.reconsider_after >= 1, "permission.reconsider_after", "must be 1 or more");
    wrong.unless(
        p.revoke_after > p.reconsider_after,
        "permission.revoke_after",
        "must be greater than permission.reconsider_after",
    );
}

fn limits(rules: &Rules, wrong: &mut Wrong) {
    let (requests, calls) = (&rules.requests, &rules.calls);
    let all: [(&str, Option<&Limit>); 5] = [
        ("requests.short", Some(&requests.short)),
        ("requests.long", Some(&requests.long)),
        ("calls.attempts_per_number", Some(&calls.attempts_per_number)),
        ("calls.connected_per_number", calls.connected_per_number.as_ref()),
        ("calls.connected_per_pair", calls.connected_per_pair.as_ref()),
    ];
    for (key, limit) in all.into_iter().filter_map(|(key, limit)| limit.map(|limit| (key, limit))) {
        wrong.unless((1..=1_000_000).contains(&limit.max), &format!("{key}.max"), "must be 1 to 1000000");
        wrong.unless_hours(limit.window_h, &format!("{key}.window_h"));
    }
    wrong.unless(
        requests.short.window_h < requests.long.window_h && requests.short.max <= requests.long.max,
        "requests",
        "short must have the shorter window and not the greater max",
    );
}

fn numbers(rules: &Rules, wrong: &mut Wrong) {
    wrong.unless(rules.routing.wrap_up_s <= 3600, "routing.wrap_up_s", "must be 0 to 3600");
    wrong.unless(rules.wallet.reserve_s <= 3600, "wallet.reserve_s", "must be 0 to 3600");
    wrong.unless_hours(rules.reconcile.every_h, "reconcile.every_h");
    wrong.unless((1..=100).contains(&rules.reconcile.per_second), "reconcile.per_second", "must be 1 to 100");
    let h = &rules.hours;
    wrong.unless(
        (1..=2).contains(&h.spans_per_day_max),
        "hours.spans_per_day_max",
        "must be 1 or 2, WhatsApp takes no more",
    );
    wrong.unless(h.unavailable_max <= 20, "hours.unavailable_max", "must be 0 to 20, WhatsApp takes no more");
    let k = &rules.pickup;
    wrong.unless((1..=31 * 24).contains(&k.window_h), "pickup.window_h", "must be 1 to 744");
    wrong.unless(k.calls_min >= 1, "pickup.calls_min", "must be 1 or more");
    wrong.unless(
        0 < k.notice_missed_percent
            && k.notice_missed_percent < k.warning_missed_percent
            && k.warning_missed_percent < k.critical_missed_percent
            && k.critical_missed_percent <= 100,
        "pickup",
        "the percentages of notice, warning and critical must rise, from 1 at least to 100 at most",
    );
    wrong.unless(
        k.hold_outbound_percent.is_none_or(|hold| k.critical_missed_percent < hold && hold <= 100),
        "pickup.hold_outbound_percent",
        "must be greater than pickup.critical_missed_percent and 100 at most, so that warnings come first; or \"never\"",
    );
}

fn dispositions(rules: &Rules, wrong: &mut Wrong) {
    let (key, names) = ("dispositions.names", &rules.dispositions.names);
    wrong.unless(names.len() <= 50, key, "must be 50 names at most: people choose from the list");
    for (at, name) in names.iter().enumerate() {
        let fine =
            (1..=60).contains(&name.chars().count()) && name.trim() == name && !name.chars().any(char::is_control);
        wrong.unless(fine, key, format!("{name:?} must be 1 to 60 characters, no space around them"));
        wrong.unless(!names[..at].contains(name), key, format!("{name:?} is written twice"));
    }
}

fn roles(rules: &Rules, wrong: &mut Wrong) {
    for role in Role::ALL {
        wrong.unless(
            rules.roles.contains_key(role),
            &format!("roles.{role}"),
            "missing; every role must say what it may",
        );
    }
    let s = &rules.switches;
    for (key, added) in [("switches.configure_calls", s.configure_calls), ("switches.all_calls", s.all_calls)] {
        let Added { calls: _, configure_calls, wallet, manage } = added;
        wrong.unless(
            ![configure_calls, wallet, manage].contains(&Some(false)),
            key,
            "a switch only adds: write true, or leave it out",
        );
    }
}
