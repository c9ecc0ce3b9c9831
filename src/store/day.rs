//! What an agent's day asks for: its figures, callers to ring back, permissions about to end.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::call_record::CALLS;
use super::contacts::read_contact;
use super::error::Result;
use super::permissions::folded;
use super::sql::{Columns, Select};
use crate::call::record::Status;
use crate::model::directory::{Contact, Permission};
use crate::model::id::{AgentId, CallId, ContactId, NumberId};
use crate::model::reason::{Direction, OfferCause, OfferOutcome, PermissionStatus};
use crate::model::time::Timestamp;

/// Calls looked at for callers to ring back.
const MISSED_MAX: i64 = 200;
/// More would be a list to search, not a day's work.
const SHOWN_MAX: usize = 50;

/// What an agent has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Figures {
    /// Calls that rang at the agent, and what became of them.
    pub offered: i64,
    pub answered: i64,
    pub missed: i64,
    /// Calls the agent placed, and those among them that were answered.
    pub placed: i64,
    pub reached: i64,
    /// Talk time of both.
    pub talk_ms: i64,
}

/// A caller whom nobody has spoken to since.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MissedCaller {
    pub contact: Contact,
    pub number_id: NumberId,
    /// The latest try.
    pub missed_at: Timestamp,
    /// Tries since somebody last spoke with the customer.
    pub times: u32,
    /// The latest call, if it rang at this agent.
    pub call_id: Option<CallId>,
    /// How it was missed here.
    pub cause: Option<OfferCause>,
}

