-- Why: city systems follow stock and vouchers.
-- migrate:up

-- The version of an offer's stock as it is published: it moves far more often than what operators state
ALTER TABLE offers ADD COLUMN said bigint NOT NULL DEFAULT 0;

-- migrate:down
-- Forward only: a later migration corrects.
