-- How agents like to look at the list of calls.
CREATE TABLE views (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    name TEXT NOT NULL,
    section TEXT NOT NULL,
    -- As JSON; see `store::views::ViewFilter`.
    filter TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (agent_id, name)
);

-- At or below it the wallet counts as low; NULL: nobody wants to know. Kept with the wallet's own account.
ALTER TABLE accounts ADD COLUMN low_micros BIGINT;
