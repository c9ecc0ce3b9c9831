//! A Whisper that has lost its way says the same thing over and over. This tells when, and what to keep.

/// A phrase of 3 to so many tokens that comes twice in a row is a loop.
const PHRASE_MAX: usize = 40;
const PHRASE_MIN: usize = 3;

/// A word (1 or 2 tokens) may come this often in a row before it is one: people do say "no, no, no".
const WORD_TIMES: usize = 4;

/// If the last tokens are a loop: how many tokens to keep, so that what was repeated stands once.
pub(super) fn looped(tokens: &[u32]) -> Option<usize> {
    let repeats = |length: usize, times: usize| {
        let tail = tokens.len().checked_sub(length * times)?;
        let (first, others) = tokens[tail..].split_at(length);
        others.chunks(length).all(|other| other == first).then_some(tail + length)
    };
    let words = (1..PHRASE_MIN).map(|length| (length, WORD_TIMES));
    let phrases = (PHRASE_MIN..=PHRASE_MAX).map(|length| (length, 2));
    words.chain(phrases).find_map(|(length, times)| repeats(length, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_at_once_is_kept_once() {
        #[track_caller]
        fn check(tokens: &[u32], keep: Option<usize>) {
            assert_eq!(looped(tokens), keep, "{tokens:?}");
        }
        check(&[], None);
        check(&[1, 2, 3, 4, 5], None);
        // Said three times, as people do; the fourth is a loop.
        check(&[9, 5, 5, 5], None);
        check(&[9, 5, 5, 5, 5], Some(2));
        check(&[9, 5, 6, 5, 6, 5, 6], None);
        check(&[9, 5, 6, 5, 6, 5, 6, 5, 6], Some(3));
        // A phrase twice.
        check(&[9, 1, 2, 3, 1, 2, 3], Some(4));
        check(&[9, 1, 2, 3, 1, 2, 4], None);
        let phrase: Vec<u32> = (100..140).collect();
        check(&[phrase.clone(), phrase.clone()].concat(), Some(40));
        let longer: Vec<u32> = (100..141).collect();
        check(&[longer.clone(), longer].concat(), None);
    }
}
