//! Our call settings in Meta's terms and back, and where the two differ. Pure.
//!
//! Meta has no closed dates without hours, no midnight at the end of a day, and one time zone for both. So a number that
//! is always open but for some dates is written as open on all days from 0000 to 2359 UTC, and such hours are read as none.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::model::settings::{CallHours, NumberSettings, Setting, Unavailable, Weekday};

use super::payload::{Icons, MetaCalling, MetaHoliday, MetaHours, MetaSpan};

/// The zone of a number that has closed dates and no hours.
const NO_ZONE: &str = "UTC";
const DAY_BEGINS: &str = "0000";
/// Meta's last minute of a day; ours is `24:00`.
const DAY_ENDS: &str = "2359";

/// One setting that WhatsApp has otherwise than we wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Drift {
    /// As the API names it.
    #[schema(example = "display_call_buttons")]
    pub field: &'static str,
    /// In the shape the API gives the field.
    #[schema(value_type = Object)]
    pub ours: Value,
    #[schema(value_type = Object)]
    pub theirs: Value,
}

/// What WhatsApp is to be told. `unavailable` replaces the wished closed dates: WhatsApp's own merged in, past ones out.
pub fn to_meta(wished: &NumberSettings, unavailable: &[Unavailable]) -> MetaCalling {
    MetaCalling {
        status: Some(wished.allow_voice_calls),
        call_icon_visibility: Some(if wished.display_call_buttons { Icons::Default } else { Icons::DisableAll }),
        callback_permission_status: Some(wished.callback_permission),
        call_hours: Some(meta_hours(wished.call_hours.as_ref(), unavailable)),
        restrictions: None,
    }
}

/// Says nothing of `untold`, so that WhatsApp keeps what it has. Hours and closed dates are one object there: either of
/// them to be said says both.
#[must_use]
pub fn without(mut calling: MetaCalling, untold: &BTreeSet<Setting>) -> MetaCalling {
    let left = |setting| untold.contains(&setting);
    calling.status = calling.status.filter(|_| !left(Setting::AllowVoiceCalls));
    calling.call_icon_visibility = calling.call_icon_visibility.filter(|_| !left(Setting::DisplayCallButtons));
    calling.callback_permission_status =
        calling.callback_permission_status.filter(|_| !left(Setting::CallbackPermission));
    calling.call_hours = calling.call_hours.filter(|_| !left(Setting::CallHours) || !left(Setting::Unavailable));
    calling
}

/// The hours WhatsApp has, in our terms: `Some(None)` when it is open at all times, `None` when it did not tell.
pub fn hours_of(seen: &MetaCalling) -> Option<Option<CallHours>> {
    seen.call_hours.as_ref().map(our_hours)
}

/// The closed dates WhatsApp has, in our terms; `None` when it did not tell.
pub fn unavailable_of(seen: &MetaCalling) -> Option<Vec<Unavailable>> {
    match seen.call_hours.as_ref()? {
        MetaHours::Disabled => Some(Vec::new()),
        MetaHours::Enabled { holidays, .. } => Some(holidays.as_ref()?.iter().map(our_date).collect()),
    }
}

/// Closed dates as they come back from Meta, which knows no `23:59` beside `24:00`.
pub fn as_meta_keeps(unavailable: &[Unavailable]) -> Vec<Unavailable> {
    unavailable.iter().filter_map(meta_date).map(|date| our_date(&date)).collect()
}

