//! Who owns which calling code: the assignments of ITU-T E.164, and within +1 the area codes of the North American
//! Numbering Plan. Codes that belong to no country (freephone, satellites, premium rate) are left out on purpose.

/// An ISO 3166-1 alpha-2 code.
pub(super) type Alpha2 = [u8; 2];

/// The owner of an international number, given as digits with the country code first, by its longest known prefix.
pub(super) fn owner(digits: &str) -> Option<Alpha2> {
    if let Some(national) = digits.strip_prefix('1') {
        return north_american(national.get(..3)?.parse().ok()?);
    }
    (1..=LONGEST_PREFIX.min(digits.len())).rev().find_map(|len| {
        let found = PREFIXES.binary_search_by_key(&digits.get(..len)?, |(prefix, _)| *prefix).ok()?;
        Some(*PREFIXES[found].1)
    })
}

/// Whether ISO 3166-1 (with `XK`, which phone companies use for Kosovo) knows the code.
pub(super) fn is_assigned(code: Alpha2) -> bool {
    ISO_3166.as_bytes().chunks(3).any(|chunk| chunk.starts_with(&code))
}

/// The owner of an area code within +1. Whatever is no other country's and not set aside is the United States': they
/// open new ones every year.
fn north_american(area: u16) -> Option<Alpha2> {
    let (first, second, third) = (area / 100, area / 10 % 10, area % 10);
    let islands = match area {
        242 => b"BS",
        246 => b"BB",
        264 => b"AI",
        268 => b"AG",
        284 => b"VG",
        340 => b"VI",
        345 => b"KY",
        441 => b"BM",
        473 => b"GD",
        649 => b"TC",
        658 | 876 => b"JM",
        664 => b"MS",
        670 => b"MP",
        671 => b"GU",
        684 => b"AS",
        721 => b"SX",
        758 => b"LC",
        767 => b"DM",
        784 => b"VC",
        787 | 939 => b"PR",
        809 | 829 | 849 => b"DO",
        868 => b"TT",
        869 => b"KN",
        _ if CANADA.contains(&area) => b"CA",
        _ if NOBODY.contains(&area) => return None,
        // First digit 2 to 9; x9x is kept for a longer plan; two equal last digits mean a service (x11, 800, 900) or,
        // as 555, nobody at all.
        _ if !(2..=9).contains(&first) || second == 9 || second == third => return None,
        _ => b"US",
    };
    Some(*islands)
}

/// Canada's area codes, in service or announced; 600 and its like are its non-geographic ones.
#[rustfmt::skip]
const CANADA: [u16; 62] = [
    204, 226, 236, 249, 250, 257, 263, 289, 306, 343, 354, 365, 367, 368, 382, 403, 416, 418, 428, 431, 437, 438, 450,
    468, 474, 506, 514, 519, 548, 579, 581, 584, 587, 600, 604, 613, 622, 633, 639, 644, 647, 655, 672, 677, 683, 688,
    705, 709, 742, 753, 778, 780, 782, 807, 819, 825, 867, 873, 879, 902, 905, 942,
];

/// Area codes of services that belong to no country and that the last two digits do not give away: personal numbers,
/// spare freephone, international inward dialling, the United States' government network.
#[rustfmt::skip]
const NOBODY: [u16; 36] = [
    456, 521, 523, 524, 525, 526, 527, 528, 529, 532, 535, 538, 542, 543, 545, 546, 547, 549, 550, 552, 553, 554, 556,
    569, 578, 589, 710, 880, 881, 882, 883, 884, 885, 886, 887, 889,
];

/// Digits of the longest entry of [`PREFIXES`].
pub(super) const LONGEST_PREFIX: usize = 7;

