-- Messages that viewers see a little later than the staff wait like those that a filter held.
ALTER TABLE held_messages DROP CONSTRAINT held_messages_why_check;
ALTER TABLE held_messages ADD CONSTRAINT held_messages_why_check CHECK (why IN ('term', 'newcomer', 'delay'));
ALTER TABLE held_messages ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX ON held_messages (kept_at) WHERE state = 'waiting' AND why = 'delay';
