//! Whether a recording is what was recorded, and where it is not.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use aws_lc_rs::digest;

use super::super::wav::part_path;
use super::super::{Playback, Vault, seal, sidecar_path};
use super::chain::{self, Link, Stretch, chain_path, place_of};
use super::manifest::{CertifiedFile, CertifiedPart};
use super::{Manifest, ManifestError, PublicKey};
use crate::audio::RATE_HZ;
use crate::model::files;

/// Places that are told one by one; who altered more altered the file.
const FAULTS_MAX: usize = 100;

/// What a check found.
#[derive(Debug)]
pub struct Report {
    pub manifest: Manifest,
    /// None: everything is as it was recorded.
    pub faults: Vec<Fault>,
    /// Whether the sound itself was held against its digest; `false` of sealed files without their key.
    pub sound_checked: bool,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file is gone.
    Missing { name: String },
    /// These bytes differ, which are heard in this span (samples of the recording).
    Differs { name: String, from: u64, to: u64, samples: (u64, u64) },
    /// A byte of the header differs.
    Header { name: String, byte: u64 },
    /// The file ends early, or late.
    Length { name: String, bytes: u64, certified: u64 },
    /// A link of the chain differs, in these bytes of its file.
    Link { name: String, link: usize, from: u64, to: u64 },
    /// A file differs, and where cannot be told.
    File { name: String },
    /// What is heard differs, or the sealed file does not open.
    Sound { name: String, why: String },
}

impl Fault {
    /// Of the file that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name }
            | Self::Differs { name, .. }
            | Self::Header { name, .. }
            | Self::Length { name, .. }
            | Self::Link { name, .. }
            | Self::File { name }
            | Self::Sound { name, .. } => name,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |samples: &u64| *samples as f64 / f64::from(RATE_HZ);
        match self {
            Self::Missing { name } => write!(f, "{name} is missing"),
            Self::Differs { name, from, to, samples: (a, b) } => write!(
                f,
                "{name} was altered between bytes {from} and {to}, heard from {:.3} s to {:.3} s",
                seconds(a),
                seconds(b)
            ),
            Self::Header { name, byte } => write!(f, "{name} was altered in its header, byte {byte}"),
            Self::Length { name, bytes, certified } if bytes < certified => {
                write!(f, "{name} was cut off: it has {bytes} bytes of {certified}")
            }
            Self::Length { name, bytes, certified } => {
                write!(f, "{name} was lengthened: it has {bytes} bytes, {certified} were recorded")
            }
            Self::Link { name, link, from, to } => {
                write!(f, "{name} was altered in its link {link}, between bytes {from} and {to}")
            }
            Self::File { name } => write!(f, "{name} was altered"),
            Self::Sound { name, why } => write!(f, "{name}: {why}"),
        }
    }
}

/// Checks a recording (its first file) against its manifest, which `trusted` must have signed. The files beside it are found
/// by its name. An unsealed copy of a sealed recording is checked as what a player is given.
///
/// # Errors
/// [`ManifestError`] when there is nothing to check against, or a file cannot be read.
pub fn verify(recording: &Path, trusted: &PublicKey, vault: &Vault) -> Result<Report, ManifestError> {
    let manifest = Manifest::read(recording, trusted)?;
    let mut check = Check { recording, manifest: &manifest, vault, faults: Vec::new(), sound_checked: true };
    check.run().map_err(|error| ManifestError::Io(super::manifest_path(recording), error))?;
    let Check { mut faults, sound_checked, .. } = check;
    faults.truncate(FAULTS_MAX);
    Ok(Report { faults, sound_checked, manifest })
}

struct Check<'a> {
    recording: &'a Path,
    manifest: &'a Manifest,
    vault: &'a Vault,
    faults: Vec<Fault>,
    sound_checked: bool,
}

/// A part as it lay on the gateway's disk, or nearly.
struct Found<'a> {
    number: u32,
    certified: &'a CertifiedPart,
    differs: bool,
}

