-- What a show's chat is ruled by. No row: version 0, nothing set. The version is that of the room's keys chat and notice.
CREATE TABLE chat_rooms (
    show_id text PRIMARY KEY REFERENCES shows,
    version bigint NOT NULL DEFAULT 0,
    modes jsonb NOT NULL DEFAULT '{}',
    blocked text[] NOT NULL DEFAULT '{}',
    permitted text[] NOT NULL DEFAULT '{}',
    notice jsonb                                -- what is pinned to the chat
);

-- Messages that wait, or waited, for a moderator. One that was approved is in messages too, under the same id.
CREATE TABLE held_messages (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    name text NOT NULL,
    body text NOT NULL,                         -- emptied when denied
    reply_to text,
    why text NOT NULL CHECK (why IN ('term', 'newcomer')),
    found text NOT NULL DEFAULT '',             -- the words that held it
    sent_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'approved', 'denied')),
    decided_at timestamptz,
    decided_by text REFERENCES accounts
);
CREATE INDEX ON held_messages (show_id, sent_at) WHERE state = 'waiting';

-- Deletions of all that somebody (NULL: everybody) said in a show until then: what is copied later comes without text.
CREATE TABLE purges (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    account_id text REFERENCES accounts,
    by_account_id text NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL
);
CREATE INDEX ON purges (show_id, at);

-- What viewers told the staff about messages: one word of each viewer about each message.
CREATE TABLE reports (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    message_id text NOT NULL,
    author_id text NOT NULL REFERENCES accounts,
    by_account_id text NOT NULL REFERENCES accounts,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    closed_by text REFERENCES accounts,
    UNIQUE (message_id, by_account_id)
);
CREATE INDEX ON reports (show_id, at) WHERE closed_at IS NULL;
CREATE INDEX ON reports (by_account_id, at);

ALTER TABLE messages ADD COLUMN reply_to text;
