-- A shop's bans for all its shows as a list that other shops may take over, once they are told its code.
CREATE TABLE ban_lists (
    shop_id text PRIMARY KEY REFERENCES shops,
    code text NOT NULL UNIQUE,
    shared_by text NOT NULL REFERENCES accounts,
    shared_at timestamptz NOT NULL DEFAULT now()
);

-- Who has taken over whose.
CREATE TABLE ban_lists_taken (
    shop_id text NOT NULL REFERENCES shops,
    from_shop_id text NOT NULL REFERENCES ban_lists ON DELETE CASCADE,
    by_account_id text NOT NULL REFERENCES accounts,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shop_id, from_shop_id),
    CHECK (shop_id <> from_shop_id)
);
CREATE INDEX ON ban_lists_taken (from_shop_id);

-- A ban that came with a list, and of which ban it is the copy. Who is let back all the same is not banned by it again:
-- the lifted copy says so.
ALTER TABLE sanctions ADD COLUMN copy_of text REFERENCES sanctions;
CREATE UNIQUE INDEX ON sanctions (shop_id, copy_of) WHERE copy_of IS NOT NULL;
CREATE INDEX ON sanctions (copy_of) WHERE copy_of IS NOT NULL AND lifted_at IS NULL;
CREATE INDEX ON sanctions (shop_id) WHERE kind = 'ban' AND lifted_at IS NULL;
