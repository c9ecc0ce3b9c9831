//! What lies in the folder of recordings and is nobody's: half-written files that a crash left, and files of recordings that
//! the books do not know as being here.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::model::id::RecordingId;
use crate::model::time::Timestamp;

/// A file that grows is written to all the time; one that nobody wrote to for so long, nobody will.
const UNTOUCHED: Duration = Duration::from_secs(3600);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// The recordings that files here are called after, each with one of its files.
    pub recordings: BTreeMap<RecordingId, PathBuf>,
    /// Half-written files that were removed.
    pub removed: usize,
}

impl Leftovers {
    /// Looks through the folders of all days, and removes half-written files nobody writes to any more.
    ///
    /// # Errors
    /// When a folder cannot be read. A file that cannot be removed stays for the next look.
    pub fn look(root: &Path, now: Timestamp) -> io::Result<Self> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis().unsigned_abs());
        let mut found = Self::default();
        for day in entries(root)? {
            if !day.file_type()?.is_dir() || is_hidden(&day) {
                continue;
            }
            for entry in entries(&day.path())? {
                found.take(&entry, now)?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, entry: &DirEntry, now: SystemTime) -> io::Result<()> {
        if !entry.file_type()?.is_file() {
            return Ok(());
        }
        if is_hidden(entry) {
            if is_growing(entry) && untouched(entry, now) && fs::remove_file(entry.path()).is_ok() {
                self.removed += 1;
            }
            return Ok(());
        }
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.split_once('.')).and_then(|(id, _)| RecordingId::parse(id).ok());
        if let Some(id) = id {
            self.recordings.entry(id.whole()).or_insert_with(|| entry.path());
        }
        Ok(())
    }
}

/// None if the folder is not there.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// Under the names that we write files by before they are whole.
fn is_growing(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.starts_with(".tmp") || name.ends_with(".incoming")
}

/// Gone meanwhile, or of a file system that knows no times: touched.
fn untouched(entry: &DirEntry, now: SystemTime) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > UNTOUCHED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_written_files_go_once_nobody_writes_to_them_and_recordings_are_told_once() {
        let root = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(1_795_000_000);
        assert_eq!(Leftovers::look(&root.path().join("absent"), now).unwrap(), Leftovers::default());
        let write = |name: &str, age_s: u64| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000 - age_s)).unwrap();
            path
        };
        let old = 2 * 3600;
        let gone = [write("2026-11-21/.tmpX1", old), write("2026-11-22/.rec_1.wav.incoming", old)];
        let stays = [
            write("2026-11-22/.tmpX2", 60),
            write("2026-11-22/.rec_2.wav.incoming", 60),
            write("2026-11-22/.nfs0001", old),
            write(".fetching/.tmpX3", old),
            write("notes.txt", old),
            write("2026-11-21/rec_1.wav", old),
            write("2026-11-21/rec_1.json", old),
            write("2026-11-22/rec_3-p1.wav", old),
            write("2026-11-22/no recording", old),
        ];
        let found = Leftovers::look(root.path(), now).unwrap();
        let ids: Vec<&str> = found.recordings.keys().map(RecordingId::as_str).collect();
        assert_eq!((ids, found.removed), (vec!["rec_1", "rec_3"], 2));
        assert!(gone.iter().all(|path| !path.exists()) && stays.iter().all(|path| path.exists()));
    }
}
