-- Why: a merchant's open lists are counted before it gets another one.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS offline_lists_merchant ON offline_lists (merchant_id, closes_at) WHERE settled_at IS NULL;

-- migrate:down
-- Forward only: a later migration corrects.
