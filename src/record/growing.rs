//! The place where a recording grows that is made of pieces, until it is complete: a crash at any moment leaves either all
//! pieces or the whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::id::RecordingId;

const GROWING: &str = ".joining";
const COMPLETE: &str = ".joined";
/// In that folder: the pieces that are in the whole, one a line.
const PIECES: &str = "pieces";

/// The folder in which a whole grows, beside its place: `.rec_x.joining`. It is called `.rec_x.joined` once the whole is complete.
pub(super) struct Growing {
    folder: PathBuf,
    /// Of the whole's file.
    pub(super) path: PathBuf,
    recording: RecordingId,
}

/// Ends what a former process was joining when it died: a whole that was complete takes its place, of any other the pieces
/// stay. Call it once, before recordings are looked at.
///
/// # Errors
/// When the folder cannot be read; a join that cannot be ended is logged.
pub fn finish_joins(recordings: &Path) -> io::Result<()> {
    for day in fs::read_dir(recordings)? {
        let day = day?.path();
        if !day.is_dir() {
            continue;
        }
        for folder in fs::read_dir(&day)? {
            let folder = folder?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = |ending: &str| RecordingId::parse(name.strip_prefix('.')?.strip_suffix(ending)?).ok();
            let ended = if let Some(recording) = id(COMPLETE) {
                tracing::warn!(%recording, "a recording had been put together and takes its place now");
                put_in_place(&folder, &recording)
            } else if let Some(recording) = id(GROWING) {
                tracing::warn!(%recording, "a recording was being put together when the process died; its pieces lie where they were");
                fs::remove_dir_all(&folder)
            } else {
                Ok(())
            };
            if let Err(error) = ended {
                tracing::error!(folder = %folder.display(), %error, "a recording of several pieces cannot take its place; the next start tries again");
            }
        }
    }
    Ok(())
}

impl Growing {
    /// For the recording whose file belongs at `place`. What is left of a former attempt goes.
    pub(super) fn at(place: &Path, recording: &RecordingId) -> io::Result<Self> {
        let folder = place.with_file_name(format!(".{recording}{GROWING}"));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let path = folder.join(place.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        Ok(Self { folder, path, recording: recording.clone() })
    }

    pub(super) fn give_up(&self) {
        // The next start removes what is left.
        let _incomplete = fs::remove_dir_all(&self.folder);
    }

    /// The whole is complete, and made of these pieces, which go.
    pub(super) fn take_its_place(self, pieces: &[&str]) -> io::Result<()> {
        put_in_place(&self.complete(pieces)?, &self.recording)
    }

    /// From now on the whole is what counts, whatever happens. Its folder's new name.
    fn complete(&self, pieces: &[&str]) -> io::Result<PathBuf> {
        fs::write(self.folder.join(PIECES), pieces.join("\n"))?;
        for file in fs::read_dir(&self.folder)? {
            File::open(file?.path())?.sync_all()?;
        }
        File::open(&self.folder)?.sync_all()?;
        let complete = self.folder.with_extension(&COMPLETE[1..]);
        fs::rename(&self.folder, &complete)?;
        sync_folder_of(&complete)?;
        Ok(complete)
    }
}

/// Moves a whole from its folder to its place and removes its pieces. Safe to repeat at any point.
fn put_in_place(complete: &Path, recording: &RecordingId) -> io::Result<()> {
    let place = complete.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    let pieces = match fs::read_to_string(complete.join(PIECES)) {
        // It died when it removed the folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        pieces => pieces?,
    };
    for entry in fs::read_dir(complete)? {
        let entry = entry?;
        if entry.file_name() != PIECES {
            fs::rename(entry.path(), place.join(entry.file_name()))?;
        }
    }
    sync_folder_of(complete)?;
    for piece in pieces.lines().filter_map(|piece| RecordingId::parse(piece).ok()).filter(|piece| piece != recording) {
        if let Err(error) = remove(place, &piece) {
            tracing::error!(%recording, %piece, %error, "a part of a recording is in the whole and cannot be removed");
        }
    }
    fs::remove_dir_all(complete)
}

fn remove(folder: &Path, piece: &RecordingId) -> io::Result<()> {
    let mut removed = Ok(());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| piece.has_file(name)) {
            removed = fs::remove_file(entry.path()).and(removed);
        }
    }
    removed
}

/// Names must survive a power cut as well.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies there when the process dies at any moment, and what the next one makes of it.
    #[test]
    fn a_join_that_is_cut_off_leaves_its_pieces_and_one_that_was_complete_is_ended_by_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let day = root.path().join("2026-11-23");
        fs::create_dir(&day).unwrap();
        for piece in ["rec_1.wav", "rec_1-p1.wav", "rec_1-p1.json", "rec_12.wav"] {
            fs::write(day.join(piece), "piece").unwrap();
        }
        let (place, recording) = (day.join("rec_1.wav"), RecordingId::parse("rec_1").unwrap());
        let grow = || {
            let growing = Growing::at(&place, &recording).unwrap();
            fs::create_dir(&growing.folder).unwrap();
            for name in ["rec_1.wav", "rec_1.json"] {
                fs::write(growing.folder.join(name), "whole").unwrap();
            }
            growing
        };
        let lies_there = || {
            let names = fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            (names.join(" "), fs::read_to_string(&place).unwrap())
        };
        let told = |names: &str, what: &str| (names.to_owned(), what.to_owned());

        grow();
        finish_joins(root.path()).unwrap();
        assert_eq!(lies_there(), told("rec_1-p1.json rec_1-p1.wav rec_1.wav rec_12.wav", "piece"));

        let complete = grow().complete(&["rec_1", "rec_1-p1"]).unwrap();
        // It dies again when it had moved one file.
        fs::rename(complete.join("rec_1.wav"), &place).unwrap();
        finish_joins(root.path()).unwrap();
        assert_eq!(lies_there(), told("rec_1.json rec_1.wav rec_12.wav", "whole"));
        // And again when it was removing the folder.
        fs::create_dir(day.join(".rec_1.joined")).unwrap();
        finish_joins(root.path()).unwrap();
        assert_eq!(lies_there(), told("rec_1.json rec_1.wav rec_12.wav", "whole"));
    }
}
