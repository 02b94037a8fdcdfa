-- Why: a company reads what its own riders used in a month; beside others' writes, since redemptions are many.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS redemptions_month ON redemptions (ended_at) INCLUDE (rider_id, price) WHERE state = 'used';

-- migrate:down
-- Forward only: a later migration corrects.
