//! The last room on the disk, which recordings leave to those who cannot do without: the database beside them above all.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

const MB: u64 = 1_000_000;

/// How much room stays free, and how to find out how much there is.
#[derive(Clone)]
pub struct Reserve {
    bytes: u64,
    free: Arc<Free>,
}

/// Bytes that are free on the disk of a folder.
type Free = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

impl Reserve {
    /// `recording.reserve_mb`.
    pub fn of_disk(reserve_mb: u32) -> Self {
        Self::measured(u64::from(reserve_mb) * MB, |folder| {
            let disk = rustix::fs::statvfs(folder)?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        })
    }

    /// The same, of a disk that tells its free bytes otherwise.
    pub fn measured(bytes: u64, free: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self { bytes, free: Arc::new(free) }
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that are free on the disk of this folder.
    pub(super) fn look(&self, folder: &Path) -> io::Result<u64> {
        (self.free)(folder)
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What is said when there is less.
impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = self.bytes / MB;
        write!(
            f,
            "less than {mb} MB are free on the disk of data.dir, which recordings leave to the database: calls go on, but none is \
             recorded; make room, or lower recording.reserve_mb"
        )
    }
}
