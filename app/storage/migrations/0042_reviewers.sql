-- Whom a shop asks outside about what is about to be said in its shows, how long it waits for the answer, and what
-- becomes of a message about which none came.
CREATE TABLE reviewers (
    shop_id text PRIMARY KEY REFERENCES shops,
    url text NOT NULL,
    secret text NOT NULL,
    limit_ms int NOT NULL CHECK (limit_ms BETWEEN 100 AND 3000),
    otherwise text NOT NULL CHECK (otherwise IN ('say', 'hold', 'refuse'))
);
ALTER TABLE held_messages DROP CONSTRAINT held_messages_why_check;
ALTER TABLE held_messages ADD CONSTRAINT held_messages_why_check
    CHECK (why IN ('term', 'newcomer', 'delay', 'restricted', 'hidden', 'review'));
