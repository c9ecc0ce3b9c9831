//! Mends JSON that one odd name made unreadable.
//!
//! A profile name that was cut in the middle of an emoji leaves half of a surrogate pair, `\ud83d`. RFC 8259 section 8.2
//! allows that text and calls its meaning unpredictable; our parser refuses the whole body. A name must not cost a call.

/// The body with every lone surrogate escape and every broken UTF-8 sequence replaced by U+FFFD.
pub(super) fn mend(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut mended = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let len = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                mended.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            // The backslash and what it escapes, so that `\\ud83d` is not taken for an escape.
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        mended.push_str(&escape[..len]);
        rest = &escape[len..];
    }
    mended.push_str(rest);
    mended
}

enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair `text` starts with, if any.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_broken_is_replaced() {
        #[track_caller]
        fn check(given: &[u8], want: &str) {
            assert_eq!(mend(given), want, "{}", String::from_utf8_lossy(given));
        }
        check(br#""Nino \ud83d""#, r#""Nino \ufffd""#);
        check(br#""\udc69 \ud83d\ud83d\udc69""#, r#""\ufffd \ufffd\ud83d\udc69""#);
        check(br#""\ud83d\udc69\n\/\"\u00e9""#, r#""\ud83d\udc69\n\/\"\u00e9""#);
        check(br#""\\ud83d \\""#, r#""\\ud83d \\""#);
        check(b"\"a\xffb\"", "\"a\u{fffd}b\"");
        check(br"\", r"\");
        check(br"\ud8", r"\ud8");
        check("\\ж\\ud83d".as_bytes(), "\\ж\\ufffd");
        check(b"", "");
    }
}
