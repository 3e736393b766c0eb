-- Events that Stripe told us, by its own id: each has its effect once, however often and late it is told.
CREATE TABLE stripe_events (
    id text PRIMARY KEY,
    type text NOT NULL,
    attempt_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON stripe_events (received_at);
