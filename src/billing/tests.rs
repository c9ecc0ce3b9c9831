//! The rate card: what it costs, and what no card is.

use std::time::Duration;

use super::{Customer, RateCard, pulses};
use crate::model::country::Country;
use crate::model::phone::Phone;
use crate::model::time::Timestamp;

const HEADER: &str = "effective_from,market,countries,currency,tier_from_minutes,price_per_minute";

fn at(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

fn now() -> Timestamp {
    at("2026-11-18T12:00:00Z")
}

/// A customer who hides the number.
fn hidden(user_id: &str) -> Customer<'_> {
    Customer { phone: None, user_id: Some(user_id) }
}

fn card(rows: &str) -> RateCard {
    RateCard::parse("test.csv", &format!("{HEADER}\n{rows}")).unwrap()
}

#[test]
fn every_pulse_begun_counts() {
    for (ms, want) in [
        (0, 0),
        (1, 1),
        (5_999, 1),
        (6_000, 1),
        (6_001, 2),
        (54_000, 9),
        (56_000, 10),
        (60_000, 10),
        (60_001, 11),
        (86_400_000, 14_400),
    ] {
        assert_eq!(pulses(Duration::from_millis(ms)), want, "{ms} ms");
    }
    assert_eq!(pulses(Duration::from_nanos(6_000_000_001)), 2);
    assert_eq!(pulses(Duration::MAX), 3_074_457_345_618_258_603, "2^64 s in steps of six");
}

#[test]
fn the_built_in_card_has_the_published_examples() {
    #[track_caller]
    fn check(customer: &str, minutes_of_month: i64, market: &str, micros_per_minute: i64) {
        let quote = RateCard::built_in().quote(hidden(customer), now(), minutes_of_month * 10);
        assert_eq!((quote.market.as_str(), quote.micros_per_minute), (market, micros_per_minute), "{customer}");
        assert_eq!((quote.country.unwrap().as_str(), quote.currency.as_str()), (&customer[..2], "USD"));
    }
    let europe = "Rest of Central & Eastern Europe";
    for (minutes, micros) in
        [(0, 9500), (50_000, 7600), (250_000, 6600), (1_000_000, 5800), (2_500_000, 4300), (5_000_000, 3700)]
    {
        check("GE.1", minutes, europe, micros);
        check("UA.1", minutes, europe, micros);
    }
    check("KE.1", 0, "Rest of Africa", 10_300);
    check("KE.1", 4_999_999, "Rest of Africa", 10_300);
    check("KE.1", 5_000_000, "Rest of Africa", 4200);
    check("AE.1", 0, "AE", 12_700);
    check("SA.1", 0, "SA", 12_700);
    check("IN.1", 9_000_000, "IN", 5300);
    check("JP.1", 0, "*", 12_700);
}

/// A number of each country that the built-in card names, and of some that it leaves to `*`.
const NUMBERS: &str = "AL 355672123456 AM 37477123456 AZ 994401234567 BG 359431234567 BY 375294911911 CZ 420601123456 \
     GE 995555123456 GR 306912345678 HR 385921234567 HU 36201234567 LT 37061234567 LV 37121234567 MD 37362112345 \
     MK 38972345678 PL 48512345678 RO 40712034567 RS 381601234567 SI 38631234567 SK 421912123456 UA 380501234567 \
     AO 244923123456 BF 22670123456 BI 25779561234 BJ 2290195123456 BW 26771123456 CD 243991234567 CG 242061234567 \
     CI 2250123456789 CM 237671234567 DZ 213551234567 ER 2917123456 ET 251911234567 GA 24106031234 GH 233231234567 \
     GM 2203012345 GW 245955012345 KE 254712123456 LR 231770123456 LS 26650123456 LY 218912345678 MA 212650123456 \
     MG 261321234567 ML 22365012345 MR 22222123456 MW 265991234567 MZ 258821234567 NA 264811234567 NE 22793123456 \
     RW 250720123456 SD 249911231234 SL 23225123456 SN 221701234567 SO 25271123456 SS 211977123456 SZ 26876123456 \
     TD 23563012345 TG 22890112345 TN 21620123456 TZ 255621234567 UG 256712345678 ZM 260955123456 AE 971501234567 \
     SA 966512345678 IN 918123456789 DE 4915123456789 BR 5511961234567 JP 819012345678 KZ 77710009998 RU 79123456789 \
     US 12015550123 JM 18762101234 ZA 27711234567 NG 2348021234567 EG 201001234567 TR 905012345678 XK 38343201234";

