//! What a load run found, as a table and as JSON.

use std::fmt;

use serde::Serialize;

use super::process::ProcessFigures;
use crate::peer::probe::DelayMeter;

/// Lost packets allowed.
const LOSS_RATIO_MAX: f64 = 0.001;
/// Added delay allowed at the 99th percentile.
const DELAY_P99_MS_MAX: f64 = 20.0;
/// While something beside the gateway is broken, the delay at the 99th percentile may be this many times what it was …
const DISTURBED_RATIO_MAX: f64 = 2.0;
/// … and as much more: the percentile of a quiet machine is near nothing.
const DISTURBED_MORE_MS_MAX: f64 = 2.0;
/// Above this share of late frames the generator itself was too slow.
const LATE_RATIO_MAX: f64 = 0.01;

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50_ms: f64,
    /// 95th.
    pub p95_ms: f64,
    /// 99th.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl Percentiles {
    /// From values in microseconds.
    pub fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: f64| {
            let index = ((micros.len() as f64 * share).ceil() as usize).clamp(1, micros.len().max(1)) - 1;
            micros.get(index).map_or(0.0, |value| f64::from(*value) / 1_000.0)
        };
        Self { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2}  p95 {:.2}  p99 {:.2}  max {:.2} ms", self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms)
    }
}

/// One direction of all calls.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Direction {
    /// Packets that arrived and were recognised.
    pub packets: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Packets out of order or twice.
    pub reordered: u64,
    /// Packets that are not the partner's audio.
    pub unknown: u64,
    /// Audio of another call.
    pub foreign: u64,
    /// Calls in which nothing at all arrived.
    pub silent_calls: u64,
    /// Sender's write to receiver's read.
    pub delay: Percentiles,
}

impl Direction {
    pub(super) fn collect<'a>(meters: impl Iterator<Item = &'a DelayMeter>) -> Self {
        let mut sum = Self::default();
        let mut micros = Vec::new();
        for figures in meters.map(DelayMeter::figures) {
            sum.packets += figures.micros.len() as u64;
            sum.lost += figures.lost;
            sum.reordered += figures.reordered;
            sum.unknown += figures.unknown;
            sum.foreign += figures.foreign;
            sum.silent_calls += u64::from(figures.micros.is_empty());
            micros.extend(figures.micros);
        }
        sum.delay = Percentiles::of(micros);
        sum
    }

    /// Lost packets as a share of all.
    pub fn loss_ratio(&self) -> f64 {
        self.lost as f64 / (self.packets + self.lost).max(1) as f64
    }
}

/// Both directions after something beside the gateway was broken.
#[derive(Clone, Debug, Serialize)]
pub struct Disturbed {
    /// Customer to agent.
    pub to_agent: Direction,
    /// Agent to customer.
    pub to_customer: Direction,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Calls asked for.
    pub calls_wanted: usize,
    /// Calls that were answered with media in both directions.
    pub calls_up: usize,
    /// Why the others were not, in words with their number.
    pub set_up_failures: Vec<(String, usize)>,
    /// Calls that ended by themselves while they were measured.
    pub calls_lost: usize,
    /// What phones complained about (early media, second source …), with numbers.
    pub violations: Vec<(String, usize)>,
    /// Length of the measured part.
    pub seconds: f64,
    /// Customer's call to the offer at the agent.
    pub call_to_offer: Percentiles,
    /// Agent's click to audio in both directions.
    pub click_to_two_way_audio: Percentiles,
    /// Customer to agent.
    pub to_agent: Direction,
    /// Agent to customer.
    pub to_customer: Direction,
    /// The same again, if something was broken in the middle.
    pub disturbed: Option<Disturbed>,
    /// The same without a gateway: this machine's own delay.
    pub baseline: Direction,
    /// Share of frames that this generator spoke more than 10 ms late.
    pub generator_late_ratio: f64,
    /// This process.
    pub generator: ProcessFigures,
    /// The gateway, if its process id was given.
    pub gateway: Option<ProcessFigures>,
    /// The judgement.
    pub verdict: Verdict,
}

/// Whether the run met its goals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "reasons", rename_all = "snake_case")]
pub enum Verdict {
    /// All goals met.
    Passed,
    /// These were missed.
    Failed(Vec<String>),
    /// The generator was too slow: the figures say nothing about the gateway.
    Refused(Vec<String>),
}

