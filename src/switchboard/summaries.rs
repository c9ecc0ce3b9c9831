//! Summaries of ended calls, made as soon as their transcripts are whole.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::under_way::UnderWay;
use super::{Desk, Refusal, Switchboard};
use crate::call::CallRecord;
use crate::metrics::Outcome;
use crate::model::id::CallId;
use crate::model::summary::{Summary, SummaryKind};
use crate::model::time::Timestamp;
use crate::model::transcript::TranscriptState;
use crate::store::{DueSummary, StoreError};
use crate::summary::{CallFacts, SummaryError};

/// Between two looks for calls to be summed up.
const LOOK: Duration = Duration::from_millis(500);
/// Asked again after this time, doubled with each attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 5;
/// Milliseconds of work each.
const DRAFTS_AT_A_TIME: usize = 4;
/// They wait for their turn at the language model, and have the rules' summary meanwhile.
const ASKING_MAX: usize = 20;

/// Figures for the metrics; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummingStats {
    /// Summaries that the language model was to word.
    pub asked: u64,
    /// Of those, the ones the rules stood in for.
    pub fallbacks: u64,
    /// Statements of the model that the transcript did not bear out.
    pub withheld: u64,
}

impl Switchboard {
    pub fn summing_stats(&self) -> SummingStats {
        *self.0.summing.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

/// Sums calls up for as long as there is a desk: all by rules at once, and then those a language model is to word, which
/// may be slow.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut drafting, mut asking) = (UnderWay::new(DRAFTS_AT_A_TIME), UnderWay::new(ASKING_MAX));
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = drafting.next() => {}
            () = asking.next() => {}
        }
        let Some(desk) = desk.upgrade() else { return };
        if !desk.parts.summariser.is_on() {
            return;
        }
        for (step, under_way) in [(Step::Draft, &mut drafting), (Step::Ask, &mut asking)] {
            let now = desk.parts.clock.now().wall;
            let due = match desk.parts.store.due_summaries(matches!(step, Step::Ask), now).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "calls to be summed up cannot be read");
                    continue;
                }
            };
            for due in due {
                let (desk, call) = (Arc::clone(&desk), due.call.clone());
                under_way.start(&due.call.clone(), async move {
                    if let Err(error) = desk.sum_up(due, step).await {
                        tracing::warn!(%call, %error, "a call could not be summed up; it is tried again");
                        tokio::time::sleep(LOOK).await;
                    }
                });
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    /// By rules.
    Draft,
    /// By the language model.
    Ask,
}

impl Desk {
    async fn sum_up(&self, due: DueSummary, step: Step) -> Result<(), StoreError> {
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
        let summariser = &self.parts.summariser;
        let mut is_last = true;
        let events = match (summariser.draft(&facts, &transcript.segments, &transcript.unheard).await, step) {
            (Ok(draft), Step::Draft) => {
                // What is not whole is worded once it is.
                is_last = !draft.is_for_model() || transcript.state == TranscriptState::Pending;
                let kept = store.summary(&due.call).await?.and_then(|kept| kept.summary);
                if !is_last && kept.is_some_and(|kept| kept.kind == SummaryKind::Generated) {
                    return store.pass_summary(&due).await;
                }
                store.put_summary(&due, &draft.by_rules, is_last, now()).await?
            }
            (Ok(draft), Step::Ask) => {
                let summary = summariser.finish(draft).await;
                self.note_model(&summary);
                store.put_summary(&due, &summary, true, now()).await?
            }
            (Err(error), _) => {
                tracing::warn!(call = %due.call, %error, attempts = due.attempts, "a call could not be summed up");
                let again = again_at(&error, due.attempts, now());
                store.put_off_summary(&due, again, &error.to_string(), now()).await?
            }
        };
        let took = self.parts.clock.instant() - began;
        for outcome in events.iter().filter(|_| is_last).filter_map(|event| outcome_of(&event.kind)) {
            let after_call = record.ended_at.map_or(took, |ended| now().since(ended));
            self.parts.metrics.summary_ended(outcome, took, after_call);
        }
        self.publish(events);
        Ok(())
    }

    fn note_model(&self, summary: &Summary) {
        let mut stats = self.summing.lock().unwrap_or_else(PoisonError::into_inner);
        stats.asked += 1;
        stats.fallbacks += u64::from(summary.fallback_reason.is_some());
        stats.withheld += u64::from(summary.withheld);
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
