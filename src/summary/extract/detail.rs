//! Details that somebody will want to copy: days, amounts, numbers, mailboxes.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::sentence::Sentence;
use crate::model::summary::{Detail, DetailKind, Point};
use crate::summary::language::Language;
use crate::summary::spoken;
use crate::summary::spot::{self, Kind};

/// A longer list is not read any more.
const DETAILS_MAX: usize = 40;

/// Each once, where it was said first.
pub(super) fn details(sentences: &[Sentence], language: &Language) -> Vec<Detail> {
    let mut details: Vec<Detail> = Vec::new();
    for sentence in sentences {
        for found in in_text(&sentence.text, language) {
            if details.iter().any(|known| known.kind == found.kind && known.value.eq_ignore_ascii_case(&found.value)) {
                continue;
            }
            let text = sentence.text[found.range].trim().to_owned();
            details.push(Detail { kind: found.kind, value: found.value, point: Point { text, ..sentence.point() } });
        }
    }
    details.truncate(DETAILS_MAX);
    details
}

/// One detail in a sentence.
pub(super) struct Found {
    pub kind: DetailKind,
    pub value: String,
    pub range: Range<usize>,
}

/// In order, without overlaps; the surer kind stays.
pub(super) fn in_text(text: &str, language: &Language) -> Vec<Found> {
    let mut found: Vec<Found> = references(text, language);
    let mut add = |new: Found| {
        if !found.iter().any(|known| known.range.start < new.range.end && new.range.start < known.range.end) {
            found.push(new);
        }
    };
    for spot in spot::spots(text, language) {
        let kind = match spot.kind {
            Kind::Email => DetailKind::Email,
            Kind::Phone => DetailKind::Phone,
            // Cards, accounts and secrets are nobody's to copy out of a summary.
            Kind::Card | Kind::Code | Kind::Iban | Kind::Ip | Kind::Number => continue,
        };
        add(Found { kind, value: spot.value, range: spot.range });
    }
    amounts(text, language).into_iter().for_each(&mut add);
    for date in language.date.all(text) {
        add(Found { kind: DetailKind::Date, value: date.as_str().trim().to_owned(), range: date.range() });
    }
    found.sort_by_key(|found| found.range.start);
    found
}

/// `order number 48213`, `ticket AB-1234`, `reference four eight two`.
fn references(text: &str, language: &Language) -> Vec<Found> {
    static CUE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(?:order|reference|ticket|case|booking|invoice|tracking|confirmation|account|policy|claim|reservation|customer|contract|serial|parcel|pedido|referencia|referência|reserva|factura|fatura|protocolo|commande|référence|dossier|facture|réservation|bestellnummer|bestellung|auftrag|auftragsnummer|kundennummer|rechnungsnummer|vorgangsnummer|buchungsnummer|sendungsnummer|vertragsnummer)(?:[\s:,#]+(?:number|no\.?|id|code|reference|número|numero|nummer|numéro|is|was|it['’]?s|that['’]?s|es|é|est|ist|lautet|de|n[º°o]\.?))*[\s:,#]+",
        )
    });
    static CODE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^[A-Za-z]{0,4}[-/]?[0-9][A-Za-z0-9]*(?:[-/][A-Za-z0-9]+)*|^[A-Z]{1,4}(?:[- ][0-9]+)+")
    });
    let mut found = Vec::new();
    for cue in CUE.find_iter(text) {
        let rest = &text[cue.end()..];
        let run = spoken::runs(rest, language).into_iter().find(|run| run.range.start == 0);
        let written = CODE.find(rest).map(|code| (code.end(), code.as_str().to_uppercase()));
        let run = run.map(|run| (run.range.end, run.digits));
        let (end, value) = match (written, run) {
            (Some(written), Some(run)) if written.0 >= run.0 => written,
            (_, Some(run)) => run,
            (Some(written), None) => written,
            (None, None) => continue,
        };
        let digits = value.chars().filter(char::is_ascii_digit).count();
        // "Order 2 of them" is a count, and nothing that long is a reference.
        if (3..=24).contains(&digits) {
            found.push(Found { kind: DetailKind::Reference, value, range: cue.end()..cue.end() + end });
        }
    }
    found
}

/// Currencies by symbol and by word; `value` gets the ISO 4217 code where the word has only one meaning.
const CURRENCIES: [(&str, &str); 14] = [
    (r"\$|us dollars?|dollars?|d[óo]lar(?:es)?|bucks|usd", "USD"),
    (r"€|euros?|eur", "EUR"),
    (r"£|pounds?|quid|gbp", "GBP"),
    (r"₾|laris?|gel|ლარი", "GEL"),
    (r"₹|rupees?|inr|रुपये", "INR"),
    (r"₺|turkish liras?|tl|try", "TRY"),
    (r"r\$|rea(?:l|is)|brl", "BRL"),
    (r"dirhams?|aed", "AED"),
    (r"riyals?|sar", "SAR"),
    (r"swiss francs?|chf", "CHF"),
    (r"pesos?", "pesos"),
    (r"liras?", "lira"),
    (r"cents|céntimos|centavos|centimes", "cents"),
    (r"%|percent|per cent|por ciento|por cento|pour cent|prozent", "%"),
];

