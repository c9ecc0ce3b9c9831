//! Finished recordings: into the object store, off the local disk after a while, back when somebody listens, and away for
//! good when their time is over. A store that is slow or away holds up nothing but this: no call, no recorder, no listener
//! to what is here. What failed comes again, ever more seldom, for as long as it takes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;

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
/// Failures in a row before it is told: some two minutes. Whatever is shorter than that is mended by the next try.
const TELL_AT: u32 = 5;
/// Recordings brought back at once; each has several pieces under way, and calls use the same line.
const FETCHES_MAX: usize = 4;
/// A recording that was brought back stays at least so long: players ask for it piece by piece.
const FETCHED_KEPT: Duration = Duration::from_secs(3600);
/// How long a listener waits for it before being told to come again. Proxies give up after 30 s or more.
const PATIENCE: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why a recording cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    #[error("The recording's file is gone.")]
    Gone,
    /// Asking again does not help.
    #[error("The recording cannot be brought back: {0}.")]
    Lost(String),
    /// Asking again later does.
    #[error("The recording cannot be brought back at this moment: {0}.")]
    Away(String),
    #[error("The recording is on its way back from the store; ask again in some seconds.")]
    OnItsWay,
}

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
}

type Fetch = Shared<BoxFuture<'static, Result<(), Absent>>>;

/// What the steps of keeping share.
pub(super) struct Keeping {
    /// One at a time for each recording: it is not uploaded while it is deleted.
    turns: Mutex<HashMap<CallId, Arc<tokio::sync::Mutex<()>>>>,
    /// All who wait for the same recording wait for the same fetch.
    fetches: Mutex<HashMap<CallId, Fetch>>,
    fetching: Semaphore,
    stats: Mutex<KeepingStats>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            turns: Mutex::default(),
            fetches: Mutex::default(),
            fetching: Semaphore::new(FETCHES_MAX),
            stats: Mutex::default(),
        }
    }
}

/// Why a step came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", .0.told())]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Place(#[from] NotOurs),
    #[error("its file is gone")]
    Gone,
    #[error("its files are in {0}, which recording.store does not name any more; set it back")]
    Elsewhere(String),
    #[error("{0}")]
    Local(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Switchboard {
    pub fn keeping_stats(&self) -> KeepingStats {
        *self.0.keeping.stats()
    }

    /// Makes sure that a call's recording is in the local folder, and says where. One that is on its way is waited for, but
    /// not for long.
    ///
    /// # Errors
    /// [`Absent`].
    pub async fn bring_back(&self, call: &CallId) -> Result<PathBuf, Absent> {
        tokio::time::timeout(PATIENCE, self.bring_back_for_certain(call)).await.unwrap_or(Err(Absent::OnItsWay))
    }

    /// As [`Self::bring_back`], however long it takes.
    ///
    /// # Errors
    /// [`Absent`].
    pub async fn bring_back_for_certain(&self, call: &CallId) -> Result<PathBuf, Absent> {
        self.0.bring_back(call).await
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
    let mut uploads = JoinSet::new();
    // The books say that these are due until they are done.
    let mut under_way: HashSet<CallId> = HashSet::new();
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            Some(done) = uploads.join_next() => {
                match done {
                    Ok(call) => drop(under_way.remove(&call)),
                    // Which it was is not known; none may stay barred.
                    Err(_) => under_way.clear(),
                }
            }
        }
        let Some(desk) = desk.upgrade() else { return };
        let Some(archive) = &desk.parts.archive else { return };
        let at_once = usize::try_from(desk.parts.uploads_max).unwrap_or(usize::MAX);
        let due = match desk.due_uploads().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "recordings to be stored cannot be read");
                continue;
            }
        };
        for kept in due {
            if uploads.len() >= at_once {
                break;
            }
            if under_way.insert(kept.call.clone()) {
                let (desk, archive) = (Arc::clone(&desk), archive.clone());
                uploads.spawn(async move {
                    desk.upload(&archive, &kept).await;
                    kept.call
                });
            }
        }
    }
}

