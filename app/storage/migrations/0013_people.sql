-- A ban is enforced when every room, socket, hold and media session that it concerns has learnt of it.
ALTER TABLE sanctions ADD COLUMN enforced_at timestamptz;
CREATE INDEX ON sanctions (created_at) WHERE kind = 'ban' AND enforced_at IS NULL AND lifted_at IS NULL;
CREATE INDEX ON sanctions (account_id) WHERE lifted_at IS NULL;

-- Warnings: who got one writes again once they have acknowledged it.
CREATE TABLE warnings (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    reason text NOT NULL,
    by_account_id text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz
);
CREATE INDEX ON warnings (show_id, account_id) WHERE acknowledged_at IS NULL;

-- Whom somebody does not want to read.
CREATE TABLE blocks (
    owner_id text NOT NULL REFERENCES accounts,
    account_id text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, account_id),
    CHECK (owner_id <> account_id)
);
