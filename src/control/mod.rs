//! The doors for programs: Meta's webhooks, the control API, its contract, health and figures.
//!
//! Every route under `/v1` passes, from outside in: request id and refusals on the wire
//! ([`request_id`]), compression ([`compress`]), security headers ([`headers`]), panics ([`problem`]), the bearer secret ([`auth`]),
//! idempotency ([`idempotency`]), then its handler, which asks `policy::access` before it does anything.
//! Only this module knows the API's JSON; only [`problem`] knows which refusal is which status.

mod access;
mod agents;
mod attempts;
mod auth;
mod call_list;
mod calls;
mod complaint;
mod compress;
mod config;
mod contacts;
mod cookie;
mod day;
mod deep_link;
mod devices;
mod directory;
mod events;
mod export_zip;
mod exports;
mod extract;
mod headers;
mod health;
mod idempotency;
mod leaving;
mod marks;
mod named;
mod notes;
mod offers;
mod openapi;
mod owners;
mod passwords;
mod permission_requests;
mod permissions;
mod policy;
mod problem;
mod push_subscriptions;
mod rate_card;
mod readiness;
mod reconciliations;
mod recordings;
mod reports;
mod request_id;
mod serve;
mod session;
mod settings;
mod sign_in;
mod stream;
mod summaries;
mod table;
mod templates;
mod timeline;
mod transcripts;
mod unsealed;
mod verification;
mod views;
mod wallet;
mod webhooks;
mod wrap_up;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use agents::is_email_address;
pub use config::{BadConfig, Config};
pub use health::Unready;
pub use problem::Code;
pub use serve::{Door, ServeError, Tls, bind, serve};
pub use sign_in::{SignIn, invitation_url};

use crate::model::time::Clock;
use crate::record::Vault;
use crate::signalling::whatsapp::Webhook;
use crate::store::Store;
use crate::switchboard::Switchboard;
use problem::Problem;

type Shared = Arc<Control>;

/// Everything the doors need.
pub struct Control {
    pub store: Store,
    pub switchboard: Switchboard,
    /// Meta's door; `None` while the app secret and the verify token are not configured.
    pub webhook: Option<Webhook>,
    /// The figures in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// What beside the database and the drain keeps the gateway from taking calls: ports, disk, …
    pub readiness: Box<dyn Fn() -> BoxFuture<'static, Vec<Unready>> + Send + Sync>,
    /// Recordings are served from beneath it and from nowhere else.
    pub recordings_dir: PathBuf,
    /// The keys of those that are sealed.
    pub vault: Vault,
    /// Whether the WhatsApp behind the gateway is the built-in fake one.
    pub sandbox: bool,
    pub sign_in: SignIn,
    /// What people open, e.g. `https://calls.example.com`; written into links.
    pub base_url: String,
    /// Whether browsers may send their session over TLS alone.
    pub secure_cookies: bool,
    /// Reads the policy pack and the rate card anew; everything that is wrong, one line each.
    pub reload: Box<dyn Fn() -> BoxFuture<'static, Result<(), Vec<String>>> + Send + Sync>,
    pub clock: Clock,
    /// Cancelled when the doors close: event streams end, so that the server can.
    pub closing: CancellationToken,
}

impl Control {
    /// The main listener: webhooks, API, contract, health; everything else is `rest`, the console.
    pub fn router(self: &Arc<Self>, rest: Router) -> Router {
        let (open, document) = public().split_for_parts();
        let (closed, api) = api().split_for_parts();
        let document = openapi::complete(document, api);
        let closed = closed
            .route_layer(from_fn_with_state(Arc::clone(self), idempotency::layer))
            .route_layer(from_fn_with_state(Arc::clone(self), auth::layer));
        let routes = open
            .merge(closed)
            .with_state(Arc::clone(self))
            .merge(openapi::routes(&document))
            .fallback_service(rest.layer(from_fn(only_pages)));
        layered(routes)
    }

    /// The listener for operators: `/metrics`, `/livez`, `/readyz`.
    pub fn ops_router(self: &Arc<Self>) -> Router {
        let (health, _) = health::routes().split_for_parts();
        layered(health.merge(health::metrics_route()).with_state(Arc::clone(self)).fallback(no_such_route))
    }

    /// The contract as it is served.
    pub fn openapi() -> utoipa::openapi::OpenApi {
        openapi::complete(public().into_openapi(), api().into_openapi())
    }
}

/// Open to all: each guards itself.
fn public() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::Contract::openapi())
        .merge(webhooks::routes())
        .merge(health::routes())
        .merge(sign_in::public_routes())
}

/// Behind the bearer secret.
fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .merge(session::routes())
        .merge(sign_in::routes())
        .merge(directory::routes())
        .merge(settings::routes())
        .merge(deep_link::routes())
        .merge(agents::routes())
        .merge(leaving::routes())
        .merge(access::routes())
        .merge(devices::routes())
        .merge(contacts::routes())
        .merge(permission_requests::routes())
        .merge(permissions::routes())
        .merge(policy::routes())
        .merge(calls::routes())
        .merge(marks::routes())
        .merge(notes::routes())
        .merge(timeline::routes())
        .merge(verification::routes())
        .merge(recordings::routes())
        .merge(transcripts::routes())
        .merge(summaries::routes())
        .merge(exports::routes())
        .merge(offers::routes())
        .merge(readiness::routes())
        .merge(wrap_up::routes())
        .merge(push_subscriptions::routes())
        .merge(templates::routes())
        .merge(day::routes())
        .merge(views::routes())
        .merge(events::routes())
        .merge(wallet::routes())
        .merge(reconciliations::routes())
        .merge(reports::routes())
        .merge(rate_card::routes())
}

fn layered(routes: Router) -> Router {
    routes
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(headers::layer))
        .layer(from_fn(compress::layer))
        .layer(from_fn(request_id::layer))
}

/// Keeps pages out of the paths that belong to programs: a misspelt route is a 404, not the console.
async fn only_pages(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = ["/v1", "/webhooks", "/docs", "/openapi.json", "/metrics"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if ours { no_such_route().await.into_response() } else { next.run(request).await }
}

async fn no_such_route() -> Problem {
    Problem::new(Code::NoSuchRoute, "This gateway has no such route; /openapi.json lists those it has.")
}
