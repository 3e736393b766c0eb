-- Webhooks out: a shop's endpoints, what happened, and each event's way to each endpoint.
CREATE TABLE webhook_endpoints (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    events text[] NOT NULL CHECK (cardinality(events) >= 1),
    secret text NOT NULL,
    previous_secret text,                       -- signs too until previous_until
    previous_until timestamptz,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    failing_since timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON webhook_endpoints (shop_id);

-- Written by the triggers below in the transaction of what happened, and only for shops that asked for it.
CREATE TABLE webhook_events (
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    shop_id text NOT NULL REFERENCES shops,
    type text NOT NULL,
    subject text NOT NULL,                      -- the id of the order, show or flash sale
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body text                                   -- the bytes that every delivery of it sends; null until then
);
CREATE INDEX ON webhook_events (at) WHERE body IS NULL;
CREATE INDEX ON webhook_events (at);

CREATE TABLE webhook_deliveries (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_id text NOT NULL REFERENCES webhook_events ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    tries int NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    status int,
    error text,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX ON webhook_deliveries (next_try_at) WHERE state = 'pending';
CREATE INDEX ON webhook_deliveries (event_id);

-- One statement for all rows that a statement changed: a commit of 256 orders pays for one look, not for 256.
CREATE FUNCTION note_webhook_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints) THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO webhook_events (shop_id, type, subject)
        SELECT c.shop_id, TG_ARGV[0] || c.state, c.id
          FROM changed c
         WHERE EXISTS (SELECT FROM webhook_endpoints e
                        WHERE e.shop_id = c.shop_id AND TG_ARGV[0] || c.state = ANY (e.events));
    ELSE
        INSERT INTO webhook_events (shop_id, type, subject)
        SELECT c.shop_id, TG_ARGV[0] || c.state, c.id
          FROM changed c JOIN was o ON o.id = c.id AND o.state <> c.state
         WHERE EXISTS (SELECT FROM webhook_endpoints e
                        WHERE e.shop_id = c.shop_id AND TG_ARGV[0] || c.state = ANY (e.events));
    END IF;
    RETURN NULL;
END $$;

-- The same for flash sales, whose shop is their show's.
CREATE FUNCTION note_webhook_sale_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM webhook_endpoints) THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO webhook_events (shop_id, type, subject)
        SELECT w.shop_id, TG_ARGV[0] || c.state, c.id
          FROM changed c JOIN shows w ON w.id = c.show_id
         WHERE EXISTS (SELECT FROM webhook_endpoints e
                        WHERE e.shop_id = w.shop_id AND TG_ARGV[0] || c.state = ANY (e.events));
    ELSE
        INSERT INTO webhook_events (shop_id, type, subject)
        SELECT w.shop_id, TG_ARGV[0] || c.state, c.id
          FROM changed c JOIN was o ON o.id = c.id AND o.state <> c.state JOIN shows w ON w.id = c.show_id
         WHERE EXISTS (SELECT FROM webhook_endpoints e
                        WHERE e.shop_id = w.shop_id AND TG_ARGV[0] || c.state = ANY (e.events));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER orders_came AFTER INSERT ON orders REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('order.');
CREATE TRIGGER orders_changed AFTER UPDATE ON orders REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('order.');
CREATE TRIGGER shows_came AFTER INSERT ON shows REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('show.');
CREATE TRIGGER shows_changed AFTER UPDATE ON shows REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_events('show.');
CREATE TRIGGER flash_sales_came AFTER INSERT ON flash_sales REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_sale_events('flash_sale.');
CREATE TRIGGER flash_sales_changed AFTER UPDATE ON flash_sales REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_webhook_sale_events('flash_sale.');
