-- What the worker's rounds look for several times a second, among all that ever was.
CREATE INDEX ON pools (flash_sale_id) WHERE closed_at IS NULL AND flash_sale_id IS NOT NULL;
CREATE INDEX ON pools (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX ON outbox (done_at) WHERE done_at IS NOT NULL;
-- No statement looks for a sale by its state alone.
DROP INDEX flash_sales_state_idx;
