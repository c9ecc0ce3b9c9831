//! The named timers of a call.

use std::time::{Duration, Instant};

use crate::model::words;

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// This agent does not answer: the next one is rung.
    Ring,
    /// This agent's client, which tells what it shows, has not shown the offer.
    Shown,
    /// Nobody answered within the whole ring window.
    RingTotal,
    /// The customer's media path does not come up.
    SetUp,
    /// WhatsApp refused the accept, or the customer's media died: a `terminate` that says why is on its way.
    Verdict,
    /// The customer's phone rings and rings.
    CustomerRing,
    /// The agent's media path is gone; the agent may come back.
    AgentReturn,
}

const COUNT: usize = 7;

/// At most one deadline of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers([Option<Instant>; COUNT]);

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub fn stop_all(&mut self) {
        self.0 = [None; COUNT];
    }

    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one timer that is due.
    pub fn expired(&mut self, now: Instant) -> Option<Timer> {
        const ALL: [Timer; COUNT] = [
            Timer::Ring,
            Timer::Shown,
            Timer::RingTotal,
            Timer::SetUp,
            Timer::Verdict,
            Timer::CustomerRing,
            Timer::AgentReturn,
        ];
        let due = ALL.into_iter().find(|timer| self.0[*timer as usize].is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}

words! {
    /// What becomes of a call that its agent rejects.
    OnReject {
        /// The next candidate rings.
        Next = "next",
        /// The call ends as missed by that agent.
        End = "end",
    }
}

/// How long a call waits, and whether it waits for a second agent. Defaults carry their reasons in the configuration file.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Patience {
    /// One agent's ring time.
    pub ring_timeout_ms: u64,
    /// How soon a client that tells what it shows has to show an offer.
    pub shown_ms: u64,
    /// An agent who does not answer is always followed by the next; one who rejects may end it.
    pub on_reject: OnReject,
    /// All agents' ring time together; Meta gives up after 30 to 60 s.
    pub ring_total_ms: u64,
    /// From the answer to a connected media path towards the customer.
    pub set_up_ms: u64,
    /// After a refused accept or dead media, for the `terminate` that explains it; Meta's takes some 2.5 s.
    pub verdict_ms: u64,
    /// How long the customer's phone may ring on an outbound call.
    pub customer_ring_ms: u64,
    /// How long a customer is kept on hold for an agent whose browser vanished.
    pub agent_return_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ring_timeout_ms: 20_000,
            shown_ms: 1_000,
            on_reject: OnReject::Next,
            ring_total_ms: 45_000,
            set_up_ms: 15_000,
            verdict_ms: 4_000,
            customer_ring_ms: 60_000,
            agent_return_ms: 60_000,
        }
    }
}

impl Patience {
    /// Everything that is wrong with it, each naming its key.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for (key, ms) in [
            ("ring_timeout_ms", self.ring_timeout_ms),
            ("shown_ms", self.shown_ms),
            ("ring_total_ms", self.ring_total_ms),
            ("set_up_ms", self.set_up_ms),
            ("verdict_ms", self.verdict_ms),
            ("customer_ring_ms", self.customer_ring_ms),
            ("agent_return_ms", self.agent_return_ms),
        ] {
            if !(100..=600_000).contains(&ms) {
                errors.push(format!("calls.{key} = {ms}: write 100 ms to 600000 ms (10 minutes)"));
            }
        }
        if self.ring_timeout_ms > self.ring_total_ms {
            errors.push(
                "calls.ring_timeout_ms is longer than calls.ring_total_ms: nobody could ring that long".to_owned(),
            );
        }
        errors
    }

    pub fn of(&self, timer: Timer) -> Duration {
        Duration::from_millis(match timer {
            Timer::Ring => self.ring_timeout_ms,
            Timer::Shown => self.shown_ms,
            Timer::RingTotal => self.ring_total_ms,
            Timer::SetUp => self.set_up_ms,
            Timer::Verdict => self.verdict_ms,
            Timer::CustomerRing => self.customer_ring_ms,
            Timer::AgentReturn => self.agent_return_ms,
        })
    }
}
