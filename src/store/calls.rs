//! Lists of calls: sections, filters, pages; and since when each agent has been idle.

use std::collections::HashMap;

use super::Store;
use super::call_record::CALLS;
use super::contacts::match_text;
use super::error::Result;
use super::paging::{Cursor, Page, Section, page, page_limit};
use super::sql::{Columns, Select, clean};
use super::transcripts::or_spoken;
use crate::call::record::{CallRecord, Status};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::{Direction, RecordingState};
use crate::model::time::Timestamp;

/// Which calls a list shows; all fields narrow it.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// `received`: user-initiated not missed; `outbound`: business-initiated not missed; `missed`.
    pub section: Section,
    /// Who may be seen: calls whose agent, or any offer's agent, is one of these.
    pub agent_ids: Option<Vec<AgentId>>,
    /// Calls this agent took or placed, and calls nobody took that were offered to this agent.
    pub agent_id: Option<AgentId>,
    pub number_id: Option<NumberId>,
    pub contact_id: Option<ContactId>,
    pub direction: Option<Direction>,
    pub status: Option<Status>,
    /// Created at this moment or later.
    pub from: Option<Timestamp>,
    /// Created before this moment.
    pub to: Option<Timestamp>,
    /// Part of the contact's name, user name, number or user id, whatever the case.
    pub text: Option<String>,
    /// `text` is looked for in what was said, too: all of its words, or words that begin with them.
    pub spoken: bool,
    pub disposition: Option<String>,
    /// One of the call's tags.
    pub tag: Option<String>,
    /// `false`: answered calls that lack a recording or a transcript though nothing says why; `true`: all others.
    pub documented: Option<bool>,
    /// Whether there is a recording to be heard.
    pub recorded: Option<bool>,
    /// Talked for so long or longer.
    pub talked_ms_min: Option<i64>,
    /// Talked for less.
    pub talked_ms_below: Option<i64>,
    /// Rows of a page; 0 = 50, at most 500.
    pub limit: u32,
    pub cursor: Option<String>,
}

/// Names this list in its cursors.
const LIST: &str = "calls";

/// When an agent's last turns ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTurn {
    /// The last call or offer: round robin's memory.
    pub ended_at: Timestamp,
    /// The last call that the agent took or placed.
    pub call_ended_at: Option<Timestamp>,
}

impl Store {
    /// Calls, newest first, in pages. A call that begins while somebody turns pages moves nothing.
    ///
    /// # Errors
    /// [`super::StoreError::BadCursor`].
    pub async fn calls(&self, f: &CallFilter) -> Result<Page<CallRecord>> {
        let after = f.cursor.as_deref().map(|text| Cursor::decode(text, &self.key, LIST)).transpose()?;
        if f.agent_ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let limit = page_limit(f.limit);
        let mut select = Select::new(CALLS);
        narrow(&mut select, f);
        if let Some(after) = after {
            select
                .and("(calls.created_at, calls.id) < (")
                .int(after.at.as_millis())
                .push(", ")
                .text(after.id)
                .push(")");
        }
        select.push(" ORDER BY calls.created_at DESC, calls.id DESC LIMIT ").int(i64::from(limit) + 1);
        let calls = self.read_calls(select).await?;
        Ok(page(calls, limit, |last| {
            Cursor { at: last.created_at, id: last.id.as_str().to_owned() }.encode(&self.key, LIST)
        }))
    }

    /// When each agent's last turns ended. Who never had one is not in it.
    pub async fn last_turns(&self) -> Result<HashMap<AgentId, LastTurn>> {
        // Two look-ups at the end of an index per agent, however many calls there are.
        let rows = sqlx::query(
            "SELECT id, (SELECT MAX(ended_at) FROM calls WHERE agent_id = agents.id) AS last_call, \
             (SELECT MAX(ended_at) FROM offers WHERE agent_id = agents.id) AS last_offer FROM agents \
             WHERE left_at IS NULL",
        )
        .fetch_all(&self.reader)
        .await?;
        let mut turns = HashMap::new();
        for row in rows {
            let call_ended_at = row.time_opt("last_call")?;
            if let Some(ended_at) = call_ended_at.max(row.time_opt("last_offer")?) {
                turns.insert(row.word("id")?, LastTurn { ended_at, call_ended_at });
            }
        }
        Ok(turns)
    }
}

