-- Cards that buyers keep for next time, as their provider tells one from another; never a number. One row a buyer and
-- card, also after it was removed: what is told late of the payment that it was kept with does not bring it back.
CREATE TABLE saved_cards (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    mark bytea NOT NULL,
    method text NOT NULL UNIQUE,    -- the provider's id of it
    attempt_id text NOT NULL,       -- the payment that it was last kept with
    brand text NOT NULL,
    last4 text NOT NULL,
    exp_month int NOT NULL,
    exp_year int NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    UNIQUE (account_id, mark)
);

-- Payments whose buyers want their card kept.
CREATE TABLE payment_keeps (attempt_id text PRIMARY KEY);

-- Stripe's customer of an account. `key` is noted before Stripe is asked for one, so that it makes one.
CREATE TABLE stripe_customers (
    account_id text PRIMARY KEY REFERENCES accounts,
    key text NOT NULL,
    customer text UNIQUE
);

-- Events about cards are about no payment.
ALTER TABLE stripe_events ALTER COLUMN attempt_id DROP NOT NULL;

-- The simulated provider's books of cards that it keeps.
CREATE TABLE simulated_cards (
    id text PRIMARY KEY,
    attempt_id text NOT NULL,
    account_id text NOT NULL,
    kept_at timestamptz,            -- since its payment went through
    detached_at timestamptz
);
