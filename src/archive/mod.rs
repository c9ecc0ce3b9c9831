//! The place for finished recordings beside this machine: an S3-compatible store, or a mounted folder.
//!
//! Files are moved whole and never looked into. **Stored means read back**: after the last byte is sent the whole object is
//! fetched again and its SHA-256 compared with the local file's, so that what is proven is what a later reader gets, on any
//! store and whatever its idea of a checksum. On the way there TLS and S3's signature over each request's digest hold.
//!
//! A file above [`PART_BYTES`] goes up in parts (S3's multipart upload). What has arrived is in [`Progress`], which the caller
//! keeps: after a crash the next process goes on with the part that was under way. S3 keeps such parts until somebody ends the
//! upload, so one that can no longer be of use is abandoned by [`Archive::abandon`]. A mounted folder has no parts; there a
//! file begins anew.
//!
//! Nothing here retries for long: an attempt fails with a sentence, and whoever asked knows when to try again.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

pub use config::{Config, ConfigError};
pub use error::ArchiveError;
pub use leftovers::Leftovers;
pub use place::{NotOurs, Place};
pub use upload::Upload;

mod config;
mod error;
mod fetch;
mod leftovers;
mod place;
mod upload;

use crate::model::recording::{Progress, StoredFile};
use crate::model::time::Clock;

/// One request's worth. S3 takes at most 10,000 parts of a file, and each of at least 5 MiB: this carries files of 80 GB.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    /// As configured; names the store in the books.
    url: String,
    prefix: Key,
    store: Arc<dyn ObjectStore>,
    /// The same store, where it knows parts.
    parts: Option<Arc<AmazonS3>>,
    pace: Pace,
    /// What a fetch leaves free on the local disk, for the calls that are being recorded.
    reserve_bytes: u64,
    /// Bytes that the fetches under way have still to write there.
    promised: Mutex<u64>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Archive").field(&self.0.url).finish()
    }
}

impl Archive {
    /// As `recording.store` names it.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The key of one of a recording's files: prefix, day and name.
    pub fn key(&self, place: &Place, name: &str) -> String {
        self.0.prefix.clone().join(place.day()).join(name).to_string()
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store refuses or does not answer.
    pub async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        match self.0.store.delete(&parsed(key)?).await.map_err(|error| ArchiveError::of(key, error)) {
            Err(ArchiveError::Missing { .. }) => Ok(()),
            done => done,
        }
    }

    /// Ends an upload that nobody will go on with; its parts cost money until then. One that is not known is no error.
    ///
    /// # Errors
    /// [`ArchiveError`] when the store refuses or does not answer.
    pub async fn abandon(&self, key: &str, upload_id: &str) -> Result<(), ArchiveError> {
        let Some(parts) = &self.0.parts else { return Ok(()) };
        let ended = parts.abort_multipart(&parsed(key)?, &upload_id.to_owned()).await;
        match ended.map_err(|error| ArchiveError::of(key, error)) {
            // Some stores refuse what they do not know. If it is the credentials, the next request says so.
            Err(ArchiveError::Missing { .. } | ArchiveError::Refused(_)) => Ok(()),
            done => done,
        }
    }

    /// See [`upload`].
    ///
    /// # Errors
    /// [`ArchiveError::File`] when the local file cannot be read.
    pub async fn upload(&self, file: &Path, key: String, progress: Option<Progress>) -> Result<Upload, ArchiveError> {
        Upload::begin(self.clone(), file, key, progress).await
    }

    /// Brings a file back into the local folder, whole and checked, or not at all.
    ///
    /// # Errors
    /// [`ArchiveError::Altered`] when the store's object is not the one that was stored; [`ArchiveError::NoRoom`] when the
    /// local disk has none; else whatever the store or the disk refused.
    pub async fn fetch(&self, file: &StoredFile, place: &Place) -> Result<(), ArchiveError> {
        fetch::fetch(self, file, place).await
    }
}

/// Spreads what uploads send and read back over time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Of one upload; `None` = as fast as it goes.
    bytes_per_s: Option<NonZeroU32>,
}

impl Pace {
    /// How long to wait after so many bytes that took this long.
    fn pause(self, bytes: u64, took: Duration) -> Duration {
        let Some(rate) = self.bytes_per_s else { return Duration::ZERO };
        Duration::from_secs_f64(bytes as f64 / f64::from(rate.get())).saturating_sub(took)
    }

    async fn keep(self, bytes: u64, since: Instant) {
        let took = Clock.instant().saturating_duration_since(since);
        tokio::time::sleep(self.pause(bytes, took)).await;
    }
}

fn parsed(key: &str) -> Result<Key, ArchiveError> {
    Key::parse(key).map_err(|error| ArchiveError::of(key, error.into()))
}

/// The pieces of a file of this length, one request each.
fn pieces(bytes: u64) -> impl Iterator<Item = Range<u64>> {
    (0..bytes.div_ceil(PART_BYTES)).map(move |piece| piece * PART_BYTES..bytes.min((piece + 1) * PART_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_pieces_that_join_without_a_hole() {
        #[track_caller]
        fn check(bytes: u64, want: &[(u64, u64)]) {
            assert_eq!(pieces(bytes).map(|piece| (piece.start, piece.end)).collect::<Vec<_>>(), want);
        }
        check(0, &[]);
        check(1, &[(0, 1)]);
        check(PART_BYTES, &[(0, PART_BYTES)]);
        check(PART_BYTES + 1, &[(0, PART_BYTES), (PART_BYTES, PART_BYTES + 1)]);
    }

    #[test]
    fn an_upload_that_was_quicker_than_its_share_waits_for_the_rest_of_the_time() {
        let pace = |rate| Pace { bytes_per_s: NonZeroU32::new(rate) };
        let ms = Duration::from_millis;
        assert_eq!(pace(1_000_000).pause(500_000, ms(200)), ms(300));
        assert_eq!(pace(1_000_000).pause(500_000, ms(700)), Duration::ZERO);
        assert_eq!(pace(0).pause(500_000, ms(0)), Duration::ZERO);
    }
}
