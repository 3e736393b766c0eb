-- The line in front of a pool: the waiting room of a hot sale, or else those who wait for units to come back.
ALTER TABLE flash_sales
    ADD COLUMN waiting_room boolean NOT NULL DEFAULT false,
    ADD COLUMN per_address_limit int NOT NULL DEFAULT 0 CHECK (per_address_limit >= 0),  -- units; 0: none
    ADD COLUMN draw_seed bytea,                 -- nobody's to see before drawn_at; its hash is published at once
    ADD COLUMN drawn_at timestamptz;

CREATE TABLE line_entries (
    id text PRIMARY KEY,                        -- what the draw puts in order; tells nobody whose it is
    pool_id text NOT NULL REFERENCES pools,
    account_id text NOT NULL REFERENCES accounts,
    show_id text NOT NULL REFERENCES shows,
    place bigint,                               -- NULL: the draw will tell
    drawn boolean NOT NULL DEFAULT false,       -- took part in the draw
    state text NOT NULL CHECK (state IN ('waiting', 'offered', 'admitted', 'served', 'lapsed', 'left', 'over')),
    tries int NOT NULL DEFAULT 0,               -- payments that failed and brought the person back to their place
    hold_id text,                               -- of the offer, or taken with the admission
    admission text,
    until timestamptz,                          -- of the offer or the admission
    joined_at timestamptz NOT NULL DEFAULT now(),
    served_at timestamptz,                      -- when it was offered or admitted
    ended_at timestamptz
);
CREATE UNIQUE INDEX ON line_entries (pool_id, account_id) WHERE state IN ('waiting', 'offered', 'admitted');
CREATE INDEX ON line_entries (pool_id, place);
CREATE INDEX ON line_entries (pool_id, place) WHERE state = 'waiting';
CREATE INDEX ON line_entries (account_id) WHERE state IN ('waiting', 'offered', 'admitted');
CREATE INDEX ON line_entries (hold_id) WHERE hold_id IS NOT NULL;
CREATE INDEX ON line_entries (pool_id) WHERE state IN ('waiting', 'offered', 'admitted');
CREATE INDEX ON line_entries (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX ON line_entries (pool_id, served_at) WHERE served_at IS NOT NULL;

-- Of what rooms are told of lines: grows also when Valkey is lost.
CREATE SEQUENCE line_versions;
