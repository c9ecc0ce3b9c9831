//! What a worker owes its gateways: recordings, from their first byte until the gateway has them safe.
//!
//! One small file per recording in `<data_dir>/outbox`, so that a worker which dies and comes back knows what it has.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::control::{Delivery, FileEntry, Outcome};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Format;
use crate::model::time::Timestamp;

/// Makes a recording playable that a crash cut off, and tells what it is.
pub(super) type Mend<'a> = dyn Fn(&Cut<'_>) -> Result<Outcome, String> + 'a;

/// A recording that a crash cut off.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    pub call: &'a CallId,
    pub recording: &'a RecordingId,
    pub started: Timestamp,
    pub path: &'a Path,
}

#[derive(Debug)]
pub(super) struct Outbox {
    dir: PathBuf,
    entries: Mutex<BTreeMap<RecordingId, Entry>>,
}

/// One recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whose it is.
    pub(super) gateway: String,
    pub(super) call: CallId,
    pub(super) recording: RecordingId,
    pub(super) started: Timestamp,
    pub(super) path: PathBuf,
    /// `None` while it runs.
    pub(super) outcome: Option<Outcome>,
}

impl Outbox {
    /// Reads what a former process left, and mends what it was still writing.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(dir: PathBuf, mend: &Mend<'_>) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let outbox = Self { dir, entries: Mutex::default() };
        for file in std::fs::read_dir(&outbox.dir)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice::<Entry>(&std::fs::read(&path)?) {
                Ok(entry) => {
                    outbox.entries().insert(entry.recording.clone(), entry);
                }
                Err(error) => tracing::error!(path = %path.display(), %error, "not an entry of the outbox; left alone"),
            }
        }
        let cut: Vec<Entry> = outbox.entries().values().filter(|entry| entry.outcome.is_none()).cloned().collect();
        for entry in cut {
            let Entry { call, recording, started, path, .. } = &entry;
            let outcome = mend(&Cut { call, recording, started: *started, path }).unwrap_or_else(|error| {
                tracing::error!(recording = %entry.recording, error, "a recording that was cut off cannot be mended");
                Outcome { error: Some(error), ..Outcome::default() }
            });
            outbox.finish(&entry.recording, outcome)?;
        }
        Ok(outbox)
    }

    pub(super) fn begin(&self, entry: Entry) -> io::Result<()> {
        self.write(&entry)?;
        self.entries().insert(entry.recording.clone(), entry);
        Ok(())
    }

    /// What became of it. The gateway it is for, `None` if there is no such entry.
    pub(super) fn finish(&self, recording: &RecordingId, outcome: Outcome) -> io::Result<Option<String>> {
        let Some(entry) = self.entries().get_mut(recording).map(|entry| {
            entry.outcome = Some(outcome);
            entry.clone()
        }) else {
            return Ok(None);
        };
        self.write(&entry)?;
        Ok(Some(entry.gateway))
    }

    /// What can be delivered to this gateway.
    pub(super) fn pending(&self, gateway: &str) -> Vec<Entry> {
        let entries = self.entries();
        entries.values().filter(|entry| entry.gateway == gateway && entry.outcome.is_some()).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries().values().filter(|entry| entry.outcome.is_some()).count()
    }

    /// The gateway has it: the files go first, so that a crash in between only delivers again.
    pub(super) fn remove(&self, recording: &RecordingId, gateway: &str) -> io::Result<bool> {
        let found = self.entries().get(recording).filter(|entry| entry.gateway == gateway).cloned();
        let Some(entry) = found else { return Ok(false) };
        for name in entry.files()? {
            let file = entry.path.with_file_name(name);
            std::fs::remove_file(file)?;
        }
        std::fs::remove_file(self.file(recording))?;
        self.entries().remove(recording);
        Ok(true)
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let path = self.file(&entry.recording);
        let next = path.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(entry)?)?;
        std::fs::rename(next, path)
    }

    fn file(&self, recording: &RecordingId) -> PathBuf {
        self.dir.join(format!("{recording}.json"))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<RecordingId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(super) fn delivery(&self) -> io::Result<Option<Delivery>> {
        let Some(outcome) = self.outcome.clone() else { return Ok(None) };
        let files = self.files()?.into_iter().map(|name| FileEntry { name, bytes: 0 }).collect();
        let (call, recording) = (self.call.clone(), self.recording.clone());
        let format = Format::of(&self.path);
        Ok(Some(Delivery { call, recording, started: self.started, format, outcome, files }))
    }

    /// Names of all files of the recording: its sound, further parts, what else the recorder put beside them.
    fn files(&self) -> io::Result<Vec<String>> {
        let folder = match self.path.parent().map(std::fs::read_dir) {
            Some(Ok(folder)) => folder,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(Vec::new()),
        };
        let mut names = Vec::new();
        for file in folder {
            if let Ok(name) = file?.file_name().into_string()
                && self.recording.has_file(&name)
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_died_knows_what_it_owes_and_forgets_only_what_is_safe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recordings/rec_1.wav");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for name in ["rec_1.wav", "rec_1.json", "rec_1-p1.wav", "rec_12.wav"] {
            std::fs::write(path.with_file_name(name), name).unwrap();
        }
        let id = RecordingId::parse("rec_1").unwrap();
        let entry = Entry {
            gateway: "gw_1".to_owned(),
            call: CallId::generate(),
            recording: id.clone(),
            started: Timestamp::from_millis(1_000),
            path: path.clone(),
            outcome: None,
        };
        let mended = Outcome { duration_ms: 70, ..Outcome::default() };
        let open = || {
            let mended = mended.clone();
            Outbox::open(dir.path().join("outbox"), &move |_| Ok(mended.clone())).unwrap()
        };
        let outbox = open();
        outbox.begin(entry.clone()).unwrap();
        assert!(outbox.pending("gw_1").is_empty(), "it runs");
        drop(outbox);

        let outbox = open();
        assert_eq!(outbox.pending("gw_1"), [Entry { outcome: Some(mended.clone()), ..entry }]);
        assert!(outbox.pending("gw_2").is_empty());
        let delivery = outbox.pending("gw_1")[0].delivery().unwrap().unwrap();
        assert_eq!(
            delivery.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["rec_1.json", "rec_1.wav"]
        );

        assert!(!outbox.remove(&id, "gw_2").unwrap(), "another's word is none");
        assert!(path.exists());
        assert!(outbox.remove(&id, "gw_1").unwrap());
        assert!(!path.exists() && path.with_file_name("rec_1-p1.wav").exists());
        drop(outbox);
        assert_eq!(open().len(), 0);
    }
}
