//! A number's call settings at Meta: the object `calling` of `/settings` and of the `account_settings_update` webhook.
//! Source: Meta's page "Configure call settings".
//!
//! Read tolerantly: a key that is missing or unusable was not told, which is something else than off. Written strictly:
//! only the documented keys, and of them only those that are ours to say, so that what others set (SIP, voicemail,
//! countries of the call icons) stays.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::settings::Weekday;

use super::account::{Restricted, read_restricted};
use super::field::{list, text, word};

/// Call settings as Meta knows them. `None`: not told, or not to be touched. Serialisable, since the store keeps what Meta
/// last said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaCalling {
    /// Customers may call.
    pub status: Option<bool>,
    pub call_icon_visibility: Option<Icons>,
    /// A customer who calls may be called back for a week.
    pub callback_permission_status: Option<bool>,
    pub call_hours: Option<MetaHours>,
    /// What Meta took from the number; only ever read. An empty list says that nothing is restricted.
    #[serde(default)]
    pub restrictions: Option<Vec<Restricted>>,
}

/// Where call buttons are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Icons {
    Default,
    /// Named in Meta's FAQ only: on the profile, but not in chats.
    HideInChat,
    DisableAll,
}

/// Hours and closed dates. One object at Meta: each write replaces all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaHours {
    /// Open at all times.
    Disabled,
    Enabled {
        time_zone: Option<String>,
        weekly: Vec<MetaSpan>,
        /// `None`: not told.
        holidays: Option<Vec<MetaHoliday>>,
    },
}

/// Open from one time of a day to a later one; both `HHMM`, at most `2359`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetaSpan {
    pub day: Weekday,
    pub open: String,
    pub close: String,
}

/// Closed on a date (`YYYY-MM-DD`) from one time to another, `HHMM`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetaHoliday {
    pub date: String,
    pub from: String,
    pub to: String,
}

impl MetaCalling {
    /// What was known before, with what is told now on top.
    #[must_use]
    pub fn updated_by(self, told: Self) -> Self {
        Self {
            status: told.status.or(self.status),
            call_icon_visibility: told.call_icon_visibility.or(self.call_icon_visibility),
            callback_permission_status: told.callback_permission_status.or(self.callback_permission_status),
            call_hours: told.call_hours.or(self.call_hours),
            restrictions: told.restrictions.or(self.restrictions),
        }
    }

    /// The body of `POST /{phone_number_id}/settings`.
    pub(in super::super) fn to_json(&self) -> Vec<u8> {
        let calling = Calling {
            status: self.status.map(switch),
            call_icon_visibility: self.call_icon_visibility,
            call_hours: self.call_hours.as_ref().map(Hours::of),
            callback_permission_status: self.callback_permission_status.map(switch),
        };
        serde_json::to_vec(&Body { calling }).expect("a struct of texts always serialises")
    }
}

/// The settings in an answer of `GET /{phone_number_id}/settings`; `None` when it is not Meta's.
pub(in super::super) fn read_settings(body: &[u8]) -> Option<MetaCalling> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    read_calling(answer.get("calling")?)
}

/// `None` unless `calling` is an object.
pub(super) fn read_calling(calling: &Value) -> Option<MetaCalling> {
    calling.is_object().then(|| MetaCalling {
        status: enabled(calling, "status"),
        call_icon_visibility: match word(calling, "call_icon_visibility").as_str() {
            "default" => Some(Icons::Default),
            "hide_in_chat" => Some(Icons::HideInChat),
            "disable_all" => Some(Icons::DisableAll),
            _ => None,
        },
        callback_permission_status: enabled(calling, "callback_permission_status"),
        call_hours: calling.get("call_hours").and_then(read_hours),
        restrictions: calling.get("restrictions").and_then(read_restrictions),
    })
}

