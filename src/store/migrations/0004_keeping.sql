-- What the parties were told about being recorded, as JSON; see `model::recording::Consent`.
ALTER TABLE calls ADD COLUMN recording_consent TEXT;

-- What becomes of a finished recording's files.
-- When its call ended; NULL until the recording is finished and was looked at.
ALTER TABLE recordings ADD COLUMN finished_at BIGINT;
-- The store its files are in or on their way to, as `recording.store` named it, and when all of them were read back from it.
ALTER TABLE recordings ADD COLUMN store TEXT;
ALTER TABLE recordings ADD COLUMN stored_at BIGINT;
-- When the local files were finished or last brought back; NULL = they are not to be here.
ALTER TABLE recordings ADD COLUMN local_since BIGINT;
-- When an upload or a deletion that came to nothing is tried again, and how often it was.
ALTER TABLE recordings ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
-- Kept for as long as this is set, whatever its age.
ALTER TABLE recordings ADD COLUMN held SMALLINT NOT NULL DEFAULT 0;
-- Who wished it deleted, as JSON; NULL: its time was over.
ALTER TABLE recordings ADD COLUMN deleted_by TEXT;
-- When the last file of a deleted recording was gone.
ALTER TABLE recordings ADD COLUMN purged_at BIGINT;
CREATE INDEX recordings_unseen ON recordings (state) WHERE finished_at IS NULL;
CREATE INDEX recordings_unstored ON recordings (due_at, finished_at) WHERE stored_at IS NULL;
CREATE INDEX recordings_local ON recordings (local_since) WHERE local_since IS NOT NULL;
CREATE INDEX recordings_by_age ON recordings (finished_at);
CREATE INDEX recordings_unpurged ON recordings (due_at) WHERE state = 'deleted' AND purged_at IS NULL;

-- Files of recordings in the store, or on their way there.
CREATE TABLE recording_files (
    call_id TEXT NOT NULL REFERENCES recordings (call_id),
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    -- Of an upload in parts: the store's name for it, and its receipts as JSON.
    upload_id TEXT,
    parts TEXT NOT NULL,
    PRIMARY KEY (call_id, name)
);

-- Days; 0 = for ever, NULL = as the configuration says.
ALTER TABLE numbers ADD COLUMN keep_recordings_days BIGINT;
