use super::*;
use crate::model::settings::CallHours;
use crate::policy::pack::HoursRules;

const RULES: HoursRules = HoursRules { spans_per_day_max: 2, unavailable_max: 20 };

pub(in crate::policy) fn at(text: &str) -> Timestamp {
    serde_json::from_value(serde_json::Value::from(text)).unwrap()
}

pub(in crate::policy) fn closed(date: &str, from: &str, to: &str) -> Unavailable {
    Unavailable { date: date.to_owned(), from: from.to_owned(), to: to.to_owned() }
}

/// Monday to Friday.
pub(in crate::policy) fn office(zone: &str, from: &str, to: &str) -> CallHours {
    let days = &Weekday::ALL[..5];
    weekly(zone, &days.iter().map(|day| (*day, from, to)).collect::<Vec<_>>())
}

fn weekly(zone: &str, spans: &[(Weekday, &str, &str)]) -> CallHours {
    let mut hours = CallHours { time_zone: zone.to_owned(), weekly: std::collections::BTreeMap::new() };
    for (day, from, to) in spans {
        hours.weekly.entry(*day).or_default().push(((*from).to_owned(), (*to).to_owned()));
    }
    hours
}

fn every_day(zone: &str, from: &str, to: &str) -> NumberSettings {
    let spans: Vec<_> = Weekday::ALL.iter().map(|day| (*day, from, to)).collect();
    NumberSettings { call_hours: Some(weekly(zone, &spans)), ..NumberSettings::default() }
}

/// `now` itself while it is open; `None` when it never opens.
fn next_opening(settings: &NumberSettings, now: Timestamp) -> Option<Timestamp> {
    match opening(settings, now) {
        Opening::Open => Some(now),
        Opening::OutsideHours { opens_at } | Opening::Unavailable { opens_at } => opens_at,
    }
}

/// `want`: when it opens, or `None` while it is open.
#[track_caller]
fn check(settings: &NumberSettings, now: &str, want: Option<&str>) {
    let wanted = want.map_or(Opening::Open, |opens| Opening::OutsideHours { opens_at: Some(at(opens)) });
    assert_eq!(opening(settings, at(now)), wanted, "{now}");
}

#[test]
fn a_span_begins_and_ends_to_the_minute_in_its_own_zone() {
    for (zone, offset, date) in [
        ("Asia/Tbilisi", "+04:00", "2026-07-01"),
        ("Asia/Tbilisi", "+04:00", "2026-01-07"),
        ("UTC", "+00:00", "2026-07-01"),
        ("Europe/Berlin", "+02:00", "2026-07-01"),
        ("Europe/Berlin", "+01:00", "2026-01-07"),
        ("America/New_York", "-04:00", "2026-07-01"),
        ("America/New_York", "-05:00", "2026-01-07"),
        ("Asia/Kathmandu", "+05:45", "2026-07-01"),
        ("Pacific/Kiritimati", "+14:00", "2026-07-01"),
        ("Pacific/Chatham", "+12:45", "2026-07-01"),
        ("Pacific/Chatham", "+13:45", "2026-01-07"),
        ("Pacific/Pago_Pago", "-11:00", "2026-07-01"),
    ] {
        let settings = every_day(zone, "09:00", "18:30");
        let local = |time: &str| format!("{date}T{time}{offset}");
        check(&settings, &local("08:59:59.999"), Some(&local("09:00:00")));
        check(&settings, &local("09:00:00"), None);
        check(&settings, &local("18:29:59.999"), None);
        let tomorrow = at(&local("09:00:00")).plus(std::time::Duration::from_secs(86_400));
        check(&settings, &local("18:30:00"), Some(&tomorrow.to_string()));
    }
}

#[test]
fn a_closed_week_end_leads_to_monday_morning() {
    let settings =
        NumberSettings { call_hours: Some(office("Asia/Tbilisi", "09:00", "18:00")), ..NumberSettings::default() };
    check(&settings, "2026-11-20T18:00:00+04:00", Some("2026-11-23T09:00:00+04:00"));
    check(&settings, "2026-11-22T23:59:59+04:00", Some("2026-11-23T09:00:00+04:00"));
    // Still Sunday in UTC, Monday in Tbilisi.
    check(&settings, "2026-11-22T20:30:00Z", Some("2026-11-23T05:00:00Z"));
}

