//! Files out of the store, piece by piece: to compare them, or to bring them back.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use aws_lc_rs::digest;
use futures_util::{StreamExt, stream};
use object_store::ObjectStoreExt;
use tempfile::NamedTempFile;

use super::{Archive, ArchiveError, PART_BYTES, Place, parsed, pieces};
use crate::model::files::{FILE_MODE, FOLDER_MODE};
use crate::model::recording::StoredFile;
use crate::model::time::Clock;

/// Where files grow until they are whole. On the same disk as their place, or they could not be put there at once.
const GROWING: &str = ".fetching";
/// Pieces under way while somebody waits to listen: three in flight hide the way to the store, and are 24 MB of memory.
const AT_ONCE: usize = 3;

/// Whether the store gives back what it should, read to its last byte at the pace of uploads.
pub(super) async fn compare(archive: &Archive, key: &str, bytes: u64, sha256: &str) -> Result<(), ArchiveError> {
    let altered = || ArchiveError::Altered { key: key.to_owned() };
    let (store, path) = (&archive.0.store, parsed(key)?);
    if store.head(&path).await.map_err(|error| ArchiveError::of(key, error))?.size != bytes {
        return Err(altered());
    }
    let mut read = digest::Context::new(&digest::SHA256);
    for piece in pieces(bytes) {
        let (began, length) = (Clock.instant(), piece.end - piece.start);
        let got = store.get_range(&path, piece).await.map_err(|error| ArchiveError::of(key, error))?;
        read.update(&got);
        archive.0.pace.keep(length, began).await;
    }
    if hex::encode(read.finish()) == sha256 { Ok(()) } else { Err(altered()) }
}

/// See [`Archive::fetch`].
pub(super) async fn fetch(archive: &Archive, file: &StoredFile, place: &Place) -> Result<(), ArchiveError> {
    if !place.owns(&file.name) {
        return Err(ArchiveError::Altered { key: file.key.clone() });
    }
    let growing = place.root().join(GROWING);
    let mut room = on_disk({
        let (archive, growing, folder, bytes) = (archive.clone(), growing.clone(), place.folder(), file.bytes);
        move || {
            for made in [&growing, &folder] {
                make_folder(made).map_err(ArchiveError::file("make", made))?;
            }
            Room::of(&archive, &growing, bytes)
        }
    })
    .await
    .map_err(ArchiveError::file("look at", &growing))??;
    let written = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ArchiveError::NoRoom { needed: file.bytes, folder: growing.clone() }
        }
        _ => ArchiveError::file("write", &growing)(error),
    };
    // Removes itself unless it gets to its place.
    let made_in = growing.clone();
    let mut local = on_disk(move || NamedTempFile::new_in(made_in)).await.and_then(|local| local).map_err(written)?;
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let key = parsed(&file.key)?;
    let store = &archive.0.store;
    let mut pieces = stream::iter(pieces(file.bytes).map(|piece| store.get_range(&key, piece))).buffered(AT_ONCE);
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| ArchiveError::of(&file.key, error))?;
        sha256.update(&piece);
        let length = piece.len() as u64;
        bytes += length;
        local =
            on_disk(move || local.write_all(&piece).map(|()| local)).await.and_then(|local| local).map_err(written)?;
        room.used(length);
    }
    if bytes != file.bytes || hex::encode(sha256.finish()) != file.sha256 {
        return Err(ArchiveError::Altered { key: file.key.clone() });
    }
    let whole = place.path_of(&file.name);
    let kept = on_disk(move || {
        local.as_file().set_permissions(Permissions::from_mode(FILE_MODE))?;
        local.as_file().sync_data()?;
        local.persist(whole).map(drop).map_err(|error| error.error)
    });
    kept.await.and_then(|kept| kept).map_err(written)
}

/// As the recorder makes them.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// On a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

impl Place {
    /// Removes what fetches of a former process left half done. Call it once, before the first fetch.
    pub fn clear_fetching(root: &Path) {
        // Absent, mostly.
        let _ = std::fs::remove_dir_all(root.join(GROWING));
    }
}

/// Room on the local disk for one file, promised to no other fetch. What is not used by the end is given back.
struct Room {
    archive: Archive,
    left: u64,
}

impl Room {
    /// The calls that are being recorded come first: what is fetched can be fetched again.
    fn of(archive: &Archive, folder: &Path, bytes: u64) -> Result<Self, ArchiveError> {
        let mut promised = archive.promised();
        let disk = rustix::fs::statvfs(folder).map_err(|error| ArchiveError::file("look at", folder)(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes.saturating_add(*promised).saturating_add(archive.0.reserve_bytes) {
            return Err(ArchiveError::NoRoom { needed: bytes, folder: folder.to_owned() });
        }
        *promised += bytes;
        Ok(Self { archive: archive.clone(), left: bytes })
    }

    /// So much of it was written.
    fn used(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        *self.archive.promised() -= bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used(self.left);
    }
}

impl Archive {
    fn promised(&self) -> MutexGuard<'_, u64> {
        self.0.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const _: () = assert!(PART_BYTES * AT_ONCE as u64 <= 32 * 1024 * 1024);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Config;

    #[test]
    fn what_is_promised_to_one_fetch_is_not_promised_to_another() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = format!("file://{}", folder.path().display());
        let config = Config { keep_free_mb: 0, ..Config::default() };
        let archive = Archive::open(&store, &config, None).unwrap().unwrap();
        let found = rustix::fs::statvfs(disk.path()).unwrap();
        // Others write to this disk too: a quarter is far from what they do.
        let most = found.f_bavail * found.f_frsize / 4 * 3;
        let room = |bytes| Room::of(&archive, disk.path(), bytes);
        let mut first = room(most).unwrap();
        assert!(matches!(room(most), Err(ArchiveError::NoRoom { needed, .. }) if needed == most));
        first.used(most / 3 * 2);
        assert_eq!(*archive.promised(), most - most / 3 * 2, "what is written the disk itself knows");
        drop(first);
        assert_eq!(*archive.promised(), 0);
        assert!(room(most).is_ok());
    }
}
