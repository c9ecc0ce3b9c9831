//! Countries, and which one a phone number belongs to.

use std::fmt;

use super::phone::Phone;

mod codes;

/// An ISO 3166-1 alpha-2 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, example = "GE")]
pub struct Country([u8; 2]);

/// Text that is no country code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a country: write the two capital letters of ISO 3166-1, such as `GE`")]
pub struct BadCountry(String);

impl Country {
    /// Digits of a phone number that decide its country.
    pub const DIGITS: usize = codes::LONGEST_PREFIX;

    /// # Errors
    /// [`BadCountry`] unless it is two letters A to Z.
    pub fn parse(text: &str) -> Result<Self, BadCountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err(BadCountry(text.to_owned())),
        }
    }

    /// The country a number belongs to, by its longest known prefix (ITU-T E.164 assigned codes; within +1 by the area
    /// codes of the North American Numbering Plan). `None` for codes that belong to no country.
    pub fn of_phone(phone: &Phone) -> Option<Self> {
        Self::of_digits(phone.wa_id())
    }

    /// The same, of a number's first digits; [`Self::DIGITS`] of them are enough.
    pub fn of_digits(digits: &str) -> Option<Self> {
        codes::owner(digits).map(Self)
    }

    /// The country in a business-scoped user id, `CC.digits`.
    pub fn of_user_id(user_id: &str) -> Option<Self> {
        Self::parse(user_id.split_once('.')?.0).ok()
    }

    /// Whether the code is assigned to a country: `UK` is well formed, but Britain's is `GB`.
    pub fn is_assigned(self) -> bool {
        codes::is_assigned(self.0)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Country {
    type Err = BadCountry;

    fn from_str(text: &str) -> Result<Self, BadCountry> {
        Self::parse(text)
    }
}

impl serde::Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Country {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(de)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: &str, want: Option<&str>) {
        let phone = Phone::parse(number).unwrap();
        assert_eq!(Country::of_phone(&phone), want.map(|code| Country::parse(code).unwrap()), "{number}");
    }

    #[test]
    fn north_america_is_split_by_area_code() {
        for (area, country) in [
            ("212", "US"),
            ("907", "US"),
            ("808", "US"),
            ("686", "US"),
            ("416", "CA"),
            ("867", "CA"),
            ("942", "CA"),
            ("600", "CA"),
            ("876", "JM"),
            ("658", "JM"),
            ("809", "DO"),
            ("829", "DO"),
            ("849", "DO"),
            ("787", "PR"),
            ("939", "PR"),
            ("868", "TT"),
            ("242", "BS"),
            ("246", "BB"),
            ("264", "AI"),
            ("268", "AG"),
            ("284", "VG"),
            ("340", "VI"),
            ("345", "KY"),
            ("441", "BM"),
            ("473", "GD"),
            ("649", "TC"),
            ("664", "MS"),
            ("670", "MP"),
            ("671", "GU"),
            ("684", "AS"),
            ("721", "SX"),
            ("758", "LC"),
            ("767", "DM"),
            ("784", "VC"),
            ("869", "KN"),
        ] {
            check(&format!("+1-{area}-555-0100"), Some(country));
        }
        for nobody in ["800", "833", "888", "889", "900", "500", "521", "700", "710", "555", "911", "495", "123"] {
            check(&format!("+1-{nobody}-555-0100"), None);
        }
    }

    #[test]
    fn the_longest_known_prefix_decides() {
        for (number, country) in [
            ("+7 495 123 45 67", "RU"),
            ("+7 701 123 45 67", "KZ"),
            ("+7 601 123 45 67", "KZ"),
            ("+44 7400 123456", "GB"),
            ("+44 1481 256789", "GG"),
            ("+44 7781 123456", "GG"),
            ("+44 7797 712345", "JE"),
            ("+44 7624 123456", "IM"),
            ("+44 7911 223456", "GB"),
            ("+44 7911 123456", "GG"),
            ("+39 06 698 12345", "VA"),
            ("+39 06 699 12345", "IT"),
            ("+47 412 34 567", "NO"),
            ("+358 41 2345678", "FI"),
            ("+590 690 001234", "GP"),
            ("+594 694 201234", "GF"),
            ("+596 696 201234", "MQ"),
            ("+262 692 123456", "RE"),
            ("+262 639 012345", "YT"),
            ("+599 9 518 1234", "CW"),
            ("+599 7 181234", "BQ"),
            ("+61 412 345 678", "AU"),
            ("+61 8 9162 1234", "CC"),
            ("+61 8 9164 1234", "CX"),
            ("+672 3 81234", "NF"),
            ("+995 322 000 111", "GE"),
            ("+90 501 234 5678", "TR"),
            ("+20 100 123 4567", "EG"),
            ("+84 912 345 678", "VN"),
            ("+234 802 123 4567", "NG"),
            ("+91 81234 56789", "IN"),
            ("+383 43 201 234", "XK"),
            ("+53 5 1234567", "CU"),
            ("+98 912 345 6789", "IR"),
            ("+850 192 123 4567", "KP"),
            ("+963 944 567 890", "SY"),
        ] {
            check(number, Some(country));
        }
    }

    #[test]
    fn codes_of_no_country_have_none() {
        for number in [
            "+800 1234 5678",
            "+808 1234 5678",
            "+870 773 123 456",
            "+881 6 1234 5678",
            "+883 5100 1234",
            "+979 1234 5678",
        ] {
            check(number, None);
        }
        for unassigned in
            ["+210 1234567", "+384 1234567", "+422 1234567", "+693 1234567", "+672 9 12345", "+999 1234567"]
        {
            check(unassigned, None);
        }
    }

    #[test]
    fn a_user_id_names_its_country() {
        assert_eq!(Country::of_user_id("GE.1000000000000000001"), Some(Country::parse("GE").unwrap()));
        for none in ["GE1000", "ge.1", "GEO.1", ""] {
            assert_eq!(Country::of_user_id(none), None, "{none}");
        }
    }

    #[test]
    fn a_code_that_only_looks_like_a_country_is_not_assigned() {
        for (code, want) in [("GB", true), ("UK", false), ("XK", true), ("TR", true), ("ZZ", false)] {
            assert_eq!(Country::parse(code).unwrap().is_assigned(), want, "{code}");
        }
    }
}
