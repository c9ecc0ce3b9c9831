//! How a number takes calls, and how it stands with WhatsApp.

use std::collections::BTreeSet;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ETAG, IF_MATCH};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::deep_link::DeepLink;
use super::extract::{Id, Json, nullable};
use super::openapi::Problems;
use super::problem::{Code, Problem};
use crate::model::id::NumberId;
use crate::model::reason::PickupStage;
use crate::model::settings::{CallHours, NumberSettings, Restriction, Setting, Unavailable, Violation};
use crate::model::time::Timestamp;
use crate::policy::Blocker;
use crate::policy::access::{Action, Resource};
use crate::policy::admit::Prerequisite;
use crate::signalling::whatsapp::settings::Drift;
use crate::switchboard::{Health, SettingsChange, SettingsView, SyncState};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, put)).routes(routes!(health))
}

/// A number's settings, and how they stand.
#[derive(Serialize, ToSchema)]
struct Settings {
    #[serde(flatten)]
    wished: NumberSettings,
    /// Whether customers' calls are let in at this moment.
    open_now: bool,
    /// When they will be; `null` while they are, and when no hour brings it: calls are off, or the hours are closed for good.
    opens_at: Option<Timestamp>,
    /// Fields above that show a default: nobody chose them here, and WhatsApp has not told what it has. They are left as they
    /// are there. What WhatsApp tells is shown, and holds until somebody changes a setting here.
    unknown: BTreeSet<Setting>,
    /// Links that open a call to this number.
    deep_links: [DeepLink; 2],
    /// Where WhatsApp has something else than it was told, by changes made elsewhere. Any PUT tells it again.
    drift: Vec<Drift>,
    /// What calling needs, met or not.
    prerequisites: Vec<Prerequisite>,
    sync: Sync,
    /// What WhatsApp took from the number.
    restrictions: Vec<Restriction>,
}

/// Whether WhatsApp knows what is wished. Its apps may show changes up to 7 days later; calls follow them at once.
#[derive(Serialize, ToSchema)]
struct Sync {
    state: SyncState,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed_at: Option<Timestamp>,
}

impl Settings {
    fn of(view: SettingsView) -> Self {
        Self {
            deep_links: DeepLink::both(&view.number.display_phone_number),
            open_now: view.closed.is_none(),
            opens_at: view.closed.and_then(|closed| closed.opens_at),
            wished: view.wished,
            unknown: view.unknown,
            drift: view.drift,
            prerequisites: view.prerequisites,
            sync: Sync { state: view.sync, error: view.sync_error, pushed_at: view.pushed_at },
            restrictions: view.restrictions,
        }
    }
}

/// Reads a number's call settings
///
/// The `ETag` names this version of them; `If-Match` with it makes a change safe against others.
#[utoipa::path(get, path = "/v1/numbers/{id}/settings", tag = "numbers",
    params(("id" = String, Path, description = "Meta's `phone_number_id`", example = "100000000000001")),
    responses((status = 200, description = "The settings", body = Settings), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<NumberId>,
) -> Result<(HeaderMap, Answer<Settings>), Problem> {
    caller.may(Action::Read, Resource::Settings)?;
    Ok(answer(control.switchboard.settings(&id).await?))
}

/// How a number takes calls. Fields left out keep their value; before the first change that is what WhatsApp has.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"display_call_buttons": true,
    "call_hours": {"time_zone": "Asia/Tbilisi", "weekly": {"monday": [["09:00", "13:00"], ["14:00", "18:00"]]}},
    "unavailable": [{"date": "2027-01-07", "from": "00:00", "to": "24:00"}]}))]
struct SettingsBody {
    /// `true` is refused while the number misses a prerequisite, unless WhatsApp has it on already.
    allow_voice_calls: Option<bool>,
    /// While `false`, the hours and closed dates cannot be changed.
    display_call_buttons: Option<bool>,
    callback_permission: Option<bool>,
    /// `null`: open at all times.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<CallHours>)]
    call_hours: Option<Option<CallHours>>,
    /// Replaces the whole list. Dates entered in WhatsApp's own manager are added to it.
    unavailable: Option<Vec<Unavailable>>,
}

/// Changes a number's call settings
///
/// WhatsApp is told at once; the answer waits up to 2 s for it and says in `sync` how it went. What fails is tried again
/// until it succeeds, also over a restart.
#[utoipa::path(put, path = "/v1/numbers/{id}/settings", tag = "numbers",
    params(("id" = String, Path, description = "Meta's `phone_number_id`", example = "100000000000001"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is changed")),
    request_body = SettingsBody,
    responses((status = 200, description = "The settings after the change", body = Settings), Problems))]
