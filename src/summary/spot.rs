//! What in a text says who somebody is or how to reach them, with the checks that keep ordinary numbers out.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::language::Language;
use super::spoken;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Email,
    /// A bank account (ISO 13616).
    Iban,
    Ip,
    /// A payment card (ISO/IEC 7812).
    Card,
    /// A short secret: PIN, security code.
    Code,
    Phone,
    /// A number too long for a telephone.
    Number,
}

/// One find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub kind: Kind,
    /// Bytes of the text.
    pub range: Range<usize>,
    /// In one spelling.
    pub value: String,
}

/// Fewer digits than this are a price, a year or an order number.
const PHONE_DIGITS_MIN: usize = 7;
/// ITU-T E.164.
const PHONE_DIGITS_MAX: usize = 15;

/// Everything found, in order, without overlaps; where two would overlap the surer kind stays.
pub(super) fn spots(text: &str, language: &Language) -> Vec<Spot> {
    let mut found = Vec::new();
    for spot in emails(text, language).chain(ibans(text)).chain(ips(text)).chain(numbers(text, language)) {
        if !overlaps(&found, &spot.range) {
            found.push(spot);
        }
    }
    found.sort_by_key(|spot| spot.range.start);
    found
}

pub(super) fn overlaps(found: &[Spot], range: &Range<usize>) -> bool {
    found.iter().any(|spot| spot.range.start < range.end && range.start < spot.range.end)
}

/// Written, or spoken as `maria at example dot com`.
fn emails<'t>(text: &'t str, language: &'t Language) -> impl Iterator<Item = Spot> + 't {
    static WRITTEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\w.+-]*\w@\w[\w-]*(?:\.[\w-]+)*\.\w{2,}"));
    static SPOKEN: LazyLock<Regex> = LazyLock::new(|| {
        const DOT: &str = "dot|punto|ponto|point|punkt";
        pattern(&format!(
            r"(?i)\b(\w[\w.+-]*(?:\s+(?:{DOT}|underscore|dash|hyphen)\s+[\w+-]+)*)\s+(?:at|arroba|arobase)\s+([\w-]+(?:(?:\s+(?:{DOT})\s+|\.)[\w-]+)*(?:\s+(?:{DOT})\s+|\.)[a-z]{{2,}})\b"
        ))
    });
    static GLUE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\s+(?:(dot|punto|ponto|point|punkt)|(underscore)|(dash|hyphen))\s+"));
    let tight = |text: &str| {
        let glued = GLUE.replace_all(text, |found: &regex::Captures<'_>| match (found.get(1), found.get(2)) {
            (Some(_), _) => ".",
            (_, Some(_)) => "_",
            _ => "-",
        });
        glued.to_lowercase()
    };
    let written = WRITTEN.find_iter(text).map(|found| Spot {
        kind: Kind::Email,
        range: found.range(),
        value: found.as_str().to_lowercase(),
    });
    let spoken = SPOKEN.captures_iter(text).filter_map(move |found| {
        let local = tight(&found[1]);
        // "Look at example.com" names no mailbox.
        let is_name = local.chars().count() > 1 && !language.is_stop(&local) && !matches!(&*local, "look" | "website");
        let range = found.get(0)?.range();
        is_name.then(|| Spot { kind: Kind::Email, range, value: format!("{local}@{}", tight(&found[2])) })
    });
    written.chain(spoken)
}

fn ibans(text: &str) -> impl Iterator<Item = Spot> + '_ {
    static CANDIDATE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\b[a-z]{2}\s?[0-9]{2}(?:[ -]?[a-z0-9]){11,30}\b"));
    CANDIDATE.find_iter(text).filter_map(|found| {
        // The pattern may have run into the next word: take the longest beginning that the check digits fit.
        let mut ends: Vec<usize> =
            found.as_str().match_indices([' ', '-']).map(|(at, _)| at).chain([found.len()]).collect();
        ends.reverse();
        ends.into_iter().find_map(|end| {
            let value: String = found.as_str()[..end].chars().filter(char::is_ascii_alphanumeric).collect();
            let value = value.to_uppercase();
            let range = found.start()..found.start() + end;
            is_iban(&value).then_some(Spot { kind: Kind::Iban, range, value })
        })
    })
}

fn ips(text: &str) -> impl Iterator<Item = Spot> + '_ {
    static CANDIDATE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}"));
    CANDIDATE.find_iter(text).filter_map(|found| {
        let address: IpAddr = found.as_str().parse().ok()?;
        Some(Spot { kind: Kind::Ip, range: found.range(), value: address.to_string() })
    })
}

/// Cards, telephone numbers and short secrets among the runs of digits.
fn numbers<'t>(text: &'t str, language: &'t Language) -> impl Iterator<Item = Spot> + 't {
    spoken::runs(text, language).into_iter().filter_map(|run| {
        let written = &text[run.range.clone()];
        let kind = match run.digits.len() {
            13..=19 if is_card(&run.digits) => Kind::Card,
            3..=8 if is_secret(&text[..run.range.start]) => Kind::Code,
            _ if is_date(written) || is_price(text, &run.range) => return None,
            PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX => Kind::Phone,
            length if length > PHONE_DIGITS_MAX => Kind::Number,
            _ => return None,
        };
        let plus = if kind == Kind::Phone && written.starts_with('+') { "+" } else { "" };
        Some(Spot { kind, value: format!("{plus}{}", run.digits), range: run.range })
    })
}

