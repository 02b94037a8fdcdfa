-- Why: every event leaves its id here, a hundred million a day in a large country. To delete them row by row costs as
-- much as it cost to write them, and an index by time beside the key; to drop a day's table costs nothing.
-- migrate:up

-- Event ids that have taken effect. A row is inserted in the effect's own transaction. Ids of version 7 begin with the
-- milliseconds since 1970: so the key itself says to which day's partition an id belongs.
CREATE TABLE inbox (
    event_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (event_id);

-- Ids that were derived from others' names: their first bit is set.
CREATE TABLE inbox_derived PARTITION OF inbox FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO (MAXVALUE);
CREATE INDEX inbox_derived_seen_at ON inbox_derived (seen_at);

-- Ids of a day that has no partition: of events of long ago, of clocks that are ahead.
CREATE TABLE inbox_other PARTITION OF inbox DEFAULT;
CREATE INDEX inbox_other_seen_at ON inbox_other (seen_at);

-- The days that have a partition.
CREATE FUNCTION inbox_days() RETURNS SETOF date LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
    WHERE inhparent = 'inbox'::regclass AND c.relname ~ '^inbox_d[0-9]{8}$';
$$;

-- The first id of a day, which is one of UTC.
CREATE FUNCTION inbox_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (lpad(to_hex((day - date '1970-01-01')::bigint * 86400000), 12, '0') || repeat('0', 20))::uuid;

-- Makes a day's partition; false where there is one. What inbox_other has of the day moves into it; where that is too
-- much for consumers to wait, the day stays in inbox_other. An index by time is needed once, when the day is dropped,
-- and rows stand in the order in which they were seen: so it is a BRIN, a hundred times smaller than a B-tree.
CREATE FUNCTION make_inbox_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    made CONSTANT text := 'inbox_d' || to_char(day, 'YYYYMMDD');
    low CONSTANT uuid := inbox_floor(day);
    high CONSTANT uuid := inbox_floor(day + 1);
BEGIN
    IF to_regclass(made) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM FROM inbox_other WHERE event_id >= low AND event_id < high OFFSET 10000 LIMIT 1;
    IF FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE inbox INCLUDING DEFAULTS INCLUDING INDEXES)', made);
    EXECUTE format('CREATE INDEX %I ON %I USING brin (seen_at)', made || '_seen_at', made);
    LOCK TABLE inbox_other IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (DELETE FROM inbox_other WHERE event_id >= $1 AND event_id < $2 RETURNING event_id, seen_at)
         INSERT INTO %I (event_id, seen_at) SELECT event_id, seen_at FROM moved', made) USING low, high;
    EXECUTE format('ALTER TABLE inbox ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', made, low, high);
    RETURN true;
END
$$;

-- Drops a day's partition. What was seen since `kept_from` is still to be known and moves into inbox_other; where that
-- is too much for consumers to wait, nothing is done, and the day stays until it has less of it.
CREATE FUNCTION drop_inbox_day(day date, kept_from timestamptz) RETURNS boolean LANGUAGE plpgsql
SET search_path FROM CURRENT SET lock_timeout = '200ms' SET enable_seqscan = off AS $$
DECLARE
    over CONSTANT text := 'inbox_d' || to_char(day, 'YYYYMMDD');
    late integer;
BEGIN
    -- what vacuum has not yet come to; nobody waits for this
    PERFORM brin_summarize_new_values(to_regclass(over || '_seen_at'));
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE seen_at >= $1 LIMIT 10001) AS late_ones', over)
        INTO late USING kept_from;
    IF late > 10000 THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE inbox DETACH PARTITION %I', over);
    EXECUTE format('INSERT INTO inbox (event_id, seen_at) SELECT event_id, seen_at FROM %I WHERE seen_at >= $1', over)
        USING kept_from;
    EXECUTE format('DROP TABLE %I', over);
    RETURN true;
END
$$;

-- Makes the next missing day, from yesterday to a week ahead, or drops the oldest that has been kept long enough; null
-- where nothing is to be done, or another is at it. Fails with lock_not_available where somebody holds a table for
-- longer than consumers should wait: a backup, or a long transaction. The service's own role may do this and no more.
CREATE FUNCTION roll_inbox(kept interval) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    one date;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('beegrid-inbox:' || current_schema(), 0)) THEN
        RETURN NULL;
    END IF;
    FOR one IN SELECT today + n FROM generate_series(-1, 7) AS n LOOP
        IF make_inbox_day(one) THEN
            RETURN 'made ' || one;
        END IF;
    END LOOP;
    -- A day more: what was made before midnight is seen after it, and that much later in an outage.
    FOR one IN
        SELECT day FROM inbox_days() AS day
        WHERE day < ((now() - kept - interval '1 day') AT TIME ZONE 'UTC')::date ORDER BY day
    LOOP
        IF drop_inbox_day(one, now() - kept) THEN
            RETURN 'dropped ' || one;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    app CONSTANT text := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE ALL ON FUNCTION make_inbox_day, drop_inbox_day, roll_inbox FROM PUBLIC, %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION roll_inbox TO %I', app);
    WHILE roll_inbox(interval '22 days') IS NOT NULL LOOP
    END LOOP;
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