/// Removes files for as long as there is a desk: of recordings that are stored, and of those whose time is over.
pub(super) async fn run_sweeps(desk: Weak<Desk>) {
    let mut sweeps = tokio::time::interval(SWEEP);
    sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        sweeps.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        if let Err(error) = desk.sweep().await {
            tracing::warn!(%error, "recordings whose time is over cannot be read");
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
        // Nothing is never "stored": what failed for want of its worker may still come, and would then be spared as proven.
        if names.is_empty() || (kept.file.state == RecordingState::Ready && !place.is_here()) {
            return Err(Failure::Gone);
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
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        store.enter_finished(clock.now().wall).await?;
        for kept in store.spare_locals(before(clock.now().wall, DAY * self.parts.recording.local_days)).await? {
            self.spare(&kept).await?;
        }
        for call in store.expired_recordings(self.parts.recording.keep_days, clock.now().wall).await? {
            if store.delete_recording(&call, None).await? {
                tracing::info!(%call, "a recording's time is over");
            }
        }
        for kept in store.due_purges(clock.now().wall).await? {
            // An upload that is under way ends first.
            let Some(_turn) = self.keeping.turn_now(&kept.call) else { continue };
            let purged = self.purge(&kept).await;
            match purged {
                Ok(()) => {
                    self.publish(store.put_purged(&kept.call, clock.now().wall).await?);
                    self.keeping.stats().deleted += 1;
                }
                Err(error) => {
                    self.keeping.stats().delete_failures += 1;
                    self.put_off(&kept, "recording.delete_failed", &error).await;
                }
            }
        }
        Ok(())
    }

    /// Removes the local files of a recording that the store has.
    async fn spare(&self, kept: &Kept) -> Result<(), StoreError> {
        // What cannot be brought back from the store as it is configured now stays here.
        if self.parts.archive.as_ref().map(Archive::url) != kept.store.as_deref() {
            return Ok(());
        }
        let Some(_turn) = self.keeping.turn_now(&kept.call) else { return Ok(()) };
        let removed = async { on_disk(&self.place(kept)?, Place::remove).await };
        match removed.await {
            Ok(_) => {
                self.parts.store.note_local(&kept.call, None).await?;
                self.keeping.stats().spared += 1;
            }
            Err(error) => tracing::error!(call = %kept.call, %error, "local files of a stored recording stay"),
        }
        Ok(())
    }

    /// Removes every file of a deleted recording, here and there.
    async fn purge(&self, kept: &Kept) -> Result<(), Failure> {
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

    /// See [`Switchboard::bring_back`].
    pub(super) async fn bring_back(self: &Arc<Self>, call: &CallId) -> Result<PathBuf, Absent> {
        let kept = self.parts.store.kept(call).await.map_err(away)?.ok_or(Absent::Gone)?;
        let place = self.place(&kept).map_err(|_| Absent::Gone)?;
        if kept.file.state == RecordingState::Deleted {
            return Err(Absent::Gone);
        }
        if !place.is_here() {
            if kept.stored_at.is_none() {
                return Err(Absent::Gone);
            }
            self.fetch(call).await?;
        }
        Ok(place.path())
    }

    fn fetch(self: &Arc<Self>, call: &CallId) -> Fetch {
        let mut fetches = self.keeping.fetches();
        if let Some(fetch) = fetches.get(call) {
            return fetch.clone();
        }
        let (desk, id) = (Arc::clone(self), call.clone());
        // Whoever asked may leave; the next one finds it here.
        let task = tokio::spawn(async move {
            let fetched = desk.fetch_now(&id).await;
            if let Err(error) = &fetched {
                desk.keeping.stats().fetch_failures += 1;
                tracing::error!(call = %id, %error, "a recording could not be brought back");
            }
            desk.keeping.fetches().remove(&id);
            fetched
        });
        let fetch = task.map(|done| done.unwrap_or_else(|panic| Err(away(panic)))).boxed().shared();
        fetches.insert(call.clone(), fetch.clone());
        fetch
    }

    async fn fetch_now(&self, call: &CallId) -> Result<(), Absent> {
        let _some = self.keeping.fetching.acquire().await.map_err(away)?;
        let _turn = self.keeping.turn(call).await;
        let kept = self.parts.store.kept(call).await.map_err(away)?.ok_or(Absent::Gone)?;
        let (place, archive) = (self.place(&kept).map_err(lost)?, self.archive_of(&kept).map_err(lost)?);
        if place.is_here() {
            return Ok(());
        }
        if kept.stored_at.is_none() {
            return Err(Absent::Gone);
        }
        let mut files: Vec<&StoredFile> = kept.files.iter().map(|(file, _)| file).collect();
        // What is played comes last: once it is here, all is.
        files.sort_by_key(|file| place.path_of(&file.name) == place.path());
        for file in files {
            archive.fetch(file, &place).await.map_err(|error| match error {
                ArchiveError::Altered { .. } | ArchiveError::Missing { .. } => lost(error.told()),
                ArchiveError::Refused(_)
                | ArchiveError::NoBucket(_)
                | ArchiveError::Away(_)
                | ArchiveError::NoRoom { .. }
                | ArchiveError::File { .. } => away(error.told()),
            })?;
            self.keeping.stats().fetched_bytes += file.bytes;
        }
        if !place.is_here() {
            return Err(Absent::Gone);
        }
        self.keeping.stats().fetched += 1;
        let days = DAY * self.parts.recording.local_days;
        let since = self.parts.clock.now().wall.plus(FETCHED_KEPT.saturating_sub(days));
        self.parts.store.note_local(call, Some(since)).await.map_err(away)
    }

    fn place(&self, kept: &Kept) -> Result<Place, NotOurs> {
        Place::of(&self.recordings_dir(), &kept.file.path, &kept.file.id)
    }

    fn archive_of(&self, kept: &Kept) -> Result<&Archive, Failure> {
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

    fn fetches(&self) -> MutexGuard<'_, HashMap<CallId, Fetch>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> MutexGuard<'_, KeepingStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files are looked after on a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(place: &Place, work: fn(&Place) -> std::io::Result<T>) -> Result<T, Failure> {
    let place = place.clone();
    let done = tokio::task::spawn_blocking(move || work(&place)).await.map_err(std::io::Error::other);
    done.and_then(|done| done).map_err(|error| Failure::Local(format!("the local files: {error}")))
}

fn away(error: impl ToString) -> Absent {
    Absent::Away(error.to_string())
}

fn lost(error: impl ToString) -> Absent {
    Absent::Lost(error.to_string())
}

fn before(now: Timestamp, time: Duration) -> Timestamp {
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
