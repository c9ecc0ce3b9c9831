//! What the readers of JSON and queries complain about, in words for people.

use axum::extract::rejection::JsonRejection;

use super::problem::{Code, Problem};

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let text = rejection.body_text();
        let complaint = without_preamble(&text);
        match rejection {
            // Where in the text the value stands says nothing that its name does not.
            JsonRejection::JsonDataError(_) => {
                let complaint = complaint.rsplit_once(" at line ").map_or(complaint, |(complaint, _)| complaint);
                Self::new(Code::InvalidField, in_words(complaint))
            }
            _ => Self::new(Code::InvalidJson, complaint),
        }
    }
}

/// The library's own sentence starts with what every such refusal has in common.
pub(crate) fn without_preamble(sentence: &str) -> &str {
    sentence.split_once(": ").map_or(sentence, |(_, complaint)| complaint)
}

/// `path: what was found, expected what was wanted`, without the names that types have in the source.
pub(crate) fn in_words(complaint: &str) -> String {
    // The name of a day or the like that could not be read is told by the complaint itself.
    let (path, complaint) = match complaint.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') => (format!("{}: ", path.replace(".?", ".*")), rest),
        _ => (String::new(), complaint),
    };
    let Some((found, wanted)) = complaint.rsplit_once(", expected ") else { return format!("{path}{complaint}") };
    let wanted = match wanted {
        "i64" | "u64" | "i32" | "u32" => "a whole number",
        "a boolean" => "true or false",
        "a tuple of size 2" => "a list of two",
        "a sequence" => "a list in brackets",
        "a map" => "an object in braces",
        wanted if wanted.starts_with("struct ") => "an object in braces",
        wanted => wanted,
    };
    format!("{path}{found}, expected {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_no_type_of_ours() {
        for (complaint, want) in [
            (
                "micros: invalid type: string \"5\", expected i64",
                "micros: invalid type: string \"5\", expected a whole number",
            ),
            (
                "call_hours.weekly.?[0]: invalid length 1, expected a tuple of size 2",
                "call_hours.weekly.*[0]: invalid length 1, expected a list of two",
            ),
            (
                "switches: invalid type: integer `1`, expected struct Switches",
                "switches: invalid type: integer `1`, expected an object in braces",
            ),
            (
                "plan: unknown variant `.?`, expected one of `a`, `b`",
                "plan: unknown variant `.?`, expected one of `a`, `b`",
            ),
            ("missing field `number_id`", "missing field `number_id`"),
            ("number_id: missing", "number_id: missing"),
        ] {
            assert_eq!(in_words(complaint), want);
        }
    }
}
