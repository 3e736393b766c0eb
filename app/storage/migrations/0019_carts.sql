-- What a buyer means to buy at a shop, in one order. Units of a sale are held from the moment they are put in, for as
-- long as a hold lasts; ordinary stock is held when the order is asked for. `hold_id` is the hold that was noted last.
CREATE TABLE cart_items (
    account_id text NOT NULL REFERENCES accounts,
    shop_id text NOT NULL REFERENCES shops,
    pool_id text NOT NULL REFERENCES pools,
    quantity int NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    show_id text REFERENCES shows,
    hold_id text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, shop_id, pool_id)
);
CREATE INDEX ON cart_items (changed_at);
