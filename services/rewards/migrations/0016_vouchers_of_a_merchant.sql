-- Why: a list for a counter reads the vouchers that are out at its merchant; beside others' writes, since redemptions are many.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS redemptions_out ON redemptions (merchant_id, deadline_at, id) WHERE state = 'issued';

-- migrate:down
-- Forward only: a later migration corrects.
