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
