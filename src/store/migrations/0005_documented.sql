-- Every connected call leaves a record, a recording and a transcript, or says why not.

-- 1: what was said after the last kept word, up to the end of the recording, is unheard too; how long that is is not known.
ALTER TABLE transcripts ADD COLUMN to_end SMALLINT NOT NULL DEFAULT 0;
-- Why it is not whole; see `model::transcript::TranscriptReason`.
ALTER TABLE transcripts ADD COLUMN reason TEXT;

-- How often the call was to be summed up: what was made for an earlier wish does not end the latest.
ALTER TABLE summaries ADD COLUMN asked BIGINT NOT NULL DEFAULT 0;
-- 1: the rules have had their turn, and the language model is to be asked.
ALTER TABLE summaries ADD COLUMN drafted SMALLINT NOT NULL DEFAULT 0;

-- Why a call has no recording or no transcript; see `model::recording::RecordingReason` and `TranscriptReason`.
ALTER TABLE calls ADD COLUMN recording_reason TEXT;
ALTER TABLE calls ADD COLUMN transcript_reason TEXT;
-- What an answered call lacks though nothing says why, as JSON; NULL: nothing that is known of.
ALTER TABLE calls ADD COLUMN undocumented TEXT;
-- When an ended call is looked at for that; NULL: not any more. Calls that had ended before are not judged.
ALTER TABLE calls ADD COLUMN documents_due_at BIGINT DEFAULT 0;
UPDATE calls SET documents_due_at = NULL WHERE state = 'ended';
CREATE INDEX calls_documents_due ON calls (documents_due_at) WHERE documents_due_at IS NOT NULL;
CREATE INDEX calls_undocumented ON calls (id) WHERE undocumented IS NOT NULL;

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
