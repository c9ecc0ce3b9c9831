//! Finished recordings: into the object store, off the local disk after a while, back when somebody listens, and away for
//! good when their time is over. A store that is slow or away holds up nothing but this: no call, no recorder, no listener
//! to what is here. What failed comes again, ever more seldom, for as long as it takes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::{JoinError, JoinSet};

use super::bring_back::Fetches;
use super::{Desk, Refusal, Switchboard};
use crate::archive::{Archive, ArchiveError, NotOurs, Place};
use crate::model::directory::Asker;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::recording::StoredFile;
use crate::model::time::Timestamp;
use crate::store::{Kept, StoreError};

/// Between two looks for recordings to be uploaded.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks for files to be removed.
const SWEEP: Duration = Duration::from_secs(5);
/// After a first failure; doubled with each further one.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A store that comes back is found within minutes.
const AGAIN_MAX: Duration = Duration::from_secs(600);
/// Deletions at once.
const PURGES_MAX: usize = 8;
/// Failures in a row before it is told: some two minutes. Whatever is shorter than that is mended by the next try.
const TELL_AT: u32 = 5;
/// A recording that was brought back stays at least so long: players ask for it piece by piece. One whose files cannot be
/// spared is looked at again then.
pub(super) const FETCHED_KEPT: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Figures for the metrics; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepingStats {
    /// Finished recordings that are not in the store, and how long ago the call of the oldest of them ended. 0 without a
    /// store.
    pub waiting: u64,
    pub oldest_waiting: Duration,
    pub stored: u64,
    pub stored_bytes: u64,
    pub store_failures: u64,
    /// From the end of the call to the proof: of all that were stored since the start, and the last of them.
    pub stored_after_total: Duration,
    pub stored_after_last: Duration,
    pub fetched: u64,
    pub fetched_bytes: u64,
    pub fetch_failures: u64,
    /// Recordings whose local files went because the store has them.
    pub spared: u64,
    /// Recordings whose last file is gone.
    pub deleted: u64,
    pub delete_failures: u64,
    /// Recordings of which files lie here that the books know nothing of, as of the last look; the log names them.
    pub strays: u64,
    /// Half-written files, and files of deleted recordings, that were found and removed.
    pub leftovers_removed: u64,
}

/// What the steps of keeping share.
#[derive(Default)]
pub(super) struct Keeping {
    /// One at a time for each recording: it is not uploaded while it is deleted.
    turns: Mutex<HashMap<CallId, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) fetches: Fetches,
    stats: Mutex<KeepingStats>,
}

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{}", .0.told())]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Place(#[from] NotOurs),
    #[error("its file is gone")]
    Gone,
    #[error("there is nothing of it")]
    Nothing,
    #[error("its files are in {0}, which recording.store does not name any more; set it back")]
    Elsewhere(String),
    #[error("{0}")]
    Local(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    pub(super) fn local(error: std::io::Error) -> Self {
        Self::Local(format!("the local files: {error}"))
    }
}

impl Switchboard {
    pub fn keeping_stats(&self) -> KeepingStats {
        *self.0.keeping.stats()
    }

    /// Deletes a finished recording wherever it is. Nobody gets it from now on; the files go within seconds or, where the
    /// store is away, as soon as it is back.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] when it is not finished, or is held.
    pub async fn delete_recording(&self, call: &CallId, by: &Asker) -> Result<(), Refusal> {
        let store = &self.0.parts.store;
        if store.delete_recording(call, Some(by)).await? {
            return Ok(());
        }
        match store.recording(call).await?.map(|file| file.state) {
            None | Some(RecordingState::None) => Err(Refusal::NotFound),
            Some(RecordingState::Deleted) => Ok(()),
            Some(state) if state.is_open() => Err(Refusal::WrongState("the call is still being recorded".to_owned())),
            Some(_) => Err(Refusal::WrongState("the recording is held: release it first".to_owned())),
        }
    }

    /// Keeps a recording whatever its age (`held`), or no longer.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when there is none.
    pub async fn hold_recording(&self, call: &CallId, held: bool, by: &Asker) -> Result<(), Refusal> {
        let desk = &self.0;
        let events = desk.parts.store.hold_recording(call, held, by, desk.parts.clock.now().wall).await?;
        desk.publish(events.ok_or(Refusal::NotFound)?);
        Ok(())
    }
}

