-- Lead moderators, of one show or of all shows of a shop; and acts that take back another act, each of which can be taken
-- back once.
ALTER TABLE shop_members DROP CONSTRAINT shop_members_role_check;
ALTER TABLE shop_members ADD CONSTRAINT shop_members_role_check CHECK (role IN ('host', 'lead', 'moderator'));
ALTER TABLE show_moderators ADD COLUMN lead boolean NOT NULL DEFAULT false;
ALTER TABLE messages DROP CONSTRAINT messages_standing_check;
ALTER TABLE messages ADD CONSTRAINT messages_standing_check
    CHECK (standing IN ('viewer', 'moderator', 'lead', 'host'));
CREATE UNIQUE INDEX moderation_acts_undoes ON moderation_acts (((detail ->> 'undoes')::bigint)) WHERE detail ? 'undoes';
