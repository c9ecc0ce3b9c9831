-- What people write about calls and customers.

CREATE TABLE notes (
    id TEXT NOT NULL PRIMARY KEY,
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    -- NULL: of the customer alone.
    call_id TEXT REFERENCES calls (id),
    -- One of the two: an agent, or the name of a program's key.
    author_id TEXT REFERENCES agents (id),
    author_key TEXT,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX notes_by_contact ON notes (contact_id, created_at, id);
CREATE INDEX notes_by_call ON notes (call_id, created_at, id) WHERE call_id IS NOT NULL;

-- How the call ended for the business: one word of the policy pack's list at the time.
ALTER TABLE calls ADD COLUMN disposition TEXT;
CREATE INDEX calls_by_disposition ON calls (disposition, created_at, id) WHERE disposition IS NOT NULL;

CREATE TABLE call_tags (
    call_id TEXT NOT NULL REFERENCES calls (id),
    -- In lower case, without line breaks.
    tag TEXT NOT NULL,
    PRIMARY KEY (call_id, tag)
);
CREATE INDEX call_tags_by_tag ON call_tags (tag, call_id);

-- How each leg sounded from moment to moment, as JSON; see `model::quality::Sample`.
ALTER TABLE legs ADD COLUMN history TEXT NOT NULL DEFAULT '[]';

-- A call's own story is read from the log.
CREATE INDEX events_by_call ON events (call_id, seq) WHERE call_id IS NOT NULL;
