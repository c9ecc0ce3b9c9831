//! What a worker owes its gateways: recordings, from their first byte until the gateway has them safe.
//!
//! One small file per recording in `<data_dir>/outbox`, so that a worker which dies and comes back knows what it has. What
//! counts meanwhile is kept in memory; a thread of its own brings the files up to date, again and again if it must: a disk
//! that stalls holds up no call, and one that is full for a while loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control::{Delivery, FileEntry, Outcome};
use super::{durable, lock};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Format};
use crate::model::time::Timestamp;

/// Between attempts at a disk that takes nothing.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Makes a recording playable that a crash cut off, and tells what it is.
pub(super) type Mend<'a> = dyn Fn(&Cut<'_>) -> Result<Outcome, String> + 'a;

/// A recording that a crash cut off.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    pub call: &'a CallId,
    pub recording: &'a RecordingId,
    pub started: Timestamp,
    pub path: &'a Path,
    /// What was announced before it.
    pub consent: Option<&'a Consent>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while files are written or removed, so that none comes back.
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<RecordingId, Entry>,
    /// Whose files are not up to date.
    unwritten: BTreeSet<RecordingId>,
    closed: bool,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) consent: Option<Consent>,
    /// `None` while it runs.
    pub(super) outcome: Option<Outcome>,
}

/// What waits to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) recordings: usize,
    pub(super) bytes: u64,
}

impl Outbox {
    /// Reads what a former process left, and mends what it was still writing.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(dir: PathBuf, mend: &Mend<'_>) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let mut state = State::default();
        for file in std::fs::read_dir(&dir)? {
            let file = file?;
            let path = file.path();
            if file.file_name().to_string_lossy().starts_with(durable::LEFT) {
                std::fs::remove_file(&path)?;
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice::<Entry>(&std::fs::read(&path)?) {
                Ok(entry) => drop(state.entries.insert(entry.recording.clone(), entry)),
                Err(error) => tracing::error!(path = %path.display(), %error, "not an entry of the outbox; left alone"),
            }
        }
        for entry in state.entries.values_mut().filter(|entry| entry.outcome.is_none()) {
            let Entry { call, recording, started, path, consent, .. } = &*entry;
            let cut = Cut { call, recording, started: *started, path, consent: consent.as_ref() };
            entry.outcome = Some(mend(&cut).unwrap_or_else(|error| {
                tracing::error!(%recording, error, "a recording that was cut off cannot be mended");
                Outcome { error: Some(error), ..Outcome::default() }
            }));
            state.unwritten.insert(entry.recording.clone());
        }
        let (state, changed, disk) = (Mutex::new(state), Condvar::new(), Mutex::default());
        let shared = Arc::new(Shared { dir, state, changed, disk });
        shared.write()?;
        let writing = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || writing.keep_written())?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// A recording begins. False: one of that name is here already, and nothing is changed. Never waits for the disk.
    #[must_use]
    pub(super) fn begin(&self, entry: Entry) -> bool {
        let mut state = lock(&self.shared.state);
        let new = !state.entries.contains_key(&entry.recording);
        if new {
            state.put(entry);
            self.shared.changed.notify_one();
        }
        new
    }

    /// What became of it. False: there is no such entry. Never waits for the disk.
    pub(super) fn finish(&self, recording: &RecordingId, outcome: Outcome) -> bool {
        let mut state = lock(&self.shared.state);
        let Some(entry) = state.entries.get(recording).cloned() else { return false };
        state.put(Entry { outcome: Some(outcome), ..entry });
        self.shared.changed.notify_one();
        true
    }

    /// Whether it is owed to somebody.
    pub(super) fn has(&self, recording: &RecordingId) -> bool {
        lock(&self.shared.state).entries.contains_key(recording)
    }

    /// What can be delivered to this gateway.
    pub(super) fn pending(&self, gateway: &str) -> Vec<Entry> {
        let state = lock(&self.shared.state);
        let entries = state.entries.values();
        entries.filter(|entry| entry.gateway == gateway && entry.outcome.is_some()).cloned().collect()
    }

    pub(super) fn waiting(&self) -> Waiting {
        let state = lock(&self.shared.state);
        let done = state.entries.values().filter_map(|entry| entry.outcome.as_ref());
        done.fold(Waiting::default(), |all, one| Waiting {
            recordings: all.recordings + 1,
            bytes: all.bytes.saturating_add(one.bytes),
        })
    }

