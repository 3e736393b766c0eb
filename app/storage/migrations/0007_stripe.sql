-- Stripe's PaymentIntent of each payment attempt, noted before it is confirmed. `voided_at` without an intent: the
-- attempt was given up before Stripe heard of it, and must not be authorised any more.
CREATE TABLE stripe_payments (
    attempt_id text PRIMARY KEY,
    intent text UNIQUE,
    voided_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (intent IS NOT NULL OR voided_at IS NOT NULL)
);

-- The simulated provider's books of what it gave back.
CREATE TABLE simulated_refunds (
    id text PRIMARY KEY,
    attempt_id text NOT NULL REFERENCES simulated_payments,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1)
);
