-- Payments that no order stands on, captured all the same, whose provider refuses to give the money back. It is asked
-- again, each time under another id; until it went, somebody has to know.
CREATE TABLE give_backs_refused (
    attempt_id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    currency text NOT NULL,
    refusals int NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX ON give_backs_refused (shop_id) WHERE ended_at IS NULL;
CREATE INDEX refunds_refused ON refunds (order_id) WHERE state = 'refused';

-- What buyers dispute at their banks, under the provider's id. inquiry: the bank asks, and no money has moved. open: the
-- bank has taken it until it decides. closed: an inquiry that came to nothing.
CREATE TABLE disputes (
    id text PRIMARY KEY,
    order_id text NOT NULL,
    shop_id text NOT NULL REFERENCES shops,
    state text NOT NULL CHECK (state IN ('inquiry', 'open', 'won', 'lost', 'closed')),
    reason text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz
);
CREATE INDEX ON disputes (order_id);
CREATE INDEX ON disputes (shop_id) WHERE state IN ('inquiry', 'open');
CREATE TRIGGER disputes_came AFTER INSERT ON disputes REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('dispute.');
CREATE TRIGGER disputes_changed AFTER UPDATE ON disputes REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('dispute.');

-- The simulated bank's books of them.
CREATE TABLE simulated_disputes (
    id text PRIMARY KEY,
    attempt_id text NOT NULL REFERENCES simulated_payments,
    state text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1)
);
CREATE INDEX ON simulated_disputes (attempt_id);

ALTER TABLE mails
    DROP CONSTRAINT mails_kind_check,
    ADD CONSTRAINT mails_kind_check CHECK (kind IN ('confirmed', 'shipped', 'cancelled', 'refunded'));
