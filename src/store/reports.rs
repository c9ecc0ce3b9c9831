//! Counts over calls, made by the database: what becomes of them, when they come, how fast they are answered.
//!
//! Every count is narrowed by the same [`CallFilter`] as the list of calls, so a report and the list it is clicked open to
//! can never disagree. Neither database knows both calendars and all time zones, so calls are counted by quarters of an
//! hour, which every zone's offset is a multiple of, and added up to local hours and days here.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::calls::{CallFilter, narrow};
use super::error::Result;
use super::sql::{Columns, Select};
use crate::call::record::Status;
use crate::model::reason::{Direction, EndReason};
use crate::model::settings::Weekday;
use crate::model::time::Timestamp;
use crate::model::zone::Zone;

mod agents;
mod costs;
mod permissions;
#[cfg(test)]
mod tests;

pub use agents::AgentLoad;
pub use costs::CountryCost;
pub use permissions::FunnelStep;

const QUARTER_MS: i64 = 15 * 60 * 1000;

/// Statuses of a call that somebody answered.
const ANSWERED: [Status; 2] = [Status::Ongoing, Status::Completed];
/// Statuses of the section Missed Calls.
const MISSED: [Status; 3] = [Status::MissedByAgent, Status::MissedByCustomer, Status::RejectedByCustomer];

/// Calls of one kind, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallTally {
    pub calls: i64,
    /// Ongoing or completed.
    pub answered: i64,
    /// As in the section Missed Calls. What is neither still rings, failed, or was turned away by hours and switches.
    pub missed: i64,
    /// Of the answered ones; of a running call as of its last change.
    pub talk_ms: i64,
}

/// Calls that began in one hour of the day on one day of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HourCount {
    pub weekday: Weekday,
    /// 0 to 23.
    pub hour: u8,
    #[serde(flatten)]
    pub tally: CallTally,
}

/// Calls that began on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayCount {
    #[schema(example = "2026-11-22")]
    pub date: String,
    /// Customers' calls.
    pub inbound: CallTally,
    /// Calls to customers.
    pub outbound: CallTally,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StatusCount {
    pub direction: Direction,
    pub status: Status,
    pub calls: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonCount {
    pub direction: Direction,
    pub end_reason: EndReason,
    pub calls: i64,
}

/// How long customers waited who got through: from their call to the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AnswerSpeed {
    /// Customers' calls that were answered.
    pub calls: i64,
    /// Half of them waited no longer than this; `null` without calls.
    pub p50_ms: Option<i64>,
    /// Nine in ten waited no longer than this.
    pub p90_ms: Option<i64>,
}

/// What became of calls, and when they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallsReport {
    /// Customers' calls.
    pub inbound: CallTally,
    /// Calls to customers.
    pub outbound: CallTally,
    /// Hours in which calls began.
    pub by_hour: Vec<HourCount>,
    /// Days on which calls began, the first first.
    pub by_day: Vec<DayCount>,
    pub by_status: Vec<StatusCount>,
    /// Why missed calls were missed.
    pub missed_by_reason: Vec<ReasonCount>,
    pub answer_speed: AnswerSpeed,
}

impl CallTally {
    fn add(&mut self, status: Status, calls: i64, talk_ms: i64) {
        self.calls += calls;
        self.answered += if ANSWERED.contains(&status) { calls } else { 0 };
        self.missed += if MISSED.contains(&status) { calls } else { 0 };
        self.talk_ms += talk_ms;
    }
}

impl Store {
    /// What became of the calls that the filter lets through, and when they came by this zone's clocks.
    pub async fn calls_report(&self, f: &CallFilter, zone: &Zone) -> Result<CallsReport> {
        if f.agent_ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(CallsReport::default());
        }
        let mut tx = self.reader.begin().await?;
        let mut select = Select::new(
            "SELECT created_at / 900000 AS quarter, direction, status, COUNT(*) AS calls, \
             CAST(SUM(duration_ms) AS BIGINT) AS talk_ms FROM calls",
        );
        narrow(&mut select, f);
        select.push(" GROUP BY created_at / 900000, direction, status");
        let mut counted = Counted::default();
        for row in select.query().fetch_all(&mut *tx).await? {
            let at = Timestamp::from_millis(row.int("quarter")? * QUARTER_MS);
            counted.add(zone, at, row.word("direction")?, row.word("status")?, row.int("calls")?, row.int("talk_ms")?);
        }

