-- What several accounts may share: a card, an address. In a flash sale the limit per buyer is one per each of these too.
CREATE TABLE payment_marks (
    attempt_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('card', 'address')),
    mark bytea NOT NULL,
    PRIMARY KEY (attempt_id, kind)
);
CREATE INDEX ON payment_marks (kind, mark);

-- Where an order is to be sent, as its buyer wrote it. An order has the id of its payment.
CREATE TABLE payment_addresses (
    attempt_id text PRIMARY KEY,
    name text NOT NULL,
    street text NOT NULL,
    extra text NOT NULL,
    postal_code text NOT NULL,
    city text NOT NULL,
    country text NOT NULL CHECK (country ~ '^[A-Z]{2}$')
);
