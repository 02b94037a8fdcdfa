-- Why: the catalogue is published entry by entry, and an entry's version has to go on where it has left and come back.
-- migrate:up

CREATE TABLE catalogue_entries (
    entry text PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    body jsonb
);
COMMENT ON COLUMN catalogue_entries.body IS 'as it was published last; null: it has left the topic';

-- migrate:down
-- Forward only: a later migration corrects.
