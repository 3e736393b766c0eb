-- Orders are committed by the hundred, in one transaction by one function. What follows is written once per order or
-- more often, so every index, every row and every check of these tables was weighed.

-- These rows are only ever copied from rows that the writing statement has just read or locked, and those are never
-- deleted. A foreign key would look each of them up again, ten times an order, one by one.
ALTER TABLE orders
    DROP CONSTRAINT orders_account_id_fkey, DROP CONSTRAINT orders_shop_id_fkey, DROP CONSTRAINT orders_show_id_fkey;
ALTER TABLE order_lines
    DROP CONSTRAINT order_lines_order_id_fkey, DROP CONSTRAINT order_lines_pool_id_fkey,
    DROP CONSTRAINT order_lines_variant_id_fkey;
ALTER TABLE pool_buyers DROP CONSTRAINT pool_buyers_pool_id_fkey, DROP CONSTRAINT pool_buyers_account_id_fkey;
ALTER TABLE payment_attempts
    DROP CONSTRAINT payment_attempts_pool_id_fkey, DROP CONSTRAINT payment_attempts_account_id_fkey,
    DROP CONSTRAINT payment_attempts_show_id_fkey, DROP CONSTRAINT payment_attempts_order_id_fkey;

-- A payment has a row for each of its lines, and all that an order's line will say. `amount_minor` is the payment's,
-- the same in all its rows; the idempotency key stands in the first.
ALTER TABLE payment_attempts
    ADD COLUMN line int NOT NULL DEFAULT 1 CHECK (line >= 1),
    ADD COLUMN shop_id text,
    ADD COLUMN variant_id text,
    ADD COLUMN title text,
    ADD COLUMN body_hash bytea,                 -- of the request that began it: the key is for this body alone
    ADD COLUMN refusal text;                    -- why no order came of it, as its buyer was told
UPDATE payment_attempts a
   SET shop_id = d.shop_id, variant_id = v.id, title = d.title || CASE v.title WHEN '' THEN '' ELSE ', ' || v.title END
  FROM pools p JOIN variants v ON v.id = p.variant_id JOIN products d ON d.id = v.product_id WHERE p.id = a.pool_id;
UPDATE payment_attempts a SET body_hash = k.body_hash, refusal = k.answer ->> 'code'
  FROM idempotency_keys k WHERE k.account_id = a.account_id AND k.key = a.idempotency_key;
UPDATE payment_attempts SET idempotency_key = NULL WHERE body_hash IS NULL;
ALTER TABLE payment_attempts
    ALTER shop_id SET NOT NULL, ALTER variant_id SET NOT NULL, ALTER title SET NOT NULL;
DROP TABLE idempotency_keys;

-- An order has the id of the payment that became it.
ALTER TABLE order_lines ADD COLUMN hold_id text;
UPDATE order_lines l SET hold_id = o.hold_id, order_id = a.id
  FROM orders o JOIN payment_attempts a ON a.order_id = o.id WHERE l.order_id = o.id;
UPDATE outbox n SET subject = a.id FROM payment_attempts a WHERE a.order_id = n.subject;
UPDATE orders o SET id = a.id FROM payment_attempts a WHERE a.order_id = o.id;
ALTER TABLE order_lines ALTER hold_id SET NOT NULL;
ALTER TABLE orders DROP COLUMN hold_id;
ALTER TABLE payment_attempts DROP COLUMN order_id;

ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_pkey, ADD PRIMARY KEY (id, line);
DROP INDEX payment_attempts_hold_id_idx;        -- the unique one
DROP INDEX payment_attempts_hold_id_idx1;
DROP INDEX payment_attempts_pool_id_idx;
DROP INDEX payment_attempts_updated_at_idx;
DROP INDEX order_lines_pool_id_idx;

-- What the indexes ask about the state. The commit of an order changes neither, so that it changes no index at all and
-- the row stays where it is.
ALTER TABLE payment_attempts
    ADD COLUMN failed boolean GENERATED ALWAYS AS (state IN ('declined', 'voiding', 'voided')) STORED,
    ADD COLUMN unfinished boolean
        GENERATED ALWAYS AS (state IN ('started', 'authorised', 'committed', 'voiding')) STORED;
-- One payment at a time on a hold, and one order for ever.
CREATE UNIQUE INDEX payment_attempts_hold ON payment_attempts (hold_id) WHERE NOT failed;
-- What the settler looks through, and a rebuild of the gate.
CREATE INDEX payment_attempts_unfinished ON payment_attempts (id, line) WHERE unfinished;
CREATE UNIQUE INDEX payment_attempts_key ON payment_attempts (account_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX payment_attempts_key_age ON payment_attempts (created_at) WHERE idempotency_key IS NOT NULL;

-- Double entry: each row moves an amount from one account of an order to another, so that what it adds up to is zero.
-- authorised: the provider reserved it. captured: the provider took it. owed: what the buyer gets for it.
CREATE TABLE ledger (
    order_id text NOT NULL,
    event text NOT NULL,                        -- once per order: a repeated event posts nothing
    debit text NOT NULL,
    credit text NOT NULL CHECK (credit <> debit),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    currency text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, event)
);
CREATE VIEW ledger_entries AS
    SELECT order_id, event, debit AS account, amount_minor, currency, at FROM ledger
    UNION ALL SELECT order_id, event, credit, -amount_minor, currency, at FROM ledger;
INSERT INTO ledger
    SELECT id, 'authorised', 'authorised', 'owed', total_minor, currency, created_at FROM orders;
INSERT INTO ledger
    SELECT id, 'captured', 'captured', 'authorised', total_minor, currency, paid_at FROM orders WHERE paid_at IS NOT NULL;
INSERT INTO ledger
    SELECT id, 'cancelled', 'owed', 'authorised', total_minor, currency, cancelled_at
      FROM orders WHERE state = 'cancelled';

-- A note is looked for by its number alone, and only until it is done.
ALTER TABLE outbox DROP COLUMN payload, DROP CONSTRAINT outbox_pkey;
DROP INDEX outbox_next_try_at_idx;
CREATE UNIQUE INDEX outbox_open ON outbox (n) WHERE done_at IS NULL;

-- Rows that change in place, as long as their page has room.
ALTER TABLE payment_attempts SET (fillfactor = 50);
ALTER TABLE pools SET (fillfactor = 50);
ALTER TABLE pool_buyers SET (fillfactor = 80);
