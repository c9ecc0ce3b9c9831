//! A finished recording on its way from the worker's disk to the gateway's.
//!
//! Nothing is believed before it lies on this disk, is synced, and has the digest that the worker computed and, for a
//! recording of one file, the recorder before it. Until then it has another name, and the worker keeps its copy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::aws_lc_rs::digest;
use futures_util::future::BoxFuture;
use quinn::{VarInt, WriteError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::control::{Delivery, FileEntry, FrameError, read_frame, write_frame};
use crate::model::files::{self, FILE_MODE, FOLDER_MODE};
use crate::model::id::RecordingId;
use crate::model::recording::Format;
use crate::model::time::Timestamp;

/// Where a recording that began at that time belongs; its further files lie beside it.
pub type Place = Arc<dyn Fn(&RecordingId, Timestamp, Format) -> PathBuf + Send + Sync>;

/// See [`Intake::wanted`].
pub type AskBooks = Box<dyn Fn(&Delivery) -> BoxFuture<'static, Result<Wanted, String>> + Send + Sync>;

/// See [`Intake::fits`].
pub type AskFormat = Box<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// What a gateway needs to take recordings.
pub struct Intake {
    pub place: Place,
    /// Asks the books about a recording before anything of it is written. `Err` says why it cannot be taken now.
    pub wanted: AskBooks,
    /// Whether a file of sound may begin like this; `Err` says why not.
    pub fits: AskFormat,
    /// So much is left free on the disk, for the calls that are being recorded here.
    pub reserve_bytes: u64,
}

/// What the books say about a recording that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Yes,
    /// It was deleted meanwhile, so the worker's copy is to go too.
    Deleted,
}

const CHUNK: usize = 64 * 1024;
const DIGEST: usize = 32;

/// More files than any recording has.
const FILES_MAX: usize = 64;

/// How much of a file shows what it is.
const START: u64 = 8;

/// A delivery that is not here. Others may be fine.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    /// The worker went away, or cannot read it: it offers the recording again.
    #[error("cut")]
    Cut,
    /// Its words make no sense.
    #[error("not a delivery")]
    Nonsense(#[source] FrameError),
    /// This recording, here and now.
    #[error("{why}")]
    Refused { recording: RecordingId, why: String },
}

/// What became of a delivery.
pub(super) enum Received {
    /// It is safe here.
    Here(Delivery),
    /// It is safe here, but the recording has been put together without it meanwhile; it lies beside it, as `rec_x-late`.
    Aside(Delivery),
    /// Nobody wants it any more, and nothing of it was written.
    Deleted(Delivery),
}

/// Reads a delivery to its end and puts its files where they belong. Taking the same one twice is fine.
pub(super) async fn receive(stream: &mut quinn::RecvStream, intake: &Intake) -> Result<Received, ReceiveError> {
    let delivery: Delivery = match read_frame(stream).await {
        Ok(Some(delivery)) => delivery,
        Ok(None) | Err(FrameError::Cut(_)) => return Err(ReceiveError::Cut),
        Err(error) => return Err(ReceiveError::Nonsense(error)),
    };
    let refused = |why: String| ReceiveError::Refused { recording: delivery.recording.clone(), why };
    check_names(&delivery).map_err(refused)?;
    if (intake.wanted)(&delivery).await.map_err(refused)? == Wanted::Deleted {
        return Ok(Received::Deleted(delivery));
    }
    let main = (intake.place)(&delivery.recording, delivery.started, delivery.format);
    let folder = main.parent().ok_or_else(|| refused("it has no folder".to_owned()))?.to_owned();
    let failed = |error: io::Error| refused(format!("cannot write to {}: {error}", folder.display()));
    tokio::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder).await.map_err(failed)?;
    let bytes = delivery.files.iter().fold(0_u64, |all, file| all.saturating_add(file.bytes));
    check_room(&folder, bytes, intake.reserve_bytes).map_err(refused)?;
    let is_main = |entry: &FileEntry| main.file_name() == Some(entry.name.as_ref());
    if delivery.outcome.error.is_none() && !delivery.files.iter().any(is_main) && !main.exists() {
        return Err(refused("its sound is no more on the worker's disk".to_owned()));
    }
    let mut arrived = Arrived(Vec::new());
    for entry in &delivery.files {
        let incoming = folder.join(format!(".{}.incoming", entry.name));
        arrived.0.push((incoming.clone(), folder.join(&entry.name)));
        let is_sound = Path::new(&entry.name).extension() == Some(delivery.format.extension().as_ref());
        let fits = |start: &[u8]| if is_sound { (intake.fits)(start) } else { Ok(()) };
        match receive_file(stream, entry, &incoming, fits).await {
            Ok(sha256) if delivery.outcome.parts == 1 && is_main(entry) => {
                check_digest(&delivery.outcome.sha256, &sha256).map_err(refused)?;
            }
            Ok(_) => {}
            Err(FileError::Cut) => return Err(ReceiveError::Cut),
            Err(FileError::Disk(error)) => return Err(failed(error)),
            Err(FileError::Digest) => return Err(refused(format!("{} changed on the way", entry.name))),
            Err(FileError::Unfit(why)) => return Err(refused(format!("{} {why}", entry.name))),
        }
    }
    let id = delivery.recording.clone();
    let aside = tokio::task::spawn_blocking(move || settle(&arrived.0, &id)).await;
    let aside = aside.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(failed)?;
    sync_folder(&folder).await.map_err(failed)?;
    Ok(if aside { Received::Aside(delivery) } else { Received::Here(delivery) })
}

