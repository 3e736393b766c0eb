-- Makes orders of payments: of all that fit, in the order in which they were asked.
--
-- asked   ids of payment attempts, each once
-- moment  when the orders are made
-- final   what does not fit is given up, and its void noted
-- RESULT  a row for each attempt that there is: commit (it is an order now) · ordered (it was) · over (given up before)
--         · ended (its sale was called off) · sold_out · over_limit · over_card_limit · over_address_limit
--
-- First the pools are locked, in the order of their ids; then, in a later statement with a snapshot of its own, it is
-- read and decided. One statement that does both reads what was there before it got the lock, and sells units twice.
-- The sums run over all that was asked before, so that an attempt that does not fit may shut out a later one that
-- would: whoever is refused in company is to be asked for once more alone. The caller's isolation is READ COMMITTED.
CREATE OR REPLACE FUNCTION commit_orders(asked text[], moment timestamptz, final boolean)
RETURNS TABLE (attempt_id text, outcome text) LANGUAGE plpgsql
    -- One plan for good, and one that has no choice: whatever grows by the second is reached by the keys that are asked
    -- for (LATERAL with OFFSET 0, = ANY of an array) and never joined. A plan made while a table was small, and free to
    -- begin with it, read the whole table once for each order of a batch when it had twenty thousand rows.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off
    SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    open CONSTANT text[] := '{started,authorised}';
    crowded_ids text[];  -- with the two below: lines whose card or address has had its share
    crowded_lines int[];
    crowded_kinds text[];
