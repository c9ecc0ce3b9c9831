//! The list of calls and its filters.

use std::collections::HashSet;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::extract::{Params, limit};
use super::openapi::Problems;
use super::problem::Problem;
use super::{Control, Shared};
use crate::call::record::{CallRecord, Status};
use crate::model::directory::ContactRef;
use crate::model::id::{AgentId, NumberId, TeamId};
use crate::model::reason::Direction;
use crate::model::time::Timestamp;
use crate::policy::access::{Action, Resource};
use crate::store::{CallFilter, Section};

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// `all` if left out.
    #[param(inline)]
    section: Option<Section>,
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Began at or after this time.
    from: Option<Timestamp>,
    /// Began before this time.
    to: Option<Timestamp>,
    status: Option<Status>,
    direction: Option<Direction>,
    /// Who talked, or placed the call.
    #[param(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// Calls in which a member of this team has a part.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    #[param(value_type = Option<String>)]
    number_id: Option<NumberId>,
    /// `con_…`, `wa:<digits>` or `user:<id>`.
    contact: Option<String>,
    /// Part of the contact's name or number; or words that were said, for those who may hear the calls.
    text: Option<String>,
    /// A word of `/v1/dispositions`.
    disposition: Option<String>,
    /// One of the call's tags.
    tag: Option<String>,
    /// `false`: only answered calls that lack a recording or a transcript though nothing says why.
    documented: Option<bool>,
    /// `true`: only calls with a recording to be heard; `false`: all others.
    recorded: Option<bool>,
    /// Talked for so long or longer, in milliseconds.
    talked_ms_min: Option<u32>,
    /// Talked for less.
    talked_ms_below: Option<u32>,
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct Calls {
    items: Vec<CallRecord>,
    next_cursor: Option<String>,
}

/// Lists calls
///
/// Newest first; only those the caller may see.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", params(ListQuery),
    responses((status = 200, description = "A page of calls", body = Calls), Problems))]
pub(crate) async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Answer<Calls>, Problem> {
    let Some(filter) = query.filter(&control, &caller).await? else {
        return Ok(Answer(Calls { items: Vec::new(), next_cursor: None }));
    };
    let page = control.store.calls(&filter).await?;
    Ok(Answer(Calls { items: page.items, next_cursor: page.next_cursor }))
}

impl ListQuery {
    /// The calls asked for, as far as this caller may see them; `None` where that is none.
    async fn filter(self, control: &Control, caller: &Caller) -> Result<Option<CallFilter>, Problem> {
        caller.may(Action::Read, Resource::Calls)?;
        let agent_ids = whose(control, caller, self.team_id.as_ref()).await?;
        let nobody = agent_ids.as_ref().is_some_and(Vec::is_empty);
        let contact_id = match self.contact.as_deref().map(str::parse::<ContactRef>).transpose() {
            Err(error) => return Err(Problem::parameter("contact", error)),
            Ok(None) => None,
            Ok(Some(who)) => match control.store.contact(&who).await? {
                Some(contact) => Some(contact.id),
                // Nobody we know: no calls, and no hint whether somebody else knows them.
                None => return Ok(None),
            },
        };
        let filter = CallFilter {
            section: self.section.unwrap_or_default(),
            agent_ids,
            agent_id: self.agent_id,
            number_id: self.number_id,
            contact_id,
            direction: self.direction,
            status: self.status,
            from: self.from,
            to: self.to,
            text: self.text.filter(|text| !text.trim().is_empty()),
            spoken: caller.may_hear(),
            disposition: self.disposition.filter(|word| !word.is_empty()),
            tag: self.tag.map(|tag| tag.trim().to_lowercase()).filter(|tag| !tag.is_empty()),
            documented: self.documented,
            recorded: self.recorded,
            talked_ms_min: self.talked_ms_min.map(i64::from),
            talked_ms_below: self.talked_ms_below.map(i64::from),
            limit: limit(self.limit)?,
            cursor: self.cursor,
        };
        Ok((!nobody).then_some(filter))
    }

    /// As [`ListQuery::filter`], for all pages at once.
    pub(crate) async fn whole(self, control: &Control, caller: &Caller) -> Result<Option<CallFilter>, Problem> {
        if self.limit.is_some() || self.cursor.is_some() {
            return Err(Problem::parameter("limit", "an export has no pages: leave `limit` and `cursor` out"));
        }
        let filter = self.filter(control, caller).await?;
        Ok(filter.map(|filter| CallFilter { limit: EXPORT_PAGE, ..filter }))
    }
}

/// Calls an export reads at a time.
const EXPORT_PAGE: u32 = 200;

/// Whose calls the list may show: what the caller may see, narrowed to a team; `None` is everybody's.
pub(crate) async fn whose(
    control: &Control,
    caller: &Caller,
    team: Option<&TeamId>,
) -> Result<Option<Vec<AgentId>>, Problem> {
    let visible = caller.visible_agents(control).await?;
    let Some(team) = team else { return Ok(visible) };
    let agents = control.store.agents_ever().await?.into_iter();
    let members = agents.filter(|agent| agent.team_id.as_ref() == Some(team)).map(|agent| agent.id);
    Ok(Some(match visible {
        None => members.collect(),
        Some(visible) => {
            let visible: HashSet<AgentId> = visible.into_iter().collect();
            members.filter(|agent| visible.contains(agent)).collect()
        }
    }))
}
