-- What the parties were told about being recorded, as JSON; see `model::recording::Consent`.
ALTER TABLE calls ADD COLUMN recording_consent TEXT;
