-- Why: a page, a gauge and a reconciliation ask how many there are. Whoever counts history for that takes longer every
-- year, so numbers are kept: triggers on statements add to them in the very transaction that changes what is counted.
-- migrate:up

-- n things named `what` with a `label` in common; the shards of a number are added up. A connection always adds to the
-- same shard, so that batches of different connections seldom wait for each other.
CREATE TABLE counters (
    what text NOT NULL,
    label text NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (what, label, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE FUNCTION counter_shard() RETURNS smallint LANGUAGE sql STABLE RETURN (pg_backend_pid() % 8)::smallint;

-- Keeps numbers of a table: writes the trigger function and its triggers, so that what runs with a statement is planned
-- once and not at each call. `events`: those of insert, update and delete that the table knows. Each of `numbers` is a
-- query of what, label and how many over %1$s, the rows that have come or gone.
CREATE FUNCTION keep_numbers(counted regclass, events text[], VARIADIC numbers text[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $function$
DECLARE
    base CONSTANT text := (SELECT relname FROM pg_class WHERE oid = counted);
    came CONSTANT text := (SELECT string_agg(format(q, 'fresh'), ' UNION ALL ') FROM unnest(numbers) AS q);
    went CONSTANT text := (
        SELECT string_agg(format('SELECT what, label, -n FROM (%s) AS x (what, label, n)', format(q, 'gone')), ' UNION ALL ')
        FROM unnest(numbers) AS q);
    rows_of CONSTANT jsonb := jsonb_build_object(
        'insert', came, 'update', came || ' UNION ALL ' || went, 'delete', went);
    tables_of CONSTANT jsonb := jsonb_build_object(
        'insert', 'NEW TABLE AS fresh', 'update', 'OLD TABLE AS gone NEW TABLE AS fresh', 'delete', 'OLD TABLE AS gone');
    event text;
    body text := '';
BEGIN
    FOREACH event IN ARRAY events LOOP
        body := body || format($body$
    IF TG_OP = %L THEN
        INSERT INTO counters AS c (what, label, shard, n)
        SELECT what, label, counter_shard(), sum(n) FROM (%s) AS change (what, label, n)
        GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;$body$, upper(event), rows_of ->> event);
    END LOOP;
    EXECUTE format(
        'CREATE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS %L',
        'count_' || base, format(E'BEGIN%s\n    RETURN NULL;\nEND', body));
    FOREACH event IN ARRAY events LOOP
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION %I()',
            base || '_counted_' || event, event, counted, tables_of ->> event, 'count_' || base);
    END LOOP;
END
$function$;

-- Each service has a view `counted (what, label, n)`: the same numbers, counted from history. A recount compares. Numbers
-- that a page needs by range have a table of their own: such a service replaces this view and this function.
CREATE VIEW kept (what, label, n) AS SELECT what, label, n FROM counters;

CREATE FUNCTION correct_number(of_what text, of_label text, more bigint) RETURNS void LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO counters AS c (what, label, shard, n) VALUES (of_what, of_label, counter_shard(), more)
    ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
END;

-- migrate:down
-- Forward only: a later migration corrects.
