-- How people sign in to the console.

-- Argon2 hashes in PHC form, which name their own parameters.
CREATE TABLE passwords (
    agent_id TEXT NOT NULL PRIMARY KEY REFERENCES agents (id),
    hash TEXT NOT NULL,
    set_at BIGINT NOT NULL
);

-- Links with which somebody chooses a password, each good once.
CREATE TABLE invitations (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    expires_at BIGINT NOT NULL
);
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- Of browsers. One that is not used ends before its time.
CREATE TABLE sessions (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    begun_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_use ON sessions (used_at);
CREATE INDEX sessions_by_agent ON sessions (agent_id);
CREATE INDEX agents_by_email ON agents (lower(email));
