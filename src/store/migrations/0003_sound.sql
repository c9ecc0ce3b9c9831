-- What was said, and what became of the sound. The same types as everywhere: BIGINT, SMALLINT, TEXT, BYTEA.

CREATE TABLE transcripts (
    call_id TEXT NOT NULL PRIMARY KEY REFERENCES calls (id),
    state TEXT NOT NULL,
    engine TEXT NOT NULL,
    -- As the engine was asked to listen; NULL = it finds out.
    language TEXT,
    -- When what was not written down live is to be listened to (again); NULL = nothing to do.
    due_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- Whether the call is summed up once this is as whole as it gets.
    sum_up SMALLINT NOT NULL
);
CREATE INDEX transcripts_due ON transcripts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transcripts_live ON transcripts (state) WHERE state = 'live';

-- Final segments only.
CREATE TABLE segments (
    call_id TEXT NOT NULL REFERENCES transcripts (call_id),
    speaker TEXT NOT NULL,
    position BIGINT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    text TEXT NOT NULL,
    -- Thousandths.
    confidence BIGINT,
    language TEXT,
    PRIMARY KEY (call_id, speaker, position)
);

-- Speech that nobody has written down.
CREATE TABLE unheard (
    call_id TEXT NOT NULL REFERENCES transcripts (call_id),
    speaker TEXT NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    PRIMARY KEY (call_id, speaker, start_ms)
);

CREATE TABLE summaries (
    call_id TEXT NOT NULL PRIMARY KEY REFERENCES transcripts (call_id),
    state TEXT NOT NULL,
    -- The paragraph that lists show; '' until it is ready.
    text TEXT NOT NULL,
    -- The whole, as JSON; NULL until it is ready.
    body TEXT,
    -- When it is to be made; NULL = nothing to do.
    due_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX summaries_due ON summaries (due_at) WHERE due_at IS NOT NULL;

-- Which calls a word was said in. Bytes, because they are ordered alike on both databases: a beginning of a word is a range.
CREATE TABLE spoken_words (
    word BYTEA NOT NULL,
    call_id TEXT NOT NULL REFERENCES transcripts (call_id),
    PRIMARY KEY (word, call_id)
);
-- What is done with the sound of calls.

-- What was not kept by request, as JSON; see `model::recording::Pause`.
ALTER TABLE calls ADD COLUMN recording_pauses TEXT NOT NULL DEFAULT '[]';
-- Whether the call was to be recorded when it began.
ALTER TABLE calls ADD COLUMN record_wanted SMALLINT NOT NULL DEFAULT 1;

-- Whether the number's calls are recorded; NULL = as the configuration says.
ALTER TABLE numbers ADD COLUMN record_wanted SMALLINT;

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
