//! Calls with all that was said in them, as one archive.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::runtime::Handle;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::Shared;
use super::exports::{HEADER, Names, cells};
use super::table::row;
use super::transcripts;
use crate::call::record::CallRecord;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::record::{Playback, part_path};
use crate::store::{CallFilter, Subject};
use crate::switchboard::Absent;

/// Files beside a recording: details, chain, manifest.
const PROOF: [&str; 3] = ["json", "chain", "manifest.json"];

/// The newest of a call; nobody has written more on one.
const NOTES_MAX: u32 = 500;

/// What the archive holds of one call: a line of `index.json`.
#[derive(Serialize)]
struct Held {
    call_id: CallId,
    /// In the call's folder.
    files: Vec<String>,
    /// Why a recording that is ready is not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_missing: Option<String>,
}

/// Writes the archive of all calls that pass the filter. `hears`: with recordings and what was made of them.
///
/// # Errors
/// When the database or the disk cannot be read, or a recording is in a store that does not answer; a recording that is
/// lost is passed over.
pub(super) fn write_archive(
    control: &Shared,
    runtime: &Handle,
    filter: Option<CallFilter>,
    hears: bool,
    out: impl Write,
) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(out);
    let names = runtime.block_on(Names::of(&control.store)).map_err(io::Error::other)?;
    let (mut table, mut index) = (row(&HEADER), Vec::new());
    let mut rest = filter;
    while let Some(filter) = rest {
        let page = runtime.block_on(control.store.calls(&filter)).map_err(io::Error::other)?;
        for call in &page.items {
            table.extend(row(&cells(call, &names)));
            let mut folder = Folder { zip: &mut zip, control, runtime, call, files: Vec::new() };
            folder.add("call.json", &serde_json::to_vec_pretty(call)?)?;
            folder.add_notes()?;
            let recording_missing = if hears { folder.add_what_was_said()? } else { None };
            index.push(Held { call_id: call.id.clone(), files: folder.files, recording_missing });
        }
        rest = page.next_cursor.map(|cursor| CallFilter { cursor: Some(cursor), ..filter });
    }
    for (name, bytes) in [("calls.csv", &table), ("index.json", &serde_json::to_vec_pretty(&index)?)] {
        zip.start_file(name, small())?;
        zip.write_all(bytes)?;
    }
    zip.finish()?.into_inner().flush()
}

/// One call's folder in the archive.
struct Folder<'a, W: Write> {
    zip: &'a mut ZipWriter<StreamWriter<W>>,
    control: &'a Shared,
    runtime: &'a Handle,
    call: &'a CallRecord,
    files: Vec<String>,
}

impl<W: Write> Folder<'_, W> {
    fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.start(name, small())?;
        self.zip.write_all(bytes)
    }

    fn start(&mut self, name: &str, options: SimpleFileOptions) -> io::Result<()> {
        self.files.push(name.to_owned());
        Ok(self.zip.start_file(format!("{}/{name}", self.call.id), options)?)
    }

    fn add_notes(&mut self) -> io::Result<()> {
        let about = Subject::Call(self.call.id.clone());
        let notes = self.runtime.block_on(self.control.store.notes(&about, None, NOTES_MAX, None));
        match notes.map_err(io::Error::other)?.items.as_slice() {
            [] => Ok(()),
            notes => self.add("notes.json", &serde_json::to_vec_pretty(notes)?),
        }
    }

    /// Returns why there is no recording, if there ought to be one.
    fn add_what_was_said(&mut self) -> io::Result<Option<String>> {
        let (id, store) = (&self.call.id, &self.control.store);
        if let Some(kept) = self.runtime.block_on(store.transcript(id)).map_err(io::Error::other)? {
            self.add("transcript.json", &serde_json::to_vec_pretty(&kept.segments)?)?;
            self.add("transcript.txt", transcripts::plain(&kept.segments).as_bytes())?;
        }
        let summary = self.runtime.block_on(store.summary(id)).map_err(io::Error::other)?;
        if let Some(summary) = summary.and_then(|kept| kept.summary) {
            self.add("summary.json", &serde_json::to_vec_pretty(&summary)?)?;
        }
        if self.call.recording.state != RecordingState::Ready {
            return Ok(None);
        }
        let missing = self.add_recording()?;
        if let Some(why) = &missing {
            tracing::error!(call = %id, why, "an export lacks a recording");
        }
        Ok(missing)
    }

    fn add_recording(&mut self) -> io::Result<Option<String>> {
        let (id, folder) = (&self.call.id, &self.control.recordings_dir);
        let Some(file) = self.runtime.block_on(self.control.store.recording(id)).map_err(io::Error::other)? else {
            return Ok(Some(Absent::Gone.to_string()));
        };
        let here = beneath(folder, &file.path);
        let back = match here {
            Some(_) => None,
            None => match self.runtime.block_on(self.control.switchboard.bring_back_for_certain(id)) {
                Ok(path) => beneath(folder, &path),
                // Asking again does not help, and it must not cost all the others.
                Err(absent @ (Absent::Gone | Absent::Lost(_))) => return Ok(Some(absent.to_string())),
                Err(error @ (Absent::Away(_) | Absent::OnItsWay)) => return Err(io::Error::other(error)),
            },
        };
        let was_stored = back.is_some();
        let Some(path) = here.or(back) else { return Ok(Some(Absent::Gone.to_string())) };
        let missing = self.add_files(&path)?;
        if was_stored {
            // All recordings of an archive need not find room on the local disk at once.
            self.runtime.block_on(self.control.switchboard.done_with(id)).map_err(io::Error::other)?;
        }
        Ok(missing)
    }

    fn add_files(&mut self, path: &Path) -> io::Result<Option<String>> {
        let mut parts = Vec::new();
        for part in (1..).map(|part| part_path(path, part)).take_while(|part| parts_begin(part, path)) {
            let opened = Playback::open(&part, &self.control.vault).map_err(io::Error::from);
            match opened.and_then(|mut sound| sound.check().map(|()| sound)) {
                Ok(sound) => parts.push((part, sound)),
                Err(error) => return Ok(Some(error.to_string())),
            }
        }
        // Speech hardly shrinks, and more than 4 GiB are announced beforehand.
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        for (part, mut sound) in parts {
            self.start(&exported(&part), options)?;
            io::copy(&mut sound, self.zip)?;
        }
        // What `tandem verify` holds it against, under the same name.
        for extension in PROOF {
            match std::fs::read(path.with_extension(extension)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                bytes => self.add(&format!("recording.{extension}"), &bytes?)?,
            }
        }
        Ok(None)
    }
}

/// The first part is to be there; whether there are more shows.
fn parts_begin(part: &Path, first: &Path) -> bool {
    part == first || part.exists()
}

/// `rec_x.part2.wav` is `recording.part2.wav` in the archive.
fn exported(part: &Path) -> String {
    let name = part.file_name().unwrap_or_default().to_string_lossy();
    name.split_once('.').map_or_else(|| "recording".to_owned(), |(_, rest)| format!("recording.{rest}"))
}

fn small() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

/// `None` if it is gone, or not beneath the recordings' folder.
fn beneath(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = folder.join(path).canonicalize().ok()?;
    path.starts_with(folder.canonicalize().ok()?).then_some(path)
}
