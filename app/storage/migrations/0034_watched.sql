-- People whom the staff of a show keep an eye on: their messages are marked, wait for a moderator, or are seen by the
-- staff and themselves alone.
CREATE TABLE watched (
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    level text NOT NULL CHECK (level IN ('monitored', 'restricted', 'hidden')),
    PRIMARY KEY (show_id, account_id)
);
ALTER TABLE held_messages DROP CONSTRAINT held_messages_why_check;
ALTER TABLE held_messages ADD CONSTRAINT held_messages_why_check
    CHECK (why IN ('term', 'newcomer', 'delay', 'restricted', 'hidden'));
CREATE INDEX ON held_messages (show_id, account_id) WHERE why = 'hidden' AND state = 'waiting';