impl Check<'_> {
    fn run(&mut self) -> io::Result<()> {
        let details = sidecar_path(self.recording);
        self.file(&details, &self.manifest.details)?;
        let mut parts = Vec::new();
        for (number, certified) in (1..).zip(&self.manifest.parts) {
            if let Some(differs) = self.part(number, certified)? {
                parts.push(Found { number, certified, differs });
            }
        }
        self.beyond()?;
        self.chain(&parts)?;
        self.vague(&parts);
        Ok(())
    }

    /// Compares a small file as a whole.
    fn file(&mut self, path: &Path, certified: &CertifiedFile) -> io::Result<()> {
        let name = certified.name.clone();
        match read(path)? {
            None => self.faults.push(Fault::Missing { name }),
            Some(bytes) if hex::encode(digest::digest(&digest::SHA256, &bytes)) != certified.sha256 => {
                self.faults.push(Fault::File { name });
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Compares a part as a whole; whether it differs, if it is there as it lay on the gateway's disk.
    fn part(&mut self, number: u32, certified: &CertifiedPart) -> io::Result<Option<bool>> {
        let (path, name) = (part_path(self.recording, number), certified.name.clone());
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.faults.push(Fault::Missing { name });
                return Ok(None);
            }
            file => file?,
        };
        let mut start = [0; 8];
        let sealed = file.read_exact(&mut start).is_ok() && seal::is_sealed(&start);
        let (bytes, sha256) = files::digest(&mut File::open(&path)?)?;
        if self.manifest.sealed_with.is_some() && matches!(&start[..4], b"RIFF" | b"OggS") {
            self.unsealed_copy(name, (bytes, sha256), certified);
            return Ok(None);
        }
        if bytes != certified.bytes {
            self.faults.push(Fault::Length { name: name.clone(), bytes, certified: certified.bytes });
        }
        self.header(&path, certified)?;
        if sealed {
            self.sealed_sound(&path, certified);
        }
        Ok(Some(sha256 != certified.sha256))
    }

    fn unsealed_copy(&mut self, name: String, (bytes, sha256): (u64, String), certified: &CertifiedPart) {
        if bytes != certified.sound_bytes {
            self.faults.push(Fault::Length { name, bytes, certified: certified.sound_bytes });
        } else if sha256 != certified.sound_sha256 {
            self.faults.push(Fault::File { name });
        }
    }

    fn header(&mut self, path: &Path, certified: &CertifiedPart) -> io::Result<()> {
        let want = hex::decode(&certified.header).unwrap_or_default();
        let mut got = Vec::new();
        File::open(path)?.take(want.len() as u64).read_to_end(&mut got)?;
        let differing = got.iter().zip(&want).enumerate().filter(|(_, (got, want))| got != want);
        let name = &certified.name;
        self.faults.extend(differing.map(|(byte, _)| Fault::Header { name: name.clone(), byte: byte as u64 }));
        Ok(())
    }

    fn sealed_sound(&mut self, path: &Path, certified: &CertifiedPart) {
        let heard = match Playback::open(path, self.vault) {
            Err(error) if error.missing_key().is_some() => {
                self.sound_checked = false;
                return;
            }
            opened => opened.map_err(io::Error::from).and_then(|mut sound| files::digest(&mut sound)),
        };
        let why = match heard {
            Ok((_, sha256)) if sha256 == certified.sound_sha256 => return,
            Ok(_) => "what is heard is not what was recorded".to_owned(),
            Err(error) => error.to_string(),
        };
        self.faults.push(Fault::Sound { name: certified.name.clone(), why });
    }

    /// Parts that nobody recorded.
    fn beyond(&mut self) -> io::Result<()> {
        let next = part_path(self.recording, self.manifest.parts.len() as u32 + 1);
        if let Ok(found) = fs::metadata(&next) {
            let name = next.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.faults.push(Fault::Length { name, bytes: found.len(), certified: 0 });
        }
        Ok(())
    }

    /// Checks the chain's own file, and the parts against it: they may have been altered before they were signed.
    fn chain(&mut self, parts: &[Found<'_>]) -> io::Result<()> {
        let certified = &self.manifest.chain;
        let name = certified.name.clone();
        let Some(bytes) = read(&chain_path(self.recording))? else {
            self.faults.push(Fault::Missing { name });
            return Ok(());
        };
        let is_true = hex::encode(digest::digest(&digest::SHA256, &bytes)) == certified.sha256;
        let links = chain::parse(&bytes);
        if is_true && let Some(links) = &links {
            return self.locate(links, parts);
        }
        if bytes.len() as u64 != certified.bytes {
            let (bytes, certified) = (bytes.len() as u64, certified.bytes);
            self.faults.push(Fault::Length { name: name.clone(), bytes, certified });
        }
        let Some(links) = links.filter(|_| parts.iter().all(|part| !part.differs)) else {
            self.faults.push(Fault::File { name });
            return Ok(());
        };
        // The sound is true, so the first link that does not fit it is the one that was altered.
        let mut first = None;
        let walked = chain::walk(
            self.recording,
            &links,
            |part| Ok(self.start_of(part)),
            |stretch| {
                first = (!stretch.fits).then_some(stretch.link);
                if stretch.fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        walked?;
        if let Some(link) = first {
            let (from, to) = place_of(link);
            self.faults.push(Fault::Link { name, link, from, to });
        }
        Ok(())
    }

    /// Tells the stretches that differ, those beside each other as one, and what is behind the last one.
    fn locate(&mut self, links: &[Link], parts: &[Found<'_>]) -> io::Result<()> {
        let mut differing: Vec<Stretch> = Vec::new();
        let mut reached = BTreeMap::new();
        let walked = chain::walk(
            self.recording,
            links,
            |part| Ok(self.start_of(part)),
            |stretch| {
                reached.insert(stretch.part, stretch.to);
                match differing.last_mut() {
                    _ if stretch.fits => {}
                    Some(last) if last.part == stretch.part && last.to == stretch.from => {
                        (last.to, last.samples_to) = (stretch.to, stretch.samples_to);
                    }
                    _ => differing.push(stretch),
                }
                if differing.len() > FAULTS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        walked?;
        for Found { number, certified, .. } in parts {
            let of_part = differing.iter().filter(|stretch| stretch.part == *number);
            let name = &certified.name;
            self.faults.extend(of_part.map(|stretch| Fault::Differs {
                name: name.clone(),
                from: stretch.from,
                to: stretch.to,
                samples: (stretch.samples_from, stretch.samples_to),
            }));
            let chained = reached.get(number).copied().unwrap_or(certified.header.len() as u64 / 2);
            if chained < certified.bytes && differing.len() <= FAULTS_MAX {
                self.faults.push(Fault::Length { name: name.clone(), bytes: certified.bytes, certified: chained });
            }
        }
        Ok(())
    }

    /// Nothing told where these differ.
    fn vague(&mut self, parts: &[Found<'_>]) {
        for Found { certified, .. } in parts.iter().filter(|part| part.differs) {
            if !self.faults.iter().any(|fault| fault.name() == certified.name) {
                self.faults.push(Fault::File { name: certified.name.clone() });
            }
        }
    }

    /// Where in a part's file the chain begins.
    fn start_of(&self, part: u32) -> u64 {
        let part = self.manifest.parts.get(part.saturating_sub(1) as usize);
        part.map_or(0, |part| part.header.len() as u64 / 2)
    }
}

/// `None` if it is not there.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some),
    }
}
