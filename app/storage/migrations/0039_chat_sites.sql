-- Sites whose addresses may be named in a chat while its links are off.
ALTER TABLE chat_rooms ADD COLUMN sites text[] NOT NULL DEFAULT '{}';
