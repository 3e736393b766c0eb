-- Questions to the host. The version is that of the room's key; `asked_ms`, `taken_ms`: how far the show was then.
CREATE TABLE questions (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    name text NOT NULL,
    body text NOT NULL,                         -- emptied when removed
    state text NOT NULL CHECK (state IN ('held', 'open', 'answering', 'answered', 'past', 'removed')),
    why text NOT NULL DEFAULT '',               -- what held it
    votes int NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    answer text NOT NULL DEFAULT '',
    private boolean NOT NULL DEFAULT false,     -- the answer is for the asker alone
    asked_at timestamptz NOT NULL DEFAULT now(),
    asked_ms bigint,                            -- NULL: before the show began
    taken_ms bigint,                            -- when the host took it up
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON questions (show_id, state, votes DESC, asked_at);
CREATE INDEX ON questions (changed_at);
CREATE INDEX ON questions (account_id) WHERE state <> 'removed';

CREATE TABLE question_votes (
    question_id text NOT NULL REFERENCES questions,
    account_id text NOT NULL REFERENCES accounts,
    show_id text NOT NULL,
    PRIMARY KEY (question_id, account_id)
);
CREATE INDEX ON question_votes (account_id, show_id);
