-- What a shop asks of every order: ways to ship, tax by country, a return policy. A shop without a row asks nothing.
CREATE TABLE shop_conditions (
    shop_id text PRIMARY KEY REFERENCES shops,
    version bigint NOT NULL,                    -- + 1 at every change: nobody overwrites what they have not seen
    prices_include_tax boolean NOT NULL,
    shipping jsonb NOT NULL,                    -- ShippingMethod of shipping_rules.py, as many as there are
    tax jsonb NOT NULL,                         -- TaxRate of tax_rules.py
    policy_version int NOT NULL CHECK (policy_version >= 0),    -- 0: no return policy
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Every text that buyers ever agreed to, for as long as there are orders.
CREATE TABLE return_policies (
    shop_id text NOT NULL REFERENCES shops,
    version int NOT NULL CHECK (version >= 1),
    body text NOT NULL CHECK (length(body) BETWEEN 1 AND 20000),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shop_id, version)
);

-- How the amount of a payment came about, where it is more than its lines. An order has the id of its payment.
CREATE TABLE payment_totals (
    attempt_id text PRIMARY KEY,
    goods_minor bigint NOT NULL CHECK (goods_minor >= 0),
    discount_minor bigint NOT NULL CHECK (discount_minor BETWEEN 0 AND goods_minor),
    shipping_minor bigint NOT NULL CHECK (shipping_minor >= 0),
    tax_minor bigint NOT NULL CHECK (tax_minor >= 0),
    tax_rate_bp int NOT NULL,
    tax_included boolean NOT NULL,
    total_minor bigint NOT NULL,
    shipping text NOT NULL,                     -- the method as it was called, '' for none
    policy_version int NOT NULL,                -- what the buyer agreed to, 0 for none
    CHECK (total_minor = goods_minor - discount_minor + shipping_minor + CASE WHEN tax_included THEN 0 ELSE tax_minor END)
);

-- Where a buyer had something sent last, for the next time, and how, by shop.
CREATE TABLE saved_addresses (
    account_id text PRIMARY KEY REFERENCES accounts,
    name text NOT NULL,
    street text NOT NULL,
    extra text NOT NULL,
    postal_code text NOT NULL,
    city text NOT NULL,
    country text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE saved_methods (
    account_id text NOT NULL REFERENCES accounts,
    shop_id text NOT NULL REFERENCES shops,
    method text NOT NULL,
    PRIMARY KEY (account_id, shop_id)
);

-- The parts of an order's amount that are no goods, as the ledger books them when the money is captured.
CREATE VIEW charge_parts AS
    SELECT t.attempt_id AS order_id, p.part, p.debit, p.credit, p.amount_minor, t.total_minor
      FROM payment_totals t
     CROSS JOIN LATERAL (VALUES ('shipping', 'owed', 'shipping', t.shipping_minor), ('tax', 'owed', 'tax', t.tax_minor),
                                ('discount', 'discount', 'owed', t.discount_minor)) AS p (part, debit, credit, amount_minor)
     WHERE p.amount_minor > 0;
