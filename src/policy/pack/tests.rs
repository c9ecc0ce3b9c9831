use super::*;
use crate::model::directory::{AddOn, Plan};

fn at(text: &str) -> Timestamp {
    serde_json::from_value(serde_json::Value::from(text)).unwrap()
}

/// The built-in pack with one piece of text replaced.
fn altered(old: &str, new: &str) -> String {
    assert_eq!(BUILT_IN.matches(old).count(), 1, "{old}");
    BUILT_IN.replace(old, new)
}

/// The built-in pack with an edition added.
fn later(edition: &str) -> String {
    format!("{BUILT_IN}\n[[edition]]\nfrom = \"2026-06-26T00:00:00Z\"\n{edition}\n")
}

#[track_caller]
fn refused(text: &str, want: &[&str]) {
    let errors = Pack::parse("p.toml", text).map(|pack| pack.name).unwrap_err();
    assert_eq!(errors.0, want);
    assert!(errors.0.iter().all(|line| !line.contains('\n')), "one line each");
}

#[test]
fn the_built_in_pack_says_what_whatsapp_and_the_plans_say() {
    let pack = Pack::built_in();
    assert_eq!(pack.name, "whatsapp");
    let rules = pack.rules(at("2026-11-22T00:00:00Z"));
    assert_eq!(rules.prerequisites.messaging_limit_min, 2_000);
    assert_eq!(rules.prerequisites.plans, [Plan::Advanced, Plan::SalesCrm]);
    assert_eq!(rules.prerequisites.add_ons, [AddOn::SalesCrm]);
    assert_eq!(rules.routing.owner_plans, [Plan::SalesCrm]);
    assert_eq!(rules.routing.owner_add_ons, [AddOn::SalesCrm]);
    let list = |list: &[Country]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(list(&rules.countries.outbound_blocked), "US CA TR EG VN NG");
    assert_eq!(list(&rules.countries.unreachable), "CU IR KP SY");
    let p = &rules.permission;
    assert_eq!((p.temporary_h, p.request_life_h, p.service_window_h), (168, 168, 24));
    assert_eq!((p.reconsider_after, p.revoke_after, p.renews_on_connected_call), (2, 4, true));
    assert_eq!(rules.requests.short, Limit { max: 1, window_h: 24 });
    assert_eq!(rules.requests.long, Limit { max: 2, window_h: 168 });
    assert_eq!(rules.calls.attempts_per_number, Limit { max: 10_000, window_h: 24 });
    assert_eq!(rules.calls.connected_per_number, Some(Limit { max: 100, window_h: 24 }));
    assert_eq!(rules.calls.connected_per_pair, None);
    assert_eq!((rules.hours.spans_per_day_max, rules.hours.unavailable_max), (2, 20));
    assert!(rules.reconcile.per_second < 5, "Meta answers five questions a second");
    assert_eq!(rules.roles.len(), Role::ALL.len());
}

#[test]
fn a_decision_follows_the_edition_in_force_at_its_moment() {
    let pack = Pack::built_in();
    for (now, max) in [
        ("1999-01-01T00:00:00Z", 5),
        ("2025-07-01T00:00:00Z", 5),
        ("2025-10-12T23:59:59.999Z", 5),
        ("2025-10-13T00:00:00Z", 10),
        ("2025-12-18T23:59:59.999Z", 10),
        ("2025-12-19T00:00:00Z", 100),
        ("2099-01-01T00:00:00Z", 100),
    ] {
        let rules = pack.rules(at(now));
        assert_eq!(rules.calls.connected_per_number, Some(Limit { max, window_h: 24 }), "{now}");
        assert_eq!(rules.calls.attempts_per_number.max, 10_000, "{now}: what an edition leaves out stays");
    }
    assert_eq!(pack.editions().len(), 3);
}

#[test]
fn taking_a_country_off_the_list_is_one_line_and_leaves_the_past_as_it_was() {
    let text = later("countries.outbound_blocked = [\"US\", \"CA\", \"EG\", \"VN\", \"NG\"]");
    let pack = Pack::parse("p.toml", &text).unwrap();
    let turkey = Country::parse("TR").unwrap();
    for (now, blocked) in [("2026-06-25T23:59:59.999Z", true), ("2026-06-26T00:00:00Z", false)] {
        let countries = &pack.rules(at(now)).countries;
        assert_eq!(countries.outbound_blocked.contains(&turkey), blocked, "{now}");
        assert_eq!(countries.unreachable.len(), 4, "{now}: the other list stays");
    }
}