/// Every setting that WhatsApp told and that is not as we wish it. Closed dates before `today` (`YYYY-MM-DD` in the
/// number's zone) say nothing: WhatsApp neither takes them nor need it keep them.
pub fn drift(wished: &NumberSettings, seen: &MetaCalling, today: &str) -> Vec<Drift> {
    let mut found = Vec::new();
    let mut compare = |field: &'static str, ours: Value, theirs: Option<Value>| {
        if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
            found.push(Drift { field, ours, theirs });
        }
    };
    compare("allow_voice_calls", wished.allow_voice_calls.into(), seen.status.map(Value::from));
    let theirs = seen.call_icon_visibility.map(|icons| match icons {
        Icons::Default => true.into(),
        Icons::DisableAll => false.into(),
        Icons::HideInChat => "hide_in_chat".into(),
    });
    compare("display_call_buttons", wished.display_call_buttons.into(), theirs);
    compare("callback_permission", wished.callback_permission.into(), seen.callback_permission_status.map(Value::from));
    let ahead = |dates: &[Unavailable]| {
        let mut ahead: Vec<_> = dates.iter().filter(|date| *date.date >= *today).cloned().collect();
        ahead.sort();
        ahead
    };
    let ours = ahead(&as_meta_keeps(&wished.unavailable));
    let told = our_hours(&meta_hours(wished.call_hours.as_ref(), &ours));
    compare("call_hours", json(&told), hours_of(seen).map(|theirs| json(&theirs)));
    compare("unavailable", json(&ours), unavailable_of(seen).map(|theirs| json(&ahead(&theirs))));
    found
}

fn meta_hours(hours: Option<&CallHours>, unavailable: &[Unavailable]) -> MetaHours {
    if hours.is_none() && unavailable.is_empty() {
        return MetaHours::Disabled;
    }
    let mut weekly: Vec<MetaSpan> = match hours {
        Some(hours) => hours.weekly.iter().flat_map(|(day, spans)| meta_spans(*day, spans)).collect(),
        None => every_day(),
    };
    weekly.sort();
    let mut holidays: Vec<_> = unavailable.iter().filter_map(meta_date).collect();
    holidays.sort();
    holidays.dedup();
    MetaHours::Enabled {
        time_zone: Some(hours.map_or(NO_ZONE, |hours| hours.time_zone.as_str()).to_owned()),
        weekly,
        // Always written: leaving the list out would delete it.
        holidays: Some(holidays),
    }
}

fn every_day() -> Vec<MetaSpan> {
    let whole = |day: &Weekday| MetaSpan { day: *day, open: DAY_BEGINS.to_owned(), close: DAY_ENDS.to_owned() };
    Weekday::ALL.iter().map(whole).collect()
}

fn meta_spans(day: Weekday, spans: &[(String, String)]) -> impl Iterator<Item = MetaSpan> {
    let span = move |(open, close): &(String, String)| MetaSpan { day, open: meta_time(open), close: meta_time(close) };
    // The minute before midnight alone cannot be written.
    spans.iter().map(span).filter(|span| span.open < span.close)
}

/// `None` for the minute before midnight alone, which cannot be written.
fn meta_date(unavailable: &Unavailable) -> Option<MetaHoliday> {
    let (from, to) = (meta_time(&unavailable.from), meta_time(&unavailable.to));
    (from < to).then(|| MetaHoliday { date: unavailable.date.clone(), from, to })
}

fn our_date(holiday: &MetaHoliday) -> Unavailable {
    Unavailable { date: holiday.date.clone(), from: our_time(&holiday.from), to: our_time(&holiday.to) }
}

/// Hours as they come back. Open on all days at all times is no hours at all, unless another time zone says when a closed
/// date begins.
fn our_hours(hours: &MetaHours) -> Option<CallHours> {
    let MetaHours::Enabled { time_zone, weekly, .. } = hours else { return None };
    let time_zone = time_zone.clone().unwrap_or_default();
    if *weekly == every_day() && time_zone == NO_ZONE {
        return None;
    }
    let mut ours = CallHours { time_zone, weekly: Default::default() };
    for span in weekly {
        ours.weekly.entry(span.day).or_default().push((our_time(&span.open), our_time(&span.close)));
    }
    Some(ours)
}

/// `HH:MM` to `HHMM`.
fn meta_time(ours: &str) -> String {
    if ours == "24:00" { DAY_ENDS.to_owned() } else { ours.replace(':', "") }
}

