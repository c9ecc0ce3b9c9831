//! Counts over what the caller may see: calls by hour and day, agents' load, permissions, costs.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::call_list::whose;
use super::extract::Params;
use super::openapi::Problems;
use super::problem::Problem;
use super::{Control, Shared};
use crate::model::id::{AgentId, NumberId, TeamId};
use crate::model::time::Timestamp;
use crate::model::zone::Zone;
use crate::policy::access::{Action, Resource};
use crate::store::{AgentLoad, CallFilter, CallsReport, CountryCost, FunnelStep};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Counted when no `from` is given.
const SPAN_DAYS: i64 = 7;
/// A leap year and a day, for a time zone's sake: what a report reads is bounded.
const SPAN_DAYS_MAX: u32 = 367;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(calls))
        .routes(routes!(agents))
        .routes(routes!(permissions))
        .routes(routes!(costs))
}

/// What is counted; named as in `GET /v1/calls`, so that a figure can be opened as a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// Began at or after this time; nothing: a week before `to`.
    from: Option<Timestamp>,
    /// Began before this time; nothing: now.
    to: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    number_id: Option<NumberId>,
    /// Calls in which a member of this team has a part.
    #[param(value_type = Option<String>)]
    team_id: Option<TeamId>,
    /// Who talked, or placed the call.
    #[param(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// By whose clocks hours and days are counted: a name of the IANA database. Nothing: UTC.
    #[param(example = "Asia/Tbilisi")]
    time_zone: Option<String>,
}

/// The span that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl ReportQuery {
    fn span(&self, control: &Control) -> Result<Span, Problem> {
        let to = self.to.unwrap_or_else(|| control.clock.now().wall);
        let from = self
            .from
            .unwrap_or_else(|| Timestamp::from_millis(to.as_millis().saturating_sub(SPAN_DAYS * 24 * 3600 * 1000)));
        if from >= to {
            return Err(Problem::parameter("from", "a time before `to`"));
        }
        if to.since(from) > DAY * SPAN_DAYS_MAX {
            return Err(Problem::parameter("from", format_args!("at most {SPAN_DAYS_MAX} days before `to`")));
        }
        Ok(Span { from, to })
    }

    fn zone(&self) -> Result<Zone, Problem> {
        let named = self.time_zone.as_deref().map(str::parse::<Zone>).transpose();
        Ok(named.map_err(|error| Problem::parameter("time_zone", error))?.unwrap_or(Zone::UTC))
    }

    /// The calls asked for, as far as this caller may see them.
    async fn filter(self, control: &Control, caller: &Caller) -> Result<(Span, CallFilter), Problem> {
        caller.may(Action::Read, Resource::Calls)?;
        let span = self.span(control)?;
        let filter = CallFilter {
            agent_ids: whose(control, caller, self.team_id.as_ref()).await?,
            agent_id: self.agent_id,
            number_id: self.number_id,
            from: Some(span.from),
            to: Some(span.to),
            ..CallFilter::default()
        };
        Ok((span, filter))
    }
}

#[derive(Serialize, ToSchema)]
struct CallsReportView {
    #[serde(flatten)]
    span: Span,
    /// By whose clocks hours and days are counted.
    #[schema(example = "Asia/Tbilisi")]
    time_zone: String,
    #[serde(flatten)]
    report: CallsReport,
}

/// Counts calls: what became of them, and when they came
///
/// Those that `GET /v1/calls` lists for the same filter to the same caller. Hours and days without calls are left out.
#[utoipa::path(get, path = "/v1/reports/calls", tag = "reports", params(ReportQuery),
    responses((status = 200, description = "The counts", body = CallsReportView), Problems))]
async fn calls(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ReportQuery>,
) -> Result<Answer<CallsReportView>, Problem> {
    let zone = query.zone()?;
    let (span, filter) = query.filter(&control, &caller).await?;
    let report = control.store.calls_report(&filter, &zone).await?;
    Ok(Answer(CallsReportView { span, time_zone: zone.name().to_owned(), report }))
}

#[derive(Serialize, ToSchema)]
struct AgentsReport {
    #[serde(flatten)]
    span: Span,
    /// By agent. Who had nothing to do is left out.
    items: Vec<AgentLoadView>,
}

#[derive(Serialize, ToSchema)]
struct AgentLoadView {
    #[serde(flatten)]
    load: AgentLoad,
    /// Time to write calls up: for each that it took or placed, as long as the rules of now keep it free for that.
    wrap_up_ms: i64,
}

/// Counts what each agent had to do
///
/// Of the calls that `GET /v1/calls` lists for the same filter, and only for agents whose calls the caller may see.
#[utoipa::path(get, path = "/v1/reports/agents", tag = "reports", params(ReportQuery),
    responses((status = 200, description = "Each agent's load", body = AgentsReport), Problems))]
async fn agents(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ReportQuery>,
) -> Result<Answer<AgentsReport>, Problem> {
    let (span, filter) = query.filter(&control, &caller).await?;
    let wrap_up_ms = i64::from(caller.rules().routing.wrap_up_s) * 1000;
    let loads = control.store.agents_report(&filter).await?.into_iter();
    let items = loads.map(|load| AgentLoadView { wrap_up_ms: (load.taken + load.placed) * wrap_up_ms, load });
    Ok(Answer(AgentsReport { span, items: items.collect() }))
}

#[derive(Serialize, ToSchema)]
struct PermissionsReport {
    #[serde(flatten)]
    span: Span,
    steps: Vec<FunnelStep>,
}

/// Counts how far customers went in permitting calls
///
/// What happened within the span, of the customers that `GET /v1/permissions` lists to the caller; with `agent_id` or
/// `team_id` of those that are assigned to or owned by these agents.
#[utoipa::path(get, path = "/v1/reports/permissions", tag = "reports", params(ReportQuery),
    responses((status = 200, description = "Every step, in order", body = PermissionsReport), Problems))]
async fn permissions(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ReportQuery>,
) -> Result<Answer<PermissionsReport>, Problem> {
    caller.may(Action::Read, Resource::Permission)?;
    let span = query.span(&control)?;
    // A key sees every customer, as in the list.
    let visible = if caller.agent().is_some() || query.team_id.is_some() {
        whose(&control, &caller, query.team_id.as_ref()).await?
    } else {
        None
    };
    let seen_by = match (query.agent_id, visible) {
        (None, visible) => visible,
        (Some(agent), Some(visible)) if !visible.contains(&agent) => Some(Vec::new()),
        (Some(agent), _) => Some(vec![agent]),
    };
    let number = query.number_id.as_ref();
    let steps = control.store.permissions_report(number, seen_by.as_deref(), span.from, span.to).await?;
    Ok(Answer(PermissionsReport { span, steps }))
}

#[derive(Serialize, ToSchema)]
struct CostsReport {
    #[serde(flatten)]
    span: Span,
    /// The dearest country first.
    items: Vec<CountryCost>,
}

/// Adds up what calls cost, by the customer's country
///
/// Of the calls that `GET /v1/calls` lists for the same filter: the sums of their `charge`.
#[utoipa::path(get, path = "/v1/reports/costs", tag = "reports", params(ReportQuery),
    responses((status = 200, description = "Cost by country", body = CostsReport), Problems))]
async fn costs(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ReportQuery>,
) -> Result<Answer<CostsReport>, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let (span, filter) = query.filter(&control, &caller).await?;
    Ok(Answer(CostsReport { span, items: control.store.costs_report(&filter).await? }))
}