#[test]
fn a_number_of_every_country_finds_the_rate_of_its_own_row() {
    let (card, words) = (RateCard::built_in(), NUMBERS.split_whitespace().collect::<Vec<_>>());
    let rows = card.rows(now());
    let named =
        |row: &super::RateRow, code: &str| row.market == code || row.countries.iter().any(|c| c.as_str() == code);
    for pair in words.chunks(2) {
        let (code, phone) = (pair[0], Phone::parse(pair[1]).unwrap());
        let quote = card.quote(Customer { phone: Some(&phone), user_id: None }, now(), 0);
        let row =
            rows.iter().find(|row| named(row, code)).or_else(|| rows.iter().find(|row| row.market == "*")).unwrap();
        assert_eq!(quote.country.map(|country| country.to_string()).as_deref(), Some(code), "{phone:?}");
        assert_eq!((&quote.market, quote.micros_per_minute), (&row.market, row.micros_per_minute), "{code}");
    }
    for row in &rows {
        let missing: Vec<_> = row.countries.iter().filter(|country| !words.contains(&country.as_str())).collect();
        assert_eq!(missing, <[&Country; 0]>::default(), "{} has no number here", row.market);
        let is_country = Country::parse(&row.market).is_ok();
        assert!(!is_country || words.contains(&row.market.as_str()), "{}", row.market);
    }
}

#[test]
fn a_tier_begins_with_the_pulse_after_its_minutes_and_a_call_that_crosses_is_wholly_in_the_later_one() {
    let card = RateCard::built_in();
    // 50,000 minutes are 500,000 pulses; 9500 and 7600 micros a minute are 950 and 760 a pulse.
    for (used, pulses, micros, tier) in [
        (0, 1, 950, 0),
        (0, 10, 9500, 0),
        (499_999, 1, 950, 0),
        (499_990, 10, 9500, 0),
        (499_991, 10, 7600, 50_000),
        (499_999, 2, 1520, 50_000),
        (500_000, 1, 760, 50_000),
        (2_499_999, 1, 760, 50_000),
        (2_499_999, 2, 1320, 250_000),
        (9_999_999, 2, 1160, 1_000_000),
        (24_999_999, 2, 860, 2_500_000),
        (49_999_999, 2, 740, 5_000_000),
        (50_000_000, 1, 370, 5_000_000),
        (i64::MAX, 1, 370, 5_000_000),
        // Not answered.
        (499_999, 0, 0, 0),
    ] {
        let price = card.price(hidden("GE.1"), now(), used, pulses);
        let got = (price.micros, price.pulses, price.quote.tier_from_minutes);
        assert_eq!(got, (micros, pulses, tier), "{used} {pulses}");
    }
    for (used, tier) in [(0, 0), (499_999, 0), (500_000, 50_000), (49_999_999, 2_500_000), (50_000_000, 5_000_000)] {
        assert_eq!(card.quote(hidden("GE.1"), now(), used).tier_from_minutes, tier, "the next minute after {used}");
    }
}

#[test]
fn what_is_left_of_a_micro_is_charged_whole() {
    let card = card("2025-01-01,*,,USD,0,0.000001\n2025-01-01,GE,,USD,0,0.000007\n2025-01-01,IN,,USD,0,1000000");
    for (customer, pulses, want) in [
        ("JP.1", 1, 1),
        ("JP.1", 10, 1),
        ("JP.1", 11, 2),
        ("GE.1", 1, 1),
        ("GE.1", 2, 2),
        ("GE.1", 10, 7),
        ("IN.1", 14_400, 1_440_000_000_000_000),
        ("IN.1", i64::MAX, i64::MAX),
    ] {
        assert_eq!(card.price(hidden(customer), now(), 0, pulses).micros, want, "{customer} {pulses}");
    }
}

