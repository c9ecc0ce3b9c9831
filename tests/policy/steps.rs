//! Everything that can happen.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tandem::model::reason::RequestKind;

/// Our numbers, and the customers that each of them has.
pub(crate) const NUMBERS: usize = 2;
pub(crate) const CUSTOMERS: usize = 2;
/// A number and a customer: what a permission is between.
pub(crate) const PAIRS: usize = NUMBERS * CUSTOMERS;

pub(crate) const fn number_of(pair: usize) -> usize {
    pair / CUSTOMERS
}

pub(crate) const fn customer_of(pair: usize) -> usize {
    pair % CUSTOMERS
}

/// The row of the rate card: the second customer is German.
pub(crate) const fn market_of(pair: usize) -> &'static str {
    if customer_of(pair) == 1 { "49" } else { "*" }
}

/// One thing that happens. `nth` picks among what there is, the newest first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Time passes, in seconds; between other steps less than half a second does.
    Pass(i64),
    Ask {
        pair: usize,
        kind: RequestKind,
        fate: Fate,
    },
    /// WhatsApp's name of a request becomes known after all.
    Learn {
        nth: usize,
    },
    /// The customer writes.
    Write {
        pair: usize,
    },
    /// The customer decides, answering the nth request; beyond the last one, in the business profile. WhatsApp's report
    /// arrives at once, or is on its way.
    Decide {
        pair: usize,
        word: Word,
        nth: usize,
        at_once: bool,
    },
    /// A report arrives: the nth of those under way, or, `again`, one that has arrived before.
    Deliver {
        nth: usize,
        again: bool,
    },
    Dial {
        pair: usize,
    },
    /// The program allows a call and dies before it has stored anything of it.
    DialAndDie {
        pair: usize,
    },
    /// The nth running call is answered.
    Answer {
        nth: usize,
    },
    /// The nth running call ends. `settled`: by WhatsApp's last word.
    End {
        nth: usize,
        how: How,
        settled: bool,
    },
    /// WhatsApp's last word on the nth ended call.
    Correct {
        nth: usize,
        how: How,
    },
    /// The end of a call is reported once more.
    EndAgain {
        nth: usize,
    },
    /// The customer calls.
    CalledBy {
        pair: usize,
        answered: bool,
    },
    TopUp {
        micros: i64,
    },
    /// WhatsApp's own books are asked.
    Check {
        pair: usize,
        books: Books,
    },
    /// Callback permissions of a number are switched on or off.
    Callbacks {
        number: usize,
        on: bool,
    },
    /// Our clock looks at what ran out.
    Tick,
    /// The program dies and starts again.
    Restart,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    /// Sent perhaps: WhatsApp's answer was lost, and with it the message's name.
    Unnamed,
    /// WhatsApp did not take it.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// For a week, and WhatsApp says until when, or does not.
    Temporary,
    Untold,
    Permanent,
    No,
    /// WhatsApp's own word after a call or after unanswered ones.
    Callback,
    Revoked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// Talked for so many seconds; of a call known to be answered, until now.
    Answered(i64),
    LetRing,
    Declined,
    /// Technical trouble: nobody's fault, nothing counts.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    Nothing,
    /// Seconds that are left.
    Temporary(i64),
    Untold,
    Permanent,
}

/// Times at which something runs out, a second before, and a second after.
const LEAPS: [i64; 13] =
    [86_399, 86_400, 86_401, 172_800, 200_000, 259_199, 259_200, 300_000, 345_600, 500_000, 604_799, 604_800, 604_801];
/// So little that a permission lives on.
const STRIDES: [i64; 5] = [1, 7, 60, 3_600, 43_200];
/// The pair that most things happen to: four pairs alike would meet their limits too seldom.
const FAVOURITE: usize = 0;

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let pair = prop_oneof![2 => Just(FAVOURITE), 1 => 0..PAIRS];
    let nth = prop_oneof![2 => Just(0), 1 => 0..4_usize];
    let word = prop_oneof![
        3 => Just(Word::Temporary),
        1 => Just(Word::Untold),
        2 => Just(Word::Permanent),
        2 => Just(Word::No),
        2 => Just(Word::Callback),
        1 => Just(Word::Revoked),
    ];
    // Two quarters of an hour fill the dear tier to the pulse.
    let talked =
        || prop_oneof![Just(0_i64), Just(1), Just(6), Just(7), Just(900), 1..4_000_i64].prop_map(How::Answered);
    let how =
        move || prop_oneof![3 => talked(), 3 => Just(How::LetRing), 1 => Just(How::Declined), 1 => Just(How::Failed)];
    let books = prop_oneof![
        2 => Just(Books::Nothing),
        2 => (-100_000..700_000_i64).prop_map(Books::Temporary),
        1 => Just(Books::Untold),
        2 => Just(Books::Permanent),
    ];
    let kind = select(&[RequestKind::FreeForm, RequestKind::Template][..]);
    let fate = prop_oneof![6 => Just(Fate::Sent), 1 => Just(Fate::Unnamed), 1 => Just(Fate::Refused)];
    let step = prop_oneof![
        7 => select(&LEAPS[..]).prop_map(Step::Pass),
        6 => select(&STRIDES[..]).prop_map(Step::Pass),
        8 => (pair.clone(), kind, fate).prop_map(|(pair, kind, fate)| Step::Ask { pair, kind, fate }),
        1 => nth.clone().prop_map(|nth| Step::Learn { nth }),
        2 => pair.clone().prop_map(|pair| Step::Write { pair }),
        14 => (pair.clone(), word, nth.clone(), prop::bool::weighted(0.7))
            .prop_map(|(pair, word, nth, at_once)| Step::Decide { pair, word, nth, at_once }),
        8 => (nth.clone(), any::<bool>()).prop_map(|(nth, again)| Step::Deliver { nth, again }),
        16 => pair.clone().prop_map(|pair| Step::Dial { pair }),
        1 => pair.clone().prop_map(|pair| Step::DialAndDie { pair }),
        4 => nth.clone().prop_map(|nth| Step::Answer { nth }),
        14 => (nth.clone(), how(), prop::bool::weighted(0.8))
            .prop_map(|(nth, how, settled)| Step::End { nth, how, settled }),
        5 => (nth.clone(), how()).prop_map(|(nth, how)| Step::Correct { nth, how }),
        2 => nth.prop_map(|nth| Step::EndAgain { nth }),
        4 => (pair.clone(), any::<bool>()).prop_map(|(pair, answered)| Step::CalledBy { pair, answered }),
        5 => (1..3_000_000_i64).prop_map(|micros| Step::TopUp { micros }),
        3 => (pair, books).prop_map(|(pair, books)| Step::Check { pair, books }),
        2 => (0..NUMBERS, any::<bool>()).prop_map(|(number, on)| Step::Callbacks { number, on }),
        2 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..=most)
}
