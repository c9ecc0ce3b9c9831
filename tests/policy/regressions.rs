//! Lives that once went wrong, in the steps they shrank to, and lives that must not go wrong.

use tandem::model::reason::RequestKind::Template;

use crate::steps::{Books, Fate, How, Step, Word};

pub(crate) fn regressions() -> Vec<(&'static str, Vec<Step>)> {
    use Step::{Ask, Check, Deliver, Dial, Pass, TopUp};
    let deliver = Deliver { nth: 0, again: false };
    let decide = |pair, word| Step::Decide { pair, word, nth: 0, at_once: false };
    let unasked = |pair, word| Step::Decide { pair, word, nth: 9, at_once: false };
    let end = |how| Step::End { nth: 0, how, settled: true };
    vec![
        (
            "four unanswered calls take a permanent permission away, and the customer gives it back unasked",
            vec![
                TopUp { micros: 1_000_000 },
                unasked(0, Word::Permanent),
                deliver,
                Dial { pair: 0 },
                end(How::LetRing),
                Dial { pair: 0 },
                end(How::Declined),
                Dial { pair: 0 },
                end(How::LetRing),
                Dial { pair: 0 },
                end(How::LetRing),
                Dial { pair: 0 },
                Pass(60),
                unasked(0, Word::Permanent),
                Deliver { nth: 0, again: true },
                deliver,
                Dial { pair: 0 },
            ],
        ),
        (
            "a second report of a revocation does not end the request sent since",
            vec![
                decide(2, Word::Temporary),
                deliver,
                Check { pair: 2, books: Books::Nothing },
                Ask { pair: 2, kind: Template, fate: Fate::Sent },
                decide(2, Word::Revoked),
                deliver,
            ],
        ),
        (
            "a grant that comes late is judged by the first check after it, though another has followed",
            vec![
                unasked(0, Word::Callback),
                Check { pair: 0, books: Books::Nothing },
                Pass(86_399),
                Check { pair: 0, books: Books::Nothing },
                deliver,
            ],
        ),
        (
            "a minute is held back at the price of the volume reached",
            vec![
                TopUp { micros: 320_001 },
                decide(0, Word::Permanent),
                deliver,
                Dial { pair: 0 },
                end(How::Answered(3_601)),
                Dial { pair: 0 },
            ],
        ),
    ]
}