/// Sends a recording. Returns when everything is on its way; the gateway says when it is safe.
pub(super) async fn send(
    connection: &quinn::Connection,
    mut delivery: Delivery,
    folder: &Path,
) -> Result<(), SendError> {
    let mut files = Vec::new();
    for entry in &mut delivery.files {
        let file = tokio::fs::File::open(folder.join(&entry.name)).await.map_err(SendError::Disk)?;
        entry.bytes = file.metadata().await.map_err(SendError::Disk)?.len();
        files.push((file, entry.bytes));
    }
    let mut stream = connection.open_uni().await.map_err(|error| SendError::Gone(error.into()))?;
    // Media of other calls goes first where it shares the connection's way.
    let _closed_already = stream.set_priority(-1);
    let sent = send_on(&mut stream, &delivery, files).await;
    let _closed_already = match &sent {
        Ok(()) => stream.finish(),
        // The end of the stream would be taken for the end of the files.
        Err(_) => stream.reset(VarInt::from_u32(0)),
    };
    sent
}

/// A recording is not on its way.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the recording cannot be read")]
    Disk(#[source] io::Error),
    /// It says why in a message of its own.
    #[error("the gateway does not want all of it")]
    Stopped,
    #[error("the gateway is gone")]
    Gone(#[source] FrameError),
}

impl From<FrameError> for SendError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Write(WriteError::Stopped(_)) => Self::Stopped,
            error => Self::Gone(error),
        }
    }
}

impl From<WriteError> for SendError {
    fn from(error: WriteError) -> Self {
        FrameError::Write(error).into()
    }
}

impl From<quinn::ConnectionError> for FrameError {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Write(WriteError::ConnectionLost(error))
    }
}

async fn send_on(
    stream: &mut quinn::SendStream,
    delivery: &Delivery,
    files: Vec<(tokio::fs::File, u64)>,
) -> Result<(), SendError> {
    write_frame(stream, delivery).await?;
    for (mut file, mut left) in files {
        let mut sha256 = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let most = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            let len = file.read(&mut buffer[..most]).await.map_err(SendError::Disk)?;
            if len == 0 {
                return Err(SendError::Disk(io::ErrorKind::UnexpectedEof.into()));
            }
            sha256.update(&buffer[..len]);
            stream.write_all(&buffer[..len]).await?;
            left -= len as u64;
        }
        stream.write_all(sha256.finish().as_ref()).await?;
    }
    Ok(())
}

/// Files under their first and second names. What still has its first one when it is dropped goes.
struct Arrived(Vec<(PathBuf, PathBuf)>);

impl Drop for Arrived {
    fn drop(&mut self) {
        for (incoming, _) in &self.0 {
            // Mostly it has its second name.
            let _absent = std::fs::remove_file(incoming);
        }
    }
}

enum FileError {
    Cut,
    Disk(io::Error),
    Digest,
    Unfit(String),
}