#[test]
fn the_hour_that_spring_skips_never_comes() {
    // Berlin, 2026-03-29: 02:00 CET is followed by 03:00 CEST, at 01:00 UTC.
    let night = every_day("Europe/Berlin", "01:00", "03:30");
    check(&night, "2026-03-29T00:59:59Z", None);
    check(&night, "2026-03-29T01:00:00Z", None);
    check(&night, "2026-03-29T01:29:59Z", None);
    check(&night, "2026-03-29T01:30:00Z", Some("2026-03-29T23:00:00Z"));
    let within = every_day("Europe/Berlin", "02:15", "02:45");
    check(&within, "2026-03-28T02:00:00Z", Some("2026-03-30T00:15:00Z"));
    let half = every_day("Europe/Berlin", "02:30", "05:00");
    check(&half, "2026-03-29T00:59:59Z", Some("2026-03-29T01:00:00Z"));
    let morning = every_day("America/New_York", "09:00", "17:00");
    check(&morning, "2026-03-07T22:00:00Z", Some("2026-03-08T13:00:00Z"));
}

#[test]
fn the_hour_that_autumn_repeats_counts_twice() {
    // Berlin, 2026-10-25: 03:00 CEST is followed by 02:00 CET, at 01:00 UTC.
    let night = every_day("Europe/Berlin", "02:00", "02:30");
    check(&night, "2026-10-24T23:59:59Z", Some("2026-10-25T00:00:00Z"));
    check(&night, "2026-10-25T00:29:59Z", None);
    check(&night, "2026-10-25T00:30:00Z", Some("2026-10-25T01:00:00Z"));
    check(&night, "2026-10-25T01:29:59Z", None);
    check(&night, "2026-10-25T01:30:00Z", Some("2026-10-26T01:00:00Z"));
    // A span from before the repeated hour into it is open again when that hour comes back.
    let late = every_day("Europe/Berlin", "01:00", "02:30");
    check(&late, "2026-10-25T00:45:00Z", Some("2026-10-25T01:00:00Z"));
    let day = every_day("America/New_York", "09:00", "17:00");
    check(&day, "2026-11-01T13:59:59Z", Some("2026-11-01T14:00:00Z"));
    check(&day, "2026-11-01T21:59:59Z", None);
}

#[test]
fn a_zone_that_jumps_at_midnight_opens_at_the_jump() {
    // Beirut, 2026-03-29: 00:00 EET is followed by 01:00 EEST, at 22:00 UTC of the day before.
    let settings = NumberSettings {
        call_hours: Some(weekly("Asia/Beirut", &[(Weekday::Sunday, "00:00", "12:00")])),
        ..NumberSettings::default()
    };
    check(&settings, "2026-03-28T21:59:59Z", Some("2026-03-28T22:00:00Z"));
}

#[test]
fn a_jump_late_in_the_evening_is_found_and_one_of_tomorrow_waits_for_tomorrow() {
    // Nuuk, 2022-03-26: 22:00 is followed by 23:00, at 01:00 UTC of the next day.
    let evening = NumberSettings {
        call_hours: Some(weekly("America/Nuuk", &[(Weekday::Saturday, "22:30", "24:00")])),
        ..NumberSettings::default()
    };
    check(&evening, "2022-03-27T00:59:59Z", Some("2022-03-27T01:00:00Z"));
    // Berlin opens on the Sunday of the jump at half past midnight already.
    let sunday = [(Weekday::Sunday, "00:30", "01:00"), (Weekday::Sunday, "02:30", "05:00")];
    let night = NumberSettings { call_hours: Some(weekly("Europe/Berlin", &sunday)), ..NumberSettings::default() };
    check(&night, "2026-03-28T12:00:00Z", Some("2026-03-28T23:30:00Z"));
}

