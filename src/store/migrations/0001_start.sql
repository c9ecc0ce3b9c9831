-- One text for SQLite and PostgreSQL: BIGINT (milliseconds), SMALLINT (0 or 1), TEXT (ids, words, JSON) and BYTEA only.

-- Numbers given out without gaps, and rows to lock where a decision has no parent row of its own.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0), ('webhooks', 0), ('identities', 0);

CREATE TABLE numbers (
    id TEXT NOT NULL PRIMARY KEY,
    display_phone TEXT NOT NULL,
    plan TEXT NOT NULL,
    add_ons TEXT NOT NULL,
    messaging_limit BIGINT NOT NULL,
    platform TEXT NOT NULL,
    -- Sealed with the key file; NULL = none set.
    graph_token BYTEA
);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
);

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT,
    role TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    excluded SMALLINT NOT NULL,
    configure_calls SMALLINT NOT NULL,
    all_calls SMALLINT NOT NULL,
    status TEXT NOT NULL
);

CREATE TABLE contacts (
    id TEXT NOT NULL PRIMARY KEY,
    phone TEXT UNIQUE,
    user_id TEXT UNIQUE,
    name TEXT,
    username TEXT,
    assignee_id TEXT REFERENCES agents (id),
    owner_id TEXT REFERENCES agents (id),
    created_at BIGINT NOT NULL,
    -- Folded to lower case by the program: neither database folds all of Unicode by itself.
    search_text TEXT NOT NULL,
    -- Set once two contacts turned out to be one person; this row then only forwards its id.
    merged_into TEXT REFERENCES contacts (id)
);
CREATE INDEX contacts_by_age ON contacts (created_at, id);
CREATE INDEX contacts_by_target ON contacts (merged_into);

CREATE TABLE permissions (
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    status TEXT NOT NULL,
    expires_at BIGINT,
    decided_at BIGINT NOT NULL,
    -- Which of two decisions of the same moment stands.
    weight BIGINT NOT NULL,
    PRIMARY KEY (number_id, contact_id)
);
CREATE INDEX permissions_by_contact ON permissions (contact_id);

CREATE TABLE calls (
    id TEXT NOT NULL PRIMARY KEY,
    number_id TEXT NOT NULL REFERENCES numbers (id),
    contact_id TEXT NOT NULL REFERENCES contacts (id),
    direction TEXT NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    agent_id TEXT REFERENCES agents (id),
    created_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    duration_ms BIGINT NOT NULL,
    end_reason TEXT,
    ended_by TEXT,
    recording_state TEXT NOT NULL,
    recording_duration_ms BIGINT NOT NULL,
    recording_gaps BIGINT NOT NULL,
    wacid TEXT UNIQUE,
    callback_data TEXT,
    upstream_code BIGINT,
    trace TEXT NOT NULL
);
CREATE INDEX calls_by_age ON calls (created_at, id);
CREATE INDEX calls_by_agent ON calls (agent_id, created_at);
CREATE INDEX calls_by_agent_end ON calls (agent_id, ended_at);
CREATE INDEX calls_by_contact ON calls (contact_id, created_at);
CREATE INDEX calls_live ON calls (created_at, id) WHERE state <> 'ended';

CREATE TABLE offers (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id),
    position BIGINT NOT NULL,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    offered_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    cause TEXT,
    ended_at BIGINT,
    reason TEXT NOT NULL
);
CREATE INDEX offers_by_call ON offers (call_id, agent_id);
CREATE INDEX offers_by_agent_end ON offers (agent_id, ended_at);

CREATE TABLE legs (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id),
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    quality TEXT NOT NULL
);
CREATE INDEX legs_by_call ON legs (call_id, position);

CREATE TABLE recordings (
    call_id TEXT NOT NULL PRIMARY KEY REFERENCES calls (id),
    id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    state TEXT NOT NULL,
    sha256 TEXT
);
CREATE INDEX recordings_open ON recordings (state) WHERE state = 'recording';

CREATE TABLE webhooks (
    id BIGINT NOT NULL PRIMARY KEY,
    received_at BIGINT NOT NULL,
    done SMALLINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX webhooks_pending ON webhooks (id) WHERE done = 0;

CREATE TABLE seen_keys (
    key TEXT NOT NULL PRIMARY KEY,
    -- The webhook that brought it first; NULL where the caller named none.
    webhook_id BIGINT,
    seen_at BIGINT NOT NULL
);
CREATE INDEX seen_keys_by_age ON seen_keys (seen_at);

CREATE TABLE tombstones (
    wacid TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    buried_at BIGINT NOT NULL
);

CREATE TABLE events (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    call_id TEXT,
    agent_id TEXT,
    data TEXT NOT NULL
);

CREATE TABLE api_keys (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The one whose secret lies in the admin key file.
    is_admin_file SMALLINT NOT NULL
);

CREATE TABLE agent_tokens (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    expires_at BIGINT NOT NULL
);
CREATE INDEX agent_tokens_by_end ON agent_tokens (expires_at);

CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    -- NULL while the first request runs. The answer may carry a secret made once, so its body is sealed.
    status BIGINT,
    content_type TEXT,
    location TEXT,
    body BYTEA,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_by_age ON idempotency (begun_at);
