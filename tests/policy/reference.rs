//! The reference: lists of what happened, recounted from the first to the last at every question. Seconds throughout.

use crate::steps::CUSTOMERS;

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const WEEK: i64 = 168 * HOUR;
/// Calls dialled, and connected, by the number in 24 hours; small, so that lives meet them.
pub(crate) const ATTEMPTS: usize = 12;
pub(crate) const CONNECTED: usize = 3;
/// Micros of a minute, below and from [`TIER`] minutes of a month.
pub(crate) const DEAR: i64 = 10_000;
pub(crate) const CHEAP: i64 = 5_000;
pub(crate) const TIER: i64 = 60;

/// What is known to have happened to one customer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact {
    Asked {
        name: usize,
    },
    /// `until`: none is for good. `answers`: the request, if it answers one.
    Granted {
        until: Option<i64>,
        answers: Option<usize>,
    },
    Declined {
        answers: Option<usize>,
    },
    Revoked,
    Connected,
    Unanswered,
    /// WhatsApp's books: `None` nothing, `Some(None)` for good.
    Checked {
        until: Option<Option<i64>>,
    },
}

#[derive(Clone, Default)]
pub(crate) struct Reference {
    pub(crate) known: [Vec<(i64, Fact)>; CUSTOMERS],
    /// Who is being dialled or talked to, and what is held back for it: a minute at the price of its time.
    pub(crate) running: Vec<(usize, i64)>,
    pub(crate) dialled: Vec<i64>,
    pub(crate) connected: Vec<i64>,
    pub(crate) balance: i64,
    /// Month and pulses of each charged call.
    pub(crate) charged: Vec<(i64, i64)>,
}

/// One permission, recounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recount {
    pub(crate) status: &'static str,
    pub(crate) until: Option<i64>,
    pub(crate) unanswered: u32,
    /// Codes against asking, with the second in which each clears.
    pub(crate) asking: Vec<(&'static str, Option<i64>)>,
}

struct Request {
    name: usize,
    at: i64,
    answered: Option<i64>,
    closed: bool,
}

impl Request {
    fn is_alive(&self, at: i64) -> bool {
        !self.closed && at < self.answered.unwrap_or(self.at) + WEEK
    }
}

impl Reference {
    pub(crate) fn permission(&self, who: usize, now: i64) -> Recount {
        let mut facts = self.known[who].clone();
        facts.sort_by_key(|(at, _)| *at);
        let mut requests: Vec<Request> = Vec::new();
        // None: nothing was ever decided. The word, since when, and until when it is in force.
        let mut word = "none";
        let mut decided = i64::MIN;
        let mut until: Option<Option<i64>> = None;
        let (mut unanswered, mut reset) = (0, i64::MIN);
        for (at, fact) in facts {
            let in_force = until.is_some_and(|end| end.is_none_or(|end| at < end));
            match fact {
                Fact::Asked { name } => requests.push(Request { name, at, answered: None, closed: false }),
                Fact::Granted { until: end, answers } => {
                    if let Some(n) = requests.iter().position(|r| Some(r.name) == answers) {
                        if !requests[n].is_alive(at) {
                            continue;
                        }
                        answer(&mut requests, n, at);
                    }
                    (word, decided, until, unanswered) = ("granted", at, Some(end), 0);
                }
                Fact::Declined { answers } => {
                    if let Some(n) = requests.iter().position(|r| Some(r.name) == answers)
                        && requests[n].is_alive(at)
                    {
                        answer(&mut requests, n, at);
                    }
                    (word, decided, until) = ("rejected", at, None);
                }
                // What we had concluded ourselves is no news.
                Fact::Revoked if word == "revoked" => {}
                Fact::Revoked => (word, decided, until) = ("revoked", at, None),
                Fact::Connected => {
                    unanswered = 0;
                    reset = at;
                    if in_force && let Some(Some(end)) = until {
                        until = Some(Some(end.max(at + WEEK)));
                    }
                }
                Fact::Unanswered => {
                    unanswered += 1;
                    if unanswered >= 4 && in_force {
                        (word, decided, until) = ("revoked", at, None);
                    }
                }
                Fact::Checked { until: None } => {
                    if in_force {
                        (word, decided, until) = ("revoked", at, None);
                    }
                }
                Fact::Checked { until: Some(theirs) } => match until.filter(|_| in_force) {
                    // Ends a minute apart are the same end.
                    Some(ours) if ours.zip(theirs).is_some_and(|(a, b)| (a - b).abs() <= 60) || ours == theirs => {}
                    ours => {
                        if ours.is_none_or(|ours| ours.is_none() != theirs.is_none()) {
                            unanswered = 0;
                        }
                        (word, decided, until) = ("granted", at, Some(theirs));
                    }
                },
            }
        }
        let in_force = until.is_some_and(|end| end.is_none_or(|end| now < end));
        let open = requests.iter().any(|r| r.answered.is_none() && r.is_alive(now) && r.at > decided);
        let status = match (word, until) {
            (_, Some(None)) if in_force => "permanent",
            (_, Some(_)) if in_force => "temporary",
            _ if open => "requested",
            ("granted", _) => "expired",
            (word, _) => word,
        };
        let asked: Vec<i64> = requests.iter().map(|r| r.at).filter(|at| *at > reset).collect();
        let mut asking = Vec::new();
        if status == "permanent" {
            asking.push(("already_permanent", None));
        }
        for (code, max, window) in [("request_limit_24h", 1, 24 * HOUR), ("request_limit_7d", 2, WEEK)] {
            let counted: Vec<i64> = asked.iter().copied().filter(|at| now - at < window).collect();
            if counted.len() >= max {
                asking.push((code, Some(counted[counted.len() - max] + window)));
            }
        }
        Recount { status, until: until.flatten(), unanswered, asking }
    }

