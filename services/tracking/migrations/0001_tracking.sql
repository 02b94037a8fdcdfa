-- Why: a reporter sees every step. Each table is written from one topic only, so topics may arrive in any order.
-- migrate:up

-- riders.company-changed.v1: whose signatures are good; secrets only sealed.
CREATE TABLE companies (
    company_id uuid PRIMARY KEY,
    code text NOT NULL,
    version bigint NOT NULL,
    active boolean NOT NULL,
    keys jsonb NOT NULL
);
CREATE INDEX companies_by_code ON companies (code);

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
CREATE INDEX reports_by_company ON reports (company, report_id);
CREATE INDEX reports_at ON reports USING brin (at);

-- routing.report-routed.v1: unroutable first and routed later is two rows; the highest version counts.
CREATE TABLE routings (
    report_id uuid NOT NULL,
    version bigint NOT NULL,
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
    department text,
    lng double precision NOT NULL,
    lat double precision NOT NULL,
    report_count integer NOT NULL,
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 80);

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
    PRIMARY KEY (case_id, version)
);

CREATE TABLE case_reports (
    report_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    at timestamptz NOT NULL
);

-- points.account-changed.v1, those of reports; the version is the account's.
CREATE TABLE movements (
    report_id uuid NOT NULL,
    version bigint NOT NULL,
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

-- migrate:down
-- Forward only: a later migration corrects.