fn enabled(value: &Value, key: &str) -> Option<bool> {
    match word(value, key).as_str() {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

fn read_hours(hours: &Value) -> Option<MetaHours> {
    if !enabled(hours, "status")? {
        return Some(MetaHours::Disabled);
    }
    let span = |span: &Value| {
        Some(MetaSpan {
            day: word(span, "day_of_week").parse().ok()?,
            open: clock_time(span, "open_time")?,
            close: clock_time(span, "close_time")?,
        })
    };
    let mut weekly: Vec<_> = list(hours, "weekly_operating_hours").iter().filter_map(span).collect();
    weekly.sort();
    Some(MetaHours::Enabled {
        time_zone: text(hours, "timezone_id").filter(|zone| zone.len() <= 64),
        weekly,
        holidays: hours.get("holiday_schedule").and_then(Value::as_array).map(|list| read_holidays(list)),
    })
}

fn read_holidays(list: &[Value]) -> Vec<MetaHoliday> {
    let holiday = |holiday: &Value| {
        let date = text(holiday, "date").filter(|date| date.parse::<jiff::civil::Date>().is_ok())?;
        Some(MetaHoliday {
            date,
            from: clock_time(holiday, "start_time").unwrap_or_else(|| "0000".to_owned()),
            to: clock_time(holiday, "end_time").unwrap_or_else(|| "2359".to_owned()),
        })
    };
    let mut holidays: Vec<_> = list.iter().filter_map(holiday).collect();
    holidays.sort();
    holidays
}

/// `HHMM`, however it is written: Meta's samples have `0900`, `09:00` and once `900`. The end of the day is `2359`.
fn clock_time(value: &Value, key: &str) -> Option<String> {
    let written = text(value, key)?;
    let digits = match written.split_once(':') {
        Some((hours, rest)) => format!("{hours:0>2}{}", rest.get(..2)?),
        None => format!("{written:0>4}"),
    };
    let number: u16 =
        digits.parse().ok().filter(|_| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    match (number / 100, number % 100) {
        (24, 0) => Some("2359".to_owned()),
        (0..=23, 0..=59) => Some(digits),
        _ => None,
    }
}

/// The table of the page says `restriction_list`, its sample `restrictions_list`. A list with a kind we do not know cannot
/// tell what is free, so it is as good as not told.
fn read_restrictions(restrictions: &Value) -> Option<Vec<Restricted>> {
    let named = ["restrictions_list", "restriction_list"];
    let list = named.iter().find_map(|key| restrictions.get(key)).unwrap_or(restrictions).as_array()?;
    list.iter().map(|one| read_restricted(one, "type")).collect()
}

const fn switch(on: bool) -> &'static str {
    if on { "ENABLED" } else { "DISABLED" }
}

#[derive(Serialize)]
struct Body<'a> {
    calling: Calling<'a>,
}

#[derive(Serialize)]
struct Calling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_icon_visibility: Option<Icons>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_hours: Option<Hours<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_permission_status: Option<&'static str>,
}

#[derive(Serialize)]
struct Hours<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weekly_operating_hours: Option<Vec<Span<'a>>>,
    /// Leaving it out deletes every closed date at Meta.
    #[serde(skip_serializing_if = "Option::is_none")]
    holiday_schedule: Option<Vec<Holiday<'a>>>,
}

#[derive(Serialize)]
struct Span<'a> {
    day_of_week: String,
    open_time: &'a str,
    close_time: &'a str,
}

#[derive(Serialize)]
struct Holiday<'a> {
    date: &'a str,
    start_time: &'a str,
    end_time: &'a str,
}

