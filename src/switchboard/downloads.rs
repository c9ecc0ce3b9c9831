//! Who took what was said in a call out of the house, in the log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::directory::Asker;
use crate::model::event::NewEvent;
use crate::model::id::CallId;
use crate::model::words;
use crate::store::StoreError;

use super::Switchboard;

words! {
    /// What of a call is read or played.
    Download {
        Recording = "recording",
        Details = "details",
        Manifest = "manifest",
        Transcript = "transcript",
        Summary = "summary",
    }
}

/// Archives of calls written at once: each holds a thread, and reads a disk that calls are recorded on.
const ARCHIVES_MAX: usize = 4;

/// A player asks for a recording range by range, and a page for its transcript again and again: one of a caller, a call and
/// a kind is told once in each hour of the clock.
pub(super) struct Downloads {
    hour: Mutex<Hour>,
    archives: Arc<Semaphore>,
}

impl Default for Downloads {
    fn default() -> Self {
        Self { hour: Mutex::default(), archives: Arc::new(Semaphore::new(ARCHIVES_MAX)) }
    }
}

#[derive(Default)]
struct Hour {
    since_epoch: i64,
    told: BTreeSet<(Asker, CallId, Download)>,
}

impl Switchboard {
    /// The turn to write an archive of calls; `None` while as many as there may be are under way.
    pub fn begin_archive(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.downloads.archives).try_acquire_owned().ok()
    }

    /// Says in the log who gets what.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written down; nothing may leave then.
    pub async fn note_download(&self, by: Asker, call: &CallId, what: Download) -> Result<(), StoreError> {
        let (downloads, now) = (&self.0.downloads, self.0.parts.clock.now().wall);
        let told = (by.clone(), call.clone(), what);
        if !downloads.begin(now.as_millis(), &told) {
            return Ok(());
        }
        let data = serde_json::json!({"by": by, "call_id": call, "what": what});
        // Of no call: its agents are not told who listens.
        let event = NewEvent { kind: "call.downloaded", call_id: None, agent_id: None, data };
        let announced = self.0.announce(vec![event]).await;
        if announced.is_err() {
            downloads.forget(&told);
        }
        announced
    }
}

impl Downloads {
    /// Whether it is the first in this hour.
    fn begin(&self, now_ms: i64, download: &(Asker, CallId, Download)) -> bool {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let since_epoch = now_ms.div_euclid(3_600_000);
        if hour.since_epoch != since_epoch {
            *hour = Hour { since_epoch, told: BTreeSet::new() };
        }
        hour.told.insert(download.clone())
    }

    fn forget(&self, download: &(Asker, CallId, Download)) {
        self.hour.lock().unwrap_or_else(PoisonError::into_inner).told.remove(download);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_caller_a_call_and_a_kind_is_told_once_an_hour() {
        let downloads = Downloads::default();
        let (ana, crm) = (Asker::Key { name: "ana".to_owned() }, Asker::Key { name: "crm".to_owned() });
        let (one, other) = (CallId::generate(), CallId::generate());
        let tell = |minute: i64, by: &Asker, call: &CallId, what| {
            downloads.begin(minute * 60_000, &(by.clone(), call.clone(), what))
        };
        assert!(tell(0, &ana, &one, Download::Recording) && !tell(59, &ana, &one, Download::Recording));
        assert!(tell(59, &crm, &one, Download::Recording) && tell(59, &ana, &other, Download::Recording));
        assert!(tell(59, &ana, &one, Download::Transcript));
        assert!(tell(60, &ana, &one, Download::Recording), "the next hour");
        downloads.forget(&(ana.clone(), one.clone(), Download::Recording));
        assert!(tell(61, &ana, &one, Download::Recording), "it could not be written down");
    }
}
