//! Browsers that ring while no console is open.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::directory::put_status;
use super::extract::{Id, Json, NAME_CHARS_MAX, NoBody, Params, plain_text};
use super::openapi::Problems;
use super::problem::{Code, Problem};
use crate::model::id::{AgentId, PushId};
use crate::model::push::{BadPushKey, PushKeys, PushOutcome, PushSubscriptionView};
use crate::policy::access::Action;
use crate::store::{PUSH_SUBSCRIPTIONS_MAX, PushWish};
use crate::webpush::{BadSubscription, Push};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, put, remove)).routes(routes!(test))
}

/// An agent's browsers that ring while its console is closed.
#[derive(Serialize, ToSchema)]
struct PushSubscriptions {
    items: Vec<PushSubscriptionView>,
    /// What a browser subscribes with; `null`: this gateway sends no pushes.
    application_server_key: Option<String>,
    items_max: i64,
}

/// Lists an agent's browsers that ring while its console is closed
///
/// With the key that another one subscribes with. A browser is listed as long as its session lives.
#[utoipa::path(get, path = "/v1/agents/{id}/push-subscriptions", tag = "agents",
    params(("id" = String, Path, example = "agt_a")),
    responses((status = 200, description = "The browsers", body = PushSubscriptions), Problems))]
async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Answer<PushSubscriptions>, Problem> {
    caller.may_for(Action::SetPresence, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let browsers = control.store.push_subscriptions(&id, caller.session(), control.clock.now().wall).await?;
    Ok(Answer(PushSubscriptions {
        items: browsers.iter().map(Into::into).collect(),
        application_server_key: control.switchboard.push().map(Push::public_key),
        items_max: PUSH_SUBSCRIPTIONS_MAX,
    }))
}

/// What `PushSubscription.toJSON()` gives in the browser, and a name for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"endpoint": "https://updates.push.services.mozilla.com/wpush/v2/gAAAAA…",
    "keys": {"p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "auth": "BTBZMqHH6r4Tts7J_aSIgg"},
    "device": "Firefox on Android"}))]
struct SubscriptionBody {
    /// Where messages for it are posted: an https:// address of its push service.
    endpoint: String,
    keys: KeysBody,
    /// What its user knows it by.
    device: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeysBody {
    p256dh: String,
    auth: String,
}

/// Rings a browser while no console is open
///
/// An agent who is online stays so when the last console closes, and is rung by push. For a signed-in browser: it ends with the
/// session, with "sign out everywhere", when access is taken, and when the push service says that the browser takes no more.
/// The same endpoint again replaces what was said of it. `agent.push_subscriptions_changed` tells of it.
#[utoipa::path(put, path = "/v1/agents/{id}/push-subscriptions", tag = "agents",
    params(("id" = String, Path, example = "agt_a")), request_body = SubscriptionBody,
    responses((status = 200, description = "Changed", body = PushSubscriptionView), (status = 201, description = "It rings from now on", body = PushSubscriptionView), Problems))]
async fn put(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Json(body): Json<SubscriptionBody>,
) -> Result<(StatusCode, Answer<PushSubscriptionView>), Problem> {
    caller.may_for(Action::SetPresence, &id)?;
    let Some(session) = caller.session() else {
        let text = "A key or token is not signed in: a browser rings as long as its session lives, so sign in there.";
        return Err(Problem::new(Code::WrongState, text));
    };
    let push = control.switchboard.push().ok_or_else(|| {
        Problem::new(Code::WrongState, "This gateway sends no pushes; push.enabled in its configuration allows them.")
    })?;
    let keys = PushKeys::parse(&body.keys.p256dh, &body.keys.auth).map_err(|bad| wrong(bad.into()))?;
    let endpoint = push.check(&body.endpoint, &keys).map_err(wrong)?;
    let device = plain_text("device", &body.device, NAME_CHARS_MAX)?;
    let wish = PushWish { agent: &id, session, device: &device, endpoint: &endpoint, keys: &keys };
    let (kept, is_new) = control.switchboard.put_push_subscription(&wish).await?;
    Ok((put_status(!is_new), Answer((&kept).into())))
}

fn wrong(bad: BadSubscription) -> Problem {
    let field = match bad {
        BadSubscription::Endpoint(_) => "endpoint",
        BadSubscription::Key(BadPushKey::P256dh) => "keys.p256dh",
        BadSubscription::Key(BadPushKey::Auth) => "keys.auth",
    };
    Problem::field(field, bad)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Of those listed.
    #[param(value_type = String, example = "push_0191…")]
    subscription_id: PushId,
}

/// Rings a browser no more
///
/// One that is not there rings no more already.
#[utoipa::path(delete, path = "/v1/agents/{id}/push-subscriptions", tag = "agents",
    params(("id" = String, Path, example = "agt_a"), Which),
    responses((status = 204, description = "It rings no more"), Problems))]
async fn remove(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Params(which): Params<Which>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.may_for(Action::SetPresence, &id)?;
    control.switchboard.remove_push_subscription(&id, &which.subscription_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What became of pushes that were sent for a try.
#[derive(Serialize, ToSchema)]
struct Tried {
    items: Vec<TriedOne>,
}

#[derive(Serialize, ToSchema)]
struct TriedOne {
    id: PushId,
    outcome: PushOutcome,
}

/// Pushes to an agent's browsers for a try
///
/// To all that are listed. The answer says what their push services did with the message; that it arrived only the
/// browser's notification tells.
#[utoipa::path(post, path = "/v1/agents/{id}/push-subscriptions/test", tag = "agents",
    params(("id" = String, Path, example = "agt_a")),
    responses((status = 200, description = "Sent, or not", body = Tried), Problems))]
async fn test(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    _: NoBody,
) -> Result<Answer<Tried>, Problem> {
    caller.may_for(Action::SetPresence, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let sent = control.switchboard.test_push(&id).await;
    Ok(Answer(Tried { items: sent.into_iter().map(|(id, outcome)| TriedOne { id, outcome }).collect() }))
}