        let mut select = Select::new("SELECT direction, end_reason, COUNT(*) AS calls FROM calls");
        narrow(&mut select, f);
        select.and("status IN ").list(MISSED.iter().map(|status| status.as_str())).and("end_reason IS NOT NULL");
        select.push(" GROUP BY direction, end_reason ORDER BY calls DESC, direction, end_reason");
        let mut missed_by_reason = Vec::new();
        for row in select.query().fetch_all(&mut *tx).await? {
            let (direction, end_reason) = (row.word("direction")?, row.word("end_reason")?);
            missed_by_reason.push(ReasonCount { direction, end_reason, calls: row.int("calls")? });
        }

        // The nearest ranks: the smallest wait that at least half, or nine in ten, did not exceed.
        let mut select = Select::new(
            "SELECT wait_ms, place, calls FROM (SELECT answered_at - created_at AS wait_ms, \
             ROW_NUMBER() OVER (ORDER BY answered_at - created_at) AS place, COUNT(*) OVER () AS calls FROM calls",
        );
        narrow(&mut select, f);
        select.and("answered_at IS NOT NULL").and("direction = ").text(Direction::UserInitiated.as_str());
        select.push(") ranked WHERE place = (calls + 1) / 2 OR place = (calls * 9 + 9) / 10 ORDER BY place");
        let mut answer_speed = AnswerSpeed::default();
        for row in select.query().fetch_all(&mut *tx).await? {
            // Clocks may have been put back between the two moments.
            let wait_ms = row.int("wait_ms")?.max(0);
            answer_speed.calls = row.int("calls")?;
            answer_speed.p50_ms.get_or_insert(wait_ms);
            answer_speed.p90_ms = Some(wait_ms);
        }
        tx.commit().await?;
        Ok(CallsReport { missed_by_reason, answer_speed, ..counted.report() })
    }
}

/// Quarters of an hour, added up.
#[derive(Default)]
struct Counted {
    inbound: CallTally,
    outbound: CallTally,
    hours: BTreeMap<(Weekday, u8), CallTally>,
    days: BTreeMap<String, (CallTally, CallTally)>,
    statuses: BTreeMap<(Direction, Status), i64>,
}

impl Counted {
    fn add(&mut self, zone: &Zone, at: Timestamp, direction: Direction, status: Status, calls: i64, talk_ms: i64) {
        let local = zone.local(at);
        let (inbound, outbound) = self.days.entry(local.date).or_default();
        let (total, of_day) = match direction {
            Direction::UserInitiated => (&mut self.inbound, inbound),
            Direction::BusinessInitiated => (&mut self.outbound, outbound),
        };
        let of_hour = self.hours.entry((local.weekday, local.hour)).or_default();
        for tally in [total, of_day, of_hour] {
            tally.add(status, calls, talk_ms);
        }
        *self.statuses.entry((direction, status)).or_default() += calls;
    }

    fn report(self) -> CallsReport {
        let hours = self.hours.into_iter();
        let days = self.days.into_iter();
        let statuses = self.statuses.into_iter();
        CallsReport {
            inbound: self.inbound,
            outbound: self.outbound,
            by_hour: hours.map(|((weekday, hour), tally)| HourCount { weekday, hour, tally }).collect(),
            by_day: days.map(|(date, (inbound, outbound))| DayCount { date, inbound, outbound }).collect(),
            by_status: statuses.map(|((direction, status), calls)| StatusCount { direction, status, calls }).collect(),
            ..CallsReport::default()
        }
    }
}