#[test]
fn the_most_exact_market_counts() {
    let card = card(
        "2025-01-01,*,,USD,0,1\n2025-01-01,1,,USD,0,2\n2025-01-01,1876,,USD,0,3\n2025-01-01,995,,USD,0,4\n\
         2025-01-01,99555,,USD,0,5\n2025-01-01,GE,,USD,0,6\n2025-01-01,East,GE AM,USD,0,7",
    );
    for (phone, want) in
        [("18765550100", "1876"), ("18775550100", "1"), ("995555010203", "99555"), ("995322000111", "995")]
    {
        let phone = Phone::parse(phone).unwrap();
        assert_eq!(card.market(Customer { phone: Some(&phone), user_id: Some("AM.1") }, now()), want);
    }
    for (user_id, want) in [("GE.1", "GE"), ("AM.1", "East"), ("AZ.1", "*"), ("nonsense", "*")] {
        assert_eq!(card.market(hidden(user_id), now()), want, "{user_id}");
    }
    assert_eq!(card.market(Customer { phone: None, user_id: None }, now()), "*");
}

#[test]
fn the_newest_date_that_has_come_counts_in_the_time_zone_of_the_card() {
    let card = RateCard::parse(
        "test.csv",
        &format!(
            "# time_zone = Asia/Tbilisi\n{HEADER}\n2026-01-01,*,,USD,0,1\n2026-04-01,East,GE AM,USD,0,2\n\
             2026-07-01,East,,USD,0,3\n2026-10-01,East,AM,USD,0,4\n2026-10-01T00:00:00Z,GE,,USD,0,5\n"
        ),
    )
    .unwrap();
    // Tbilisi is four hours ahead of UTC all year.
    for (moment, customer, want) in [
        ("2020-01-01T00:00:00Z", "GE.1", ("*", 1)),
        ("2026-03-31T19:59:59.999Z", "GE.1", ("*", 1)),
        ("2026-03-31T20:00:00Z", "GE.1", ("East", 2)),
        ("2026-06-30T19:59:59.999Z", "GE.1", ("East", 2)),
        ("2026-06-30T20:00:00Z", "GE.1", ("East", 3)),
        ("2026-09-30T20:00:00Z", "AM.1", ("East", 4)),
        ("2026-09-30T20:00:00Z", "GE.1", ("*", 1)),
        ("2026-10-01T00:00:00Z", "GE.1", ("GE", 5)),
        ("2099-01-01T00:00:00Z", "AM.1", ("East", 4)),
    ] {
        let quote = card.quote(hidden(customer), at(moment), 0);
        assert_eq!((quote.market.as_str(), quote.micros_per_minute / 1_000_000), want, "{moment} {customer}");
    }
    for (moment, month) in
        [("2026-10-31T19:59:59Z", "2026-10"), ("2026-10-31T20:00:00Z", "2026-11"), ("2026-12-31T20:00:00Z", "2027-01")]
    {
        assert_eq!(card.month(at(moment)), month, "{moment}");
    }
    assert_eq!(card.time_zone(), "Asia/Tbilisi");
    assert_eq!(RateCard::built_in().month(at("2026-10-31T23:59:59Z")), "2026-10");
    let names = |rows: Vec<super::RateRow>| {
        rows.iter().map(|row| format!("{} {}", row.market, row.micros_per_minute / 1_000_000)).collect::<Vec<_>>()
    };
    let august = at("2026-08-01T00:00:00Z");
    assert_eq!(names(card.rows(august)), ["* 1", "East 3"]);
    assert_eq!(names(card.upcoming(august)), ["East 4", "GE 5"]);
    assert_eq!(card.rows(august)[1].countries.len(), 2, "as the group was last written");
    let october = at("2026-09-30T20:00:00Z");
    assert_eq!(
        (names(card.rows(october)), names(card.upcoming(october))),
        (vec!["* 1".into(), "East 4".into()], vec!["GE 5".into()])
    );
}

