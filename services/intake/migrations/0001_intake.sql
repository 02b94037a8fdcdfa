-- Why: a report is accepted exactly once per number of its sender, and only from riders and companies who may report.
-- migrate:up

-- Accepted reports. `source` is whose numbering `external_id` belongs to: a company, or one rider's own app, so that
-- nobody can occupy or probe another's numbers. Place and words travel on in the event and are not kept here.
CREATE TABLE reports (
    report_id uuid PRIMARY KEY,
    source text NOT NULL,
    external_id text NOT NULL,
    company text NOT NULL,
    rider_id uuid NOT NULL,
    kind text NOT NULL,
    content_hash bytea NOT NULL,
    received_at timestamptz NOT NULL,
    UNIQUE (source, external_id)
);
-- by this a rider's reports are found when the rider leaves
CREATE INDEX reports_rider ON reports (rider_id);

-- Uploaded photos; the pixels are in the object store under the id. A row comes first and goes last, so that a crash
-- leaves no object without a row. `report_id` null: not yet used by a report, purged after a day.
CREATE TABLE photos (
    photo_id uuid PRIMARY KEY,
    owner text NOT NULL,
    sha256 text NOT NULL,
    phash text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    lng double precision,
    lat double precision,
    state text NOT NULL CHECK (state IN ('uploading', 'stored', 'purging')),
    uploaded_at timestamptz NOT NULL,
    report_id uuid,
    case_id uuid,
    leaver uuid,
    tries smallint NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT photos_leavers_go CHECK (leaver IS NULL OR state = 'purging')
);
COMMENT ON COLUMN photos.sha256 IS 'of the bytes as uploaded';
COMMENT ON COLUMN photos.leaver IS 'the erased rider whose erasure waits until the objects are gone';
COMMENT ON COLUMN photos.tries IS 'how often the object store has refused to delete the objects';
CREATE UNIQUE INDEX photos_owner_sha256 ON photos (owner, sha256) WHERE state <> 'purging';
CREATE INDEX photos_report ON photos (report_id) WHERE report_id IS NOT NULL;
CREATE INDEX photos_purging ON photos (next_try_at) WHERE state = 'purging';
CREATE INDEX photos_leaving ON photos (leaver) WHERE leaver IS NOT NULL;
CREATE INDEX photos_orphans ON photos (uploaded_at) WHERE report_id IS NULL;

-- Where a case of photos is now: whose people may see them. Once a case, however many photographed it.
CREATE TABLE photo_cases (
    case_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    grids text[] NOT NULL
) WITH (fillfactor = 70);

-- migrate:down
-- Forward only: a later migration corrects.
