-- Why: points of a report that looks farmed wait for a person, whichever is heard first: the suspicion or its case's end.
-- migrate:up

CREATE TABLE suspicions (
    report_id uuid PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('raised', 'cleared', 'confirmed')),
    version bigint NOT NULL CHECK (version > 0)
) WITH (fillfactor = 80);
COMMENT ON TABLE suspicions IS 'of reports, by the service that screens them; a report without a row is under none';

DO $$
DECLARE
    app name := regexp_replace(current_user, '_owner$', '_app');
BEGIN
    EXECUTE format('REVOKE DELETE, TRUNCATE ON suspicions FROM %I', app);
END
$$;

-- migrate:down
-- Forward only: a later migration corrects.
