-- commit_orders, or commit_orders_with_coupons, of each payment by itself in its turn: what does not fit is given up.
--
-- asked    ids of payment attempts, each once
-- moment   when the orders are made
-- coupons  some have a coupon
-- RESULT   as of commit_orders
--
-- For those who were refused in company: their neighbours, of whom none may have become an order, count here no more.
-- All the locks are taken first, in the order in which every commit takes them; one by one they could wait in a circle.
-- Each call sees what those before it have written.
CREATE OR REPLACE FUNCTION commit_each_alone(asked text[], moment timestamptz, coupons boolean)
RETURNS TABLE (attempt_id text, outcome text) LANGUAGE plpgsql
    -- One plan for good, by the keys that are asked for, as commit_orders has it.
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off
    SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    one text;
BEGIN
    PERFORM FROM pools WHERE id = ANY (ARRAY(SELECT a.pool_id FROM payment_attempts a WHERE a.id = ANY (asked)))
      ORDER BY id FOR NO KEY UPDATE;
    IF coupons THEN
        PERFORM FROM coupons c
          WHERE c.id = ANY (ARRAY(SELECT p.coupon_id FROM payment_coupons p WHERE p.attempt_id = ANY (asked)))
          ORDER BY c.id FOR NO KEY UPDATE OF c;
    END IF;
    FOREACH one IN ARRAY asked LOOP
        IF coupons THEN
            RETURN QUERY SELECT * FROM commit_orders_with_coupons(ARRAY[one], moment, true);
        ELSE
            RETURN QUERY SELECT * FROM commit_orders(ARRAY[one], moment, true);
        END IF;
    END LOOP;
END $$;
