//! Is the process alive, can it take a call, and what do its figures say.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::openapi::Problems;

/// On both listeners.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// On the listener for operators alone.
pub(crate) fn metrics_route() -> axum::Router<Shared> {
    axum::Router::new().route("/metrics", axum::routing::get(metrics))
}

/// One reason why the gateway takes no calls now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unready {
    /// `database`, `draining`, `ports`, `disk`, …
    #[schema(value_type = String)]
    pub check: &'static str,
    /// What is wrong and how to mend it.
    pub detail: String,
}

#[derive(Serialize, ToSchema)]
struct Live {
    #[schema(example = "live")]
    status: &'static str,
}

/// Is the process alive
#[utoipa::path(get, path = "/livez", tag = "health", security(()),
    responses((status = 200, description = "Alive", body = Live), Problems))]
async fn live() -> Answer<Live> {
    Answer(Live { status: "live" })
}

#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `unready`.
    #[schema(example = "ready")]
    status: &'static str,
    reasons: Vec<Unready>,
}

/// A database that answers later than this cannot carry a call.
const PING_TIME_MAX: Duration = Duration::from_secs(2);

/// Can the gateway take a call
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready, with every reason", body = Readiness)))]
async fn ready(State(control): State<Shared>) -> Response {
    let mut reasons = (control.readiness)().await;
    match tokio::time::timeout(PING_TIME_MAX, control.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => reasons.push(Unready { check: "database", detail: error.to_string() }),
        Err(_) => reasons.push(Unready {
            check: "database",
            detail: "no answer within 2 s; look at the disk of data.dir, or at the server that data.url names"
                .to_owned(),
        }),
    }
    if control.switchboard.is_draining() {
        let detail = format!("draining, {} calls still run", control.switchboard.active_calls());
        reasons.push(Unready { check: "draining", detail });
    }
    let (code, status) =
        if reasons.is_empty() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "unready") };
    (code, Answer(Readiness { status, reasons })).into_response()
}

/// Prometheus' text format.
async fn metrics(State(control): State<Shared>) -> Response {
    let text = (control.metrics)();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
