//! Who may what, as the rules in force have it.

use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::time::Timestamp;
use crate::policy::access::{Action, DeedRow, Resource, agent_rows};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read))
}

/// What agents may, by role and switches.
#[derive(Serialize, ToSchema)]
struct AccessRules {
    /// The policy pack that says so, as calls name it.
    policy_pack: String,
    /// As its file calls itself.
    pack_name: String,
    /// Since when its edition of today is in force.
    edition_from: Timestamp,
    items: Vec<DeedRow>,
}

/// Tells what each role may
///
/// Every cell is the answer of the function that decides about requests, asked under the rules of this moment;
/// `tandem access` prints the same. What somebody has with both switches is what either gives.
#[utoipa::path(get, path = "/v1/access", tag = "policy",
    responses((status = 200, description = "By role, without and with each switch", body = AccessRules), Problems))]
async fn read(State(control): State<Shared>, caller: Caller) -> Result<Answer<AccessRules>, Problem> {
    caller.may(Action::Read, Resource::Team)?;
    let (terms, rules) = (control.switchboard.terms(), caller.rules());
    Ok(Answer(AccessRules {
        policy_pack: terms.pack_id.clone(),
        pack_name: terms.pack.name.clone(),
        edition_from: rules.from,
        items: agent_rows(rules),
    }))
}
