//! Commands about the files of recordings. They need neither a running gateway nor its database, only keys.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::config::Config;
use crate::model::time::Clock;
use crate::record::{self, Cut, Manifest, ManifestError, Playback, PublicKey, Report, Vault, generate_key, verify};

/// `tandem verify`
#[derive(Args)]
pub struct Verify {
    /// The recording, or its manifest. The files that belong to it must lie beside it.
    file: PathBuf,
    /// Whose signature to trust: 64 hex digits or a file with them, as `tandem key public` prints them. Without it this
    /// gateway's own.
    #[arg(long)]
    public_key: Option<String>,
    #[command(flatten)]
    keys: MasterKeys,
}

/// `tandem decrypt`
#[derive(Args)]
pub struct Decrypt {
    /// One file of a sealed recording.
    file: PathBuf,
    /// Where to write it to; what is there already is never written over.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    keys: MasterKeys,
}

/// `tandem redact`
#[derive(Args)]
pub struct Redact {
    /// The recording, as the gateway keeps it. The files that belong to it must lie beside it.
    file: PathBuf,
    /// A stretch in which nobody is heard, in seconds: `12.5-14.25`; may be given several times.
    #[arg(long, required = true, value_parser = cut)]
    cut: Vec<Cut>,
    /// Where to write the copy to; what is there already is never written over.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    keys: MasterKeys,
}

/// Keys beside the configured ones.
#[derive(Args)]
struct MasterKeys {
    /// A key that seals recordings; may be given several times. Those of the configuration are known anyway.
    #[arg(long)]
    encryption_key_file: Vec<PathBuf>,
}

