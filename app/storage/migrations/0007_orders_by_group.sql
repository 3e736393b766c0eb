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

-- Makes orders of payments: of all that fit, in the order in which they were asked.
--
-- asked   ids of payment attempts, each once
-- moment  when the orders are made
-- final   what does not fit is given up, and its void noted
-- RESULT  a row for each attempt that there is: commit (it is an order now) · ordered (it was) · over (given up before)
--         · ended (its sale was called off) · sold_out · over_limit
--
-- First the pools are locked, in the order of their ids; then, in a later statement with a snapshot of its own, it is
-- read and decided. One statement that does both reads what was there before it got the lock, and sells units twice.
-- The sums run over all that was asked before, so that an attempt that does not fit may shut out a later one that
-- would: whoever is refused in company is to be asked for once more alone. The caller's isolation is READ COMMITTED.
CREATE FUNCTION commit_orders(asked text[], moment timestamptz, final boolean)
RETURNS TABLE (attempt_id text, outcome text) LANGUAGE plpgsql
    -- One plan for good: each row by its index, whatever the statistics think of tables that grow by the second. With a
    -- plan made for an empty table the hundredth batch took seventeen times as long as the first.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off
    SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    open CONSTANT text[] := '{started,authorised}';
BEGIN
    PERFORM FROM pools WHERE id IN (SELECT pool_id FROM payment_attempts WHERE id = ANY (asked))
      ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH wish AS (
        SELECT t.place, a.id, a.line,
               CASE WHEN a.state IN ('committed', 'captured', 'capture_refused') THEN 'ordered'
                    WHEN a.state <> ALL (open) THEN 'over'
                    WHEN s.state = 'cancelled' THEN 'ended'
                    WHEN sum(a.quantity) FILTER (WHERE a.state = ANY (open)) OVER pool_so_far
                         > p.allotment - p.sold THEN 'sold_out'
                    WHEN sum(a.quantity) FILTER (WHERE a.state = ANY (open)) OVER buyer_so_far
                         > s.per_buyer_limit - coalesce((SELECT b.sold FROM pool_buyers b
                                                          WHERE b.pool_id = a.pool_id AND b.account_id = a.account_id), 0)
                         THEN 'over_limit'
                    ELSE 'commit' END AS verdict
          FROM unnest(asked) WITH ORDINALITY AS t (id, place)
          JOIN payment_attempts a ON a.id = t.id
          JOIN pools p ON p.id = a.pool_id
          LEFT JOIN flash_sales s ON s.id = p.flash_sale_id
        WINDOW pool_so_far AS (PARTITION BY a.pool_id ORDER BY t.place, a.line ROWS UNBOUNDED PRECEDING),
               buyer_so_far AS (PARTITION BY a.pool_id, a.account_id ORDER BY t.place, a.line ROWS UNBOUNDED PRECEDING)
    ), refused AS (
        SELECT DISTINCT ON (id) id, verdict FROM wish WHERE verdict <> 'commit' ORDER BY id, line
    ), taken AS (  -- looks at the state once more: the settler does not lock pools
        UPDATE payment_attempts a SET state = 'committed', updated_at = moment
          FROM wish w
         WHERE w.id NOT IN (SELECT id FROM refused)
           AND a.id = w.id AND a.line = w.line AND a.state = ANY (open)
        RETURNING a.id, a.line, a.account_id, a.shop_id, a.show_id, a.hold_id, a.pool_id, a.variant_id, a.title,
                  a.quantity, a.unit_price_minor, a.amount_minor, a.currency
    ), new_orders AS (
        INSERT INTO orders (id, account_id, shop_id, show_id, state, total_minor, currency, created_at)
        SELECT id, account_id, shop_id, show_id, 'authorised', amount_minor, currency, moment FROM taken WHERE line = 1
    ), new_lines AS (
        INSERT INTO order_lines (order_id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor)
        SELECT id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor FROM taken
    ), pools_sold AS (
        UPDATE pools p SET sold = p.sold + x.units
          FROM (SELECT pool_id, sum(quantity)::int AS units FROM taken GROUP BY pool_id) x WHERE p.id = x.pool_id
    ), buyers AS (
        INSERT INTO pool_buyers AS b (pool_id, account_id, sold)
        SELECT pool_id, account_id, sum(quantity)::int FROM taken GROUP BY pool_id, account_id
        ON CONFLICT (pool_id, account_id) DO UPDATE SET sold = b.sold + excluded.sold
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT id, 'authorised', 'authorised', 'owed', amount_minor, currency, moment FROM taken WHERE line = 1
    ), given_up AS (
        UPDATE payment_attempts a SET state = 'voiding', updated_at = moment, refusal = r.verdict
          FROM refused r
         WHERE final AND a.id = r.id AND r.verdict NOT IN ('ordered', 'over') AND a.state = ANY (open)
        RETURNING a.id, a.line
    ), notes AS (
        INSERT INTO outbox (topic, subject)
        SELECT topic, id FROM taken, (VALUES ('order.committed'), ('capture')) AS topics (topic) WHERE line = 1
        UNION ALL SELECT 'void', id FROM given_up WHERE line = 1
    )
    SELECT id, 'commit' FROM taken WHERE line = 1 UNION ALL SELECT id, verdict FROM refused;
END $$;
