-- A note whose effect fails by itself, whatever the weather, is set aside for people to look at; next_try_at is then
-- infinite. An outage never counts as such a failure.
ALTER TABLE outbox
    ADD COLUMN failures int NOT NULL DEFAULT 0,
    ADD COLUMN last_error text,
    ADD COLUMN set_aside_at timestamptz;
CREATE INDEX ON outbox (set_aside_at) WHERE set_aside_at IS NOT NULL;

-- The buyer's bank asked the buyer something; until they have answered, the payment is open.
ALTER TABLE payment_attempts ADD COLUMN challenged_at timestamptz;
ALTER TABLE simulated_payments
    DROP CONSTRAINT simulated_payments_state_check,
    ADD CHECK (state IN ('challenge', 'authorised', 'declined', 'captured', 'voided'));