#[test]
fn a_limit_is_lifted_and_put_elsewhere_by_an_edition() {
    let text = later(
        "[edition.calls]\nconnected_per_number = \"unlimited\"\nconnected_per_pair = { max = 100, window_h = 24 }",
    );
    let pack = Pack::parse("p.toml", &text).unwrap();
    let calls = &pack.rules(at("2026-06-26T00:00:00Z")).calls;
    assert_eq!(calls.connected_per_number, None);
    assert_eq!(calls.connected_per_pair, Some(Limit { max: 100, window_h: 24 }));
}

#[test]
fn holding_back_is_switched_on_and_off_by_an_edition_and_off_where_nobody_says_so() {
    let silent = Pack::parse("p.toml", &altered("hold_outbound_percent = \"never\"\n", "")).unwrap();
    let hold = |pack: &Pack| pack.rules(at("2026-07-01T00:00:00Z")).pickup.hold_outbound_percent;
    assert_eq!((hold(&silent), hold(&Pack::built_in())), (None, None));
    let on = later("pickup.hold_outbound_percent = 85\n");
    assert_eq!(hold(&Pack::parse("p.toml", &on).unwrap()), Some(85));
    let off = "[[edition]]\nfrom = \"2026-06-27T00:00:00Z\"\npickup.hold_outbound_percent = \"never\"\n";
    assert_eq!(hold(&Pack::parse("p.toml", &format!("{on}\n{off}")).unwrap()), None);
    let written = ["often", "-1"].map(|word| later(&format!("pickup.hold_outbound_percent = \"{word}\"\n")));
    for text in written {
        refused(
            &text,
            &["p.toml: edition 4: pickup.hold_outbound_percent: must be a percentage such as 85, or \"never\""],
        );
    }
}

#[test]
fn an_edition_may_begin_at_a_date_of_tomls_own_or_in_another_zone() {
    for from in ["2026-06-26T00:00:00Z", "\"2026-06-26T02:00:00+02:00\"", "2026-06-26 03:00:00+03:00"] {
        let text = format!("{BUILT_IN}\n[[edition]]\nfrom = {from}\nwallet.reserve_s = 30\n");
        let pack = Pack::parse("p.toml", &text).unwrap();
        assert_eq!(pack.editions().last().unwrap().from, at("2026-06-26T00:00:00Z"), "{from}");
    }
}

#[test]
fn malformed_toml_is_refused_with_its_line() {
    refused("name = \"x\"\n\n[[edition]\n", &["p.toml:3: unclosed array table, expected `]`"]);
    refused("name = \"a\"\nname = \"b\"\n", &["p.toml:2: duplicate key"]);
}

#[test]
fn what_is_missing_or_unknown_at_the_top_is_said() {
    refused(
        "",
        &[
            "p.toml: name: missing; name the pack, call records show it",
            "p.toml: edition: missing; write at least one [[edition]]",
        ],
    );
    refused(
        // The name becomes part of an address.
        "name = \"../a b\"\nedtion = 1\nedition = []\n",
        &[
            "p.toml: name: must be 1 to 48 letters, digits, `_`, `-` or `.`",
            "p.toml: edition: missing; write at least one [[edition]]",
            "p.toml: edtion: unknown key; there are name and [[edition]]",
        ],
    );
    refused(
        "name = \"x\"\n[edition]\nfrom = 1\n",
        &["p.toml: edition: write [[edition]] with two brackets, there may be several"],
    );
    refused("name = \"x\"\nedition = [1]\n", &["p.toml: edition 1: edition: must be a table: write [[edition]]"]);
}

#[test]
fn a_first_edition_that_leaves_something_out_is_refused_section_by_section() {
    let errors = Pack::parse("p.toml", "name = \"x\"\n[[edition]]\nfrom = 2026-01-01T00:00:00Z\n").unwrap_err();
    assert_eq!(errors.0.len(), 12, "{errors}");
    assert_eq!(errors.0[0], "p.toml: edition 1: prerequisites: missing; the first edition must say everything");
    refused(
        &altered("reserve_s = 60\n", ""),
        &["p.toml: edition 1: wallet.reserve_s: missing; the first edition must say everything"],
    );
}

