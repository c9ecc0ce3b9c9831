-- What is done with the sound of calls.

-- What was not kept by request, as JSON; see `model::recording::Pause`.
ALTER TABLE calls ADD COLUMN recording_pauses TEXT NOT NULL DEFAULT '[]';
-- Whether the call was to be recorded when it began.
ALTER TABLE calls ADD COLUMN record_wanted SMALLINT NOT NULL DEFAULT 1;

-- Whether the number's calls are recorded; NULL = as the configuration says.
ALTER TABLE numbers ADD COLUMN record_wanted SMALLINT;
