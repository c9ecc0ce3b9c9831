//! What a worker tells its operators: `/metrics`, `/healthz` (also `/livez`) and `/readyz`, without access control, as a
//! gateway does on `http.metrics_listen`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::Watch;
use crate::app::{Recogniser, figures};
use crate::asr::BuiltinStats;
use crate::control::Unready;
use crate::metrics::{Metrics, WorkerFigures};

/// Less than this on the disk, and the worker says so: four hours of one call as WAV, or four calls of an hour.
const FREE_BYTES_MIN: u64 = 1_000_000_000;

/// Whose figures are told.
pub(crate) struct Ops {
    pub(crate) watch: Watch,
    pub(crate) recogniser: Option<Recogniser>,
    pub(crate) data_dir: PathBuf,
}

impl Ops {
    pub(crate) fn router(self) -> Router {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let told = Arc::new(Told { ops: self, metrics, before: Mutex::default() });
        let live = get(async || Json(json!({"status": "live"})));
        Router::new()
            .route("/metrics", get(metrics_text))
            .route("/healthz", live.clone())
            .route("/livez", live)
            .route("/readyz", get(ready))
            .with_state(told)
    }

    fn free_bytes(&self) -> Result<u64, std::io::Error> {
        let room = rustix::fs::statvfs(&self.data_dir)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// Why no gateway should send calls here.
    fn unready(&self) -> Option<Unready> {
        let detail = match self.free_bytes() {
            Ok(free) if free >= FREE_BYTES_MIN => return None,
            Ok(free) => format!("{} MB are free in {}: make room", free / 1_000_000, self.data_dir.display()),
            Err(error) => format!("cannot look at {}: {error}", self.data_dir.display()),
        };
        Some(Unready { check: "disk", detail })
    }
}

struct Told {
    ops: Ops,
    metrics: Metrics,
    /// The recogniser's figures at the last look.
    before: Mutex<BuiltinStats>,
}

/// Prometheus' text format.
async fn metrics_text(State(told): State<Arc<Told>>) -> Response {
    let Told { ops, metrics, before } = &*told;
    figures::sound(metrics, &ops.watch.tap(), &ops.watch.recorder());
    if let Some(recogniser) = &ops.recogniser {
        recogniser.tell(metrics, &mut before.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let now = ops.watch.worker();
    metrics.worker(&WorkerFigures {
        gateways: now.gateways,
        calls: now.calls,
        packets: now.packets,
        bytes: now.bytes,
        lost: now.lost,
        malformed: now.malformed,
        strays: now.strays,
        dropped_partials: now.dropped_partials,
        connections_refused: now.refused,
        cut: now.cut,
        waiting: now.waiting,
        waiting_bytes: now.waiting_bytes,
        delivered: now.delivered,
        undelivered: now.undelivered,
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}

/// Can the worker take a call.
async fn ready(State(told): State<Arc<Told>>) -> Response {
    match told.ops.unready() {
        None => Json(json!({"status": "ready", "reasons": []})).into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unready", "reasons": [why]}))).into_response()
        }
    }
}