#[test]
fn a_card_names_the_file_and_the_text_it_was_read_from() {
    let csv = format!("{HEADER}\n{REST}");
    let read = RateCard::parse("rates/2026.csv", &csv).unwrap();
    assert_eq!((read.source(), read.csv()), ("rates/2026.csv", csv.as_str()));
    assert_eq!(read.sha256(), "f32e3bfbc238f3c97d2420f2e1e843add5dd1cf0237267cef94b409c612dbd57");
    assert_ne!(read.sha256(), RateCard::built_in().sha256());
}

#[test]
fn mistakes_are_shown_one_a_line() {
    let refused = RateCard::parse("test.csv", &format!("{HEADER},note\n{REST}x\n")).unwrap_err();
    assert_eq!(refused.to_string(), refused.0.join("\n"));
    assert!(refused.0.len() > 1, "{refused}");
}

#[test]
fn columns_stand_in_any_order_and_fields_may_be_quoted() {
    let card = RateCard::parse(
        "test.csv",
        "\u{feff}price_per_minute,\"market\",currency,effective_from\r\n0.5,\"A \"\"B\"\", C\",EUR,2025-01-01\r\n",
    );
    let refused = card.unwrap_err();
    assert_eq!(refused.0.len(), 2, "{refused}");
    let card = RateCard::parse(
        "test.csv",
        "\u{feff}price_per_minute,countries,\"market\",currency,effective_from\r\n\r\n# a comment\r\n\
         0.5, GE  AM ,\"A \"\"B\"\", C\",EUR,2025-01-01\r\n 7 ,,*,EUR,2025-01-01T00:00:00+02:00\r\n",
    )
    .unwrap();
    assert_eq!(card.currency().as_str(), "EUR");
    let quote = card.quote(hidden("AM.1"), now(), 0);
    assert_eq!((quote.market.as_str(), quote.micros_per_minute, quote.tier_from_minutes), ("A \"B\", C", 500_000, 0));
    assert_eq!(card.quote(hidden("US.1"), now(), 0).micros_per_minute, 7_000_000);
}

#[test]
fn prices_are_read_to_the_micro() {
    for (text, want) in [
        ("0", 0),
        ("0.0", 0),
        ("0.000001", 1),
        ("0.0095", 9500),
        ("00.10", 100_000),
        ("12", 12_000_000),
        ("1000000", 1_000_000_000_000),
        ("1000000.000000", 1_000_000_000_000),
    ] {
        let card = card(&format!("2025-01-01,*,,USD,,{text}"));
        assert_eq!(card.quote(hidden("GE.1"), now(), 0).micros_per_minute, want, "{text}");
    }
}

const REST: &str = "2025-01-01,*,,USD,0,1\n";

/// `want`: the start of each line of the refusal, behind `test.csv:`, and a word of its reason.
#[track_caller]
fn refuse(csv: &str, want: &[(&str, &str)]) {
    let errors = RateCard::parse("test.csv", csv).expect_err(csv).0;
    assert_eq!(errors.len(), want.len(), "{csv}\n{errors:#?}");
    for (error, (place, reason)) in errors.iter().zip(want) {
        assert!(
            error.starts_with(&format!("test.csv:{place}: ")) && error.contains(reason),
            "{place} {reason}: {error}"
        );
    }
}