/// `tandem verify`: says whether a recording is as it was recorded, or where it is not. Returns whether it was
/// altered, or signed by nobody who is trusted.
///
/// # Errors
/// What keeps it from being checked, in one sentence.
pub fn check(config: &Config, asked: &Verify) -> anyhow::Result<bool> {
    let vault = asked.keys.vault(config)?;
    let trusted = match &asked.public_key {
        Some(given) => PublicKey::read(given)?,
        None => vault.public_key().context(
            "say whose signature to trust: --public-key with what `tandem key public` prints on the gateway that recorded it",
        )?,
    };
    let report = match verify(&recording_of(&asked.file, &trusted)?, &trusted, &vault) {
        Ok(report) => report,
        Err(error @ (ManifestError::Altered { .. } | ManifestError::Unsigned(_) | ManifestError::OtherKey { .. })) => {
            println!("ALTERED: {error}");
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    tell(&report);
    Ok(!report.faults.is_empty())
}

/// `tandem decrypt`: writes what a sealed file holds.
///
/// # Errors
/// A key that is missing, a file that was changed or cut, or that cannot be written.
pub fn decrypt(config: &Config, asked: &Decrypt) -> anyhow::Result<()> {
    let mut sound = Playback::open(&asked.file, &asked.keys.vault(config)?)?;
    if !sound.is_sealed() {
        bail!("{} is not sealed: any player plays it as it is", asked.file.display());
    }
    let out = asked.out.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&asked.out);
    let mut file = file.with_context(|| format!("cannot write {out}"))?;
    let written = io::copy(&mut sound, &mut file).and_then(|bytes| file.sync_all().map(|()| bytes));
    if written.is_err() {
        // Half a recording must not be taken for a whole one.
        std::fs::remove_file(&asked.out).with_context(|| format!("cannot remove the unfinished {out}"))?;
    }
    println!("{} bytes in {out}", written.with_context(|| format!("cannot decrypt {}", asked.file.display()))?);
    Ok(())
}

/// `tandem redact`: writes a copy of a recording that is silent in some places, signed, and bound to its original.
///
/// # Errors
/// An original that is not as it was recorded, no key to sign with, or a file that cannot be written.
pub fn redact(config: &Config, asked: &Redact) -> anyhow::Result<()> {
    let vault = asked.keys.vault(config)?;
    if asked.out.exists() {
        bail!("{} is there already: give another --out", asked.out.display());
    }
    let made = record::redact(&asked.file, &asked.out, &asked.cut, &vault, Clock.now().wall);
    let made = made.with_context(|| format!("cannot redact {}", asked.file.display()))?;
    println!("{} in {}, made of {}", made.recording_id, asked.out.display(), asked.file.display());
    Ok(())
}

/// `12.5-14.25`: seconds, down to the millisecond.
fn cut(text: &str) -> Result<Cut, String> {
    let ms = |seconds: &str| {
        let seconds = seconds.trim().parse::<f64>().ok().filter(|s| (0.0..1e9).contains(s))?;
        Some((seconds * 1e3).round() as u64)
    };
    let cut = text.split_once('-').and_then(|(from, to)| Some(Cut { from_ms: ms(from)?, to_ms: ms(to)? }));
    cut.filter(|cut| cut.from_ms < cut.to_ms).ok_or_else(|| "write it as 12.5-14.25, in seconds".to_owned())
}

/// `tandem key public`: what others check this gateway's recordings with.
///
/// # Errors
/// No key yet, or one that cannot be read.
pub fn print_public_key(config: &Config, pem: bool) -> anyhow::Result<()> {
    let vault = Vault::for_reading(&config.recording, &config.data.dir)?;
    let key = vault.public_key().with_context(|| {
        format!("there is no key yet in {}: the gateway makes it when it starts", config.data.dir.display())
    })?;
    if pem {
        print!("{}", key.pem());
    } else {
        println!("{key}");
    }
    Ok(())
}

/// `tandem key generate`: a new key for `recording.encryption_key_file` or `recording.signing_key_file`.
pub fn print_new_key() {
    println!("{}", generate_key());
}

impl MasterKeys {
    fn vault(&self, config: &Config) -> anyhow::Result<Vault> {
        let mut recording = config.recording.clone();
        recording.former_encryption_key_files.extend(self.encryption_key_file.iter().cloned());
        Ok(Vault::for_reading(&recording, &config.data.dir)?)
    }
}

/// The recording that a manifest belongs to; any other file is one itself.
fn recording_of(file: &Path, trusted: &PublicKey) -> Result<PathBuf, ManifestError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some(stem) = name.strip_suffix(".manifest.json") else { return Ok(file.to_owned()) };
    let format = Manifest::read(&file.with_file_name(format!("{stem}.x")), trusted)?.format;
    Ok(file.with_file_name(format!("{stem}.{}", format.extension())))
}

fn tell(report: &Report) {
    let manifest = &report.manifest;
    for fault in &report.faults {
        println!("ALTERED: {fault}");
    }
    if report.faults.is_empty() {
        let seconds = manifest.duration_ms as f64 / 1e3;
        let how = if manifest.redacted.is_some() { "signed" } else { "recorded" };
        println!("OK: {} of {}, {seconds:.3} s, as it was {how}", manifest.recording_id, manifest.call_id);
    }
    if let Some(redacted) = &manifest.redacted {
        let silent =
            redacted.cuts.iter().map(|cut| format!("{}-{} s", cut.from_ms as f64 / 1e3, cut.to_ms as f64 / 1e3));
        let silent = silent.collect::<Vec<_>>().join(", ");
        println!("It is a copy of {} that is silent in {silent}; the original's chain ends in", redacted.recording_id);
        println!("{}.", redacted.chain_root);
    }
    match manifest.chained_before_crash_ms {
        None => {}
        Some(0) => println!("It was chained after it was recorded: a crash cut it off, or it was joined from pieces."),
        Some(before) => println!(
            "A crash cut it off: the first {:.3} s were chained as they were recorded, the rest afterwards.",
            before as f64 / 1e3
        ),
    }
    if !report.sound_checked {
        let key = manifest.sealed_with.as_deref().unwrap_or_default();
        println!(
            "It is sealed with the key {key}, which was not given: the sealed file was checked, not what is heard."
        );
    }
}