/// Uploads for as long as there is a desk.
pub(super) async fn run_uploads(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut uploads = Steps::default();
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = uploads.one_done() => {}
        }
        let Some(desk) = desk.upgrade() else { return };
        let Some(archive) = &desk.parts.archive else { return };
        let at_once = usize::try_from(desk.parts.uploads_max).unwrap_or(usize::MAX);
        match desk.due_uploads().await {
            Ok(due) => uploads.begin(due, at_once, |kept| {
                let (desk, archive) = (Arc::clone(&desk), archive.clone());
                async move { desk.upload(&archive, &kept).await }
            }),
            Err(error) => tracing::warn!(%error, "recordings to be stored cannot be read"),
        }
    }
}

/// Removes files for as long as there is a desk: of recordings that are stored, and of those whose time is over.
pub(super) async fn run_sweeps(desk: Weak<Desk>) {
    let mut sweeps = tokio::time::interval(SWEEP);
    sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut purges = Steps::default();
    loop {
        // A store that hangs holds up the purges under way, and no sweep.
        let ticked = tokio::select! {
            _ = sweeps.tick() => true,
            () = purges.one_done() => false,
        };
        let Some(desk) = desk.upgrade() else { return };
        if ticked && let Err(error) = desk.sweep().await {
            tracing::warn!(%error, "recordings whose time is over cannot be read");
        }
        if !ticked && !purges.tasks.is_empty() {
            continue;
        }
        match desk.parts.store.due_purges(desk.parts.clock.now().wall).await {
            Ok(due) => purges.begin(due, PURGES_MAX, |kept| {
                let desk = Arc::clone(&desk);
                async move { desk.purge(&kept.call).await }
            }),
            Err(error) => tracing::warn!(%error, "recordings to be deleted cannot be read"),
        }
    }
}

/// Steps under way, one of a recording at a time: the books say that it is due until it is done.
#[derive(Default)]
struct Steps {
    tasks: JoinSet<CallId>,
    under_way: HashSet<CallId>,
}

impl Steps {
    /// Begins those that are not under way, as far as there may be so many at once.
    fn begin<F>(&mut self, due: Vec<Kept>, at_once: usize, step: impl Fn(Kept) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        for kept in due {
            if self.tasks.len() >= at_once {
                return;
            }
            let call = kept.call.clone();
            if self.under_way.insert(call.clone()) {
                let step = step(kept);
                self.tasks.spawn(async move {
                    step.await;
                    call
                });
            }
        }
    }

    /// Comes back when one has ended; never while there is none.
    async fn one_done(&mut self) {
        let Some(done) = self.tasks.join_next().await else { return std::future::pending().await };
        self.note(done);
    }

    fn note(&mut self, done: Result<CallId, JoinError>) {
        match done {
            Ok(call) => drop(self.under_way.remove(&call)),
            // Which it was is not known; none may stay barred.
            Err(_) => self.under_way.clear(),
        }
    }
}

