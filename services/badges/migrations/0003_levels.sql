-- Why: other services let riders in by their level, so it is published when it changes.
-- migrate:up

-- The level of a rider as it was last published. Its version only grows; of who is erased it stays alone with the id, so
-- that the end can be published again. Whoever has never risen above 0 points has no row.
CREATE TABLE levels (
    rider_id uuid PRIMARY KEY,
    code text,
    rank integer NOT NULL CHECK (rank >= 0),
    zh text,
    en text,
    version bigint NOT NULL CHECK (version > 0),
    changed_at timestamptz NOT NULL,
    left_at timestamptz,
    CHECK (code IS NOT NULL OR (rank = 0 AND zh IS NULL AND en IS NULL)),
    CHECK (left_at IS NULL OR code IS NULL)
) WITH (fillfactor = 80);
CREATE INDEX levels_left ON levels (left_at) WHERE left_at IS NOT NULL;

-- migrate:down
-- Forward only: a later migration corrects.