impl<'a> Hours<'a> {
    fn of(hours: &'a MetaHours) -> Self {
        let MetaHours::Enabled { time_zone, weekly, holidays } = hours else {
            return Self {
                status: switch(false),
                timezone_id: None,
                weekly_operating_hours: None,
                holiday_schedule: None,
            };
        };
        let span = |span: &'a MetaSpan| Span {
            day_of_week: span.day.as_str().to_uppercase(),
            open_time: &span.open,
            close_time: &span.close,
        };
        let holiday = |day: &'a MetaHoliday| Holiday { date: &day.date, start_time: &day.from, end_time: &day.to };
        Self {
            status: switch(true),
            timezone_id: time_zone.as_deref(),
            weekly_operating_hours: Some(weekly.iter().map(span).collect()),
            holiday_schedule: Some(holidays.iter().flatten().map(holiday).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(calling: Value) -> MetaCalling {
        read_settings(json!({ "calling": calling }).to_string().as_bytes()).expect("an object")
    }

    fn span(day: Weekday, open: &str, close: &str) -> MetaSpan {
        MetaSpan { day, open: open.to_owned(), close: close.to_owned() }
    }

    fn holiday(date: &str, from: &str, to: &str) -> MetaHoliday {
        MetaHoliday { date: date.to_owned(), from: from.to_owned(), to: to.to_owned() }
    }

    /// As Meta's page shows it, with all that is none of our business.
    fn whole() -> Value {
        json!({
            "status": "ENABLED", "call_icon_visibility": "DEFAULT", "call_icons": {"restrict_to_user_countries": ["GE"]},
            "call_hours": {"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": [
                {"day_of_week": "MONDAY", "open_time": "1400", "close_time": "1800"},
                {"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1300"}],
                "holiday_schedule": [{"date": "2027-01-07", "start_time": "0000", "end_time": "2359"}]},
            "callback_permission_status": "ENABLED", "srtp_key_exchange_protocol": "DTLS",
            "audio": {"additional_codecs": []}, "sip": {"status": "DISABLED"}, "ip_addresses": {"default": []}})
    }

    #[test]
    fn settings_are_read_as_meta_documents_them() {
        let want = MetaCalling {
            status: Some(true),
            call_icon_visibility: Some(Icons::Default),
            callback_permission_status: Some(true),
            call_hours: Some(MetaHours::Enabled {
                time_zone: Some("Asia/Tbilisi".to_owned()),
                weekly: vec![span(Weekday::Monday, "0900", "1300"), span(Weekday::Monday, "1400", "1800")],
                holidays: Some(vec![holiday("2027-01-07", "0000", "2359")]),
            }),
            restrictions: None,
        };
        assert_eq!(read(whole()), want);
        let kept = serde_json::to_value(&want).unwrap();
        assert_eq!(serde_json::from_value::<MetaCalling>(kept).unwrap(), want, "what the store keeps reads back");
    }

    #[test]
    fn what_is_missing_or_nonsense_was_not_told() {
        let nothing = MetaCalling::default();
        for calling in [
            json!({}),
            json!({"status": null, "call_icon_visibility": 7, "call_hours": "ENABLED", "callback_permission_status": []}),
            json!({"status": "MAYBE", "call_icon_visibility": "SOMETIMES", "call_hours": {"status": "?"}, "restrictions": 1}),
            json!({"call_hours": {}, "restrictions": {"restrictions_list": [{"type": "RESTRICTED_SOMETHING_NEW"}]}}),
        ] {
            assert_eq!(read(calling.clone()), nothing, "{calling}");
        }
        for body in ["", "<html>", "[]", "{}", r#"{"calling":null}"#, r#"{"calling":[]}"#, r#"{"calling":"ENABLED"}"#] {
            assert_eq!(read_settings(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn times_are_read_in_every_spelling_and_refused_otherwise() {
        for (written, want) in [
            (json!("0900"), Some("0900")),
            (json!("09:00"), Some("0900")),
            (json!("9:05"), Some("0905")),
            (json!("09:00:00"), Some("0900")),
            (json!("900"), Some("0900")),
            (json!(900), Some("0900")),
            (json!("2400"), Some("2359")),
            (json!("24:00"), Some("2359")),
            (json!("2460"), None),
            (json!("1260"), None),
            (json!("+900"), None),
            (json!("09:é"), None),
            (json!("٠٩٠٠"), None),
            (json!("noon"), None),
            (json!("99999"), None),
        ] {
            assert_eq!(clock_time(&json!({"t": written}), "t").as_deref(), want, "{written}");
        }
    }

    #[test]
    fn an_unusable_span_or_holiday_hides_no_other() {
        let hours = json!({"status": "enabled", "weekly_operating_hours": [7, {"day_of_week": "SOMEDAY"},
            {"day_of_week": "sunday", "open_time": "10:00", "close_time": "12:00"}, {"day_of_week": "MONDAY", "open_time": "0900"}],
            "holiday_schedule": [{"date": "2027-02-30"}, {"date": "soon"}, null, {"date": "2027-05-26"}]});
        let want = MetaHours::Enabled {
            time_zone: None,
            weekly: vec![span(Weekday::Sunday, "1000", "1200")],
            holidays: Some(vec![holiday("2027-05-26", "0000", "2359")]),
        };
        assert_eq!(read(json!({ "call_hours": hours })).call_hours, Some(want));
        let empty = json!({"call_hours": {"status": "ENABLED", "timezone_id": "UTC"}});
        let Some(MetaHours::Enabled { holidays, .. }) = read(empty).call_hours else { panic!("they are on") };
        assert_eq!(holidays, None, "no list is not an empty list");
    }

    #[test]
    fn only_the_documented_keys_that_are_ours_are_written() {
        #[track_caller]
        fn check(calling: MetaCalling, want: Value) {
            let written: Value = serde_json::from_slice(&calling.to_json()).unwrap();
            assert_eq!(written, json!({ "calling": want }));
        }
        check(
            read(whole()),
            json!({"status": "ENABLED", "call_icon_visibility": "DEFAULT", "callback_permission_status": "ENABLED",
                "call_hours": {"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": [
                    {"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1300"},
                    {"day_of_week": "MONDAY", "open_time": "1400", "close_time": "1800"}],
                    "holiday_schedule": [{"date": "2027-01-07", "start_time": "0000", "end_time": "2359"}]}}),
        );
        let off = MetaCalling {
            status: Some(false),
            call_icon_visibility: Some(Icons::DisableAll),
            callback_permission_status: Some(false),
            call_hours: Some(MetaHours::Disabled),
            restrictions: Some(Vec::new()),
        };
        check(
            off,
            json!({"status": "DISABLED", "call_icon_visibility": "DISABLE_ALL", "callback_permission_status": "DISABLED",
                "call_hours": {"status": "DISABLED"}}),
        );
        check(MetaCalling::default(), json!({}));
    }

    #[test]
    fn hours_that_are_on_always_carry_the_list_of_closed_dates() {
        for holidays in [None, Some(Vec::new())] {
            let hours = MetaHours::Enabled { time_zone: Some("UTC".to_owned()), weekly: Vec::new(), holidays };
            let calling = MetaCalling { call_hours: Some(hours), ..MetaCalling::default() };
            let written: Value = serde_json::from_slice(&calling.to_json()).unwrap();
            assert_eq!(written["calling"]["call_hours"]["holiday_schedule"], json!([]));
        }
    }

    #[test]
    fn news_lie_on_top_of_what_was_known() {
        let news = read(json!({"status": "DISABLED", "sip": {"status": "ENABLED"}}));
        let now = read(whole()).updated_by(news);
        assert_eq!(now, MetaCalling { status: Some(false), ..read(whole()) });
    }
}
