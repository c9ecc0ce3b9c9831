//! WhatsApp's own count of calls: `GET /{waba_id}?fields=call_analytics…`.

use std::time::Duration;

use crate::model::day::Day;
use crate::model::id::WabaId;
use crate::model::reason::Direction;

use super::super::payload::{CallAnalytics, read_analytics};
use super::request::Repeat;
use super::{Account, Graph, GraphError};

/// Nobody waits for it but the clock, or somebody who looks into the books.
const COUNT_WITHIN: Duration = Duration::from_secs(30);

impl Graph {
    /// What WhatsApp counted on one day, by half hours: a day of Meta's own would be one of the account's time zone, and half
    /// hours add up to days of UTC. The token needs `whatsapp_business_management`.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn call_analytics(
        &self,
        from: Account<'_>,
        waba: &WabaId,
        direction: Direction,
        day: Day,
    ) -> Result<CallAnalytics, GraphError> {
        const OP: &str = "call_analytics";
        let word = match direction {
            Direction::UserInitiated => "USER_INITIATED",
            Direction::BusinessInitiated => "BUSINESS_INITIATED",
        };
        let [start, end] = [day.starts_at(), day.ends_at()].map(|at| at.as_millis() / 1000);
        let fields =
            format!("currency,call_analytics.start({start}).end({end}).granularity(HALF_HOUR).directions({word})");
        let request = self.read_of(from, OP, waba.as_str(), Repeat::Harmless)?.query("fields", &fields);
        let answer = self.ask(request, self.request_timeout, COUNT_WITHIN).await?;
        read_analytics(&answer).ok_or_else(|| GraphError::unreadable(OP))
    }
}
