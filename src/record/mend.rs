//! What is put right beside a recording after its end: details and proof of one that a crash cut off, and the last word on
//! consent, which may come when the file is closed already.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::digest;

use super::proof::{Mended, certify};
use super::repair::{RepairError, certify_repaired, repair};
use super::{Format, Manifest, Sidecar, Vault, manifest_path, sidecar_path};
use crate::audio;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::time::Timestamp;

/// What is known of a recording that a crash cut off, besides its file.
#[derive(Clone, Debug)]
pub struct CutOff {
    pub recording: RecordingId,
    pub call: CallId,
    pub started_at: Option<Timestamp>,
    pub consent: Option<Consent>,
    pub pauses: Vec<Pause>,
}

/// Makes a recording that was cut off playable, writes its details and signs it. One that was ended before the crash is left
/// as it is, but for the last word on consent. Returns its details.
///
/// # Errors
/// As [`repair`]. Details that cannot be written or signed are logged: the sound is there.
pub fn mend_and_certify(path: &Path, known: CutOff, vault: &Vault, now: Timestamp) -> Result<Sidecar, RepairError> {
    let mended = repair(path, vault)?;
    let CutOff { recording, call, started_at, consent, pauses } = known;
    let ended = Sidecar::read(path).ok().filter(|details| !mended.changed && details.parts == mended.parts);
    let (details, written) = match ended {
        Some(details) if !vault.signs() || manifest_path(path).exists() => {
            let amended = consent.map_or(Ok(false), |consent| amend_consent(path, &consent, vault, now));
            (Sidecar::read(path).unwrap_or(details), amended.map(drop))
        }
        _ => {
            let details = Sidecar {
                recording_id: recording,
                call_id: call,
                format: Format::of(path),
                started_at,
                consent,
                duration_ms: mended.duration_ms,
                gaps: 0,
                pauses,
                customer: None,
                agent: None,
                parts: mended.parts.clone(),
                sha256: mended.sha256.clone(),
                redacted: None,
            };
            let written = details.write(path).and_then(|()| certify_repaired(path, &details, &mended, vault, now));
            (details, written)
        }
    };
    if let Err(error) = written {
        tracing::error!(call = %details.call_id, %error, "a mended recording's details could not be written and signed");
    }
    Ok(details)
}

/// Makes the details of a finished recording say this of consent, and signs them anew. False if they do already.
///
/// # Errors
/// Files that are not there, or cannot be read or written.
pub fn amend_consent(path: &Path, consent: &Consent, vault: &Vault, now: Timestamp) -> io::Result<bool> {
    let mut details = Sidecar::read(path)?;
    let manifest = match fs::read(manifest_path(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        bytes => Some(serde_json::from_slice::<Manifest>(&bytes?)?),
    };
    let said = details.consent.as_ref() == Some(consent);
    if said && (!vault.signs() || manifest.as_ref().is_some_and(|manifest| certifies(manifest, path))) {
        return Ok(false);
    }
    details.consent = Some(consent.clone());
    details.write(path)?;
    let mended = manifest
        .and_then(|manifest| manifest.chained_before_crash_ms)
        .map(|ms| Mended { samples: ms.saturating_mul(u64::from(audio::RATE_HZ)) / 1000 });
    certify(path, &details, mended, vault, now)?;
    Ok(true)
}

/// Whether it was made of the details that are there.
fn certifies(manifest: &Manifest, path: &Path) -> bool {
    let digest = |bytes: Vec<u8>| hex::encode(digest::digest(&digest::SHA256, &bytes));
    fs::read(sidecar_path(path)).is_ok_and(|details| digest(details) == manifest.details.sha256)
}