    /// Codes against a call, with the second in which each clears.
    pub(crate) fn against_dialling(&self, who: usize, now: i64) -> Vec<(&'static str, Option<i64>)> {
        let mut against = Vec::new();
        match self.permission(who, now).status {
            "temporary" | "permanent" => {}
            "expired" => against.push(("permission_expired", None)),
            _ => against.push(("no_permission", None)),
        }
        let mut connected: Vec<i64> = self.connected.iter().copied().filter(|at| now - at < 24 * HOUR).collect();
        connected.sort_unstable();
        let room = CONNECTED.saturating_sub(self.running.len());
        if connected.len() >= room {
            // With every place taken by calls in flight, only their end makes room.
            let clears = (room > 0).then(|| connected[connected.len() - room] + 24 * HOUR);
            against.push(("connected_limit", clears));
        }
        let attempts: Vec<i64> = self.dialled.iter().copied().filter(|at| now - at < 24 * HOUR).collect();
        if attempts.len() >= ATTEMPTS {
            against.push(("attempts_limit", Some(attempts[attempts.len() - ATTEMPTS] + 24 * HOUR)));
        }
        if self.available() <= 0 {
            against.push(("wallet_negative", None));
        }
        if self.running.iter().any(|(running, _)| *running == who) {
            against.push(("call_in_progress", None));
        }
        against
    }

    pub(crate) fn available(&self) -> i64 {
        self.balance - self.running.iter().map(|(_, held)| held).sum::<i64>()
    }

    fn pulses_of(&self, month: i64) -> i64 {
        self.charged.iter().filter(|(m, _)| *m == month).map(|(_, pulses)| pulses).sum()
    }

    /// The price of the next minute.
    pub(crate) fn rate(&self, month: i64) -> i64 {
        if self.pulses_of(month) >= TIER * 10 { CHEAP } else { DEAR }
    }

    /// Charges a call that talked so many seconds in a month; gives back its price.
    pub(crate) fn charge(&mut self, month: i64, talked_s: i64) -> i64 {
        let pulses = (talked_s + 5) / 6;
        let rate = if self.pulses_of(month) + pulses > TIER * 10 { CHEAP } else { DEAR };
        let price = (pulses * rate + 9) / 10;
        self.charged.push((month, pulses));
        self.balance -= price;
        price
    }
}

/// Acting on a request ends those sent before it.
fn answer(requests: &mut [Request], n: usize, at: i64) {
    requests[n].answered = Some(at);
    for older in &mut requests[..n] {
        older.closed = true;
    }
}
