//! Phone numbers of people. They print themselves redacted; only the API and WhatsApp see them whole.

use std::fmt;

/// A number in E.164 form (ITU-T E.164: up to 15 digits, the first not 0), kept as digits without `+`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone(String);

/// Text that is no international phone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an international phone number: write `+` or `00`, then 7 to 15 digits with the country code first")]
pub struct BadPhone;

impl Phone {
    /// Reads `+995…`, `00995…` or WhatsApp's bare digits; spaces, dots, dashes and brackets between digits are passed over.
    ///
    /// # Errors
    /// [`BadPhone`] when fewer than 7 or more than 15 digits remain, or the first is 0.
    pub fn parse(text: &str) -> Result<Self, BadPhone> {
        let text = text.trim();
        let text = text.strip_prefix('+').or_else(|| text.strip_prefix("00")).unwrap_or(text);
        let mut digits = String::with_capacity(15);
        for c in text.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '(' | ')' => {}
                _ => return Err(BadPhone),
            }
        }
        if (7..=15).contains(&digits.len()) && !digits.starts_with('0') { Ok(Self(digits)) } else { Err(BadPhone) }
    }

    /// The digits as WhatsApp writes them, without `+`.
    pub fn wa_id(&self) -> &str {
        &self.0
    }

    /// E.164 with `+`.
    pub fn e164(&self) -> String {
        format!("+{}", self.0)
    }
}

impl serde::Serialize for Phone {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(&format_args!("+{}", self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Phone {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(de)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.get(self.0.len().saturating_sub(2)..).unwrap_or("");
        write!(f, "+…{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_common_spelling_and_refused_otherwise() {
        for (text, want) in [
            ("+995 555 010-203", Some("995555010203")),
            ("00995555010203", Some("995555010203")),
            ("995555010203", Some("995555010203")),
            ("+1 (876) 555.0100", Some("18765550100")),
            ("0555010203", None),
            ("+12345", None),
            ("+1234567890123456", None),
            ("call me", None),
        ] {
            assert_eq!(Phone::parse(text).ok().as_ref().map(Phone::wa_id), want, "{text}");
        }
    }

    #[test]
    fn a_number_is_redacted_in_logs() {
        assert_eq!(format!("{:?}", Phone::parse("+995555010203").unwrap()), "+…03");
    }
}
