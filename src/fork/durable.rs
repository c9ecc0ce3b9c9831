//! Small files that are there whole or not at all, also after a power cut.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What an interrupted [`write`] may leave begins like this.
pub(super) const LEFT: &str = ".tmp";

/// Puts `bytes` where `path` says, in place of what was there. Only the owner may read it.
///
/// # Errors
/// What the disk says; what was there is still there then.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(LEFT).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is part of the folder, and must survive as well.
    File::open(folder)?.sync_all()
}