#[test]
fn a_wrong_cell_is_named_by_line_and_column() {
    for (row, column, reason) in [
        ("01.02.2025,GE,,USD,0,1", "effective_from", "`01.02.2025` is not a date"),
        ("2025-02-30,GE,,USD,0,1", "effective_from", "not a date"),
        (",GE,,USD,0,1", "effective_from", "not a date"),
        ("20250101,GE,,USD,0,1", "effective_from", "not a date"),
        ("2025-01-01,,,USD,0,1", "market", "not a market"),
        ("2025-01-01,ge,,USD,0,1", "market", "not a market"),
        ("2025-01-01,ZZ,,USD,0,1", "market", "`ZZ` is not the code of any country"),
        ("2025-01-01,+995,,USD,0,1", "market", "not a market"),
        ("2025-01-01,0995,,USD,0,1", "market", "starts no phone number"),
        ("2025-01-01,1234567890123456,,USD,0,1", "market", "starts no phone number"),
        ("2025-01-01,East,GE ZZ,USD,0,1", "countries", "`ZZ` is not the code of any country"),
        ("2025-01-01,East,ZZ,USD,0,1", "countries", "`ZZ`"),
        ("2025-01-01,East,Georgia,USD,0,1", "countries", "`Georgia` is not a country"),
        ("2025-01-01,East,GE GE,USD,0,1", "countries", "GE is there twice"),
        ("2025-01-01,East,,USD,0,1", "countries", "name its countries"),
        ("2025-01-01,GE,AM,USD,0,1", "countries", "only a group"),
        ("2025-01-01,GE,,usd,0,1", "currency", "`usd` is not a currency"),
        ("2025-01-01,GE,,,0,1", "currency", "not a currency"),
        ("2025-01-01,GE,,EUR,0,1", "currency", "EUR, but line 2 says USD"),
        ("2025-01-01,GE,,USD,-1,1", "tier_from_minutes", "not a number of minutes"),
        ("2025-01-01,GE,,USD,+1,1", "tier_from_minutes", "not a number of minutes"),
        ("2025-01-01,GE,,USD,\"50,000\",1", "tier_from_minutes", "without separators"),
        ("2025-01-01,GE,,USD,1000000000001,1", "tier_from_minutes", "not a number of minutes"),
        ("2025-01-01,GE,,USD,1,1", "tier_from_minutes", "must start at 0"),
        ("2025-01-01,*,,USD,0,2", "tier_from_minutes", "as in line 2"),
        ("2025-01-01,GE,,USD,0,-0.01", "price_per_minute", "`-0.01` is negative"),
        ("2025-01-01,GE,,USD,0,\"0,01\"", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,.5", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,5.", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,1e3", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,$1", "price_per_minute", "not a decimal"),
        ("2025-01-01,GE,,USD,0,0.0000001", "price_per_minute", "more than 6 decimal places"),
        ("2025-01-01,GE,,USD,0,1000000.000001", "price_per_minute", "more than 1000000"),
        ("2025-01-01,GE,,USD,0,99999999999999999999", "price_per_minute", "more than 1000000"),
        ("2025-01-01,GE,,USD,0", "row", "5 fields where the header has 6 columns"),
        ("2025-01-01,GE,,USD,0,1,", "row", "7 fields"),
        ("2025-01-01,\"GE,,USD,0,1", "row", "not closed"),
    ] {
        refuse(&format!("{HEADER}\n{REST}{row}"), &[(&format!("3: {column}"), reason)]);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    refuse(
        &format!(
            "{HEADER}\nx,ZZ,,us,y,-1\n{REST}2025-01-01,GE,,USD,0,1\n2025-01-01,GE,,USD,100,1\n2025-01-01,GE,,USD,50,z\n"
        ),
        &[
            ("2: effective_from", "not a date"),
            ("2: market", "ZZ"),
            ("2: currency", "us"),
            ("2: tier_from_minutes", "y"),
            ("2: price_per_minute", "negative"),
            ("6: price_per_minute", "z"),
            ("6: tier_from_minutes", "50 after 100"),
        ],
    );
    let endless = format!("{HEADER}\n{}", "x\n".repeat(5000));
    let errors = RateCard::parse("test.csv", &endless).unwrap_err().0;
    assert_eq!((errors.len(), errors[100].as_str()), (101, "test.csv: and 4900 more mistakes"));
}

#[test]
fn a_row_that_cannot_be_read_is_no_reason_to_miss_it() {
    // It may have been the price from 0, or the one for everybody.
    refuse(
        &format!("{HEADER}\n{REST}2025-01-01,GE,,USD,none,1\n2025-01-01,GE,,USD,9,1\n"),
        &[("3: tier_from_minutes", "`none`")],
    );
    refuse(
        &format!("{HEADER}\n{REST}today,GE,,USD,0,1\n2025-01-01,GE,,USD,9,1\n"),
        &[("3: effective_from", "`today`")],
    );
    refuse(&format!("{HEADER}\ntoday,*,,USD,0,1\n2025-01-01,GE,,USD,0,1\n"), &[("2: effective_from", "`today`")]);
    refuse(&format!("{HEADER}\n2025-01-01,**,,USD,0,1\n2025-01-01,GE,,USD,0,1\n"), &[("2: market", "`**`")]);
    // One of another market has nothing to do with it.
    refuse(
        &format!("{HEADER}\n{REST}2025-01-01,AM,,USD,none,1\n2025-01-01,GE,,USD,9,1\n"),
        &[("3: tier_from_minutes", "`none`"), ("4: tier_from_minutes", "must start at 0")],
    );
}

#[test]
fn a_wrong_header_is_named_by_column() {
    refuse("", &[("1: header", "empty")]);
    refuse("# nothing\n", &[("1: header", "empty")]);
    refuse(HEADER, &[("1: header", "no price below")]);
    refuse(
        "market;currency\n",
        &[
            ("1: market;currency", "unknown column"),
            ("1: effective_from", "missing"),
            ("1: market", "missing"),
            ("1: currency", "missing"),
            ("1: price_per_minute", "missing"),
        ],
    );
    refuse(&format!("{HEADER},note\n2025-01-01,*,,USD,0,1,x"), &[("1: note", "unknown column")]);
    refuse(&format!("{HEADER},market\n2025-01-01,*,,USD,0,1,*"), &[("1: market", "twice")]);
    let zones = format!("# time_zone = Mars/Olympus\n# time_zone = UTC\n# time_zone = UTC\n{HEADER}\n{REST}");
    refuse(&zones, &[("1: time_zone", "`Mars/Olympus` is not a time zone"), ("3: time_zone", "write it once")]);
}

#[test]
fn everybody_has_one_price_at_any_date() {
    refuse(&format!("{HEADER}\n2025-01-01,GE,,USD,0,1\n"), &[("2: market", "no row for *")]);
    refuse(&format!("{HEADER}\n2024-12-31,GE,,USD,0,1\n{REST}"), &[("2: market", "no row for *")]);
    refuse(
        &format!("{HEADER}\n{REST}2025-01-01,East,GE AM,USD,0,1\n2025-01-01,South,AM TR,USD,0,1"),
        &[("4: countries", "AM is in `East` (line 3) too")],
    );
    // Only from the date on which both hold it.
    refuse(
        &format!("{HEADER}\n{REST}2025-01-01,East,GE AM,USD,0,1\n2025-06-01,South,AM,USD,0,1"),
        &[("4: countries", "AM is in `East`")],
    );
    let moved = format!("{REST}2025-01-01,East,GE AM,USD,0,1\n2025-06-01,South,AM,USD,0,1\n2025-06-01,East,GE,USD,0,1");
    assert_eq!(card(&moved).market(hidden("AM.1"), now()), "South");
    refuse(
        &format!("{HEADER}\n{REST}2025-01-01,East,GE AM,USD,0,1\n2025-01-01,East,GE,USD,9,1"),
        &[("4: countries", "others than in line 3")],
    );
    card(&format!("{REST}2025-01-01,East,GE AM,USD,0,1\n2025-01-01,East,AM GE,USD,9,1"));
    // A country out of its group's hands is no contradiction.
    assert_eq!(
        card(&format!("{REST}2025-01-01,East,GE AM,USD,0,1\n2025-01-01,GE,,USD,0,1")).market(hidden("GE.1"), now()),
        "GE"
    );
}
