use super::*;

const NUMBER: &str = "1";

fn settings() -> Settings {
    Settings::new(&[BusinessNumber { id: NUMBER.into(), display: "995322000111".into() }])
}

/// Unix seconds of a moment such as `2027-01-07T09:00:00+04:00`.
fn at(text: &str) -> u64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second().unsigned_abs()
}

fn hours(week: Value, holidays: Option<Value>) -> Value {
    let mut hours = json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": week});
    if let Some(holidays) = holidays {
        hours["holiday_schedule"] = holidays;
    }
    json!({"call_hours": hours})
}

fn open(day: &str, from: &str, to: &str) -> Value {
    json!({"day_of_week": day, "open_time": from, "close_time": to})
}

fn holiday(date: &str) -> Value {
    json!({"date": date, "start_time": "0000", "end_time": "2359"})
}

#[test]
fn wrong_settings_are_refused_with_the_reason() {
    let now = at("2027-01-05T22:00:00Z");
    let check = |calling: Value, reason: &str| {
        let settings = settings();
        let before = settings.read(NUMBER);
        let refusal = settings.change(NUMBER, &calling, now).expect_err(&calling.to_string());
        assert_eq!(refusal.code, 100);
        assert!(refusal.details.contains(reason), "{refusal:?} should say {reason:?}");
        assert_eq!(settings.read(NUMBER), before, "nothing is stored: {calling}");
    };
    let monday = || json!([open("MONDAY", "0900", "1300")]);
    check(json!("ENABLED"), "must be an object");
    check(json!({"colour": "red"}), "unknown field `colour`");
    check(json!({"restrictions": {}}), "unknown field `restrictions`");
    check(json!({"status": "ON"}), "unknown variant `ON`");
    check(json!({"status": null}), "must not be null");
    check(json!({"call_icons": {"restrict_to_user_countries": ["geo"]}}), "country code");
    check(json!({"audio": {"additional_codecs": ["OPUS"]}}), "unknown variant");
    check(hours(json!([]), None), "at least one entry");
    check(json!({"call_hours": {"status": "ENABLED", "timezone_id": "Asia/Tbilisi"}}), "at least one entry");
    check(json!({"call_hours": {"status": "ENABLED", "weekly_operating_hours": monday()}}), "timezone_id is missing");
    let mars = json!({"status": "ENABLED", "timezone_id": "Mars/Olympus", "weekly_operating_hours": monday()});
    check(json!({"call_hours": mars}), "not a time zone");
    check(hours(json!([open("MONDAY", "0900", "0900")]), None), "must be before");
    check(hours(json!([open("MONDAY", "1800", "0900")]), None), "must be before");
    check(hours(json!([open("MONDAY", "09:00", "18:00")]), None), "HHMM");
    check(hours(json!([open("MONDAY", "0900", "2400")]), None), "HHMM");
    check(hours(json!([open("MONDAY", "0900", "1300"), open("MONDAY", "1259", "1800")]), None), "overlap");
    let three = json!([open("FRIDAY", "0100", "0200"), open("FRIDAY", "0300", "0400"), open("FRIDAY", "0500", "0600")]);
    check(hours(three, None), "more than 2");
    // In Tbilisi the 6th has begun.
    check(hours(monday(), Some(json!([holiday("2027-01-05")]))), "has passed");
    check(hours(monday(), Some(json!([holiday("2027-02-30")]))), "not a date");
    let many: Vec<Value> = (1..=21).map(|day| holiday(&format!("2027-02-{day:02}"))).collect();
    check(hours(monday(), Some(json!(many))), "more than 20");
    check(json!({"voicemail": {"status": "ENABLED", "triggers": ["TIMEOUT"]}}), "needs timeout_seconds");
    let late = json!({"default": {"timeout_seconds": 31}});
    check(json!({"voicemail": {"status": "ENABLED", "audio": late}}), "at most 30");
}

#[test]
fn a_change_keeps_the_other_keys_and_replaces_the_hours_as_a_whole() {
    let (settings, now) = (settings(), at("2027-01-05T22:00:00Z"));
    let week = json!([open("MONDAY", "0900", "1300"), open("MONDAY", "1300", "1800")]);
    settings.change(NUMBER, &hours(week.clone(), Some(json!([holiday("2027-01-06")]))), now).unwrap();
    settings.change(NUMBER, &json!({"callback_permission_status": "ENABLED"}), now).unwrap();
    let stored = settings.read(NUMBER);
    assert_eq!(stored["status"], "ENABLED");
    assert_eq!(stored["call_hours"]["holiday_schedule"], json!([holiday("2027-01-06")]));
    assert!(!stored.contains_key("srtp_key_exchange_protocol"), "never set, never shown");
    settings.change(NUMBER, &hours(week, None), now).unwrap();
    assert!(settings.read(NUMBER)["call_hours"].get("holiday_schedule").is_none(), "not repeated, so deleted");
    let servers = json!([{"hostname": "sip.example.com"}]);
    settings.change(NUMBER, &json!({"sip": {"status": "ENABLED", "servers": servers}}), now).unwrap();
    assert_eq!(settings.turns_away(NUMBER, now), Some(Unavailable::SipMode));
    settings.change(NUMBER, &json!({"sip": {"status": "DISABLED"}}), now).unwrap();
    assert_eq!(settings.read(NUMBER)["sip"], json!({"status": "DISABLED", "servers": servers}));
    assert_eq!(
        settings.told(NUMBER),
        json!({"status": "ENABLED", "call_icon_visibility": "DEFAULT", "callback_permission_status": "ENABLED", "sip": {"status": "DISABLED"}}),
        "no hours, no servers"
    );
}

#[test]
fn customers_are_turned_away_outside_hours_and_on_holidays() {
    let settings = settings();
    // 2027-01-06 is a Wednesday, 2027-01-07 a Thursday.
    let week =
        json!([open("WEDNESDAY", "0900", "1300"), open("WEDNESDAY", "1400", "2359"), open("THURSDAY", "0000", "0100")]);
    let closed = json!([{"date": "2027-01-06", "start_time": "1500", "end_time": "1600"}]);
    settings.change(NUMBER, &hours(week, Some(closed)), at("2027-01-05T00:00:00Z")).unwrap();
    let check = |time: &str, open: bool| {
        let expected = (!open).then_some(Unavailable::OutsideHours);
        assert_eq!(settings.turns_away(NUMBER, at(&format!("{time}+04:00"))), expected, "{time}");
    };
    check("2027-01-06T08:59:59", false);
    check("2027-01-06T09:00:00", true);
    check("2027-01-06T12:59:59", true);
    check("2027-01-06T13:00:00", false);
    check("2027-01-06T15:00:00", false);
    check("2027-01-06T16:00:00", true);
    check("2027-01-06T23:59:59", true);
    check("2027-01-07T00:59:59", true);
    check("2027-01-07T01:00:00", false);
    settings.change(NUMBER, &json!({"call_hours": {"status": "DISABLED"}}), at("2027-01-05T00:00:00Z")).unwrap();
    check("2027-01-07T01:00:00", true);
    settings.change(NUMBER, &json!({"status": "DISABLED"}), at("2027-01-05T00:00:00Z")).unwrap();
    assert_eq!(settings.turns_away(NUMBER, at("2027-01-06T09:00:00Z")), Some(Unavailable::CallingOff));
}
