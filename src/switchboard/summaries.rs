//! Summaries of ended calls, made as soon as their transcripts are whole.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Desk, Refusal, Switchboard};
use crate::call::CallRecord;
use crate::metrics::Outcome;
use crate::model::id::CallId;
use crate::model::time::Timestamp;
use crate::store::{DueSummary, StoreError};
use crate::summary::{CallFacts, SummaryError};

/// Between two looks for calls to be summed up.
const LOOK: Duration = Duration::from_millis(500);
/// Asked again after this time, doubled with each attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 5;
/// A language model far away takes seconds; more at a time would only wait there.
const AT_A_TIME: usize = 4;

impl Switchboard {
    /// Sums an ended call up anew.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] when nothing of it was written down, or not yet.
    pub async fn sum_up_again(&self, call: &CallId) -> Result<(), Refusal> {
        let desk = &self.0;
        if !desk.parts.summariser.is_on() {
            return Err(Refusal::WrongState("calls are not summed up: set summary.engine".to_owned()));
        }
        match desk.parts.store.sum_up_again(call, desk.parts.clock.now().wall).await? {
            true => Ok(()),
            false => Err(Refusal::WrongState("there is no finished transcript to sum up".to_owned())),
        }
    }
}

/// Sums calls up for as long as there is a desk.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        if !desk.parts.summariser.is_on() {
            return;
        }
        let due = match desk.parts.store.due_summaries(desk.parts.clock.now().wall).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "calls to be summed up cannot be read");
                continue;
            }
        };
        let mut making = JoinSet::new();
        for due in due {
            if making.len() == AT_A_TIME {
                making.join_next().await;
            }
            let desk = Arc::clone(&desk);
            making.spawn(async move {
                let call = due.call.clone();
                if let Err(error) = desk.sum_up(due).await {
                    tracing::warn!(%call, %error, "a call could not be summed up; it is tried again");
                }
            });
        }
        making.join_all().await;
    }
}

impl Desk {
    async fn sum_up(&self, due: DueSummary) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let now = || self.parts.clock.now().wall;
        let (Some(record), Some(transcript)) = (store.call(&due.call).await?, store.transcript(&due.call).await?)
        else {
            return Ok(());
        };
        let agent = match &record.agent_id {
            Some(agent) => store.agent(agent).await?.map(|agent| agent.name),
            None => None,
        };
        let facts = facts(&record, transcript.language, agent);
        let began = self.parts.clock.instant();
        let events = match self.parts.summariser.summarise(&facts, &transcript.segments, &transcript.unheard).await {
            Ok(summary) => store.put_summary(&due.call, &summary, now()).await?,
            Err(error) => {
                tracing::warn!(call = %due.call, %error, attempts = due.attempts, "a call could not be summed up");
                store
                    .put_off_summary(&due.call, again_at(&error, due.attempts, now()), &error.to_string(), now())
                    .await?
            }
        };
        let took = self.parts.clock.instant() - began;
        for outcome in events.iter().filter_map(|event| outcome_of(&event.kind)) {
            let after_call = record.ended_at.map_or(took, |ended| now().since(ended));
            self.parts.metrics.summary_ended(outcome, took, after_call);
        }
        self.publish(events);
        Ok(())
    }
}

fn outcome_of(kind: &str) -> Option<Outcome> {
    match kind {
        "summary.ready" => Some(Outcome::Ready),
        "summary.failed" => Some(Outcome::Failed),
        _ => None,
    }
}

fn facts(record: &CallRecord, language: Option<String>, agent: Option<String>) -> CallFacts {
    CallFacts {
        call: record.id.clone(),
        direction: record.direction,
        started_at: record.answered_at.unwrap_or(record.created_at),
        duration_ms: u64::try_from(record.recording.duration_ms.max(record.duration_ms)).unwrap_or(0),
        language,
        names: record.contact.name.iter().cloned().chain(agent).collect(),
    }
}

/// When to try again after so many attempts in vain and one more.
fn again_at(error: &SummaryError, attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let may_help = match error {
        SummaryError::GivenUp(_) => true,
        // Its transcript has failed, and nobody listens again.
        SummaryError::Off | SummaryError::NoTranscript => false,
    };
    (may_help && attempts + 1 < ATTEMPTS_MAX).then(|| now.plus(AGAIN_AFTER * 2_u32.saturating_pow(attempts)))
}