impl Verdict {
    /// 0 passed, 2 failed, 3 refused (1 is for runs that could not be made).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl Report {
    pub(super) fn judge(&mut self) {
        if self.generator_late_ratio > LATE_RATIO_MAX {
            let late = format!(
                "{:.2} % of the frames were spoken more than 10 ms late: use a faster or quieter machine, or fewer calls",
                self.generator_late_ratio * 100.0
            );
            self.verdict = Verdict::Refused(vec![late]);
            return;
        }
        let mut reasons = Vec::new();
        if self.calls_up < self.calls_wanted {
            reasons.push(format!(
                "{} of {} calls were not set up",
                self.calls_wanted - self.calls_up,
                self.calls_wanted
            ));
        }
        if self.calls_lost > 0 {
            reasons.push(format!("{} calls were lost", self.calls_lost));
        }
        let mut directions = vec![("to the agent", &self.to_agent), ("to the customer", &self.to_customer)];
        if let Some(Disturbed { to_agent, to_customer }) = &self.disturbed {
            for (before, after, name) in [
                (&self.to_agent, to_agent, "to the agent, disturbed"),
                (&self.to_customer, to_customer, "to the customer, disturbed"),
            ] {
                let (before, now) = (before.delay.p99_ms, after.delay.p99_ms);
                if now > before * DISTURBED_RATIO_MAX + DISTURBED_MORE_MS_MAX {
                    reasons.push(format!("p99 delay {name}: {now:.1} ms, before it was {before:.1} ms"));
                }
                directions.push((name, after));
            }
        }
        for (name, direction) in directions {
            if direction.loss_ratio() >= LOSS_RATIO_MAX {
                reasons.push(format!("{:.3} % of the packets {name} were lost", direction.loss_ratio() * 100.0));
            }
            if direction.delay.p99_ms >= DELAY_P99_MS_MAX {
                reasons.push(format!("p99 delay {name} is {:.1} ms", direction.delay.p99_ms));
            }
            if direction.silent_calls + direction.foreign > 0 {
                reasons.push(format!(
                    "{name}: {} silent calls, {} packets of other calls",
                    direction.silent_calls, direction.foreign
                ));
            }
        }
        self.verdict = if reasons.is_empty() { Verdict::Passed } else { Verdict::Failed(reasons) };
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "calls                {} of {} up, {} lost, measured for {:.0} s",
            self.calls_up, self.calls_wanted, self.calls_lost, self.seconds
        )?;
        for (reason, count) in self.set_up_failures.iter().chain(&self.violations) {
            writeln!(f, "                     {count} × {reason}")?;
        }
        writeln!(f, "call to offer        {}", self.call_to_offer)?;
        writeln!(f, "click to audio       {}   (both directions)", self.click_to_two_way_audio)?;
        let mut rows = vec![("customer to agent", &self.to_agent), ("agent to customer", &self.to_customer)];
        if let Some(Disturbed { to_agent, to_customer }) = &self.disturbed {
            rows.extend([("  disturbed", to_agent), ("  disturbed", to_customer)]);
        }
        rows.push(("without a gateway", &self.baseline));
        for (name, direction) in rows {
            writeln!(f, "{name:<20} {}", direction.delay)?;
            writeln!(
                f,
                "                     {} packets, {} lost ({:.4} %), {} out of order, {} not ours, {} of other calls",
                direction.packets,
                direction.lost,
                direction.loss_ratio() * 100.0,
                direction.reordered,
                direction.unknown,
                direction.foreign
            )?;
        }
        if let Some(gateway) = &self.gateway {
            let calls = self.calls_up.max(1) as f64;
            let added = gateway.rss_max_bytes.saturating_sub(gateway.rss_before_bytes) as f64;
            writeln!(
                f,
                "gateway              {:.2} cores ({:.2} % of a core per call), {:.1} MiB resident ({:.0} KiB per call)",
                gateway.cores,
                gateway.cores * 100.0 / calls,
                gateway.rss_max_bytes as f64 / 1_048_576.0,
                added / 1_024.0 / calls
            )?;
        }
        writeln!(
            f,
            "generator            {:.2} cores, {:.3} % of its frames late",
            self.generator.cores,
            self.generator_late_ratio * 100.0
        )?;
        match &self.verdict {
            Verdict::Passed => write!(f, "PASSED"),
            Verdict::Failed(reasons) => write!(f, "FAILED: {}", reasons.join("; ")),
            Verdict::Refused(reasons) => write!(f, "REFUSED, the generator was too slow: {}", reasons.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_name_real_values() {
        let values = (1..=100).map(|n| n * 1_000).collect();
        let found = Percentiles::of(values);
        assert_eq!((found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms), (50.0, 95.0, 99.0, 100.0));
        assert_eq!(Percentiles::of(Vec::new()).max_ms, 0.0);
    }

    #[test]
    fn a_disturbed_run_is_judged_by_what_it_was_before() {
        let direction = |p99_ms| {
            let delay = Percentiles { p99_ms, ..Percentiles::default() };
            Direction { packets: 1_000, delay, ..Direction::default() }
        };
        let check = |before: f64, after: Direction, reasons: &[&str]| {
            let mut report = Report {
                calls_wanted: 1,
                calls_up: 1,
                set_up_failures: Vec::new(),
                calls_lost: 0,
                violations: Vec::new(),
                seconds: 20.0,
                call_to_offer: Percentiles::default(),
                click_to_two_way_audio: Percentiles::default(),
                to_agent: direction(before),
                to_customer: direction(before),
                disturbed: Some(Disturbed { to_agent: direction(before), to_customer: after }),
                baseline: Direction::default(),
                generator_late_ratio: 0.0,
                generator: ProcessFigures::default(),
                gateway: None,
                verdict: Verdict::Passed,
            };
            report.judge();
            let found = if let Verdict::Failed(reasons) = report.verdict { reasons } else { Vec::new() };
            assert_eq!(found, reasons);
        };
        check(2.0, direction(5.9), &[]);
        check(2.0, direction(6.1), &["p99 delay to the customer, disturbed: 6.1 ms, before it was 2.0 ms"]);
        let lost = Direction { lost: 2, ..direction(2.0) };
        check(2.0, lost, &["0.200 % of the packets to the customer, disturbed were lost"]);
    }
}