impl Desk {
    async fn due_uploads(&self) -> Result<Vec<Kept>, StoreError> {
        let (store, now) = (&self.parts.store, self.parts.clock.now().wall);
        store.enter_finished(now).await?;
        let figures = store.keeping_figures().await?;
        self.keeping.note_waiting(figures.waiting, figures.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest)));
        store.due_uploads(now).await
    }

    async fn upload(&self, archive: &Archive, kept: &Kept) {
        let _turn = self.keeping.turn(&kept.call).await;
        let stored = async {
            let bytes = self.send(archive, kept).await?;
            let now = self.parts.clock.now().wall;
            let events = self.parts.store.put_stored(&kept.call, bytes, now).await?;
            // Deleted while it was under way: it goes again.
            let told = !events.is_empty();
            self.publish(events);
            Ok::<_, Failure>(told.then(|| (bytes, now.since(kept.finished_at))))
        };
        match stored.await {
            Ok(Some((bytes, after))) => {
                let mut stats = self.keeping.stats();
                stats.stored += 1;
                stats.stored_bytes += bytes;
                stats.stored_after_total += after;
                stats.stored_after_last = after;
                tracing::info!(call = %kept.call, bytes, "a recording is stored");
            }
            Ok(None) => {}
            // What failed for want of its worker may still come, and is then due again.
            Err(Failure::Nothing) => {
                if let Err(error) = self.parts.store.note_local(&kept.call, None).await {
                    tracing::warn!(call = %kept.call, %error, "that there is no recording to be stored could not be kept");
                }
            }
            Err(error) => {
                self.keeping.stats().store_failures += 1;
                self.put_off(kept, "recording.store_failed", &error).await;
            }
        }
    }

    /// Sends each file and has it proven; returns how many bytes they are.
    async fn send(&self, archive: &Archive, kept: &Kept) -> Result<u64, Failure> {
        let (store, call) = (&self.parts.store, &kept.call);
        let place = self.place(kept)?;
        let mut names = on_disk(&place, Place::names).await?;
        // Nothing is never "stored": what still comes would be spared as proven.
        match kept.file.state {
            RecordingState::Failed if names.is_empty() && kept.files.is_empty() => return Err(Failure::Nothing),
            _ if names.is_empty() => return Err(Failure::Gone),
            RecordingState::Ready if !place.is_here() => return Err(Failure::Gone),
            _ => {}
        }
        store.begin_upload(call, archive.url()).await?;
        let known = kept.store.as_deref() == Some(archive.url());
        let known = |name: &str| kept.files.iter().find(|(file, _)| known && file.name == name);
        // One that was there and is not any more must not be taken for stored.
        names.extend(kept.files.iter().map(|(file, _)| file.name.clone()).filter(|name| known(name).is_some()));
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let mut bytes = 0;
        for name in names {
            let (path, key) = (place.path_of(&name), archive.key(&place, &name));
            let from = known(&name).map(|(_, progress)| progress.clone());
            let mut upload = archive.upload(&path, key.clone(), from).await?;
            let (size, sha256) = (upload.progress().bytes, upload.progress().sha256.clone());
            let file = StoredFile { name, key, bytes: size, sha256 };
            store.note_upload(call, &file, upload.progress()).await?;
            loop {
                let more = upload.advance().await;
                store.note_upload(call, &file, upload.progress()).await?;
                if !more? {
                    break;
                }
            }
            bytes += size;
        }
        Ok(bytes)
    }

    async fn put_off(&self, kept: &Kept, kind: &'static str, error: &Failure) {
        let (call, error, attempts) = (&kept.call, error.to_string(), kept.attempts + 1);
        tracing::warn!(%call, error, attempts, "a recording could not be kept as it should be; it is tried again");
        let now = self.parts.clock.now().wall;
        let told = (attempts == TELL_AT).then_some((kind, error.as_str()));
        let again = now.plus(again_after(kept.attempts, random()));
        match self.parts.store.put_off_keeping(call, again, told, now).await {
            Ok(events) => self.publish(events),
            Err(error) => tracing::warn!(%call, %error, "how that went could not be kept"),
        }
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let (store, now) = (&self.parts.store, self.parts.clock.now().wall);
        store.enter_finished(now).await?;
        // What another store has stays here: it cannot be brought back.
        if let Some(archive) = &self.parts.archive {
            for kept in store.spare_locals(archive.url(), before(now, self.local_for())).await? {
                self.spare(&kept, now).await?;
            }
        }
        for call in store.expired_recordings(self.parts.recording.keep_days, now).await? {
            if store.delete_recording(&call, None).await? {
                tracing::info!(%call, "a recording's time is over");
            }
        }
        Ok(())
    }

    /// How long local files stay that the store has.
    pub(super) fn local_for(&self) -> Duration {
        DAY * self.parts.recording.local_days
    }

    /// From when on local files must be here to stay for [`FETCHED_KEPT`] at least.
    pub(super) fn local_anew(&self, now: Timestamp) -> Timestamp {
        now.plus(FETCHED_KEPT.saturating_sub(self.local_for()))
    }

    /// Removes the local files of a recording that the store has.
    async fn spare(&self, kept: &Kept, now: Timestamp) -> Result<(), StoreError> {
        let (store, call) = (&self.parts.store, &kept.call);
        let Some(_turn) = self.keeping.turn_now(call) else { return Ok(()) };
        let stored: Vec<StoredFile> = kept.files.iter().map(|(file, _)| file.clone()).collect();
        let known = |name: &String| stored.iter().any(|file| file.name == *name);
        let spared = async {
            let stored = stored.clone();
            on_disk(&self.place(kept)?, move |place| place.spare(&stored)).await
        };
        match spared.await {
            Ok(unstored) if unstored.is_empty() => {
                store.note_local(call, None).await?;
                self.keeping.stats().spared += 1;
            }
            Ok(unstored) if !unstored.iter().any(known) => {
                tracing::info!(%call, ?unstored, "files came to a stored recording; they are stored too");
                store.store_again(call, now).await?;
            }
            stays => {
                let why = stays.map(|unstored| format!("not what was stored: {}", unstored.join(", ")));
                let why = why.unwrap_or_else(|error| error.to_string());
                tracing::error!(%call, why, "local files of a stored recording stay");
                store.note_local(call, Some(self.local_anew(now))).await?;
            }
        }
        Ok(())
    }

    /// Removes every file of a deleted recording, here and there. An upload that is under way ends first.
    async fn purge(&self, call: &CallId) {
        let _turn = self.keeping.turn(call).await;
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        let kept = match store.kept(call).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%call, %error, "a recording to be deleted cannot be read"),
        };
        let purged = async {
            self.remove_files(&kept).await?;
            self.publish(store.put_purged(call, clock.now().wall).await?);
            Ok::<_, Failure>(())
        };
        match purged.await {
            Ok(()) => self.keeping.stats().deleted += 1,
            Err(error) => {
                self.keeping.stats().delete_failures += 1;
                self.put_off(&kept, "recording.delete_failed", &error).await;
            }
        }
    }

    async fn remove_files(&self, kept: &Kept) -> Result<(), Failure> {
        on_disk(&self.place(kept)?, Place::remove).await?;
        if kept.files.is_empty() {
            return Ok(());
        }
        let archive = self.archive_of(kept)?;
        for (file, progress) in &kept.files {
            if let Some(upload_id) = &progress.upload_id {
                archive.abandon(&file.key, upload_id).await?;
            }
            archive.delete(&file.key).await?;
        }
        Ok(())
    }

    pub(super) fn place(&self, kept: &Kept) -> Result<Place, NotOurs> {
        Place::of(&self.recordings_dir(), &kept.file.path, &kept.file.id)
    }

    pub(super) fn archive_of(&self, kept: &Kept) -> Result<&Archive, Failure> {
        let fits = |archive: &&Archive| kept.store.as_deref() == Some(archive.url());
        let elsewhere = || Failure::Elsewhere(kept.store.clone().unwrap_or_default());
        self.parts.archive.as_ref().filter(fits).ok_or_else(elsewhere)
    }

    pub(super) fn recordings_dir(&self) -> PathBuf {
        self.parts.data_dir.join("recordings")
    }
}

