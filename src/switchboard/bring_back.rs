//! Recordings that are only in the store: back into the local folder when somebody listens, once for all who wait.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use super::keeping::before;
use super::{Desk, Switchboard};
use crate::archive::ArchiveError;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::recording::StoredFile;
use crate::store::StoreError;

/// Recordings brought back at once; each has several pieces under way, and calls use the same line.
const FETCHES_MAX: usize = 4;
/// How long a listener waits for it before being told to come again. Proxies give up after 30 s or more.
const PATIENCE: Duration = Duration::from_secs(20);

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

type Fetch = Shared<BoxFuture<'static, Result<(), Absent>>>;

/// The fetches under way.
pub(super) struct Fetches {
    /// All who wait for the same recording wait for the same fetch.
    under_way: Arc<Mutex<HashMap<CallId, Fetch>>>,
    at_once: Semaphore,
}

impl Default for Fetches {
    fn default() -> Self {
        Self { under_way: Arc::default(), at_once: Semaphore::new(FETCHES_MAX) }
    }
}

impl Switchboard {
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

    /// Whoever had a recording brought back needs it no more: it need not stay for players.
    ///
    /// # Errors
    /// When that cannot be written down; it stays for an hour then.
    pub async fn done_with(&self, call: &CallId) -> Result<(), StoreError> {
        let desk = &self.0;
        let due = before(desk.parts.clock.now().wall, desk.local_for());
        desk.parts.store.note_local(call, Some(due)).await
    }
}

impl Desk {
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
            let (desk, id) = (Arc::clone(self), call.clone());
            self.keeping.fetches.join(call, || async move { desk.fetch(&id).await }.boxed()).await?;
        }
        Ok(place.path())
    }

    async fn fetch(&self, call: &CallId) -> Result<(), Absent> {
        let fetched = self.fetch_now(call).await;
        if let Err(error) = &fetched {
            self.keeping.stats().fetch_failures += 1;
            tracing::error!(%call, %error, "a recording could not be brought back");
        }
        fetched
    }

    async fn fetch_now(&self, call: &CallId) -> Result<(), Absent> {
        let _some = self.keeping.fetches.at_once.acquire().await.map_err(away)?;
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
        let since = self.local_anew(self.parts.clock.now().wall);
        self.parts.store.note_local(call, Some(since)).await.map_err(away)
    }
}

impl Fetches {
    /// Waits for the fetch of this recording that is under way, or else for this one, which goes on without whoever asked:
    /// the next one finds it here.
    fn join(&self, call: &CallId, begin: impl FnOnce() -> BoxFuture<'static, Result<(), Absent>>) -> Fetch {
        let mut under_way = lock(&self.under_way);
        if let Some(fetch) = under_way.get(call) {
            return fetch.clone();
        }
        let (fetching, all, id) = (begin(), Arc::clone(&self.under_way), call.clone());
        let task = tokio::spawn(async move {
            // However it ends, the next listener may try again.
            let fetched = AssertUnwindSafe(fetching).catch_unwind().await;
            lock(&all).remove(&id);
            fetched.unwrap_or_else(|_| Err(away("it broke off; the log says why")))
        });
        let fetch = task.map(|done| done.unwrap_or_else(|error| Err(away(error)))).boxed().shared();
        under_way.insert(call.clone(), fetch.clone());
        fetch
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn away(error: impl ToString) -> Absent {
    Absent::Away(error.to_string())
}

fn lost(error: impl ToString) -> Absent {
    Absent::Lost(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fetch_is_shared_and_one_that_breaks_bars_no_later_one() {
        let (fetches, call) = (Fetches::default(), CallId::generate());
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let first = fetches.join(&call, || {
            async move {
                let _ended = gone.await;
                panic!("the disk is on fire")
            }
            .boxed()
        });
        let second = fetches.join(&call, || unreachable!("the first one is under way"));
        drop(go);
        let (first, second) = (first.await, second.await);
        assert!(matches!(&first, Err(Absent::Away(_))) && first == second, "{first:?}");
        assert_eq!(fetches.join(&call, || async { Ok(()) }.boxed()).await, Ok(()));
        assert!(lock(&fetches.under_way).is_empty());
    }
}
