-- Comment to buy: whether a show has it, and which word stands for which variant. The version is that of the room's key.
CREATE TABLE comment_buying (
    show_id text PRIMARY KEY REFERENCES shows,
    version bigint NOT NULL DEFAULT 0,
    is_on boolean NOT NULL DEFAULT false,
    keywords jsonb NOT NULL DEFAULT '{}'
);

-- Holds that a message took: whoever deletes the message releases the hold.
CREATE TABLE comment_holds (
    hold_id text PRIMARY KEY,
    show_id text NOT NULL REFERENCES shows,
    message_id text NOT NULL,
    account_id text NOT NULL REFERENCES accounts,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON comment_holds (show_id, message_id);
CREATE INDEX ON comment_holds (made_at);
