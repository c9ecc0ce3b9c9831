//! Files of recordings that ought not to be here: what comes after its recording was deleted, and what nobody knows.

use std::io::ErrorKind;
use std::sync::Weak;
use std::time::Duration;

use super::Desk;
use super::keeping::{Failure, on_disk};
use crate::archive::{Leftovers, Place};
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::recording::Consent;
use crate::record::{RecordEvent, amend_consent};
use crate::store::StoreError;

/// Between two looks; the first is at the start.
const LOOK: Duration = Duration::from_secs(24 * 3600);
/// So many strangers the log names; the figure counts all.
const NAMED_MAX: usize = 20;

/// Looks through the folder of recordings for as long as there is a desk.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        if let Err(error) = desk.look_for_leftovers().await {
            tracing::warn!(%error, "the folder of recordings could not be looked through");
        }
    }
}

impl Desk {
    /// Removes what half-written and deleted recordings left, sees to it that files which came to a stored recording are
    /// stored too, and tells of what it does not know.
    async fn look_for_leftovers(&self) -> Result<(), Failure> {
        let (root, now) = (self.recordings_dir(), self.parts.clock.now().wall);
        let found = tokio::task::spawn_blocking(move || Leftovers::look(&root, now));
        let found = found.await.map_err(std::io::Error::other).and_then(|found| found).map_err(Failure::local)?;
        self.keeping.stats().leftovers_removed += found.removed as u64;
        let mut strays = 0;
        for (id, path) in found.recordings {
            match self.parts.store.recording_of_id(&id).await? {
                Some((call, RecordingState::Deleted)) => drop(self.forget_deleted(&call).await?),
                Some((call, _)) => self.parts.store.note_found(&call, now).await?,
                None => {
                    strays += 1;
                    if strays <= NAMED_MAX {
                        tracing::warn!(path = %path.display(), "a file of no recording of ours; it is left alone");
                    }
                }
            }
        }
        self.keeping.stats().strays = strays as u64;
        Ok(())
    }

    /// Whether there is nothing to be told of a recording's end any more, because it was deleted; what came of it is removed
    /// then. Else its proof is made to say what the parties said last.
    pub(super) async fn is_over(&self, event: &RecordEvent, call: &CallId) -> bool {
        if matches!(event, RecordEvent::Started { .. }) {
            return false;
        }
        match self.forget_deleted(call).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => tracing::warn!(%call, %error, "whether the recording was deleted cannot be read"),
        }
        self.certify_consent(call, None).await;
        false
    }

    /// Makes the details and the manifest of a call's recording say what the parties were told and said in the end: the
    /// recorder knows what it was when it began. `consent`: where it is not in the books yet.
    pub(super) async fn certify_consent(&self, call: &CallId, consent: Option<Consent>) {
        match self.try_certify_consent(call, consent).await {
            // Its end will bring us here again, or it has none.
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%call, %error, "what the parties said about being recorded is not in the proof")
            }
        }
    }

    async fn try_certify_consent(&self, call: &CallId, consent: Option<Consent>) -> Result<(), Failure> {
        let store = &self.parts.store;
        let consent = match consent {
            None => store.call(call).await?.and_then(|record| record.recording.consent),
            known => known,
        };
        let (Some(consent), Some(file)) = (consent, store.recording(call).await?) else { return Ok(()) };
        let place = Place::of(&self.recordings_dir(), &file.path, &file.id)?;
        // Not while it is sent to the store.
        let _turn = self.keeping.turn(call).await;
        let (vault, now) = (self.parts.recorder.vault().clone(), self.parts.clock.now().wall);
        let amended = on_disk(&place, move |place| match amend_consent(&place.path(), &consent, &vault, now) {
            // Not ended yet, or in the store alone.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            amended => amended,
        });
        if amended.await? {
            store.store_again(call, now).await?;
        }
        Ok(())
    }

    /// Removes what came of a recording after it had been deleted. False if it is not deleted.
    pub(super) async fn forget_deleted(&self, call: &CallId) -> Result<bool, StoreError> {
        let Some(kept) = self.parts.store.kept(call).await? else { return Ok(false) };
        if kept.file.state != RecordingState::Deleted {
            return Ok(false);
        }
        let _turn = self.keeping.turn(call).await;
        let removed = async { on_disk(&self.place(&kept)?, Place::remove).await };
        match removed.await {
            Ok(0) => {}
            Ok(files) => {
                tracing::warn!(%call, files, "what came of a deleted recording was removed");
                self.keeping.stats().leftovers_removed += files as u64;
            }
            Err(error) => tracing::error!(%call, %error, "files of a deleted recording stay"),
        }
        Ok(true)
    }
}
