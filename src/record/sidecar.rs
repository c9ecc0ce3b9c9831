//! What is known of a recording beside its sound: a JSON file next to it, for whoever has the file and not the database.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Format;
use super::file::write_beside;
use crate::audio::{SideStats, duration};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::time::Timestamp;

/// The sidecar of one recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sidecar {
    #[schema(value_type = String)]
    pub recording_id: RecordingId,
    #[schema(value_type = String)]
    pub call_id: CallId,
    pub format: Format,
    /// When the recording began, by the gateway's clock; `null` where a crash took it.
    pub started_at: Option<Timestamp>,
    /// What both parties had been told before; `null` where nothing is announced, or a crash took it.
    #[serde(default)]
    pub consent: Option<Consent>,
    pub duration_ms: u64,
    /// Holes filled with silence.
    pub gaps: u64,
    pub pauses: Vec<Pause>,
    /// How each side's packets arrived; `null` where a crash took the figures with it.
    pub customer: Option<Side>,
    pub agent: Option<Side>,
    pub parts: Vec<Part>,
    /// Lower-case hex, over the bytes of all parts in order.
    pub sha256: String,
    /// Of a copy without what not everybody may hear: what it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<Redacted>,
}

/// What a redacted copy was made of, and what is silent in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redacted {
    /// The original's.
    #[schema(value_type = String)]
    pub recording_id: RecordingId,
    /// The last link of the original's chain, lower-case hex: it stands for every byte of it.
    pub chain_root: String,
    /// When the original was signed.
    pub signed_at: Timestamp,
    pub cuts: Vec<Cut>,
}

/// A silent stretch of a redacted copy, in milliseconds since the recording began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// One side of the call: left the customer, right the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Side {
    pub packets: u64,
    pub lost: u64,
    /// Lost frames rebuilt from the next packet's redundancy.
    pub fec: u64,
    /// Lost frames that a decoder makes up.
    pub plc: u64,
    /// Packets that came when their place had passed.
    pub late: u64,
    pub duplicates: u64,
    pub malformed: u64,
    /// Packets the gateway had no time to copy.
    pub not_copied: u64,
    pub gaps: u64,
    pub gap_ms: u64,
    /// Times the line was moved or corrected to stay beside its sender's clock.
    pub shifts: u64,
    pub corrections: u64,
    /// From the recording's beginning to the first packet's place; `null` if none came.
    pub first_ms: Option<u64>,
    /// How much slower than the gateway's the sender's clock runs, in millionths; `null` of a short call.
    pub clock_ppm: Option<i64>,
}

/// One file of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub name: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl From<SideStats> for Side {
    fn from(stats: SideStats) -> Self {
        Self {
            packets: stats.packets,
            lost: stats.lost,
            fec: stats.fec,
            plc: stats.plc,
            late: stats.late,
            duplicates: stats.duplicates,
            malformed: stats.malformed,
            not_copied: stats.not_copied,
            gaps: stats.gaps,
            gap_ms: duration(stats.gap_samples).as_millis() as u64,
            shifts: stats.shifts,
            corrections: stats.corrections,
            first_ms: stats.first_sample.map(|first| duration(first).as_millis() as u64),
            clock_ppm: stats.clock_ppm,
        }
    }
}

/// The sidecar's place: `rec_x.json` beside `rec_x.wav`.
pub fn sidecar_path(recording: &Path) -> PathBuf {
    recording.with_extension("json")
}

impl Sidecar {
    /// Writes it beside the recording, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, recording: &Path) -> io::Result<()> {
        write_beside(recording, &sidecar_path(recording), |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }

    /// The one beside a recording.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(recording: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(sidecar_path(recording))?)?)
    }
}
