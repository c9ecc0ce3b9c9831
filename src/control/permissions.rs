//! Permissions: who may be called from a number, as a list and as a table.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::extract::{Params, limit};
use super::named::NO_SUCH_NUMBER;
use super::openapi::Problems;
use super::problem::{Code, Problem};
use super::{Control, Shared, table};
use crate::model::day::Day;
use crate::model::directory::{Asker, Contact, Permission};
use crate::model::id::{AgentId, NumberId};
use crate::model::reason::PermissionStatus;
use crate::policy::access::{Action, Resource};
use crate::store::PermissionFilter;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(csv))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PermissionsQuery {
    #[param(value_type = String)]
    number_id: NumberId,
    /// As it is worth now.
    status: Option<PermissionStatus>,
    /// Part of the customer's name or number.
    text: Option<String>,
    /// Who asked last, or whom the chat is assigned to.
    #[param(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What one customer permits, and who that is.
#[derive(Serialize, ToSchema)]
struct PermissionItem {
    #[serde(flatten)]
    permission: Permission,
    contact: Contact,
}

/// A page of permissions.
#[derive(Serialize, ToSchema)]
struct Permissions {
    items: Vec<PermissionItem>,
    next_cursor: Option<String>,
}

/// Lists who permits calls from a number
///
/// Everybody who was asked or decided, the latest change first. Roles narrow it like calls: an agent sees the customers
/// that are assigned to or owned by somebody whose calls it sees, and those of nobody only if it sees every call. A page of
/// a narrowed list may hold fewer than `limit`: as long as there is a `next_cursor` there may be more.
#[utoipa::path(get, path = "/v1/permissions", tag = "permissions", params(PermissionsQuery),
    responses((status = 200, description = "A page of permissions, as they are worth now", body = Permissions), Problems))]
async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<PermissionsQuery>,
) -> Result<Answer<Permissions>, Problem> {
    let visible = caller.visible_agents(&control).await?;
    let (limit, cursor) = (limit(query.limit)?, query.cursor.clone());
    let filter = query.filter(&control, &caller, visible.as_ref()).await?;
    let page = control.store.permissions(&filter, limit, cursor.as_deref(), control.clock.now().wall).await?;
    let items = page
        .items
        .into_iter()
        .map(|(permission, contact)| PermissionItem { permission: shown(permission, visible.as_ref()), contact });
    Ok(Answer(Permissions { items: items.collect(), next_cursor: page.next_cursor }))
}

/// Permissions that the table reads at a time.
const TABLE_PAGE: u32 = 200;

/// Exports permissions as a table
///
/// The permissions that `GET /v1/permissions` lists with the same filters, the latest change first, all of them: RFC 4180
/// with a header line, in UTF-8. `agent_id` and `agent_name`: who asked last, as far as the caller may know, else whom the
/// chat is assigned to. What others wrote never begins like a formula.
#[utoipa::path(get, path = "/v1/permissions.csv", tag = "permissions", params(PermissionsQuery),
    responses((status = 200, description = "The table", content_type = "text/csv", body = String), Problems))]
async fn csv(
    State(control): State<Shared>,
    caller: Caller,
    RawQuery(asked): RawQuery,
    Params(query): Params<PermissionsQuery>,
) -> Result<Response, Problem> {
    let visible = Arc::new(caller.visible_agents(&control).await?);
    let paged = query.limit.is_some() || query.cursor.is_some();
    let filter = Arc::new(query.filter(&control, &caller, visible.as_ref().as_ref()).await?);
    if paged {
        return Err(Problem::parameter("limit", "an export has no pages: leave `limit` and `cursor` out"));
    }
    control
        .switchboard
        .note_export(caller.asker(), "permissions.exported", "csv", asked.as_deref().unwrap_or(""))
        .await?;
    let agents = control.store.agents_ever().await?.into_iter().map(|agent| (agent.id, agent.name));
    let names: Arc<HashMap<AgentId, String>> = Arc::new(agents.collect());
    let now = control.clock.now().wall;
    let pages = move |cursor: Option<String>| {
        let (control, filter) = (Arc::clone(&control), Arc::clone(&filter));
        let (visible, names) = (Arc::clone(&visible), Arc::clone(&names));
        async move {
            let page = control.store.permissions(&filter, TABLE_PAGE, cursor.as_deref(), now).await?;
            let rows = page.items.into_iter().flat_map(|(permission, contact)| {
                table::row(&cells(&shown(permission, visible.as_ref().as_ref()), &contact, &names))
            });
            Ok((rows.collect(), page.next_cursor))
        }
    };
    Ok(table::csv(&format!("permissions-{}.csv", Day::of(now)), &HEADER, pages))
}

impl PermissionsQuery {
    /// The permissions asked for, as far as this caller may see them.
    async fn filter(
        self,
        control: &Control,
        caller: &Caller,
        visible: Option<&Vec<AgentId>>,
    ) -> Result<PermissionFilter, Problem> {
        caller.may(Action::Read, Resource::Permission)?;
        let number = control.store.number(&self.number_id).await?;
        number.ok_or_else(|| Problem::new(Code::NotFound, NO_SUCH_NUMBER))?;
        let hides = |agent: &AgentId| visible.is_some_and(|visible| !visible.contains(agent));
        Ok(PermissionFilter {
            // A key sees every customer, but not who asked them.
            seen_by: visible.filter(|_| caller.agent().is_some()).cloned(),
            text: self.text.filter(|text| !text.trim().is_empty()),
            status: self.status,
            hides_asker: self.agent_id.as_ref().is_some_and(hides),
            agent: self.agent_id,
            ..PermissionFilter::of(self.number_id)
        })
    }
}

/// Roles narrow what is seen of others' work: a request by somebody whose calls are hidden was sent by nobody known.
pub(super) fn shown(permission: Permission, visible: Option<&Vec<AgentId>>) -> Permission {
    let requested_by = permission.requested_by.filter(|asker| match (visible, asker) {
        (None, _) => true,
        (Some(visible), Asker::Agent { agent_id }) => visible.contains(agent_id),
        (Some(_), Asker::Key { .. }) => false,
    });
    Permission { requested_by, ..permission }
}

const HEADER: [&str; 13] = [
    "contact_id",
    "customer_name",
    "customer_phone",
    "customer_user_id",
    "number_id",
    "status",
    "requested_at",
    "request_expires_at",
    "expires_at",
    "decided_at",
    "unanswered_in_a_row",
    "agent_id",
    "agent_name",
];

fn cells(permission: &Permission, contact: &Contact, names: &HashMap<AgentId, String>) -> [String; HEADER.len()] {
    let time = |at: Option<crate::model::time::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let (agent, key) = match &permission.requested_by {
        Some(Asker::Agent { agent_id }) => (Some(agent_id), None),
        Some(Asker::Key { name }) => (None, Some(name)),
        None => (contact.assignee_id.as_ref(), None),
    };
    let name = key.or_else(|| names.get(agent?));
    [
        contact.id.to_string(),
        table::harmless(contact.name.as_deref()),
        contact.phone.as_ref().map(|phone| phone.e164()).unwrap_or_default(),
        table::harmless(contact.user_id.as_deref()),
        permission.number_id.to_string(),
        permission.status.to_string(),
        time(permission.requested_at),
        time(permission.request_expires_at),
        time(permission.expires_at),
        time(permission.decided_at),
        permission.unanswered_in_a_row.to_string(),
        agent.map(ToString::to_string).unwrap_or_default(),
        table::harmless(name.map(String::as_str)),
    ]
}
