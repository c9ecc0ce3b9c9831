//! What Meta accepts in the `calling` object of a number's settings.

// The types exist to be read from JSON: reading refuses unknown keys, words and shapes.
#![allow(dead_code, reason = "many fields are only read to be checked")]

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::wire::GraphError;
use super::hours::{CallHours, Span};

const SPANS_PER_DAY_MAX: usize = 2;
const HOLIDAYS_MAX: usize = 20;
const VOICEMAIL_TIMEOUT_SECONDS_MAX: u64 = 30;

/// What a POST may carry. `restrictions`, `ip_addresses` and `video` are only ever read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calling {
    status: Option<Switch>,
    call_icon_visibility: Option<IconVisibility>,
    call_icons: Option<CallIcons>,
    call_hours: Option<CallHours>,
    callback_permission_status: Option<Switch>,
    srtp_key_exchange_protocol: Option<KeyExchange>,
    audio: Option<Audio>,
    sip: Option<Sip>,
    voicemail: Option<Voicemail>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Switch {
    Enabled,
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum IconVisibility {
    Default,
    DisableAll,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallIcons {
    restrict_to_user_countries: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyExchange {
    Dtls,
    Sdes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audio {
    additional_codecs: Vec<Codec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Codec {
    Pcma,
    Pcmu,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sip {
    status: Option<Switch>,
    webhook_delivery: Option<Switch>,
    servers: Option<Vec<SipServer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SipServer {
    hostname: String,
    port: Option<u16>,
    request_uri_user_params: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Voicemail {
    status: Switch,
    triggers: Option<Vec<Trigger>>,
    audio: Option<VoicemailAudio>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Trigger {
    Reject,
    Timeout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoicemailAudio {
    default: Option<Announcement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announcement {
    announcement_media_id: Option<Value>,
    timeout_seconds: Option<u64>,
}

/// Refuses what Meta would. `now` is in Unix seconds: holidays must not lie in the past.
pub(super) fn check(calling: &Map<String, Value>, now: u64) -> Result<(), GraphError> {
    if let Some((key, _)) = calling.iter().find(|(_, value)| value.is_null()) {
        return Err(refused(&format!("calling.{key} must not be null")));
    }
    let calling = Calling::deserialize(Value::Object(calling.clone()))
        .map_err(|error| refused(&format!("Invalid parameter in calling: {error}")))?;
    if let Some(icons) = &calling.call_icons {
        check_countries(&icons.restrict_to_user_countries)?;
    }
    if let Some(hours) = &calling.call_hours {
        check_hours(hours, now)?;
    }
    match &calling.voicemail {
        Some(voicemail) => check_voicemail(voicemail),
        None => Ok(()),
    }
}

fn check_countries(countries: &[String]) -> Result<(), GraphError> {
    match countries.iter().find(|code| code.len() != 2 || !code.bytes().all(|letter| letter.is_ascii_uppercase())) {
        Some(code) => Err(refused(&format!("{code:?} is not a country code of two capital letters"))),
        None => Ok(()),
    }
}

fn check_hours(hours: &CallHours, now: u64) -> Result<(), GraphError> {
    let zone = match &hours.timezone_id {
        Some(id) => TimeZone::get(id).map_err(|_| refused(&format!("{id:?} is not a time zone")))?,
        None if hours.status == Switch::Disabled => TimeZone::UTC,
        None => return Err(refused("call_hours.timezone_id is missing")),
    };
    match &hours.weekly_operating_hours {
        None if hours.status == Switch::Disabled => {}
        Some(week) if !week.is_empty() => check_week(hours)?,
        _ => return Err(refused("call_hours.weekly_operating_hours needs at least one entry")),
    }
    let holidays = hours.holiday_schedule.as_deref().unwrap_or_default();
    if holidays.len() > HOLIDAYS_MAX {
        return Err(refused(&format!("call_hours.holiday_schedule has more than {HOLIDAYS_MAX} entries")));
    }
    let today = super::hours::local(now, &zone).date();
    for holiday in holidays {
        let date: Date = holiday.date.parse().map_err(|_| refused(&format!("{:?} is not a date", holiday.date)))?;
        if date < today {
            return Err(refused(&format!("the holiday {date} has passed")));
        }
        span(&holiday.start_time, &holiday.end_time)?;
    }
    Ok(())
}

fn check_week(hours: &CallHours) -> Result<(), GraphError> {
    for day in super::hours::DAYS {
        let of_day = hours.weekly_operating_hours.iter().flatten().filter(|entry| entry.day_of_week == day);
        let mut spans: Vec<Span> =
            of_day.map(|entry| span(&entry.open_time, &entry.close_time)).collect::<Result<_, _>>()?;
        if spans.len() > SPANS_PER_DAY_MAX {
            return Err(refused(&format!("{day:?} has more than {SPANS_PER_DAY_MAX} entries")));
        }
        spans.sort_by_key(|span| span.from);
        if spans.windows(2).any(|pair| pair[1].from < pair[0].to) {
            return Err(refused(&format!("the hours of {day:?} overlap")));
        }
    }
    Ok(())
}

fn span(from: &str, to: &str) -> Result<Span, GraphError> {
    let span = Span::parse(from, to).ok_or_else(|| refused(&format!("{from:?} and {to:?} must be times as HHMM")))?;
    if span.from >= span.to {
        return Err(refused(&format!("{from} must be before {to}")));
    }
    Ok(span)
}

fn check_voicemail(voicemail: &Voicemail) -> Result<(), GraphError> {
    let timeout = voicemail.audio.as_ref().and_then(|a| a.default.as_ref()).and_then(|a| a.timeout_seconds);
    let waits = voicemail.triggers.iter().flatten().any(|trigger| *trigger == Trigger::Timeout);
    match timeout {
        None if waits => Err(refused("the voicemail trigger TIMEOUT needs timeout_seconds")),
        Some(seconds) if seconds > VOICEMAIL_TIMEOUT_SECONDS_MAX => {
            Err(refused(&format!("timeout_seconds must be at most {VOICEMAIL_TIMEOUT_SECONDS_MAX}")))
        }
        _ => Ok(()),
    }
}

fn refused(details: &str) -> GraphError {
    GraphError::new(100, details)
}
