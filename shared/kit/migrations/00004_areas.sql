-- Why: whoever decides by area must know what lies in what, and codes don't say it; each service keeps the tree itself.

-- migrate:up
-- What routing says of areas. Those out of force stay: cases and channels are still kept under their codes.
CREATE TABLE known_areas (
    code text COLLATE "C" PRIMARY KEY,
    level text NOT NULL,
    path text[] NOT NULL,
    in_force boolean NOT NULL,
    successors text[] NOT NULL,
    version bigint NOT NULL,
    revision bigint NOT NULL
);
COMMENT ON COLUMN known_areas.path IS 'codes of the areas above, the largest first';
CREATE INDEX known_areas_revision ON known_areas (revision);
CREATE INDEX known_areas_succeeded ON known_areas (code) WHERE successors <> '{}';

-- One row: processes ask it whether anything changed, and its lock orders the changes.
CREATE TABLE known_map (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    revision bigint NOT NULL
);

-- migrate:down
-- Forward only: a later migration corrects.
