-- Why: whoever has applied reads what became of it.
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS merchants_applicant ON merchants (applied_by, id) WHERE applied_by IS NOT NULL;

-- migrate:down
-- Forward only: a later migration corrects.