fn amounts(text: &str, language: &Language) -> Vec<Found> {
    const NUMBER: &str = r"[0-9]{1,3}(?:[.,' ][0-9]{3})+(?:[.,][0-9]{1,2})?|[0-9]+(?:[.,][0-9]{1,2})?";
    static BEFORE: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let symbol = |(unit, _): &(&str, &str)| unit.split('|').next().unwrap_or_default().to_owned();
        CURRENCIES.iter().map(|currency| pattern(&format!(r"(?i)(?:{})\s?({NUMBER})", symbol(currency)))).collect()
    });
    static AFTER: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        CURRENCIES.iter().map(|(unit, _)| pattern(&format!(r"(?i)(?:^|\W)({NUMBER})\s?(?:{unit})(?:\W|$)"))).collect()
    });
    static WORD: LazyLock<Vec<Regex>> =
        LazyLock::new(|| CURRENCIES.iter().map(|(unit, _)| pattern(&format!(r"(?i)\s(?:{unit})(?:\W|$)"))).collect());
    static ANY: LazyLock<Regex> = LazyLock::new(|| {
        let units: Vec<&str> = CURRENCIES.iter().map(|(unit, _)| *unit).collect();
        pattern(&format!("(?i){}", units.join("|")))
    });
    let mut found = Vec::new();
    // Most sentences name no money, and forty patterns take their time.
    if !ANY.is_match(text) {
        return found;
    }
    for (at, (_, code)) in CURRENCIES.iter().enumerate() {
        // "R$ 20" is no dollars.
        let is_other = |start: usize| *code == "USD" && text[..start].ends_with(['R', 'r']);
        if text.contains(['$', '€', '£', '₾', '₹', '₺']) {
            for hit in BEFORE[at].captures_iter(text) {
                let (Some(whole), Some(number)) = (hit.get(0), hit.get(1)) else { continue };
                if !is_other(whole.start()) && !whole.as_str().starts_with(|c: char| c.is_ascii_digit()) {
                    found.push(Found {
                        kind: DetailKind::Amount,
                        value: value(number.as_str(), code),
                        range: whole.range(),
                    });
                }
            }
        }
        for hit in AFTER[at].captures_iter(text) {
            let (Some(whole), Some(number)) = (hit.get(0), hit.get(1)) else { continue };
            let end = number.start()
                + text[number.start()..whole.end()]
                    .trim_end_matches(|c: char| !c.is_alphanumeric() && !"$€£₾₹₺%".contains(c))
                    .len();
            found.push(Found {
                kind: DetailKind::Amount,
                value: value(number.as_str(), code),
                range: number.start()..end,
            });
        }
        for hit in WORD[at].find_iter(text) {
            let Some((start, number)) = spoken::value_before(&text[..hit.start()], language) else { continue };
            let end = hit.start() + hit.as_str().trim_end_matches(|c: char| !c.is_alphanumeric() && c != '%').len();
            found.push(Found { kind: DetailKind::Amount, value: value(&number.to_string(), code), range: start..end });
        }
    }
    found
}

/// `1,299.50` and `1.299,50` are one number: the last separator with other than three digits behind it is the decimal one.
fn value(number: &str, code: &str) -> String {
    let last = number.rfind(['.', ',']).filter(|at| number.len() - at - 1 != 3);
    let plain: String = number
        .char_indices()
        .filter_map(|(at, c)| match c {
            c if c.is_ascii_digit() => Some(c),
            _ if Some(at) == last => Some('.'),
            _ => None,
        })
        .collect();
    format!("{plain} {code}")
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("every pattern is used by a test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::language::known;

    #[test]
    fn details_are_found_and_brought_into_one_spelling() {
        use DetailKind::{Amount, Date, Email, Phone, Reference};
        let check = |code: &str, text: &str, wanted: &[(DetailKind, &str, &str)]| {
            let found = in_text(text, known(code).unwrap());
            let found: Vec<_> =
                found.iter().map(|found| (found.kind, found.value.as_str(), &text[found.range.clone()])).collect();
            assert_eq!(found, wanted, "{text}");
        };
        check(
            "en",
            "It's order number 48213, from Monday.",
            &[(Reference, "48213", "48213"), (Date, "Monday", "Monday")],
        );
        check("en", "My booking reference is AB-1234.", &[(Reference, "AB-1234", "AB-1234")]);
        check(
            "en",
            "the case number is four eight two double one",
            &[(Reference, "48211", "four eight two double one")],
        );
        check(
            "en",
            "I paid $24.50, then 1,299 euros and £5.",
            &[(Amount, "24.50 USD", "$24.50"), (Amount, "1299 EUR", "1,299 euros"), (Amount, "5 GBP", "£5")],
        );
        check(
            "en",
            "a hundred and twenty dollars or ten percent",
            &[(Amount, "120 USD", "a hundred and twenty dollars"), (Amount, "10 %", "ten percent")],
        );
        check("de", "Das kostet 1.299,50 Euro.", &[(Amount, "1299.50 EUR", "1.299,50 Euro")]);
        check("pt", "São R$ 20,90 hoje", &[(Amount, "20.90 BRL", "R$ 20,90"), (Date, "hoje", "hoje")]);
        check(
            "en",
            "Call +1 415 555 0123 or write bo@example.com",
            &[(Phone, "+14155550123", "+1 415 555 0123"), (Email, "bo@example.com", "bo@example.com")],
        );
        check(
            "en",
            "on the third of March at ten o'clock or Friday at 3 pm",
            &[
                (Date, "the third of March", "the third of March"),
                (Date, "ten o'clock", "ten o'clock"),
                (Date, "Friday at 3 pm", "Friday at 3 pm"),
            ],
        );
        check("en", "we ordered 2 of them", &[]);
        check("ka", "12.03.2026 და 10:30", &[(Date, "12.03.2026", "12.03.2026"), (Date, "10:30", "10:30")]);
    }
}