#[test]
fn mistakes_are_named_by_edition_and_key_with_a_reason() {
    #[track_caller]
    fn check(edition: &str, want: &str) {
        refused(&later(edition), &[&format!("p.toml: edition 4: {want}")]);
    }
    check("color = 1", "color: unknown key");
    check(
        "calls.atempts = { max = 1, window_h = 1 }",
        "calls.atempts: unknown key; there are `attempts_per_number`, `connected_per_number`, `connected_per_pair`",
    );
    check(
        "calls.attempts_per_number = { max = 1, window_h = 1, per = \"day\" }",
        "calls.attempts_per_number.per: unknown key; there are `max` or `window_h`",
    );
    check(
        "calls.connected_per_number = { max = 1 }",
        "calls.connected_per_number.window_h: missing; a limit is written whole, with max and window_h",
    );
    check(
        "calls.connected_per_number = \"none\"",
        "calls.connected_per_number: invalid value: string \"none\", expected a limit such as { max = 100, window_h = 24 }, \
         or \"unlimited\"",
    );
    check("calls = 5", "calls: invalid type: integer `5`; must be a table");
    check(
        "permission.temporary_h = \"a week\"",
        "permission.temporary_h: invalid type: string \"a week\"; must be a whole number, 0 or more",
    );
    check(
        "prerequisites.messaging_limit_min = \"many\"",
        "prerequisites.messaging_limit_min: invalid type: string \"many\"; must be a whole number",
    );
    check(
        "permission.temporary_h = -1",
        "permission.temporary_h: invalid value: integer `-1`; must be a whole number, 0 or more",
    );
    check(
        "permission.renews_on_connected_call = 1",
        "permission.renews_on_connected_call: invalid type: integer `1`; must be true or false",
    );
    check(
        "countries.unreachable = \"CU\"",
        "countries.unreachable: invalid type: string \"CU\"; must be a list in brackets",
    );
    check(
        "countries.unreachable = [\"Cuba\"]",
        "countries.unreachable: `Cuba` is not a country: write the two capital letters of ISO 3166-1, such as `GE`",
    );
    check(
        "countries.outbound_blocked = [\"UK\"]",
        "countries.outbound_blocked: UK is no country of ISO 3166-1; Britain, for one, is GB",
    );
    check("countries.unreachable = [\"CU\", \"CU\"]", "countries.unreachable: CU is written twice");
    check(
        "prerequisites.plans = [\"gold\"]",
        "prerequisites.plans: unknown word `gold`, expected one of `starter`, `growth`, `advanced`, `sales_crm`",
    );
    check(
        "routing.owner_plans = [\"crm\"]",
        "routing.owner_plans: unknown word `crm`, expected one of `starter`, `growth`, `advanced`, `sales_crm`",
    );
    check("routing.owner_add_ons = [\"crm\"]", "routing.owner_add_ons: unknown word `crm`, expected `sales_crm`");
    check("routing.owners = []", "routing.owners: unknown key; there are `owner_plans`, `owner_add_ons`, `wrap_up_s`");
    check(
        "roles.boss = { calls = \"all\", configure_calls = true, wallet = true }",
        "roles: unknown word `boss`, expected one of `owner`, `sales_lead`, `admin`, `teammate`",
    );
    check(
        "roles.owner.calls = \"some\"",
        "roles.owner.calls: unknown word `some`, expected one of `own`, `team`, `all`",
    );
    check("switches.new = { wallet = true }", "switches.new: unknown key; there are `configure_calls` or `all_calls`");
}

