-- Who follows which shop, and since when: unfollowed and followed again, it begins anew.
CREATE TABLE follows (
    account_id text NOT NULL REFERENCES accounts,
    shop_id text NOT NULL REFERENCES shops,
    followed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, shop_id)
);
CREATE INDEX ON follows (shop_id);
