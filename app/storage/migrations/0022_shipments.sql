-- With whom an order is on its way, and where to look for it. An order may be shipped without any of this.
CREATE TABLE shipments (
    order_id text PRIMARY KEY REFERENCES orders,
    carrier text NOT NULL,
    number text NOT NULL,
    url text NOT NULL CHECK (url = '' OR url LIKE 'https://%'),
    at timestamptz NOT NULL DEFAULT now()
);
