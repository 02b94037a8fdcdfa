-- Why: city systems follow stock and vouchers, and a company reads what its own riders got in a month.
-- migrate:up

-- The version of an offer's stock as it is published: it moves far more often than what operators state
ALTER TABLE offers ADD COLUMN said bigint NOT NULL DEFAULT 0;
CREATE INDEX redemptions_month ON redemptions (ended_at) INCLUDE (rider_id, price) WHERE state = 'used';

-- migrate:down
-- Forward only: a later migration corrects.