impl Keeping {
    /// Clears away what a former process left half done.
    pub(super) fn begin(recordings: &Path) -> Self {
        Place::clear_fetching(recordings);
        Self::default()
    }

    pub(super) async fn turn(&self, call: &CallId) -> OwnedMutexGuard<()> {
        self.turn_of(call).lock_owned().await
    }

    fn turn_now(&self, call: &CallId) -> Option<OwnedMutexGuard<()>> {
        self.turn_of(call).try_lock_owned().ok()
    }

    fn turn_of(&self, call: &CallId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(call.clone()).or_default())
    }

    fn note_waiting(&self, waiting: u64, oldest_waiting: Duration) {
        let mut stats = self.stats();
        (stats.waiting, stats.oldest_waiting) = (waiting, oldest_waiting);
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, KeepingStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files are looked after on a thread that may wait for the disk.
pub(super) async fn on_disk<T: Send + 'static>(
    place: &Place,
    work: impl FnOnce(&Place) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let place = place.clone();
    let done = tokio::task::spawn_blocking(move || work(&place)).await.map_err(std::io::Error::other);
    done.and_then(|done| done).map_err(Failure::local)
}

pub(super) fn before(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

/// When to come again after so many attempts in vain and one more; `spread` (0…1) keeps recordings that failed together
/// from coming together.
fn again_after(attempts: u32, spread: f64) -> Duration {
    let after = AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(attempts)).min(AGAIN_MAX);
    after.mul_f64(0.75 + spread / 2.0)
}

fn random() -> f64 {
    let mut byte = [128_u8];
    // Without randomness they are merely not spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_is_asked_ever_more_seldom_and_for_ever() {
        let waits: Vec<u64> = (0..10).map(|attempts| again_after(attempts, 0.5).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(again_after(u32::MAX, 0.0).as_secs(), 450);
        assert_eq!(again_after(0, 1.0).as_millis(), 6_250);
    }

    #[tokio::test]
    async fn a_recording_is_in_one_pair_of_hands_at_a_time_and_forgotten_afterwards() {
        let (keeping, a, b) = (Keeping::default(), CallId::generate(), CallId::generate());
        let turn = keeping.turn(&a).await;
        assert!(keeping.turn_now(&a).is_none() && keeping.turn_now(&b).is_some());
        drop(turn);
        assert!(keeping.turn_now(&a).is_some());
        assert_eq!(keeping.turns.lock().unwrap().len(), 1, "only the last one asked for");
    }
}
