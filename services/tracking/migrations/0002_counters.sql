-- Why: pages and companies ask how far reports have come, of all there ever were.
-- migrate:up

SELECT keep_numbers('reports', '{insert}', $$SELECT 'received', company, count(*) FROM %1$s GROUP BY company$$);

-- Unroutable first and routed later is two rows; the highest version counts. LATERAL here and below: Postgres knows nothing
-- of a transition table's size, and would read the whole of the other one rather than look a few hundred rows up.
CREATE FUNCTION count_routings() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO counters AS c (what, label, shard, n)
    SELECT what, label, counter_shard(), sum(n) FROM (
        SELECT outcome, company, count(*) FROM (SELECT DISTINCT report_id FROM fresh) one
        CROSS JOIN LATERAL (
            SELECT outcome, company FROM routings r WHERE r.report_id = one.report_id ORDER BY version DESC LIMIT 1
        ) since GROUP BY outcome, company
        UNION ALL SELECT outcome, company, -count(*)
        FROM (SELECT report_id, array_agg(version) AS versions FROM fresh GROUP BY report_id) one
        CROSS JOIN LATERAL (
            SELECT outcome, company FROM routings r WHERE r.report_id = one.report_id AND r.version <> ALL (one.versions)
            ORDER BY version DESC LIMIT 1
        ) before GROUP BY outcome, company
    ) AS change (what, label, n) GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
    ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    RETURN NULL;
END
$$;
CREATE TRIGGER routings_counted_insert AFTER INSERT ON routings REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION count_routings();

-- A case's reports by company: as quick for 100,000 reports as for 100. Without a search path of its own, so that it is
-- planned as a part of the statements below, which have theirs.
CREATE FUNCTION reports_of(crowded uuid) RETURNS TABLE (company text, n bigint) LANGUAGE sql STABLE AS $$
    SELECT r.company, count(*) FROM case_reports r WHERE r.case_id = crowded AND r.version <= 100 GROUP BY r.company
    UNION ALL SELECT k.company, k.n FROM case_crowds k WHERE k.case_id = crowded
$$;

-- Reports of ended cases, too: events of one case come one after the other, so its reports don't change meanwhile.
CREATE FUNCTION count_cases() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO counters AS c (what, label, shard, n)
        SELECT what, label, counter_shard(), sum(n) FROM (
            SELECT 'state', state, count(*) FROM fresh GROUP BY state
            UNION ALL SELECT 'kind', kind, count(*) FROM fresh GROUP BY kind
            UNION ALL SELECT 'street', street, count(*) FROM fresh GROUP BY 2
            UNION ALL SELECT t.state, l.company, sum(l.n)
            FROM fresh t CROSS JOIN LATERAL (
                SELECT company, n FROM reports_of(t.case_id)
            ) l WHERE t.state IN ('closed', 'invalid') GROUP BY t.state, l.company
        ) AS change (what, label, n) GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO counters AS c (what, label, shard, n)
        SELECT what, label, counter_shard(), sum(n) FROM (
            SELECT 'state', state, count(*) FROM fresh GROUP BY state
            UNION ALL SELECT 'kind', kind, count(*) FROM fresh GROUP BY kind
            UNION ALL SELECT 'street', street, count(*) FROM fresh GROUP BY 2
            UNION ALL SELECT 'state', state, -count(*) FROM gone GROUP BY state
            UNION ALL SELECT 'kind', kind, -count(*) FROM gone GROUP BY kind
            UNION ALL SELECT 'street', street, -count(*) FROM gone GROUP BY 2
            UNION ALL SELECT t.state, l.company, sum(l.n)
            FROM fresh t CROSS JOIN LATERAL (
                SELECT company, n FROM reports_of(t.case_id)
            ) l WHERE t.state IN ('closed', 'invalid')
              AND NOT EXISTS (SELECT FROM gone o WHERE (o.case_id, o.state) = (t.case_id, t.state)) GROUP BY t.state, l.company
            UNION ALL SELECT t.state, l.company, -sum(l.n)
            FROM gone t CROSS JOIN LATERAL (
                SELECT company, n FROM reports_of(t.case_id)
            ) l WHERE t.state IN ('closed', 'invalid')
              AND NOT EXISTS (SELECT FROM fresh o WHERE (o.case_id, o.state) = (t.case_id, t.state)) GROUP BY t.state, l.company
        ) AS change (what, label, n) GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
        ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER cases_counted_insert AFTER INSERT ON cases REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION count_cases();
CREATE TRIGGER cases_counted_update AFTER UPDATE ON cases REFERENCING OLD TABLE AS gone NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION count_cases();

CREATE FUNCTION count_case_reports() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh WHERE version > 100) THEN
        INSERT INTO case_crowds AS k (case_id, company, n)
        SELECT case_id, company, count(*) FROM fresh WHERE version > 100 GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (case_id, company) DO UPDATE SET n = k.n + excluded.n;
    END IF;
    INSERT INTO counters AS c (what, label, shard, n)
    SELECT what, label, counter_shard(), sum(n) FROM (
        SELECT 'in_case', company, count(*) FROM fresh GROUP BY company
        UNION ALL SELECT c.state, t.company, count(*) FROM fresh t
        CROSS JOIN LATERAL (SELECT state FROM cases WHERE case_id = t.case_id LIMIT 1) c
        WHERE c.state IN ('closed', 'invalid') GROUP BY c.state, t.company
    ) AS change (what, label, n) GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2
    ON CONFLICT (what, label, shard) DO UPDATE SET n = c.n + excluded.n;
    RETURN NULL;
END
$$;
CREATE TRIGGER case_reports_counted_insert AFTER INSERT ON case_reports REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION count_case_reports();

SELECT keep_numbers('case_steps', '{insert}', $$SELECT 'steps', '', count(*) FROM %1$s$$);

SELECT keep_numbers(
    'movements', '{insert}',
    $$SELECT 'points ' || movement, company, count(*) FROM %1$s GROUP BY movement, company$$,
    $$SELECT 'credited', company, sum(amount) FROM %1$s WHERE movement IN ('posted', 'reversed') GROUP BY company$$);

CREATE VIEW counted (what, label, n) AS
SELECT 'received', company, count(*) FROM reports GROUP BY company
UNION ALL SELECT outcome, company, count(*) FROM (
    SELECT DISTINCT ON (report_id) outcome, company FROM routings ORDER BY report_id, version DESC
) latest GROUP BY outcome, company
UNION ALL SELECT 'state', state, count(*) FROM cases GROUP BY state
UNION ALL SELECT 'kind', kind, count(*) FROM cases GROUP BY kind
UNION ALL SELECT 'street', street, count(*) FROM cases GROUP BY 2
UNION ALL SELECT c.state, l.company, count(*) FROM case_reports l JOIN cases c USING (case_id)
    WHERE c.state IN ('closed', 'invalid') GROUP BY c.state, l.company
UNION ALL SELECT 'in_case', company, count(*) FROM case_reports GROUP BY company
UNION ALL SELECT 'steps', '', count(*) FROM case_steps
UNION ALL SELECT 'points ' || movement, company, count(*) FROM movements GROUP BY movement, company
UNION ALL SELECT 'credited', company, sum(amount)::bigint FROM movements WHERE movement IN ('posted', 'reversed') GROUP BY company;

-- migrate:down
-- Forward only: a later migration corrects.
