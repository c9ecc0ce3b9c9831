//! What calls came to: the field `call_analytics` of a WhatsApp business account (Meta's page "Analytics", section "Call
//! analytics"). It counts every call that was picked up, at its end, whatever the business says about it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::payload::Direction;
use super::wire::GraphError;

/// The answered calls of all numbers.
#[derive(Default)]
pub(super) struct Counted {
    calls: Mutex<Vec<Talk>>,
}

/// Times in Unix seconds.
#[derive(Clone)]
struct Talk {
    /// Digits of the business number.
    number: String,
    direction: Direction,
    started: u64,
    ended: u64,
}

impl Counted {
    pub(super) fn add(&self, number: &str, direction: Direction, started: u64, ended: u64) {
        self.lock().push(Talk { number: number.to_owned(), direction, started, ended });
    }

    pub(super) fn date_back(&self, by: Duration) {
        for talk in self.lock().iter_mut() {
            talk.started -= by.as_secs();
            talk.ended -= by.as_secs();
        }
    }

    /// Answers `GET /{account}?fields=…`.
    pub(super) fn answer(&self, account: &str, fields: &str, price_per_minute: f64) -> Result<Value, GraphError> {
        let mut answer = json!({ "id": account });
        for field in top_level(fields) {
            match field.split_once('.').map_or(field, |(name, _)| name) {
                "id" => {}
                "currency" => answer["currency"] = json!("USD"),
                "call_analytics" => {
                    let question = Question::parse(field)?;
                    let points = self.points(&question, price_per_minute);
                    // Where nothing was called, Meta leaves the field out.
                    if !points.is_empty() {
                        answer["call_analytics"] = json!({"granularity": question.granularity, "data_points": points});
                    }
                }
                other => {
                    return Err(GraphError::new(100, &format!("Tried accessing nonexisting field ({other})")));
                }
            }
        }
        Ok(answer)
    }