#[test]
fn closed_dates_close_whatever_the_hours_say() {
    #[track_caller]
    fn check_closed(settings: &NumberSettings, now: &str, opens: &str) {
        assert_eq!(opening(settings, at(now)), Opening::Unavailable { opens_at: Some(at(opens)) }, "{now}");
    }
    let settings = NumberSettings {
        unavailable: vec![closed("2027-01-07", "00:00", "24:00"), closed("2027-01-08", "09:00", "12:00")],
        ..NumberSettings { call_hours: Some(office("Asia/Tbilisi", "09:00", "18:00")), ..NumberSettings::default() }
    };
    check(&settings, "2027-01-06T17:59:59+04:00", None);
    check(&settings, "2027-01-06T18:00:00+04:00", Some("2027-01-08T12:00:00+04:00"));
    check_closed(&settings, "2027-01-07T00:00:00+04:00", "2027-01-08T12:00:00+04:00");
    check_closed(&settings, "2027-01-07T23:59:59+04:00", "2027-01-08T12:00:00+04:00");
    check(&settings, "2027-01-08T08:59:00+04:00", Some("2027-01-08T12:00:00+04:00"));
    check_closed(&settings, "2027-01-08T11:59:59+04:00", "2027-01-08T12:00:00+04:00");
    check(&settings, "2027-01-08T12:00:00+04:00", None);
}

#[test]
fn without_hours_closed_dates_are_in_utc_and_everything_else_is_open() {
    let settings = NumberSettings {
        unavailable: vec![closed("2026-12-25", "00:00", "24:00"), closed("2026-12-26", "00:00", "06:30")],
        ..NumberSettings::default()
    };
    let shut = Opening::Unavailable { opens_at: Some(at("2026-12-26T06:30:00Z")) };
    for (now, want) in [
        ("2026-12-24T23:59:59.999Z", Opening::Open),
        ("2026-12-25T00:00:00Z", shut),
        ("2026-12-26T06:29:59.999Z", shut),
        ("2026-12-26T06:30:00Z", Opening::Open),
    ] {
        assert_eq!(opening(&settings, at(now)), want, "{now}");
    }
}

#[test]
fn an_opening_behind_every_closed_date_is_still_found() {
    // Mondays only, and twenty of them are closed.
    let mut monday: Date = "2026-11-23".parse().unwrap();
    let mut settings = NumberSettings {
        call_hours: Some(weekly("Europe/Berlin", &[(Weekday::Monday, "10:00", "11:00")])),
        ..NumberSettings::default()
    };
    for _ in 0..20 {
        settings.unavailable.push(closed(&monday.to_string(), "00:00", "24:00"));
        monday = monday.checked_add(jiff::ToSpan::days(7)).unwrap();
    }
    check(&settings, "2026-11-22T12:00:00Z", Some("2027-04-12T08:00:00Z"));
    settings.call_hours.as_mut().unwrap().weekly.clear();
    assert_eq!(opening(&settings, at("2026-11-24T12:00:00Z")), Opening::OutsideHours { opens_at: None });
}

#[test]
fn hours_in_a_zone_that_nobody_knows_are_closed() {
    let settings = every_day("Mars/Olympus", "00:00", "24:00");
    assert_eq!(opening(&settings, at("2026-11-24T12:00:00Z")), Opening::OutsideHours { opens_at: None });
}

#[test]
fn moments_outside_the_calendar_count_as_its_first_and_last() {
    for (ms, noon) in [(i64::MIN, true), (i64::MAX, false)] {
        let now = Timestamp::from_millis(ms);
        assert_eq!(opening(&every_day("Asia/Tbilisi", "00:00", "24:00"), now), Opening::Open);
        assert_eq!(next_opening(&every_day("Asia/Tbilisi", "12:00", "13:00"), now).is_some(), noon, "{now}");
    }
}