    /// The gateway has it: the files go first, so that a crash in between only delivers again. Waits for the disk.
    pub(super) fn remove(&self, recording: &RecordingId, gateway: &str) -> io::Result<bool> {
        let _disk = lock(&self.shared.disk);
        let found = lock(&self.shared.state).entries.get(recording).filter(|entry| entry.gateway == gateway).cloned();
        let Some(entry) = found else { return Ok(false) };
        for name in entry.files()? {
            std::fs::remove_file(entry.path.with_file_name(name))?;
        }
        match std::fs::remove_file(self.shared.file(recording)) {
            // It was never written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        let mut state = lock(&self.shared.state);
        state.entries.remove(recording);
        state.unwritten.remove(recording);
        Ok(true)
    }

    /// Brings every file up to date before it returns.
    ///
    /// # Errors
    /// What the disk says; it is tried again meanwhile.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.shared.write()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the outbox's writer had panicked");
        }
    }
}

impl State {
    fn put(&mut self, entry: Entry) {
        self.unwritten.insert(entry.recording.clone());
        self.entries.insert(entry.recording.clone(), entry);
    }
}

impl Shared {
    /// The writer's thread.
    fn keep_written(&self) {
        let mut failing = false;
        loop {
            let state = lock(&self.state);
            let idle = |state: &mut State| state.unwritten.is_empty() && !state.closed;
            let state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let closed = state.closed;
            drop(state);
            if let Err(error) = self.write() {
                if !failing {
                    tracing::error!(dir = %self.dir.display(), %error, "the outbox cannot be written; a crash now would lose sight of recordings, so it is tried again");
                }
                failing = true;
                if !closed {
                    std::thread::sleep(WRITE_AGAIN);
                }
            } else if std::mem::take(&mut failing) {
                tracing::info!(dir = %self.dir.display(), "the outbox is written again");
            }
            if closed {
                return;
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        let _disk = lock(&self.disk);
        let mut state = lock(&self.state);
        let due = std::mem::take(&mut state.unwritten);
        let entries: Vec<Entry> = due.iter().filter_map(|recording| state.entries.get(recording)).cloned().collect();
        drop(state);
        let write = |entry: &Entry| durable::write(&self.file(&entry.recording), &serde_json::to_vec(entry)?);
        let written = entries.iter().try_for_each(write);
        if written.is_err() {
            lock(&self.state).unwritten.extend(due);
        }
        written
    }

    fn file(&self, recording: &RecordingId) -> PathBuf {
        self.dir.join(format!("{recording}.json"))
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

    /// The beginning of `rec_1`.
    fn entry(path: &Path) -> Entry {
        Entry {
            gateway: "gw_1".to_owned(),
            call: CallId::generate(),
            recording: RecordingId::parse("rec_1").unwrap(),
            started: Timestamp::from_millis(1_000),
            path: path.to_owned(),
            consent: None,
            outcome: None,
        }
    }

    #[test]
    fn a_worker_that_died_knows_what_it_owes_and_forgets_only_what_is_safe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recordings/rec_1.wav");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for name in ["rec_1.wav", "rec_1.json", "rec_1-p1.wav", "rec_12.wav"] {
            std::fs::write(path.with_file_name(name), name).unwrap();
        }
        let id = RecordingId::parse("rec_1").unwrap();
        let entry = entry(&path);
        let mended = Outcome { duration_ms: 70, ..Outcome::default() };
        let open = || {
            let mended = mended.clone();
            Outbox::open(dir.path().join("outbox"), &move |_| Ok(mended.clone())).unwrap()
        };
        let outbox = open();
        assert!(outbox.begin(entry.clone()));
        assert!(!outbox.begin(Entry { gateway: "gw_2".to_owned(), ..entry.clone() }), "the name is taken");
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
        assert_eq!(open().waiting(), Waiting::default());
    }

    #[test]
    fn a_disk_that_takes_nothing_for_a_while_loses_no_recording() {
        let dir = tempfile::tempdir().unwrap();
        let outbox_dir = dir.path().join("outbox");
        let open = || Outbox::open(outbox_dir.clone(), &|_| Err("it had ended".to_owned())).unwrap();
        let outbox = open();
        std::fs::remove_dir(&outbox_dir).unwrap();
        let id = RecordingId::parse("rec_1").unwrap();
        let entry = entry(&dir.path().join("rec_1.wav"));
        assert!(outbox.begin(entry.clone()));
        outbox.flush().unwrap_err();
        let outcome = Outcome { duration_ms: 70, bytes: 9, ..Outcome::default() };
        assert!(outbox.finish(&id, outcome.clone()));
        outbox.flush().unwrap_err();
        assert_eq!(outbox.pending("gw_1").len(), 1, "it is delivered all the same");
        assert_eq!(outbox.waiting(), Waiting { recordings: 1, bytes: 9 });
        std::fs::create_dir(&outbox_dir).unwrap();
        outbox.flush().unwrap();
        drop(outbox);
        assert_eq!(open().pending("gw_1"), [Entry { outcome: Some(outcome), ..entry }]);
    }
}
