-- The log of moderation can be added to and not be rewritten: every act carries the hash of the one before it, and the
-- table refuses UPDATE, DELETE and TRUNCATE. `python -m app audit verify` computes the chain again.
ALTER TABLE moderation_acts ADD COLUMN hash bytea;
ALTER TABLE moderation_acts ALTER COLUMN n DROP IDENTITY;  -- numbers follow the order of commits, without gaps

-- What an act's hash is made of, after the hash of the act before it. Each part with its length, so that no two acts
-- have one text; app/chat/audit_rules.py writes the same.
CREATE FUNCTION act_text(act moderation_acts) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(octet_length(part) || ':' || part, '' ORDER BY place)
    FROM unnest(ARRAY[
        act.n::text, act.show_id, act.actor_id, act.act, coalesce(act.target_account_id, ''),
        coalesce(act.target_message_id, ''), act.detail::text,
        (extract(epoch FROM act.at) * 1000000)::bigint::text
    ]) WITH ORDINALITY AS parts (part, place)
$$;

-- One after the other: the number and the hash follow those of the act that was committed last.
CREATE FUNCTION chain_act() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('moderation_acts', 0));
    SELECT n, hash INTO last FROM moderation_acts ORDER BY n DESC LIMIT 1;
    NEW.n := coalesce(last.n, 0) + 1;
    NEW.hash := sha256(coalesce(last.hash, ''::bytea) || convert_to(act_text(NEW), 'UTF8'));
    RETURN NEW;
END
$$;

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of moderation is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Acts that are there already, in their order.
DO $$
DECLARE
    old record;
    last bytea := '';
    place bigint := 0;
BEGIN
    FOR old IN SELECT n FROM moderation_acts ORDER BY n LOOP
        place := place + 1;
        UPDATE moderation_acts SET n = place WHERE n = old.n;
        UPDATE moderation_acts a SET hash = sha256(last || convert_to(act_text(a), 'UTF8')) WHERE a.n = place
        RETURNING a.hash INTO last;
    END LOOP;
END
$$;

ALTER TABLE moderation_acts ALTER COLUMN hash SET NOT NULL;
CREATE TRIGGER chain_act BEFORE INSERT ON moderation_acts FOR EACH ROW EXECUTE FUNCTION chain_act();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON moderation_acts
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON moderation_acts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
