-- What agents' clients say of the offers they show.
ALTER TABLE offers ADD COLUMN shown_at BIGINT;
ALTER TABLE offers ADD COLUMN audible_at BIGINT;
ALTER TABLE offers ADD COLUMN trouble TEXT;

-- An agent's day.
CREATE INDEX offers_by_agent ON offers (agent_id, offered_at);
