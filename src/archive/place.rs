//! Where the files of one recording lie, and which of them are its own.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::model::id::RecordingId;
use crate::model::recording::StoredFile;

/// The recording's path does not name a file of its own in a folder of a day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is no place of a recording of ours; it is left alone", .0.display())]
pub struct NotOurs(PathBuf);

/// The local files of one recording: all that bear its id in the folder of its day, and its pieces'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// All recordings lie beneath it.
    root: PathBuf,
    day: String,
    /// What is served; the others lie beside it.
    main: String,
    id: RecordingId,
}

impl Place {
    /// `root`: the folder of all recordings; `path`: as the recorder was told, of which only folder and name count, so that
    /// the data folder may be moved.
    ///
    /// # Errors
    /// [`NotOurs`] when the path does not end in a day's folder and a file that begins with the id: nothing else is ever
    /// moved or deleted.
    pub fn of(root: &Path, path: &Path, id: &RecordingId) -> Result<Self, NotOurs> {
        let last = |component: Option<Component<'_>>| match component {
            Some(Component::Normal(name)) => name.to_str().map(str::to_owned),
            _ => None,
        };
        let mut components = path.components().rev();
        let (main, day) = (last(components.next()), last(components.next()));
        match (main, day) {
            (Some(main), Some(day)) if id.has_file(&main) => {
                Ok(Self { root: root.to_owned(), day, main, id: id.clone() })
            }
            _ => Err(NotOurs(path.to_owned())),
        }
    }

    pub fn day(&self) -> &str {
        &self.day
    }

    /// The file that is played.
    pub fn path(&self) -> PathBuf {
        self.folder().join(&self.main)
    }

    /// Where one of its files lies.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What is played is there; then the rest is too, because it comes last and goes first.
    pub fn is_here(&self) -> bool {
        self.path().is_file()
    }

    /// Names of what is there, what is played first. None if the folder is not there.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            // No folder and no link: those are not ours.
            if entry.file_type()?.is_file()
                && let Some(name) = entry.file_name().to_str().filter(|name| self.owns(name))
            {
                names.push(name.to_owned());
            }
        }
        names.sort_by_key(|name| (*name != self.main, name.clone()));
        Ok(names)
    }

    /// Removes what is there, what is played first. Gone already is fine. Returns how many files went.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file in it not be removed.
    pub fn remove(&self) -> io::Result<usize> {
        let names = self.names()?;
        for name in &names {
            match fs::remove_file(self.path_of(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // Succeeds only for the last recording of the day.
        let _ = fs::remove_dir(self.folder());
        Ok(names.len())
    }

    /// Removes what is there because the store has it: all of it, or nothing. Returns the names of what stands against that,
    /// because it is not among `stored`, or not of that length.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn spare(&self, stored: &[StoredFile]) -> io::Result<Vec<String>> {
        let mut unstored = Vec::new();
        for name in self.names()? {
            let bytes = fs::metadata(self.path_of(&name))?.len();
            if !stored.iter().any(|file| file.name == name && file.bytes == bytes) {
                unstored.push(name);
            }
        }
        if unstored.is_empty() {
            self.remove()?;
        }
        Ok(unstored)
    }

    /// Whether a file of this name is this recording's, or one of its pieces'.
    pub(super) fn owns(&self, name: &str) -> bool {
        self.id.owns_file(name)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.join(&self.day)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RecordingId {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_named_by_folder_and_file_and_nothing_else_is_one() {
        let (root, rec) = (Path::new("/data/recordings"), id("rec_1"));
        for path in
            ["/data/recordings/2026-11-22/rec_1.wav", "data/recordings/2026-11-22/rec_1.wav", "2026-11-22/rec_1.wav"]
        {
            let place = Place::of(root, Path::new(path), &rec).unwrap();
            assert_eq!(place.path(), Path::new("/data/recordings/2026-11-22/rec_1.wav"), "{path}");
        }
        for path in [
            "rec_1.wav",
            "../rec_1.wav",
            "/rec_1.wav",
            "2026-11-22/rec_11.wav",
            "2026-11-22/..",
            "",
            "2026-11-22/rec_1",
        ] {
            assert_eq!(Place::of(root, Path::new(path), &rec), Err(NotOurs(path.into())), "{path}");
        }
    }

    #[test]
    fn pieces_and_what_came_late_go_with_their_recording() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("2026-11-22");
        fs::create_dir_all(&folder).unwrap();
        for name in
            ["rec_1.wav", "rec_1-p0.wav", "rec_1-p1.json", "rec_1-late.wav", "rec_1-p1-late.wav", "rec_1-pp.wav"]
        {
            fs::write(folder.join(name), name).unwrap();
        }
        let place = Place::of(root.path(), &folder.join("rec_1.wav"), &id("rec_1")).unwrap();
        assert_eq!(place.remove().unwrap(), 5);
        assert!(folder.join("rec_1-pp.wav").exists());
    }

    #[test]
    fn local_files_are_spared_only_if_the_store_has_each_of_them_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("2026-11-22");
        fs::create_dir_all(&folder).unwrap();
        let place = Place::of(root.path(), &folder.join("rec_1.wav"), &id("rec_1")).unwrap();
        let stored =
            |name: &str, bytes| StoredFile { name: name.to_owned(), key: String::new(), bytes, sha256: String::new() };
        let (sound, late) = (stored("rec_1.wav", 5), stored("rec_1-late.wav", 4));
        fs::write(place.path(), "sound").unwrap();
        fs::write(folder.join("rec_1-late.wav"), "late").unwrap();
        let spare = |stored: &[StoredFile]| place.spare(stored).unwrap();
        assert_eq!(spare(&[]), ["rec_1.wav", "rec_1-late.wav"]);
        assert_eq!(spare(std::slice::from_ref(&sound)), ["rec_1-late.wav"]);
        assert_eq!(spare(&[stored("rec_1.wav", 4), late.clone()]), ["rec_1.wav"]);
        assert!(place.is_here() && place.names().unwrap().len() == 2);
        assert_eq!(spare(&[sound.clone(), late, stored("rec_1.json", 9)]), [""; 0], "gone before is fine");
        assert_eq!((place.is_here(), spare(&[sound])), (false, Vec::new()));
    }

    #[test]
    fn only_its_own_files_go_and_what_is_played_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("2026-11-22");
        fs::create_dir_all(folder.join("rec_1.folder")).unwrap();
        let others = ["rec_11.wav", "rec_2.wav", "notes.txt", "xrec_1.wav"];
        for name in others.iter().chain(&["rec_1.json", "rec_1.wav", "rec_1.part2.wav"]) {
            fs::write(folder.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.join("rec_1.link")).unwrap();
        let place = Place::of(root.path(), &folder.join("rec_1.wav"), &id("rec_1")).unwrap();
        assert!(place.is_here());
        assert_eq!(place.names().unwrap(), ["rec_1.wav", "rec_1.json", "rec_1.part2.wav"]);
        assert_eq!(place.remove().unwrap(), 3);
        assert_eq!((place.is_here(), place.remove().unwrap()), (false, 0));
        for name in others {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert!(folder.join("rec_1.link").is_symlink() && folder.join("rec_1.folder").is_dir());
    }
}
