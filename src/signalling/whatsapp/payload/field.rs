//! Single fields, read whatever way Meta writes them today.

use serde_json::Value;

use crate::model::phone::Phone;
use crate::model::time::Timestamp;

/// WhatsApp profile names have at most 25 characters, names of businesses more; a popup has room for this.
const NAME_CHARS_MAX: usize = 100;
/// Meta's own limit for payloads and callback data.
const PAYLOAD_CHARS_MAX: usize = 512;
/// Enough for a sentence in a log line.
const SENTENCE_CHARS_MAX: usize = 300;
/// Names of fields, events and types end up in logs.
const WORD_CHARS_MAX: usize = 64;
/// The last second of the year 9999, the end of RFC 3339.
const SECOND_MAX: i64 = 253_402_300_799;
/// From here on a number must be milliseconds: as seconds it would be the year 5138.
const MILLISECOND_MIN: i64 = 100_000_000_000;

/// Text; numbers count as their digits, an empty string as absent.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, written as a number or as text.
pub(super) fn integer(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A truth, written as such, as text or as 0 and 1.
pub(super) fn truth(value: &Value, key: &str) -> Option<bool> {
    match value.get(key)? {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Number(number) => number.as_i64().map(|n| n != 0),
        _ => None,
    }
}

/// A moment in Unix time. 0 and moments that no calendar can show count as absent.
pub(super) fn time(value: &Value, key: &str) -> Option<Timestamp> {
    let number = integer(value, key)?;
    match number {
        1..MILLISECOND_MIN => Some(Timestamp::from_secs(number)),
        MILLISECOND_MIN.. if number <= SECOND_MAX * 1000 => Some(Timestamp::from_millis(number)),
        _ => None,
    }
}

pub(super) fn phone(value: &Value, key: &str) -> Option<Phone> {
    Phone::parse(&text(value, key)?).ok()
}

/// A business-scoped user id, in the shape that a contact reference `user:…` can name.
pub(super) fn user_id(value: &Value, key: &str) -> Option<String> {
    text(value, key).filter(|id| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'))
}

/// A name for display.
pub(super) fn name(value: &Value, key: &str) -> Option<String> {
    displayable(&text(value, key)?, NAME_CHARS_MAX)
}

/// Data that only passes through us; bounded, otherwise untouched.
pub(super) fn payload(value: &Value, key: &str) -> Option<String> {
    text(value, key).map(|text| text.chars().take(PAYLOAD_CHARS_MAX).collect())
}

/// A sentence of Meta's, for logs and people.
pub(super) fn sentence(value: &Value, key: &str) -> Option<String> {
    displayable(&text(value, key)?, SENTENCE_CHARS_MAX)
}

/// A word that we compare with our own list; lower case, empty if absent.
pub(super) fn word(value: &Value, key: &str) -> String {
    text(value, key).and_then(|text| displayable(&text, WORD_CHARS_MAX)).unwrap_or_default().to_lowercase()
}

/// The elements of a list; none if it is no list.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Without what could forge a log line or turn the text around, and no longer than `chars_max`.
fn displayable(text: &str, chars_max: usize) -> Option<String> {
    let clean: String = text.chars().filter(|c| !is_harmful(*c)).collect();
    let short: String = clean.trim().chars().take(chars_max).collect();
    let short = short.trim_end();
    (!short.is_empty()).then(|| short.to_owned())
}

/// C0 and C1 controls, line and paragraph separators, and the characters that set or isolate a writing direction
/// (Unicode Technical Report 36, section 2.5: bidirectional text spoofing).
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `None` unless the number is whole and exactly held by an `f64`.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "bounded on the same line")]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_as_text_and_as_numbers_and_nonsense_is_absent() {
        #[track_caller]
        fn check(written: Value, want_ms: Option<i64>) {
            assert_eq!(time(&json!({ "t": written }), "t").map(Timestamp::as_millis), want_ms, "{written}");
        }
        check(json!("1795000000"), Some(1_795_000_000_000));
        check(json!(" 1795000000 "), Some(1_795_000_000_000));
        check(json!(1_795_000_000), Some(1_795_000_000_000));
        check(json!(1_795_000_000.0), Some(1_795_000_000_000));
        check(json!(1_795_000_000_123_i64), Some(1_795_000_000_123));
        for nonsense in [
            json!(""),
            json!("soon"),
            json!(0),
            json!(-5),
            json!(null),
            json!([]),
            json!(1.5),
            json!(i64::MAX),
            json!(1e300),
        ] {
            check(nonsense, None);
        }
    }

    #[test]
    fn names_lose_what_could_deceive_and_keep_every_script() {
        #[track_caller]
        fn check(given: &str, want: Option<&str>) {
            assert_eq!(name(&json!({ "name": given }), "name").as_deref(), want, "{given:?}");
        }
        check("ნინო 👩‍💻 Ó", Some("ნინო 👩‍💻 Ó"));
        check("  Nino\t\r\n", Some("Nino"));
        check("Ni\u{202e}on\u{2066}\u{200f}", Some("Nion"));
        check("Ni\u{0}\u{1b}[31mno\u{85}\u{2028}", Some("Ni[31mno"));
        check("<script>alert(1)</script>", Some("<script>alert(1)</script>"));
        check("\u{200e}\u{7f} ", None);
        check("", None);
        check(&"ж".repeat(5000), Some(&"ж".repeat(100)));
    }

    #[test]
    fn a_user_id_must_be_one_that_a_contact_reference_can_name() {
        for (given, fine) in
            [("GE.1000000000000000001", true), ("GE/1", false), ("GE 1", false), ("", false), (&"1".repeat(65), false)]
        {
            assert_eq!(user_id(&json!({ "id": given }), "id").is_some(), fine, "{given}");
        }
    }
}