pub(super) fn narrow(select: &mut Select, f: &CallFilter) {
    let statuses: &[Status] = match f.section {
        Section::All => &[],
        Section::Received => &[Status::Ongoing, Status::Completed],
        Section::Outbound => &[Status::Ringing, Status::Ongoing, Status::Completed],
        Section::Missed => &[Status::MissedByAgent, Status::MissedByCustomer, Status::RejectedByCustomer],
    };
    if !statuses.is_empty() {
        select.and("calls.status IN ").list(statuses.iter().map(|s| s.as_str()));
    }
    match f.section {
        Section::Received => select.and("calls.direction = ").text(Direction::UserInitiated.as_str()),
        Section::Outbound => select.and("calls.direction = ").text(Direction::BusinessInitiated.as_str()),
        Section::All | Section::Missed => select,
    };
    if let Some(agents) = &f.agent_ids {
        let ids = || agents.iter().map(AgentId::as_str);
        select.and("(calls.agent_id IN ").list(ids());
        select.push(" OR EXISTS (SELECT 1 FROM offers o WHERE o.call_id = calls.id AND o.agent_id IN ").list(ids());
        select.push("))");
    }
    if let Some(agent) = &f.agent_id {
        // A call somebody else took is not this agent's, though it rang here first.
        select.and("(calls.agent_id = ").text(agent.as_str());
        select.push(" OR (calls.agent_id IS NULL AND EXISTS (SELECT 1 FROM offers o WHERE o.call_id = calls.id");
        select.push(" AND o.agent_id = ").text(agent.as_str()).push(")))");
    }
    if let Some(number) = &f.number_id {
        select.and("calls.number_id = ").text(number.as_str());
    }
    if let Some(contact) = &f.contact_id {
        // Also under the id it had before it was folded into another.
        select
            .and("calls.contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = ")
            .text(contact.as_str())
            .push(")");
    }
    if let Some(direction) = f.direction {
        select.and("calls.direction = ").text(direction.as_str());
    }
    if let Some(status) = f.status {
        select.and("calls.status = ").text(status.as_str());
    }
    if let Some(from) = f.from {
        select.and("calls.created_at >= ").int(from.as_millis());
    }
    if let Some(to) = f.to {
        select.and("calls.created_at < ").int(to.as_millis());
    }
    if let Some(disposition) = &f.disposition {
        select.and("calls.disposition = ").text(clean(disposition));
    }
    if let Some(tag) = &f.tag {
        select.and("EXISTS (SELECT 1 FROM call_tags g WHERE g.call_id = calls.id AND g.tag = ").text(clean(tag));
        select.push(")");
    }
    if let Some(documented) = f.documented {
        select.and(if documented { "calls.undocumented IS NULL" } else { "calls.undocumented IS NOT NULL" });
    }
    if let Some(recorded) = f.recorded {
        select.and(if recorded { "calls.recording_state = " } else { "calls.recording_state <> " });
        select.text(RecordingState::Ready.as_str());
    }
    if let Some(least) = f.talked_ms_min {
        select.and("calls.duration_ms >= ").int(least);
    }
    if let Some(below) = f.talked_ms_below {
        select.and("calls.duration_ms < ").int(below);
    }
    if let Some(text) = &f.text {
        match_text(select, text, |select| {
            if f.spoken {
                or_spoken(select, text);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::{CallState, EndReason, OfferOutcome};
    use crate::store::StoreError;
    use crate::store::fixture::{self, Fixture, T0, agent_id, at, on_both};

    /// One call of each status, in both directions where that can be. Named by `callback_data`.
    async fn one_of_each(t: &Fixture) {
        let contact = t.seed().await;
        let rows = [
            ("in ringing", true, CallState::Ringing, false, None),
            ("in ongoing", true, CallState::Active, true, None),
            ("in held", true, CallState::Held, true, None),
            ("in completed", true, CallState::Ended, true, Some(EndReason::Completed)),
            ("in missed", true, CallState::Ended, false, Some(EndReason::MissedByAgent)),
            ("in cancelled", true, CallState::Ended, false, Some(EndReason::CallerCancelled)),
            ("in failed", true, CallState::Ended, false, Some(EndReason::SetupFailed)),
            ("out ringing", false, CallState::Ringing, false, None),
            ("out ongoing", false, CallState::Active, true, None),
            ("out completed", false, CallState::Ended, true, Some(EndReason::Completed)),
            ("out missed", false, CallState::Ended, false, Some(EndReason::MissedByCustomer)),
            ("out declined", false, CallState::Ended, false, Some(EndReason::RejectedByCustomer)),
            ("out failed", false, CallState::Ended, false, Some(EndReason::UpstreamError)),
        ];
        for (i, (name, inbound, state, answered, end_reason)) in rows.into_iter().enumerate() {
            let mut call = fixture::ringing(&contact, at(i as i64));
            call.callback_data = Some(name.into());
            if !inbound {
                call.direction = Direction::BusinessInitiated;
                call.agent_id = Some(agent_id("b"));
                call.offers.clear();
            }
            call.state = state;
            call.answered_at = answered.then_some(at(i as i64));
            if answered {
                call.agent_id = Some(agent_id("b"));
            }
            call.end_reason = end_reason;
            call.ended_at = end_reason.map(|_| at(100 + i as i64));
            call.status = Status::of(state, answered, end_reason);
            t.store.save_call(&call, vec![], T0).await.unwrap();
        }
    }

    async fn names(t: &Fixture, f: &CallFilter) -> Vec<String> {
        let page = t.store.calls(f).await.unwrap();
        page.items.into_iter().rev().map(|c| c.callback_data.unwrap()).collect()
    }

    on_both!(each_section_shows_its_calls);
    async fn each_section_shows_its_calls(t: Fixture) {
        one_of_each(&t).await;
        for (section, want) in [
            (Section::Received, vec!["in ongoing", "in held", "in completed"]),
            (Section::Outbound, vec!["out ringing", "out ongoing", "out completed"]),
            (Section::Missed, vec!["in missed", "in cancelled", "out missed", "out declined"]),
        ] {
            assert_eq!(names(&t, &CallFilter { section, ..CallFilter::default() }).await, want, "{section:?}");
        }
        assert_eq!(names(&t, &CallFilter::default()).await.len(), 13);
    }

    on_both!(every_filter_narrows);
    async fn every_filter_narrows(t: Fixture) {
        one_of_each(&t).await;
        let other = t.customer("995555999888").await;
        let mut call = fixture::ringing(&other, at(50));
        call.callback_data = Some("other".into());
        call.duration_ms = 60_000;
        call.recording.state = RecordingState::Ready;
        t.store.save_call(&call, vec![], at(50)).await.unwrap();
        let all = CallFilter::default;
        let (a, b) = (agent_id("a"), agent_id("b"));
        let missed_by_a = vec!["in ringing", "in missed", "in cancelled", "in failed", "other"];
        for (what, filter, want) in [
            ("an agent's own: none that another took", CallFilter { agent_id: Some(a.clone()), ..all() }, missed_by_a),
            (
                "taken by b",
                CallFilter { agent_id: Some(b), direction: Some(Direction::UserInitiated), ..all() },
                vec!["in ongoing", "in held", "in completed"],
            ),
            (
                "what a may see: all that rang at a",
                CallFilter { agent_ids: Some(vec![a]), status: Some(Status::Ongoing), ..all() },
                vec!["in ongoing", "in held"],
            ),
            ("nobody may be seen", CallFilter { agent_ids: Some(vec![]), ..all() }, vec![]),
            ("contact", CallFilter { contact_id: Some(other.id.clone()), ..all() }, vec!["other"]),
            ("text", CallFilter { text: Some("999-888".into()), ..all() }, vec!["other"]),
            ("hostile text", CallFilter { text: Some("%' OR '1'='1".into()), ..all() }, vec![]),
            ("from, included", CallFilter { from: Some(at(12)), ..all() }, vec!["out failed", "other"]),
            ("to, excluded", CallFilter { to: Some(at(1)), ..all() }, vec!["in ringing"]),
            ("number", CallFilter { number_id: Some(NumberId::parse("x").unwrap()), ..all() }, vec![]),
            ("with a recording", CallFilter { recorded: Some(true), ..all() }, vec!["other"]),
            ("talked for long", CallFilter { talked_ms_min: Some(60_000), ..all() }, vec!["other"]),
            (
                "talked for a little less",
                CallFilter { talked_ms_min: Some(60_000), talked_ms_below: Some(60_001), ..all() },
                vec!["other"],
            ),
            ("not for less", CallFilter { talked_ms_min: Some(1), talked_ms_below: Some(60_000), ..all() }, vec![]),
        ] {
            assert_eq!(names(&t, &filter).await, want, "{what}");
        }
        let unrecorded = CallFilter { recorded: Some(false), ..all() };
        assert_eq!(names(&t, &unrecorded).await.len(), 13, "all but one");
    }

    on_both!(pages_lose_no_call_and_show_none_twice_while_calls_come_in);
    async fn pages_lose_no_call_and_show_none_twice_while_calls_come_in(t: Fixture) {
        let contact = t.seed().await;
        let mut there = Vec::new();
        for i in 0..23 {
            there.push(t.call(&contact, i / 4).await.id);
        }
        let mut filter = CallFilter { limit: 5, ..CallFilter::default() };
        let mut seen = Vec::new();
        loop {
            let page = t.store.calls(&filter).await.unwrap();
            assert!(page.items.iter().all(|c| c.offers.len() == 1 && c.legs.len() == 1), "each with its parts");
            seen.extend(page.items.into_iter().map(|c| (c.created_at, c.id)));
            t.call(&contact, 99).await;
            let Some(next) = page.next_cursor else { break };
            filter.cursor = Some(next);
        }
        assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
        assert!(seen.iter().map(|(_, id)| id).eq(there.iter().rev()), "all that were there");
        filter.cursor = Some("00".repeat(20));
        assert!(matches!(t.store.calls(&filter).await, Err(StoreError::BadCursor)));
    }

    on_both!(round_robin_remembers_the_later_of_last_call_and_last_offer);
    async fn round_robin_remembers_the_later_of_last_call_and_last_offer(t: Fixture) {
        let contact = t.seed().await;
        assert!(t.store.last_turns().await.unwrap().is_empty());
        let missed = fixture::ended(t.call(&contact, 0).await, EndReason::MissedByAgent, at(20));
        t.store.save_call(&missed, vec![], at(20)).await.unwrap();
        let mut talked = t.call(&contact, 1).await;
        talked.agent_id = Some(agent_id("b"));
        talked.offers[0].agent_id = agent_id("b");
        talked.offers[0].outcome = OfferOutcome::Accepted;
        talked.offers[0].ended_at = Some(at(3));
        t.store.save_call(&fixture::ended(talked, EndReason::Completed, at(40)), vec![], at(40)).await.unwrap();
        let t = t.restart().await;
        let missed = LastTurn { ended_at: at(20), call_ended_at: None };
        let talked = LastTurn { ended_at: at(40), call_ended_at: Some(at(40)) };
        let turns = t.store.last_turns().await.unwrap();
        assert_eq!(turns, HashMap::from([(agent_id("a"), missed), (agent_id("b"), talked)]));
    }
}