    fn points(&self, question: &Question, price_per_minute: f64) -> Vec<Value> {
        let mut points: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for talk in self.lock().iter().filter(|talk| question.covers(talk)) {
            points.entry(talk.ended / question.step * question.step).or_default().push(talk.ended - talk.started);
        }
        let charged = question.directions.contains(&Direction::BusinessInitiated.word().to_owned());
        let point = |(start, seconds): (u64, Vec<u64>)| {
            let pulses: u64 = seconds.iter().map(|seconds| seconds.div_ceil(6)).sum();
            let (count, total) = (seconds.len() as u64, seconds.iter().sum::<u64>());
            let cost = if charged { (pulses as f64 * price_per_minute * 1e4).round() / 1e5 } else { 0.0 };
            json!({"start": start, "end": start + question.step, "count": count, "cost": cost,
                "average_duration": (total + count / 2) / count})
        };
        points.into_iter().map(point).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Talk>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is asked of one stretch of time.
struct Question {
    start: u64,
    end: u64,
    granularity: String,
    /// Seconds of a point.
    step: u64,
    /// One: the fake does not split what it adds up.
    directions: Vec<String>,
    /// Digits; empty: all.
    numbers: Vec<String>,
}

impl Question {
    /// `call_analytics.start(1).end(2).granularity(DAILY)…`
    fn parse(field: &str) -> Result<Self, GraphError> {
        let bad = |what: &str| GraphError::new(100, &format!("call_analytics: {what}"));
        let mut given = HashMap::new();
        let mut rest = field.strip_prefix("call_analytics").unwrap_or_default();
        while let Some(parameter) = rest.strip_prefix('.') {
            let (name, after) = parameter.split_once('(').ok_or_else(|| bad("write .name(value)"))?;
            let (value, after) = after.split_once(')').ok_or_else(|| bad("a parenthesis is not closed"))?;
            given.insert(name, value);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(bad("write .name(value)"));
        }
        let list = |text: &str| {
            let plain = text.trim_matches(|c| matches!(c, '[' | ']'));
            let words = plain.split(',').map(|word| word.trim().trim_matches('"').to_owned());
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>()
        };
        let seconds = |text: Option<&str>, name: &str| {
            text.and_then(|text| text.parse().ok()).ok_or_else(|| bad(&format!("{name} must be a Unix time")))
        };
        let question = Self {
            start: seconds(given.remove("start"), "start")?,
            end: seconds(given.remove("end"), "end")?,
            step: match given.get("granularity") {
                Some(&"HALF_HOUR") => 1_800,
                Some(&"DAILY") => 86_400,
                _ => return Err(bad("granularity must be HALF_HOUR or DAILY")),
            },
            granularity: given.remove("granularity").unwrap_or_default().to_owned(),
            directions: list(given.remove("directions").unwrap_or_default()),
            numbers: list(given.remove("phone_numbers").unwrap_or_default()),
        };
        if let Some(other) = given.keys().next() {
            return Err(bad(&format!("the fake does not know `{other}`")));
        }
        let known = [Direction::UserInitiated, Direction::BusinessInitiated].map(Direction::word);
        match &question.directions[..] {
            [one] if known.contains(&one.as_str()) => Ok(question),
            _ => Err(bad("the fake answers for one of the two directions at a time")),
        }
    }

    fn covers(&self, talk: &Talk) -> bool {
        (self.start..self.end).contains(&talk.ended)
            && self.directions.iter().any(|word| word == talk.direction.word())
            && (self.numbers.is_empty() || self.numbers.contains(&talk.number))
    }
}

/// Fields between commas, but not those within parentheses.
fn top_level(fields: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = fields.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: &str =
        "currency,call_analytics.start(0).end(86400).granularity(HALF_HOUR).directions(BUSINESS_INITIATED)";

    #[test]
    fn answered_calls_are_added_up_by_half_hours_of_their_end() {
        let counted = Counted::default();
        assert_eq!(counted.answer("2", ASK, 0.01).unwrap(), json!({"id": "2", "currency": "USD"}));
        for (direction, started, ended) in [
            (Direction::BusinessInitiated, 1_000, 1_056),
            (Direction::BusinessInitiated, 1_700, 1_801),
            (Direction::BusinessInitiated, 1_790, 1_803),
            (Direction::BusinessInitiated, 86_390, 86_400),
            (Direction::UserInitiated, 1_000, 1_060),
        ] {
            counted.add("995322000111", direction, started, ended);
        }
        let points = json!([
            {"start": 0, "end": 1_800, "count": 1, "cost": 0.01, "average_duration": 56},
            {"start": 1_800, "end": 3_600, "count": 2, "cost": 0.02, "average_duration": 57}]);
        assert_eq!(counted.answer("2", ASK, 0.01).unwrap()["call_analytics"]["data_points"], points);
        let inbound = counted.answer("2", &ASK.replace("BUSINESS", "USER"), 0.01).unwrap();
        assert_eq!(inbound["call_analytics"]["data_points"][0]["cost"], json!(0.0));
        let other = counted.answer("2", &format!("{ASK}.phone_numbers([\"1\"])"), 0.01).unwrap();
        assert_eq!(other.get("call_analytics"), None);
    }

    #[test]
    fn what_the_fake_cannot_answer_is_refused_and_not_guessed() {
        for fields in [
            "name",
            "call_analytics",
            "call_analytics.start(0).end(1)",
            "call_analytics.start(0).end(1).granularity(HOUR).directions(USER_INITIATED)",
            "call_analytics.start(0).end(1).granularity(DAILY)",
            "call_analytics.start(0).end(1).granularity(DAILY).directions(USER_INITIATED).dimensions(phone)",
            "call_analytics.start(0",
        ] {
            assert_eq!(Counted::default().answer("2", fields, 0.01).unwrap_err().code, 100, "{fields}");
        }
    }
}
