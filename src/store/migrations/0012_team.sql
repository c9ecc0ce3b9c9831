-- People who left, and what they sign in with.

-- Who left is no agent any more, but calls and notes go on naming it.
ALTER TABLE agents ADD COLUMN left_at BIGINT;

-- The browser, as it calls itself.
ALTER TABLE sessions ADD COLUMN client TEXT;

CREATE INDEX invitations_by_agent ON invitations (agent_id);