impl Store {
    /// What the agent has done since `from`.
    pub async fn figures(&self, agent: &AgentId, from: Timestamp) -> Result<Figures> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM offers WHERE agent_id = $1 AND offered_at >= $2) AS offered, \
             (SELECT COUNT(*) FROM offers WHERE agent_id = $1 AND offered_at >= $2 AND outcome = $3) AS answered, \
             (SELECT COUNT(*) FROM offers WHERE agent_id = $1 AND offered_at >= $2 AND outcome = $4) AS missed, \
             (SELECT COUNT(*) FROM calls WHERE agent_id = $1 AND created_at >= $2 AND direction = $5) AS placed, \
             (SELECT COUNT(*) FROM calls WHERE agent_id = $1 AND created_at >= $2 AND direction = $5 \
             AND answered_at IS NOT NULL) AS reached, \
             (SELECT CAST(COALESCE(SUM(duration_ms), 0) AS BIGINT) FROM calls WHERE agent_id = $1 AND created_at >= $2 \
             AND answered_at IS NOT NULL) AS talk_ms",
        )
        .bind(agent.as_str())
        .bind(from.as_millis())
        .bind(OfferOutcome::Accepted.as_str())
        .bind(OfferOutcome::MissedByAgent.as_str())
        .bind(Direction::BusinessInitiated.as_str())
        .fetch_one(&self.reader)
        .await?;
        Ok(Figures {
            offered: row.int("offered")?,
            answered: row.int("answered")?,
            missed: row.int("missed")?,
            placed: row.int("placed")?,
            reached: row.int("reached")?,
            talk_ms: row.int("talk_ms")?,
        })
    }

    /// Customers who called since `from`, at this agent or in a chat of this agent's, and were missed and not spoken to
    /// since; the latest first.
    pub async fn missed_callers(&self, agent: &AgentId, from: Timestamp) -> Result<Vec<MissedCaller>> {
        let mut select = Select::new(CALLS);
        select.and("calls.status = ").text(Status::MissedByAgent.as_str());
        select.and("calls.direction = ").text(Direction::UserInitiated.as_str());
        select.and("calls.created_at >= ").int(from.as_millis());
        select.and("(c.assignee_id = ").text(agent.as_str());
        select.push(" OR EXISTS (SELECT 1 FROM offers o WHERE o.call_id = calls.id AND o.agent_id = ");
        select.text(agent.as_str()).push("))");
        // Also what was spoken under an identity that has since been folded into this one.
        select.and(
            "NOT EXISTS (SELECT 1 FROM calls l JOIN contacts lr ON lr.id = l.contact_id WHERE l.answered_at IS NOT NULL \
             AND l.created_at > calls.created_at AND COALESCE(lr.merged_into, lr.id) = c.id)",
        );
        select.push(" ORDER BY calls.created_at DESC, calls.id DESC LIMIT ").int(MISSED_MAX);
        let mut callers: Vec<MissedCaller> = Vec::new();
        let mut places: HashMap<ContactId, usize> = HashMap::new();
        for call in self.read_calls(select).await? {
            if let Some(place) = places.get(&call.contact.id) {
                callers[*place].times += 1;
                continue;
            }
            let offer = call.offers.iter().rfind(|offer| offer.agent_id == *agent);
            places.insert(call.contact.id.clone(), callers.len());
            callers.push(MissedCaller {
                number_id: call.number_id,
                missed_at: call.created_at,
                times: 1,
                call_id: offer.map(|_| call.id),
                cause: offer.and_then(|offer| offer.cause),
                contact: call.contact,
            });
        }
        callers.truncate(SHOWN_MAX);
        Ok(callers)
    }

    /// Temporary permissions in chats of this agent's that end before `until`, the next one first.
    pub async fn permissions_ending(
        &self,
        agent: &AgentId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Permission, Contact)>> {
        let mut tx = self.reader.begin().await?;
        let rows = sqlx::query(
            "SELECT c.*, p.number_id AS number_id, p.state AS state FROM permissions p \
             JOIN contacts c ON c.id = p.contact_id WHERE c.assignee_id = $1 AND p.changes_at <= $2 ORDER BY p.changes_at",
        )
        .bind(agent.as_str())
        .bind(until.as_millis())
        .fetch_all(&mut *tx)
        .await?;
        let terms = self.terms();
        let mut ending = Vec::new();
        for row in rows {
            let (number, contact): (NumberId, _) = (row.word("number_id")?, read_contact(&row)?);
            let ledger = folded(&mut tx, &number, &contact.id, &row, &terms).await?;
            let permission = ledger.view(&number, &contact.id, now);
            // The clock also changes requests that nobody answers.
            let ends = permission.status == PermissionStatus::Temporary
                && permission.expires_at.is_some_and(|at| at > now && at <= until);
            if ends {
                ending.push((permission, contact));
            }
        }
        tx.commit().await?;
        ending.sort_by_key(|(permission, _)| permission.expires_at);
        ending.truncate(SHOWN_MAX);
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::CallRecord;
    use crate::model::reason::{EndReason, OfferOutcome};
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    on_both!(a_missed_caller_is_to_be_rung_back_until_somebody_has_spoken_with_them);
    async fn a_missed_caller_is_to_be_rung_back_until_somebody_has_spoken_with_them(t: Fixture) {
        let contact = t.seed().await;
        let (ana, ben) = (fixture::agent_id("a"), fixture::agent_id("b"));
        let missed = |second: i64| {
            let mut call = fixture::ringing(&contact, at(second));
            call.offers[0].agent_id = ana.clone();
            call.offers[0].offered_at = at(second);
            let mut call = fixture::ended(call, EndReason::MissedByAgent, at(second + 20));
            call.offers[0].outcome = OfferOutcome::MissedByAgent;
            call.offers[0].cause = Some(OfferCause::RingTimeout);
            call
        };
        for second in [100, 200] {
            t.store.save_call(&missed(second), vec![], at(second)).await.unwrap();
        }
        let callers = t.store.missed_callers(&ana, T0).await.unwrap();
        assert_eq!(callers.len(), 1, "{callers:?}");
        assert_eq!((callers[0].times, callers[0].missed_at), (2, at(200)));
        assert_eq!((&callers[0].contact.id, callers[0].cause), (&contact.id, Some(OfferCause::RingTimeout)));
        assert!(callers[0].call_id.is_some());
        assert!(t.store.missed_callers(&ana, at(201)).await.unwrap().is_empty(), "that was before");
        assert!(t.store.missed_callers(&ben, T0).await.unwrap().is_empty(), "it never rang there");
        let figures = t.store.figures(&ana, T0).await.unwrap();
        assert_eq!(figures, Figures { offered: 2, missed: 2, ..Figures::default() });
        // In a chat of Ben's it is his to return, though it never rang at him; which call it was is not his to see.
        let assigned = Contact { assignee_id: Some(ben.clone()), ..contact.clone() };
        t.store.put_contact(&assigned).await.unwrap();
        let callers = t.store.missed_callers(&ben, T0).await.unwrap();
        assert_eq!((callers.len(), callers[0].call_id.as_ref()), (1, None));

        let talk = CallRecord { answered_at: Some(at(305)), agent_id: Some(ana.clone()), ..missed(300) };
        let mut talk = CallRecord { duration_ms: 15_000, status: Status::Completed, ..talk };
        talk.offers[0].outcome = OfferOutcome::Accepted;
        t.store.save_call(&talk, vec![], at(320)).await.unwrap();
        assert!(t.store.missed_callers(&ana, T0).await.unwrap().is_empty(), "they have spoken");
        let figures = t.store.figures(&ana, at(250)).await.unwrap();
        assert_eq!(figures, Figures { offered: 1, answered: 1, talk_ms: 15_000, ..Figures::default() });
        t.store.save_call(&missed(400), vec![], at(420)).await.unwrap();
        assert_eq!(t.store.missed_callers(&ana, T0).await.unwrap()[0].times, 1, "and now again");
    }
}
