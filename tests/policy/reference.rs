//! The reference: lists of what happened, recounted from the first to the last at every question. Nothing is ever taken
//! out or added up in passing. Times are milliseconds.

mod books;
mod limits;
mod permission;

use crate::steps::{NUMBERS, PAIRS};

pub(crate) use permission::Recount;

/// What is known to have happened between a number and a customer, beside calls.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// `name`: WhatsApp's name of the message, if we learned it.
    Asked {
        name: Option<usize>,
    },
    Granted {
        end: End,
        answers: Option<usize>,
    },
    Declined {
        answers: Option<usize>,
    },
    Revoked,
    /// WhatsApp's books; `None`: they hold nothing.
    Checked {
        holds: Option<End>,
    },
}

/// How long a permission lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Never,
    At(i64),
    /// For a while, and nobody said how long.
    Untold,
}

/// One report of one fact. `key` is the same in every report of the same fact; the last report is the true one.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) key: String,
    pub(crate) at: i64,
    pub(crate) fact: Fact,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pair: usize,
    pub(crate) outbound: bool,
    pub(crate) began: i64,
    /// In the order in which they came; the last one is the true one.
    pub(crate) reports: Vec<Report>,
}

/// How a call stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) answered: Option<i64>,
    pub(crate) ended: Option<i64>,
    /// The customer let it ring or declined.
    pub(crate) not_taken: bool,
    pub(crate) talked_ms: i64,
    /// WhatsApp has said its last word.
    pub(crate) settled: bool,
}

/// What moves money, in the order in which it came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    TopUp(i64),
    /// This call was dialled, or reported this often.
    Dialled(usize),
    Reported(usize, usize),
}

#[derive(Default)]
pub(crate) struct Reference {
    pub(crate) said: [Vec<Said>; PAIRS],
    pub(crate) calls: Vec<Call>,
    /// What opened a service window, and when.
    pub(crate) openings: Vec<(usize, i64)>,
    pub(crate) lines: Vec<Line>,
    pub(crate) callbacks_off: [bool; NUMBERS],
}

impl Reference {
    pub(crate) fn hear(&mut self, pair: usize, key: String, at: i64, fact: Fact) {
        self.said[pair].push(Said { key, at, fact });
    }

    pub(crate) fn begin(&mut self, pair: usize, outbound: bool, began: i64) {
        if outbound {
            self.lines.push(Line::Dialled(self.calls.len()));
        }
        self.calls.push(Call { pair, outbound, began, reports: Vec::new() });
    }

    pub(crate) fn report(&mut self, call: usize, report: Report) {
        let Call { pair, outbound, began, reports } = &mut self.calls[call];
        self.lines.push(Line::Reported(call, reports.len()));
        reports.push(report);
        // A customer who calls, or takes our call, may be written to.
        let opens = if *outbound { report.answered } else { Some(*began) };
        self.openings.extend(opens.map(|at| (*pair, at)));
    }
}

impl Call {
    pub(crate) fn last(&self) -> Option<&Report> {
        self.reports.last()
    }

    /// May still connect.
    fn is_in_flight(&self) -> bool {
        self.outbound && self.reports.iter().all(|report| report.answered.is_none() && report.ended.is_none())
    }
}
