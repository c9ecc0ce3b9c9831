//! One file on its way into the store, step by step: the caller keeps the [`Progress`] after each, so that a killed upload
//! goes on with the part that was under way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use object_store::multipart::{MultipartStore, PartId};
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};

use super::{Archive, ArchiveError, PART_BYTES, fetch, parsed, pieces};
use crate::model::files::digest;
use crate::model::recording::Progress;
use crate::model::time::Clock;

/// An upload. [`advance`](Self::advance) it until it is done.
pub struct Upload {
    archive: Archive,
    path: PathBuf,
    key: String,
    progress: Progress,
    /// An earlier attempt may have got to the end without living to tell.
    maybe_there: bool,
}

impl Upload {
    pub(super) async fn begin(
        archive: Archive,
        path: &Path,
        key: String,
        from: Option<Progress>,
    ) -> Result<Self, ArchiveError> {
        let file = path.to_owned();
        let weighed =
            tokio::task::spawn_blocking(move || digest(&mut File::open(file)?)).await.map_err(io::Error::other);
        let (bytes, sha256) = weighed.and_then(|weighed| weighed).map_err(ArchiveError::file("read", path))?;
        let maybe_there = from.is_some();
        let progress = match from {
            Some(from) if from.bytes == bytes && from.sha256 == sha256 => from,
            stale => {
                // Its parts are of another file.
                if let Some(upload_id) = stale.and_then(|stale| stale.upload_id) {
                    archive.abandon(&key, &upload_id).await?;
                }
                Progress { bytes, sha256, upload_id: None, parts: Vec::new() }
            }
        };
        Ok(Self { archive, path: path.to_owned(), key, progress, maybe_there })
    }

    /// What to keep, also after an error.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// One step: an upload opened, a part sent, or the end of it with the proof. `false` once the store has given the whole
    /// file back as it is here.
    ///
    /// # Errors
    /// [`ArchiveError`]; the next attempt goes on from [`Self::progress`].
    pub async fn advance(&mut self) -> Result<bool, ArchiveError> {
        if std::mem::take(&mut self.maybe_there) && self.is_there().await? {
            return Ok(false);
        }
        let done = self.step().await;
        if let Err(ArchiveError::Missing { .. } | ArchiveError::Altered { .. }) = done {
            // The store has forgotten the upload, or made something else of it: from the beginning.
            (self.progress.upload_id, self.progress.parts) = (None, Vec::new());
        }
        done
    }

    async fn step(&mut self) -> Result<bool, ArchiveError> {
        let (key, bytes) = (parsed(&self.key)?, self.progress.bytes);
        let inner = &self.archive.0;
        let began = Clock.instant();
        match (&inner.parts, &self.progress.upload_id) {
            (Some(_), None) if bytes <= PART_BYTES => {
                let payload = self.read(0..bytes).await?;
                inner.store.put(&key, payload).await.map_err(|error| self.error(error))?;
                inner.pace.keep(bytes, began).await;
            }
            (Some(parts), None) => {
                let upload_id = parts.create_multipart(&key).await.map_err(|error| self.error(error))?;
                self.progress.upload_id = Some(upload_id);
                return Ok(true);
            }
            (Some(parts), Some(upload_id)) => {
                let have = self.progress.parts.len();
                if let Some(piece) = pieces(bytes).nth(have) {
                    let length = piece.end - piece.start;
                    let payload = self.read(piece).await?;
                    let sent = parts.put_part(&key, upload_id, have, payload).await;
                    let receipt = sent.map_err(|error| self.error(error))?.content_id;
                    self.progress.parts.push(receipt);
                    inner.pace.keep(length, began).await;
                    return Ok(true);
                }
                let receipts = self.progress.parts.iter().cloned().map(|content_id| PartId { content_id }).collect();
                let completed = parts.complete_multipart(&key, upload_id, receipts).await;
                completed.map_err(|error| self.error(error))?;
            }
            (None, _) => self.copy().await?,
        }
        self.prove().await.map(|()| false)
    }

    /// Into a store without parts, which shows the file only when it is whole.
    async fn copy(&self) -> Result<(), ArchiveError> {
        let key = parsed(&self.key)?;
        let upload = self.archive.0.store.put_multipart(&key).await.map_err(|error| self.error(error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES as usize);
        for piece in pieces(self.progress.bytes) {
            let (began, length) = (Clock.instant(), piece.end - piece.start);
            writer.wait_for_capacity(1).await.map_err(|error| self.error(error))?;
            for bytes in self.read(piece).await? {
                writer.put(bytes);
            }
            self.archive.0.pace.keep(length, began).await;
        }
        writer.finish().await.map(drop).map_err(|error| self.error(error))
    }

    async fn is_there(&self) -> Result<bool, ArchiveError> {
        let head = self.archive.0.store.head(&parsed(&self.key)?).await;
        match head.map_err(|error| self.error(error)) {
            Ok(head) if head.size == self.progress.bytes => match self.prove().await {
                Err(ArchiveError::Altered { .. }) => Ok(false),
                proven => proven.map(|()| true),
            },
            Ok(_) | Err(ArchiveError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn prove(&self) -> Result<(), ArchiveError> {
        fetch::compare(&self.archive, &self.key, self.progress.bytes, &self.progress.sha256).await
    }

    async fn read(&self, piece: std::ops::Range<u64>) -> Result<PutPayload, ArchiveError> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX)];
            File::open(path)?.read_exact_at(&mut bytes, piece.start)?;
            Ok(PutPayload::from(bytes))
        });
        let read = read.await.map_err(io::Error::other).and_then(|read| read);
        read.map_err(ArchiveError::file("read", &self.path))
    }

    fn error(&self, error: object_store::Error) -> ArchiveError {
        ArchiveError::of(&self.key, error)
    }
}
