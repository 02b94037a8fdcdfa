-- Why: a service that hears riders or acts for them knows whose they are and whether they may act.
-- migrate:up

-- riders.rider-changed.v1, the newest state of each. Who is erased has no row: the list of erased riders knows them.
CREATE TABLE known_riders (
    rider_id uuid PRIMARY KEY,
    company text NOT NULL,
    number text,
    locale text NOT NULL,
    consent boolean NOT NULL,
    active boolean NOT NULL,
    version bigint NOT NULL,
    UNIQUE (company, number)
);
COMMENT ON COLUMN known_riders.number IS 'the company''s own; null where the service is never given one to look up';

-- migrate:down
-- Forward only: a later migration corrects.
