-- What each order pays for without having anything from it.
--
-- The spelling of a currency was asked of a regular expression, three times an order: when the attempt is written, when
-- its state changes, and in the order. The same, without one. What is there has been checked.
ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_currency_check,
    ADD CONSTRAINT payment_attempts_currency_check
    CHECK (octet_length(currency) = 3 AND translate(currency, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = '') NOT VALID;
ALTER TABLE orders DROP CONSTRAINT orders_currency_check,
    ADD CONSTRAINT orders_currency_check
    CHECK (octet_length(currency) = 3 AND translate(currency, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = '') NOT VALID;

-- A payment has its order when it is captured; until then there is nothing to be unique.
ALTER TABLE simulated_payments DROP CONSTRAINT simulated_payments_order_id_key;
CREATE UNIQUE INDEX simulated_payments_order ON simulated_payments (order_id) WHERE order_id IS NOT NULL;
