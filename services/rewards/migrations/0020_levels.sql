-- Why: an offer may be for riders of a least level only.
-- migrate:up

-- The rank that a rider needs at least; 0: everybody
ALTER TABLE offers ADD COLUMN least_level smallint NOT NULL DEFAULT 0;

-- Riders' ranks as badges publish them; whoever has no row has rank 0
CREATE TABLE rider_levels (
    rider_id uuid PRIMARY KEY,
    rank integer NOT NULL CHECK (rank >= 0),
    -- of the level: an older one changes nothing
    version bigint NOT NULL CHECK (version > 0)
) WITH (fillfactor = 80);

-- migrate:down
-- Forward only: a later migration corrects.
