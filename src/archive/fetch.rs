//! Files out of the store, piece by piece: to compare them, or to bring them back.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::digest;
use futures_util::{StreamExt, stream};
use object_store::ObjectStoreExt;

use super::{Archive, ArchiveError, PART_BYTES, Place, parsed, pieces};
use crate::model::recording::StoredFile;
use crate::model::time::Clock;

/// Where files grow until they are whole. On the same disk as their place, or they could not be put there at once.
const GROWING: &str = ".fetching";
/// As recordings are: people of the group listen, others may not.
const FILE_MODE: u32 = 0o640;
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
    let (growing, folder) = (place.root().join(GROWING), place.folder());
    for made in [&growing, &folder] {
        make_folder(made).map_err(ArchiveError::file("make", made))?;
    }
    make_sure_of_room(&growing, file.bytes, archive.0.reserve_bytes)?;
    let written = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ArchiveError::NoRoom { needed: file.bytes, folder: growing.clone() }
        }
        _ => ArchiveError::file("write", &growing)(error),
    };
    // Removes itself unless it gets to its place.
    let mut local = tempfile::NamedTempFile::new_in(&growing).map_err(written)?;
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let key = parsed(&file.key)?;
    let store = &archive.0.store;
    let mut pieces = stream::iter(pieces(file.bytes).map(|piece| store.get_range(&key, piece))).buffered(AT_ONCE);
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| ArchiveError::of(&file.key, error))?;
        sha256.update(&piece);
        bytes += piece.len() as u64;
        local = tokio::task::spawn_blocking(move || local.write_all(&piece).map(|()| local))
            .await
            .map_err(io::Error::other)
            .and_then(|local| local)
            .map_err(written)?;
    }
    if bytes != file.bytes || hex::encode(sha256.finish()) != file.sha256 {
        return Err(ArchiveError::Altered { key: file.key.clone() });
    }
    let whole = place.path_of(&file.name);
    let kept = tokio::task::spawn_blocking(move || {
        local.as_file().set_permissions(Permissions::from_mode(FILE_MODE))?;
        local.as_file().sync_data()?;
        local.persist(whole).map(drop).map_err(|error| error.error)
    });
    kept.await.map_err(io::Error::other).and_then(|kept| kept).map_err(written)
}

impl Place {
    /// Removes what fetches of a former process left half done. Call it once, before the first fetch.
    pub fn clear_fetching(root: &Path) {
        // Absent, mostly.
        let _ = std::fs::remove_dir_all(root.join(GROWING));
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)
}

/// The calls that are being recorded come first: what is fetched can be fetched again.
fn make_sure_of_room(folder: &Path, needed: u64, reserve: u64) -> Result<(), ArchiveError> {
    let room = rustix::fs::statvfs(folder).map_err(|error| ArchiveError::file("look at", folder)(error.into()))?;
    let left = room.f_bavail.saturating_mul(room.f_frsize);
    if left < needed.saturating_add(reserve) {
        return Err(ArchiveError::NoRoom { needed, folder: folder.to_owned() });
    }
    Ok(())
}

const _: () = assert!(PART_BYTES * AT_ONCE as u64 <= 32 * 1024 * 1024);
