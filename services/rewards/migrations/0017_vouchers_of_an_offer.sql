-- Why: a list for a counter reads the vouchers of offers for the whole city that it has; beside others' writes.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS redemptions_out_offer ON redemptions (offer_id, deadline_at, id) WHERE state = 'issued';

-- migrate:down
-- Forward only: a later migration corrects.
