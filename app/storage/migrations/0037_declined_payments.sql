-- Payments that were declined, or are not decided yet, counted against account, network and card for a day.
CREATE TABLE payment_tries (
    attempt_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('account', 'network', 'card')),
    mark bytea NOT NULL,                        -- a hash of who, where or which card
    begun_at timestamptz NOT NULL DEFAULT now(),
    declined_at timestamptz,
    PRIMARY KEY (attempt_id, kind)
);
CREATE INDEX payment_tries_of ON payment_tries (kind, mark, begun_at);
CREATE INDEX payment_tries_age ON payment_tries (begun_at);

-- Who has to wait before the next payment, and until when.
CREATE TABLE payment_waits (
    kind text NOT NULL,
    mark bytea NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (kind, mark)
);
