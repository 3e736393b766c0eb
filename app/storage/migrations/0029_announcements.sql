-- What is announced under a show's picture, and what a shop's staff say again and again.
ALTER TABLE chat_rooms ADD COLUMN ticker text[] NOT NULL DEFAULT '{}';
CREATE TABLE quick_replies (
    shop_id text PRIMARY KEY REFERENCES shops,
    replies text[] NOT NULL
);
