-- Polls. The version is that of the room's key `poll`, which shows the poll that changed last: one sequence for all.
CREATE SEQUENCE poll_versions;
CREATE TABLE polls (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    question text NOT NULL,
    options text[] NOT NULL,
    counts int[] NOT NULL,                      -- as they were said last; at the end the result
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'ended', 'withdrawn')),
    version bigint NOT NULL DEFAULT nextval('poll_versions'),
    by_account_id text NOT NULL REFERENCES accounts,
    started_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz,                        -- NULL: when somebody ends it
    ended_at timestamptz,
    CHECK (cardinality(counts) = cardinality(options))
);
CREATE INDEX ON polls (show_id, version);
CREATE UNIQUE INDEX polls_open ON polls (show_id) WHERE state = 'open';

-- One answer of a person. No keys to other tables: each row is made from rows that the same statement read and that are
-- never deleted, and ten thousand come within seconds.
CREATE TABLE poll_answers (
    poll_id text NOT NULL,
    account_id text NOT NULL,
    choice int NOT NULL,                        -- place in the poll's options, from 0
    PRIMARY KEY (poll_id, account_id) INCLUDE (choice)
);