#[test]
fn numbers_that_are_out_of_range_or_contradict_each_other_are_refused() {
    #[track_caller]
    fn check(edition: &str, want: &str) {
        refused(&later(edition), &[&format!("p.toml: edition 4: {want}")]);
    }
    for key in ["temporary_h", "request_life_h", "service_window_h"] {
        for hours in [0, 8785] {
            check(&format!("permission.{key} = {hours}"), &format!("permission.{key}: must be 1 to 8784"));
        }
    }
    check("permission.revoke_after = 2", "permission.revoke_after: must be greater than permission.reconsider_after");
    check("permission.reconsider_after = 0", "permission.reconsider_after: must be 1 or more");
    check(
        "requests.short = { max = 3, window_h = 24 }",
        "requests: short must have the shorter window and not the greater max",
    );
    check(
        "requests.short = { max = 1, window_h = 168 }",
        "requests: short must have the shorter window and not the greater max",
    );
    for (key, max) in [("attempts_per_number", 0), ("connected_per_number", 1_000_001), ("connected_per_pair", 0)] {
        check(
            &format!("calls.{key} = {{ max = {max}, window_h = 24 }}"),
            &format!("calls.{key}.max: must be 1 to 1000000"),
        );
    }
    check(
        "calls.attempts_per_number = { max = 1, window_h = 0 }",
        "calls.attempts_per_number.window_h: must be 1 to 8784",
    );
    check("wallet.reserve_s = 3601", "wallet.reserve_s: must be 0 to 3600");
    check("routing.wrap_up_s = 3601", "routing.wrap_up_s: must be 0 to 3600");
    check("reconcile.every_h = 0", "reconcile.every_h: must be 1 to 8784");
    check("reconcile.per_second = 0", "reconcile.per_second: must be 1 to 100");
    for spans in [0, 3] {
        check(
            &format!("hours.spans_per_day_max = {spans}"),
            "hours.spans_per_day_max: must be 1 or 2, WhatsApp takes no more",
        );
    }
    check("hours.unavailable_max = 21", "hours.unavailable_max: must be 0 to 20, WhatsApp takes no more");
    for pickup in [
        "notice_missed_percent = 0",
        "notice_missed_percent = 50",
        "warning_missed_percent = 70",
        "critical_missed_percent = 101",
    ] {
        check(
            &format!("pickup.{pickup}"),
            "pickup: the percentages of notice, warning and critical must rise, from 1 at least to 100 at most",
        );
    }
    for hold in [0, 70, 101] {
        check(
            &format!("pickup.hold_outbound_percent = {hold}"),
            "pickup.hold_outbound_percent: must be greater than pickup.critical_missed_percent and 100 at most, so that \
             warnings come first; or \"never\"",
        );
    }
    check("pickup.calls_min = 0", "pickup.calls_min: must be 1 or more");
    check("pickup.window_h = 745", "pickup.window_h: must be 1 to 744");
    for alone in ["prerequisites.plans = []", "prerequisites.add_ons = []"] {
        assert!(Pack::parse("p.toml", &later(alone)).is_ok(), "{alone}");
    }
    check("prerequisites.messaging_limit_min = -1", "prerequisites.messaging_limit_min: must be 0 or more");
    check(
        "prerequisites = { plans = [], add_ons = [] }",
        "prerequisites.plans: must name a plan, or add_ons an add-on: else nobody may call",
    );
    check("switches.all_calls.wallet = false", "switches.all_calls: a switch only adds: write true, or leave it out");
}

#[test]
fn a_missing_role_is_refused() {
    let text = altered("teammate = { calls = \"own\", configure_calls = false, wallet = false, manage = false }\n", "");
    refused(&text, &["p.toml: edition 1: roles.teammate: missing; every role must say what it may"]);
}

#[test]
fn editions_must_be_dated_and_in_order() {
    let first = "2025-07-01T00:00:00Z";
    for (old, new, want) in [
        ("2025-10-13T00:00:00Z", first, "edition 2: from: must be later than the edition before"),
        ("2025-12-19T00:00:00Z", "2025-10-12T00:00:00Z", "edition 3: from: must be later than the edition before"),
        (
            first,
            "soon",
            "edition 1: from: `soon` is no date with time and zone; write the moment it begins, such as \
             \"2026-06-26T00:00:00Z\"",
        ),
        (
            first,
            "2025-07-01",
            "edition 1: from: `2025-07-01` is no date with time and zone; write the moment it begins, such as \
             \"2026-06-26T00:00:00Z\"",
        ),
    ] {
        refused(&altered(old, new), &[&format!("p.toml: {want}")]);
    }
    refused(
        &format!("{BUILT_IN}\n[[edition]]\nwallet.reserve_s = 30\n"),
        &["p.toml: edition 4: from: missing; write the moment it begins, such as \"2026-06-26T00:00:00Z\""],
    );
}

#[test]
fn each_mistake_is_said_once_in_the_edition_that_made_it() {
    let text = altered("reserve_s = 60", "reserve_s = 9999").replace("max = 10,", "max = 0,");
    refused(
        &text,
        &[
            "p.toml: edition 1: wallet.reserve_s: must be 0 to 3600",
            "p.toml: edition 2: calls.connected_per_number.max: must be 1 to 1000000",
        ],
    );
    let text = altered("reserve_s = 60", "reserve = 60").replace("max = 10,", "maxx = 10,");
    let errors = Pack::parse("p.toml", &text).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "p.toml: edition 1: wallet.reserve: unknown key; there are `reserve_s`\n\
         p.toml: edition 2: calls.connected_per_number.maxx: unknown key; there are `max` or `window_h`"
    );
}