/// The file's digest, in hex. `fits` is asked about its first bytes before any is written.
async fn receive_file(
    stream: &mut quinn::RecvStream,
    entry: &FileEntry,
    incoming: &Path,
    fits: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<String, FileError> {
    let mut start = vec![0; START.min(entry.bytes) as usize];
    stream.read_exact(&mut start).await.map_err(|_| FileError::Cut)?;
    fits(&start).map_err(FileError::Unfit)?;
    let mut options = tokio::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.open(incoming).await.map_err(FileError::Disk)?;
    let mut sha256 = digest::Context::new(&digest::SHA256);
    sha256.update(&start);
    file.write_all(&start).await.map_err(FileError::Disk)?;
    let mut left = entry.bytes - start.len() as u64;
    while left > 0 {
        let most = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        let Ok(Some(chunk)) = stream.read_chunk(most, true).await else { return Err(FileError::Cut) };
        sha256.update(&chunk.bytes);
        file.write_all(&chunk.bytes).await.map_err(FileError::Disk)?;
        left -= chunk.bytes.len() as u64;
    }
    let mut told = [0; DIGEST];
    stream.read_exact(&mut told).await.map_err(|_| FileError::Cut)?;
    file.flush().await.map_err(FileError::Disk)?;
    file.sync_all().await.map_err(FileError::Disk)?;
    let sha256 = sha256.finish();
    if sha256.as_ref() != told {
        return Err(FileError::Digest);
    }
    Ok(hex::encode(sha256))
}

/// Gives files, which have come under the first name, the second one. Those that are there already are fine if they are the
/// same: the acknowledgement was lost. If they are others, true: the new ones stand aside.
fn settle(arrived: &[(PathBuf, PathBuf)], id: &RecordingId) -> io::Result<bool> {
    let mut others = false;
    for (incoming, path) in arrived {
        others |= path.exists() && !same_content(incoming, path)?;
    }
    for (incoming, path) in arrived {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(name.replacen(id.as_str(), id.late().as_str(), 1));
        std::fs::rename(incoming, if others { &beside } else { path })?;
    }
    Ok(others)
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let sum = |path: &Path| files::digest(&mut std::fs::File::open(path)?);
    Ok(sum(one)? == sum(other)?)
}

/// The calls that are being recorded here come first: a worker keeps what is not taken.
fn check_room(folder: &Path, bytes: u64, reserve: u64) -> Result<(), String> {
    let room = rustix::fs::statvfs(folder).map_err(|error| format!("cannot look at {}: {error}", folder.display()))?;
    let left = room.f_bavail.saturating_mul(room.f_frsize);
    if left < bytes.saturating_add(reserve) {
        let [bytes, left, reserve] = [bytes, left, reserve].map(|bytes| bytes / 1_000_000);
        return Err(format!(
            "no room for its {bytes} MB: {left} MB are free in {}, of which archive.keep_free_mb = {reserve} stay so",
            folder.display()
        ));
    }
    Ok(())
}

/// The names themselves must survive a power cut too.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    tokio::fs::File::open(folder).await?.sync_all().await
}

fn check_digest(told: &str, got: &str) -> Result<(), String> {
    if told == got { Ok(()) } else { Err("it changed on the worker's disk after it was recorded".to_owned()) }
}

/// Names lead out of no folder and over no other recording.
fn check_names(delivery: &Delivery) -> Result<(), String> {
    let id = delivery.recording.as_str();
    if !id.starts_with("rec_") {
        return Err(format!("`{id}` is no recording"));
    }
    if delivery.files.len() > FILES_MAX {
        return Err(format!("{} files", delivery.files.len()));
    }
    for FileEntry { name, .. } in &delivery.files {
        let plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        let fine = delivery.recording.has_file(name) && plain(&name[id.len()..]);
        if !fine || name.len() > 200 {
            return Err(format!("`{name}` is no name of a file of {id}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::control::Outcome;
    use crate::model::id::CallId;

    #[test]
    fn what_comes_twice_replaces_itself_and_what_comes_too_late_stands_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let come = |sound: &str| {
            for (name, text) in [(".rec_1.wav.incoming", sound), (".rec_1.json.incoming", "{}")] {
                std::fs::write(path(name), text).unwrap();
            }
            let names = ["rec_1.json", "rec_1.wav"].map(|name| (path(&format!(".{name}.incoming")), path(name)));
            settle(&names, &RecordingId::parse("rec_1").unwrap()).unwrap()
        };
        let files = || {
            let names = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        assert!(!come("one"));
        assert!(!come("one"));
        assert_eq!(files(), "rec_1.json rec_1.wav");
        assert!(come("another"));
        assert_eq!(files(), "rec_1-late.json rec_1-late.wav rec_1.json rec_1.wav");
        assert_eq!(std::fs::read_to_string(path("rec_1.wav")).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(path("rec_1-late.wav")).unwrap(), "another");
    }

    #[test]
    fn a_delivery_names_its_own_files_and_no_others() {
        #[track_caller]
        fn check(recording: &str, name: &str, fine: bool) {
            let delivery = Delivery {
                call: CallId::generate(),
                recording: RecordingId::parse(recording).unwrap(),
                started: Timestamp::from_millis(0),
                format: Format::Wav,
                outcome: Outcome { parts: 1, ..Outcome::default() },
                files: vec![FileEntry { name: name.to_owned(), bytes: 0 }],
            };
            assert_eq!(check_names(&delivery).is_ok(), fine, "{recording} {name}");
        }
        check("rec_1", "rec_1.wav", true);
        check("rec_1", "rec_1.part2.wav", true);
        check("rec_1-p1", "rec_1-p1.wav", true);
        check("rec_1", "rec_1-p1.wav", false);
        check("rec_1", "rec_12.wav", false);
        check("rec_1", "rec_1.wav/../../x", false);
        check("rec_1", "../rec_1.wav", false);
        check("rec_1", "rec_1", false);
        check("..", "...wav", false);
    }
}
