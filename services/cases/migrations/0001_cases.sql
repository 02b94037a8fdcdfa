-- Why: a case is what the city handles; several reports of one thing are one case, and every step it takes is kept.
-- migrate:up

CREATE TABLE cases (
    case_id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version >= 1),
    state text NOT NULL CHECK (
        state IN ('open', 'claimed', 'needs_info', 'handled', 'verified', 'closed', 'invalid', 'returned')
    ),
    -- Apart from state, so that most steps change no indexed column.
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
    handled_by text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

COMMENT ON COLUMN cases.cell IS 'search cell of the place, see domain.cell_of; lng and lat are WGS-84 degrees';
COMMENT ON COLUMN cases.alternatives IS 'other grids inside the accuracy circle; a claim settles which one it is';

-- Where could a new report belong?
CREATE INDEX cases_live_by_place ON cases (cell, kind) WHERE live;
-- What is waiting in my area, the most urgent first? C collation: an area's prefix is a range.
CREATE INDEX cases_by_grid ON cases (live, grid_code, due_at, case_id);
CREATE INDEX cases_ambiguous ON cases (due_at, case_id) WHERE live AND alternatives <> '{}';

-- No foreign keys: these rows are written by the same transaction as their case, and a check per row costs as much as the row.
CREATE TABLE case_reports (
    report_id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal >= 1),
    rider_id uuid NOT NULL,
    company text NOT NULL,
    text text NOT NULL,
    photos text[] NOT NULL,
    UNIQUE (case_id, ordinal)
);

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
    PRIMARY KEY (case_id, version)
);

-- What happened is not edited, not even by the service itself.
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON steps FROM %I', regexp_replace(current_user, '_owner$', '_app'));
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
