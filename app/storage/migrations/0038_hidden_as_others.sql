-- What somebody whose messages are hidden is told of one is what anybody would be: `instead` is what it would have waited
-- for ('': it would have been said). With 'delay' its author sees it once that is over.
ALTER TABLE held_messages ADD COLUMN instead text NOT NULL DEFAULT '';
CREATE INDEX held_messages_due ON held_messages (kept_at)
    WHERE state = 'waiting' AND (why = 'delay' OR instead = 'delay');
DROP INDEX held_messages_kept_at_idx;
