-- Of each line, how many units came back: after a cancellation, or because the shop said so at a refund.
ALTER TABLE order_lines ADD COLUMN returned int NOT NULL DEFAULT 0, ADD CHECK (returned BETWEEN 0 AND quantity);
UPDATE order_lines l SET returned = l.quantity FROM orders o WHERE o.id = l.order_id AND o.state = 'cancelled';
ALTER TABLE orders ADD COLUMN shipped_at timestamptz;   -- from then on nobody cancels

-- Money that goes back, each with the request that asked for it. refused: the provider would not.
CREATE TABLE refunds (
    id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 1),
    currency text NOT NULL,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'done', 'refused')),
    by_account_id text NOT NULL REFERENCES accounts,
    idempotency_key text NOT NULL,
    body_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    UNIQUE (by_account_id, idempotency_key)
);
CREATE INDEX ON refunds (order_id);

-- Units on their way back into the gate. `epoch` is the pool's when Postgres counted them: a gate of another epoch has
-- counted them already.
CREATE TABLE unit_returns (
    id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders,
    line int NOT NULL,
    pool_id text NOT NULL REFERENCES pools,
    account_id text NOT NULL REFERENCES accounts,
    quantity int NOT NULL CHECK (quantity >= 1),
    epoch bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON unit_returns (order_id);