#[test]
fn a_number_is_open_exactly_when_its_next_opening_is_now() {
    let mut settings = every_day("Europe/Berlin", "01:30", "02:30");
    settings
        .call_hours
        .as_mut()
        .unwrap()
        .weekly
        .get_mut(&Weekday::Sunday)
        .unwrap()
        .push(("20:00".into(), "24:00".into()));
    settings.unavailable = vec![closed("2026-10-26", "01:00", "02:00")];
    // Every quarter of an hour over the change of clocks, against a search minute by minute.
    let start = at("2026-10-24T20:00:00Z");
    let step = |minutes: u64| start.plus(std::time::Duration::from_secs(minutes * 60));
    let open: Vec<bool> = (0..4 * 1440).map(|m| opening(&settings, step(m)) == Opening::Open).collect();
    for from in (0..2 * 1440).step_by(15) {
        let first = (from..open.len()).find(|m| open[*m]).unwrap();
        let want = step(u64::try_from(first).unwrap());
        let now = step(u64::try_from(from).unwrap());
        assert_eq!(next_opening(&settings, now), Some(want), "{now}");
    }
}

#[test]
fn hours_are_brought_into_their_stored_form() {
    use Weekday::{Friday, Monday, Saturday, Sunday, Tuesday};
    #[track_caller]
    fn check(written: &[(Weekday, &str, &str)], want: &[(Weekday, &str, &str)]) {
        let (hours, _) = normalise(Some(weekly("asia/tbilisi", written)), vec![], &RULES).unwrap();
        assert_eq!(hours, Some(weekly("Asia/Tbilisi", want)));
        assert_eq!(normalise(hours.clone(), vec![], &RULES).unwrap().0, hours, "the stored form is its own");
    }
    check(&[(Monday, "09:00", "18:00")], &[(Monday, "09:00", "18:00")]);
    check(&[(Monday, "00:00", "24:00")], &[(Monday, "00:00", "24:00")]);
    check(
        &[(Monday, "14:00", "18:00"), (Monday, "09:00", "13:00")],
        &[(Monday, "09:00", "13:00"), (Monday, "14:00", "18:00")],
    );
    check(
        &[(Monday, "09:00", "12:00"), (Monday, "12:00", "18:00")],
        &[(Monday, "09:00", "12:00"), (Monday, "12:00", "18:00")],
    );
    check(&[(Friday, "22:00", "02:00")], &[(Friday, "22:00", "24:00"), (Saturday, "00:00", "02:00")]);
    check(&[(Sunday, "22:00", "02:00")], &[(Sunday, "22:00", "24:00"), (Monday, "00:00", "02:00")]);
    check(&[(Friday, "22:00", "00:00")], &[(Friday, "22:00", "24:00")]);
    check(
        &[(Monday, "22:00", "02:00"), (Tuesday, "02:00", "10:00")],
        &[(Monday, "22:00", "24:00"), (Tuesday, "00:00", "02:00"), (Tuesday, "02:00", "10:00")],
    );
}

#[test]
fn days_without_spans_are_left_out() {
    let mut hours = weekly("Asia/Tbilisi", &[(Weekday::Monday, "09:00", "18:00")]);
    hours.weekly.insert(Weekday::Sunday, vec![]);
    let (stored, _) = normalise(Some(hours), vec![], &RULES).unwrap();
    assert_eq!(stored, Some(weekly("Asia/Tbilisi", &[(Weekday::Monday, "09:00", "18:00")])));
}

