-- Why: the city's map comes from outside, in versions; a report is routed by the one in force, or waits for a person.
-- migrate:up

-- One import of areas. Only drafts take areas; an activated version never changes, so old routes stay explainable.
CREATE TABLE area_versions (
    version_id uuid PRIMARY KEY,
    label text NOT NULL,
    level text NOT NULL CHECK (level IN ('city', 'district', 'street', 'community', 'grid')),
    datum text NOT NULL CHECK (datum IN ('wgs84', 'gcj02', 'bd09')),
    state text NOT NULL CHECK (state IN ('draft', 'activated')),
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    activated_at timestamptz,
    touched_at timestamptz NOT NULL DEFAULT now()
);
-- the drafts that an import has left behind; there are few
CREATE INDEX area_versions_drafts ON area_versions (touched_at) WHERE state = 'draft';
COMMENT ON COLUMN area_versions.touched_at IS 'when a draft last took areas';
COMMENT ON COLUMN area_versions.level IS 'of features that name no level of their own';
COMMENT ON COLUMN area_versions.datum IS 'of uploaded coordinates; stored polygons are always WGS-84';

CREATE TABLE areas (
    version_id uuid NOT NULL REFERENCES area_versions,
    code text NOT NULL,
    level text NOT NULL CHECK (level IN ('city', 'district', 'street', 'community', 'grid')),
    name text NOT NULL,
    parent_code text,
    polygon bytea,
    square_metres double precision NOT NULL,
    fictional boolean NOT NULL,
    PRIMARY KEY (version_id, code),
    CHECK (level <> 'grid' OR polygon IS NOT NULL)
);
COMMENT ON COLUMN areas.polygon IS 'WKB, WGS-84; null: only a name in the tree';

-- What is in force. One row, so that processes ask for one row; its lock orders activations.
CREATE TABLE current_map (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version_id uuid REFERENCES area_versions,
    responsibilities_revision bigint NOT NULL DEFAULT 0
);

CREATE TABLE activations (
    activation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id uuid NOT NULL REFERENCES area_versions,
    effective_from timestamptz NOT NULL,
    activated_by text NOT NULL
);
DO $$ BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE ON activations FROM %I', regexp_replace(current_user, '_owner$', '_app'));
END $$;

-- Which department answers for a kind of department in an area; the most specific area wins.
CREATE TABLE responsibilities (
    department_kind text NOT NULL,
    area_code text NOT NULL,
    department text NOT NULL,
    name text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (department_kind, area_code)
);

CREATE TABLE routes (
    report_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('routed', 'unroutable')),
    reason text,
    grid_code text,
    alternatives text[] NOT NULL,
    department text,
    area_version uuid,
    routed_at timestamptz NOT NULL,
    assigned_by text,
    CHECK ((outcome = 'routed') = (grid_code IS NOT NULL))
);

-- Reports that wait for a person to name the grid; the row goes when somebody has.
CREATE TABLE unroutable (
    report_id uuid PRIMARY KEY REFERENCES routes,
    reason text NOT NULL,
    waiting_since timestamptz NOT NULL,
    near text,
    report jsonb NOT NULL
);
COMMENT ON COLUMN unroutable.near IS 'nearest grid: whose people see the report; null: those of the whole city';
CREATE INDEX unroutable_waiting ON unroutable (waiting_since, report_id);
-- the same near one grid; and what waits near grids that a new map lacks
CREATE INDEX unroutable_near ON unroutable (near, waiting_since, report_id);
-- how long the oldest of each level has waited is asked several times a minute
CREATE INDEX unroutable_level ON unroutable ((report ->> 'level'), waiting_since);
CREATE INDEX unroutable_rider ON unroutable ((report ->> 'rider_id'));

-- migrate:down
-- Forward only: a later migration corrects.
