//! How much of a growing text can be relied on: what two decodes in a row agree about (LocalAgreement-2; Macháček,
//! Dabre, Bojar, "Turning Whisper into Real-Time Transcription System", 2023).

/// How many characters at the beginning of `now` are the same whole words as in `before`.
pub(super) fn agreed_chars(before: &str, now: &str) -> u32 {
    let same = before.chars().zip(now.chars()).take_while(|(a, b)| a == b).count();
    // A word that goes on in one of them is not agreed.
    let goes_on = |text: &str| text.chars().nth(same).is_some_and(char::is_alphanumeric);
    let mut agreed = same;
    if goes_on(before) || goes_on(now) {
        let word = now.chars().take(same).collect::<Vec<_>>();
        agreed -= word.iter().rev().take_while(|c| c.is_alphanumeric()).count();
    }
    u32::try_from(agreed).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_two_decodes_agree_about_are_stable() {
        #[track_caller]
        fn check(before: &str, now: &str, stable: &str) {
            assert_eq!(agreed_chars(before, now) as usize, stable.chars().count(), "{before:?} → {now:?}");
        }
        check("", "And so", "");
        check("And so my fell", "And so my fellow Americans", "And so my ");
        check("And so my fellow", "And so my fellow Americans", "And so my fellow");
        check("And so.", "And so, my fellow", "And so");
        check("And so my", "Then so my", "");
        check("one two", "one ten", "one ");
        check("déjà vu", "déjà vu, he said", "déjà vu");
        check("the same", "the same", "the same");
    }
}
