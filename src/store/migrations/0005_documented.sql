-- Every connected call leaves a record, a recording and a transcript, or says why not.

-- 1: what was said after the last kept word, up to the end of the recording, is unheard too; how long that is is not known.
ALTER TABLE transcripts ADD COLUMN to_end SMALLINT NOT NULL DEFAULT 0;
-- Why it is not whole; see `model::transcript::TranscriptReason`.
ALTER TABLE transcripts ADD COLUMN reason TEXT;