#[test]
fn an_edition_never_mixes_half_a_limit_with_half_of_the_one_before() {
    for half in ["{ max = 1 }", "{ window_h = 1 }"] {
        assert!(Pack::parse("p.toml", &later(&format!("calls.attempts_per_number = {half}"))).is_err(), "{half}");
    }
}

#[test]
fn what_changes_when_is_told_for_people() {
    let told = |pack: &Pack| pack.changes().iter().map(ToString::to_string).collect::<Vec<_>>();
    let known = [
        "2025-10-13T00:00:00.000Z calls.connected_per_number: 5 in 24 h -> 10 in 24 h",
        "2025-12-19T00:00:00.000Z calls.connected_per_number: 10 in 24 h -> 100 in 24 h",
    ];
    assert_eq!(told(&Pack::built_in()), known);
    let text = later(
        "countries.outbound_blocked = [\"US\", \"CA\"]\ncountries.unreachable = []\n\
         calls.connected_per_number = \"unlimited\"\npermission.renews_on_connected_call = false\n\
         switches.all_calls = { wallet = true }\nwallet.reserve_s = 60\n",
    );
    let pack = Pack::parse("p.toml", &text).unwrap();
    assert_eq!(
        told(&pack)[2..],
        [
            "2026-06-26T00:00:00.000Z calls.connected_per_number: 100 in 24 h -> unlimited",
            "2026-06-26T00:00:00.000Z countries.outbound_blocked: US, CA, TR, EG, VN, NG -> US, CA",
            "2026-06-26T00:00:00.000Z countries.unreachable: CU, IR, KP, SY -> none",
            "2026-06-26T00:00:00.000Z permission.renews_on_connected_call: true -> false",
            "2026-06-26T00:00:00.000Z switches.all_calls.wallet: not set -> true",
        ]
    );
}

#[test]
fn rules_read_back_as_they_were_written() {
    let pack = Pack::built_in();
    for rules in pack.editions() {
        let text = toml::to_string(rules).unwrap();
        assert_eq!(&toml::from_str::<Rules>(&text).unwrap(), rules);
    }
}

#[test]
fn the_page_says_what_changes_when_and_what_is_in_force() {
    let page = Pack::built_in().page(Timestamp::from_secs(1_762_000_000));
    let first = page.find("## From 2025-07-01T00:00:00.000Z\n").unwrap();
    let second = page.find("## From 2025-10-13T00:00:00.000Z (in force)\n").unwrap();
    assert!(page.starts_with("# Policy pack `whatsapp`\n"), "{page}");
    for line in [
        "- calls.connected_per_number: 5 in 24 h\n",
        "- countries.outbound_blocked: US, CA, TR, EG, VN, NG\n",
        "- roles.sales_lead.calls: team\n",
        "- permission.renews_on_connected_call: true\n",
    ] {
        assert!(page[first..second].contains(line), "{line}{page}");
    }
    let rest = "\n- calls.connected_per_number: 5 in 24 h → 10 in 24 h\n\n## From 2025-12-19T00:00:00.000Z\n\n\
                - calls.connected_per_number: 10 in 24 h → 100 in 24 h\n";
    assert!(page[second..].ends_with(rest), "{page}");
}

#[test]
fn an_agent_writes_up_a_call_for_as_long_as_the_pack_says() {
    let ended = Timestamp::from_secs(1_795_000_000);
    let rules = |wrap_up_s| RoutingRules { wrap_up_s, ..Pack::built_in().rules(ended).routing.clone() };
    for (wrap_up_s, last_call, ms, want) in [
        (0, Some(ended), 0, false),
        (30, None, 0, false),
        (30, Some(ended), 0, true),
        (30, Some(ended), 29_999, true),
        (30, Some(ended), 30_000, false),
    ] {
        let now = Timestamp::from_millis(ended.as_millis() + ms);
        assert_eq!(rules(wrap_up_s).is_wrap_up(last_call, now), want, "{wrap_up_s} s, {ms} ms after {last_call:?}");
    }
}
