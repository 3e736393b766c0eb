-- What lowers the price of ordinary stock: a discount on a product, and a shop's campaigns. Both count by this
-- server's clock, from their start (inclusive) to their end (exclusive).

ALTER TABLE products
    ADD COLUMN discount_percent int CHECK (discount_percent BETWEEN 1 AND 99),
    ADD COLUMN discount_minor bigint CHECK (discount_minor BETWEEN 1 AND 1000000000000),
    ADD COLUMN discount_starts_at timestamptz,  -- NULL: from now on
    ADD COLUMN discount_ends_at timestamptz,    -- NULL: until it is taken away
    ADD CHECK (discount_percent IS NULL OR discount_minor IS NULL),
    ADD CHECK (discount_ends_at > discount_starts_at);
CREATE INDEX ON products (discount_starts_at) WHERE discount_starts_at IS NOT NULL;
CREATE INDEX ON products (discount_ends_at) WHERE discount_ends_at IS NOT NULL;

CREATE TABLE campaigns (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    percent_off int NOT NULL CHECK (percent_off BETWEEN 1 AND 99),
    all_products boolean NOT NULL,              -- else those of campaign_products
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    ended_at timestamptz,                       -- by the host, before its time
    created_by text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON campaigns (shop_id, ends_at) WHERE ended_at IS NULL;
CREATE INDEX ON campaigns (starts_at);
CREATE INDEX ON campaigns (ends_at);
CREATE INDEX ON campaigns (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE campaign_products (
    campaign_id text NOT NULL REFERENCES campaigns,
    product_id text NOT NULL REFERENCES products,
    PRIMARY KEY (campaign_id, product_id)
);

-- Until when the worker has carried prices that came or went by the clock to the gates. No row: it never has.
CREATE TABLE price_rounds (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen_until timestamptz NOT NULL
);
