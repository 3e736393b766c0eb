-- Accounts: who someone is.
CREATE TABLE accounts (
    id text PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    name_folded text NOT NULL UNIQUE,           -- NFKC, casefolded: two people never look alike
    email_folded text UNIQUE,                   -- NULL: a demo account
    password_hash text,                         -- argon2id; NULL: signs in by demo only
    demo_role text CHECK (demo_role IN ('viewer', 'moderator', 'host')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,               -- SHA-256 of the cookie's secret
    id text NOT NULL UNIQUE,                    -- public, safe to log
    account_id text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX ON sessions (account_id);

-- Shops and who serves in them.
CREATE TABLE shops (
    id text PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shop_members (
    shop_id text NOT NULL REFERENCES shops,
    account_id text NOT NULL REFERENCES accounts,
    role text NOT NULL CHECK (role IN ('host', 'moderator')),
    appointed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shop_id, account_id)
);
CREATE INDEX ON shop_members (account_id);

-- Catalog.
CREATE TABLE photos (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    content_type text NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
    description text NOT NULL DEFAULT '',
    photo_id text REFERENCES photos,
    version bigint NOT NULL DEFAULT 1,
    archived_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON products (shop_id);

CREATE TABLE variants (
    id text PRIMARY KEY,
    product_id text NOT NULL REFERENCES products,
    title text NOT NULL DEFAULT '',             -- empty when the product has just one
    position int NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor BETWEEN 1 AND 1000000000000),
    received int NOT NULL DEFAULT 0 CHECK (received >= 0),   -- units ever received into stock
    returned int NOT NULL DEFAULT 0 CHECK (returned >= 0),   -- units that came back from orders
    archived_at timestamptz
);
CREATE INDEX ON variants (product_id);

-- Shows.
CREATE TABLE shows (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
    state text NOT NULL DEFAULT 'scheduled'
        CHECK (state IN ('scheduled', 'rehearsal', 'live', 'paused', 'ended')),
    pinned_product_id text REFERENCES products,
    version bigint NOT NULL DEFAULT 1,          -- of state, title and pin: the version of the room's keys show and pin
    scheduled_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON shows (shop_id);

CREATE TABLE lineup (
    show_id text NOT NULL REFERENCES shows,
    product_id text NOT NULL REFERENCES products,
    position int NOT NULL,
    PRIMARY KEY (show_id, product_id)
);

CREATE TABLE show_moderators (
    show_id text NOT NULL REFERENCES shows,
    account_id text NOT NULL REFERENCES accounts,
    appointed_by text NOT NULL REFERENCES accounts,
    appointed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (show_id, account_id)
);
CREATE INDEX ON show_moderators (account_id);

CREATE TABLE stream_keys (
    show_id text PRIMARY KEY REFERENCES shows,
    key_hash bytea NOT NULL,                    -- SHA-256 of the key
    hint text NOT NULL,                         -- its last four characters
    rotated_at timestamptz NOT NULL DEFAULT now()
);

-- Chat. `off` is the room's offset under `epoch`; a deleted message keeps its row without its text.
CREATE TABLE messages (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    epoch text NOT NULL,
    off bigint NOT NULL,
    account_id text NOT NULL REFERENCES accounts,
    name text NOT NULL,
    standing text NOT NULL CHECK (standing IN ('viewer', 'moderator', 'host')),
    body text NOT NULL,
    sent_at timestamptz NOT NULL,
    deleted_at timestamptz,
    deleted_by text REFERENCES accounts
);
CREATE INDEX ON messages (show_id, sent_at DESC);
CREATE INDEX ON messages (account_id);

-- Sanctions: the truth behind the room's copies. One row an act; the newest that is not lifted counts.
CREATE TABLE sanctions (
    id text PRIMARY KEY,
    show_id text REFERENCES shows,
    shop_id text REFERENCES shops,
    account_id text NOT NULL REFERENCES accounts,
    kind text NOT NULL CHECK (kind IN ('timeout', 'ban')),
    until timestamptz,                          -- NULL: a ban
    reason text NOT NULL DEFAULT '',
    by_account_id text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    lifted_by text REFERENCES accounts,
    CHECK ((show_id IS NULL) <> (shop_id IS NULL))
);
CREATE INDEX ON sanctions (show_id, account_id);

-- Who did what to whom. Append-only.
CREATE TABLE moderation_acts (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    actor_id text NOT NULL REFERENCES accounts,
    act text NOT NULL,
    target_account_id text REFERENCES accounts,
    target_message_id text,
    detail jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON moderation_acts (show_id, n);

-- Flash sales.
CREATE TABLE flash_sales (
    id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    variant_id text NOT NULL REFERENCES variants,
    state text NOT NULL
        CHECK (state IN ('scheduled', 'countdown', 'running', 'sold_out', 'ended', 'cancelled')),
    price_minor bigint NOT NULL CHECK (price_minor > 0),
    compare_at_minor bigint NOT NULL CHECK (compare_at_minor > 0),
    per_buyer_limit int NOT NULL CHECK (per_buyer_limit >= 1),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    version bigint NOT NULL DEFAULT 1,
    created_by text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON flash_sales (show_id);
CREATE INDEX ON flash_sales (state) WHERE state IN ('scheduled', 'countdown', 'running', 'sold_out');

-- Stock. Each variant has one ordinary pool, each sale one of its own. What is left of the ordinary pool is the
-- variant's stock on hand; scheduling a sale moves units from the one allotment to the other in one transaction.
CREATE TABLE pools (
    id text PRIMARY KEY,
    variant_id text NOT NULL REFERENCES variants,
    flash_sale_id text UNIQUE REFERENCES flash_sales,  -- NULL: the variant's ordinary stock
    allotment int NOT NULL CHECK (allotment >= 0),
    sold int NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 1,            -- of the gate's copy in Valkey; + 1 at every rebuild
    closed_at timestamptz,                      -- the sale's units that were left are back in the ordinary pool
    CHECK (sold BETWEEN 0 AND allotment)
);
CREATE UNIQUE INDEX ON pools (variant_id) WHERE flash_sale_id IS NULL;

-- Units of orders that stand, per pool and buyer: what the per-buyer limit is decided on.
CREATE TABLE pool_buyers (
    pool_id text NOT NULL REFERENCES pools,
    account_id text NOT NULL REFERENCES accounts,
    sold int NOT NULL CHECK (sold >= 0),
    PRIMARY KEY (pool_id, account_id)
);

-- Orders.
CREATE TABLE orders (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    shop_id text NOT NULL REFERENCES shops,
    show_id text REFERENCES shows,
    hold_id text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('authorised', 'paid', 'cancelled', 'refunded')),
    total_minor bigint NOT NULL CHECK (total_minor BETWEEN 1 AND 1000000000000),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX ON orders (account_id, created_at DESC);
CREATE INDEX ON orders (show_id, created_at DESC);

CREATE TABLE order_lines (
    order_id text NOT NULL REFERENCES orders,
    line int NOT NULL,
    pool_id text NOT NULL REFERENCES pools,
    variant_id text NOT NULL REFERENCES variants,
    title text NOT NULL,                        -- as it was called when it was bought
    quantity int NOT NULL CHECK (quantity >= 1),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 1),
    PRIMARY KEY (order_id, line)
);
CREATE INDEX ON order_lines (pool_id);

-- One try to pay for one hold, written before the provider is called.
CREATE TABLE payment_attempts (
    id text PRIMARY KEY,
    hold_id text NOT NULL,
    pool_id text NOT NULL REFERENCES pools,
    account_id text NOT NULL REFERENCES accounts,
    show_id text REFERENCES shows,
    quantity int NOT NULL CHECK (quantity >= 1),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 1),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 1000000000000),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    method text NOT NULL,
    state text NOT NULL CHECK (state IN
        ('started', 'authorised', 'declined', 'committed', 'captured', 'voiding', 'voided', 'capture_refused')),
    order_id text UNIQUE REFERENCES orders,
    hold_expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ON payment_attempts (hold_id) WHERE state IN ('started', 'authorised', 'committed', 'captured');
CREATE INDEX ON payment_attempts (pool_id) WHERE state IN ('started', 'authorised');
CREATE INDEX ON payment_attempts (updated_at) WHERE state IN ('started', 'authorised', 'voiding');

-- What must happen outside the database once a transaction is durable.
CREATE TABLE outbox (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    subject text NOT NULL,                      -- the id that the topic's worker looks up
    payload jsonb NOT NULL DEFAULT '{}',
    tries int NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON outbox (next_try_at) WHERE done_at IS NULL;

-- The answer to a request that must have its effect once. Belongs to one account and one body.
CREATE TABLE idempotency_keys (
    account_id text NOT NULL REFERENCES accounts,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_hash bytea NOT NULL,
    status int,                                 -- NULL: in progress
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX ON idempotency_keys (created_at);
