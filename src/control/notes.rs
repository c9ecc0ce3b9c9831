//! Notes on calls and customers.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, Json, Params, Who, limit, written_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::directory::Contact;
use crate::model::id::{AgentId, CallId, NoteId};
use crate::model::note::Note;
use crate::policy::access::{Action, Resource};
use crate::store::Subject;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(of_call, write_on_call))
        .routes(routes!(of_contact, write_on_contact))
        .routes(routes!(remove))
}

/// A note as it is written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"text": "Wants an offer for ten seats by Friday."}))]
struct NoteBody {
    /// 1 to 4000 characters, in as many lines as it takes.
    text: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of notes.
#[derive(Serialize, ToSchema)]
struct Notes {
    items: Vec<Note>,
    next_cursor: Option<String>,
}

/// Lists a call's notes
///
/// Newest first.
#[utoipa::path(get, path = "/v1/calls/{id}/notes", tag = "notes", params(("id" = String, Path), PageQuery),
    responses((status = 200, description = "A page of notes", body = Notes), Problems))]
async fn of_call(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Params(query): Params<PageQuery>,
) -> Result<Answer<Notes>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Record).await?;
    page(&control, &Subject::Call(id), None, query).await
}

/// Writes a note on a call
///
/// For whoever sees the call. It is a note on the customer too. `note.added` tells of it.
#[utoipa::path(post, path = "/v1/calls/{id}/notes", tag = "notes", params(("id" = String, Path)), request_body = NoteBody,
    responses((status = 201, description = "The note", body = Note), Problems))]
async fn write_on_call(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<NoteBody>,
) -> Result<Response, Problem> {
    caller.call(&control, &id, Action::Annotate, Part::Record).await?;
    write(&control, &caller, Subject::Call(id), &body).await
}

/// Lists a customer's notes
///
/// Those on the customer, and those on calls that the caller may see; all of them where the chat is assigned to the caller,
/// or the customer is its own. Newest first.
#[utoipa::path(get, path = "/v1/contacts/{ref}/notes", tag = "notes",
    params(("ref" = String, Path, description = "`con_…`, `wa:<digits>` or `user:<id>`"), PageQuery),
    responses((status = 200, description = "A page of notes", body = Notes), Problems))]
async fn of_contact(
    State(control): State<Shared>,
    caller: Caller,
    Who(who): Who,
    Params(query): Params<PageQuery>,
) -> Result<Answer<Notes>, Problem> {
    caller.may(Action::Read, Resource::Contact)?;
    let contact = control.store.contact(&who).await?.ok_or_else(Problem::not_found)?;
    let seen_by = seen_by(&control, &caller, &contact).await?;
    page(&control, &Subject::Contact(contact.id), seen_by.as_deref(), query).await
}

/// Writes a note on a customer
#[utoipa::path(post, path = "/v1/contacts/{ref}/notes", tag = "notes",
    params(("ref" = String, Path, description = "`con_…`, `wa:<digits>` or `user:<id>`")), request_body = NoteBody,
    responses((status = 201, description = "The note", body = Note), Problems))]
async fn write_on_contact(
    State(control): State<Shared>,
    caller: Caller,
    Who(who): Who,
    Json(body): Json<NoteBody>,
) -> Result<Response, Problem> {
    caller.may(Action::Annotate, Resource::Contact)?;
    let contact = control.store.contact(&who).await?.ok_or_else(Problem::not_found)?;
    write(&control, &caller, Subject::Contact(contact.id), &body).await
}

/// Removes a note
///
/// For its author, and for who manages agents. `note.removed` tells of it.
#[utoipa::path(delete, path = "/v1/notes/{id}", tag = "notes", params(("id" = String, Path, example = "note_0191…")),
    responses((status = 204, description = "Removed"), Problems))]
async fn remove(State(control): State<Shared>, caller: Caller, Id(id): Id<NoteId>) -> Result<StatusCode, Problem> {
    // Before any look-up: what a key lacks must not tell which ids exist.
    if caller.agent().is_none() {
        caller.may(Action::Change, Resource::Note { author: None })?;
    }
    let note = control.store.note(&id).await?.ok_or_else(Problem::not_found)?;
    if !caller.can(Action::Change, Resource::Note { author: note.author_id.as_ref() }) {
        return Err(Problem::not_found());
    }
    control.switchboard.remove_note(&id, &caller.asker()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The newest note that the caller may read about a customer.
pub(super) async fn last(control: &Shared, caller: &Caller, contact: &Contact) -> Result<Option<Note>, Problem> {
    let seen_by = seen_by(control, caller, contact).await?;
    Ok(control.store.last_note(&contact.id, seen_by.as_deref()).await?)
}

/// Whose calls' notes about the customer are shown; `None`: everybody's.
async fn seen_by(control: &Shared, caller: &Caller, contact: &Contact) -> Result<Option<Vec<AgentId>>, Problem> {
    let is_own =
        caller.agent_id().is_some_and(|own| [&contact.assignee_id, &contact.owner_id].contains(&&Some(own.clone())));
    if is_own { Ok(None) } else { caller.visible_agents(control).await }
}

async fn page(
    control: &Shared,
    about: &Subject,
    seen_by: Option<&[AgentId]>,
    query: PageQuery,
) -> Result<Answer<Notes>, Problem> {
    let page = control.store.notes(about, seen_by, limit(query.limit)?, query.cursor.as_deref()).await?;
    Ok(Answer(Notes { items: page.items, next_cursor: page.next_cursor }))
}

async fn write(control: &Shared, caller: &Caller, about: Subject, body: &NoteBody) -> Result<Response, Problem> {
    let note = control
        .switchboard
        .add_note(&about, &caller.asker(), &written_text("text", &body.text, NOTE_CHARS_MAX)?)
        .await?;
    Ok((StatusCode::CREATED, Answer(note)).into_response())
}

const NOTE_CHARS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_its_lines_and_is_bounded() {
        let long = "x".repeat(4001);
        for (given, want) in [
            (" one\r\ntwo\n\tthree ", Some("one\ntwo\n\tthree")),
            ("\u{202a}+995 555\u{202c} <b>", Some("\u{202a}+995 555\u{202c} <b>")),
            (" \n ", None),
            ("a\u{7}b", None),
            ("a\0", None),
            (&long, None),
        ] {
            assert_eq!(written_text("text", given, NOTE_CHARS_MAX).ok().as_deref(), want, "{given:?}");
        }
    }
}
