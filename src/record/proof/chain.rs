//! The chain of a recording: a digest for every stretch that was handed to the system, over the one before and the bytes.
//!
//! It lies beside the recording as `rec_x.chain` and only ever grows, so that a crash leaves it good for all but the last
//! stretch. 16 bytes say what it is; each link is 52 bytes, numbers little-endian:
//!
//! ```text
//! part 4 · bytes in that part's file 4 · flags 4 (1: made after a crash) · samples of the recording so far 8 · digest 32
//! digest = SHA-256(digest of the link before, at first zeros · the 20 bytes before this digest · the bytes)
//! ```
//!
//! The bytes are those in the file, sealed or not: the chain is checked without the key. The 44 bytes that a WAV begins
//! with change until its end; they are no part of the chain, and stand in the manifest.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::super::file::create_file;
use super::super::seal;
use super::super::wav::{self, part_path};
use crate::record::Format;

/// What the file begins with.
const START: [u8; 16] = *b"tandem-chain-v1\n";
const LEAD_BYTES: usize = 20;
pub(super) const LINK_BYTES: usize = LEAD_BYTES + 32;
const MENDED: u32 = 1;

/// Longer than any stretch a recorder writes, so that a damaged link does not ask for memory.
const STRETCH_BYTES_MAX: u32 = 1 << 20;
/// Stretches that a repair makes of what the chain did not reach.
const MENDED_BYTES: u64 = 64_000;

type Hash = [u8; 32];

/// The chain's place: `rec_x.chain` beside `rec_x.wav`.
pub(in crate::record) fn chain_path(recording: &Path) -> PathBuf {
    recording.with_extension("chain")
}

/// A chain being written.
pub(in crate::record) struct Chain {
    file: File,
    hash: Hash,
}

impl Chain {
    /// Begins the chain of a new recording.
    pub(in crate::record) fn create(recording: &Path) -> io::Result<Self> {
        let mut file = create_file(&chain_path(recording))?;
        file.write_all(&START)?;
        Ok(Self { file, hash: [0; 32] })
    }

    /// The next stretch: `pieces` were appended to the file of `part`, and the recording has `samples` now.
    pub(in crate::record) fn add(&mut self, part: u32, samples: u64, pieces: [&[u8]; 2]) -> io::Result<()> {
        self.append(part, 0, samples, pieces)
    }

    fn append(&mut self, part: u32, flags: u32, samples: u64, pieces: [&[u8]; 2]) -> io::Result<()> {
        let bytes = (pieces[0].len() + pieces[1].len()) as u32;
        let mut link = [0; LINK_BYTES];
        link[..4].copy_from_slice(&part.to_le_bytes());
        link[4..8].copy_from_slice(&bytes.to_le_bytes());
        link[8..12].copy_from_slice(&flags.to_le_bytes());
        link[12..LEAD_BYTES].copy_from_slice(&samples.to_le_bytes());
        self.hash = follow(&self.hash, &link[..LEAD_BYTES], pieces);
        link[LEAD_BYTES..].copy_from_slice(&self.hash);
        self.file.write_all(&link)
    }
}

fn follow(before: &Hash, lead: &[u8], pieces: [&[u8]; 2]) -> Hash {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(before);
    hash.update(lead);
    pieces.iter().for_each(|piece| hash.update(piece));
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// One link as it is written.
pub(super) struct Link {
    lead: [u8; LEAD_BYTES],
    pub(super) hash: Hash,
}

impl Link {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.lead[at..at + 4].try_into().expect("four bytes"))
    }

    fn part(&self) -> u32 {
        self.word(0)
    }

    fn bytes(&self) -> u32 {
        self.word(4)
    }

    fn samples(&self) -> u64 {
        u64::from_le_bytes(self.lead[12..].try_into().expect("eight bytes"))
    }
}

/// The whole links of a chain's bytes; `None` if it does not begin like one.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Link>> {
    let links = bytes.strip_prefix(&START)?.as_chunks::<LINK_BYTES>().0;
    let parse = |link: &[u8; LINK_BYTES]| Link {
        lead: link[..LEAD_BYTES].try_into().expect("it is longer"),
        hash: link[LEAD_BYTES..].try_into().expect("that is the rest"),
    };
    Some(links.iter().map(parse).collect())
}

/// Where in the chain's file a link stands.
pub(super) fn place_of(link: usize) -> (u64, u64) {
    let from = (START.len() + link * LINK_BYTES) as u64;
    (from, from + LINK_BYTES as u64)
}

/// One stretch of a recording, as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Number of its link.
    pub(super) link: usize,
    pub(super) part: u32,
    /// Bytes of the part's file.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Samples of the recording.
    pub(super) samples_from: u64,
    pub(super) samples_to: u64,
    /// Whether these bytes, after the link before, give this digest.
    pub(super) fits: bool,
}

