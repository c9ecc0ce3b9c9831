//! What people say a call was: its disposition and its tags.

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, Json, plain_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::call::record::CallRecord;
use crate::model::id::CallId;
use crate::policy::access::{Action, Resource};
use crate::store::Mark;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put_disposition)).routes(routes!(put_tags))
}

/// The words there are.
#[derive(Serialize, ToSchema)]
struct Dispositions {
    /// In the order they are to be offered; empty where nothing is asked.
    items: Vec<String>,
}

/// Lists what people may say a call was
///
/// The policy pack's list, as it stands now.
#[utoipa::path(get, path = "/v1/dispositions", tag = "calls",
    responses((status = 200, description = "The words", body = Dispositions), Problems))]
async fn list(caller: Caller) -> Result<Answer<Dispositions>, Problem> {
    caller.may(Action::Read, Resource::Calls)?;
    Ok(Answer(Dispositions { items: caller.rules().dispositions.names.clone() }))
}

/// What the call was.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"disposition": "Resolved"}))]
struct DispositionBody {
    /// A word of `/v1/dispositions`; `null` takes it back.
    #[schema(required)]
    disposition: Option<String>,
}

/// Says what a call was
///
/// While it runs or later; for whoever sees it. `call.marked` tells who said so.
#[utoipa::path(put, path = "/v1/calls/{id}/disposition", tag = "calls", params(("id" = String, Path)),
    request_body = DispositionBody, responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn put_disposition(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<DispositionBody>,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Annotate, Part::Record).await?;
    let names = &caller.rules().dispositions.names;
    if let Some(word) = &body.disposition
        && !names.contains(word)
    {
        let why = match names.as_slice() {
            [] => "the policy pack has no dispositions; add the section `dispositions` to it".to_owned(),
            names => format!("one of {}, or null", names.join(", ")),
        };
        return Err(Problem::field("disposition", why));
    }
    Ok(Answer(control.switchboard.mark_call(&id, Mark::Disposition(body.disposition), caller.asker()).await?))
}

/// What the call is put among.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tags": ["vip", "refund"]}))]
struct TagsBody {
    /// All of them, at most 20 of at most 40 characters; kept in lower case.
    tags: Vec<String>,
}

/// Tags a call
///
/// While it runs or later; for whoever sees it. `call.marked` tells who did.
#[utoipa::path(put, path = "/v1/calls/{id}/tags", tag = "calls", params(("id" = String, Path)), request_body = TagsBody,
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn put_tags(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    Json(body): Json<TagsBody>,
) -> Result<Answer<CallRecord>, Problem> {
    caller.call(&control, &id, Action::Annotate, Part::Record).await?;
    Ok(Answer(control.switchboard.mark_call(&id, Mark::Tags(tidy(body.tags)?), caller.asker()).await?))
}

const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 40;

/// In lower case, each once.
fn tidy(tags: Vec<String>) -> Result<Vec<String>, Problem> {
    let mut tidied = Vec::new();
    for tag in tags {
        let tag = plain_text("tags", &tag, TAG_CHARS_MAX)?.to_lowercase();
        if !tidied.contains(&tag) {
            tidied.push(tag);
        }
    }
    match tidied.len() {
        ..=TAGS_MAX => Ok(tidied),
        count => Err(Problem::field("tags", format_args!("at most {TAGS_MAX}, not {count}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_tidied_and_bounded() {
        let tags = |tags: &[&str]| tidy(tags.iter().map(|tag| (*tag).to_owned()).collect()).ok();
        assert_eq!(tags(&[" VIP ", "vip", "რეფანდი"]).unwrap(), ["vip", "რეფანდი"]);
        assert_eq!(tags(&[]).unwrap(), [""; 0]);
        assert_eq!(tags(&["a\nb"]), None);
        assert_eq!(tags(&[""]), None);
        assert_eq!(tags(&["x".repeat(41).as_str()]), None);
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert!(tidy(many[..20].to_vec()).is_ok() && tidy(many).is_err());
    }
}
