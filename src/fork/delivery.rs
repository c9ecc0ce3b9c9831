//! A finished recording on its way from the worker's disk to the gateway's.
//!
//! Nothing is believed before it lies on this disk, is synced, and has the digest that the worker computed and, for a
//! recording of one file, the recorder before it. Until then it has another name, and the worker keeps its copy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::aws_lc_rs::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::control::{Delivery, FileEntry, FrameError, read_frame, write_frame};
use crate::model::id::RecordingId;
use crate::model::recording::Format;
use crate::model::time::Timestamp;

/// Where a recording that began at that time belongs; its further files lie beside it.
pub type Place = Arc<dyn Fn(&RecordingId, Timestamp, Format) -> PathBuf + Send + Sync>;

/// As the recorder's own: group may read, others may not.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

const CHUNK: usize = 64 * 1024;
const DIGEST: usize = 32;

/// More files than any recording has.
const FILES_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    /// The stream's words make no sense: the connection ends.
    #[error("not a delivery")]
    Frame(#[from] FrameError),
    /// The worker went away; it offers the recording again.
    #[error("cut")]
    Cut,
    /// This recording, here and now; others may be fine.
    #[error("{why}")]
    Refused { recording: RecordingId, why: String },
}

/// A delivery that is safe here.
pub(super) struct Received {
    pub(super) delivery: Delivery,
    /// The recording has been put together without it meanwhile; it lies beside it, as `rec_x-late`.
    pub(super) aside: bool,
}

/// Reads a delivery to its end and puts its files where they belong. Taking the same one twice is fine.
pub(super) async fn receive(stream: &mut quinn::RecvStream, place: &Place) -> Result<Received, ReceiveError> {
    let delivery: Delivery = read_frame(stream).await?.ok_or(ReceiveError::Cut)?;
    let refused = |why: String| ReceiveError::Refused { recording: delivery.recording.clone(), why };
    check_names(&delivery).map_err(refused)?;
    let main = place(&delivery.recording, delivery.started, delivery.format);
    let folder = main.parent().ok_or_else(|| refused("it has no folder".to_owned()))?.to_owned();
    let failed = |error: io::Error| refused(format!("cannot write to {}: {error}", folder.display()));
    tokio::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder).await.map_err(failed)?;
    let mut arrived = Vec::new();
    for entry in &delivery.files {
        let incoming = folder.join(format!(".{}.incoming", entry.name));
        match receive_file(stream, entry, &incoming).await {
            Ok(sha256) => {
                if delivery.outcome.parts == 1 && main.file_name() == Some(entry.name.as_ref()) {
                    check_digest(&delivery.outcome.sha256, &sha256).map_err(refused)?;
                }
                arrived.push((incoming, folder.join(&entry.name)));
            }
            Err(FileError::Cut) => return Err(ReceiveError::Cut),
            Err(FileError::Disk(error)) => return Err(failed(error)),
            Err(FileError::Digest) => return Err(refused(format!("{} changed on the way", entry.name))),
        }
    }
    let id = delivery.recording.as_str().to_owned();
    let aside = tokio::task::spawn_blocking(move || settle(&arrived, &id)).await;
    let aside = aside.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(failed)?;
    sync_folder(&folder).await.map_err(failed)?;
    Ok(Received { delivery, aside })
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
    write_frame(&mut stream, &delivery).await.map_err(SendError::Gone)?;
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
            stream.write_all(&buffer[..len]).await.map_err(|error| SendError::Gone(error.into()))?;
            left -= len as u64;
        }
        stream.write_all(sha256.finish().as_ref()).await.map_err(|error| SendError::Gone(error.into()))?;
    }
    let _closed_already = stream.finish();
    Ok(())
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the recording cannot be read")]
    Disk(#[source] io::Error),
    #[error("the gateway is gone")]
    Gone(#[source] FrameError),
}

impl From<quinn::ConnectionError> for FrameError {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Write(quinn::WriteError::ConnectionLost(error))
    }
}

enum FileError {
    Cut,
    Disk(io::Error),
    Digest,
}

/// The file's digest, in hex.
async fn receive_file(stream: &mut quinn::RecvStream, entry: &FileEntry, incoming: &Path) -> Result<String, FileError> {
    let mut options = tokio::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.open(incoming).await.map_err(FileError::Disk)?;
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let mut left = entry.bytes;
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
fn settle(arrived: &[(PathBuf, PathBuf)], id: &str) -> io::Result<bool> {
    let mut others = false;
    for (incoming, path) in arrived {
        others |= path.exists() && !same_content(incoming, path)?;
    }
    for (incoming, path) in arrived {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(name.replacen(id, &format!("{id}-late"), 1));
        std::fs::rename(incoming, if others { &beside } else { path })?;
    }
    Ok(others)
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let sum = |path: &Path| {
        let mut sha256 = digest::Context::new(&digest::SHA256);
        let mut file = std::fs::File::open(path)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match io::Read::read(&mut file, &mut buffer)? {
                0 => return Ok::<_, io::Error>(sha256.finish()),
                len => sha256.update(&buffer[..len]),
            }
        }
    };
    Ok(sum(one)?.as_ref() == sum(other)?.as_ref())
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
        let rest = name.strip_prefix(id).filter(|rest| rest.starts_with('.'));
        let fine = rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
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
            settle(&names, "rec_1").unwrap()
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
