-- Why: a merchant's period is added up from its own lines, of which there are few beside riders' earnings.
-- migrate:up transaction:false

-- squawk-ignore ban-concurrent-index-creation-in-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS entries_redeemed ON entries (party, made_at) INCLUDE (amount, movement)
WHERE 'redeemed' IN (from_account, to_account) AND party IS NOT NULL;

-- migrate:down
-- Forward only: a later migration corrects.
