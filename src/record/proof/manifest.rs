//! The manifest of a recording: what it is, what its files weigh, and the site's signature over both. `rec_x.manifest.json`
//! beside `rec_x.wav`.
//!
//! The file is canonical JSON (RFC 8785: no blanks, members in the order of their names; there are whole numbers only) and
//! a newline. Signed is the same without the member `signature`, without the newline:
//!
//! ```sh
//! tandem key public --pem > site.pem
//! jq -jcS 'del(.signature)' rec_x.manifest.json > signed
//! jq -r .signature rec_x.manifest.json | xxd -r -p > signature
//! openssl pkeyutl -verify -pubin -inkey site.pem -rawin -in signed -sigfile signature
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::seal::{self, HEADER_BYTES};
use super::super::wav::part_path;
use super::super::{Format, Playback, Redacted, Sidecar, Vault, sidecar_path};
use super::PublicKey;
use super::chain::{self, LINK_BYTES, Mended, chain_path};
use crate::audio::duration;
use crate::model::files;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Pause;
use crate::model::time::Timestamp;

/// This form of it.
const VERSION: u32 = 1;

/// What is certified of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub version: u32,
    #[schema(value_type = String)]
    pub recording_id: RecordingId,
    #[schema(value_type = String)]
    pub call_id: CallId,
    pub format: Format,
    /// By the gateway's clock; `null` where a crash took it.
    pub started_at: Option<Timestamp>,
    pub duration_ms: u64,
    /// Holes filled with silence.
    pub gaps: u64,
    pub pauses: Vec<Pause>,
    pub parts: Vec<CertifiedPart>,
    pub chain: CertifiedFile,
    /// Digest of the chain's last link, lower-case hex.
    pub chain_root: String,
    pub chain_links: u64,
    /// The JSON file of details.
    pub details: CertifiedFile,
    /// The id of the master key if the files are sealed.
    pub sealed_with: Option<String>,
    /// If a crash cut it off: so much of it was chained while it was recorded, the rest when it was mended.
    pub chained_before_crash_ms: Option<u64>,
    /// Of a copy without what not everybody may hear: what it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<Redacted>,
    pub signed_at: Timestamp,
    /// What signed it.
    pub tool: String,
    /// Ed25519, lower-case hex.
    pub public_key: String,
    /// Ed25519, lower-case hex.
    pub signature: String,
}

/// A file beside the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedFile {
    pub name: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// One file of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedPart {
    pub name: String,
    /// Of the file as it lies on the disk, sealed or not.
    pub bytes: u64,
    pub sha256: String,
    /// What of the file's beginning the chain leaves out, in hex: the header of a WAV that is not sealed.
    pub header: String,
    /// Of what a player is given: the same unless the file is sealed.
    pub sound_bytes: u64,
    pub sound_sha256: String,
}

/// A manifest proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("there is no manifest {}: without it nothing is proven", .0.display())]
    Missing(PathBuf),
    #[error("the manifest {} cannot be read", .0.display())]
    Io(PathBuf, #[source] io::Error),
    #[error("the manifest {} was altered: {why}", .path.display())]
    Altered { path: PathBuf, why: String },
    #[error("the manifest {} has no signature", .0.display())]
    Unsigned(PathBuf),
    #[error("the manifest {} is signed by another key, {signed_by}", .path.display())]
    OtherKey { path: PathBuf, signed_by: String },
}

/// The manifest's place.
pub fn manifest_path(recording: &Path) -> PathBuf {
    recording.with_extension("manifest.json")
}

impl Manifest {
    /// Reads the one beside a recording; only one that `trusted` signed, and nobody touched since.
    ///
    /// # Errors
    /// [`ManifestError`] says what is wrong with it.
    pub fn read(recording: &Path, trusted: &PublicKey) -> Result<Self, ManifestError> {
        let path = manifest_path(recording);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ManifestError::Missing(path)),
            bytes => bytes.map_err(|error| ManifestError::Io(path.clone(), error))?,
        };
        let altered = |why: &str| ManifestError::Altered { path: path.clone(), why: why.to_owned() };
        let mut value: Value = serde_json::from_slice(&bytes).map_err(|error| altered(&error.to_string()))?;
        if bytes != [&canonical(&value), &b"\n"[..]].concat() {
            return Err(altered("it is not in the form the gateway writes"));
        }
        let members = value.as_object_mut().ok_or_else(|| altered("it is no JSON object"))?;
        let Some(Value::String(signature)) = members.remove("signature") else {
            return Err(ManifestError::Unsigned(path));
        };
        let key = members.get("public_key").and_then(Value::as_str).unwrap_or_default();
        let key = PublicKey::parse(key).ok_or_else(|| altered("it names no key"))?;
        if !key.fits(&canonical(&value), &signature) {
            return Err(altered("its signature does not fit what it says"));
        }
        if key != *trusted {
            return Err(ManifestError::OtherKey { path, signed_by: key.to_string() });
        }
        if let Value::Object(members) = &mut value {
            members.insert("signature".to_owned(), Value::String(signature));
        }
        // Signed, and yet not understood: a later version's.
        serde_json::from_value(value).map_err(|error| altered(&error.to_string()))
    }
}

