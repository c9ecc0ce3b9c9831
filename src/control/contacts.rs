//! Contacts: who the customers are, whose they are, and whether they may be called.

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::extract::{Json, NAME_CHARS_MAX, Params, Who, limit, nullable, plain_text};
use super::named::Named;
use super::openapi::Problems;
use super::permissions::shown;
use super::problem::Problem;
use super::{Control, Shared, notes};
use crate::billing::Quote;
use crate::model::directory::{Contact, Permission};
use crate::model::id::{AgentId, NumberId, TeamId};
use crate::model::money::Micros;
use crate::model::note::Note;
use crate::model::time::Timestamp;
use crate::policy::Blocker;
use crate::policy::access::{Action, Resource};
use crate::policy::permission::Risk;
use crate::switchboard::ContactChange;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, put)).routes(routes!(callability))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Part of a name or number.
    text: Option<String>,
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of contacts.
#[derive(Serialize, ToSchema)]
struct Contacts {
    items: Vec<Contact>,
    next_cursor: Option<String>,
}

/// Lists contacts
#[utoipa::path(get, path = "/v1/contacts", tag = "contacts", params(ListQuery),
    responses((status = 200, description = "A page of contacts", body = Contacts), Problems))]
async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Answer<Contacts>, Problem> {
    caller.may(Action::Read, Resource::Contact)?;
    let text = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let page = control.store.contacts(text, limit(query.limit)?, query.cursor.as_deref()).await?;
    Ok(Answer(Contacts { items: page.items, next_cursor: page.next_cursor }))
}

/// Reads a contact
#[utoipa::path(get, path = "/v1/contacts/{ref}", tag = "contacts",
    params(("ref" = String, Path, description = "`con_…`, `wa:<digits>` or `user:<id>`", example = "wa:995555010203")),
    responses((status = 200, description = "The contact", body = ContactView), Problems))]
async fn read(State(control): State<Shared>, caller: Caller, Who(who): Who) -> Result<Answer<ContactView>, Problem> {
    caller.may(Action::Read, Resource::Contact)?;
    let contact = control.store.contact(&who).await?.ok_or_else(Problem::not_found)?;
    let last_note = notes::last(&control, &caller, &contact).await?;
    let country = contact.country().map(|country| country.to_string());
    Ok(Answer(ContactView { contact, country, last_note }))
}

/// A contact, and what was last written about it.
#[derive(Serialize, ToSchema)]
struct ContactView {
    #[serde(flatten)]
    contact: Contact,
    /// Where the customer is, as far as the number tells: an ISO 3166-1 code.
    country: Option<String>,
    /// Of the notes that the caller may read; `null`: there is none.
    last_note: Option<Note>,
}

/// Whose a contact is. Fields left out keep their value, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Nino", "assignee_id": "agt_a", "owner_id": null}))]
struct ContactBody {
    /// Stands before the name that the customer has in WhatsApp; `null` gives that one back.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Who the chat is assigned to: rung first, and the one who may call.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    assignee_id: Option<Option<AgentId>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    owner_id: Option<Option<AgentId>>,
}

/// Creates or changes a contact
///
/// `wa:<digits>` and `user:<id>` create the contact if there is none; `con_…` must exist. An agent may say
/// whose a contact is and what it is called: any if it manages agents, within its own team if its role leads that (`assign`).
/// The agent a chat is assigned to may set the `name`.
#[utoipa::path(put, path = "/v1/contacts/{ref}", tag = "contacts",
    params(("ref" = String, Path, description = "`con_…`, `wa:<digits>` or `user:<id>`", example = "wa:995555010203")),
    request_body = ContactBody,
    responses((status = 200, description = "The contact", body = Contact), Problems))]
async fn put(
    State(control): State<Shared>,
    caller: Caller,
    Who(who): Who,
    Json(body): Json<ContactBody>,
) -> Result<Answer<Contact>, Problem> {
    if caller.agent().is_some() {
        let held = control.store.contact(&who).await?;
        let assignee = held.as_ref().and_then(|contact| contact.assignee_id.as_ref());
        let names = body.name.is_some() && body.assignee_id.is_none() && body.owner_id.is_none();
        if !(names && caller.can(Action::Rename, Resource::Chat { assignee })) {
            let teams = teams_of(&control, held.as_ref(), [&body.assignee_id, &body.owner_id]).await?;
            caller.may(Action::Assign, Resource::Ownership { teams: &teams })?;
        }
    } else {
        caller.may(Action::Change, Resource::Contact)?;
    }
    let name = match body.name {
        Some(Some(name)) => Some(Some(plain_text("name", &name, NAME_CHARS_MAX)?)),
        other => other,
    };
    existing_agent(&control, "assignee_id", body.assignee_id.as_ref()).await?;
    existing_agent(&control, "owner_id", body.owner_id.as_ref()).await?;
    let change = ContactChange { name, assignee_id: body.assignee_id, owner_id: body.owner_id };
    Ok(Answer(control.switchboard.put_contact(&who, change).await?))
}

