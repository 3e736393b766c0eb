-- commit_orders for payments of which some have a coupon: a use is taken in the same transaction, or no order is made.
--
-- Arguments and result are those of commit_orders, with two words more: coupon_used_up · coupon_used (by this buyer).
--
-- Locks as commit_orders does, first the pools and then, in the order of their ids, the coupons; reads and decides in
-- later statements. The uses are summed over all that was asked before, like units: whoever is refused in company is to
-- be asked for once more alone. Payments without a coupon never come here.
CREATE OR REPLACE FUNCTION commit_orders_with_coupons(asked text[], moment timestamptz, final boolean)
RETURNS TABLE (attempt_id text, outcome text) LANGUAGE plpgsql
    -- As commit_orders: one plan for good, which reaches whatever grows by the keys that are asked for.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off
    SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    open CONSTANT text[] := '{started,authorised}';
    barred text[];
    why text[];
BEGIN
    PERFORM FROM pools WHERE id = ANY (ARRAY(SELECT a.pool_id FROM payment_attempts a WHERE a.id = ANY (asked)))
      ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM coupons WHERE id = ANY (ARRAY(SELECT p.coupon_id FROM payment_coupons p WHERE p.attempt_id = ANY (asked)))
      ORDER BY id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(d.id), '{}'), coalesce(array_agg(d.verdict), '{}') INTO barred, why
      FROM (SELECT t.id,
                   CASE WHEN row_number() OVER (PARTITION BY p.coupon_id ORDER BY t.place) > c.uses_max - c.used
                        THEN 'coupon_used_up'
                        WHEN c.once_per_buyer
                             AND (row_number() OVER (PARTITION BY p.coupon_id, p.account_id ORDER BY t.place) > 1
                                  OR EXISTS (SELECT FROM payment_coupons u
                                              WHERE u.coupon_id = p.coupon_id AND u.account_id = p.account_id
                                                AND u.counted_at IS NOT NULL AND u.returned_at IS NULL))
                        THEN 'coupon_used' END AS verdict
              FROM unnest(asked) WITH ORDINALITY AS t (id, place)
             CROSS JOIN LATERAL (SELECT FROM payment_attempts a
                                  WHERE a.id = t.id AND a.line = 1 AND a.state = ANY (open) OFFSET 0) a
             CROSS JOIN LATERAL (SELECT * FROM payment_coupons p WHERE p.attempt_id = t.id OFFSET 0) p
             CROSS JOIN LATERAL (SELECT * FROM coupons c WHERE c.id = p.coupon_id OFFSET 0) c) d
     WHERE d.verdict IS NOT NULL;
    RETURN QUERY
    WITH decided AS MATERIALIZED (
        SELECT o.attempt_id AS id, o.outcome AS word
          FROM commit_orders(ARRAY(SELECT t.id FROM unnest(asked) WITH ORDINALITY AS t (id, place)
                                    WHERE t.id <> ALL (barred) ORDER BY t.place), moment, final) o
    ), counted AS (
        UPDATE payment_coupons p SET counted_at = moment
         WHERE p.attempt_id = ANY (ARRAY(SELECT d.id FROM decided d WHERE d.word = 'commit')) RETURNING p.coupon_id
    ), uses AS MATERIALIZED (
        SELECT u.coupon_id AS id, count(*)::int AS more FROM counted u GROUP BY u.coupon_id
    ), used AS (
        UPDATE coupons c SET used = c.used + (SELECT u.more FROM uses u WHERE u.id = c.id)
         WHERE c.id = ANY (ARRAY(SELECT u.id FROM uses u))
    ), given_up AS (  -- looks at the state once more: the settler does not lock pools
        UPDATE payment_attempts a
           SET state = 'voiding', updated_at = moment,
               refusal = (SELECT b.verdict FROM unnest(barred, why) AS b (id, verdict) WHERE b.id = a.id)
         WHERE final AND a.id = ANY (barred) AND a.state = ANY (open)
        RETURNING a.id, a.line
    ), notes AS (
        INSERT INTO outbox (topic, subject) SELECT 'void', g.id FROM given_up g WHERE g.line = 1
    )
    SELECT d.id, d.word FROM decided d UNION ALL SELECT b.id, b.verdict FROM unnest(barred, why) AS b (id, verdict);
END $$;