#[test]
fn every_mistake_in_the_hours_is_named_with_its_field() {
    use Weekday::{Monday, Tuesday};
    #[track_caller]
    fn check(zone: &str, written: &[(Weekday, &str, &str)], want: &[&str]) {
        let wrong = normalise(Some(weekly(zone, written)), vec![], &RULES).unwrap_err();
        assert_eq!(wrong.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }
    let tz = "Asia/Tbilisi";
    check(
        "Asia/Tiflis",
        &[(Monday, "09:00", "18:00")],
        &[
            "call_hours.time_zone: `Asia/Tiflis` is no time zone: write a name of the IANA database, such as `Asia/Tbilisi`",
        ],
    );
    check(
        "Etc/Unknown",
        &[(Monday, "09:00", "18:00")],
        &[
            "call_hours.time_zone: `Etc/Unknown` is no time zone: write a name of the IANA database, such as `Asia/Tbilisi`",
        ],
    );
    check(tz, &[], &["call_hours.weekly: no day is open: write at least one span, or switch Allow Voice Calls off"]);
    for time in ["9:00", "24:01", "25:00", "12:60", "ab:cd", "", "09.00", "+9:00", "09:000"] {
        let want =
            format!("call_hours.weekly.monday[0]: from `{time}` is no time: write `HH:MM` from `00:00` to `24:00`");
        check(tz, &[(Monday, time, "18:00")], &[&want]);
    }
    check(
        tz,
        &[(Monday, "x", "y")],
        &[
            "call_hours.weekly.monday[0]: from `x` is no time: write `HH:MM` from `00:00` to `24:00`",
            "call_hours.weekly.monday[0]: to `y` is no time: write `HH:MM` from `00:00` to `24:00`",
        ],
    );
    for same in ["09:00", "00:00"] {
        check(
            tz,
            &[(Monday, same, same)],
            &[
                "call_hours.weekly.monday[0]: begins and ends at the same time: for a whole day write `00:00` to `24:00`",
            ],
        );
    }
    check(
        tz,
        &[(Monday, "24:00", "09:00")],
        &["call_hours.weekly.monday[0]: from `24:00` begins nothing: write `00:00` of the next day"],
    );
    check(
        tz,
        &[(Monday, "09:00", "13:00"), (Monday, "12:59", "18:00")],
        &["call_hours.weekly.monday[1]: overlaps call_hours.weekly.monday[0] (09:00 to 13:00): join the two"],
    );
    check(
        tz,
        &[(Monday, "09:00", "10:00"), (Monday, "11:00", "12:00"), (Monday, "13:00", "14:00")],
        &["call_hours.weekly.monday: 3 spans on one day; at most 2"],
    );
    check(
        tz,
        &[(Monday, "22:00", "02:00"), (Tuesday, "09:00", "12:00"), (Tuesday, "13:00", "18:00")],
        &[
            "call_hours.weekly.tuesday: 3 spans on one day, one of them the end of call_hours.weekly.monday[0]; at most 2",
        ],
    );
    check(
        tz,
        &[(Monday, "22:00", "02:00"), (Tuesday, "01:00", "12:00")],
        &["call_hours.weekly.tuesday[0]: overlaps call_hours.weekly.monday[0] (00:00 to 02:00): join the two"],
    );
}

#[test]
fn a_long_span_is_compared_with_all_it_covers() {
    use Weekday::Monday;
    let rules = HoursRules { spans_per_day_max: 9, ..RULES };
    let written = weekly("UTC", &[(Monday, "08:00", "20:00"), (Monday, "09:00", "10:00"), (Monday, "11:00", "12:00")]);
    let wrong = normalise(Some(written), vec![], &rules).unwrap_err();
    assert_eq!(
        wrong.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(),
        ["call_hours.weekly.monday[1]", "call_hours.weekly.monday[2]"]
    );
}

#[test]
fn closed_dates_are_sorted_and_split_at_midnight() {
    let written = vec![
        closed("2027-01-07", "00:00", "24:00"),
        closed("2026-12-31", "20:00", "04:00"),
        closed("2026-12-31", "08:00", "12:00"),
    ];
    let (_, stored) = normalise(None, written, &RULES).unwrap();
    assert_eq!(
        stored,
        [
            closed("2026-12-31", "08:00", "12:00"),
            closed("2026-12-31", "20:00", "24:00"),
            closed("2027-01-01", "00:00", "04:00"),
            closed("2027-01-07", "00:00", "24:00"),
        ]
    );
}

#[test]
fn every_mistake_in_the_closed_dates_is_named_with_its_field() {
    #[track_caller]
    fn check(written: &[Unavailable], want: &[&str]) {
        let wrong = normalise(None, written.to_vec(), &RULES).unwrap_err();
        assert_eq!(wrong.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }
    for date in [
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "26-01-01",
        "20260101",
        "2026/01/01",
        "2026-1-1",
        "2026-11-181",
        "2026-11",
        "x",
        "",
    ] {
        let fine = closed("2026-12-25", "00:00", "24:00");
        check(
            &[fine.clone(), closed(date, "00:00", "24:00")],
            &["unavailable[1].date: not a date of the calendar: write `YYYY-MM-DD`"],
        );
    }
    check(
        &[closed("2026-12-25", "00:00", "24:00"), closed("2026-12-25", "00:00", "24:00")],
        &["unavailable[1]: repeats unavailable[0] (00:00 to 24:00): join the two"],
    );
    // Against the longest so far, and of two that end alike against the first.
    check(
        &[
            closed("2026-12-25", "09:00", "11:00"),
            closed("2026-12-25", "10:00", "14:00"),
            closed("2026-12-25", "13:00", "15:00"),
        ],
        &[
            "unavailable[1]: overlaps unavailable[0] (09:00 to 11:00): join the two",
            "unavailable[2]: overlaps unavailable[1] (10:00 to 14:00): join the two",
        ],
    );
    check(
        &[
            closed("2026-12-25", "09:00", "12:00"),
            closed("2026-12-25", "10:00", "12:00"),
            closed("2026-12-25", "11:00", "13:00"),
        ],
        &[
            "unavailable[1]: overlaps unavailable[0] (09:00 to 12:00): join the two",
            "unavailable[2]: overlaps unavailable[0] (09:00 to 12:00): join the two",
        ],
    );
    check(
        &[closed("2026-12-25", "12:00", "24:00"), closed("2026-12-25", "00:00", "12:01")],
        &["unavailable[0]: overlaps unavailable[1] (00:00 to 12:01): join the two"],
    );
    check(
        &[closed("2026-12-25", "20:00", "02:00"), closed("2026-12-26", "00:00", "24:00")],
        &["unavailable[1]: overlaps unavailable[0] (00:00 to 02:00): join the two"],
    );
    check(
        &[closed("nope", "09:00", "09:00")],
        &[
            "unavailable[0].date: not a date of the calendar: write `YYYY-MM-DD`",
            "unavailable[0]: begins and ends at the same time: for a whole day write `00:00` to `24:00`",
        ],
    );
    check(
        &[closed("9999-12-31", "22:00", "02:00")],
        &["unavailable[0].date: the calendar ends on this date: write an earlier one"],
    );
    let days = |n: u32| (1..=n).map(|d| closed(&format!("2027-01-{d:02}"), "00:00", "24:00")).collect::<Vec<_>>();
    assert_eq!(normalise(None, days(20), &RULES).unwrap().1.len(), 20);
    check(&days(21), &["unavailable: 21 entries (over midnight counts as two); at most 20"]);
}

#[test]
fn mistakes_in_hours_and_closed_dates_are_told_together() {
    let hours = weekly("Nowhere", &[(Weekday::Monday, "9", "18:00")]);
    let wrong = normalise(Some(hours), vec![closed("2026-02-30", "00:00", "24:00")], &RULES).unwrap_err();
    assert_eq!(
        wrong.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(),
        ["call_hours.time_zone", "call_hours.weekly.monday[0]", "unavailable[0].date"]
    );
}

#[test]
fn a_merge_keeps_what_was_entered_elsewhere_and_drops_what_we_took_out() {
    #[track_caller]
    fn check(base: &[&str], ours: &[&str], theirs: &[&str], want: &[&str]) {
        let days = |dates: &[&str]| dates.iter().map(|d| closed(d, "00:00", "24:00")).collect::<Vec<_>>();
        let merged = merge_unavailable(
            &days(base),
            &days(ours),
            &days(theirs),
            Some("Asia/Tbilisi"),
            at("2026-12-01T12:00:00Z"),
        );
        assert_eq!(merged, days(want), "base {base:?}, ours {ours:?}, theirs {theirs:?}");
    }
    let (a, b, c) = ("2026-12-25", "2026-12-31", "2027-01-07");
    check(&[], &[], &[], &[]);
    check(&[], &[a], &[], &[a]);
    check(&[], &[], &[b], &[b]);
    check(&[a], &[a], &[a, b], &[a, b]);
    check(&[a, c], &[a], &[a, b, c], &[a, b]);
    check(&[a, b], &[], &[a, b], &[]);
    check(&[a], &[c, a], &[], &[a, c]);
    check(&[], &[a], &[a], &[a]);
}

#[test]
fn a_merge_leaves_out_dates_that_have_passed_in_the_numbers_zone() {
    let dates = [closed("2026-12-24", "00:00", "24:00"), closed("2026-12-25", "00:00", "12:00")];
    for (zone, now, left) in [
        (Some("Asia/Tbilisi"), "2026-12-24T19:59:59Z", 2),
        (Some("Asia/Tbilisi"), "2026-12-24T20:00:00Z", 1),
        (None, "2026-12-24T23:59:59Z", 2),
        (None, "2026-12-25T00:00:00Z", 1),
        (None, "2026-12-25T23:59:59Z", 1),
        (Some("Pacific/Kiritimati"), "2026-12-25T10:00:00Z", 0),
    ] {
        assert_eq!(merge_unavailable(&[], &dates, &[], zone, at(now)), dates[2 - left..], "{zone:?} {now}");
        assert_eq!(merge_unavailable(&[], &[], &dates, zone, at(now)), dates[2 - left..], "{zone:?} {now}");
    }
}

#[test]
fn a_merge_joins_what_overlaps_on_one_date() {
    let now = at("2026-12-01T12:00:00Z");
    let merge = |ours: &[Unavailable], theirs: &[Unavailable]| merge_unavailable(&[], ours, theirs, None, now);
    let day = closed("2026-12-25", "00:00", "24:00");
    let noon = closed("2026-12-25", "11:00", "13:00");
    let late = closed("2026-12-25", "12:30", "15:00");
    assert_eq!(merge(std::slice::from_ref(&day), &[noon.clone(), late.clone()]), [day]);
    assert_eq!(merge(&[noon], &[late]), [closed("2026-12-25", "11:00", "15:00")]);
    let touching = [closed("2026-12-25", "09:00", "12:00"), closed("2026-12-25", "12:00", "15:00")];
    assert_eq!(merge(&touching[..1], &touching[1..]), touching);
}

#[test]
fn dates_that_overlap_become_one_and_others_stay_apart() {
    #[track_caller]
    fn check(given: &[(&str, &str, &str)], want: &[(&str, &str, &str)]) {
        let dates = |list: &[(&str, &str, &str)]| list.iter().map(|(date, from, to)| closed(date, from, to)).collect();
        let joined: Vec<_> = dates(want);
        assert_eq!(united(dates(given)), joined);
    }
    check(&[], &[]);
    check(
        &[("2027-01-08", "00:00", "24:00"), ("2027-01-07", "00:00", "24:00")],
        &[("2027-01-07", "00:00", "24:00"), ("2027-01-08", "00:00", "24:00")],
    );
    check(&[("2027-01-07", "12:00", "18:00"), ("2027-01-07", "09:00", "13:00")], &[("2027-01-07", "09:00", "18:00")]);
    check(&[("2027-01-07", "00:00", "24:00"), ("2027-01-07", "09:00", "13:00")], &[("2027-01-07", "00:00", "24:00")]);
    let apart = [("2027-01-07", "09:00", "12:00"), ("2027-01-07", "12:00", "13:00")];
    check(&apart, &apart);
}

#[test]
fn today_is_the_date_of_the_numbers_zone() {
    #[track_caller]
    fn check(zone: Option<&str>, secs: i64, want: &str) {
        let hours = zone.map(|zone| CallHours { time_zone: zone.to_owned(), weekly: Default::default() });
        let settings = NumberSettings { call_hours: hours, ..NumberSettings::default() };
        assert_eq!(today(&settings, Timestamp::from_secs(secs)), want, "{zone:?}");
    }
    // 2026-11-18T22:00:00Z.
    let evening = 1_795_039_200;
    check(None, evening, "2026-11-18");
    check(Some("UTC"), evening, "2026-11-18");
    check(Some("Asia/Tbilisi"), evening, "2026-11-19");
    check(Some("America/New_York"), evening - 20 * 3600, "2026-11-17");
    check(Some("Nowhere/Land"), evening, "2026-11-18");
}
