-- From which devices and addresses accounts signed in lately: keyed hashes, which without the key lead nowhere.
CREATE TABLE account_hints (
    account_id text NOT NULL REFERENCES accounts,
    kind text NOT NULL CHECK (kind IN ('device', 'address')),
    hash bytea NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, kind, hash)
);
CREATE INDEX ON account_hints (hash);
CREATE INDEX ON account_hints (seen_at);

-- Who may be somebody that is banned, by such a hint: told to the staff of a show once.
CREATE TABLE evasions (
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    like_id text NOT NULL REFERENCES accounts,
    kind text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    closed_by text REFERENCES accounts,
    PRIMARY KEY (show_id, account_id, like_id)
);
