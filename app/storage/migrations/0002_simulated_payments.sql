-- The simulated provider's own books: what a real one would keep on its side.
CREATE TABLE simulated_payments (
    attempt_id text PRIMARY KEY,                -- our idempotency key for the authorisation
    method text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('authorised', 'declined', 'captured', 'voided')),
    answers_at timestamptz NOT NULL DEFAULT now(),  -- until then the provider is silent: the method that hangs
    order_id text UNIQUE,                       -- our idempotency key for the capture
    captures int NOT NULL DEFAULT 0,
    captured_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The request that began the attempt, so that whoever finishes it writes that request's answer.
ALTER TABLE payment_attempts ADD COLUMN idempotency_key text;
-- A payment that outlived its hold goes on with a new hold of the same buyer at the same price; this was the first.
ALTER TABLE payment_attempts ADD COLUMN replaced_hold_id text;
CREATE INDEX ON payment_attempts (replaced_hold_id) WHERE replaced_hold_id IS NOT NULL;
CREATE INDEX ON payment_attempts (hold_id);
