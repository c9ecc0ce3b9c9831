//! What a customer permits a number.

use std::cmp::Reverse;

use super::{End, Fact, Reference};
use crate::terms::{HOUR, Rules, SECOND, rules};

/// One permission, recounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recount {
    pub(crate) status: &'static str,
    /// Of one that is in force for a while.
    pub(crate) ends: Option<i64>,
    pub(crate) unanswered: u32,
    pub(crate) connected: Option<i64>,
    /// When WhatsApp's books were last asked, and whether they said otherwise.
    pub(crate) checked: Option<(i64, bool)>,
    /// Until when the latest request can be answered.
    pub(crate) answerable: Option<i64>,
    /// Requests that count against the limits.
    pub(super) counting: Vec<i64>,
}

/// What a pair did, calls among it.
#[derive(Clone, Debug)]
enum Deed {
    Said(Fact),
    Connected,
    NotTaken,
}

impl Deed {
    /// Where a deed stands among those of its second, for WhatsApp tells no finer time than seconds: first ours, then what
    /// was found, then what was granted, the longer before the shorter, then what takes away. So the stricter word stands.
    fn place(&self) -> (u8, Reverse<i64>) {
        let longest = Reverse(i64::MAX);
        match self {
            Self::Said(Fact::Asked { .. }) => (0, longest),
            Self::Connected => (1, longest),
            Self::Said(Fact::Checked { .. }) => (2, longest),
            Self::Said(Fact::Granted { end: End::Never, .. }) => (3, longest),
            Self::Said(Fact::Granted { end: End::Untold, .. }) => (4, longest),
            Self::Said(Fact::Granted { end: End::At(end), .. }) => (4, Reverse(*end)),
            Self::NotTaken => (5, longest),
            Self::Said(Fact::Revoked) => (6, longest),
            Self::Said(Fact::Declined { .. }) => (7, longest),
        }
    }
}

struct Request {
    name: Option<usize>,
    at: i64,
    dies: i64,
    counts: bool,
}

/// The last word.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Nothing,
    /// Until when; `None` is for good.
    Granted(Option<i64>),
    Rejected,
    Revoked,
}

impl Word {
    fn holds(self, at: i64) -> bool {
        matches!(self, Self::Granted(end) if end.is_none_or(|end| at < end))
    }
}

impl Reference {
    pub(crate) fn permission(&self, pair: usize, now: i64) -> Recount {
        let mut requests: Vec<Request> = Vec::new();
        let mut word = Word::Nothing;
        // Somebody has decided something since the latest request.
        let mut decided = true;
        let mut recount = Recount::default();
        for (at, deed) in self.deeds(pair) {
            let rules = rules(at);
            match deed {
                Deed::Said(Fact::Asked { name }) => {
                    requests.push(Request { name, at, dies: at + rules.request_life_h * HOUR, counts: true });
                    decided = false;
                    continue;
                }
                Deed::Said(Fact::Granted { end, answers }) => {
                    if answer(&mut requests, answers, at, rules) == Answer::TooLate {
                        continue;
                    }
                    recount.unanswered = 0;
                    word = Word::Granted(until(end, at, rules));
                }
                // A no counts, whatever it answers.
                Deed::Said(Fact::Declined { answers }) => {
                    answer(&mut requests, answers, at, rules);
                    word = Word::Rejected;
                }
                // What we had concluded ourselves is no news.
                Deed::Said(Fact::Revoked) if word == Word::Revoked => continue,
                Deed::Said(Fact::Revoked) => word = Word::Revoked,
                Deed::Said(Fact::Checked { holds }) => {
                    let theirs = holds.map(|end| until(end, at, rules));
                    let ours = if let Word::Granted(end) = word { Some(end).filter(|_| word.holds(at)) } else { None };
                    let agree = match (ours, theirs) {
                        (None, theirs) => theirs.is_none_or(|end| !Word::Granted(end).holds(at)),
                        (Some(None), Some(None)) => true,
                        // Ends a minute apart are the same end, and one that was not told is any.
                        (Some(Some(a)), Some(Some(b))) => holds == Some(End::Untold) || (a - b).abs() <= 60 * SECOND,
                        _ => false,
                    };
                    recount.checked = Some((at, !agree));
                    if agree {
                        continue;
                    }
                    if let Some(end) = theirs {
                        if ours.is_none_or(|ours| ours.is_none() != end.is_none()) {
                            recount.unanswered = 0;
                        }
                        word = Word::Granted(end);
                    } else {
                        word = Word::Revoked;
                    }
                }
                Deed::Connected => {
                    recount.unanswered = 0;
                    recount.connected = Some(at);
                    for request in &mut requests {
                        request.counts = false;
                    }
                    if rules.renews
                        && let Word::Granted(Some(end)) = word
                        && at < end
                    {
                        word = Word::Granted(Some(end.max(at + rules.temporary_h * HOUR)));
                    }
                    continue;
                }
                Deed::NotTaken => {
                    recount.unanswered += 1;
                    if recount.unanswered < rules.revoke_after || !word.holds(at) {
                        continue;
                    }
                    word = Word::Revoked;
                }
            }
            decided = true;
        }
        recount.answerable = requests.last().map(|request| request.dies).filter(|dies| now < *dies);
        recount.status = match word {
            Word::Granted(None) => "permanent",
            Word::Granted(_) if word.holds(now) => "temporary",
            _ if !decided && recount.answerable.is_some() => "requested",
            Word::Granted(_) => "expired",
            Word::Nothing => "none",
            Word::Rejected => "rejected",
            Word::Revoked => "revoked",
        };
        if let Word::Granted(end) = word {
            recount.ends = end;
        }
        recount.counting = requests.iter().filter(|request| request.counts).map(|request| request.at).collect();
        recount
    }

    /// Everything between the two, in the order in which it happened.
    fn deeds(&self, pair: usize) -> Vec<(i64, Deed)> {
        let said = &self.said[pair];
        let last = |n: usize| !said[n + 1..].iter().any(|later| later.key == said[n].key);
        let mut deeds: Vec<(i64, Deed)> =
            (0..said.len()).filter(|n| last(*n)).map(|n| (said[n].at, Deed::Said(said[n].fact.clone()))).collect();
        for call in self.calls.iter().filter(|call| call.pair == pair) {
            match call.last().map(|report| (report.answered, report.ended, report.not_taken)) {
                Some((Some(at), ..)) => deeds.push((at, Deed::Connected)),
                Some((None, Some(at), true)) if call.outbound => deeds.push((at, Deed::NotTaken)),
                _ => {}
            }
        }
        deeds.sort_by_key(|(at, deed)| (at.div_euclid(SECOND), deed.place(), *at));
        deeds
    }
}

#[derive(PartialEq)]
enum Answer {
    Unasked,
    InTime,
    TooLate,
}

/// Acting on a request lets it be answered anew, and ends those sent before it.
fn answer(requests: &mut [Request], name: Option<usize>, at: i64, rules: &Rules) -> Answer {
    let Some(n) = requests.iter().position(|request| name.is_some() && request.name == name) else {
        return Answer::Unasked;
    };
    if at >= requests[n].dies {
        return Answer::TooLate;
    }
    requests[n].dies = at + rules.request_life_h * HOUR;
    for older in &mut requests[..n] {
        older.dies = older.dies.min(at);
    }
    Answer::InTime
}

/// `None`: for good.
fn until(end: End, at: i64, rules: &Rules) -> Option<i64> {
    match end {
        End::Never => None,
        End::At(end) => Some(end),
        End::Untold => Some(at + rules.temporary_h * HOUR),
    }
}
