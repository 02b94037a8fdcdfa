-- Why: a merchant's month reads what was undone in it; beside others' writes, since redemptions are many.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS redemptions_undone ON redemptions (merchant_id, undone_at) WHERE state = 'undone';

-- migrate:down
-- Forward only: a later migration corrects.
