-- Why: an upload asks whether the programme has borne this voucher for this merchant before; beside others' writes.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS offline_takings_borne ON offline_takings (redemption_id, merchant_id) WHERE borne_by = 'programme';

-- migrate:down
-- Forward only: a later migration corrects.
