-- Why: a company streams a report right after its rider, and the rider comes by another way: the report waits for minutes.
-- migrate:up

-- Records whose rider isn't known yet, whole, as they will be taken up or buried. One of each number.
CREATE TABLE waiting_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company text NOT NULL,
    external_id text NOT NULL,
    rider text NOT NULL,
    mark text NOT NULL,
    content_hash bytea NOT NULL,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    record_ms bigint NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    until timestamptz NOT NULL,
    UNIQUE (company, external_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
COMMENT ON COLUMN waiting_reports.rider IS 'the company''s number of the rider';
COMMENT ON COLUMN waiting_reports.mark IS 'what stands in place of that number once the rider is erased';
COMMENT ON COLUMN waiting_reports.value IS 'null: the rider was erased meanwhile';
CREATE INDEX waiting_reports_until ON waiting_reports (until);
CREATE INDEX waiting_reports_mark ON waiting_reports (mark);

SELECT keep_numbers('waiting_reports', '{insert,delete}', $$SELECT 'waiting', company, count(*) FROM %1$s GROUP BY company$$);

CREATE OR REPLACE VIEW counted (what, label, n) AS
SELECT 'accepted', '', count(*) FROM reports
UNION ALL SELECT 'riders', '', count(*) FROM known_riders
UNION ALL SELECT 'photos', '', count(*) FROM photos WHERE state = 'stored'
UNION ALL SELECT 'waiting', company, count(*) FROM waiting_reports GROUP BY company;

-- migrate:down
-- Forward only: a later migration corrects.