/// Sorted by prefix. Where territories share a code (Kazakhstan within Russia's, the Channel Islands within Britain's),
/// the longer prefix is theirs.
#[rustfmt::skip]
const PREFIXES: &[(&str, &Alpha2)] = &[
    ("20", b"EG"), ("211", b"SS"), ("212", b"MA"), ("213", b"DZ"), ("216", b"TN"), ("218", b"LY"),
    ("220", b"GM"), ("221", b"SN"), ("222", b"MR"), ("223", b"ML"), ("224", b"GN"), ("225", b"CI"), ("226", b"BF"),
    ("227", b"NE"), ("228", b"TG"), ("229", b"BJ"), ("230", b"MU"), ("231", b"LR"), ("232", b"SL"), ("233", b"GH"),
    ("234", b"NG"), ("235", b"TD"), ("236", b"CF"), ("237", b"CM"), ("238", b"CV"), ("239", b"ST"), ("240", b"GQ"),
    ("241", b"GA"), ("242", b"CG"), ("243", b"CD"), ("244", b"AO"), ("245", b"GW"), ("246", b"IO"), ("247", b"SH"),
    ("248", b"SC"), ("249", b"SD"), ("250", b"RW"), ("251", b"ET"), ("252", b"SO"), ("253", b"DJ"), ("254", b"KE"),
    ("255", b"TZ"), ("256", b"UG"), ("257", b"BI"), ("258", b"MZ"), ("260", b"ZM"), ("261", b"MG"), ("262", b"RE"),
    ("262269", b"YT"), ("262639", b"YT"), ("263", b"ZW"), ("264", b"NA"), ("265", b"MW"), ("266", b"LS"),
    ("267", b"BW"), ("268", b"SZ"), ("269", b"KM"), ("27", b"ZA"), ("290", b"SH"), ("291", b"ER"), ("297", b"AW"),
    ("298", b"FO"), ("299", b"GL"),
    ("30", b"GR"), ("31", b"NL"), ("32", b"BE"), ("33", b"FR"), ("34", b"ES"), ("350", b"GI"), ("351", b"PT"),
    ("352", b"LU"), ("353", b"IE"), ("354", b"IS"), ("355", b"AL"), ("356", b"MT"), ("357", b"CY"), ("358", b"FI"),
    ("359", b"BG"), ("36", b"HU"), ("370", b"LT"), ("371", b"LV"), ("372", b"EE"), ("373", b"MD"), ("374", b"AM"),
    ("375", b"BY"), ("376", b"AD"), ("377", b"MC"), ("378", b"SM"), ("379", b"VA"), ("380", b"UA"), ("381", b"RS"),
    ("382", b"ME"), ("383", b"XK"), ("385", b"HR"), ("386", b"SI"), ("387", b"BA"), ("389", b"MK"), ("39", b"IT"),
    ("3906698", b"VA"),
    ("40", b"RO"), ("41", b"CH"), ("420", b"CZ"), ("421", b"SK"), ("423", b"LI"), ("43", b"AT"), ("44", b"GB"),
    ("441481", b"GG"), ("441534", b"JE"), ("441624", b"IM"), ("4474576", b"IM"), ("447509", b"JE"), ("447524", b"IM"),
    ("447624", b"IM"), ("4477003", b"JE"), ("4477007", b"JE"), ("4477008", b"JE"), ("447781", b"GG"),
    ("447797", b"JE"), ("447829", b"JE"), ("447839", b"GG"), ("4479111", b"GG"), ("4479117", b"GG"), ("447937", b"JE"),
    ("45", b"DK"), ("46", b"SE"), ("47", b"NO"), ("48", b"PL"), ("49", b"DE"),
    ("500", b"FK"), ("501", b"BZ"), ("502", b"GT"), ("503", b"SV"), ("504", b"HN"), ("505", b"NI"), ("506", b"CR"),
    ("507", b"PA"), ("508", b"PM"), ("509", b"HT"), ("51", b"PE"), ("52", b"MX"), ("53", b"CU"), ("54", b"AR"),
    ("55", b"BR"), ("56", b"CL"), ("57", b"CO"), ("58", b"VE"), ("590", b"GP"), ("591", b"BO"), ("592", b"GY"),
    ("593", b"EC"), ("594", b"GF"), ("595", b"PY"), ("596", b"MQ"), ("597", b"SR"), ("598", b"UY"), ("599", b"CW"),
    ("5993", b"BQ"), ("5994", b"BQ"), ("5997", b"BQ"),
    ("60", b"MY"), ("61", b"AU"), ("6189162", b"CC"), ("6189164", b"CX"), ("62", b"ID"), ("63", b"PH"), ("64", b"NZ"),
    ("65", b"SG"), ("66", b"TH"), ("670", b"TL"), ("6721", b"AQ"), ("6723", b"NF"), ("673", b"BN"), ("674", b"NR"),
    ("675", b"PG"), ("676", b"TO"), ("677", b"SB"), ("678", b"VU"), ("679", b"FJ"), ("680", b"PW"), ("681", b"WF"),
    ("682", b"CK"), ("683", b"NU"), ("685", b"WS"), ("686", b"KI"), ("687", b"NC"), ("688", b"TV"), ("689", b"PF"),
    ("690", b"TK"), ("691", b"FM"), ("692", b"MH"),
    ("7", b"RU"), ("76", b"KZ"), ("77", b"KZ"),
    ("81", b"JP"), ("82", b"KR"), ("84", b"VN"), ("850", b"KP"), ("852", b"HK"), ("853", b"MO"), ("855", b"KH"),
    ("856", b"LA"), ("86", b"CN"), ("880", b"BD"), ("886", b"TW"),
    ("90", b"TR"), ("91", b"IN"), ("92", b"PK"), ("93", b"AF"), ("94", b"LK"), ("95", b"MM"), ("960", b"MV"),
    ("961", b"LB"), ("962", b"JO"), ("963", b"SY"), ("964", b"IQ"), ("965", b"KW"), ("966", b"SA"), ("967", b"YE"),
    ("968", b"OM"), ("970", b"PS"), ("971", b"AE"), ("972", b"IL"), ("973", b"BH"), ("974", b"QA"), ("975", b"BT"),
    ("976", b"MN"), ("977", b"NP"), ("98", b"IR"), ("992", b"TJ"), ("993", b"TM"), ("994", b"AZ"), ("995", b"GE"),
    ("996", b"KG"), ("997", b"KZ"), ("998", b"UZ"),
];

/// The assigned codes of ISO 3166-1 alpha-2, three characters each.
const ISO_3166: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO \
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_without_doubles_and_names_only_countries() {
        assert!(PREFIXES.is_sorted_by(|a, b| a.0 < b.0), "binary search needs it");
        assert_eq!(PREFIXES.iter().map(|(prefix, _)| prefix.len()).max(), Some(LONGEST_PREFIX));
        for (prefix, country) in PREFIXES {
            assert!(is_assigned(**country), "{prefix}");
            assert!(!prefix.starts_with('1') && prefix.bytes().all(|b| b.is_ascii_digit()), "{prefix}");
        }
        assert!(CANADA.is_sorted_by(|a, b| a < b) && NOBODY.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn iso_3166_has_249_codes_and_kosovo() {
        let codes: Vec<&str> = ISO_3166.split_ascii_whitespace().collect();
        assert_eq!((codes.len(), ISO_3166.len()), (250, 750));
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(!is_assigned(*b"UK") && !is_assigned(*b"D ") && !is_assigned(*b"ED"));
    }
}