/// Signs a recording whose files and details are complete. Does nothing where recordings are not signed. `mended`: it was
/// cut off by a crash.
///
/// # Errors
/// Files that cannot be read or written.
pub(in crate::record) fn certify(
    recording: &Path,
    details: &Sidecar,
    mended: Option<Mended>,
    vault: &Vault,
    now: Timestamp,
) -> io::Result<()> {
    let Some(site) = vault.site() else { return Ok(()) };
    let chain_file = chain_path(recording);
    let chain = fs::read(&chain_file)?;
    File::open(&chain_file)?.sync_data()?;
    let links = chain::parse(&chain).ok_or(io::ErrorKind::InvalidData)?;
    let mut parts = Vec::new();
    for (number, part) in (1..).zip(&details.parts) {
        parts.push(certify_part(&part_path(recording, number), part, vault)?);
    }
    let manifest = Manifest {
        version: VERSION,
        recording_id: details.recording_id.clone(),
        call_id: details.call_id.clone(),
        format: details.format,
        started_at: details.started_at,
        duration_ms: details.duration_ms,
        gaps: details.gaps,
        pauses: details.pauses.clone(),
        parts,
        chain: weigh(&chain_file, &chain),
        chain_root: hex::encode(links.last().map_or([0; 32], |last| last.hash)),
        chain_links: ((chain.len() - chain::place_of(0).0 as usize) / LINK_BYTES) as u64,
        details: weigh(&sidecar_path(recording), &fs::read(sidecar_path(recording))?),
        sealed_with: sealed_with(recording)?,
        chained_before_crash_ms: mended.map(|mended| duration(mended.samples).as_millis() as u64),
        redacted: details.redacted.clone(),
        signed_at: now,
        tool: concat!("tandem ", env!("CARGO_PKG_VERSION")).to_owned(),
        public_key: site.public_key().to_string(),
        signature: String::new(),
    };
    let mut value = serde_json::to_value(&manifest)?;
    let members = value.as_object_mut().expect("a manifest is an object");
    members.remove("signature");
    let signature = site.sign(&canonical(&Value::Object(members.clone())));
    members.insert("signature".to_owned(), Value::String(signature));
    super::super::file::write_beside(recording, &manifest_path(recording), |file| {
        file.write_all(&canonical(&value))?;
        file.write_all(b"\n")
    })
}

fn certify_part(path: &Path, part: &super::super::Part, vault: &Vault) -> io::Result<CertifiedPart> {
    let mut header = vec![0; usize::try_from(chain::start_of(path)?).expect("a header is small")];
    File::open(path)?.read_exact(&mut header)?;
    let (sound_bytes, sound_sha256) = match sealed_with(path)? {
        None => (part.bytes, part.sha256.clone()),
        Some(_) => files::digest(&mut Playback::open(path, vault)?)?,
    };
    let (name, bytes, sha256) = (part.name.clone(), part.bytes, part.sha256.clone());
    Ok(CertifiedPart { name, bytes, sha256, header: hex::encode(header), sound_bytes, sound_sha256 })
}

fn sealed_with(path: &Path) -> io::Result<Option<String>> {
    let mut start = Vec::new();
    File::open(path)?.take(HEADER_BYTES as u64).read_to_end(&mut start)?;
    Ok(seal::Header::parse(&start).map(|header| header.key_id.to_string()))
}

fn weigh(path: &Path, bytes: &[u8]) -> CertifiedFile {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    CertifiedFile { name, bytes: bytes.len() as u64, sha256: hex::encode(digest::digest(&digest::SHA256, bytes)) }
}

/// RFC 8785, for values of whole numbers whose members have plain names: there the order of bytes is that of UTF-16.
fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_plain(name, out);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        plain => write_plain(plain, out),
    }
}

fn write_plain(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("memory takes plain values");
}
