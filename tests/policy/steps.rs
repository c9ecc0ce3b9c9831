//! Everything that can happen.

use proptest::collection::vec;
use proptest::prelude::*;

/// Customers of the one number.
pub(crate) const CUSTOMERS: usize = 3;

/// One thing that happens. `who` is a customer; `nth` picks among what there is, whatever its number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Time passes, in seconds.
    Pass(i64),
    Ask {
        who: usize,
    },
    /// The customer decides; WhatsApp's report is on its way.
    Decide {
        who: usize,
        word: Word,
        nth: usize,
    },
    /// A report arrives: the nth of those under way, or, `again`, one that has arrived before.
    Deliver {
        nth: usize,
        again: bool,
    },
    Dial {
        who: usize,
    },
    /// The nth running call ends.
    End {
        nth: usize,
        how: How,
    },
    /// The end of a call is reported once more.
    EndAgain {
        nth: usize,
    },
    /// The customer calls.
    CalledBy {
        who: usize,
        answered: bool,
    },
    TopUp {
        micros: i64,
    },
    /// WhatsApp's own books are asked.
    Check {
        who: usize,
        books: Books,
    },
    /// Our clock looks at what ran out.
    Tick,
    /// The program dies and starts again.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Answering the nth request, newest first; beyond the last one, in the business profile.
    Temporary,
    Permanent,
    No,
    /// Meta's own word after a call or after unanswered ones.
    Callback,
    Revoked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// Talked for so many seconds.
    Answered(i64),
    LetRing,
    Declined,
    /// Technical trouble: nobody's fault, nothing counts.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    Nothing,
    Temporary { lasts_s: i64 },
    Permanent,
}

/// Times at which something runs out, a second before, and a second after.
const JUMPS: [i64; 14] =
    [1, 7, 60, 3_600, 86_399, 86_400, 86_401, 200_000, 604_799, 604_800, 604_801, 500_000, 43_200, 300_000];

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let who = 0..CUSTOMERS;
    let nth = 0..4_usize;
    let word = prop_oneof![
        3 => Just(Word::Temporary),
        2 => Just(Word::Permanent),
        2 => Just(Word::No),
        2 => Just(Word::Callback),
        1 => Just(Word::Revoked),
    ];
    let how = prop_oneof![
        3 => prop_oneof![Just(0_i64), Just(1), Just(6), Just(7), Just(56), 1..4_000_i64].prop_map(How::Answered),
        3 => Just(How::LetRing),
        1 => Just(How::Declined),
        1 => Just(How::Failed),
    ];
    let books = prop_oneof![
        Just(Books::Nothing),
        (1..700_000_i64).prop_map(|lasts_s| Books::Temporary { lasts_s }),
        Just(Books::Permanent),
    ];
    let step = prop_oneof![
        6 => proptest::sample::select(&JUMPS[..]).prop_map(Step::Pass),
        3 => who.clone().prop_map(|who| Step::Ask { who }),
        5 => (who.clone(), word, nth.clone()).prop_map(|(who, word, nth)| Step::Decide { who, word, nth }),
        6 => (nth.clone(), any::<bool>()).prop_map(|(nth, again)| Step::Deliver { nth, again }),
        7 => who.clone().prop_map(|who| Step::Dial { who }),
        7 => (nth.clone(), how).prop_map(|(nth, how)| Step::End { nth, how }),
        1 => nth.prop_map(|nth| Step::EndAgain { nth }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, answered)| Step::CalledBy { who, answered }),
        2 => (1..3_000_000_i64).prop_map(|micros| Step::TopUp { micros }),
        1 => (who, books).prop_map(|(who, books)| Step::Check { who, books }),
        1 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..=most)
}

/// Lives that once went wrong.
pub(crate) fn regressions() -> Vec<(&'static str, Vec<Step>)> {
    use Step::{Ask, Check, Decide, Deliver, Dial, End, Pass, TopUp};
    let revoked_twice = vec![
        Decide { who: 2, word: Word::Temporary, nth: 0 },
        Deliver { nth: 0, again: false },
        Check { who: 2, books: Books::Nothing },
        Ask { who: 2 },
        Decide { who: 2, word: Word::Revoked, nth: 0 },
        Deliver { nth: 0, again: false },
    ];
    let dearer_then_cheaper = vec![
        TopUp { micros: 320_001 },
        Decide { who: 0, word: Word::Permanent, nth: 0 },
        Deliver { nth: 0, again: false },
        Dial { who: 0 },
        End { nth: 0, how: How::Answered(3_601) },
        Dial { who: 0 },
    ];
    let taken_away = vec![(
        "four unanswered calls take a permanent permission away, and the customer gives it back unasked",
        vec![
            TopUp { micros: 1_000_000 },
            Decide { who: 0, word: Word::Permanent, nth: 9 },
            Deliver { nth: 0, again: false },
            Dial { who: 0 },
            End { nth: 0, how: How::LetRing },
            Dial { who: 0 },
            End { nth: 0, how: How::Declined },
            Dial { who: 0 },
            End { nth: 0, how: How::LetRing },
            Dial { who: 0 },
            End { nth: 0, how: How::LetRing },
            Dial { who: 0 },
            Pass(60),
            Decide { who: 0, word: Word::Permanent, nth: 9 },
            Deliver { nth: 0, again: true },
            Deliver { nth: 0, again: false },
            Dial { who: 0 },
        ],
    )];
    let others = [
        ("a second report of a revocation does not end the request sent since", revoked_twice),
        ("a minute is held back at the price of the volume reached", dearer_then_cheaper),
    ];
    taken_away.into_iter().chain(others).collect()
}
