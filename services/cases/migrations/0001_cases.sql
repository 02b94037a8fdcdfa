-- Why: a case is what the city handles; several reports of one thing are one case, and every step it takes is kept.
-- migrate:up

CREATE TABLE cases (
    case_id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version >= 1),
    state text NOT NULL CHECK (
        state IN ('open', 'claimed', 'needs_info', 'handled', 'verified', 'closed', 'invalid', 'returned')
    ),
    live boolean NOT NULL CHECK (live = (state NOT IN ('closed', 'invalid'))),
    kind text NOT NULL,
    level text NOT NULL,
    grid_code text COLLATE "C" NOT NULL,
    alternatives text[] NOT NULL,
    department text,
    lng double precision NOT NULL,
    lat double precision NOT NULL,
    cell bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    paused_at timestamptz,
    claimed_by_id text,
    claimed_by_name text,
    claimed_by_role text,
    handled_by text,
    report_count integer NOT NULL CHECK (report_count >= 1)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

COMMENT ON COLUMN cases.cell IS 'search cell of the place, see domain.cell_of; lng and lat are WGS-84 degrees';
COMMENT ON COLUMN cases.alternatives IS 'other grids inside the accuracy circle; a claim settles which one it is';

-- Where could a new report belong?
CREATE INDEX cases_live_by_place ON cases (cell, kind, seen_at) WHERE live;
-- What is waiting in my grids, and in the whole city, the most urgent first?
CREATE INDEX cases_by_grid ON cases (grid_code, due_at, case_id) WHERE live;
CREATE INDEX cases_by_due ON cases (due_at, case_id) WHERE live;
-- The same of one state, which may be a few of very many. Every step changes these; a list that reads past all closed
-- cases to find twenty invalid ones would cost more.
CREATE INDEX cases_of_state_by_grid ON cases (state, grid_code, due_at, case_id);
CREATE INDEX cases_of_state_by_due ON cases (state, due_at, case_id);
-- Which ambiguous places may be in one of these grids; and the city's in order, for offices with many grids.
CREATE INDEX cases_maybe_in ON cases USING gin (alternatives) WHERE live AND alternatives <> '{}';
CREATE INDEX cases_ambiguous ON cases (due_at, case_id) WHERE live AND alternatives <> '{}';

-- No foreign keys: these rows are written by the same transaction as their case, and a check per row costs as much as the row.
CREATE TABLE case_reports (
    report_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    ordinal integer CHECK (ordinal >= 1),
    rider_id uuid NOT NULL,
    company text NOT NULL,
    text text NOT NULL,
    photos text[] NOT NULL,
    UNIQUE (case_id, version)
);
COMMENT ON COLUMN case_reports.version IS 'of the step that brought the report; the first report opened the case with 1';
COMMENT ON COLUMN case_reports.ordinal IS 'place among the reporters; none: the rider reported this thing before';

-- A rider is one of a case's reporters once, and whether they are is one look-up however many there are. By these two
-- a rider's words are found as well, when the rider leaves.
CREATE UNIQUE INDEX case_reports_rider_once ON case_reports (rider_id, case_id) WHERE ordinal IS NOT NULL;
CREATE INDEX case_reports_repeated ON case_reports (rider_id) WHERE ordinal IS NULL;

CREATE TABLE steps (
    case_id uuid NOT NULL,
    version bigint NOT NULL,
    step text NOT NULL,
    state text NOT NULL,
    actor_id text,
    actor_name text,
    actor_role text,
    report_id uuid,
    note text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (case_id, version),
    CONSTRAINT steps_riders_by_id CHECK (actor_role <> 'rider' OR actor_id = actor_id::uuid::text)
);
COMMENT ON CONSTRAINT steps_riders_by_id ON steps IS 'their erasure finds them by the canonical form of their id';

-- What people did in a crowded case is found without its thousands of reports; ordinary cases have no row here.
CREATE INDEX steps_of_people ON steps (case_id, version) WHERE version > 100 AND step NOT IN ('attached', 'repeated');
CREATE INDEX steps_of_riders ON steps (actor_id) WHERE actor_role = 'rider';

-- What happened is not edited, not even by the service itself.
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON steps FROM %I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- But for one thing: what a rider said, showed and where exactly they stood goes when the rider is erased. Case, report
-- and step stay.
CREATE FUNCTION erase_riders(riders uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE cases c SET lng = round(c.lng::numeric, 4), lat = round(c.lat::numeric, 4)
    FROM case_reports r WHERE r.rider_id = ANY(riders) AND r.ordinal = 1 AND c.case_id = r.case_id;
    UPDATE case_reports SET text = '', photos = '{}'
    WHERE rider_id = ANY(riders) AND ordinal IS NOT NULL AND (text <> '' OR photos <> '{}');
    UPDATE case_reports SET text = '', photos = '{}'
    WHERE rider_id = ANY(riders) AND ordinal IS NULL AND (text <> '' OR photos <> '{}');
    UPDATE steps SET actor_name = '', note = CASE WHEN note = '' THEN '' ELSE '（已删除 / erased）' END
    WHERE actor_role = 'rider' AND actor_id = ANY(riders::text[]);
$$;
REVOKE ALL ON FUNCTION erase_riders FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_riders TO %I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
