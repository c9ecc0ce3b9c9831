//! Whether a recording is still what was recorded.

use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::Id;
use super::openapi::Problems;
use super::problem::Problem;
use super::recordings::{note, place, ready};
use crate::model::id::CallId;
use crate::model::time::Timestamp;
use crate::policy::access::Action;
use crate::record::{ManifestError, manifest_path, verify};
use crate::switchboard::Download;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(verification))
}

/// What came of holding a recording against its manifest.
#[derive(Serialize, ToSchema)]
struct Verification {
    /// Everything is as it was recorded, and signed with the site's key.
    intact: bool,
    /// What is not, a sentence each; at most 100.
    faults: Vec<String>,
    /// `false`: only the files were held against their digests, for the key of a sealed recording is not here.
    sound_checked: bool,
    /// When the manifest was signed; `null` where that cannot be believed.
    signed_at: Option<Timestamp>,
}

/// Verifies a recording
///
/// What `tandem verify` does, done here: signature, files, chain and sound. It reads the whole recording; an hour of it takes
/// about a second. Refused like the recording itself while that is not ready; 404 where recordings are not signed.
#[utoipa::path(get, path = "/v1/calls/{id}/recording/verification", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "What was found", body = Verification), Problems))]
async fn verification(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Answer<Verification>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    let recording = ready(&control, &id).await?;
    let key = control.vault.public_key().ok_or_else(Problem::not_found)?;
    let path = place(&control, &id, &recording).await?;
    if !tokio::fs::try_exists(manifest_path(&path)).await.unwrap_or(false) {
        return Err(Problem::not_found());
    }
    note(&control, &caller, &id, Download::Manifest).await?;
    let vault = control.vault.clone();
    let report = tokio::task::spawn_blocking(move || verify(&path, &key, &vault)).await.map_err(|panic| {
        tracing::error!(call = %id, %panic, "a recording cannot be verified");
        Problem::internal()
    })?;
    Ok(Answer(match report {
        Ok(report) => Verification {
            intact: report.faults.is_empty(),
            faults: report.faults.iter().map(ToString::to_string).collect(),
            sound_checked: report.sound_checked,
            signed_at: Some(report.manifest.signed_at),
        },
        Err(error) => {
            let fault = in_words(error)
                .inspect_err(|error| tracing::error!(call = %id, %error, "a recording cannot be verified"));
            let fault = fault.map_err(|_| Problem::internal())?;
            Verification { intact: false, faults: vec![fault], sound_checked: false, signed_at: None }
        }
    }))
}

/// Without the places on our disk.
fn in_words(error: ManifestError) -> Result<String, ManifestError> {
    match error {
        ManifestError::Altered { why, .. } => Ok(format!("the manifest was altered: {why}")),
        ManifestError::Unsigned(_) => Ok("the manifest has no signature".to_owned()),
        ManifestError::OtherKey { signed_by, .. } => Ok(format!("the manifest is signed by another key, {signed_by}")),
        error @ (ManifestError::Missing(_) | ManifestError::Io(..)) => Err(error),
    }
}