/// The teams of everybody whom it concerns whose the contact is: now, and as wished.
async fn teams_of(
    control: &Control,
    held: Option<&Contact>,
    wished: [&Option<Option<AgentId>>; 2],
) -> Result<Vec<Option<TeamId>>, Problem> {
    let held = held.cloned().into_iter().flat_map(|contact| [contact.assignee_id, contact.owner_id]).flatten();
    let mut teams = Vec::new();
    for agent in held.chain(wished.into_iter().flatten().flatten().cloned()) {
        // Nobody knows of what team an agent is who does not exist.
        teams.push(control.store.agent(&agent).await?.and_then(|agent| agent.team_id));
    }
    Ok(teams)
}

async fn existing_agent(control: &Control, field: &str, given: Option<&Option<AgentId>>) -> Result<(), Problem> {
    let Some(Some(agent)) = given else { return Ok(()) };
    match control.store.agent(agent).await? {
        Some(_) => Ok(()),
        None => Err(Problem::field(field, "there is no such agent; create it with PUT /v1/agents/{id}")),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CallabilityQuery {
    /// The business number that would call.
    #[param(value_type = String)]
    number_id: NumberId,
    /// The agent who would call; an agent's token may leave it out.
    #[param(value_type = Option<String>)]
    agent_id: Option<AgentId>,
}

/// Whether this agent may call this customer from this number, now.
#[derive(Serialize, ToSchema)]
struct CallabilityView {
    callable: bool,
    /// Every reason against it, not only the first; each says what clears it, and when if time alone does.
    blockers: Vec<Blocker>,
    permission: Permission,
    request: RequestView,
    risk: Risk,
    rate: RateView,
}

/// Whether the customer may be asked for permission.
#[derive(Serialize, ToSchema)]
struct RequestView {
    /// By template.
    allowed: bool,
    /// When the request limits have room again; `null` when they have now.
    next_allowed_at: Option<Timestamp>,
    /// Every reason against asking by template.
    blockers: Vec<Blocker>,
    /// In free form, too: the same reasons stand against it, and a closed service window.
    free_form_allowed: bool,
    /// Until when the customer may be written to in free form, if nothing new comes from them; `null` while the window is
    /// closed.
    window_closes_at: Option<Timestamp>,
}

/// What the call would cost, and what there is to pay it with.
#[derive(Serialize, ToSchema)]
struct RateView {
    #[serde(flatten)]
    quote: Quote,
    /// The wallet's balance less what is held back for running calls.
    available_micros: Micros,
}

/// Tells whether a contact may be called
#[utoipa::path(get, path = "/v1/contacts/{ref}/callability", tag = "contacts",
    params(("ref" = String, Path, description = "`con_…`, `wa:<digits>` or `user:<id>`", example = "wa:995555010203"), CallabilityQuery),
    responses((status = 200, description = "The answer, with every reason", body = CallabilityView), Problems))]
async fn callability(
    State(control): State<Shared>,
    caller: Caller,
    Who(who): Who,
    Params(query): Params<CallabilityQuery>,
) -> Result<Answer<CallabilityView>, Problem> {
    caller.may(Action::Read, Resource::Contact)?;
    let agent = query
        .agent_id
        .or_else(|| caller.agent_id().cloned())
        .ok_or_else(|| Problem::parameter("agent_id", "say who would call"))?;
    if caller.agent_id().is_some_and(|own| *own != agent) {
        return Err(Problem::not_found());
    }
    let found = match control.switchboard.callability(&who, &query.number_id, &agent).await {
        Ok(found) => found,
        Err(refusal) => {
            let named = Named { number: query.number_id, contact: who, agent: Some(agent) };
            return Err(named.explain(&control, &caller, refusal).await);
        }
    };
    let visible = caller.visible_agents(&control).await?;
    Ok(Answer(CallabilityView {
        callable: found.blockers.is_empty(),
        blockers: found.blockers,
        permission: shown(found.permission, visible.as_ref()),
        request: RequestView {
            allowed: found.request_blockers.is_empty(),
            next_allowed_at: found.next_request_at,
            blockers: found.request_blockers,
            free_form_allowed: found.free_form_allowed,
            window_closes_at: found.window_closes_at,
        },
        risk: found.risk,
        rate: RateView { quote: found.quote, available_micros: found.available },
    }))
}
