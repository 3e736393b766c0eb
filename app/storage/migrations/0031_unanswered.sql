-- Questions that were closed without an answer: when, and by whom.
ALTER TABLE questions ADD COLUMN closed_at timestamptz;
CREATE INDEX ON questions (show_id, asked_at) WHERE state IN ('held', 'open', 'answering');
