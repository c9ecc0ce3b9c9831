-- Browsers that take a call while no console is open (Web Push).

CREATE TABLE push_subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    -- It ends with the session in which it was made.
    session BYTEA NOT NULL REFERENCES sessions (sha256) ON DELETE CASCADE,
    -- An address of the push service's. Of use to nobody without vapid.key.
    endpoint TEXT NOT NULL UNIQUE,
    p256dh BYTEA NOT NULL,
    auth BYTEA NOT NULL,
    device TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX push_subscriptions_by_agent ON push_subscriptions (agent_id, created_at);
CREATE INDEX push_subscriptions_by_session ON push_subscriptions (session);
