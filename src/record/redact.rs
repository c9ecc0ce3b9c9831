//! A recording without what not everybody may hear: the same, with silence in some places, signed anew, and bound to the
//! recording it was made of, which stays as it is.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::copy::append;
use super::file::SoundFile;
use super::finish::weigh;
use super::proof::{ManifestError, certify, verify};
use super::sidecar::{Cut, Redacted};
use super::{Fault, Format, Sidecar, Vault};
use crate::audio::RATE_HZ;
use crate::model::id::RecordingId;
use crate::model::time::{Clock, Timestamp};

/// Why there is no redacted copy.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    #[error("nothing signs recordings here: set recording.signing_key_file, or run it where the gateway's data.dir is")]
    NoKey,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("it is not as it was recorded, so nothing can be proven of a copy: {0}")]
    Altered(Fault),
    #[error("a recording in Ogg Opus becomes a `.opus` file and one in WAV a `.wav` file: call it so")]
    OtherFormat,
    #[error("there is nothing between {} s and {} s: it is {} s long", ms(.cut.from_ms), ms(.cut.to_ms), ms(*.length_ms))]
    Outside { cut: Cut, length_ms: u64 },
    #[error("the copy cannot be made")]
    Io(#[from] io::Error),
}

/// Writes a copy of `original` to `out`, with details and a signed manifest beside it. In `cuts` both sides are silent; in Ogg
/// Opus whole frames of 20 ms are, and the first one behind, which repeats the one before. The vault signs the copy,
/// and seals it if it seals what is new. The original must be as it was recorded.
///
/// # Errors
/// [`RedactError`]; then there is no copy, and nothing that was there before is written over.
pub fn redact(
    original: &Path,
    out: &Path,
    cuts: &[Cut],
    vault: &Vault,
    now: Timestamp,
) -> Result<Sidecar, RedactError> {
    let key = vault.public_key().ok_or(RedactError::NoKey)?;
    let report = verify(original, &key, vault)?;
    if let Some(fault) = report.faults.into_iter().next() {
        return Err(RedactError::Altered(fault));
    }
    if Format::of(original) != Format::of(out) {
        return Err(RedactError::OtherFormat);
    }
    let details = Sidecar::read(original)?;
    let length_ms = details.duration_ms;
    if let Some(cut) = cuts.iter().find(|cut| cut.from_ms >= cut.to_ms || cut.to_ms > length_ms) {
        return Err(RedactError::Outside { cut: *cut, length_ms });
    }
    let manifest = report.manifest;
    let redacted = Redacted {
        recording_id: details.recording_id.clone(),
        chain_root: manifest.chain_root,
        signed_at: manifest.signed_at,
        cuts: cuts.to_vec(),
    };
    let spans: Vec<Range<u64>> = cuts.iter().map(|cut| samples(cut.from_ms)..samples(cut.to_ms)).collect();
    let parts = write(original, out, details.parts.len(), &spans, length_ms, vault)?;
    let weight = weigh(out, parts)?;
    let copy = Sidecar {
        recording_id: RecordingId::generate(),
        parts: weight.parts,
        sha256: weight.sha256,
        redacted: Some(redacted),
        ..details
    };
    copy.write(out)?;
    certify(out, &copy, None, vault, now)?;
    Ok(copy)
}

fn write(
    original: &Path,
    out: &Path,
    parts: usize,
    cuts: &[Range<u64>],
    length_ms: u64,
    vault: &Vault,
) -> io::Result<u32> {
    let mut file = SoundFile::create(out, Clock.instant(), vault)?;
    for part in 1..=u32::try_from(parts).unwrap_or(u32::MAX) {
        let first_sample = file.samples();
        append(&mut file, &super::part_path(original, part), first_sample, cuts, vault)?;
    }
    // A cut may reach to the end.
    file.pad(samples(length_ms))?;
    let (all, parts) = (file.samples(), file.parts());
    file.finish(match Format::of(out) {
        Format::Wav => all,
        Format::Opus => all.min(samples(length_ms)),
    })?;
    Ok(parts)
}

fn samples(ms: u64) -> u64 {
    ms.saturating_mul(u64::from(RATE_HZ)) / 1_000
}

fn ms(ms: u64) -> f64 {
    ms as f64 / 1e3
}
