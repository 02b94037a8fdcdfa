-- Why: a reporter sees every step. Each table is written from one topic only, so topics may arrive in any order.
-- migrate:up

-- intake.report-received.v1
CREATE TABLE reports (
    report_id uuid PRIMARY KEY,
    company text NOT NULL,
    external_id text NOT NULL,
    rider_id uuid NOT NULL,
    kind text NOT NULL,
    level text NOT NULL,
    lng double precision NOT NULL,
    lat double precision NOT NULL,
    seen_at timestamptz NOT NULL,
    at timestamptz NOT NULL
);
-- By this a rider's reports are found when the rider leaves.
CREATE INDEX reports_by_rider ON reports (rider_id);
CREATE INDEX reports_by_company ON reports (company, report_id);
CREATE INDEX reports_at ON reports USING brin (at);

-- routing.report-routed.v1: unroutable first and routed later is two rows; the highest version counts.
CREATE TABLE routings (
    report_id uuid NOT NULL,
    version bigint NOT NULL,
    company text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('routed', 'unroutable')),
    reason text,
    grid_code text,
    grid_name text,
    ambiguous boolean NOT NULL,
    department text,
    at timestamptz NOT NULL,
    PRIMARY KEY (report_id, version)
);

-- cases.case-changed.v1: the latest state, every step, and which reports belong to which case.
CREATE TABLE cases (
    case_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    state text NOT NULL,
    kind text NOT NULL,
    level text NOT NULL,
    grid_code text NOT NULL,
    street text NOT NULL,
    department text,
    lng double precision NOT NULL,
    lat double precision NOT NULL,
    report_count integer NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 80);
COMMENT ON COLUMN cases.street IS 'where it is counted: the street above its grid, else a larger area, else nothing';

-- Cases that have ended and are still on the public topic. A table of its own: with an index on what changes in each
-- step, no step of `cases` would stay on its page.
CREATE TABLE ended_cases (
    case_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    ended_at timestamptz NOT NULL
);
CREATE INDEX ended_cases_ended_at ON ended_cases (ended_at);

CREATE TABLE case_steps (
    case_id uuid NOT NULL,
    version bigint NOT NULL,
    step text NOT NULL,
    state text NOT NULL,
    actor_name text,
    actor_role text,
    report_id uuid,
    grid_code text NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL,
    rider_id uuid,
    PRIMARY KEY (case_id, version)
);
-- What people did in a crowded case is found without its thousands of reports; ordinary cases have no row here.
CREATE INDEX case_steps_of_people ON case_steps (case_id, version)
    WHERE version > 100 AND step NOT IN ('attached', 'repeated');
COMMENT ON COLUMN case_steps.rider_id IS 'of a step that a rider took';
CREATE INDEX case_steps_of_riders ON case_steps (rider_id) WHERE rider_id IS NOT NULL;

CREATE TABLE case_reports (
    report_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    -- of the step that brought the report
    version bigint NOT NULL,
    company text NOT NULL,
    at timestamptz NOT NULL
);
-- Whose reports become closed with a case? Of a crowded one, the first are counted here and all others are kept below.
CREATE INDEX case_reports_by_case ON case_reports (case_id, company) WHERE version <= 100;

-- How many reports of each company came to a case after its hundredth step; ordinary cases have no row here.
CREATE TABLE case_crowds (
    case_id uuid NOT NULL,
    company text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (case_id, company)
) WITH (fillfactor = 50);

-- points.account-changed.v1, those of reports; the version is the account's.
CREATE TABLE movements (
    report_id uuid NOT NULL,
    version bigint NOT NULL,
    company text NOT NULL,
    movement text NOT NULL,
    amount bigint NOT NULL,
    reason text,
    at timestamptz NOT NULL,
    PRIMARY KEY (report_id, version)
);

-- What happened is not edited, not even by the service itself.
DO $$
DECLARE
    app_role text := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON reports, routings, case_steps, case_reports, movements FROM %I', app_role);
END
$$;

-- But for one thing: a rider who is erased leaves neither numbers, exact places nor words. Reports and steps stay.
CREATE FUNCTION erase_riders(riders uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE reports SET external_id = 'erased', lng = round(lng::numeric, 4), lat = round(lat::numeric, 4)
    WHERE rider_id = ANY(riders);
    UPDATE case_steps SET actor_name = '', note = CASE WHEN note = '' THEN '' ELSE '（已删除 / erased）' END
    WHERE rider_id = ANY(riders);
$$;
REVOKE ALL ON FUNCTION erase_riders FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_riders TO %I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
