-- A shop's coupons. Never changed once made, only ended; `used` counts orders that stand, under the row's lock.
CREATE TABLE coupons (
    id text PRIMARY KEY,
    shop_id text NOT NULL REFERENCES shops,
    code text NOT NULL CHECK (code ~ '^[A-Z0-9-]{3,24}$'),
    percent_off int CHECK (percent_off BETWEEN 1 AND 99),
    cap_minor bigint CHECK (cap_minor BETWEEN 1 AND 1000000000000),
    amount_minor bigint CHECK (amount_minor BETWEEN 1 AND 1000000000000),
    minimum_minor bigint NOT NULL CHECK (minimum_minor BETWEEN 0 AND 1000000000000),
    uses_max int CHECK (uses_max >= 1),         -- NULL: without end
    used int NOT NULL DEFAULT 0 CHECK (used >= 0),
    once_per_buyer boolean NOT NULL,
    show_id text REFERENCES shows,              -- NULL: for all
    audience text NOT NULL CHECK (audience IN ('everyone', 'first_time')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at > starts_at),    -- NULL: until it is ended
    ended_at timestamptz,
    created_by text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (shop_id, code),
    CHECK ((percent_off IS NULL) <> (amount_minor IS NULL)),
    CHECK (cap_minor IS NULL OR percent_off IS NOT NULL),
    CONSTRAINT coupons_used_up CHECK (used <= uses_max),
    CHECK (audience <> 'first_time' OR once_per_buyer)
);
CREATE INDEX ON coupons (shop_id, created_at DESC);

-- The coupon of a payment, written with it. counted_at: its order stands on a use; returned_at: the use came back.
-- Orders without a coupon have no row here, and nothing of what is written for them looks here.
CREATE TABLE payment_coupons (
    attempt_id text PRIMARY KEY,
    coupon_id text NOT NULL REFERENCES coupons,
    account_id text NOT NULL,
    discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
    counted_at timestamptz,
    returned_at timestamptz CHECK (counted_at IS NOT NULL OR returned_at IS NULL)
);
CREATE INDEX payment_coupons_counted ON payment_coupons (coupon_id, account_id)
    WHERE counted_at IS NOT NULL AND returned_at IS NULL;
