-- What the sweeps over finished recordings ask for, every second or every few: none of them reads what was purged or done
-- with long ago. The planner takes such an index only for a query that says the same conditions.
DROP INDEX recordings_unstored;
DROP INDEX recordings_local;
DROP INDEX recordings_by_age;
CREATE INDEX recordings_to_store ON recordings (due_at, finished_at, id)
    WHERE stored_at IS NULL AND local_since IS NOT NULL AND state IN ('ready', 'failed');
CREATE INDEX recordings_to_spare ON recordings (store, local_since, id)
    WHERE stored_at IS NOT NULL AND local_since IS NOT NULL AND state IN ('ready', 'failed');
CREATE INDEX recordings_to_expire ON recordings (finished_at) WHERE state IN ('ready', 'failed') AND held = 0;