/// Compares a recording with its chain, stretch by stretch. Each is held against the digest before it as it is written, so
/// that one change breaks one stretch. `start`: where the chain begins in a part's file.
///
/// # Errors
/// A file that is there and cannot be read.
pub(super) fn walk(
    recording: &Path,
    links: &[Link],
    start: impl Fn(u32) -> io::Result<u64>,
    mut each: impl FnMut(Stretch) -> ControlFlow<()>,
) -> io::Result<()> {
    let (mut before, mut samples_from) = ([0; 32], 0);
    let mut open: Option<Part> = None;
    let mut bytes = Vec::new();
    for (index, link) in links.iter().enumerate() {
        if open.as_ref().is_none_or(|open| open.number != link.part()) {
            open = Part::open(recording, link.part(), start(link.part())?)?;
        }
        let (from, got) = match &mut open {
            Some(part) if link.bytes() <= STRETCH_BYTES_MAX => part.read(link.bytes(), &mut bytes)?,
            Some(part) => (part.at, false),
            None => (0, false),
        };
        let stretch = Stretch {
            link: index,
            part: link.part(),
            from,
            to: from + u64::from(link.bytes()),
            samples_from,
            samples_to: link.samples(),
            fits: got && follow(&before, &link.lead, [&bytes, &[]]) == link.hash,
        };
        (before, samples_from) = (link.hash, link.samples());
        if each(stretch).is_break() {
            break;
        }
    }
    Ok(())
}

/// A part's file behind its header.
struct Part {
    number: u32,
    file: BufReader<File>,
    at: u64,
}

impl Part {
    fn open(recording: &Path, number: u32, at: u64) -> io::Result<Option<Self>> {
        let mut file = match File::open(part_path(recording, number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => BufReader::with_capacity(256 * 1024, file?),
        };
        file.seek(SeekFrom::Start(at))?;
        Ok(Some(Self { number, file, at }))
    }

    /// The next bytes; where they begin, and whether they are all there.
    fn read(&mut self, bytes: u32, into: &mut Vec<u8>) -> io::Result<(u64, bool)> {
        let from = self.at;
        into.clear();
        let got = self.file.by_ref().take(u64::from(bytes)).read_to_end(into)?;
        self.at += u64::from(bytes);
        Ok((from, got == bytes as usize))
    }
}

/// Where the chain's bytes begin in a file.
pub(super) fn start_of(part: &Path) -> io::Result<u64> {
    let mut start = [0; 8];
    let sealed = match File::open(part) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        file => file?.read_exact(&mut start).is_ok() && seal::is_sealed(&start),
    };
    Ok(if sealed || Format::of(part) == Format::Opus { 0 } else { wav::HEADER_BYTES })
}

/// How much of a mended recording its chain proves as it was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::record) struct Mended {
    /// Samples that the chain reached before the crash.
    pub(in crate::record) samples: u64,
}

/// Closes the chain of a recording that was cut off and is mended now: links that fit stay, what they do not reach gets new
/// ones that say so. `samples`: of the whole recording.
///
/// # Errors
/// Files that cannot be read or written.
pub(in crate::record) fn mend(recording: &Path, parts: u32, samples: u64) -> io::Result<Mended> {
    let path = chain_path(recording);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes?,
    };
    let links = parse(&bytes).unwrap_or_default();
    let mut good: Option<Stretch> = None;
    walk(
        recording,
        &links,
        |part| start_of(&part_path(recording, part)),
        |stretch| {
            let follows = match good {
                None => stretch.part == 1,
                Some(before) => stretch.part == before.part || stretch.part == before.part + 1,
            };
            if !stretch.fits || !follows {
                return ControlFlow::Break(());
            }
            good = Some(stretch);
            ControlFlow::Continue(())
        },
    )?;
    let kept = good.map_or(0, |good| good.link + 1);
    let reached = good.map_or(0, |good| good.samples_to.min(samples));
    let mut file = match kept {
        // Also where there was none: a recording from before chains were kept.
        0 => {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
            file.write_all(&START)?;
            file
        }
        _ => OpenOptions::new().write(true).open(&path)?,
    };
    file.set_len(place_of(kept).0)?;
    file.seek(SeekFrom::End(0))?;
    let hash = kept.checked_sub(1).map_or([0; 32], |last| links[last].hash);
    let mut chain = Chain { file, hash };
    let first = good.map_or(1, |good| good.part);
    for part in first..=parts {
        let at = good.filter(|good| good.part == part).map(|good| good.to);
        append_rest(&mut chain, recording, part, at, (reached, samples))?;
    }
    chain.file.sync_data()?;
    Ok(Mended { samples: reached })
}

/// Links for all of a part behind `at`. Where in time each of them ends is not known, but between these `samples`.
fn append_rest(chain: &mut Chain, recording: &Path, part: u32, at: Option<u64>, samples: (u64, u64)) -> io::Result<()> {
    let path = part_path(recording, part);
    let from = at.map_or_else(|| start_of(&path), Ok)?;
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(from))?;
    let (mut at, mut bytes) = (from, Vec::new());
    while at < len {
        bytes.clear();
        at += (&file).take(MENDED_BYTES).read_to_end(&mut bytes)? as u64;
        let passed = u128::from(samples.1 - samples.0) * u128::from(at - from) / u128::from(len - from);
        let until = samples.0 + u64::try_from(passed).expect("a share of a u64");
        chain.append(part, MENDED, until, [&bytes, &[]])?;
        if bytes.is_empty() {
            break;
        }
    }
    Ok(())
}
