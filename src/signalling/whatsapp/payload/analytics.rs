//! WhatsApp's own count of calls: the answer of `GET /{waba_id}?fields=call_analytics…`.
//! Source: Meta's page "Analytics", section "Call analytics"
//! (developers.facebook.com/documentation/business-messaging/whatsapp/analytics#call-analytics), and "Calling API Pricing".

use serde_json::Value;

use crate::model::money::{Currency, Micros};
use crate::model::time::Timestamp;

use super::field::{list, text, time};

/// What an account's calls came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallAnalytics {
    /// In which the account pays; `None`: not told.
    pub currency: Option<Currency>,
    /// In no order; stretches without calls may be left out.
    pub points: Vec<CallFigures>,
}

/// What the calls of one stretch of time came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFigures {
    pub starts_at: Timestamp,
    /// Completed calls.
    pub calls: i64,
    pub cost_micros: Micros,
    /// Of all of them: Meta tells the average in seconds.
    pub duration_ms: i64,
}

/// `None` when the answer is not one about this, or a figure in it cannot be read: half a count would be a wrong one.
pub(in super::super) fn read_analytics(body: &[u8]) -> Option<CallAnalytics> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let analytics = match answer.get("call_analytics") {
        Some(analytics) => analytics,
        // An account without a call in that time has no such field, only its id.
        None if answer.get("id").is_some() => &Value::Null,
        None => return None,
    };
    // The page of 2026 shows the points in the object itself, that of 2024 in a list `data`.
    let blocks = std::iter::once(analytics).chain(list(analytics, "data"));
    let points = blocks.flat_map(|block| list(block, "data_points")).map(read_point).collect::<Option<_>>()?;
    Some(CallAnalytics { currency: text(&answer, "currency").and_then(|code| Currency::parse(&code).ok()), points })
}

fn read_point(point: &Value) -> Option<CallFigures> {
    let (calls, cost, average) = (number(point, "count")?, number(point, "cost")?, number(point, "average_duration")?);
    Some(CallFigures {
        starts_at: time(point, "start")?,
        calls: rounded(calls)?,
        cost_micros: rounded(cost * 1e6)?,
        duration_ms: rounded(calls * average * 1e3)?,
    })
}

/// A decimal, written as a number or as text; absent and null are 0, as where nothing was talked.
fn number(point: &Value, key: &str) -> Option<f64> {
    match point.get(key) {
        None | Some(Value::Null) => Some(0.0),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    }
}

/// Between 0 and a sum that a day of calls does not reach.
fn rounded(number: f64) -> Option<i64> {
    const MAX: f64 = 1e15;
    #[allow(clippy::cast_possible_truncation, reason = "bounded on the same line")]
    (0.0..=MAX).contains(&number).then_some(number.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: &Value) -> Option<CallAnalytics> {
        read_analytics(answer.to_string().as_bytes())
    }

    fn figures(start: i64, calls: i64, cost_micros: i64, duration_ms: i64) -> CallFigures {
        CallFigures { starts_at: Timestamp::from_secs(start), calls, cost_micros, duration_ms }
    }

    #[test]
    fn both_documented_shapes_are_read() {
        let points = json!([
            {"start": 1_765_958_400, "end": 1_766_044_800, "cost": 0.47795, "count": 35, "average_duration": 106},
            {"start": "1760943600", "end": "1761030000", "cost": 0, "count": 20, "average_duration": 103.5}]);
        let want = vec![figures(1_765_958_400, 35, 477_950, 3_710_000), figures(1_760_943_600, 20, 0, 2_070_000)];
        let now = json!({"call_analytics": {"granularity": "DAILY", "directions": "USER_INITIATED", "data_points": points},
            "currency": "USD", "id": "102290129340398"});
        let before = json!({"call_analytics": {"data": [{ "data_points": points }]}, "id": "114525791557199"});
        assert_eq!(read(&now), Some(CallAnalytics { currency: Some(Currency::USD), points: want.clone() }));
        assert_eq!(read(&before), Some(CallAnalytics { currency: None, points: want }));
    }

    #[test]
    fn no_calls_are_no_points_in_every_way_of_saying_it() {
        for answer in [
            json!({"id": "1"}),
            json!({"id": "1", "call_analytics": {}}),
            json!({"id": "1", "call_analytics": {"data_points": []}}),
            json!({"id": "1", "call_analytics": {"data": []}}),
        ] {
            assert_eq!(read(&answer).map(|read| read.points), Some(vec![]), "{answer}");
        }
    }

    #[test]
    fn figures_that_cannot_be_read_make_the_count_unreadable() {
        let with = |key: &str, value: Value| {
            let mut point = json!({"start": 1_765_958_400, "cost": 1, "count": 2, "average_duration": 3});
            point[key] = value;
            read(&json!({"id": "1", "call_analytics": {"data_points": [point]}})).map(|read| read.points)
        };
        assert_eq!(with("cost", json!("1.25")), Some(vec![figures(1_765_958_400, 2, 1_250_000, 6_000)]));
        assert_eq!(with("average_duration", Value::Null), Some(vec![figures(1_765_958_400, 2, 1_000_000, 0)]));
        for nonsense in [json!(-1), json!("much"), json!([]), json!(1e300), json!("NaN"), json!(true)] {
            for key in ["count", "cost", "average_duration"] {
                assert_eq!(with(key, nonsense.clone()), None, "{key} {nonsense}");
            }
        }
        assert_eq!(with("start", Value::Null), None);
        for answer in [json!({}), json!([]), json!({"success": true})] {
            assert_eq!(read(&answer), None, "{answer}");
        }
    }
}