BEGIN
    PERFORM FROM pools WHERE id = ANY (ARRAY(SELECT a.pool_id FROM payment_attempts a WHERE a.id = ANY (asked)))
      ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM payment_marks m WHERE m.attempt_id = ANY (asked)) THEN
        -- Few payments in a batch have marks, and how many others have the same is anybody's guess: planned each time.
        EXECUTE $marks$
            WITH marked AS (
                SELECT t.place, a.id, a.line, a.pool_id, a.quantity, s.per_buyer_limit, m.kind, m.mark
                  FROM unnest($1) WITH ORDINALITY AS t (id, place)
                  JOIN payment_marks m ON m.attempt_id = t.id
                  JOIN payment_attempts a ON a.id = t.id AND a.state = ANY ($2)
                  JOIN pools p ON p.id = a.pool_id
                  JOIN flash_sales s ON s.id = p.flash_sale_id
            ), crowded AS (
                SELECT c.id, c.line, c.kind
                  FROM (SELECT m.*, sum(m.quantity) OVER (PARTITION BY m.pool_id, m.kind, m.mark
                                                          ORDER BY m.place, m.line ROWS UNBOUNDED PRECEDING) AS units
                          FROM marked m) c
                 WHERE c.units > c.per_buyer_limit - (
                       SELECT coalesce(sum(l.quantity - l.returned), 0)
                         FROM payment_marks m JOIN orders o ON o.id = m.attempt_id AND o.state <> 'cancelled'
                         JOIN order_lines l ON l.order_id = o.id AND l.pool_id = c.pool_id
                        WHERE m.kind = c.kind AND m.mark = c.mark)
            )
            SELECT array_agg(id), array_agg(line), array_agg(kind) FROM crowded $marks$
          INTO crowded_ids, crowded_lines, crowded_kinds USING asked, open;
    END IF;
    RETURN QUERY
    WITH asked_for AS MATERIALIZED (
        SELECT t.place, a.id, a.line, a.pool_id, a.account_id, a.quantity, a.state
          FROM unnest(asked) WITH ORDINALITY AS t (id, place)
         CROSS JOIN LATERAL (SELECT * FROM payment_attempts a WHERE a.id = t.id OFFSET 0) a
    ), pool AS MATERIALIZED (
        SELECT p.id, p.allotment, p.sold, s.state AS sale_state, s.per_buyer_limit
          FROM pools p LEFT JOIN flash_sales s ON s.id = p.flash_sale_id
         WHERE p.id = ANY (ARRAY(SELECT pool_id FROM asked_for))
    ), wish AS MATERIALIZED (
        SELECT t.place, t.id, t.line,
               CASE WHEN t.state IN ('committed', 'captured', 'capture_refused') THEN 'ordered'
                    WHEN t.state <> ALL (open) THEN 'over'
                    WHEN p.sale_state = 'cancelled' THEN 'ended'
                    WHEN sum(t.quantity) FILTER (WHERE t.state = ANY (open)) OVER pool_so_far
                         > p.allotment - p.sold THEN 'sold_out'
                    WHEN sum(t.quantity) FILTER (WHERE t.state = ANY (open)) OVER buyer_so_far
                         > p.per_buyer_limit - coalesce((SELECT b.sold FROM pool_buyers b
                                                          WHERE b.pool_id = t.pool_id AND b.account_id = t.account_id), 0)
                         THEN 'over_limit'
                    WHEN crowded_ids IS NULL THEN 'commit'
                    ELSE coalesce((SELECT 'over_' || min(c.kind) || '_limit'
                                     FROM unnest(crowded_ids, crowded_lines, crowded_kinds) AS c (id, line, kind)
                                    WHERE c.id = t.id AND c.line = t.line), 'commit') END AS verdict
          FROM asked_for t JOIN pool p ON p.id = t.pool_id
        WINDOW pool_so_far AS (PARTITION BY t.pool_id ORDER BY t.place, t.line ROWS UNBOUNDED PRECEDING),
               buyer_so_far AS (PARTITION BY t.pool_id, t.account_id ORDER BY t.place, t.line ROWS UNBOUNDED PRECEDING)
    ), refused AS MATERIALIZED (
        SELECT DISTINCT ON (id) id, verdict FROM wish WHERE verdict <> 'commit' ORDER BY id, line
    ), taken AS (  -- looks at the state once more: the settler does not lock pools
        UPDATE payment_attempts a SET state = 'committed', updated_at = moment
         WHERE a.id = ANY (ARRAY(SELECT w.id FROM wish w WHERE w.id NOT IN (SELECT id FROM refused)))
           AND a.state = ANY (open)
        RETURNING a.id, a.line, a.account_id, a.shop_id, a.show_id, a.hold_id, a.pool_id, a.variant_id, a.title,
                  a.quantity, a.unit_price_minor, a.amount_minor, a.currency
    ), new_orders AS (
        INSERT INTO orders (id, account_id, shop_id, show_id, state, total_minor, currency, created_at)
        SELECT id, account_id, shop_id, show_id, 'authorised', amount_minor, currency, moment FROM taken WHERE line = 1
    ), new_lines AS (
        INSERT INTO order_lines (order_id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor)
        SELECT id, line, hold_id, pool_id, variant_id, title, quantity, unit_price_minor FROM taken
    ), units AS MATERIALIZED (
        SELECT pool_id, sum(quantity)::int AS sold FROM taken GROUP BY pool_id
    ), pools_sold AS (
        UPDATE pools p SET sold = p.sold + (SELECT u.sold FROM units u WHERE u.pool_id = p.id)
         WHERE p.id = ANY (ARRAY(SELECT pool_id FROM units))
    ), buyers AS (
        INSERT INTO pool_buyers AS b (pool_id, account_id, sold)
        SELECT pool_id, account_id, sum(quantity)::int FROM taken GROUP BY pool_id, account_id
        ON CONFLICT (pool_id, account_id) DO UPDATE SET sold = b.sold + excluded.sold
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT id, 'authorised', 'authorised', 'owed', amount_minor, currency, moment FROM taken WHERE line = 1
    ), given_up AS (
        UPDATE payment_attempts a
           SET state = 'voiding', updated_at = moment, refusal = (SELECT r.verdict FROM refused r WHERE r.id = a.id)
         WHERE final AND a.state = ANY (open)
           AND a.id = ANY (ARRAY(SELECT r.id FROM refused r WHERE r.verdict NOT IN ('ordered', 'over')))
        RETURNING a.id, a.line
    ), notes AS (
        INSERT INTO outbox (topic, subject)
        SELECT topic, id FROM taken, (VALUES ('order.committed'), ('capture')) AS topics (topic) WHERE line = 1
        UNION ALL SELECT 'void', id FROM given_up WHERE line = 1
    )
    SELECT id, 'commit' FROM taken WHERE line = 1 UNION ALL SELECT id, verdict FROM refused;
END $$;
