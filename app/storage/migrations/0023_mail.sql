-- What buyers are written, one row a letter: of an order's confirmation, its shipping, each of its refunds.
CREATE TABLE mails (
    id text PRIMARY KEY,                        -- kind-subject: an event writes one letter, however often it is told
    order_id text NOT NULL REFERENCES orders,
    kind text NOT NULL CHECK (kind IN ('confirmed', 'shipped', 'refunded')),
    subject text NOT NULL,                      -- the order's id, or the refund's
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused', 'given_up')),
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz
);
CREATE INDEX ON mails (order_id);
