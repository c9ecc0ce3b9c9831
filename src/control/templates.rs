//! The templates that a number may ask customers with.

use axum::Json as Answer;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::directory::Whole;
use super::extract::Id;
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::id::NumberId;
use crate::model::template::Template;
use crate::policy::access::{Action, Resource};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(templates))
}

/// Lists the templates that ask for permission to call
///
/// The approved ones of the number's WhatsApp business account, as WhatsApp told them within the last minutes. Empty as long
/// as no webhook has told whose the number is.
#[utoipa::path(get, path = "/v1/numbers/{id}/permission-templates", tag = "permissions",
    params(("id" = String, Path, example = "100000000000001")),
    responses((status = 200, description = "The templates", body = Whole<Template>), Problems))]
async fn templates(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<NumberId>,
) -> Result<Answer<Whole<Template>>, Problem> {
    caller.may(Action::Read, Resource::Number)?;
    control.store.number(&id).await?.ok_or_else(Problem::not_found)?;
    Ok(Answer(Whole::of(control.switchboard.permission_templates(&id).await?.unwrap_or_default())))
}
