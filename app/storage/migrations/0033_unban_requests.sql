-- Who was banned asks once to be let back; `asked_in` is the show whose staff see it.
CREATE TABLE unban_requests (
    id text PRIMARY KEY,
    sanction_id text NOT NULL UNIQUE REFERENCES sanctions,
    asked_in text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    body text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'declined')),
    answer text NOT NULL DEFAULT '',
    asked_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    decided_by text REFERENCES accounts
);
CREATE INDEX ON unban_requests (asked_in, asked_at) WHERE state = 'open';
