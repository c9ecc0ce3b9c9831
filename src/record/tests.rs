//! Recordings of either format, sealed or not, made as the recorder makes them.

mod faults;
mod proof;
mod redact;
mod sealed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::ogg::Ogg;
use super::proof::certify;
use super::wav::Wav;
use super::*;
use crate::audio::{Frame, Frames};
use crate::model::rtp::TapPayload;
use crate::model::time::Clock;

/// All kinds of file.
const KINDS: [(Format, bool); 4] =
    [(Format::Wav, false), (Format::Wav, true), (Format::Opus, false), (Format::Opus, true)];

/// Stretches of 100 ms.
const STRETCHES: u64 = 12;

/// A folder with keys, and recordings in it.
struct Site {
    dir: tempfile::TempDir,
    vault: Vault,
}

impl Site {
    fn new(sealed: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&config(dir.path(), sealed, &[]), dir.path()).unwrap();
        Self { dir, vault }
    }

    fn path(&self, format: Format) -> PathBuf {
        self.dir.path().join(format!("rec_1.{}", format.extension()))
    }

    /// A recording that nobody ended: its last stretch is still in memory.
    fn begin(&self, format: Format) -> (PathBuf, Recording) {
        let path = self.path(format);
        (path.clone(), Recording::begin(&path, format, &self.vault))
    }

    /// A recording as the recorder leaves it.
    fn record(&self, format: Format) -> PathBuf {
        let (path, recording) = self.begin(format);
        recording.end();
        self.sign(&path);
        path
    }

    fn sign(&self, path: &Path) {
        let parts = (1..).take_while(|&part| part_path(path, part).exists()).count() as u32;
        let weight = finish::weigh(path, parts).unwrap();
        let details = details(path, weight.parts, weight.sha256);
        details.write(path).unwrap();
        certify(path, &details, None, &self.vault, Clock.now().wall).unwrap();
    }

    fn verify(&self, path: &Path) -> Result<Report, ManifestError> {
        verify(path, &self.vault.public_key().unwrap(), &self.vault)
    }
}

/// A site's configuration; `former` are names of key files in `dir`.
fn config(dir: &Path, sealed: bool, former: &[&str]) -> Config {
    let key = dir.join("sealing.key");
    if sealed && !key.exists() {
        fs::write(&key, generate_key()).unwrap();
    }
    Config {
        encryption_key_file: if sealed { key } else { PathBuf::new() },
        former_encryption_key_files: former.iter().map(|name| dir.join(name)).collect(),
        ..Config::default()
    }
}

fn details(path: &Path, parts: Vec<Part>, sha256: String) -> Sidecar {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    Sidecar {
        consent: None,
        recording_id: RecordingId::parse(stem).unwrap(),
        call_id: CallId::parse("call_1").unwrap(),
        format: Format::of(path),
        started_at: Some(Clock.now().wall),
        duration_ms: STRETCHES * 100,
        gaps: 0,
        pauses: vec![Pause { from_ms: 10, to_ms: Some(20) }],
        customer: None,
        agent: None,
        parts,
        sha256,
        redacted: None,
    }
}

/// A file that is being written.
enum Recording {
    Wav(Wav),
    Ogg(Ogg),
}

impl Recording {
    /// All but the last stretch is handed to the system.
    fn begin(path: &Path, format: Format, vault: &Vault) -> Self {
        let start = Clock.instant();
        let mut recording = match format {
            Format::Wav => Self::Wav(Wav::create(path, start, vault).unwrap()),
            Format::Opus => Self::Ogg(Ogg::create(path, start, vault).unwrap()),
        };
        let voice = packets();
        for stretch in 0..STRETCHES {
            match &mut recording {
                Self::Wav(wav) => wav.write(&samples()[stretch as usize * 1_600..][..1_600]).unwrap(),
                Self::Ogg(ogg) => {
                    let of = |frame: u64| Frame::Opus(voice[frame as usize % voice.len()].clone());
                    let first_frame = stretch * 5;
                    let pairs = (first_frame..first_frame + 5).map(|frame| [of(frame), of(frame + 7)]).collect();
                    ogg.write(&Frames { tap: TapKey(1), first_frame, pairs }).unwrap();
                }
            }
            if stretch + 1 < STRETCHES {
                recording.flush(start + FLUSH_EVERY * (stretch as u32 + 1));
            }
        }
        recording
    }

    fn flush(&mut self, now: Instant) {
        match self {
            Self::Wav(wav) => wav.flush_if_due(now).unwrap(),
            Self::Ogg(ogg) => ogg.flush_if_due(now).unwrap(),
        }
    }

    fn end(self) {
        match self {
            Self::Wav(wav) => wav.finish().unwrap(),
            Self::Ogg(ogg) => ogg.finish(STRETCHES * 1_600).unwrap(),
        }
    }
}

/// What is recorded in a WAV: no two stretches are the same, and none looks like noise.
fn samples() -> Vec<[i16; 2]> {
    (0..STRETCHES as i16 * 1_600).map(|at| [at, -at]).collect()
}

/// What is recorded in an Ogg.
fn packets() -> Vec<TapPayload> {
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    (0..20)
        .map(|frame| {
            let tone: Vec<i16> =
                (0..320).map(|i| ((i as f32 * (0.1 + frame as f32 * 0.01)).sin() * 9_000.0) as i16).collect();
            TapPayload::new(&Arc::from(encoder.encode_vec(&tone, 400).unwrap()))
        })
        .collect()
}

/// What a player is given.
fn played(path: &Path, vault: &Vault) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut Playback::open(path, vault)?, &mut bytes)?;
    Ok(bytes)
}