/// Whether the words before a number say that nobody else may know it.
fn is_secret(before: &str) -> bool {
    static CUE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:pin|cvv|cvc|cvv2|passcode|password|contraseña|senha|passwort|(?:security|verification|access|one[- ]time|secret) (?:code|number|password)|código de (?:seguridad|segurança|verificación|verificação)|code (?:secret|de sécurité))\b(?:\W+(?:\w+\W+){0,3})?$",
        )
    });
    CUE.is_match(before)
}

/// `2026-11-27` and `27.11.2026` are no telephone numbers.
fn is_date(written: &str) -> bool {
    static DATE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:[0-9]{4}[-.][0-9]{1,2}[-.][0-9]{1,2}|[0-9]{1,2}[-.][0-9]{1,2}[-.][0-9]{4})$"));
    DATE.is_match(written)
}

/// `$1,250,000` and `1,250,000 euros` are none either.
fn is_price(text: &str, range: &Range<usize>) -> bool {
    static GROUPS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[0-9]{1,3}(?:[,.][0-9]{3})+(?:[,.][0-9]{2})?$"));
    GROUPS.is_match(&text[range.clone()]) || text[..range.start].trim_end().ends_with(['$', '€', '£', '₾', '₹', '₺'])
}

/// Luhn's check digit (ISO/IEC 7812-1 annex B).
fn is_card(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10) && digits.bytes().any(|byte| byte != b'0')
}

/// Remainder 1 modulo 97 with the first four characters moved to the end and letters as 10 to 35 (ISO 13616-1).
fn is_iban(value: &str) -> bool {
    if !(15..=34).contains(&value.len()) {
        return false;
    }
    let (head, tail) = value.split_at(4);
    let rest = tail.chars().chain(head.chars()).filter_map(|c| c.to_digit(36)).fold(0_u32, |rest, digit| {
        let shifted = if digit > 9 { rest * 100 } else { rest * 10 };
        (shifted + digit) % 97
    });
    rest == 1
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("every pattern is used by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::language::known;

    fn check(text: &str, wanted: &[(Kind, &str, &str)]) {
        let found = spots(text, known("en").unwrap());
        let found: Vec<_> =
            found.iter().map(|spot| (spot.kind, &text[spot.range.clone()], spot.value.as_str())).collect();
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn mailboxes_are_found_written_and_spoken() {
        check(
            "Write to Maria.Lopez@example.co.uk, please.",
            &[(Kind::Email, "Maria.Lopez@example.co.uk", "maria.lopez@example.co.uk")],
        );
        check(
            "it's maria dot lopez at example dot com",
            &[(Kind::Email, "maria dot lopez at example dot com", "maria.lopez@example.com")],
        );
        check("mail me: nino at example.ge thanks", &[(Kind::Email, "nino at example.ge", "nino@example.ge")]);
        check("look at example.com, I am at home dot dot", &[]);
    }

    #[test]
    fn telephone_numbers_are_found_and_ordinary_numbers_are_not() {
        check("call +995 555 010 203", &[(Kind::Phone, "+995 555 010 203", "+995555010203")]);
        check(
            "four one five five five five zero one two three",
            &[(Kind::Phone, "four one five five five five zero one two three", "4155550123")],
        );
        for text in [
            "order 48213 of 2026-11-27 or 27.11.2026",
            "it was $1,250,000 or 1,250,000 in all",
            "in 2024, 15 people had 3 each",
            "one two three four five six",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn cards_need_their_check_digit() {
        check("4111 1111 1111 1111", &[(Kind::Card, "4111 1111 1111 1111", "4111111111111111")]);
        check("4111 1111 1111 1112", &[(Kind::Number, "4111 1111 1111 1112", "4111111111111112")]);
        check(
            "four one one one, one one one one, one one one one, one one one one",
            &[(Kind::Card, "four one one one, one one one one, one one one one, one one one one", "4111111111111111")],
        );
    }

    #[test]
    fn secrets_are_known_by_the_words_before_them() {
        check("the security code is 123", &[(Kind::Code, "123", "123")]);
        check("my PIN, that's four three two one", &[(Kind::Code, "four three two one", "4321")]);
        check("I have 123 of them", &[]);
    }

    #[test]
    fn bank_accounts_need_their_remainder_and_addresses_their_form() {
        check(
            "to GB82 WEST 1234 5698 7654 32 please",
            &[(Kind::Iban, "GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432")],
        );
        check("DE89370400440532013000", &[(Kind::Iban, "DE89370400440532013000", "DE89370400440532013000")]);
        check(
            "from 192.168.10.44 or 2001:db8:0:0:0:0:0:1 we saw",
            &[(Kind::Ip, "192.168.10.44", "192.168.10.44"), (Kind::Ip, "2001:db8:0:0:0:0:0:1", "2001:db8::1")],
        );
        check("version 1.2.3 at 10:30:15", &[]);
    }
}