async fn put(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<NumberId>,
    headers: HeaderMap,
    Json(body): Json<SettingsBody>,
) -> Result<(HeaderMap, Answer<Settings>), Problem> {
    caller.may(Action::Change, Resource::Settings)?;
    let change = SettingsChange {
        allow_voice_calls: body.allow_voice_calls,
        display_call_buttons: body.display_call_buttons,
        callback_permission: body.callback_permission,
        call_hours: body.call_hours,
        unavailable: body.unavailable,
    };
    let view = control.switchboard.put_settings(&id, change, if_match(&headers)?).await?;
    Ok(answer(view))
}

fn answer(view: SettingsView) -> (HeaderMap, Answer<Settings>) {
    let mut headers = HeaderMap::new();
    let tag = format!("\"{}\"", view.revision).parse().expect("digits in quotes are a header value");
    headers.insert(ETAG, tag);
    (headers, Answer(Settings::of(view)))
}

/// RFC 9110 section 13.1.1. `*` and no header at all ask nothing.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let tag = value.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let revision = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    revision.map(Some).ok_or_else(|| {
        Problem::new(
            Code::PreconditionFailed,
            "If-Match: send the one ETag that was read with the settings, as it was.",
        )
    })
}

/// How a number stands with its customers and with WhatsApp.
#[derive(Serialize, ToSchema)]
struct HealthView {
    /// Hours that the counts reach back.
    window_h: u32,
    /// A direction with fewer calls than this says nothing of the stage.
    calls_min: u32,
    pickup: PickupView,
    /// How near the number is to being restricted for missed calls.
    stage: PickupStage,
    stage_since: Option<Timestamp>,
    /// Set while the pickup guard holds outbound calls and permission requests back: why, and until when.
    hold: Option<Blocker>,
    /// What is wrong, a sentence each.
    warnings: Vec<String>,
    /// WhatsApp's own warnings, the latest of each kind.
    violations: Vec<Violation>,
    /// What WhatsApp took from the number, and until when.
    restrictions: Vec<Restriction>,
}

#[derive(Serialize, ToSchema)]
struct PickupView {
    /// Customers' calls.
    inbound: Rate,
    /// Calls to customers.
    outbound: Rate,
}

/// Calls that ended within the window.
#[derive(Serialize, ToSchema)]
struct Rate {
    calls: u64,
    missed: u64,
    /// Share of the calls that were taken, 0 to 1; `null` without calls.
    #[schema(example = 0.87)]
    pickup_ratio: Option<f64>,
}

impl Rate {
    fn of(calls: u64, missed: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a week of calls is far below 2^53")]
        let ratio = |taken: u64| taken as f64 / calls as f64;
        Self { calls, missed, pickup_ratio: (calls > 0).then(|| ratio(calls.saturating_sub(missed))) }
    }
}

/// Tells how a number stands with its customers and with WhatsApp
#[utoipa::path(get, path = "/v1/numbers/{id}/health", tag = "numbers",
    params(("id" = String, Path, description = "Meta's `phone_number_id`", example = "100000000000001")),
    responses((status = 200, description = "Pickup, warnings and restrictions", body = HealthView), Problems))]
async fn health(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<NumberId>,
) -> Result<Answer<HealthView>, Problem> {
    caller.may(Action::Read, Resource::Number)?;
    let Health { window_h, calls_min, pickup, stage, stage_since, hold, warnings, violations, restrictions } =
        control.switchboard.health(&id).await?;
    Ok(Answer(HealthView {
        window_h,
        calls_min,
        pickup: PickupView {
            inbound: Rate::of(pickup.inbound, pickup.inbound_missed),
            outbound: Rate::of(pickup.outbound, pickup.outbound_missed),
        },
        stage,
        stage_since,
        hold,
        warnings,
        violations,
        restrictions,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_one_quoted_revision_or_asks_nothing() {
        let read = |text: &str| if_match(&HeaderMap::from_iter([(IF_MATCH, text.parse().unwrap())])).ok();
        assert_eq!(if_match(&HeaderMap::new()).ok(), Some(None));
        for (text, want) in [
            ("\"7\"", Some(Some(7))),
            (" \"7\" ", Some(Some(7))),
            ("*", Some(None)),
            ("7", None),
            ("W/\"7\"", None),
            ("\"seven\"", None),
            ("\"7\", \"8\"", None),
            ("", None),
        ] {
            assert_eq!(read(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_rate_without_calls_is_unknown() {
        for (calls, missed, want) in [(0, 0, None), (4, 1, Some(0.75)), (4, 4, Some(0.0)), (4, 0, Some(1.0))] {
            assert_eq!(Rate::of(calls, missed).pickup_ratio, want);
        }
    }
}