/// `HHMM` to `HH:MM`.
fn our_time(meta: &str) -> String {
    match meta.split_at_checked(2) {
        _ if meta == DAY_ENDS => "24:00".to_owned(),
        Some((hours, minutes)) => format!("{hours}:{minutes}"),
        None => meta.to_owned(),
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("hours and dates are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TODAY: &str = "2026-11-18";

    fn closed(date: &str, from: &str, to: &str) -> Unavailable {
        Unavailable { date: date.to_owned(), from: from.to_owned(), to: to.to_owned() }
    }

    fn tbilisi(weekly: &[(Weekday, &[(&str, &str)])]) -> CallHours {
        let span = |(open, close): &(&str, &str)| ((*open).to_owned(), (*close).to_owned());
        let weekly = weekly.iter().map(|(day, spans)| (*day, spans.iter().map(span).collect())).collect();
        CallHours { time_zone: "Asia/Tbilisi".to_owned(), weekly }
    }

    fn open_on_monday() -> NumberSettings {
        let hours = tbilisi(&[(Weekday::Monday, &[("09:00", "13:00"), ("14:00", "24:00")]), (Weekday::Tuesday, &[])]);
        NumberSettings { call_hours: Some(hours), ..NumberSettings::default() }
    }

    fn hours_of(calling: &MetaCalling) -> Value {
        serde_json::from_slice::<Value>(&calling.to_json()).unwrap()["calling"]["call_hours"].clone()
    }

    #[test]
    fn wishes_are_written_in_metas_terms() {
        #[track_caller]
        fn check(wished: &NumberSettings, unavailable: &[Unavailable], want: &Value) {
            assert_eq!(hours_of(&to_meta(wished, unavailable)), *want);
        }
        let always = NumberSettings::default();
        let all_week: Vec<_> = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
            .map(|day| json!({"day_of_week": day, "open_time": "0000", "close_time": "2359"}))
            .into();
        check(&always, &[], &json!({"status": "DISABLED"}));
        check(
            &always,
            &[closed("2027-01-07", "00:00", "24:00"), closed("2026-12-31", "16:30", "24:00")],
            &json!({"status": "ENABLED", "timezone_id": "UTC", "weekly_operating_hours": all_week, "holiday_schedule": [
                {"date": "2026-12-31", "start_time": "1630", "end_time": "2359"},
                {"date": "2027-01-07", "start_time": "0000", "end_time": "2359"}]}),
        );
        let monday = json!([{"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1300"},
            {"day_of_week": "MONDAY", "open_time": "1400", "close_time": "2359"}]);
        check(
            &open_on_monday(),
            &[],
            &json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": monday,
                "holiday_schedule": []}),
        );
        let late = tbilisi(&[(Weekday::Friday, &[("10:00", "12:00"), ("23:59", "24:00")])]);
        check(
            &NumberSettings { call_hours: Some(late), ..NumberSettings::default() },
            &[closed("2027-01-07", "23:59", "24:00")],
            &json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "holiday_schedule": [],
                "weekly_operating_hours": [{"day_of_week": "FRIDAY", "open_time": "1000", "close_time": "1200"}]}),
        );
    }

    #[test]
    fn each_switch_is_written_as_itself() {
        for on in [true, false] {
            let wished = |a, b, c| NumberSettings {
                allow_voice_calls: a,
                display_call_buttons: b,
                callback_permission: c,
                ..NumberSettings::default()
            };
            assert_eq!(to_meta(&wished(on, !on, !on), &[]).status, Some(on));
            let icons = if on { Icons::Default } else { Icons::DisableAll };
            assert_eq!(to_meta(&wished(!on, on, !on), &[]).call_icon_visibility, Some(icons));
            assert_eq!(to_meta(&wished(!on, !on, on), &[]).callback_permission_status, Some(on));
        }
    }

    #[test]
    fn what_was_told_and_comes_back_is_no_drift() {
        let dates = vec![closed("2026-12-31", "16:30", "23:59"), closed("2027-01-07", "00:00", "24:00")];
        for wished in [
            NumberSettings::default(),
            open_on_monday(),
            NumberSettings { unavailable: dates.clone(), ..NumberSettings::default() },
            NumberSettings { unavailable: dates, display_call_buttons: false, ..open_on_monday() },
        ] {
            let told = to_meta(&wished, &wished.unavailable);
            assert_eq!(drift(&wished, &told, TODAY), [], "{wished:?}");
            let read = serde_json::from_slice::<Value>(&told.to_json()).unwrap().to_string();
            let read = super::super::payload::read_settings(read.as_bytes()).unwrap();
            assert_eq!(drift(&wished, &read, TODAY), [], "{wished:?}");
        }
    }

    #[test]
    fn only_what_was_told_can_differ() {
        #[track_caller]
        fn check(wished: &NumberSettings, seen: Value, want: &[(&str, Value, Value)]) {
            let body = json!({ "calling": seen }).to_string();
            let seen = super::super::payload::read_settings(body.as_bytes()).unwrap();
            let found = drift(wished, &seen, TODAY);
            let found: Vec<_> = found.into_iter().map(|drift| (drift.field, drift.ours, drift.theirs)).collect();
            assert_eq!(found, want, "{body}");
        }
        let ours = NumberSettings::default();
        check(&ours, json!({}), &[]);
        check(&ours, json!({"status": "DISABLED"}), &[("allow_voice_calls", json!(true), json!(false))]);
        check(
            &ours,
            json!({"call_icon_visibility": "DISABLE_ALL", "callback_permission_status": "DISABLED"}),
            &[("display_call_buttons", json!(true), json!(false)), ("callback_permission", json!(true), json!(false))],
        );
        check(
            &ours,
            json!({"call_icon_visibility": "HIDE_IN_CHAT"}),
            &[("display_call_buttons", json!(true), json!("hide_in_chat"))],
        );
        check(&ours, json!({"call_hours": {"status": "DISABLED"}}), &[]);
        let span = json!({"day_of_week": "MONDAY", "open_time": "09:00", "close_time": "13:00"});
        let monday = json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": [span]});
        let theirs = json!({"time_zone": "Asia/Tbilisi", "weekly": {"monday": [["09:00", "13:00"]]}});
        check(&ours, json!({ "call_hours": monday }), &[("call_hours", json!(null), theirs)]);
        let dates = NumberSettings { unavailable: vec![closed("2027-01-07", "00:00", "24:00")], ..ours };
        let seven = json!({"date": "2027-01-07", "from": "00:00", "to": "24:00"});
        let told = |holidays: Value| {
            let mut told: Value = serde_json::from_slice(&to_meta(&dates, &dates.unavailable).to_json()).unwrap();
            told["calling"]["call_hours"]["holiday_schedule"] = holidays;
            told["calling"].clone()
        };
        check(&dates, told(json!([])), &[("unavailable", json!([seven]), json!([]))]);
        check(&dates, told(json!(null)), &[]);
        let eight = json!({"date": "2027-01-08"});
        let both = json!([{"date": "2027-01-07"}, eight, {"date": "2026-11-17"}]);
        let as_ours = json!({"date": "2027-01-08", "from": "00:00", "to": "24:00"});
        check(&dates, told(both), &[("unavailable", json!([seven]), json!([seven, as_ours]))]);
        check(&dates, json!({"call_hours": {"status": "DISABLED"}}), &[("unavailable", json!([seven]), json!([]))]);
    }

    #[test]
    fn a_closed_date_that_has_passed_is_no_drift_on_either_side() {
        let past = NumberSettings { unavailable: vec![closed("2026-11-17", "00:00", "24:00")], ..open_on_monday() };
        let told = to_meta(&past, &[]);
        assert_eq!(drift(&past, &told, TODAY), []);
        assert_eq!(drift(&past, &to_meta(&past, &past.unavailable), TODAY), []);
        assert_ne!(drift(&past, &told, "2026-11-17"), []);
        // With the last closed date the hours that carried it go too.
        let always = NumberSettings { call_hours: None, ..past };
        assert_eq!(drift(&always, &to_meta(&always, &always.unavailable), TODAY), []);
        assert_eq!(drift(&always, &to_meta(&always, &[]), TODAY), []);
    }
}
