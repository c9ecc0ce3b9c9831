-- What reports count, by the time it happened.
CREATE INDEX permission_events_by_age ON permission_events (at);
CREATE INDEX dials_by_age ON dials (connected_at) WHERE connected_at IS NOT NULL;
